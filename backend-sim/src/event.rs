//! What happened on the way: [`Event`]. A scenario names those it must reach.

macro_rules! events {
    ($( $(#[$doc:meta])* $variant:ident $name:literal ),* $(,)?) => {
        /// Something that a scenario may want to have seen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Event { $( $(#[$doc])* $variant ),* }

        impl Event {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$variant ),*];

            /// A short name for reports and scenario files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name ),* }
            }
        }
    };
}

events! {
    /// `trylock_page()` found the page locked.
    TrylockBusy "trylock-busy",
    /// `remove_migration_pte()` turned a migration entry back into a mapping of its own source.
    Restore "restore",
    /// `remove_migration_pte()` turned a migration entry into a mapping of another page.
    Remap "remap",
    /// A migration entry was zapped before it was removed.
    MigrationEntryZapped "migration-entry-zapped",
    /// A CPU used a TLB entry whose page-table entry is not there any more.
    StaleTlbHit "stale-tlb-hit",
    /// `flush_tlb_all()` took translations away.
    TlbFlushAll "tlb-flush-all",
    /// The hardware set the dirty bit of an entry.
    HardwareDirty "hardware-dirty",
    /// A page fault was handled.
    Fault "fault",
    /// An access faulted more than once.
    FaultRetried "fault-retried",
    /// A fault met a migration entry and waited for the page.
    MigrationWait "migration-wait",
    /// An operation blocked.
    Blocked "blocked",
    /// A page was pinned by the pipeline.
    Pinned "pinned",
    /// A pin was dropped by the pipeline or by a release.
    Unpinned "unpinned",
    /// The pipeline gave an entry with PIN back unpinned.
    PinRefused "pin-refused",
    /// A pin record was inserted, or would have been and there was no room.
    PinRecordFull "pin-record-full",
    /// `lru_add_drain_all()` moved a page of another CPU's batch.
    LruDrainedRemote "lru-drained-remote",
    /// A batch was full and went to the list.
    LruBatchFull "lru-batch-full",
    /// `isolate_lru_page()` failed.
    IsolateFailed "isolate-failed",
    /// `page_ref_freeze()` failed.
    FreezeFailed "freeze-failed",
    /// `try_to_unmap()` met an entry it could not see or unmap.
    UnmapIncomplete "unmap-incomplete",
    /// A device mapping was taken away.
    DeviceRevoked "device-revoked",
    /// A device mapping was taken away that the device had written through.
    DeviceRevokedDirty "device-revoked-dirty",
    /// The device got a mapping.
    DeviceMapped "device-mapped",
    /// A device access found no mapping.
    DeviceFault "device-fault",
    /// A device read or wrote through its own page table.
    DeviceAccess "device-access",
    /// The device had no free page.
    DevicePageRefused "device-page-refused",
    /// `page_free()` ran.
    PageFree "page-free",
    /// `page_free()` ran for a page that stood for an original.
    PageFreeWithPair "page-free-with-pair",
    /// A notifier callback ran.
    Notified "notified",
    /// `mmu_interval_read_retry()` said that the range was invalidated.
    NotifierRetry "notifier-retry",
    /// `mmu_interval_read_begin()` found an invalidation under way.
    NotifierBusy "notifier-busy",
    /// A fault brought a huge page.
    HugeFault "huge-fault",
    /// A huge pmd became a table.
    HugePmdSplit "huge-pmd-split",
    /// A huge page became small pages.
    HugePageSplit "huge-page-split",
    /// A huge page could not be split.
    HugeSplitFailed "huge-split-failed",
    /// A write fault copied the page.
    CowCopy "cow-copy",
    /// A write fault made the page writable where it was.
    CowReuse "cow-reuse",
    /// The zero page was mapped.
    ZeroPage "zero-page",
    /// A fork copied a page at once, since it may be pinned for DMA.
    ForkCopy "fork-copy",
    /// A fork copied a device-private entry.
    ForkDevicePrivate "fork-device-private",
    /// A fork copied a migration entry.
    ForkMigration "fork-migration",
    /// A page was written to swap.
    SwapOut "swap-out",
    /// A page was read from swap.
    SwapIn "swap-in",
    /// A page was found in the swap cache.
    SwapCacheHit "swap-cache-hit",
    /// A clean page was dropped.
    CleanDropped "clean-dropped",
    /// A file page was written back.
    Writeback "writeback",
    /// Reclaim gave up on a page.
    ReclaimRefused "reclaim-refused",
    /// Reclaim freed a page.
    Reclaimed "reclaimed",
    /// Compaction moved a page.
    Compacted "compacted",
    /// Compaction gave up on a page.
    CompactionRefused "compaction-refused",
    /// GUP-fast took a reference.
    GupFast "gup-fast",
    /// GUP-fast found the entry changed after it had the reference, and gave it back.
    GupFastBackedOut "gup-fast-backed-out",
    /// GUP went the slow way.
    GupSlow "gup-slow",
    /// A page was pinned for DMA.
    GupPinned "gup-pinned",
    /// GUP was used to write to a page that had become shared or detached since.
    GupStaleWrite "gup-stale-write",
    /// A device was granted a page that somebody holds an older reference on: the patch tolerates it, and EXCL does not
    /// cover it.
    OlderReference "older-reference",
    /// An allocation failed, as the configuration asked or for want of memory.
    AllocationFailed "allocation-failed",
    /// A page was freed.
    PageFreed "page-freed",
    /// An access was refused (`SIGSEGV`).
    Segv "segv",
    /// `migrate_to_ram` could not help (`SIGBUS`).
    Sigbus "sigbus",
    /// The driver acquired a page for exclusive access.
    Acquired "acquired",
    /// A CPU fault took a page back from the device.
    FaultedBack "faulted-back",
    /// A page was migrated to device memory.
    MigratedToDevice "migrated-to-device",
    /// A page was migrated from device memory.
    MigratedToSystem "migrated-to-system",
}

/// A set of [`Event`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventSet(u64);

const _: () = assert!(Event::ALL.len() <= 64);

impl EventSet {
    /// No event.
    pub const EMPTY: Self = Self(0);

    /// The set of these.
    #[must_use]
    pub const fn of(events: &[Event]) -> Self {
        let mut set = 0;
        let mut index = 0;
        while index < events.len() {
            set |= 1 << events[index] as u8;
            index += 1;
        }
        Self(set)
    }

    /// Is `event` in it?
    #[must_use]
    pub const fn contains(self, event: Event) -> bool {
        self.0 & 1 << event as u8 != 0
    }

    /// The set with `event`.
    #[must_use]
    pub const fn with(self, event: Event) -> Self {
        Self(self.0 | 1 << event as u8)
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Is nothing in it?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The events, in order.
    pub fn iter(self) -> impl Iterator<Item = Event> {
        Event::ALL
            .iter()
            .copied()
            .filter(move |event| self.contains(*event))
    }

    /// Both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// As a bit mask, bit `event as u8`.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// From a bit mask.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}
