//! Address spaces: vmas, page tables, and the list of who mirrors them.

use crate::config::{FileId, MemcgId, MmId, VmaKind, VmaSpec, MAX_MM_PAGES, MAX_VMAS, TABLE_PAGES};
use crate::entry::Pmd;
use crate::lock::{Lock, LockName, RwLock};
use crate::restore::restore;
use crate::sync::{Atomic32, Monitor, Plain, Store, Synchronisation};

/// A `vm_area_struct`: the handle that core's pipeline is generic over. Valid while `mmap_lock` is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vma {
    /// The address space it is part of.
    pub mm: MmId,
    /// Its place in the list of areas.
    pub index: u8,
}

/// An area as the machine keeps it; all of it under `mmap_lock`, and what the rmap walk reads also under the
/// lock of the `anon_vma` or file.
#[derive(Debug)]
pub(crate) struct Area {
    /// First page; equal to `end` in an unused place.
    pub(crate) start: Plain,
    /// One past the last page.
    pub(crate) end: Plain,
    /// `vm_pgoff`.
    pub(crate) pgoff: Plain,
    /// [`VmaKind`], packed.
    kind: Plain,
    /// `VM_WRITE`, userfaultfd.
    flags: Plain,
    /// `vma->anon_vma`: 0 for none, else its id + 1.
    pub(crate) anon_vma: Plain,
    /// Which `anon_vma`s the area is linked into (`anon_vma_chain`), as bits.
    pub(crate) linked: Plain,
}

restore!(= Area: parts start end pgoff kind flags anon_vma linked; same);

const AREA_WRITE: u32 = 1;
const AREA_USERFAULTFD: u32 = 2;

const fn pack_kind(kind: VmaKind) -> u32 {
    match kind {
        VmaKind::Anonymous => 0,
        VmaKind::Shared(file, _) => 1 | (file.0 as u32) << 8,
        VmaKind::Private(file, _) => 2 | (file.0 as u32) << 8,
        VmaKind::Special => 3,
        VmaKind::Hugetlb => 4,
        VmaKind::Dax => 5,
    }
}

impl Area {
    fn unused() -> Self {
        Self {
            start: Plain::new(0),
            end: Plain::new(0),
            pgoff: Plain::new(0),
            kind: Plain::new(0),
            flags: Plain::new(0),
            anon_vma: Plain::new(0),
            linked: Plain::new(0),
        }
    }

    pub(crate) fn fill(&self, spec: &VmaSpec) {
        self.start.set(spec.start.into());
        self.end.set(u32::from(spec.start) + u32::from(spec.pages));
        self.pgoff.set(match spec.kind {
            VmaKind::Shared(_, offset) | VmaKind::Private(_, offset) => offset.into(),
            _ => spec.start.into(),
        });
        self.kind.set(pack_kind(spec.kind));
        let mut flags = 0;
        if spec.write {
            flags |= AREA_WRITE;
        }
        if spec.userfaultfd {
            flags |= AREA_USERFAULTFD;
        }
        self.flags.set(flags);
        self.anon_vma.set(0);
        self.linked.set(0);
    }

    /// All fields of another area.
    #[inline]
    pub(crate) fn copy_from(&self, other: &Self) {
        self.start.set(other.start.get());
        self.end.set(other.end.get());
        self.pgoff.set(other.pgoff.get());
        self.kind.set(other.kind.get());
        self.flags.set(other.flags.get());
        self.anon_vma.set(other.anon_vma.get());
        self.linked.set(other.linked.get());
    }

    #[inline]
    pub(crate) fn used(&self) -> bool {
        self.start.get() < self.end.get()
    }

    #[inline]
    pub(crate) fn covers(&self, page: usize) -> bool {
        (self.start.get() as usize..self.end.get() as usize).contains(&page)
    }

    #[inline]
    pub(crate) fn kind(&self) -> VmaKind {
        let word = self.kind.get();
        let file = FileId((word >> 8) as u8);
        match word & 0xff {
            1 => VmaKind::Shared(file, 0),
            2 => VmaKind::Private(file, 0),
            3 => VmaKind::Special,
            4 => VmaKind::Hugetlb,
            5 => VmaKind::Dax,
            _ => VmaKind::Anonymous,
        }
    }

    /// The file behind it.
    #[inline]
    pub(crate) fn file(&self) -> Option<FileId> {
        match self.kind() {
            VmaKind::Shared(file, _) | VmaKind::Private(file, _) => Some(file),
            _ => None,
        }
    }

    /// `VM_SHARED`.
    #[inline]
    pub(crate) fn shared(&self) -> bool {
        matches!(self.kind(), VmaKind::Shared(..))
    }

    /// `VM_WRITE`.
    #[inline]
    pub(crate) fn write(&self) -> bool {
        self.flags.get() & AREA_WRITE != 0
    }

    #[inline]
    pub(crate) fn set_write(&self, write: bool) {
        let flags = self.flags.get() & !AREA_WRITE;
        self.flags
            .set(if write { flags | AREA_WRITE } else { flags });
    }

    #[inline]
    pub(crate) fn userfaultfd(&self) -> bool {
        self.flags.get() & AREA_USERFAULTFD != 0
    }

    /// `linear_page_index()`.
    #[inline]
    pub(crate) fn index_of(&self, page: usize) -> u32 {
        self.pgoff
            .get()
            .wrapping_add((page as u32).wrapping_sub(self.start.get()))
    }

    /// `vma_address()`: the page where `index` is mapped, if the area covers it.
    #[inline]
    pub(crate) fn page_of(&self, index: u32) -> Option<usize> {
        let offset = index.checked_sub(self.pgoff.get())?;
        let page = self.start.get() + offset;
        (page < self.end.get()).then_some(page as usize)
    }

    /// Its own `anon_vma`.
    #[inline]
    pub(crate) fn own_anon_vma(&self) -> Option<u8> {
        self.anon_vma.get().checked_sub(1).map(|id| id as u8)
    }
}

/// A page-table page with the entry above it.
pub(crate) struct Table<S: Synchronisation> {
    /// The entry above.
    pub(crate) pmd: S::U32,
    /// Its PTL.
    pub(crate) ptl: Lock<S>,
}
restore!(Table: parts pmd ptl; same);

/// An interval notifier tree of one address space (`mmu_notifier_subscriptions`).
pub(crate) struct Subscriptions<S: Synchronisation> {
    /// `invalidate_seq` in the lower 24 bits, odd while an invalidation is under way, and `active_invalidate_ranges`
    /// above; what `subscriptions->lock` protects, so that each of its critical sections is one step. `read_begin()`
    /// waits on it.
    pub(crate) state: S::Monitor,
}
restore!(Subscriptions: parts state; same);

/// An `mm_struct`.
pub(crate) struct AddressSpace<S: Synchronisation> {
    pub(crate) mmap_lock: RwLock<S>,
    pub(crate) areas: [Area; MAX_VMAS],
    pub(crate) memcg: MemcgId,
    /// `MMF_UNSTABLE`: the OOM reaper has been here.
    pub(crate) unstable: Plain,
    /// `mm->tlb_flush_pending`: how many are zapping, and have not flushed yet.
    pub(crate) flush_pending: Plain,
    /// `mm->has_pinned`: something was ever pinned for DMA.
    pub(crate) has_pinned: Plain,
    /// `write_protect_seq`: odd while a fork write-protects.
    pub(crate) protect_seq: S::U32,
    /// There is a process that runs in it: after it was forked, before it exits.
    pub(crate) alive: Plain,
    pub(crate) tables: S::Array<Table<S>, MAX_MM_PAGES>,
    pub(crate) entries: S::Array<S::U32, MAX_MM_PAGES>,
    pub(crate) subscriptions: Subscriptions<S>,
    /// CPUs that may have entries of it in their TLB (`mm_cpumask`).
    pub(crate) cpumask: u32,
}

restore!(AddressSpace:
    parts mmap_lock areas unstable flush_pending has_pinned protect_seq alive tables subscriptions;
    atomics entries;
    same memcg cpumask);

impl<S: Synchronisation> AddressSpace<S> {
    pub(crate) fn new(memcg: MemcgId, vmas: &[VmaSpec], pages: usize, cpumask: u32) -> Self {
        let areas = core::array::from_fn(|index| {
            let area = Area::unused();
            if let Some(spec) = vmas.get(index) {
                area.fill(spec);
            }
            area
        });
        let tables = pages.div_ceil(TABLE_PAGES);
        Self {
            mmap_lock: RwLock::new(LockName::Mmap),
            areas,
            memcg,
            unstable: Plain::new(0),
            flush_pending: Plain::new(0),
            has_pinned: Plain::new(0),
            protect_seq: S::U32::new(0),
            alive: Plain::new(u32::from(!vmas.is_empty())),
            tables: S::Array::from_fn(tables, |_| Table {
                pmd: S::U32::new(Pmd::None.pack()),
                ptl: Lock::new(LockName::Ptl),
            }),
            entries: S::Array::from_fn(pages, |_| S::U32::new(0)),
            subscriptions: Subscriptions {
                state: S::Monitor::new(2),
            },
            cpumask,
        }
    }

    /// `find_vma()`.
    #[inline]
    pub(crate) fn find(&self, page: usize) -> Option<u8> {
        self.areas
            .iter()
            .position(|area| area.used() && area.covers(page))
            .map(|index| index as u8)
    }

    /// A free place for an area.
    pub(crate) fn spare(&self) -> Option<u8> {
        self.areas
            .iter()
            .position(|area| !area.used())
            .map(|index| index as u8)
    }
}
