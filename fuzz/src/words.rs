//! Arbitrary words, ranges and lengths at the border: an error that has changed nothing, or a valid migration.
//!
//! One call of setup and one of pages, as a caller in C makes them: any range, in bytes; arrays of any length; any source
//! words; any destination words, some of them right. Whatever is refused must have changed neither a word nor anything that
//! is to be seen of the machine.

use crate::choices::Input;
use crate::hand::{any_give, purpose, right, word, Given};
use crate::snapshot::Snapshot;
use crate::stock::{Stock, WORLDS};
use crate::sync::Quiet;
use crate::{Mode, Verdict};
use migrate_pin_core::error::{EBUSY, EINVAL, EPERM, ESTALE};
use migrate_pin_core::ops::Range;
use migrate_pin_core::policy::{Policy, PolicyKind, Rules, Shape, ShapeKind};
use migrate_pin_core::{
    setup, AsPosted, Device, DstPfn, Error, Hardened, Migration, MmOps, Owner, Pfn, Request,
    Select, SrcPfn, Unmapped, PAGE_SIZE, V5_11, V6_12,
};
use migrate_pin_sim::grammar::{Choices, CHILD, PAGES, PARENT};
use migrate_pin_sim::{
    ActorId, Cpu, Dev, DeviceId, Machine, Progress, Purpose, Synchronisation, Vma,
};
use std::cell::RefCell;

/// What libFuzzer calls.
///
/// # Panics
/// If something is wrong.
pub fn target(bytes: &[u8]) {
    thread_local! {
        static STOCK: RefCell<Stock<Quiet>> = RefCell::new(Stock::new(Mode::of_process()));
    }
    let verdict = STOCK.with_borrow_mut(|stock| run(stock, &mut Input::new(bytes)));
    verdict.judge("words", Mode::of_process());
}

/// Run an input.
pub fn run<S: Synchronisation>(stock: &mut Stock<S>, choices: &mut Input<'_>) -> Verdict {
    let machine = stock.machine(choices.below(WORLDS));
    let result = match (machine.policy(), machine.shape()) {
        (PolicyKind::Hardened, ShapeKind::V5_11) => call::<Hardened, V5_11, S>(machine, choices),
        (PolicyKind::Hardened, ShapeKind::V6_12) => call::<Hardened, V6_12, S>(machine, choices),
        (PolicyKind::AsPosted, ShapeKind::V5_11) => call::<AsPosted, V5_11, S>(machine, choices),
        (PolicyKind::AsPosted, ShapeKind::V6_12) => call::<AsPosted, V6_12, S>(machine, choices),
    };
    let complaint = match result {
        Ok(true) => {
            finish(machine);
            None
        }
        Ok(false) => None,
        Err(complaint) => Some(complaint),
    };
    Verdict::of(machine, complaint, Vec::new)
}

/// All is quiet; every process exits, and nothing may be left.
pub fn finish<S: Synchronisation>(machine: &Machine<S>) {
    machine.check_quiescent();
    for mm in [PARENT, CHILD] {
        // Nobody holds `mmap_lock`: that was looked at.
        let _ = machine.cpu(ActorId(0)).exit_in(mm);
    }
    machine.check_quiescent();
    machine.check_nothing_left();
}

/// What an error says, if its errno is one.
///
/// # Errors
/// It is none.
pub fn told(error: Error) -> Result<String, String> {
    match error.errno() {
        EINVAL | EPERM | EBUSY | ESTALE => Ok(error.to_string()),
        errno => Err(format!("ERROR: the errno of '{error}' is {errno}")),
    }
}

/// An area, and a range in it or anywhere.
fn range(choices: &mut Input<'_>) -> (usize, Range) {
    let first = choices.below(PAGES);
    let pages = 1 + choices.below(PAGES);
    let aligned = Range {
        start: first * PAGE_SIZE,
        end: (first + pages).min(PAGES) * PAGE_SIZE,
    };
    let range = match choices.below(8) {
        0 => Range {
            start: choices.word(),
            end: choices.word(),
        },
        1 => Range {
            start: aligned.end,
            end: aligned.start,
        },
        2 => Range {
            start: aligned.start.wrapping_sub(choices.below(8192)),
            end: aligned.end.wrapping_add(choices.below(8192)),
        },
        _ => aligned,
    };
    (first, range)
}

fn sources(
    choices: &mut Input<'_>,
    machine: &Machine<impl Synchronisation>,
    pages: usize,
    word_of: SrcPfn,
) -> Vec<SrcPfn> {
    let len = match choices.below(8) {
        0 => choices.below(2 * PAGES),
        _ => pages,
    };
    let wrong = choices.chance(25);
    let mut one = || match wrong && choices.chance(40) {
        true => SrcPfn::from_raw(word(choices, machine)),
        false => word_of,
    };
    (0..len).map(|_| one()).collect()
}

/// Setup and pages. True if a migration came of it.
fn call<P: Policy, Sh: Shape, S: Synchronisation>(
    machine: &Machine<S>,
    choices: &mut Input<'_>,
) -> Result<bool, String> {
    machine.begin_step();
    let cpu = machine.cpu(ActorId(0));
    let mut dev = cpu.device(DeviceId(choices.below(2) as u8), PARENT);
    let purpose = purpose(choices);
    let (first, range) = range(choices);
    let pages = (range.end.saturating_sub(range.start) / PAGE_SIZE).min(2 * PAGES);
    let asks = match (purpose, choices.below(16)) {
        // To pin what can't be: device memory.
        (Purpose::Pin(_), _) | (Purpose::ToSystem, 0) => SrcPfn::PIN,
        _ => SrcPfn::NONE,
    };
    let mut src = sources(choices, machine, pages, asks);
    let mut dst = vec![
        DstPfn::from_raw(if choices.chance(10) {
            choices.word()
        } else {
            0
        });
        match choices.below(16) {
            0 => choices.below(2 * PAGES),
            _ => src.len(),
        }
    ];
    if cpu.mmap_read(PARENT) != Progress::Done(()) {
        return Err("LOCK: mmap_lock is taken by nobody".to_owned());
    }
    let Some(vma) = cpu.find_vma(PARENT, first) else {
        cpu.mmap_read_unlock(PARENT);
        return Ok(false);
    };
    let select = match (purpose, choices.below(8)) {
        (_, 0) => Select::from_bits_truncate(choices.below(8) as u32),
        (Purpose::ToSystem, _) => Select::DEVICE_PRIVATE,
        _ => Select::SYSTEM,
    };
    let owner = dev.owner();
    let fault_page = choices
        .chance(10)
        .then(|| SrcPfn::from_raw(word(choices, machine)).pfn());
    let fault_page = fault_page.flatten();
    let asked = Asked {
        vma,
        range,
        owner,
        select,
        fault_page,
    };
    let result = migrate::<P, Sh, S>(&mut dev, purpose, asked, choices, &mut src, &mut dst);
    cpu.mmap_read_unlock(PARENT);
    result
}

struct Asked {
    vma: Vma,
    range: Range,
    owner: Owner,
    select: Select,
    fault_page: Option<Pfn>,
}

fn migrate<P: Policy, Sh: Shape, S: Synchronisation>(
    dev: &mut Dev<'_, S>,
    purpose: Purpose,
    asked: Asked,
    choices: &mut Input<'_>,
    src: &mut [SrcPfn],
    dst: &mut [DstPfn],
) -> Result<bool, String> {
    let cpu = dev.cpu();
    let machine = cpu.machine();
    let before = (Snapshot::of(machine), src.to_vec(), dst.to_vec());
    let request = Request {
        vma: asked.vma,
        range: asked.range,
        src,
        dst,
        owner: asked.owner,
        select: asked.select,
        fault_page: asked.fault_page,
    };
    let error = match setup::<P, Sh, _>(cpu, request) {
        Ok(migration) => return hand_over(dev, purpose, migration, choices).map(|()| true),
        Err(error) => error,
    };
    let after = format!("setup was refused: {}", told(error)?);
    before.0.unchanged(machine, &after)?;
    match *src == before.1[..] && *dst == before.2[..] {
        true => Ok(false),
        false => Err(format!("UNCHANGED: {after}, and has changed the words")),
    }
}

/// Pages and finalize, with any destinations.
fn hand_over<P: Policy, Sh: Shape, S: Synchronisation>(
    dev: &mut Dev<'_, S>,
    purpose: Purpose,
    mut migration: Migration<'_, Cpu<'_, S>, P, Sh, Unmapped>,
    choices: &mut Input<'_>,
) -> Result<(), String> {
    let cpu = dev.cpu();
    let machine = cpu.machine();
    let counted = migration
        .src()
        .iter()
        .filter(|word| word.migrating())
        .count();
    if counted != migration.cpages() {
        return Err(format!(
            "COUNT: setup says {}, and the words {counted}",
            migration.cpages()
        ));
    }
    let mut given = Given::default();
    let wrong = choices.chance(50);
    let words = migration.src().to_vec();
    let mut last = DstPfn::NONE;
    for (index, word) in words.iter().enumerate() {
        let give = match wrong && choices.chance(50) {
            true => any_give(choices, dev, *word),
            false => right(dev, purpose, *word),
        };
        last = given.give(dev, purpose, *word, give, last);
        migration.dst_mut()[index] = last;
    }
    let before = (
        Snapshot::of(machine),
        migration.src().to_vec(),
        migration.dst().to_vec(),
    );
    match migration.pages() {
        Ok(moved) => {
            let dst = moved.dst().to_vec();
            given.taken(dev, &dst);
            let says_so = |word: &DstPfn| word.pfn().is_none() || word.locked();
            let rules = Rules::of::<P, Sh>();
            if rules.checks_words() && rules.has_locked_bit() && !dst.iter().all(says_so) {
                return Err(format!(
                    "ACCEPTED: a destination without LOCKED among {dst:?}"
                ));
            }
            forget_what_has_not_moved(dev, purpose, moved.src(), &dst);
            moved.finalize();
        }
        Err(refused) => {
            let after = format!("pages was refused: {}", told(refused.error)?);
            before.0.unchanged(machine, &after)?;
            if refused.migration.src() != before.1 || refused.migration.dst() != before.2 {
                return Err(format!("UNCHANGED: {after}, and has changed the words"));
            }
            given.take_back(dev);
            drop(refused.migration);
        }
    }
    Ok(())
}

/// The driver's part between pages and finalize, but for new mappings: what moves, its device has mapped no more; pairs that
/// came to nothing or to their end are forgotten.
pub fn forget_what_has_not_moved<S: Synchronisation>(
    dev: &mut Dev<'_, S>,
    purpose: Purpose,
    src: &[SrcPfn],
    dst: &[DstPfn],
) {
    for (from, to) in src.iter().zip(dst) {
        match (purpose, to.pfn(), from.pfn()) {
            (_, Some(page), _) if !from.migrating() && dev.original(page).is_some() => {
                dev.forget(page);
            }
            (_, Some(new), Some(page)) if from.migrating() => {
                dev.lock();
                let revoked = [dev.unmap_page(page), dev.unmap_page(new)];
                dev.unlock();
                if revoked.into_iter().flatten().any(|revoked| revoked.dirty) {
                    dev.cpu().set_page_dirty(new);
                }
                if to.is_unpin() && dev.original(page).is_some() {
                    dev.forget(page);
                }
            }
            _ => {}
        }
    }
}
