//! What is refused at the border, each with a sentence and the errno that a C caller gets.

use core::fmt;

use crate::pfn::Pfn;

/// `-EINVAL` as a positive number.
pub const EINVAL: i32 = 22;
/// `-EBUSY` as a positive number.
pub const EBUSY: i32 = 16;
/// `-EPERM` as a positive number.
pub const EPERM: i32 = 1;
/// `-ESTALE` as a positive number.
pub const ESTALE: i32 = 116;

/// What is wrong with one word, whatever it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WordError {
    /// Bit 5 is set.
    ReservedBits,
    /// There is a pfn, but VALID is not set.
    PfnWithoutValid,
    /// VALID is set, but the pfn is 0.
    ValidWithoutPfn,
    /// A source word that an earlier migration left: only 0 and PIN may stand there before setup.
    Stale,
    /// A destination word with MIGRATE or WRITE, which belong to source words.
    SourceBits,
    /// A destination word with flags, but no page.
    FlagsWithoutPage,
    /// A destination word without LOCKED.
    NotLocked,
}

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "bit 5 is reserved and must be zero",
            Self::PfnWithoutValid => "it has a pfn but not VALID; expected both or neither",
            Self::ValidWithoutPfn => "it has VALID but no pfn; expected both or neither",
            Self::Stale => "it was left by an earlier migration; expected 0 or PIN before setup",
            Self::SourceBits => {
                "MIGRATE and WRITE have no meaning in a destination; expected neither"
            }
            Self::FlagsWithoutPage => "it has flags but no page; expected 0 or a locked page",
            Self::NotLocked => {
                "the destination is not marked LOCKED; expected a page the driver locked"
            }
        })
    }
}

/// What is wrong with the page that a destination word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DestinationError {
    /// There is no such page frame.
    NoSuchPage,
    /// Nobody holds a reference: the page is free.
    Free,
    /// The page is not locked.
    NotLocked,
    /// It is part of a compound page.
    Compound,
    /// It is device memory of another owner, or of a kind that can't be migrated to.
    ForeignDevice,
    /// It is mapped, in a cache, or on the LRU: somebody uses it.
    InUse,
    /// It stands in two destination words.
    Twice,
    /// It is pinned, but the word does not say UNPIN.
    Pinned,
    /// The word says UNPIN, but there is no record of a pin.
    NoPin,
    /// The word says UNPIN, but another owner holds the pin.
    ForeignPin,
    /// The word says UNPIN, but the source is not the device page that stands for this page.
    OtherPair,
}

impl DestinationError {
    /// The errno, as a positive number: [`EPERM`] where the caller has no right to the page, [`EBUSY`]
    /// where it is in use, [`EINVAL`] otherwise.
    #[must_use]
    pub const fn errno(self) -> i32 {
        match self {
            Self::ForeignPin | Self::NoPin | Self::OtherPair | Self::ForeignDevice => EPERM,
            Self::InUse | Self::Pinned => EBUSY,
            Self::NoSuchPage | Self::Free | Self::NotLocked | Self::Compound | Self::Twice => {
                EINVAL
            }
        }
    }
}

impl fmt::Display for DestinationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchPage => "there is no such page frame; expected a page that the driver allocated",
            Self::Free => "the page is free; expected one that the driver holds a reference on",
            Self::NotLocked => "the page is not locked; expected one that the driver locked",
            Self::Compound => "it is part of a compound page; expected a single page",
            Self::ForeignDevice => {
                "it is device memory of another owner or kind; expected a system page or a device-private page of this owner"
            }
            Self::InUse => "the page is mapped, cached or on the LRU; expected a new page",
            Self::Twice => "the page stands in two destination words; expected one",
            Self::Pinned => "the page is pinned; expected UNPIN in the word",
            Self::NoPin => "UNPIN, but the page has no pin record; expected a page that is pinned",
            Self::ForeignPin => "UNPIN, but another owner holds the pin; expected the caller's own",
            Self::OtherPair => {
                "UNPIN, but the source is not the device page that stands for this page"
            }
        })
    }
}

/// Why a call was refused. Nothing was taken, changed or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// There is no area. Setup is handed one; this is for callers that look it up.
    NoVma,
    /// The area is hugetlb.
    HugetlbVma,
    /// The area is special (IO, PFNMAP, MIXEDMAP, DONTEXPAND).
    SpecialVma,
    /// The area is DAX.
    DaxVma,
    /// The range holds no page.
    EmptyRange,
    /// The range ends before it starts.
    ReversedRange,
    /// This boundary of the range is not a multiple of the page size.
    Unaligned {
        /// The boundary.
        address: usize,
    },
    /// The range is not within the area.
    OutsideVma,
    /// An array has not one word for each page of the range.
    Length {
        /// Pages in the range.
        pages: usize,
        /// Words in `src`.
        src: usize,
        /// Words in `dst`.
        dst: usize,
    },
    /// The fault page is not a device-private page.
    FaultPage {
        /// The page.
        page: Pfn,
    },
    /// A source word is wrong.
    Src {
        /// Its index.
        index: usize,
        /// The word.
        word: usize,
        /// What is wrong.
        error: WordError,
    },
    /// A destination word is wrong.
    Dst {
        /// Its index.
        index: usize,
        /// The word.
        word: usize,
        /// What is wrong.
        error: WordError,
    },
    /// A destination page is wrong.
    Destination {
        /// The index of its word.
        index: usize,
        /// The page.
        page: Pfn,
        /// What is wrong.
        error: DestinationError,
    },
    /// A raw migration is not at the stage that the call belongs to, or is none at all.
    Stage,
    /// A raw migration was set up under another policy, or on another shape.
    OtherRules,
    /// Words of a raw migration that belong to `core` were changed between two calls.
    Stale,
}

impl Error {
    /// The errno, as a positive number: a C caller gets its negative.
    ///
    /// ```
    /// use migrate_pin_core::{error, Error};
    /// assert_eq!(Error::EmptyRange.errno(), error::EINVAL);
    /// assert_eq!(Error::Stale.errno(), error::ESTALE);
    /// ```
    #[must_use]
    pub const fn errno(self) -> i32 {
        match self {
            Self::Destination { error, .. } => error.errno(),
            Self::Stale => ESTALE,
            _ => EINVAL,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVma => f.write_str("there is no area at the address; expected a mapped one"),
            Self::HugetlbVma => f.write_str("the area is hugetlb; expected ordinary memory"),
            Self::SpecialVma => {
                f.write_str("the area is special (IO, PFNMAP, MIXEDMAP or DONTEXPAND); expected ordinary memory")
            }
            Self::DaxVma => f.write_str("the area is DAX; expected ordinary memory"),
            Self::EmptyRange => f.write_str("the range is empty; expected at least one page"),
            Self::ReversedRange => f.write_str("the range ends before it starts; expected the start first"),
            Self::Unaligned { address } => {
                write!(f, "{address:#x} is not a multiple of the page size")
            }
            Self::OutsideVma => f.write_str("the range is not within the area"),
            Self::Length { pages, src, dst } => write!(
                f,
                "the range has {pages} pages, src {src} words and dst {dst}; expected one word a page in each"
            ),
            Self::FaultPage { page } => {
                write!(f, "the fault page {page} is not a device-private page")
            }
            Self::Src { index, word, error } => write!(f, "src[{index}] = {word:#x}: {error}"),
            Self::Dst { index, word, error } => write!(f, "dst[{index}] = {word:#x}: {error}"),
            Self::Destination { index, page, error } => {
                write!(f, "dst[{index}] names page {page}: {error}")
            }
            Self::Stage => {
                f.write_str("the migration is not at the stage that this call belongs to")
            }
            Self::OtherRules => f.write_str(
                "the migration was set up under another policy or on another shape; expected the same",
            ),
            Self::Stale => f.write_str("words of this migration were changed between two calls; expected them as they were left"),
        }
    }
}
