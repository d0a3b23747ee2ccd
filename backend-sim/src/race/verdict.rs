//! Whether an exploration came to what its race says.

use crate::engine::{Exploration, Kind, Settings};
use crate::event::Event;
use crate::race::defect::{explain, Defect};
use crate::race::{Effort, Posted, Race};
use crate::violation::Invariant;
use core::cmp::Ordering;
use core::fmt;
use migrate_pin_core::PolicyKind;

/// What an exploration means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing broke, everything was reached.
    Ok,
    /// Nothing broke, and by loom these were not come to, which is known of it ([`Race::loom`]): events, or what must break.
    Unseen(Vec<&'static str>),
    /// Nothing broke, and these events were not come to by an engine that was not asked for what the race asks for: nothing is missed.
    Untold(Vec<Event>),
    /// Nothing broke up to this bound; the race's own is the second, at which alone it is judged what must be reached and what
    /// must break.
    Part(u32, u32),
    /// This broke, as it should.
    Breaks(Invariant),
    /// `AsPosted` showed these defects, and it may.
    Shows(Vec<Defect>),
    /// Nothing broke, but the engine did not come to the end of what it was asked for.
    Incomplete,
    /// Something broke, and may not.
    Broken,
    /// Something else should have broken, or something should have and did not.
    NotAsExpected(Option<Invariant>),
    /// `AsPosted` should have shown the first of these, and showed the second.
    Differs(Vec<Defect>, Vec<Defect>),
    /// `AsPosted` broke like this, and no [`Defect`] accounts for it.
    Unknown(Invariant, &'static str),
    /// It never reached these.
    NotReached(Vec<Event>),
    /// It reached these, and may not.
    Reached(Vec<Event>),
}

impl Verdict {
    /// Is it a failure?
    #[must_use]
    pub const fn failed(&self) -> bool {
        matches!(
            self,
            Self::Broken
                | Self::NotAsExpected(_)
                | Self::Differs(..)
                | Self::Unknown(..)
                | Self::NotReached(_)
                | Self::Reached(_)
        )
    }
}

/// The names of `defects`.
fn names(defects: &[Defect]) -> String {
    match defects {
        [] => "nothing".to_owned(),
        some => {
            let names: Vec<_> = some.iter().map(|defect| defect.name()).collect();
            names.join(", ")
        }
    }
}

/// The names of `events`.
fn listed(events: &[Event]) -> String {
    let names: Vec<_> = events.iter().map(|event| event.name()).collect();
    names.join(" ")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Unseen(names) => write!(f, "ok, unseen by loom: {}", names.join(", ")),
            Self::Untold(events) => write!(f, "ok, without {}", listed(events)),
            Self::Part(bound, own) => write!(f, "ok up to bound {bound} of {own}"),
            Self::Breaks(invariant) => write!(f, "breaks {invariant}"),
            Self::Shows(defects) => write!(f, "shows {}", names(defects)),
            Self::Incomplete => f.write_str("incomplete"),
            Self::Broken => f.write_str("BROKEN"),
            Self::NotAsExpected(Some(invariant)) => write!(f, "FAILED: should break {invariant}"),
            Self::NotAsExpected(None) => f.write_str("FAILED: something else broke"),
            Self::Differs(expected, shown) => write!(
                f,
                "FAILED: should show {}, shows {}",
                names(expected),
                names(shown)
            ),
            Self::Unknown(invariant, what) => {
                write!(f, "FAILED: unknown defect: {invariant}: {what}")
            }
            Self::NotReached(events) => write!(f, "FAILED: never reached {}", listed(events)),
            Self::Reached(events) => write!(f, "FAILED: reached {}", listed(events)),
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

    /// What an exploration under `policy` means. Events, and what should break, are missed only by an engine that was
    /// asked for as much as the race asks for itself.
    #[must_use]
    pub fn judge(&self, policy: PolicyKind, settings: &Settings, came: &Exploration) -> Verdict {
        let own = self.own(settings, came);
        let broke = match policy {
            PolicyKind::Hardened => self.hardened(came),
            PolicyKind::AsPosted => self.as_posted(settings, came),
        };
        let shows = match broke {
            // What it shows is one thing, and what it reaches another.
            Some(shows @ Verdict::Shows(_)) => Some(shows),
            Some(verdict) => return verdict,
            None => None,
        };
        let reached = self.never.iter().copied();
        let reached: Vec<_> = reached
            .filter(|event| came.events.contains(*event))
            .collect();
        if !reached.is_empty() {
            return Verdict::Reached(reached);
        }
        if let Some(shows) = shows {
            let whole = matches!(own, Own::Same | Own::More) && !came.cut && came.goes_on();
            return match self.missing(came) {
                missing if whole && self.judged_as_posted() && !missing.is_empty() => {
                    Verdict::NotReached(missing)
                }
                _ => shows,
            };
        }
        if came.cut {
            return Verdict::Incomplete;
        }
        match own {
            Own::Less(bound, own) => return Verdict::Part(bound, own),
            Own::Other => {
                let missing = match policy == PolicyKind::Hardened || self.judged_as_posted() {
                    true => self.missing(came),
                    false => Vec::new(),
                };
                return match missing.is_empty() {
                    true => Verdict::Ok,
                    false => Verdict::Untold(missing),
                };
            }
            Own::Same | Own::More => {}
        }
        let loom = self.loom.filter(|_| came.kind == Kind::Loom);
        let breaks_unseen = loom.is_some_and(|loom| loom.breaks_unseen);
        let mut unseen = Vec::new();
        match (policy, self.breaks, self.posted) {
            (PolicyKind::Hardened, Some(invariant), _) if breaks_unseen => {
                unseen.push(invariant.name());
            }
            (PolicyKind::Hardened, Some(invariant), _) => {
                return Verdict::NotAsExpected(Some(invariant));
            }
            (PolicyKind::AsPosted, _, Some(Posted::Shows(defects))) if breaks_unseen => {
                unseen.extend(defects.iter().map(|defect| defect.name()));
            }
            _ => {}
        }
        if policy == PolicyKind::Hardened || self.judged_as_posted() {
            let known = loom.map_or(&[] as &[Event], |loom| loom.unseen);
            let (lost, missing): (Vec<_>, Vec<_>) = self
                .missing(came)
                .into_iter()
                .partition(|event| known.contains(event));
            if !missing.is_empty() {
                return Verdict::NotReached(missing);
            }
            unseen.extend(lost.into_iter().map(Event::name));
        }
        match unseen.is_empty() {
            true => Verdict::Ok,
            false => Verdict::Unseen(unseen),
        }
    }

    /// Must the events that it names be reached under `AsPosted` too? If it is run under nothing else, or is large: there is room for them
    /// beside whatever breaks.
    const fn judged_as_posted(&self) -> bool {
        !self.hardened || matches!(self.effort, Effort::Samples(_))
    }

    /// What it names and `came` did not reach.
    fn missing(&self, came: &Exploration) -> Vec<Event> {
        let named = self.events.iter().chain(self.interleaved.iter()).copied();
        let mut missing: Vec<_> = named
            .filter(|event| !came.events.contains(*event))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// How much was asked for.
    fn own(&self, settings: &Settings, came: &Exploration) -> Own {
        let own = match (self.effort, came.kind) {
            (Effort::Bound(own), Kind::Exhaustive) => own,
            (_, Kind::Loom) => match self.loom {
                Some(own) => own.bound,
                None => return Own::Other,
            },
            (Effort::Samples(samples), Kind::Random | Kind::Pct) => {
                // Fewer changes of priority are another search.
                let deep = came.kind == Kind::Random || settings.bound >= Settings::PCT_BOUND;
                return match deep && came.executions >= samples.into() {
                    true => Own::Same,
                    false => Own::Other,
                };
            }
            _ => return Own::Other,
        };
        match settings.bound.cmp(&own) {
            Ordering::Less => Own::Less(settings.bound, own),
            Ordering::Equal => Own::Same,
            Ordering::Greater => Own::More,
        }
    }

    /// What broke under `Hardened`; none if nothing did.
    fn hardened(&self, came: &Exploration) -> Option<Verdict> {
        let found = came.found.as_ref()?;
        Some(match self.breaks {
            Some(invariant) if found.broken.contains(&invariant) => Verdict::Breaks(invariant),
            Some(invariant) => Verdict::NotAsExpected(Some(invariant)),
            None => Verdict::Broken,
        })
    }

    /// What `AsPosted` showed; none if it showed nothing, and may.
    fn as_posted(&self, settings: &Settings, came: &Exploration) -> Option<Verdict> {
        let mut shown = Vec::new();
        for found in came.broke() {
            match explain(self, found) {
                Ok(defects) => shown.extend(defects),
                Err(violation) => {
                    return Some(Verdict::Unknown(violation.invariant, violation.what))
                }
            }
        }
        shown.sort_unstable();
        shown.dedup();
        let expected: Option<&[Defect]> = match self.posted {
            // What is known to break is not to be found, and a broken machine may break otherwise.
            _ if !settings.known.is_empty() || !settings.bugs.is_empty() => None,
            Some(Posted::Open) | None => None,
            Some(Posted::Holds) => Some(&[]),
            Some(Posted::Shows(defects)) => Some(defects),
        };
        let all = |these: &[Defect], those: &[Defect]| these.iter().all(|one| those.contains(one));
        // Beyond its own bound a race may show more, and below less.
        let differs = expected.is_some_and(|expected| match self.own(settings, came) {
            Own::Same if came.kind == Kind::Exhaustive => {
                !came.cut && (!all(expected, &shown) || !all(&shown, expected))
            }
            // It ends at the first.
            Own::Same if came.kind == Kind::Loom => {
                let unseen = self.loom.is_some_and(|loom| loom.breaks_unseen);
                !all(&shown, expected)
                    || (!came.cut && !unseen && shown.is_empty() != expected.is_empty())
            }
            Own::More => !came.cut && !all(expected, &shown),
            Own::Less(..) => !all(&shown, expected),
            Own::Same | Own::Other => false,
        });
        match (differs, shown.is_empty()) {
            (true, _) => {
                let mut expected = expected.unwrap_or_default().to_vec();
                expected.sort_unstable();
                Some(Verdict::Differs(expected, shown))
            }
            (false, true) => None,
            (false, false) => Some(Verdict::Shows(shown)),
        }
    }
}

/// How much was asked for, by what a race asks for itself.
enum Own {
    /// This bound, less than its own.
    Less(u32, u32),
    /// As much.
    Same,
    /// A larger bound.
    More,
    /// By another engine: no less and no more.
    Other,
}
