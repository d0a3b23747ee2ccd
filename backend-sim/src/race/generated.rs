//! The races that nobody thought of.

use crate::race::Race;

/// All of them.
#[must_use]
pub fn all() -> Vec<Race> {
    Vec::new()
}
