//! The races that somebody thought of, a room for each kind of actor that races with a driver.
//!
//! - `access`: reads and writes of CPUs, and faults;
//! - `drivers`: two drivers, a driver that runs out of something, notifiers;
//! - `gup`: short references and DMA pins, before, while and after;
//! - `space`: fork, munmap, mprotect, `MADV_DONTNEED`, exit, the OOM reaper;
//! - `lists`: reclaim, compaction, other migrations, the LRU's batches, locks that are busy;
//! - `three`: three actors;
//! - `stages`: the stages of a pin one by one, and its release, against each of these;
//! - `posted`: what only `AsPosted` and the driver as posted break;
//! - `modern`: all of these on 6.12, and `as_posted`: what comes of each under `AsPosted`;
//! - `large`: eight actors and sixty-four pages;
//! - `seeded`: for each invariant a broken machine, to see that the search notices.

mod access;
mod as_posted;
mod drivers;
mod gup;
mod large;
mod lists;
mod modern;
mod posted;
mod seeded;
mod short;
mod space;
mod stages;
mod three;

use crate::race::Race;

/// All of them, room by room.
#[must_use]
pub fn all() -> Vec<Race> {
    let old = [
        access::races(),
        drivers::races(),
        gup::races(),
        space::races(),
        lists::races(),
        three::races(),
        stages::races(),
        posted::races(),
    ]
    .concat();
    let modern = modern::of(&old);
    let all = [old, modern, large::races(), seeded::RACES.to_vec()].concat();
    all.into_iter().map(as_posted::expect).collect()
}
