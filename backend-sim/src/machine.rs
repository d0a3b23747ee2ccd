//! [`Machine`]: all of it together, built from a [`Config`].

use crate::bug::Bug;
use crate::config::*;
use crate::cpu::{Cpu, WaitFor};
use crate::device::{DeviceState, Mirror};
use crate::entry::{Entry, Pmd};
use crate::event::{Event, EventSet};
use crate::frame::{frame_index, Frame, FrameZone, PageFlags, FIRST_PFN};
use crate::ledger::{Books, Ledger, MAX_VIOLATIONS};
use crate::lock::{Lock, LockName, RwLock};
use crate::mm::{AddressSpace, Vma};
use crate::restore::{restore, Restore};
use crate::sync::{Atomic32, Plain, Store, Synchronisation};
use crate::tlb::Tlb;
use crate::violation::{Invariant, Violation};
use core::sync::atomic::{AtomicU32, Ordering};
use migrate_pin_core::fault::Plan;
use migrate_pin_core::ops::PinRecord;
use migrate_pin_core::policy::{PolicyKind, ShapeKind};
use migrate_pin_core::Pfn;

/// Most `anon_vma`s.
pub(crate) const MAX_ANON_VMAS: usize = 24;
/// Root of an `anon_vma` that is free.
pub(crate) const NO_ROOT: u32 = 0xff;

/// What is said of who will never get on. (A [sign](crate::race::defect) of defects: by the same words.)
const WAITS: &str = "an actor waits for ever";

/// Why a machine could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A list is longer than the machine has room for (the `MAX_` constants of [`config`](crate::config), or the
    /// [`Store`] of the synchronisation).
    TooMany(&'static str),
    /// An id names nothing.
    Unknown(&'static str),
}

/// One CPU.
pub(crate) struct PerCpu<S: Synchronisation> {
    pub(crate) tlb: Tlb<S>,
    /// The local lock of the batch.
    pub(crate) lock: Lock<S>,
    /// The batch of pages on their way to the LRU.
    pub(crate) batch: spin::Mutex<S::Array<Pfn, 16>>,
}
restore!(PerCpu: parts tlb lock; lists batch; same);

/// The root of a tree of `anon_vma`s has the lock.
pub(crate) struct AnonVma<S: Synchronisation> {
    pub(crate) lock: RwLock<S>,
    /// Id of the root; [`NO_ROOT`] while it is free.
    pub(crate) root: Plain,
    /// References beside those of the areas (`get_anon_vma()`).
    pub(crate) held: Plain,
}
restore!(AnonVma: parts lock root held; same);

/// A file: its page cache and its disk.
pub(crate) struct File<S: Synchronisation> {
    pub(crate) i_pages: Lock<S>,
    pub(crate) i_mmap: RwLock<S>,
    /// Pfn or 0; under `i_pages`.
    pub(crate) slots: [Plain; MAX_FILE_PAGES],
    pub(crate) disk: [Plain; MAX_FILE_PAGES],
    pub(crate) pages: u16,
}
restore!(File: parts i_pages i_mmap slots disk; same pages);

/// The swap area and the swap cache.
pub(crate) struct Swap<S: Synchronisation> {
    pub(crate) lock: Lock<S>,
    pub(crate) cache_lock: Lock<S>,
    /// Use counts by entries (`swap_map`); under `lock`.
    pub(crate) users: S::Array<Plain, MAX_SWAP_SLOTS>,
    /// In the swap cache (`SWAP_HAS_CACHE`): pfn or 0; under `cache_lock`.
    pub(crate) cache: S::Array<Plain, MAX_SWAP_SLOTS>,
    /// What is on the disk.
    pub(crate) disk: S::Array<Plain, MAX_SWAP_SLOTS>,
    pub(crate) slots: u16,
}
restore!(Swap: parts lock cache_lock users cache disk; same slots);

/// A simulated machine. Everything in it is changed through shared references; [`Machine::cpu`] gives the handle
/// that does it.
pub struct Machine<S: Synchronisation> {
    pub(crate) shape: ShapeKind,
    pub(crate) policy: PolicyKind,
    pub(crate) lru_batch: usize,
    pub(crate) mm_pages: usize,
    pub(crate) memcg_limit: u32,
    pub(crate) pin_capacity: usize,
    pub(crate) frames: S::Array<Frame<S>, MAX_FRAMES>,
    pub(crate) system_pages: usize,
    pub(crate) zone_lock: Lock<S>,
    pub(crate) free: spin::Mutex<S::Array<Pfn, MAX_FRAMES>>,
    pub(crate) lru_lock: Lock<S>,
    pub(crate) cpus: S::Array<PerCpu<S>, MAX_ACTORS>,
    pub(crate) actors: S::Array<Actor, MAX_ACTORS>,
    pub(crate) mms: S::Array<AddressSpace<S>, MAX_MMS>,
    pub(crate) anon_vmas: S::Array<AnonVma<S>, MAX_ANON_VMAS>,
    pub(crate) next_anon_vma: Plain,
    pub(crate) files: S::Array<File<S>, MAX_FILES>,
    pub(crate) swap: Swap<S>,
    pub(crate) devices: S::Array<DeviceState<S>, MAX_DEVICES>,
    pub(crate) mirrors: S::Array<Mirror, MAX_MIRRORS>,
    pub(crate) memcgs: [Plain; MAX_MEMCGS],
    pub(crate) pin_lock: Lock<S>,
    pub(crate) pins: spin::Mutex<S::Array<(Pfn, PinRecord), 64>>,
    pub(crate) ledger: Books<S>,
    failures: S::Array<FailSpec, 16>,
    asked: [Plain; AllocKind::ALL.len()],
    bugs: Bits,
    events: Bits,
    step: Plain,
    plan: Plan,
}
restore!(Machine:
    parts frames zone_lock lru_lock cpus actors mms anon_vmas next_anon_vma files swap devices mirrors memcgs pin_lock
        ledger asked bugs events step plan;
    lists free pins;
    same shape policy lru_batch mm_pages memcg_limit pin_capacity system_pages failures);

/// A set of up to 64 things that only grows, for targets without 64-bit atomics too.
struct Bits([AtomicU32; 2]);

impl Bits {
    const fn new(bits: u64) -> Self {
        Self([
            AtomicU32::new(bits as u32),
            AtomicU32::new((bits >> 32) as u32),
        ])
    }

    #[inline]
    fn set(&self, bit: u8) {
        let (word, bit) = (&self.0[usize::from(bit / 32)], 1 << (bit % 32));
        // Most are set already, and looking is cheaper than setting.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    #[inline]
    fn get(&self) -> u64 {
        let [low, high] = &self.0;
        u64::from(low.load(Ordering::Relaxed)) | u64::from(high.load(Ordering::Relaxed)) << 32
    }
}

impl Restore for Bits {
    fn restore(&mut self, from: &mut Self) {
        *self = Self::new(from.get());
    }
    fn difference(&mut self, other: &mut Self) -> u32 {
        u32::from(self.get() != other.get())
    }
}

/// What is known of an actor.
pub(crate) struct Actor {
    pub(crate) cpu: u8,
    pub(crate) mm: Option<MmId>,
    /// An address space whose `mmap_lock` it kept for reading while it waits for a page (`migration_entry_wait()`): id
    /// + 1.
    pub(crate) parked: Plain,
    /// Faults since it last got through.
    pub(crate) faults: Plain,
}

restore!(= Actor: parts parked faults; same cpu mm);

impl<S: Synchronisation> Machine<S> {
    /// Build a machine. All memory is free, all tables are empty; `populate` fills them.
    ///
    /// # Errors
    /// [`ConfigError`], if the configuration asks for more than there is room for.
    pub fn new(config: &Config<'_>) -> Result<Self, ConfigError> {
        check_config(config)?;
        let device_pages: usize = config.devices.iter().map(|d| usize::from(d.pages)).sum();
        let system_pages = usize::from(config.system_pages);
        let total = system_pages + device_pages;
        let base = match config.shape {
            ShapeKind::V5_11 => 1,
            ShapeKind::V6_12 => 0,
        };
        let frames = S::Array::<Frame<S>, MAX_FRAMES>::from_fn(total, |index| {
            let Some(mut rest) = index.checked_sub(system_pages) else {
                let movable = index < usize::from(config.movable_pages);
                let zone = if movable {
                    FrameZone::Movable
                } else {
                    FrameZone::Normal
                };
                return Frame::new(zone, 0);
            };
            for (device, spec) in config.devices.iter().enumerate() {
                match rest.checked_sub(spec.pages.into()) {
                    Some(less) => rest = less,
                    None => return Frame::new(FrameZone::Device(DeviceId(device as u8)), base),
                }
            }
            Frame::new(FrameZone::Normal, 0)
        });
        if frames.len() != total {
            return Err(ConfigError::TooMany("pages"));
        }
        // A stack, as the per-CPU lists of free pages are: what was freed last is handed out first. The
        // lowest frame is on top.
        let free = S::Array::from_fn(system_pages, |index| {
            Pfn(FIRST_PFN + system_pages - 1 - index)
        });
        let mut next = FIRST_PFN + system_pages;
        let devices = S::Array::from_fn(config.devices.len(), |index| {
            let spec = &config.devices[index];
            let first = next;
            next += usize::from(spec.pages);
            DeviceState::new(spec, DeviceId(index as u8), first)
        });
        let slots = || S::Array::from_fn(config.swap_slots.into(), |_| Plain::new(0));
        let cpus = config.actors.iter().map(|a| a.cpu + 1).max().unwrap_or(1);
        let machine = Self {
            shape: config.shape,
            policy: config.policy,
            lru_batch: usize::from(config.lru_batch).clamp(1, 15),
            mm_pages: config.mm_pages.into(),
            memcg_limit: config.memcg_limit.into(),
            pin_capacity: usize::from(config.pin_records).min(64),
            system_pages,
            zone_lock: Lock::new(LockName::Zone),
            free: spin::Mutex::new(free),
            lru_lock: Lock::new(LockName::Lru),
            cpus: S::Array::from_fn(cpus.into(), |_| PerCpu {
                tlb: Tlb::new(),
                lock: Lock::new(LockName::LruBatch),
                batch: spin::Mutex::default(),
            }),
            actors: each::<S, _, _, MAX_ACTORS>(config.actors, |_, spec| Actor {
                cpu: spec.cpu,
                mm: spec.mm,
                parked: Plain::new(0),
                faults: Plain::new(0),
            }),
            mms: each::<S, _, _, MAX_MMS>(config.mms, |index, spec| {
                let mask = config
                    .actors
                    .iter()
                    .filter(|actor| actor.mm == Some(MmId(index as u8)))
                    .fold(0, |mask, actor| mask | 1 << actor.cpu);
                AddressSpace::new(spec.memcg, spec.vmas, config.mm_pages.into(), mask)
            }),
            anon_vmas: S::Array::from_fn(MAX_ANON_VMAS, |_| AnonVma {
                lock: RwLock::new(LockName::AnonVma),
                root: Plain::new(NO_ROOT),
                held: Plain::new(0),
            }),
            next_anon_vma: Plain::new(0),
            files: each::<S, _, _, MAX_FILES>(config.files, |_, spec| File {
                i_pages: Lock::new(LockName::IPages),
                i_mmap: RwLock::new(LockName::IMmap),
                slots: core::array::from_fn(|_| Plain::new(0)),
                disk: core::array::from_fn(|index| {
                    Plain::new(spec.contents.get(index).copied().unwrap_or(0))
                }),
                pages: spec.contents.len() as u16,
            }),
            swap: Swap {
                lock: Lock::new(LockName::Swap),
                cache_lock: Lock::new(LockName::SwapCache),
                users: slots(),
                cache: slots(),
                disk: slots(),
                slots: config.swap_slots,
            },
            devices,
            mirrors: each::<S, _, _, MAX_MIRRORS>(config.mirrors, |_, spec| Mirror::new(spec)),
            memcgs: core::array::from_fn(|_| Plain::new(0)),
            pin_lock: Lock::new(LockName::PinTable),
            pins: spin::Mutex::default(),
            ledger: Books::new(Ledger::new(config, system_pages, device_pages)),
            failures: each::<S, _, _, 16>(config.failures, |_, spec| *spec),
            asked: core::array::from_fn(|_| Plain::new(0)),
            bugs: Bits::new(config.bugs.iter().fold(0, |set, bug| set | 1 << *bug as u8)),
            events: Bits::new(0),
            step: Plain::new(0),
            plan: Plan::none(),
            frames,
        };
        Ok(machine)
    }

    /// Become what `pattern` is: a machine of the same configuration, on which nobody is doing anything. It stays as it is.
    /// Nothing is allocated, and every word stays where it is.
    pub fn restore(&mut self, pattern: &mut Self) {
        Restore::restore(self, pattern);
    }

    /// Does it stand where `other` does, a machine of the same configuration: is every word the same, of the ledger too? Then
    /// whatever is done with both comes to the same.
    #[cfg(feature = "engines")]
    pub(crate) fn stands_as(&mut self, other: &mut Self) -> bool {
        self.difference(other) == 0
    }

    /// A sum of what differs where anything does: what happened, which pages are free, and the books of all pages. Machines at
    /// which it is not the same do not [stand as](Self::stands_as) each other.
    #[cfg(feature = "engines")]
    pub(crate) fn sum_up(&mut self) -> u64 {
        let by_place = |sum: u64, (place, word): (usize, u64)| {
            sum.wrapping_add(word.rotate_left(place as u32 % 64))
        };
        let free = self.free.get_mut().iter().map(|page| page.0 as u64);
        let sum = free.enumerate().fold(self.events.get(), by_place);
        let books = zerocopy::IntoBytes::as_bytes(&*self.ledger.get_mut().pages);
        // In eight sums, so that a compiler makes them side by side.
        let mut sums = [0_u64; 8];
        let mut add = |words: &[u8]| {
            for (sum, word) in sums.iter_mut().zip(words.chunks_exact(8)) {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(word);
                *sum = sum.wrapping_add(u64::from_ne_bytes(bytes));
            }
        };
        let rows = books.chunks_exact(64);
        let rest = rows.remainder();
        rows.for_each(&mut add);
        add(rest);
        sums.into_iter().enumerate().fold(sum, by_place)
    }

    /// Which of core's fallible primitive calls fail, made by drivers that do as core's `pin` says. Counts them too.
    pub const fn fault_plan(&self) -> &Plan {
        &self.plan
    }

    /// The handle by which `actor` acts.
    pub fn cpu(&self, actor: ActorId) -> Cpu<'_, S> {
        let known = self.actors.get(usize::from(actor.0));
        Cpu {
            m: self,
            actor,
            cpu: known.map_or(0, |actor| actor.cpu),
        }
    }

    /// Break the machine.
    pub fn seed(&self, bug: Bug) {
        self.bugs.set(bug as u8);
    }

    pub(crate) fn bug(&self, bug: Bug) -> bool {
        self.bugs.get() >> bug as u8 & 1 != 0
    }

    /// What happened so far.
    pub fn events(&self) -> EventSet {
        EventSet::from_bits(self.events.get())
    }

    pub(crate) fn event(&self, event: Event) {
        self.events.set(event as u8);
    }

    /// The next step of a run begins: violations name it. Returns its number.
    pub fn begin_step(&self) -> u32 {
        self.step.add(1)
    }

    pub(crate) fn step(&self) -> u32 {
        self.step.get().saturating_sub(1)
    }

    /// Does this allocation fail?
    pub(crate) fn fails(&self, kind: AllocKind) -> bool {
        let nth = self.asked[kind as usize].add(1);
        let fails = self
            .failures
            .iter()
            .any(|fail| fail.kind == kind && (fail.nth == nth || fail.nth == u32::MAX));
        if fails {
            self.event(Event::AllocationFailed);
        }
        fails
    }

    /// How many allocations of a kind were asked for so far.
    pub fn allocations(&self, kind: AllocKind) -> u32 {
        self.asked[kind as usize].get()
    }

    /// The violations found so far, oldest first. Only the first ones are kept.
    pub fn violations(&self) -> heapless::Vec<Violation, MAX_VIOLATIONS> {
        self.ledger.lock().violations.iter().copied().collect()
    }

    /// The same in a list that is as long as they are: mostly there are none.
    #[cfg(feature = "engines")]
    pub(crate) fn kept_violations(&self) -> Vec<Violation> {
        self.ledger.lock().violations.to_vec()
    }

    /// The invariants that were found broken, those whose violations are not kept included.
    pub fn broken(&self) -> impl Iterator<Item = Invariant> {
        let broken = self.ledger.lock().broken;
        Invariant::ALL
            .iter()
            .copied()
            .filter(move |invariant| broken & 1 << *invariant as u8 != 0)
    }

    /// How many violations were found, the ones not kept included.
    pub fn violation_count(&self) -> u32 {
        self.ledger.lock().found
    }

    /// LIVE: whoever runs the actors found that `actor` will never get on. [`report_wait`](Self::report_wait) if it is known what it
    /// waits for.
    pub fn report_deadlock(&self, actor: ActorId) {
        self.cpu(actor).violate(Invariant::Live, None, WAITS);
    }

    /// LIVE: whoever runs the actors found that what `actor` waits for will never come. Says who holds the lock, if it is one.
    pub fn report_wait(&self, actor: ActorId, wait: WaitFor) {
        let cpu = self.cpu(actor);
        let lock = match wait {
            WaitFor::PageLock(page) => {
                let head = cpu.head(page);
                self.frame(head)
                    .map(|frame| (Some(head), frame.lock.account()))
            }
            WaitFor::MmapRead(mm) | WaitFor::MmapWrite(mm) => {
                cpu.space(mm).map(|space| (None, space.mmap_lock.account()))
            }
            WaitFor::Others => None,
        };
        match lock {
            Some((page, account)) => cpu.disagree(Invariant::Live, page, WAITS, account),
            None => self.report_deadlock(actor),
        }
    }

    /// The shape of the kernel.
    pub fn shape(&self) -> ShapeKind {
        self.shape
    }

    /// The policy of the drivers.
    pub fn policy(&self) -> PolicyKind {
        self.policy
    }

    // ---- looking, without being seen by an engine's checks --------------------------------------------

    pub(crate) fn frame(&self, page: Pfn) -> Option<&Frame<S>> {
        self.frames.get(frame_index(page))
    }

    /// Everything that can be told of a page frame; none if there is no such frame. A look for reports and
    /// expectations, when nobody else runs.
    pub fn page(&self, page: Pfn) -> Option<PageState> {
        let frame = self.frame(page)?;
        let book = self.ledger.lock().page(page).copied().unwrap_or_default();
        let pins = self.pins.lock();
        Some(PageState {
            zone: frame.zone,
            count: frame.count.load(Ordering::Relaxed),
            mapcount: frame.mapcount.load(Ordering::Relaxed),
            flags: frame.all_flags(),
            locked: frame.lock.owner().is_some(),
            locker: frame.lock.owner().map(ActorId),
            contents: frame.contents.get(),
            memcg: frame.memcg.get().checked_sub(1).map(|id| MemcgId(id as u8)),
            in_use: book.alive,
            lru: book.lru_state(),
            pins: book.pins.into(),
            dma_pins: book.gup_pins.into(),
            gup_references: book.gup.into(),
            record: pins
                .iter()
                .find(|(pinned, _)| *pinned == page)
                .map(|(_, r)| *r),
            stands_for: book.original.get(),
            lives: book.lives,
        })
    }

    /// The entry of a page of an address space, huge ones too: what the page tables say.
    pub fn entry(&self, mm: MmId, page: usize) -> Entry {
        let Some(space) = self.mms.get(usize::from(mm.0)) else {
            return Entry::None;
        };
        match space
            .tables
            .get(page / TABLE_PAGES)
            .map(|t| Pmd::unpack(t.pmd.load(Ordering::Relaxed)))
        {
            Some(Pmd::Table) => space.entries.get(page).map_or(Entry::None, |entry| {
                Entry::unpack(entry.load(Ordering::Relaxed))
            }),
            Some(Pmd::Huge(head, bits)) => Entry::Page(Pfn(head.0 + page % TABLE_PAGES), bits),
            Some(Pmd::HugeZero) => Entry::Zero(migrate_pin_core::PteBits::empty()),
            _ => Entry::None,
        }
    }

    /// The page that is mapped at a page of an address space, in any form.
    pub fn page_at(&self, mm: MmId, page: usize) -> Option<Pfn> {
        self.entry(mm, page).named()
    }

    /// The area that covers a page of an address space, and what it maps: without `mmap_lock`, so for when nobody runs.
    pub fn area_at(&self, mm: MmId, page: usize) -> Option<(Vma, VmaKind)> {
        let space = self.mms.get(usize::from(mm.0))?;
        let index = space.find(page)?;
        let kind = space.areas.get(usize::from(index))?.kind();
        Some((Vma { mm, index }, kind))
    }

    /// Which page a device has mapped at a page of an address space.
    pub fn device_page_at(&self, device: DeviceId, mm: MmId, page: usize) -> Option<Pfn> {
        let device = self.devices.get(usize::from(device.0))?;
        let table = device.table.lock();
        let found = table.iter().find(|m| m.mm == mm && m.vpn as usize == page);
        found.map(|mapping| mapping.page)
    }

    /// How many system pages are free.
    pub fn free_pages(&self) -> usize {
        self.free.lock().len()
    }

    /// How many pages of a device are free.
    pub fn free_device_pages(&self, device: DeviceId) -> usize {
        self.devices
            .get(usize::from(device.0))
            .map_or(0, |device| device.pool.lock().len())
    }

    /// How many pages a memory cgroup has charged.
    pub fn charged(&self, memcg: MemcgId) -> u32 {
        self.memcgs.get(usize::from(memcg.0)).map_or(0, Plain::get)
    }

    /// The word that is on the disk behind a page of a file.
    pub fn file_on_disk(&self, file: FileId, page: usize) -> Option<u32> {
        Some(self.files.get(usize::from(file.0))?.disk.get(page)?.get())
    }

    /// Every pfn there is.
    pub fn pfns(&self) -> impl Iterator<Item = Pfn> {
        (0..self.frames.len()).map(|index| Pfn(FIRST_PFN + index))
    }
}

/// Where a page is with respect to the LRU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LruState {
    /// Nowhere.
    #[default]
    None,
    /// In a CPU's batch, on the way to the list.
    Batch,
    /// On the list.
    Listed,
    /// Isolated by somebody.
    Isolated,
    /// In two places at once.
    Confused,
}

/// What can be told of a page frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageState {
    /// Which memory.
    pub zone: FrameZone,
    /// `page_count()`.
    pub count: u32,
    /// `page_mapcount()`.
    pub mapcount: u32,
    /// `page->flags`.
    pub flags: PageFlags,
    /// `PageLocked()`.
    pub locked: bool,
    /// Whose its lock is, which no kernel could tell.
    pub locker: Option<ActorId>,
    /// What it holds.
    pub contents: u32,
    /// Whom it is charged to.
    pub memcg: Option<MemcgId>,
    /// Not free.
    pub in_use: bool,
    /// On the LRU or not.
    pub lru: LruState,
    /// Live pins of the pipeline, by the ledger.
    pub pins: u32,
    /// Live pins of GUP, by the ledger.
    pub dma_pins: u32,
    /// Live references of GUP that are no pins, by the ledger.
    pub gup_references: u32,
    /// The pin record.
    pub record: Option<PinRecord>,
    /// How often it was handed out by its allocator: another number, another page.
    pub lives: u32,
    /// Of a device page: the original it stands for.
    pub stands_for: Option<Pfn>,
}

/// One item for each of a list.
fn each<S: Synchronisation, T, U: Send + Sync, const N: usize>(
    list: &[T],
    mut make: impl FnMut(usize, &T) -> U,
) -> S::Array<U, N> {
    S::Array::from_fn(list.len(), |index| make(index, &list[index]))
}

fn check_config(config: &Config<'_>) -> Result<(), ConfigError> {
    let limit = |len: usize, most: usize, what| match len <= most {
        true => Ok(()),
        false => Err(ConfigError::TooMany(what)),
    };
    limit(config.actors.len(), MAX_ACTORS, "actors")?;
    limit(config.mms.len(), MAX_MMS, "address spaces")?;
    limit(config.files.len(), MAX_FILES, "files")?;
    limit(config.devices.len(), MAX_DEVICES, "devices")?;
    limit(config.mirrors.len(), MAX_MIRRORS, "mirrors")?;
    limit(config.failures.len(), 16, "failures")?;
    limit(config.swap_slots.into(), MAX_SWAP_SLOTS, "swap slots")?;
    limit(config.system_pages.into(), 256, "pages")?;
    limit(
        config.movable_pages.into(),
        config.system_pages.into(),
        "movable pages",
    )?;
    for mm in config.mms {
        limit(mm.vmas.len(), MAX_VMAS, "vmas")?;
        if usize::from(mm.memcg.0) >= MAX_MEMCGS {
            return Err(ConfigError::Unknown("memory cgroup"));
        }
        for vma in mm.vmas {
            limit(
                usize::from(vma.start) + usize::from(vma.pages),
                config.mm_pages.into(),
                "pages of a vma",
            )?;
            if let VmaKind::Shared(file, _) | VmaKind::Private(file, _) = vma.kind {
                if usize::from(file.0) >= config.files.len() {
                    return Err(ConfigError::Unknown("file"));
                }
            }
        }
    }
    for file in config.files {
        limit(file.contents.len(), MAX_FILE_PAGES, "pages of a file")?;
    }
    for device in config.devices {
        limit(
            device.mappings.into(),
            MAX_DEVICE_MAPPINGS,
            "device mappings",
        )?;
    }
    for actor in config.actors {
        limit(usize::from(actor.cpu) + 1, MAX_ACTORS, "CPUs")?;
        if actor
            .mm
            .is_some_and(|mm| usize::from(mm.0) >= config.mms.len())
        {
            return Err(ConfigError::Unknown("address space of an actor"));
        }
    }
    for mirror in config.mirrors {
        if usize::from(mirror.device.0) >= config.devices.len() {
            return Err(ConfigError::Unknown("device of a mirror"));
        }
        if usize::from(mirror.mm.0) >= config.mms.len() {
            return Err(ConfigError::Unknown("address space of a mirror"));
        }
    }
    Ok(())
}
