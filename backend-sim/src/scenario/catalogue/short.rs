//! Short names for what scenarios say often.

use crate::config::{
    ActorSpec, AllocKind, Config, FailSpec, FileId, FileSpec, MemcgId, MmId, MmSpec, VmaKind,
    VmaSpec,
};
use crate::driver::session::Purpose;
use crate::scenario::{Expect, Scenario, Step};
use migrate_pin_core::Access;

/// The address space that the device mirrors.
pub(super) const A: MmId = MmId(0);
/// The one that it is forked into.
pub(super) const B: MmId = MmId(1);

/// What most scenarios leave out.
pub(super) const BASE: Scenario = Scenario {
    name: "",
    about: "",
    config: Config::SMALL,
    populate: &[],
    given: &[],
    steps: &[],
    reorder: false,
    hardened: Expect::Skip,
    as_posted: Expect::Same,
    events: &[],
};

/// An actor with a CPU of its own.
pub(super) const fn actor(cpu: u8, mm: MmId) -> ActorSpec {
    ActorSpec { cpu, mm: Some(mm) }
}

/// [`Config::SMALL`] with a third actor, in the address space that the first may fork into.
pub(super) const FAMILY: Config<'static> = Config {
    actors: &[actor(0, A), actor(1, A), actor(2, B)],
    ..Config::SMALL
};

/// Pin pages for the device to write.
pub(super) const fn acquire(at: u16, pages: u16) -> Step {
    let access = Access::Write;
    Step::Acquire { at, pages, access }
}

/// Pin pages for the device to read.
pub(super) const fn acquire_to_read(at: u16, pages: u16) -> Step {
    let access = Access::Read;
    Step::Acquire { at, pages, access }
}

/// Map a pinned page for the device to write again.
pub(super) const fn grant(at: u16) -> Step {
    let access = Access::Write;
    Step::Grant { at, access }
}

/// Map a pinned page for the device to read again.
pub(super) const fn grant_to_read(at: u16) -> Step {
    let access = Access::Read;
    Step::Grant { at, access }
}

/// Give one page back.
pub(super) const fn revoke(at: u16) -> Step {
    Step::Revoke { at, pages: 1 }
}

/// Move pages to the device, all stages at once.
pub(super) const fn to_device(at: u16, pages: u16) -> Step {
    Step::ToDevice { at, pages }
}

/// Setup for a pin.
pub(super) const fn setup_pin(at: u16, pages: u16) -> Step {
    let purpose = Purpose::Pin(Access::Write);
    Step::Setup { at, pages, purpose }
}

/// Setup for a migration of system memory.
pub(super) const fn setup_out(at: u16, pages: u16) -> Step {
    let purpose = Purpose::ToDevice;
    Step::Setup { at, pages, purpose }
}

/// Setup for a migration of device memory.
pub(super) const fn setup_home(at: u16, pages: u16) -> Step {
    let purpose = Purpose::ToSystem;
    Step::Setup { at, pages, purpose }
}

/// `munmap()` of one page.
pub(super) const fn munmap(at: u16) -> Step {
    Step::Munmap { at, pages: 1 }
}

/// `MADV_DONTNEED` of one page.
pub(super) const fn dont_need(at: u16) -> Step {
    Step::DontNeed { at, pages: 1 }
}

/// `mprotect()` of one page.
pub(super) const fn mprotect(at: u16, write: bool) -> Step {
    let pages = 1;
    Step::Mprotect { at, pages, write }
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

/// An address space with these areas.
pub(super) const fn space(vmas: &'static [VmaSpec]) -> MmSpec<'static> {
    let memcg = MemcgId(0);
    MmSpec { memcg, vmas }
}

/// [`Config::SMALL`] with a file shared at pages 4 to 7.
pub(super) const WITH_FILE: Config<'static> = Config {
    mms: &[space(&[
        VmaSpec::anonymous(0, 4),
        VmaSpec::anonymous(4, 4).of(VmaKind::Shared(FileId(0), 0)),
    ])],
    files: &[FileSpec {
        contents: &[40, 41, 42, 43],
    }],
    ..Config::SMALL
};

/// The nth allocation of a kind fails.
pub(super) const fn fails(kind: AllocKind, nth: u32) -> FailSpec {
    FailSpec { kind, nth }
}
