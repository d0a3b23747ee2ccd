// SPDX-License-Identifier: GPL-2.0-only
//! The calls for drivers in Rust: nothing in here takes a word on trust, so that a driver needs no `unsafe`.
//!
//! | what | for |
//! | --- | --- |
//! | [`DeviceMemory`], [`DevicePage`] | device-private memory: registered, taken, and given back by dropping |
//! | [`Driver`] | what the driver is called back for: its device's mappings, copies, and news |
//! | [`Mm`], [`MmUsers`], [`MmapRead`], [`Area`] | an address space, its users, its lock, and what is there as long as the lock is |
//! | [`Mirror`] | an address space as a device sees it: acquire, grant, revoke, and the device's own accesses |
//! | [`Migration`], [`Moved`], [`Words`] | a migration of one's own, as a typestate that ends before the lock does |
//! | [`SystemPage`], [`PageSlot`], [`Source`] | contents |
//! | [`CharDevice`], [`User`] | a file for processes to open |
//!
//! The fault on a device page, the invalidation of a range and the release of a pin are not calls of the driver's: the
//! trampolines of its memory and its mirrors make them. `core`'s [`Device`](migrate_pin_core::Device) is not the
//! driver's to implement either, as it is for one in C: `core` relies on what it answers (that the pair which it was
//! told to remember is the one that it is told of, that what the device says it had mapped was a page), and what is
//! relied on can't be left to safe code. The records of [`DeviceMemory`] and the table of [`Mirror`] answer; the driver
//! is told of each mapping that comes and goes.
//!
//! There is no abstraction of `mmap_lock`, of `dev_pagemap`, interval notifiers or character devices in the `kernel`
//! crate of 6.12. This module needs nothing of that crate, so that it can be checked on any machine, misuse included.
//! Below it is `driver_glue.c`.
//!
//! Who may sleep is said of each call. A call that may sleep where nothing may is a bug that the kernel finds
//! (`DEBUG_ATOMIC_SLEEP`), not the compiler.

mod boxed;
mod chardev;
mod error;
mod glue;
mod look;
mod memory;
mod migration;
mod mirror;
mod mm;
mod page;
mod task;
mod words;

pub use chardev::{register, CharDevice};
pub use error::{Error, EFAULT, EINTR, EIO, ENOENT, ENOMEM, ENOTTY, EOPNOTSUPP, ERRNOS};
pub use glue::{
    CMemory, CMirror, CharOps, MemoryOps, MirrorOps, MmStruct, XArray, CHAR_OPS, GLUE, MEMORY_OPS,
    MIRROR_OPS, TABLES,
};
pub use look::{drain_lru, page, pins, Look, Page};
pub use memory::{DeviceMemory, DevicePage, FAULTS};
pub use migration::{Migration, Moved, Source};
pub use mirror::Mirror;
pub use mm::{Area, Mm, MmUsers, MmapRead};
pub use page::{PageSlot, SystemPage};
pub use task::{cond_resched, signal_pending, User};
pub use words::Words;

use migrate_pin_core::{Access, NoMemory, Pfn};

/// Name the function that brings a driver up, `fn() -> Result<(), Error>`, as C calls it (from an initcall). Returns
/// 0 or a negative errno there.
///
/// It is this crate's `unsafe` to give a function a name that C finds; the driver has none.
#[macro_export]
macro_rules! driver_init {
    ($(#[doc = $doc:literal])* $name:ident = $init:path) => {
        $(#[doc = $doc])*
        #[no_mangle]
        pub extern "C" fn $name() -> i32 {
            let init: fn() -> Result<(), $crate::driver::Error> = $init;
            match init() {
                Ok(()) => 0,
                Err(error) => error.errno().wrapping_neg(),
            }
        }
    };
}

/// A device that pins, and what its driver is called back for.
pub trait Driver: Send + Sync + Sized + 'static {
    /// What the driver keeps for an address space, from [`Mirror::of_current`] on until the last page that stands in it
    /// is gone; dropped where nothing may sleep.
    type Space: Send + Sync + 'static;

    /// A page of the device's memory is about to be taken: may it? Does not sleep.
    ///
    /// # Errors
    /// [`NoMemory`] if not: as if there were none left.
    fn may_take_page(&self, space: &Self::Space) -> Result<(), NoMemory> {
        let _ = space;
        Ok(())
    }

    /// The device may use a page at an address, or may write to one that it only read by now. Under the lock of the
    /// mirror's page table; does not sleep, and calls nothing of the mirror.
    ///
    /// # Errors
    /// [`NoMemory`] if the device's own page table can't grow; the page is not mapped then.
    fn map(
        &self,
        space: &Self::Space,
        addr: usize,
        page: Pfn,
        access: Access,
    ) -> Result<(), NoMemory> {
        let _ = (space, addr, page, access);
        Ok(())
    }

    /// The device may not use the page at an address any more: it has let go of it when this returns. True if it wrote
    /// to it by other ways than [`Mirror::update`]. Under the lock of the mirror's page table; does not sleep, and calls
    /// nothing of the mirror.
    fn unmap(&self, space: &Self::Space, addr: usize) -> bool {
        let _ = (space, addr);
        false
    }

    /// Copy a page of the device's memory, which stands for no pin and which the device does not write to any more.
    /// `mmap_lock` is held for reading; may sleep.
    ///
    /// # Errors
    /// [`NoMemory`]: the process that wants it may try again.
    fn copy_to_system(
        &self,
        space: &Self::Space,
        index: usize,
        to: &mut SystemPage,
    ) -> Result<(), NoMemory>;

    /// A page of the device's memory is free again. Under a lock of page tables; does not sleep.
    fn page_freed(&self, index: usize) {
        let _ = index;
    }

    /// A CPU touched a page that stands in the mirror, and is about to get it. `mmap_lock` is held for reading.
    fn faulted(&self, space: &Self::Space) {
        let _ = space;
    }

    /// A range of the mirror is about to be invalidated. Does not sleep.
    fn invalidated(&self, space: &Self::Space) {
        let _ = space;
    }
}
