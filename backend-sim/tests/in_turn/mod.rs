//! A race as a sequential scenario: its actors' steps one after the other.

use migrate_pin_sim::race::Race;
use migrate_pin_sim::scenario::{By, Expect, Scenario};

/// `race`, each actor's program behind that of the one before. Nothing may break under `Hardened`. Its parts are leaked: a
/// scenario is made of constants.
pub(crate) fn in_turn(race: &Race) -> Scenario {
    let steps = race
        .programs
        .iter()
        .flat_map(|program| program.steps.iter().map(|step| By(program.actor, *step)));
    Scenario {
        name: race.name.to_string().leak(),
        about: "",
        config: race.config,
        populate: race.populate.to_vec().leak(),
        given: race.given.to_vec().leak(),
        steps: steps.collect::<Vec<_>>().leak(),
        reorder: true,
        hardened: Expect::Lines(&[]),
        as_posted: Expect::Skip,
        events: &[],
    }
}
