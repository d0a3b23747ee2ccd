//! What is done with a scenario: run it as it is written, in every order, with every fallible call made to fail in turn,
//! and with every two.

use crate::bug::Bug;
use crate::scenario::run::{run, Run, Variation};
use crate::scenario::{By, Expect, Scenario};
use crate::violation::Invariant;
use migrate_pin_core::PolicyKind;

/// More orders than this are too many: a scenario that has more has to be split.
pub const MAX_ORDERS: usize = 20_000;

/// What is wrong with a run.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which variation: in words.
    pub variation: String,
    /// What was expected and what came, in words, several lines.
    pub message: String,
    /// The run.
    pub run: Run,
}

/// What came of a scenario under one policy.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many runs.
    pub runs: usize,
    /// What went against the scenario's expectation.
    pub failures: Vec<Failure>,
    /// What broke as expected: the invariants, and the run as written.
    pub broken: Option<(Vec<Invariant>, Run)>,
}

/// What a scenario expects under a policy.
#[must_use]
pub fn expectation(scenario: &Scenario, policy: PolicyKind) -> Expect {
    match (policy, scenario.as_posted) {
        (PolicyKind::Hardened, _) | (PolicyKind::AsPosted, Expect::Same) => scenario.hardened,
        (PolicyKind::AsPosted, expect) => expect,
    }
}

/// Run `scenario` as it is written under `policy`.
#[must_use]
pub fn check(scenario: &Scenario, policy: PolicyKind) -> Report {
    let mut report = Report::default();
    let expect = expectation(scenario, policy);
    if matches!(expect, Expect::Skip) {
        return report;
    }
    let run = run(scenario, Variation::plain(policy));
    report.runs = 1;
    let mut complaints = Vec::new();
    match expect {
        Expect::Lines(lines) => {
            complain_of_violations(&run, &mut complaints);
            complain_of_lines(lines, &run.lines, &mut complaints);
        }
        Expect::Breaks(expected) => {
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            if run.broken != expected {
                complaints.push(format!(
                    "expected {} to break, and {} did",
                    list(&expected),
                    list(&run.broken)
                ));
                complain_of_violations(&run, &mut complaints);
            }
        }
        Expect::Same | Expect::Skip => {}
    }
    let first = policy == PolicyKind::Hardened || matches!(scenario.hardened, Expect::Skip);
    if first {
        for event in scenario.events {
            if !run.events.contains(*event) {
                complaints.push(format!("{} was not reached", event.name()));
            }
        }
    }
    if complaints.is_empty() {
        if let Expect::Breaks(_) = expect {
            report.broken = Some((run.broken.clone(), run));
        }
    } else {
        report.failures.push(Failure {
            variation: "as written".to_owned(),
            message: complaints.join("\n"),
            run,
        });
    }
    report
}

/// Run `scenario` in every order of its actors' steps that keeps each actor's own, and check the
/// invariants. Only where nothing is expected to break.
#[must_use]
pub fn reorder(scenario: &Scenario, policy: PolicyKind) -> Report {
    let mut report = Report::default();
    if !scenario.reorder || !matches!(expectation(scenario, policy), Expect::Lines(_)) {
        return report;
    }
    let orders = orders(scenario.steps);
    assert!(
        orders.len() <= MAX_ORDERS,
        "{} has {} orders, more than {MAX_ORDERS}: split it",
        scenario.name,
        orders.len()
    );
    for order in orders {
        let variation = Variation {
            order: Some(&order),
            ..Variation::plain(policy)
        };
        note(&mut report, run(scenario, variation), || {
            format!("in the order {order:?}")
        });
    }
    report
}

/// Run `scenario` again and again, each time with the next fallible call of core's and the driver's made to fail, until
/// there is none left. Each failure must have fired, and nothing may break or leak. `bugs` are broken in the machine.
#[must_use]
pub fn inject(scenario: &Scenario, policy: PolicyKind, bugs: &[Bug]) -> Report {
    let mut report = Report::default();
    if matches!(expectation(scenario, policy), Expect::Lines(_)) {
        inject_behind(scenario, policy, bugs, 0, &mut report);
    }
    report
}

/// As [`inject`], with every two fallible calls made to fail. The second is any call that is made after the first has
/// failed, not only one that is also made if it has not: an error path within an error path.
#[must_use]
pub fn inject_pairs(scenario: &Scenario, policy: PolicyKind, bugs: &[Bug]) -> Report {
    let mut report = Report::default();
    if !matches!(expectation(scenario, policy), Expect::Lines(_)) {
        return report;
    }
    for first in 1.. {
        if inject_behind(scenario, policy, bugs, first, &mut report) < first {
            // Past the last call: there was no first.
            break;
        }
    }
    report
}

/// Let each call behind the `first`th (0 for none) fail in turn, and that one as well: the number of calls in the run in
/// which it alone fails.
fn inject_behind(
    scenario: &Scenario,
    policy: PolicyKind,
    bugs: &[Bug],
    first: u32,
    report: &mut Report,
) -> u32 {
    let mut nth = first;
    loop {
        nth += 1;
        let variation = Variation {
            fail: [first, nth],
            bugs,
            ..Variation::plain(policy)
        };
        let run = run(scenario, variation);
        if run.fallible < nth {
            // Past the last call: nothing was left to fail.
            return run.fallible;
        }
        let (fired, expected) = (run.failed, if first == 0 { 1 } else { 2 });
        let says = || match first {
            0 => format!("with fallible call {nth} failing"),
            _ => format!("with fallible calls {first} and {nth} failing"),
        };
        if fired != expected {
            report.failures.push(Failure {
                variation: says(),
                message: format!("expected {expected} failures to fire, and {fired} did"),
                run: run.clone(),
            });
        }
        note(report, run, says);
    }
}

fn note(report: &mut Report, run: Run, variation: impl Fn() -> String) {
    report.runs += 1;
    let mut complaints = Vec::new();
    complain_of_violations(&run, &mut complaints);
    if !complaints.is_empty() {
        report.failures.push(Failure {
            variation: variation(),
            message: complaints.join("\n"),
            run,
        });
    }
}

fn complain_of_violations(run: &Run, complaints: &mut Vec<String>) {
    complaints.extend(run.violations.iter().map(ToString::to_string));
}

fn complain_of_lines(expected: &[&str], found: &[String], complaints: &mut Vec<String>) {
    let same = expected.len() == found.len() && expected.iter().zip(found).all(|(e, f)| e == f);
    if same {
        return;
    }
    complaints.push("expected:".to_owned());
    complaints.extend(expected.iter().map(|line| format!("    {line}")));
    complaints.push("found:".to_owned());
    complaints.extend(found.iter().map(|line| format!("    {line}")));
}

/// Names of invariants, for a message.
#[must_use]
pub fn list(invariants: &[Invariant]) -> String {
    if invariants.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<_> = invariants
        .iter()
        .map(|invariant| invariant.name())
        .collect();
    names.join(", ")
}

/// Every order of the actors, each doing its own steps in turn.
#[must_use]
pub fn orders(steps: &[By]) -> Vec<Vec<u8>> {
    let mut left: Vec<(u8, usize)> = Vec::new();
    for By(actor, _) in steps {
        match left.iter_mut().find(|(known, _)| known == actor) {
            Some((_, count)) => *count += 1,
            None => left.push((*actor, 1)),
        }
    }
    let mut found = Vec::new();
    extend(&mut left, &mut Vec::with_capacity(steps.len()), &mut found);
    found
}

fn extend(left: &mut [(u8, usize)], order: &mut Vec<u8>, found: &mut Vec<Vec<u8>>) {
    if found.len() > MAX_ORDERS {
        return;
    }
    if left.iter().all(|(_, count)| *count == 0) {
        found.push(order.clone());
        return;
    }
    for index in 0..left.len() {
        let (actor, count) = left[index];
        if count == 0 {
            continue;
        }
        left[index].1 -= 1;
        order.push(actor);
        extend(left, order, found);
        order.pop();
        left[index].1 += 1;
    }
}
