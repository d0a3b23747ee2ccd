//! The races that somebody thought of, a room for each kind of actor that races with a driver.

mod access;
mod seeded;

use crate::race::Race;

/// All of them, room by room.
#[must_use]
pub fn all() -> Vec<Race> {
    [access::RACES, seeded::RACES].concat()
}
