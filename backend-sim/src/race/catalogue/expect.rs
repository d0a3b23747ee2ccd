//! What comes of each race that somebody thought of, on each shape, beside what it names itself: what only an interleaving
//! shows, and what `AsPosted` makes of it. A race that is not in the table says neither, and a test does not let it.

use crate::event::Event::{self, *};
use crate::race::defect::Defect::{self, *};
use crate::race::{Effort, Posted, Race};
use migrate_pin_core::policy::ShapeKind;

/// Of one race.
struct Expected {
    name: &'static str,
    /// What it reaches with a preemption, and not without.
    interleaved: &'static [Event],
    /// Of that and of what it names, what it reaches on 5.11 only: there a busy lock is tried again in prepare, and the flush comes
    /// after the PTL.
    only_5_11: &'static [Event],
    /// What `AsPosted` shows on 5.11,
    shows: &'static [Defect],
    /// and on 6.12.
    modern: &'static [Defect],
}

const fn expected(
    name: &'static str,
    interleaved: &'static [Event],
    only_5_11: &'static [Event],
    shows: &'static [Defect],
    modern: &'static [Defect],
) -> Expected {
    Expected {
        name,
        interleaved,
        only_5_11,
        shows,
        modern,
    }
}

/// Longer than 200 operations on 6.12 with two preemptions, so that they are explored with one there.
const LONG: &[&str] = &[
    "two-drivers-opposite-order",
    "dma-huge",
    "two-drivers-write",
];

const TABLE: &[Expected] = &[
    expected(
        "acquire-write",
        &[
            TrylockBusy,
            StaleTlbHit,
            FaultRetried,
            MigrationWait,
            Blocked,
        ],
        &[],
        &[],
        &[RefusedUnpinPut],
    ),
    expected(
        "acquire-read",
        &[
            TrylockBusy,
            StaleTlbHit,
            FaultRetried,
            MigrationWait,
            Blocked,
        ],
        &[],
        &[],
        &[RefusedUnpinPut],
    ),
    expected(
        "acquire-atomics",
        &[
            TrylockBusy,
            StaleTlbHit,
            FaultRetried,
            MigrationWait,
            Blocked,
            DeviceFault,
        ],
        &[],
        &[],
        &[RefusedUnpinPut],
    ),
    expected(
        "pages-write",
        &[
            TrylockBusy,
            StaleTlbHit,
            FaultRetried,
            MigrationWait,
            Blocked,
        ],
        &[],
        &[],
        &[RefusedUnpinPut],
    ),
    expected(
        "give-up-write",
        &[StaleTlbHit, MigrationWait, Blocked],
        &[],
        &[FailedPinKept],
        &[FailedPinKept],
    ),
    expected("device-add-write", &[], &[], &[], &[]),
    expected(
        "fault-fault",
        &[MigrationWait, Blocked, FaultRetried],
        &[],
        &[],
        &[RefusedUnpinPut],
    ),
    expected(
        "fault-release",
        &[MigrationWait, Blocked, FaultRetried],
        &[],
        &[],
        &[RefusedUnpinPut],
    ),
    expected(
        "grant-write",
        &[TrylockBusy, FaultRetried, Blocked],
        &[],
        &[],
        &[RefusedUnpinPut],
    ),
    expected(
        "to-device-write",
        &[
            TrylockBusy,
            StaleTlbHit,
            FaultRetried,
            MigrationWait,
            Blocked,
        ],
        &[Restore],
        &[],
        &[],
    ),
    expected(
        "device-page-fault-fault",
        &[MigrationWait, Blocked, FaultRetried],
        &[],
        &[],
        &[],
    ),
    expected(
        "hole-acquire-write",
        &[FaultRetried, TrylockBusy, MigrationWait, Blocked],
        &[],
        &[],
        &[RefusedUnpinPut],
    ),
    expected(
        "two-drivers-opposite-order",
        &[NotifierRetry, NotifierBusy],
        &[Unpinned],
        &[],
        &[],
    ),
    expected(
        "two-drivers-overlapping",
        &[NotifierRetry, NotifierBusy],
        &[],
        &[],
        &[],
    ),
    expected("one-driver-twice", &[DeviceFault], &[], &[], &[]),
    expected(
        "acquire-revoke",
        &[TrylockBusy, DeviceFault],
        &[Restore, IsolateFailed, NotifierRetry],
        &[],
        &[],
    ),
    expected(
        "acquire-to-device",
        &[NotifierRetry, NotifierBusy],
        &[],
        &[],
        &[],
    ),
    expected(
        "last-device-page",
        &[],
        &[],
        &[FailedPinKept],
        &[FailedPinKept],
    ),
    expected("last-mapping", &[], &[], &[], &[]),
    expected("last-pin-record", &[], &[], &[], &[]),
    expected(
        "failing-device-page",
        &[StaleTlbHit, MigrationWait, Blocked],
        &[],
        &[FailedPinKept],
        &[FailedPinKept],
    ),
    expected(
        "notifier-retry",
        &[MigrationEntryZapped, NotifierRetry, NotifierBusy],
        &[],
        &[],
        &[],
    ),
    expected(
        "gup-before",
        &[TrylockBusy, Blocked, PinRefused],
        &[NotifierRetry],
        &[],
        &[],
    ),
    expected(
        "gup-while",
        &[
            TrylockBusy,
            MigrationWait,
            Blocked,
            PinRefused,
            GupFastBackedOut,
            OlderReference,
        ],
        &[NotifierRetry],
        &[],
        &[RefusedUnpinPut],
    ),
    expected("gup-after", &[], &[], &[], &[]),
    expected(
        "dma-before",
        &[TrylockBusy, Blocked],
        &[NotifierRetry],
        &[],
        &[],
    ),
    expected(
        "dma-while",
        &[
            TrylockBusy,
            MigrationWait,
            Blocked,
            PinRefused,
            GupFastBackedOut,
        ],
        &[Restore, NotifierRetry],
        &[],
        &[RefusedUnpinPut],
    ),
    expected("dma-after", &[], &[], &[], &[]),
    expected(
        "dma-slow-while",
        &[TrylockBusy, Restore, MigrationWait, Blocked],
        &[NotifierRetry],
        &[],
        &[FailedPinKept, RefusedUnpinPut],
    ),
    expected(
        "gup-to-device",
        &[
            TrylockBusy,
            Restore,
            MigrationWait,
            Blocked,
            GupFastBackedOut,
        ],
        &[NotifierRetry],
        &[],
        &[],
    ),
    expected(
        "dma-huge",
        &[MigrationWait, Blocked, HugeSplitFailed, GupFastBackedOut],
        &[],
        &[],
        &[],
    ),
    expected(
        "fork-acquire",
        &[Blocked],
        &[],
        &[FailedPinKept],
        &[FailedPinKept],
    ),
    expected("fork-acquired", &[], &[], &[], &[]),
    expected("fork-fault", &[Blocked], &[], &[], &[]),
    expected("fork-to-device", &[Blocked], &[], &[], &[]),
    expected("munmap-acquire", &[Blocked], &[], &[], &[]),
    expected("munmap-acquired", &[], &[], &[], &[]),
    expected("munmap-fault", &[FaultRetried, Blocked], &[], &[], &[]),
    expected(
        "mprotect-acquire",
        &[Blocked],
        &[],
        &[FailedPinKept],
        &[FailedPinKept],
    ),
    expected("mprotect-fault", &[FaultRetried, Blocked], &[], &[], &[]),
    expected(
        "dontneed-acquire",
        &[MigrationEntryZapped, NotifierRetry, NotifierBusy],
        &[],
        &[],
        &[],
    ),
    expected(
        "dontneed-fault",
        &[MigrationEntryZapped, FaultRetried],
        &[],
        &[],
        &[],
    ),
    expected(
        "dontneed-to-device",
        &[MigrationEntryZapped, NotifierBusy],
        &[],
        &[],
        &[],
    ),
    expected("exit-acquire", &[Blocked], &[], &[], &[]),
    expected("exit-fault", &[FaultRetried, Blocked], &[], &[], &[]),
    expected(
        "oom-reap-acquire",
        &[MigrationEntryZapped, NotifierRetry, NotifierBusy],
        &[],
        &[],
        &[],
    ),
    expected(
        "oom-reap-fault",
        &[MigrationEntryZapped, FaultRetried],
        &[],
        &[],
        &[],
    ),
    expected(
        "reclaim-acquire",
        &[
            TrylockBusy,
            Restore,
            IsolateFailed,
            NotifierBusy,
            FreezeFailed,
        ],
        &[],
        &[FailedPinKept],
        &[],
    ),
    expected("reclaim-acquired", &[], &[], &[], &[]),
    expected(
        "reclaim-swap-cached",
        &[TrylockBusy, IsolateFailed, NotifierBusy, FreezeFailed],
        &[],
        &[FailedPinKept],
        &[FailedPinKept],
    ),
    expected(
        "reclaim-to-device",
        &[
            TrylockBusy,
            Restore,
            IsolateFailed,
            NotifierBusy,
            FreezeFailed,
        ],
        &[],
        &[],
        &[],
    ),
    expected(
        "compact-acquire",
        &[
            TrylockBusy,
            Restore,
            PinRefused,
            IsolateFailed,
            DeviceFault,
            NotifierRetry,
            NotifierBusy,
        ],
        &[],
        &[],
        &[],
    ),
    expected("compact-acquired", &[], &[], &[], &[]),
    expected(
        "compact-to-device",
        &[
            TrylockBusy,
            Restore,
            IsolateFailed,
            NotifierRetry,
            NotifierBusy,
        ],
        &[],
        &[],
        &[],
    ),
    expected(
        "batch-acquire",
        &[Restore, PinRefused, IsolateFailed],
        &[],
        &[],
        &[],
    ),
    expected(
        "lock-acquire",
        &[TrylockBusy, PinRefused],
        &[NotifierRetry],
        &[],
        &[],
    ),
    expected(
        "lock-original-fault",
        &[TrylockBusy, Restore, FaultRetried, Blocked],
        &[],
        &[],
        &[],
    ),
    expected("isolate-acquire", &[Restore, PinRefused], &[], &[], &[]),
    expected(
        "writeback-to-device",
        &[TrylockBusy],
        &[],
        &[FailedPinKept],
        &[FailedPinKept],
    ),
    expected(
        "acquire-write-dontneed",
        &[
            TrylockBusy,
            MigrationEntryZapped,
            StaleTlbHit,
            FaultRetried,
            MigrationWait,
            Blocked,
            NotifierRetry,
            NotifierBusy,
        ],
        &[],
        &[LateFlush],
        &[RefusedUnpinPut],
    ),
    expected(
        "acquire-reclaim-read",
        &[
            TrylockBusy,
            FaultRetried,
            MigrationWait,
            Blocked,
            IsolateFailed,
            NotifierBusy,
            SwapCacheHit,
            FreezeFailed,
        ],
        &[],
        &[FailedPinKept],
        &[FailedPinKept, RefusedUnpinPut],
    ),
    expected(
        "acquire-fork-child",
        &[MigrationWait, Blocked, UnmapIncomplete],
        &[],
        &[FailedPinKept, PinWithoutMigrate],
        &[FailedPinKept, PinWithoutMigrate],
    ),
    expected(
        "two-drivers-write",
        &[
            TrylockBusy,
            FaultRetried,
            MigrationWait,
            Blocked,
            NotifierRetry,
            NotifierBusy,
        ],
        &[IsolateFailed],
        &[FailedPinKept],
        &[FailedPinKept, RefusedUnpinPut],
    ),
    expected(
        "fault-fault-revoke",
        &[MigrationWait, Blocked, FaultRetried],
        &[],
        &[],
        &[RefusedUnpinPut],
    ),
    expected(
        "posted-driver-dontneed",
        &[MigrationEntryZapped, DeviceFault],
        &[],
        &[PageFreeDropsBiasOnly, NotifierNotAsked],
        &[],
    ),
    expected(
        "posted-driver-fork",
        &[Blocked, DeviceFault],
        &[],
        &[PageFreeDropsBiasOnly, WriteNotLookedAt],
        &[],
    ),
    expected(
        "posted-driver-munmap",
        &[],
        &[],
        &[PageFreeDropsBiasOnly],
        &[],
    ),
    expected(
        "unpin-referenced",
        &[MigrationWait, Blocked, FaultRetried],
        &[],
        &[],
        &[RefusedUnpinPut],
    ),
    expected(
        "mprotect-while-pinning",
        &[],
        &[],
        &[FailedPinKept],
        &[FailedPinKept],
    ),
    expected(
        "swap-in-while-pinning",
        &[],
        &[],
        &[FailedPinKept],
        &[FailedPinKept],
    ),
    expected("dontneed-reads-stale", &[], &[], &[LateFlush], &[]),
    expected(
        "faults-refuse-each-other",
        &[],
        &[],
        &[],
        &[FaultsRefuseEachOther],
    ),
    expected(
        "huge-page-busy",
        &[],
        &[],
        &[BusyHugePageKept],
        &[BusyHugePageKept],
    ),
    expected("pages-fork", &[], &[], &[], &[]),
    expected("finalize-fork", &[], &[], &[], &[]),
    expected("release-fork", &[Blocked], &[], &[], &[]),
    expected("pages-munmap", &[], &[], &[], &[]),
    expected("finalize-munmap", &[], &[], &[], &[]),
    expected("release-munmap", &[Blocked], &[], &[], &[]),
    expected("pages-mprotect", &[], &[], &[], &[]),
    expected("finalize-mprotect", &[], &[], &[], &[]),
    expected("release-mprotect", &[Blocked], &[], &[], &[]),
    expected("pages-dontneed", &[], &[], &[], &[]),
    expected("finalize-dontneed", &[], &[], &[], &[]),
    expected("release-dontneed", &[MigrationEntryZapped], &[], &[], &[]),
    expected("pages-exit", &[], &[], &[], &[]),
    expected("finalize-exit", &[], &[], &[], &[]),
    expected("release-exit", &[Blocked], &[], &[], &[]),
    expected("pages-reclaim", &[], &[], &[], &[]),
    expected("finalize-reclaim", &[], &[], &[], &[]),
    expected("release-reclaim", &[], &[], &[], &[]),
    expected("pages-compact", &[], &[], &[], &[]),
    expected("finalize-compact", &[], &[], &[], &[]),
    expected("release-compact", &[], &[], &[], &[]),
    expected("pages-migration", &[], &[], &[], &[]),
    expected("finalize-migration", &[], &[], &[], &[]),
    expected(
        "release-migration",
        &[TrylockBusy, Restore, NotifierRetry, NotifierBusy],
        &[IsolateFailed],
        &[],
        &[],
    ),
    expected("migration-fault", &[], &[], &[], &[]),
];

/// `race` with what is expected of it.
pub(super) fn of(race: Race) -> Race {
    let name = race.name.strip_suffix("-on-6-12").unwrap_or(&race.name);
    let Some(expected) = TABLE.iter().find(|expected| expected.name == name) else {
        return race;
    };
    let modern = race.config.shape == ShapeKind::V6_12;
    let (shows, effort) = match modern {
        true if LONG.contains(&expected.name) => (expected.modern, Effort::Bound(1)),
        true => (expected.modern, race.effort),
        false => (expected.shows, race.effort),
    };
    let posted = match shows {
        [] => Posted::Holds,
        _ => Posted::Shows(shows),
    };
    let here = |events: &[Event]| -> Vec<Event> {
        let only = |event: &Event| modern && expected.only_5_11.contains(event);
        let events = events.iter().copied();
        events.filter(|event| !only(event)).collect()
    };
    let interleaved = [expected.interleaved, expected.only_5_11].concat();
    // What the race names itself may take a preemption as well, or may not: that is not said there.
    let (events, interleaved) = (here(&race.events), here(&interleaved));
    Race {
        events: events.into(),
        interleaved: interleaved.into(),
        effort,
        posted: Some(posted),
        ..race
    }
}
