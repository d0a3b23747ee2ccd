//! *pages*: hand over from the sources to the destinations that the driver provided
//! (`migrate_vma_pages()`).
//!
//! Touched here: source words, the identity of both pages, the caches, and empty entries of the caller's
//! area. Migration entries stay until [`finalize`](crate::finalize).

use crate::insert::insert;
use crate::mapping::migrate_page;
use crate::migration::{Context, Known};
use crate::mode::MigrateMode;
use crate::ops::{Mapping, MmOps, NotifyEvent, Range, Zone};
use crate::pfn::{DstPfn, MigratePfn, Pfn, SrcPfn, PAGE_SIZE};
use crate::policy::{Policy, Rules, Shape};

/// What pages knows of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagesFacts {
    /// What `page_mapping()` is of the source, if there is a source page.
    pub src: Option<Mapping>,
    /// `page_has_private()` of the source page.
    pub private: bool,
    /// What memory the destination is, if there is one.
    pub dst: Option<Zone>,
    /// The source word has MIGRATE.
    pub migrating: bool,
    /// The source word has PIN.
    pub pin: bool,
}

/// What pages does with one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Nothing.
    Skip,
    /// Clear MIGRATE.
    Refuse,
    /// Insert the destination into the empty entry.
    Insert,
    /// Take the source out of the swap cache, and if that works ask again (6.12).
    FreeSwap,
    /// [`migrate_page`] in this mode.
    Migrate(MigrateMode),
}

/// The tests of `migrate_vma_pages()`, in their order.
#[must_use]
#[inline(always)]
pub const fn decide_pages(rules: Rules, facts: PagesFacts) -> Pages {
    let Some(dst) = facts.dst else {
        return Pages::Refuse;
    };
    // Only a device-private page can stand for a pinned one, and only a page can be pinned.
    let senseless = facts.pin
        && rules.refuses_senseless_pins()
        && !(dst.is_device_private() && facts.src.is_some());
    let Some(mapping) = facts.src else {
        return match facts.migrating {
            false => Pages::Skip,
            true if senseless => Pages::Refuse,
            true => Pages::Insert,
        };
    };
    if senseless || (facts.private && rules.refuses_private_data()) {
        return Pages::Refuse;
    }
    match dst {
        Zone::System => {}
        Zone::DeviceOther => return Pages::Refuse,
        Zone::DeviceCoherent(_) if !rules.has_coherent_pages() => return Pages::Refuse,
        Zone::DevicePrivate(_) | Zone::DeviceCoherent(_) => match mapping {
            Mapping::None | Mapping::Anon => {}
            // Of file systems' pages a device can't be the home.
            Mapping::File => return Pages::Refuse,
            Mapping::SwapCache if rules.frees_swap_cache() => return Pages::FreeSwap,
            Mapping::SwapCache => return Pages::Refuse,
        },
    }
    Pages::Migrate(match facts.pin {
        true => MigrateMode::Referenced,
        false => MigrateMode::SyncNoCopy,
    })
}

/// Decide on one entry, trying to free the swap cache once where that may help.
#[inline(always)]
fn verdict<M: MmOps>(ops: &mut M, rules: Rules, src: SrcPfn, dst: DstPfn) -> Pages {
    let mut facts = PagesFacts {
        src: src.pfn().map(|page| ops.page_mapping(page)),
        private: src.pfn().is_some_and(|page| ops.page_has_private(page)),
        dst: dst.pfn().map(|page| ops.page_zone(page)),
        migrating: src.migrating(),
        pin: src.pin(),
    };
    match (decide_pages(rules, facts), src.pfn()) {
        (Pages::FreeSwap, Some(page)) => {
            if !ops.free_swap_cache(page) {
                return Pages::Refuse;
            }
            facts.src = Some(ops.page_mapping(page));
            match decide_pages(rules, facts) {
                Pages::FreeSwap => Pages::Refuse,
                other => other,
            }
        }
        (other, _) => other,
    }
}

/// Move the identity of a source to its destination; did it work?
#[inline(always)]
fn hand_over<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    known: Known,
    new: Pfn,
    old: Pfn,
    mode: MigrateMode,
) -> bool {
    let one_more = i32::from(known.fault_page == Some(old));
    if !migrate_page(ops, rules, new, old, mode, one_more) {
        return false;
    }
    if mode == MigrateMode::Referenced && rules.keeps_records() {
        ops.pin_pair(old, new);
    }
    true
}

/// Hand over every entry that has a destination. A migration from device pfns has no area, and so nothing that a
/// destination could be inserted into.
#[inline(always)]
pub(crate) fn pages<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    known: Known,
    area: Option<&Context<M::Vma>>,
    src: &mut [SrcPfn],
    dst: &[DstPfn],
) {
    let rules = Rules::of::<P, S>();
    let (event, owner) = match rules.insert_notifies_as_migrate() {
        true => (NotifyEvent::Migrate, Some(known.owner)),
        false => (NotifyEvent::Clear, None),
    };
    // One section for all insertions, opened at the first of them.
    let mut section: Option<(M::Vma, Range)> = None;
    let mut addr = area.map_or(0, |context| context.range.start);
    for (src, dst) in src.iter_mut().zip(dst) {
        let verdict = verdict(ops, rules, *src, *dst);
        let moved = match (verdict, area, src.pfn(), dst.pfn()) {
            (Pages::Insert, Some(context), _, Some(new)) => {
                if section.is_none() {
                    let range = Range {
                        start: addr,
                        end: context.range.end,
                    };
                    ops.notify_start(context.vma, range, event, owner);
                    section = Some((context.vma, range));
                }
                let inserted = insert(ops, rules, context, addr, new);
                if inserted {
                    *src = SrcPfn::EMPTY;
                }
                inserted
            }
            (Pages::Migrate(mode), _, Some(old), Some(new)) => {
                hand_over(ops, rules, known, new, old, mode)
            }
            // Refused; or skipped, which clears a MIGRATE that is not there.
            _ => false,
        };
        if !moved {
            *src = src.without(MigratePfn::MIGRATE);
        }
        addr = addr.wrapping_add(PAGE_SIZE);
    }
    if let Some((vma, range)) = section {
        ops.notify_end(vma, range, event, owner);
    }
}
