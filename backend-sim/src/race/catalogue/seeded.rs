//! *seeded*: for each invariant a race on a machine that is broken in one way which only a preemption shows.
//!
//! A search that finds nothing proves nothing unless it finds what is there. Each race here is clean on a sound machine,
//! and on the broken one as long as nobody is interrupted in the middle of a step; at its bound the search has to find the
//! invariant that the bug is there for, and [`Race::judge`] calls it a failure if it does not. Nearly all need one
//! preemption: between the two halves of what should be one piece. A race whose other half must be interrupted too, since
//! left alone it would undo what it did, has two.

use crate::bug::Bug;
use crate::config::{ActorSpec, Config, MmId};
use crate::driver::session::Purpose;
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::race::{Effort, Program, Race};
use crate::scenario::{By, Step};
use migrate_pin_core::Access;
use std::borrow::Cow;

/// The address space of the first two actors, which the device mirrors.
const A: MmId = MmId(0);
/// The one that it is forked into, the third actor's.
const B: MmId = MmId(1);

/// [`Config::SMALL`] with a third actor, in the child.
const FAMILY: Config<'static> = Config {
    actors: &[actor(0, A), actor(1, A), actor(2, B)],
    ..Config::SMALL
};

const fn actor(cpu: u8, mm: MmId) -> ActorSpec {
    ActorSpec { cpu, mm: Some(mm) }
}

/// A page of the process's own. What `AsPosted` makes of it is of no interest.
const OWN: Race = Race {
    populate: Cow::Borrowed(&[(A, 1, Populate::Written(7))]),
    posted: None,
    effort: Effort::Bound(1),
    ..Race::BASE
};

/// A page of the parent's that its child shares.
const SHARED: Race = Race {
    config: FAMILY,
    given: Cow::Borrowed(&[By(0, Step::Fork(B))]),
    ..OWN
};

/// The race of a bug: it has the bug's name, and breaks what the bug is there to break.
macro_rules! seeded {
    ($bug:ident, $about:literal, $base:ident { $($field:ident: $value:expr),* $(,)? }) => {
        Race {
            name: Cow::Borrowed(Bug::$bug.name()),
            about: Cow::Borrowed($about),
            bugs: &[Bug::$bug],
            breaks: Some(Bug::$bug.breaks()),
            $($field: $value,)*
            ..$base
        }
    };
}

/// Two actors, each with its steps.
macro_rules! programs {
    ($($actor:literal: $steps:expr),* $(,)?) => {
        Cow::Borrowed(&[$(Program::new($actor, &$steps)),*])
    };
}

const fn acquire(at: u16, access: Access) -> Step {
    let pages = 1;
    Step::Acquire { at, pages, access }
}

const fn setup(at: u16, pages: u16, purpose: Purpose) -> Step {
    Step::Setup { at, pages, purpose }
}

const fn gup(pin: bool) -> Step {
    let (at, write) = (1, true);
    Step::Gup { at, write, pin }
}

const fn munmap(at: u16) -> Step {
    Step::Munmap { at, pages: 1 }
}

const WRITE: Access = Access::Write;

/// In the order of the invariants.
pub(super) const RACES: &[Race] = &[
    seeded!(
        PutNotAtomic,
        "a reference is put while another is taken, and the taken one is lost",
        OWN {
            given: Cow::Borrowed(&[By(0, gup(false))]),
            programs: programs!(0: [Step::GupPut], 1: [gup(false), Step::GupPut]),
            events: Cow::Borrowed(&[Event::GupFast]),
        }
    ),
    seeded!(
        RmapNotAtomic,
        "parent and child unmap a page at once, and one of them is not counted out",
        SHARED {
            programs: programs!(0: [munmap(1)], 2: [munmap(1)]),
            events: Cow::Borrowed(&[Event::PageFreed]),
        }
    ),
    seeded!(
        AnonVmaWithoutRecheck,
        "two first faults in an area, and compaction never finds the page of one",
        OWN {
            populate: Cow::Borrowed(&[]),
            programs: programs!(0: [Step::Write(1, 7)], 1: [Step::Write(2, 8)]),
            events: Cow::Borrowed(&[Event::Fault]),
        }
    ),
    seeded!(
        FlushBeforeClear,
        "a CPU loads an entry again that was flushed and not cleared yet",
        OWN {
            programs: programs!(0: [Step::Compact(1)], 1: [Step::Write(1, 8)]),
            events: Cow::Borrowed(&[Event::Compacted, Event::MigrationWait]),
        }
    ),
    seeded!(
        GupWithoutRecheck,
        "GUP-fast has a page that was unmapped and given to somebody else since it looked",
        OWN {
            programs: programs!(0: [gup(false), Step::GupPut], 1: [munmap(1), Step::Write(2, 9)]),
            events: Cow::Borrowed(&[Event::GupFast, Event::GupFastBackedOut, Event::PageFreed]),
        }
    ),
    seeded!(
        IsolateNotAtomic,
        "driver and reclaim both take a page off the LRU",
        OWN {
            programs: programs!(0: [acquire(1, WRITE)], 1: [Step::Reclaim(1)]),
            events: Cow::Borrowed(&[Event::Pinned, Event::IsolateFailed]),
        }
    ),
    seeded!(
        TrylockNotAtomic,
        "two lock a page that was free when they looked",
        OWN {
            programs: programs!(0: [acquire(1, WRITE)], 1: [Step::LockPage(1), Step::UnlockPage]),
            events: Cow::Borrowed(&[Event::Pinned, Event::TrylockBusy]),
            effort: Effort::Bound(2),
        }
    ),
    // The pin for DMA has to be there when the bias is dropped: an unpin before that would make up for it.
    seeded!(
        UnpinNotAtomic,
        "a page is pinned for DMA while the driver's pin goes, and both are gone",
        OWN {
            given: Cow::Borrowed(&[By(0, acquire(1, WRITE))]),
            programs: programs!(0: [Step::Revoke { at: 1, pages: 1 }], 1: [gup(true), Step::GupPut]),
            events: Cow::Borrowed(&[Event::Unpinned, Event::GupPinned]),
            effort: Effort::Bound(2),
        }
    ),
    seeded!(
        PoolLockDropped,
        "two acquires get the same device page",
        OWN {
            populate: Cow::Borrowed(&[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))]),
            programs: programs!(0: [acquire(1, WRITE)], 1: [acquire(2, WRITE)]),
            events: Cow::Borrowed(&[Event::Pinned, Event::Acquired]),
        }
    ),
    seeded!(
        RmapBeforeClear,
        "the device gets a page that the child still has mapped",
        SHARED {
            programs: programs!(0: [acquire(1, Access::Read)], 2: [munmap(1)]),
            events: Cow::Borrowed(&[Event::Pinned, Event::Acquired]),
        }
    ),
    seeded!(
        ForkFlushesLate,
        "the parent's other CPU writes a page that the child has already",
        OWN {
            config: FAMILY,
            given: Cow::Borrowed(&[By(1, Step::Write(1, 8))]),
            programs: programs!(0: [Step::Fork(B)], 1: [Step::Write(1, 9)]),
            events: Cow::Borrowed(&[Event::CowCopy]),
        }
    ),
    seeded!(
        SeqAfterRevoke,
        "an acquire maps a page behind the callback that was to take it away",
        OWN {
            programs: programs!(0: [acquire(1, WRITE)], 1: [Step::DontNeed { at: 1, pages: 1 }]),
            events: Cow::Borrowed(&[Event::Notified, Event::Acquired]),
        }
    ),
    seeded!(
        DirtyBeforeClear,
        "a lazily freed page is written while reclaim unmaps it",
        OWN {
            populate: Cow::Borrowed(&[(A, 1, Populate::LazyFree(7))]),
            programs: programs!(0: [Step::Reclaim(1)], 1: [Step::Write(1, 8)]),
            events: Cow::Borrowed(&[
                Event::HardwareDirty,
                Event::Reclaimed,
                Event::ReclaimRefused
            ]),
        }
    ),
    // The fork is interrupted when the child's area is linked, compaction when it has been to the child's.
    seeded!(
        RmapChildFirst,
        "fork() copies a migration entry to where compaction has looked for it",
        OWN {
            config: FAMILY,
            programs: programs!(0: [Step::Fork(B)], 1: [Step::Compact(1)]),
            events: Cow::Borrowed(&[Event::ForkMigration, Event::Compacted]),
            effort: Effort::Bound(2),
        }
    ),
    seeded!(
        CountShared,
        "two calls of one driver, and it reads what setup counted for the other",
        OWN {
            populate: Cow::Borrowed(&[
                (A, 1, Populate::Written(7)),
                (A, 2, Populate::Written(8)),
                (A, 3, Populate::Written(9))
            ]),
            programs: programs!(
                0: [setup(1, 1, Purpose::Pin(WRITE)), Step::Abandon],
                1: [setup(2, 2, Purpose::ToDevice), Step::Abandon],
            ),
            events: Cow::Borrowed(&[Event::Pinned, Event::Restore]),
        }
    ),
    seeded!(
        WordShared,
        "two calls of one driver, and it reads the flags of one word and the pfn of the other",
        OWN {
            programs: programs!(
                0: [setup(1, 1, Purpose::Pin(WRITE)), Step::Abandon],
                1: [setup(2, 1, Purpose::ToDevice), Step::Abandon],
            ),
            events: Cow::Borrowed(&[Event::Pinned, Event::Restore]),
        }
    ),
    seeded!(
        ChargeNotAtomic,
        "two faults at once, and the memory cgroup pays for one",
        OWN {
            populate: Cow::Borrowed(&[]),
            programs: programs!(0: [Step::Write(1, 7)], 1: [Step::Write(2, 8)]),
            events: Cow::Borrowed(&[Event::Fault]),
        }
    ),
    seeded!(
        WaitUnderPtl,
        "a CPU waits for the page with the lock that finalize needs to restore it",
        OWN {
            programs: programs!(0: [acquire(1, WRITE)], 1: [Step::Read(1)]),
            events: Cow::Borrowed(&[Event::MigrationWait, Event::FaultedBack]),
        }
    ),
];
