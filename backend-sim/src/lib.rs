//! A simulated machine for unmap-and-pin page migration.
//!
//! The same compiled logic of `migrate-pin-core` that runs in a kernel runs here, on page frames, page tables, TLBs,
//! an LRU with per-CPU batches, reverse mapping, mmu notifiers, swap, files, memory cgroups and devices that behave as
//! Linux' do, with a ledger beside them that is compared with them at every step.
//!
//! - [`Machine`] is built from a [`Config`], which is plain data.
//! - [`Machine::cpu`] gives an actor's handle, [`Cpu`]; [`Cpu::device`] a driver's, [`Dev`].
//! - What actors do is in [`paths`] and [`driver`]; the pipeline's own primitives are in [`ops`].
//! - What it models, at what grain, and what not: [`scope`].
//! - What is wrong is in [`Machine::violations`]; [`invariants`] says what is checked and when.
//! - What happened is in [`Machine::events`]; how to break it is in [`Bug`].
//!
//! ```
//! use migrate_pin_core::ops::Range;
//! use migrate_pin_core::{Access, PAGE_SIZE};
//! use migrate_pin_sim::{ActorId, Config, DeviceId, DeviceOp, Machine, MmId, Populate, Progress, Spin};
//!
//! let machine = Machine::<Spin>::new(&Config::SMALL).unwrap();
//! machine.populate(MmId(0), 1, Populate::Written(7));
//! let driver = machine.cpu(ActorId(0)).device(DeviceId(0), MmId(0));
//! let range = Range { start: PAGE_SIZE, end: 2 * PAGE_SIZE };
//! let Progress::Done(Ok(acquired)) = driver.acquire(range, Access::Write) else { panic!() };
//! assert_eq!(acquired.granted, 1);
//! assert_eq!(driver.access(PAGE_SIZE, DeviceOp::Add(1)), Some(7));
//! // A CPU wants it back.
//! assert_eq!(machine.cpu(ActorId(1)).read(PAGE_SIZE), Progress::Done(Ok(8)));
//! machine.check_quiescent();
//! assert!(machine.violations().is_empty());
//! ```

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

pub mod bug;
pub mod config;
pub mod cpu;
pub mod device;
pub mod driver;
#[cfg(feature = "engines")]
pub mod engine;
pub mod entry;
pub mod event;
pub mod frame;
#[cfg(feature = "engines")]
pub mod grammar;
mod huge;
pub mod invariants;
mod ledger;
pub mod lock;
mod lru;
pub mod machine;
pub mod mm;
mod notifier;
pub mod ops;
mod pageref;
pub mod paths;
#[cfg(feature = "engines")]
pub mod race;
mod restore;
mod rmap;
#[cfg(feature = "std")]
pub mod scenario;
#[doc = include_str!("../SCOPE.md")]
pub mod scope {}
pub mod sides;
pub mod sync;
mod tlb;
pub mod violation;

pub use bug::Bug;
pub use config::{
    ActorId, ActorSpec, AllocKind, Config, DeviceId, DeviceSpec, DriverKind, FailSpec, FileId,
    FileSpec, MemcgId, MirrorSpec, MmId, MmSpec, VmaKind, VmaSpec,
};
pub use cpu::{Cpu, Progress, WaitFor};
pub use device::{Dev, DeviceOp};
pub use driver::session::{Purpose, Session};
pub use entry::Entry;
pub use event::{Event, EventSet};
pub use frame::{FrameZone, PageFlags};
pub use invariants::WordStage;
pub use lock::LockName;
pub use machine::{ConfigError, LruState, Machine, PageState};
pub use mm::Vma;
pub use paths::access::{AccessError, CpuOp};
pub use paths::gup::{GupFlags, GupRef};
pub use paths::populate::Populate;
pub use paths::zap::MapError;
pub use sync::{Spin, SpinBare, SpinThreads, Synchronisation};
pub use violation::{Invariant, Violation};
