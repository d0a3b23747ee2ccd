//! `migrate-pin`: run the scenarios of the simulated machine and say what broke.

use clap::{Parser, Subcommand, ValueEnum};
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::scenario::explore::{check, expectation, inject, list, reorder, Report};
use migrate_pin_sim::scenario::run::Run;
use migrate_pin_sim::scenario::{catalogue, Expect, Scenario};
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

/// Check unmap-and-pin page migration on a simulated machine.
///
/// Without a command all scenarios are checked under both policies.
#[derive(Parser)]
#[command(name = "migrate-pin", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    check: CheckOptions,
}

#[derive(Subcommand)]
enum Command {
    /// List the scenarios, a line each.
    List {
        #[command(flatten)]
        select: Select,
    },
    /// Run scenarios and print a table, then each violation with the steps that lead to it.
    Check(CheckOptions),
}

#[derive(clap::Args)]
struct Select {
    /// Only the scenario of this name, or those whose names contain it; may be given more than once.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
}

#[derive(clap::Args)]
struct CheckOptions {
    #[command(flatten)]
    select: Select,
    /// Under which policy.
    #[arg(long, value_enum, default_value_t = PolicyArg::Both)]
    policy: PolicyArg,
    /// As a table, or as one JSON object a line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PolicyArg {
    /// The patch with its defects mended.
    Hardened,
    /// The patch to the letter.
    AsPosted,
    /// One after the other.
    Both,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Jsonl,
}

/// Something else came than was expected, or nothing could be written.
const FAILED: u8 = 1;

/// Wrong usage; the message says what was expected.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::List { select }) => print_list(&select),
        Some(Command::Check(options)) => run_check(&options),
        None => run_check(&cli.check),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("migrate-pin: {error}");
            let usage = error.kind() == io::ErrorKind::InvalidInput;
            ExitCode::from(if usage { USAGE } else { FAILED })
        }
    }
}

/// Standard output. If whoever reads the other end of a pipe has seen enough, nothing more is written, and the
/// checks go on for the sake of the exit status.
struct Output {
    out: io::StdoutLock<'static>,
    closed: bool,
}

impl Output {
    fn new() -> Self {
        Self {
            out: io::stdout().lock(),
            closed: false,
        }
    }

    fn unless_closed(&mut self, result: io::Result<usize>, all: usize) -> io::Result<usize> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(all)
            }
            result => result,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let result = self.out.write(bytes);
        self.unless_closed(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush().map(|()| 0);
        self.unless_closed(result, 0).map(|_| ())
    }
}

/// The scenarios that were asked for.
fn selected(select: &Select) -> io::Result<Vec<&'static Scenario>> {
    let all = catalogue::all();
    for name in &select.scenario {
        if !all
            .iter()
            .any(|scenario| scenario.name.contains(name.as_str()))
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("no scenario's name contains '{name}'; expected one that `migrate-pin list` prints, or a part of one"),
            ));
        }
    }
    // A name that is one means that one, though others contain it.
    let means =
        |name: &str, scenario: &Scenario| match all.iter().any(|scenario| scenario.name == name) {
            true => scenario.name == name,
            false => scenario.name.contains(name),
        };
    let wanted = |scenario: &&Scenario| {
        let mut names = select.scenario.iter();
        select.scenario.is_empty() || names.any(|name| means(name, scenario))
    };
    Ok(all.iter().copied().filter(wanted).collect())
}

fn print_list(select: &Select) -> io::Result<ExitCode> {
    let scenarios = selected(select)?;
    let width = scenarios.iter().map(|s| s.name.len()).max().unwrap_or(0);
    let mut out = Output::new();
    for scenario in &scenarios {
        writeln!(out, "{:width$}  {}", scenario.name, scenario.about)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What came of one scenario under one policy.
struct Row {
    scenario: &'static Scenario,
    policy: PolicyKind,
    /// As written, in every order, with every failure.
    runs: [usize; 3],
    seconds: f64,
    reports: [Report; 3],
}

/// How a row ends.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// Nothing broke, and what was expected came.
    Ok,
    /// What was expected to break broke.
    Broken,
    /// Something else came than was expected.
    Failed,
    /// Not run under this policy.
    Skipped,
}

impl Row {
    fn new(scenario: &'static Scenario, policy: PolicyKind) -> Self {
        let start = Instant::now();
        let mut reports = [
            check(scenario, policy),
            Report::default(),
            Report::default(),
        ];
        // As posted, whatever order or failure is not in a scenario of its own may break something.
        if policy == PolicyKind::Hardened {
            reports[1] = reorder(scenario, policy);
            reports[2] = inject(scenario, policy);
        }
        Self {
            scenario,
            policy,
            runs: [reports[0].runs, reports[1].runs, reports[2].runs],
            seconds: start.elapsed().as_secs_f64(),
            reports,
        }
    }

    fn verdict(&self) -> Verdict {
        if self
            .reports
            .iter()
            .any(|report| !report.failures.is_empty())
        {
            Verdict::Failed
        } else if self.reports[0].broken.is_some() {
            Verdict::Broken
        } else if matches!(expectation(self.scenario, self.policy), Expect::Skip) {
            Verdict::Skipped
        } else {
            Verdict::Ok
        }
    }

    /// What broke as expected, in the run as written.
    fn broken(&self) -> Option<&(Vec<migrate_pin_sim::Invariant>, Run)> {
        self.reports[0].broken.as_ref()
    }
}

const fn policy_name(policy: PolicyKind) -> &'static str {
    match policy {
        PolicyKind::Hardened => "hardened",
        PolicyKind::AsPosted => "as-posted",
    }
}

fn run_check(options: &CheckOptions) -> io::Result<ExitCode> {
    let scenarios = selected(&options.select)?;
    let policies: &[PolicyKind] = match options.policy {
        PolicyArg::Hardened => &[PolicyKind::Hardened],
        PolicyArg::AsPosted => &[PolicyKind::AsPosted],
        PolicyArg::Both => &[PolicyKind::Hardened, PolicyKind::AsPosted],
    };
    let mut out = Output::new();
    let mut rows = Vec::new();
    let width = scenarios
        .iter()
        .map(|s| s.name.len())
        .max()
        .unwrap_or(0)
        .max("scenario".len());
    if options.format == Format::Text {
        print_head(&mut out, width)?;
    }
    for policy in policies {
        for scenario in &scenarios {
            let row = Row::new(scenario, *policy);
            match options.format {
                Format::Text => print_row(&mut out, &row, width)?,
                Format::Jsonl => print_json(&mut out, &row)?,
            }
            rows.push(row);
        }
    }
    if options.format == Format::Text {
        print_findings(&mut out, &rows)?;
        print_sum(&mut out, &rows)?;
    }
    out.flush()?;
    let failed = rows.iter().any(|row| row.verdict() == Verdict::Failed);
    Ok(ExitCode::from(if failed { FAILED } else { 0 }))
}

fn print_head(out: &mut impl Write, width: usize) -> io::Result<()> {
    writeln!(
        out,
        "{:width$}  {:9}  {:>6}  {:>6}  {:>8}  {:>7}  verdict",
        "scenario", "policy", "actors", "orders", "failures", "seconds"
    )
}

fn print_row(out: &mut impl Write, row: &Row, width: usize) -> io::Result<()> {
    let mut actors: Vec<_> = row.scenario.steps.iter().map(|by| by.0).collect();
    actors.sort_unstable();
    actors.dedup();
    let [_, orders, failures] = row.runs;
    let verdict = match (row.verdict(), row.broken()) {
        (Verdict::Broken, Some((invariants, _))) => format!("breaks {}", list(invariants)),
        (Verdict::Failed, _) => "FAILED".to_owned(),
        (Verdict::Skipped, _) => "not run".to_owned(),
        _ => "ok".to_owned(),
    };
    writeln!(
        out,
        "{:width$}  {:9}  {:>6}  {:>6}  {:>8}  {:>7.3}  {verdict}",
        row.scenario.name,
        policy_name(row.policy),
        actors.len(),
        orders.max(row.runs[0]),
        failures,
        row.seconds,
    )
}

/// Each violation, expected or not, with the steps that lead to it.
fn print_findings(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    for row in rows {
        if let Some((_, run)) = row.broken() {
            print_finding(out, row, "", run)?;
        }
        for failure in row.reports.iter().flat_map(|report| &report.failures) {
            let title = format!(" FAILED, {}", failure.variation);
            print_finding(out, row, &title, &failure.run)?;
            for line in failure.message.lines() {
                writeln!(out, "  {line}")?;
            }
        }
    }
    Ok(())
}

fn print_finding(out: &mut impl Write, row: &Row, title: &str, run: &Run) -> io::Result<()> {
    let policy = policy_name(row.policy);
    writeln!(
        out,
        "\n{} under {policy}{title}: {}",
        row.scenario.name, row.scenario.about
    )?;
    for violation in &run.violations {
        writeln!(out, "  {violation}")?;
    }
    writeln!(out, "  steps:")?;
    for (index, (actor, step)) in run.trace.iter().enumerate() {
        writeln!(out, "    {index:2}  actor {actor}  {step:?}")?;
    }
    Ok(())
}

fn print_sum(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    writeln!(out)?;
    for policy in [PolicyKind::Hardened, PolicyKind::AsPosted] {
        let rows: Vec<_> = rows.iter().filter(|row| row.policy == policy).collect();
        if rows.is_empty() {
            continue;
        }
        let count = |verdict| rows.iter().filter(|row| row.verdict() == verdict).count();
        let runs: usize = rows.iter().flat_map(|row| row.runs).sum();
        writeln!(
            out,
            "{}: {} scenarios, {} runs; {} ok, {} broken as expected, {} failed, {} not run",
            policy_name(policy),
            rows.len(),
            runs,
            count(Verdict::Ok),
            count(Verdict::Broken),
            count(Verdict::Failed),
            count(Verdict::Skipped),
        )?;
    }
    Ok(())
}

/// A row of `--format jsonl`; the README documents the fields.
#[derive(Serialize)]
struct Json<'a> {
    schema: u32,
    policy: &'a str,
    scenario: &'a str,
    engine: &'a str,
    executions: usize,
    bound: Option<u32>,
    complete: bool,
    seconds: f64,
    verdict: Verdict,
    violations: Vec<JsonViolation>,
}

#[derive(Serialize)]
struct JsonViolation {
    invariant: String,
    message: String,
    trace: Vec<String>,
}

/// The steps of a run, with the actor of each.
fn trace(run: &Run) -> Vec<String> {
    let steps = run.trace.iter();
    steps
        .map(|(actor, step)| format!("{actor} {step:?}"))
        .collect()
}

/// The violations of a run, and which variation it was if it was not the scenario as written.
fn json_violations<'r>(
    run: &'r Run,
    variation: &'r str,
) -> impl Iterator<Item = JsonViolation> + 'r {
    run.violations.iter().map(move |violation| JsonViolation {
        invariant: violation.invariant.name().to_owned(),
        message: match variation {
            "" => violation.to_string(),
            variation => format!("{variation}: {violation}"),
        },
        trace: trace(run),
    })
}

fn print_json(out: &mut impl Write, row: &Row) -> io::Result<()> {
    let mut violations = Vec::new();
    if let Some((_, run)) = row.broken() {
        violations.extend(json_violations(run, ""));
    }
    for failure in row.reports.iter().flat_map(|report| &report.failures) {
        violations.extend(json_violations(&failure.run, &failure.variation));
        // Something else than an invariant: a line that was not as expected, an event that was not reached.
        if failure.run.violations.is_empty() {
            violations.push(JsonViolation {
                invariant: "EXPECTATION".to_owned(),
                message: format!("{}: {}", failure.variation, failure.message),
                trace: trace(&failure.run),
            });
        }
    }
    let json = Json {
        schema: 1,
        policy: policy_name(row.policy),
        scenario: row.scenario.name,
        engine: "sequential",
        executions: row.runs.iter().sum(),
        bound: None,
        complete: false,
        seconds: row.seconds,
        verdict: row.verdict(),
        violations,
    };
    serde_json::to_writer(&mut *out, &json)?;
    writeln!(out)
}
