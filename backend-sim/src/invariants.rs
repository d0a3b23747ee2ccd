//! The invariants of the design's table, each a small function: what is compared, and when.
//!
//! The ones that a single step can break are called from the place that takes the step;
//! [`Machine::check_quiescent`] looks at everything when nobody is doing anything.

use crate::config::{ActorId, MemcgId, MmId, VmaKind, TABLE_PAGES};
use crate::cpu::Cpu;
use crate::entry::{Entry, Pmd};
use crate::event::Event;
use crate::frame::{Identity, PageFlags, FIRST_PFN};
use crate::ledger::{Cell, Ledger};
use crate::machine::{LruState, Machine};
use crate::sync::{Atomic32, Synchronisation};
use crate::violation::Invariant;
use core::sync::atomic::Ordering;
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::{MigratePfn, Pfn, SrcPfn, GUP_PIN_COUNTING_BIAS};

/// After which stage a source word is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WordStage {
    /// Setup has returned.
    Setup,
    /// Pages has returned.
    Pages,
}

// ---- REF, PIN ---------------------------------------------------------------------------------------------

impl<S: Synchronisation> Cpu<'_, S> {
    /// REF and PIN: the count of a page is `count` now.
    pub(crate) fn check_count_of(&self, page: Pfn, count: u32) {
        if !S::LEDGER || !S::STEPWISE {
            return;
        }
        let book = self.read_book(page);
        if book.frozen_by != 0 {
            return;
        }
        let pins = u32::from(book.pins) + u32::from(book.gup_pins);
        let biases = count / GUP_PIN_COUNTING_BIAS;
        if biases != pins {
            self.disagree(
                Invariant::Pin,
                Some(page),
                "the bias of a page is not that of its pins",
                pins,
                biases,
            );
        } else if count != book.sum() {
            self.disagree(
                Invariant::Ref,
                Some(page),
                "the reference count is not what its holders hold",
                book.sum(),
                count,
            );
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
            self.disagree(
                Invariant::Uaf,
                some,
                "a page is freed that is mapped",
                book.entries.into(),
                0,
            );
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
        if book.stand_in.is_some() {
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
            self.disagree(
                Invariant::Ref,
                some,
                "a page is freed that is held",
                book.sum(),
                book.base.into(),
            );
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

    /// UAF: GUP-fast has a reference on `page`, which it found at `vpn` when the page had been handed out `lives` times.
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

    // ---- MAP, RMAP --------------------------------------------------------------------------------

    /// The outermost PTL section of this actor ends: what was touched in it has to be in order.
    pub(crate) fn settle(&self) {
        let (pages, entries) = {
            let mut books = self.m.ledger.lock();
            let doing = &mut books.doing[self.slot()];
            let pages = core::mem::take(&mut doing.pages);
            let entries = core::mem::take(&mut doing.entries);
            doing.cleared.clear();
            for page in &pages {
                if let Some(book) = books.page_mut(*page) {
                    book.flux = book.flux.saturating_sub(1);
                }
            }
            (pages, entries)
        };
        for page in pages {
            self.check_mapcount(page);
        }
        for (mm, vpn) in entries {
            self.check_rmap(mm, vpn.into());
        }
    }

    /// MAP: no PTL section is changing who maps the page.
    fn check_mapcount(&self, page: Pfn) {
        let book = self.read_book(page);
        if S::STEPWISE && book.flux == 0 && book.mapcount != i32::from(book.entries) {
            self.disagree(
                Invariant::Map,
                Some(page),
                "the map count is not the number of entries",
                book.entries.into(),
                book.mapcount as u32,
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
            self.disagree_at(
                Invariant::Rmap,
                Some(page),
                Some((mm, vpn)),
                "an entry is not found from its page",
                0,
                0,
            );
        }
    }

    // ---- UAF, EXCL: a new mapping -----------------------------------------------------------------

    /// A page-table entry maps `page` now.
    pub(crate) fn check_mapping(&self, page: Pfn, present: bool) {
        let book = self.read_book(page);
        if !self.read_book(self.head(page)).alive {
            self.violate(Invariant::Uaf, Some(page), "a free page is mapped");
        }
        if present && self.is_device_page(page) {
            self.violate(
                Invariant::Uaf,
                Some(page),
                "device memory is mapped for a CPU",
            );
        }
        if present && book.device_maps > 0 {
            self.violate(
                Invariant::Excl,
                Some(page),
                "a page is mapped for a CPU while a device has atomic access to it",
            );
        }
    }

    // ---- TLB, EXCL: what relies on an unmap -------------------------------------------------------

    /// A device gets, or uses, access to `page`: no CPU may reach it.
    pub(crate) fn check_exclusive(&self, page: Pfn) {
        if !S::LEDGER || self.is_device_page(page) {
            return;
        }
        let book = self.read_book(page);
        if book.present > 0 {
            self.disagree(
                Invariant::Excl,
                Some(page),
                "a device has atomic access to a page that CPUs have mapped",
                0,
                book.present.into(),
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
            self.violate(
                Invariant::Tlb,
                Some(page),
                "a page is copied that a TLB can still write",
            );
        }
    }

    // ---- LRU, CHARGE ------------------------------------------------------------------------------

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
            self.disagree(
                Invariant::Lru,
                Some(page),
                "a page is on the LRU twice",
                1,
                listed.into(),
            );
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

    // ---- PTE --------------------------------------------------------------------------------------

    /// A page is about to be unlocked: whoever waits for its migration entries will not find them changed later.
    pub(crate) fn check_unlock(&self, page: Pfn) {
        let migration = self.read_book(page).migration;
        if migration > 0 {
            self.disagree(
                Invariant::Pte,
                Some(page),
                "a page is unlocked that migration entries name",
                0,
                migration.into(),
            );
        }
    }

    // ---- COW --------------------------------------------------------------------------------------

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
            self.disagree(
                Invariant::Cow,
                Some(page),
                "a page is written that several address spaces read as private",
                1,
                places,
            );
        }
    }

    /// Is `page` shared by a fork that is under way, at a page of parent and child?
    fn being_forked(&self, page: Pfn) -> bool {
        let books = self.m.ledger.lock();
        let mut forks = books.doing.iter().filter_map(|doing| doing.forking);
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
        if let Some(stand_in) = book.stand_in {
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

    // ---- DATA -------------------------------------------------------------------------------------

    /// What a read of this page must see.
    pub(crate) fn expected(&self, mm: MmId, vpn: usize) -> u32 {
        let mut books = self.m.ledger.lock();
        expected_in(self.m, &mut books, mm, vpn)
    }

    /// A read of `mm` at `vpn` saw `value`.
    pub(crate) fn check_read(&self, mm: MmId, vpn: usize, page: Option<Pfn>, value: u32) {
        if !S::LEDGER || !S::STEPWISE {
            return;
        }
        let expected = self.expected(mm, vpn);
        if expected != value {
            self.disagree_at(
                Invariant::Data,
                page,
                Some((mm, vpn)),
                "a read does not see the last write",
                expected,
                value,
            );
        }
    }

    /// `mm` wrote `value` at `vpn`.
    pub(crate) fn note_write(&self, mm: MmId, vpn: usize, value: u32) {
        if !S::LEDGER {
            return;
        }
        let place = self.place(mm, vpn);
        let mut books = self.m.ledger.lock();
        match place {
            Place::File(file, index) => {
                if let Some(cell) = books
                    .file_cells
                    .get_mut(file)
                    .and_then(|file| file.get_mut(index))
                {
                    *cell = value;
                }
            }
            Place::Private | Place::PrivateFile(..) => {
                let cell = Cell {
                    value,
                    own: true,
                    free: false,
                };
                // A fork that has write-protected the page, and not flushed the TLBs yet: the child has it too.
                let forking = books.doing.iter().find_map(|doing| doing.forking);
                if let Some((_, child)) = forking.filter(|(parent, _)| *parent == mm) {
                    let shared = books.standing(mm, vpn).named();
                    if shared.is_some() && books.standing(child, vpn).named() == shared {
                        if let Some(place) = books.cell_mut(child, vpn) {
                            *place = cell;
                        }
                    }
                }
                if let Some(place) = books.cell_mut(mm, vpn) {
                    *place = cell;
                }
            }
        }
    }

    /// The page at `vpn` became private memory that holds `value`, without having been written by the process.
    pub(crate) fn note_own(&self, mm: MmId, vpn: usize, value: u32) {
        if !S::LEDGER {
            return;
        }
        if let Some(cell) = self.m.ledger.lock().cell_mut(mm, vpn) {
            *cell = Cell {
                value,
                own: true,
                free: false,
            };
        }
    }

    /// The page at `vpn` may be dropped: `MADV_FREE`.
    pub(crate) fn note_free(&self, mm: MmId, vpn: usize) {
        if !S::LEDGER {
            return;
        }
        if let Some(cell) = self.m.ledger.lock().cell_mut(mm, vpn) {
            cell.free = true;
        }
    }

    /// DATA: reclaim drops a page that was lazily freed.
    pub(crate) fn note_dropped(&self, mm: MmId, vpn: usize, page: Pfn) {
        if !S::LEDGER {
            return;
        }
        let free = self
            .m
            .ledger
            .lock()
            .cell_mut(mm, vpn)
            .is_none_or(|cell| cell.free);
        let book = self.read_book(page);
        if !free && (book.gup > 0 || book.gup_pins > 0) {
            // Written through GUP and not marked dirty yet: 5.11 loses that, and it is not the pipeline's doing.
            self.event(Event::GupStaleWrite);
        } else if !free {
            self.disagree_at(
                Invariant::Data,
                Some(page),
                Some((mm, vpn)),
                "a lazily freed page is dropped that was written since",
                0,
                0,
            );
        }
        self.note_zapped(mm, vpn);
    }

    /// The page at `vpn` went back to what a fresh mapping holds.
    pub(crate) fn note_zapped(&self, mm: MmId, vpn: usize) {
        if !S::LEDGER {
            return;
        }
        let mut books = self.m.ledger.lock();
        for doing in &mut books.doing {
            doing
                .cleared
                .retain(|(space, page, _)| (*space, usize::from(*page)) != (mm, vpn));
        }
        if let Some(cell) = books.cell_mut(mm, vpn) {
            *cell = Cell::default();
        }
    }

    /// Where the words of this page of an address space are kept.
    pub(crate) fn place(&self, mm: MmId, vpn: usize) -> Place {
        place_in(self.m, mm, vpn)
    }
}

/// Where a word of an address space lives, in the reference model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the file.
    File(usize, usize),
    /// In the file until it is written.
    PrivateFile(usize, usize),
    /// In the address space.
    Private,
}

fn place_in<S: Synchronisation>(machine: &Machine<S>, mm: MmId, vpn: usize) -> Place {
    let Some(space) = machine.mms.get(usize::from(mm.0)) else {
        return Place::Private;
    };
    let Some(area) = space
        .find(vpn)
        .and_then(|index| space.areas.get(usize::from(index)))
    else {
        return Place::Private;
    };
    let index = area.index_of(vpn) as usize;
    match area.kind() {
        VmaKind::Shared(file, _) => Place::File(file.0.into(), index),
        VmaKind::Private(file, _) => Place::PrivateFile(file.0.into(), index),
        _ => Place::Private,
    }
}

fn expected_in<S: Synchronisation>(
    machine: &Machine<S>,
    books: &mut Ledger<S>,
    mm: MmId,
    vpn: usize,
) -> u32 {
    let in_file = |books: &Ledger<S>, file: usize, index: usize| {
        books
            .file_cells
            .get(file)
            .and_then(|file| file.get(index))
            .copied()
            .unwrap_or(0)
    };
    let own = books
        .cell_mut(mm, vpn)
        .map(|cell| *cell)
        .unwrap_or_default();
    match place_in(machine, mm, vpn) {
        Place::File(file, index) => in_file(books, file, index),
        Place::PrivateFile(file, index) if !own.own => in_file(books, file, index),
        _ => own.value,
    }
}

// ---- COUNT, WORD: for whoever runs the stages --------------------------------------------------------------

impl<S: Synchronisation> Cpu<'_, S> {
    /// COUNT: `cpages` is the number of entries with MIGRATE when setup returns.
    pub fn check_count(&self, src: &[SrcPfn], cpages: usize) {
        let migrating = src.iter().filter(|word| word.migrating()).count();
        if migrating != cpages {
            self.disagree(
                Invariant::Count,
                None,
                "cpages is not the number of entries with MIGRATE",
                migrating as u32,
                cpages as u32,
            );
        }
    }

    /// WORD: a source word has only the bits that its stage allows.
    pub fn check_word(&self, stage: WordStage, word: SrcPfn) {
        if !word_allowed(self.m.shape, stage, word) {
            self.disagree(
                Invariant::Word,
                word.pfn(),
                "a source word has bits that its stage does not allow",
                0,
                word.raw() as u32,
            );
        }
    }

    /// [`check_word`](Self::check_word) of a whole array.
    pub fn check_words(&self, stage: WordStage, src: &[SrcPfn]) {
        for word in src {
            self.check_word(stage, *word);
        }
    }
}

/// Is this a source word that a driver may see after `stage`?
#[must_use]
pub fn word_allowed(shape: ShapeKind, stage: WordStage, word: SrcPfn) -> bool {
    let flags = word.flags();
    let raw = word.raw();
    let pfn = raw >> migrate_pin_core::MIGRATE_PFN_SHIFT;
    if raw & migrate_pin_core::pfn::RESERVED_BITS != 0 {
        return false;
    }
    if flags.contains(MigratePfn::VALID) != (pfn != 0) {
        return false;
    }
    if !flags.contains(MigratePfn::VALID) {
        // Nothing, a pin that was asked for and not even tried, an empty entry, or the zero page, whose word keeps PIN.
        return MigratePfn::PIN.union(MigratePfn::MIGRATE).contains(flags);
    }
    let locked = match shape {
        ShapeKind::V5_11 => flags.contains(MigratePfn::LOCKED),
        ShapeKind::V6_12 => !flags.contains(MigratePfn::LOCKED),
    };
    let migrating = match stage {
        WordStage::Setup => flags.contains(MigratePfn::MIGRATE),
        WordStage::Pages => true,
    };
    locked && migrating
}

// ---- when all is quiet -------------------------------------------------------------------------------------

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
        for page in self.pfns() {
            self.quiet_page(&cpu, page);
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
        if !self.ledger.lock().sections.is_empty() {
            cpu.violate(Invariant::Lock, None, "a notifier section is left open");
        }
    }

    /// LOCK: all are free.
    fn quiet_locks(&self, cpu: &Cpu<'_, S>) {
        for page in self.pfns() {
            if self
                .frame(page)
                .is_some_and(|frame| frame.lock.owner().is_some())
            {
                cpu.violate(Invariant::Lock, Some(page), "a page is left locked");
            }
        }
        let mut held = self.lru_lock.owner().is_some()
            || self.zone_lock.owner().is_some()
            || self.pin_lock.owner().is_some()
            || self.swap.lock.owner().is_some()
            || self.swap.cache_lock.owner().is_some();
        for space in &self.mms {
            held |= !space.mmap_lock.is_free();
            held |= space.tables.iter().any(|table| table.ptl.owner().is_some());
        }
        held |= self
            .cpus
            .iter()
            .any(|cpu| cpu.lock.owner().is_some() || cpu.tlb.lock.owner().is_some());
        held |= self.anon_vmas.iter().any(|anon| !anon.lock.is_free());
        held |= self
            .files
            .iter()
            .any(|file| file.i_pages.owner().is_some() || !file.i_mmap.is_free());
        held |= self.devices.iter().any(|device| {
            device.table_lock.owner().is_some() || device.pool_lock.owner().is_some()
        });
        if held {
            cpu.violate(Invariant::Lock, None, "a lock is left taken");
        }
    }

    /// REF, MAP, LRU, PIN, PAIR, PTE of one page.
    fn quiet_page(&self, cpu: &Cpu<'_, S>, page: Pfn) {
        let Some(frame) = self.frame(page) else {
            return;
        };
        let book = cpu.read_book(page);
        let some = Some(page);
        let count = frame.count.load(Ordering::Relaxed);
        let mapcount = frame.mapcount.load(Ordering::Relaxed);
        if frame.head.get() != 0 && frame.head.get() as usize != page.0 {
            return; // A tail page: its head is looked at.
        }
        if !book.alive {
            if count != u32::from(book.base) {
                cpu.disagree(
                    Invariant::Ref,
                    some,
                    "a free page has references",
                    book.base.into(),
                    count,
                );
            }
            return;
        }
        let pins = u32::from(book.pins) + u32::from(book.gup_pins);
        if count / GUP_PIN_COUNTING_BIAS != pins {
            cpu.disagree(
                Invariant::Pin,
                some,
                "the bias of a page is not that of its pins",
                pins,
                count / GUP_PIN_COUNTING_BIAS,
            );
        } else if count != book.sum() {
            cpu.disagree(
                Invariant::Ref,
                some,
                "the reference count is not what its holders hold",
                book.sum(),
                count,
            );
        }
        if book.gup > 0 || book.held.iter().any(|held| *held > 0) {
            cpu.violate(Invariant::Ref, some, "a reference is never dropped");
        }
        if mapcount != u32::from(book.entries) {
            cpu.disagree(
                Invariant::Map,
                some,
                "the map count is not the number of entries",
                book.entries.into(),
                mapcount,
            );
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
        if let Some(original) = book.original {
            let other = cpu.read_book(original);
            if other.stand_in != Some(page) {
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
        let pins = self.pins.lock().clone();
        for (page, record) in &pins {
            let book = cpu.read_book(*page);
            if book.pins == 0 {
                cpu.violate(
                    Invariant::Pin,
                    Some(*page),
                    "a pin record is left of a page that is not pinned",
                );
            } else if record.device != book.stand_in {
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
                cpu.violate(
                    Invariant::Data,
                    entry.named(),
                    "an entry is left where there is no area",
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
        let expected = cpu.expected(mm, vpn);
        let found = match entry {
            Entry::Page(page, _) => self.frame(page).map(|frame| frame.contents.get()),
            Entry::Zero(_) => Some(0),
            Entry::DevicePrivate(page, _) => {
                let home = cpu.read_book(page).original.unwrap_or(page);
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
                    Some((mm, vpn)),
                    "memory does not hold the last write",
                    expected,
                    found,
                );
            }
        }
    }

    /// TLB: nothing stale is left.
    fn quiet_tlbs(&self, cpu: &Cpu<'_, S>) {
        for (index, space) in self.mms.iter().enumerate() {
            let mm = MmId(index as u8);
            for vpn in 0..space.entries.len() {
                let entry = self.entry(mm, vpn);
                for other in &self.cpus {
                    let Some(cached) = other.tlb.lookup(mm, vpn) else {
                        continue;
                    };
                    let same = match (cached, entry) {
                        (Entry::Page(a, _), Entry::Page(b, _)) => a == b,
                        (Entry::Zero(_), Entry::Zero(_))
                        | (Entry::Special(_), Entry::Special(_)) => true,
                        _ => false,
                    };
                    if !same || (cached.write() && !entry.write()) {
                        cpu.violate(Invariant::Tlb, cached.named(), "a stale TLB entry is left");
                    }
                }
            }
        }
    }

    /// NOTIFY, PAIR: what devices have mapped is what the CPU side grants them.
    fn quiet_devices(&self, cpu: &Cpu<'_, S>) {
        for device in &self.devices {
            let table = device.table.lock().clone();
            for mapping in &table {
                let entry = self.entry(mapping.mm, mapping.vpn as usize);
                let granted = match entry {
                    Entry::DevicePrivate(page, _) => {
                        let original = cpu.read_book(page).original;
                        (page == mapping.page || original == Some(mapping.page))
                            && (!mapping.write || entry.write())
                    }
                    _ => false,
                };
                if !granted {
                    cpu.violate(
                        Invariant::Notify,
                        Some(mapping.page),
                        "a device has a page mapped that the CPU side does not grant it",
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
        for (index, counter) in self.memcgs.iter().enumerate() {
            let memcg = MemcgId(index as u8);
            let charged = self
                .frames
                .iter()
                .filter(|frame| frame.memcg.get() == u32::from(memcg.0) + 1)
                .count() as u32;
            if charged != counter.get() {
                cpu.disagree(
                    Invariant::Charge,
                    None,
                    "a memory cgroup is charged for another number of pages than it has",
                    charged,
                    counter.get(),
                );
            }
        }
        for (index, frame) in self.frames.iter().enumerate() {
            let page = Pfn(FIRST_PFN + index);
            let book = cpu.read_book(page);
            let tail = frame.head.get() != 0 && frame.head.get() as usize != page.0;
            if book.alive && book.entries > 0 && !tail && frame.memcg.get() == 0 {
                cpu.violate(
                    Invariant::Charge,
                    Some(page),
                    "a mapped page is charged to nobody",
                );
            }
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
        for page in self.pfns() {
            let book = cpu.read_book(page);
            let some = Some(page);
            if book.pins > 0 {
                cpu.violate(
                    Invariant::Pin,
                    some,
                    "a page is left pinned, and nobody will release it",
                );
            }
            if book.original.is_some() {
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
        if !self.pins.lock().is_empty() {
            cpu.violate(Invariant::Pin, None, "a pin record is left");
        }
    }
}
