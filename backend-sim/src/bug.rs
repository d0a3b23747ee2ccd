//! Seeded bugs: a machine with one of these is broken in one way, and the invariant beside it must notice.
//!
//! Each is a line of the kernel, of the hardware or of the driver left out, done twice or done at the wrong moment,
//! switched on by [`Machine::seed`](crate::Machine::seed). [`Bug::breaks`] names the invariant that it is there to prove.
//! Those of [`Bug::needs_race`] are a matter of moments only: each has a race in
//! `race/catalogue/seeded.rs`; that of [`Bug::needs_two_failures`] is found by `tests/scenarios.rs` in the scenarios that there
//! are; the others have a scenario in `scenario/catalogue/seeds.rs`.

use crate::violation::Invariant;

macro_rules! bugs {
    ($( $(#[$doc:meta])* $variant:ident $name:literal => $invariant:ident $($needs:ident)? ),* $(,)?) => {
        /// One way to be broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Bug { $( $(#[$doc])* $variant ),* }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$variant ),*];

            /// A short name for reports and scenario files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name ),* }
            }

            /// Only an interleaving shows it: one actor after the other can't.
            #[must_use]
            pub const fn needs_race(self) -> bool {
                match self { $( Self::$variant => bugs!(@race $($needs)?) ),* }
            }

            /// Only two calls that fail in one run show it: no run in which none or one does.
            #[must_use]
            pub const fn needs_two_failures(self) -> bool {
                match self { $( Self::$variant => bugs!(@two $($needs)?) ),* }
            }

            /// The invariant that must notice.
            #[must_use]
            pub const fn breaks(self) -> Invariant {
                match self { $( Self::$variant => Invariant::$invariant ),* }
            }
        }
    };
    (@race) => { false };
    (@race race) => { true };
    (@race two) => { false };
    (@two) => { false };
    (@two race) => { false };
    (@two two) => { true };
}

bugs! {
    /// `zap_pte_range()` drops the mapping's reference twice.
    ZapPutsTwice "zap-puts-twice" => Ref,
    /// `remove_migration_pte()` maps the page without `get_page()`.
    RestoreWithoutGet "restore-without-get" => Ref,
    /// `try_to_unmap_one()` leaves out `page_remove_rmap()`.
    UnmapKeepsRmap "unmap-keeps-rmap" => Map,
    /// `copy_present_pte()` leaves out `page_dup_rmap()`.
    ForkWithoutRmap "fork-without-rmap" => Map,
    /// `page_add_new_anon_rmap()` sets the wrong `index`.
    WrongIndex "wrong-index" => Rmap,
    /// `dup_mmap()` does not link the child's vma into the parent's `anon_vma` (`anon_vma_fork()`).
    ForkWithoutAnonVma "fork-without-anon-vma" => Rmap,
    /// `ptep_clear_flush()` clears and does not flush.
    UnmapWithoutFlush "unmap-without-flush" => Tlb,
    /// `tlb_finish_mmu()` frees the pages and flushes later.
    FreeBeforeFlush "free-before-flush" => Tlb,
    /// `gup_pte_range()` does not look at the entry again once it has the reference.
    GupWithoutRecheck "gup-without-recheck" => Uaf race,
    /// `release_pages()` at the end of an LRU drain drops each page twice.
    DrainPutsTwice "drain-puts-twice" => Uaf,
    /// `__pagevec_lru_add_fn()` puts the page on the list twice.
    LruAddedTwice "lru-added-twice" => Lru,
    /// `isolate_lru_page()` clears `PG_lru` and leaves the page on the list.
    IsolateKeepsListed "isolate-keeps-listed" => Lru,
    /// `do_swap_page()` returns without `unlock_page()`.
    SwapInKeepsLock "swap-in-keeps-lock" => Lock,
    /// `change_pte_range()` returns without dropping the PTL.
    MprotectKeepsPtl "mprotect-keeps-ptl" => Lock,
    /// `page_ref_add()` of a pin adds the bias twice.
    PinTwice "pin-adds-twice" => Pin,
    /// `page_free()` forgets the pair and does not drop the pin.
    ReleaseKeepsPin "release-keeps-pin" => Pin,
    /// The driver hands a device page out twice.
    DevicePageTwice "device-page-twice" => Pair,
    /// The driver forgets a pair twice.
    ForgetTwice "forget-twice" => Pair,
    /// `try_to_unmap_one()` forgets to replace the entry in address spaces but the first.
    UnmapFirstOnly "unmap-first-only" => Excl,
    /// `remove_migration_pte()` maps the source although it has been replaced.
    RestoreOldPage "restore-old-page" => Excl,
    /// `copy_present_pte()` does not write-protect the parent.
    ForkKeepsWrite "fork-keeps-write" => Cow,
    /// `do_wp_page()` takes a shared page for its own.
    ReuseShared "reuse-shared" => Cow,
    /// `mmu_notifier_invalidate_range_start()` is left out of zapping.
    ZapWithoutNotifier "zap-without-notifier" => Notify,
    /// The driver's callback takes one mapping of the range away and stops.
    RevokeOneOnly "revoke-one-only" => Notify,
    /// `try_to_unmap_one()` drops the dirty bit.
    UnmapLosesDirty "unmap-loses-dirty" => Data,
    /// `wp_page_copy()` maps the new page without copying.
    CowWithoutCopy "cow-without-copy" => Data,
    /// `remove_migration_ptes()` stops after the first entry.
    RestoreFirstOnly "restore-first-only" => Pte,
    /// `unlock_page()` comes before `remove_migration_ptes()`.
    UnlockBeforeRestore "unlock-before-restore" => Pte,
    /// What the driver sees of `cpages` is one more than setup counted. (That core's own count can be wrong, and is noticed, is shown
    /// by `AsPosted` in `collect-hole-anonymous-pin` and `border-src-stale`.)
    CountOneMore "count-one-more" => Count,
    /// What the driver sees of the words has one entry with MIGRATE less than setup counted.
    CountOneLess "count-one-less" => Count,
    /// What the driver sees of a source word has the reserved bit. (Words that core itself makes of wrong ones are noticed under
    /// `AsPosted` in `border-src-reserved-bit` and its neighbours.)
    ReservedBit "reserved-bit" => Word,
    /// What the driver sees of a source word is a pfn without VALID.
    PfnWithoutValid "pfn-without-valid" => Word,
    /// `do_anonymous_page()` leaves out `mem_cgroup_charge()`.
    FaultWithoutCharge "fault-without-charge" => Charge,
    /// `mem_cgroup_migrate()` is left out.
    MigrateWithoutCharge "migrate-without-charge" => Charge,
    /// `unlock_page()` is left out, so that who waits for the page waits for ever.
    UnlockPageForgotten "unlock-page-forgotten" => Live,
    /// `migrate_to_ram()` returns 0 and leaves the entry as it was.
    FaultWithoutProgress "fault-without-progress" => Live,
    /// `wp_page_copy()` drops the reference on the old page once too often.
    CopyPutsTwice "copy-puts-twice" => Uaf,
    /// `munmap()` leaves an entry in the table that it forgets.
    ZapLeavesEntry "zap-leaves-entry" => Data,

    // ---- those that need a race, in the order of the invariants ----
    /// `put_page()` reads the count and writes it one lower, not in one piece.
    PutNotAtomic "put-not-atomic" => Ref race,
    /// `page_remove_rmap()` reads the map count and writes it one lower, not in one piece.
    RmapNotAtomic "rmap-not-atomic" => Map race,
    /// `anon_vma_prepare()` does not look again, once it has the lock, whether the area has got an `anon_vma` meanwhile.
    AnonVmaWithoutRecheck "anon-vma-without-recheck" => Rmap race,
    /// `ptep_clear_flush()` flushes first and clears then.
    FlushBeforeClear "flush-before-clear" => Tlb race,
    /// `isolate_lru_page()` tests `PG_lru` and then clears it, not in one piece.
    IsolateNotAtomic "isolate-not-atomic" => Lru race,
    /// `trylock_page()` tests `PG_locked` and then sets it, not in one piece.
    TrylockNotAtomic "trylock-not-atomic" => Lock race,
    /// `page_ref_sub()` of a pin's bias reads the count and writes it lower, not in one piece.
    UnpinNotAtomic "unpin-not-atomic" => Pin race,
    /// The driver looks for a free device page and takes it in two sections of the pool's lock.
    PoolLockDropped "pool-lock-dropped" => Pair race,
    /// `zap_pte_range()` removes the rmap before it clears the entry.
    RmapBeforeClear "rmap-before-clear" => Excl race,
    /// `dup_mmap()` flushes the parent's TLBs after it has dropped `mmap_lock`.
    ForkFlushesLate "fork-flushes-late" => Cow race,
    /// The driver's callback takes the mappings away and sets the sequence number in two sections of its lock.
    SeqAfterRevoke "seq-after-revoke" => Notify race,
    /// `try_to_unmap_one()` goes by the dirty bit that it saw, not by the one that it cleared.
    DirtyBeforeClear "dirty-before-clear" => Data race,
    /// `rmap_walk_anon()` comes to a child's area before its parent's, which `fork()` copies from.
    RmapChildFirst "rmap-child-first" => Pte race,
    /// The driver keeps one `cpages` for all its calls.
    CountShared "count-shared" => Count race,
    /// The driver keeps one word for all its calls, the flags and the pfn apart.
    WordShared "word-shared" => Word race,
    /// `mem_cgroup_charge()` goes by the counter as it was before the page was allocated.
    ChargeNotAtomic "charge-not-atomic" => Charge race,
    /// `migration_entry_wait()` waits for the page with the PTL held.
    WaitUnderPtl "wait-under-ptl" => Live race,

    // ---- one that needs two failures ----
    /// `do_user_addr_fault()` does not drop `mmap_lock` when it tries a fault for the fourth time (`FAULT_FLAG_TRIED`).
    TriedKeepsMmapLock "tried-keeps-mmap-lock" => Lock two,
}
