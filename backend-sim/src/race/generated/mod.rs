//! The races that nobody thought of: short programs of two and three actors, in all combinations, over all
//! kinds of pages and both shapes of the kernel.
//!
//! - *pairs*: two actors and one page, by every schedule with one preemption;
//! - *triples*: three actors and two pages, two of the actors drivers of different devices if they are drivers at all.
//!
//! One that would be longer than 200 visible operations is cut into shorter ones: each actor's program into halves, or three actors
//! into pairs.
//!
//! Under `Hardened` nothing may break in any. Under `AsPosted`, with the careful driver and with the one as posted, what
//! breaks is found out, not expected; an exploration goes on behind it, and all of it has to be a
//! [`Defect`](crate::race::defect::Defect) that somebody has described.

mod long;
mod pieces;

use crate::config::{Config, DriverKind};
use crate::grammar::kinds::{self, Kind, KINDS, RACE_KINDS, TRIPLE_KINDS};
use crate::grammar::programs::{Length, Role, Short, PAIRS, TRIPLES};
use crate::race::{Effort, Posted, Program, Race};
use migrate_pin_core::policy::ShapeKind;
use pieces::{Cut, Piece};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// All of them.
#[must_use]
pub fn all() -> Vec<Race> {
    let mut all = Vec::new();
    for (driver, shape) in settings() {
        for (kind, programs) in combinations(driver, shape) {
            all.extend(races(kind, &programs, driver, shape));
        }
    }
    // What two long races are cut into, or what is there already, is there once.
    let mut names = BTreeSet::new();
    all.retain(|race| names.insert(race.name.clone()));
    all
}

/// The drivers on the shapes that they exist for.
fn settings() -> impl Iterator<Item = (DriverKind, ShapeKind)> {
    let drivers = [DriverKind::Careful, DriverKind::Posted];
    let all = drivers
        .into_iter()
        .flat_map(|driver| [ShapeKind::V5_11, ShapeKind::V6_12].map(|shape| (driver, shape)));
    all.filter(|(driver, shape)| exists(*driver, *shape))
}

fn combinations(driver: DriverKind, shape: ShapeKind) -> impl Iterator<Item = Combination> {
    pairs(driver, shape)
        .into_iter()
        .chain(triples(driver, shape))
}

/// The driver as posted stands on 5.11, and was never ported.
const fn exists(driver: DriverKind, shape: ShapeKind) -> bool {
    matches!(driver, DriverKind::Careful) || matches!(shape, ShapeKind::V5_11)
}

/// What is there, and who acts at once.
type Combination = (&'static Kind, Vec<&'static Short>);

fn pairs(driver: DriverKind, shape: ShapeKind) -> Vec<Combination> {
    // With the driver as posted a write of the CPU that is lost could not be told from one of the device.
    let more = RACE_KINDS.iter().filter(|_| driver == DriverKind::Careful);
    let mut all = Vec::new();
    for kind in KINDS.iter().chain(more) {
        for (index, first) in PAIRS.iter().enumerate() {
            for second in &PAIRS[index..] {
                if worth(kind, &[first, second], driver, shape) {
                    all.push((kind, vec![first, second]));
                }
            }
        }
    }
    all
}

fn triples(driver: DriverKind, shape: ShapeKind) -> Vec<Combination> {
    let mut all = Vec::new();
    for kind in TRIPLE_KINDS {
        for (index, first) in TRIPLES.iter().enumerate() {
            for (place, second) in TRIPLES.iter().enumerate().skip(index + 1) {
                for third in &TRIPLES[place + 1..] {
                    if worth(kind, &[first, second, third], driver, shape) {
                        all.push((kind, vec![first, second, third]));
                    }
                }
            }
        }
    }
    all
}

/// Is there anything that can happen in this race and in no other?
fn worth(kind: &Kind, programs: &[&Short], driver: DriverKind, shape: ShapeKind) -> bool {
    let fits = |program: &&&Short| program.place.is_none_or(|place| place == kind.place);
    let driving = programs
        .iter()
        .filter(|program| program.role.drives())
        .count();
    let drivers = driving > 0;
    // Neither core nor a driver has a part in it: the kernel alone, once.
    let ours = drivers || kind.device;
    let forks = programs
        .iter()
        .filter(|program| program.role == Role::Fork)
        .count();
    programs.iter().filter(fits).count() == programs.len()
        // The device mirrors the parent, and a child does not fork into itself.
        && !(kind.child
            && programs[1..]
                .iter()
                .any(|program| program.role != Role::Other || program.name == "device-add"))
        && !too_long(kind, programs, shape)
        // Two pins by the driver as posted and a fork are longer yet: there are pairs of them.
        && !(driver == DriverKind::Posted && driving == 2 && forks > 0 && kind.name != "written")
        // One address space is there to fork into.
        && forks < 2
        && (ours || driver == DriverKind::Careful && shape == ShapeKind::V5_11)
        // The driver as posted pins, and does nothing else.
        && (driver == DriverKind::Careful
            || !kind.migrated && programs.iter().all(|program| program.role != Role::Mover))
        && (programs.len() == 2 || drivers)
}

/// Has it more than 200 visible operations? What is left out here is there in parts: the split of a huge page without
/// what comes after it, a copy without the fork.
fn too_long(kind: &Kind, programs: &[&Short], shape: ShapeKind) -> bool {
    let any = |length| programs.iter().any(|program| program.length == length);
    let drivers = programs.iter().any(|program| program.role.drives());
    // Splitting it takes some 150.
    let splits = kind.huge && drivers && any(Length::Long);
    // A migration of a page in two address spaces, and a copy in one of them.
    let twice = kind.shared && drivers && any(Length::Copies) && shape == ShapeKind::V6_12;
    let copiers = programs
        .iter()
        .filter(|program| program.length == Length::Copies || program.role == Role::Fork);
    let triple = programs.len() == 3 && copiers.count() > 1;
    splits || twice || triple
}

/// The race of these programs over `kind`, or what it is cut into if it is long.
fn races(kind: &Kind, programs: &[&Short], driver: DriverKind, shape: ShapeKind) -> Vec<Race> {
    let whole: Vec<_> = programs
        .iter()
        .map(|program| Piece::whole(program))
        .collect();
    let race = race(kind, &whole, driver, shape);
    match long::cut(&race.name) {
        None => vec![race],
        Some(Cut::Pairs) => pieces::pairs(programs)
            .flat_map(|two| races(kind, &two.map(|one| *one), driver, shape))
            .collect(),
        Some(cut) => cut
            .of(kind, programs, driver)
            .iter()
            .flat_map(|pieces| part(kind, pieces, driver, shape))
            .collect(),
    }
}

/// The race of `pieces`, or of all pairs of them if it is long still.
fn part(kind: &Kind, pieces: &[Piece], driver: DriverKind, shape: ShapeKind) -> Vec<Race> {
    let race = race(kind, pieces, driver, shape);
    if long::PARTS.binary_search(&&*race.name).is_err() {
        return vec![race];
    }
    let pairs = pieces::pairs(pieces).map(|two| two.map(Piece::clone));
    pairs
        .map(|two| self::race(kind, &two, driver, shape))
        .collect()
}

/// The race of `pieces` over `kind`.
fn race(kind: &Kind, pieces: &[Piece], driver: DriverKind, shape: ShapeKind) -> Race {
    let drivers = pieces.iter().filter(|piece| piece.drives);
    let two_pages = TRIPLE_KINDS.iter().any(|two| std::ptr::eq(two, kind));
    let with_pages = !pieces.iter().any(|piece| piece.without_page);
    let devices = kinds::devices(driver, two_pages && drivers.count() > 1, with_pages);
    let names: Vec<_> = pieces.iter().map(|piece| &*piece.name).collect();
    let group = match (two_pages, driver, shape) {
        (false, DriverKind::Careful, ShapeKind::V5_11) => "pairs",
        (false, DriverKind::Careful, ShapeKind::V6_12) => "pairs-6.12",
        (false, DriverKind::Posted, _) => "pairs-posted-driver",
        (true, DriverKind::Careful, ShapeKind::V5_11) => "triples",
        (true, DriverKind::Careful, ShapeKind::V6_12) => "triples-6.12",
        (true, DriverKind::Posted, _) => "triples-posted-driver",
    };
    let family = format!("{group}-{}", kind.name);
    let given = kind.given.iter().copied();
    Race {
        name: Cow::Owned(format!("{family}-{}", names.join("-vs-"))),
        about: Cow::Owned(format!("{}: {}", kind.about, names.join(", "))),
        family: Cow::Owned(family),
        config: Config {
            shape,
            devices,
            mirrors: if devices.len() > 1 {
                kinds::MIRRORS_OF_TWO
            } else {
                kinds::MIRROR
            },
            ..kind.config
        },
        populate: Cow::Borrowed(kind.populate),
        given: given.chain(pieces::given(pieces)).collect(),
        programs: pieces
            .iter()
            .enumerate()
            .map(|(actor, piece)| Program {
                actor: actor as u8,
                steps: Cow::Owned(piece.steps.clone()),
            })
            .collect(),
        hardened: driver == DriverKind::Careful,
        posted: Some(Posted::Open),
        effort: Effort::Bound(1),
        ..Race::BASE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{explore, Settings};
    use migrate_pin_core::PolicyKind;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// Visible operations of its longest execution with one preemption. As posted only if it is not run hardened: what is broken
    /// retries for ever.
    fn longest(race: Race) -> usize {
        let policy = match race.hardened {
            true => PolicyKind::Hardened,
            false => PolicyKind::AsPosted,
        };
        explore(&Arc::new(race), policy, &Settings::exhaustive(1)).operations
    }

    /// Every race as a whole, those that two of three actors make among them, by its name.
    fn wholes() -> BTreeMap<String, Race> {
        let mut all = BTreeMap::new();
        for (driver, shape) in settings() {
            for (kind, programs) in combinations(driver, shape) {
                let mut note = |programs: &[&Short]| {
                    let whole: Vec<_> = programs.iter().map(|one| Piece::whole(one)).collect();
                    let race = race(kind, &whole, driver, shape);
                    all.entry(race.name.to_string()).or_insert(race);
                };
                note(&programs);
                pieces::pairs(&programs).for_each(|two| note(&two.map(|one| *one)));
            }
        }
        all
    }

    #[test]
    fn only_long_races_are_cut_and_what_they_are_cut_into_is_not() {
        let mut wholes = wholes();
        let all = all();
        let mut short = Vec::new();
        for name in long::LONG {
            let race = wholes.remove(*name);
            let race = race.unwrap_or_else(|| panic!("{name}: there is no such race"));
            assert!(all.iter().all(|one| one.name != race.name), "{name}");
            let operations = longest(race);
            if operations <= 200 {
                short.push((name, operations));
            }
        }
        assert!(short.is_empty(), "cut, and not long: {short:#?}");
        let parts = all
            .into_iter()
            .filter(|race| !wholes.contains_key(&*race.name));
        let (mut number, mut long) = (0, Vec::new());
        for race in parts {
            number += 1;
            let (name, operations) = (race.name.clone(), longest(race));
            if operations > 200 {
                long.push((name, operations));
            }
        }
        assert!(
            number > long::LONG.len() && long.is_empty(),
            "of {number}: {long:#?}"
        );
    }
}
