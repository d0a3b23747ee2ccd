// SPDX-License-Identifier: GPL-2.0-only
//! Looking at page tables and pages, without touching them.

use migrate_pin_core::ops::{MmOps, PmdKind, Present, Pte};
use migrate_pin_core::{Pfn, PAGE_SIZE};

use super::glue;
use crate::ops::{KernelOps, Vma};

/// What stands at an address, and the page that it names.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The entry; none too where there is no table, or a huge page.
    pub entry: Pte,
    /// The state of the page.
    pub page: Option<Page>,
}

/// The state of a page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Which one.
    pub pfn: Pfn,
    /// References.
    pub count: u32,
    /// Mappings.
    pub mapcount: u32,
    /// It is on a list of the LRU, or will be.
    pub lru: bool,
    /// It is locked.
    pub locked: bool,
    /// It was written to.
    pub dirty: bool,
    /// There is a record of its pin.
    pub pinned: bool,
}

pub(super) fn at(vma: Vma, addr: usize) -> Look {
    let addr = addr & !(PAGE_SIZE - 1);
    let nothing = Look {
        entry: Pte::None,
        page: None,
    };
    // SAFETY: what is called needs the area, under its lock, and of a page that an entry names it while the entry's
    // lock is held.
    let mut ops = unsafe { KernelOps::new() };
    let area = ops.vma_facts(vma).range;
    if !(area.start..area.end).contains(&addr) {
        return nothing;
    }
    let span = ops.pmd_span(vma, addr, addr.wrapping_add(PAGE_SIZE));
    if span.kind != PmdKind::Table || !ops.pte_lock(vma, addr) {
        return nothing;
    }
    let entry = ops.pte_get(vma, addr);
    let named = match entry {
        Pte::Present(Present::Page(page), _)
        | Pte::DevicePrivate(page, _)
        | Pte::Migration(page, _) => Some(page),
        _ => None,
    };
    let page = named.map(|page| state(&mut ops, page));
    ops.pte_unlock(vma, addr);
    Look { entry, page }
}

fn state(ops: &mut KernelOps, page: Pfn) -> Page {
    Page {
        pfn: page,
        count: ops.page_count(page),
        mapcount: ops.page_mapcount(page),
        lru: ops.page_lru(page),
        locked: ops.page_locked(page),
        // SAFETY: as the others, it reads what is in the `struct page`, which is there.
        dirty: unsafe { glue::page_dirty(page.0) },
        pinned: ops.pin_record(page).is_some(),
    }
}

/// The state of a page frame; none if there is no such frame. Does not sleep. The page may be anybody's: for looking at.
#[must_use]
pub fn page(pfn: Pfn) -> Option<Page> {
    // SAFETY: what is called reads the `struct page` of a frame that is there. It is not freed: memory is not taken
    // out of a running machine here without the driver's being told.
    let mut ops = unsafe { KernelOps::new() };
    ops.page_exists(pfn).then(|| state(&mut ops, pfn))
}

/// Put what is in the CPUs' batches on the LRU (`lru_add_drain_all()`). May sleep.
pub fn drain_lru() {
    // SAFETY: it may be called by anybody who may sleep.
    unsafe { KernelOps::new() }.lru_add_drain_all();
}

/// Pages that are pinned, by all drivers together.
#[must_use]
pub fn pins() -> usize {
    // SAFETY: it reads an atomic.
    unsafe { glue::pins() }
}
