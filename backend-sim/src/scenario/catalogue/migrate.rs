//! Pages move to the device and back: the pipeline without PIN, which must be as it was.

use super::short::{dont_need, mprotect, munmap, setup_out, to_device, A, B, BASE, FAMILY};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::{By, Expect, Scenario, Step};

pub(super) const ALL: &[Scenario] = &[
    ROUND_TRIP,
    RANGE,
    HUGE,
    READ_ONLY,
    DIRTY,
    LAZY_FREE,
    AFTER_FORK,
    FORK_ON_DEVICE,
    MUNMAP_ON_DEVICE,
    EXIT_ON_DEVICE,
    ZAPPED_BETWEEN,
];

const ROUND_TRIP: Scenario = Scenario {
    name: "migrate-round-trip",
    about: "a page moves to the device, which adds to it, and back to the CPU that reads it",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, to_device(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
        By(0, Step::DeviceAdd(1, 1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "0 device add 1: no mapping",
        "at a1: new0 write",
        "page a1: free",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[
        Event::MigratedToDevice,
        Event::DeviceAccess,
        Event::MigratedToSystem,
    ],
    ..BASE
};

const RANGE: Scenario = Scenario {
    name: "migrate-range",
    about: "a page, the zero page and a hole move there and back; a swapped page stays",
    populate: &[
        (A, 1, Populate::Written(7)),
        (A, 2, Populate::ZeroPage),
        (A, 3, Populate::Swapped(9)),
    ],
    steps: &[
        By(0, to_device(1, 4)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, Step::DeviceAdd(2, 1)),
        By(0, Step::DeviceAdd(4, 1)),
        By(1, Step::Read(1)),
        By(1, Step::Read(2)),
        By(1, Step::Read(3)),
        By(1, Step::Read(4)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 3 of 4",
        "0 device add 1: 7",
        "0 device add 2: 0",
        "0 device add 4: 0",
        "1 read 1: 8",
        "1 read 2: 1",
        "1 read 3: 9",
        "1 read 4: 1",
        "at a1: new0 write",
        "at a2: new1 write",
        "at a3: new2",
        "at a4: new3 write",
        "page a1: free",
        "page new0: count 1, mapped 1, on the LRU",
        "page new1: count 1, mapped 1, on the LRU",
        "page new2: count 2, mapped 1, on the LRU",
        "page new3: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::MigratedToSystem, Event::SwapIn],
    ..BASE
};

const HUGE: Scenario = Scenario {
    name: "migrate-huge-page",
    about: "a huge page is split and moves; two of its pages come back",
    populate: &[(A, 0, Populate::Huge(20))],
    steps: &[
        By(0, to_device(0, 4)),
        By(0, Step::DeviceAdd(0, 1)),
        By(1, Step::Read(0)),
        By(1, Step::Read(3)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 0: 4 of 4",
        "0 device add 0: 20",
        "1 read 0: 21",
        "1 read 3: 23",
        "at a0: new0 write",
        "at a1: dev0 device-private write",
        "device 0 at a1: dev0",
        "at a2: dev1 device-private write",
        "device 0 at a2: dev1",
        "at a3: new1 write",
        "page a0: free",
        "page a1: free",
        "page a2: free",
        "page a3: free",
        "page new0: count 1, mapped 1, on the LRU",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
        "page new1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::HugePageSplit],
    ..BASE
};

/// The LRU is drained before the last write: it is reused only if nobody else has a reference.
const READ_ONLY: Scenario = Scenario {
    name: "migrate-read-only",
    about: "a page that is mapped read-only comes back read-only",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(1, mprotect(1, false)),
        By(0, to_device(1, 1)),
        By(0, Step::DeviceRead(1)),
        By(0, Step::DeviceWrite(1, 5)),
        By(1, Step::Read(1)),
        By(1, Step::Write(1, 5)),
        By(1, mprotect(1, true)),
        By(1, Step::Drain),
        By(1, Step::Write(1, 6)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 1 of 1",
        "0 device read 1: 7",
        "0 device write 1: no mapping",
        "1 read 1: 7",
        "1 write 1: Segv",
        "at a1: new0 write dirty",
        "page a1: free",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Segv, Event::CowReuse],
    ..BASE
};

const DIRTY: Scenario = Scenario {
    name: "migrate-dirty",
    about: "what only the entry's dirty bit tells of reaches the swap area by way of the device",
    populate: &[(A, 1, Populate::Clean(7, false))],
    steps: &[
        By(1, Step::Write(1, 9)),
        By(0, to_device(1, 1)),
        By(1, Step::Read(1)),
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 1 of 1",
        "1 read 1: 9",
        "at a1: swap",
        "page a1: free",
    ]),
    events: &[Event::HardwareDirty, Event::SwapOut],
    ..BASE
};

/// A write takes back what `MADV_FREE` has allowed, whoever makes it. The first reclaim finds the page dirty and
/// says so; the second swaps it out.
const LAZY_FREE: Scenario = Scenario {
    name: "migrate-lazy-free",
    about: "the device writes a page that was marked MADV_FREE: it is not dropped",
    populate: &[(A, 1, Populate::LazyFree(7))],
    steps: &[
        By(0, to_device(1, 1)),
        By(0, Step::DeviceWrite(1, 9)),
        By(1, Step::Read(1)),
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 1 of 1",
        "1 read 1: 9",
        "1 reclaim 1: refused",
        "at a1: swap",
        "page a1: free",
    ]),
    events: &[Event::SwapOut],
    ..BASE
};

const AFTER_FORK: Scenario = Scenario {
    name: "migrate-after-fork",
    about: "a page that two processes share moves for both, and comes back for both",
    config: FAMILY,
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, Step::Fork(B)),
        By(0, to_device(1, 1)),
        By(0, Step::DeviceRead(1)),
        By(0, Step::DeviceWrite(1, 5)),
        By(2, Step::Read(1)),
        By(0, Step::Write(1, 9)),
        By(0, Step::Read(1)),
        By(2, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 1 of 1",
        "0 device read 1: 7",
        "0 device write 1: no mapping",
        "2 read 1: 7",
        "0 read 1: 9",
        "2 read 1: 7",
        "at a1: new0 write dirty",
        "at b1: new1",
        "page a1: free",
        "page new0: count 1, mapped 1, on the LRU",
        "page new1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::MigratedToSystem, Event::CowCopy],
    ..BASE
};

const FORK_ON_DEVICE: Scenario = Scenario {
    name: "migrate-fork-on-device",
    about: "a page is forked while it is on the device; the child writes first",
    config: FAMILY,
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, to_device(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, Step::Fork(B)),
        By(0, Step::DeviceAdd(1, 1)),
        By(2, Step::Write(1, 50)),
        By(0, Step::Read(1)),
        By(2, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 1 of 1",
        "0 device add 1: 7",
        "0 device add 1: no mapping",
        "0 read 1: 8",
        "2 read 1: 50",
        "at a1: new0",
        "at b1: new1 write dirty",
        "page a1: free",
        "page new0: count 1, mapped 1, on the LRU",
        "page new1: count 1, mapped 1, on the LRU",
    ]),
    events: &[
        Event::ForkDevicePrivate,
        Event::MigratedToSystem,
        Event::CowCopy,
    ],
    ..BASE
};

const MUNMAP_ON_DEVICE: Scenario = Scenario {
    name: "migrate-munmap-on-device",
    about: "a page is unmapped while it is on the device",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, to_device(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, munmap(1)),
        By(0, Step::DeviceAdd(1, 1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 1 of 1",
        "0 device add 1: 7",
        "0 device add 1: no mapping",
        "page a1: free",
    ]),
    events: &[Event::PageFree, Event::DeviceRevokedDirty],
    ..BASE
};

const EXIT_ON_DEVICE: Scenario = Scenario {
    name: "migrate-exit-on-device",
    about: "the process exits while pages are on the device",
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::ZeroPage)],
    steps: &[
        By(0, to_device(1, 2)),
        By(0, Step::DeviceAdd(2, 1)),
        By(1, Step::Exit),
        By(0, Step::DeviceAdd(2, 1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 2 of 2",
        "0 device add 2: 0",
        "0 device add 2: no mapping",
        "page a1: free",
    ]),
    events: &[Event::PageFree, Event::DeviceRevokedDirty],
    ..BASE
};

/// `mmap_lock` for reading does not keep `MADV_DONTNEED` out: the migration entry goes, and with finalize both
/// pages.
const ZAPPED_BETWEEN: Scenario = Scenario {
    name: "migrate-zapped-between",
    about: "the page is zapped while it migrates",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_out(1, 1)),
        By(0, Step::Provide),
        By(1, dont_need(1)),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "0 map: 0",
        "1 read 1: 0",
        "at a1: zero",
        "page a1: free",
    ]),
    events: &[Event::MigrationEntryZapped, Event::NotifierRetry],
    ..BASE
};
