// SPDX-License-Identifier: GPL-2.0-only
//! [`Boxed`]: a value in the kernel's memory.

use core::mem::{align_of, size_of};
use core::ops::Deref;
use core::ptr::{drop_in_place, NonNull};

use migrate_pin_core::NoMemory;

use super::glue;

/// A value in memory of `kzalloc()`; freed where it is dropped, which may be where nothing may sleep.
///
/// # Invariants
///
/// The pointer is to a valid value in such memory, which this value owns.
pub(super) struct Boxed<T>(NonNull<T>);

// SAFETY: it owns the value, as if it had it itself.
unsafe impl<T: Send> Send for Boxed<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Boxed<T> {}

impl<T> Boxed<T> {
    /// May sleep.
    pub(super) fn new(value: T) -> Result<Self, NoMemory> {
        // What kmalloc() aligns everything to, at least.
        const { assert!(align_of::<T>() <= 8) };
        // SAFETY: any size may be asked for; one that is not 0, so that the address is one.
        let memory = unsafe { glue::alloc(size_of::<T>().max(1)) };
        let memory = NonNull::new(memory.cast::<T>()).ok_or(NoMemory)?;
        // SAFETY: it is new memory, large enough and aligned.
        unsafe { memory.as_ptr().write(value) };
        // INVARIANT: a value was just written there.
        Ok(Self(memory))
    }

    /// The value belongs to whoever has the pointer, until [`Self::from_raw`].
    pub(super) fn into_raw(self) -> NonNull<T> {
        let raw = self.0;
        core::mem::forget(self);
        raw
    }

    /// # Safety
    ///
    /// `raw` is of [`Self::into_raw`], and nobody uses the value in any other way any more.
    pub(super) unsafe fn from_raw(raw: NonNull<T>) -> Self {
        // INVARIANT: by the safety requirement.
        Self(raw)
    }

    /// The value stays for as long as the kernel runs.
    pub(super) fn leak(self) -> &'static T {
        // SAFETY: by the type invariant; nobody frees it any more.
        unsafe { &*self.into_raw().as_ptr() }
    }
}

impl<T> Deref for Boxed<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: by the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Boxed<T> {
    fn drop(&mut self) {
        // SAFETY: by the type invariant it is a valid value that nobody uses after this.
        unsafe {
            drop_in_place(self.0.as_ptr());
            glue::free(self.0.as_ptr().cast());
        }
    }
}
