// SPDX-License-Identifier: GPL-2.0-only
//! The device, and what is kept for each process that opens it.

use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use migrate_pin_core::{Access, NoMemory, Pfn};
use migrate_pin_kernel::driver::{
    CharDevice, DeviceMemory, Driver, Error, Mirror, PageSlot, SystemPage, User,
};

use crate::commands;

/// Pages of each device's memory, as of the driver in C.
pub(crate) const PAGES: usize = 4608;

/// What the pages of each device's memory hold that stand for no pin.
pub(crate) static BACKING: [[PageSlot; PAGES]; 2] =
    [const { [const { PageSlot::new() }; PAGES] }; 2];

/// A device that is not there: its memory is pages of the system's.
pub(crate) struct Test {
    backing: &'static [PageSlot],
}

impl Test {
    pub(crate) const fn new(backing: &'static [PageSlot]) -> Self {
        Self { backing }
    }

    /// A page of its memory holds this.
    pub(crate) fn fill(&self, index: usize, with: Option<SystemPage>) -> Option<SystemPage> {
        self.backing.get(index)?.replace(with)
    }
}

/// Which call of the driver's own allocations is to fail.
#[derive(Clone, Copy)]
pub(crate) enum Fail {
    Alloc,
    Map,
    Copy,
}

/// What is kept for a process.
#[derive(Default)]
pub(crate) struct Space {
    fails: [AtomicI32; 3],
    pub(crate) faults: AtomicU64,
    pub(crate) invalidations: AtomicU64,
}

impl Space {
    pub(crate) fn set_fail(&self, what: Fail, nth: i32) {
        let [alloc, map, copy] = &self.fails;
        let counter = match what {
            Fail::Alloc => alloc,
            Fail::Map => map,
            Fail::Copy => copy,
        };
        counter.store(nth, Ordering::Relaxed);
    }

    /// Is this the call that is to fail?
    fn check(&self, what: Fail) -> Result<(), NoMemory> {
        let [alloc, map, copy] = &self.fails;
        let counter = match what {
            Fail::Alloc => alloc,
            Fail::Map => map,
            Fail::Copy => copy,
        };
        let one_less = |left: i32| if left > 0 { left.checked_sub(1) } else { None };
        match counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            Ok(1) => Err(NoMemory),
            _ => Ok(()),
        }
    }
}

impl Driver for Test {
    type Space = Space;

    fn may_take_page(&self, space: &Space) -> Result<(), NoMemory> {
        space.check(Fail::Alloc)
    }

    fn map(&self, space: &Space, _: usize, _: Pfn, _: Access) -> Result<(), NoMemory> {
        space.check(Fail::Map)
    }

    fn copy_to_system(
        &self,
        space: &Space,
        index: usize,
        to: &mut SystemPage,
    ) -> Result<(), NoMemory> {
        space.check(Fail::Copy)?;
        // Out of its place while it is read; what was never filled holds zeroes, as the new page does.
        if let Some(backing) = self.fill(index, None) {
            to.copy_from(&backing);
            self.fill(index, Some(backing));
        }
        Ok(())
    }

    fn page_freed(&self, index: usize) {
        drop(self.fill(index, None));
    }

    fn faulted(&self, space: &Space) {
        space.faults.fetch_add(1, Ordering::Relaxed);
    }

    fn invalidated(&self, space: &Space) {
        space.invalidations.fetch_add(1, Ordering::Relaxed);
    }
}

/// The file in `/dev`.
pub(crate) struct Node {
    memory: &'static DeviceMemory<Test>,
}

impl Node {
    pub(crate) const fn new(memory: &'static DeviceMemory<Test>) -> Self {
        Self { memory }
    }
}

/// What a process has opened.
pub(crate) struct Opened {
    pub(crate) memory: &'static DeviceMemory<Test>,
    pub(crate) mirror: Mirror<Test>,
}

impl CharDevice for Node {
    type File = Opened;

    fn open(&'static self) -> Result<Opened, Error> {
        Ok(Opened {
            memory: self.memory,
            mirror: Mirror::of_current(self.memory, Space::default())?,
        })
    }

    fn ioctl(file: &Opened, command: u32, arg: User) -> Result<(), Error> {
        commands::run(file, command, arg)
    }
}
