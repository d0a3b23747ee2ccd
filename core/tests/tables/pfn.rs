//! The words. Patch, hunk `include/linux/migrate.h`:
//! `VALID` 1<<0, `MIGRATE` 1<<1, `LOCKED` 1<<2, `WRITE` 1<<3, `PIN` and `UNPIN` 1<<4, `SHIFT` 6.

use crate::{Table, BOTH};
use migrate_pin_core::pfn::RESERVED_BITS;
use migrate_pin_core::{
    DstPfn, MigratePfn, Pfn, SrcPfn, WordError, GUP_PIN_COUNTING_BIAS, MIGRATE_PFN_SHIFT,
};

const VALID: usize = 1;
const MIGRATE: usize = 2;
const LOCKED: usize = 4;
const WRITE: usize = 8;
const PIN: usize = 16;
const UNPIN: usize = 16;
const RESERVED: usize = 32;

/// No page, the first, some, and the greatest that fits.
const PFNS: [usize; 4] = [0, 1, 0x42, usize::MAX >> 6];

/// Every combination of the six low bits, with each pfn.
fn words() -> impl Iterator<Item = usize> {
    PFNS.into_iter()
        .flat_map(|pfn| (0..64).map(move |bits| pfn << 6 | bits))
}

/// Every set of flags.
fn flag_sets() -> impl Iterator<Item = MigratePfn> {
    (0..32).map(MigratePfn::from_bits_truncate)
}

#[test]
fn bits_are_those_of_the_header() {
    let mut table = Table::new();
    for (name, bit, found) in [
        ("VALID", VALID, MigratePfn::VALID),
        ("MIGRATE", MIGRATE, MigratePfn::MIGRATE),
        ("LOCKED", LOCKED, MigratePfn::LOCKED),
        ("WRITE", WRITE, MigratePfn::WRITE),
        ("PIN", PIN, MigratePfn::PIN),
        ("UNPIN", UNPIN, MigratePfn::UNPIN),
        ("all", 0b1_1111, MigratePfn::all()),
    ] {
        table.row(name, bit, found.bits());
    }
    table.row("reserved", RESERVED, RESERVED_BITS);
    table.row("shift", 6, MIGRATE_PFN_SHIFT);
    table.row("bias", 1024, GUP_PIN_COUNTING_BIAS); // include/linux/mm.h: 1U << 10
    table.row("SrcPfn::NONE", 0, SrcPfn::NONE.raw());
    table.row("SrcPfn::PIN", PIN, SrcPfn::PIN.raw());
    table.row("SrcPfn::EMPTY", MIGRATE, SrcPfn::EMPTY.raw());
    table.row("DstPfn::NONE", 0, DstPfn::NONE.raw());
    table.row("SrcPfn::default", 0, SrcPfn::default().raw());
    table.row("DstPfn::default", 0, DstPfn::default().raw());
    table.done(16);
}

/// `migrate_pfn_to_page()`: `if (!(mpfn & MIGRATE_PFN_VALID)) return NULL;
/// return pfn_to_page(mpfn >> MIGRATE_PFN_SHIFT);`
fn to_page(word: usize) -> Option<Pfn> {
    (word & VALID != 0).then_some(Pfn(word >> 6))
}

#[test]
fn source_accessors() {
    let mut table = Table::new();
    for word in words() {
        let src = SrcPfn::from_raw(word);
        let found = (
            src.raw(),
            src.flags().bits(),
            src.pfn(),
            (src.migrating(), src.write(), src.pin(), src.locked()),
        );
        let expected = (
            word,
            word & 0b1_1111,
            to_page(word),
            (
                word & MIGRATE != 0,
                word & WRITE != 0,
                word & PIN != 0,
                word & LOCKED != 0,
            ),
        );
        table.row(word, expected, found);
    }
    table.done(4 * 64);
}

#[test]
fn destination_accessors() {
    let mut table = Table::new();
    for word in words() {
        let dst = DstPfn::from_raw(word);
        let found = (
            dst.raw(),
            dst.flags().bits(),
            dst.pfn(),
            (dst.is_unpin(), dst.locked()),
        );
        let expected = (
            word,
            word & 0b1_1111,
            to_page(word),
            (word & UNPIN != 0, word & LOCKED != 0),
        );
        table.row(word, expected, found);
    }
    table.done(4 * 64);
}

/// `src |= flags`, `src &= ~flags`, and `src |= mpfn` (patch, `next:` in `migrate_vma_collect_pmd()`).
#[test]
fn source_bit_operations() {
    let mut table = Table::new();
    for word in words() {
        let src = SrcPfn::from_raw(word);
        for flags in flag_sets() {
            table.row(
                (word, flags, "with"),
                word | flags.bits(),
                src.with(flags).raw(),
            );
            table.row(
                (word, flags, "without"),
                word & !flags.bits(),
                src.without(flags).raw(),
            );
        }
        for other in words() {
            table.row(
                (word, other, "or"),
                word | other,
                src.or(SrcPfn::from_raw(other)).raw(),
            );
        }
    }
    table.done(256 * (32 + 32 + 256));
}

/// `migrate_pfn()`: `(pfn << MIGRATE_PFN_SHIFT) | MIGRATE_PFN_VALID`, whose shift drops what does not fit.
#[test]
fn words_of_pages() {
    let mut table = Table::new();
    for pfn in PFNS.into_iter().chain([(usize::MAX >> 6) + 1, usize::MAX]) {
        for flags in flag_sets() {
            table.row(
                (pfn, flags),
                pfn << 6 | VALID | flags.bits(),
                SrcPfn::page(Pfn(pfn), flags).raw(),
            );
        }
        table.row(
            (pfn, "page"),
            pfn << 6 | VALID | LOCKED,
            DstPfn::page(Pfn(pfn)).raw(),
        );
        table.row(
            (pfn, "unpin"),
            pfn << 6 | VALID | LOCKED | UNPIN,
            DstPfn::unpin(Pfn(pfn)).raw(),
        );
    }
    table.done(6 * (32 + 2));
}

/// What is wrong with any word, source or destination. Bit 5 is zero (protocol, "The words"); a pfn stands
/// in a word exactly if VALID does.
fn malformed(word: usize) -> Option<WordError> {
    if word & RESERVED != 0 {
        return Some(WordError::ReservedBits);
    }
    match (word & VALID != 0, word >> 6) {
        (false, 0) => None,
        (false, _) => Some(WordError::PfnWithoutValid),
        (true, 0) => Some(WordError::ValidWithoutPfn),
        (true, _) => None,
    }
}

/// The caller zeroes `src` before setup, or sets PIN ("since patch 2 it no longer zeroes `src`").
#[test]
fn check_source() {
    let mut table = Table::new();
    let mut fit = Vec::new();
    for word in words() {
        let expected = match malformed(word) {
            Some(error) => Err(error),
            None if word == 0 || word == PIN => Ok(()),
            None => Err(WordError::Stale),
        };
        if expected.is_ok() {
            fit.push(word);
        }
        table.row(word, expected, SrcPfn::from_raw(word).check());
    }
    assert_eq!(fit, [0, PIN]);
    table.done(4 * 64);
}

/// The kernel-doc of `migrate_vma_setup()`: a destination is a pfn with VALID and LOCKED (6.12: VALID; the
/// page "must be locked via lock_page()"), plus UNPIN in the patch; or 0.
#[test]
fn check_destination() {
    let mut table = Table::new();
    // On 6.12 there is no LOCKED, and WRITE is a driver's note to itself (`lib/test_hmm.c`).
    for (need_locked, note) in [(true, false), (false, true), (false, false), (true, true)] {
        let of_sources = if note { MIGRATE } else { MIGRATE | WRITE };
        for word in words() {
            let expected = if let Some(error) = malformed(word) {
                Err(error)
            } else if word & of_sources != 0 {
                Err(WordError::SourceBits)
            } else if word == 0 {
                Ok(())
            } else if word & VALID == 0 {
                Err(WordError::FlagsWithoutPage)
            } else if need_locked && word & LOCKED == 0 {
                Err(WordError::NotLocked)
            } else {
                Ok(())
            };
            table.row(
                (word, need_locked, note),
                expected,
                DstPfn::from_raw(word).check(need_locked, note),
            );
        }
    }
    table.done(4 * 4 * 64);
}

/// What this crate makes is fit for where it goes.
#[test]
fn own_words_are_fit() {
    let mut table = Table::new();
    for need_locked in BOTH {
        for pfn in [1, 0x42, usize::MAX >> 6] {
            table.row(
                pfn,
                Ok(()),
                DstPfn::page(Pfn(pfn)).check(need_locked, false),
            );
            table.row(
                pfn,
                Ok(()),
                DstPfn::unpin(Pfn(pfn)).check(need_locked, false),
            );
        }
        table.row(0, Ok(()), DstPfn::NONE.check(need_locked, false));
    }
    table.row(0, Ok(()), SrcPfn::NONE.check());
    table.row(0, Ok(()), SrcPfn::PIN.check());
    table.row(0, Err(WordError::Stale), SrcPfn::EMPTY.check());
    table.done(2 * 7 + 3);
}
