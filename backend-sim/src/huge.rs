//! Huge pages: splitting the entry, splitting the page (`mm/huge_memory.c`).
//!
//! A huge page has as many parts as a page-table page has entries. References are counted on the head, the mappings
//! of the whole on the head's map count, mappings of a part on the part's.

use crate::config::{MmId, TABLE_PAGES};
use crate::cpu::Cpu;
use crate::entry::{Entry, Pmd};
use crate::event::Event;
use crate::frame::{Identity, PageFlags};
use crate::rmap::Unmap;
use crate::sync::{full, Atomic32, Synchronisation};
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::{NotifyEvent, PteBits};
use migrate_pin_core::Pfn;

impl<S: Synchronisation> Cpu<'_, S> {
    /// `READ_ONCE(*pmd)`.
    pub(crate) fn read_pmd(&self, mm: MmId, vpn: usize) -> Pmd {
        self.table(mm, vpn).map_or(Pmd::None, |table| {
            Pmd::unpack(table.pmd.load(Ordering::Acquire))
        })
    }

    /// The first page of the page-table page that holds `vpn`.
    pub(crate) const fn table_start(vpn: usize) -> usize {
        vpn - vpn % TABLE_PAGES
    }

    /// `split_huge_pmd()`: no effect if it is none.
    pub(crate) fn split_pmd(&self, mm: MmId, vpn: usize) {
        if !matches!(self.read_pmd(mm, vpn), Pmd::Huge(..) | Pmd::HugeZero) {
            return;
        }
        let first = Self::table_start(vpn);
        self.invalidate_start(mm, first, first + TABLE_PAGES, NotifyEvent::Clear, None);
        self.lock_table(mm, first);
        self.split_pmd_locked(mm, first);
        self.unlock_table(mm, first);
        self.invalidate_end(mm, first, first + TABLE_PAGES, NotifyEvent::Clear, None);
    }

    /// `__split_huge_pmd_locked()`: under the PTL.
    pub(crate) fn split_pmd_locked(&self, mm: MmId, first: usize) {
        let Some(table) = self.table(mm, first) else {
            return;
        };
        match self.read_pmd(mm, first) {
            Pmd::HugeZero => {
                for vpn in first..first + TABLE_PAGES {
                    self.set_entry(mm, vpn, Entry::Zero(PteBits::empty()));
                }
            }
            Pmd::Huge(head, _) => {
                // `pmdp_invalidate()`: with the bits that the hardware has set meanwhile, and flushed.
                let was = full::<S, _>(|| table.pmd.swap(Pmd::Bad.pack(), Ordering::AcqRel));
                let bits = match Pmd::unpack(was) {
                    Pmd::Huge(_, bits) => bits,
                    _ => PteBits::empty(),
                };
                self.flush_tlb(mm, first, first + TABLE_PAGES);
                if bits.contains(PteBits::DIRTY) {
                    self.set_flag(head, PageFlags::DIRTY);
                }
                // `page_ref_add(page, HPAGE_PMD_NR - 1)`: the whole had one reference, each part has one.
                for _ in 1..TABLE_PAGES {
                    self.get(head);
                }
                self.unmapped_whole(head);
                for index in 0..TABLE_PAGES {
                    let part = Pfn(head.0 + index);
                    self.set_entry(mm, first + index, Entry::Page(part, bits));
                    self.add_rmap(part);
                }
                self.drop_rmap(head);
            }
            Pmd::None | Pmd::Table | Pmd::Bad => return,
        }
        table.pmd.store(Pmd::Table.pack(), Ordering::Release);
        self.event(Event::HugePmdSplit);
    }

    /// The entry of a whole huge page is gone; its reference is the actor's.
    pub(crate) fn unmapped_whole(&self, head: Pfn) {
        self.unmapped(head, true);
        self.touch(head);
    }

    /// `split_huge_page()`: the caller has the page locked, and one reference.
    pub(crate) fn split_page(&self, page: Pfn) -> bool {
        let head = self.head(page);
        let Some(frame) = self.frame(head) else {
            return false;
        };
        if !self.test_flag(head, PageFlags::HEAD) {
            return false;
        }
        let Identity::Anon(id) = frame.identity() else {
            self.event(Event::HugeSplitFailed);
            return false;
        };
        // `can_split_huge_page()`: a racy look, before anything is unmapped.
        let mapped: u32 = (0..TABLE_PAGES)
            .filter_map(|index| self.frame(Pfn(head.0 + index)))
            .map(|part| part.mapcount.load(Ordering::Relaxed))
            .sum();
        if frame.count.load(Ordering::Relaxed) != mapped + 1 {
            self.event(Event::HugeSplitFailed);
            return false;
        }
        // `unmap_page()`: first the entries of the whole become entries of the parts, then migration entries.
        for index in 0..TABLE_PAGES {
            self.unmap_everywhere(Pfn(head.0 + index), Unmap::Migrate);
        }
        let unmapped = (0..TABLE_PAGES).all(|index| self.mapcount(Pfn(head.0 + index)) == 0);
        // The caller's reference is all that may be left.
        let frozen = unmapped && self.freeze(head, &frame.count, 1);
        if frozen {
            self.make_small(head, id);
            self.event(Event::HugePageSplit);
        } else {
            self.event(Event::HugeSplitFailed);
        }
        // `remap_page()`.
        for index in 0..TABLE_PAGES {
            let part = Pfn(head.0 + index);
            self.restore_everywhere(part, part);
        }
        if frozen {
            // The parts but the caller's are unlocked, and lose the reference that kept them.
            for index in 1..TABLE_PAGES {
                let part = Pfn(head.0 + index);
                self.unlock(part);
                self.put(part);
            }
        }
        frozen
    }

    /// `__split_huge_page_tail()` for each part, with the head frozen.
    fn make_small(&self, head: Pfn, anon_vma: u8) {
        let Some(frame) = self.frame(head) else {
            return;
        };
        let flags = frame.all_flags();
        let copied = flags
            & (PageFlags::DIRTY
                | PageFlags::UPTODATE
                | PageFlags::SWAPBACKED
                | PageFlags::ACTIVE
                | PageFlags::REFERENCED);
        let whole = self.read_book(head);
        self.m.lru_lock.lock(self);
        for index in 1..TABLE_PAGES {
            let part = Pfn(head.0 + index);
            let Some(tail) = self.frame(part) else {
                continue;
            };
            tail.set_identity(Identity::Anon(anon_vma));
            tail.index.set(frame.index.get() + index as u32);
            tail.reset_flags(copied);
            // A part is locked before anybody can get a reference on it: its flags are the head's, `PG_locked` with them.
            if !tail.lock.try_lock(self) {
                self.violate(
                    crate::violation::Invariant::Lock,
                    Some(part),
                    "a part of a huge page is locked",
                );
            }
            // `clear_compound_head()`, `page_ref_unfreeze()`.
            tail.head.set(0);
            tail.count.store(1, Ordering::Release);
            let slot = self.slot();
            self.book(part, |book| {
                book.alive = true;
                book.held[slot] = 1;
            });
            self.split_charge(head, part);
            // `lru_add_page_tail()`: onto the list if the head is on it.
            if whole.listed > 0 {
                self.set_flag(part, PageFlags::LRU);
                self.lru_insert(part);
            }
        }
        self.m.lru_lock.unlock(self);
        frame.head.set(0);
        self.clear_flag(head, PageFlags::HEAD);
        frame.count.store(1, Ordering::Release);
        self.book(head, |book| book.frozen_by = 0);
    }

    /// `split_page_memcg()`: each part is charged to whom the whole was.
    fn split_charge(&self, head: Pfn, part: Pfn) {
        let (Some(from), Some(to)) = (self.frame(head), self.frame(part)) else {
            return;
        };
        let memcg = from.memcg.get();
        if memcg == 0 || to.memcg.get() != 0 {
            return;
        }
        to.memcg.set(memcg);
        if let Some(counter) = self.m.memcgs.get(memcg as usize - 1) {
            counter.add(1);
        }
        self.book(part, |book| book.charges += 1);
    }
}
