//! What the two sides say that disagree where an invariant is broken: the ledger, and the machine.
//!
//! Taken down when the violation is found, by looks that no engine sees ([`Atomic32::peek`]); put into words when it is printed.

use crate::config::MmId;
use crate::cpu::Cpu;
use crate::entry::Entry;
use crate::frame::{Identity, PageFlags, POISON};
use crate::ledger::{Link, PageBook};
use crate::lock::LockName;
use crate::sync::{Atomic32, Synchronisation};
use crate::violation::Invariant;
use core::fmt;
use migrate_pin_core::{Pfn, PteBits, GUP_PIN_COUNTING_BIAS};

/// What one side says of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Says {
    /// It keeps no such account.
    #[default]
    Nothing,
    /// A number.
    Number(u32),
    /// A word of the driver's.
    Raw(u32),
    /// What memory holds.
    Contents(u32),
    /// In words.
    Words(&'static str),
    /// What stands at a page of an address space.
    Entry(Entry),
    /// Who holds a lock, a bit an actor.
    Holders(u8),
    /// What stands in a lock: 0 free, [`u32::MAX`] written, else taken.
    Lock(u32),
}

impl Says {
    /// The page that it names.
    #[cfg(feature = "std")]
    pub(crate) const fn page(self) -> Option<Pfn> {
        match self {
            Self::Entry(entry) => entry.named(),
            _ => None,
        }
    }
}

impl From<u32> for Says {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl From<&'static str> for Says {
    fn from(words: &'static str) -> Self {
        Self::Words(words)
    }
}

impl From<Entry> for Says {
    fn from(entry: Entry) -> Self {
        Self::Entry(entry)
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Nothing => Ok(()),
            Self::Number(number) => write!(f, "{number}"),
            Self::Raw(word) => write!(f, "{word:#x}"),
            Self::Contents(POISON) => f.write_str("what a freed page holds"),
            Self::Contents(word) => write!(f, "{word}"),
            Self::Words(words) => f.write_str(words),
            Self::Entry(entry) => {
                match entry {
                    Entry::None => f.write_str("none"),
                    Entry::Page(page, _) => write!(f, "{page}"),
                    Entry::Zero(_) => f.write_str("zero page"),
                    Entry::Special(_) => f.write_str("special"),
                    Entry::Swap(slot, _) => write!(f, "swap slot {slot}"),
                    Entry::Migration(page, _) => write!(f, "migration of {page}"),
                    Entry::DevicePrivate(page, _) => write!(f, "device-private {page}"),
                    Entry::Other => f.write_str("other"),
                }?;
                match entry.bits().contains(PteBits::WRITE) {
                    true => f.write_str(" write"),
                    false => Ok(()),
                }
            }
            Self::Holders(0) => f.write_str("held by nobody"),
            Self::Holders(holders) => {
                f.write_str("held by actor")?;
                let mut between = " ";
                for actor in (0..8).filter(|actor| holders >> actor & 1 != 0) {
                    write!(f, "{between}{actor}")?;
                    between = " and ";
                }
                Ok(())
            }
            Self::Lock(0) => f.write_str("free"),
            Self::Lock(u32::MAX) => f.write_str("written"),
            Self::Lock(_) => f.write_str("taken"),
        }
    }
}

/// One account, and what both sides say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// What it is about.
    pub name: &'static str,
    /// What the ledger has.
    pub ledger: Says,
    /// What the machine has.
    pub machine: Says,
}

impl Account {
    /// Of this name.
    pub(crate) fn new(
        name: &'static str,
        ledger: impl Into<Says>,
        machine: impl Into<Says>,
    ) -> Self {
        Self {
            name,
            ledger: ledger.into(),
            machine: machine.into(),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.name)?;
        let mut before = "";
        for (side, says) in [("ledger", self.ledger), ("machine", self.machine)] {
            if says != Says::Nothing {
                write!(f, "{before} {side} {says}")?;
                before = ",";
            }
        }
        Ok(())
    }
}

/// What both sides have of a page. Of what engines see the machine's part may be missing: under loom nothing is looked at unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSides {
    pub(crate) book: PageBook,
    pub(crate) count: Option<u32>,
    pub(crate) mapcount: Option<u32>,
    /// Is `PG_lru` set?
    lru: Option<bool>,
    /// How often it is on the list.
    listed: u32,
    /// The page's lock: who holds it, and what stands in it.
    lock: (u8, Option<u32>),
    /// `page_memcg()`, 0 for none.
    memcg: u32,
    /// `zone_device_data`.
    original: Link,
    identity: Identity,
    /// A TLB that reaches it: whose, and where.
    tlb: Option<(u8, MmId, u16)>,
}

/// What disagrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sides {
    /// There are no books of it: who waits for others, not for a lock.
    #[default]
    Neither,
    /// One account.
    One(Account),
    /// Those of a page that are about the invariant.
    Page(PageSides),
}

impl<S: Synchronisation> Cpu<'_, S> {
    /// What both sides have of `page`, as far as it is about `invariant`. Nothing that is looked at here may be locked by who is about to
    /// report it.
    pub(crate) fn sides(&self, invariant: Invariant, page: Pfn) -> Sides {
        let (Some(frame), true) = (self.m.frame(page), invariant != Invariant::Live) else {
            return Sides::Neither;
        };
        let flags = frame.flags.peek();
        let reaches = || {
            let mut cpus = self.m.cpus.iter().enumerate();
            cpus.find_map(|(cpu, other)| {
                let mut found = None;
                other.tlb.each(|mm, vpn, entry| {
                    if entry.named() == Some(page) {
                        found = Some((cpu as u8, mm, vpn as u16));
                    }
                });
                found
            })
        };
        Sides::Page(PageSides {
            book: self.read_book(page),
            count: frame.count.peek(),
            mapcount: frame.mapcount.peek(),
            lru: flags.map(|flags| flags & PageFlags::LRU.bits() != 0),
            listed: frame.listed.get(),
            lock: frame.lock.sides(),
            memcg: frame.memcg.get(),
            original: Link::from(Pfn(frame.zone_device_data.get() as usize)),
            identity: frame.identity(),
            tlb: (invariant == Invariant::Tlb).then(reaches).flatten(),
        })
    }
}

/// An account of a lock.
pub(crate) fn of_lock(name: LockName, (holders, state): (u8, Option<u32>)) -> Account {
    Account {
        name: name.kernel(),
        ledger: Says::Holders(holders),
        machine: state.map_or(Says::Nothing, Says::Lock),
    }
}

/// A page, or none.
struct OrNone(Link);

impl fmt::Display for OrNone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get() {
            Some(page) => write!(f, "{page}"),
            None => f.write_str("none"),
        }
    }
}

impl PageSides {
    /// The other pages that are named where `invariant` is broken.
    #[cfg(feature = "std")]
    pub(crate) fn others(&self, invariant: Invariant) -> [Option<Pfn>; 3] {
        match invariant {
            Invariant::Pin | Invariant::Pair | Invariant::Cow => [
                self.book.stand_in.get(),
                self.book.original.get(),
                self.original.get().filter(|_| invariant == Invariant::Pair),
            ],
            _ => [None; 3],
        }
    }

    /// What holds references, by the ledger.
    fn holders(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = &self.book;
        let mut before = " = ";
        let mut say = |f: &mut fmt::Formatter<'_>, who: fmt::Arguments<'_>, count: u32| match count
        {
            0 => Ok(()),
            count => {
                let result = write!(f, "{before}{count} of {who}");
                before = " + ";
                result
            }
        };
        say(f, format_args!("the device page itself"), book.base.into())?;
        say(f, format_args!("entries"), book.entry_refs.into())?;
        say(f, format_args!("the cache"), book.cache.into())?;
        say(f, format_args!("private data"), book.private.into())?;
        say(f, format_args!("an LRU batch"), book.batch.into())?;
        say(f, format_args!("the isolation"), book.isolated.into())?;
        say(f, format_args!("GUP"), book.gup.into())?;
        for (actor, held) in book.held.iter().enumerate() {
            say(f, format_args!("actor {actor}"), (*held).into())?;
        }
        let bias = GUP_PIN_COUNTING_BIAS;
        say(f, format_args!("pins"), bias * u32::from(book.pins))?;
        say(f, format_args!("DMA pins"), bias * u32::from(book.gup_pins))
    }

    /// Those accounts that are about `invariant`.
    pub(crate) fn tell(&self, invariant: Invariant, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = &self.book;
        // What the machine has, if that can be told.
        let machine = |f: &mut fmt::Formatter<'_>, says: Option<fmt::Arguments<'_>>| match says {
            Some(says) => write!(f, ", machine {says}"),
            None => Ok(()),
        };
        match invariant {
            Invariant::Ref => {
                write!(f, "references: ledger {}", book.sum())?;
                self.holders(f)?;
                match self.count.map(u32::cast_signed) {
                    Some(count) => machine(f, Some(format_args!("{count}"))),
                    None => Ok(()),
                }
            }
            Invariant::Pin => {
                write!(f, "pins: ledger {}", book.pins)?;
                if book.gup_pins > 0 {
                    write!(f, " and {} for DMA", book.gup_pins)?;
                }
                // Below zero, if one is dropped that was not there.
                if let Some(count) = self.count.map(u32::cast_signed) {
                    let biases = count.div_euclid(GUP_PIN_COUNTING_BIAS.cast_signed());
                    machine(f, Some(format_args!("{biases} in a count of {count}")))?;
                }
                let stand_in = OrNone(book.stand_in);
                write!(f, "; device page in its place: ledger {stand_in}")
            }
            Invariant::Lru => {
                let (listed, batched, isolated) = (book.listed, book.batched, book.isolated);
                write!(
                    f,
                    "LRU: ledger {listed} on the list, {batched} in batches, {isolated} isolated, machine "
                )?;
                if let Some(lru) = self.lru {
                    write!(f, "PG_lru {}, ", if lru { "set" } else { "clear" })?;
                }
                write!(f, "{} on the list", self.listed)
            }
            Invariant::Map | Invariant::Rmap => {
                write!(f, "mappings: ledger {} entries", book.entries)?;
                if let Some(count) = self.mapcount {
                    machine(f, Some(format_args!("map count {count}")))?;
                }
                if invariant == Invariant::Map {
                    return Ok(());
                }
                match self.identity {
                    Identity::None => f.write_str(", mapping none"),
                    Identity::Anon(id) => write!(f, ", mapping anon_vma {id}"),
                    Identity::File(file) => write!(f, ", mapping file {}", file.0),
                }
            }
            Invariant::Tlb => {
                write!(f, "mapped for CPUs: ledger {} entries", book.present)?;
                match self.tlb {
                    Some((cpu, mm, vpn)) => {
                        write!(f, ", machine TLB of CPU {cpu}, for mm {} at {vpn}", mm.0)
                    }
                    None => f.write_str(", machine no TLB"),
                }
            }
            Invariant::Uaf => {
                let used = if book.alive { "in use" } else { "free" };
                write!(
                    f,
                    "page: ledger {used}, {} entries, {} device mappings",
                    book.entries, book.device_maps
                )?;
                match self.count {
                    Some(count) => machine(f, Some(format_args!("count {count}"))),
                    None => Ok(()),
                }
            }
            Invariant::Lock => write!(f, "{}", of_lock(LockName::Page, self.lock)),
            Invariant::Pair => {
                write!(
                    f,
                    "pair: ledger stands for {}, device page in its place {}, pins {}, machine zone_device_data {}",
                    OrNone(book.original),
                    OrNone(book.stand_in),
                    book.pins,
                    OrNone(self.original)
                )
            }
            Invariant::Excl => {
                write!(
                    f,
                    "mapped: ledger {} entries for CPUs, {} device mappings",
                    book.present, book.device_maps
                )?;
                match self.mapcount {
                    Some(count) => machine(f, Some(format_args!("map count {count}"))),
                    None => Ok(()),
                }
            }
            Invariant::Cow => write!(
                f,
                "places: ledger {} entries, {} migration entries, device page in its place {}",
                book.entries,
                book.migration,
                OrNone(book.stand_in)
            ),
            Invariant::Notify => {
                write!(f, "device mappings: ledger {}", book.device_maps)
            }
            Invariant::Pte => {
                write!(f, "migration entries: ledger {}", book.migration)?;
                write!(f, "; {}", of_lock(LockName::Page, self.lock))
            }
            Invariant::Charge => {
                write!(f, "charges: ledger {}, machine ", book.charges)?;
                match self.memcg {
                    0 => f.write_str("no memory cgroup"),
                    id => write!(f, "memory cgroup {}", id - 1),
                }
            }
            Invariant::Data | Invariant::Count | Invariant::Word | Invariant::Live => {
                write!(f, "page: ledger {} entries", book.entries)
            }
        }
    }
}
