//! Letting go of a lock is one piece with the operation before it, unless [`Settings::releases`] makes it visible: that this takes
//! nothing away is tested here, on races that are small enough for every state to be reached.

use core::sync::atomic::Ordering::Relaxed;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::model::{self, Model};
use migrate_pin_sim::engine::replay::replay;
use migrate_pin_sim::engine::scheduled::Scheduled;
use migrate_pin_sim::engine::{explore, Behind, Exploration, Settings};
use migrate_pin_sim::race::{self, Effort, Race};
use migrate_pin_sim::sync::{Atomic32, Monitor};
use migrate_pin_sim::{EventSet, Invariant, Synchronisation};
use std::collections::BTreeSet;
use std::sync::Arc;

type Word = <Scheduled as Synchronisation>::U32;
type Lock = <Scheduled as Synchronisation>::Monitor;

/// Everything that comes of `race` with at most `bound` preemptions.
fn explored(race: &Arc<Race>, policy: PolicyKind, bound: u32, releases: bool) -> Exploration {
    let telling = EventSet::EMPTY;
    let settings = Settings {
        states: true,
        releases,
        behind: Some(Behind { telling, bound }),
        ..Settings::exhaustive(bound)
    };
    let came = explore(race, policy, &settings);
    assert!(came.complete, "{}", race.name);
    came
}

/// What broke, by what the violations of an execution say.
fn broke(came: &Exploration) -> BTreeSet<Vec<&'static str>> {
    came.broke().map(|found| found.words()).collect()
}

/// The first actor adds to a word under a lock, and to another word after it. The second reads both words, takes the lock, and
/// reads the second word again.
struct Late;

impl Model for Late {
    type Shared = ([Word; 2], Lock, [Word; 3]);
    fn actors(&self) -> usize {
        2
    }
    fn set_up(&self) -> Self::Shared {
        let word = || Word::new(0);
        ([word(), word()], Lock::new(0), [word(), word(), word()])
    }
    fn act(&self, (words, lock, read): &Self::Shared, actor: usize) {
        let take = || {
            while lock.update(|taken| (1, taken)) != 0 {
                assert!(lock.wait(|taken| taken == 0));
            }
        };
        let release = || lock.update_quietly(|_| (0, ()));
        if actor == 0 {
            take();
            words[0].fetch_add(1, Relaxed);
            release();
            words[1].fetch_add(1, Relaxed);
            return;
        }
        read[0].store(words[0].load(Relaxed), Relaxed);
        read[1].store(words[1].load(Relaxed), Relaxed);
        take();
        read[2].store(words[1].load(Relaxed), Relaxed);
        release();
    }
    fn broken(&self, _: &Self::Shared) -> Option<(Invariant, &'static str)> {
        None
    }
    fn state(&self, (.., read): &Self::Shared) -> Vec<String> {
        let words = read.iter().map(|word| word.load(Relaxed));
        words.map(|word| word.to_string()).collect()
    }
}

/// The second actor reads 1 and 0 when the first has added once, and then waits for a lock that is still taken: so the first goes
/// on for nothing, and adds to the second word before that is read again. If the lock is let go of in one piece with the addition
/// before it, that takes a second preemption.
#[test]
fn a_release_that_is_seen_saves_a_preemption() {
    let late = ["1", "0", "1"].map(ToOwned::to_owned).to_vec();
    let states = |bound, releases| {
        let settings = Settings {
            states: true,
            releases,
            ..Settings::exhaustive(bound)
        };
        let came = model::explore(&Arc::new(Late), &settings);
        assert!(came.complete && came.found.is_none());
        (came.states, came.executions)
    };
    for bound in 0..=4 {
        let ((without, fewer), (with, more)) = (states(bound, false), states(bound, true));
        assert!(without.is_subset(&with), "at bound {bound}");
        assert!(
            with.is_subset(&states(bound + 1, false).0),
            "at bound {bound}"
        );
        assert!(bound == 0 || fewer < more, "{fewer} executions and {more}");
        assert_eq!(without.contains(&late), bound >= 2, "at bound {bound}");
        assert_eq!(with.contains(&late), bound >= 1, "at bound {bound}");
    }
}

/// Races of two actors with few operations: those that somebody thought of, and a sample of the generated ones.
fn small() -> Vec<Arc<Race>> {
    let races = race::all().into_iter().enumerate();
    let some = races.filter(|(place, race)| race.family.is_empty() || place % 41 == 0);
    let two = |race: &Arc<Race>| race.programs.len() == 2 && race.bugs.is_empty() && race.hardened;
    let few = |race: &Arc<Race>| {
        let zero = explore(race, PolicyKind::Hardened, &Settings::exhaustive(0));
        matches!(race.effort, Effort::Bound(_)) && zero.operations <= 64
    };
    some.map(|(_, race)| Arc::new(race))
        .filter(two)
        .filter(few)
        .collect()
}

/// Of the sample, where a state with two preemptions takes a third if releases are not seen.
const THIRD: [&str; 1] = ["pairs-huge-acquire-ends-vs-acquire-ends"];

/// Whatever is reached where releases are seen is reached where they are not, with one preemption more at most, and the other
/// way round. With two preemptions it is the same, but for [`THIRD`], and so is whatever breaks.
#[test]
fn races_come_to_the_same_whether_releases_are_seen_or_not() {
    let races = small();
    let (mut states, mut broken, mut more, mut thirds) = (0, 0, 0, 0);
    for race in &races {
        for policy in [PolicyKind::Hardened, PolicyKind::AsPosted] {
            let without = [1, 2].map(|bound| explored(race, policy, bound, false));
            let with = [1, 2].map(|bound| explored(race, policy, bound, true));
            let name = format!("{} {policy:?}", race.name);
            assert!(without[0].states.is_subset(&with[0].states), "{name}");
            assert!(with[0].states.is_subset(&without[1].states), "{name}");
            if THIRD.contains(&&*race.name) {
                let third = explored(race, policy, 3, false).states;
                assert!(with[1].states.is_subset(&third), "{name}");
                assert_ne!(without[1].states, with[1].states, "{name}");
                thirds += 1;
            } else {
                assert_eq!(without[1].states, with[1].states, "{name}");
            }
            assert_eq!(broke(&without[1]), broke(&with[1]), "{name}");
            assert!(without[1].executions <= with[1].executions, "{name}");
            more += usize::from(without[1].executions < with[1].executions);
            states += with[1].states.len();
            broken += broke(&with[1]).len();
        }
    }
    let races = races.len();
    println!("{races} races, {more} larger explorations, {states} states, {broken} ways to break");
    // In all and not for each: a race over a page that drivers leave alone comes to one or two states.
    assert!(races > 350 && more > 700 && states > 1_000 && broken > 45 && thirds > 0);
}

/// A schedule that was found with releases is repeated with them.
#[test]
fn a_schedule_with_releases_can_be_repeated() {
    let races = race::catalogue::all().into_iter().map(Arc::new);
    let race = races
        .into_iter()
        .find(|race| race.name == "unpin-referenced-on-6-12");
    let race = race.expect("there is such a race");
    let settings = Settings {
        releases: true,
        ..Settings::exhaustive(1)
    };
    let found = explore(&race, PolicyKind::AsPosted, &settings).found;
    let found = found.expect("it breaks");
    let again = replay(&race, PolicyKind::AsPosted, &settings, &found.schedule).unwrap();
    assert_eq!((again.off, again.broken), (None, found.broken));
    let other = Settings::exhaustive(1);
    let off = replay(&race, PolicyKind::AsPosted, &other, &found.schedule).unwrap();
    assert!(off.off.is_some(), "it fits without releases too");
}
