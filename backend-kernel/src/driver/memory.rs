// SPDX-License-Identifier: GPL-2.0-only
//! [`DeviceMemory`]: device-private memory, and who uses each page of it.

use core::ffi::c_void;
use core::mem::size_of;
use core::ptr::{null_mut, NonNull};
use core::slice;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use migrate_pin_core::pin::{self, Fault};
use migrate_pin_core::{Hardened, NoMemory, Owner, Pfn, V6_12};

use super::boxed::Boxed;
use super::error::Error;
use super::glue::{self, CMemory, MemoryOps};
use super::mirror::{Acting, Shared, SharedRef};
use super::page::give_back;
use super::{task, Driver};
use crate::abi::VmArea;
use crate::ops::{KernelOps, Vma};

/// `VM_FAULT_OOM`.
const VM_FAULT_OOM: u32 = 1;
/// `VM_FAULT_SIGBUS`.
const VM_FAULT_SIGBUS: u32 = 2;

/// The values above, for the C compiler to check.
pub const FAULTS: &[(&str, usize)] = &[
    ("(__force unsigned int)VM_FAULT_OOM", VM_FAULT_OOM as usize),
    (
        "(__force unsigned int)VM_FAULT_SIGBUS",
        VM_FAULT_SIGBUS as usize,
    ),
];

/// What is known of a page of device memory. All zeroes: a free page.
pub(super) struct Record<D: Driver> {
    /// The pfn that it stands for, 0 for none.
    pub(super) original: AtomicUsize,
    /// Whose it is; a reference, if it is not null.
    mirror: AtomicPtr<Shared<D>>,
    /// The next free page, as `DeviceMemory::free`.
    next: AtomicUsize,
}

/// Device-private memory (`dev_pagemap` with `MEMORY_DEVICE_PRIVATE`) of a device that pins, and the device itself.
///
/// It stays for as long as the kernel runs: to give it up, every page of it would have to be taken from the processes
/// that have it.
///
/// # Invariants
///
/// `c` is alive; `first` is the pfn of its first page, and there is a record for each page. A page that is on the list
/// that begins with `free` has no reference and no mirror.
pub struct DeviceMemory<D: Driver> {
    c: NonNull<CMemory>,
    first: AtomicUsize,
    records: &'static [Record<D>],
    /// The first free page: its number and 1, 0 for none. Under the lock.
    free: AtomicUsize,
    available: AtomicUsize,
    device: D,
}

// SAFETY: `D` is, as a supertrait says; what C has is behind its own lock.
unsafe impl<D: Driver> Sync for DeviceMemory<D> {}
// SAFETY: as above.
unsafe impl<D: Driver> Send for DeviceMemory<D> {}

impl<D: Driver> DeviceMemory<D> {
    /// Find addresses for so many pages, and make them device-private memory (`memremap_pages()`). May sleep, long.
    ///
    /// # Errors
    /// [`Error::NoMemory`], or the kernel's.
    pub fn register(pages: usize, device: D) -> Result<&'static Self, Error> {
        let ops: &'static MemoryOps = &MemoryOps {
            page_free: page_free::<D>,
            migrate_to_ram: migrate_to_ram::<D>,
        };
        // SAFETY: any number may be asked for, and all zeroes is a valid record. What is not freed stays for ever.
        let memory = unsafe { glue::alloc_array(pages.max(1), size_of::<Record<D>>()) };
        let records = NonNull::new(memory.cast::<Record<D>>()).ok_or(NoMemory)?;
        let made = Self::with_records(pages, device, records, ops);
        if made.is_err() {
            // SAFETY: it was just allocated, and what could have referred to it is gone.
            unsafe { glue::free_array(memory) };
        }
        made
    }

    fn with_records(
        pages: usize,
        device: D,
        records: NonNull<Record<D>>,
        ops: &'static MemoryOps,
    ) -> Result<&'static Self, Error> {
        // SAFETY: `register()` allocated so many, all of them zeroes.
        let records: &'static [Record<D>] =
            unsafe { slice::from_raw_parts(records.as_ptr(), pages) };
        for (index, record) in records.iter().enumerate() {
            let next = index.wrapping_add(2);
            record
                .next
                .store(if next > pages { 0 } else { next }, Ordering::Relaxed);
        }
        let this = Boxed::new(Self {
            // Until there is C's.
            c: NonNull::dangling(),
            first: AtomicUsize::new(0),
            records,
            free: AtomicUsize::new(usize::from(pages > 0)),
            available: AtomicUsize::new(pages),
            device,
        })?
        .into_raw();
        // SAFETY: the table is there for ever, and so is the context, unless C forgets both below.
        let c = unsafe { glue::memory_new(ops, this.as_ptr().cast()) };
        let Some(c) = NonNull::new(c) else {
            // SAFETY: nobody else has it.
            drop(unsafe { Boxed::from_raw(this) });
            return Err(Error::NoMemory);
        };
        // INVARIANT: it is alive until it is freed below, where nobody has this any more.
        // SAFETY: nobody else has it: C calls back for pages only.
        unsafe { (*this.as_ptr()).c = c };
        // SAFETY: `c` is new.
        let ret = unsafe { glue::memory_register(c.as_ptr(), pages) };
        if let Err(error) = Error::check(ret) {
            // SAFETY: nobody else has either; there is no page that C would call back for.
            unsafe {
                glue::memory_free(c.as_ptr());
                drop(Boxed::from_raw(this));
            }
            return Err(error);
        }
        // SAFETY: it is never freed.
        let this = unsafe { &*this.as_ptr() };
        // INVARIANT: that is its first page.
        // SAFETY: `c` is alive.
        let first = unsafe { glue::memory_first(c.as_ptr()) };
        this.first.store(first, Ordering::Relaxed);
        Ok(this)
    }

    /// The device that has it.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Pages.
    pub fn pages(&self) -> usize {
        self.records.len()
    }

    /// Pages that are free, at some moment.
    pub fn free(&self) -> usize {
        self.available.load(Ordering::Relaxed)
    }

    /// The token by which the kernel knows it.
    pub(super) fn owner(&self) -> Owner {
        Owner(self.c.as_ptr() as usize)
    }

    fn first(&self) -> usize {
        self.first.load(Ordering::Relaxed)
    }

    /// The number of a page, if it is of this memory.
    pub(super) fn index_of(&self, page: Pfn) -> Option<usize> {
        let index = page.0.wrapping_sub(self.first());
        (index < self.records.len()).then_some(index)
    }

    /// What is known of a page, if it is of this memory.
    pub(super) fn record(&self, page: Pfn) -> Option<&Record<D>> {
        self.records.get(self.index_of(page)?)
    }

    fn locked<R>(&self, act: impl FnOnce() -> R) -> R {
        // SAFETY: by the type invariant it is alive; whoever has the lock does not take it again.
        unsafe { glue::memory_lock(self.c.as_ptr()) };
        let result = act();
        // SAFETY: it was just taken.
        unsafe { glue::memory_unlock(self.c.as_ptr()) };
        result
    }

    /// Take a free page, for a mirror. Does not sleep.
    pub(super) fn take(&'static self, mirror: &SharedRef<D>) -> Option<DevicePage<D>> {
        let index = self.locked(|| {
            let index = self.free.load(Ordering::Relaxed).checked_sub(1)?;
            let next = self.records.get(index)?.next.load(Ordering::Relaxed);
            self.free.store(next, Ordering::Relaxed);
            let available = self.available.load(Ordering::Relaxed);
            self.available
                .store(available.wrapping_sub(1), Ordering::Relaxed);
            Some(index)
        })?;
        let record = self.records.get(index)?;
        record
            .mirror
            .store(mirror.clone().into_raw(), Ordering::Release);
        let page = Pfn(self.first().wrapping_add(index));
        // SAFETY: it is a page of device memory that was free, and is nobody else's now.
        unsafe { glue::device_page_init(page.0) };
        // INVARIANT: it is locked, with one reference.
        Some(DevicePage { memory: self, page })
    }

    /// The last reference on a page is gone.
    fn freed(&self, page: Pfn) {
        let (Some(index), Some(record)) = (self.index_of(page), self.record(page)) else {
            return;
        };
        let mirror = NonNull::new(record.mirror.swap(null_mut(), Ordering::AcqRel));
        // SAFETY: `take()` left a reference there, which nobody else took.
        let mirror = mirror.map(|mirror| unsafe { SharedRef::from_raw(mirror) });
        if let Some(mirror) = &mirror {
            // SAFETY: it goes to `core`, which does not sleep here.
            let mut ops = unsafe { KernelOps::new() };
            pin::release::<Hardened, V6_12, _, _>(&mut ops, &mut Acting::new(mirror), page);
        }
        self.device.page_freed(index);
        self.locked(|| {
            // INVARIANT: it has no reference, and no mirror.
            record
                .next
                .store(self.free.load(Ordering::Relaxed), Ordering::Relaxed);
            self.free.store(index.wrapping_add(1), Ordering::Relaxed);
            let available = self.available.load(Ordering::Relaxed);
            self.available
                .store(available.wrapping_add(1), Ordering::Relaxed);
        });
    }

    /// A CPU touched a page.
    fn fault(&self, vma: Vma, addr: usize, page: Pfn) -> u32 {
        // Whose it is does not change while the caller has its reference on the page.
        let mirror = self
            .record(page)
            .map(|record| record.mirror.load(Ordering::Acquire));
        let Some(mirror) = mirror.and_then(NonNull::new) else {
            return VM_FAULT_SIGBUS;
        };
        // SAFETY: the record has a reference on it.
        let mirror = unsafe { SharedRef::borrow(mirror) };
        self.device.faulted(mirror.space());
        // SAFETY: it goes to `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        let done = pin::fault::<Hardened, V6_12, _, _>(
            &mut ops,
            &mut Acting::new(&mirror),
            vma,
            addr,
            page,
        );
        match done {
            Ok(Fault::Done) => 0,
            // The access is repeated, and faults again if there is reason to.
            Ok(Fault::Gone | Fault::Retry) => {
                task::cond_resched();
                0
            }
            Ok(Fault::NoMemory) => VM_FAULT_OOM,
            Err(_) => VM_FAULT_SIGBUS,
        }
    }
}

/// # Safety
///
/// `context` is of [`DeviceMemory::register`]; the last reference on `page`, a page of it, is gone.
unsafe extern "C" fn page_free<D: Driver>(context: *mut c_void, page: usize) {
    // SAFETY: by the safety requirement; it is never freed once it has pages.
    let memory: &DeviceMemory<D> = unsafe { &*context.cast() };
    memory.freed(Pfn(page));
}

/// # Safety
///
/// `context` is of [`DeviceMemory::register`]; the caller holds `mmap_lock` of the area for reading, and a reference
/// on `page`, a page of it.
unsafe extern "C" fn migrate_to_ram<D: Driver>(
    context: *mut c_void,
    vma: *mut VmArea,
    addr: usize,
    page: usize,
) -> u32 {
    // SAFETY: by the safety requirement; it is never freed once it has pages.
    let memory: &DeviceMemory<D> = unsafe { &*context.cast() };
    // SAFETY: by the safety requirement.
    match unsafe { Vma::new(vma) } {
        Some(vma) => memory.fault(vma, addr, Pfn(page)),
        None => VM_FAULT_SIGBUS,
    }
}

/// A page of device memory, taken and not given away yet. Dropping it frees it, which does not sleep.
///
/// # Invariants
///
/// It is locked, with one reference, both of which are this value's.
pub struct DevicePage<D: Driver> {
    memory: &'static DeviceMemory<D>,
    page: Pfn,
}

impl<D: Driver> DevicePage<D> {
    /// Which page of the device's memory it is, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.page.0.wrapping_sub(self.memory.first())
    }

    /// The page, locked, with its reference: the caller's now.
    pub(super) fn into_locked(self) -> Pfn {
        let page = self.page;
        core::mem::forget(self);
        page
    }
}

impl<D: Driver> Drop for DevicePage<D> {
    fn drop(&mut self) {
        // SAFETY: by the type invariant.
        unsafe { give_back(self.page) }
    }
}
