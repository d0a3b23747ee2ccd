//! Pages hands over from sources to destinations, and the reasons why it does not.

use super::short::{acquire_to_read, setup_out, setup_pin, A, BASE, WITH_FILE};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::{By, Expect, Give, Scenario, Step};
use crate::violation::Invariant;

pub(super) const ALL: &[Scenario] = &[
    MIXED,
    DEVICE_FOR_FILE,
    DEVICE_FOR_SWAP_CACHE,
    PIN_WITH_SYSTEM_PAGE,
    PIN_OF_FILE,
    PIN_OF_SWAP_CACHE,
    EXTRA_REFERENCE,
    EXTRA_REFERENCE_PINNED,
    FILE_TO_SYSTEM,
    FILE_EXTRA_REFERENCE,
    FILE_WITH_PRIVATE,
    SWAP_CACHE_TO_SYSTEM,
];

/// The device's table is not asked for here: what went to system memory is nothing to map.
const MIXED: Scenario = Scenario {
    name: "pages-mixed",
    about:
        "of three pages one goes to the device, one has no destination, one goes to another frame",
    populate: &[
        (A, 1, Populate::Written(7)),
        (A, 2, Populate::Written(8)),
        (A, 3, Populate::Written(9)),
    ],
    steps: &[
        By(0, setup_out(1, 3)),
        By(
            0,
            Step::ProvideThis(&[Give::Device, Give::Nothing, Give::System]),
        ),
        By(0, Step::Pages),
        By(0, Step::Finalize),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 3 of 3",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "  1: a2 VALID MIGRATE LOCKED WRITE",
        "  2: a3 VALID MIGRATE LOCKED WRITE",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "  1: a2 VALID LOCKED WRITE",
        "  2: a3 VALID MIGRATE LOCKED WRITE",
        "at a1: dev0 device-private write",
        "device 0 at a1: dev0",
        "at a2: a2 write",
        "at a3: new0 write",
        "page a1: free",
        "page a2: count 1, mapped 1, on the LRU",
        "page a3: free",
        "page dev0: count 2, mapped 1",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Remap, Event::Restore],
    ..BASE
};

const DEVICE_FOR_FILE: Scenario = Scenario {
    name: "pages-device-for-file",
    about: "a page of a file does not move to a device page",
    config: WITH_FILE,
    populate: &[(A, 4, Populate::Read)],
    steps: &[
        By(0, setup_out(4, 1)),
        By(0, Step::Provide),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a4 VALID MIGRATE LOCKED",
        "0 pages:",
        "  0: a4 VALID LOCKED",
        "0 map: 0",
        "at a4: a4",
        "page a4: count 2, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..BASE
};

const DEVICE_FOR_SWAP_CACHE: Scenario = Scenario {
    name: "pages-device-for-swap-cache",
    about: "a page in the swap cache does not move to a device page",
    populate: &[(A, 1, Populate::SwapCached(7))],
    steps: &[
        By(0, setup_out(1, 1)),
        By(0, Step::Provide),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED",
        "0 pages:",
        "  0: a1 VALID LOCKED",
        "0 map: 0",
        "at a1: a1",
        "page a1: count 2, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..BASE
};

/// As posted the mode is REFERENCED, so the new page takes over whatever it holds, and the old one is pinned
/// with nothing to stand for it (the patch's `else if (!(src & MIGRATE_PFN_PIN)) putback_lru_page(page)`).
const PIN_WITH_SYSTEM_PAGE: Scenario = Scenario {
    name: "pages-pin-with-system-page",
    about: "a pin whose destination is a system page is refused",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::ProvideThis(&[Give::System])),
        By(0, Step::Pages),
        By(0, Step::Finalize),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages:",
        "  0: a1 VALID LOCKED WRITE PIN",
        "1 read 1: 7",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::Pinned, Event::Unpinned],
    ..BASE
};

/// As posted the bias of the failed pin stays; the cache still knows the page, so that it is not lost.
const PIN_OF_FILE: Scenario = Scenario {
    name: "pages-pin-of-file",
    about: "a page of a file is not pinned",
    config: WITH_FILE,
    populate: &[(A, 4, Populate::Read)],
    steps: &[By(0, acquire_to_read(4, 1)), By(1, Step::Read(4))],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 4: 0 of 1",
        "1 read 4: 40",
        "at a4: a4",
        "page a4: count 2, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Pin]),
    events: &[Event::Pinned, Event::Unpinned],
    ..BASE
};

const PIN_OF_SWAP_CACHE: Scenario = Scenario {
    name: "pages-pin-of-swap-cache",
    about: "a page in the swap cache is not pinned",
    populate: &[(A, 1, Populate::SwapCached(7))],
    steps: &[By(0, acquire_to_read(1, 1)), By(1, Step::Read(1))],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 0 of 1",
        "1 read 1: 7",
        "at a1: a1",
        "page a1: count 2, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::Pinned, Event::Unpinned],
    ..BASE
};

const EXTRA_REFERENCE: Scenario = Scenario {
    name: "pages-extra-reference",
    about: "a reference that is taken after setup keeps the page from moving",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_out(1, 1)),
        By(0, Step::Provide),
        By(1, Step::GetPage(1)),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
        By(1, Step::PutPage),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "0 pages:",
        "  0: a1 VALID LOCKED WRITE",
        "0 map: 0",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..BASE
};

/// The page stays where it is, so that who has the reference has the right page.
const EXTRA_REFERENCE_PINNED: Scenario = Scenario {
    name: "pages-extra-reference-pinned",
    about: "a reference that is taken after setup does not keep the page from being pinned",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::Provide),
        By(1, Step::GetPage(1)),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
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
    events: &[Event::Pinned, Event::Acquired],
    ..BASE
};

/// The last read comes from the disk: what was written reached it by way of the new page.
const FILE_TO_SYSTEM: Scenario = Scenario {
    name: "pages-file-to-system",
    about: "a page of a file moves to another frame, and its slot with it",
    config: WITH_FILE,
    populate: &[(A, 4, Populate::Written(9))],
    steps: &[
        By(0, setup_out(4, 1)),
        By(0, Step::ProvideThis(&[Give::System])),
        By(0, Step::Pages),
        By(0, Step::Finalize),
        By(1, Step::Read(4)),
        By(1, Step::Drain),
        By(1, Step::Reclaim(4)),
        By(1, Step::Read(4)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a4 VALID MIGRATE LOCKED WRITE",
        "0 pages:",
        "  0: a4 VALID MIGRATE LOCKED WRITE",
        "1 read 4: 9",
        "1 read 4: 9",
        "at a4: new0",
        "page a4: free",
        "page new0: count 2, mapped 1, on the LRU",
    ]),
    events: &[Event::Remap, Event::Writeback, Event::Reclaimed],
    ..BASE
};

const FILE_EXTRA_REFERENCE: Scenario = Scenario {
    name: "pages-file-extra-reference",
    about: "a reference that is taken after setup keeps a page of a file in its slot",
    config: WITH_FILE,
    populate: &[(A, 4, Populate::Written(9))],
    steps: &[
        By(0, setup_out(4, 1)),
        By(0, Step::ProvideThis(&[Give::System])),
        By(1, Step::GetPage(4)),
        By(0, Step::Pages),
        By(0, Step::Finalize),
        By(1, Step::PutPage),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a4 VALID MIGRATE LOCKED WRITE",
        "0 pages:",
        "  0: a4 VALID LOCKED WRITE",
        "at a4: a4 write",
        "page a4: count 2, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..BASE
};

/// `migrate_page()` is for "pages that do not use PagePrivate", but nobody keeps the others from it:
/// `migrate_page_states()` takes the flag away, and the reference that the private data holds is lost. Not the
/// patch's fault; 5.11 does it.
const FILE_WITH_PRIVATE: Scenario = Scenario {
    name: "pages-file-with-private",
    about: "a page of a file that has private data stays where it is",
    config: WITH_FILE,
    populate: &[(A, 4, Populate::WithPrivate)],
    steps: &[
        By(0, setup_out(4, 1)),
        By(0, Step::ProvideThis(&[Give::System])),
        By(0, Step::Pages),
        By(0, Step::Finalize),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a4 VALID MIGRATE LOCKED",
        "0 pages:",
        "  0: a4 VALID LOCKED",
        "at a4: a4",
        "page a4: count 3, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref]),
    ..BASE
};

/// The last read comes from the slot by way of the new page.
const SWAP_CACHE_TO_SYSTEM: Scenario = Scenario {
    name: "pages-swap-cache-to-system",
    about: "a page in the swap cache moves to another frame, and its slot with it",
    populate: &[(A, 1, Populate::SwapCached(7))],
    steps: &[
        By(0, setup_out(1, 1)),
        By(0, Step::ProvideThis(&[Give::System])),
        By(0, Step::Pages),
        By(0, Step::Finalize),
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED",
        "1 read 1: 7",
        "at a1: new0",
        "page a1: free",
        "page new0: count 2, mapped 1, on the LRU",
    ]),
    events: &[Event::Remap, Event::Reclaimed, Event::SwapIn],
    ..BASE
};
