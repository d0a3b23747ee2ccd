//! Programs cut in two, so that a race that is too long becomes shorter ones: in each an actor does one half, from the state that
//! the half before leaves.

use crate::config::DriverKind;
use crate::driver::session::Purpose;
use crate::grammar::kinds::Kind;
use crate::grammar::programs::Short;
use crate::scenario::{By, Step};

/// How much of a program a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// A migration until it has unmapped the page.
    Begins,
    /// The same with no page left on the device.
    WithoutPage,
    /// The same of a huge page that has been split.
    SplitWithoutPage,
    /// A migration from there on, and what comes after it.
    Ends,
    /// A reference that is taken, and used.
    Holds,
    /// What comes after the first steps.
    Rest,
    /// No less of it is a race.
    Least,
}

/// A program, or a part of one.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) name: String,
    /// Is it a driver's?
    pub(super) drives: bool,
    /// Is who does it a child of the others?
    pub(super) childs: bool,
    part: Part,
    /// What its actor has done before: first what brings the page where the program finds it, then what comes before the part.
    before: [Vec<Step>; 2],
    pub(super) steps: Vec<Step>,
}

impl Piece {
    /// All of a program, a child's or not.
    pub(super) fn whole(program: &Short, childs: bool) -> Self {
        Self {
            name: program.name.to_owned(),
            drives: program.role.drives(),
            childs,
            part: Part::Whole,
            before: [Vec::new(), Vec::new()],
            steps: program.steps.to_vec(),
        }
    }

    /// Has the device no page left for it?
    pub(super) fn without_page(&self) -> bool {
        matches!(self.part, Part::WithoutPage | Part::SplitWithoutPage)
    }

    /// A part of it, from where its own actor has done this before.
    fn part(&self, name: &str, part: Part, before: [&[Step]; 2], steps: &[Step]) -> Self {
        Self {
            name: format!("{}-{name}", self.name),
            drives: self.drives,
            childs: self.childs,
            part,
            before: before.map(<[_]>::to_vec),
            steps: steps.to_vec(),
        }
    }

    /// It in parts; itself if there is no less of it.
    fn parts(&self, kind: &Kind, driver: DriverKind) -> Vec<Self> {
        let parts = match (self.part, self.drives) {
            (Part::Whole, true) => self.stages(kind, driver),
            (Part::Whole, false) => self.uses(kind),
            (Part::Rest, _) => self.one_by_one(),
            (Part::Begins | Part::WithoutPage, _) if kind.huge => self.splits(),
            (Part::Ends, _) => self.moves(),
            (Part::Holds, _) => self.holds(),
            _ => Vec::new(),
        };
        match parts.as_slice() {
            [] => vec![self.clone()],
            _ => parts,
        }
    }

    /// A migration up to unmap, which is given up then, and from pages on; before that what the driver as posted does first,
    /// faulting the page in.
    fn stages(&self, kind: &Kind, driver: DriverKind) -> Vec<Self> {
        let (at, purpose, grant) = match *self.steps {
            [Step::Acquire { at, access, .. }, ..] => {
                (at, Purpose::Pin(access), Some(Step::Grant { at, access }))
            }
            [Step::ToDevice { at, .. }, ..] => (at, Purpose::ToDevice, None),
            // Stage by stage, to the end.
            [setup @ Step::Setup { at, purpose, .. }, provide, Step::Pages, ..]
                if !(kind.huge && purpose == Purpose::ToSystem) =>
            {
                let (setup, rest) = ([setup, provide], &self.steps[2..]);
                // What is to come from the device is not to be brought home before.
                let home = [Step::Read(at)];
                let home = &home[..usize::from(kind.device && purpose != Purpose::ToSystem)];
                let given_up = [setup[0], setup[1], Step::Abandon];
                return vec![
                    self.part("begins", Part::Begins, [&[], &[]], &given_up),
                    self.part("ends", Part::Ends, [home, &setup], rest),
                ];
            }
            [Step::Grant { .. }, ..] => return self.one_by_one(),
            // One that ends with setup, or is given up after it.
            [Step::Setup { .. } | Step::Revoke { .. }, ..] if kind.huge => return self.splits(),
            _ => return Vec::new(),
        };
        let pages = 1;
        let setup = [Step::Setup { at, pages, purpose }, Step::Provide];
        let device_uses = &self.steps[1..];
        let migrates = [Step::Pages, Step::Map, Step::Finalize];
        if driver == DriverKind::Posted {
            let faulted = [Step::FaultIn(at)];
            let ends = [&migrates, device_uses].concat();
            return vec![
                self.part("faults-in", Part::Least, [&[], &[]], &faulted),
                self.part(
                    "without-page",
                    Part::WithoutPage,
                    [&faulted, &[]],
                    &self.steps,
                ),
                self.part("ends", Part::Ends, [&faulted, &setup], &ends),
            ];
        }
        // What stands on a device is migrated when somebody has brought it home.
        let home = [Step::Read(at)];
        let home = &home[..usize::from(kind.device)];
        let given_up = [setup[0], setup[1], Step::Abandon];
        let ends = [&migrates, grant.as_slice(), device_uses].concat();
        vec![
            self.part("begins", Part::Begins, [&[], &[]], &given_up),
            self.part("ends", Part::Ends, [home, &setup], &ends),
        ]
    }

    /// From a huge page on until it is split, and from the split page on.
    fn splits(&self) -> Vec<Self> {
        let before = [&self.before[0], &SPLIT[..]].concat();
        let rest = match self.part {
            Part::WithoutPage => Part::SplitWithoutPage,
            _ => Part::Least,
        };
        // The same of all programs, so that there is one race of them.
        let splits = Self {
            name: "splits".to_owned(),
            part: Part::Least,
            before: [Vec::new(), Vec::new()],
            steps: SPLIT.to_vec(),
            ..self.clone()
        };
        vec![
            splits,
            self.part("from-split", rest, [&before, &[]], &self.steps),
        ]
    }

    /// The rest of a migration, and what the device does then.
    fn moves(&self) -> Vec<Self> {
        let ends = self.steps.iter().position(|step| *step == Step::Finalize);
        let (moves, uses) = self.steps.split_at(ends.map_or(0, |last| last + 1));
        if moves.is_empty() || uses.is_empty() {
            return Vec::new();
        }
        let [first, then] = &self.before;
        let after = [then, moves].concat();
        vec![
            self.part("moves", Part::Least, [first, then], moves),
            self.part("uses", Part::Least, [first, &after], uses),
        ]
    }

    /// A reference in parts; from a device, a page that comes home, and one that has.
    fn uses(&self, kind: &Kind) -> Vec<Self> {
        match *self.steps {
            [Step::Gup { at, .. } | Step::Write(at, _) | Step::Add(at, _), ..] if kind.device => {
                let home = [Step::Read(at)];
                // There is a race of this program already.
                let name = if at == 1 { "read" } else { "read-second" };
                let read = Self {
                    name: name.to_owned(),
                    steps: home.to_vec(),
                    part: Part::Least,
                    ..self.clone()
                };
                let holds = matches!(self.steps[0], Step::Gup { .. });
                let part = if holds { Part::Holds } else { Part::Rest };
                vec![read, self.part("ends", part, [&home, &[]], &self.steps)]
            }
            [Step::Gup { .. }, ..] => self.holds(),
            _ => self.one_by_one(),
        }
    }

    /// A reference that is taken and put, and one that is used. (If it is but put, the first is all of it under another name.)
    fn holds(&self) -> Vec<Self> {
        let [take @ Step::Gup { .. }, ref uses @ ..] = *self.steps else {
            return Vec::new();
        };
        let [first, then] = &self.before;
        // Taken before anybody has unmapped the page: it would wait.
        let after = [first.as_slice(), &[take]].concat();
        let steps = [take, Step::GupPut];
        vec![
            self.part("takes", Part::Least, [first, then], &steps),
            self.part("uses", Part::Least, [&after, then], uses),
        ]
    }

    /// The first step, and what comes after it; nothing if that is to undo it, or if there is but one.
    fn one_by_one(&self) -> Vec<Self> {
        let holds = |step: &Step| {
            matches!(
                step,
                Step::LockPage(_) | Step::LockOriginal(_) | Step::Isolate(_) | Step::GetPage(_)
            )
        };
        let [first, rest @ ..] = &*self.steps else {
            return Vec::new();
        };
        if rest.is_empty() || holds(first) {
            return Vec::new();
        }
        let [before, then] = &self.before;
        let after = [before.as_slice(), &[*first]].concat();
        vec![
            self.part("first", Part::Least, [before, then], &[*first]),
            self.part("rest", Part::Rest, [&after, then], rest),
        ]
    }
}

/// A huge page becomes small ones, and nothing else comes of it: none is on a device.
const SPLIT: [Step; 2] = [
    Step::Setup {
        at: 1,
        pages: 1,
        purpose: Purpose::ToSystem,
    },
    Step::Abandon,
];

/// What the actors have done before these pieces, in an order in which nobody waits.
pub(super) fn given(pieces: &[Piece]) -> Vec<By> {
    let all = |which: usize| {
        pieces.iter().enumerate().flat_map(move |(actor, piece)| {
            let steps = piece.before[which].iter();
            steps.map(move |step| By(actor as u8, *step))
        })
    };
    all(0).chain(all(1)).collect()
}

/// The races that the one of `pieces` is cut into: the drivers' pieces in parts, or else those of the others, each with each; of three
/// actors whose drivers' programs have been cut, all pairs. Nothing if none of it can be cut.
pub(super) fn cut(kind: &Kind, pieces: &[Piece], driver: DriverKind) -> Vec<Vec<Piece>> {
    let wholes = pieces.iter().all(|piece| piece.part == Part::Whole);
    if pieces.len() > 2 && (!wholes || driver == DriverKind::Posted) {
        return pairs(pieces)
            .map(|two| two.map(Piece::clone).to_vec())
            .collect();
    }
    for drives in [true, false] {
        let parts = pieces.iter().map(|piece| match piece.drives == drives {
            true => piece.parts(kind, driver),
            false => vec![piece.clone()],
        });
        let parts: Vec<_> = parts.collect();
        if parts.iter().any(|parts| parts.len() > 1) {
            return each_with_each(&parts);
        }
    }
    match pieces.len() {
        2 => Vec::new(),
        _ => pairs(pieces)
            .map(|two| two.map(Piece::clone).to_vec())
            .collect(),
    }
}

fn each_with_each(parts: &[Vec<Piece>]) -> Vec<Vec<Piece>> {
    parts.iter().fold(vec![Vec::new()], |all, parts| {
        let with = |pieces: &Vec<Piece>, part: &Piece| {
            [pieces.as_slice(), std::slice::from_ref(part)].concat()
        };
        all.iter()
            .flat_map(|pieces| parts.iter().map(move |part| with(pieces, part)))
            .collect()
    })
}

/// All pairs of them.
pub(super) fn pairs<T>(all: &[T]) -> impl Iterator<Item = [&T; 2]> {
    let first = all.iter().enumerate();
    first.flat_map(|(place, first)| all[place + 1..].iter().map(move |second| [first, second]))
}
