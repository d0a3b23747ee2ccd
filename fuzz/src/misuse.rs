//! A driver that breaks the protocol in every way that the types allow, among actors that keep it.
//!
//! It gives wrong pages, gives one twice or one that it has freed already, asks for UNPIN where nothing is pinned or twice,
//! changes words between the stages, repeats stages, leaves stages out and drops migrations where they are; or it has a
//! [device](crate::wrong) that hands out wrong pages to core's own half of a driver. A call that is
//! refused must have changed nothing, and whatever is not refused must leave the machine sound.
//!
//! What it keeps is what core's border trusts: it holds `mmap_lock`, gives pages with what the source held, brings the words of
//! setup back in the end, and takes back what nobody has taken.

use crate::choices::Input;
use crate::hand::{any_give, purpose, right, word, Given};
use crate::pool::Pool;
use crate::snapshot::Snapshot;
use crate::sync::Stepwise;
use crate::turns::Turns;
use crate::words::{finish, forget_what_has_not_moved};
use crate::{wrong, Mode, Verdict};
use migrate_pin_core::ops::Range;
use migrate_pin_core::pin::wanted;
use migrate_pin_core::{DstPfn, Pfn, SrcPfn, PAGE_SIZE};
use migrate_pin_sim::grammar::{
    self, Choices, Drawn, Setting, World, ACTORS, CHILD_ACTOR, PAGES, PARENT,
};
use migrate_pin_sim::scenario::outcome::Names;
use migrate_pin_sim::scenario::player::Player;
use migrate_pin_sim::scenario::By;
use migrate_pin_sim::{
    ActorId, Dev, DeviceId, FrameZone, LruState, Machine, Progress, Purpose, Session,
    Synchronisation,
};
use std::cell::RefCell;

/// Who breaks the protocol.
const BAD: u8 = 3;

/// What libFuzzer calls.
///
/// # Panics
/// If something is wrong.
pub fn target(bytes: &[u8]) {
    thread_local! {
        static POOL: RefCell<Pool<Stepwise>> = RefCell::default();
    }
    let mode = Mode::of_process();
    let verdict = POOL.with_borrow_mut(|pool| run(pool, mode, &mut Input::new(bytes)));
    verdict.judge("misuse", mode);
}

/// The driver that breaks the protocol.
struct Bad<'m, S: Synchronisation> {
    dev: Dev<'m, S>,
    device: DeviceId,
    session: Option<Box<Session>>,
    given: Given,
    /// Pages has taken the destinations.
    moved: bool,
    /// And the driver has mapped them, and forgotten the pairs that came to nothing.
    mapped: bool,
    story: Vec<String>,
}

impl<S: Synchronisation> Bad<'_, S> {
    fn machine(&self) -> &Machine<S> {
        self.dev.cpu().machine()
    }

    /// Do something.
    fn act(&mut self, choices: &mut Input<'_>) -> Result<(), String> {
        self.machine().begin_step();
        let Some(mut session) = self.session.take() else {
            if choices.below(4) == 0 {
                return wrong::act(self.dev.cpu(), self.device, choices, &mut self.story);
            }
            self.setup(choices);
            return Ok(());
        };
        match choices.below(8) {
            0 | 1 => self.provide(&mut session, choices),
            2 => {
                self.story.push("frees a page early".to_owned());
                if !self.moved {
                    self.given.free_early(&self.dev, choices);
                }
            }
            3 | 4 => self.pages(&mut session)?,
            5 => self.change_source(&mut session, choices)?,
            6 if self.moved && !self.mapped => {
                self.story.push("maps".to_owned());
                self.map(&mut session);
            }
            _ => {
                self.finish(session);
                return Ok(());
            }
        }
        self.session = Some(session);
        Ok(())
    }

    fn setup(&mut self, choices: &mut Input<'_>) {
        let (at, purpose) = (choices.below(PAGES), purpose(choices));
        let until = (at + 1 + choices.below(PAGES)).min(PAGES);
        let range = Range {
            start: at * PAGE_SIZE,
            end: until * PAGE_SIZE,
        };
        let pin = matches!(purpose, Purpose::Pin(_));
        let wrong = choices.chance(20);
        let mut ask = || match wrong && choices.chance(30) {
            true => SrcPfn::from_raw(choices.below(64)),
            false if pin => SrcPfn::PIN,
            false => SrcPfn::NONE,
        };
        let words: Vec<_> = (at..until).map(|_| ask()).collect();
        let result = self.dev.setup_words(range, purpose, &words);
        self.story.push(format!(
            "sets up {at}..{until} for {purpose:?} with {words:?}"
        ));
        if let Progress::Done(Ok(session)) = result {
            self.session = Some(Box::new(session));
            (self.moved, self.mapped) = (false, false);
        }
    }

    fn provide(&mut self, session: &mut Session, choices: &mut Input<'_>) {
        if self.moved {
            return;
        }
        self.given.take_back(&self.dev);
        session.dst.fill(DstPfn::NONE);
        let (mut last, purpose) = (DstPfn::NONE, session.purpose());
        for index in 0..session.src.len() {
            let src = session.src[index];
            let give = match choices.chance(50) {
                true => any_give(choices, &mut self.dev, src),
                false => right(&mut self.dev, purpose, src),
            };
            last = self.given.give(&self.dev, purpose, src, give, last);
            session.dst[index] = last;
            self.story
                .push(format!("gives {give:?} for {src:?}: {last:?}"));
        }
    }

    /// A page that it has freed already may be another driver's by now, and one that is pinned for it may be locked by
    /// another who is about to release it: that the lock is none of the caller's can't be told, since locks and references
    /// name no owner.
    fn drop_what_is_anothers(&self, session: &mut Session) {
        let sources = &session.src;
        let trusted = |page: Pfn| {
            let Some(known) = self.machine().page(page).filter(|page| page.locked) else {
                return false;
            };
            // What core refuses whoever has locked it.
            if known.mapcount > 0 || matches!(known.lru, LruState::Batch | LruState::Listed) {
                return false;
            }
            let source = || sources.iter().any(|word| word.pfn() == Some(page));
            known.locker != Some(ActorId(BAD))
                || (known.lru == LruState::None && !source() && !self.given.has(page))
        };
        for word in &mut session.dst {
            if word.pfn().is_some_and(trusted) {
                *word = DstPfn::NONE;
            }
        }
    }

    fn pages(&mut self, session: &mut Session) -> Result<(), String> {
        if !self.moved {
            self.drop_what_is_anothers(session);
        }
        let before = (
            Snapshot::of(self.machine()),
            session.src.clone(),
            session.dst.clone(),
        );
        let result = self.dev.pages(session);
        self.story.push(format!("pages: {result:?}"));
        match result {
            Ok(()) => {
                self.moved = true;
                self.given.taken(&self.dev, &before.2);
                Ok(())
            }
            Err(error) => {
                let after = format!("pages was refused: {error}");
                before.0.unchanged(self.machine(), &after)?;
                match session.src == before.1 && session.dst == before.2 {
                    true => Ok(()),
                    false => Err(format!("UNCHANGED: {after}, and has changed the words")),
                }
            }
        }
    }

    /// Change a source word, have it refused, and change it back.
    fn change_source(
        &mut self,
        session: &mut Session,
        choices: &mut Input<'_>,
    ) -> Result<(), String> {
        let index = choices.below(session.src.len());
        let right = session.src[index];
        let wrong = SrcPfn::from_raw(word(choices, self.machine()));
        if wrong == right || self.moved {
            return Ok(());
        }
        session.src[index] = wrong;
        let before = Snapshot::of(self.machine());
        let result = self.dev.pages(session);
        self.story
            .push(format!("pages with {wrong:?} for {right:?}: {result:?}"));
        session.src[index] = right;
        match result {
            Ok(()) => Err(format!("ACCEPTED: {wrong:?} was taken for {right:?}")),
            Err(error) => before.unchanged(self.machine(), &format!("pages was refused: {error}")),
        }
    }

    /// What moved to device memory is mapped, unless the driver has given a page that is none of a device: nor is what it has
    /// pinned though it was not asked for, or can't be written: who maps that for its device has only himself to blame.
    fn map(&mut self, session: &mut Session) {
        self.mapped = true;
        let machine = self.machine();
        let zone = |word: &DstPfn| Some(machine.page(word.pfn()?)?.zone);
        let device = |word: &DstPfn| matches!(zone(word), None | Some(FrameZone::Device(_)));
        let moved = || session.src.iter().filter(|word| word.migrating());
        let sound = match session.purpose() {
            Purpose::Pin(access) => moved().all(|word| word.pin() && wanted(*word, access)),
            // What was pinned has not moved: its stand-in is none of the device's memory.
            Purpose::ToDevice => session.dst.iter().all(device) && moved().all(|word| !word.pin()),
            Purpose::ToSystem => true,
        };
        if sound {
            self.dev.update_device(session);
        } else {
            forget_what_has_not_moved(&mut self.dev, session.purpose(), &session.src, &session.dst);
        }
    }

    /// Finalize, or drop it where it is.
    fn finish(&mut self, session: Box<Session>) {
        self.story.push(format!("ends, moved: {}", self.moved));
        let mut session = *session;
        if self.moved && !self.mapped {
            // Pairs that came to nothing: whose driver's memory is wrong is trusted.
            self.map(&mut session);
        } else if !self.moved {
            self.given.take_back(&self.dev);
            session.dst.fill(DstPfn::NONE);
        }
        self.dev.finalize(session);
        (self.moved, self.mapped) = (false, false);
    }
}

/// Run an input.
pub fn run<S: Synchronisation>(
    pool: &mut Pool<S>,
    mode: &Mode,
    choices: &mut Input<'_>,
) -> Verdict {
    let setting = Setting::draw(choices, mode.policy, mode.driver);
    let world = World::draw(choices, setting);
    let machine = pool.machine(setting);
    for (mm, page, what) in &world.populate {
        // What can't be there is not.
        machine.populate(*mm, (*page).into(), *what);
    }
    if let Some(bug) = mode.bug {
        machine.seed(bug);
    }
    let names = spin::Mutex::new(Names::default());
    let mut players: [_; ACTORS] = std::array::from_fn(|actor| {
        let mut player = Player::new(machine, &names, actor as u8);
        player.set_quiet(true);
        player
    });
    let mut programs: [Option<(Drawn, usize)>; ACTORS] = [const { None }; ACTORS];
    for By(actor, step) in &world.given {
        machine.begin_step();
        if let Err(wait) = players[usize::from(*actor)].step(*step) {
            machine.report_wait(ActorId(*actor), wait);
        }
    }
    let device = DeviceId(choices.below(2) as u8);
    let mut bad = Bad {
        dev: machine.cpu(ActorId(BAD)).device(device, PARENT),
        device,
        session: None,
        given: Given::default(),
        moved: false,
        mapped: false,
        story: Vec::new(),
    };
    let (mut complaint, mut value) = (None, 1000);
    let mut turns = Turns::default();
    let mut go_on = |actor: usize,
                     programs: &mut [Option<(Drawn, usize)>; ACTORS],
                     turns: &mut Turns,
                     story: &mut Vec<String>| {
        let Some((program, next)) = &mut programs[actor] else {
            return false;
        };
        if !turns.may_try(machine, actor) {
            return false;
        }
        machine.begin_step();
        let step = program.steps[*next];
        if let Err(wait) = players[actor].step(step) {
            turns.waits(actor, wait);
            return false;
        }
        turns.did(actor, *next + 1 == program.steps.len());
        story.push(format!("{actor} {step:?}"));
        *next += 1;
        if *next == program.steps.len() {
            programs[actor] = None;
        }
        true
    };
    while choices.more() && complaint.is_none() && machine.violation_count() == 0 {
        // More often than not it is the bad driver.
        let actor = choices.below(ACTORS + 3).min(usize::from(BAD));
        if actor == usize::from(BAD) {
            complaint = bad.act(choices).err();
            turns.did(actor, bad.session.is_none());
            continue;
        }
        if programs[actor].is_none() {
            value += 1;
            let program = grammar::program(
                choices,
                world.focus,
                actor == usize::from(CHILD_ACTOR),
                value,
            );
            programs[actor] = Some((program, 0));
        }
        go_on(actor, &mut programs, &mut turns, &mut bad.story);
    }
    if let (Some(session), None) = (bad.session.take(), &complaint) {
        bad.finish(session);
    }
    while complaint.is_none()
        && machine.violation_count() == 0
        && programs.iter().any(Option::is_some)
    {
        let mut moved = false;
        for actor in (0..ACTORS).chain(ACTORS..2 * ACTORS) {
            if actor == ACTORS && !moved {
                turns.last_look();
            }
            let actor = actor % ACTORS;
            moved |= go_on(actor, &mut programs, &mut turns, &mut bad.story);
        }
        if !moved {
            machine.report_deadlock(ActorId(0));
        }
    }
    if complaint.is_none() && machine.violation_count() == 0 {
        finish(machine);
    }
    Verdict::of(machine, complaint, || bad.story)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What libFuzzer has found: after 5,047,632 executions, and with that mended by both workers, after 5,532,569 together.
    const PINNED_AND_LOCKED_BY_ANOTHER: &str = "ff00d7292828332922d7d700d7d700000000000000310000a0a05b5fa1a0a0a0a0a0\
        a0a0a0a000a00e01d7a0d7d3d7d7d7d700d7d70000009800000000002b00a02ea0a0a0a1a0a0a0a0a0a00e060e0e00d7d3d7d7d7d700d7d7\
        ffffffffffffffff00a0a0c0c0c0c0c0c07e3c3c3cc0a0a0a0a0a0a0a0a00000000088000000";
    const STAND_IN_MAPPED: [&str; 2] = [
        "d700ffff56ffff00ffffff00250000474b474775a8a9909090909090909090902a90909090909090909090909090909090909000000000\
        04000a0e0e5a565756d6565690909090909090909090904b474775a8a9909090909090909090902a909090900000000004000a0e0e5a565756\
        d6565690909090900e0e0020a9a804a9",
        "ff2a00000000000000ffffffffffff06000000000000004747474747474775a8a9a9ffff52ffffb256320a5656565756565656565656565657\
        c3c3c35656c350505050505050c3c371565656565656560a5656565607560e0e1616161616161616160e0e0e0eecececececececececececec4d\
        554d4d4d98982f9898988888ff",
    ];

    fn finds_nothing(hex: &str) {
        let bytes: Vec<u8> = hex
            .as_bytes()
            .chunks(2)
            .map(|hex| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap())
            .collect();
        let verdict = run(
            &mut Pool::<Stepwise>::default(),
            &Mode::default(),
            &mut Input::new(&bytes),
        );
        assert!(verdict.is_fine(), "{verdict}");
    }

    #[test]
    fn nobody_gives_his_pinned_page_home_under_a_lock_that_is_anothers() {
        finds_nothing(PINNED_AND_LOCKED_BY_ANOTHER);
    }

    #[test]
    fn nobody_maps_what_stands_for_a_pinned_page_as_if_it_had_moved_there() {
        STAND_IN_MAPPED.into_iter().for_each(finds_nothing);
    }
}
