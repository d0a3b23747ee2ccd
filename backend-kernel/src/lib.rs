// SPDX-License-Identifier: GPL-2.0-only
//! [`MmOps`](migrate_pin_core::MmOps) on the memory management of Linux 6.12, and the calls that drivers make.
//!
//! The crate is compiled by Kbuild into `mm/migrate_pin/`, together with `migrate-pin-core`, which it hands the
//! machine to. Below it is `glue.c`: one C function a primitive, most of them a line, none with a decision. The
//! prototypes, constants and layouts of that file come from here ([`abi`]), in a header that `migrate-pin-header`
//! prints.
//!
//! | module | what |
//! | --- | --- |
//! | [`abi`] | what Rust and C agree on |
//! | [`ops`] | the primitives |
//! | [`api`] | `migrate_pin_vma_*` and the pin calls, for drivers in C |
//! | [`driver`] | the calls for drivers in Rust, without `unsafe` |
//! | [`stock`] | the kernel's own `migrate_vma_*` and `migrate_device_*` calls on `core` |
#![no_std]

pub mod abi;
pub mod api;
pub mod driver;
mod export;
mod glue;
mod memmap;
pub mod ops;
pub mod stock;

pub use glue::GLUE;
