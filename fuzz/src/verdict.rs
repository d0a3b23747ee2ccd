//! [`Verdict`]: what came of an input.

use migrate_pin_sim::{Event, EventSet, Violation};
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
