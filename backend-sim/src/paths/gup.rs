//! References by `get_user_pages()` and `pin_user_pages()`, fast and slow (`mm/gup.c`).

use crate::bug::Bug;
use crate::config::{MmId, TABLE_PAGES};
use crate::cpu::{ready, vpn_of, Cpu, Progress, WaitFor};
use crate::entry::{Entry, Pmd};
use crate::event::Event;
use crate::frame::PageFlags;
use crate::ledger::Hold;
use crate::paths::fault::Faulted;
use crate::sync::{Atomic32, Synchronisation};
use core::sync::atomic::Ordering;
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::{Pfn, GUP_PIN_COUNTING_BIAS};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GupFlags {
    /// `FOLL_WRITE`.
    pub write: bool,
    /// `FOLL_PIN`: the count rises by the bias; else by one.
    pub pin: bool,
}

/// A page that an actor holds through GUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a reference that is not put is a leak"]
pub struct GupRef {
    /// The page; none for the zero page, which is not counted here.
    pub page: Option<Pfn>,
    /// Which address space it was looked up in.
    pub mm: MmId,
    /// At which page.
    pub vpn: usize,
    /// How it is held.
    pub flags: GupFlags,
}

/// How often a fault is tried again at once, before others run: `__get_user_pages()` has a `cond_resched()` at every turn.
const TRIES: u32 = 3;

/// Why GUP failed (`-EFAULT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault;

/// What stands at a page: none yet, the zero page, or a page with a reference.
type Followed = Result<Option<Option<Pfn>>, Fault>;

impl<'m, S: Synchronisation> Cpu<'m, S> {
    /// Take a reference in the way of the flags, unless the count is zero (`try_grab_compound_head()`). It is the head's
    /// of that moment: a split may make the page another's, or its own, before the reference is put.
    fn grab(&self, page: Pfn, flags: GupFlags) -> Option<Pfn> {
        let count = if flags.pin { GUP_PIN_COUNTING_BIAS } else { 1 };
        loop {
            let head = self.head(page);
            if !self.get_many_unless_zero(head, count, Hold::Gup) {
                return None;
            }
            // `try_get_folio()` looks again whether the page is still of this folio: it may have been split meanwhile. 5.11
            // does not.
            if self.m.shape == ShapeKind::V5_11 || self.head(page) == head {
                return Some(head);
            }
            self.ungrab(head, flags);
        }
    }

    fn ungrab(&self, page: Pfn, flags: GupFlags) {
        if !flags.pin {
            self.put_as(page, Hold::Gup);
            return;
        }
        let page = self.head(page);
        if let Some(frame) = self.live_frame(page, "a free page is unpinned") {
            self.drop_count(page, &frame.count, GUP_PIN_COUNTING_BIAS, || {
                self.book(page, |book| book.gup_pins = book.gup_pins.saturating_sub(1));
            });
        }
    }

    /// `get_user_pages_fast()`, the part without locks: none if it has to go the slow way.
    pub fn gup_fast(&self, addr: usize, flags: GupFlags) -> Option<GupRef> {
        let mm = self.mm()?;
        self.at("get_user_pages_fast");
        let space = self.space(mm).filter(|space| space.alive.get() != 0)?;
        let vpn = vpn_of(addr);
        if flags.pin {
            // Before the page is touched (`atomic_set(&mm->has_pinned, 1)`).
            space.has_pinned.set(1);
        }
        let seq = space.protect_seq.load(Ordering::Acquire);
        if flags.pin && seq & 1 == 1 {
            return None;
        }
        let seen = self.lockless_entry(mm, vpn);
        let (_, entry) = seen;
        let Entry::Page(page, _) = entry else {
            return None;
        };
        if flags.write && !entry.write() {
            return None;
        }
        let lives = self.read_book(page).lives;
        let head = self.grab(page, flags)?;
        if !self.m.bug(Bug::GupWithoutRecheck) && self.lockless_entry(mm, vpn) != seen {
            self.event(Event::GupFastBackedOut);
            self.ungrab(head, flags);
            return None;
        }
        self.check_grabbed(mm, vpn, page, lives);
        if flags.pin {
            S::fence();
            if space.protect_seq.load(Ordering::Relaxed) != seq {
                self.event(Event::GupFastBackedOut);
                self.ungrab(head, flags);
                return None;
            }
        }
        self.event(Event::GupFast);
        if flags.pin {
            self.event(Event::GupPinned);
        }
        Some(GupRef {
            page: Some(page),
            mm,
            vpn,
            flags,
        })
    }

    /// What the tables say of a page, and the upper level by itself: a huge entry that has become a table since is not
    /// the same, whatever the table says.
    fn lockless_entry(&self, mm: MmId, vpn: usize) -> (Pmd, Entry) {
        let pmd = self.read_pmd(mm, vpn);
        let entry = match pmd {
            Pmd::Table => self.read_entry(mm, vpn),
            Pmd::Huge(head, bits) => Entry::Page(Pfn(head.0 + vpn - Self::table_start(vpn)), bits),
            _ => Entry::None,
        };
        (pmd, entry)
    }

    /// `get_user_pages()`: under `mmap_lock`, faulting the page in if need be.
    pub fn gup_slow(&self, addr: usize, flags: GupFlags) -> Progress<Result<GupRef, Fault>> {
        let Some(mm) = self.mm() else {
            return Progress::Done(Err(Fault));
        };
        self.unpark();
        self.at("get_user_pages");
        let vpn = vpn_of(addr);
        if flags.pin {
            if let Some(space) = self.space(mm) {
                space.has_pinned.set(1);
            }
        }
        for _ in 0..TRIES {
            ready!(self.mmap_read(mm));
            let Ok(found) = self.follow_page(mm, vpn, flags) else {
                self.mmap_read_unlock(mm);
                return Progress::Done(Err(Fault));
            };
            if let Some(page) = found {
                self.mmap_read_unlock(mm);
                self.event(Event::GupSlow);
                if flags.pin && page.is_some() {
                    self.event(Event::GupPinned);
                }
                return Progress::Done(Ok(GupRef {
                    page,
                    mm,
                    vpn,
                    flags,
                }));
            }
            // `faultin_page()`.
            let faulted = self.fault_locked(mm, vpn, flags.write);
            let parked = self
                .m
                .actors
                .get(self.slot())
                .is_some_and(|actor| actor.parked.get() != 0);
            if !parked {
                self.mmap_read_unlock(mm);
            }
            if ready!(faulted) != Faulted::Again {
                return Progress::Done(Err(Fault));
            }
        }
        self.blocked(WaitFor::Others)
    }

    /// `follow_page_pte()`: under the PTL. `Some(None)` is the zero page; an entry that has no page is refused (`-EEXIST` in 6.12), and
    /// faulting would bring none.
    fn follow_page(&self, mm: MmId, vpn: usize, flags: GupFlags) -> Followed {
        match self.read_pmd(mm, vpn) {
            Pmd::Table => {}
            Pmd::Huge(..) => self.split_pmd(mm, vpn),
            Pmd::HugeZero if !flags.write => return Ok(Some(None)),
            _ => return Ok(None),
        }
        self.lock_table(mm, vpn);
        let entry = self.read_entry(mm, vpn);
        let found = match entry {
            Entry::Page(page, _)
                if (!flags.write || entry.write()) && self.grab(page, flags).is_some() =>
            {
                Ok(Some(Some(page)))
            }
            Entry::Zero(_) if !flags.write => Ok(Some(None)),
            Entry::Special(_) => Err(Fault),
            _ => Ok(None),
        };
        self.unlock_table(mm, vpn);
        found
    }

    /// A reference on the page that an entry of this actor's address space names, or on the original that the device
    /// page there stands for: taken under the PTL, as who handles a device-private fault takes it. What a migration
    /// entry names may have no references just now, and then there is none.
    #[cfg_attr(not(feature = "std"), expect(dead_code, reason = "only scenarios do"))]
    pub(crate) fn follow_entry(&self, vpn: usize, original: bool) -> Option<Pfn> {
        let mm = self.mm()?;
        self.at("follow_page");
        self.lock_table(mm, vpn);
        let entry = match self.read_pmd(mm, vpn) {
            Pmd::Huge(head, bits) => Entry::Page(Pfn(head.0 + vpn % TABLE_PAGES), bits),
            _ => self.read_entry(mm, vpn),
        };
        let found = match (entry, original) {
            (Entry::DevicePrivate(page, _), true) => self.read_book(page).original.get(),
            (_, true) => None,
            (Entry::Page(page, _) | Entry::DevicePrivate(page, _), false) => Some(page),
            (Entry::Migration(page, _), false) => {
                // A part of a huge page that is being split has no count of its own yet.
                let got = self.head(page) == page && self.get_unless_zero(page);
                self.unlock_table(mm, vpn);
                return got.then_some(page);
            }
            _ => None,
        };
        if let Some(page) = found {
            self.get(page);
        }
        self.unlock_table(mm, vpn);
        found
    }

    /// Read through a reference, as a device that does DMA would.
    pub fn gup_read(&self, reference: &GupRef) -> u32 {
        self.at("read through GUP");
        let Some(page) = reference.page else {
            return 0;
        };
        let Some(frame) = self.live_frame(page, "a free page is read through GUP") else {
            return 0;
        };
        // Seen by engines.
        frame.flags.load(Ordering::Relaxed);
        frame.contents.get()
    }

    /// Write through a reference. It goes to whoever has the page now; if that is not the one address space it was
    /// looked up in any more, that is the kernel's old weakness, not the pipeline's, and an event says so.
    pub fn gup_write(&self, reference: &GupRef, value: u32) {
        self.at("write through GUP");
        let Some(page) = reference.page else {
            return;
        };
        let Some(frame) = self.live_frame(page, "a free page is written through GUP") else {
            return;
        };
        frame.flags.load(Ordering::Relaxed);
        frame.contents.set(value);
        if !S::LEDGER {
            return;
        }
        let mut places = 0;
        if self.note_file_write(page, value) {
            return;
        }
        for mm in 0..self.m.mms.len() {
            for vpn in 0..self.m.mm_pages {
                let mm = MmId(mm as u8);
                if self.stands_at(mm, vpn, page) {
                    places += 1;
                    self.note_write(mm, vpn, value);
                }
            }
        }
        if places != 1 {
            self.event(Event::GupStaleWrite);
        }
    }

    /// Are the words of `page` those of this place?
    fn stands_at(&self, mm: MmId, vpn: usize, page: Pfn) -> bool {
        let standing = self.m.ledger.lock().standing(mm, vpn);
        match standing {
            Entry::Swap(slot, _) => {
                let cached = self.m.swap.cache.get(usize::from(slot));
                cached.is_some_and(|cached| cached.get() as usize == page.0)
            }
            entry => entry.named().is_some_and(|named| {
                named == page || self.read_book(named).home.get() == Some(page)
            }),
        }
    }

    /// `set_page_dirty_lock()` on a page that was written through a reference.
    pub fn gup_dirty(&self, reference: &GupRef) -> Progress<()> {
        self.at("set_page_dirty_lock");
        if let Some(page) = reference.page.map(|page| self.head(page)) {
            if !self.trylock(page) {
                return self.blocked(WaitFor::PageLock(page));
            }
            self.set_flag(page, PageFlags::DIRTY);
            self.unlock(page);
        }
        Progress::Done(())
    }

    /// `put_page()`, `unpin_user_page()`: from any actor that was handed the reference; here the same.
    pub fn gup_put(&self, reference: GupRef) {
        self.at("unpin_user_page");
        if let Some(page) = reference.page {
            self.ungrab(page, reference.flags);
        }
    }
}
