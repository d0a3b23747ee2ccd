//! DATA: a read sees the last write. The reference model of what memory holds, kept beside the machine's own.

use crate::config::{MmId, VmaKind};
use crate::cpu::Cpu;
use crate::event::Event;
use crate::frame::Identity;
use crate::ledger::{Cell, Ledger};
use crate::machine::Machine;
use crate::sides::{Account, Says};
use crate::sync::Synchronisation;
use crate::violation::Invariant;
use migrate_pin_core::Pfn;

impl<S: Synchronisation> Cpu<'_, S> {
    /// What a read of this page must see.
    pub(crate) fn expected(&self, mm: MmId, vpn: usize) -> u32 {
        let mut books = self.m.ledger.lock();
        expected_in(self.m, &mut books, mm, vpn)
    }

    /// What a copy that is made of a page for this place must hold: a file's page what the file does, also if there is a copy in its place
    /// just then, which may have gone before this one takes it.
    pub(crate) fn expected_copy(&self, mm: MmId, vpn: usize, of_file: bool) -> u32 {
        let mut books = self.m.ledger.lock();
        match place_in(self.m, mm, vpn) {
            Place::PrivateFile(file, index) if of_file => expected_of(&books, file, index),
            _ => expected_in(self.m, &mut books, mm, vpn),
        }
    }

    /// A read of `mm` at `vpn` saw `value`.
    pub(crate) fn check_read(&self, mm: MmId, vpn: usize, page: Option<Pfn>, value: u32) {
        if !S::LEDGER || !S::STEPWISE {
            return;
        }
        let expected = self.expected(mm, vpn);
        if expected != value {
            self.disagree_at(
                Invariant::Data,
                page,
                (mm, vpn),
                "a read does not see the last write",
                Account::new("contents", Says::Contents(expected), Says::Contents(value)),
            );
        }
    }

    /// `mm` wrote `value` at `vpn`.
    pub(crate) fn note_write(&self, mm: MmId, vpn: usize, value: u32) {
        if !S::LEDGER {
            return;
        }
        let place = self.place(mm, vpn);
        let mut books = self.m.ledger.lock();
        match place {
            Place::File(file, index) => {
                if let Some(cell) = books
                    .file_cells
                    .get_mut(file)
                    .and_then(|file| file.get_mut(index))
                {
                    *cell = value;
                }
            }
            Place::Private | Place::PrivateFile(..) => {
                let cell = Cell {
                    value,
                    own: true,
                    free: false,
                };
                // A fork that has write-protected the page, and not flushed the TLBs yet: the child has it too.
                let forking = books.doing.all().iter().find_map(|doing| doing.forking);
                if let Some((_, child)) = forking.filter(|(parent, _)| *parent == mm) {
                    let shared = books.standing(mm, vpn).named();
                    if shared.is_some() && books.standing(child, vpn).named() == shared {
                        if let Some(place) = books.cell_mut(child, vpn) {
                            *place = cell;
                        }
                    }
                }
                if let Some(place) = books.cell_mut(mm, vpn) {
                    *place = cell;
                }
            }
        }
    }

    /// `value` was written to this page, whoever has it mapped. False if it is not a file's.
    pub(crate) fn note_file_write(&self, page: Pfn, value: u32) -> bool {
        if !S::LEDGER {
            return false;
        }
        let Some(frame) = self.m.frame(page) else {
            return false;
        };
        let Identity::File(file) = frame.identity() else {
            return false;
        };
        let mut books = self.m.ledger.lock();
        let cells = books.file_cells.get_mut(usize::from(file.0));
        if let Some(cell) = cells.and_then(|cells| cells.get_mut(frame.index.get() as usize)) {
            *cell = value;
        }
        true
    }

    /// The page at `vpn` became private memory that holds `value`, without having been written by the process.
    pub(crate) fn note_own(&self, mm: MmId, vpn: usize, value: u32) {
        if !S::LEDGER {
            return;
        }
        if let Some(cell) = self.m.ledger.lock().cell_mut(mm, vpn) {
            *cell = Cell {
                value,
                own: true,
                free: false,
            };
        }
    }

    /// The page at `vpn`, whose entry is cleared, is about to be replaced by a copy that was made when a read had to see `value`. What
    /// was written to it since through a reference, or to a file, and what still will be, is not in the copy, as in the kernel
    /// (`wp_page_copy()` copies without the PTL): only a DMA pin keeps a page where it is.
    pub(crate) fn note_copied(&self, mm: MmId, vpn: usize, value: u32) {
        if !S::LEDGER {
            return;
        }
        let mut books = self.m.ledger.lock();
        books.forget_cleared(mm, vpn);
        if let Some(cell) = books.cell_mut(mm, vpn) {
            *cell = Cell {
                value,
                own: true,
                free: false,
            };
        }
    }

    /// The page at `vpn` may be dropped: `MADV_FREE`.
    pub(crate) fn note_free(&self, mm: MmId, vpn: usize) {
        if !S::LEDGER {
            return;
        }
        if let Some(cell) = self.m.ledger.lock().cell_mut(mm, vpn) {
            cell.free = true;
        }
    }

    /// DATA: reclaim drops a page that was lazily freed.
    pub(crate) fn note_dropped(&self, mm: MmId, vpn: usize, page: Pfn) {
        if !S::LEDGER {
            return;
        }
        let free = self
            .m
            .ledger
            .lock()
            .cell_mut(mm, vpn)
            .is_none_or(|cell| cell.free);
        let book = self.read_book(page);
        if !free && (book.gup > 0 || book.gup_pins > 0) {
            // Written through GUP and not marked dirty yet: 5.11 loses that, and it is not the pipeline's doing.
            self.event(Event::GupStaleWrite);
        } else if !free {
            self.disagree_at(
                Invariant::Data,
                Some(page),
                (mm, vpn),
                "a lazily freed page is dropped that was written since",
                Account::new("page", "written since MADV_FREE", "clean"),
            );
        }
        self.note_zapped(mm, vpn);
    }

    /// The page at `vpn` went back to what a fresh mapping holds.
    pub(crate) fn note_zapped(&self, mm: MmId, vpn: usize) {
        if !S::LEDGER {
            return;
        }
        let mut books = self.m.ledger.lock();
        books.forget_cleared(mm, vpn);
        if let Some(cell) = books.cell_mut(mm, vpn) {
            *cell = Cell::default();
        }
    }

    /// Where the words of this page of an address space are kept.
    pub(crate) fn place(&self, mm: MmId, vpn: usize) -> Place {
        place_in(self.m, mm, vpn)
    }
}

/// Where a word of an address space lives, in the reference model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the file.
    File(usize, usize),
    /// In the file until it is written.
    PrivateFile(usize, usize),
    /// In the address space.
    Private,
}

fn place_in<S: Synchronisation>(machine: &Machine<S>, mm: MmId, vpn: usize) -> Place {
    let Some(space) = machine.mms.get(usize::from(mm.0)) else {
        return Place::Private;
    };
    let Some(area) = space
        .find(vpn)
        .and_then(|index| space.areas.get(usize::from(index)))
    else {
        return Place::Private;
    };
    let index = area.index_of(vpn) as usize;
    match area.kind() {
        VmaKind::Shared(file, _) => Place::File(file.0.into(), index),
        VmaKind::Private(file, _) => Place::PrivateFile(file.0.into(), index),
        _ => Place::Private,
    }
}

/// What a page of a file must read as.
fn expected_of<S: Synchronisation>(books: &Ledger<S>, file: usize, index: usize) -> u32 {
    let words = books.file_cells.get(file);
    words
        .and_then(|words| words.get(index))
        .copied()
        .unwrap_or(0)
}

fn expected_in<S: Synchronisation>(
    machine: &Machine<S>,
    books: &mut Ledger<S>,
    mm: MmId,
    vpn: usize,
) -> u32 {
    let own = books
        .cell_mut(mm, vpn)
        .map(|cell| *cell)
        .unwrap_or_default();
    match place_in(machine, mm, vpn) {
        Place::File(file, index) => expected_of(books, file, index),
        Place::PrivateFile(file, index) if !own.own => expected_of(books, file, index),
        _ => own.value,
    }
}
