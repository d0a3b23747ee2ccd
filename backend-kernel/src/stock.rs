// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's own calls on `core`: what `migrate_vma_*` and `migrate_device_*` run while `migrate_pin=on`.
//!
//! The callers are drivers that know nothing of this crate. They carry `struct migrate_vma` or two arrays from
//! call to call and nothing else, and the later calls return nothing; so the migration goes on from its words
//! ([`pages_by_words`], [`finalize_by_words`]), and a destination that is refused is left out as if there were none:
//! its entry goes back to its source, and the page stays the driver's. That is counted, and said once.

use core::ffi::c_int;
use core::slice;

use migrate_pin_core::error::EINVAL;
use migrate_pin_core::migration::{finalize_by_words, pages_by_words, setup_by_words};
use migrate_pin_core::range::{collect_range, unmap_words};
use migrate_pin_core::{
    DeviceMigration, DstPfn, Error, Hardened, MigratePfn, MmOps, Moved, Owner, Pfn, Range, Request,
    Select, SrcPfn, Unmapped, Zone, PAGE_SHIFT, PAGE_SIZE, V6_12,
};

use crate::abi::{self, MigrateVma};
use crate::export::export;
use crate::glue;
use crate::ops::{KernelOps, Vma};

fn count(counter: usize) {
    // SAFETY: it touches an atomic only; the constants are in range.
    unsafe { glue::count(counter) }
}

/// The source words of a driver as a slice.
///
/// # Safety
///
/// `src` points to `n` words that nobody else uses meanwhile, or `n` is 0.
pub(crate) unsafe fn sources<'a>(src: *mut usize, n: usize) -> &'a mut [SrcPfn] {
    if n == 0 {
        return &mut [];
    }
    // SAFETY: by the safety requirement; the type is transparent over `usize`, any value of which is valid.
    unsafe { slice::from_raw_parts_mut(src.cast(), n) }
}

/// The destination words of a driver as a slice.
///
/// # Safety
///
/// As for [`sources`].
pub(crate) unsafe fn destinations<'a>(dst: *mut usize, n: usize) -> &'a mut [DstPfn] {
    if n == 0 {
        return &mut [];
    }
    // SAFETY: as in `sources()`.
    unsafe { slice::from_raw_parts_mut(dst.cast(), n) }
}

/// What was asked of setup, from what the driver carries.
///
/// # Safety
///
/// `args` is what the safety requirement of [`migrate_pin_stock_setup`] says, and `pages` is the number of words
/// in each array.
unsafe fn request<'a>(args: &MigrateVma, pages: usize) -> Option<Request<'a, Vma>> {
    // SAFETY: by the safety requirement the area is alive and `mmap_lock` is held.
    let vma = unsafe { Vma::new(args.vma) }?;
    // SAFETY: by the safety requirement.
    let (src, dst) = unsafe { (sources(args.src, pages), destinations(args.dst, pages)) };
    let fault_page = match args.fault_page.is_null() {
        true => None,
        // SAFETY: a driver names the page that it was called for.
        false => Some(Pfn(unsafe { glue::page_to_pfn(args.fault_page) })),
    };
    Some(Request {
        vma,
        range: Range {
            start: args.start,
            end: args.start.wrapping_add(pages << PAGE_SHIFT),
        },
        src,
        dst,
        owner: Owner(args.pgmap_owner),
        select: Select::from_bits_truncate(args.flags as u32),
        fault_page,
    })
}

/// Which destination an error of pages is about.
fn refused_at(error: Error) -> Option<usize> {
    match error {
        Error::Dst { index, .. } | Error::Destination { index, .. } => Some(index),
        _ => None,
    }
}

/// Leave a destination out that was refused. False if there is none at `index`, which would be refused for ever.
fn leave_out(dst: &mut [DstPfn], error: Error) -> bool {
    let word = refused_at(error).and_then(|index| Some((index, dst.get_mut(index)?)));
    let Some((index, word)) = word else {
        return false;
    };
    count(abi::COUNT_REFUSED);
    // SAFETY: it prints its arguments.
    unsafe { glue::warn_refused(index, word.raw(), error.errno()) };
    let had = *word != DstPfn::NONE;
    *word = DstPfn::NONE;
    had
}

/// No entry goes on: what a call comes to that could not be told what to do.
fn nothing_moves(src: &mut [SrcPfn]) {
    count(abi::COUNT_REFUSED);
    for word in src {
        *word = word.without(MigratePfn::MIGRATE);
    }
}

/// Whose device memory `page` is.
fn owner_of(page: Option<Pfn>) -> Owner {
    // SAFETY: the one primitive that is called needs nothing but that the page exists, which is asked first.
    let mut ops = unsafe { KernelOps::new() };
    match page {
        Some(page) if ops.page_exists(page) => match ops.page_zone(page) {
            Zone::DevicePrivate(owner) | Zone::DeviceCoherent(owner) => owner,
            Zone::System | Zone::DeviceOther => Owner(0),
        },
        _ => Owner(0),
    }
}

/// Whose device memory a migration of device pfns is about.
fn owner_of_words(src: &[SrcPfn]) -> Owner {
    owner_of(src.iter().find_map(|word| word.pfn()))
}

/// Run pages; a destination that is refused is left out.
macro_rules! run_pages {
    ($migration:expr) => {{
        let mut migration = $migration;
        loop {
            match migration.pages() {
                Ok(moved) => {
                    moved.into_words();
                    break;
                }
                Err(mut refused) => {
                    let left_out = leave_out(refused.migration.dst_mut(), refused.error);
                    migration = refused.migration;
                    if !left_out {
                        // Dropped: every page goes back.
                        break;
                    }
                }
            }
        }
    }};
}

export! { STOCK:
    /// `migrate_vma_setup()` on core.
    ///
    /// The caller holds `mmap_lock` for reading. May sleep. 0 or -EINVAL.
    ///
    /// # Safety
    ///
    /// `args` is what the kernel documents of `migrate_vma_setup()`: the area is alive, `src` and `dst` point to a
    /// word a page of the range, or are null, and `fault_page` is a page that the caller has a reference on, or null.
    fn migrate_pin_stock_setup(args: *mut MigrateVma) -> c_int {
        count(abi::COUNT_CORE_SETUP);
        // SAFETY: by the safety requirement.
        let args = unsafe { &mut *args };
        let pages = args.end.wrapping_sub(args.start) >> PAGE_SHIFT;
        let reversed = args.end < args.start;
        args.start &= !(PAGE_SIZE - 1);
        args.end &= !(PAGE_SIZE - 1);
        // Rounded down the range may hold one page more than the arrays have words.
        let fits = args.end.wrapping_sub(args.start) >> PAGE_SHIFT == pages;
        if reversed || !fits || args.src.is_null() || args.dst.is_null() {
            return -EINVAL;
        }
        // SAFETY: by the safety requirement.
        let Some(request) = (unsafe { request(args, pages) }) else {
            return -EINVAL;
        };
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        match setup_by_words::<Hardened, V6_12, _>(&mut ops, request) {
            Ok(cpages) => {
                args.cpages = cpages;
                args.npages = pages;
                0
            }
            Err(error) => -error.errno(),
        }
    }

    /// `migrate_vma_pages()` on core.
    ///
    /// The caller holds `mmap_lock` for reading. May sleep.
    ///
    /// # Safety
    ///
    /// `args` is what `migrate_pin_stock_setup()` or `migrate_vma_setup()` left, with destinations filled in.
    fn migrate_pin_stock_pages(args: *mut MigrateVma) {
        count(abi::COUNT_CORE_PAGES);
        // SAFETY: by the safety requirement.
        let args = unsafe { &mut *args };
        // SAFETY: by the safety requirement; setup left `npages`.
        let Some(mut request) = (unsafe { request(args, args.npages) }) else {
            return;
        };
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        while let Err(error) = pages_by_words::<Hardened, V6_12, _>(&mut ops, &mut request) {
            if !leave_out(request.dst, error) {
                return nothing_moves(request.src);
            }
        }
    }

    /// `migrate_vma_finalize()` on core.
    ///
    /// The caller holds `mmap_lock` for reading. May sleep.
    ///
    /// # Safety
    ///
    /// `args` is what `migrate_pin_stock_pages()` or setup left.
    fn migrate_pin_stock_finalize(args: *mut MigrateVma) {
        count(abi::COUNT_CORE_FINALIZE);
        // SAFETY: by the safety requirement.
        let args = unsafe { &mut *args };
        // SAFETY: by the safety requirement; setup left `npages`.
        let Some(request) = (unsafe { request(args, args.npages) }) else {
            return;
        };
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        if finalize_by_words::<Hardened, V6_12, _>(&mut ops, &request).is_err() {
            count(abi::COUNT_REFUSED);
        }
    }

    /// `migrate_device_range()` on core. May sleep.
    ///
    /// # Safety
    ///
    /// `src` points to `npages` words.
    fn migrate_pin_stock_range(src: *mut usize, start: usize, npages: usize) {
        count(abi::COUNT_CORE_RANGE);
        // SAFETY: by the safety requirement.
        let src = unsafe { sources(src, npages) };
        let owner = owner_of(Some(Pfn(start)));
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        collect_range::<Hardened, _>(&mut ops, Pfn(start), owner, src);
    }

    /// `migrate_device_unmap()` on core: the caller has locked the pages and
    /// holds a reference on each; how many migrate. May sleep.
    ///
    /// # Safety
    ///
    /// `src` points to `npages` words that name such pages.
    fn migrate_pin_stock_unmap(src: *mut usize, npages: usize) -> usize {
        count(abi::COUNT_CORE_UNMAP);
        // SAFETY: by the safety requirement.
        let src = unsafe { sources(src, npages) };
        let owner = owner_of_words(src);
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        unmap_words::<Hardened, _>(&mut ops, owner, src)
    }

    /// `migrate_device_pages()` on core. May sleep.
    ///
    /// # Safety
    ///
    /// `src` and `dst` point to `npages` words, which `migrate_pin_stock_range()` left and the driver filled in.
    fn migrate_pin_stock_device_pages(src: *mut usize, dst: *mut usize, npages: usize) {
        count(abi::COUNT_CORE_DEVICE_PAGES);
        // SAFETY: by the safety requirement.
        let (words_src, words_dst) = unsafe { (sources(src, npages), destinations(dst, npages)) };
        let owner = owner_of_words(words_src);
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        let ops = unsafe { KernelOps::new() };
        type Next<'a> = DeviceMigration<'a, KernelOps, Hardened, Unmapped>;
        match Next::from_words(ops, owner, words_src, words_dst) {
            Ok(migration) => run_pages!(migration),
            // SAFETY: as above; the slices are gone.
            Err(_) => nothing_moves(unsafe { sources(src, npages) }),
        }
    }

    /// `migrate_device_finalize()` on core. May sleep.
    ///
    /// # Safety
    ///
    /// `src` and `dst` point to `npages` words, which `migrate_pin_stock_device_pages()` left.
    fn migrate_pin_stock_device_finalize(src: *mut usize, dst: *mut usize, npages: usize) {
        count(abi::COUNT_CORE_DEVICE_FINALIZE);
        // SAFETY: by the safety requirement.
        let (src, dst) = unsafe { (sources(src, npages), destinations(dst, npages)) };
        let owner = owner_of_words(src);
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        let ops = unsafe { KernelOps::new() };
        type Last<'a> = DeviceMigration<'a, KernelOps, Hardened, Moved>;
        match Last::from_words(ops, owner, src, dst) {
            Ok(migration) => migration.finalize(),
            Err(_) => count(abi::COUNT_REFUSED),
        }
    }
}
