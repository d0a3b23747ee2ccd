//! [`Cpu`]: the handle by which an actor does things to the machine, and what all paths share.
//!
//! It is a copyable pair of a machine and an actor. The pipeline's primitives are in [`ops`](crate::ops), what
//! processes and the kernel do in [`paths`](crate::paths).

use crate::config::{ActorId, MmId, TABLE_PAGES};
use crate::entry::Entry;
use crate::event::Event;
use crate::frame::{Frame, PageFlags};
use crate::machine::{Machine, PerCpu};
use crate::mm::{AddressSpace, Area, Table, Vma};
use crate::sync::{full, Atomic32, Synchronisation};
use crate::violation::Invariant;
use core::sync::atomic::Ordering;
use migrate_pin_core::{Pfn, PAGE_SHIFT};

/// A handle: this machine, this actor on its CPU.
pub struct Cpu<'m, S: Synchronisation> {
    pub(crate) m: &'m Machine<S>,
    pub(crate) actor: ActorId,
    pub(crate) cpu: u8,
}

impl<S: Synchronisation> Clone for Cpu<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S: Synchronisation> Copy for Cpu<'_, S> {}

/// What an operation waits for before it can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitFor {
    /// The lock of a page.
    PageLock(Pfn),
    /// `mmap_lock` for reading.
    MmapRead(MmId),
    /// `mmap_lock` for writing.
    MmapWrite(MmId),
    /// Nothing in particular: the driver asked for the access to be repeated once others have run.
    Others,
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a blocked operation has to be repeated"]
pub enum Progress<T> {
    /// It is done.
    Done(T),
    /// It did nothing yet, or nothing that a repetition would not find. Repeat it when what it waits for may have
    /// changed.
    Blocked(WaitFor),
}

impl<T> Progress<T> {
    /// The result, if it is done.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(result) => Some(result),
            Self::Blocked(_) => None,
        }
    }

    /// The same with another result.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Progress<U> {
        match self {
            Self::Done(result) => Progress::Done(change(result)),
            Self::Blocked(wait) => Progress::Blocked(wait),
        }
    }
}

/// Leave the function with [`Progress::Blocked`], or go on with the result.
macro_rules! ready {
    ($progress:expr) => {
        match $progress {
            $crate::cpu::Progress::Done(result) => result,
            $crate::cpu::Progress::Blocked(wait) => return $crate::cpu::Progress::Blocked(wait),
        }
    };
}
pub(crate) use ready;

/// The virtual page number of an address.
pub(crate) const fn vpn_of(addr: usize) -> usize {
    addr >> PAGE_SHIFT
}

/// The address of a virtual page.
pub(crate) const fn addr_of(vpn: usize) -> usize {
    vpn << PAGE_SHIFT
}

impl<'m, S: Synchronisation> Cpu<'m, S> {
    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &'m Machine<S> {
        self.m
    }

    /// The actor.
    #[must_use]
    pub fn actor(&self) -> ActorId {
        self.actor
    }

    /// The address space that this actor's CPU has loaded.
    #[must_use]
    pub fn mm(&self) -> Option<MmId> {
        self.m.actors.get(self.slot()).and_then(|actor| actor.mm)
    }

    pub(crate) fn event(&self, event: Event) {
        self.m.event(event);
    }

    /// A frame. A pfn without one is a violation, not a panic.
    pub(crate) fn frame(&self, page: Pfn) -> Option<&'m Frame<S>> {
        match self.m.frame(page) {
            Some(frame) => Some(frame),
            None => self.no_frame(page),
        }
    }

    // What is only seldom done is called last, and gives back what its caller does: so the caller keeps nothing over it.

    #[cold]
    #[inline(never)]
    fn no_frame(&self, page: Pfn) -> Option<&'m Frame<S>> {
        self.violate(Invariant::Uaf, Some(page), "there is no such page");
        None
    }

    #[cold]
    #[inline(never)]
    fn free_frame(
        &self,
        frame: &'m Frame<S>,
        page: Pfn,
        what: &'static str,
    ) -> Option<&'m Frame<S>> {
        self.violate(Invariant::Uaf, Some(page), what);
        Some(frame)
    }

    /// A frame that must be in use.
    pub(crate) fn live_frame(&self, page: Pfn, what: &'static str) -> Option<&'m Frame<S>> {
        let Some(frame) = self.m.frame(page) else {
            return self.no_frame(page);
        };
        if S::LEDGER {
            let head = match frame.head.get() {
                0 => page,
                head => Pfn(head as usize),
            };
            let books = self.m.ledger.lock();
            let alive = books.page(head).is_some_and(|book| book.alive);
            drop(books);
            if !alive {
                return self.free_frame(frame, page, what);
            }
        }
        Some(frame)
    }

    /// `compound_head()`.
    pub(crate) fn head(&self, page: Pfn) -> Pfn {
        match self.m.frame(page).map(|frame| frame.head.get()) {
            None | Some(0) => page,
            Some(head) => Pfn(head as usize),
        }
    }

    pub(crate) fn space(&self, mm: MmId) -> Option<&'m AddressSpace<S>> {
        self.m.mms.get(usize::from(mm.0))
    }

    pub(crate) fn area(&self, vma: Vma) -> Option<&'m Area> {
        self.space(vma.mm)?.areas.get(usize::from(vma.index))
    }

    pub(crate) fn table(&self, mm: MmId, vpn: usize) -> Option<&'m Table<S>> {
        self.space(mm)?.tables.get(vpn / TABLE_PAGES)
    }

    pub(crate) fn this_cpu(&self) -> Option<&'m PerCpu<S>> {
        self.m.cpus.get(usize::from(self.cpu))
    }

    // ---- page flags -------------------------------------------------------------------------------

    /// `PageX()`.
    pub(crate) fn test_flag(&self, page: Pfn, flag: PageFlags) -> bool {
        self.frame(page).is_some_and(|frame| frame.test(flag))
    }

    /// `SetPageX()`: relaxed.
    pub(crate) fn set_flag(&self, page: Pfn, flag: PageFlags) {
        if let Some(frame) = self.frame(page) {
            frame.assign(flag, true);
        }
    }

    /// `ClearPageX()`: relaxed.
    pub(crate) fn clear_flag(&self, page: Pfn, flag: PageFlags) {
        if let Some(frame) = self.frame(page) {
            frame.assign(flag, false);
        }
    }

    /// `TestClearPageX()`: a full barrier.
    pub(crate) fn test_clear_flag(&self, page: Pfn, flag: PageFlags) -> bool {
        self.frame(page)
            .is_some_and(|frame| frame.test_assign(flag, false))
    }

    /// `TestSetPageX()`: a full barrier.
    pub(crate) fn test_set_flag(&self, page: Pfn, flag: PageFlags) -> bool {
        self.frame(page)
            .is_some_and(|frame| frame.test_assign(flag, true))
    }

    // ---- entries ----------------------------------------------------------------------------------

    /// `READ_ONCE(*ptep)`.
    pub(crate) fn read_entry(&self, mm: MmId, vpn: usize) -> Entry {
        match self.space(mm).and_then(|space| space.entries.get(vpn)) {
            Some(entry) => Entry::unpack(entry.load(Ordering::Relaxed)),
            None => Entry::None,
        }
    }

    /// `set_pte_at()`, under the PTL. The entry's reference is taken from the actor's; what stood there gives its own
    /// to the actor.
    pub(crate) fn set_entry(&self, mm: MmId, vpn: usize, new: Entry) {
        let Some(entry) = self.space(mm).and_then(|space| space.entries.get(vpn)) else {
            return;
        };
        if let Some(table) = self.table(mm, vpn) {
            table.ptl.assert_held(self);
        }
        // The swap only serves the ledger; the kernel stores (`WRITE_ONCE`).
        let old = Entry::unpack(entry.swap(new.pack(), Ordering::Release));
        self.entry_changed(mm, vpn, old, new);
    }

    /// `ptep_get_and_clear()`: a full barrier.
    pub(crate) fn clear_entry(&self, mm: MmId, vpn: usize) -> Entry {
        let Some(entry) = self.space(mm).and_then(|space| space.entries.get(vpn)) else {
            return Entry::None;
        };
        if let Some(table) = self.table(mm, vpn) {
            table.ptl.assert_held(self);
        }
        full::<S, _>(|| {
            let old = Entry::unpack(entry.swap(Entry::None.pack(), Ordering::AcqRel));
            self.entry_changed(mm, vpn, old, Entry::None);
            old
        })
    }

    /// Change the entry only if it is still `old`: how the hardware sets accessed and dirty bits, and how
    /// `ptep_set_wrprotect()` takes write permission away without losing them.
    pub(crate) fn exchange_entry(&self, mm: MmId, vpn: usize, old: Entry, new: Entry) -> bool {
        let Some(entry) = self.space(mm).and_then(|space| space.entries.get(vpn)) else {
            return false;
        };
        full::<S, _>(|| {
            let done = entry
                .compare_exchange(old.pack(), new.pack(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
            if done && S::LEDGER {
                self.m.ledger.lock().set_shadow(mm, vpn, new);
            }
            done
        })
    }

    /// `pte_offset_map_lock()`.
    pub(crate) fn lock_table(&self, mm: MmId, vpn: usize) {
        if let Some(table) = self.table(mm, vpn) {
            table.ptl.lock(self);
            if S::LEDGER {
                self.m.ledger.lock().doing.of(self.slot()).tables += 1;
            }
        }
    }

    /// `pte_unmap_unlock()`; the end of the section settles what was touched in it.
    pub(crate) fn unlock_table(&self, mm: MmId, vpn: usize) {
        let Some(table) = self.table(mm, vpn) else {
            return;
        };
        let last = S::LEDGER && {
            let mut books = self.m.ledger.lock();
            let doing = books.doing.of(self.slot());
            doing.tables = doing.tables.saturating_sub(1);
            doing.tables == 0
        };
        if last {
            self.settle();
        }
        table.ptl.unlock(self);
    }

    // ---- mmap_lock --------------------------------------------------------------------------------

    /// `mmap_read_lock()`.
    pub fn mmap_read(&self, mm: MmId) -> Progress<()> {
        match self.space(mm) {
            Some(space) if space.mmap_lock.try_read(self) => Progress::Done(()),
            Some(_) => self.blocked(WaitFor::MmapRead(mm)),
            None => Progress::Done(()),
        }
    }

    /// `mmap_write_lock()`.
    pub(crate) fn mmap_write(&self, mm: MmId) -> Progress<()> {
        match self.space(mm) {
            Some(space) if space.mmap_lock.try_write(self) => Progress::Done(()),
            Some(_) => self.blocked(WaitFor::MmapWrite(mm)),
            None => Progress::Done(()),
        }
    }

    /// `mmap_read_unlock()`.
    pub fn mmap_read_unlock(&self, mm: MmId) {
        if let Some(space) = self.space(mm) {
            space.mmap_lock.unlock_read(self);
        }
    }

    /// `mmap_write_unlock()`.
    pub(crate) fn mmap_write_unlock(&self, mm: MmId) {
        if let Some(space) = self.space(mm) {
            space.mmap_lock.unlock_write(self);
        }
    }

    /// Does the actor hold `mmap_lock` in any way?
    pub(crate) fn mmap_held(&self, mm: MmId) -> bool {
        self.space(mm)
            .is_some_and(|space| space.mmap_lock.reads(self) != 0)
    }

    pub(crate) fn blocked<T>(&self, wait: WaitFor) -> Progress<T> {
        self.event(Event::Blocked);
        Progress::Blocked(wait)
    }

    /// Could what `wait` names be had now? For a runner that tries actors in turn.
    #[must_use]
    pub fn may_go_on(&self, wait: WaitFor) -> bool {
        match wait {
            WaitFor::PageLock(page) => self
                .m
                .frame(self.head(page))
                .is_none_or(|frame| frame.lock.owner().is_none()),
            WaitFor::MmapRead(mm) => self
                .space(mm)
                .is_none_or(|space| !space.mmap_lock.written()),
            WaitFor::MmapWrite(mm) => self.space(mm).is_none_or(|space| space.mmap_lock.is_free()),
            WaitFor::Others => true,
        }
    }

    /// Block until it may be worth repeating the operation (threads only). False if it will never be.
    pub fn wait(&self, wait: WaitFor) -> bool {
        match wait {
            WaitFor::PageLock(page) => self
                .m
                .frame(self.head(page))
                .is_none_or(|frame| frame.lock.wait()),
            WaitFor::MmapRead(mm) => self
                .space(mm)
                .is_none_or(|space| space.mmap_lock.wait(false)),
            WaitFor::MmapWrite(mm) => self
                .space(mm)
                .is_none_or(|space| space.mmap_lock.wait(true)),
            WaitFor::Others => true,
        }
    }
}
