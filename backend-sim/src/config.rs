//! What a machine is built from: plain data, which may be `'static`.

use crate::bug::Bug;
use migrate_pin_core::policy::{PolicyKind, ShapeKind};
use migrate_pin_core::Owner;

/// Most actors, and most CPUs.
pub const MAX_ACTORS: usize = 8;
/// Most page frames.
pub const MAX_FRAMES: usize = 256;
/// Most virtual pages of an address space.
pub const MAX_MM_PAGES: usize = 256;
/// Most address spaces.
pub const MAX_MMS: usize = 8;
/// Most vmas of one address space.
pub const MAX_VMAS: usize = 4;
/// Most files.
pub const MAX_FILES: usize = 4;
/// Most pages of one file.
pub const MAX_FILE_PAGES: usize = 16;
/// Most devices.
pub const MAX_DEVICES: usize = 2;
/// Most mirrors: one driver watching one address space.
pub const MAX_MIRRORS: usize = 8;
/// Most entries of one device's page table.
pub const MAX_DEVICE_MAPPINGS: usize = 64;
/// Most slots of the swap area.
pub const MAX_SWAP_SLOTS: usize = 64;
/// Most memory cgroups.
pub const MAX_MEMCGS: usize = 4;
/// Most pages that one pipeline call handles.
pub const MAX_RANGE: usize = 64;
/// Pages of one page-table page, and so of one huge page. 512 in the kernel; small here, so that a few pages suffice
/// to cross from one page-table page to the next.
pub const TABLE_PAGES: usize = 4;

/// An actor: one thread of the kernel or of a process, on a CPU of its own unless told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId(pub u8);

/// An address space (`mm_struct`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MmId(pub u8);

/// A file (`address_space` of an inode).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u8);

/// A device and its driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub u8);

/// A memory cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemcgId(pub u8);

/// One actor.
#[derive(Clone, Copy, Debug)]
pub struct ActorSpec {
    /// The CPU it runs on.
    pub cpu: u8,
    /// The address space that the CPU has loaded meanwhile; none for a kernel thread.
    pub mm: Option<MmId>,
}

/// What a vma maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmaKind {
    /// Private anonymous memory.
    Anonymous,
    /// `MAP_SHARED` of a file, from this page of it.
    Shared(FileId, u16),
    /// `MAP_PRIVATE` of a file, from this page of it.
    Private(FileId, u16),
    /// `VM_SPECIAL`: device memory without struct pages.
    Special,
    /// hugetlbfs.
    Hugetlb,
    /// A DAX file.
    Dax,
}

/// One vma.
#[derive(Clone, Copy, Debug)]
pub struct VmaSpec {
    /// First page (virtual page number).
    pub start: u16,
    /// How many pages.
    pub pages: u16,
    /// What it maps.
    pub kind: VmaKind,
    /// `VM_WRITE`.
    pub write: bool,
    /// Registered with userfaultfd for missing pages.
    pub userfaultfd: bool,
}

impl VmaSpec {
    /// Writable anonymous memory.
    #[must_use]
    pub const fn anonymous(start: u16, pages: u16) -> Self {
        Self {
            start,
            pages,
            kind: VmaKind::Anonymous,
            write: true,
            userfaultfd: false,
        }
    }

    /// The same as another kind.
    #[must_use]
    pub const fn of(self, kind: VmaKind) -> Self {
        Self { kind, ..self }
    }

    /// The same, read-only.
    #[must_use]
    pub const fn read_only(self) -> Self {
        Self {
            write: false,
            ..self
        }
    }

    /// The same, registered with userfaultfd.
    #[must_use]
    pub const fn with_userfaultfd(self) -> Self {
        Self {
            userfaultfd: true,
            ..self
        }
    }
}

/// One address space. One without vmas is there for a fork to fill.
#[derive(Clone, Copy, Debug)]
pub struct MmSpec<'a> {
    /// Whom its memory is charged to.
    pub memcg: MemcgId,
    /// Its areas.
    pub vmas: &'a [VmaSpec],
}

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct FileSpec<'a> {
    /// What is on the disk, one word a page.
    pub contents: &'a [u32],
}

/// Which driver a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriverKind {
    /// Does what core's `pin` says.
    Careful,
    /// Does what was posted with the patch.
    Posted,
}

/// One device.
#[derive(Clone, Copy, Debug)]
pub struct DeviceSpec {
    /// How many device-private pages it has.
    pub pages: u16,
    /// How many entries its page table has room for.
    pub mappings: u16,
    /// Its driver.
    pub driver: DriverKind,
}

/// A driver mirrors an address space, with an interval notifier on all of it.
#[derive(Clone, Copy, Debug)]
pub struct MirrorSpec {
    /// The device.
    pub device: DeviceId,
    /// The address space.
    pub mm: MmId,
}

/// A kind of allocation (or other refusal) that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AllocKind {
    /// A page frame.
    Page,
    /// A page-table page.
    Table,
    /// An `anon_vma`.
    AnonVma,
    /// A charge to a memory cgroup.
    Charge,
    /// A device-private page.
    DevicePage,
    /// An entry of a device's page table.
    DeviceMapping,
    /// A slot of the swap area.
    SwapSlot,
    /// A pin record.
    PinRecord,
}

impl AllocKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Page,
        Self::Table,
        Self::AnonVma,
        Self::Charge,
        Self::DevicePage,
        Self::DeviceMapping,
        Self::SwapSlot,
        Self::PinRecord,
    ];
}

/// Fail one allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailSpec {
    /// Of this kind,
    pub kind: AllocKind,
    /// the nth since the machine was built, from 0; `u32::MAX` for every one.
    pub nth: u32,
}

/// What a machine is built from.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// Which kernel: what a reference count of a device page means, where charges go.
    pub shape: ShapeKind,
    /// Which policy the drivers run core with.
    pub policy: PolicyKind,
    /// How many page frames of ordinary memory.
    pub system_pages: u16,
    /// How many of them are in `ZONE_MOVABLE`: the lowest ones, which processes get first.
    pub movable_pages: u16,
    /// How many virtual pages an address space has.
    pub mm_pages: u16,
    /// How many pages a CPU's LRU batch holds before it is drained (`PAGEVEC_SIZE`, 15).
    pub lru_batch: u8,
    /// How many slots the swap area has.
    pub swap_slots: u16,
    /// How many pin records there is room for.
    pub pin_records: u16,
    /// How many pages each memory cgroup may have charged.
    pub memcg_limit: u16,
    /// Who acts.
    pub actors: &'a [ActorSpec],
    /// Address spaces.
    pub mms: &'a [MmSpec<'a>],
    /// Files.
    pub files: &'a [FileSpec<'a>],
    /// Devices.
    pub devices: &'a [DeviceSpec],
    /// Who mirrors what.
    pub mirrors: &'a [MirrorSpec],
    /// What fails.
    pub failures: &'a [FailSpec],
    /// What is broken.
    pub bugs: &'a [Bug],
}

impl Config<'static> {
    /// Two actors in one anonymous address space of eight pages (a second one is there to fork into), one
    /// mirroring device with four pages, `Hardened` on 5.11.
    pub const SMALL: Self = Self {
        shape: ShapeKind::V5_11,
        policy: PolicyKind::Hardened,
        system_pages: 16,
        movable_pages: 0,
        mm_pages: 8,
        lru_batch: 15,
        swap_slots: 8,
        pin_records: 8,
        memcg_limit: 256,
        actors: &[
            ActorSpec {
                cpu: 0,
                mm: Some(MmId(0)),
            },
            ActorSpec {
                cpu: 1,
                mm: Some(MmId(0)),
            },
        ],
        mms: &[
            MmSpec {
                memcg: MemcgId(0),
                vmas: &[VmaSpec::anonymous(0, 8)],
            },
            MmSpec {
                memcg: MemcgId(0),
                vmas: &[],
            },
        ],
        files: &[],
        devices: &[DeviceSpec {
            pages: 4,
            mappings: 8,
            driver: DriverKind::Careful,
        }],
        mirrors: &[MirrorSpec {
            device: DeviceId(0),
            mm: MmId(0),
        }],
        failures: &[],
        bugs: &[],
    };
}

impl DeviceId {
    /// The token by which the kernel knows this device's memory (`pgmap->owner`).
    #[must_use]
    pub const fn owner(self) -> Owner {
        Owner(0xd000 + self.0 as usize)
    }
}
