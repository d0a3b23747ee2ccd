//! Schedules in files.

use crate::cli::args::{policy_name, EngineArg, REPLAY};
use crate::cli::jsonl::SCHEMA;
use crate::cli::plan::Job;
use crate::cli::row::Finding;
use crate::cli::usage;
use migrate_pin_sim::engine::schedule;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

/// What a file holds; the README documents the fields.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) schema: u32,
    pub(crate) scenario: String,
    pub(crate) policy: String,
    pub(crate) engine: EngineArg,
    /// The bound at which it was found; none for an engine without.
    pub(crate) bound: Option<u32>,
    pub(crate) seed: u64,
    /// Was letting go of a lock a visible operation?
    #[serde(default)]
    pub(crate) releases: bool,
    /// What was broken with --break.
    #[serde(rename = "break", default)]
    pub(crate) broken: Option<String>,
    /// As [`schedule::encode`] writes it.
    pub(crate) schedule: String,
}

/// Write what is needed to repeat `finding`, the `index`th of its job, into `directory`, and say where. None if the engine can't say
/// how it got there.
pub(crate) fn save(
    directory: &Path,
    job: &Job,
    finding: &Finding,
    index: usize,
) -> io::Result<Option<String>> {
    let engine = job
        .settings
        .first()
        .map(|settings| (settings.kind.name(), settings.seed));
    let Some((name, seed)) = engine.filter(|_| !finding.schedule.is_empty()) else {
        return Ok(None);
    };
    let engine: EngineArg = serde_json::from_value(name.into())?;
    let record = Record {
        schema: SCHEMA,
        scenario: job.subject.name().to_owned(),
        policy: policy_name(job.policy).to_owned(),
        engine,
        bound: finding.bound,
        seed,
        releases: job
            .settings
            .first()
            .is_some_and(|settings| settings.releases),
        broken: job.broken.first().map(|bug| bug.name().to_owned()),
        schedule: schedule::encode(&finding.schedule),
    };
    // The ways in which one race breaks have a file each.
    let number = match index {
        0 => String::new(),
        more => format!(".{}", more + 1),
    };
    let file = format!("{}.{}.{name}{number}.json", record.scenario, record.policy);
    let path = directory.join(file);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut text = serde_json::to_string_pretty(&record)?;
    text.push('\n');
    fs::write(&path, text).map_err(|error| io::Error::other(named(error)))?;
    Ok(Some(path.display().to_string()))
}

/// Read such a file.
pub(crate) fn load(path: &Path) -> io::Result<Record> {
    let shown = path.display();
    let expected = format!("expected {REPLAY}");
    let text =
        fs::read_to_string(path).map_err(|error| usage(format!("{shown}: {error}; {expected}")))?;
    let record: Record = serde_json::from_str(&text)
        .map_err(|error| usage(format!("{shown}: {error}; {expected}")))?;
    if record.schema != SCHEMA {
        return Err(usage(format!(
            "{shown}: schema {}; expected {SCHEMA}",
            record.schema
        )));
    }
    Ok(record)
}
