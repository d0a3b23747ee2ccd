//! The generated races whose longest execution with one preemption has more than 200 visible operations: retries of faults, copies
//! of pages in two address spaces, huge pages that are split, and the driver as posted, which faults pages in first. They are cut
//! into shorter ones, each under the policy under which it is long.
//!
//! What takes one actor who is at it from before the cut of another's program until after it is not explored then. Where three actors
//! are cut into pairs, neither is what takes all three.
//!
//! A test counts the operations of all races at their own bounds, and prints the names that belong here.

use migrate_pin_core::PolicyKind;
use std::collections::BTreeSet;
use std::sync::OnceLock;

const HARDENED: &str = include_str!("long-hardened.txt");
const AS_POSTED: &str = include_str!("long-as-posted.txt");
/// Their length is in one function, which a smaller race would have too: a fault that is tried again, a huge page that is split while
/// somebody has to do with all of it.
const UNCUT_HARDENED: &str = include_str!("uncut-hardened.txt");
const UNCUT_AS_POSTED: &str = include_str!("uncut-as-posted.txt");

/// The races that are too long under `policy`, and cut.
pub(super) fn cut(policy: PolicyKind) -> impl Iterator<Item = &'static str> {
    match policy {
        PolicyKind::Hardened => HARDENED.lines(),
        PolicyKind::AsPosted => AS_POSTED.lines(),
    }
}

/// Those that are too long and can't be cut.
pub(super) fn uncut(policy: PolicyKind) -> impl Iterator<Item = &'static str> {
    match policy {
        PolicyKind::Hardened => UNCUT_HARDENED.lines(),
        PolicyKind::AsPosted => UNCUT_AS_POSTED.lines(),
    }
}

/// Is the race of this name cut under `policy`?
pub(super) fn is_cut(name: &str, policy: PolicyKind) -> bool {
    static NAMES: OnceLock<[BTreeSet<&str>; 2]> = OnceLock::new();
    let both = [PolicyKind::Hardened, PolicyKind::AsPosted];
    let names = NAMES.get_or_init(|| both.map(|policy| cut(policy).collect()));
    let place = both.iter().position(|one| *one == policy);
    place.is_some_and(|place| names[place].contains(name))
}
