// SPDX-License-Identifier: GPL-2.0-only
//! The calls for drivers in C, beside the kernel's own: `migrate_pin_vma_*`, and the driver's half of a pin.
//!
//! Errnos: `-EINVAL` for an area, a range, an array or a word that is wrong, and for a call out of turn;
//! `-EPERM` for a destination that is another's, `-EBUSY` for one that is in use, `-ESTALE` if words that are
//! not the driver's were changed between two calls. Nothing was taken or changed then.

use core::ffi::c_int;

use migrate_pin_core::error::EINVAL;
use migrate_pin_core::migration::{RawMigration, RawStage};
use migrate_pin_core::pin::{self, Acquire, Acquired, Fault, Grant, Invalidation};
use migrate_pin_core::{
    setup, Access, Device, DstPfn, Error, Hardened, Migration, Moved, NoMemory, NotifyEvent, Owner,
    Pfn, Range, Request, Revoked, Select, SrcPfn, Unmapped, PAGE_SIZE, V6_12,
};

use crate::abi::{self, notify, AcquireArgs, DeviceHandle, MigratePinVma, RevokedWords, VmArea};
use crate::export::export;
use crate::ops::{KernelOps, Vma};
use crate::stock::{destinations, sources};

/// A device that a driver in C describes.
///
/// # Invariants
///
/// `handle` points to a handle whose callbacks do what `migrate_pin_core::Device` says of the method of the
/// same name, as long as this value lives.
struct CDevice {
    handle: *mut DeviceHandle,
}

impl CDevice {
    /// # Safety
    ///
    /// `handle` is what the invariants say.
    unsafe fn new(handle: *mut DeviceHandle) -> Self {
        // INVARIANT: by the safety requirement.
        Self { handle }
    }
}

/// Call back into the driver.
macro_rules! device {
    ($self:ident.$name:ident($($arg:expr),*)) => {{
        let handle = $self.handle;
        // SAFETY: by the type invariants the handle and its table are alive, and the callback may be called
        // as `migrate_pin_core` calls the method.
        unsafe { ((*(*handle).ops).$name)(handle $(, $arg)*) }
    }};
}

fn pfn(word: usize) -> Option<Pfn> {
    match word {
        0 => None,
        pfn => Some(Pfn(pfn)),
    }
}

fn revoked(words: RevokedWords) -> Option<Revoked> {
    pfn(words.page).map(|page| Revoked {
        page,
        dirty: words.dirty != 0,
    })
}

impl Device for CDevice {
    fn owner(&mut self) -> Owner {
        // SAFETY: by the type invariants.
        Owner(unsafe { (*self.handle).owner })
    }
    fn alloc_device_page(&mut self) -> Option<Pfn> {
        pfn(device!(self.alloc_device_page()))
    }
    fn copy_to_system(&mut self, device: Pfn) -> Option<Pfn> {
        pfn(device!(self.copy_to_system(device.0)))
    }
    fn remember(&mut self, device: Pfn, original: Pfn) {
        device!(self.remember(device.0, original.0));
    }
    fn original(&mut self, device: Pfn) -> Option<Pfn> {
        pfn(device!(self.original(device.0)))
    }
    fn forget(&mut self, device: Pfn) {
        device!(self.forget(device.0));
    }
    fn read_begin(&mut self) -> u64 {
        device!(self.read_begin()) as u64
    }
    fn read_retry(&mut self, seq: u64) -> bool {
        device!(self.read_retry(seq as usize))
    }
    fn set_seq(&mut self, seq: u64) {
        device!(self.set_seq(seq as usize));
    }
    fn lock(&mut self) {
        device!(self.lock());
    }
    fn unlock(&mut self) {
        device!(self.unlock());
    }
    fn map(&mut self, addr: usize, page: Pfn, access: Access) -> Result<(), NoMemory> {
        match device!(self.map(addr, page.0, access == Access::Write)) {
            true => Ok(()),
            false => Err(NoMemory),
        }
    }
    fn unmap_page(&mut self, page: Pfn) -> Option<Revoked> {
        revoked(device!(self.unmap_page(page.0)))
    }
    fn unmap_next(&mut self, range: Range) -> Option<Revoked> {
        revoked(device!(self.unmap_next(range.start, range.end)))
    }
}

const fn access(write: usize) -> Access {
    match write {
        0 => Access::Read,
        _ => Access::Write,
    }
}

pub(crate) const fn event_of(number: u32) -> NotifyEvent {
    match number {
        notify::MIGRATE => NotifyEvent::Migrate,
        notify::UNMAP => NotifyEvent::Unmap,
        notify::PROTECTION_VMA => NotifyEvent::ProtectionVma,
        notify::PROTECTION_PAGE => NotifyEvent::ProtectionPage,
        // Whatever else it is, the range is taken away.
        _ => NotifyEvent::Clear,
    }
}

/// The migration as it was left in the driver's structure.
///
/// # Safety
///
/// As for [`migrate_pin_vma_setup`].
unsafe fn carried(args: &MigratePinVma) -> Result<RawMigration<Vma>, c_int> {
    if args.src.is_null() || args.dst.is_null() {
        return Err(-EINVAL);
    }
    // SAFETY: by the safety requirement.
    let vma = unsafe { Vma::new(args.vma) }.ok_or(-EINVAL)?;
    Ok(RawMigration {
        vma,
        start: args.start,
        end: args.end,
        owner: args.owner,
        fault_page: args.fault_page,
        cpages: args.cpages,
        select: args.select,
        stage: args.stage,
        rules: args.rules,
        checksum: args.checksum,
    })
}

fn leave(args: &mut MigratePinVma, raw: &RawMigration<Vma>) {
    args.cpages = raw.cpages;
    args.stage = raw.stage;
    args.rules = raw.rules;
    args.checksum = raw.checksum;
}

fn errno(error: Error) -> c_int {
    -error.errno()
}

type At<'a, St> = Migration<'a, KernelOps, Hardened, V6_12, St>;

export! { API:
    /// Collect and unmap the pages of a range, and pin those whose source word
    /// is MIGRATE_PFN_PIN. A source word is that or 0; what stands in dst is of
    /// no meaning. On return words with MIGRATE are locked and unmapped.
    ///
    /// mmap_lock is held for reading, until migrate_pin_vma_finalize(). May
    /// sleep. 0, or -EINVAL: nothing was changed.
    ///
    /// # Safety
    ///
    /// `args` points to a structure of the caller's; its area is alive and `mmap_lock` is held; `src` and `dst`
    /// point to `npages` words, or are null; the caller holds a reference on `fault_page`, if it is not 0.
    fn migrate_pin_vma_setup(args: *mut MigratePinVma) -> c_int {
        // SAFETY: by the safety requirement.
        let args = unsafe { &mut *args };
        // SAFETY: by the safety requirement.
        let vma = match unsafe { Vma::new(args.vma) } {
            Some(vma) if !args.src.is_null() && !args.dst.is_null() => vma,
            _ => return -EINVAL,
        };
        args.stage = RawStage::Done as u32;
        // SAFETY: by the safety requirement.
        let (src, dst) =
            unsafe { (sources(args.src, args.npages), destinations(args.dst, args.npages)) };
        let request = Request {
            vma,
            range: Range {
                start: args.start,
                end: args.end,
            },
            src,
            dst,
            owner: Owner(args.owner),
            select: Select::from_bits_truncate(args.select),
            fault_page: pfn(args.fault_page),
        };
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        match setup::<Hardened, V6_12, _>(unsafe { KernelOps::new() }, request) {
            Ok(migration) => {
                let raw = migration.into_raw();
                leave(args, &raw);
                0
            }
            Err(error) => errno(error),
        }
    }

    /// Hand over to the destinations: each a page that the driver has locked and
    /// holds a reference on, or with MIGRATE_PFN_UNPIN the original of a pin. Entries
    /// that could not be handed over lose MIGRATE.
    ///
    /// mmap_lock is held for reading. May sleep. 0; -EINVAL, -EPERM or -EBUSY for
    /// a destination that can't be one, -ESTALE if other words were changed:
    /// mend the words and call again, or call migrate_pin_vma_finalize(), which
    /// puts everything back; the destinations are the driver's still.
    ///
    /// # Safety
    ///
    /// `args` is what `migrate_pin_vma_setup()` left, with destinations filled in, under the same lock.
    fn migrate_pin_vma_pages(args: *mut MigratePinVma) -> c_int {
        // SAFETY: by the safety requirement.
        let args = unsafe { &mut *args };
        // SAFETY: by the safety requirement.
        let mut raw = match unsafe { carried(args) } {
            Ok(raw) => raw,
            Err(error) => return error,
        };
        // SAFETY: by the safety requirement.
        let (src, dst) =
            unsafe { (sources(args.src, args.npages), destinations(args.dst, args.npages)) };
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        let ops = unsafe { KernelOps::new() };
        let (raw, result) = match At::<Unmapped>::from_raw(ops, &mut raw, src, dst) {
            Err(error) => return errno(error),
            Ok(migration) => match migration.pages() {
                Ok(moved) => (moved.into_raw(), 0),
                Err(refused) => (refused.migration.into_raw(), errno(refused.error)),
            },
        };
        leave(args, &raw);
        result
    }

    /// Map the destinations, or the sources where nothing moved, and give back
    /// every lock and reference. Instead of migrate_pin_vma_pages() it puts
    /// everything back.
    ///
    /// mmap_lock is held for reading. May sleep. 0, -EINVAL out of turn, -ESTALE
    /// if words were changed: nothing was done then.
    ///
    /// # Safety
    ///
    /// `args` is what one of the calls before left, under the same lock.
    fn migrate_pin_vma_finalize(args: *mut MigratePinVma) -> c_int {
        // SAFETY: by the safety requirement.
        let args = unsafe { &mut *args };
        // SAFETY: by the safety requirement.
        let mut raw = match unsafe { carried(args) } {
            Ok(raw) => raw,
            Err(error) => return error,
        };
        // SAFETY: by the safety requirement.
        let (src, dst) =
            unsafe { (sources(args.src, args.npages), destinations(args.dst, args.npages)) };
        // SAFETY: it goes to a stage of `core`, which may sleep as this call may.
        let ops = unsafe { KernelOps::new() };
        let result = if raw.stage == RawStage::Unmapped as u32 {
            At::<Unmapped>::from_raw(ops, &mut raw, src, dst).map(drop)
        } else {
            At::<Moved>::from_raw(ops, &mut raw, src, dst).map(Migration::finalize)
        };
        leave(args, &raw);
        result.map_or_else(errno, |()| 0)
    }

    /// Unmap and pin the pages of a range and map them for the device; those
    /// that can't be had (not present, in use for DMA, of a file, ...) are left.
    ///
    /// mmap_lock is held for reading, no other lock. May sleep. 0, with granted
    /// and left filled in, or the errno of migrate_pin_vma_setup() or _pages().
    ///
    /// # Safety
    ///
    /// `handle` is a device's whose callbacks are as documented; `args` points to a structure of the caller's,
    /// its area is alive and `mmap_lock` is held, `src` and `dst` point to `npages` words.
    fn migrate_pin_acquire(handle: *mut DeviceHandle, args: *mut AcquireArgs) -> c_int {
        // SAFETY: by the safety requirement.
        let (args, mut device) = unsafe { (&mut *args, CDevice::new(handle)) };
        // SAFETY: by the safety requirement.
        let vma = match unsafe { Vma::new(args.vma) } {
            Some(vma) if !args.src.is_null() && !args.dst.is_null() => vma,
            _ => return -EINVAL,
        };
        // SAFETY: by the safety requirement.
        let (src, dst) =
            unsafe { (sources(args.src, args.npages), destinations(args.dst, args.npages)) };
        // SAFETY: it goes to `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        let request = Acquire {
            vma,
            range: Range {
                start: args.start,
                end: args.end,
            },
            access: access(args.write),
            src,
            dst,
        };
        let done = pin::acquire::<Hardened, V6_12, _, _>(&mut ops, &mut device, request);
        let Acquired { granted, left } = match done {
            Ok(acquired) => acquired,
            Err(error) => return errno(error),
        };
        (args.granted, args.left) = (granted, left);
        0
    }

    /// Map a page again that is pinned for the device, after an invalidation
    /// that left it pinned. One of MIGRATE_PIN_GRANT_*.
    ///
    /// mmap_lock is held for reading, no other lock. May sleep.
    ///
    /// # Safety
    ///
    /// As for `migrate_pin_acquire()`.
    fn migrate_pin_grant(
        handle: *mut DeviceHandle,
        vma: *mut VmArea,
        addr: usize,
        write: usize
    ) -> usize {
        // SAFETY: by the safety requirement.
        let (vma, mut device) = unsafe { (Vma::new(vma), CDevice::new(handle)) };
        let Some(vma) = vma else {
            return abi::GRANT_NOT_PINNED;
        };
        // SAFETY: it goes to `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        let access = access(write);
        match pin::grant::<Hardened, V6_12, _, _>(&mut ops, &mut device, vma, addr, access) {
            Grant::Granted => abi::GRANT_DONE,
            Grant::NotPinned => abi::GRANT_NOT_PINNED,
            Grant::Retry => abi::GRANT_RETRY,
            Grant::NoMemory => abi::GRANT_NO_MEMORY,
        }
    }

    /// For migrate_to_ram: take the page at addr away from the device and give
    /// it back to the CPU. One of MIGRATE_PIN_FAULT_*, or a negative errno
    /// (the driver answers VM_FAULT_SIGBUS).
    ///
    /// mmap_lock is held for reading, and a reference on page, whose pfn is
    /// given. May sleep.
    ///
    /// # Safety
    ///
    /// As for `migrate_pin_acquire()`; the caller holds a reference on the page.
    fn migrate_pin_fault(
        handle: *mut DeviceHandle,
        vma: *mut VmArea,
        addr: usize,
        page: usize
    ) -> c_int {
        // SAFETY: by the safety requirement.
        let (vma, mut device) = unsafe { (Vma::new(vma), CDevice::new(handle)) };
        let Some(vma) = vma else {
            return -EINVAL;
        };
        // SAFETY: it goes to `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        let done =
            pin::fault::<Hardened, V6_12, _, _>(&mut ops, &mut device, vma, addr, Pfn(page));
        match done {
            Ok(Fault::Done) => abi::FAULT_DONE as c_int,
            Ok(Fault::Gone) => abi::FAULT_GONE as c_int,
            Ok(Fault::Retry) => abi::FAULT_RETRY as c_int,
            Ok(Fault::NoMemory) => abi::FAULT_NO_MEMORY as c_int,
            Err(error) => errno(error),
        }
    }

    /// Give the pages of a range that are pinned for the device back to the CPU.
    /// The number of pages that could not be given back (try those again), or a
    /// negative errno.
    ///
    /// mmap_lock is held for reading, no other lock. May sleep.
    ///
    /// # Safety
    ///
    /// As for `migrate_pin_acquire()`.
    fn migrate_pin_revoke(
        handle: *mut DeviceHandle,
        vma: *mut VmArea,
        start: usize,
        end: usize
    ) -> c_int {
        // SAFETY: by the safety requirement.
        let (vma, mut device) = unsafe { (Vma::new(vma), CDevice::new(handle)) };
        let Some(vma) = vma else {
            return -EINVAL;
        };
        if (start | end) & (PAGE_SIZE - 1) != 0 {
            return -EINVAL;
        }
        // SAFETY: it goes to `core`, which may sleep as this call may.
        let mut ops = unsafe { KernelOps::new() };
        let range = Range { start, end };
        match pin::revoke::<Hardened, V6_12, _, _>(&mut ops, &mut device, vma, range) {
            Ok(busy) => busy as c_int,
            Err(error) => errno(error),
        }
    }

    /// The interval notifier's callback: the device has lost the range when
    /// this returns, unless it is the driver's own migration. The number of
    /// device mappings that went. Does not sleep.
    ///
    /// # Safety
    ///
    /// `handle` is a device's; called from the callback of its interval notifier, with what that was told.
    fn migrate_pin_invalidate(
        handle: *mut DeviceHandle,
        start: usize,
        end: usize,
        event: u32,
        owner: usize,
        seq: usize
    ) -> usize {
        // SAFETY: by the safety requirement.
        let mut device = unsafe { CDevice::new(handle) };
        // SAFETY: it goes to `core`, which does not sleep here.
        let mut ops = unsafe { KernelOps::new() };
        let invalidation = Invalidation {
            range: Range { start, end },
            event: event_of(event),
            owner: match owner {
                0 => None,
                owner => Some(Owner(owner)),
            },
            seq: seq as u64,
        };
        pin::invalidate(&mut ops, &mut device, invalidation)
    }

    /// For page_free of a device page: give the original back, if it stands for
    /// one. True if it did. Does not sleep.
    ///
    /// # Safety
    ///
    /// `handle` is the device's whose page is being freed.
    fn migrate_pin_release(handle: *mut DeviceHandle, page: usize) -> bool {
        // SAFETY: by the safety requirement.
        let mut device = unsafe { CDevice::new(handle) };
        // SAFETY: it goes to `core`, which does not sleep here.
        let mut ops = unsafe { KernelOps::new() };
        pin::release::<Hardened, V6_12, _, _>(&mut ops, &mut device, Pfn(page))
    }
}

// What the words of a C driver are made into has their layout.
const _: () = assert!(size_of::<SrcPfn>() == size_of::<usize>());
const _: () = assert!(size_of::<DstPfn>() == size_of::<usize>());

use core::mem::size_of;
