//! The driver as it was posted with the patch (nouveau, patch 9 of the series), in our words: what a reasonable author
//! wrote on first contact with the interface. It uses core's pipeline, and takes none of the care of core's `pin`.

use crate::cpu::{addr_of, ready, vpn_of, Progress};
use crate::device::Dev;
use crate::driver::{careful, with_rules, AcquireResult};
use crate::entry::Entry;
use crate::event::Event;
use crate::invariants::WordStage;
use crate::mm::Vma;
use crate::paths::fault::Faulted;
use crate::sync::Synchronisation;
use migrate_pin_core::ops::{MmOps, NotifyEvent, Range};
use migrate_pin_core::pin::{Acquired, Invalidation};
use migrate_pin_core::Error;
use migrate_pin_core::{
    setup, Access, Device, DstPfn, Pfn, Request, Select, SrcPfn, GUP_PIN_COUNTING_BIAS,
};

/// The notifier's callback: mappings go; there is no sequence number, and nobody looks whether they were written.
pub(crate) fn invalidate<S: Synchronisation>(mut dev: Dev<'_, S>, invalidation: Invalidation) {
    if invalidation.event == NotifyEvent::Migrate && invalidation.owner == Some(dev.owner()) {
        return;
    }
    dev.lock();
    while dev.unmap_next(invalidation.range).is_some() {}
    dev.unlock();
}

/// `page_free`: the bias is dropped, and nothing else.
pub(crate) fn page_free<S: Synchronisation>(mut dev: Dev<'_, S>, page: Pfn) {
    if let Some(original) = dev.original(page) {
        let mut ops = dev.cpu;
        ops.page_ref_sub(original, GUP_PIN_COUNTING_BIAS);
    }
}

/// Acquire, one page at a time. It is called again until the page is there and writable.
pub(crate) fn acquire<S: Synchronisation>(
    dev: Dev<'_, S>,
    range: Range,
    _access: Access,
) -> Progress<AcquireResult> {
    let mut result = Acquired::default();
    // If it is tried again, then from the start: no lock is kept from the wait.
    dev.cpu.unpark();
    for vpn in vpn_of(range.start)..vpn_of(range.end) {
        // The device does not fault on what it has.
        if dev.cpu.m.device_page_at(dev.device, dev.mm, vpn).is_some() {
            result.granted += 1;
            continue;
        }
        // As a CPU would; then `mmap_lock` is dropped.
        dev.cpu.at("hmm_range_fault");
        let entry = dev.cpu.m.entry(dev.mm, vpn);
        if !matches!(entry, Entry::Page(..)) || !entry.write() {
            ready!(dev.fault_in(addr_of(vpn)));
        }
        match ready!(dev.acquire_one(vpn)) {
            Ok(true) => result.granted += 1,
            Ok(false) => {}
            Err(error) => return Progress::Done(Err(error)),
        }
    }
    if result.granted < vpn_of(range.end).saturating_sub(vpn_of(range.start)) {
        dev.cpu.event(Event::PinRefused);
    }
    if result.granted > 0 {
        dev.cpu.event(Event::Acquired);
    }
    Progress::Done(Ok(result))
}

impl<S: Synchronisation> Dev<'_, S> {
    /// Fault a page in for writing, as a CPU would (`hmm_range_fault()`), without touching it. True if it could be.
    pub fn fault_in(&self, addr: usize) -> Progress<bool> {
        self.cpu.unpark();
        self.cpu.at("hmm_range_fault");
        let vpn = vpn_of(addr);
        for _ in 0..crate::paths::access::MAX_FAULTS {
            let entry = self.cpu.m.entry(self.mm, vpn);
            if entry.present() && entry.write() {
                return Progress::Done(true);
            }
            if ready!(self.cpu.handle_fault(self.mm, vpn, true)) != Faulted::Again {
                return Progress::Done(false);
            }
        }
        Progress::Done(false)
    }

    /// One page: true if the device has it mapped.
    fn acquire_one(&self, vpn: usize) -> Progress<Result<bool, Error>> {
        self.cpu.unpark();
        self.cpu.at("acquire");
        ready!(self.cpu.mmap_read(self.mm));
        let result = match self.cpu.find_vma(self.mm, vpn) {
            Some(vma) => self.pin_one(vma, vpn),
            None => Err(Error::NoVma),
        };
        self.cpu.mmap_read_unlock(self.mm);
        Progress::Done(result)
    }

    fn pin_one(&self, vma: Vma, vpn: usize) -> Result<bool, Error> {
        let mut dev = *self;
        let addr = addr_of(vpn);
        let writable = self.cpu.area(vma).is_some_and(|area| area.write());
        let (mut src, mut dst) = ([SrcPfn::PIN], [DstPfn::NONE]);
        with_rules!(self.cpu.m, |P, Sh| {
            let mut migration = setup::<P, Sh, _>(
                self.cpu,
                Request {
                    vma,
                    range: Range {
                        start: addr,
                        end: addr_of(vpn + 1),
                    },
                    src: &mut src,
                    dst: &mut dst,
                    owner: self.device.owner(),
                    select: Select::SYSTEM,
                    fault_page: None,
                },
            )?;
            let word = migration.src().first().copied().unwrap_or_default();
            self.cpu.check_count(migration.src(), migration.cpages());
            self.cpu.check_word(WordStage::Setup, word);
            if word.migrating() {
                let given = provide(&mut dev, word);
                if let Some(dst) = migration.dst_mut().first_mut() {
                    *dst = given;
                }
            }
            let moved = match migration.pages() {
                Ok(moved) => moved,
                Err(refused) => return Err(refused.error),
            };
            let migrating = moved.src().first().is_some_and(|word| word.migrating());
            let mut mapped = false;
            if let (true, Some(original)) = (migrating, word.pfn()) {
                mapped = map(&mut dev, writable, addr, original);
            }
            moved.finalize();
            Ok(mapped)
        })
    }
}

/// A destination for a page that has been unmapped: a device page that stands for it at once, whatever it is.
pub(crate) fn provide<S: Synchronisation>(dev: &mut Dev<'_, S>, src: SrcPfn) -> DstPfn {
    let Some(page) = dev.alloc_device_page() else {
        return DstPfn::NONE;
    };
    if let Some(original) = src.pfn() {
        dev.remember(page, original);
    }
    DstPfn::page(page)
}

/// Map a page that was pinned, for as much as its area permits: no look at the notifier's sequence number, none at WRITE.
pub(crate) fn map<S: Synchronisation>(
    dev: &mut Dev<'_, S>,
    writable: bool,
    addr: usize,
    original: Pfn,
) -> bool {
    let access = if writable {
        Access::Write
    } else {
        Access::Read
    };
    dev.lock();
    let mapped = dev.map(addr, original, access).is_ok();
    dev.unlock();
    mapped
}

/// `migrate_to_ram`.
pub(crate) fn fault<S: Synchronisation>(
    mut dev: Dev<'_, S>,
    vma: Vma,
    vpn: usize,
    page: Pfn,
) -> Progress<Faulted> {
    let result = with_rules!(dev.cpu.m, |P, Sh| {
        // Whose lock was in the way.
        let mut busy = Some(page);
        let mut result = Ok(());
        for _ in 0..10 {
            let (mut src, mut dst) = ([SrcPfn::NONE], [DstPfn::NONE]);
            let request = Request {
                vma,
                range: Range {
                    start: addr_of(vpn),
                    end: addr_of(vpn + 1),
                },
                src: &mut src,
                dst: &mut dst,
                owner: dev.owner(),
                select: Select::DEVICE_PRIVATE,
                fault_page: Some(page),
            };
            let mut migration = match setup::<P, Sh, _>(dev.cpu, request) {
                Ok(migration) => migration,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            let word = migration.src().first().copied().unwrap_or_default();
            if !word.migrating() {
                // Setup again; dropping this one puts back what there is.
                continue;
            }
            // The page that the fault reported, not the one in `src`.
            let original = dev.original(page);
            let mut ops = dev.cpu;
            let home = match (word.pfn(), original) {
                (Some(_), Some(original)) if ops.trylock_page(original) => Some(original),
                _ => None,
            };
            match home {
                Some(original) => {
                    busy = None;
                    if let Some(dst) = migration.dst_mut().first_mut() {
                        *dst = DstPfn::unpin(original);
                    }
                }
                None => busy = original,
            }
            let moved = match migration.pages() {
                Ok(moved) => moved,
                Err(refused) => {
                    result = Err(refused.error);
                    break;
                }
            };
            let migrated = moved.src().first().is_some_and(|word| word.migrating());
            if let (true, Some(original)) = (migrated, home) {
                dev.lock();
                dev.unmap_page(original);
                dev.unlock();
                dev.forget(page);
                dev.cpu.event(Event::FaultedBack);
            }
            moved.finalize();
            break;
        }
        result.map(|()| busy)
    });
    match result {
        // "Retry the fault": not before the lock is free, which a kernel's driver finds out by faulting.
        Ok(busy) => careful::busy(dev, busy),
        Err(_) => Progress::Done(Faulted::Sigbus),
    }
}
