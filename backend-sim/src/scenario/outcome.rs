//! What a run prints: lines that the simulated machine and a live kernel can both print.
//!
//! Pages have names instead of pfns. A page that is mapped when the scenario proper begins is named after
//! its address space (`a` for the first) and page: `a0`, `b3`. Others get a name when they are first
//! mentioned: `dev0`, `dev1`, ... for device pages, `new0`, `new1`, ... for system pages.
//!
//! ```text
//! setup: 2 of 2
//!   0: a0 VALID MIGRATE LOCKED WRITE PIN
//!   1: a1 VALID MIGRATE LOCKED PIN
//! read 0: 7
//! at a0: dev0 device-private write
//! page a0: count 1025, mapped 0, isolated, pinned 1
//! ```

use crate::config::{ActorId, DeviceId, MmId};
use crate::entry::Entry;
use crate::frame::FrameZone;
use crate::machine::{LruState, Machine, PageState};
use crate::sync::Synchronisation;
use migrate_pin_core::{MigratePfn, Pfn, PteBits, SrcPfn};
use std::fmt::Write as _;

/// A page from when it is handed out to when it is freed: a frame, and how often it was handed out.
type Life = (Pfn, u32);

/// Names of pages.
#[derive(Clone, Debug, Default)]
pub struct Names {
    known: Vec<(Life, String)>,
    devices: usize,
    new: usize,
}

/// The letter of an address space.
fn letter(mm: MmId) -> char {
    char::from(b'a' + mm.0)
}

impl Names {
    /// Name every page that is mapped now.
    pub fn mapped<S: Synchronisation>(machine: &Machine<S>, mms: usize, pages: u16) -> Self {
        let mut names = Self::default();
        for mm in (0..mms).map(|mm| MmId(mm as u8)) {
            for page in 0..pages {
                let Some(pfn) = machine.glance_at(mm, page.into()) else {
                    continue;
                };
                let Some(glance) = machine.glance(pfn) else {
                    continue;
                };
                let life = (pfn, glance.lives);
                if !is_device(glance.zone) && !names.known.iter().any(|(known, _)| *known == life) {
                    names.known.push((life, format!("{}{page}", letter(mm))));
                }
            }
        }
        names
    }

    /// The first name that was given to what is in a frame, if that was a page that was mapped from the start.
    #[cfg(feature = "engines")]
    pub(crate) fn first(&self, pfn: Pfn) -> Option<&str> {
        let given = |name: &str| name.starts_with("dev") || name.starts_with("new");
        let known = self.known.iter().find(|((known, _), _)| *known == pfn);
        known
            .map(|(_, name)| name.as_str())
            .filter(|name| !given(name))
    }

    /// The name of the page that is in this frame now; a new one if it has none. A frame that was freed and handed
    /// out again is another page.
    pub fn name<S: Synchronisation>(&mut self, machine: &Machine<S>, pfn: Pfn) -> String {
        let Some(glance) = machine.glance(pfn) else {
            return format!("pfn {pfn}");
        };
        let life = (pfn, glance.lives);
        if let Some((_, name)) = self.known.iter().find(|(known, _)| *known == life) {
            return name.clone();
        }
        let name = if is_device(glance.zone) {
            self.devices += 1;
            format!("dev{}", self.devices - 1)
        } else {
            self.new += 1;
            format!("new{}", self.new - 1)
        };
        self.known.push((life, name.clone()));
        name
    }
}

fn is_device(zone: FrameZone) -> bool {
    matches!(zone, FrameZone::Device(_))
}

/// The flags of a source word, by the names that the header gives them.
const FLAGS: [(MigratePfn, &str); 5] = [
    (MigratePfn::VALID, "VALID"),
    (MigratePfn::MIGRATE, "MIGRATE"),
    (MigratePfn::LOCKED, "LOCKED"),
    (MigratePfn::WRITE, "WRITE"),
    (MigratePfn::PIN, "PIN"),
];

/// A source word in words.
pub fn word<S: Synchronisation>(machine: &Machine<S>, names: &mut Names, word: SrcPfn) -> String {
    let mut text = match word.pfn() {
        Some(pfn) => names.name(machine, pfn),
        None => "-".to_owned(),
    };
    for (flag, name) in FLAGS {
        if word.flags().contains(flag) {
            text.push(' ');
            text.push_str(name);
        }
    }
    text
}

/// The bits of an entry that do not come and go by themselves.
const BITS: [(PteBits, &str); 4] = [
    (PteBits::WRITE, " write"),
    (PteBits::DIRTY, " dirty"),
    (PteBits::SOFT_DIRTY, " soft-dirty"),
    (PteBits::UFFD_WP, " uffd-wp"),
];

fn bits(bits: PteBits) -> String {
    let set = BITS.into_iter().filter(|(bit, _)| bits.contains(*bit));
    set.map(|(_, name)| name).collect()
}

/// An entry in words; none if it is empty.
fn entry<S: Synchronisation>(
    machine: &Machine<S>,
    names: &mut Names,
    entry: Entry,
) -> Option<String> {
    let (name, kind, flags) = match entry {
        Entry::None => return None,
        Entry::Page(pfn, flags) => (names.name(machine, pfn), "", flags),
        Entry::DevicePrivate(pfn, flags) => {
            let name = names.name(machine, pfn);
            (name, " device-private", flags - PteBits::DIRTY)
        }
        Entry::Migration(pfn, flags) => {
            let name = names.name(machine, pfn);
            (name, " migration", flags - PteBits::DIRTY)
        }
        Entry::Zero(flags) => ("zero".to_owned(), "", flags),
        Entry::Special(flags) => ("special".to_owned(), "", flags),
        Entry::Swap(..) => ("swap".to_owned(), "", PteBits::empty()),
        Entry::Other => ("other".to_owned(), "", PteBits::empty()),
    };
    Some(format!("{name}{kind}{}", bits(flags)))
}

fn page_line(name: &str, state: &PageState) -> String {
    if !state.in_use {
        return format!("page {name}: free");
    }
    let lru = match state.lru {
        LruState::None => "on no list",
        LruState::Batch | LruState::Listed => "on the LRU",
        LruState::Isolated => "isolated",
        LruState::Confused => "in two places",
    };
    let mut line = format!(
        "page {name}: count {}, mapped {}",
        state.count, state.mapcount
    );
    if !is_device(state.zone) {
        let _ = write!(line, ", {lru}");
    }
    if state.zone == FrameZone::Movable {
        line.push_str(", movable");
    }
    for (count, what) in [(state.pins, "pinned"), (state.dma_pins, "DMA-pinned")] {
        if count > 0 {
            let _ = write!(line, ", {what} {count}");
        }
    }
    if state.locked {
        line.push_str(", locked");
    }
    line
}

/// A part of a huge page is counted, listed and locked with the whole.
fn with_whole<S: Synchronisation>(machine: &Machine<S>, pfn: Pfn, part: PageState) -> PageState {
    let cpu = machine.cpu(ActorId(0));
    match machine.page(cpu.head(pfn)) {
        Some(head) => PageState {
            mapcount: cpu.mapcount(pfn),
            ..head
        },
        None => part,
    }
}

/// The state at the end: entries of every address space, device mappings, named pages.
///
/// The LRU batches are drained before, as a kernel does it before it counts references.
pub fn state<S: Synchronisation>(
    machine: &Machine<S>,
    names: &mut Names,
    mms: usize,
    pages: u16,
    devices: usize,
) -> Vec<String> {
    let mut lines = Vec::new();
    machine.cpu(ActorId(0)).lru_drain_all();
    for mm in (0..mms).map(|mm| MmId(mm as u8)) {
        for page in 0..pages {
            let here = machine.entry(mm, page.into());
            if let Some(text) = entry(machine, names, here) {
                lines.push(format!("at {}{page}: {text}", letter(mm)));
            }
            for device in (0..devices).map(|device| DeviceId(device as u8)) {
                if let Some(pfn) = machine.device_page_at(device, mm, page.into()) {
                    let name = names.name(machine, pfn);
                    lines.push(format!(
                        "device {} at {}{page}: {name}",
                        device.0,
                        letter(mm)
                    ));
                }
            }
        }
    }
    for ((pfn, lives), name) in &names.known {
        match machine.page(*pfn) {
            Some(state) if state.lives == *lives => {
                lines.push(page_line(name, &with_whole(machine, *pfn, state)))
            }
            _ => lines.push(format!("page {name}: free")),
        }
    }
    lines
}
