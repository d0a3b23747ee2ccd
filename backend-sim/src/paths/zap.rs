//! Taking memory away: `munmap()`, `MADV_DONTNEED`, exit, the OOM reaper (`zap_page_range()`).

use crate::bug::Bug;
use crate::config::{MmId, VmaKind, TABLE_PAGES};
use crate::cpu::{ready, vpn_of, Cpu, Progress};
use crate::entry::{Entry, Pmd};
use crate::event::Event;
use crate::frame::{Identity, PageFlags};
use crate::mm::{Area, Vma};
use crate::sync::{full, Atomic32, Store, Synchronisation};
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::{NotifyEvent, PteBits, Range};
use migrate_pin_core::Pfn;

/// Pages whose entries are gone, and that are put once the TLBs are flushed (`mmu_gather`).
type Gather = heapless::Vec<Pfn, 64>;

/// Why an address space could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapError {
    /// `-ENOMEM`: no place for another area.
    TooManyAreas,
    /// `-EINVAL`: nothing there, or not that kind of area.
    Invalid,
}

impl<'m, S: Synchronisation> Cpu<'m, S> {
    /// `munmap()` of this actor's address space.
    pub fn munmap(&self, range: Range) -> Progress<Result<(), MapError>> {
        match self.mm() {
            Some(mm) => self.munmap_in(mm, range),
            None => Progress::Done(Err(MapError::Invalid)),
        }
    }

    fn munmap_in(&self, mm: MmId, range: Range) -> Progress<Result<(), MapError>> {
        self.unpark();
        self.at("munmap");
        let (first, until) = (vpn_of(range.start), vpn_of(range.end));
        ready!(self.mmap_write(mm));
        let result = self.split_areas(mm, first, until);
        if result.is_ok() {
            self.zap(mm, first, until, NotifyEvent::Unmap);
            self.forget_areas(mm, first, until);
        }
        self.mmap_write_unlock(mm);
        Progress::Done(result)
    }

    /// `madvise(MADV_DONTNEED)` of this actor's address space: under `mmap_lock` for reading only.
    pub fn dontneed(&self, range: Range) -> Progress<Result<(), MapError>> {
        let Some(mm) = self.mm() else {
            return Progress::Done(Err(MapError::Invalid));
        };
        self.unpark();
        self.at("madvise(MADV_DONTNEED)");
        ready!(self.mmap_read(mm));
        let (first, until) = (vpn_of(range.start), vpn_of(range.end));
        self.zap(mm, first, until, NotifyEvent::Clear);
        self.mmap_read_unlock(mm);
        Progress::Done(Ok(()))
    }

    /// `madvise(MADV_FREE)` of this actor's address space: the pages stay, and reclaim may drop them unless they are
    /// written again. Pages that others map too are left alone.
    pub fn madv_free(&self, range: Range) -> Progress<Result<(), MapError>> {
        let Some(mm) = self.mm() else {
            return Progress::Done(Err(MapError::Invalid));
        };
        self.unpark();
        self.at("madvise(MADV_FREE)");
        ready!(self.mmap_read(mm));
        let (first, until) = (vpn_of(range.start), vpn_of(range.end));
        self.invalidate_start(mm, first, until, NotifyEvent::Clear, None);
        for vpn in first..until {
            let anonymous = self
                .find_vma(mm, vpn)
                .and_then(|vma| self.area(vma))
                .is_some_and(|area| area.file().is_none());
            if anonymous && self.read_pmd(mm, vpn) == Pmd::Table {
                self.lock_table(mm, vpn);
                self.free_lazily(mm, vpn);
                self.unlock_table(mm, vpn);
            }
        }
        self.flush_tlb(mm, first, until);
        self.invalidate_end(mm, first, until, NotifyEvent::Clear, None);
        self.mmap_read_unlock(mm);
        Progress::Done(Ok(()))
    }

    /// One entry of `madvise_free_pte_range()`, under the PTL.
    fn free_lazily(&self, mm: MmId, vpn: usize) {
        let Entry::Page(page, bits) = self.read_entry(mm, vpn) else {
            return;
        };
        if self.test_flag(page, PageFlags::HEAD | PageFlags::TAIL) {
            return;
        }
        if self.test_flag(page, PageFlags::SWAPCACHE | PageFlags::DIRTY) {
            // The lock is for the swap cache and the page's own dirty bit, and is gone before the entry changes.
            if !self.trylock(page) {
                return;
            }
            let alone = self.mapcount(page) == 1;
            let cached = self.test_flag(page, PageFlags::SWAPCACHE);
            let clean = alone && (!cached || self.try_to_free_swap(page));
            if clean {
                self.clear_flag(page, PageFlags::DIRTY);
            }
            self.unlock(page);
            if !clean {
                return;
            }
        }
        if bits.intersects(PteBits::DIRTY | PteBits::YOUNG) {
            let old = self.clear_entry(mm, vpn);
            let bits = old.bits() - PteBits::DIRTY - PteBits::YOUNG;
            self.set_entry(mm, vpn, old.with_bits(bits));
        }
        // `mark_page_lazyfree()` only takes pages on the list (by way of another batch, which is left out here).
        if self.test_flag(page, PageFlags::LRU) && !self.test_flag(page, PageFlags::SWAPCACHE) {
            self.clear_flag(page, PageFlags::SWAPBACKED);
            self.note_free(mm, vpn);
        }
    }

    /// The OOM reaper: marks an address space unstable and zaps what is private in it, under `mmap_lock` for reading.
    pub fn oom_reap(&self, mm: MmId) -> Progress<()> {
        self.unpark();
        self.at("oom_reap");
        let Some(space) = self.space(mm) else {
            return Progress::Done(());
        };
        ready!(self.mmap_read(mm));
        space.unstable.set(1);
        for area in &space.areas {
            // `can_madv_lru_vma()`: not what is special, hugetlb or mapped without struct pages.
            let ordinary = matches!(area.kind(), VmaKind::Anonymous | VmaKind::Private(..));
            if area.used() && ordinary {
                self.zap(
                    mm,
                    area.start.get() as usize,
                    area.end.get() as usize,
                    NotifyEvent::Unmap,
                );
            }
        }
        self.mmap_read_unlock(mm);
        Progress::Done(())
    }

    /// `exit_mmap()` of this actor's address space. Nobody else may be using it: it waits for all readers.
    pub fn exit(&self) -> Progress<()> {
        match self.mm() {
            Some(mm) => self.exit_in(mm),
            None => Progress::Done(()),
        }
    }

    /// `exit_mmap()` of an address space, by whoever drops it last.
    pub fn exit_in(&self, mm: MmId) -> Progress<()> {
        let Some(space) = self.space(mm) else {
            return Progress::Done(());
        };
        self.unpark();
        self.at("exit_mmap");
        ready!(self.mmap_write(mm));
        // `mmu_notifier_release()`: drivers let go of everything first.
        let pages = space.entries.len();
        self.invalidate_start(mm, 0, pages, NotifyEvent::Unmap, None);
        self.invalidate_end(mm, 0, pages, NotifyEvent::Unmap, None);
        self.zap(mm, 0, pages, NotifyEvent::Unmap);
        self.forget_areas(mm, 0, pages);
        space.alive.set(0);
        self.mmap_write_unlock(mm);
        Progress::Done(())
    }

    // ---- areas ------------------------------------------------------------------------------------

    /// `__split_vma()` at both ends of a range. The rmap walks areas under the lock of their `anon_vma` or file.
    pub(crate) fn split_areas(&self, mm: MmId, first: usize, until: usize) -> Result<(), MapError> {
        for at in [first, until] {
            let Some(space) = self.space(mm) else {
                return Err(MapError::Invalid);
            };
            let Some(index) = space.find(at) else {
                continue;
            };
            let area = &space.areas[usize::from(index)];
            if area.start.get() as usize == at {
                continue;
            }
            let spare = space.spare().ok_or(MapError::TooManyAreas)?;
            let tail = &space.areas[usize::from(spare)];
            self.lock_rmap_of(area);
            tail.copy_from(area);
            tail.pgoff.set(area.index_of(at));
            tail.start.set(at as u32);
            area.end.set(at as u32);
            self.unlock_rmap_of(area);
        }
        Ok(())
    }

    fn lock_rmap_of(&self, area: &Area) {
        if let Some(file) = area
            .file()
            .and_then(|file| self.m.files.get(usize::from(file.0)))
        {
            file.i_mmap.write(self);
        }
        if let Some(id) = area.own_anon_vma() {
            self.lock_anon_vma(id);
        }
    }

    fn unlock_rmap_of(&self, area: &Area) {
        if let Some(id) = area.own_anon_vma() {
            self.unlock_anon_vma(id);
        }
        if let Some(file) = area
            .file()
            .and_then(|file| self.m.files.get(usize::from(file.0)))
        {
            file.i_mmap.unlock_write(self);
        }
    }

    /// `free_pgtables()`: unlink the areas within the range, free the page tables that nobody uses any more.
    pub(crate) fn forget_areas(&self, mm: MmId, first: usize, until: usize) {
        let Some(space) = self.space(mm) else {
            return;
        };
        for area in &space.areas {
            let (start, end) = (area.start.get() as usize, area.end.get() as usize);
            if area.used() && start >= first && end <= until {
                let linked = area.linked.get();
                self.lock_rmap_of(area);
                area.end.set(area.start.get());
                area.linked.set(0);
                self.unlock_rmap_of(area);
                area.anon_vma.set(0);
                self.free_anon_vmas(linked);
            }
        }
        for (index, table) in space.tables.iter().enumerate() {
            let pages = index * TABLE_PAGES..(index + 1) * TABLE_PAGES;
            if pages.clone().any(|vpn| space.find(vpn).is_some()) {
                continue;
            }
            if Pmd::unpack(table.pmd.load(Ordering::Relaxed)) == Pmd::Table
                && pages.clone().all(|vpn| {
                    space
                        .entries
                        .get(vpn)
                        .is_none_or(|e| e.load(Ordering::Relaxed) == 0)
                })
            {
                table.pmd.store(Pmd::None.pack(), Ordering::Release);
                // Walkers of the hardware must be gone from a page-table page before it is freed.
                self.flush_tlb(mm, pages.start, pages.end);
            }
        }
    }

    // ---- zapping ----------------------------------------------------------------------------------

    /// `zap_page_range()`, `unmap_vmas()`: `mmap_lock` is held in either way.
    pub(crate) fn zap(&self, mm: MmId, first: usize, until: usize, event: NotifyEvent) {
        let Some(space) = self.space(mm) else {
            return;
        };
        let until = until.min(space.entries.len());
        if first >= until {
            return;
        }
        let notify = !self.m.bug(Bug::ZapWithoutNotifier);
        if notify {
            self.invalidate_start(mm, first, until, event, None);
        }
        if S::LEDGER {
            let _ = self
                .m
                .ledger
                .lock()
                .windows
                .push((mm, first, until, self.actor.0));
        }
        // `tlb_gather_mmu()`.
        space.flush_pending.add(1);
        let mut gather = Gather::new();
        let mut cleared = false;
        let mut vpn = first;
        while vpn < until {
            let end = (Self::table_start(vpn) + TABLE_PAGES).min(until);
            match self.read_pmd(mm, vpn) {
                Pmd::Table => cleared |= self.zap_table(mm, vpn, end, &mut gather),
                Pmd::Huge(..) | Pmd::HugeZero if end - vpn == TABLE_PAGES => {
                    if !self.zap_huge(mm, vpn, &mut gather) {
                        continue;
                    }
                    cleared = true;
                }
                Pmd::Huge(..) | Pmd::HugeZero => {
                    self.split_pmd(mm, vpn);
                    continue;
                }
                Pmd::None | Pmd::Bad => {}
            }
            vpn = end;
        }
        // Before `tlb_finish_mmu()`: who begins to read now finds empty entries.
        if notify {
            self.invalidate_end(mm, first, until, event, None);
        }
        // `tlb_finish_mmu()`: if nothing that was present was cleared there is nothing to flush, unless somebody else who
        // has cleared something has not flushed yet (`mm_tlb_flush_nested()`).
        let early = self.m.bug(Bug::FreeBeforeFlush);
        if early {
            self.release_gathered(&gather);
        }
        if cleared || space.flush_pending.get() > 1 {
            self.flush_tlb(mm, first, until);
        }
        // Wraps: one less.
        space.flush_pending.add(u32::MAX);
        if S::LEDGER {
            let mut books = self.m.ledger.lock();
            let mine = (mm, first, until, self.actor.0);
            if let Some(index) = books.windows.iter().position(|window| *window == mine) {
                books.windows.swap_remove(index);
            }
        }
        if !early {
            self.release_gathered(&gather);
        }
    }

    fn release_gathered(&self, gather: &Gather) {
        for page in gather {
            self.free_swap_cache_of(*page);
            self.put(*page);
        }
    }

    /// `zap_pte_range()`; was there anything that a TLB may hold?
    fn zap_table(&self, mm: MmId, first: usize, end: usize, gather: &mut Gather) -> bool {
        let (mut flush, mut cleared) = (false, false);
        self.lock_table(mm, first);
        for vpn in first..end {
            let entry = self.read_entry(mm, vpn);
            if self.m.bug(Bug::ZapLeavesEntry) && vpn == first {
                // The ledger goes by what was asked for.
                self.note_zapped(mm, vpn);
                continue;
            }
            cleared |= entry.present();
            match entry {
                Entry::None => continue,
                Entry::Page(..) => flush |= self.zap_present(mm, vpn, gather),
                Entry::Zero(_) | Entry::Special(_) | Entry::Other => {
                    self.clear_entry(mm, vpn);
                }
                Entry::DevicePrivate(page, _) => {
                    self.clear_entry(mm, vpn);
                    self.drop_rmap(page);
                    // Under the PTL: `page_free()` may run here.
                    self.put(page);
                }
                Entry::Migration(..) => {
                    self.clear_entry(mm, vpn);
                    self.event(Event::MigrationEntryZapped);
                }
                Entry::Swap(slot, _) => {
                    self.clear_entry(mm, vpn);
                    self.free_swap_and_cache(slot);
                }
            }
            self.note_zapped(mm, vpn);
        }
        if flush {
            // A dirty page of a file: nobody may write it any more once its dirty bit has been taken.
            self.flush_tlb(mm, first, end);
        }
        self.unlock_table(mm, first);
        cleared
    }

    /// One present page; true if the TLB has to be flushed before the PTL is dropped.
    fn zap_present(&self, mm: MmId, vpn: usize, gather: &mut Gather) -> bool {
        let early = self
            .read_page_early(mm, vpn)
            .inspect(|page| self.drop_rmap(*page));
        let old = self.clear_entry(mm, vpn);
        let Entry::Page(page, bits) = old else {
            return false;
        };
        let anonymous = self
            .frame(self.head(page))
            .is_some_and(|frame| matches!(frame.identity(), Identity::Anon(_)));
        let mut flush = false;
        if !anonymous && bits.contains(PteBits::DIRTY) {
            self.set_flag(page, PageFlags::DIRTY);
            flush = true;
        }
        if early.is_none() {
            self.drop_rmap(page);
        }
        if self.m.bug(Bug::ZapPutsTwice) {
            self.put(page);
        }
        if gather.push(page).is_err() {
            // `__tlb_remove_page()` is full: flush and go on.
            self.flush_tlb(mm, vpn, vpn + 1);
            self.put(page);
        }
        flush
    }

    /// The page whose rmap is removed before its entry is cleared: none but with [`Bug::RmapBeforeClear`].
    fn read_page_early(&self, mm: MmId, vpn: usize) -> Option<Pfn> {
        if !self.m.bug(Bug::RmapBeforeClear) {
            return None;
        }
        self.read_entry(mm, vpn).mapped()
    }

    /// `zap_huge_pmd()`.
    /// False if it is not huge any more, now that the lock is held (`pmd_trans_huge_lock()`).
    fn zap_huge(&self, mm: MmId, first: usize, gather: &mut Gather) -> bool {
        let Some(table) = self.table(mm, first) else {
            return true;
        };
        self.lock_table(mm, first);
        if !matches!(self.read_pmd(mm, first), Pmd::Huge(..) | Pmd::HugeZero) {
            self.unlock_table(mm, first);
            return false;
        }
        let old = Pmd::unpack(full::<S, _>(|| {
            table.pmd.swap(Pmd::None.pack(), Ordering::AcqRel)
        }));
        if let Pmd::Huge(head, _) = old {
            self.unmapped_whole(head);
            self.drop_rmap(head);
            if gather.push(head).is_err() {
                self.flush_tlb(mm, first, first + TABLE_PAGES);
                self.put(head);
            }
        }
        for vpn in first..first + TABLE_PAGES {
            self.m.ledger.lock().set_shadow(mm, vpn, Entry::None);
            self.note_zapped(mm, vpn);
        }
        self.unlock_table(mm, first);
        true
    }

    /// The area at an address, while `mmap_lock` is held.
    pub fn find_vma(&self, mm: MmId, vpn: usize) -> Option<Vma> {
        let index = self.space(mm)?.find(vpn)?;
        Some(Vma { mm, index })
    }
}
