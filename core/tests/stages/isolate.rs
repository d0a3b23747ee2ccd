//! `migrate_vma_prepare()` and `migrate_vma_unmap()`, in 6.12 `migrate_device_unmap()`: locks, isolation, check, the
//! rmap, and the pin.

use migrate_pin_core::trace::Primitive as P_;
use migrate_pin_core::{
    setup, AsPosted, Hardened, Mapping, MigratePfn, PmdKind, Policy, Pte, Request, Select, Shape,
    SrcPfn, V6_12,
};

use crate::mock::{all, expect, first_calls, forget_calls, p, span, Machine, OWN, R, VMA, W};
use crate::{
    hardened, looks_over, machine, modern, rules, set_up, try_setup_from, word, NO, NONE, PIN,
};

/// The calls of collect for one table of anonymous writable pages from index 0.
fn collected<P: Policy, S: Shape>(letters: &str) -> String {
    let n = letters.chars().count();
    let mut calls =
        format!("notify_start 0..{n} Migrate own; pmd_span 0..{n} = Table ..{n}; pte_lock 0;");
    for (i, c) in letters.chars().enumerate() {
        calls += &format!(
            "pte_get {i} = {c}:w; get_page {c}; trylock_page {c}; pte_get_and_clear {i} = {c}:w;
            pte_set {i} migration {c}:w; remove_rmap {c}; put_page {c};"
        );
    }
    let flush = match hardened::<P>() || modern::<S>() {
        true => format!("flush_tlb_range 0..{n}; pte_unlock 0"),
        false => format!("pte_unlock 0; flush_tlb_range 0..{n}"),
    };
    calls + &flush + &format!("; notify_end 0..{n} Migrate own;")
}

fn pinned<P: Policy>(letter: char) -> String {
    match hardened::<P>() {
        true => format!("pin_insert {letter} own; page_ref_add {letter} 1024"),
        false => format!("page_ref_add {letter} 1024"),
    }
}

/// What follows when pages were pinned that somebody has references on.
fn flushed<P: Policy>() -> &'static str {
    match hardened::<P>() {
        true => "; flush_tlb_all",
        false => "",
    }
}

#[test]
fn three_pages() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            s.anon(0, 'A', W);
            s.anon(1, 'B', W);
            s.anon(2, 'C', W);
        });
        let (mut src, mut dst) = ([NONE, PIN, NONE], [NO; 3]);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        let flags = MigratePfn::WRITE;
        let expected = [
            word::<S>('A', flags),
            word::<S>('B', flags | MigratePfn::PIN),
            word::<S>('C', flags),
        ];
        assert_eq!((migration.src(), migration.cpages()), (&expected[..], 3));
        let pin = pinned::<P>('B');
        let (prepare, unmap) = match modern::<S>() {
            true => (pin.as_str(), ""),
            false => ("", pin.as_str()),
        };
        expect(
            &(collected::<P, S>("ABC")
                + &format!(
                    "lru_add_drain; isolate_lru_page A; put_page A
                isolate_lru_page B; put_page B; {prepare}
                isolate_lru_page C; put_page C; {unmap}"
                )),
        );
        assert_eq!(m.state()[p('B')].count, 1 + 1024);
    }
    all!(body);
}

#[test]
fn a_busy_page_is_free_again_in_prepare() {
    fn body<P: Policy, S: Shape>() {
        if modern::<S>() {
            return;
        }
        for (pin, extra, ok) in [
            (false, 0, true),
            (true, 0, true),
            (true, 3, true),
            (false, 3, false),
        ] {
            let m = machine::<S>();
            m.with(|s| s.anon(0, 'A', W));
            m.with(|s| s.get('A', extra));
            let before = m.state();
            m.fail(P_::TrylockPage, 1);
            let (mut src, mut dst) = ([if pin { PIN } else { NONE }], [NO]);
            let migration = set_up::<P, S>(&m, &mut src, &mut dst);
            let walk = "notify_start 0..1 Migrate own; pmd_span 0..1 = Table ..1
                pte_lock 0; pte_get 0 = A:w; get_page A; trylock_page A fails; pte_unlock 0
                notify_end 0..1 Migrate own
                lru_add_drain; trylock_page A; isolate_lru_page A; put_page A";
            if ok {
                let flags = if pin {
                    MigratePfn::PIN
                } else {
                    MigratePfn::empty()
                };
                assert_eq!(migration.src(), [word::<S>('A', flags | MigratePfn::WRITE)]);
                assert_eq!(m.state().ptes[0], Pte::Migration(p('A'), W));
                let pin = if pin { pinned::<P>('A') } else { String::new() };
                let flush = if extra > 0 { flushed::<P>() } else { "" };
                expect(&format!("{walk}; try_to_unmap A; {pin}{flush}"));
            } else {
                // Refused while still mapped: undone at once.
                assert_eq!((migration.src(), migration.cpages()), (&[NONE][..], 0));
                expect(&format!("{walk}; unlock_page A; putback_lru_page A"));
                drop(migration);
                m.with(|s| s.settle());
                assert_eq!(m.state(), before);
            }
        }
    }
    all!(body);
}

#[test]
fn isolation_fails() {
    fn body<P: Policy, S: Shape>() {
        for busy in [false, true] {
            if busy && modern::<S>() {
                continue;
            }
            let m = machine::<S>();
            m.with(|s| s.anon(0, 'A', W));
            m.with(|s| s.anon(1, 'B', W));
            let before = m.state();
            m.fail(P_::IsolateLruPage, 1);
            if busy {
                m.fail(P_::TrylockPage, 1);
            }
            let (mut src, mut dst) = ([PIN, NONE], [NO; 2]);
            let migration = set_up::<P, S>(&m, &mut src, &mut dst);
            let expected = [NONE, word::<S>('B', MigratePfn::WRITE)];
            assert_eq!((migration.src(), migration.cpages()), (&expected[..], 1));
            if busy {
                let state = m.state();
                assert_eq!(state[p('A')], before[p('A')]);
            } else {
                let back = match modern::<S>() {
                    true => "remove_migration_ptes A A; unlock_page A; put_page A",
                    false => "remove_migration_pte 0 A A; unlock_page A; put_page A",
                };
                expect(&format!(
                    "{}; lru_add_drain; isolate_lru_page A fails
                    isolate_lru_page B; put_page B; {back}",
                    collected::<P, S>("AB")
                ));
            }
            drop(migration);
            m.with(|s| s.settle());
            assert_eq!(m.state(), before, "{:?}", rules::<P, S>());
        }
    }
    all!(body);
}

#[test]
fn isolation_fails_while_mapped() {
    fn body<P: Policy, S: Shape>() {
        if modern::<S>() {
            return;
        }
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        let before = m.state();
        m.fail(P_::TrylockPage, 1);
        m.fail(P_::IsolateLruPage, 1);
        let (mut src, mut dst) = ([NONE], [NO]);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        assert_eq!((migration.src(), migration.cpages()), (&[NONE][..], 0));
        expect(
            "notify_start 0..1 Migrate own; pmd_span 0..1 = Table ..1
            pte_lock 0; pte_get 0 = A:w; get_page A; trylock_page A fails; pte_unlock 0
            notify_end 0..1 Migrate own
            lru_add_drain; trylock_page A; isolate_lru_page A fails; unlock_page A; put_page A",
        );
        drop(migration);
        assert_eq!(m.state(), before);
    }
    all!(body);
}

#[test]
fn batches_are_drained() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            for (index, letter, cpu) in [(0, 'A', 0), (1, 'B', 1), (2, 'C', 1)] {
                s.anon(index, letter, W);
                let page = &mut s[p(letter)];
                (page.lru, page.batch) = (false, Some(cpu));
                page.count += 1;
            }
        });
        m.fail(P_::IsolateLruPage, 3); // C
        m.before(P_::IsolateLruPage, 3, |s| s[p('C')].lru = false);
        let (mut src, mut dst) = ([NONE; 4], [NO; 4]);
        m.with(|s| s.ptes[3] = Pte::Other);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        assert_eq!(migration.cpages(), 2);
        let calls = "lru_add_drain; isolate_lru_page A; put_page A
            lru_add_drain_all; isolate_lru_page B; put_page B
            isolate_lru_page C fails";
        let walk = collected::<P, S>("ABC")
            .replace("..3", "..4")
            .replace("flush", "pte_get 3 = other; flush");
        let walk = match hardened::<P>() || modern::<S>() {
            true => walk,
            false => walk
                .replace("pte_get 3 = other; ", "")
                .replace("pte_unlock 0", "pte_get 3 = other; pte_unlock 0"),
        };
        let back = match modern::<S>() {
            true => "remove_migration_ptes C C",
            false => "remove_migration_pte 2 C C",
        };
        expect(&format!(
            "{walk}; {calls}; {back}; unlock_page C; put_page C"
        ));
    }
    all!(body);
}

#[test]
fn every_cpu_is_drained_once() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            for (index, letter) in [(0, 'A'), (1, 'B')] {
                s.anon(index, letter, W);
                s[p(letter)].lru = false;
            }
        });
        let (mut src, mut dst) = ([PIN; 2], [NO; 2]);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        assert_eq!((migration.src(), migration.cpages()), (&[NONE; 2][..], 0));
        let back = match modern::<S>() {
            true => {
                "remove_migration_ptes A A; unlock_page A; put_page A
                remove_migration_ptes B B; unlock_page B; put_page B"
            }
            false => {
                "remove_migration_pte 0 A A; unlock_page A; put_page A
                remove_migration_pte 1 B B; unlock_page B; put_page B"
            }
        };
        expect(&format!(
            "{}; lru_add_drain; lru_add_drain_all; isolate_lru_page A fails; isolate_lru_page B fails; {back}",
            collected::<P, S>("AB")
        ));
    }
    all!(body);
}

#[test]
fn unaccounted_references() {
    // Refused without PIN, tolerated with it; restored in the second loop.
    fn body<P: Policy, S: Shape>() {
        for extra in [0, 1] {
            let m = machine::<S>();
            m.with(|s| {
                s.anon(0, 'A', W);
                s.anon(1, 'B', W);
                s.get('A', extra);
                s.get('B', extra);
            });
            let before = m.state();
            let (mut src, mut dst) = ([NONE, PIN], [NO; 2]);
            let migration = set_up::<P, S>(&m, &mut src, &mut dst);
            let pin = word::<S>('B', MigratePfn::WRITE | MigratePfn::PIN);
            if extra == 0 {
                assert_eq!(migration.src(), [word::<S>('A', MigratePfn::WRITE), pin]);
                continue;
            }
            assert_eq!((migration.src(), migration.cpages()), (&[NONE, pin][..], 1));
            let pinned = pinned::<P>('B');
            let walk = collected::<P, S>("AB");
            let flush = flushed::<P>();
            expect(&match modern::<S>() {
                false => format!(
                    "{walk}; lru_add_drain
                    isolate_lru_page A; put_page A; get_page A; putback_lru_page A
                    isolate_lru_page B; put_page B
                    remove_migration_pte 0 A A; unlock_page A; put_page A
                    {pinned}{flush}"
                ),
                true => format!(
                    "{walk}; lru_add_drain
                    isolate_lru_page A; put_page A; get_page A; putback_lru_page A
                    isolate_lru_page B; put_page B; {pinned}{flush}
                    remove_migration_ptes A A; unlock_page A; put_page A"
                ),
            });
            assert_eq!(m.state()[p('B')].count, 1 + 1 + 1024);
            drop(migration);
            m.with(|s| s.settle());
            if hardened::<P>() {
                assert_eq!(m.state(), before);
            } else {
                // Defect 2: it is mapped again, but neither unpinned nor put back.
                let state = m.state();
                assert_eq!(state[p('A')], before[p('A')]);
                assert_eq!(state[p('B')].count, 1 + 1 + 1 + 1024);
                assert!(state[p('B')].isolated);
            }
        }
    }
    all!(body);
}

#[test]
fn a_dma_pin_by_who_unmaps_at_once_is_seen() {
    // Another process pins the page for DMA and unmaps it, just before it is found to be mapped nowhere: the count that says so is
    // the one from then on.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', R));
        m.with(|s| s.map_elsewhere('A', R));
        // 5.11 looks in prepare as well.
        let look = if modern::<S>() { 1 } else { 2 };
        m.before(P_::PageMapcount, look, |s| {
            s.get('A', 1024);
            s.others.pop();
            s[p('A')].mapcount -= 1;
            s[p('A')].count -= 1;
        });
        let (mut src, mut dst) = ([PIN], [NO]);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        assert_eq!((migration.src(), migration.cpages()), (&[NONE][..], 0));
        m.script_done();
        drop(migration);
        m.with(|s| s.settle());
        assert_eq!(m.state()[p('A')].count, 1 + 1024);
    }
    all!(body);
}

#[test]
fn one_flush_for_all_pins_with_references() {
    // A is pinned and nobody else has it, B and C are pinned though somebody has them, D is refused for that.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            for (index, letter) in "ABCD".chars().enumerate() {
                s.anon(index, letter, W);
            }
            for letter in ['B', 'C', 'D'] {
                s.get(letter, 1);
            }
        });
        let (mut src, mut dst) = ([PIN, PIN, PIN, NONE], [NO; 4]);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        assert_eq!(migration.cpages(), 3);
        let calls = first_calls(usize::MAX);
        let flushes = calls.iter().filter(|call| *call == "flush_tlb_all");
        assert_eq!(flushes.count(), usize::from(hardened::<P>()));
        // After the last unmap, so that nothing can be loaded again, and before what is refused is mapped.
        if hardened::<P>() {
            let at = |what: &str| calls.iter().position(|call| call == what);
            let last = at("page_ref_add C 1024").unwrap();
            let flush = at("flush_tlb_all").unwrap();
            let back = ["remove_migration_ptes D D", "remove_migration_pte 3 D D"];
            assert!(last < flush);
            assert!(!modern::<S>() || back.iter().any(|back| at(back) > Some(flush)));
        }
    }
    all!(body);
}

#[test]
fn others_map_it_too() {
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        // Readable: what is mapped twice is writable nowhere.
        m.with(|s| s.anon(0, 'A', R));
        m.with(|s| s.map_elsewhere('A', R));
        let before = m.state();
        let (mut src, mut dst) = ([NONE], [NO]);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        assert_eq!(migration.cpages(), 1);
        let walk = collected::<P, S>("A").replace(":w", ":");
        expect(&format!(
            "{walk}; lru_add_drain; isolate_lru_page A; put_page A; try_to_unmap A"
        ));
        assert_eq!(m.state().others, [Pte::Migration(p('A'), R)]);
        drop(migration);
        m.with(|s| s.settle());
        assert_eq!(m.state(), before);
    }
    all!(body);
}

#[test]
fn a_mapping_that_can_not_be_unmapped() {
    fn body<P: Policy, S: Shape>() {
        for pin in [false, true] {
            let m = machine::<S>();
            m.with(|s| s.anon(0, 'A', W));
            m.with(|s| s.anon(1, 'B', W));
            m.with(|s| s.map_elsewhere('A', R));
            let before = m.state();
            m.fail(P_::TryToUnmap, 1);
            let (mut src, mut dst) = ([if pin { PIN } else { NONE }, NONE], [NO; 2]);
            let migration = set_up::<P, S>(&m, &mut src, &mut dst);
            let b = word::<S>('B', MigratePfn::WRITE);
            assert_eq!((migration.src(), migration.cpages()), (&[NONE, b][..], 1));
            // Defect 1: the bias is added although the page is restored.
            let biased = pin && !hardened::<P>();
            let pinned = if biased { "page_ref_add A 1024" } else { "" };
            let walk = collected::<P, S>("AB");
            expect(&match modern::<S>() {
                false => format!(
                    "{walk}; lru_add_drain; isolate_lru_page A; put_page A; isolate_lru_page B; put_page B
                    try_to_unmap A; {pinned}
                    remove_migration_ptes A A; unlock_page A; putback_lru_page A"
                ),
                true => format!(
                    "{walk}; lru_add_drain; isolate_lru_page A; put_page A
                    try_to_unmap A; {pinned}; get_page A; putback_lru_page A
                    isolate_lru_page B; put_page B
                    remove_migration_ptes A A; unlock_page A; put_page A"
                ),
            });
            drop(migration);
            m.with(|s| s.settle());
            if biased {
                assert_eq!(m.state()[p('A')].count, before[p('A')].count + 1024);
            } else {
                assert_eq!(m.state(), before);
            }
        }
    }
    all!(body);
}

#[test]
fn references_appear_between_prepare_and_unmap() {
    // check runs a second time in 5.11: somebody took a reference through another mapping meanwhile.
    fn body<P: Policy, S: Shape>() {
        for pin in [false, true] {
            let m = machine::<S>();
            m.with(|s| s.anon(0, 'A', W));
            m.with(|s| s.map_elsewhere('A', W));
            m.before(P_::TryToUnmap, 1, |s| s.get('A', 1));
            let (mut src, mut dst) = ([if pin { PIN } else { NONE }], [NO]);
            let migration = set_up::<P, S>(&m, &mut src, &mut dst);
            assert_eq!(migration.cpages(), usize::from(pin));
            assert_eq!(migration.src()[0].migrating(), pin);
            if !pin {
                let walk = collected::<P, S>("A");
                let back = match modern::<S>() {
                    false => "remove_migration_ptes A A; unlock_page A; putback_lru_page A",
                    true => {
                        "get_page A; putback_lru_page A
                        remove_migration_ptes A A; unlock_page A; put_page A"
                    }
                };
                expect(&format!(
                    "{walk}; lru_add_drain; isolate_lru_page A; put_page A; try_to_unmap A; {back}"
                ));
                m.with(|s| s.settle());
                m.with(|s| s.audit());
            }
        }
    }
    all!(body);
}

#[test]
fn maybe_pinned_for_dma() {
    fn body<P: Policy, S: Shape>() {
        // One reference is the isolation's.
        for (extra, refused) in [(1022, false), (1023, true)] {
            let m = machine::<S>();
            m.with(|s| s.anon(0, 'A', W));
            m.with(|s| s.get('A', extra));
            let before = m.state();
            let (mut src, mut dst) = ([PIN], [NO]);
            let migration = set_up::<P, S>(&m, &mut src, &mut dst);
            assert_eq!(migration.cpages(), usize::from(!refused));
            assert_eq!(migration.src()[0].migrating(), !refused);
            if refused {
                let back = match modern::<S>() {
                    false => "remove_migration_ptes A A; unlock_page A; putback_lru_page A",
                    true => {
                        "get_page A; putback_lru_page A
                        remove_migration_ptes A A; unlock_page A; put_page A"
                    }
                };
                let walk = collected::<P, S>("A");
                expect(&format!(
                    "{walk}; lru_add_drain; isolate_lru_page A; put_page A; {back}"
                ));
                drop(migration);
                m.with(|s| s.settle());
                assert_eq!(m.state(), before);
            } else {
                assert_eq!(m.state()[p('A')].count, 1023 + 1024);
            }
        }
    }
    all!(body);
}

#[test]
fn no_room_for_a_record() {
    fn body<P: Policy, S: Shape>() {
        if !hardened::<P>() {
            return;
        }
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        m.with(|s| s.anon(1, 'B', W));
        let before = m.state();
        m.fail(P_::PinInsert, 1);
        let (mut src, mut dst) = ([PIN; 2], [NO; 2]);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        let b = word::<S>('B', MigratePfn::WRITE | MigratePfn::PIN);
        assert_eq!((migration.src(), migration.cpages()), (&[NONE, b][..], 1));
        let walk = collected::<P, S>("AB");
        expect(&match modern::<S>() {
            false => format!(
                "{walk}; lru_add_drain; isolate_lru_page A; put_page A; isolate_lru_page B; put_page B
                pin_insert A own fails; pin_insert B own; page_ref_add B 1024
                remove_migration_ptes A A; unlock_page A; putback_lru_page A"
            ),
            true => format!(
                "{walk}; lru_add_drain; isolate_lru_page A; put_page A
                pin_insert A own fails; get_page A; putback_lru_page A
                isolate_lru_page B; put_page B; pin_insert B own; page_ref_add B 1024
                remove_migration_ptes A A; unlock_page A; put_page A"
            ),
        });
        drop(migration);
        m.with(|s| s.settle());
        assert_eq!(m.state(), before);
    }
    all!(body);
}

#[test]
fn cached_pages() {
    // The cache's reference is accounted for, private data's too, and no more.
    fn body<P: Policy, S: Shape>() {
        for (private, extra, ok) in [
            (false, 0, true),
            (false, 1, false),
            (true, 0, true),
            (true, 1, false),
        ] {
            let m = machine::<S>();
            m.with(|s| {
                s.page_in('A', Mapping::File);
                s.map(0, 'A', W);
                s[p('A')].private = private;
                s[p('A')].count += u32::from(private);
                s.get('A', extra);
            });
            let before = m.state();
            let (mut src, mut dst) = ([NONE], [NO]);
            let migration = set_up::<P, S>(&m, &mut src, &mut dst);
            assert_eq!(migration.cpages(), usize::from(ok), "{private} {extra}");
            drop(migration);
            m.with(|s| s.settle());
            assert_eq!(m.state(), before);
        }
    }
    all!(body);
}

#[test]
fn device_pages() {
    // 5.11 passes all device-private pages, and so does Hardened; 6.12 counts, and allows one more to every device page.
    fn body<P: Policy, S: Shape>() {
        for (extra, fault, ok) in [
            (0, false, true),
            (1, false, true),
            (2, false, looks_over::<P, S>()),
            (2, true, true),
            (3, true, looks_over::<P, S>()),
        ] {
            let m = machine::<S>();
            m.with(|s| {
                s.page_in('a', Mapping::Anon);
                s.map(0, 'a', W);
                s.get('a', extra);
            });
            let before = m.state();
            let (mut src, mut dst) = ([NONE], [NO]);
            let request = Request {
                vma: VMA,
                range: span(0, 1),
                src: &mut src,
                dst: &mut dst,
                owner: OWN,
                select: Select::DEVICE_PRIVATE,
                fault_page: fault.then_some(p('a')),
            };
            let migration = setup::<P, S, _>(m.traced(), request).unwrap();
            assert_eq!(
                migration.cpages(),
                usize::from(ok),
                "{extra} {fault} {:?}",
                rules::<P, S>()
            );
            let walk = "notify_start 0..1 Migrate own; pmd_span 0..1 = Table ..1
                pte_lock 0; pte_get 0 = device a:w; get_page a; trylock_page a
                pte_get_and_clear 0 = device a:w; pte_set 0 migration a:w; remove_rmap a; put_page a
                pte_unlock 0; notify_end 0..1 Migrate own; lru_add_drain";
            if !ok {
                expect(&format!(
                    "{walk}; remove_migration_ptes a a; unlock_page a; put_page a"
                ));
            } else {
                expect(walk);
            }
            drop(migration);
            assert_eq!(m.state(), before);
        }
    }
    all!(body);
}

#[test]
fn device_pages_are_refused_or_not_unmapped() {
    // Compound, as they are found again in prepare: no PIN, no LRU.
    fn body<P: Policy, S: Shape>() {
        for busy in [false, true] {
            if busy && modern::<S>() {
                continue;
            }
            let m = machine::<S>();
            m.with(|s| {
                s.page_in('a', Mapping::Anon);
                s.map(0, 'a', W);
            });
            if busy {
                m.fail(P_::TrylockPage, 1);
            }
            m.before(P_::LruAddDrain, 1, |s| s[p('a')].compound = true);
            let (mut src, mut dst) = ([NONE], [NO]);
            let migration =
                try_setup_from::<P, S>(&m, 0, Select::DEVICE_PRIVATE, &mut src, &mut dst).unwrap();
            assert_eq!((migration.src(), migration.cpages()), (&[NONE][..], 0));
            let walk = "notify_start 0..1 Migrate own; pmd_span 0..1 = Table ..1
                pte_lock 0; pte_get 0 = device a:w; get_page a";
            expect(&match (busy, modern::<S>()) {
                (true, _) => format!(
                    "{walk}; trylock_page a fails; pte_unlock 0; notify_end 0..1 Migrate own
                    lru_add_drain; trylock_page a; unlock_page a; put_page a"
                ),
                (false, modern) => format!(
                    "{walk}; trylock_page a
                    pte_get_and_clear 0 = device a:w; pte_set 0 migration a:w; remove_rmap a; put_page a
                    pte_unlock 0; notify_end 0..1 Migrate own; lru_add_drain
                    {}; unlock_page a; put_page a",
                    match modern {
                        true => "remove_migration_ptes a a",
                        false => "remove_migration_pte 0 a a",
                    }
                ),
            });
            drop(migration);
            m.with(|s| s.audit());
        }
        // Mapped elsewhere, and not to be unmapped there.
        let m = machine::<S>();
        m.with(|s| {
            s.page_in('a', Mapping::Anon);
            s.map(0, 'a', W);
            s.map(7, 'a', W);
        });
        let before = m.state();
        m.fail(P_::TryToUnmap, 1);
        let (mut src, mut dst) = ([NONE], [NO]);
        let migration =
            try_setup_from::<P, S>(&m, 0, Select::DEVICE_PRIVATE, &mut src, &mut dst).unwrap();
        assert_eq!((migration.src(), migration.cpages()), (&[NONE][..], 0));
        drop(migration);
        expect(
            "notify_start 0..1 Migrate own; pmd_span 0..1 = Table ..1
            pte_lock 0; pte_get 0 = device a:w; get_page a; trylock_page a
            pte_get_and_clear 0 = device a:w; pte_set 0 migration a:w; remove_rmap a; put_page a
            pte_unlock 0; notify_end 0..1 Migrate own; lru_add_drain
            try_to_unmap a; remove_migration_ptes a a; unlock_page a; put_page a",
        );
        assert_eq!(m.state(), before);
    }
    all!(body);
}

#[test]
fn prepare_ends_when_nothing_is_left() {
    // The first entry is refused and nothing is counted any more: a word behind it is left alone.
    fn body<P: Policy, S: Shape>() {
        if modern::<S>() || hardened::<P>() {
            return;
        }
        let m = machine::<S>();
        m.with(|s| {
            s.pmd_pages = 2;
            s.pmds = vec![PmdKind::Table; 4];
            s.ptes = vec![Pte::Other; 8];
            s.anon(0, 'A', W);
        });
        m.fail(P_::IsolateLruPage, 1);
        // A word from outside with a page: as posted nobody checks it, and it is not counted.
        let stale = SrcPfn::page(p('Q'), MigratePfn::MIGRATE | MigratePfn::PIN);
        let (mut src, mut dst) = ([NONE, stale], [NO; 2]);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        assert_eq!(
            (migration.src(), migration.cpages()),
            (&[NONE, stale][..], 0)
        );
        // Nor is anything unmapped or pinned.
        expect(
            "notify_start 0..2 Migrate own; pmd_span 0..2 = Table ..2; pte_lock 0
            pte_get 0 = A:w; get_page A; trylock_page A; pte_get_and_clear 0 = A:w
            pte_set 0 migration A:w; remove_rmap A; put_page A; pte_get 1 = other
            pte_unlock 0; flush_tlb_range 0..2; notify_end 0..2 Migrate own
            lru_add_drain; isolate_lru_page A fails
            remove_migration_pte 0 A A; unlock_page A; put_page A",
        );
        let _ = migration.into_raw();
        forget_calls();

        // The loops that put back end with the last that was refused: a word without MIGRATE behind it stays.
        let stale = SrcPfn::page(p('Q'), MigratePfn::LOCKED);
        for unmap in [false, true] {
            let m = machine::<S>();
            m.with(|s| {
                s.ptes = vec![Pte::Other; 8];
                s.anon(0, 'A', W);
                s.map_elsewhere('A', R);
                s.anon(2, 'B', W);
                s.page_in('Q', Mapping::Anon);
                s[p('Q')].count = 1;
            });
            m.fail(
                if unmap {
                    P_::TryToUnmap
                } else {
                    P_::IsolateLruPage
                },
                1,
            );
            let (mut src, mut dst) = ([NONE, stale, NONE], [NO; 3]);
            let migration = set_up::<P, S>(&m, &mut src, &mut dst);
            assert_eq!(migration.src()[..2], [NONE, stale]);
            assert!(migration.src()[2].migrating());
            let _ = migration.into_raw();
            forget_calls();
        }
    }
    all!(body);
}

#[test]
fn the_restore_loops_take_what_is_theirs() {
    // Entries without a page, and entries that migrate, between those that go back.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            s.anon(1, 'A', W);
            s.anon(2, 'B', W);
            s.anon(3, 'C', R);
            s.anon(5, 'D', R);
            s.map_elsewhere('C', R);
            s.map_elsewhere('D', R);
            s.ptes[4] = Pte::Other;
        });
        let before = m.state();
        m.fail(P_::IsolateLruPage, 1);
        m.fail(P_::TryToUnmap, 1);
        let (mut src, mut dst) = ([NONE; 6], [NO; 6]);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        let e = SrcPfn::EMPTY;
        let b = word::<S>('B', MigratePfn::WRITE);
        let d = word::<S>('D', MigratePfn::empty());
        assert_eq!(migration.src(), [e, NONE, b, NONE, NONE, d]);
        assert_eq!(migration.cpages(), 3);
        assert_eq!(m.state().ptes[1], before.ptes[1]);
        drop(migration);
        m.with(|s| s.settle());
        assert_eq!(m.state(), before);
    }
    all!(body);
}

#[test]
fn facts_are_asked_in_order() {
    // Mapped? unmap, and only then: still mapped? check? pinned? All three of one look.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.anon(0, 'A', W));
        m.with(|s| s.map_elsewhere('A', R));
        crate::mock::with_facts();
        let (mut src, mut dst) = ([PIN], [NO]);
        let migration = set_up::<P, S>(&m, &mut src, &mut dst);
        let check = "page_compound A; page_zone A; page_mapping A; page_has_private A; page_mapcount A; page_count A";
        let exclusive = if modern::<S>() {
            "anon_exclusive A"
        } else {
            ""
        };
        let first = if modern::<S>() { "" } else { check };
        let walk = collected::<P, S>("A").replace(
            "get_page A; trylock_page A;",
            &format!("page_zone A; page_mapping A; page_compound A; get_page A; trylock_page A; {exclusive};"),
        );
        expect(&format!(
            "{walk}; lru_add_drain; page_zone A; page_lru A; isolate_lru_page A; put_page A; {first}
            {check}; try_to_unmap A; {check}; {}",
            pinned::<P>('A')
        ));
        let _ = migration.into_raw();
    }
    all!(body);
}

#[test]
fn cpages_counts_empty_entries_anew() {
    // 6.12: an empty entry counts; a word without MIGRATE does not.
    fn body<P: Policy>() {
        let m: Machine = machine::<V6_12>();
        m.with(|s| s.anon(0, 'A', W));
        m.with(|s| s.ptes[2] = Pte::Other);
        let (mut src, mut dst) = ([NONE; 4], [NO; 4]);
        let migration = set_up::<P, V6_12>(&m, &mut src, &mut dst);
        assert_eq!(migration.cpages(), 3);
    }
    body::<AsPosted>();
    body::<Hardened>();
}
