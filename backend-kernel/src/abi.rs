// SPDX-License-Identifier: GPL-2.0-only
//! What Rust and C agree on: constants, layouts and prototypes.
//!
//! All of it is written down here once. `migrate-pin-header` prints `migrate_pin_abi.h` from it; the C compiler
//! checks the definitions in `glue.c` against that, and `glue.c` asserts that what is the kernel's has the value
//! and the layout that it has here.

use core::ffi::c_void;
use core::sync::atomic::{AtomicI32, AtomicUsize};
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
    isize => "long ";
    *mut core::ffi::c_void => "void *";
    *const core::ffi::c_void => "const void *";
    *const core::ffi::c_char => "const char *";
    *mut *mut core::ffi::c_void => "void **";
    *mut usize => "unsigned long *";
    *mut VmArea => "struct vm_area_struct *";
    *mut Page => "struct page *";
    *mut MigrateVma => "struct migrate_vma *";
    *mut Cursor => "struct migrate_pin_cursor *";
    *mut MigratePinVma => "struct migrate_pin_vma *";
    *mut AcquireArgs => "struct migrate_pin_acquire *";
    *mut DeviceHandle => "struct migrate_pin_device *";
    *const DeviceOps => "const struct migrate_pin_device_ops *";
    RevokedWords => "struct migrate_pin_revoked ";
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

/// `struct vm_area_struct`, as far as it is looked at without a call; the header asserts the offset of each field.
#[repr(C)]
#[derive(Debug)]
pub struct VmArea {
    /// First address.
    pub vm_start: usize,
    /// One past the last address.
    pub vm_end: usize,
    vm_mm: usize,
    vm_page_prot: usize,
    /// `VM_*`.
    pub vm_flags: usize,
    /// `CONFIG_PER_VMA_LOCK`.
    vm_lock: [usize; 2],
    shared: [usize; 4],
    anon_vma: [usize; 3],
    /// Null if the area is anonymous.
    pub vm_ops: usize,
    vm_pgoff: usize,
    /// The file that is mapped, or null.
    pub vm_file: usize,
}

/// Bits of `vma->vm_flags`.
pub mod vm {
    /// `VM_WRITE`.
    pub const WRITE: usize = 1 << 1;
    /// `VM_HUGETLB`.
    pub const HUGETLB: usize = 1 << 22;
    /// `VM_SPECIAL`.
    pub const SPECIAL: usize = 1 << 10 | 1 << 14 | 1 << 18 | 1 << 28;
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

/// `struct page`, as far as it is looked at without a call; the header asserts the offset of each field.
#[repr(C)]
#[derive(Debug)]
pub struct PageWords {
    /// `PG_*`, and the zone.
    pub flags: AtomicUsize,
    /// Of a tail page its head, with bit 0 set; of device memory its `pgmap`.
    pub compound_head: AtomicUsize,
    lru: usize,
    /// Whose it is: [`MAPPING_FLAGS`].
    pub mapping: AtomicUsize,
    index: usize,
    private: usize,
    /// Entries that map it, less one; or the type of a page that is never mapped.
    pub _mapcount: AtomicI32,
    /// References.
    pub _refcount: AtomicI32,
    memcg_data: usize,
}

/// Bits of `page->flags`.
pub mod flag {
    /// `PG_locked`.
    pub const LOCKED: usize = 1 << 0;
    /// `PG_lru`.
    pub const LRU: usize = 1 << 5;
    /// `PG_head`.
    pub const HEAD: usize = 1 << 6;
    /// `PG_swapcache`.
    pub const SWAPCACHE: usize = 1 << 10;
    /// `PG_anon_exclusive`.
    pub const ANON_EXCLUSIVE: usize = 1 << 11;
    /// `PG_private`.
    pub const PRIVATE: usize = 1 << 14;
    /// `PG_private_2`.
    pub const PRIVATE_2: usize = 1 << 15;
    /// `PG_reclaim`: of no use to a page which is neither written back nor read ahead, and so the mark of a page that
    /// stands in a destination word. (A file's page that becomes another one of system memory may lose the note that it was
    /// read ahead, a hint.)
    pub const RECLAIM: usize = 1 << 16;
    /// `PG_swapbacked`.
    pub const SWAPBACKED: usize = 1 << 17;
}

/// `PAGE_MAPPING_FLAGS`.
pub const MAPPING_FLAGS: usize = 3;
/// `PAGE_MAPPING_ANON`.
pub const MAPPING_IS_ANON: usize = 1;
/// What is less in `_mapcount` is the type of a page (`PGTY_mapcount_underflow << 24`).
pub const PAGE_TYPE_LIMIT: i32 = -1 << 24;

/// `MEMORY_DEVICE_PRIVATE` of `enum memory_type`.
pub const MEMORY_DEVICE_PRIVATE: u32 = 1;
/// `MEMORY_DEVICE_COHERENT`.
pub const MEMORY_DEVICE_COHERENT: u32 = 2;

/// Pages, as a power of two, whose `struct page` are there or not together (`PFN_SUBSECTION_SHIFT`).
pub const SUBSECTION_SHIFT: u32 = 9;

/// Where the array of `struct page` is, and what is not known when this is compiled.
#[repr(C)]
#[derive(Debug)]
pub struct MapWords {
    /// The page of pfn 0, whether or not there is one.
    pub base: *mut PageWords,
    /// `ZONES_MASK`, where it is in the flags.
    pub zone_mask: usize,
    /// `ZONE_DEVICE`, likewise.
    pub zone_device: usize,
    /// Where `type` is in a `struct dev_pagemap`,
    pub pgmap_type: usize,
    /// and `owner`.
    pub pgmap_owner: usize,
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

/// A device mapping that went.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RevokedWords {
    /// The pfn that was mapped, 0 for none.
    pub page: usize,
    /// The device wrote to it.
    pub dirty: usize,
}

/// A migration of a driver's in C. Above the line is what it fills in before setup and leaves alone.
#[repr(C)]
#[derive(Debug)]
pub struct MigratePinVma {
    /// The area.
    pub vma: *mut VmArea,
    /// A word a page; 0 or MIGRATE_PFN_PIN before setup.
    pub src: *mut usize,
    /// A word a page; filled in between setup and pages.
    pub dst: *mut usize,
    /// How many words there are in each.
    pub npages: usize,
    /// First address, of a page.
    pub start: usize,
    /// One past the last address.
    pub end: usize,
    /// The driver's token, `pgmap->owner`.
    pub owner: usize,
    /// The pfn of the page that is being faulted on, 0 for none.
    pub fault_page: usize,
    /// `MIGRATE_VMA_SELECT_*`.
    pub select: u32,
    /// The rest is core's.
    pub stage: u32,
    /// Entries that migrate, when setup returned.
    pub cpages: usize,
    /// Of core.
    pub rules: u32,
    /// Of core.
    pub unused: u32,
    /// Of core.
    pub checksum: usize,
}

/// What `migrate_pin_acquire()` is asked to do, and what it achieved.
#[repr(C)]
#[derive(Debug)]
pub struct AcquireArgs {
    /// The area.
    pub vma: *mut VmArea,
    /// Room for a word a page; has MIGRATE where the page is pinned.
    pub src: *mut usize,
    /// Room for a word a page.
    pub dst: *mut usize,
    /// How many words there are in each.
    pub npages: usize,
    /// First address, of a page.
    pub start: usize,
    /// One past the last address.
    pub end: usize,
    /// The device is to write.
    pub write: usize,
    /// Pages that are pinned and mapped.
    pub granted: usize,
    /// Pages that are pinned, but not mapped.
    pub left: usize,
}

macro_rules! callbacks {
    ($(#[doc = $head:literal])* $table:ident, $list:ident, $c:literal, $first:ident: $on:ty;
    $($(#[doc = $doc:literal])* fn $name:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)? ;)*) => {
        $(#[doc = $head])*
        #[repr(C)]
        #[derive(Debug)]
        pub struct $table {
            $($(#[doc = $doc])* pub $name: unsafe extern "C" fn($on $(, $ty)*) $(-> $ret)?,)*
        }

        /// The callbacks, and where each of them stands.
        pub const $list: crate::abi::Callbacks = crate::abi::Callbacks {
            prototypes: &[
                $(crate::abi::Prototype {
                    name: stringify!($name),
                    doc: &[$($doc),*],
                    args: &[
                        (stringify!($first), <$on as crate::abi::CType>::NAME),
                        $((stringify!($arg), <$ty as crate::abi::CType>::NAME)),*
                    ],
                    returns: crate::export::returned!($($ret)?),
                }),*
            ],
            layout: crate::abi::Layout {
                name: $c,
                size: core::mem::size_of::<$table>(),
                fields: &[$((stringify!($name), core::mem::offset_of!($table, $name), "")),*],
            },
        };
    };
}
pub(crate) use callbacks;

/// A table of functions that C calls.
#[derive(Debug)]
pub struct Callbacks {
    /// The functions.
    pub prototypes: &'static [Prototype],
    /// The table.
    pub layout: Layout,
}

callbacks! {
    /// What a driver in C is called back for; each is the method of that name of `migrate_pin_core::Device`.
    DeviceOps, CALLBACKS, "struct migrate_pin_device_ops", device: *mut DeviceHandle;
    /// A free page: locked, with one reference. Its pfn, 0 if there is none left.
    fn alloc_device_page() -> usize;
    /// A locked system page with one reference and the contents of a device page that stands for no pin; 0 if there is no memory. May sleep.
    fn copy_to_system(page: usize) -> usize;
    /// Keep in mind that a device page stands for an original.
    fn remember(page: usize, original: usize);
    /// Which page a device page stands for, 0 for none. Does not sleep.
    fn original(page: usize) -> usize;
    /// Forget the pair of a device page. Does not sleep.
    fn forget(page: usize);
    /// mmu_interval_read_begin(). May sleep.
    fn read_begin() -> usize;
    /// mmu_interval_read_retry(), under lock.
    fn read_retry(seq: usize) -> bool;
    /// mmu_interval_set_seq(), under lock.
    fn set_seq(seq: usize);
    /// Take the lock of the device's page table, a spin lock.
    fn lock();
    /// Drop it.
    fn unlock();
    /// Map a page for atomic access, under lock; widen the access if it is mapped. False if there is no memory for it.
    fn map(addr: usize, page: usize, write: bool) -> bool;
    /// Take away the device's mapping of a page, under lock.
    fn unmap_page(page: usize) -> RevokedWords;
    /// Take away one mapping in a range, under lock.
    fn unmap_next(start: usize, end: usize) -> RevokedWords;
}

/// A device, for one address space; a driver has it within a structure of its own.
#[repr(C)]
#[derive(Debug)]
pub struct DeviceHandle {
    /// What it is called back for.
    pub ops: *const DeviceOps,
    /// The driver's token, `pgmap->owner`.
    pub owner: usize,
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
    #[doc = "What became of an entry of an exclusive page"]
    unmapped:
    UNMAPPED_NOT = 0;
    UNMAPPED_PRESENT = 1;
    UNMAPPED_DEVICE = 2;
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
    #[doc = "Flags of words that are new"]
    word:
    PFN_PIN = MigratePfn::PIN.bits();
    PFN_UNPIN = MigratePfn::UNPIN.bits();
    #[doc = "What migrate_pin_grant() says"]
    grant:
    GRANT_DONE = 0;
    GRANT_NOT_PINNED = 1;
    GRANT_RETRY = 2;
    GRANT_NO_MEMORY = 3;
    #[doc = "What migrate_pin_fault() says"]
    fault:
    FAULT_DONE = 0;
    FAULT_GONE = 1;
    FAULT_RETRY = 2;
    FAULT_NO_MEMORY = 3;
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
    ("VM_WRITE", vm::WRITE),
    ("VM_HUGETLB", vm::HUGETLB),
    ("VM_SPECIAL", vm::SPECIAL),
    ("BIT(PG_locked)", flag::LOCKED),
    ("BIT(PG_lru)", flag::LRU),
    ("BIT(PG_head)", flag::HEAD),
    ("BIT(PG_swapcache)", flag::SWAPCACHE),
    ("BIT(PG_anon_exclusive)", flag::ANON_EXCLUSIVE),
    ("BIT(PG_private)", flag::PRIVATE),
    ("BIT(PG_private_2)", flag::PRIVATE_2),
    ("BIT(PG_reclaim)", flag::RECLAIM),
    ("BIT(PG_swapbacked)", flag::SWAPBACKED),
    ("PAGE_MAPPING_FLAGS", MAPPING_FLAGS),
    ("PAGE_MAPPING_ANON", MAPPING_IS_ANON),
    (
        "(unsigned int)(PGTY_mapcount_underflow << 24)",
        PAGE_TYPE_LIMIT as u32 as usize,
    ),
    ("MEMORY_DEVICE_PRIVATE", MEMORY_DEVICE_PRIVATE as usize),
    ("MEMORY_DEVICE_COHERENT", MEMORY_DEVICE_COHERENT as usize),
    ("PFN_SUBSECTION_SHIFT", SUBSECTION_SHIFT as usize),
    ("sizeof(unsigned long)", size_of::<usize>()),
    ("sizeof(pte_t)", size_of::<usize>()),
    ("sizeof(atomic_long_t)", size_of::<AtomicUsize>()),
    // What stands in the word of a page's head.
    (
        "offsetof(struct page, pgmap)",
        core::mem::offset_of!(PageWords, compound_head),
    ),
    ("offsetof(struct folio, page)", 0),
];

/// A structure: its name, its size, and name, offset and type of each field.
#[derive(Debug)]
pub struct Layout {
    /// Its name in C.
    pub name: &'static str,
    /// Its size; 0 if no more than its beginning is said here.
    pub size: usize,
    /// The fields, with C's type where the structure is ours.
    pub fields: &'static [(&'static str, usize, &'static str)],
}

macro_rules! layout {
    ($name:literal $ty:ident partly { $($field:ident : $c:literal),* }) => {
        Layout {
            size: 0,
            ..layout!($name $ty { $($field : $c),* })
        }
    };
    ($name:literal $ty:ident { $($field:ident : $c:literal),* }) => {
        Layout {
            name: $name,
            size: size_of::<$ty>(),
            fields: &[$((stringify!($field), core::mem::offset_of!($ty, $field), $c)),*],
        }
    };
}

/// Structures of the kernel's that are used as they are.
pub const KERNEL_LAYOUTS: &[Layout] = &[
    layout!("struct migrate_vma" MigrateVma {
        vma: "", dst: "", src: "", cpages: "", npages: "", start: "", end: "", pgmap_owner: "",
        flags: "", fault_page: ""
    }),
    layout!("struct vm_area_struct" VmArea partly {
        vm_start: "", vm_end: "", vm_flags: "", vm_ops: "", vm_file: ""
    }),
    layout!("struct page" PageWords {
        flags: "", compound_head: "", mapping: "", _mapcount: "", _refcount: ""
    }),
];

/// A device: printed after its callbacks.
pub const DEVICE_LAYOUT: Layout = layout!("struct migrate_pin_device" DeviceHandle {
    ops: "const struct migrate_pin_device_ops *", owner: "unsigned long "
});

/// Structures of this interface.
pub const LAYOUTS: &[Layout] = &[
    layout!("struct migrate_pin_cursor" Cursor {
        pte: "pte_t *", ptl: "spinlock_t *", addr: "unsigned long ", raw: "pte_t "
    }),
    layout!("struct migrate_pin_map" MapWords {
        base: "struct page *", zone_mask: "unsigned long ", zone_device: "unsigned long ",
        pgmap_type: "unsigned long ", pgmap_owner: "unsigned long "
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
    layout!("struct migrate_pin_revoked" RevokedWords {
        page: "unsigned long ", dirty: "unsigned long "
    }),
    layout!("struct migrate_pin_vma" MigratePinVma {
        vma: "struct vm_area_struct *", src: "unsigned long *", dst: "unsigned long *",
        npages: "unsigned long ", start: "unsigned long ", end: "unsigned long ",
        owner: "unsigned long ", fault_page: "unsigned long ", select: "unsigned int ",
        stage: "unsigned int ", cpages: "unsigned long ", rules: "unsigned int ",
        unused: "unsigned int ", checksum: "unsigned long "
    }),
    layout!("struct migrate_pin_acquire" AcquireArgs {
        vma: "struct vm_area_struct *", src: "unsigned long *", dst: "unsigned long *",
        npages: "unsigned long ", start: "unsigned long ", end: "unsigned long ",
        write: "unsigned long ", granted: "unsigned long ", left: "unsigned long "
    }),
];

use core::mem::size_of;
