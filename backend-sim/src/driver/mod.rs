//! Drivers: what a device's driver does when it wants pages, when a CPU faults, when its page is freed and when the
//! notifier calls. There are two ([`DriverKind`]), and the machine calls the one that a device has.

pub mod careful;
pub mod posted;
pub mod session;

use crate::bug::Bug;
use crate::config::{DeviceId, DriverKind, MmId};
use crate::cpu::{addr_of, Cpu, Progress};
use crate::device::Dev;
use crate::event::Event;
use crate::frame::FrameZone;
use crate::mm::Vma;
use crate::paths::fault::Faulted;
use crate::sync::Synchronisation;
use migrate_pin_core::fault::Fault;
use migrate_pin_core::ops::{NotifyEvent, Owner, Range};
use migrate_pin_core::pin::Invalidation;
use migrate_pin_core::Pfn;

/// Run an expression with core's policy and shape parameters as the machine is configured.
macro_rules! with_rules {
    ($machine:expr, |$policy:ident, $shape:ident| $body:expr) => {{
        use migrate_pin_core::policy::{PolicyKind, ShapeKind};
        match ($machine.policy, $machine.shape) {
            (PolicyKind::AsPosted, ShapeKind::V5_11) => {
                type $policy = migrate_pin_core::AsPosted;
                type $shape = migrate_pin_core::V5_11;
                $body
            }
            (PolicyKind::AsPosted, ShapeKind::V6_12) => {
                type $policy = migrate_pin_core::AsPosted;
                type $shape = migrate_pin_core::V6_12;
                $body
            }
            (PolicyKind::Hardened, ShapeKind::V5_11) => {
                type $policy = migrate_pin_core::Hardened;
                type $shape = migrate_pin_core::V5_11;
                $body
            }
            (PolicyKind::Hardened, ShapeKind::V6_12) => {
                type $policy = migrate_pin_core::Hardened;
                type $shape = migrate_pin_core::V6_12;
                $body
            }
        }
    }};
}
pub(crate) use with_rules;

impl<'m, S: Synchronisation> Cpu<'m, S> {
    fn driver_of(&self, device: DeviceId) -> DriverKind {
        self.m
            .devices
            .get(usize::from(device.0))
            .map_or(DriverKind::Careful, |device| device.driver)
    }

    /// The callback of an interval notifier.
    pub(crate) fn driver_invalidate(
        &self,
        mirror: usize,
        first: usize,
        until: usize,
        event: NotifyEvent,
        owner: Option<Owner>,
        seq: u32,
    ) {
        let Some(mirror) = self.m.mirrors.get(mirror) else {
            return;
        };
        let dev = self.device(mirror.device, mirror.mm);
        let invalidation = Invalidation {
            range: Range {
                start: addr_of(first),
                end: addr_of(until),
            },
            event,
            owner,
            seq: seq.into(),
        };
        match self.driver_of(mirror.device) {
            DriverKind::Careful => careful::invalidate(dev, invalidation),
            DriverKind::Posted => posted::invalidate(dev, invalidation),
        }
    }

    /// `migrate_to_ram`: `mmap_lock` is held for reading.
    pub(crate) fn driver_fault(&self, vma: Vma, vpn: usize, page: Pfn) -> Progress<Faulted> {
        if self.m.bug(Bug::FaultWithoutProgress) {
            return Progress::Done(Faulted::Again);
        }
        let Some(FrameZone::Device(device)) = self.m.frame(page).map(|frame| frame.zone) else {
            return Progress::Done(Faulted::Sigbus);
        };
        let dev = self.device(device, vma.mm);
        match self.driver_of(device) {
            DriverKind::Careful => careful::fault(dev, vma, vpn, page),
            DriverKind::Posted => posted::fault(dev, vma, vpn, page),
        }
    }

    /// `page_free`: may run under a PTL.
    pub(crate) fn driver_page_free(&self, device: DeviceId, page: Pfn) {
        let mirrored = self.m.mirrors.iter().find(|mirror| mirror.device == device);
        let mut dev = self.device(device, mirrored.map_or(MmId(0), |mirror| mirror.mm));
        if migrate_pin_core::Device::original(&mut dev, page).is_some() {
            self.event(Event::PageFreeWithPair);
        }
        if self.m.bug(Bug::ReleaseKeepsPin) {
            migrate_pin_core::Device::forget(&mut dev, page);
            return;
        }
        match self.driver_of(device) {
            DriverKind::Careful => careful::page_free(dev, page),
            DriverKind::Posted => posted::page_free(dev, page),
        }
    }
}

impl<'m, S: Synchronisation> Cpu<'m, S> {
    /// This handle as core is given it: fallible primitives fail as [`Machine::fault_plan`] says.
    ///
    /// [`Machine::fault_plan`]: crate::Machine::fault_plan
    pub(crate) fn ops(&self) -> Fault<'m, Self> {
        Fault::new(*self, self.m.fault_plan())
    }
}

impl<'m, S: Synchronisation> Dev<'m, S> {
    /// This handle as core is given it; see [`Cpu::ops`].
    pub(crate) fn ops(&self) -> Fault<'m, Self> {
        Fault::new(*self, self.cpu.m.fault_plan())
    }

    /// The driver of this device acquires pages for exclusive access.
    pub fn acquire(
        &self,
        range: Range,
        access: migrate_pin_core::Access,
    ) -> Progress<AcquireResult> {
        match self.cpu.driver_of(self.device) {
            DriverKind::Careful => careful::acquire(*self, range, access),
            DriverKind::Posted => posted::acquire(*self, range, access),
        }
    }
}

/// What came of an acquire.
pub type AcquireResult = Result<migrate_pin_core::pin::Acquired, migrate_pin_core::Error>;
