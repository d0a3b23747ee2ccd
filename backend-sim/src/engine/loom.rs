//! Loom: the same races with loom's atomics, mutexes and condition variables, in which an atomic may return any value
//! that the memory orderings allow.
//!
//! Loom's bound is not "every schedule with at most so many preemptions" (it drops alternatives at switches that are
//! free once the bound is spent), so nothing here is complete: loom is here for memory orderings.

use crate::engine::execution::{play, set_up, wind_up, Conduct, Stage};
use crate::engine::{Exploration, Found, Kind, Settings};
use crate::event::EventSet;
use crate::race::Race;
use crate::sync::{Atomic32, Heap, Monitor, Shared, Synchronisation};
use core::sync::atomic::Ordering::{self, Relaxed};
use loom::sync::atomic::{fence, AtomicU32};
use loom::sync::{Condvar, Mutex};
use migrate_pin_core::PolicyKind;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Who waits for others when everybody else is done may look again so often: more than on the board of the other engines, since
/// what it sees may be an old value at first.
const MAX_PAUSES_ALONE: u32 = 8;

/// All actors together may wait for others so often in an execution; then it does not end. Loom's own limit is a panic at
/// [`MAX_BRANCHES`], so this has to come before.
const MAX_PAUSES: u32 = 100;

/// Most branches of an execution: loom panics beyond.
const MAX_BRANCHES: usize = 20_000;

/// Most actors: loom has five threads, and needs two of them.
pub const MAX_ACTORS: usize = 3;

/// Scheduled by loom. With `FENCES` false `smp_mb()` is left out everywhere, to show that loom notices.
#[derive(Clone, Copy, Debug)]
pub struct Loom<const FENCES: bool>;

/// A word of loom's.
#[derive(Debug)]
pub struct Word(AtomicU32);

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
#[derive(Debug)]
pub struct Number {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inside {
    number: u32,
    /// How many threads sleep. Waking is one more step for loom, which is saved where nobody does.
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
        if wake {
            crew(|crew| crew.asleep -= inside.waiting);
            inside.waiting = 0;
        }
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

    fn wait(&self, mut until: impl FnMut(u32) -> bool) -> bool {
        let mut inside = self.lock();
        while !until(inside.number) {
            if !crew(Crew::sleep) {
                return false;
            }
            inside.waiting += 1;
            inside = self
                .changed
                .wait(inside)
                .unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}

impl<const FENCES: bool> Synchronisation for Loom<FENCES> {
    type U32 = Word;
    type Monitor = Number;
    type Array<T: Send + Sync, const N: usize> = Heap<T, N>;
    type Room<T: Send + Sync> = Shared<T>;
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

/// What the actors of this execution are at. Loom runs them all on one thread of the operating system, in turns.
#[derive(Clone, Copy, Default)]
struct Crew {
    /// How many are not done yet.
    acting: u32,
    /// Of those, how many sleep until a number changes.
    asleep: u32,
    /// How often one has waited for others, and how often when there were no others.
    pauses: u32,
    alone: u32,
    /// One has waited for others too often.
    endless: bool,
}

impl Crew {
    /// One is about to sleep. False if all others do: nobody would wake it, and loom panicked ("deadlock").
    fn sleep(&mut self) -> bool {
        let others = self.asleep + 1 < self.acting;
        self.asleep += u32::from(others);
        others
    }

    /// One has nothing to do until others have run. False if that has come to nothing too often.
    fn pause(&mut self) -> bool {
        self.pauses += 1;
        self.alone += u32::from(self.acting == 1);
        self.endless |= self.alone > MAX_PAUSES_ALONE || self.pauses > MAX_PAUSES;
        !self.endless
    }
}

thread_local! {
    static CREW: Cell<Crew> = const { Cell::new(Crew { acting: 0, asleep: 0, pauses: 0, alone: 0, endless: false }) };
}

/// Use the crew of this execution.
fn crew<R>(change: impl FnOnce(&mut Crew) -> R) -> R {
    let mut crew = CREW.get();
    let result = change(&mut crew);
    CREW.set(crew);
    result
}

/// What is collected from execution to execution.
#[derive(Default)]
struct Collected {
    executions: u64,
    events: EventSet,
    states: BTreeSet<Vec<String>>,
    found: Option<Found>,
    /// Nobody wants to know any more.
    stopped: bool,
}

/// What unwinds loom when something is found, or when nobody wants to know any more: it has no other way to be told.
struct Enough;

fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        Err(panic) => resume_unwind(panic),
    }
}

/// One execution. Nothing panics for a violation: it is recorded, and the execution goes on.
fn execute<const FENCES: bool>(
    race: &Arc<Race>,
    policy: PolicyKind,
    settings: &Settings,
    collected: &StdMutex<Collected>,
) {
    let conduct = Conduct {
        step: |_| (),
        pause: || {
            loom::thread::yield_now();
            crew(Crew::pause)
        },
        speak: settings.states,
    };
    CREW.set(Crew::default());
    let (stage, hands) = set_up::<Loom<FENCES>>(race, policy, settings.bugs, settings.states);
    let stage: Arc<Stage<Loom<FENCES>>> = Arc::new(stage);
    // Loom may not explore a thread whose first operation is an atomic load (its issue 392): this comes before.
    let start = Arc::new(AtomicU32::new(0));
    crew(|crew| crew.acting = race.programs.len() as u32);
    let threads: Vec<_> = hands
        .into_iter()
        .enumerate()
        .map(|(index, hands)| {
            let (stage, race, start) = (stage.clone(), race.clone(), start.clone());
            spawn(move || {
                start.fetch_add(1, Relaxed);
                let lines = play(&stage, &race.programs[index], hands, &conduct);
                crew(|crew| crew.acting -= 1);
                lines
            })
        })
        .collect();
    let mut said = Vec::new();
    for (program, thread) in race.programs.iter().zip(threads) {
        let lines = join(thread);
        said.extend(lines.iter().map(|line| format!("{} {line}", program.actor)));
    }
    let outcome = wind_up(&stage, race, settings.states.then_some(said));
    let mut collected = lock(collected);
    collected.executions += 1;
    collected.events = collected.events.union(outcome.events);
    if settings.states {
        collected.states.insert(outcome.state);
    }
    if settings.news(&outcome.violations) && collected.found.is_none() {
        collected.found = Some(Found {
            broken: outcome.broken,
            violations: outcome.violations,
            schedule: Vec::new(),
            bound: Some(settings.bound),
            execution: collected.executions,
            endless: crew(|crew| crew.endless),
            events: outcome.events,
        });
    }
}

fn check<const FENCES: bool>(
    race: &Arc<Race>,
    policy: PolicyKind,
    settings: &Settings,
    collected: &Arc<StdMutex<Collected>>,
) {
    let mut builder = loom::model::Builder::new();
    builder.max_threads = MAX_ACTORS + 2;
    builder.max_branches = MAX_BRANCHES;
    builder.preemption_bound = Some(settings.bound as usize);
    // Loom looks at its limits every so many executions.
    builder.checkpoint_interval = 1;
    // It counts from one, and looks before it runs.
    builder.max_permutations = usize::try_from(settings.executions.saturating_add(1)).ok();
    builder.max_duration = None;
    let (race, settings, collected) = (race.clone(), settings.clone(), collected.clone());
    let model = move || {
        let so_far = collected.clone();
        let (race, settings, collected) = (race.clone(), settings.clone(), collected.clone());
        let stop = settings.stop.clone();
        join(spawn(move || {
            execute::<FENCES>(&race, policy, &settings, &collected);
        }));
        let mut so_far = lock(&so_far);
        so_far.stopped = stop.load(Relaxed);
        if so_far.stopped || so_far.found.is_some() {
            drop(so_far);
            // Nothing of loom's is left by now that would be dropped on the way.
            resume_unwind(Box::new(Enough));
        }
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| builder.check(model))) {
        if !panic.is::<Enough>() {
            resume_unwind(panic);
        }
    }
}

/// The executions that loom finds at its bound. A race with more than [`MAX_ACTORS`] actors is not run: no execution.
pub(crate) fn explore(race: &Arc<Race>, policy: PolicyKind, settings: &Settings) -> Exploration {
    let began = Instant::now();
    let collected = Arc::new(StdMutex::new(Collected::default()));
    if race.programs.len() <= MAX_ACTORS {
        match settings.fences {
            true => check::<true>(race, policy, settings, &collected),
            false => check::<false>(race, policy, settings, &collected),
        }
    }
    let collected = std::mem::take(&mut *lock(&collected));
    Exploration {
        kind: Kind::Loom,
        executions: collected.executions,
        bound: Some(settings.bound),
        complete: false,
        // Loom returns alike from its last execution and from the last that it may do.
        cut: collected.found.is_none()
            && (collected.stopped || collected.executions >= settings.executions),
        seconds: began.elapsed().as_secs_f64(),
        operations: 0,
        all_operations: 0,
        all_switches: 0,
        events: collected.events,
        states: collected.states,
        found: collected.found,
        ways: Vec::new(),
    }
}
