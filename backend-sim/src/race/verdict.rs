//! Whether an exploration came to what its race says.

use crate::engine::{Exploration, Kind, Settings};
use crate::event::Event;
use crate::race::{Effort, Posted, Race};
use crate::violation::Invariant;
use core::fmt;
use migrate_pin_core::PolicyKind;

/// What an exploration means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing broke, everything was reached.
    Ok,
    /// This broke, as it should.
    Breaks(Invariant),
    /// Nothing broke, but the engine did not come to the end of what it was asked for.
    Incomplete,
    /// Something broke, and may not.
    Broken,
    /// Something else should have broken, or something should have and did not.
    NotAsExpected(Option<Invariant>),
    /// It never reached these.
    NotReached(Vec<Event>),
}

impl Verdict {
    /// Is it a failure?
    #[must_use]
    pub const fn failed(&self) -> bool {
        matches!(
            self,
            Self::Broken | Self::NotAsExpected(_) | Self::NotReached(_)
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Breaks(invariant) => write!(f, "breaks {invariant}"),
            Self::Incomplete => f.write_str("incomplete"),
            Self::Broken => f.write_str("BROKEN"),
            Self::NotAsExpected(Some(invariant)) => write!(f, "FAILED: should break {invariant}"),
            Self::NotAsExpected(None) => f.write_str("FAILED: something else broke"),
            Self::NotReached(events) => {
                f.write_str("FAILED: never reached")?;
                events
                    .iter()
                    .try_for_each(|event| write!(f, " {}", event.name()))
            }
        }
    }
}

impl Race {
    /// Is the race run under `policy`?
    #[must_use]
    pub const fn runs_under(&self, policy: PolicyKind) -> bool {
        match policy {
            PolicyKind::Hardened => self.hardened,
            PolicyKind::AsPosted => self.posted.is_some(),
        }
    }

    /// What must break under `policy`; none if nothing may or if nobody has said.
    #[must_use]
    pub const fn should_break(&self, policy: PolicyKind) -> Option<Invariant> {
        match (policy, self.posted) {
            (PolicyKind::Hardened, _) => self.breaks,
            (PolicyKind::AsPosted, Some(Posted::Breaks(invariant))) => Some(invariant),
            (PolicyKind::AsPosted, _) => None,
        }
    }

    /// What an exploration under `policy` means. Events, and what should break, are missed only by an engine that was
    /// asked for as much as the race asks for itself.
    #[must_use]
    pub fn judge(&self, policy: PolicyKind, settings: &Settings, came: &Exploration) -> Verdict {
        let open = policy == PolicyKind::AsPosted && self.posted == Some(Posted::Open);
        let expected = self.should_break(policy);
        if let Some(found) = &came.found {
            return match (expected, found.broken.first()) {
                (Some(invariant), _) if found.broken.contains(&invariant) => {
                    Verdict::Breaks(invariant)
                }
                (Some(invariant), _) => Verdict::NotAsExpected(Some(invariant)),
                (None, Some(first)) if open => Verdict::Breaks(*first),
                (None, _) => Verdict::Broken,
            };
        }
        if came.kind == Kind::Exhaustive && !came.complete {
            return Verdict::Incomplete;
        }
        let own = match self.effort {
            Effort::Bound(bound) => came.kind == Kind::Exhaustive && settings.bound >= bound,
            Effort::Samples(samples) => {
                came.kind == Kind::Random && came.executions >= u64::from(samples)
            }
        };
        if !own {
            return Verdict::Ok;
        }
        if let Some(invariant) = expected {
            return Verdict::NotAsExpected(Some(invariant));
        }
        let judged = policy == PolicyKind::Hardened || !self.hardened;
        let missing: Vec<_> = self
            .events
            .iter()
            .copied()
            .filter(|event| judged && !came.events.contains(*event))
            .collect();
        if missing.is_empty() {
            Verdict::Ok
        } else {
            Verdict::NotReached(missing)
        }
    }
}
