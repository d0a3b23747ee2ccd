//! *unmap*: take the page away from every CPU through the rmap, and pin it if that is wanted
//! (`migrate_vma_unmap()`; in 6.12 `migrate_device_unmap()`, which isolates first).
//!
//! Touched here: source words, `cpages`, all mappings of the pages, the pin's bias and record.

use crate::check::{check, maybe_dma_pinned};
use crate::migration::Known;
use crate::ops::MmOps;
use crate::pfn::{MigratePfn, Pfn, SrcPfn, GUP_PIN_COUNTING_BIAS};
use crate::policy::{Policy, Rules, Shape};

/// What is known of a page after it was unmapped as far as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnmapFacts {
    /// It is still mapped somewhere.
    pub mapped: bool,
    /// [`check_page`](crate::check::check_page) passed.
    pub accounted: bool,
    /// The caller wants it pinned.
    pub pin: bool,
    /// Somebody may have pinned it for DMA ([`maybe_dma_pinned`]).
    pub maybe_pinned: bool,
}

/// The verdict on a page; the default is that it stays where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unmap {
    /// It keeps MIGRATE.
    pub migrate: bool,
    /// It gets the bias of a pin.
    pub pin: bool,
    /// A TLB may still reach it, though no rmap does.
    pub flush: bool,
}

/// The tests that the patch put at the end of the first loop, in their order.
///
/// ```
/// use migrate_pin_core::unmap::{decide_unmap, UnmapFacts};
/// use migrate_pin_core::{AsPosted, Hardened, Rules, V5_11};
/// // A page that could not be unmapped everywhere: as posted it is biased all the same, and restored.
/// let facts = UnmapFacts { mapped: true, accounted: true, pin: true, maybe_pinned: false };
/// let posted = decide_unmap(Rules::of::<AsPosted, V5_11>(), facts);
/// assert!(!posted.migrate && posted.pin);
/// let hardened = decide_unmap(Rules::of::<Hardened, V5_11>(), facts);
/// assert!(!hardened.migrate && !hardened.pin);
/// ```
#[must_use]
#[inline(always)]
pub const fn decide_unmap(rules: Rules, facts: UnmapFacts) -> Unmap {
    let migrate =
        !facts.mapped && (facts.accounted || facts.pin) && !(facts.pin && facts.maybe_pinned);
    let pin = facts.pin && !facts.maybe_pinned;
    Unmap {
        migrate,
        // A page that is restored because it is still mapped would keep 1024 references for ever.
        pin: pin && (migrate || !rules.pins_only_migrating()),
        flush: pin && migrate && !facts.accounted && rules.flushes_before_pin(),
    }
}

/// Unmap one locked page, and pin it if that is wanted; what became of it?
#[inline(always)]
fn unmap_one<M: MmOps>(ops: &mut M, rules: Rules, known: Known, page: Pfn, pin: bool) -> Unmap {
    let mut look = ops.page_look(page);
    if look.mapcount > 0 {
        ops.try_to_unmap(page);
        look = ops.page_look(page);
    }
    let facts = UnmapFacts {
        mapped: look.mapcount > 0,
        accounted: check(rules, page, look, known.fault_page),
        pin,
        maybe_pinned: pin && maybe_dma_pinned(look.count),
    };
    let verdict = decide_unmap(rules, facts);
    if !verdict.pin {
        return verdict;
    }
    // A pin without a record could never be given back.
    if rules.keeps_records() && ops.pin_insert(page, known.owner).is_err() {
        return Unmap::default();
    }
    ops.page_ref_add(page, GUP_PIN_COUNTING_BIAS);
    verdict
}

/// What the second loop does with the reference of a page that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restore {
    /// Put the page back on the LRU if it is a system page (5.11).
    Putback,
    /// It is back on the LRU, or never left it: a plain put (6.12).
    Put,
}

/// The second loop: what lost MIGRATE goes back to its mappings, wherever they are.
fn restore<M: MmOps>(ops: &mut M, src: &mut [SrcPfn], mut refused: usize, how: Restore) {
    for word in src.iter_mut() {
        if refused == 0 {
            break;
        }
        let (Some(page), false) = (word.pfn(), word.migrating()) else {
            continue;
        };
        ops.remove_migration_ptes(page, page);
        *word = SrcPfn::NONE;
        ops.unlock_page(page);
        refused -= 1;
        if how == Restore::Putback && !ops.page_is_device(page) {
            ops.putback_lru_page(page);
        } else {
            ops.put_page(page);
        }
    }
}

/// 5.11: unmap what prepare let through; the new `cpages`.
pub(crate) fn unmap<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    known: Known,
    src: &mut [SrcPfn],
    mut cpages: usize,
) -> usize {
    let rules = Rules::of::<P, S>();
    let mut refused = 0;
    let mut flush = false;
    for word in src.iter_mut() {
        let (Some(page), true) = (word.pfn(), word.migrating()) else {
            continue;
        };
        let done = unmap_one(ops, rules, known, page, word.pin());
        flush |= done.flush;
        if !done.migrate {
            *word = word.without(MigratePfn::MIGRATE);
            cpages = cpages.saturating_sub(1);
            refused += 1;
        }
    }
    if flush {
        ops.flush_tlb_all();
    }
    restore(ops, src, refused, Restore::Putback);
    cpages
}

/// 6.12: isolate and unmap what collect found, in one pass; the new `cpages`, counted anew.
#[inline(always)]
pub(crate) fn isolate_and_unmap<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    known: Known,
    src: &mut [SrcPfn],
) -> usize {
    let rules = Rules::of::<P, S>();
    let mut unmapped = 0;
    let mut refused = 0;
    let mut flush = false;
    let mut may_drain = true;
    ops.lru_add_drain();
    for word in src.iter_mut() {
        let Some(page) = word.pfn() else {
            unmapped += usize::from(word.migrating());
            continue;
        };
        let device = ops.page_is_device(page);
        if !device {
            if !ops.page_lru(page) && may_drain {
                ops.lru_add_drain_all();
                may_drain = false;
            }
            if !ops.isolate_lru_page(page) {
                *word = word.without(MigratePfn::MIGRATE);
                refused += 1;
                continue;
            }
            // Isolation took one of its own; collect's is no longer needed.
            ops.put_page(page);
        }
        let done = unmap_one(ops, rules, known, page, word.pin());
        flush |= done.flush;
        if done.migrate {
            unmapped += 1;
            continue;
        }
        if !device {
            ops.get_page(page);
            ops.putback_lru_page(page);
        }
        *word = word.without(MigratePfn::MIGRATE);
        refused += 1;
    }
    if flush {
        ops.flush_tlb_all();
    }
    restore(ops, src, refused, Restore::Put);
    unmapped
}
