// SPDX-License-Identifier: GPL-2.0-only
//! The conformance scenarios in this kernel.

use std::sync::atomic::Ordering;

use migrate_pin_conformance::{
    run, Entry, Look, Page, Pages, Select, Words, World, PAGES, SCENARIOS,
};

use crate::device::{Device, PageInfo, PTE_DEVICE, PTE_NONE, PTE_PAGE, PTE_ZERO};
use crate::memory::{in_child, DmaPin, Memory, Server};

/// This process.
struct Kernel {
    device: Device,
    memory: Memory,
    child: Option<Server>,
    pin: Option<DmaPin>,
}

const PIN: u64 = 16;
/// What the child is asked for, beside a value to write.
const READ: u64 = u64::MAX;

impl Kernel {
    fn new() -> Self {
        Self {
            device: Device::open(0).expect("a device"),
            memory: Memory::anonymous(PAGES).expect("memory"),
            child: None,
            pin: None,
        }
    }

    fn ask(&mut self, page: usize, value: u64) -> u64 {
        let child = self.child.as_mut().expect("a child");
        child.ask([page as u64, value]).expect("an answer")
    }
}

fn page(info: PageInfo) -> Page {
    Page {
        count: info.count as u32,
        mapcount: info.mapcount as u32,
        lru: info.lru,
        locked: info.locked,
        pinned: info.pinned,
    }
}

impl World for Kernel {
    fn write(&mut self, page: usize, value: u32) {
        self.memory.word(page).store(value.into(), Ordering::SeqCst);
    }
    fn read(&mut self, page: usize) -> u32 {
        self.memory.read(page) as u32
    }
    fn fork(&mut self) {
        let memory = &self.memory;
        let child = Server::fork(|[page, value]| {
            let word = memory.word(page as usize);
            if value != READ {
                word.store(value, Ordering::SeqCst);
            }
            word.load(Ordering::SeqCst)
        });
        self.child = Some(child.expect("a child"));
    }
    fn child_read(&mut self, page: usize) -> u32 {
        self.ask(page, READ) as u32
    }
    fn child_write(&mut self, page: usize, value: u32) {
        self.ask(page, value.into());
    }
    fn child_exit(&mut self) {
        self.child = None;
    }
    fn dont_need(&mut self, (first, n): Pages) {
        let part = self.memory.part(first, n);
        part.advise(libc::MADV_DONTNEED).expect("madvise");
    }
    fn free(&mut self, (first, n): Pages) {
        let part = self.memory.part(first, n);
        part.advise(libc::MADV_FREE).expect("madvise");
    }
    fn unmap(&mut self, (first, n): Pages) {
        let part = self.memory.part(first, n);
        drop(std::mem::ManuallyDrop::into_inner(part));
    }
    fn protect(&mut self, (first, n): Pages, write: bool) {
        let prot = match write {
            true => libc::PROT_READ | libc::PROT_WRITE,
            false => libc::PROT_READ,
        };
        self.memory.part(first, n).protect(prot).expect("mprotect");
    }
    fn dma_pin(&mut self, page: usize) {
        self.pin = Some(DmaPin::new(self.memory.at(page), 1).expect("gup_test"));
    }
    fn dma_unpin(&mut self) {
        self.pin = None;
    }
    fn acquire(&mut self, (first, n): Pages) -> (u64, u64) {
        let got = self.device.acquire(self.memory.at(first), n);
        got.expect("acquire")
    }
    fn revoke(&mut self, (first, n): Pages) -> u64 {
        let left = self.device.revoke(self.memory.at(first), n);
        left.expect("revoke")
    }
    fn device_add(&mut self, page: usize, value: u32) -> Option<u32> {
        let addr = self.memory.at(page);
        let old = self.device.add_if_mapped(addr, value.into());
        old.map(|old| old as u32)
    }
    fn migrate(&mut self, (first, n): Pages) -> u64 {
        let moved = self.device.migrate(self.memory.at(first), n);
        moved.expect("migrate")
    }
    fn words(&mut self, (first, n): Pages, pin: bool, select: Select) -> Words {
        let mut src = vec![if pin { PIN } else { 0 }; n];
        let select = match select {
            Select::System => 1,
            Select::Device => 2,
        };
        let addr = self.memory.at(first);
        let raw = self.device.raw(addr, &mut src, &vec![0; n], 0, select);
        let raw = raw.expect("the calls");
        Words {
            setup: raw.setup as i32,
            pages: raw.pages as i32,
            finalize: raw.finalize as i32,
            cpages: raw.cpages as usize,
            flags: src.iter().map(|word| *word as u8 & 0x3f).collect(),
        }
    }
    fn look(&mut self, at: usize) -> Look {
        let Ok(info) = self.device.page(self.memory.at(at)) else {
            // Nothing is mapped there.
            return Look {
                entry: Entry::None,
                write: false,
                dirty: false,
                young: false,
                page: None,
            };
        };
        let entry = match info.entry {
            PTE_NONE => Entry::None,
            PTE_ZERO => Entry::Zero,
            PTE_PAGE => Entry::Page,
            PTE_DEVICE => Entry::Device,
            _ => Entry::Other,
        };
        let named = matches!(entry, Entry::Page | Entry::Device);
        Look {
            entry,
            write: info.write,
            dirty: entry == Entry::Page && info.pte_dirty,
            young: entry == Entry::Page && info.young,
            page: named.then(|| (info.pfn, page(info))),
        }
    }
    fn page(&mut self, name: u64) -> Page {
        page(self.device.pfn(name).expect("a page frame"))
    }
    fn totals(&mut self) -> (u64, u64) {
        let stats = self.device.stats().expect("stats");
        (stats.pins, stats.all - stats.free)
    }
}

/// Run them all, each in a process of its own; false if one died.
pub fn conformance() -> bool {
    let mut good = true;
    for scenario in SCENARIOS {
        let ran = in_child(|| {
            print!("{}", run(&mut Kernel::new(), scenario));
            std::io::Write::flush(&mut std::io::stdout()).is_ok()
        });
        good &= ran.unwrap_or(false);
    }
    good
}
