//! What is refused at the border: nothing was taken, changed or lost, whatever was refused.

use migrate_pin_core::{
    error, setup, AsPosted, DestinationError, DstPfn, Error, Hardened, Mapping, MigratePfn,
    Migration, Owner, Pfn, PinRecord, Policy, Pte, Range, Request, Select, Shape, SrcPfn, VmaFlags,
    WordError, V5_11, V6_12,
};

use crate::mock::{
    all, at, expect, first_calls, forget_calls, hardened, p, span, with_facts, Machine, OTHER, OWN,
    PAGES, VMA, W,
};
use crate::{hardened as is_hardened, machine, modern, set_up, NO, NONE, PIN};

fn asked<P: Policy, S: Shape>(
    m: &Machine,
    range: Range,
    src: &mut [SrcPfn],
    dst: &mut [DstPfn],
    fault_page: Option<Pfn>,
) -> Result<(), Error> {
    let request = Request {
        vma: VMA,
        range,
        src,
        dst,
        owner: OWN,
        select: Select::SYSTEM,
        fault_page,
    };
    let done = setup::<P, S, _>(m.traced(), request);
    done.map(|migration| assert_eq!(migration.range().start % 4096, 0))
}

/// Setup is refused like this, and nothing was changed.
#[track_caller]
fn refused<P: Policy, S: Shape>(
    m: &Machine,
    range: Range,
    words: &[SrcPfn],
    fault_page: Option<Pfn>,
    error: Error,
) {
    let before = m.state();
    let junk = DstPfn::page(p('Z'));
    let (mut src, mut dst) = (words.to_vec(), vec![junk; words.len()]);
    assert_eq!(
        asked::<P, S>(m, range, &mut src, &mut dst, fault_page),
        Err(error)
    );
    expect("");
    assert_eq!(m.state(), before);
    assert_eq!((&src[..], dst), (words, vec![junk; words.len()]));
}

#[test]
fn areas() {
    fn body<P: Policy, S: Shape>() {
        for (flags, error) in [
            (VmaFlags::HUGETLB, Error::HugetlbVma),
            (VmaFlags::SPECIAL, Error::SpecialVma),
            (VmaFlags::DAX, Error::DaxVma),
        ] {
            let m = machine::<S>();
            m.with(|s| s.anon(0, 'A', W));
            m.with(|s| s.flags |= flags);
            refused::<P, S>(&m, span(0, 1), &[PIN], None, error);
            assert_eq!(error.errno(), error::EINVAL);
        }
    }
    all!(body);
}

#[test]
fn ranges() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        let range = |start, end| Range { start, end };
        let reversed = range(at(1), at(0));
        refused::<P, S>(&m, reversed, &[NONE], None, Error::ReversedRange);
        refused::<P, S>(&m, span(1, 1), &[], None, Error::EmptyRange);
        let before = range(at(0) - 4096, at(1));
        refused::<P, S>(&m, before, &[NONE; 2], None, Error::OutsideVma);
        let beyond = span(PAGES - 1, PAGES + 1);
        refused::<P, S>(&m, beyond, &[NONE; 2], None, Error::OutsideVma);
        refused::<P, S>(&m, span(PAGES, PAGES + 1), &[NONE], None, Error::OutsideVma);
        for words in [1, 3] {
            let error = Error::Length {
                pages: 2,
                src: words,
                dst: words,
            };
            refused::<P, S>(&m, span(0, 2), &vec![NONE; words], None, error);
        }
        for (start, end, address) in [
            (at(0) + 1, at(1), at(0) + 1),
            (at(0), at(1) + 0x800, at(1) + 0x800),
            (at(0) + 8, at(1) + 8, at(0) + 8),
        ] {
            if is_hardened::<P>() {
                let error = Error::Unaligned { address };
                refused::<P, S>(&m, range(start, end), &[NONE], None, error);
            }
        }
        if !is_hardened::<P>() {
            // As posted both ends are rounded down, and less than a page is none.
            let empty = range(at(0) + 1, at(1));
            refused::<P, S>(&m, empty, &[NONE], None, Error::EmptyRange);
            for (start, end, pages) in [(at(0) + 8, at(1) + 8, 1), (at(0) + 8, at(2) + 4, 2)] {
                let (mut src, mut dst) = (vec![NONE; pages], vec![NO; pages]);
                asked::<P, S>(&m, range(start, end), &mut src, &mut dst, None).unwrap();
            }
        }
    }
    all!(body);
}

#[test]
fn arrays_of_different_length() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        for (src, dst) in [(1, 2), (2, 1)] {
            let (mut s, mut d) = (vec![NONE; src], vec![NO; dst]);
            let error = Error::Length { pages: 2, src, dst };
            assert_eq!(
                asked::<P, S>(&m, span(0, 2), &mut s, &mut d, None),
                Err(error)
            );
            expect("");
        }
    }
    all!(body);
}

#[test]
fn fault_pages() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        for page in [p('A'), p('r'), p('t'), Pfn(1 << 20)] {
            if !modern::<S>() {
                // 5.11 has no such field.
                let (mut src, mut dst) = ([NONE], [NO]);
                asked::<P, S>(&m, span(0, 1), &mut src, &mut dst, Some(page)).unwrap();
                continue;
            }
            refused::<P, S>(
                &m,
                span(0, 1),
                &[NONE],
                Some(page),
                Error::FaultPage { page },
            );
        }
        for page in ['a', 'n'] {
            asked::<P, S>(&m, span(0, 1), &mut [NONE], &mut [NO], Some(p(page))).unwrap();
        }
    }
    all!(body);
}

#[test]
fn source_words() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        for (raw, error) in [
            (1 << 5, WordError::ReservedBits),
            (p('A').0 << 6, WordError::PfnWithoutValid),
            (1, WordError::ValidWithoutPfn),
            (SrcPfn::EMPTY.raw(), WordError::Stale),
            (MigratePfn::LOCKED.bits(), WordError::Stale),
            (MigratePfn::WRITE.bits() | PIN.raw(), WordError::Stale),
            (
                SrcPfn::page(p('A'), MigratePfn::PIN).raw(),
                WordError::Stale,
            ),
        ] {
            for index in 0..3 {
                let mut words = [NONE, PIN, NONE];
                words[index] = SrcPfn::from_raw(raw);
                let error = Error::Src {
                    index,
                    word: raw,
                    error,
                };
                refused::<P, S>(&m, span(0, 3), &words, None, error);
                assert_eq!(error.errno(), error::EINVAL);
            }
        }
    }
    hardened!(body);
}

#[test]
fn as_posted_looks_at_no_word() {
    fn body<S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.ptes = vec![Pte::Other; 8]);
        let words = [SrcPfn::from_raw(1 << 5), SrcPfn::from_raw(8)];
        let (mut src, mut dst) = (words, [DstPfn::from_raw(2); 2]);
        asked::<AsPosted, S>(&m, span(0, 2), &mut src, &mut dst, None).unwrap();
        assert_eq!(dst, [DstPfn::from_raw(2); 2]);
    }
    body::<V5_11>();
    body::<V6_12>();
}

/// Pages on two entries, `A` and `B`, of which the first has a good destination `N`, and the second this one; it is
/// refused, nothing is changed or claimed, and with the right word it goes on.
fn wrong<P: Policy, S: Shape>(word: DstPfn, arrange: impl Fn(&Machine), expected: Error) {
    let m = machine::<S>();
    m.with(|s| {
        s.anon(0, 'A', W);
        s.anon(1, 'B', W);
        s.alloc(p('N'));
        s.alloc(p('O'));
    });
    let quiet = m.state();
    arrange(&m);
    let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
    let mut migration = set_up::<P, S>(&m, &mut src, &mut dst);
    let words = [DstPfn::page(p('N')), word];
    migration.dst_mut().copy_from_slice(&words);
    let before = (m.state(), migration.src().to_vec());
    forget_calls();
    let refused = migration.pages().err().unwrap();
    assert_eq!(refused.error, expected);
    let debug = format!("{refused:?}");
    assert!(debug.starts_with("Refused { error: "), "{debug}");
    let mut migration = refused.migration;
    assert_eq!(
        (m.state(), migration.src().to_vec()),
        before,
        "{expected:?}"
    );
    assert_eq!(migration.dst(), words);
    expect("claim_destination N; unclaim_destination N");
    // Mended, it goes on.
    migration.dst_mut()[1] = DstPfn::page(p('O'));
    let moved = migration.pages().unwrap();
    assert!(moved.src().iter().all(|word| word.migrating()));
    moved.finalize();
    m.with(|s| s.settle());
    let state = m.state();
    assert_eq!(state.freed, [p('A'), p('B')]);
    assert_eq!(quiet.ptes[2..], state.ptes[2..]);
}

#[test]
fn destination_words() {
    fn body<P: Policy, S: Shape>() {
        let page = |flags: MigratePfn| p('O').0 << 6 | flags.bits();
        let (valid, locked) = (MigratePfn::VALID, MigratePfn::LOCKED);
        let mut cases = vec![
            (page(valid | locked) | 1 << 5, WordError::ReservedBits),
            (page(locked), WordError::PfnWithoutValid),
            ((valid | locked).bits(), WordError::ValidWithoutPfn),
            (
                page(valid | locked | MigratePfn::MIGRATE),
                WordError::SourceBits,
            ),
            (locked.bits(), WordError::FlagsWithoutPage),
            (MigratePfn::UNPIN.bits(), WordError::FlagsWithoutPage),
        ];
        if !modern::<S>() {
            cases.push((page(valid), WordError::NotLocked));
            let noted = page(valid | locked | MigratePfn::WRITE);
            cases.push((noted, WordError::SourceBits));
        }
        for (raw, error) in cases {
            let expected = Error::Dst {
                index: 1,
                word: raw,
                error,
            };
            wrong::<P, S>(DstPfn::from_raw(raw), |_| (), expected);
            assert_eq!(expected.errno(), error::EINVAL);
        }
    }
    hardened!(body);
}

#[test]
fn a_word_needs_no_locked_bit_in_6_12() {
    fn body<P: Policy>() {
        let m = machine::<V6_12>();
        m.with(|s| s.anon(0, 'A', W));
        m.with(|s| s.alloc(p('N')));
        let (mut src, mut dst) = ([NONE], [NO]);
        let mut migration = set_up::<P, V6_12>(&m, &mut src, &mut dst);
        migration.dst_mut()[0] = DstPfn::from_raw(p('N').0 << 6 | 1);
        assert!(migration.pages().unwrap().src()[0].migrating());
        // `lib/test_hmm.c` keeps a note in WRITE.
        let m = machine::<V6_12>();
        m.with(|s| s.anon(0, 'A', W));
        m.with(|s| s.alloc(p('N')));
        let (mut src, mut dst) = ([NONE], [NO]);
        let mut migration = set_up::<P, V6_12>(&m, &mut src, &mut dst);
        let noted = DstPfn::from_raw(p('N').0 << 6 | 0b1001);
        migration.dst_mut()[0] = noted;
        let moved = migration.pages().unwrap();
        assert!(moved.src()[0].migrating());
        assert_eq!(moved.dst()[0], noted);
    }
    body::<Hardened>();
    body::<AsPosted>();
}

type Arrange = Box<dyn Fn(&Machine)>;

#[test]
fn destination_pages() {
    use DestinationError as E;
    fn page(letter: char, arrange: impl Fn(&mut crate::mock::State) + 'static) -> (Pfn, Arrange) {
        (p(letter), Box::new(move |m| m.with(&arrange)))
    }
    fn record(owner: Owner, device: Option<Pfn>) -> impl Fn(&mut crate::mock::State) {
        move |s| {
            s.alloc(p('P'));
            s[p('P')].record = Some(PinRecord { owner, device });
        }
    }
    fn body<P: Policy, S: Shape>() {
        let mut cases = vec![
            (
                (Pfn(1 << 20), Box::new(|_: &Machine| ()) as Arrange),
                false,
                E::NoSuchPage,
                error::EINVAL,
            ),
            (page('P', |_| ()), false, E::Free, error::EINVAL),
            (page('a', |_| ()), false, E::Free, error::EINVAL),
            (
                page('P', |s| {
                    s.alloc(p('P'));
                    s[p('P')].locked = false
                }),
                false,
                E::NotLocked,
                error::EINVAL,
            ),
            (
                page('P', |s| {
                    s.alloc(p('P'));
                    s[p('P')].compound = true
                }),
                false,
                E::Compound,
                error::EINVAL,
            ),
            (
                page('n', |s| s.alloc(p('n'))),
                false,
                E::ForeignDevice,
                error::EPERM,
            ),
            (
                page('s', |s| s.alloc(p('s'))),
                false,
                E::ForeignDevice,
                error::EPERM,
            ),
            (
                page('t', |s| s.alloc(p('t'))),
                false,
                E::ForeignDevice,
                error::EPERM,
            ),
            // Of somebody else: mapped, on the LRU, in a cache.
            (
                page('P', |s| {
                    s.alloc(p('P'));
                    s.map_elsewhere('P', W)
                }),
                false,
                E::InUse,
                error::EBUSY,
            ),
            (
                page('P', |s| {
                    s.alloc(p('P'));
                    s[p('P')].lru = true
                }),
                false,
                E::InUse,
                error::EBUSY,
            ),
            (
                page('P', |s| {
                    s.alloc(p('P'));
                    s[p('P')].mapping = Mapping::File
                }),
                false,
                E::InUse,
                error::EBUSY,
            ),
            (
                page('P', |s| {
                    s.alloc(p('P'));
                    s[p('P')].mapping = Mapping::Anon
                }),
                false,
                E::InUse,
                error::EBUSY,
            ),
            // The other source, or its own.
            (
                (p('A'), Box::new(|_: &Machine| ()) as Arrange),
                false,
                E::InUse,
                error::EBUSY,
            ),
            (
                (p('B'), Box::new(|_: &Machine| ()) as Arrange),
                false,
                E::InUse,
                error::EBUSY,
            ),
            (
                (p('N'), Box::new(|_: &Machine| ()) as Arrange),
                false,
                E::Twice,
                error::EINVAL,
            ),
            (page('P', record(OWN, None)), false, E::Pinned, error::EBUSY),
            (
                page('P', record(OTHER, None)),
                false,
                E::Pinned,
                error::EBUSY,
            ),
            (page('P', |s| s.alloc(p('P'))), true, E::NoPin, error::EPERM),
            (
                page('P', record(OTHER, Some(p('a')))),
                true,
                E::ForeignPin,
                error::EPERM,
            ),
            (
                page('P', record(OWN, Some(p('a')))),
                true,
                E::OtherPair,
                error::EPERM,
            ),
            (
                page('P', record(OWN, None)),
                true,
                E::OtherPair,
                error::EPERM,
            ),
        ];
        if !modern::<S>() {
            cases.push((
                page('r', |s| s.alloc(p('r'))),
                false,
                E::ForeignDevice,
                error::EPERM,
            ));
        }
        for ((pfn, arrange), unpin, error, errno) in cases {
            let word = match unpin {
                true => DstPfn::unpin(pfn),
                false => DstPfn::page(pfn),
            };
            let expected = Error::Destination {
                index: 1,
                page: pfn,
                error,
            };
            assert_eq!(expected.errno(), errno);
            if error == E::Twice {
                // It is marked once already.
                twice::<P, S>();
            } else {
                wrong::<P, S>(word, arrange, expected);
            }
        }
    }
    hardened!(body);
}

#[test]
fn a_page_that_is_nobody_s_is_not_looked_at() {
    // One that does not exist has no facts; one that is free may be anybody's by the next.
    fn body<P: Policy, S: Shape>() {
        // A free page of a device stands at 1 in 5.11.
        let free = match modern::<S>() {
            false => "page_exists; page_zone; page_count",
            true => "page_exists; page_count",
        };
        let whole = format!(
            "{free}; page_compound; page_zone; page_mapping; page_has_private; page_mapcount
            page_count; page_locked; page_lru; pin_record; claim_destination"
        );
        for (page, alloc, asked) in [
            (Pfn(1 << 20), false, "page_exists"),
            (p('P'), false, free),
            (p('P'), true, whole.as_str()),
        ] {
            let m = machine::<S>();
            m.with(|s| s.anon(0, 'A', W));
            if alloc {
                m.with(|s| s.alloc(page));
            }
            let (mut src, mut dst) = ([NONE], [NO]);
            let mut migration = set_up::<P, S>(&m, &mut src, &mut dst);
            migration.dst_mut()[0] = DstPfn::page(page);
            forget_calls();
            with_facts();
            let calls = match migration.pages() {
                Ok(moved) => {
                    let first = first_calls(asked.split([';', '\n']).count());
                    let _ = moved.into_raw();
                    first
                }
                Err(refused) => {
                    let calls = first_calls(usize::MAX);
                    drop(refused);
                    calls
                }
            };
            let name = char::from_u32(page.0 as u32).unwrap();
            let asked = asked.split([';', '\n']).map(str::trim);
            let asked: Vec<_> = asked.map(|call| format!("{call} {name}")).collect();
            assert_eq!(calls, asked);
            forget_calls();
        }
    }
    hardened!(body);
}

fn twice<P: Policy, S: Shape>() {
    let m = machine::<S>();
    m.with(|s| {
        s.anon(0, 'A', W);
        s.anon(1, 'B', W);
        s.anon(3, 'C', W);
        s.ptes[2] = Pte::Other;
        s.alloc(p('N'));
        s.alloc(p('O'));
    });
    let (mut src, mut dst) = ([NONE; 4], [NO; 4]);
    let mut migration = set_up::<P, S>(&m, &mut src, &mut dst);
    let [n, o] = ['N', 'O'].map(|letter| DstPfn::page(p(letter)));
    migration.dst_mut().copy_from_slice(&[n, o, NO, n]);
    let before = m.state();
    forget_calls();
    let refused = migration.pages().err().unwrap();
    let error = Error::Destination {
        index: 3,
        page: p('N'),
        error: DestinationError::Twice,
    };
    assert_eq!(refused.error, error);
    expect(
        "claim_destination N; claim_destination O; claim_destination N fails
        unclaim_destination N; unclaim_destination O",
    );
    assert_eq!(m.state(), before);
}

#[test]
fn an_unpin_of_an_entry_that_does_not_migrate() {
    // The record says `a`, and `a` stands in `src`, but it lost MIGRATE: not its pair.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            s.page_in('a', Mapping::Anon);
            s.map(0, 'a', W);
            s.alloc(p('P'));
            s[p('P')].record = Some(PinRecord {
                owner: OWN,
                device: Some(p('a')),
            });
        });
        for migrating in [false, true] {
            let (mut src, mut dst) = ([NONE], [NO]);
            let mut migration =
                crate::try_setup_from::<P, S>(&m, 0, Select::DEVICE_PRIVATE, &mut src, &mut dst)
                    .unwrap();
            migration.dst_mut()[0] = DstPfn::unpin(p('P'));
            if !migrating {
                let mut raw = migration.into_raw();
                // A word that changed on the way is found by the checksum, so it is mended too.
                src[0] = src[0].without(MigratePfn::MIGRATE);
                raw.checksum = crate::typestate::checksum(&raw, &src);
                migration = Migration::from_raw(m.traced(), &mut raw, &mut src, &mut dst).unwrap();
                let refused = migration.pages().err().unwrap();
                let error = Error::Destination {
                    index: 0,
                    page: p('P'),
                    error: DestinationError::OtherPair,
                };
                assert_eq!(refused.error, error);
            } else {
                let _ = migration.pages().unwrap().into_raw();
            }
        }
    }
    hardened!(body);
}

#[test]
fn pairs_that_are_right() {
    fn body<P: Policy, S: Shape>() {
        // A device page of our own is a destination, and a coherent one in 6.12.
        for letter in ['a', 'r'] {
            if letter == 'r' && !modern::<S>() {
                continue;
            }
            let m = machine::<S>();
            m.with(|s| s.anon(0, 'A', W));
            m.with(|s| s.alloc(p(letter)));
            let (mut src, mut dst) = ([NONE], [NO]);
            let mut migration = set_up::<P, S>(&m, &mut src, &mut dst);
            migration.dst_mut()[0] = DstPfn::page(p(letter));
            assert!(migration.pages().unwrap().src()[0].migrating());
        }
    }
    hardened!(body);
}

#[test]
fn every_error_says_what_is_wrong() {
    // Each has its own sentence, with its numbers.
    let numbers = [
        (Error::Unaligned { address: 0x1234 }, &["0x1234"][..]),
        (
            Error::Length {
                pages: 71,
                src: 72,
                dst: 73,
            },
            &["71", "72", "73"],
        ),
        (Error::FaultPage { page: Pfn(0x99) }, &["0x99"]),
        (
            Error::Src {
                index: 4,
                word: 0x20,
                error: WordError::ReservedBits,
            },
            &["src[4]", "0x20", "bit 5"],
        ),
        (
            Error::Dst {
                index: 5,
                word: 0x21,
                error: WordError::NotLocked,
            },
            &["dst[5]", "0x21", "LOCKED"],
        ),
        (
            Error::Destination {
                index: 6,
                page: Pfn(0x77),
                error: DestinationError::Twice,
            },
            &["dst[6]", "0x77", "two"],
        ),
        (Error::NoVma, &["no "]),
        (Error::HugetlbVma, &["hugetlb"]),
        (Error::SpecialVma, &["special"]),
        (Error::DaxVma, &["DAX"]),
        (Error::EmptyRange, &["empty"]),
        (Error::ReversedRange, &["before"]),
        (Error::OutsideVma, &["within"]),
        (Error::Stage, &["stage"]),
        (Error::OtherRules, &["another policy"]),
        (Error::Stale, &["changed"]),
    ];
    let mut said = Vec::new();
    for (error, parts) in numbers {
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(!said.contains(&text));
        said.push(text);
    }
    let words = [
        WordError::ReservedBits,
        WordError::PfnWithoutValid,
        WordError::ValidWithoutPfn,
        WordError::Stale,
        WordError::SourceBits,
        WordError::FlagsWithoutPage,
        WordError::NotLocked,
    ];
    use DestinationError as E;
    let pages = [
        E::NoSuchPage,
        E::Free,
        E::NotLocked,
        E::Compound,
        E::ForeignDevice,
        E::InUse,
        E::Twice,
        E::Pinned,
        E::NoPin,
        E::ForeignPin,
        E::OtherPair,
    ];
    let texts = words.iter().map(ToString::to_string);
    for text in texts.chain(pages.iter().map(ToString::to_string)) {
        assert!(text.len() > 10 && !said.contains(&text), "{text}");
        said.push(text);
    }
    assert_eq!(Pfn(0x42).to_string(), "0x42");
}
