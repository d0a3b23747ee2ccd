//! [`Ends`]: what was found where executions of a race ended.
//!
//! When all actors are done, everything is looked at, every process exits, and nothing may be left. That takes as long as
//! what the actors did; and what comes of it hangs on how the machine stands and on nothing else, since nobody else runs.
//! Thousands of schedules of a race end in a few states. So where a machine stands as another stood before, what was found
//! then is what would be found now.
//!
//! To stand alike is to be the same in every word, of the machine and of its ledger: all that [`Restore`] puts back. The words
//! themselves are compared, so that no two states are taken for each other; a sum of some of them only says where there is no
//! need to, since what differs there differs.
//!
//! [`Restore`]: crate::restore::Restore

use crate::engine::execution::Outcome;
use crate::machine::Machine;
use crate::sync::Synchronisation;

/// How many ends are kept: those that were met last.
const KEPT: usize = 16;

/// Ends of executions of one race on machines of one configuration, the last one met first.
pub(crate) struct Ends<S: Synchronisation> {
    known: Vec<End<S>>,
}

/// A machine as it stood when the actors were done, and what was found on it.
struct End<S: Synchronisation> {
    /// What it [sums up](Machine::sum_up) to.
    sum: u64,
    machine: Box<Machine<S>>,
    outcome: Outcome,
}

impl<S: Synchronisation> Default for Ends<S> {
    fn default() -> Self {
        Self { known: Vec::new() }
    }
}

impl<S: Synchronisation> Ends<S> {
    /// What `look` finds on `machine`, on which the actors are done: `look` is asked if no machine that stood so is known.
    /// `build` makes a machine of the same configuration.
    pub(crate) fn outcome(
        &mut self,
        machine: &mut Machine<S>,
        build: impl FnOnce() -> Machine<S>,
        look: impl FnOnce(&Machine<S>) -> Outcome,
    ) -> Outcome {
        let known = &mut self.known;
        let sum = machine.sum_up();
        let place = known
            .iter_mut()
            .position(|end| end.sum == sum && machine.stands_as(&mut end.machine));
        if let Some(place) = place {
            known[..=place].rotate_right(1);
            let outcome = &known[0].outcome;
            // Where time does not matter: is it so?
            debug_assert_eq!(*outcome, look(machine), "the same state, another outcome");
            return outcome.clone();
        }
        let oldest = (known.len() >= KEPT).then(|| known.pop()).flatten();
        let mut copy = oldest.map_or_else(|| Box::new(build()), |end| end.machine);
        copy.restore(machine);
        let outcome = look(machine);
        let end = End {
            sum,
            machine: copy,
            outcome: outcome.clone(),
        };
        known.insert(0, end);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ActorId, Config, FileSpec, MmId};
    use crate::engine::scheduled::Scheduled;
    use crate::entry::Entry;
    use crate::event::Event;
    use crate::frame::{PageFlags, FIRST_PFN};
    use crate::ledger::{Hold, Link};
    use crate::paths::populate::Populate;
    use crate::sync::{Atomic32, Store};
    use crate::violation::Invariant;
    use core::sync::atomic::Ordering;
    use migrate_pin_core::Pfn;

    type Tested = Machine<Scheduled>;

    const MM: MmId = MmId(0);
    const PAGE: Pfn = Pfn(FIRST_PFN);

    fn built() -> Tested {
        let config = Config {
            files: &[FileSpec { contents: &[1] }],
            ..Config::SMALL
        };
        Machine::new(&config).unwrap()
    }

    /// A machine with two pages.
    fn set_up() -> Tested {
        let machine = built();
        assert!(machine.populate(MM, 1, Populate::Written(7)));
        assert!(machine.populate(MM, 2, Populate::Written(8)));
        machine
    }

    /// In words, and what is done.
    type Change = (&'static str, fn(&Tested));

    /// Something of each room of the machine and of the ledger.
    const CHANGES: &[Change] = &[
        ("a count", |m| {
            m.frame(PAGE).unwrap().count.fetch_add(1, Ordering::Relaxed);
        }),
        ("racy flags", |m| {
            m.frame(PAGE).unwrap().assign(PageFlags::DIRTY, true);
        }),
        ("steady flags", |m| {
            m.frame(PAGE).unwrap().assign(PageFlags::ACTIVE, true);
        }),
        ("contents", |m| m.frame(PAGE).unwrap().contents.set(9)),
        ("a free frame's contents", |m| {
            let last = m.pfns().last().unwrap();
            m.frame(last).unwrap().contents.set(9);
        }),
        ("a page lock", |m| {
            assert!(m.frame(PAGE).unwrap().lock.try_lock(&m.cpu(ActorId(1))));
        }),
        ("the free pages", |m| {
            m.free.lock().swap(0, 1);
        }),
        ("a semaphore", |m| {
            assert!(m.mms[0].mmap_lock.try_read(&m.cpu(ActorId(0))));
        }),
        ("an entry", |m| {
            m.mms[0].entries[3].store(1, Ordering::Relaxed)
        }),
        ("an area", |m| m.mms[0].areas[0].end.set(5)),
        ("a sequence number", |m| m.mirrors[0].seq.set(4)),
        ("an anon_vma", |m| m.anon_vmas[20].held.set(1)),
        ("a use count of swap", |m| m.swap.users[7].set(1)),
        ("a TLB", |m| m.cpus[1].tlb.insert(MM, 1, Entry::Other)),
        ("a batch", |m| {
            let _ = m.cpus[0].batch.lock().push(PAGE);
        }),
        ("a device's pool", |m| {
            m.devices[0].pool.lock().pop();
        }),
        ("a charge", |m| m.memcgs[3].set(1)),
        ("an actor's faults", |m| m.actors[1].faults.set(1)),
        ("an event", |m| m.event(Event::Sigbus)),
        ("the step", |m| {
            m.begin_step();
        }),
        ("a bug", |m| m.seed(crate::bug::Bug::PutNotAtomic)),
        ("a failure to come", |m| m.fault_plan().arm(0, 3)),
        ("a book", |m| m.cpu(ActorId(0)).enter(PAGE, Hold::Gup, 1)),
        ("a pair", |m| {
            let books = &mut m.ledger.lock().pages;
            books[19].home = Link::from(PAGE);
        }),
        ("what an entry was set to", |m| {
            m.ledger.lock().set_shadow(MM, 3, Entry::Other);
        }),
        ("what memory must read as", |m| {
            m.cpu(ActorId(0)).note_own(MM, 3, 1);
        }),
        ("what a file must read as", |m| {
            m.ledger.lock().file_cells[0][15] = 1
        }),
        ("a window", |m| {
            let _ = m.ledger.lock().windows.push((MM, 0, 1, 0));
        }),
        ("what an actor does", |m| m.cpu(ActorId(1)).at("something")),
        ("what an actor has touched", |m| {
            m.cpu(ActorId(1)).touch(PAGE)
        }),
        ("a violation", |m| {
            m.cpu(ActorId(0))
                .violate(Invariant::Ref, None, "it is wrong");
        }),
    ];

    #[test]
    fn machines_that_differ_anywhere_do_not_stand_alike() {
        for (what, change) in CHANGES {
            let (mut one, mut other) = (set_up(), set_up());
            assert!(one.stands_as(&mut other), "before {what} is changed");
            change(&other);
            assert!(!one.stands_as(&mut other), "{what} is changed");
            one.restore(&mut other);
            assert!(one.stands_as(&mut other), "{what} is taken over");
            assert_eq!(one.sum_up(), other.sum_up(), "{what} is taken over");
        }
    }

    #[test]
    fn what_was_found_at_an_end_is_what_comes_of_it_again_and_the_oldest_is_forgotten() {
        let mut ends = Ends::default();
        let mut looked = Vec::new();
        let mut meet = |value: u32| {
            let mut machine = set_up();
            machine.frame(PAGE).unwrap().contents.set(value);
            let outcome = ends.outcome(&mut machine, built, |machine| {
                looked.push(value);
                let found = machine.frame(PAGE).unwrap().contents.get();
                Outcome {
                    state: vec![found.to_string()],
                    ..Outcome::default()
                }
            });
            assert_eq!(outcome.state, [value.to_string()]);
        };
        let other = KEPT as u32;
        // All that is kept, twice, then one more: that takes the place of the second, since the first was met again.
        let met: Vec<u32> = (0..other).chain(0..other).chain([0, other, 0, 1]).collect();
        met.iter().for_each(|value| meet(*value));
        let anew: Vec<u32> = (0..other).chain([other, 1]).collect();
        // With debug assertions it is looked each time, to see whether it is so.
        let expected = if cfg!(debug_assertions) { met } else { anew };
        assert_eq!(looked, expected);
    }
}
