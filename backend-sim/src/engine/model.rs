//! Models: programs of a few words and locks of [`Scheduled`](crate::engine::scheduled)'s, without a machine, on the
//! engines that run on shuttle.
//!
//! How many schedules such a program has, and at which bound a bug in it shows, can be said by counting on paper: so
//! the engines are tested by them. And a model that does as many visible operations as a race, and nothing else, says
//! what of a race's time is the engine's.

use crate::config::ActorId;
use crate::engine::board::{self, board};
use crate::engine::execution::Outcome;
use crate::engine::explore::{at_once, by_shuttle, scripted, Body};
use crate::engine::{Exploration, Settings};
use crate::sides::Sides;
use crate::violation::{Invariant, Violation};
use std::sync::Arc;

/// A program to explore.
pub trait Model: Send + Sync + 'static {
    /// What the actors share.
    type Shared: Send + Sync + 'static;
    /// How many actors there are.
    fn actors(&self) -> usize;
    /// What they share, as it is before they begin.
    fn set_up(&self) -> Self::Shared;
    /// What an actor does. It may wait for ever: its [`wait`](crate::sync::Monitor::wait) says so, it returns, and
    /// whoever looks in the end will see.
    fn act(&self, shared: &Self::Shared, actor: usize);
    /// What is broken when all are done, and what it is called.
    fn broken(&self, shared: &Self::Shared) -> Option<(Invariant, &'static str)>;
    /// What there is in the end, for [`Exploration::states`].
    fn state(&self, _shared: &Self::Shared) -> Vec<String> {
        Vec::new()
    }
}

fn execute<M: Model>(model: &Arc<M>, states: bool) -> Outcome {
    let shared = Arc::new(model.set_up());
    at_once((0..model.actors()).map(|actor| {
        let (model, shared) = (model.clone(), shared.clone());
        move || model.act(&shared, actor)
    }));
    let endless = board(|board| board.tally().endless);
    let live = || endless.then_some((Invariant::Live, "it does not end"));
    let broken = model.broken(&shared).or_else(live);
    let violation = |(invariant, what): (Invariant, &'static str)| Violation {
        invariant,
        page: None,
        place: None,
        what,
        sides: Sides::Neither,
        actor: ActorId(0),
        step: 0,
        primitive: "",
    };
    Outcome {
        broken: broken.iter().map(|(invariant, _)| *invariant).collect(),
        violations: broken.map(violation).into_iter().collect(),
        state: if states {
            model.state(&shared)
        } else {
            Vec::new()
        },
        ..Outcome::default()
    }
}

/// Explore `model` by any engine but loom, which has types of its own.
#[must_use]
pub fn explore<M: Model>(model: &Arc<M>, settings: &Settings) -> Exploration {
    let (model, states) = (model.clone(), settings.states);
    let body: Body = Arc::new(move || execute(&model, states));
    by_shuttle(&body, settings)
}

/// What came of a schedule that was repeated.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What broke.
    pub violations: Vec<Violation>,
    /// Every visible operation.
    pub trace: Vec<board::Operation>,
    /// The first decision at which the schedule did not fit.
    pub off: Option<usize>,
}

/// Run `model` once, by `schedule`.
#[must_use]
pub fn replay<M: Model>(model: &Arc<M>, schedule: &[u8]) -> Option<Replay> {
    let model = model.clone();
    let scripted = scripted(schedule.to_vec(), move || execute(&model, false))?;
    Some(Replay {
        violations: scripted.result.violations,
        trace: scripted.trace,
        off: scripted.off,
    })
}
