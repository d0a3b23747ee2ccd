//! `migrate_vma_setup()`'s refusals, and those that only `Hardened` knows.

use crate::{hardened, is_zone_device, v6_12, Table, ME, OTHER, ZONES};
use migrate_pin_core::border::{
    check_destination, check_length, check_range, check_sources, pin_facts, referenced, suitable,
    DestinationFacts, PinFacts,
};
use migrate_pin_core::{
    DestinationError, Error, Pfn, PinRecord, Range, Rules, SrcPfn, VmaFacts, VmaFlags, WordError,
    Zone, PAGE_SIZE,
};

/// The area: pages 4 to 8.
const VMA: Range = Range {
    start: 0x4000,
    end: 0x8000,
};

/// Both sides of every boundary, of the area and of pages, and the ends of the address space.
const ADDRESSES: [usize; 21] = [
    0,
    1,
    0xfff,
    0x1000,
    0x3000,
    0x3fff,
    0x4000,
    0x4001,
    0x4fff,
    0x5000,
    0x5001,
    0x5fff,
    0x6000,
    0x6fff,
    0x7000,
    0x7fff,
    0x8000,
    0x8001,
    0x8fff,
    0x9000,
    usize::MAX,
];

/// `migrate_vma_setup()`: in C's order, but for what has no address (the vma's kind) first; deviations: a
/// reversed range is refused. `Hardened` refuses what is not aligned.
fn range_oracle(hardened: bool, vma: VmaFacts, asked: Range) -> Result<Range, Error> {
    // if (!vma || is_vm_hugetlb_page(vma) || (vma->vm_flags & VM_SPECIAL) || vma_is_dax(vma))
    if vma.flags.contains(VmaFlags::HUGETLB) {
        return Err(Error::HugetlbVma);
    }
    if vma.flags.contains(VmaFlags::SPECIAL) {
        return Err(Error::SpecialVma);
    }
    if vma.flags.contains(VmaFlags::DAX) {
        return Err(Error::DaxVma);
    }
    // long nr_pages = (end - start) >> PAGE_SHIFT, before rounding; if (nr_pages <= 0) return -EINVAL;
    // A reversed range wraps around, is huge, and passes there; this is the deviation.
    if asked.end < asked.start {
        return Err(Error::ReversedRange);
    }
    // The kernel has no such test, all are -EINVAL, and no whole page is the lesser news of a range that is
    // not made of pages: so it stands first.
    if hardened {
        for address in [asked.start, asked.end] {
            if address % 0x1000 != 0 {
                return Err(Error::Unaligned { address });
            }
        }
    }
    if asked.end - asked.start < 0x1000 {
        return Err(Error::EmptyRange);
    }
    // start &= PAGE_MASK; end &= PAGE_MASK;
    let (start, end) = (asked.start & !0xfff, asked.end & !0xfff);
    // if (start < vma->vm_start || start >= vma->vm_end) return -EINVAL;
    // if (end <= vma->vm_start || end > vma->vm_end) return -EINVAL;
    if start < vma.range.start
        || start >= vma.range.end
        || end <= vma.range.start
        || end > vma.range.end
    {
        return Err(Error::OutsideVma);
    }
    Ok(Range { start, end })
}

#[test]
fn range() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for flags in (0..32).map(VmaFlags::from_bits_truncate) {
            for start in ADDRESSES {
                for end in ADDRESSES {
                    let (vma, asked) = (VmaFacts { range: VMA, flags }, Range { start, end });
                    table.row(
                        (rules, flags, asked),
                        range_oracle(hardened(rules), vma, asked),
                        check_range(rules, vma, asked),
                    );
                }
            }
        }
    }
    table.done(4 * 32 * 21 * 21);
}

/// The same in a table, for anonymous memory: | start, end | as posted | hardened |
#[test]
fn ranges_by_name() {
    let ok = |start, end| Ok(Range { start, end });
    let unaligned = |address| Err(Error::Unaligned { address });
    let rows = [
        (0x4000, 0x8000, ok(0x4000, 0x8000), ok(0x4000, 0x8000)), // all of it
        (0x4000, 0x5000, ok(0x4000, 0x5000), ok(0x4000, 0x5000)), // the first page
        (0x7000, 0x8000, ok(0x7000, 0x8000), ok(0x7000, 0x8000)), // the last page
        (
            0x3000,
            0x5000,
            Err(Error::OutsideVma),
            Err(Error::OutsideVma),
        ),
        (
            0x7000,
            0x9000,
            Err(Error::OutsideVma),
            Err(Error::OutsideVma),
        ),
        (
            0x3000,
            0x4000,
            Err(Error::OutsideVma),
            Err(Error::OutsideVma),
        ),
        (
            0x8000,
            0x9000,
            Err(Error::OutsideVma),
            Err(Error::OutsideVma),
        ),
        (
            0x5000,
            0x5000,
            Err(Error::EmptyRange),
            Err(Error::EmptyRange),
        ),
        (
            0x6000,
            0x5000,
            Err(Error::ReversedRange),
            Err(Error::ReversedRange),
        ),
        // One page and two bytes are asked for; two pages are walked.
        (0x4fff, 0x6001, ok(0x4000, 0x6000), unaligned(0x4fff)),
        (0x4000, 0x5001, ok(0x4000, 0x5000), unaligned(0x5001)),
        // Past the end by less than a page: rounding brings it back.
        (0x7000, 0x8fff, ok(0x7000, 0x8000), unaligned(0x8fff)),
    ];
    let mut table = Table::new();
    for rules in Rules::ALL {
        for (start, end, as_posted, mended) in rows {
            let vma = VmaFacts {
                range: VMA,
                flags: VmaFlags::ANONYMOUS | VmaFlags::WRITE,
            };
            let asked = Range { start, end };
            let expected = if hardened(rules) { mended } else { as_posted };
            table.row((rules, asked), expected, check_range(rules, vma, asked));
        }
    }
    table.done(4 * 12);
}

/// One word a page, in both arrays, no more and no fewer.
#[test]
fn length() {
    let mut table = Table::new();
    for pages in 0..6 {
        for src in 0..6 {
            for dst in 0..6 {
                let range = Range {
                    start: 0x4000,
                    end: 0x4000 + pages * PAGE_SIZE,
                };
                let expected = if src == pages && dst == pages {
                    Ok(())
                } else {
                    Err(Error::Length { pages, src, dst })
                };
                let found = check_length(range, src, dst);
                table.row((pages, src, dst), expected, found);
            }
        }
    }
    table.done(6 * 6 * 6);
}

/// The first word that is neither 0 nor PIN, with what is wrong with it.
#[test]
fn sources() {
    let words = [
        (0, None),
        (0b1_0000, None),
        (0b10_0000, Some(WordError::ReservedBits)),
        (0x42 << 6, Some(WordError::PfnWithoutValid)),
        (0b1, Some(WordError::ValidWithoutPfn)),
        (0x42 << 6 | 0b1, Some(WordError::Stale)),
        (0b10, Some(WordError::Stale)),
    ];
    let mut table = Table::new();
    table.row(0, Ok(()), check_sources(&[]));
    for first in words {
        for second in words {
            for third in words {
                let all = [first, second, third];
                let src = all.map(|(word, _)| SrcPfn::from_raw(word));
                let wrong = all.iter().enumerate().find_map(|(index, &(word, error))| {
                    error.map(|error| Error::Src { index, word, error })
                });
                table.row(all, wrong.map_or(Ok(()), Err), check_sources(&src));
            }
        }
    }
    table.done(1 + 7 * 7 * 7);
}

/// Which errors are true of a page: all that its facts say against it.
///
/// The original of a pin keeps its mapping (`migrate_page_move_mapping()` copies it, and "the source keeps
/// them"), so for the owner's UNPIN a mapping is no use by somebody; for others that it is pinned, or that
/// UNPIN is not theirs to say, is the reason.
fn reasons(facts: DestinationFacts) -> Vec<DestinationError> {
    let table = [
        (!facts.exists, DestinationError::NoSuchPage),
        (!facts.referenced, DestinationError::Free),
        (!facts.locked, DestinationError::NotLocked),
        (facts.compound, DestinationError::Compound),
        (!facts.suitable, DestinationError::ForeignDevice),
        (facts.used, DestinationError::InUse),
        (
            facts.has_mapping && !facts.unpin && facts.pin == PinFacts::None,
            DestinationError::InUse,
        ),
        (
            !facts.unpin && facts.pin != PinFacts::None,
            DestinationError::Pinned,
        ),
        (
            facts.unpin && facts.pin == PinFacts::None,
            DestinationError::NoPin,
        ),
        (
            facts.unpin && facts.pin == PinFacts::Foreign,
            DestinationError::ForeignPin,
        ),
        (
            facts.unpin && facts.pin == PinFacts::OtherPair,
            DestinationError::OtherPair,
        ),
    ];
    let holds = table.into_iter().filter(|(holds, _)| *holds);
    holds.map(|(_, error)| error).collect()
}

/// Of several reasons the first of these is given: what can't be looked at has no other facts, what is free
/// means nothing, then whose it is, then what is wrong with it, last what the caller can mend by a lock.
const ORDER: [DestinationError; 10] = [
    DestinationError::NoSuchPage,
    DestinationError::Free,
    DestinationError::ForeignDevice,
    DestinationError::Compound,
    DestinationError::Pinned,
    DestinationError::NoPin,
    DestinationError::ForeignPin,
    DestinationError::OtherPair,
    DestinationError::InUse,
    DestinationError::NotLocked,
];

#[test]
fn destination() {
    let pins = [
        PinFacts::None,
        PinFacts::Foreign,
        PinFacts::OtherPair,
        PinFacts::Own,
    ];
    let mut table = Table::new();
    let mut fit = Vec::new();
    for bits in 0..256 {
        for pin in pins {
            let bit = |n: u32| bits >> n & 1 != 0;
            let facts = DestinationFacts {
                exists: bit(0),
                referenced: bit(1),
                locked: bit(2),
                compound: bit(3),
                suitable: bit(4),
                used: bit(5),
                has_mapping: bit(6),
                unpin: bit(7),
                pin,
            };
            let found = check_destination(facts);
            let reasons = reasons(facts);
            // Fit exactly if nothing speaks against it, and else for a reason that is true.
            table.row(facts, reasons.is_empty(), found.is_ok());
            let first = ORDER.into_iter().find(|error| reasons.contains(error));
            table.row(facts, first, found.err());
            if found.is_ok() {
                fit.push((facts.unpin, facts.has_mapping, pin));
            }
        }
    }
    // A fresh page; the original of a pin, whether truncated meanwhile or not.
    assert_eq!(
        fit,
        [
            (false, false, PinFacts::None),
            (true, false, PinFacts::Own),
            (true, true, PinFacts::Own),
        ]
    );
    table.done(256 * 4 * 2);
}

/// | record | source | means |: the source must be the device page that stands for the page.
#[test]
fn records() {
    let (a, b) = (Some(Pfn(0xa0)), Some(Pfn(0xb0)));
    let of = |owner, device| Some(PinRecord { owner, device });
    let rows = [
        (None, [PinFacts::None; 3]),
        (of(OTHER, None), [PinFacts::Foreign; 3]),
        (of(OTHER, a), [PinFacts::Foreign; 3]),
        (of(OTHER, b), [PinFacts::Foreign; 3]),
        // The move has not succeeded: nothing stands for it, not even "no source".
        (of(ME, None), [PinFacts::OtherPair; 3]),
        (
            of(ME, a),
            [PinFacts::OtherPair, PinFacts::Own, PinFacts::OtherPair],
        ),
        (
            of(ME, b),
            [PinFacts::OtherPair, PinFacts::OtherPair, PinFacts::Own],
        ),
    ];
    let mut table = Table::new();
    for (record, columns) in rows {
        for (source, expected) in [None, a, b].into_iter().zip(columns) {
            table.row((record, source), expected, pin_facts(record, ME, source));
        }
    }
    table.done(21);
}

/// A free `ZONE_DEVICE` page of 5.11 stands at 1 ("have an extra refcount"), any other at 0.
#[test]
fn references() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for zone in ZONES {
            for count in [0, 1, 2, 3, 1024, 1025, u32::MAX] {
                let free = u32::from(!v6_12(rules) && is_zone_device(zone));
                let found = referenced(rules, zone, count);
                table.row((rules, zone, count), count > free, found);
            }
        }
    }
    table.done(4 * 6 * 7);
}

/// `migrate_vma_pages()`: system memory, device-private, in 6.12 device-coherent; `Hardened`: of one's own.
#[test]
fn suitability() {
    // | zone | 5.11, 6.12 | for ME
    let rows = [
        (Zone::System, true, true),
        (Zone::DevicePrivate(ME), true, true),
        (Zone::DevicePrivate(OTHER), false, false),
        (Zone::DeviceCoherent(ME), false, true),
        (Zone::DeviceCoherent(OTHER), false, false),
        (Zone::DeviceOther, false, false),
    ];
    let mut table = Table::new();
    for rules in Rules::ALL {
        for (zone, old, new) in rows {
            let expected = if v6_12(rules) { new } else { old };
            table.row((rules, zone), expected, suitable(rules, zone, ME));
        }
    }
    table.done(24);
}
