//! Devices: memory of their own, a page table of their own, and what a driver does with them
//! ([`Device`]).

use crate::bug::Bug;
use crate::config::{
    AllocKind, DeviceId, DeviceSpec, DriverKind, MirrorSpec, MmId, MAX_DEVICE_MAPPINGS, MAX_FRAMES,
};
use crate::cpu::{addr_of, vpn_of, Cpu};
use crate::event::Event;
use crate::frame::PageFlags;
use crate::ledger::Link;
use crate::lock::{Lock, LockName};
use crate::notifier::SEQ;
use crate::restore::restore;
use crate::sync::{Atomic32, Monitor, Plain, Store, Synchronisation};
use crate::violation::Invariant;
use migrate_pin_core::ops::{NoMemory, Owner, Range};
use migrate_pin_core::{Access, Device, Pfn, Revoked};

/// An entry of a device's page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceMapping {
    pub(crate) mm: MmId,
    pub(crate) vpn: u16,
    pub(crate) page: Pfn,
    pub(crate) write: bool,
    /// The device wrote through it.
    pub(crate) dirty: bool,
}

/// A device.
pub(crate) struct DeviceState<S: Synchronisation> {
    pub(crate) id: DeviceId,
    pub(crate) driver: DriverKind,
    pub(crate) pool_lock: Lock<S>,
    /// Free device pages; under the pool's lock.
    pub(crate) pool: spin::Mutex<S::Array<Pfn, MAX_FRAMES>>,
    pub(crate) table_lock: Lock<S>,
    /// Under the table's lock.
    pub(crate) table: spin::Mutex<S::Array<DeviceMapping, MAX_DEVICE_MAPPINGS>>,
    capacity: usize,
    pub(crate) shared: Shared<S>,
}
restore!(DeviceState:
    parts pool_lock table_lock shared; lists pool table; same id driver capacity);

/// What a driver has that keeps one `struct migrate_vma` for all its calls, not one on the stack of each: nobody uses it
/// but with [`Bug::CountShared`] and [`Bug::WordShared`].
pub(crate) struct Shared<S: Synchronisation> {
    pub(crate) cpages: S::U32,
    pub(crate) flags: S::U32,
    pub(crate) pfn: S::U32,
}
restore!(Shared: parts cpages flags pfn; same);

impl<S: Synchronisation> DeviceState<S> {
    pub(crate) fn new(spec: &DeviceSpec, id: DeviceId, first: usize) -> Self {
        let pages = usize::from(spec.pages);
        let pool = S::Array::from_fn(pages, |index| Pfn(first + pages - 1 - index));
        Self {
            id,
            driver: spec.driver,
            pool_lock: Lock::new(LockName::DevicePool),
            pool: spin::Mutex::new(pool),
            table_lock: Lock::new(LockName::DeviceTable),
            table: spin::Mutex::default(),
            capacity: spec.mappings.into(),
            shared: Shared {
                cpages: S::U32::new(0),
                flags: S::U32::new(0),
                pfn: S::U32::new(0),
            },
        }
    }
}

/// A driver's interval notifier on one address space (`mmu_interval_notifier`).
pub(crate) struct Mirror {
    pub(crate) device: DeviceId,
    pub(crate) mm: MmId,
    /// `invalidate_seq` of the subscription; written under the device's lock.
    pub(crate) seq: Plain,
}

restore!(= Mirror: parts seq; same device mm);

impl Mirror {
    pub(crate) fn new(spec: &MirrorSpec) -> Self {
        Self {
            device: spec.device,
            mm: spec.mm,
            // Odd, and not that of any invalidation.
            seq: Plain::new(1),
        }
    }
}

/// A driver's handle on its device for one address space, in the hands of one actor.
pub struct Dev<'m, S: Synchronisation> {
    pub(crate) cpu: Cpu<'m, S>,
    pub(crate) device: DeviceId,
    pub(crate) mm: MmId,
}

impl<S: Synchronisation> Clone for Dev<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S: Synchronisation> Copy for Dev<'_, S> {}

/// What a device does at an address of an address space it mirrors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceOp {
    /// An atomic read.
    Load,
    /// An atomic write.
    Store(u32),
    /// An atomic addition; the result is what was there before.
    Add(u32),
}

impl<'m, S: Synchronisation> Cpu<'m, S> {
    /// This actor with a driver's handle on `device` for `mm`.
    #[must_use]
    pub fn device(&self, device: DeviceId, mm: MmId) -> Dev<'m, S> {
        Dev {
            cpu: *self,
            device,
            mm,
        }
    }

    /// The device page goes back to the driver's pool.
    pub(crate) fn return_device_page(&self, device: DeviceId, page: Pfn) {
        let Some(device) = self.m.devices.get(usize::from(device.0)) else {
            return;
        };
        let book = self.read_book(page);
        if let Some(original) = book.original.get() {
            self.violate(
                Invariant::Pair,
                Some(page),
                "a pair outlives its device page",
            );
            self.book(page, |book| book.original = Link::NONE);
            self.book(original, |book| book.stand_in = Link::NONE);
        }
        device.pool_lock.lock(self);
        let _ = device.pool.lock().push(page);
        device.pool_lock.unlock(self);
    }
}

impl<'m, S: Synchronisation> Dev<'m, S> {
    /// The actor.
    #[must_use]
    pub fn cpu(&self) -> Cpu<'m, S> {
        self.cpu
    }

    pub(crate) fn state(&self) -> Option<&'m DeviceState<S>> {
        self.cpu.m.devices.get(usize::from(self.device.0))
    }

    fn mirror(&self) -> Option<&'m Mirror> {
        let found = |mirror: &&Mirror| mirror.device == self.device && mirror.mm == self.mm;
        self.cpu.m.mirrors.iter().find(found)
    }

    /// What the device does by itself: an access through its own page table, in one piece. None if it has no mapping
    /// there that permits it, a device page fault: the driver has to acquire the page first.
    pub fn access(&self, addr: usize, op: DeviceOp) -> Option<u32> {
        self.cpu.at("device access");
        let device = self.state()?;
        let vpn = vpn_of(addr);
        let write = op != DeviceOp::Load;
        device.table_lock.lock(&self.cpu);
        let found = device
            .table
            .lock()
            .iter()
            .copied()
            .find(|m| m.mm == self.mm && usize::from(m.vpn) == vpn && (m.write || !write));
        let result = match found {
            Some(mapping) => {
                self.cpu.event(Event::DeviceAccess);
                self.touch(device, mapping, op)
            }
            None => {
                self.cpu.event(Event::DeviceFault);
                None
            }
        };
        device.table_lock.unlock(&self.cpu);
        result
    }

    /// Under the lock of the table.
    fn touch(&self, device: &DeviceState<S>, mapping: DeviceMapping, op: DeviceOp) -> Option<u32> {
        let page = mapping.page;
        let vpn = usize::from(mapping.vpn);
        let frame = self.cpu.live_frame(page, "a device uses a free page")?;
        self.cpu.check_exclusive(page);
        let old = frame.contents.get();
        self.cpu.check_read(self.mm, vpn, Some(page), old);
        let new = match op {
            DeviceOp::Load => return Some(old),
            DeviceOp::Store(value) => value,
            DeviceOp::Add(value) => old.wrapping_add(value),
        };
        self.cpu.check_write(page, false);
        frame.contents.set(new);
        self.cpu.note_write(self.mm, vpn, new);
        for known in device.table.lock().iter_mut() {
            if known.mm == mapping.mm && known.vpn == mapping.vpn {
                known.dirty = true;
            }
        }
        Some(old)
    }

    /// Take entries out of the page table, and say what they were used for.
    fn revoke(&self, matches: impl Fn(&DeviceMapping) -> bool, only_one: bool) -> Option<Revoked> {
        let device = self.state()?;
        device.table_lock.assert_held(&self.cpu);
        let mut revoked: Option<Revoked> = None;
        loop {
            let mut table = device.table.lock();
            let Some(index) = table.iter().position(&matches) else {
                break;
            };
            let mapping = table.swap_remove(index);
            drop(table);
            self.cpu.event(Event::DeviceRevoked);
            if mapping.dirty {
                self.cpu.event(Event::DeviceRevokedDirty);
            }
            self.cpu.book(mapping.page, |book| {
                book.device_maps = book.device_maps.saturating_sub(1);
            });
            let dirty = mapping.dirty | revoked.is_some_and(|revoked| revoked.dirty);
            revoked = Some(Revoked {
                page: mapping.page,
                dirty,
            });
            if only_one {
                break;
            }
        }
        revoked
    }
}

impl<S: Synchronisation> Device for Dev<'_, S> {
    fn owner(&mut self) -> Owner {
        self.device.owner()
    }

    fn alloc_device_page(&mut self) -> Option<Pfn> {
        self.cpu.at("alloc_device_page");
        let device = self.state()?;
        if self.cpu.m.fails(AllocKind::DevicePage) {
            self.cpu.event(Event::DevicePageRefused);
            return None;
        }
        device.pool_lock.lock(&self.cpu);
        let dropped = self.cpu.m.bug(Bug::PoolLockDropped);
        let twice = dropped || self.cpu.m.bug(Bug::DevicePageTwice);
        let page = {
            let mut pool = device.pool.lock();
            if twice {
                pool.last().copied()
            } else {
                pool.pop()
            }
        };
        if dropped {
            device.pool_lock.unlock(&self.cpu);
            device.pool_lock.lock(&self.cpu);
            device.pool.lock().retain(|free| Some(*free) != page);
        }
        device.pool_lock.unlock(&self.cpu);
        let Some(page) = page else {
            self.cpu.event(Event::DevicePageRefused);
            return None;
        };
        if twice && self.cpu.read_book(page).alive {
            // The driver thinks that it is free.
            self.cpu.get(page);
            return Some(page);
        }
        self.cpu.hand_out(page);
        if !self.cpu.trylock(page) {
            self.cpu
                .violate(Invariant::Lock, Some(page), "a free device page is locked");
        }
        Some(page)
    }

    fn copy_to_system(&mut self, device_page: Pfn) -> Option<Pfn> {
        self.cpu.at("copy_to_system");
        let new = self.cpu.alloc_page()?;
        if !self.cpu.trylock(new) {
            self.cpu
                .violate(Invariant::Lock, Some(new), "a free page is locked");
        }
        // The device may be writing: first its mapping goes.
        self.lock();
        let revoked = self.revoke(|mapping| mapping.page == device_page, false);
        self.unlock();
        if revoked.is_some_and(|revoked| revoked.dirty) {
            // Moves to the copy with the other flags: else a page that was lazily freed is dropped as clean.
            self.cpu.set_flag(device_page, PageFlags::DIRTY);
        }
        self.cpu.copy_contents(new, device_page);
        Some(new)
    }

    fn remember(&mut self, device: Pfn, original: Pfn) {
        let Some(frame) = self.cpu.frame(device) else {
            return;
        };
        let mut other = None;
        self.cpu.book(device, |book| {
            other = book.original.replace(original);
            book.home = original.into();
            book.forgotten = false;
        });
        if other.is_some() {
            self.cpu.violate(
                Invariant::Pair,
                Some(device),
                "a device page stands for two pages",
            );
        }
        let mut other = None;
        self.cpu
            .book(original, |book| other = book.stand_in.replace(device));
        if other.is_some() {
            self.cpu.violate(
                Invariant::Pair,
                Some(original),
                "two device pages stand for a page",
            );
        }
        frame.zone_device_data.set(original.0 as u32);
    }

    fn original(&mut self, device: Pfn) -> Option<Pfn> {
        match self.cpu.frame(device)?.zone_device_data.get() {
            0 => None,
            original => Some(Pfn(original as usize)),
        }
    }

    fn forget(&mut self, device: Pfn) {
        let Some(frame) = self.cpu.frame(device) else {
            return;
        };
        frame.zone_device_data.set(0);
        let times = if self.cpu.m.bug(Bug::ForgetTwice) {
            2
        } else {
            1
        };
        for _ in 0..times {
            // To forget a page that never stood for another is no harm.
            let (original, again) = self
                .cpu
                .book(device, |book| {
                    let original = book.original.take();
                    let again = book.forgotten && original.is_none();
                    book.forgotten |= original.is_some();
                    (original, again)
                })
                .unwrap_or_default();
            if let Some(original) = original {
                self.cpu.book(original, |book| book.stand_in = Link::NONE);
            }
            if again {
                self.cpu
                    .violate(Invariant::Pair, Some(device), "a pair is forgotten twice");
            }
        }
    }

    fn read_begin(&mut self) -> u64 {
        self.cpu.at("mmu_interval_read_begin");
        let (Some(mirror), Some(space)) = (self.mirror(), self.cpu.space(self.mm)) else {
            return 0;
        };
        let subscriptions = &space.subscriptions;
        let (seq, busy) = subscriptions.state.update(|state| {
            let seq = mirror.seq.get();
            (state, (seq, seq == state & SEQ))
        });
        if busy {
            self.cpu.event(Event::NotifierBusy);
            if !subscriptions.state.wait(|state| state & SEQ != seq) {
                self.cpu
                    .violate(Invariant::Live, None, "an invalidation never ends");
            }
        }
        seq.into()
    }

    fn read_retry(&mut self, seq: u64) -> bool {
        let Some(mirror) = self.mirror() else {
            return false;
        };
        if let Some(device) = self.state() {
            device.table_lock.assert_held(&self.cpu);
        }
        let changed = u64::from(mirror.seq.get()) != seq;
        if changed {
            self.cpu.event(Event::NotifierRetry);
        }
        changed
    }

    fn set_seq(&mut self, seq: u64) {
        if let Some(device) = self.state() {
            device.table_lock.assert_held(&self.cpu);
        }
        if let Some(mirror) = self.mirror() {
            mirror.seq.set(seq as u32);
        }
    }

    fn lock(&mut self) {
        if let Some(device) = self.state() {
            device.table_lock.lock(&self.cpu);
        }
    }

    fn unlock(&mut self) {
        if let Some(device) = self.state() {
            device.table_lock.unlock(&self.cpu);
        }
    }

    fn map(&mut self, addr: usize, page: Pfn, access: Access) -> Result<(), NoMemory> {
        self.cpu.at("device map");
        let device = self.state().ok_or(NoMemory)?;
        device.table_lock.assert_held(&self.cpu);
        let vpn = vpn_of(addr);
        let write = access == Access::Write;
        {
            let mut table = device.table.lock();
            let here = |m: &&mut DeviceMapping| m.mm == self.mm && usize::from(m.vpn) == vpn;
            if let Some(known) = table.iter_mut().find(here) {
                if known.page == page {
                    known.write |= write;
                    return Ok(());
                }
            }
        }
        if self.cpu.m.fails(AllocKind::DeviceMapping)
            || device.table.lock().len() >= device.capacity
        {
            self.cpu.event(Event::AllocationFailed);
            return Err(NoMemory);
        }
        let _ = self.cpu.live_frame(page, "a device maps a free page");
        self.cpu.check_exclusive(page);
        self.cpu
            .check_not_invalidating(self.device.owner(), self.mm, vpn, page);
        // An older mapping at the address gives way, as a write of its entry makes it.
        let (mm, at) = (self.mm, vpn);
        self.revoke(|m| m.mm == mm && usize::from(m.vpn) == at, false);
        let _ = device.table.lock().push(DeviceMapping {
            mm: self.mm,
            vpn: vpn as u16,
            page,
            write,
            dirty: false,
        });
        self.cpu.book(page, |book| book.device_maps += 1);
        let book = self.cpu.read_book(page);
        if !self.cpu.is_device_page(page) && (book.gup > 0 || book.gup_pins > 0) {
            self.cpu.event(Event::OlderReference);
        }
        self.cpu.event(Event::DeviceMapped);
        Ok(())
    }

    fn unmap_page(&mut self, page: Pfn) -> Option<Revoked> {
        self.cpu.at("device unmap");
        self.revoke(|mapping| mapping.page == page, false)
    }

    fn unmap_next(&mut self, range: Range) -> Option<Revoked> {
        let mm = self.mm;
        self.revoke(
            |m| m.mm == mm && (range.start..range.end).contains(&addr_of(m.vpn.into())),
            true,
        )
    }
}
