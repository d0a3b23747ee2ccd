//! [`Scheduled`]: the machine's synchronisation on shuttle's coroutines.
//!
//! One actor runs at a time, so that a word is an ordinary atomic and a monitor an ordinary number; what makes them
//! visible is that others may run before each operation (`board::point()`). Memory is sequentially consistent here: loom
//! is for the rest.

use crate::engine::board;
use crate::sync::{Atomic32, Heap, Monitor, Synchronisation};
use core::sync::atomic::{AtomicU32, Ordering};

/// Scheduled by an engine on shuttle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scheduled;

/// A word whose operations are visible.
#[derive(Debug)]
pub struct Word(AtomicU32);

impl Word {
    /// The only thread that is there does it: relaxed will do.
    const ORDER: Ordering = Ordering::Relaxed;

    fn object(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn change(&self, verb: &'static str, change: impl FnOnce(u32) -> u32) -> u32 {
        board::point();
        let old = self.0.load(Self::ORDER);
        let new = change(old);
        self.0.store(new, Self::ORDER);
        board::did(self.object(), verb, (old, new));
        old
    }
}

impl Atomic32 for Word {
    fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }
    fn load(&self, _: Ordering) -> u32 {
        self.change("read", |old| old)
    }
    fn store(&self, value: u32, _: Ordering) {
        self.change("write", |_| value);
    }
    fn swap(&self, value: u32, _: Ordering) -> u32 {
        self.change("exchange", |_| value)
    }
    fn fetch_add(&self, value: u32, _: Ordering) -> u32 {
        self.change("add", |old| old.wrapping_add(value))
    }
    fn fetch_sub(&self, value: u32, _: Ordering) -> u32 {
        self.change("subtract", |old| old.wrapping_sub(value))
    }
    fn fetch_or(&self, value: u32, _: Ordering) -> u32 {
        self.change("set bits", |old| old | value)
    }
    fn fetch_and(&self, value: u32, _: Ordering) -> u32 {
        self.change("clear bits", |old| old & value)
    }
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        _: Ordering,
        _: Ordering,
    ) -> Result<u32, u32> {
        let replace = |old| if old == current { new } else { old };
        match self.change("compare and exchange", replace) {
            old if old == current => Ok(old),
            old => Err(old),
        }
    }
    fn restore(&mut self, from: &mut Self) {
        *self.0.get_mut() = *from.0.get_mut();
    }
    fn difference(&mut self, other: &mut Self) -> u32 {
        *self.0.get_mut() ^ *other.0.get_mut()
    }
}

/// A number that can be waited on.
#[derive(Debug)]
pub struct Number(AtomicU32);

impl Number {
    fn object(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn change<R>(&self, verb: &'static str, change: &mut impl FnMut(u32) -> (u32, R)) -> R {
        let old = self.0.load(Word::ORDER);
        let (new, result) = change(old);
        if new != old {
            self.0.store(new, Word::ORDER);
            board::wake(self.object());
        }
        board::did(self.object(), verb, (old, new));
        result
    }
}

impl Monitor for Number {
    fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }

    fn update<R>(&self, mut change: impl FnMut(u32) -> (u32, R)) -> R {
        board::lock_point();
        self.change("update", &mut change)
    }

    /// Nobody looks at the number but to wait for it: whoever could run before this could as well run after. Unless somebody
    /// wants to see that ([`Settings::releases`](crate::engine::Settings)) nobody does run before.
    fn update_quietly<R>(&self, mut change: impl FnMut(u32) -> (u32, R)) -> R {
        board::release_point();
        self.change("release", &mut change)
    }

    fn read(&self) -> u32 {
        board::point();
        let number = self.0.load(Word::ORDER);
        board::did(self.object(), "read", (number, number));
        number
    }

    fn wait(&self, mut until: impl FnMut(u32) -> bool) -> bool {
        while !until(self.0.load(Word::ORDER)) {
            if !board::wait(self.object()) {
                return false;
            }
        }
        true
    }

    fn restore(&mut self, from: &mut Self) {
        *self.0.get_mut() = *from.0.get_mut();
    }
    fn difference(&mut self, other: &mut Self) -> u32 {
        *self.0.get_mut() ^ *other.0.get_mut()
    }
}

impl Synchronisation for Scheduled {
    type U32 = Word;
    type Monitor = Number;
    type Array<T: Send + Sync, const N: usize> = Heap<T, N>;
    const LEDGER: bool = true;
    const STEPWISE: bool = true;
    const WEAK_MEMORY: bool = false;
    const RMW_IS_FULL: bool = true;
    fn fence() {}
    fn at(primitive: &'static str) {
        board::at(primitive);
    }
}
