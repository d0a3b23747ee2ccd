//! Rows as a table, then what was found.

use crate::cli::args::policy_name;
use crate::cli::interleaving;
use crate::cli::plan::Job;
use crate::cli::row::{End, Finding, Row};
use crate::cli::select::Subject;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::Kind;
use std::io::{self, Write};

/// Columns of the engine's name.
const ENGINE: usize = 12;

/// A number, or a dash where there is none.
fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

pub(crate) fn head(out: &mut impl Write, policy: PolicyKind, width: usize) -> io::Result<()> {
    writeln!(out, "under {}:", policy_name(policy))?;
    writeln!(
        out,
        "{:width$}  {:ENGINE$}  {:>6}  {:>5}  {:>10}  {:>10}  {:>5}  {:>8}  {:>8}  verdict",
        "scenario",
        "engine",
        "actors",
        "pages",
        "operations",
        "executions",
        "bound",
        "complete",
        "seconds"
    )
}

pub(crate) fn row(out: &mut impl Write, job: &Job, row: &Row, width: usize) -> io::Result<()> {
    let loom = job
        .settings
        .first()
        .is_some_and(|settings| settings.kind == Kind::Loom);
    let engine = match row.bound {
        Some(bound) if loom => format!("loom bound {bound}"),
        _ => job.engine().to_owned(),
    };
    let complete = row
        .complete
        .map(|complete| if complete { "yes" } else { "no" });
    writeln!(
        out,
        "{:width$}  {engine:ENGINE$}  {:>6}  {:>5}  {:>10}  {:>10}  {:>5}  {:>8}  {:>8.3}  {}",
        job.subject.name(),
        job.subject.actors(),
        job.subject.pages(),
        or_dash(row.operations),
        row.executions,
        or_dash(row.bound),
        or_dash(complete),
        row.seconds,
        row.says,
    )
}

/// Is a finding printed with its steps? What nobody expected always is, and what somebody thought of; of what was generated
/// there may be hundreds, so they are printed in full only if `chosen` by name.
pub(crate) fn in_full(job: &Job, chosen: bool, unexpected: bool) -> bool {
    let generated = matches!(
        job.subject,
        Subject::Race {
            catalogued: false,
            ..
        }
    );
    chosen || unexpected || !generated
}

/// What was found, with how to get there if that is to be `full`.
pub(crate) fn finding(
    out: &mut impl Write,
    job: &Job,
    finding: &Finding,
    full: bool,
    saved: Option<&str>,
) -> io::Result<()> {
    let (name, policy) = (job.subject.name(), policy_name(job.policy));
    let first = finding
        .violations
        .first()
        .map_or("", |(_, message)| message);
    if !full {
        let engine = job.engine();
        let again = match engine {
            "exhaustive" => String::new(),
            engine => format!(" --engine {engine}"),
        };
        writeln!(out, "{name} under {policy}: {first}")?;
        writeln!(
            out,
            "  in full: migrate-pin check --scenario {name} --policy {policy}{again}"
        )?;
        return print_saved(out, saved);
    }
    let title = if finding.unexpected { " FAILED" } else { "" };
    let engine = job.engine();
    let at = finding
        .bound
        .map_or_else(String::new, |bound| format!(" at bound {bound}"));
    let variation = match finding.variation.as_str() {
        "" => String::new(),
        variation => format!(", {variation}"),
    };
    writeln!(
        out,
        "\n{name} under {policy}, {engine}{at}{title}{variation}: {}",
        job.subject.about()
    )?;
    for (_, message) in &finding.violations {
        writeln!(out, "  {message}")?;
    }
    for note in &finding.notes {
        writeln!(out, "  {note}")?;
    }
    if let (Subject::Race { race, .. }, false) = (&job.subject, finding.lines.is_empty()) {
        interleaving::programs(out, race)?;
    }
    interleaving::steps(out, finding)?;
    print_saved(out, saved)
}

fn print_saved(out: &mut impl Write, saved: Option<&str>) -> io::Result<()> {
    match saved {
        Some(path) => writeln!(out, "  again: migrate-pin check --replay {path}"),
        None => Ok(()),
    }
}

/// How it all came out under a policy. `begun` has what was begun, `all` is how many rows there should have been.
pub(crate) fn sum(
    out: &mut impl Write,
    policy: PolicyKind,
    begun: &[&Row],
    all: usize,
) -> io::Result<()> {
    let count = |end| begun.iter().filter(|row| row.end == end).count();
    let executions: u64 = begun.iter().map(|row| row.executions).sum();
    write!(
        out,
        "{}: {all} explorations, {executions} executions; {} ok, {} broken as expected, {} failed, {} incomplete, {} not run",
        policy_name(policy),
        count(End::Ok),
        count(End::Broken),
        count(End::Failed),
        count(End::Incomplete),
        count(End::Skipped),
    )?;
    match all - begun.len() {
        0 => writeln!(out),
        missing => writeln!(out, ", {missing} not begun"),
    }
}
