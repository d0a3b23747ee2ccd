//! What a visible operation was done on: from an address back to the word or lock of the machine.

use crate::config::{DeviceId, MmId};
use crate::engine::scheduled::Scheduled;
use crate::entry::{Entry, Pmd};
use crate::frame::{FrameZone, PageFlags};
use crate::lock::LockName;
use crate::machine::Machine;
use crate::scenario::outcome::Names;
use crate::violation::Violation;
use migrate_pin_core::Pfn;

/// Something that engines see change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// `_refcount` of a page.
    Count(Pfn),
    /// `_mapcount` of a page.
    MapCount(Pfn),
    /// The racy bits of `page->flags`.
    Flags(Pfn),
    /// `PG_locked`.
    PageLock(Pfn),
    /// A page-table entry.
    Entry(MmId, u16),
    /// The entry of a page-table page in the level above.
    Pmd(MmId, u16),
    /// The lock of a page-table page, by its number.
    Ptl(MmId, u16),
    /// `mmap_lock`.
    Mmap(MmId),
    /// `mm->write_protect_seq`.
    ProtectSeq(MmId),
    /// `mm->notifier_subscriptions`: sequence number and open sections.
    Notifier(MmId),
    /// The instruction that a CPU is in, which a TLB shootdown waits for.
    Shootdown(u8),
    /// The local lock of a CPU's LRU batches.
    Batch(u8),
    /// `anon_vma->root->rwsem`.
    AnonVma(u8),
    /// `mapping->i_pages.xa_lock`.
    IPages(u8),
    /// `mapping->i_mmap_rwsem`.
    IMmap(u8),
    /// `si->lock`.
    Swap,
    /// The xarray lock of the swapper space.
    SwapCache,
    /// `zone->lock`.
    Zone,
    /// `lruvec->lru_lock`.
    Lru,
    /// The driver's lock over its device's page table.
    DeviceTable(DeviceId),
    /// The driver's lock over its free device pages.
    DevicePool(DeviceId),
    /// A word that a driver shares between its calls: `cpages`, the flags of the area, or a source word.
    Shared(DeviceId, &'static str),
    /// The lock over the pin records.
    PinTable,
    /// Nothing that the machine knows.
    Unknown,
}

impl Object {
    /// The lock that it is; none if it is a word.
    #[must_use]
    pub const fn lock(self) -> Option<LockName> {
        Some(match self {
            Self::PageLock(_) => LockName::Page,
            Self::Ptl(..) => LockName::Ptl,
            Self::Mmap(_) => LockName::Mmap,
            Self::Notifier(_) => LockName::Notifier,
            Self::Shootdown(_) => LockName::Shootdown,
            Self::Batch(_) => LockName::LruBatch,
            Self::AnonVma(_) => LockName::AnonVma,
            Self::IPages(_) => LockName::IPages,
            Self::IMmap(_) => LockName::IMmap,
            Self::Swap => LockName::Swap,
            Self::SwapCache => LockName::SwapCache,
            Self::Zone => LockName::Zone,
            Self::Lru => LockName::Lru,
            Self::DeviceTable(_) => LockName::DeviceTable,
            Self::DevicePool(_) => LockName::DevicePool,
            Self::PinTable => LockName::PinTable,
            Self::Count(_)
            | Self::MapCount(_)
            | Self::Flags(_)
            | Self::Entry(..)
            | Self::Pmd(..)
            | Self::ProtectSeq(_)
            | Self::Shared(..)
            | Self::Unknown => return None,
        })
    }
}

/// Every visible word and monitor of a machine, by its address.
#[must_use]
pub(crate) fn catalogue(machine: &Machine<Scheduled>) -> Vec<(usize, Object)> {
    fn at<T>(object: &T) -> usize {
        std::ptr::from_ref(object).addr()
    }
    let mut known = vec![
        (at(machine.zone_lock.monitor()), Object::Zone),
        (at(machine.lru_lock.monitor()), Object::Lru),
        (at(machine.pin_lock.monitor()), Object::PinTable),
        (at(machine.swap.lock.monitor()), Object::Swap),
        (at(machine.swap.cache_lock.monitor()), Object::SwapCache),
    ];
    for pfn in machine.pfns() {
        if let Some(frame) = machine.frame(pfn) {
            known.push((at(&frame.count), Object::Count(pfn)));
            known.push((at(&frame.mapcount), Object::MapCount(pfn)));
            known.push((at(&frame.flags), Object::Flags(pfn)));
            known.push((at(frame.lock.monitor()), Object::PageLock(pfn)));
        }
    }
    for (mm, space) in machine.mms.iter().enumerate() {
        let mm = MmId(mm as u8);
        known.push((at(space.mmap_lock.monitor()), Object::Mmap(mm)));
        known.push((at(&space.protect_seq), Object::ProtectSeq(mm)));
        known.push((at(&space.subscriptions.state), Object::Notifier(mm)));
        for (index, table) in space.tables.iter().enumerate() {
            known.push((at(&table.pmd), Object::Pmd(mm, index as u16)));
            known.push((at(table.ptl.monitor()), Object::Ptl(mm, index as u16)));
        }
        for (page, entry) in space.entries.iter().enumerate() {
            known.push((at(entry), Object::Entry(mm, page as u16)));
        }
    }
    for (cpu, state) in machine.cpus.iter().enumerate() {
        known.push((at(state.tlb.lock.monitor()), Object::Shootdown(cpu as u8)));
        known.push((at(state.lock.monitor()), Object::Batch(cpu as u8)));
    }
    for (id, anon) in machine.anon_vmas.iter().enumerate() {
        known.push((at(anon.lock.monitor()), Object::AnonVma(id as u8)));
    }
    for (id, file) in machine.files.iter().enumerate() {
        known.push((at(file.i_pages.monitor()), Object::IPages(id as u8)));
        known.push((at(file.i_mmap.monitor()), Object::IMmap(id as u8)));
    }
    for (id, device) in machine.devices.iter().enumerate() {
        let id = DeviceId(id as u8);
        known.push((at(device.table_lock.monitor()), Object::DeviceTable(id)));
        known.push((at(device.pool_lock.monitor()), Object::DevicePool(id)));
        let shared = &device.shared;
        for (word, name) in [
            (&shared.cpages, "cpages"),
            (&shared.flags, "area flags"),
            (&shared.pfn, "source word"),
        ] {
            known.push((at(word), Object::Shared(id, name)));
        }
    }
    known
}

/// Names of page frames for a report: a page that was mapped when the race began is called after its place (`a0`);
/// others are called after their frame, since it may hold one page after another.
pub(crate) struct FrameNames(Vec<(Pfn, String)>);

impl FrameNames {
    /// The names on a machine, given those of the pages that were mapped.
    pub(crate) fn new(machine: &Machine<Scheduled>, mapped: &Names) -> Self {
        let (mut system, mut device) = (0, 0);
        let name = |pfn: Pfn| {
            let is_device = machine
                .frame(pfn)
                .is_some_and(|frame| matches!(frame.zone, FrameZone::Device(_)));
            let number = if is_device { &mut device } else { &mut system };
            let own = mapped.first(pfn).map(ToOwned::to_owned);
            let other = format!("{}{number}", if is_device { "dev" } else { "frame" });
            *number += 1;
            (pfn, own.unwrap_or(other))
        };
        Self(machine.pfns().map(name).collect())
    }

    /// A violation in words, with the names of the pages that it is about.
    pub(crate) fn message(&self, violation: &Violation) -> String {
        let named = |page: &Pfn| format!("{page} is {}", self.of(*page));
        let pages: Vec<_> = violation.pages().iter().map(named).collect();
        match pages.as_slice() {
            [] => violation.to_string(),
            pages => format!("{violation} (page {})", pages.join(", page ")),
        }
    }

    /// The name of a frame.
    pub(crate) fn of(&self, pfn: Pfn) -> &str {
        let known = self.0.iter().find(|(known, _)| *known == pfn);
        known.map_or("no page", |(_, name)| name)
    }

    fn entry(&self, word: u32) -> String {
        let entry = Entry::unpack(word);
        let bits = entry.bits();
        let flags = if bits.is_empty() {
            String::new()
        } else {
            format!(" {}", names_of(bits.iter_names().map(|(name, _)| name)))
        };
        match entry {
            Entry::None => "none".to_owned(),
            Entry::Page(pfn, _) => format!("{}{flags}", self.of(pfn)),
            Entry::Zero(_) => format!("zero page{flags}"),
            Entry::Special(_) => format!("special{flags}"),
            Entry::Swap(slot, _) => format!("swap slot {slot}{flags}"),
            Entry::Migration(pfn, _) => format!("migration of {}{flags}", self.of(pfn)),
            Entry::DevicePrivate(pfn, _) => format!("device-private {}{flags}", self.of(pfn)),
            Entry::Other => "other".to_owned(),
        }
    }

    /// An object in words.
    pub(crate) fn object(&self, object: Object) -> String {
        let mm = |mm: MmId| char::from(b'a' + mm.0);
        match object {
            Object::Count(pfn) => format!("count of {}", self.of(pfn)),
            Object::MapCount(pfn) => format!("map count of {}", self.of(pfn)),
            Object::Flags(pfn) => format!("flags of {}", self.of(pfn)),
            Object::PageLock(pfn) => format!("page lock of {}", self.of(pfn)),
            Object::Entry(space, page) => format!("entry {}{page}", mm(space)),
            Object::Pmd(space, table) => format!("pmd {table} of {}", mm(space)),
            Object::Ptl(space, table) => format!("PTL {table} of {}", mm(space)),
            Object::Mmap(space) => format!("mmap_lock of {}", mm(space)),
            Object::ProtectSeq(space) => format!("write_protect_seq of {}", mm(space)),
            Object::Notifier(space) => format!("notifiers of {}", mm(space)),
            Object::Shootdown(cpu) => format!("instruction of CPU {cpu}"),
            Object::Batch(cpu) => format!("LRU batch of CPU {cpu}"),
            Object::AnonVma(id) => format!("anon_vma {id}"),
            Object::IPages(id) => format!("i_pages of file {id}"),
            Object::IMmap(id) => format!("i_mmap of file {id}"),
            Object::Swap => "swap slots".to_owned(),
            Object::SwapCache => "swap cache".to_owned(),
            Object::Zone => "zone lock".to_owned(),
            Object::Lru => "lru_lock".to_owned(),
            Object::DeviceTable(device) => format!("page table of device {}", device.0),
            Object::DevicePool(device) => format!("free pages of device {}", device.0),
            Object::Shared(device, word) => format!("shared {word} of device {}", device.0),
            Object::PinTable => "pin records".to_owned(),
            Object::Unknown => "?".to_owned(),
        }
    }

    /// What was done, and the value before and after where it is of interest.
    pub(crate) fn change(&self, object: Object, verb: &str, (old, new): (u32, u32)) -> String {
        let show = |word: u32| match object {
            Object::Count(_) => word.to_string(),
            Object::MapCount(_) => (word as i32).to_string(),
            Object::Flags(_) => {
                let flags = PageFlags::from_bits_truncate(word) & PageFlags::RACY;
                names_of(flags.iter_names().map(|(name, _)| name))
            }
            Object::Entry(..) => self.entry(word),
            Object::Pmd(..) => match Pmd::unpack(word) {
                Pmd::Huge(pfn, _) => format!("huge {}", self.of(pfn)),
                other => format!("{other:?}").to_lowercase(),
            },
            Object::ProtectSeq(_) | Object::Shared(..) | Object::Unknown => word.to_string(),
            // Sequence number and sections in one.
            Object::Notifier(_) => format!("{word:#x}"),
            _ if word == 0 => "free".to_owned(),
            _ if word == u32::MAX => "written".to_owned(),
            Object::Mmap(_) | Object::AnonVma(_) | Object::IMmap(_) => format!("read by {word}"),
            _ => "taken".to_owned(),
        };
        let before = show(old);
        if verb == "read" {
            return before;
        }
        match (old == new, verb) {
            (true, "update") => format!("{before}, stays"),
            (true, "compare and exchange") => format!("{before}, not as expected"),
            (true, _) => format!("{before}, stays ({verb})"),
            (false, _) => format!("{before} -> {}", show(new)),
        }
    }
}

fn names_of<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.map(str::to_lowercase).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join("+")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, FileSpec};
    use std::collections::BTreeSet;

    /// A machine with everything in it has every lock but the counters of memory cgroups, which are plain words here.
    #[test]
    fn every_lock_of_the_machine_can_be_named() {
        let config = Config {
            files: &[FileSpec { contents: &[1] }],
            ..Config::SMALL
        };
        let machine = Machine::<Scheduled>::new(&config).unwrap();
        let known = catalogue(&machine);
        let addresses: BTreeSet<usize> = known.iter().map(|(address, _)| *address).collect();
        assert_eq!(addresses.len(), known.len(), "one address, two names");
        let named: BTreeSet<_> = known.iter().filter_map(|(_, o)| o.lock()).collect();
        let all = LockName::ALL.iter().copied();
        let all: BTreeSet<_> = all.filter(|name| *name != LockName::Memcg).collect();
        assert_eq!(named, all);
    }
}
