//! The machine under loom: the same code, with loom's atomics, mutexes and condition variables behind
//! [`Synchronisation`], and no `--cfg`.
//!
//! Each test runs two actors on a small machine through every execution that loom finds at a bound, those in which
//! an atomic returns an old value included. After each execution everything is looked at: the violations found on the
//! way, the machine when all is quiet, and what is left when every process has exited. What came of the operations and
//! of the machine is its *final state*; a test says which of them there must be, since a test that sees one execution
//! only proves nothing.
//!
//! Loom's bound is not "every schedule with at most so many preemptions" (it drops alternatives at switches that are
//! free once the bound is spent), so nothing here claims to be complete. Loom is here for memory orderings.

use core::sync::atomic::Ordering;
use loom::sync::atomic::{fence, AtomicU32};
use loom::sync::{Condvar, Mutex};
use migrate_pin_core::ops::Range;
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::{Access, PAGE_SIZE};
use migrate_pin_sim::scenario::outcome::{self, Names};
use migrate_pin_sim::sync::{Atomic32, Monitor};
use migrate_pin_sim::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Instant;

// ---- the synchronisation ------------------------------------------------------------------------------------

/// Loom's. With `FENCES` false `smp_mb()` is left out everywhere, to show that loom notices.
#[derive(Clone, Copy)]
struct Loom<const FENCES: bool>;

struct Word(AtomicU32);

macro_rules! visible {
    ($( fn $name:ident(&self $(, $arg:ident: $ty:ty)*) $(-> $ret:ty)? ; )*) => {
        $( fn $name(&self $(, $arg: $ty)*) $(-> $ret)? {
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

/// A number under a mutex, and a condition variable. Never `try_lock()`: loom's can report a deadlock that is none
/// (its issue 376). The mutex is held for the change only, so nothing is lost.
struct Number {
    inside: Mutex<Inside>,
    changed: Condvar,
}

struct Inside {
    number: u32,
    /// How many threads wait. Waking is one more step for loom, which is saved where nobody waits.
    waiting: u32,
}

impl Number {
    fn lock(&self) -> loom::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Monitor for Number {
    fn new(number: u32) -> Self {
        Self {
            inside: Mutex::new(Inside { number, waiting: 0 }),
            changed: Condvar::new(),
        }
    }

    fn update<R>(&self, mut change: impl FnMut(u32) -> (u32, R)) -> R {
        let mut inside = self.lock();
        let (number, result) = change(inside.number);
        let wake = number != inside.number && inside.waiting > 0;
        inside.number = number;
        // Who waits has let go of the mutex in one piece with going to sleep: he can't miss this.
        drop(inside);
        if wake {
            self.changed.notify_all();
        }
        result
    }

    fn read(&self) -> u32 {
        self.lock().number
    }

    /// Always true: if nobody will change the number, loom panics ("deadlock").
    fn wait(&self, mut until: impl FnMut(u32) -> bool) -> bool {
        let mut inside = self.lock();
        while !until(inside.number) {
            inside.waiting += 1;
            inside = self
                .changed
                .wait(inside)
                .unwrap_or_else(PoisonError::into_inner);
            inside.waiting -= 1;
        }
        true
    }
}

impl<const FENCES: bool> Synchronisation for Loom<FENCES> {
    type U32 = Word;
    type Monitor = Number;
    type Array<T: Send + Sync> = Vec<T>;
    const LEDGER: bool = true;
    // Loom runs one thread at a time, and switches only where one is about to use one of its types.
    const STEPWISE: bool = true;
    const WEAK_MEMORY: bool = true;
    fn fence() {
        if FENCES {
            fence(Ordering::SeqCst);
        }
    }
}

// ---- the machine --------------------------------------------------------------------------------------------

const MM: MmId = MmId(0);
const CHILD: MmId = MmId(1);
const DEVICE: DeviceId = DeviceId(0);
/// The page that the actors fight for, and what is in it at first.
const PAGE: usize = 0;
const WORD: u32 = 10;
/// Another one of the same address space, for what is handed out anew.
const OTHER_PAGE: usize = 1;

/// Two CPUs in one address space of two pages (another one is there to fork into), a device with two pages. As little
/// as will do: loom looks at every atomic at every fence.
const CONFIG: Config<'static> = Config {
    system_pages: 3,
    mm_pages: 2,
    swap_slots: 0,
    pin_records: 2,
    mms: &[
        MmSpec {
            memcg: MemcgId(0),
            vmas: &[VmaSpec::anonymous(0, 2)],
        },
        MmSpec {
            memcg: MemcgId(0),
            vmas: &[],
        },
    ],
    devices: &[DeviceSpec {
        pages: 2,
        mappings: 2,
        driver: DriverKind::Careful,
    }],
    ..Config::SMALL
};

const fn at(page: usize) -> usize {
    page * PAGE_SIZE
}

const fn page(page: usize) -> Range {
    Range {
        start: at(page),
        end: at(page + 1),
    }
}

/// What an actor does; the result goes into the final state.
#[derive(Clone, Copy, Debug)]
enum Op {
    Read(usize),
    Write(usize, u32),
    /// Acquire for the device, to write.
    Acquire,
    /// The device adds, if it may.
    DeviceAdd(u32),
    DontNeed,
    Munmap,
    Fork,
    /// A short reference by the way without locks: write this through it, put it.
    GupFast(u32),
    /// The same with a pin (`FOLL_PIN`).
    PinFast(u32),
}

fn until_done<T, const FENCES: bool>(
    cpu: &Cpu<'_, Loom<FENCES>>,
    mut op: impl FnMut() -> Progress<T>,
) -> T {
    loop {
        match op() {
            Progress::Done(result) => return result,
            Progress::Blocked(WaitFor::Others) => loom::thread::yield_now(),
            Progress::Blocked(wait) => {
                // Never false here; see `Number::wait()`.
                cpu.wait(wait);
            }
        }
    }
}

fn perform<const FENCES: bool>(cpu: &Cpu<'_, Loom<FENCES>>, op: Op) -> String {
    let dev = cpu.device(DEVICE, MM);
    let gup = |value: u32, pin: bool| {
        let flags = GupFlags { write: true, pin };
        match cpu.gup_fast(at(PAGE), flags) {
            Some(held) => {
                cpu.gup_write(&held, value);
                cpu.gup_put(held);
                "got it"
            }
            None => "refused",
        }
    };
    match op {
        Op::Read(vpn) => format!("{:?}", until_done(cpu, || cpu.read(at(vpn)))),
        Op::Write(vpn, word) => format!("{:?}", until_done(cpu, || cpu.write(at(vpn), word))),
        Op::Acquire => match until_done(cpu, || dev.acquire(page(PAGE), Access::Write)) {
            Ok(acquired) => format!("granted {}", acquired.granted),
            Err(error) => format!("{error:?}"),
        },
        Op::DeviceAdd(word) => format!("{:?}", dev.access(at(PAGE), DeviceOp::Add(word))),
        Op::DontNeed => format!("{:?}", until_done(cpu, || cpu.dontneed(page(PAGE)))),
        Op::Munmap => format!("{:?}", until_done(cpu, || cpu.munmap(page(PAGE)))),
        Op::Fork => format!("{:?}", until_done(cpu, || cpu.fork(CHILD))),
        Op::GupFast(word) => gup(word, false).to_owned(),
        Op::PinFast(word) => gup(word, true).to_owned(),
    }
}

// ---- exploration --------------------------------------------------------------------------------------------

/// A test as data: types of loom can't be made outside of an execution.
struct Race {
    name: &'static str,
    config: Config<'static>,
    /// Done by the first actor before anybody else runs.
    given: &'static [Op],
    /// What the two actors do.
    actors: [&'static [Op]; 2],
    preemptions: usize,
}

impl Race {
    const NEW: Self = Self {
        name: "",
        config: CONFIG,
        given: &[],
        actors: [&[], &[]],
        preemptions: 2,
    };
}

/// What was seen in all executions.
#[derive(Default)]
struct Seen {
    executions: usize,
    /// Final states, and in how many executions.
    states: BTreeMap<String, usize>,
    /// What happened in any.
    events: BTreeSet<&'static str>,
    /// Each kind of violation, with the final state in which it was seen first.
    violations: BTreeMap<(&'static str, &'static str), String>,
}

impl Seen {
    fn has(&self, event: Event) -> bool {
        self.events.contains(event.name())
    }

    fn broken(&self, invariant: Invariant, what: &str) -> bool {
        self.violations.contains_key(&(invariant.name(), what))
    }
}

fn lock(seen: &StdMutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One execution. Nothing panics for a violation: it is recorded, and the execution goes on.
fn execute<const FENCES: bool>(race: &'static Race, shape: ShapeKind, seen: &StdMutex<Seen>) {
    let config = Config {
        shape,
        ..race.config
    };
    let machine = match Machine::<Loom<FENCES>>::new(&config) {
        Ok(machine) => Arc::new(machine),
        Err(error) => panic!("{error:?}"),
    };
    let (mms, pages) = (config.mms.len(), config.mm_pages);
    assert!(machine.populate(MM, PAGE, Populate::Written(WORD)));
    for op in race.given {
        perform(&machine.cpu(ActorId(0)), *op);
    }
    let mut names = Names::mapped(&machine, mms, pages);
    // Loom may not explore a thread whose first operation is an atomic load (its issue 392): this comes before.
    let start = Arc::new(AtomicU32::new(0));
    let mut threads = Vec::new();
    for (actor, ops) in race.actors.into_iter().enumerate() {
        let (machine, start) = (machine.clone(), start.clone());
        threads.push(spawn(move || {
            start.fetch_add(1, Ordering::Relaxed);
            let cpu = machine.cpu(ActorId(actor as u8));
            let said = |op: &Op| format!("{op:?}: {}", perform(&cpu, *op));
            ops.iter().map(said).collect::<Vec<_>>().join(", ")
        }));
    }
    let mut lines: Vec<_> = threads.into_iter().map(join).collect();

    // As the runner of scenarios does: what there is, when all is quiet, and when all have exited.
    lines.extend(outcome::state(&machine, &mut names, mms, pages, 1));
    machine.check_quiescent();
    let events = machine.events();
    for mm in 0..mms {
        let exited = machine.cpu(ActorId(0)).exit_in(MmId(mm as u8));
        assert_eq!(exited, Progress::Done(()), "somebody still has mmap_lock");
    }
    machine.check_quiescent();
    machine.check_nothing_left();

    let text = lines.join("\n");
    let mut seen = lock(seen);
    seen.executions += 1;
    for event in Event::ALL.iter().filter(|event| events.contains(**event)) {
        seen.events.insert(event.name());
    }
    for violation in machine.violations() {
        let kind = (violation.invariant.name(), violation.what);
        let story = || format!("{violation}\n{text}");
        seen.violations.entry(kind).or_insert_with(story);
    }
    *seen.states.entry(text).or_default() += 1;
}

/// How big a stack is. Loom's own have 32 KiB, which is too little for a machine that is not in its box yet. In words,
/// whatever loom's documentation says.
const STACK: usize = 64 * 1024;

fn spawn<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> loom::thread::JoinHandle<T> {
    match loom::thread::Builder::new().stack_size(STACK).spawn(body) {
        Ok(thread) => thread,
        Err(error) => panic!("{error}"),
    }
}

fn join<T>(thread: loom::thread::JoinHandle<T>) -> T {
    match thread.join() {
        Ok(result) => result,
        Err(_) => panic!("a thread panicked"),
    }
}

/// All executions that loom finds on one shape of the kernel; what they came to is printed.
fn explore<const FENCES: bool>(race: &'static Race, shape: ShapeKind) -> Seen {
    let seen = Arc::new(StdMutex::new(Seen::default()));
    let mut builder = loom::model::Builder::new();
    // The model, the thread with the big stack that has the machine, two actors.
    builder.max_threads = 4;
    builder.max_branches = 10_000;
    builder.preemption_bound = Some(race.preemptions);
    // Neither may the environment cut it short.
    builder.max_permutations = None;
    builder.max_duration = None;
    let began = Instant::now();
    let collected = seen.clone();
    builder.check(move || {
        let collected = collected.clone();
        join(spawn(move || execute::<FENCES>(race, shape, &collected)));
    });
    let seen = std::mem::take(&mut *lock(&seen));
    println!(
        "{}, {shape:?}: {} executions at loom bound {}, {} final states, {:.1} s",
        race.name,
        seen.executions,
        race.preemptions,
        seen.states.len(),
        began.elapsed().as_secs_f32(),
    );
    println!("events: {:?}", seen.events);
    for (state, times) in &seen.states {
        println!("---- {times} times\n{state}");
    }
    for ((invariant, what), story) in &seen.violations {
        println!("==== {invariant}: {what}\n{story}");
    }
    seen
}

/// Both shapes: nothing breaks, at least so many final states and executions, and these events.
fn holds(race: &'static Race, states: usize, executions: usize, events: &[Event]) {
    for shape in [ShapeKind::V5_11, ShapeKind::V6_12] {
        let seen = explore::<true>(race, shape);
        assert!(seen.violations.is_empty(), "{:#?}", seen.violations);
        for event in events {
            assert!(seen.has(*event), "no execution has {}", event.name());
        }
        assert!(seen.states.len() >= states, "too few final states");
        assert!(seen.executions >= executions, "too few executions");
    }
}

// ---- the races ----------------------------------------------------------------------------------------------

/// Acquire and use, while a CPU writes and gets the page back.
#[test]
fn write_against_round_trip() {
    const RACE: Race = Race {
        name: "CPU write against acquire and device access",
        actors: [&[Op::Acquire, Op::DeviceAdd(1)], &[Op::Write(PAGE, 50)]],
        ..Race::NEW
    };
    let events = [
        Event::Acquired,
        Event::DeviceAccess,
        Event::DeviceFault,
        Event::FaultedBack,
        Event::FaultRetried,
        Event::MigrationWait,
        Event::TrylockBusy,
    ];
    holds(&RACE, 3, 300, &events);
}

/// Acquire against a short reference that is taken without a lock: before, meanwhile (it backs out), or not at all.
#[test]
fn gup_fast_against_acquire() {
    const RACE: Race = Race {
        name: "GUP-fast against acquire",
        actors: [&[Op::Acquire, Op::DeviceAdd(1)], &[Op::GupFast(50)]],
        ..Race::NEW
    };
    let events = [
        Event::Acquired,
        Event::GupFast,
        Event::GupFastBackedOut,
        Event::OlderReference,
    ];
    holds(&RACE, 3, 200, &events);
}

/// The same with a pin for DMA, which is a reason to refuse.
#[test]
fn pin_fast_against_acquire() {
    const RACE: Race = Race {
        name: "pin_user_pages_fast() against acquire",
        actors: [&[Op::Acquire, Op::DeviceAdd(1)], &[Op::PinFast(50)]],
        ..Race::NEW
    };
    let events = [
        Event::Acquired,
        Event::GupPinned,
        Event::GupFastBackedOut,
        Event::PinRefused,
        Event::Restore,
    ];
    holds(&RACE, 4, 200, &events);
}

/// Two CPUs want a page back that a device has: one gets it for both.
#[test]
fn two_faults_on_one_page() {
    const RACE: Race = Race {
        name: "two CPUs fault on one pinned page",
        given: &[Op::Acquire, Op::DeviceAdd(1)],
        actors: [&[Op::Read(PAGE)], &[Op::Write(PAGE, 50)]],
        ..Race::NEW
    };
    let events = [
        Event::FaultedBack,
        Event::FaultRetried,
        Event::MigrationWait,
        Event::Blocked,
    ];
    holds(&RACE, 2, 1000, &events);
}

/// The process drops the page while it is being acquired: before, in between (the migration entry is zapped), after.
#[test]
fn dontneed_against_acquire() {
    const RACE: Race = Race {
        name: "MADV_DONTNEED against acquire",
        actors: [&[Op::Acquire, Op::DeviceAdd(1)], &[Op::DontNeed]],
        ..Race::NEW
    };
    let events = [
        Event::Acquired,
        Event::PinRefused,
        Event::MigrationEntryZapped,
        Event::NotifierRetry,
        Event::PageFreeWithPair,
    ];
    holds(&RACE, 3, 100, &events);
}

/// The area goes before the page is acquired, before the device uses it, or after.
#[test]
fn munmap_against_acquire() {
    const RACE: Race = Race {
        name: "munmap() against acquire",
        actors: [&[Op::Acquire, Op::DeviceAdd(1)], &[Op::Munmap]],
        ..Race::NEW
    };
    let events = [
        Event::Acquired,
        Event::DeviceFault,
        Event::PageFreeWithPair,
        Event::Blocked,
    ];
    holds(&RACE, 3, 20, &events);
}

// ---- loom can fail ------------------------------------------------------------------------------------------

/// GUP-fast, while its page is freed and handed out again.
const REUSE: Race = Race {
    name: "GUP-fast against munmap() and reuse",
    actors: [&[Op::GupFast(50)], &[Op::Munmap, Op::Write(OTHER_PAGE, 9)]],
    ..Race::NEW
};

#[test]
fn gup_fast_against_reuse() {
    let events = [Event::GupFast, Event::GupFastBackedOut, Event::PageFreed];
    holds(&REUSE, 2, 50, &events);
}

/// A bug that no order of whole operations shows is found.
#[test]
fn seeded_race_is_found() {
    const BROKEN: Race = Race {
        name: "the same without looking at the entry again",
        config: Config {
            bugs: &[Bug::GupWithoutRecheck],
            ..CONFIG
        },
        ..REUSE
    };
    let seen = explore::<true>(&BROKEN, ShapeKind::V5_11);
    let expected = "GUP has a page that was freed since it looked";
    assert!(seen.broken(Bug::GupWithoutRecheck.breaks(), expected));
}

/// What no interleaving shows, but only an old value. fork() raises the sequence count and then looks whether the page
/// is pinned; GUP-fast pins it and then looks at the sequence count. With a full barrier in between one sees the other,
/// and what is pinned is copied for the child; without, DMA writes to a page that the child shares.
#[test]
fn missing_barriers_are_found() {
    const RACE: Race = Race {
        name: "pin_user_pages_fast() against fork()",
        actors: [&[Op::Fork], &[Op::PinFast(50)]],
        ..Race::NEW
    };
    let events = [Event::ForkCopy, Event::GupPinned, Event::GupFastBackedOut];
    holds(&RACE, 4, 100, &events);
    assert!(!explore::<true>(&RACE, ShapeKind::V5_11).has(Event::GupStaleWrite));
    assert!(explore::<false>(&RACE, ShapeKind::V5_11).has(Event::GupStaleWrite));
}
