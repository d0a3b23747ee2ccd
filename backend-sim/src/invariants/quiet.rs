//! Everything at once: REF, PIN, PAIR, UAF, MAP, RMAP, PTE, LRU, CHARGE, TLB, COW, DATA, LOCK and NOTIFY, when nobody
//! runs, and what may be left when everybody has exited.

use super::data::Place;
use crate::config::{ActorId, MmId, MAX_MEMCGS, TABLE_PAGES};
use crate::cpu::Cpu;
use crate::entry::{Entry, Pmd};
use crate::frame::{Frame, Identity, PageFlags, FIRST_PFN};
use crate::ledger::PageBook;
use crate::lock::Lock;
use crate::machine::{LruState, Machine};
use crate::sides::{Account, Says};
use crate::sync::{Atomic32, Synchronisation};
use crate::violation::Invariant;
use core::sync::atomic::Ordering;
use migrate_pin_core::{Pfn, GUP_PIN_COUNTING_BIAS};

impl<S: Synchronisation> Machine<S> {
    /// Look at everything. Call it when no operation is under way, no migration is between its stages and nobody
    /// keeps a reference; what is found is recorded like any other violation.
    pub fn check_quiescent(&self) {
        if !S::LEDGER {
            return;
        }
        let cpu = self.cpu(ActorId(0));
        cpu.at("when all is quiet");
        self.quiet_locks(&cpu);
        // Most pages are free, and nothing is wrong with them.
        let suspect = |book: &PageBook, frame: &Frame<S>| {
            book.alive || frame.count.load(Ordering::Relaxed) != u32::from(book.base)
        };
        let mut next = FIRST_PFN;
        while let Some(page) = self.next_page(next, suspect) {
            self.quiet_page(&cpu, page);
            next = page.0 + 1;
        }
        self.quiet_pins(&cpu);
        for (index, space) in self.mms.iter().enumerate() {
            let mm = MmId(index as u8);
            for vpn in 0..space.entries.len() {
                self.quiet_entry(&cpu, mm, vpn);
            }
        }
        self.quiet_tlbs(&cpu);
        self.quiet_devices(&cpu);
        self.quiet_charges(&cpu);
        let open = self.ledger.lock().sections.len() as u32;
        if open > 0 {
            cpu.disagree(
                Invariant::Lock,
                None,
                "a notifier section is left open",
                Account::new("open notifier sections", open, Says::Nothing),
            );
        }
    }

    /// The first page, from this number on, that is `wanted`. The ledger is locked once for all that are passed over: nobody
    /// runs who might wait for it.
    fn next_page(&self, from: usize, wanted: impl Fn(&PageBook, &Frame<S>) -> bool) -> Option<Pfn> {
        let books = self.ledger.lock();
        let pages = books.pages.iter().zip(self.frames.iter()).enumerate();
        let mut rest = pages.skip(from - FIRST_PFN);
        rest.find(|(_, (book, frame))| wanted(book, frame))
            .map(|(index, _)| Pfn(FIRST_PFN + index))
    }

    /// LOCK: all are free.
    fn quiet_locks(&self, cpu: &Cpu<'_, S>) {
        let locked = |frame: &Frame<S>| frame.lock.owner().is_some();
        // One look at all of them first: mostly none is.
        if self
            .frames
            .iter()
            .fold(false, |any, frame| any | locked(frame))
        {
            for page in self.pfns() {
                if self.frame(page).is_some_and(locked) {
                    cpu.violate(Invariant::Lock, Some(page), "a page is left locked");
                }
            }
        }
        let mut held = [
            &self.lru_lock,
            &self.zone_lock,
            &self.pin_lock,
            &self.swap.lock,
            &self.swap.cache_lock,
        ]
        .into_iter()
        .find_map(Lock::left);
        for space in self.mms.iter() {
            held = held.or_else(|| space.mmap_lock.left());
            held = held.or_else(|| space.tables.iter().find_map(|table| table.ptl.left()));
        }
        let mut cpus = self.cpus.iter();
        held = held.or_else(|| cpus.find_map(|cpu| cpu.lock.left().or(cpu.tlb.lock.left())));
        let anon_vmas = self.anon_vmas.iter();
        // One look at all of them first: mostly none is.
        let taken = anon_vmas.fold(false, |held, anon| held | !anon.lock.is_free());
        if taken {
            held = held.or_else(|| self.anon_vmas.iter().find_map(|anon| anon.lock.left()));
        }
        let mut files = self.files.iter();
        held = held.or_else(|| files.find_map(|file| file.i_pages.left().or(file.i_mmap.left())));
        let mut devices = self.devices.iter();
        held = held.or_else(|| {
            devices.find_map(|device| device.table_lock.left().or(device.pool_lock.left()))
        });
        if let Some(account) = held {
            cpu.disagree(Invariant::Lock, None, "a lock is left taken", account);
        }
    }

    /// REF, MAP, LRU, PIN, PAIR, PTE of one page.
    fn quiet_page(&self, cpu: &Cpu<'_, S>, page: Pfn) {
        let Some(frame) = self.frame(page) else {
            return;
        };
        let some = Some(page);
        let count = frame.count.load(Ordering::Relaxed);
        let mapcount = frame.mapcount.load(Ordering::Relaxed);
        if frame.head.get() != 0 && frame.head.get() as usize != page.0 {
            return; // A tail page: its head is looked at.
        }
        if let Some((false, base)) = cpu.book(page, |book| (book.alive, book.base)) {
            if count != u32::from(base) {
                let what = "a free page has references";
                cpu.violate_count(Invariant::Ref, page, what, count);
            }
            return;
        }
        let book = cpu.read_book(page);
        let pins = u32::from(book.pins) + u32::from(book.gup_pins);
        if count / GUP_PIN_COUNTING_BIAS != pins {
            let what = "the bias of a page is not that of its pins";
            cpu.violate_count(Invariant::Pin, page, what, count);
        } else if count != book.sum() {
            let what = "the reference count is not what its holders hold";
            cpu.violate_count(Invariant::Ref, page, what, count);
        }
        if book.gup > 0 || book.held.iter().any(|held| *held > 0) {
            cpu.violate(Invariant::Ref, some, "a reference is never dropped");
        }
        if mapcount != u32::from(book.entries) {
            let entries = Account::new("map count", u32::from(book.entries), mapcount);
            let what = "the map count is not the number of entries";
            cpu.disagree(Invariant::Map, some, what, entries);
        }
        if book.migration > 0 {
            cpu.violate(Invariant::Pte, some, "a migration entry is left");
        }
        if frame.device().is_some() {
            if book.lru_state() != LruState::None {
                cpu.violate(Invariant::Lru, some, "a device page is on the LRU");
            }
        } else if book.pins == 0 {
            match book.lru_state() {
                LruState::Listed | LruState::Batch => {}
                LruState::Isolated => {
                    cpu.violate(Invariant::Lru, some, "a page is left isolated");
                }
                LruState::None => {
                    cpu.violate(Invariant::Lru, some, "a page in use is not on the LRU")
                }
                LruState::Confused => {
                    cpu.violate(Invariant::Lru, some, "a page is on the LRU twice")
                }
            }
        } else if book.lru_state() != LruState::Isolated {
            cpu.violate(Invariant::Lru, some, "a pinned page is not isolated");
        }
        if book.gup_pins > 0 {
            cpu.violate(Invariant::Pin, some, "a DMA pin is never dropped");
        }
        if book.pins > 0 {
            let release = book
                .stand_in
                .get()
                .is_some_and(|device| cpu.read_book(device).entries > 0);
            if !release {
                cpu.violate(
                    Invariant::Pin,
                    some,
                    "a page is pinned and nothing will release it",
                );
            }
            if book.pins > 1 {
                cpu.violate(Invariant::Pin, some, "a page is pinned twice");
            }
        }
        if let Some(original) = book.original.get() {
            let other = cpu.read_book(original);
            if other.stand_in.get() != Some(page) {
                cpu.violate(
                    Invariant::Pair,
                    some,
                    "a device page stands for a page that stands for another",
                );
            }
            if other.pins == 0 {
                cpu.violate(
                    Invariant::Pair,
                    some,
                    "a device page stands for a page that is not pinned",
                );
            }
        }
    }

    /// PIN: the records are those of the pins.
    fn quiet_pins(&self, cpu: &Cpu<'_, S>) {
        for (page, record) in self.pins.lock().iter() {
            let book = cpu.read_book(*page);
            if book.pins == 0 {
                cpu.violate(
                    Invariant::Pin,
                    Some(*page),
                    "a pin record is left of a page that is not pinned",
                );
            } else if record.device != book.stand_in.get() {
                cpu.violate(
                    Invariant::Pair,
                    Some(*page),
                    "a pin record names another device page",
                );
            }
        }
    }

    /// RMAP, COW, DATA of one entry.
    fn quiet_entry(&self, cpu: &Cpu<'_, S>, mm: MmId, vpn: usize) {
        let entry = self.entry(mm, vpn);
        let Some(space) = self.mms.get(usize::from(mm.0)) else {
            return;
        };
        if space.find(vpn).is_none() {
            if entry != Entry::None {
                cpu.disagree_at(
                    Invariant::Data,
                    entry.named(),
                    (mm, vpn),
                    "an entry is left where there is no area",
                    Account::new("entry", Entry::None, entry),
                );
            }
            return;
        }
        let huge = matches!(
            space
                .tables
                .get(vpn / TABLE_PAGES)
                .map(|t| Pmd::unpack(t.pmd.load(Ordering::Relaxed))),
            Some(Pmd::Huge(..))
        );
        if !huge {
            cpu.check_rmap(mm, vpn);
        }
        if let (Entry::Page(page, _), true) = (entry, entry.write()) {
            let anonymous = self
                .frame(cpu.head(page))
                .is_some_and(|frame| matches!(frame.identity(), Identity::Anon(_)));
            if anonymous && cpu.sharers(page) > 1 {
                cpu.violate(Invariant::Cow, Some(page), "a shared page is writable");
            }
        }
        // Who writes such a page does not ask whether others have it.
        let exclusive = |page: &Pfn| {
            let frame = self.frame(*page);
            frame.is_some_and(|frame| frame.test(PageFlags::ANON_EXCLUSIVE))
        };
        if let Some(page) = entry.mapped().filter(exclusive) {
            if cpu.sharers(page) > 1 {
                cpu.violate(Invariant::Cow, Some(page), "a shared page is exclusive");
            }
        }
        let expected = cpu.expected(mm, vpn);
        let found = match entry {
            Entry::Page(page, _) => self.frame(page).map(|frame| frame.contents.get()),
            Entry::Zero(_) => Some(0),
            Entry::DevicePrivate(page, _) => {
                let home = cpu.read_book(page).original.get().unwrap_or(page);
                self.frame(home).map(|frame| frame.contents.get())
            }
            Entry::Swap(slot, _) => {
                let cached = self
                    .swap
                    .cache
                    .get(usize::from(slot))
                    .map_or(0, crate::sync::Plain::get);
                match self.frame(Pfn(cached as usize)) {
                    Some(frame) => Some(frame.contents.get()),
                    None => self
                        .swap
                        .disk
                        .get(usize::from(slot))
                        .map(crate::sync::Plain::get),
                }
            }
            Entry::None => match cpu.place(mm, vpn) {
                Place::Private => Some(0),
                _ => None,
            },
            Entry::Special(_) | Entry::Migration(..) | Entry::Other => None,
        };
        if let Some(found) = found {
            if found != expected {
                cpu.disagree_at(
                    Invariant::Data,
                    entry.named(),
                    (mm, vpn),
                    "memory does not hold the last write",
                    Account::new("contents", Says::Contents(expected), Says::Contents(found)),
                );
            }
        }
    }

    /// TLB: nothing stale is left.
    fn quiet_tlbs(&self, cpu: &Cpu<'_, S>) {
        for other in self.cpus.iter() {
            other.tlb.each(|mm, vpn, cached| {
                let entry = self.entry(mm, vpn);
                let same = match (cached, entry) {
                    (Entry::Page(a, _), Entry::Page(b, _)) => a == b,
                    (Entry::Zero(_), Entry::Zero(_)) | (Entry::Special(_), Entry::Special(_)) => {
                        true
                    }
                    _ => false,
                };
                if !same || (cached.write() && !entry.write()) {
                    // Not the books of the page: the TLB is in use here.
                    cpu.disagree_at(
                        Invariant::Tlb,
                        cached.named(),
                        (mm, vpn),
                        "a stale TLB entry is left",
                        Account::new("page table and TLB", entry, cached),
                    );
                }
            });
        }
    }

    /// NOTIFY, PAIR: what devices have mapped is what the CPU side grants them.
    fn quiet_devices(&self, cpu: &Cpu<'_, S>) {
        for device in self.devices.iter() {
            for mapping in device.table.lock().iter() {
                let entry = self.entry(mapping.mm, mapping.vpn as usize);
                let granted = match entry {
                    Entry::DevicePrivate(page, _) => {
                        let original = cpu.read_book(page).original.get();
                        (page == mapping.page || original == Some(mapping.page))
                            && (!mapping.write || entry.write())
                    }
                    _ => false,
                };
                if !granted {
                    let mapped = match mapping.write {
                        true => "mapped by the device for writing",
                        false => "mapped by the device for reading",
                    };
                    cpu.disagree_at(
                        Invariant::Notify,
                        Some(mapping.page),
                        (mapping.mm, mapping.vpn as usize),
                        "a device has a page mapped that the CPU side does not grant it",
                        Account::new("CPU side", entry, mapped),
                    );
                }
                if !cpu.read_book(mapping.page).alive {
                    cpu.violate(
                        Invariant::Uaf,
                        Some(mapping.page),
                        "a device has a free page mapped",
                    );
                }
            }
        }
    }

    /// CHARGE: the counters are the number of charged pages, and what is mapped is charged.
    fn quiet_charges(&self, cpu: &Cpu<'_, S>) {
        // By id + 1: those that are charged to nobody are counted too, so that there is nothing to decide.
        let mut found = [0; MAX_MEMCGS + 1];
        for frame in self.frames.iter() {
            if let Some(count) = found.get_mut(frame.memcg.get() as usize) {
                *count += 1;
            }
        }
        for (counter, charged) in self.memcgs.iter().zip(found.into_iter().skip(1)) {
            if charged != counter.get() {
                cpu.disagree(
                    Invariant::Charge,
                    None,
                    "a memory cgroup is charged for another number of pages than it has",
                    Account::new("pages of the cgroup", charged, counter.get()),
                );
            }
        }
        let mapped = |book: &PageBook, frame: &Frame<S>| {
            frame.memcg.get() == 0 && book.alive && book.entries > 0
        };
        let mut next = FIRST_PFN;
        while let Some(page) = self.next_page(next, mapped) {
            // A tail page has its head's charge.
            if cpu.head(page) == page {
                cpu.violate(
                    Invariant::Charge,
                    Some(page),
                    "a mapped page is charged to nobody",
                );
            }
            next = page.0 + 1;
        }
    }
}

// ---- when everybody has exited -----------------------------------------------------------------------------

impl<S: Synchronisation> Machine<S> {
    /// REF, PIN, PAIR: when every process has exited, all that may be in use is what a cache holds. Whatever else there
    /// is was lost: nobody will ever free it.
    pub fn check_nothing_left(&self) {
        if !S::LEDGER {
            return;
        }
        let cpu = self.cpu(ActorId(0));
        cpu.at("when all have exited");
        cpu.lru_drain_all();
        let busy = |book: &PageBook, _: &Frame<S>| {
            book.alive || book.pins > 0 || book.original.get().is_some()
        };
        let mut next = FIRST_PFN;
        while let Some(page) = self.next_page(next, busy) {
            next = page.0 + 1;
            let book = cpu.read_book(page);
            let some = Some(page);
            if book.pins > 0 {
                cpu.violate(
                    Invariant::Pin,
                    some,
                    "a page is left pinned, and nobody will release it",
                );
            }
            if book.original.get().is_some() {
                cpu.violate(
                    Invariant::Pair,
                    some,
                    "a pair is left, and nobody will forget it",
                );
            }
            if book.alive && book.cache == 0 {
                cpu.violate(
                    Invariant::Ref,
                    some,
                    "a page is left, and nobody will free it",
                );
            }
        }
        let left = self.pins.lock().first().map(|(page, _)| *page);
        if left.is_some() {
            cpu.violate(Invariant::Pin, left, "a pin record is left");
        }
    }
}
