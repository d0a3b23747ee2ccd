// SPDX-License-Identifier: GPL-2.0-only
//! The functions of `glue.c`.

use core::sync::atomic::AtomicUsize;

use crate::abi::{AreaWords, Cursor, MapWords, Page, PairWords, RecordWords, VmArea};

macro_rules! glue {
    ($(#[doc = $head:literal])* $list:ident, $prefix:literal: $(
        $(#[doc = $doc:literal])* fn $name:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)? ;
    )*) => {
        extern "C" {
            $(
                $(#[doc = $doc])*
                #[link_name = concat!($prefix, stringify!($name))]
                pub(crate) fn $name($($arg: $ty),*) $(-> $ret)?;
            )*
        }

        $(#[doc = $head])*
        pub const $list: &[crate::abi::Prototype] = &[
            $(crate::abi::Prototype {
                name: concat!($prefix, stringify!($name)),
                doc: &[$($doc),*],
                args: &[$((stringify!($arg), <$ty as crate::abi::CType>::NAME)),*],
                returns: crate::export::returned!($($ret)?),
            }),*
        ];
    };
}
pub(crate) use glue;

glue! {
    /// What `glue.c` defines.
    GLUE, "migrate_pin_glue_":
    /// One more on a counter.
    fn count(counter: usize);
    /// Say once that a driver's words were refused.
    fn warn_refused(index: usize, word: usize, error: i32);

    fn vma_facts(vma: *mut VmArea) -> AreaWords;
    fn address_space_stable(vma: *mut VmArea) -> bool;
    fn userfaultfd_missing(vma: *mut VmArea) -> bool;
    fn anon_vma_prepare(vma: *mut VmArea) -> bool;
    fn notify_start(vma: *mut VmArea, start: usize, end: usize, event: u32, owner: usize);
    fn notify_end(vma: *mut VmArea, start: usize, end: usize, event: u32, owner: usize);

    fn pmd_span(vma: *mut VmArea, addr: usize, end: usize) -> PairWords;
    /// `pmd_span()`, and `pte_lock()` where there is a table; null in `cursor` if no lock was taken.
    fn pte_lock_span(cursor: *mut Cursor, vma: *mut VmArea, addr: usize, end: usize) -> PairWords;
    fn pmd_lock_huge(vma: *mut VmArea, addr: usize) -> PairWords;
    fn pmd_unlock(vma: *mut VmArea, addr: usize);
    fn split_huge_pmd(vma: *mut VmArea, addr: usize);
    fn split_huge_page(pfn: usize) -> bool;
    fn pte_alloc(vma: *mut VmArea, addr: usize) -> bool;
    fn pte_lock(cursor: *mut Cursor, vma: *mut VmArea, addr: usize) -> bool;
    fn pte_unlock(cursor: *mut Cursor);
    fn pte_get(cursor: *mut Cursor, vma: *mut VmArea, addr: usize) -> PairWords;
    fn pte_get_and_clear(cursor: *mut Cursor, vma: *mut VmArea, addr: usize) -> PairWords;
    fn pte_clear_flush(cursor: *mut Cursor, vma: *mut VmArea, addr: usize) -> PairWords;
    fn pte_set(cursor: *mut Cursor, vma: *mut VmArea, addr: usize, pte: PairWords);
    /// Set the entry that was cleared last again, as it was.
    fn pte_restore(cursor: *mut Cursor, vma: *mut VmArea, addr: usize);
    fn flush_tlb_range(vma: *mut VmArea, start: usize, end: usize);
    fn flush_tlb_all();

    fn anon_exclusive(pfn: usize) -> bool;
    fn share_anon_rmap(pfn: usize) -> bool;
    fn add_new_anon_rmap(pfn: usize, vma: *mut VmArea, addr: usize);
    fn remove_rmap(pfn: usize, vma: *mut VmArea);
    fn try_to_migrate(pfn: usize);
    fn remove_migration_ptes(old: usize, new: usize);
    fn restore_pte(cursor: *mut Cursor, vma: *mut VmArea, addr: usize, new: usize);
    /// The entry that maps an exclusive page becomes a migration entry; what it was.
    fn unmap_exclusive_pte(cursor: *mut Cursor, vma: *mut VmArea, addr: usize, pfn: usize) -> usize;
    /// restore_pte(), if the entry there is the only one of old.
    fn restore_exclusive_pte(cursor: *mut Cursor, vma: *mut VmArea, addr: usize, old: usize, new: usize) -> bool;

    fn page_to_pfn(page: *mut Page) -> usize;
    fn page_exists(pfn: usize) -> bool;
    fn page_mapping(pfn: usize) -> usize;
    fn page_has_private(pfn: usize) -> bool;
    fn page_count(pfn: usize) -> u32;
    fn page_mapcount(pfn: usize) -> u32;
    fn page_lru(pfn: usize) -> bool;
    fn page_locked(pfn: usize) -> bool;

    fn trylock_page(pfn: usize) -> bool;
    fn unlock_page(pfn: usize);
    fn get_page(pfn: usize);
    fn get_page_unless_zero(pfn: usize) -> bool;
    fn put_page(pfn: usize);
    /// What comes after the last reference.
    fn put_last(pfn: usize);
    fn page_ref_add(pfn: usize, count: u32);
    fn page_ref_sub(pfn: usize, count: u32);
    fn page_ref_freeze(pfn: usize, expected: u32) -> bool;
    fn page_ref_unfreeze(pfn: usize, count: u32);

    fn lru_add_drain();
    fn lru_add_drain_all();
    fn isolate_lru_page(pfn: usize) -> bool;
    fn putback_lru_page(pfn: usize);
    fn lru_cache_add(pfn: usize);
    /// The same for a page that is new in an area, which may be locked in memory.
    fn lru_cache_add_vma(pfn: usize, vma: *mut VmArea);

    fn mem_cgroup_charge(pfn: usize, vma: *mut VmArea) -> bool;
    fn mark_uptodate(pfn: usize);
    fn set_page_dirty(pfn: usize);
    fn free_swap_cache(pfn: usize) -> bool;
    fn cache_lock(pfn: usize);
    fn cache_unlock(pfn: usize);
    fn cache_holds(pfn: usize) -> bool;
    fn cache_replace(old: usize, new: usize);
    fn copy_mapping(new: usize, old: usize);
    fn copy_page(new: usize, old: usize);
    fn migrate_states(new: usize, old: usize);

    fn claim_destination(pfn: usize) -> bool;
    fn unclaim_destination(pfn: usize);
    fn pin_insert(pfn: usize, owner: usize) -> bool;
    fn pin_pair(pfn: usize, device: usize);
    fn pin_record(pfn: usize) -> RecordWords;
    fn pin_remove(pfn: usize);
}

extern "C" {
    /// Where things are; what is asked of most pages is read there. Filled in before any driver begins, and never changed.
    #[link_name = "migrate_pin_memory_map"]
    pub(crate) static MEMORY_MAP: MapWords;
    /// How many pages are pinned.
    #[link_name = "migrate_pin_pinned"]
    pub(crate) static PINNED: AtomicUsize;

    /// `folio_unlock()` of `mm/filemap.c`, called without a function of C around it.
    pub(crate) fn folio_unlock(folio: *mut core::ffi::c_void);
}
