//! Each allocation that may fail, at each position.

use super::short::{acquire, fails, to_device, A, BASE};
use crate::config::{AllocKind, Config, DeviceSpec, DriverKind, FailSpec, MmId};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::{By, Expect, Scenario, Step};
use crate::violation::Invariant;

pub(super) const ALL: &[Scenario] = &[
    DEVICE_PAGE_0,
    DEVICE_PAGE_1,
    DEVICE_PAGE_2,
    DEVICE_PAGE_TO_DEVICE,
    DEVICE_MAPPING_ONCE,
    DEVICE_MAPPING_FULL,
    PIN_RECORD_FULL,
    SYSTEM_PAGE,
];

/// Three written pages.
const THREE: &[(MmId, u16, Populate)] = &[
    (A, 1, Populate::Written(7)),
    (A, 2, Populate::Written(8)),
    (A, 3, Populate::Written(9)),
];

/// [`Config::SMALL`] where these allocations fail.
const fn failing(failures: &'static [FailSpec]) -> Config<'static> {
    Config {
        failures,
        ..Config::SMALL
    }
}

/// The page for which there is none stays as pinned as the others as posted, and nobody knows of it: a failure
/// after the pin.
const DEVICE_PAGE_0: Scenario = Scenario {
    name: "alloc-device-page-0",
    about: "of three pages to pin the first gets no device page",
    config: failing(&[fails(AllocKind::DevicePage, 0)]),
    populate: THREE,
    steps: &[By(0, acquire(1, 3))],
    hardened: Expect::Lines(&[
        "0 acquire 1: 2 of 3",
        "at a1: a1 write",
        "at a2: dev0 device-private write",
        "device 0 at a2: a2",
        "at a3: dev1 device-private write",
        "device 0 at a3: a3",
        "page a1: count 1, mapped 1, on the LRU",
        "page a2: count 1025, mapped 0, isolated, pinned 1",
        "page a3: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::DevicePageRefused],
    ..BASE
};

const DEVICE_PAGE_1: Scenario = Scenario {
    name: "alloc-device-page-1",
    about: "of three pages to pin the second gets no device page",
    config: failing(&[fails(AllocKind::DevicePage, 1)]),
    populate: THREE,
    steps: &[By(0, acquire(1, 3))],
    hardened: Expect::Lines(&[
        "0 acquire 1: 2 of 3",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: a2 write",
        "at a3: dev1 device-private write",
        "device 0 at a3: a3",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page a2: count 1, mapped 1, on the LRU",
        "page a3: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::DevicePageRefused],
    ..BASE
};

const DEVICE_PAGE_2: Scenario = Scenario {
    name: "alloc-device-page-2",
    about: "of three pages to pin the third gets no device page",
    config: failing(&[fails(AllocKind::DevicePage, 2)]),
    populate: THREE,
    steps: &[By(0, acquire(1, 3))],
    hardened: Expect::Lines(&[
        "0 acquire 1: 2 of 3",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: dev1 device-private write",
        "device 0 at a2: a2",
        "at a3: a3 write",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page a2: count 1025, mapped 0, isolated, pinned 1",
        "page a3: count 1, mapped 1, on the LRU",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::DevicePageRefused],
    ..BASE
};

/// Without a pin there is nothing to undo.
const DEVICE_PAGE_TO_DEVICE: Scenario = Scenario {
    name: "alloc-device-page-to-device",
    about: "of three pages to move the second gets no device page",
    config: failing(&[fails(AllocKind::DevicePage, 1)]),
    populate: THREE,
    steps: &[By(0, to_device(1, 3)), By(1, Step::Read(2))],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 2 of 3",
        "1 read 2: 8",
        "at a1: dev0 device-private write",
        "device 0 at a1: dev0",
        "at a2: a2 write",
        "at a3: dev1 device-private write",
        "device 0 at a3: dev1",
        "page a1: free",
        "page a2: count 1, mapped 1, on the LRU",
        "page a3: free",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    events: &[Event::DevicePageRefused],
    ..BASE
};

const DEVICE_MAPPING_ONCE: Scenario = Scenario {
    name: "alloc-device-mapping-once",
    about: "the device's table can't grow at first, and can when it is asked again",
    config: failing(&[fails(AllocKind::DeviceMapping, 0)]),
    populate: THREE,
    steps: &[
        By(0, acquire(1, 2)),
        By(0, Step::DeviceAdd(1, 1)),
        By(0, Step::DeviceAdd(2, 1)),
    ],
    hardened: Expect::Lines(&[
        "0 acquire 1: 2 of 2",
        "0 device add 1: 7",
        "0 device add 2: 8",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: dev1 device-private write",
        "device 0 at a2: a2",
        "at a3: a3 write dirty",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page a2: count 1025, mapped 0, isolated, pinned 1",
        "page a3: count 1, mapped 1, on the LRU",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    events: &[Event::AllocationFailed],
    ..BASE
};

const DEVICE_MAPPING_FULL: Scenario = Scenario {
    name: "alloc-device-mapping-full",
    about: "the device's table has room for one page of two: the other goes back",
    config: Config {
        devices: &[DeviceSpec {
            pages: 4,
            mappings: 1,
            driver: DriverKind::Careful,
        }],
        ..Config::SMALL
    },
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
    steps: &[By(0, acquire(1, 2)), By(1, Step::Add(2, 1))],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 2",
        "1 add 2: 8",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: a2 write dirty",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page a2: count 1, mapped 1, on the LRU",
        "page dev0: count 2, mapped 1",
    ]),
    events: &[Event::AllocationFailed, Event::Unpinned],
    ..BASE
};

/// As posted there are no records, so that nothing can be full.
const PIN_RECORD_FULL: Scenario = Scenario {
    name: "alloc-pin-record-full",
    about: "there is room for one pin record: the second page is not pinned",
    config: Config {
        pin_records: 1,
        ..Config::SMALL
    },
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
    steps: &[By(0, acquire(1, 2))],
    hardened: Expect::Lines(&[
        "0 acquire 1: 1 of 2",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: a2 write",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page a2: count 1, mapped 1, on the LRU",
        "page dev0: count 2, mapped 1",
    ]),
    as_posted: Expect::Lines(&[
        "0 acquire 1: 2 of 2",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: dev1 device-private write",
        "device 0 at a2: a2",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page a2: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    events: &[Event::PinRecordFull],
    ..BASE
};

/// The first page of the machine's was for the initial state.
const SYSTEM_PAGE: Scenario = Scenario {
    name: "alloc-system-page",
    about: "there is no page to copy to when a CPU wants one back from the device",
    config: failing(&[fails(AllocKind::Page, 1)]),
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, to_device(1, 1)),
        By(1, Step::Read(1)),
        By(0, Step::DeviceAdd(1, 1)),
        By(1, Step::Read(1)),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 to device 1: 1 of 1",
        "1 read 1: Oom",
        "0 device add 1: 7",
        "1 read 1: 8",
        "at a1: new0 write",
        "page a1: free",
        "page new0: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::AllocationFailed, Event::MigratedToSystem],
    ..BASE
};
