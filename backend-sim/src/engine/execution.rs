//! One execution of a race, as far as it is the same for all engines: what is set up, what an actor does, and what is
//! looked at in the end. An engine brings the threads.

use crate::bug::Bug;
use crate::config::{ActorId, Config, MmId};
use crate::cpu::WaitFor;
use crate::engine::ends::Ends;
use crate::event::EventSet;
use crate::machine::Machine;
use crate::race::{Program, Race};
use crate::scenario::outcome::{self, Names};
use crate::scenario::player::{Hands, Player};
use crate::scenario::By;
use crate::sync::Synchronisation;
use crate::violation::{Invariant, Violation};
use migrate_pin_core::PolicyKind;
use std::sync::Arc;

/// A machine on which the actors of a race are about to begin.
pub(crate) struct Stage<S: Synchronisation> {
    pub(crate) machine: Machine<S>,
    pub(crate) names: spin::Mutex<Names>,
}

/// A race that is set up once and run as often as one likes: two stages that were made alike, one to act on and one to
/// put that back by. Only for synchronisations that live longer than an execution.
pub(crate) struct Repeated<S: Synchronisation> {
    /// None while somebody acts on it.
    stage: Option<Arc<Stage<S>>>,
    /// Large, and handed on from execution to execution.
    pattern: Box<Stage<S>>,
    hands: Vec<Hands>,
    pub(crate) ends: Ends<S>,
}

impl<S: Synchronisation> Repeated<S> {
    /// Both stages, by `anew`: [`set_up`] with the same arguments each time.
    pub(crate) fn new(anew: impl Fn() -> (Stage<S>, Vec<Hands>)) -> Self {
        let (pattern, hands) = anew();
        Self {
            stage: Some(Arc::new(anew().0)),
            pattern: Box::new(pattern),
            hands,
            ends: Ends::default(),
        }
    }

    /// The stage and what the actors have in their hands, as they are before anybody acts; [`back`](Self::back) gives it
    /// back. None if somebody still has the stage of the execution before.
    pub(crate) fn again(&mut self) -> Option<(Arc<Stage<S>>, Vec<Hands>)> {
        let stage = Arc::get_mut(self.stage.as_mut()?)?;
        stage.machine.restore(&mut self.pattern.machine);
        stage
            .names
            .get_mut()
            .clone_from(self.pattern.names.get_mut());
        Some((self.stage.take()?, self.hands.clone()))
    }

    /// The stage has been acted on.
    pub(crate) fn back(&mut self, stage: Arc<Stage<S>>) {
        self.stage = Some(stage);
    }
}

/// What an execution came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) violations: Vec<Violation>,
    pub(crate) broken: Vec<Invariant>,
    pub(crate) events: EventSet,
    /// What the actors said and what there is in the end; empty if nobody asked.
    pub(crate) state: Vec<String>,
}

/// The machine of a race, with nothing in it.
///
/// # Panics
/// If it can't be built: the race is wrong.
pub(crate) fn build<S: Synchronisation>(race: &Race, policy: PolicyKind) -> Machine<S> {
    let config = Config {
        policy,
        ..race.config
    };
    match Machine::new(&config) {
        Ok(machine) => machine,
        Err(error) => panic!("{}: the machine can't be built: {error:?}", race.name),
    }
}

/// Build the machine, put the pages in their places, do what is given, then break what is to be broken. Also what each
/// program's actor has in its hands. Pages get names only if somebody will `speak` of them.
///
/// # Panics
/// If the machine can't be built or populated, or what is given waits for ever: the race is wrong.
pub(crate) fn set_up<S: Synchronisation>(
    race: &Race,
    policy: PolicyKind,
    more_bugs: &[Bug],
    speak: bool,
) -> (Stage<S>, Vec<Hands>) {
    let machine = build(race, policy);
    for (mm, page, what) in race.populate.iter() {
        assert!(
            machine.populate(*mm, (*page).into(), *what),
            "{}: page {page} of {mm:?} can't be made {what:?}",
            race.name
        );
    }
    let names = spin::Mutex::new(if speak {
        Names::mapped(&machine, race.config.mms.len(), race.config.mm_pages)
    } else {
        Names::default()
    });
    let hands = given(&machine, race, &names, speak);
    for bug in race.bugs.iter().chain(more_bugs) {
        machine.seed(*bug);
    }
    (Stage { machine, names }, hands)
}

/// Put pages and what is given on a machine that has nothing yet, as far as it goes: nobody has looked `race` over. What can't stand
/// somewhere, or would have to wait, is left out.
pub(crate) fn furnish<S: Synchronisation>(
    stage: &Stage<S>,
    race: &Race,
    more_bugs: &[Bug],
) -> Vec<Hands> {
    let machine = &stage.machine;
    for (mm, page, what) in race.populate.iter() {
        machine.populate(*mm, (*page).into(), *what);
    }
    let (hands, _) = prepare(machine, race, &stage.names, false);
    for bug in race.bugs.iter().chain(more_bugs) {
        machine.seed(*bug);
    }
    hands
}

fn given<S: Synchronisation>(
    machine: &Machine<S>,
    race: &Race,
    names: &spin::Mutex<Names>,
    speak: bool,
) -> Vec<Hands> {
    let (hands, waits) = prepare(machine, race, names, speak);
    if let Some(place) = waits.first() {
        let step = &race.given[*place];
        panic!("{}: {step:?} is given, and has to wait", race.name);
    }
    hands
}

/// Do what is given. What each program's actor has in its hands then, and the places of steps that would have had to wait.
pub(crate) fn prepare<S: Synchronisation>(
    machine: &Machine<S>,
    race: &Race,
    names: &spin::Mutex<Names>,
    speak: bool,
) -> (Vec<Hands>, Vec<usize>) {
    let mut waits = Vec::new();
    let player = |actor| {
        let mut player = Player::new(machine, names, actor);
        player.set_quiet(!speak);
        player
    };
    let programs = race.programs.iter();
    let mut players: Vec<_> = programs.map(|program| player(program.actor)).collect();
    for (place, By(actor, step)) in race.given.iter().enumerate() {
        machine.begin_step();
        let own = race.programs.iter().position(|p| p.actor == *actor);
        let done = match own {
            Some(place) => players[place].step(*step),
            // An actor who has done its part.
            None => player(*actor).step(*step),
        };
        if done.is_err() {
            waits.push(place);
        }
    }
    (players.into_iter().map(Player::into_hands).collect(), waits)
}

/// How an engine runs an actor's program.
#[derive(Clone, Copy)]
pub(crate) struct Conduct {
    /// The actor begins its nth step.
    pub(crate) step: fn(u16),
    /// It has nothing to do until others have run. False if that will never help.
    pub(crate) pause: fn() -> bool,
    /// Somebody wants to know what the actors say.
    pub(crate) speak: bool,
}

/// An actor does its program to the end, or until it would wait for ever. What it said.
pub(crate) fn play<S: Synchronisation>(
    stage: &Stage<S>,
    program: &Program,
    hands: Hands,
    conduct: &Conduct,
) -> Vec<String> {
    let machine = &stage.machine;
    let mut player = Player::with(machine, &stage.names, program.actor, hands);
    player.set_quiet(!conduct.speak);
    let cpu = machine.cpu(ActorId(program.actor));
    for (number, step) in program.steps.iter().enumerate() {
        (conduct.step)(number as u16);
        machine.begin_step();
        loop {
            match player.step(*step) {
                Ok(()) => break,
                Err(wait) => {
                    let again = match wait {
                        WaitFor::Others => (conduct.pause)(),
                        wait => cpu.wait(wait),
                    };
                    if !again {
                        machine.report_wait(ActorId(program.actor), wait);
                        return player.take_lines();
                    }
                }
            }
        }
    }
    player.take_lines()
}

/// All is quiet: look at everything, let every process exit, and see that nothing is left. `said` is what the actors
/// said; none if nobody wants to know the final state.
pub(crate) fn wind_up<S: Synchronisation>(
    stage: &Stage<S>,
    race: &Race,
    said: Option<Vec<String>>,
) -> Outcome {
    let state = said.map(|mut state| {
        let config = &race.config;
        let mut names = stage.names.lock();
        let (mms, devices) = (config.mms.len(), config.devices.len());
        let ended = outcome::state(&stage.machine, &mut names, mms, config.mm_pages, devices);
        state.extend(ended);
        state
    });
    Outcome {
        state: state.unwrap_or_default(),
        ..look(&stage.machine, race)
    }
}

/// All is quiet: look at everything, let every process exit, and see that nothing is left.
pub(crate) fn look<S: Synchronisation>(machine: &Machine<S>, race: &Race) -> Outcome {
    machine.check_quiescent();
    let events = machine.events();
    for mm in 0..race.config.mms.len() {
        // Nobody holds `mmap_lock` any more, or a deadlock was reported already.
        let _ = machine.cpu(ActorId(0)).exit_in(MmId(mm as u8));
    }
    machine.check_quiescent();
    machine.check_nothing_left();
    Outcome {
        violations: machine.kept_violations(),
        broken: machine.broken().collect(),
        events,
        state: Vec::new(),
    }
}
