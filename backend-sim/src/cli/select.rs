//! Which scenarios are meant.

use crate::cli::args::{Select, SCENARIO};
use crate::cli::usage;
use migrate_pin_sim::race::{self, Race};
use migrate_pin_sim::scenario::{catalogue, Scenario};
use migrate_pin_sim::Populate;
use std::io;
use std::sync::Arc;

/// Something to explore.
#[derive(Clone)]
pub(crate) enum Subject {
    /// One actor's step at a time.
    Sequential(&'static Scenario),
    /// Several actors at once.
    Race(Arc<Race>),
}

impl Subject {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Sequential(scenario) => scenario.name,
            Self::Race(race) => &race.name,
        }
    }

    /// The name of those generated together with it; empty if there are none.
    pub(crate) fn family(&self) -> &str {
        match self {
            Self::Sequential(_) => "",
            Self::Race(race) => &race.family,
        }
    }

    /// What it is about, in one line.
    pub(crate) fn about(&self) -> &str {
        match self {
            Self::Sequential(scenario) => scenario.about,
            Self::Race(race) => &race.about,
        }
    }

    /// How many actors do something.
    pub(crate) fn actors(&self) -> usize {
        match self {
            Self::Sequential(scenario) => {
                let mut actors: Vec<_> = scenario.steps.iter().map(|by| by.0).collect();
                actors.sort_unstable();
                actors.dedup();
                actors.len()
            }
            Self::Race(race) => race.programs.len(),
        }
    }

    /// At how many pages of address spaces something stands when it begins.
    pub(crate) fn pages(&self) -> usize {
        match self {
            Self::Sequential(scenario) => Populate::standing(scenario.populate),
            Self::Race(race) => race.pages(),
        }
    }
}

/// All there is: the sequential scenarios, then the races.
pub(crate) fn all() -> Vec<Subject> {
    let scenarios = catalogue::all().into_iter();
    let races = race::all().into_iter().map(Arc::new);
    let all = scenarios.map(Subject::Sequential);
    all.chain(races.map(Subject::Race)).collect()
}

/// Those that were asked for. A name that is one means that one, though others contain it; that of a family means all of
/// the family.
pub(crate) fn selected(select: &Select) -> io::Result<Vec<Subject>> {
    let all = all();
    let mut wanted = vec![select.scenario.is_empty(); all.len()];
    for name in &select.scenario {
        if name.is_empty() {
            return Err(usage(format!("'' is no name; expected {SCENARIO}")));
        }
        let exact = all.iter().any(|subject| subject.name() == name);
        let family = all.iter().any(|subject| subject.family() == name);
        let means = |subject: &Subject| match () {
            () if exact => subject.name() == name,
            () if family => subject.family() == name,
            () => subject.name().contains(name.as_str()),
        };
        let mut found = false;
        for (subject, wanted) in all.iter().zip(&mut wanted) {
            let this = means(subject);
            *wanted |= this;
            found |= this;
        }
        if !found {
            return Err(usage(format!(
                "no scenario's name contains '{name}'; expected {SCENARIO}"
            )));
        }
    }
    let subjects = all.into_iter().zip(wanted);
    Ok(subjects
        .filter(|(_, wanted)| *wanted)
        .map(|(subject, _)| subject)
        .collect())
}
