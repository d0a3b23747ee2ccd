//! The engines themselves, on programs so small that what they must find can be counted on paper.

use core::sync::atomic::Ordering::Relaxed;
use migrate_pin_sim::engine::model::{explore, replay, Model};
use migrate_pin_sim::engine::scheduled::Scheduled;
use migrate_pin_sim::engine::{Exploration, Kind, Settings};
use migrate_pin_sim::sync::{Atomic32, Monitor};
use migrate_pin_sim::{Invariant, Synchronisation};
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

type Word = <Scheduled as Synchronisation>::U32;
type Lock = <Scheduled as Synchronisation>::Monitor;

/// Executions at `bound` alone: an exploration runs all bounds below it too.
fn at_bound<M: Model>(model: &Arc<M>, bound: u32) -> u64 {
    let all = explore(model, &Settings::exhaustive(bound));
    assert!(all.complete && all.found.is_none());
    let below = match bound {
        0 => 0,
        _ => explore(model, &Settings::exhaustive(bound - 1)).executions,
    };
    all.executions - below
}

// ---- how many schedules there are ---------------------------------------------------------------------------

/// Actors who do so many operations each, on one word.
struct Steps(&'static [usize]);

impl Model for Steps {
    type Shared = Word;
    fn actors(&self) -> usize {
        self.0.len()
    }
    fn set_up(&self) -> Word {
        Word::new(0)
    }
    fn act(&self, word: &Word, actor: usize) {
        for _ in 0..self.0[actor] {
            word.fetch_add(1, Relaxed);
        }
    }
    fn broken(&self, word: &Word) -> Option<(Invariant, &'static str)> {
        let all: usize = self.0.iter().sum();
        (word.load(Relaxed) as usize != all).then_some((Invariant::Data, "an addition is lost"))
    }
}

fn choose(n: u64, k: u64) -> u64 {
    (0..k).fold(1, |product, i| product * (n - i) / (i + 1))
}

/// Two actors with `k` operations each, exactly `p` preemptions: they take turns, so that who begins is preempted before
/// `p / 2` (rounded up) of its operations, the other before `p / 2` (rounded down) of its own; and either may begin.
fn two_actors(k: u64, p: u64) -> u64 {
    2 * choose(k, p.div_ceil(2)) * choose(k, p / 2)
}

#[test]
fn two_actors_have_as_many_schedules_as_the_binomials_say() {
    for (k, steps) in [(1, &[1, 1]), (2, &[2, 2]), (3, &[3, 3]), (7, &[7, 7])] {
        let model = Arc::new(Steps(steps));
        let mut expected = 0;
        for bound in 0..=4 {
            expected += two_actors(k, bound);
            assert_eq!(at_bound(&model, bound as u32), expected, "{k} {bound}");
        }
    }
}

/// The same by brute force, for any number of actors: `left` operations of each; `running` could go on. Before each
/// operation there is one decision; one who was preempted does the operation it was stopped at without another.
fn count(
    left: &mut Vec<usize>,
    decided: &mut Vec<bool>,
    running: Option<usize>,
    bound: u32,
) -> u64 {
    let go_on = running.filter(|actor| left[*actor] > 0);
    if left.iter().all(|left| *left == 0) {
        return 1;
    }
    if let Some(actor) = go_on.filter(|actor| decided[*actor]) {
        return step(left, decided, actor, bound);
    }
    let mut sum = 0;
    for next in 0..left.len() {
        if left[next] == 0 {
            continue;
        }
        let Some(bound) = bound.checked_sub(u32::from(go_on.is_some_and(|actor| actor != next)))
        else {
            continue;
        };
        let before = decided.clone();
        if let Some(stopped) = go_on {
            decided[stopped] = true;
        }
        // Who begins, or comes in for another, decides before its first operation once it runs.
        sum += if go_on == Some(next) || decided[next] {
            step(left, decided, next, bound)
        } else {
            count(left, decided, Some(next), bound)
        };
        *decided = before;
    }
    sum
}

/// `actor` does its operation.
fn step(left: &mut Vec<usize>, decided: &mut Vec<bool>, actor: usize, bound: u32) -> u64 {
    let before = (left.clone(), decided.clone());
    left[actor] -= 1;
    decided[actor] = false;
    let sum = count(left, decided, Some(actor), bound);
    (*left, *decided) = before;
    sum
}

#[test]
fn three_actors_have_as_many_schedules_as_brute_force_finds() {
    let all: [&'static [usize]; 5] = [&[1, 1, 1], &[2, 2, 2], &[1, 2, 3], &[3, 1], &[1, 1, 1, 1]];
    for steps in all {
        let model = Arc::new(Steps(steps));
        for bound in 0..=3 {
            let expected = count(
                &mut steps.to_vec(),
                &mut vec![false; steps.len()],
                None,
                bound,
            );
            assert_eq!(at_bound(&model, bound), expected, "{steps:?} {bound}");
        }
    }
    // Without preemptions only the order of the actors is left.
    assert_eq!(at_bound(&Arc::new(Steps(&[4, 4, 4])), 0), 6);
    assert_eq!(at_bound(&Arc::new(Steps(&[2, 2, 2, 2])), 0), 24);
}

#[test]
fn operations_are_counted() {
    let came = explore(&Arc::new(Steps(&[3, 4])), &Settings::exhaustive(1));
    assert_eq!(came.operations, 7);
    assert_eq!(came.all_operations, 7 * came.executions);
}

#[test]
fn switches_are_counted() {
    let came = explore(&Arc::new(Steps(&[3, 4])), &Settings::exhaustive(1));
    // One actor after the other: either may be first, at bound 0 and again at 1. In all others one is switched away from, and comes
    // back when the other is done.
    let in_turn = 2 * 2;
    assert!(came.executions > in_turn);
    assert_eq!(
        came.all_switches,
        2 * in_turn + 3 * (came.executions - in_turn)
    );
}

// ---- known bugs, each at the smallest bound that shows it ------------------------------------------------------

/// `x = x + 1` by a read and a write, by two actors.
struct LostUpdate;

impl Model for LostUpdate {
    type Shared = Word;
    fn actors(&self) -> usize {
        2
    }
    fn set_up(&self) -> Word {
        Word::new(0)
    }
    fn act(&self, word: &Word, _: usize) {
        let old = word.load(Relaxed);
        word.store(old + 1, Relaxed);
    }
    fn broken(&self, word: &Word) -> Option<(Invariant, &'static str)> {
        (word.load(Relaxed) != 2).then_some((Invariant::Data, "an update is lost"))
    }
    fn state(&self, word: &Word) -> Vec<String> {
        vec![word.load(Relaxed).to_string()]
    }
}

fn take(lock: &Lock) -> bool {
    while !lock.update(|state| (1, state == 0)) {
        if !lock.wait(|state| state == 0) {
            return false;
        }
    }
    true
}

fn give(lock: &Lock) {
    lock.update_quietly(|_| (0, ()));
}

/// Two locks, taken in opposite order if `opposite`.
struct TwoLocks {
    opposite: bool,
}

impl Model for TwoLocks {
    type Shared = ([Lock; 2], Word);
    fn actors(&self) -> usize {
        2
    }
    fn set_up(&self) -> Self::Shared {
        ([Lock::new(0), Lock::new(0)], Word::new(0))
    }
    fn act(&self, (locks, done): &Self::Shared, actor: usize) {
        let first = actor & usize::from(self.opposite);
        if take(&locks[first]) && take(&locks[1 - first]) {
            done.fetch_add(1, Relaxed);
            give(&locks[1 - first]);
            give(&locks[first]);
        }
    }
    fn broken(&self, (_, done): &Self::Shared) -> Option<(Invariant, &'static str)> {
        (done.load(Relaxed) != 2).then_some((Invariant::Live, "an actor waits for ever"))
    }
}

/// One waits for a bell that is rung once, or sleeps through it: it looks whether there is work, and only then begins to
/// wait for the bell to change.
struct LostWakeUp;

impl Model for LostWakeUp {
    /// The work, the bell, who has woken up.
    type Shared = (Word, Lock, Word);
    fn actors(&self) -> usize {
        2
    }
    fn set_up(&self) -> Self::Shared {
        (Word::new(0), Lock::new(0), Word::new(0))
    }
    fn act(&self, (work, bell, woken): &Self::Shared, actor: usize) {
        if actor == 1 {
            work.store(1, Relaxed);
            bell.update(|rung| (rung + 1, ()));
            return;
        }
        if work.load(Relaxed) == 0 {
            let rung = bell.read();
            if !bell.wait(|now| now != rung) {
                return;
            }
        }
        woken.store(1, Relaxed);
    }
    fn broken(&self, (_, _, woken): &Self::Shared) -> Option<(Invariant, &'static str)> {
        (woken.load(Relaxed) == 0).then_some((Invariant::Live, "a wake-up is lost"))
    }
}

/// The first reads a word three times; the second writes it twice. That all three readings differ takes a switch to the
/// second, back in between its two writes (a preemption of the second), and to it again.
struct Twice;

impl Model for Twice {
    type Shared = (Word, Word);
    fn actors(&self) -> usize {
        2
    }
    fn set_up(&self) -> Self::Shared {
        (Word::new(0), Word::new(0))
    }
    fn act(&self, (word, seen): &Self::Shared, actor: usize) {
        if actor == 1 {
            word.store(1, Relaxed);
            word.store(2, Relaxed);
            return;
        }
        let readings = [word.load(Relaxed), word.load(Relaxed), word.load(Relaxed)];
        seen.store(u32::from(readings == [0, 1, 2]), Relaxed);
    }
    fn broken(&self, (_, seen): &Self::Shared) -> Option<(Invariant, &'static str)> {
        (seen.load(Relaxed) == 1).then_some((Invariant::Data, "three readings differ"))
    }
}

/// Every schedule below the bound holds, at the bound it is found; what is found is found again by its schedule.
fn found_at<M: Model>(model: M, bound: u32, what: &str) {
    let model = Arc::new(model);
    if bound > 0 {
        let below = explore(&model, &Settings::exhaustive(bound - 1));
        assert!(below.complete && below.found.is_none(), "{what}");
    }
    let came = explore(&model, &Settings::exhaustive(5));
    let found = came.found.as_ref().expect(what);
    assert_eq!(found.bound, Some(bound), "{what}");
    assert_eq!(came.bound, Some(bound), "{what}");
    assert_eq!(found.violations[0].what, what);
    assert_eq!(found.execution, came.executions);
    replays_to_the_same(&model, &came);
}

fn replays_to_the_same<M: Model>(model: &Arc<M>, came: &Exploration) {
    let found = came.found.as_ref().unwrap();
    let again = replay(model, &found.schedule).unwrap();
    assert_eq!(again.violations, found.violations);
    assert_eq!(again.off, None);
}

#[test]
fn known_bugs_are_found_at_their_smallest_bound() {
    found_at(LostUpdate, 1, "an update is lost");
    found_at(TwoLocks { opposite: true }, 1, "an actor waits for ever");
    // Between looking and waiting; nobody need come back.
    found_at(LostWakeUp, 1, "a wake-up is lost");
    // Away from the reader, away from the writer, away from the reader.
    found_at(Twice, 3, "three readings differ");
}

#[test]
fn what_is_right_is_not_blamed() {
    let same_order = explore(
        &Arc::new(TwoLocks { opposite: false }),
        &Settings::exhaustive(6),
    );
    assert!(same_order.complete && same_order.found.is_none());
}

// ---- complete, or not ---------------------------------------------------------------------------------------

#[test]
fn what_was_cut_short_is_not_complete() {
    let model = Arc::new(Steps(&[6, 6]));
    let capped = Settings {
        executions: 10,
        ..Settings::exhaustive(2)
    };
    let came = explore(&model, &capped);
    assert!(!came.complete && came.found.is_none());
    // Two at bound 0; ten of fourteen at bound 1, where it gives up.
    assert_eq!((came.executions, came.bound), (12, Some(1)));

    let stopped = Settings {
        stop: Arc::new(AtomicBool::new(true)),
        ..Settings::exhaustive(2)
    };
    let came = explore(&model, &stopped);
    assert!(!came.complete && came.executions == 0 && came.bound == Some(0));
}

/// The last schedule there is may be the last one that is allowed.
#[test]
fn a_limit_of_as_many_executions_as_there_are_schedules_cuts_nothing_short() {
    let model = Arc::new(Steps(&[3, 3]));
    // Of the three bounds the last has most.
    let most = at_bound(&model, 2);
    let limited = |executions| {
        let settings = Settings {
            executions,
            ..Settings::exhaustive(2)
        };
        explore(&model, &settings)
    };
    let all = explore(&model, &Settings::exhaustive(2));
    let (exact, less) = (limited(most), limited(most - 1));
    assert!(exact.complete && exact.executions == all.executions);
    assert!(!less.complete && less.executions == all.executions - 1);
}

/// Stops the exploration it is part of, in its fifth execution.
struct Stopper(Arc<AtomicBool>, std::sync::atomic::AtomicUsize);

impl Model for Stopper {
    type Shared = Word;
    fn actors(&self) -> usize {
        2
    }
    fn set_up(&self) -> Word {
        Word::new(0)
    }
    fn act(&self, word: &Word, actor: usize) {
        if actor == 0 && self.1.fetch_add(1, Relaxed) == 4 {
            self.0.store(true, Relaxed);
        }
        for _ in 0..3 {
            word.fetch_add(1, Relaxed);
        }
    }
    fn broken(&self, _: &Word) -> Option<(Invariant, &'static str)> {
        None
    }
}

#[test]
fn an_exploration_that_is_stopped_ends_before_its_next_execution() {
    let settings = Settings::exhaustive(2);
    let model = Arc::new(Stopper(settings.stop.clone(), Default::default()));
    let came = explore(&model, &settings);
    assert!(!came.complete);
    assert_eq!((came.executions, came.bound), (5, Some(1)));
}

#[test]
fn only_exhaustive_says_complete() {
    for kind in [Kind::Random, Kind::Pct] {
        let settings = Settings {
            kind,
            executions: 1000,
            ..Settings::exhaustive(1)
        };
        // There are two schedules without preemptions and two operations; a thousand samples see them all.
        let came = explore(&Arc::new(Steps(&[1, 1])), &settings);
        assert!(!came.complete && came.found.is_none());
        assert_eq!(came.executions, 1000);
    }
}

// ---- seeds --------------------------------------------------------------------------------------------------

/// Writes down in which order the actors came.
struct Order;

impl Model for Order {
    type Shared = (Word, [Word; 12]);
    fn actors(&self) -> usize {
        3
    }
    fn set_up(&self) -> Self::Shared {
        (Word::new(0), core::array::from_fn(|_| Word::new(9)))
    }
    fn act(&self, (next, order): &Self::Shared, actor: usize) {
        for _ in 0..4 {
            let place = next.fetch_add(1, Relaxed) as usize;
            order[place].store(actor as u32, Relaxed);
        }
    }
    fn broken(&self, _: &Self::Shared) -> Option<(Invariant, &'static str)> {
        None
    }
    fn state(&self, (_, order): &Self::Shared) -> Vec<String> {
        order.iter().map(|w| w.load(Relaxed).to_string()).collect()
    }
}

fn orders(kind: Kind, seed: u64) -> BTreeSet<Vec<String>> {
    let settings = Settings {
        kind,
        seed,
        executions: 20,
        states: true,
        ..Settings::exhaustive(2)
    };
    explore(&Arc::new(Order), &settings).states
}

#[test]
fn a_seed_says_which_schedules() {
    for kind in [Kind::Random, Kind::Pct] {
        assert_eq!(orders(kind, 1), orders(kind, 1), "{kind:?}");
        assert_ne!(orders(kind, 1), orders(kind, 2), "{kind:?}");
        assert!(orders(kind, 1).len() > 1, "{kind:?}");
    }
}

#[test]
fn samples_find_what_is_there_and_say_how() {
    for kind in [Kind::Random, Kind::Pct] {
        let settings = Settings {
            kind,
            seed: 7,
            executions: 1000,
            ..Settings::exhaustive(1)
        };
        let model = Arc::new(LostUpdate);
        let came = explore(&model, &settings);
        assert!(came.found.is_some(), "{kind:?}");
        replays_to_the_same(&model, &came);
    }
}

// ---- replay -------------------------------------------------------------------------------------------------

#[test]
fn a_schedule_that_does_not_fit_says_where() {
    let model = Arc::new(LostUpdate);
    let came = explore(&model, &Settings::exhaustive(1));
    let schedule = came.found.unwrap().schedule;
    let off = |schedule: &[u8]| replay(&model, schedule).unwrap().off;
    assert_eq!(off(&schedule), None);

    // It names somebody who is not there.
    for place in 0..schedule.len() {
        let mut wrong = schedule.clone();
        wrong[place] = 5;
        assert_eq!(off(&wrong), Some(place));
    }
    // It ends too early.
    for length in 0..schedule.len() {
        assert_eq!(off(&schedule[..length]), Some(length));
    }
    // It goes on when all are done.
    let long = [&schedule[..], &[0]].concat();
    assert_eq!(off(&long), Some(schedule.len()));
}

#[test]
fn a_replay_shows_each_operation() {
    let model = Arc::new(LostUpdate);
    let schedule = explore(&model, &Settings::exhaustive(1))
        .found
        .unwrap()
        .schedule;
    let trace = replay(&model, &schedule).unwrap().trace;
    let seen: Vec<_> = trace.iter().map(|o| (o.actor, o.verb, o.values)).collect();
    assert_eq!(
        seen,
        [
            (0, "read", (0, 0)),
            (1, "read", (0, 0)),
            (1, "write", (0, 1)),
            (0, "write", (1, 1)),
        ]
    );
}

/// Both outcomes of an update that may be lost, and no other.
#[test]
fn final_states_are_those_that_there_are() {
    struct Told;
    impl Model for Told {
        type Shared = Word;
        fn actors(&self) -> usize {
            LostUpdate.actors()
        }
        fn set_up(&self) -> Word {
            LostUpdate.set_up()
        }
        fn act(&self, word: &Word, actor: usize) {
            LostUpdate.act(word, actor);
        }
        fn broken(&self, _: &Word) -> Option<(Invariant, &'static str)> {
            None
        }
        fn state(&self, word: &Word) -> Vec<String> {
            LostUpdate.state(word)
        }
    }
    let states = |bound| {
        let settings = Settings {
            states: true,
            ..Settings::exhaustive(bound)
        };
        explore(&Arc::new(Told), &settings)
            .states
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    };
    assert_eq!(states(0), ["2"]);
    assert_eq!(states(1), ["1", "2"]);
    assert_eq!(states(4), ["1", "2"]);
}
