//! The pipeline's primitives: [`MmOps`] for [`Cpu`], one method each, in the order of the trait.

use crate::bug::Bug;
use crate::config::{AllocKind, VmaKind, TABLE_PAGES};
use crate::cpu::{addr_of, vpn_of, Cpu};
use crate::entry::{Entry, Pmd};
use crate::event::Event;
use crate::frame::{FrameZone, Identity, PageFlags};
use crate::ledger::Hold;
use crate::lock::Lock;
use crate::mm::Vma;
use crate::rmap::Unmap;
use crate::sides::{Account, Says};
use crate::sync::{Atomic32, Plain, Store, Synchronisation};
use crate::violation::Invariant;
use core::sync::atomic::Ordering;
use migrate_pin_core::ops::{
    HugePmd, Mapping, MmOps, NoMemory, NotifyEvent, Owner, PinRecord, PmdKind, PmdSpan, Pte, Range,
    VmaFacts, VmaFlags, Zone,
};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::{Pfn, GUP_PIN_COUNTING_BIAS};

/// The pages of a range of addresses.
fn pages_of(range: Range) -> (usize, usize) {
    (vpn_of(range.start), vpn_of(range.end))
}

impl<'m, S: Synchronisation> Cpu<'m, S> {
    /// The lock of the cache that holds `page`.
    fn cache_lock_of(&self, page: Pfn) -> Option<&'m Lock<S>> {
        match self.cached_as(page) {
            Mapping::File => match self.m.frame(page)?.identity() {
                Identity::File(file) => Some(&self.m.files.get(usize::from(file.0))?.i_pages),
                _ => None,
            },
            Mapping::SwapCache => Some(&self.m.swap.cache_lock),
            Mapping::None | Mapping::Anon => None,
        }
    }

    /// The slot of the cache that holds `page`, by the page's own word.
    fn cache_slot_of(&self, page: Pfn) -> Option<&'m Plain> {
        let frame = self.m.frame(page)?;
        match self.cached_as(page) {
            Mapping::File => match frame.identity() {
                Identity::File(file) => {
                    let file = self.m.files.get(usize::from(file.0))?;
                    file.slots.get(frame.index.get() as usize)
                }
                _ => None,
            },
            Mapping::SwapCache => self.m.swap.cache.get(frame.private.get() as usize),
            Mapping::None | Mapping::Anon => None,
        }
    }

    /// `page->mapping` and `page_mapping()`.
    pub(crate) fn cached_as(&self, page: Pfn) -> Mapping {
        let head = self.head(page);
        let Some(frame) = self.frame(head) else {
            return Mapping::None;
        };
        match frame.identity() {
            Identity::None => Mapping::None,
            Identity::File(_) => Mapping::File,
            Identity::Anon(_) if self.test_flag(head, PageFlags::SWAPCACHE) => Mapping::SwapCache,
            Identity::Anon(_) => Mapping::Anon,
        }
    }

    /// LOCK: a page's identity and contents are changed by who has it locked.
    fn assert_locked(&self, page: Pfn) {
        if S::LEDGER && !self.holds_lock(page) {
            self.violate(
                Invariant::Lock,
                Some(page),
                "a page is changed without its lock",
            );
        }
    }

    /// `copy_highpage()` between pages whose entries are gone.
    pub(crate) fn copy_contents(&self, new: Pfn, old: Pfn) {
        self.check_copy(old);
        if let (Some(from), Some(to)) = (
            self.live_frame(old, "a free page is copied"),
            self.live_frame(new, "a free page is copied to"),
        ) {
            // Seen by engines: who writes through an old reference meanwhile has to be ordered with it.
            from.flags.load(Ordering::Relaxed);
            to.contents.set(from.contents.get());
        }
    }
}

impl<S: Synchronisation> MmOps for Cpu<'_, S> {
    type Vma = Vma;

    fn vma_facts(&mut self, vma: Vma) -> VmaFacts {
        self.at("vma_facts");
        let mut flags = VmaFlags::empty();
        let mut range = Range { start: 0, end: 0 };
        if let Some(area) = self.area(vma) {
            range.start = addr_of(area.start.get() as usize);
            range.end = addr_of(area.end.get() as usize);
            flags |= match area.kind() {
                VmaKind::Anonymous => VmaFlags::ANONYMOUS,
                VmaKind::Hugetlb => VmaFlags::HUGETLB,
                VmaKind::Special => VmaFlags::SPECIAL,
                VmaKind::Dax => VmaFlags::DAX,
                VmaKind::Shared(..) | VmaKind::Private(..) => VmaFlags::empty(),
            };
            if area.write() {
                flags |= VmaFlags::WRITE;
            }
        }
        if S::LEDGER && !self.mmap_held(vma.mm) {
            let lock = self.space(vma.mm).map(|space| space.mmap_lock.account());
            let lock = lock.unwrap_or(Account::new("mmap_lock", Says::Nothing, "no address space"));
            self.disagree(
                Invariant::Lock,
                None,
                "an area is used without mmap_lock",
                lock,
            );
        }
        VmaFacts { range, flags }
    }

    fn address_space_stable(&mut self, vma: Vma) -> bool {
        self.at("check_stable_address_space");
        self.space(vma.mm)
            .is_some_and(|space| space.unstable.get() == 0)
    }

    fn userfaultfd_missing(&mut self, vma: Vma) -> bool {
        self.area(vma).is_some_and(|area| area.userfaultfd())
    }

    fn anon_vma_prepare(&mut self, vma: Vma) -> Result<(), NoMemory> {
        self.at("anon_vma_prepare");
        self.prepare_anon_vma(vma).map(|_| ()).ok_or(NoMemory)
    }

    fn notify_start(&mut self, vma: Vma, range: Range, event: NotifyEvent, owner: Option<Owner>) {
        self.at("mmu_notifier_invalidate_range_start");
        let (first, until) = pages_of(range);
        self.invalidate_start(vma.mm, first, until, event, owner);
    }

    fn notify_end(&mut self, vma: Vma, range: Range, event: NotifyEvent, owner: Option<Owner>) {
        self.at("mmu_notifier_invalidate_range_end");
        let (first, until) = pages_of(range);
        self.invalidate_end(vma.mm, first, until, event, owner);
    }

    fn pmd_span(&mut self, vma: Vma, addr: usize, end: usize) -> PmdSpan {
        self.at("walk_page_range");
        let vpn = vpn_of(addr);
        let kind = match self.read_pmd(vma.mm, vpn) {
            Pmd::None => PmdKind::Hole,
            Pmd::Table => PmdKind::Table,
            Pmd::Huge(..) | Pmd::HugeZero => PmdKind::Huge,
            Pmd::Bad => PmdKind::Bad,
        };
        let until = addr_of(Self::table_start(vpn) + TABLE_PAGES).min(end);
        PmdSpan { kind, until }
    }

    fn pmd_lock_huge(&mut self, vma: Vma, addr: usize) -> HugePmd {
        self.at("pmd_lock");
        let vpn = vpn_of(addr);
        self.lock_table(vma.mm, vpn);
        match self.read_pmd(vma.mm, vpn) {
            Pmd::Huge(head, _) => HugePmd::Page(head),
            Pmd::HugeZero => HugePmd::ZeroPage,
            Pmd::None | Pmd::Table | Pmd::Bad => HugePmd::Changed,
        }
    }

    fn pmd_unlock(&mut self, vma: Vma, addr: usize) {
        self.unlock_table(vma.mm, vpn_of(addr));
    }

    fn split_huge_pmd(&mut self, vma: Vma, addr: usize) {
        self.at("split_huge_pmd");
        self.split_pmd(vma.mm, vpn_of(addr));
    }

    fn split_huge_page(&mut self, page: Pfn) -> bool {
        self.at("split_huge_page");
        self.assert_locked(page);
        self.split_page(page)
    }

    fn pte_alloc(&mut self, vma: Vma, addr: usize) -> Result<(), NoMemory> {
        self.at("pte_alloc");
        self.alloc_table(vma.mm, vpn_of(addr))
            .map(drop)
            .ok_or(NoMemory)
    }

    fn pte_lock(&mut self, vma: Vma, addr: usize) -> bool {
        self.at("pte_offset_map_lock");
        let vpn = vpn_of(addr);
        self.lock_table(vma.mm, vpn);
        if self.m.shape == ShapeKind::V6_12 && self.read_pmd(vma.mm, vpn) != Pmd::Table {
            self.unlock_table(vma.mm, vpn);
            return false;
        }
        true
    }

    fn pte_unlock(&mut self, vma: Vma, addr: usize) {
        self.at("pte_unmap_unlock");
        self.unlock_table(vma.mm, vpn_of(addr));
    }

    fn pte_get(&mut self, vma: Vma, addr: usize) -> Pte {
        self.at("pte_get");
        if let Some(table) = self.table(vma.mm, vpn_of(addr)) {
            table.ptl.assert_held(self);
        }
        self.read_entry(vma.mm, vpn_of(addr)).to_pte()
    }

    fn pte_get_and_clear(&mut self, vma: Vma, addr: usize) -> Pte {
        self.at("ptep_get_and_clear");
        self.clear_entry(vma.mm, vpn_of(addr)).to_pte()
    }

    fn pte_clear_flush(&mut self, vma: Vma, addr: usize) -> Pte {
        self.at("ptep_clear_flush");
        let old = self.clear_entry(vma.mm, vpn_of(addr));
        self.flush_tlb_page(vma.mm, vpn_of(addr));
        old.to_pte()
    }

    fn pte_set(&mut self, vma: Vma, addr: usize, pte: Pte) {
        self.at("set_pte_at");
        self.set_entry(vma.mm, vpn_of(addr), Entry::from_pte(pte));
    }

    fn flush_tlb_range(&mut self, vma: Vma, range: Range) {
        self.at("flush_tlb_range");
        if !self.m.bug(Bug::UnmapWithoutFlush) {
            let (first, until) = pages_of(range);
            self.flush_tlb(vma.mm, first, until);
        }
    }

    fn flush_tlb_all(&mut self) {
        self.at("flush_tlb_all");
        self.flush_every_tlb();
    }

    fn anon_exclusive(&mut self, page: Pfn) -> bool {
        self.m.shape == ShapeKind::V6_12 && self.test_flag(page, PageFlags::ANON_EXCLUSIVE)
    }

    fn share_anon_rmap(&mut self, page: Pfn) -> bool {
        self.at("folio_try_share_anon_rmap_pte");
        self.share_anon(page)
    }

    fn add_new_anon_rmap(&mut self, page: Pfn, vma: Vma, addr: usize) {
        self.at("page_add_new_anon_rmap");
        self.add_new_anon(page, vma, vpn_of(addr));
    }

    fn remove_rmap(&mut self, page: Pfn, _vma: Vma) {
        self.at("page_remove_rmap");
        self.drop_rmap(page);
    }

    fn try_to_unmap(&mut self, page: Pfn) {
        self.at("try_to_unmap");
        self.assert_locked(page);
        self.unmap_everywhere(page, Unmap::Migrate);
    }

    fn remove_migration_pte(&mut self, vma: Vma, addr: usize, old: Pfn, new: Pfn) {
        self.at("remove_migration_pte");
        self.restore_one(vma, vpn_of(addr), old, new);
    }

    fn remove_migration_ptes(&mut self, old: Pfn, new: Pfn) {
        self.at("remove_migration_ptes");
        self.restore_everywhere(old, new);
    }

    fn restore_pte(&mut self, vma: Vma, addr: usize, new: Pfn) {
        self.at("restore_pte");
        self.restore_here(vma, vpn_of(addr), new);
    }

    fn page_exists(&mut self, page: Pfn) -> bool {
        self.m.frame(page).is_some()
    }

    fn page_zone(&mut self, page: Pfn) -> Zone {
        match self.frame(page).map(|frame| frame.zone) {
            Some(FrameZone::Device(device)) => Zone::DevicePrivate(device.owner()),
            _ => Zone::System,
        }
    }

    fn page_compound(&mut self, page: Pfn) -> bool {
        self.test_flag(page, PageFlags::HEAD | PageFlags::TAIL)
    }

    fn page_mapping(&mut self, page: Pfn) -> Mapping {
        self.at("page_mapping");
        let _ = self.live_frame(page, "page_mapping() of a free page");
        self.cached_as(page)
    }

    fn page_has_private(&mut self, page: Pfn) -> bool {
        self.test_flag(page, PageFlags::PRIVATE)
    }

    fn page_count(&mut self, page: Pfn) -> u32 {
        self.at("page_count");
        self.frame(self.head(page))
            .map_or(0, |frame| frame.count.load(Ordering::Relaxed))
    }

    fn page_mapcount(&mut self, page: Pfn) -> u32 {
        self.at("page_mapcount");
        self.mapcount(page)
    }

    fn page_lru(&mut self, page: Pfn) -> bool {
        self.test_flag(page, PageFlags::LRU)
    }

    fn page_locked(&mut self, page: Pfn) -> bool {
        self.frame(self.head(page))
            .is_some_and(|frame| frame.lock.is_locked())
    }

    fn trylock_page(&mut self, page: Pfn) -> bool {
        self.at("trylock_page");
        self.trylock(page)
    }

    fn unlock_page(&mut self, page: Pfn) {
        self.at("unlock_page");
        self.unlock(page);
    }

    fn get_page(&mut self, page: Pfn) {
        self.at("get_page");
        self.get(page);
    }

    fn get_page_unless_zero(&mut self, page: Pfn) -> bool {
        self.at("folio_get_nontail_page");
        self.get_unless_zero(page)
    }

    fn put_page(&mut self, page: Pfn) {
        self.at("put_page");
        let book = self.read_book(self.head(page));
        // An isolated page that does not go back to the LRU: the put ends the isolation. While a pin counts on it,
        // that reference is not the caller's to drop.
        let own = book.held[self.slot()] > 0;
        if !own && book.isolated > 0 && book.pins == 0 {
            self.hand_over(page, Hold::Isolation, Hold::Actor);
        }
        self.put(page);
    }

    fn page_ref_add(&mut self, page: Pfn, count: u32) {
        self.at("page_ref_add");
        let Some(frame) = self.live_frame(page, "page_ref_add() of a free page") else {
            return;
        };
        let pin = count.is_multiple_of(GUP_PIN_COUNTING_BIAS);
        let mut added = count;
        if pin && self.m.bug(Bug::PinTwice) {
            added = count * 2;
        }
        let old = frame.count.fetch_add(added, Ordering::Relaxed);
        if pin {
            let pins = (count / GUP_PIN_COUNTING_BIAS) as u8;
            self.book(page, |book| book.pins += pins);
            self.event(Event::Pinned);
        } else {
            self.enter(page, Hold::Actor, count as u8);
        }
        if old == 0 {
            self.violate(
                Invariant::Ref,
                Some(page),
                "page_ref_add() of a page without references",
            );
        }
        self.check_count_of(page, old.wrapping_add(added));
    }

    fn page_ref_sub(&mut self, page: Pfn, count: u32) {
        self.at("page_ref_sub");
        let Some(frame) = self.live_frame(page, "page_ref_sub() of a free page") else {
            return;
        };
        let old = if self.m.bug(Bug::UnpinNotAtomic) {
            let old = frame.count.load(Ordering::Relaxed);
            frame
                .count
                .store(old.wrapping_sub(count), Ordering::Relaxed);
            old
        } else {
            frame.count.fetch_sub(count, Ordering::Relaxed)
        };
        if count.is_multiple_of(GUP_PIN_COUNTING_BIAS) {
            let pins = (count / GUP_PIN_COUNTING_BIAS) as u8;
            let had = self.book(page, |book| {
                let had = book.pins;
                book.pins = had.saturating_sub(pins);
                had
            });
            if had.is_some_and(|had| had < pins) {
                self.violate(
                    Invariant::Pin,
                    Some(page),
                    "the bias of a pin is dropped that is not there",
                );
            }
            self.event(Event::Unpinned);
        } else {
            for _ in 0..count {
                self.leave(page, Hold::Actor);
            }
        }
        if old < count {
            frame.count.fetch_add(count, Ordering::Relaxed);
            self.violate(
                Invariant::Ref,
                Some(page),
                "a reference count is taken below zero",
            );
            return;
        }
        if old == count {
            self.violate(
                Invariant::Ref,
                Some(page),
                "page_ref_sub() drops the last references",
            );
        }
        self.check_count_of(page, old - count);
    }

    fn page_ref_freeze(&mut self, page: Pfn, expected: u32) -> bool {
        self.at("page_ref_freeze");
        let Some(frame) = self.live_frame(page, "page_ref_freeze() of a free page") else {
            return false;
        };
        let frozen = self.freeze(page, &frame.count, expected);
        if !frozen {
            self.event(Event::FreezeFailed);
        }
        frozen
    }

    fn page_ref_unfreeze(&mut self, page: Pfn, count: u32) {
        self.at("page_ref_unfreeze");
        let Some(frame) = self.frame(page) else {
            return;
        };
        frame.count.store(count, Ordering::Release);
        let by = self.book(page, |book| core::mem::take(&mut book.frozen_by));
        if by.is_some_and(|by| by != self.actor.0 + 1) {
            self.violate(
                Invariant::Ref,
                Some(page),
                "a count is unfrozen by one who did not freeze it",
            );
        }
        self.check_count_of(page, count);
    }

    fn lru_add_drain(&mut self) {
        self.at("lru_add_drain");
        self.lru_drain();
    }

    fn lru_add_drain_all(&mut self) {
        self.at("lru_add_drain_all");
        self.lru_drain_all();
    }

    fn isolate_lru_page(&mut self, page: Pfn) -> bool {
        self.at("isolate_lru_page");
        self.lru_isolate(page)
    }

    fn putback_lru_page(&mut self, page: Pfn) {
        self.at("putback_lru_page");
        self.lru_putback(page);
    }

    fn lru_cache_add(&mut self, page: Pfn) {
        self.at("lru_cache_add");
        // Back to the LRU ends an isolation; its reference is the actor's to put.
        if self.read_book(page).isolated > 0 {
            self.hand_over(page, Hold::Isolation, Hold::Actor);
        }
        self.lru_add(page);
    }

    fn mem_cgroup_charge(&mut self, page: Pfn, vma: Vma) -> Result<(), NoMemory> {
        self.at("mem_cgroup_charge");
        let memcg = self
            .space(vma.mm)
            .map(|space| space.memcg)
            .unwrap_or_default();
        if self.charge(page, memcg) {
            Ok(())
        } else {
            Err(NoMemory)
        }
    }

    fn mark_uptodate(&mut self, page: Pfn) {
        // `smp_wmb()`, then the bit.
        S::fence();
        self.set_flag(page, PageFlags::UPTODATE);
    }

    fn set_page_dirty(&mut self, page: Pfn) {
        self.at("set_page_dirty");
        if self
            .live_frame(page, "set_page_dirty() of a free page")
            .is_some()
        {
            self.set_flag(self.head(page), PageFlags::DIRTY);
        }
    }

    fn free_swap_cache(&mut self, page: Pfn) -> bool {
        self.at("folio_free_swap");
        self.assert_locked(page);
        self.try_to_free_swap(page)
    }

    fn cache_lock(&mut self, page: Pfn) {
        self.at("xas_lock_irq");
        self.assert_locked(page);
        if let Some(lock) = self.cache_lock_of(page) {
            lock.lock(self);
        }
    }

    fn cache_unlock(&mut self, page: Pfn) {
        self.at("xas_unlock_irq");
        // By the page's `mapping`, which it keeps.
        if let Some(lock) = self.cache_lock_of(page) {
            lock.unlock(self);
        }
    }

    fn cache_holds(&mut self, page: Pfn) -> bool {
        self.at("xas_load");
        if let Some(lock) = self.cache_lock_of(page) {
            lock.assert_held(self);
        }
        self.cache_slot_of(page)
            .is_some_and(|slot| slot.get() as usize == page.0)
    }

    fn cache_replace(&mut self, old: Pfn, new: Pfn) {
        self.at("xas_store");
        if let Some(lock) = self.cache_lock_of(old) {
            lock.assert_held(self);
        }
        if self.book(old, |book| book.frozen_by) == Some(0) {
            self.violate(
                Invariant::Ref,
                Some(old),
                "a page is replaced in its cache that is not frozen",
            );
        }
        let slot = self.cache_slot_of(old);
        // `page_ref_add(newpage, nr)`.
        self.get_as(new, Hold::Cache);
        self.leave(old, Hold::Cache);
        if self.test_flag(old, PageFlags::SWAPCACHE) {
            self.set_flag(new, PageFlags::SWAPCACHE);
            if let (Some(from), Some(to)) = (self.frame(old), self.frame(new)) {
                to.private.set(from.private.get());
            }
        }
        if self.test_flag(old, PageFlags::DIRTY) {
            self.clear_flag(old, PageFlags::DIRTY);
            self.set_flag(new, PageFlags::DIRTY);
        }
        if let Some(slot) = slot {
            slot.set(new.0 as u32);
        }
    }

    fn copy_mapping(&mut self, new: Pfn, old: Pfn) {
        self.at("migrate_page_move_mapping");
        self.assert_locked(new);
        self.assert_locked(old);
        let (Some(from), Some(to)) = (
            self.frame(old),
            self.live_frame(new, "a free page gets an identity"),
        ) else {
            return;
        };
        to.index.set(from.index.get());
        to.set_identity(from.identity());
        if self.test_flag(old, PageFlags::SWAPBACKED) {
            self.set_flag(new, PageFlags::SWAPBACKED);
        }
    }

    fn copy_page(&mut self, new: Pfn, old: Pfn) {
        self.at("copy_highpage");
        self.assert_locked(new);
        self.assert_locked(old);
        self.copy_contents(new, old);
    }

    fn migrate_states(&mut self, new: Pfn, old: Pfn) {
        self.at("migrate_page_states");
        self.assert_locked(new);
        self.assert_locked(old);
        for flag in [PageFlags::REFERENCED, PageFlags::UPTODATE] {
            if self.test_flag(old, flag) {
                self.set_flag(new, flag);
            }
        }
        if self.test_clear_flag(old, PageFlags::ACTIVE) {
            self.set_flag(new, PageFlags::ACTIVE);
        } else if self.test_clear_flag(old, PageFlags::UNEVICTABLE) {
            self.set_flag(new, PageFlags::UNEVICTABLE);
        }
        if self.test_flag(old, PageFlags::DIRTY) {
            self.set_flag(new, PageFlags::DIRTY);
        }
        self.clear_flag(old, PageFlags::SWAPCACHE | PageFlags::PRIVATE);
        if let Some(frame) = self.frame(old) {
            frame.private.set(0);
        }
        self.charge_moves(new, old);
    }

    fn claim_destination(&mut self, page: Pfn) -> bool {
        self.at("claim_destination");
        self.assert_locked(page);
        !self.test_set_flag(page, PageFlags::CLAIMED)
    }

    fn unclaim_destination(&mut self, page: Pfn) {
        self.clear_flag(page, PageFlags::CLAIMED);
    }

    fn pin_insert(&mut self, page: Pfn, owner: Owner) -> Result<(), NoMemory> {
        self.at("pin_insert");
        if self.m.fails(AllocKind::PinRecord) {
            self.event(Event::PinRecordFull);
            return Err(NoMemory);
        }
        self.m.pin_lock.lock(self);
        let (known, done) = {
            let mut pins = self.m.pins.lock();
            let known = pins.iter().any(|(pinned, _)| *pinned == page);
            let record = PinRecord {
                owner,
                device: None,
            };
            (
                known,
                pins.len() < self.m.pin_capacity && pins.push((page, record)).is_ok(),
            )
        };
        self.m.pin_lock.unlock(self);
        if known {
            self.violate(
                Invariant::Pin,
                Some(page),
                "a page with a pin record gets another",
            );
        }
        if done {
            Ok(())
        } else {
            self.event(Event::PinRecordFull);
            Err(NoMemory)
        }
    }

    fn pin_pair(&mut self, page: Pfn, device: Pfn) {
        self.at("pin_pair");
        self.m.pin_lock.lock(self);
        let mut known = false;
        for (pinned, record) in self.m.pins.lock().iter_mut() {
            if *pinned == page {
                known = true;
                record.device = Some(device);
            }
        }
        self.m.pin_lock.unlock(self);
        if !known {
            self.violate(
                Invariant::Pin,
                Some(page),
                "a pair is made of a page without a pin record",
            );
        }
    }

    fn pin_record(&mut self, page: Pfn) -> Option<PinRecord> {
        self.at("pin_record");
        self.m.pin_lock.lock(self);
        let pins = self.m.pins.lock();
        let record = pins
            .iter()
            .find(|(pinned, _)| *pinned == page)
            .map(|(_, record)| *record);
        drop(pins);
        self.m.pin_lock.unlock(self);
        record
    }

    fn pin_remove(&mut self, page: Pfn) {
        self.at("pin_remove");
        self.m.pin_lock.lock(self);
        let mut pins = self.m.pins.lock();
        let place = pins.iter().position(|(pinned, _)| *pinned == page);
        if let Some(index) = place {
            pins.swap_remove(index);
        }
        drop(pins);
        self.m.pin_lock.unlock(self);
        if place.is_none() {
            self.violate(
                Invariant::Pin,
                Some(page),
                "a pin record is removed that is not there",
            );
        }
    }
}
