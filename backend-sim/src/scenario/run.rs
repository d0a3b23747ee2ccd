//! Running a scenario: one actor's step at a time.

use crate::bug::Bug;
use crate::config::{ActorId, Config, MmId};
use crate::cpu::WaitFor;
use crate::event::EventSet;
use crate::machine::Machine;
use crate::scenario::outcome::{self, Names};
use crate::scenario::player::Player;
use crate::scenario::{By, Scenario, Step};
use crate::sync::{Spin, Synchronisation};
use crate::violation::{Invariant, Violation};
use migrate_pin_core::PolicyKind;

/// What is varied from run to run.
#[derive(Clone, Copy, Debug)]
pub struct Variation<'a> {
    /// The policy.
    pub policy: PolicyKind,
    /// The order of the steps: each number is an actor, who does its next step. None for the scenario's own.
    pub order: Option<&'a [u8]>,
    /// Which fallible primitive calls of core's fail, counted from 1 over the steps; 0 for none.
    pub fail: [u32; 2],
    /// What is broken from the first step on; what is given is done before.
    pub bugs: &'a [Bug],
}

impl Variation<'_> {
    /// The scenario as it is written, under `policy`.
    #[must_use]
    pub const fn plain(policy: PolicyKind) -> Self {
        Self {
            policy,
            order: None,
            fail: [0, 0],
            bugs: &[],
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// What it printed.
    pub lines: Vec<String>,
    /// What broke: the first violations.
    pub violations: Vec<Violation>,
    /// The invariants that broke, each once, in the order of the table; also those whose violations there was no room
    /// to keep.
    pub broken: Vec<Invariant>,
    /// What happened.
    pub events: EventSet,
    /// The steps in the order in which they were run, with who did them.
    pub trace: Vec<(u8, Step)>,
    /// How many fallible primitive calls core made, and how many of them were made to fail.
    pub fallible: u32,
    /// Of those, how many were made to fail.
    pub failed: u32,
    /// The order that was asked for.
    pub order: Option<Vec<u8>>,
    /// Which fallible calls were asked to fail.
    pub fail: [u32; 2],
}

/// What is told while a scenario runs, of what is not given: who is about to do which of its steps, and that all are done.
#[derive(Clone, Copy)]
pub(crate) struct Telling {
    pub(crate) step: fn(u8, u16),
    pub(crate) done: fn(),
}

impl Telling {
    /// Nobody listens.
    const NOTHING: Self = Self {
        step: |_, _| {},
        done: || {},
    };
}

/// A run in progress.
struct Runner<'r, S: Synchronisation> {
    machine: &'r Machine<S>,
    scenario: &'r Scenario,
    names: &'r spin::Mutex<Names>,
    players: Vec<Player<'r, S>>,
    telling: Telling,
    run: Run,
    quiet: bool,
    /// Which fallible calls fail: what the variation asks for, and what [`Step::Fail`] does.
    plan: FailurePlan,
}

/// The machine's plan starts over when [`Step::Fail`] is done, so what it has counted until then is kept here.
#[derive(Default)]
struct FailurePlan {
    /// Calls of the variation, counted from the first step.
    wanted: [u32; 2],
    /// The scenario's own, counted since the plan was armed; 0 for none.
    own: u32,
}

/// Run `scenario` with `variation`.
///
/// # Panics
/// If the scenario's machine can't be built or populated: the scenario is wrong.
#[must_use]
pub fn run(scenario: &Scenario, variation: Variation<'_>) -> Run {
    run_on::<Spin, _>(scenario, variation, Telling::NOTHING, |_, _| ()).0
}

/// The same with any synchronisation, and somebody who listens and in the end looks at the machine.
pub(crate) fn run_on<S: Synchronisation, T>(
    scenario: &Scenario,
    variation: Variation<'_>,
    telling: Telling,
    look: impl FnOnce(&Machine<S>, &Names) -> T,
) -> (Run, T) {
    let machine = built::<S>(scenario, variation.policy);
    let config = &scenario.config;
    let names = Names::mapped(&machine, config.mms.len(), config.mm_pages);
    let names = spin::Mutex::new(names);
    let mut runner = Runner::new(&machine, scenario, &names, telling);
    runner.play(variation);
    let run = runner.finish();
    let looked = look(&machine, &names.lock());
    (run, looked)
}

/// The machine of a scenario, populated.
fn built<S: Synchronisation>(scenario: &Scenario, policy: PolicyKind) -> Box<Machine<S>> {
    let config = Config {
        policy,
        ..scenario.config
    };
    let machine = match Machine::<S>::new(&config) {
        Ok(machine) => Box::new(machine),
        Err(error) => panic!("{}: the machine can't be built: {error:?}", scenario.name),
    };
    for (mm, page, what) in scenario.populate {
        assert!(
            machine.populate(*mm, (*page).into(), *what),
            "{}: page {page} of {mm:?} can't be made {what:?}",
            scenario.name
        );
    }
    machine
}

impl<'r, S: Synchronisation> Runner<'r, S> {
    fn new(
        machine: &'r Machine<S>,
        scenario: &'r Scenario,
        names: &'r spin::Mutex<Names>,
        telling: Telling,
    ) -> Self {
        let actors = 0..scenario.config.actors.len();
        let players = actors.map(|actor| Player::new(machine, names, actor as u8));
        let mut runner = Self {
            machine,
            scenario,
            names,
            players: players.collect(),
            telling,
            run: Run::default(),
            quiet: false,
            plan: FailurePlan::default(),
        };
        runner.set_quiet(true);
        runner
    }

    /// What is given is neither printed nor part of the trace.
    fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
        for player in &mut self.players {
            player.set_quiet(quiet);
        }
    }

    /// Run what is given, then the steps; a step that blocks is tried again after every other.
    fn play(&mut self, variation: Variation<'_>) {
        self.run.order = variation.order.map(<[u8]>::to_vec);
        self.run.fail = variation.fail;
        self.schedule(self.scenario.given.to_vec());
        self.set_quiet(false);
        self.arm(0);
        (self.run.fallible, self.run.failed) = (0, 0);
        self.plan.wanted = variation.fail;
        self.arm(0);
        for bug in variation.bugs {
            self.machine.seed(*bug);
        }
        let steps = match variation.order {
            None => self.scenario.steps.to_vec(),
            Some(order) => reordered(self.scenario.steps, order),
        };
        self.schedule(steps);
        (self.telling.done)();
        self.arm(0);
        // What is yet to come, the end of the processes, is not to fail.
        self.machine.fault_plan().arm(0, 0);
    }

    /// Count what has failed so far, and from here on let fail what the variation wants, and the `own`th call from
    /// here (0 for none).
    fn arm(&mut self, own: u32) {
        let plan = self.machine.fault_plan();
        let (calls, fired) = (plan.calls(), plan.fired());
        let [first, second] = self
            .plan
            .wanted
            .map(|nth| nth.saturating_sub(self.run.fallible));
        // Not counted as made to fail: what the scenario itself let fail.
        let own_fired = self.plan.own != 0 && self.plan.own <= calls;
        let ours = own_fired && ![first, second].contains(&self.plan.own);
        self.run.failed += fired - u32::from(ours);
        self.run.fallible += calls;
        let [first, second] = [first, second].map(|nth| nth.saturating_sub(calls));
        self.plan.own = own;
        plan.arm_three([first, second, own]);
    }

    /// How many calls were made to fail so far.
    fn failed(&self) -> u32 {
        self.run.failed + self.machine.fault_plan().fired()
    }

    fn schedule(&mut self, mut steps: Vec<By>) {
        // Actors that wait, each for its first step in the list, and for what.
        let mut waiting: Vec<(u8, WaitFor)> = Vec::new();
        let mut failed = self.failed();
        loop {
            let next = steps
                .iter()
                .position(|By(actor, _)| waiting.iter().all(|(waits, _)| waits != actor));
            let Some(next) = next else {
                // There are no others. But if what it met was made to fail since everybody was here last, it may go well now.
                let failed_since = failed != self.failed();
                failed = self.failed();
                if failed_since && waiting.iter().any(|(_, wait)| *wait == WaitFor::Others) {
                    waiting.clear();
                    continue;
                }
                break;
            };
            let By(actor, step) = steps[next];
            self.machine.begin_step();
            if !self.quiet {
                let done = self.run.trace.iter().filter(|(by, _)| *by == actor);
                (self.telling.step)(actor, done.count() as u16);
            }
            match self.step(actor, step) {
                Ok(()) => {
                    steps.remove(next);
                    // Somebody moved: those who wait may look again, in the order of the list.
                    waiting.clear();
                    if !self.quiet {
                        self.run.trace.push((actor, step));
                    }
                }
                Err(wait) => waiting.push((actor, wait)),
            }
        }
        if let Some(By(actor, step)) = steps.first() {
            let wait = waiting.iter().find(|(waits, _)| waits == actor);
            let wait = wait.map_or(WaitFor::Others, |(_, wait)| *wait);
            self.machine.report_wait(ActorId(*actor), wait);
            let player = &mut self.players[usize::from(*actor)];
            player.say(format_args!("{step:?} waits for ever"));
            self.run.lines.extend(player.take_lines());
        }
    }

    /// What a step says comes behind what was said before. [`Step::Fail`] goes to the runner's own plan.
    fn step(&mut self, actor: u8, step: Step) -> Result<(), WaitFor> {
        if let Step::Fail(nth) = step {
            self.arm(nth);
            return Ok(());
        }
        let player = &mut self.players[usize::from(actor)];
        let result = player.step(step);
        self.run.lines.extend(player.take_lines());
        result
    }

    /// Say what there is, look at everything, then let every process exit and see that nothing is left.
    fn finish(mut self) -> Run {
        let config = &self.scenario.config;
        let state = outcome::state(
            self.machine,
            &mut self.names.lock(),
            config.mms.len(),
            config.mm_pages,
            config.devices.len(),
        );
        self.run.lines.extend(state);
        self.machine.check_quiescent();
        self.run.events = self.machine.events();
        for mm in 0..config.mms.len() {
            // Nobody holds `mmap_lock` any more, or a deadlock was reported already.
            let _ = self.machine.cpu(ActorId(0)).exit_in(MmId(mm as u8));
        }
        self.machine.check_quiescent();
        self.machine.check_nothing_left();
        self.run.violations = self.machine.violations().into_iter().collect();
        self.run.broken = self.machine.broken().collect();
        self.run
    }
}

/// The steps of each actor in its own order, interleaved as `order` says.
fn reordered(steps: &[By], order: &[u8]) -> Vec<By> {
    let mut left = steps.to_vec();
    let mut result = Vec::with_capacity(left.len());
    for actor in order {
        if let Some(index) = left.iter().position(|By(by, _)| by == actor) {
            result.push(left.remove(index));
        }
    }
    result.append(&mut left);
    result
}
