//! *prepare*: page locks, the LRU, and references that nobody accounts for.

use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::catalogue::machines::*;
use crate::scenario::catalogue::short::*;
use crate::scenario::{By, Expect, Scenario, Step};

pub(super) const ALL: &[Scenario] = &[
    LOCK_BUSY,
    ISOLATED,
    ISOLATED_STILL_MAPPED,
    BATCH_OF_OTHER,
    BATCH_OWN,
    REFERENCED,
    REFERENCED_STILL_MAPPED,
    REFERENCED_PIN,
    DMA_PINNED,
    SWAP_CACHE,
    PRIVATE_DATA,
];

/// A written page at 1.
const WRITTEN: Scenario = Scenario {
    populate: &[(A, 1, Populate::Written(7))],
    ..BASE
};

const LOCK_BUSY: Scenario = Scenario {
    name: "prepare-lock-busy",
    about: "a page that stays locked by another is refused and not touched, and PIN is lost",
    steps: &[
        By(1, Step::LockPage(1)),
        By(0, setup_pin(1, 1)),
        ABANDON,
        By(1, Step::UnlockPage),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: a1 write dirty",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::TrylockBusy],
    ..WRITTEN
};

const ISOLATED: Scenario = Scenario {
    name: "prepare-isolated",
    about: "a page that another has isolated is refused, and its entry restored",
    steps: &[
        By(1, Step::Isolate(1)),
        By(0, setup_pin(1, 1)),
        ABANDON,
        By(1, Step::Putback),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::IsolateFailed, Event::Restore],
    ..WRITTEN
};

/// The lock is busy in collect, so the entry is not replaced: the undo is another one.
const ISOLATED_STILL_MAPPED: Scenario = Scenario {
    name: "prepare-isolated-still-mapped",
    about: "a page that another has isolated is refused before its entry was replaced",
    steps: &[
        By(1, Step::Isolate(1)),
        By(0, Step::Fail(1)),
        By(0, setup_pin(1, 1)),
        ABANDON,
        By(1, Step::Putback),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: a1 write dirty",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::IsolateFailed],
    ..WRITTEN
};

const BATCH_OF_OTHER: Scenario = Scenario {
    name: "prepare-batch-of-other-cpu",
    about: "a page in the LRU batch of another CPU is drained from there",
    populate: &[(A, 1, Populate::WrittenInBatch(7, OTHER))],
    steps: &[By(0, setup_out(1, 1)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::LruDrainedRemote, Event::Restore],
    ..BASE
};

/// The write leaves the page in the batch of the CPU that migrates it.
const BATCH_OWN: Scenario = Scenario {
    name: "prepare-batch-own",
    about: "a page in the LRU batch of this CPU is drained first of all",
    steps: &[
        By(0, Step::Write(1, 7)),
        By(0, setup_pin(1, 1)),
        PROVIDE,
        PAGES,
        MAP,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: new0 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages:",
        "  0: new0 VALID MIGRATE LOCKED WRITE PIN",
        "0 map: 1",
        "at a1: dev0 device-private write",
        "device 0 at a1: new0",
        "page new0: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
    ]),
    events: &[Event::Fault, Event::Pinned],
    ..BASE
};

const REFERENCED: Scenario = Scenario {
    name: "prepare-referenced",
    about: "a page with a reference that nobody accounts for is refused, and its entry restored",
    steps: &[
        By(1, Step::GetPage(1)),
        By(0, setup_out(1, 1)),
        ABANDON,
        By(1, Step::PutPage),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..WRITTEN
};

const REFERENCED_STILL_MAPPED: Scenario = Scenario {
    name: "prepare-referenced-still-mapped",
    about: "a page with an unaccounted reference is refused before its entry was replaced",
    steps: &[
        By(1, Step::GetPage(1)),
        By(0, Step::Fail(1)),
        By(0, setup_out(1, 1)),
        ABANDON,
        By(1, Step::PutPage),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: a1 write dirty",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..WRITTEN
};

/// What MIGRATE_PFN_PIN is for: the page does not move, so who holds a reference keeps the right page.
const REFERENCED_PIN: Scenario = Scenario {
    name: "prepare-referenced-pin",
    about: "a page with an unaccounted reference can be pinned",
    steps: &[
        By(1, Step::GetPage(1)),
        By(0, setup_pin(1, 1)),
        PROVIDE,
        PAGES,
        MAP,
        FINALIZE,
        By(1, Step::PutPage),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 map: 1",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
    ]),
    events: &[Event::Pinned, Event::Remap],
    ..WRITTEN
};

/// Without PIN it is a reference like any other, or 1024 of them.
const DMA_PINNED: Scenario = Scenario {
    name: "prepare-dma-pinned",
    about: "a page that is pinned for DMA does not migrate",
    steps: &[
        By(1, dma_pin(1)),
        By(0, setup_out(1, 1)),
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
    ..WRITTEN
};

const SWAP_CACHE: Scenario = Scenario {
    name: "prepare-swap-cache",
    about: "the reference of the swap cache is accounted for",
    populate: &[(A, 1, Populate::SwapCached(7))],
    steps: &[By(0, setup_out(1, 1)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED",
        "at a1: a1",
        "page a1: count 2, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..BASE
};

const PRIVATE_DATA: Scenario = Scenario {
    name: "prepare-private-data",
    about: "the reference of a file system's private data is accounted for",
    config: FILES,
    populate: &[(A, 4, Populate::WithPrivate)],
    steps: &[By(0, setup_out(4, 1)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a4 VALID MIGRATE LOCKED",
        "at a4: a4",
        "page a4: count 3, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..BASE
};
