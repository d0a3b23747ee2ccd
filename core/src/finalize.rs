//! *finalize*: turn the migration entries into mappings again, of the destination or of the source, and
//! give back every lock and reference (`migrate_vma_finalize()`).
//!
//! Touched here: migration entries, locks, references, the LRU, the pin's bias and record. No word
//! changes.

use crate::ops::MmOps;
use crate::pfn::{DstPfn, Pfn, SrcPfn, GUP_PIN_COUNTING_BIAS};
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

fn drop_destination<M: MmOps>(ops: &mut M, page: Pfn, how: Drop) {
    ops.unlock_page(page);
    if how == Drop::Put {
        ops.put_page(page);
    }
}

/// Map `target` where migration entries of `source` stand, and unlock `source`.
fn map<M: MmOps>(ops: &mut M, rules: Rules, source: Pfn, target: Pfn, how: Release) {
    if rules.lru_before_mapping() && goes_to_lru(how) {
        ops.lru_cache_add(target);
    }
    ops.remove_migration_ptes(source, target);
    ops.unlock_page(source);
}

/// Finalize one entry.
fn finalize_one<M: MmOps>(ops: &mut M, rules: Rules, src: SrcPfn, dst: DstPfn) {
    let facts = FinalizeFacts {
        src: src.pfn().map(|page| ops.page_zone(page).is_device()),
        dst: dst.pfn().map(|page| ops.page_zone(page).is_device()),
        same: src.pfn() == dst.pfn(),
        migrating: src.migrating(),
        pin: src.pin(),
        unpin: dst.is_unpin(),
    };
    if let (Some(page), true) = (dst.pfn(), rules.checks_words()) {
        // The mark is under the page's lock, which is about to go.
        ops.unclaim_destination(page);
    }
    match (decide_finalize(rules, facts), src.pfn(), dst.pfn()) {
        (Finalize::DropDestination(how), _, Some(new)) => drop_destination(ops, new, how),
        (
            Finalize::GoBack {
                destination,
                source,
            },
            Some(old),
            new,
        ) => {
            if let (Some(how), Some(new)) = (destination, new) {
                drop_destination(ops, new, how);
            }
            map(ops, rules, old, old, source);
            release(ops, rules, old, source);
        }
        (
            Finalize::GoOn {
                source,
                destination,
            },
            Some(old),
            Some(new),
        ) => {
            map(ops, rules, old, new, destination.unwrap_or(source));
            release(ops, rules, old, source);
            if let Some(destination) = destination {
                ops.unlock_page(new);
                release(ops, rules, new, destination);
            }
        }
        _ => {}
    }
}

/// Finalize every entry. A destination array that is shorter stands for no destinations.
pub(crate) fn finalize<P: Policy, S: Shape, M: MmOps>(ops: &mut M, src: &[SrcPfn], dst: &[DstPfn]) {
    let rules = Rules::of::<P, S>();
    let mut dst = dst.iter();
    for src in src {
        let dst = dst.next().copied().unwrap_or_default();
        finalize_one(ops, rules, *src, dst);
    }
}
