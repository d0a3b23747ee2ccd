//! Reverse mapping: from a page to the entries that map it, by the page's own `mapping` and `index`
//! (`mm/rmap.c`, and `remove_migration_pte()` of `mm/migrate.c`).

use crate::bug::Bug;
use crate::config::{AllocKind, MmId};
use crate::cpu::Cpu;
use crate::entry::Entry;
use crate::event::Event;
use crate::frame::{Identity, PageFlags};
use crate::machine::{MAX_ANON_VMAS, NO_ROOT};
use crate::mm::Vma;
use crate::sync::{full, Atomic32, Synchronisation};
use crate::violation::Invariant;
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::{NotifyEvent, PteBits};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::Pfn;

/// What `try_to_unmap()` leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmap {
    /// `TTU_MIGRATION`: migration entries.
    Migrate,
    /// Reclaim: swap entries, or nothing for a page of a file.
    Reclaim,
}

impl<S: Synchronisation> Cpu<'_, S> {
    // ---- map counts -------------------------------------------------------------------------------

    /// `page_add_anon_rmap()`, `page_add_file_rmap()`: a full barrier (`atomic_inc_and_test()`).
    pub(crate) fn add_rmap(&self, page: Pfn) {
        if let Some(frame) = self.live_frame(page, "a free page gets an rmap") {
            self.touch(page);
            full::<S, _>(|| {
                let old = frame.mapcount.fetch_add(1, Ordering::Relaxed);
                self.book(page, |book| book.mapcount = old as i32 + 1);
            });
        }
    }

    /// `page_dup_rmap()`: relaxed.
    pub(crate) fn dup_rmap(&self, page: Pfn) {
        if let Some(frame) = self.live_frame(page, "a free page gets an rmap") {
            self.touch(page);
            let old = frame.mapcount.fetch_add(1, Ordering::Relaxed);
            self.book(page, |book| book.mapcount = old as i32 + 1);
        }
    }

    /// `page_remove_rmap()`: a full barrier (`atomic_add_negative()`).
    pub(crate) fn drop_rmap(&self, page: Pfn) {
        let Some(frame) = self.live_frame(page, "a free page loses an rmap") else {
            return;
        };
        self.touch(page);
        let old = full::<S, _>(|| {
            let old = if self.m.bug(Bug::RmapNotAtomic) {
                let old = frame.mapcount.load(Ordering::Relaxed);
                frame.mapcount.store(old.wrapping_sub(1), Ordering::Relaxed);
                old
            } else {
                frame.mapcount.fetch_sub(1, Ordering::Relaxed)
            };
            self.book(page, |book| book.mapcount = (old as i32 - 1).max(0));
            old
        });
        if old == 0 {
            frame.mapcount.fetch_add(1, Ordering::Relaxed);
            self.violate(
                Invariant::Map,
                Some(page),
                "a map count is taken below zero",
            );
        }
    }

    /// `page_mapcount()`; of a part of a huge page, the mappings of the whole included.
    pub(crate) fn mapcount(&self, page: Pfn) -> u32 {
        let Some(frame) = self.frame(page) else {
            return 0;
        };
        let own = frame.mapcount.load(Ordering::Relaxed);
        let head = self.head(page);
        match self.m.frame(head) {
            Some(whole) if head != page => own + whole.mapcount.load(Ordering::Relaxed),
            _ => own,
        }
    }

    // ---- anon_vma ---------------------------------------------------------------------------------

    /// `anon_vma_prepare()`.
    pub(crate) fn prepare_anon_vma(&self, vma: Vma) -> Option<u8> {
        let area = self.area(vma)?;
        if let Some(id) = area.own_anon_vma() {
            return Some(id);
        }
        if self.m.fails(AllocKind::AnonVma) {
            return None;
        }
        // An area that this one could be merged with shares its `anon_vma` (`find_mergeable_anon_vma()`): the parts of
        // a split area do.
        let id = self.new_anon_vma(None)?;
        // Under `mmap_lock` for reading two faults may come here at once; the kernel decides under
        // `page_table_lock` which one wins.
        let mut linked = area.linked.get();
        if self.m.bug(Bug::AnonVmaWithoutRecheck) {
            // The one that lost is not linked to anything.
            self.lock_anon_vma(id);
            self.unlock_anon_vma(id);
            linked = 0;
        }
        area.linked.set(linked | 1 << id);
        area.anon_vma.set(u32::from(id) + 1);
        Some(id)
    }

    /// `anon_vma_alloc()`; a child's has its parent's root.
    pub(crate) fn new_anon_vma(&self, parent: Option<u8>) -> Option<u8> {
        // Round and round, so that one that was freed is not the next to be handed out.
        let first = self.m.next_anon_vma.add(1) as usize;
        let id = (first..first + MAX_ANON_VMAS)
            .map(|id| id % MAX_ANON_VMAS)
            .find(|id| self.m.anon_vmas[*id].root.get() == NO_ROOT)?;
        let root = match parent {
            Some(parent) => self.m.anon_vmas.get(usize::from(parent))?.root.get(),
            None => id as u32,
        };
        self.m.anon_vmas[id].root.set(root);
        Some(id as u8)
    }

    /// The end of `unlink_anon_vmas()`: those that no area is linked into any more are freed, a root when the last of
    /// its tree is.
    pub(crate) fn free_anon_vmas(&self, unlinked: u32) {
        let areas = || self.m.mms.iter().flat_map(|space| space.areas.iter());
        let in_use = areas().fold(0, |all, area| all | area.linked.get());
        for id in (0..MAX_ANON_VMAS).filter(|id| unlinked >> id & 1 != 0 && in_use >> id & 1 == 0) {
            if self.m.anon_vmas[id].held.get() == 0 {
                self.m.anon_vmas[id].root.set(NO_ROOT);
            }
        }
    }

    /// `page_get_anon_vma()`: none if nothing maps the page, or it is of a file.
    pub(crate) fn hold_anon_vma(&self, page: Pfn) -> Option<u8> {
        match self.frame(page)?.identity() {
            Identity::Anon(id) if self.mapcount(page) > 0 => {
                self.m.anon_vmas[usize::from(id)].held.add(1);
                Some(id)
            }
            _ => None,
        }
    }

    /// `put_anon_vma()`.
    pub(crate) fn drop_anon_vma(&self, id: u8) {
        self.m.anon_vmas[usize::from(id)].held.add(u32::MAX);
        self.free_anon_vmas(1 << id);
    }

    pub(crate) fn anon_root(&self, id: u8) -> usize {
        self.m
            .anon_vmas
            .get(usize::from(id))
            .map_or(0, |anon| anon.root.get() as usize % MAX_ANON_VMAS)
    }

    /// `anon_vma_lock_write()` of an area's tree.
    pub(crate) fn lock_anon_vma(&self, id: u8) {
        self.m.anon_vmas[self.anon_root(id)].lock.write(self);
    }

    pub(crate) fn unlock_anon_vma(&self, id: u8) {
        self.m.anon_vmas[self.anon_root(id)].lock.unlock_write(self);
    }

    /// `page_add_new_anon_rmap()`: the page becomes anonymous memory of the area.
    pub(crate) fn add_new_anon(&self, page: Pfn, vma: Vma, vpn: usize) {
        let (Some(frame), Some(area)) = (
            self.live_frame(page, "a free page gets an rmap"),
            self.area(vma),
        ) else {
            return;
        };
        let Some(id) = area.own_anon_vma() else {
            self.violate(
                Invariant::Rmap,
                Some(page),
                "an area without anon_vma gets an anonymous page",
            );
            return;
        };
        let wrong = u32::from(self.m.bug(Bug::WrongIndex));
        frame.set_identity(Identity::Anon(id));
        frame.index.set(area.index_of(vpn) + wrong);
        let mut flags = PageFlags::SWAPBACKED;
        if self.m.shape == ShapeKind::V6_12 {
            flags |= PageFlags::ANON_EXCLUSIVE;
        }
        self.set_flag(page, flags);
        // A plain store in the kernel (`atomic_set(&page->_mapcount, 0)`): the page is new.
        self.touch(page);
        frame.mapcount.store(1, Ordering::Relaxed);
        self.book(page, |book| book.mapcount = 1);
    }

    /// `page_add_anon_rmap()` of a page that is anonymous already.
    pub(crate) fn add_anon(&self, page: Pfn, vma: Vma, vpn: usize, exclusive: bool) {
        if let (Some(frame), Some(area)) = (self.frame(self.head(page)), self.area(vma)) {
            if !matches!(frame.identity(), Identity::Anon(_)) {
                // `__page_set_anon_rmap()`: not exclusive, so the root's.
                let id = area.own_anon_vma().map_or(0, |id| self.anon_root(id) as u8);
                frame.set_identity(Identity::Anon(id));
                frame.index.set(area.index_of(vpn));
            }
        }
        if exclusive && self.m.shape == ShapeKind::V6_12 {
            self.set_flag(page, PageFlags::ANON_EXCLUSIVE);
        }
        self.add_rmap(page);
    }

    // ---- the walk ---------------------------------------------------------------------------------

    /// `rmap_walk()`: call `visit` for each place where the page may be mapped, under the lock of its `anon_vma` or file,
    /// until `visit` says false.
    pub(crate) fn rmap_walk(&self, page: Pfn, mut visit: impl FnMut(Vma, usize) -> bool) {
        let head = self.head(page);
        let Some(frame) = self.frame(head) else {
            return;
        };
        let index = frame.index.get() + (page.0 - head.0) as u32;
        let identity = frame.identity();
        let lock = match identity {
            Identity::Anon(id) => {
                if self.m.anon_vmas[usize::from(id)].root.get() == NO_ROOT {
                    // Nothing maps it any more. Who is not sure of that must hold the `anon_vma`, see `restore_everywhere()`.
                    return;
                }
                &self.m.anon_vmas[self.anon_root(id)].lock
            }
            Identity::File(file) => match self.m.files.get(usize::from(file.0)) {
                Some(file) => &file.i_mmap,
                None => return,
            },
            Identity::None => return,
        };
        lock.read(self);
        // A child's address space comes behind its parent's, as in the kernel's interval tree.
        let mms = self.m.mms.len();
        'walk: for nth in 0..mms {
            let mm = match self.m.bug(Bug::RmapChildFirst) {
                false => nth,
                true => mms - 1 - nth,
            };
            let space = &self.m.mms[mm];
            for (number, area) in space.areas.iter().enumerate() {
                let linked = match identity {
                    Identity::Anon(id) => area.linked.get() >> id & 1 != 0,
                    Identity::File(file) => area.file() == Some(file),
                    Identity::None => false,
                };
                let vma = Vma {
                    mm: MmId(mm as u8),
                    index: number as u8,
                };
                let Some(vpn) = area.page_of(index).filter(|_| linked && area.used()) else {
                    continue;
                };
                if !visit(vma, vpn) {
                    break 'walk;
                }
            }
        }
        lock.unlock_read(self);
    }

    // ---- unmapping --------------------------------------------------------------------------------

    /// `try_to_unmap()`: true if the page is mapped nowhere then.
    pub(crate) fn unmap_everywhere(&self, page: Pfn, how: Unmap) -> bool {
        let mut first = true;
        self.rmap_walk(page, |vma, vpn| {
            let goes_on = self.unmap_one(page, vma, vpn, how, first);
            first = false;
            // `rwc.done`: nothing is mapped any more.
            goes_on && self.mapcount(page) > 0
        });
        let done = self.mapcount(page) == 0;
        if !done {
            self.event(Event::UnmapIncomplete);
        }
        done
    }

    /// `try_to_unmap_one()`: false to end the walk.
    fn unmap_one(&self, page: Pfn, vma: Vma, vpn: usize, how: Unmap, first: bool) -> bool {
        let mm = vma.mm;
        self.invalidate_start(mm, vpn, vpn + 1, NotifyEvent::Clear, None);
        self.split_pmd(mm, vpn);
        // `page_vma_mapped_walk()` without `PVMW_SYNC`: a look without the lock first, which may miss an
        // entry that somebody is just changing.
        let mut goes_on = true;
        if self.read_entry(mm, vpn).mapped() == Some(page) {
            self.lock_table(mm, vpn);
            let entry = self.read_entry(mm, vpn);
            if entry.mapped() == Some(page) {
                goes_on = self.unmap_entry(page, mm, vpn, entry, how, first);
            }
            self.unlock_table(mm, vpn);
        }
        self.invalidate_end(mm, vpn, vpn + 1, NotifyEvent::Clear, None);
        goes_on
    }

    /// The entry maps the page, the PTL is held.
    fn unmap_entry(
        &self,
        page: Pfn,
        mm: MmId,
        vpn: usize,
        entry: Entry,
        how: Unmap,
        first: bool,
    ) -> bool {
        if self.m.bug(Bug::UnmapFirstOnly) && !first {
            self.drop_rmap(page);
            return true;
        }
        if how == Unmap::Migrate && self.is_device_page(page) {
            // Nothing to flush: no CPU could use it. 5.11 makes it readable, whatever it was.
            let old = self.clear_entry(mm, vpn);
            let mut bits = old.bits() & (PteBits::SOFT_DIRTY | PteBits::UFFD_WP);
            if self.m.shape == ShapeKind::V6_12 {
                bits |= old.bits() & PteBits::WRITE;
                if !old.write() && self.test_clear_flag(page, PageFlags::ANON_EXCLUSIVE) {
                    bits |= PteBits::EXCLUSIVE;
                }
            }
            self.set_entry(mm, vpn, Entry::Migration(page, bits));
            self.drop_mapping(page);
            return true;
        }
        let early = self.m.bug(Bug::FlushBeforeClear);
        if early {
            self.flush_tlb_page(mm, vpn);
        }
        let mut old = self.clear_entry(mm, vpn);
        if !early {
            self.flush_tlb_page(mm, vpn);
        }
        if self.m.bug(Bug::DirtyBeforeClear) {
            old = entry;
        }
        if old.bits().contains(PteBits::DIRTY) && !self.m.bug(Bug::UnmapLosesDirty) {
            self.set_flag(self.head(page), PageFlags::DIRTY);
        }
        let carried = old.bits() & (PteBits::SOFT_DIRTY | PteBits::UFFD_WP);
        match how {
            Unmap::Migrate => {
                let mut bits = carried | old.bits() & PteBits::WRITE;
                if self.m.shape == ShapeKind::V6_12 {
                    bits |= old.bits() & (PteBits::DIRTY | PteBits::YOUNG);
                    let exclusive = self.test_flag(page, PageFlags::ANON_EXCLUSIVE);
                    if exclusive && !self.share_anon(page) {
                        // May be pinned for DMA: put it back.
                        self.set_entry(mm, vpn, old);
                        return false;
                    }
                    if exclusive && !old.write() {
                        bits |= PteBits::EXCLUSIVE;
                    }
                }
                self.set_entry(mm, vpn, Entry::Migration(page, bits));
            }
            Unmap::Reclaim => {
                if !self.leave_for_reclaim(page, mm, vpn, old, carried) {
                    return false;
                }
            }
        }
        if self.m.bug(Bug::UnmapKeepsRmap) {
            self.put(page);
        } else {
            self.drop_mapping(page);
        }
        true
    }

    /// `page_remove_rmap()` and `put_page()`: the entry is gone, its reference is the actor's.
    pub(crate) fn drop_mapping(&self, page: Pfn) {
        self.drop_rmap(page);
        self.put(page);
    }

    /// What reclaim leaves in the place of the entry; false if it has to stay.
    fn leave_for_reclaim(
        &self,
        page: Pfn,
        mm: MmId,
        vpn: usize,
        old: Entry,
        carried: PteBits,
    ) -> bool {
        let Some(frame) = self.frame(page) else {
            return false;
        };
        if !matches!(frame.identity(), Identity::Anon(_)) {
            return true;
        }
        if !self.test_flag(page, PageFlags::SWAPBACKED) {
            // `MADV_FREE`: clean, so nobody misses it. 6.12 also looks for references through which it may be written yet.
            let held = self.m.shape == ShapeKind::V6_12
                && frame.count.load(Ordering::Relaxed) != 1 + self.mapcount(page);
            if held || self.test_flag(page, PageFlags::DIRTY) {
                self.set_entry(mm, vpn, old);
                self.set_flag(page, PageFlags::SWAPBACKED);
                return false;
            }
            self.note_dropped(mm, vpn, page);
            return true;
        }
        if !self.test_flag(page, PageFlags::SWAPCACHE) {
            self.set_entry(mm, vpn, old);
            return false;
        }
        let mut bits = carried;
        if self.m.shape == ShapeKind::V6_12 && self.test_flag(page, PageFlags::ANON_EXCLUSIVE) {
            if !self.share_anon(page) {
                self.set_entry(mm, vpn, old);
                return false;
            }
            // `pte_swp_mkexclusive()`.
            bits |= PteBits::EXCLUSIVE;
        }
        let slot = frame.private.get() as u16;
        self.swap_duplicate(slot);
        self.set_entry(mm, vpn, Entry::Swap(slot, bits));
        true
    }

    /// `!folio_try_share_anon_rmap_pte()`: false if the page may be pinned for DMA.
    pub(crate) fn share_anon(&self, page: Pfn) -> bool {
        S::fence();
        let count = self
            .frame(self.head(page))
            .map_or(0, |frame| frame.count.load(Ordering::Relaxed));
        if count >= migrate_pin_core::GUP_PIN_COUNTING_BIAS {
            return false;
        }
        self.clear_flag(page, PageFlags::ANON_EXCLUSIVE);
        S::fence();
        true
    }

    // ---- back from migration ----------------------------------------------------------------------

    /// `remove_migration_pte()`.
    pub(crate) fn restore_one(&self, vma: Vma, vpn: usize, old: Pfn, new: Pfn) {
        let mm = vma.mm;
        // `PVMW_SYNC`: no look without the lock.
        self.lock_table(mm, vpn);
        if let Entry::Migration(page, carried) = self.read_entry(mm, vpn) {
            if page == old {
                self.restore_entry(vma, vpn, carried, old, new);
            }
        }
        self.unlock_table(mm, vpn);
    }

    /// The same for the entry that is there, under the PTL that the caller holds.
    pub(crate) fn restore_here(&self, vma: Vma, vpn: usize, new: Pfn) {
        match self.read_entry(vma.mm, vpn) {
            Entry::Migration(old, carried) => self.restore_entry(vma, vpn, carried, old, new),
            _ => self.violate(
                Invariant::Map,
                Some(new),
                "an entry is turned back that is no migration entry",
            ),
        }
    }

    /// The migration entry of `old` that has `carried` becomes a mapping of `new`.
    fn restore_entry(&self, vma: Vma, vpn: usize, carried: PteBits, old: Pfn, new: Pfn) {
        let Some(area) = self.area(vma) else {
            return;
        };
        let event = if old == new {
            Event::Restore
        } else {
            Event::Remap
        };
        self.event(event);
        let target = if self.m.bug(Bug::RestoreOldPage) {
            old
        } else {
            new
        };
        if !self.m.bug(Bug::RestoreWithoutGet) {
            self.get(target);
        }
        let write = carried.contains(PteBits::WRITE) && area.write();
        let entry = self.restored(target, carried, write);
        self.set_entry(vma.mm, vpn, entry);
        let anonymous = self
            .m
            .frame(self.head(target))
            .is_some_and(|frame| matches!(frame.identity(), Identity::Anon(_)));
        if anonymous {
            let exclusive = carried.intersects(PteBits::WRITE | PteBits::EXCLUSIVE);
            self.add_anon(target, vma, vpn, exclusive);
        } else {
            self.add_rmap(target);
        }
    }

    /// The entry that takes a migration entry's place.
    fn restored(&self, new: Pfn, carried: PteBits, write: bool) -> Entry {
        let mut bits = carried & PteBits::SOFT_DIRTY;
        if write {
            bits |= PteBits::WRITE;
        } else {
            bits |= carried & PteBits::UFFD_WP;
        }
        if self.is_device_page(new) {
            return Entry::DevicePrivate(new, bits);
        }
        // 5.11 makes an old, clean entry; 6.12 what it was, if the page is dirty still.
        if self.m.shape == ShapeKind::V6_12 {
            bits |= carried & PteBits::YOUNG;
            if carried.contains(PteBits::DIRTY) && self.test_flag(new, PageFlags::DIRTY) {
                bits |= PteBits::DIRTY;
            }
        }
        Entry::Page(new, bits)
    }

    /// `remove_migration_ptes()`: wherever the rmap of `new` leads.
    pub(crate) fn restore_everywhere(&self, old: Pfn, new: Pfn) {
        let freed = match self.m.frame(self.head(new)).map(|frame| frame.identity()) {
            Some(Identity::Anon(id)) => self.m.anon_vmas[usize::from(id)].root.get() == NO_ROOT,
            _ => false,
        };
        if freed {
            // UAF: it takes the lock of an `anon_vma` that neither `mmap_lock` nor a reference keeps.
            self.violate(
                Invariant::Uaf,
                Some(new),
                "a page leads to an anon_vma that is freed",
            );
        }
        let early = self.m.bug(Bug::UnlockBeforeRestore) && self.holds_lock(old);
        if early {
            self.unlock(old);
        }
        self.rmap_walk(new, |vma, vpn| {
            self.restore_one(vma, vpn, old, new);
            !self.m.bug(Bug::RestoreFirstOnly)
        });
        if early {
            self.trylock(old);
        }
    }
}
