//! Huge pages that a fault brings (`do_huge_pmd_anonymous_page()`).

use crate::config::{MmId, VmaKind, TABLE_PAGES};
use crate::cpu::{ready, Cpu, Progress};
use crate::entry::{Entry, Pmd};
use crate::event::Event;
use crate::mm::Vma;
use crate::sync::{Atomic32, Synchronisation};
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::PteBits;
use migrate_pin_core::Pfn;

impl<S: Synchronisation> Cpu<'_, S> {
    /// A fault for writing where no page table is brings a huge page of zeroes. False if it brings none, because there is no room for
    /// one in the area, or a table by now: the kernel falls back to a small page then, which the access that follows brings here.
    pub(crate) fn huge_fault(&self, mm: MmId, vpn: usize) -> Progress<bool> {
        self.unpark();
        ready!(self.mmap_read(mm));
        let filled = self.fill_huge(mm, Self::table_start(vpn)).is_some();
        self.mmap_read_unlock(mm);
        Progress::Done(filled)
    }

    fn fill_huge(&self, mm: MmId, first: usize) -> Option<()> {
        let space = self.space(mm).filter(|space| space.alive.get() != 0)?;
        let (index, table) = (space.find(first)?, self.table(mm, first)?);
        let vma = Vma { mm, index };
        let area = self.area(vma)?;
        // `thp_vma_suitable_order()`.
        let fits = area.kind() == VmaKind::Anonymous
            && area.write()
            && (first..first + TABLE_PAGES).all(|vpn| area.covers(vpn));
        if !fits || self.read_pmd(mm, first) != Pmd::None {
            return None;
        }
        let head = self.anonymous_compound(vma, first, [0; TABLE_PAGES])?;
        let bits = PteBits::YOUNG | PteBits::DIRTY | PteBits::WRITE;
        self.lock_table(mm, first);
        // `check_stable_address_space()`, and `userfaultfd_missing()` with nobody to answer.
        let fill = self.read_pmd(mm, first) == Pmd::None
            && space.unstable.get() == 0
            && !area.userfaultfd();
        if fill {
            self.add_rmap(head);
            self.lru_add(head);
            let pmd = Pmd::Huge(head, bits).pack();
            table.pmd.store(pmd, Ordering::Release);
            self.mapped(head, true);
            for index in 0..TABLE_PAGES {
                let part = Entry::Page(Pfn(head.0 + index), bits);
                self.m.ledger.lock().set_shadow(mm, first + index, part);
            }
            self.event(Event::HugeFault);
        }
        self.unlock_table(mm, first);
        if !fill {
            self.put(head);
            return None;
        }
        Some(())
    }
}
