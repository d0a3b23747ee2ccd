//! Putting a machine back to where another stands, in place.
//!
//! An engine runs a race from the same state millions of times. It need not build that state as often: of two
//! machines that were set up alike one is played on, and is made to be like the other again before each execution.
//! Nothing is allocated, and every word stays where it is.
//!
//! Each room says what of its own is put back. [`restore!`] takes a structure apart by all of its fields, so that
//! one that is added and forgotten does not compile.

use crate::sync::Plain;

/// Something that can become what another of its kind is. Both were built from one configuration: lists that never change
/// their lengths have the same.
pub(crate) trait Restore {
    /// Become what `from` is.
    fn restore(&mut self, from: &Self);
}

impl Restore for Plain {
    fn restore(&mut self, from: &Self) {
        self.set(from.get());
    }
}

impl<T: Restore> Restore for [T] {
    fn restore(&mut self, from: &Self) {
        debug_assert_eq!(self.len(), from.len(), "lists of one configuration");
        for (item, from) in self.iter_mut().zip(from) {
            item.restore(from);
        }
    }
}

/// Nobody holds the other: they are looked at when all is quiet.
impl<T: Restore> Restore for spin::Mutex<T> {
    fn restore(&mut self, from: &Self) {
        self.get_mut().restore(&from.lock());
    }
}

/// [`Restore`] for a structure of the machine: `parts` can be restored themselves, `lists` are items behind a lock that nobody
/// holds, `same` never changes.
macro_rules! restore {
    ($name:ident: parts $($part:ident)*; lists $($list:ident)*; same $($same:ident)*) => {
        impl<S: $crate::sync::Synchronisation> $crate::restore::Restore for $name<S> {
            fn restore(&mut self, from: &Self) {
                #[allow(unused_imports, reason = "not every structure has all of these")]
                use $crate::{restore::Restore, sync::{Atomic32, Monitor, Store}};
                let Self { $($part,)* $($list,)* $($same: _,)* } = self;
                $($part.restore(&from.$part);)*
                $($list.get_mut().assign(&from.$list.lock());)*
            }
        }
    };
}
pub(crate) use restore;
