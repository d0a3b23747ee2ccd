//! LRU, CHARGE: a page is on the LRU once at most, and charged to somebody while it is there.

use crate::cpu::Cpu;
use crate::machine::LruState;
use crate::sync::Synchronisation;
use crate::violation::Invariant;
use migrate_pin_core::Pfn;

impl<S: Synchronisation> Cpu<'_, S> {
    /// A page is about to enter a batch.
    pub(crate) fn check_lru_add(&self, page: Pfn) {
        if !S::LEDGER {
            return;
        }
        if self.read_book(page).lru_state() != LruState::None {
            self.violate(
                Invariant::Lru,
                Some(page),
                "a page is added to the LRU that is there already",
            );
        }
        if self.is_device_page(page) {
            self.violate(
                Invariant::Lru,
                Some(page),
                "a device page is added to the LRU",
            );
        }
        if self
            .m
            .frame(page)
            .is_some_and(|frame| frame.memcg.get() == 0)
        {
            self.violate(
                Invariant::Charge,
                Some(page),
                "a page on the LRU is charged to nobody",
            );
        }
    }

    /// A page was put on the list.
    pub(crate) fn check_lru_listed(&self, page: Pfn) {
        let listed = self.read_book(page).listed;
        if listed > 1 {
            self.violate(Invariant::Lru, Some(page), "a page is on the LRU twice");
        }
    }

    /// A page was isolated.
    pub(crate) fn check_isolated(&self, page: Pfn) {
        if S::LEDGER && self.read_book(page).lru_state() != LruState::Isolated {
            self.violate(
                Invariant::Lru,
                Some(page),
                "an isolated page is still on the LRU",
            );
        }
    }
}
