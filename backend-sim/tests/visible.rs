//! How many operations of each path an engine sees. What an engine can enumerate depends on it.

mod hooked;

use hooked::Hooked;
use migrate_pin_core::ops::Range;
use migrate_pin_core::{Access, PAGE_SIZE};
use migrate_pin_sim::config::*;
use migrate_pin_sim::*;
use std::cell::Cell;

thread_local!(static SEEN: Cell<u32> = const { Cell::new(0) });

fn seen() {
    SEEN.with(|seen| seen.set(seen.get() + 1));
}

fn count(what: &str, most: u32, run: impl FnOnce()) {
    SEEN.with(|seen| seen.set(0));
    hooked::hook(seen);
    run();
    let found = SEEN.with(Cell::get);
    println!("{found:5} (at most {most}) {what}");
    assert!(found <= most, "{what}: {found}");
}

#[test]
fn paths_are_short_enough_to_enumerate() {
    const CONFIG: Config<'static> = Config {
        actors: &[
            ActorSpec {
                cpu: 0,
                mm: Some(MmId(0)),
            },
            ActorSpec {
                cpu: 1,
                mm: Some(MmId(0)),
            },
        ],
        ..Config::SMALL
    };
    let page = PAGE_SIZE;
    let range = Range {
        start: page,
        end: 2 * page,
    };
    let m = Box::new(Machine::<Hooked>::new(&CONFIG).unwrap());
    m.populate(MmId(0), 1, Populate::Written(7));
    let cpu = m.cpu(ActorId(1));
    let dev = m.cpu(ActorId(0)).device(DeviceId(0), MmId(0));
    count("read, TLB miss", 4, || {
        let _ = cpu.read(page);
    });
    count("read, TLB hit", 2, || {
        let _ = cpu.read(page);
    });
    count("write, dirty", 3, || {
        let _ = cpu.write(page, 1);
    });
    count("gup fast", 9, || {
        if let Some(r) = cpu.gup_fast(
            page,
            GupFlags {
                write: true,
                pin: false,
            },
        ) {
            cpu.gup_put(r);
        }
    });
    count("gup slow", 9, || {
        if let Progress::Done(Ok(r)) = cpu.gup_slow(
            page,
            GupFlags {
                write: true,
                pin: false,
            },
        ) {
            cpu.gup_put(r);
        }
    });
    count("acquire", 60, || {
        let _ = dev.acquire(range, Access::Write);
    });
    count("device access", 2, || {
        let _ = dev.access(page, DeviceOp::Add(1));
    });
    count("read of an acquired page", 65, || {
        let _ = cpu.read(page);
    });
    count("acquire again", 65, || {
        let _ = dev.acquire(range, Access::Write);
    });
    count("dontneed of an acquired page", 25, || {
        let _ = cpu.dontneed(range);
    });
    count("write of an empty page", 22, || {
        let _ = cpu.write(page, 1);
    });
    count("fork", 32, || {
        let _ = cpu.fork(MmId(1));
    });
    count("write of a shared page", 35, || {
        let _ = cpu.write(page, 1);
    });
    cpu.drain_lru();
    let frame = m.page_at(MmId(0), 1).unwrap();
    count("compact", 55, || {
        let _ = cpu.compact(frame);
    });
    cpu.drain_lru();
    let frame = m.page_at(MmId(0), 1).unwrap();
    count("reclaim", 45, || {
        let _ = cpu.reclaim(frame);
    });
    count("swap in", 30, || {
        let _ = cpu.read(page);
    });
    count("mprotect", 16, || {
        let _ = cpu.mprotect(range, false);
    });
    count("munmap", 24, || {
        let _ = cpu.munmap(range);
    });
    m.check_quiescent();
    assert!(m.violations().is_empty());
}
