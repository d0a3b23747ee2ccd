//! `fork()`: another address space with the same memory (`dup_mmap()`, `copy_page_range()`).

use crate::bug::Bug;
use crate::config::{MmId, TABLE_PAGES};
use crate::cpu::{ready, Cpu, Progress, WaitFor};
use crate::entry::{Entry, Pmd};
use crate::event::Event;
use crate::frame::{Identity, PageFlags};
use crate::mm::Vma;
use crate::paths::fault::Spot;
use crate::paths::zap::MapError;
use crate::sync::{Atomic32, Synchronisation};
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::{NotifyEvent, PteBits};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::{Pfn, GUP_PIN_COUNTING_BIAS};

impl<'m, S: Synchronisation> Cpu<'m, S> {
    /// `fork()` of this actor's address space into `child`, which has no areas yet.
    pub fn fork(&self, child: MmId) -> Progress<Result<(), MapError>> {
        let Some(parent) = self.mm() else {
            return Progress::Done(Err(MapError::Invalid));
        };
        self.unpark();
        self.at("fork");
        let (Some(old), Some(new)) = (self.space(parent), self.space(child)) else {
            return Progress::Done(Err(MapError::Invalid));
        };
        if parent == child || new.areas.iter().any(|area| area.used()) {
            return Progress::Done(Err(MapError::Invalid));
        }
        ready!(self.mmap_write(parent));
        if !new.mmap_lock.try_write(self) {
            self.mmap_write_unlock(parent);
            return self.blocked(WaitFor::MmapWrite(child));
        }
        // Another has forked into it meanwhile: one process, not two, has come of it.
        if new.areas.iter().any(|area| area.used()) {
            self.mmap_write_unlock(child);
            self.mmap_write_unlock(parent);
            return Progress::Done(Err(MapError::Invalid));
        }
        self.set_forking(Some((parent, child)));
        let mut result = Ok(());
        for (index, area) in old.areas.iter().enumerate() {
            if !area.used() {
                continue;
            }
            new.areas[index].copy_from(area);
            let from = Vma {
                mm: parent,
                index: index as u8,
            };
            let to = Vma {
                mm: child,
                index: index as u8,
            };
            if self.fork_anon_vma(from, to).is_none() {
                result = Err(MapError::TooManyAreas);
                break;
            }
            // Pages of a file that nobody has written to are faulted in again.
            if area.own_anon_vma().is_none() {
                continue;
            }
            if !self.copy_range(from, to) {
                result = Err(MapError::TooManyAreas);
                break;
            }
        }
        // `flush_tlb_mm()`.
        let late = self.m.bug(Bug::ForkFlushesLate);
        if !late {
            self.flush_tlb(parent, 0, old.entries.len());
        }
        self.set_forking(None);
        if result.is_ok() {
            // A new `mm_struct` (`MMF_INIT_MASK`): what was reaped here before was another.
            new.unstable.set(0);
            new.alive.set(1);
        } else {
            // `dup_mmap()` failed: what there is of the child is torn down again (`mmput()`).
            let pages = new.entries.len();
            self.zap(child, 0, pages, NotifyEvent::Unmap);
            self.forget_areas(child, 0, pages);
        }
        self.mmap_write_unlock(child);
        self.mmap_write_unlock(parent);
        if late {
            self.flush_tlb(parent, 0, old.entries.len());
        }
        Progress::Done(result)
    }

    fn set_forking(&self, mms: Option<(MmId, MmId)>) {
        if S::LEDGER {
            self.m.ledger.lock().doing.of(self.slot()).forking = mms;
        }
    }

    /// DATA: the child sees private memory as it was. What the parent still writes through its TLB before the fork is
    /// over goes to both, see `note_write()`.
    fn inherit_word(&self, parent: MmId, child: MmId, vpn: usize) {
        if !S::LEDGER {
            return;
        }
        let mut books = self.m.ledger.lock();
        let cell = books.cell_mut(parent, vpn).map(|cell| *cell);
        if let (Some(cell), Some(to)) = (cell, books.cell_mut(child, vpn)) {
            *to = cell;
        }
    }

    /// `anon_vma_fork()`: the child's area is linked into all that the parent's is, and gets an `anon_vma` of its own.
    fn fork_anon_vma(&self, from: Vma, to: Vma) -> Option<()> {
        let (old, new) = (self.area(from)?, self.area(to)?);
        let Some(parent) = old.own_anon_vma() else {
            return Some(());
        };
        let id = self.new_anon_vma(Some(parent))?;
        self.lock_anon_vma(parent);
        let mut linked = old.linked.get() | 1 << id;
        if self.m.bug(Bug::ForkWithoutAnonVma) {
            linked = 1 << id;
        }
        new.linked.set(linked);
        new.anon_vma.set(u32::from(id) + 1);
        self.unlock_anon_vma(parent);
        Some(())
    }

    /// `copy_page_range()`; false if it ran out of memory.
    fn copy_range(&self, from: Vma, to: Vma) -> bool {
        let Some(area) = self.area(from) else {
            return true;
        };
        let (first, until) = (area.start.get() as usize, area.end.get() as usize);
        // `is_cow_mapping()`.
        let cow = !area.shared();
        if cow {
            self.invalidate_start(from.mm, first, until, NotifyEvent::ProtectionPage, None);
            // `write_protect_seq`: GUP-fast looks whether a fork was under way.
            self.bump_protect_seq(from.mm);
        }
        let mut done = true;
        let mut vpn = first;
        while vpn < until && done {
            let end = (Self::table_start(vpn) + TABLE_PAGES).min(until);
            match self.read_pmd(from.mm, vpn) {
                Pmd::Table => done = self.copy_table(from, to, vpn, end, cow),
                Pmd::Huge(..) | Pmd::HugeZero => {
                    // `copy_huge_pmd()` shares the whole; the same pages are shared once it is split.
                    self.split_pmd(from.mm, vpn);
                    continue;
                }
                Pmd::None | Pmd::Bad => {}
            }
            vpn = end;
        }
        if cow {
            self.bump_protect_seq(from.mm);
            self.invalidate_end(from.mm, first, until, NotifyEvent::ProtectionPage, None);
        }
        done
    }

    fn bump_protect_seq(&self, mm: MmId) {
        if let Some(space) = self.space(mm) {
            S::fence();
            space.protect_seq.fetch_add(1, Ordering::Relaxed);
            S::fence();
        }
    }

    /// `copy_pte_range()`.
    fn copy_table(&self, from: Vma, to: Vma, first: usize, end: usize, cow: bool) -> bool {
        if self.alloc_table(to.mm, first).is_none() {
            return false;
        }
        let mut spare = None;
        let mut vpn = first;
        'again: loop {
            self.lock_table(to.mm, first);
            self.lock_table(from.mm, first);
            while vpn < end {
                let entry = self.read_entry(from.mm, vpn);
                match entry {
                    Entry::None => {}
                    Entry::Page(page, _) if cow && self.needs_copy(from.mm, page) => {
                        let Some(new) = spare.take() else {
                            // `-EAGAIN`: allocate outside of the locks.
                            self.unlock_table(from.mm, first);
                            self.unlock_table(to.mm, first);
                            spare = self.page_for_child(to, vpn);
                            if spare.is_none() {
                                return false;
                            }
                            continue 'again;
                        };
                        self.copy_at_once(to, vpn, page, new);
                    }
                    Entry::Page(page, _) => self.share(from, to, vpn, page, cow),
                    Entry::Zero(_) | Entry::Special(_) => {
                        self.set_entry(to.mm, vpn, entry);
                    }
                    _ => self.copy_nonpresent(from.mm, to.mm, vpn, entry, cow),
                }
                vpn += 1;
            }
            break;
        }
        self.unlock_table(from.mm, first);
        self.unlock_table(to.mm, first);
        if let Some(page) = spare {
            self.put(page);
        }
        true
    }

    /// `page_needs_cow_for_dma()`, `folio_try_dup_anon_rmap_pte()`: may it be pinned for DMA?
    fn needs_copy(&self, mm: MmId, page: Pfn) -> bool {
        let Some(frame) = self.frame(self.head(page)) else {
            return false;
        };
        if !matches!(frame.identity(), Identity::Anon(_)) {
            return false;
        }
        let pinned = self
            .space(mm)
            .is_some_and(|space| space.has_pinned.get() != 0);
        let exclusive = match self.m.shape {
            ShapeKind::V5_11 => true,
            ShapeKind::V6_12 => self.test_flag(page, PageFlags::ANON_EXCLUSIVE),
        };
        pinned && exclusive && frame.count.load(Ordering::Relaxed) >= GUP_PIN_COUNTING_BIAS
    }

    /// `page_copy_prealloc()`.
    fn page_for_child(&self, to: Vma, vpn: usize) -> Option<Pfn> {
        let area = self.area(to)?;
        let spot = Spot {
            vma: to,
            area,
            vpn,
            write: true,
        };
        self.new_anonymous(spot, None)
    }

    /// `copy_present_page()`.
    fn copy_at_once(&self, to: Vma, vpn: usize, page: Pfn, new: Pfn) {
        let (Some(from), Some(frame)) = (
            self.live_frame(page, "a free page is copied"),
            self.frame(new),
        ) else {
            return;
        };
        let word = from.contents.get();
        frame.contents.set(word);
        self.add_new_anon(new, to, vpn);
        self.lru_add(new);
        let write = self.area(to).is_some_and(|area| area.write());
        let mut bits = PteBits::YOUNG | PteBits::DIRTY;
        if write {
            bits |= PteBits::WRITE;
        }
        self.set_entry(to.mm, vpn, Entry::Page(new, bits));
        self.note_own(to.mm, vpn, word);
        self.event(Event::ForkCopy);
    }

    /// `copy_present_pte()`.
    fn share(&self, from: Vma, to: Vma, vpn: usize, page: Pfn, cow: bool) {
        self.get(page);
        if !self.m.bug(Bug::ForkWithoutRmap) {
            self.dup_rmap(page);
        }
        if self.m.shape == ShapeKind::V6_12 {
            self.clear_flag(page, PageFlags::ANON_EXCLUSIVE);
        }
        let mut entry = self.read_entry(from.mm, vpn);
        if cow && entry.write() && !self.m.bug(Bug::ForkKeepsWrite) {
            // `ptep_set_wrprotect()` loses nothing that the hardware sets meanwhile.
            loop {
                let now = self.read_entry(from.mm, vpn);
                let protected = now.with_bits(now.bits() - PteBits::WRITE);
                if self.exchange_entry(from.mm, vpn, now, protected) {
                    entry = protected;
                    break;
                }
            }
        }
        let mut bits = entry.bits() - PteBits::YOUNG;
        if cow {
            bits -= PteBits::WRITE;
        } else {
            bits -= PteBits::DIRTY;
        }
        self.set_entry(to.mm, vpn, entry.with_bits(bits));
        self.inherit_word(from.mm, to.mm, vpn);
    }

    /// `copy_nonpresent_pte()`: what is neither writable nor exclusive is copied as it is, the rest becomes so in both.
    fn copy_nonpresent(&self, from: MmId, to: MmId, vpn: usize, entry: Entry, cow: bool) {
        let shared = entry.with_bits(entry.bits() - PteBits::WRITE - PteBits::EXCLUSIVE);
        match entry {
            Entry::Swap(slot, _) => self.swap_duplicate(slot),
            Entry::Migration(..) => self.event(Event::ForkMigration),
            Entry::DevicePrivate(page, _) => {
                self.get(page);
                self.dup_rmap(page);
                if self.m.shape == ShapeKind::V6_12 {
                    self.clear_flag(page, PageFlags::ANON_EXCLUSIVE);
                }
                self.event(Event::ForkDevicePrivate);
            }
            _ => return,
        }
        if cow && shared != entry {
            self.set_entry(from, vpn, shared);
        }
        self.set_entry(to, vpn, if cow { shared } else { entry });
        self.inherit_word(from, to, vpn);
    }
}
