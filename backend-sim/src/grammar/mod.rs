//! The grammar of generated inputs: kinds of pages, and short programs of steps.
//!
//! There is one, in two tables: what a page can be before anybody acts (`kinds.rs`), and what an actor can do
//! (`programs.rs`). [Generated races](crate::race::generated) enumerate all pairs and triples of it over one or two pages; a
//! fuzzer draws from it with [`Choices`]: a [`World`] whose every page is of any kind, and programs anywhere in it. A
//! program that is added to a table is in both, and so is a kind, but for those that only races have.

pub(crate) mod kinds;
pub(crate) mod programs;
mod shift;
mod world;

pub use shift::Target;
pub use world::{Layout, Setting, World, ACTORS, CHILD, CHILD_ACTOR, PAGES, PARENT};

use crate::scenario::Step;
use programs::{Role, Short};

/// Where decisions come from: the bytes of a fuzzer, or a generator of random numbers.
pub trait Choices {
    /// A number below `n`; 0 if `n` is 0, or if there is nothing left to choose by.
    fn below(&mut self, n: usize) -> usize;
    /// Is there something left to choose by?
    fn more(&mut self) -> bool;

    /// True in `percent` of a hundred cases; false if there is nothing left.
    fn chance(&mut self, percent: usize) -> bool {
        // From the upper end, so that nothing left means no.
        self.below(100) >= 100 - percent.min(100)
    }
}

/// Most steps of one program.
pub const MAX_STEPS: usize = 5;

/// What one actor is to do, ready to be done: a program of the table, put where it is to act.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// Its name in the table.
    pub name: &'static str,
    /// Its steps.
    pub steps: heapless::Vec<Step, MAX_STEPS>,
}

/// Every program there is for one page.
pub(crate) fn table() -> impl Iterator<Item = &'static Short> {
    programs::PAIRS.iter().chain(programs::MORE)
}

/// How many programs [`program`] can draw.
#[must_use]
pub fn programs() -> usize {
    programs::PAIRS.len() + programs::MORE.len()
}

/// How many kinds of pages [`World::draw`] can draw.
#[must_use]
pub fn kinds() -> usize {
    world::kinds().count()
}

/// Draw a program for an actor of the parent, or of the child that does not fork. `value` is what it writes, so that two
/// programs need not write the same. Drivers are drawn as often as all others together; three in four act on the page `focus`, and
/// three in four on one page only.
pub fn program(choices: &mut impl Choices, focus: u16, child: bool, value: u32) -> Drawn {
    let drives = choices.below(2) == 0;
    let fits =
        |short: &&Short| short.role.drives() == drives && !(child && short.role == Role::Fork);
    let index = choices.below(table().filter(fits).count());
    let (spot, many) = (choices.below(4 * PAGES), choices.below(4 * PAGES));
    let target = Target {
        at: if spot < PAGES { spot as u16 } else { focus },
        pages: if many < PAGES {
            1
        } else {
            1 + (many - PAGES) as u16
        },
        value,
    };
    // The number is below that of those that fit.
    let short = table()
        .filter(fits)
        .nth(index)
        .unwrap_or(&programs::PAIRS[0]);
    let steps = short.steps.iter().map(|step| target.of(*step));
    Drawn {
        name: short.name,
        steps: steps.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_fits() {
        for short in table() {
            assert!(short.steps.len() <= MAX_STEPS, "{}", short.name);
        }
        assert_eq!(table().count(), programs());
    }
}
