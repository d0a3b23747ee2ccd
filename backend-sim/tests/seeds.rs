//! Every seeded bug is caught by the invariant that it is there to prove, in the scenario that has its name. Those that need
//! a race have one: see `seeded_races.rs`. The one that needs two failures is in `scenarios.rs`.

mod hooked;

use hooked::Hooked;
use migrate_pin_core::ops::Range;
use migrate_pin_core::{PolicyKind, PAGE_SIZE};
use migrate_pin_sim::scenario::catalogue;
use migrate_pin_sim::scenario::catalogue::seeds::Seeded;
use migrate_pin_sim::scenario::explore::check;
use migrate_pin_sim::scenario::run::{run, Variation};
use migrate_pin_sim::{
    ActorId, Bug, Config, Event, GupFlags, Invariant, Machine, MmId, Populate, Violation,
};
use std::cell::Cell;

const POLICY: PolicyKind = PolicyKind::Hardened;

/// Complain of all that failed, not of the first only.
fn each(complaint: impl Fn(&Seeded) -> Option<String>) {
    let complaints: Vec<_> = catalogue::seeded()
        .iter()
        .filter_map(|seeded| Some(format!("{}: {}", seeded.bug.name(), complaint(seeded)?)))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn without_the_bug_nothing_breaks() {
    each(|seeded| {
        let report = check(&seeded.scenario, POLICY);
        assert_eq!(report.runs, 1);
        report
            .failures
            .first()
            .map(|failure| format!("{}\n{}", failure.message, failure.run.lines.join("\n")))
    });
}

#[test]
fn with_the_bug_its_invariant_breaks() {
    each(|seeded| {
        let bugs = [seeded.bug];
        let run = run(
            &seeded.scenario,
            Variation {
                bugs: &bugs,
                ..Variation::plain(POLICY)
            },
        );
        println!("{} breaks {}:", seeded.bug.name(), seeded.bug.breaks());
        for violation in &run.violations {
            println!("    {violation}");
        }
        if seeded.bug.needs_race() {
            // Else it need not be set apart from the others.
            let quiet = run.violations.is_empty();
            return (!quiet).then(|| "is caught in sequence".to_owned());
        }
        let caught = run
            .violations
            .iter()
            .any(|found| found.invariant == seeded.bug.breaks() && found.what == seeded.says);
        (!caught).then(|| format!("{} does not say: {}", seeded.bug.breaks(), seeded.says))
    });
}

#[test]
fn every_invariant_has_two_bugs() {
    for invariant in Invariant::ALL {
        let bugs = catalogue::seeded()
            .iter()
            .filter(|seeded| seeded.bug.breaks() == *invariant && !seeded.bug.needs_race())
            .count();
        assert!(bugs >= 2, "{invariant} has {bugs}");
    }
}

#[test]
fn every_bug_has_its_scenario() {
    for bug in Bug::ALL {
        let scenarios = catalogue::seeded()
            .iter()
            .filter(|seeded| seeded.bug == *bug)
            .count();
        // The first that needed a race had its scenario before there were races.
        let elsewhere = bug.needs_race() || bug.needs_two_failures();
        let wanted = !elsewhere || *bug == Bug::GupWithoutRecheck;
        assert_eq!(scenarios, usize::from(wanted), "{}", bug.name());
    }
    for seeded in catalogue::seeded() {
        assert_eq!(seeded.scenario.name, seeded.bug.name());
        assert!(
            seeded.scenario.config.bugs.is_empty(),
            "{}",
            seeded.bug.name()
        );
        let ordinary = catalogue::all();
        assert!(
            ordinary
                .iter()
                .all(|other| other.name != seeded.scenario.name),
            "{}",
            seeded.bug.name()
        );
    }
}

// ---- one that needs a race, by hand ----------------------------------------------------------------------------

thread_local!(
    /// How many visible operations until the other actor runs; 0 if it does not, or has.
    static LEFT: Cell<u32> = const { Cell::new(0) };
    static OTHER: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
);

/// A visible operation is about to take place: another actor may be run before it, once, to the end of its steps.
fn visible() {
    let left = LEFT.get();
    LEFT.set(left.saturating_sub(1));
    if left == 1 {
        if let Some(other) = OTHER.take() {
            other();
        }
    }
}

/// The steps of the scenario of [`Bug::GupWithoutRecheck`], the second actor's before the `at`th visible operation of
/// GUP-fast: what broke, and whether there was such an operation.
fn gup_interrupted(at: u32, bugs: &[Bug]) -> (Vec<Violation>, bool, bool) {
    const MM: MmId = MmId(0);
    let config = Config {
        bugs,
        ..Config::SMALL
    };
    // Leaked, since the other actor's steps are kept in a static.
    let machine: &'static Machine<Hooked> = match Machine::new(&config) {
        Ok(machine) => Box::leak(Box::new(machine)),
        Err(error) => panic!("{error:?}"),
    };
    assert!(machine.populate(MM, 1, Populate::Written(7)));
    OTHER.set(Some(Box::new(move || {
        let other = machine.cpu(ActorId(1));
        let range = Range {
            start: PAGE_SIZE,
            end: 2 * PAGE_SIZE,
        };
        assert_eq!(other.munmap(range).done(), Some(Ok(())));
        assert_eq!(other.write(2 * PAGE_SIZE, 9).done(), Some(Ok(0)));
    })));
    LEFT.set(at);
    hooked::hook(visible);
    let gup = machine.cpu(ActorId(0));
    let found = gup.gup_fast(
        PAGE_SIZE,
        GupFlags {
            write: true,
            pin: false,
        },
    );
    let interrupted = LEFT.replace(0) == 0;
    OTHER.set(None);
    if let Some(found) = found {
        gup.gup_put(found);
    }
    machine.check_quiescent();
    let backed_out = machine.events().contains(Event::GupFastBackedOut);
    (machine.violations().to_vec(), interrupted, backed_out)
}

#[test]
fn the_race_is_caught() {
    let seeded = catalogue::seeded()
        .iter()
        .find(|seeded| seeded.bug == Bug::GupWithoutRecheck);
    let says = seeded.map_or("", |seeded| seeded.says);
    let (mut caught, mut backed_out) = (0, 0);
    for at in 1.. {
        let (violations, interrupted, with_recheck) = gup_interrupted(at, &[]);
        if !interrupted {
            break;
        }
        assert!(
            violations.is_empty(),
            "before operation {at}: {violations:?}"
        );
        backed_out += u32::from(with_recheck);
        let (violations, ..) = gup_interrupted(at, &[Bug::GupWithoutRecheck]);
        for violation in &violations {
            println!("before operation {at}: {violation}");
        }
        caught += u32::from(
            violations
                .iter()
                .any(|v| v.invariant == Invariant::Uaf && v.what == says),
        );
    }
    assert!(caught > 0, "no place for the other actor shows it");
    assert!(backed_out > 0, "the recheck was never needed");
}
