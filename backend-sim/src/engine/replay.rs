//! A schedule once more, with every operation written down.

use crate::engine::explore::{execute, scripted};
use crate::engine::objects::{catalogue, FrameNames, Object};
use crate::engine::Settings;
use crate::event::EventSet;
use crate::race::Race;
use crate::scenario::outcome::Names;
use crate::violation::{Invariant, Violation};
use migrate_pin_core::PolicyKind;
use std::collections::HashMap;
use std::sync::Arc;

/// One visible operation in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who: an index into the actors of the configuration.
    pub actor: u8,
    /// Which of its steps, from 0.
    pub step: u16,
    /// The primitive or the path of the kernel it was in.
    pub primitive: &'static str,
    /// On what.
    pub object: String,
    /// What became of it.
    pub change: String,
}

/// What came of a replay.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What broke.
    pub violations: Vec<Violation>,
    /// The same in words, with the names of pages.
    pub messages: Vec<String>,
    /// The invariants, in the order of their table.
    pub broken: Vec<Invariant>,
    /// What happened.
    pub events: EventSet,
    /// The interleaving.
    pub lines: Vec<Line>,
    /// What the actors said, and what there was in the end.
    pub state: Vec<String>,
    /// The first decision at which the schedule did not fit: it named somebody who could not run, or nobody, or went on when
    /// all were done. Then it is a schedule of another race, or of another version of this one.
    pub off: Option<usize>,
}

/// Run `race` once, by `schedule`: who was chosen at each decision ([`Found::schedule`](crate::engine::Found)).
///
/// # Panics
/// As [`explore`](crate::engine::explore()).
#[must_use]
pub fn replay(
    race: &Arc<Race>,
    policy: PolicyKind,
    settings: &Settings,
    schedule: &[u8],
) -> Option<Replay> {
    let settings = Settings {
        states: true,
        ..settings.clone()
    };
    let body = {
        let race = race.clone();
        move || execute(&race, policy, &settings)
    };
    let scripted = scripted(schedule.to_vec(), body)?;
    let (outcome, stage) = scripted.result;
    let machine = &stage.machine;
    let known: HashMap<usize, Object> = catalogue(machine).into_iter().collect();
    let names: Names = stage.names.lock().clone();
    let frames = FrameNames::new(machine, &names);
    let lines = scripted.trace.iter().map(|operation| {
        let object = known
            .get(&operation.object)
            .copied()
            .unwrap_or(Object::Unknown);
        let program = race.programs.get(usize::from(operation.actor));
        Line {
            actor: program.map_or(operation.actor, |program| program.actor),
            step: operation.step,
            primitive: operation.primitive,
            object: frames.object(object),
            change: frames.change(object, operation.verb, operation.values),
        }
    });
    let message = |violation: &Violation| match violation.page {
        Some(page) => format!("{violation} (page {page} is {})", frames.of(page)),
        None => violation.to_string(),
    };
    Some(Replay {
        lines: lines.collect(),
        messages: outcome.violations.iter().map(message).collect(),
        violations: outcome.violations,
        broken: outcome.broken,
        events: outcome.events,
        state: outcome.state,
        off: scripted.off,
    })
}
