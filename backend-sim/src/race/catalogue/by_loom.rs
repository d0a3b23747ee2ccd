//! How far loom explores each of these races: to the largest bound up to 2 that it comes to the end of in no more than so many
//! executions, whatever the policy. Measured: a test (`tests/by_loom.rs`) holds the lists to the rule.

use crate::event::Event::{self, *};
use crate::race::{ByLoom, Race};

/// Most executions at a bound. With these all of it is about 20 seconds of one CPU.
#[must_use]
pub const fn most(bound: u32) -> u64 {
    match bound {
        0 | 1 => 5_000,
        _ => 1_000,
    }
}

/// The bound of those that are in no list.
pub const BOUND: u32 = 2;

/// More than that with two preemptions.
const ONE: &[&str] = &[
    "acquire-reclaim-read",
    "acquire-reclaim-read-on-6-12",
    "acquire-write-dontneed",
    "acquire-write-dontneed-on-6-12",
    "device-page-fault-fault",
    "device-page-fault-fault-on-6-12",
    "dma-fault",
    "dma-fault-on-6-12",
    "dma-huge",
    "dma-huge-on-6-12",
    "dma-release",
    "dma-release-on-6-12",
    "dma-while",
    "dma-while-on-6-12",
    "dontneed-reads-stale",
    "dontneed-reads-stale-on-6-12",
    "fault-fault",
    "fault-fault-on-6-12",
    "fault-fault-revoke",
    "fault-fault-revoke-on-6-12",
    "fault-release",
    "gup-fault",
    "gup-fault-on-6-12",
    "gup-release",
    "gup-release-on-6-12",
    "gup-to-device",
    "gup-to-device-on-6-12",
    "gup-while",
    "gup-while-on-6-12",
    "munmap-elsewhere-acquire",
    "oom-reap-elsewhere-acquire",
    "read-fault",
    "read-fault-on-6-12",
    "to-device-write",
    "to-device-write-on-6-12",
    "two-drivers-opposite-order",
    "two-drivers-opposite-order-on-6-12",
    "two-drivers-write",
    "two-drivers-write-on-6-12",
    "write-release",
];

/// More than that with one.
const NONE: &[&str] = &[
    "acquire-fork-child",
    "acquire-fork-child-on-6-12",
    "faults-refuse-each-other",
    "faults-refuse-each-other-on-6-12",
    "unpin-referenced",
    "unpin-referenced-on-6-12",
];

/// What loom does not come to at that bound, though exhaustive does: events, and whether it misses what breaks (on a broken machine, or
/// `AsPosted`) as well. All but the last two need more preemptions, or switches that loom drops. In those nothing that loom sees
/// relates the two faults, so that it need not try both orders.
const UNSEEN: &[(&str, &[Event], bool)] = &[
    ("to-device-write", &[Restore], false),
    ("two-drivers-opposite-order", &[Unpinned], false),
    ("gup-while", &[NotifierRetry], false),
    ("dma-while", &[NotifierRetry], false),
    ("gup-to-device", &[NotifierRetry], false),
    ("acquire-write-dontneed", &[], true),
    ("acquire-reclaim-read", &[FreezeFailed], false),
    (
        "acquire-fork-child",
        &[MigrationWait, Blocked, UnmapIncomplete],
        true,
    ),
    (
        "acquire-fork-child-on-6-12",
        &[MigrationWait, Blocked, UnmapIncomplete],
        true,
    ),
    (
        "unpin-referenced",
        &[MigrationWait, Blocked, FaultRetried],
        false,
    ),
    (
        "unpin-referenced-on-6-12",
        &[MigrationWait, Blocked, FaultRetried],
        true,
    ),
    (
        "faults-refuse-each-other",
        &[MigrationWait, Blocked, FaultRetried],
        false,
    ),
    (
        "faults-refuse-each-other-on-6-12",
        &[MigrationWait, Blocked, FaultRetried],
        true,
    ),
    ("anon-vma-without-recheck", &[], true),
    ("anon-vma-without-recheck-on-6-12", &[], true),
];

/// Every name in the lists.
pub fn names() -> impl Iterator<Item = &'static str> {
    let unseen = UNSEEN.iter().map(|(name, ..)| name);
    ONE.iter().chain(NONE).chain(unseen).copied()
}

/// `race` with what is asked of loom.
pub(super) fn of(race: Race) -> Race {
    let bound = match &*race.name {
        name if NONE.contains(&name) => 0,
        name if ONE.contains(&name) => 1,
        _ => BOUND,
    };
    let unseen = UNSEEN.iter().find(|(name, ..)| *name == race.name);
    let (events, breaks) =
        unseen.map_or((&[] as _, false), |(_, events, breaks)| (*events, *breaks));
    Race {
        loom: Some(ByLoom {
            bound,
            unseen: events,
            breaks_unseen: breaks,
        }),
        ..race
    }
}
