// SPDX-License-Identifier: GPL-2.0-only
//! A device that pins, with a driver in Rust that has no `unsafe`: `/dev/migrate_pin_rust0` and `1`.
//!
//! It does what `test_driver.c` does, for the same self-tests, with the same commands (`test_driver.h`): the device is
//! not there, but has device-private memory, a page table for each process that opens it, and does atomics on what it
//! has pinned. It can't do what takes words of a caller's on trust: destinations that are numbers, words that change
//! while a migration is under way, calls out of turn. Those are no commands of this device, since they do not compile.
#![no_std]
#![forbid(unsafe_code)]

mod commands;
mod device;

use migrate_pin_kernel::driver::{self, DeviceMemory, Error};

use device::{Node, Test, BACKING, PAGES};

fn init() -> Result<(), Error> {
    for (backing, name) in BACKING
        .iter()
        .zip([c"migrate_pin_rust0", c"migrate_pin_rust1"])
    {
        let memory = DeviceMemory::register(PAGES, Test::new(backing))?;
        driver::register(name, Node::new(memory))?;
    }
    Ok(())
}

migrate_pin_kernel::driver_init! {
    /// Brings the devices up.
    migrate_pin_rust_test_init = init
}
