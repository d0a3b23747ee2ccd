// SPDX-License-Identifier: GPL-2.0-only
//! [`Words`]: the source and destination words of a range.

use core::mem::size_of;
use core::ptr::NonNull;
use core::slice;

use migrate_pin_core::{DstPfn, NoMemory, SrcPfn};

use super::glue;

/// A source word and a destination word for each page of a range.
///
/// # Invariants
///
/// The pointer is to `2 * pages` words in memory of `kvcalloc()`, which this value owns: the sources, then the
/// destinations.
#[derive(Debug)]
pub struct Words {
    words: NonNull<usize>,
    pages: usize,
}

// SAFETY: it owns what it points to.
unsafe impl Send for Words {}
// SAFETY: nothing can be changed through a shared reference.
unsafe impl Sync for Words {}

impl Words {
    /// For so many pages, all words 0. May sleep.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none.
    pub fn new(pages: usize) -> Result<Self, NoMemory> {
        let n = pages.checked_mul(2).ok_or(NoMemory)?;
        // SAFETY: any number may be asked for; that it is too large is the kernel's to find. One at least, so that
        // the address is one.
        let words = unsafe { glue::alloc_array(n.max(1), size_of::<usize>()) };
        let words = NonNull::new(words.cast()).ok_or(NoMemory)?;
        // INVARIANT: they were just allocated, all 0.
        Ok(Self { words, pages })
    }

    /// Words of each kind.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// The source words.
    #[must_use]
    pub fn src(&self) -> &[SrcPfn] {
        // SAFETY: by the type invariant; `SrcPfn` is transparent over `usize`, any value of which is valid.
        unsafe { slice::from_raw_parts(self.words.as_ptr().cast(), self.pages) }
    }

    /// The source words, to be filled in before setup: 0, or [`SrcPfn::PIN`]; anything else is refused there.
    pub fn src_mut(&mut self) -> &mut [SrcPfn] {
        self.both().0
    }

    /// Source and destination words.
    pub(super) fn both(&mut self) -> (&mut [SrcPfn], &mut [DstPfn]) {
        let src = self.words.as_ptr();
        // SAFETY: by the type invariant the words are there, and the halves do not overlap; `SrcPfn` and `DstPfn` are
        // transparent over `usize`, any value of which is valid.
        unsafe {
            (
                slice::from_raw_parts_mut(src.cast(), self.pages),
                slice::from_raw_parts_mut(src.add(self.pages).cast(), self.pages),
            )
        }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: by the type invariant.
        unsafe { glue::free_array(self.words.as_ptr().cast()) }
    }
}
