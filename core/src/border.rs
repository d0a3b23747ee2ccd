//! The border: what a caller passes in is checked before anything is taken or changed.
//!
//! # The trust boundary
//!
//! What can be told from a valid word is refused. What can't is trusted, and it is this:
//!
//! - that the caller holds `mmap_lock` of the area's address space, and that the `vma` handle is alive;
//! - that a destination which is locked, referenced, unmapped, in no cache and on no list is the
//!   *caller's*: locks and references name no owner;
//! - that an unpinned destination holds what the source held, if the mode does not copy;
//! - that the driver has revoked its device's mapping of a page before the page goes to the CPU;
//! - that the [`RawMigration`](crate::migration::RawMigration) which a caller hands back is one it was
//!   given: accidents are found by a checksum, a forgery is not;
//!   It is good for one call, and so are copies of it taken together;
//! - that source words which a caller carries without a raw migration
//!   ([`Migration::from_words`](crate::Migration::from_words),
//!   [`DeviceMigration::from_words`](crate::DeviceMigration::from_words)) are those that the stage before left,
//!   and are good for one call: of them no more than the form is checked;
//! - that a caller in Rust does not [`forget`](core::mem::forget) a migration, whose pages would stay locked
//!   and unmapped;
//! - that a [`Device`](crate::Device) hands out pages of its own, locked and with a reference, whose pfn fits
//!   into a word, and is a handle for the address space that it is used with;
//! - that the handler which names a `fault_page` holds a reference on it;
//! - that a device page which stands for a pin is migrated back with UNPIN: records are kept by original, so
//!   that a plain copy in its place looks like a migration from device memory;
//! - that the driver's memory of which page a device page stands for is right where there is no record.

use crate::error::{DestinationError, Error};
use crate::ops::{
    DestinationLook, Mapping, MmOps, Owner, PinRecord, Range, VmaFacts, VmaFlags, Zone,
};
use crate::pfn::{DstPfn, Pfn, SrcPfn, PAGE_SHIFT, PAGE_SIZE};
use crate::policy::Rules;

/// The range that a migration of `asked` within an area covers: both ends rounded down to pages.
///
/// As posted the boundaries are rounded and the number of pages is reckoned before, so that an unaligned
/// range may cover one page more than the caller's arrays hold; hardened refuses it. A reversed range is
/// refused by either: the patch would walk nothing and report success.
///
/// # Errors
/// The first that holds of [`Error::HugetlbVma`], [`Error::SpecialVma`], [`Error::DaxVma`],
/// [`Error::ReversedRange`], [`Error::Unaligned`], [`Error::EmptyRange`], [`Error::OutsideVma`].
#[inline]
pub fn check_range(rules: Rules, vma: VmaFacts, asked: Range) -> Result<Range, Error> {
    if vma.flags.contains(VmaFlags::HUGETLB) {
        return Err(Error::HugetlbVma);
    }
    if vma.flags.contains(VmaFlags::SPECIAL) {
        return Err(Error::SpecialVma);
    }
    if vma.flags.contains(VmaFlags::DAX) {
        return Err(Error::DaxVma);
    }
    let Some(bytes) = asked.end.checked_sub(asked.start) else {
        return Err(Error::ReversedRange);
    };
    for address in [asked.start, asked.end] {
        if address & (PAGE_SIZE - 1) != 0 && rules.checks_words() {
            return Err(Error::Unaligned { address });
        }
    }
    if bytes >> PAGE_SHIFT == 0 {
        return Err(Error::EmptyRange);
    }
    let range = Range {
        start: asked.start & !(PAGE_SIZE - 1),
        end: asked.end & !(PAGE_SIZE - 1),
    };
    if range.start < vma.range.start || range.end > vma.range.end {
        return Err(Error::OutsideVma);
    }
    Ok(range)
}

/// Has each array one word a page of `range`?
///
/// # Errors
/// [`Error::Length`] if not.
pub fn check_length(range: Range, src: usize, dst: usize) -> Result<(), Error> {
    let pages = range.end.saturating_sub(range.start) >> PAGE_SHIFT;
    if src == pages && dst == pages {
        Ok(())
    } else {
        Err(Error::Length { pages, src, dst })
    }
}

/// Are all source words fit for setup?
///
/// # Errors
/// [`Error::Src`] for the first that is not.
pub fn check_sources(src: &[SrcPfn]) -> Result<(), Error> {
    for (index, word) in src.iter().enumerate() {
        word.check().map_err(|error| Error::Src {
            index,
            word: word.raw(),
            error,
        })?;
    }
    Ok(())
}

/// Can setup have left these source words?
///
/// # Errors
/// [`Error::Src`] for the first that it can't.
pub fn check_carried(src: &[SrcPfn]) -> Result<(), Error> {
    for (index, word) in src.iter().enumerate() {
        word.check_carried().map_err(|error| Error::Src {
            index,
            word: word.raw(),
            error,
        })?;
    }
    Ok(())
}

/// What the border asks of a destination page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationFacts {
    /// There is such a page frame.
    pub exists: bool,
    /// Somebody holds a reference.
    pub referenced: bool,
    /// It is locked.
    pub locked: bool,
    /// It is part of a compound page.
    pub compound: bool,
    /// Its memory can be migrated to by this caller: system, or device-private of its own (in 6.12
    /// device-coherent too).
    pub suitable: bool,
    /// It is mapped or on the LRU.
    pub used: bool,
    /// It belongs to a mapping or a cache (`page->mapping`).
    pub has_mapping: bool,
    /// The word has UNPIN.
    pub unpin: bool,
    /// What the record of a pin says.
    pub pin: PinFacts,
}

/// What the record of a pin says to a caller that wants to drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinFacts {
    /// There is none.
    None,
    /// Another owner's.
    Foreign,
    /// The caller's own, but the source of this entry is not the device page that stands for the page.
    OtherPair,
    /// The caller's own, and the source stands for the page.
    Own,
}

/// May a page be a destination?
///
/// # Errors
/// The first reason why not: there is no such page, it is free, of a device that is none of the caller's,
/// compound, the word and the record of a pin do not agree (or without a pin, it belongs to a mapping), it
/// is mapped or on the LRU, it is not locked.
#[inline(always)]
pub const fn check_destination(facts: DestinationFacts) -> Result<(), DestinationError> {
    if !facts.exists {
        return Err(DestinationError::NoSuchPage);
    }
    if !facts.referenced {
        return Err(DestinationError::Free);
    }
    if !facts.suitable {
        return Err(DestinationError::ForeignDevice);
    }
    if facts.compound {
        return Err(DestinationError::Compound);
    }
    match (facts.unpin, facts.pin) {
        (false, PinFacts::None) if facts.has_mapping => return Err(DestinationError::InUse),
        (false, PinFacts::None) | (true, PinFacts::Own) => {}
        (false, _) => return Err(DestinationError::Pinned),
        (true, PinFacts::None) => return Err(DestinationError::NoPin),
        (true, PinFacts::Foreign) => return Err(DestinationError::ForeignPin),
        (true, PinFacts::OtherPair) => return Err(DestinationError::OtherPair),
    }
    if facts.used {
        return Err(DestinationError::InUse);
    }
    if !facts.locked {
        return Err(DestinationError::NotLocked);
    }
    Ok(())
}

/// What a record means for `owner`, whose source is `device`.
#[must_use]
#[inline(always)]
pub fn pin_facts(record: Option<PinRecord>, owner: Owner, device: Option<Pfn>) -> PinFacts {
    match record {
        None => PinFacts::None,
        Some(record) if record.owner != owner => PinFacts::Foreign,
        Some(record) if record.device.is_none() || record.device != device => PinFacts::OtherPair,
        Some(_) => PinFacts::Own,
    }
}

/// Does `count` say that a page of `zone` is in use? A free device page of 5.11 stands at 1.
#[must_use]
#[inline(always)]
pub const fn referenced(rules: Rules, zone: Zone, count: u32) -> bool {
    let free = rules.device_pages_count_one_more() && zone.is_device();
    count > free as u32
}

/// May `owner` migrate to memory of `zone`?
#[must_use]
#[inline(always)]
pub fn suitable(rules: Rules, zone: Zone, owner: Owner) -> bool {
    match zone {
        Zone::System => true,
        Zone::DevicePrivate(of) => of == owner,
        Zone::DeviceCoherent(of) => of == owner && rules.has_coherent_pages(),
        Zone::DeviceOther => false,
    }
}

/// Look at the page that a destination word names.
#[inline(always)]
fn facts<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    owner: Owner,
    page: Pfn,
    src: SrcPfn,
    dst: DstPfn,
) -> DestinationFacts {
    // The rest of a page that is free, or none at all, is nobody's to look at.
    let nothing = DestinationFacts {
        exists: false,
        referenced: false,
        locked: false,
        compound: false,
        suitable: false,
        used: false,
        has_mapping: false,
        unpin: dst.is_unpin(),
        pin: PinFacts::None,
    };
    let (look, locked, lru) = match ops.destination_look(rules, page) {
        DestinationLook::Missing => return nothing,
        DestinationLook::Free => {
            return DestinationFacts {
                exists: true,
                ..nothing
            }
        }
        DestinationLook::Used { look, locked, lru } => (look, locked, lru),
    };
    let device = match src.migrating() {
        true => src.pfn(),
        false => None,
    };
    DestinationFacts {
        exists: true,
        referenced: true,
        locked,
        compound: look.compound,
        suitable: suitable(rules, look.zone, owner),
        used: look.mapcount > 0 || lru,
        has_mapping: look.mapping != Mapping::None,
        unpin: dst.is_unpin(),
        pin: pin_facts(ops.pin_record(page), owner, device),
    }
}

/// Check one destination word and mark its page.
#[inline(always)]
fn claim<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    owner: Owner,
    index: usize,
    src: SrcPfn,
    dst: DstPfn,
) -> Result<(), Error> {
    dst.check(rules.has_locked_bit(), rules.leaves_write_to_drivers())
        .map_err(|error| Error::Dst {
            index,
            word: dst.raw(),
            error,
        })?;
    let Some(page) = dst.pfn() else {
        return Ok(());
    };
    let refused = |error| Error::Destination { index, page, error };
    let facts = facts(ops, rules, owner, page, src, dst);
    check_destination(facts).map_err(refused)?;
    if !ops.claim_destination(page) {
        return Err(refused(DestinationError::Twice));
    }
    Ok(())
}

/// Check all destination words and mark their pages; on an error no page stays marked.
///
/// # Errors
/// [`Error::Dst`] or [`Error::Destination`] for the first word that is wrong.
#[inline(always)]
pub(crate) fn claim_destinations<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    owner: Owner,
    src: &[SrcPfn],
    dst: &[DstPfn],
) -> Result<(), Error> {
    for (index, (from, to)) in src.iter().zip(dst).enumerate() {
        if let Err(error) = claim(ops, rules, owner, index, *from, *to) {
            for claimed in dst.iter().take(index) {
                if let Some(page) = claimed.pfn() {
                    ops.unclaim_destination(page);
                }
            }
            return Err(error);
        }
    }
    Ok(())
}
