//! What loom is asked for, of each race that somebody thought of. `migrate-pin check` explores them; here is what it would not
//! notice.

use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::{explore, loom, Kind, Settings};
use migrate_pin_sim::race::catalogue::{self, by_loom};
use migrate_pin_sim::race::verdict::Verdict;
use migrate_pin_sim::race::{ByLoom, Race};
use std::sync::Arc;

const POLICIES: [PolicyKind; 2] = [PolicyKind::Hardened, PolicyKind::AsPosted];

/// The races that loom explores.
fn races() -> impl Iterator<Item = (Arc<Race>, ByLoom)> {
    let all = catalogue::all().into_iter();
    let few = all.filter(|race| race.programs.len() <= loom::MAX_ACTORS);
    few.map(|race| {
        let own = race.loom.expect("loom is not asked");
        (Arc::new(race), own)
    })
}

fn settings(bound: u32, executions: u64) -> Settings {
    Settings {
        kind: Kind::Loom,
        executions,
        ..Settings::exhaustive(bound)
    }
}

/// The lists name races.
#[test]
fn every_name_is_that_of_a_race() {
    let all = catalogue::all();
    for name in by_loom::names() {
        assert!(all.iter().any(|race| race.name == name), "{name}");
    }
}

/// What is explored with fewer preemptions than others would take more executions than it may with one more.
#[test]
fn a_smaller_bound_is_taken_only_where_it_must_be() {
    let mut smaller = 0;
    for (race, own) in races().filter(|(_, own)| own.bound < by_loom::BOUND) {
        let settings = settings(own.bound + 1, by_loom::most(own.bound + 1));
        let mut runs = POLICIES.iter().filter(|policy| race.runs_under(**policy));
        let too_many = runs.any(|policy| {
            let came = explore(&race, *policy, &settings);
            came.executions >= settings.executions
        });
        assert!(too_many, "{} ends at bound {}", race.name, settings.bound);
        smaller += 1;
    }
    assert!(smaller > 0);
}

/// What loom is said not to come to it does not come to, at the race's own bound.
#[test]
fn what_is_unseen_is_unseen() {
    let unseen = |own: &ByLoom| !own.unseen.is_empty() || own.breaks_unseen;
    let mut count = 0;
    for (race, own) in races().filter(|(_, own)| unseen(own)) {
        let settings = settings(own.bound, by_loom::most(own.bound));
        let mut said = Vec::new();
        for policy in POLICIES.into_iter().filter(|one| race.runs_under(*one)) {
            let came = explore(&race, policy, &settings);
            if let Verdict::Unseen(names) = race.judge(policy, &settings, &came) {
                said.extend(names);
            }
            let breaks = came.found.is_some() && own.breaks_unseen;
            assert!(!breaks, "{}: it breaks", race.name);
        }
        for event in own.unseen {
            let name = event.name();
            assert!(said.contains(&name), "{}: {name} is reached", race.name);
        }
        assert!(!said.is_empty(), "{}: all is seen", race.name);
        count += 1;
    }
    assert!(count > 0);
}

/// Without `smp_mb()` a race fails whose orders alone, whatever they are, are fine.
#[test]
fn missing_barriers_fail_a_race() {
    for (race, own) in races().filter(|(race, _)| race.name.starts_with("dma-fork")) {
        for fences in [true, false] {
            let settings = Settings {
                fences,
                ..settings(own.bound, by_loom::most(own.bound))
            };
            let came = explore(&race, PolicyKind::Hardened, &settings);
            let verdict = race.judge(PolicyKind::Hardened, &settings, &came);
            let name = &race.name;
            match fences {
                true => assert_eq!(verdict, Verdict::Ok, "{name}"),
                false => assert_eq!(verdict, Verdict::Reached(race.never.to_vec()), "{name}"),
            }
        }
    }
}
