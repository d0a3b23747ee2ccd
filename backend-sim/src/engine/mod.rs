//! Engines: they run a [`Race`] again and again, each time in another interleaving, all on the same machine, whose
//! synchronisation is a type parameter.
//!
//! | engine | what it runs | what it can say |
//! | --- | --- | --- |
//! | [`Kind::Exhaustive`] | depth first, every schedule with at most N preemptions, first 0, then 1, ... | complete at bound N, and a counterexample of the smallest bound |
//! | [`Kind::Loom`] | loom's executions at its bound N, in which an atomic may return an old value | that memory orderings suffice where it looked; never complete (its bound drops alternatives at free switches) |
//! | [`Kind::Random`] | random schedules, by shuttle | nothing complete; the seed makes it repeatable |
//! | [`Kind::Pct`] | shuttle's probabilistic concurrency testing: random priorities, few changes | the same |
//!
//! All but loom run one actor at a time on coroutines of shuttle's ([`Scheduled`](scheduled::Scheduled)), who switch
//! where they use something that others can see, and write down whom they chose: [`replay`] repeats such a schedule to the
//! step and names each operation.
//!
//! [`fed`] runs a race once, by a schedule that a fuzzer has written.
//!
//! A violation ends the exploration of its race under `Hardened`; under `AsPosted` an exhaustive exploration goes on, and so do samples
//! that the race asks for, and keeps an execution of each way to break. What is not a race on the machine but a few words and locks is a
//! [`model`]: by those the engines themselves are tested, and their speed is compared.

pub mod board;
mod driven;
mod ends;
mod execution;
mod exhaustive;
pub mod explore;
pub mod fed;
pub mod loom;
pub mod model;
pub mod objects;
pub mod replay;
pub mod schedule;
pub mod scheduled;

use crate::bug::Bug;
use crate::event::EventSet;
use crate::race::{defect, Effort, Race};
use crate::violation::{Invariant, Violation};
use migrate_pin_core::PolicyKind;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Every schedule with at most N preemptions.
    Exhaustive,
    /// Loom, for memory orderings.
    Loom,
    /// Random schedules.
    Random,
    /// Probabilistic concurrency testing.
    Pct,
}

impl Kind {
    /// The name in the table and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exhaustive => "exhaustive",
            Self::Loom => "loom",
            Self::Random => "random",
            Self::Pct => "pct",
        }
    }
}

/// What is asked of an exploration that goes on behind what breaks, and keeps one execution of each way to break
/// ([`Exploration::ways`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Ways differ by what their violations say, and by which of these events have happened.
    pub telling: EventSet,
    /// Up to this bound, if it is exhaustive. It does not begin a larger one if something broke.
    pub bound: u32,
}

/// What is known to break, in the words of a violation ([`Violation::what`]).
#[derive(Clone, Debug)]
pub struct Known {
    what: String,
    said: Arc<AtomicBool>,
}

impl Known {
    /// These words.
    #[must_use]
    pub fn new(what: String) -> Self {
        Self {
            what,
            said: Arc::default(),
        }
    }

    /// The words.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Has a violation said them, to this or to one of its clones? Nothing was hidden if not.
    #[must_use]
    pub fn said(&self) -> bool {
        self.said.load(Ordering::Relaxed)
    }

    /// Are these the words of a violation?
    pub(crate) fn is(&self, what: &str) -> bool {
        let same = self.what == what;
        if same {
            self.said.store(true, Ordering::Relaxed);
        }
        same
    }
}

/// What is asked of an engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which.
    pub kind: Kind,
    /// Preemptions (exhaustive, loom), or PCT's depth less one.
    pub bound: u32,
    /// The first bound of an exhaustive exploration: 0, unless those below it were explored before.
    pub from: u32,
    /// Most executions: of each bound (exhaustive, loom), or all (random, PCT).
    pub executions: u64,
    /// For what is random.
    pub seed: u64,
    /// Keep the final states: what the actors said and what there is in the end.
    pub states: bool,
    /// Are `smp_mb()` and the barriers in read-modify-writes what they are in the kernel? False leaves them out, which only
    /// loom can notice.
    pub fences: bool,
    /// Is letting go of a lock a visible operation, before which others may run? It is one piece with the operation before it
    /// otherwise. Not for loom, where it always is.
    pub releases: bool,
    /// Broken in the machine beside what the race says.
    pub bugs: &'static [Bug],
    /// What is known to break ([`Violation::what`]): an execution in which nothing else does is no violation. What one defect
    /// brings about would hide all that come after it otherwise.
    pub known: Vec<Known>,
    /// Go on behind what breaks. None ends at the first.
    pub behind: Option<Behind>,
    /// Set when nobody wants to know any more: ends before the next execution.
    pub stop: Arc<AtomicBool>,
}

impl Settings {
    /// Executions of a bound after which an exhaustive exploration gives up, and says so.
    pub const EXECUTIONS: u64 = 20_000_000;
    /// PCT's changes of priority, if nobody asks for others.
    pub const PCT_BOUND: u32 = 2;

    /// Every schedule with at most `bound` preemptions.
    #[must_use]
    pub fn exhaustive(bound: u32) -> Self {
        Self {
            kind: Kind::Exhaustive,
            bound,
            from: 0,
            executions: Self::EXECUTIONS,
            seed: 0,
            states: false,
            fences: true,
            releases: false,
            bugs: &[],
            known: Vec::new(),
            behind: None,
            stop: Arc::default(),
        }
    }

    /// Is there something among these that is not known?
    pub(crate) fn news(&self, violations: &[Violation]) -> bool {
        let known = |violation: &Violation| self.known.iter().any(|known| known.is(violation.what));
        violations.iter().any(|violation| !known(violation))
    }

    /// What `race` asks for itself.
    #[must_use]
    pub fn of(race: &Race, seed: u64) -> Self {
        match race.effort {
            Effort::Bound(bound) => Self::exhaustive(bound),
            Effort::Samples(executions) => Self {
                kind: Kind::Random,
                executions: executions.into(),
                seed,
                ..Self::exhaustive(0)
            },
        }
    }
}

/// What an exploration came to.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// By which engine.
    pub kind: Kind,
    /// How many executions, of all bounds.
    pub executions: u64,
    /// The largest bound that was explored, in part at least; none for what has no bound.
    pub bound: Option<u32>,
    /// Every schedule of that bound was run. Only exhaustive says so.
    pub complete: bool,
    /// It gave up before its end: after so many executions as it may do at most, or since nobody wants to know any more. Never
    /// what was sampled, which has no end, unless it has fewer samples than it was asked for.
    pub cut: bool,
    /// Wall time.
    pub seconds: f64,
    /// Visible operations of the longest execution in which nothing broke, since what is broken may retry for ever; if something broke
    /// in all of them, of the longest. 0 if the engine can't say (loom).
    pub operations: usize,
    /// Visible operations of all executions.
    pub all_operations: u64,
    /// How often an actor got to run, of all executions: when it began, and whenever it came after another. 0 if the engine can't
    /// say (loom).
    pub all_switches: u64,
    /// What happened in any execution.
    pub events: EventSet,
    /// Final states, if they were asked for.
    pub states: BTreeSet<Vec<String>>,
    /// What broke first, if anything.
    pub found: Option<Found>,
    /// Every way in which something broke, each by the first execution that showed it, so at the smallest bound; `found` is
    /// the first of them. Empty unless they were asked for.
    pub ways: Vec<Found>,
}

impl Exploration {
    /// Did it go on behind what broke, if anything did?
    #[must_use]
    pub const fn goes_on(&self) -> bool {
        self.found.is_none() || !self.ways.is_empty()
    }

    /// The executions in which something broke, as far as they were kept.
    pub fn broke(&self) -> impl Iterator<Item = &Found> {
        let first = self.found.iter().filter(|_| self.ways.is_empty());
        self.ways.iter().chain(first)
    }
}

/// A violation, and how to get there.
#[derive(Clone, Debug)]
pub struct Found {
    /// The invariants that broke in this execution, in the order of their table.
    pub broken: Vec<Invariant>,
    /// The violations, in the order in which they were found.
    pub violations: Vec<Violation>,
    /// Who was chosen at each decision, to be given to [`replay`]; empty if the engine can't say (loom).
    pub schedule: Vec<u8>,
    /// The bound at which it was found.
    pub bound: Option<u32>,
    /// In the how many'th execution, from 1.
    pub execution: u64,
    /// The execution did not end by itself.
    pub endless: bool,
    /// What happened in it.
    pub events: EventSet,
}

impl Found {
    /// What the violations say, each once, in the order of the alphabet.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        let mut words: Vec<_> = self.violations.iter().map(|one| one.what).collect();
        words.sort_unstable();
        words.dedup();
        words
    }
}

/// Explore `race` under `policy`. Under `AsPosted` an exhaustive exploration goes on behind what breaks, and so do samples that the race
/// asks for, so that one [`Defect`](defect::Defect) does not hide another, nor what is to be reached.
///
/// # Panics
/// If the race's machine can't be set up: the race is wrong. Or if core or the machine panics: that is a bug.
#[must_use]
pub fn explore(race: &Arc<Race>, policy: PolicyKind, settings: &Settings) -> Exploration {
    let goes_on = match settings.kind {
        Kind::Exhaustive => true,
        Kind::Random | Kind::Pct => matches!(race.effort, Effort::Samples(_)),
        Kind::Loom => false,
    };
    let goes_on = goes_on && policy == PolicyKind::AsPosted;
    let settings = &Settings {
        behind: settings.behind.or_else(|| goes_on.then(|| behind(race))),
        ..settings.clone()
    };
    match settings.kind {
        Kind::Loom => loom::explore(race, policy, settings),
        _ => explore::by_shuttle(&explore::of_race(race, policy, settings), settings),
    }
}

/// How far an exploration of `race` goes on behind what breaks: within its own bound, but with three actors and more no further
/// than one preemption, since what is broken retries for ever in many executions.
fn behind(race: &Race) -> Behind {
    let own = match race.effort {
        Effort::Bound(bound) => bound,
        Effort::Samples(_) => 0,
    };
    Behind {
        telling: defect::TELLING,
        bound: if race.programs.len() > 2 {
            own.min(1)
        } else {
            own
        },
    }
}
