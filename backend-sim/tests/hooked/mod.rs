//! A synchronisation that calls a hook before each operation that an engine would see.

use core::sync::atomic::{AtomicU32, Ordering};
use migrate_pin_sim::sync::{Atomic32, Heap, Monitor, Shared};
use migrate_pin_sim::Synchronisation;
use std::cell::Cell;

thread_local!(static HOOK: Cell<fn()> = const { Cell::new(|| ()) });

/// Call `hook` from now on, on this thread.
pub(crate) fn hook(hook: fn()) {
    HOOK.set(hook);
}

/// A visible operation is about to take place.
fn visible() {
    HOOK.get()();
}

/// A word whose operations are visible.
pub(crate) struct Word(AtomicU32);

impl Atomic32 for Word {
    fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }
    fn load(&self, order: Ordering) -> u32 {
        visible();
        self.0.load(order)
    }
    fn store(&self, value: u32, order: Ordering) {
        visible();
        self.0.store(value, order);
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        visible();
        self.0.swap(value, order)
    }
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        visible();
        self.0.fetch_add(value, order)
    }
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        visible();
        self.0.fetch_sub(value, order)
    }
    fn fetch_or(&self, value: u32, order: Ordering) -> u32 {
        visible();
        self.0.fetch_or(value, order)
    }
    fn fetch_and(&self, value: u32, order: Ordering) -> u32 {
        visible();
        self.0.fetch_and(value, order)
    }
    fn compare_exchange(&self, c: u32, n: u32, s: Ordering, f: Ordering) -> Result<u32, u32> {
        visible();
        self.0.compare_exchange(c, n, s, f)
    }
}

impl Monitor for Word {
    fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }
    fn update<R>(&self, mut change: impl FnMut(u32) -> (u32, R)) -> R {
        visible();
        let (new, result) = change(self.0.load(Ordering::SeqCst));
        self.0.store(new, Ordering::SeqCst);
        result
    }
    fn update_quietly<R>(&self, mut change: impl FnMut(u32) -> (u32, R)) -> R {
        let (new, result) = change(self.0.load(Ordering::SeqCst));
        self.0.store(new, Ordering::SeqCst);
        result
    }
    fn read(&self) -> u32 {
        visible();
        self.0.load(Ordering::SeqCst)
    }
    fn wait(&self, mut until: impl FnMut(u32) -> bool) -> bool {
        visible();
        until(self.0.load(Ordering::SeqCst))
    }
}

/// One actor at a time, on the calling thread.
#[derive(Clone, Copy)]
pub(crate) struct Hooked;

impl Synchronisation for Hooked {
    type U32 = Word;
    type Monitor = Word;
    type Array<T: Send + Sync, const N: usize> = Heap<T, N>;
    type Room<T: Send + Sync> = Shared<T>;
    const LEDGER: bool = true;
    const STEPWISE: bool = true;
    const WEAK_MEMORY: bool = false;
    fn fence() {}
}
