//! *posted*: the defects that only an interleaving shows, as posted and with the driver as posted.

use super::short::*;
use crate::config::Config;
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::race::Race;
use crate::scenario::Step;

/// Acquire, and use it.
const USE: &[Step] = &[acquire(1, 1), Step::DeviceAdd(1, 1)];

/// The driver as posted, under `AsPosted` only.
fn driver(race: Race) -> Race {
    Race {
        config: Config {
            devices: POSTED.devices,
            ..race.config
        },
        hardened: false,
        ..race
    }
}

pub(super) fn races() -> Vec<Race> {
    vec![
        driver(race(
            "posted-driver-dontneed",
            "the driver maps a page that was thrown away meanwhile: it does not ask the notifier",
            &[USE, &[DONTNEED]],
            &[Event::Pinned, Event::Acquired, Event::PageFreeWithPair],
        )),
        driver(race(
            "posted-driver-fork",
            "the driver maps for writing what a fork has made read-only: it does not look at WRITE",
            &[USE, &[Step::Fork(B)]],
            &[Event::Pinned, Event::ForkDevicePrivate, Event::DeviceAccess],
        )),
        driver(
            race(
                "posted-driver-munmap",
                "a pinned page is unmapped while the device writes it",
                &[&[Step::DeviceAdd(1, 1)], &[MUNMAP]],
                &[Event::PageFreeWithPair, Event::Unpinned, Event::DeviceFault],
            )
            .given(ACQUIRED),
        ),
        race(
            "unpin-referenced",
            "two CPUs take a page back: on 6.12 the one that is refused drops the isolation's reference",
            &[&[Step::Write(1, 20)], &[Step::Write(1, 30)], &[Step::Read(1)]],
            &[Event::FaultedBack, Event::Unpinned, Event::DeviceRevokedDirty],
        )
        .given(ACQUIRED),
        race(
            "faults-refuse-each-other",
            "two CPUs fault on a page that is on a device, each with a reference that the other can't account for on 6.12",
            &[&[Step::Read(1)], &[Step::Write(1, 30)], &[Step::Read(1)]],
            &[Event::MigratedToSystem, Event::HardwareDirty],
        )
        .given(ON_DEVICE),
        race(
            "mprotect-while-pinning",
            "the page is write-protected while it is acquired: the pin comes to nothing and stays",
            &[USE, &[PROTECT]],
            &[Event::Pinned, Event::PinRefused, Event::DeviceRevoked],
        ),
        race(
            "swap-in-while-pinning",
            "the page comes from swap while it is acquired: it is in the swap cache, and its pin stays",
            &[USE, &[Step::Read(1)]],
            &[Event::SwapIn, Event::Pinned, Event::PinRefused],
        )
        .standing(&[(A, 1, Populate::Swapped(7))]),
        race(
            "dontneed-reads-stale",
            "MADV_DONTNEED returns before a migration has flushed the TLB, and what was thrown away is read again",
            &[
                &[TO_DEVICE],
                &[Step::Read(1), DONTNEED, Step::Read(1)],
            ],
            &[Event::MigratedToDevice, Event::ZeroPage],
        ),
        race(
            "huge-page-busy",
            "two drivers split one huge page: the one that finds it locked keeps a reference for ever",
            &[&SPLIT, &SPLIT],
            &[Event::HugePageSplit],
        )
        .standing(&[(A, 0, Populate::Huge(7))])
        .on(TWO_DEVICES),
    ]
}
