//! The locks of the machine. Each stands for a lock of the kernel, and [`LockName`] says for which.
//!
//! They are guard-free, since the kernel's are: a page is locked by one function and unlocked by another, and a
//! driver hands a locked page to `migrate_vma_finalize()`. Who holds a lock is written beside it, invisible
//! to engines, so that an unlock by anybody else, or an access without the lock, is a violation of LOCK.

use crate::bug::Bug;
use crate::cpu::Cpu;
use crate::frame::{Frame, FIRST_PFN};
use crate::restore::restore;
use crate::sides::{of_lock, Account};
use crate::sync::{Monitor, Plain, Synchronisation};
use crate::violation::Invariant;
use migrate_pin_core::Pfn;

macro_rules! lock_names {
    ($( $(#[$doc:meta])* $name:ident ),* $(,)?) => {
        /// What lock of the kernel a lock of the machine stands for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum LockName { $( $(#[$doc])* $name ),* }

        impl LockName {
            /// All of them, in the order of the page on the [scope](crate::scope).
            pub const ALL: &'static [Self] = &[$( Self::$name ),*];
        }
    };
}

lock_names! {
    /// `PG_locked` of a page: a sleeping lock, one bit and a wait queue.
    Page,
    /// The spin lock of a page-table page (`pte_lockptr()`); the `pmd` above it uses it too.
    Ptl,
    /// `mm->mmap_lock`: a reader-writer semaphore.
    Mmap,
    /// The local lock of a CPU's LRU batches (`lru_pvecs.lock`): interrupts, and the work items that drain the
    /// batches, take it; another CPU never does.
    LruBatch,
    /// `lruvec->lru_lock`.
    Lru,
    /// `mapping->i_pages.xa_lock` of a file.
    IPages,
    /// The same lock of the swapper space.
    SwapCache,
    /// `mapping->i_mmap_rwsem` of a file.
    IMmap,
    /// `anon_vma->root->rwsem`.
    AnonVma,
    /// `si->lock` of the swap area: the use counts of its slots.
    Swap,
    /// `zone->lock`: the free pages.
    Zone,
    /// The counters of a memory cgroup (atomics in the kernel, `page_counter`).
    Memcg,
    /// `mm->notifier_subscriptions->lock`. What it protects is one number here (sequence number and open sections), so
    /// that a critical section is one step and there is no lock to see.
    Notifier,
    /// The spin lock of a driver over its device's page table.
    DeviceTable,
    /// The spin lock of a driver over its free device pages.
    DevicePool,
    /// The spin lock over the pin records (not in the patch; `Hardened` keeps them).
    PinTable,
    /// No lock but a rule of the hardware: a CPU ends the instruction it is in before it acknowledges a TLB
    /// shootdown (an IPI, or a broadcast with a barrier).
    Shootdown,
}

impl LockName {
    /// As the kernel calls it.
    #[must_use]
    pub const fn kernel(self) -> &'static str {
        match self {
            Self::Page => "page lock",
            Self::Ptl => "PTL",
            Self::Mmap => "mmap_lock",
            Self::LruBatch => "lru_pvecs.lock",
            Self::Lru => "lru_lock",
            Self::IPages => "i_pages lock",
            Self::SwapCache => "i_pages lock of swap",
            Self::IMmap => "i_mmap_rwsem",
            Self::AnonVma => "lock of the anon_vma",
            Self::Swap => "lock of the swap slots",
            Self::Zone => "zone lock",
            Self::Memcg => "counter of the memory cgroup",
            Self::Notifier => "lock of the notifiers",
            Self::DeviceTable => "lock of the device's page table",
            Self::DevicePool => "lock of the free device pages",
            Self::PinTable => "lock of the pin records",
            Self::Shootdown => "instruction of a CPU",
        }
    }
}

/// Nobody holds it.
const NOBODY: u32 = 0;

/// A lock with one holder: spin lock, page lock.
pub struct Lock<S: Synchronisation> {
    /// 0 free, 1 taken.
    state: S::Monitor,
    /// Who holds it: actor + 1.
    owner: Plain,
    name: LockName,
}
restore!(Lock: parts state owner; same name);

impl<S: Synchronisation> Lock<S> {
    /// A free lock.
    pub(crate) fn new(name: LockName) -> Self {
        Self {
            state: S::Monitor::new(0),
            owner: Plain::new(NOBODY),
            name,
        }
    }

    /// What it stands for.
    pub fn name(&self) -> LockName {
        self.name
    }

    /// Who holds it, a bit an actor, and what stands in it, if that can be told unseen.
    pub(crate) fn sides(&self) -> (u8, Option<u32>) {
        (
            self.owner().map_or(0, |actor| 1 << (actor % 8)),
            self.state.peek(),
        )
    }

    /// What is said of it where something is wrong.
    pub(crate) fn account(&self) -> Account {
        of_lock(self.name, self.sides())
    }

    /// The same if it is left taken; none if it is free.
    pub(crate) fn left(&self) -> Option<Account> {
        self.owner().is_some().then(|| self.account())
    }

    /// LOCK, LIVE: something is wrong with it.
    #[cold]
    #[inline(never)]
    fn wrong(&self, cpu: &Cpu<'_, S>, invariant: Invariant, what: &'static str) {
        let frame = |frame: &Frame<S>| core::ptr::eq(&raw const frame.lock, self);
        let place = cpu.m.frames.iter().position(frame);
        let page = place.map(|index| Pfn(FIRST_PFN + index));
        cpu.disagree(invariant, page, what, self.account());
    }

    /// What an engine sees of it.
    #[cfg(feature = "engines")]
    pub(crate) fn monitor(&self) -> &S::Monitor {
        &self.state
    }

    /// Does anybody hold it? An engine doesn't see this.
    pub fn owner(&self) -> Option<u8> {
        match self.owner.get() {
            NOBODY => None,
            actor => Some((actor - 1) as u8),
        }
    }

    /// Does anybody hold it? A step that engines see (`PageLocked()`).
    pub(crate) fn is_locked(&self) -> bool {
        self.state.read() != 0
    }

    /// Block until it may be free. False if it never will.
    pub(crate) fn wait(&self) -> bool {
        self.state.wait(|state| state == 0)
    }

    /// Is it this actor's? Plain.
    pub(crate) fn held_by(&self, cpu: &Cpu<'_, S>) -> bool {
        self.owner.get() == u32::from(cpu.actor.0) + 1
    }

    /// Take it if it is free.
    pub(crate) fn try_lock(&self, cpu: &Cpu<'_, S>) -> bool {
        let free = if self.name == LockName::Page && cpu.m.bug(Bug::TrylockNotAtomic) {
            let free = self.state.read() == 0;
            free && self.state.update(|_| (1, true))
        } else {
            self.state.update(|state| (1, state == 0))
        };
        if free {
            self.owner.set(u32::from(cpu.actor.0) + 1);
        }
        free
    }

    /// Spin until it is free, and take it. If that is never, LIVE (or LOCK, if the caller holds it) is broken, and the
    /// caller goes on as if it had the lock.
    pub(crate) fn lock(&self, cpu: &Cpu<'_, S>) {
        if self.held_by(cpu) {
            self.wrong(
                cpu,
                Invariant::Lock,
                "a spin lock is taken again by its holder",
            );
            return;
        }
        while !self.try_lock(cpu) {
            if !self.wait() {
                self.wrong(cpu, Invariant::Live, "a spin lock is never released");
                self.owner.set(u32::from(cpu.actor.0) + 1);
                return;
            }
        }
    }

    /// Release it.
    pub(crate) fn unlock(&self, cpu: &Cpu<'_, S>) {
        if !self.held_by(cpu) {
            self.wrong(
                cpu,
                Invariant::Lock,
                "a lock is released by one who does not hold it",
            );
        }
        self.owner.set(NOBODY);
        let taken = match self.name {
            // Others try it, and do something else if it is busy.
            LockName::Page => self.state.update(|state| (0, state != 0)),
            _ => self.state.update_quietly(|state| (0, state != 0)),
        };
        if !taken {
            self.wrong(cpu, Invariant::Lock, "a lock is released that nobody holds");
        }
    }

    /// LOCK: what it protects is about to be used.
    pub(crate) fn assert_held(&self, cpu: &Cpu<'_, S>) {
        if S::LEDGER && !self.held_by(cpu) {
            self.wrong(
                cpu,
                Invariant::Lock,
                "used without the lock that protects it",
            );
        }
    }
}

/// A reader-writer semaphore: `mmap_lock`, the locks of the reverse mapping.
pub struct RwLock<S: Synchronisation> {
    /// Number of readers, or [`WRITER`].
    state: S::Monitor,
    /// Holders: four bits an actor, 15 for a writer.
    holders: Plain,
    name: LockName,
}
restore!(RwLock: parts state holders; same name);

const WRITER: u32 = u32::MAX;
const WRITES: u32 = 15;

impl<S: Synchronisation> RwLock<S> {
    pub(crate) fn new(name: LockName) -> Self {
        Self {
            state: S::Monitor::new(0),
            holders: Plain::new(0),
            name,
        }
    }

    /// What it stands for.
    pub fn name(&self) -> LockName {
        self.name
    }

    /// Who holds it, a bit an actor, and what stands in it, if that can be told unseen.
    pub(crate) fn sides(&self) -> (u8, Option<u32>) {
        let held = |actor: &u32| self.holders.get() >> (actor * 4) & 15 != 0;
        let holders = (0..8).filter(held).fold(0, |set, actor| set | 1 << actor);
        (holders, self.state.peek())
    }

    /// What is said of it where something is wrong.
    pub(crate) fn account(&self) -> Account {
        of_lock(self.name, self.sides())
    }

    /// The same if it is left taken; none if it is free.
    pub(crate) fn left(&self) -> Option<Account> {
        (!self.is_free()).then(|| self.account())
    }

    /// LOCK, LIVE: something is wrong with it.
    #[cold]
    #[inline(never)]
    fn wrong(&self, cpu: &Cpu<'_, S>, invariant: Invariant, what: &'static str) {
        cpu.disagree(invariant, None, what, self.account());
    }

    /// What an engine sees of it.
    #[cfg(feature = "engines")]
    pub(crate) fn monitor(&self) -> &S::Monitor {
        &self.state
    }

    /// Is it free? An engine doesn't see this.
    pub fn is_free(&self) -> bool {
        self.holders.get() == 0
    }

    fn mine(&self, cpu: &Cpu<'_, S>) -> u32 {
        self.holders.get() >> (u32::from(cpu.actor.0) * 4) & 15
    }

    fn set_mine(&self, cpu: &Cpu<'_, S>, holds: u32) {
        // Wrapping addition of the difference: other actors change their own four bits meanwhile.
        let difference = holds.wrapping_sub(self.mine(cpu));
        let difference = difference << (u32::from(cpu.actor.0) * 4);
        if S::STEPWISE {
            // Nobody else is at it.
            self.holders
                .set(self.holders.get().wrapping_add(difference));
        } else {
            self.holders.add(difference);
        }
    }

    /// How often this actor holds it for reading; 15 if for writing.
    pub(crate) fn reads(&self, cpu: &Cpu<'_, S>) -> u32 {
        self.mine(cpu)
    }

    /// Does this actor hold it for writing?
    pub(crate) fn writes(&self, cpu: &Cpu<'_, S>) -> bool {
        self.mine(cpu) == WRITES
    }

    /// Does an actor hold it for writing? Plain.
    pub(crate) fn written(&self) -> bool {
        let holders = self.holders.get();
        (0..8).any(|actor| holders >> (actor * 4) & 15 == WRITES)
    }

    pub(crate) fn try_read(&self, cpu: &Cpu<'_, S>) -> bool {
        let taken = self.state.update(|state| {
            if state == WRITER {
                (state, false)
            } else {
                (state + 1, true)
            }
        });
        if taken {
            self.set_mine(cpu, self.mine(cpu) + 1);
        }
        taken
    }

    pub(crate) fn try_write(&self, cpu: &Cpu<'_, S>) -> bool {
        let taken = self.state.update(|state| {
            if state == 0 {
                (WRITER, true)
            } else {
                (state, false)
            }
        });
        if taken {
            self.set_mine(cpu, WRITES);
        }
        taken
    }

    /// Wait until it may be had.
    pub(crate) fn wait(&self, write: bool) -> bool {
        self.state
            .wait(|state| if write { state == 0 } else { state != WRITER })
    }

    pub(crate) fn read(&self, cpu: &Cpu<'_, S>) {
        if self.writes(cpu) {
            self.wrong(
                cpu,
                Invariant::Lock,
                "a semaphore is taken again by its writer",
            );
            return;
        }
        while !self.try_read(cpu) {
            if !self.wait(false) {
                self.wrong(cpu, Invariant::Live, "a semaphore is never released");
                return;
            }
        }
    }

    pub(crate) fn write(&self, cpu: &Cpu<'_, S>) {
        if self.mine(cpu) != 0 {
            self.wrong(
                cpu,
                Invariant::Lock,
                "a semaphore is taken again by its holder",
            );
            return;
        }
        while !self.try_write(cpu) {
            if !self.wait(true) {
                self.wrong(cpu, Invariant::Live, "a semaphore is never released");
                return;
            }
        }
    }

    pub(crate) fn unlock_read(&self, cpu: &Cpu<'_, S>) {
        if self.writes(cpu) || self.mine(cpu) == 0 {
            self.wrong(
                cpu,
                Invariant::Lock,
                "a semaphore is released by one who does not read-hold it",
            );
            return;
        }
        self.set_mine(cpu, self.mine(cpu) - 1);
        self.state
            .update_quietly(|state| (state.wrapping_sub(1), ()));
    }

    pub(crate) fn unlock_write(&self, cpu: &Cpu<'_, S>) {
        if !self.writes(cpu) {
            self.wrong(
                cpu,
                Invariant::Lock,
                "a semaphore is released by one who does not write-hold it",
            );
            return;
        }
        self.set_mine(cpu, 0);
        self.state.update_quietly(|_| (0, ()));
    }
}
