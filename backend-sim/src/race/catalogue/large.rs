//! *large*: eight actors and sixty-four pages, too much to enumerate: by random schedules and PCT.

use super::short::{acquire, device, A, B};
use crate::config::{ActorSpec, Config, DeviceId, MemcgId, MirrorSpec, MmId, MmSpec, VmaSpec};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::race::{Effort, Program, Race};
use crate::scenario::Step;
use migrate_pin_core::policy::ShapeKind;
use std::borrow::Cow;

const PAGES: u16 = 64;

const fn actor(cpu: u8, mm: MmId) -> ActorSpec {
    ActorSpec { cpu, mm: Some(mm) }
}

const fn mirror(device: u8) -> MirrorSpec {
    let device = DeviceId(device);
    MirrorSpec { device, mm: A }
}

const CONFIG: Config<'static> = Config {
    actors: &[
        actor(0, A),
        actor(1, A),
        actor(2, A),
        actor(3, A),
        actor(4, A),
        actor(5, A),
        actor(6, A),
        actor(7, A),
    ],
    mms: &[
        MmSpec {
            memcg: MemcgId(0),
            vmas: &[VmaSpec::anonymous(0, PAGES)],
        },
        MmSpec {
            memcg: MemcgId(0),
            vmas: &[],
        },
    ],
    devices: &[device(40), device(24)],
    mirrors: &[mirror(0), mirror(1)],
    system_pages: 160,
    mm_pages: PAGES,
    swap_slots: 32,
    pin_records: 64,
    lru_batch: 4,
    ..Config::SMALL
};

/// Every fourth page is a hole, the others are written, swapped or in the swap cache; one table is a huge page.
fn populate() -> Vec<(MmId, u16, Populate)> {
    let mut all = vec![(A, 0, Populate::Huge(100))];
    for page in 4..PAGES {
        let word = u32::from(page);
        match page % 8 {
            0 | 4 => {}
            3 => all.push((A, page, Populate::Swapped(word))),
            6 => all.push((A, page, Populate::LazyFree(word))),
            _ => all.push((A, page, Populate::Written(word))),
        }
    }
    all
}

const PROGRAMS: [&[Step]; 8] = [
    &[acquire(0, 32), Step::DeviceAdd(5, 1), acquire(32, 8)],
    &[acquire(24, 16), Step::DeviceAdd(30, 1), acquire(8, 8)],
    &[
        Step::Write(5, 1),
        Step::Write(25, 2),
        Step::Add(30, 3),
        Step::Read(2),
        Step::Read(33),
    ],
    &[
        Step::Gup {
            at: 25,
            write: true,
            pin: true,
        },
        Step::GupWrite(9),
        Step::GupPut,
        Step::Read(26),
    ],
    &[
        Step::DontNeed { at: 20, pages: 8 },
        Step::Write(21, 7),
        Step::Munmap { at: 10, pages: 2 },
    ],
    &[Step::Fork(B), Step::Write(29, 8)],
    &[
        Step::Reclaim(5),
        Step::Compact(25),
        Step::Reclaim(30),
        Step::Drain,
    ],
    &[
        Step::ToDevice { at: 40, pages: 16 },
        Step::Revoke { at: 0, pages: 16 },
        Step::Mprotect {
            at: 44,
            pages: 4,
            write: false,
        },
    ],
];

fn large(name: &'static str, shape: ShapeKind) -> Race {
    let program = |(actor, steps): (usize, &&'static [Step])| Program::new(actor as u8, steps);
    Race {
        name: Cow::Borrowed(name),
        about: Cow::Borrowed(
            "two drivers, CPUs, DMA, zap, fork, reclaim and a migration on 64 pages",
        ),
        config: Config { shape, ..CONFIG },
        populate: Cow::Owned(populate()),
        programs: PROGRAMS.iter().enumerate().map(program).collect(),
        events: Cow::Borrowed(&[
            Event::TrylockBusy,
            Event::MigrationWait,
            Event::FaultedBack,
            Event::Pinned,
            Event::DeviceRevoked,
            Event::NotifierRetry,
        ]),
        effort: Effort::Samples(400),
        ..Race::BASE
    }
}

pub(super) fn races() -> Vec<Race> {
    vec![
        large("large", ShapeKind::V5_11),
        large("large-on-6-12", ShapeKind::V6_12),
    ]
}
