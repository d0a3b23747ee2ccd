// SPDX-License-Identifier: GPL-2.0-only
//! Functions that C calls, and the list of them that the header is printed from.

macro_rules! returned {
    () => {
        <() as crate::abi::CType>::NAME
    };
    ($ty:ty) => {
        <$ty as crate::abi::CType>::NAME
    };
}

macro_rules! export {
    ($list:ident: $(
        $(#[doc = $doc:literal])*
        fn $name:ident ( $($arg:ident : $ty:ty),* ) $(-> $ret:ty)? $body:block
    )*) => {
        $(
            $(#[doc = $doc])*
            #[no_mangle]
            pub unsafe extern "C" fn $name($($arg: $ty),*) $(-> $ret)? $body
        )*

        /// What C may call of this module.
        pub const $list: &[crate::abi::Prototype] = &[
            $(crate::abi::Prototype {
                name: stringify!($name),
                doc: &[$($doc),*],
                args: &[$((stringify!($arg), <$ty as crate::abi::CType>::NAME)),*],
                returns: crate::export::returned!($($ret)?),
            }),*
        ];
    };
}

pub(crate) use {export, returned};
