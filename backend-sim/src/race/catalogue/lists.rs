//! *lists*: reclaim, compaction, another migration, the LRU's per-CPU batches, and locks that are busy.

use super::short::*;
use crate::config::{ActorId, Config, FileId, FileSpec, MemcgId, MmSpec, VmaKind, VmaSpec};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::race::Race;
use crate::scenario::Step;

/// Acquire, and use it.
const USE: &[Step] = &[acquire(1, 1), Step::DeviceAdd(1, 1)];
/// Take it back by a fault.
const TAKE: &[Step] = &[Step::Write(1, 20)];

/// Four pages of a file, mapped shared.
const SHARED_FILE: Config<'static> = Config {
    mms: &[
        MmSpec {
            memcg: MemcgId(0),
            vmas: &[VmaSpec::anonymous(0, 4).of(VmaKind::Shared(FileId(0), 0))],
        },
        MmSpec {
            memcg: MemcgId(0),
            vmas: &[],
        },
    ],
    files: &[FileSpec {
        contents: &[40, 41, 42, 43],
    }],
    ..CONFIG
};

pub(super) fn races() -> Vec<Race> {
    vec![
        race(
            "reclaim-acquire",
            "a page is reclaimed while it is acquired",
            &[USE, &[Step::Reclaim(1)]],
            &[
                Event::TrylockBusy,
                Event::IsolateFailed,
                Event::FreezeFailed,
                Event::ReclaimRefused,
                Event::Reclaimed,
                Event::LruDrainedRemote,
            ],
        ),
        race(
            "reclaim-acquired",
            "reclaim looks at a page that is pinned, and that a CPU takes back",
            &[TAKE, &[Step::Reclaim(1)]],
            &[Event::ReclaimRefused, Event::FaultedBack],
        )
        .given(ACQUIRED),
        race(
            "reclaim-swap-cached",
            "a page in the swap cache is reclaimed while it is acquired",
            &[USE, &[Step::Reclaim(1)]],
            &[Event::Pinned, Event::Reclaimed],
        )
        .standing(&[(A, 1, Populate::SwapCached(7))]),
        race(
            "reclaim-to-device",
            "a page is reclaimed while it is migrated to a device",
            &[&[TO_DEVICE], &[Step::Reclaim(1)]],
            &[
                Event::Reclaimed,
                Event::ReclaimRefused,
                Event::MigratedToDevice,
            ],
        ),
        race(
            "compact-acquire",
            "compaction moves a page while it is acquired",
            &[USE, &[Step::Compact(1)]],
            &[Event::Compacted, Event::CompactionRefused, Event::Pinned],
        ),
        race(
            "compact-acquired",
            "compaction looks at a page that is pinned, and that a CPU takes back",
            &[TAKE, &[Step::Compact(1)]],
            &[Event::CompactionRefused, Event::FaultedBack],
        )
        .given(ACQUIRED),
        race(
            "compact-to-device",
            "compaction moves a page while it is migrated to a device",
            &[&[TO_DEVICE], &[Step::Compact(1)]],
            &[
                Event::Compacted,
                Event::CompactionRefused,
                Event::MigratedToDevice,
            ],
        ),
        race(
            "batch-acquire",
            "a page is still in another CPU's LRU batch, which that CPU fills up",
            &[&[acquire(1, 1)], &[Step::Write(2, 8), Step::Write(3, 9)]],
            &[Event::LruDrainedRemote, Event::LruBatchFull, Event::Pinned],
        )
        .standing(&[(A, 1, Populate::WrittenInBatch(7, ActorId(1)))])
        .on(Config {
            lru_batch: 2,
            ..CONFIG
        }),
        race(
            "lock-acquire",
            "somebody locks the page for a moment while it is acquired",
            &[&[acquire(1, 1)], &[Step::LockPage(1), Step::UnlockPage]],
            &[Event::TrylockBusy, Event::Pinned],
        ),
        race(
            "lock-original-fault",
            "somebody locks the original for a moment while a CPU takes the page back",
            &[TAKE, &[Step::LockOriginal(1), Step::UnlockPage]],
            &[Event::TrylockBusy, Event::FaultedBack],
        )
        .given(ACQUIRED),
        race(
            "isolate-acquire",
            "somebody has the page off the LRU for a moment while it is acquired",
            &[&[acquire(1, 1)], &[Step::Isolate(1), Step::Putback]],
            &[Event::IsolateFailed, Event::Pinned],
        ),
        race(
            "writeback-to-device",
            "a page of a file is written back while a driver tries to acquire it",
            &[&[acquire(1, 1)], &[Step::Writeback(FileId(0), 1)]],
            &[Event::Writeback, Event::PinRefused],
        )
        .on(SHARED_FILE),
    ]
}
