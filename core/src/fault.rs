//! [`Fault`]: an [`MmOps`] (and [`Device`]) around another in which chosen calls of fallible primitives
//! fail.
//!
//! A [`Plan`] names them by number, counting every fallible call that is made through it. A call that is
//! made to fail is not passed on: the machine is as if the kernel had refused.
//!
//! ```
//! use migrate_pin_core::fault::Plan;
//! let plan = Plan::nth(3);
//! assert_eq!((plan.calls(), plan.fired()), (0, 0));
//! ```

use core::sync::atomic::{AtomicU32, Ordering};

use crate::device::{Access, Device, Revoked};
use crate::for_each_primitive;
use crate::ops::{
    HugePmd, Mapping, MmOps, NoMemory, NotifyEvent, Owner, PinRecord, PmdSpan, Pte, Range,
    VmaFacts, Zone,
};
use crate::pfn::Pfn;

/// Which fallible calls fail, and how many were made. Shared by all that count together.
#[derive(Debug)]
pub struct Plan {
    targets: [AtomicU32; 3],
    calls: AtomicU32,
    fired: AtomicU32,
}

impl Plan {
    /// No call fails; they are only counted.
    #[must_use]
    pub const fn none() -> Self {
        Self::pair(0, 0)
    }

    /// The `n`th fallible call fails, counted from 1.
    #[must_use]
    pub const fn nth(n: u32) -> Self {
        Self::pair(n, 0)
    }

    /// Two calls fail, counted from 1; 0 for none.
    #[must_use]
    pub const fn pair(first: u32, second: u32) -> Self {
        Self {
            targets: [
                AtomicU32::new(first),
                AtomicU32::new(second),
                AtomicU32::new(0),
            ],
            calls: AtomicU32::new(0),
            fired: AtomicU32::new(0),
        }
    }

    /// Start over: count from 0 again, and let these two calls fail; 0 for none.
    pub fn arm(&self, first: u32, second: u32) {
        self.arm_three([first, second, 0]);
    }

    /// As [`Plan::arm`], with a third call, so that what lets one fail itself can be run with any two more.
    pub fn arm_three(&self, calls: [u32; 3]) {
        for (target, nth) in self.targets.iter().zip(calls) {
            target.store(nth, Ordering::Relaxed);
        }
        self.calls.store(0, Ordering::Relaxed);
        self.fired.store(0, Ordering::Relaxed);
    }

    /// Go on from where `other` stands.
    pub fn restore(&self, other: &Self) {
        for (target, from) in self.targets.iter().zip(&other.targets) {
            target.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.calls.store(other.calls(), Ordering::Relaxed);
        self.fired.store(other.fired(), Ordering::Relaxed);
    }

    /// In which bits it differs from where `other` stands: in what is to fail, and in what has. 0 if in none.
    #[must_use]
    pub fn difference(&self, other: &Self) -> u32 {
        let targets = self.targets.iter().zip(&other.targets);
        let wanted = targets.fold(0, |bits, (ours, theirs)| {
            bits | (ours.load(Ordering::Relaxed) ^ theirs.load(Ordering::Relaxed))
        });
        wanted | (self.calls() ^ other.calls()) | (self.fired() ^ other.fired())
    }

    /// How many fallible calls were made.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many of them were made to fail.
    #[must_use]
    pub fn fired(&self) -> u32 {
        self.fired.load(Ordering::Relaxed)
    }

    /// Count a fallible call; does it fail?
    pub fn fails(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut targets = self.targets.iter();
        let fails = targets.any(|target| target.load(Ordering::Relaxed) == call);
        if fails {
            self.fired.fetch_add(1, Ordering::Relaxed);
        }
        fails
    }
}

/// Passes every call on, but for those that its [`Plan`] lets fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault<'p, T> {
    inner: T,
    plan: &'p Plan,
}

impl<'p, T> Fault<'p, T> {
    /// Let calls to `inner` fail as `plan` says.
    pub const fn new(inner: T, plan: &'p Plan) -> Self {
        Self { inner, plan }
    }

    /// What it was made around.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// What it was made around.
    pub fn inner(&mut self) -> &mut T {
        &mut self.inner
    }
}

macro_rules! inject {
    ($( $name:ident $method:ident ( $($arg:ident : $ty:ty),* ) -> $ret:ty $(, fails $fail:expr)? ; )*) => {
        impl<Vma: Copy, M: MmOps<Vma = Vma>> MmOps for Fault<'_, M> {
            type Vma = Vma;
            $(
                #[inline]
                fn $method(&mut self $(, $arg: $ty)*) -> $ret {
                    $(if self.plan.fails() {
                        return $fail;
                    })?
                    self.inner.$method($($arg),*)
                }
            )*
        }
    };
}
for_each_primitive!(inject);

impl<D: Device> Device for Fault<'_, D> {
    fn owner(&mut self) -> Owner {
        self.inner.owner()
    }
    fn alloc_device_page(&mut self) -> Option<Pfn> {
        if self.plan.fails() {
            return None;
        }
        self.inner.alloc_device_page()
    }
    fn copy_to_system(&mut self, device: Pfn) -> Option<Pfn> {
        if self.plan.fails() {
            return None;
        }
        self.inner.copy_to_system(device)
    }
    fn remember(&mut self, device: Pfn, original: Pfn) {
        self.inner.remember(device, original);
    }
    fn original(&mut self, device: Pfn) -> Option<Pfn> {
        self.inner.original(device)
    }
    fn forget(&mut self, device: Pfn) {
        self.inner.forget(device);
    }
    fn read_begin(&mut self) -> u64 {
        self.inner.read_begin()
    }
    fn read_retry(&mut self, seq: u64) -> bool {
        self.inner.read_retry(seq)
    }
    fn set_seq(&mut self, seq: u64) {
        self.inner.set_seq(seq);
    }
    fn lock(&mut self) {
        self.inner.lock();
    }
    fn unlock(&mut self) {
        self.inner.unlock();
    }
    fn map(&mut self, addr: usize, page: Pfn, access: Access) -> Result<(), NoMemory> {
        if self.plan.fails() {
            return Err(NoMemory);
        }
        self.inner.map(addr, page, access)
    }
    fn unmap_page(&mut self, page: Pfn) -> Option<Revoked> {
        self.inner.unmap_page(page)
    }
    fn unmap_next(&mut self, range: Range) -> Option<Revoked> {
        self.inner.unmap_next(range)
    }
}
