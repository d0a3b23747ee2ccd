//! Migration that starts from device pfns, on the machine: a driver that gives its memory back, whoever maps it.

use migrate_pin_core::ops::Range;
use migrate_pin_core::{
    setup_range, Access, AsPosted, Device, DeviceMigration, DeviceRequest, DstPfn, Hardened, MmOps,
    Pfn, Policy, PolicyKind, ShapeKind, SrcPfn, Unmapped, PAGE_SIZE,
};
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
    ],
    shape: ShapeKind::V6_12,
    ..Config::SMALL
};

const VALUES: [u32; 4] = [7, 8, 9, 0];

fn at(page: usize) -> usize {
    page * PAGE_SIZE
}

fn pages(first: usize, count: usize) -> Range {
    Range {
        start: at(first),
        end: at(first + count),
    }
}

/// Pages 0 to 3 written, the last one never touched.
fn machine(policy: PolicyKind) -> Box<Machine<Spin>> {
    let m = Machine::<Spin>::new(&Config { policy, ..CONFIG }).unwrap();
    for (page, value) in VALUES.iter().enumerate().take(3) {
        assert!(m.populate(MM, page, Populate::Written(*value)));
    }
    Box::new(m)
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

fn read(m: &Machine<Spin>, actor: ActorId, page: usize) -> u32 {
    m.cpu(actor)
        .read(at(page))
        .done()
        .expect("blocked")
        .expect("refused")
}

/// The lowest pfn of device memory, and how many there are.
fn device_memory(m: &Machine<Spin>) -> (Pfn, usize) {
    let mut cpu = m.cpu(A0);
    let device = |page: &Pfn| cpu.page_zone(*page).is_device();
    let found: Vec<Pfn> = m.pfns().filter(device).collect();
    (found[0], found.len())
}

/// Evict all of the device's memory: each page that is in use goes to a copy, or to the original that it stands for.
fn evict<P: Policy>(m: &Machine<Spin>) -> usize {
    let (first, n) = device_memory(m);
    let mut driver = m.cpu(A0).device(DEV, MM);
    let owner = Device::owner(&mut driver);
    let (mut src, mut dst) = (vec![SrcPfn::PIN; n], vec![DstPfn::NONE; n]);
    let mut migration = setup_range::<P, _>(
        m.cpu(A0),
        DeviceRequest {
            first,
            src: &mut src,
            dst: &mut dst,
            owner,
        },
    )
    .unwrap();
    fill(&mut migration, &mut driver);
    let mut moved = migration.pages().ok().unwrap();
    let words: Vec<_> = moved
        .src()
        .iter()
        .copied()
        .zip(moved.dst().to_vec())
        .collect();
    let mut gone = 0;
    for (src, dst) in words {
        let (Some(page), Some(new), true) = (src.pfn(), dst.pfn(), src.migrating()) else {
            continue;
        };
        gone += 1;
        if dst.is_unpin() {
            driver.lock();
            let revoked = driver.unmap_page(new);
            driver.unlock();
            if revoked.is_some_and(|revoked| revoked.dirty) {
                moved.ops().set_page_dirty(new);
            }
        }
        driver.forget(page);
    }
    moved.finalize();
    gone
}

fn fill<P: Policy, D: Device>(
    migration: &mut DeviceMigration<'_, Cpu<'_, Spin>, P, Unmapped>,
    driver: &mut D,
) {
    let (ops, src, dst) = migration.parts();
    for (src, dst) in src.iter().zip(dst) {
        let (Some(page), true) = (src.pfn(), src.migrating()) else {
            continue;
        };
        *dst = match driver.original(page) {
            Some(original) => {
                assert!(ops.trylock_page(original));
                DstPfn::unpin(original)
            }
            None => DstPfn::page(driver.copy_to_system(page).unwrap()),
        };
    }
}

#[test]
fn migrated_pages_come_home() {
    fn body<P: Policy>() {
        let m = machine(P::KIND);
        let driver = m.cpu(A0).device(DEV, MM);
        let moved = driver.migrate_to_device(pages(0, 4)).done().unwrap();
        assert_eq!(moved.unwrap(), 4);
        assert_eq!(m.free_device_pages(DEV), 0);
        // Whoever maps them: a child of the process does too.
        m.cpu(A1).fork(CHILD).done().unwrap().unwrap();
        assert_eq!(evict::<P>(&m), 4);
        assert_eq!(m.free_device_pages(DEV), 4);
        for (page, value) in VALUES.iter().enumerate() {
            assert_eq!(m.page_at(MM, page), m.page_at(CHILD, page));
            assert_eq!(read(&m, A1, page), *value);
        }
        clean(&m);
        // There is nothing left to do.
        assert_eq!(evict::<P>(&m), 0);
        clean(&m);
    }
    body::<Hardened>();
    body::<AsPosted>();
}

#[test]
fn pinned_pages_come_home() {
    let m = machine(PolicyKind::Hardened);
    let originals: Vec<_> = (0..3).map(|page| m.page_at(MM, page)).collect();
    let driver = m.cpu(A0).device(DEV, MM);
    let acquired = driver.acquire(pages(0, 3), Access::Write).done().unwrap();
    assert_eq!(acquired.unwrap().granted, 3);
    assert_eq!(driver.access(at(1), DeviceOp::Add(10)), Some(8));
    assert_eq!(evict::<Hardened>(&m), 3);
    assert_eq!(m.free_device_pages(DEV), 4);
    assert_eq!(driver.access(at(1), DeviceOp::Load), None);
    for (page, original) in originals.iter().enumerate() {
        assert_eq!(m.page_at(MM, page), *original);
    }
    assert_eq!(read(&m, A1, 1), 18);
    clean(&m);
}

/// Somebody has a reference on one page and the lock of another. The first is no reason for `Hardened` to leave it.
fn locked_and_used<P: Policy>(leaves: usize) {
    let m = machine(P::KIND);
    let driver = m.cpu(A0).device(DEV, MM);
    let moved = driver.migrate_to_device(pages(0, 3)).done().unwrap();
    assert_eq!(moved.unwrap(), 3);
    let [busy, used, _] = [0, 1, 2].map(|page| m.page_at(MM, page).unwrap());
    let mut other = m.cpu(A1);
    assert!(other.trylock_page(busy));
    other.get_page(used);
    other.get_page(used);
    assert_eq!(evict::<P>(&m), 3 - leaves);
    assert_eq!(m.page_at(MM, 0), Some(busy));
    assert_eq!(m.page_at(MM, 1) == Some(used), leaves == 2);
    other.unlock_page(busy);
    other.put_page(used);
    other.put_page(used);
    assert_eq!(evict::<P>(&m), leaves);
    for (page, value) in VALUES.iter().enumerate() {
        assert_eq!(read(&m, A1, page), *value);
    }
    clean(&m);
}

#[test]
fn a_page_that_is_locked_stays_and_one_that_is_used_as_posted() {
    locked_and_used::<Hardened>(1);
    locked_and_used::<AsPosted>(2);
}
