//! The synchronisation that the machine is generic over.
//!
//! Everything an engine may interleave goes through [`Synchronisation`]: atomics with the orderings that the
//! kernel's primitives have, fences, and [`Monitor`], from which every lock of the machine is built
//! ([`lock`](crate::lock)). There is one implementation here, [`Spin`], for plain and `no_std` use; others
//! (loom, shuttle) implement the same three traits, and no `--cfg` selects between them.
//!
//! What goes through these types is *visible* to an engine: a step that it may schedule around. What a lock
//! protects is not: it lies in [`Plain`] cells, and so does the ledger.

use core::ops::{Deref, DerefMut};
use core::sync::atomic::{fence, AtomicU32, Ordering};

/// A 32-bit atomic that an engine sees.
pub trait Atomic32: Send + Sync {
    /// An atomic that holds `value`.
    fn new(value: u32) -> Self;
    /// The value.
    fn load(&self, order: Ordering) -> u32;
    /// Replace the value.
    fn store(&self, value: u32, order: Ordering);
    /// Replace the value and return what it was.
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// Add, wrapping; returns what it was.
    fn fetch_add(&self, value: u32, order: Ordering) -> u32;
    /// Subtract, wrapping; returns what it was.
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32;
    /// Set bits; returns what it was.
    fn fetch_or(&self, value: u32, order: Ordering) -> u32;
    /// Keep only these bits; returns what it was.
    fn fetch_and(&self, value: u32, order: Ordering) -> u32;
    /// Replace the value if it is `current`.
    ///
    /// # Errors
    /// What it is instead.
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32>;
    /// The value, for a report: no operation that an engine sees. None if there is no such look.
    fn peek(&self) -> Option<u32> {
        None
    }
    /// Become what `from` is, while nobody else has either.
    fn restore(&mut self, from: &mut Self) {
        self.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    /// In which bits it differs from `other`, while nobody else has either.
    fn difference(&mut self, other: &mut Self) -> u32 {
        self.load(Ordering::Relaxed) ^ other.load(Ordering::Relaxed)
    }
}

/// A number that changes in one piece, and that can be waited on: all that a lock is made of.
///
/// With threads it is a mutex-guarded number with a condition variable. [`Monitor::update`] is an acquire and
/// a release and wakes the waiters if it changed the number.
pub trait Monitor: Send + Sync {
    /// A monitor over `value`.
    fn new(value: u32) -> Self;
    /// Replace the number by what `change` makes of it. `change` has no effect of its own: it may be called more
    /// than once.
    fn update<R>(&self, change: impl FnMut(u32) -> (u32, R)) -> R;
    /// The same where it makes no difference whether others run just before it: the release of a lock that nobody
    /// tries and goes on without. An engine need not switch here; it must wake the waiters.
    fn update_quietly<R>(&self, change: impl FnMut(u32) -> (u32, R)) -> R {
        self.update(change)
    }
    /// The number, now.
    fn read(&self) -> u32;
    /// Block until `until` holds of the number. False if it will not (as far as this implementation can tell):
    /// the caller reports that it waits for ever, and goes on.
    fn wait(&self, until: impl FnMut(u32) -> bool) -> bool;
    /// The number, for a report: no operation that an engine sees. None if there is no such look.
    fn peek(&self) -> Option<u32> {
        None
    }
    /// Become what `from` is, while nobody else has either.
    fn restore(&mut self, from: &mut Self) {
        let number = from.read();
        self.update(|_| (number, ()));
    }
    /// In which bits it differs from `other`, while nobody else has either.
    fn difference(&mut self, other: &mut Self) -> u32 {
        self.read() ^ other.read()
    }
}

/// A list that has room for so many items.
pub trait Store<T>: DerefMut<Target = [T]> + Default + Send + Sync {
    /// `len` items. Fewer if there is no room: [`Machine::new`](crate::Machine::new) checks.
    fn from_fn(len: usize, make: impl FnMut(usize) -> T) -> Self {
        let mut items = Self::default();
        for item in (0..len).map(make) {
            if items.push(item).is_err() {
                break;
            }
        }
        items
    }
    /// Add an item.
    ///
    /// # Errors
    /// The item, if there is no room.
    fn push(&mut self, item: T) -> Result<(), T>;
    /// Take the last item.
    fn pop(&mut self) -> Option<T>;
    /// Take this item; those behind it move up. It is there.
    fn remove(&mut self, index: usize) -> T;
    /// Take this item; the last one takes its place. It is there.
    fn swap_remove(&mut self, index: usize) -> T;
    /// Keep only such items.
    fn retain(&mut self, keep: impl FnMut(&T) -> bool);
    /// Drop all items.
    fn clear(&mut self);
    /// Hold what `items` are, as many as there is room for.
    fn assign(&mut self, items: &[T])
    where
        T: Clone,
    {
        self.clear();
        for item in items {
            if self.push(item.clone()).is_err() {
                break;
            }
        }
    }
    /// Is there room for no more?
    fn is_full(&self) -> bool;
}

/// Something that whoever runs uses for a moment at a time, and never across an operation that engines see: the ledger. No engine
/// sees that either.
pub trait Room<T>: Send + Sync {
    /// A room with this in it.
    fn new(value: T) -> Self;
    /// Use what is in it. Nobody else does meanwhile.
    fn lock(&self) -> impl DerefMut<Target = T>;
    /// The same for who has the room alone.
    fn get_mut(&mut self) -> &mut T;
}

/// A [`Room`] for any threads.
pub type Shared<T> = spin::Mutex<T>;

impl<T: Send> Room<T> for Shared<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }
    #[inline]
    fn lock(&self) -> impl DerefMut<Target = T> {
        self.lock()
    }
    #[inline]
    fn get_mut(&mut self) -> &mut T {
        self.get_mut()
    }
}

/// Which atomics, which waiting, where things are stored, and what is checked.
pub trait Synchronisation: Copy + Send + Sync + 'static {
    /// Atomics.
    type U32: Atomic32;
    /// What locks are made of.
    type Monitor: Monitor;
    /// Where page frames and the like are kept, at most `N` of them.
    type Array<T: Send + Sync, const N: usize>: Store<T>;
    /// Where the ledger is kept.
    type Room<T: Send + Sync>: Room<T>;
    /// Keep the ledger, and check invariants by it. False for benchmarks.
    const LEDGER: bool;
    /// One actor runs at a time and is switched only at operations of these types, so that the ledger can be
    /// compared with the machine after every step. False with real threads: then only when all is quiet.
    const STEPWISE: bool;
    /// Atomics may return old values as the processor's memory model permits (loom). Then nothing is skipped that only
    /// orders memory, such as the shootdown of a TLB that holds nothing.
    const WEAK_MEMORY: bool;
    /// A read-modify-write is a full barrier as it is, so that `smp_mb__before_atomic()` is nothing, as on x86.
    const RMW_IS_FULL: bool = false;
    /// `smp_mb()`.
    fn fence();
    /// The actor that runs enters a primitive or a path of the kernel: for an engine that records what is done.
    fn at(_primitive: &'static str) {}
    /// The next lock that it takes is that of a CPU whose TLB it flushes: for an engine that may switch there.
    fn flushes() {}
}

/// `atomic_*_return()` and the other value-returning read-modify-writes of the kernel are full barriers.
/// An ordering of the operation itself is not enough under a weak memory model: a fence on both sides is.
pub(crate) fn full<S: Synchronisation, R>(rmw: impl FnOnce() -> R) -> R {
    if S::RMW_IS_FULL {
        return rmw();
    }
    S::fence();
    let result = rmw();
    S::fence();
    result
}

/// A number that engines don't see: a lock protects it, or nobody else uses it.
#[derive(Debug, Default)]
pub struct Plain(AtomicU32);

impl Plain {
    /// A cell that holds `value`.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }

    /// The number.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Replace the number.
    #[inline]
    pub fn set(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number, for who has the cell alone.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut u32 {
        self.0.get_mut()
    }

    /// Add to the number, wrapping; returns what it was.
    #[inline]
    pub fn add(&self, value: u32) -> u32 {
        self.0.fetch_add(value, Ordering::Relaxed)
    }
}

/// Atomics of the processor, spinning, `heapless` storage; with the ledger.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spin;

/// [`Spin`] with the ledger compiled out, for benchmarks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpinBare;

/// [`Spin`] for real threads: the ledger is kept, and compared with the machine only when all is quiet.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpinThreads;

impl Atomic32 for AtomicU32 {
    #[inline]
    fn new(value: u32) -> Self {
        Self::new(value)
    }
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }
    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        self.store(value, order);
    }
    #[inline]
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.swap(value, order)
    }
    #[inline]
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.fetch_add(value, order)
    }
    #[inline]
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        self.fetch_sub(value, order)
    }
    #[inline]
    fn fetch_or(&self, value: u32, order: Ordering) -> u32 {
        self.fetch_or(value, order)
    }
    #[inline]
    fn fetch_and(&self, value: u32, order: Ordering) -> u32 {
        self.fetch_and(value, order)
    }
    #[inline]
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.compare_exchange(current, new, success, failure)
    }
    fn peek(&self) -> Option<u32> {
        Some(self.load(Ordering::Relaxed))
    }
    #[inline]
    fn restore(&mut self, from: &mut Self) {
        *self.get_mut() = *from.get_mut();
    }
    #[inline]
    fn difference(&mut self, other: &mut Self) -> u32 {
        *self.get_mut() ^ *other.get_mut()
    }
}

/// The [`Monitor`] of [`Spin`]. `PATIENCE` is how often a waiter looks before it says that it waits for ever: with one
/// actor at a time nobody else can change the number, so once is enough.
#[derive(Debug)]
pub struct SpinMonitor<const PATIENCE: u32>(AtomicU32);

impl<const PATIENCE: u32> Monitor for SpinMonitor<PATIENCE> {
    fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }

    fn update<R>(&self, mut change: impl FnMut(u32) -> (u32, R)) -> R {
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            let (new, result) = change(old);
            match self
                .0
                .compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return result,
                Err(now) => old = now,
            }
        }
    }

    fn read(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn wait(&self, mut until: impl FnMut(u32) -> bool) -> bool {
        for _ in 0..PATIENCE {
            if until(self.read()) {
                return true;
            }
            if PATIENCE > 1 {
                #[cfg(feature = "std")]
                std::thread::yield_now();
                #[cfg(not(feature = "std"))]
                core::hint::spin_loop();
            }
        }
        until(self.read())
    }

    fn peek(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    fn restore(&mut self, from: &mut Self) {
        *self.0.get_mut() = *from.0.get_mut();
    }
    #[inline]
    fn difference(&mut self, other: &mut Self) -> u32 {
        *self.0.get_mut() ^ *other.0.get_mut()
    }
}

macro_rules! store {
    ($push:item $($more:item)+) => {
        $push
        fn pop(&mut self) -> Option<T> {
            self.0.pop()
        }
        fn remove(&mut self, index: usize) -> T {
            self.0.remove(index)
        }
        fn swap_remove(&mut self, index: usize) -> T {
            self.0.swap_remove(index)
        }
        fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
            self.0.retain(keep);
        }
        fn clear(&mut self) {
            self.0.clear();
        }
        $($more)+
    };
}

macro_rules! slice_of {
    ($name:ident) => {
        impl<T, const N: usize> Default for $name<T, N> {
            fn default() -> Self {
                Self(Default::default())
            }
        }
        impl<T, const N: usize> Deref for $name<T, N> {
            type Target = [T];
            fn deref(&self) -> &[T] {
                &self.0
            }
        }
        impl<T, const N: usize> DerefMut for $name<T, N> {
            fn deref_mut(&mut self) -> &mut [T] {
                &mut self.0
            }
        }
    };
}

/// The [`Store`] of [`Spin`]: all of its room is where it is.
#[derive(Debug)]
pub struct Inline<T, const N: usize>(heapless::Vec<T, N>);
slice_of!(Inline);

impl<T: Send + Sync, const N: usize> Store<T> for Inline<T, N> {
    store! {
        fn push(&mut self, item: T) -> Result<(), T> {
            self.0.push(item)
        }
        fn is_full(&self) -> bool {
            self.0.is_full()
        }
    }
}

/// For implementations with `std`: room is taken from the heap as it is needed, for as many items as are asked for when
/// the list is made; later it grows to `N` at most. An engine builds a machine for each of
/// millions of executions, and each is moved several times before it stands where it stays; so a machine had better be
/// small.
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct Heap<T, const N: usize>(Vec<T>);
#[cfg(feature = "std")]
slice_of!(Heap);

#[cfg(feature = "std")]
impl<T: Send + Sync, const N: usize> Store<T> for Heap<T, N> {
    fn from_fn(len: usize, make: impl FnMut(usize) -> T) -> Self {
        Self((0..len).map(make).collect())
    }
    store! {
        fn push(&mut self, item: T) -> Result<(), T> {
            if Store::is_full(self) {
                return Err(item);
            }
            self.0.push(item);
            Ok(())
        }
        fn assign(&mut self, items: &[T])
        where
            T: Clone,
        {
            self.0.clear();
            // Most are empty, and stay so: that is not worth a call.
            if !items.is_empty() {
                self.0.extend_from_slice(&items[..items.len().min(N)]);
            }
        }
        fn is_full(&self) -> bool {
            self.0.len() >= N
        }
    }
}

macro_rules! spinning {
    ($name:ident, ledger $ledger:literal, stepwise $stepwise:literal, patience $patience:literal) => {
        impl Synchronisation for $name {
            type U32 = AtomicU32;
            type Monitor = SpinMonitor<$patience>;
            type Array<T: Send + Sync, const N: usize> = Inline<T, N>;
            type Room<T: Send + Sync> = Shared<T>;
            const LEDGER: bool = $ledger;
            const STEPWISE: bool = $stepwise;
            const WEAK_MEMORY: bool = !$stepwise;
            const RMW_IS_FULL: bool = cfg!(any(target_arch = "x86", target_arch = "x86_64"));
            fn fence() {
                fence(Ordering::SeqCst);
            }
        }
    };
}
spinning!(Spin, ledger true, stepwise true, patience 1);
spinning!(SpinBare, ledger false, stepwise true, patience 1);
spinning!(SpinThreads, ledger true, stepwise false, patience 10_000_000);
