//! The ledger: who holds what, kept apart from the machine's own counters, invisible to engines.
//!
//! Double entry: every reference that the machine's atomic counter has is entered here under its holder, and
//! moves from holder to holder as the kernel's code hands it on. The machine's counter is never read to fill the
//! ledger, so that the two can disagree. [`invariants`](crate::invariants) compares them.
//!
//! The ledger is locked for single entries only, never across a visible operation.

use crate::config::{
    Config, MmId, MAX_ACTORS, MAX_FILES, MAX_FILE_PAGES, MAX_FRAMES, MAX_MM_PAGES,
};
use crate::cpu::Cpu;
use crate::entry::Entry;
use crate::frame::frame_index;
use crate::machine::LruState;
use crate::restore::{restore, Restore};
use crate::sides::{Account, Sides};
use crate::sync::{Room, Store, Synchronisation};
use crate::violation::{Invariant, Violation};
use core::ops::DerefMut;
use migrate_pin_core::ops::{NotifyEvent, Owner};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::{Pfn, GUP_PIN_COUNTING_BIAS};
use zerocopy::{Immutable, IntoBytes};

/// Who holds a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The acting actor, for itself.
    Actor,
    /// The page or swap cache.
    Cache,
    /// The file system, for private data.
    Private,
    /// A per-CPU LRU batch.
    Batch,
    /// Who took the page off the LRU.
    Isolation,
    /// `get_user_pages()`, for whoever has the reference now.
    Gup,
}

/// A page that the ledger names, or none, in four bytes: books are read all the time, and the smaller they are the more of them is
/// near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(transparent)]
pub(crate) struct Link(u32);

impl Link {
    pub(crate) const NONE: Self = Self(0);

    /// The page. Pfn 0 is none.
    #[inline]
    pub(crate) fn get(self) -> Option<Pfn> {
        (self.0 != 0).then_some(Pfn(self.0 as usize))
    }

    /// Name this page now; which one was named?
    pub(crate) fn replace(&mut self, page: Pfn) -> Option<Pfn> {
        core::mem::replace(self, page.into()).get()
    }

    /// Name none now; which one was named?
    pub(crate) fn take(&mut self) -> Option<Pfn> {
        core::mem::take(self).get()
    }
}

impl From<Pfn> for Link {
    fn from(page: Pfn) -> Self {
        Self(page.0 as u32)
    }
}

/// What the ledger knows of a page. Without a gap between its fields, so that books can be compared as rows of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct PageBook {
    /// Of a device page: the original it stands for, by the driver's word.
    pub(crate) original: Link,
    /// The same, and kept after the pair was forgotten, while the device page is on its way out.
    pub(crate) home: Link,
    /// Of an original: the device page that stands for it, by the driver's word.
    pub(crate) stand_in: Link,
    /// How often it was handed out.
    pub(crate) lives: u32,
    /// The map count after the last operation on it.
    pub(crate) mapcount: i32,
    /// Entries that map the page: present or device-private; of a head page also huge ones.
    pub(crate) entries: u16,
    /// Those of them that are present.
    pub(crate) present: u16,
    /// Migration entries that name the page.
    pub(crate) migration: u16,
    /// References of entries (for a compound page: on its head).
    pub(crate) entry_refs: u16,
    /// References by actors.
    pub(crate) held: [u8; MAX_ACTORS],
    /// Not free.
    pub(crate) alive: bool,
    /// 5.11: the reference that a device page always has.
    pub(crate) base: u8,
    /// References by the page or swap cache.
    pub(crate) cache: u8,
    /// References by the file system.
    pub(crate) private: u8,
    /// References by LRU batches.
    pub(crate) batch: u8,
    /// How often it is in a batch: a page on the list may still be held by the batch it came from.
    pub(crate) batched: u8,
    /// References by who isolated it.
    pub(crate) isolated: u8,
    /// How often it is on the list.
    pub(crate) listed: u8,
    /// Pins by the pipeline.
    pub(crate) pins: u8,
    /// Pins by GUP.
    pub(crate) gup_pins: u8,
    /// References by GUP.
    pub(crate) gup: u8,
    /// Who froze the count: actor + 1.
    pub(crate) frozen_by: u8,
    /// PTL sections that have changed an entry of the page.
    pub(crate) flux: u8,
    /// Device mappings of the page.
    pub(crate) device_maps: u8,
    /// Charges.
    pub(crate) charges: u8,
    /// A device page's pair was forgotten since it was handed out.
    pub(crate) forgotten: bool,
}

impl PageBook {
    /// What the reference count must be.
    pub(crate) fn sum(&self) -> u32 {
        let held: u32 = self.held.iter().map(|held| u32::from(*held)).sum();
        u32::from(self.base)
            + u32::from(self.entry_refs)
            + u32::from(self.cache)
            + u32::from(self.private)
            + u32::from(self.batch)
            + u32::from(self.isolated)
            + u32::from(self.gup)
            + held
            + GUP_PIN_COUNTING_BIAS * (u32::from(self.pins) + u32::from(self.gup_pins))
    }

    pub(crate) fn lru_state(&self) -> LruState {
        match (self.listed, self.batched, self.isolated) {
            (0, 0, 0) => LruState::None,
            (1, 0, 0) => LruState::Listed,
            (0, 1, 0) => LruState::Batch,
            (0, 0, 1) => LruState::Isolated,
            _ => LruState::Confused,
        }
    }
}

/// What a page of an address space must read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) value: u32,
    /// A private mapping of a file has a copy of its own.
    pub(crate) own: bool,
    /// `MADV_FREE`, and not written since: it may read as zero from any time on.
    pub(crate) free: bool,
}

/// A notifier section that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) mm: MmId,
    pub(crate) first: usize,
    pub(crate) until: usize,
    pub(crate) event: NotifyEvent,
    pub(crate) owner: Option<Owner>,
    pub(crate) actor: u8,
}

/// What an actor is doing.
pub(crate) struct Doing<S: Synchronisation> {
    /// PTLs held.
    pub(crate) tables: u8,
    /// Entries that were changed under them, and pages that were touched.
    pub(crate) entries: S::Array<(MmId, u16), 16>,
    /// Entries that were cleared under them, and will be set again before they are dropped, or zapped.
    pub(crate) cleared: S::Array<(MmId, u16, u32), 16>,
    pub(crate) pages: S::Array<Pfn, 32>,
    /// Is in the middle of a fork of this address space into that.
    pub(crate) forking: Option<(MmId, MmId)>,
}

restore!(Doing: parts; rows entries cleared pages; words tables forking; same);

impl<S: Synchronisation> Default for Doing<S> {
    fn default() -> Self {
        Self {
            tables: 0,
            entries: S::Array::default(),
            cleared: S::Array::default(),
            pages: S::Array::default(),
            forking: None,
        }
    }
}

/// What each actor is doing, by its [slot](Cpu::slot). There are two actors mostly, and places for eight: those from `used` on are as
/// they were made, and nobody looks there.
pub(crate) struct Doings<S: Synchronisation> {
    each: [Doing<S>; MAX_ACTORS],
    used: usize,
}

impl<S: Synchronisation> Default for Doings<S> {
    fn default() -> Self {
        Self {
            each: core::array::from_fn(|_| Doing::default()),
            used: 0,
        }
    }
}

impl<S: Synchronisation> Doings<S> {
    /// What is done, of all who have done anything.
    #[inline]
    pub(crate) fn all(&self) -> &[Doing<S>] {
        &self.each[..self.used]
    }

    #[inline]
    pub(crate) fn all_mut(&mut self) -> &mut [Doing<S>] {
        &mut self.each[..self.used]
    }

    /// What the actor in this place does.
    #[inline]
    pub(crate) fn of(&mut self, slot: usize) -> &mut Doing<S> {
        self.used = self.used.max(slot + 1);
        &mut self.each[slot]
    }
}

impl<S: Synchronisation> Restore for Doings<S> {
    #[inline]
    fn restore(&mut self, from: &mut Self) {
        let used = self.used.max(from.used);
        self.each[..used].restore(&mut from.each[..used]);
        self.used = from.used;
    }
    #[inline]
    fn difference(&mut self, other: &mut Self) -> u32 {
        let used = self.used.max(other.used);
        self.each[..used].difference(&mut other.each[..used])
    }
}

/// The name of a primitive. The same only if it stands in the same place: all that are told apart by this for nothing is the
/// same name in two places, and nobody reads names to see that they are the same, which they nearly always are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Primitive(pub(crate) &'static str);

impl PartialEq for Primitive {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.0, other.0)
    }
}

/// How many violations are kept.
pub(crate) const MAX_VIOLATIONS: usize = 16;

/// The books.
pub(crate) struct Ledger<S: Synchronisation> {
    pub(crate) pages: S::Array<PageBook, MAX_FRAMES>,
    /// What each entry was last set to, by address space and page.
    pub(crate) shadow: S::Array<u32, MAX_MM_PAGES>,
    pub(crate) cells: S::Array<Cell, MAX_MM_PAGES>,
    pub(crate) mm_pages: usize,
    /// What each page of a file must read as.
    pub(crate) file_cells: S::Array<[u32; MAX_FILE_PAGES], MAX_FILES>,
    pub(crate) sections: S::Array<Section, 16>,
    /// Pages that are being zapped, until their TLB entries are flushed: who uses those meanwhile gets what he gets.
    pub(crate) windows: S::Array<(MmId, usize, usize, u8), 16>,
    pub(crate) doing: Doings<S>,
    /// Which primitive or path each actor is in, for reports.
    pub(crate) primitives: [Primitive; MAX_ACTORS],
    pub(crate) violations: S::Array<Violation, MAX_VIOLATIONS>,
    pub(crate) found: u32,
    /// The invariants that were found broken, bit `invariant as u8`, those that there was no room for included.
    pub(crate) broken: u32,
}

restore!(Ledger:
    parts doing; bytes pages shadow; rows file_cells cells sections windows violations; words primitives found broken;
    same mm_pages);

/// The ledger, which whoever makes an entry has alone.
pub(crate) struct Books<S: Synchronisation>(S::Room<Ledger<S>>);

impl<S: Synchronisation> Books<S> {
    pub(crate) fn new(ledger: Ledger<S>) -> Self {
        Self(Room::new(ledger))
    }

    #[inline]
    pub(crate) fn lock(&self) -> impl DerefMut<Target = Ledger<S>> + '_ {
        self.0.lock()
    }

    #[cfg(feature = "engines")]
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut Ledger<S> {
        self.0.get_mut()
    }
}

impl<S: Synchronisation> Restore for Books<S> {
    fn restore(&mut self, from: &mut Self) {
        self.0.get_mut().restore(from.0.get_mut());
    }
    fn difference(&mut self, other: &mut Self) -> u32 {
        self.0.get_mut().difference(other.0.get_mut())
    }
}

impl<S: Synchronisation> Ledger<S> {
    pub(crate) fn new(config: &Config<'_>, system_pages: usize, device_pages: usize) -> Self {
        let mm_pages = usize::from(config.mm_pages);
        let entries = mm_pages * config.mms.len();
        let file_cells = S::Array::from_fn(config.files.len(), |file| {
            let words = config.files[file].contents;
            core::array::from_fn(|page| words.get(page).copied().unwrap_or(0))
        });
        Self {
            pages: S::Array::from_fn(system_pages + device_pages, |index| PageBook {
                base: u8::from(index >= system_pages && config.shape == ShapeKind::V5_11),
                ..PageBook::default()
            }),
            shadow: S::Array::from_fn(entries, |_| 0),
            cells: S::Array::from_fn(entries, |_| Cell::default()),
            mm_pages,
            file_cells,
            sections: S::Array::default(),
            windows: S::Array::default(),
            doing: Doings::default(),
            primitives: [Primitive(""); MAX_ACTORS],
            violations: S::Array::default(),
            found: 0,
            broken: 0,
        }
    }

    pub(crate) fn page(&self, page: Pfn) -> Option<&PageBook> {
        self.pages.get(frame_index(page))
    }

    pub(crate) fn page_mut(&mut self, page: Pfn) -> Option<&mut PageBook> {
        self.pages.get_mut(frame_index(page))
    }

    pub(crate) fn cell_mut(&mut self, mm: MmId, page: usize) -> Option<&mut Cell> {
        let index = usize::from(mm.0) * self.mm_pages + page;
        (page < self.mm_pages)
            .then(|| self.cells.get_mut(index))
            .flatten()
    }

    pub(crate) fn shadow(&self, mm: MmId, page: usize) -> Entry {
        let index = usize::from(mm.0) * self.mm_pages + page;
        self.shadow
            .get(index)
            .map_or(Entry::None, |word| Entry::unpack(*word))
    }

    /// What stands at a page, or stood there before a PTL section that is about to set it again.
    pub(crate) fn standing(&self, mm: MmId, page: usize) -> Entry {
        let now = self.shadow(mm, page);
        if now != Entry::None {
            return now;
        }
        // Loops and no chain of iterators: nearly always all lists are empty.
        for doing in self.doing.all() {
            for (space, vpn, was) in doing.cleared.iter() {
                if *space == mm && usize::from(*vpn) == page {
                    return Entry::unpack(*was);
                }
            }
        }
        Entry::None
    }

    /// What stood at a page, and is cleared, is not set again.
    pub(crate) fn forget_cleared(&mut self, mm: MmId, page: usize) {
        for doing in self.doing.all_mut() {
            if !doing.cleared.is_empty() {
                doing
                    .cleared
                    .retain(|(space, vpn, _)| (*space, usize::from(*vpn)) != (mm, page));
            }
        }
    }

    /// The page is in flux until the PTL section of the actor in this place ends.
    fn touch(&mut self, slot: usize, page: Pfn) {
        let doing = self.doing.of(slot);
        if !doing.pages.contains(&page) && doing.pages.push(page).is_ok() {
            if let Some(book) = self.page_mut(page) {
                book.flux += 1;
            }
        }
    }

    pub(crate) fn set_shadow(&mut self, mm: MmId, page: usize, entry: Entry) {
        let index = usize::from(mm.0) * self.mm_pages + page;
        if let Some(word) = self.shadow.get_mut(index) {
            *word = entry.pack();
        }
    }
}

impl<S: Synchronisation> Cpu<'_, S> {
    /// Record that an invariant is broken: of a page with what the ledger and the machine have of it.
    #[cold]
    #[inline(never)]
    pub(crate) fn violate(&self, invariant: Invariant, page: Option<Pfn>, what: &'static str) {
        self.violate_at(invariant, page, None, what);
    }

    /// The same, about one place of an address space.
    #[cold]
    #[inline(never)]
    pub(crate) fn violate_at(
        &self,
        invariant: Invariant,
        page: Option<Pfn>,
        place: Option<(MmId, usize)>,
        what: &'static str,
    ) {
        if !S::LEDGER {
            return;
        }
        let sides = page.map_or(Sides::Neither, |page| self.sides(invariant, page));
        self.report(invariant, page, place, what, sides);
    }

    /// The same where the count of the page is this.
    #[cold]
    #[inline(never)]
    pub(crate) fn violate_count(
        &self,
        invariant: Invariant,
        page: Pfn,
        what: &'static str,
        count: u32,
    ) {
        if !S::LEDGER {
            return;
        }
        let mut sides = self.sides(invariant, page);
        if let Sides::Page(page) = &mut sides {
            page.count = Some(count);
        }
        self.report(invariant, Some(page), None, what, sides);
    }

    /// Record that the ledger and the machine disagree about one account.
    #[cold]
    #[inline(never)]
    pub(crate) fn disagree(
        &self,
        invariant: Invariant,
        page: Option<Pfn>,
        what: &'static str,
        account: Account,
    ) {
        self.report(invariant, page, None, what, Sides::One(account));
    }

    /// The same, about one place of an address space.
    #[cold]
    #[inline(never)]
    pub(crate) fn disagree_at(
        &self,
        invariant: Invariant,
        page: Option<Pfn>,
        place: (MmId, usize),
        what: &'static str,
        account: Account,
    ) {
        self.report(invariant, page, Some(place), what, Sides::One(account));
    }

    /// Said once: the same of the same page adds nothing.
    fn report(
        &self,
        invariant: Invariant,
        page: Option<Pfn>,
        place: Option<(MmId, usize)>,
        what: &'static str,
        sides: Sides,
    ) {
        if !S::LEDGER {
            return;
        }
        let step = self.m.step();
        let mut books = self.m.ledger.lock();
        let known = books
            .violations
            .iter()
            .any(|v| v.invariant == invariant && v.page == page && v.what == what);
        if known {
            return;
        }
        books.found += 1;
        books.broken |= 1 << invariant as u8;
        let Primitive(primitive) = books.primitives[self.slot()];
        // When there is no room the oldest ones are worth more.
        let _ = books.violations.push(Violation {
            invariant,
            page,
            place: place.map(|(mm, vpn)| (mm, vpn as u16)),
            what,
            sides,
            actor: self.actor,
            step,
            primitive,
        });
    }

    /// Say what the actor is doing, for reports.
    pub(crate) fn at(&self, primitive: &'static str) {
        S::at(primitive);
        if S::LEDGER {
            self.m.ledger.lock().primitives[self.slot()] = Primitive(primitive);
        }
    }

    /// The actor's place in per-actor lists.
    pub(crate) fn slot(&self) -> usize {
        usize::from(self.actor.0) % MAX_ACTORS
    }

    /// Make an entry in the book of a page. None without a ledger, or if there is no such page.
    pub(crate) fn book<R>(&self, page: Pfn, entry: impl FnOnce(&mut PageBook) -> R) -> Option<R> {
        if !S::LEDGER {
            return None;
        }
        self.m.ledger.lock().page_mut(page).map(entry)
    }

    /// The book of a page as it stands.
    pub(crate) fn read_book(&self, page: Pfn) -> PageBook {
        self.book(page, |book| *book).unwrap_or_default()
    }

    /// Add `count` references of `hold` to the book.
    pub(crate) fn enter(&self, page: Pfn, hold: Hold, count: u8) {
        let slot = self.slot();
        self.book(page, |book| {
            let place = match hold {
                Hold::Actor => &mut book.held[slot],
                Hold::Cache => &mut book.cache,
                Hold::Private => &mut book.private,
                Hold::Batch => &mut book.batch,
                Hold::Isolation => &mut book.isolated,
                Hold::Gup => &mut book.gup,
            };
            *place = place.saturating_add(count);
        });
    }

    /// Take one reference of `hold` from the book; REF is broken if there is none.
    pub(crate) fn leave(&self, page: Pfn, hold: Hold) {
        let slot = self.slot();
        let had = self.book(page, |book| {
            let place = match hold {
                Hold::Actor => &mut book.held[slot],
                Hold::Cache => &mut book.cache,
                Hold::Private => &mut book.private,
                Hold::Batch => &mut book.batch,
                Hold::Isolation => &mut book.isolated,
                Hold::Gup => &mut book.gup,
            };
            let had = *place;
            *place = had.saturating_sub(1);
            had
        });
        if had == Some(0) {
            self.not_held(page, hold);
        }
    }

    #[cold]
    #[inline(never)]
    fn not_held(&self, page: Pfn, hold: Hold) {
        let what = match hold {
            Hold::Actor => "a reference is dropped that the actor does not hold",
            Hold::Cache => "a cache drops a reference that it does not hold",
            Hold::Private => "private data drops a reference that it does not hold",
            Hold::Batch => "an LRU batch drops a reference that it does not hold",
            Hold::Gup => "a reference of GUP is dropped and there is none",
            Hold::Isolation => "an isolation's reference is dropped and there is none",
        };
        self.violate(Invariant::Ref, Some(page), what);
    }

    /// Move a reference from one holder to another.
    pub(crate) fn hand_over(&self, page: Pfn, from: Hold, to: Hold) {
        self.leave(page, from);
        self.enter(page, to, 1);
    }

    /// An entry was `old` and is `new` now. Its reference comes from the acting actor, and goes to it.
    pub(crate) fn entry_changed(&self, mm: MmId, vpn: usize, old: Entry, new: Entry) {
        if !S::LEDGER {
            return;
        }
        let (was, is) = (old.mapped(), new.mapped());
        match old {
            Entry::Page(page, _) => self.unmapped(page, true),
            Entry::DevicePrivate(page, _) => self.unmapped(page, false),
            Entry::Migration(page, _) => {
                self.book(page, |book| {
                    book.migration = book.migration.saturating_sub(1)
                });
            }
            _ => {}
        }
        match new {
            Entry::Page(page, _) => self.mapped(page, true),
            Entry::DevicePrivate(page, _) => self.mapped(page, false),
            Entry::Migration(page, _) => {
                self.book(page, |book| book.migration += 1);
            }
            _ => {}
        }
        let mut books = self.m.ledger.lock();
        books.set_shadow(mm, vpn, new);
        let doing = books.doing.of(self.slot());
        if !doing.cleared.is_empty() {
            doing
                .cleared
                .retain(|(space, page, _)| (*space, usize::from(*page)) != (mm, vpn));
        }
        if matches!(new, Entry::None) && !matches!(old, Entry::None) {
            let _ = doing.cleared.push((mm, vpn as u16, old.pack()));
        }
        if !doing.entries.contains(&(mm, vpn as u16)) {
            let _ = doing.entries.push((mm, vpn as u16));
        }
        if let Some(page) = was {
            books.touch(self.slot(), page);
        }
        if let Some(page) = is {
            books.touch(self.slot(), page);
        }
    }

    /// The page is in flux until the actor's PTL section ends.
    pub(crate) fn touch(&self, page: Pfn) {
        if S::LEDGER {
            self.m.ledger.lock().touch(self.slot(), page);
        }
    }

    /// An entry maps `page`, with a reference that was the actor's.
    pub(crate) fn mapped(&self, page: Pfn, present: bool) {
        if !S::LEDGER {
            return;
        }
        let (head, slot) = (self.head(page), self.slot());
        let mut books = self.m.ledger.lock();
        let had = books.page_mut(head).map(|book| {
            let had = book.held[slot];
            book.held[slot] = had.saturating_sub(1);
            book.entry_refs += 1;
            had
        });
        if let Some(book) = books.page_mut(page) {
            book.entries += 1;
            book.present += u16::from(present);
        }
        drop(books);
        if had == Some(0) {
            self.not_held(head, Hold::Actor);
        }
        self.check_mapping(page, present);
    }

    /// An entry maps `page` no more; its reference is the actor's now.
    pub(crate) fn unmapped(&self, page: Pfn, present: bool) {
        if !S::LEDGER {
            return;
        }
        let (head, slot) = (self.head(page), self.slot());
        let mut books = self.m.ledger.lock();
        if let Some(book) = books.page_mut(head) {
            book.held[slot] = book.held[slot].saturating_add(1);
            book.entry_refs = book.entry_refs.saturating_sub(1);
        }
        if let Some(book) = books.page_mut(page) {
            book.entries = book.entries.saturating_sub(1);
            book.present = book.present.saturating_sub(u16::from(present));
        }
    }
}
