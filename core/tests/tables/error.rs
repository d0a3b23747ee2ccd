//! Every refusal: its errno, and a sentence that no other has.

use crate::Table;
use migrate_pin_core::{DestinationError, Error, Pfn, WordError};
use std::collections::HashSet;

// include/uapi/asm-generic/errno-base.h, errno.h
const EPERM: i32 = 1;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const ESTALE: i32 = 116;

/// | error | what its sentence must name: the thing, and what was expected of it |
const WORDS: [(WordError, &[&str]); 7] = [
    (WordError::ReservedBits, &["bit 5"]),
    (WordError::PfnWithoutValid, &["pfn", "VALID"]),
    (WordError::ValidWithoutPfn, &["VALID", "pfn"]),
    (WordError::Stale, &["0", "PIN"]),
    (WordError::SourceBits, &["MIGRATE", "WRITE"]),
    (WordError::FlagsWithoutPage, &["flags", "page"]),
    (WordError::NotLocked, &["LOCKED"]),
];

/// | error | errno | what its sentence must name |
const DESTINATIONS: [(DestinationError, i32, &[&str]); 11] = [
    (DestinationError::NoSuchPage, EINVAL, &["no"]),
    (DestinationError::Free, EINVAL, &["reference"]),
    (DestinationError::NotLocked, EINVAL, &["lock"]),
    (DestinationError::Compound, EINVAL, &["compound"]),
    (DestinationError::ForeignDevice, EPERM, &["device"]),
    (DestinationError::InUse, EBUSY, &["mapped", "cache", "LRU"]),
    (DestinationError::Twice, EINVAL, &["two"]),
    (DestinationError::Pinned, EBUSY, &["UNPIN"]),
    (DestinationError::NoPin, EPERM, &["UNPIN", "record"]),
    (DestinationError::ForeignPin, EPERM, &["owner"]),
    (DestinationError::OtherPair, EPERM, &["source"]),
];

/// | error | errno | what its sentence must name |
///
/// `migrate_vma_setup()` answers `-EINVAL` to a wrong area, range or array.
fn errors() -> Vec<(Error, i32, Vec<&'static str>)> {
    let mut all = vec![
        (Error::NoVma, EINVAL, vec!["no area", "mapped"]),
        (Error::HugetlbVma, EINVAL, vec!["hugetlb"]),
        (Error::SpecialVma, EINVAL, vec!["special"]),
        (Error::DaxVma, EINVAL, vec!["DAX"]),
        (Error::EmptyRange, EINVAL, vec!["page"]),
        (Error::ReversedRange, EINVAL, vec!["range"]),
        (
            Error::Unaligned { address: 0x1001 },
            EINVAL,
            vec!["0x1001", "multiple"],
        ),
        (Error::OutsideVma, EINVAL, vec!["area"]),
        (
            Error::Length {
                pages: 31,
                src: 37,
                dst: 41,
            },
            EINVAL,
            vec!["31", "37", "41"],
        ),
        (
            Error::FaultPage { page: Pfn(0x77) },
            EINVAL,
            vec!["0x77", "device-private"],
        ),
        (Error::Stage, EINVAL, vec!["stage"]),
        (Error::OtherRules, EINVAL, vec!["policy", "shape"]),
        (Error::Stale, ESTALE, vec!["changed"]),
    ];
    for (error, names) in WORDS {
        let (index, word) = (23, 0xabc1);
        for wrong in [
            Error::Src { index, word, error },
            Error::Dst { index, word, error },
        ] {
            all.push((wrong, EINVAL, [&["23", "0xabc1"], names].concat()));
        }
    }
    for (error, errno, names) in DESTINATIONS {
        let wrong = Error::Destination {
            index: 29,
            page: Pfn(0xdef),
            error,
        };
        all.push((wrong, errno, [&["29", "0xdef"], names].concat()));
    }
    all
}

/// Which of the names a sentence lacks.
fn lacks<'a>(sentence: &str, names: &[&'a str]) -> Vec<&'a str> {
    names
        .iter()
        .copied()
        .filter(|name| !sentence.contains(name))
        .collect()
}

/// A sentence: some words, on one line, with no full stop, as error messages are in Rust.
fn reads_well(sentence: &str) -> bool {
    sentence.split(' ').count() >= 4
        && !sentence.contains('\n')
        && !sentence.contains("  ")
        && !sentence.ends_with('.')
}

#[test]
fn numbers() {
    use migrate_pin_core::error as found;
    let mut table = Table::new();
    table.row("EPERM", EPERM, found::EPERM);
    table.row("EBUSY", EBUSY, found::EBUSY);
    table.row("EINVAL", EINVAL, found::EINVAL);
    table.row("ESTALE", ESTALE, found::ESTALE);
    for (error, errno, _) in errors() {
        table.row(error, errno, error.errno());
    }
    for (error, errno, _) in DESTINATIONS {
        table.row(error, errno, error.errno());
    }
    table.done(4 + (13 + 14 + 11) + 11);
}

/// Says what was expected: in so many words, or as what the thing "is not" or "must be".
fn says_what_was_expected(sentence: &str) -> bool {
    ["expected", " not ", "must"]
        .iter()
        .any(|word| sentence.contains(word))
}

/// Every sentence there is, with what it must name.
fn all_sentences() -> Vec<(String, Vec<&'static str>)> {
    let words = WORDS.map(|(error, names)| (error.to_string(), names.to_vec()));
    let destinations = DESTINATIONS.map(|(error, _, names)| (error.to_string(), names.to_vec()));
    let calls = errors().into_iter();
    words
        .into_iter()
        .chain(destinations)
        .chain(calls.map(|(error, _, names)| (error.to_string(), names)))
        .collect()
}

#[test]
fn sentences() {
    let mut table = Table::new();
    let mut seen = HashSet::new();
    for (sentence, names) in all_sentences() {
        let new = seen.insert(sentence.clone());
        let found = (new, reads_well(&sentence), lacks(&sentence, &names));
        table.row(sentence, (true, true, Vec::new()), found);
    }
    table.done(7 + 11 + 38);
}

#[test]
fn expectations() {
    let mut table = Table::new();
    for (sentence, _) in all_sentences() {
        let found = says_what_was_expected(&sentence);
        table.row(sentence, true, found);
    }
    table.done(7 + 11 + 38);
}
