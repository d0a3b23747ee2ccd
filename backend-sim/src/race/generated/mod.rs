//! The races that nobody thought of: short programs of two and three actors, in all combinations, over all
//! kinds of pages and both shapes of the kernel.
//!
//! - *pairs*: two actors and one page, by every schedule with one preemption;
//! - *triples*: three actors and two pages, two of the actors drivers of different devices if they are drivers at all.
//!
//! One that would be longer than 200 visible operations under a policy is cut into shorter ones there: the drivers' programs into
//! parts, then those of the others, three actors into pairs. Under the other policy it stays whole. What can't be cut is named.
//!
//! Under `Hardened` nothing may break in any. Under `AsPosted`, with the careful driver and with the one as posted, what
//! breaks is found out, not expected; an exploration goes on behind it, and all of it has to be a
//! [`Defect`](crate::race::defect::Defect) that somebody has described.

mod long;
mod pieces;

use crate::config::{Config, DriverKind};
use crate::grammar::kinds::{self, Kind, KINDS, RACE_KINDS, TRIPLE_KINDS};
use crate::grammar::programs::{Role, Short, PAIRS, TRIPLES};
use crate::race::{Effort, Posted, Program, Race};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::PolicyKind;
use pieces::Piece;
use std::borrow::Cow;
use std::collections::btree_map::{BTreeMap, Entry};

/// All of them.
#[must_use]
pub fn all() -> Vec<Race> {
    let mut all = Vec::new();
    for (driver, shape) in settings() {
        for (kind, programs) in combinations(driver, shape) {
            let whole: Vec<_> = programs.iter().map(|one| Piece::whole(one)).collect();
            all.extend(races(kind, &whole, driver, shape));
        }
    }
    once(all)
}

/// What two long races are cut into, or what is there already, is there once, under each policy that somebody wants it under.
fn once(all: Vec<Race>) -> Vec<Race> {
    let mut places = BTreeMap::new();
    let mut once: Vec<Race> = Vec::new();
    for race in all {
        match places.entry(race.name.clone()) {
            Entry::Vacant(place) => {
                place.insert(once.len());
                once.push(race);
            }
            Entry::Occupied(place) => {
                let known = &mut once[*place.get()];
                known.hardened |= race.hardened;
                known.posted = known.posted.or(race.posted);
            }
        }
    }
    once
}

/// The races that have more than 200 visible operations under `policy` and can't be cut: no step of theirs has a smaller one.
pub fn uncut(policy: PolicyKind) -> impl Iterator<Item = &'static str> {
    long::uncut(policy)
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

/// Can something happen in this race that can in no other?
fn worth(kind: &Kind, programs: &[&Short], driver: DriverKind, shape: ShapeKind) -> bool {
    let fits = |program: &&&Short| program.place.is_none_or(|place| place == kind.place);
    let drivers = programs.iter().any(|program| program.role.drives());
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
        // One address space is there to fork into.
        && forks < 2
        && (ours || driver == DriverKind::Careful && shape == ShapeKind::V5_11)
        // The driver as posted pins, and does nothing else.
        && (driver == DriverKind::Careful
            || !kind.migrated && programs.iter().all(|program| program.role != Role::Mover))
}

/// The race of `pieces` over `kind` under the policies that it is short enough for, and, if it is too long for one, what it is cut
/// into. What can't be cut is there as it is.
fn races(kind: &Kind, pieces: &[Piece], driver: DriverKind, shape: ShapeKind) -> Vec<Race> {
    let race = race(kind, pieces, driver, shape);
    let long = |policy| long::is_cut(&race.name, policy);
    let (hardened, posted) = (long(PolicyKind::Hardened), long(PolicyKind::AsPosted));
    let of_pieces = |pieces: &Vec<Piece>| races(kind, pieces, driver, shape);
    let cut = match hardened && race.hardened || posted {
        true => pieces::cut(kind, pieces, driver),
        false => Vec::new(),
    };
    if cut.is_empty() {
        return vec![race];
    }
    let mut all: Vec<_> = cut.iter().flat_map(of_pieces).collect();
    let whole = Race {
        hardened: race.hardened && !hardened,
        posted: race.posted.filter(|_| !posted),
        ..race
    };
    if whole.hardened || whole.posted.is_some() {
        all.insert(0, whole);
    }
    all
}

/// The race of `pieces` over `kind`.
fn race(kind: &Kind, pieces: &[Piece], driver: DriverKind, shape: ShapeKind) -> Race {
    let drivers = pieces.iter().filter(|piece| piece.drives);
    let two_pages = TRIPLE_KINDS.iter().any(|two| std::ptr::eq(two, kind));
    let with_pages = !pieces.iter().any(|piece| piece.without_page());
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
mod tests;
