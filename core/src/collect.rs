//! *collect*: walk the page table, take a reference on each page, and where its lock is free replace the
//! entry by a migration entry (`migrate_vma_collect()`).
//!
//! Touched here: source words, page references and locks, entries and rmap of the caller's own area. All
//! of it happens in one mmu-notifier section, the entries of a page-table page under its PTL.

use crate::migration::{Context, Select};
use crate::ops::{
    HugePmd, Mapping, MmOps, NotifyEvent, PmdKind, Present, Pte, PteBits, Range, Zone,
};
use crate::pfn::{DstPfn, MigratePfn, Pfn, SrcPfn, PAGE_SHIFT, PAGE_SIZE};
use crate::policy::{Hardened, Policy, Rules, Shape, V6_12};

/// What becomes of the words of one page where there is no page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The words.
    pub words: HoleWords,
    /// Is it counted in `cpages`?
    pub count: bool,
}

/// The words of a [`Hole`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoleWords {
    /// Both become zero.
    ZeroBoth,
    /// The source word becomes zero.
    ZeroSource,
    /// The source word becomes MIGRATE; it is assigned, not OR-ed.
    Empty,
    /// The source word stays as it is.
    Keep,
}

/// `migrate_vma_collect_hole()` for one page.
///
/// ```
/// use migrate_pin_core::collect::decide_hole;
/// use migrate_pin_core::{AsPosted, Hardened, Rules, V5_11};
/// // Anonymous memory with no page table, whose word has PIN: as posted it is counted, though nothing migrates.
/// assert!(decide_hole(Rules::of::<AsPosted, V5_11>(), true, true).count);
/// assert!(!decide_hole(Rules::of::<Hardened, V5_11>(), true, true).count);
/// ```
#[must_use]
pub const fn decide_hole(rules: Rules, anonymous: bool, pin: bool) -> Hole {
    match (anonymous, pin) {
        (false, _) if rules.skips_file_holes() => Hole {
            words: HoleWords::ZeroBoth,
            count: false,
        },
        (false, _) => Hole {
            words: HoleWords::ZeroSource,
            count: false,
        },
        (true, false) => Hole {
            words: HoleWords::Empty,
            count: true,
        },
        // There is nothing to pin, and nothing migrates: counting it would make COUNT wrong.
        (true, true) => Hole {
            words: HoleWords::Keep,
            count: rules.counts_pinned_holes(),
        },
    }
}

/// What collect asks of a page that an entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFacts {
    /// `page->mapping` is non-null.
    pub has_mapping: bool,
    /// `PageTransCompound()`.
    pub compound: bool,
    /// What memory it is.
    pub memory: Memory,
}

/// What memory a page is that a present entry maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Ordinary.
    System,
    /// Device-coherent, of the caller's owner (6.12).
    OwnCoherent,
    /// Device-coherent, of another owner (6.12).
    ForeignCoherent,
    /// Of a device otherwise.
    OtherDevice,
}

/// What the walk found in one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// `pte_none()`.
    Empty,
    /// Swap, migration or another special entry.
    Other,
    /// A device-private entry.
    DevicePrivate {
        /// The page is of the caller's owner.
        own: bool,
        /// The entry is writable.
        write: bool,
        /// The page.
        page: PageFacts,
    },
    /// The zero page.
    Zero,
    /// Present, with no `struct page` behind it.
    Special,
    /// A present entry.
    Present {
        /// The entry is writable.
        write: bool,
        /// The page.
        page: PageFacts,
    },
}

/// What collect does with one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing; no bit is OR-ed into the word.
    Leave,
    /// MIGRATE without a page is OR-ed in, and the entry is counted.
    Empty,
    /// The page is taken: pfn, VALID, MIGRATE, and WRITE if writable.
    Take {
        /// WRITE is set too.
        write: bool,
    },
}

/// `migrate_vma_collect_pmd()`, the tests that choose an entry, in their order.
#[must_use]
#[inline(always)]
pub fn decide_entry(
    rules: Rules,
    anonymous: bool,
    pin: bool,
    select: Select,
    found: Found,
) -> Entry {
    let (write, page) = match found {
        Found::Empty if anonymous && !pin => return Entry::Empty,
        Found::Zero if select.contains(Select::SYSTEM) => return Entry::Empty,
        Found::Empty | Found::Other | Found::Zero | Found::Special => return Entry::Leave,
        Found::DevicePrivate { own, write, page } => {
            if !own || !select.contains(Select::DEVICE_PRIVATE) {
                return Entry::Leave;
            }
            // A pin of device memory has no original that anyone could release.
            if pin && rules.refuses_senseless_pins() {
                return Entry::Leave;
            }
            (write, page)
        }
        Found::Present { write, page } => {
            let wanted = match page.memory {
                Memory::OwnCoherent if rules.has_coherent_pages() => {
                    select.contains(Select::DEVICE_COHERENT)
                }
                Memory::ForeignCoherent if rules.has_coherent_pages() => false,
                Memory::OtherDevice if rules.always_takes_other_devices() => true,
                _ => select.contains(Select::SYSTEM),
            };
            let senseless = pin && page.memory != Memory::System && rules.refuses_senseless_pins();
            if !wanted || senseless {
                return Entry::Leave;
            }
            (write, page)
        }
    };
    if !page.has_mapping || page.compound {
        return Entry::Leave;
    }
    Entry::Take { write }
}

/// What becomes of a page that was taken, after its lock was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The lock is ours: the entry becomes a migration entry.
    Replace,
    /// The lock is busy: the page keeps its mapping and its reference, prepare tries again (5.11).
    TryLater,
    /// The lock is busy, or the page can't be shared: the reference is dropped and the word stays as
    /// it was (6.12).
    Drop,
}

/// What follows from `trylock_page()`.
#[must_use]
pub const fn decide_lock(rules: Rules, locked: bool) -> Taken {
    match locked {
        true => Taken::Replace,
        false if rules.retries_busy_pages() => Taken::TryLater,
        false => Taken::Drop,
    }
}

/// The bits of the migration entry that takes the place of an entry that had `old`.
///
/// Soft-dirty and uffd-wp are carried over always; young, dirty and exclusive in 6.12 only, the former
/// two from present entries only.
#[must_use]
#[inline(always)]
pub fn migration_bits(
    rules: Rules,
    present: bool,
    write: bool,
    exclusive: bool,
    old: PteBits,
) -> PteBits {
    let mut bits = old & (PteBits::SOFT_DIRTY | PteBits::UFFD_WP);
    if write {
        bits |= PteBits::WRITE;
    } else if exclusive && rules.entries_carry_state() {
        bits |= PteBits::EXCLUSIVE;
    }
    if present && rules.entries_carry_state() {
        bits |= old & (PteBits::YOUNG | PteBits::DIRTY);
    }
    bits
}

/// What takes the place of an entry that was cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The entry was present: the TLB has to be flushed.
    pub present: bool,
    /// Its dirty bit goes to the page.
    pub dirty: bool,
    /// The bits of the migration entry.
    pub bits: PteBits,
}

/// What takes the place of `old`.
#[must_use]
#[inline]
pub fn replace(rules: Rules, exclusive: bool, old: Pte) -> Replaced {
    let (present, bits) = match old {
        Pte::Present(_, bits) => (true, bits),
        Pte::DevicePrivate(_, bits) => (false, bits),
        Pte::None | Pte::Migration(..) | Pte::Other => (false, PteBits::empty()),
    };
    let write = bits.contains(PteBits::WRITE);
    Replaced {
        present,
        dirty: saves_dirty(rules, present, bits),
        bits: migration_bits(rules, present, write, exclusive, bits),
    }
}

/// The same of an entry whose page is exclusive, which is 6.12 only; both policies agree there.
#[inline]
pub(crate) fn replace_exclusive(old: Pte) -> Replaced {
    replace(Rules::of::<Hardened, V6_12>(), true, old)
}

/// Is the dirty bit of the entry that was cleared given to the page?
#[must_use]
pub const fn saves_dirty(rules: Rules, present: bool, old: PteBits) -> bool {
    rules.saves_dirty_bit() && present && old.contains(PteBits::DIRTY)
}

/// How the walk goes on at a pmd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pmd {
    /// As a hole.
    Hole,
    /// Both words of each page become zero.
    Skip,
    /// Entry by entry, under the PTL.
    Entries,
    /// Split it first.
    Split,
    /// Look again.
    Again,
}

/// How the walk goes on at a pmd that was not split.
#[must_use]
pub const fn decide_pmd(rules: Rules, kind: PmdKind) -> Pmd {
    match kind {
        PmdKind::Hole => Pmd::Hole,
        PmdKind::Huge => Pmd::Split,
        PmdKind::Table => Pmd::Entries,
        // `pte_offset_map_lock()` clears a bad pmd, finds no table, and 6.12 sees a hole next time round.
        PmdKind::Bad if rules.looks_again() => Pmd::Hole,
        PmdKind::Bad => Pmd::Skip,
    }
}

/// How the walk goes on at a pmd that was huge and was split: a page, or the huge zero page.
#[must_use]
pub const fn decide_split(rules: Rules, zero_page: bool, now: PmdKind) -> Pmd {
    match now {
        _ if rules.looks_again() => Pmd::Again,
        PmdKind::Table => Pmd::Entries,
        PmdKind::Hole if !zero_page => Pmd::Hole,
        // Unstable after the zero page, or bad, which a huge pmd is to `pmd_bad()` as well.
        PmdKind::Hole | PmdKind::Huge | PmdKind::Bad => Pmd::Skip,
    }
}

/// Split the huge page at `addr` and say how to go on.
fn split<M: MmOps>(ops: &mut M, rules: Rules, vma: M::Vma, addr: usize, end: usize) -> Pmd {
    let huge = ops.pmd_lock_huge(vma, addr);
    match huge {
        HugePmd::Changed => {
            ops.pmd_unlock(vma, addr);
            return Pmd::Again;
        }
        HugePmd::ZeroPage => {
            ops.pmd_unlock(vma, addr);
            ops.split_huge_pmd(vma, addr);
        }
        HugePmd::Page(page) => {
            ops.get_page(page);
            ops.pmd_unlock(vma, addr);
            if !ops.trylock_page(page) {
                if rules.drops_busy_huge_page() {
                    ops.put_page(page);
                }
                return Pmd::Skip;
            }
            let done = ops.split_huge_page(page);
            ops.unlock_page(page);
            ops.put_page(page);
            if !done {
                return Pmd::Skip;
            }
        }
    }
    let now = ops.pmd_span(vma, addr, end).kind;
    decide_split(rules, huge == HugePmd::ZeroPage, now)
}

/// Look at the page that an entry names.
#[inline(always)]
fn page_facts<M: MmOps>(
    ops: &mut M,
    page: Pfn,
    zone: Zone,
    context: &Context<M::Vma>,
) -> PageFacts {
    PageFacts {
        has_mapping: ops.page_mapping(page) != Mapping::None,
        compound: ops.page_compound(page),
        memory: match zone {
            Zone::System => Memory::System,
            Zone::DeviceCoherent(owner) if owner == context.owner => Memory::OwnCoherent,
            Zone::DeviceCoherent(_) => Memory::ForeignCoherent,
            Zone::DevicePrivate(_) | Zone::DeviceOther => Memory::OtherDevice,
        },
    }
}

/// What is to be done with an entry, and the page that it names.
#[inline(always)]
fn find<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    pin: bool,
    pte: Pte,
    context: &Context<M::Vma>,
) -> (Entry, Option<Pfn>) {
    let decide = |found| decide_entry(rules, context.anonymous, pin, context.select, found);
    match pte {
        Pte::None => (decide(Found::Empty), None),
        Pte::Other | Pte::Migration(..) => (decide(Found::Other), None),
        Pte::Present(Present::Zero, _) => (decide(Found::Zero), None),
        Pte::Present(Present::Special, _) => (decide(Found::Special), None),
        Pte::Present(Present::Page(page), bits) => {
            let zone = ops.page_zone(page);
            let found = Found::Present {
                write: bits.contains(PteBits::WRITE),
                page: page_facts(ops, page, zone, context),
            };
            (decide(found), Some(page))
        }
        Pte::DevicePrivate(page, bits) => {
            let zone = ops.page_zone(page);
            let found = Found::DevicePrivate {
                own: zone == Zone::DevicePrivate(context.owner),
                write: bits.contains(PteBits::WRITE),
                page: page_facts(ops, page, zone, context),
            };
            (decide(found), Some(page))
        }
    }
}

/// What one entry adds to the walk.
#[derive(Default)]
struct Step {
    /// OR-ed into the source word.
    word: SrcPfn,
    /// Counted in `cpages`.
    count: bool,
    /// A present entry was cleared: the TLB has to be flushed.
    flush: bool,
}

/// Take the page at `addr`, whose entry is `pte`, under the PTL.
#[inline(always)]
fn take<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    context: &Context<M::Vma>,
    addr: usize,
    page: Pfn,
    write: bool,
) -> Step {
    let vma = context.vma;
    let mut word = SrcPfn::page(page, MigratePfn::MIGRATE);
    if write {
        word = word.with(MigratePfn::WRITE);
    }
    ops.get_page(page);
    let locked = ops.trylock_page(page);
    match decide_lock(rules, locked) {
        Taken::TryLater => {
            return Step {
                word,
                count: true,
                flush: false,
            }
        }
        Taken::Drop => {
            ops.put_page(page);
            return Step::default();
        }
        Taken::Replace => {}
    }
    if rules.has_locked_bit() {
        word = word.with(MigratePfn::LOCKED);
    }

    if rules.entries_carry_state() && ops.anon_exclusive(page) {
        let Some(flush) = ops.unmap_exclusive_pte(vma, addr, page) else {
            ops.unlock_page(page);
            ops.put_page(page);
            return Step::default();
        };
        return Step {
            word,
            count: true,
            flush,
        };
    }
    let old = ops.pte_get_and_clear(vma, addr);
    let Replaced {
        present,
        dirty,
        bits,
    } = replace(rules, false, old);
    if dirty {
        ops.set_page_dirty(page);
    }
    ops.pte_set(vma, addr, Pte::Migration(page, bits));
    // The mapping is gone, and with it its rmap and its reference; ours keeps the page.
    ops.remove_rmap(page, vma);
    ops.put_page(page);
    Step {
        word,
        count: true,
        flush: present,
    }
}

/// The part of an array that belongs to `range` of the migration.
fn words<T>(words: &mut [T], context_start: usize, range: Range) -> &mut [T] {
    let from = range.start.wrapping_sub(context_start) >> PAGE_SHIFT;
    let until = range.end.wrapping_sub(context_start) >> PAGE_SHIFT;
    words.get_mut(from..until).unwrap_or_default()
}

/// The entries of one page-table page, whose lock is held, and is not any more then.
#[inline(always)]
fn entries<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    context: &Context<M::Vma>,
    range: Range,
    src: &mut [SrcPfn],
) -> usize {
    let vma = context.vma;
    let mut cpages = 0;
    let mut flush = false;
    let mut addr = range.start;
    for word in src.iter_mut() {
        let pte = ops.pte_get(vma, addr);
        let step = match find(ops, rules, word.pin(), pte, context) {
            (Entry::Take { write }, Some(page)) => take(ops, rules, context, addr, page, write),
            (Entry::Empty, _) => Step {
                word: SrcPfn::EMPTY,
                count: true,
                flush: false,
            },
            (Entry::Leave | Entry::Take { .. }, _) => Step::default(),
        };
        *word = word.or(step.word);
        cpages += usize::from(step.count);
        flush |= step.flush;
        addr = addr.wrapping_add(PAGE_SIZE);
    }
    if flush && rules.flushes_under_ptl() {
        ops.flush_tlb_range(vma, range);
    }
    ops.pte_unlock(vma, range.start);
    if flush && !rules.flushes_under_ptl() {
        ops.flush_tlb_range(vma, range);
    }
    cpages
}

/// The pages of a hole.
fn hole<V>(rules: Rules, context: &Context<V>, src: &mut [SrcPfn], dst: &mut [DstPfn]) -> usize {
    let mut cpages = 0;
    for (src, dst) in src.iter_mut().zip(dst) {
        let hole = decide_hole(rules, context.anonymous, src.pin());
        match hole.words {
            HoleWords::ZeroBoth => {
                *src = SrcPfn::NONE;
                *dst = DstPfn::NONE;
            }
            HoleWords::ZeroSource => *src = SrcPfn::NONE,
            HoleWords::Empty => *src = SrcPfn::EMPTY,
            HoleWords::Keep => {}
        }
        cpages += usize::from(hole.count);
    }
    cpages
}

/// Collect the range of `context` into `src`; the number of entries that were counted (`cpages`).
pub(crate) fn collect<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    context: &Context<M::Vma>,
    src: &mut [SrcPfn],
    dst: &mut [DstPfn],
) -> usize {
    let rules = Rules::of::<P, S>();
    let (vma, range) = (context.vma, context.range);
    let owner = Some(context.owner);
    ops.notify_start(vma, range, NotifyEvent::Migrate, owner);
    let mut cpages = 0;
    let mut addr = range.start;
    while addr < range.end {
        let (span, locked) = ops.pte_lock_span(vma, addr, range.end);
        let part = Range {
            start: addr,
            // At least one page, whatever the walk says (`clamp` would panic on bounds that cross).
            end: span.until.max(addr.wrapping_add(PAGE_SIZE)).min(range.end),
        };
        let src = words(src, range.start, part);
        let dst = words(dst, range.start, part);
        let next = match decide_pmd(rules, span.kind) {
            Pmd::Split => split(ops, rules, vma, addr, range.end),
            next => next,
        };
        match next {
            Pmd::Hole => cpages += hole(rules, context, src, dst),
            Pmd::Skip => {
                src.fill(SrcPfn::NONE);
                dst.fill(DstPfn::NONE);
            }
            // A table that was found by splitting is not locked yet; one that went away is looked for again.
            Pmd::Entries if locked || (span.kind != PmdKind::Table && ops.pte_lock(vma, addr)) => {
                cpages += entries(ops, rules, context, part, src);
            }
            Pmd::Entries => continue,
            Pmd::Again | Pmd::Split => continue,
        }
        addr = part.end;
    }
    ops.notify_end(vma, range, NotifyEvent::Migrate, owner);
    cpages
}
