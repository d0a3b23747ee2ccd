//! Can the targets fail? Each seeded bug of the machine, and `AsPosted` with either driver, from nothing: random inputs through
//! the functions that libFuzzer calls, without its guidance, until one finds it, with several seeds; the median number of
//! executions, and what found it.
//!
//! `hunt bugs [EXECUTIONS [SEEDS]]`, `hunt as-posted [EXECUTIONS]`.

use migrate_pin_core::PolicyKind;
use migrate_pin_fuzz::choices::{Input, Random};
use migrate_pin_fuzz::pool::Pool;
use migrate_pin_fuzz::sync::Stepwise;
use migrate_pin_fuzz::{interleave, misuse, pipeline, Mode, Verdict};
use migrate_pin_sim::{Bug, DriverKind};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Bytes of an input.
const BYTES: usize = 64;

/// The targets, and how many executions of a hundred each gets: one of `interleave` takes as long as ten of the others.
const TARGETS: [(&str, u64); 3] = [("pipeline", 100), ("misuse", 100), ("interleave", 20)];

fn run(target: &str, pool: &mut Pool<Stepwise>, mode: &Mode, bytes: &[u8]) -> Verdict {
    match target {
        "pipeline" => pipeline::run(pool, mode, &mut Input::new(bytes)),
        "misuse" => misuse::run(pool, mode, &mut Input::new(bytes)),
        _ => interleave::run(mode, Input::new(bytes)),
    }
}

/// The number of the first execution that finds something, and what; none if there is none among so many.
fn first(target: &str, mode: &Mode, seed: u64, executions: u64) -> Option<(u64, String)> {
    let (mut pool, mut random) = (Pool::default(), Random::new(seed));
    let mut bytes = [0; BYTES];
    (1..=executions).find_map(|number| {
        random.fill(&mut bytes);
        let wrong = run(target, &mut pool, mode, &bytes).wrong();
        Some((number, wrong.into_iter().next()?))
    })
}

/// The invariant and what is said of it, without pages and numbers.
fn what(text: &str) -> &str {
    let end = [
        ", page",
        ", mm",
        " (ledger",
        " [",
        ": SrcPfn",
        ": RawMigration",
    ]
    .iter()
    .filter_map(|mark| text.find(mark))
    .min();
    &text[..end.unwrap_or(text.len())]
}

fn bugs(executions: u64, seeds: u64) {
    println!("| bug | found by | executions (median of {seeds}) | as |\n| --- | --- | --- | --- |");
    let mut missed = 0;
    for bug in Bug::ALL {
        let mode = Mode {
            bug: Some(*bug),
            ..Mode::default()
        };
        let by = |(target, share): &(&'static str, u64)| {
            let all = (1..=seeds).map(|seed| first(target, &mode, seed, executions * share / 100));
            let mut found: Vec<_> = all.flatten().collect();
            found.sort();
            // Found with most seeds, or not found.
            (found.len() as u64 > seeds / 2).then(|| (*target, found[found.len() / 2].clone()))
        };
        match TARGETS.iter().find_map(by) {
            Some((target, (number, text))) => {
                println!(
                    "| `{}` | `{target}` | {number} | {} |",
                    bug.name(),
                    what(&text)
                );
            }
            None => {
                missed += 1;
                println!("| `{}` | not found | | |", bug.name());
            }
        }
    }
    println!("\n{} of {} found", Bug::ALL.len() - missed, Bug::ALL.len());
}

fn as_posted(executions: u64) {
    println!("| driver | target | what broke first | inputs | first at |\n| --- | --- | --- | --- | --- |");
    for (driver, name) in [
        (DriverKind::Careful, "careful"),
        (DriverKind::Posted, "posted"),
    ] {
        let mode = Mode {
            policy: PolicyKind::AsPosted,
            driver,
            ..Mode::default()
        };
        for (target, share) in TARGETS {
            let (mut pool, mut random) = (Pool::default(), Random::new(1));
            let mut bytes = [0; BYTES];
            let mut found = BTreeMap::<String, (u64, u64)>::new();
            for number in 1..=executions * share / 100 {
                random.fill(&mut bytes);
                if let Some(text) = run(target, &mut pool, &mode, &bytes).wrong().first() {
                    found.entry(what(text).to_owned()).or_insert((0, number)).0 += 1;
                }
            }
            for (text, (times, number)) in found {
                println!("| {name} | `{target}` | {text} | {times} | {number} |");
            }
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let number = |index: usize, else_: u64| match arguments.get(index) {
        None => Some(else_),
        Some(text) => text.parse().ok().filter(|number| *number > 0),
    };
    let (what, executions) = (arguments.first().map(String::as_str), number(1, 20_000));
    match (what, executions, number(2, 3)) {
        (Some("bugs"), Some(executions), Some(seeds)) => bugs(executions, seeds),
        (Some("as-posted"), Some(executions), Some(_)) => as_posted(executions),
        _ => {
            eprintln!("usage: hunt bugs [EXECUTIONS [SEEDS]] | hunt as-posted [EXECUTIONS]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
