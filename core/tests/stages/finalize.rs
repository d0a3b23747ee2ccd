//! `migrate_vma_finalize()`.

use migrate_pin_core::trace::Primitive as P_;
use migrate_pin_core::{
    setup, DstPfn, Mapping, PinRecord, Policy, Pte, Request, Select, Shape, SrcPfn,
};

use crate::mock::{all, device, expect, forget_calls, p, present, span, Machine, OWN, R, VMA, W};
use crate::{by_rmap, hardened, machine, modern, rules, under_ptl, NO, NONE, PIN};

/// Setup, pages with `to`, finalize; the log holds the calls of finalize.
fn finalize<P: Policy, S: Shape>(m: &Machine, src: &mut [SrcPfn], to: &[DstPfn]) {
    let mut dst = vec![NO; to.len()];
    let request = Request {
        vma: VMA,
        range: span(0, to.len()),
        src,
        dst: &mut dst,
        owner: OWN,
        select: Select::all(),
        fault_page: None,
    };
    let mut migration = setup::<P, S, _>(m.traced(), request).unwrap();
    migration.dst_mut().copy_from_slice(to);
    let moved = match migration.pages() {
        Ok(moved) => moved,
        Err(refused) => panic!("{refused:?}"),
    };
    forget_calls();
    let words = moved.src().to_vec();
    moved.finalize();
    assert_eq!(src, words, "finalize changes no word");
    assert_eq!(dst, to);
}

/// The driver's new page.
fn new(m: &Machine, letter: char) -> DstPfn {
    m.with(|s| s.alloc(p(letter)));
    DstPfn::page(p(letter))
}

fn unclaim<P: Policy>(letter: char) -> String {
    match hardened::<P>() {
        true => format!("unclaim_destination {letter};"),
        false => String::new(),
    }
}

#[test]
fn moved_to_the_device() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        let a = new(&m, 'a');
        finalize::<P, S>(&m, &mut [NONE], &[a]);
        let source = if modern::<S>() {
            "put_page A"
        } else {
            "putback_lru_page A"
        };
        expect(&format!(
            "{}{}{} unlock_page A; {source}; unlock_page a; put_page a",
            under_ptl::<P, S>(1, "pte_get 0 = migration A:w; restore_pte 0 a"),
            unclaim::<P>('a'),
            by_rmap::<P, S>("remove_migration_ptes A a"),
        ));
        m.with(|s| s.settle());
        let state = m.state();
        assert_eq!(state.ptes[0], device('a', W));
        assert_eq!(state.freed, [p('A')]);
        state.audit();
    }
    all!(body);
}

#[test]
fn pinned() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        let a = new(&m, 'a');
        finalize::<P, S>(&m, &mut [PIN], &[a]);
        // It stays isolated, with the references of isolation and pin.
        expect(&format!(
            "{}{}{} unlock_page A; unlock_page a; put_page a",
            under_ptl::<P, S>(1, "pte_get 0 = migration A:w; restore_pte 0 a"),
            unclaim::<P>('a'),
            by_rmap::<P, S>("remove_migration_ptes A a"),
        ));
        let state = m.state();
        assert_eq!(
            (state[p('A')].count, state[p('A')].isolated),
            (1 + 1024, true)
        );
        assert_eq!(state[p('a')].count, state.floor(p('a')) + 1);
        let record = PinRecord {
            owner: OWN,
            device: Some(p('a')),
        };
        assert_eq!(state[p('A')].record, hardened::<P>().then_some(record));
    }
    all!(body);
}

/// `A`, pinned, with `a` in its place at entry 0.
fn a_pin<P: Policy, S: Shape>() -> Machine {
    let m = machine::<S>();
    m.with(|s| s.anon(0, 'A', W));
    let a = new(&m, 'a');
    finalize::<P, S>(&m, &mut [PIN], &[a]);
    m
}

#[test]
fn unpinned() {
    fn body<P: Policy, S: Shape>() {
        let m = a_pin::<P, S>();
        m.with(|s| s[p('A')].locked = true);
        finalize::<P, S>(&m, &mut [NONE], &[DstPfn::unpin(p('A'))]);
        let forget = if hardened::<P>() { "pin_remove A" } else { "" };
        expect(&match modern::<S>() {
            false => format!(
                "{} remove_migration_ptes a A; unlock_page a; put_page a; unlock_page A
                {forget}; page_ref_sub A 1024; putback_lru_page A",
                unclaim::<P>('A')
            ),
            true => format!(
                "{}{}{} unlock_page a; put_page a; unlock_page A
                {forget}; page_ref_sub A 1024; put_page A",
                under_ptl::<P, S>(
                    1,
                    "pte_get 0 = migration a:w; lru_cache_add A; restore_pte 0 A"
                ),
                unclaim::<P>('A'),
                by_rmap::<P, S>("lru_cache_add A; remove_migration_ptes a A"),
            ),
        });
        // The ledger: the batch and the mapping.
        assert_eq!(m.state()[p('A')].count, 2);
        m.with(|s| s.settle());
        let state = m.state();
        assert_eq!(state[p('A')].count, 1);
        assert_eq!(state.ptes[0], present('A', W));
        assert_eq!(state.freed, [p('a')]);
        state.audit();
    }
    all!(body);
}

#[test]
fn back_to_the_source() {
    // No destination, or one that was not taken.
    fn body<P: Policy, S: Shape>() {
        for (pin, to) in [(false, false), (false, true), (true, false), (true, true)] {
            let m = machine::<S>();
            m.with(|s| s.anon(0, 'A', W));
            let before = m.state();
            let dst = match to {
                true => new(&m, 'a'),
                false => NO,
            };
            if to {
                // Found again by a cache: it does not go to a device.
                m.before(P_::PageMapping, after_border::<P, S>(), |s| {
                    s[p('A')].mapping = Mapping::File;
                });
            }
            finalize::<P, S>(&m, &mut [if pin { PIN } else { NONE }], &[dst]);
            m.script_done();
            let dropped = match to {
                true => format!("{} unlock_page a; put_page a;", unclaim::<P>('a')),
                false => String::new(),
            };
            let back = "remove_migration_ptes A A; unlock_page A";
            let first = under_ptl::<P, S>(
                1,
                "pte_get 0 = migration A:w; lru_cache_add A; restore_pte 0 A",
            );
            let map = by_rmap::<P, S>("lru_cache_add A; remove_migration_ptes A A");
            let unpin = if pin {
                "pin_remove A; page_ref_sub A 1024"
            } else {
                ""
            };
            expect(&match (modern::<S>(), pin && !hardened::<P>()) {
                // Defect 2: a source with PIN is neither unpinned nor put back.
                (_, true) => format!("{dropped} {back}"),
                (false, _) => format!("{dropped} {back}; {unpin}; putback_lru_page A"),
                (true, _) => format!("{first}{dropped}{map} unlock_page A; {unpin}; put_page A"),
            });
            if pin && !hardened::<P>() {
                assert_eq!(m.state()[p('A')].count, 2 + 1024);
                continue;
            }
            m.with(|s| {
                s.settle();
                s.freed.clear();
                s[p('A')].mapping = Mapping::Anon;
            });
            assert_eq!(m.state(), before, "{:?}", rules::<P, S>());
        }
    }
    all!(body);
}

/// The number of the call of `page_mapping` in which pages asks of the one source, counted from before setup.
fn after_border<P: Policy, S: Shape>() -> usize {
    // collect, prepare's check (5.11), unmap's check, the border (hardened).
    let checks = if modern::<S>() { 1 } else { 2 };
    1 + checks + usize::from(hardened::<P>()) + 1
}

#[test]
fn a_device_page_goes_back() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            s.page_in('a', Mapping::Anon);
            s.map(0, 'a', R);
        });
        let before = m.state();
        finalize::<P, S>(&m, &mut [NONE], &[NO]);
        // Readable: others may map it.
        expect(&format!(
            "{} remove_migration_ptes a a; unlock_page a; put_page a",
            under_ptl::<P, S>(1, "pte_get 0 = migration a:")
        ));
        assert_eq!(m.state(), before);
    }
    all!(body);
}

#[test]
fn device_to_system_and_device_to_device() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            s.page_in('a', Mapping::Anon);
            s.map(0, 'a', R);
            s.page_in('b', Mapping::Anon);
            s.map(1, 'b', W);
        });
        let to = [new(&m, 'N'), new(&m, 'c')];
        finalize::<P, S>(&m, &mut [NONE; 2], &to);
        let (before, after) = match modern::<S>() {
            true => ("lru_cache_add N", "put_page N"),
            false => ("", "putback_lru_page N"),
        };
        expect(&format!(
            "{}{} {before}; remove_migration_ptes a N; unlock_page a; put_page a; unlock_page N; {after}
            {}{} unlock_page b; put_page b; unlock_page c; put_page c",
            under_ptl::<P, S>(
                2,
                "pte_get 0 = migration a:; pte_get 1 = migration b:w; restore_pte 1 c"
            ),
            unclaim::<P>('N'),
            unclaim::<P>('c'),
            by_rmap::<P, S>("remove_migration_ptes b c"),
        ));
        m.with(|s| s.settle());
        let state = m.state();
        assert_eq!(state.freed, [p('a'), p('b')]);
        assert_eq!(state.ptes[..2], [present('N', R), device('c', W)]);
        state.audit();
    }
    all!(body);
}

#[test]
fn no_source() {
    // A destination of an entry that was filled, or refused, or never collected, loses lock and reference.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.ptes[1] = Pte::Other);
        let to = [new(&m, 'a'), new(&m, 'b'), NO, new(&m, 'N')];
        finalize::<P, S>(&m, &mut [NONE; 4], &to);
        let drop = |c| format!("{} unlock_page {c}; put_page {c};", unclaim::<P>(c));
        expect(&['a', 'b', 'N'].map(drop).concat());
        m.with(|s| s.settle());
        let state = m.state();
        assert_eq!(state.freed, [p('b')]);
        state.audit();
    }
    all!(body);
}

#[test]
fn an_unpin_that_is_refused_keeps_its_pin() {
    fn body<P: Policy, S: Shape>() {
        let m = a_pin::<P, S>();
        let before = m.state();
        m.with(|s| s[p('A')].locked = true);
        let mut dst = [NO];
        let mut src = [NONE];
        let request = Request {
            vma: VMA,
            range: span(0, 1),
            src: &mut src,
            dst: &mut dst,
            owner: OWN,
            select: Select::DEVICE_PRIVATE,
            fault_page: None,
        };
        let mut migration = setup::<P, S, _>(m.traced(), request).unwrap();
        migration.dst_mut()[0] = DstPfn::unpin(p('A'));
        // A cache finds the device page meanwhile, and its reference is missing.
        m.with(|s| s[p('a')].mapping = Mapping::File);
        let moved = migration.pages().unwrap();
        assert!(!moved.src()[0].migrating());
        forget_calls();
        m.with(|s| s[p('a')].mapping = Mapping::Anon);
        moved.finalize();
        // As posted the plain put drops the isolation's reference under the pin.
        let put = if hardened::<P>() { "" } else { "put_page A" };
        expect(&format!(
            "{}{} unlock_page A; {put}; {} unlock_page a; put_page a",
            under_ptl::<P, S>(1, "pte_get 0 = migration a:w; restore_pte 0 a"),
            unclaim::<P>('A'),
            by_rmap::<P, S>("remove_migration_ptes a a"),
        ));
        if hardened::<P>() {
            assert_eq!(m.state(), before);
        } else {
            assert_eq!(m.state()[p('A')].count, before[p('A')].count - 1);
        }
    }
    all!(body);
}

#[test]
fn an_unpin_without_a_source() {
    fn body<P: Policy, S: Shape>() {
        if hardened::<P>() {
            return; // The border demands the pair.
        }
        let m = a_pin::<P, S>();
        m.with(|s| s[p('A')].locked = true);
        m.with(|s| s.ptes[0] = Pte::Other);
        finalize::<P, S>(&m, &mut [NONE], &[DstPfn::unpin(p('A'))]);
        expect("unlock_page A; put_page A");
    }
    all!(body);
}

#[test]
fn the_source_as_its_own_destination() {
    // `if (newpage != page)` in 5.11, `if (dst != src)` in 6.12: one lock, one reference.
    fn body<P: Policy, S: Shape>() {
        if hardened::<P>() {
            return; // The border refuses it.
        }
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        let before = m.state();
        finalize::<P, S>(&m, &mut [NONE], &[DstPfn::page(p('A'))]);
        expect(match modern::<S>() {
            true => "lru_cache_add A; remove_migration_ptes A A; unlock_page A; put_page A",
            false => "remove_migration_ptes A A; unlock_page A; putback_lru_page A",
        });
        m.with(|s| {
            s.settle();
            (s[p('A')].identity, s[p('A')].states) = (None, None);
            s[p('A')].charged = true;
        });
        assert_eq!(m.state(), before);
    }
    all!(body);
}

#[test]
fn words_that_stand_for_nothing() {
    // A word from outside, as posted: VALID without MIGRATE goes back; the rest is nothing.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.ptes = vec![Pte::Other; 8]);
        finalize::<P, S>(&m, &mut [NONE, PIN, NONE], &[NO; 3]);
        expect("");
    }
    all!(body);
}
