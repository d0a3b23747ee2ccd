//! Running a race on shuttle's coroutines: exhaustively, by samples, or once more by a script.

use crate::config::MAX_ACTORS;
use crate::engine::board::{self, board, Chooser, Operation};
use crate::engine::driven::Driven;
use crate::engine::execution::{play, set_up, wind_up, Conduct, Outcome, Stage};
use crate::engine::exhaustive::Search;
use crate::engine::scheduled::Scheduled;
use crate::engine::{Exploration, Found, Kind, Settings};
use crate::event::EventSet;
use crate::race::Race;
use migrate_pin_core::PolicyKind;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Bytes of a stack, an actor's or that on which the machine is built: the latter needs most, without optimisation. Only what is
/// touched is ever there.
const STACK: usize = 1024 * 1024;

/// What is collected from execution to execution.
#[derive(Debug, Default)]
struct Collected {
    executions: u64,
    operations: usize,
    events: EventSet,
    states: BTreeSet<Vec<String>>,
    found: Option<Found>,
}

/// What a script's execution came to.
pub(crate) struct Scripted {
    pub(crate) outcome: Outcome,
    pub(crate) trace: Vec<Operation>,
    /// The machine, as it is after everybody has exited.
    pub(crate) stage: Arc<Stage<Scheduled>>,
    /// The first decision at which the script did not fit.
    pub(crate) off: Option<usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One execution: the actors as coroutines of shuttle's, beside the one that this runs in.
fn execute(
    race: &Arc<Race>,
    policy: PolicyKind,
    settings: &Settings,
    record: bool,
) -> (Outcome, Arc<Stage<Scheduled>>) {
    const CONDUCT: Conduct = Conduct {
        step: board::step,
        pause: board::pause,
    };
    board(|board| board.reset(record));
    let (stage, hands) = set_up::<Scheduled>(race, policy, settings.bugs);
    let stage = Arc::new(stage);
    let threads: Vec<_> = hands
        .into_iter()
        .enumerate()
        .map(|(index, hands)| {
            let (stage, race) = (stage.clone(), race.clone());
            shuttle::thread::spawn(move || {
                let said = play(&stage, &race.programs[index], hands, &CONDUCT);
                board::done();
                said
            })
        })
        .collect();
    assert!(
        threads.len() <= MAX_ACTORS,
        "{}: more than {MAX_ACTORS} actors",
        race.name
    );
    board(|board| board.race(threads.len()));
    let mut said = Vec::new();
    for (program, thread) in race.programs.iter().zip(threads) {
        match thread.join() {
            Ok(lines) if settings.states => {
                said.extend(lines.iter().map(|line| format!("{} {line}", program.actor)));
            }
            Ok(_) => {}
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    let mut outcome = wind_up(&stage, race, settings.states.then_some(said));
    if board(|board| board.tally().endless) && outcome.violations.is_empty() {
        stage.machine.report_deadlock(crate::config::ActorId(0));
        outcome.violations = stage.machine.violations().into_iter().collect();
        outcome.broken = stage.machine.broken().collect();
    }
    (outcome, stage)
}

/// All executions that `gate` lets begin.
fn run(
    race: &Arc<Race>,
    policy: PolicyKind,
    settings: &Settings,
    bound: Option<u32>,
    outside: Option<Box<dyn Scheduler + Send>>,
    collected: &Arc<Mutex<Collected>>,
) {
    let mut config = shuttle::Config::new();
    config.stack_size = STACK;
    config.failure_persistence = shuttle::FailurePersistence::None;
    config.max_steps = shuttle::MaxSteps::None;
    let (stop, most) = (settings.stop.clone(), settings.executions);
    let (gate_collected, mut begun) = (collected.clone(), 0);
    let gate = move || {
        begun += 1;
        begun <= most && !stop.load(Ordering::Relaxed) && lock(&gate_collected).found.is_none()
    };
    let (race, settings, collected) = (race.clone(), settings.clone(), collected.clone());
    shuttle::Runner::new(Driven::new(gate, outside), config).run(move || {
        let (outcome, _) = execute(&race, policy, &settings, false);
        let mut collected = lock(&collected);
        collected.executions += 1;
        collected.events = collected.events.union(outcome.events);
        board(|board| {
            let tally = board.tally();
            collected.operations = collected.operations.max(tally.operations);
            if !outcome.violations.is_empty() {
                collected.found = Some(Found {
                    broken: outcome.broken,
                    violations: outcome.violations,
                    schedule: tally.schedule.clone(),
                    bound,
                    execution: collected.executions,
                    endless: tally.endless,
                });
            }
        });
        if settings.states {
            collected.states.insert(outcome.state);
        }
    });
}

/// Every schedule with at most `settings.bound` preemptions: with `settings.from` at most first, then with one more, ...
pub(crate) fn exhaustive(race: &Arc<Race>, policy: PolicyKind, settings: &Settings) -> Exploration {
    let began = Instant::now();
    let collected = Arc::new(Mutex::new(Collected::default()));
    let mut complete = settings.from <= settings.bound;
    let mut reached = settings.from;
    for bound in settings.from..=settings.bound {
        reached = bound;
        board(|board| board.chooser = Chooser::Search(Search::new(bound)));
        run(race, policy, settings, Some(bound), None, &collected);
        let exhausted = board(|board| match &mut board.chooser {
            Chooser::Search(search) => search.exhausted(),
            _ => false,
        });
        if lock(&collected).found.is_some() {
            break;
        }
        complete = exhausted;
        if !complete {
            break;
        }
    }
    finished(collected, Kind::Exhaustive, Some(reached), complete, began)
}

/// So many schedules of shuttle's.
pub(crate) fn sampled(race: &Arc<Race>, policy: PolicyKind, settings: &Settings) -> Exploration {
    let began = Instant::now();
    let collected = Arc::new(Mutex::new(Collected::default()));
    let most = usize::try_from(settings.executions).unwrap_or(usize::MAX);
    let (outside, bound): (Box<dyn Scheduler + Send>, _) = match settings.kind {
        Kind::Pct => {
            let depth = settings.bound as usize + 1;
            let pct = PctScheduler::new_from_seed(settings.seed, depth, most);
            (Box::new(pct), Some(settings.bound))
        }
        _ => {
            let random = RandomScheduler::new_from_seed(settings.seed, most);
            (Box::new(random), None)
        }
    };
    board(|board| board.chooser = Chooser::Outside);
    run(race, policy, settings, bound, Some(outside), &collected);
    finished(collected, settings.kind, bound, false, began)
}

fn finished(
    collected: Arc<Mutex<Collected>>,
    kind: Kind,
    bound: Option<u32>,
    complete: bool,
    began: Instant,
) -> Exploration {
    let collected = std::mem::take(&mut *lock(&collected));
    Exploration {
        kind,
        executions: collected.executions,
        bound,
        complete,
        seconds: began.elapsed().as_secs_f64(),
        operations: collected.operations,
        events: collected.events,
        states: collected.states,
        found: collected.found,
    }
}

/// Run the schedule of a script once, and record each operation.
pub(crate) fn scripted(
    race: &Arc<Race>,
    policy: PolicyKind,
    settings: &Settings,
    actors: Vec<u8>,
) -> Option<Scripted> {
    board(|board| {
        board.chooser = Chooser::Script {
            actors,
            next: 0,
            off: None,
        };
    });
    let result = Arc::new(Mutex::new(None));
    let (mut once, collected) = (true, result.clone());
    let (race, settings) = (race.clone(), settings.clone());
    let mut config = shuttle::Config::new();
    config.stack_size = STACK;
    config.failure_persistence = shuttle::FailurePersistence::None;
    config.max_steps = shuttle::MaxSteps::None;
    let gate = move || std::mem::take(&mut once);
    shuttle::Runner::new(Driven::new(gate, None), config).run(move || {
        let (outcome, stage) = execute(&race, policy, &settings, true);
        let (trace, off) = board(|board| {
            let off = match &board.chooser {
                Chooser::Script { actors, next, off } => {
                    off.or((*next < actors.len()).then_some(*next))
                }
                _ => None,
            };
            (board.tally().trace.clone(), off)
        });
        *lock(&collected) = Some(Scripted {
            outcome,
            trace,
            stage,
            off,
        });
    });
    let scripted = lock(&result).take();
    scripted
}
