//! The table of defects: the README has it, and each scenario that it names shows what it says.

use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::{explore, Kind, Settings};
use migrate_pin_sim::race::defect::{explain, explain_run, Defect, Origin};
use migrate_pin_sim::race::verdict::Verdict;
use migrate_pin_sim::race::{self, Posted, Race};
use migrate_pin_sim::scenario::catalogue;
use migrate_pin_sim::scenario::run::{run, Variation};
use migrate_pin_sim::scenario::Expect;
use migrate_pin_sim::Event;
use std::borrow::Cow;
use std::sync::Arc;

const README: &str = include_str!("../../README.md");

const POLICY: PolicyKind = PolicyKind::AsPosted;

#[test]
fn the_readme_has_every_defect_line_by_line() {
    let mut expected = Vec::new();
    for origin in Origin::ALL {
        expected.push(format!("| | **{}** | | | | |", origin.title()));
        let of = Defect::ALL
            .iter()
            .filter(|defect| defect.facts().origin == origin);
        expected.extend(of.map(|defect| defect.row()));
    }
    let begin = README.find("## What the patch breaks").unwrap();
    let table = README[begin..].lines().filter(|line| line.starts_with('|'));
    let table: Vec<_> = table.skip(2).take(expected.len()).collect();
    assert_eq!(table, expected, "\n{}", expected.join("\n"));
}

/// The smallest bound at which `race` shows `defect`; at most `most`.
fn smallest(race: &Race, defect: Defect, most: u32) -> Option<u32> {
    let came = explore(&Arc::new(race.clone()), POLICY, &Settings::exhaustive(most));
    let shows = came
        .broke()
        .filter(|found| explain(race, found).is_ok_and(|shown| shown.contains(&defect)));
    shows.filter_map(|found| found.bound).min()
}

#[test]
fn every_scenario_that_is_named_shows_its_defect_at_its_bound() {
    let (races, scenarios) = (race::all(), catalogue::all());
    for defect in Defect::ALL {
        let facts = defect.facts();
        assert!(!facts.scenarios.is_empty(), "{}", defect.name());
        for (name, bound) in facts.scenarios {
            let means = |other: &str| match name.strip_suffix('*') {
                Some(prefix) => other.starts_with(prefix),
                None => other == *name,
            };
            if let Some(race) = races.iter().find(|race| means(&race.name)) {
                let found = smallest(race, *defect, *bound);
                assert_eq!(found, Some(*bound), "{name}: {}", defect.name());
                continue;
            }
            // One actor's step at a time: no preemption.
            assert_eq!(*bound, 0, "{name}");
            let named: Vec<_> = scenarios.iter().filter(|one| means(one.name)).collect();
            assert!(!named.is_empty(), "no scenario is named {name}");
            // A family of them need not all break.
            let broken = named.iter().filter_map(|one| {
                let run = run(one, Variation::plain(POLICY));
                (!run.broken.is_empty()).then(|| explain_run(one, &run).unwrap())
            });
            let broken: Vec<_> = broken.collect();
            assert!(!broken.is_empty(), "{name} breaks nothing");
            for shown in broken {
                assert_eq!(shown, [*defect], "{name}");
            }
        }
    }
}

/// And the other way round: what breaks in sequence is put down to a defect, whose line of the table names the scenario.
#[test]
fn every_sequential_scenario_that_breaks_is_named_by_its_defect() {
    let mut broken = 0;
    for scenario in catalogue::all() {
        let run = run(scenario, Variation::plain(POLICY));
        if run.broken.is_empty() || matches!(scenario.as_posted, Expect::Skip) {
            continue;
        }
        broken += 1;
        let shown = explain_run(scenario, &run);
        let shown = shown.unwrap_or_else(|unknown| panic!("{}: {unknown}", scenario.name));
        assert!(!shown.is_empty(), "{}", scenario.name);
        for defect in shown {
            let mut named = defect.facts().scenarios.iter();
            let means = |name: &str| match name.strip_suffix('*') {
                Some(prefix) => scenario.name.starts_with(prefix),
                None => scenario.name == name,
            };
            let known = named.any(|(name, _)| means(name));
            assert!(known, "{} does not name {}", defect.name(), scenario.name);
        }
    }
    assert!(broken > 30, "{broken}");
}

/// What is explored by samples is not left at the first of them that breaks.
#[test]
fn samples_go_on_behind_what_breaks_and_come_to_their_events() {
    let large = race::catalogue::all();
    let large = large
        .into_iter()
        .filter(|race| race.name.starts_with("large"));
    let mut explored = 0;
    for race in large.map(Arc::new) {
        for kind in [Kind::Random, Kind::Pct] {
            let settings = Settings {
                kind,
                bound: 2,
                ..Settings::of(&race, 1)
            };
            let came = explore(&race, POLICY, &settings);
            let what = format!("{} {}", race.name, kind.name());
            assert_eq!(came.executions, settings.executions, "{what}");
            assert!(!came.cut && came.ways.len() > 1, "{what}");
            let verdict = race.judge(POLICY, &settings, &came);
            assert!(matches!(verdict, Verdict::Shows(_)), "{what}: {verdict}");
            explored += 1;
        }
    }
    assert_eq!(explored, 4);
}

/// Beside what it breaks, a race that `AsPosted` alone runs comes to what it names, or that is a failure.
#[test]
fn what_as_posted_must_reach_is_judged_beside_what_it_breaks() {
    let only_posted = race::catalogue::all();
    let only_posted = only_posted.into_iter().filter(|race| !race.hardened);
    let mut judged = 0;
    for race in only_posted {
        let judge = |race: Race| {
            let race = Arc::new(race);
            let settings = Settings::of(&race, 0);
            race.judge(POLICY, &settings, &explore(&race, POLICY, &settings))
        };
        let verdict = judge(race.clone());
        assert!(
            matches!(verdict, Verdict::Shows(_)),
            "{}: {verdict}",
            race.name
        );
        let elsewhere = Event::HugePageSplit;
        let verdict = judge(Race {
            events: [&race.events[..], &[elsewhere]].concat().into(),
            ..race
        });
        assert_eq!(verdict, Verdict::NotReached(vec![elsewhere]));
        judged += 1;
    }
    assert_eq!(judged, 3);
}

/// Whatever fits no description is a failure: here what a broken machine does, with a policy under which much may break.
#[test]
fn a_defect_that_nobody_has_described_is_a_failure() {
    let seeded = race::catalogue::all();
    let seeded = seeded
        .into_iter()
        .find(|race| race.name == "put-not-atomic");
    let race = Arc::new(Race {
        name: Cow::Borrowed("unknown"),
        posted: Some(Posted::Open),
        ..seeded.unwrap()
    });
    let settings = Settings::of(&race, 0);
    let came = explore(&race, POLICY, &settings);
    let verdict = race.judge(POLICY, &settings, &came);
    assert!(matches!(verdict, Verdict::Unknown(..)), "{verdict}");
    assert!(verdict.failed());
    assert!(
        verdict
            .to_string()
            .starts_with("FAILED: unknown defect: REF: "),
        "{verdict}"
    );
}
