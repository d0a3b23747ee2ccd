//! *space*: what a process does to its address space against each stage.

use super::short::*;
use crate::event::Event;
use crate::race::Race;
use crate::scenario::{By, Step};
use migrate_pin_core::Access;

/// Acquire, and use it.
const USE: &[Step] = &[acquire(1, 1), Step::DeviceAdd(1, 1)];
/// Take it back by a fault.
const TAKE: &[Step] = &[Step::Write(1, 20)];

/// Page 1 is shared with a child, which has read it: `zap` of it there while it is acquired here. What is acquired is read
/// only, since a page that is shared is writable nowhere, and one with references is not made so.
fn elsewhere(name: &'static str, about: &'static str, zap: Step) -> Race {
    const READ: Step = Step::Acquire {
        at: 1,
        pages: 1,
        access: Access::Read,
    };
    race(
        name,
        about,
        &[&[READ, Step::DeviceRead(1)], &[zap]],
        &[Event::Pinned, Event::DeviceAccess, Event::TlbFlushAll],
    )
    .given(&[By(0, Step::Fork(B)), By(1, Step::Read(1))])
    .on(PARENT_AND_CHILD)
}

pub(super) fn races() -> Vec<Race> {
    vec![
        race(
            "fork-acquire",
            "a process forks while its page is acquired",
            &[USE, &[Step::Fork(B)]],
            &[
                Event::Restore,
                Event::PinRefused,
                Event::ForkDevicePrivate,
                Event::Blocked,
            ],
        ),
        race(
            "fork-acquired",
            "a process forks while the device writes its pinned page",
            &[&[Step::DeviceAdd(1, 1)], &[Step::Fork(B)]],
            &[Event::ForkDevicePrivate, Event::DeviceRevoked],
        )
        .given(ACQUIRED),
        race(
            "fork-fault",
            "a process forks while a CPU takes a pinned page back",
            &[TAKE, &[Step::Fork(B)]],
            &[Event::ForkDevicePrivate, Event::FaultedBack, Event::Blocked],
        )
        .given(ACQUIRED),
        race(
            "fork-to-device",
            "a process forks while its page is migrated to a device",
            &[&[TO_DEVICE], &[Step::Fork(B)]],
            &[Event::MigratedToDevice, Event::ForkDevicePrivate],
        ),
        race(
            "munmap-acquire",
            "a page is unmapped while it is acquired",
            &[USE, &[MUNMAP]],
            &[Event::Pinned, Event::PageFreeWithPair, Event::DeviceRevoked],
        ),
        race(
            "munmap-acquired",
            "a pinned page is unmapped while the device writes it",
            &[&[Step::DeviceAdd(1, 1)], &[MUNMAP]],
            &[Event::PageFreeWithPair, Event::DeviceFault, Event::Unpinned],
        )
        .given(ACQUIRED),
        race(
            "munmap-fault",
            "a pinned page is unmapped while a CPU takes it back",
            &[TAKE, &[MUNMAP]],
            &[Event::FaultedBack, Event::PageFreeWithPair, Event::Segv],
        )
        .given(ACQUIRED),
        race(
            "mprotect-acquire",
            "a page is write-protected while it is acquired for writing",
            &[USE, &[PROTECT]],
            &[Event::Pinned, Event::DeviceRevoked],
        ),
        race(
            "mprotect-fault",
            "a pinned page is write-protected while a CPU takes it back",
            &[TAKE, &[PROTECT]],
            &[Event::FaultedBack, Event::Segv],
        )
        .given(ACQUIRED),
        race(
            "dontneed-acquire",
            "MADV_DONTNEED of a page while it is acquired",
            &[USE, &[DONTNEED]],
            &[Event::MigrationEntryZapped, Event::PageFreeWithPair],
        ),
        race(
            "dontneed-fault",
            "MADV_DONTNEED of a pinned page while a CPU takes it back",
            &[TAKE, &[DONTNEED]],
            &[
                Event::FaultedBack,
                Event::PageFreeWithPair,
                Event::MigrationEntryZapped,
            ],
        )
        .given(ACQUIRED),
        race(
            "dontneed-to-device",
            "MADV_DONTNEED of a page while it is migrated to a device",
            &[&[TO_DEVICE], &[DONTNEED]],
            &[
                Event::MigratedToDevice,
                Event::MigrationEntryZapped,
                Event::PageFree,
            ],
        ),
        race(
            "exit-acquire",
            "a process exits while its page is acquired",
            &[USE, &[Step::Exit]],
            &[Event::Pinned, Event::PageFreeWithPair],
        ),
        race(
            "exit-fault",
            "a process exits while one of its CPUs takes a pinned page back",
            &[TAKE, &[Step::Exit]],
            &[Event::FaultedBack, Event::PageFreeWithPair],
        )
        .given(ACQUIRED),
        race(
            "oom-reap-acquire",
            "the OOM reaper zaps a page while it is acquired",
            &[USE, &[Step::OomReap]],
            &[Event::MigrationEntryZapped, Event::NotifierRetry],
        ),
        elsewhere(
            "munmap-elsewhere-acquire",
            "another process unmaps a page that it shares, and has not flushed yet when it is acquired to be read",
            MUNMAP,
        ),
        elsewhere(
            "oom-reap-elsewhere-acquire",
            "the OOM reaper zaps a page that is shared, and has not flushed yet when it is acquired to be read",
            Step::OomReap,
        ),
        race(
            "oom-reap-fault",
            "the OOM reaper zaps a pinned page while a CPU takes it back",
            &[TAKE, &[Step::OomReap]],
            &[Event::FaultedBack, Event::PageFreeWithPair],
        )
        .given(ACQUIRED),
    ]
}
