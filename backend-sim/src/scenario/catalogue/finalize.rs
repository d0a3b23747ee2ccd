//! Finalize maps the destination or the source, and gives back what is held; and a migration that is dropped.

use super::short::{
    acquire, acquire_to_read, fails, grant, setup_home, setup_out, setup_pin, A, BASE,
};
use crate::config::{AllocKind, Config};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::{By, Expect, Give, Scenario, Step};
use crate::violation::Invariant;
use migrate_pin_core::ShapeKind;

pub(super) const ALL: &[Scenario] = &[
    SOURCE_LESS,
    TO_DEVICE,
    TO_SYSTEM,
    PIN_WITHOUT_DEVICE_PAGE,
    PIN_NOT_MAPPED,
    UNPIN,
    UNPIN_REFUSED,
    UNPIN_WITHOUT_DESTINATION,
    DROPPED_PIN,
    DROPPED_PIN_WITH_PAGE,
    DROPPED_MOVE,
    DROPPED_UNPIN,
];

const SOURCE_LESS: Scenario = Scenario {
    name: "finalize-source-less",
    about: "a destination for an entry that was not collected is dropped",
    populate: &[(A, 1, Populate::Swapped(7))],
    steps: &[
        By(0, setup_out(1, 1)),
        By(0, Step::ProvideThis(&[Give::Device])),
        By(0, Step::Pages),
        By(0, Step::Finalize),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "0 pages:",
        "  0: -",
        "at a1: swap",
    ]),
    events: &[Event::PageFree],
    ..BASE
};

const TO_DEVICE: Scenario = Scenario {
    name: "finalize-to-device",
    about: "the device page is mapped, and the source is freed",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_out(1, 1)),
        By(0, Step::Provide),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "0 map: 1",
        "at a1: dev0 device-private write",
        "device 0 at a1: dev0",
        "page a1: free",
        "page dev0: count 2, mapped 1",
    ]),
    events: &[Event::Remap, Event::MigratedToDevice],
    ..BASE
};

/// Another CPU than the one that took the page away, whose LRU batch still has the old page: so the new one is
/// another.
const TO_SYSTEM: Scenario = Scenario {
    name: "finalize-to-system",
    about: "a new page is mapped in the place of the device page, which is freed",
    populate: &[(A, 1, Populate::Written(7))],
    given: &[By(0, Step::ToDevice { at: 1, pages: 1 })],
    steps: &[
        By(1, setup_home(1, 1)),
        By(1, Step::Provide),
        By(1, Step::Pages),
        By(1, Step::Map),
        By(1, Step::Finalize),
    ],
    hardened: Expect::Lines(&[
        "1 setup: 1 of 1",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "1 pages:",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "1 map: 0",
        "at a1: new0 write",
        "page a1: free",
        "page dev0: free",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Remap, Event::MigratedToSystem],
    ..BASE
};

/// The second defect that the project's protocol.md names: with PIN in its word the source is neither unpinned
/// nor put back, although the pin has failed.
const PIN_WITHOUT_DEVICE_PAGE: Scenario = Scenario {
    name: "finalize-pin-without-device-page",
    about: "the device has no page left for a pin, and the page goes back",
    config: Config {
        failures: &[fails(AllocKind::DevicePage, 0)],
        ..Config::SMALL
    },
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::Provide),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages:",
        "  0: a1 VALID LOCKED WRITE PIN",
        "0 map: 0",
        "1 read 1: 7",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::DevicePageRefused, Event::Pinned, Event::Unpinned],
    ..BASE
};

const PIN_NOT_MAPPED: Scenario = Scenario {
    name: "finalize-pin-not-mapped",
    about: "the page is pinned, and the device maps it only later",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::Provide),
        By(0, Step::Pages),
        By(0, Step::Finalize),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, grant(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 device add 1: no mapping",
        "0 grant 1: Granted",
        "0 device add 1: 7",
        "1 read 1: 8",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::DeviceFault, Event::DeviceMapped, Event::FaultedBack],
    ..BASE
};

/// The end of the ledger's table: bias, then putback.
const UNPIN: Scenario = Scenario {
    name: "finalize-unpin",
    about: "the original is mapped in the place of the device page, and unpinned",
    populate: &[(A, 1, Populate::Written(7))],
    given: &[By(0, acquire(1, 1))],
    steps: &[
        By(0, setup_home(1, 1)),
        By(0, Step::Provide),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "0 pages:",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "0 map: 0",
        "1 read 1: 7",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
        "page dev0: free",
    ]),
    events: &[Event::Unpinned, Event::FaultedBack],
    ..BASE
};

/// On 5.11 the move of a device page to its original can't fail; 6.12 looks at its references. As posted the
/// destination is dropped by a plain `put_page()`, whatever its UNPIN bit says: that reference is the isolation's.
/// Hardened looks over the references of a device page on both.
const UNPIN_REFUSED: Scenario = Scenario {
    name: "finalize-unpin-refused",
    about:
        "somebody else holds a reference on the device page: its original is unpinned all the same",
    config: Config {
        shape: ShapeKind::V6_12,
        ..Config::SMALL
    },
    populate: &[(A, 1, Populate::Written(7))],
    given: &[By(0, acquire(1, 1))],
    steps: &[
        By(0, setup_home(1, 1)),
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
        "  0: dev0 VALID MIGRATE WRITE",
        "0 pages:",
        "  0: dev0 VALID MIGRATE WRITE",
        "0 map: 0",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
        "page dev0: free",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Lru]),
    ..BASE
};

const UNPIN_WITHOUT_DESTINATION: Scenario = Scenario {
    name: "finalize-unpin-without-destination",
    about:
        "nothing is given for the device page: it is mapped again, and the original stays pinned",
    populate: &[(A, 1, Populate::Written(7))],
    given: &[By(0, acquire(1, 1))],
    steps: &[
        By(0, setup_home(1, 1)),
        By(0, Step::ProvideThis(&[Give::Nothing])),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "0 pages:",
        "  0: dev0 VALID LOCKED WRITE",
        "0 map: 0",
        "0 device add 1: 7",
        "1 read 1: 8",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
        "page dev0: free",
    ]),
    events: &[Event::Restore, Event::FaultedBack],
    ..BASE
};

/// As posted whoever drops a migration with PIN leaves the page pinned, as in any other failure after the pin.
const DROPPED_PIN: Scenario = Scenario {
    name: "finalize-dropped-pin",
    about: "a pin is dropped right after setup",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::Abandon),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "1 read 1: 7",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::Pinned, Event::Unpinned],
    ..BASE
};

const DROPPED_PIN_WITH_PAGE: Scenario = Scenario {
    name: "finalize-dropped-pin-with-page",
    about: "a pin is dropped when it has its device page already, and then made",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::Provide),
        By(0, Step::Abandon),
        By(0, acquire_to_read(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 acquire 1: 1 of 1",
        "1 read 1: 7",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::Unpinned, Event::PageFree],
    ..BASE
};

const DROPPED_MOVE: Scenario = Scenario {
    name: "finalize-dropped-move",
    about: "a migration of a page and a hole is dropped when it has its device pages",
    populate: &[(A, 3, Populate::Written(7))],
    steps: &[
        By(0, setup_out(3, 2)),
        By(0, Step::Provide),
        By(0, Step::Abandon),
        By(1, Step::Read(3)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 2 of 2",
        "  0: a3 VALID MIGRATE LOCKED WRITE",
        "  1: - MIGRATE",
        "1 read 3: 7",
        "at a3: a3 write",
        "page a3: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore, Event::PageFree],
    ..BASE
};

const DROPPED_UNPIN: Scenario = Scenario {
    name: "finalize-dropped-unpin",
    about: "the way home is dropped: the page stays pinned, and the device keeps it",
    populate: &[(A, 1, Populate::Written(7))],
    given: &[By(0, acquire(1, 1))],
    steps: &[
        By(0, setup_home(1, 1)),
        By(0, Step::Provide),
        By(0, Step::Abandon),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, Step::DeviceAdd(1, 1)),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "0 device add 1: 7",
        "0 device add 1: 8",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
    ]),
    events: &[Event::Restore],
    ..BASE
};
