//! The board: who of an execution's actors can run, and who runs next.
//!
//! Shuttle gives us coroutines and its schedulers; the machine's waiting is our own. An actor that finds a lock taken
//! writes on the board what it waits for, and whoever changes that wipes it off: so no schedule is explored in which
//! somebody looks at a lock again that nobody touched, and who waits for ever is told apart from who is slow.
//!
//! One board an OS thread: actors are coroutines on it. While no actors race (the machine is set up, or looked at when
//! all is quiet) nothing is a switch.

use crate::config::MAX_ACTORS;
use crate::engine::exhaustive::Search;
use crate::engine::fed::{Feed, Next};
use std::cell::{Cell, RefCell};

/// An execution with more visible operations is taken for one that never ends.
pub const MAX_OPERATIONS: usize = 50_000;

/// Who waits for others when everybody else is done may look again so often.
const MAX_PAUSES_ALONE: u32 = 3;

/// Of who has waited for others in one step so much oftener than another, a fuzzer's bytes choose nobody as long as that can run. So
/// few that, with as many again whenever another is done, an access does not take itself for one that faults for ever. Those who have
/// waited as often as each other take turns as long as they like: if that is for ever, they keep each other from running.
const MAX_PAUSES_FED: u8 = 4;

/// The object of who does not go on.
const NOTHING: usize = 0;

/// A set of actors, a bit each.
pub(crate) type Actors = u8;
const _: () = assert!(MAX_ACTORS <= Actors::BITS as usize);

/// The set of this actor alone.
const fn only(slot: usize) -> Actors {
    1 << slot
}

/// Why an actor can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// It waits for the monitor at this address to change.
    Waiting(usize),
    /// It asked to be run again when another has.
    Yielded,
}

/// Who decides what is next.
#[derive(Debug)]
pub(crate) enum Chooser {
    /// Our own depth-first search.
    Search(Search),
    /// A scheduler of shuttle's, asked by [`Outside`](crate::engine::outside::Outside).
    Outside,
    /// Bytes of a fuzzer.
    Fed(Feed),
    /// A schedule that is repeated.
    Script {
        /// Who was chosen at each decision.
        actors: Vec<u8>,
        /// How many have been made.
        next: usize,
        /// The first at which the script named nobody, or somebody who could not run.
        off: Option<usize>,
    },
}

/// A visible operation as it is recorded when a schedule is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who.
    pub actor: u8,
    /// In which primitive or path of the kernel.
    pub primitive: &'static str,
    /// On what: the address of the word or the monitor.
    pub object: usize,
    /// What was done.
    pub verb: &'static str,
    /// What stood there before, and after.
    pub values: (u32, u32),
    /// Which step of the actor it belongs to, from 0.
    pub step: u16,
}

/// What the operations of an execution came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Visible operations of all actors while they raced.
    pub(crate) operations: usize,
    /// How often an actor got to run: when it began, and whenever it came after another.
    pub(crate) switches: usize,
    /// Who was chosen at each decision.
    pub(crate) schedule: Vec<u8>,
    /// The operations themselves, if asked for.
    pub(crate) trace: Vec<Operation>,
    /// It did not end by itself.
    pub(crate) endless: bool,
}

/// The board.
#[derive(Debug)]
pub(crate) struct Board {
    racing: bool,
    /// Who runs; none before the first.
    current: Option<u8>,
    /// Decided, but not yet switched to.
    next: Option<u8>,
    /// Who can run.
    ready: Actors,
    /// Who asked to be run again when another has.
    yielded: Actors,
    /// Who waits for a monitor to change. Who is in none of the three is done, or not there.
    waiting: Actors,
    /// The addresses of the monitors that those wait for.
    waits_for: [usize; MAX_ACTORS],
    deadlock: bool,
    /// How often somebody waited for others when there was nobody else.
    alone: u32,
    /// How often each has waited for others in the step that it is in.
    pauses: [u8; MAX_ACTORS],
    /// Somebody has so often that others may have to catch up.
    unfair: bool,
    pub(crate) chooser: Chooser,
    record: bool,
    /// The actors act one after the other, and what they do is recorded.
    in_turn: bool,
    /// Others may run before a lock is let go of.
    releases: bool,
    primitive: [&'static str; MAX_ACTORS],
    step: [u16; MAX_ACTORS],
    tally: Tally,
}

thread_local! {
    static BOARD: RefCell<Board> = const { RefCell::new(Board::NEW) };
    /// What each operation asks first: do actors race, are operations recorded? A copy of what the board says.
    static ASKED: Cell<(bool, bool)> = const { Cell::new((false, false)) };
    /// The same for what lets go of a lock: do actors race, and are releases visible?
    static RELEASES: Cell<bool> = const { Cell::new(false) };
    /// The next lock is a CPU's, which is to forget what is in its TLB.
    static FLUSHES: Cell<bool> = const { Cell::new(false) };
}

/// Do actors race?
fn racing() -> bool {
    ASKED.get().0
}

/// Are operations recorded?
fn recording() -> bool {
    ASKED.get().1
}

/// Do something with this thread's board.
#[inline]
pub(crate) fn board<R>(f: impl FnOnce(&mut Board) -> R) -> R {
    BOARD.with(|board| f(&mut board.borrow_mut()))
}

/// What an operation is to do about switching.
enum Switch {
    /// Go on.
    Stay,
    /// Let shuttle switch.
    Leave,
}

impl Board {
    const NEW: Self = Self {
        racing: false,
        current: None,
        next: None,
        ready: 0,
        yielded: 0,
        waiting: 0,
        waits_for: [0; MAX_ACTORS],
        deadlock: false,
        alone: 0,
        pauses: [0; MAX_ACTORS],
        unfair: false,
        chooser: Chooser::Outside,
        record: false,
        in_turn: false,
        releases: false,
        primitive: [""; MAX_ACTORS],
        step: [0; MAX_ACTORS],
        tally: Tally {
            operations: 0,
            switches: 0,
            schedule: Vec::new(),
            trace: Vec::new(),
            endless: false,
        },
    };

    /// A new execution: nobody races yet.
    pub(crate) fn reset(&mut self, record: bool) {
        let chooser = std::mem::replace(&mut self.chooser, Chooser::Outside);
        let mut tally = std::mem::take(&mut self.tally);
        tally.schedule.clear();
        tally.trace.clear();
        (tally.operations, tally.switches, tally.endless) = (0, 0, false);
        *self = Self {
            chooser,
            record,
            tally,
            ..Self::NEW
        };
        ASKED.set((false, record));
        RELEASES.set(false);
    }

    /// Are releases of locks visible in this execution?
    pub(crate) fn show_releases(&mut self, releases: bool) {
        self.releases = releases;
    }

    /// The actors are there, and begin.
    pub(crate) fn race(&mut self, actors: usize) {
        self.ready = (0..actors.min(MAX_ACTORS)).fold(0, |set, slot| set | only(slot));
        (self.yielded, self.waiting) = (0, 0);
        self.racing = actors > 0;
        ASKED.set((self.racing, self.record));
        RELEASES.set(self.racing && self.releases);
        FLUSHES.set(false);
        (self.current, self.next) = (None, None);
    }

    /// This actor does this step of its, with nobody else at the same time: what it does is recorded.
    pub(crate) fn takes_turn(&mut self, actor: u8, step: u16) {
        (self.in_turn, self.current) = (true, Some(actor));
        self.step[self.slot()] = step;
        ASKED.set((false, true));
    }

    /// The last turn is over.
    pub(crate) fn turns_end(&mut self) {
        self.in_turn = false;
        ASKED.set((false, false));
    }

    /// What came of the execution.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Are there actors that race?
    pub(crate) fn racing(&self) -> bool {
        self.racing
    }

    /// The place in the lists of the actor that runs.
    #[inline]
    fn slot(&self) -> usize {
        usize::from(self.current.unwrap_or(0)) % MAX_ACTORS
    }

    /// Who could run next; if nobody could, who yielded may look again, and if nobody did, all who wait are told that
    /// they wait for ever. Empty only when all are done.
    #[inline]
    pub(crate) fn candidates(&mut self) -> Actors {
        if self.ready == 0 {
            self.look_again();
        }
        self.ready
    }

    fn look_again(&mut self) {
        let all = if self.yielded != 0 {
            &mut self.yielded
        } else {
            self.deadlock |= self.waiting != 0;
            &mut self.waiting
        };
        self.ready = std::mem::take(all);
    }

    /// Those of `candidates` (not empty) that a fuzzer's bytes may choose. Bytes are not fair, as the kernel's scheduler is: without
    /// this they let two who only wait for a third run by turns, and never the third.
    #[cold]
    fn fair(&self, candidates: Actors) -> Actors {
        let all = self.pauses.iter().enumerate();
        let can = all.filter(|(actor, _)| candidates >> actor & 1 != 0);
        let fewest = can.clone().map(|(_, pauses)| *pauses).min().unwrap_or(0);
        let fresh = can.filter(|(_, pauses)| **pauses - fewest < MAX_PAUSES_FED);
        fresh.fold(0, |set, (actor, _)| set | 1 << actor)
    }

    /// Decide who is next, unless that is for a scheduler of shuttle's. None if it is, or if all are done. What does who runs `next` if
    /// it goes on, and with which object?
    #[inline]
    fn decide(&mut self, next: Next, object: usize) -> Option<u8> {
        let candidates = self.candidates();
        if candidates == 0 {
            return None;
        }
        let candidates = match self.chooser {
            Chooser::Fed(_) if self.unfair => self.fair(candidates),
            _ => candidates,
        };
        let lowest = candidates.trailing_zeros() as u8;
        let running = self.current.filter(|actor| candidates >> actor & 1 != 0);
        let stay = running.unwrap_or(lowest);
        if self.tally.endless {
            return Some(stay);
        }
        let choice = match &mut self.chooser {
            Chooser::Outside => None,
            Chooser::Search(search) => Some(search.choose(candidates, running)),
            Chooser::Fed(feed) => Some(feed.choose(candidates, running, next, object)),
            Chooser::Script { actors, next, off } => {
                let wanted = actors.get(*next).copied();
                let choice = wanted.filter(|actor| candidates >> actor & 1 != 0);
                if choice.is_none() {
                    off.get_or_insert(*next);
                }
                *next += 1;
                Some(choice.unwrap_or(stay))
            }
        };
        if let Some(choice) = choice {
            self.tally.schedule.push(choice);
        }
        choice
    }

    #[inline]
    fn switch(&mut self, next: Next, object: usize) -> Switch {
        match self.decide(next, object) {
            next if next.is_some() && next == self.current => Switch::Stay,
            next => {
                self.next = next;
                Switch::Leave
            }
        }
    }

    /// Shuttle switches: to whom? None if nobody races, or it is for a scheduler of shuttle's.
    pub(crate) fn take_next(&mut self) -> Option<u8> {
        match self.next.take() {
            Some(actor) => Some(actor),
            None => self.decide(Next::Other, NOTHING),
        }
    }

    /// This actor runs from here.
    pub(crate) fn runs(&mut self, actor: u8) {
        if let Chooser::Outside = self.chooser {
            self.tally.schedule.push(actor);
        }
        self.tally.switches += usize::from(self.current != Some(actor));
        self.current = Some(actor);
    }

    /// Has the current actor asked for others to be run, or can't it go on?
    pub(crate) fn yielding(&self) -> bool {
        self.ready & only(self.slot()) == 0
    }

    /// The current actor does a visible operation now. Who had yielded may look again.
    #[inline]
    fn operate(&mut self) {
        self.tally.operations += 1;
        let current = only(self.slot());
        self.ready |= self.yielded & !current;
        self.yielded &= current;
        if self.tally.operations > MAX_OPERATIONS {
            self.tally.endless = true;
        }
    }
}

/// A visible operation on `object` is about to take place: others may run before it.
#[inline]
pub(crate) fn point(object: usize) {
    if racing() {
        point_in_race(Next::Other, object);
    }
}

/// The same of one that takes a lock, or changes another number that is waited on.
#[inline]
pub(crate) fn lock_point(object: usize) {
    if racing() {
        let next = match FLUSHES.take() {
            true => Next::Flush,
            false => Next::Lock,
        };
        point_in_race(next, object);
    }
}

/// The lock that is taken next is that of a CPU whose TLB is flushed.
#[inline]
pub(crate) fn flushes() {
    FLUSHES.set(true);
}

/// A lock is about to be let go of: others may run before it, if that is asked for.
#[inline]
pub(crate) fn release_point(object: usize) {
    if RELEASES.get() {
        point_in_race(Next::Other, object);
    }
}

#[inline(never)]
fn point_in_race(next: Next, object: usize) {
    let switch = board(|board| {
        let switch = board.switch(next, object);
        if let Switch::Stay = switch {
            board.operate();
        }
        switch
    });
    if let Switch::Leave = switch {
        shuttle::thread::yield_now();
        board(Board::operate);
    }
}

/// The operation at [`point`] has been done, on `object`.
#[inline]
pub(crate) fn did(object: usize, verb: &'static str, values: (u32, u32)) {
    if recording() {
        record(object, verb, values);
    }
}

#[cold]
#[inline(never)]
fn record(object: usize, verb: &'static str, values: (u32, u32)) {
    board(|board| {
        if board.racing || board.in_turn {
            let actor = board.slot();
            let (primitive, step) = (board.primitive[actor], board.step[actor]);
            board.tally.trace.push(Operation {
                actor: actor as u8,
                primitive,
                object,
                verb,
                values,
                step,
            });
        }
    });
}

/// The current actor waits for the monitor at `object` to change. False if nobody will ever change it.
pub(crate) fn wait(object: usize) -> bool {
    leave(Leave::Waiting(object));
    board(|board| !board.deadlock)
}

/// The current actor has nothing to do until another has run. False if that has come to nothing too often: everybody
/// else is done, or the execution does not end.
pub(crate) fn pause() -> bool {
    board(|board| {
        let slot = board.slot();
        board.pauses[slot] = board.pauses[slot].saturating_add(1);
        board.unfair |= board.pauses[slot] >= MAX_PAUSES_FED;
        if (board.ready | board.yielded | board.waiting) & !only(slot) == 0 {
            board.alone += 1;
            board.tally.endless |= board.alone > MAX_PAUSES_ALONE;
        }
    });
    if board(|board| board.racing()) {
        leave(Leave::Yielded);
    }
    board(|board| !board.tally.endless)
}

fn leave(why: Leave) {
    let switch = board(|board| {
        if !board.racing {
            // Nobody else is there to change it.
            board.deadlock = true;
            return Switch::Stay;
        }
        let slot = board.slot();
        board.ready &= !only(slot);
        match why {
            Leave::Waiting(object) => {
                board.waiting |= only(slot);
                board.waits_for[slot] = object;
            }
            Leave::Yielded => board.yielded |= only(slot),
        }
        board.switch(Next::Other, NOTHING)
    });
    if let Switch::Leave = switch {
        shuttle::thread::yield_now();
    }
}

/// The monitor at `object` has changed: who waits for it may look again.
#[inline]
pub(crate) fn wake(object: usize) {
    if racing() {
        wake_in_race(object);
    }
}

fn wake_in_race(object: usize) {
    board(|board| {
        let mut rest = board.waiting;
        while rest != 0 {
            let slot = rest.trailing_zeros() as usize % MAX_ACTORS;
            rest &= rest - 1;
            if board.waits_for[slot] == object {
                board.waiting &= !only(slot);
                board.ready |= only(slot);
            }
        }
    });
}

/// The current actor is done.
pub(crate) fn done() {
    board(|board| {
        let others = !only(board.slot());
        board.ready &= others;
        board.yielded &= others;
        board.waiting &= others;
        // What others wait for may have happened.
        (board.pauses, board.unfair) = ([0; MAX_ACTORS], false);
        board.racing = board.ready | board.yielded | board.waiting != 0;
        ASKED.set((board.racing, board.record));
        RELEASES.set(board.racing && board.releases);
    });
}

/// What the current actor is doing, for the record.
#[inline]
pub(crate) fn at(primitive: &'static str) {
    if recording() {
        enter(primitive);
    }
}

#[cold]
#[inline(never)]
fn enter(primitive: &'static str) {
    board(|board| {
        let slot = board.slot();
        board.primitive[slot] = primitive;
    });
}

/// The current actor begins its next step.
pub(crate) fn step(number: u16) {
    board(|board| {
        let slot = board.slot();
        board.step[slot] = number;
        board.pauses[slot] = 0;
    });
}
