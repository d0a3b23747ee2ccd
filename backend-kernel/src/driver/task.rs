// SPDX-License-Identifier: GPL-2.0-only
//! The current task.

use super::error::Error;
use super::glue;

/// Let others run, if it is time (`cond_resched()`). May sleep.
pub fn cond_resched() {
    // SAFETY: it may be called by anybody who may sleep.
    unsafe { glue::cond_resched() }
}

/// Has it a signal to handle (`signal_pending()`)?
#[must_use]
pub fn signal_pending() -> bool {
    // SAFETY: it reads the current task.
    unsafe { glue::signal_pending() }
}

/// Memory of the process that made a system call, at an address that it gave.
#[derive(Clone, Copy, Debug)]
pub struct User(usize);

impl User {
    /// At `addr`, whatever that is.
    #[must_use]
    pub const fn new(addr: usize) -> Self {
        Self(addr)
    }

    /// So many words further on.
    #[must_use]
    pub const fn word(self, n: usize) -> Self {
        Self(self.0.wrapping_add(n.wrapping_mul(8)))
    }

    /// Read words (`copy_from_user()`). May sleep.
    ///
    /// # Errors
    /// [`Error::Kernel`] with `EFAULT` if not all of them are memory of the process.
    pub fn read(self, words: &mut [u64]) -> Result<(), Error> {
        let to = words.as_mut_ptr().cast();
        // SAFETY: it is memory of our own, of that size; any value is a valid word. The kernel checks the other side.
        done(unsafe { glue::copy_from_user(to, self.0, size_of_val(words)) })
    }

    /// Write words (`copy_to_user()`). May sleep.
    ///
    /// # Errors
    /// As [`User::read`].
    pub fn write(self, words: &[u64]) -> Result<(), Error> {
        let from = words.as_ptr().cast();
        // SAFETY: it is memory of our own, of that size. The kernel checks the other side.
        done(unsafe { glue::copy_to_user(self.0, from, size_of_val(words)) })
    }
}

fn done(copied: bool) -> Result<(), Error> {
    match copied {
        true => Ok(()),
        false => Err(Error::Kernel(super::error::EFAULT)),
    }
}

use core::mem::size_of_val;
