//! *three*: what takes three actors.

use super::short::*;
use crate::event::Event;
use crate::race::Race;
use crate::scenario::Step;

pub(super) fn races() -> Vec<Race> {
    vec![
        race(
            "acquire-write-dontneed",
            "one CPU writes the page that a driver acquires, another throws it away",
            &[&[acquire(1, 1)], &[Step::Write(1, 8)], &[DONTNEED]],
            &[
                Event::MigrationEntryZapped,
                Event::FaultedBack,
                Event::PageFreeWithPair,
            ],
        ),
        race(
            "acquire-reclaim-read",
            "a page is acquired, reclaimed and read",
            &[&[acquire(1, 1)], &[Step::Reclaim(1)], &[Step::Read(1)]],
            &[Event::Reclaimed, Event::SwapIn, Event::FaultedBack],
        ),
        race(
            "acquire-fork-child",
            "a page is acquired and forked, and the child writes it",
            &[&[acquire(1, 1)], &[Step::Fork(B)], &[Step::Write(1, 50)]],
            &[Event::CowCopy, Event::Pinned],
        )
        .on(FAMILY),
        race(
            "two-drivers-write",
            "one driver acquires the page that a CPU writes, another sets out to and gives up",
            &[&[acquire(1, 1)], &GIVE_UP, &[Step::Write(1, 8)]],
            &[Event::TrylockBusy, Event::FaultedBack],
        )
        .on(TWO_DEVICES),
        race(
            "fault-fault-revoke",
            "two CPUs fault on a page that its driver gives back",
            &[&[REVOKE], &[Step::Write(1, 20)], &[Step::Write(1, 30)]],
            &[
                Event::MigrationWait,
                Event::DeviceRevokedDirty,
                Event::FaultedBack,
            ],
        )
        .given(ACQUIRED),
    ]
}
