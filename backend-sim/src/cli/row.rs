//! What came of one job.

use crate::cli::interleaving::programs;
use crate::cli::plan::Job;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::loom::MAX_ACTORS;
use migrate_pin_sim::engine::replay::{self, replay, Line};
use migrate_pin_sim::engine::{explore, Exploration, Found, Kind, Settings};
use migrate_pin_sim::race::defect::{explain, explain_run, Defect};
use migrate_pin_sim::race::verdict::Verdict;
use migrate_pin_sim::race::Race;
use migrate_pin_sim::scenario::explore::{
    check, expectation, inject, list, reorder, Failure, Report,
};
use migrate_pin_sim::scenario::run::{run, Run, Variation};
use migrate_pin_sim::scenario::{Expect, Scenario, Step};
use migrate_pin_sim::{Event, EventSet};
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Instant;

/// How a row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum End {
    /// Nothing broke, and what was expected came.
    Ok,
    /// What was expected to break, or may, broke.
    Broken,
    /// Nothing broke up to a bound below the race's own: what must be reached and what must break was not judged.
    Part,
    /// Something else came than was expected.
    Failed,
    /// Nothing broke, but the engine did not come to its end.
    Incomplete,
    /// Not run under this policy.
    Skipped,
}

/// Something that broke, and how to get there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finding {
    /// Which run it was, if it was not the scenario as written; else empty.
    pub(crate) variation: String,
    /// Of each violation the invariant, and what was found.
    pub(crate) violations: Vec<(String, String)>,
    /// What is to be said beside them, a line each.
    pub(crate) notes: Vec<String>,
    /// What each actor does: of a sequential run in the order in which it was done, else program by program.
    pub(crate) steps: Vec<String>,
    /// The interleaving.
    pub(crate) lines: Vec<Line>,
    /// Who was chosen at each decision; empty if the engine can't say.
    pub(crate) schedule: Vec<u8>,
    /// The bound at which it was found.
    pub(crate) bound: Option<u32>,
    /// What broke first of what is not known to: the invariant, and what is said of it, without pages and numbers. None if
    /// it was not an invariant, or one actor's step at a time.
    pub(crate) first: Option<(&'static str, &'static str)>,
    /// The defects that it shows; empty under `Hardened`, and if it fits none.
    pub(crate) defects: Vec<Defect>,
    /// It may not be.
    pub(crate) unexpected: bool,
}

impl Finding {
    /// What broke first of what is not known to, in the words of the invariant; or what else there is to say.
    pub(crate) fn what(&self) -> (&str, &str) {
        let other = self.violations.first();
        let other = other.map_or(("", ""), |(name, message)| {
            (name.as_str(), message.as_str())
        });
        self.first.unwrap_or(other)
    }
}

/// What came of one job.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Visible operations of the longest execution; none if the engine does not count them.
    pub(crate) operations: Option<usize>,
    pub(crate) executions: u64,
    pub(crate) bound: Option<u32>,
    /// The smallest bound of those that are a row together.
    pub(crate) least: Option<u32>,
    /// Was every schedule of the bound run? None if the engine can't say.
    pub(crate) complete: Option<bool>,
    /// It gave up before its end.
    pub(crate) cut: bool,
    pub(crate) seconds: f64,
    /// What it drew lots with, if it did.
    pub(crate) seed: Option<u64>,
    /// What happened in any execution.
    pub(crate) events: EventSet,
    pub(crate) end: End,
    /// The verdict in words.
    pub(crate) says: String,
    pub(crate) findings: Vec<Finding>,
}

impl Row {
    /// A row that says no more than this.
    pub(crate) fn bare(job: &Job, end: End, says: String) -> Self {
        let exhaustive = |settings: &Settings| settings.kind == Kind::Exhaustive;
        Self {
            operations: None,
            executions: 0,
            bound: job.settings.last().map(|settings| settings.bound),
            least: None,
            complete: job
                .settings
                .first()
                .filter(|one| exhaustive(one))
                .map(|_| false),
            cut: end == End::Incomplete,
            seconds: 0.0,
            seed: None,
            events: EventSet::of(&[]),
            end,
            says,
            findings: Vec::new(),
        }
    }

    /// The engine panicked: a bug of the machine or of core, or what loom says to a deadlock.
    pub(crate) fn panicked(job: &Job, message: &str) -> Self {
        let deadlock = message.contains("deadlock");
        let invariant = if deadlock { "LIVE" } else { "PANIC" };
        let mut row = Self::bare(job, End::Failed, format!("FAILED: {invariant}"));
        row.findings.push(Finding {
            violations: vec![(
                invariant.to_owned(),
                format!("{invariant}: the engine panicked: {message}"),
            )],
            unexpected: true,
            ..Finding::default()
        });
        row
    }

    /// The names of the defects that its findings show, each once.
    pub(crate) fn shows(&self) -> Vec<&'static str> {
        let defects = self.findings.iter().flat_map(|finding| &finding.defects);
        let mut defects: Vec<_> = defects.copied().collect();
        defects.sort_unstable();
        defects.dedup();
        defects.into_iter().map(Defect::name).collect()
    }

    /// The names of what happened.
    pub(crate) fn event_names(&self) -> Vec<&'static str> {
        let all = Event::ALL.iter().copied();
        all.filter(|event| self.events.contains(*event))
            .map(Event::name)
            .collect()
    }
}

/// Explore a race. `keep` says whether the interleaving of what is found is wanted.
pub(crate) fn of_race(job: &Job, race: &Arc<Race>, keep: bool) -> Row {
    if job.settings.iter().any(|one| one.kind == Kind::Loom) && race.programs.len() > MAX_ACTORS {
        let says = format!(
            "not run: {} actors, and loom has room for {MAX_ACTORS}",
            race.programs.len()
        );
        return Row::bare(job, End::Skipped, says);
    }
    let (settings, came) = explored(race, job);
    let verdict = race.judge(job.policy, &settings, &came);
    let stopped = settings.stop.load(Ordering::Relaxed);
    let short = came.found.is_none() && stopped && came.cut;
    let (end, mut says) = match &verdict {
        Verdict::Ok | Verdict::Unseen(_) | Verdict::Untold(_) | Verdict::Incomplete if short => {
            (End::Incomplete, "interrupted".to_owned())
        }
        Verdict::Ok | Verdict::Unseen(_) | Verdict::Untold(_) => (End::Ok, verdict.to_string()),
        Verdict::Part(..) => (End::Part, verdict.to_string()),
        Verdict::Incomplete => (End::Incomplete, verdict.to_string()),
        // There may be more, and nobody has looked.
        Verdict::Shows(_) if came.cut => (End::Broken, format!("{verdict}, incomplete")),
        Verdict::Shows(_) if !came.goes_on() => (End::Broken, format!("{verdict} and ends there")),
        // What broke has kept larger bounds from being begun.
        Verdict::Shows(_) => match came.bound.filter(|_| came.kind == Kind::Exhaustive) {
            Some(bound) if bound < settings.bound => {
                let says = format!("{verdict} up to bound {bound} of {}", settings.bound);
                (End::Broken, says)
            }
            _ => (End::Broken, verdict.to_string()),
        },
        Verdict::Breaks(_) => (End::Broken, verdict.to_string()),
        failed => (End::Failed, failed.to_string()),
    };
    if let (Verdict::Broken, Some(found)) = (&verdict, &came.found) {
        says = format!("FAILED: breaks {}", list(&found.broken));
    }
    let sampled = matches!(came.kind, Kind::Random | Kind::Pct);
    let broke = came.broke();
    // What is wrong then is not what broke.
    let apart = matches!(
        verdict,
        Verdict::NotReached(_) | Verdict::Reached(_) | Verdict::Differs(..)
    );
    let unexpected = end == End::Failed && !apart;
    let mut findings: Vec<_> = broke
        .map(|found| finding(job, race, &settings, found, unexpected, keep))
        .collect();
    if came.kind != Kind::Exhaustive {
        one_of_each(&mut findings);
    }
    if apart || (end == End::Failed && findings.is_empty()) {
        let why = verdict.to_string();
        let message = format!("EXPECTATION: {}", why.trim_start_matches("FAILED: "));
        findings.push(Finding {
            violations: vec![("EXPECTATION".to_owned(), message)],
            unexpected: true,
            ..Finding::default()
        });
    }
    if sampled {
        says.push_str(&format!(", seed {}", settings.seed));
    }
    Row {
        operations: (came.kind != Kind::Loom).then_some(came.operations),
        executions: came.executions,
        bound: came.bound,
        least: came.bound,
        complete: (came.kind == Kind::Exhaustive).then_some(came.complete),
        cut: came.cut,
        seconds: came.seconds,
        seed: sampled.then_some(settings.seed),
        events: came.events,
        end,
        says,
        findings,
    }
}

/// Do what is asked of the engine, one after the other, until something is found or nobody wants to know any more.
fn explored(race: &Arc<Race>, job: &Job) -> (Settings, Exploration) {
    let mut settings = job.settings.iter();
    let first = settings
        .next()
        .cloned()
        .unwrap_or_else(|| Settings::of(race, 0));
    let mut came = explore(race, job.policy, &first);
    let mut asked = first;
    for more in settings {
        if (came.found.is_some() && came.ways.is_empty()) || !came.complete {
            break;
        }
        let next = explore(race, job.policy, more);
        came = Exploration {
            executions: came.executions + next.executions,
            seconds: came.seconds + next.seconds,
            operations: came.operations.max(next.operations),
            events: came.events.union(next.events),
            found: came.found.or(next.found),
            ways: [came.ways, next.ways].concat(),
            ..next
        };
        asked = more.clone();
    }
    (asked, came)
}

/// Hundreds of samples of something large break in hundreds of ways: one of each defect is enough, and all that shows none.
fn one_of_each(findings: &mut Vec<Finding>) {
    let mut shown: Vec<Defect> = Vec::new();
    findings.retain(|finding| {
        let new = finding.defects.iter().any(|one| !shown.contains(one));
        shown.extend(&finding.defects);
        new || finding.defects.is_empty()
    });
}

fn finding(
    job: &Job,
    race: &Arc<Race>,
    settings: &Settings,
    found: &Found,
    unexpected: bool,
    keep: bool,
) -> Finding {
    let known = |what: &str| settings.known.iter().any(|known| known.what() == what);
    let mut violations = found.violations.iter();
    let first = violations.find(|violation| !known(violation.what));
    let mut finding = Finding {
        bound: found.bound,
        first: first.map(|violation| (violation.invariant.name(), violation.what)),
        defects: match job.policy {
            PolicyKind::AsPosted => explain(race, found).unwrap_or_default(),
            PolicyKind::Hardened => Vec::new(),
        },
        unexpected,
        ..Finding::default()
    };
    let names = found
        .violations
        .iter()
        .map(|violation| violation.invariant.name().to_owned());
    let messages: Vec<_> = found.violations.iter().map(ToString::to_string).collect();
    if found.endless {
        finding
            .notes
            .push("the execution did not end by itself".to_owned());
    }
    if found.schedule.is_empty() {
        finding.notes.push(format!(
            "{} keeps no schedule, so no interleaving can be printed; try --engine exhaustive",
            settings.kind.name()
        ));
    }
    finding.violations = names.zip(messages).collect();
    finding.schedule.clone_from(&found.schedule);
    finding.steps = programs(race);
    if keep {
        tell(job, race, &mut finding);
    }
    finding
}

/// Repeat what was found, for its interleaving and the names of pages.
pub(crate) fn tell(job: &Job, race: &Arc<Race>, finding: &mut Finding) {
    let Some(settings) = job
        .settings
        .first()
        .filter(|_| !finding.schedule.is_empty())
    else {
        return;
    };
    if let Some(replay) = replay(race, job.policy, settings, &finding.schedule) {
        if replay.messages.len() == finding.violations.len() {
            for ((_, before), message) in finding.violations.iter_mut().zip(replay.messages) {
                *before = message;
            }
        }
        finding.lines = replay.lines;
    }
}

/// Run a sequential scenario as written, in every order, and with every failure.
pub(crate) fn of_sequential(job: &Job, scenario: &Scenario) -> Row {
    let start = Instant::now();
    let reports = match job.broken {
        // As posted, whatever order or failure is not in a scenario of its own may break something.
        [] if job.policy == PolicyKind::AsPosted => vec![check(scenario, job.policy)],
        [] => vec![
            check(scenario, job.policy),
            reorder(scenario, job.policy),
            inject(scenario, job.policy, &[]),
        ],
        _ => vec![broken(scenario, job)],
    };
    let failures: Vec<_> = reports.iter().flat_map(|report| &report.failures).collect();
    let breaks = reports.iter().find_map(|report| report.broken.as_ref());
    let sound = job.broken.is_empty();
    let shown = breaks
        .filter(|_| sound && job.policy == PolicyKind::AsPosted)
        .map(|(_, run)| explain_run(scenario, run));
    let (end, says) = match (breaks, &shown) {
        _ if !failures.is_empty() => (End::Failed, "FAILED".to_owned()),
        (_, Some(Ok(defects))) => {
            let shows = Verdict::Shows(defects.clone());
            (End::Broken, shows.to_string())
        }
        (_, Some(Err(unknown))) => {
            let unknown = Verdict::Unknown(unknown.invariant, unknown.what);
            (End::Failed, unknown.to_string())
        }
        (Some((invariants, _)), None) => (End::Broken, format!("breaks {}", list(invariants))),
        (None, None) if matches!(expectation(scenario, job.policy), Expect::Skip) => {
            (End::Skipped, "not run".to_owned())
        }
        (None, None) => (End::Ok, "ok".to_owned()),
    };
    let told = |run| sequential(job, scenario, run);
    let mut findings: Vec<_> = breaks.map(|(_, run)| told(run)).into_iter().collect();
    if let (Some(finding), Some(shown)) = (findings.first_mut(), shown) {
        finding.unexpected = shown.is_err();
        finding.defects = shown.unwrap_or_default();
    }
    findings.extend(
        failures
            .iter()
            .map(|failure| failed(failure, told(&failure.run))),
    );
    Row {
        executions: reports.iter().map(|report| report.runs as u64).sum(),
        seconds: start.elapsed().as_secs_f64(),
        findings,
        ..Row::bare(job, end, says)
    }
}

/// On a broken machine: as written, and whatever breaks beside what is expected is a failure.
fn broken(scenario: &Scenario, job: &Job) -> Report {
    let mut report = Report::default();
    let expected: &[_] = match expectation(scenario, job.policy) {
        Expect::Skip => return report,
        Expect::Breaks(expected) => expected,
        Expect::Lines(_) | Expect::Same => &[],
    };
    let run = run(
        scenario,
        Variation {
            bugs: job.broken,
            ..Variation::plain(job.policy)
        },
    );
    report.runs = 1;
    if run
        .broken
        .iter()
        .any(|invariant| !expected.contains(invariant))
    {
        report.failures.push(Failure {
            variation: "as written".to_owned(),
            message: format!(
                "the machine is broken: {}",
                job.broken.first().map_or("", |bug| bug.name())
            ),
            run,
        });
    } else if !run.broken.is_empty() {
        report.broken = Some((run.broken.clone(), run));
    }
    report
}

/// What broke in a run, which is done once more for what each step of it did.
fn sequential(job: &Job, scenario: &Scenario, run: &Run) -> Finding {
    let variation = Variation {
        policy: job.policy,
        order: run.order.as_deref(),
        fail: run.fail,
        bugs: job.broken,
    };
    let (again, lines, messages) = replay::tell(scenario, variation);
    // Nothing is left to chance, so it is the same; if it were not, what was found is what counts.
    let same = again.violations.len() == run.violations.len();
    let violations = run.violations.iter().enumerate().map(|(index, violation)| {
        let message = messages.get(index).filter(|_| same);
        let message = message.map_or_else(|| violation.to_string(), Clone::clone);
        (violation.invariant.name().to_owned(), message)
    });
    let mut done: Vec<u8> = Vec::new();
    let step = |(actor, step): &(u8, Step)| {
        let number = done.iter().filter(|by| *by == actor).count();
        done.push(*actor);
        format!("actor {actor} step {number}: {step:?}")
    };
    Finding {
        violations: violations.collect(),
        steps: run.trace.iter().map(step).collect(),
        lines,
        ..Finding::default()
    }
}

fn failed(failure: &Failure, mut finding: Finding) -> Finding {
    // Something else than an invariant: a line that was not as expected, an event that was not reached.
    if finding.violations.is_empty() {
        let message = format!(
            "EXPECTATION: {}",
            failure.message.lines().next().unwrap_or_default()
        );
        finding.violations.push(("EXPECTATION".to_owned(), message));
    }
    finding.notes = failure.message.lines().map(ToOwned::to_owned).collect();
    finding.variation = failure.variation.clone();
    finding.unexpected = true;
    finding
}
