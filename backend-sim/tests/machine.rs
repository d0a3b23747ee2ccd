//! The parts of the machine, each for itself.

use migrate_pin_core::ops::Range;
use migrate_pin_core::{Access, MmOps, PAGE_SIZE};
use migrate_pin_sim::config::*;
use migrate_pin_sim::*;

const A0: ActorId = ActorId(0);
const A1: ActorId = ActorId(1);
const MM: MmId = MmId(0);
const CHILD: MmId = MmId(1);
const DEV: DeviceId = DeviceId(0);

const CONFIG: Config<'static> = Config {
    actors: &[
        ActorSpec {
            cpu: 0,
            mm: Some(MM),
        },
        ActorSpec {
            cpu: 1,
            mm: Some(MM),
        },
        ActorSpec {
            cpu: 2,
            mm: Some(CHILD),
        },
        ActorSpec { cpu: 3, mm: None },
    ],
    ..Config::SMALL
};

fn machine(config: &Config<'_>) -> Box<Machine<Spin>> {
    Box::new(Machine::new(config).unwrap())
}

fn at(page: usize) -> usize {
    page * PAGE_SIZE
}

fn pages(first: usize, count: usize) -> Range {
    Range {
        start: at(first),
        end: at(first + count),
    }
}

fn word(progress: Progress<Result<u32, AccessError>>) -> u32 {
    progress.done().expect("blocked").expect("refused")
}

#[track_caller]
fn clean(machine: &Machine<Spin>) {
    machine.check_quiescent();
    let found = machine.violations();
    assert!(
        found.is_empty(),
        "{}",
        found.iter().map(|v| format!("{v}\n")).collect::<String>()
    );
}

#[test]
fn a_new_machine_is_quiet() {
    clean(&machine(&CONFIG));
}

#[test]
fn memory_reads_as_written() {
    let m = machine(&CONFIG);
    assert_eq!(word(m.cpu(A0).read(at(3))), 0);
    word(m.cpu(A0).write(at(3), 5));
    assert_eq!(word(m.cpu(A1).read(at(3))), 5);
    assert!(m.events().contains(Event::ZeroPage) && m.events().contains(Event::CowCopy));
    clean(&m);
}

#[test]
fn every_populated_state_is_quiet() {
    let config = Config {
        files: &[FileSpec {
            contents: &[10, 11, 12, 13, 14, 15, 16, 17],
        }],
        mms: &[
            MmSpec {
                memcg: MemcgId(0),
                vmas: &[VmaSpec::anonymous(0, 8)],
            },
            MmSpec {
                memcg: MemcgId(1),
                vmas: &[
                    VmaSpec::anonymous(0, 4).of(VmaKind::Shared(FileId(0), 0)),
                    VmaSpec::anonymous(4, 4).of(VmaKind::Private(FileId(0), 4)),
                ],
            },
        ],
        ..CONFIG
    };
    for what in [
        Populate::Written(1),
        Populate::WrittenInBatch(1, A1),
        Populate::Clean(1, true),
        Populate::Clean(1, false),
        Populate::ZeroPage,
        Populate::Swapped(1),
        Populate::SwapCached(1),
        Populate::SwapCachedUnmapped(1),
        Populate::LazyFree(1),
        Populate::Compound(1),
        Populate::Huge(1),
        Populate::HugeZero,
        Populate::BadPmd,
        Populate::EmptyEntry,
        Populate::Special,
        Populate::Other,
        Populate::NoMapping(1),
    ] {
        let m = machine(&config);
        assert!(m.populate(MM, 4, what), "{what:?}");
        println!("{what:?}: {:?}", m.entry(MM, 4));
        clean(&m);
    }
    for what in [Populate::Read, Populate::Written(3), Populate::WithPrivate] {
        for page in [1, 5] {
            if what == Populate::WithPrivate && page == 5 {
                continue;
            }
            let m = machine(&config);
            assert!(m.populate(CHILD, page, what), "{what:?}");
            println!("{what:?}: {:?}", m.entry(CHILD, page));
            clean(&m);
        }
    }
}

#[test]
fn acquire_and_fault_round_trip() {
    let m = machine(&CONFIG);
    m.populate(MM, 1, Populate::Written(7));
    let page = m.page_at(MM, 1).unwrap();
    let driver = m.cpu(A0).device(DEV, MM);
    let acquired = driver
        .acquire(pages(1, 1), Access::Write)
        .done()
        .unwrap()
        .unwrap();
    assert_eq!((acquired.granted, acquired.left), (1, 0));
    let state = m.page(page).unwrap();
    assert_eq!(state.count, 1025);
    assert_eq!(state.lru, LruState::Isolated);
    assert_eq!(m.page(m.page_at(MM, 1).unwrap()).unwrap().count, 2);
    clean(&m);
    assert_eq!(driver.access(at(1), DeviceOp::Add(3)), Some(7));
    assert_eq!(word(m.cpu(A1).read(at(1))), 10);
    assert_eq!(m.page_at(MM, 1), Some(page));
    assert_eq!(driver.access(at(1), DeviceOp::Load), None);
    assert_eq!(m.page(page).unwrap().count, 2);
    m.cpu(A1).drain_lru();
    assert_eq!(m.page(page).unwrap().count, 1);
    assert_eq!(m.free_device_pages(DEV), 4);
    clean(&m);
}

#[test]
fn full_migration_there_and_back() {
    let m = machine(&CONFIG);
    m.populate(MM, 1, Populate::Written(7));
    let driver = m.cpu(A0).device(DEV, MM);
    let moved = driver
        .migrate_to_device(pages(0, 4))
        .done()
        .unwrap()
        .unwrap();
    assert_eq!(moved, 4);
    clean(&m);
    assert_eq!(driver.access(at(1), DeviceOp::Add(1)), Some(7));
    assert_eq!(driver.access(at(2), DeviceOp::Store(9)), Some(0));
    assert_eq!(word(m.cpu(A1).read(at(1))), 8);
    assert_eq!(word(m.cpu(A1).read(at(2))), 9);
    assert_eq!(word(m.cpu(A1).read(at(3))), 0);
    assert_eq!(m.free_device_pages(DEV), 3);
    clean(&m);
}

#[test]
fn release_by_munmap_exit_dontneed() {
    for how in 0..3 {
        let m = machine(&CONFIG);
        m.populate(MM, 1, Populate::Written(7));
        let driver = m.cpu(A0).device(DEV, MM);
        driver
            .acquire(pages(1, 1), Access::Write)
            .done()
            .unwrap()
            .unwrap();
        driver.access(at(1), DeviceOp::Store(1));
        match how {
            0 => m.cpu(A1).munmap(pages(0, 8)).done().unwrap().unwrap(),
            1 => m.cpu(A1).exit().done().unwrap(),
            _ => m.cpu(A1).dontneed(pages(1, 1)).done().unwrap().unwrap(),
        }
        m.cpu(A1).drain_lru();
        assert_eq!(m.free_pages(), 16);
        assert_eq!(m.free_device_pages(DEV), 4);
        clean(&m);
    }
}

#[test]
fn fork_shares_and_separates() {
    let m = machine(&CONFIG);
    m.populate(MM, 1, Populate::Written(7));
    m.populate(MM, 2, Populate::Swapped(8));
    m.cpu(A0).fork(CHILD).done().unwrap().unwrap();
    clean(&m);
    word(m.cpu(A0).write(at(1), 70));
    assert_eq!(word(m.cpu(ActorId(2)).read(at(1))), 7);
    word(m.cpu(ActorId(2)).write(at(2), 80));
    assert_eq!(word(m.cpu(A0).read(at(2))), 8);
    clean(&m);
    m.cpu(A0).exit().done().unwrap();
    m.cpu(ActorId(2)).exit().done().unwrap();
    m.cpu(A0).drain_lru();
    assert_eq!(m.free_pages(), 16);
    clean(&m);
}

#[test]
fn fork_while_pinned_by_the_device() {
    let m = machine(&CONFIG);
    m.populate(MM, 1, Populate::Written(7));
    let driver = m.cpu(A0).device(DEV, MM);
    driver
        .acquire(pages(1, 1), Access::Write)
        .done()
        .unwrap()
        .unwrap();
    driver.access(at(1), DeviceOp::Store(9));
    m.cpu(A1).fork(CHILD).done().unwrap().unwrap();
    clean(&m);
    assert_eq!(driver.access(at(1), DeviceOp::Load), None);
    assert_eq!(word(m.cpu(ActorId(2)).read(at(1))), 9);
    clean(&m);
    word(m.cpu(A0).write(at(1), 1));
    assert_eq!(word(m.cpu(ActorId(2)).read(at(1))), 9);
    clean(&m);
}

#[test]
fn gup_references_and_pins() {
    let m = machine(&CONFIG);
    m.populate(MM, 1, Populate::Written(7));
    let cpu = m.cpu(A0);
    for pin in [false, true] {
        for fast in [false, true] {
            let flags = GupFlags { write: true, pin };
            let r = if fast {
                cpu.gup_fast(at(1), flags).unwrap()
            } else {
                cpu.gup_slow(at(1), flags).done().unwrap().unwrap()
            };
            cpu.gup_write(&r, 55);
            assert_eq!(word(m.cpu(A1).read(at(1))), 55);
            cpu.gup_dirty(&r).done().unwrap();
            if pin {
                cpu.fork(CHILD).done().unwrap().unwrap();
                assert!(m.events().contains(Event::ForkCopy));
                m.cpu(ActorId(2)).exit().done().unwrap();
            }
            cpu.gup_put(r);
            clean(&m);
        }
    }
}

/// Faulting would bring no page either: who tried again would try for ever.
#[test]
fn gup_finds_no_page_in_special_memory_and_reads_zeroes_where_the_huge_zero_page_is() {
    for pin in [false, true] {
        let flags = GupFlags { write: false, pin };
        let m = machine(&CONFIG);
        assert!(m.populate(MmId(0), 1, Populate::Special));
        let cpu = m.cpu(ActorId(0));
        assert!(cpu.gup_fast(at(1), flags).is_none());
        let refused = cpu.gup_slow(at(1), flags).done();
        assert!(refused.is_some_and(|refused| refused.is_err()));
        clean(&m);

        let m = machine(&CONFIG);
        assert!(m.populate(MmId(0), 0, Populate::HugeZero));
        let cpu = m.cpu(ActorId(0));
        let zero = cpu.gup_slow(at(1), flags).done().unwrap().unwrap();
        assert_eq!(cpu.gup_read(&zero), 0);
        cpu.gup_put(zero);
        clean(&m);
    }
}

#[test]
fn reclaim_and_compaction() {
    let m = machine(&CONFIG);
    m.populate(MM, 1, Populate::Written(7));
    m.populate(MM, 2, Populate::Written(8));
    let kernel = m.cpu(ActorId(3));
    assert!(kernel.reclaim(m.page_at(MM, 1).unwrap()));
    clean(&m);
    let old = m.page_at(MM, 2).unwrap();
    let new = kernel.compact(old).unwrap();
    assert_ne!(old, new);
    kernel.drain_lru();
    assert_eq!(m.page_at(MM, 2), Some(new));
    clean(&m);
    assert_eq!(word(m.cpu(A0).read(at(1))), 7);
    assert_eq!(word(m.cpu(A0).read(at(2))), 8);
    clean(&m);
}

#[test]
fn mprotect_takes_write_away() {
    let m = machine(&CONFIG);
    word(m.cpu(A0).write(at(1), 7));
    m.cpu(A1)
        .mprotect(pages(1, 1), false)
        .done()
        .unwrap()
        .unwrap();
    assert_eq!(
        m.cpu(A0).write(at(1), 8),
        Progress::Done(Err(AccessError::Segv))
    );
    assert_eq!(word(m.cpu(A0).read(at(1))), 7);
    m.cpu(A1)
        .mprotect(pages(1, 1), true)
        .done()
        .unwrap()
        .unwrap();
    word(m.cpu(A0).write(at(1), 9));
    clean(&m);
}

/// Found by the fuzz target `pipeline`: the OOM reaper's mark is that of one `mm_struct`, not of all that come to be in its
/// place. A fork begins without it (`MMF_INIT_MASK`).
#[test]
fn a_child_is_not_unstable_for_what_was_there_before() {
    let child = Config {
        actors: &[
            ActorSpec {
                cpu: 0,
                mm: Some(MmId(0)),
            },
            ActorSpec {
                cpu: 1,
                mm: Some(MmId(1)),
            },
        ],
        ..Config::SMALL
    };
    let machine = Machine::<Spin>::new(&child).unwrap();
    let (parent, child) = (machine.cpu(ActorId(0)), machine.cpu(ActorId(1)));
    assert_eq!(parent.write(0, 7), Progress::Done(Ok(0)));
    for _ in 0..2 {
        assert_eq!(parent.fork(MmId(1)), Progress::Done(Ok(())));
        // An empty entry can be filled.
        assert_eq!(child.read(PAGE_SIZE), Progress::Done(Ok(0)));
        assert_eq!(child.oom_reap(MmId(1)), Progress::Done(()));
        assert_eq!(
            child.read(PAGE_SIZE),
            Progress::Done(Err(AccessError::Sigbus))
        );
        assert_eq!(child.exit(), Progress::Done(()));
    }
    machine.check_quiescent();
    assert_eq!(machine.violation_count(), 0);
}

/// What finalize does to an entry in place, done out of turn: to one that is no migration entry, and without the PTL.
#[test]
fn an_entry_that_is_turned_back_has_to_be_a_migration_entry_under_its_lock() {
    let found = |locked: bool, unmapped: bool| {
        let m = machine(&CONFIG);
        assert!(m.populate(MM, 0, Populate::Written(7)));
        let mut cpu = m.cpu(A0);
        let (vma, page) = (cpu.find_vma(MM, 0).unwrap(), m.page_at(MM, 0).unwrap());
        cpu.get_page(page);
        assert!(cpu.trylock_page(page));
        if unmapped {
            cpu.try_to_unmap(page);
        }
        if locked {
            assert!(cpu.pte_lock(vma, at(0)));
        }
        cpu.restore_pte(vma, at(0), page);
        if locked {
            cpu.pte_unlock(vma, at(0));
        }
        m.broken().collect::<Vec<_>>()
    };
    assert_eq!(found(true, true), []);
    assert_eq!(found(true, false), [Invariant::Map]);
    assert_eq!(found(false, true), [Invariant::Lock]);
}
