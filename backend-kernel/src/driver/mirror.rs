// SPDX-License-Identifier: GPL-2.0-only
//! [`Mirror`]: an address space as a device sees it, and what a driver can ask for in it.

use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{fence, AtomicU64, AtomicUsize, Ordering};

use migrate_pin_core::pin::{self, Acquire, Acquired, Grant, Invalidation};
use migrate_pin_core::{
    setup, Access, Device, Hardened, NoMemory, Owner, Pfn, Range, Request, Revoked, Select,
    PAGE_SHIFT, PAGE_SIZE, V6_12,
};

use super::boxed::Boxed;
use super::error::Error;
use super::glue::{self, CMirror, MirrorOps, XArray};
use super::memory::{DeviceMemory, DevicePage};
use super::migration::Migration;
use super::mm::{Area, Mm, MmUsers};
use super::page::SystemPage;
use super::words::Words;
use super::Driver;
use crate::api::event_of;
use crate::ops::KernelOps;

/// What a mirror, and each device page that stands in its address space, have together.
///
/// # Invariants
///
/// `c` is alive as long as this. An entry of its table stands for a page that is pinned for this mirror, and is taken
/// away, under its lock, before the pin is given up.
pub(super) struct Shared<D: Driver> {
    c: NonNull<CMirror>,
    memory: &'static DeviceMemory<D>,
    users: AtomicUsize,
    space: D::Space,
}

// SAFETY: `D::Space` is; what C has is behind its own locks.
unsafe impl<D: Driver> Send for Shared<D> {}
// SAFETY: as above.
unsafe impl<D: Driver> Sync for Shared<D> {}

impl<D: Driver> Shared<D> {
    fn boxed(memory: &'static DeviceMemory<D>, space: D::Space) -> Result<SharedRef<D>, NoMemory> {
        // SAFETY: it may be called by anybody who may sleep.
        let c = NonNull::new(unsafe { glue::mirror_new() }).ok_or(NoMemory)?;
        // INVARIANT: it is new, and has no entries.
        let shared = Boxed::new(Self {
            c,
            memory,
            users: AtomicUsize::new(1),
            space,
        });
        // If there was no memory, the value was dropped, and C's part with it.
        Ok(SharedRef(shared?.into_raw()))
    }

    pub(super) fn space(&self) -> &D::Space {
        &self.space
    }

    /// Do something with the device's page table, under its lock.
    fn locked<R>(&self, act: impl FnOnce(Table<'_, D>) -> R) -> R {
        // SAFETY: by the type invariant it is alive; whoever has the lock does not take it again.
        unsafe { glue::mirror_lock(self.c.as_ptr()) };
        let result = act(Table(self));
        // SAFETY: it was just taken.
        unsafe { glue::mirror_unlock(self.c.as_ptr()) };
        result
    }
}

impl<D: Driver> Drop for Shared<D> {
    fn drop(&mut self) {
        // SAFETY: by the type invariant; nobody has this any more, and the notifier was removed by the mirror.
        unsafe { glue::mirror_free(self.c.as_ptr()) }
    }
}

/// A reference on a [`Shared`].
///
/// # Invariants
///
/// It owns one of its `users`.
pub(super) struct SharedRef<D: Driver>(NonNull<Shared<D>>);

impl<D: Driver> SharedRef<D> {
    /// The reference belongs to whoever has the pointer.
    pub(super) fn into_raw(self) -> *mut Shared<D> {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// # Safety
    ///
    /// `raw` is of [`Self::into_raw`], and the reference is taken from there.
    pub(super) unsafe fn from_raw(raw: NonNull<Shared<D>>) -> Self {
        // INVARIANT: by the safety requirement.
        Self(raw)
    }

    /// Use the reference that is somewhere else.
    ///
    /// # Safety
    ///
    /// `raw` is of [`Self::into_raw`], and the reference stays there as long as this lives.
    pub(super) unsafe fn borrow(raw: NonNull<Shared<D>>) -> ManuallyDrop<Self> {
        // INVARIANT: by the safety requirement; it is not given up twice.
        ManuallyDrop::new(Self(raw))
    }
}

impl<D: Driver> Clone for SharedRef<D> {
    fn clone(&self) -> Self {
        self.users.fetch_add(1, Ordering::Relaxed);
        // INVARIANT: it was just counted.
        Self(self.0)
    }
}

impl<D: Driver> Deref for SharedRef<D> {
    type Target = Shared<D>;
    fn deref(&self) -> &Shared<D> {
        // SAFETY: by the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl<D: Driver> Drop for SharedRef<D> {
    fn drop(&mut self) {
        if self.users.fetch_sub(1, Ordering::Release) == 1 {
            // What the others did with it is done.
            fence(Ordering::Acquire);
            // SAFETY: `Shared::boxed()` did that, and this was the last reference.
            drop(unsafe { Boxed::from_raw(self.0) });
        }
    }
}

/// An entry: the pfn, whether the device may write, and whether it did.
#[derive(Clone, Copy)]
struct Entry(usize);

impl Entry {
    const WRITE: usize = 1;
    const DIRTY: usize = 2;
    const SHIFT: u32 = 2;

    const fn new(page: Pfn, access: Access) -> Self {
        let write = match access {
            Access::Write => Self::WRITE,
            Access::Read => 0,
        };
        Self(page.0 << Self::SHIFT | write)
    }
    const fn page(self) -> Pfn {
        Pfn(self.0 >> Self::SHIFT)
    }
    const fn write(self) -> bool {
        self.0 & Self::WRITE != 0
    }
    const fn dirty(self) -> bool {
        self.0 & Self::DIRTY != 0
    }
}

/// The device's page table.
///
/// # Invariants
///
/// Its lock is held.
struct Table<'a, D: Driver>(&'a Shared<D>);

macro_rules! xa {
    ($name:ident($($arg:expr),*)) => {
        // SAFETY: by the type invariants the table is alive and nobody else uses it.
        unsafe { glue::$name($($arg),*) }
    };
}

impl<D: Driver> Table<'_, D> {
    fn forward(&self) -> *mut XArray {
        xa!(mirror_table(self.0.c.as_ptr()))
    }

    fn reverse(&self) -> *mut XArray {
        xa!(mirror_reverse(self.0.c.as_ptr()))
    }

    fn get(&self, index: usize) -> Option<Entry> {
        match xa!(xa_load(self.forward(), index)) {
            0 => None,
            word => Some(Entry(word)),
        }
    }

    /// Change an entry that is there, for which no memory is needed.
    fn set(&self, index: usize, entry: Entry) -> bool {
        xa!(xa_store(self.forward(), index, entry.0))
    }

    fn map(&self, addr: usize, page: Pfn, access: Access) -> Result<(), NoMemory> {
        let index = addr >> PAGE_SHIFT;
        let old = self.get(index).filter(|old| old.page() == page);
        let entry = Entry(Entry::new(page, access).0 | old.map_or(0, |old| old.0));
        let device = self.0.memory.device();
        // One more, to be told from what is not there.
        if xa!(xa_store(self.reverse(), page.0, index.wrapping_add(1))) {
            if self.set(index, entry) {
                if device.map(&self.0.space, addr, page, access).is_ok() {
                    return Ok(());
                }
                if let Some(old) = old {
                    self.set(index, old);
                    return Err(NoMemory);
                }
                xa!(xa_erase(self.forward(), index));
            }
            if old.is_none() {
                xa!(xa_erase(self.reverse(), page.0));
            }
        }
        Err(NoMemory)
    }

    fn unmap(&self, index: usize) -> Option<Revoked> {
        let entry = match xa!(xa_erase(self.forward(), index)) {
            0 => return None,
            word => Entry(word),
        };
        xa!(xa_erase(self.reverse(), entry.page().0));
        let device = self.0.memory.device();
        let dirty = device.unmap(&self.0.space, index << PAGE_SHIFT);
        Some(Revoked {
            page: entry.page(),
            dirty: dirty || entry.dirty(),
        })
    }

    fn unmap_page(&self, page: Pfn) -> Option<Revoked> {
        let index = xa!(xa_load(self.reverse(), page.0)).checked_sub(1)?;
        self.unmap(index)
    }

    fn unmap_next(&self, range: Range) -> Option<Revoked> {
        let last = range.end.wrapping_sub(1) >> PAGE_SHIFT;
        let found = xa!(xa_find(self.forward(), range.start >> PAGE_SHIFT, last));
        match found.what {
            0 => None,
            _ => self.unmap(found.word),
        }
    }

    /// The word of a page that is mapped, if the access is allowed.
    fn word(&self, addr: usize, access: Access) -> Option<(Entry, &AtomicU64)> {
        let entry = self.get(addr >> PAGE_SHIFT)?;
        if addr & 7 != 0 || (access == Access::Write && !entry.write()) {
            return None;
        }
        // SAFETY: by the type invariants of `Shared` the page is pinned as long as the lock is held. It is system
        // memory, which has an address on this architecture.
        let page = unsafe { glue::page_address(entry.page().0) };
        let at = page.cast::<u8>().wrapping_add(addr & (PAGE_SIZE - 1));
        // SAFETY: it is within the page, and aligned. No CPU reaches the page but by older references, which the
        // device's accesses race with as a device's do: with atomics.
        Some((entry, unsafe { &*at.cast::<AtomicU64>() }))
    }
}

/// What `core` asks of a device, done with the records of its memory, the notifier and the table.
///
/// The driver could not be asked for these: what it answered would have to be trusted, as that of a driver in C is.
pub(super) struct Acting<'a, D: Driver>(&'a SharedRef<D>);

impl<'a, D: Driver> Acting<'a, D> {
    pub(super) fn new(shared: &'a SharedRef<D>) -> Self {
        Self(shared)
    }

    fn c(&self) -> *mut CMirror {
        self.0.c.as_ptr()
    }

    /// `core` has the lock.
    fn table(&self) -> Table<'_, D> {
        // INVARIANT: `core` calls what uses it between `lock()` and `unlock()` only.
        Table(self.0)
    }
}

impl<D: Driver> Device for Acting<'_, D> {
    fn owner(&mut self) -> Owner {
        self.0.memory.owner()
    }
    fn alloc_device_page(&mut self) -> Option<Pfn> {
        take_page(self.0).map(DevicePage::into_locked)
    }
    fn copy_to_system(&mut self, device: Pfn) -> Option<Pfn> {
        let memory = self.0.memory;
        let index = memory.index_of(device)?;
        let mut page = SystemPage::for_user().ok()?;
        let copied = memory
            .device()
            .copy_to_system(self.0.space(), index, &mut page);
        copied.ok().map(|()| page.into_locked())
    }
    fn remember(&mut self, device: Pfn, original: Pfn) {
        if let Some(record) = self.0.memory.record(device) {
            record.original.store(original.0, Ordering::Release);
        }
    }
    fn original(&mut self, device: Pfn) -> Option<Pfn> {
        let record = self.0.memory.record(device)?;
        match record.original.load(Ordering::Acquire) {
            0 => None,
            pfn => Some(Pfn(pfn)),
        }
    }
    fn forget(&mut self, device: Pfn) {
        self.remember(device, Pfn(0));
    }
    fn read_begin(&mut self) -> u64 {
        // SAFETY: by the type invariant of `Shared` it is alive. The notifier was inserted before anybody could ask.
        unsafe { glue::mirror_read_begin(self.c()) as u64 }
    }
    fn read_retry(&mut self, seq: u64) -> bool {
        // SAFETY: as above.
        unsafe { glue::mirror_read_retry(self.c(), seq as usize) }
    }
    fn set_seq(&mut self, seq: u64) {
        // SAFETY: as above; `core` calls it in the notifier's callback.
        unsafe { glue::mirror_set_seq(self.c(), seq as usize) }
    }
    fn lock(&mut self) {
        // SAFETY: by the type invariant of `Shared` it is alive; `core` does not take it twice.
        unsafe { glue::mirror_lock(self.c()) }
    }
    fn unlock(&mut self) {
        // SAFETY: `core` has taken it.
        unsafe { glue::mirror_unlock(self.c()) }
    }
    fn map(&mut self, addr: usize, page: Pfn, access: Access) -> Result<(), NoMemory> {
        self.table().map(addr, page, access)
    }
    fn unmap_page(&mut self, page: Pfn) -> Option<Revoked> {
        self.table().unmap_page(page)
    }
    fn unmap_next(&mut self, range: Range) -> Option<Revoked> {
        self.table().unmap_next(range)
    }
}

fn take_page<D: Driver>(shared: &SharedRef<D>) -> Option<DevicePage<D>> {
    let memory = shared.memory;
    memory.device().may_take_page(shared.space()).ok()?;
    memory.take(shared)
}

/// An address space as a device sees it: with an interval notifier on it, and a page table of the device's.
///
/// Dropping it takes everything away that the device has mapped, and may sleep: no lock is held that the driver's
/// callbacks take. Pages that are pinned stay so until a CPU wants them, or nobody does any more; until then
/// [`Driver::Space`] is kept.
///
/// # Invariants
///
/// The notifier of `shared` is on `mm`, from its making to its dropping.
pub struct Mirror<D: Driver> {
    shared: SharedRef<D>,
    mm: Mm,
}

// SAFETY: what is behind the reference is `Sync`, and may be dropped by anybody.
unsafe impl<D: Driver> Send for Mirror<D> {}
// SAFETY: as above.
unsafe impl<D: Driver> Sync for Mirror<D> {}

impl<D: Driver> Mirror<D> {
    /// Mirror the current task's address space, for a device with this memory. May sleep; `mmap_lock` is not held.
    ///
    /// # Errors
    /// [`Error::NoMemory`], or the kernel's: `EINVAL` for a thread of the kernel.
    pub fn of_current(memory: &'static DeviceMemory<D>, space: D::Space) -> Result<Self, Error> {
        let mm = Mm::current().ok_or(Error::Kernel(migrate_pin_core::error::EINVAL))?;
        let shared = Shared::boxed(memory, space)?;
        {
            let users = mm
                .users()
                .ok_or(Error::Kernel(migrate_pin_core::error::EINVAL))?;
            Self::insert(&shared, &users)?;
        }
        // INVARIANT: it was just inserted.
        Ok(Self { shared, mm })
    }

    fn insert(shared: &SharedRef<D>, users: &MmUsers<'_>) -> Result<(), Error> {
        let ops: &'static MirrorOps = &MirrorOps {
            invalidate: invalidate::<D>,
        };
        let context: *mut Shared<D> = shared.0.as_ptr();
        let mm = users.mm().as_ptr();
        // SAFETY: the address space has a user, the table is there for ever, and the context as long as the mirror,
        // which removes the notifier.
        Error::check(unsafe { glue::mirror_insert(shared.c.as_ptr(), mm, ops, context.cast()) })
    }

    /// The address space.
    #[must_use]
    pub fn mm(&self) -> &Mm {
        &self.mm
    }

    /// What the driver keeps for it.
    #[must_use]
    pub fn space(&self) -> &D::Space {
        self.shared.space()
    }

    fn check(&self, area: Area<'_>) -> Result<(), Error> {
        match area.is_of(&self.mm) {
            true => Ok(()),
            false => Err(Error::OtherAddressSpace),
        }
    }

    fn fits(range: Range) -> Result<(), Error> {
        for address in [range.start, range.end] {
            if address & (PAGE_SIZE - 1) != 0 {
                return Err(migrate_pin_core::Error::Unaligned { address }.into());
            }
        }
        Ok(())
    }

    /// Unmap and pin the pages of a range and map them for the device; those that can't be had (not present, in use
    /// for DMA, of a file, ...) are left. On return a source word has MIGRATE exactly if its page is pinned.
    ///
    /// `mmap_lock` is held for reading, no other lock. May sleep.
    ///
    /// # Errors
    /// [`Error::OtherAddressSpace`], and [`Error::Refused`] (`EINVAL`) for an area or a range that is wrong, or if
    /// there is not one word a page.
    pub fn acquire(
        &self,
        area: Area<'_>,
        range: Range,
        access: Access,
        words: &mut Words,
    ) -> Result<Acquired, Error> {
        self.check(area)?;
        let (src, dst) = words.both();
        // SAFETY: it goes to `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        let request = Acquire {
            vma: area.vma(),
            range,
            access,
            src,
            dst,
        };
        let mut device = Acting::new(&self.shared);
        let done = pin::acquire::<Hardened, V6_12, _, _>(&mut ops, &mut device, request);
        done.map_err(Error::from)
    }

    /// Map a page again that is pinned for the device, after an invalidation that left it pinned.
    ///
    /// `mmap_lock` is held for reading, no other lock. May sleep.
    ///
    /// # Errors
    /// [`Error::OtherAddressSpace`].
    pub fn grant(&self, area: Area<'_>, addr: usize, access: Access) -> Result<Grant, Error> {
        self.check(area)?;
        // SAFETY: it goes to `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        let mut device = Acting::new(&self.shared);
        let vma = area.vma();
        Ok(pin::grant::<Hardened, V6_12, _, _>(
            &mut ops,
            &mut device,
            vma,
            addr,
            access,
        ))
    }

    /// Give the pages of a range that are pinned for the device back to the CPU. The number of pages that could not
    /// be given back: try those again.
    ///
    /// `mmap_lock` is held for reading, no other lock. May sleep.
    ///
    /// # Errors
    /// As [`Mirror::acquire`].
    pub fn revoke(&self, area: Area<'_>, range: Range) -> Result<usize, Error> {
        self.check(area)?;
        Self::fits(range)?;
        // SAFETY: it goes to `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        let mut device = Acting::new(&self.shared);
        let left = pin::revoke::<Hardened, V6_12, _, _>(&mut ops, &mut device, area.vma(), range);
        left.map_err(Error::from)
    }

    /// Begin a migration: collect and unmap the pages of a range. A source word is 0, or
    /// [`SrcPfn::PIN`](migrate_pin_core::SrcPfn::PIN), to which no destination can be given here, so that such a page is pinned
    /// for no longer than the migration: pins that last are [`acquire`](Self::acquire)'s.
    ///
    /// `mmap_lock` is held for reading, until the migration is finalized or dropped. May sleep.
    ///
    /// # Errors
    /// As [`Mirror::acquire`], and for a source word that is neither.
    pub fn migrate<'a>(
        &self,
        area: Area<'a>,
        range: Range,
        select: Select,
        words: &'a mut Words,
    ) -> Result<Migration<'a, D>, Error> {
        self.check(area)?;
        let (src, dst) = words.both();
        let request = Request {
            vma: area.vma(),
            range,
            src,
            dst,
            owner: self.shared.memory.owner(),
            select,
            fault_page: None,
        };
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        let begun = setup::<Hardened, V6_12, _>(unsafe { KernelOps::new() }, request)?;
        Ok(Migration::new(begun, self.shared.memory))
    }

    /// Take a page of the device's memory, for a migration to it. None if there is none. Does not sleep.
    #[must_use]
    pub fn take_page(&self) -> Option<DevicePage<D>> {
        take_page(&self.shared)
    }

    /// An atomic read by the device, through its own mapping. None if it has none, or `addr` is not that of a word.
    /// Does not sleep.
    #[must_use]
    pub fn load(&self, addr: usize) -> Option<u64> {
        self.shared.locked(|table| {
            let (_, word) = table.word(addr, Access::Read)?;
            Some(word.load(Ordering::SeqCst))
        })
    }

    /// An atomic change by the device, through its own mapping: what was there. None if it has none for writing, or
    /// `addr` is not that of a word. Does not sleep, nor does `change`, which may be asked several times.
    pub fn update(&self, addr: usize, change: impl Fn(u64) -> u64) -> Option<u64> {
        self.shared.locked(|table| {
            let (entry, word) = table.word(addr, Access::Write)?;
            let mut old = word.load(Ordering::SeqCst);
            while let Err(now) =
                word.compare_exchange(old, change(old), Ordering::SeqCst, Ordering::SeqCst)
            {
                old = now;
            }
            table.set(addr >> PAGE_SHIFT, Entry(entry.0 | Entry::DIRTY));
            Some(old)
        })
    }

    /// Pages that the device has mapped. Does not sleep.
    #[must_use]
    pub fn mappings(&self) -> usize {
        self.shared.locked(|table| {
            let (mut n, mut from) = (0_usize, 0);
            loop {
                let found = xa!(xa_find(table.forward(), from, usize::MAX));
                if found.what == 0 {
                    return n;
                }
                n = n.wrapping_add(1);
                from = found.word.wrapping_add(1);
            }
        })
    }
}

impl<D: Driver> Drop for Mirror<D> {
    fn drop(&mut self) {
        // SAFETY: by the type invariant it was inserted. No callback runs when this returns.
        unsafe { glue::mirror_remove(self.shared.c.as_ptr()) };
        // SAFETY: the one primitive that is called below marks a page that is pinned.
        let mut ops = unsafe { KernelOps::new() };
        let all = Range {
            start: 0,
            end: usize::MAX,
        };
        self.shared.locked(|table| {
            while let Some(revoked) = table.unmap_next(all) {
                if revoked.dirty {
                    migrate_pin_core::MmOps::set_page_dirty(&mut ops, revoked.page);
                }
            }
        });
    }
}

/// # Safety
///
/// `context` is a mirror's that has not removed its notifier; called by that, with what it was told.
unsafe extern "C" fn invalidate<D: Driver>(
    context: *mut c_void,
    start: usize,
    end: usize,
    event: u32,
    owner: usize,
    seq: usize,
) {
    let Some(shared) = NonNull::new(context.cast::<Shared<D>>()) else {
        return;
    };
    // SAFETY: by the safety requirement the mirror has a reference.
    let shared = unsafe { SharedRef::borrow(shared) };
    shared.memory.device().invalidated(shared.space());
    // SAFETY: it goes to `core`, which does not sleep here.
    let mut ops = unsafe { KernelOps::new() };
    let invalidation = Invalidation {
        range: Range { start, end },
        event: event_of(event),
        owner: match owner {
            0 => None,
            owner => Some(Owner(owner)),
        },
        seq: seq as u64,
    };
    pin::invalidate(&mut ops, &mut Acting::new(&shared), invalidation);
}
