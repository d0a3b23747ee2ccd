//! The races that somebody thought of, a room for each kind of actor that races with a driver.
//!
//! - `access`: reads and writes of CPUs, and faults;
//! - `drivers`: two drivers, a driver that runs out of something, notifiers;
//! - `gup`: short references and DMA pins, before, while and after;
//! - `space`: fork, munmap, mprotect, `MADV_DONTNEED`, exit, the OOM reaper;
//! - `lists`: reclaim, compaction, other migrations, the LRU's batches, locks that are busy;
//! - `three`: three actors;
//! - `posted`: what only `AsPosted` and the driver as posted break;
//! - `large`: eight actors and sixty-four pages;
//! - `seeded`: for each invariant a broken machine, to see that the search notices.

mod access;
mod drivers;
mod gup;
mod large;
mod lists;
mod posted;
mod seeded;
mod short;
mod space;
mod three;

use crate::race::Race;

/// All of them, room by room.
#[must_use]
pub fn all() -> Vec<Race> {
    [
        access::races(),
        drivers::races(),
        gup::races(),
        space::races(),
        lists::races(),
        three::races(),
        posted::races(),
        large::races(),
        seeded::RACES.to_vec(),
    ]
    .concat()
}
