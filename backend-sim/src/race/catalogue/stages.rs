//! *stages*: the second half of a pin, and its release, each against all that may come in between.
//!
//! The other rooms let an opponent race with all of an acquire; here the stages before are given, so that whatever the
//! opponent does falls into the one that is named: `-pages` has pages, map and finalize before it, `-finalize` only the
//! last, `-restore` a pin that is given up, so that finalize puts the mapping back, `-release` the driver that gives a pinned
//! page back and `-fault` a CPU that takes it. The scope page has a table of which race stands for which pair.

use super::short::*;
use crate::driver::session::Purpose;
use crate::event::Event;
use crate::race::Race;
use crate::scenario::{By, Step};
use migrate_pin_core::Access;

/// Unmapped, and a device page provided.
const SETUP: By = By(
    0,
    Step::Setup {
        at: 1,
        pages: 1,
        purpose: Purpose::Pin(Access::Write),
    },
);

/// Pages is next.
const UNMAPPED: &[By] = &[By(1, Step::Write(1, 7)), SETUP, By(0, Step::Provide)];
/// Finalize is next.
const MAPPED: &[By] = &[
    By(1, Step::Write(1, 7)),
    SETUP,
    By(0, Step::Provide),
    By(0, Step::Pages),
    By(0, Step::Map),
];
/// Nothing was provided.
const GIVEN_UP: &[By] = &[By(1, Step::Write(1, 7)), SETUP];

const PAGES: &[Step] = &[Step::Pages, Step::Map, Step::Finalize];
const FINALIZE: &[Step] = &[Step::Finalize];
const RESTORE: &[Step] = &[Step::Pages, Step::Finalize];
const RELEASE: &[Step] = &[REVOKE];
const FAULT: &[Step] = &[Step::Write(1, 20)];

const READ: &[Step] = &[Step::Read(1)];
const WRITE: &[Step] = &[Step::Write(1, 30)];
const FORK: &[Step] = &[Step::Fork(B)];
const RECLAIM: &[Step] = &[Step::Reclaim(1)];
const COMPACT: &[Step] = &[Step::Compact(1)];
/// The page comes back by a CPU's batch, where neither finds it.
const RECLAIM_DRAINED: &[Step] = &[Step::Drain, Step::Reclaim(1)];
const COMPACT_DRAINED: &[Step] = &[Step::Drain, Step::Compact(1)];
/// Another driver unmaps the page for its device and gives up: with all of a migration after the fault it would be more than
/// 200 operations.
const UNMAP: &[Step] = &[
    Step::Setup {
        at: 1,
        pages: 1,
        purpose: Purpose::ToDevice,
    },
    Step::Abandon,
];
const SHORT: &[Step] = &[gup(1), Step::GupWrite(9), Step::GupPut];
const DMA: &[Step] = &[dma_pin(1), Step::GupWrite(9), Step::GupPut];

fn pages(name: &'static str, about: &'static str, who: &[Step], events: &'static [Event]) -> Race {
    race(name, about, &[PAGES, who], events).given(UNMAPPED)
}

fn finalize(
    name: &'static str,
    about: &'static str,
    who: &[Step],
    events: &'static [Event],
) -> Race {
    race(name, about, &[FINALIZE, who], events).given(MAPPED)
}

fn restore(
    name: &'static str,
    about: &'static str,
    who: &[Step],
    events: &'static [Event],
) -> Race {
    race(name, about, &[RESTORE, who], events).given(GIVEN_UP)
}

fn release(
    name: &'static str,
    about: &'static str,
    who: &[Step],
    events: &'static [Event],
) -> Race {
    race(name, about, &[RELEASE, who], events).given(ACQUIRED)
}

fn fault(name: &'static str, about: &'static str, who: &[Step], events: &'static [Event]) -> Race {
    race(name, about, &[FAULT, who], events).given(ACQUIRED)
}

pub(super) fn races() -> Vec<Race> {
    vec![
        pages(
            "read-pages",
            "a CPU reads a page whose pin is in pages",
            READ,
            &[Event::MigrationWait, Event::FaultedBack],
        ),
        pages(
            "write-pages",
            "a CPU writes a page whose pin is in pages",
            WRITE,
            &[Event::MigrationWait, Event::FaultedBack],
        ),
        pages(
            "fork-pages",
            "a process forks while a pin is in pages",
            FORK,
            &[Event::Blocked, Event::ForkDevicePrivate],
        ),
        pages(
            "munmap-pages",
            "a page is unmapped while its pin is in pages",
            &[MUNMAP],
            &[Event::Blocked, Event::PageFreeWithPair],
        ),
        pages(
            "mprotect-pages",
            "a page is write-protected while its pin is in pages",
            &[PROTECT],
            &[Event::Blocked, Event::DeviceRevoked],
        ),
        pages(
            "dontneed-pages",
            "MADV_DONTNEED of a page while its pin is in pages",
            &[DONTNEED],
            &[
                Event::MigrationEntryZapped,
                Event::NotifierRetry,
                Event::PageFreeWithPair,
            ],
        ),
        pages(
            "exit-pages",
            "a process exits while a pin is in pages",
            &[Step::Exit],
            &[Event::Blocked, Event::PageFreeWithPair],
        ),
        pages(
            "reclaim-pages",
            "reclaim looks at a page whose pin is in pages",
            RECLAIM,
            &[Event::ReclaimRefused, Event::Acquired],
        ),
        pages(
            "compact-pages",
            "compaction looks at a page whose pin is in pages",
            COMPACT,
            &[Event::CompactionRefused, Event::Acquired],
        ),
        pages(
            "to-device-pages",
            "another driver migrates a page whose pin is in pages",
            &[TO_DEVICE],
            &[Event::NotifierRetry, Event::DeviceRevoked, Event::Acquired],
        )
        .on(TWO_DEVICES),
        pages(
            "gup-pages",
            "a short reference is taken while a pin is in pages",
            SHORT,
            &[
                Event::MigrationWait,
                Event::TrylockBusy,
                Event::GupSlow,
                Event::FaultedBack,
            ],
        ),
        pages(
            "dma-pages",
            "a DMA pin is taken while a pin is in pages",
            DMA,
            &[
                Event::MigrationWait,
                Event::TrylockBusy,
                Event::GupSlow,
                Event::GupPinned,
                Event::FaultedBack,
            ],
        ),
        finalize(
            "read-finalize",
            "a CPU reads a page whose pin is finalized",
            READ,
            &[Event::MigrationWait, Event::FaultedBack],
        ),
        finalize(
            "write-finalize",
            "a CPU writes a page whose pin is finalized",
            WRITE,
            &[Event::MigrationWait, Event::FaultedBack],
        ),
        finalize(
            "fork-finalize",
            "a process forks while a pin is finalized",
            FORK,
            &[Event::Blocked, Event::ForkDevicePrivate],
        ),
        finalize(
            "munmap-finalize",
            "a page is unmapped while its pin is finalized",
            &[MUNMAP],
            &[Event::Blocked, Event::PageFreeWithPair],
        ),
        finalize(
            "mprotect-finalize",
            "a page is write-protected while its pin is finalized",
            &[PROTECT],
            &[Event::Blocked, Event::DeviceRevoked],
        ),
        finalize(
            "dontneed-finalize",
            "MADV_DONTNEED of a page while its pin is finalized",
            &[DONTNEED],
            &[Event::MigrationEntryZapped, Event::PageFreeWithPair],
        ),
        finalize(
            "exit-finalize",
            "a process exits while a pin is finalized",
            &[Step::Exit],
            &[Event::Blocked, Event::PageFreeWithPair],
        ),
        finalize(
            "reclaim-finalize",
            "reclaim looks at a page whose pin is finalized",
            RECLAIM,
            &[Event::ReclaimRefused],
        ),
        finalize(
            "compact-finalize",
            "compaction looks at a page whose pin is finalized",
            COMPACT,
            &[Event::CompactionRefused],
        ),
        finalize(
            "to-device-finalize",
            "another driver migrates a page whose pin is finalized",
            &[TO_DEVICE],
            &[Event::DeviceRevoked],
        )
        .on(TWO_DEVICES),
        finalize(
            "gup-finalize",
            "a short reference is taken while a pin is finalized",
            SHORT,
            &[
                Event::MigrationWait,
                Event::TrylockBusy,
                Event::GupSlow,
                Event::FaultedBack,
            ],
        ),
        finalize(
            "dma-finalize",
            "a DMA pin is taken while a pin is finalized",
            DMA,
            &[
                Event::MigrationWait,
                Event::TrylockBusy,
                Event::GupSlow,
                Event::GupPinned,
                Event::FaultedBack,
            ],
        ),
        restore(
            "read-restore",
            "a CPU reads a page whose pin comes to nothing",
            READ,
            &[Event::Restore, Event::MigrationWait],
        ),
        restore(
            "write-restore",
            "a CPU writes a page whose pin comes to nothing",
            WRITE,
            &[Event::Restore, Event::MigrationWait],
        ),
        restore(
            "fork-restore",
            "a process forks while a pin comes to nothing",
            FORK,
            &[Event::Restore, Event::Blocked],
        ),
        restore(
            "dontneed-restore",
            "MADV_DONTNEED of a page while its pin comes to nothing",
            &[DONTNEED],
            &[Event::Restore, Event::MigrationEntryZapped],
        ),
        restore(
            "reclaim-restore",
            "reclaim looks at a page whose pin comes to nothing",
            RECLAIM_DRAINED,
            &[Event::Restore, Event::ReclaimRefused, Event::Reclaimed],
        ),
        restore(
            "compact-restore",
            "compaction looks at a page whose pin comes to nothing",
            COMPACT_DRAINED,
            &[Event::Restore, Event::CompactionRefused, Event::Compacted],
        ),
        restore(
            "to-device-restore",
            "another driver migrates a page whose pin comes to nothing",
            &[TO_DEVICE],
            &[Event::Restore, Event::TrylockBusy, Event::MigratedToDevice],
        )
        .on(TWO_DEVICES),
        restore(
            "gup-restore",
            "a short reference is taken while a pin comes to nothing",
            SHORT,
            &[
                Event::Restore,
                Event::MigrationWait,
                Event::TrylockBusy,
                Event::GupFast,
                Event::GupSlow,
            ],
        ),
        restore(
            "dma-restore",
            "a DMA pin is taken while a pin comes to nothing",
            DMA,
            &[
                Event::Restore,
                Event::MigrationWait,
                Event::TrylockBusy,
                Event::GupFast,
                Event::GupSlow,
                Event::GupPinned,
            ],
        ),
        release(
            "write-release",
            "a CPU writes a pinned page that its driver gives back",
            WRITE,
            &[
                Event::FaultedBack,
                Event::MigrationWait,
                Event::DeviceRevokedDirty,
            ],
        ),
        release(
            "fork-release",
            "a process forks while a driver gives its page back",
            FORK,
            &[
                Event::Blocked,
                Event::ForkDevicePrivate,
                Event::DeviceRevokedDirty,
            ],
        ),
        release(
            "munmap-release",
            "a page is unmapped while its driver gives it back",
            &[MUNMAP],
            &[
                Event::Blocked,
                Event::PageFreeWithPair,
                Event::DeviceRevokedDirty,
            ],
        ),
        release(
            "mprotect-release",
            "a page is write-protected while its driver gives it back",
            &[PROTECT],
            &[Event::Blocked, Event::DeviceRevokedDirty],
        ),
        release(
            "dontneed-release",
            "MADV_DONTNEED of a page while its driver gives it back",
            &[DONTNEED],
            &[
                Event::MigrationEntryZapped,
                Event::PageFreeWithPair,
                Event::DeviceRevokedDirty,
            ],
        ),
        release(
            "exit-release",
            "a process exits while a driver gives its page back",
            &[Step::Exit],
            &[Event::Blocked, Event::PageFreeWithPair],
        ),
        release(
            "reclaim-release",
            "reclaim looks at a page that its driver gives back",
            RECLAIM_DRAINED,
            &[Event::ReclaimRefused, Event::Reclaimed],
        ),
        release(
            "compact-release",
            "compaction looks at a page that its driver gives back",
            COMPACT_DRAINED,
            &[Event::CompactionRefused, Event::Compacted],
        ),
        release(
            "to-device-release",
            "another driver migrates a page that its driver gives back",
            &[TO_DEVICE],
            &[
                Event::TrylockBusy,
                Event::Restore,
                Event::NotifierRetry,
                Event::NotifierBusy,
                Event::MigratedToDevice,
            ],
        )
        .on(TWO_DEVICES),
        release(
            "gup-release",
            "a short reference is taken on a page that its driver gives back",
            SHORT,
            &[
                Event::MigrationWait,
                Event::TrylockBusy,
                Event::GupFast,
                Event::GupSlow,
            ],
        ),
        release(
            "dma-release",
            "a DMA pin is taken on a page that its driver gives back",
            DMA,
            &[
                Event::MigrationWait,
                Event::TrylockBusy,
                Event::GupFast,
                Event::GupSlow,
                Event::GupPinned,
            ],
        ),
        fault(
            "read-fault",
            "a CPU reads a pinned page that another takes back",
            READ,
            &[
                Event::FaultedBack,
                Event::FaultRetried,
                Event::MigrationWait,
            ],
        ),
        fault(
            "to-device-fault",
            "another driver unmaps a page that a CPU takes back",
            UNMAP,
            &[
                Event::TrylockBusy,
                Event::FaultRetried,
                Event::MigrationWait,
            ],
        )
        .on(TWO_DEVICES),
        fault(
            "gup-fault",
            "a short reference is taken on a page that a CPU takes back",
            SHORT,
            &[
                Event::FaultRetried,
                Event::MigrationWait,
                Event::GupFast,
                Event::GupFastBackedOut,
                Event::GupSlow,
            ],
        ),
        fault(
            "dma-fault",
            "a DMA pin is taken on a page that a CPU takes back",
            DMA,
            &[
                Event::FaultRetried,
                Event::MigrationWait,
                Event::GupFast,
                Event::GupFastBackedOut,
                Event::GupSlow,
                Event::GupPinned,
            ],
        ),
    ]
}
