//! What breaks: thousands of the generated races break alike, so each way is told once, by the smallest that shows it; and in how
//! many rows each defect shows.

use crate::cli::args::policy_name;
use crate::cli::check::Entry;
use crate::cli::plan::Job;
use crate::cli::row::Finding;
use crate::cli::select::Subject;
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::race::defect::Defect;
use migrate_pin_sim::DriverKind;
use std::collections::BTreeSet;
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
pub(crate) struct Way<'r> {
    pub(crate) group: Group,
    /// What it is called: the defect, or the invariant and what is said of it where it fits none.
    pub(crate) what: String,
    /// Those who broke like that, the smallest first; a race only once.
    pub(crate) entries: Vec<Entry<'r>>,
}

/// All ways in which `entries` break, in the order in which they are met first.
pub(crate) fn ways<'r>(entries: impl Iterator<Item = Entry<'r>>) -> Vec<Way<'r>> {
    let mut ways: Vec<Way<'r>> = Vec::new();
    for entry in entries {
        let Some(group) = Group::of(entry.job) else {
            continue;
        };
        for what in names(entry.finding) {
            let way = ways
                .iter_mut()
                .find(|way| way.group == group && way.what == what);
            match way {
                Some(way) => way.entries.push(entry),
                None => ways.push(Way {
                    group,
                    what,
                    entries: vec![entry],
                }),
            }
        }
    }
    for way in &mut ways {
        way.entries
            .sort_by_key(|entry| size(entry.job, entry.finding));
        let mut seen = BTreeSet::new();
        way.entries
            .retain(|entry| seen.insert(entry.job.subject.name()));
    }
    ways
}

/// What `finding` shows.
fn names(finding: &Finding) -> Vec<String> {
    match finding.defects.as_slice() {
        [] => {
            let (invariant, what) = finding.what();
            let what = what.trim_start_matches(&format!("{invariant}: "));
            vec![format!("{invariant}: {what}")]
        }
        defects => {
            let facts = defects.iter();
            facts
                .map(|defect| format!("{}: {}", defect.name(), defect.facts().wrong))
                .collect()
        }
    }
}

/// How many preemptions it takes: none, one actor's step at a time.
pub(crate) fn bound(job: &Job, finding: &Finding) -> Option<u32> {
    let sequential = job.settings.is_empty().then_some(0);
    finding.bound.or(sequential)
}

/// The bound, the decisions on the way there, the name. What a sample has found is larger than whatever was searched for.
fn size<'r>(job: &'r Job, finding: &Finding) -> (u32, usize, &'r str) {
    let searched = !matches!(job.engine(), "random" | "pct");
    (
        bound(job, finding).filter(|_| searched).unwrap_or(u32::MAX),
        finding.schedule.len(),
        job.subject.name(),
    )
}

/// How often a defect shows, and where first.
pub(crate) struct Shown<'r> {
    pub(crate) defect: Defect,
    /// In how many explorations.
    pub(crate) rows: usize,
    /// The smallest of them.
    pub(crate) smallest: Entry<'r>,
}

/// Each defect that `entries` show, in the order of the table of defects.
pub(crate) fn shown<'r>(entries: &[Entry<'r>]) -> Vec<Shown<'r>> {
    let of = |defect: &Defect| {
        let entries = entries
            .iter()
            .filter(|entry| entry.finding.defects.contains(defect));
        let smallest = entries
            .clone()
            .min_by_key(|entry| size(entry.job, entry.finding))?;
        let rows: BTreeSet<_> = entries
            .map(|entry| (entry.job.subject.name(), entry.job.engine()))
            .collect();
        Some(Shown {
            defect: *defect,
            rows: rows.len(),
            smallest: *smallest,
        })
    };
    Defect::ALL.iter().filter_map(of).collect()
}
