//! A migration step by step, as a driver in C would do it: setup, fill, pages, map, finalize, each an operation of its
//! own between which others may run. `mmap_lock` is held for reading from setup to the end.

use crate::bug::Bug;
use crate::config::{DeviceId, DriverKind, MmId, MAX_RANGE};
use crate::cpu::{addr_of, ready, vpn_of, Progress};
use crate::device::Dev;
use crate::driver::{posted, with_rules};
use crate::entry::Entry;
use crate::event::Event;
use crate::invariants::WordStage;
use crate::mm::Vma;
use crate::sync::{Atomic32, Synchronisation};
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::{MmOps, Range};
use migrate_pin_core::{
    pin, setup, Access, Device, DstPfn, Error, MigratePfn, Migration, Moved, Pfn, RawMigration,
    Request, Select, SrcPfn, Unmapped, MIGRATE_PFN_SHIFT, PAGE_SHIFT,
};

/// What a migration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Unmap and pin: exclusive access for the device.
    Pin(Access),
    /// Move to device memory.
    ToDevice,
    /// Move from device memory: to the originals of pins, or to copies.
    ToSystem,
}

/// A migration between two of its steps.
#[derive(Clone, Debug)]
#[must_use = "a migration that is not finalized leaves its pages locked"]
pub struct Session {
    device: DeviceId,
    mm: MmId,
    purpose: Purpose,
    raw: Option<RawMigration<Vma>>,
    range: Range,
    /// The source words, as the driver sees them.
    pub src: heapless::Vec<SrcPfn, MAX_RANGE>,
    /// The destination words; the driver may change them before [`Dev::pages`].
    pub dst: heapless::Vec<DstPfn, MAX_RANGE>,
    /// Entries with MIGRATE after setup.
    pub cpages: usize,
    seq: u64,
    moved: bool,
    /// The area has `VM_WRITE`.
    writable: bool,
}

impl Session {
    /// The addresses.
    #[must_use]
    pub fn range(&self) -> Range {
        self.range
    }

    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }
}

impl<'m, S: Synchronisation> Dev<'m, S> {
    /// `migrate_vma_setup()` of a range, with PIN in every word if it is to be pinned. Takes `mmap_lock`, and keeps it
    /// unless it fails.
    pub fn setup(&self, range: Range, purpose: Purpose) -> Progress<Result<Session, Error>> {
        let word = match purpose {
            Purpose::Pin(_) => SrcPfn::PIN,
            _ => SrcPfn::NONE,
        };
        let pages = (range.end.saturating_sub(range.start) >> PAGE_SHIFT).min(MAX_RANGE);
        self.setup_words(range, purpose, &[word; MAX_RANGE][..pages])
    }

    /// The same with source words of the caller's.
    pub fn setup_words(
        &self,
        range: Range,
        purpose: Purpose,
        words: &[SrcPfn],
    ) -> Progress<Result<Session, Error>> {
        self.cpu.unpark();
        self.cpu.at("migrate_vma_setup");
        ready!(self.cpu.mmap_read(self.mm));
        let result = self.begin(range, purpose, words);
        if result.is_err() {
            self.cpu.mmap_read_unlock(self.mm);
        }
        Progress::Done(result)
    }

    fn begin(&self, range: Range, purpose: Purpose, words: &[SrcPfn]) -> Result<Session, Error> {
        let vma = self
            .cpu
            .find_vma(self.mm, vpn_of(range.start))
            .ok_or(Error::NoVma)?;
        let mut session = Session {
            device: self.device,
            mm: self.mm,
            purpose,
            raw: None,
            range,
            src: words.iter().copied().collect(),
            dst: words.iter().map(|_| DstPfn::NONE).collect(),
            cpages: 0,
            seq: 0,
            moved: false,
            writable: self.cpu.area(vma).is_some_and(|area| area.write()),
        };
        let select = match purpose {
            Purpose::ToSystem => Select::DEVICE_PRIVATE,
            _ => Select::SYSTEM,
        };
        let owner = self.device.owner();
        // Before setup, whose section of its own the callback lets pass: what is zapped from when the first entry is
        // replaced has to be noticed.
        let mut dev = *self;
        session.seq = dev.read_begin();
        let Session { src, dst, .. } = &mut session;
        let (raw, cpages, range) = with_rules!(self.cpu.m, |P, Sh| {
            let migration = setup::<P, Sh, _>(
                self.cpu.ops(),
                Request {
                    vma,
                    range,
                    src,
                    dst,
                    owner,
                    select,
                    fault_page: None,
                },
            )?;
            let (cpages, range) = (migration.cpages(), migration.range());
            (migration.into_raw(), cpages, range)
        });
        session.raw = Some(raw);
        session.range = range;
        session.cpages = cpages;
        self.check_setup(&session);
        if words
            .iter()
            .zip(&session.src)
            .any(|(asked, got)| asked.pin() && !(got.pin() && got.migrating()))
        {
            self.cpu.event(Event::PinRefused);
        }
        Ok(session)
    }

    /// COUNT and WORD, and what breaks them when told to.
    fn check_setup(&self, session: &Session) {
        self.cpu.at("migrate_vma_setup");
        let machine = self.cpu.m;
        let mut src = session.src.clone();
        let mut cpages = session.cpages;
        if machine.bug(Bug::CountOneMore) {
            cpages += 1;
        }
        if machine.bug(Bug::CountOneLess) {
            if let Some(word) = src.iter_mut().find(|word| word.migrating()) {
                *word = SrcPfn::NONE;
            }
        }
        if machine.bug(Bug::ReservedBit) {
            for word in &mut src {
                *word = SrcPfn::from_raw(word.raw() | migrate_pin_core::pfn::RESERVED_BITS);
            }
        }
        if machine.bug(Bug::PfnWithoutValid) {
            for word in &mut src {
                *word = word.without(MigratePfn::VALID);
            }
        }
        if let Some(device) = self.state() {
            let shared = &device.shared;
            if machine.bug(Bug::CountShared) {
                shared.cpages.store(cpages as u32, Ordering::Relaxed);
                cpages = shared.cpages.load(Ordering::Relaxed) as usize;
            }
            if let (Some(word), true) = (src.first_mut(), machine.bug(Bug::WordShared)) {
                let (raw, pfn) = (word.raw() as u32, MIGRATE_PFN_SHIFT);
                shared
                    .flags
                    .store(raw & ((1 << pfn) - 1), Ordering::Relaxed);
                shared.pfn.store(raw >> pfn, Ordering::Relaxed);
                let flags = shared.flags.load(Ordering::Relaxed);
                let raw = flags | shared.pfn.load(Ordering::Relaxed) << pfn;
                *word = SrcPfn::from_raw(raw as usize);
            }
        }
        self.cpu.check_count(&src, cpages);
        self.cpu.check_words(WordStage::Setup, &src);
    }

    /// Fill the destination words as the purpose asks: device pages with their pairs, device pages with copies, or the
    /// way home.
    pub fn fill(&self, session: &mut Session) {
        self.cpu.at("fill destinations");
        let mut dev = *self;
        for index in 0..session.src.len() {
            let src = session.src[index];
            if !src.migrating() {
                continue;
            }
            session.dst[index] = match session.purpose {
                Purpose::Pin(access) => self.stand_in(&mut dev, src, access),
                Purpose::ToDevice => self.device_copy(&mut dev, src),
                Purpose::ToSystem => self.way_home(&mut dev, src),
            };
        }
    }

    fn stand_in(&self, dev: &mut Self, src: SrcPfn, access: Access) -> DstPfn {
        if self.cpu.driver_of(self.device) == DriverKind::Posted {
            return posted::provide(dev, src);
        }
        match src.pfn() {
            Some(original) if pin::wanted(src, access) => match dev.ops().alloc_device_page() {
                Some(page) => {
                    dev.remember(page, original);
                    DstPfn::page(page)
                }
                None => DstPfn::NONE,
            },
            _ => DstPfn::NONE,
        }
    }

    fn device_copy(&self, dev: &mut Self, src: SrcPfn) -> DstPfn {
        let Some(page) = dev.ops().alloc_device_page() else {
            return DstPfn::NONE;
        };
        match src.pfn() {
            Some(original) => self.cpu.copy_contents(page, original),
            None => {
                if let Some(frame) = self.cpu.frame(page) {
                    frame.contents.set(0);
                }
            }
        }
        DstPfn::page(page)
    }

    fn way_home(&self, dev: &mut Self, src: SrcPfn) -> DstPfn {
        let Some(page) = src.pfn() else {
            return DstPfn::NONE;
        };
        let mut ops = self.cpu.ops();
        match dev.original(page) {
            Some(original) if ops.trylock_page(original) => DstPfn::unpin(original),
            Some(_) => DstPfn::NONE,
            None => dev
                .ops()
                .copy_to_system(page)
                .map_or(DstPfn::NONE, DstPfn::page),
        }
    }

    /// `migrate_vma_pages()`.
    ///
    /// # Errors
    /// As core's; nothing was changed then, and it can be tried again with other words.
    pub fn pages(&self, session: &mut Session) -> Result<(), Error> {
        self.cpu.at("migrate_vma_pages");
        let Session { src, dst, raw, .. } = session;
        // Left as it is if it is refused, so that it can be tried again.
        let raw = raw.as_mut().ok_or(Error::Stage)?;
        let (now, result) = with_rules!(self.cpu.m, |P, Sh| {
            let migration =
                Migration::<_, P, Sh, Unmapped>::from_raw(self.cpu.ops(), raw, src, dst)?;
            match migration.pages() {
                Ok(moved) => (moved.into_raw(), Ok(())),
                Err(refused) => (refused.migration.into_raw(), Err(refused.error)),
            }
        });
        *raw = now;
        if result.is_ok() {
            session.moved = true;
            self.cpu.check_words(WordStage::Pages, &session.src);
        }
        result
    }

    /// Update the device's page table for what has moved, and forget the pairs of what has not. Before finalize. The
    /// number of pages that the device has mapped.
    pub fn update_device(&self, session: &mut Session) -> usize {
        let mut dev = *self;
        let posted = self.cpu.driver_of(self.device) == DriverKind::Posted;
        let mut mapped = 0;
        for index in 0..session.src.len() {
            let (src, dst) = (session.src[index], session.dst[index]);
            let addr = session.range.start + addr_of(index);
            let Some(page) = dst.pfn() else {
                continue;
            };
            match session.purpose {
                Purpose::Pin(_) if posted => {
                    let moved = src.pfn().filter(|_| src.migrating());
                    let map = |original| posted::map(&mut dev, session.writable, addr, original);
                    mapped += usize::from(moved.is_some_and(map));
                }
                Purpose::Pin(access) => match src.pfn() {
                    Some(original) if src.migrating() => {
                        mapped += usize::from(self.map_at(session.seq, addr, original, access));
                    }
                    _ => dev.forget(page),
                },
                Purpose::ToDevice if src.migrating() => {
                    let write = src.write() || (src.pfn().is_none() && session.writable);
                    let access = if write { Access::Write } else { Access::Read };
                    mapped += usize::from(self.map_at(session.seq, addr, page, access));
                    self.cpu.event(Event::MigratedToDevice);
                }
                Purpose::ToSystem if src.migrating() => self.revoke_for(&mut dev, src, page),
                _ => {}
            }
        }
        if mapped > 0 && matches!(session.purpose, Purpose::Pin(_)) {
            self.cpu.event(Event::Acquired);
        }
        mapped
    }

    fn revoke_for(&self, dev: &mut Self, src: SrcPfn, new: Pfn) {
        dev.lock();
        let revoked = dev.unmap_page(new);
        dev.unlock();
        let mut ops = self.cpu;
        if revoked.is_some_and(|revoked| revoked.dirty) {
            ops.set_page_dirty(new);
        }
        if let Some(page) = src.pfn() {
            if dev.original(page).is_some() {
                dev.forget(page);
                self.cpu.event(Event::FaultedBack);
            } else {
                self.cpu.event(Event::MigratedToSystem);
            }
        }
    }

    fn map_at(&self, seq: u64, addr: usize, page: Pfn, access: Access) -> bool {
        let mut dev = *self;
        dev.lock();
        let mapped = !dev.read_retry(seq) && dev.map(addr, page, access).is_ok();
        dev.unlock();
        mapped
    }

    /// `migrate_vma_finalize()`, and `mmap_lock` is dropped.
    pub fn finalize(&self, mut session: Session) {
        self.cpu.at("migrate_vma_finalize");
        if let Some(mut raw) = session.raw.take() {
            let moved = session.moved;
            let Session { src, dst, .. } = &mut session;
            with_rules!(self.cpu.m, |P, Sh| {
                if moved {
                    if let Ok(migration) =
                        Migration::<_, P, Sh, Moved>::from_raw(self.cpu.ops(), &mut raw, src, dst)
                    {
                        migration.finalize();
                    }
                } else if let Ok(migration) =
                    Migration::<_, P, Sh, Unmapped>::from_raw(self.cpu.ops(), &mut raw, src, dst)
                {
                    // Dropped before pages: everything goes back.
                    drop(migration);
                }
            });
            if moved {
                self.map_late(&session);
            }
        }
        self.cpu.mmap_read_unlock(self.mm);
    }

    /// Device pages that could not be mapped before finalize, since filling empty entries invalidates the range: once
    /// more, if their entries stand. `mmap_lock` is held still.
    fn map_late(&self, session: &Session) {
        if session.purpose != Purpose::ToDevice {
            return;
        }
        for (index, (src, dst)) in session.src.iter().zip(&session.dst).enumerate() {
            if let (Some(page), true) = (dst.pfn(), src.migrating()) {
                self.map_standing(vpn_of(session.range.start) + index, page);
            }
        }
    }

    /// Map a device page where its own entry stands, for what the entry permits. As `pin::grant()` does it: the lock of
    /// the page keeps migrations out, the sequence number everything else. Meanwhile it may have gone home and come back to stand for
    /// a page that another pinned: then it is the original that the device has mapped, and this mapping must not take its place.
    fn map_standing(&self, vpn: usize, page: Pfn) -> bool {
        let mut dev = *self;
        let Some(entry) = self.standing(vpn, page, true) else {
            return false;
        };
        let mut mapped = false;
        if self.cpu.trylock(page) {
            let seq = dev.read_begin();
            let own = dev.original(page).is_none();
            if own && self.standing(vpn, page, false) == Some(entry) {
                let access = if entry.write() {
                    Access::Write
                } else {
                    Access::Read
                };
                mapped = self.map_at(seq, addr_of(vpn), page, access);
            }
            self.cpu.unlock(page);
        }
        self.cpu.put(page);
        mapped
    }

    /// The entry, if `page` stands there, with a reference if asked for.
    fn standing(&self, vpn: usize, page: Pfn, reference: bool) -> Option<Entry> {
        self.cpu.lock_table(self.mm, vpn);
        let entry = self.cpu.read_entry(self.mm, vpn);
        let found = matches!(entry, Entry::DevicePrivate(now, _) if now == page);
        if found && reference {
            self.cpu.get(page);
        }
        self.cpu.unlock_table(self.mm, vpn);
        found.then_some(entry)
    }

    /// Give a migration up before pages: what the destination words name is dropped, the sources go back.
    pub fn abandon(&self, mut session: Session) {
        let mut dev = *self;
        let mut ops = self.cpu;
        for word in &mut session.dst {
            if let Some(page) = word.pfn() {
                if dev.original(page).is_some() {
                    dev.forget(page);
                }
                ops.unlock_page(page);
                if !word.is_unpin() {
                    ops.put_page(page);
                }
            }
            *word = DstPfn::NONE;
        }
        self.finalize(session);
    }

    /// Move a range to device memory, all in one piece: how many pages have moved.
    pub fn migrate_to_device(&self, range: Range) -> Progress<Result<usize, Error>> {
        let mut session = match ready!(self.setup(range, Purpose::ToDevice)) {
            Ok(session) => session,
            Err(error) => return Progress::Done(Err(error)),
        };
        self.fill(&mut session);
        if let Err(error) = self.pages(&mut session) {
            self.abandon(session);
            return Progress::Done(Err(error));
        }
        self.update_device(&mut session);
        let moved = session.src.iter().filter(|word| word.migrating()).count();
        self.finalize(session);
        Progress::Done(Ok(moved))
    }
}

// Which handles a session is made for.
impl Session {
    /// The device and the address space it belongs to.
    #[must_use]
    pub fn belongs_to(&self) -> (DeviceId, MmId) {
        (self.device, self.mm)
    }
}
