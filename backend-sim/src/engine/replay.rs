//! A schedule once more, with every operation written down.

use crate::engine::board::{board, Operation};
use crate::engine::explore::{execute, scripted};
use crate::engine::objects::{catalogue, FrameNames, Object};
use crate::engine::scheduled::Scheduled;
use crate::engine::Settings;
use crate::event::EventSet;
use crate::machine::Machine;
use crate::race::Race;
use crate::scenario::outcome::Names;
use crate::scenario::run::{run_on, Run, Telling, Variation};
use crate::scenario::Scenario;
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
    let names: Names = stage.names.lock().clone();
    let frames = FrameNames::new(machine, &names);
    let who = |slot: u8| {
        let program = race.programs.get(usize::from(slot));
        program.map_or(slot, |program| program.actor)
    };
    let lines = lines(machine, &frames, &scripted.trace, who);
    let message = |violation: &Violation| frames.message(violation);
    Some(Replay {
        lines,
        messages: outcome.violations.iter().map(message).collect(),
        violations: outcome.violations,
        broken: outcome.broken,
        events: outcome.events,
        state: outcome.state,
        off: scripted.off,
    })
}

/// Run `scenario` once more, one actor's step at a time: each operation that others could see, and the violations in words, with the
/// names of pages.
///
/// # Panics
/// As [`run`](crate::scenario::run::run()).
#[must_use]
pub fn tell(scenario: &Scenario, variation: Variation<'_>) -> (Run, Vec<Line>, Vec<String>) {
    board(|board| board.reset(false));
    let telling = Telling {
        step: |actor, step| board(|board| board.takes_turn(actor, step)),
        done: || board(|board| board.turns_end()),
    };
    let look = |machine: &Machine<Scheduled>, names: &Names| {
        let frames = FrameNames::new(machine, names);
        let trace = board(|board| board.tally().trace.clone());
        let lines = lines(machine, &frames, &trace, |actor| actor);
        let violations = machine.kept_violations();
        let messages = violations.iter().map(|violation| frames.message(violation));
        (lines, messages.collect())
    };
    let (run, (lines, messages)) = run_on(scenario, variation, telling, look);
    (run, lines, messages)
}

/// What is done with `mmap_lock`: paths take and release it without a name of their own for that.
const fn mmap_lock((old, new): (u32, u32)) -> Option<&'static str> {
    Some(match (old, new) {
        // A writer has it: who comes may want either.
        (u32::MAX, u32::MAX) => return None,
        // Readers keep out nobody but a writer.
        _ if old == new => "mmap_write_lock",
        (_, u32::MAX) => "mmap_write_lock",
        (u32::MAX, _) => "mmap_write_unlock",
        _ if new < old => "mmap_read_unlock",
        _ => "mmap_read_lock",
    })
}

/// Operations in words. `who` says which actor has a place.
fn lines(
    machine: &Machine<Scheduled>,
    frames: &FrameNames,
    trace: &[Operation],
    who: impl Fn(u8) -> u8,
) -> Vec<Line> {
    let known: HashMap<usize, Object> = catalogue(machine).into_iter().collect();
    let line = |operation: &Operation| {
        let object = known.get(&operation.object);
        let object = object.copied().unwrap_or(Object::Unknown);
        Line {
            actor: who(operation.actor),
            step: operation.step,
            primitive: match object {
                Object::Mmap(_) => mmap_lock(operation.values).unwrap_or(operation.primitive),
                _ => operation.primitive,
            },
            object: frames.object(object),
            change: frames.change(object, operation.verb, operation.values),
        }
    };
    trace.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::mmap_lock;

    #[test]
    fn who_waits_where_others_read_is_a_writer() {
        assert_eq!(mmap_lock((0, 1)), Some("mmap_read_lock"));
        assert_eq!(mmap_lock((2, 1)), Some("mmap_read_unlock"));
        assert_eq!(mmap_lock((0, u32::MAX)), Some("mmap_write_lock"));
        assert_eq!(mmap_lock((u32::MAX, 0)), Some("mmap_write_unlock"));
        assert_eq!(mmap_lock((1, 1)), Some("mmap_write_lock"));
        assert_eq!(mmap_lock((u32::MAX, u32::MAX)), None);
    }
}
