// SPDX-License-Identifier: GPL-2.0-only
//! `/dev/migrate_pin*`, as `test_driver.h` describes it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// `struct migrate_pin_test`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Test {
    pub addr: u64,
    pub npages: u64,
    pub arg: u64,
    pub value: u64,
    pub src: u64,
    pub dst: u64,
    pub out: [u64; 8],
}

const fn command(nr: u64) -> u64 {
    // _IOWR('P', nr, struct migrate_pin_test)
    3 << 30 | (size_of::<Test>() as u64) << 16 | (b'P' as u64) << 8 | nr
}

/// Which call of the driver's own allocations fails.
#[derive(Clone, Copy)]
pub enum Fail {
    Alloc = 0,
    Map = 1,
    Copy = 2,
}

pub const RAW_DEVICE: u64 = 1 << 62 | 1;
pub const RAW_SYSTEM: u64 = 1 << 62 | 2;
pub const TAMPER: u64 = 1;
pub const SKIP: u64 = 2;
pub const ORDER: u64 = 4;

pub const PTE_NONE: u64 = 0;
pub const PTE_ZERO: u64 = 1;
pub const PTE_PAGE: u64 = 3;
pub const PTE_DEVICE: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageInfo {
    pub entry: u64,
    pub pfn: u64,
    pub count: u64,
    pub mapcount: u64,
    pub lru: bool,
    pub locked: bool,
    pub pinned: bool,
    pub dirty: bool,
    pub write: bool,
    pub pte_dirty: bool,
    pub young: bool,
}

impl PageInfo {
    fn of(out: &[u64; 8]) -> Self {
        Self {
            entry: out[0],
            pfn: out[1],
            count: out[2],
            mapcount: out[3],
            lru: out[4] & 1 != 0,
            locked: out[4] & 2 != 0,
            pinned: out[4] & 4 != 0,
            dirty: out[4] & 8 != 0,
            write: out[5] & 0x100 != 0,
            pte_dirty: out[5] & 0x200 != 0,
            young: out[5] & 0x400 != 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Stats {
    pub free: u64,
    pub all: u64,
    pub mappings: u64,
    pub faults: u64,
    pub pins: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Raw {
    pub setup: u64,
    pub pages: u64,
    pub finalize: u64,
    pub cpages: u64,
    pub early: u64,
}

/// The devices whose driver is in safe Rust.
static RUST: AtomicBool = AtomicBool::new(false);

/// From now on it is those that are opened.
pub fn choose_rust() {
    RUST.store(true, Ordering::Relaxed);
}

/// Can the devices not be given words that a driver in safe Rust has no way to hand on?
pub fn is_rust() -> bool {
    RUST.load(Ordering::Relaxed)
}

/// A device, opened by this process.
pub struct Device(File);

impl Device {
    pub fn open(number: usize) -> io::Result<Self> {
        Self::open_of(number, is_rust())
    }

    /// Of the other driver.
    pub fn open_other(number: usize) -> io::Result<Self> {
        Self::open_of(number, !is_rust())
    }

    fn open_of(number: usize, rust: bool) -> io::Result<Self> {
        let path = match rust {
            true => format!("/dev/migrate_pin_rust{number}"),
            false => format!("/dev/migrate_pin{number}"),
        };
        Ok(Self(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn call(&self, nr: u64, test: Test) -> io::Result<[u64; 8]> {
        let mut test = test;
        // SAFETY: the driver reads and writes the structure, whose layout is the driver's, and the words that it
        // points to.
        let ret = unsafe { libc::ioctl(self.0.as_raw_fd(), command(nr) as _, &mut test) };
        match ret {
            0 => Ok(test.out),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn range(&self, nr: u64, addr: usize, npages: usize, arg: u64) -> io::Result<[u64; 8]> {
        self.call(
            nr,
            Test {
                addr: addr as u64,
                npages: npages as u64,
                arg,
                ..Test::default()
            },
        )
    }

    /// Pages that are pinned and mapped, and pages that are pinned only.
    pub fn acquire(&self, addr: usize, npages: usize) -> io::Result<(u64, u64)> {
        self.range(1, addr, npages, 1).map(|out| (out[0], out[1]))
    }

    /// Pages that could not be given back.
    pub fn revoke(&self, addr: usize, npages: usize) -> io::Result<u64> {
        self.range(2, addr, npages, 0).map(|out| out[0])
    }

    /// Add so often; how often the page had to be acquired.
    pub fn add(&self, addr: usize, value: u64, times: u64) -> io::Result<u64> {
        let test = Test {
            addr: addr as u64,
            value,
            arg: times,
            ..Test::default()
        };
        self.call(3, test).map(|out| out[1])
    }

    /// Add once, if the device has the page; what was there.
    pub fn add_if_mapped(&self, addr: usize, value: u64) -> Option<u64> {
        let test = Test {
            addr: addr as u64,
            value,
            arg: 1,
            npages: 1,
            ..Test::default()
        };
        self.call(3, test).ok().map(|out| out[0])
    }

    /// What the device reads, if it has the page.
    pub fn load(&self, addr: usize) -> Option<u64> {
        self.range(4, addr, 1, 0).ok().map(|out| out[0])
    }

    /// Pages that were migrated with their contents.
    pub fn migrate(&self, addr: usize, npages: usize) -> io::Result<u64> {
        self.range(5, addr, npages, 0).map(|out| out[0])
    }

    /// The three calls, with these words; the source words are what they are then.
    pub fn raw(
        &self,
        addr: usize,
        src: &mut [u64],
        dst: &[u64],
        how: u64,
        select: u64,
    ) -> io::Result<Raw> {
        assert_eq!(src.len(), dst.len());
        let test = Test {
            addr: addr as u64,
            npages: src.len() as u64,
            arg: how,
            value: select,
            src: src.as_mut_ptr() as u64,
            dst: dst.as_ptr() as u64,
            ..Test::default()
        };
        self.call(6, test).map(|out| Raw {
            setup: out[0],
            pages: out[1],
            finalize: out[2],
            cpages: out[3],
            early: out[4],
        })
    }

    pub fn fail(&self, what: Fail, nth: u64) -> io::Result<()> {
        let test = Test {
            arg: what as u64,
            value: nth,
            ..Test::default()
        };
        self.call(7, test).map(|_| ())
    }

    pub fn stats(&self) -> io::Result<Stats> {
        self.call(8, Test::default()).map(|out| Stats {
            free: out[0],
            all: out[1],
            mappings: out[2],
            faults: out[3],
            pins: out[5],
        })
    }

    /// Ticks in setup, pages and finalize, pages that moved, ticks in all.
    pub fn speed(&self, addr: usize, npages: usize, what: u64) -> io::Result<[u64; 5]> {
        let out = self.range(11, addr, npages, what)?;
        Ok([out[0], out[1], out[2], out[3], out[4]])
    }

    pub fn page(&self, addr: usize) -> io::Result<PageInfo> {
        self.range(9, addr, 1, 0).map(|out| PageInfo::of(&out))
    }

    pub fn pfn(&self, pfn: u64) -> io::Result<PageInfo> {
        self.range(10, 0, 0, pfn).map(|out| PageInfo::of(&out))
    }
}

use std::mem::size_of;
