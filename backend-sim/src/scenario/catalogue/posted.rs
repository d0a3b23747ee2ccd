//! The driver as posted with the patch: what works, and what it breaks.
//!
//! It does not go through core for its releases, so that it is run under `AsPosted` only.

use super::short::{acquire, actor, fails, munmap, space, A, B, BASE, WITH_FILE};
use crate::config::{AllocKind, Config, DeviceSpec, DriverKind, VmaSpec};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::{By, Expect, Scenario, Step};
use crate::violation::Invariant;

pub(super) const ALL: &[Scenario] = &[
    ROUND_TRIP,
    SWAPPED,
    FORK,
    ORIGINAL_LOCKED,
    MUNMAP,
    EXIT,
    NO_DEVICE_PAGE,
    FILE,
    ZERO_PAGE,
    DIRTY_LOST,
];

/// One device, driven as posted.
const DEVICE: &[DeviceSpec] = &[DeviceSpec {
    pages: 4,
    mappings: 8,
    driver: DriverKind::Posted,
}];

const POSTED: Config<'static> = Config {
    devices: DEVICE,
    ..Config::SMALL
};

const ROUND_TRIP: Scenario = Scenario {
    name: "posted-round-trip",
    about: "a page is pinned, the device adds to it, a CPU takes it back",
    config: POSTED,
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
        By(0, Step::DeviceAdd(1, 1)),
    ],
    as_posted: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "0 device add 1: no mapping",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Pinned, Event::FaultedBack, Event::Unpinned],
    ..BASE
};

const SWAPPED: Scenario = Scenario {
    name: "posted-swapped",
    about: "what is not there is faulted in first, as a CPU would",
    config: POSTED,
    populate: &[(A, 1, Populate::Swapped(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    as_posted: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "1 read 1: 8",
        "at a1: new0 write",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::SwapIn, Event::FaultedBack],
    ..BASE
};

const FORK: Scenario = Scenario {
    name: "posted-fork",
    about: "a page is forked while it is pinned; both processes get it back",
    config: Config {
        actors: &[actor(0, A), actor(1, A), actor(2, B)],
        ..POSTED
    },
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, Step::Fork(B)),
        By(0, Step::DeviceAdd(1, 1)),
        By(2, Step::Read(1)),
        By(0, Step::Write(1, 20)),
        By(2, Step::Read(1)),
    ],
    as_posted: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 device add 1: 7",
        "0 device add 1: no mapping",
        "2 read 1: 8",
        "2 read 1: 8",
        "at a1: new0 write dirty",
        "at b1: a1",
        "page a1: count 1, mapped 1, on the LRU",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::ForkDevicePrivate, Event::FaultedBack, Event::CowCopy],
    ..BASE
};

const ORIGINAL_LOCKED: Scenario = Scenario {
    name: "posted-original-locked",
    about: "somebody has locked the original: the fault is tried again",
    config: POSTED,
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(1, Step::LockOriginal(1)),
        By(0, Step::Read(1)),
        By(1, Step::UnlockPage),
    ],
    as_posted: Expect::Lines(&[
        "0 acquire 1: 1 of 1",
        "0 read 1: 7",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::TrylockBusy, Event::Blocked, Event::FaultedBack],
    ..BASE
};

/// `page_free` drops the bias and nothing else: the pair is not forgotten, and the page stays isolated, with a
/// reference that nobody will drop.
const MUNMAP: Scenario = Scenario {
    name: "posted-munmap",
    about: "a page is unmapped while it is pinned, and is lost",
    config: POSTED,
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[By(0, acquire(1, 1)), By(1, munmap(1))],
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Lru, Invariant::Pair]),
    events: &[Event::PageFreeWithPair],
    ..BASE
};

const EXIT: Scenario = Scenario {
    name: "posted-exit",
    about: "the process exits while pages are pinned, and they are lost",
    config: POSTED,
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
    steps: &[By(0, acquire(1, 2)), By(1, Step::Exit)],
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Lru, Invariant::Pair]),
    events: &[Event::PageFreeWithPair],
    ..BASE
};

/// `dst` is 0: finalize goes back to the source, and with PIN in its word leaves it pinned.
const NO_DEVICE_PAGE: Scenario = Scenario {
    name: "posted-no-device-page",
    about: "the device has no page left, and the page stays pinned for good",
    config: Config {
        failures: &[fails(AllocKind::DevicePage, 0)],
        ..POSTED
    },
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[By(0, acquire(1, 1)), By(1, Step::Read(1))],
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::DevicePageRefused],
    ..BASE
};

/// The pair is remembered before anything has moved. Finalize drops the device page, and `page_free` the bias,
/// for once rightly; but the page is isolated for good, and the pair is not forgotten.
const FILE: Scenario = Scenario {
    name: "posted-pair-not-forgotten",
    about: "a page of a file can't be had, and the pair outlives the device page",
    config: Config {
        devices: DEVICE,
        ..WITH_FILE
    },
    populate: &[(A, 4, Populate::Written(9))],
    steps: &[By(0, acquire(4, 1)), By(1, Step::Read(4))],
    as_posted: Expect::Breaks(&[Invariant::Lru, Invariant::Pair]),
    events: &[Event::PageFreeWithPair],
    ..BASE
};

/// A read-only area can't be faulted in for writing, and nobody looks whether it was. So setup finds the zero page:
/// MIGRATE without a page, for which the driver gives a device page that stands for nothing, with nothing written
/// to it. The fault handler has no original to give back, and retries for ever.
const ZERO_PAGE: Scenario = Scenario {
    name: "posted-zero-page",
    about: "a device page takes the place of the zero page, and nobody gets it back",
    config: Config {
        mms: &[space(&[VmaSpec::anonymous(0, 8).read_only()])],
        ..POSTED
    },
    populate: &[(A, 1, Populate::ZeroPage)],
    steps: &[By(0, acquire(1, 1)), By(1, Step::Read(1))],
    as_posted: Expect::Breaks(&[Invariant::Data, Invariant::Live]),
    ..BASE
};

/// A write takes back what `MADV_FREE` has allowed; but nobody looks whether the device has written, and reclaim
/// takes the page for clean.
const DIRTY_LOST: Scenario = Scenario {
    name: "posted-dirty-lost",
    about: "the device writes a page that was marked MADV_FREE, and it is dropped",
    config: POSTED,
    populate: &[(A, 1, Populate::LazyFree(7))],
    steps: &[
        By(0, acquire(1, 1)),
        By(0, Step::DeviceWrite(1, 9)),
        By(1, Step::Read(1)),
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
        By(1, Step::Read(1)),
    ],
    as_posted: Expect::Breaks(&[Invariant::Data]),
    ..BASE
};
