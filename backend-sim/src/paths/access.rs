//! A CPU reads and writes memory: TLB, page-table walk by the hardware, page fault.

use crate::config::MmId;
use crate::cpu::{ready, vpn_of, Cpu, Progress, WaitFor};
use crate::entry::{Entry, Pmd};
use crate::event::Event;
use crate::paths::fault::Faulted;
use crate::sync::{full, Atomic32, Synchronisation};
use crate::violation::Invariant;
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::PteBits;
use migrate_pin_core::Pfn;

/// What an instruction does with one word of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CpuOp {
    /// Read it.
    Load,
    /// Write it.
    Store(u32),
    /// Add to it, atomically; the result is what was there before.
    Add(u32),
}

impl CpuOp {
    pub(crate) const fn writes(self) -> bool {
        !matches!(self, Self::Load)
    }
}

/// Why an access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessError {
    /// `SIGSEGV`: no area there, or not writable.
    Segv,
    /// `SIGBUS`: the driver could not give the page back, or nobody answers a userfault.
    Sigbus,
    /// Out of memory.
    Oom,
    /// It faulted again and again; LIVE is broken.
    Livelock,
}

/// Faults of one access, without anything having changed, after which it is said to retry for ever.
pub const MAX_FAULTS: u32 = 24;

impl<S: Synchronisation> Cpu<'_, S> {
    /// Read a word of this actor's address space.
    pub fn read(&self, addr: usize) -> Progress<Result<u32, AccessError>> {
        self.access(addr, CpuOp::Load)
    }

    /// Write a word of this actor's address space.
    pub fn write(&self, addr: usize, value: u32) -> Progress<Result<u32, AccessError>> {
        self.access(addr, CpuOp::Store(value))
    }

    /// One instruction of this actor's process; the result is the word before.
    pub fn access(&self, addr: usize, op: CpuOp) -> Progress<Result<u32, AccessError>> {
        self.unpark();
        match self.mm() {
            Some(mm) => self.access_in(mm, addr, op),
            None => Progress::Done(Err(AccessError::Segv)),
        }
    }

    /// The same in another address space than the actor's own.
    pub(crate) fn access_in(
        &self,
        mm: MmId,
        addr: usize,
        op: CpuOp,
    ) -> Progress<Result<u32, AccessError>> {
        self.unpark();
        let Some(actor) = self.m.actors.get(self.slot()) else {
            return Progress::Done(Err(AccessError::Segv));
        };
        // Nobody runs in an address space that is not there yet, or any more.
        if self.space(mm).is_none_or(|space| space.alive.get() == 0) {
            self.event(Event::Segv);
            return Progress::Done(Err(AccessError::Segv));
        }
        let vpn = vpn_of(addr);
        loop {
            self.at("cpu access");
            if let Some(word) = self.instruction(mm, vpn, op) {
                actor.faults.set(0);
                return Progress::Done(Ok(word));
            }
            if actor.faults.add(1) > 0 {
                self.event(Event::FaultRetried);
            }
            if actor.faults.get() > MAX_FAULTS {
                actor.faults.set(0);
                self.violate(
                    Invariant::Live,
                    self.m.page_at(mm, vpn),
                    "an access faults for ever",
                );
                return Progress::Done(Err(AccessError::Livelock));
            }
            self.at("page fault");
            self.event(Event::Fault);
            let error = match ready!(self.handle_fault(mm, vpn, op.writes())) {
                Faulted::Again => continue,
                Faulted::Segv => {
                    self.event(Event::Segv);
                    AccessError::Segv
                }
                Faulted::Sigbus => {
                    self.event(Event::Sigbus);
                    AccessError::Sigbus
                }
                Faulted::Oom => AccessError::Oom,
            };
            actor.faults.set(0);
            return Progress::Done(Err(error));
        }
    }

    /// Let go of the `mmap_lock` that a fault kept while it waited for a page.
    pub(crate) fn unpark(&self) {
        if let Some(actor) = self.m.actors.get(self.slot()) {
            if let Some(mm) = actor.parked.get().checked_sub(1) {
                actor.parked.set(0);
                self.mmap_read_unlock(MmId(mm as u8));
            }
        }
    }

    /// Wait for a page with `mmap_lock` kept.
    pub(crate) fn park<T>(&self, mm: MmId, page: Pfn) -> Progress<T> {
        if let Some(actor) = self.m.actors.get(self.slot()) {
            actor.parked.set(u32::from(mm.0) + 1);
        }
        self.blocked(WaitFor::PageLock(page))
    }

    /// One instruction as far as a TLB shootdown is concerned; none if it faults.
    fn instruction(&self, mm: MmId, vpn: usize, op: CpuOp) -> Option<u32> {
        let cpu = self.this_cpu()?;
        cpu.tlb.lock.lock(self);
        let result = self
            .translate(mm, vpn, op.writes())
            .map(|entry| self.touch_memory(mm, vpn, entry, op));
        if result.is_none() {
            cpu.tlb.drop_one(mm, vpn);
        }
        cpu.tlb.lock.unlock(self);
        result
    }

    /// From the TLB if it will do, else from the page table.
    fn translate(&self, mm: MmId, vpn: usize, write: bool) -> Option<Entry> {
        let cpu = self.this_cpu()?;
        if let Some(entry) = cpu.tlb.lookup(mm, vpn) {
            let dirty = entry.bits().contains(PteBits::DIRTY);
            if !write || (entry.write() && dirty) {
                if self.is_stale(mm, vpn, entry) {
                    self.event(Event::StaleTlbHit);
                }
                return Some(entry);
            }
        }
        let entry = self.walk(mm, vpn, write)?;
        cpu.tlb.insert(mm, vpn, entry);
        Some(entry)
    }

    /// Has the page table moved on?
    fn is_stale(&self, mm: MmId, vpn: usize, cached: Entry) -> bool {
        if !S::LEDGER {
            return false;
        }
        let now = self.m.ledger.lock().shadow(mm, vpn);
        is_elsewhere(cached, now) || !matches!(cached, Entry::Zero(_)) && !now.present()
    }

    /// The hardware walks the page table, without any lock, and sets accessed and dirty bits as it goes.
    fn walk(&self, mm: MmId, vpn: usize, write: bool) -> Option<Entry> {
        loop {
            let (old, huge) = match self.read_pmd(mm, vpn) {
                Pmd::Table => (self.read_entry(mm, vpn), false),
                Pmd::Huge(head, bits) => (
                    Entry::Page(Pfn(head.0 + vpn - Self::table_start(vpn)), bits),
                    true,
                ),
                Pmd::HugeZero => (Entry::Zero(PteBits::empty()), true),
                Pmd::None | Pmd::Bad => return None,
            };
            if !old.present() || (write && !old.write()) {
                return None;
            }
            let mut bits = old.bits() | PteBits::YOUNG;
            if write {
                bits |= PteBits::DIRTY;
            }
            let new = old.with_bits(bits);
            if new == old || matches!((old, huge), (Entry::Zero(_), true)) {
                return Some(new);
            }
            let done = if huge {
                self.exchange_pmd(mm, vpn, old.bits(), bits)
            } else {
                self.exchange_entry(mm, vpn, old, new)
            };
            if done {
                if write && !old.bits().contains(PteBits::DIRTY) {
                    self.event(Event::HardwareDirty);
                }
                return Some(new);
            }
        }
    }

    fn exchange_pmd(&self, mm: MmId, vpn: usize, old: PteBits, new: PteBits) -> bool {
        let (Some(table), Pmd::Huge(head, _)) = (self.table(mm, vpn), self.read_pmd(mm, vpn))
        else {
            return false;
        };
        full::<S, _>(|| {
            table.pmd.compare_exchange(
                Pmd::Huge(head, old).pack(),
                Pmd::Huge(head, new).pack(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
        })
        .is_ok()
    }

    /// The access itself.
    fn touch_memory(&self, mm: MmId, vpn: usize, entry: Entry, op: CpuOp) -> u32 {
        let page = match entry {
            Entry::Page(page, _) => page,
            // The zero page is never writable; other memory is not the machine's.
            _ => {
                if matches!(entry, Entry::Zero(_)) {
                    self.check_touch(mm, vpn, entry, None, 0);
                }
                return 0;
            }
        };
        let Some(frame) = self.live_frame(page, "a CPU uses a free page") else {
            return 0;
        };
        if S::LEDGER && self.read_book(page).device_maps > 0 {
            self.violate(
                Invariant::Excl,
                Some(page),
                "a CPU uses a page that a device has atomic access to",
            );
        }
        let old = frame.contents.get();
        self.check_touch(mm, vpn, entry, Some(page), old);
        let new = match op {
            CpuOp::Load => return old,
            CpuOp::Store(value) => value,
            CpuOp::Add(value) => old.wrapping_add(value),
        };
        if self.raced(mm, vpn, entry) {
            // Lost with the page that is being zapped: it was written through a TLB entry that is about to be flushed. But a page of a
            // file stays.
            frame.contents.set(new);
            self.note_file_write(page, new);
            return old;
        }
        self.check_write(page, true);
        frame.contents.set(new);
        self.note_write(mm, vpn, new);
        old
    }

    /// DATA, unless the access goes to a page that is just being zapped.
    fn check_touch(&self, mm: MmId, vpn: usize, entry: Entry, page: Option<Pfn>, value: u32) {
        if !self.raced(mm, vpn, entry) {
            self.check_read(mm, vpn, page, value);
        }
    }

    /// Is the page being zapped, and the translation one that is about to be flushed? One of the page that came after it is not, though
    /// whoever moves that page on has cleared its entry, or made it a migration entry: he will flush, and take what was written.
    fn raced(&self, mm: MmId, vpn: usize, entry: Entry) -> bool {
        if !S::LEDGER {
            return false;
        }
        let books = self.m.ledger.lock();
        let mut windows = books.windows.iter();
        windows.any(|(zapped, first, until, _)| *zapped == mm && (*first..*until).contains(&vpn))
            && is_elsewhere(entry, books.standing(mm, vpn))
    }
}

/// Does a translation lead to another page than the one that stands in its place?
fn is_elsewhere(cached: Entry, stands: Entry) -> bool {
    match cached {
        // A huge zero page is not in the ledger, and reads as an empty entry does.
        Entry::Zero(_) => !matches!(stands, Entry::Zero(_) | Entry::None),
        _ => stands.named() != cached.named(),
    }
}
