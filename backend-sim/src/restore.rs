//! Putting a machine back to where another stands, in place; and whether two of them stand at the same.
//!
//! An engine runs a race from the same state millions of times. It need not build that state as often: of two
//! machines that were set up alike one is played on, and is made to be like the other again before each execution.
//! Nothing is allocated, and every word stays where it is. Nor need it look again at what an execution came to if the machine
//! stands as it stood after one before, in every word.
//!
//! Each room says what of its own is put back and compared. [`restore!`] takes a structure apart by all of its fields, so
//! that one that is added and forgotten does not compile.

use crate::sync::Plain;

/// Something that can become what another of its kind is. Both were built from one configuration: lists that never change
/// their lengths have the same. The other is not changed, but nobody else may have it: so words are no atomics here, and
/// a compiler copies and compares whole rows of them.
pub(crate) trait Restore {
    /// Become what `from` is.
    fn restore(&mut self, from: &mut Self);
    /// 0 if it is what `other` is, and [`restore`](Self::restore) would change nothing. No early way out: most that is
    /// compared is the same, and a compiler takes whole rows at once.
    #[cfg_attr(
        not(feature = "engines"),
        allow(dead_code, reason = "only engines compare")
    )]
    fn difference(&mut self, other: &mut Self) -> u32;
}

impl Restore for Plain {
    #[inline]
    fn restore(&mut self, from: &mut Self) {
        *self.get_mut() = *from.get_mut();
    }
    #[inline]
    fn difference(&mut self, other: &mut Self) -> u32 {
        *self.get_mut() ^ *other.get_mut()
    }
}

impl<T: Restore> Restore for [T] {
    #[inline]
    fn restore(&mut self, from: &mut Self) {
        debug_assert_eq!(self.len(), from.len(), "lists of one configuration");
        for (item, from) in self.iter_mut().zip(from) {
            item.restore(from);
        }
    }
    #[inline]
    fn difference(&mut self, other: &mut Self) -> u32 {
        debug_assert_eq!(self.len(), other.len(), "lists of one configuration");
        let both = self.iter_mut().zip(other);
        both.fold(0, |bits, (item, other)| bits | item.difference(other))
    }
}

/// Are the items of two lists not the same? Most lists are empty on both sides, and that is seen by their lengths.
#[inline]
#[cfg_attr(
    not(feature = "engines"),
    allow(dead_code, reason = "only engines compare")
)]
pub(crate) fn rows_differ<T: PartialEq>(row: &[T], other: &[T]) -> u32 {
    let differ = row.len() != other.len() || (!row.is_empty() && row != other);
    u32::from(differ)
}

/// [`Restore`] for a structure of the machine: `parts` can be restored themselves, `atomics` are rows
/// of words that engines see, `lists` are items behind a lock that nobody
/// holds, `rows` are items behind none, `bytes` the
/// same and without gaps, `words` are plain values, `same` never changes. Behind `=`: a structure that is not
/// generic.
macro_rules! restore {
    (= $name:ident: $($rest:tt)*) => {
        impl $crate::restore::Restore for $name {
            $crate::restore::restore!(@ $($rest)*);
        }
    };
    ($name:ident: $($rest:tt)*) => {
        impl<S: $crate::sync::Synchronisation> $crate::restore::Restore for $name<S> {
            $crate::restore::restore!(@ $($rest)*);
        }
    };
    (@ parts $($part:ident)*; $(atomics $($atomic:ident)*;)? $(lists $($list:ident)*;)? $(bytes $($bytes:ident)*;)? $(rows $($row:ident)*;)? $(words $($word:ident)*;)?
        same $($same:ident)*) => {
        #[inline]
        fn restore(&mut self, from: &mut Self) {
            #[allow(unused_imports, reason = "not every structure has all of these")]
            use $crate::{restore::Restore, sync::{Atomic32, Monitor, Store}};
            let Self { $($part,)* $($($atomic,)*)? $($($list,)*)? $($($bytes,)*)? $($($row,)*)? $($($word,)*)? $($same: _,)* } = self;
            $($part.restore(&mut from.$part);)*
            $($(for (word, from) in $atomic.iter_mut().zip(from.$atomic.iter_mut()) {
                word.restore(from);
            })*)?
            $($($list.get_mut().assign(from.$list.get_mut());)*)?
            $($($bytes.assign(&from.$bytes);)*)?
            $($($row.assign(&from.$row);)*)?
            $($(*$word = from.$word;)*)?
        }
        #[inline]
        fn difference(&mut self, other: &mut Self) -> u32 {
            #[allow(unused_imports, reason = "not every structure has all of these")]
            use $crate::{restore::Restore, sync::{Atomic32, Monitor}};
            let Self {
                $($part,)* $($($atomic,)*)? $($($list,)*)? $($($bytes,)*)? $($($row,)*)? $($($word,)*)? $($same: _,)*
            } = self;
            #[allow(unused_mut, reason = "not every structure has all of these")]
            let mut bits = 0;
            $(bits |= $part.difference(&mut other.$part);)*
            $($(for (word, other) in $atomic.iter_mut().zip(other.$atomic.iter_mut()) {
                bits |= word.difference(other);
            })*)?
            $($(bits |= $crate::restore::rows_differ($list.get_mut(), other.$list.get_mut());)*)?
            $($(bits |= u32::from(zerocopy::IntoBytes::as_bytes(&**$bytes) != zerocopy::IntoBytes::as_bytes(&*other.$bytes));)*)?
            $($(bits |= $crate::restore::rows_differ($row, &other.$row);)*)?
            $($(bits |= u32::from(*$word != other.$word);)*)?
            bits
        }
    };
}
pub(crate) use restore;
