//! What breaks in generated races: thousands break alike, so each way is told once, by the smallest race that shows it.

use crate::cli::args::policy_name;
use crate::cli::check::Entry;
use crate::cli::plan::Job;
use crate::cli::row::Finding;
use crate::cli::select::Subject;
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::DriverKind;
use std::fmt;

/// Which races are counted together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    policy: PolicyKind,
    shape: ShapeKind,
    posted: bool,
}

impl Group {
    /// None for what was not generated.
    pub(crate) fn of(job: &Job) -> Option<Self> {
        let Subject::Race(race) = &job.subject else {
            return None;
        };
        let posted = |device: &migrate_pin_sim::DeviceSpec| device.driver == DriverKind::Posted;
        (!race.family.is_empty()).then(|| Self {
            policy: job.policy,
            shape: race.config.shape,
            posted: race.config.devices.iter().any(posted),
        })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self.shape {
            ShapeKind::V5_11 => "5.11",
            ShapeKind::V6_12 => "6.12",
        };
        let driver = if self.posted {
            "the driver as posted"
        } else {
            "the careful driver"
        };
        let policy = policy_name(self.policy);
        write!(f, "races with {driver} on {shape} under {policy}")
    }
}

/// One way to break.
pub(crate) struct Defect<'r> {
    pub(crate) group: Group,
    /// The invariant and what is said of it, in the words of the first violation that was not known.
    pub(crate) what: (&'r str, &'r str),
    /// Those who broke like that, the smallest first.
    pub(crate) entries: Vec<Entry<'r>>,
}

/// All ways in which `entries` break, in the order in which they are met first.
pub(crate) fn defects<'r>(entries: impl Iterator<Item = Entry<'r>>) -> Vec<Defect<'r>> {
    let mut defects: Vec<Defect<'r>> = Vec::new();
    for entry in entries {
        let Some(group) = Group::of(entry.job) else {
            continue;
        };
        let what = entry.finding.what();
        match defects
            .iter_mut()
            .find(|defect| (defect.group, defect.what) == (group, what))
        {
            Some(defect) => defect.entries.push(entry),
            None => defects.push(Defect {
                group,
                what,
                entries: vec![entry],
            }),
        }
    }
    for defect in &mut defects {
        defect
            .entries
            .sort_by_key(|entry| size(entry.job, entry.finding));
    }
    defects
}

/// The bound, the decisions on the way there, the name.
fn size<'r>(job: &'r Job, finding: &Finding) -> (Option<u32>, usize, &'r str) {
    (finding.bound, finding.schedule.len(), job.subject.name())
}
