//! Empty entries are filled by pages, and the reasons why one is not.

use super::short::{fails, setup_out, setup_pin, space, to_device, A, BASE, WITH_FILE};
use crate::config::{AllocKind, Config, VmaSpec};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::{By, Expect, Give, Scenario, Step};

pub(super) const ALL: &[Scenario] = &[
    DEVICE_PAGE,
    OVER_ZERO_PAGE,
    READ_ONLY,
    SYSTEM_PAGE,
    REFUSED_FILE,
    REFUSED_FILLED,
    REFUSED_HUGE,
    REFUSED_UNSTABLE,
    REFUSED_USERFAULTFD,
    REFUSED_TABLE,
    REFUSED_ANON_VMA,
    REFUSED_CHARGE,
    REFUSED_PIN,
    REFUSED_PIN_WITH_PAGE,
];

/// A migration of page 1 to the device, step by step.
const STAGES: &[By] = &[
    By(0, setup_out(1, 1)),
    By(0, Step::Provide),
    By(0, Step::Pages),
    By(0, Step::Map),
    By(0, Step::Finalize),
];

/// What it prints where the insertion is given up, and nothing is left.
const GIVEN_UP: &[&str] = &[
    "0 setup: 1 of 1",
    "  0: - MIGRATE",
    "0 pages:",
    "  0: -",
    "0 map: 0",
];

/// Page 3 has a table, page 4 has none. The device is mapped after finalize only: the section that pages
/// opens for the insertions is an invalidation of the range.
const DEVICE_PAGE: Scenario = Scenario {
    name: "insert-device-page",
    about: "an empty entry and a hole without a table get device pages",
    populate: &[(A, 3, Populate::EmptyEntry)],
    steps: &[
        By(0, setup_out(3, 2)),
        By(0, Step::Provide),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
        By(0, Step::DeviceAdd(4, 5)),
        By(0, Step::DeviceRead(4)),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 2 of 2",
        "  0: - MIGRATE",
        "  1: - MIGRATE",
        "0 pages:",
        "  0: - MIGRATE",
        "  1: - MIGRATE",
        "0 map: 0",
        "0 device add 4: 0",
        "0 device read 4: 5",
        "at a3: dev0 device-private write",
        "device 0 at a3: dev0",
        "at a4: dev1 device-private write",
        "device 0 at a4: dev1",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    events: &[Event::NotifierRetry, Event::DeviceMapped],
    ..BASE
};

/// A CPU that read the zero page has it in its TLB: it has to see what the device writes.
const OVER_ZERO_PAGE: Scenario = Scenario {
    name: "insert-over-zero-page",
    about: "the zero page gives way to a device page, and is flushed",
    populate: &[(A, 1, Populate::ZeroPage)],
    steps: &[
        By(1, Step::Read(1)),
        By(0, to_device(1, 1)),
        By(0, Step::DeviceAdd(1, 5)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "1 read 1: 0",
        "0 to device 1: 1 of 1",
        "0 device add 1: 0",
        "1 read 1: 5",
        "at a1: new0 write",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::ZeroPage, Event::MigratedToSystem],
    ..BASE
};

const READ_ONLY: Scenario = Scenario {
    name: "insert-read-only",
    about: "in a read-only area the entry is not writable, and the device may only read",
    config: Config {
        mms: &[space(&[VmaSpec::anonymous(0, 8).read_only()])],
        ..Config::SMALL
    },
    steps: &[
        By(0, to_device(1, 1)),
        By(0, Step::DeviceRead(1)),
        By(0, Step::DeviceWrite(1, 5)),
    ],
    hardened: Expect::Lines(&[
        "0 to device 1: 1 of 1",
        "0 device read 1: 0",
        "0 device write 1: no mapping",
        "at a1: dev0 device-private",
        "device 0 at a1: dev0",
        "page dev0: count 2, mapped 1",
    ]),
    ..BASE
};

const SYSTEM_PAGE: Scenario = Scenario {
    name: "insert-system-page",
    about: "an empty entry gets a system page, which goes on the LRU",
    steps: &[
        By(0, setup_out(1, 1)),
        By(0, Step::ProvideThis(&[Give::System])),
        By(0, Step::Pages),
        By(0, Step::Finalize),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: - MIGRATE",
        "0 pages:",
        "  0: - MIGRATE",
        "1 read 1: 0",
        "at a1: new0 write dirty",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    ..BASE
};

/// A hole in a mapping of a file never migrates, so that what is given for it is only dropped.
const REFUSED_FILE: Scenario = Scenario {
    name: "insert-refused-file",
    about: "a hole in a mapping of a file is not filled",
    config: WITH_FILE,
    steps: &[
        By(0, setup_out(4, 1)),
        By(0, Step::ProvideThis(&[Give::Device])),
        By(0, Step::Pages),
        By(0, Step::Finalize),
        By(1, Step::Read(4)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "0 pages:",
        "  0: -",
        "1 read 4: 40",
        "at a4: new0",
        "page new0: count 2, mapped 1, on the LRU",
    ]),
    ..BASE
};

const REFUSED_FILLED: Scenario = Scenario {
    name: "insert-refused-filled",
    about: "a CPU fills the entry between setup and pages",
    steps: &[
        By(0, setup_out(1, 1)),
        By(0, Step::Provide),
        By(1, Step::Write(1, 9)),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: - MIGRATE",
        "0 pages:",
        "  0: -",
        "0 map: 0",
        "1 read 1: 9",
        "at a1: new0 write dirty",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    ..BASE
};

const REFUSED_HUGE: Scenario = Scenario {
    name: "insert-refused-huge",
    about: "a huge page comes to stand where there was no table",
    steps: &[
        By(0, setup_out(4, 1)),
        By(0, Step::Provide),
        By(1, Step::HugeFault(4)),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
        By(1, Step::Read(5)),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: - MIGRATE",
        "0 pages:",
        "  0: -",
        "0 map: 0",
        "1 read 5: 0",
        "at a4: new0 write dirty",
        "at a5: new1 write dirty",
        "at a6: new2 write dirty",
        "at a7: new3 write dirty",
        "page new0: count 1, mapped 1, on the LRU",
        "page new1: count 1, mapped 1, on the LRU",
        "page new2: count 1, mapped 1, on the LRU",
        "page new3: count 1, mapped 1, on the LRU",
    ]),
    ..BASE
};

/// What the reaper has zapped must not come back as if nothing had been.
const REFUSED_UNSTABLE: Scenario = Scenario {
    name: "insert-refused-unstable",
    about: "the OOM reaper has been at the address space",
    steps: &[
        By(0, setup_out(1, 1)),
        By(0, Step::Provide),
        By(1, Step::OomReap),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: - MIGRATE",
        "0 pages:",
        "  0: -",
        "0 map: 0",
        "1 read 1: Sigbus",
    ]),
    ..BASE
};

const REFUSED_USERFAULTFD: Scenario = Scenario {
    name: "insert-refused-userfaultfd",
    about: "userfaultfd waits for the page",
    config: Config {
        mms: &[space(&[VmaSpec::anonymous(0, 8).with_userfaultfd()])],
        ..Config::SMALL
    },
    steps: STAGES,
    hardened: Expect::Lines(GIVEN_UP),
    ..BASE
};

const REFUSED_TABLE: Scenario = Scenario {
    name: "insert-refused-table",
    about: "there is no memory for the page table",
    config: Config {
        failures: &[fails(AllocKind::Table, 0)],
        ..Config::SMALL
    },
    steps: STAGES,
    hardened: Expect::Lines(GIVEN_UP),
    events: &[Event::AllocationFailed],
    ..BASE
};

const REFUSED_ANON_VMA: Scenario = Scenario {
    name: "insert-refused-anon-vma",
    about: "there is no memory for the anon_vma",
    config: Config {
        failures: &[fails(AllocKind::AnonVma, 0)],
        ..Config::SMALL
    },
    steps: STAGES,
    hardened: Expect::Lines(GIVEN_UP),
    events: &[Event::AllocationFailed],
    ..BASE
};

const REFUSED_CHARGE: Scenario = Scenario {
    name: "insert-refused-charge",
    about: "the second of three pages can't be charged",
    config: Config {
        failures: &[fails(AllocKind::Charge, 1)],
        ..Config::SMALL
    },
    steps: &[
        By(0, setup_out(1, 3)),
        By(0, Step::Provide),
        By(0, Step::Pages),
        By(0, Step::Finalize),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 3 of 3",
        "  0: - MIGRATE",
        "  1: - MIGRATE",
        "  2: - MIGRATE",
        "0 pages:",
        "  0: - MIGRATE",
        "  1: -",
        "  2: - MIGRATE",
        "at a1: dev0 device-private write",
        "device 0 at a1: dev0",
        "at a3: dev1 device-private write",
        "device 0 at a3: dev1",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    events: &[Event::AllocationFailed],
    ..BASE
};

/// Collect marks the zero page as migrating although it is to be pinned; there is no page to pin.
const REFUSED_PIN: Scenario = Scenario {
    name: "insert-refused-pin",
    about: "the zero page can't be pinned, and a careful driver gives nothing for it",
    populate: &[(A, 1, Populate::ZeroPage)],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::Provide),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: - MIGRATE PIN",
        "0 pages:",
        "  0: - PIN",
        "0 map: 0",
        "at a1: zero",
    ]),
    ..BASE
};

/// As posted, the device page is inserted as in any migration, and the success takes PIN out of the word: a
/// driver that looks at MIGRATE alone takes the page for pinned.
const REFUSED_PIN_WITH_PAGE: Scenario = Scenario {
    name: "insert-refused-pin-with-page",
    about: "a device page that is given for the pin of the zero page is dropped",
    populate: &[(A, 1, Populate::ZeroPage)],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::ProvideThis(&[Give::Device])),
        By(0, Step::Pages),
        By(0, Step::Map),
        By(0, Step::Finalize),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: - MIGRATE PIN",
        "0 pages:",
        "  0: - PIN",
        "0 map: 0",
        "at a1: zero",
    ]),
    as_posted: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: - MIGRATE PIN",
        "0 pages:",
        "  0: - MIGRATE",
        "0 map: 0",
        "at a1: dev0 device-private write",
        "page dev0: count 2, mapped 1",
    ]),
    ..BASE
};
