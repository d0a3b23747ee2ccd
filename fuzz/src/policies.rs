//! The same input that follows the protocol through `AsPosted` and `Hardened`: every word that a driver sees, everything that
//! anybody reads and all that is there in the end is the same, wherever `AsPosted` breaks no invariant.
//!
//! Who has to wait under one and not under the other is on other terms from there on, since the bytes that follow choose
//! something else: it is compared up to there. (On 6.12 `AsPosted` refuses a CPU that faults on a device page while somebody
//! else has a reference on it, and the access is repeated; that two refuse each other so is the defect that `Hardened` mends.)

use crate::choices::Input;
use crate::pipeline::{self, Voice, WAITS};
use crate::pool::Pool;
use crate::sync::Stepwise;
use crate::{Mode, Verdict};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::grammar::Setting;
use migrate_pin_sim::{Event, EventSet, Synchronisation};
use std::cell::RefCell;

/// How the final state says that a page is in the movable zone.
const MOVABLE: &str = ", movable";

/// What libFuzzer calls.
///
/// # Panics
/// If something is wrong.
pub fn target(bytes: &[u8]) {
    thread_local! {
        static POOL: RefCell<Pool<Stepwise>> = RefCell::default();
    }
    let mode = Mode::of_process();
    let verdict = POOL.with_borrow_mut(|pool| run(pool, mode, bytes));
    verdict.judge("policies", mode);
}

/// Does somebody take a reference on a page, and keep it for a while? If that is a device page, 6.12 as posted refuses to migrate
/// it meanwhile, which breaks nothing as long as somebody else does not refuse too; `Hardened` lets it pass
/// (`Rules::ignores_device_waiters`): words differ, and it is meant.
///
/// Or did 5.11's reclaim drop what was lazily freed and written since, while somebody had a GUP reference on it? Through that it may have been
/// written, which 5.11 loses by itself, so that the ledger does not blame who has lost the dirty bit of an entry, as posted.
fn excused(mode: &Mode, bytes: &[u8], lines: &[String], posted: EventSet) -> bool {
    let setting = Setting::draw(&mut Input::new(bytes), mode.policy, mode.driver);
    if setting.shape == ShapeKind::V5_11 && posted.contains(Event::GupStaleWrite) {
        return true;
    }
    let keeps = [" GetPage(", " LockPage(", " LockOriginal("];
    setting.shape == ShapeKind::V6_12
        && lines
            .iter()
            .any(|line| keeps.iter().any(|step| line.contains(step)))
}

/// Run an input under both.
pub fn run<S: Synchronisation>(pool: &mut Pool<S>, mode: &Mode, bytes: &[u8]) -> Verdict {
    let under = |pool: &mut Pool<S>, policy| {
        let mode = Mode {
            policy,
            ..mode.clone()
        };
        pipeline::tell(pool, &mode, &mut Input::new(bytes), Voice::Words)
    };
    let (posted, mut said) = under(pool, PolicyKind::AsPosted);
    if !posted.is_fine() {
        // What comes of it under the other is for `pipeline`.
        return Verdict {
            events: EventSet::EMPTY,
            ..Verdict::default()
        };
    }
    let (mut hardened, mut says) = under(pool, PolicyKind::Hardened);
    // Which frame an allocation returns depends on what was freed before, and in which order; and so does its zone.
    for line in said.iter_mut().chain(&mut says) {
        if line.contains(MOVABLE) {
            *line = line.replace(MOVABLE, "");
        }
    }
    let differs = said.iter().zip(&says).position(|(a, b)| a != b);
    let waits =
        |lines: &[String], at: usize| lines.get(at).is_some_and(|line| line.ends_with(WAITS));
    let at = differs.unwrap_or(said.len().min(says.len()));
    if hardened.is_fine()
        && !excused(mode, bytes, &said, posted.events)
        && said != says
        && !waits(&said, at)
        && !waits(&says, at)
    {
        let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_default();
        hardened.complaint = Some(format!(
            "POLICIES: as posted: '{}', hardened: '{}'",
            line(&said),
            line(&says)
        ));
        hardened.story.push("as posted:".to_owned());
        hardened.story.append(&mut said);
        hardened.story.push("hardened:".to_owned());
        hardened.story.append(&mut says);
    }
    hardened
}
