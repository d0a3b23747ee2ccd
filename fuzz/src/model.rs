//! What memory must read as: a plain model beside the machine and its ledger, which knows nothing of pages.
//!
//! An address space is a list of cells, one a page. A cell of a private mapping holds a word of its own, or that of the
//! file behind it; fork copies the cells; zapping forgets what a cell holds of its own. Migration, reclaim, compaction, swap
//! and devices change nothing. Where the kernel leaves open what is read (after `MADV_FREE`; through a reference of
//! `get_user_pages()` that others have had time to make stale) a cell has several words, any of which may be read.

use migrate_pin_sim::grammar::{Layout, ACTORS, CHILD, CHILD_ACTOR, PAGES, PARENT};
use migrate_pin_sim::scenario::player::Answer;
use migrate_pin_sim::scenario::Step;
use migrate_pin_sim::{AccessError, CpuOp, DeviceOp, MmId, Populate, VmaKind};

/// Words that may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// One of these, so many.
    OneOf([u32; 4], u8),
    /// Nobody can tell.
    Any,
}

impl Words {
    /// This one.
    #[must_use]
    pub const fn one(word: u32) -> Self {
        Self::OneOf([word, 0, 0, 0], 1)
    }

    /// These, or this one as well.
    #[must_use]
    pub fn or(self, word: u32) -> Self {
        match self {
            Self::OneOf(..) if self.allow(word) => self,
            Self::OneOf(mut words, count) if usize::from(count) < words.len() => {
                words[usize::from(count)] = word;
                Self::OneOf(words, count + 1)
            }
            _ => Self::Any,
        }
    }

    /// May it be 0 or something else?
    fn lazy(self) -> bool {
        matches!(self, Self::OneOf(words, count) if count > 1 && words[..usize::from(count)].contains(&0))
    }

    /// May this be read?
    #[must_use]
    pub fn allow(self, word: u32) -> bool {
        match self {
            Self::OneOf(words, count) => words[..usize::from(count)].contains(&word),
            Self::Any => true,
        }
    }
}

/// What an address space has at a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    None,
    Anonymous,
    Shared(usize),
    Private(usize),
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    area: Area,
    /// `VM_WRITE`.
    write: bool,
    /// What a private mapping holds of its own.
    own: Option<Words>,
}

#[derive(Clone, Copy, Debug)]
struct Space {
    cells: [Cell; PAGES],
    alive: bool,
    /// The OOM reaper was there, or a fork into it came to nothing: what can be accessed is left open.
    open: bool,
}

/// A reference of `get_user_pages()`.
#[derive(Clone, Copy, Debug)]
struct Reference {
    mm: MmId,
    page: usize,
    /// Of a shared mapping: the file's page, for good.
    file: Option<usize>,
    /// Others have run since: it may be of a page that is nobody's, or another's, by now.
    loose: bool,
}

/// All of memory.
#[derive(Clone, Debug)]
pub struct Model {
    spaces: [Space; 2],
    file: [Words; 4],
    references: [Option<Reference>; ACTORS],
    /// Something was made to fail, and accesses may be refused for it.
    pub failing: bool,
}

const NOTHING: Cell = Cell {
    area: Area::None,
    write: false,
    own: None,
};

fn spot(actor: u8) -> MmId {
    if actor == CHILD_ACTOR {
        CHILD
    } else {
        PARENT
    }
}

impl Model {
    /// Nothing was written yet.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let mut cells = [NOTHING; PAGES];
        for vma in layout.areas() {
            for page in vma.start..vma.start + vma.pages {
                let file = |first: u16| usize::from(first + page - vma.start);
                cells[usize::from(page)] = Cell {
                    area: match vma.kind {
                        VmaKind::Shared(_, first) => Area::Shared(file(first)),
                        VmaKind::Private(_, first) => Area::Private(file(first)),
                        _ => Area::Anonymous,
                    },
                    write: vma.write,
                    own: None,
                };
            }
        }
        let space = |cells, alive| Space {
            cells,
            alive,
            open: false,
        };
        Self {
            spaces: [space(cells, true), space([NOTHING; PAGES], false)],
            file: [40, 41, 42, 43].map(Words::one),
            references: [None; ACTORS],
            failing: false,
        }
    }

    fn space(&mut self, mm: MmId) -> &mut Space {
        &mut self.spaces[usize::from(mm.0 % 2)]
    }

    fn cell(&self, mm: MmId, page: usize) -> &Cell {
        &self.spaces[usize::from(mm.0 % 2)].cells[page % PAGES]
    }

    /// What may be read.
    #[must_use]
    pub fn words(&self, mm: MmId, page: usize) -> Words {
        let cell = self.cell(mm, page);
        match (cell.area, cell.own) {
            (Area::Shared(index), _) | (Area::Private(index), None) => self.file[index],
            (_, Some(own)) => own,
            (_, None) => Words::one(0),
        }
    }

    fn set(&mut self, mm: MmId, page: usize, words: Words) {
        match self.cell(mm, page).area {
            Area::Shared(index) => self.file[index] = words,
            Area::Private(_) | Area::Anonymous => {
                self.space(mm).cells[page % PAGES].own = Some(words)
            }
            Area::None => {}
        }
    }

    /// Something was put at a page before anybody acted; `done` if it could be.
    pub fn populate(&mut self, mm: MmId, page: usize, what: Populate, done: bool) {
        let words = match what {
            Populate::Huge(word) if done => {
                for index in 0..4 {
                    self.set(mm, page + index, Words::one(word + index as u32));
                }
                return;
            }
            Populate::Written(word)
            | Populate::WrittenInBatch(word, _)
            | Populate::Clean(word, _)
            | Populate::Marked(word)
            | Populate::Swapped(word)
            | Populate::SwapCached(word)
            | Populate::SwapCachedUnmapped(word)
            | Populate::OffLru(word)
            | Populate::Compound(word)
            | Populate::NoMapping(word) => match done {
                true => Words::one(word),
                // It got so far, or not.
                false => self.words(mm, page).or(word),
            },
            // A later read may find that it has been dropped.
            Populate::LazyFree(word) => Words::one(word).or(0),
            _ => return,
        };
        self.set(mm, page, words);
    }

    /// May an access be refused so?
    fn may_refuse(&self, mm: MmId, page: usize, write: bool, error: AccessError) -> bool {
        let space = &self.spaces[usize::from(mm.0 % 2)];
        let cell = self.cell(mm, page);
        let unmapped = !space.alive || cell.area == Area::None || (write && !cell.write);
        match error {
            AccessError::Segv => unmapped || space.open,
            AccessError::Sigbus => space.open || self.failing,
            AccessError::Oom => self.failing,
            AccessError::Livelock => false,
        }
    }

    fn may_access(&self, mm: MmId, page: usize, write: bool) -> bool {
        let space = &self.spaces[usize::from(mm.0 % 2)];
        let cell = self.cell(mm, page);
        space.open || (space.alive && cell.area != Area::None && (cell.write || !write))
    }

    /// A word was read, written or added to, by a CPU or a device.
    fn touched(&mut self, mm: MmId, page: usize, op: CpuOp, old: u32) -> Result<(), String> {
        let (words, write) = (self.words(mm, page), op != CpuOp::Load);
        if !self.may_access(mm, page, write) {
            return Err(format!(
                "MODEL: mm {} at {page}: {op:?} went where nothing is to be had",
                mm.0
            ));
        }
        if self.space(mm).open && self.cell(mm, page).area == Area::None {
            return Ok(());
        }
        // What a store gives back is no read.
        if !matches!(op, CpuOp::Store(_))
            && !words.allow(old)
            && !self.spaces[usize::from(mm.0 % 2)].open
        {
            return Err(format!(
                "MODEL: mm {} at {page}: {op:?} found {old}, expected {words:?}",
                mm.0
            ));
        }
        match op {
            CpuOp::Load => {}
            CpuOp::Store(word) => self.set(mm, page, Words::one(word)),
            CpuOp::Add(word) => self.set(mm, page, Words::one(old.wrapping_add(word))),
        }
        Ok(())
    }

    /// The end: a CPU has read a page.
    ///
    /// # Errors
    /// It must not have got that.
    pub fn read(
        &mut self,
        mm: MmId,
        page: usize,
        result: Result<u32, AccessError>,
    ) -> Result<(), String> {
        self.access(
            mm,
            page,
            CpuOp::Load,
            match result {
                Ok(word) => Answer::Word(word),
                Err(error) => Answer::Fault(error),
            },
        )
    }

    fn access(&mut self, mm: MmId, page: usize, op: CpuOp, answer: Answer) -> Result<(), String> {
        match answer {
            Answer::Word(old) => self.touched(mm, page, op, old),
            Answer::Fault(error) if !self.may_refuse(mm, page, op != CpuOp::Load, error) => {
                Err(format!(
                    "MODEL: mm {} at {page}: {op:?} was refused: {error:?}",
                    mm.0
                ))
            }
            _ => Ok(()),
        }
    }

    /// An actor did a step, and this came of it.
    ///
    /// # Errors
    /// It must not have.
    pub fn step(&mut self, actor: u8, step: Step, answer: Answer) -> Result<(), String> {
        let mm = spot(actor);
        let device = |op| match op {
            DeviceOp::Load => CpuOp::Load,
            DeviceOp::Store(word) => CpuOp::Store(word),
            DeviceOp::Add(word) => CpuOp::Add(word),
        };
        for (other, reference) in self.references.iter_mut().enumerate() {
            if let (Some(reference), true) = (reference, other != usize::from(actor)) {
                reference.loose = true;
            }
        }
        match step {
            Step::Read(at) => self.access(mm, at.into(), CpuOp::Load, answer),
            Step::Write(at, word) => self.access(mm, at.into(), CpuOp::Store(word), answer),
            Step::Add(at, word) => self.access(mm, at.into(), CpuOp::Add(word), answer),
            Step::DeviceRead(at) => self.access(mm, at.into(), device(DeviceOp::Load), answer),
            Step::DeviceWrite(at, word) => {
                self.access(mm, at.into(), device(DeviceOp::Store(word)), answer)
            }
            Step::DeviceAdd(at, word) => {
                self.access(mm, at.into(), device(DeviceOp::Add(word)), answer)
            }
            Step::Gup { at, write, .. } if answer == Answer::Done => {
                let page = usize::from(at);
                if write && self.cell(mm, page).own.is_none() {
                    // Filled or copied, to be written: from now on it is the process's own.
                    self.set(mm, page, self.words(mm, page));
                }
                let file = match self.cell(mm, page).area {
                    Area::Shared(index) => Some(index),
                    _ => None,
                };
                self.references[usize::from(actor)] = Some(Reference {
                    mm,
                    page,
                    file,
                    loose: false,
                });
                Ok(())
            }
            Step::GupWrite(word) if answer == Answer::Done => {
                self.write_through(actor, word);
                Ok(())
            }
            Step::GupPut => {
                self.references[usize::from(actor)] = None;
                Ok(())
            }
            _ => {
                self.space_step(mm, step, answer);
                Ok(())
            }
        }
    }

    fn write_through(&mut self, actor: u8, word: u32) {
        let Some(reference) = self.references[usize::from(actor)] else {
            return;
        };
        match (reference.file, reference.loose) {
            (Some(index), _) => self.file[index] = Words::one(word),
            (None, false) => {
                // `MADV_FREE` has let it go: 5.11 drops it all the same, clean as it is until who wrote says so. Mended in mainline
                // (6c8e2a256915), as on 6.12, where that is not looked at here.
                let lazy = self.words(reference.mm, reference.page).lazy();
                let words = Words::one(word);
                let words = if lazy { words.or(0) } else { words };
                self.set(reference.mm, reference.page, words);
            }
            (None, true) => {
                for mm in [PARENT, CHILD] {
                    // What holds nothing of its own never had the page that is referred to, or has lost it.
                    let cell = self.cell(mm, reference.page);
                    if !matches!(cell.area, Area::Shared(_)) && cell.own.is_some() {
                        let words = self.words(mm, reference.page).or(word);
                        self.set(mm, reference.page, words);
                    }
                }
            }
        }
    }

    fn space_step(&mut self, mm: MmId, step: Step, answer: Answer) {
        let done = answer == Answer::Done;
        match step {
            Step::Fork(child) => {
                if done {
                    *self.space(child) = *self.space(mm);
                } else if !self.space(child).alive {
                    // There already, or out of memory on the way.
                    self.space(child).open |= self.failing;
                }
            }
            Step::Munmap { at, pages } if done => {
                for page in at..at + pages {
                    self.space(mm).cells[usize::from(page)] = NOTHING;
                }
            }
            Step::Mprotect { at, pages, write } if done => {
                for page in at..at + pages {
                    self.space(mm).cells[usize::from(page)].write = write;
                }
            }
            Step::DontNeed { at, pages } if done => {
                for page in at..at + pages {
                    self.space(mm).cells[usize::from(page)].own = None;
                }
            }
            Step::Exit => {
                let space = self.space(mm);
                space.cells = [NOTHING; PAGES];
                (space.alive, space.open) = (false, false);
            }
            Step::OomReap => {
                // Also of one that is not there yet: the mark is gone once there is.
                let space = self.space(mm);
                space.open |= space.alive;
                for cell in &mut space.cells {
                    cell.own = None;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: Answer = Answer::Word(0);

    #[test]
    fn a_child_has_what_the_parent_had() {
        let mut model = Model::new(Layout::Mixed);
        model.step(0, Step::Write(0, 7), WORD).unwrap();
        model.step(0, Step::Fork(CHILD), Answer::Done).unwrap();
        model.step(0, Step::Write(0, 8), Answer::Word(7)).unwrap();
        assert_eq!(model.words(CHILD, 0), Words::one(7));
        assert_eq!(model.words(PARENT, 0), Words::one(8));
        assert!(model
            .step(CHILD_ACTOR, Step::Read(0), Answer::Word(8))
            .is_err());
        assert!(model
            .step(CHILD_ACTOR, Step::Read(0), Answer::Word(7))
            .is_ok());
    }

    #[test]
    fn a_file_is_one_for_all_but_for_who_has_a_copy() {
        let mut model = Model::new(Layout::Mixed);
        // Page 3 maps the file's page 1 privately, page 4 shared.
        assert_eq!(model.words(PARENT, 3), Words::one(41));
        model.step(0, Step::Write(4, 9), Answer::Word(41)).unwrap();
        assert_eq!(model.words(PARENT, 3), Words::one(9));
        model.step(0, Step::Add(3, 1), Answer::Word(9)).unwrap();
        model.step(0, Step::Write(4, 2), Answer::Word(9)).unwrap();
        assert_eq!(model.words(PARENT, 3), Words::one(10));
        model
            .step(0, Step::DontNeed { at: 3, pages: 1 }, Answer::Done)
            .unwrap();
        assert_eq!(model.words(PARENT, 3), Words::one(2));
    }

    #[test]
    fn what_must_not_be_is_told() {
        let mut model = Model::new(Layout::Mixed);
        assert!(model.step(0, Step::Write(6, 1), WORD).is_err());
        assert!(model
            .step(0, Step::Write(6, 1), Answer::Fault(AccessError::Segv))
            .is_ok());
        assert!(model
            .step(0, Step::Read(6), Answer::Fault(AccessError::Segv))
            .is_err());
        assert!(model
            .step(0, Step::Read(6), Answer::Fault(AccessError::Oom))
            .is_err());
        model.step(0, Step::Exit, Answer::Done).unwrap();
        assert!(model.step(0, Step::Read(0), WORD).is_err());
    }

    #[test]
    fn a_stale_reference_may_have_hit_or_not() {
        let mut model = Model::new(Layout::Anonymous);
        let gup = Step::Gup {
            at: 1,
            write: true,
            pin: false,
        };
        model.step(0, gup, Answer::Done).unwrap();
        model.step(0, Step::GupWrite(5), Answer::Done).unwrap();
        assert_eq!(model.words(PARENT, 1), Words::one(5));
        model.step(1, Step::Drain, Answer::Nothing).unwrap();
        model.step(0, Step::GupWrite(6), Answer::Done).unwrap();
        assert!(model.words(PARENT, 1).allow(5) && model.words(PARENT, 1).allow(6));
        assert!(!model.words(PARENT, 1).allow(7));
    }
}
