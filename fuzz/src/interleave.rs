//! The schedule as input: four actors with programs of the grammar, who are switched between wherever the bytes say, one
//! visible operation at a time, by the explorer's own scheduler.
//!
//! More actors and pages than the explorer can exhaust, and no bound of preemptions.

use crate::choices::Input;
use crate::{Mode, Verdict};
use migrate_pin_sim::engine::{run_by, Kind, Settings};
use migrate_pin_sim::grammar::{self, Choices, Setting, World, ACTORS, CHILD_ACTOR};
use migrate_pin_sim::race::{Program, Race};
use migrate_pin_sim::scenario::Step;
use migrate_pin_sim::{Bug, Config, Machine, Spin};
use std::borrow::Cow;
use std::sync::Arc;

/// Most decisions that the bytes make; then whoever runs goes on.
const MAX_DECISIONS: usize = 4096;

/// What libFuzzer calls.
///
/// # Panics
/// If something is wrong.
pub fn target(bytes: &[u8]) {
    let mode = Mode::of_process();
    run(mode, Input::new(bytes)).judge("interleave", mode);
}

/// A race of the grammar.
pub fn race(mode: &Mode, choices: &mut Input<'_>) -> Race {
    let setting = Setting::draw(choices, mode.policy, mode.driver);
    let world = World::draw_some(choices, setting);
    let config: Config<'static> = setting.config();
    let actors = 2 + choices.below(ACTORS - 1);
    // There is one address space to fork into, and two forks at once would be into one: no two of the kernel's are.
    let mut forks = world.forks();
    let program = |actor: usize| {
        let mut steps: Vec<Step> = Vec::new();
        for number in 0..1 + choices.below(2) {
            let value = 1000 + 10 * actor as u32 + number as u32;
            let never = forks || actor == usize::from(CHILD_ACTOR);
            let drawn = grammar::program(choices, never, value).steps;
            forks |= drawn.iter().any(|step| matches!(step, Step::Fork(_)));
            steps.extend(drawn);
        }
        Program {
            actor: actor as u8,
            steps: Cow::Owned(steps),
        }
    };
    let programs: Vec<_> = (0..actors).map(program).collect();
    Race {
        name: Cow::Borrowed("interleave"),
        config,
        populate: Cow::Owned(populate(&world)),
        given: Cow::Owned(world.given.to_vec()),
        programs: Cow::Owned(programs),
        ..Race::BASE
    }
}

/// What can be put at the pages: a race's machine has to be as the race says.
fn populate(world: &World) -> Vec<(migrate_pin_sim::MmId, u16, migrate_pin_sim::Populate)> {
    let Ok(machine) = Machine::<Spin>::new(&world.setting.config()) else {
        return Vec::new();
    };
    let all = world.populate.iter().copied();
    all.filter(|(mm, page, what)| machine.populate(*mm, (*page).into(), *what))
        .collect()
}

/// A schedule out of bytes: each says who runs, and for how many decisions.
fn schedule(bytes: &[u8]) -> Vec<u8> {
    let mut actors = Vec::new();
    for byte in bytes {
        let (actor, times) = (byte % ACTORS as u8, 1 << (byte / ACTORS as u8 % 8));
        actors.extend(std::iter::repeat_n(actor, times));
        if actors.len() > MAX_DECISIONS {
            break;
        }
    }
    actors
}

/// Run an input.
#[must_use]
pub fn run(mode: &Mode, mut choices: Input<'_>) -> Verdict {
    let race = Arc::new(race(mode, &mut choices));
    let schedule = schedule(choices.rest());
    let settings = Settings {
        kind: Kind::Random,
        bugs: mode.bug.map_or(&[], one),
        ..Settings::exhaustive(0)
    };
    let exploration = run_by(&race, mode.policy, &settings, &schedule);
    let mut verdict = Verdict {
        events: exploration.events,
        ..Verdict::default()
    };
    if let Some(found) = exploration.found {
        verdict.violations = found.violations;
        verdict
            .story
            .push(format!("{:?} {:?}", race.config.shape, race.populate));
        verdict.story.push(format!("given {:?}", race.given));
        verdict
            .story
            .extend(race.programs.iter().map(|program| format!("{program:?}")));
        verdict
            .story
            .push(migrate_pin_sim::engine::schedule::encode(&found.schedule));
    }
    verdict
}

/// A list of this one.
fn one(bug: Bug) -> &'static [Bug] {
    let all = Bug::ALL.iter();
    all.as_slice()
        .chunks(1)
        .find(|list| list[0] == bug)
        .unwrap_or(&[])
}
