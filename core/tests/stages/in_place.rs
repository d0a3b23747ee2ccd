//! Finalize turns the entries of its own range back where they stand, those of one page-table page under one PTL, and
//! asks the rmap for the rest: `Hardened` on 6.12. What is to be seen of it otherwise is in [`finalize`](crate::finalize).

use migrate_pin_core::trace::Primitive as P_;
use migrate_pin_core::{
    setup, AsPosted, DstPfn, Hardened, Mapping, Moved, PinRecord, PmdKind, Policy, Pte, PteBits,
    Request, Select, Shape, SrcPfn, VmaFlags, V6_12,
};

use crate::mock::{
    all, at, device, expect, forget_calls, p, present, private, span, system, Machine, OWN, R, VMA,
    W,
};
use crate::{hardened, in_place, machine, modern, Setup, NO, NONE, PIN};

/// Setup and pages with `to`; the log is empty.
fn after_pages<'a, P: Policy, S: Shape>(
    m: &Machine,
    src: &'a mut [SrcPfn],
    dst: &'a mut [DstPfn],
    to: &[DstPfn],
) -> migrate_pin_core::Migration<'a, crate::mock::Traced, P, S, Moved> {
    let mut migration = whole::<P, S>(m, src, dst);
    migration.dst_mut().copy_from_slice(to);
    let moved = match migration.pages() {
        Ok(moved) => moved,
        Err(refused) => panic!("{refused:?}"),
    };
    forget_calls();
    moved
}

/// Setup of so many pages from the first on, of any kind.
fn whole<'a, P: Policy, S: Shape>(
    m: &Machine,
    src: &'a mut [SrcPfn],
    dst: &'a mut [DstPfn],
) -> Setup<'a, P, S> {
    let range = span(0, src.len());
    setup(
        m.traced(),
        Request {
            vma: VMA,
            range,
            src,
            dst,
            owner: OWN,
            select: Select::all(),
            fault_page: None,
        },
    )
    .unwrap()
}

/// The driver's new page.
fn new(m: &Machine, letter: char) -> DstPfn {
    m.with(|s| s.alloc(p(letter)));
    DstPfn::page(p(letter))
}

// ---- over many entries ---------------------------------------------------------------------------------

/// Pages of the large area, and of each of its page-table pages.
const MANY: usize = 80;
const TABLE: usize = 72;
/// What finalize looks at together: no more than 64, and no more than a page-table page.
const CHUNKS: [(usize, usize); 3] = [(0, 64), (64, 72), (72, 80)];
/// Entries of another kind.
const OTHER: usize = 5;
const HOLE: usize = 70;
/// A readable entry.
const READABLE: usize = 66;

/// Every tenth has no destination.
fn goes_back(index: usize) -> bool {
    index % 10 == 0
}

fn many<S: Shape>() -> (Machine, Vec<DstPfn>) {
    let m = Machine::large(S::KIND, MANY, TABLE);
    let mut to = vec![NO; MANY];
    for (index, to) in to.iter_mut().enumerate() {
        match index {
            HOLE => {}
            OTHER => m.with(|s| s.ptes[index] = Pte::Other),
            _ => {
                let bits = if index == READABLE { R } else { W };
                m.with(|s| s.anon(index, system(index), bits));
                if !goes_back(index) {
                    *to = new(&m, private(index));
                }
            }
        }
    }
    (m, to)
}

/// What finalize calls under the PTL for those of `from..until`, all of whose entries are there.
fn locked(from: usize, until: usize) -> String {
    let mut calls = String::new();
    for i in (from..until).filter(|i| ![OTHER, HOLE].contains(i)) {
        let (old, new) = (system(i), private(i));
        calls += &match (i, goes_back(i)) {
            (READABLE, _) => format!("pte_get {i} = migration {old}:;"),
            (_, true) => format!(
                "pte_get {i} = migration {old}:w; lru_cache_add {old}; restore_pte {i} {old};"
            ),
            (_, false) => format!("pte_get {i} = migration {old}:w; restore_pte {i} {new};"),
        };
    }
    format!("pte_lock {from}; {calls} pte_unlock {from};")
}

/// And what it calls for each of them then; `mapped`: they were turned back, but for the readable one.
fn each<P: Policy, S: Shape>(from: usize, until: usize, mapped: bool) -> String {
    let mut calls = String::new();
    for i in (from..until).filter(|i| ![OTHER, HOLE].contains(i)) {
        let (old, new) = (system(i), private(i));
        let mapped = mapped && i != READABLE;
        let put = if modern::<S>() {
            "put_page"
        } else {
            "putback_lru_page"
        };
        calls += &match goes_back(i) {
            true => format!(
                "{}{} unlock_page {old}; {put} {old};",
                match modern::<S>() && !mapped {
                    true => format!("lru_cache_add {old};"),
                    false => String::new(),
                },
                match mapped {
                    true => String::new(),
                    false => format!("remove_migration_ptes {old} {old};"),
                },
            ),
            false => format!(
                "{}{} unlock_page {old}; {put} {old}; unlock_page {new}; put_page {new};",
                match hardened::<P>() {
                    true => format!("unclaim_destination {new};"),
                    false => String::new(),
                },
                match mapped {
                    true => String::new(),
                    false => format!("remove_migration_ptes {old} {new};"),
                },
            ),
        };
    }
    calls
}

/// Every entry maps what it should, and nothing is held.
fn all_mapped(m: &Machine) {
    m.with(|s| s.settle());
    let state = m.state();
    for (index, pte) in state.ptes.iter().enumerate() {
        let expected = match index {
            HOLE => Pte::None,
            OTHER => Pte::Other,
            _ if goes_back(index) => present(system(index), W),
            READABLE => device(private(index), R),
            _ => device(private(index), W),
        };
        assert_eq!(*pte, expected, "{index}");
    }
    state.audit();
}

#[test]
fn in_chunks_under_the_ptl_of_their_table() {
    // The machine panics where an entry is touched under another table's PTL.
    fn body<P: Policy, S: Shape>() {
        let (m, to) = many::<S>();
        let (mut src, mut dst) = (vec![NONE; MANY], vec![NO; MANY]);
        let moved = after_pages::<P, S>(&m, &mut src, &mut dst, &to);
        let locks = m.calls(P_::PteLock);
        moved.finalize();
        let mut expected = String::new();
        for (from, until) in CHUNKS {
            if in_place::<P, S>() {
                let end = MANY.min(from + 64);
                expected += &format!("pmd_span {from}..{end} = Table ..{until};");
                expected += &locked(from, until);
            }
            expected += &each::<P, S>(from, until, in_place::<P, S>());
        }
        expect(&expected);
        let taken = if in_place::<P, S>() { CHUNKS.len() } else { 0 };
        assert_eq!(m.calls(P_::PteLock) - locks, taken);
        all_mapped(&m);
    }
    all!(body);
}

#[test]
fn a_table_that_went_away() {
    // `pte_offset_map_lock()` fails: the rmap knows where the entries are now. The other chunks are as ever.
    let (m, to) = many::<V6_12>();
    let (mut src, mut dst) = (vec![NONE; MANY], vec![NO; MANY]);
    let moved = after_pages::<Hardened, V6_12>(&m, &mut src, &mut dst, &to);
    m.fail(P_::PteLock, 2);
    moved.finalize();
    m.script_done();
    expect(&format!(
        "pmd_span 0..64 = Table ..64; {}{} pmd_span 64..80 = Table ..72; pte_lock 64 fails
        {} pmd_span 72..80 = Table ..80; {}{}",
        locked(0, 64),
        each::<Hardened, V6_12>(0, 64, true),
        each::<Hardened, V6_12>(64, 72, false),
        locked(72, 80),
        each::<Hardened, V6_12>(72, 80, true),
    ));
    all_mapped(&m);
}

#[test]
fn where_there_is_no_table() {
    for kind in [PmdKind::Hole, PmdKind::Huge, PmdKind::Bad] {
        let (m, to) = many::<V6_12>();
        let (mut src, mut dst) = (vec![NONE; MANY], vec![NO; MANY]);
        let moved = after_pages::<Hardened, V6_12>(&m, &mut src, &mut dst, &to);
        m.script()
            .pmd_looks
            .extend([PmdKind::Table, kind, PmdKind::Table]);
        moved.finalize();
        m.script_done();
        expect(&format!(
            "pmd_span 0..64 = Table ..64; {}{} pmd_span 64..80 = {kind:?} ..72
            {} pmd_span 72..80 = Table ..80; {}{}",
            locked(0, 64),
            each::<Hardened, V6_12>(0, 64, true),
            each::<Hardened, V6_12>(64, 72, false),
            locked(72, 80),
            each::<Hardened, V6_12>(72, 80, true),
        ));
        all_mapped(&m);
    }
}

/// `letters`, writable, from the first entry on.
fn writable(letters: &str) -> Machine {
    let m = machine::<V6_12>();
    for (index, letter) in letters.chars().enumerate() {
        m.with(|s| s.anon(index, letter, W));
    }
    m
}

fn back(letter: char) -> String {
    format!("unlock_page {letter}; put_page {letter};")
}

/// The same, of a page that only the rmap finds.
fn back_by_rmap(letter: char) -> String {
    format!(
        "lru_cache_add {letter}; remove_migration_ptes {letter} {letter}; {}",
        back(letter)
    )
}

fn restored(index: usize, letter: char) -> String {
    format!("pte_get {index} = migration {letter}:w; lru_cache_add {letter}; restore_pte {index} {letter};")
}

#[test]
fn a_span_that_reaches_nowhere_or_too_far() {
    // One page is made of nothing, lest it goes on for ever; and the range ends where it ends.
    let m = writable("ABC");
    let before = m.state();
    let (mut src, mut dst) = ([NONE; 3], [NO; 3]);
    let moved = after_pages::<Hardened, V6_12>(&m, &mut src, &mut dst, &[NO; 3]);
    m.script().untils.extend([at(0), at(50)]);
    moved.finalize();
    expect(&format!(
        "pmd_span 0..3 = Table ..0; pte_lock 0; {} pte_unlock 0; {}
        pmd_span 1..3 = Table ..50; pte_lock 1; {}{} pte_unlock 1; {}{}",
        restored(0, 'A'),
        back('A'),
        restored(1, 'B'),
        restored(2, 'C'),
        back('B'),
        back('C'),
    ));
    m.with(|s| s.settle());
    assert_eq!(m.state(), before);

    // Nor are more looked at together than there is room for.
    let m = Machine::large(V6_12::KIND, 66, 66);
    m.with(|s| {
        s.anon(0, 'A', W);
        s.anon(64, 'B', W);
    });
    let to = vec![NO; 66];
    let (mut src, mut dst) = (vec![NONE; 66], to.clone());
    let moved = after_pages::<Hardened, V6_12>(&m, &mut src, &mut dst, &to);
    m.script().untils.extend([at(90), at(90)]);
    moved.finalize();
    expect(&format!(
        "pmd_span 0..64 = Table ..90; pte_lock 0; {} pte_unlock 0; {}
        pmd_span 64..66 = Table ..90; pte_lock 64; {} pte_unlock 64; {}",
        restored(0, 'A'),
        back('A'),
        restored(64, 'B'),
        back('B'),
    ));
    m.with(|s| s.audit_settled());
}

#[test]
fn no_ptl_for_words_without_a_source() {
    let m = Machine::large(V6_12::KIND, 10, 4);
    m.with(|s| {
        for index in 4..8 {
            s.ptes[index] = Pte::Other;
        }
        s.anon(1, 'A', W);
        s.anon(9, 'B', W);
    });
    let to = vec![NO; 10];
    let (mut src, mut dst) = (vec![NONE; 10], to.clone());
    after_pages::<Hardened, V6_12>(&m, &mut src, &mut dst, &to).finalize();
    expect(&format!(
        "pmd_span 1..10 = Table ..4; pte_lock 1; {} pte_unlock 1; {}
        pmd_span 9..10 = Table ..10; pte_lock 9; {} pte_unlock 9; {}",
        restored(1, 'A'),
        back('A'),
        restored(9, 'B'),
        back('B'),
    ));
    m.with(|s| s.audit_settled());
}

// ---- which entries -------------------------------------------------------------------------------------

#[test]
fn what_is_not_there_any_more_is_left_to_the_rmap() {
    // Between pages and finalize: `B` is moved out of the range, `C` and `D` change places, a child of `fork()` has
    // `E` too, `F` is zapped and something else stands there. `A` and `G`, which nobody touched, are turned back.
    let m = writable("ABCDEFG");
    let (mut src, mut dst) = ([NONE; 7], [NO; 7]);
    let moved = after_pages::<Hardened, V6_12>(&m, &mut src, &mut dst, &[NO; 7]);
    m.with(|s| {
        let gone = std::mem::replace(&mut s.ptes[1], Pte::None);
        s.others.push(gone);
        s.ptes.swap(2, 3);
        s.ptes[4] = Pte::Migration(p('E'), R);
        s.others.push(s.ptes[4]);
        s.ptes[5] = Pte::Other;
    });
    moved.finalize();
    expect(&format!(
        "pmd_span 0..7 = Table ..7; pte_lock 0; {}
        pte_get 1 = -; pte_get 2 = migration D:w; pte_get 3 = migration C:w; pte_get 4 = migration E:
        pte_get 5 = other; {} pte_unlock 0
        {}{}{}{}{}{}{}",
        restored(0, 'A'),
        restored(6, 'G'),
        back('A'),
        back_by_rmap('B'),
        back_by_rmap('C'),
        back_by_rmap('D'),
        back_by_rmap('E'),
        back_by_rmap('F'),
        back('G'),
    ));
    m.with(|s| s.audit_settled());
    let state = m.state();
    assert_eq!(
        state.ptes[..7],
        [
            present('A', W),
            Pte::None,
            present('D', W),
            present('C', W),
            present('E', R),
            Pte::Other,
            present('G', W)
        ]
    );
    assert_eq!(state.others, [present('B', W), present('E', R)]);
    assert_eq!(state.freed, [p('F')]);
}

#[test]
fn readable_but_exclusive() {
    // It is turned back, and its page is exclusive again; one that is not is not.
    let m = machine::<V6_12>();
    m.with(|s| {
        s.anon(0, 'A', R);
        s[p('A')].exclusive = true;
        s.anon(1, 'B', R);
    });
    let to = [new(&m, 'a'), new(&m, 'b')];
    let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
    let moved = after_pages::<Hardened, V6_12>(&m, &mut src, &mut dst, &to);
    assert_eq!(
        m.state().ptes[..2],
        [
            Pte::Migration(p('A'), PteBits::EXCLUSIVE),
            Pte::Migration(p('B'), R)
        ]
    );
    moved.finalize();
    expect(
        "pmd_span 0..2 = Table ..2; pte_lock 0; pte_get 0 = migration A:x; restore_pte 0 a
        pte_get 1 = migration B:; pte_unlock 0
        unclaim_destination a; unlock_page A; put_page A; unlock_page a; put_page a
        unclaim_destination b; remove_migration_ptes B b
        unlock_page B; put_page B; unlock_page b; put_page b",
    );
    let state = m.state();
    assert!(state[p('a')].exclusive && !state[p('b')].exclusive);
    assert_eq!(state.ptes[..2], [device('a', R), device('b', R)]);
}

// ---- in which order ------------------------------------------------------------------------------------

#[test]
fn the_lru_comes_before_the_mapping() {
    // folio_add_lru(), then remove_migration_ptes(): mlock finds a page that is on its way to the LRU. A source that
    // goes back, a new page, and an original whose pin ends; nothing of a device goes to the LRU.
    fn body<P: Policy>() {
        let m = machine::<V6_12>();
        m.with(|s| {
            s.anon(0, 'A', W);
            s.page_in('b', Mapping::Anon);
            s.map(1, 'b', W);
            s.anon(3, 'D', W);
        });
        // `C` is pinned for the device, with `c` in its place.
        m.with(|s| {
            s.page_in('c', Mapping::Anon);
            s.map(2, 'c', W);
            s.page_in('C', Mapping::Anon);
            let page = &mut s[p('C')];
            (page.lru, page.isolated, page.locked) = (false, true, true);
            page.count = 1 + 1024;
            page.record = hardened::<P>().then_some(PinRecord {
                owner: OWN,
                device: Some(p('c')),
            });
        });
        let to = [NO, new(&m, 'N'), DstPfn::unpin(p('C')), new(&m, 'd')];
        let (mut src, mut dst) = ([NONE; 4], [NO; 4]);
        let moved = after_pages::<P, V6_12>(&m, &mut src, &mut dst, &to);
        let maps = match hardened::<P>() {
            true => P_::RestorePte,
            false => P_::RemoveMigrationPtes,
        };
        for (nth, letter) in ['A', 'N', 'C'].into_iter().enumerate() {
            m.before(maps, nth + 1, move |s| {
                assert_eq!(s[p(letter)].batch, Some(0), "{letter}");
                assert_eq!(s[p(letter)].mapcount, 0, "{letter}");
            });
        }
        let added = m.calls(P_::LruCacheAdd);
        moved.finalize();
        m.script_done();
        assert_eq!(m.calls(P_::LruCacheAdd) - added, 3);
        forget_calls();
        m.with(|s| s.audit_settled());
        assert_eq!(
            m.state().ptes[..4],
            [
                present('A', W),
                present('N', W),
                present('C', W),
                device('d', W)
            ]
        );
    }
    body::<AsPosted>();
    body::<Hardened>();
}

#[test]
fn mapped_before_the_marks_and_the_locks_go() {
    // All that is turned back under the PTL is locked still; what is not used is dropped after.
    let m = writable("AB");
    let to = [new(&m, 'a'), new(&m, 'b')];
    let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
    // Found again by a cache: it does not go to a device.
    let mut migration = whole::<Hardened, V6_12>(&m, &mut src, &mut dst);
    migration.dst_mut().copy_from_slice(&to);
    m.with(|s| s[p('A')].mapping = Mapping::File);
    let moved = migration.pages().unwrap();
    m.with(|s| s[p('A')].mapping = Mapping::Anon);
    assert!(!moved.src()[0].migrating());
    forget_calls();
    moved.finalize();
    expect(
        "pmd_span 0..2 = Table ..2; pte_lock 0
        pte_get 0 = migration A:w; lru_cache_add A; restore_pte 0 A
        pte_get 1 = migration B:w; restore_pte 1 b; pte_unlock 0
        unclaim_destination a; unlock_page a; put_page a; unlock_page A; put_page A
        unclaim_destination b; unlock_page B; put_page B; unlock_page b; put_page b",
    );
    m.with(|s| s.audit_settled());
}

// ---- dropped -------------------------------------------------------------------------------------------

#[test]
fn dropped_after_setup() {
    // Dropped as it is, or because the border refuses a word.
    for refused in [false, true] {
        let m = writable("ABC");
        m.with(|s| s.ptes.swap(2, 3));
        let before = m.state();
        let (mut src, mut dst) = ([PIN, NONE, NONE, NONE], [NO; 4]);
        let mut migration = whole::<Hardened, V6_12>(&m, &mut src, &mut dst);
        if refused {
            // A free page.
            migration.dst_mut()[3] = DstPfn::page(p('P'));
            let refused = migration.pages().err().unwrap();
            forget_calls();
            drop(refused);
        } else {
            forget_calls();
            drop(migration);
        }
        expect(&format!(
            "pmd_span 0..4 = Table ..4; pte_lock 0; {}{}{} pte_unlock 0
            unlock_page A; pin_remove A; page_ref_sub A 1024; put_page A; {}{}",
            restored(0, 'A'),
            restored(1, 'B'),
            restored(3, 'C'),
            back('B'),
            back('C'),
        ));
        assert_eq!(src, [NONE; 4]);
        m.with(|s| s.settle());
        assert_eq!(m.state(), before);
    }
}

// ---- not here ------------------------------------------------------------------------------------------

#[test]
fn an_area_of_a_file_is_left_to_the_rmap() {
    // A page of the file may be mapped anywhere, and one of a private mapping is no more than left alone.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            s.flags = VmaFlags::WRITE;
            s.page_in('F', Mapping::File);
            s.map(0, 'F', W);
            s.anon(1, 'A', W);
        });
        let before = m.state();
        let to = [NO; 2];
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        let moved = after_pages::<P, S>(&m, &mut src, &mut dst, &to);
        assert!(moved.src().iter().all(|word| word.pfn().is_some()));
        moved.finalize();
        let back = |c| match modern::<S>() {
            true => format!(
                "lru_cache_add {c}; remove_migration_ptes {c} {c}; unlock_page {c}; put_page {c};"
            ),
            false => {
                format!("remove_migration_ptes {c} {c}; unlock_page {c}; putback_lru_page {c};")
            }
        };
        expect(&['F', 'A'].map(back).concat());
        m.with(|s| s.settle());
        assert_eq!(m.state(), before);
    }
    all!(body);
}
