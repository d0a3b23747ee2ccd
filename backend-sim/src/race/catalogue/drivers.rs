//! *drivers*: two drivers on one range, a driver against itself, what runs out under contention, notifiers.

use super::short::*;
use crate::config::{AllocKind, Config, DeviceSpec, FailSpec};
use crate::event::Event;
use crate::race::Race;
use crate::scenario::Step;

const LAST_PAGE: &[DeviceSpec] = &[device(1)];
const LAST_MAPPING: &[DeviceSpec] = &[DeviceSpec {
    mappings: 1,
    ..device(4)
}];

pub(super) fn races() -> Vec<Race> {
    vec![
        race(
            "two-drivers-opposite-order",
            "two drivers acquire two pages, each the other's last page first",
            &[
                &[acquire(1, 1), acquire(2, 1)],
                &[acquire(2, 1), acquire(1, 1)],
            ],
            &[Event::PinRefused, Event::Unpinned, Event::NotifierRetry],
        )
        .standing(TWO)
        .on(TWO_DEVICES),
        race(
            "two-drivers-overlapping",
            "two drivers acquire ranges that overlap",
            &[&[acquire(1, 2)], &[acquire(2, 2)]],
            &[Event::PinRefused, Event::NotifierRetry, Event::NotifierBusy],
        )
        .standing(TWO)
        .on(TWO_DEVICES),
        race(
            "one-driver-twice",
            "two threads of one driver acquire one page",
            &[
                &[acquire(1, 1), Step::DeviceAdd(1, 1)],
                &[acquire(1, 1), Step::DeviceAdd(1, 1)],
            ],
            &[Event::PinRefused, Event::DeviceFault, Event::DeviceAccess],
        ),
        race(
            "acquire-revoke",
            "a driver acquires a page that another thread of it gives back",
            &[&[acquire(1, 1), Step::DeviceAdd(1, 1)], &[REVOKE]],
            &[
                Event::TrylockBusy,
                Event::IsolateFailed,
                Event::LruDrainedRemote,
                Event::DeviceRevokedDirty,
            ],
        )
        .given(ACQUIRED),
        race(
            "acquire-to-device",
            "one driver acquires a page that another migrates to its device",
            &[&[acquire(1, 1)], &[TO_DEVICE]],
            &[
                Event::PinRefused,
                Event::NotifierRetry,
                Event::MigratedToDevice,
            ],
        )
        .on(TWO_DEVICES),
        race(
            "last-device-page",
            "two threads acquire a page each from a device that has one left",
            &[&[acquire(1, 1)], &[acquire(2, 1)]],
            &[Event::DevicePageRefused, Event::PinRefused, Event::Pinned],
        )
        .standing(TWO)
        .on(Config {
            devices: LAST_PAGE,
            ..CONFIG
        }),
        race(
            "last-mapping",
            "two threads acquire a page each for a device whose page table has one entry left",
            &[&[acquire(1, 1)], &[acquire(2, 1)]],
            &[Event::Pinned, Event::AllocationFailed],
        )
        .standing(TWO)
        .on(Config {
            devices: LAST_MAPPING,
            ..CONFIG
        }),
        race(
            "last-pin-record",
            "two threads acquire a page each when there is room for one record",
            &[&[acquire(1, 1)], &[acquire(2, 1)]],
            &[Event::PinRecordFull, Event::Pinned],
        )
        .standing(TWO)
        .on(Config {
            pin_records: 1,
            ..CONFIG
        }),
        race(
            "failing-device-page",
            "the first allocation of a device page fails while a CPU writes",
            &[&[acquire(1, 1)], &[Step::Write(1, 8)]],
            &[
                Event::DevicePageRefused,
                Event::PinRefused,
                Event::MigrationWait,
            ],
        )
        .on(Config {
            failures: &[FailSpec {
                kind: AllocKind::DevicePage,
                nth: 0,
            }],
            ..CONFIG
        }),
        race(
            "notifier-retry",
            "an invalidation begins between unmapping and the device's mapping",
            &[&[acquire(1, 1), Step::DeviceAdd(1, 1)], &[DONTNEED]],
            &[
                Event::NotifierRetry,
                Event::NotifierBusy,
                Event::DeviceRevoked,
            ],
        ),
    ]
}
