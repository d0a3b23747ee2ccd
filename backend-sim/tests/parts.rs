//! Single parts of the machine through the pipeline's own primitives: what each primitive does, and that the ledger
//! notices what a kernel must not do.

use migrate_pin_core::ops::{MmOps, NotifyEvent, Present, Pte, PteBits, Range};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::{Access, Device, Owner, Pfn, GUP_PIN_COUNTING_BIAS, PAGE_SIZE};
use migrate_pin_sim::config::*;
use migrate_pin_sim::*;

const MM: MmId = MmId(0);
const CHILD: MmId = MmId(1);
const VMA: Vma = Vma { mm: MM, index: 0 };
const AT: usize = PAGE_SIZE;

const CONFIG: Config<'static> = Config {
    actors: &[
        ActorSpec {
            cpu: 0,
            mm: Some(MM),
        },
        ActorSpec {
            cpu: 1,
            mm: Some(MM),
        },
        ActorSpec {
            cpu: 2,
            mm: Some(CHILD),
        },
    ],
    ..Config::SMALL
};

fn machine() -> Box<Machine<Spin>> {
    Box::new(Machine::new(&CONFIG).unwrap())
}

fn written() -> (Box<Machine<Spin>>, Pfn) {
    let m = machine();
    assert!(m.populate(MM, 1, Populate::Written(7)));
    let page = m.page_at(MM, 1).unwrap();
    (m, page)
}

fn read(m: &Machine<Spin>, actor: u8) -> u32 {
    m.cpu(ActorId(actor)).read(AT).done().unwrap().unwrap()
}

#[track_caller]
fn clean(m: &Machine<Spin>) {
    m.check_quiescent();
    assert!(m.violations().is_empty(), "{:?}", m.violations());
}

#[track_caller]
fn broken(m: &Machine<Spin>, invariant: Invariant) {
    let found = m.violations();
    assert!(found.iter().any(|v| v.invariant == invariant), "{found:?}");
}

// ---- TLB ---------------------------------------------------------------------------------------------------

#[test]
fn a_tlb_entry_outlives_its_page_table_entry_until_it_is_flushed() {
    let (m, _) = written();
    assert_eq!(read(&m, 1), 7);
    let mut cpu = m.cpu(ActorId(0));
    assert!(cpu.pte_lock(VMA, AT));
    let old = cpu.pte_get_and_clear(VMA, AT);
    // Nothing stands there; the other CPU doesn't know.
    assert_eq!(cpu.pte_get(VMA, AT), Pte::None);
    assert_eq!(read(&m, 1), 7);
    assert!(m.events().contains(Event::StaleTlbHit));
    cpu.pte_set(VMA, AT, old);
    cpu.pte_unlock(VMA, AT);
    clean(&m);
}

#[test]
fn a_flush_of_everything_reaches_what_no_page_table_names() {
    let (m, page) = written();
    assert_eq!(read(&m, 1), 7);
    let mut cpu = m.cpu(ActorId(0));
    cpu.get_page(page);
    assert!(cpu.trylock_page(page));
    assert!(cpu.pte_lock(VMA, AT));
    let old = cpu.pte_get_and_clear(VMA, AT);
    assert!(matches!(old, Pte::Present(..)));
    cpu.pte_set(VMA, AT, Pte::Migration(page, PteBits::WRITE));
    cpu.remove_rmap(page, VMA);
    cpu.put_page(page);
    cpu.pte_unlock(VMA, AT);
    // The other CPU doesn't know, until it is told.
    assert_eq!(read(&m, 1), 7);
    cpu.flush_tlb_all();
    assert!(m.events().contains(Event::TlbFlushAll));
    assert!(m.cpu(ActorId(1)).read(AT).done().is_none());
    cpu.remove_migration_pte(VMA, AT, page, page);
    cpu.unlock_page(page);
    cpu.put_page(page);
    assert_eq!(read(&m, 1), 7);
    clean(&m);
}

#[test]
fn clear_and_flush_leaves_no_tlb_entry() {
    let (m, _) = written();
    assert_eq!(read(&m, 1), 7);
    let mut cpu = m.cpu(ActorId(0));
    cpu.pte_lock(VMA, AT);
    let old = cpu.pte_clear_flush(VMA, AT);
    cpu.pte_set(VMA, AT, old);
    cpu.pte_unlock(VMA, AT);
    assert_eq!(read(&m, 1), 7);
    assert!(!m.events().contains(Event::StaleTlbHit));
    clean(&m);
}

#[test]
fn the_hardware_sets_dirty_when_a_clean_entry_is_written_through() {
    let m = machine();
    assert!(m.populate(MM, 1, Populate::Clean(7, true)));
    assert_eq!(read(&m, 1), 7);
    assert!(!m.entry(MM, 1).bits().contains(PteBits::DIRTY));
    m.cpu(ActorId(1)).write(AT, 8).done().unwrap().unwrap();
    assert!(m.entry(MM, 1).bits().contains(PteBits::DIRTY));
    assert!(m.events().contains(Event::HardwareDirty));
    // What is cleared is what stands there at that instant.
    let mut cpu = m.cpu(ActorId(0));
    cpu.pte_lock(VMA, AT);
    let old = cpu.pte_get_and_clear(VMA, AT);
    assert!(matches!(old, Pte::Present(Present::Page(_), bits) if bits.contains(PteBits::DIRTY)));
    cpu.pte_set(VMA, AT, old);
    cpu.pte_unlock(VMA, AT);
    clean(&m);
}

#[test]
fn a_grant_to_the_device_while_a_tlb_reaches_the_page_is_noticed() {
    let (m, page) = written();
    assert_eq!(read(&m, 1), 7);
    let mut cpu = m.cpu(ActorId(0));
    cpu.pte_lock(VMA, AT);
    let old = cpu.pte_get_and_clear(VMA, AT);
    let mut dev = cpu.device(DeviceId(0), MM);
    dev.lock();
    dev.map(AT, page, Access::Write).unwrap();
    dev.unlock();
    broken(&m, Invariant::Tlb);
    cpu.pte_set(VMA, AT, old);
    cpu.pte_unlock(VMA, AT);
    // Now the CPU has it mapped as well.
    broken(&m, Invariant::Excl);
}

// ---- reverse mapping ---------------------------------------------------------------------------------------

#[test]
fn the_rmap_leads_to_every_address_space_and_back() {
    let (m, page) = written();
    m.cpu(ActorId(0)).fork(CHILD).done().unwrap().unwrap();
    let mut cpu = m.cpu(ActorId(0));
    assert_eq!(cpu.page_mapcount(page), 2);
    cpu.get_page(page);
    assert!(cpu.trylock_page(page));
    cpu.try_to_unmap(page);
    assert_eq!(cpu.page_mapcount(page), 0);
    for mm in [MM, CHILD] {
        assert!(matches!(m.entry(mm, 1), Entry::Migration(source, _) if source == page));
    }
    // Who meets one waits for the page's lock, with mmap_lock held.
    assert_eq!(
        m.cpu(ActorId(1)).read(AT),
        Progress::Blocked(WaitFor::PageLock(page))
    );
    assert_eq!(
        m.cpu(ActorId(0)).munmap(Range {
            start: AT,
            end: 2 * AT
        }),
        Progress::Blocked(WaitFor::MmapWrite(MM))
    );
    cpu.remove_migration_ptes(page, page);
    cpu.unlock_page(page);
    cpu.put_page(page);
    assert_eq!(cpu.page_mapcount(page), 2);
    assert_eq!(read(&m, 1), 7);
    clean(&m);
}

#[test]
fn a_migration_entry_that_is_left_is_noticed_at_the_unlock() {
    let (m, page) = written();
    let mut cpu = m.cpu(ActorId(0));
    cpu.get_page(page);
    cpu.trylock_page(page);
    cpu.try_to_unmap(page);
    cpu.unlock_page(page);
    broken(&m, Invariant::Pte);
}

#[test]
fn a_map_count_without_an_entry_is_noticed() {
    let (m, page) = written();
    let mut cpu = m.cpu(ActorId(0));
    cpu.pte_lock(VMA, AT);
    cpu.remove_rmap(page, VMA);
    cpu.pte_unlock(VMA, AT);
    broken(&m, Invariant::Map);
}

// ---- LRU ---------------------------------------------------------------------------------------------------

#[test]
fn a_page_in_a_batch_is_held_and_can_not_be_isolated() {
    let m = machine();
    assert!(m.populate(MM, 1, Populate::WrittenInBatch(7, ActorId(1))));
    let page = m.page_at(MM, 1).unwrap();
    let mut cpu = m.cpu(ActorId(0));
    assert_eq!(m.page(page).unwrap().lru, LruState::Batch);
    assert_eq!(cpu.page_count(page), 2);
    assert!(!cpu.page_lru(page) && !cpu.isolate_lru_page(page));
    // This CPU's drain is not enough: it is in the other's.
    cpu.lru_add_drain();
    assert!(!cpu.isolate_lru_page(page));
    cpu.lru_add_drain_all();
    assert!(m.events().contains(Event::LruDrainedRemote));
    assert_eq!(cpu.page_count(page), 1);
    assert!(cpu.isolate_lru_page(page));
    assert_eq!(cpu.page_count(page), 2);
    assert!(!cpu.isolate_lru_page(page));
    cpu.putback_lru_page(page);
    assert_eq!(cpu.page_count(page), 2);
    clean(&m);
}

#[test]
fn a_page_that_stays_isolated_is_noticed() {
    let (m, page) = written();
    assert!(m.cpu(ActorId(0)).isolate_lru_page(page));
    m.check_quiescent();
    broken(&m, Invariant::Lru);
}

#[test]
fn a_page_that_is_put_back_twice_is_noticed() {
    let (m, page) = written();
    let mut cpu = m.cpu(ActorId(0));
    cpu.get_page(page);
    cpu.putback_lru_page(page);
    broken(&m, Invariant::Lru);
}

// ---- references --------------------------------------------------------------------------------------------

#[test]
fn a_put_of_a_reference_that_is_not_ones_own_is_noticed_at_once() {
    let (m, page) = written();
    m.cpu(ActorId(0)).get_page(page);
    m.cpu(ActorId(1)).put_page(page);
    broken(&m, Invariant::Ref);
}

#[test]
fn a_reference_that_is_kept_is_noticed() {
    let (m, page) = written();
    m.cpu(ActorId(0)).get_page(page);
    assert!(m.violations().is_empty());
    m.check_quiescent();
    broken(&m, Invariant::Ref);
}

#[test]
fn the_last_put_frees_the_page_and_what_comes_after_is_a_use_after_free() {
    let (m, page) = written();
    m.cpu(ActorId(1))
        .dontneed(Range {
            start: AT,
            end: 2 * AT,
        })
        .done()
        .unwrap()
        .unwrap();
    let state = m.page(page).unwrap();
    assert!(!state.in_use && state.count == 0);
    clean(&m);
    m.cpu(ActorId(0)).trylock_page(page);
    broken(&m, Invariant::Uaf);
}

#[test]
fn a_frozen_page_can_not_be_had() {
    let (m, page) = written();
    let mut cpu = m.cpu(ActorId(0));
    assert!(!cpu.page_ref_freeze(page, 2));
    assert!(m.events().contains(Event::FreezeFailed));
    assert!(cpu.page_ref_freeze(page, 1));
    let flags = GupFlags {
        write: false,
        pin: false,
    };
    assert!(m.cpu(ActorId(1)).gup_fast(AT, flags).is_none());
    cpu.page_ref_unfreeze(page, 1);
    let held = m.cpu(ActorId(1)).gup_fast(AT, flags).unwrap();
    m.cpu(ActorId(1)).gup_put(held);
    clean(&m);
}

#[test]
fn a_pin_is_told_from_references() {
    let (m, page) = written();
    let mut cpu = m.cpu(ActorId(0));
    cpu.page_ref_add(page, GUP_PIN_COUNTING_BIAS);
    let state = m.page(page).unwrap();
    assert_eq!((state.count, state.pins, state.dma_pins), (1025, 1, 0));
    let flags = GupFlags {
        write: true,
        pin: true,
    };
    let held = m.cpu(ActorId(1)).gup_fast(AT, flags).unwrap();
    let state = m.page(page).unwrap();
    assert_eq!((state.count, state.pins, state.dma_pins), (2049, 1, 1));
    m.cpu(ActorId(1)).gup_put(held);
    assert!(m.violations().is_empty());
    // Nobody will ever drop it.
    m.check_quiescent();
    broken(&m, Invariant::Pin);
    cpu.page_ref_sub(page, GUP_PIN_COUNTING_BIAS);
    cpu.page_ref_sub(page, GUP_PIN_COUNTING_BIAS);
    let twice = m.violations();
    assert!(
        twice.iter().any(|v| v.what.contains("not there")),
        "{twice:?}"
    );
}

// ---- locks -------------------------------------------------------------------------------------------------

#[test]
fn an_entry_is_changed_under_its_lock_only() {
    let (m, _) = written();
    m.cpu(ActorId(0)).pte_get(VMA, AT);
    broken(&m, Invariant::Lock);
}

#[test]
fn a_page_is_unlocked_by_who_locked_it() {
    let (m, page) = written();
    assert!(m.cpu(ActorId(0)).trylock_page(page));
    assert!(!m.cpu(ActorId(1)).trylock_page(page));
    m.cpu(ActorId(1)).unlock_page(page);
    broken(&m, Invariant::Lock);
}

#[test]
fn who_waits_for_ever_names_the_lock_and_its_holder() {
    let (m, page) = written();
    assert!(m.cpu(ActorId(0)).trylock_page(page));
    assert_eq!(m.cpu(ActorId(1)).mmap_read(MM), Progress::Done(()));
    m.report_wait(ActorId(2), WaitFor::PageLock(page));
    m.report_wait(ActorId(2), WaitFor::MmapWrite(MM));
    let told: Vec<_> = m.violations().iter().map(ToString::to_string).collect();
    let locks = [
        format!(", page {page} (page lock: ledger held by actor 0, machine taken)"),
        " (mmap_lock: ledger held by actor 1, machine taken)".to_owned(),
    ];
    let expected = locks.map(|lock| format!("LIVE: an actor waits for ever{lock}"));
    assert!(told.len() == 2, "{told:#?}");
    for (told, expected) in told.iter().zip(&expected) {
        assert!(told.starts_with(expected), "{told}, expected {expected}");
    }
}

#[test]
fn a_spin_lock_taken_twice_is_a_violation_and_no_hang() {
    let (m, _) = written();
    let mut cpu = m.cpu(ActorId(0));
    cpu.pte_lock(VMA, AT);
    cpu.pte_lock(VMA, AT);
    broken(&m, Invariant::Lock);
    m.cpu(ActorId(1)).pte_lock(VMA, AT);
    broken(&m, Invariant::Live);
}

// ---- notifier ----------------------------------------------------------------------------------------------

#[test]
fn an_invalidation_is_seen_by_retry_and_waited_for_by_begin() {
    let m = machine();
    let mut cpu = m.cpu(ActorId(0));
    let mut dev = m.cpu(ActorId(1)).device(DeviceId(0), MM);
    let range = Range {
        start: AT,
        end: 2 * AT,
    };
    let retry = |dev: &mut Dev<'_, Spin>, seq| {
        dev.lock();
        let retry = dev.read_retry(seq);
        dev.unlock();
        retry
    };
    let seq = dev.read_begin();
    assert!(!retry(&mut dev, seq));
    // The driver's own migrations are let pass.
    let own = Some(DeviceId(0).owner());
    cpu.notify_start(VMA, range, NotifyEvent::Migrate, own);
    cpu.notify_end(VMA, range, NotifyEvent::Migrate, own);
    assert!(!retry(&mut dev, seq));
    let other = Some(Owner(1));
    cpu.notify_start(VMA, range, NotifyEvent::Migrate, other);
    assert!(retry(&mut dev, seq));
    cpu.notify_end(VMA, range, NotifyEvent::Migrate, other);
    assert!(retry(&mut dev, seq));
    let seq = dev.read_begin();
    assert!(!retry(&mut dev, seq));
    clean(&m);
    // Nobody else runs here, so that an open section never ends.
    cpu.notify_start(VMA, range, NotifyEvent::Clear, None);
    dev.read_begin();
    assert!(m.events().contains(Event::NotifierBusy));
    broken(&m, Invariant::Live);
}

// ---- data --------------------------------------------------------------------------------------------------

#[test]
fn a_write_past_the_page_tables_is_noticed_by_the_next_read() {
    let (m, page) = written();
    let other = m.populate(MM, 2, Populate::Written(9));
    assert!(other);
    let mut cpu = m.cpu(ActorId(0));
    let from = m.page_at(MM, 2).unwrap();
    cpu.trylock_page(page);
    cpu.trylock_page(from);
    cpu.copy_page(page, from);
    cpu.unlock_page(from);
    cpu.unlock_page(page);
    assert_eq!(read(&m, 1), 9);
    broken(&m, Invariant::Data);
}

/// A TLB keeps a zero page whose entry was cleared, by nobody who would flush.
#[test]
fn zeroes_that_are_read_where_something_was_written_are_noticed() {
    let m = machine();
    assert_eq!(read(&m, 1), 0);
    let mut cpu = m.cpu(ActorId(0));
    cpu.pte_lock(VMA, AT);
    cpu.pte_get_and_clear(VMA, AT);
    cpu.pte_unlock(VMA, AT);
    cpu.write(AT, 8).done().unwrap().unwrap();
    assert_eq!(read(&m, 1), 0);
    assert!(m.events().contains(Event::StaleTlbHit));
    broken(&m, Invariant::Data);
}

#[test]
fn swap_brings_back_what_was_written_and_shares_after_a_fork() {
    let m = machine();
    assert!(m.populate(MM, 1, Populate::Swapped(7)));
    m.cpu(ActorId(0)).fork(CHILD).done().unwrap().unwrap();
    assert_eq!(m.entry(MM, 1), m.entry(CHILD, 1));
    m.cpu(ActorId(2)).write(AT, 8).done().unwrap().unwrap();
    assert_eq!(read(&m, 0), 7);
    assert_eq!(read(&m, 2), 8);
    assert!(m.events().contains(Event::SwapIn) && m.events().contains(Event::SwapCacheHit));
    clean(&m);
}

/// The swap entry of 6.12 says that the page was exclusive (`pte_swp_mkexclusive()`): it comes back writable, whoever has a reference, and
/// stays where that is. A fork makes it shared, 5.11 does not know: a write copies it, and leaves the reference behind.
#[test]
fn a_page_that_comes_back_from_swap_is_exclusive_if_it_was() {
    for (shape, forked, stays) in [
        (ShapeKind::V6_12, false, true),
        (ShapeKind::V6_12, true, false),
        (ShapeKind::V5_11, false, false),
    ] {
        let m = Box::new(Machine::<Spin>::new(&Config { shape, ..CONFIG }).unwrap());
        assert!(m.populate(MM, 1, Populate::Written(7)));
        let page = m.page_at(MM, 1).unwrap();
        let (holder, cpu) = (m.cpu(ActorId(0)), m.cpu(ActorId(1)));
        let (write, pin) = (true, false);
        let held = holder.gup_fast(AT, GupFlags { write, pin }).unwrap();
        cpu.drain_lru();
        assert!(!cpu.reclaim(page));
        assert!(matches!(m.entry(MM, 1), Entry::Swap(..)));
        if forked {
            holder.fork(CHILD).done().unwrap().unwrap();
            assert_eq!(m.entry(MM, 1), m.entry(CHILD, 1));
        }
        assert_eq!(read(&m, 1), 7);
        assert_eq!(m.page_at(MM, 1), Some(page));
        assert_eq!(m.entry(MM, 1).write(), stays);
        holder.gup_write(&held, 8);
        assert_eq!(read(&m, 1), 8);
        cpu.write(AT, 9).done().unwrap().unwrap();
        assert_eq!(m.page_at(MM, 1) == Some(page), stays);
        assert_eq!(holder.gup_read(&held), if stays { 9 } else { 8 });
        holder.gup_put(held);
        clean(&m);
    }
}

/// A page that was read from swap and written since, of 6.12.
fn rewritten(bugs: &[Bug]) -> (Box<Machine<Spin>>, Pfn) {
    let shape = ShapeKind::V6_12;
    let config = Config {
        shape,
        bugs,
        ..CONFIG
    };
    let m = Box::new(Machine::<Spin>::new(&config).unwrap());
    assert!(m.populate(MM, 1, Populate::SwapCached(7)));
    m.cpu(ActorId(1)).write(AT, 8).done().unwrap().unwrap();
    m.cpu(ActorId(1)).drain_lru();
    let page = m.page_at(MM, 1).unwrap();
    (m, page)
}

/// Who throws away memory that is in the swap cache leaves it there if the page is locked, and its dirty bit goes with the entry. Nobody
/// needs it: reclaim drops it as clean.
#[test]
fn what_is_in_the_swap_cache_and_was_thrown_away_is_dropped_as_it_is() {
    let (m, page) = rewritten(&[]);
    let (mut holder, cpu) = (m.cpu(ActorId(0)), m.cpu(ActorId(1)));
    assert!(holder.trylock_page(page));
    let (start, end) = (AT, 2 * AT);
    cpu.dontneed(Range { start, end }).done().unwrap().unwrap();
    holder.unlock_page(page);
    assert!(cpu.reclaim(page));
    assert_eq!(read(&m, 1), 0);
    clean(&m);
}

#[test]
fn what_is_in_the_swap_cache_and_is_needed_is_not_dropped_as_it_is() {
    let (m, page) = rewritten(&[]);
    assert!(m.cpu(ActorId(1)).reclaim(page));
    assert_eq!(read(&m, 1), 8);
    clean(&m);
    let (m, page) = rewritten(&[Bug::UnmapLosesDirty]);
    assert!(m.cpu(ActorId(1)).reclaim(page));
    broken(&m, Invariant::Data);
}

/// `wp_page_copy()` of 6.12: a copy that was the last to need the page takes it out of the swap cache.
#[test]
fn a_page_that_is_copied_leaves_the_swap_cache_if_nobody_needs_it() {
    let (m, page) = rewritten(&[]);
    m.cpu(ActorId(0)).fork(CHILD).done().unwrap().unwrap();
    let (write, pin) = (false, false);
    let held = m.cpu(ActorId(0)).gup_fast(AT, GupFlags { write, pin });
    let held = held.unwrap();
    m.cpu(ActorId(2)).write(AT, 9).done().unwrap().unwrap();
    assert!(m.page(page).unwrap().flags.contains(PageFlags::SWAPCACHE));
    m.cpu(ActorId(1)).write(AT, 10).done().unwrap().unwrap();
    assert!(!m.page(page).unwrap().flags.contains(PageFlags::SWAPCACHE));
    m.cpu(ActorId(0)).gup_put(held);
    clean(&m);
}

/// A fork takes write permission and exclusiveness out of the migration entry of parent and child, whatever it had of both: else the
/// page would be exclusive again when it is restored, and shared.
#[test]
fn a_page_that_is_being_migrated_is_shared_by_a_fork() {
    for (shape, populate) in [
        (ShapeKind::V5_11, Populate::Written(7)),
        (ShapeKind::V6_12, Populate::Written(7)),
        // Read-only, and exclusive.
        (ShapeKind::V6_12, Populate::Marked(7)),
    ] {
        let m = Box::new(Machine::<Spin>::new(&Config { shape, ..CONFIG }).unwrap());
        assert!(m.populate(MM, 1, populate));
        let page = m.page_at(MM, 1).unwrap();
        let mut cpu = m.cpu(ActorId(0));
        cpu.get_page(page);
        assert!(cpu.trylock_page(page));
        cpu.try_to_unmap(page);
        let alone = PteBits::WRITE | PteBits::EXCLUSIVE;
        assert!(m.entry(MM, 1).bits().intersects(alone));
        m.cpu(ActorId(1)).fork(CHILD).done().unwrap().unwrap();
        assert!(matches!(m.entry(MM, 1), Entry::Migration(..)));
        assert_eq!(m.entry(MM, 1), m.entry(CHILD, 1));
        assert!(!m.entry(MM, 1).bits().intersects(alone));
        cpu.remove_migration_ptes(page, page);
        cpu.unlock_page(page);
        cpu.put_page(page);
        m.cpu(ActorId(2)).write(AT, 8).done().unwrap().unwrap();
        assert_eq!((read(&m, 0), read(&m, 2)), (7, 8));
        clean(&m);
    }
}

/// Whoever writes a page that is exclusive does not look whether somebody else has it.
#[test]
fn a_shared_page_that_is_exclusive_is_noticed() {
    let shape = ShapeKind::V6_12;
    let m = Box::new(Machine::<Spin>::new(&Config { shape, ..CONFIG }).unwrap());
    assert!(m.populate(MM, 1, Populate::Written(7)));
    let page = m.page_at(MM, 1).unwrap();
    let mut cpu = m.cpu(ActorId(0));
    cpu.fork(CHILD).done().unwrap().unwrap();
    clean(&m);
    cpu.get_page(page);
    assert!(cpu.trylock_page(page));
    cpu.pte_lock(VMA, AT);
    cpu.pte_clear_flush(VMA, AT);
    cpu.pte_set(VMA, AT, Pte::Migration(page, PteBits::EXCLUSIVE));
    cpu.remove_rmap(page, VMA);
    cpu.put_page(page);
    cpu.pte_unlock(VMA, AT);
    cpu.remove_migration_pte(VMA, AT, page, page);
    cpu.unlock_page(page);
    cpu.put_page(page);
    assert!(m.violations().is_empty());
    m.check_quiescent();
    broken(&m, Invariant::Cow);
}

#[test]
fn a_shared_page_is_copied_and_the_last_one_is_reused() {
    let (m, page) = written();
    m.cpu(ActorId(0)).fork(CHILD).done().unwrap().unwrap();
    m.cpu(ActorId(2)).write(AT, 8).done().unwrap().unwrap();
    assert_ne!(m.page_at(CHILD, 1), Some(page));
    m.cpu(ActorId(0)).write(AT, 9).done().unwrap().unwrap();
    assert_eq!(m.page_at(MM, 1), Some(page));
    assert!(m.events().contains(Event::CowCopy) && m.events().contains(Event::CowReuse));
    clean(&m);
}

#[test]
fn a_bare_machine_does_the_same_and_checks_nothing() {
    let m = Box::new(Machine::<SpinBare>::new(&CONFIG).unwrap());
    m.populate(MM, 1, Populate::Written(7));
    let driver = m.cpu(ActorId(0)).device(DeviceId(0), MM);
    let range = Range {
        start: AT,
        end: 2 * AT,
    };
    for round in 0..3 {
        driver
            .acquire(range, Access::Write)
            .done()
            .unwrap()
            .unwrap();
        assert_eq!(driver.access(AT, DeviceOp::Add(1)), Some(7 + round));
        let word = m.cpu(ActorId(1)).read(AT).done().unwrap().unwrap();
        assert_eq!(word, 8 + round);
    }
    m.cpu(ActorId(0)).put_page(Pfn(1));
    m.check_quiescent();
    assert!(m.violations().is_empty());
}

#[test]
fn threads_that_spin() {
    const FOUR: Config<'static> = Config {
        system_pages: 32,
        lru_batch: 2,
        actors: &[
            ActorSpec {
                cpu: 0,
                mm: Some(MM),
            },
            ActorSpec {
                cpu: 1,
                mm: Some(MM),
            },
            ActorSpec {
                cpu: 2,
                mm: Some(MM),
            },
        ],
        ..Config::SMALL
    };
    let m = Box::new(Machine::<SpinThreads>::new(&FOUR).unwrap());
    for page in 0..4 {
        m.populate(MM, page, Populate::Written(page as u32));
    }
    fn done<T>(cpu: &Cpu<'_, SpinThreads>, mut op: impl FnMut() -> Progress<T>) -> T {
        loop {
            match op() {
                Progress::Done(result) => return result,
                Progress::Blocked(wait) => assert!(cpu.wait(wait)),
            }
        }
    }
    let range = |page: usize| Range {
        start: page * AT,
        end: (page + 2) * AT,
    };
    std::thread::scope(|scope| {
        let m = &m;
        scope.spawn(move || {
            let cpu = m.cpu(ActorId(0));
            let driver = cpu.device(DeviceId(0), MM);
            for round in 0..2000 {
                done(&cpu, || driver.acquire(range(round % 3), Access::Write)).unwrap();
                driver.access(round % 3 * AT, DeviceOp::Add(1));
            }
        });
        scope.spawn(move || {
            let cpu = m.cpu(ActorId(1));
            for round in 0..2000 {
                done(&cpu, || cpu.access(round % 4 * AT, CpuOp::Add(1))).unwrap();
            }
        });
        scope.spawn(move || {
            let cpu = m.cpu(ActorId(2));
            for round in 0..2000 {
                let _ = done(&cpu, || cpu.read(round % 4 * AT));
                if round % 16 == 0 {
                    done(&cpu, || cpu.dontneed(range(round % 3))).unwrap();
                }
                cpu.drain_lru();
            }
        });
    });
    m.check_quiescent();
    assert!(m.violations().is_empty(), "{:?}", m.violations());
}
