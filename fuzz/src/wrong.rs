//! A device that hands out wrong pages, in the hands of core's own half of a driver ([`pin`](migrate_pin_core::pin)): whatever it
//! hands out, a call that is refused says so, and gives back what it was given.
//!
//! What is trusted it keeps to: it hands out no page that somebody else has locked, and says of no pinned page's stand-in that it
//! stands for nothing.

use crate::choices::Input;
use crate::words::told;
use migrate_pin_core::fault::{Fault, Plan};
use migrate_pin_core::ops::{NoMemory, NotifyEvent, Owner, Range};
use migrate_pin_core::pin::{self, Acquire, Invalidation};
use migrate_pin_core::policy::{Policy, PolicyKind, Shape, ShapeKind};
use migrate_pin_core::trace::{Call, Trace};
use migrate_pin_core::{
    Access, AsPosted, Device, DstPfn, Hardened, MmOps, Pfn, Revoked, SrcPfn, PAGE_SIZE, V5_11,
    V6_12,
};
use migrate_pin_sim::grammar::{Choices, PAGES, PARENT};
use migrate_pin_sim::{Cpu, Dev, DeviceId, FrameZone, Progress, Synchronisation, Vma};

/// The device, and what it does wrong.
struct Wrong<'a, 'b, 'm, S: Synchronisation> {
    dev: Dev<'m, S>,
    id: DeviceId,
    /// Another driver's.
    other: Dev<'m, S>,
    choices: &'a mut Input<'b>,
    last: Option<Pfn>,
    /// Pages that it has unlocked before it handed them out: nobody gives them back but who has allocated them.
    strays: Vec<Pfn>,
}

impl<S: Synchronisation> Wrong<'_, '_, '_, S> {
    /// A pfn of no page.
    fn beyond(&self) -> Option<Pfn> {
        let last = self.dev.cpu().machine().pfns().last()?;
        Some(Pfn(last.0 + 1))
    }

    fn unlocked(&mut self, page: Option<Pfn>) -> Option<Pfn> {
        let page = page?;
        self.dev.cpu().unlock_page(page);
        self.strays.push(page);
        Some(page)
    }

    fn is_own(&self, page: Pfn) -> bool {
        let known = self.dev.cpu().machine().page(page);
        known.is_some_and(|page| page.zone == FrameZone::Device(self.id))
    }

    /// Some page that is in use.
    fn any(&mut self) -> Option<Pfn> {
        let machine = self.dev.cpu().machine();
        let used = |page: &Pfn| machine.page(*page).is_some_and(|page| page.in_use);
        let count = machine.pfns().filter(used).count();
        let nth = self.choices.below(count);
        machine.pfns().filter(used).nth(nth)
    }
}

impl<S: Synchronisation> Device for Wrong<'_, '_, '_, S> {
    fn owner(&mut self) -> Owner {
        self.dev.owner()
    }
    fn alloc_device_page(&mut self) -> Option<Pfn> {
        let page = match self.choices.below(12) {
            0 => None,
            1 => self.last,
            2 => self.beyond(),
            3 => {
                let page = self.dev.alloc_device_page();
                self.unlocked(page)
            }
            4 => self.other.alloc_device_page(),
            _ => self.dev.alloc_device_page(),
        };
        self.last = page;
        page
    }
    fn copy_to_system(&mut self, device: Pfn) -> Option<Pfn> {
        match self.choices.below(8) {
            0 => None,
            1 => self.beyond(),
            2 => {
                let page = self.dev.copy_to_system(device);
                self.unlocked(page)
            }
            3 => self.other.alloc_device_page(),
            _ => self.dev.copy_to_system(device),
        }
    }
    fn remember(&mut self, device: Pfn, original: Pfn) {
        if self.is_own(device) && self.dev.original(device).is_none() {
            self.dev.remember(device, original);
        }
    }
    fn original(&mut self, device: Pfn) -> Option<Pfn> {
        match (self.dev.original(device), self.choices.below(8)) {
            (_, 0) => self.any(),
            (right, _) => right,
        }
    }
    fn forget(&mut self, device: Pfn) {
        if self.is_own(device) && self.dev.original(device).is_some() {
            self.dev.forget(device);
        }
    }
    fn read_begin(&mut self) -> u64 {
        self.dev.read_begin()
    }
    fn read_retry(&mut self, seq: u64) -> bool {
        // It may have been invalidated at any time.
        self.dev.read_retry(seq) || self.choices.chance(20)
    }
    fn set_seq(&mut self, seq: u64) {
        self.dev.set_seq(seq);
    }
    fn lock(&mut self) {
        self.dev.lock();
    }
    fn unlock(&mut self) {
        self.dev.unlock();
    }
    fn map(&mut self, addr: usize, page: Pfn, access: Access) -> Result<(), NoMemory> {
        self.dev.map(addr, page, access)
    }
    fn unmap_page(&mut self, page: Pfn) -> Option<Revoked> {
        self.dev.unmap_page(page)
    }
    fn unmap_next(&mut self, range: Range) -> Option<Revoked> {
        self.dev.unmap_next(range)
    }
}

/// One call of core's half of a driver for such a device, some of whose calls fail.
///
/// # Errors
/// What is not as it must be.
pub fn act<S: Synchronisation>(
    cpu: Cpu<'_, S>,
    id: DeviceId,
    choices: &mut Input<'_>,
    story: &mut Vec<String>,
) -> Result<(), String> {
    if cpu.mmap_read(PARENT) != Progress::Done(()) {
        return Ok(());
    }
    let at = choices.below(PAGES);
    let result = match cpu.find_vma(PARENT, at) {
        None => Ok(()),
        Some(vma) => match (cpu.machine().policy(), cpu.machine().shape()) {
            (PolicyKind::Hardened, ShapeKind::V5_11) => {
                call::<Hardened, V5_11, S>(cpu, id, (vma, at), choices, story)
            }
            (PolicyKind::Hardened, ShapeKind::V6_12) => {
                call::<Hardened, V6_12, S>(cpu, id, (vma, at), choices, story)
            }
            (PolicyKind::AsPosted, ShapeKind::V5_11) => {
                call::<AsPosted, V5_11, S>(cpu, id, (vma, at), choices, story)
            }
            (PolicyKind::AsPosted, ShapeKind::V6_12) => {
                call::<AsPosted, V6_12, S>(cpu, id, (vma, at), choices, story)
            }
        },
    };
    cpu.mmap_read_unlock(PARENT);
    result
}

fn call<P: Policy, Sh: Shape, S: Synchronisation>(
    cpu: Cpu<'_, S>,
    id: DeviceId,
    (vma, at): (Vma, usize),
    choices: &mut Input<'_>,
    story: &mut Vec<String>,
) -> Result<(), String> {
    let mut end = at + 1;
    while end < PAGES && end < at + 4 && cpu.find_vma(PARENT, end) == Some(vma) {
        end += 1;
    }
    let range = Range {
        start: at * PAGE_SIZE,
        end: end * PAGE_SIZE,
    };
    let access = [Access::Read, Access::Write][choices.below(2)];
    let what = choices.below(6);
    // Which of core's calls fail: none, one or two; and which of the device's.
    let first = choices.below(12) as u32;
    let plan = Plan::pair(first, first + choices.below(4) as u32);
    let of_device = Plan::nth(choices.below(12) as u32);
    let mut wrong = Wrong {
        dev: cpu.device(id, PARENT),
        id,
        other: cpu.device(DeviceId(1 - id.0 % 2), PARENT),
        choices,
        last: None,
        strays: Vec::new(),
    };
    let free =
        |cpu: Cpu<'_, S>| [0, 1].map(|device| cpu.machine().free_device_pages(DeviceId(device)));
    let before = free(cpu);
    let (mut fallible, mut last) = (0, "");
    let mut ops = Trace::new(Fault::new(cpu, &plan), |call: &Call<Vma>| {
        fallible += u32::from(call.primitive().fallible());
        last = call.primitive().name();
    });
    // A driver has its device at hand, and lends it.
    let mut lent = Fault::new(&mut wrong, &of_device);
    let mut device = &mut lent;
    let mut refused = None;
    match what {
        0..=2 => {
            let (mut src, mut dst) = (vec![SrcPfn::NONE; end - at], vec![DstPfn::NONE; end - at]);
            let request = Acquire {
                vma,
                range,
                access,
                src: &mut src,
                dst: &mut dst,
            };
            refused = pin::acquire::<P, Sh, _, _>(&mut ops, &mut device, request).err();
        }
        3 => {
            let error = pin::revoke::<P, Sh, _, _>(&mut ops, &mut device, vma, range).err();
            if let Some(error) = error {
                told(error)?;
            }
        }
        4 => {
            // Perhaps of another area.
            let addr = device.inner().choices.below(PAGES) * PAGE_SIZE;
            let _ = pin::grant::<P, Sh, _, _>(&mut ops, &mut device, vma, addr, access);
        }
        _ => {
            let invalidation = Invalidation {
                range,
                event: NotifyEvent::Clear,
                owner: None,
                seq: device.read_begin(),
            };
            pin::invalidate(&mut ops, &mut device, invalidation);
        }
    }
    let (mut cpu, wrong) = (ops.into_inner().into_inner(), lent.into_inner());
    story.push(format!(
        "a wrong device: call {what} of {at}..{end}, refused: {refused:?}, {} calls failed, the last was {last}",
        plan.fired() + of_device.fired()
    ));
    for page in std::mem::take(&mut wrong.strays) {
        if wrong.is_own(page) {
            wrong.forget(page);
        }
        cpu.put_page(page);
    }
    if fallible != plan.calls() {
        return Err(format!(
            "PLAN: {fallible} fallible calls were made, and {} counted",
            plan.calls()
        ));
    }
    let Some(error) = refused else {
        return Ok(());
    };
    let (error, after) = (told(error)?, free(cpu));
    match after == before {
        true => Ok(()),
        false => Err(format!(
            "UNCHANGED: acquire was refused: {error}, and yet {after:?} device pages are free, not {before:?}"
        )),
    }
}
