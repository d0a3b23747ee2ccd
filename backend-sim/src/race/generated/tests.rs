//! Nothing is left out, and what is cut has to be.

use super::*;
use crate::driver::session::Purpose;
use crate::engine::{explore, Settings};
use crate::scenario::Step;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Every race as a whole and all that it might be cut into, by its name.
fn any() -> BTreeMap<String, Race> {
    fn note(
        all: &mut BTreeMap<String, Race>,
        kind: &Kind,
        pieces: &[Piece],
        (driver, shape): (DriverKind, ShapeKind),
    ) {
        let race = race(kind, pieces, driver, shape);
        if all.insert(race.name.to_string(), race).is_none() {
            for pieces in pieces::cut(kind, pieces, driver) {
                note(all, kind, &pieces, (driver, shape));
            }
        }
    }
    let mut all = BTreeMap::new();
    for (driver, shape) in settings() {
        for (kind, programs) in combinations(driver, shape) {
            let whole: Vec<_> = programs.iter().map(|one| Piece::whole(one)).collect();
            note(&mut all, kind, &whole, (driver, shape));
        }
    }
    all
}

#[test]
fn only_long_races_are_cut() {
    let any = any();
    let (mut short, mut unknown) = (Vec::new(), Vec::new());
    let mut number = 0;
    for policy in [PolicyKind::Hardened, PolicyKind::AsPosted] {
        for name in long::cut(policy) {
            number += 1;
            let Some(race) = any.get(name) else {
                unknown.push(name);
                continue;
            };
            let came = explore(&Arc::new(race.clone()), policy, &Settings::exhaustive(1));
            if came.operations <= 200 {
                short.push((name, policy, came.operations));
            }
        }
    }
    assert!(number > 500, "{number}");
    assert!(unknown.is_empty(), "no such races: {unknown:#?}");
    assert!(short.is_empty(), "cut, and not long: {short:#?}");
}

/// What can't happen, or happens in another race: why a combination is not there.
fn senseless(kind: &Kind, programs: &[&Short], driver: DriverKind, shape: ShapeKind) -> bool {
    let any = |what: &dyn Fn(&Short) -> bool| programs.iter().any(|program| what(program));
    let forks = programs.iter().filter(|one| one.name == "fork").count();
    let elsewhere = any(&|one| one.place.is_some_and(|place| place != kind.place));
    let childs = kind.child
        && programs[1..]
            .iter()
            .any(|one| one.role != Role::Other || one.name == "device-add");
    let kernels = !kind.device && !any(&|one| one.role.drives());
    let once = driver == DriverKind::Careful && shape == ShapeKind::V5_11;
    let posted = driver == DriverKind::Posted;
    elsewhere
        || childs
        || forks > 1
        || kernels && !once
        || posted && (kind.migrated || any(&|one| one.role == Role::Mover))
}

/// The steps that `step` consists of, where it can be cut.
fn steps(step: &Step, driver: DriverKind) -> Vec<Step> {
    let (at, purpose) = match *step {
        Step::Acquire { at, access, .. } => (at, Purpose::Pin(access)),
        Step::ToDevice { at, .. } => (at, Purpose::ToDevice),
        step => return vec![step],
    };
    let setup = Step::Setup {
        at,
        pages: 1,
        purpose,
    };
    let migrates = [Step::Pages, Step::Map, Step::Finalize];
    match driver {
        // What it does with no page left is all that there is of its setup.
        DriverKind::Posted => [&[Step::FaultIn(at)], &migrates[..]].concat(),
        DriverKind::Careful => [&[setup, Step::Provide], &migrates[..]].concat(),
    }
}

/// Each step of each program of each combination that makes sense meets each step of the other programs in some race of its family
/// under each policy.
#[test]
fn every_combination_is_there() {
    let all = all();
    let mut families: BTreeMap<&str, Vec<&Race>> = BTreeMap::new();
    for race in &all {
        families.entry(&race.family).or_default().push(race);
    }
    let (mut meetings, mut missing) = (0, BTreeSet::new());
    for (driver, shape) in settings() {
        let policies: &[_] = match driver {
            DriverKind::Careful => &[PolicyKind::Hardened, PolicyKind::AsPosted],
            DriverKind::Posted => &[PolicyKind::AsPosted],
        };
        let kinds = KINDS.iter().chain(match driver {
            DriverKind::Careful => RACE_KINDS,
            // A write that is lost could not be told from one of the device.
            DriverKind::Posted => &[],
        });
        let kinds = kinds.map(|kind| (kind, PAIRS, 2));
        for (kind, programs, actors) in
            kinds.chain(TRIPLE_KINDS.iter().map(|kind| (kind, TRIPLES, 3)))
        {
            for programs in choices(programs, actors) {
                if senseless(kind, &programs, driver, shape) {
                    continue;
                }
                let whole: Vec<_> = programs.iter().map(|one| Piece::whole(one)).collect();
                let whole = race(kind, &whole, driver, shape);
                let family = families.get(&*whole.family).map_or(&[][..], Vec::as_slice);
                for policy in policies {
                    for two in pieces::pairs(&programs) {
                        meetings += 1;
                        if !meet(family, &two.map(|one| *one), driver, *policy) {
                            missing.insert(format!("{} {policy:?}", whole.name));
                        }
                    }
                }
            }
        }
    }
    assert!(meetings > 20_000, "{meetings}");
    assert!(
        missing.is_empty(),
        "{} are missing: {missing:#?}",
        missing.len()
    );
}

/// All choices of so many programs, in their order: two may be the same, three not.
fn choices(programs: &'static [Short], actors: usize) -> Vec<Vec<&'static Short>> {
    let mut all = Vec::new();
    for (place, first) in programs.iter().enumerate() {
        match actors {
            2 => all.extend(programs[place..].iter().map(|second| vec![first, second])),
            _ => all.extend(
                pieces::pairs(&programs[place + 1..])
                    .map(|[second, third]| vec![first, second, third]),
            ),
        }
    }
    all
}

/// Does each step of the one meet each step of the other in some race of `family`?
fn meet(family: &[&Race], two: &[&Short; 2], driver: DriverKind, policy: PolicyKind) -> bool {
    // The pieces of the two in each race: their steps.
    let mut races = Vec::new();
    for race in family.iter().filter(|race| race.runs_under(policy)) {
        let family = race.family.len() + 1;
        let names: Vec<_> = race.name[family..].split("-vs-").collect();
        let of = |short: &Short, not: Option<usize>| {
            let is = |name: &str| name.strip_prefix(short.name).is_some_and(is_piece);
            (0..names.len()).find(|place| Some(*place) != not && is(names[*place]))
        };
        let Some(first) = of(two[0], None) else {
            continue;
        };
        if let Some(second) = of(two[1], Some(first)) {
            races.push([first, second].map(|place| &race.programs[place].steps));
        }
    }
    let steps = two.map(|short| {
        let all = short.steps.iter();
        all.flat_map(|step| steps(step, driver)).collect::<Vec<_>>()
    });
    let does = |piece: &[Step], short: &Short, step: &Step| {
        piece.contains(step)
            || piece == short.steps
                && short
                    .steps
                    .iter()
                    .any(|whole| self::steps(whole, driver).contains(step))
    };
    steps[0].iter().all(|one| {
        steps[1].iter().all(|other| {
            races
                .iter()
                .any(|[first, second]| does(first, two[0], one) && does(second, two[1], other))
        })
    })
}

/// Is this what stands behind the name of a program in that of a piece of it?
fn is_piece(rest: &str) -> bool {
    let parts = [
        "begins",
        "ends",
        "moves",
        "uses",
        "takes",
        "faults-in",
        "from-split",
    ];
    rest.is_empty()
        || parts.iter().any(|part| {
            rest.strip_prefix('-')
                .is_some_and(|rest| rest.starts_with(part))
        })
}
