//! *access*: reads and writes of CPUs, against each stage and against the device's atomics.

use crate::config::MmId;
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::race::{Posted, Program, Race};
use crate::scenario::Step;
use migrate_pin_core::Access;
use std::borrow::Cow;

pub(super) const RACES: &[Race] = &[ACQUIRE_WRITE];

const ACQUIRE_WRITE: Race = Race {
    name: Cow::Borrowed("acquire-write"),
    about: Cow::Borrowed("a CPU writes the page that a driver acquires"),
    populate: Cow::Borrowed(&[(MmId(0), 1, Populate::Written(7))]),
    programs: Cow::Borrowed(&[
        Program::new(
            0,
            &[Step::Acquire {
                at: 1,
                pages: 1,
                access: Access::Write,
            }],
        ),
        Program::new(1, &[Step::Write(1, 8)]),
    ]),
    events: &[Event::StaleTlbHit, Event::MigrationWait, Event::FaultedBack],
    posted: Some(Posted::Holds),
    loom: Some(1),
    ..Race::BASE
};
