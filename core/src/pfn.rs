//! The words that kernel and driver exchange: one `unsigned long` a virtual page.
//!
//! `src[]` and `dst[]` share one layout but not one meaning: bit 4 asks for a pin in a source word
//! (`MIGRATE_PFN_PIN`) and gives one back in a destination word (`MIGRATE_PFN_UNPIN`). So there are
//! two types here, [`SrcPfn`] and [`DstPfn`], and no way from one to the other but through the pfn.

use crate::error::WordError;
use static_assertions::{assert_eq_align, assert_eq_size, const_assert};

/// Number of bits a pfn is shifted left by in a word (`MIGRATE_PFN_SHIFT`); the bits below are flags.
pub const MIGRATE_PFN_SHIFT: u32 = 6;

/// log2 of the page size in bytes (`PAGE_SHIFT`).
pub const PAGE_SHIFT: u32 = 12;

/// Size of a page in bytes (`PAGE_SIZE`).
pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;

/// What one pin adds to a page's reference count (`GUP_PIN_COUNTING_BIAS`).
///
/// A page whose count reaches it *may* be pinned for DMA: the count alone can't tell a pin from as
/// many plain references (`page_maybe_dma_pinned()`).
pub const GUP_PIN_COUNTING_BIAS: u32 = 1024;

bitflags::bitflags! {
    /// The flag bits of a migration word (`MIGRATE_PFN_*` in `include/linux/migrate.h`).
    ///
    /// ```
    /// use migrate_pin_core::MigratePfn;
    /// assert_eq!(MigratePfn::PIN, MigratePfn::UNPIN); // one bit, two arrays
    /// assert_eq!((MigratePfn::VALID | MigratePfn::MIGRATE).bits(), 3);
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct MigratePfn: usize {
        /// The word holds a pfn.
        const VALID = 1 << 0;
        /// Source: the entry is migrating (still).
        const MIGRATE = 1 << 1;
        /// The page is locked: by this migration in a source word, by the driver in a destination word.
        const LOCKED = 1 << 2;
        /// Source: the CPU mapping was writable.
        const WRITE = 1 << 3;
        /// Source: set by the caller before setup: unmap and pin, do not migrate.
        const PIN = 1 << 4;
        /// Destination: set by the driver: this is the original page, drop its pin.
        const UNPIN = 1 << 4;
    }
}

/// Bits of a word that mean nothing and must be zero: bit 5.
pub const RESERVED_BITS: usize = (1 << MIGRATE_PFN_SHIFT) - 1 - MigratePfn::all().bits();

const_assert!(RESERVED_BITS == 1 << 5);
const_assert!(MigratePfn::PIN.bits() == MigratePfn::UNPIN.bits());
const_assert!(MigratePfn::all().bits() >> MIGRATE_PFN_SHIFT == 0);
assert_eq_size!(SrcPfn, DstPfn, usize);
assert_eq_align!(SrcPfn, DstPfn, usize);

/// A page frame number; also the handle by which `core` names a page (`struct page *`).
///
/// The greatest one that fits in a word is `usize::MAX >> 6`; [`SrcPfn`] and [`DstPfn`] drop what
/// does not fit, as `migrate_pfn()` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Pfn(pub usize);

impl core::fmt::Display for Pfn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Flags and pfn of a raw word; the part that both arrays share.
const fn split(word: usize) -> (MigratePfn, Option<Pfn>) {
    let flags = MigratePfn::from_bits_truncate(word);
    let pfn = if flags.contains(MigratePfn::VALID) {
        Some(Pfn(word >> MIGRATE_PFN_SHIFT))
    } else {
        None
    };
    (flags, pfn)
}

/// The word of `pfn` with `VALID` set (`migrate_pfn()`).
const fn join(pfn: Pfn, flags: MigratePfn) -> usize {
    (pfn.0 << MIGRATE_PFN_SHIFT) | MigratePfn::VALID.bits() | flags.bits()
}

/// What both arrays demand of a word: no reserved bit, and a pfn exactly if `VALID` says so. Pfn 0
/// is never a user page, so a `VALID` word without one is as wrong as a pfn without `VALID`.
const fn well_formed(word: usize) -> Result<(), WordError> {
    let pfn = word >> MIGRATE_PFN_SHIFT;
    if word & RESERVED_BITS != 0 {
        Err(WordError::ReservedBits)
    } else if word & MigratePfn::VALID.bits() == 0 && pfn != 0 {
        Err(WordError::PfnWithoutValid)
    } else if word & MigratePfn::VALID.bits() != 0 && pfn == 0 {
        Err(WordError::ValidWithoutPfn)
    } else {
        Ok(())
    }
}

/// A source word: what the pipeline found at one virtual page, and how far it got with it.
///
/// ```
/// use migrate_pin_core::{MigratePfn, Pfn, SrcPfn};
/// let word = SrcPfn::page(Pfn(0x42), MigratePfn::MIGRATE | MigratePfn::WRITE);
/// assert_eq!(word.pfn(), Some(Pfn(0x42)));
/// assert!(word.migrating() && word.write() && !word.pin());
/// assert_eq!(word.raw(), 0x42 << 6 | 0b1011);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct SrcPfn(usize);

impl SrcPfn {
    /// Nothing here: not collected, refused, or restored.
    pub const NONE: Self = Self(0);
    /// What a caller stores before setup to ask that this page is unmapped and pinned.
    pub const PIN: Self = Self(MigratePfn::PIN.bits());
    /// An empty entry that may be filled (`MIGRATE_PFN_MIGRATE` with no pfn).
    pub const EMPTY: Self = Self(MigratePfn::MIGRATE.bits());

    /// The word for a page, with `VALID` and `flags`.
    #[must_use]
    pub const fn page(pfn: Pfn, flags: MigratePfn) -> Self {
        Self(join(pfn, flags))
    }

    /// A word as it stands in a C array, unchecked: [`SrcPfn::check`] checks it.
    #[must_use]
    pub const fn from_raw(word: usize) -> Self {
        Self(word)
    }

    /// The word as it stands in a C array.
    #[must_use]
    pub const fn raw(self) -> usize {
        self.0
    }

    /// The flag bits.
    #[must_use]
    pub const fn flags(self) -> MigratePfn {
        split(self.0).0
    }

    /// The page, if `VALID` (`migrate_pfn_to_page()`).
    #[must_use]
    pub const fn pfn(self) -> Option<Pfn> {
        split(self.0).1
    }

    /// Is the entry migrating (still)?
    #[must_use]
    pub const fn migrating(self) -> bool {
        self.flags().contains(MigratePfn::MIGRATE)
    }

    /// Was the CPU mapping writable?
    #[must_use]
    pub const fn write(self) -> bool {
        self.flags().contains(MigratePfn::WRITE)
    }

    /// Does the caller want the page pinned instead of migrated?
    #[must_use]
    pub const fn pin(self) -> bool {
        self.flags().contains(MigratePfn::PIN)
    }

    /// Is the page locked by this migration (5.11 only)?
    #[must_use]
    pub const fn locked(self) -> bool {
        self.flags().contains(MigratePfn::LOCKED)
    }

    /// The word with `flags` set too.
    #[must_use]
    pub const fn with(self, flags: MigratePfn) -> Self {
        Self(self.0 | flags.bits())
    }

    /// The word with the bits of `other` set too; what collect does (`src |= mpfn`).
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The word with `flags` cleared.
    #[must_use]
    pub const fn without(self, flags: MigratePfn) -> Self {
        Self(self.0 & !flags.bits())
    }

    /// Can setup have left this word: does it have a pfn exactly if VALID says so, and no reserved bit?
    ///
    /// # Errors
    /// [`WordError::ReservedBits`], [`WordError::PfnWithoutValid`] or [`WordError::ValidWithoutPfn`].
    pub const fn check_carried(self) -> Result<(), WordError> {
        well_formed(self.0)
    }

    /// May a caller hand this word to setup: `0` or [`SrcPfn::PIN`]?
    ///
    /// # Errors
    /// [`WordError::ReservedBits`], [`WordError::PfnWithoutValid`] or
    /// [`WordError::ValidWithoutPfn`] for a malformed word, [`WordError::Stale`] for any other that
    /// an earlier migration left behind.
    pub const fn check(self) -> Result<(), WordError> {
        match well_formed(self.0) {
            Err(error) => Err(error),
            Ok(()) if self.0 & !MigratePfn::PIN.bits() != 0 => Err(WordError::Stale),
            Ok(()) => Ok(()),
        }
    }
}

/// A destination word: the page that the driver provides for one source word.
///
/// ```
/// use migrate_pin_core::{DstPfn, Pfn};
/// assert_eq!(DstPfn::page(Pfn(7)).raw(), 7 << 6 | 0b101); // VALID | LOCKED
/// assert!(DstPfn::unpin(Pfn(7)).is_unpin());
/// assert_eq!(DstPfn::NONE.pfn(), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct DstPfn(usize);

impl DstPfn {
    /// No destination: the entry goes back to its source.
    pub const NONE: Self = Self(0);

    /// A locked destination page that the caller holds a reference on.
    #[must_use]
    pub const fn page(pfn: Pfn) -> Self {
        Self(join(pfn, MigratePfn::LOCKED))
    }

    /// The original page of a pin, locked: map it again and drop its pin.
    #[must_use]
    pub const fn unpin(pfn: Pfn) -> Self {
        Self(join(pfn, MigratePfn::LOCKED.union(MigratePfn::UNPIN)))
    }

    /// A word as it stands in a C array, unchecked: [`DstPfn::check`] checks it.
    #[must_use]
    pub const fn from_raw(word: usize) -> Self {
        Self(word)
    }

    /// The word as it stands in a C array.
    #[must_use]
    pub const fn raw(self) -> usize {
        self.0
    }

    /// The flag bits.
    #[must_use]
    pub const fn flags(self) -> MigratePfn {
        split(self.0).0
    }

    /// The page, if `VALID` (`migrate_pfn_to_page()`).
    #[must_use]
    pub const fn pfn(self) -> Option<Pfn> {
        split(self.0).1
    }

    /// Is this the original page of a pin that is to be dropped?
    #[must_use]
    pub const fn is_unpin(self) -> bool {
        self.flags().contains(MigratePfn::UNPIN)
    }

    /// Does the driver say that it locked the page?
    #[must_use]
    pub const fn locked(self) -> bool {
        self.flags().contains(MigratePfn::LOCKED)
    }

    /// Is this a word that a driver may hand to pages: `0`, or a locked page with or without UNPIN?
    ///
    /// `need_locked` is true on the 5.11 shape; on 6.12 the LOCKED bit is gone from the header, and
    /// set or not makes no difference. That the page *is* locked is checked on the page itself.
    /// `write_is_a_note` is true on the 6.12 shape: drivers of that kernel keep a note for themselves there.
    ///
    /// # Errors
    /// As [`SrcPfn::check`] for a malformed word; [`WordError::SourceBits`] if MIGRATE or WRITE is
    /// set, which mean nothing in a destination (WRITE: unless it is a note); [`WordError::FlagsWithoutPage`] for flags with no
    /// page; [`WordError::NotLocked`] if LOCKED is demanded and missing.
    pub const fn check(self, need_locked: bool, write_is_a_note: bool) -> Result<(), WordError> {
        let flags = self.flags();
        let of_sources = match write_is_a_note {
            true => MigratePfn::MIGRATE,
            false => MigratePfn::MIGRATE.union(MigratePfn::WRITE),
        };
        match well_formed(self.0) {
            Err(error) => Err(error),
            Ok(()) if flags.intersects(of_sources) => Err(WordError::SourceBits),
            Ok(()) if self.0 != 0 && !flags.contains(MigratePfn::VALID) => {
                Err(WordError::FlagsWithoutPage)
            }
            Ok(()) if self.0 != 0 && need_locked && !flags.contains(MigratePfn::LOCKED) => {
                Err(WordError::NotLocked)
            }
            Ok(()) => Ok(()),
        }
    }
}
