//! *seeds*: for each seeded bug that one actor after the other can show a scenario in which it matters, named after it; for
//! the others there is a race ([`Bug::needs_race`]).
//!
//! Run as they stand, they break nothing. With [`Variation::bugs`](crate::scenario::run::Variation::bugs) set to
//! their bug they break the invariant that it is there to prove, with the words in [`Seeded::says`]: an
//! invariant that is found broken for another reason proves nothing.

use crate::bug::Bug;
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::catalogue::machines::*;
use crate::scenario::catalogue::short::*;
use crate::scenario::{By, Expect, Scenario, Step};

/// A seeded bug and where it shows.
#[derive(Clone, Copy, Debug)]
pub struct Seeded {
    /// What is broken.
    pub bug: Bug,
    /// What the invariant says of it ([`Violation::what`](crate::Violation::what)).
    pub says: &'static str,
    /// Where it shows: a scenario that breaks nothing as it stands, and has the bug's name.
    pub scenario: Scenario,
}

/// Every seeded bug that has a scenario, in the order of the invariants.
pub const ALL: &[Seeded] = &[
    ZAP_PUTS_TWICE,
    RESTORE_WITHOUT_GET,
    UNMAP_KEEPS_RMAP,
    FORK_WITHOUT_RMAP,
    WRONG_INDEX,
    FORK_WITHOUT_ANON_VMA,
    UNMAP_WITHOUT_FLUSH,
    FREE_BEFORE_FLUSH,
    GUP_WITHOUT_RECHECK,
    DRAIN_PUTS_TWICE,
    COPY_PUTS_TWICE,
    LRU_ADDED_TWICE,
    ISOLATE_KEEPS_LISTED,
    SWAP_IN_KEEPS_LOCK,
    MPROTECT_KEEPS_PTL,
    PIN_TWICE,
    RELEASE_KEEPS_PIN,
    DEVICE_PAGE_TWICE,
    FORGET_TWICE,
    UNMAP_FIRST_ONLY,
    RESTORE_OLD_PAGE,
    FORK_KEEPS_WRITE,
    REUSE_SHARED,
    ZAP_WITHOUT_NOTIFIER,
    REVOKE_ONE_ONLY,
    UNMAP_LOSES_DIRTY,
    COW_WITHOUT_COPY,
    ZAP_LEAVES_ENTRY,
    RESTORE_FIRST_ONLY,
    UNLOCK_BEFORE_RESTORE,
    COUNT_ONE_MORE,
    COUNT_ONE_LESS,
    RESERVED_BIT,
    PFN_WITHOUT_VALID,
    FAULT_WITHOUT_CHARGE,
    MIGRATE_WITHOUT_CHARGE,
    UNLOCK_PAGE_FORGOTTEN,
    FAULT_WITHOUT_PROGRESS,
];

/// What all of them have: nothing breaks under `Hardened`, and what is printed is of no interest. `AsPosted` breaks
/// some of them by itself.
const QUIET: Scenario = Scenario {
    hardened: Expect::Breaks(&[]),
    as_posted: Expect::Skip,
    ..BASE
};

/// A page of the parent's that its child shares.
const SHARED: Scenario = Scenario {
    config: FAMILY,
    populate: &[(A, 1, Populate::Written(7))],
    given: &[By(0, Step::Fork(B))],
    ..QUIET
};

/// A page of the process's own.
const OWN: Scenario = Scenario {
    populate: &[(A, 1, Populate::Written(7))],
    ..QUIET
};

/// A bug with its scenario, which takes its name.
const fn seeded(bug: Bug, says: &'static str, scenario: Scenario) -> Seeded {
    Seeded {
        bug,
        says,
        scenario: Scenario {
            name: bug.name(),
            ..scenario
        },
    }
}

// ---- REF ---------------------------------------------------------------------------------------------------

const ZAP_PUTS_TWICE: Seeded = seeded(
    Bug::ZapPutsTwice,
    "a reference is dropped that the actor does not hold",
    Scenario {
        about: "munmap() puts a page once too often, and the child loses the page that it shares",
        steps: &[By(0, munmap(1)), By(2, Step::Read(1)), By(2, munmap(1))],
        events: &[Event::PageFreed],
        ..SHARED
    },
);

const RESTORE_WITHOUT_GET: Seeded = seeded(
    Bug::RestoreWithoutGet,
    "a reference is dropped that the actor does not hold",
    Scenario {
        about: "a migration that is given up restores no reference, and the process loses the page",
        steps: &[By(0, setup_out(1, 1)), ABANDON, By(1, Step::Read(1))],
        events: &[Event::Restore],
        ..OWN
    },
);

// ---- MAP ---------------------------------------------------------------------------------------------------

const UNMAP_KEEPS_RMAP: Seeded = seeded(
    Bug::UnmapKeepsRmap,
    "the map count is not the number of entries",
    Scenario {
        about: "try_to_unmap() leaves the map count, and the device can never have the page",
        steps: &[By(0, acquire_to_read(1, 1)), By(2, Step::Read(1))],
        events: &[Event::Pinned, Event::FaultedBack],
        ..SHARED
    },
);

const FORK_WITHOUT_RMAP: Seeded = seeded(
    Bug::ForkWithoutRmap,
    "the map count is not the number of entries",
    Scenario {
        about: "fork() does not count the child's mapping, and the device shares the page with it",
        config: FAMILY,
        steps: &[
            By(0, Step::Fork(B)),
            By(0, acquire_to_read(1, 1)),
            By(2, Step::Read(1)),
        ],
        events: &[Event::Pinned, Event::FaultedBack],
        ..OWN
    },
);

// ---- RMAP --------------------------------------------------------------------------------------------------

const WRONG_INDEX: Seeded = seeded(
    Bug::WrongIndex,
    "an entry is not found from its page",
    Scenario {
        about: "a new page gets the next page's index, and compaction does not find its mapping",
        steps: &[
            By(0, Step::Write(1, 7)),
            By(1, Step::Drain),
            By(1, Step::Compact(1)),
        ],
        events: &[Event::Fault, Event::Compacted],
        ..QUIET
    },
);

const FORK_WITHOUT_ANON_VMA: Seeded = seeded(
    Bug::ForkWithoutAnonVma,
    "an entry is not found from its page",
    Scenario {
        about: "the child's area is not linked to the parent's, and compaction misses its mapping",
        config: FAMILY,
        steps: &[
            By(0, Step::Fork(B)),
            By(1, Step::Compact(1)),
            By(2, Step::Read(1)),
        ],
        events: &[Event::Compacted],
        ..OWN
    },
);

// ---- TLB ---------------------------------------------------------------------------------------------------

const UNMAP_WITHOUT_FLUSH: Seeded = seeded(
    Bug::UnmapWithoutFlush,
    "a device has atomic access to a page that a TLB still reaches",
    Scenario {
        about: "a page is unmapped and not flushed, and a CPU writes what the device has to itself",
        given: &[By(1, Step::Write(1, 8))],
        steps: &[
            By(0, acquire(1, 1)),
            By(0, Step::DeviceAdd(1, 1)),
            By(1, Step::Write(1, 9)),
        ],
        events: &[Event::Pinned, Event::DeviceAccess, Event::FaultedBack],
        ..OWN
    },
);

const FREE_BEFORE_FLUSH: Seeded = seeded(
    Bug::FreeBeforeFlush,
    "a page is freed that a TLB still reaches",
    Scenario {
        about: "munmap() frees a page that another CPU can still write, whoever gets it next",
        given: &[By(1, Step::Write(1, 8))],
        steps: &[By(0, munmap(1)), By(0, Step::Write(2, 9))],
        events: &[Event::PageFreed],
        ..OWN
    },
);

// ---- UAF ---------------------------------------------------------------------------------------------------

/// Needs the second actor's steps in the middle of the first one's ([`Bug::needs_race`]): after one another there is
/// nothing to be seen. The freed page is the next to be handed out.
const GUP_WITHOUT_RECHECK: Seeded = seeded(
    Bug::GupWithoutRecheck,
    "GUP has a page that was freed since it looked",
    Scenario {
        about: "GUP-fast does not look again, and DMA goes into somebody else's new page",
        steps: &[
            By(0, gup(1)),
            By(0, Step::GupPut),
            By(1, munmap(1)),
            By(1, Step::Write(2, 9)),
        ],
        events: &[Event::GupFast, Event::PageFreed],
        ..OWN
    },
);

const DRAIN_PUTS_TWICE: Seeded = seeded(
    Bug::DrainPutsTwice,
    "a page is freed that is mapped",
    Scenario {
        about: "draining a batch drops the mapping's reference too, and the process loses the page",
        populate: &[(A, 1, Populate::WrittenInBatch(7, OTHER))],
        steps: &[By(0, Step::Drain), By(1, Step::Read(1))],
        events: &[Event::LruDrainedRemote],
        ..QUIET
    },
);

const COPY_PUTS_TWICE: Seeded = seeded(
    Bug::CopyPutsTwice,
    "a page is freed that is mapped",
    Scenario {
        about: "a write fault puts the page that it copied once too often, and the child loses it",
        steps: &[By(0, Step::Write(1, 8)), By(2, Step::Read(1))],
        events: &[Event::CowCopy],
        ..SHARED
    },
);

// ---- LRU ---------------------------------------------------------------------------------------------------

const LRU_ADDED_TWICE: Seeded = seeded(
    Bug::LruAddedTwice,
    "a page is on the LRU twice",
    Scenario {
        about: "a page is put on the list twice, and reclaim finds it there while it is pinned",
        populate: &[(A, 1, Populate::WrittenInBatch(7, OTHER))],
        steps: &[
            By(0, acquire(1, 1)),
            By(1, Step::Reclaim(1)),
            By(1, Step::Read(1)),
        ],
        events: &[
            Event::LruDrainedRemote,
            Event::Pinned,
            Event::ReclaimRefused,
        ],
        ..QUIET
    },
);

const ISOLATE_KEEPS_LISTED: Seeded = seeded(
    Bug::IsolateKeepsListed,
    "an isolated page is still on the LRU",
    Scenario {
        about: "isolation leaves the page on the list, which is corrupt when it comes back",
        steps: &[
            By(0, acquire(1, 1)),
            By(1, Step::Read(1)),
            By(1, Step::Drain),
        ],
        events: &[Event::Pinned, Event::FaultedBack],
        ..OWN
    },
);

// ---- LOCK --------------------------------------------------------------------------------------------------

const SWAP_IN_KEEPS_LOCK: Seeded = seeded(
    Bug::SwapInKeepsLock,
    "a page is left locked",
    Scenario {
        about: "a page is read from swap and stays locked, and the device can never have it",
        populate: &[(A, 1, Populate::Swapped(7))],
        steps: &[
            By(1, Step::Write(1, 8)),
            By(0, acquire(1, 1)),
            By(1, Step::Read(1)),
        ],
        events: &[Event::SwapIn, Event::Pinned],
        ..QUIET
    },
);

const MPROTECT_KEEPS_PTL: Seeded = seeded(
    Bug::MprotectKeepsPtl,
    "a lock is left taken",
    Scenario {
        about: "mprotect() keeps the page table's lock, and the next fault there spins for ever",
        steps: &[By(0, mprotect(1, false)), By(1, Step::Write(1, 8))],
        events: &[Event::Notified, Event::Segv],
        ..OWN
    },
);

// ---- PIN ---------------------------------------------------------------------------------------------------

const PIN_TWICE: Seeded = seeded(
    Bug::PinTwice,
    "the bias of a page is not that of its pins",
    Scenario {
        about: "a pin adds its bias twice and drops it once, and the page stays pinned for ever",
        steps: &[By(0, acquire(1, 1)), By(1, Step::Read(1))],
        events: &[Event::Pinned, Event::Unpinned],
        ..OWN
    },
);

const RELEASE_KEEPS_PIN: Seeded = seeded(
    Bug::ReleaseKeepsPin,
    "a page is pinned and nothing will release it",
    Scenario {
        about: "page_free() forgets the pair and not the pin, and nobody gets the memory back",
        steps: &[By(0, acquire(1, 1)), By(1, munmap(1))],
        events: &[Event::PageFreeWithPair, Event::Unpinned],
        ..OWN
    },
);

// ---- PAIR --------------------------------------------------------------------------------------------------

const DEVICE_PAGE_TWICE: Seeded = seeded(
    Bug::DevicePageTwice,
    "a device page stands for two pages",
    Scenario {
        about: "one device page stands for two originals, and a CPU would get back the wrong one",
        populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
        steps: &[
            By(0, acquire(1, 2)),
            By(1, Step::Read(1)),
            By(1, Step::Read(2)),
        ],
        events: &[Event::Pinned, Event::FaultedBack],
        ..QUIET
    },
);

const FORGET_TWICE: Seeded = seeded(
    Bug::ForgetTwice,
    "a pair is forgotten twice",
    Scenario {
        about: "a pair is forgotten once more, when the device page may stand for another already",
        steps: &[By(0, acquire(1, 1)), By(1, Step::Read(1))],
        events: &[Event::Pinned, Event::FaultedBack],
        ..OWN
    },
);

// ---- EXCL --------------------------------------------------------------------------------------------------

const UNMAP_FIRST_ONLY: Seeded = seeded(
    Bug::UnmapFirstOnly,
    "a device has atomic access to a page that CPUs have mapped",
    Scenario {
        about: "only one of two mappings is taken away, and the child reads beside the device",
        steps: &[
            By(0, acquire_to_read(1, 1)),
            By(0, Step::DeviceRead(1)),
            By(2, Step::Read(1)),
        ],
        events: &[Event::Pinned, Event::DeviceAccess, Event::FaultedBack],
        ..SHARED
    },
);

const RESTORE_OLD_PAGE: Seeded = seeded(
    Bug::RestoreOldPage,
    "a page is mapped for a CPU while a device has atomic access to it",
    Scenario {
        about: "finalize maps the original, not its stand-in, and CPU and device both write it",
        steps: &[
            By(0, acquire(1, 1)),
            By(0, Step::DeviceAdd(1, 1)),
            By(1, Step::Add(1, 1)),
        ],
        events: &[
            Event::Pinned,
            Event::Remap,
            Event::DeviceAccess,
            Event::FaultedBack,
        ],
        ..OWN
    },
);

// ---- COW ---------------------------------------------------------------------------------------------------

const FORK_KEEPS_WRITE: Seeded = seeded(
    Bug::ForkKeepsWrite,
    "a page is written that several address spaces read as private",
    Scenario {
        about: "fork() leaves the parent's entry writable, and the child sees the parent's writes",
        config: FAMILY,
        steps: &[
            By(0, Step::Fork(B)),
            By(0, Step::Write(1, 8)),
            By(2, Step::Read(1)),
        ],
        events: &[Event::CowCopy],
        ..OWN
    },
);

const REUSE_SHARED: Seeded = seeded(
    Bug::ReuseShared,
    "a page is written that several address spaces read as private",
    Scenario {
        about: "a write fault takes a shared page for its own, and the child sees the writes",
        steps: &[By(0, Step::Write(1, 8)), By(2, Step::Read(1))],
        events: &[Event::CowCopy],
        ..SHARED
    },
);

// ---- NOTIFY ------------------------------------------------------------------------------------------------

const ZAP_WITHOUT_NOTIFIER: Seeded = seeded(
    Bug::ZapWithoutNotifier,
    "a device has a page mapped that the CPU side does not grant it",
    Scenario {
        about: "MADV_DONTNEED does not tell the driver, and the device writes freed memory",
        steps: &[
            By(0, acquire(1, 1)),
            By(1, dont_need(1)),
            By(0, Step::DeviceWrite(1, 9)),
        ],
        events: &[
            Event::Pinned,
            Event::DeviceRevoked,
            Event::PageFreeWithPair,
            Event::DeviceFault,
        ],
        ..OWN
    },
);

const REVOKE_ONE_ONLY: Seeded = seeded(
    Bug::RevokeOneOnly,
    "a device mapping survives the invalidation of its range",
    Scenario {
        about: "the callback takes one of two mappings away, and the device writes freed memory",
        populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
        steps: &[
            By(0, acquire(1, 2)),
            By(1, Step::Munmap { at: 1, pages: 2 }),
            By(0, Step::DeviceWrite(1, 9)),
            By(0, Step::DeviceWrite(2, 9)),
        ],
        events: &[
            Event::Pinned,
            Event::DeviceRevoked,
            Event::PageFreeWithPair,
            Event::DeviceFault,
        ],
        ..QUIET
    },
);

// ---- DATA --------------------------------------------------------------------------------------------------

const UNMAP_LOSES_DIRTY: Seeded = seeded(
    Bug::UnmapLosesDirty,
    "a lazily freed page is dropped that was written since",
    Scenario {
        about: "unmapping forgets that the page was written, and reclaim throws the words away",
        populate: &[(A, 1, Populate::LazyFree(7))],
        steps: &[
            By(0, Step::Write(1, 8)),
            By(1, Step::Reclaim(1)),
            By(0, Step::Read(1)),
        ],
        events: &[Event::HardwareDirty, Event::ReclaimRefused],
        ..QUIET
    },
);

const COW_WITHOUT_COPY: Seeded = seeded(
    Bug::CowWithoutCopy,
    "a read does not see the last write",
    Scenario {
        about: "the child's own page is not copied from the parent's, and the child adds to zero",
        steps: &[By(2, Step::Add(1, 1)), By(2, Step::Read(1))],
        events: &[Event::CowCopy],
        ..SHARED
    },
);

const ZAP_LEAVES_ENTRY: Seeded = seeded(
    Bug::ZapLeavesEntry,
    "a read does not see the last write",
    Scenario {
        about: "munmap() forgets an entry, and the process reads memory that it has given back",
        steps: &[By(0, munmap(1)), By(1, Step::Read(1))],
        events: &[Event::PageFreed, Event::Segv],
        ..OWN
    },
);

// ---- PTE ---------------------------------------------------------------------------------------------------

const RESTORE_FIRST_ONLY: Seeded = seeded(
    Bug::RestoreFirstOnly,
    "a page is unlocked that migration entries name",
    Scenario {
        about: "one of two mappings is restored, and the child faults for ever",
        steps: &[
            By(0, setup_pin_to_read(1, 1)),
            ABANDON,
            By(2, Step::Read(1)),
        ],
        events: &[Event::Restore],
        ..SHARED
    },
);

const UNLOCK_BEFORE_RESTORE: Seeded = seeded(
    Bug::UnlockBeforeRestore,
    "a page is unlocked that migration entries name",
    Scenario {
        about: "a page is unlocked before its entries are restored, and who waited for it spins",
        steps: &[By(0, acquire(1, 1)), By(1, Step::Read(1))],
        events: &[Event::Pinned, Event::Remap, Event::FaultedBack],
        ..OWN
    },
);

// ---- COUNT, WORD -------------------------------------------------------------------------------------------

const COUNT_ONE_MORE: Seeded = seeded(
    Bug::CountOneMore,
    "cpages is not the number of entries with MIGRATE",
    Scenario {
        about: "cpages, as the driver sees it, is one too many",
        steps: &[By(0, setup_pin(1, 1)), PROVIDE, PAGES, MAP, FINALIZE],
        events: &[Event::Pinned, Event::Acquired],
        ..OWN
    },
);

const COUNT_ONE_LESS: Seeded = seeded(
    Bug::CountOneLess,
    "cpages is not the number of entries with MIGRATE",
    Scenario {
        about: "an entry that was counted has lost MIGRATE, as the driver sees it",
        steps: &[By(0, setup_out(1, 1)), PROVIDE, PAGES, MAP, FINALIZE],
        events: &[Event::MigratedToDevice],
        ..OWN
    },
);

const RESERVED_BIT: Seeded = seeded(
    Bug::ReservedBit,
    "a source word has bits that its stage does not allow",
    Scenario {
        about: "a source word, as the driver sees it, has the reserved bit",
        steps: &[By(0, setup_pin(1, 1)), PROVIDE, PAGES, MAP, FINALIZE],
        events: &[Event::Pinned, Event::Acquired],
        ..OWN
    },
);

const PFN_WITHOUT_VALID: Seeded = seeded(
    Bug::PfnWithoutValid,
    "a source word has bits that its stage does not allow",
    Scenario {
        about: "a source word, as the driver sees it, has a pfn and not VALID",
        steps: &[By(0, setup_out(1, 1)), PROVIDE, PAGES, MAP, FINALIZE],
        events: &[Event::MigratedToDevice],
        ..OWN
    },
);

// ---- CHARGE ------------------------------------------------------------------------------------------------

const FAULT_WITHOUT_CHARGE: Seeded = seeded(
    Bug::FaultWithoutCharge,
    "a page on the LRU is charged to nobody",
    Scenario {
        about: "a fault does not charge its page, and a container outgrows its limit",
        steps: &[By(0, Step::Write(1, 7))],
        events: &[Event::Fault],
        ..QUIET
    },
);

const MIGRATE_WITHOUT_CHARGE: Seeded = seeded(
    Bug::MigrateWithoutCharge,
    "a page on the LRU is charged to nobody",
    Scenario {
        about: "the charge stays behind when a page moves, and once back it is charged to nobody",
        steps: &[By(0, to_device(1, 1)), By(1, Step::Read(1))],
        events: &[Event::MigratedToDevice, Event::MigratedToSystem],
        ..OWN
    },
);

// ---- LIVE --------------------------------------------------------------------------------------------------

const UNLOCK_PAGE_FORGOTTEN: Seeded = seeded(
    Bug::UnlockPageForgotten,
    "an actor waits for ever",
    Scenario {
        about: "the original stays locked after it was pinned, and the CPU waits for it for ever",
        steps: &[By(0, acquire(1, 1)), By(1, Step::Read(1))],
        events: &[Event::Pinned, Event::FaultedBack],
        ..OWN
    },
);

const FAULT_WITHOUT_PROGRESS: Seeded = seeded(
    Bug::FaultWithoutProgress,
    "an access faults for ever",
    Scenario {
        about: "the driver's fault handler says done and does nothing, and the process hangs",
        steps: &[By(0, acquire(1, 1)), By(1, Step::Read(1))],
        events: &[Event::Pinned, Event::FaultedBack],
        ..OWN
    },
);
