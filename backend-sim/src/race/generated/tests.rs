//! Nothing is left out, and what is cut has to be.

use super::*;
use crate::driver::session::Purpose;
use crate::engine::{explore, Settings};
use crate::grammar::programs::PAIRS;
use crate::scenario::Step;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// Every race as a whole and all that it might be cut into, by its name: two of one name are the same.
fn any() -> BTreeMap<String, Race> {
    fn note(all: &mut BTreeMap<String, Race>, scene: Scene, pieces: &[Piece]) {
        let race = race(scene, pieces);
        let does = |race: &Race| {
            let (populate, given) = (&race.populate, &race.given);
            format!(
                "{:?} {populate:?} {given:?} {:?}",
                race.programs, race.config
            )
        };
        if let Some(known) = all.get(&*race.name) {
            assert_eq!(does(known), does(&race), "{}", race.name);
            return;
        }
        all.insert(race.name.to_string(), race);
        for pieces in pieces::cut(scene.kind, pieces, scene.driver) {
            note(all, scene, &pieces);
        }
    }
    let mut all = BTreeMap::new();
    for (scene, programs) in combinations() {
        note(&mut all, scene, &wholes(scene, &programs));
    }
    all
}

#[test]
fn only_long_races_are_cut() {
    let any = any();
    let both = [PolicyKind::Hardened, PolicyKind::AsPosted];
    let cut = both.map(|policy| long::cut(policy).map(move |name| (name, policy)));
    let cut: Vec<_> = cut.into_iter().flatten().collect();
    let unknown: Vec<_> = cut
        .iter()
        .filter(|(name, _)| !any.contains_key(*name))
        .collect();
    assert!(unknown.is_empty(), "no such races: {unknown:#?}");
    let next = AtomicUsize::new(0);
    let count = || {
        let mut short = Vec::new();
        while let Some((name, policy)) = cut.get(next.fetch_add(1, Ordering::Relaxed)) {
            let race = Arc::new(any[*name].clone());
            let came = explore(&race, *policy, &Settings::exhaustive(1));
            if came.operations <= 200 {
                short.push((*name, *policy, came.operations));
            }
        }
        short
    };
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let short: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(count)).collect();
        let ended = threads.into_iter();
        ended.flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(cut.len() > 3_000, "{}", cut.len());
    assert!(short.is_empty(), "cut, and not long: {short:#?}");
}

/// What can't happen, or happens in another race: why a combination is not there.
fn senseless(scene: Scene, programs: &[&Short]) -> bool {
    let kind = scene.kind;
    let has = |what: fn(&Step) -> bool| {
        let steps = programs.iter().flat_map(|program| program.steps);
        steps.filter(|step| what(step)).count()
    };
    let any = |what: &dyn Fn(&Short) -> bool| programs.iter().any(|program| what(program));
    let forks = has(|step| matches!(step, Step::Fork(_)));
    // There is one address space to fork into; a child who exits leaves it.
    let exits = kind.child
        && programs
            .last()
            .is_some_and(|one| one.steps.contains(&Step::Exit));
    let forked = kind.given.iter().any(|by| matches!(by.1, Step::Fork(_))) && !exits;
    let elsewhere = any(&|one| one.place.is_some_and(|place| place != kind.place));
    let device = |step: &Step| {
        matches!(
            step,
            Step::DeviceAdd(..) | Step::DeviceRead(_) | Step::DeviceWrite(..)
        )
    };
    let childs = kind.child
        && programs
            .last()
            .is_some_and(|one| one.role != Role::Other || one.steps.iter().any(device));
    let kernels = !kind.device && !any(&|one| one.role.drives());
    let once = scene.driver == DriverKind::Careful && scene.shape == ShapeKind::V5_11;
    let posted = scene.driver == DriverKind::Posted;
    // The driver as posted faults in what it pins, in one call.
    let stages = has(|step| matches!(step, Step::Setup { .. })) > 0;
    elsewhere
        || childs
        || forks > usize::from(!forked)
        || kernels && !once
        || posted && (kind.migrated || stages || any(&|one| one.role == Role::Mover))
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

/// The name of the family of the races in `scene`.
fn family(scene: Scene) -> String {
    let actors = if scene.two { "triples" } else { "pairs" };
    let which = match (scene.driver, scene.shape) {
        (DriverKind::Posted, _) => "-posted-driver",
        (DriverKind::Careful, ShapeKind::V6_12) => "-6.12",
        (DriverKind::Careful, ShapeKind::V5_11) => "",
    };
    format!("{actors}{which}-{}", scene.kind.name)
}

/// Does the race stand in `scene`?
fn is_in(race: &Race, scene: Scene) -> bool {
    let kind = scene.kind;
    let own = TRIPLE_KINDS.iter().any(|two| two.name == kind.name);
    let beside = race.populate.iter().any(|(_, page, _)| *page == 2);
    race.config.shape == scene.shape
        && race.config.devices[0].driver == scene.driver
        && race.populate.starts_with(kind.populate)
        && race.given.len() >= kind.given.len()
        && kind
            .given
            .iter()
            .zip(&*race.given)
            .all(|(one, other)| one.0 == other.0 && one.1 == other.1)
        && (!scene.two || own || kind.huge || beside)
}

/// All three at once, or it is too long and cut.
fn is_whole(all: &[Race], scene: Scene, three: &[(&Short, bool)], policy: PolicyKind) -> bool {
    let names = three.iter().map(|(short, childs)| {
        let childs = if *childs { "childs-" } else { "" };
        format!("{childs}{}", short.name)
    });
    let names: Vec<_> = names.collect();
    let name = format!("{}-{}", family(scene), names.join("-vs-"));
    let same = |race: &Race| {
        race.name == name
            && race.programs.len() == three.len()
            && race.runs_under(policy)
            && is_in(race, scene)
            && three.iter().enumerate().all(|(place, (short, childs))| {
                *race.programs[place].steps == *short.steps && is_childs(race, place) == *childs
            })
    };
    all.iter().any(same) || long::is_cut(&name, policy)
}

/// Each step of each program of each combination that makes sense meets each step of the other programs in some race of its family
/// under each policy; and each combination of three is there as a whole, unless it is cut.
#[test]
fn every_combination_is_there() {
    let all = all();
    let mut families: BTreeMap<&str, Meetings<'_>> = BTreeMap::new();
    let mut of_three: BTreeMap<&str, Vec<Race>> = BTreeMap::new();
    for race in &all {
        note(families.entry(&race.family).or_default(), race);
        if race.programs.len() == 3 {
            of_three.entry(&race.family).or_default().push(race.clone());
        }
    }
    let (mut meetings, mut missing) = (0, BTreeSet::new());
    for (driver, shape) in settings() {
        let policies: &[_] = match driver {
            DriverKind::Careful => &[PolicyKind::Hardened, PolicyKind::AsPosted],
            DriverKind::Posted => &[PolicyKind::AsPosted],
        };
        // A write that is lost could not be told from one of the device.
        let careful = RACE_KINDS.iter().filter(|_| driver == DriverKind::Careful);
        let kinds = KINDS.iter().chain(careful).chain(LATER_KINDS);
        let kinds = kinds.chain(ODD_KINDS);
        let own = |kind: &&Kind| TRIPLE_KINDS.iter().all(|two| two.name != kind.name);
        let of_two = kinds.clone().filter(own);
        let of_two = TRIPLE_KINDS.iter().chain(of_two).map(|kind| (kind, true));
        let of_one = kinds.map(|kind| (kind, false));
        for (kind, two) in of_one.chain(of_two) {
            let scene = Scene {
                kind,
                two,
                driver,
                shape,
            };
            let name = family(scene);
            let meetings_of = families.get(&*name);
            let threes = of_three.get(&*name).map_or(&[][..], Vec::as_slice);
            let programs = choices(scene);
            for programs in programs.iter().filter(|some| !senseless(scene, some)) {
                let childs = |place: usize| kind.child && place + 1 == programs.len();
                let marked = programs.iter().enumerate();
                let marked: Vec<_> = marked.map(|(place, one)| (*one, childs(place))).collect();
                let named = marked.iter().map(|(one, _)| one.name).collect::<Vec<_>>();
                let mut lacks = |policy| missing.insert(format!("{name} {named:?} {policy:?}"));
                for policy in policies {
                    if marked.len() == 3 && !is_whole(threes, scene, &marked, *policy) {
                        lacks(policy);
                    }
                    for two in pieces::pairs(&marked) {
                        meetings += 1;
                        let two = two.map(|one| *one);
                        if !meetings_of.is_some_and(|all| meet(all, &two, scene, *policy)) {
                            lacks(policy);
                        }
                    }
                }
            }
        }
    }
    assert!(meetings > 30_000, "{meetings}");
    assert!(
        missing.is_empty(),
        "{} are missing: {missing:#?}",
        missing.len()
    );
}

/// All choices of programs for the actors: of two in their order, unless it matters who is the child, and maybe the same; of three
/// three others.
fn choices(scene: Scene) -> Vec<Vec<&'static Short>> {
    if scene.two {
        // Beside a page of a kind nobody reads, or takes a reference.
        let own = TRIPLE_KINDS.iter().any(|two| two.name == scene.kind.name);
        let skipped = |program: &&Short| !own && ["read-second", "dma"].contains(&program.name);
        let all: Vec<_> = TRIPLES.iter().filter(|one| !skipped(one)).collect();
        let triples = all.iter().enumerate().flat_map(|(place, first)| {
            let with = move |[second, third]: [&&'static Short; 2]| vec![*first, *second, *third];
            pieces::pairs(&all[place + 1..]).map(with)
        });
        if !scene.kind.child {
            return triples.collect();
        }
        // Each may be the child, who is the last.
        let turned = triples.flat_map(|three| {
            (0..3).map(move |child| {
                let mut three = three.clone();
                let child = three.remove(child);
                three.push(child);
                three
            })
        });
        return turned.collect();
    }
    let mut all = Vec::new();
    for (place, first) in PAIRS.iter().enumerate() {
        let behind = if scene.kind.child { 0 } else { place };
        all.extend(PAIRS[behind..].iter().map(|second| vec![first, second]));
    }
    // One of the longer programs meets a driver that pins, and itself unless short ones do.
    let pins = PAIRS.iter().find(|short| short.name == "acquire").unwrap();
    let as_short = [
        "drain-and-reclaim",
        "drain-and-compact",
        "read-around-dontneed",
        "read-and-munmap",
        "read-and-exit",
        "write-twice",
        "write-and-fork",
    ];
    for more in MORE {
        all.push(vec![pins, more]);
        if !as_short.contains(&more.name) {
            all.push(vec![more, more]);
        }
        if scene.kind.child {
            all.push(vec![more, pins]);
        }
    }
    all
}

/// Of a family of races, by the names of two programs of which parts are in one: the race, and which of its programs they are.
type Meetings<'a> = BTreeMap<[&'static str; 2], Vec<(&'a Race, [usize; 2])>>;

fn note<'a>(meetings: &mut Meetings<'a>, race: &'a Race) {
    let names: Vec<_> = race.name[race.family.len() + 1..]
        .split("-vs-")
        .map(|name| {
            let name = name.strip_prefix("childs-").unwrap_or(name);
            let mut all = PAIRS.iter().chain(MORE).chain(TRIPLES);
            let is = |short: &&Short| name.strip_prefix(short.name).is_some_and(is_piece);
            all.find(is).map(|short| short.name)
        })
        .collect();
    for first in 0..names.len() {
        for second in (0..names.len()).filter(|second| *second != first) {
            if let (Some(one), Some(two)) = (names[first], names[second]) {
                let met = meetings.entry([one, two]).or_default();
                met.push((race, [first, second]));
            }
        }
    }
}

/// Is it a child who does this program of the race?
fn is_childs(race: &Race, place: usize) -> bool {
    let actor = usize::from(race.programs[place].actor);
    race.config.actors[actor].mm == Some(kinds::B)
}

/// Does each step of the one meet each step of the other in some race of a family? Each is told whether it is a child's.
fn meet(
    family: &Meetings<'_>,
    two: &[(&Short, bool); 2],
    scene: Scene,
    policy: PolicyKind,
) -> bool {
    let driver = scene.driver;
    let childs = two.map(|(_, childs)| childs);
    let two = two.map(|(short, _)| short);
    let races = family.get(&two.map(|short| short.name));
    let races = races.map_or(&[][..], Vec::as_slice).iter();
    let races: Vec<_> = races
        .filter(|(race, places)| {
            race.runs_under(policy)
                && is_in(race, scene)
                && places.map(|place| is_childs(race, place)) == childs
        })
        .map(|(race, places)| places.map(|place| &race.programs[place].steps))
        .collect();
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
        "first",
        "rest",
    ];
    rest.is_empty()
        || parts.iter().any(|part| {
            rest.strip_prefix('-')
                .is_some_and(|rest| rest.starts_with(part))
        })
}
