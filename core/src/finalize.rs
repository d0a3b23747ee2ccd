//! *finalize*: turn the migration entries into mappings again, of the destination or of the source, and
//! give back every lock and reference (`migrate_vma_finalize()`).
//!
//! Touched here: migration entries, locks, references, the LRU, the pin's bias and record. No word
//! changes.

use crate::migration::Context;
use crate::ops::{MmOps, Pte, PteBits};
use crate::pfn::{DstPfn, Pfn, SrcPfn, GUP_PIN_COUNTING_BIAS, PAGE_SHIFT, PAGE_SIZE};
use crate::policy::{Policy, Rules, Shape};

/// What finalize knows of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalizeFacts {
    /// The source page, if there is one: is it device memory?
    pub src: Option<bool>,
    /// The destination page, if there is one: is it device memory?
    pub dst: Option<bool>,
    /// They are one page.
    pub same: bool,
    /// The source word has MIGRATE (still).
    pub migrating: bool,
    /// The source word has PIN.
    pub pin: bool,
    /// The destination word has UNPIN.
    pub unpin: bool,
}

/// How the migration's hold on a page is given up, after its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// A plain put: device memory.
    Put,
    /// Back to the LRU.
    Putback,
    /// The bias of the pin first, then back to the LRU.
    Unpin,
    /// Not at all: the page stays isolated and pinned.
    Keep,
}

/// What becomes of a destination that was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// It is unlocked and put.
    Put,
    /// It is unlocked: the reference is the pin's, which goes on.
    Unlock,
}

/// What finalize does with one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finalize {
    /// Nothing.
    Nothing,
    /// There is no source: the destination is dropped.
    DropDestination(Drop),
    /// The entries map the source again.
    GoBack {
        /// What becomes of the destination, if there is one.
        destination: Option<Drop>,
        /// What becomes of the source.
        source: Release,
    },
    /// The entries map the destination.
    GoOn {
        /// What becomes of the source.
        source: Release,
        /// What becomes of the destination; none if it is the source.
        destination: Option<Release>,
    },
}

#[inline(always)]
const fn release_source(rules: Rules, device: bool, pin: bool, moved: bool) -> Release {
    match (device, pin) {
        (true, _) => Release::Put,
        (false, false) => Release::Putback,
        // The pin did not come to pass, so nobody will ever release it.
        (false, true) if !moved && rules.undoes_failed_pins() => Release::Unpin,
        (false, true) => Release::Keep,
    }
}

/// The tests of `migrate_vma_finalize()`.
///
/// ```
/// use migrate_pin_core::finalize::{decide_finalize, Finalize, FinalizeFacts, Release};
/// use migrate_pin_core::{AsPosted, Hardened, Rules, V5_11};
/// // The driver had no device page left: as posted, the pin stays for good.
/// let facts = FinalizeFacts {
///     src: Some(false), dst: None, same: false, migrating: false, pin: true, unpin: false,
/// };
/// let back = |source| Finalize::GoBack { destination: None, source };
/// assert_eq!(decide_finalize(Rules::of::<AsPosted, V5_11>(), facts), back(Release::Keep));
/// assert_eq!(decide_finalize(Rules::of::<Hardened, V5_11>(), facts), back(Release::Unpin));
/// ```
#[must_use]
#[inline(always)]
pub const fn decide_finalize(rules: Rules, facts: FinalizeFacts) -> Finalize {
    let drop = match facts.unpin && rules.keeps_refused_unpins() {
        true => Drop::Unlock,
        false => Drop::Put,
    };
    match (facts.src, facts.dst) {
        (None, None) => Finalize::Nothing,
        (None, Some(_)) => Finalize::DropDestination(drop),
        (Some(source), Some(destination)) if facts.migrating => Finalize::GoOn {
            source: release_source(rules, source, facts.pin, true),
            destination: match (destination, facts.unpin) {
                _ if facts.same => None,
                (true, _) => Some(Release::Put),
                (false, true) => Some(Release::Unpin),
                (false, false) => Some(Release::Putback),
            },
        },
        (Some(source), destination) => Finalize::GoBack {
            destination: match destination {
                Some(_) => Some(drop),
                None => None,
            },
            source: release_source(rules, source, facts.pin, false),
        },
    }
}

/// Forget the record and take the bias of a pin back.
#[inline(always)]
fn drop_bias<M: MmOps>(ops: &mut M, rules: Rules, page: Pfn) {
    if rules.keeps_records() {
        ops.pin_remove(page);
    }
    ops.page_ref_sub(page, GUP_PIN_COUNTING_BIAS);
}

/// Is `page`, released like this, on its way to the LRU?
const fn goes_to_lru(how: Release) -> bool {
    matches!(how, Release::Putback | Release::Unpin)
}

/// Give up the hold on `page`. In 6.12 the page that is mapped now is on the LRU already, and one that is
/// not goes nowhere; a put is all that is left.
#[inline(always)]
fn release<M: MmOps>(ops: &mut M, rules: Rules, page: Pfn, how: Release) {
    if how == Release::Keep {
        return;
    }
    if how == Release::Unpin {
        drop_bias(ops, rules, page);
    }
    if goes_to_lru(how) && !rules.lru_before_mapping() {
        ops.putback_lru_page(page);
    } else {
        ops.put_page(page);
    }
}

#[inline(always)]
fn drop_destination<M: MmOps>(ops: &mut M, page: Pfn, how: Drop) {
    ops.unlock_page(page);
    if how == Drop::Put {
        ops.put_page(page);
    }
}

/// Is `entry`, in an area of anonymous memory, the only one there is of `source`, so that no rmap has to be asked for
/// others?
///
/// A migration entry that is writable or exclusive is: a page that is mapped twice is exclusive nowhere, and `fork()`
/// makes both entries readable ones. One that is gone, or was moved, is somewhere else.
///
/// ```
/// use migrate_pin_core::finalize::decide_in_place;
/// use migrate_pin_core::ops::{Pte, PteBits};
/// use migrate_pin_core::Pfn;
/// assert!(decide_in_place(Pte::Migration(Pfn(7), PteBits::EXCLUSIVE), Pfn(7)));
/// assert!(!decide_in_place(Pte::Migration(Pfn(7), PteBits::empty()), Pfn(7)));
/// assert!(!decide_in_place(Pte::Migration(Pfn(8), PteBits::WRITE), Pfn(7)));
/// ```
#[must_use]
#[inline]
pub fn decide_in_place(entry: Pte, source: Pfn) -> bool {
    let exclusive = PteBits::WRITE | PteBits::EXCLUSIVE;
    matches!(entry, Pte::Migration(page, bits) if page == source && bits.intersects(exclusive))
}

/// What is mapped where the migration entries of the source stand, and how that page is released.
#[inline(always)]
const fn target(plan: Finalize, old: Pfn, new: Option<Pfn>) -> Option<(Pfn, Release)> {
    match (plan, new) {
        (Finalize::GoBack { source, .. }, _) => Some((old, source)),
        (
            Finalize::GoOn {
                source,
                destination: None,
            },
            Some(new),
        ) => Some((new, source)),
        (
            Finalize::GoOn {
                destination: Some(how),
                ..
            },
            Some(new),
        ) => Some((new, how)),
        _ => None,
    }
}

/// What becomes of a destination that is not mapped.
const fn unused(plan: Finalize) -> Option<Drop> {
    match plan {
        Finalize::DropDestination(how) => Some(how),
        Finalize::GoBack { destination, .. } => destination,
        _ => None,
    }
}

/// 6.12: what is about to be mapped goes to the LRU first.
#[inline(always)]
fn to_lru<M: MmOps>(ops: &mut M, rules: Rules, target: Pfn, how: Release) {
    if rules.lru_before_mapping() && goes_to_lru(how) {
        ops.lru_cache_add(target);
    }
}

/// What is to be done with one entry.
#[inline(always)]
fn plan<M: MmOps>(ops: &mut M, rules: Rules, src: SrcPfn, dst: DstPfn) -> Finalize {
    let (from, to) = (src.pfn(), dst.pfn());
    decide_finalize(
        rules,
        FinalizeFacts {
            src: from.map(|page| ops.page_is_device(page)),
            dst: to.map(|page| ops.page_is_device(page)),
            same: from == to,
            migrating: src.migrating(),
            pin: src.pin(),
            unpin: dst.is_unpin(),
        },
    )
}

/// Do what is planned for one entry; `mapped` if its page was mapped already.
#[inline(always)]
fn finalize_one<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    src: SrcPfn,
    dst: DstPfn,
    plan: Finalize,
    mapped: bool,
) {
    let new = dst.pfn();
    if let (Some(new), true) = (new, rules.checks_words()) {
        // The mark is under the page's lock, which is about to go.
        ops.unclaim_destination(new);
    }
    if let (Some(new), Some(how)) = (new, unused(plan)) {
        drop_destination(ops, new, how);
    }
    let Some(old) = src.pfn() else {
        return;
    };
    if let (Some((target, how)), false) = (target(plan, old, new), mapped) {
        to_lru(ops, rules, target, how);
        ops.remove_migration_ptes(old, target);
    }
    match (plan, new) {
        (Finalize::GoBack { source, .. }, _) => {
            ops.unlock_page(old);
            release(ops, rules, old, source);
        }
        (
            Finalize::GoOn {
                source,
                destination,
            },
            Some(new),
        ) => {
            ops.unlock_page(old);
            release(ops, rules, old, source);
            if let Some(destination) = destination {
                ops.unlock_page(new);
                release(ops, rules, new, destination);
            }
        }
        _ => {}
    }
}

/// How many entries are looked at under one PTL: as many as an integer has bits to remember them by.
const TOGETHER: usize = u64::BITS as usize;

/// Turn those entries back that are the only ones of their page, from `addr` on, under one PTL: how many were looked at,
/// at least one, no more than [`TOGETHER`], and those of one page-table page; and a bit for each that was turned back.
#[inline(always)]
fn restore_in_place<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    area: &Context<M::Vma>,
    addr: usize,
    src: &[SrcPfn],
    dst: &[DstPfn],
) -> (usize, u64) {
    let most = addr
        .wrapping_add(TOGETHER << PAGE_SHIFT)
        .min(area.range.end);
    let (span, locked) = ops.pte_lock_span(area.vma, addr, most);
    let pages = span.until.min(most).saturating_sub(addr) >> PAGE_SHIFT;
    let pages = pages.max(1);
    if !locked {
        return (pages, 0);
    }
    let (mut mapped, mut bit, mut at) = (0, 1, addr);
    let mut dst = dst.iter();
    for src in src.iter().take(pages) {
        let dst = dst.next().copied().unwrap_or_default();
        if let Some(old) = src.pfn() {
            let done = match target(plan(ops, rules, *src, dst), old, dst.pfn()) {
                None => false,
                // The LRU comes first, so that the flags of a page that is locked in memory come out right.
                Some((target, how)) if goes_to_lru(how) => {
                    let alone = decide_in_place(ops.pte_get(area.vma, at), old);
                    if alone {
                        to_lru(ops, rules, target, how);
                        ops.restore_pte(area.vma, at, target);
                    }
                    alone
                }
                Some((target, _)) => ops.restore_exclusive_pte(area.vma, at, old, target),
            };
            if done {
                mapped |= bit;
            }
        }
        bit <<= 1;
        at = at.wrapping_add(PAGE_SIZE);
    }
    ops.pte_unlock(area.vma, addr);
    (pages, mapped)
}

/// Finalize every entry. A destination array that is shorter stands for no destinations. Where no `area` says where the
/// entries are, the rmap finds them.
pub(crate) fn finalize<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    area: Option<&Context<M::Vma>>,
    src: &[SrcPfn],
    dst: &[DstPfn],
) {
    let rules = Rules::of::<P, S>();
    let area = area.filter(|area| rules.restores_in_place() && area.anonymous);
    let mut addr = area.map_or(0, |area| area.range.start);
    let (mut src, mut dst) = (src, dst);
    while !src.is_empty() {
        // No PTL for words that name no source.
        let first = src.iter().position(|word| word.pfn().is_some());
        let (pages, mut mapped) = match (area, first) {
            (Some(area), Some(0)) => restore_in_place(ops, rules, area, addr, src, dst),
            (Some(_), Some(first)) => (first, 0),
            _ => (src.len(), 0),
        };
        let mut to = dst.iter();
        for word in src.iter().take(pages) {
            let to = to.next().copied().unwrap_or_default();
            let plan = plan(ops, rules, *word, to);
            finalize_one(ops, rules, *word, to, plan, mapped & 1 != 0);
            mapped >>= 1;
        }
        src = src.get(pages..).unwrap_or_default();
        dst = dst.get(pages..).unwrap_or_default();
        addr = addr.wrapping_add(pages << PAGE_SHIFT);
    }
}
