//! The whole catalogue as tests: one for each sequential scenario, each race that somebody thought of and each family of
//! generated ones, under each policy under which it is run. Each has the command explore it, as `migrate-pin check` does.
//!
//! A plain `cargo test` leaves it out. `cargo nextest run --cargo-profile release --test catalogue --partition hash:1/4` runs
//! a quarter of it.

use libtest_mimic::{run, Arguments, Failed, Trial};
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::race;
use migrate_pin_sim::scenario::explore::expectation;
use migrate_pin_sim::scenario::{catalogue, Expect};
use std::collections::BTreeSet;
use std::process::{Command, ExitCode, Stdio};

/// The policies, by the names that the command has for them.
const POLICIES: [(PolicyKind, &str); 2] = [
    (PolicyKind::Hardened, "hardened"),
    (PolicyKind::AsPosted, "as-posted"),
];

/// The names that `--scenario` knows of what is run under `policy`: of scenarios and races, and of families, each with what it
/// is.
fn parts(policy: PolicyKind) -> BTreeSet<(&'static str, String)> {
    let scenarios = catalogue::all().into_iter();
    let run = scenarios.filter(|scenario| !matches!(expectation(scenario, policy), Expect::Skip));
    let scenarios = run.map(|scenario| ("sequential", scenario.name.to_owned()));
    let races = race::all().into_iter();
    let run = races.filter(|race| race.runs_under(policy));
    let races = run.map(|race| match race.family.is_empty() {
        true => ("race", race.name.into_owned()),
        false => ("family", race.family.into_owned()),
    });
    scenarios.chain(races).collect()
}

/// What the command says is what a failure says.
fn explored(name: &str, policy: &str) -> Result<(), Failed> {
    // Where nextest has unpacked it, if it was built elsewhere.
    let unpacked = std::env::var_os("NEXTEST_BIN_EXE_migrate-pin");
    let built = || env!("CARGO_BIN_EXE_migrate-pin").into();
    let command = Command::new(unpacked.unwrap_or_else(built))
        .args(["check", "--scenario", name, "--policy", policy])
        .args(["--jobs", "1"])
        .stdin(Stdio::null())
        .output()?;
    let out = String::from_utf8_lossy(&command.stdout);
    let err = String::from_utf8_lossy(&command.stderr);
    if !command.status.success() {
        return Err(format!("{}\n{out}{err}", command.status).into());
    }
    print!("{out}");
    Ok(())
}

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for (kind, policy) in POLICIES {
        for (what, name) in parts(kind) {
            trials.push(Trial::test(
                format!("{policy}::{what}::{name}"),
                move || explored(&name, policy),
            ));
        }
    }
    run(&Arguments::from_args(), trials).exit_code()
}
