//! What an actor does: a few steps on pages 1 and 2.

use super::kinds::{Place, B};
use crate::config::FileId;
use crate::driver::session::Purpose;
use crate::grammar::world::PAGES;
use crate::scenario::{Give, Step};
use migrate_pin_core::Access;

/// Which part of the kernel it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A driver that pins, or takes a pin back.
    Pinner,
    /// A driver that migrates otherwise.
    Mover,
    Fork,
    Other,
}

impl Role {
    /// Is it a driver?
    pub(crate) const fn drives(self) -> bool {
        matches!(self, Self::Pinner | Self::Mover)
    }
}

/// A short program.
pub(crate) struct Short {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// Only for pages of this kind of area; none for all.
    pub(crate) place: Option<Place>,
    pub(crate) steps: &'static [Step],
}

impl Short {
    /// Does the device access memory in it, and no driver do anything?
    pub(crate) fn of_device(&self) -> bool {
        let accesses = |step: &Step| {
            matches!(
                step,
                Step::DeviceRead(_) | Step::DeviceWrite(..) | Step::DeviceAdd(..)
            )
        };
        !self.role.drives() && self.steps.iter().any(accesses)
    }

    /// Does somebody who is no driver act on page 2 and on nothing else?
    pub(crate) fn looks_beside(&self) -> bool {
        !self.role.drives()
            && matches!(
                self.steps.first(),
                Some(Step::Read(2) | Step::Gup { at: 2, .. })
            )
    }

    /// Does a CPU first do an access or a drain, which there are short programs of, and then something else?
    pub(crate) fn goes_on(&self) -> bool {
        matches!(
            self.steps,
            [Step::Read(_) | Step::Write(..) | Step::Drain, _, ..]
        )
    }

    /// Does a driver call the stages one by one, without anything before setup?
    pub(crate) fn by_stages(&self) -> bool {
        matches!(self.steps.first(), Some(Step::Setup { .. }))
    }
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
pub(crate) const PAIRS: &[Short] = &[
    pinner(
        "acquire",
        &[acquire(1, Access::Write), Step::DeviceAdd(1, 1)],
    ),
    pinner(
        "acquire-to-read",
        &[acquire(1, Access::Read), Step::DeviceRead(1)],
    ),
    mover("to-device", &[Step::ToDevice { at: 1, pages: 1 }]),
    // It ends with setup, when nothing is on a device.
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

/// Longer ones, each of which generated races put together with a pin to write, and with itself unless it [goes on](Short::goes_on).
/// (A table of its own, since the order of all decides what a fuzzer's byte means.)
pub(crate) const MORE: &[Short] = &[
    pinner(
        "pin-by-stages",
        &[
            Step::Setup {
                at: 1,
                pages: 1,
                purpose: Purpose::Pin(Access::Write),
            },
            Step::Provide,
            Step::Pages,
            Step::Map,
            Step::Finalize,
        ],
    ),
    mover(
        "to-device-by-stages",
        &[
            Step::Setup {
                at: 1,
                pages: 1,
                purpose: Purpose::ToDevice,
            },
            Step::Provide,
            Step::Pages,
            Step::Map,
            Step::Finalize,
        ],
    ),
    mover(
        "to-new-page",
        &[
            Step::Setup {
                at: 1,
                pages: 1,
                purpose: Purpose::ToDevice,
            },
            Step::ProvideThis(&[Give::System; PAGES]),
            Step::Pages,
            Step::Finalize,
        ],
    ),
    pinner(
        "grant",
        &[
            Step::Grant {
                at: 1,
                access: Access::Write,
            },
            Step::DeviceWrite(1, 93),
        ],
    ),
    other("device-read", &[Step::DeviceRead(1)]),
    other("device-write", &[Step::DeviceWrite(1, 94)]),
    other("add", &[Step::Add(1, 3)]),
    other("lock-page", &[Step::LockPage(1), Step::UnlockPage]),
    other("lock-original", &[Step::LockOriginal(1), Step::UnlockPage]),
    other("isolate", &[Step::Isolate(1), Step::Putback]),
    other("get-page", &[Step::GetPage(1), Step::PutPage]),
    // What is thrown away and written again goes through the batch of its CPU.
    other("drain-and-reclaim", &[Step::Drain, Step::Reclaim(1)]),
    other("drain-and-compact", &[Step::Drain, Step::Compact(1)]),
    other(
        "read-around-dontneed",
        &[
            Step::Read(1),
            Step::DontNeed { at: 1, pages: 1 },
            Step::Read(1),
        ],
    ),
    // What is in a CPU's TLB when it is thrown away.
    other(
        "read-and-munmap",
        &[Step::Read(1), Step::Munmap { at: 1, pages: 1 }],
    ),
    other("read-and-exit", &[Step::Read(1), Step::Exit]),
    other("write-twice", &[Step::Write(1, 97), Step::Write(1, 98)]),
    Short {
        role: Role::Fork,
        ..other("write-and-fork", &[Step::Write(1, 99), Step::Fork(B)])
    },
    other("huge-fault", &[Step::HugeFault(1)]),
    other(
        "huge-fault-and-write",
        &[Step::HugeFault(1), Step::Write(1, 89)],
    ),
    other(
        "munmap-and-write-next",
        &[Step::Munmap { at: 1, pages: 1 }, Step::Write(2, 95)],
    ),
    other("write-next", &[Step::Write(2, 96)]),
    other(
        "mprotect-back",
        &[Step::Mprotect {
            at: 1,
            pages: 1,
            write: true,
        }],
    ),
];

/// On pages 1 and 2.
pub(crate) const TRIPLES: &[Short] = &[
    pinner(
        "acquire",
        &[acquire(1, Access::Write), Step::DeviceAdd(1, 1)],
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
    mover("to-device", &[Step::ToDevice { at: 1, pages: 1 }]),
    other("write", &[Step::Write(1, 90)]),
    other("read-second", &[Step::Read(2)]),
    other("dma", &[gup(2, true, true), Step::GupPut]),
    FORK,
    other("dontneed", &[Step::DontNeed { at: 1, pages: 2 }]),
    other("reclaim", &[Step::Reclaim(1)]),
];
