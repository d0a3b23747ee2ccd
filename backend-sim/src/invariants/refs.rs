//! REF, PIN, UAF: a count is what its holders hold, and what is freed or handed out is nobody's.

use crate::config::MmId;
use crate::cpu::Cpu;
use crate::machine::LruState;
use crate::sync::Synchronisation;
use crate::violation::Invariant;
use migrate_pin_core::{Pfn, GUP_PIN_COUNTING_BIAS};

impl<S: Synchronisation> Cpu<'_, S> {
    /// REF and PIN: the count of a page is `count` now.
    pub(crate) fn check_count_of(&self, page: Pfn, count: u32) {
        if !S::LEDGER || !S::STEPWISE {
            return;
        }
        let known = self.book(page, |book| {
            let pins = u32::from(book.pins) + u32::from(book.gup_pins);
            (book.frozen_by, pins, book.sum())
        });
        let (frozen_by, pins, sum) = known.unwrap_or_default();
        if frozen_by != 0 {
            return;
        }
        let biases = count / GUP_PIN_COUNTING_BIAS;
        if biases != pins {
            let what = "the bias of a page is not that of its pins";
            self.violate_count(Invariant::Pin, page, what, count);
        } else if count != sum {
            let what = "the reference count is not what its holders hold";
            self.violate_count(Invariant::Ref, page, what, count);
        }
    }

    /// UAF, LRU, ...: the last reference of a page is gone.
    pub(crate) fn check_freed(&self, page: Pfn) {
        if !S::LEDGER {
            return;
        }
        let book = self.read_book(page);
        let some = Some(page);
        if book.entries > 0 {
            self.violate(Invariant::Uaf, some, "a page is freed that is mapped");
        }
        if book.migration > 0 {
            self.violate(
                Invariant::Pte,
                some,
                "a page is freed that migration entries name",
            );
        }
        if book.device_maps > 0 {
            self.violate(
                Invariant::Uaf,
                some,
                "a page is freed that a device has mapped",
            );
        }
        if book.lru_state() != LruState::None {
            self.violate(
                Invariant::Lru,
                some,
                "a page is freed that is on the LRU or isolated",
            );
        }
        if book.pins > 0 || book.gup_pins > 0 {
            self.violate(Invariant::Pin, some, "a page is freed that is pinned");
        }
        if book.stand_in.get().is_some() {
            self.violate(
                Invariant::Pair,
                some,
                "a page is freed that a device page stands for",
            );
        }
        if self
            .m
            .frame(page)
            .is_some_and(|frame| frame.lock.owner().is_some())
        {
            self.violate(Invariant::Lock, some, "a page is freed that is locked");
        }
        if self.in_a_tlb(page, false) {
            self.violate(
                Invariant::Tlb,
                some,
                "a page is freed that a TLB still reaches",
            );
        }
        if book.sum() != u32::from(book.base) {
            self.violate(Invariant::Ref, some, "a page is freed that is held");
        }
    }

    /// UAF: a page comes out of the free pool.
    pub(crate) fn check_free_page(&self, page: Pfn) {
        if S::LEDGER && self.read_book(page).alive {
            self.violate(
                Invariant::Uaf,
                Some(page),
                "a page is handed out that is in use",
            );
        }
    }

    /// UAF: GUP-fast has a reference on `page`, which it found at `vpn` when the page had been handed out `lives`
    /// times.
    pub(crate) fn check_grabbed(&self, mm: MmId, vpn: usize, page: Pfn, lives: u32) {
        if !S::LEDGER || !S::STEPWISE || self.read_book(page).lives == lives {
            return;
        }
        // Freed and mapped here again is as good.
        if self.m.ledger.lock().shadow(mm, vpn).named() != Some(page) {
            self.violate(
                Invariant::Uaf,
                Some(page),
                "GUP has a page that was freed since it looked",
            );
        }
    }
}
