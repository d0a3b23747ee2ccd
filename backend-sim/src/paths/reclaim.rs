//! Reclaim of a page: isolate, lock, swap, unmap, write, free (`shrink_page_list()`), and writeback.

use crate::config::FileId;
use crate::cpu::Cpu;
use crate::event::Event;
use crate::frame::{Identity, PageFlags};
use crate::ledger::Hold;
use crate::rmap::Unmap;
use crate::sides::{Account, Says};
use crate::sync::{Atomic32, Plain, Synchronisation};
use crate::violation::Invariant;
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::Mapping;
use migrate_pin_core::{Pfn, GUP_PIN_COUNTING_BIAS};

impl<S: Synchronisation> Cpu<'_, S> {
    /// `isolate_lru_pages()` for one page: it is found on the list, nobody vouches for it.
    pub(crate) fn isolate_from_list(&self, page: Pfn) -> bool {
        let Some(frame) = self.m.frame(page) else {
            return false;
        };
        self.m.lru_lock.lock(self);
        let mut taken = false;
        if frame.listed.get() > 0 && self.get_unless_zero(page) {
            if self.test_clear_flag(page, PageFlags::LRU) {
                self.lru_delete(page);
                self.hand_over(page, Hold::Actor, Hold::Isolation);
                taken = true;
            } else {
                // Somebody else isolates it.
                self.put(page);
            }
        }
        self.m.lru_lock.unlock(self);
        taken
    }

    /// Try to reclaim `page`; true if it was freed.
    pub fn reclaim(&self, page: Pfn) -> bool {
        self.at("shrink_page_list");
        if !self.isolate_from_list(page) {
            self.event(Event::ReclaimRefused);
            return false;
        }
        if !self.trylock(page) {
            self.event(Event::ReclaimRefused);
            self.lru_putback(page);
            return false;
        }
        let freed = self.shrink(page);
        if freed {
            self.event(Event::Reclaimed);
        } else {
            self.event(Event::ReclaimRefused);
            self.unlock(page);
            self.lru_putback(page);
        }
        freed
    }

    /// The page is isolated and locked. True if it is freed, and unlocked.
    fn shrink(&self, page: Pfn) -> bool {
        let Some(frame) = self.frame(page) else {
            return false;
        };
        if self.test_flag(
            page,
            PageFlags::HEAD | PageFlags::UNEVICTABLE | PageFlags::MLOCKED,
        ) {
            return false;
        }
        let anonymous = matches!(frame.identity(), Identity::Anon(_));
        if anonymous
            && self.test_flag(page, PageFlags::SWAPBACKED)
            && !self.test_flag(page, PageFlags::SWAPCACHE)
        {
            // "Pinned pages must not be put into the swap cache."
            if frame.count.load(Ordering::Relaxed) >= GUP_PIN_COUNTING_BIAS
                || !self.add_to_swap(page)
            {
                return false;
            }
        }
        if self.mapcount(page) > 0 && !self.unmap_everywhere(page, Unmap::Reclaim) {
            return false;
        }
        if self.test_flag(page, PageFlags::DIRTY) && self.cached_as(page).cached() {
            self.write_back(page);
        }
        if self.test_flag(page, PageFlags::PRIVATE) {
            // `try_to_release_page()`: the file system lets go if nobody else holds the page.
            self.clear_flag(page, PageFlags::PRIVATE);
            self.put_as(page, Hold::Private);
        }
        if !self.remove_mapping(page) {
            return false;
        }
        self.event(Event::CleanDropped);
        // `free_unref_page_list()`: the count is zero, frozen; nobody can find the page any more.
        self.book(page, |book| book.frozen_by = 0);
        self.leave(page, Hold::Isolation);
        frame.lock.unlock(self);
        self.free_page(page);
        true
    }

    /// `pageout()`: to the slot or to the file.
    fn write_back(&self, page: Pfn) {
        let Some(frame) = self.frame(page) else {
            return;
        };
        let Some(disk) = self.disk_of(page) else {
            return;
        };
        // The bit first, then the contents: who writes meanwhile sets it again.
        self.test_clear_flag(page, PageFlags::DIRTY);
        disk.set(frame.contents.get());
        self.event(match self.cached_as(page) {
            Mapping::SwapCache => Event::SwapOut,
            _ => Event::Writeback,
        });
    }

    /// Where the page's contents are kept when it is gone.
    fn disk_of(&self, page: Pfn) -> Option<&Plain> {
        let frame = self.m.frame(page)?;
        match (self.cached_as(page), frame.identity()) {
            (Mapping::SwapCache, _) => self.m.swap.disk.get(frame.private.get() as usize),
            (Mapping::File, Identity::File(file)) => self
                .m
                .files
                .get(usize::from(file.0))?
                .disk
                .get(frame.index.get() as usize),
            _ => None,
        }
    }

    /// `__remove_mapping()`: freeze the count at what the cache and we hold, and take the page out of its cache. The
    /// count stays zero.
    fn remove_mapping(&self, page: Pfn) -> bool {
        let Some(frame) = self.frame(page) else {
            return false;
        };
        let cached = self.cached_as(page);
        let (lock, expected) = match (cached, frame.identity()) {
            (Mapping::SwapCache, _) => (Some(&self.m.swap.cache_lock), 2),
            (Mapping::File, Identity::File(file)) => (
                self.m
                    .files
                    .get(usize::from(file.0))
                    .map(|file| &file.i_pages),
                2,
            ),
            // `MADV_FREE`.
            _ => (None, 1),
        };
        if let Some(lock) = lock {
            lock.lock(self);
        }
        let frozen = self.freeze(page, &frame.count, expected);
        let mut removed = frozen;
        if frozen {
            if self.test_flag(page, PageFlags::DIRTY) {
                // Somebody wrote it: `page_ref_unfreeze()`.
                frame.count.store(expected, Ordering::Release);
                self.book(page, |book| book.frozen_by = 0);
                removed = false;
            } else {
                self.check_dropped(page);
                self.forget_cached(page, cached);
            }
        } else {
            self.event(Event::FreezeFailed);
        }
        if let Some(lock) = lock {
            lock.unlock(self);
        }
        removed
    }

    fn forget_cached(&self, page: Pfn, cached: Mapping) {
        let Some(frame) = self.frame(page) else {
            return;
        };
        match (cached, frame.identity()) {
            (Mapping::SwapCache, _) => {
                if let Some(slot) = self.m.swap.cache.get(frame.private.get() as usize) {
                    slot.set(0);
                }
                self.clear_flag(page, PageFlags::SWAPCACHE);
                frame.private.set(0);
                self.leave(page, Hold::Cache);
            }
            (Mapping::File, Identity::File(file)) => {
                let slots = self
                    .m
                    .files
                    .get(usize::from(file.0))
                    .map(|file| &file.slots);
                if let Some(slot) = slots.and_then(|slots| slots.get(frame.index.get() as usize)) {
                    slot.set(0);
                }
                self.leave(page, Hold::Cache);
            }
            _ => {}
        }
    }

    /// DATA: a clean page is dropped; what is on the disk must be the same, unless no swap entry leads there any more: who had the
    /// page has thrown it away, dirty as its entry was, or copied it.
    fn check_dropped(&self, page: Pfn) {
        if !S::LEDGER {
            return;
        }
        let Some(frame) = self.m.frame(page) else {
            return;
        };
        let users = self.m.swap.users.get(frame.private.get() as usize);
        let unused = users.is_some_and(|users| users.get() == 0);
        if unused && self.cached_as(page) == Mapping::SwapCache {
            return;
        }
        if let Some(disk) = self.disk_of(page) {
            if disk.get() != frame.contents.get() {
                self.disagree(
                    Invariant::Data,
                    Some(page),
                    "a page is dropped as clean whose contents are not on the disk",
                    Account {
                        name: "contents and disk",
                        ledger: Says::Contents(frame.contents.get()),
                        machine: Says::Contents(disk.get()),
                    },
                );
            }
        }
    }

    /// Write a dirty page of a file back (`writepage()`), with write protection of its mappings (`page_mkclean()`) left
    /// out: the dirty bits of entries stay.
    pub fn sync_file_page(&self, file: FileId, index: usize) -> bool {
        self.at("writepage");
        let Some(slot) = self
            .m
            .files
            .get(usize::from(file.0))
            .and_then(|file| file.slots.get(index))
        else {
            return false;
        };
        let page = Pfn(slot.get() as usize);
        if page.0 == 0 || !self.get_unless_zero(page) {
            return false;
        }
        let locked = self.trylock(page);
        if locked {
            if self.test_flag(page, PageFlags::DIRTY) {
                self.write_back(page);
            }
            self.unlock(page);
        }
        self.put(page);
        locked
    }
}
