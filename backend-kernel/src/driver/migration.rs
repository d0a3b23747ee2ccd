// SPDX-License-Identifier: GPL-2.0-only
//! [`Migration`], [`Moved`]: a migration that is under way, and what it may become.

use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::sync::atomic::Ordering;

use migrate_pin_core::ops::{MmOps, Zone};
use migrate_pin_core::{self as logic, DstPfn, Hardened, Pfn, SrcPfn, Unmapped, V6_12};

use super::error::Error;
use super::memory::{DeviceMemory, DevicePage};
use super::page::{give_back, SystemPage};
use super::Driver;
use crate::ops::KernelOps;

type At<'a, St> = logic::Migration<'a, KernelOps, Hardened, V6_12, St>;

/// A migration between setup and pages: what migrates is locked and mapped nowhere; the driver gives destinations.
///
/// A destination is a page that it has, and no number, so that there is nothing in it that could be wrong but whose
/// it is. It ends before the lock that it began under:
///
/// ```no_run
/// use migrate_pin_core::{Range, Select};
/// use migrate_pin_kernel::driver::{Driver, Error, Mirror, Words};
/// fn moved<D: Driver>(mirror: &Mirror<D>, range: Range, words: &mut Words) -> Result<usize, Error> {
///     let users = mirror.mm().users().ok_or(Error::NoMemory)?;
///     let lock = users.read_lock();
///     let area = lock.area_at(range.start).ok_or(Error::NoMemory)?;
///     let migration = mirror.migrate(area, range, Select::SYSTEM, words)?;
///     let moved = migration.pages().map_err(|(error, _)| error)?;
///     let n = moved.count();
///     moved.finalize();
///     Ok(n)
/// }
/// ```
///
/// ```compile_fail,E0505
/// use migrate_pin_core::{Range, Select};
/// use migrate_pin_kernel::driver::{Driver, Error, Mirror, Words};
/// fn moved<D: Driver>(mirror: &Mirror<D>, range: Range, words: &mut Words) -> Result<usize, Error> {
///     let users = mirror.mm().users().ok_or(Error::NoMemory)?;
///     let lock = users.read_lock();
///     let area = lock.area_at(range.start).ok_or(Error::NoMemory)?;
///     let migration = mirror.migrate(area, range, Select::SYSTEM, words)?;
///     drop(lock); // too early
///     let moved = migration.pages().map_err(|(error, _)| error)?;
///     let n = moved.count();
///     moved.finalize();
///     Ok(n)
/// }
/// ```
///
/// Its words can't be changed while it is under way, nor a stage be taken twice or out of turn:
///
/// ```compile_fail,E0502
/// use migrate_pin_core::{Range, Select, SrcPfn};
/// use migrate_pin_kernel::driver::{Area, Driver, Error, Mirror, Words};
/// fn tampered<D: Driver>(mirror: &Mirror<D>, area: Area<'_>, range: Range) -> Result<(), Error> {
///     let mut words = Words::new(1)?;
///     let migration = mirror.migrate(area, range, Select::SYSTEM, &mut words)?;
///     let seen = words.src().first().copied();
///     drop(migration);
///     Ok(())
/// }
/// ```
///
/// ```compile_fail,E0382
/// use migrate_pin_kernel::driver::{Driver, Migration};
/// fn twice<D: Driver>(migration: Migration<'_, D>) {
///     let _ = migration.pages();
///     let _ = migration.pages();
/// }
/// ```
///
/// ```compile_fail,E0599
/// use migrate_pin_kernel::driver::{Driver, Migration};
/// fn early<D: Driver>(migration: Migration<'_, D>) {
///     migration.finalize(); // pages comes first
/// }
/// ```
///
/// **Dropping** it puts every page back where it was, frees the destinations, and may sleep.
///
/// # Invariants
///
/// Each destination word that is not 0 is of a page, locked and with one reference, which this value owns.
pub struct Migration<'a, D: Driver> {
    inner: ManuallyDrop<At<'a, Unmapped>>,
    memory: &'static DeviceMemory<D>,
}

impl<'a, D: Driver> Migration<'a, D> {
    /// Of the driver of `memory`. `core` has left no destination.
    pub(super) fn new(inner: At<'a, Unmapped>, memory: &'static DeviceMemory<D>) -> Self {
        // INVARIANT: all of them are 0.
        Self {
            inner: ManuallyDrop::new(inner),
            memory,
        }
    }

    /// The source words.
    #[must_use]
    pub fn src(&self) -> &[SrcPfn] {
        self.inner.src()
    }

    /// Entries that migrate.
    #[must_use]
    pub fn cpages(&self) -> usize {
        self.inner.cpages()
    }

    /// The source of an entry that migrates, if it is system memory, which can be read. None for an empty entry, whose
    /// contents are zeroes.
    #[must_use]
    pub fn source(&self, index: usize) -> Option<Source<'_>> {
        let word = self.src().get(index).filter(|word| word.migrating())?;
        let page = word.pfn()?;
        // SAFETY: the one primitive that is called needs nothing but the page, which the migration has a reference on.
        let zone = unsafe { KernelOps::new() }.page_zone(page);
        // INVARIANT: it is system memory of a migration that is under way.
        (zone == Zone::System).then_some(Source {
            page,
            migration: PhantomData,
        })
    }

    /// Give a page of the device's memory to an entry.
    ///
    /// # Errors
    /// The page, if there is no such entry, it has one, or its source is part of a pin: a page that is pinned gets its device
    /// page from [`Mirror::acquire`](super::Mirror::acquire), and goes home by a fault or [`Mirror::revoke`](super::Mirror::revoke),
    /// which take it from the device first.
    pub fn give(&mut self, index: usize, page: DevicePage<D>) -> Result<(), DevicePage<D>> {
        match self.vacant(index) {
            Some(word) => {
                // INVARIANT: the page is this value's now.
                *word = DstPfn::page(page.into_locked());
                Ok(())
            }
            None => Err(page),
        }
    }

    /// Give a page of system memory to an entry.
    ///
    /// # Errors
    /// The page, if there is no such entry, it has one, or its source is part of a pin: a page that is pinned gets its device
    /// page from [`Mirror::acquire`](super::Mirror::acquire), and goes home by a fault or [`Mirror::revoke`](super::Mirror::revoke),
    /// which take it from the device first.
    pub fn give_system(&mut self, index: usize, page: SystemPage) -> Result<(), SystemPage> {
        match self.vacant(index) {
            Some(word) => {
                // INVARIANT: the page is this value's now.
                *word = DstPfn::page(page.into_locked());
                Ok(())
            }
            None => Err(page),
        }
    }

    fn vacant(&mut self, index: usize) -> Option<&mut DstPfn> {
        let source = *self.src().get(index)?;
        let original = source
            .pfn()
            .and_then(|page| self.memory.record(page))
            .map_or(0, |record| record.original.load(Ordering::Relaxed));
        if source.pin() || original != 0 {
            return None;
        }
        let word = self.inner.dst_mut().get_mut(index)?;
        (*word == DstPfn::NONE).then_some(word)
    }

    /// Hand over to the destinations. Entries that could not be handed over lose MIGRATE. May sleep.
    ///
    /// # Errors
    /// [`Error::Refused`] with `EPERM` for a device page of another device's memory; nothing was changed.
    #[allow(clippy::result_large_err)] // No allocation to hide it in.
    pub fn pages(self) -> Result<Moved<'a>, (Error, Self)> {
        let mut this = ManuallyDrop::new(self);
        let memory = this.memory;
        // SAFETY: `this` is not used, nor dropped, after that.
        let inner = unsafe { ManuallyDrop::take(&mut this.inner) };
        match inner.pages() {
            Ok(moved) => Ok(Moved(moved)),
            // INVARIANT: the destinations are the caller's still.
            Err(refused) => Err((
                refused.error.into(),
                Self {
                    inner: ManuallyDrop::new(refused.migration),
                    memory,
                },
            )),
        }
    }
}

impl<D: Driver> Drop for Migration<'_, D> {
    fn drop(&mut self) {
        for word in self.inner.dst_mut() {
            if let Some(page) = word.pfn() {
                *word = DstPfn::NONE;
                // SAFETY: by the type invariant.
                unsafe { give_back(page) };
            }
        }
        // SAFETY: it is not used after this.
        unsafe { ManuallyDrop::drop(&mut self.inner) };
    }
}

impl<D: Driver> fmt::Debug for Migration<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Migration")
    }
}

/// A migration after pages: entries that still have MIGRATE have moved.
///
/// Dropping it finalizes it, and may sleep.
pub struct Moved<'a>(At<'a, logic::Moved>);

impl Moved<'_> {
    /// The source words.
    #[must_use]
    pub fn src(&self) -> &[SrcPfn] {
        self.0.src()
    }

    /// Entries that moved.
    #[must_use]
    pub fn count(&self) -> usize {
        self.src().iter().filter(|word| word.migrating()).count()
    }

    /// Map the destinations, or the sources where nothing moved, and give everything back. May sleep.
    pub fn finalize(self) {
        self.0.finalize();
    }
}

/// A page of system memory that a migration has unmapped.
///
/// # Invariants
///
/// The migration has it, locked and mapped nowhere, for as long as `'a`.
#[derive(Debug)]
pub struct Source<'a> {
    page: Pfn,
    migration: PhantomData<&'a ()>,
}

impl Source<'_> {
    /// Which page it is.
    #[must_use]
    pub fn pfn(&self) -> Pfn {
        self.page
    }
}
