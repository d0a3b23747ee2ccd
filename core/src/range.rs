//! *range*: migration that starts from device pfns, wherever they are mapped (`migrate_device_range()`,
//! `migrate_device_pages()`, `migrate_device_finalize()`; 6.12 only).
//!
//! A driver that is about to lose its memory (unbind, suspend, eviction) knows its pages, but not who maps
//! them. So there is no area, no walk and no notifier section here; the rest is the same pipeline: what
//! [`collect`](crate::collect) does through a page table is done page by page, then
//! [`unmap`](crate::unmap), [`pages`](crate::pages) and [`finalize`](crate::finalize) follow.
//!
//! Touched here: source words, references and locks.

use core::marker::PhantomData;

use crate::border;
use crate::error::Error;
use crate::finalize::finalize;
use crate::migration::{put_back, Known, Moved, RawStage, Refused, Stage, Unmapped};
use crate::ops::{MmOps, Owner, Zone};
use crate::pages::pages;
use crate::pfn::{DstPfn, MigratePfn, Pfn, SrcPfn, MIGRATE_PFN_SHIFT};
use crate::policy::{Policy, Rules, V6_12};
use crate::unmap::isolate_and_unmap;

/// What is known of one page of the range before anything was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFacts {
    /// There is such a page frame.
    pub exists: bool,
    /// What memory it is (no such page: of no meaning).
    pub zone: Zone,
}

/// Is a page of the range tried at all?
///
/// As posted (the kernel): all are, whatever they are. Hardened: the caller's own device memory only; a
/// system page would be unmapped under a stranger's hands.
///
/// ```
/// use migrate_pin_core::range::{decide_page, PageFacts};
/// use migrate_pin_core::{AsPosted, Hardened, Owner, Rules, Zone, V6_12};
/// let page = PageFacts { exists: true, zone: Zone::System };
/// assert!(decide_page(Rules::of::<AsPosted, V6_12>(), page, Owner(1)));
/// assert!(!decide_page(Rules::of::<Hardened, V6_12>(), page, Owner(1)));
/// ```
#[must_use]
pub fn decide_page(rules: Rules, page: PageFacts, owner: Owner) -> bool {
    if !rules.checks_words() {
        return true;
    }
    page.exists
        && match page.zone {
            Zone::DevicePrivate(of) | Zone::DeviceCoherent(of) => of == owner,
            Zone::System | Zone::DeviceOther => false,
        }
}

/// Take one page: its word, or none if it is free, locked by another, or not to be tried.
fn take<M: MmOps>(ops: &mut M, rules: Rules, owner: Owner, page: Pfn) -> SrcPfn {
    if rules.checks_words() {
        let exists = ops.page_exists(page);
        let zone = match exists {
            true => ops.page_zone(page),
            false => Zone::System,
        };
        if !decide_page(rules, PageFacts { exists, zone }, owner) {
            return SrcPfn::NONE;
        }
    }
    if !ops.get_page_unless_zero(page) {
        return SrcPfn::NONE;
    }
    if !ops.trylock_page(page) {
        ops.put_page(page);
        return SrcPfn::NONE;
    }
    SrcPfn::page(page, MigratePfn::MIGRATE)
}

/// What a migration of device pfns is asked to do.
#[derive(Debug)]
pub struct DeviceRequest<'a> {
    /// The first page; there are as many as there are words.
    pub first: Pfn,
    /// One word a page; what stands there is of no meaning.
    pub src: &'a mut [SrcPfn],
    /// One word a page; what stands there is of no meaning.
    pub dst: &'a mut [DstPfn],
    /// Whose memory it is (`pgmap->owner`).
    pub owner: Owner,
}

/// Owns the pages of a migration; dropping it gives them back.
struct Guard<'a, M: MmOps, P: Policy> {
    ops: M,
    known: Known,
    src: &'a mut [SrcPfn],
    dst: &'a mut [DstPfn],
    cpages: usize,
    stage: RawStage,
    policy: PhantomData<P>,
}

impl<M: MmOps, P: Policy> Drop for Guard<'_, M, P> {
    fn drop(&mut self) {
        match self.stage {
            RawStage::Done => {}
            RawStage::Unmapped => put_back::<P, V6_12, M>(&mut self.ops, None, self.src),
            RawStage::Moved => finalize::<P, V6_12, M>(&mut self.ops, None, self.src, self.dst),
        }
    }
}

/// A migration of device pfns that is under way: as [`Migration`](crate::Migration), on the 6.12 shape.
pub struct DeviceMigration<'a, M: MmOps, P: Policy, St: Stage> {
    guard: Guard<'a, M, P>,
    stage: PhantomData<St>,
}

/// `migrate_device_range()`: lock and unmap the device pages of a range of pfns, whoever maps them. Pages
/// that are free or busy are left out: their words are 0.
///
/// The caller holds no lock that a notifier's callback takes. May sleep.
///
/// # Errors
/// [`Error::Length`] if the arrays differ in length; nothing was taken or changed.
pub fn setup_range<'a, P: Policy, M: MmOps>(
    mut ops: M,
    request: DeviceRequest<'a>,
) -> Result<DeviceMigration<'a, M, P, Unmapped>, Error> {
    let DeviceRequest {
        first,
        src,
        dst,
        owner,
    } = request;
    if src.len() != dst.len() {
        return Err(Error::Length {
            pages: src.len(),
            src: src.len(),
            dst: dst.len(),
        });
    }
    dst.fill(DstPfn::NONE);
    let cpages = collect_range::<P, M>(&mut ops, first, owner, src);
    Ok(DeviceMigration::at(ops, owner, src, dst, cpages))
}

/// `migrate_device_range()` for a caller that carries nothing but the words; the number of pages that
/// migrate. See [`DeviceMigration::from_words`].
pub fn collect_range<P: Policy, M: MmOps>(
    ops: &mut M,
    first: Pfn,
    owner: Owner,
    src: &mut [SrcPfn],
) -> usize {
    let rules = Rules::of::<P, V6_12>();
    for (i, word) in src.iter_mut().enumerate() {
        // A pfn that does not fit into a word is none of a page.
        *word = match first.0.checked_add(i) {
            Some(pfn) if pfn <= usize::MAX >> MIGRATE_PFN_SHIFT => {
                take(ops, rules, owner, Pfn(pfn))
            }
            _ => SrcPfn::NONE,
        };
    }
    unmap_words::<P, M>(ops, owner, src)
}

/// `migrate_device_unmap()` for pages that the caller has locked and holds a reference on; the number of
/// them that migrate. The others are unlocked and put, and their words become 0.
pub fn unmap_words<P: Policy, M: MmOps>(ops: &mut M, owner: Owner, src: &mut [SrcPfn]) -> usize {
    let known = Known {
        owner,
        fault_page: None,
    };
    isolate_and_unmap::<P, V6_12, M>(ops, known, src)
}

impl<'a, M: MmOps, P: Policy, St: Stage> DeviceMigration<'a, M, P, St> {
    fn at(
        ops: M,
        owner: Owner,
        src: &'a mut [SrcPfn],
        dst: &'a mut [DstPfn],
        cpages: usize,
    ) -> Self {
        Self {
            guard: Guard {
                ops,
                known: Known {
                    owner,
                    fault_page: None,
                },
                src,
                dst,
                cpages,
                stage: St::STAGE,
                policy: PhantomData,
            },
            stage: PhantomData,
        }
    }

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

    /// The handle on the machine.
    pub fn ops(&mut self) -> &mut M {
        &mut self.guard.ops
    }

    /// Leave the migration in its words, which the caller keeps and changes nothing in but what the stage
    /// permits. Who drops them without [`from_words`](Self::from_words) leaves pages locked and unmapped.
    pub fn into_words(mut self) {
        self.guard.stage = RawStage::Done;
    }

    /// Go on with a migration of which there is nothing left but the words: the kernel's own calls share
    /// no more than that.
    ///
    /// # Errors
    /// [`Error::Length`] if the arrays differ in length; under [`Hardened`](crate::policy::Hardened)
    /// [`Error::Src`] for a source word that setup can't have left. Nothing was changed.
    pub fn from_words(
        ops: M,
        owner: Owner,
        src: &'a mut [SrcPfn],
        dst: &'a mut [DstPfn],
    ) -> Result<Self, Error> {
        if src.len() != dst.len() {
            return Err(Error::Length {
                pages: src.len(),
                src: src.len(),
                dst: dst.len(),
            });
        }
        if Rules::of::<P, V6_12>().checks_words() {
            border::check_carried(src)?;
        }
        let cpages = src.iter().filter(|word| word.migrating()).count();
        Ok(Self::at(ops, owner, src, dst, cpages))
    }
}

impl<'a, M: MmOps, P: Policy> DeviceMigration<'a, M, P, Unmapped> {
    /// The destination words, for the driver to fill.
    pub fn dst_mut(&mut self) -> &mut [DstPfn] {
        self.guard.dst
    }

    /// Source and destination words side by side, and the handle on the machine.
    pub fn parts(&mut self) -> (&mut M, &[SrcPfn], &mut [DstPfn]) {
        (&mut self.guard.ops, self.guard.src, self.guard.dst)
    }

    /// `migrate_device_pages()`: as [`Migration::pages`](crate::Migration::pages), but that an entry with no
    /// source page has nothing to be inserted into.
    ///
    /// # Errors
    /// As there: nothing was changed, and the migration comes back with the error.
    #[allow(clippy::result_large_err)] // No allocation to hide it in.
    pub fn pages(mut self) -> Result<DeviceMigration<'a, M, P, Moved>, Refused<Self>> {
        let guard = &mut self.guard;
        let rules = Rules::of::<P, V6_12>();
        if rules.checks_words() {
            let (owner, ops) = (guard.known.owner, &mut guard.ops);
            if let Err(error) = border::claim_destinations(ops, rules, owner, guard.src, guard.dst)
            {
                return Err(Refused {
                    error,
                    migration: self,
                });
            }
        }
        pages::<P, V6_12, M>(&mut guard.ops, guard.known, None, guard.src, guard.dst);
        guard.stage = RawStage::Moved;
        Ok(DeviceMigration {
            guard: self.guard,
            stage: PhantomData,
        })
    }
}

impl<M: MmOps, P: Policy> DeviceMigration<'_, M, P, Moved> {
    /// `migrate_device_finalize()`: as [`Migration::finalize`](crate::Migration::finalize).
    pub fn finalize(self) {
        // The guard does it as it is dropped, here as anywhere else.
    }
}
