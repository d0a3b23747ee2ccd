//! The two policies and the two shapes of the pipeline, and [`Rules`], which names what differs.
//!
//! Policies and shapes are type parameters of a [`Migration`](crate::migration::Migration), so the unused
//! ones cost nothing. Decisions take them as the value [`Rules`], so that a test can enumerate them.

mod sealed {
    pub trait Sealed {}
}

/// Whose word is law, as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// Exactly what the patch does, defects included.
    AsPosted,
    /// The patch with its defects mended.
    Hardened,
}

/// Which kernel's pipeline, as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShapeKind {
    /// `mm/migrate.c` of 5.11, on which the patch stands.
    V5_11,
    /// `mm/migrate_device.c` of 6.12, with the diff ported to it.
    V6_12,
}

/// [`AsPosted`] or [`Hardened`].
pub trait Policy: sealed::Sealed + 'static {
    /// The policy as a value.
    const KIND: PolicyKind;
}

/// [`V5_11`] or [`V6_12`].
pub trait Shape: sealed::Sealed + 'static {
    /// The shape as a value.
    const KIND: ShapeKind;
}

/// Exactly what the patch does, defects included: the specimen that the checker is shown.
///
/// Words that a caller passes in are not checked, but for what would make a slice overrun, which no
/// policy of a Rust crate can permit.
#[derive(Clone, Copy, Debug)]
pub enum AsPosted {}

/// The patch with its defects mended; the default.
///
/// A caller that follows the protocol gets the same words and the same result as under [`AsPosted`]
/// wherever that breaks no invariant.
#[derive(Clone, Copy, Debug)]
pub enum Hardened {}

/// The pipeline of Linux 5.11.
#[derive(Clone, Copy, Debug)]
pub enum V5_11 {}

/// The pipeline of Linux 6.12.
#[derive(Clone, Copy, Debug)]
pub enum V6_12 {}

impl sealed::Sealed for AsPosted {}
impl sealed::Sealed for Hardened {}
impl sealed::Sealed for V5_11 {}
impl sealed::Sealed for V6_12 {}

impl Policy for AsPosted {
    const KIND: PolicyKind = PolicyKind::AsPosted;
}
impl Policy for Hardened {
    const KIND: PolicyKind = PolicyKind::Hardened;
}
impl Shape for V5_11 {
    const KIND: ShapeKind = ShapeKind::V5_11;
}
impl Shape for V6_12 {
    const KIND: ShapeKind = ShapeKind::V6_12;
}

/// A policy on a shape. Its methods are the one place where the differences have names; the decisions
/// ask them and look at nothing else.
///
/// ```
/// use migrate_pin_core::{AsPosted, Hardened, Rules, V5_11, V6_12};
/// assert!(Rules::of::<AsPosted, V5_11>().counts_pinned_holes());
/// assert!(!Rules::of::<Hardened, V6_12>().counts_pinned_holes());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// The policy.
    pub policy: PolicyKind,
    /// The shape.
    pub shape: ShapeKind,
}

impl Rules {
    /// All four combinations, for tests and tables.
    pub const ALL: [Self; 4] = [
        Self::of::<AsPosted, V5_11>(),
        Self::of::<AsPosted, V6_12>(),
        Self::of::<Hardened, V5_11>(),
        Self::of::<Hardened, V6_12>(),
    ];

    /// The rules of `P` on `S`.
    #[must_use]
    pub const fn of<P: Policy, S: Shape>() -> Self {
        Self {
            policy: P::KIND,
            shape: S::KIND,
        }
    }

    /// As a number, for a [`RawMigration`](crate::migration::RawMigration). Not 0.
    pub(crate) const fn code(self) -> u32 {
        1 + self.hardened() as u32 + 2 * self.modern() as u32
    }

    const fn hardened(self) -> bool {
        matches!(self.policy, PolicyKind::Hardened)
    }

    const fn modern(self) -> bool {
        matches!(self.shape, ShapeKind::V6_12)
    }

    // ---- 5.11 or 6.12 -----------------------------------------------------------------------------

    /// 5.11: a page whose lock is busy in collect keeps its mapping and is tried again in prepare.
    /// 6.12: it is skipped.
    #[must_use]
    pub const fn retries_busy_pages(self) -> bool {
        !self.modern()
    }

    /// 6.12: a hole in a mapping of a file is skipped, which zeroes both words; 5.11 zeroes the source's.
    #[must_use]
    pub const fn skips_file_holes(self) -> bool {
        self.modern()
    }

    /// 6.12 looks again at a huge pmd that it has split, and at a bad one, which it finds cleared then;
    /// 5.11 has a test for each thing that may be there.
    #[must_use]
    pub const fn looks_again(self) -> bool {
        self.modern()
    }

    /// 6.12 tests the count against the expected one before it looks at the mapping.
    #[must_use]
    pub const fn tests_count_first(self) -> bool {
        self.modern()
    }

    /// 6.12: private data is expected to hold a reference on every page that is not anonymous, cached or
    /// not; 5.11: on every cached page.
    #[must_use]
    pub const fn expects_private_by_kind(self) -> bool {
        self.modern()
    }

    /// 6.12 leaves present device memory that is not coherent to the later checks, whatever was selected;
    /// 5.11 treats it as system memory.
    #[must_use]
    pub const fn always_takes_other_devices(self) -> bool {
        self.modern()
    }

    /// 6.12 freezes a cached page's count without a look at the count and the slot before.
    #[must_use]
    pub const fn freezes_unseen(self) -> bool {
        self.modern()
    }

    /// 5.11: words carry LOCKED. 6.12: the bit is gone; what is collected is locked.
    #[must_use]
    pub const fn has_locked_bit(self) -> bool {
        !self.modern()
    }

    /// 6.12: a driver may keep a note in the WRITE bit of a destination word (`lib/test_hmm.c` does); the kernel
    /// takes no notice. 5.11 reserves the bit for sources.
    #[must_use]
    pub const fn leaves_write_to_drivers(self) -> bool {
        self.modern()
    }

    /// 5.11: prepare is a pass of its own that ends with a check and a restore loop; 6.12: isolation and
    /// unmapping are one pass.
    #[must_use]
    pub const fn prepares_apart(self) -> bool {
        !self.modern()
    }

    /// 6.12: young and dirty bits, and exclusivity, are carried by the migration entry.
    #[must_use]
    pub const fn entries_carry_state(self) -> bool {
        self.modern()
    }

    /// 6.12: a caller may name the page whose fault it handles, on which one more reference is allowed.
    #[must_use]
    pub const fn has_fault_page(self) -> bool {
        self.modern()
    }

    /// 6.12: there are device-coherent pages.
    #[must_use]
    pub const fn has_coherent_pages(self) -> bool {
        self.modern()
    }

    /// 6.12: a source in the swap cache is taken out of it before it moves to a device.
    #[must_use]
    pub const fn frees_swap_cache(self) -> bool {
        self.modern()
    }

    /// 5.11: a `ZONE_DEVICE` page counts one reference more than its users, and check passes every
    /// device-private page. 6.12: a device page's count is its users', and check allows it one more all
    /// the same.
    #[must_use]
    pub const fn device_pages_count_one_more(self) -> bool {
        !self.modern()
    }

    /// 6.12: a system destination is put on the LRU before it is mapped; 5.11: after.
    #[must_use]
    pub const fn lru_before_mapping(self) -> bool {
        self.modern()
    }

    /// 6.12 opens the section for insertions as MIGRATE with the caller's owner, 5.11 as CLEAR with none.
    #[must_use]
    pub const fn insert_notifies_as_migrate(self) -> bool {
        self.modern()
    }

    /// 6.12: `mem_cgroup_migrate()` takes the charge away from the source; 5.11 leaves it there.
    #[must_use]
    pub const fn charge_moves(self) -> bool {
        self.modern()
    }

    // ---- as posted or hardened --------------------------------------------------------------------

    /// As posted: a hole whose word has PIN is counted though it does not migrate. (6.12 counts anew in
    /// unmap, so that there it only decides whether unmap runs.)
    #[must_use]
    pub const fn counts_pinned_holes(self) -> bool {
        !self.hardened()
    }

    /// Hardened: words and ranges from outside are checked, and destination words start as zero.
    #[must_use]
    pub const fn checks_words(self) -> bool {
        self.hardened()
    }

    /// Hardened: a pin has a record, without which no bias is dropped.
    #[must_use]
    pub const fn keeps_records(self) -> bool {
        self.hardened()
    }

    /// Hardened: the dirty bit of an entry that collect clears goes to the page, as 6.12 does it (the
    /// mainline fix to `migrate_vma_collect_pmd()`); 5.11 drops it.
    #[must_use]
    pub const fn saves_dirty_bit(self) -> bool {
        self.hardened() || self.modern()
    }

    /// Hardened: the TLB is flushed before the PTL is dropped, as 6.12 does it: else `MADV_DONTNEED` may
    /// return while a CPU still reads the old page through a stale entry.
    #[must_use]
    pub const fn flushes_under_ptl(self) -> bool {
        self.hardened() || self.modern()
    }

    /// Hardened: the reference on a huge page whose lock is busy is dropped; both kernels leak it.
    #[must_use]
    pub const fn drops_busy_huge_page(self) -> bool {
        self.hardened()
    }

    /// Hardened: the bias is added to pages that still migrate only; as posted, to every entry with PIN.
    #[must_use]
    pub const fn pins_only_migrating(self) -> bool {
        self.hardened()
    }

    /// Hardened: if a page is pinned that somebody holds a reference on whom nobody accounts for, every TLB is flushed
    /// before the device gets it. The reference may be that of a zap in another address space, which takes the page out
    /// of its rmap at once and flushes when all its pages are gathered (`zap_present_folio_ptes()`): until then a CPU
    /// reads the page through an entry that no rmap leads to. A page that moves is refused for such a reference.
    #[must_use]
    pub const fn flushes_before_pin(self) -> bool {
        self.hardened()
    }

    /// Hardened: PIN is refused where it can't lead to a pin that someone will release: device memory in
    /// collect; in pages anything but a device-private destination, and an empty entry (the zero page's
    /// word has PIN and MIGRATE), where there is no page that the destination could stand for.
    #[must_use]
    pub const fn refuses_senseless_pins(self) -> bool {
        self.hardened()
    }

    /// Hardened: a page whose file system holds private data stays where it is. Both kernels hand it over as
    /// if it had none (`migrate_page()` is for "pages that do not use PagePrivate"), which drops the data
    /// and leaks the reference that it held.
    #[must_use]
    pub const fn refuses_private_data(self) -> bool {
        self.hardened()
    }

    /// Hardened: a source whose PIN did not come to pass loses the bias and goes back to the LRU; as
    /// posted it stays isolated and biased for good.
    #[must_use]
    pub const fn undoes_failed_pins(self) -> bool {
        self.hardened()
    }

    /// Hardened: an UNPIN destination that is dropped keeps its pin, and only its lock goes; as posted a
    /// plain put drops the isolation's reference under the pin.
    #[must_use]
    pub const fn keeps_refused_unpins(self) -> bool {
        self.hardened()
    }

    /// A device-private page may have references that nobody accounts for: no CPU can read it, so that they are those of
    /// who faults on it or waits for it. 5.11 lets it pass, the series' first patch in `migrate_page()` too; 6.12 compares,
    /// so that two CPUs that fault on one device page can refuse each other for ever (mainline has since made
    /// `do_swap_page()` lock the page first, 1afaeb8293c9). Hardened lets it pass on both.
    #[must_use]
    pub const fn ignores_device_waiters(self) -> bool {
        self.hardened() || !self.modern()
    }

    /// Hardened, 6.12: a migration entry that says that its page is mapped nowhere else is turned back where it
    /// stands, with those of its neighbours under one PTL. The patch, and the kernel, look for it through the rmap:
    /// half the work of finalize, to find what the caller's own range tells.
    #[must_use]
    pub const fn restores_in_place(self) -> bool {
        self.hardened() && self.modern()
    }
}
