//! Every scenario of the catalogue: as written under both policies, in every order, and with every fallible
//! call made to fail in turn.

use migrate_pin_core::PolicyKind;
use migrate_pin_sim::scenario::catalogue;
use migrate_pin_sim::scenario::explore::{check, inject, reorder, Report};
use migrate_pin_sim::scenario::Scenario;

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
    let runs = all(&[PolicyKind::Hardened], inject);
    println!("{runs} runs with a failure");
    assert!(runs > 0);
}
