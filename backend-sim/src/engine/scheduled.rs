//! [`Scheduled`]: the machine's synchronisation on shuttle's coroutines.
//!
//! One actor runs at a time, so that a word is an ordinary atomic and a monitor an ordinary number; what makes them
//! visible is that others may run before each operation (`board::point()`). Memory is sequentially consistent here: loom
//! is for the rest.

use crate::engine::board;
use crate::sync::{Atomic32, Heap, Monitor, Room, Synchronisation};
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};
use qcell::{QCell, QCellOwner};
use std::cell::Cell;

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
        board::point(self.object());
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
    fn peek(&self) -> Option<u32> {
        Some(self.0.load(Word::ORDER))
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
        board::lock_point(self.object());
        self.change("update", &mut change)
    }

    /// Nobody looks at the number but to wait for it: whoever could run before this could as well run after. Unless somebody
    /// wants to see that ([`Settings::releases`](crate::engine::Settings)) nobody does run before.
    fn update_quietly<R>(&self, mut change: impl FnMut(u32) -> (u32, R)) -> R {
        board::release_point(self.object());
        self.change("release", &mut change)
    }

    fn read(&self) -> u32 {
        board::point(self.object());
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

    fn peek(&self) -> Option<u32> {
        Some(self.0.load(Word::ORDER))
    }
    fn restore(&mut self, from: &mut Self) {
        *self.0.get_mut() = *from.0.get_mut();
    }
    fn difference(&mut self, other: &mut Self) -> u32 {
        *self.0.get_mut() ^ *other.0.get_mut()
    }
}

/// A [`Room`] for the thread that has made it, on which all actors of an execution run: the ledger is used hundreds of times in
/// one, and an atomic exchange each time took a tenth of all.
///
/// # Panics
/// If another thread uses it.
pub struct Own<T>(QCell<T>);

thread_local! {
    /// By what rooms know their thread, while none is in use. Never freed: a word for each thread that ever explored.
    static OWNER: Cell<Option<&'static mut QCellOwner>> = const { Cell::new(None) };
    /// There is one, here or in use.
    static OWNED: Cell<bool> = const { Cell::new(false) };
}

/// That of who makes a room.
fn owner() -> &'static mut QCellOwner {
    OWNER.take().unwrap_or_else(first_owner)
}

fn first_owner() -> &'static mut QCellOwner {
    assert!(!OWNED.replace(true), "a room is in use while another is");
    Box::leak(Box::default())
}

/// Somebody uses a room, and can't. It does not return, so that nothing has to be kept over it: the ledger is used in many short
/// functions.
#[cold]
#[inline(never)]
fn not_here() -> ! {
    assert!(!OWNED.get(), "a room is in use while another is");
    panic!("this thread has not made the room");
}

/// What is in an [`Own`] room, in use.
struct InUse<'r, T> {
    room: &'r QCell<T>,
    /// It is there until it is given back.
    owner: Option<&'static mut QCellOwner>,
}

impl<T> Deref for InUse<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        match &self.owner {
            Some(owner) => owner.ro(self.room),
            None => unreachable!("given back"),
        }
    }
}

impl<T> DerefMut for InUse<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.owner {
            Some(owner) => owner.rw(self.room),
            None => unreachable!("given back"),
        }
    }
}

impl<T> Drop for InUse<'_, T> {
    #[inline]
    fn drop(&mut self) {
        OWNER.set(self.owner.take());
    }
}

impl<T: Send + Sync> Room<T> for Own<T> {
    fn new(value: T) -> Self {
        let owner = owner();
        let room = owner.cell(value);
        OWNER.set(Some(owner));
        Self(room)
    }
    #[inline]
    fn lock(&self) -> impl DerefMut<Target = T> {
        let Some(owner) = OWNER.take() else {
            not_here()
        };
        // Is it this thread's? Asked before there is anything to give back, and so not again when it is used.
        owner.ro(&self.0);
        InUse {
            room: &self.0,
            owner: Some(owner),
        }
    }
    #[inline]
    fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl Synchronisation for Scheduled {
    type U32 = Word;
    type Monitor = Number;
    type Array<T: Send + Sync, const N: usize> = Heap<T, N>;
    type Room<T: Send + Sync> = Own<T>;
    const LEDGER: bool = true;
    const STEPWISE: bool = true;
    const WEAK_MEMORY: bool = false;
    const RMW_IS_FULL: bool = true;
    fn fence() {}
    fn at(primitive: &'static str) {
        board::at(primitive);
    }
    fn flushes() {
        board::flushes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{catch_unwind, AssertUnwindSafe};

    #[test]
    fn a_room_is_for_one_at_a_time_and_for_its_thread() {
        let (room, other) = (Own::new(1), Own::new(3));
        *room.lock() = 2;
        for second in [&room, &other] {
            let both = catch_unwind(AssertUnwindSafe(|| {
                let first = room.lock();
                assert_ne!(*first, *second.lock());
            }));
            assert!(both.is_err(), "two at once");
            assert_eq!(*room.lock(), 2, "given back");
            assert_eq!(*other.lock(), 3, "given back");
        }
        let elsewhere = std::thread::scope(|scope| scope.spawn(|| *room.lock()).join());
        assert!(elsewhere.is_err(), "in another thread");
    }
}
