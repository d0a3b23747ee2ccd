//! All that there is to be seen of a machine, to tell that nothing has changed.

use migrate_pin_sim::grammar::{CHILD, PAGES, PARENT};
use migrate_pin_sim::{DeviceId, Entry, Machine, PageState, Synchronisation};

/// Every page frame, every entry, every mapping of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    frames: Vec<Option<PageState>>,
    entries: Vec<(Entry, [Option<usize>; 2])>,
    free: (usize, [usize; 2]),
}

impl Snapshot {
    /// Of this machine, now.
    #[must_use]
    pub fn of<S: Synchronisation>(machine: &Machine<S>) -> Self {
        let places = [PARENT, CHILD]
            .into_iter()
            .flat_map(|mm| (0..PAGES).map(move |page| (mm, page)));
        let seen = |(mm, page)| {
            let mapped = |device| {
                machine
                    .device_page_at(DeviceId(device), mm, page)
                    .map(|page| page.0)
            };
            (machine.entry(mm, page), [mapped(0), mapped(1)])
        };
        Self {
            frames: machine.pfns().map(|page| machine.page(page)).collect(),
            entries: places.map(seen).collect(),
            free: (
                machine.free_pages(),
                [0, 1].map(|device| machine.free_device_pages(DeviceId(device))),
            ),
        }
    }

    /// Nothing may have changed since.
    ///
    /// # Errors
    /// What has.
    pub fn unchanged<S: Synchronisation>(
        &self,
        machine: &Machine<S>,
        after: &str,
    ) -> Result<(), String> {
        let now = Self::of(machine);
        if now == *self {
            return Ok(());
        }
        let pages = self.frames.iter().zip(&now.frames).zip(machine.pfns());
        let changed = pages.filter(|((before, now), _)| before != now);
        let told =
            changed.map(|((before, now), page)| format!("page {page}: {before:?} became {now:?}"));
        let entries = self.entries.iter().zip(&now.entries).enumerate();
        let moved = entries.filter(|(_, (before, now))| before != now);
        let also =
            moved.map(|(at, (before, now))| format!("entry {at}: {before:?} became {now:?}"));
        let all: Vec<_> = told.chain(also).collect();
        Err(format!("UNCHANGED: {after}, and yet: {}", all.join("; ")))
    }
}
