//! `mprotect()` (`mm/mprotect.c`).

use crate::bug::Bug;
use crate::config::{MmId, TABLE_PAGES};
use crate::cpu::{ready, vpn_of, Cpu, Progress};
use crate::entry::{Entry, Pmd};
use crate::paths::zap::MapError;
use crate::sync::Synchronisation;
use migrate_pin_core::ops::{NotifyEvent, PteBits, Range};

impl<S: Synchronisation> Cpu<'_, S> {
    /// `mprotect()` of this actor's address space: readable, and writable or not.
    pub fn mprotect(&self, range: Range, write: bool) -> Progress<Result<(), MapError>> {
        let Some(mm) = self.mm() else {
            return Progress::Done(Err(MapError::Invalid));
        };
        self.unpark();
        self.at("mprotect");
        let (first, until) = (vpn_of(range.start), vpn_of(range.end));
        ready!(self.mmap_write(mm));
        let result = self.split_areas(mm, first, until);
        if result.is_ok() {
            if let Some(space) = self.space(mm) {
                for area in &space.areas {
                    let (start, end) = (area.start.get() as usize, area.end.get() as usize);
                    if area.used() && start >= first && end <= until {
                        area.set_write(write);
                        self.change_protection(mm, start, end, write);
                    }
                }
            }
        }
        self.mmap_write_unlock(mm);
        Progress::Done(result)
    }

    /// `change_protection()`.
    fn change_protection(&self, mm: MmId, first: usize, until: usize, write: bool) {
        self.invalidate_start(mm, first, until, NotifyEvent::ProtectionVma, None);
        let mut vpn = first;
        while vpn < until {
            let end = (Self::table_start(vpn) + TABLE_PAGES).min(until);
            match self.read_pmd(mm, vpn) {
                Pmd::Table => self.change_table(mm, vpn, end, write),
                Pmd::Huge(..) | Pmd::HugeZero => {
                    // The kernel changes the huge entry where it can; splitting it does the same to the pages.
                    self.split_pmd(mm, vpn);
                    continue;
                }
                Pmd::None | Pmd::Bad => {}
            }
            vpn = end;
        }
        // The section is `change_pmd_range()`'s, the flush its caller's.
        self.invalidate_end(mm, first, until, NotifyEvent::ProtectionVma, None);
        self.flush_tlb(mm, first, until);
    }

    /// `change_pte_range()`. Write permission is never given here: the next write faults and gets it.
    fn change_table(&self, mm: MmId, first: usize, end: usize, write: bool) {
        self.lock_table(mm, first);
        for vpn in first..end {
            match self.read_entry(mm, vpn) {
                Entry::Page(..) | Entry::Zero(_) => {
                    // `ptep_modify_prot_start()`, `ptep_modify_prot_commit()`: nothing that the hardware sets in between
                    // is lost, since there is no entry in between.
                    let old = self.clear_entry(mm, vpn);
                    let mut bits = old.bits();
                    if !write {
                        bits -= PteBits::WRITE;
                    }
                    self.set_entry(mm, vpn, old.with_bits(bits));
                }
                // "A protection check is difficult, so just be safe and disable write."
                entry @ (Entry::Migration(..) | Entry::DevicePrivate(..)) if entry.write() => {
                    let bits = entry.bits() - PteBits::WRITE;
                    let old = self.clear_entry(mm, vpn);
                    self.set_entry(mm, vpn, old.with_bits(bits));
                }
                _ => {}
            }
        }
        if !self.m.bug(Bug::MprotectKeepsPtl) {
            self.unlock_table(mm, first);
        }
    }
}
