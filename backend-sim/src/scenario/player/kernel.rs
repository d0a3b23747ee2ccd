//! Steps of a process on its address space, and of the rest of the kernel.

use super::{done, pages, Answer, Player};
use crate::cpu::WaitFor;
use crate::scenario::Step;
use crate::sync::Synchronisation;
use migrate_pin_core::MmOps;

impl<S: Synchronisation> Player<'_, S> {
    pub(super) fn space(&mut self, step: Step) -> Result<(), WaitFor> {
        let cpu = self.cpu();
        let refused = match step {
            Step::Fork(child) => done(cpu.fork(child))?.err().map(|error| ("fork", error)),
            Step::Munmap { at, pages: n } => {
                let result = done(cpu.munmap(pages(at, n)))?;
                result.err().map(|error| ("munmap", error))
            }
            Step::Mprotect {
                at,
                pages: n,
                write,
            } => {
                let result = done(cpu.mprotect(pages(at, n), write))?;
                result.err().map(|error| ("mprotect", error))
            }
            Step::DontNeed { at, pages: n } => {
                let result = done(cpu.dontneed(pages(at, n)))?;
                result.err().map(|error| ("madvise", error))
            }
            Step::HugeFault(at) => {
                cpu.at("do_huge_pmd_anonymous_page");
                let mm = cpu.mm().unwrap_or_default();
                if !done(cpu.huge_fault(mm, at.into()))? {
                    self.say(format_args!("huge fault {at}: refused"));
                }
                None
            }
            Step::Exit => {
                done(cpu.exit())?;
                None
            }
            Step::OomReap => {
                done(cpu.oom_reap(cpu.mm().unwrap_or_default()))?;
                None
            }
            _ => None,
        };
        self.answer = refused.map_or(Answer::Done, |_| Answer::Refused);
        if let Some((call, error)) = refused {
            self.say(format_args!("{call}: {error:?}"));
        }
        Ok(())
    }

    pub(super) fn kernel(&mut self, step: Step) {
        let mut cpu = self.cpu();
        let at = match step {
            Step::Reclaim(at) | Step::Compact(at) => {
                self.original_at(at).or_else(|| self.page_at(at))
            }
            _ => None,
        };
        match (step, at) {
            (Step::Drain, _) => cpu.lru_add_drain_all(),
            (Step::Writeback(file, page), _) => {
                cpu.sync_file_page(file, page.into());
            }
            (Step::Reclaim(at), Some(page)) if !cpu.reclaim(page) => {
                self.say(format_args!("reclaim {at}: refused"));
            }
            (Step::Compact(at), Some(page)) if cpu.compact(page).is_none() => {
                self.say(format_args!("compact {at}: refused"));
            }
            (Step::LockPage(at) | Step::LockOriginal(at), _) => {
                // Who locks a page has a reference on it.
                let original = matches!(step, Step::LockOriginal(_));
                if let Some(page) = cpu.follow_entry(at.into(), original) {
                    if cpu.trylock_page(page) {
                        self.hands.locked = Some(page);
                    } else {
                        cpu.put_page(page);
                    }
                }
            }
            (Step::UnlockPage, _) => {
                if let Some(page) = self.hands.locked.take() {
                    cpu.unlock_page(page);
                    cpu.put_page(page);
                }
            }
            (Step::Isolate(at), _) => {
                if let Some(page) = cpu.follow_entry(at.into(), false) {
                    if cpu.isolate_lru_page(page) {
                        self.hands.isolated = Some(page);
                    }
                    cpu.put_page(page);
                }
            }
            (Step::Putback, _) => {
                if let Some(page) = self.hands.isolated.take() {
                    cpu.putback_lru_page(page);
                }
            }
            (Step::GetPage(at), _) => {
                self.hands.held = cpu.follow_entry(at.into(), false);
            }
            (Step::PutPage, _) => {
                if let Some(page) = self.hands.held.take() {
                    cpu.put_page(page);
                }
            }
            _ => {}
        }
    }
}
