//! What `cargo bench` measures, and prints with the machine it was measured on:
//!
//! - executions a second on one core of the exhaustive engine, for races on the simulated machine and for a bare model
//!   beside each: as many actors, who do as many visible operations on words and locks of their own engine and nothing
//!   else. The ratio is what the machine, its ledger and its checks leave of the engine's speed. How often an execution
//!   switches is printed for both: an engine takes longer over a switch than over anything else.
//! - round trips of a pin on the spinning machine with the ledger compiled out: a driver acquires a page for its device,
//!   the device adds to it, a CPU's access takes it back.
//!
//! Each figure is the median of several runs that take turns, so that a busy moment of the host meets all alike; time is what
//! the thread had of a core, where the host tells. Beside the executions a second stands how many instructions one takes, if
//! `valgrind` is installed: that is the same on any host, however busy, but says nothing of caches.

use core::sync::atomic::Ordering;
use migrate_pin_core::ops::Range;
use migrate_pin_core::{Access, PolicyKind, PAGE_SIZE};
use migrate_pin_sim::engine::model::{self, Model};
use migrate_pin_sim::engine::scheduled::Scheduled;
use migrate_pin_sim::engine::{explore, Exploration, Settings};
use migrate_pin_sim::race::{self, Race};
use migrate_pin_sim::scenario::catalogue;
use migrate_pin_sim::sync::{Atomic32, Monitor};
use migrate_pin_sim::{
    ActorId, Config, DeviceId, DeviceOp, Invariant, Machine, MmId, Populate, SpinBare,
    Synchronisation,
};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// Runs of each measurement.
const RUNS: usize = 9;
/// Executions of a run, of the last bound.
const EXECUTIONS: u64 = 40_000;
/// Executions of the last bound in which instructions are counted: the difference is what the later ones take.
const COUNTED: [u64; 2] = [1_000, 4_000];
/// Preemptions.
const BOUND: u32 = 3;
/// Round trips of a run.
const TRIPS: u32 = 300_000;

/// The races that are measured: one of each kind of opponent that a driver has.
const RACES: &[&str] = &[
    "acquire-write",
    "life-munmap-while-at-once",
    "life-gup-while-at-once",
    "life-compact-while-at-once",
];

/// Actors who do so many visible operations each, and one more whenever they had to wait. As in a race on the machine each third
/// is on something that is waited on: two of nine take a lock, which is let go of again in one piece with an operation soon after
/// (25 to 27 times in a race of 114 to 130 operations), and so somebody waits for it about once in an execution.
struct Bare {
    actors: usize,
    operations: usize,
}

/// Take a lock, when it is free.
fn take(lock: &impl Monitor) {
    while !lock.update(|state| (1, state == 0)) {
        assert!(lock.wait(|state| state == 0), "nobody lets go of the lock");
    }
}

/// Let go of a lock: not visible, as it is not on the machine.
fn let_go(lock: &impl Monitor) {
    lock.update_quietly(|_| (0, ()));
}

/// Two words, a number that nobody waits for, and a lock.
struct Words {
    words: [<Scheduled as Synchronisation>::U32; 2],
    number: <Scheduled as Synchronisation>::Monitor,
    lock: <Scheduled as Synchronisation>::Monitor,
}

/// One of nine operations, if so many are left. Known when it is compiled: nothing is decided while the model runs.
#[inline(always)]
fn operate<const PLACE: usize>(shared: &Words, left: usize) {
    if left <= PLACE {
        return;
    }
    let [one, other] = &shared.words;
    match PLACE {
        0 | 3 => take(&shared.lock),
        1 | 7 => {
            one.load(Ordering::Acquire);
        }
        2 => {
            other.fetch_add(1, Ordering::AcqRel);
            let_go(&shared.lock);
        }
        4 => {
            one.load(Ordering::Acquire);
            let_go(&shared.lock);
        }
        6 => shared.number.update(|value| (value.wrapping_add(1), ())),
        _ => {
            other.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Model for Bare {
    type Shared = Words;

    fn actors(&self) -> usize {
        self.actors
    }

    fn set_up(&self) -> Words {
        Words {
            words: core::array::from_fn(|_| Atomic32::new(0)),
            number: Monitor::new(0),
            lock: Monitor::new(0),
        }
    }

    fn act(&self, shared: &Words, _: usize) {
        let mut left = self.operations;
        while left > 0 {
            operate::<0>(shared, left);
            operate::<1>(shared, left);
            operate::<2>(shared, left);
            operate::<3>(shared, left);
            operate::<4>(shared, left);
            operate::<5>(shared, left);
            operate::<6>(shared, left);
            operate::<7>(shared, left);
            operate::<8>(shared, left);
            left = left.saturating_sub(9);
        }
        // Where the last operations were cut off.
        if matches!(self.operations % 9, 1 | 2 | 4) {
            let_go(&shared.lock);
        }
    }

    /// Every operation was done: so the compiler leaves none out.
    fn broken(&self, shared: &Words) -> Option<(Invariant, &'static str)> {
        let of_each = (0..self.operations).filter(|number| number % 9 == 6);
        let updates = self.actors * of_each.count();
        let lost = shared.number.read() as usize != updates || shared.lock.read() != 0;
        lost.then_some((Invariant::Data, "an update is lost"))
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn settings() -> Settings {
    Settings {
        executions: EXECUTIONS,
        ..Settings::exhaustive(BOUND)
    }
}

/// Seconds of a core that this thread has had; none where the host does not tell.
fn spent() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = stat.split(' ').next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

fn sound(exploration: Exploration) -> Exploration {
    assert!(
        exploration.found.is_none(),
        "something broke: {exploration:?}"
    );
    exploration
}

/// Executions a second.
fn rate(run: impl FnOnce() -> Exploration) -> f64 {
    let began = spent();
    let exploration = sound(run());
    let seconds = match (began, spent()) {
        (Some(began), Some(ended)) => ended - began,
        _ => exploration.seconds,
    };
    exploration.executions as f64 / seconds
}

/// Some executions of the last bound alone, for who counts their instructions: of a race, or of a bare model given as
/// ACTORSxOPERATIONS.
fn run_counted(what: &str, executions: u64) {
    let settings = Settings {
        executions,
        from: BOUND,
        ..Settings::exhaustive(BOUND)
    };
    let numbers = what.split_once('x').map(|(a, b)| (a.parse(), b.parse()));
    let done = sound(match numbers {
        Some((Ok(actors), Ok(operations))) => {
            model::explore(&Arc::new(Bare { actors, operations }), &settings)
        }
        _ => explore(&find(what), PolicyKind::Hardened, &settings),
    });
    println!(
        "{} executions, {:.2} operations and {:.2} switches each",
        done.executions,
        each(done.all_operations, &done),
        each(done.all_switches, &done)
    );
}

/// Instructions of an execution, by valgrind; none if it is not there.
fn instructions(what: &str) -> Option<f64> {
    let count = |executions: u64| {
        let out = Command::new("valgrind")
            .args(["--tool=cachegrind", "--cache-sim=no"])
            .arg("--cachegrind-out-file=/dev/null")
            .arg(std::env::current_exe().ok()?)
            .args(["--counted", what, &executions.to_string()])
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&out.stderr).replace(',', "");
        let line = said.lines().find(|line| line.contains("I   refs:"))?;
        line.split_whitespace().last()?.parse::<u64>().ok()
    };
    let [few, many] = COUNTED;
    let more = count(many)?.checked_sub(count(few)?)?;
    Some(more as f64 / (many - few) as f64)
}

fn find(name: &str) -> Arc<Race> {
    let sequential = catalogue::all().into_iter().filter_map(Race::of);
    let found = race::all()
        .into_iter()
        .chain(sequential)
        .find(|race| race.name == name);
    Arc::new(found.unwrap_or_else(|| panic!("there is no race {name}")))
}

/// So many of all executions, in each.
fn each(all: u64, exploration: &Exploration) -> f64 {
    all as f64 / exploration.executions as f64
}

/// One race and its bare model, in turns.
fn compare(name: &str) {
    let race = find(name);
    let run = || explore(&race, PolicyKind::Hardened, &settings());
    let first = sound(run());
    let actors = race.programs.len();
    // As many as an execution has on average, rounded up.
    let average = first.all_operations.div_ceil(first.executions) as usize;
    // One less, rounded down: whoever waits does one more.
    let operations = average.saturating_sub(1) / actors;
    let bare = Arc::new(Bare { actors, operations });
    let of_bare = sound(model::explore(&bare, &settings()));
    let (mut machine, mut model) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        machine.push(rate(run));
        model.push(rate(|| model::explore(&bare, &settings())));
    }
    let (machine, model) = (median(machine), median(model));
    print!(
        "{name:<28} {actors:>6} {:>10} {:>6.1} {:>6.1} {:>6.1} {:>6.1} {machine:>12.0} {model:>12.0} {:>6.2}",
        first.executions,
        each(first.all_operations, &first),
        each(of_bare.all_operations, &of_bare),
        each(first.all_switches, &first),
        each(of_bare.all_switches, &of_bare),
        machine / model
    );
    let counted = instructions(name).zip(instructions(&format!("{actors}x{operations}")));
    match counted {
        Some((machine, model)) => {
            println!("{machine:>14.0} {model:>12.0} {:>6.2}", model / machine);
        }
        None => println!(),
    }
}

fn round_trips() -> f64 {
    const MM: MmId = MmId(0);
    let machine = match Machine::<SpinBare>::new(&Config::SMALL) {
        Ok(machine) => Box::new(machine),
        Err(error) => panic!("{error:?}"),
    };
    assert!(machine.populate(MM, 1, Populate::Written(7)));
    let driver = machine.cpu(ActorId(0)).device(DeviceId(0), MM);
    let cpu = machine.cpu(ActorId(1));
    let range = Range {
        start: PAGE_SIZE,
        end: 2 * PAGE_SIZE,
    };
    let began = Instant::now();
    for trip in 0..TRIPS {
        let acquired = driver.acquire(range, Access::Write).done();
        assert_eq!(acquired.map(|a| a.map(|a| a.granted)), Some(Ok(1)));
        assert_eq!(driver.access(PAGE_SIZE, DeviceOp::Add(1)), Some(7 + trip));
        assert_eq!(cpu.read(PAGE_SIZE).done(), Some(Ok(8 + trip)));
    }
    f64::from(TRIPS) / began.elapsed().as_secs_f64()
}

/// The host, the compiler.
fn where_it_ran() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    println!(
        "{}, {cores} cores; {}",
        model.as_deref().unwrap_or("unknown CPU"),
        rustc.as_deref().unwrap_or("unknown compiler")
    );
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, what, name, executions] = args.as_slice() {
        if what == "--counted" {
            let executions = executions.parse();
            return run_counted(name, executions.expect("a number of executions"));
        }
    }
    // `cargo test --benches` asks whether it runs, and `cargo bench` says so.
    if !args.iter().any(|arg| arg == "--bench") {
        return;
    }
    where_it_ran();
    println!(
        "{:<28} {:>6} {:>10} {:>6} {:>6} {:>6} {:>6} {:>12} {:>12} {:>6}{:>14} {:>12} {:>6}",
        "exhaustive",
        "actors",
        "executions",
        "oper.",
        "bare",
        "switch",
        "bare",
        "machine/s",
        "bare/s",
        "ratio",
        "instructions",
        "bare",
        "ratio"
    );
    for name in RACES {
        compare(name);
    }
    let trips = median((0..RUNS).map(|_| round_trips()).collect());
    println!("pin round trips, ledger compiled out: {trips:.0}/s");
}
