//! The final states (what the actors say, and what there is in the end) that exhaustive and loom reach of the races that somebody
//! thought of, each at the race's own bound for it.
//!
//! `engines.rs` compares a few at bounds that are large enough. Here loom's smaller bound, and the switches that it drops or that nothing
//! it sees relates, leave it with less in some races; never may it have more.

use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::{explore, Kind, Settings};
use migrate_pin_sim::race::{catalogue, Effort, Race};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// Loom reaches less of these.
const LESS: &[&str] = &[
    "to-device-write",
    "two-drivers-opposite-order",
    "gup-while",
    "dma-while",
    "gup-to-device",
    "dma-huge",
    "reclaim-release",
    "reclaim-release-on-6-12",
    "compact-release",
    "compact-release-on-6-12",
    "reclaim-acquired",
    "reclaim-acquired-on-6-12",
    "reclaim-swap-cached",
    "compact-acquired",
    "compact-acquired-on-6-12",
    "dontneed-reads-stale",
];

/// Exhaustive takes a preemption more for what loom reaches, which sees releases: left out, since that is a million executions. (It
/// reaches three states then, loom two of them.)
const MORE: &str = "huge-page-busy";

fn states(race: &Arc<Race>, kind: Kind, bound: u32) -> BTreeSet<Vec<String>> {
    let settings = Settings {
        kind,
        states: true,
        ..Settings::exhaustive(bound)
    };
    let came = explore(race, PolicyKind::Hardened, &settings);
    assert!(came.found.is_none(), "{}: {:?}", race.name, came.found);
    assert!(!came.cut, "{}: it gave up", race.name);
    came.states
}

/// What is wrong with what the two reach of `race`, if anything.
fn compared(race: &Arc<Race>) -> Option<String> {
    let (Effort::Bound(own), Some(loom)) = (race.effort, race.loom) else {
        return Some(format!("{}: by one engine only", race.name));
    };
    let exhaustive = states(race, Kind::Exhaustive, own);
    let loom = states(race, Kind::Loom, loom.bound);
    let less = LESS.contains(&&*race.name);
    let fine = !loom.is_empty() && loom.is_subset(&exhaustive) && (loom != exhaustive) == less;
    let told = format!(
        "{}: exhaustive reaches {}, loom {}, {} in common",
        race.name,
        exhaustive.len(),
        loom.len(),
        exhaustive.intersection(&loom).count()
    );
    (!fine).then_some(told)
}

/// All of two actors, by whom nothing may be broken. (With three loom's bound is smaller, and the two are far apart.)
#[test]
fn loom_reaches_what_exhaustive_does() {
    let sound = |race: &Race| {
        let two = race.programs.len() == 2 && race.name != MORE;
        two && race.hardened && race.bugs.is_empty()
    };
    let all = catalogue::all().into_iter();
    let races: Vec<_> = all.filter(sound).map(Arc::new).collect();
    for name in LESS {
        assert!(races.iter().any(|race| race.name == *name), "{name}");
    }
    assert!(races.len() > 200, "only {} races", races.len());
    let next = AtomicUsize::new(0);
    let some = || {
        let mut wrong = Vec::new();
        while let Some(race) = races.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(compared(race));
        }
        wrong
    };
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}
