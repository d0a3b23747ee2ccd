//! What may be asked.

use clap::{Parser, Subcommand, ValueEnum};
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::Kind;
use migrate_pin_sim::{Bug, Invariant};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Largest bound that may be asked for: the number of schedules grows with its power.
const MAX_BOUND: u64 = 8;

/// Most worker threads.
const MAX_JOBS: u64 = 256;

/// Explore unmap-and-pin page migration on a simulated machine, in every interleaving.
///
/// Without a command all scenarios are checked under both policies.
///
/// Exit status: 0 nothing broken under Hardened, 1 a violation there or something else than was expected, 2 wrong usage,
/// 3 nothing broken but something incomplete.
#[derive(Parser)]
#[command(name = "migrate-pin", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) check: CheckOptions,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the scenarios, a line each, with the engine that explores them by default.
    List(ListOptions),
    /// Explore scenarios and print a table, then each violation with the steps that lead to it.
    Check(CheckOptions),
}

#[derive(clap::Args)]
pub(crate) struct Select {
    /// Only the scenario of this name, or those whose names contain it; may be given more than once.
    #[arg(long, value_name = "NAME", allow_negative_numbers = true)]
    pub(crate) scenario: Vec<String>,
}

#[derive(clap::Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    pub(crate) select: Select,
    /// List what --break can break instead, with the invariant that must notice.
    #[arg(long, conflicts_with = "scenario")]
    pub(crate) bugs: bool,
}

#[derive(clap::Args)]
pub(crate) struct CheckOptions {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Under which policy.
    #[arg(long, value_enum, default_value_t = PolicyArg::Both, allow_negative_numbers = true)]
    pub(crate) policy: PolicyArg,
    /// Only with this engine, whatever a race asks for itself.
    #[arg(long, value_enum, allow_negative_numbers = true)]
    pub(crate) engine: Option<EngineArg>,
    /// Explore every race up to N preemptions, whatever it asks for itself.
    #[arg(long, value_name = "N", value_parser = number::<0, MAX_BOUND>, allow_negative_numbers = true)]
    pub(crate) bound: Option<u64>,
    /// Give up an exploration after N executions (of each bound); how many samples random and pct take.
    #[arg(long, value_name = "N", value_parser = number::<1, { u32::MAX as u64 }>, allow_negative_numbers = true)]
    pub(crate) executions: Option<u64>,
    /// Worker threads [default: as many as there are CPUs].
    #[arg(long, value_name = "N", value_parser = number::<1, MAX_JOBS>, allow_negative_numbers = true)]
    pub(crate) jobs: Option<u64>,
    /// Letting go of a lock is an operation before which others may run, not one piece with the one before it (exhaustive, random,
    /// pct).
    #[arg(long)]
    pub(crate) releases: bool,
    /// For the engines that draw lots [default: 1].
    #[arg(long, value_name = "N", value_parser = number::<0, { u64::MAX }>, allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// As a table, or as one JSON object a line.
    #[arg(long, value_enum, default_value_t = Format::Text, allow_negative_numbers = true)]
    pub(crate) format: Format,
    /// Write a file for each violation whose schedule is known, to be given to --replay.
    #[arg(long, value_name = "DIR", allow_negative_numbers = true)]
    pub(crate) save: Option<PathBuf>,
    /// Repeat the schedule in this file to the step, and print it.
    #[arg(long, value_name = "FILE", allow_negative_numbers = true, conflicts_with_all = ["scenario", "policy", "engine", "bound", "executions", "seed", "releases", "save", "known", "bug", "jobs", "format"])]
    pub(crate) replay: Option<PathBuf>,
    /// What is known to break in races, in the words of a violation: an execution in which nothing else breaks is not a
    /// violation, so that what it hides is found; may be given more than once.
    #[arg(long, value_name = "TEXT", value_parser = known, allow_negative_numbers = true)]
    pub(crate) known: Vec<String>,
    /// Break the machine, to see the checker notice; `migrate-pin list --bugs` names the bugs.
    #[arg(long = "break", id = "bug", value_name = "BUG", value_parser = bug, allow_negative_numbers = true)]
    pub(crate) bug: Option<String>,
}

/// What an option's value is, in words; none if it has none, or clap lists its values.
pub(crate) fn value(option: &str) -> Option<String> {
    Some(match option {
        "--scenario" => SCENARIO.to_owned(),
        "--bound" => whole(0, MAX_BOUND),
        "--executions" => whole(1, u32::MAX.into()),
        "--jobs" => whole(1, MAX_JOBS),
        "--seed" => whole(0, u64::MAX),
        "--save" => SAVE.to_owned(),
        "--replay" => REPLAY.to_owned(),
        "--known" => KNOWN.to_owned(),
        "--break" => BREAK.to_owned(),
        _ => return None,
    })
}

/// The values of options whose values are not numbers.
pub(crate) const SCENARIO: &str =
    "a scenario's name, or a family's, that `migrate-pin list` prints, or a part of one";
pub(crate) const SAVE: &str = "a directory that can be written to";
pub(crate) const REPLAY: &str = "a file that `migrate-pin check --save` wrote";
const KNOWN: &str =
    "what a violation says behind its invariant, such as \"a pair outlives its device page\"";
const BREAK: &str = "a bug that `migrate-pin list --bugs` prints";

fn whole(from: u64, to: u64) -> String {
    format!("a whole number from {from} to {to}")
}

/// A whole number in a range.
fn number<const FROM: u64, const TO: u64>(text: &str) -> Result<u64, String> {
    let expected = || format!("expected {}", whole(FROM, TO));
    let number = text.parse().map_err(|_| expected())?;
    match (FROM..=TO).contains(&number) {
        true => Ok(number),
        false => Err(expected()),
    }
}

/// What a violation says, with or without the invariant before it.
fn known(text: &str) -> Result<String, String> {
    let text = text.trim();
    let invariant = |name: &str| Invariant::ALL.iter().any(|one| one.name() == name);
    let what = match text.split_once(':') {
        Some((name, what)) if invariant(name) => what.trim(),
        None if invariant(text) => "",
        _ => text,
    };
    match what {
        "" => Err(format!("expected {KNOWN}")),
        what => Ok(what.to_owned()),
    }
}

/// The name of a bug.
fn bug(text: &str) -> Result<String, String> {
    match bugs(Some(text)) {
        [] => Err(format!("expected {BREAK}")),
        _ => Ok(text.to_owned()),
    }
}

/// The bug of this name, as the machine wants it.
pub(crate) fn bugs(name: Option<&str>) -> &'static [Bug] {
    let all = Bug::ALL.chunks(1);
    let mut named = all.filter(|bug| Some(bug[0].name()) == name);
    named.next().unwrap_or_default()
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyArg {
    /// The patch with its defects mended.
    Hardened,
    /// The patch to the letter.
    AsPosted,
    /// One after the other.
    Both,
}

impl PolicyArg {
    /// Which policies, in the order in which they are run.
    pub(crate) const fn kinds(self) -> &'static [PolicyKind] {
        match self {
            Self::Hardened => &[PolicyKind::Hardened],
            Self::AsPosted => &[PolicyKind::AsPosted],
            Self::Both => &[PolicyKind::Hardened, PolicyKind::AsPosted],
        }
    }
}

/// The name of a policy in tables and files.
pub(crate) const fn policy_name(policy: PolicyKind) -> &'static str {
    match policy {
        PolicyKind::Hardened => "hardened",
        PolicyKind::AsPosted => "as-posted",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineArg {
    /// Every schedule with at most so many preemptions.
    Exhaustive,
    /// Loom, for memory orderings; up to three actors.
    Loom,
    /// Random schedules.
    Random,
    /// Probabilistic concurrency testing.
    Pct,
    /// The sequential scenarios: one actor's step at a time.
    Sequential,
}

impl EngineArg {
    /// Which engine of the library's; none for one actor's step at a time.
    pub(crate) const fn kind(self) -> Option<Kind> {
        match self {
            Self::Exhaustive => Some(Kind::Exhaustive),
            Self::Loom => Some(Kind::Loom),
            Self::Random => Some(Kind::Random),
            Self::Pct => Some(Kind::Pct),
            Self::Sequential => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Jsonl,
}
