// SPDX-License-Identifier: GPL-2.0-only
//! What is tested.

use std::sync::atomic::Ordering;
use std::{fs, io, os::fd::AsRawFd, thread};

use crate::device::{
    is_rust, Device, Fail, PageInfo, Raw, ORDER, PTE_DEVICE, PTE_PAGE, RAW_DEVICE, RAW_SYSTEM,
    SKIP, TAMPER,
};
use crate::memory::{in_child, DmaPin, Memory, Reference, PAGE};

pub type Case = fn() -> Result<(), String>;

macro_rules! cases {
    ($($name:ident)*) => {
        pub const ALL: &[(&str, Case)] = &[$((stringify!($name), $name)),*];
    };
}
cases! {
    round_trip
    one_page_many_times
    revoked
    no_increment_is_lost
    fork_while_pinned
    exit_while_pinned
    munmap_while_pinned
    mprotect_while_pinned
    mremap_while_pinned
    dontneed_while_pinned
    pageout_while_pinned
    free_while_pinned
    close_while_pinned
    a_short_reference_is_tolerated
    a_dma_pin_is_refused
    a_pin_goes_home_by_its_own_way
    no_device_page_at_each_position
    no_room_in_the_device_page_table
    more_pages_than_the_device_has
    huge_pages
    the_zero_page
    holes
    a_private_file
    a_shared_file
    shared_memory
    swapped_pages
    two_devices
    two_drivers
    migration_with_copy
    no_memory_for_the_copy
    garbage_before_setup
    garbage_before_pages
    words_that_are_tampered_with
    calls_out_of_turn
    ranges_that_are_none
    much_memory
}

/// What can't be asked of the driver in Rust, since no safe code could do it: it does not compile, as the examples in
/// the documentation of `migrate_pin_kernel::driver` show.
pub const NOT_IN_RUST: &[(&str, &str)] = &[
    (
        "garbage_before_pages",
        "destinations are no numbers in Rust: that part is left out",
    ),
    (
        "words_that_are_tampered_with",
        "does not compile in Rust: nothing is tested here",
    ),
    (
        "calls_out_of_turn",
        "does not compile in Rust but for a migration that is dropped",
    ),
];

fn io(what: &str) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

macro_rules! same {
    ($left:expr, $right:expr) => {
        match (&$left, &$right) {
            (left, right) if left == right => {}
            (left, right) => {
                return Err(format!(
                    "line {}: {} is {left:?}, not {right:?}",
                    line!(),
                    stringify!($left)
                ))
            }
        }
    };
}

fn open() -> Result<Device, String> {
    Device::open(0).map_err(io("open"))
}

fn written(npages: usize) -> Result<Memory, String> {
    Memory::written(npages).map_err(io("mmap"))
}

fn page(device: &Device, memory: &Memory, i: usize) -> Result<PageInfo, String> {
    device.page(memory.at(i)).map_err(io("page"))
}

/// A page that is mapped once, by a CPU, and nothing else.
fn at_home(info: PageInfo) -> Result<(), String> {
    same!(
        (
            info.entry,
            info.count,
            info.mapcount,
            info.lru,
            info.locked,
            info.pinned
        ),
        (PTE_PAGE, 1, 1, true, false, false)
    );
    Ok(())
}

/// The original of a device page: isolated and pinned, and mapped nowhere.
fn pinned(info: PageInfo) -> Result<(), String> {
    same!(
        (
            info.count,
            info.mapcount,
            info.lru,
            info.locked,
            info.pinned
        ),
        (1025, 0, false, false, true)
    );
    Ok(())
}

/// Acquire all of it.
fn acquire(device: &Device, memory: &Memory) -> Result<(), String> {
    let got = device.acquire(memory.addr, memory.npages);
    same!(got.map_err(io("acquire"))?, (memory.npages as u64, 0));
    Ok(())
}

/// All pages have what [`Memory::fill`] left, and so much more.
fn holds(memory: &Memory, more: u64) -> Result<(), String> {
    for i in 0..memory.npages {
        same!((i, memory.read(i)), (i, 1000 + i as u64 + more));
    }
    Ok(())
}

fn add_to_all(device: &Device, memory: &Memory, value: u64) -> Result<(), String> {
    for i in 0..memory.npages {
        device.add(memory.at(i), value, 1).map_err(io("add"))?;
    }
    Ok(())
}

/// Home again, where it was.
fn all_at_home(device: &Device, memory: &Memory) -> Result<(), String> {
    for i in 0..memory.npages {
        at_home(page(device, memory, i)?)?;
    }
    Ok(())
}

fn round_trip() -> Result<(), String> {
    let (device, memory) = (open()?, written(64)?);
    let mut pfns = Vec::new();
    for i in 0..64 {
        let info = page(&device, &memory, i)?;
        at_home(info)?;
        pfns.push(info.pfn);
    }
    acquire(&device, &memory)?;
    for (i, pfn) in pfns.iter().enumerate() {
        let stand_in = page(&device, &memory, i)?;
        same!(
            (stand_in.entry, stand_in.count, stand_in.mapcount),
            (PTE_DEVICE, 1, 1)
        );
        pinned(device.pfn(*pfn).map_err(io("pfn"))?)?;
    }
    for i in 0..64 {
        same!(device.add(memory.at(i), 5, 1).map_err(io("add"))?, 0);
    }
    same!(device.stats().map_err(io("stats"))?.faults, 0);
    holds(&memory, 5)?;
    // One fault a page.
    let stats = device.stats().map_err(io("stats"))?;
    same!((stats.faults, stats.mappings, stats.pins), (64, 0, 0));
    same!(stats.free, stats.all);
    for (i, pfn) in pfns.iter().enumerate() {
        let info = page(&device, &memory, i)?;
        at_home(info)?;
        same!((info.pfn, info.dirty), (*pfn, true));
    }
    Ok(())
}

fn one_page_many_times() -> Result<(), String> {
    let (device, memory) = (open()?, written(1)?);
    for round in 0..200 {
        acquire(&device, &memory)?;
        device.add(memory.addr, 1, 1).map_err(io("add"))?;
        holds(&memory, round + 1)?;
    }
    all_at_home(&device, &memory)
}

fn revoked() -> Result<(), String> {
    let (device, memory) = (open()?, written(8)?);
    acquire(&device, &memory)?;
    add_to_all(&device, &memory, 3)?;
    same!(device.revoke(memory.addr, 8).map_err(io("revoke"))?, 0);
    all_at_home(&device, &memory)?;
    holds(&memory, 3)?;
    same!(device.stats().map_err(io("stats"))?.faults, 0);
    Ok(())
}

fn no_increment_is_lost() -> Result<(), String> {
    const CPU: u64 = 4000;
    const DEVICE: u64 = 400;
    let (device, memory) = (open()?, written(4)?);
    thread::scope(|scope| {
        let mut threads: Vec<thread::ScopedJoinHandle<'_, Result<u64, String>>> = Vec::new();
        for first in 0..2 {
            let (device, memory) = (&device, &memory);
            threads.push(scope.spawn(move || {
                for i in 0..CPU {
                    let word = memory.word((first + i as usize) % 4);
                    word.fetch_add(1, Ordering::SeqCst);
                }
                Ok(0)
            }));
            threads.push(scope.spawn(move || {
                let mut acquires = 0;
                for i in 0..DEVICE / 4 {
                    let addr = memory.at((first + i as usize) % 4);
                    acquires += device.add(addr, 1, 4).map_err(io("add"))?;
                }
                Ok(acquires)
            }));
        }
        let mut acquires = 0;
        for thread in threads {
            acquires += thread
                .join()
                .map_err(|_| "a thread panicked".to_string())??;
        }
        match acquires {
            0..4 => Err(format!("no contention: {acquires} acquires")),
            _ => Ok(()),
        }
    })?;
    let sum: u64 = (0..4).map(|i| memory.read(i) - 1000 - i as u64).sum();
    same!(sum, 2 * (CPU + DEVICE));
    all_at_home(&device, &memory)
}

fn fork_while_pinned() -> Result<(), String> {
    let (device, memory) = (open()?, written(8)?);
    acquire(&device, &memory)?;
    add_to_all(&device, &memory, 1)?;
    let child = in_child(|| {
        let seen = holds(&memory, 1).is_ok();
        memory.word(0).store(7, Ordering::SeqCst);
        // The device is not the child's.
        seen && device.add(memory.addr, 1, 1).is_err() && memory.read(0) == 7
    });
    same!(child.map_err(io("fork"))?, true);
    add_to_all(&device, &memory, 1)?;
    holds(&memory, 2)?;
    // And a child that sees nothing of what comes after it was forked.
    acquire(&device, &memory)?;
    let (reader, writer) = io::pipe().map_err(io("pipe"))?;
    thread::scope(|scope| {
        let child = in_child_while(&memory, reader, 2);
        add_to_all(&device, &memory, 5)?;
        drop(writer);
        let seen = scope.spawn(child).join();
        same!(seen.map_err(|_| "a thread panicked".to_string())?, true);
        holds(&memory, 7)
    })
}

/// A child that looks at the memory when the pipe is closed; what to call for its verdict.
fn in_child_while(
    memory: &Memory,
    mut reader: io::PipeReader,
    more: u64,
) -> impl FnOnce() -> bool + Send {
    // SAFETY: only this thread runs.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let mut nothing = Vec::new();
        // The child has the other end too; one byte less to wait for: it closes all above the reader's.
        for fd in 3..64 {
            if fd != reader.as_raw_fd() {
                // SAFETY: the child uses none of them.
                unsafe { libc::close(fd) };
            }
        }
        let read = io::Read::read_to_end(&mut reader, &mut nothing);
        let good = read.is_ok() && holds(memory, more).is_ok();
        // SAFETY: the child ends here.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    move || {
        let mut status = 1;
        // SAFETY: it is our child.
        pid > 0 && unsafe { libc::waitpid(pid, &mut status, 0) } == pid && status == 0
    }
}

fn exit_while_pinned() -> Result<(), String> {
    let (device, memory) = (open()?, written(16)?);
    acquire(&device, &memory)?;
    add_to_all(&device, &memory, 1)?;
    // The end of this process is the rest of the test.
    std::mem::forget((device, memory));
    Ok(())
}

fn munmap_while_pinned() -> Result<(), String> {
    let (device, memory) = (open()?, written(8)?);
    acquire(&device, &memory)?;
    let first = memory.addr;
    let memory = memory.unmap_first(5).map_err(io("munmap"))?;
    let stats = device.stats().map_err(io("stats"))?;
    same!((stats.pins, stats.mappings), (3, 3));
    same!(stats.all - stats.free, 3);
    same!(device.load(first), None);
    for i in 0..3 {
        same!(memory.read(i), 1005 + i as u64);
    }
    all_at_home(&device, &memory)
}

fn mprotect_while_pinned() -> Result<(), String> {
    let (device, memory) = (open()?, written(4)?);
    acquire(&device, &memory)?;
    add_to_all(&device, &memory, 1)?;
    memory.protect(libc::PROT_READ).map_err(io("mprotect"))?;
    same!(device.load(memory.addr), None);
    // The CPU may not write, so the device may not.
    same!(device.add(memory.addr, 1, 1).is_err(), true);
    holds(&memory, 1)?;
    let all = libc::PROT_READ | libc::PROT_WRITE;
    memory.protect(all).map_err(io("mprotect"))?;
    add_to_all(&device, &memory, 1)?;
    holds(&memory, 2)?;
    all_at_home(&device, &memory)
}

fn mremap_while_pinned() -> Result<(), String> {
    let (device, memory) = (open()?, written(8)?);
    acquire(&device, &memory)?;
    add_to_all(&device, &memory, 1)?;
    let old = memory.addr;
    let memory = memory.remap().map_err(io("mremap"))?;
    same!(device.load(old), None);
    same!(memory.read(0), 1001);
    add_to_all(&device, &memory, 1)?;
    holds(&memory, 2)?;
    all_at_home(&device, &memory)
}

fn dontneed_while_pinned() -> Result<(), String> {
    let (device, memory) = (open()?, written(8)?);
    acquire(&device, &memory)?;
    add_to_all(&device, &memory, 1)?;
    memory.advise(libc::MADV_DONTNEED).map_err(io("madvise"))?;
    same!(device.load(memory.addr), None);
    let stats = device.stats().map_err(io("stats"))?;
    same!((stats.pins, stats.mappings), (0, 0));
    for i in 0..8 {
        same!(memory.read(i), 0);
    }
    Ok(())
}

fn pageout_while_pinned() -> Result<(), String> {
    let (device, memory) = (open()?, written(8)?);
    acquire(&device, &memory)?;
    memory.advise(libc::MADV_PAGEOUT).map_err(io("madvise"))?;
    add_to_all(&device, &memory, 1)?;
    same!(device.stats().map_err(io("stats"))?.pins, 8);
    holds(&memory, 1)?;
    all_at_home(&device, &memory)
}

fn free_while_pinned() -> Result<(), String> {
    let (device, memory) = (open()?, written(8)?);
    acquire(&device, &memory)?;
    memory.advise(libc::MADV_FREE).map_err(io("madvise"))?;
    add_to_all(&device, &memory, 1)?;
    // Written to after it was given up: it may not be lost.
    holds(&memory, 1)?;
    all_at_home(&device, &memory)
}

fn close_while_pinned() -> Result<(), String> {
    let (device, memory) = (open()?, written(8)?);
    acquire(&device, &memory)?;
    add_to_all(&device, &memory, 1)?;
    drop(device);
    let device = open()?;
    same!(device.stats().map_err(io("stats"))?.pins, 8);
    same!(device.load(memory.addr), None);
    holds(&memory, 1)?;
    same!(device.stats().map_err(io("stats"))?.pins, 0);
    all_at_home(&device, &memory)
}

fn a_short_reference_is_tolerated() -> Result<(), String> {
    let (device, memory) = (open()?, written(4)?);
    let reference = Reference::new(memory.at(1)).map_err(io("vmsplice"))?;
    same!(page(&device, &memory, 1)?.count, 2);
    let got = device.acquire(memory.addr, 4).map_err(io("acquire"))?;
    same!(got, (4, 0));
    add_to_all(&device, &memory, 1)?;
    drop(reference);
    add_to_all(&device, &memory, 1)?;
    holds(&memory, 2)?;
    all_at_home(&device, &memory)
}

/// In Rust no safe code may take a page away from under a pin by giving its device page a copy to move to.
fn a_pin_goes_home_by_its_own_way() -> Result<(), String> {
    let (device, memory) = (open()?, written(1)?);
    acquire(&device, &memory)?;
    add_to_all(&device, &memory, 1)?;
    if is_rust() {
        for (what, select) in [(RAW_SYSTEM, 2), (RAW_DEVICE, 2)] {
            let raw = device.raw(memory.addr, &mut [0], &[what], 0, select);
            same!(
                raw.err().and_then(|error| error.raw_os_error()),
                Some(libc::EIO)
            );
        }
    }
    add_to_all(&device, &memory, 1)?;
    holds(&memory, 2)?;
    all_at_home(&device, &memory)?;
    if is_rust() {
        // Nor may a page be pinned for good that no device page stands for.
        let raw = device.raw(memory.addr, &mut [PIN], &[RAW_DEVICE], 0, 0);
        same!(
            raw.err().and_then(|error| error.raw_os_error()),
            Some(libc::EIO)
        );
        holds(&memory, 2)?;
        all_at_home(&device, &memory)?;
    }
    Ok(())
}

fn a_dma_pin_is_refused() -> Result<(), String> {
    let (device, memory) = (open()?, written(4)?);
    let pin = DmaPin::new(memory.at(1), 1).map_err(io("gup_test"))?;
    let before = page(&device, &memory, 1)?;
    same!(before.count, 1025);
    let got = device.acquire(memory.addr, 4).map_err(io("acquire"))?;
    same!(got, (3, 0));
    same!(page(&device, &memory, 1)?, before);
    drop(pin);
    at_home(page(&device, &memory, 1)?)?;
    let got = device.acquire(memory.at(1), 1).map_err(io("acquire"))?;
    same!(got, (1, 0));
    add_to_all(&device, &memory, 1)?;
    holds(&memory, 1)?;
    all_at_home(&device, &memory)
}

fn no_device_page_at_each_position() -> Result<(), String> {
    let device = open()?;
    for nth in 1..=4 {
        let memory = written(4)?;
        device.fail(Fail::Alloc, nth).map_err(io("fail"))?;
        let got = device.acquire(memory.addr, 4).map_err(io("acquire"))?;
        same!(got, (3, 0));
        for i in 0..4 {
            let info = page(&device, &memory, i)?;
            if i as u64 + 1 == nth {
                at_home(info)?;
            } else {
                same!(info.entry, PTE_DEVICE);
            }
        }
        add_to_all(&device, &memory, 1)?;
        holds(&memory, 1)?;
        all_at_home(&device, &memory)?;
    }
    Ok(())
}

fn no_room_in_the_device_page_table() -> Result<(), String> {
    let device = open()?;
    for nth in 1..=4 {
        let memory = written(4)?;
        device.fail(Fail::Map, nth).map_err(io("fail"))?;
        // The second try has room.
        acquire(&device, &memory)?;
        add_to_all(&device, &memory, 1)?;
        holds(&memory, 1)?;
        all_at_home(&device, &memory)?;
    }
    Ok(())
}

fn more_pages_than_the_device_has() -> Result<(), String> {
    let device = open()?;
    let all = device.stats().map_err(io("stats"))?.all as usize;
    let memory = written(all + 32)?;
    let got = device
        .acquire(memory.addr, memory.npages)
        .map_err(io("acquire"))?;
    same!(got, (all as u64, 0));
    holds(&memory, 0)?;
    all_at_home(&device, &memory)
}

fn huge_pages() -> Result<(), String> {
    let (device, memory) = (open()?, Memory::huge().map_err(io("mmap"))?);
    let got = device.acquire(memory.at(100), 8).map_err(io("acquire"))?;
    same!(got, (8, 0));
    for i in 100..108 {
        device.add(memory.at(i), 9, 1).map_err(io("add"))?;
    }
    for i in 0..512 {
        let more = if (100..108).contains(&i) { 9 } else { 0 };
        same!((i, memory.read(i)), (i, 1000 + i as u64 + more));
    }
    acquire(&device, &memory)?;
    holds_but(&memory, 100..108, 9)?;
    all_at_home(&device, &memory)
}

fn holds_but(memory: &Memory, range: std::ops::Range<usize>, more: u64) -> Result<(), String> {
    for i in 0..memory.npages {
        let more = if range.contains(&i) { more } else { 0 };
        same!((i, memory.read(i)), (i, 1000 + i as u64 + more));
    }
    Ok(())
}

/// The device gets nothing, and what is there stays.
fn nothing_is_got(device: &Device, memory: &Memory) -> Result<(), String> {
    let got = device
        .acquire(memory.addr, memory.npages)
        .map_err(io("acquire"))?;
    same!(got, (0, 0));
    same!(device.stats().map_err(io("stats"))?.pins, 0);
    Ok(())
}

fn the_zero_page() -> Result<(), String> {
    let device = open()?;
    let memory = Memory::anonymous(4).map_err(io("mmap"))?;
    for i in 0..4 {
        same!(memory.read(i), 0);
    }
    nothing_is_got(&device, &memory)?;
    // A device that faults it in first, for writing, gets it.
    add_to_all(&device, &memory, 6)?;
    for i in 0..4 {
        same!(memory.read(i), 6);
    }
    all_at_home(&device, &memory)
}

fn holes() -> Result<(), String> {
    let device = open()?;
    let memory = Memory::anonymous(4).map_err(io("mmap"))?;
    nothing_is_got(&device, &memory)?;
    memory.word(1).store(4, Ordering::SeqCst);
    let got = device.acquire(memory.addr, 4).map_err(io("acquire"))?;
    same!(got, (1, 0));
    same!(memory.read(1), 4);
    same!(memory.read(2), 0);
    Ok(())
}

/// A file with a number in each page.
fn file(npages: usize) -> Result<fs::File, String> {
    let path = format!("/tmp/selftest-{}", std::process::id());
    let mut bytes = vec![0; npages * PAGE];
    for i in 0..npages {
        bytes[i * PAGE..][..8].copy_from_slice(&(1000 + i as u64).to_ne_bytes());
    }
    fs::write(&path, bytes).map_err(io("write"))?;
    let file = fs::OpenOptions::new().read(true).write(true).open(&path);
    fs::remove_file(&path).map_err(io("unlink"))?;
    file.map_err(io("open"))
}

fn a_private_file() -> Result<(), String> {
    let (device, file) = (open()?, file(4)?);
    let memory = Memory::map(4, libc::MAP_PRIVATE, file.as_raw_fd()).map_err(io("mmap"))?;
    holds(&memory, 0)?;
    nothing_is_got(&device, &memory)?;
    // What was written to is the process's own.
    memory.word(2).store(1002, Ordering::SeqCst);
    let got = device.acquire(memory.addr, 4).map_err(io("acquire"))?;
    same!(got, (1, 0));
    add_to_all(&device, &memory, 3)?;
    holds(&memory, 3)?;
    all_at_home(&device, &memory)
}

fn a_shared_file() -> Result<(), String> {
    let (device, file) = (open()?, file(4)?);
    let memory = Memory::map(4, libc::MAP_SHARED, file.as_raw_fd()).map_err(io("mmap"))?;
    holds(&memory, 0)?;
    nothing_is_got(&device, &memory)?;
    memory.fill();
    nothing_is_got(&device, &memory)?;
    holds(&memory, 0)
}

fn shared_memory() -> Result<(), String> {
    let device = open()?;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let memory = Memory::map(4, flags, -1).map_err(io("mmap"))?;
    memory.fill();
    nothing_is_got(&device, &memory)?;
    holds(&memory, 0)
}

fn swapped_pages() -> Result<(), String> {
    let (device, memory) = (open()?, written(8)?);
    memory.advise(libc::MADV_PAGEOUT).map_err(io("madvise"))?;
    let swapped: Vec<_> = (0..8)
        .map(|i| page(&device, &memory, i))
        .collect::<Result<_, _>>()?;
    let out = swapped.iter().filter(|info| info.entry != PTE_PAGE);
    if out.count() < 4 {
        return Err("too few pages were swapped out".to_string());
    }
    let here = swapped.iter().filter(|info| info.entry == PTE_PAGE);
    let here = here.count() as u64;
    let got = device.acquire(memory.addr, 8).map_err(io("acquire"))?;
    same!(got, (here, 0));
    // Faulted in, and in the swap cache perhaps, which is left on the way.
    add_to_all(&device, &memory, 2)?;
    holds(&memory, 2)?;
    for i in 0..8 {
        let info = page(&device, &memory, i)?;
        same!(
            (info.entry, info.pinned, info.mapcount),
            (PTE_PAGE, false, 1)
        );
    }
    Ok(())
}

fn two_devices() -> Result<(), String> {
    contend(open()?, Device::open(1).map_err(io("open"))?)
}

/// One of the driver in C, one of that in Rust.
fn two_drivers() -> Result<(), String> {
    contend(open()?, Device::open_other(0).map_err(io("open"))?)
}

fn contend(one: Device, two: Device) -> Result<(), String> {
    let memory = written(4)?;
    acquire(&one, &memory)?;
    add_to_all(&one, &memory, 1)?;
    // What stands there is the other's.
    let got = two.acquire(memory.addr, 4).map_err(io("acquire"))?;
    same!(got, (0, 0));
    // But it was told of another's migration, and its device has let go; the pages are still pinned for it.
    same!(one.load(memory.addr), None);
    same!(one.stats().map_err(io("stats"))?.pins, 4);
    add_to_all(&one, &memory, 0x100)?;
    same!(one.load(memory.addr), Some(1257));
    same!(one.stats().map_err(io("stats"))?.faults, 0);
    // As a CPU would, it takes the pages back first.
    add_to_all(&two, &memory, 1)?;
    same!(one.load(memory.addr), None);
    same!(two.load(memory.addr), Some(1258));
    add_to_all(&one, &memory, 1)?;
    same!(two.load(memory.addr), None);
    holds(&memory, 3 + 0x100)?;
    all_at_home(&one, &memory)
}

fn migration_with_copy() -> Result<(), String> {
    let (device, memory) = (open()?, written(64)?);
    same!(device.migrate(memory.addr, 64).map_err(io("migrate"))?, 64);
    let stats = device.stats().map_err(io("stats"))?;
    same!((stats.pins, stats.all - stats.free), (0, 64));
    holds(&memory, 0)?;
    same!(device.stats().map_err(io("stats"))?.faults, 64);
    all_at_home(&device, &memory)?;
    // Holes become device pages.
    let memory = Memory::anonymous(4).map_err(io("mmap"))?;
    same!(device.migrate(memory.addr, 4).map_err(io("migrate"))?, 4);
    for i in 0..4 {
        same!(memory.read(i), 0);
    }
    all_at_home(&device, &memory)
}

fn no_memory_for_the_copy() -> Result<(), String> {
    let (device, memory) = (open()?, written(2)?);
    same!(device.migrate(memory.addr, 2).map_err(io("migrate"))?, 2);
    device.fail(Fail::Copy, 1).map_err(io("fail"))?;
    // The fault is repeated, with memory.
    holds(&memory, 0)?;
    same!(device.stats().map_err(io("stats"))?.faults, 3);
    all_at_home(&device, &memory)
}

const EPERM: u64 = libc::EPERM as u64;
const EBUSY: u64 = libc::EBUSY as u64;
const EINVAL: u64 = libc::EINVAL as u64;
const ESTALE: u64 = libc::ESTALE as u64;
const VALID: u64 = 1;
const MIGRATE: u64 = 2;
const PIN: u64 = 16;

fn garbage_before_setup() -> Result<(), String> {
    let (device, memory) = (open()?, written(4)?);
    let pfn = page(&device, &memory, 0)?.pfn;
    for word in [
        1 << 5,
        MIGRATE,
        VALID,
        pfn << 6,
        pfn << 6 | VALID,
        u64::MAX,
        PIN | MIGRATE,
    ] {
        for position in 0..4 {
            let mut src = [0, PIN, 0, PIN];
            src[position] = word;
            let given = src;
            let raw = device.raw(memory.addr, &mut src, &[0; 4], 0, 0);
            let raw = raw.map_err(io("raw"))?;
            same!((word, raw.setup, src), (word, EINVAL, given));
        }
        all_at_home(&device, &memory)?;
    }
    holds(&memory, 0)
}

fn garbage_before_pages() -> Result<(), String> {
    let (device, memory) = (open()?, written(4)?);
    let other = written(1)?;
    let mapped = page(&device, &other, 0)?.pfn << 6;
    let source = page(&device, &memory, 0)?.pfn << 6;
    let nowhere = 1 << 40;
    let garbage = [
        (1 << 5, EINVAL),
        (nowhere, EINVAL),
        (VALID, EINVAL),
        (PIN, EINVAL),
        (mapped | VALID | MIGRATE, EINVAL),
        (nowhere | VALID, EINVAL),
        (u64::MAX, EINVAL),
        // A page that a process has mapped; the source itself; and no pin of theirs.
        (mapped | VALID, EBUSY),
        (mapped | VALID | PIN, EPERM),
        (source | VALID, EBUSY),
        (source | VALID | PIN, EPERM),
    ];
    for (word, error) in garbage {
        for position in 0..4 {
            // The driver in Rust gives a pin no destination.
            let mut src = [if is_rust() { 0 } else { PIN }; 4];
            let mut dst = [RAW_DEVICE; 4];
            dst[position] = word;
            let raw = device.raw(memory.addr, &mut src, &dst, 0, 0);
            if is_rust() {
                // The destinations before it are freed, and everything is put back.
                let error = raw.err().and_then(|error| error.raw_os_error());
                same!((word, error), (word, Some(libc::EOPNOTSUPP)));
                continue;
            }
            let raw = raw.map_err(io("raw"))?;
            same!(
                (word, raw.setup, raw.pages, raw.finalize),
                (word, 0, error, 0)
            );
        }
        all_at_home(&device, &memory)?;
    }
    // A pinned page has to go to a device page.
    let mut src = [PIN, 0, PIN, 0];
    let raw = device.raw(memory.addr, &mut src, &[RAW_SYSTEM; 4], 0, 0);
    if is_rust() {
        // None can be given to it.
        same!(
            raw.err().and_then(|error| error.raw_os_error()),
            Some(libc::EIO)
        );
    } else {
        let raw = raw.map_err(io("raw"))?;
        same!(
            (raw.setup, raw.pages, raw.finalize, raw.cpages),
            (0, 0, 0, 4)
        );
        same!(src.map(|word| word & MIGRATE), [0, MIGRATE, 0, MIGRATE]);
    }
    at_home(page(&device, &memory, 0)?)?;
    all_at_home(&device, &memory)?;
    same!((memory.read(0), memory.read(2)), (1000, 1002));
    same!(other.read(0), 1000);
    Ok(())
}

/// The driver in Rust has no such command.
fn no_command(raw: io::Result<Raw>) -> Result<(), String> {
    let error = raw.err().and_then(|error| error.raw_os_error());
    same!(error, Some(libc::EOPNOTSUPP));
    Ok(())
}

fn words_that_are_tampered_with() -> Result<(), String> {
    let (device, memory) = (open()?, written(4)?);
    let mut src = [PIN; 4];
    let raw = device.raw(memory.addr, &mut src, &[RAW_DEVICE; 4], TAMPER, 0);
    if is_rust() {
        return no_command(raw);
    }
    let raw = raw.map_err(io("raw"))?;
    same!((raw.setup, raw.pages, raw.finalize), (0, ESTALE, 0));
    all_at_home(&device, &memory)?;
    holds(&memory, 0)
}

fn calls_out_of_turn() -> Result<(), String> {
    let (device, memory) = (open()?, written(4)?);
    let mut src = [PIN; 4];
    let raw = device.raw(memory.addr, &mut src, &[0; 4], SKIP, 0);
    let raw = raw.map_err(io("raw"))?;
    same!((raw.setup, raw.finalize, raw.cpages), (0, 0, 4));
    all_at_home(&device, &memory)?;
    let mut src = [PIN; 4];
    let raw = device.raw(memory.addr, &mut src, &[0; 4], ORDER, 0);
    if is_rust() {
        return no_command(raw);
    }
    let raw = raw.map_err(io("raw"))?;
    same!(
        (raw.early, raw.setup, raw.pages, raw.finalize),
        (EINVAL, 0, 0, EINVAL)
    );
    all_at_home(&device, &memory)?;
    holds(&memory, 0)
}

fn ranges_that_are_none() -> Result<(), String> {
    let (device, memory) = (open()?, written(4)?);
    let mut src = [PIN; 2];
    let raw = device.raw(memory.addr + 8, &mut src, &[0; 2], 0, 0);
    same!(raw.map_err(io("raw"))?.setup, EINVAL);
    same!(device.acquire(memory.addr + 8, 1).is_err(), true);
    same!(device.revoke(memory.addr + 8, 1).is_err(), true);
    all_at_home(&device, &memory)?;
    holds(&memory, 0)
}

fn much_memory() -> Result<(), String> {
    let device = open()?;
    for _ in 0..20 {
        let memory = written(1024)?;
        acquire(&device, &memory)?;
        // Half of it comes home, the other half goes with the mapping.
        for i in 0..512 {
            same!(memory.read(i), 1000 + i as u64);
        }
        same!(device.stats().map_err(io("stats"))?.pins, 512);
    }
    Ok(())
}
