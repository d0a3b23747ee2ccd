//! For each invariant a bug that only a preemption shows, and a race that finds it.

mod in_turn;

use in_turn::in_turn;
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::{explore, Exploration, Found, Settings};
use migrate_pin_sim::race::verdict::Verdict;
use migrate_pin_sim::race::{self, Effort, Race};
use migrate_pin_sim::scenario::explore::orders;
use migrate_pin_sim::scenario::run::{run, Variation};
use migrate_pin_sim::{Bug, Invariant};
use std::collections::BTreeSet;
use std::sync::Arc;

const POLICY: PolicyKind = PolicyKind::Hardened;

/// What is said of each bug when it is found, first of all: an invariant that breaks as the consequence of something else
/// proves nothing.
const SAYS: &[(Bug, &str)] = &[
    (
        Bug::PutNotAtomic,
        "the reference count is not what its holders hold",
    ),
    (
        Bug::RmapNotAtomic,
        "the map count is not the number of entries",
    ),
    (
        Bug::AnonVmaWithoutRecheck,
        "an entry is not found from its page",
    ),
    (
        Bug::FlushBeforeClear,
        "a page is copied that a TLB can still write",
    ),
    (
        Bug::GupWithoutRecheck,
        "GUP has a page that was freed since it looked",
    ),
    (
        Bug::IsolateNotAtomic,
        "a page is taken off a list that it is not on",
    ),
    (
        Bug::TrylockNotAtomic,
        "a lock is released that nobody holds",
    ),
    (
        Bug::UnpinNotAtomic,
        "the bias of a page is not that of its pins",
    ),
    (Bug::PoolLockDropped, "a device page stands for two pages"),
    (
        Bug::RmapBeforeClear,
        "a device has atomic access to a page that CPUs have mapped",
    ),
    (
        Bug::ForkFlushesLate,
        "a page is written that several address spaces read as private",
    ),
    (
        Bug::SeqAfterRevoke,
        "a device mapping survives the invalidation of its range",
    ),
    (
        Bug::DirtyBeforeClear,
        "a lazily freed page is dropped that was written since",
    ),
    (
        Bug::RmapChildFirst,
        "a page is unlocked that migration entries name",
    ),
    (
        Bug::CountShared,
        "cpages is not the number of entries with MIGRATE",
    ),
    (
        Bug::WordShared,
        "a source word has bits that its stage does not allow",
    ),
    (
        Bug::ChargeNotAtomic,
        "a memory cgroup is charged for another number of pages than it has",
    ),
    (Bug::WaitUnderPtl, "a spin lock is never released"),
];

/// The races of the catalogue that have a bug.
fn seeded() -> Vec<Race> {
    let races = race::catalogue::all();
    races
        .into_iter()
        .filter(|race| !race.bugs.is_empty())
        .collect()
}

/// Complain of all that failed, not of the first only.
fn each(complaint: impl Fn(&Race, Bug) -> Option<String>) {
    let complaints: Vec<_> = seeded()
        .iter()
        .filter_map(|race| Some(format!("{}: {}", race.name, complaint(race, race.bugs[0])?)))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn bound(race: &Race) -> u32 {
    match race.effort {
        Effort::Bound(bound) => bound,
        Effort::Samples(_) => panic!("{} is not enumerated", race.name),
    }
}

fn explored(race: &Race, bound: u32) -> Exploration {
    explore(
        &Arc::new(race.clone()),
        POLICY,
        &Settings::exhaustive(bound),
    )
}

/// The same race on a sound machine.
fn sound(race: &Race) -> Race {
    Race {
        bugs: &[],
        breaks: None,
        ..race.clone()
    }
}

#[test]
fn the_bug_is_found_at_the_bound() {
    each(|race, bug| {
        let came = explored(race, bound(race));
        let judged = race.judge(POLICY, &Settings::of(race, 0), &came);
        if judged != Verdict::Breaks(bug.breaks()) {
            return Some(format!("{judged}: {:?}", came.found));
        }
        let found = came.found.as_ref()?;
        println!(
            "{:8} {:28} bound {:?}, execution {} of at most {} operations: {}",
            bug.breaks().name(),
            race.name,
            found.bound,
            found.execution,
            came.operations,
            found.violations[0]
        );
        let says = SAYS.iter().find(|(of, _)| *of == bug)?.1;
        let first = &found.violations[0];
        if (first.invariant, first.what) != (bug.breaks(), says) {
            return Some(format!("says first {first}"));
        }
        // A larger bound than it needs would say nothing of what it takes.
        (found.bound != Some(bound(race))).then(|| format!("found at {:?}", found.bound))
    });
}

/// Where the final states are asked for, each end is looked at; else one that stands as another did is not. (Only what
/// breaks first is compared: who tells of a final state reads all pages, on a broken machine too.)
#[test]
fn what_is_kept_of_ends_changes_nothing_that_is_found() {
    each(|race, _| {
        let kept = explored(race, bound(race)).found;
        let settings = Settings {
            states: true,
            ..Settings::exhaustive(bound(race))
        };
        let looked = explore(&Arc::new(race.clone()), POLICY, &settings).found;
        let told = |found: Option<Found>| {
            // In words: who tells of a final state has drained the LRU before, of which this says nothing.
            found.map(|found| {
                let first = found.violations[0].to_string();
                (found.schedule, first, found.execution)
            })
        };
        let (kept, looked) = (told(kept), told(looked));
        (kept != looked).then(|| format!("{kept:?}, but {looked:?}"))
    });
}

#[test]
fn without_a_preemption_nothing_breaks() {
    each(|race, _| {
        let came = explored(race, 0);
        if !came.complete {
            return Some("not complete".to_owned());
        }
        came.found.map(|found| found.violations[0].to_string())
    });
}

/// Whoever is between two steps is not in the middle of anything.
#[test]
fn in_no_order_of_whole_steps_anything_breaks() {
    each(|race, _| {
        let scenario = in_turn(race);
        let orders = orders(scenario.steps);
        assert!(orders.len() > 1);
        orders.iter().find_map(|order| {
            let variation = Variation {
                bugs: race.bugs,
                order: Some(order),
                ..Variation::plain(POLICY)
            };
            let violations = run(&scenario, variation).violations;
            violations
                .first()
                .map(|found| format!("{order:?}: {found}"))
        })
    });
}

#[test]
fn without_the_bug_nothing_breaks() {
    each(|race, _| {
        let race = sound(race);
        let came = explored(&race, bound(&race));
        println!(
            "{:28} {} executions, complete: {}",
            race.name, came.executions, came.complete
        );
        let judged = race.judge(POLICY, &Settings::of(&race, 0), &came);
        (judged != Verdict::Ok || !came.complete).then(|| format!("{judged}: {:?}", came.found))
    });
}

#[test]
fn every_invariant_has_its_race() {
    let races = seeded();
    for invariant in Invariant::ALL {
        let of = races.iter().filter(|race| race.breaks == Some(*invariant));
        assert_eq!(of.count(), 2, "{invariant}: one on each shape");
    }
    // And every bug that needs a race has one, with its name.
    for bug in Bug::ALL.iter().filter(|bug| bug.needs_race()) {
        let of: Vec<_> = races.iter().filter(|race| race.bugs == [*bug]).collect();
        let names: Vec<_> = of.iter().map(|race| &*race.name).collect();
        assert_eq!(names, [bug.name(), &format!("{}-on-6-12", bug.name())]);
        for race in of {
            let modern = race.config.shape == ShapeKind::V6_12;
            assert_eq!(modern, race.name.ends_with("-on-6-12"), "{}", race.name);
            assert_eq!(race.breaks, Some(bug.breaks()), "{}", race.name);
            assert!(bound(race) <= 2, "{}", race.name);
        }
    }
    assert_eq!(races.len(), 2 * SAYS.len());
}

#[test]
fn every_race_has_a_name_of_its_own() {
    let all = race::all();
    let names: BTreeSet<_> = all.iter().map(|race| race.name.clone()).collect();
    assert_eq!(names.len(), all.len());
    assert!(seeded().iter().all(|race| names.contains(&race.name)));
}
