// SPDX-License-Identifier: GPL-2.0-only
//! Scenarios that run on the simulated machine and in a live kernel by the same code. What they print has to be the
//! same, line by line: words, reference and map counts, LRU and pin state, contents.
//!
//! A world is one process with an area of [`PAGES`] pages of private anonymous memory, all its own, a device that
//! mirrors it, and a child that it may fork.

mod scenarios;

pub use scenarios::SCENARIOS;

use std::fmt::{self, Write as _};

/// Pages of the area.
pub const PAGES: usize = 8;

/// A range of pages: the first, and how many.
pub type Pages = (usize, usize);

/// One step of a scenario; pages are counted from the start of the area.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The process writes.
    Write(usize, u32),
    /// The process reads.
    Read(usize),
    /// The process forks; the child stays.
    Fork,
    /// The child reads.
    ChildRead(usize),
    /// The child writes.
    ChildWrite(usize, u32),
    /// The child exits.
    ChildExit,
    /// `madvise(MADV_DONTNEED)`.
    DontNeed(Pages),
    /// `madvise(MADV_FREE)`.
    Free(Pages),
    /// `munmap()`.
    Unmap(Pages),
    /// `mprotect()`, to read only or to read and write.
    Protect(Pages, bool),
    /// A long-term pin for DMA.
    DmaPin(usize),
    /// It is given back.
    DmaUnpin,
    /// The device acquires for writing.
    Acquire(Pages),
    /// The driver gives pages back.
    Revoke(Pages),
    /// The device adds, if it has the page.
    DeviceAdd(usize, u32),
    /// Migration with copy to the device.
    Migrate(Pages),
    /// Setup with PIN in the words or not, of system memory or the device's, pages with no destination, finalize.
    Words(Pages, bool, Select),
}

/// What setup selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    System,
    Device,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    None,
    Zero,
    Page,
    Device,
    Other,
}

/// What can be told of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub count: u32,
    pub mapcount: u32,
    pub lru: bool,
    pub locked: bool,
    pub pinned: bool,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count {} mapped {}", self.count, self.mapcount)?;
        for (set, text) in [
            (self.lru, " lru"),
            (self.locked, " locked"),
            (self.pinned, " pinned"),
        ] {
            f.write_str(if set { text } else { "" })?;
        }
        Ok(())
    }
}

/// An entry, its bits, and the page that it names.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub entry: Entry,
    pub write: bool,
    /// The hardware has seen a write; of what maps a page.
    pub dirty: bool,
    /// The hardware has seen an access; likewise.
    pub young: bool,
    /// The name of the page and its state.
    pub page: Option<(u64, Page)>,
}

/// What came of [`Step::Words`]: a positive errno each, and the words' flags when all is over.
#[derive(Clone, Debug)]
pub struct Words {
    pub setup: i32,
    pub pages: i32,
    pub finalize: i32,
    pub cpages: usize,
    pub flags: Vec<u8>,
}

/// Where scenarios run.
pub trait World {
    fn write(&mut self, page: usize, value: u32);
    fn read(&mut self, page: usize) -> u32;
    fn fork(&mut self);
    fn child_read(&mut self, page: usize) -> u32;
    fn child_write(&mut self, page: usize, value: u32);
    fn child_exit(&mut self);
    fn dont_need(&mut self, pages: Pages);
    fn free(&mut self, pages: Pages);
    fn unmap(&mut self, pages: Pages);
    fn protect(&mut self, pages: Pages, write: bool);
    fn dma_pin(&mut self, page: usize);
    fn dma_unpin(&mut self);
    /// Granted and left.
    fn acquire(&mut self, pages: Pages) -> (u64, u64);
    /// Pages that could not be given back.
    fn revoke(&mut self, pages: Pages) -> u64;
    /// What was there; none if the device has no access.
    fn device_add(&mut self, page: usize, value: u32) -> Option<u32>;
    fn migrate(&mut self, pages: Pages) -> u64;
    fn words(&mut self, pages: Pages, pin: bool, select: Select) -> Words;
    /// Drain the LRU batches and look, without touching anything.
    fn look(&mut self, page: usize) -> Look;
    /// A page by its name.
    fn page(&mut self, name: u64) -> Page;
    /// Pages that are pinned, and device pages in use.
    fn totals(&mut self) -> (u64, u64);
}

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub steps: &'static [Step],
}

fn step<W: World>(world: &mut W, step: Step) -> String {
    match step {
        Step::Write(page, value) => {
            world.write(page, value);
            String::new()
        }
        Step::Read(page) => world.read(page).to_string(),
        Step::Fork => {
            world.fork();
            String::new()
        }
        Step::ChildRead(page) => world.child_read(page).to_string(),
        Step::ChildWrite(page, value) => {
            world.child_write(page, value);
            String::new()
        }
        Step::ChildExit => {
            world.child_exit();
            String::new()
        }
        Step::DontNeed(pages) => {
            world.dont_need(pages);
            String::new()
        }
        Step::Free(pages) => {
            world.free(pages);
            String::new()
        }
        Step::Unmap(pages) => {
            world.unmap(pages);
            String::new()
        }
        Step::Protect(pages, write) => {
            world.protect(pages, write);
            String::new()
        }
        Step::DmaPin(page) => {
            world.dma_pin(page);
            String::new()
        }
        Step::DmaUnpin => {
            world.dma_unpin();
            String::new()
        }
        Step::Acquire(pages) => format!("{:?}", world.acquire(pages)),
        Step::Revoke(pages) => world.revoke(pages).to_string(),
        Step::DeviceAdd(page, value) => format!("{:?}", world.device_add(page, value)),
        Step::Migrate(pages) => world.migrate(pages).to_string(),
        Step::Words(pages, pin, select) => format!("{:?}", world.words(pages, pin, select)),
    }
}

/// Everything that a scenario touches by now, under names that do not depend on where pages happen to be.
fn describe<W: World>(world: &mut W, touched: usize, originals: &mut Vec<(usize, u64)>) -> String {
    let mut text = String::new();
    let mut seen: Vec<(u64, usize)> = Vec::new();
    for page in 0..touched {
        let look = world.look(page);
        let write = if look.write { " write" } else { "" };
        let dirty = if look.dirty { " dirty" } else { "" };
        let young = if look.young { " young" } else { "" };
        let _ = write!(text, "  at {page}: {:?}{write}{dirty}{young}", look.entry);
        if let Some((name, state)) = look.page {
            let _ = write!(text, " {state}");
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == name) {
                let _ = write!(text, " the one at {first}");
            }
            seen.push((name, page));
            if look.entry == Entry::Page {
                let original = originals.iter().find(|(at, _)| *at == page);
                let same = original.is_none_or(|(_, original)| *original == name);
                text += if same { "" } else { " another" };
                originals.retain(|(at, _)| *at != page);
                originals.push((page, name));
            }
        }
        text.push('\n');
    }
    // Those that stand behind a device page. Of others nothing is known: the frame may be anyone's by now.
    originals.sort_unstable();
    originals.retain(|(at, name)| {
        if seen.iter().any(|(known, _)| known == name) {
            return true;
        }
        let state = world.page(*name);
        if state.pinned {
            let _ = writeln!(text, "  original of {at}: {state}");
        }
        state.pinned
    });
    let (pins, device) = world.totals();
    let _ = writeln!(text, "  pins {pins}, device pages {device}");
    text
}

const fn last(step: Step) -> usize {
    match step {
        Step::Write(page, _)
        | Step::Read(page)
        | Step::ChildRead(page)
        | Step::ChildWrite(page, _)
        | Step::DmaPin(page)
        | Step::DeviceAdd(page, _) => page + 1,
        Step::DontNeed((first, n))
        | Step::Free((first, n))
        | Step::Unmap((first, n))
        | Step::Protect((first, n), _)
        | Step::Acquire((first, n))
        | Step::Revoke((first, n))
        | Step::Migrate((first, n))
        | Step::Words((first, n), ..) => first + n,
        Step::Fork | Step::ChildExit | Step::DmaUnpin => 0,
    }
}

/// Run a scenario; what is printed of it.
pub fn run<W: World>(world: &mut W, scenario: &Scenario) -> String {
    let mut text = format!("{}\n", scenario.name);
    let touched = scenario.steps.iter().map(|step| last(*step)).max();
    let touched = touched.unwrap_or(0);
    let mut originals = Vec::new();
    for this in scenario.steps {
        let came = step(world, *this);
        let arrow = if came.is_empty() { "" } else { " -> " };
        let _ = writeln!(text, " {this:?}{arrow}{came}");
        text += &describe(world, touched, &mut originals);
    }
    world.unmap((0, PAGES));
    let (pins, device) = world.totals();
    let _ = writeln!(text, " in the end: pins {pins}, device pages {device}");
    text
}
