//! Every scenario of the catalogue: as written under both policies, in every order, with every fallible call made to fail
//! in turn, and with every two.

use migrate_pin_core::PolicyKind;
use migrate_pin_sim::scenario::catalogue;
use migrate_pin_sim::scenario::explore::{check, inject, inject_pairs, reorder, Report};
use migrate_pin_sim::scenario::Scenario;
use migrate_pin_sim::Bug;

/// Run `examine` on every scenario and complain of all that failed, not of the first only.
fn all(policies: &[PolicyKind], examine: impl Fn(&Scenario, PolicyKind) -> Report) -> usize {
    let mut runs = 0;
    let mut complaints = Vec::new();
    for scenario in catalogue::all() {
        for policy in policies {
            let report = examine(scenario, *policy);
            runs += report.runs;
            for failure in report.failures {
                complaints.push(format!(
                    "{} under {policy:?}, {}:\n{}",
                    scenario.name, failure.variation, failure.message
                ));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    runs
}

#[test]
fn as_written() {
    let scenarios = catalogue::all().len();
    let runs = all(&[PolicyKind::Hardened, PolicyKind::AsPosted], check);
    println!("{scenarios} scenarios, {runs} runs");
    assert!(scenarios >= 40, "the catalogue has shrunk to {scenarios}");
}

#[test]
fn in_every_order() {
    let runs = all(&[PolicyKind::Hardened], reorder);
    println!("{runs} orders");
    assert!(runs > 0);
}

/// Under `Hardened` only: as posted, a pin that fails is never given back.
#[test]
fn with_every_fallible_call_failing() {
    let injected = |scenario: &Scenario, policy| inject(scenario, policy, &[]);
    let runs = all(&[PolicyKind::Hardened], injected);
    println!("{runs} runs with a failure");
    assert!(runs > 0);
}

/// The second also among the calls that are made because the first has failed.
#[test]
fn with_every_two_fallible_calls_failing() {
    let injected = |scenario: &Scenario, policy| inject_pairs(scenario, policy, &[]);
    let runs = all(&[PolicyKind::Hardened], injected);
    println!("{runs} runs with two failures");
    assert!(runs > 0);
}

/// A bug in an error path within an error path: no scenario shows it with one failure, whichever.
#[test]
fn only_two_failures_show_a_bug_that_needs_two() {
    for bug in Bug::ALL.iter().filter(|bug| bug.needs_two_failures()) {
        let bugs = [*bug];
        let mut found = Vec::new();
        for scenario in catalogue::all() {
            let single = inject(scenario, PolicyKind::Hardened, &bugs);
            assert!(single.failures.is_empty(), "{}", scenario.name);
            let pairs = inject_pairs(scenario, PolicyKind::Hardened, &bugs);
            for failure in pairs.failures {
                // And what a process leaves that can't exit any more.
                let broken = failure.run.broken;
                assert!(broken.contains(&bug.breaks()), "{}", failure.variation);
                found.push(format!("{}, {}", scenario.name, failure.variation));
            }
        }
        println!("{} breaks {} in {found:#?}", bug.name(), bug.breaks());
        assert!(!found.is_empty(), "{}", bug.name());
    }
}
