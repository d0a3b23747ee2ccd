//! *pin*: the driver's half of unmap-and-pin, as functions that a driver calls.
//!
//! | call | when | may sleep |
//! | --- | --- | --- |
//! | [`acquire`] | the device wants atomic access to a range | yes, `mmap_lock` held for reading |
//! | [`grant`] | the device lost its mapping of a page that is still pinned for it | yes, likewise |
//! | [`fault`] | `migrate_to_ram`: a CPU wants the page back | yes, likewise |
//! | [`revoke`] | the driver gives a range back of its own accord | yes, likewise |
//! | [`invalidate`] | the interval notifier's callback | no |
//! | [`release`] | `page_free`: the device page's last mapping is gone | no, runs under a PTL |

use crate::border::{pin_facts, referenced, PinFacts};
use crate::device::{Access, Device};
use crate::error::Error;
use crate::migration::{setup, Migration, Request, Select, Unmapped};
use crate::ops::{MmOps, NotifyEvent, Owner, PmdKind, Pte, PteBits, Range, Zone};
use crate::pfn::{DstPfn, Pfn, SrcPfn, GUP_PIN_COUNTING_BIAS, PAGE_SIZE};
use crate::policy::{Policy, Rules, Shape};

/// What [`acquire`] is asked to do.
#[derive(Debug)]
pub struct Acquire<'a, V> {
    /// The area.
    pub vma: V,
    /// The addresses, page aligned, within the area.
    pub range: Range,
    /// What the device is to do with the pages.
    pub access: Access,
    /// Room for one word a page; what stands there is of no meaning. On return a word has MIGRATE
    /// exactly if its page is pinned for the device.
    pub src: &'a mut [SrcPfn],
    /// Room for one word a page; what stands there is of no meaning.
    pub dst: &'a mut [DstPfn],
}

/// What [`acquire`] achieved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acquired {
    /// Pages that are pinned and mapped by the device.
    pub granted: usize,
    /// Pages that are pinned, but could not be mapped for certain nor given back at once; the next CPU
    /// access takes them back.
    pub left: usize,
}

/// Is an entry whose source word is `src` fit for `access`?
///
/// It must be a page (not an empty entry), pinned by this migration, and writable if the device is to
/// write: else others may read it as private.
#[must_use]
pub fn wanted(src: SrcPfn, access: Access) -> bool {
    src.migrating() && src.pfn().is_some() && src.pin() && (access == Access::Read || src.write())
}

/// Unmap and pin the pages of a range and map them for the device.
///
/// Pages that can't be had (not present, in use for DMA, of a file, ...) are left to the CPU; that is no
/// error. The caller faults them in beforehand if it must have them.
///
/// # Errors
/// As [`setup`], and as [`Migration::pages`] if the device handed out a page that can't be one. Nothing
/// was changed then.
pub fn acquire<P: Policy, S: Shape, M: MmOps, D: Device>(
    ops: &mut M,
    device: &mut D,
    request: Acquire<'_, M::Vma>,
) -> Result<Acquired, Error> {
    let Acquire {
        vma,
        range,
        access,
        src,
        dst,
    } = request;
    src.fill(SrcPfn::PIN);
    dst.fill(DstPfn::NONE);
    // Before setup, so that a zap of what setup leaves behind is seen. Setup's own sections (a page that is
    // mapped elsewhere is unmapped in one) count as well; then the second try maps.
    let seq = device.read_begin();
    let mut migration = setup::<P, S, _>(
        &mut *ops,
        Request {
            vma,
            range,
            src: &mut *src,
            dst: &mut *dst,
            owner: device.owner(),
            select: Select::SYSTEM,
            fault_page: None,
        },
    )?;
    provide(&mut migration, device, access);
    let moved = match migration.pages() {
        Ok(moved) => moved,
        Err(mut refused) => {
            let (ops, _, dst) = refused.migration.parts();
            for page in dst.iter().filter_map(|word| word.pfn()) {
                device.forget(page);
            }
            give_up::<P, S, _>(ops, dst);
            return Err(refused.error);
        }
    };
    let range = moved.range();
    let mut granted = 0;
    let mut missed = false;
    let mut addr = range.start;
    for (src, dst) in moved.src().iter().zip(moved.dst()) {
        if let (Some(original), Some(page)) = (src.pfn(), dst.pfn()) {
            if !src.migrating() {
                // Finalize drops the page, and `page_free` must find no pair then.
                device.forget(page);
            } else if map(device, seq, addr, original, access) == Grant::Granted {
                // Before finalize: afterwards a CPU fault may already be revoking it.
                granted += 1;
            } else {
                missed = true;
            }
        }
        addr = addr.wrapping_add(PAGE_SIZE);
    }
    moved.finalize();
    if !missed {
        return Ok(Acquired { granted, left: 0 });
    }
    Ok(second_try::<P, S, M, D>(
        ops, device, vma, range, access, src,
    ))
}

/// Give back the destinations of a migration that the border refused: those that are pages which somebody
/// locked and holds a reference on. What else the device may have handed out is none that could be given back.
fn give_up<P: Policy, S: Shape, M: MmOps>(ops: &mut M, dst: &[DstPfn]) {
    let rules = Rules::of::<P, S>();
    for (at, word) in dst.iter().enumerate() {
        let Some(page) = word.pfn() else { continue };
        // A page that stands here twice was handed out once.
        let again = dst.iter().take(at).any(|before| before.pfn() == Some(page));
        if again || !ops.page_exists(page) {
            continue;
        }
        let zone = ops.page_zone(page);
        if !referenced(rules, zone, ops.page_count(page)) || !ops.page_locked(page) {
            continue;
        }
        ops.unlock_page(page);
        // The reference on the original of a pin is the pin's.
        if !word.is_unpin() {
            ops.put_page(page);
        }
    }
}

/// Give a device page to each entry that is fit for it.
fn provide<P: Policy, S: Shape, M: MmOps, D: Device>(
    migration: &mut Migration<'_, M, P, S, Unmapped>,
    device: &mut D,
    access: Access,
) {
    let (_, src, dst) = migration.parts();
    for (src, dst) in src.iter().zip(dst) {
        let (Some(original), true) = (src.pfn(), wanted(*src, access)) else {
            continue;
        };
        // None left: the entry has no destination then, pages clears its MIGRATE, and finalize maps it for the CPU and drops
        // the pin that setup has taken. As posted that pin stays (`failed-pin-kept`, `no-device-page-left`).
        if let Some(page) = device.alloc_device_page() {
            device.remember(page, original);
            *dst = DstPfn::page(page);
        }
    }
}

/// What became of an attempt to map a pinned page for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It is mapped.
    Granted,
    /// No page stands here that is pinned for this device and fit for the access.
    NotPinned,
    /// Its lock is busy, or the range was invalidated meanwhile: try again.
    Retry,
    /// The device's page table can't grow.
    NoMemory,
}

/// Map `page` unless the range was invalidated since `seq`.
fn map<D: Device>(device: &mut D, seq: u64, addr: usize, page: Pfn, access: Access) -> Grant {
    device.lock();
    let grant = if device.read_retry(seq) {
        Grant::Retry
    } else if device.map(addr, page, access).is_err() {
        Grant::NoMemory
    } else {
        Grant::Granted
    };
    device.unlock();
    grant
}

/// Pinned pages that could not be mapped before finalize: try once more, else give them back.
fn second_try<P: Policy, S: Shape, M: MmOps, D: Device>(
    ops: &mut M,
    device: &mut D,
    vma: M::Vma,
    range: Range,
    access: Access,
    src: &mut [SrcPfn],
) -> Acquired {
    let mut result = Acquired::default();
    let mut addr = range.start;
    for word in src {
        if word.pin() && word.migrating() && word.pfn().is_some() {
            // Mapping what is mapped already changes nothing.
            if grant::<P, S, M, D>(ops, device, vma, addr, access) == Grant::Granted {
                result.granted += 1;
            } else {
                let done = take_back::<P, S, M, D>(ops, device, vma, addr, None);
                if done == Ok(Fault::Done)
                    || standing::<P, S, M, D>(ops, device, vma, addr, Access::Read, false).is_none()
                {
                    *word = SrcPfn::NONE;
                } else {
                    result.left += 1;
                }
            }
        }
        addr = addr.wrapping_add(PAGE_SIZE);
    }
    result
}

/// The device page that stands at `addr` for a page pinned by this device, if its entry permits `access`.
/// With a reference on it if asked for.
fn standing<P: Policy, S: Shape, M: MmOps, D: Device>(
    ops: &mut M,
    device: &mut D,
    vma: M::Vma,
    addr: usize,
    access: Access,
    reference: bool,
) -> Option<(Pfn, Pfn)> {
    let rules = Rules::of::<P, S>();
    let end = addr.wrapping_add(PAGE_SIZE);
    if ops.pmd_span(vma, addr, end).kind != PmdKind::Table || !ops.pte_lock(vma, addr) {
        return None;
    }
    let owner = device.owner();
    let mut found = match ops.pte_get(vma, addr) {
        Pte::DevicePrivate(page, bits)
            if (access == Access::Read || bits.contains(PteBits::WRITE))
                && ops.page_zone(page) == Zone::DevicePrivate(owner) =>
        {
            device.original(page).map(|original| (page, original))
        }
        _ => None,
    };
    if let (Some((page, original)), true) = (found, rules.keeps_records()) {
        // The driver's memory of the pair is not enough where there is a record.
        if pin_facts(ops.pin_record(original), owner, Some(page)) != PinFacts::Own {
            found = None;
        }
    }
    if let (Some((page, _)), true) = (found, reference) {
        ops.get_page(page);
    }
    ops.pte_unlock(vma, addr);
    found
}

/// Map a page that is pinned for the device already, the one at `addr`, for `access`: after an
/// invalidation that left it pinned.
///
/// Access is granted only if the CPU's side would allow it: the entry is device-private, for this device,
/// writable if the device is to write, and the page's pin is the device's. An address outside `vma` has no
/// such entry. The caller holds `mmap_lock` for reading.
pub fn grant<P: Policy, S: Shape, M: MmOps, D: Device>(
    ops: &mut M,
    device: &mut D,
    vma: M::Vma,
    addr: usize,
    access: Access,
) -> Grant {
    let addr = addr & !(PAGE_SIZE - 1);
    let area = ops.vma_facts(vma).range;
    if !(area.start..area.end).contains(&addr) {
        return Grant::NotPinned;
    }
    let Some((page, original)) = standing::<P, S, M, D>(ops, device, vma, addr, access, true)
    else {
        return Grant::NotPinned;
    };
    // The driver's own filter hides its fault handler's migration from the notifier; the lock of the
    // device page does not.
    if !ops.trylock_page(page) {
        ops.put_page(page);
        return Grant::Retry;
    }
    let seq = device.read_begin();
    // Once more: what happened before seq was taken is in the entry, what happens after is in the retry.
    let grant = match standing::<P, S, M, D>(ops, device, vma, addr, access, false) {
        Some(pair) if pair == (page, original) => map(device, seq, addr, original, access),
        _ => Grant::Retry,
    };
    ops.unlock_page(page);
    ops.put_page(page);
    grant
}

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The page is the CPU's again: repeat the access.
    Done,
    /// Setup selected nothing: no page of this device stands at the address any more, or it is locked,
    /// mapped where it can't be unmapped, or (6.12, as posted) referenced by another's fault: let others run, then
    /// repeat the access.
    Gone,
    /// The original's lock was busy, or it could not be handed over: let others run, then repeat the access.
    Retry,
    /// There was no system page to copy to (`VM_FAULT_SIGBUS`, or `VM_FAULT_OOM`).
    NoMemory,
}

/// `migrate_to_ram`: a CPU touched `addr`, where the device-private page `page` stands. Take it away from
/// the device and give the CPU the original page back; or, if the page stands for no pin but was migrated
/// to the device, a copy.
///
/// The caller holds `mmap_lock` for reading, and a reference on `page` on the 6.12 shape.
///
/// # Errors
/// As [`setup`] and [`Migration::pages`]; nothing was changed then. The driver answers `VM_FAULT_SIGBUS`.
pub fn fault<P: Policy, S: Shape, M: MmOps, D: Device>(
    ops: &mut M,
    device: &mut D,
    vma: M::Vma,
    addr: usize,
    page: Pfn,
) -> Result<Fault, Error> {
    take_back::<P, S, M, D>(ops, device, vma, addr & !(PAGE_SIZE - 1), Some(page))
}

/// Give the pages of a range that are pinned for the device back to the CPU without its asking; the number
/// of pages that could not be given back: a lock was busy, an allocation failed, or the page could not be
/// unmapped everywhere. Try those again.
///
/// # Errors
/// As [`fault`]. Pages before the one that was refused were given back.
pub fn revoke<P: Policy, S: Shape, M: MmOps, D: Device>(
    ops: &mut M,
    device: &mut D,
    vma: M::Vma,
    range: Range,
) -> Result<usize, Error> {
    let mut busy = 0;
    let mut addr = range.start;
    while addr < range.end {
        let left = match take_back::<P, S, M, D>(ops, device, vma, addr, None)? {
            Fault::Done => false,
            Fault::Gone => {
                standing::<P, S, M, D>(ops, device, vma, addr, Access::Read, false).is_some()
            }
            Fault::Retry | Fault::NoMemory => true,
        };
        busy += usize::from(left);
        addr = addr.wrapping_add(PAGE_SIZE);
    }
    Ok(busy)
}

/// Take one page back from the device.
fn take_back<P: Policy, S: Shape, M: MmOps, D: Device>(
    ops: &mut M,
    device: &mut D,
    vma: M::Vma,
    addr: usize,
    fault_page: Option<Pfn>,
) -> Result<Fault, Error> {
    let (mut src, mut dst) = ([SrcPfn::NONE], [DstPfn::NONE]);
    let mut migration = setup::<P, S, _>(
        &mut *ops,
        Request {
            vma,
            range: Range {
                start: addr,
                end: addr.wrapping_add(PAGE_SIZE),
            },
            src: &mut src,
            dst: &mut dst,
            owner: device.owner(),
            select: Select::DEVICE_PRIVATE,
            fault_page,
        },
    )?;
    let mut outcome = Fault::Gone;
    {
        let (ops, src, dst) = migration.parts();
        for (src, dst) in src.iter().zip(dst) {
            // The page in `src`, not the one that faulted: it may have been replaced since.
            if let (Some(page), true) = (src.pfn(), src.migrating()) {
                (*dst, outcome) = home(ops, device, page);
            }
        }
    }
    let mut moved = match migration.pages() {
        Ok(moved) => moved,
        Err(mut refused) => {
            let (ops, _, dst) = refused.migration.parts();
            give_up::<P, S, _>(ops, dst);
            return Err(refused.error);
        }
    };
    let words = moved.src().first().zip(moved.dst().first());
    let words = words.map(|(src, dst)| (src.pfn(), dst.pfn(), src.migrating(), dst.is_unpin()));
    if let Some((Some(page), Some(new), migrated, unpin)) = words {
        if !migrated {
            moved.finalize();
            return Ok(Fault::Retry);
        }
        if unpin {
            // Before finalize maps it for the CPU.
            device.lock();
            let revoked = device.unmap_page(new);
            device.unlock();
            // The device writes by a table of its own, so that no CPU's entry has a dirty bit for it: unmarked, the page
            // would be dropped as clean with what was written (the posted driver's `device-write-not-dirty`).
            if revoked.is_some_and(|revoked| revoked.dirty) {
                moved.ops().set_page_dirty(new);
            }
            device.forget(page);
        }
    }
    moved.finalize();
    Ok(outcome)
}

/// Where the contents of a device page go: the original that it stands for, or a copy.
fn home<M: MmOps, D: Device>(ops: &mut M, device: &mut D, page: Pfn) -> (DstPfn, Fault) {
    match device.original(page) {
        Some(original) if ops.trylock_page(original) => (DstPfn::unpin(original), Fault::Done),
        Some(_) => (DstPfn::NONE, Fault::Retry),
        None => match device.copy_to_system(page) {
            Some(copy) => (DstPfn::page(copy), Fault::Done),
            None => (DstPfn::NONE, Fault::NoMemory),
        },
    }
}

/// What the interval notifier's callback is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// The addresses.
    pub range: Range,
    /// Why.
    pub event: NotifyEvent,
    /// Whose migration it is, if it is one.
    pub owner: Option<Owner>,
    /// The sequence number for [`Device::set_seq`] (`cur_seq`).
    pub seq: u64,
}

/// The interval notifier's callback: the device loses the range before this returns. The number of
/// mappings that went.
///
/// The driver's own migrations are let pass: they revoke what they take. Pages stay pinned, and their
/// pairs are kept, as long as the device pages live; [`grant`] maps them again.
pub fn invalidate<M: MmOps, D: Device>(
    ops: &mut M,
    device: &mut D,
    invalidation: Invalidation,
) -> usize {
    let own = Some(device.owner());
    if invalidation.event == NotifyEvent::Migrate && invalidation.owner == own {
        return 0;
    }
    let mut gone = 0;
    device.lock();
    device.set_seq(invalidation.seq);
    while let Some(revoked) = device.unmap_next(invalidation.range) {
        // As in `take_back`: nobody else knows that it was written.
        if revoked.dirty {
            ops.set_page_dirty(revoked.page);
        }
        gone += 1;
    }
    device.unlock();
    gone
}

/// May the pin of a page be dropped, by what its record says? As posted there are no records.
#[must_use]
pub fn may_release(rules: Rules, pin: PinFacts) -> bool {
    !rules.keeps_records() || pin == PinFacts::Own
}

/// `page_free`: the last mapping of `page` is gone, so nobody will ever fault on it: drop the pin of the
/// original and give it back. True if there was one.
///
/// Runs under the PTL of whoever zapped the mapping. The notifier has revoked the device's access before.
pub fn release<P: Policy, S: Shape, M: MmOps, D: Device>(
    ops: &mut M,
    device: &mut D,
    page: Pfn,
) -> bool {
    let rules = Rules::of::<P, S>();
    let Some(original) = device.original(page) else {
        return false;
    };
    device.forget(page);
    let pin = match rules.keeps_records() {
        true => pin_facts(ops.pin_record(original), device.owner(), Some(page)),
        false => PinFacts::None,
    };
    if !may_release(rules, pin) {
        return false;
    }
    if rules.keeps_records() {
        ops.pin_remove(original);
    }
    ops.page_ref_sub(original, GUP_PIN_COUNTING_BIAS);
    if rules.charge_moves() {
        // Its charge went to the device page and with that, and nothing uncharged may be on the LRU.
        ops.put_page(original);
    } else {
        ops.putback_lru_page(original);
    }
    true
}
