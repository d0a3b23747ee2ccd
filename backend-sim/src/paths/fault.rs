//! Page faults (`mm/memory.c`).

use crate::bug::Bug;
use crate::config::{AllocKind, MmId};
use crate::cpu::{ready, Cpu, Progress, WaitFor};
use crate::entry::{Entry, Pmd};
use crate::event::Event;
use crate::frame::{Identity, PageFlags};
use crate::mm::{Area, Vma};
use crate::sync::{Atomic32, Plain, Synchronisation};
use crate::violation::Invariant;
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::{Mapping, NotifyEvent, PteBits};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::Pfn;

/// What came of a page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faulted {
    /// Repeat the access.
    Again,
    /// `SIGSEGV`.
    Segv,
    /// `SIGBUS`.
    Sigbus,
    /// `VM_FAULT_OOM`.
    Oom,
}

/// Where a fault is.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'m> {
    pub(crate) vma: Vma,
    pub(crate) area: &'m Area,
    pub(crate) vpn: usize,
    pub(crate) write: bool,
}

impl<'m, S: Synchronisation> Cpu<'m, S> {
    /// `do_user_addr_fault()`: takes and drops `mmap_lock`.
    pub(crate) fn handle_fault(&self, mm: MmId, vpn: usize, write: bool) -> Progress<Faulted> {
        ready!(self.mmap_read(mm));
        let result = self.fault_locked(mm, vpn, write);
        let actor = self.m.actors.get(self.slot());
        // `migration_entry_wait()` keeps it.
        let parked = actor.is_some_and(|actor| actor.parked.get() != 0);
        let tried = actor.is_some_and(|actor| actor.faults.get() > 3);
        let forgotten = tried && self.m.bug(Bug::TriedKeepsMmapLock);
        if !parked && !forgotten {
            self.mmap_read_unlock(mm);
        }
        result
    }

    /// `handle_mm_fault()`: `mmap_lock` is held for reading.
    pub(crate) fn fault_locked(&self, mm: MmId, vpn: usize, write: bool) -> Progress<Faulted> {
        let Some(space) = self.space(mm) else {
            return Progress::Done(Faulted::Segv);
        };
        let Some(index) = space.find(vpn) else {
            return Progress::Done(Faulted::Segv);
        };
        let vma = Vma { mm, index };
        let Some(area) = self.area(vma) else {
            return Progress::Done(Faulted::Segv);
        };
        if write && !area.write() {
            return Progress::Done(Faulted::Segv);
        }
        let spot = Spot {
            vma,
            area,
            vpn,
            write,
        };
        match self.read_pmd(mm, vpn) {
            Pmd::None => match self.alloc_table(mm, vpn) {
                None => return Progress::Done(Faulted::Oom),
                Some(Pmd::Table) => {}
                // `pmd_trans_unstable()`, or `pte_offset_map_lock()` that finds no table: somebody's huge page came first.
                Some(_) => return Progress::Done(Faulted::Again),
            },
            Pmd::Table => {}
            Pmd::Huge(..) | Pmd::HugeZero => {
                // `do_huge_pmd_wp_page()` falls back to splitting.
                if write {
                    self.split_pmd(mm, vpn);
                }
                return Progress::Done(Faulted::Again);
            }
            Pmd::Bad => return Progress::Done(Faulted::Sigbus),
        }
        let entry = self.read_entry(mm, vpn);
        match entry {
            Entry::None if area.file().is_some() => self.file_fault(spot),
            Entry::None => Progress::Done(self.anonymous_fault(spot)),
            Entry::Page(..) | Entry::Zero(_) if write && !entry.write() => {
                self.wp_fault(spot, entry)
            }
            // Somebody was faster, or only the accessed bit was missing.
            Entry::Page(..) | Entry::Zero(_) | Entry::Special(_) => Progress::Done(Faulted::Again),
            Entry::Migration(page, _) => self.migration_wait(spot, page),
            Entry::DevicePrivate(page, _) => self.device_fault(spot, entry, page),
            Entry::Swap(slot, _) => self.swap_fault(spot, entry, slot),
            Entry::Other => Progress::Done(Faulted::Sigbus),
        }
    }

    /// `pte_alloc()`: what stands above then, a table or somebody's huge page; none if there is no memory.
    pub(crate) fn alloc_table(&self, mm: MmId, vpn: usize) -> Option<Pmd> {
        let now = self.read_pmd(mm, vpn);
        if now != Pmd::None {
            return Some(now);
        }
        if self.m.fails(AllocKind::Table) {
            return None;
        }
        let table = self.table(mm, vpn)?;
        self.lock_table(mm, vpn);
        let mut now = self.read_pmd(mm, vpn);
        if now == Pmd::None {
            now = Pmd::Table;
            table.pmd.store(now.pack(), Ordering::Release);
        }
        self.unlock_table(mm, vpn);
        Some(now)
    }

    /// `do_anonymous_page()`.
    fn anonymous_fault(&self, spot: Spot<'m>) -> Faulted {
        let mm = spot.vma.mm;
        if !spot.write {
            self.lock_table(mm, spot.vpn);
            let result = match self.may_fill(spot) {
                Fill::Yes => {
                    self.set_entry(mm, spot.vpn, Entry::Zero(PteBits::empty()));
                    self.event(Event::ZeroPage);
                    Faulted::Again
                }
                Fill::No(result) => result,
            };
            self.unlock_table(mm, spot.vpn);
            return result;
        }
        let Some(page) = self.new_anonymous(spot, None) else {
            return Faulted::Oom;
        };
        self.lock_table(mm, spot.vpn);
        let (result, filled) = match self.may_fill(spot) {
            Fill::Yes => {
                self.add_new_anon(page, spot.vma, spot.vpn);
                self.lru_add(page);
                let bits = PteBits::YOUNG | PteBits::DIRTY | PteBits::WRITE;
                self.set_entry(mm, spot.vpn, Entry::Page(page, bits));
                (Faulted::Again, true)
            }
            Fill::No(result) => (result, false),
        };
        self.unlock_table(mm, spot.vpn);
        if !filled {
            self.put(page);
        }
        result
    }

    /// May the empty entry be filled? Under the PTL.
    fn may_fill(&self, spot: Spot<'m>) -> Fill {
        let mm = spot.vma.mm;
        if self.read_entry(mm, spot.vpn) != Entry::None {
            return Fill::No(Faulted::Again);
        }
        if self
            .space(mm)
            .is_some_and(|space| space.unstable.get() != 0)
        {
            return Fill::No(Faulted::Sigbus);
        }
        if spot.area.userfaultfd() {
            // `handle_userfault()`, with nobody to answer (`UFFD_FEATURE_SIGBUS`).
            return Fill::No(Faulted::Sigbus);
        }
        Fill::Yes
    }

    /// A charged page of zeroes, or with a copy of `from`; one reference, the actor's.
    pub(crate) fn new_anonymous(&self, spot: Spot<'m>, from: Option<Pfn>) -> Option<Pfn> {
        self.new_copy(spot, from).map(|copy| copy.page)
    }

    /// The same, and how it was when it was copied.
    fn new_copy(&self, spot: Spot<'m>, from: Option<Pfn>) -> Option<Copied> {
        self.prepare_anon_vma(spot.vma)?;
        let charged = self.charged_early(spot.vma.mm);
        let page = self.alloc_page()?;
        let (mut expected, mut torn) = (0, false);
        if let Some(frame) = self.frame(page) {
            let word = match from {
                Some(from) if !self.m.bug(Bug::CowWithoutCopy) => self.copied_word(from),
                _ => 0,
            };
            frame.contents.set(word);
            if S::LEDGER {
                let private = |page: &Pfn| {
                    let frame = self.m.frame(self.head(*page));
                    frame.is_some_and(|frame| matches!(frame.identity(), Identity::Anon(_)))
                };
                let written = from.filter(private);
                let of_file = from.is_some() && written.is_none();
                expected = self.expected_copy(spot.vma.mm, spot.vpn, of_file);
                torn = written.is_some_and(|page| self.in_a_tlb(page, true));
            }
        }
        let memcg = self
            .space(spot.vma.mm)
            .map(|space| space.memcg)
            .unwrap_or_default();
        if !self.m.bug(Bug::FaultWithoutCharge) && !self.charge(page, memcg) {
            self.put(page);
            return None;
        }
        if let Some((counter, charged)) = charged {
            counter.set(charged + 1);
        }
        S::fence();
        self.set_flag(page, PageFlags::UPTODATE);
        Some(Copied {
            page,
            expected,
            torn,
        })
    }

    /// The counter that a charge goes to, and what it is before the page is allocated: none but with
    /// [`Bug::ChargeNotAtomic`].
    fn charged_early(&self, mm: MmId) -> Option<(&'m Plain, u32)> {
        if !self.m.bug(Bug::ChargeNotAtomic) {
            return None;
        }
        let memcg = self.space(mm)?.memcg;
        let counter = self.m.memcgs.get(usize::from(memcg.0))?;
        Some((counter, counter.get()))
    }

    /// What `cow_user_page()` reads.
    fn copied_word(&self, from: Pfn) -> u32 {
        let Some(frame) = self.live_frame(from, "a free page is copied") else {
            return 0;
        };
        frame.flags.load(Ordering::Relaxed);
        frame.contents.get()
    }

    // ---- write to a read-only entry ---------------------------------------------------------------

    /// `do_wp_page()`.
    pub(crate) fn wp_fault(&self, spot: Spot<'m>, seen: Entry) -> Progress<Faulted> {
        let mm = spot.vma.mm;
        self.lock_table(mm, spot.vpn);
        if self.read_entry(mm, spot.vpn) != seen {
            self.unlock_table(mm, spot.vpn);
            return Progress::Done(Faulted::Again);
        }
        let old = match seen {
            Entry::Page(page, _) => Some(page),
            _ => None,
        };
        let reuse = match old {
            Some(page) if spot.area.shared() => {
                // `wp_page_shared()`.
                self.set_flag(page, PageFlags::DIRTY);
                true
            }
            Some(page) => self.may_reuse(page),
            None => false,
        };
        if reuse {
            // `wp_page_reuse()`: no flush, a CPU that still has it read-only faults again.
            let bits = seen.bits() | PteBits::YOUNG | PteBits::DIRTY | PteBits::WRITE;
            self.set_same_page(mm, spot.vpn, bits);
            self.event(Event::CowReuse);
            self.unlock_table(mm, spot.vpn);
            return Progress::Done(Faulted::Again);
        }
        if let Some(page) = old {
            self.get(page);
        }
        self.unlock_table(mm, spot.vpn);
        let result = self.wp_copy(spot, seen, old);
        if let Some(page) = old {
            self.put(page);
        }
        Progress::Done(result)
    }

    /// Change the bits of an entry, whatever the hardware has added meanwhile. Under the PTL.
    pub(crate) fn set_same_page(&self, mm: MmId, vpn: usize, bits: PteBits) {
        loop {
            let now = self.read_entry(mm, vpn);
            if self.exchange_entry(mm, vpn, now, now.with_bits(bits)) {
                return;
            }
        }
    }

    /// Is this mapping all that is left of an anonymous page?
    fn may_reuse(&self, page: Pfn) -> bool {
        let head = self.head(page);
        let Some(frame) = self.frame(head) else {
            return false;
        };
        if !matches!(frame.identity(), Identity::Anon(_)) {
            return false;
        }
        if self.m.bug(Bug::ReuseShared) {
            return true;
        }
        let count = || frame.count.load(Ordering::Relaxed);
        match self.m.shape {
            ShapeKind::V5_11 => {
                if count() != 1 || !self.trylock(page) {
                    return false;
                }
                let mine = self.mapcount(page) == 1 && count() == 1;
                self.unlock(page);
                mine
            }
            ShapeKind::V6_12 => {
                if self.test_flag(page, PageFlags::ANON_EXCLUSIVE) {
                    return true;
                }
                if count() > 3 {
                    return false;
                }
                if !self.test_flag(head, PageFlags::LRU) {
                    self.lru_drain();
                }
                let cached = self.cached_as(head) == Mapping::SwapCache;
                if count() > 1 + u32::from(cached) || !self.trylock(page) {
                    return false;
                }
                if cached {
                    self.try_to_free_swap(head);
                }
                let mine = count() == 1;
                if mine {
                    self.set_flag(page, PageFlags::ANON_EXCLUSIVE);
                }
                self.unlock(page);
                mine
            }
        }
    }

    /// `wp_page_copy()`: the actor has a reference on `old`.
    fn wp_copy(&self, spot: Spot<'m>, seen: Entry, old: Option<Pfn>) -> Faulted {
        let mm = spot.vma.mm;
        // Nobody gets a reference to write through while the entry is read-only.
        let held = old.is_some_and(|old| {
            let book = self.read_book(self.head(old));
            book.gup > 0 || book.gup_pins > 0
        });
        let Some(copy) = self.new_copy(spot, old) else {
            return Faulted::Oom;
        };
        let new = copy.page;
        self.invalidate_start(mm, spot.vpn, spot.vpn + 1, NotifyEvent::Clear, None);
        self.lock_table(mm, spot.vpn);
        let same = self.read_entry(mm, spot.vpn) == seen;
        if same {
            self.clear_entry(mm, spot.vpn);
            self.flush_tlb_page(mm, spot.vpn);
            self.add_new_anon(new, spot.vma, spot.vpn);
            self.lru_add(new);
            if let Some(old) = old.filter(|_| copy.torn) {
                self.say_torn(old);
            }
            // Before another CPU can write to the copy.
            if held || spot.area.file().is_some() {
                self.note_copied(mm, spot.vpn, copy.expected);
            }
            let bits = PteBits::YOUNG | PteBits::DIRTY | PteBits::WRITE;
            self.set_entry(mm, spot.vpn, Entry::Page(new, bits));
            if let Some(old) = old {
                self.drop_rmap(old);
            }
            self.event(Event::CowCopy);
        }
        self.unlock_table(mm, spot.vpn);
        self.invalidate_end(mm, spot.vpn, spot.vpn + 1, NotifyEvent::Clear, None);
        // The entry's reference on the old page, or ours on the new one.
        match (same, old) {
            (true, Some(old)) => {
                self.put(old);
                if self.m.bug(Bug::CopyPutsTwice) {
                    self.put(old);
                }
                if self.m.shape == ShapeKind::V6_12 {
                    self.free_swap_cache_of(old);
                }
            }
            (true, None) => {}
            (false, _) => self.put(new),
        }
        Faulted::Again
    }

    // ---- special entries --------------------------------------------------------------------------

    /// `migration_entry_wait()`.
    fn migration_wait(&self, spot: Spot<'m>, page: Pfn) -> Progress<Faulted> {
        let mm = spot.vma.mm;
        self.lock_table(mm, spot.vpn);
        let still =
            matches!(self.read_entry(mm, spot.vpn), Entry::Migration(now, _) if now == page);
        if !still {
            self.unlock_table(mm, spot.vpn);
            return Progress::Done(Faulted::Again);
        }
        self.event(Event::MigrationWait);
        let head = self.head(page);
        if self.m.bug(Bug::WaitUnderPtl) {
            if let Some(frame) = self.frame(head).filter(|frame| !frame.lock.wait()) {
                let what = "a page's lock is never released";
                self.disagree(Invariant::Live, Some(head), what, frame.lock.account());
            }
        }
        if self.m.shape == ShapeKind::V5_11 {
            // `put_and_wait_on_page_locked()`: the reference is there for a moment only, but it is there, and a
            // migration that looks at the count meanwhile sees it. A part of a huge page that is being split has no
            // count of its own yet: nobody waits for it there, the access faults again.
            let got = head == page && self.get_unless_zero(page);
            self.unlock_table(mm, spot.vpn);
            if !got {
                return self.blocked(WaitFor::Others);
            }
            let locked = self.frame(page).is_some_and(|frame| frame.lock.is_locked());
            self.put(page);
            if !locked {
                return Progress::Done(Faulted::Again);
            }
        } else {
            // `migration_entry_wait_on_locked()`: no reference, and the lock is the folio's.
            let locked = self.frame(head).is_some_and(|frame| frame.lock.is_locked());
            self.unlock_table(mm, spot.vpn);
            if !locked {
                return Progress::Done(Faulted::Again);
            }
        }
        self.park(mm, head)
    }

    /// `do_swap_page()`, device-private: the driver's `migrate_to_ram`.
    fn device_fault(&self, spot: Spot<'m>, seen: Entry, page: Pfn) -> Progress<Faulted> {
        let mm = spot.vma.mm;
        let modern = self.m.shape == ShapeKind::V6_12;
        if modern {
            self.lock_table(mm, spot.vpn);
            let same = self.read_entry(mm, spot.vpn) == seen;
            if same {
                self.get(page);
            }
            self.unlock_table(mm, spot.vpn);
            if !same {
                return Progress::Done(Faulted::Again);
            }
        }
        // 5.11 hands the page over without lock or reference.
        let result = self.driver_fault(spot.vma, spot.vpn, page);
        if modern {
            self.put(page);
        }
        result
    }
}

/// A copy, and how things stood when it was made. Whoever finds the entry changed since throws it away.
struct Copied {
    page: Pfn,
    /// What a read of the place had to see.
    expected: u32,
    /// A CPU could write what was copied.
    torn: bool,
}

/// May an entry be filled?
enum Fill {
    Yes,
    No(Faulted),
}
