// SPDX-License-Identifier: GPL-2.0-only
//! What a process asks for: the commands of `test_driver.h`.

use core::sync::atomic::Ordering;

use migrate_pin_core::error::{EINVAL, EPERM};
use migrate_pin_core::pin::{Acquired, Grant};
use migrate_pin_core::{
    Access, Pfn, Present, Pte, PteBits, Range, Select, SrcPfn, PAGE_SHIFT, PAGE_SIZE,
};
use migrate_pin_kernel::driver::{
    self, Area, DevicePage, Error, Look, Migration, Page, SystemPage, User, Words, EFAULT, EINTR,
    EIO, ENOENT, ENOTTY, EOPNOTSUPP,
};

use crate::device::{Fail, Opened, Test};

/// Pages of one command.
const MAX_PAGES: u64 = 8192;

/// `struct migrate_pin_test` is so many words.
const WORDS: usize = 14;

/// `MIGRATE_PIN_TEST(nr)`: `_IOWR('P', nr, struct migrate_pin_test)`.
const fn command(nr: u32) -> u32 {
    3 << 30 | ((WORDS * 8) as u32) << 16 | (b'P' as u32) << 8 | nr
}

const ACQUIRE: u32 = command(1);
const REVOKE: u32 = command(2);
const ADD: u32 = command(3);
const LOAD: u32 = command(4);
const MIGRATE: u32 = command(5);
const RAW: u32 = command(6);
const FAIL: u32 = command(7);
const STATS: u32 = command(8);
const PAGE: u32 = command(9);
const PFN: u32 = command(10);

const RAW_DEVICE: u64 = 1 << 62 | 1;
const RAW_SYSTEM: u64 = 1 << 62 | 2;
const RAW_SKIP: u64 = 2;

const PAGE_LRU: u64 = 1;
const PAGE_LOCKED: u64 = 2;
const PAGE_PINNED: u64 = 4;
const PAGE_DIRTY: u64 = 8;

/// `struct migrate_pin_test`: what is asked.
struct Asked {
    addr: usize,
    npages: u64,
    arg: u64,
    value: u64,
    src: User,
    dst: User,
}

/// What is answered.
type Out = [u64; 8];

const fn errno(number: i32) -> Error {
    Error::Kernel(number)
}

/// Do a command, and answer it.
pub(crate) fn run(file: &Opened, command: u32, arg: User) -> Result<(), Error> {
    if !file.mirror.mm().is_current() {
        return Err(errno(EPERM));
    }
    let mut words = [0; WORDS];
    arg.read(&mut words)?;
    let [addr, npages, arg_word, value, src, dst, ..] = words;
    let asked = Asked {
        addr: addr as usize,
        npages,
        arg: arg_word,
        value,
        src: User::new(src as usize),
        dst: User::new(dst as usize),
    };
    let mut out = [0; 8];
    let result = dispatch(file, command, &asked, &mut out);
    if let Err(Error::Kernel(ENOTTY)) = result {
        return result;
    }
    // As the driver in C: what was found is told, whatever came of it.
    arg.word(6).write(&out)?;
    result
}

fn dispatch(file: &Opened, command: u32, asked: &Asked, out: &mut Out) -> Result<(), Error> {
    match command {
        ACQUIRE => acquire(file, asked, out),
        REVOKE => revoke(file, asked, out),
        ADD => add(file, asked, out),
        LOAD => load(file, asked, out),
        MIGRATE => migrate(file, asked, out),
        RAW => raw(file, asked, out),
        FAIL => fail(file, asked),
        STATS => stats(file, out),
        PAGE => look(file, asked, out),
        PFN => look_page(asked, out),
        _ => Err(errno(ENOTTY)),
    }
}

/// The range of a command.
fn range(asked: &Asked) -> Result<Range, Error> {
    if asked.npages == 0 || asked.npages > MAX_PAGES {
        return Err(errno(EINVAL));
    }
    let bytes = (asked.npages as usize) << PAGE_SHIFT;
    Ok(Range {
        start: asked.addr,
        end: asked.addr.checked_add(bytes).ok_or(errno(EINVAL))?,
    })
}

/// Do something with the area that a range is in, under its lock.
fn under_lock<R>(
    file: &Opened,
    range: Range,
    act: impl FnOnce(Area<'_>) -> Result<R, Error>,
) -> Result<R, Error> {
    let users = file.mirror.mm().users().ok_or(errno(EFAULT))?;
    let lock = users.read_lock();
    match lock.area_at(range.start) {
        Some(area) if range.end <= area.range().end => act(area),
        _ => Err(errno(EFAULT)),
    }
}

const fn access(write: u64) -> Access {
    match write {
        0 => Access::Read,
        _ => Access::Write,
    }
}

fn acquire_range(file: &Opened, range: Range, access: Access) -> Result<Acquired, Error> {
    let mut words = Words::new(range.end.wrapping_sub(range.start) >> PAGE_SHIFT)?;
    under_lock(file, range, |area| {
        file.mirror.acquire(area, range, access, &mut words)
    })
}

fn acquire(file: &Opened, asked: &Asked, out: &mut Out) -> Result<(), Error> {
    let acquired = acquire_range(file, range(asked)?, access(asked.arg))?;
    [out[0], out[1]] = [acquired.granted as u64, acquired.left as u64];
    Ok(())
}

fn revoke(file: &Opened, asked: &Asked, out: &mut Out) -> Result<(), Error> {
    let range = range(asked)?;
    out[0] = under_lock(file, range, |area| file.mirror.revoke(area, range))? as u64;
    Ok(())
}

/// Get one page for the device, as a driver does that handles its fault.
fn obtain(file: &Opened, addr: usize) -> Result<(), Error> {
    let mirror = &file.mirror;
    {
        let users = mirror.mm().users().ok_or(errno(EFAULT))?;
        let mut lock = users.read_lock();
        let grant = match lock.area_at(addr) {
            Some(area) => mirror.grant(area, addr, Access::Write)?,
            None => Grant::NotPinned,
        };
        if grant != Grant::NotPinned {
            return Ok(());
        }
        lock.fault_in(addr, true)?;
    }
    let start = addr & !(PAGE_SIZE - 1);
    let end = start.wrapping_add(PAGE_SIZE);
    acquire_range(file, Range { start, end }, Access::Write).map(|_| ())
}

fn add(file: &Opened, asked: &Asked, out: &mut Out) -> Result<(), Error> {
    if asked.addr & 7 != 0 || asked.value == 0 {
        return Err(errno(EINVAL));
    }
    let mut left = asked.arg;
    while left > 0 {
        let more = |word: u64| word.wrapping_add(asked.value);
        if let Some(old) = file.mirror.update(asked.addr, more) {
            out[0] = old;
            left = left.wrapping_sub(1);
            continue;
        }
        if asked.npages != 0 {
            return Err(errno(ENOENT));
        }
        if driver::signal_pending() {
            return Err(errno(EINTR));
        }
        out[1] = out[1].wrapping_add(1);
        obtain(file, asked.addr)?;
        driver::cond_resched();
    }
    Ok(())
}

fn load(file: &Opened, asked: &Asked, out: &mut Out) -> Result<(), Error> {
    if asked.addr & 7 != 0 {
        return Err(errno(EINVAL));
    }
    out[0] = file.mirror.load(asked.addr).ok_or(errno(ENOENT))?;
    Ok(())
}

/// A device page with the contents of a source, or zeroes.
fn copy_to_device(
    file: &Opened,
    migration: &Migration<'_, Test>,
    index: usize,
) -> Option<DevicePage<Test>> {
    let page = file.mirror.take_page()?;
    let mut backing = SystemPage::zeroed().ok()?;
    if let Some(source) = migration.source(index) {
        backing.copy_from_source(&source);
    }
    file.memory.device().fill(page.index(), Some(backing));
    Some(page)
}

fn migrate(file: &Opened, asked: &Asked, out: &mut Out) -> Result<(), Error> {
    let range = range(asked)?;
    let mut words = Words::new(asked.npages as usize)?;
    under_lock(file, range, |area| {
        let mirror = &file.mirror;
        let mut migration = mirror.migrate(area, range, Select::SYSTEM, &mut words)?;
        for index in 0..migration.src().len() {
            if !migration
                .src()
                .get(index)
                .is_some_and(|word| word.migrating())
            {
                continue;
            }
            if let Some(page) = copy_to_device(file, &migration, index) {
                migration.give(index, page).map_err(|_| errno(EIO))?;
            }
        }
        let moved = migration.pages().map_err(|(error, _)| error)?;
        out[0] = moved.count() as u64;
        moved.finalize();
        Ok(())
    })
}

/// So many words of the process, as source words.
fn words_of(from: User, n: usize) -> Result<Words, Error> {
    let mut words = Words::new(n)?;
    for (index, word) in words.src_mut().iter_mut().enumerate() {
        let mut given = [0];
        from.word(index).read(&mut given)?;
        *word = SrcPfn::from_raw(given[0] as usize);
    }
    Ok(words)
}

/// Give the destinations that a test asks for.
fn destinations(
    file: &Opened,
    migration: &mut Migration<'_, Test>,
    wanted: &[SrcPfn],
) -> Result<(), Error> {
    for (index, word) in wanted.iter().enumerate() {
        match word.raw() as u64 {
            RAW_DEVICE => {
                if let Some(page) = file.mirror.take_page() {
                    migration.give(index, page).map_err(|_| errno(EIO))?;
                }
            }
            RAW_SYSTEM => {
                let page = SystemPage::zeroed()?;
                migration.give_system(index, page).map_err(|_| errno(EIO))?;
            }
            0 => {}
            // A number is no destination here.
            _ => return Err(errno(EOPNOTSUPP)),
        }
    }
    Ok(())
}

fn raw(file: &Opened, asked: &Asked, out: &mut Out) -> Result<(), Error> {
    if asked.arg & !RAW_SKIP != 0 {
        return Err(errno(EOPNOTSUPP));
    }
    let range = range(asked)?;
    // All of it before the lock is taken: a copy from the process may fault, and the fault takes it too.
    let mut words = words_of(asked.src, asked.npages as usize)?;
    let wanted = words_of(asked.dst, asked.npages as usize)?;
    let select = match asked.value {
        0 => Select::SYSTEM,
        bits => Select::from_bits_truncate(bits as u32),
    };
    under_lock(file, range, |area| {
        let mut migration = match file.mirror.migrate(area, range, select, &mut words) {
            Ok(migration) => migration,
            Err(error) => {
                out[0] = error.errno() as u64;
                return Ok(());
            }
        };
        out[3] = migration.cpages() as u64;
        destinations(file, &mut migration, wanted.src())?;
        if asked.arg & RAW_SKIP != 0 {
            out[1] = u64::MAX;
            return Ok(());
        }
        match migration.pages() {
            Ok(moved) => moved.finalize(),
            Err((error, _)) => out[1] = error.errno() as u64,
        }
        Ok(())
    })?;
    for (index, word) in words.src().iter().enumerate() {
        asked.src.word(index).write(&[word.raw() as u64])?;
    }
    Ok(())
}

fn fail(file: &Opened, asked: &Asked) -> Result<(), Error> {
    let what = match asked.arg {
        0 => Fail::Alloc,
        1 => Fail::Map,
        2 => Fail::Copy,
        _ => return Err(errno(EINVAL)),
    };
    let nth = i32::try_from(asked.value).map_err(|_| errno(EINVAL))?;
    file.mirror.space().set_fail(what, nth);
    Ok(())
}

fn stats(file: &Opened, out: &mut Out) -> Result<(), Error> {
    let space = file.mirror.space();
    *out = [
        file.memory.free() as u64,
        file.memory.pages() as u64,
        file.mirror.mappings() as u64,
        space.faults.load(Ordering::Relaxed),
        space.invalidations.load(Ordering::Relaxed),
        driver::pins() as u64,
        0,
        0,
    ];
    Ok(())
}

fn tell(page: Page, out: &mut Out) {
    out[1] = page.pfn.0 as u64;
    out[2] = page.count.into();
    out[3] = page.mapcount.into();
    for (set, bit) in [
        (page.lru, PAGE_LRU),
        (page.locked, PAGE_LOCKED),
        (page.pinned, PAGE_PINNED),
        (page.dirty, PAGE_DIRTY),
    ] {
        out[4] |= if set { bit } else { 0 };
    }
}

/// `MIGRATE_PIN_PTE_*`, and its bits.
const fn kind(entry: Pte) -> (u64, PteBits) {
    match entry {
        Pte::None => (0, PteBits::empty()),
        Pte::Present(Present::Zero, bits) => (1, bits),
        Pte::Present(Present::Special, bits) => (2, bits),
        Pte::Present(Present::Page(_), bits) => (3, bits),
        Pte::DevicePrivate(_, bits) => (4, bits),
        Pte::Migration(_, bits) => (5, bits),
        Pte::Other => (6, PteBits::empty()),
    }
}

fn look(file: &Opened, asked: &Asked, out: &mut Out) -> Result<(), Error> {
    // What is on its way to the LRU is there then.
    driver::drain_lru();
    let start = asked.addr & !(PAGE_SIZE - 1);
    let at = Range { start, end: start };
    let Look { entry, page } = under_lock(file, at, |area| Ok(area.look(start)))?;
    let (kind, bits) = kind(entry);
    out[0] = kind;
    out[5] = u64::from(bits.bits()) << 8;
    if let Some(page) = page {
        tell(page, out);
    }
    Ok(())
}

fn look_page(asked: &Asked, out: &mut Out) -> Result<(), Error> {
    driver::drain_lru();
    let page = driver::page(Pfn(asked.arg as usize)).ok_or(errno(EINVAL))?;
    tell(page, out);
    Ok(())
}
