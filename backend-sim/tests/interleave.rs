//! Short programs of two or three actors, switched at random at every operation that an engine would see. No engine: a
//! baton that real threads pass on. It shows that the machine holds up where its own paths are interrupted.

use core::sync::atomic::{AtomicU32, Ordering};
use migrate_pin_core::ops::Range;
use migrate_pin_core::policy::{PolicyKind, ShapeKind};
use migrate_pin_core::{Access, PAGE_SIZE};
use migrate_pin_sim::config::*;
use migrate_pin_sim::sync::{Atomic32, Heap, Monitor, Shared};
use migrate_pin_sim::*;
use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex};

struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Thread {
    Ready,
    Waiting,
    Done,
}

struct State {
    threads: Vec<Thread>,
    turn: usize,
    random: Random,
    /// One switch in so many operations.
    rarely: usize,
    deadlock: bool,
}

struct Baton {
    state: Mutex<State>,
    turn: Condvar,
}

thread_local!(static MINE: RefCell<Option<(Arc<Baton>, usize)>> = const { RefCell::new(None) });

impl Baton {
    fn choose(state: &mut State) {
        let ready: Vec<usize> = (0..state.threads.len())
            .filter(|t| state.threads[*t] == Thread::Ready)
            .collect();
        if !ready.is_empty() {
            state.turn = ready[state.random.below(ready.len())];
        } else if state.threads.contains(&Thread::Waiting) {
            // Everybody waits: for ever, unless told.
            state.deadlock = true;
            for thread in &mut state.threads {
                if *thread == Thread::Waiting {
                    *thread = Thread::Ready;
                }
            }
            state.turn = state
                .threads
                .iter()
                .position(|t| *t == Thread::Ready)
                .unwrap();
        }
    }

    fn pass(&self, me: usize, as_what: Thread) -> bool {
        let mut state = self.state.lock().unwrap();
        state.threads[me] = as_what;
        if as_what == Thread::Ready && state.rarely > 1 {
            let rarely = state.rarely;
            if state.random.below(rarely) != 0 {
                return true;
            }
        }
        Self::choose(&mut state);
        self.turn.notify_all();
        if as_what == Thread::Done {
            return true;
        }
        let state = self
            .turn
            .wait_while(state, |state| state.turn != me)
            .unwrap();
        !state.deadlock
    }

    fn wake(&self) {
        let mut state = self.state.lock().unwrap();
        for thread in &mut state.threads {
            if *thread == Thread::Waiting {
                *thread = Thread::Ready;
            }
        }
    }
}

fn mine() -> Option<(Arc<Baton>, usize)> {
    MINE.with(|mine| mine.borrow().clone())
}

fn switch() {
    if let Some((baton, me)) = mine() {
        baton.pass(me, Thread::Ready);
    }
}

#[derive(Clone, Copy)]
struct Passing;
struct Word(AtomicU32);

macro_rules! visible {
    ($( fn $name:ident(&self $(, $arg:ident: $ty:ty)*) $(-> $ret:ty)? ; )*) => {
        $( fn $name(&self $(, $arg: $ty)*) $(-> $ret)? {
            switch();
            self.0.$name($($arg),*)
        } )*
    };
}

impl Atomic32 for Word {
    fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }
    visible! {
        fn load(&self, order: Ordering) -> u32;
        fn store(&self, value: u32, order: Ordering);
        fn swap(&self, value: u32, order: Ordering) -> u32;
        fn fetch_add(&self, value: u32, order: Ordering) -> u32;
        fn fetch_sub(&self, value: u32, order: Ordering) -> u32;
        fn fetch_or(&self, value: u32, order: Ordering) -> u32;
        fn fetch_and(&self, value: u32, order: Ordering) -> u32;
        fn compare_exchange(&self, c: u32, n: u32, s: Ordering, f: Ordering) -> Result<u32, u32>;
    }
}

impl Monitor for Word {
    fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }
    fn update<R>(&self, change: impl FnMut(u32) -> (u32, R)) -> R {
        switch();
        self.update_quietly(change)
    }
    fn update_quietly<R>(&self, mut change: impl FnMut(u32) -> (u32, R)) -> R {
        let old = self.0.load(Ordering::SeqCst);
        let (new, result) = change(old);
        self.0.store(new, Ordering::SeqCst);
        if old != new {
            if let Some((baton, _)) = mine() {
                baton.wake();
            }
        }
        result
    }
    fn read(&self) -> u32 {
        switch();
        self.0.load(Ordering::SeqCst)
    }
    fn wait(&self, mut until: impl FnMut(u32) -> bool) -> bool {
        while !until(self.0.load(Ordering::SeqCst)) {
            match mine() {
                Some((baton, me)) if baton.pass(me, Thread::Waiting) => {}
                _ => return false,
            }
        }
        true
    }
}

impl Synchronisation for Passing {
    type U32 = Word;
    type Monitor = Word;
    type Array<T: Send + Sync, const N: usize> = Heap<T, N>;
    type Room<T: Send + Sync> = Shared<T>;
    const LEDGER: bool = true;
    const STEPWISE: bool = true;
    const WEAK_MEMORY: bool = false;
    fn fence() {}
}

const MM: MmId = MmId(0);
const CHILD: MmId = MmId(1);

const CONFIG: Config<'static> = Config {
    system_pages: 24,
    mm_pages: 4,
    lru_batch: 2,
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
    ],
    mms: &[
        MmSpec {
            memcg: MemcgId(0),
            vmas: &[VmaSpec::anonymous(0, 4)],
        },
        MmSpec {
            memcg: MemcgId(0),
            vmas: &[],
        },
        MmSpec {
            memcg: MemcgId(0),
            vmas: &[],
        },
    ],
    devices: &[
        DeviceSpec {
            pages: 3,
            mappings: 8,
            driver: DriverKind::Careful,
        },
        DeviceSpec {
            pages: 2,
            mappings: 8,
            driver: DriverKind::Careful,
        },
    ],
    mirrors: &[
        MirrorSpec {
            device: DeviceId(0),
            mm: MM,
        },
        MirrorSpec {
            device: DeviceId(1),
            mm: MM,
        },
        MirrorSpec {
            device: DeviceId(0),
            mm: CHILD,
        },
    ],
    ..Config::SMALL
};

#[derive(Clone, Copy, Debug)]
enum Op {
    Read(usize),
    Write(usize, u32),
    Acquire(usize, usize, Access, u8),
    DeviceAdd(usize, u8),
    Grant(usize),
    GiveBack(usize, usize, u8),
    ToDevice(usize, usize, u8),
    Reclaim(usize),
    Compact(usize),
    DontNeed(usize, usize),
    Free(usize),
    Munmap(usize, usize),
    Protect(usize, bool),
    Fork,
    Exit,
    Gup(usize, bool, bool, bool),
    Drain,
}

fn range(page: usize, count: usize) -> Range {
    Range {
        start: page * PAGE_SIZE,
        end: (page + count).min(4) * PAGE_SIZE,
    }
}

fn random_op(r: &mut Random, actor: usize) -> Op {
    let page = r.below(3);
    let count = 1 + r.below(2);
    let device = if actor == 2 { 0 } else { r.below(4) as u8 / 3 };
    let access = if r.below(3) > 0 {
        Access::Write
    } else {
        Access::Read
    };
    match r.below(32) {
        0..=3 => Op::Read(page),
        4..=7 => Op::Write(page, r.next() as u32 & 0xff),
        8..=12 => Op::Acquire(page, count, access, device),
        13..=15 => Op::DeviceAdd(page, device),
        16 => Op::Grant(page),
        17 => Op::GiveBack(page, count, device),
        18 => Op::ToDevice(page, count, device),
        19..=20 => Op::Reclaim(r.below(6)),
        21..=22 => Op::Compact(r.below(6)),
        23..=24 => Op::DontNeed(page, count),
        25 => Op::Free(page),
        26 => Op::Munmap(page, count),
        27 => Op::Protect(page, r.below(2) == 0),
        28 => {
            if actor == 1 {
                Op::Fork
            } else {
                Op::Exit
            }
        }
        29..=30 => Op::Gup(page, r.below(2) == 0, r.below(2) == 0, r.below(2) == 0),
        _ => Op::Drain,
    }
}

fn until_done<T>(cpu: &Cpu<'_, Passing>, mut op: impl FnMut() -> Progress<T>) -> Option<T> {
    for _ in 0..200 {
        match op() {
            Progress::Done(result) => return Some(result),
            Progress::Blocked(wait) => {
                if !cpu.wait(wait) {
                    cpu.machine().report_wait(cpu.actor(), wait);
                    return None;
                }
                switch();
            }
        }
    }
    cpu.machine().report_deadlock(cpu.actor());
    None
}

fn perform(m: &Machine<Passing>, actor: usize, op: Op) {
    let cpu = m.cpu(ActorId(actor as u8));
    let mm = if actor == 2 { CHILD } else { MM };
    let at = |page: usize| page * PAGE_SIZE;
    let pfn = |n: usize| m.pfns().nth(n).unwrap();
    match op {
        Op::Read(page) => {
            until_done(&cpu, || cpu.read(at(page)));
        }
        Op::Write(page, value) => {
            until_done(&cpu, || cpu.write(at(page), value));
        }
        Op::Acquire(page, count, access, device) => {
            let dev = cpu.device(DeviceId(device), mm);
            until_done(&cpu, || dev.acquire(range(page, count), access));
        }
        Op::DeviceAdd(page, device) => {
            cpu.device(DeviceId(device), mm)
                .access(at(page), DeviceOp::Add(1));
        }
        Op::Grant(page) => {
            let dev = cpu.device(DeviceId(0), mm);
            until_done(&cpu, || dev.grant(at(page), Access::Write));
        }
        Op::GiveBack(page, count, device) => {
            let dev = cpu.device(DeviceId(device), mm);
            until_done(&cpu, || dev.give_back(range(page, count)));
        }
        Op::ToDevice(page, count, device) => {
            let dev = cpu.device(DeviceId(device), mm);
            until_done(&cpu, || dev.migrate_to_device(range(page, count)));
        }
        Op::Reclaim(n) => {
            cpu.reclaim(pfn(n));
        }
        Op::Compact(n) => {
            cpu.compact(pfn(n));
        }
        Op::DontNeed(page, count) => {
            until_done(&cpu, || cpu.dontneed(range(page, count)));
        }
        Op::Free(page) => {
            until_done(&cpu, || cpu.madv_free(range(page, 1)));
        }
        Op::Munmap(page, count) => {
            until_done(&cpu, || cpu.munmap(range(page, count)));
        }
        Op::Protect(page, write) => {
            until_done(&cpu, || cpu.mprotect(range(page, 1), write));
        }
        Op::Fork => {
            until_done(&cpu, || cpu.fork(CHILD));
        }
        Op::Exit if actor == 2 => {
            until_done(&cpu, || cpu.exit());
        }
        Op::Exit => {}
        Op::Gup(page, write, pin, fast) => {
            let flags = GupFlags { write, pin };
            let held = match fast {
                true => cpu.gup_fast(at(page), flags),
                false => until_done(&cpu, || cpu.gup_slow(at(page), flags)).and_then(Result::ok),
            };
            if let Some(held) = held {
                if write {
                    cpu.gup_write(&held, 77);
                    until_done(&cpu, || cpu.gup_dirty(&held));
                }
                cpu.gup_put(held);
            }
        }
        Op::Drain => cpu.drain_lru(),
    }
}

/// One program, one schedule.
fn run(config: &Config<'_>, seed: u64, only: Option<&[&[Op]]>) -> Result<EventSet, String> {
    let mut r = Random::new(seed);
    let m = Arc::new(Machine::<Passing>::new(config).unwrap());
    let mut prepared = String::new();
    for page in 0..3 {
        let what = [
            Populate::Written(10),
            Populate::Written(10),
            Populate::WrittenInBatch(10, ActorId(1)),
            Populate::SwapCached(10),
            Populate::Swapped(10),
            Populate::LazyFree(10),
            // Clean by its entry; the page knows. (Neither knowing is what 5.11's collect leaves as posted.)
            Populate::Clean(10, true),
            Populate::ZeroPage,
        ][r.below(8)];
        m.populate(MM, page, what);
        prepared += &format!("{page}: {what:?}, ");
    }
    if r.below(8) == 0 {
        let whole = Machine::<Passing>::new(config).unwrap();
        whole.populate(MM, 0, Populate::Huge(10));
        return run_on(config, Arc::new(whole), r, "huge".into(), seed, only);
    }
    if r.below(3) == 0 {
        let _ = m.cpu(ActorId(1)).fork(CHILD);
        prepared += "forked, ";
    }
    if r.below(3) == 0 {
        let _ = m
            .cpu(ActorId(0))
            .device(DeviceId(0), MM)
            .acquire(range(0, 2), Access::Write);
        prepared += "acquired 0+2";
    }
    run_on(config, m, r, prepared, seed, only)
}

fn run_on(
    _config: &Config<'_>,
    m: Arc<Machine<Passing>>,
    mut r: Random,
    prepared: String,
    seed: u64,
    only: Option<&[&[Op]]>,
) -> Result<EventSet, String> {
    let actors = 2 + r.below(2);
    let programs: Vec<Vec<Op>> = (0..actors)
        .map(|actor| match only {
            Some(programs) => programs.get(actor).map_or(Vec::new(), |ops| ops.to_vec()),
            None => (0..1 + r.below(3))
                .map(|_| random_op(&mut r, actor))
                .collect(),
        })
        .collect();
    let baton = Arc::new(Baton {
        state: Mutex::new(State {
            threads: vec![Thread::Ready; actors],
            turn: 0,
            rarely: [1, 2, 4, 8][r.below(4)],
            random: r,
            deadlock: false,
        }),
        turn: Condvar::new(),
    });
    std::thread::scope(|scope| {
        for (actor, program) in programs.iter().enumerate() {
            let (m, baton) = (m.clone(), baton.clone());
            scope.spawn(move || {
                MINE.with(|mine| *mine.borrow_mut() = Some((baton.clone(), actor)));
                {
                    let state = baton.state.lock().unwrap();
                    drop(
                        baton
                            .turn
                            .wait_while(state, |state| state.turn != actor)
                            .unwrap(),
                    );
                }
                for op in program {
                    perform(&m, actor, *op);
                }
                // Let go of what a fault kept.
                let cpu = m.cpu(ActorId(actor as u8));
                until_done(&cpu, || cpu.read(3 * PAGE_SIZE));
                MINE.with(|mine| *mine.borrow_mut() = None);
                baton.pass(actor, Thread::Done);
            });
        }
    });
    m.check_quiescent();
    if m.violation_count() == 0 {
        return Ok(m.events());
    }
    let mut text = format!("seed {seed}: {prepared}\n");
    for (actor, program) in programs.iter().enumerate() {
        text += &format!("  actor {actor}: {program:?}\n");
    }
    for violation in m.violations() {
        text += &format!("  {violation}\n");
    }
    Err(text)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

fn runs(shape: ShapeKind) {
    let config = Config {
        shape,
        policy: PolicyKind::Hardened,
        ..CONFIG
    };
    let mut events = EventSet::EMPTY;
    let mut kinds = std::collections::BTreeMap::new();
    let first = number("SEED", 1);
    for seed in first..first + number("RUNS", 1500) {
        match run(&config, seed, None) {
            Ok(seen) => events = events.union(seen),
            Err(text) => {
                let line = text.lines().find(|l| l.contains("[actor")).unwrap_or("");
                let key: String = line
                    .split(", page")
                    .next()
                    .unwrap()
                    .split(" (ledger")
                    .next()
                    .unwrap()
                    .split(" [actor")
                    .next()
                    .unwrap()
                    .into();
                let entry = kinds.entry(key).or_insert((0, text.clone()));
                entry.0 += 1;
                if text.len() < entry.1.len() {
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
    assert!(kinds.is_empty());
}

#[test]
fn nothing_breaks_on_5_11() {
    runs(ShapeKind::V5_11);
}

#[test]
fn nothing_breaks_on_6_12() {
    runs(ShapeKind::V6_12);
}

/// The patch as posted breaks, and neither hangs nor panics.
#[test]
fn the_patch_as_posted_breaks() {
    for driver in [DriverKind::Careful, DriverKind::Posted] {
        let devices = [
            DeviceSpec {
                pages: 3,
                mappings: 8,
                driver,
            },
            DeviceSpec {
                pages: 2,
                mappings: 8,
                driver,
            },
        ];
        let mut found = std::collections::BTreeMap::<String, (u32, String)>::new();
        for shape in [ShapeKind::V5_11, ShapeKind::V6_12] {
            let config = Config {
                shape,
                policy: PolicyKind::AsPosted,
                devices: &devices,
                ..CONFIG
            };
            for seed in 1..=number("RUNS", 1500) {
                if let Err(text) = run(&config, seed, None) {
                    let line = text.lines().find(|l| l.contains("[actor")).unwrap_or("");
                    let key = line
                        .split(", page")
                        .next()
                        .unwrap()
                        .split(" [actor")
                        .next()
                        .unwrap();
                    let entry = found.entry(key.trim().into()).or_insert((0, text.clone()));
                    entry.0 += 1;
                    if text.len() < entry.1.len() {
                        entry.1 = text;
                    }
                }
            }
        }
        for (key, (times, text)) in &found {
            println!("==== {driver:?}: {times} x {key}\n{text}");
        }
        assert!(found.keys().any(|key| key.starts_with("PIN")));
    }
}

/// The bug of which it does not take a search to find a race: programs that stumble upon it. The others that no order of whole
/// operations shows have their races in `seeded_races.rs`.
#[test]
fn a_racy_bug_is_found() {
    const GUP: &[Op] = &[Op::Gup(0, false, false, true), Op::Gup(0, true, true, true)];
    const REUSE: &[Op] = &[
        Op::DontNeed(0, 2),
        Op::Write(1, 1),
        Op::DontNeed(0, 2),
        Op::Write(1, 2),
    ];
    let bug = Bug::GupWithoutRecheck;
    let config = Config {
        bugs: &[bug],
        ..CONFIG
    };
    let programs: &[&[Op]] = &[GUP, REUSE];
    let found = (1..=20_000).find(|seed| {
        run(&config, *seed, Some(programs)).is_err_and(|text| text.contains(bug.breaks().name()))
    });
    println!("{}: {} after {found:?} runs", bug.name(), bug.breaks());
    assert!(found.is_some(), "{}", bug.name());
}
