//! Page-table entries as the machine keeps them: 32 bits that are read and written in one piece.

use migrate_pin_core::ops::{Present, Pte, PteBits};
use migrate_pin_core::Pfn;

/// A page-table entry, or the entry of a huge page in the level above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// `pte_none()`.
    None,
    /// `pte_present()`: a page.
    Page(Pfn, PteBits),
    /// `pte_present()`: the zero page.
    Zero(PteBits),
    /// `pte_present()`: memory without a struct page.
    Special(PteBits),
    /// A slot of the swap area.
    Swap(u16, PteBits),
    /// A migration entry.
    Migration(Pfn, PteBits),
    /// A device-private entry.
    DevicePrivate(Pfn, PteBits),
    /// Some other special entry (`make_pte_marker()`, hwpoison).
    Other,
}

const KINDS: u32 = 0b111;
const BITS_SHIFT: u32 = 4;
const NAME_SHIFT: u32 = 12;

impl Entry {
    /// As a word. Pfns and slots have 20 bits.
    #[inline]
    #[must_use]
    pub const fn pack(self) -> u32 {
        let (kind, name, bits) = match self {
            Self::None => (0, 0, 0),
            Self::Page(page, bits) => (1, page.0 as u32, bits.bits()),
            Self::Zero(bits) => (2, 0, bits.bits()),
            Self::Special(bits) => (3, 0, bits.bits()),
            Self::Swap(slot, bits) => (4, slot as u32, bits.bits()),
            Self::Migration(page, bits) => (5, page.0 as u32, bits.bits()),
            Self::DevicePrivate(page, bits) => (6, page.0 as u32, bits.bits()),
            Self::Other => (7, 0, 0),
        };
        kind | (bits as u32) << BITS_SHIFT | name << NAME_SHIFT
    }

    /// From a word.
    #[inline]
    #[must_use]
    pub const fn unpack(word: u32) -> Self {
        let bits = PteBits::from_bits_truncate((word >> BITS_SHIFT) as u8);
        let name = word >> NAME_SHIFT;
        match word & KINDS {
            0 => Self::None,
            1 => Self::Page(Pfn(name as usize), bits),
            2 => Self::Zero(bits),
            3 => Self::Special(bits),
            4 => Self::Swap(name as u16, bits),
            5 => Self::Migration(Pfn(name as usize), bits),
            6 => Self::DevicePrivate(Pfn(name as usize), bits),
            _ => Self::Other,
        }
    }

    /// The software-visible bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> PteBits {
        match self {
            Self::None | Self::Other => PteBits::empty(),
            Self::Page(_, bits)
            | Self::Zero(bits)
            | Self::Special(bits)
            | Self::Swap(_, bits)
            | Self::Migration(_, bits)
            | Self::DevicePrivate(_, bits) => bits,
        }
    }

    /// The same with other bits.
    #[inline]
    #[must_use]
    pub const fn with_bits(self, bits: PteBits) -> Self {
        match self {
            Self::None | Self::Other => self,
            Self::Page(page, _) => Self::Page(page, bits),
            Self::Zero(_) => Self::Zero(bits),
            Self::Special(_) => Self::Special(bits),
            Self::Swap(slot, _) => Self::Swap(slot, bits),
            Self::Migration(page, _) => Self::Migration(page, bits),
            Self::DevicePrivate(page, _) => Self::DevicePrivate(page, bits),
        }
    }

    /// May it be written through?
    #[inline]
    #[must_use]
    pub const fn write(self) -> bool {
        self.bits().contains(PteBits::WRITE)
    }

    /// The page that it maps: one that it holds a reference and an rmap on.
    #[inline]
    #[must_use]
    pub const fn mapped(self) -> Option<Pfn> {
        match self {
            Self::Page(page, _) | Self::DevicePrivate(page, _) => Some(page),
            _ => None,
        }
    }

    /// The page that it maps or waits for.
    #[inline]
    #[must_use]
    pub const fn named(self) -> Option<Pfn> {
        match self {
            Self::Page(page, _) | Self::DevicePrivate(page, _) | Self::Migration(page, _) => {
                Some(page)
            }
            _ => None,
        }
    }

    /// `pte_present()`.
    #[inline]
    #[must_use]
    pub const fn present(self) -> bool {
        matches!(self, Self::Page(..) | Self::Zero(_) | Self::Special(_))
    }

    /// As the pipeline sees it. Swap slots are [`Pte::Other`]: core never touches them.
    #[inline]
    #[must_use]
    pub const fn to_pte(self) -> Pte {
        match self {
            Self::None => Pte::None,
            Self::Page(page, bits) => Pte::Present(Present::Page(page), bits),
            Self::Zero(bits) => Pte::Present(Present::Zero, bits),
            Self::Special(bits) => Pte::Present(Present::Special, bits),
            Self::Swap(..) | Self::Other => Pte::Other,
            Self::Migration(page, bits) => Pte::Migration(page, bits),
            Self::DevicePrivate(page, bits) => Pte::DevicePrivate(page, bits),
        }
    }

    /// What the pipeline writes.
    #[inline]
    #[must_use]
    pub const fn from_pte(pte: Pte) -> Self {
        match pte {
            Pte::None => Self::None,
            Pte::Present(Present::Page(page), bits) => Self::Page(page, bits),
            Pte::Present(Present::Zero, bits) => Self::Zero(bits),
            Pte::Present(Present::Special, bits) => Self::Special(bits),
            Pte::Migration(page, bits) => Self::Migration(page, bits),
            Pte::DevicePrivate(page, bits) => Self::DevicePrivate(page, bits),
            Pte::Other => Self::Other,
        }
    }
}

/// What stands above the entries of [`TABLE_PAGES`](crate::config::TABLE_PAGES) pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pmd {
    /// `pmd_none()`.
    None,
    /// A page-table page.
    Table,
    /// `pmd_trans_huge()`: the head of a huge page.
    Huge(Pfn, PteBits),
    /// The huge zero page.
    HugeZero,
    /// `pmd_bad()`.
    Bad,
}

impl Pmd {
    /// As a word.
    #[inline]
    #[must_use]
    pub const fn pack(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Table => 1,
            Self::Huge(page, bits) => {
                2 | (bits.bits() as u32) << BITS_SHIFT | (page.0 as u32) << NAME_SHIFT
            }
            Self::HugeZero => 3,
            Self::Bad => 4,
        }
    }

    /// From a word.
    #[inline]
    #[must_use]
    pub const fn unpack(word: u32) -> Self {
        match word & KINDS {
            0 => Self::None,
            1 => Self::Table,
            2 => Self::Huge(
                Pfn((word >> NAME_SHIFT) as usize),
                PteBits::from_bits_truncate((word >> BITS_SHIFT) as u8),
            ),
            3 => Self::HugeZero,
            _ => Self::Bad,
        }
    }
}
