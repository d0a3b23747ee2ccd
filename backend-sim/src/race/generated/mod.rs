//! The races that nobody thought of: short programs of two and three actors, in all combinations, over all
//! kinds of pages and both shapes of the kernel.
//!
//! - *pairs*: two actors and one page, by every schedule with one preemption (of the few that are too long, with none);
//! - *triples*: three actors and two pages, two of the actors drivers of different devices if they are drivers at all.
//!
//! Under `Hardened` nothing may break in any. Under `AsPosted`, with the careful driver and with the one as posted, what
//! breaks is found out, not expected; an exploration goes on behind it, and all of it has to be a
//! [`Defect`](crate::race::defect::Defect) that somebody has described.

mod long;

use crate::config::{Config, DriverKind};
use crate::grammar::kinds::{self, Kind, KINDS, TRIPLE_KINDS};
use crate::grammar::programs::{Length, Role, Short, PAIRS, TRIPLES};
use crate::race::{Effort, Posted, Program, Race};
use migrate_pin_core::policy::ShapeKind;
use std::borrow::Cow;

/// All of them.
#[must_use]
pub fn all() -> Vec<Race> {
    let mut all = Vec::new();
    for driver in [DriverKind::Careful, DriverKind::Posted] {
        for shape in [ShapeKind::V5_11, ShapeKind::V6_12] {
            all.extend(pairs(driver, shape));
            all.extend(triples(driver, shape));
        }
    }
    all
}

/// The driver as posted stands on 5.11, and was never ported.
const fn exists(driver: DriverKind, shape: ShapeKind) -> bool {
    matches!(driver, DriverKind::Careful) || matches!(shape, ShapeKind::V5_11)
}

fn pairs(driver: DriverKind, shape: ShapeKind) -> impl Iterator<Item = Race> {
    let kinds = KINDS.iter().filter(move |_| exists(driver, shape));
    kinds.flat_map(move |kind| {
        let both = PAIRS.iter().enumerate().flat_map(move |(index, first)| {
            PAIRS[index..].iter().map(move |second| (first, second))
        });
        both.filter(move |(first, second)| worth(kind, &[first, second], driver, shape))
            .map(move |(first, second)| race(kind, &[first, second], driver, shape))
    })
}

fn triples(driver: DriverKind, shape: ShapeKind) -> impl Iterator<Item = Race> {
    let kinds = TRIPLE_KINDS.iter().filter(move |_| exists(driver, shape));
    kinds.flat_map(move |kind| {
        let mut all = Vec::new();
        for (index, first) in TRIPLES.iter().enumerate() {
            for (place, second) in TRIPLES.iter().enumerate().skip(index + 1) {
                for third in &TRIPLES[place + 1..] {
                    let three = [first, second, third];
                    if worth(kind, &three, driver, shape) {
                        all.push(race(kind, &three, driver, shape));
                    }
                }
            }
        }
        all.into_iter()
    })
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

fn race(kind: &Kind, programs: &[&Short], driver: DriverKind, shape: ShapeKind) -> Race {
    let drivers = programs.iter().filter(|program| program.role.drives());
    let devices = kinds::devices(driver, programs.len() == 3 && drivers.count() > 1);
    let names: Vec<_> = programs.iter().map(|program| program.name).collect();
    let group = match (programs.len(), driver, shape) {
        (2, DriverKind::Careful, ShapeKind::V5_11) => "pairs",
        (2, DriverKind::Careful, ShapeKind::V6_12) => "pairs-6.12",
        (2, DriverKind::Posted, _) => "pairs-posted-driver",
        (_, DriverKind::Careful, ShapeKind::V5_11) => "triples",
        (_, DriverKind::Careful, ShapeKind::V6_12) => "triples-6.12",
        (_, DriverKind::Posted, _) => "triples-posted-driver",
    };
    let family = format!("{group}-{}", kind.name);
    let careful = driver == DriverKind::Careful;
    let name = format!("{family}-{}", names.join("-vs-"));
    let bound = u32::from(!long::is_long(&name));
    Race {
        name: Cow::Owned(name),
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
        given: Cow::Borrowed(kind.given),
        programs: programs
            .iter()
            .enumerate()
            .map(|(actor, program)| Program::new(actor as u8, program.steps))
            .collect(),
        hardened: careful,
        posted: Some(Posted::Open),
        effort: Effort::Bound(bound),
        ..Race::BASE
    }
}
