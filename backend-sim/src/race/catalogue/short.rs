//! Short names for what races say often.

use crate::config::{ActorSpec, Config, DeviceId, DeviceSpec, DriverKind, MirrorSpec, MmId};
use crate::driver::session::Purpose;
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::race::{Program, Race};
use crate::scenario::{By, Step};
use migrate_pin_core::Access;
use std::borrow::Cow;

/// The address space that the devices mirror.
pub(super) const A: MmId = MmId(0);
/// The one to fork into.
pub(super) const B: MmId = MmId(1);

/// What stands at a page.
pub(super) type Standing = (MmId, u16, Populate);

/// One written page, at 1.
pub(super) const WRITTEN: &[Standing] = &[(A, 1, Populate::Written(7))];
/// Two, at 1 and 2.
pub(super) const TWO: &[Standing] = &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))];

/// The second CPU has page 1 in its TLB, writable and dirty.
const WARM: By = By(1, Step::Write(1, 7));

/// Page 1 is pinned for the first actor's device, which has written it.
pub(super) const ACQUIRED: &[By] = &[By(0, acquire(1, 1)), By(0, Step::DeviceAdd(1, 1))];
/// Page 1 has been migrated to a device.
pub(super) const ON_DEVICE: &[By] = &[By(0, Step::ToDevice { at: 1, pages: 1 })];

/// Pin pages for the device to write.
pub(super) const fn acquire(at: u16, pages: u16) -> Step {
    let access = Access::Write;
    Step::Acquire { at, pages, access }
}

/// A short reference, for writing.
pub(super) const fn gup(at: u16) -> Step {
    let (write, pin) = (true, false);
    Step::Gup { at, write, pin }
}

/// A pin for DMA, for writing.
pub(super) const fn dma_pin(at: u16) -> Step {
    let (write, pin) = (true, true);
    Step::Gup { at, write, pin }
}

/// `munmap()` of page 1.
pub(super) const MUNMAP: Step = Step::Munmap { at: 1, pages: 1 };
/// `MADV_DONTNEED` of page 1.
pub(super) const DONTNEED: Step = Step::DontNeed { at: 1, pages: 1 };
/// `mprotect(PROT_READ)` of page 1.
pub(super) const PROTECT: Step = Step::Mprotect {
    at: 1,
    pages: 1,
    write: false,
};
/// Page 1 goes to the device.
pub(super) const TO_DEVICE: Step = Step::ToDevice { at: 1, pages: 1 };
/// Page 1 goes back to the CPU.
pub(super) const REVOKE: Step = Step::Revoke { at: 1, pages: 1 };

/// A driver looks for pages of its device where there is a huge page: setup splits it, and finds none. What comes after a
/// split is left to races of small pages, since the two are more than 200 operations.
pub(super) const SPLIT: [Step; 2] = [
    Step::Setup {
        at: 1,
        pages: 1,
        purpose: Purpose::ToSystem,
    },
    Step::Abandon,
];

/// A driver sets out to pin page 1, and gives up.
pub(super) const GIVE_UP: [Step; 2] = [
    Step::Setup {
        at: 1,
        pages: 1,
        purpose: Purpose::Pin(Access::Write),
    },
    Step::Abandon,
];

/// Actors 0, 1, ... do these at once.
pub(super) fn race(
    name: &'static str,
    about: &'static str,
    programs: &[&[Step]],
    events: &'static [Event],
) -> Race {
    let program = |(actor, steps): (usize, &&[Step])| Program {
        actor: actor as u8,
        steps: Cow::Owned(steps.to_vec()),
    };
    Race {
        name: Cow::Borrowed(name),
        about: Cow::Borrowed(about),
        config: CONFIG,
        populate: Cow::Borrowed(WRITTEN),
        given: Cow::Borrowed(&[WARM]),
        programs: programs.iter().enumerate().map(program).collect(),
        events: Cow::Borrowed(events),
        ..Race::BASE
    }
}

impl Race {
    /// The same with this done before.
    pub(super) fn given(self, given: &[By]) -> Self {
        let given = Cow::Owned(given.to_vec());
        Self { given, ..self }
    }

    /// The same with this standing there, and nothing done before.
    pub(super) fn standing(self, populate: &'static [Standing]) -> Self {
        let (populate, given) = (Cow::Borrowed(populate), Cow::Borrowed(&[] as &[By]));
        Self {
            populate,
            given,
            ..self
        }
    }

    /// The same on this machine.
    pub(super) fn on(self, config: Config<'static>) -> Self {
        Self { config, ..self }
    }
}

const fn actor(cpu: u8, mm: MmId) -> ActorSpec {
    ActorSpec { cpu, mm: Some(mm) }
}

const fn mirror(device: u8, mm: MmId) -> MirrorSpec {
    let device = DeviceId(device);
    MirrorSpec { device, mm }
}

/// A device with this many pages.
pub(super) const fn device(pages: u16) -> DeviceSpec {
    DeviceSpec {
        pages,
        mappings: 8,
        driver: DriverKind::Careful,
    }
}

/// Four pages of anonymous memory, three CPUs.
pub(super) const CONFIG: Config<'static> = Config {
    actors: &[actor(0, A), actor(1, A), actor(2, A)],
    system_pages: 12,
    mm_pages: 4,
    mms: &[
        crate::config::MmSpec {
            memcg: crate::config::MemcgId(0),
            vmas: &[crate::config::VmaSpec::anonymous(0, 4)],
        },
        crate::config::MmSpec {
            memcg: crate::config::MemcgId(0),
            vmas: &[],
        },
    ],
    ..Config::SMALL
};

/// The third actor is in the address space to fork into.
pub(super) const FAMILY: Config<'static> = Config {
    actors: &[actor(0, A), actor(1, A), actor(2, B)],
    ..CONFIG
};

/// The second actor is in the address space to fork into.
pub(super) const PARENT_AND_CHILD: Config<'static> = Config {
    actors: &[actor(0, A), actor(1, B)],
    ..CONFIG
};

/// The first actor drives the first device, the second the second.
pub(super) const TWO_DEVICES: Config<'static> = Config {
    devices: &[device(4), device(4)],
    mirrors: &[mirror(0, A), mirror(1, A)],
    ..CONFIG
};

/// The driver as posted.
pub(super) const POSTED: Config<'static> = Config {
    devices: &[DeviceSpec {
        driver: DriverKind::Posted,
        ..device(4)
    }],
    ..CONFIG
};
