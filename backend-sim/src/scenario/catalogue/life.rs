//! What happens to a process and its memory before, while and after a page is pinned.
//!
//! The page holds 7 at first; the device adds to it, so that each read tells whether an atomic was lost.

use super::short::{
    acquire, acquire_to_read, actor, dma_pin, dont_need, grant, grant_to_read, gup, mprotect,
    munmap, setup_pin, A, B, BASE, FAMILY,
};
use crate::config::{Config, DeviceId, DeviceSpec, DriverKind, MirrorSpec, MmId};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::{By, Expect, Scenario, Step};
use crate::violation::Invariant;

pub(super) const ALL: &[Scenario] = &[
    FORK_BEFORE,
    FORK_BEFORE_SHARED,
    FORK_WHILE,
    FORK_AFTER,
    FORK_BOTH_PIN,
    MUNMAP_BEFORE,
    MUNMAP_WHILE,
    MUNMAP_AFTER,
    MPROTECT_BEFORE,
    MPROTECT_WHILE,
    MPROTECT_AFTER,
    DONTNEED_BEFORE,
    DONTNEED_WHILE,
    DONTNEED_BETWEEN,
    DONTNEED_AFTER,
    EXIT_BEFORE,
    EXIT_WHILE,
    EXIT_AFTER,
    RECLAIM_BEFORE,
    RECLAIM_WHILE,
    RECLAIM_AFTER,
    COMPACT_BEFORE,
    COMPACT_WHILE,
    COMPACT_AFTER,
    GUP_BEFORE,
    GUP_WHILE,
    GUP_AFTER,
    DMA_BEFORE,
    DMA_WHILE,
    DMA_AFTER,
    TWO_DEVICES,
];

/// One written page.
const WRITTEN: &[(MmId, u16, Populate)] = &[(A, 1, Populate::Written(7))];

// ---- fork ------------------------------------------------------------------------------------------------

const FORK_BEFORE: Scenario = Scenario {
    name: "life-fork-before",
    about: "a page is pinned that was copied on write after a fork; the child keeps the old one",
    config: FAMILY,
    populate: WRITTEN,
    steps: &[
        By(0, Step::Fork(B)),
        By(0, Step::Write(1, 8)),
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(2, Step::Read(1)),
        By(0, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 8",
        "2 read 1: 7",
        "0 read 1: 9",
        "at a1: new0 write",
        "at b1: a1 dirty",
        "page a1: count 1, mapped 1, on the LRU",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::CowCopy, Event::FaultedBack],
    ..BASE
};

/// The device must not write what the child may read as its own. As posted the driver's refusal comes after the
/// pin, and the page is pinned for good.
const FORK_BEFORE_SHARED: Scenario = Scenario {
    name: "life-fork-before-shared",
    about: "a page that is shared with a child is not given to the device to write",
    config: FAMILY,
    populate: WRITTEN,
    steps: &[
        By(0, Step::Fork(B)),
        By(0, acquire(1, 1)),
        By(2, Step::Read(1)),
        By(0, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 0 of 1",
        "2 read 1: 7",
        "0 read 1: 7",
        "at a1: a1",
        "at b1: a1",
        "page a1: count 2, mapped 2, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::Pinned, Event::Unpinned],
    ..BASE
};

/// The fork takes the device's mapping and leaves the page pinned. From then on it is shared: the device may read
/// it, not write.
const FORK_WHILE: Scenario = Scenario {
    name: "life-fork-while",
    about: "a page is forked while it is pinned; the child takes it back for both",
    config: FAMILY,
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, Step::Fork(B)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, grant(1)),
        By(0, grant_to_read(1)),
        By(0, Step::DeviceRead(1)),
        By(2, Step::Read(1)),
        By(0, Step::Write(1, 20)),
        By(0, Step::Read(1)),
        By(2, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "0 device add 1: no mapping",
        "0 grant 1: NotPinned",
        "0 grant 1: Granted",
        "0 device read 1: 8",
        "2 read 1: 8",
        "0 read 1: 20",
        "2 read 1: 8",
        "at a1: new0 write dirty",
        "at b1: a1",
        "page a1: count 1, mapped 1, on the LRU",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[
        Event::ForkDevicePrivate,
        Event::DeviceRevokedDirty,
        Event::FaultedBack,
        Event::CowCopy,
    ],
    ..BASE
};

const FORK_AFTER: Scenario = Scenario {
    name: "life-fork-after",
    about: "a page is forked that was pinned before",
    config: FAMILY,
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
        By(0, Step::Fork(B)),
        By(0, Step::Write(1, 20)),
        By(2, Step::Read(1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "2 read 1: 8",
        "1 read 1: 20",
        "at a1: new0 write dirty",
        "at b1: a1",
        "page a1: count 1, mapped 1, on the LRU",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::FaultedBack, Event::CowCopy],
    ..BASE
};

/// The LRU is drained before the parent writes, so that its page is reused.
const FORK_BOTH_PIN: Scenario = Scenario {
    name: "life-fork-both-pin",
    about: "parent and child each pin their own page of what was one, on one device",
    config: Config {
        mirrors: &[
            MirrorSpec {
                device: DeviceId(0),
                mm: A,
            },
            MirrorSpec {
                device: DeviceId(0),
                mm: B,
            },
        ],
        ..FAMILY
    },
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, Step::Fork(B)),
        By(2, Step::Write(1, 50)),
        By(0, Step::Drain),
        By(0, Step::Write(1, 60)),
        By(0, acquire(1, 1)),
        By(2, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(2, Step::DeviceAdd(1, 1)),
        By(2, Step::Read(1)),
        By(0, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "0 acquire 1: 1 of 1",
        "2 acquire 1: 1 of 1",
        "0 device add 1: 60",
        "2 device add 1: 50",
        "2 read 1: 51",
        "0 read 1: 61",
        "at a1: a1 write",
        "at b1: new0 write",
        "page a1: count 1, mapped 1, on the LRU",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::CowCopy, Event::CowReuse, Event::FaultedBack],
    ..BASE
};

// ---- munmap ----------------------------------------------------------------------------------------------

const MUNMAP_BEFORE: Scenario = Scenario {
    name: "life-munmap-before",
    about: "there is nothing left to pin",
    populate: WRITTEN,
    steps: &[By(1, munmap(1)), By(0, acquire(1, 1))],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire: refused, errno 22: there is no area at the address; expected a mapped one",
        "page a1: free",
    ]),
    ..BASE
};

/// Nobody faults and nobody finalizes: `page_free` is the last chance.
const MUNMAP_WHILE: Scenario = Scenario {
    name: "life-munmap-while",
    about: "a page is unmapped while it is pinned, and freed",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, munmap(1)),
        By(0, Step::DeviceAdd(1, 1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "0 device add 1: no mapping",
        "page a1: free",
    ]),
    events: &[
        Event::DeviceRevokedDirty,
        Event::PageFreeWithPair,
        Event::Unpinned,
    ],
    ..BASE
};

const MUNMAP_AFTER: Scenario = Scenario {
    name: "life-munmap-after",
    about: "a page is unmapped that was pinned before, and freed",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
        By(1, munmap(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "page a1: free",
    ]),
    events: &[Event::FaultedBack, Event::PageFreed],
    ..BASE
};

// ---- mprotect --------------------------------------------------------------------------------------------

/// As posted the driver's refusal comes after the pin.
const MPROTECT_BEFORE: Scenario = Scenario {
    name: "life-mprotect-before",
    about: "a page that is mapped read-only is not given to the device to write",
    populate: WRITTEN,
    steps: &[
        By(1, mprotect(1, false)),
        By(0, acquire(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 0 of 1",
        "1 read 1: 7",
        "at a1: a1",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::Pinned, Event::Unpinned],
    ..BASE
};

/// Write permission that was taken does not come back with the area's: a CPU has to write first. The LRU is
/// drained before it does, so that the page is reused.
const MPROTECT_WHILE: Scenario = Scenario {
    name: "life-mprotect-while",
    about: "a pinned page becomes read-only and writable again",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, mprotect(1, false)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, grant_to_read(1)),
        By(0, Step::DeviceRead(1)),
        By(1, Step::Write(1, 9)),
        By(1, mprotect(1, true)),
        By(0, grant(1)),
        By(1, Step::Read(1)),
        By(1, Step::Drain),
        By(1, Step::Write(1, 9)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "0 device add 1: no mapping",
        "0 grant 1: Granted",
        "0 device read 1: 8",
        "1 write 1: Segv",
        "0 grant 1: NotPinned",
        "1 read 1: 8",
        "at a1: a1 write dirty",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::DeviceRevokedDirty, Event::Segv, Event::CowReuse],
    ..BASE
};

const MPROTECT_AFTER: Scenario = Scenario {
    name: "life-mprotect-after",
    about: "a page that was pinned becomes read-only, and is pinned again for reading",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
        By(1, mprotect(1, false)),
        By(0, acquire_to_read(1, 1)),
        By(0, Step::DeviceRead(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "0 acquire 1: 1 of 1",
        "0 device read 1: 8",
        "0 device add 1: no mapping",
        "1 read 1: 8",
        "at a1: a1",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::FaultedBack, Event::DeviceFault],
    ..BASE
};

// ---- MADV_DONTNEED ---------------------------------------------------------------------------------------

const DONTNEED_BEFORE: Scenario = Scenario {
    name: "life-dontneed-before",
    about: "the entry is empty: there is nothing to pin",
    populate: WRITTEN,
    steps: &[
        By(1, dont_need(1)),
        By(0, acquire(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 0 of 1",
        "1 read 1: 0",
        "at a1: zero",
        "page a1: free",
    ]),
    ..BASE
};

const DONTNEED_WHILE: Scenario = Scenario {
    name: "life-dontneed-while",
    about: "a pinned page is zapped, and freed",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, dont_need(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, grant(1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "0 device add 1: no mapping",
        "0 grant 1: NotPinned",
        "1 read 1: 0",
        "at a1: zero",
        "page a1: free",
    ]),
    events: &[Event::PageFreeWithPair, Event::Unpinned],
    ..BASE
};

/// The pin succeeds and is released at once: the device page has no mapping when finalize drops it.
const DONTNEED_BETWEEN: Scenario = Scenario {
    name: "life-dontneed-between",
    about: "the migration entry is zapped between two stages of a pin",
    populate: WRITTEN,
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::Provide),
        By(1, dont_need(1)),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 map: 0",
        "page a1: free",
    ]),
    events: &[
        Event::MigrationEntryZapped,
        Event::NotifierRetry,
        Event::PageFreeWithPair,
    ],
    ..BASE
};

const DONTNEED_AFTER: Scenario = Scenario {
    name: "life-dontneed-after",
    about: "a page is zapped that was pinned before",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
        By(1, dont_need(1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "1 read 1: 0",
        "at a1: zero",
        "page a1: free",
    ]),
    events: &[Event::FaultedBack],
    ..BASE
};

// ---- exit ------------------------------------------------------------------------------------------------

const EXIT_BEFORE: Scenario = Scenario {
    name: "life-exit-before",
    about: "the process is gone: there is nothing to pin",
    populate: WRITTEN,
    steps: &[By(1, Step::Exit), By(0, acquire(1, 1))],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire: refused, errno 22: there is no area at the address; expected a mapped one",
        "page a1: free",
    ]),
    ..BASE
};

const EXIT_WHILE: Scenario = Scenario {
    name: "life-exit-while",
    about: "the process exits while two pages are pinned, and they are freed",
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
    steps: &[
        By(0, acquire(1, 2)),
        By(0, Step::DeviceAdd(2, 1)),
        By(1, Step::Exit),
        By(0, Step::DeviceAdd(2, 1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 2 of 2",
        "0 device add 2: 8",
        "0 device add 2: no mapping",
        "page a1: free",
        "page a2: free",
    ]),
    events: &[
        Event::DeviceRevokedDirty,
        Event::PageFreeWithPair,
        Event::Unpinned,
    ],
    ..BASE
};

const EXIT_AFTER: Scenario = Scenario {
    name: "life-exit-after",
    about: "the process exits after a page was pinned, and it is freed",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(1, Step::Read(1)),
        By(1, Step::Exit),
    ],
    reorder: true,
    hardened: Expect::Lines(&["0 acquire 1: 1 of 1", "1 read 1: 7", "page a1: free"]),
    events: &[Event::FaultedBack, Event::PageFreed],
    ..BASE
};

// ---- reclaim ---------------------------------------------------------------------------------------------

const RECLAIM_BEFORE: Scenario = Scenario {
    name: "life-reclaim-before",
    about: "a page that is swapped out is pinned only when a CPU has brought it back",
    populate: &[(A, 1, Populate::Swapped(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(1, Step::Add(1, 1)),
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 0 of 1",
        "1 add 1: 7",
        "0 acquire 1: 1 of 1",
        "0 device add 1: 8",
        "1 read 1: 9",
        "at a1: new0 write",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::SwapIn, Event::FaultedBack],
    ..BASE
};

const RECLAIM_WHILE: Scenario = Scenario {
    name: "life-reclaim-while",
    about: "a pinned page can't be reclaimed",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Reclaim(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 reclaim 1: refused",
        "0 device add 1: 8",
        "1 read 1: 9",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::ReclaimRefused, Event::FaultedBack],
    ..BASE
};

const RECLAIM_AFTER: Scenario = Scenario {
    name: "life-reclaim-after",
    about: "a page that was pinned is swapped out with what the device has written",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
        By(0, acquire(1, 1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "0 acquire 1: 0 of 1",
        "at a1: swap",
        "page a1: free",
    ]),
    events: &[Event::FaultedBack, Event::SwapOut, Event::Reclaimed],
    ..BASE
};

// ---- compaction ------------------------------------------------------------------------------------------

const COMPACT_BEFORE: Scenario = Scenario {
    name: "life-compact-before",
    about: "a page is pinned where compaction has put it",
    populate: WRITTEN,
    steps: &[
        By(1, Step::Compact(1)),
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "at a1: new0 write",
        "page a1: free",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[
        Event::Compacted,
        Event::LruDrainedRemote,
        Event::FaultedBack,
    ],
    ..BASE
};

const COMPACT_WHILE: Scenario = Scenario {
    name: "life-compact-while",
    about: "a pinned page can't be moved",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Compact(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 compact 1: refused",
        "0 device add 1: 8",
        "1 read 1: 9",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::CompactionRefused, Event::FaultedBack],
    ..BASE
};

const COMPACT_AFTER: Scenario = Scenario {
    name: "life-compact-after",
    about: "a page that was pinned can be moved again",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
        By(1, Step::Drain),
        By(1, Step::Compact(1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "1 read 1: 8",
        "at a1: new0 write",
        "page a1: free",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::FaultedBack, Event::Compacted],
    ..BASE
};

// ---- get_user_pages() ------------------------------------------------------------------------------------

/// The page does not move, so that who has the reference writes to the right page.
const GUP_BEFORE: Scenario = Scenario {
    name: "life-gup-before",
    about: "a short reference that is older than the pin is tolerated",
    populate: WRITTEN,
    steps: &[
        By(1, gup(1)),
        By(0, acquire(1, 1)),
        By(1, Step::GupWrite(30)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::GupPut),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 30",
        "1 read 1: 31",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::GupFast, Event::Acquired, Event::FaultedBack],
    ..BASE
};

const GUP_WHILE: Scenario = Scenario {
    name: "life-gup-while",
    about: "a short reference to a pinned page takes it back from the device",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, gup(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::GupWrite(30)),
        By(1, Step::GupPut),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "0 device add 1: no mapping",
        "1 read 1: 30",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::GupSlow, Event::FaultedBack],
    ..BASE
};

const GUP_AFTER: Scenario = Scenario {
    name: "life-gup-after",
    about: "a page that was pinned is referenced, and pinned again meanwhile",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(1, Step::Read(1)),
        By(1, gup(1)),
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::GupPut),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "1 read 1: 7",
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::FaultedBack],
    ..BASE
};

/// Two biases on one page could not be told apart.
const DMA_BEFORE: Scenario = Scenario {
    name: "life-dma-pin-before",
    about: "a page that is pinned for DMA is left alone until that is over",
    populate: WRITTEN,
    steps: &[
        By(1, dma_pin(1)),
        By(0, acquire(1, 1)),
        By(1, Step::GupWrite(30)),
        By(1, Step::GupPut),
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 0 of 1",
        "0 acquire 1: 1 of 1",
        "0 device add 1: 30",
        "1 read 1: 31",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::GupPinned, Event::Restore, Event::FaultedBack],
    ..BASE
};

const DMA_WHILE: Scenario = Scenario {
    name: "life-dma-pin-while",
    about: "a pin for DMA takes a pinned page back, and keeps it",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(1, dma_pin(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, acquire(1, 1)),
        By(1, Step::GupPut),
        By(0, acquire(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: no mapping",
        "0 acquire 1: 0 of 1",
        "0 acquire 1: 1 of 1",
        "1 read 1: 7",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::GupPinned, Event::GupSlow, Event::FaultedBack],
    ..BASE
};

const DMA_AFTER: Scenario = Scenario {
    name: "life-dma-pin-after",
    about: "a page that was pinned is pinned for DMA, and left alone meanwhile",
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(1, Step::Read(1)),
        By(1, dma_pin(1)),
        By(0, acquire(1, 1)),
        By(1, Step::GupPut),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "1 read 1: 7",
        "0 acquire 1: 0 of 1",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::FaultedBack, Event::GupPinned],
    ..BASE
};

// ---- another device --------------------------------------------------------------------------------------

const CAREFUL: DeviceSpec = DeviceSpec {
    pages: 4,
    mappings: 8,
    driver: DriverKind::Careful,
};

/// The other driver's migration is an invalidation to the first, which asks for its mapping again.
const TWO_DEVICES: Scenario = Scenario {
    name: "life-two-devices",
    about: "two devices want one page; the second gets it by way of the CPU",
    config: Config {
        actors: &[actor(0, A), actor(1, A)],
        devices: &[CAREFUL, CAREFUL],
        mirrors: &[
            MirrorSpec {
                device: DeviceId(0),
                mm: A,
            },
            MirrorSpec {
                device: DeviceId(1),
                mm: A,
            },
        ],
        ..Config::SMALL
    },
    populate: WRITTEN,
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, grant(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
        By(1, acquire(1, 1)),
        By(1, Step::DeviceAdd(1, 1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 acquire 1: 0 of 1",
        "0 device add 1: no mapping",
        "0 grant 1: Granted",
        "0 device add 1: 8",
        "1 read 1: 9",
        "1 acquire 1: 1 of 1",
        "1 device add 1: 9",
        "at a1: dev0 device-private write",
        "device 1 at a1: a1",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
    ]),
    events: &[Event::Notified, Event::DeviceRevoked, Event::FaultedBack],
    ..BASE
};
