//! Random walks: any operation by any actor in any order, the careful driver, `Hardened`. Nothing may break.

use migrate_pin_core::ops::Range;
use migrate_pin_core::policy::{PolicyKind, ShapeKind};
use migrate_pin_core::{Access, PAGE_SIZE};
use migrate_pin_sim::config::*;
use migrate_pin_sim::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const FILE: &[FileSpec<'static>] = &[FileSpec {
    contents: &[100, 101, 102, 103, 104, 105, 106, 107],
}];

const BASE: Config<'static> = Config {
    shape: ShapeKind::V5_11,
    policy: PolicyKind::Hardened,
    system_pages: 40,
    movable_pages: 20,
    mm_pages: 16,
    lru_batch: 3,
    swap_slots: 12,
    pin_records: 16,
    memcg_limit: 256,
    actors: &[
        ActorSpec {
            cpu: 0,
            mm: Some(MmId(0)),
        },
        ActorSpec {
            cpu: 1,
            mm: Some(MmId(0)),
        },
        ActorSpec {
            cpu: 2,
            mm: Some(MmId(1)),
        },
        ActorSpec {
            cpu: 3,
            mm: Some(MmId(2)),
        },
        ActorSpec { cpu: 4, mm: None },
        ActorSpec {
            cpu: 5,
            mm: Some(MmId(0)),
        },
    ],
    mms: &[
        MmSpec {
            memcg: MemcgId(0),
            vmas: &[
                VmaSpec::anonymous(0, 8),
                VmaSpec::anonymous(8, 4).of(VmaKind::Shared(FileId(0), 0)),
                VmaSpec::anonymous(12, 4).of(VmaKind::Private(FileId(0), 4)),
            ],
        },
        MmSpec {
            memcg: MemcgId(1),
            vmas: &[],
        },
        MmSpec {
            memcg: MemcgId(1),
            vmas: &[VmaSpec::anonymous(0, 4).of(VmaKind::Shared(FileId(0), 2))],
        },
    ],
    files: FILE,
    devices: &[
        DeviceSpec {
            pages: 6,
            mappings: 8,
            driver: DriverKind::Careful,
        },
        DeviceSpec {
            pages: 3,
            mappings: 4,
            driver: DriverKind::Careful,
        },
    ],
    mirrors: &[
        MirrorSpec {
            device: DeviceId(0),
            mm: MmId(0),
        },
        MirrorSpec {
            device: DeviceId(1),
            mm: MmId(0),
        },
        MirrorSpec {
            device: DeviceId(0),
            mm: MmId(1),
        },
    ],
    failures: &[],
    bugs: &[],
};

fn at(page: usize) -> usize {
    page * PAGE_SIZE
}

struct Walk<'m> {
    m: &'m Machine<Spin>,
    sessions: Vec<(ActorId, Dev<'m, Spin>, Session, u8)>,
    held: Vec<(ActorId, GupRef)>,
    log: Vec<String>,
}

impl<'m> Walk<'m> {
    fn step(&mut self, r: &mut Random) {
        let m = self.m;
        let actor = ActorId(r.below(6) as u8);
        let cpu = m.cpu(actor);
        m.begin_step();
        if let Some(index) = self.sessions.iter().position(|(a, ..)| *a == actor) {
            let (_, dev, mut session, stage) = self.sessions.remove(index);
            self.log.push(format!("{actor:?} session stage {stage}"));
            match stage {
                0 => dev.fill(&mut session),
                1 => {
                    if r.chance(10) {
                        dev.abandon(session);
                        return;
                    }
                    if let Err(e) = dev.pages(&mut session) {
                        self.log.push(format!("  refused {e:?}"));
                        dev.abandon(session);
                        return;
                    }
                }
                2 => {
                    dev.update_device(&mut session);
                }
                _ => {
                    dev.finalize(session);
                    return;
                }
            }
            self.sessions.push((actor, dev, session, stage + 1));
            return;
        }
        let page = r.below(16);
        let count = 1 + r.below(5);
        let range = Range {
            start: at(page),
            end: at((page + count).min(16)),
        };
        let value = r.next() as u32 & 0xffff;
        let (device, mm) = [(0, 0), (0, 0), (1, 0), (0, 1)][r.below(4)];
        let dev = cpu.device(DeviceId(device), MmId(mm));
        let access = if r.chance(70) {
            Access::Write
        } else {
            Access::Read
        };
        let pick = r.below(100);
        let pfns: Vec<_> = m.pfns().collect();
        let pfn = pfns[r.below(pfns.len())];
        let text = match pick {
            0..=14 => format!(
                "{actor:?} write {page} = {value} {:?}",
                cpu.write(at(page), value)
            ),
            15..=29 => format!("{actor:?} read {page} {:?}", cpu.read(at(page))),
            30..=39 => format!(
                "{actor:?} acquire {page}+{count} {:?}",
                dev.acquire(range, access)
            ),
            40..=49 => format!(
                "{actor:?} device {page} {:?}",
                dev.access(at(page), DeviceOp::Add(value))
            ),
            50..=53 => format!(
                "{actor:?} device load {page} {:?}",
                dev.access(at(page), DeviceOp::Load)
            ),
            54..=56 => {
                let purpose = match r.below(3) {
                    0 => Purpose::Pin(access),
                    1 => Purpose::ToDevice,
                    _ => Purpose::ToSystem,
                };
                let done = dev.setup(range, purpose);
                let text = format!(
                    "{actor:?} setup {page}+{count} {purpose:?} {:?}",
                    done.clone().map(|_| ())
                );
                if let Progress::Done(Ok(session)) = done {
                    self.sessions.push((actor, dev, session, 0));
                }
                text
            }
            57..=59 => format!(
                "{actor:?} migrate to device {page}+{count} {:?}",
                dev.migrate_to_device(range)
            ),
            60..=62 => format!("{actor:?} grant {page} {:?}", dev.grant(at(page), access)),
            63..=64 => format!(
                "{actor:?} give back {page}+{count} {:?}",
                dev.give_back(range)
            ),
            65..=69 => format!("{actor:?} reclaim {pfn} {:?}", cpu.reclaim(pfn)),
            70..=73 => format!("{actor:?} compact {pfn} {:?}", cpu.compact(pfn)),
            74..=76 => format!(
                "{actor:?} dontneed {page}+{count} {:?}",
                cpu.dontneed(range)
            ),
            77 => format!("{actor:?} munmap {page}+{count} {:?}", cpu.munmap(range)),
            78..=80 => format!(
                "{actor:?} mprotect {page}+{count} {:?}",
                cpu.mprotect(range, r.chance(60))
            ),
            81..=83 => {
                if r.chance(50) {
                    format!("{actor:?} fork {:?}", cpu.fork(MmId(1)))
                } else if actor == ActorId(2) {
                    format!("{actor:?} exit {:?}", cpu.exit())
                } else {
                    String::new()
                }
            }
            84..=90 => {
                let flags = GupFlags {
                    write: r.chance(60),
                    pin: r.chance(50),
                };
                let done = if r.chance(50) {
                    cpu.gup_fast(at(page), flags)
                } else {
                    match cpu.gup_slow(at(page), flags) {
                        Progress::Done(Ok(done)) => Some(done),
                        _ => None,
                    }
                };
                if let Some(held) = done {
                    self.held.push((actor, held));
                }
                format!("{actor:?} gup {page} {flags:?} {done:?}")
            }
            91..=96 => {
                if self.held.is_empty() {
                    return;
                }
                let index = r.below(self.held.len());
                let (owner, held) = self.held.swap_remove(index);
                let cpu = m.cpu(owner);
                if held.flags.write && r.chance(50) {
                    cpu.gup_write(&held, value);
                    if cpu.gup_dirty(&held) != Progress::Done(()) {
                        self.held.push((owner, held));
                        return;
                    }
                }
                cpu.gup_put(held);
                format!("{owner:?} gup (write {value}) put {held:?}")
            }
            97 => format!("sync {:?}", cpu.sync_file_page(FileId(0), r.below(8))),
            98 => format!("drain {:?}", cpu.drain_lru()),
            99 if r.chance(60) => format!(
                "{actor:?} madv free {page}+{count} {:?}",
                cpu.madv_free(range)
            ),
            _ => format!("{actor:?} fault in {page} {:?}", dev.fault_in(at(page))),
        };
        self.log.push(text);
    }

    fn finish(&mut self) {
        for (_, dev, mut session, stage) in std::mem::take(&mut self.sessions) {
            if stage <= 1 {
                dev.abandon(session);
            } else {
                if stage == 2 {
                    dev.update_device(&mut session);
                }
                dev.finalize(session);
            }
        }
        for (actor, held) in std::mem::take(&mut self.held) {
            self.m.cpu(actor).gup_put(held);
        }
        // Who waited for a page lets go of mmap_lock.
        for actor in 0..6 {
            let _ = self.m.cpu(ActorId(actor)).read(at(15));
        }
        // Nobody is in the way of anybody now.
        for page in 0..16 {
            if let Progress::Blocked(wait) = self.m.cpu(ActorId(0)).read(at(page)) {
                self.m.report_wait(ActorId(0), wait);
            }
        }
        let _ = self.m.cpu(ActorId(4)).read(0);
        let _ = self.m.cpu(ActorId(0)).munmap(Range { start: 0, end: 0 });
        self.m.check_quiescent();
    }
}

/// Walk; what was done, and what was found.
fn run(m: &Machine<Spin>, seed: u64, steps: usize) -> (Vec<String>, Vec<Violation>) {
    let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    if r.chance(30) {
        m.populate(MmId(0), 4, Populate::Huge(500));
    }
    if r.chance(50) {
        m.populate(MmId(0), 1, Populate::SwapCached(9));
    }
    if r.chance(30) {
        m.populate(MmId(0), 2, Populate::LazyFree(19));
    }
    let mut walk = Walk {
        m,
        sessions: Vec::new(),
        held: Vec::new(),
        log: Vec::new(),
    };
    for _ in 0..steps {
        walk.step(&mut r);
        if m.violation_count() > 0 {
            break;
        }
    }
    if m.violation_count() == 0 {
        walk.finish();
    }
    (walk.log, m.violations().iter().copied().collect())
}

fn walk(config: &Config<'_>, seed: u64, steps: usize) -> Result<EventSet, String> {
    let m = Box::new(Machine::<Spin>::new(config).unwrap());
    let (log, violations) = run(&m, seed, steps);
    if violations.is_empty() {
        return Ok(m.events());
    }
    let keep: usize = std::env::var("KEEP")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(60);
    let skip = log.len().saturating_sub(keep);
    let mut text = format!("seed {seed}\n");
    for line in &log[skip..] {
        text += line;
        text.push('\n');
    }
    for violation in violations {
        text += &format!("{violation}\n");
    }
    Err(text)
}

fn walks(shape: ShapeKind) {
    let count: u64 = std::env::var("WALKS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300);
    let steps: usize = std::env::var("STEPS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(120);
    let config = Config { shape, ..BASE };
    let mut events = EventSet::EMPTY;
    let mut failed = 0;
    let mut kinds = std::collections::BTreeMap::new();
    let first: u64 = std::env::var("SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    for seed in first..first + count {
        match walk(&config, seed, steps) {
            Ok(seen) => events = events.union(seen),
            Err(text) => {
                failed += 1;
                let last = text
                    .lines()
                    .find(|l| l.contains("[actor"))
                    .unwrap_or("")
                    .to_string();
                let key: String = last
                    .split(", page")
                    .next()
                    .unwrap()
                    .split(" (ledger")
                    .next()
                    .unwrap()
                    .to_string();
                let entry = kinds.entry(key).or_insert((0, text.clone()));
                entry.0 += 1;
                if text.lines().count() < entry.1.lines().count() {
                    entry.1 = text;
                }
            }
        }
    }
    for (key, (times, text)) in &kinds {
        println!("==== {times} x {key}\n{text}");
    }
    let missing: Vec<_> = Event::ALL
        .iter()
        .filter(|e| !events.contains(**e))
        .map(|e| e.name())
        .collect();
    println!("events never seen: {missing:?}");
    assert_eq!(failed, 0, "of {count}");
}

/// What random walks find in the patch as posted, under either driver.
#[test]
fn the_patch_as_posted_breaks() {
    for driver in [DriverKind::Careful, DriverKind::Posted] {
        let devices = [
            DeviceSpec {
                pages: 6,
                mappings: 8,
                driver,
            },
            DeviceSpec {
                pages: 3,
                mappings: 4,
                driver,
            },
        ];
        let config = Config {
            policy: PolicyKind::AsPosted,
            devices: &devices,
            ..BASE
        };
        let mut found = std::collections::BTreeMap::<(Invariant, &str), u32>::new();
        for seed in 1..=2000 {
            let m = Box::new(Machine::<Spin>::new(&config).unwrap());
            for violation in run(&m, seed, 120).1.iter().take(1) {
                *found
                    .entry((violation.invariant, violation.what))
                    .or_default() += 1;
            }
        }
        println!("{driver:?}:");
        for ((invariant, what), times) in &found {
            println!("{times:6} {invariant}: {what}");
        }
        for invariant in [Invariant::Pin, Invariant::Count] {
            assert!(
                found.keys().any(|(broken, _)| *broken == invariant),
                "{driver:?} {invariant}"
            );
        }
    }
}

/// Each seeded bug is found by the invariant that it is there to prove, except those that need a race: whole operations
/// one after the other never show them.
#[test]
fn every_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let bugs = [*bug];
        let config = Config {
            bugs: &bugs,
            ..BASE
        };
        let mut found = std::collections::BTreeMap::new();
        let mut walks = 0;
        for seed in 1..=if bug.needs_race() { 400 } else { 4000 } {
            walks = seed;
            let m = Box::new(Machine::<Spin>::new(&config).unwrap());
            let violations = run(&m, seed, 120).1;
            for violation in &violations {
                *found.entry(violation.invariant).or_insert(0) += 1;
            }
            if found.contains_key(&bug.breaks()) {
                break;
            }
        }
        println!(
            "{:26} {:8} after {walks} walks: {found:?}",
            bug.name(),
            bug.breaks().name()
        );
        // In a walk a migration may stand between its stages, and who faults then is in the middle of it.
        let race = bug.needs_race() && *bug != Bug::WaitUnderPtl;
        let as_it_should = match race {
            true => found.is_empty(),
            false => found.contains_key(&bug.breaks()),
        };
        if !as_it_should {
            missed.push(bug.name());
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

/// The same with allocations that fail: whatever is refused, nothing leaks.
#[test]
fn nothing_breaks_when_allocations_fail() {
    for shape in [ShapeKind::V5_11, ShapeKind::V6_12] {
        let mut events = EventSet::EMPTY;
        for seed in 1..=1200 {
            let mut r = Random(seed * 7919 + 1);
            let failures: Vec<FailSpec> = (0..4)
                .map(|_| FailSpec {
                    kind: AllocKind::ALL[r.below(AllocKind::ALL.len())],
                    nth: if r.chance(10) {
                        u32::MAX
                    } else {
                        r.below(25) as u32
                    },
                })
                .collect();
            let config = Config {
                shape,
                failures: &failures,
                system_pages: 20,
                pin_records: 3,
                ..BASE
            };
            match walk(&config, seed, 120) {
                Ok(seen) => events = events.union(seen),
                Err(text) => panic!("{failures:?}\n{text}"),
            }
        }
        assert!(events.contains(Event::AllocationFailed) && events.contains(Event::PinRecordFull));
    }
}

#[test]
fn nothing_breaks_on_5_11() {
    walks(ShapeKind::V5_11);
}

#[test]
fn nothing_breaks_on_6_12() {
    walks(ShapeKind::V6_12);
}
