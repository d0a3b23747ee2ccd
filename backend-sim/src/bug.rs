//! Seeded bugs: a machine with one of these is broken in one way, and the invariant beside it must notice.
//!
//! Each is a line of the kernel, of the hardware or of the driver left out or done twice, switched on by
//! [`Machine::seed`](crate::Machine::seed). [`Bug::breaks`] names the invariant that it is there to prove.

use crate::violation::Invariant;

macro_rules! bugs {
    ($( $(#[$doc:meta])* $variant:ident $name:literal => $invariant:ident ),* $(,)?) => {
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
                matches!(self, Self::GupWithoutRecheck)
            }

            /// The invariant that must notice.
            #[must_use]
            pub const fn breaks(self) -> Invariant {
                match self { $( Self::$variant => Invariant::$invariant ),* }
            }
        }
    };
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
    GupWithoutRecheck "gup-without-recheck" => Uaf,
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
}
