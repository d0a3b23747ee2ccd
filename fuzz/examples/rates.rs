//! How many inputs a second, on one core, without a sanitizer, and how many of them get somewhere: random bytes through
//! the same functions that libFuzzer calls. `cargo run --profile bench --example rates`: the profile `release` is what
//! cargo-fuzz builds, without LTO.

use migrate_pin_fuzz::choices::{Input, Random};
use migrate_pin_fuzz::pool::Pool;
use migrate_pin_fuzz::stock::Stock;
use migrate_pin_fuzz::sync::{Quiet, Stepwise};
use migrate_pin_fuzz::{interleave, misuse, pipeline, policies, raw_abi, words, Mode, Verdict};
use migrate_pin_sim::engine::fed::Fed;
use std::process::ExitCode;
use std::time::Instant;

/// Seconds of the CPU that this process has used, to a hundredth (`utime` and `stime` of proc(5)); none where there is no
/// such file.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

/// The machine that this runs on.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cpus} CPUs", name.unwrap_or("a CPU without a name"))
}

/// True if nothing was wrong.
fn measure(
    name: &str,
    executions: u64,
    bytes: usize,
    mut run: impl FnMut(&[u8]) -> Verdict,
) -> bool {
    let mode = Mode::of_process();
    let mut random = Random::new(1);
    let mut input = vec![0; bytes];
    let (mut migrated, mut wrong) = (0_u64, 0_u64);
    let (began, before) = (Instant::now(), cpu_seconds());
    for _ in 0..executions {
        random.fill(&mut input);
        let verdict = run(&input);
        migrated += u64::from(verdict.migrated());
        if verdict.counts(mode) {
            if wrong == 0 {
                println!("{input:?}\n{verdict}");
            }
            wrong += 1;
        }
    }
    let wall = began.elapsed().as_secs_f64();
    let cpu = before
        .and_then(|before| Some(cpu_seconds()? - before))
        .unwrap_or(wall);
    println!(
        "{name:24} {bytes:4} bytes {executions:9} executions: {:8.0} a second of CPU, {:8.0} by the clock; {:4.1} % finalized a \
         migrated page; {wrong} wrong",
        executions as f64 / cpu.max(0.01),
        executions as f64 / wall,
        100.0 * migrated as f64 / executions as f64,
    );
    wrong == 0
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let executions = match arguments.next().map(|number| number.parse()) {
        None => 200_000,
        Some(Ok(number)) => number,
        Some(Err(_)) => {
            eprintln!("usage: rates [EXECUTIONS [TARGET]]");
            return ExitCode::from(2);
        }
    };
    let only = arguments.next();
    let mode = Mode::of_process();
    println!("{}", machine());
    let mut fine = true;
    let mut wanted = |name: &str, bytes, run: &mut dyn FnMut(&[u8]) -> Verdict| {
        if only
            .as_ref()
            .is_none_or(|only| name.starts_with(only.as_str()))
        {
            fine &= measure(name, executions, bytes, run);
        }
    };
    let (mut quiet, mut stepwise) = (Pool::<Quiet>::default(), Pool::<Stepwise>::default());
    for bytes in [16, 32, 64] {
        wanted("pipeline, quiescence", bytes, &mut |input| {
            pipeline::run(&mut quiet, mode, &mut Input::new(input))
        });
        wanted("pipeline, every step", bytes, &mut |input| {
            pipeline::run(&mut stepwise, mode, &mut Input::new(input))
        });
    }
    wanted("misuse", 64, &mut |input| {
        misuse::run(&mut stepwise, mode, &mut Input::new(input))
    });
    let mut stock = Stock::<Quiet>::new(mode);
    wanted("words", 64, &mut |input| {
        words::run(&mut stock, &mut Input::new(input))
    });
    wanted("raw_abi", 64, &mut |input| {
        raw_abi::run(&mut stock, &mut Input::new(input))
    });
    wanted("policies", 64, &mut |input| {
        policies::run(&mut stepwise, mode, input)
    });
    let fed = Fed::new();
    wanted("interleave", 64, &mut |input| {
        interleave::run(&fed, mode, input)
    });
    ExitCode::from(u8::from(!fine))
}
