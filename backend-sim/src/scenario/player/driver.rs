//! Steps of a driver: its operations in one piece, and the stages of a migration one by one.

use super::{done, pages, Answer, Player, Refused};
use crate::cpu::{addr_of, vpn_of, WaitFor};
use crate::driver::session::Session;
use crate::driver::with_rules;
use crate::invariants::WordStage;
use crate::scenario::{outcome, Step};
use crate::sync::Synchronisation;
use migrate_pin_core::ops::Range;
use migrate_pin_core::{setup, Device, DstPfn, Error, Request, Select, SrcPfn};

impl<S: Synchronisation> Player<'_, S> {
    pub(super) fn drive(&mut self, step: Step) -> Result<(), WaitFor> {
        let Some(dev) = self.driver() else {
            return Ok(());
        };
        match step {
            Step::Acquire {
                at,
                pages: n,
                access,
            } => match done(dev.acquire(pages(at, n), access))? {
                Ok(got) if got.left == 0 => {
                    self.say(format_args!("acquire {at}: {} of {n}", got.granted))
                }
                Ok(got) => self.say(format_args!(
                    "acquire {at}: {} of {n}, {} left",
                    got.granted, got.left
                )),
                Err(error) => self.say(Refused("acquire", error)),
            },
            Step::Grant { at, access } => {
                let result = done(dev.grant(addr_of(at.into()), access))?;
                self.say(format_args!("grant {at}: {result:?}"));
            }
            Step::Revoke { at, pages: n } => match done(dev.give_back(pages(at, n)))? {
                Ok(0) => self.say(format_args!("revoke {at}: done")),
                Ok(busy) => self.say(format_args!("revoke {at}: {busy} busy")),
                Err(error) => self.say(Refused("revoke", error)),
            },
            Step::ToDevice { at, pages: n } => match done(dev.migrate_to_device(pages(at, n)))? {
                Ok(moved) => self.say(format_args!("to device {at}: {moved} of {n}")),
                Err(error) => self.say(Refused("to device", error)),
            },
            Step::FaultIn(at) => match done(dev.fault_in(addr_of(at.into())))? {
                true => {}
                false => self.say(format_args!("fault in {at}: failed")),
            },
            _ => {}
        }
        Ok(())
    }

    pub(super) fn stage(&mut self, step: Step) -> Result<(), WaitFor> {
        match step {
            Step::Setup {
                at,
                pages: n,
                purpose,
            } => {
                if self.hands.session.is_some() {
                    return Ok(());
                }
                let Some(dev) = self.driver() else {
                    return Ok(());
                };
                match done(dev.setup(pages(at, n), purpose))? {
                    Ok(session) => {
                        self.say(format_args!("setup: {} of {n}", session.cpages));
                        self.words(&session);
                        self.hands.session = Some(Box::new(session));
                    }
                    Err(error) => self.say(Refused("setup", error)),
                }
                Ok(())
            }
            Step::SetupRaw {
                start,
                end,
                src,
                dst,
            } => {
                let text = self.setup_raw(Range { start, end }, src, dst)?;
                self.say(&text);
                Ok(())
            }
            _ => {
                let Some(session) = self.hands.session.take() else {
                    return Ok(());
                };
                self.hands.session = self.next_stage(session, step);
                Ok(())
            }
        }
    }

    fn next_stage(&mut self, mut session: Box<Session>, step: Step) -> Option<Box<Session>> {
        if matches!(step, Step::ProvideThis(_) | Step::Finalize | Step::Abandon)
            && !self.hands.moved
        {
            self.take_back(&mut session);
        }
        let dev = self.driver()?;
        match step {
            Step::Provide => dev.fill(&mut session),
            Step::ProvideThis(gives) if !self.hands.moved => {
                self.provide(&mut session, gives);
                self.hands.given = gives.to_vec();
            }
            Step::Pages => {
                let result = dev.pages(&mut session);
                self.answer = result.map_or(Answer::Refused, |()| Answer::Done);
                match result {
                    Ok(()) => {
                        self.hands.moved = true;
                        self.say("pages:");
                        self.words(&session);
                    }
                    Err(error) if !self.quiet => {
                        let text = self.refused_pages(error);
                        self.say(&text);
                    }
                    Err(_) => {}
                }
            }
            Step::Map if self.hands.moved => {
                let mapped = dev.update_device(&mut session);
                self.say(format_args!("map: {mapped}"));
            }
            Step::Finalize => {
                dev.finalize(*session);
                self.hands.moved = false;
                return None;
            }
            Step::Abandon => {
                dev.abandon(*session);
                self.hands.moved = false;
                return None;
            }
            _ => {}
        }
        Some(session)
    }

    /// What pages was refused for; a page by its name.
    fn refused_pages(&mut self, error: Error) -> String {
        let Error::Destination { index, page, error } = error else {
            return Refused("pages", error).to_string();
        };
        let (errno, page) = (error.errno(), self.name(page));
        format!("pages: refused, errno {errno}: dst[{index}] names page {page}: {error}")
    }

    /// The source words, one a line.
    fn words(&mut self, session: &Session) {
        if self.quiet {
            return;
        }
        for (index, word) in session.src.iter().enumerate() {
            let text = outcome::word(self.machine, &mut self.names.lock(), *word);
            self.lines.push(format!("  {index}: {text}"));
        }
    }

    /// A setup that the border is expected to refuse; if it does not, it is dropped at once.
    fn setup_raw(&self, range: Range, words: &[usize], dst: u16) -> Result<String, WaitFor> {
        let Some(mut dev) = self.driver() else {
            return Ok("setup: no driver".to_owned());
        };
        let cpu = self.cpu();
        let mm = cpu.mm().unwrap_or_default();
        done(cpu.mmap_read(mm))?;
        let mut src: Vec<_> = words.iter().map(|word| SrcPfn::from_raw(*word)).collect();
        let mut dst = vec![DstPfn::NONE; usize::from(dst)];
        let before = src.clone();
        // As `find_vma()` has it: the first area that ends behind the address.
        let pages = vpn_of(range.start)..self.machine.mm_pages;
        let result = match pages.into_iter().find_map(|page| cpu.find_vma(mm, page)) {
            None => Err(Error::NoVma),
            Some(vma) => with_rules!(self.machine, |P, Sh| setup::<P, Sh, _>(
                cpu,
                Request {
                    vma,
                    range,
                    src: &mut src,
                    dst: &mut dst,
                    owner: dev.owner(),
                    select: Select::SYSTEM,
                    fault_page: None,
                },
            )
            .map(|migration| {
                let cpages = migration.cpages();
                cpu.check_count(migration.src(), cpages);
                cpu.check_words(WordStage::Setup, migration.src());
                cpages
            })),
        };
        cpu.mmap_read_unlock(mm);
        Ok(match result {
            Ok(cpages) => format!("setup: {cpages}"),
            Err(error) => {
                assert_eq!(src, before, "a refused setup changed the words");
                Refused("setup", error).to_string()
            }
        })
    }
}
