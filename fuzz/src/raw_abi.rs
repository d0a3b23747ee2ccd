//! A migration between C calls: what `into_raw()` gave, changed on the way, and `from_raw()` again; and the same of the words
//! that `from_words()` takes.
//!
//! Any byte of the raw migration may have changed, any source word, and after pages any destination word; the stage may be
//! another, and the same raw migration may come twice. That must be refused, and have changed nothing; with the right bytes it
//! goes on.
//!
//! Left out is what core's border says can't be told: the handle of the area; a forgery, which has the checksum as well; a
//! copy of a raw migration that is used beside it; and of `from_words()` whatever has the form of what setup leaves.

use crate::choices::Input;
use crate::hand::{any_give, purpose, right, Given};
use crate::snapshot::Snapshot;
use crate::stock::{Stock, WORLDS};
use crate::sync::Quiet;
use crate::words::{finish, forget_what_has_not_moved, told};
use crate::{Mode, Verdict};
use migrate_pin_core::border::check_carried;
use migrate_pin_core::migration::{finalize_by_words, pages_by_words, setup_by_words};
use migrate_pin_core::ops::Range;
use migrate_pin_core::policy::{Policy, PolicyKind, Shape, ShapeKind};
use migrate_pin_core::range::{setup_range, DeviceMigration, DeviceRequest};
use migrate_pin_core::{
    setup, AsPosted, Device, DstPfn, Hardened, Migration, MmOps, Moved, Pfn, RawMigration, Request,
    Select, SrcPfn, Unmapped, PAGE_SIZE, V5_11, V6_12,
};
use migrate_pin_sim::grammar::{Choices, PAGES, PARENT};
use migrate_pin_sim::{
    ActorId, Cpu, Dev, DeviceId, Entry, FrameZone, Machine, Progress, Purpose, Synchronisation, Vma,
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
    verdict.judge("raw_abi", Mode::of_process());
}

/// Run an input.
pub fn run<S: Synchronisation>(stock: &mut Stock<S>, choices: &mut Input<'_>) -> Verdict {
    let machine = stock.machine(choices.below(WORLDS));
    let result = match (machine.policy(), machine.shape()) {
        (PolicyKind::Hardened, ShapeKind::V5_11) => by_area::<Hardened, V5_11, S>(machine, choices),
        (PolicyKind::Hardened, ShapeKind::V6_12) if choices.below(3) == 0 => {
            by_pfns::<Hardened, S>(machine, choices)
        }
        (PolicyKind::Hardened, ShapeKind::V6_12) => by_area::<Hardened, V6_12, S>(machine, choices),
        (PolicyKind::AsPosted, ShapeKind::V5_11) => by_area::<AsPosted, V5_11, S>(machine, choices),
        (PolicyKind::AsPosted, ShapeKind::V6_12) if choices.below(3) == 0 => {
            by_pfns::<AsPosted, S>(machine, choices)
        }
        (PolicyKind::AsPosted, ShapeKind::V6_12) => by_area::<AsPosted, V6_12, S>(machine, choices),
    };
    if result.is_ok() {
        finish(machine);
    }
    Verdict::of(machine, result.err(), Vec::new)
}

/// A migration of an area.
fn by_area<P: Policy, Sh: Shape, S: Synchronisation>(
    machine: &Machine<S>,
    choices: &mut Input<'_>,
) -> Result<(), String> {
    machine.begin_step();
    let cpu = machine.cpu(ActorId(0));
    let mut dev = cpu.device(DeviceId(0), PARENT);
    let purpose = purpose(choices);
    let first = choices.below(PAGES);
    if cpu.mmap_read(PARENT) != Progress::Done(()) {
        return Err("LOCK: mmap_lock is taken by nobody".to_owned());
    }
    let result = match cpu.find_vma(PARENT, first) {
        Some(vma) => {
            let handled = handled(machine, first).filter(|_| choices.below(2) == 0);
            // Who handles a fault on a device page holds a reference on it.
            let mut handler = cpu;
            if let Some(page) = handled {
                handler.get_page(page);
            }
            let result = carried::<P, Sh, S>(&mut dev, purpose, (vma, handled), first, choices);
            if let Some(page) = handled {
                handler.put_page(page);
            }
            result
        }
        None => Ok(()),
    };
    cpu.mmap_read_unlock(PARENT);
    result
}

/// The device page that stands here, of 6.12, where the handler of its fault can name it.
fn handled<S: Synchronisation>(machine: &Machine<S>, at: usize) -> Option<Pfn> {
    match machine.entry(PARENT, at) {
        Entry::DevicePrivate(page, _) if machine.shape() == ShapeKind::V6_12 => Some(page),
        _ => None,
    }
}

/// Setup, pages and finalize, raw in between.
fn carried<P: Policy, Sh: Shape, S: Synchronisation>(
    dev: &mut Dev<'_, S>,
    purpose: Purpose,
    (vma, fault_page): (Vma, Option<Pfn>),
    first: usize,
    choices: &mut Input<'_>,
) -> Result<(), String> {
    let cpu = dev.cpu();
    let mut end = first + 1;
    let until = (first + 1 + choices.below(PAGES)).min(PAGES);
    while end < until && cpu.find_vma(PARENT, end) == Some(vma) {
        end += 1;
    }
    let (word, select) = match purpose {
        Purpose::Pin(_) => (SrcPfn::PIN, Select::SYSTEM),
        Purpose::ToDevice => (SrcPfn::NONE, Select::SYSTEM),
        Purpose::ToSystem => (SrcPfn::NONE, Select::DEVICE_PRIVATE),
    };
    let mut src = vec![word; end - first];
    let mut dst = vec![DstPfn::NONE; end - first];
    let owner = dev.owner();
    let range = Range {
        start: first * PAGE_SIZE,
        end: end * PAGE_SIZE,
    };
    let request = Request {
        vma,
        range,
        src: &mut src,
        dst: &mut dst,
        owner,
        select,
        fault_page,
    };
    if choices.chance(25) {
        return by_words::<P, Sh, S>(dev, purpose, request, choices);
    }
    let mut raw = match setup::<P, Sh, _>(cpu, request) {
        Ok(migration) => migration.into_raw(),
        Err(error) => return told(error).map(drop),
    };
    let mut given = Given::default();
    for index in 0..src.len() {
        let give = right(dev, purpose, src[index]);
        dst[index] = given.give(dev, purpose, src[index], give, DstPfn::NONE);
    }
    while choices.chance(60) {
        tamper::<P, Sh, S>(cpu, &mut raw, &mut src, &mut dst, choices)?;
    }
    let migration = Migration::<_, P, Sh, Unmapped>::from_raw(cpu, &mut raw, &mut src, &mut dst)
        .map_err(|error| format!("REFUSED: what setup left was refused: {error}"))?;
    if choices.chance(15) {
        // Dropped before pages.
        given.take_back(dev);
        drop(migration);
        return twice::<P, Sh, S>(cpu, &mut raw, &mut src, &mut dst);
    }
    let mut raw = match migration.pages() {
        Ok(moved) => moved.into_raw(),
        Err(refused) => {
            return Err(format!(
                "REFUSED: right destinations were refused: {}",
                refused.error
            ))
        }
    };
    given.taken(dev, &dst);
    while choices.chance(60) {
        tamper::<P, Sh, S>(cpu, &mut raw, &mut src, &mut dst, choices)?;
    }
    let migration = Migration::<_, P, Sh, Moved>::from_raw(cpu, &mut raw, &mut src, &mut dst)
        .map_err(|error| format!("REFUSED: what pages left was refused: {error}"))?;
    let words = (migration.src().to_vec(), migration.dst().to_vec());
    forget_what_has_not_moved(dev, purpose, &words.0, &words.1);
    migration.finalize();
    twice::<P, Sh, S>(cpu, &mut raw, &mut src, &mut dst)
}

/// A migration of an area, of which nothing but the words is carried.
fn by_words<P: Policy, Sh: Shape, S: Synchronisation>(
    dev: &mut Dev<'_, S>,
    purpose: Purpose,
    request: Request<'_, Vma>,
    choices: &mut Input<'_>,
) -> Result<(), String> {
    let mut cpu = dev.cpu();
    let (vma, range, owner, select) = (request.vma, request.range, request.owner, request.select);
    let fault_page = request.fault_page;
    let mut src = request.src.to_vec();
    let mut dst = request.dst.to_vec();
    macro_rules! request {
        () => {
            request!(&mut src, &mut dst)
        };
        ($src:expr, $dst:expr) => {
            Request {
                vma,
                range,
                src: $src,
                dst: $dst,
                owner,
                select,
                fault_page,
            }
        };
    }
    let counted = match purpose {
        Purpose::Pin(_) => setup::<P, Sh, _>(cpu, request!()).map(Migration::into_words),
        // Whatever stood there.
        _ => {
            src.fill(SrcPfn::from_raw(choices.word()));
            setup_by_words::<P, Sh, _>(&mut cpu, request!())
        }
    };
    let counted = match counted {
        Ok(counted) => counted,
        Err(error) => return told(error).map(drop),
    };
    let found = src.iter().filter(|word| word.migrating()).count();
    if counted != found {
        return Err(format!(
            "COUNT: setup says {counted}, and the words {found}"
        ));
    }
    let whole = choices.below(2) == 0;
    let mut given = Given::default();
    let refused = |error| format!("REFUSED: what is right was refused: {error}");
    if choices.chance(30) && cpu.machine().policy() == PolicyKind::Hardened {
        let mut last = DstPfn::NONE;
        for (src, dst) in src.iter().zip(&mut dst) {
            let give = any_give(choices, dev, *src);
            last = given.give(dev, purpose, *src, give, last);
            *dst = last;
        }
        let before = (Snapshot::of(cpu.machine()), src.clone(), dst.clone());
        match pages_by_words::<P, Sh, _>(&mut cpu, &mut request!()) {
            Err(error) => {
                let after = format!("destinations were refused: {}", told(error)?);
                before.0.unchanged(cpu.machine(), &after)?;
                if src != before.1 || dst != before.2 {
                    return Err(format!("UNCHANGED: {after}, and has changed the words"));
                }
                given.take_back(dev);
            }
            Ok(()) => {
                given.taken(dev, &dst);
                forget_what_has_not_moved(dev, purpose, &src, &dst);
                return finalize_by_words::<P, Sh, _>(&mut cpu, &request!()).map_err(refused);
            }
        }
    }
    for index in 0..src.len() {
        let give = right(dev, purpose, src[index]);
        dst[index] = given.give(dev, purpose, src[index], give, DstPfn::NONE);
    }
    let mut tamper = |choices: &mut Input<'_>, src: &mut Vec<SrcPfn>, dst: &mut Vec<DstPfn>| {
        let right = src.clone();
        let index = choices.below(src.len());
        src[index] = match choices.below(2) {
            0 => SrcPfn::from_raw(choices.word()),
            _ => SrcPfn::from_raw(src[index].raw() ^ 1 << choices.below(usize::BITS as usize)),
        };
        if check_carried(src).is_err() && cpu.machine().policy() == PolicyKind::Hardened {
            let before = Snapshot::of(cpu.machine());
            let mut request = request!(src, dst);
            let pages = pages_by_words::<P, Sh, _>(&mut cpu, &mut request).is_ok();
            let finalized = finalize_by_words::<P, Sh, _>(&mut cpu, &request).is_ok();
            let taken = Migration::<_, P, Sh, Unmapped>::from_words(cpu, request, counted).is_ok();
            if pages || finalized || taken {
                return Err(format!("ACCEPTED: {src:?} was taken for {right:?}"));
            }
            before.unchanged(cpu.machine(), "words were refused")?;
        }
        *src = right;
        // Whatever the policy, no array may be longer than the range.
        let mut longer = vec![DstPfn::NONE; dst.len() + 1];
        let before = Snapshot::of(cpu.machine());
        let pages = pages_by_words::<P, Sh, _>(&mut cpu, &mut request!(src, &mut longer)).is_ok();
        let finalized =
            finalize_by_words::<P, Sh, _>(&mut cpu, &request!(src, &mut longer)).is_ok();
        let request = request!(src, &mut longer);
        let taken = Migration::<_, P, Sh, Moved>::from_words(cpu, request, counted).is_ok();
        if pages || finalized || taken {
            return Err("ACCEPTED: arrays of two lengths".to_owned());
        }
        before.unchanged(cpu.machine(), "arrays of two lengths were refused")
    };
    tamper(choices, &mut src, &mut dst)?;
    let mut cpu = dev.cpu();
    // Half by calls that take the words, half by a migration that is put together from them.
    match whole {
        true => pages_by_words::<P, Sh, _>(&mut cpu, &mut request!()).map_err(refused)?,
        false => {
            let migration = Migration::<_, P, Sh, Unmapped>::from_words(cpu, request!(), counted)
                .map_err(refused)?;
            let moved = migration.pages().map_err(|error| refused(error.error))?;
            moved.into_words();
        }
    }
    given.taken(dev, &dst);
    tamper(choices, &mut src, &mut dst)?;
    forget_what_has_not_moved(dev, purpose, &src, &dst);
    match whole {
        true => finalize_by_words::<P, Sh, _>(&mut cpu, &request!()).map_err(refused)?,
        false => Migration::<_, P, Sh, Moved>::from_words(cpu, request!(), counted)
            .map_err(refused)?
            .finalize(),
    }
    Ok(())
}

/// A raw migration is good for once.
fn twice<P: Policy, Sh: Shape, S: Synchronisation>(
    cpu: Cpu<'_, S>,
    raw: &mut RawMigration<Vma>,
    src: &mut [SrcPfn],
    dst: &mut [DstPfn],
) -> Result<(), String> {
    let before = Snapshot::of(cpu.machine());
    let first = Migration::<_, P, Sh, Unmapped>::from_raw(cpu, raw, src, dst).is_err();
    let second = Migration::<_, P, Sh, Moved>::from_raw(cpu, raw, src, dst).is_err();
    if !(first && second) {
        return Err("ACCEPTED: a raw migration was taken twice".to_owned());
    }
    before.unchanged(
        cpu.machine(),
        "a raw migration was refused for the second time",
    )
}

/// Change something, see that it is refused, and change it back.
fn tamper<P: Policy, Sh: Shape, S: Synchronisation>(
    cpu: Cpu<'_, S>,
    raw: &mut RawMigration<Vma>,
    src: &mut [SrcPfn],
    dst: &mut [DstPfn],
    choices: &mut Input<'_>,
) -> Result<(), String> {
    let right = (raw.clone(), src.to_vec(), dst.to_vec());
    let moved = right.0.stage == migrate_pin_core::migration::RawStage::Moved as u32;
    let bits = match choices.below(4) {
        0 => choices.word(),
        _ => 1 << choices.below(usize::BITS as usize),
    };
    let (mut len, index) = (src.len(), choices.below(src.len()));
    match choices.below(13) {
        0 => raw.start ^= bits,
        1 => raw.end ^= bits,
        2 => raw.owner ^= bits,
        3 => raw.fault_page ^= bits,
        4 => raw.cpages ^= bits,
        5 => raw.select ^= bits as u32,
        6 => raw.stage ^= bits as u32,
        7 => raw.rules ^= bits as u32,
        8 => raw.checksum ^= bits,
        9 => src[index] = SrcPfn::from_raw(src[index].raw() ^ bits),
        10 if moved => dst[index] = DstPfn::from_raw(dst[index].raw() ^ bits),
        11 => len = index,
        _ => {}
    }
    let other_stage = choices.chance(20);
    let changed = *raw != right.0
        || *src != right.1[..]
        || *dst != right.2[..]
        || len != src.len()
        || other_stage;
    if !changed {
        return Ok(());
    }
    let before = (Snapshot::of(cpu.machine()), raw.clone());
    let refused = if other_stage == moved {
        Migration::<_, P, Sh, Unmapped>::from_raw(cpu, raw, &mut src[..len], &mut dst[..len])
            .map(drop)
    } else {
        Migration::<_, P, Sh, Moved>::from_raw(cpu, raw, &mut src[..len], &mut dst[..len]).map(drop)
    };
    let Err(error) = refused else {
        return Err(format!(
            "ACCEPTED: {:?} was taken for {:?}",
            before.1, right.0
        ));
    };
    before.0.unchanged(
        cpu.machine(),
        &format!("a raw migration was refused: {}", told(error)?),
    )?;
    if *raw != before.1 {
        return Err(format!(
            "UNCHANGED: {error}, and the raw migration is another"
        ));
    }
    *raw = right.0;
    src.copy_from_slice(&right.1);
    dst.copy_from_slice(&right.2);
    Ok(())
}

/// A migration of device pfns, of which nothing but the words is carried; perhaps somebody has locked one of them.
fn by_pfns<P: Policy, S: Synchronisation>(
    machine: &Machine<S>,
    choices: &mut Input<'_>,
) -> Result<(), String> {
    machine.begin_step();
    let zone = |page: &Pfn| {
        machine
            .page(*page)
            .is_some_and(|page| page.zone == FrameZone::Device(DeviceId(0)))
    };
    let (Some(start), count) = (
        machine.pfns().find(zone),
        machine.pfns().filter(zone).count(),
    ) else {
        return Ok(());
    };
    let mut first = Pfn(start.0 + choices.below(PAGES));
    let mut len = 1 + choices.below(PAGES);
    let busy = Pfn(first.0 + choices.below(2 * len));
    match (P::KIND, choices.below(16)) {
        (PolicyKind::Hardened, 0) => first = Pfn(choices.word()),
        (PolicyKind::Hardened, _) => {}
        // As posted it is the caller's business that they are its own.
        (PolicyKind::AsPosted, _) => len = len.min(start.0 + count - first.0),
    }
    let mut other = machine.cpu(ActorId(1));
    let held = zone(&busy) && other.get_page_unless_zero(busy);
    let locked = held && other.trylock_page(busy);
    let result = these_pfns::<P, S>(machine, first, len, choices);
    if locked {
        other.unlock_page(busy);
    }
    if held {
        other.put_page(busy);
    }
    result
}

fn these_pfns<P: Policy, S: Synchronisation>(
    machine: &Machine<S>,
    first: Pfn,
    len: usize,
    choices: &mut Input<'_>,
) -> Result<(), String> {
    let cpu = machine.cpu(ActorId(0));
    let mut dev = cpu.device(DeviceId(0), PARENT);
    let (mut src, mut dst) = (vec![SrcPfn::NONE; len], vec![DstPfn::NONE; len]);
    let owner = dev.owner();
    let before = Snapshot::of(machine);
    let mut longer = vec![DstPfn::NONE; len + 1];
    let request = DeviceRequest {
        first,
        src: &mut src,
        dst: &mut longer,
        owner,
    };
    let refused = setup_range::<P, _>(cpu, request).map(drop);
    let Err(error) = refused else {
        return Err("ACCEPTED: arrays of two lengths".to_owned());
    };
    before.unchanged(
        machine,
        &format!("device pfns were refused: {}", told(error)?),
    )?;
    let request = DeviceRequest {
        first,
        src: &mut src,
        dst: &mut dst,
        owner,
    };
    let mut migration = match setup_range::<P, _>(cpu, request) {
        Ok(migration) => migration,
        Err(error) => {
            return Err(format!(
                "REFUSED: arrays of one length were refused: {error}"
            ))
        }
    };
    let words = migration.src().to_vec();
    let found = words.iter().filter(|word| word.migrating()).count();
    if migration.cpages() != found {
        let counted = migration.cpages();
        return Err(format!(
            "COUNT: setup says {counted}, and the words {found}"
        ));
    }
    let mut given = Given::default();
    if choices.chance(30) {
        // As one that is not carried anywhere, with any destinations.
        for (index, word) in words.iter().enumerate() {
            let give = any_give(choices, &mut dev, *word);
            let last = match index {
                0 => DstPfn::NONE,
                _ => migration.dst()[index - 1],
            };
            let word = given.give(&dev, Purpose::ToSystem, *word, give, last);
            // A caller has them alone, or with all that there is.
            match index % 2 {
                0 => migration.dst_mut()[index] = word,
                _ => migration.parts().2[index] = word,
            }
        }
        let seen = Snapshot::of(migration.ops().machine());
        let before = (seen, migration.dst().to_vec());
        match migration.pages() {
            Ok(moved) => {
                let dst = moved.dst().to_vec();
                given.taken(&dev, &dst);
                forget_what_has_not_moved(&mut dev, Purpose::ToSystem, moved.src(), &dst);
                moved.finalize();
            }
            Err(refused) => {
                told(refused.error)?;
                let after = format!("pages was refused: {refused:?}");
                before.0.unchanged(machine, &after)?;
                if refused.migration.src() != words || refused.migration.dst() != before.1 {
                    return Err(format!("UNCHANGED: {after}, and has changed the words"));
                }
                given.take_back(&dev);
                drop(refused.migration);
            }
        }
        return Ok(());
    }
    migration.into_words();
    for index in 0..len {
        let give = right(&mut dev, Purpose::ToSystem, src[index]);
        dst[index] = given.give(&dev, Purpose::ToSystem, src[index], give, DstPfn::NONE);
    }
    let mut tamper = |src: &mut Vec<SrcPfn>, dst: &mut Vec<DstPfn>| {
        let right = src.clone();
        let index = choices.below(src.len());
        src[index] = match choices.below(2) {
            0 => SrcPfn::from_raw(choices.word()),
            _ => SrcPfn::from_raw(src[index].raw() ^ 1 << choices.below(usize::BITS as usize)),
        };
        if check_carried(src).is_err() && P::KIND == PolicyKind::Hardened {
            let before = Snapshot::of(machine);
            let taken = DeviceMigration::<_, P, Unmapped>::from_words(cpu, owner, src, dst).is_ok();
            let later = DeviceMigration::<_, P, Moved>::from_words(cpu, owner, src, dst).is_ok();
            if taken || later {
                return Err(format!("ACCEPTED: {src:?} was taken for {right:?}"));
            }
            before.unchanged(machine, "words were refused")?;
        }
        let mut longer = vec![DstPfn::NONE; src.len() + 1];
        if DeviceMigration::<_, P, Moved>::from_words(cpu, owner, src, &mut longer).is_ok() {
            return Err("ACCEPTED: arrays of two lengths".to_owned());
        }
        *src = right;
        Ok(())
    };
    tamper(&mut src, &mut dst)?;
    let migration = DeviceMigration::<_, P, Unmapped>::from_words(cpu, owner, &mut src, &mut dst)
        .map_err(|error| format!("REFUSED: what setup left was refused: {error}"))?;
    match migration.pages() {
        Ok(moved) => moved.into_words(),
        Err(refused) => {
            return Err(format!(
                "REFUSED: right destinations were refused: {}",
                refused.error
            ))
        }
    }
    given.taken(&dev, &dst);
    tamper(&mut src, &mut dst)?;
    forget_what_has_not_moved(&mut dev, Purpose::ToSystem, &src, &dst);
    let migration = DeviceMigration::<_, P, Moved>::from_words(cpu, owner, &mut src, &mut dst)
        .map_err(|error| format!("REFUSED: what pages left was refused: {error}"))?;
    migration.finalize();
    Ok(())
}
