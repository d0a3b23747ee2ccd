//! *unmap*: the mappings that collect has not replaced, and the pin.
//!
//! That a reference comes between the checks of prepare and of unmap, so that unmap refuses a page without PIN for it,
//! takes another actor in the middle of setup: that is for the engines.

use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::catalogue::machines::*;
use crate::scenario::catalogue::short::*;
use crate::scenario::{By, Expect, Scenario, Step};
use crate::violation::Invariant;

pub(super) const ALL: &[Scenario] = &[
    MARKED,
    MAPPED_TWICE,
    MAPPED_TWICE_PIN,
    STILL_MAPPED,
    STILL_MAPPED_PIN,
    DMA_PINNED_PIN,
    ZAPPED,
    ZAPPED_PIN,
    MUNMAP_WAITS,
    DIRTY_BIT,
];

/// A page that a child shares.
const SHARED: Scenario = Scenario {
    config: FAMILY,
    populate: &[(A, 1, Populate::Written(7))],
    given: &[By(0, Step::Fork(B))],
    ..BASE
};

/// The child waits until its own entry is restored; it gets there through the rmap only.
const MAPPED_TWICE: Scenario = Scenario {
    name: "unmap-mapped-twice",
    about: "a page that two address spaces map is unmapped in both, and restored in both",
    steps: &[By(0, setup_out(1, 1)), By(2, Step::Read(1)), ABANDON],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED",
        "2 read 1: 7",
        "at a1: a1",
        "at b1: a1",
        "page a1: count 2, mapped 2, on the LRU",
    ]),
    events: &[Event::MigrationWait, Event::Blocked, Event::Restore],
    ..SHARED
};

/// The walk through the rmap has a notifier section for each area, that of the migration too, so that the driver has to
/// try again after finalize.
const MAPPED_TWICE_PIN: Scenario = Scenario {
    name: "unmap-mapped-twice-pin",
    about: "a page that two address spaces map is pinned, and both get the device page",
    steps: &[
        By(0, setup_pin_to_read(1, 1)),
        PROVIDE,
        PAGES,
        MAP,
        FINALIZE,
        By(0, grant_to_read(1)),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED PIN",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED PIN",
        "0 map: 0",
        "0 grant 1: Granted",
        "at a1: dev0 device-private",
        "device 0 at a1: a1",
        "at b1: dev0 device-private",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 3, mapped 2",
    ]),
    events: &[Event::Pinned, Event::Remap],
    ..SHARED
};

/// The third fallible call of the setup is `try_to_unmap()`, after the page lock and the isolation. The child's entry
/// is as the fork made it, dirty as its parent's was.
const STILL_MAPPED: Scenario = Scenario {
    name: "unmap-still-mapped",
    about: "a page that can't be unmapped everywhere is restored where it was",
    steps: &[By(0, Step::Fail(3)), By(0, setup_out(1, 1)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: a1",
        "at b1: a1 dirty",
        "page a1: count 2, mapped 2, on the LRU",
    ]),
    events: &[Event::Restore],
    ..SHARED
};

/// As posted, the bias is added though MIGRATE was cleared three tests before, and the page goes back to its mappings
/// and to the LRU with it (`if (migrate->src[i] & MIGRATE_PFN_PIN)` asks for PIN only).
const STILL_MAPPED_PIN: Scenario = Scenario {
    name: "unmap-still-mapped-pin",
    about: "a page that can't be unmapped everywhere is not pinned",
    steps: &[
        By(0, Step::Fail(3)),
        By(0, setup_pin_to_read(1, 1)),
        ABANDON,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: a1",
        "at b1: a1 dirty",
        "page a1: count 2, mapped 2, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Lru, Invariant::Pin]),
    events: &[Event::Restore],
    ..SHARED
};

const DMA_PINNED_PIN: Scenario = Scenario {
    name: "unmap-dma-pinned-pin",
    about:
        "a page that is pinned for DMA is not pinned for the device, though prepare lets it pass",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(1, dma_pin(1)),
        By(0, setup_pin(1, 1)),
        ABANDON,
        By(1, Step::GupPut),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::GupPinned, Event::Restore],
    ..BASE
};

const ZAPPED: Scenario = Scenario {
    name: "unmap-zapped",
    about: "MADV_DONTNEED takes the migration entry away, and nothing is restored",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_out(1, 1)),
        By(1, dont_need(1)),
        ABANDON,
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "1 read 1: 0",
        "at a1: zero",
        "page a1: free",
    ]),
    events: &[Event::MigrationEntryZapped, Event::PageFreed],
    ..BASE
};

/// The device page ends with finalize's reference on it, and `page_free` gives the original back.
const ZAPPED_PIN: Scenario = Scenario {
    name: "unmap-zapped-pin",
    about: "MADV_DONTNEED takes the migration entry of a pin away, and the pin is released at once",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(1, dont_need(1)),
        PROVIDE,
        PAGES,
        MAP,
        FINALIZE,
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 map: 0",
        "1 read 1: 0",
        "at a1: zero",
        "page a1: free",
    ]),
    events: &[
        Event::MigrationEntryZapped,
        Event::NotifierRetry,
        Event::PageFreeWithPair,
        Event::PageFreed,
    ],
    ..BASE
};

const MUNMAP_WAITS: Scenario = Scenario {
    name: "unmap-munmap-waits",
    about: "munmap waits for the end of the migration, and then takes the pinned page",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(1, munmap(1)),
        PROVIDE,
        PAGES,
        MAP,
        FINALIZE,
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 map: 1",
        "page a1: free",
    ]),
    events: &[
        Event::Blocked,
        Event::DeviceRevoked,
        Event::PageFreeWithPair,
        Event::PageFreed,
    ],
    ..BASE
};

/// The lock is busy in collect, so that it is unmap that clears the entry: `try_to_unmap()` hands the dirty bit on in
/// every kernel.
const DIRTY_BIT: Scenario = Scenario {
    name: "unmap-dirty-bit",
    about: "the dirty bit of an entry that unmap clears is not lost to the file",
    config: FILES,
    populate: &[(A, 4, Populate::Written(9))],
    given: &[
        By(0, setup_out(4, 1)),
        ABANDON,
        By(1, Step::Writeback(FILE, 0)),
    ],
    steps: &[
        By(0, Step::Write(4, 21)),
        By(0, Step::Fail(1)),
        By(0, setup_out(4, 1)),
        ABANDON,
        By(1, Step::Drain),
        By(1, Step::Reclaim(4)),
        By(0, Step::Read(4)),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a4 VALID MIGRATE LOCKED WRITE",
        "0 read 4: 21",
        "at a4: new0",
        // Reclaimed, and read back into a page of its own.
        "page a4: free",
        "page new0: count 2, mapped 1, on the LRU",
    ]),
    events: &[
        Event::HardwareDirty,
        Event::Writeback,
        Event::Reclaimed,
        Event::Restore,
    ],
    ..BASE
};

/// The same by way of the rmap: the page's lock is busy in collect and free in prepare.
const MARKED: Scenario = Scenario {
    name: "unmap-marked",
    about: "the soft-dirty and uffd-wp bits of an entry are carried over by unmap too",
    populate: &[(A, 1, Populate::Marked(7))],
    steps: &[By(0, Step::Fail(1)), By(0, setup_out(1, 1)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED",
        "at a1: a1 soft-dirty uffd-wp",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..BASE
};
