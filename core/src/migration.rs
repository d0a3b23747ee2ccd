//! [`Migration`]: what a caller holds from setup to finalize, as a typestate.
//!
//! `setup` → [`Migration<Unmapped>`](Unmapped) → `pages` → [`Migration<Moved>`](Moved) → `finalize`.
//! A stage that is skipped, repeated or taken out of turn does not compile; a migration that is dropped
//! puts everything back.
//!
//! ```compile_fail
//! # use migrate_pin_core::{migration::Migration, Hardened, MmOps, Unmapped, V5_11};
//! fn twice<M: MmOps>(migration: Migration<'_, M, Hardened, V5_11, Unmapped>) {
//!     migration.finalize(); // pages comes first
//! }
//! ```
//!
//! Where three C calls have to carry it, [`Migration::into_raw`] and [`Migration::from_raw`] take it
//! apart and put it together again, checked.

use core::marker::PhantomData;

use crate::border;
use crate::collect::collect;
use crate::error::Error;
use crate::finalize::finalize;
use crate::ops::{MmOps, Owner, Range, VmaFlags};
use crate::pages::pages;
use crate::pfn::{DstPfn, Pfn, SrcPfn};
use crate::policy::{Policy, Rules, Shape};
use crate::prepare::prepare;
use crate::unmap::{isolate_and_unmap, unmap};

bitflags::bitflags! {
    /// Which pages a migration selects (`enum migrate_vma_direction`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Select: u32 {
        /// `MIGRATE_VMA_SELECT_SYSTEM`: system memory.
        const SYSTEM = 1 << 0;
        /// `MIGRATE_VMA_SELECT_DEVICE_PRIVATE`: device-private memory of the caller's owner.
        const DEVICE_PRIVATE = 1 << 1;
        /// `MIGRATE_VMA_SELECT_DEVICE_COHERENT`: device-coherent memory of the caller's owner (6.12).
        const DEVICE_COHERENT = 1 << 2;
    }
}

/// What setup is asked to do (`struct migrate_vma`).
#[derive(Debug)]
pub struct Request<'a, V> {
    /// The area.
    pub vma: V,
    /// The addresses to migrate, within the area.
    pub range: Range,
    /// One word a page: 0, or [`SrcPfn::PIN`] where the page is to be pinned.
    pub src: &'a mut [SrcPfn],
    /// One word a page; what stands there before setup is of no meaning under
    /// [`Hardened`](crate::policy::Hardened), and must be 0 under [`AsPosted`](crate::policy::AsPosted).
    pub dst: &'a mut [DstPfn],
    /// The caller's token (`pgmap_owner`).
    pub owner: Owner,
    /// Which pages to take.
    pub select: Select,
    /// The device-private page whose fault is being handled, if one is; the caller holds a reference on
    /// it (6.12; 5.11 has no such field, and takes no notice).
    pub fault_page: Option<Pfn>,
}

/// The part of a request that the stages need.
#[derive(Clone, Copy, Debug)]
pub struct Context<V> {
    /// The area.
    pub vma: V,
    /// The addresses, page aligned.
    pub range: Range,
    /// The caller's token.
    pub owner: Owner,
    /// Which pages to take.
    pub select: Select,
    /// The page that is being faulted on.
    pub fault_page: Option<Pfn>,
    /// The area is anonymous.
    pub anonymous: bool,
}

/// The part of a request that concerns every page, wherever its migration started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The caller's token.
    pub owner: Owner,
    /// The page that is being faulted on.
    pub fault_page: Option<Pfn>,
}

impl<V> Context<V> {
    /// What concerns every page.
    #[must_use]
    pub const fn known(&self) -> Known {
        Known {
            owner: self.owner,
            fault_page: self.fault_page,
        }
    }
}

/// A stage of a [`Migration`].
pub trait Stage {
    /// The stage as a value.
    #[doc(hidden)]
    const STAGE: RawStage;
}

/// After setup: pages with MIGRATE are locked and mapped nowhere; the driver fills `dst`.
#[derive(Debug)]
pub enum Unmapped {}

/// After pages: entries that still have MIGRATE have moved; the driver updates its own page table.
#[derive(Debug)]
pub enum Moved {}

impl Stage for Unmapped {
    const STAGE: RawStage = RawStage::Unmapped;
}
impl Stage for Moved {
    const STAGE: RawStage = RawStage::Moved;
}

/// The stage of a [`RawMigration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum RawStage {
    /// Nothing to do any more.
    Done = 0,
    /// As [`Unmapped`].
    Unmapped = 1,
    /// As [`Moved`].
    Moved = 2,
}

/// A migration between two C calls: everything but the arrays, which the caller keeps.
///
/// It is good for one [`Migration::from_raw`], which marks it as done. Who drops it without leaves pages
/// locked and unmapped for good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
#[must_use = "pages stay locked and unmapped until the migration is put together again"]
pub struct RawMigration<V> {
    /// The area.
    pub vma: V,
    /// First address.
    pub start: usize,
    /// One past the last address.
    pub end: usize,
    /// The caller's token.
    pub owner: usize,
    /// The page that is being faulted on, 0 for none.
    pub fault_page: usize,
    /// Entries that had MIGRATE when setup returned.
    pub cpages: usize,
    /// [`Select`] as bits.
    pub select: u32,
    /// [`RawStage`] as a number.
    pub stage: u32,
    /// Policy and shape, as a number.
    pub rules: u32,
    /// A checksum of the above, of the source words, and of the destination words after pages.
    pub checksum: usize,
}

/// What a stage leaves behind if it is refused: the error, and the migration as it was.
pub struct Refused<T> {
    /// Why.
    pub error: Error,
    /// The migration, unchanged: mend the words and try again, or drop it.
    pub migration: T,
}

impl<T> core::fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Refused")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// Owns the pages of a migration; dropping it gives them back.
struct Guard<'a, M: MmOps, P: Policy, S: Shape> {
    ops: M,
    context: Context<M::Vma>,
    src: &'a mut [SrcPfn],
    dst: &'a mut [DstPfn],
    cpages: usize,
    stage: RawStage,
    rules: PhantomData<(P, S)>,
}

/// Give up what was unmapped: every page goes back to where it was. What stands in `dst` is the caller's still.
pub(crate) fn put_back<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    area: Option<&Context<M::Vma>>,
    src: &mut [SrcPfn],
) {
    for word in src.iter_mut() {
        *word = word.without(crate::MigratePfn::MIGRATE);
    }
    finalize::<P, S, M>(ops, area, src, &[]);
    src.fill(SrcPfn::NONE);
}

impl<M: MmOps, P: Policy, S: Shape> Drop for Guard<'_, M, P, S> {
    fn drop(&mut self) {
        let area = Some(&self.context);
        match self.stage {
            RawStage::Done => {}
            RawStage::Unmapped => put_back::<P, S, M>(&mut self.ops, area, self.src),
            RawStage::Moved => finalize::<P, S, M>(&mut self.ops, area, self.src, self.dst),
        }
    }
}

/// A migration that is under way.
///
/// `M` is a handle on the machine, often `&mut` one; `P` and `S` are the policy and the shape; `St` is
/// the stage, [`Unmapped`] or [`Moved`].
///
/// **Dropping** it before pages puts every page back where it was, and leaves what `dst` names to the
/// caller. After pages the destinations already are the pages, so dropping finishes what moved, and puts
/// the rest back: the same as [`Migration::finalize`].
pub struct Migration<'a, M: MmOps, P: Policy, S: Shape, St: Stage> {
    guard: Guard<'a, M, P, S>,
    stage: PhantomData<St>,
}

/// `migrate_vma_setup()`: collect, prepare and unmap the pages of a range.
///
/// The caller holds `mmap_lock` for reading until the migration is finalized. May sleep.
///
/// ```
/// use migrate_pin_core::{error::EINVAL, Error};
/// // What a caller in C sees of a refusal:
/// let refused = Error::Unaligned { address: 0x1234 };
/// assert_eq!(refused.errno(), EINVAL);
/// ```
///
/// # Errors
/// An [`Error`] about the area, the range, the arrays or a source word; nothing was taken or changed.
pub fn setup<'a, P: Policy, S: Shape, M: MmOps>(
    mut ops: M,
    request: Request<'a, M::Vma>,
) -> Result<Migration<'a, M, P, S, Unmapped>, Error> {
    let context = asked::<P, S, M>(&mut ops, &request)?;
    if Rules::of::<P, S>().checks_words() {
        border::check_sources(request.src)?;
        request.dst.fill(DstPfn::NONE);
    }
    let mut guard = Guard::<'a, M, P, S> {
        ops,
        context,
        src: request.src,
        dst: request.dst,
        cpages: 0,
        stage: RawStage::Unmapped,
        rules: PhantomData,
    };
    let (ops, context) = (&mut guard.ops, &guard.context);
    guard.cpages = unmap_range::<P, S, M>(ops, context, guard.src, guard.dst);
    Ok(Migration {
        guard,
        stage: PhantomData,
    })
}

/// [`setup`] and [`Migration::into_words`] in one, for a caller that carries nothing but the words: without a [`Migration`]
/// that is put together and taken apart, and of sources that say nothing, whatever stood there. Entries that have MIGRATE
/// (`cpages`).
///
/// # Errors
/// As of [`setup`], but none about a source word. Nothing was taken or changed.
#[inline(always)]
pub fn setup_by_words<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    request: Request<'_, M::Vma>,
) -> Result<usize, Error> {
    let context = asked::<P, S, M>(ops, &request)?;
    request.src.fill(SrcPfn::NONE);
    request.dst.fill(DstPfn::NONE);
    Ok(unmap_range::<P, S, M>(
        ops,
        &context,
        request.src,
        request.dst,
    ))
}

/// What the stages need of a request: the area, the range and the arrays are checked, the words are not looked at.
#[inline(always)]
fn context<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    request: &Request<'_, M::Vma>,
) -> Result<Context<M::Vma>, Error> {
    let rules = Rules::of::<P, S>();
    let vma = ops.vma_facts(request.vma);
    let range = border::check_range(rules, vma, request.range)?;
    border::check_length(range, request.src.len(), request.dst.len())?;
    Ok(Context {
        vma: request.vma,
        range,
        owner: request.owner,
        select: request.select,
        fault_page: request.fault_page.filter(|_| rules.has_fault_page()),
        anonymous: vma.flags.contains(VmaFlags::ANONYMOUS),
    })
}

/// The same of a request to setup.
#[inline(always)]
fn asked<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    request: &Request<'_, M::Vma>,
) -> Result<Context<M::Vma>, Error> {
    let context = context::<P, S, M>(ops, request)?;
    match context.fault_page {
        Some(page) if !ops.page_exists(page) || !ops.page_zone(page).is_device_private() => {
            Err(Error::FaultPage { page })
        }
        _ => Ok(context),
    }
}

/// Collect, prepare and unmap; the entries that have MIGRATE then.
#[inline(always)]
fn unmap_range<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    context: &Context<M::Vma>,
    src: &mut [SrcPfn],
    dst: &mut [DstPfn],
) -> usize {
    let rules = Rules::of::<P, S>();
    let mut cpages = collect::<P, S, M>(ops, context, src, dst);
    if cpages == 0 {
        return 0;
    }
    if !rules.prepares_apart() {
        return isolate_and_unmap::<P, S, M>(ops, context.known(), src);
    }
    cpages = prepare::<P, S, M>(ops, context, src, cpages);
    if cpages > 0 {
        cpages = unmap::<P, S, M>(ops, context.known(), src, cpages);
    }
    cpages
}

impl<M: MmOps, P: Policy, S: Shape> Guard<'_, M, P, S> {
    fn raw(&self) -> RawMigration<M::Vma> {
        let context = &self.context;
        let mut raw = RawMigration {
            vma: context.vma,
            start: context.range.start,
            end: context.range.end,
            owner: context.owner.0,
            fault_page: context.fault_page.map_or(0, |page| page.0),
            cpages: self.cpages,
            select: context.select.bits(),
            stage: self.stage as u32,
            rules: Rules::of::<P, S>().code(),
            checksum: 0,
        };
        raw.checksum = checksum(&raw, self.src, self.dst);
        raw
    }
}

/// The same of a request that was carried from call to call.
#[inline(always)]
fn carried<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    request: &Request<'_, M::Vma>,
) -> Result<Context<M::Vma>, Error> {
    let context = context::<P, S, M>(ops, request)?;
    if Rules::of::<P, S>().checks_words() {
        border::check_carried(request.src)?;
    }
    Ok(context)
}

/// [`Migration::pages`] for a caller that carries nothing but the words: [`Migration::from_words`], pages and
/// [`Migration::into_words`] in one, without a [`Migration`] that is put together and taken apart.
///
/// # Errors
/// As of `from_words` and of `pages`. Nothing was changed: with other destinations it can be tried again.
pub fn pages_by_words<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    request: &mut Request<'_, M::Vma>,
) -> Result<(), Error> {
    let rules = Rules::of::<P, S>();
    let context = carried::<P, S, M>(ops, request)?;
    if rules.checks_words() {
        border::claim_destinations(ops, rules, context.owner, request.src, request.dst)?;
    }
    let known = context.known();
    pages::<P, S, M>(ops, known, Some(&context), request.src, request.dst);
    Ok(())
}

/// [`Migration::finalize`] for a caller that carries nothing but the words.
///
/// # Errors
/// As of [`Migration::from_words`]. Nothing was changed.
pub fn finalize_by_words<P: Policy, S: Shape, M: MmOps>(
    ops: &mut M,
    request: &Request<'_, M::Vma>,
) -> Result<(), Error> {
    let context = carried::<P, S, M>(ops, request)?;
    finalize::<P, S, M>(ops, Some(&context), request.src, request.dst);
    Ok(())
}

/// FNV-1a over words. It finds accidents, not forgeries.
fn checksum<V>(raw: &RawMigration<V>, src: &[SrcPfn], dst: &[DstPfn]) -> usize {
    // The 32-bit parameters; on 64 bits the upper half takes part through the carries.
    let mut sum = 0x811c_9dc5_usize;
    let mut add = |word: usize| {
        for part in [word & 0xffff, word >> 16] {
            sum = (sum ^ part).wrapping_mul(0x0100_0193).rotate_left(7);
        }
    };
    for word in [
        raw.start,
        raw.end,
        raw.owner,
        raw.fault_page,
        raw.cpages,
        raw.select as usize,
        raw.stage as usize,
        raw.rules as usize,
    ] {
        add(word);
    }
    for word in src {
        add(word.raw());
    }
    if raw.stage == RawStage::Moved as u32 {
        for word in dst {
            add(word.raw());
        }
    }
    sum
}

impl<'a, M: MmOps, P: Policy, S: Shape, St: Stage> Migration<'a, M, P, S, St> {
    /// The source words as they stand now, one a page.
    #[must_use]
    pub fn src(&self) -> &[SrcPfn] {
        self.guard.src
    }

    /// The destination words as they stand now, one a page.
    #[must_use]
    pub fn dst(&self) -> &[DstPfn] {
        self.guard.dst
    }

    /// Entries that had MIGRATE when setup returned.
    #[must_use]
    pub fn cpages(&self) -> usize {
        self.guard.cpages
    }

    /// The addresses that are migrated.
    #[must_use]
    pub fn range(&self) -> Range {
        self.guard.context.range
    }

    /// The handle on the machine.
    pub fn ops(&mut self) -> &mut M {
        &mut self.guard.ops
    }

    /// Take the migration apart, to be carried over a C call. The arrays go back to the caller, who
    /// changes nothing in `src`, and in `dst` only what the stage permits.
    pub fn into_raw(mut self) -> RawMigration<M::Vma> {
        let raw = self.guard.raw();
        self.guard.stage = RawStage::Done;
        raw
    }

    /// Leave the migration in its words, for a caller that carries nothing but `struct migrate_vma` from call to
    /// call, as those of the kernel's own API do. The array of sources is not to be changed until
    /// [`from_words`](Self::from_words). Entries that had MIGRATE when setup returned (`cpages`).
    pub fn into_words(mut self) -> usize {
        self.guard.stage = RawStage::Done;
        self.guard.cpages
    }

    /// Go on with a migration of which there is nothing left but the words and what was asked of setup, the
    /// same again. That it is at the stage `St` is the caller's word; who can keep more uses
    /// [`from_raw`](Self::from_raw).
    ///
    /// # Errors
    /// As [`setup`] for the range and the arrays; under [`Hardened`](crate::policy::Hardened)
    /// [`Error::Src`] for a source word that setup can't have left. Nothing was changed.
    pub fn from_words(
        mut ops: M,
        request: Request<'a, M::Vma>,
        cpages: usize,
    ) -> Result<Self, Error> {
        let context = carried::<P, S, M>(&mut ops, &request)?;
        Ok(Self {
            guard: Guard {
                ops,
                context,
                src: request.src,
                dst: request.dst,
                cpages,
                stage: St::STAGE,
                rules: PhantomData,
            },
            stage: PhantomData,
        })
    }

    /// Put a migration together again. `raw` is done with then, so that it can't be used twice.
    ///
    /// # Errors
    /// [`Error::Stage`] if `raw` is at another stage, or done; [`Error::OtherRules`] if it was set up
    /// under another policy or on another shape; an error about the range or the arrays if those do
    /// not fit the area; under [`Hardened`](crate::policy::Hardened) [`Error::Stale`] if a word changed
    /// that must not. Nothing was changed: with the right words it can be tried again.
    pub fn from_raw(
        mut ops: M,
        raw: &mut RawMigration<M::Vma>,
        src: &'a mut [SrcPfn],
        dst: &'a mut [DstPfn],
    ) -> Result<Self, Error> {
        let rules = Rules::of::<P, S>();
        if raw.stage != St::STAGE as u32 {
            return Err(Error::Stage);
        }
        if raw.rules != rules.code() {
            return Err(Error::OtherRules);
        }
        let vma = ops.vma_facts(raw.vma);
        let asked = Range {
            start: raw.start,
            end: raw.end,
        };
        let range = border::check_range(rules, vma, asked)?;
        border::check_length(range, src.len(), dst.len())?;
        if rules.checks_words() && checksum(raw, src, dst) != raw.checksum {
            return Err(Error::Stale);
        }
        raw.stage = RawStage::Done as u32;
        Ok(Self {
            guard: Guard {
                ops,
                context: Context {
                    vma: raw.vma,
                    range,
                    owner: Owner(raw.owner),
                    select: Select::from_bits_truncate(raw.select),
                    fault_page: match raw.fault_page {
                        0 => None,
                        page => Some(Pfn(page)),
                    },
                    anonymous: vma.flags.contains(VmaFlags::ANONYMOUS),
                },
                src,
                dst,
                cpages: raw.cpages,
                stage: St::STAGE,
                rules: PhantomData,
            },
            stage: PhantomData,
        })
    }
}

impl<'a, M: MmOps, P: Policy, S: Shape> Migration<'a, M, P, S, Unmapped> {
    /// The destination words, for the driver to fill.
    pub fn dst_mut(&mut self) -> &mut [DstPfn] {
        self.guard.dst
    }

    /// Source and destination words side by side, and the handle on the machine.
    pub fn parts(&mut self) -> (&mut M, &[SrcPfn], &mut [DstPfn]) {
        (&mut self.guard.ops, self.guard.src, self.guard.dst)
    }

    /// `migrate_vma_pages()`: hand over to the destinations. May sleep.
    ///
    /// Each destination is a page that the driver locked and holds a reference on; both pass to the
    /// migration. Entries that could not be handed over lose MIGRATE.
    ///
    /// # Errors
    /// Under [`Hardened`](crate::policy::Hardened) [`Error::Dst`] or [`Error::Destination`] for the first
    /// destination that can be told to be wrong. Then nothing was changed, all destinations are the
    /// caller's still, and the migration comes back with the error.
    #[allow(clippy::result_large_err)] // No allocation to hide it in.
    pub fn pages(mut self) -> Result<Migration<'a, M, P, S, Moved>, Refused<Self>> {
        let guard = &mut self.guard;
        let rules = Rules::of::<P, S>();
        if rules.checks_words() {
            let claimed = border::claim_destinations(
                &mut guard.ops,
                rules,
                guard.context.owner,
                guard.src,
                guard.dst,
            );
            if let Err(error) = claimed {
                return Err(Refused {
                    error,
                    migration: self,
                });
            }
        }
        let known = guard.context.known();
        let area = Some(&guard.context);
        pages::<P, S, M>(&mut guard.ops, known, area, guard.src, guard.dst);
        guard.stage = RawStage::Moved;
        Ok(Migration {
            guard: self.guard,
            stage: PhantomData,
        })
    }
}

impl<M: MmOps, P: Policy, S: Shape> Migration<'_, M, P, S, Moved> {
    /// `migrate_vma_finalize()`: map the destinations, or the sources where nothing moved, and give
    /// everything back. The words stay as they are, for the caller to read. May sleep.
    pub fn finalize(self) {
        // The guard does it as it is dropped, here as anywhere else.
    }
}
