// SPDX-License-Identifier: GPL-2.0-only
//! What `driver_glue.c` has: its types, its functions, and what it calls back.

use core::ffi::{c_char, c_void};

use crate::abi::{callbacks, CType, Callbacks, PairWords, VmArea};
use crate::glue::glue;

macro_rules! opaque {
    ($($(#[doc = $doc:literal])* $name:ident, $c:literal;)*) => {$(
        $(#[doc = $doc])*
        #[repr(C)]
        #[derive(Debug)]
        pub struct $name {
            _opaque: [u8; 0],
        }

        impl CType for *mut $name {
            const NAME: &'static str = $c;
        }
    )*};
}
opaque! {
    /// `struct mm_struct`.
    MmStruct, "struct mm_struct *";
    /// `struct xarray`, of values.
    XArray, "struct xarray *";
    /// `struct migrate_pin_memory`: a `dev_pagemap` and a lock.
    CMemory, "struct migrate_pin_memory *";
    /// `struct migrate_pin_mirror`: an interval notifier, a lock and the device's page table.
    CMirror, "struct migrate_pin_mirror *";
}

macro_rules! table_types {
    ($($ty:ty => $name:literal;)*) => {
        $(impl CType for $ty { const NAME: &'static str = $name; })*
    };
}
table_types! {
    *const MemoryOps => "const struct migrate_pin_memory_ops *";
    *const MirrorOps => "const struct migrate_pin_mirror_ops *";
    *const CharOps => "const struct migrate_pin_char_ops *";
}

callbacks! {
    /// `dev_pagemap_ops`.
    MemoryOps, MEMORY_OPS, "struct migrate_pin_memory_ops", context: *mut c_void;
    /// A page is free.
    fn page_free(pfn: usize);
    /// A CPU touched a page. VM_FAULT_*.
    fn migrate_to_ram(vma: *mut VmArea, addr: usize, pfn: usize) -> u32;
}
callbacks! {
    /// `mmu_interval_notifier_ops`.
    MirrorOps, MIRROR_OPS, "struct migrate_pin_mirror_ops", context: *mut c_void;
    /// The device is to lose a range.
    fn invalidate(start: usize, end: usize, event: u32, owner: usize, seq: usize);
}
callbacks! {
    /// `file_operations`.
    CharOps, CHAR_OPS, "struct migrate_pin_char_ops", context: *mut c_void;
    /// Makes what is opened, which begins with a pointer to this table.
    fn open(file: *mut *mut c_void) -> i32;
    /// The file is closed, which is given.
    fn release();
    /// A command to the file, which is given.
    fn ioctl(command: u32, arg: usize) -> isize;
}

/// The tables.
pub const TABLES: &[&Callbacks] = &[&MEMORY_OPS, &MIRROR_OPS, &CHAR_OPS];

glue! {
    /// What `driver_glue.c` defines.
    GLUE, "migrate_pin_driver_":

    fn alloc(bytes: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn alloc_array(n: usize, bytes: usize) -> *mut c_void;
    fn free_array(memory: *mut c_void);
    /// A page of zeroes; 0 if there is none.
    fn alloc_page(movable: bool) -> usize;
    fn page_address(pfn: usize) -> *mut c_void;
    fn page_dirty(pfn: usize) -> bool;

    fn cond_resched();
    fn signal_pending() -> bool;
    fn copy_from_user(to: *mut c_void, from: usize, bytes: usize) -> bool;
    fn copy_to_user(to: usize, from: *const c_void, bytes: usize) -> bool;

    fn current_mm() -> *mut MmStruct;
    fn mmgrab(mm: *mut MmStruct);
    fn mmdrop(mm: *mut MmStruct);
    fn mmget_not_zero(mm: *mut MmStruct) -> bool;
    fn mmput(mm: *mut MmStruct);
    fn mmap_read_lock(mm: *mut MmStruct);
    fn mmap_read_trylock(mm: *mut MmStruct) -> bool;
    fn mmap_read_unlock(mm: *mut MmStruct);
    fn vma_lookup(mm: *mut MmStruct, addr: usize) -> *mut VmArea;
    fn vma_mm(vma: *mut VmArea) -> *mut MmStruct;
    fn fixup_user_fault(mm: *mut MmStruct, addr: usize, write: bool) -> i32;

    fn memory_new(ops: *const MemoryOps, context: *mut c_void) -> *mut CMemory;
    fn memory_free(memory: *mut CMemory);
    fn memory_register(memory: *mut CMemory, pages: usize) -> i32;
    fn memory_first(memory: *mut CMemory) -> usize;
    fn memory_lock(memory: *mut CMemory);
    fn memory_unlock(memory: *mut CMemory);
    fn device_page_init(pfn: usize);

    fn mirror_new() -> *mut CMirror;
    fn mirror_free(mirror: *mut CMirror);
    fn mirror_insert(mirror: *mut CMirror, mm: *mut MmStruct, ops: *const MirrorOps, context: *mut c_void) -> i32;
    fn mirror_remove(mirror: *mut CMirror);
    fn mirror_read_begin(mirror: *mut CMirror) -> usize;
    fn mirror_read_retry(mirror: *mut CMirror, seq: usize) -> bool;
    fn mirror_set_seq(mirror: *mut CMirror, seq: usize);
    fn mirror_lock(mirror: *mut CMirror);
    fn mirror_unlock(mirror: *mut CMirror);
    fn mirror_table(mirror: *mut CMirror) -> *mut XArray;
    fn mirror_reverse(mirror: *mut CMirror) -> *mut XArray;

    fn xa_load(xa: *mut XArray, index: usize) -> usize;
    fn xa_store(xa: *mut XArray, index: usize, word: usize) -> bool;
    fn xa_erase(xa: *mut XArray, index: usize) -> usize;
    /// The first entry at index or behind it, up to last: what it holds, and where it is.
    fn xa_find(xa: *mut XArray, index: usize, last: usize) -> PairWords;

    fn char_register(name: *const c_char, ops: *const CharOps, context: *mut c_void) -> i32;
}

extern "C" {
    /// Pages that are pinned, whoever did it.
    #[link_name = "migrate_pin_pins"]
    pub(crate) fn pins() -> usize;
}
