// SPDX-License-Identifier: GPL-2.0-only
//! Why a call of a driver's was refused, or failed.

use migrate_pin_core::NoMemory;

macro_rules! errnos {
    ($($(#[doc = $doc:literal])* $name:ident = $value:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: i32 = $value;)*

        /// The numbers, for the C compiler to check.
        pub const ERRNOS: &[(&str, usize)] = &[$((stringify!($name), $value)),*];
    };
}
errnos! {
    /// No such entry.
    ENOENT = 2;
    /// A signal is pending.
    EINTR = 4;
    /// Input or output failed.
    EIO = 5;
    /// No memory.
    ENOMEM = 12;
    /// Not an address of the caller's.
    EFAULT = 14;
    /// Not a command of this device.
    ENOTTY = 25;
    /// A command that this device does not do.
    EOPNOTSUPP = 95;
}

/// Why a call was refused or failed. Nothing was taken or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// What was asked for is wrong; what is wrong with it.
    Refused(migrate_pin_core::Error),
    /// The area is of another address space than the mirror; expected one of the mirror's own.
    OtherAddressSpace,
    /// An allocation failed.
    NoMemory,
    /// The kernel's own answer, a positive errno.
    Kernel(i32),
}

impl Error {
    /// The positive errno that user space is to see.
    #[must_use]
    pub fn errno(self) -> i32 {
        match self {
            Self::Refused(error) => error.errno(),
            Self::OtherAddressSpace => migrate_pin_core::error::EINVAL,
            Self::NoMemory => ENOMEM,
            Self::Kernel(errno) => errno,
        }
    }

    /// What a function of the kernel returned: 0 or a negative errno.
    pub(super) fn check(ret: i32) -> Result<(), Self> {
        match ret {
            0 => Ok(()),
            ret => Err(Self::Kernel(ret.wrapping_neg())),
        }
    }
}

impl From<migrate_pin_core::Error> for Error {
    fn from(error: migrate_pin_core::Error) -> Self {
        Self::Refused(error)
    }
}

impl From<NoMemory> for Error {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}
