//! What the races that somebody thought of have to cover, and what they name.

use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::{explore, Settings};
use migrate_pin_sim::race::{self, Effort, Posted, Race};
use migrate_pin_sim::EventSet;
use std::sync::Arc;

/// Those of two and three actors on a sound machine.
fn written() -> Vec<Race> {
    let all = race::catalogue::all().into_iter();
    all.filter(|race| race.bugs.is_empty() && race.programs.len() <= 3)
        .collect()
}

/// Each of these against each stage, and on both shapes.
const OPPONENTS: [&str; 10] = [
    "read",
    "write",
    "fork",
    "munmap",
    "mprotect",
    "dontneed",
    "exit",
    "reclaim",
    "compact",
    "migration",
];

/// The race of a stage and an opponent.
fn name(stage: &str, opponent: &str) -> String {
    match (stage, opponent) {
        ("acquire", "migration") => "acquire-to-device".to_owned(),
        ("acquire", "read" | "write") => format!("acquire-{opponent}"),
        ("fault", "write") => "fault-fault".to_owned(),
        ("release", "read") => "fault-release".to_owned(),
        ("fault", "reclaim" | "compact") => format!("{opponent}-acquired"),
        (_, "migration") => format!("to-device-{stage}"),
        _ => format!("{opponent}-{stage}"),
    }
}

/// What there has to be besides.
const OTHERS: &[&str] = &[
    "acquire-write",
    "acquire-read",
    "acquire-atomics",
    "pages-write",
    "device-add-read",
    "device-add-write",
    "device-add-add",
    "grant-read",
    "grant-write",
    "unpin-referenced",
    "faults-refuse-each-other",
    "fault-fault",
    "fault-release",
    "two-drivers-opposite-order",
    "two-drivers-overlapping",
    "gup-before",
    "gup-while",
    "gup-after",
    "dma-before",
    "dma-while",
    "dma-after",
    "dma-slow-while",
    "batch-acquire",
    "notifier-retry",
    "last-device-page",
    "failing-device-page",
];

#[test]
fn every_stage_meets_every_opponent_on_both_shapes() {
    let races = written();
    let stages = ["acquire", "pages", "finalize", "fault", "release"];
    let both = stages
        .iter()
        .flat_map(|stage| OPPONENTS.map(|opponent| name(stage, opponent)));
    for name in both.chain(OTHERS.iter().map(|name| (*name).to_owned())) {
        for (name, shape) in [
            (name.clone(), ShapeKind::V5_11),
            (format!("{name}-on-6-12"), ShapeKind::V6_12),
        ] {
            let race = races.iter().find(|race| race.name == name);
            let race = race.unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(race.config.shape, shape, "{name}");
            assert!(!race.events.is_empty(), "{name} names no event");
        }
    }
}

#[test]
fn every_race_says_what_comes_of_it_as_posted() {
    for race in written() {
        assert!(
            !matches!(race.posted, Some(Posted::Open) | None),
            "{} does not say what AsPosted shows",
            race.name
        );
        assert!(!race.events.is_empty(), "{} names no event", race.name);
    }
}

/// What is said to take an interleaving is not there without a preemption, and all that a race names is there at some bound
/// of its own or below.
#[test]
fn what_takes_an_interleaving_is_not_there_without() {
    let (mut failed, mut interleaved) = (Vec::new(), 0);
    for race in written().into_iter().map(Arc::new) {
        let Effort::Bound(own) = race.effort else {
            continue;
        };
        let policy = match race.hardened {
            true => PolicyKind::Hardened,
            false => PolicyKind::AsPosted,
        };
        let reached = |bound| explore(&race, policy, &Settings::exhaustive(bound)).events;
        let late = EventSet::of(&race.interleaved);
        let all = late.union(EventSet::of(&race.events));
        interleaved += usize::from(!late.is_empty());
        let early = late.both(reached(0));
        if !early.is_empty() {
            failed.push(format!(
                "{}: {:?} at bound 0",
                race.name,
                early.iter().collect::<Vec<_>>()
            ));
        }
        // With three actors what is reached at its own bound is judged with the rest of it.
        if race.programs.len() > 2 {
            continue;
        }
        let smallest = (0..=own).find(|bound| all.without(reached(*bound)).is_empty());
        println!("{:40} all events at bound {smallest:?} of {own}", race.name);
        if smallest.is_none() {
            failed.push(format!("{}: never all", race.name));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(
        interleaved > 90,
        "only {interleaved} races take an interleaving"
    );
}
