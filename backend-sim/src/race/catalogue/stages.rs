//! *stages*: each of what may meet a migration against its later stages, and against a release. The stages before are done when
//! the race begins, so that a preemption or two is all spent where it is wanted; the rooms beside this one have the same
//! opponents against a whole acquire and against a fault.

use super::short::*;
use crate::driver::session::Purpose;
use crate::event::Event;
use crate::race::Race;
use crate::scenario::{By, Step};
use migrate_pin_core::Access;
use std::borrow::Cow;

/// What has been done of a pin when `pages` begins. `mmap_lock` is held for reading from here on.
const COLLECTED: &[By] = &[
    By(1, Step::Write(1, 7)),
    By(
        0,
        Step::Setup {
            at: 1,
            pages: 1,
            purpose: Purpose::Pin(Access::Write),
        },
    ),
    By(0, Step::Provide),
];

/// Another driver unmaps the page for its device, and gives up.
const UNMAP: [Step; 2] = [
    Step::Setup {
        at: 1,
        pages: 1,
        purpose: Purpose::ToDevice,
    },
    Step::Abandon,
];

const PAGES: &[Step] = &[Step::Pages, Step::Map, Step::Finalize];

/// Who meets it, on another CPU.
const OPPONENTS: &[(&str, Step)] = &[
    ("fork", Step::Fork(B)),
    ("munmap", MUNMAP),
    ("mprotect", PROTECT),
    ("dontneed", DONTNEED),
    ("exit", Step::Exit),
    ("reclaim", Step::Reclaim(1)),
    ("compact", Step::Compact(1)),
    ("migration", TO_DEVICE),
];

fn named(name: String, about: String, race: Race) -> Race {
    let (name, about) = (Cow::Owned(name), Cow::Owned(about));
    Race {
        name,
        about,
        ..race
    }
}

pub(super) fn races() -> Vec<Race> {
    let mut all = Vec::new();
    for &(who, step) in OPPONENTS {
        let opponent = &[step];
        let moved = [COLLECTED, &[By(0, Step::Pages), By(0, Step::Map)]].concat();
        // The other migration is another driver's.
        let config = if who == "migration" {
            TWO_DEVICES
        } else {
            CONFIG
        };
        let begun = &[Event::Pinned, Event::Remap];
        all.push(named(
            format!("pages-{who}"),
            format!("{who} while a pin goes from pages to its end"),
            race("", "", &[PAGES, opponent], begun).given(COLLECTED),
        ));
        all.push(named(
            format!("finalize-{who}"),
            format!("{who} while a pin is finalized"),
            race("", "", &[&[Step::Finalize], opponent], begun).given(&moved),
        ));
        all.push(named(
            format!("release-{who}"),
            format!("{who} while a driver gives a page back"),
            race("", "", &[&[REVOKE], opponent], &[Event::DeviceRevokedDirty]).given(ACQUIRED),
        ));
        let last = all.len() - 3;
        for race in &mut all[last..] {
            race.config = config;
        }
    }
    all.push(
        race(
            "migration-fault",
            "another driver sets out to migrate a page that a CPU takes back, and gives up: all of it would be too long",
            &[&[Step::Write(1, 20)], &UNMAP],
            &[Event::FaultedBack, Event::DeviceRevokedDirty],
        )
        .given(ACQUIRED)
        .on(TWO_DEVICES),
    );
    all
}
