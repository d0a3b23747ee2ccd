//! [`Verdict`]: what came of an input.

use crate::Mode;
use migrate_pin_sim::{Event, EventSet, Machine, Synchronisation, Violation};
use std::fmt;

/// What came of an input.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What happened on the way.
    pub events: EventSet,
    /// What broke.
    pub violations: Vec<Violation>,
    /// What else is not as it must be, in words.
    pub complaint: Option<String>,
    /// What was done, if something broke.
    pub story: Vec<String>,
}

impl Verdict {
    /// What came of a run on this machine.
    #[must_use]
    pub fn of<S: Synchronisation>(
        machine: &Machine<S>,
        complaint: Option<String>,
        story: impl FnOnce() -> Vec<String>,
    ) -> Self {
        let fine = complaint.is_none() && machine.violation_count() == 0;
        let mut verdict = Self {
            events: machine.events(),
            complaint,
            ..Self::default()
        };
        if !fine {
            verdict.violations = machine.violations().to_vec();
            verdict.story = story();
        }
        verdict
    }

    /// The end of an input.
    ///
    /// # Panics
    /// If something is wrong that counts.
    pub fn judge(&self, target: &str, mode: &Mode) {
        assert!(!self.counts(mode), "{target}\n{self}");
    }

    /// Is something wrong that counts?
    #[must_use]
    pub fn counts(&self, mode: &Mode) -> bool {
        mode.finds(&self.wrong())
    }

    /// Is nothing wrong?
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.violations.is_empty() && self.complaint.is_none()
    }

    /// Has a page that a migration had finalized been migrated, to a device or for one?
    #[must_use]
    pub fn migrated(&self) -> bool {
        let migrations = [
            Event::Acquired,
            Event::MigratedToDevice,
            Event::MigratedToSystem,
            Event::FaultedBack,
        ];
        migrations.iter().any(|event| self.events.contains(*event))
    }

    /// All that is wrong, one a line.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let violations = self.violations.iter().map(ToString::to_string);
        violations.chain(self.complaint.clone()).collect()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.wrong() {
            writeln!(f, "{line}")?;
        }
        for line in &self.story {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
