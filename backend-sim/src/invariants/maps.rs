//! MAP, RMAP, PTE: entries agree with the pages that they name. What a new entry may not name is here too: a free page
//! (UAF), and a page to which a device has atomic access (EXCL).

use crate::config::MmId;
use crate::cpu::Cpu;
use crate::frame::{Identity, PageFlags};
use crate::sides::Account;
use crate::sync::{Store, Synchronisation};
use crate::violation::Invariant;
use migrate_pin_core::Pfn;

impl<S: Synchronisation> Cpu<'_, S> {
    /// The outermost PTL section of this actor ends: what was touched in it has to be in order.
    pub(crate) fn settle(&self) {
        let (mut pages, mut entries) = {
            let mut books = self.m.ledger.lock();
            let doing = books.doing.of(self.slot());
            if doing.pages.is_empty() && doing.entries.is_empty() {
                doing.cleared.clear();
                return;
            }
            let pages = core::mem::take(&mut doing.pages);
            let entries = core::mem::take(&mut doing.entries);
            doing.cleared.clear();
            for page in pages.iter() {
                if let Some(book) = books.page_mut(*page) {
                    book.flux = book.flux.saturating_sub(1);
                }
            }
            (pages, entries)
        };
        for page in pages.iter() {
            self.check_mapcount(*page);
        }
        for (mm, vpn) in entries.iter() {
            self.check_rmap(*mm, (*vpn).into());
        }
        // Their room is used again: there are several sections in each of millions of executions.
        pages.clear();
        entries.clear();
        let mut books = self.m.ledger.lock();
        let doing = books.doing.of(self.slot());
        (doing.pages, doing.entries) = (pages, entries);
    }

    /// MAP: no PTL section is changing who maps the page.
    fn check_mapcount(&self, page: Pfn) {
        let book = self.read_book(page);
        if S::STEPWISE && book.flux == 0 && book.mapcount != i32::from(book.entries) {
            let count = book.mapcount as u32;
            self.disagree(
                Invariant::Map,
                Some(page),
                "the map count is not the number of entries",
                Account::new("map count", u32::from(book.entries), count),
            );
        }
    }

    /// RMAP: would a walk from the page find this entry?
    pub(crate) fn check_rmap(&self, mm: MmId, vpn: usize) {
        let entry = self.m.ledger.lock().shadow(mm, vpn);
        let Some(page) = entry.mapped() else {
            return;
        };
        let head = self.head(page);
        let (Some(frame), Some(space)) = (self.m.frame(head), self.space(mm)) else {
            return;
        };
        let index = frame.index.get().wrapping_add((page.0 - head.0) as u32);
        let found = space
            .areas
            .iter()
            .filter(|area| area.used() && area.covers(vpn))
            .any(|area| {
                let linked = match frame.identity() {
                    Identity::Anon(id) => area.linked.get() >> id & 1 != 0,
                    Identity::File(file) => area.file() == Some(file),
                    Identity::None => false,
                };
                linked && area.index_of(vpn) == index
            });
        // A page without identity was mapped by a driver (`vm_insert_page()`); anonymous memory always has one.
        let nobodys = frame.identity() == Identity::None && !frame.test(PageFlags::SWAPBACKED);
        if !found && !nobodys {
            self.violate_at(
                Invariant::Rmap,
                Some(page),
                Some((mm, vpn)),
                "an entry is not found from its page",
            );
        }
    }

    /// A page-table entry maps `page` now.
    pub(crate) fn check_mapping(&self, page: Pfn, present: bool) {
        if !S::LEDGER {
            return;
        }
        let head = self.head(page);
        let (device_maps, alive) = {
            let books = self.m.ledger.lock();
            let device_maps = books.page(page).map(|book| book.device_maps);
            (device_maps, books.page(head).map(|book| book.alive))
        };
        if alive != Some(true) {
            self.violate(Invariant::Uaf, Some(page), "a free page is mapped");
        }
        if present && self.is_device_page(page) {
            self.violate(
                Invariant::Uaf,
                Some(page),
                "device memory is mapped for a CPU",
            );
        }
        if present && device_maps.is_some_and(|maps| maps > 0) {
            self.violate(
                Invariant::Excl,
                Some(page),
                "a page is mapped for a CPU while a device has atomic access to it",
            );
        }
    }

    /// A page is about to be unlocked: whoever waits for its migration entries will not find them changed later.
    pub(crate) fn check_unlock(&self, page: Pfn) {
        let migration = self.book(page, |book| book.migration).unwrap_or(0);
        if migration > 0 {
            self.violate(
                Invariant::Pte,
                Some(page),
                "a page is unlocked that migration entries name",
            );
        }
    }
}
