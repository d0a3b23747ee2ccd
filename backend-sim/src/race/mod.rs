//! Races: what several actors do at once, as data.
//!
//! A [`Race`] is a machine, what stands in it, what was done before, and a program for each of two or more actors. An
//! [`engine`](crate::engine) runs it again and again, switching between the actors at every operation that they can see of
//! each other; nothing may break under `Hardened`, and nothing be left when every process has exited. A race names the
//! [`Event`]s that it must reach: one that never does what it is there for is a failure.
//!
//! - [`catalogue`] has those that somebody thought of,
//! - [`generated`] those that nobody did: all pairs of short programs over all kinds of pages, and triples,
//! - [`Race::of`] makes one of a sequential scenario with more than one actor.

pub mod catalogue;
pub mod defect;
pub mod generated;
pub mod verdict;

use crate::bug::Bug;
use crate::config::{Config, MmId};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::{By, Scenario, Step};
use crate::violation::Invariant;
use defect::Defect;
use std::borrow::Cow;

/// What one actor does, in this order.
#[derive(Clone, Debug)]
pub struct Program {
    /// An index into the actors of the [`Config`].
    pub actor: u8,
    /// Its steps. One that has to wait is done again when what it waits for has changed.
    pub steps: Cow<'static, [Step]>,
}

impl Program {
    /// `actor` does `steps`.
    #[must_use]
    pub const fn new(actor: u8, steps: &'static [Step]) -> Self {
        Self {
            actor,
            steps: Cow::Borrowed(steps),
        }
    }
}

/// What must come of a race under `AsPosted`. Whatever breaks has to be a [`Defect`] that somebody has described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// Nothing breaks within its own bound.
    Holds,
    /// Nobody has said what breaks (generated races, what is left to samples, sequential scenarios in other
    /// orders).
    Open,
    /// Within its own bound these show, and no others.
    Shows(&'static [Defect]),
}

/// How a race is explored if nobody asks for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// By every schedule with at most so many preemptions.
    Bound(u32),
    /// It is too large for that: so many random schedules, and as many of PCT's.
    Samples(u32),
}

/// How a race is explored by loom if nobody asks for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByLoom {
    /// At this bound.
    pub bound: u32,
    /// Events that the race names, and that loom does not reach there.
    pub unseen: &'static [Event],
    /// What must break is not found there either: by a broken machine, or under `AsPosted`.
    pub breaks_unseen: bool,
}

/// Several actors at once.
#[derive(Clone, Debug)]
pub struct Race {
    /// Its name, in kebab-case.
    pub name: Cow<'static, str>,
    /// What it is about, in one line.
    pub about: Cow<'static, str>,
    /// Those generated together have one name in common, to be reported together; empty for the others.
    pub family: Cow<'static, str>,
    /// The machine.
    pub config: Config<'static>,
    /// What stands at pages of address spaces before anybody acts.
    pub populate: Cow<'static, [(MmId, u16, Populate)]>,
    /// What was done before, one step after the other.
    pub given: Cow<'static, [By]>,
    /// Who does what at once: each actor has one program at most.
    pub programs: Cow<'static, [Program]>,
    /// What some execution under `Hardened` must reach (under `AsPosted` if it is not run under `Hardened`).
    pub events: Cow<'static, [Event]>,
    /// The same of those that take a preemption: none is reached at bound 0.
    pub interleaved: Cow<'static, [Event]>,
    /// What no execution may reach, under either policy.
    pub never: &'static [Event],
    /// What is broken in the machine when the race begins.
    pub bugs: &'static [Bug],
    /// What must break under `Hardened`, for a machine that is broken; none if nothing may.
    pub breaks: Option<Invariant>,
    /// Is it run under `Hardened`? Not if the driver is the one as posted, whose releases no policy of core's could
    /// mend, nor a generated race that is too long there, and cut.
    pub hardened: bool,
    /// What must come of it under `AsPosted`; none if it is not run, such as a generated race that is too long there, and cut.
    pub posted: Option<Posted>,
    /// How it is explored by default.
    pub effort: Effort,
    /// By loom as well.
    pub loom: Option<ByLoom>,
}

impl Race {
    /// What most races leave out: two CPUs of one process, a device that mirrors it, two preemptions.
    pub const BASE: Self = Self {
        name: Cow::Borrowed(""),
        about: Cow::Borrowed(""),
        family: Cow::Borrowed(""),
        config: Config::SMALL,
        populate: Cow::Borrowed(&[]),
        given: Cow::Borrowed(&[]),
        programs: Cow::Borrowed(&[]),
        events: Cow::Borrowed(&[]),
        interleaved: Cow::Borrowed(&[]),
        never: &[],
        bugs: &[],
        breaks: None,
        hardened: true,
        posted: Some(Posted::Open),
        effort: Effort::Bound(2),
        loom: None,
    };

    /// The actors of a sequential scenario, each with its own steps, all at once. None if there is but one.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Option<Self> {
        let mut programs: Vec<(u8, Vec<Step>)> = Vec::new();
        for By(actor, step) in scenario.steps {
            match programs.iter_mut().find(|(known, _)| known == actor) {
                Some((_, steps)) => steps.push(*step),
                None => programs.push((*actor, vec![*step])),
            }
        }
        if programs.len() < 2 {
            return None;
        }
        let programs = programs.into_iter().map(|(actor, steps)| Program {
            actor,
            steps: Cow::Owned(steps),
        });
        let skipped = |expect| matches!(expect, crate::scenario::Expect::Skip);
        Some(Self {
            name: Cow::Owned(format!("{}-at-once", scenario.name)),
            about: Cow::Borrowed(scenario.about),
            config: scenario.config,
            populate: Cow::Borrowed(scenario.populate),
            given: Cow::Borrowed(scenario.given),
            programs: programs.collect(),
            hardened: !skipped(scenario.hardened),
            posted: (!skipped(scenario.as_posted)).then_some(Posted::Open),
            ..Self::BASE
        })
    }

    /// At how many pages of address spaces something stands when it begins.
    #[must_use]
    pub fn pages(&self) -> usize {
        Populate::standing(&self.populate)
    }
}

/// Every race: those of the catalogue, then the generated ones.
#[must_use]
pub fn all() -> Vec<Race> {
    let mut all = catalogue::all();
    all.extend(generated::all());
    all
}
