//! What an actor of a generated race does: a few steps on pages 1 and 2.

use super::kinds::{Place, B};
use crate::config::FileId;
use crate::driver::session::Purpose;
use crate::scenario::Step;
use migrate_pin_core::Access;

/// Which part of the kernel it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A driver that pins, or takes a pin back.
    Pinner,
    /// A driver that migrates otherwise.
    Mover,
    Fork,
    Other,
}

impl Role {
    /// Is it a driver?
    pub(super) const fn drives(self) -> bool {
        matches!(self, Self::Pinner | Self::Mover)
    }
}

/// A short program.
pub(super) struct Short {
    pub(super) name: &'static str,
    pub(super) role: Role,
    /// Only for pages of this kind of area; none for all.
    pub(super) place: Option<Place>,
    pub(super) steps: &'static [Step],
}

const fn pinner(name: &'static str, steps: &'static [Step]) -> Short {
    let role = Role::Pinner;
    Short {
        role,
        ..other(name, steps)
    }
}

const fn mover(name: &'static str, steps: &'static [Step]) -> Short {
    let role = Role::Mover;
    Short {
        role,
        ..other(name, steps)
    }
}

const fn other(name: &'static str, steps: &'static [Step]) -> Short {
    Short {
        name,
        role: Role::Other,
        place: None,
        steps,
    }
}

const fn acquire(pages: u16, access: Access) -> Step {
    Step::Acquire {
        at: 1,
        pages,
        access,
    }
}

const fn gup(at: u16, write: bool, pin: bool) -> Step {
    Step::Gup { at, write, pin }
}

const FORK: Short = Short {
    role: Role::Fork,
    ..other("fork", &[Step::Fork(B)])
};

/// On page 1.
pub(super) const PAIRS: &[Short] = &[
    pinner(
        "acquire",
        &[acquire(1, Access::Write), Step::DeviceAdd(1, 1)],
    ),
    pinner(
        "acquire-to-read",
        &[acquire(1, Access::Read), Step::DeviceRead(1)],
    ),
    mover("to-device", &[Step::ToDevice { at: 1, pages: 1 }]),
    mover(
        "to-system",
        &[
            Step::Setup {
                at: 1,
                pages: 1,
                purpose: Purpose::ToSystem,
            },
            Step::Provide,
            Step::Pages,
            Step::Map,
            Step::Finalize,
        ],
    ),
    mover(
        "give-up",
        &[
            Step::Setup {
                at: 1,
                pages: 1,
                purpose: Purpose::Pin(Access::Write),
            },
            Step::Provide,
            Step::Abandon,
        ],
    ),
    pinner("revoke", &[Step::Revoke { at: 1, pages: 1 }]),
    other("device-add", &[Step::DeviceAdd(1, 1)]),
    other("read", &[Step::Read(1)]),
    other("write", &[Step::Write(1, 90)]),
    other("gup-read", &[gup(1, false, false), Step::GupPut]),
    other(
        "gup-write",
        &[gup(1, true, false), Step::GupWrite(91), Step::GupPut],
    ),
    other(
        "dma",
        &[gup(1, true, true), Step::GupWrite(92), Step::GupPut],
    ),
    FORK,
    other("munmap", &[Step::Munmap { at: 1, pages: 1 }]),
    other(
        "mprotect",
        &[Step::Mprotect {
            at: 1,
            pages: 1,
            write: false,
        }],
    ),
    other("dontneed", &[Step::DontNeed { at: 1, pages: 1 }]),
    other("exit", &[Step::Exit]),
    other("oom-reap", &[Step::OomReap]),
    other("reclaim", &[Step::Reclaim(1)]),
    other("compact", &[Step::Compact(1)]),
    other("drain", &[Step::Drain]),
    Short {
        place: Some(Place::Shared),
        ..other("writeback", &[Step::Writeback(FileId(0), 1)])
    },
];

/// On pages 1 and 2: no program that any other has as its part.
pub(super) const TRIPLES: &[Short] = &[
    pinner(
        "acquire-both",
        &[acquire(2, Access::Write), Step::DeviceAdd(1, 1)],
    ),
    pinner(
        "acquire-second",
        &[
            Step::Acquire {
                at: 2,
                pages: 1,
                access: Access::Write,
            },
            Step::DeviceAdd(2, 1),
        ],
    ),
    mover("to-device", &[Step::ToDevice { at: 1, pages: 2 }]),
    other("write", &[Step::Write(1, 90)]),
    other("read-second", &[Step::Read(2)]),
    other("dma", &[gup(2, true, true), Step::GupPut]),
    FORK,
    other("dontneed", &[Step::DontNeed { at: 1, pages: 2 }]),
    other("reclaim", &[Step::Reclaim(1)]),
];
