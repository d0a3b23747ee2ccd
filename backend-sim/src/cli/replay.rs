//! A recorded schedule once more.

use crate::cli::args::{bugs, policy_name, PolicyArg};
use crate::cli::interleaving;
use crate::cli::output::Output;
use crate::cli::record::{load, Record};
use crate::cli::select::{all, Subject};
use crate::cli::{usage, FAILED, FINE};
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::replay::{replay, Replay};
use migrate_pin_sim::engine::{schedule, Exploration, Found, Settings};
use migrate_pin_sim::race::Race;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// What a record means.
struct Wanted {
    race: Arc<Race>,
    policy: PolicyKind,
    settings: Settings,
    schedule: Vec<u8>,
}

/// Repeat what is in the file at `path`, and print it.
pub(crate) fn run(path: &Path) -> io::Result<u8> {
    let record = load(path)?;
    let wrong = |message: String| usage(format!("{}: {message}", path.display()));
    let wanted = wanted(&record).map_err(wrong)?;
    let came = replay(
        &wanted.race,
        wanted.policy,
        &wanted.settings,
        &wanted.schedule,
    )
    .ok_or_else(|| io::Error::other("the replay did not begin"))?;
    if let Some(decision) = came.off {
        return Err(wrong(format!(
            "the schedule does not fit {}: at decision {decision} of {} it names nobody who could run; expected one that was \
             recorded for this scenario by this version",
            record.scenario,
            wanted.schedule.len()
        )));
    }
    let failed = failed(&wanted, &came);
    let mut out = Output::new();
    print(&mut out, &record, &wanted, &came)?;
    out.flush()?;
    Ok(if failed { FAILED } else { FINE })
}

fn wanted(record: &Record) -> Result<Wanted, String> {
    let kind = record.engine.kind().filter(|kind| kind.name() != "loom");
    let kind = kind.ok_or("this engine keeps no schedules; expected exhaustive, random or pct")?;
    let policy = PolicyArg::Both
        .kinds()
        .iter()
        .copied()
        .find(|policy| policy_name(*policy) == record.policy);
    let policy = policy.ok_or_else(|| {
        format!(
            "no policy is called '{}'; expected hardened or as-posted",
            record.policy
        )
    })?;
    let race = all().into_iter().find_map(|subject| match subject {
        Subject::Race(race) if race.name == record.scenario => Some(race),
        _ => None,
    });
    let race = race.ok_or_else(|| {
        format!("no race is called '{}'; expected one that `migrate-pin list` prints with another engine than sequential", record.scenario)
    })?;
    if !race.runs_under(policy) {
        return Err(format!("{} is not run under {}", race.name, record.policy));
    }
    let bugs = bugs(record.broken.as_deref());
    if let (Some(name), []) = (&record.broken, bugs) {
        return Err(format!(
            "no bug is called '{name}'; expected one that `migrate-pin list --bugs` prints"
        ));
    }
    Ok(Wanted {
        race,
        policy,
        settings: Settings {
            kind,
            seed: record.seed,
            releases: record.releases,
            bugs,
            ..Settings::exhaustive(record.bound.unwrap_or(0))
        },
        schedule: schedule::decode(&record.schedule)?,
    })
}

/// Broke something that may not?
fn failed(wanted: &Wanted, came: &Replay) -> bool {
    if came.violations.is_empty() {
        return false;
    }
    let exploration = Exploration {
        kind: wanted.settings.kind,
        executions: 1,
        bound: None,
        complete: false,
        cut: true,
        seconds: 0.0,
        operations: came.lines.len(),
        all_operations: came.lines.len() as u64,
        all_switches: 0,
        events: came.events,
        states: BTreeSet::new(),
        found: Some(Found {
            broken: came.broken.clone(),
            violations: came.violations.clone(),
            schedule: wanted.schedule.clone(),
            bound: None,
            execution: 1,
            endless: false,
            events: came.events,
        }),
        ways: Vec::new(),
    };
    wanted
        .race
        .judge(wanted.policy, &wanted.settings, &exploration)
        .failed()
}

fn print(out: &mut impl Write, record: &Record, wanted: &Wanted, came: &Replay) -> io::Result<()> {
    writeln!(
        out,
        "{} under {}, {} operations: {}",
        record.scenario,
        record.policy,
        came.lines.len(),
        wanted.race.about
    )?;
    if came.messages.is_empty() {
        writeln!(out, "  nothing broke")?;
    }
    for message in &came.messages {
        writeln!(out, "  {message}")?;
    }
    interleaving::steps(out, &interleaving::programs(&wanted.race))?;
    interleaving::print(out, &came.lines, false)?;
    writeln!(out, "  in the end:")?;
    for line in &came.state {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}
