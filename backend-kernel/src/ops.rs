// SPDX-License-Identifier: GPL-2.0-only
//! [`KernelOps`]: the primitives of the pipeline, each a call of `glue.c`, or a load or an atomic operation of a page's own words
//! (`memmap.rs`).

use core::ptr::{addr_of, null_mut, NonNull};

use migrate_pin_core::ops::{
    DestinationLook, HugePmd, Mapping, MmOps, NoMemory, NotifyEvent, Owner, PageLook, PinRecord,
    PmdKind, PmdSpan, Present, Pte, PteBits, Range, VmaFacts, VmaFlags, Zone,
};
use migrate_pin_core::{Pfn, Rules};

use crate::abi::{self, notify, Cursor, PairWords, VmArea};
use crate::glue;
use crate::memmap::{Folio, Known, MemoryMap};

/// A `struct vm_area_struct`.
///
/// # Invariants
///
/// It is alive, and `mmap_lock` of its address space is held for reading at least, as long as this value is.
#[derive(Clone, Copy, Debug)]
pub struct Vma(NonNull<VmArea>);

impl Vma {
    /// A handle on `vma`, unless it is null.
    ///
    /// # Safety
    ///
    /// If not null, `vma` is alive, and the caller holds `mmap_lock` of its address space for as long as the
    /// handle and its copies are used.
    #[must_use]
    pub unsafe fn new(vma: *mut VmArea) -> Option<Self> {
        // INVARIANT: by the safety requirement.
        NonNull::new(vma).map(Self)
    }

    pub(crate) fn as_ptr(self) -> *mut VmArea {
        self.0.as_ptr()
    }
}

/// The memory management of the running kernel, acting for the current task.
///
/// # Invariants
///
/// It is used by the stages of `migrate_pin_core` only, which name a page to a primitive only
/// - after [`MmOps::page_exists`] said that there is one, or
/// - while an entry names it under the lock of its page-table page, or
/// - while they hold a reference on it,
///
/// and which call the primitives in the order, and under the locks, that [`MmOps`] prescribes; for what their
/// own callers are trusted with, see `migrate_pin_core::border`. `cursor` is C's from a `pte_lock()` that
/// succeeded to the next `pte_unlock()`.
#[derive(Debug)]
pub struct KernelOps {
    map: MemoryMap,
    cursor: Cursor,
    /// Where an entry was cleared last, 0 if it was set again, and what it was.
    cleared: (usize, PairWords),
    /// The page that became anonymous memory of this area last.
    fresh: Option<(Pfn, Vma)>,
}

extern "C" {
    /// There is no such function: the kernel does not link if the one primitive that only 5.11's prepare
    /// calls is reachable.
    fn migrate_pin_there_is_no_5_11_here() -> !;
}

impl KernelOps {
    /// A handle for one call into `migrate_pin_core`.
    ///
    /// # Safety
    ///
    /// It is handed to a stage of `migrate_pin_core` under [`Hardened`](migrate_pin_core::Hardened), which pins no device memory,
    /// on the shape [`V6_12`](migrate_pin_core::V6_12), and used for nothing else; the caller may sleep.
    #[must_use]
    #[inline(always)]
    pub unsafe fn new() -> Self {
        // INVARIANT: by the safety requirement. No lock is held.
        Self {
            map: MemoryMap::new(),
            cursor: Cursor {
                pte: null_mut(),
                ptl: null_mut(),
                addr: 0,
                raw: 0,
            },
            cleared: NOTHING,
            fresh: None,
        }
    }

    #[inline]
    fn clear(&mut self, addr: usize, words: PairWords) -> Pte {
        self.cleared = (addr, words);
        decode(words)
    }

    /// A page that may be looked at.
    #[inline]
    fn page(&self, page: Pfn) -> Known<'_> {
        // SAFETY: by the type invariants there is one: it exists, or an entry names it, or there is a reference on it.
        unsafe { self.map.page(page) }
    }

    /// The same, where it is a folio's first.
    #[inline]
    fn folio(&self, page: Pfn) -> Option<Folio<'_>> {
        self.page(page).folio()
    }

    /// A page at one glance, and what C has to be asked for; true if that was nothing.
    #[inline(always)]
    fn look(&mut self, page: Pfn) -> (PageLook, usize, bool) {
        let seen = self.page(page).glance();
        let Some(mapping) = seen.mapping else {
            let rest = Rest(self.look_at_each(page));
            let look = PageLook {
                compound: rest.compound(),
                zone: seen.zone,
                mapping: rest.mapping(),
                private: rest.private(),
                count: rest.count(),
                mapcount: rest.mapcount(),
            };
            return (look, seen.flags, false);
        };
        let look = PageLook {
            compound: false,
            zone: seen.zone,
            mapping,
            private: seen.private(),
            count: seen.count,
            mapcount: seen.mapcount,
        };
        (look, seen.flags, true)
    }

    /// In two words, so that what is looked at without this need not be in memory ([`Rest`]).
    #[cold]
    #[inline(never)]
    fn look_at_each(&mut self, page: Pfn) -> (u64, u64) {
        let look = PageLook::ask(self, page);
        let mapping = match look.mapping {
            Mapping::None => 0,
            Mapping::Anon => 1,
            Mapping::SwapCache => 2,
            Mapping::File => 3,
        };
        let bits = mapping | u64::from(look.compound) << 2 | u64::from(look.private) << 3;
        (bits, u64::from(look.count) << 32 | u64::from(look.mapcount))
    }
}

/// What `look_at_each()` found.
#[derive(Clone, Copy)]
struct Rest((u64, u64));

impl Rest {
    const fn mapping(self) -> Mapping {
        match self.0 .0 & 3 {
            0 => Mapping::None,
            1 => Mapping::Anon,
            2 => Mapping::SwapCache,
            _ => Mapping::File,
        }
    }

    const fn compound(self) -> bool {
        self.0 .0 & 4 != 0
    }

    const fn private(self) -> bool {
        self.0 .0 & 8 != 0
    }

    const fn count(self) -> u32 {
        (self.0 .1 >> 32) as u32
    }

    const fn mapcount(self) -> u32 {
        self.0 .1 as u32
    }
}

/// No entry was cleared: no area covers the first page.
const NOTHING: (usize, PairWords) = (0, PairWords { what: 0, word: 0 });

/// What stands at a pmd, and how far.
#[inline]
fn span(words: PairWords) -> PmdSpan {
    PmdSpan {
        kind: match words.what {
            abi::PMD_HOLE => PmdKind::Hole,
            abi::PMD_HUGE => PmdKind::Huge,
            _ => PmdKind::Table,
        },
        until: words.word,
    }
}

/// The entry that `glue.c` describes.
#[inline]
fn decode(words: PairWords) -> Pte {
    let bits = PteBits::from_bits_truncate((words.what >> abi::PTE_BITS_SHIFT) as u8);
    let page = Pfn(words.word);
    match words.what & abi::PTE_KIND {
        abi::PTE_NONE => Pte::None,
        abi::PTE_ZERO => Pte::Present(Present::Zero, bits),
        abi::PTE_SPECIAL => Pte::Present(Present::Special, bits),
        abi::PTE_PAGE => Pte::Present(Present::Page(page), bits),
        abi::PTE_DEVICE_PRIVATE => Pte::DevicePrivate(page, bits),
        abi::PTE_MIGRATION => Pte::Migration(page, bits),
        _ => Pte::Other,
    }
}

/// The entry as `glue.c` wants it; none of those that the pipeline never makes.
#[inline]
fn encode(pte: Pte) -> PairWords {
    let (kind, page, bits) = match pte {
        Pte::Present(Present::Page(page), bits) => (abi::PTE_PAGE, page, bits),
        Pte::DevicePrivate(page, bits) => (abi::PTE_DEVICE_PRIVATE, page, bits),
        Pte::Migration(page, bits) => (abi::PTE_MIGRATION, page, bits),
        Pte::None | Pte::Other | Pte::Present(Present::Zero | Present::Special, _) => {
            (abi::PTE_NONE, Pfn(0), PteBits::empty())
        }
    };
    PairWords {
        what: kind | (bits.bits() as usize) << abi::PTE_BITS_SHIFT,
        word: page.0,
    }
}

const fn event_number(event: NotifyEvent) -> u32 {
    match event {
        NotifyEvent::Migrate => notify::MIGRATE,
        NotifyEvent::Clear => notify::CLEAR,
        NotifyEvent::Unmap => notify::UNMAP,
        NotifyEvent::ProtectionVma => notify::PROTECTION_VMA,
        NotifyEvent::ProtectionPage => notify::PROTECTION_PAGE,
    }
}

const fn ok(done: bool) -> Result<(), NoMemory> {
    match done {
        true => Ok(()),
        false => Err(NoMemory),
    }
}

/// Call a primitive of `glue.c`.
macro_rules! call {
    ($name:ident($($arg:expr),*)) => {
        // SAFETY: by the type invariants of `KernelOps` (pages, locks, order) and `Vma` (the area), the
        // arguments are what the function may be called with; `cursor` is a valid structure of our own.
        unsafe { glue::$name($($arg),*) }
    };
}

impl MmOps for KernelOps {
    type Vma = Vma;

    #[inline]
    fn vma_facts(&mut self, vma: Vma) -> VmaFacts {
        let area = vma.as_ptr();
        // SAFETY: by the type invariant it is alive, and nobody changes these fields while `mmap_lock` is held for reading;
        // others of it may change, so that no reference to the whole is made.
        let (file, ops, vm_flags, range) = unsafe {
            (
                addr_of!((*area).vm_file).read(),
                addr_of!((*area).vm_ops).read(),
                addr_of!((*area).vm_flags).read(),
                Range {
                    start: addr_of!((*area).vm_start).read(),
                    end: addr_of!((*area).vm_end).read(),
                },
            )
        };
        // A file may be one that bypasses the page cache, which C knows to tell.
        if file != 0 {
            let words = call!(vma_facts(vma.as_ptr()));
            return VmaFacts {
                range: Range {
                    start: words.start,
                    end: words.end,
                },
                flags: VmaFlags::from_bits_truncate(words.flags as u8),
            };
        }
        let mut flags = VmaFlags::empty();
        flags.set(VmaFlags::ANONYMOUS, ops == 0);
        flags.set(VmaFlags::HUGETLB, vm_flags & abi::vm::HUGETLB != 0);
        flags.set(VmaFlags::SPECIAL, vm_flags & abi::vm::SPECIAL != 0);
        flags.set(VmaFlags::WRITE, vm_flags & abi::vm::WRITE != 0);
        VmaFacts { range, flags }
    }

    #[inline]
    fn address_space_stable(&mut self, vma: Vma) -> bool {
        call!(address_space_stable(vma.as_ptr()))
    }

    #[inline]
    fn userfaultfd_missing(&mut self, vma: Vma) -> bool {
        call!(userfaultfd_missing(vma.as_ptr()))
    }

    #[inline]
    fn anon_vma_prepare(&mut self, vma: Vma) -> Result<(), NoMemory> {
        ok(call!(anon_vma_prepare(vma.as_ptr())))
    }

    #[inline]
    fn notify_start(&mut self, vma: Vma, range: Range, event: NotifyEvent, owner: Option<Owner>) {
        let owner = owner.map_or(0, |owner| owner.0);
        call!(notify_start(
            vma.as_ptr(),
            range.start,
            range.end,
            event_number(event),
            owner
        ));
    }

    #[inline]
    fn notify_end(&mut self, vma: Vma, range: Range, event: NotifyEvent, owner: Option<Owner>) {
        let owner = owner.map_or(0, |owner| owner.0);
        call!(notify_end(
            vma.as_ptr(),
            range.start,
            range.end,
            event_number(event),
            owner
        ));
    }

    #[inline]
    fn pmd_span(&mut self, vma: Vma, addr: usize, end: usize) -> PmdSpan {
        span(call!(pmd_span(vma.as_ptr(), addr, end)))
    }

    #[inline]
    fn pte_lock_span(&mut self, vma: Vma, addr: usize, end: usize) -> (PmdSpan, bool) {
        self.cleared = NOTHING;
        let words = call!(pte_lock_span(&mut self.cursor, vma.as_ptr(), addr, end));
        (span(words), !self.cursor.pte.is_null())
    }

    #[inline]
    fn pmd_lock_huge(&mut self, vma: Vma, addr: usize) -> HugePmd {
        let words = call!(pmd_lock_huge(vma.as_ptr(), addr));
        match words.what {
            abi::HUGE_ZERO => HugePmd::ZeroPage,
            abi::HUGE_PAGE => HugePmd::Page(Pfn(words.word)),
            _ => HugePmd::Changed,
        }
    }

    #[inline]
    fn pmd_unlock(&mut self, vma: Vma, addr: usize) {
        call!(pmd_unlock(vma.as_ptr(), addr));
    }

    #[inline]
    fn split_huge_pmd(&mut self, vma: Vma, addr: usize) {
        call!(split_huge_pmd(vma.as_ptr(), addr));
    }

    #[inline]
    fn split_huge_page(&mut self, page: Pfn) -> bool {
        call!(split_huge_page(page.0))
    }

    #[inline]
    fn pte_alloc(&mut self, vma: Vma, addr: usize) -> Result<(), NoMemory> {
        ok(call!(pte_alloc(vma.as_ptr(), addr)))
    }

    #[inline]
    fn pte_lock(&mut self, vma: Vma, addr: usize) -> bool {
        self.cleared = NOTHING;
        call!(pte_lock(&mut self.cursor, vma.as_ptr(), addr))
    }

    #[inline]
    fn pte_unlock(&mut self, _vma: Vma, _addr: usize) {
        call!(pte_unlock(&mut self.cursor));
    }

    #[inline]
    fn pte_get(&mut self, vma: Vma, addr: usize) -> Pte {
        decode(call!(pte_get(&mut self.cursor, vma.as_ptr(), addr)))
    }

    #[inline]
    fn pte_get_and_clear(&mut self, vma: Vma, addr: usize) -> Pte {
        let words = call!(pte_get_and_clear(&mut self.cursor, vma.as_ptr(), addr));
        self.clear(addr, words)
    }

    #[inline]
    fn pte_clear_flush(&mut self, vma: Vma, addr: usize) -> Pte {
        let words = call!(pte_clear_flush(&mut self.cursor, vma.as_ptr(), addr));
        self.clear(addr, words)
    }

    #[inline]
    fn pte_set(&mut self, vma: Vma, addr: usize, pte: Pte) {
        // An entry that is put back has bits that `Pte` does not know of (a protection key, PROT_NONE).
        let (at, was) = self.cleared;
        if matches!(pte, Pte::Present(..)) && at == addr && decode(was) == pte {
            call!(pte_restore(&mut self.cursor, vma.as_ptr(), addr));
        } else {
            call!(pte_set(&mut self.cursor, vma.as_ptr(), addr, encode(pte)));
        }
        self.cleared = NOTHING;
    }

    #[inline]
    fn flush_tlb_range(&mut self, vma: Vma, range: Range) {
        call!(flush_tlb_range(vma.as_ptr(), range.start, range.end));
    }

    fn flush_tlb_all(&mut self) {
        call!(flush_tlb_all());
    }

    #[inline]
    fn anon_exclusive(&mut self, page: Pfn) -> bool {
        match self.page(page) {
            known if known.compound() => call!(anon_exclusive(page.0)),
            known => known.anon_exclusive(),
        }
    }

    #[inline]
    fn share_anon_rmap(&mut self, page: Pfn) -> bool {
        call!(share_anon_rmap(page.0))
    }

    #[inline]
    fn add_new_anon_rmap(&mut self, page: Pfn, vma: Vma, addr: usize) {
        self.fresh = Some((page, vma));
        call!(add_new_anon_rmap(page.0, vma.as_ptr(), addr));
    }

    #[inline]
    fn remove_rmap(&mut self, page: Pfn, vma: Vma) {
        call!(remove_rmap(page.0, vma.as_ptr()));
    }

    #[inline]
    fn try_to_unmap(&mut self, page: Pfn) {
        call!(try_to_migrate(page.0));
    }

    // Inlined, or not there at all: nothing refers to it but 5.11's prepare.
    #[inline]
    fn remove_migration_pte(&mut self, _vma: Vma, _addr: usize, _old: Pfn, _new: Pfn) {
        // SAFETY: it is never called, else the kernel would not link.
        unsafe { migrate_pin_there_is_no_5_11_here() }
    }

    #[inline]
    fn remove_migration_ptes(&mut self, old: Pfn, new: Pfn) {
        call!(remove_migration_ptes(old.0, new.0));
    }

    #[inline]
    fn restore_pte(&mut self, vma: Vma, addr: usize, new: Pfn) {
        call!(restore_pte(&mut self.cursor, vma.as_ptr(), addr, new.0));
    }

    #[inline]
    fn unmap_exclusive_pte(&mut self, vma: Vma, addr: usize, page: Pfn) -> Option<bool> {
        match call!(unmap_exclusive_pte(
            &mut self.cursor,
            vma.as_ptr(),
            addr,
            page.0
        )) {
            abi::UNMAPPED_NOT => None,
            kind => Some(kind == abi::UNMAPPED_PRESENT),
        }
    }

    #[inline]
    fn restore_exclusive_pte(&mut self, vma: Vma, addr: usize, old: Pfn, new: Pfn) -> bool {
        call!(restore_exclusive_pte(
            &mut self.cursor,
            vma.as_ptr(),
            addr,
            old.0,
            new.0
        ))
    }

    #[inline]
    fn page_exists(&mut self, page: Pfn) -> bool {
        self.map.exists(page)
    }

    #[inline]
    fn page_zone(&mut self, page: Pfn) -> Zone {
        // SAFETY: by the type invariants, as in `Self::page()`.
        unsafe { self.map.zone(page) }
    }

    #[inline]
    fn page_compound(&mut self, page: Pfn) -> bool {
        self.page(page).compound()
    }

    #[inline]
    fn page_mapping(&mut self, page: Pfn) -> Mapping {
        if let Some(mapping) = self.page(page).mapping() {
            return mapping;
        }
        match call!(page_mapping(page.0)) {
            abi::MAPPING_NONE => Mapping::None,
            abi::MAPPING_SWAPCACHE => Mapping::SwapCache,
            abi::MAPPING_FILE => Mapping::File,
            _ => Mapping::Anon,
        }
    }

    #[inline]
    fn page_has_private(&mut self, page: Pfn) -> bool {
        match self.folio(page) {
            Some(folio) => folio.has_private(),
            None => call!(page_has_private(page.0)),
        }
    }

    #[inline]
    fn page_count(&mut self, page: Pfn) -> u32 {
        match self.folio(page) {
            Some(folio) => folio.count(),
            None => call!(page_count(page.0)),
        }
    }

    #[inline]
    fn page_mapcount(&mut self, page: Pfn) -> u32 {
        match self.folio(page).and_then(Folio::mapcount) {
            Some(mapcount) => mapcount,
            None => call!(page_mapcount(page.0)),
        }
    }

    #[inline]
    fn page_lru(&mut self, page: Pfn) -> bool {
        match self.folio(page) {
            Some(folio) => folio.lru(),
            None => call!(page_lru(page.0)),
        }
    }

    #[inline]
    fn page_locked(&mut self, page: Pfn) -> bool {
        match self.folio(page) {
            Some(folio) => folio.locked(),
            None => call!(page_locked(page.0)),
        }
    }

    #[inline]
    fn page_is_device(&mut self, page: Pfn) -> bool {
        // SAFETY: by the type invariants, as in `Self::page()`.
        unsafe { self.map.is_device(page) }
    }

    #[inline(always)]
    fn page_look(&mut self, page: Pfn) -> PageLook {
        self.look(page).0
    }

    #[inline(always)]
    fn destination_look(&mut self, _rules: Rules, page: Pfn) -> DestinationLook {
        if !self.page_exists(page) {
            return DestinationLook::Missing;
        }
        // Of a page that is free nothing else is asked, of C the least.
        if self.page_count(page) == 0 {
            return DestinationLook::Free;
        }
        let (look, flags, all) = self.look(page);
        let (locked, lru) = match all {
            true => (flags & abi::flag::LOCKED != 0, flags & abi::flag::LRU != 0),
            false => (self.page_locked(page), self.page_lru(page)),
        };
        DestinationLook::Used {
            look,
            locked,
            lru: look.mapcount == 0 && lru,
        }
    }

    #[inline]
    fn trylock_page(&mut self, page: Pfn) -> bool {
        match self.folio(page) {
            Some(folio) => folio.trylock(),
            None => call!(trylock_page(page.0)),
        }
    }

    #[inline]
    fn unlock_page(&mut self, page: Pfn) {
        match self.folio(page) {
            // SAFETY: by the type invariants the caller has locked it.
            Some(folio) => unsafe { folio.unlock() },
            None => call!(unlock_page(page.0)),
        }
    }

    #[inline]
    fn get_page(&mut self, page: Pfn) {
        match self.folio(page) {
            Some(folio) => folio.get(1),
            None => call!(get_page(page.0)),
        }
    }

    #[inline]
    fn get_page_unless_zero(&mut self, page: Pfn) -> bool {
        call!(get_page_unless_zero(page.0))
    }

    #[inline]
    fn put_page(&mut self, page: Pfn) {
        match self.folio(page) {
            // SAFETY: by the type invariants the caller has a reference, and gives it up.
            Some(folio) => unsafe { folio.put() },
            None => call!(put_page(page.0)),
        }
    }

    #[inline]
    fn page_ref_add(&mut self, page: Pfn, count: u32) {
        match self.folio(page) {
            Some(folio) => folio.get(count),
            None => call!(page_ref_add(page.0, count)),
        }
    }

    #[inline]
    fn page_ref_sub(&mut self, page: Pfn, count: u32) {
        match self.folio(page) {
            Some(folio) => folio.sub(count),
            None => call!(page_ref_sub(page.0, count)),
        }
    }

    #[inline]
    fn page_ref_freeze(&mut self, page: Pfn, expected: u32) -> bool {
        call!(page_ref_freeze(page.0, expected))
    }

    #[inline]
    fn page_ref_unfreeze(&mut self, page: Pfn, count: u32) {
        call!(page_ref_unfreeze(page.0, count));
    }

    #[inline]
    fn lru_add_drain(&mut self) {
        call!(lru_add_drain());
    }

    #[inline]
    fn lru_add_drain_all(&mut self) {
        call!(lru_add_drain_all());
    }

    #[inline]
    fn isolate_lru_page(&mut self, page: Pfn) -> bool {
        call!(isolate_lru_page(page.0))
    }

    #[inline]
    fn putback_lru_page(&mut self, page: Pfn) {
        call!(putback_lru_page(page.0));
    }

    #[inline]
    fn lru_cache_add(&mut self, page: Pfn) {
        match self.fresh.take() {
            // New memory of an area that is locked in memory goes to no list, but is counted as locked.
            Some((fresh, vma)) if fresh == page => {
                call!(lru_cache_add_vma(page.0, vma.as_ptr()));
            }
            _ => call!(lru_cache_add(page.0)),
        }
    }

    #[inline]
    fn mem_cgroup_charge(&mut self, page: Pfn, vma: Vma) -> Result<(), NoMemory> {
        ok(call!(mem_cgroup_charge(page.0, vma.as_ptr())))
    }

    #[inline]
    fn mark_uptodate(&mut self, page: Pfn) {
        call!(mark_uptodate(page.0));
    }

    #[inline]
    fn set_page_dirty(&mut self, page: Pfn) {
        call!(set_page_dirty(page.0));
    }

    #[inline]
    fn free_swap_cache(&mut self, page: Pfn) -> bool {
        call!(free_swap_cache(page.0))
    }

    #[inline]
    fn cache_lock(&mut self, page: Pfn) {
        call!(cache_lock(page.0));
    }

    #[inline]
    fn cache_unlock(&mut self, page: Pfn) {
        call!(cache_unlock(page.0));
    }

    #[inline]
    fn cache_holds(&mut self, page: Pfn) -> bool {
        call!(cache_holds(page.0))
    }

    #[inline]
    fn cache_replace(&mut self, old: Pfn, new: Pfn) {
        call!(cache_replace(old.0, new.0));
    }

    #[inline]
    fn copy_mapping(&mut self, new: Pfn, old: Pfn) {
        call!(copy_mapping(new.0, old.0));
    }

    #[inline]
    fn copy_page(&mut self, new: Pfn, old: Pfn) {
        call!(copy_page(new.0, old.0));
    }

    #[inline]
    fn migrate_states(&mut self, new: Pfn, old: Pfn) {
        call!(migrate_states(new.0, old.0));
    }

    #[inline]
    fn claim_destination(&mut self, page: Pfn) -> bool {
        match self.folio(page) {
            Some(folio) => folio.claim(),
            None => call!(claim_destination(page.0)),
        }
    }

    #[inline]
    fn unclaim_destination(&mut self, page: Pfn) {
        match self.folio(page) {
            Some(folio) => folio.unclaim(),
            None => call!(unclaim_destination(page.0)),
        }
    }

    #[inline]
    fn pin_insert(&mut self, page: Pfn, owner: Owner) -> Result<(), NoMemory> {
        ok(call!(pin_insert(page.0, owner.0)))
    }

    #[inline]
    fn pin_pair(&mut self, page: Pfn, device: Pfn) {
        call!(pin_pair(page.0, device.0));
    }

    #[inline]
    fn pin_record(&mut self, page: Pfn) -> Option<PinRecord> {
        // No device memory is pinned, and every destination of a pin is that.
        if self.map.nothing_is_pinned() || self.page_is_device(page) {
            return None;
        }
        let words = call!(pin_record(page.0));
        match words.present {
            0 => None,
            _ => Some(PinRecord {
                owner: Owner(words.owner),
                device: match words.device {
                    0 => None,
                    device => Some(Pfn(device)),
                },
            }),
        }
    }

    #[inline]
    fn pin_remove(&mut self, page: Pfn) {
        call!(pin_remove(page.0));
    }
}
