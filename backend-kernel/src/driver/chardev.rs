// SPDX-License-Identifier: GPL-2.0-only
//! [`CharDevice`]: a file in `/dev` that processes open and give commands to. 6.12's `kernel` crate has none.

use core::ffi::{c_void, CStr};

use super::boxed::Boxed;
use super::error::Error;
use super::glue::{self, CharOps};
use super::task::User;

/// A character device.
pub trait CharDevice: Send + Sync + Sized + 'static {
    /// What is opened; dropped when the last who has it closes it, where it may sleep.
    type File: Send + Sync + 'static;

    /// A process opens it. May sleep.
    ///
    /// # Errors
    /// What the process is to see.
    fn open(&'static self) -> Result<Self::File, Error>;

    /// A command, by any task that has the file, perhaps several at a time. May sleep.
    ///
    /// # Errors
    /// What the process is to see.
    fn ioctl(file: &Self::File, command: u32, arg: User) -> Result<(), Error>;
}

/// A file as C knows it.
#[repr(C)]
struct Opened<C: CharDevice> {
    /// First, for C to find.
    ops: *const CharOps,
    file: C::File,
}

/// Make the device known by this name (`misc_register()`), for as long as the kernel runs. May sleep.
///
/// # Errors
/// [`Error::NoMemory`], or the kernel's.
pub fn register<C: CharDevice>(name: &'static CStr, device: C) -> Result<&'static C, Error> {
    let device = Boxed::new(device)?;
    let context: *const C = &*device;
    let ops: &'static CharOps = &CharOps {
        open: open::<C>,
        release: release::<C>,
        ioctl: ioctl::<C>,
    };
    // SAFETY: name and table are there for ever; so is the device, if this succeeds, and else C forgets all of them.
    let ret = unsafe { glue::char_register(name.as_ptr(), ops, context.cast_mut().cast()) };
    Error::check(ret)?;
    Ok(device.leak())
}

/// # Safety
///
/// `context` is what was registered, `file` a place for what is opened.
unsafe extern "C" fn open<C: CharDevice>(context: *mut c_void, file: *mut *mut c_void) -> i32 {
    // SAFETY: by the safety requirement; it was leaked.
    let device: &'static C = unsafe { &*context.cast() };
    let opened = device.open().and_then(|opened| {
        let ops = &CharOps {
            open: open::<C>,
            release: release::<C>,
            ioctl: ioctl::<C>,
        };
        Ok(Boxed::new(Opened::<C> { ops, file: opened })?)
    });
    match opened {
        Ok(opened) => {
            // SAFETY: by the safety requirement.
            unsafe { *file = opened.into_raw().as_ptr().cast() };
            0
        }
        Err(error) => error.errno().wrapping_neg(),
    }
}

/// # Safety
///
/// `file` is of [`open`], and nobody uses it any more.
unsafe extern "C" fn release<C: CharDevice>(file: *mut c_void) {
    if let Some(file) = core::ptr::NonNull::new(file.cast::<Opened<C>>()) {
        // SAFETY: by the safety requirement.
        drop(unsafe { Boxed::from_raw(file) });
    }
}

/// # Safety
///
/// `file` is of [`open`].
unsafe extern "C" fn ioctl<C: CharDevice>(file: *mut c_void, command: u32, arg: usize) -> isize {
    // SAFETY: by the safety requirement; it is closed only when no command is under way.
    let opened = unsafe { &*file.cast::<Opened<C>>() };
    match C::ioctl(&opened.file, command, User::new(arg)) {
        Ok(()) => 0,
        Err(error) => error.errno().wrapping_neg() as isize,
    }
}
