//! The races that somebody thought of, a room for each kind of actor that races with a driver.
//!
//! - `access`: reads and writes of CPUs, and faults;
//! - `drivers`: two drivers, a driver that runs out of something, notifiers;
//! - `gup`: short references and DMA pins, before, while and after;
//! - `space`: fork, munmap, mprotect, `MADV_DONTNEED`, exit, the OOM reaper;
//! - `stages`: all of these against the later stages of a pin, and against a release;
//! - `lists`: reclaim, compaction, other migrations, the LRU's batches, locks that are busy;
//! - `three`: three actors;
//! - `posted`: what only `AsPosted` and the driver as posted break;
//! - `expect`: what comes of each, on each shape;
//! - [`by_loom`]: how far loom explores each;
//! - `large`: eight actors and sixty-four pages;
//! - `seeded`: for each invariant a broken machine, to see that the search notices.

mod access;
pub mod by_loom;
mod drivers;
mod expect;
mod gup;
mod large;
mod lists;
mod posted;
mod seeded;
mod short;
mod space;
mod stages;
mod three;

use crate::config::Config;
use crate::race::Race;
use migrate_pin_core::policy::ShapeKind;
use std::borrow::Cow;

/// All of them, room by room. Those of two and three actors are there for both shapes: what was written for 5.11 once more for
/// 6.12, with `-on-6-12` behind its name. The driver as posted was never ported, and stays on 5.11.
#[must_use]
pub fn all() -> Vec<Race> {
    let rooms = [
        access::races(),
        drivers::races(),
        gup::races(),
        space::races(),
        stages::races(),
        lists::races(),
        three::races(),
        posted::races(),
        seeded::RACES.to_vec(),
    ];
    let written = rooms.into_iter().flatten();
    let mut all: Vec<_> = written.flat_map(on_both_shapes).collect();
    all.extend(large::races());
    all.into_iter().map(by_loom::of).collect()
}

fn on_both_shapes(race: Race) -> impl Iterator<Item = Race> {
    let ported = race.hardened && race.config.shape == ShapeKind::V5_11;
    let modern = ported.then(|| Race {
        name: Cow::Owned(format!("{}-on-6-12", race.name)),
        config: Config {
            shape: ShapeKind::V6_12,
            ..race.config
        },
        ..race.clone()
    });
    [race].into_iter().chain(modern).map(expect::of)
}
