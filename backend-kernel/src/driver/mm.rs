// SPDX-License-Identifier: GPL-2.0-only
//! [`Mm`], [`MmUsers`], [`MmapRead`], [`Area`]: an address space, those who keep it from going away, its lock held for
//! reading, and an area that is there as long as the lock is.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use migrate_pin_core::ops::{MmOps, Range};

use super::error::Error;
use super::glue::{self, MmStruct};
use super::look::{self, Look};
use crate::abi::VmArea;
use crate::ops::{KernelOps, Vma};

/// An address space (`struct mm_struct`), which is not freed as long as this lives; what is mapped in it may go.
///
/// # Invariants
///
/// It owns a reference on `mm_count` of the `mm_struct` that it points to.
pub struct Mm(NonNull<MmStruct>);

// SAFETY: it may be dropped by any task; `mmdrop()` does not care which.
unsafe impl Send for Mm {}
// SAFETY: what can be done through a reference is atomic.
unsafe impl Sync for Mm {}

impl Mm {
    /// That of the current task (`mmgrab()`), unless it is a thread of the kernel. Does not sleep.
    #[must_use]
    pub fn current() -> Option<Self> {
        // SAFETY: it reads a field of the current task.
        let mm = NonNull::new(unsafe { glue::current_mm() })?;
        // SAFETY: the current task has a reference on it.
        unsafe { glue::mmgrab(mm.as_ptr()) };
        // INVARIANT: the reference was just taken.
        Some(Self(mm))
    }

    /// Is it the current task's?
    #[must_use]
    pub fn is_current(&self) -> bool {
        // SAFETY: it reads a field of the current task.
        self.0.as_ptr() == unsafe { glue::current_mm() }
    }

    /// Keep what is mapped in it (`mmget_not_zero()`). None if its last user is gone. Does not sleep.
    #[must_use]
    pub fn users(&self) -> Option<MmUsers<'_>> {
        // SAFETY: by the type invariant it is there.
        match unsafe { glue::mmget_not_zero(self.0.as_ptr()) } {
            // INVARIANT: the reference was just taken.
            true => Some(MmUsers(self)),
            false => None,
        }
    }

    pub(super) fn as_ptr(&self) -> *mut MmStruct {
        self.0.as_ptr()
    }
}

impl Drop for Mm {
    fn drop(&mut self) {
        // SAFETY: by the type invariant.
        unsafe { glue::mmdrop(self.0.as_ptr()) }
    }
}

// Inlined, so that an object that prints nothing has none of it.
impl fmt::Debug for Mm {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mm")
    }
}

/// A user of an address space: what is mapped in it stays until the process, or this, lets go of it.
///
/// Dropping it (`mmput()`) may sleep, and may be what tears everything down: no lock of the driver's is held then
/// that a notifier's callback or `page_free` takes.
///
/// # Invariants
///
/// It owns a reference on `mm_users`.
#[derive(Debug)]
pub struct MmUsers<'a>(&'a Mm);

impl MmUsers<'_> {
    /// Take `mmap_lock` for reading. May sleep; the caller does not hold it already.
    #[must_use]
    pub fn read_lock(&self) -> MmapRead<'_> {
        // SAFETY: by the type invariants it is there.
        unsafe { glue::mmap_read_lock(self.0.as_ptr()) };
        // INVARIANT: it was just taken.
        MmapRead {
            mm: self.0,
            task: PhantomData,
        }
    }

    /// The same, unless it would have to wait. Does not sleep.
    #[must_use]
    pub fn try_read_lock(&self) -> Option<MmapRead<'_>> {
        // SAFETY: by the type invariants it is there.
        match unsafe { glue::mmap_read_trylock(self.0.as_ptr()) } {
            // INVARIANT: it was just taken.
            true => Some(MmapRead {
                mm: self.0,
                task: PhantomData,
            }),
            false => None,
        }
    }

    pub(super) fn mm(&self) -> &Mm {
        self.0
    }
}

impl Drop for MmUsers<'_> {
    fn drop(&mut self) {
        // SAFETY: by the type invariant.
        unsafe { glue::mmput(self.0.as_ptr()) }
    }
}

/// `mmap_lock` of an address space, held for reading by the current task until this is dropped.
///
/// What is found under it can't outlive it:
///
/// ```no_run
/// use migrate_pin_kernel::driver::{Area, MmUsers};
/// fn range(users: &MmUsers<'_>, addr: usize) -> Option<migrate_pin_core::Range> {
///     let lock = users.read_lock();
///     let range = lock.area_at(addr)?.range();
///     Some(range)
/// }
/// ```
///
/// ```compile_fail,E0515
/// use migrate_pin_kernel::driver::{Area, MmUsers};
/// fn area<'a>(users: &'a MmUsers<'a>, addr: usize) -> Option<Area<'a>> {
///     let lock = users.read_lock();
///     lock.area_at(addr) // the lock is dropped here
/// }
/// ```
///
/// ```compile_fail,E0505
/// use migrate_pin_kernel::driver::MmUsers;
/// fn late(users: &MmUsers<'_>, addr: usize) -> Option<migrate_pin_core::Range> {
///     let lock = users.read_lock();
///     let area = lock.area_at(addr)?;
///     drop(lock);
///     Some(area.range())
/// }
/// ```
///
/// Nor can the lock be given to another task, which would have to drop it:
///
/// ```compile_fail,E0277
/// fn sent<T: Send>() {}
/// sent::<migrate_pin_kernel::driver::MmapRead<'static>>();
/// ```
///
/// # Invariants
///
/// The current task holds the lock of `mm`, which has a user for as long.
#[derive(Debug)]
pub struct MmapRead<'a> {
    mm: &'a Mm,
    task: PhantomData<*mut ()>,
}

impl MmapRead<'_> {
    /// The area that an address is in (`vma_lookup()`). Does not sleep.
    #[must_use]
    pub fn area_at(&self, addr: usize) -> Option<Area<'_>> {
        // SAFETY: by the type invariants it is there, and the lock is held.
        let vma = unsafe { Vma::new(glue::vma_lookup(self.mm.as_ptr(), addr)) }?;
        // INVARIANT: the lock is held as long as the borrow lasts, and nobody unmaps an area meanwhile.
        Some(Area {
            vma,
            lock: PhantomData,
            task: PhantomData,
        })
    }

    /// Fault a page in, as if the process had touched it (`fixup_user_fault()`). May sleep. The lock may be dropped
    /// and taken again meanwhile, so that no area is kept over it:
    ///
    /// ```compile_fail,E0502
    /// use migrate_pin_kernel::driver::{Error, MmUsers};
    /// fn stale(users: &MmUsers<'_>, addr: usize) -> Result<(), Error> {
    ///     let mut lock = users.read_lock();
    ///     let area = lock.area_at(addr);
    ///     lock.fault_in(addr, true)?;
    ///     let _ = area.map(|area| area.range());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::Kernel`]: `EFAULT` where a process would get a signal, `ENOMEM`, `EINTR`.
    pub fn fault_in(&mut self, addr: usize, write: bool) -> Result<(), Error> {
        // SAFETY: by the type invariants it is there, and the lock is held; it is when the function returns.
        Error::check(unsafe { glue::fixup_user_fault(self.mm.as_ptr(), addr, write) })
    }
}

impl Drop for MmapRead<'_> {
    fn drop(&mut self) {
        // SAFETY: by the type invariants.
        unsafe { glue::mmap_read_unlock(self.mm.as_ptr()) }
    }
}

/// An area of an address space (`struct vm_area_struct`), under the lock.
///
/// # Invariants
///
/// `mmap_lock` of its address space is held for reading by the current task for as long as `'a`, and the area is there.
#[derive(Clone, Copy, Debug)]
pub struct Area<'a> {
    vma: Vma,
    lock: PhantomData<&'a ()>,
    task: PhantomData<*mut ()>,
}

impl Area<'_> {
    /// The addresses that it covers. Does not sleep.
    #[must_use]
    pub fn range(self) -> Range {
        // SAFETY: the one primitive that is called needs nothing but the area.
        unsafe { KernelOps::new() }.vma_facts(self.vma).range
    }

    /// What stands at an address, with the state of the page that it names, and whose it is. Does not sleep. By the
    /// time that it is read it may have changed: for looking at, not for deciding on.
    #[must_use]
    pub fn look(self, addr: usize) -> Look {
        look::at(self.vma, addr)
    }

    pub(super) fn vma(self) -> Vma {
        self.vma
    }

    pub(super) fn is_of(self, mm: &Mm) -> bool {
        let vma: *mut VmArea = self.vma.as_ptr();
        // SAFETY: by the type invariants the area is there.
        unsafe { glue::vma_mm(vma) == mm.as_ptr() }
    }
}
