// SPDX-License-Identifier: GPL-2.0-only
//! [`SystemPage`]: a page of system memory of the driver's own; [`PageSlot`]: a place for one.

use core::sync::atomic::{AtomicUsize, Ordering};

use migrate_pin_core::ops::MmOps;
use migrate_pin_core::{NoMemory, Pfn};

use super::glue;
use super::migration::Source;
use crate::ops::KernelOps;

/// A page of system memory that nobody else knows of; given back where it is dropped, which does not sleep.
///
/// # Invariants
///
/// It owns the one reference on the page, which is not locked.
#[derive(Debug)]
pub struct SystemPage(Pfn);

impl SystemPage {
    /// A page of zeroes, for the driver to keep. May sleep.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none.
    pub fn zeroed() -> Result<Self, NoMemory> {
        Self::alloc(false)
    }

    /// A page of zeroes that will be a process's.
    pub(super) fn for_user() -> Result<Self, NoMemory> {
        Self::alloc(true)
    }

    fn alloc(movable: bool) -> Result<Self, NoMemory> {
        // SAFETY: it may be called by anybody who may sleep.
        match unsafe { glue::alloc_page(movable) } {
            0 => Err(NoMemory),
            // INVARIANT: it is new.
            pfn => Ok(Self(Pfn(pfn))),
        }
    }

    /// Have the contents of another page.
    pub fn copy_from(&mut self, from: &Self) {
        // SAFETY: both pages are there, and whoever writes to them has a unique reference.
        unsafe { KernelOps::new() }.copy_page(self.0, from.0);
    }

    /// Have the contents of the source of a migration.
    pub fn copy_from_source(&mut self, from: &Source<'_>) {
        // SAFETY: both pages are there: the source is system memory, unmapped and locked by the migration.
        unsafe { KernelOps::new() }.copy_page(self.0, from.pfn());
    }

    /// The page, locked, with its reference: the caller's now.
    pub(super) fn into_locked(self) -> Pfn {
        let page = self.into_pfn();
        // SAFETY: the page is there. Nobody else knows of it, so nobody has locked it.
        let _locked = unsafe { KernelOps::new() }.trylock_page(page);
        page
    }

    fn into_pfn(self) -> Pfn {
        let page = self.0;
        core::mem::forget(self);
        page
    }
}

impl Drop for SystemPage {
    fn drop(&mut self) {
        // SAFETY: by the type invariant the reference is its own.
        unsafe { KernelOps::new() }.put_page(self.0);
    }
}

/// Give back a page that is locked, with one reference.
///
/// # Safety
///
/// The lock and the reference are the caller's, and nobody's after this.
pub(super) unsafe fn give_back(page: Pfn) {
    // SAFETY: by the safety requirement.
    let mut ops = unsafe { KernelOps::new() };
    ops.unlock_page(page);
    ops.put_page(page);
}

/// A place for a [`SystemPage`] that several tasks may put one in or take it from.
///
/// # Invariants
///
/// What is in it, if not 0, is what a `SystemPage` was made into.
#[derive(Debug, Default)]
pub struct PageSlot(AtomicUsize);

impl PageSlot {
    /// With nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Put a page in, or nothing; what was there.
    pub fn replace(&self, page: Option<SystemPage>) -> Option<SystemPage> {
        let pfn = page.map_or(0, |page| page.into_pfn().0);
        match self.0.swap(pfn, Ordering::AcqRel) {
            0 => None,
            // INVARIANT: by the type invariant; the slot has it no more.
            pfn => Some(SystemPage(Pfn(pfn))),
        }
    }
}

impl Drop for PageSlot {
    fn drop(&mut self) {
        drop(self.replace(None));
    }
}
