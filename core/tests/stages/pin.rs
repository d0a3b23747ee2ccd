//! The driver's half: acquire, grant, fault, revoke, invalidate, release.

use migrate_pin_core::pin::{self, Acquire, Acquired, Fault, Grant, Invalidation};
use migrate_pin_core::trace::Primitive as P_;
use migrate_pin_core::{
    Access, DestinationError, DstPfn, Error, Mapping, MigratePfn, MmOps, NotifyEvent, Pfn,
    PinRecord, PmdKind, Policy, Pte, Range, Shape, SrcPfn,
};

use crate::mock::{
    all, at, device, expect, forget_calls, hardened, p, present, span, Dev, Machine, State, OTHER,
    OWN, PAGES, R, VMA, W,
};
use crate::{by_rmap, hardened as is_hardened, in_place, machine, modern, under_ptl, NONE};

fn acquire_range<P: Policy, S: Shape>(
    m: &Machine,
    dev: &mut Dev,
    range: Range,
    access: Access,
) -> (Result<Acquired, Error>, Vec<SrcPfn>) {
    let pages = range.end.saturating_sub(range.start) / 4096;
    // What stands there before is of no meaning.
    let mut src = vec![SrcPfn::from_raw(0x123); pages];
    let mut dst = vec![DstPfn::from_raw(0x321); pages];
    let request = Acquire {
        vma: VMA,
        range,
        access,
        src: &mut src,
        dst: &mut dst,
    };
    let result = pin::acquire::<P, S, _, _>(&mut m.traced(), dev, request);
    assert!(!dev.locked);
    (result, src)
}

fn acquire<P: Policy, S: Shape>(
    m: &Machine,
    dev: &mut Dev,
    pages: usize,
) -> (Result<Acquired, Error>, Vec<SrcPfn>) {
    acquire_range::<P, S>(m, dev, span(0, pages), Access::Write)
}

fn granted(granted: usize) -> Result<Acquired, Error> {
    Ok(Acquired { granted, left: 0 })
}

/// `page_free` of the device pages that were freed, and all is quiet.
fn reap<P: Policy, S: Shape>(m: &Machine, dev: &mut Dev) {
    m.with(State::settle);
    let freed = m.with(|s| std::mem::take(&mut s.freed));
    for page in freed {
        if m.state()[page].zone.is_device() {
            pin::release::<P, S, _, _>(&mut m.clone(), dev, page);
            if m.state()[page].zone.is_device_private() {
                dev.free.push(page);
            }
        }
    }
    m.with(State::settle);
    m.with(|s| s.freed.clear());
}

/// What is left of a page's past is of no meaning: compare states without it.
fn present_only(m: &Machine) -> State {
    let mut state = m.state();
    for page in &mut state.pages {
        (page.identity, page.states, page.contents) = (None, None, None);
        if page.zone.is_device() || page.count == 0 {
            page.mapping = Mapping::None;
            (page.uptodate, page.charged) = (false, false);
        } else {
            page.charged = true;
        }
    }
    state
}

/// The device's page table holds these pages, page after page.
fn mapped(dev: &Dev, expected: &[(usize, char)]) {
    let mut table: Vec<_> = dev
        .table
        .iter()
        .map(|(addr, page, _)| (*addr, *page))
        .collect();
    table.sort();
    let expected: Vec<_> = expected.iter().map(|(i, c)| (at(*i), p(*c))).collect();
    assert_eq!(table, expected);
}

/// `A`, `B` and `C` at 0, 1 and 2.
fn three<S: Shape>() -> (Machine, Dev) {
    let m = machine::<S>();
    m.with(|s| {
        s.anon(0, 'A', W);
        s.anon(1, 'B', W);
        s.anon(2, 'C', W);
    });
    let dev = Dev::new(&m);
    (m, dev)
}

/// `A` at 0, pinned for the device, with `a` in its place.
fn one_pin<P: Policy, S: Shape>() -> (Machine, Dev) {
    let m = machine::<S>();
    m.with(|s| s.anon(0, 'A', W));
    let mut dev = Dev::new(&m);
    assert_eq!(acquire::<P, S>(&m, &mut dev, 1).0, granted(1));
    m.with(State::settle);
    assert_eq!(m.state().ptes[0], device('a', W));
    forget_calls();
    (m, dev)
}

/// Take pages back by faults until the range is the CPU's; then nothing is left of any pin.
fn all_back<P: Policy, S: Shape>(m: &Machine, dev: &mut Dev, before: &State) {
    for index in 0..PAGES {
        if let Pte::DevicePrivate(page, _) = m.state().ptes[index] {
            m.with(|s| s.get(page.0 as u8 as char, u32::from(modern::<S>())));
            let fault = pin::fault::<P, S, _, _>(&mut m.clone(), dev, VMA, at(index), page);
            assert_eq!(fault, Ok(Fault::Done));
            if modern::<S>() {
                m.with(|s| s[page].extra -= 1);
                m.clone().put_page(page);
            }
        }
    }
    reap::<P, S>(m, dev);
    assert_eq!(dev.pairs, []);
    assert_eq!(dev.table, []);
    m.with(|s| s.audit());
    assert_eq!(present_only(m), *before);
}

// ---- acquire -------------------------------------------------------------------------------------------

#[test]
fn acquire_one() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        let mut dev = Dev::new(&m);
        let (result, src) = acquire::<P, S>(&m, &mut dev, 1);
        assert_eq!(result, granted(1));
        assert_eq!(
            src,
            [crate::word::<S>('A', MigratePfn::WRITE | MigratePfn::PIN)]
        );
        let h = |text| if is_hardened::<P>() { text } else { "" };
        let flush = match is_hardened::<P>() || modern::<S>() {
            true => "flush_tlb_range 0..1; pte_unlock 0",
            false => "pte_unlock 0; flush_tlb_range 0..1",
        };
        // The device's mapping is made after pages and before finalize; the sequence begins before setup,
        // lest a zap of the migration entry goes unnoticed.
        expect(&format!(
            "device read_begin; notify_start 0..1 Migrate own; pmd_span 0..1 = Table ..1; pte_lock 0; pte_get 0 = A:w
            get_page A; trylock_page A; pte_get_and_clear 0 = A:w; pte_set 0 migration A:w
            remove_rmap A; put_page A; {flush}; notify_end 0..1 Migrate own
            lru_add_drain; isolate_lru_page A; put_page A; {}; page_ref_add A 1024
            device alloc a; device remember a A
            {}; copy_mapping a A; migrate_states a A; {}
            device map 0 A Write
            {}{}; {} unlock_page A; unlock_page a; put_page a",
            h("pin_insert A own"),
            h("claim_destination a"),
            h("pin_pair A a"),
            under_ptl::<P, S>(1, "pte_get 0 = migration A:w; restore_pte 0 a"),
            h("unclaim_destination a"),
            by_rmap::<P, S>("remove_migration_ptes A a"),
        ));
        assert_eq!(dev.pairs, [(p('a'), p('A'))]);
        mapped(&dev, &[(0, 'A')]);
        assert_eq!(m.state().ptes[0], device('a', W));
    }
    all!(body);
}

#[test]
fn acquire_what_is_fit() {
    fn body<P: Policy, S: Shape>() {
        for access in [Access::Read, Access::Write] {
            let m = machine::<S>();
            m.with(|s| {
                s.anon(2, 'A', W);
                s.anon(3, 'B', R);
                s.page_in('b', Mapping::Anon);
                s.map(4, 'b', W);
                s.ptes[5] = Pte::Other;
                s.anon(6, 'C', W);
            });
            let before = present_only(&m);
            let mut dev = Dev::new(&m);
            dev.free = ['d', 'c', 'a'].map(p).to_vec();
            let (result, src) = acquire_range::<P, S>(&m, &mut dev, span(1, 7), access);
            reap::<P, S>(&m, &mut dev);
            let read = access == Access::Read;
            assert_eq!(result, granted(if read { 3 } else { 2 }));
            let pinned: Vec<_> = src.iter().map(|word| word.migrating()).collect();
            assert_eq!(pinned, [false, true, read, false, false, true]);
            if read {
                mapped(&dev, &[(2, 'A'), (3, 'B'), (6, 'C')]);
                assert_eq!(m.state().ptes[3], device('c', R));
            } else {
                mapped(&dev, &[(2, 'A'), (6, 'C')]);
                // As posted it is mapped again too, but stays pinned: defect 2.
                assert_eq!(m.state().ptes[3], present('B', R));
                assert_eq!(m.state()[p('B')].isolated, !is_hardened::<P>());
            }
            assert!(dev.table.iter().all(|(.., how)| *how == access));
            if is_hardened::<P>() {
                m.with(|s| s.audit());
                dev.pairs.retain(|(page, _)| *page != p('b'));
                m.with(|s| assert_eq!(s.ptes[4], device('b', W)));
                // `b` was never a pin.
                m.with(|s| s.ptes[4] = Pte::Other);
                m.with(|s| {
                    s[p('b')].mapcount = 0;
                    s[p('b')].count -= 1;
                });
                let mut before = before;
                before.ptes[4] = Pte::Other;
                before[p('b')].mapcount = 0;
                before[p('b')].count -= 1;
                all_back::<P, S>(&m, &mut dev, &before);
            }
        }
    }
    all!(body);
}

#[test]
fn acquire_without_enough_device_pages() {
    fn body<P: Policy, S: Shape>() {
        for enough in 0..=3 {
            let (m, mut dev) = three::<S>();
            let before = present_only(&m);
            dev.free = dev.free.split_off(4 - enough);
            let (result, src) = acquire::<P, S>(&m, &mut dev, 3);
            assert_eq!(result, granted(enough));
            for (index, word) in src.iter().enumerate() {
                assert_eq!(word.migrating(), index < enough);
            }
            mapped(&dev, &[(0, 'A'), (1, 'B'), (2, 'C')][..enough]);
            reap::<P, S>(&m, &mut dev);
            m.with(|s| s.audit());
            all_back::<P, S>(&m, &mut dev, &before);
        }
    }
    hardened!(body);
}

#[test]
fn acquire_nothing() {
    fn body<P: Policy, S: Shape>() {
        let (m, mut dev) = three::<S>();
        let before = m.state();
        let beyond = span(7, 9);
        let (result, _) = acquire_range::<P, S>(&m, &mut dev, beyond, Access::Write);
        assert_eq!(result, Err(Error::OutsideVma));
        expect("device read_begin");
        let (result, src) = acquire_range::<P, S>(&m, &mut dev, span(4, 6), Access::Write);
        assert_eq!(result, granted(0));
        assert!(src.iter().all(|word| !word.migrating()));
        assert_eq!(m.state(), before);
    }
    all!(body);
}

#[test]
fn a_pair_that_failed_is_forgotten() {
    // In the swap cache: pages refuses (5.11), or 6.12 can't leave it. Before finalize, whose drop calls `page_free`.
    fn body<P: Policy, S: Shape>() {
        let (m, mut dev) = three::<S>();
        m.with(|s| {
            s[p('B')].mapping = Mapping::SwapCache;
            s[p('B')].in_slot = true;
            s[p('B')].count += 1;
        });
        if modern::<S>() {
            m.fail(P_::FreeSwapCache, 1);
        }
        let before = present_only(&m);
        let (result, src) = acquire::<P, S>(&m, &mut dev, 3);
        assert_eq!(result, granted(2));
        assert_eq!([0, 1, 2].map(|i| src[i].migrating()), [true, false, true]);
        assert_eq!(dev.pairs, [(p('a'), p('A')), (p('c'), p('C'))]);
        mapped(&dev, &[(0, 'A'), (2, 'C')]);
        assert_eq!(m.state().freed, [p('b')]);
        if is_hardened::<P>() {
            reap::<P, S>(&m, &mut dev);
            all_back::<P, S>(&m, &mut dev, &before);
        }
    }
    all!(body);
}

#[test]
fn the_device_hands_out_a_wrong_page() {
    fn body<P: Policy, S: Shape>() {
        for wrong in 0..3 {
            let (m, mut dev) = three::<S>();
            let before = present_only(&m);
            dev.free[3 - wrong] = p('n');
            let (result, _) = acquire::<P, S>(&m, &mut dev, 3);
            let error = Error::Destination {
                index: wrong,
                page: p('n'),
                error: DestinationError::ForeignDevice,
            };
            assert_eq!(result, Err(error));
            assert_eq!(dev.pairs, []);
            assert_eq!(dev.table, []);
            assert_eq!(m.state().freed.len(), 3);
            reap::<P, S>(&m, &mut dev);
            m.with(|s| s.audit());
            assert_eq!(present_only(&m), before);
        }
    }
    hardened!(body);
}

#[test]
fn the_device_hands_out_a_page_that_is_nobody_s() {
    // There is nothing to give back of the page that was refused; the other two are given back.
    fn body<P: Policy, S: Shape>() {
        use DestinationError as E;
        type Arrange = fn(&mut State);
        let cases: [(Pfn, Arrange, E, bool); 6] = [
            (Pfn(1 << 20), |_| (), E::NoSuchPage, true),
            (p('e'), |_| (), E::Free, true),
            (
                p('e'),
                |s| {
                    s.alloc(p('e'));
                    s[p('e')].locked = false;
                },
                E::NotLocked,
                true,
            ),
            (p('a'), |_| (), E::Twice, true),
            (
                p('e'),
                |s| {
                    s.alloc(p('e'));
                    s[p('e')].compound = true;
                },
                E::Compound,
                false,
            ),
            (
                p('e'),
                |s| {
                    s.alloc(p('e'));
                    s[p('e')].mapping = Mapping::Anon;
                },
                E::InUse,
                false,
            ),
        ];
        for (page, arrange, error, nobodys) in cases {
            let (m, mut dev) = three::<S>();
            m.with(arrange);
            let before = present_only(&m);
            dev.free = vec![p('b'), page, p('a')];
            dev.careless = vec![page];
            if error == E::Twice {
                // Once it is ours.
                m.with(|s| s.alloc(p('a')));
            }
            let (result, _) = acquire::<P, S>(&m, &mut dev, 3);
            let index = 1;
            assert_eq!(result, Err(Error::Destination { index, page, error }));
            let given = match (error, nobodys) {
                (E::Twice, _) | (_, true) => vec![p('a'), p('b')],
                (_, false) => vec![p('a'), page, p('b')],
            };
            assert_eq!(m.state().freed, given);
            assert_eq!(dev.pairs, []);
            m.with(|s| {
                s.settle();
                s.freed.clear();
            });
            let mut state = present_only(&m);
            if !nobodys {
                assert_eq!(state[page].count, state.floor(page));
                state[page] = before[page].clone();
            }
            assert_eq!(state, before, "{error:?}");
        }
    }
    hardened!(body);
}

#[test]
fn the_device_hands_out_one_page_for_all() {
    // One lock and one reference are given back, wherever the border stopped.
    fn body<P: Policy, S: Shape>() {
        for (page, error, index) in [
            (p('a'), DestinationError::Twice, 1),
            (p('n'), DestinationError::ForeignDevice, 0),
            (Pfn(1 << 20), DestinationError::NoSuchPage, 0),
        ] {
            let (m, mut dev) = three::<S>();
            let before = present_only(&m);
            dev.free = vec![page; 3];
            dev.careless = vec![page];
            let exists = error != DestinationError::NoSuchPage;
            if exists {
                m.with(|s| s.alloc(page));
            }
            let (result, _) = acquire::<P, S>(&m, &mut dev, 3);
            assert_eq!(result, Err(Error::Destination { index, page, error }));
            assert_eq!(m.state().freed, vec![page; usize::from(exists)]);
            m.with(|s| {
                s.settle();
                s.freed.clear();
            });
            assert_eq!(present_only(&m), before);
        }
    }
    hardened!(body);
}

#[test]
fn acquire_of_an_unaligned_range() {
    // As posted both ends are rounded; so is what is tried again.
    fn body<P: Policy, S: Shape>() {
        let range = Range {
            start: at(1) + 8,
            end: at(3) + 24,
        };
        let (m, mut dev) = three::<S>();
        dev.full_at = vec![2];
        let (result, src) = acquire_range::<P, S>(&m, &mut dev, range, Access::Write);
        if is_hardened::<P>() {
            assert_eq!(result, Err(Error::Unaligned { address: at(1) + 8 }));
        } else {
            assert_eq!(result, granted(2));
            assert!(src[0].migrating() && src[1].migrating());
            mapped(&dev, &[(1, 'B'), (2, 'C')]);
        }
    }
    all!(body);
}

/// What second_try does with the first of three pages.
#[test]
fn the_device_can_not_map() {
    fn body<P: Policy, S: Shape>() {
        for at_map in 1..=3 {
            for (again, retry) in [(false, false), (true, false), (false, true)] {
                let (m, mut dev) = three::<S>();
                let before = present_only(&m);
                // Maps are 1 to 3 before finalize; then each once more.
                match (again, retry) {
                    (_, true) => dev.retries = at_map,
                    (false, _) => dev.full_at = vec![at_map],
                    (true, _) => dev.full_at = vec![at_map, 3 + at_map],
                }
                let (result, src) = acquire::<P, S>(&m, &mut dev, 3);
                reap::<P, S>(&m, &mut dev);
                let lost = |index: u32| again && index + 1 == at_map;
                assert_eq!(
                    result,
                    granted(if again { 2 } else { 3 }),
                    "{at_map} {again} {retry}"
                );
                for index in 0..3 {
                    let word = src[index as usize];
                    assert_eq!(word.migrating(), !lost(index));
                    if lost(index) {
                        assert_eq!(word, NONE);
                    }
                }
                let all = [(0, 'A'), (1, 'B'), (2, 'C')];
                let left: Vec<_> = all.into_iter().filter(|(i, _)| !lost(*i as u32)).collect();
                mapped(&dev, &left);
                if is_hardened::<P>() {
                    m.with(|s| s.audit());
                    all_back::<P, S>(&m, &mut dev, &before);
                }
            }
        }
    }
    all!(body);
}

#[test]
fn only_what_is_pinned_is_tried_again() {
    // A page that got no device page, and an entry with no page: their words stay as finalize left them.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            s.anon(0, 'A', W);
            s.anon(1, 'B', W);
            s.ptes[2] = Pte::Other;
        });
        let mut dev = Dev::new(&m);
        dev.free = vec![p('a')];
        dev.full_at = vec![1];
        let (result, src) = acquire::<P, S>(&m, &mut dev, 3);
        assert_eq!(result, granted(1));
        let word = |letter| crate::word::<S>(letter, MigratePfn::PIN | MigratePfn::WRITE);
        let refused = word('B').without(MigratePfn::MIGRATE);
        assert_eq!(src, [word('A'), refused, SrcPfn::PIN]);
    }
    all!(body);
}

#[test]
fn always_invalidated() {
    fn body<P: Policy, S: Shape>() {
        let (m, mut dev) = three::<S>();
        let before = present_only(&m);
        dev.retries = u32::MAX;
        let (result, src) = acquire::<P, S>(&m, &mut dev, 3);
        assert_eq!((result, &src[..]), (granted(0), &[NONE; 3][..]));
        dev.retries = 0;
        reap::<P, S>(&m, &mut dev);
        all_back::<P, S>(&m, &mut dev, &before);
        // And in order: forget and unmap before finalize maps it for the CPU.
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        let mut dev = Dev::new(&m);
        dev.retries = u32::MAX;
        let (result, _) = acquire::<P, S>(&m, &mut dev, 1);
        assert_eq!(result, granted(0));
    }
    all!(body);
}

#[test]
fn neither_mapped_nor_given_back() {
    // The original's lock is busy: it stays pinned, and is counted.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        m.with(|s| s.anon(1, 'B', W));
        let before = present_only(&m);
        let mut dev = Dev::new(&m);
        dev.retries = u32::MAX;
        // Collect's of `A` and `B`, grant's of `a`, the fault's of `a`, and of `A`.
        m.fail(P_::TrylockPage, 5);
        let (result, src) = acquire::<P, S>(&m, &mut dev, 2);
        assert_eq!(
            result,
            Ok(Acquired {
                granted: 0,
                left: 1
            })
        );
        assert!(src[0].migrating() && src[0].pfn() == Some(p('A')));
        assert_eq!(src[1], NONE);
        m.script_done();
        reap::<P, S>(&m, &mut dev);
        assert_eq!(m.state().ptes[..2], [device('a', W), present('B', W)]);
        if is_hardened::<P>() {
            m.with(|s| s.audit());
        }
        dev.retries = 0;
        all_back::<P, S>(&m, &mut dev, &before);
    }
    all!(body);
}

#[test]
fn gone_before_the_second_try() {
    // A fault took it back between finalize and the second try.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        m.with(|s| s.anon(1, 'B', W));
        let mut dev = Dev::new(&m);
        dev.full_at = vec![1];
        // collect; finalize, in place; the second try.
        m.before(P_::PmdSpan, 2 + usize::from(in_place::<P, S>()), |s| {
            zap(s, 0)
        });
        let (result, src) = acquire::<P, S>(&m, &mut dev, 2);
        assert_eq!(result, granted(1));
        assert_eq!(src[0], NONE);
        assert!(src[1].migrating());
        m.script_done();
        reap::<P, S>(&m, &mut dev);
        assert_eq!(m.state()[p('A')].record, None);
        assert!(dev.pairs == [(p('b'), p('B'))]);
    }
    all!(body);
}

/// `MADV_DONTNEED` of a device-private entry, but for `page_free`.
fn zap(s: &mut State, index: usize) {
    let Pte::DevicePrivate(page, _) = s.ptes[index] else {
        panic!("not device-private");
    };
    s.ptes[index] = Pte::None;
    s[page].mapcount -= 1;
    s[page].count -= 1;
    assert_eq!(s[page].count, s.floor(page));
    s.freed.push(page);
}

// ---- grant ---------------------------------------------------------------------------------------------

const STANDING: &str = "pmd_span 0..1 = Table ..1; pte_lock 0; pte_get 0 = device a:w";

fn grant<P: Policy, S: Shape>(m: &Machine, dev: &mut Dev, index: usize, access: Access) -> Grant {
    pin::grant::<P, S, _, _>(&mut m.traced(), dev, VMA, at(index), access)
}

#[test]
fn grant_again() {
    fn body<P: Policy, S: Shape>() {
        let (m, mut dev) = one_pin::<P, S>();
        dev.table.clear();
        for access in [Access::Write, Access::Read] {
            let before = m.state();
            assert_eq!(grant::<P, S>(&m, &mut dev, 0, access), Grant::Granted);
            expect(&format!(
                "{STANDING}; get_page a; pte_unlock 0; trylock_page a; device read_begin
                {STANDING}; pte_unlock 0; device map 0 A {access:?}; unlock_page a; put_page a"
            ));
            mapped(&dev, &[(0, 'A')]);
            assert_eq!(m.state(), before);
        }
    }
    all!(body);
}

#[test]
fn grant_what_is_not_pinned() {
    fn body<P: Policy, S: Shape>() {
        type Arrange = fn(&Machine, &mut Dev);
        let arrange: Vec<(&str, Arrange)> =
            vec![
            ("pmd_span 0..1 = Hole ..1", |m, _| m.with(|s| s.pmds[0] = PmdKind::Hole)),
            ("pmd_span 0..1 = Huge ..1", |m, _| m.with(|s| s.pmds[0] = PmdKind::Huge)),
            ("pmd_span 0..1 = Bad ..1", |m, _| m.with(|s| s.pmds[0] = PmdKind::Bad)),
            ("pmd_span 0..1 = Table ..1; pte_lock 0 fails", |m, _| m.fail(P_::PteLock, 1)),
            (
                "pmd_span 0..1 = Table ..1; pte_lock 0; pte_get 0 = -; pte_unlock 0",
                |m, _| m.with(|s| s.ptes[0] = Pte::None),
            ),
            (
                "pmd_span 0..1 = Table ..1; pte_lock 0; pte_get 0 = migration a:w; pte_unlock 0",
                |m, _| m.with(|s| s.ptes[0] = Pte::Migration(p('a'), W)),
            ),
            (
                "pmd_span 0..1 = Table ..1; pte_lock 0; pte_get 0 = Z:w; pte_unlock 0",
                |m, _| m.with(|s| s.ptes[0] = present('Z', W)),
            ),
            (
                "pmd_span 0..1 = Table ..1; pte_lock 0; pte_get 0 = device n:w; pte_unlock 0",
                |m, dev| {
                    // Another driver's, though the pair is known.
                    dev.pairs.push((p('n'), p('B')));
                    m.with(|s| s.ptes[0] = device('n', W));
                },
            ),
            (
                "pmd_span 0..1 = Table ..1; pte_lock 0; pte_get 0 = device a:; pte_unlock 0",
                |m, _| m.with(|s| s.ptes[0] = device('a', R)),
            ),
            (
                "pmd_span 0..1 = Table ..1; pte_lock 0; pte_get 0 = device a:w; pte_unlock 0",
                |_, dev| dev.pairs.clear(),
            ),
        ];
        for (calls, arrange) in arrange {
            let (m, mut dev) = one_pin::<P, S>();
            dev.table.clear();
            arrange(&m, &mut dev);
            let before = m.state();
            assert_eq!(
                grant::<P, S>(&m, &mut dev, 0, Access::Write),
                Grant::NotPinned,
                "{calls}"
            );
            expect(calls);
            assert_eq!(dev.table, []);
            assert_eq!(m.state(), before);
        }
        // To read, a read-only entry will do.
        let (m, mut dev) = one_pin::<P, S>();
        m.with(|s| s.ptes[0] = device('a', R));
        assert_eq!(grant::<P, S>(&m, &mut dev, 0, Access::Read), Grant::Granted);
    }
    all!(body);
}

#[test]
fn grant_anywhere_in_the_page() {
    fn body<P: Policy, S: Shape>() {
        let (m, mut dev) = one_pin::<P, S>();
        m.with(|s| s.ptes.swap(0, 2));
        dev.table.clear();
        let mut ops = m.traced();
        for addr in [at(2), at(2) + 1, at(2) + 0xfff] {
            let granted = pin::grant::<P, S, _, _>(&mut ops, &mut dev, VMA, addr, Access::Read);
            assert_eq!(granted, Grant::Granted);
            assert_eq!(dev.table, [(at(2), p('A'), Access::Read)]);
        }
        // The area ends before its end, and nothing is asked about what is outside.
        forget_calls();
        for addr in [
            at(0) - 1,
            at(0) - 4096,
            at(PAGES),
            at(PAGES) + 5,
            0,
            usize::MAX,
        ] {
            let granted = pin::grant::<P, S, _, _>(&mut ops, &mut dev, VMA, addr, Access::Read);
            assert_eq!(granted, Grant::NotPinned);
            expect("");
        }
        for (from, to) in [(2, 7), (7, 0)] {
            m.with(|s| s.ptes.swap(from, to));
            let granted = pin::grant::<P, S, _, _>(&mut ops, &mut dev, VMA, at(to), Access::Read);
            assert_eq!(granted, Grant::Granted);
        }
    }
    all!(body);
}

#[test]
fn grant_needs_the_record() {
    // The driver's memory of the pair is not enough where there is a record; as posted there is none.
    fn body<P: Policy, S: Shape>() {
        let record = |owner, device: Option<Pfn>| Some(PinRecord { owner, device });
        for wrong in [
            None,
            record(OTHER, Some(p('a'))),
            record(OWN, Some(p('b'))),
            record(OWN, None),
        ] {
            let (m, mut dev) = one_pin::<P, S>();
            dev.table.clear();
            m.with(|s| s[p('A')].record = wrong);
            let before = m.state();
            let mut ops = m.traced();
            let granted = pin::grant::<P, S, _, _>(&mut ops, &mut dev, VMA, at(0), Access::Write);
            if is_hardened::<P>() {
                assert_eq!(granted, Grant::NotPinned);
                expect(&format!("{STANDING}; pte_unlock 0"));
                assert_eq!(dev.table, []);
            } else {
                assert_eq!(granted, Grant::Granted);
            }
            assert_eq!(m.state(), before);
        }
    }
    all!(body);
}

#[test]
fn give_back_only_what_is_held() {
    // Behind the word that was refused there may be others as bad, which the border never saw.
    fn body<P: Policy, S: Shape>() {
        type Arrange = fn(&mut State);
        let cases: [(Pfn, Arrange, bool); 5] = [
            (Pfn(1 << 20), |_| (), false),
            (p('e'), |_| (), false),
            (
                p('e'),
                |s| {
                    s.alloc(p('e'));
                    s[p('e')].locked = false;
                },
                false,
            ),
            // Free, and somebody has it locked.
            (p('e'), |s| s[p('e')].locked = true, false),
            (p('e'), |s| s.alloc(p('e')), true),
        ];
        for (page, arrange, given) in cases {
            let (m, mut dev) = three::<S>();
            m.with(arrange);
            let before = present_only(&m);
            dev.free = vec![page, p('b'), p('n')];
            dev.careless = vec![page];
            let (result, _) = acquire::<P, S>(&m, &mut dev, 3);
            let error = Error::Destination {
                index: 0,
                page: p('n'),
                error: DestinationError::ForeignDevice,
            };
            assert_eq!(result, Err(error));
            let mut freed = vec![p('n'), p('b')];
            freed.extend(given.then_some(page));
            assert_eq!(m.state().freed, freed);
            m.with(|s| {
                s.settle();
                s.freed.clear();
            });
            let mut state = present_only(&m);
            if given {
                assert!(!state[page].locked);
                state[page] = before[page].clone();
            }
            assert_eq!(state, before);
        }
    }
    hardened!(body);
}

#[test]
fn grant_later() {
    fn body<P: Policy, S: Shape>() {
        let first = format!("{STANDING}; get_page a; pte_unlock 0");
        // The lock of the device page is busy.
        let (m, mut dev) = one_pin::<P, S>();
        dev.table.clear();
        let before = m.state();
        m.fail(P_::TrylockPage, 1);
        assert_eq!(grant::<P, S>(&m, &mut dev, 0, Access::Write), Grant::Retry);
        expect(&format!("{first}; trylock_page a fails; put_page a"));
        assert_eq!(m.state(), before);

        // Invalidated since.
        dev.retries = 1;
        assert_eq!(grant::<P, S>(&m, &mut dev, 0, Access::Write), Grant::Retry);
        expect(&format!(
            "{first}; trylock_page a; device read_begin; {STANDING}; pte_unlock 0; unlock_page a; put_page a"
        ));

        // The device's page table can't grow.
        dev.full_at = vec![dev.maps + 1];
        assert_eq!(
            grant::<P, S>(&m, &mut dev, 0, Access::Write),
            Grant::NoMemory
        );
        expect(&format!(
            "{first}; trylock_page a; device read_begin; {STANDING}; pte_unlock 0
            device map 0 A fails; unlock_page a; put_page a"
        ));
        assert_eq!(dev.table, []);
        assert_eq!(m.state(), before);

        // The entry is another by the second look.
        for what in [
            device('a', R),
            Pte::None,
            Pte::Migration(p('a'), W),
            device('b', W),
        ] {
            let (m, mut dev) = one_pin::<P, S>();
            dev.table.clear();
            dev.pairs.push((p('b'), p('A')));
            m.before(P_::PteGet, 2, move |s| s.ptes[0] = what);
            assert_eq!(
                grant::<P, S>(&m, &mut dev, 0, Access::Write),
                Grant::Retry,
                "{what:?}"
            );
            assert_eq!(dev.table, []);
            let state = m.state();
            assert!(!state[p('a')].locked && state.ptl.is_none());
            m.script_done();
        }
    }
    all!(body);
}

// ---- fault ---------------------------------------------------------------------------------------------

/// A CPU faults at entry 0, where `page` stands.
fn fault<P: Policy, S: Shape>(
    m: &Machine,
    dev: &mut Dev,
    addr: usize,
    page: char,
) -> Result<Fault, Error> {
    // 6.12's handler holds a reference.
    let mine = modern::<S>();
    m.with(|s| s.get(page, u32::from(mine)));
    let result = pin::fault::<P, S, _, _>(&mut m.traced(), dev, VMA, addr, p(page));
    if mine {
        m.with(|s| s[p(page)].extra -= 1);
        m.clone().put_page(p(page));
    }
    assert!(!dev.locked);
    result
}

const TAKEN: &str = "notify_start 0..1 Migrate own; pmd_span 0..1 = Table ..1
    pte_lock 0; pte_get 0 = device a:w; get_page a; trylock_page a
    pte_get_and_clear 0 = device a:w; pte_set 0 migration a:w; remove_rmap a; put_page a
    pte_unlock 0; notify_end 0..1 Migrate own; lru_add_drain;";

/// Finalize maps `a` again at entry 0, which was writable.
fn stays<P: Policy, S: Shape>() -> String {
    under_ptl::<P, S>(1, "pte_get 0 = migration a:w; restore_pte 0 a")
        + &by_rmap::<P, S>("remove_migration_ptes a a")
}

#[test]
fn a_fault_takes_it_back() {
    fn body<P: Policy, S: Shape>() {
        for writes in [false, true] {
            let (m, mut dev) = one_pin::<P, S>();
            dev.writes = writes;
            // Anywhere in the page.
            assert_eq!(
                fault::<P, S>(&m, &mut dev, at(0) + 0x123, 'a'),
                Ok(Fault::Done)
            );
            let h = |text| if is_hardened::<P>() { text } else { "" };
            let dirty = if writes { "set_page_dirty A" } else { "" };
            let (add, put) = match modern::<S>() {
                true => ("lru_cache_add A", "put_page A"),
                false => ("", "putback_lru_page A"),
            };
            // Revoked before finalize maps it for the CPU.
            expect(&format!(
                "{TAKEN} trylock_page A; {}; copy_mapping A a; migrate_states A a
                device unmap A; {dirty}; device forget a
                {}{}; {} unlock_page a; put_page a; unlock_page A
                {}; page_ref_sub A 1024; {put}",
                h("claim_destination A"),
                under_ptl::<P, S>(
                    1,
                    "pte_get 0 = migration a:w; lru_cache_add A; restore_pte 0 A"
                ),
                h("unclaim_destination A"),
                by_rmap::<P, S>(&format!("{add}; remove_migration_ptes a A")),
                h("pin_remove A"),
            ));
            assert_eq!(m.state()[p('A')].dirty, writes);
            assert_eq!((dev.table.len(), dev.pairs.len()), (0, 0));
            reap::<P, S>(&m, &mut dev);
            m.with(|s| s.audit());
            assert_eq!(m.state().ptes[0], present('A', W));
        }
    }
    all!(body);
}

#[test]
fn a_fault_when_the_device_has_lost_its_mapping() {
    fn body<P: Policy, S: Shape>() {
        let (m, mut dev) = one_pin::<P, S>();
        dev.table.clear();
        dev.writes = true;
        assert_eq!(fault::<P, S>(&m, &mut dev, at(0), 'a'), Ok(Fault::Done));
        assert!(!m.state()[p('A')].dirty);
    }
    all!(body);
}

#[test]
fn a_fault_while_the_original_is_locked() {
    fn body<P: Policy, S: Shape>() {
        let (m, mut dev) = one_pin::<P, S>();
        let (before, pairs, table) = (m.state(), dev.pairs.clone(), dev.table.clone());
        m.with(|s| s[p('A')].locked = true);
        assert_eq!(fault::<P, S>(&m, &mut dev, at(0), 'a'), Ok(Fault::Retry));
        // Finalized in every case.
        expect(&format!(
            "{TAKEN} trylock_page A fails; {} unlock_page a; put_page a",
            stays::<P, S>()
        ));
        m.with(|s| s[p('A')].locked = false);
        assert_eq!(m.state(), before);
        assert_eq!((dev.pairs.clone(), dev.table.clone()), (pairs, table));
        assert_eq!(fault::<P, S>(&m, &mut dev, at(0), 'a'), Ok(Fault::Done));
    }
    all!(body);
}

#[test]
fn a_fault_on_what_is_gone() {
    fn body<P: Policy, S: Shape>() {
        // The page was faulted back by another thread, or its lock is busy, or it is another driver's.
        for what in 0..3 {
            let (m, mut dev) = one_pin::<P, S>();
            match what {
                0 => m.with(|s| s.ptes[0] = present('Z', W)),
                1 => m.with(|s| s[p('a')].locked = true),
                _ => m.with(|s| s.ptes[0] = device('n', W)),
            }
            let before = m.state();
            assert_eq!(
                fault::<P, S>(&m, &mut dev, at(0), 'a'),
                Ok(Fault::Gone),
                "{what}"
            );
            assert_eq!(m.state(), before);
        }
    }
    all!(body);
}

#[test]
fn the_page_in_src_is_taken_back_not_the_one_that_faulted() {
    fn body<P: Policy, S: Shape>() {
        let (m, mut dev) = three::<S>();
        assert_eq!(acquire::<P, S>(&m, &mut dev, 2).0, granted(2));
        m.with(State::settle);
        // Moved by `mremap()`: `b` stands where `a` was.
        m.with(|s| s.ptes.swap(0, 1));
        assert_eq!(fault::<P, S>(&m, &mut dev, at(0), 'a'), Ok(Fault::Done));
        assert_eq!(dev.pairs, [(p('a'), p('A'))]);
        assert_eq!(m.state().ptes[..2], [present('B', W), device('a', W)]);
    }
    all!(body);
}

#[test]
fn a_fault_on_a_page_that_is_no_pin() {
    // Migrated to the device: a copy comes back, or there is no memory for it. There is no pair to forget.
    fn body<P: Policy, S: Shape>() {
        for memory in [true, false] {
            let m = machine::<S>();
            m.with(|s| {
                s.page_in('a', Mapping::Anon);
                s.map(0, 'a', W);
            });
            let mut dev = Dev::new(&m);
            let before = m.state();
            if !memory {
                dev.system.clear();
            }
            let result = fault::<P, S>(&m, &mut dev, at(0), 'a');
            if memory {
                assert_eq!(result, Ok(Fault::Done));
                let h = |text| if is_hardened::<P>() { text } else { "" };
                let (add, put) = match modern::<S>() {
                    true => ("lru_cache_add N", "put_page N"),
                    false => ("", "putback_lru_page N"),
                };
                expect(&format!(
                    "{TAKEN} device copy a N; {}; copy_mapping N a; migrate_states N a
                    {}{}
                    {} unlock_page a; put_page a; unlock_page N; {put}",
                    h("claim_destination N"),
                    under_ptl::<P, S>(
                        1,
                        "pte_get 0 = migration a:w; lru_cache_add N; restore_pte 0 N"
                    ),
                    h("unclaim_destination N"),
                    by_rmap::<P, S>(&format!("{add}; remove_migration_ptes a N")),
                ));
                let state = m.state();
                assert_eq!(state.ptes[0], present('N', W));
                assert_eq!(state[p('N')].contents, Some(p('a')));
                m.with(State::settle);
                m.with(|s| s.audit());
            } else {
                assert_eq!(result, Ok(Fault::NoMemory));
                expect(&format!(
                    "{TAKEN} device copy a -; {} unlock_page a; put_page a",
                    stays::<P, S>()
                ));
                assert_eq!(m.state(), before);
            }
        }
    }
    all!(body);
}

#[test]
fn a_fault_whose_move_fails() {
    fn body<P: Policy, S: Shape>() {
        for copy in [false, true] {
            let (m, mut dev) = one_pin::<P, S>();
            if copy {
                dev.pairs.clear(); // As if it had been migrated.
            }
            let (before, pairs, table) = (m.state(), dev.pairs.clone(), dev.table.clone());
            // A cache finds it meanwhile, whose reference is missing.
            m.before(P_::ClaimDestination, 1, |s| {
                s[p('a')].mapping = Mapping::File
            });
            m.before(P_::UnclaimDestination, 1, |s| {
                s[p('a')].mapping = Mapping::Anon
            });
            assert_eq!(fault::<P, S>(&m, &mut dev, at(0), 'a'), Ok(Fault::Retry));
            m.script_done();
            assert_eq!((dev.pairs.clone(), dev.table.clone()), (pairs, table));
            reap::<P, S>(&m, &mut dev);
            let mut state = m.state();
            state[p('N')] = before[p('N')].clone();
            assert_eq!(state, before);
        }
    }
    hardened!(body);
}

#[test]
fn a_fault_that_is_refused() {
    fn body<P: Policy, S: Shape>() {
        // The record is another's, or says another pair; what the driver remembers is wrong.
        for (owner, stands, error) in [
            (OTHER, 'a', DestinationError::ForeignPin),
            (OWN, 'b', DestinationError::OtherPair),
        ] {
            let (m, mut dev) = one_pin::<P, S>();
            m.with(|s| {
                s[p('A')].record = Some(PinRecord {
                    owner,
                    device: Some(p(stands)),
                });
            });
            let before = m.state();
            let refused = Error::Destination {
                index: 0,
                page: p('A'),
                error,
            };
            assert_eq!(fault::<P, S>(&m, &mut dev, at(0), 'a'), Err(refused));
            expect(&format!(
                "{TAKEN} trylock_page A; unlock_page A; {} unlock_page a; put_page a",
                stays::<P, S>()
            ));
            assert_eq!(m.state(), before);
        }
        // The copy is no page for this.
        let (m, mut dev) = one_pin::<P, S>();
        dev.pairs.clear();
        dev.system = vec![p('n')];
        let before = m.state();
        let refused = Error::Destination {
            index: 0,
            page: p('n'),
            error: DestinationError::ForeignDevice,
        };
        assert_eq!(fault::<P, S>(&m, &mut dev, at(0), 'a'), Err(refused));
        expect(&format!(
            "{TAKEN} device copy a n; unlock_page n; put_page n
            {} unlock_page a; put_page a",
            stays::<P, S>()
        ));
        assert_eq!(m.state().freed, [p('n')]);
        m.with(|s| {
            s.freed.clear();
            s[p('n')] = before[p('n')].clone();
        });
        assert_eq!(m.state(), before);

        // Nor is it a page at all: nothing to give back.
        let (m, mut dev) = one_pin::<P, S>();
        dev.pairs.clear();
        let page = Pfn(1 << 20);
        (dev.system, dev.careless) = (vec![page], vec![page]);
        let before = m.state();
        let refused = Error::Destination {
            index: 0,
            page,
            error: DestinationError::NoSuchPage,
        };
        assert_eq!(fault::<P, S>(&m, &mut dev, at(0), 'a'), Err(refused));
        assert_eq!(m.state(), before);

        // Not a device-private page at all; 5.11 does not ask.
        let (m, mut dev) = one_pin::<P, S>();
        let expected = match modern::<S>() {
            true => Err(Error::FaultPage { page: p('B') }),
            false => Ok(Fault::Done),
        };
        let result = pin::fault::<P, S, _, _>(&mut m.traced(), &mut dev, VMA, at(0), p('B'));
        assert_eq!(result, expected);
    }
    hardened!(body);
}

// ---- revoke --------------------------------------------------------------------------------------------

#[test]
fn revoke_a_range() {
    fn body<P: Policy, S: Shape>() {
        for busy in 0..=4 {
            let (m, mut dev) = three::<S>();
            let before = present_only(&m);
            assert_eq!(acquire::<P, S>(&m, &mut dev, 3).0, granted(3));
            m.with(State::settle);
            match busy {
                // An original's lock, a device page's lock; those come back later.
                1 => m.with(|s| s[p('B')].locked = true),
                2 => m.with(|s| s[p('b')].locked = true),
                3 => m.with(|s| (s[p('A')].locked, s[p('c')].locked) = (true, true)),
                _ => (),
            }
            let range = if busy == 4 { span(1, 2) } else { span(0, 6) };
            let left = pin::revoke::<P, S, _, _>(&mut m.traced(), &mut dev, VMA, range);
            assert_eq!(left, Ok([0, 1, 1, 2, 0][busy]));
            m.with(|s| s.pages.iter_mut().for_each(|page| page.locked = false));
            reap::<P, S>(&m, &mut dev);
            let here = [
                ([false; 3], ""),
                ([false, true, false], "B"),
                ([false, true, false], "B"),
                ([true, false, true], "AC"),
                ([true, false, true], "AC"),
            ];
            let still = [0, 1, 2].map(|i| matches!(m.state().ptes[i], Pte::DevicePrivate(..)));
            assert_eq!(still, here[busy].0);
            assert_eq!(dev.table.len(), here[busy].1.len());
            all_back::<P, S>(&m, &mut dev, &before);
        }
    }
    all!(body);
}

#[test]
fn revoke_what_is_no_pin() {
    fn body<P: Policy, S: Shape>() {
        // A migrated page comes back too, and without memory for a copy it is busy.
        let m = machine::<S>();
        m.with(|s| {
            s.page_in('a', Mapping::Anon);
            s.map(0, 'a', W);
            s.page_in('b', Mapping::Anon);
            s.map(1, 'b', W);
        });
        let mut dev = Dev::new(&m);
        dev.system = vec![p('N')];
        let left = pin::revoke::<P, S, _, _>(&mut m.traced(), &mut dev, VMA, span(0, 2));
        assert_eq!(left, Ok(1));
        assert_eq!(m.state().ptes[..2], [present('N', W), device('b', W)]);
        // Errors come through; an empty range is none.
        let left = pin::revoke::<P, S, _, _>(&mut m.traced(), &mut dev, VMA, span(7, 9));
        assert_eq!(left, Err(Error::OutsideVma));
        let left = pin::revoke::<P, S, _, _>(&mut m.traced(), &mut dev, VMA, span(2, 2));
        assert_eq!(left, Ok(0));
        expect("");
    }
    all!(body);
}

// ---- invalidate and release ----------------------------------------------------------------------------

#[test]
fn invalidations() {
    fn body<P: Policy, S: Shape>() {
        for (event, owner, passes) in [
            (NotifyEvent::Migrate, Some(OWN), true),
            (NotifyEvent::Migrate, Some(OTHER), false),
            (NotifyEvent::Migrate, None, false),
            (NotifyEvent::Clear, Some(OWN), false),
            (NotifyEvent::Clear, None, false),
            (NotifyEvent::Unmap, None, false),
        ] {
            for writes in [false, true] {
                let (m, mut dev) = three::<S>();
                assert_eq!(acquire::<P, S>(&m, &mut dev, 3).0, granted(3));
                dev.writes = writes;
                let pairs = dev.pairs.clone();
                let before = m.state();
                let invalidation = Invalidation {
                    range: span(1, 8),
                    event,
                    owner,
                    seq: 77,
                };
                let gone = pin::invalidate(&mut m.traced(), &mut dev, invalidation);
                assert!(!dev.locked);
                assert_eq!(dev.pairs, pairs, "the pair stays");
                if passes {
                    assert_eq!((gone, dev.seq, dev.table.len()), (0, 40, 3));
                    assert_eq!(m.state(), before);
                } else {
                    assert_eq!((gone, dev.seq), (2, 77));
                    mapped(&dev, &[(0, 'A')]);
                    expect(if writes {
                        "set_page_dirty B; set_page_dirty C"
                    } else {
                        ""
                    });
                }
            }
        }
    }
    all!(body);
}

#[test]
fn release_with_the_last_mapping() {
    fn body<P: Policy, S: Shape>() {
        let (m, mut dev) = one_pin::<P, S>();
        m.with(|s| zap(s, 0));
        dev.table.clear();
        assert!(pin::release::<P, S, _, _>(
            &mut m.traced(),
            &mut dev,
            p('a')
        ));
        let forget = if is_hardened::<P>() {
            "pin_remove A"
        } else {
            ""
        };
        // 6.12's charge is gone with the device page: not on the LRU.
        let put = if modern::<S>() {
            "put_page A"
        } else {
            "putback_lru_page A"
        };
        expect(&format!(
            "device forget a; {forget}; page_ref_sub A 1024; {put}"
        ));
        m.with(State::settle);
        let state = m.state();
        assert_eq!(state.freed, [p('a'), p('A')]);
        state.audit();
        assert_eq!(dev.pairs, []);
        // Once only.
        assert!(!pin::release::<P, S, _, _>(
            &mut m.traced(),
            &mut dev,
            p('a')
        ));
        expect("");
    }
    all!(body);
}

#[test]
fn release_of_what_is_not_ones_own() {
    fn body<P: Policy, S: Shape>() {
        let record = |owner, device: Option<Pfn>| Some(PinRecord { owner, device });
        for wrong in [
            None,
            record(OTHER, Some(p('a'))),
            record(OWN, Some(p('b'))),
            record(OWN, None),
        ] {
            let (m, mut dev) = one_pin::<P, S>();
            m.with(|s| s[p('A')].record = wrong);
            let before = m.state();
            assert!(!pin::release::<P, S, _, _>(
                &mut m.traced(),
                &mut dev,
                p('a')
            ));
            assert_eq!(m.state(), before);
            expect("device forget a");
        }
    }
    hardened!(body);
}
