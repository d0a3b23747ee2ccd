//! *posted*: the defects that only an interleaving shows, as posted and with the driver as posted.

use super::short::*;
use crate::config::Config;
use crate::paths::populate::Populate;
use crate::race::{Posted, Race};
use crate::scenario::Step;
use crate::violation::Invariant;

/// Acquire, and use it.
const USE: &[Step] = &[acquire(1, 1), Step::DeviceAdd(1, 1)];

/// What its `page_free`, which drops the bias and nothing else, breaks whatever else happens.
const PAGE_FREE: &[&str] = &[
    "a pair outlives its device page",
    "a page is left isolated",
    "a page is left, and nobody will free it",
];

/// The driver as posted, under `AsPosted` only.
fn driver(race: Race, breaks: Invariant) -> Race {
    Race {
        config: Config {
            devices: POSTED.devices,
            ..race.config
        },
        hardened: false,
        posted: Some(Posted::Breaks(breaks)),
        ..race
    }
}

/// The careful driver: `AsPosted` breaks, `Hardened` does not.
fn careful(race: Race, breaks: Invariant) -> Race {
    let posted = Some(Posted::Breaks(breaks));
    Race { posted, ..race }
}

pub(super) fn races() -> Vec<Race> {
    vec![
        Race {
            known: PAGE_FREE,
            ..driver(
            race(
                "posted-driver-dontneed",
                "the driver maps a page that was thrown away meanwhile: it does not ask the notifier",
                &[USE, &[DONTNEED]],
                &[],
            ),
            Invariant::Notify,
        )},
        Race {
            known: PAGE_FREE,
            ..driver(
            race(
                "posted-driver-fork",
                "the driver maps for writing what a fork has made read-only: it does not look at WRITE",
                &[USE, &[Step::Fork(B)]],
                &[],
            ),
            Invariant::Cow,
        )},
        driver(
            race(
                "posted-driver-munmap",
                "a pinned page is unmapped while the device writes it",
                &[&[Step::DeviceAdd(1, 1)], &[MUNMAP]],
                &[],
            )
            .given(ACQUIRED),
            Invariant::Pair,
        ),
        careful(
            race(
                "unpin-referenced",
                "two CPUs take a page back on 6.12: the one that is refused drops the isolation's reference",
                &[&[Step::Write(1, 20)], &[Step::Write(1, 30)], &[Step::Read(1)]],
                &[],
            )
            .given(ACQUIRED)
            .on(MODERN),
            Invariant::Ref,
        ),
        careful(
            race(
                "faults-refuse-each-other",
                "two CPUs fault on a page that is on a device of 6.12, each with a reference that the other can't account for",
                &[&[Step::Read(1)], &[Step::Write(1, 30)], &[Step::Read(1)]],
                &[],
            )
            .given(ON_DEVICE)
            .on(MODERN),
            Invariant::Live,
        ),
        careful(
            race(
                "mprotect-while-pinning",
                "the page is write-protected while it is acquired: the pin comes to nothing and stays",
                &[USE, &[PROTECT]],
                &[],
            ),
            Invariant::Pin,
        ),
        careful(
            race(
                "swap-in-while-pinning",
                "the page comes from swap while it is acquired: it is in the swap cache, and its pin stays",
                &[USE, &[Step::Read(1)]],
                &[],
            )
            .standing(&[(A, 1, Populate::Swapped(7))]),
            Invariant::Pin,
        ),
        careful(
            race(
                "dontneed-reads-stale",
                "MADV_DONTNEED returns before a migration has flushed the TLB, and what was thrown away is read again",
                &[
                    &[TO_DEVICE],
                    &[Step::Read(1), DONTNEED, Step::Read(1)],
                ],
                &[],
            ),
            Invariant::Data,
        ),
        careful(
            race(
                "huge-page-busy",
                "two drivers split one huge page: the one that finds it locked keeps a reference for ever",
                &[&SPLIT, &SPLIT],
                &[],
            )
            .standing(&[(A, 0, Populate::Huge(7))])
            .on(TWO_DEVICES),
            Invariant::Ref,
        ),
    ]
}
