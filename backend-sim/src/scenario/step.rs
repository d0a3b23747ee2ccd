//! [`Step`]: what an actor does next, as data.
//!
//! A step runs to its end before another actor's begins, unless it has to wait: then it is tried again after
//! somebody else's step. Pages are virtual page numbers of the actor's own address space.

use crate::config::{FileId, MmId};
use crate::driver::session::Purpose;
use migrate_pin_core::Access;

/// What the driver gives as one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Give {
    /// Nothing.
    Nothing,
    /// A device page, locked; remembered as the stand-in of the source's page if that is to be pinned.
    Device,
    /// A device page that is not locked.
    DeviceUnlocked,
    /// A device page of another driver, locked.
    DeviceOfOther,
    /// A new system page, locked, with a copy of the source's contents.
    System,
    /// The page that the source stands for, locked, with UNPIN.
    Original,
    /// The same, without UNPIN.
    OriginalPlain,
    /// A new system page, locked, with UNPIN though it is not pinned.
    UnpinNew,
    /// What the entry before got.
    Again,
    /// The page that is mapped at this virtual page.
    Mapped(u16),
    /// This word.
    Raw(usize),
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    // ---- a process, through its CPU's TLB ----
    /// Read a word.
    Read(u16),
    /// Write a word.
    Write(u16, u32),
    /// Add to a word, atomically.
    Add(u16, u32),

    // ---- a driver ----
    /// Pin pages for the device and map them there.
    Acquire {
        /// First page.
        at: u16,
        /// How many.
        pages: u16,
        /// What for.
        access: Access,
    },
    /// Map a page that is pinned already.
    Grant {
        /// The page.
        at: u16,
        /// What for.
        access: Access,
    },
    /// Give pages back to the CPU.
    Revoke {
        /// First page.
        at: u16,
        /// How many.
        pages: u16,
    },
    /// Move pages to the device, all stages at once.
    ToDevice {
        /// First page.
        at: u16,
        /// How many.
        pages: u16,
    },
    /// `migrate_vma_setup()`; `mmap_lock` is held for reading until the migration ends.
    Setup {
        /// First page.
        at: u16,
        /// How many.
        pages: u16,
        /// What for.
        purpose: Purpose,
    },
    /// `migrate_vma_setup()` with a range in bytes, words and array lengths as a caller may get them wrong.
    SetupRaw {
        /// First byte.
        start: usize,
        /// One past the last byte.
        end: usize,
        /// Source words.
        src: &'static [usize],
        /// How many destination words.
        dst: u16,
    },
    /// Fill the destinations as the kind of migration wants it.
    Provide,
    /// Fill the destinations like this, one a page.
    ProvideThis(&'static [Give]),
    /// `migrate_vma_pages()`.
    Pages,
    /// Map what has moved, for the device.
    Map,
    /// `migrate_vma_finalize()`.
    Finalize,
    /// Drop the migration where it is.
    Abandon,
    /// Let the nth fallible primitive call that core makes from here on fail, counted from 1: what only another
    /// actor's step in the middle of this one could bring about, or nothing that the machine has.
    Fail(u32),

    /// Fault a page in for writing without touching it: what the driver as posted does before it pins (`hmm_range_fault()`).
    FaultIn(u16),

    // ---- a device, through its own page table ----
    /// Read a word.
    DeviceRead(u16),
    /// Write a word.
    DeviceWrite(u16, u32),
    /// Add to a word, atomically.
    DeviceAdd(u16, u32),

    // ---- get_user_pages() ----
    /// Take a short reference: fast, else slow.
    Gup {
        /// The page.
        at: u16,
        /// `FOLL_WRITE`.
        write: bool,
        /// `FOLL_PIN`.
        pin: bool,
    },
    /// Write through the reference.
    GupWrite(u32),
    /// Give the reference back.
    GupPut,

    // ---- an address space ----
    /// `fork()` into an address space without areas.
    Fork(MmId),
    /// `munmap()`.
    Munmap {
        /// First page.
        at: u16,
        /// How many.
        pages: u16,
    },
    /// `mprotect()`.
    Mprotect {
        /// First page.
        at: u16,
        /// How many.
        pages: u16,
        /// With `PROT_WRITE`.
        write: bool,
    },
    /// `MADV_DONTNEED`.
    DontNeed {
        /// First page.
        at: u16,
        /// How many.
        pages: u16,
    },
    /// `exit_mmap()`.
    Exit,
    /// The OOM reaper: zap what is anonymous, and say that the address space is unstable.
    OomReap,
    /// A fault for writing brings a huge page of zeroes, where no page table is.
    HugeFault(u16),

    // ---- the rest of the kernel ----
    /// Reclaim the page that is mapped here, or the original of the device page that is.
    Reclaim(u16),
    /// Compaction moves the page that is mapped here, or the original of the device page that is.
    Compact(u16),
    /// Write a page of a file to the disk; its mappings stay as they are.
    Writeback(FileId, u16),
    /// `lru_add_drain_all()`.
    Drain,
    /// Lock the page that is mapped here, and keep it locked.
    LockPage(u16),
    /// Lock the original of the device page that is mapped here, and keep it locked.
    LockOriginal(u16),
    /// Unlock it.
    UnlockPage,
    /// Take the page that is mapped here off the LRU, and keep it.
    Isolate(u16),
    /// Put it back.
    Putback,
    /// Take a plain reference on the page that is mapped here, and keep it.
    GetPage(u16),
    /// Put it.
    PutPage,
}
