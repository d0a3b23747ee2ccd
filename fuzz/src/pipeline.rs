//! A driver that follows the protocol, among everything else that happens to memory.
//!
//! The input is a [`World`], then who does the next step of which program; a program that waits is tried again when
//! others have run. In the end all programs are run to their ends, everything is looked at, every page is read, every
//! process exits, and nothing may be left.

use crate::choices::Input;
use crate::model::Model;
use crate::pool::Pool;
use crate::sync::Stepwise;
use crate::turns::Turns;
use crate::{Mode, Verdict};
use migrate_pin_core::PAGE_SIZE;
use migrate_pin_sim::grammar::{
    self, Choices, Drawn, Setting, World, ACTORS, CHILD, CHILD_ACTOR, PAGES, PARENT,
};
use migrate_pin_sim::scenario::outcome::{self, Names};
use migrate_pin_sim::scenario::player::{Answer, Player};
use migrate_pin_sim::scenario::{By, Step};
use migrate_pin_sim::{
    ActorId, Entry, Event, Machine, MmId, Progress, Purpose, Synchronisation, Vma, VmaKind,
};
use std::cell::{Cell, RefCell};

/// Most programs of an input.
const MAX_PROGRAMS: u32 = 12;

/// What is said of a step that has to wait.
pub const WAITS: &str = "waits";

/// What libFuzzer calls.
///
/// # Panics
/// If something is wrong.
pub fn target(bytes: &[u8]) {
    thread_local! {
        static POOL: RefCell<Pool<Stepwise>> = RefCell::default();
        static RATE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    }
    let mode = Mode::of_process();
    let verdict = POOL.with_borrow_mut(|pool| run(pool, mode, &mut Input::new(bytes)));
    if let Some(every) = mode.rate {
        let (all, migrated) = RATE.get();
        let (all, migrated) = (all + 1, migrated + u64::from(verdict.migrated()));
        RATE.set((all, migrated));
        if all % every == 0 {
            eprintln!("pipeline: {migrated} of {all} inputs finalized a migrated page");
        }
    }
    verdict.judge("pipeline", mode);
}

/// What is under way.
struct Run<'m, S: Synchronisation> {
    machine: &'m Machine<S>,
    players: [Player<'m, S>; ACTORS],
    programs: [Option<(Drawn, usize)>; ACTORS],
    model: Model,
    turns: Turns,
    story: Vec<(u8, Step)>,
    complaint: Option<String>,
    lines: Vec<String>,
    speak: bool,
}

impl<S: Synchronisation> Run<'_, S> {
    /// Do a step, perhaps the last one of a program. False if it has to wait.
    fn act(&mut self, actor: u8, step: Step, last: bool) -> bool {
        if !self.turns.may_try(self.machine, actor.into()) {
            return false;
        }
        self.machine.begin_step();
        let player = &mut self.players[usize::from(actor)];
        if self.speak && may_drain(step) {
            self.machine.cpu(ActorId(actor)).lru_drain();
        } else if self.speak && needs_lru(step) {
            // It never has to wait.
            let _ = player.step(Step::Drain);
        }
        let result = player.step(step);
        let done = result.is_ok();
        match result {
            Ok(()) => self.turns.did(actor.into(), last),
            Err(wait) => self.turns.waits(actor.into(), wait),
        }
        if done {
            let answer = player.answer();
            // Whoever is refused may have been refused memory: there is no more of it than a few pages for each.
            if matches!(answer, Answer::Refused | Answer::Fault(_)) {
                let events = self.machine.events();
                self.model.failing |= events.contains(Event::AllocationFailed);
            }
            self.story.push((actor, step));
            if self.speak {
                self.lines.push(format!("{actor} {step:?}"));
                self.lines.append(&mut player.take_lines());
            }
            if let Err(complaint) = self.model.step(actor, step, answer) {
                self.complaint.get_or_insert(complaint);
            }
        } else if self.speak {
            self.lines.push(format!("{actor} {WAITS}"));
        }
        done
    }

    /// Do the next step of the actor's program, if it has one. False if it has to wait.
    fn go_on(&mut self, actor: u8) -> bool {
        let Some((program, next)) = &self.programs[usize::from(actor)] else {
            return false;
        };
        let (step, last) = (program.steps[*next], *next + 1 == program.steps.len());
        if !self.act(actor, step, last) {
            return false;
        }
        match &mut self.programs[usize::from(actor)] {
            Some((_, next)) if !last => *next += 1,
            program => *program = None,
        }
        true
    }

    /// Has it gone wrong already?
    fn broken(&self) -> bool {
        self.complaint.is_some() || self.machine.violation_count() > 0
    }

    /// Everybody to the end.
    fn run_out(&mut self) {
        while self.programs.iter().any(Option::is_some) && !self.broken() {
            let mut moved = false;
            // Once more than calls can be made to fail: each may have made who tries wait.
            for _ in 0..4 {
                for actor in 0..ACTORS as u8 {
                    moved |= self.go_on(actor);
                }
                if moved {
                    break;
                }
                self.turns.last_look();
            }
            if !moved {
                let waits = self.programs.iter().position(Option::is_some);
                self.machine
                    .report_deadlock(ActorId(waits.unwrap_or(0) as u8));
            }
        }
    }

    /// Read every page, as a process does. Of neighbours that are holes of one anonymous area, or in none, the first is read,
    /// and what came of it is what the model must expect of the others as well: a fault looks at nothing else.
    fn read_all(&mut self) {
        for (mm, actor) in [(PARENT, 0), (CHILD, CHILD_ACTOR)] {
            let mut before = None;
            for page in 0..PAGES {
                let hole = self.hole(mm, page);
                let result = match before {
                    Some((of, result)) if hole == Some(of) => result,
                    _ => match self.machine.cpu(ActorId(actor)).read(page * PAGE_SIZE) {
                        Progress::Done(result) => result,
                        Progress::Blocked(wait) => {
                            self.machine.report_wait(ActorId(actor), wait);
                            before = None;
                            continue;
                        }
                    },
                };
                before = hole.map(|area| (area, result));
                if let Err(complaint) = self.model.read(mm, page, result) {
                    self.complaint.get_or_insert(complaint);
                }
            }
        }
    }

    /// The area that a page is a hole of: none, or an anonymous one without an entry there.
    fn hole(&self, mm: MmId, page: usize) -> Option<Option<Vma>> {
        match self.machine.area_at(mm, page) {
            None => Some(None),
            Some((area, VmaKind::Anonymous)) if self.machine.entry(mm, page) == Entry::None => {
                Some(Some(area))
            }
            _ => None,
        }
    }

    fn verdict(self) -> Verdict {
        let told = |(actor, step): &(u8, Step)| format!("{actor} {step:?}");
        Verdict::of(self.machine, self.complaint, || {
            self.story.iter().map(told).collect()
        })
    }
}

/// Does this step drain its CPU's LRU batch under one policy, and under the other perhaps not? On 6.12 as posted, a setup with PIN
/// that has found nothing but holes has counted them, and so begins to isolate, for which it drains (`migrate_device_unmap()`);
/// hardened it has counted none, and returns. What is then still in the batch is refused to compaction and reclaim. Where two
/// policies are compared the batch is drained before it under both.
const fn may_drain(step: Step) -> bool {
    matches!(
        step,
        Step::Acquire { .. }
            | Step::Grant { .. }
            | Step::Setup {
                purpose: Purpose::Pin(_),
                ..
            }
    )
}

/// Does this step take a page from the LRU, and is refused what is in the batch of a CPU? Which pages still are may depend on the
/// policy: 6.12 hardened maps those first that are mapped nowhere else, and so they go to the batch first. Where two policies are
/// compared all batches are drained before it under both.
const fn needs_lru(step: Step) -> bool {
    matches!(step, Step::Reclaim(_) | Step::Compact(_) | Step::Isolate(_))
}

/// What is told of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Nothing.
    None,
    /// What a scenario prints: every word that a driver sees, all that is read, what there is in the end.
    Words,
}

/// Run an input.
pub fn run<S: Synchronisation>(
    pool: &mut Pool<S>,
    mode: &Mode,
    choices: &mut impl Choices,
) -> Verdict {
    tell(pool, mode, choices, Voice::None).0
}

/// Run an input, and say what was seen.
pub fn tell<S: Synchronisation>(
    pool: &mut Pool<S>,
    mode: &Mode,
    choices: &mut impl Choices,
    voice: Voice,
) -> (Verdict, Vec<String>) {
    let setting = Setting::draw(choices, mode.policy, mode.driver);
    let world = World::draw(choices, setting);
    let machine = pool.machine(setting);
    let names = spin::Mutex::new(Names::default());
    let player = |actor| {
        let mut player = Player::new(machine, &names, actor as u8);
        player.set_quiet(voice == Voice::None);
        player
    };
    let mut run = Run {
        machine,
        players: std::array::from_fn(player),
        programs: [const { None }; ACTORS],
        model: Model::new(setting.layout),
        turns: Turns::default(),
        story: Vec::with_capacity(64),
        complaint: None,
        lines: Vec::new(),
        speak: voice == Voice::Words,
    };
    for (mm, page, what) in &world.populate {
        let done = machine.populate(*mm, (*page).into(), *what);
        run.model.populate(*mm, (*page).into(), *what, done);
    }
    if let Some(bug) = mode.bug {
        machine.seed(bug);
    }
    for By(actor, step) in &world.given {
        if !run.act(*actor, *step, true) {
            machine.report_deadlock(ActorId(*actor));
        }
    }
    // Which call is the nth depends on the policy: where two are compared, none fails.
    if choices.chance(10) && voice == Voice::None {
        run.model.failing = true;
        // One, or another soon after it: an error path within an error path.
        let first = 1 + choices.below(20) as u32;
        let second = match choices.below(8) as u32 {
            more @ 1..5 => first + more,
            _ => 0,
        };
        machine.fault_plan().arm(first, second);
    }
    let (mut value, mut programs) = (1000, 0);
    while choices.more() && !run.broken() {
        let actor = choices.below(ACTORS);
        if run.programs[actor].is_none() {
            if programs == MAX_PROGRAMS {
                break;
            }
            programs += 1;
            value += 1;
            let program = grammar::program(
                choices,
                world.focus,
                actor == usize::from(CHILD_ACTOR),
                value,
            );
            run.programs[actor] = Some((program, 0));
        }
        run.go_on(actor as u8);
    }
    run.run_out();
    machine.fault_plan().arm(0, 0);
    if !run.broken() {
        machine.check_quiescent();
        if run.speak {
            let state = outcome::state(machine, &mut names.lock(), 2, PAGES as u16, 2);
            run.lines.extend(state);
        }
        run.read_all();
    }
    if !run.broken() {
        for mm in [PARENT, CHILD] {
            // Nobody holds `mmap_lock`: that was looked at.
            let _ = machine.cpu(ActorId(0)).exit_in(mm);
        }
        machine.check_quiescent();
        machine.check_nothing_left();
    }
    let lines = std::mem::take(&mut run.lines);
    let mut verdict = run.verdict();
    if !verdict.story.is_empty() {
        verdict.story.splice(0..0, scene(setting, &world));
    }
    (verdict, lines)
}

/// What stood there before anybody acted.
fn scene(setting: Setting, world: &World) -> Vec<String> {
    let areas = setting.config().mms.iter().map(|mm| mm.vmas);
    let mut lines = vec![format!(
        "{setting:?}, areas {:?}",
        areas.collect::<Vec<_>>()
    )];
    let there = world.populate.iter();
    lines.extend(there.map(|(mm, page, what)| format!("mm {} at {page}: {what:?}", mm.0)));
    lines
}
