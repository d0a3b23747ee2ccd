//! `MmOps` and `Device` in other clothes: borrowed, traced, and with chosen calls failing.

use std::cell::RefCell;
use std::collections::BTreeSet;

use migrate_pin_core::fault::{Fault, Plan};
use migrate_pin_core::ops::PageLook;
use migrate_pin_core::pin::{self, Acquire, Invalidation};
use migrate_pin_core::trace::{Call, Primitive, Trace};
use migrate_pin_core::{
    setup, Access, Device, DstPfn, HugePmd, Mapping, MmOps, NoMemory, NotifyEvent, Owner, Pfn,
    PinRecord, PmdKind, PmdSpan, Policy, Pte, Range, Request, Select, Shape, SrcPfn, VmaFacts,
    Zone, V5_11, V6_12,
};

use crate::machine;
use crate::mock::{
    at, forget_calls, hardened, p, span, Dev, Machine, State, Vma, OWN, PAGES, R, VMA, W,
};

/// A machine on which [`drive`] can call every primitive.
fn driven<S: Shape>() -> Machine {
    let m = machine::<S>();
    m.with(|s| {
        s.pmd_pages = 2;
        s.pmds = vec![PmdKind::Table, PmdKind::Hole, PmdKind::Table, PmdKind::Huge];
        s.huge = HugePmd::Page(p('H'));
        s.anon(0, 'A', W);
        s.page_in('F', Mapping::File);
        s.page_in('G', Mapping::SwapCache);
        s.get('G', 1);
        s.page_in('H', Mapping::Anon);
        s.map(6, 'H', W);
        s.alloc(p('N'));
        s.alloc(p('O'));
        s[p('F')].locked = true;
        s[p('G')].locked = true;
    });
    m
}

/// Every primitive once at least, in an order that means something; what each returned.
#[rustfmt::skip]
fn drive<M: MmOps<Vma = Vma>>(mut ops: M) -> Vec<String> {
    let mut returned = Vec::new();
    macro_rules! calls {
        ($($call:expr;)*) => { $( returned.push(format!("{}: {:?}", stringify!($call), $call)); )* };
    }
    let (a, f, g, h, n, o) = (p('A'), p('F'), p('G'), p('H'), p('N'), p('O'));
    let range = span(0, 2);
    calls! {
        ops.vma_facts(VMA);
        ops.notify_start(VMA, range, NotifyEvent::Migrate, Some(OWN));
        ops.pmd_span(VMA, at(6), at(7));
        ops.pmd_lock_huge(VMA, at(6));
        ops.get_page(h);
        ops.pmd_unlock(VMA, at(6));
        ops.trylock_page(h);
        ops.trylock_page(h);
        ops.split_huge_page(h);
        ops.unlock_page(h);
        ops.put_page(h);
        ops.split_huge_pmd(VMA, at(4));
        ops.pte_alloc(VMA, at(2));
        ops.address_space_stable(VMA);
        ops.userfaultfd_missing(VMA);
        ops.anon_vma_prepare(VMA);
        ops.mem_cgroup_charge(n, VMA);
        ops.mark_uptodate(n);
        ops.pte_lock(VMA, at(0));
        ops.pte_get(VMA, at(0));
        ops.pte_get(VMA, at(1));
        ops.get_page(a);
        ops.get_page_unless_zero(n);
        ops.put_page(n);
        ops.get_page_unless_zero(p('Z'));
        ops.trylock_page(a);
        ops.anon_exclusive(a);
        ops.share_anon_rmap(a);
        ops.pte_get_and_clear(VMA, at(0));
        ops.pte_set(VMA, at(0), Pte::Migration(a, W));
        ops.remove_rmap(a, VMA);
        ops.restore_pte(VMA, at(0), a);
        ops.pte_get_and_clear(VMA, at(0));
        ops.pte_set(VMA, at(0), Pte::Migration(a, W));
        ops.remove_rmap(a, VMA);
        ops.put_page(a);
        ops.pte_clear_flush(VMA, at(1));
        ops.add_new_anon_rmap(n, VMA, at(1));
        ops.flush_tlb_range(VMA, range);
        ops.pte_unlock(VMA, at(0));
        ops.flush_tlb_all();
        ops.notify_end(VMA, range, NotifyEvent::Migrate, Some(OWN));
        ops.lru_add_drain();
        ops.lru_add_drain_all();
        ops.page_lru(a);
        ops.isolate_lru_page(a);
        ops.isolate_lru_page(a);
        ops.remove_migration_pte(VMA, at(0), a, a);
        ops.try_to_unmap(a);
        ops.page_mapcount(a);
        ops.remove_migration_ptes(a, a);
        ops.page_mapcount(a);
        ops.page_exists(a);
        ops.page_zone(a);
        ops.page_zone(p('a'));
        ops.page_compound(a);
        ops.page_mapping(a);
        ops.page_has_private(a);
        ops.page_count(a);
        ops.page_locked(a);
        ops.page_ref_add(a, 1024);
        ops.pin_insert(a, OWN);
        ops.pin_pair(a, p('c'));
        ops.pin_record(a);
        ops.pin_remove(a);
        ops.page_ref_sub(a, 1024);
        ops.lru_cache_add(n);
        ops.set_page_dirty(f);
        ops.cache_lock(f);
        ops.cache_holds(f);
        ops.page_ref_freeze(f, 1);
        ops.copy_mapping(o, f);
        ops.cache_replace(f, o);
        ops.page_ref_unfreeze(f, 2);
        ops.cache_unlock(f);
        ops.copy_page(o, f);
        ops.migrate_states(o, f);
        ops.free_swap_cache(g);
        ops.claim_destination(o);
        ops.claim_destination(o);
        ops.unclaim_destination(o);
        ops.unlock_page(a);
        ops.putback_lru_page(a);
    }
    returned
}

#[test]
fn every_primitive_is_passed_on() {
    fn body<S: Shape>() {
        let direct = driven::<S>();
        let returned = drive(direct.clone());
        // Borrowed.
        let m = driven::<S>();
        assert_eq!(drive(&mut m.clone()), returned);
        assert_eq!(m.state(), direct.state());
        // Failing, but with no call to fail.
        let m = driven::<S>();
        let plan = Plan::none();
        let mut fault = Fault::new(m.clone(), &plan);
        assert_eq!(drive(&mut fault), returned);
        assert_eq!(m.state(), direct.state());
        assert_eq!(plan.fired(), 0);
        assert_eq!(fault.inner().state(), direct.state());
        assert_eq!(fault.into_inner().state(), direct.state());
        // Traced: each call once, after it returned, with what it returned.
        let m = driven::<S>();
        let calls = RefCell::new(Vec::<Call<Vma>>::new());
        let mut trace = Trace::new(m.clone(), |call: &Call<Vma>| calls.borrow_mut().push(*call));
        assert_eq!(drive(&mut trace), returned);
        assert_eq!(trace.into_inner().state(), direct.state());
        let calls = calls.into_inner();
        assert_eq!(calls.len(), returned.len());
        let fallible = calls.iter().filter(|call| call.primitive().fallible());
        assert_eq!(plan.calls() as usize, fallible.count());
        for (call, line) in calls.iter().zip(&returned) {
            let (text, result) = line.split_once(": ").unwrap();
            let name = call.primitive().name();
            assert!(text.starts_with(&format!("ops.{name}(")), "{text} {call:?}");
            assert!(
                format!("{call:?}").ends_with(&format!("returned: {result} }}")),
                "{call:?}"
            );
        }
        let called: BTreeSet<_> = calls.iter().map(Call::primitive).collect();
        let all: BTreeSet<_> = Primitive::ALL.iter().copied().collect();
        assert_eq!(called, all);
        assert_eq!(all.len(), Primitive::ALL.len());
    }
    body::<V5_11>();
    body::<V6_12>();
}

/// A machine that does in one go what consists of several primitives.
struct AtOnce(Machine, Vec<String>);

impl AtOnce {
    fn note(&mut self, line: String) {
        self.1.push(line);
    }
}

const LOOK: PageLook = PageLook {
    compound: true,
    zone: Zone::DeviceOther,
    mapping: Mapping::File,
    private: true,
    count: 5,
    mapcount: 3,
};

macro_rules! at_once {
    ($($name:ident $method:ident($($arg:ident: $ty:ty),*) -> $ret:ty $(, fails $fail:expr)?;)*) => {
        impl MmOps for AtOnce {
            type Vma = Vma;
            $(
                fn $method(&mut self $(, $arg: $ty)*) -> $ret {
                    self.0.$method($($arg),*)
                }
            )*
            fn unmap_exclusive_pte(&mut self, vma: Vma, addr: usize, page: Pfn) -> Option<bool> {
                self.note(format!("unmap_exclusive_pte {vma} {addr:#x} {page:?}"));
                Some(false)
            }
            fn restore_exclusive_pte(&mut self, vma: Vma, addr: usize, old: Pfn, new: Pfn) -> bool {
                self.note(format!("restore_exclusive_pte {vma} {addr:#x} {old:?} {new:?}"));
                true
            }
            fn page_is_device(&mut self, page: Pfn) -> bool {
                self.note(format!("page_is_device {page:?}"));
                true
            }
            fn page_look(&mut self, page: Pfn) -> PageLook {
                self.note(format!("page_look {page:?}"));
                LOOK
            }
        }
    };
}
migrate_pin_core::for_each_primitive!(at_once);

#[test]
fn what_is_done_at_once_is_passed_on() {
    fn run<M: MmOps<Vma = Vma>>(mut ops: M) {
        let (a, n) = (p('A'), p('N'));
        assert_eq!(ops.unmap_exclusive_pte(VMA, at(1), a), Some(false));
        assert!(ops.restore_exclusive_pte(VMA, at(2), a, n));
        assert!(ops.page_is_device(a));
        assert_eq!(ops.page_look(n), LOOK);
    }
    let m = driven::<V6_12>();
    let before = m.state();
    let mut ops = AtOnce(m.clone(), Vec::new());
    run(&mut ops);
    assert_eq!(
        ops.1,
        [
            "unmap_exclusive_pte 7 0x700001000 Pfn(65)",
            "restore_exclusive_pte 7 0x700002000 Pfn(65) Pfn(78)",
            "page_is_device Pfn(65)",
            "page_look Pfn(78)",
        ]
    );
    assert_eq!(m.state(), before);
}

#[test]
fn primitives_have_names() {
    for primitive in Primitive::ALL {
        let mut snake = String::new();
        for c in format!("{primitive:?}").chars() {
            if c.is_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.extend(c.to_lowercase());
        }
        assert_eq!(primitive.name(), snake);
    }
    let fallible = Primitive::ALL
        .iter()
        .filter(|primitive| primitive.fallible());
    let fallible: Vec<_> = fallible.map(|primitive| primitive.name()).collect();
    assert_eq!(
        fallible,
        [
            "address_space_stable",
            "anon_vma_prepare",
            "split_huge_page",
            "pte_alloc",
            "share_anon_rmap",
            "try_to_unmap",
            "trylock_page",
            "get_page_unless_zero",
            "page_ref_freeze",
            "isolate_lru_page",
            "mem_cgroup_charge",
            "free_swap_cache",
            "pin_insert",
        ]
    );
    assert!(Primitive::ALL.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn each_fallible_primitive_fails_without_a_call() {
    let (a, m) = (p('A'), driven::<V6_12>());
    let before = m.state();
    type Call<'c> = &'c dyn Fn(&mut Fault<'_, Machine>) -> bool;
    let results: [Call<'_>; 12] = [
        &|ops| !ops.address_space_stable(VMA),
        &|ops| ops.anon_vma_prepare(VMA) == Err(NoMemory),
        &|ops| !ops.split_huge_page(a),
        &|ops| ops.pte_alloc(VMA, at(2)) == Err(NoMemory),
        &|ops| !ops.share_anon_rmap(a),
        &|ops| {
            ops.try_to_unmap(a);
            true
        },
        &|ops| !ops.trylock_page(a),
        &|ops| !ops.page_ref_freeze(a, 1),
        &|ops| !ops.isolate_lru_page(a),
        &|ops| ops.mem_cgroup_charge(a, VMA) == Err(NoMemory),
        &|ops| !ops.free_swap_cache(p('G')),
        &|ops| ops.pin_insert(a, OWN) == Err(NoMemory),
    ];
    for (nth, call) in results.iter().enumerate() {
        let plan = Plan::nth(1);
        assert!(call(&mut Fault::new(m.clone(), &plan)), "{nth}");
        assert_eq!((plan.calls(), plan.fired()), (1, 1));
        assert_eq!(m.state(), before);
    }
}

#[test]
fn plans_count() {
    let fires = |plan: &Plan| [0; 5].map(|_: u8| plan.fails());
    let plan = Plan::none();
    assert_eq!(fires(&plan), [false; 5]);
    assert_eq!((plan.calls(), plan.fired()), (5, 0));
    let plan = Plan::nth(3);
    assert_eq!(fires(&plan), [false, false, true, false, false]);
    assert_eq!((plan.calls(), plan.fired()), (5, 1));
    let plan = Plan::pair(4, 1);
    assert_eq!(fires(&plan), [true, false, false, true, false]);
    assert_eq!((plan.calls(), plan.fired()), (5, 2));
    // Counted anew, with other calls.
    plan.arm(2, 5);
    assert_eq!((plan.calls(), plan.fired()), (0, 0));
    assert_eq!(fires(&plan), [false, true, false, false, true]);
    assert_eq!((plan.calls(), plan.fired()), (5, 2));
    plan.arm_three([5, 1, 3]);
    assert_eq!(fires(&plan), [true, false, true, false, true]);
    plan.arm(0, 0);
    assert_eq!(fires(&plan), [false; 5]);
}

/// Every call of a device; what each returned.
fn drive_device<D: Device>(mut dev: D) -> Vec<String> {
    let mut returned = Vec::new();
    macro_rules! calls {
        ($($call:expr;)*) => { $( returned.push(format!("{:?}", $call)); )* };
    }
    calls! {
        dev.owner();
        dev.alloc_device_page();
        dev.copy_to_system(p('a'));
        dev.remember(p('a'), p('A'));
        dev.remember(p('b'), p('B'));
        dev.original(p('a'));
        dev.original(p('c'));
        dev.forget(p('a'));
        dev.original(p('a'));
        dev.read_begin();
        dev.lock();
        dev.read_retry(40);
        dev.set_seq(41);
        dev.read_retry(40);
        dev.map(at(0), p('A'), Access::Write);
        dev.map(at(1), p('B'), Access::Read);
        dev.map(at(3), p('C'), Access::Read);
        dev.unmap_page(p('Z'));
        dev.unmap_page(p('A'));
        dev.unmap_next(span(0, 3));
        dev.unmap_next(span(0, 3));
        dev.unlock();
        dev.read_begin();
    }
    returned
}

#[test]
fn every_device_call_is_passed_on() {
    let new = || {
        let mut dev = Dev::new(&machine::<V5_11>());
        dev.writes = true;
        dev
    };
    let same = |a: &Dev, b: &Dev| {
        assert_eq!(
            (&a.pairs, &a.table, a.seq, a.locked),
            (&b.pairs, &b.table, b.seq, b.locked)
        );
        assert_eq!((&a.free, &a.system), (&b.free, &b.system));
    };
    let mut direct = new();
    let returned = drive_device(new());
    assert_eq!(drive_device(&mut direct), returned);
    assert_eq!(direct.pairs, [(p('b'), p('B'))]);
    assert_eq!(direct.table, [(at(3), p('C'), Access::Read)]);
    assert_eq!((direct.seq, direct.locked), (41, false));

    let plan = Plan::none();
    let mut wrapped = Fault::new(new(), &plan);
    assert_eq!(drive_device(&mut wrapped), returned);
    same(wrapped.inner(), &direct);
    same(&wrapped.into_inner(), &direct);
    assert_eq!((plan.calls(), plan.fired()), (5, 0));

    // The fallible ones fail, and are not passed on.
    for nth in 1..=5 {
        let plan = Plan::nth(nth);
        let mut dev = Fault::new(new(), &plan);
        let mut results = vec![
            dev.alloc_device_page().is_some(),
            dev.copy_to_system(p('a')).is_some(),
        ];
        dev.lock();
        for index in 0..3 {
            results.push(dev.map(at(index), p('A'), Access::Read).is_ok());
        }
        dev.unlock();
        let expected: Vec<_> = (1..=5).map(|call| call != nth).collect();
        assert_eq!(results, expected);
        assert_eq!(plan.fired(), 1);
        let dev = dev.into_inner();
        assert_eq!(dev.free.len(), 3 + usize::from(nth == 1));
        assert_eq!(dev.system.len(), 1 + usize::from(nth == 2));
        assert_eq!(dev.table.len(), 3 - usize::from(nth > 2));
    }
    forget_calls();
}

// ---- each call failing in turn -------------------------------------------------------------------------

/// Pages of every kind: plain, in a batch, mapped elsewhere too, in the swap cache, in a huge page, and none.
fn busy<S: Shape>() -> Machine {
    let m = machine::<S>();
    m.with(|s| {
        s.pmd_pages = 2;
        s.pmds = vec![PmdKind::Table, PmdKind::Table, PmdKind::Hole, PmdKind::Huge];
        s.huge = HugePmd::Page(p('H'));
        s.anon(0, 'A', W);
        s[p('A')].exclusive = crate::modern::<S>();
        // Mapped twice: writable nowhere.
        s.anon(1, 'B', R);
        s.map_elsewhere('B', R);
        let page = &mut s[p('B')];
        (page.lru, page.batch) = (false, Some(1));
        page.count += 1;
        s.page_in('C', Mapping::SwapCache);
        s.map(2, 'C', W);
        s.anon(3, 'D', W);
        s.anon(6, 'H', W);
        s.anon(7, 'I', W);
        s.alloc(p('N'));
        s.alloc(p('O'));
        s.alloc(p('e'));
    });
    m
}

fn mapped_pages(state: &State) -> usize {
    let device = |pte: &&Pte| matches!(pte, Pte::DevicePrivate(..));
    state.ptes.iter().filter(device).count()
}

/// `page_free` of what was freed.
fn reap<P: Policy, S: Shape>(m: &Machine, dev: &mut Dev) {
    m.with(State::settle);
    for page in m.with(|s| std::mem::take(&mut s.freed)) {
        if m.state()[page].zone.is_device() {
            pin::release::<P, S, _, _>(&mut m.clone(), dev, page);
            dev.free.push(page);
        }
    }
    m.with(State::settle);
    m.with(|s| s.freed.clear());
}

/// Acquire the area, fault every page back, acquire again, revoke; all of it counted by one plan. Then all is given
/// back without it, and the machine is as if nothing had been.
fn cycle<P: Policy, S: Shape>(plan: &Plan) {
    let m = busy::<S>();
    // The driver's own pages are not part of this.
    m.with(|s| {
        for page in ['N', 'O', 'e'].map(p) {
            let floor = s.floor(page);
            (s[page].locked, s[page].count) = (false, floor);
        }
    });
    let mut dev = Dev::new(&m);
    dev.free = ('a'..='h').map(p).collect();
    {
        let mut ops = Fault::new(m.clone(), plan);
        let mut failing = Fault::new(&mut dev, plan);
        for round in 0..2 {
            let (mut src, mut dst) = ([SrcPfn::NONE; PAGES], [DstPfn::NONE; PAGES]);
            let request = Acquire {
                vma: VMA,
                range: span(0, PAGES),
                access: Access::Write,
                src: &mut src,
                dst: &mut dst,
            };
            let got = pin::acquire::<P, S, _, _>(&mut ops, &mut failing, request).unwrap();
            let pinned = src.iter().filter(|word| word.migrating()).count();
            assert_eq!(pinned, got.granted + got.left);
            for (index, word) in src.iter().enumerate() {
                let device = matches!(m.state().ptes[index], Pte::DevicePrivate(..));
                // What could not be faulted back in the first round is pinned still.
                assert!(device || !word.migrating());
                assert!(word.migrating() || !device || round == 1);
            }
            reap::<P, S>(&m, failing.inner());
            m.with(|s| s.audit());
            for index in 0..PAGES {
                if let Pte::DevicePrivate(page, _) = m.state().ptes[index] {
                    if round == 0 {
                        let _ =
                            pin::fault::<P, S, _, _>(&mut ops, &mut failing, VMA, at(index), page);
                    }
                }
            }
            if round == 1 {
                let left =
                    pin::revoke::<P, S, _, _>(&mut ops, &mut failing, VMA, span(0, PAGES)).unwrap();
                assert_eq!(mapped_pages(&m.state()), left);
            }
            reap::<P, S>(&m, failing.inner());
            m.with(|s| s.audit());
        }
    }
    let left = pin::revoke::<P, S, _, _>(&mut m.clone(), &mut dev, VMA, span(0, PAGES));
    assert_eq!(left, Ok(0));
    reap::<P, S>(&m, &mut dev);
    let state = m.state();
    state.audit();
    assert_eq!(
        (dev.pairs.len(), dev.table.len(), dev.free.len()),
        (0, 0, 8)
    );
    let before = busy::<S>().state();
    assert_eq!(state.ptes[..4], before.ptes[..4]);
    assert_eq!(state.ptes[6..], before.ptes[6..]);
    assert_eq!(state.others, before.others);
}

#[test]
fn each_call_of_a_cycle_fails_in_turn() {
    fn body<P: Policy, S: Shape>() {
        let plan = Plan::none();
        cycle::<P, S>(&plan);
        let calls = plan.calls();
        assert!(calls > 60, "{calls}");
        for nth in 1..=calls {
            let plan = Plan::nth(nth);
            cycle::<P, S>(&plan);
            assert_eq!(plan.fired(), 1, "{nth}");
        }
        for nth in 1..=calls {
            for later in [1, 2, 5, 9] {
                cycle::<P, S>(&Plan::pair(nth, nth + later));
            }
        }
        forget_calls();
    }
    hardened!(body);
}

/// A plain migration to new pages, empty entries too, of which any call may fail.
fn plain<P: Policy, S: Shape>(plan: &Plan) {
    let m = busy::<S>();
    {
        let (mut src, mut dst) = ([SrcPfn::NONE; PAGES], [DstPfn::NONE; PAGES]);
        let mut ops = Fault::new(m.clone(), plan);
        let request = Request {
            vma: VMA,
            range: span(0, PAGES),
            src: &mut src,
            dst: &mut dst,
            owner: OWN,
            select: Select::all(),
            fault_page: None,
        };
        let mut migration = setup::<P, S, _>(&mut ops, request).unwrap();
        let migrating = migration
            .src()
            .iter()
            .filter(|word| word.migrating())
            .count();
        assert_eq!(migration.cpages(), migrating, "COUNT");
        migration.dst_mut()[0] = DstPfn::page(p('N'));
        migration.dst_mut()[2] = DstPfn::page(p('O'));
        migration.dst_mut()[4] = DstPfn::page(p('e'));
        migration.pages().unwrap().finalize();
    }
    m.with(State::settle);
    m.with(|s| s.audit());
}

#[test]
fn each_call_of_a_migration_fails_in_turn() {
    fn body<P: Policy, S: Shape>() {
        let plan = Plan::none();
        plain::<P, S>(&plan);
        let calls = plan.calls();
        assert!(calls > 15, "{calls}");
        for nth in 1..=calls {
            let plan = Plan::nth(nth);
            plain::<P, S>(&plan);
            assert_eq!(plan.fired(), 1);
            for later in 1..=4 {
                plain::<P, S>(&Plan::pair(nth, nth + later));
            }
        }
    }
    hardened!(body);
}

#[test]
fn borrowed_handles_run_the_pipeline() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        let mut dev = Dev::new(&m);
        let (mut src, mut dst) = ([SrcPfn::NONE], [DstPfn::NONE]);
        let mut ops = m.clone();
        let mut borrowed = &mut ops;
        let mut device = &mut dev;
        let request = Acquire {
            vma: VMA,
            range: span(0, 1),
            access: Access::Read,
            src: &mut src,
            dst: &mut dst,
        };
        let acquired =
            pin::acquire::<P, S, &mut Machine, &mut Dev>(&mut borrowed, &mut device, request);
        assert_eq!(acquired.unwrap().granted, 1);
        let invalidation = Invalidation {
            range: Range {
                start: 0,
                end: usize::MAX,
            },
            event: NotifyEvent::Unmap,
            owner: None,
            seq: 1,
        };
        assert_eq!(pin::invalidate(&mut borrowed, &mut device, invalidation), 1);
        forget_calls();
    }
    hardened!(body);
}
