//! Looks at the machine that no engine sees.
//!
//! [`Machine::page`] and [`Machine::page_at`] read counts, locks and page tables, and each such read is a place where
//! an engine may switch. What is printed, and which page a step means, must not add such places. So names and steps
//! look here: at the ledger, and at what never changes.

use crate::config::MmId;
use crate::frame::FrameZone;
use crate::machine::Machine;
use crate::sync::Synchronisation;
use migrate_pin_core::Pfn;

/// What can be told of a page frame by a glance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    pub(crate) zone: FrameZone,
    /// How often the page was handed out.
    pub(crate) lives: u32,
    /// Of a device page: the original it stands for.
    pub(crate) stands_for: Option<Pfn>,
}

impl<S: Synchronisation> Machine<S> {
    /// What names and steps need of a page frame; none if there is no such frame.
    pub(crate) fn glance(&self, page: Pfn) -> Option<Glance> {
        let zone = self.frame(page)?.zone;
        let book = self.ledger.lock().page(page).copied().unwrap_or_default();
        Some(Glance {
            zone,
            lives: book.lives,
            stands_for: book.original.get(),
        })
    }

    /// [`Machine::page_at`] by the ledger; by the page tables if none is kept.
    pub(crate) fn glance_at(&self, mm: MmId, page: usize) -> Option<Pfn> {
        if !S::LEDGER {
            return self.page_at(mm, page);
        }
        let inside = page < self.mm_pages;
        inside.then(|| self.ledger.lock().shadow(mm, page).named())?
    }
}
