//! EXCL, TLB, COW: who reaches a page, by whatever way, while somebody else relies on being alone with it.

use crate::cpu::Cpu;
use crate::frame::{Identity, PageFlags};
use crate::sync::Synchronisation;
use crate::violation::Invariant;
use migrate_pin_core::Pfn;

impl<S: Synchronisation> Cpu<'_, S> {
    /// A device gets, or uses, access to `page`: no CPU may reach it.
    pub(crate) fn check_exclusive(&self, page: Pfn) {
        if !S::LEDGER || self.is_device_page(page) {
            return;
        }
        let book = self.read_book(page);
        if book.present > 0 {
            self.violate(
                Invariant::Excl,
                Some(page),
                "a device has atomic access to a page that CPUs have mapped",
            );
        }
        if self.in_a_tlb(page, false) {
            self.violate(
                Invariant::Tlb,
                Some(page),
                "a device has atomic access to a page that a TLB still reaches",
            );
        }
    }

    /// The contents of `page` are copied elsewhere, to be used from there: nobody may write it through a TLB.
    pub(crate) fn check_copy(&self, page: Pfn) {
        if S::LEDGER && self.in_a_tlb(page, true) {
            self.say_torn(page);
        }
    }

    /// A copy of `page` is used from which a TLB could take it while it was copied.
    pub(crate) fn say_torn(&self, page: Pfn) {
        self.violate(
            Invariant::Tlb,
            Some(page),
            "a page is copied that a TLB can still write",
        );
    }

    /// `page` is written: by how many places may it be read as private? Places are entries that map it or wait for it,
    /// entries of the device page that stands for it, and swap entries of its slot. Only a CPU may still write what a
    /// fork is sharing: a device lost its mapping before the fork began.
    pub(crate) fn check_write(&self, page: Pfn, by_cpu: bool) {
        if !S::LEDGER {
            return;
        }
        let head = self.head(page);
        let Some(frame) = self.m.frame(head) else {
            return;
        };
        if !matches!(frame.identity(), Identity::Anon(_)) {
            return;
        }
        let places = self.sharers(page);
        // The two of a fork that is under way: the parent may write through a TLB that is not flushed yet.
        let by_fork = by_cpu && places == 2 && self.being_forked(page);
        if places > 1 && !by_fork {
            self.violate(
                Invariant::Cow,
                Some(page),
                "a page is written that several address spaces read as private",
            );
        }
    }

    /// Is `page` shared by a fork that is under way, at a page of parent and child?
    fn being_forked(&self, page: Pfn) -> bool {
        let books = self.m.ledger.lock();
        let mut forks = books.doing.all().iter().filter_map(|doing| doing.forking);
        forks.any(|(parent, child)| {
            (0..books.mm_pages).any(|vpn| {
                let stands = |mm| books.standing(mm, vpn).named() == Some(page);
                stands(parent) && stands(child)
            })
        })
    }

    /// In how many places a page stands as private memory.
    pub(crate) fn sharers(&self, page: Pfn) -> u32 {
        let head = self.head(page);
        let book = self.read_book(page);
        let mut places = u32::from(book.entries) + u32::from(book.migration);
        if head != page && book.entries == 0 {
            // A part of a huge page that is mapped as a whole.
            places += u32::from(self.read_book(head).entries);
        }
        if let Some(stand_in) = book.stand_in.get() {
            let other = self.read_book(stand_in);
            places += u32::from(other.entries) + u32::from(other.migration);
        }
        if let Some(frame) = self.m.frame(head) {
            if frame.test(PageFlags::SWAPCACHE) {
                let slot = frame.private.get() as usize;
                places += self
                    .m
                    .swap
                    .users
                    .get(slot)
                    .map_or(0, crate::sync::Plain::get);
            }
        }
        places
    }
}
