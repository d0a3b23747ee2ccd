//! The schedule as input: actors stepped one primitive at a time, in the order that the bytes say.
//!
//! The input is a [`World`], then one or two programs for each of four actors in two address spaces of eight pages, which is more
//! than the explorer can exhaust; what is left of the bytes is the [schedule](migrate_pin_sim::engine::fed). It runs on the
//! explorer's coroutines and board, so that what is found has a schedule that [`replay`] repeats with every operation named.

use crate::choices::Input;
use crate::{Mode, Verdict};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::fed::{standing, Came, Fed};
use migrate_pin_sim::engine::replay::replay;
use migrate_pin_sim::engine::{schedule, Settings};
use migrate_pin_sim::grammar::{self, Choices, Setting, World, ACTORS, CHILD_ACTOR};
use migrate_pin_sim::race::{Program, Race};
use migrate_pin_sim::scenario::{By, Step};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;

/// Most programs of one actor.
const MAX_PROGRAMS: usize = 2;

/// What libFuzzer calls.
///
/// # Panics
/// If something is wrong.
pub fn target(bytes: &[u8]) {
    thread_local! {
        static FED: RefCell<Fed> = RefCell::default();
    }
    let mode = Mode::of_process();
    let verdict = FED.with_borrow(|fed| run(fed, mode, bytes));
    verdict.judge("interleave", mode);
}

/// The race of an input.
fn race(setting: Setting, input: &mut Input<'_>, mode: &'static Mode) -> Race {
    let world = World::draw(input, setting);
    let mut value = 1000;
    let programs = (0..ACTORS as u8).filter_map(|actor| {
        let mut steps = Vec::<Step>::new();
        for _ in 0..input.below(1 + MAX_PROGRAMS) {
            value += 1;
            let drawn = grammar::program(input, world.focus, actor == CHILD_ACTOR, value);
            steps.extend(drawn.steps);
        }
        (!steps.is_empty()).then_some(Program {
            actor,
            steps: Cow::Owned(steps),
        })
    });
    let programs = programs.collect();
    Race {
        name: Cow::Borrowed("fuzzed"),
        config: setting.config(),
        populate: Cow::Owned(world.populate.to_vec()),
        given: Cow::Owned(world.given.to_vec()),
        programs,
        bugs: mode.bug.as_slice(),
        ..Race::BASE
    }
}

/// Run an input.
#[must_use]
pub fn run(fed: &Fed, mode: &'static Mode, bytes: &[u8]) -> Verdict {
    let mut input = Input::new(bytes);
    let setting = Setting::draw(&mut input, mode.policy, mode.driver);
    let race = Arc::new(race(setting, &mut input, mode));
    if race.programs.is_empty() {
        return Verdict::default();
    }
    let settings = Settings::exhaustive(0);
    let came = fed.run(setting.index(), &race, mode.policy, &settings, input.rest());
    let verdict = Verdict {
        events: came.events,
        violations: came.violations.clone(),
        ..Verdict::default()
    };
    // As posted most executions break something that nobody asked for, and to tell of it is to run it once more.
    let story = match verdict.counts(mode) {
        true => story(&race, mode.policy, &settings, &came),
        false => Vec::new(),
    };
    Verdict { story, ..verdict }
}

/// What was there, who does what, and the interleaving.
fn story(race: &Race, policy: PolicyKind, settings: &Settings, came: &Came) -> Vec<String> {
    let race = Arc::new(standing(race, policy));
    let shape = match race.config.shape {
        ShapeKind::V5_11 => "5.11",
        ShapeKind::V6_12 => "6.12",
    };
    let mut story = vec![format!("on {shape}, areas {:?}", race.config.mms[0].vmas)];
    let there = race.populate.iter();
    story.extend(there.map(|(mm, page, what)| format!("mm {} at {page}: {what:?}", mm.0)));
    let given = race.given.iter();
    story.extend(given.map(|By(actor, step)| format!("given: {actor} {step:?}")));
    for program in race.programs.iter() {
        story.push(format!("{}: {:?}", program.actor, program.steps));
    }
    story.push(format!("schedule: {}", schedule::encode(&came.schedule)));
    let Some(replay) = replay(&race, policy, settings, &came.schedule) else {
        return story;
    };
    story.extend(replay.lines.iter().map(|line| {
        let mut text = format!("{} step {} {}", line.actor, line.step, line.primitive);
        let _ = write!(text, "  {}: {}", line.object, line.change);
        text
    }));
    story
}
