//! Page frames (`struct page`), and the bits of `page->flags`.

use crate::config::{DeviceId, FileId};
use crate::lock::{Lock, LockName};
use crate::restore::restore;
use crate::sync::{full, Atomic32, Plain, Synchronisation};
use core::sync::atomic::Ordering;
use migrate_pin_core::Pfn;

/// Pfn of the first frame. Pfn 0 is no page.
pub const FIRST_PFN: usize = 0x100;

/// What a freed page holds.
pub const POISON: u32 = 0xdead_beef;

bitflags::bitflags! {
    /// `page->flags`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PageFlags: u32 {
        /// `PG_lru`: on a list of the LRU.
        const LRU = 1 << 0;
        /// `PG_dirty`.
        const DIRTY = 1 << 1;
        /// `PG_active`.
        const ACTIVE = 1 << 2;
        /// `PG_unevictable`.
        const UNEVICTABLE = 1 << 3;
        /// `PG_swapbacked`: swap is its backing store.
        const SWAPBACKED = 1 << 4;
        /// `PG_swapcache`.
        const SWAPCACHE = 1 << 5;
        /// `PG_uptodate`.
        const UPTODATE = 1 << 6;
        /// `PG_referenced`.
        const REFERENCED = 1 << 7;
        /// `PG_head`: the first page of a compound one.
        const HEAD = 1 << 8;
        /// `PageTail()`.
        const TAIL = 1 << 9;
        /// The mark of `claim_destination()`.
        const CLAIMED = 1 << 10;
        /// `PG_anon_exclusive` (6.12).
        const ANON_EXCLUSIVE = 1 << 11;
        /// `PG_private`: the file system holds a reference for data of its own.
        const PRIVATE = 1 << 12;
        /// `PG_mlocked`.
        const MLOCKED = 1 << 13;
    }
}

impl PageFlags {
    /// Those that engines see change. The others change under the page's lock, or while nobody else knows the page.
    pub const RACY: Self = Self::LRU.union(Self::DIRTY).union(Self::ANON_EXCLUSIVE);
}

/// Which memory a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameZone {
    /// `ZONE_NORMAL`.
    Normal,
    /// `ZONE_MOVABLE`: memory that may have to move, and so should hold nothing that is pinned.
    Movable,
    /// `ZONE_DEVICE`, `MEMORY_DEVICE_PRIVATE` of this device.
    Device(DeviceId),
}

/// What `page->mapping` points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Nothing.
    None,
    /// An `anon_vma`.
    Anon(u8),
    /// A file.
    File(FileId),
}

impl Identity {
    #[inline]
    const fn pack(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Anon(id) => 1 | (id as u32) << 2,
            Self::File(file) => 2 | (file.0 as u32) << 2,
        }
    }

    #[inline]
    const fn unpack(word: u32) -> Self {
        match word & 3 {
            1 => Self::Anon((word >> 2) as u8),
            2 => Self::File(FileId((word >> 2) as u8)),
            _ => Self::None,
        }
    }
}

/// One page frame.
pub(crate) struct Frame<S: Synchronisation> {
    pub(crate) zone: FrameZone,
    /// `_refcount`.
    pub(crate) count: S::U32,
    /// `_mapcount`, but 0 where nothing is mapped (the kernel has -1).
    pub(crate) mapcount: S::U32,
    /// `flags`, the part of it that changes under nobody's lock: [`PageFlags::RACY`].
    pub(crate) flags: S::U32,
    /// The rest of `flags`.
    pub(crate) steady: Plain,
    /// `PG_locked`.
    pub(crate) lock: Lock<S>,
    /// `mapping`; written under the page lock, or while nobody else knows the page.
    mapping: Plain,
    /// `index`.
    pub(crate) index: Plain,
    /// `private`: the swap slot of a page in the swap cache.
    pub(crate) private: Plain,
    /// `zone_device_data`: the original that a device page stands for, 0 for none.
    pub(crate) zone_device_data: Plain,
    /// Of a tail page: the pfn of its head.
    pub(crate) head: Plain,
    /// `page_memcg()`: 0 for none, else its id + 1.
    pub(crate) memcg: Plain,
    /// One word stands for the contents.
    pub(crate) contents: Plain,
    /// How often the page is on the list; under the LRU lock.
    pub(crate) listed: Plain,
}
restore!(Frame:
    parts count mapcount flags steady lock mapping index private zone_device_data head memcg contents listed;
    same zone);

impl<S: Synchronisation> Frame<S> {
    pub(crate) fn new(zone: FrameZone, count: u32) -> Self {
        Self {
            zone,
            count: S::U32::new(count),
            mapcount: S::U32::new(0),
            flags: S::U32::new(0),
            steady: Plain::new(0),
            lock: Lock::new(LockName::Page),
            mapping: Plain::new(0),
            index: Plain::new(0),
            private: Plain::new(0),
            zone_device_data: Plain::new(0),
            head: Plain::new(0),
            memcg: Plain::new(0),
            contents: Plain::new(POISON),
            listed: Plain::new(0),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::unpack(self.mapping.get())
    }

    pub(crate) fn set_identity(&self, identity: Identity) {
        self.mapping.set(identity.pack());
    }

    /// All flags. A look that an engine sees.
    pub(crate) fn all_flags(&self) -> PageFlags {
        PageFlags::from_bits_truncate(self.flags.load(Ordering::Relaxed) | self.steady.get())
    }

    /// `PageX()`: a step that engines see only for a flag that is [`PageFlags::RACY`].
    pub(crate) fn test(&self, flag: PageFlags) -> bool {
        let steady = self.steady.get() & flag.bits() != 0;
        steady
            || (flag.intersects(PageFlags::RACY)
                && self.flags.load(Ordering::Relaxed) & flag.bits() != 0)
    }

    /// `SetPageX()`, `ClearPageX()`: relaxed.
    pub(crate) fn assign(&self, flag: PageFlags, to: bool) {
        let (racy, steady) = (flag & PageFlags::RACY, flag - PageFlags::RACY);
        let known = self.steady.get();
        self.steady.set(if to {
            known | steady.bits()
        } else {
            known & !steady.bits()
        });
        if to && !racy.is_empty() {
            self.flags.fetch_or(racy.bits(), Ordering::Relaxed);
        } else if !racy.is_empty() {
            self.flags.fetch_and(!racy.bits(), Ordering::Relaxed);
        }
    }

    /// `TestSetPageX()`, `TestClearPageX()` of one flag: a full barrier if the flag is racy.
    pub(crate) fn test_assign(&self, flag: PageFlags, to: bool) -> bool {
        if !flag.intersects(PageFlags::RACY) {
            let old = self.steady.get() & flag.bits() != 0;
            self.assign(flag, to);
            return old;
        }
        let old = full::<S, _>(|| match to {
            true => self.flags.fetch_or(flag.bits(), Ordering::Relaxed),
            false => self.flags.fetch_and(!flag.bits(), Ordering::Relaxed),
        });
        old & flag.bits() != 0
    }

    /// The page is new, or free: no flag but these. Nobody looks.
    pub(crate) fn reset_flags(&self, flags: PageFlags) {
        self.steady.set((flags - PageFlags::RACY).bits());
        self.flags
            .store((flags & PageFlags::RACY).bits(), Ordering::Relaxed);
    }

    /// The device whose memory it is.
    pub(crate) fn device(&self) -> Option<DeviceId> {
        match self.zone {
            FrameZone::Device(device) => Some(device),
            FrameZone::Normal | FrameZone::Movable => None,
        }
    }
}

/// The index of a frame in the machine's array. Wraps for a pfn below the first, to where no array is so long: each page is looked
/// up hundreds of times in an execution.
#[inline]
pub(crate) const fn frame_index(page: Pfn) -> usize {
    page.0.wrapping_sub(FIRST_PFN)
}
