//! What is to be explored, with which engine and how far.

use crate::cli::args::{bugs, policy_name, CheckOptions, EngineArg};
use crate::cli::select::Subject;
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::{Kind, Known, Settings};
use migrate_pin_sim::race::catalogue::by_loom;
use migrate_pin_sim::race::{Effort, Race};
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// Two actors are always enumerated to the end. With more, what is beyond a race's own effort ends after so many
/// executions of a bound, so that `check --bound 3` ends within half an hour on two cores.
const BEYOND: u64 = 4_000;

/// If no more than this bound is asked for, every race that is enumerated is, to the end.
const COMPLETE: u32 = 2;

/// Samples of a race that asks for none itself.
const SAMPLES: u64 = 10_000;

/// Loom's executions of a race beyond its own bound, or of one that does not ask for loom.
const LOOM_EXECUTIONS: u64 = 10_000;

/// Loom's bound for a race that does not ask for loom.
const LOOM_BOUND: u32 = 1;

/// What lots are drawn with, if nobody says.
const SEED: u64 = 1;

/// One row to be.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) policy: PolicyKind,
    pub(crate) subject: Subject,
    /// What is asked of the engine, in this order; empty for one actor's step at a time, which has none. What is beyond a
    /// race's own effort comes second, since it may be given up.
    pub(crate) settings: Vec<Settings>,
    /// Broken in every machine.
    pub(crate) broken: &'static [migrate_pin_sim::Bug],
}

impl Job {
    /// The engine in the table.
    pub(crate) fn engine(&self) -> &'static str {
        self.settings
            .first()
            .map_or("sequential", |settings| settings.kind.name())
    }
}

/// The command that explores `job` alone, as `options` ask for it.
pub(crate) fn command(options: &CheckOptions, job: &Job) -> String {
    let (name, policy) = (job.subject.name(), policy_name(job.policy));
    let mut command = format!("migrate-pin check --scenario {name} --policy {policy}");
    let mut say = |option: &str, value: Option<String>| {
        if let Some(value) = value {
            command.push_str(&format!(" --{option} {value}"));
        }
    };
    let engine = job.engine();
    say(
        "engine",
        (options.engine.is_some() || engine != "exhaustive").then(|| engine.to_owned()),
    );
    for (option, value) in given(options) {
        if means(options, option, job) {
            say(option, value);
        }
    }
    for known in options
        .known
        .iter()
        .filter(|_| means(options, "known", job))
    {
        say("known", Some(format!("{known:?}")));
    }
    say("break", options.bug.clone());
    if options.releases && means(options, "releases", job) {
        command.push_str(" --releases");
    }
    command
}

/// The settings that are numbers, and how they were given.
fn given(options: &CheckOptions) -> [(&'static str, Option<String>); 3] {
    let told = |value: Option<u64>| value.map(|value| value.to_string());
    [
        ("bound", told(options.bound)),
        ("executions", told(options.executions)),
        ("seed", told(options.seed)),
    ]
}

/// The engines that do something with this option.
fn engines(options: &CheckOptions, option: &str) -> &'static [Kind] {
    use Kind::{Exhaustive, Loom, Pct, Random};
    match option {
        // Others have a bound of their own unless they are asked for.
        "bound" if options.engine.is_none() => &[Exhaustive],
        "bound" => &[Exhaustive, Loom, Pct],
        "seed" => &[Random, Pct],
        "releases" | "save" => &[Exhaustive, Random, Pct],
        _ => &[Exhaustive, Loom, Random, Pct],
    }
}

/// Does this option mean something to this job?
fn means(options: &CheckOptions, option: &str, job: &Job) -> bool {
    let engines = engines(options, option);
    let mut settings = job.settings.iter();
    settings.any(|settings| engines.contains(&settings.kind))
}

/// All rows, in their order.
pub(crate) fn jobs(
    options: &CheckOptions,
    subjects: &[Subject],
    known: &[Known],
    stop: &Arc<AtomicBool>,
) -> Vec<Job> {
    let broken = bugs(options.bug.as_deref());
    let plan = Plan {
        options,
        base: Settings {
            seed: options.seed.unwrap_or(SEED),
            releases: options.releases,
            bugs: broken,
            known: known.to_vec(),
            stop: stop.clone(),
            ..Settings::exhaustive(0)
        },
    };
    let mut jobs = Vec::new();
    for policy in options.policy.kinds() {
        for subject in subjects {
            let job = |settings| Job {
                policy: *policy,
                subject: subject.clone(),
                settings,
                broken,
            };
            match subject {
                Subject::Sequential(_) => {
                    if matches!(options.engine, None | Some(EngineArg::Sequential)) {
                        jobs.push(job(Vec::new()));
                    }
                }
                Subject::Race(race) if race.runs_under(*policy) => {
                    jobs.extend(plan.race(race).into_iter().map(job));
                }
                Subject::Race(_) => {}
            }
        }
    }
    jobs
}

/// Is each setting that was asked for one that some of `jobs` can do something with? If not, what was expected.
pub(crate) fn means_something(options: &CheckOptions, jobs: &[Job]) -> Result<(), String> {
    let numbers = given(options).map(|(option, value)| (option, value.is_some()));
    let others = [
        ("releases", options.releases),
        ("known", !options.known.is_empty()),
        ("save", options.save.is_some()),
    ];
    let wrong = numbers
        .into_iter()
        .chain(others)
        .find(|(option, given)| *given && !jobs.iter().any(|job| means(options, option, job)));
    let Some((option, _)) = wrong else {
        return Ok(());
    };
    let mut asked: Vec<_> = jobs.iter().map(Job::engine).collect();
    asked.sort_unstable();
    asked.dedup();
    let names: Vec<_> = engines(options, option)
        .iter()
        .map(|kind| kind.name())
        .collect();
    Err(format!(
        "--{option} means nothing to {}, which explore{} all that was asked for; expected no --{option}, or another --scenario or \
         --engine, so that {} explores something",
        asked.join(" and "),
        if asked.len() == 1 { "s" } else { "" },
        names.join(" or ")
    ))
}

struct Plan<'o> {
    options: &'o CheckOptions,
    base: Settings,
}

impl Plan<'_> {
    fn bound(&self) -> Option<u32> {
        self.options.bound.and_then(|bound| bound.try_into().ok())
    }

    /// The rows of a race: what is asked of an engine for each.
    fn race(&self, race: &Race) -> Vec<Vec<Settings>> {
        if let Some(engine) = self.options.engine {
            return match engine.kind() {
                Some(Kind::Exhaustive) => vec![self.exhaustive(race)],
                Some(Kind::Loom) => {
                    let bound = self
                        .bound()
                        .or(race.loom.map(|own| own.bound))
                        .unwrap_or(LOOM_BOUND);
                    vec![self.loom(race, bound)]
                }
                Some(kind @ (Kind::Random | Kind::Pct)) => vec![self.sampled(race, kind)],
                None => Vec::new(),
            };
        }
        let mut rows = match race.effort {
            Effort::Bound(_) => vec![self.exhaustive(race)],
            Effort::Samples(_) => [Kind::Random, Kind::Pct]
                .map(|kind| self.sampled(race, kind))
                .to_vec(),
        };
        rows.extend(race.loom.map(|own| self.loom(race, own.bound)));
        rows
    }

    fn exhaustive(&self, race: &Race) -> Vec<Settings> {
        let own = match race.effort {
            Effort::Bound(bound) => Some(bound),
            Effort::Samples(_) => None,
        };
        let bound = self.bound().or(own).unwrap_or(0);
        let most = self.options.executions;
        let at = |from, bound, executions| Settings {
            kind: Kind::Exhaustive,
            from,
            bound,
            executions,
            ..self.base.clone()
        };
        let own_cap = most.unwrap_or(Settings::EXECUTIONS);
        let few = race.programs.len() <= 2;
        match own {
            _ if few => vec![at(0, bound, own_cap)],
            Some(own) if bound <= own.max(COMPLETE) => vec![at(0, bound, own_cap)],
            Some(own) => vec![
                at(0, own, own_cap),
                at(own + 1, bound, most.unwrap_or(BEYOND)),
            ],
            None => vec![at(0, bound, most.unwrap_or(BEYOND))],
        }
    }

    fn loom(&self, race: &Race, bound: u32) -> Vec<Settings> {
        let most = match race.loom {
            Some(own) if bound <= own.bound => by_loom::most(bound),
            _ => LOOM_EXECUTIONS,
        };
        vec![Settings {
            kind: Kind::Loom,
            bound,
            executions: self.options.executions.unwrap_or(most),
            ..self.base.clone()
        }]
    }

    fn sampled(&self, race: &Race, kind: Kind) -> Vec<Settings> {
        let own = match race.effort {
            Effort::Bound(_) => SAMPLES,
            Effort::Samples(samples) => samples.into(),
        };
        vec![Settings {
            kind,
            // Preemptions are none of PCT's changes of priority: only who asks for the engine means those.
            bound: self
                .bound()
                .filter(|_| self.options.engine.is_some())
                .unwrap_or(Settings::PCT_BOUND),
            executions: self.options.executions.unwrap_or(own),
            ..self.base.clone()
        }]
    }
}
