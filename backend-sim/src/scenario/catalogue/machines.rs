//! Machines that several rooms use, and steps that only the setup half needs.

use crate::config::{ActorId, Config, DeviceId, DeviceSpec, DriverKind};
use crate::config::{FileId, FileSpec, MemcgId, MirrorSpec, MmId, MmSpec, VmaKind, VmaSpec};
use crate::driver::session::Purpose;
use crate::scenario::{By, Step};
use migrate_pin_core::Access;

/// The one file of [`FILES`].
pub(super) const FILE: FileId = FileId(0);

/// The second actor of a scenario.
pub(super) const OTHER: ActorId = ActorId(1);

/// Four pages of anonymous memory, then four of a file that is mapped shared.
pub(super) const FILES: Config<'static> = Config {
    mms: &[MmSpec {
        memcg: MemcgId(0),
        vmas: &[
            VmaSpec::anonymous(0, 4),
            VmaSpec::anonymous(4, 4).of(VmaKind::Shared(FILE, 0)),
        ],
    }],
    files: &[FileSpec {
        contents: &[40, 41, 42, 43],
    }],
    ..Config::SMALL
};

/// The first actor drives the first device, the second the second.
pub(super) const TWO_DEVICES: Config<'static> = Config {
    devices: &[DEVICE, DEVICE],
    mirrors: &[mirror(0), mirror(1)],
    ..Config::SMALL
};

const DEVICE: DeviceSpec = DeviceSpec {
    pages: 4,
    mappings: 8,
    driver: DriverKind::Careful,
};

const fn mirror(device: u8) -> MirrorSpec {
    MirrorSpec {
        device: DeviceId(device),
        mm: MmId(0),
    }
}

/// Setup for a pin that the device only reads through.
pub(super) const fn setup_pin_to_read(at: u16, pages: u16) -> Step {
    let purpose = Purpose::Pin(Access::Read);
    Step::Setup { at, pages, purpose }
}

/// The rest of a migration after its setup, by the first actor.
pub(super) const PROVIDE: By = By(0, Step::Provide);
/// See [`PROVIDE`].
pub(super) const PAGES: By = By(0, Step::Pages);
/// See [`PROVIDE`].
pub(super) const MAP: By = By(0, Step::Map);
/// See [`PROVIDE`].
pub(super) const FINALIZE: By = By(0, Step::Finalize);
/// The first actor gives its migration up.
pub(super) const ABANDON: By = By(0, Step::Abandon);
