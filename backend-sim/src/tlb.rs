//! The TLB of a CPU: translations that stay until they are flushed, whatever becomes of the page table.
//!
//! An instruction looks up, walks and accesses memory in one piece as far as a shootdown is concerned: the flush
//! returns when no CPU is in the middle of an instruction that uses the old translation. That is what
//! [`LockName::Shootdown`] stands for. Nothing else is in one piece: between two instructions of a CPU anything may
//! happen, and the entry stays.

use crate::bug::Bug;
use crate::config::MmId;
use crate::cpu::Cpu;
use crate::entry::Entry;
use crate::event::Event;
use crate::lock::{Lock, LockName};
use crate::restore::restore;
use crate::sync::{Store, Synchronisation};
use migrate_pin_core::Pfn;

/// One translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Translation {
    pub(crate) mm: MmId,
    pub(crate) vpn: u16,
    /// What the entry was when it was loaded: always a present one.
    pub(crate) entry: Entry,
}

/// How many translations a CPU keeps.
const SIZE: usize = 16;

/// One CPU's.
pub(crate) struct Tlb<S: Synchronisation> {
    /// Held for one instruction, and by a flush.
    pub(crate) lock: Lock<S>,
    entries: spin::Mutex<S::Array<Translation, SIZE>>,
}
restore!(Tlb: parts lock; lists entries; same);

impl<S: Synchronisation> Tlb<S> {
    pub(crate) fn new() -> Self {
        Self {
            lock: Lock::new(LockName::Shootdown),
            entries: spin::Mutex::default(),
        }
    }

    pub(crate) fn lookup(&self, mm: MmId, vpn: usize) -> Option<Entry> {
        let entries = self.entries.lock();
        let found = entries
            .iter()
            .find(|t| t.mm == mm && usize::from(t.vpn) == vpn);
        found.map(|translation| translation.entry)
    }

    /// Every translation there is, for whoever looks at all of them when nobody runs.
    pub(crate) fn each(&self, mut look: impl FnMut(MmId, usize, Entry)) {
        for translation in self.entries.lock().iter() {
            look(translation.mm, translation.vpn.into(), translation.entry);
        }
    }

    pub(crate) fn insert(&self, mm: MmId, vpn: usize, entry: Entry) {
        let mut entries = self.entries.lock();
        entries.retain(|t| t.mm != mm || usize::from(t.vpn) != vpn);
        if entries.is_full() {
            entries.remove(0);
        }
        let _ = entries.push(Translation {
            mm,
            vpn: vpn as u16,
            entry,
        });
    }

    /// Forget one page, as the hardware does before it raises a page fault.
    pub(crate) fn drop_one(&self, mm: MmId, vpn: usize) {
        self.drop_range(mm, vpn, vpn + 1);
    }

    fn drop_range(&self, mm: MmId, first: usize, until: usize) {
        self.entries
            .lock()
            .retain(|t| t.mm != mm || !(first..until).contains(&usize::from(t.vpn)));
    }

    fn drop_all(&self) {
        self.entries.lock().clear();
    }

    /// Is there nothing at all? Invisible.
    fn is_empty(&self) -> bool {
        self.entries.lock().is_empty()
    }

    /// Is there anything of these pages? Invisible.
    fn holds(&self, mm: MmId, first: usize, until: usize) -> bool {
        self.entries
            .lock()
            .iter()
            .any(|t| t.mm == mm && (first..until).contains(&usize::from(t.vpn)))
    }

    /// Does any translation lead to `page`? Invisible, for checks.
    pub(crate) fn reaches(&self, page: Pfn, write: bool) -> bool {
        self.entries.lock().iter().any(|t| match t.entry {
            Entry::Page(mapped, _) => mapped == page && (!write || t.entry.write()),
            _ => false,
        })
    }
}

impl<S: Synchronisation> Cpu<'_, S> {
    /// `flush_tlb_range()`, `flush_tlb_page()`: every CPU that runs the address space forgets the pages, and no
    /// instruction that uses them is under way any more.
    pub(crate) fn flush_tlb(&self, mm: MmId, first: usize, until: usize) {
        let Some(space) = self.m.mms.get(usize::from(mm.0)) else {
            return;
        };
        for (index, cpu) in self.m.cpus.iter().enumerate() {
            if space.cpumask >> index & 1 == 0 {
                continue;
            }
            // A CPU that has nothing to forget, and is in no instruction, makes no difference but to memory orderings.
            if !S::WEAK_MEMORY && cpu.tlb.lock.owner().is_none() && !cpu.tlb.holds(mm, first, until)
            {
                continue;
            }
            S::flushes();
            cpu.tlb.lock.lock(self);
            cpu.tlb.drop_range(mm, first, until);
            cpu.tlb.lock.unlock(self);
        }
    }

    /// `flush_tlb_all()`: the same of all address spaces, on every CPU.
    pub(crate) fn flush_every_tlb(&self) {
        for cpu in self.m.cpus.iter() {
            if !S::WEAK_MEMORY && cpu.tlb.lock.owner().is_none() && cpu.tlb.is_empty() {
                continue;
            }
            S::flushes();
            cpu.tlb.lock.lock(self);
            if !cpu.tlb.is_empty() {
                self.event(Event::TlbFlushAll);
            }
            cpu.tlb.drop_all();
            cpu.tlb.lock.unlock(self);
        }
    }

    /// The flush of `ptep_clear_flush()`.
    pub(crate) fn flush_tlb_page(&self, mm: MmId, vpn: usize) {
        if !self.m.bug(Bug::UnmapWithoutFlush) {
            self.flush_tlb(mm, vpn, vpn + 1);
        }
    }

    /// Does any TLB reach `page`?
    pub(crate) fn in_a_tlb(&self, page: Pfn, write: bool) -> bool {
        self.m.cpus.iter().any(|cpu| cpu.tlb.reaches(page, write))
    }
}
