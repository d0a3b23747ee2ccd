//! What a caller holds between the stages: dropped, taken apart and put together again.

use migrate_pin_core::migration::{RawStage, Stage};
use migrate_pin_core::{
    setup, AsPosted, DstPfn, Error, Hardened, Mapping, MigratePfn, Migration, MmOps, Moved, Policy,
    Pte, RawMigration, Request, Rules, Select, Shape, SrcPfn, Unmapped, VmaFlags, V5_11, V6_12,
};

use crate::mock::{
    all, at, device, expect, forget_calls, hardened, p, present, span, Machine, Traced, R, VMA, W,
};
use crate::{
    by_rmap, hardened as is_hardened, machine, modern, set_up, try_setup_from, under_ptl, Setup,
    NO, NONE, PIN,
};

fn two<S: Shape>() -> Machine {
    let m = machine::<S>();
    m.with(|s| {
        s.anon(0, 'A', W);
        s.anon(1, 'B', R);
        s.map_elsewhere('B', R);
        s.ptes[2] = Pte::Other;
    });
    m
}

#[test]
fn dropped_before_pages() {
    fn body<P: Policy, S: Shape>() {
        let m = two::<S>();
        let before = m.state();
        let pin = if is_hardened::<P>() { PIN } else { NONE };
        let (mut src, mut dst) = ([pin, NONE, NONE, NONE], [NO; 4]);
        let mut migration = set_up::<P, S>(&m, &mut src, &mut dst);
        // What stands in dst is the caller's still.
        m.with(|s| s.alloc(p('a')));
        migration.dst_mut()[0] = DstPfn::page(p('a'));
        forget_calls();
        drop(migration);
        let unpin = if is_hardened::<P>() {
            "pin_remove A; page_ref_sub A 1024"
        } else {
            ""
        };
        expect(&match modern::<S>() {
            false => format!(
                "remove_migration_ptes A A; unlock_page A; {unpin}; putback_lru_page A
                remove_migration_ptes B B; unlock_page B; putback_lru_page B"
            ),
            true => format!(
                "{}{} unlock_page A; {unpin}; put_page A
                lru_cache_add B; remove_migration_ptes B B; unlock_page B; put_page B",
                under_ptl::<P, S>(
                    4,
                    "pte_get 0 = migration A:w; lru_cache_add A; restore_pte 0 A
                    pte_get 1 = migration B:"
                ),
                by_rmap::<P, S>("lru_cache_add A; remove_migration_ptes A A"),
            ),
        });
        assert_eq!(src, [NONE; 4]);
        assert_eq!(dst[0], DstPfn::page(p('a')));
        m.with(|s| {
            s.settle();
            assert!(s[p('a')].locked);
            s[p('a')] = before[p('a')].clone();
        });
        assert_eq!(m.state(), before);
    }
    all!(body);
}

#[test]
fn dropped_after_pages() {
    // The same as finalize.
    fn body<P: Policy, S: Shape>() {
        let states = [false, true].map(|dropped| {
            let m = two::<S>();
            let (mut src, mut dst) = ([PIN, NONE, NONE, NONE], [NO; 4]);
            let mut migration = set_up::<P, S>(&m, &mut src, &mut dst);
            m.with(|s| s.alloc(p('a')));
            m.with(|s| s.alloc(p('b')));
            migration.dst_mut()[0] = DstPfn::page(p('a'));
            migration.dst_mut()[3] = DstPfn::page(p('b'));
            let moved = migration.pages().unwrap();
            forget_calls();
            match dropped {
                true => drop(moved),
                false => moved.finalize(),
            }
            let (add, put) = match modern::<S>() {
                false => ("", "putback_lru_page B"),
                true => ("lru_cache_add B", "put_page B"),
            };
            let claim = |c| match is_hardened::<P>() {
                true => format!("unclaim_destination {c}"),
                false => String::new(),
            };
            expect(&format!(
                "{}{}; {} unlock_page A; unlock_page a; put_page a
                {add}; remove_migration_ptes B B; unlock_page B; {put}
                {}; unlock_page b; put_page b",
                under_ptl::<P, S>(
                    4,
                    "pte_get 0 = migration A:w; restore_pte 0 a; pte_get 1 = migration B:"
                ),
                claim('a'),
                by_rmap::<P, S>("remove_migration_ptes A a"),
                claim('b')
            ));
            m.with(|s| s.settle());
            let state = m.state();
            assert_eq!(
                state.ptes[..4],
                [device('a', W), present('B', R), Pte::Other, device('b', W)]
            );
            if is_hardened::<P>() {
                state.audit();
            }
            (state, src, dst)
        });
        assert_eq!(states[0], states[1]);
        assert!(states[0].1[0].migrating() && !states[0].1[1].migrating());
    }
    all!(body);
}

#[test]
fn what_a_caller_sees() {
    fn body<P: Policy, S: Shape>() {
        let m = two::<S>();
        let (mut src, mut dst) = ([NONE; 3], [NO; 3]);
        let mut migration =
            try_setup_from::<P, S>(&m, 1, Select::SYSTEM, &mut src, &mut dst).unwrap();
        assert_eq!(migration.range(), span(1, 4));
        assert_eq!(migration.cpages(), 2);
        assert_eq!(
            migration.src()[0],
            crate::word::<S>('B', MigratePfn::empty())
        );
        assert_eq!(migration.dst(), [NO; 3]);
        {
            let (ops, src, dst) = migration.parts();
            assert_eq!((src.len(), dst.len()), (3, 3));
            assert_eq!(ops.page_mapcount(p('B')), 0);
            dst[2] = DstPfn::from_raw(0);
            assert!(migration.ops().page_locked(p('B')));
        }
        m.with(|s| s.alloc(p('a')));
        migration.dst_mut()[2] = DstPfn::page(p('a'));
        assert_eq!(migration.dst()[2], DstPfn::page(p('a')));
        let moved = migration.pages().unwrap();
        assert_eq!(moved.dst()[2], DstPfn::page(p('a')));
        assert_eq!((moved.range(), moved.cpages()), (span(1, 4), 2));
        assert!(moved.src()[2].migrating());
    }
    all!(body);
}

#[test]
fn over_three_calls() {
    fn body<P: Policy, S: Shape>() {
        let m = two::<S>();
        let (mut src, mut dst) = ([PIN, NONE, NONE, NONE], [NO; 4]);
        let raw = set_up::<P, S>(&m, &mut src, &mut dst).into_raw();
        assert_eq!((raw.start, raw.end, raw.cpages), (at(0), at(4), 3));
        assert_eq!((raw.owner, raw.fault_page), (0xd0, 0));
        assert_eq!(
            (raw.vma, raw.stage, raw.select),
            (VMA, 1, Select::SYSTEM.bits())
        );
        // Nothing was given back.
        assert!(m.state()[p('A')].locked);
        m.with(|s| s.alloc(p('a')));
        dst[0] = DstPfn::page(p('a')); // The driver's, at this stage.
        let again = from::<P, S>(&m, &raw, &mut src, &mut dst).unwrap();
        assert_eq!((again.range(), again.cpages()), (span(0, 4), 3));
        let raw = again.pages().unwrap().into_raw();
        assert_eq!((raw.stage, raw.cpages), (2, 3));
        assert!(m.state()[p('A')].locked);
        let moved = moved_from::<P, S>(&m, &raw, &mut src, &mut dst).unwrap();
        moved.finalize();
        m.with(|s| s.settle());
        let state = m.state();
        assert_eq!(
            state.ptes[..3],
            [device('a', W), present('B', R), Pte::Other]
        );
        if is_hardened::<P>() {
            state.audit();
        }
    }
    all!(body);
}

fn from<'a, P: Policy, S: Shape>(
    m: &Machine,
    raw: &RawMigration<u8>,
    src: &'a mut [SrcPfn],
    dst: &'a mut [DstPfn],
) -> Result<Setup<'a, P, S>, Error> {
    // Of a copy, so that one raw migration can be tried in many ways.
    Migration::from_raw(m.traced(), &mut raw.clone(), src, dst)
}

fn moved_from<'a, P: Policy, S: Shape>(
    m: &Machine,
    raw: &RawMigration<u8>,
    src: &'a mut [SrcPfn],
    dst: &'a mut [DstPfn],
) -> Result<Migration<'a, Traced, P, S, Moved>, Error> {
    // Of a copy, so that one raw migration can be tried in many ways.
    Migration::from_raw(m.traced(), &mut raw.clone(), src, dst)
}

#[test]
fn the_context_is_carried() {
    // Owner, selection, the fault page and the kind of area matter after the border.
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| {
            s.page_in('a', Mapping::Anon);
            s.map(0, 'a', W);
            s.get('a', 1);
            s.alloc(p('N'));
            s.alloc(p('b'));
        });
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        let request = Request {
            vma: VMA,
            range: span(0, 2),
            src: &mut src,
            dst: &mut dst,
            owner: crate::mock::OWN,
            select: Select::DEVICE_PRIVATE,
            fault_page: Some(p('a')),
        };
        let raw = setup::<P, S, _>(m.traced(), request).unwrap().into_raw();
        let fault_page = match modern::<S>() {
            true => p('a').0,
            false => 0,
        };
        assert_eq!((raw.fault_page, raw.select), (fault_page, 2));
        dst = [DstPfn::page(p('N')), DstPfn::page(p('b'))];
        let again = from::<P, S>(&m, &raw, &mut src, &mut dst).unwrap();
        assert_eq!(again.into_raw(), raw);
        let again = from::<P, S>(&m, &raw, &mut src, &mut dst).unwrap();
        let moved = again.pages().unwrap();
        assert!(
            moved.src()[0].migrating(),
            "the fault page's reference was not known"
        );
        assert!(moved.src()[1].migrating(), "not anonymous any more");
        let raw = moved.into_raw();
        assert_eq!(
            (raw.fault_page, raw.select, raw.owner),
            (fault_page, 2, 0xd0)
        );
    }
    all!(body);
}

#[test]
fn at_another_stage() {
    fn body<P: Policy, S: Shape>() {
        let m = two::<S>();
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        let raw = set_up::<P, S>(&m, &mut src, &mut dst).into_raw();
        let before = (m.state(), src, dst);
        assert_eq!(
            moved_from::<P, S>(&m, &raw, &mut src, &mut dst).err(),
            Some(Error::Stage)
        );
        for stage in [0, 2, 3, u32::MAX] {
            let wrong = RawMigration {
                stage,
                ..raw.clone()
            };
            assert_eq!(
                from::<P, S>(&m, &wrong, &mut src, &mut dst).err(),
                Some(Error::Stage)
            );
        }
        assert_eq!((m.state(), src, dst), before);
        let moved = from::<P, S>(&m, &raw, &mut src, &mut dst)
            .unwrap()
            .pages()
            .unwrap();
        let raw = moved.into_raw();
        let before = (m.state(), src, dst);
        assert_eq!(
            from::<P, S>(&m, &raw, &mut src, &mut dst).err(),
            Some(Error::Stage)
        );
        assert_eq!((m.state(), src, dst), before);
        moved_from::<P, S>(&m, &raw, &mut src, &mut dst)
            .unwrap()
            .finalize();
        m.with(|s| s.settle());
        m.with(|s| s.audit());
    }
    all!(body);
}

/// A migration that was taken up again is done with: a second hand-back finds nothing, and loses nothing.
#[test]
fn handed_back_twice() {
    fn body<P: Policy, S: Shape>() {
        let m = two::<S>();
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        let mut raw = set_up::<P, S>(&m, &mut src, &mut dst).into_raw();
        // A refusal leaves it as it was.
        let before = raw.clone();
        let wrong: Result<Setup<'_, P, S>, _> =
            Migration::from_raw(m.traced(), &mut raw, &mut src[1..], &mut dst);
        assert!(wrong.is_err());
        drop(wrong);
        assert_eq!(raw, before);
        let again: Setup<'_, P, S> =
            Migration::from_raw(m.traced(), &mut raw, &mut src, &mut dst).unwrap();
        let mut moved = again.pages().unwrap().into_raw();
        assert_eq!(raw.stage, RawStage::Done as u32);
        let second: Result<Setup<'_, P, S>, _> =
            Migration::from_raw(m.traced(), &mut raw, &mut src, &mut dst);
        assert_eq!(second.err(), Some(Error::Stage));
        let last: Migration<'_, Traced, P, S, Moved> =
            Migration::from_raw(m.traced(), &mut moved, &mut src, &mut dst).unwrap();
        last.finalize();
        let state = m.state();
        let third: Result<Migration<'_, Traced, P, S, Moved>, _> =
            Migration::from_raw(m.traced(), &mut moved, &mut src, &mut dst);
        assert_eq!(third.err(), Some(Error::Stage));
        assert_eq!(m.state(), state);
    }
    all!(body);
}

#[test]
fn good_for_one_call() {
    fn body<P: Policy, S: Shape>() {
        let m = two::<S>();
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        let mut raw = set_up::<P, S>(&m, &mut src, &mut dst).into_raw();
        // Zero stands for none: what was never set up is taken for no rules.
        let rules = 1 + u32::from(is_hardened::<P>()) + 2 * u32::from(modern::<S>());
        assert_eq!(raw.rules, rules);
        // Refused, it is as it was.
        let good = raw.clone();
        type Refused<'a, P, S> = Result<Migration<'a, Traced, P, S, Moved>, Error>;
        let refused: Refused<'_, P, S> =
            Migration::from_raw(m.traced(), &mut raw, &mut src, &mut dst);
        assert_eq!(refused.err(), Some(Error::Stage));
        let refused: Result<Setup<'_, P, S>, _> =
            Migration::from_raw(m.traced(), &mut raw, &mut src[1..], &mut dst);
        assert!(matches!(refused.err(), Some(Error::Length { .. })));
        assert_eq!(raw, good);
        // Taken up, it is done with.
        let again: Result<Setup<'_, P, S>, _> =
            Migration::from_raw(m.traced(), &mut raw, &mut src, &mut dst);
        let next = again.unwrap().into_raw();
        assert_eq!(raw.stage, RawStage::Done as u32);
        assert_eq!(
            RawMigration {
                stage: 1,
                ..raw.clone()
            },
            good
        );
        assert_eq!(next, good);
        let twice: Result<Setup<'_, P, S>, _> =
            Migration::from_raw(m.traced(), &mut raw, &mut src, &mut dst);
        assert_eq!(twice.err(), Some(Error::Stage));
    }
    all!(body);
}

/// Each policy on each shape takes up its own only.
#[test]
fn set_up_under_other_rules() {
    fn takes<P: Policy, S: Shape>(m: &Machine, raw: &RawMigration<u8>) -> bool {
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        let before = m.state();
        let found = from::<P, S>(m, raw, &mut src, &mut dst).err();
        assert_eq!(m.state(), before);
        found != Some(Error::OtherRules)
    }
    fn body<P: Policy, S: Shape>() {
        let m = machine::<S>();
        m.with(|s| s.ptes.fill(Pte::Other));
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        let raw = set_up::<P, S>(&m, &mut src, &mut dst).into_raw();
        let taken = [
            takes::<AsPosted, V5_11>(&m, &raw),
            takes::<AsPosted, V6_12>(&m, &raw),
            takes::<Hardened, V5_11>(&m, &raw),
            takes::<Hardened, V6_12>(&m, &raw),
        ];
        let own = Rules::ALL.map(|rules| rules == Rules::of::<P, S>());
        assert_eq!(taken, own);
    }
    all!(body);
}

#[test]
fn tampered_with() {
    fn body<P: Policy, S: Shape>() {
        let m = two::<S>();
        m.with(|s| s.ptes[4..].fill(Pte::Other));
        let (mut src, mut dst) = ([PIN, NONE, NONE, NONE], [NO; 4]);
        let raw = set_up::<P, S>(&m, &mut src, &mut dst).into_raw();
        let state = m.state();
        let all = |f: &dyn Fn(&mut RawMigration<u8>)| {
            let mut wrong = raw.clone();
            f(&mut wrong);
            assert_ne!(wrong, raw);
            wrong
        };
        let wrong = [
            all(&|r| r.owner ^= 1),
            all(&|r| r.owner ^= 1 << 40),
            all(&|r| r.fault_page = p('a').0),
            all(&|r| r.cpages += 1),
            all(&|r| r.cpages = 0),
            all(&|r| r.select = 2),
            all(&|r| r.checksum ^= 1),
            all(&|r| r.checksum = 0),
            all(&|r| {
                r.start += 4096;
                r.end += 4096;
            }),
        ];
        let (good_src, good_dst) = (src, dst);
        for raw in wrong {
            assert_eq!(
                from::<P, S>(&m, &raw, &mut src, &mut dst).err(),
                Some(Error::Stale),
                "{raw:?}"
            );
        }
        // The range does not fit the arrays or the area.
        let short = all(&|r| r.end -= 4096);
        let error = Error::Length {
            pages: 3,
            src: 4,
            dst: 4,
        };
        assert_eq!(
            from::<P, S>(&m, &short, &mut src, &mut dst).err(),
            Some(error)
        );
        let outside = all(&|r| {
            r.start += 5 * 4096;
            r.end += 5 * 4096;
        });
        assert_eq!(
            from::<P, S>(&m, &outside, &mut src, &mut dst).err(),
            Some(Error::OutsideVma)
        );
        let error = Error::Length {
            pages: 4,
            src: 3,
            dst: 4,
        };
        assert_eq!(
            from::<P, S>(&m, &raw, &mut src[1..], &mut dst).err(),
            Some(error)
        );
        m.with(|s| s.flags |= VmaFlags::SPECIAL);
        assert_eq!(
            from::<P, S>(&m, &raw, &mut src, &mut dst).err(),
            Some(Error::SpecialVma)
        );
        m.with(|s| s.flags -= VmaFlags::SPECIAL);

        // Each bit of each source word; destination words are the driver's.
        for index in 0..4 {
            for bit in 0..usize::BITS {
                src[index] = SrcPfn::from_raw(good_src[index].raw() ^ 1 << bit);
                let found = from::<P, S>(&m, &raw, &mut src, &mut dst).err();
                assert_eq!(found, Some(Error::Stale), "src[{index}] bit {bit}");
                src[index] = good_src[index];
            }
        }
        src.swap(0, 1);
        assert_eq!(
            from::<P, S>(&m, &raw, &mut src, &mut dst).err(),
            Some(Error::Stale)
        );
        src.swap(0, 1);
        assert_eq!(m.state(), state);

        m.with(|s| s.alloc(p('a')));
        dst[0] = DstPfn::page(p('a'));
        let raw = from::<P, S>(&m, &raw, &mut src, &mut dst)
            .unwrap()
            .pages()
            .unwrap()
            .into_raw();
        let state = m.state();
        let good_dst = {
            assert_ne!(dst, good_dst);
            dst
        };
        // Now they are not.
        for index in 0..4 {
            for bit in 0..usize::BITS {
                dst[index] = DstPfn::from_raw(good_dst[index].raw() ^ 1 << bit);
                let found = moved_from::<P, S>(&m, &raw, &mut src, &mut dst).err();
                assert_eq!(found, Some(Error::Stale), "dst[{index}] bit {bit}");
                dst[index] = good_dst[index];
            }
        }
        let good_src = src;
        src[1] = src[1].with(MigratePfn::MIGRATE);
        assert_eq!(
            moved_from::<P, S>(&m, &raw, &mut src, &mut dst).err(),
            Some(Error::Stale)
        );
        src = good_src;
        assert_eq!(m.state(), state);
        moved_from::<P, S>(&m, &raw, &mut src, &mut dst)
            .unwrap()
            .finalize();
        m.with(|s| s.settle());
        m.with(|s| s.audit());
    }
    hardened!(body);
}

#[test]
fn as_posted_believes_every_word() {
    fn body<S: Shape>() {
        let m = two::<S>();
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        let mut raw = set_up::<AsPosted, S>(&m, &mut src, &mut dst).into_raw();
        raw.checksum ^= 1;
        raw.cpages = 77;
        let again = from::<AsPosted, S>(&m, &raw, &mut src, &mut dst).unwrap();
        assert_eq!(again.cpages(), 77);
    }
    body::<V5_11>();
    body::<V6_12>();
}

#[test]
fn stages_are_numbered() {
    assert_eq!(
        (
            RawStage::Done as u32,
            RawStage::Unmapped as u32,
            RawStage::Moved as u32
        ),
        (0, 1, 2)
    );
    assert_eq!(
        (Unmapped::STAGE, Moved::STAGE),
        (RawStage::Unmapped, RawStage::Moved)
    );
}

/// FNV-1a with the 32-bit parameters over both parts of each word, the sum turned by seven after each.
#[cfg(target_pointer_width = "64")]
fn fnv(words: impl IntoIterator<Item = usize>) -> usize {
    let mut sum: u64 = 2_166_136_261;
    for word in words {
        for part in [word as u64 % (1 << 16), word as u64 / (1 << 16)] {
            sum = (sum ^ part).wrapping_mul(16_777_619);
            sum = sum.rotate_left(7);
        }
    }
    sum as usize
}

/// The checksum of a migration between setup and pages.
#[cfg(target_pointer_width = "64")]
pub(crate) fn checksum(raw: &RawMigration<u8>, src: &[SrcPfn]) -> usize {
    fnv(header(raw)
        .into_iter()
        .chain(src.iter().map(|word| word.raw())))
}

#[cfg(target_pointer_width = "64")]
fn header(raw: &RawMigration<u8>) -> [usize; 8] {
    [
        raw.start,
        raw.end,
        raw.owner,
        raw.fault_page,
        raw.cpages,
        raw.select as usize,
        raw.stage as usize,
        raw.rules as usize,
    ]
}

#[cfg(target_pointer_width = "64")]
#[test]
fn the_checksum_is_fnv() {
    fn body<P: Policy, S: Shape>() {
        let m = two::<S>();
        let (mut src, mut dst) = ([NONE; 2], [NO; 2]);
        let raw = set_up::<P, S>(&m, &mut src, &mut dst).into_raw();
        assert_eq!(raw.checksum, checksum(&raw, &src));
        let raw = from::<P, S>(&m, &raw, &mut src, &mut dst)
            .unwrap()
            .pages()
            .unwrap()
            .into_raw();
        let all = header(&raw)
            .into_iter()
            .chain(src.map(SrcPfn::raw))
            .chain(dst.map(DstPfn::raw));
        assert_eq!(raw.checksum, fnv(all));
    }
    all!(body);
}
