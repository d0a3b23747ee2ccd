//! The transition logic of Linux page migration with *unmap and pin*, as pure functions over a trait of
//! memory-management primitives.
//!
//! A kernel patch of 2021 ("mm/migrate: Add a unmap and pin migration mode") lets a driver unmap a user
//! page from every CPU and pin it in place, so that its device can do atomics on it; a CPU access faults
//! and takes it back. This crate is that patch and the pipeline it stands on, `migrate_vma_setup()` to
//! `migrate_vma_finalize()`, written so that the same compiled logic runs on a simulated machine, under a
//! fuzzer, and in a live kernel: `no_std`, no allocation, no `unsafe`, never panics.
//!
//! # The rooms
//!
//! | stage | kernel function | decision | effects |
//! | --- | --- | --- | --- |
//! | [`collect`] | `migrate_vma_collect()` | [`decide_hole`](collect::decide_hole), [`decide_entry`](collect::decide_entry), ... | words, references, locks, entries |
//! | [`prepare`] | `migrate_vma_prepare()` | [`decide_prepare`](prepare::decide_prepare) | locks, isolation |
//! | [`unmap`] | `migrate_vma_unmap()` | [`decide_unmap`](unmap::decide_unmap) | mappings, the pin |
//! | [`pages`] | `migrate_vma_pages()` | [`decide_pages`](pages::decide_pages) | identity, caches |
//! | [`insert`] | `migrate_vma_insert_page()` | [`decide_insert`](insert::decide_insert) | an empty entry |
//! | [`mapping`] | `migrate_page_move_mapping()` | [`decide_move`](mapping::decide_move) | a page's place |
//! | [`range`] | `migrate_device_range()` (6.12) | [`decide_page`](range::decide_page) | words, references, locks |
//! | [`finalize`] | `migrate_vma_finalize()` | [`decide_finalize`](finalize::decide_finalize) | everything given back |
//!
//! Each room has a pure decision, a value in and a value out, small enough to enumerate, and a plain loop
//! that asks an [`MmOps`] for the facts and carries the decision out. [`check`] is the test on reference
//! counts that two stages share, [`border`] what is checked of a caller's words, [`migration`] the
//! typestate that runs the stages, [`pin`] the driver's half, [`policy`] the list of what differs
//! between the patch [`AsPosted`] and [`Hardened`], and between the kernels [`V5_11`] and [`V6_12`].
//! [`trace`] and [`fault`] wrap an `MmOps` in an `MmOps`: one records every call, one lets chosen calls
//! fail.
//!
//! # A driver's view
//!
//! ```
//! use migrate_pin_core::{pin, Access, Device, Error, Hardened, MmOps, Range, DstPfn, SrcPfn, V5_11};
//!
//! /// Give the device atomic access to 16 pages; how many it got.
//! fn make_atomic<M: MmOps, D: Device>(
//!     ops: &mut M, device: &mut D, vma: M::Vma, start: usize,
//! ) -> Result<usize, Error> {
//!     let (mut src, mut dst) = ([SrcPfn::NONE; 16], [DstPfn::NONE; 16]);
//!     let acquired = pin::acquire::<Hardened, V5_11, M, D>(ops, device, pin::Acquire {
//!         vma,
//!         range: Range { start, end: start + 16 * migrate_pin_core::PAGE_SIZE },
//!         access: Access::Write,
//!         src: &mut src,
//!         dst: &mut dst,
//!     })?;
//!     Ok(acquired.granted)
//! }
//! ```
//!
//! # Deviations of `AsPosted` from the letter of the patch
//!
//! - A reversed range is refused with `-EINVAL`; the patch walks nothing and reports success.
//! - The arrays must have exactly one word a page; C can't tell.
//! - On the 6.12 shape, where putting a page on the LRU and dropping its reference are two steps before
//!   and after the mapping, a source with PIN gets neither, whether it goes on or back, and the bias of an
//!   UNPIN destination goes just before its reference.
//! - On the 6.12 shape the test that device-private pages escape in 5.11 (`page_count()` against the
//!   expected count) is 6.12's: the first patch of the series was never merged in that form.
//!
//! - `BUG_ON(PageWriteback)` in `migrate_page()` has no counterpart: a locked page that is written back is
//!   the backend's to refuse.
//!
//! # Scope
//!
//! On the 6.12 shape, as posted, two threads that fault on one device page at a time may refuse each other, as they do in
//! that kernel: each handler's reference is unaccounted to the other. `Hardened` looks over references on device-private
//! pages ([`Rules::ignores_device_waiters`](policy::Rules::ignores_device_waiters)), so that a driver that needs its own
//! device page to stay must lock it: a plain reference does not keep it.
//!
//! Compound pages are refused or split, never moved whole. Hugetlb, DAX and special areas are refused, as
//! the kernel does. KSM, mlock accounting, NUMA hints and statistics do not influence a decision, and are
//! left to the primitives.
//!
//! # Mutants that change nothing
//!
//! `cargo mutants -p migrate-pin-core` leaves no viable mutant alive but these, which nobody can tell from the
//! original (`.cargo/mutants.toml` excludes them one by one):
//!
//! - `|` to `^` in [`collect::migration_bits`] and [`insert::entry_for`]: the flags have no bit in common;
//! - `|` to `^` in the making of a word: a pfn that was shifted left has no flag bits.
#![no_std]
#![forbid(unsafe_code)]

pub mod border;
pub mod check;
pub mod collect;
pub mod device;
pub mod error;
pub mod fault;
pub mod finalize;
pub mod insert;
pub mod mapping;
pub mod migration;
pub mod mode;
pub mod ops;
pub mod pages;
pub mod pfn;
pub mod pin;
pub mod policy;
pub mod prepare;
pub mod range;
pub mod trace;
pub mod unmap;

pub use device::{Access, Device, Revoked};
pub use error::{DestinationError, Error, WordError};
pub use migration::{setup, Migration, Moved, RawMigration, Request, Select, Unmapped};
pub use mode::MigrateMode;
pub use ops::{
    HugePmd, Mapping, MmOps, NoMemory, NotifyEvent, Owner, PinRecord, PmdKind, PmdSpan, Present,
    Pte, PteBits, Range, VmaFacts, VmaFlags, Zone,
};
pub use pfn::{
    DstPfn, MigratePfn, Pfn, SrcPfn, GUP_PIN_COUNTING_BIAS, MIGRATE_PFN_SHIFT, PAGE_SHIFT,
    PAGE_SIZE,
};
pub use policy::{AsPosted, Hardened, Policy, PolicyKind, Rules, Shape, ShapeKind, V5_11, V6_12};
pub use range::{setup_range, DeviceMigration, DeviceRequest};
