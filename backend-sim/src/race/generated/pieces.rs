//! Programs cut in two, so that a race that is too long becomes shorter ones: in each an actor does one half, from the state that
//! the half before leaves.

use crate::config::DriverKind;
use crate::driver::session::Purpose;
use crate::grammar::kinds::Kind;
use crate::grammar::programs::{Length, Short};
use crate::scenario::{By, Step};

/// A program, or a half of one.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) name: String,
    /// Is it a driver's?
    pub(super) drives: bool,
    /// Has the device no page left for it?
    pub(super) without_page: bool,
    /// What its actor has done before: first what brings the page where the program finds it, then what comes before the half.
    before: [Vec<Step>; 2],
    pub(super) steps: Vec<Step>,
}

impl Piece {
    /// All of a program.
    pub(super) fn whole(program: &Short) -> Self {
        Self {
            name: program.name.to_owned(),
            drives: program.role.drives(),
            without_page: false,
            before: [Vec::new(), Vec::new()],
            steps: program.steps.to_vec(),
        }
    }

    fn part(program: &Short, half: &str, before: [Vec<Step>; 2], steps: Vec<Step>) -> Self {
        Self {
            name: format!("{}-{half}", program.name),
            before,
            steps,
            ..Self::whole(program)
        }
    }
}

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

/// Which programs of a race are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The drivers'.
    Drivers,
    /// The others', as far as they are long.
    Others,
    /// None: all pairs of the three.
    Pairs,
}

impl Cut {
    /// The races that the one of `programs` is cut into.
    pub(super) fn of(
        self,
        kind: &Kind,
        programs: &[&Short],
        driver: DriverKind,
    ) -> Vec<Vec<Piece>> {
        let mut all = vec![Vec::new()];
        for program in programs {
            let halves = match (self, program.role.drives()) {
                (Self::Drivers, true) => stages(kind, program, driver),
                (Self::Others, false) => uses(kind, program),
                _ => vec![Piece::whole(program)],
            };
            let with = |pieces: &Vec<Piece>, half: &Piece| {
                let mut pieces = pieces.clone();
                pieces.push(half.clone());
                pieces
            };
            all = all
                .iter()
                .flat_map(|pieces| halves.iter().map(move |half| with(pieces, half)))
                .collect();
        }
        all
    }
}

/// All pairs of them.
pub(super) fn pairs<T>(all: &[T]) -> impl Iterator<Item = [&T; 2]> {
    let first = all.iter().enumerate();
    first.flat_map(|(place, first)| all[place + 1..].iter().map(move |second| [first, second]))
}

/// A migration up to unmap, which is given up then, and from pages on; before that what the driver as posted does first, faulting the
/// page in.
fn stages(kind: &Kind, program: &Short, driver: DriverKind) -> Vec<Piece> {
    let (at, purpose, grant) = match program.steps.first() {
        Some(&Step::Acquire { at, access, .. }) => {
            (at, Purpose::Pin(access), Some(Step::Grant { at, access }))
        }
        Some(&Step::ToDevice { at, .. }) => (at, Purpose::ToDevice, None),
        _ => return vec![Piece::whole(program)],
    };
    let part = |half, before: [&[Step]; 2], steps: &[Step]| {
        Piece::part(program, half, before.map(<[_]>::to_vec), steps.to_vec())
    };
    let pages = 1;
    let setup = [Step::Setup { at, pages, purpose }, Step::Provide];
    let device_uses = &program.steps[1..];
    let migrates = [Step::Pages, Step::Map, Step::Finalize];
    if driver == DriverKind::Posted {
        let faulted = [Step::FaultIn(at)];
        return vec![
            part("faults-in", [&[], &[]], &faulted),
            Piece {
                without_page: true,
                ..part("without-page", [&faulted, &[]], program.steps)
            },
            part(
                "ends",
                [&faulted, &setup],
                &[&migrates, device_uses].concat(),
            ),
        ];
    }
    // What stands on a device is migrated when somebody has brought it home.
    let home = [Step::Read(at)];
    let home = &home[..usize::from(kind.device)];
    let given_up = [setup[0], setup[1], Step::Abandon];
    let grant = grant.as_slice();
    vec![
        part("begins", [&[], &[]], &given_up),
        part(
            "ends",
            [home, &setup],
            &[&migrates, grant, device_uses].concat(),
        ),
    ]
}

/// A reference that is taken and put, and one that is used; from a device, a page that comes home, and one that has.
fn uses(kind: &Kind, program: &Short) -> Vec<Piece> {
    if program.length != Length::Copies {
        return vec![Piece::whole(program)];
    }
    let part = |half, before: [&[Step]; 2], steps: &[Step]| {
        Piece::part(program, half, before.map(<[_]>::to_vec), steps.to_vec())
    };
    match *program.steps {
        [Step::Gup { at, .. } | Step::Write(at, _), ..] if kind.device => {
            let home = [Step::Read(at)];
            // There is a race of this program already.
            let read = Piece {
                name: "read".to_owned(),
                steps: home.to_vec(),
                ..Piece::whole(program)
            };
            vec![read, part("ends", [&home, &[]], program.steps)]
        }
        [take @ Step::Gup { .. }, ref uses @ ..] => vec![
            part("takes", [&[], &[]], &[take, Step::GupPut]),
            part("uses", [&[], &[take]], uses),
        ],
        _ => vec![Piece::whole(program)],
    }
}
