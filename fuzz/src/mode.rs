//! What the targets are pointed at: `Hardened` and a sound machine, unless the environment says otherwise.

use migrate_pin_core::PolicyKind;
use migrate_pin_sim::{Bug, DriverKind, Violation};
use std::env;
use std::sync::OnceLock;

/// What is run.
#[derive(Clone, Debug)]
pub struct Mode {
    /// The policy; `MIGRATE_PIN_POLICY` = `hardened` or `as-posted`.
    pub policy: PolicyKind,
    /// The driver; `MIGRATE_PIN_DRIVER` = `careful` or `posted`.
    pub driver: DriverKind,
    /// What is broken in the machine; `MIGRATE_PIN_BREAK` = a name of `migrate-pin list --bugs`.
    pub bug: Option<Bug>,
    /// What counts: if not empty, only a finding that has one of these texts in it; `MIGRATE_PIN_ONLY`, one a line.
    pub only: Vec<String>,
    /// What is known, and no finding; `MIGRATE_PIN_KNOWN`, one a line.
    pub known: Vec<String>,
    /// `MIGRATE_PIN_RATE`: print at the end of every so many executions how many of them finalized a migrated page.
    pub rate: Option<u64>,
}

impl Default for Mode {
    fn default() -> Self {
        Self {
            policy: PolicyKind::Hardened,
            driver: DriverKind::Careful,
            bug: None,
            only: Vec::new(),
            known: Vec::new(),
            rate: None,
        }
    }
}

impl Mode {
    /// As the environment says.
    ///
    /// # Errors
    /// What is wrong, and what was expected.
    pub fn from_environment() -> Result<Self, String> {
        let mut mode = Self::default();
        let lines = |text: String| text.lines().map(str::to_owned).collect();
        if let Ok(policy) = env::var("MIGRATE_PIN_POLICY") {
            mode.policy = match policy.as_str() {
                "hardened" => PolicyKind::Hardened,
                "as-posted" => PolicyKind::AsPosted,
                _ => {
                    return Err(format!(
                        "MIGRATE_PIN_POLICY is '{policy}'; expected hardened or as-posted"
                    ))
                }
            };
        }
        if let Ok(driver) = env::var("MIGRATE_PIN_DRIVER") {
            mode.driver = match driver.as_str() {
                "careful" => DriverKind::Careful,
                "posted" => DriverKind::Posted,
                _ => {
                    return Err(format!(
                        "MIGRATE_PIN_DRIVER is '{driver}'; expected careful or posted"
                    ))
                }
            };
        }
        if let Ok(name) = env::var("MIGRATE_PIN_BREAK") {
            let bug = Bug::ALL.iter().find(|bug| bug.name() == name);
            let Some(bug) = bug else {
                return Err(format!(
                    "MIGRATE_PIN_BREAK is '{name}'; expected one of the names that `migrate-pin list --bugs` prints"
                ));
            };
            mode.bug = Some(*bug);
        }
        mode.only = env::var("MIGRATE_PIN_ONLY").map_or_else(|_| Vec::new(), lines);
        mode.known = env::var("MIGRATE_PIN_KNOWN").map_or_else(|_| Vec::new(), lines);
        if let Ok(rate) = env::var("MIGRATE_PIN_RATE") {
            let number = rate.parse().ok().filter(|rate| *rate > 0);
            mode.rate = Some(number.ok_or(format!(
                "MIGRATE_PIN_RATE is '{rate}'; expected a number of executions above 0"
            ))?);
        }
        Ok(mode)
    }

    /// The same, read once.
    ///
    /// # Panics
    /// If something is wrong with it.
    pub fn of_process() -> &'static Self {
        static MODE: OnceLock<Mode> = OnceLock::new();
        MODE.get_or_init(|| Self::from_environment().unwrap_or_else(|error| panic!("{error}")))
    }

    /// Is it a finding if somebody says this?
    #[must_use]
    pub fn counts(&self, text: &str) -> bool {
        let among = |list: &[String]| list.iter().any(|known| text.contains(known.as_str()));
        !among(&self.known) && (self.only.is_empty() || among(&self.only))
    }

    /// Is there a violation among these that counts?
    #[must_use]
    pub fn finds(&self, violations: &[Violation]) -> bool {
        violations
            .iter()
            .any(|violation| self.counts(&violation.to_string()))
    }
}
