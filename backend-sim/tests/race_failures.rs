//! Also what is explored in every interleaving is run in one of them, an actor's whole program after the other's, with every
//! fallible call made to fail in turn, and with every two.

mod in_turn;

use in_turn::in_turn;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::race::{self, Race};
use migrate_pin_sim::scenario::explore::{inject, inject_pairs};
use std::sync::atomic::{AtomicUsize, Ordering};

/// They have as many pages as there are kinds, and most of all pairs.
const LARGE: [&str; 2] = ["large", "large-on-6-12"];

/// What came of some races: how many, runs with a failure and with two, and what failed.
type Came = (usize, [usize; 2], Vec<String>);

/// Run each of `races`, but for those on a machine that is broken or with the driver as posted, and complain of all that
/// failed.
fn each(races: impl Iterator<Item = Race>) {
    let sound = |race: &Race| race.hardened && race.bugs.is_empty();
    let races: Vec<_> = races.filter(sound).collect();
    let next = AtomicUsize::new(0);
    let some = || -> Came {
        let (mut count, mut runs, mut complaints) = (0, [0, 0], Vec::new());
        while let Some(race) = races.get(next.fetch_add(1, Ordering::Relaxed)) {
            let scenario = in_turn(race);
            count += 1;
            for (runs, inject) in runs.iter_mut().zip([inject, inject_pairs]) {
                let report = inject(&scenario, PolicyKind::Hardened, &[]);
                *runs += report.runs;
                for failure in report.failures {
                    complaints.push(format!(
                        "{}, {}:\n{}",
                        race.name, failure.variation, failure.message
                    ));
                }
            }
        }
        (count, runs, complaints)
    };
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let came: Vec<Came> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        let ended = threads.into_iter().map(|thread| thread.join().unwrap());
        ended.collect()
    });
    let count: usize = came.iter().map(|(count, ..)| count).sum();
    let [one, two] = [0, 1].map(|which| came.iter().map(|(_, runs, _)| runs[which]).sum::<usize>());
    let complaints: Vec<_> = came.into_iter().flat_map(|(.., some)| some).collect();
    println!("{count} races, {one} runs with a failure, {two} runs with two");
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    assert!(two > one);
}

fn large(name: &str) {
    each(race::all().into_iter().filter(|race| race.name == name));
}

#[test]
fn every_two_fallible_calls_fail_in_every_race_but_the_large() {
    let races = race::all().into_iter();
    each(races.filter(|race| !LARGE.contains(&&*race.name)));
}

#[test]
fn every_two_fallible_calls_fail_in_the_large_race() {
    large(LARGE[0]);
}

#[test]
fn every_two_fallible_calls_fail_in_the_large_race_on_6_12() {
    large(LARGE[1]);
}
