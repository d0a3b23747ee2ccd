//! Reference counts, page locks, and the allocator.

use crate::bug::Bug;
use crate::config::AllocKind;
use crate::cpu::Cpu;
use crate::event::Event;
use crate::frame::{FrameZone, Identity, PageFlags, POISON};
use crate::ledger::{Hold, PageBook};
use crate::sync::{full, Atomic32, Store, Synchronisation};
use crate::violation::Invariant;
use core::sync::atomic::Ordering;
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::{Pfn, GUP_PIN_COUNTING_BIAS};

impl<S: Synchronisation> Cpu<'_, S> {
    /// `get_page()`: a relaxed increment.
    pub(crate) fn get(&self, page: Pfn) {
        self.get_as(page, Hold::Actor);
    }

    /// `get_page()` for a holder.
    pub(crate) fn get_as(&self, page: Pfn, hold: Hold) {
        let page = self.head(page);
        let Some(frame) = self.live_frame(page, "get_page() of a free page") else {
            return;
        };
        let old = frame.count.fetch_add(1, Ordering::Relaxed);
        self.enter(page, hold, 1);
        if old == 0 {
            self.violate(
                Invariant::Ref,
                Some(page),
                "get_page() of a page without references",
            );
        }
        self.check_count_of(page, old.wrapping_add(1));
    }

    /// `get_page_unless_zero()`: a full barrier if it succeeds.
    pub(crate) fn get_unless_zero(&self, page: Pfn) -> bool {
        self.get_many_unless_zero(page, 1, Hold::Actor)
    }

    /// `page_ref_add_unless(page, count, 0)`; what is added is 1, or the bias of a pin.
    pub(crate) fn get_many_unless_zero(&self, page: Pfn, count: u32, hold: Hold) -> bool {
        let page = self.head(page);
        let Some(frame) = self.frame(page) else {
            return false;
        };
        let mut old = frame.count.load(Ordering::Relaxed);
        loop {
            if old == 0 {
                return false;
            }
            let new = old.wrapping_add(count);
            let result = full::<S, _>(|| {
                let result =
                    frame
                        .count
                        .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed);
                if result.is_ok() {
                    if count == GUP_PIN_COUNTING_BIAS {
                        self.book(page, |book| book.gup_pins += 1);
                    } else {
                        self.enter(page, hold, count as u8);
                    }
                    self.check_count_of(page, new);
                }
                result
            });
            match result {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
    }

    /// `put_page()` of the actor's own reference.
    pub(crate) fn put(&self, page: Pfn) {
        self.put_as(page, Hold::Actor);
    }

    /// `put_page()` of a holder's reference: a full barrier. The last one frees the page.
    pub(crate) fn put_as(&self, page: Pfn, hold: Hold) {
        let page = self.head(page);
        let Some(frame) = self.live_frame(page, "put_page() of a free page") else {
            return;
        };
        self.drop_count(page, &frame.count, 1, || self.leave(page, hold));
    }

    /// Subtract from the count, do the same in the ledger, and free the page if nothing is left.
    pub(crate) fn drop_count(&self, page: Pfn, count: &S::U32, by: u32, leave: impl FnOnce()) {
        let old = full::<S, _>(|| {
            let old = if self.m.bug(Bug::PutNotAtomic) {
                let old = count.load(Ordering::Acquire);
                count.store(old.wrapping_sub(by), Ordering::Release);
                old
            } else {
                count.fetch_sub(by, Ordering::AcqRel)
            };
            leave();
            if old >= by {
                self.check_count_of(page, old - by);
            }
            old
        });
        if old < by {
            count.fetch_add(by, Ordering::Relaxed);
            let what = "a reference count is taken below zero";
            self.violate_count(Invariant::Ref, page, what, old);
            return;
        }
        let new = old - by;
        let device = self.m.frame(page).and_then(|frame| frame.device());
        match (device, self.m.shape) {
            // 5.11: a device page's count is based at 1, and falls to 1 when it is free.
            (Some(device), ShapeKind::V5_11) if new == 1 => self.free_device_page(device, page),
            (Some(_), ShapeKind::V5_11) if new == 0 => {
                self.violate(
                    Invariant::Ref,
                    Some(page),
                    "the base reference of a device page is dropped",
                );
            }
            (Some(device), ShapeKind::V6_12) if new == 0 => self.free_device_page(device, page),
            (None, _) if new == 0 => self.free_page(page),
            _ => {}
        }
    }

    /// `page_ref_freeze()`: zero if it is what is expected; a full barrier.
    pub(crate) fn freeze(&self, page: Pfn, count: &S::U32, expected: u32) -> bool {
        full::<S, _>(|| {
            let frozen = count
                .compare_exchange(expected, 0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
            if frozen {
                let by = self.actor.0 + 1;
                self.book(page, |book| book.frozen_by = by);
            }
            frozen
        })
    }

    // ---- page lock --------------------------------------------------------------------------------

    /// `trylock_page()`: an acquire.
    pub(crate) fn trylock(&self, page: Pfn) -> bool {
        let page = self.head(page);
        let Some(frame) = self.live_frame(page, "trylock_page() of a free page") else {
            return false;
        };
        let locked = frame.lock.try_lock(self);
        if !locked {
            self.event(Event::TrylockBusy);
        }
        locked
    }

    /// `unlock_page()`: a release, and whoever waits is woken.
    pub(crate) fn unlock(&self, page: Pfn) {
        let page = self.head(page);
        let Some(frame) = self.live_frame(page, "unlock_page() of a free page") else {
            return;
        };
        self.check_unlock(page);
        if self.m.bug(Bug::UnlockPageForgotten)
            && self.m.frame(page).is_some_and(|f| f.device().is_none())
        {
            return;
        }
        frame.lock.unlock(self);
    }

    /// Is the page locked by this actor?
    pub(crate) fn holds_lock(&self, page: Pfn) -> bool {
        self.m
            .frame(self.head(page))
            .is_some_and(|frame| frame.lock.held_by(self))
    }

    // ---- the allocator ----------------------------------------------------------------------------

    /// `alloc_page()`: a page with one reference, the actor's; its contents are what was left there.
    pub(crate) fn alloc_page(&self) -> Option<Pfn> {
        if self.m.fails(AllocKind::Page) {
            return None;
        }
        self.m.zone_lock.lock(self);
        let page = self.m.free.lock().pop();
        self.m.zone_lock.unlock(self);
        let Some(page) = page else {
            self.event(Event::AllocationFailed);
            return None;
        };
        self.hand_out(page);
        Some(page)
    }

    /// `set_page_refcounted()` and what comes with it.
    pub(crate) fn hand_out(&self, page: Pfn) {
        let Some(frame) = self.frame(page) else {
            return;
        };
        self.check_free_page(page);
        frame.index.set(0);
        frame.private.set(0);
        frame.zone_device_data.set(0);
        frame.head.set(0);
        // All zero since it was freed, the racy ones too.
        frame.steady.set(0);
        // A page that is taken into use gets its count by a plain store; nobody has it.
        let base = u32::from(frame.device().is_some() && self.m.shape == ShapeKind::V5_11);
        frame.count.store(base + 1, Ordering::Release);
        let slot = self.slot();
        self.book(page, |book| {
            *book = PageBook {
                alive: true,
                base: book.base,
                lives: book.lives.wrapping_add(1),
                // Who has freed it under a PTL may still hold that.
                flux: book.flux,
                ..PageBook::default()
            };
            book.held[slot] = 1;
        });
    }

    /// `__put_page()` of a system page: the count is zero.
    pub(crate) fn free_page(&self, page: Pfn) {
        let Some(frame) = self.frame(page) else {
            return;
        };
        let compound = self.test_flag(page, PageFlags::HEAD);
        // `__page_cache_release()`.
        if self.test_flag(page, PageFlags::LRU) {
            self.m.lru_lock.lock(self);
            self.lru_delete(page);
            self.clear_flag(page, PageFlags::LRU);
            self.m.lru_lock.unlock(self);
        }
        self.uncharge(page);
        self.check_freed(page);
        self.event(Event::PageFreed);
        frame.set_identity(Identity::None);
        let pages = if compound {
            crate::config::TABLE_PAGES
        } else {
            1
        };
        for index in 0..pages {
            let part = Pfn(page.0 + index);
            let Some(frame) = self.m.frame(part) else {
                continue;
            };
            frame.reset_flags(PageFlags::empty());
            frame.head.set(0);
            frame.private.set(0);
            frame.set_identity(Identity::None);
            frame.contents.set(POISON);
            self.book(part, |book| book.alive = false);
            self.m.zone_lock.lock(self);
            let _ = self.m.free.lock().push(part);
            self.m.zone_lock.unlock(self);
        }
    }

    /// `free_devmap_managed_page()` (5.11), `free_zone_device_folio()` (6.12): the driver's `page_free` runs.
    fn free_device_page(&self, device: crate::config::DeviceId, page: Pfn) {
        let Some(frame) = self.frame(page) else {
            return;
        };
        self.uncharge(page);
        self.check_freed(page);
        frame.set_identity(Identity::None);
        frame.reset_flags(PageFlags::empty());
        self.event(Event::PageFree);
        self.driver_page_free(device, page);
        frame.contents.set(POISON);
        self.book(page, |book| book.alive = false);
        self.return_device_page(device, page);
    }

    /// Which memory.
    pub(crate) fn is_device_page(&self, page: Pfn) -> bool {
        self.m
            .frame(page)
            .is_some_and(|frame| matches!(frame.zone, FrameZone::Device(_)))
    }

    // ---- memory cgroups ---------------------------------------------------------------------------

    /// `mem_cgroup_charge()`.
    pub(crate) fn charge(&self, page: Pfn, memcg: crate::config::MemcgId) -> bool {
        let Some(frame) = self.frame(page) else {
            return false;
        };
        let Some(counter) = self.m.memcgs.get(usize::from(memcg.0)) else {
            return false;
        };
        if self.m.fails(AllocKind::Charge) {
            return false;
        }
        if counter.get() >= self.m.memcg_limit {
            self.event(Event::AllocationFailed);
            return false;
        }
        counter.add(1);
        frame.memcg.set(u32::from(memcg.0) + 1);
        let charges = self.book(page, |book| {
            book.charges += 1;
            book.charges
        });
        if charges.is_some_and(|charges| charges > 1) {
            self.violate(
                Invariant::Charge,
                Some(page),
                "a page is charged that is charged already",
            );
        }
        true
    }

    /// `mem_cgroup_uncharge()`.
    pub(crate) fn uncharge(&self, page: Pfn) {
        let Some(frame) = self.frame(page) else {
            return;
        };
        let Some(memcg) = frame.memcg.get().checked_sub(1) else {
            return;
        };
        frame.memcg.set(0);
        if let Some(counter) = self.m.memcgs.get(memcg as usize) {
            counter.add(u32::MAX);
        }
        self.book(page, |book| book.charges = book.charges.saturating_sub(1));
    }

    /// `mem_cgroup_migrate()`.
    pub(crate) fn charge_moves(&self, new: Pfn, old: Pfn) {
        let (Some(from), Some(to)) = (self.frame(old), self.frame(new)) else {
            return;
        };
        if self.m.bug(Bug::MigrateWithoutCharge) {
            return;
        }
        let memcg = from.memcg.get();
        if memcg == 0 {
            return;
        }
        match self.m.shape {
            ShapeKind::V5_11 => {
                // "Page cache replacement: new page already charged?"
                if to.memcg.get() != 0 {
                    return;
                }
                // The old page stays charged until it is freed, and the limit is not looked at.
                if let Some(counter) = self.m.memcgs.get(memcg as usize - 1) {
                    counter.add(1);
                }
                self.book(new, |book| book.charges += 1);
            }
            ShapeKind::V6_12 => {
                from.memcg.set(0);
                self.book(old, |book| book.charges = book.charges.saturating_sub(1));
                if to.memcg.get() != 0 {
                    self.violate(
                        Invariant::Charge,
                        Some(new),
                        "a charge moves onto a charged page",
                    );
                }
                self.book(new, |book| book.charges += 1);
            }
        }
        to.memcg.set(memcg);
    }
}
