//! Files: the page cache, and faults on it (`mm/filemap.c`, `do_fault()`).

use crate::config::FileId;
use crate::cpu::{ready, Cpu, Progress, WaitFor};
use crate::entry::Entry;
use crate::event::Event;
use crate::frame::{Identity, PageFlags};
use crate::ledger::Hold;
use crate::paths::fault::{Faulted, Spot};
use crate::sync::{Plain, Synchronisation};
use migrate_pin_core::ops::PteBits;
use migrate_pin_core::Pfn;

impl<'m, S: Synchronisation> Cpu<'m, S> {
    /// `find_get_page()`: without a lock.
    fn find_get_page(&self, file: FileId, index: usize) -> Option<Pfn> {
        let slot = self.m.files.get(usize::from(file.0))?.slots.get(index)?;
        loop {
            let page = match slot.get() {
                0 => return None,
                page => Pfn(page as usize),
            };
            if self.get_unless_zero(page) {
                if slot.get() as usize == page.0 {
                    return Some(page);
                }
                self.put(page);
            } else if S::STEPWISE && slot.get() as usize == page.0 {
                return None;
            }
        }
    }

    /// `add_to_page_cache_lru()` and `readpage()`: a new page with what is on the disk; one reference for the actor.
    fn read_file(&self, spot: Spot<'m>, file: FileId, index: usize) -> Option<Pfn> {
        let cache = self.m.files.get(usize::from(file.0))?;
        let slot = cache.slots.get(index)?;
        if index >= usize::from(cache.pages) {
            return None;
        }
        let page = self.alloc_page()?;
        let memcg = self
            .space(spot.vma.mm)
            .map(|space| space.memcg)
            .unwrap_or_default();
        if !self.charge(page, memcg) {
            self.put(page);
            return None;
        }
        let frame = self.frame(page)?;
        self.trylock(page);
        frame.set_identity(Identity::File(file));
        frame.index.set(index as u32);
        cache.i_pages.lock(self);
        let lost = slot.get() != 0;
        if !lost {
            self.get_as(page, Hold::Cache);
            slot.set(page.0 as u32);
        }
        cache.i_pages.unlock(self);
        if lost {
            frame.set_identity(Identity::None);
            self.unlock(page);
            self.put(page);
            return self.find_get_page(file, index);
        }
        frame
            .contents
            .set(cache.disk.get(index).map_or(0, Plain::get));
        S::fence();
        self.set_flag(page, PageFlags::UPTODATE);
        self.lru_add(page);
        self.unlock(page);
        Some(page)
    }

    /// `filemap_fault()`: the page, locked, with a reference.
    fn filemap_fault(
        &self,
        spot: Spot<'m>,
        file: FileId,
        index: usize,
    ) -> Progress<Result<Pfn, Faulted>> {
        let found = self
            .find_get_page(file, index)
            .or_else(|| self.read_file(spot, file, index));
        let Some(page) = found else {
            let there = self
                .m
                .files
                .get(usize::from(file.0))
                .is_some_and(|f| index < usize::from(f.pages));
            return Progress::Done(Err(if there { Faulted::Oom } else { Faulted::Sigbus }));
        };
        if !self.trylock(page) {
            self.put(page);
            return self.blocked(WaitFor::PageLock(page));
        }
        // Truncated, or replaced by a migration, while we were not looking.
        let same = self.frame(page).is_some_and(|frame| {
            frame.identity() == Identity::File(file)
                && frame.index.get() as usize == index
                && self.m.files[usize::from(file.0)].slots[index].get() as usize == page.0
        });
        if !same {
            self.unlock(page);
            self.put(page);
            return Progress::Done(Err(Faulted::Again));
        }
        Progress::Done(Ok(page))
    }

    /// `do_fault()`.
    pub(crate) fn file_fault(&self, spot: Spot<'m>) -> Progress<Faulted> {
        let Some(file) = spot.area.file() else {
            return Progress::Done(Faulted::Sigbus);
        };
        let index = spot.area.index_of(spot.vpn) as usize;
        let page = match ready!(self.filemap_fault(spot, file, index)) {
            Ok(page) => page,
            Err(result) => return Progress::Done(result),
        };
        let shared = spot.area.shared();
        let result = if spot.write && !shared {
            self.cow_fault(spot, page)
        } else {
            let mut bits = PteBits::YOUNG;
            if spot.write {
                // `do_page_mkwrite()`, `fault_dirty_shared_page()`.
                self.set_flag(page, PageFlags::DIRTY);
                bits |= PteBits::WRITE | PteBits::DIRTY;
            }
            self.map_file_page(spot, page, bits);
            Faulted::Again
        };
        self.unlock(page);
        self.put(page);
        Progress::Done(result)
    }

    /// `finish_fault()`: map a page of the cache unless somebody else has filled the entry.
    fn map_file_page(&self, spot: Spot<'m>, page: Pfn, bits: PteBits) {
        let mm = spot.vma.mm;
        self.lock_table(mm, spot.vpn);
        if self.read_entry(mm, spot.vpn) == Entry::None {
            self.get(page);
            self.set_entry(mm, spot.vpn, Entry::Page(page, bits));
            self.add_rmap(page);
        }
        self.unlock_table(mm, spot.vpn);
    }

    /// `do_cow_fault()`: a private copy of a locked page of the cache.
    fn cow_fault(&self, spot: Spot<'m>, page: Pfn) -> Faulted {
        let mm = spot.vma.mm;
        let Some(new) = self.new_anonymous(spot, Some(page)) else {
            return Faulted::Oom;
        };
        let word = self.frame(new).map_or(0, |frame| frame.contents.get());
        self.lock_table(mm, spot.vpn);
        let empty = self.read_entry(mm, spot.vpn) == Entry::None;
        if empty {
            self.add_new_anon(new, spot.vma, spot.vpn);
            self.lru_add(new);
            let bits = PteBits::YOUNG | PteBits::DIRTY | PteBits::WRITE;
            self.set_entry(mm, spot.vpn, Entry::Page(new, bits));
            self.note_own(mm, spot.vpn, word);
            self.event(Event::CowCopy);
        }
        self.unlock_table(mm, spot.vpn);
        if !empty {
            self.put(new);
        }
        Faulted::Again
    }
}
