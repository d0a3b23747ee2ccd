// SPDX-License-Identifier: GPL-2.0-only
//! What Rust and C agree on: constants, layouts and prototypes.
//!
//! All of it is written down here once. `migrate-pin-header` prints `migrate_pin_abi.h` from it; the C compiler
//! checks the definitions in `glue.c` against that, and `glue.c` asserts that what is the kernel's has the value
//! and the layout that it has here.

use core::ffi::c_void;
use migrate_pin_core::error;
use migrate_pin_core::{pfn, MigratePfn, PteBits, Select, VmaFlags};

/// How a type is written in C.
pub trait CType {
    /// The type, with a space behind it unless it is a pointer.
    const NAME: &'static str;
}

macro_rules! c_types {
    ($($ty:ty => $name:literal;)*) => {
        $(impl CType for $ty { const NAME: &'static str = $name; })*
    };
}
c_types! {
    () => "void ";
    bool => "bool ";
    i32 => "int ";
    u32 => "unsigned int ";
    usize => "unsigned long ";
    *mut usize => "unsigned long *";
    *mut VmArea => "struct vm_area_struct *";
    *mut Page => "struct page *";
    *mut MigrateVma => "struct migrate_vma *";
    *mut Cursor => "struct migrate_pin_cursor *";
    AreaWords => "struct migrate_pin_area ";
    PairWords => "struct migrate_pin_pair ";
    RecordWords => "struct migrate_pin_record ";
}

/// A function that one side defines and the other calls.
#[derive(Debug)]
pub struct Prototype {
    /// Its name in C.
    pub name: &'static str,
    /// What it does, a line each.
    pub doc: &'static [&'static str],
    /// Name and type of each argument.
    pub args: &'static [(&'static str, &'static str)],
    /// What it returns.
    pub returns: &'static str,
}

/// `struct vm_area_struct`.
#[repr(C)]
pub struct VmArea {
    _opaque: [u8; 0],
}

/// `struct page`.
#[repr(C)]
pub struct Page {
    _opaque: [u8; 0],
}

/// `struct migrate_vma`; the header asserts the offset of each field.
#[repr(C)]
#[derive(Debug)]
pub struct MigrateVma {
    /// The area.
    pub vma: *mut VmArea,
    /// Destination words.
    pub dst: *mut usize,
    /// Source words.
    pub src: *mut usize,
    /// Entries that migrate.
    pub cpages: usize,
    /// Entries.
    pub npages: usize,
    /// First address.
    pub start: usize,
    /// One past the last address.
    pub end: usize,
    /// The driver's token.
    pub pgmap_owner: usize,
    /// What to select.
    pub flags: usize,
    /// The page that is being faulted on.
    pub fault_page: *mut Page,
}

/// Where a page-table page is mapped and locked; C's own, between `pte_lock` and `pte_unlock`.
#[repr(C)]
#[derive(Debug)]
pub struct Cursor {
    /// The entry of `addr`.
    pub pte: *mut c_void,
    /// The lock.
    pub ptl: *mut c_void,
    /// The address that the lock was taken with.
    pub addr: usize,
    /// The entry that was cleared last, as the hardware has it.
    pub raw: usize,
}

/// Extent and [`VmaFlags`] of an area.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AreaWords {
    /// First address.
    pub start: usize,
    /// One past the last address.
    pub end: usize,
    /// [`VmaFlags`].
    pub flags: usize,
}

/// What something is, and one word about it; returned in two registers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PairWords {
    /// One of the constants below; of an entry, its [`PteBits`] too, from bit [`PTE_BITS_SHIFT`] on.
    pub what: usize,
    /// A pfn, an owner or an address.
    pub word: usize,
}

/// The record of a pin.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RecordWords {
    /// There is one.
    pub present: usize,
    /// Who pinned the page.
    pub owner: usize,
    /// The device page that stands for it, 0 for none.
    pub device: usize,
}

/// Where the [`PteBits`] start in the first word of an entry.
pub const PTE_BITS_SHIFT: usize = 8;

macro_rules! constants {
    ($(#[doc = $head:literal] $list:ident: $( $name:ident = $value:expr; )*)*) => {
        $($(#[allow(missing_docs)] pub const $name: usize = $value;)*)*
        /// Constants of this interface, as C is to see them, under their headings.
        pub const CONSTANTS: &[(&str, &[(&str, usize)])] = &[
            $(($head, &[$((stringify!($name), $value)),*])),*
        ];
    };
}
constants! {
    #[doc = "An entry"]
    pte:
    PTE_NONE = 0;
    PTE_ZERO = 1;
    PTE_SPECIAL = 2;
    PTE_PAGE = 3;
    PTE_DEVICE_PRIVATE = 4;
    PTE_MIGRATION = 5;
    PTE_OTHER = 6;
    #[doc = "Its bits"]
    pte_bits:
    PTE_WRITE = (PteBits::WRITE.bits() as usize) << PTE_BITS_SHIFT;
    PTE_DIRTY = (PteBits::DIRTY.bits() as usize) << PTE_BITS_SHIFT;
    PTE_YOUNG = (PteBits::YOUNG.bits() as usize) << PTE_BITS_SHIFT;
    PTE_SOFT_DIRTY = (PteBits::SOFT_DIRTY.bits() as usize) << PTE_BITS_SHIFT;
    PTE_UFFD_WP = (PteBits::UFFD_WP.bits() as usize) << PTE_BITS_SHIFT;
    PTE_EXCLUSIVE = (PteBits::EXCLUSIVE.bits() as usize) << PTE_BITS_SHIFT;
    PTE_KIND = (1 << PTE_BITS_SHIFT) - 1;
    #[doc = "Above the entries"]
    pmd:
    PMD_HOLE = 0;
    PMD_HUGE = 1;
    PMD_TABLE = 2;
    #[doc = "A huge pmd under its lock"]
    huge:
    HUGE_CHANGED = 0;
    HUGE_ZERO = 1;
    HUGE_PAGE = 2;
    #[doc = "What memory a page is"]
    zone:
    ZONE_SYSTEM = 0;
    ZONE_DEVICE_PRIVATE = 1;
    ZONE_DEVICE_COHERENT = 2;
    ZONE_DEVICE_OTHER = 3;
    #[doc = "What a page belongs to"]
    mapping:
    MAPPING_NONE = 0;
    MAPPING_ANON = 1;
    MAPPING_SWAPCACHE = 2;
    MAPPING_FILE = 3;
    #[doc = "An area"]
    vma:
    VMA_ANONYMOUS = VmaFlags::ANONYMOUS.bits() as usize;
    VMA_HUGETLB = VmaFlags::HUGETLB.bits() as usize;
    VMA_SPECIAL = VmaFlags::SPECIAL.bits() as usize;
    VMA_DAX = VmaFlags::DAX.bits() as usize;
    VMA_WRITE = VmaFlags::WRITE.bits() as usize;
    #[doc = "Counters"]
    counter:
    COUNT_CORE_SETUP = 0;
    COUNT_CORE_PAGES = 1;
    COUNT_CORE_FINALIZE = 2;
    COUNT_CORE_RANGE = 3;
    COUNT_CORE_UNMAP = 4;
    COUNT_CORE_DEVICE_PAGES = 5;
    COUNT_CORE_DEVICE_FINALIZE = 6;
    COUNT_REFUSED = 7;
    COUNT_STOCK_SETUP = 8;
    COUNT_STOCK_PAGES = 9;
    COUNT_STOCK_FINALIZE = 10;
    COUNT_STOCK_RANGE = 11;
    COUNT_STOCK_UNMAP = 12;
    COUNT_STOCK_DEVICE_PAGES = 13;
    COUNT_STOCK_DEVICE_FINALIZE = 14;
    COUNTERS = 15;
}

/// `enum mmu_notifier_event`.
pub mod notify {
    /// `MMU_NOTIFY_UNMAP`.
    pub const UNMAP: u32 = 0;
    /// `MMU_NOTIFY_CLEAR`.
    pub const CLEAR: u32 = 1;
    /// `MMU_NOTIFY_PROTECTION_VMA`.
    pub const PROTECTION_VMA: u32 = 2;
    /// `MMU_NOTIFY_PROTECTION_PAGE`.
    pub const PROTECTION_PAGE: u32 = 3;
    /// `MMU_NOTIFY_MIGRATE`.
    pub const MIGRATE: u32 = 6;
}

/// Expressions of the kernel's, and the value that this crate or `core` takes them to have.
pub const KERNEL_CONSTANTS: &[(&str, usize)] = &[
    ("PAGE_SHIFT", pfn::PAGE_SHIFT as usize),
    ("MIGRATE_PFN_SHIFT", pfn::MIGRATE_PFN_SHIFT as usize),
    ("MIGRATE_PFN_VALID", MigratePfn::VALID.bits()),
    ("MIGRATE_PFN_MIGRATE", MigratePfn::MIGRATE.bits()),
    ("MIGRATE_PFN_WRITE", MigratePfn::WRITE.bits()),
    ("GUP_PIN_COUNTING_BIAS", pfn::GUP_PIN_COUNTING_BIAS as usize),
    ("MIGRATE_VMA_SELECT_SYSTEM", Select::SYSTEM.bits() as usize),
    (
        "MIGRATE_VMA_SELECT_DEVICE_PRIVATE",
        Select::DEVICE_PRIVATE.bits() as usize,
    ),
    (
        "MIGRATE_VMA_SELECT_DEVICE_COHERENT",
        Select::DEVICE_COHERENT.bits() as usize,
    ),
    ("MMU_NOTIFY_UNMAP", notify::UNMAP as usize),
    ("MMU_NOTIFY_CLEAR", notify::CLEAR as usize),
    ("MMU_NOTIFY_PROTECTION_VMA", notify::PROTECTION_VMA as usize),
    (
        "MMU_NOTIFY_PROTECTION_PAGE",
        notify::PROTECTION_PAGE as usize,
    ),
    ("MMU_NOTIFY_MIGRATE", notify::MIGRATE as usize),
    ("EINVAL", error::EINVAL as usize),
    ("EBUSY", error::EBUSY as usize),
    ("EPERM", error::EPERM as usize),
    ("ESTALE", error::ESTALE as usize),
    ("sizeof(unsigned long)", size_of::<usize>()),
    ("sizeof(pte_t)", size_of::<usize>()),
];

/// A structure: its name, its size, and name, offset and type of each field.
#[derive(Debug)]
pub struct Layout {
    /// Its name in C.
    pub name: &'static str,
    /// Its size.
    pub size: usize,
    /// The fields, with C's type where the structure is ours.
    pub fields: &'static [(&'static str, usize, &'static str)],
}

macro_rules! layout {
    ($name:literal $ty:ident { $($field:ident : $c:literal),* }) => {
        Layout {
            name: $name,
            size: size_of::<$ty>(),
            fields: &[$((stringify!($field), core::mem::offset_of!($ty, $field), $c)),*],
        }
    };
}

/// Structures of the kernel's that are used as they are.
pub const KERNEL_LAYOUTS: &[Layout] = &[layout!("struct migrate_vma" MigrateVma {
    vma: "", dst: "", src: "", cpages: "", npages: "", start: "", end: "", pgmap_owner: "",
    flags: "", fault_page: ""
})];

/// Structures of this interface.
pub const LAYOUTS: &[Layout] = &[
    layout!("struct migrate_pin_cursor" Cursor {
        pte: "pte_t *", ptl: "spinlock_t *", addr: "unsigned long ", raw: "pte_t "
    }),
    layout!("struct migrate_pin_area" AreaWords {
        start: "unsigned long ", end: "unsigned long ", flags: "unsigned long "
    }),
    layout!("struct migrate_pin_pair" PairWords {
        what: "unsigned long ", word: "unsigned long "
    }),
    layout!("struct migrate_pin_record" RecordWords {
        present: "unsigned long ", owner: "unsigned long ", device: "unsigned long "
    }),
];

use core::mem::size_of;
