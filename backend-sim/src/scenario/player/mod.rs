//! [`Player`]: what one actor of a scenario does with one step.
//!
//! The runner of [`run`](crate::scenario::run) has one for each actor and lets one step at a time be done; an engine
//! has each in a thread of its own. So a player looks at the machine only as its actor does: what it does for the sake
//! of a line it prints, or to find the page that a step means, an engine can't see.

mod destinations;
mod driver;
mod kernel;

use crate::config::ActorId;
use crate::cpu::{addr_of, Cpu, Progress, WaitFor};
use crate::device::{Dev, DeviceOp};
use crate::driver::session::Session;
use crate::machine::Machine;
use crate::paths::access::{AccessError, CpuOp};
use crate::paths::gup::{GupFlags, GupRef};
use crate::scenario::outcome::Names;
use crate::scenario::{Give, Step};
use crate::sync::Synchronisation;
use core::fmt;
use migrate_pin_core::ops::Range;
use migrate_pin_core::{Error, Pfn};

/// What an actor has in its hands between two steps.
#[derive(Clone, Debug, Default)]
pub struct Hands {
    /// Most have none, and it is large.
    session: Option<Box<Session>>,
    /// What [`Step::ProvideThis`] gave the session, until pages takes it.
    given: Vec<Give>,
    /// Pages has run.
    moved: bool,
    gup: Option<GupRef>,
    /// Something was written through it that nobody has been told of.
    gup_wrote: bool,
    locked: Option<Pfn>,
    isolated: Option<Pfn>,
    held: Option<Pfn>,
}

/// What came of a player's last step, for who compares it with a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// There was nothing to do, or nothing that has an answer.
    #[default]
    Nothing,
    /// It is done.
    Done,
    /// It is done, and this word was there (before it, if it was written).
    Word(u32),
    /// The access was refused.
    Fault(AccessError),
    /// It was refused, or a device had no mapping.
    Refused,
}

/// One actor of a scenario, with what it has in its hands between two steps.
pub struct Player<'m, S: Synchronisation> {
    machine: &'m Machine<S>,
    /// The names that all players give; locked for a name or a line at a time, and never while the machine is acted on.
    names: &'m spin::Mutex<Names>,
    actor: u8,
    hands: Hands,
    lines: Vec<String>,
    quiet: bool,
    answer: Answer,
}

impl<'m, S: Synchronisation> Player<'m, S> {
    /// A player with empty hands.
    #[must_use]
    pub fn new(machine: &'m Machine<S>, names: &'m spin::Mutex<Names>, actor: u8) -> Self {
        Self::with(machine, names, actor, Hands::default())
    }

    /// A player who goes on with what another had in its hands: what is given is done before there are threads.
    #[must_use]
    pub fn with(
        machine: &'m Machine<S>,
        names: &'m spin::Mutex<Names>,
        actor: u8,
        hands: Hands,
    ) -> Self {
        Self {
            machine,
            names,
            actor,
            hands,
            lines: Vec::new(),
            quiet: false,
            answer: Answer::Nothing,
        }
    }

    /// What the player has in its hands, for another to go on with.
    #[must_use]
    pub fn into_hands(self) -> Hands {
        self.hands
    }

    /// Say nothing from here on, or speak again.
    pub fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// What the player has said since the last call.
    pub fn take_lines(&mut self) -> Vec<String> {
        core::mem::take(&mut self.lines)
    }

    /// What came of the last step.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.answer
    }

    /// Do `step`, to its end.
    ///
    /// [`Step::Fail`] arms the machine's one plan: fallible calls are counted from here on, whoever makes them. A
    /// runner that has a plan of its own does this step itself.
    ///
    /// # Errors
    /// What it has to wait for: it has done nothing that doing it again would not find.
    pub fn step(&mut self, step: Step) -> Result<(), WaitFor> {
        self.answer = Answer::Nothing;
        match step {
            Step::Read(at) => self.access(at, CpuOp::Load, "read"),
            Step::Write(at, value) => self.access(at, CpuOp::Store(value), "write"),
            Step::Add(at, value) => self.access(at, CpuOp::Add(value), "add"),
            Step::DeviceRead(at) => self.device_access(at, DeviceOp::Load, "read"),
            Step::DeviceWrite(at, value) => self.device_access(at, DeviceOp::Store(value), "write"),
            Step::DeviceAdd(at, value) => self.device_access(at, DeviceOp::Add(value), "add"),
            Step::Gup { .. } | Step::GupWrite(_) | Step::GupPut => self.gup(step),
            Step::Acquire { .. }
            | Step::Grant { .. }
            | Step::Revoke { .. }
            | Step::ToDevice { .. }
            | Step::FaultIn(_) => self.drive(step),
            Step::Setup { .. }
            | Step::SetupRaw { .. }
            | Step::Provide
            | Step::ProvideThis(_)
            | Step::Pages
            | Step::Map
            | Step::Finalize
            | Step::Abandon => self.stage(step),
            Step::Fail(nth) => {
                self.machine.fault_plan().arm(0, nth);
                Ok(())
            }
            Step::Fork(_)
            | Step::Munmap { .. }
            | Step::Mprotect { .. }
            | Step::DontNeed { .. }
            | Step::Exit
            | Step::OomReap
            | Step::HugeFault(_) => self.space(step),
            Step::Reclaim(_)
            | Step::Compact(_)
            | Step::Writeback(..)
            | Step::Drain
            | Step::LockPage(_)
            | Step::LockOriginal(_)
            | Step::UnlockPage
            | Step::Isolate(_)
            | Step::Putback
            | Step::GetPage(_)
            | Step::PutPage => {
                self.kernel(step);
                Ok(())
            }
        }
    }
    fn access(&mut self, at: u16, op: CpuOp, verb: &str) -> Result<(), WaitFor> {
        let result = done(self.cpu().access(addr_of(at.into()), op))?;
        self.answer = result.map_or_else(Answer::Fault, Answer::Word);
        match (result, op) {
            (Ok(_), CpuOp::Store(_)) => {}
            (Ok(word), _) => self.say(format_args!("{verb} {at}: {word}")),
            (Err(error), _) => self.say(format_args!("{verb} {at}: {error:?}")),
        }
        Ok(())
    }

    fn device_access(&mut self, at: u16, op: DeviceOp, verb: &str) -> Result<(), WaitFor> {
        let dev = self.driver();
        let result = dev.and_then(|dev| dev.access(addr_of(at.into()), op));
        self.answer = result.map_or(Answer::Refused, Answer::Word);
        match (result, op) {
            (Some(_), DeviceOp::Store(_)) => {}
            (Some(word), _) => self.say(format_args!("device {verb} {at}: {word}")),
            (None, _) => self.say(format_args!("device {verb} {at}: no mapping")),
        }
        Ok(())
    }

    fn gup(&mut self, step: Step) -> Result<(), WaitFor> {
        let cpu = self.cpu();
        match (step, self.hands.gup) {
            (Step::Gup { at, write, pin }, None) => {
                let (addr, flags) = (addr_of(at.into()), GupFlags { write, pin });
                // If it is tried again, then from the start: no lock is kept from the wait.
                cpu.unpark();
                let found = match cpu.gup_fast(addr, flags) {
                    Some(reference) => Some(reference),
                    None => done(cpu.gup_slow(addr, flags))?.ok(),
                };
                self.hands.gup = found;
                self.answer = found.map_or(Answer::Refused, |_| Answer::Done);
                if found.is_none() {
                    self.say(format_args!("gup {at}: refused"));
                }
            }
            (Step::GupWrite(value), Some(reference)) => {
                cpu.gup_write(&reference, value);
                self.hands.gup_wrote = true;
                self.answer = Answer::Done;
            }
            (Step::GupPut, Some(reference)) => {
                // `unpin_user_pages_dirty_lock()`: who has written says so.
                if self.hands.gup_wrote {
                    done(cpu.gup_dirty(&reference))?;
                    self.hands.gup_wrote = false;
                }
                cpu.gup_put(reference);
                self.hands.gup = None;
            }
            _ => {}
        }
        Ok(())
    }

    // ---- what the steps share -----------------------------------------------------------------------

    fn cpu(&self) -> Cpu<'m, S> {
        self.machine.cpu(ActorId(self.actor))
    }

    /// The device that the actor drives: of the mirror with its number, if that is of its address space, else
    /// of the first that is.
    fn driver(&self) -> Option<Dev<'m, S>> {
        let cpu = self.cpu();
        let mm = cpu.mm()?;
        let mirrors = &self.machine.mirrors;
        let own = mirrors
            .get(usize::from(self.actor))
            .filter(|mirror| mirror.mm == mm);
        let mirror = own.or_else(|| mirrors.iter().find(|mirror| mirror.mm == mm))?;
        Some(cpu.device(mirror.device, mm))
    }

    fn page_at(&self, at: u16) -> Option<Pfn> {
        self.machine.glance_at(self.cpu().mm()?, at.into())
    }

    /// The page that the device page here stands for.
    fn original_at(&self, at: u16) -> Option<Pfn> {
        self.machine.glance(self.page_at(at)?)?.stands_for
    }

    /// What the page in this frame is called.
    fn name(&self, page: Pfn) -> String {
        self.names.lock().name(self.machine, page)
    }

    /// Add a line under the actor's number. Nothing is put into words if nobody listens.
    pub(crate) fn say(&mut self, text: impl fmt::Display) {
        if !self.quiet {
            self.lines.push(format!("{} {text}", self.actor));
        }
    }
}

fn pages(at: u16, count: u16) -> Range {
    Range {
        start: addr_of(at.into()),
        end: addr_of(usize::from(at) + usize::from(count)),
    }
}

fn done<T>(progress: Progress<T>) -> Result<T, WaitFor> {
    match progress {
        Progress::Done(result) => Ok(result),
        Progress::Blocked(wait) => Err(wait),
    }
}

/// What is said of a call that is refused.
struct Refused(&'static str, Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(call, error) = self;
        write!(f, "{call}: refused, errno {}: {error}", error.errno())
    }
}
