//! What is wrong: [`Invariant`] and [`Violation`].

use crate::config::{ActorId, MmId};
use crate::sides::Sides;
use core::fmt;
use migrate_pin_core::Pfn;

macro_rules! invariants {
    ($( $(#[$doc:meta])* $variant:ident $name:literal ),* $(,)?) => {
        /// What must hold, under the names of the design's table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Invariant { $( $(#[$doc])* $variant ),* }

        impl Invariant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$variant ),*];

            /// The name in the design's table.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name ),* }
            }
        }
    };
}

invariants! {
    /// A page's reference count equals what the ledger says (a frozen page aside); it is never taken below
    /// zero or from a free page.
    Ref "REF",
    /// Outside the PTL, a page's map count equals the entries that map it: present, device-private; not
    /// migration entries.
    Map "MAP",
    /// Every entry that maps an anonymous page is found from that page.
    Rmap "RMAP",
    /// No stale TLB entry is usable once the unmap that it survived is relied on: before the copy, the grant to
    /// the device, the page's next use.
    Tlb "TLB",
    /// No freed page is read, written, mapped, locked or used by a device.
    Uaf "UAF",
    /// A system page in use is on the LRU once, or in one per-CPU batch, or isolated by one owner; a free page
    /// is on none.
    Lru "LRU",
    /// Every lock taken is released once, by its taker or by whom it was handed to.
    Lock "LOCK",
    /// The bias on a page equals its live pins, counted apart from the reference count; no pin without a
    /// release that will come.
    Pin "PIN",
    /// A device-private page stands for one original and an original for one device page; the pair is
    /// forgotten once.
    Pair "PAIR",
    /// While the device has atomic access, no CPU reaches the page through a table or a TLB.
    Excl "EXCL",
    /// Nobody, device included, writes a page that more than one address space may read as private.
    Cow "COW",
    /// No device mapping survives the invalidation of its range.
    Notify "NOTIFY",
    /// A read sees the last write to its address space, whoever made it; a child sees private memory as it was
    /// at the fork; dirty bits are not lost, a device's writes included.
    Data "DATA",
    /// No migration entry outlives the unlock of its source.
    Pte "PTE",
    /// `cpages` is the number of entries with MIGRATE when setup returns.
    Count "COUNT",
    /// Every word a driver sees has only the bits that its stage allows.
    Word "WORD",
    /// Contents are charged to one memory cgroup between transfers; nothing uncharged is on the LRU.
    Charge "CHARGE",
    /// Nobody waits for ever, nor retries for ever against another that retries.
    Live "LIVE",
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An invariant that was found broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// The page it was found on, if it is about one.
    pub page: Option<Pfn>,
    /// The address space and its page that it was found at, if it is about one place.
    pub place: Option<(MmId, u16)>,
    /// What was found, in words.
    pub what: &'static str,
    /// What the ledger says, and what the machine.
    pub sides: Sides,
    /// Who was acting.
    pub actor: ActorId,
    /// In which step of the run (`Machine::begin_step()`), from 0.
    pub step: u32,
    /// The primitive or kernel path the actor was in.
    pub primitive: &'static str,
}

impl Violation {
    /// The pages that it names when it is printed, each once.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn pages(&self) -> Vec<Pfn> {
        let mut pages: Vec<_> = self.page.into_iter().collect();
        let others = match &self.sides {
            Sides::Page(page) => page.others(self.invariant),
            Sides::One(account) => [account.ledger.page(), account.machine.page(), None],
            Sides::Neither => [None; 3],
        };
        for page in others.into_iter().flatten() {
            if !pages.contains(&page) {
                pages.push(page);
            }
        }
        pages
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)?;
        if let Some(page) = self.page {
            write!(f, ", page {page}")?;
        }
        if let Some((mm, vpn)) = self.place {
            write!(f, ", mm {} at {vpn}", mm.0)?;
        }
        match &self.sides {
            Sides::Neither => {}
            Sides::One(account) => write!(f, " ({account})")?,
            Sides::Page(page) => {
                f.write_str(" (")?;
                page.tell(self.invariant, f)?;
                f.write_str(")")?;
            }
        }
        write!(
            f,
            " [actor {}, step {} of all, {}]",
            self.actor.0, self.step, self.primitive
        )
    }
}
