//! Rows as JSON, an object a line.

use crate::cli::args::policy_name;
use crate::cli::interleaving::line;
use crate::cli::plan::Job;
use crate::cli::row::{End, Finding, Row};
use migrate_pin_sim::engine::schedule;
use serde::Serialize;
use std::io::{self, Write};

/// The format of rows and of recorded schedules: counted up when what a field means has changed.
pub(crate) const SCHEMA: u32 = 5;

/// A row; the README documents the fields.
#[derive(Serialize)]
struct Json<'a> {
    schema: u32,
    policy: &'a str,
    scenario: &'a str,
    family: Option<&'a str>,
    engine: &'a str,
    actors: usize,
    pages: usize,
    operations: Option<usize>,
    executions: u64,
    bound: Option<u32>,
    complete: Option<bool>,
    seconds: f64,
    seed: Option<u64>,
    verdict: End,
    says: &'a str,
    events: Vec<&'a str>,
    violations: Vec<Violation<'a>>,
}

#[derive(Serialize)]
struct Violation<'a> {
    invariant: &'a str,
    message: String,
    defects: Vec<&'a str>,
    steps: &'a [String],
    trace: Vec<String>,
    schedule: Option<String>,
    bound: Option<u32>,
    saved: Option<&'a str>,
}

fn violations<'f>(
    finding: &'f Finding,
    saved: Option<&'f str>,
) -> impl Iterator<Item = Violation<'f>> {
    let known = !finding.schedule.is_empty();
    finding
        .violations
        .iter()
        .enumerate()
        .map(move |(index, (invariant, message))| Violation {
            invariant,
            message: match finding.variation.as_str() {
                "" => message.clone(),
                variation => format!("{variation}: {message}"),
            },
            defects: finding.defects.iter().map(|one| one.name()).collect(),
            steps: if index == 0 { &finding.steps } else { &[] },
            // One execution may break several: the way there is told once.
            trace: match index {
                0 => finding.lines.iter().map(line).collect(),
                _ => Vec::new(),
            },
            schedule: (index == 0 && known).then(|| schedule::encode(&finding.schedule)),
            bound: finding.bound,
            saved: saved.filter(|_| index == 0),
        })
}

pub(crate) fn print(
    out: &mut impl Write,
    job: &Job,
    row: &Row,
    saved: &[Option<String>],
) -> io::Result<()> {
    let paths = saved.iter().map(Option::as_deref);
    let findings = row.findings.iter().zip(paths);
    let json = Json {
        schema: SCHEMA,
        policy: policy_name(job.policy),
        scenario: job.subject.name(),
        family: Some(job.subject.family()).filter(|family| !family.is_empty()),
        engine: job.engine(),
        actors: job.subject.actors(),
        pages: job.subject.pages(),
        operations: row.operations,
        executions: row.executions,
        bound: row.bound,
        complete: row.complete,
        seconds: row.seconds,
        seed: row.seed,
        verdict: row.end,
        says: &row.says,
        events: row.event_names(),
        violations: findings
            .flat_map(|(finding, saved)| violations(finding, saved))
            .collect(),
    };
    serde_json::to_writer(&mut *out, &json)?;
    writeln!(out)
}
