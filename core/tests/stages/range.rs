//! Migration from device pfns: `migrate_device_range()`, `migrate_device_pages()` and `migrate_device_finalize()` of
//! `mm/migrate_device.c` in 6.12.

use migrate_pin_core::migration::{finalize_by_words, pages_by_words, setup_by_words};
use migrate_pin_core::range::{collect_range, decide_page, unmap_words, PageFacts};
use migrate_pin_core::trace::Primitive as P_;
use migrate_pin_core::{
    error, setup, setup_range, AsPosted, DeviceMigration, DeviceRequest, DstPfn, Error, Hardened,
    Mapping, MigratePfn, Migration, Moved, Owner, Pfn, Policy, Pte, Request, Rules, Select, Shape,
    SrcPfn, Unmapped, WordError, Zone, GUP_PIN_COUNTING_BIAS, V6_12,
};

use crate::mock::{
    all, at, device, expect, forget_calls, p, present, span, Machine, Traced, OTHER, OWN, R, VMA, W,
};
use crate::{hardened, machine, set_up, NO, NONE, PIN};

macro_rules! both {
    ($body:ident) => {{
        $body::<AsPosted>();
        $body::<Hardened>();
    }};
}

/// `a` is mapped once, `b` is free, `c` is mapped here and elsewhere, `d` has a reference nobody accounts for, `e` is
/// locked by another.
fn five() -> Machine {
    let m = machine::<V6_12>();
    m.with(|s| {
        for (index, letter) in ['a', 'c', 'd', 'e'].into_iter().enumerate() {
            s.page_in(letter, Mapping::Anon);
            s.map(index, letter, if letter == 'c' { R } else { W });
        }
        s.others.push(device('c', R));
        s[p('c')].mapcount += 1;
        s[p('c')].count += 1;
        s.get('d', 2);
    });
    m
}

fn range<'a, P: Policy>(
    m: &Machine,
    src: &'a mut [SrcPfn],
    dst: &'a mut [DstPfn],
) -> DeviceMigration<'a, Traced, P, Unmapped> {
    setup_range::<P, _>(
        m.traced(),
        DeviceRequest {
            first: p('a'),
            src,
            dst,
            owner: OWN,
        },
    )
    .unwrap()
}

fn taken(letter: char) -> SrcPfn {
    SrcPfn::page(p(letter), MigratePfn::MIGRATE)
}

#[test]
fn what_is_tried() {
    let zones = [
        (Zone::System, false),
        (Zone::DevicePrivate(OWN), true),
        (Zone::DevicePrivate(OTHER), false),
        (Zone::DeviceCoherent(OWN), true),
        (Zone::DeviceCoherent(OTHER), false),
        (Zone::DeviceOther, false),
    ];
    for (zone, own) in zones {
        for exists in [false, true] {
            let facts = PageFacts { exists, zone };
            let hardened = Rules::of::<Hardened, V6_12>();
            assert_eq!(decide_page(hardened, facts, OWN), own && exists);
            assert!(decide_page(Rules::of::<AsPosted, V6_12>(), facts, OWN));
        }
    }
}

#[test]
fn setup_takes_what_is_in_use_and_free_to_lock() {
    fn body<P: Policy>() {
        let m = five();
        m.fail(P_::TrylockPage, 4);
        let (mut src, mut dst) = ([PIN; 5], [DstPfn::page(p('N')); 5]);
        forget_calls();
        let migration = range::<P>(&m, &mut src, &mut dst);
        // As posted `d` is refused by the check: one reference more than device memory is allowed. Hardened looks over it.
        let d = if hardened::<P>() { taken('d') } else { NONE };
        let words = [taken('a'), NONE, taken('c'), d, NONE];
        let cpages = 2 + usize::from(hardened::<P>());
        assert_eq!((migration.src(), migration.cpages()), (&words[..], cpages));
        assert_eq!(migration.dst(), [NO; 5]);
        let restored = match hardened::<P>() {
            true => "",
            false => "; remove_migration_ptes d d; unlock_page d; put_page d",
        };
        expect(
            &("get_page_unless_zero a; trylock_page a; get_page_unless_zero b fails
            get_page_unless_zero c; trylock_page c; get_page_unless_zero d; trylock_page d
            get_page_unless_zero e; trylock_page e fails; put_page e
            lru_add_drain; try_to_unmap a; try_to_unmap c; try_to_unmap d"
                .to_owned()
                + restored),
        );
        let state = m.state();
        assert_eq!(state.ptes[0], Pte::Migration(p('a'), W));
        let unmapped = match hardened::<P>() {
            true => Pte::Migration(p('d'), W),
            false => device('d', W),
        };
        assert_eq!(state.ptes[2..4], [unmapped, device('e', W)]);
    }
    both!(body);
}

#[test]
fn all_the_way() {
    fn body<P: Policy>() {
        let m = five();
        let (mut src, mut dst) = ([NONE; 3], [NO; 3]);
        let mut migration = range::<P>(&m, &mut src, &mut dst);
        m.with(|s| s.alloc(p('N')));
        m.with(|s| s.alloc(p('O')));
        let (_, _, words) = migration.parts();
        words[0] = DstPfn::page(p('N'));
        migration.dst_mut()[1] = DstPfn::page(p('O'));
        forget_calls();
        let mut moved = migration.pages().unwrap();
        assert_eq!(moved.ops().clone().into_inner().state(), m.state());
        // `O` has no source, and there is no area that it could be inserted into; `c` has no destination.
        assert_eq!(
            moved.src(),
            [taken('a'), NONE, taken('c').without(MigratePfn::MIGRATE)]
        );
        assert_eq!(moved.cpages(), 2);
        assert_eq!(
            moved.dst()[..2],
            [DstPfn::page(p('N')), DstPfn::page(p('O'))]
        );
        let claims = |c: &str| match hardened::<P>() {
            true => c.to_string(),
            false => String::new(),
        };
        expect(&format!(
            "{}; copy_mapping N a; migrate_states N a",
            claims("claim_destination N; claim_destination O")
        ));
        moved.finalize();
        expect(&format!(
            "{}; lru_cache_add N; remove_migration_ptes a N; unlock_page a; put_page a; unlock_page N; put_page N
            {}; unlock_page O; put_page O
            remove_migration_ptes c c; unlock_page c; put_page c",
            claims("unclaim_destination N"),
            claims("unclaim_destination O")
        ));
        m.with(|s| s.settle());
        let state = m.state();
        state.audit();
        assert_eq!(state.freed, [p('a'), p('O')]);
        assert_eq!(state.ptes[..2], [present('N', W), device('c', R)]);
        assert_eq!(state.others, [device('c', R)]);
    }
    both!(body);
}

#[test]
fn dropped() {
    fn body<P: Policy>() {
        for late in [false, true] {
            let m = five();
            let before = m.state();
            let (mut src, mut dst) = ([NONE; 3], [NO; 3]);
            let migration = range::<P>(&m, &mut src, &mut dst);
            match late {
                false => drop(migration),
                true => drop(migration.pages().unwrap()),
            }
            m.with(|s| s.settle());
            assert_eq!(m.state(), before);
            assert!(src.iter().all(|word| !word.migrating()));
        }
    }
    both!(body);
}

#[test]
fn no_page_table_is_looked_at() {
    // There is no area that would say where the entries are, even where one is the only one of its page.
    fn body<P: Policy>() {
        for (late, moved) in [(false, false), (true, false), (true, true)] {
            let m = five();
            let (mut src, mut dst) = ([NONE; 3], [NO; 3]);
            let mut migration = range::<P>(&m, &mut src, &mut dst);
            assert_eq!(m.state().ptes[0], Pte::Migration(p('a'), W));
            if moved {
                m.with(|s| s.alloc(p('N')));
                migration.dst_mut()[0] = DstPfn::page(p('N'));
            }
            match late {
                false => drop(migration),
                true => migration.pages().unwrap().finalize(),
            }
            let entry = if moved {
                present('N', W)
            } else {
                device('a', W)
            };
            assert_eq!(m.state().ptes[0], entry);
            for primitive in [P_::PmdSpan, P_::PteLock, P_::PteGet, P_::RestorePte] {
                assert_eq!(m.calls(primitive), 0, "{primitive:?}");
            }
            assert_eq!(m.calls(P_::RemoveMigrationPtes), 2);
        }
    }
    both!(body);
}

#[test]
fn nothing_but_the_words() {
    fn body<P: Policy>() {
        let m = five();
        let (mut src, mut dst) = ([NONE; 3], [NO; 3]);
        assert_eq!(
            collect_range::<P, _>(&mut m.traced(), p('a'), OWN, &mut src),
            2
        );
        assert_eq!(src, [taken('a'), NONE, taken('c')]);
        m.with(|s| s.alloc(p('N')));
        dst[0] = DstPfn::page(p('N'));
        let again =
            DeviceMigration::<_, P, Unmapped>::from_words(m.traced(), OWN, &mut src, &mut dst);
        let again = again.unwrap();
        assert_eq!(again.cpages(), 2);
        again.pages().unwrap().into_words();
        assert!(m.state()[p('N')].locked, "into_words() gives nothing back");
        let last = DeviceMigration::<_, P, Moved>::from_words(m.traced(), OWN, &mut src, &mut dst);
        last.unwrap().finalize();
        m.with(|s| s.settle());
        m.state().audit();
        assert_eq!(m.state().ptes[..2], [present('N', W), device('c', R)]);
    }
    both!(body);
}

/// `migrate_device_coherent_folio()` starts with a page that it has locked.
#[test]
fn what_is_locked_already() {
    fn body<P: Policy>() {
        for busy in [false, true] {
            let m = machine::<V6_12>();
            m.with(|s| {
                s.page_in('r', Mapping::Anon);
                s.map(0, 'r', W);
                s.get('r', 1 + u32::from(busy));
                s[p('r')].locked = true;
            });
            let mut src = [taken('r')];
            forget_calls();
            let migrate = unmap_words::<P, _>(&mut m.traced(), OWN, &mut src);
            // One more reference than the caller's own is allowed to device memory; two are not.
            assert_eq!((migrate, src[0]), (1, taken('r')));
            let m = machine::<V6_12>();
            m.with(|s| {
                s.page_in('r', Mapping::Anon);
                s.map(0, 'r', W);
                s.get('r', 3);
                s[p('r')].locked = true;
            });
            let mut src = [taken('r')];
            let migrate = unmap_words::<P, _>(&mut m.traced(), OWN, &mut src);
            assert_eq!((migrate, src[0]), (0, NONE));
            assert_eq!(m.state().ptes[0], present('r', W));
            assert!(!m.state()[p('r')].locked);
        }
    }
    both!(body);
}

#[test]
fn pages_that_are_not_the_caller_s() {
    let m = machine::<V6_12>();
    m.with(|s| {
        s.page_in('n', Mapping::Anon);
        s.map(0, 'n', W);
        s.anon(1, 'A', W);
    });
    let before = m.state();
    for first in [p('n'), p('A'), Pfn(usize::MAX >> 6), Pfn(usize::MAX - 1)] {
        let (mut src, mut dst) = ([PIN; 3], [NO; 3]);
        let request = DeviceRequest {
            first,
            src: &mut src,
            dst: &mut dst,
            owner: OWN,
        };
        forget_calls();
        drop(setup_range::<Hardened, _>(m.traced(), request).unwrap());
        expect("lru_add_drain");
        assert_eq!(src, [NONE; 3]);
        assert_eq!(m.state(), before);
    }
    // As posted a system page is taken like any other.
    let mut src = [NONE];
    assert_eq!(
        collect_range::<AsPosted, _>(&mut m.traced(), p('A'), OWN, &mut src),
        1
    );
    assert_eq!(m.state().ptes[1], Pte::Migration(p('A'), W));
}

#[test]
fn wrong_words() {
    fn body<P: Policy>() {
        let m = five();
        let before = m.state();
        let (mut src, mut dst) = ([NONE; 2], [NO; 3]);
        let length = Error::Length {
            pages: 2,
            src: 2,
            dst: 3,
        };
        let request = DeviceRequest {
            first: p('a'),
            src: &mut src,
            dst: &mut dst,
            owner: OWN,
        };
        assert_eq!(setup_range::<P, _>(m.traced(), request).err(), Some(length));
        type Next<'a, P> = DeviceMigration<'a, Traced, P, Moved>;
        let again = Next::<P>::from_words(m.traced(), OWN, &mut src, &mut dst);
        assert_eq!(again.err(), Some(length));
        let raw = p('a').0 << 6 | 2;
        let mut src = [NONE, SrcPfn::from_raw(raw)];
        let again = Next::<P>::from_words(m.traced(), OWN, &mut src, &mut dst[..2]);
        let expected = Error::Src {
            index: 1,
            word: raw,
            error: WordError::PfnWithoutValid,
        };
        assert_eq!(again.err(), hardened::<P>().then_some(expected));
        assert_eq!(m.state(), before);
        assert_eq!(expected.errno(), error::EINVAL);
    }
    both!(body);
}

#[test]
fn a_destination_is_refused_and_the_migration_comes_back() {
    let m = five();
    let (mut src, mut dst) = ([NONE], [NO]);
    let mut migration = range::<Hardened>(&m, &mut src, &mut dst);
    migration.dst_mut()[0] = DstPfn::page(p('N'));
    let refused = migration.pages().err().unwrap();
    assert_eq!(refused.error.errno(), error::EINVAL);
    let mut migration = refused.migration;
    m.with(|s| s.alloc(p('N')));
    migration.dst_mut()[0] = DstPfn::page(p('N'));
    migration.pages().unwrap().finalize();
    m.with(|s| s.settle());
    m.state().audit();
}

/// A driver that is unbound gives the originals of its pins back by pfn.
#[test]
fn an_original_comes_home() {
    let m = machine::<V6_12>();
    m.with(|s| s.anon(0, 'A', W));
    let (mut src, mut dst) = ([PIN], [NO]);
    let mut migration = set_up::<Hardened, V6_12>(&m, &mut src, &mut dst);
    m.with(|s| s.alloc(p('a')));
    migration.dst_mut()[0] = DstPfn::page(p('a'));
    migration.pages().unwrap().finalize();
    assert_eq!(m.state().ptes[0], device('a', W));
    assert!(m.state()[p('A')].count >= GUP_PIN_COUNTING_BIAS);

    let (mut src, mut dst) = ([NONE], [NO]);
    let mut migration = range::<Hardened>(&m, &mut src, &mut dst);
    m.with(|s| s[p('A')].locked = true);
    migration.dst_mut()[0] = DstPfn::unpin(p('A'));
    migration.pages().unwrap().finalize();
    m.with(|s| s.settle());
    let state = m.state();
    state.audit();
    assert_eq!(state.ptes[0], present('A', W));
    assert_eq!((state[p('A')].count, state.freed), (1, vec![p('a')]));
}

/// What was asked of setup, the same again.
fn request<'a>(src: &'a mut [SrcPfn], dst: &'a mut [DstPfn]) -> Request<'a, u8> {
    Request {
        vma: VMA,
        range: span(0, src.len()),
        src,
        dst,
        owner: OWN,
        select: Select::SYSTEM,
        fault_page: Some(p('a')),
    }
}

/// What the kernel's own callers of `migrate_vma_*` share between the calls is the words and what they asked.
#[test]
fn an_area_with_nothing_but_the_words() {
    fn body<P: Policy>() {
        let m = machine::<V6_12>();
        m.with(|s| s.anon(0, 'A', W));
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        let cpages = set_up::<P, V6_12>(&m, &mut src, &mut dst).into_words();
        assert_eq!(cpages, 2);
        m.with(|s| s.alloc(p('b')));
        m.with(|s| s.alloc(p('c')));
        dst = [DstPfn::page(p('b')), DstPfn::page(p('c'))];
        type Stage<'a, P, St> = Migration<'a, Traced, P, V6_12, St>;
        let again =
            Stage::<P, Unmapped>::from_words(m.traced(), request(&mut src, &mut dst), cpages);
        let again = again.unwrap();
        assert_eq!((again.cpages(), again.range()), (2, span(0, 2)));
        assert_eq!(again.pages().unwrap().into_words(), 2);
        let last = Stage::<P, Moved>::from_words(m.traced(), request(&mut src, &mut dst), cpages);
        last.unwrap().finalize();
        m.with(|s| s.settle());
        m.state().audit();
        assert_eq!(m.state().ptes[..2], [device('b', W), device('c', W)]);

        // What does not fit the area, and what setup can't have left.
        let before = m.state();
        let mut wrong = request(&mut src, &mut dst);
        wrong.range.end = at(9);
        let error = Stage::<P, Moved>::from_words(m.traced(), wrong, 0).err();
        assert_eq!(error, Some(Error::OutsideVma));
        let mut wrong = request(&mut src, &mut dst);
        wrong.range.end = at(3);
        let error = Stage::<P, Moved>::from_words(m.traced(), wrong, 0).err();
        let length = Error::Length {
            pages: 3,
            src: 2,
            dst: 2,
        };
        assert_eq!(error, Some(length));
        src = [NONE, SrcPfn::from_raw(1)];
        let error = Stage::<P, Moved>::from_words(m.traced(), request(&mut src, &mut dst), 0);
        let expected = Error::Src {
            index: 1,
            word: 1,
            error: WordError::ValidWithoutPfn,
        };
        if hardened::<P>() {
            assert_eq!(error.err(), Some(expected));
            assert_eq!(m.state(), before);
        } else {
            error.unwrap().into_words();
        }
    }
    both!(body);
    assert_ne!(OWN, Owner(0));
}

/// Setup without a migration: what it leaves is what [`setup`] leaves of words that say nothing, whatever stands in them.
#[test]
fn an_area_is_set_up_by_its_words() {
    fn body<P: Policy, S: Shape>() {
        let state = |by_words| {
            let m = machine::<S>();
            m.with(|s| {
                s.anon(0, 'A', W);
                s.ptes[1] = Pte::Other;
                s.anon(2, 'B', R);
            });
            let before = m.state();
            // A bit that no source may have, and a pin of before: nobody looks.
            let garbage = SrcPfn::from_raw(usize::MAX);
            let (mut src, mut dst) = ([garbage; 3], [DstPfn::page(p('b')); 3]);
            let mut ops = m.traced();
            macro_rules! asked {
                ($end:literal) => {
                    Request {
                        range: span(0, $end),
                        ..request(&mut src, &mut dst)
                    }
                };
            }
            if by_words {
                let length = Error::Length {
                    pages: 2,
                    src: 3,
                    dst: 3,
                };
                let refused = setup_by_words::<P, S, _>(&mut ops, asked!(2));
                assert_eq!(refused, Err(length));
                assert_eq!((src, dst), ([garbage; 3], [DstPfn::page(p('b')); 3]));
                assert_eq!(m.state(), before);
                let cpages = setup_by_words::<P, S, _>(&mut ops, asked!(3));
                assert_eq!(cpages, Ok(2));
            } else {
                (src, dst) = ([NONE; 3], [NO; 3]);
                let migration = setup::<P, S, _>(ops, asked!(3)).unwrap();
                assert_eq!(migration.into_words(), 2);
            }
            assert_eq!(dst, [NO; 3]);
            (src, m.state())
        };
        let (words, apart) = (state(true), state(false));
        assert_eq!(words, apart);
        assert_eq!(words.0.map(SrcPfn::migrating), [true, false, true]);
    }
    all!(body);
}

/// The same without a migration in between: pages, finalize, and what both refuse, which changes nothing.
#[test]
fn an_area_by_its_words() {
    fn body<P: Policy>() {
        let m = machine::<V6_12>();
        m.with(|s| {
            s.anon(0, 'A', W);
            s.anon(1, 'B', W);
        });
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        assert_eq!(set_up::<P, V6_12>(&m, &mut src, &mut dst).into_words(), 2);
        m.with(|s| s.alloc(p('b')));
        let mut ops = m.traced();

        let before = m.state();
        let wrong = Request {
            range: span(0, 3),
            ..request(&mut src, &mut dst)
        };
        let length = Error::Length {
            pages: 3,
            src: 2,
            dst: 2,
        };
        assert_eq!(
            finalize_by_words::<P, V6_12, _>(&mut ops, &wrong),
            Err(length)
        );
        let mut wrong = wrong;
        assert_eq!(
            pages_by_words::<P, V6_12, _>(&mut ops, &mut wrong),
            Err(length)
        );
        if hardened::<P>() {
            // A source is no destination.
            dst = [DstPfn::page(p('b')), DstPfn::page(p('A'))];
            let refused = pages_by_words::<P, V6_12, _>(&mut ops, &mut request(&mut src, &mut dst));
            assert!(matches!(refused, Err(Error::Destination { index: 1, .. })));
        }
        assert_eq!(m.state(), before);

        dst = [DstPfn::page(p('b')), NO];
        let done = pages_by_words::<P, V6_12, _>(&mut ops, &mut request(&mut src, &mut dst));
        assert_eq!(done, Ok(()));
        assert_eq!(src.map(SrcPfn::migrating), [true, false]);
        let done = finalize_by_words::<P, V6_12, _>(&mut ops, &request(&mut src, &mut dst));
        assert_eq!(done, Ok(()));
        m.with(|s| s.settle());
        m.state().audit();
        assert_eq!(m.state().ptes[..2], [device('b', W), present('B', W)]);
        assert_eq!(m.state().freed, [p('A')]);
    }
    both!(body);
}
