//! The table of defects: the README has it, and each scenario that it names shows what it says.

use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::{explore, Settings};
use migrate_pin_sim::race::defect::{explain, Defect, Origin};
use migrate_pin_sim::race::verdict::Verdict;
use migrate_pin_sim::race::{self, Posted, Race};
use migrate_pin_sim::scenario::catalogue;
use migrate_pin_sim::scenario::run::{run, Variation};
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
            // One actor's step at a time: no preemption, and whatever is expected of it must break.
            assert_eq!(*bound, 0, "{name}");
            let mut named = scenarios.iter().filter(|one| means(one.name)).peekable();
            assert!(named.peek().is_some(), "no scenario is named {name}");
            let broken = named.filter(|one| !run(one, Variation::plain(POLICY)).broken.is_empty());
            assert!(broken.count() > 0, "{name} breaks nothing");
        }
    }
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
