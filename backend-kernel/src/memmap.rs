// SPDX-License-Identifier: GPL-2.0-only
//! [`MemoryMap`]: what is read and counted in a `struct page` without a call of C.
//!
//! A migration asks some twenty things of each page, most of them one load. A function of C for each costs more than
//! the load: the call, the way from the pfn to the page and from the page to its folio. So what is one load, or one
//! atomic operation, of a page that is no part of a compound one is done here; the rest, and what is rare, stays C's.
//! Each says which inline function of the kernel it stands for.

use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use migrate_pin_core::ops::{Mapping, Owner, Zone};
use migrate_pin_core::Pfn;

use crate::abi::{
    flag, MapWords, PageWords, MAPPING_FLAGS, MAPPING_IS_ANON, MEMORY_DEVICE_COHERENT,
    MEMORY_DEVICE_PRIVATE, PAGE_TYPE_LIMIT, SUBSECTION_SHIFT,
};
use crate::glue;

/// The array of `struct page`, and what was learnt of it.
///
/// # Invariants
///
/// `glue::MEMORY_MAP` was filled in: the array is virtually contiguous and starts with the page of pfn 0
/// (`SPARSEMEM_VMEMMAP`), though not all of it is there.
#[derive(Debug)]
pub(crate) struct MemoryMap {
    /// The 2 MiB of memory map that were found to be there last, one more than the number.
    there: usize,
    /// Were they a device's?
    there_is_device: bool,
}

/// Where the array is.
#[inline(always)]
fn map() -> &'static MapWords {
    // SAFETY: C fills it in before any driver begins, and never changes it.
    unsafe { &glue::MEMORY_MAP }
}

impl MemoryMap {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        // INVARIANT: see `map()`.
        Self {
            there: 0,
            there_is_device: false,
        }
    }

    /// `pfn_to_page()`.
    ///
    /// # Safety
    ///
    /// There is a `struct page` of that pfn, which was initialised, as long as the reference is used.
    #[inline]
    pub(crate) unsafe fn page(&self, page: Pfn) -> Known<'_> {
        // SAFETY: by the safety requirement and the type invariant it is within the array; its fields are looked at as
        // atomics, as others change them at any time.
        Known(unsafe { &*map().base.wrapping_add(page.0) }, page)
    }

    /// Pages that are pinned.
    #[inline]
    pub(crate) fn nothing_is_pinned(&self) -> bool {
        // SAFETY: it is a counter of C's, changed as the atomic that it is.
        unsafe { &glue::PINNED }.load(Ordering::Relaxed) == 0
    }

    /// `pfn_to_online_page()`, or a device's. Memory is online, or a device's, 2 MiB at once, so that what was asked last is known;
    /// of a device's some at the beginning may be left without pages, so that each is asked what it is.
    #[inline]
    pub(crate) fn exists(&mut self, page: Pfn) -> bool {
        let here = (page.0 >> SUBSECTION_SHIFT).wrapping_add(1);
        if here == self.there {
            // SAFETY: a page of these 2 MiB was found to be there, and so their part of the array is, whatever stands in it.
            let device = unsafe { self.is_device(page) };
            if device == self.there_is_device {
                return true;
            }
        }
        // SAFETY: any pfn may be asked for.
        let exists = unsafe { glue::page_exists(page.0) };
        if exists {
            self.there = here;
            // SAFETY: it exists.
            self.there_is_device = unsafe { self.is_device(page) };
        }
        exists
    }

    /// `is_zone_device_page()`, and of which kind and whose.
    ///
    /// # Safety
    ///
    /// As for [`Self::page`].
    #[inline]
    pub(crate) unsafe fn zone(&self, page: Pfn) -> Zone {
        // SAFETY: by the safety requirement.
        unsafe { self.page(page) }.zone()
    }

    /// `is_zone_device_page()`.
    ///
    /// # Safety
    ///
    /// As for [`Self::page`].
    #[inline]
    pub(crate) unsafe fn is_device(&self, page: Pfn) -> bool {
        // SAFETY: by the safety requirement.
        let Known(words, _) = unsafe { self.page(page) };
        is_device_by(words.flags.load(Ordering::Relaxed))
    }
}

/// What is seen of a page at one glance, each word read once.
#[derive(Clone, Copy)]
pub(crate) struct Glance {
    pub(crate) flags: usize,
    pub(crate) zone: Zone,
    pub(crate) count: u32,
    pub(crate) mapcount: u32,
    /// What it belongs to. None of a page that is compound, or a file's: then nothing but the zone is right.
    pub(crate) mapping: Option<Mapping>,
}

impl Glance {
    pub(crate) fn private(&self) -> bool {
        self.flags & (flag::PRIVATE | flag::PRIVATE_2) != 0
    }
}

/// `is_zone_device_page()`, by its flags.
#[inline(always)]
fn is_device_by(flags: usize) -> bool {
    flags & map().zone_mask == map().zone_device
}

/// What a page that is not compound, and has these flags, belongs to, where its `mapping` tells.
#[inline]
fn mapping_of(mapping: usize, flags: usize) -> Option<Mapping> {
    if mapping == 0 {
        return Some(Mapping::None);
    }
    if mapping & MAPPING_FLAGS != MAPPING_IS_ANON {
        return None;
    }
    // `folio_test_swapcache()`.
    const CACHED: usize = flag::SWAPBACKED | flag::SWAPCACHE;
    match flags & CACHED == CACHED {
        true => Some(Mapping::SwapCache),
        false => Some(Mapping::Anon),
    }
}

/// `folio_mapcount()` of a folio that is not large, of its word: others keep the type of a page here, where there are
/// no mappings.
#[inline]
fn mapcount_of(word: i32) -> u32 {
    match word {
        kind if kind < PAGE_TYPE_LIMIT => 0,
        less => less.wrapping_add(1) as u32,
    }
}

/// A `struct page` that is there.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a>(&'a PageWords, Pfn);

impl<'a> Known<'a> {
    #[inline]
    fn test(self, bits: usize) -> bool {
        self.0.flags.load(Ordering::Relaxed) & bits != 0
    }

    #[inline]
    fn tail(self) -> bool {
        self.0.compound_head.load(Ordering::Relaxed) & 1 != 0
    }

    /// What it is a page of.
    #[inline]
    fn zone(self) -> Zone {
        self.zone_by(self.0.flags.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn zone_by(self, flags: usize) -> Zone {
        if !is_device_by(flags) {
            return Zone::System;
        }
        // Of device memory it is the `pgmap`, but of the tail of a compound page, which no device that migrates has.
        let pgmap = self.0.compound_head.load(Ordering::Relaxed);
        if pgmap & 1 != 0 {
            return Zone::DeviceOther;
        }
        let pgmap = core::ptr::with_exposed_provenance::<u8>(pgmap);
        // SAFETY: a page of device memory that is no tail names the `pgmap` that it is of, which lives as long as the page; C says where
        // these two are in it, and they never change.
        let (kind, owner) = unsafe {
            (
                pgmap.wrapping_add(map().pgmap_type).cast::<u32>().read(),
                pgmap.wrapping_add(map().pgmap_owner).cast::<usize>().read(),
            )
        };
        match kind {
            MEMORY_DEVICE_PRIVATE => Zone::DevicePrivate(Owner(owner)),
            MEMORY_DEVICE_COHERENT => Zone::DeviceCoherent(Owner(owner)),
            _ => Zone::DeviceOther,
        }
    }

    #[inline(always)]
    pub(crate) fn glance(self) -> Glance {
        let words = self.0;
        let flags = words.flags.load(Ordering::Relaxed);
        let mapping = words.mapping.load(Ordering::Relaxed);
        let simple = flags & flag::HEAD == 0 && !self.tail();
        // Before the count, as core's `PageLook::ask()` says.
        let mapcount = mapcount_of(words._mapcount.load(Ordering::Acquire));
        Glance {
            flags,
            zone: self.zone_by(flags),
            count: words._refcount.load(Ordering::Relaxed) as u32,
            mapcount,
            mapping: match simple {
                true => mapping_of(mapping, flags),
                false => None,
            },
        }
    }

    /// `PageCompound()`.
    #[inline]
    pub(crate) fn compound(self) -> bool {
        self.test(flag::HEAD) || self.tail()
    }

    /// `page_folio()`, where it is the page itself. None for a tail page, whose head is C's to find.
    #[inline]
    pub(crate) fn folio(self) -> Option<Folio<'a>> {
        match self.tail() {
            false => Some(Folio(self)),
            true => None,
        }
    }

    /// `page->mapping` and what it is, where that can be told from it: not of files and KSM.
    #[inline]
    pub(crate) fn mapping(self) -> Option<Mapping> {
        let mapping = self.0.mapping.load(Ordering::Relaxed);
        match self.compound() {
            true if mapping != 0 => None,
            _ => mapping_of(mapping, self.0.flags.load(Ordering::Relaxed)),
        }
    }

    /// `folio_test_anon() && PageAnonExclusive()` of a page that is not compound.
    #[inline]
    pub(crate) fn anon_exclusive(self) -> bool {
        self.0.mapping.load(Ordering::Relaxed) & MAPPING_IS_ANON != 0
            && self.test(flag::ANON_EXCLUSIVE)
    }
}

/// A `struct page` that is a folio's first.
#[derive(Clone, Copy)]
pub(crate) struct Folio<'a>(Known<'a>);

impl Folio<'_> {
    fn count_word(&self) -> &AtomicI32 {
        &self.0 .0._refcount
    }

    fn flags(&self) -> &AtomicUsize {
        &self.0 .0.flags
    }

    /// `folio_ref_count()`.
    #[inline]
    pub(crate) fn count(self) -> u32 {
        self.count_word().load(Ordering::Relaxed) as u32
    }

    /// `folio_mapcount()` of a folio that is not large.
    #[inline]
    pub(crate) fn mapcount(self) -> Option<u32> {
        if self.0.test(flag::HEAD) {
            return None;
        }
        Some(mapcount_of(self.0 .0._mapcount.load(Ordering::Relaxed)))
    }

    /// `folio_test_lru()`.
    #[inline]
    pub(crate) fn lru(self) -> bool {
        self.0.test(flag::LRU)
    }

    /// `folio_test_locked()`.
    #[inline]
    pub(crate) fn locked(self) -> bool {
        self.0.test(flag::LOCKED)
    }

    /// `folio_has_private()`.
    #[inline]
    pub(crate) fn has_private(self) -> bool {
        self.0.test(flag::PRIVATE | flag::PRIVATE_2)
    }

    /// `folio_trylock()`.
    #[inline]
    pub(crate) fn trylock(self) -> bool {
        self.flags().fetch_or(flag::LOCKED, Ordering::Acquire) & flag::LOCKED == 0
    }

    /// `folio_unlock()`.
    ///
    /// # Safety
    ///
    /// The caller has locked it.
    #[inline]
    pub(crate) unsafe fn unlock(self) {
        // SAFETY: by the safety requirement; a folio starts with its first page.
        unsafe { glue::folio_unlock(core::ptr::from_ref(self.0 .0).cast_mut().cast()) };
    }

    /// Set [`flag::RECLAIM`]; was it clear?
    #[inline]
    pub(crate) fn claim(self) -> bool {
        self.flags().fetch_or(flag::RECLAIM, Ordering::AcqRel) & flag::RECLAIM == 0
    }

    /// Clear [`flag::RECLAIM`].
    #[inline]
    pub(crate) fn unclaim(self) {
        self.flags().fetch_and(!flag::RECLAIM, Ordering::AcqRel);
    }

    /// `folio_get()`, `folio_ref_add()`.
    #[inline]
    pub(crate) fn get(self, count: u32) {
        self.count_word().fetch_add(count as i32, Ordering::Relaxed);
    }

    /// `folio_ref_sub()`.
    #[inline]
    pub(crate) fn sub(self, count: u32) {
        self.count_word().fetch_sub(count as i32, Ordering::Relaxed);
    }

    /// `folio_put()`.
    ///
    /// # Safety
    ///
    /// The caller has a reference, which is gone then.
    #[inline]
    pub(crate) unsafe fn put(self) {
        // A value-returning operation is a full barrier in the kernel.
        if self.count_word().fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: it was the last one.
            unsafe { glue::put_last(self.0 .1 .0) };
        }
    }
}
