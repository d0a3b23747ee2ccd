//! Running a race on shuttle's coroutines: exhaustively, by samples, or once more by a script. Nothing here but
//! `execute()` knows of the machine, so that a [`model`](crate::engine::model) runs by the same code.

use crate::config::MAX_ACTORS;
use crate::engine::board::{self, board, Chooser, Operation};
use crate::engine::driven::Driven;
use crate::engine::execution::{
    build, look, play, set_up, wind_up, Conduct, Outcome, Repeated, Stage,
};
use crate::engine::exhaustive::Search;
use crate::engine::scheduled::Scheduled;
use crate::engine::{Behind, Exploration, Found, Kind, Settings};
use crate::event::EventSet;
use crate::race::Race;
use crate::scenario::player::Hands;
use crate::violation::Invariant;
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
    /// Of the longest execution in which nothing broke, and of the longest in which something did.
    operations: [usize; 2],
    all_operations: u64,
    all_switches: u64,
    events: EventSet,
    states: BTreeSet<Vec<String>>,
    found: Option<Found>,
    ways: Vec<Found>,
}

impl Collected {
    /// Something broke.
    fn broke(&mut self, found: Found, settings: &Settings) {
        let Some(behind) = settings.behind else {
            self.found = Some(found);
            return;
        };
        let way = |found: &Found| (found.words(), found.events.both(behind.telling));
        let this = way(&found);
        if self.ways.iter().all(|known| way(known) != this) {
            self.found.get_or_insert_with(|| found.clone());
            self.ways.push(found);
        }
    }

    /// Is there nothing more to be looked for at this bound?
    fn enough(&self, settings: &Settings, bound: Option<u32>) -> bool {
        let on = |behind: Behind| match settings.kind {
            Kind::Random | Kind::Pct => true,
            _ => bound.is_some_and(|bound| bound <= behind.bound),
        };
        self.found.is_some() && !settings.behind.is_some_and(on)
    }
}

/// One execution, from nothing to its outcome.
pub(crate) type Body = Arc<dyn Fn() -> Outcome + Send + Sync>;

/// What a script's execution came to.
pub(crate) struct Scripted<T> {
    /// What the execution gave back.
    pub(crate) result: T,
    pub(crate) trace: Vec<Operation>,
    /// The first decision at which the script did not fit.
    pub(crate) off: Option<usize>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Run `actors` at once, each as a coroutine of shuttle's beside the one that this runs in. What each came to.
///
/// # Panics
/// If there are more than [`MAX_ACTORS`], or one of them panics.
pub(crate) fn at_once<R: Send + 'static, A: FnOnce() -> R + Send + 'static>(
    actors: impl IntoIterator<Item = A>,
) -> Vec<R> {
    let threads: Vec<_> = actors
        .into_iter()
        .map(|actor| {
            shuttle::thread::spawn(move || {
                let result = actor();
                board::done();
                result
            })
        })
        .collect();
    assert!(threads.len() <= MAX_ACTORS, "more than {MAX_ACTORS} actors");
    board(|board| board.race(threads.len()));
    let join = |thread: shuttle::thread::JoinHandle<R>| match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    threads.into_iter().map(join).collect()
}

/// One execution of a race, on a machine that is built for it.
pub(crate) fn execute(
    race: &Arc<Race>,
    policy: PolicyKind,
    settings: &Settings,
) -> (Outcome, Arc<Stage<Scheduled>>) {
    board(|board| board.show_releases(settings.releases));
    let (stage, hands) = set_up(race, policy, settings.bugs, settings.states);
    let stage = Arc::new(stage);
    (execute_on(&stage, hands, race, settings), stage)
}

/// One execution of a race that is set up.
pub(crate) fn execute_on(
    stage: &Arc<Stage<Scheduled>>,
    hands: Vec<Hands>,
    race: &Arc<Race>,
    settings: &Settings,
) -> Outcome {
    let said = act_on(stage, hands, race, settings);
    ended(stage, race, said)
}

/// What came of an execution whose actors are done.
fn ended(stage: &Stage<Scheduled>, race: &Race, said: Option<Vec<String>>) -> Outcome {
    let mut outcome = wind_up(stage, race, said);
    if endless() && !outcome.broken.contains(&Invariant::Live) {
        stage.machine.report_deadlock(crate::config::ActorId(0));
        outcome.violations = stage.machine.kept_violations();
        outcome.broken = stage.machine.broken().collect();
    }
    outcome
}

/// Did the actors not come to an end by themselves?
fn endless() -> bool {
    board(|board| board.tally().endless)
}

/// All actors of a race that is set up, to their ends. What they said, if anybody wants to know.
fn act_on(
    stage: &Arc<Stage<Scheduled>>,
    hands: Vec<Hands>,
    race: &Arc<Race>,
    settings: &Settings,
) -> Option<Vec<String>> {
    let conduct = Conduct {
        step: board::step,
        pause: board::pause,
        speak: settings.states,
    };
    let lines = at_once(hands.into_iter().enumerate().map(|(index, hands)| {
        let (stage, race) = (stage.clone(), race.clone());
        move || play(&stage, &race.programs[index], hands, &conduct)
    }));
    settings.states.then(|| {
        let who = race.programs.iter().map(|program| program.actor);
        let told = |(actor, lines): (u8, Vec<String>)| {
            lines.into_iter().map(move |line| format!("{actor} {line}"))
        };
        who.zip(lines).flat_map(told).collect()
    })
}

/// The executions of a race, which is set up once.
pub(crate) fn of_race(race: &Arc<Race>, policy: PolicyKind, settings: &Settings) -> Body {
    let (race, settings) = (race.clone(), settings.clone());
    let kept = Mutex::new(None);
    Arc::new(move || {
        let anew = || set_up::<Scheduled>(&race, policy, settings.bugs, settings.states);
        let mut repeated = lock(&kept).take().unwrap_or_else(|| Repeated::new(anew));
        let (mut stage, hands) = repeated.again().unwrap_or_else(|| {
            // An actor of the execution before has not let go of it.
            let (stage, hands) = anew();
            (Arc::new(stage), hands)
        });
        let outcome = if settings.states {
            execute_on(&stage, hands, &race, &settings)
        } else {
            act_on(&stage, hands, &race, &settings);
            match Arc::get_mut(&mut stage) {
                Some(stage) if !endless() => repeated.ends.outcome(
                    &mut stage.machine,
                    || build(&race, policy),
                    |machine| look(machine, &race),
                ),
                _ => ended(&stage, &race, None),
            }
        };
        repeated.back(stage);
        *lock(&kept) = Some(repeated);
        outcome
    })
}

pub(crate) fn shuttle_config() -> shuttle::Config {
    let mut config = shuttle::Config::new();
    config.stack_size = STACK;
    config.failure_persistence = shuttle::FailurePersistence::None;
    config.max_steps = shuttle::MaxSteps::None;
    config
}

/// All executions that `gate` lets begin.
fn run(
    body: &Body,
    settings: &Settings,
    bound: Option<u32>,
    outside: Option<Box<dyn Scheduler + Send>>,
    collected: &Arc<Mutex<Collected>>,
) {
    let (stop, most) = (settings.stop.clone(), settings.executions);
    let (gate_collected, mut begun) = (collected.clone(), 0);
    let gate_settings = settings.clone();
    let gate = move || {
        begun += 1;
        begun <= most
            && !stop.load(Ordering::Relaxed)
            && !lock(&gate_collected).enough(&gate_settings, bound)
    };
    let (body, settings, collected) = (body.clone(), settings.clone(), collected.clone());
    shuttle::Runner::new(Driven::new(gate, outside), shuttle_config()).run(move || {
        board(|board| {
            board.reset(false);
            board.show_releases(settings.releases);
        });
        let outcome = body();
        let mut collected = lock(&collected);
        collected.executions += 1;
        collected.events = collected.events.union(outcome.events);
        board(|board| {
            let tally = board.tally();
            let broke = settings.news(&outcome.violations);
            let longest = &mut collected.operations[usize::from(broke)];
            *longest = tally.operations.max(*longest);
            collected.all_operations += tally.operations as u64;
            collected.all_switches += tally.switches as u64;
            if broke {
                let found = Found {
                    broken: outcome.broken,
                    violations: outcome.violations,
                    schedule: tally.schedule.clone(),
                    bound,
                    execution: collected.executions,
                    endless: tally.endless,
                    events: outcome.events,
                };
                collected.broke(found, &settings);
            }
        });
        if settings.states {
            collected.states.insert(outcome.state);
        }
    });
}

/// By an engine of shuttle's: any but loom.
pub(crate) fn by_shuttle(body: &Body, settings: &Settings) -> Exploration {
    match settings.kind {
        Kind::Exhaustive | Kind::Loom => exhaustive(body, settings),
        Kind::Random | Kind::Pct => sampled(body, settings),
    }
}

/// Every schedule with at most `settings.bound` preemptions: with `settings.from` at most first, then with
/// one more, ...
fn exhaustive(body: &Body, settings: &Settings) -> Exploration {
    let began = Instant::now();
    let collected = Arc::new(Mutex::new(Collected::default()));
    let (mut complete, mut cut) = (false, false);
    let mut reached = settings.from;
    for bound in settings.from..=settings.bound {
        if lock(&collected).enough(settings, Some(bound)) {
            break;
        }
        reached = bound;
        board(|board| board.chooser = Chooser::Search(Search::new(bound)));
        run(body, settings, Some(bound), None, &collected);
        let exhausted = board(|board| match &mut board.chooser {
            Chooser::Search(search) => search.exhausted(),
            _ => false,
        });
        complete = exhausted;
        if !complete {
            cut = !lock(&collected).enough(settings, Some(bound));
            break;
        }
    }
    finished(
        collected,
        Kind::Exhaustive,
        Some(reached),
        complete,
        cut,
        began,
    )
}

/// So many schedules of shuttle's.
fn sampled(body: &Body, settings: &Settings) -> Exploration {
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
    run(body, settings, bound, Some(outside), &collected);
    let cut = {
        let collected = lock(&collected);
        let ended = collected.found.is_some() && settings.behind.is_none();
        !ended && collected.executions < settings.executions
    };
    finished(collected, settings.kind, bound, false, cut, began)
}

fn finished(
    collected: Arc<Mutex<Collected>>,
    kind: Kind,
    bound: Option<u32>,
    complete: bool,
    cut: bool,
    began: Instant,
) -> Exploration {
    let collected = std::mem::take(&mut *lock(&collected));
    Exploration {
        kind,
        executions: collected.executions,
        bound,
        complete,
        cut,
        seconds: began.elapsed().as_secs_f64(),
        operations: match collected.operations {
            [0, broke] => broke,
            [held, _] => held,
        },
        all_operations: collected.all_operations,
        all_switches: collected.all_switches,
        events: collected.events,
        states: collected.states,
        found: collected.found,
        ways: collected.ways,
    }
}

/// Run the schedule of a script once, and record each operation.
pub(crate) fn scripted<T: Send + 'static>(
    actors: Vec<u8>,
    body: impl Fn() -> T + Send + Sync + 'static,
) -> Option<Scripted<T>> {
    board(|board| {
        board.chooser = Chooser::Script {
            actors,
            next: 0,
            off: None,
        };
    });
    let result = Arc::new(Mutex::new(None));
    let (mut once, collected) = (true, result.clone());
    let gate = move || std::mem::take(&mut once);
    shuttle::Runner::new(Driven::new(gate, None), shuttle_config()).run(move || {
        board(|board| board.reset(true));
        let result = body();
        let (trace, off) = board(|board| {
            let off = match &board.chooser {
                Chooser::Script { actors, next, off } => {
                    off.or((*next < actors.len()).then_some(*next))
                }
                _ => None,
            };
            (board.tally().trace.clone(), off)
        });
        *lock(&collected) = Some(Scripted { result, trace, off });
    });
    let scripted = lock(&result).take();
    scripted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::catalogue;

    /// What an exploration found, without how long it took.
    fn said(exploration: Exploration) -> String {
        format!(
            "{:#?}",
            Exploration {
                seconds: 0.0,
                ..exploration
            }
        )
    }

    #[test]
    fn a_machine_that_is_put_back_is_one_that_is_built_anew() {
        let sequential = catalogue::all().into_iter().filter_map(Race::of);
        let generated = crate::race::generated::all().into_iter().step_by(97);
        let races = crate::race::catalogue::all().into_iter().chain(sequential);
        let (mut executions, mut found) = (0, 0);
        for race in races.chain(generated).map(Arc::new) {
            for policy in [PolicyKind::Hardened, PolicyKind::AsPosted] {
                let settings = Settings {
                    executions: 300,
                    states: true,
                    ..Settings::exhaustive(1)
                };
                let anew: Body = {
                    let (race, settings) = (race.clone(), settings.clone());
                    Arc::new(move || execute(&race, policy, &settings).0)
                };
                let anew = by_shuttle(&anew, &settings);
                let put_back = by_shuttle(&of_race(&race, policy, &settings), &settings);
                executions += put_back.executions;
                found += usize::from(put_back.found.is_some());
                assert_eq!(said(put_back), said(anew), "{} {policy:?}", race.name);
            }
        }
        assert!(
            executions > 10_000 && found > 10,
            "{executions} executions, {found} that broke something"
        );
    }
}
