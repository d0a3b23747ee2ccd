//! What `cargo bench` measures, and prints with the machine it was measured on:
//!
//! - executions a second on one core of the exhaustive engine, for races on the simulated machine and for a bare model
//!   beside each: as many actors, who do as many visible operations each on words of their own engine and nothing else.
//!   The ratio is what the machine, its ledger and its checks leave of the engine's speed.
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

/// Actors who do so many visible operations each: on words, and with each fourth on a monitor, as a race on the machine
/// does about.
struct Bare {
    actors: usize,
    operations: usize,
}

type Words = (
    [<Scheduled as Synchronisation>::U32; 4],
    <Scheduled as Synchronisation>::Monitor,
);

impl Model for Bare {
    type Shared = Words;

    fn actors(&self) -> usize {
        self.actors
    }

    fn set_up(&self) -> Words {
        (core::array::from_fn(|_| Atomic32::new(0)), Monitor::new(0))
    }

    fn act(&self, (words, monitor): &Words, _: usize) {
        for number in 0..self.operations {
            match number % 4 {
                0 => monitor.update(|value| (value.wrapping_add(1), ())),
                1 => {
                    words[1].load(Ordering::Acquire);
                }
                place => {
                    words[place].fetch_add(1, Ordering::AcqRel);
                }
            }
        }
    }

    /// Every operation was done: so the compiler leaves none out.
    fn broken(&self, (_, monitor): &Words) -> Option<(Invariant, &'static str)> {
        let updates = self.actors * self.operations.div_ceil(4);
        (monitor.read() as usize != updates).then_some((Invariant::Data, "an update is lost"))
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
    sound(match numbers {
        Some((Ok(actors), Ok(operations))) => {
            model::explore(&Arc::new(Bare { actors, operations }), &settings)
        }
        _ => explore(&find(what), PolicyKind::Hardened, &settings),
    });
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

/// One race and its bare model, in turns.
fn compare(name: &str) {
    let race = find(name);
    let run = || explore(&race, PolicyKind::Hardened, &settings());
    let first = sound(run());
    let actors = race.programs.len();
    // As many as an execution has on average, rounded up.
    let average = first.all_operations.div_ceil(first.executions) as usize;
    let operations = average.div_ceil(actors);
    let bare = Arc::new(Bare { actors, operations });
    let (mut machine, mut model) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        machine.push(rate(run));
        model.push(rate(|| model::explore(&bare, &settings())));
    }
    let (machine, model) = (median(machine), median(model));
    print!(
        "{name:<28} {actors:>6} {average:>10} {:>10} {machine:>12.0} {model:>12.0} {:>6.2}",
        first.executions,
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
        "{:<28} {:>6} {:>10} {:>10} {:>12} {:>12} {:>6}{:>14} {:>12} {:>6}",
        "exhaustive",
        "actors",
        "operations",
        "executions",
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
