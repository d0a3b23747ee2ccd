//! The swap area and the swap cache (`mm/swap_state.c`, `mm/swapfile.c`, `do_swap_page()`).

use crate::bug::Bug;
use crate::config::AllocKind;
use crate::cpu::{Cpu, Progress, WaitFor};
use crate::entry::Entry;
use crate::event::Event;
use crate::frame::PageFlags;
use crate::ledger::Hold;
use crate::paths::fault::{Faulted, Spot};
use crate::sides::{Account, Says};
use crate::sync::{Atomic32, Plain, Synchronisation};
use crate::violation::Invariant;
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::PteBits;
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::Pfn;

impl<'m, S: Synchronisation> Cpu<'m, S> {
    /// `add_to_swap()`: the page is locked; it gets a slot, and the swap cache a reference. It becomes dirty: the slot
    /// holds nothing yet.
    pub(crate) fn add_to_swap(&self, page: Pfn) -> bool {
        if self.m.fails(AllocKind::SwapSlot) {
            return false;
        }
        let swap = &self.m.swap;
        let Some(frame) = self.frame(page) else {
            return false;
        };
        swap.lock.lock(self);
        let slot = (0..usize::from(swap.slots))
            .find(|slot| swap.users[*slot].get() == 0 && swap.cache[*slot].get() == 0);
        if let Some(slot) = slot {
            self.get_as(page, Hold::Cache);
            swap.cache_lock.lock(self);
            frame.private.set(slot as u32);
            swap.cache[slot].set(page.0 as u32);
            swap.cache_lock.unlock(self);
            self.set_flag(page, PageFlags::SWAPCACHE | PageFlags::DIRTY);
        } else {
            self.event(Event::AllocationFailed);
        }
        swap.lock.unlock(self);
        slot.is_some()
    }

    /// `delete_from_swap_cache()`: the page is locked.
    pub(crate) fn delete_from_swap_cache(&self, page: Pfn) {
        let swap = &self.m.swap;
        let Some(frame) = self.frame(page) else {
            return;
        };
        swap.cache_lock.lock(self);
        if let Some(slot) = swap.cache.get(frame.private.get() as usize) {
            slot.set(0);
        }
        self.clear_flag(page, PageFlags::SWAPCACHE);
        frame.private.set(0);
        swap.cache_lock.unlock(self);
        self.put_as(page, Hold::Cache);
    }

    /// `try_to_free_swap()`, `folio_free_swap()`: out of the swap cache unless an entry still needs the slot.
    pub(crate) fn try_to_free_swap(&self, page: Pfn) -> bool {
        if !self.test_flag(page, PageFlags::SWAPCACHE) || self.swap_users(page) > 0 {
            return false;
        }
        self.delete_from_swap_cache(page);
        self.set_flag(page, PageFlags::DIRTY);
        true
    }

    /// `free_swap_cache()`: nobody will fault the page in from there again, if no entry maps it and none needs the slot.
    pub(crate) fn free_swap_cache_of(&self, page: Pfn) {
        let cached = self.test_flag(page, PageFlags::SWAPCACHE);
        if cached && self.mapcount(page) == 0 && self.trylock(page) {
            self.try_to_free_swap(page);
            self.unlock(page);
        }
    }

    /// `page_swapcount()`.
    fn swap_users(&self, page: Pfn) -> u32 {
        let swap = &self.m.swap;
        let Some(frame) = self.frame(page) else {
            return 0;
        };
        swap.lock.lock(self);
        let users = swap
            .users
            .get(frame.private.get() as usize)
            .map_or(0, Plain::get);
        swap.lock.unlock(self);
        users
    }

    /// `swap_duplicate()`.
    pub(crate) fn swap_duplicate(&self, slot: u16) {
        let swap = &self.m.swap;
        swap.lock.lock(self);
        if let Some(users) = swap.users.get(usize::from(slot)) {
            users.add(1);
        }
        swap.lock.unlock(self);
    }

    /// `swap_free()`.
    pub(crate) fn swap_free(&self, slot: u16) {
        let swap = &self.m.swap;
        swap.lock.lock(self);
        if let Some(users) = swap.users.get(usize::from(slot)) {
            if users.get() == 0 {
                self.disagree(
                    Invariant::Ref,
                    None,
                    "a swap slot is freed that nobody uses",
                    Account::new("swap slot, users", Says::Nothing, 0),
                );
            } else {
                users.set(users.get() - 1);
            }
        }
        swap.lock.unlock(self);
    }

    /// `free_swap_and_cache()`: an entry of the slot is zapped; a page in the cache that nobody needs goes too, if it can
    /// be locked at once.
    pub(crate) fn free_swap_and_cache(&self, slot: u16) {
        self.swap_free(slot);
        let Some(page) = self.lookup_swap_cache(slot) else {
            return;
        };
        if self.trylock(page) {
            if self.mapcount(page) == 0 {
                self.try_to_free_swap(page);
            }
            self.unlock(page);
        }
        self.put(page);
    }

    /// `lookup_swap_cache()`: without a lock; a reference comes with the page.
    fn lookup_swap_cache(&self, slot: u16) -> Option<Pfn> {
        let place = self.m.swap.cache.get(usize::from(slot))?;
        loop {
            let page = match place.get() {
                0 => return None,
                page => Pfn(page as usize),
            };
            if self.get_unless_zero(page) {
                if place.get() as usize == page.0 {
                    return Some(page);
                }
                self.put(page);
            } else {
                // Frozen: it is just being taken out, or replaced.
                self.m.swap.cache_lock.lock(self);
                self.m.swap.cache_lock.unlock(self);
                if S::STEPWISE && place.get() as usize == page.0 {
                    return None;
                }
            }
        }
    }

    /// `read_swap_cache_async()`: a new page with what is on the disk, in the swap cache and on its way to the LRU.
    fn read_swap(&self, spot: Spot<'m>, slot: u16) -> Option<Pfn> {
        let page = self.alloc_page()?;
        let memcg = self
            .space(spot.vma.mm)
            .map(|space| space.memcg)
            .unwrap_or_default();
        if !self.charge(page, memcg) {
            self.put(page);
            return None;
        }
        let swap = &self.m.swap;
        let (Some(frame), Some(place)) = (self.frame(page), swap.cache.get(usize::from(slot)))
        else {
            return None;
        };
        self.trylock(page);
        // `swapcache_prepare()`: not for a slot that nobody uses any more, which may be another page's next.
        swap.lock.lock(self);
        let users = swap.users.get(usize::from(slot)).map_or(0, Plain::get);
        swap.cache_lock.lock(self);
        let (gone, lost) = (users == 0, place.get() != 0);
        if !gone && !lost {
            self.get_as(page, Hold::Cache);
            frame.private.set(slot.into());
            place.set(page.0 as u32);
        }
        swap.cache_lock.unlock(self);
        swap.lock.unlock(self);
        if gone && !lost {
            self.unlock(page);
            self.put(page);
            return None;
        }
        if lost {
            // Somebody else reads it already (`swapcache_prepare()`).
            self.unlock(page);
            self.put(page);
            return self.lookup_swap_cache(slot);
        }
        self.set_flag(page, PageFlags::SWAPCACHE | PageFlags::SWAPBACKED);
        frame
            .contents
            .set(swap.disk.get(usize::from(slot)).map_or(0, Plain::get));
        self.event(Event::SwapIn);
        S::fence();
        self.set_flag(page, PageFlags::UPTODATE);
        self.lru_add(page);
        self.unlock(page);
        Some(page)
    }

    /// `do_swap_page()`: an ordinary swap entry.
    pub(crate) fn swap_fault(&self, spot: Spot<'m>, seen: Entry, slot: u16) -> Progress<Faulted> {
        let mm = spot.vma.mm;
        let page = match self.lookup_swap_cache(slot) {
            Some(page) => {
                self.event(Event::SwapCacheHit);
                page
            }
            None => match self.read_swap(spot, slot) {
                Some(page) => page,
                None => {
                    let moved_on = self.read_entry(mm, spot.vpn) != seen;
                    return Progress::Done(if moved_on {
                        Faulted::Again
                    } else {
                        Faulted::Oom
                    });
                }
            },
        };
        if !self.trylock(page) {
            // `lock_page_or_retry()` drops `mmap_lock` before it waits.
            self.put(page);
            return self.blocked(WaitFor::PageLock(page));
        }
        let still = self.test_flag(page, PageFlags::SWAPCACHE)
            && self
                .frame(page)
                .is_some_and(|frame| frame.private.get() == u32::from(slot));
        if !still {
            self.unlock(page);
            self.put(page);
            return Progress::Done(Faulted::Again);
        }
        let _ = self.prepare_anon_vma(spot.vma);
        let modern = self.m.shape == ShapeKind::V6_12;
        if modern && spot.write && !self.test_flag(page, PageFlags::LRU) {
            // It may have to be seen from the count that nobody else has the page.
            self.lru_drain();
        }
        self.lock_table(mm, spot.vpn);
        if self.read_entry(mm, spot.vpn) != seen {
            self.unlock_table(mm, spot.vpn);
            self.unlock(page);
            self.put(page);
            return Progress::Done(Faulted::Again);
        }
        // The reference of the lookup becomes the entry's.
        match modern {
            true => self.map_swapped(spot, seen, slot, page),
            false => self.map_swapped_old(spot, seen, slot, page),
        }
        // Under the PTL still: without it another may zap the entry, and with that the reference goes that keeps the page.
        if !self.m.bug(Bug::SwapInKeepsLock) {
            self.unlock(page);
        }
        self.unlock_table(mm, spot.vpn);
        // A write that could not have the page goes on to `do_wp_page()`: by faulting again.
        Progress::Done(Faulted::Again)
    }

    /// What 6.12 does then, under the PTL and the page locked: the swap entry says whether the page was exclusive, and then it
    /// still is, whoever has a reference.
    fn map_swapped(&self, spot: Spot<'m>, seen: Entry, slot: u16, page: Pfn) {
        let count = || {
            self.frame(page)
                .map_or(0, |frame| frame.count.load(Ordering::Relaxed))
        };
        self.swap_free(slot);
        // `should_try_to_free_swap()`: the cache's reference and ours.
        if spot.write && count() == 2 {
            self.try_to_free_swap(page);
        }
        let exclusive = seen.bits().contains(PteBits::EXCLUSIVE) || count() == 1;
        let mut bits = PteBits::YOUNG | seen.bits() & (PteBits::SOFT_DIRTY | PteBits::UFFD_WP);
        if exclusive && spot.area.write() && !bits.contains(PteBits::UFFD_WP) {
            bits |= PteBits::WRITE;
            if spot.write {
                bits |= PteBits::DIRTY;
            }
        }
        self.add_anon(page, spot.vma, spot.vpn, exclusive);
        self.set_entry(spot.vma.mm, spot.vpn, Entry::Page(page, bits));
    }

    /// What 5.11 does.
    fn map_swapped_old(&self, spot: Spot<'m>, seen: Entry, slot: u16, page: Pfn) {
        let mut bits = PteBits::YOUNG | seen.bits() & (PteBits::SOFT_DIRTY | PteBits::UFFD_WP);
        if spot.write && self.reuse_swap_page(page) {
            bits |= PteBits::WRITE | PteBits::DIRTY;
        }
        self.set_entry(spot.vma.mm, spot.vpn, Entry::Page(page, bits));
        self.add_anon(page, spot.vma, spot.vpn, false);
        self.swap_free(slot);
    }

    /// `reuse_swap_page()`: under the PTL, the page locked. This entry is the only one that will map it.
    fn reuse_swap_page(&self, page: Pfn) -> bool {
        let sharers = self.mapcount(page) + self.swap_users(page);
        if sharers > 1 {
            return false;
        }
        self.delete_from_swap_cache(page);
        self.set_flag(page, PageFlags::DIRTY);
        true
    }
}
