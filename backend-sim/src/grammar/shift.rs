//! Putting a program of the tables, which acts on page 1, somewhere else.

use crate::config::FileId;
use crate::grammar::world::PAGES;
use crate::scenario::Step;

/// Where a program is to act, and what it is to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// In place of page 1.
    pub at: u16,
    /// In place of one page, where a step takes so many; cut off at the end of the address space.
    pub pages: u16,
    /// In place of the values in the table.
    pub value: u32,
}

impl Target {
    fn page(self, at: u16) -> u16 {
        (at.saturating_sub(1) + self.at) % PAGES as u16
    }

    /// Where, and how many pages.
    fn range(self, at: u16, pages: u16) -> (u16, u16) {
        let at = self.page(at);
        let wanted = if pages == 1 { self.pages } else { pages };
        (at, wanted.min(PAGES as u16 - at).max(1))
    }

    /// `step` there.
    #[must_use]
    pub fn of(self, step: Step) -> Step {
        let value = self.value;
        match step {
            Step::Read(at) => Step::Read(self.page(at)),
            Step::Write(at, _) => Step::Write(self.page(at), value),
            Step::Add(at, _) => Step::Add(self.page(at), value),
            Step::DeviceRead(at) => Step::DeviceRead(self.page(at)),
            Step::DeviceWrite(at, _) => Step::DeviceWrite(self.page(at), value),
            Step::DeviceAdd(at, _) => Step::DeviceAdd(self.page(at), value),
            Step::GupWrite(_) => Step::GupWrite(value),
            Step::Acquire { at, pages, access } => {
                let (at, pages) = self.range(at, pages);
                Step::Acquire { at, pages, access }
            }
            Step::Grant { at, access } => Step::Grant {
                at: self.page(at),
                access,
            },
            Step::Revoke { at, pages } => {
                let (at, pages) = self.range(at, pages);
                Step::Revoke { at, pages }
            }
            Step::ToDevice { at, pages } => {
                let (at, pages) = self.range(at, pages);
                Step::ToDevice { at, pages }
            }
            Step::Setup { at, pages, purpose } => {
                let (at, pages) = self.range(at, pages);
                Step::Setup { at, pages, purpose }
            }
            Step::Gup { at, write, pin } => Step::Gup {
                at: self.page(at),
                write,
                pin,
            },
            Step::Munmap { at, pages } => {
                let (at, pages) = self.range(at, pages);
                Step::Munmap { at, pages }
            }
            Step::Mprotect { at, pages, write } => {
                let (at, pages) = self.range(at, pages);
                Step::Mprotect { at, pages, write }
            }
            Step::DontNeed { at, pages } => {
                let (at, pages) = self.range(at, pages);
                Step::DontNeed { at, pages }
            }
            Step::FaultIn(at) => Step::FaultIn(self.page(at)),
            Step::Reclaim(at) => Step::Reclaim(self.page(at)),
            Step::Compact(at) => Step::Compact(self.page(at)),
            Step::Writeback(FileId(file), at) => Step::Writeback(FileId(file), self.page(at)),
            Step::HugeFault(at) => Step::HugeFault(self.page(at)),
            Step::LockPage(at) => Step::LockPage(self.page(at)),
            Step::LockOriginal(at) => Step::LockOriginal(self.page(at)),
            Step::Isolate(at) => Step::Isolate(self.page(at)),
            Step::GetPage(at) => Step::GetPage(self.page(at)),
            // They name no page and no value of their own.
            Step::SetupRaw { .. }
            | Step::Provide
            | Step::ProvideThis(_)
            | Step::Pages
            | Step::Map
            | Step::Finalize
            | Step::Abandon
            | Step::Fail(_)
            | Step::GupPut
            | Step::Fork(_)
            | Step::Exit
            | Step::OomReap
            | Step::Drain
            | Step::UnlockPage
            | Step::Putback
            | Step::PutPage => step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_stays_in_the_address_space() {
        for at in 0..PAGES as u16 {
            for pages in 1..=PAGES as u16 {
                let target = Target {
                    at,
                    pages,
                    value: 5,
                };
                let Step::Munmap {
                    at: start,
                    pages: n,
                } = target.of(Step::Munmap { at: 1, pages: 1 })
                else {
                    panic!("another step");
                };
                assert_eq!(start, at);
                assert_eq!(n, pages.min(PAGES as u16 - at));
                assert_eq!(target.of(Step::Write(1, 9)), Step::Write(at, 5));
            }
        }
    }
}
