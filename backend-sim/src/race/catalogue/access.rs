//! *access*: reads and writes of CPUs against each stage and against the device's atomics; faults against each other
//! and against a release.

use super::short::*;
use crate::config::Config;
use crate::driver::session::Purpose;
use crate::event::Event;
use crate::race::Race;
use crate::scenario::Step;
use migrate_pin_core::Access;

/// The stages of a pin one by one, as a driver that does without core's `pin` would.
const BY_HAND: &[Step] = &[
    Step::Setup {
        at: 1,
        pages: 1,
        purpose: Purpose::Pin(Access::Write),
    },
    Step::Provide,
    Step::Pages,
    Step::Map,
    Step::Finalize,
];

pub(super) fn races() -> Vec<Race> {
    vec![
        race(
            "acquire-write",
            "a CPU writes the page that a driver acquires",
            &[&[acquire(1, 1)], &[Step::Write(1, 8)]],
            &[Event::StaleTlbHit, Event::MigrationWait, Event::FaultedBack],
        ),
        race(
            "acquire-read",
            "a CPU reads the page that a driver acquires",
            &[&[acquire(1, 1)], &[Step::Read(1)]],
            &[
                Event::MigrationWait,
                Event::FaultedBack,
                Event::FaultRetried,
            ],
        ),
        race(
            "acquire-atomics",
            "device and CPU add to one word: no addition is lost",
            &[
                &[acquire(1, 1), Step::DeviceAdd(1, 1)],
                &[Step::Add(1, 1), Step::Add(1, 1)],
            ],
            &[
                Event::DeviceAccess,
                Event::DeviceRevokedDirty,
                Event::FaultedBack,
            ],
        ),
        race(
            "pages-write",
            "a CPU writes while the stages of a pin run one by one",
            &[BY_HAND, &[Step::Write(1, 8)]],
            &[Event::MigrationWait, Event::FaultedBack],
        ),
        race(
            "give-up-write",
            "a CPU writes the page of a pin that is given up after setup",
            &[
                &[BY_HAND[0], Step::Provide, Step::Abandon],
                &[Step::Write(1, 8)],
            ],
            &[Event::MigrationWait, Event::Restore, Event::Unpinned],
        ),
        race(
            "device-add-write",
            "the device adds to a pinned page that a CPU writes",
            &[
                &[Step::DeviceAdd(1, 1), Step::DeviceAdd(1, 1)],
                &[Step::Write(1, 20)],
            ],
            &[Event::DeviceAccess, Event::DeviceFault, Event::FaultedBack],
        )
        .given(ACQUIRED),
        race(
            "device-add-read",
            "the device adds to a pinned page that a CPU reads",
            &[
                &[Step::DeviceAdd(1, 1), Step::DeviceAdd(1, 1)],
                &[Step::Read(1)],
            ],
            &[Event::DeviceAccess, Event::DeviceFault, Event::FaultedBack],
        )
        .given(ACQUIRED),
        race(
            "device-add-add",
            "the device and a CPU add to a pinned page: no addition is lost",
            &[
                &[Step::DeviceAdd(1, 1), Step::DeviceAdd(1, 1)],
                &[Step::Add(1, 1), Step::Add(1, 1)],
            ],
            &[Event::DeviceAccess, Event::DeviceFault, Event::FaultedBack],
        )
        .given(ACQUIRED),
        race(
            "fault-fault",
            "two CPUs write one pinned page",
            &[&[Step::Write(1, 20)], &[Step::Write(1, 30)]],
            &[
                Event::FaultedBack,
                Event::FaultRetried,
                Event::MigrationWait,
            ],
        )
        .given(ACQUIRED),
        race(
            "fault-release",
            "a CPU reads a pinned page that its driver gives back",
            &[&[REVOKE], &[Step::Read(1)]],
            &[
                Event::FaultedBack,
                Event::MigrationWait,
                Event::DeviceRevokedDirty,
            ],
        )
        .given(ACQUIRED),
        race(
            "grant-write",
            "the device gets back a mapping that a CPU's fault takes away",
            &[
                &[
                    Step::Grant {
                        at: 1,
                        access: Access::Write,
                    },
                    Step::DeviceAdd(1, 1),
                ],
                &[Step::Write(1, 20)],
            ],
            &[Event::DeviceMapped, Event::FaultedBack, Event::DeviceFault],
        )
        .given(ACQUIRED),
        race(
            "grant-read",
            "the device gets back a mapping that a CPU's read takes away",
            &[
                &[
                    Step::Grant {
                        at: 1,
                        access: Access::Write,
                    },
                    Step::DeviceAdd(1, 1),
                ],
                &[Step::Read(1)],
            ],
            &[Event::DeviceMapped, Event::FaultedBack, Event::DeviceFault],
        )
        .given(ACQUIRED),
        race(
            "to-device-write",
            "a CPU writes a page that is migrated to a device",
            &[&[TO_DEVICE], &[Step::Write(1, 8)]],
            &[
                Event::MigratedToDevice,
                Event::MigrationWait,
                Event::MigratedToSystem,
            ],
        ),
        race(
            "device-page-fault-fault",
            "two CPUs read a page that is on a device",
            &[&[Step::Read(1)], &[Step::Read(1)]],
            &[Event::MigratedToSystem, Event::FaultRetried],
        )
        .given(ON_DEVICE),
        race(
            "hole-acquire-write",
            "a CPU is the first to touch a page that a driver acquires",
            &[&[acquire(1, 1)], &[Step::Write(1, 8)]],
            &[Event::Fault, Event::FaultedBack, Event::FaultRetried],
        )
        .standing(&[])
        .on(Config {
            swap_slots: 2,
            ..CONFIG
        }),
    ]
}
