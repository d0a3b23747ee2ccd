//! The LRU: one list, and the batches of each CPU on their way to it.

use crate::bug::Bug;
use crate::cpu::Cpu;
use crate::event::Event;
use crate::frame::PageFlags;
use crate::ledger::Hold;
use crate::sync::{Store, Synchronisation};
use crate::violation::Invariant;
use migrate_pin_core::Pfn;

impl<S: Synchronisation> Cpu<'_, S> {
    /// `lru_cache_add()`: into this CPU's batch, with a reference; a full batch goes to the list, and so does a
    /// compound page, at once.
    pub(crate) fn lru_add(&self, page: Pfn) {
        let page = self.head(page);
        let Some(cpu) = self.this_cpu() else {
            return;
        };
        if self
            .live_frame(page, "lru_cache_add() of a free page")
            .is_none()
        {
            return;
        }
        self.check_lru_add(page);
        self.get_as(page, Hold::Batch);
        let compound = self.test_flag(page, PageFlags::HEAD);
        cpu.lock.lock(self);
        let full = {
            let mut batch = cpu.batch.lock();
            let _ = batch.push(page);
            self.book(page, |book| book.batched += 1);
            batch.len() >= self.m.lru_batch || compound
        };
        if full {
            if !compound {
                self.event(Event::LruBatchFull);
            }
            self.drain_batch(usize::from(self.cpu));
        }
        cpu.lock.unlock(self);
    }

    /// `__pagevec_lru_add()`: under the batch's lock. Returns how many pages went to the list.
    fn drain_batch(&self, cpu: usize) -> usize {
        let Some(cpu) = self.m.cpus.get(cpu) else {
            return 0;
        };
        cpu.lock.assert_held(self);
        let mut batch = core::mem::take(&mut *cpu.batch.lock());
        if batch.is_empty() {
            return 0;
        }
        self.m.lru_lock.lock(self);
        for page in batch.iter() {
            // `PG_lru` first, then the list: who clears `PG_lru` waits for the lock before it unlinks.
            self.set_flag(*page, PageFlags::LRU);
            S::fence();
            self.book(*page, |book| book.batched = book.batched.saturating_sub(1));
            self.lru_insert(*page);
            if self.m.bug(Bug::LruAddedTwice) {
                self.lru_insert(*page);
            }
        }
        self.m.lru_lock.unlock(self);
        // `release_pages()`.
        for page in batch.iter() {
            self.put_as(*page, Hold::Batch);
            if self.m.bug(Bug::DrainPutsTwice) {
                self.put_as(*page, Hold::Batch);
            }
        }
        let moved = batch.len();
        // Nobody has added to it in between: its lock is held. Its room is used again.
        batch.clear();
        *cpu.batch.lock() = batch;
        moved
    }

    /// `add_page_to_lru_list()`: under the LRU lock.
    pub(crate) fn lru_insert(&self, page: Pfn) {
        self.m.lru_lock.assert_held(self);
        if let Some(frame) = self.frame(page) {
            frame.listed.add(1);
        }
        self.book(page, |book| book.listed += 1);
        self.check_lru_listed(page);
    }

    /// `del_page_from_lru_list()`: under the LRU lock.
    pub(crate) fn lru_delete(&self, page: Pfn) {
        self.m.lru_lock.assert_held(self);
        let Some(frame) = self.frame(page) else {
            return;
        };
        if frame.listed.get() == 0 {
            self.violate(
                Invariant::Lru,
                Some(page),
                "a page is taken off a list that it is not on",
            );
            return;
        }
        frame.listed.set(frame.listed.get() - 1);
        self.book(page, |book| book.listed = book.listed.saturating_sub(1));
    }

    /// `lru_add_drain()`.
    pub fn lru_drain(&self) {
        // `pagevec_count()`, without the lock.
        if let Some(cpu) = self.this_cpu().filter(|cpu| !cpu.batch.lock().is_empty()) {
            cpu.lock.lock(self);
            self.drain_batch(usize::from(self.cpu));
            cpu.lock.unlock(self);
        }
    }

    /// Every CPU's batch goes to the list, as when a worker gets round to it.
    pub fn drain_lru(&self) {
        self.at("lru_add_drain_all");
        self.lru_drain_all();
    }

    /// `lru_add_drain_all()`: each CPU drains its own batch when its worker gets to run; here the caller stands in for
    /// the workers, one CPU after the other.
    pub(crate) fn lru_drain_all(&self) {
        for (index, cpu) in self.m.cpus.iter().enumerate() {
            // `pagevec_count()`: no work is queued for a CPU without a batch.
            if cpu.batch.lock().is_empty() {
                continue;
            }
            cpu.lock.lock(self);
            let moved = self.drain_batch(index);
            cpu.lock.unlock(self);
            if moved > 0 && index != usize::from(self.cpu) {
                self.event(Event::LruDrainedRemote);
            }
        }
    }

    /// `isolate_lru_page()`: true if the page was on the list. The isolation has a reference.
    pub(crate) fn lru_isolate(&self, page: Pfn) -> bool {
        let page = self.head(page);
        if self
            .live_frame(page, "isolate_lru_page() of a free page")
            .is_none()
        {
            return false;
        }
        let on_list = if self.m.bug(Bug::IsolateNotAtomic) {
            let on_list = self.test_flag(page, PageFlags::LRU);
            self.clear_flag(page, PageFlags::LRU);
            on_list
        } else {
            self.test_clear_flag(page, PageFlags::LRU)
        };
        if !on_list {
            self.event(Event::IsolateFailed);
            return false;
        }
        self.get_as(page, Hold::Isolation);
        self.m.lru_lock.lock(self);
        if !self.m.bug(Bug::IsolateKeepsListed) {
            self.lru_delete(page);
        }
        self.m.lru_lock.unlock(self);
        self.check_isolated(page);
        true
    }

    /// `putback_lru_page()`: into this CPU's batch; the isolation's reference, or else the caller's, is dropped.
    pub(crate) fn lru_putback(&self, page: Pfn) {
        let page = self.head(page);
        if self
            .live_frame(page, "putback_lru_page() of a free page")
            .is_none()
        {
            return;
        }
        // The isolation ends here; its reference is the actor's until the put.
        let isolated = self.read_book(page).isolated > 0;
        if isolated {
            self.hand_over(page, Hold::Isolation, Hold::Actor);
        }
        self.lru_add(page);
        self.put(page);
    }
}
