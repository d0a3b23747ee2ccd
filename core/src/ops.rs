//! [`MmOps`]: the memory-management primitives that the pipeline runs on, and the facts they report.
//!
//! The trait has the grain of the kernel's own primitives. One method stands for one kernel function
//! (or for the one inline access that the pipeline makes), so that the order of calls *is* the order in
//! which the kernel would do things, and nothing between two calls is atomic unless a lock that was
//! taken by a call says so. Methods only report facts and carry out effects; every decision is made by
//! the stages of this crate.
//!
//! **Fallible primitives** are those that the kernel itself can refuse (a busy lock, a page that is on no
//! LRU, an allocation). The others can't fail; a backend that has to give up there has a bug.
//!
//! **Contexts.** *atomic* in a method's documentation: called with a page-table lock held, must not sleep.

use crate::border::referenced;
use crate::collect::{replace_exclusive, Replaced};
use crate::pfn::Pfn;
use crate::policy::Rules;

/// A half-open range of virtual addresses in bytes, `start..end`, both page aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Names whose device memory a page is (`pgmap->owner`), and who pinned a page. Any token of the driver's
/// own; drivers in C pass a pointer. 0 stands for none, and owns no device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Owner(pub usize);

/// An allocation failed (`-ENOMEM`). Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoMemory;

bitflags::bitflags! {
    /// What the pipeline asks of a `vm_area_struct`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct VmaFlags: u8 {
        /// `vma_is_anonymous()`: no `vm_ops`.
        const ANONYMOUS = 1 << 0;
        /// `is_vm_hugetlb_page()`.
        const HUGETLB = 1 << 1;
        /// `VM_SPECIAL`: IO, PFNMAP, MIXEDMAP or DONTEXPAND.
        const SPECIAL = 1 << 2;
        /// `vma_is_dax()`.
        const DAX = 1 << 3;
        /// `VM_WRITE`.
        const WRITE = 1 << 4;
    }
}

/// The part of a `vm_area_struct` that setup checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmaFacts {
    /// The addresses that the area covers (`vm_start..vm_end`).
    pub range: Range,
    /// Its kind and protection.
    pub flags: VmaFlags,
}

/// Why an mmu notifier section is opened (`enum mmu_notifier_event`). The pipeline raises the first two,
/// the rest of the kernel all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotifyEvent {
    /// `MMU_NOTIFY_MIGRATE`: a driver migrates the range; it filters out its own by the owner.
    Migrate,
    /// `MMU_NOTIFY_CLEAR`: entries of the range are taken away.
    Clear,
    /// `MMU_NOTIFY_UNMAP`: the range is unmapped.
    Unmap,
    /// `MMU_NOTIFY_PROTECTION_VMA`: the protection of the area changes.
    ProtectionVma,
    /// `MMU_NOTIFY_PROTECTION_PAGE`: the protection of single pages changes (fork).
    ProtectionPage,
}

/// What kind of memory a page frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// Ordinary memory, on the LRU while in use.
    System,
    /// `MEMORY_DEVICE_PRIVATE` of this owner: the CPU can't reach it (`is_device_private_page()`).
    DevicePrivate(Owner),
    /// `MEMORY_DEVICE_COHERENT` of this owner: the CPU can reach it (6.12 only).
    DeviceCoherent(Owner),
    /// Any other `ZONE_DEVICE` page (DAX, peer-to-peer).
    DeviceOther,
}

impl Zone {
    /// `is_zone_device_page()`: such pages are never on the LRU.
    #[must_use]
    pub const fn is_device(self) -> bool {
        !matches!(self, Self::System)
    }

    /// `is_device_private_page()`.
    #[must_use]
    pub const fn is_device_private(self) -> bool {
        matches!(self, Self::DevicePrivate(_))
    }
}

/// What `page->mapping` points to, and whether `page_mapping()` finds a cache behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mapping {
    /// `page->mapping` is null: freshly allocated, or truncated.
    None,
    /// Anonymous, not in the swap cache: `page->mapping` is set, `page_mapping()` is null.
    Anon,
    /// Anonymous and in the swap cache: `page_mapping()` is the swapper space.
    SwapCache,
    /// A page-cache page: `page_mapping()` is the file's.
    File,
}

impl Mapping {
    /// Is `page_mapping()` non-null, so that a cache holds a reference on the page?
    #[must_use]
    pub const fn cached(self) -> bool {
        matches!(self, Self::SwapCache | Self::File)
    }
}

bitflags::bitflags! {
    /// The software-visible bits of a page-table entry, in whichever form the entry keeps them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PteBits: u8 {
        /// `pte_write()`, or a writable migration or device-private entry.
        const WRITE = 1 << 0;
        /// `pte_dirty()`; on a migration entry `is_migration_entry_dirty()` (6.12 only).
        const DIRTY = 1 << 1;
        /// `pte_young()`; on a migration entry `is_migration_entry_young()` (6.12 only).
        const YOUNG = 1 << 2;
        /// `pte_soft_dirty()` or `pte_swp_soft_dirty()`.
        const SOFT_DIRTY = 1 << 3;
        /// `pte_uffd_wp()` or `pte_swp_uffd_wp()`.
        const UFFD_WP = 1 << 4;
        /// On a readable migration entry: the page was `PageAnonExclusive` (6.12 only).
        const EXCLUSIVE = 1 << 5;
    }
}

/// What a present entry maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Present {
    /// The shared zero page (`is_zero_pfn()`).
    Zero,
    /// Something that has no `struct page` for this mapping (`vm_normal_page()` is null).
    Special,
    /// A normal page.
    Page(Pfn),
}

/// A page-table entry, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pte {
    /// `pte_none()`.
    None,
    /// `pte_present()`.
    Present(Present, PteBits),
    /// A device-private entry: a mapping that the CPU can't use.
    DevicePrivate(Pfn, PteBits),
    /// A migration entry: no mapping; who meets it waits for the page's lock.
    Migration(Pfn, PteBits),
    /// A swap slot, or any other special entry.
    Other,
}

/// What one step of the page-table walk meets above the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PmdKind {
    /// No page table here (`pmd_none()` or nothing above it).
    Hole,
    /// A transparent huge page (`pmd_trans_huge()`).
    Huge,
    /// An entry the walk can't read (`pmd_bad()`).
    Bad,
    /// A table of entries.
    Table,
}

/// [`PmdKind`] and how far it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PmdSpan {
    /// What is here.
    pub kind: PmdKind,
    /// First address that it does not cover, no greater than the `end` that was asked with.
    pub until: usize,
}

/// What a huge pmd turned out to be under its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HugePmd {
    /// It is no huge page any more: look again.
    Changed,
    /// The huge zero page.
    ZeroPage,
    /// The head of a huge page.
    Page(Pfn),
}

/// Facts of one page ([`MmOps::page_look`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLook {
    /// [`MmOps::page_compound`].
    pub compound: bool,
    /// [`MmOps::page_zone`].
    pub zone: Zone,
    /// [`MmOps::page_mapping`].
    pub mapping: Mapping,
    /// [`MmOps::page_has_private`].
    pub private: bool,
    /// [`MmOps::page_count`].
    pub count: u32,
    /// [`MmOps::page_mapcount`].
    pub mapcount: u32,
}

impl PageLook {
    /// One question after the other, the map count before the count: who finds a page mapped nowhere must not go by a count from
    /// when it was mapped, since somebody may have pinned it and unmapped it in between.
    #[inline]
    pub fn ask<M: MmOps + ?Sized>(ops: &mut M, page: Pfn) -> Self {
        Self {
            compound: ops.page_compound(page),
            zone: ops.page_zone(page),
            mapping: ops.page_mapping(page),
            private: ops.page_has_private(page),
            mapcount: ops.page_mapcount(page),
            count: ops.page_count(page),
        }
    }
}

/// What there is to see of a page that a destination word names ([`MmOps::destination_look`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationLook {
    /// No such page.
    Missing,
    /// It is free, and nobody's to look at.
    Free,
    /// It is in use.
    Used {
        /// What is asked of any page.
        look: PageLook,
        /// [`MmOps::page_locked`].
        locked: bool,
        /// [`MmOps::page_lru`]; not asked of one that is mapped.
        lru: bool,
    },
}

impl DestinationLook {
    /// One question after the other.
    #[inline]
    pub fn ask<M: MmOps + ?Sized>(ops: &mut M, rules: Rules, page: Pfn) -> Self {
        if !ops.page_exists(page) {
            return Self::Missing;
        }
        // 6.12 needs no zone to tell.
        let zone = match rules.device_pages_count_one_more() {
            true => ops.page_zone(page),
            false => Zone::System,
        };
        if !referenced(rules, zone, ops.page_count(page)) {
            return Self::Free;
        }
        let look = ops.page_look(page);
        Self::Used {
            look,
            locked: ops.page_locked(page),
            lru: look.mapcount == 0 && ops.page_lru(page),
        }
    }
}

/// Who holds a pin, and what stands for the page meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PinRecord {
    /// Who pinned the page: the `pgmap_owner` of the migration that did.
    pub owner: Owner,
    /// The device-private page that stands for it; none until the move has succeeded.
    pub device: Option<Pfn>,
}

/// Calls back the macro that is named, with every primitive of [`MmOps`]: a name for
/// [`Call`](crate::trace::Call), the method, its arguments, its result, and for a fallible one the result
/// that means failure. For who wraps an `MmOps` in an `MmOps`.
///
/// The types of arguments and results are written as they are named in [`ops`](crate::ops), and the
/// trait's associated type as `Vma`; all of them must be in scope where the macro is called.
///
/// ```
/// macro_rules! count {
///     ($($name:ident $method:ident ($($arg:ident: $ty:ty),*) -> $ret:ty $(, fails $fail:expr)?;)*) => {
///         [$(stringify!($method)),*].len()
///     };
/// }
/// let primitives = migrate_pin_core::for_each_primitive!(count);
/// assert_eq!(primitives, migrate_pin_core::trace::Primitive::ALL.len());
/// ```
#[macro_export]
macro_rules! for_each_primitive {
    ($callback:ident) => {
        $callback! {
            VmaFacts vma_facts(vma: Vma) -> VmaFacts;
            AddressSpaceStable address_space_stable(vma: Vma) -> bool, fails false;
            UserfaultfdMissing userfaultfd_missing(vma: Vma) -> bool;
            AnonVmaPrepare anon_vma_prepare(vma: Vma) -> Result<(), NoMemory>, fails Err(NoMemory);
            NotifyStart notify_start(vma: Vma, range: Range, event: NotifyEvent, owner: Option<Owner>) -> ();
            NotifyEnd notify_end(vma: Vma, range: Range, event: NotifyEvent, owner: Option<Owner>) -> ();
            PmdSpan pmd_span(vma: Vma, addr: usize, end: usize) -> PmdSpan;
            PmdLockHuge pmd_lock_huge(vma: Vma, addr: usize) -> HugePmd;
            PmdUnlock pmd_unlock(vma: Vma, addr: usize) -> ();
            SplitHugePmd split_huge_pmd(vma: Vma, addr: usize) -> ();
            SplitHugePage split_huge_page(page: Pfn) -> bool, fails false;
            PteAlloc pte_alloc(vma: Vma, addr: usize) -> Result<(), NoMemory>, fails Err(NoMemory);
            PteLock pte_lock(vma: Vma, addr: usize) -> bool;
            PteUnlock pte_unlock(vma: Vma, addr: usize) -> ();
            PteGet pte_get(vma: Vma, addr: usize) -> Pte;
            PteGetAndClear pte_get_and_clear(vma: Vma, addr: usize) -> Pte;
            PteClearFlush pte_clear_flush(vma: Vma, addr: usize) -> Pte;
            PteSet pte_set(vma: Vma, addr: usize, pte: Pte) -> ();
            FlushTlbRange flush_tlb_range(vma: Vma, range: Range) -> ();
            FlushTlbAll flush_tlb_all() -> ();
            AnonExclusive anon_exclusive(page: Pfn) -> bool;
            ShareAnonRmap share_anon_rmap(page: Pfn) -> bool, fails false;
            AddNewAnonRmap add_new_anon_rmap(page: Pfn, vma: Vma, addr: usize) -> ();
            RemoveRmap remove_rmap(page: Pfn, vma: Vma) -> ();
            TryToUnmap try_to_unmap(page: Pfn) -> (), fails ();
            RemoveMigrationPte remove_migration_pte(vma: Vma, addr: usize, old: Pfn, new: Pfn) -> ();
            RemoveMigrationPtes remove_migration_ptes(old: Pfn, new: Pfn) -> ();
            RestorePte restore_pte(vma: Vma, addr: usize, new: Pfn) -> ();
            PageExists page_exists(page: Pfn) -> bool;
            PageZone page_zone(page: Pfn) -> Zone;
            PageCompound page_compound(page: Pfn) -> bool;
            PageMapping page_mapping(page: Pfn) -> Mapping;
            PageHasPrivate page_has_private(page: Pfn) -> bool;
            PageCount page_count(page: Pfn) -> u32;
            PageMapcount page_mapcount(page: Pfn) -> u32;
            PageLru page_lru(page: Pfn) -> bool;
            PageLocked page_locked(page: Pfn) -> bool;
            TrylockPage trylock_page(page: Pfn) -> bool, fails false;
            UnlockPage unlock_page(page: Pfn) -> ();
            GetPage get_page(page: Pfn) -> ();
            GetPageUnlessZero get_page_unless_zero(page: Pfn) -> bool, fails false;
            PutPage put_page(page: Pfn) -> ();
            PageRefAdd page_ref_add(page: Pfn, count: u32) -> ();
            PageRefSub page_ref_sub(page: Pfn, count: u32) -> ();
            PageRefFreeze page_ref_freeze(page: Pfn, expected: u32) -> bool, fails false;
            PageRefUnfreeze page_ref_unfreeze(page: Pfn, count: u32) -> ();
            LruAddDrain lru_add_drain() -> ();
            LruAddDrainAll lru_add_drain_all() -> ();
            IsolateLruPage isolate_lru_page(page: Pfn) -> bool, fails false;
            PutbackLruPage putback_lru_page(page: Pfn) -> ();
            LruCacheAdd lru_cache_add(page: Pfn) -> ();
            MemCgroupCharge mem_cgroup_charge(page: Pfn, vma: Vma) -> Result<(), NoMemory>, fails Err(NoMemory);
            MarkUptodate mark_uptodate(page: Pfn) -> ();
            SetPageDirty set_page_dirty(page: Pfn) -> ();
            FreeSwapCache free_swap_cache(page: Pfn) -> bool, fails false;
            CacheLock cache_lock(page: Pfn) -> ();
            CacheUnlock cache_unlock(page: Pfn) -> ();
            CacheHolds cache_holds(page: Pfn) -> bool;
            CacheReplace cache_replace(old: Pfn, new: Pfn) -> ();
            CopyMapping copy_mapping(new: Pfn, old: Pfn) -> ();
            CopyPage copy_page(new: Pfn, old: Pfn) -> ();
            MigrateStates migrate_states(new: Pfn, old: Pfn) -> ();
            ClaimDestination claim_destination(page: Pfn) -> bool;
            UnclaimDestination unclaim_destination(page: Pfn) -> ();
            PinInsert pin_insert(page: Pfn, owner: Owner) -> Result<(), NoMemory>, fails Err(NoMemory);
            PinPair pin_pair(page: Pfn, device: Pfn) -> ();
            PinRecord pin_record(page: Pfn) -> Option<PinRecord>;
            PinRemove pin_remove(page: Pfn) -> ();
        }
    };
}

/// The memory-management primitives of one CPU, acting for one caller.
///
/// A value is a handle on a machine that others act on at the same time: facts may change between any two
/// calls unless a lock forbids it. The caller of the pipeline holds `mmap_lock` for reading throughout.
///
/// Pages are named by [`Pfn`]. Unless said otherwise a method that takes a page needs a reference on it
/// (or the PTL under which an entry names it).
pub trait MmOps {
    /// A `vm_area_struct`; valid while the caller holds `mmap_lock`.
    type Vma: Copy;

    // ---- the address space ------------------------------------------------------------------------

    /// Extent and kind of `vma`.
    fn vma_facts(&mut self, vma: Self::Vma) -> VmaFacts;

    /// `!check_stable_address_space()`: false once the OOM reaper has been at the address space.
    /// Fallible, *atomic*.
    fn address_space_stable(&mut self, vma: Self::Vma) -> bool;

    /// `userfaultfd_missing()`: does userfaultfd wait for missing pages of `vma`? *atomic*.
    fn userfaultfd_missing(&mut self, vma: Self::Vma) -> bool;

    /// `anon_vma_prepare()`: make sure `vma` has an `anon_vma`.
    ///
    /// # Errors
    /// [`NoMemory`] if there was none and none could be allocated.
    fn anon_vma_prepare(&mut self, vma: Self::Vma) -> Result<(), NoMemory>;

    /// `mmu_notifier_invalidate_range_start()`. When it returns no secondary MMU whose driver did not
    /// filter the event out maps the range, nor will until [`MmOps::notify_end`]. May sleep.
    fn notify_start(
        &mut self,
        vma: Self::Vma,
        range: Range,
        event: NotifyEvent,
        owner: Option<Owner>,
    );

    /// `mmu_notifier_invalidate_range_end()`, with the arguments of the matching start.
    fn notify_end(
        &mut self,
        vma: Self::Vma,
        range: Range,
        event: NotifyEvent,
        owner: Option<Owner>,
    );

    // ---- page tables ------------------------------------------------------------------------------

    /// What the walk meets at `addr` above the entries, read without a lock (`walk_page_range()`,
    /// `pmd_none()`, `pmd_trans_huge()`, `pmd_bad()`).
    fn pmd_span(&mut self, vma: Self::Vma, addr: usize, end: usize) -> PmdSpan;

    /// `pmd_lock()` and a second look. The lock is held on return, whatever was found.
    fn pmd_lock_huge(&mut self, vma: Self::Vma, addr: usize) -> HugePmd;

    /// Drop the lock of [`MmOps::pmd_lock_huge`].
    fn pmd_unlock(&mut self, vma: Self::Vma, addr: usize);

    /// `split_huge_pmd()`: make a table of entries out of a huge pmd; no effect if it is none.
    fn split_huge_pmd(&mut self, vma: Self::Vma, addr: usize);

    /// `split_huge_page()`: make small pages of a huge one, which is locked and referenced by the caller.
    /// False if it has references nobody accounts for. Fallible.
    fn split_huge_page(&mut self, page: Pfn) -> bool;

    /// `p4d_alloc()` to `pte_alloc()`: make sure there is a page-table page for `addr`, unless a huge
    /// pmd is in the way, which [`MmOps::pmd_span`] tells.
    ///
    /// # Errors
    /// [`NoMemory`] if a table could not be allocated.
    fn pte_alloc(&mut self, vma: Self::Vma, addr: usize) -> Result<(), NoMemory>;

    /// `pte_offset_map_lock()`: take the PTL of the page-table page that holds `addr`. False, with no lock
    /// taken, if the table went away since it was looked at (6.12; 5.11 always succeeds). Not counted among the
    /// fallible primitives, since the answer to a table that is gone is to look again.
    fn pte_lock(&mut self, vma: Self::Vma, addr: usize) -> bool;

    /// [`MmOps::pmd_span`], and [`MmOps::pte_lock`] where that says that there is a table: what the walk does at each pmd,
    /// which the kernel can do in one way down. True if the lock was taken.
    fn pte_lock_span(&mut self, vma: Self::Vma, addr: usize, end: usize) -> (PmdSpan, bool) {
        let span = self.pmd_span(vma, addr, end);
        let locked = span.kind == PmdKind::Table && self.pte_lock(vma, addr);
        (span, locked)
    }

    /// `pte_unmap_unlock()`. *atomic*.
    fn pte_unlock(&mut self, vma: Self::Vma, addr: usize);

    /// The entry at `addr`. *atomic*, as are all that follow up to [`MmOps::pte_set`].
    fn pte_get(&mut self, vma: Self::Vma, addr: usize) -> Pte;

    /// `ptep_get_and_clear()`: clear the entry and return what it was at that instant, with the dirty and
    /// young bits that the hardware may have set since it was read. Stale TLB entries stay.
    fn pte_get_and_clear(&mut self, vma: Self::Vma, addr: usize) -> Pte;

    /// `ptep_clear_flush()`: the same, and no CPU keeps a TLB entry of `addr`.
    fn pte_clear_flush(&mut self, vma: Self::Vma, addr: usize) -> Pte;

    /// `set_pte_at()`, and `update_mmu_cache()` where the entry is present.
    fn pte_set(&mut self, vma: Self::Vma, addr: usize, pte: Pte);

    /// `flush_tlb_range()`: no CPU keeps a TLB entry of the range. May be called under the PTL.
    fn flush_tlb_range(&mut self, vma: Self::Vma, range: Range);

    /// `flush_tlb_all()`: no CPU keeps a TLB entry that was there before, whatever address space it is of. Waits for the
    /// other CPUs, so that no PTL may be held.
    fn flush_tlb_all(&mut self);

    // ---- reverse mapping --------------------------------------------------------------------------

    /// `PageAnonExclusive()` of an anonymous page (6.12; false on 5.11). *atomic*.
    fn anon_exclusive(&mut self, page: Pfn) -> bool;

    /// `!folio_try_share_anon_rmap_pte()`: give up exclusivity before the entry becomes a migration entry;
    /// false if the page may be pinned for DMA (6.12). Fallible, *atomic*.
    fn share_anon_rmap(&mut self, page: Pfn) -> bool;

    /// `page_add_new_anon_rmap()` and the counter of anonymous pages: `page` becomes anonymous memory of
    /// `vma` at `addr`, mapped once. *atomic*.
    fn add_new_anon_rmap(&mut self, page: Pfn, vma: Self::Vma, addr: usize);

    /// `page_remove_rmap()`: one entry of `vma` less maps `page`. The entry's reference stays. *atomic*.
    fn remove_rmap(&mut self, page: Pfn, vma: Self::Vma);

    /// `try_to_unmap(TTU_MIGRATION | TTU_IGNORE_MLOCK)`, `try_to_migrate()` in 6.12: every mapping that the
    /// rmap finds becomes a migration entry, in a notifier section of its own with
    /// [`NotifyEvent::Clear`] and no owner; each is flushed under its PTL, gives its dirty bit to the page,
    /// its rmap and its reference back. The page is locked. Says nothing about success: look at
    /// [`MmOps::page_mapcount`]. Fallible (a mapping may not be unmappable).
    fn try_to_unmap(&mut self, page: Pfn);

    /// `remove_migration_pte()` for one address: if a migration entry of `old` stands there, it becomes a
    /// mapping of `new`, with a reference and an rmap. Write permission is granted if the entry has it
    /// *and* `vma` still allows it. Takes the PTL.
    fn remove_migration_pte(&mut self, vma: Self::Vma, addr: usize, old: Pfn, new: Pfn);

    /// `remove_migration_ptes()`: the same at every address where the rmap of `new` leads.
    fn remove_migration_ptes(&mut self, old: Pfn, new: Pfn);

    /// What `remove_migration_pte()` does once it has found an entry, under the PTL that the caller holds: the
    /// migration entry at `addr`, of an anonymous page and exclusive, becomes a mapping of `new` (6.12).
    /// *atomic*.
    fn restore_pte(&mut self, vma: Self::Vma, addr: usize, new: Pfn);

    // ---- pages: facts -----------------------------------------------------------------------------

    /// `pfn_valid()`: is there a `struct page`? Needs no reference.
    fn page_exists(&mut self, page: Pfn) -> bool;

    /// What kind of memory it is. Never changes.
    fn page_zone(&mut self, page: Pfn) -> Zone;

    /// `PageCompound()`.
    fn page_compound(&mut self, page: Pfn) -> bool;

    /// `page->mapping` and `page_mapping()`. Stable under the page's lock.
    fn page_mapping(&mut self, page: Pfn) -> Mapping;

    /// `page_has_private()`: does the file system hold a reference for private data?
    fn page_has_private(&mut self, page: Pfn) -> bool;

    /// `page_count()`. Zero: free, or frozen. Needs no reference, since it may be zero.
    fn page_count(&mut self, page: Pfn) -> u32;

    /// `page_mapcount()`: page-table entries that map the page, device-private ones included.
    fn page_mapcount(&mut self, page: Pfn) -> u32;

    /// `PageLRU()`: on a list of the LRU (not: in a per-CPU batch on its way there).
    fn page_lru(&mut self, page: Pfn) -> bool;

    /// `PageLocked()`, by whomever.
    fn page_locked(&mut self, page: Pfn) -> bool;

    /// Make the entry at `addr`, which maps `page`, an anonymous page that is mapped nowhere else, a migration entry,
    /// and take its rmap and its reference away; was the entry present? None, and nothing changed, if the page may be
    /// pinned for DMA. What it consists of is written here; a machine may do it in one go. 6.12, *atomic*.
    #[inline]
    fn unmap_exclusive_pte(&mut self, vma: Self::Vma, addr: usize, page: Pfn) -> Option<bool> {
        let old = self.pte_clear_flush(vma, addr);
        if !self.share_anon_rmap(page) {
            self.pte_set(vma, addr, old);
            return None;
        }
        let Replaced {
            present,
            dirty,
            bits,
        } = replace_exclusive(old);
        if dirty {
            self.set_page_dirty(page);
        }
        self.pte_set(vma, addr, Pte::Migration(page, bits));
        self.remove_rmap(page, vma);
        self.put_page(page);
        Some(present)
    }

    /// Turn the entry at `addr` back if it is the only one of `old`, under the PTL that the caller holds; was it
    /// ([`decide_in_place`](crate::finalize::decide_in_place))? A machine may do it in one go. *atomic*.
    #[inline]
    fn restore_exclusive_pte(&mut self, vma: Self::Vma, addr: usize, old: Pfn, new: Pfn) -> bool {
        let alone = crate::finalize::decide_in_place(self.pte_get(vma, addr), old);
        if alone {
            self.restore_pte(vma, addr, new);
        }
        alone
    }

    /// `is_zone_device_page()`: what [`MmOps::page_zone`] says, for who wants to know no more.
    #[inline]
    fn page_is_device(&mut self, page: Pfn) -> bool {
        self.page_zone(page).is_device()
    }

    /// What `migrate_vma_check_page()` wants to know, asked together ([`PageLook::ask`]). A machine may read it in one
    /// go, the map count before the count; it is a snapshot no more than one question after the other is.
    #[inline]
    fn page_look(&mut self, page: Pfn) -> PageLook {
        PageLook::ask(self, page)
    }

    /// What the border wants to know of a page that a destination word names, asked together
    /// ([`DestinationLook::ask`]). A machine may read it in one go.
    #[inline]
    fn destination_look(&mut self, rules: Rules, page: Pfn) -> DestinationLook {
        DestinationLook::ask(self, rules, page)
    }

    // ---- pages: locks and references --------------------------------------------------------------

    /// `trylock_page()`: an acquire if it succeeds. Fallible, *atomic*.
    fn trylock_page(&mut self, page: Pfn) -> bool;

    /// `unlock_page()`: a release; wakes who waits. *atomic*.
    fn unlock_page(&mut self, page: Pfn);

    /// `get_page()`. *atomic*.
    fn get_page(&mut self, page: Pfn);

    /// `folio_get_nontail_page()`: take a reference unless the page is free, frozen or a tail of a compound
    /// page; needs none before. Migration from device pfns starts with it (6.12). Fallible, *atomic*.
    fn get_page_unless_zero(&mut self, page: Pfn) -> bool;

    /// `put_page()`: frees the page if it was the last reference; a device page's driver then runs its
    /// `page_free`. *atomic*.
    fn put_page(&mut self, page: Pfn);

    /// `page_ref_add()`: how the patch takes a pin, with [`GUP_PIN_COUNTING_BIAS`](crate::GUP_PIN_COUNTING_BIAS).
    fn page_ref_add(&mut self, page: Pfn, count: u32);

    /// `page_ref_sub()`. Never the last references: nothing is freed. *atomic*.
    fn page_ref_sub(&mut self, page: Pfn, count: u32);

    /// `page_ref_freeze()`: set the count to zero if it is `expected`. Fallible, *atomic*.
    fn page_ref_freeze(&mut self, page: Pfn, expected: u32) -> bool;

    /// `page_ref_unfreeze()`: set the count of a page that this caller froze. *atomic*.
    fn page_ref_unfreeze(&mut self, page: Pfn, count: u32);

    // ---- the LRU ----------------------------------------------------------------------------------

    /// `lru_add_drain()`: this CPU's batches go to the lists.
    fn lru_add_drain(&mut self);

    /// `lru_add_drain_all()`: every CPU's batches go to the lists. May sleep.
    fn lru_add_drain_all(&mut self);

    /// `isolate_lru_page()`: take the page off its list, with a reference of its own. False if it is on
    /// none. Fallible.
    fn isolate_lru_page(&mut self, page: Pfn) -> bool;

    /// `putback_lru_page()`: the page goes to this CPU's batch, which takes a reference; one reference
    /// of the caller's is dropped. *atomic*.
    fn putback_lru_page(&mut self, page: Pfn);

    /// `lru_cache_add()`, `folio_add_lru()`: the page goes to this CPU's batch, which takes a reference.
    /// *atomic*.
    fn lru_cache_add(&mut self, page: Pfn);

    // ---- contents, state, caches ------------------------------------------------------------------

    /// `mem_cgroup_charge()`: charge a new page to the cgroup of `vma`'s address space.
    ///
    /// # Errors
    /// [`NoMemory`] at the limit of the cgroup.
    fn mem_cgroup_charge(&mut self, page: Pfn, vma: Self::Vma) -> Result<(), NoMemory>;

    /// `__SetPageUptodate()`: what was written to the page before is visible to who finds it mapped.
    fn mark_uptodate(&mut self, page: Pfn);

    /// `set_page_dirty()`, `folio_mark_dirty()`. *atomic*.
    fn set_page_dirty(&mut self, page: Pfn);

    /// `folio_free_swap()`: take a locked page out of the swap cache if nobody needs the slot (6.12).
    /// Fallible.
    fn free_swap_cache(&mut self, page: Pfn) -> bool;

    /// `xas_lock_irq()` of the cache that holds `page`, which is locked.
    fn cache_lock(&mut self, page: Pfn);

    /// `xas_unlock_irq()`.
    fn cache_unlock(&mut self, page: Pfn);

    /// `xas_load() == page`: does the slot still hold the page? Under the cache's lock.
    fn cache_holds(&mut self, page: Pfn) -> bool;

    /// `xas_store()`: the slot of `old` holds `new` now, which gains the cache's reference and the dirty and
    /// swap-cache state of `old`. Under the cache's lock, `old` frozen. What is left of the count of `old`
    /// is set by [`MmOps::page_ref_unfreeze`].
    fn cache_replace(&mut self, old: Pfn, new: Pfn);

    /// Index, `mapping` and swap-backed of `old` are copied to `new`; `old` keeps them. Both are locked.
    fn copy_mapping(&mut self, new: Pfn, old: Pfn);

    /// `copy_highpage()`: the contents.
    fn copy_page(&mut self, new: Pfn, old: Pfn);

    /// `migrate_page_states()`, `folio_migrate_flags()`: active and unevictable move, the other state
    /// flags are copied, swap-cache state leaves `old`; the memory cgroup is charged for `new`
    /// (`mem_cgroup_migrate()`: in 5.11 `old` stays charged until it is freed, in 6.12 the charge moves).
    fn migrate_states(&mut self, new: Pfn, old: Pfn);

    // ---- what the patch has not, and `Hardened` needs ---------------------------------------------

    /// Test and set a mark on a locked destination page; false if it has one. By this mark the border
    /// finds a page that stands in two destination words. A page flag that its lock protects will do.
    fn claim_destination(&mut self, page: Pfn) -> bool;

    /// Clear the mark. Needs no reference: the page may just have been dropped.
    fn unclaim_destination(&mut self, page: Pfn);

    /// Keep a record that `owner` pins `page`, which has none yet.
    ///
    /// # Errors
    /// [`NoMemory`]: no room for another record. Fallible.
    fn pin_insert(&mut self, page: Pfn, owner: Owner) -> Result<(), NoMemory>;

    /// Say which device page stands for a page with a record.
    fn pin_pair(&mut self, page: Pfn, device: Pfn);

    /// The record of `page`. Needs no reference. *atomic*.
    fn pin_record(&mut self, page: Pfn) -> Option<PinRecord>;

    /// Forget the record of `page`. *atomic*.
    fn pin_remove(&mut self, page: Pfn);
}

/// A borrowed handle is a handle.
macro_rules! forward_by_reference {
    ($( $name:ident $method:ident ( $($arg:ident : $ty:ty),* ) -> $ret:ty $(, fails $fail:expr)? ; )*) => {
        impl<Vma: Copy, M: MmOps<Vma = Vma>> MmOps for &mut M {
            type Vma = Vma;
            $(
                #[inline]
                fn $method(&mut self $(, $arg: $ty)*) -> $ret {
                    (**self).$method($($arg),*)
                }
            )*

            #[inline]
            fn pte_lock_span(&mut self, vma: Vma, addr: usize, end: usize) -> (PmdSpan, bool) {
                (**self).pte_lock_span(vma, addr, end)
            }

            #[inline]
            fn unmap_exclusive_pte(&mut self, vma: Vma, addr: usize, page: Pfn) -> Option<bool> {
                (**self).unmap_exclusive_pte(vma, addr, page)
            }

            #[inline]
            fn restore_exclusive_pte(&mut self, vma: Vma, addr: usize, old: Pfn, new: Pfn) -> bool {
                (**self).restore_exclusive_pte(vma, addr, old, new)
            }

            #[inline]
            fn page_is_device(&mut self, page: Pfn) -> bool {
                (**self).page_is_device(page)
            }

            #[inline]
            fn page_look(&mut self, page: Pfn) -> PageLook {
                (**self).page_look(page)
            }

            #[inline]
            fn destination_look(&mut self, rules: Rules, page: Pfn) -> DestinationLook {
                (**self).destination_look(rules, page)
            }
        }
    };
}
for_each_primitive!(forward_by_reference);
