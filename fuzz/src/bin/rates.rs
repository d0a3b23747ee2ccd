//! How many inputs a second, on one core, without a sanitizer, and how many of them get somewhere: random bytes through
//! the same functions that libFuzzer calls.

use migrate_pin_fuzz::choices::{Input, Random};
use migrate_pin_fuzz::pool::Pool;
use migrate_pin_fuzz::sync::{Quiet, Stepwise};
use migrate_pin_fuzz::{interleave, pipeline, Mode, Verdict};
use migrate_pin_sim::engine::fed::Fed;
use migrate_pin_sim::Synchronisation;
use std::time::Instant;

fn measure(name: &str, executions: u64, bytes: usize, mut run: impl FnMut(&[u8]) -> Verdict) {
    let mut random = Random::new(1);
    let mut input = vec![0; bytes];
    let (mut migrated, mut wrong) = (0_u64, 0_u64);
    let began = Instant::now();
    for _ in 0..executions {
        random.fill(&mut input);
        let verdict = run(&input);
        migrated += u64::from(verdict.migrated());
        if !verdict.is_fine() {
            if wrong == 0 {
                println!("{verdict}");
            }
            wrong += 1;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{name:24} {bytes:4} bytes {executions:10} executions {:10.0} a second, {:5.1} % finalized a migrated page, {wrong} wrong",
        executions as f64 / seconds,
        100.0 * migrated as f64 / executions as f64,
    );
}

fn pipeline<S: Synchronisation>(name: &str, executions: u64, bytes: usize) {
    let mode = Mode::of_process();
    let mut pool = Pool::<S>::default();
    measure(name, executions, bytes, |input| {
        pipeline::run(&mut pool, mode, &mut Input::new(input))
    });
}

fn interleave(executions: u64, bytes: usize) {
    let (mode, fed) = (Mode::of_process(), Fed::new());
    measure("interleave", executions, bytes, |input| {
        interleave::run(&fed, mode, input)
    });
}

fn main() {
    let executions = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000_000);
    for bytes in [32, 64, 128] {
        interleave(executions / 10, bytes);
    }
    for bytes in [16, 32, 64] {
        pipeline::<Quiet>("pipeline, quiescence", executions, bytes);
        pipeline::<Stepwise>("pipeline, every step", executions, bytes);
    }
}
