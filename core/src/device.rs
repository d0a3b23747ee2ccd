//! [`Device`]: what the driver's half in [`pin`](crate::pin) asks of a device.
//!
//! A value is a driver's handle for one address space: its mirror, with an interval notifier on it
//! (`mmu_interval_notifier`), and the device's memory. Like [`MmOps`](crate::MmOps) it has the grain of single operations.

use crate::ops::{NoMemory, Owner, Range};
use crate::pfn::Pfn;

/// What the device may do with a page it has mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Atomic reads.
    Read,
    /// Atomic reads and writes. Only where the CPU mapping is writable too.
    Write,
}

/// What a device mapping had been used for when it was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revoked {
    /// The page that was mapped.
    pub page: Pfn,
    /// The device wrote to it since it was mapped.
    pub dirty: bool,
}

/// The device operations of one driver for one address space.
pub trait Device {
    /// The token by which the kernel knows this driver's memory (`pgmap->owner`).
    fn owner(&mut self) -> Owner;

    /// Take a free device-private page: locked, with one reference for the caller
    /// (`zone_device_page_init()` or what stood for it). None if there is none left. Fallible.
    fn alloc_device_page(&mut self) -> Option<Pfn>;

    /// For a device page that stands for no pin: a locked system page, with one reference for the
    /// caller, that holds a copy of the device page's contents. The device no longer writes it.
    /// None if there is no memory. Fallible; may sleep.
    fn copy_to_system(&mut self, device: Pfn) -> Option<Pfn>;

    /// Keep in mind that `device` stands for `original` (`page->zone_device_data`).
    fn remember(&mut self, device: Pfn, original: Pfn);

    /// Which page `device` stands for. *atomic*.
    fn original(&mut self, device: Pfn) -> Option<Pfn>;

    /// Forget the pair of `device`. *atomic*.
    fn forget(&mut self, device: Pfn);

    /// `mmu_interval_read_begin()`: a sequence number for [`Device::read_retry`]; waits while an
    /// invalidation is under way. May sleep.
    fn read_begin(&mut self) -> u64;

    /// `mmu_interval_read_retry()`: was the range invalidated since? Under [`Device::lock`].
    fn read_retry(&mut self, seq: u64) -> bool;

    /// `mmu_interval_set_seq()`, first thing in the notifier's callback, under [`Device::lock`].
    fn set_seq(&mut self, seq: u64);

    /// Take the lock of the device's page table, a spin lock. The notifier's callback takes it too.
    fn lock(&mut self);

    /// Drop the lock of the device's page table.
    fn unlock(&mut self);

    /// Map `page` at `addr` for atomic access, under [`Device::lock`]. Where it is mapped already, only the
    /// access is widened.
    ///
    /// # Errors
    /// [`NoMemory`] if the device's page table can't grow. Fallible.
    fn map(&mut self, addr: usize, page: Pfn, access: Access) -> Result<(), NoMemory>;

    /// Take away whatever device mapping there is of `page`, and wait until the device has let go of it.
    /// None if there is none. Under [`Device::lock`].
    fn unmap_page(&mut self, page: Pfn) -> Option<Revoked>;

    /// Take away one device mapping in `range`, and wait until the device has let go of it. None if
    /// there is none left. Under [`Device::lock`].
    fn unmap_next(&mut self, range: Range) -> Option<Revoked>;
}

impl<D: Device> Device for &mut D {
    fn owner(&mut self) -> Owner {
        (**self).owner()
    }
    fn alloc_device_page(&mut self) -> Option<Pfn> {
        (**self).alloc_device_page()
    }
    fn copy_to_system(&mut self, device: Pfn) -> Option<Pfn> {
        (**self).copy_to_system(device)
    }
    fn remember(&mut self, device: Pfn, original: Pfn) {
        (**self).remember(device, original);
    }
    fn original(&mut self, device: Pfn) -> Option<Pfn> {
        (**self).original(device)
    }
    fn forget(&mut self, device: Pfn) {
        (**self).forget(device);
    }
    fn read_begin(&mut self) -> u64 {
        (**self).read_begin()
    }
    fn read_retry(&mut self, seq: u64) -> bool {
        (**self).read_retry(seq)
    }
    fn set_seq(&mut self, seq: u64) {
        (**self).set_seq(seq);
    }
    fn lock(&mut self) {
        (**self).lock();
    }
    fn unlock(&mut self) {
        (**self).unlock();
    }
    fn map(&mut self, addr: usize, page: Pfn, access: Access) -> Result<(), NoMemory> {
        (**self).map(addr, page, access)
    }
    fn unmap_page(&mut self, page: Pfn) -> Option<Revoked> {
        (**self).unmap_page(page)
    }
    fn unmap_next(&mut self, range: Range) -> Option<Revoked> {
        (**self).unmap_next(range)
    }
}
