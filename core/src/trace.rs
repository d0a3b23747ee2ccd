//! [`Trace`]: an [`MmOps`] around another that records every call.
//!
//! ```
//! # use migrate_pin_core::{trace::{Call, Trace}, MmOps, Pfn};
//! fn locks<M: MmOps>(ops: M) -> bool {
//!     let mut last = None;
//!     let locked = Trace::new(ops, |call: &Call<M::Vma>| last = Some(*call)).trylock_page(Pfn(3));
//!     matches!(last, Some(Call::TrylockPage { page: Pfn(3), returned }) if returned == locked)
//! }
//! ```

use crate::for_each_primitive;
use crate::ops::{
    HugePmd, Mapping, MmOps, NoMemory, NotifyEvent, Owner, PinRecord, PmdSpan, Pte, Range,
    VmaFacts, Zone,
};
use crate::pfn::Pfn;

/// Passes every call on, and what it returned to `sink`, after it returned.
#[derive(Clone, Copy, Debug)]
pub struct Trace<M, F> {
    inner: M,
    sink: F,
}

impl<M: MmOps, F: FnMut(&Call<M::Vma>)> Trace<M, F> {
    /// Record the calls to `inner`.
    pub fn new(inner: M, sink: F) -> Self {
        Self { inner, sink }
    }

    /// The machine again.
    pub fn into_inner(self) -> M {
        self.inner
    }
}

macro_rules! trace {
    ($( $name:ident $method:ident ( $($arg:ident : $ty:ty),* ) -> $ret:ty $(, fails $fail:expr)? ; )*) => {
        /// The name of a primitive: a method of [`MmOps`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Primitive {
            $(
                #[doc = concat!("[`MmOps::", stringify!($method), "`]")]
                $name,
            )*
        }

        impl Primitive {
            /// All of them, in the order of the trait.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name of the method.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($method),)*
                }
            }

            /// Can the kernel's primitive fail by itself, so that [`fault`](crate::fault) may make it?
            #[must_use]
            pub const fn fallible(self) -> bool {
                match self {
                    $(Self::$name => fallible!($($fail)?),)*
                }
            }
        }

        /// One call of a primitive: its arguments and what it returned.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[allow(missing_docs)] // The fields are the arguments of the method that the variant names.
        pub enum Call<Vma> {
            $(
                #[doc = concat!("[`MmOps::", stringify!($method), "`]")]
                $name { $($arg: $ty,)* returned: $ret },
            )*
            /// Nothing: no primitive's call; it only makes use of the parameter.
            #[doc(hidden)]
            Never(core::convert::Infallible, core::marker::PhantomData<Vma>),
        }

        impl<Vma> Call<Vma> {
            /// Which primitive was called.
            #[must_use]
            pub const fn primitive(&self) -> Primitive {
                match self {
                    $(Self::$name { .. } => Primitive::$name,)*
                    Self::Never(never, _) => match *never {},
                }
            }
        }

        impl<Vma: Copy, M: MmOps<Vma = Vma>, F: FnMut(&Call<Vma>)> MmOps for Trace<M, F> {
            type Vma = Vma;
            $(
                #[inline]
                fn $method(&mut self $(, $arg: $ty)*) -> $ret {
                    let returned = self.inner.$method($($arg),*);
                    (self.sink)(&Call::$name { $($arg,)* returned });
                    returned
                }
            )*
        }
    };
}

macro_rules! fallible {
    () => {
        false
    };
    ($fail:expr) => {
        true
    };
}

for_each_primitive!(trace);
