//! What is told of what broke: of each violation what the ledger has and what the machine has, by what primitives it came to that, and
//! which pages are which.

use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::replay::{replay, tell};
use migrate_pin_sim::engine::{explore, Settings};
use migrate_pin_sim::race::{self, Race};
use migrate_pin_sim::scenario::run::{run, Variation};
use migrate_pin_sim::scenario::{catalogue, Scenario};
use migrate_pin_sim::{Bug, Invariant, Violation};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A scenario of the catalogue.
fn scenario(name: &str) -> &'static Scenario {
    let mut all = catalogue::all().into_iter();
    all.find(|one| one.name == name).unwrap()
}

/// Nobody keeps books of accesses that are repeated, nor of a page that is not there.
fn has_books(violation: &Violation) -> bool {
    !["an access faults for ever", "there is no such page"].contains(&violation.what)
}

/// Of every violation, whatever breaks: each seeded bug in sequence and in its race, and whatever the patch breaks in sequence.
#[test]
fn each_violation_says_what_the_ledger_has_and_what_the_machine_has() {
    let mut all: Vec<Violation> = Vec::new();
    for seeded in catalogue::seeded() {
        let variation = Variation {
            bugs: &[seeded.bug],
            ..Variation::plain(PolicyKind::Hardened)
        };
        all.extend(run(&seeded.scenario, variation).violations);
    }
    for scenario in catalogue::all() {
        let found = run(scenario, Variation::plain(PolicyKind::AsPosted)).violations;
        // Who waits there waits for a driver that refuses each fault, and for no lock.
        all.extend(found.iter().filter(|one| one.invariant != Invariant::Live));
    }
    let seeded = race::catalogue::all().into_iter();
    for race in seeded.filter(|race| !race.bugs.is_empty()) {
        let settings = Settings::of(&race, 0);
        let came = explore(&Arc::new(race), PolicyKind::Hardened, &settings);
        all.extend(came.found.unwrap().violations);
    }
    let mut told = BTreeSet::new();
    for violation in all.iter().filter(|one| has_books(one)) {
        let text = violation.to_string();
        let (_, books) = text.split_once(" (").unwrap_or_default();
        let ledger = books.contains(": ledger ");
        let machine = books.contains(" machine ");
        // A word is only the machine's, sections are only the ledger's, and so are the device's mappings and what shares a page.
        let one_side = match violation.invariant {
            Invariant::Word | Invariant::Notify | Invariant::Cow => ledger || machine,
            Invariant::Lock if books.contains("notifier section") => ledger,
            Invariant::Ref if books.contains("swap slot") => machine,
            _ => ledger && machine,
        };
        assert!(one_side, "{text}");
        told.insert(violation.invariant);
    }
    assert_eq!(told.len(), Invariant::ALL.len(), "{told:?}");
}

#[test]
fn what_is_told_is_what_there_is() {
    let said = |name: &str, policy, bugs: &[Bug]| {
        let variation = Variation {
            bugs,
            ..Variation::plain(policy)
        };
        let (_, _, messages) = tell(scenario(name), variation);
        messages
    };
    assert_eq!(
        said("pages-pin-of-file", PolicyKind::AsPosted, &[])[0],
        "PIN: a page is pinned and nothing will release it, page 0x100 (pins: ledger 1, machine 1 in a count of 1027; device page in \
         its place: ledger none) [actor 0, step 1 of all, when all is quiet] (page 0x100 is a4)"
    );
    assert_eq!(
        said("posted-exit", PolicyKind::AsPosted, &[])[0],
        "PAIR: a pair outlives its device page, page 0x110 (pair: ledger stands for 0x100, device page in its place none, pins 0, \
         machine zone_device_data 0x100) [actor 1, step 1 of all, page_ref_sub] (page 0x110 is dev0, page 0x100 is a1)"
    );
    let forgets = catalogue::seeded().iter();
    let forgets = forgets.filter(|seeded| seeded.bug == Bug::UnlockPageForgotten);
    let variation = Variation {
        bugs: &[Bug::UnlockPageForgotten],
        ..Variation::plain(PolicyKind::Hardened)
    };
    let messages = forgets.flat_map(|seeded| tell(&seeded.scenario, variation).2);
    let waits: Vec<_> = messages.filter(|text| text.starts_with("LIVE")).collect();
    assert_eq!(
        waits,
        ["LIVE: an actor waits for ever, page 0x100 (page lock: ledger held by actor 0, machine taken) [actor 1, step 1 of all, put_page] \
          (page 0x100 is a1)"]
    );
}

/// Seen from two sides: one actor's step at a time is run on spin locks, and told on the machine that engines see.
#[test]
fn a_sequential_run_is_told_primitive_by_primitive() {
    let mut broken = 0;
    for scenario in catalogue::all() {
        for policy in [PolicyKind::Hardened, PolicyKind::AsPosted] {
            let variation = Variation::plain(policy);
            let (plain, (again, lines, messages)) =
                (run(scenario, variation), tell(scenario, variation));
            let what = format!("{} {policy:?}", scenario.name);
            assert_eq!(plain.violations, again.violations, "{what}");
            assert_eq!(plain.lines, again.lines, "{what}");
            assert_eq!(messages.len(), plain.violations.len(), "{what}");
            for line in &lines {
                let step = scenario.steps.iter().filter(|by| by.0 == line.actor);
                assert!(usize::from(line.step) < step.count(), "{what}: {line:?}");
                assert!(!line.primitive.is_empty(), "{what}: {line:?}");
                assert_ne!(line.object, "?", "{what}: {line:?}");
            }
            if !plain.violations.is_empty() {
                broken += 1;
                assert!(!lines.is_empty(), "{what}");
            }
        }
    }
    assert!(broken > 30, "{broken}");
}

/// Taking the two sides down is no operation that an engine sees: a schedule is repeated to the end, and breaks the same.
#[test]
fn what_is_looked_at_for_a_report_is_not_seen_by_the_engine() {
    let all = race::catalogue::all();
    let named = |name: &str| -> Arc<Race> {
        let race = all.iter().find(|race| race.name == name);
        Arc::new(race.unwrap().clone())
    };
    for name in [
        "posted-driver-dontneed",
        "mprotect-while-pinning",
        "unpin-referenced-on-6-12",
    ] {
        let race = named(name);
        let settings = Settings::of(&race, 0);
        let came = explore(&race, PolicyKind::AsPosted, &settings);
        assert!(came.found.is_some(), "{name}");
        for found in came.broke() {
            let again = replay(&race, PolicyKind::AsPosted, &settings, &found.schedule).unwrap();
            assert_eq!(again.off, None, "{name}");
            assert_eq!(again.violations, found.violations, "{name}");
        }
    }
}
