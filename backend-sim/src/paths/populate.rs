//! Initial states: put something at a page of an address space before the actors start.
//!
//! As far as can be it is done the way the kernel does it, by faults, reclaim and swap in, so that everything is
//! accounted for; then the batches are drained and the TLBs flushed, as if it had been long ago.

use crate::config::{ActorId, MmId, TABLE_PAGES};
use crate::cpu::{addr_of, Cpu, Progress};
use crate::entry::{Entry, Pmd};
use crate::frame::{Identity, PageFlags};
use crate::ledger::Hold;
use crate::machine::Machine;
use crate::mm::Vma;
use crate::paths::access::CpuOp;
use crate::sync::{Atomic32, Store, Synchronisation};
use core::ops::Range;
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::PteBits;
use migrate_pin_core::Pfn;

/// What stands at a page before the actors start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Populate {
    /// Written anonymous memory (or a written page of a file), dirty, on the LRU.
    Written(u32),
    /// The same, still in the LRU batch of the CPU of this actor.
    WrittenInBatch(u32, ActorId),
    /// Written, then the entry's accessed and dirty bits taken away, as an earlier migration leaves it; the page is
    /// dirty if the flag says so.
    Clean(u32, bool),
    /// Written, then write-protected for userfaultfd and soft-dirty: the bits that migration carries over.
    Marked(u32),
    /// A page of a file, read only so far.
    Read,
    /// The zero page.
    ZeroPage,
    /// Written, swapped out: a swap entry, and no page.
    Swapped(u32),
    /// Written, swapped out and read back: mapped read-only, clean, in the swap cache.
    SwapCached(u32),
    /// The same, but the swap cache holds the page and the entry is a swap entry.
    SwapCachedUnmapped(u32),
    /// `MADV_FREE`: clean, and not backed by swap.
    LazyFree(u32),
    /// Written, and off the LRU for no reason (`PG_lru` clear, nobody has isolated it).
    OffLru(u32),
    /// A page of a file that has private data, which holds a reference.
    WithPrivate,
    /// Anonymous memory in a compound page that is mapped by entries, one page of it here.
    Compound(u32),
    /// A transparent huge page from here on (the page is the first of a page-table page): words count up.
    Huge(u32),
    /// The huge zero page.
    HugeZero,
    /// An entry above that can't be read.
    BadPmd,
    /// A page-table page and an empty entry.
    EmptyEntry,
    /// Memory without a struct page.
    Special,
    /// Some other special entry.
    Other,
    /// A page that has no `page->mapping`.
    NoMapping(u32),
}

impl Populate {
    /// The pages at which something stands if this is put at page `vpn`: all of a huge one, none if there is only a table or an
    /// entry that is no page's.
    fn pages(self, vpn: usize) -> Range<usize> {
        match self {
            Self::Huge(_) | Self::HugeZero => {
                let first = vpn - vpn % TABLE_PAGES;
                first..first + TABLE_PAGES
            }
            Self::BadPmd | Self::EmptyEntry | Self::Other => vpn..vpn,
            _ => vpn..vpn + 1,
        }
    }

    /// At how many pages of address spaces something stands if this is done.
    #[must_use]
    pub fn standing(populate: &[(MmId, u16, Populate)]) -> usize {
        let covers = |(mm, vpn, what): (MmId, u16, Populate), at: (MmId, usize)| {
            mm == at.0 && what.pages(vpn.into()).contains(&at.1)
        };
        let new = |(index, (mm, vpn, what)): (usize, &(MmId, u16, Populate))| {
            // Something may be put where something stands.
            let fresh = |page: &usize| {
                !populate[..index]
                    .iter()
                    .any(|one| covers(*one, (*mm, *page)))
            };
            what.pages((*vpn).into()).filter(fresh).count()
        };
        populate.iter().enumerate().map(new).sum()
    }
}

impl<S: Synchronisation> Machine<S> {
    /// Put something at page `vpn` of `mm`. False if it could not be done: no area of that kind, no memory.
    pub fn populate(&self, mm: MmId, vpn: usize, what: Populate) -> bool {
        let cpu = self.cpu(ActorId(0));
        cpu.at("populate");
        let done = cpu.populate(mm, vpn, what);
        if !matches!(what, Populate::WrittenInBatch(..)) {
            cpu.lru_drain_all();
        }
        cpu.flush_tlb(mm, 0, self.mm_pages);
        done
    }
}

impl<S: Synchronisation> Cpu<'_, S> {
    pub(crate) fn populate(&self, mm: MmId, vpn: usize, what: Populate) -> bool {
        match what {
            Populate::Written(word) => self.written(mm, vpn, word).is_some(),
            Populate::WrittenInBatch(word, actor) => {
                self.lru_drain_all();
                self.m.cpu(actor).written(mm, vpn, word).is_some()
            }
            Populate::Clean(word, dirty) => self.written(mm, vpn, word).is_some_and(|page| {
                self.set_bits(mm, vpn, PteBits::empty(), PteBits::DIRTY | PteBits::YOUNG);
                if dirty {
                    self.set_flag(page, PageFlags::DIRTY);
                }
                true
            }),
            Populate::Marked(word) => self.written(mm, vpn, word).is_some_and(|_| {
                let marks = PteBits::SOFT_DIRTY | PteBits::UFFD_WP;
                self.set_bits(mm, vpn, marks, PteBits::WRITE);
                true
            }),
            Populate::Read | Populate::ZeroPage => {
                matches!(
                    self.access_in(mm, addr_of(vpn), CpuOp::Load),
                    Progress::Done(Ok(_))
                )
            }
            Populate::Swapped(word) => self.swapped(mm, vpn, word),
            Populate::SwapCached(word) => {
                self.swapped(mm, vpn, word)
                    && matches!(
                        self.access_in(mm, addr_of(vpn), CpuOp::Load),
                        Progress::Done(Ok(_))
                    )
            }
            Populate::SwapCachedUnmapped(word) => self.swap_cached_unmapped(mm, vpn, word),
            Populate::LazyFree(word) => self.written(mm, vpn, word).is_some_and(|page| {
                self.set_bits(mm, vpn, PteBits::empty(), PteBits::DIRTY | PteBits::YOUNG);
                self.clear_flag(page, PageFlags::SWAPBACKED | PageFlags::DIRTY);
                self.note_free(mm, vpn);
                true
            }),
            Populate::OffLru(word) => self.written(mm, vpn, word).is_some_and(|page| {
                self.lru_drain_all();
                let isolated = self.lru_isolate(page);
                if isolated {
                    // Its reference goes back; the page stays off.
                    self.put_as(page, Hold::Isolation);
                }
                isolated
            }),
            Populate::WithPrivate => {
                if !self.populate(mm, vpn, Populate::Read) {
                    return false;
                }
                self.m.page_at(mm, vpn).is_some_and(|page| {
                    self.get_as(page, Hold::Private);
                    self.set_flag(page, PageFlags::PRIVATE);
                    true
                })
            }
            Populate::Compound(word) => self.compound(mm, vpn, word),
            Populate::Huge(word) => self.huge(mm, vpn, word),
            Populate::HugeZero => self.set_pmd(mm, vpn, Pmd::HugeZero),
            Populate::BadPmd => self.set_pmd(mm, vpn, Pmd::Bad),
            Populate::EmptyEntry => self.alloc_table(mm, vpn).is_some(),
            Populate::Special => self.raw_entry(mm, vpn, Entry::Special(PteBits::WRITE)),
            Populate::Other => self.raw_entry(mm, vpn, Entry::Other),
            Populate::NoMapping(word) => self.no_mapping(mm, vpn, word),
        }
    }

    fn written(&self, mm: MmId, vpn: usize, word: u32) -> Option<Pfn> {
        match self.access_in(mm, addr_of(vpn), CpuOp::Store(word)) {
            Progress::Done(Ok(_)) => self.m.page_at(mm, vpn),
            _ => None,
        }
    }

    /// Write, and have reclaim take the page away.
    fn swapped(&self, mm: MmId, vpn: usize, word: u32) -> bool {
        let Some(page) = self.written(mm, vpn, word) else {
            return false;
        };
        self.lru_drain_all();
        self.flush_tlb(mm, vpn, vpn + 1);
        self.reclaim(page)
    }

    fn swap_cached_unmapped(&self, mm: MmId, vpn: usize, word: u32) -> bool {
        let Some(page) = self.written(mm, vpn, word) else {
            return false;
        };
        self.lru_drain_all();
        // A reference that nobody expects makes reclaim give up after it has unmapped the page.
        self.get(page);
        let gone = self.reclaim(page);
        self.put(page);
        self.lru_drain_all();
        !gone && matches!(self.m.entry(mm, vpn), Entry::Swap(..))
    }

    /// Add and take away bits of an entry.
    fn set_bits(&self, mm: MmId, vpn: usize, add: PteBits, take: PteBits) {
        let now = self.read_entry(mm, vpn);
        self.exchange_entry(mm, vpn, now, now.with_bits((now.bits() - take) | add));
    }

    fn raw_entry(&self, mm: MmId, vpn: usize, entry: Entry) -> bool {
        if self.alloc_table(mm, vpn).is_none() {
            return false;
        }
        self.lock_table(mm, vpn);
        self.set_entry(mm, vpn, entry);
        self.unlock_table(mm, vpn);
        true
    }

    fn set_pmd(&self, mm: MmId, vpn: usize, pmd: Pmd) -> bool {
        let Some(table) = self.table(mm, vpn) else {
            return false;
        };
        table.pmd.store(pmd.pack(), Ordering::Release);
        true
    }

    fn vma_at(&self, mm: MmId, vpn: usize) -> Option<Vma> {
        self.find_vma(mm, vpn)
    }

    /// As many free frames in a row as a huge page has, aligned, made one compound page; the actor holds it.
    fn alloc_compound(&self) -> Option<Pfn> {
        let head = {
            let free = self.m.free.lock();
            let mut first = crate::frame::FIRST_PFN;
            loop {
                if first + TABLE_PAGES > crate::frame::FIRST_PFN + self.m.system_pages {
                    return None;
                }
                if (0..TABLE_PAGES).all(|index| free.contains(&Pfn(first + index))) {
                    break Pfn(first);
                }
                first += TABLE_PAGES;
            }
        };
        let mut free = self.m.free.lock();
        free.retain(|page| page.0 < head.0 || page.0 >= head.0 + TABLE_PAGES);
        drop(free);
        for index in (0..TABLE_PAGES).rev() {
            let part = Pfn(head.0 + index);
            let frame = self.frame(part)?;
            if index == 0 {
                self.hand_out(part);
                self.set_flag(part, PageFlags::HEAD);
            } else {
                frame.reset_flags(PageFlags::TAIL);
                self.book(part, |book| book.alive = true);
            }
            frame.head.set(if index == 0 { 0 } else { head.0 as u32 });
        }
        Some(head)
    }

    /// A compound page that is anonymous memory of the area from `first` on, with these words in it; not on the LRU yet.
    pub(crate) fn anonymous_compound(
        &self,
        vma: Vma,
        first: usize,
        words: [u32; TABLE_PAGES],
    ) -> Option<Pfn> {
        let id = self.prepare_anon_vma(vma)?;
        let head = self.alloc_compound()?;
        let memcg = self.space(vma.mm)?.memcg;
        if !self.charge(head, memcg) {
            self.put(head);
            return None;
        }
        let frame = self.frame(head)?;
        frame.set_identity(Identity::Anon(id));
        frame.index.set(self.area(vma)?.index_of(first));
        self.set_flag(head, PageFlags::SWAPBACKED | PageFlags::UPTODATE);
        for (index, word) in words.into_iter().enumerate() {
            if let Some(part) = self.frame(Pfn(head.0 + index)) {
                part.contents.set(word);
            }
        }
        Some(head)
    }

    fn huge(&self, mm: MmId, vpn: usize, word: u32) -> bool {
        let first = Self::table_start(vpn);
        let (Some(vma), Some(table)) = (self.vma_at(mm, vpn), self.table(mm, vpn)) else {
            return false;
        };
        let Some(head) = self.anonymous_compound(vma, first, counting(word)) else {
            return false;
        };
        self.lru_add(head);
        self.lock_table(mm, first);
        // Only an empty entry of the upper level is filled: a table, once it is there, stays.
        if self.read_pmd(mm, first) != Pmd::None {
            self.unlock_table(mm, first);
            self.put(head);
            return false;
        }
        self.add_rmap(head);
        let bits = PteBits::YOUNG | PteBits::DIRTY | PteBits::WRITE;
        table
            .pmd
            .store(Pmd::Huge(head, bits).pack(), Ordering::Release);
        self.mapped(head, true);
        self.unlock_table(mm, first);
        for index in 0..TABLE_PAGES {
            self.note_own(mm, first + index, word + index as u32);
            let part = Entry::Page(Pfn(head.0 + index), bits);
            self.m.ledger.lock().set_shadow(mm, first + index, part);
        }
        true
    }

    /// One page of a compound page, mapped by an entry.
    fn compound(&self, mm: MmId, vpn: usize, word: u32) -> bool {
        let Some(vma) = self.vma_at(mm, vpn) else {
            return false;
        };
        let Some(head) = self.anonymous_compound(vma, vpn, counting(word)) else {
            return false;
        };
        self.lru_add(head);
        if self.alloc_table(mm, vpn).is_none() {
            return false;
        }
        self.lock_table(mm, vpn);
        let bits = PteBits::YOUNG | PteBits::DIRTY | PteBits::WRITE;
        self.set_entry(mm, vpn, Entry::Page(head, bits));
        self.add_rmap(head);
        self.unlock_table(mm, vpn);
        self.note_own(mm, vpn, word);
        true
    }

    /// `vm_insert_page()` of a page that is nobody's.
    fn no_mapping(&self, mm: MmId, vpn: usize, word: u32) -> bool {
        if self.alloc_table(mm, vpn).is_none() {
            return false;
        }
        let (Some(page), Some(memcg)) =
            (self.alloc_page(), self.space(mm).map(|space| space.memcg))
        else {
            return false;
        };
        if let Some(frame) = self.frame(page) {
            frame.contents.set(word);
        }
        self.charge(page, memcg);
        self.lru_add(page);
        self.lock_table(mm, vpn);
        self.set_entry(mm, vpn, Entry::Page(page, PteBits::YOUNG | PteBits::WRITE));
        self.add_rmap(page);
        self.unlock_table(mm, vpn);
        self.note_own(mm, vpn, word);
        true
    }
}

/// A word for each part of a compound page, counted up.
fn counting(word: u32) -> [u32; TABLE_PAGES] {
    core::array::from_fn(|index| word + index as u32)
}
