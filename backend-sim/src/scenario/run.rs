//! Running a scenario: one actor's step at a time.

use crate::bug::Bug;
use crate::config::{ActorId, Config, DeviceId, MmId};
use crate::cpu::{addr_of, vpn_of, Cpu, Progress};
use crate::device::{Dev, DeviceOp};
use crate::driver::session::{Purpose, Session};
use crate::driver::with_rules;
use crate::event::EventSet;
use crate::invariants::WordStage;
use crate::machine::Machine;
use crate::paths::access::CpuOp;
use crate::paths::gup::{GupFlags, GupRef};
use crate::paths::populate::Populate;
use crate::scenario::outcome::{self, Names};
use crate::scenario::{By, Give, Scenario, Step};
use crate::sync::Spin;
use crate::violation::{Invariant, Violation};
use migrate_pin_core::ops::Range;
use migrate_pin_core::{
    setup, Device, DstPfn, Error, MmOps, Pfn, PolicyKind, Request, Select, SrcPfn,
};

/// What is varied from run to run.
#[derive(Clone, Copy, Debug)]
pub struct Variation<'a> {
    /// The policy.
    pub policy: PolicyKind,
    /// The order of the steps: each number is an actor, who does its next step. None for the scenario's own.
    pub order: Option<&'a [u8]>,
    /// Which fallible primitive calls of core's fail, counted from 1 over the steps; 0 for none.
    pub fail: [u32; 2],
    /// What is broken from the first step on; what is given is done before.
    pub bugs: &'a [Bug],
}

impl Variation<'_> {
    /// The scenario as it is written, under `policy`.
    #[must_use]
    pub const fn plain(policy: PolicyKind) -> Self {
        Self {
            policy,
            order: None,
            fail: [0, 0],
            bugs: &[],
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// What it printed.
    pub lines: Vec<String>,
    /// What broke: the first violations.
    pub violations: Vec<Violation>,
    /// The invariants that broke, each once, in the order of the table; also those whose violations there was no room
    /// to keep.
    pub broken: Vec<Invariant>,
    /// What happened.
    pub events: EventSet,
    /// The steps in the order in which they were run, with who did them.
    pub trace: Vec<(u8, Step)>,
    /// How many fallible primitive calls core made, and how many of them were made to fail.
    pub fallible: u32,
    /// Of those, how many were made to fail.
    pub failed: u32,
}

/// What an actor has in its hands between two steps.
#[derive(Default)]
struct Hands {
    session: Option<Session>,
    /// What [`Step::ProvideThis`] gave the session, until pages takes it.
    given: Vec<Give>,
    /// Pages has run.
    moved: bool,
    gup: Option<GupRef>,
    locked: Option<Pfn>,
    isolated: Option<Pfn>,
    held: Option<Pfn>,
}

/// A run in progress.
struct Runner<'s> {
    machine: Box<Machine<Spin>>,
    scenario: &'s Scenario,
    names: Names,
    hands: Vec<Hands>,
    run: Run,
    quiet: bool,
    /// Which fallible calls fail: what the variation asks for, and what [`Step::Fail`] does.
    plan: FailurePlan,
}

/// The machine's plan starts over when [`Step::Fail`] is done, so what it has counted until then is kept here.
#[derive(Default)]
struct FailurePlan {
    /// Calls of the variation, counted from the first step.
    wanted: [u32; 2],
    /// The scenario's own, counted since the plan was armed; 0 for none.
    own: u32,
}

/// Why a step is not done.
struct Blocked;

/// Run `scenario` with `variation`.
///
/// # Panics
/// If the scenario's machine can't be built or populated: the scenario is wrong.
#[must_use]
pub fn run(scenario: &Scenario, variation: Variation<'_>) -> Run {
    let mut runner = Runner::new(scenario, variation);
    runner.play(variation);
    runner.finish()
}

fn pages(at: u16, count: u16) -> Range {
    Range {
        start: addr_of(at.into()),
        end: addr_of(usize::from(at) + usize::from(count)),
    }
}

impl<'s> Runner<'s> {
    fn new(scenario: &'s Scenario, variation: Variation<'_>) -> Self {
        let config = Config {
            policy: variation.policy,
            ..scenario.config
        };
        let machine = match Machine::<Spin>::new(&config) {
            Ok(machine) => Box::new(machine),
            Err(error) => panic!("{}: the machine can't be built: {error:?}", scenario.name),
        };
        for (mm, page, what) in scenario.populate {
            assert!(
                machine.populate(*mm, (*page).into(), *what),
                "{}: page {page} of {mm:?} can't be made {what:?}",
                scenario.name
            );
        }
        let names = Names::mapped(&machine, config.mms.len(), config.mm_pages);
        let hands = config.actors.iter().map(|_| Hands::default()).collect();
        Self {
            machine,
            scenario,
            names,
            hands,
            run: Run::default(),
            quiet: true,
            plan: FailurePlan::default(),
        }
    }

    /// Run what is given, then the steps; a step that blocks is tried again after every other.
    fn play(&mut self, variation: Variation<'_>) {
        self.schedule(self.scenario.given.to_vec());
        self.quiet = false;
        self.arm(0);
        (self.run.fallible, self.run.failed) = (0, 0);
        self.plan.wanted = variation.fail;
        self.arm(0);
        for bug in variation.bugs {
            self.machine.seed(*bug);
        }
        let steps = match variation.order {
            None => self.scenario.steps.to_vec(),
            Some(order) => reordered(self.scenario.steps, order),
        };
        self.schedule(steps);
        self.arm(0);
        // What is yet to come, the end of the processes, is not to fail.
        self.machine.fault_plan().arm(0, 0);
    }

    /// Count what has failed so far, and from here on let fail what the variation wants, and the `own`th call from
    /// here (0 for none; it takes the place of the variation's second).
    fn arm(&mut self, own: u32) {
        let plan = self.machine.fault_plan();
        let (calls, fired) = (plan.calls(), plan.fired());
        let [first, second] = self
            .plan
            .wanted
            .map(|nth| nth.saturating_sub(self.run.fallible));
        // Not counted as made to fail: what the scenario itself let fail.
        let ours = self.plan.own != 0 && self.plan.own <= calls && self.plan.own != first;
        self.run.failed += fired - u32::from(ours);
        self.run.fallible += calls;
        let [first, second] = [first, second].map(|nth| nth.saturating_sub(calls));
        self.plan.own = own;
        plan.arm(first, if own == 0 { second } else { own });
    }

    fn schedule(&mut self, mut steps: Vec<By>) {
        // Actors that wait, each for its first step in the list.
        let mut waiting: Vec<u8> = Vec::new();
        while let Some(next) = steps
            .iter()
            .position(|By(actor, _)| !waiting.contains(actor))
        {
            let By(actor, step) = steps[next];
            self.machine.begin_step();
            match self.step(actor, step) {
                Ok(()) => {
                    steps.remove(next);
                    // Somebody moved: those who wait may look again, in the order of the list.
                    waiting.clear();
                    if !self.quiet {
                        self.run.trace.push((actor, step));
                    }
                }
                Err(Blocked) => waiting.push(actor),
            }
        }
        if let Some(By(actor, step)) = steps.first() {
            self.machine.report_deadlock(ActorId(*actor));
            self.say(*actor, format!("{step:?} waits for ever"));
        }
    }

    fn say(&mut self, actor: u8, text: String) {
        if !self.quiet {
            self.run.lines.push(format!("{actor} {text}"));
        }
    }

    /// The device that an actor drives: of the mirror with its number, if that is of its address space, else
    /// of the first that is.
    fn driver(&self, actor: u8) -> Option<Dev<'_, Spin>> {
        let cpu = self.machine.cpu(ActorId(actor));
        let mm = cpu.mm()?;
        let mirrors = self.scenario.config.mirrors;
        let own = mirrors
            .get(usize::from(actor))
            .filter(|mirror| mirror.mm == mm);
        let mirror = own.or_else(|| mirrors.iter().find(|mirror| mirror.mm == mm))?;
        Some(cpu.device(mirror.device, mm))
    }

    fn page_at(&self, actor: u8, at: u16) -> Option<Pfn> {
        let mm = self.machine.cpu(ActorId(actor)).mm()?;
        self.machine.page_at(mm, at.into())
    }

    /// The page that the device page here stands for.
    fn original_at(&self, actor: u8, at: u16) -> Option<Pfn> {
        self.machine.page(self.page_at(actor, at)?)?.stands_for
    }

    fn step(&mut self, actor: u8, step: Step) -> Result<(), Blocked> {
        match step {
            Step::Read(at) => self.access(actor, at, CpuOp::Load, "read"),
            Step::Write(at, value) => self.access(actor, at, CpuOp::Store(value), "write"),
            Step::Add(at, value) => self.access(actor, at, CpuOp::Add(value), "add"),
            Step::DeviceRead(at) => self.device_access(actor, at, DeviceOp::Load, "read"),
            Step::DeviceWrite(at, value) => {
                self.device_access(actor, at, DeviceOp::Store(value), "write")
            }
            Step::DeviceAdd(at, value) => {
                self.device_access(actor, at, DeviceOp::Add(value), "add")
            }
            Step::Gup { .. } | Step::GupWrite(_) | Step::GupPut => self.gup(actor, step),
            Step::Acquire { .. }
            | Step::Grant { .. }
            | Step::Revoke { .. }
            | Step::ToDevice { .. } => self.drive(actor, step),
            Step::Setup { .. }
            | Step::SetupRaw { .. }
            | Step::Provide
            | Step::ProvideThis(_)
            | Step::Pages
            | Step::Map
            | Step::Finalize
            | Step::Abandon => self.stage(actor, step),
            Step::Fail(nth) => {
                self.arm(nth);
                Ok(())
            }
            Step::Fork(_)
            | Step::Munmap { .. }
            | Step::Mprotect { .. }
            | Step::DontNeed { .. }
            | Step::Exit
            | Step::OomReap => self.space(actor, step),
            Step::Reclaim(_)
            | Step::Compact(_)
            | Step::Writeback(..)
            | Step::Drain
            | Step::HugeFault(_)
            | Step::LockPage(_)
            | Step::LockOriginal(_)
            | Step::UnlockPage
            | Step::Isolate(_)
            | Step::Putback
            | Step::GetPage(_)
            | Step::PutPage => {
                self.kernel(actor, step);
                Ok(())
            }
        }
    }

    // ---- processes and devices ----------------------------------------------------------------------

    fn access(&mut self, actor: u8, at: u16, op: CpuOp, verb: &str) -> Result<(), Blocked> {
        let result = done(
            self.machine
                .cpu(ActorId(actor))
                .access(addr_of(at.into()), op),
        )?;
        match (result, op) {
            (Ok(_), CpuOp::Store(_)) => {}
            (Ok(word), _) => self.say(actor, format!("{verb} {at}: {word}")),
            (Err(error), _) => self.say(actor, format!("{verb} {at}: {error:?}")),
        }
        Ok(())
    }

    fn device_access(
        &mut self,
        actor: u8,
        at: u16,
        op: DeviceOp,
        verb: &str,
    ) -> Result<(), Blocked> {
        let dev = self.driver(actor);
        let result = dev.and_then(|dev| dev.access(addr_of(at.into()), op));
        match (result, op) {
            (Some(_), DeviceOp::Store(_)) => {}
            (Some(word), _) => self.say(actor, format!("device {verb} {at}: {word}")),
            (None, _) => self.say(actor, format!("device {verb} {at}: no mapping")),
        }
        Ok(())
    }

    fn gup(&mut self, actor: u8, step: Step) -> Result<(), Blocked> {
        let slot = usize::from(actor);
        let cpu = self.machine.cpu(ActorId(actor));
        match (step, self.hands[slot].gup) {
            (Step::Gup { at, write, pin }, None) => {
                let (addr, flags) = (addr_of(at.into()), GupFlags { write, pin });
                // If it is tried again, then from the start: no lock is kept from the wait.
                cpu.unpark();
                let found = match cpu.gup_fast(addr, flags) {
                    Some(reference) => Some(reference),
                    None => done(cpu.gup_slow(addr, flags))?.ok(),
                };
                self.hands[slot].gup = found;
                if found.is_none() {
                    self.say(actor, format!("gup {at}: refused"));
                }
            }
            (Step::GupWrite(value), Some(reference)) => cpu.gup_write(&reference, value),
            (Step::GupPut, Some(reference)) => {
                cpu.gup_put(reference);
                self.hands[slot].gup = None;
            }
            _ => {}
        }
        Ok(())
    }

    // ---- drivers ------------------------------------------------------------------------------------

    fn drive(&mut self, actor: u8, step: Step) -> Result<(), Blocked> {
        let Some(dev) = self.driver(actor) else {
            return Ok(());
        };
        let text = match step {
            Step::Acquire {
                at,
                pages: n,
                access,
            } => match done(dev.acquire(pages(at, n), access))? {
                Ok(got) if got.left == 0 => format!("acquire {at}: {} of {n}", got.granted),
                Ok(got) => format!("acquire {at}: {} of {n}, {} left", got.granted, got.left),
                Err(error) => refused("acquire", error),
            },
            Step::Grant { at, access } => {
                let result = done(dev.grant(addr_of(at.into()), access))?;
                format!("grant {at}: {result:?}")
            }
            Step::Revoke { at, pages: n } => match done(dev.give_back(pages(at, n)))? {
                Ok(0) => format!("revoke {at}: done"),
                Ok(busy) => format!("revoke {at}: {busy} busy"),
                Err(error) => refused("revoke", error),
            },
            Step::ToDevice { at, pages: n } => match done(dev.migrate_to_device(pages(at, n)))? {
                Ok(moved) => format!("to device {at}: {moved} of {n}"),
                Err(error) => refused("to device", error),
            },
            _ => return Ok(()),
        };
        self.say(actor, text);
        Ok(())
    }

    fn stage(&mut self, actor: u8, step: Step) -> Result<(), Blocked> {
        let slot = usize::from(actor);
        match step {
            Step::Setup {
                at,
                pages: n,
                purpose,
            } => {
                if self.hands[slot].session.is_some() {
                    return Ok(());
                }
                let Some(dev) = self.driver(actor) else {
                    return Ok(());
                };
                match done(dev.setup(pages(at, n), purpose))? {
                    Ok(session) => {
                        self.say(actor, format!("setup: {} of {n}", session.cpages));
                        self.words(&session);
                        self.hands[slot].session = Some(session);
                    }
                    Err(error) => self.say(actor, refused("setup", error)),
                }
                Ok(())
            }
            Step::SetupRaw {
                start,
                end,
                src,
                dst,
            } => {
                let text = self.setup_raw(actor, Range { start, end }, src, dst)?;
                self.say(actor, text);
                Ok(())
            }
            _ => {
                let Some(session) = self.hands[slot].session.take() else {
                    return Ok(());
                };
                self.hands[slot].session = self.next_stage(actor, session, step);
                Ok(())
            }
        }
    }

    fn next_stage(&mut self, actor: u8, mut session: Session, step: Step) -> Option<Session> {
        let slot = usize::from(actor);
        if matches!(step, Step::ProvideThis(_) | Step::Finalize | Step::Abandon)
            && !self.hands[slot].moved
        {
            self.take_back(actor, &mut session);
        }
        let dev = self.driver(actor)?;
        match step {
            Step::Provide => dev.fill(&mut session),
            Step::ProvideThis(gives) if !self.hands[slot].moved => {
                self.provide(actor, &mut session, gives);
                self.hands[slot].given = gives.to_vec();
            }
            Step::Pages => {
                let result = dev.pages(&mut session);
                match result {
                    Ok(()) => {
                        self.hands[slot].moved = true;
                        self.say(actor, "pages:".to_owned());
                        self.words(&session);
                    }
                    Err(error) => {
                        let text = self.refused_pages(error);
                        self.say(actor, text);
                    }
                }
            }
            Step::Map if self.hands[slot].moved => {
                let mapped = dev.update_device(&mut session);
                self.say(actor, format!("map: {mapped}"));
            }
            Step::Finalize => {
                dev.finalize(session);
                self.hands[slot].moved = false;
                return None;
            }
            Step::Abandon => {
                dev.abandon(session);
                self.hands[slot].moved = false;
                return None;
            }
            _ => {}
        }
        Some(session)
    }

    /// What pages was refused for; a page by its name.
    fn refused_pages(&mut self, error: Error) -> String {
        let Error::Destination { index, page, error } = error else {
            return refused("pages", error);
        };
        let (errno, page) = (error.errno(), self.names.name(&self.machine, page));
        format!("pages: refused, errno {errno}: dst[{index}] names page {page}: {error}")
    }

    /// Give back what [`Step::ProvideThis`] gave a session that has not taken it, as a driver does that knows what it
    /// did wrong.
    fn take_back(&mut self, actor: u8, session: &mut Session) {
        let given = core::mem::take(&mut self.hands[usize::from(actor)].given);
        let Some(mut dev) = self.driver(actor) else {
            return;
        };
        let mut cpu = self.machine.cpu(ActorId(actor));
        for (word, give) in session.dst.iter_mut().zip(given) {
            let dropped = core::mem::take(word);
            let Some(page) = dropped.pfn() else {
                continue;
            };
            match give {
                Give::Nothing | Give::Again | Give::Mapped(_) | Give::Raw(_) => {}
                Give::Original | Give::OriginalPlain => cpu.unlock_page(page),
                Give::DeviceUnlocked => {
                    dev.forget(page);
                    cpu.put_page(page);
                }
                Give::Device | Give::DeviceOfOther | Give::System | Give::UnpinNew => {
                    dev.forget(page);
                    cpu.unlock_page(page);
                    cpu.put_page(page);
                }
            }
        }
    }

    /// The source words, one a line.
    fn words(&mut self, session: &Session) {
        if self.quiet {
            return;
        }
        for (index, word) in session.src.iter().enumerate() {
            let text = outcome::word(&self.machine, &mut self.names, *word);
            self.run.lines.push(format!("  {index}: {text}"));
        }
    }

    /// A setup that the border is expected to refuse; if it does not, it is dropped at once.
    fn setup_raw(
        &self,
        actor: u8,
        range: Range,
        words: &[usize],
        dst: u16,
    ) -> Result<String, Blocked> {
        let Some(mut dev) = self.driver(actor) else {
            return Ok("setup: no driver".to_owned());
        };
        let cpu = self.machine.cpu(ActorId(actor));
        let mm = cpu.mm().unwrap_or_default();
        done(cpu.mmap_read(mm))?;
        let mut src: Vec<_> = words.iter().map(|word| SrcPfn::from_raw(*word)).collect();
        let mut dst = vec![DstPfn::NONE; usize::from(dst)];
        let before = src.clone();
        // As `find_vma()` has it: the first area that ends behind the address.
        let pages = vpn_of(range.start)..usize::from(self.scenario.config.mm_pages);
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
                refused("setup", error)
            }
        })
    }

    /// Fill the destinations as the scenario says, right or wrong.
    fn provide(&self, actor: u8, session: &mut Session, gives: &[Give]) {
        let mut last = DstPfn::NONE;
        for (index, give) in gives.iter().enumerate() {
            let Some(src) = session.src.get(index).copied() else {
                break;
            };
            let word = self.give(actor, session.purpose(), src, *give, last);
            last = word;
            if let Some(dst) = session.dst.get_mut(index) {
                *dst = word;
            }
        }
    }

    fn give(&self, actor: u8, purpose: Purpose, src: SrcPfn, give: Give, last: DstPfn) -> DstPfn {
        let Some(mut dev) = self.driver(actor) else {
            return DstPfn::NONE;
        };
        let mut cpu = self.machine.cpu(ActorId(actor));
        let system = |dev: &mut Dev<'_, Spin>, cpu: &mut Cpu<'_, Spin>| match src.pfn() {
            Some(old) => dev.copy_to_system(old),
            None => {
                let page = cpu.alloc_page().filter(|page| cpu.trylock_page(*page))?;
                fill(cpu, page, src);
                Some(page)
            }
        };
        match give {
            Give::Nothing => DstPfn::NONE,
            Give::Raw(word) => DstPfn::from_raw(word),
            Give::Again => last,
            Give::Mapped(at) => self.page_at(actor, at).map_or(DstPfn::NONE, DstPfn::page),
            Give::System => system(&mut dev, &mut cpu).map_or(DstPfn::NONE, DstPfn::page),
            Give::UnpinNew => system(&mut dev, &mut cpu).map_or(DstPfn::NONE, DstPfn::unpin),
            Give::DeviceOfOther => {
                let other = DeviceId(u8::from(dev.device.0 == 0));
                let mut other = cpu.device(other, cpu.mm().unwrap_or_default());
                other.alloc_device_page().map_or(DstPfn::NONE, DstPfn::page)
            }
            Give::Device | Give::DeviceUnlocked => {
                let Some(page) = dev.alloc_device_page() else {
                    return DstPfn::NONE;
                };
                match (src.pfn(), purpose) {
                    (Some(original), Purpose::Pin(_)) => dev.remember(page, original),
                    _ => fill(&cpu, page, src),
                }
                if give == Give::DeviceUnlocked {
                    cpu.unlock_page(page);
                }
                DstPfn::page(page)
            }
            Give::Original | Give::OriginalPlain => {
                let original = src.pfn().and_then(|page| dev.original(page));
                match original.filter(|page| cpu.trylock_page(*page)) {
                    None => DstPfn::NONE,
                    Some(page) if give == Give::Original => DstPfn::unpin(page),
                    Some(page) => DstPfn::page(page),
                }
            }
        }
    }

    // ---- address spaces and the rest of the kernel ----------------------------------------------------

    fn space(&mut self, actor: u8, step: Step) -> Result<(), Blocked> {
        let cpu = self.machine.cpu(ActorId(actor));
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
        if let Some((call, error)) = refused {
            self.say(actor, format!("{call}: {error:?}"));
        }
        Ok(())
    }

    fn kernel(&mut self, actor: u8, step: Step) {
        let slot = usize::from(actor);
        let mut cpu = self.machine.cpu(ActorId(actor));
        let at = match step {
            Step::Reclaim(at) | Step::Compact(at) => self
                .original_at(actor, at)
                .or_else(|| self.page_at(actor, at)),
            Step::LockOriginal(at) => self.original_at(actor, at),
            Step::LockPage(at) | Step::Isolate(at) | Step::GetPage(at) => self.page_at(actor, at),
            _ => None,
        };
        match (step, at) {
            (Step::HugeFault(at), _) => {
                let mm = cpu.mm().unwrap_or_default();
                if !self.machine.populate(mm, at.into(), Populate::Huge(0)) {
                    self.say(actor, format!("huge fault {at}: refused"));
                }
            }
            (Step::Drain, _) => cpu.lru_add_drain_all(),
            (Step::Writeback(file, page), _) => {
                cpu.sync_file_page(file, page.into());
            }
            (Step::Reclaim(at), Some(page)) if !cpu.reclaim(page) => {
                self.say(actor, format!("reclaim {at}: refused"));
            }
            (Step::Compact(at), Some(page)) if cpu.compact(page).is_none() => {
                self.say(actor, format!("compact {at}: refused"));
            }
            (Step::LockPage(_) | Step::LockOriginal(_), Some(page)) => {
                // Who locks a page has a reference on it.
                cpu.get_page(page);
                if cpu.trylock_page(page) {
                    self.hands[slot].locked = Some(page);
                } else {
                    cpu.put_page(page);
                }
            }
            (Step::UnlockPage, _) => {
                if let Some(page) = self.hands[slot].locked.take() {
                    cpu.unlock_page(page);
                    cpu.put_page(page);
                }
            }
            (Step::Isolate(_), Some(page)) if cpu.isolate_lru_page(page) => {
                self.hands[slot].isolated = Some(page);
            }
            (Step::Putback, _) => {
                if let Some(page) = self.hands[slot].isolated.take() {
                    cpu.putback_lru_page(page);
                }
            }
            (Step::GetPage(_), Some(page)) => {
                cpu.get_page(page);
                self.hands[slot].held = Some(page);
            }
            (Step::PutPage, _) => {
                if let Some(page) = self.hands[slot].held.take() {
                    cpu.put_page(page);
                }
            }
            _ => {}
        }
    }

    // ---- the end --------------------------------------------------------------------------------------

    /// Say what there is, look at everything, then let every process exit and see that nothing is left.
    fn finish(mut self) -> Run {
        let config = &self.scenario.config;
        let state = outcome::state(
            &self.machine,
            &mut self.names,
            config.mms.len(),
            config.mm_pages,
            config.devices.len(),
        );
        self.run.lines.extend(state);
        self.machine.check_quiescent();
        self.run.events = self.machine.events();
        for mm in 0..config.mms.len() {
            // Nobody holds `mmap_lock` any more, or a deadlock was reported already.
            let _ = self.machine.cpu(ActorId(0)).exit_in(MmId(mm as u8));
        }
        self.machine.check_quiescent();
        self.machine.check_nothing_left();
        self.run.violations = self.machine.violations().into_iter().collect();
        self.run.broken = self.machine.broken().collect();
        self.run
    }
}

/// A new page gets the contents of the source, or zeroes if there is none.
fn fill(cpu: &Cpu<'_, Spin>, page: Pfn, src: SrcPfn) {
    match (src.pfn(), cpu.m.frame(page)) {
        (Some(old), _) => cpu.copy_contents(page, old),
        (None, Some(frame)) => frame.contents.set(0),
        (None, None) => {}
    }
}

fn done<T>(progress: Progress<T>) -> Result<T, Blocked> {
    progress.done().ok_or(Blocked)
}

fn refused(call: &str, error: Error) -> String {
    format!("{call}: refused, errno {}: {error}", error.errno())
}

/// The steps of each actor in its own order, interleaved as `order` says.
fn reordered(steps: &[By], order: &[u8]) -> Vec<By> {
    let mut left = steps.to_vec();
    let mut result = Vec::with_capacity(left.len());
    for actor in order {
        if let Some(index) = left.iter().position(|By(by, _)| by == actor) {
            result.push(left.remove(index));
        }
    }
    result.append(&mut left);
    result
}
