//! The driver that does what core's [`pin`] says.

use crate::bug::Bug;
use crate::config::MAX_RANGE;
use crate::cpu::{addr_of, ready, vpn_of, Progress, WaitFor};
use crate::device::Dev;
use crate::driver::{with_rules, AcquireResult};
use crate::event::Event;
use crate::invariants::WordStage;
use crate::mm::Vma;
use crate::paths::fault::Faulted;
use crate::sync::Synchronisation;
use migrate_pin_core::ops::{MmOps, NotifyEvent, Range};
use migrate_pin_core::pin::{self, Acquire, Acquired, Grant, Invalidation};
use migrate_pin_core::Error;
use migrate_pin_core::{Access, Device, DstPfn, Pfn, SrcPfn};

/// The interval notifier's callback.
pub(crate) fn invalidate<S: Synchronisation>(mut dev: Dev<'_, S>, invalidation: Invalidation) {
    let mut ops = dev.cpu;
    let own = invalidation.event == NotifyEvent::Migrate
        && invalidation.owner == Some(dev.device.owner());
    if dev.cpu.m.bug(Bug::SeqAfterRevoke) && !own {
        dev.lock();
        while let Some(revoked) = dev.unmap_next(invalidation.range) {
            if revoked.dirty {
                ops.set_page_dirty(revoked.page);
            }
        }
        dev.unlock();
        dev.lock();
        dev.set_seq(invalidation.seq);
        dev.unlock();
        return;
    }
    if dev.cpu.m.bug(Bug::RevokeOneOnly) {
        dev.lock();
        dev.set_seq(invalidation.seq);
        dev.unmap_next(invalidation.range);
        dev.unlock();
        return;
    }
    pin::invalidate(&mut ops, &mut dev, invalidation);
}

/// `migrate_to_ram`.
pub(crate) fn fault<S: Synchronisation>(
    mut dev: Dev<'_, S>,
    vma: Vma,
    vpn: usize,
    page: Pfn,
) -> Progress<Faulted> {
    let mut ops = dev.cpu.ops();
    let was_pinned = dev.original(page).is_some();
    let result = with_rules!(dev.cpu.m, |P, Sh| pin::fault::<P, Sh, _, _>(
        &mut ops,
        &mut dev.ops(),
        vma,
        addr_of(vpn),
        page
    ));
    match result {
        Ok(pin::Fault::Done) => {
            dev.cpu.event(if was_pinned {
                Event::FaultedBack
            } else {
                Event::MigratedToSystem
            });
            Progress::Done(Faulted::Again)
        }
        // Repeat the access; if somebody holds the lock that matters, not before he lets go. A kernel's driver may as
        // well fault again and again until then.
        Ok(pin::Fault::Gone) => busy(dev, Some(page)),
        Ok(pin::Fault::Retry) => busy(dev, dev.original(page)),
        Ok(pin::Fault::NoMemory) => Progress::Done(Faulted::Oom),
        Err(_) => Progress::Done(Faulted::Sigbus),
    }
}

/// Fault again, once nobody holds the lock of `page`. If nobody does, at once; and if that is no better, once others
/// have run: one of them has a reference for a moment, or is taking the page away.
pub(crate) fn busy<S: Synchronisation>(dev: Dev<'_, S>, page: Option<Pfn>) -> Progress<Faulted> {
    // The lock itself, not who is said to own it: an owner takes his name off before the lock is free.
    let locked = |page: &Pfn| {
        let frame = dev.cpu.m.frame(dev.cpu.head(*page));
        frame.is_some_and(|frame| frame.lock.is_locked())
    };
    if let Some(page) = page.filter(locked) {
        return dev.cpu.blocked(WaitFor::PageLock(page));
    }
    let actor = dev.cpu.m.actors.get(dev.cpu.slot());
    if actor.is_some_and(|actor| actor.faults.get() > 2) {
        return dev.cpu.blocked(WaitFor::Others);
    }
    Progress::Done(Faulted::Again)
}

/// `page_free`.
pub(crate) fn page_free<S: Synchronisation>(mut dev: Dev<'_, S>, page: Pfn) {
    let mut ops = dev.cpu;
    with_rules!(dev.cpu.m, |P, Sh| pin::release::<P, Sh, _, _>(
        &mut ops, &mut dev, page
    ));
}

/// Take pages for exclusive access, all in one piece. `mmap_lock` is taken and dropped here.
pub(crate) fn acquire<S: Synchronisation>(
    dev: Dev<'_, S>,
    range: Range,
    access: Access,
) -> Progress<AcquireResult> {
    let mut ops = dev.cpu.ops();
    dev.cpu.unpark();
    dev.cpu.at("acquire");
    ready!(dev.cpu.mmap_read(dev.mm));
    let pages =
        (range.end.saturating_sub(range.start) >> migrate_pin_core::PAGE_SHIFT).min(MAX_RANGE);
    let mut src = [SrcPfn::NONE; MAX_RANGE];
    let mut dst = [DstPfn::NONE; MAX_RANGE];
    let result = match dev.cpu.find_vma(dev.mm, vpn_of(range.start)) {
        None => Err(Error::NoVma),
        Some(vma) => with_rules!(dev.cpu.m, |P, Sh| pin::acquire::<P, Sh, _, _>(
            &mut ops,
            &mut dev.ops(),
            Acquire {
                vma,
                range,
                access,
                src: &mut src[..pages],
                dst: &mut dst[..pages],
            },
        )),
    };
    // What setup said is not seen here; what a driver reads afterwards is. A refused call leaves its own words.
    if result.is_ok() {
        dev.cpu.check_words(WordStage::Pages, &src[..pages]);
    }
    if result.is_ok_and(|acquired: Acquired| acquired.granted < pages) {
        dev.cpu.event(Event::PinRefused);
    }
    if result.is_ok_and(|acquired: Acquired| acquired.granted > 0) {
        dev.cpu.event(Event::Acquired);
    }
    dev.cpu.mmap_read_unlock(dev.mm);
    Progress::Done(result)
}

impl<S: Synchronisation> Dev<'_, S> {
    /// Map a page again that is still pinned for this device, after an invalidation (`pin::grant()`).
    pub fn grant(&self, addr: usize, access: Access) -> Progress<Grant> {
        let mut ops = self.cpu.ops();
        self.cpu.unpark();
        self.cpu.at("grant");
        ready!(self.cpu.mmap_read(self.mm));
        let result = match self.cpu.find_vma(self.mm, vpn_of(addr)) {
            Some(vma) => with_rules!(self.cpu.m, |P, Sh| pin::grant::<P, Sh, _, _>(
                &mut ops,
                &mut self.ops(),
                vma,
                addr,
                access
            )),
            None => Grant::NotPinned,
        };
        self.cpu.mmap_read_unlock(self.mm);
        Progress::Done(result)
    }

    /// Give a range back to the CPU of the driver's own accord (`pin::revoke()`): the number of pages that were busy.
    pub fn give_back(&self, range: Range) -> Progress<Result<usize, Error>> {
        let mut ops = self.cpu.ops();
        self.cpu.unpark();
        self.cpu.at("revoke");
        ready!(self.cpu.mmap_read(self.mm));
        let result = match self.cpu.find_vma(self.mm, vpn_of(range.start)) {
            None => Err(Error::NoVma),
            Some(vma) => with_rules!(self.cpu.m, |P, Sh| pin::revoke::<P, Sh, _, _>(
                &mut ops,
                &mut self.ops(),
                vma,
                range
            )),
        };
        self.cpu.mmap_read_unlock(self.mm);
        Progress::Done(result)
    }
}
