//! Scenarios: what is set up, who does what, and what must come of it, as data.
//!
//! A [`Scenario`] is a machine, a list of steps in the order in which they are run, and for each policy
//! either the lines that the run must print or the invariants that it must break. The lines name pages by
//! where they were mapped at first, not by pfn, and hold nothing that a live kernel could not tell:
//! words, counts, map counts, where a page is on its way to the LRU, pins, what a read returned. So the
//! same scenario can be run in a kernel and compared line by line.
//!
//! [`run`](run::run) runs one; [`catalogue`] has them all.

pub mod catalogue;
pub mod explore;
mod glance;
pub mod outcome;
pub mod player;
pub mod run;
pub mod step;

use crate::config::{Config, MmId};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::violation::Invariant;
pub use step::{Give, Step};

/// A step and who does it: an index into the actors of the [`Config`].
#[derive(Clone, Copy, Debug)]
pub struct By(pub u8, pub Step);

/// What must come of a run under one policy.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// Nothing breaks, and the run prints these lines.
    Lines(&'static [&'static str]),
    /// The same as under [`Hardened`](migrate_pin_core::Hardened).
    Same,
    /// These invariants break, and no others.
    Breaks(&'static [Invariant]),
    /// The policy is not run: the driver as posted does not go through core for its releases, so that no
    /// policy of core's could hold.
    Skip,
}

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name, in kebab-case: the room first, then what happens.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// The machine.
    pub config: Config<'static>,
    /// What stands at pages of address spaces before anybody acts.
    pub populate: &'static [(MmId, u16, Populate)],
    /// What was done before: run first; not part of what is printed, reordered or made to fail.
    pub given: &'static [By],
    /// What happens, in this order.
    pub steps: &'static [By],
    /// Run it also in every other order that keeps each actor's own, and check the invariants.
    pub reorder: bool,
    /// What must come of it under `Hardened`.
    pub hardened: Expect,
    /// What must come of it under `AsPosted`.
    pub as_posted: Expect,
    /// What must have happened on the way under `Hardened` (under `AsPosted` if that is skipped).
    pub events: &'static [Event],
}
