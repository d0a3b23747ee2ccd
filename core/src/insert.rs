//! *insert*: put a destination into an entry that is empty (`migrate_vma_insert_page()`).
//!
//! Touched here: the caller's own page table at one address, and the page that goes there.

use crate::migration::Context;
use crate::ops::{MmOps, PmdKind, Present, Pte, PteBits, VmaFlags, Zone};
use crate::pfn::Pfn;
use crate::policy::Rules;

/// As what a page is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertAs {
    /// A device-private entry.
    DevicePrivate,
    /// A present entry of a page that goes on the LRU.
    System,
    /// A present entry of device-coherent memory (6.12).
    Coherent,
    /// Not at all.
    Refuse,
}

/// Which entry a page of this zone gets.
#[must_use]
pub const fn decide_kind(rules: Rules, zone: Zone) -> InsertAs {
    match zone {
        Zone::System => InsertAs::System,
        Zone::DevicePrivate(_) => InsertAs::DevicePrivate,
        Zone::DeviceCoherent(_) if rules.has_coherent_pages() => InsertAs::Coherent,
        Zone::DeviceCoherent(_) | Zone::DeviceOther => InsertAs::Refuse,
    }
}

/// What stands at the address by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// Still nothing.
    Empty,
    /// The zero page.
    Zero,
    /// Something else.
    Taken,
}

/// What is done under the PTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// Give up.
    Abort,
    /// Set the entry.
    Fill,
    /// Clear and flush the zero page, then set the entry.
    Replace,
}

/// The tests under the PTL.
#[must_use]
pub const fn decide_insert(stable: bool, now: Now, userfault: bool) -> Insert {
    match now {
        _ if !stable || userfault => Insert::Abort,
        Now::Taken => Insert::Abort,
        Now::Empty => Insert::Fill,
        Now::Zero => Insert::Replace,
    }
}

/// The entry for `page` in an area with or without `VM_WRITE`.
#[must_use]
pub fn entry_for(kind: InsertAs, page: Pfn, writable: bool) -> Pte {
    let write = if writable {
        PteBits::WRITE
    } else {
        PteBits::empty()
    };
    match kind {
        InsertAs::Refuse => Pte::None,
        InsertAs::DevicePrivate => Pte::DevicePrivate(page, write),
        InsertAs::System | InsertAs::Coherent => {
            let dirty = if writable {
                PteBits::DIRTY
            } else {
                PteBits::empty()
            };
            Pte::Present(Present::Page(page), PteBits::YOUNG | write | dirty)
        }
    }
}

/// Everything up to the PTL, all of which may sleep or fail; the kind of entry, or none to give up.
fn ready<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    context: &Context<M::Vma>,
    addr: usize,
    page: Pfn,
) -> Option<InsertAs> {
    let vma = context.vma;
    if !context.anonymous {
        return None;
    }
    let end = context.range.end;
    if ops.pmd_span(vma, addr, end).kind == PmdKind::Huge || ops.pte_alloc(vma, addr).is_err() {
        return None;
    }
    // 5.11 makes sure that no huge page came in between; 6.12 finds out when it takes the PTL.
    if !rules.looks_again() && ops.pmd_span(vma, addr, end).kind != PmdKind::Table {
        return None;
    }
    if ops.anon_vma_prepare(vma).is_err() || ops.mem_cgroup_charge(page, vma).is_err() {
        return None;
    }
    ops.mark_uptodate(page);
    match decide_kind(rules, ops.page_zone(page)) {
        InsertAs::Refuse => None,
        kind => Some(kind),
    }
}

/// `migrate_vma_insert_page()`: true if `page` is mapped at `addr` now, with a reference of its own.
pub(crate) fn insert<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    context: &Context<M::Vma>,
    addr: usize,
    page: Pfn,
) -> bool {
    let vma = context.vma;
    let Some(kind) = ready(ops, rules, context, addr, page) else {
        return false;
    };
    if !ops.pte_lock(vma, addr) {
        return false;
    }
    let stable = ops.address_space_stable(vma);
    let now = match ops.pte_get(vma, addr) {
        Pte::None => Now::Empty,
        Pte::Present(Present::Zero, _) => Now::Zero,
        _ => Now::Taken,
    };
    let userfault = ops.userfaultfd_missing(vma);
    let verdict = decide_insert(stable, now, userfault);
    if verdict == Insert::Abort {
        ops.pte_unlock(vma, addr);
        return false;
    }
    let writable = ops.vma_facts(vma).flags.contains(VmaFlags::WRITE);
    ops.add_new_anon_rmap(page, vma, addr);
    if kind == InsertAs::System {
        ops.lru_cache_add(page);
    }
    ops.get_page(page);
    if verdict == Insert::Replace {
        ops.pte_clear_flush(vma, addr);
    }
    ops.pte_set(vma, addr, entry_for(kind, page, writable));
    ops.pte_unlock(vma, addr);
    true
}
