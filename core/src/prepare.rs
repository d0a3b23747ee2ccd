//! *prepare*: lock what collect could not, isolate from the LRU, and refuse pages with references that
//! nobody accounts for (`migrate_vma_prepare()`; a stage of 5.11 only, 6.12 does it in
//! [`unmap`](crate::unmap)).
//!
//! Touched here: source words, `cpages`, locks, references, the LRU, and of the page table only the
//! migration entries that collect made.

use crate::check::check;
use crate::migration::Context;
use crate::ops::MmOps;
use crate::pfn::{MigratePfn, SrcPfn, PAGE_SIZE};
use crate::policy::{Policy, Rules, Shape};

/// What is known of a page after its lock was taken and its isolation tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrepareFacts {
    /// Collect replaced its entry (the word had LOCKED).
    pub replaced: bool,
    /// It is device memory, which is on no LRU.
    pub device: bool,
    /// It was isolated (device memory: of no meaning).
    pub isolated: bool,
    /// [`check_page`](crate::check::check_page) passed (not isolated: of no meaning).
    pub accounted: bool,
    /// The caller wants it pinned.
    pub pin: bool,
}

/// What becomes of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepare {
    /// It goes on to unmap.
    Keep,
    /// Refused, and its entry has to be restored: clear MIGRATE, count it out, and leave the rest to the
    /// second loop, which drops one reference.
    RestoreLater {
        /// Put the page back on the LRU now, with a reference taken for the second loop to drop.
        putback: bool,
    },
    /// Refused while still mapped: undo it now.
    UndoNow {
        /// Give the reference up by putting the page back on the LRU, not by a plain put.
        putback: bool,
    },
}

/// The verdict of the first loop.
///
/// With PIN, unaccounted references are no reason to refuse: the page does not move, so who holds one
/// keeps the right page.
#[must_use]
pub const fn decide_prepare(facts: PrepareFacts) -> Prepare {
    let on_lru = !facts.device;
    let isolation_failed = on_lru && !facts.isolated;
    let check_failed = !facts.accounted && !facts.pin;
    if !isolation_failed && !check_failed {
        return Prepare::Keep;
    }
    // After a failed isolation the reference is still collect's, and the page was never off the LRU.
    let putback = on_lru && facts.isolated;
    if facts.replaced {
        Prepare::RestoreLater { putback }
    } else {
        Prepare::UndoNow { putback }
    }
}

/// Prepare what collect found; the new `cpages`.
pub(crate) fn prepare<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    context: &Context<M::Vma>,
    src: &mut [SrcPfn],
    mut cpages: usize,
) -> usize {
    let rules = Rules::of::<P, S>();
    let mut restore = 0_usize;
    let mut may_drain = true;
    ops.lru_add_drain();
    for word in src.iter_mut() {
        if cpages == 0 {
            break;
        }
        let Some(page) = word.pfn() else { continue };
        let replaced = word.locked();
        if !replaced {
            // Two migrations that wait for each other's page locks would wait for ever: back off.
            if !ops.trylock_page(page) {
                *word = SrcPfn::NONE;
                cpages -= 1;
                ops.put_page(page);
                continue;
            }
            *word = word.with(MigratePfn::LOCKED);
        }
        let device = ops.page_is_device(page);
        let mut isolated = false;
        if !device {
            if !ops.page_lru(page) && may_drain {
                ops.lru_add_drain_all();
                may_drain = false;
            }
            isolated = ops.isolate_lru_page(page);
            if isolated {
                // Isolation took one of its own; collect's is no longer needed.
                ops.put_page(page);
            }
        }
        let accounted =
            (device || isolated) && check(rules, page, ops.page_look(page), context.fault_page);
        let facts = PrepareFacts {
            replaced,
            device,
            isolated,
            accounted,
            pin: word.pin(),
        };
        match decide_prepare(facts) {
            Prepare::Keep => {}
            Prepare::RestoreLater { putback } => {
                *word = word.without(MigratePfn::MIGRATE);
                cpages -= 1;
                restore += 1;
                if putback {
                    ops.get_page(page);
                    ops.putback_lru_page(page);
                }
            }
            Prepare::UndoNow { putback } => {
                *word = SrcPfn::NONE;
                ops.unlock_page(page);
                cpages -= 1;
                if putback {
                    ops.putback_lru_page(page);
                } else {
                    ops.put_page(page);
                }
            }
        }
    }

    let mut addr = context.range.start;
    for word in src.iter_mut() {
        if restore == 0 {
            break;
        }
        if let (Some(page), false) = (word.pfn(), word.migrating()) {
            ops.remove_migration_pte(context.vma, addr, page, page);
            *word = SrcPfn::NONE;
            ops.unlock_page(page);
            ops.put_page(page);
            restore -= 1;
        }
        addr = addr.wrapping_add(PAGE_SIZE);
    }
    cpages
}
