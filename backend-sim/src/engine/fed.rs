//! [`Fed`]: races whose schedule comes in as bytes, from a fuzzer.
//!
//! Not a search: every input is another race and is run once, by the schedule that its bytes say, on the coroutines and by the
//! board that all engines but loom run on. What an execution came to holds its schedule, so that [`replay`](super::replay)
//! repeats it with every operation named.

use crate::engine::board::{board, Actors, Chooser};
use crate::engine::driven::Driven;
use crate::engine::execution::{build, furnish, prepare, Repeated, Stage};
use crate::engine::explore::{execute_on, lock, shuttle_config};
use crate::engine::scheduled::Scheduled;
use crate::engine::Settings;
use crate::event::EventSet;
use crate::race::Race;
use crate::scenario::outcome::Names;
use crate::sync::{Spin, Synchronisation};
use crate::violation::{Invariant, Violation};
use migrate_pin_core::PolicyKind;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A schedule as bytes. Each says who runs, and how long nobody else does: for so many more decisions, up to or behind the nth lock
/// that it takes, up to the nth shootdown of a TLB, up to where it meets who was relieved last, or as long as it can; one that can't
/// go on is relieved before. So a byte that is inserted or taken out moves a switch and leaves the others, a few bytes are a long
/// schedule, and where the parts of a path meet is not far from a lock, or from a flush that comes late. One code says that the bytes
/// before it come again, and again, and one that two take turns from there on, each up to where the first of them stands: what takes
/// turns for ever is short. When they have run out, who runs goes on, and then the lowest. Who has looked again and again whether it
/// can go on, oftener than another who can run, is chosen no more before that has caught up.
#[derive(Debug)]
pub(crate) struct Feed {
    bytes: Vec<u8>,
    next: usize,
    left: Left,
    /// Who ran last.
    last: u8,
    /// What who was relieved last was about to do something with.
    about: usize,
    /// Two who take turns.
    turns: Option<Turns>,
}

/// Two take turns for ever, each until it is about to do something with an object: who keep each other from getting on come back
/// to it again and again.
#[derive(Clone, Copy, Debug)]
struct Turns {
    two: Actors,
    object: usize,
}

/// What an actor does if it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It takes a lock, or changes another number that is waited on.
    Lock,
    /// It makes a CPU forget what is in its TLB, which takes a lock as well.
    Flush,
    /// Something else.
    Other,
}

/// How long nobody else runs.
#[derive(Clone, Copy, Debug)]
enum Left {
    Decisions(u8),
    /// Until it is about to take the last of so many locks, from 1 on.
    Before(u8),
    /// Until it has taken so many.
    Behind(u8),
    /// Until it is about to begin the last of so many shootdowns, from 1 on.
    BeforeFlush(u8),
    /// Until it is about to do something, for the last of so many times, with what who was relieved last was about to do something with.
    Meets(u8),
    All,
}

/// What a byte says.
enum Said {
    /// Who of those that can run, and how long.
    Run(u8, Left),
    /// Who of the others takes turns with who runs.
    Turns(u8),
    /// From here on so many bytes before this one again.
    Again(usize),
}

/// Bits of a byte that say how long.
const LENGTH: u8 = 5;
/// As long as it can.
const ALL: u8 = (1 << LENGTH) - 1;
/// The bytes before it once more; those bits that say who otherwise say how many.
const AGAIN: u8 = ALL - 1;
/// Most decisions that a byte can say.
const DECISIONS: u8 = 10;
/// Most locks, and most shootdowns.
const LOCKS: u8 = 8;
const FLUSHES: u8 = 4;
/// Where the codes for them begin.
const BEFORE: u8 = DECISIONS + 1;
const BEHIND: u8 = BEFORE + LOCKS;
const FLUSH: u8 = BEHIND + LOCKS - 1;
const _: () = assert!(FLUSH + FLUSHES == AGAIN);
/// Never more than so many can run, so that a larger number of who is free to say something else: by codes for few decisions, and by
/// those for locks that more are meant.
const WHO: u8 = 4;
/// Most meetings; the codes behind them are those of turns.
const MEETINGS: u8 = 4;
const TURNS: u8 = MEETINGS + 1;

const fn said(byte: u8) -> Said {
    let (who, code) = (byte >> LENGTH, byte & ALL);
    if who >= WHO {
        let who = who - WHO;
        match code {
            meetings @ 1..=MEETINGS => return Said::Run(who, Left::Meets(meetings)),
            TURNS..=DECISIONS => return Said::Turns(who),
            BEFORE..FLUSH => return Said::Run(who, Left::Before(code - BEFORE + 1 + LOCKS)),
            _ => {}
        }
    }
    let left = match code {
        ALL => Left::All,
        AGAIN => return Said::Again(who as usize + 1),
        FLUSH.. => Left::BeforeFlush(code - FLUSH + 1),
        BEHIND.. => Left::Behind(code - BEHIND + 1),
        BEFORE.. => Left::Before(code - BEFORE + 1),
        decisions => Left::Decisions(decisions),
    };
    Said::Run(who, left)
}

/// The byte that says: the `nth` of those who can run, for `decisions` more; from 11 on for as long as it can.
#[must_use]
pub const fn byte(nth: u8, decisions: u32) -> u8 {
    let length = if decisions <= DECISIONS as u32 {
        decisions as u8
    } else {
        ALL
    };
    nth << LENGTH | length
}

/// The bytes that say: the `nth` of those who can run, for so many decisions.
#[must_use]
pub fn bytes_of(nth: u8, decisions: u32) -> Vec<u8> {
    let most = u32::from(DECISIONS) + 1;
    let mut bytes = vec![byte(nth, most - 1); (decisions / most) as usize];
    bytes.extend(
        (decisions % most)
            .checked_sub(1)
            .map(|more| byte(nth, more)),
    );
    bytes
}

/// The byte that says: the `nth` of those who can run, up to the last of so many locks, from 1 to 23; or `behind` it, to 7.
#[must_use]
pub const fn byte_of_locks(nth: u8, locks: u8, behind: bool) -> u8 {
    let (who, code) = match (behind, locks > LOCKS) {
        (true, _) => (nth, BEHIND + locks - 1),
        (false, false) => (nth, BEFORE + locks - 1),
        (false, true) => (WHO + nth, BEFORE + locks - LOCKS - 1),
    };
    who << LENGTH | code
}

/// The byte that says: the `nth` of those who can run, up to the last of so many shootdowns, from 1 to 4.
#[must_use]
pub const fn byte_of_flushes(nth: u8, flushes: u8) -> u8 {
    nth << LENGTH | (FLUSH + flushes - 1)
}

/// The byte that says: so many bytes before this one again, from 1 to 8, and again.
#[must_use]
pub const fn byte_again(bytes: u8) -> u8 {
    (bytes - 1) << LENGTH | AGAIN
}

/// The byte that says: the `nth` of those who can run, up to the last of so many times, from 1 to 4, that it is about to do something
/// with what who was relieved last was about to do something with.
#[must_use]
pub const fn byte_of_meetings(nth: u8, meetings: u8) -> u8 {
    (WHO + nth) << LENGTH | meetings
}

/// The byte that says: who runs and the `nth` of the others who can take turns from here on, each until it is about to do something
/// with what who runs is about to do something with.
#[must_use]
pub const fn byte_of_turns(nth: u8) -> u8 {
    (WHO + nth) << LENGTH | TURNS
}

/// The `nth` of those in `set` (not empty), counted round.
const fn nth_of(set: Actors, nth: u8) -> u8 {
    let mut set = set;
    let mut nth = nth as u32 % set.count_ones();
    while nth > 0 {
        set &= set - 1;
        nth -= 1;
    }
    set.trailing_zeros() as u8
}

impl Feed {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            next: 0,
            left: Left::Decisions(0),
            last: 0,
            about: 0,
            turns: None,
        }
    }

    /// May who runs go on, and do this with that?
    fn goes_on(&mut self, next: Next, object: usize) -> bool {
        match &mut self.left {
            Left::All => true,
            Left::Decisions(0) | Left::Behind(0) => false,
            Left::Before(1) if next != Next::Other => false,
            Left::BeforeFlush(1) if next == Next::Flush => false,
            Left::Meets(1) if object == self.about => false,
            Left::Decisions(left) => {
                *left -= 1;
                true
            }
            Left::Before(left) | Left::Behind(left) => {
                *left -= u8::from(next != Next::Other);
                true
            }
            Left::BeforeFlush(left) => {
                *left -= u8::from(next == Next::Flush);
                true
            }
            Left::Meets(left) => {
                *left -= u8::from(object == self.about);
                true
            }
        }
    }

    /// The next byte that says who runs. There is none behind the last, nor if all that come again say nothing else.
    fn take(&mut self) -> Option<Said> {
        let mut went_back = false;
        loop {
            let byte = self.bytes.get(self.next).copied()?;
            match said(byte) {
                Said::Again(bytes) if !went_back => {
                    self.next = self.next.saturating_sub(bytes);
                    went_back = true;
                }
                Said::Again(_) => self.next += 1,
                said => {
                    self.next += 1;
                    return Some(said);
                }
            }
        }
    }

    /// Who runs next, of `candidates` (not empty). `running` is who could go on, what it would do `next` then, and with which object.
    #[inline]
    pub(crate) fn choose(
        &mut self,
        candidates: Actors,
        running: Option<u8>,
        next: Next,
        object: usize,
    ) -> u8 {
        let chosen = self.chosen(candidates, running, next, object);
        self.last = chosen;
        chosen
    }

    fn chosen(&mut self, candidates: Actors, running: Option<u8>, next: Next, object: usize) -> u8 {
        let lowest = candidates.trailing_zeros() as u8;
        let stay = running.unwrap_or(lowest);
        if candidates.count_ones() == 1 {
            if running.is_none() {
                // Who was chosen can't go on. Who goes on in its place was not: not for what is left of its turn.
                self.left = Left::Decisions(0);
            }
            return stay;
        }
        if let Some(turns) = self.turns {
            return self.in_turn(turns, candidates, running, object);
        }
        if running.is_some() && self.goes_on(next, object) {
            return stay;
        }
        let (who, left) = match self.take() {
            None => return stay,
            Some(Said::Run(who, left)) => (who, left),
            Some(Said::Turns(who)) => {
                let others = candidates & !(1 << stay);
                let two = 1 << stay | 1 << nth_of(others, who);
                let turns = Turns { two, object };
                self.turns = Some(turns);
                return self.in_turn(turns, candidates, running, object);
            }
            // It is never taken.
            Some(Said::Again(_)) => return stay,
        };
        self.left = left;
        let chosen = nth_of(candidates, who);
        match running {
            // What it is about to do is its first, whether it is relieved before or not.
            Some(running) if running == chosen => match &mut self.left {
                Left::Behind(left) if next != Next::Other => *left -= 1,
                _ => {}
            },
            Some(_) => self.about = object,
            None => {}
        }
        chosen
    }

    /// Who of the two goes on: who is not about to come to where the other one stands, then that one. Others as long as neither can.
    fn in_turn(&self, turns: Turns, candidates: Actors, running: Option<u8>, object: usize) -> u8 {
        let two = candidates & turns.two;
        let goes_on = |actor: &u8| two == 0 || (two >> actor & 1 != 0 && object != turns.object);
        if let Some(running) = running.filter(goes_on) {
            return running;
        }
        let other = two & !(1 << self.last);
        nth_of(
            [candidates, two, other][usize::from(two != 0) + usize::from(other != 0)],
            0,
        )
    }
}

/// What an execution came to.
#[derive(Clone, Debug, Default)]
pub struct Came {
    /// What broke, in the order in which it was found: the first violations.
    pub violations: Vec<Violation>,
    /// The invariants that broke, in the order of their table.
    pub broken: Vec<Invariant>,
    /// What happened.
    pub events: EventSet,
    /// Visible operations of all actors.
    pub operations: usize,
    /// Who was chosen at each decision.
    pub schedule: Vec<u8>,
    /// It did not end by itself.
    pub endless: bool,
}

/// Runs races by bytes. Races with the same configuration can share a machine, which is built once and put back before each.
#[derive(Default)]
pub struct Fed {
    kept: Kept,
}

/// Machines by the key of their configuration.
type Kept = Arc<Mutex<HashMap<usize, Repeated<Scheduled>>>>;

impl Fed {
    /// No machine is there yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Run `race` once, as `schedule` says. `key` is another number for each configuration (and policy). What can't stand where the
    /// race puts it is left out, and so is a given step that would have to wait: nobody has looked the race over.
    ///
    /// # Panics
    /// If the machine can't be built: the configuration is wrong. Or if core or the machine panics: that is a bug.
    #[must_use]
    pub fn run(
        &self,
        key: usize,
        race: &Arc<Race>,
        policy: PolicyKind,
        settings: &Settings,
        schedule: &[u8],
    ) -> Came {
        board(|board| board.chooser = Chooser::Fed(Feed::new(schedule)));
        let (kept, race, settings) = (self.kept.clone(), race.clone(), settings.clone());
        runner::run(Box::new(move || one(&kept, key, &race, policy, &settings)))
    }
}

/// Shuttle's runner, one a thread, that goes on from input to input.
///
/// It keeps the stacks of its coroutines only as long as it runs, and mapping them anew takes several times as long as an execution.
/// But it wants to call, and so does libFuzzer: so it is in a coroutine itself, and hands over between two executions.
mod runner {
    use super::{lock, shuttle_config, Came, Driven};
    use corosensei::{Coroutine, CoroutineResult, Yielder};
    use scoped_tls::scoped_thread_local;
    use std::cell::RefCell;
    use std::mem::ManuallyDrop;
    use std::sync::{Arc, Mutex};

    /// One execution.
    pub(super) type Job = Box<dyn FnOnce() -> Came + Send>;

    thread_local! {
        /// Never dropped: that would unwind shuttle's runner from within.
        static RUNNER: RefCell<ManuallyDrop<Option<Coroutine<Job, Came, ()>>>> =
            const { RefCell::new(ManuallyDrop::new(None)) };
    }

    // There is one runner a thread, so that whoever asks for this is in that one.
    scoped_thread_local!(static YIELDER: Yielder<Job, Came>);

    /// Run `job`. One that panics takes the runner with it.
    pub(super) fn run(job: Job) -> Came {
        let kept = RUNNER.with_borrow_mut(|runner| runner.take());
        let mut runner = kept.unwrap_or_else(|| Coroutine::new(begin));
        match runner.resume(job) {
            CoroutineResult::Yield(came) => {
                RUNNER.with_borrow_mut(|kept| **kept = Some(runner));
                came
            }
            CoroutineResult::Return(()) => Came::default(),
        }
    }

    fn begin(yielder: &Yielder<Job, Came>, first: Job) {
        let next = Arc::new(Mutex::new(Some(first)));
        let came = Arc::new(Mutex::new(None));
        let gate = {
            let (next, came) = (next.clone(), came.clone());
            move || {
                let last = lock(&came).take();
                if let Some(came) = last {
                    *lock(&next) = Some(YIELDER.with(|yielder| yielder.suspend(came)));
                }
                true
            }
        };
        let body = move || {
            let job = lock(&next).take();
            *lock(&came) = job.map(|job| job());
        };
        YIELDER.set(yielder, || {
            shuttle::Runner::new(Driven::new(gate, None), shuttle_config()).run(body);
        });
    }
}

/// The race as [`Fed::run`] runs it: without what can't stand where it puts it, and without given steps that would have to wait. This
/// one can be explored and replayed.
///
/// # Panics
/// If the machine can't be built: the configuration is wrong.
#[must_use]
pub fn standing(race: &Race, policy: PolicyKind) -> Race {
    let stage = empty::<Spin>(race, policy);
    let mut race = race.clone();
    let machine = &stage.machine;
    race.populate
        .to_mut()
        .retain(|(mm, page, what)| machine.populate(*mm, (*page).into(), *what));
    let (_, waits) = prepare(machine, &race, &stage.names, false);
    let mut place = 0;
    race.given.to_mut().retain(|_| {
        place += 1;
        !waits.contains(&(place - 1))
    });
    race
}

/// A machine with nothing in it.
fn empty<S: Synchronisation>(race: &Race, policy: PolicyKind) -> Stage<S> {
    Stage {
        machine: build(race, policy),
        names: spin::Mutex::new(Names::default()),
    }
}

fn one(kept: &Kept, key: usize, race: &Arc<Race>, policy: PolicyKind, settings: &Settings) -> Came {
    board(|board| board.reset(false));
    let anew = || (empty(race, policy), Vec::new());
    let mut repeated = lock(kept)
        .remove(&key)
        .unwrap_or_else(|| Repeated::new(anew));
    let stage = match repeated.again() {
        Some((stage, _)) => stage,
        // An actor of the execution before has not let go of it.
        None => Arc::new(empty(race, policy)),
    };
    let hands = furnish(&stage, race, settings.bugs);
    let outcome = execute_on(&stage, hands, race, settings);
    repeated.back(stage);
    lock(kept).insert(key, repeated);
    board(|board| {
        let tally = board.tally();
        Came {
            violations: outcome.violations,
            broken: outcome.broken,
            events: outcome.events,
            operations: tally.operations,
            schedule: tally.schedule.clone(),
            endless: tally.endless,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DriverKind;
    use crate::engine::replay::replay;
    use crate::event::Event;
    use crate::grammar::{Layout, Setting, CHILD, PARENT};
    use crate::paths::populate::Populate;
    use crate::race::{catalogue, Program};
    use crate::scenario::{By, Step};
    use migrate_pin_core::policy::ShapeKind;
    use migrate_pin_core::Access;
    use std::borrow::Cow;

    /// The first runs so many decisions, then it is somebody else's turn.
    fn first(decisions: u32) -> Vec<u8> {
        bytes_of(0, decisions)
    }

    /// The first is preempted after so many decisions by the second, who runs as long as it can.
    fn preempted_after(decisions: u32) -> Vec<u8> {
        let mut bytes = first(decisions);
        bytes.extend([byte(1, 400), byte(0, 400)]);
        bytes
    }

    /// A careful driver over anonymous memory.
    fn anonymous(shape: ShapeKind, policy: PolicyKind) -> Setting {
        Setting {
            shape,
            policy,
            driver: DriverKind::Careful,
            layout: Layout::Anonymous,
        }
    }

    /// Who does one thing.
    fn program(actor: u8, step: Step) -> Program {
        Program {
            actor,
            steps: Cow::Owned(vec![step]),
        }
    }

    #[test]
    fn a_byte_says_who_and_for_how_long() {
        let mut feed = Feed::new(&[
            byte(1, 2),
            byte(0, 0),
            byte(7, 400),
            byte_of_locks(0, 2, true),
            byte_of_locks(1, 2, false),
            byte(0, 0),
            byte_of_flushes(1, 2),
            byte(0, 0),
        ]);
        let mut choose = |candidates, running, next| feed.choose(candidates, running, next, 0);
        use Next::{Flush, Lock, Other};
        // The second of two, and two decisions more.
        let run = [None, Some(1), Some(1)].map(|running| choose(0b11, running, Other));
        assert_eq!(run, [1, 1, 1]);
        // The first, who is relieved at once; by the eighth of three, counted round, who goes on as long as it can.
        assert_eq!(choose(0b110, Some(2), Other), 1);
        assert_eq!(choose(0b111, Some(1), Other), 1);
        assert!((0..1000).all(|_| choose(0b111, Some(1), Lock) == 1));
        // Of one there is no choice to make.
        assert_eq!(choose(0b100, Some(2), Other), 2);
        // The first, until it has taken two locks; and then the second.
        assert_eq!(choose(0b101, None, Other), 0);
        let locks = [Other, Lock, Other, Flush].map(|next| choose(0b101, Some(0), next));
        assert_eq!(locks, [0; 4]);
        assert_eq!(choose(0b101, Some(0), Other), 2);
        // The second, up to the second lock.
        let locks = [Other, Lock, Other].map(|next| choose(0b101, Some(2), next));
        assert_eq!(locks, [2; 3]);
        assert_eq!(choose(0b101, Some(2), Lock), 0);
        // The second, up to the second shootdown.
        assert_eq!(choose(0b101, Some(0), Other), 2);
        let flushes = [Lock, Flush, Other, Lock].map(|next| choose(0b101, Some(2), next));
        assert_eq!(flushes, [2; 4]);
        assert_eq!(choose(0b101, Some(2), Flush), 0);
        // Nothing is left: who runs goes on, else the lowest.
        assert_eq!(choose(0b101, Some(2), Other), 2);
        assert_eq!(choose(0b101, None, Other), 0);
    }

    #[test]
    fn a_byte_says_how_many_locks() {
        for (behind, most) in [(false, 23), (true, 7)] {
            for locks in 1..=most {
                let mut feed = Feed::new(&[byte_of_locks(1, locks, behind), byte(0, 400)]);
                assert_eq!(feed.choose(0b11, None, Next::Other, 0), 1);
                let mut lock = || feed.choose(0b11, Some(1), Next::Lock, 0);
                let taken = (0..30).take_while(|_| lock() == 1).count();
                assert_eq!(
                    taken,
                    usize::from(locks) - usize::from(!behind),
                    "{locks} {behind}"
                );
            }
        }
    }

    #[test]
    fn a_byte_says_how_often_one_meets_who_was_relieved() {
        let mut feed = Feed::new(&[byte(0, 0), byte_of_meetings(1, 2), byte(0, 400)]);
        let mut choose = |running, object| feed.choose(0b11, Some(running), Next::Other, object);
        // The first is about to do something with 8, and is relieved by the second, who goes on up to the second time that it is
        // about to do something with that as well.
        let chosen = [(0, 7), (0, 8), (1, 8), (1, 9), (1, 8), (0, 8)];
        let chosen = chosen.map(|(running, object)| choose(running, object));
        assert_eq!(chosen, [0, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_byte_says_that_two_take_turns() {
        let mut feed = Feed::new(&[byte(1, 0), byte_of_turns(1), byte(0, 400)]);
        assert_eq!(feed.choose(0b111, None, Next::Other, 0), 1);
        // The second stands at 8, so does the third before long; the first is not asked.
        let chosen = [(1, 8), (2, 7), (2, 8), (1, 7), (1, 8), (2, 6)];
        let mut choose = |(running, object)| feed.choose(0b111, Some(running), Next::Other, object);
        assert_eq!(chosen.map(&mut choose), [2, 2, 1, 1, 2, 2]);
        // The third can't go on: the second does. Neither can: others do, and no longer than that.
        assert_eq!(feed.choose(0b011, None, Next::Other, 0), 1);
        assert_eq!(feed.choose(0b1001, None, Next::Other, 0), 0);
        assert_eq!(feed.choose(0b1101, Some(0), Next::Other, 6), 2);
    }

    /// Found by `interleave` as posted: each is refused while the other stands with its reference, again and again. Without turns
    /// none of these bytes is a schedule that shows it.
    #[test]
    fn two_who_take_turns_refuse_each_other_for_ever() {
        let setting = anonymous(ShapeKind::V6_12, PolicyKind::AsPosted);
        let race = Arc::new(Race {
            name: Cow::Borrowed("two fault on a page that is on a device"),
            config: setting.config(),
            populate: Cow::Owned(vec![(PARENT, 1, Populate::Written(100))]),
            given: Cow::Owned(vec![By(0, Step::ToDevice { at: 1, pages: 1 })]),
            programs: Cow::Owned(vec![
                program(0, Step::Read(1)),
                program(1, Step::Write(1, 8)),
            ]),
            ..Race::BASE
        });
        let (fed, settings) = (Fed::new(), Settings::exhaustive(0));
        let refused = |policy, last: &[u8]| {
            let mut refused = 0;
            for (preempted, behind) in (1..11).flat_map(|first| (1..11).map(move |n| (first, n))) {
                let schedule = [byte(0, preempted), byte(1, behind)];
                let came = fed.run(
                    policy as usize,
                    &race,
                    policy,
                    &settings,
                    &[&schedule, last].concat(),
                );
                refused += u32::from(came.broken.contains(&Invariant::Live));
            }
            refused
        };
        assert!(refused(PolicyKind::AsPosted, &[byte_of_turns(0)]) > 0);
        assert_eq!(
            refused(
                PolicyKind::AsPosted,
                &[byte(0, 400), byte(1, 400), byte_again(2)]
            ),
            0
        );
        assert_eq!(refused(PolicyKind::Hardened, &[byte_of_turns(0)]), 0);
    }

    #[test]
    fn bytes_come_again_and_again() {
        let again = [byte(1, 0), byte(0, 0), byte(1, 0), byte_again(2)];
        let mut feed = Feed::new(&again);
        let chosen = [(); 7].map(|()| feed.choose(0b11, Some(0), Next::Other, 0));
        assert_eq!(chosen, [1, 0, 1, 0, 1, 0, 1]);
        // Where nothing comes again, or only that.
        for nothing in [[byte_again(1), byte_again(8)], [byte_again(3), byte(1, 0)]] {
            let mut feed = Feed::new(&nothing);
            let chosen = feed.choose(0b11, Some(0), Next::Other, 0);
            assert_eq!(chosen, u8::from(nothing[1] == byte(1, 0)));
        }
    }

    /// On 5.11 nobody can wait for a part of a huge page that is being split: it is faulted on again. Found by `interleave`.
    #[test]
    fn two_who_fault_on_a_page_that_a_third_splits_do_not_keep_it_from_running() {
        let setting = anonymous(ShapeKind::V5_11, PolicyKind::Hardened);
        let race = Arc::new(Race {
            name: Cow::Borrowed("two fault on a page that is split"),
            config: setting.config(),
            populate: Cow::Owned(vec![(PARENT, 0, Populate::Huge(100))]),
            programs: Cow::Owned(vec![
                program(0, Step::ToDevice { at: 0, pages: 4 }),
                program(1, Step::Read(1)),
                program(3, Step::Read(1)),
            ]),
            ..Race::BASE
        });
        let (fed, settings) = (Fed::new(), Settings::exhaustive(0));
        for preempted in 1..16 {
            let mut schedule = first(12 * preempted);
            // From there on by turns, and not by the first.
            schedule.extend([byte(1, 10); 120]);
            let came = fed.run(0, &race, setting.policy, &settings, &schedule);
            assert_eq!(came.violations, [], "preempted after 12 * {preempted}");
        }
    }

    /// Who waits for `mmap_lock` to fork into an address space looks again whether it is still free. Found by `interleave`.
    #[test]
    fn of_two_forks_into_one_address_space_the_second_is_refused() {
        let setting = anonymous(ShapeKind::V6_12, PolicyKind::Hardened);
        let race = Arc::new(Race {
            name: Cow::Borrowed("two forks into one address space"),
            config: setting.config(),
            populate: Cow::Owned(vec![(PARENT, 0, Populate::Written(100))]),
            programs: Cow::Owned(vec![
                program(0, Step::Fork(CHILD)),
                program(1, Step::Fork(CHILD)),
            ]),
            ..Race::BASE
        });
        let (fed, settings) = (Fed::new(), Settings::exhaustive(0));
        for preempted in 1..9 {
            let schedule = preempted_after(preempted);
            let came = fed.run(0, &race, setting.policy, &settings, &schedule);
            assert_eq!(came.violations, [], "preempted after {preempted}");
        }
    }

    /// A driver that maps what it has migrated, after finalize, looks whether it still is what it has migrated: it may stand for a
    /// page that was pinned since. Found by `interleave`.
    #[test]
    fn a_device_page_that_came_back_for_a_pin_is_not_mapped_in_place_of_the_original() {
        let setting = anonymous(ShapeKind::V6_12, PolicyKind::Hardened);
        let (at, pages) = (1, 1);
        let program = |actor, steps| Program {
            actor,
            steps: Cow::Owned(steps),
        };
        let (revoke, access) = (Step::Revoke { at, pages }, Access::Write);
        let race = Arc::new(Race {
            name: Cow::Borrowed("a device page comes back for a pin"),
            config: setting.config(),
            populate: Cow::Owned(vec![(PARENT, 1, Populate::Written(100))]),
            programs: Cow::Owned(vec![
                program(0, vec![Step::ToDevice { at, pages }, revoke]),
                program(3, vec![revoke, Step::Acquire { at, pages, access }]),
            ]),
            ..Race::BASE
        });
        let (fed, settings) = (Fed::new(), Settings::exhaustive(0));
        let mut both = 0;
        for preempted in 1..193 {
            let mut schedule = first(preempted);
            schedule.extend([1, 1, 0].map(|nth| byte(nth, 400)));
            let came = fed.run(0, &race, setting.policy, &settings, &schedule);
            assert_eq!(came.violations, [], "preempted after {preempted}");
            both += u32::from(came.events.contains(Event::MigratedToDevice))
                & u32::from(came.events.contains(Event::Acquired));
        }
        assert!(both > 0, "nobody has pinned what another had migrated");
    }

    /// What is written through a stale TLB entry while the mapping of a file is zapped is in the file. Found by `interleave`.
    #[test]
    fn a_file_has_what_is_written_to_it_while_its_mapping_is_zapped() {
        let setting = Setting {
            shape: ShapeKind::V6_12,
            policy: PolicyKind::Hardened,
            driver: DriverKind::Careful,
            layout: Layout::Shared,
        };
        let program = |actor, steps| Program {
            actor,
            steps: Cow::Owned(steps),
        };
        let zap = Step::DontNeed { at: 4, pages: 1 };
        let race = Arc::new(Race {
            name: Cow::Borrowed("a file is written while it is zapped"),
            config: setting.config(),
            given: Cow::Owned(vec![By(1, Step::Write(4, 7))]),
            programs: Cow::Owned(vec![
                program(0, vec![zap, Step::Read(4)]),
                program(1, vec![Step::Write(4, 8)]),
            ]),
            ..Race::BASE
        });
        let (fed, settings) = (Fed::new(), Settings::exhaustive(0));
        let mut stale = 0;
        for preempted in 1..17 {
            let schedule = preempted_after(preempted);
            let came = fed.run(0, &race, setting.policy, &settings, &schedule);
            assert_eq!(came.violations, [], "preempted after {preempted}");
            stale += u32::from(came.events.contains(Event::StaleTlbHit));
        }
        assert!(stale > 0, "nobody has written through a stale entry");
    }

    #[test]
    fn a_schedule_of_bytes_finds_what_the_search_finds_and_can_be_replayed() {
        let race = catalogue::all()
            .into_iter()
            .find(|race| race.name == "posted-driver-dontneed");
        let race = Arc::new(race.expect("a race of the catalogue"));
        let settings = Settings::exhaustive(0);
        let fed = Fed::new();
        let mut broke = 0;
        for preempted in 1..61 {
            let schedule = preempted_after(preempted);
            let came = fed.run(0, &race, PolicyKind::AsPosted, &settings, &schedule);
            let again = replay(&race, PolicyKind::AsPosted, &settings, &came.schedule);
            let again = again.expect("it ends");
            assert_eq!(again.off, None);
            assert_eq!(again.broken, came.broken);
            assert_eq!(again.violations, came.violations);
            broke += u32::from(came.broken.contains(&Invariant::Notify));
        }
        assert!((1..60).contains(&broke), "{broke} of 60 schedules");
    }
}
