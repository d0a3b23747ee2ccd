//! A page is pinned for the device and comes back.

use super::short::{acquire, acquire_to_read, grant, revoke, A, B, BASE, FAMILY};
use crate::config::Config;
use crate::driver::session::Purpose;
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::{By, Expect, Scenario, Step};
use crate::violation::Invariant;
use migrate_pin_core::Access;

pub(super) const ALL: &[Scenario] = &[
    ROUND_TRIP,
    STAGES,
    TWICE,
    RANGE,
    TO_READ_SHARED,
    REVOKE,
    REVOKE_BUSY,
    ORIGINAL_LOCKED,
    LAZY_FREE,
    LAZY_FREE_DIRTY_ENTRY,
    MOVABLE,
    MARKED,
];

/// The whole life of one pin.
const ROUND_TRIP: Scenario = Scenario {
    name: "pin-round-trip",
    about: "a page is pinned, the device adds to it, a CPU takes it back",
    config: Config::SMALL,
    populate: &[(A, 1, Populate::Written(7))],
    given: &[],
    steps: &[
        By(
            0,
            Step::Acquire {
                at: 1,
                pages: 1,
                access: Access::Write,
            },
        ),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
        By(0, Step::DeviceAdd(1, 1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "0 device add 1: no mapping",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Same,
    events: &[
        Event::Pinned,
        Event::DeviceAccess,
        Event::FaultedBack,
        Event::Unpinned,
    ],
};

/// The ledger's table: a pin, stage by stage.
const STAGES: Scenario = Scenario {
    name: "pin-stages",
    about: "the words of a pin after each stage, and the page while the device has it",
    config: Config::SMALL,
    populate: &[(A, 1, Populate::Written(7))],
    given: &[],
    steps: &[
        By(
            0,
            Step::Setup {
                at: 1,
                pages: 1,
                purpose: Purpose::Pin(Access::Write),
            },
        ),
        By(0, Step::Provide),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
    ],
    reorder: false,
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
    as_posted: Expect::Same,
    events: &[Event::Pinned, Event::Remap],
};

/// The driver's own filter lets its own migration pass: the mapping stays.
const TWICE: Scenario = Scenario {
    name: "pin-twice",
    about: "a page that is pinned already is not pinned again, and stays with the device",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(1, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "1 acquire 1: 0 of 1",
        "0 device add 1: 7",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
    ]),
    ..BASE
};

const RANGE: Scenario = Scenario {
    name: "pin-range",
    about: "of a page, the zero page, a swapped page and a hole only the page is pinned",
    populate: &[
        (A, 1, Populate::Written(7)),
        (A, 2, Populate::ZeroPage),
        (A, 3, Populate::Swapped(9)),
    ],
    steps: &[By(0, acquire(1, 4)), By(0, Step::DeviceAdd(1, 1))],
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 4",
        "0 device add 1: 7",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: zero",
        "at a3: swap",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
    ]),
    ..BASE
};

const TO_READ_SHARED: Scenario = Scenario {
    name: "pin-to-read-shared",
    about: "a page that two processes share is pinned for reading, and comes back for both",
    config: FAMILY,
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, Step::Fork(B)),
        By(0, acquire_to_read(1, 1)),
        By(0, Step::DeviceRead(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, grant(1)),
        By(2, Step::Read(1)),
        By(0, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device read 1: 7",
        "0 device add 1: no mapping",
        "0 grant 1: NotPinned",
        "2 read 1: 7",
        "0 read 1: 7",
        "at a1: a1",
        "at b1: a1",
        "page a1: count 2, mapped 2, on the LRU",
    ]),
    events: &[Event::Acquired, Event::FaultedBack],
    ..BASE
};

const REVOKE: Scenario = Scenario {
    name: "pin-revoke",
    about: "the driver gives the page back of its own accord",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, revoke(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "0 revoke 1: done",
        "0 device add 1: no mapping",
        "1 read 1: 8",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Unpinned, Event::DeviceRevokedDirty],
    ..BASE
};

const REVOKE_BUSY: Scenario = Scenario {
    name: "pin-revoke-busy",
    about: "somebody has locked the device page: the driver has to try again",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(1, Step::LockPage(1)),
        By(0, revoke(1)),
        By(1, Step::UnlockPage),
        By(0, revoke(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 revoke 1: 1 busy",
        "0 revoke 1: done",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::TrylockBusy, Event::Unpinned],
    ..BASE
};

/// The driver gives nothing, and the device page is mapped again until the lock is free.
const ORIGINAL_LOCKED: Scenario = Scenario {
    name: "pin-original-locked",
    about: "somebody has locked the original: the fault is tried again",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::LockOriginal(1)),
        By(0, Step::Read(1)),
        By(1, Step::UnlockPage),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "0 read 1: 8",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::TrylockBusy, Event::Blocked, Event::FaultedBack],
    ..BASE
};

/// A write takes back what `MADV_FREE` has allowed, whoever makes it. The first reclaim finds the page dirty and
/// says so; the second swaps it out.
const LAZY_FREE: Scenario = Scenario {
    name: "pin-lazy-free",
    about: "the device writes a page that was marked MADV_FREE: it is not dropped",
    populate: &[(A, 1, Populate::LazyFree(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceWrite(1, 9)),
        By(1, Step::Read(1)),
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "1 read 1: 9",
        "1 reclaim 1: refused",
        "at a1: swap",
        "page a1: free",
    ]),
    events: &[Event::DeviceRevokedDirty, Event::SwapOut],
    ..BASE
};

/// Only the entry that collect clears says that the page was written. 5.11 loses that bit (not the patch's fault),
/// and reclaim takes the page for one that `MADV_FREE` allows to drop.
const LAZY_FREE_DIRTY_ENTRY: Scenario = Scenario {
    name: "pin-lazy-free-dirty-entry",
    about: "a CPU wrote a page that was marked MADV_FREE, and it is pinned: it is not dropped",
    populate: &[(A, 1, Populate::LazyFree(7))],
    steps: &[
        By(1, Step::Write(1, 9)),
        By(0, acquire_to_read(1, 1)),
        By(1, Step::Read(1)),
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "1 read 1: 9",
        "1 reclaim 1: refused",
        "at a1: swap",
        "page a1: free",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Data]),
    events: &[Event::HardwareDirty, Event::SwapOut],
    ..BASE
};

/// What the author of the patch left open: nobody but the next CPU access takes the page back.
const MOVABLE: Scenario = Scenario {
    name: "pin-in-movable-zone",
    about: "a page that has to move can't while it is pinned, and can when a CPU has it back",
    config: Config {
        movable_pages: 8,
        ..Config::SMALL
    },
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(1, Step::Compact(1)),
        By(1, Step::Read(1)),
        By(1, Step::Drain),
        By(1, Step::Compact(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "1 compact 1: refused",
        "1 read 1: 7",
        "at a1: new0 write",
        "page a1: free",
        "page new0: count 1, mapped 1, on the LRU, movable",
    ]),
    events: &[
        Event::CompactionRefused,
        Event::FaultedBack,
        Event::Compacted,
    ],
    ..BASE
};

/// There and back the bits are those of a device-private entry.
const MARKED: Scenario = Scenario {
    name: "pin-marked",
    about: "soft-dirty and uffd-wp survive a pin and its end",
    populate: &[(A, 1, Populate::Marked(7))],
    steps: &[
        By(0, acquire_to_read(1, 1)),
        By(0, Step::DeviceRead(1)),
        By(1, Step::Read(1)),
    ],
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device read 1: 7",
        "1 read 1: 7",
        "at a1: a1 soft-dirty uffd-wp",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::FaultedBack],
    ..BASE
};
