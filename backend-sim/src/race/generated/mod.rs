//! The races that nobody thought of: short programs of two and three actors, in all combinations, over all
//! kinds of pages and both shapes of the kernel.
//!
//! - *pairs*: two actors and one page, by every schedule with one preemption, over all kinds: each two of the short programs, and each of the
//!   longer ones with a driver that pins the page to write it, and with itself (each two of all would be three times as many rows) but
//!   for those that begin with an access or a drain, as short ones do;
//! - *triples*: three actors and two pages, two of the actors drivers of different devices if they are drivers at all: the
//!   programs for two pages, over the kinds of two pages, over huge pages, and over the others of one page with a written page
//!   beside it. Where a child acts it is the third, or the second of a pair that three are cut into.
//!
//! One that would be longer than 200 visible operations under a policy is cut into shorter ones there: the drivers' programs into
//! parts, then those of the others, three actors into pairs. Under the other policy it stays whole. What can't be cut is named.
//!
//! Under `Hardened` nothing may break in any. Under `AsPosted`, with the careful driver and with the one as posted, what
//! breaks is found out, not expected; an exploration goes on behind it, and all of it has to be a
//! [`Defect`](crate::race::defect::Defect) that somebody has described.

mod long;
mod pieces;

use crate::config::{ActorSpec, Config, DriverKind, MmId};
use crate::grammar;
use crate::grammar::kinds::{self, Kind, KINDS, LATER_KINDS, ODD_KINDS, RACE_KINDS, TRIPLE_KINDS};
use crate::grammar::programs::{Role, Short, MORE, TRIPLES};
use crate::paths::populate::Populate;
use crate::race::{Effort, Posted, Program, Race};
use crate::scenario::{By, Step};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::PolicyKind;
use pieces::Piece;
use std::borrow::Cow;
use std::collections::btree_map::{BTreeMap, Entry};

/// All of them.
#[must_use]
pub fn all() -> Vec<Race> {
    let all = combinations().flat_map(|(scene, programs)| races(scene, &wholes(scene, &programs)));
    once(all.collect())
}

/// What the actors do in whole. The last is a child where a child acts.
fn wholes(scene: Scene, programs: &[&Short]) -> Vec<Piece> {
    let all = programs.iter().enumerate();
    let whole = |(place, program): (usize, &&Short)| {
        Piece::whole(program, scene.kind.child && place + 1 == programs.len())
    };
    all.map(whole).collect()
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

/// The races that have more than 200 visible operations under `policy` and can't be cut: a smaller race would have them too.
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

/// The driver as posted stands on 5.11, and was never ported.
const fn exists(driver: DriverKind, shape: ShapeKind) -> bool {
    matches!(driver, DriverKind::Careful) || matches!(shape, ShapeKind::V5_11)
}

/// What is there, whose driver, and on which kernel.
#[derive(Clone, Copy)]
struct Scene {
    kind: &'static Kind,
    /// Does something stand at the second page as well?
    two: bool,
    driver: DriverKind,
    shape: ShapeKind,
}

/// Over what, and who acts at once.
type Combination = (Scene, Vec<&'static Short>);

fn combinations() -> impl Iterator<Item = Combination> {
    settings().flat_map(|(driver, shape)| {
        let scene = move |kind, two| Scene {
            kind,
            two,
            driver,
            shape,
        };
        let pairs = kinds(driver).map(move |kind| scene(kind, false));
        let triples = kinds_of_two(driver).map(move |kind| scene(kind, true));
        pairs
            .flat_map(pairs_over)
            .chain(triples.flat_map(triples_over))
    })
}

/// The kinds of one page.
fn kinds(driver: DriverKind) -> impl Iterator<Item = &'static Kind> {
    // With the driver as posted a write of the CPU that is lost could not be told from one of the device.
    let more = RACE_KINDS
        .iter()
        .filter(move |_| driver == DriverKind::Careful);
    KINDS.iter().chain(more).chain(LATER_KINDS).chain(ODD_KINDS)
}

/// The kinds of two pages: those that are, a huge page, and each kind of one with a written page beside it.
fn kinds_of_two(driver: DriverKind) -> impl Iterator<Item = &'static Kind> {
    let beside = kinds(driver).filter(|kind| !is_of_two(kind));
    TRIPLE_KINDS.iter().chain(beside)
}

fn pairs_over(scene: Scene) -> Vec<Combination> {
    let mut all = Vec::new();
    for (place, first) in grammar::table().enumerate() {
        // Where each actor has an address space of its own it matters who does which.
        let behind = if scene.kind.child { 0 } else { place };
        for second in grammar::table().skip(behind) {
            if meet(first, second) && worth(scene, &[first, second]) {
                all.push((scene, vec![first, second]));
            }
        }
    }
    all
}

/// Are these two put together?
fn meet(first: &Short, second: &Short) -> bool {
    let longer = |program: &Short| MORE.iter().any(|more| more.name == program.name);
    let pins = |program: &Short| program.name == "acquire";
    match (longer(first), longer(second)) {
        (false, false) => true,
        (true, false) => pins(second),
        (false, true) => pins(first),
        // What begins with an access or a drain meets itself as that does.
        (true, true) => first.name == second.name && !first.goes_on(),
    }
}

fn triples_over(scene: Scene) -> Vec<Combination> {
    // The page beside one of a kind is like any: nobody but another driver acts on it alone, lest there be too many.
    let all = TRIPLES.iter();
    let some = all.filter(|program| is_of_two(scene.kind) || !program.looks_beside());
    let programs: Vec<_> = some.collect();
    let mut all = Vec::new();
    for (index, first) in programs.iter().enumerate() {
        for [second, third] in pieces::pairs(&programs[index + 1..]) {
            // Where one is a child it matters who.
            let orders = [
                [*first, *second, *third],
                [*first, *third, *second],
                [*second, *third, *first],
            ];
            let orders = &orders[..if scene.kind.child { 3 } else { 1 }];
            let some = orders.iter().filter(|three| worth(scene, *three));
            all.extend(some.map(|three| (scene, three.to_vec())));
        }
    }
    all
}

/// Does it say itself what stands at each of two pages?
fn is_of_two(kind: &Kind) -> bool {
    TRIPLE_KINDS.iter().any(|two| two.name == kind.name)
}

/// Can something happen in this race that can in no other?
fn worth(scene: Scene, programs: &[&Short]) -> bool {
    let Scene {
        kind,
        driver,
        shape,
        ..
    } = scene;
    let fits = |program: &&&Short| program.place.is_none_or(|place| place == kind.place);
    let drivers = programs.iter().any(|program| program.role.drives());
    // Neither core nor a driver has a part in it: the kernel alone, once.
    let ours = drivers || kind.device;
    let forks = programs
        .iter()
        .filter(|program| program.role == Role::Fork)
        .count();
    // A child who is there already, and stays.
    let given = kind.given.iter();
    let given = given.filter(|By(_, step)| matches!(step, Step::Fork(_)));
    let leaves = |program: &&Short| kind.child && program.steps.contains(&Step::Exit);
    let there = match programs.last() {
        Some(last) if leaves(last) => 0,
        _ => given.count(),
    };
    programs.iter().filter(fits).count() == programs.len()
        // The device mirrors the parent, and a child does not fork into itself.
        && !(kind.child
            && programs
                .last()
                .is_some_and(|program| program.role != Role::Other || program.of_device()))
        // One address space is there to fork into.
        && (forks == 0 || forks + there < 2)
        && (ours || driver == DriverKind::Careful && shape == ShapeKind::V5_11)
        // The driver as posted pins what it has faulted in, and does nothing else.
        && (driver == DriverKind::Careful
            || !kind.migrated
                && programs
                    .iter()
                    .all(|program| program.role != Role::Mover && !program.by_stages()))
}

/// The race of `pieces` in `scene` under the policies that it is short enough for, and, if it is too long for one, what it is cut
/// into. What can't be cut is there as it is.
fn races(scene: Scene, pieces: &[Piece]) -> Vec<Race> {
    let race = race(scene, pieces);
    let long = |policy| long::is_cut(&race.name, policy);
    let (hardened, posted) = (long(PolicyKind::Hardened), long(PolicyKind::AsPosted));
    let cut = match hardened && race.hardened || posted {
        true => pieces::cut(scene.kind, pieces, scene.driver),
        false => Vec::new(),
    };
    if cut.is_empty() {
        return vec![race];
    }
    // A part is there under the policy under which the whole is not.
    let parts = cut.iter().flat_map(|pieces| races(scene, pieces));
    let parts = parts.map(|part| Race {
        hardened: part.hardened && hardened,
        posted: part.posted.filter(|_| posted),
        ..part
    });
    let some = parts.filter(|part| part.hardened || part.posted.is_some());
    let mut all: Vec<_> = some.collect();
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

/// The race of `pieces` in `scene`.
fn race(scene: Scene, pieces: &[Piece]) -> Race {
    let Scene {
        kind,
        two,
        driver,
        shape,
    } = scene;
    let drivers = pieces.iter().filter(|piece| piece.drives);
    let with_pages = !pieces.iter().any(|piece| piece.without_page());
    let devices = two && drivers.count() > 1 || kind.second_drives();
    let devices = kinds::devices(driver, devices, with_pages);
    // In a race of one page a child is always the second.
    let name = |piece: &Piece| match two && piece.childs {
        true => format!("childs-{}", piece.name),
        false => piece.name.clone(),
    };
    let names: Vec<_> = pieces.iter().map(name).collect();
    let group = match (two, driver, shape) {
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
            actors: actors(scene, pieces),
            devices,
            mirrors: if devices.len() > 1 {
                kinds::MIRRORS_OF_TWO
            } else {
                kinds::MIRROR
            },
            ..kind.config
        },
        populate: standing(scene),
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

/// Whose address space each is in.
fn actors(scene: Scene, pieces: &[Piece]) -> &'static [ActorSpec] {
    let childs = pieces.iter().any(|piece| piece.childs);
    match (childs, pieces.len()) {
        (true, 3) => kinds::ACTORS_AND_CHILD,
        // Two parents.
        (false, _) if scene.kind.child => kinds::ACTORS,
        _ => scene.kind.config.actors,
    }
}

/// What stands there: of a kind of one page also what is beside it, if there are to be two.
fn standing(scene: Scene) -> Cow<'static, [(MmId, u16, Populate)]> {
    let kind = scene.kind;
    // What is huge stands at both.
    match scene.two && !is_of_two(kind) && !kind.huge {
        true => {
            let beside = (MmId(0), 2, Populate::Written(8));
            Cow::Owned([kind.populate, &[beside]].concat())
        }
        false => Cow::Borrowed(kind.populate),
    }
}

#[cfg(test)]
mod tests;
