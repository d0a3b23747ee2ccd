//! Rows as a table, then what was found.

use crate::cli::args::policy_name;
use crate::cli::defects::{bound, Shown, Way};
use crate::cli::interleaving;
use crate::cli::plan::Job;
use crate::cli::row::{End, Finding, Row};
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

/// A row: of `job`, or of the family that it is the first of.
pub(crate) fn row(
    out: &mut impl Write,
    name: &str,
    job: &Job,
    row: &Row,
    width: usize,
) -> io::Result<()> {
    let loom = job
        .settings
        .first()
        .is_some_and(|settings| settings.kind == Kind::Loom);
    let engine = match row.bound {
        Some(bound) if loom => format!("loom bound {bound}"),
        _ => job.engine().to_owned(),
    };
    let complete = row.complete.map(|complete| match (complete, row.cut) {
        (true, _) => "yes",
        (false, true) => "no",
        (false, false) => "found",
    });
    let bound = match (row.least, row.bound) {
        (Some(least), Some(bound)) if least < bound => Some(format!("{least}-{bound}")),
        (_, bound) => bound.map(|bound| bound.to_string()),
    };
    writeln!(
        out,
        "{name:width$}  {engine:ENGINE$}  {:>6}  {:>5}  {:>10}  {:>10}  {:>5}  {:>8}  {:>8.3}  {}",
        job.subject.actors(),
        job.subject.pages(),
        or_dash(row.operations),
        row.executions,
        or_dash(bound),
        or_dash(complete),
        row.seconds,
        row.says,
    )
}

/// How a finding is printed.
pub(crate) struct Style {
    /// Only what is near a switch from one actor to another, of its interleaving.
    pub(crate) folded: bool,
    /// The command that explores this scenario alone.
    pub(crate) command: String,
    /// The file from which it can be replayed.
    pub(crate) saved: Option<String>,
}

/// What was found, with how to get there.
pub(crate) fn finding(
    out: &mut impl Write,
    job: &Job,
    finding: &Finding,
    style: &Style,
) -> io::Result<()> {
    let (name, policy) = (job.subject.name(), policy_name(job.policy));
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
        "{name} under {policy}, {engine}{at}{title}{variation}: {}",
        job.subject.about()
    )?;
    for (_, message) in &finding.violations {
        writeln!(out, "  {message}")?;
    }
    for note in &finding.notes {
        writeln!(out, "  {note}")?;
    }
    interleaving::steps(out, &finding.steps)?;
    let whole = interleaving::print(out, &finding.lines, style.folded)?;
    if !whole {
        writeln!(out, "  every operation: {}", style.command)?;
    }
    match &style.saved {
        Some(path) => writeln!(out, "  again: migrate-pin check --replay {path}"),
        None => Ok(()),
    }
}

/// One way in which generated races break, before its smallest example: how many of how many do.
pub(crate) fn way(out: &mut impl Write, way: &Way<'_>, of: usize) -> io::Result<()> {
    writeln!(
        out,
        "{}: in {} of {of} {}; the smallest:",
        way.what.trim_end_matches('.'),
        way.entries.len(),
        way.group
    )
}

/// Which defects show in how many rows.
pub(crate) fn shown(out: &mut impl Write, shown: &[Shown<'_>]) -> io::Result<()> {
    let names = shown.iter().map(|one| one.defect.name().len());
    let width = names.max().unwrap_or(0).max("defect".len());
    writeln!(
        out,
        "\nwhat as-posted breaks:\n{:width$}  {:>5}  {:>5}  the smallest",
        "defect", "rows", "bound"
    )?;
    for one in shown {
        writeln!(
            out,
            "{:width$}  {:>5}  {:>5}  {}",
            one.defect.name(),
            one.rows,
            or_dash(bound(one.smallest.job, one.smallest.finding)),
            one.smallest.job.subject.name()
        )?;
    }
    Ok(())
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
        "{}: {all} explorations, {executions} executions; {} ok, {} ok below their own bound, {} broken as expected, {} failed, {} incomplete, {} not run",
        policy_name(policy),
        count(End::Ok),
        count(End::Part),
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
