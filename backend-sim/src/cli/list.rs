//! What there is.

use crate::cli::args::ListOptions;
use crate::cli::output::Output;
use crate::cli::select::{selected, Subject};
use crate::cli::FINE;
use migrate_pin_sim::engine::loom::MAX_ACTORS;
use migrate_pin_sim::race::Effort;
use migrate_pin_sim::Bug;
use std::io::{self, Write};

/// Print it, a line each.
pub(crate) fn run(options: &ListOptions) -> io::Result<u8> {
    let mut out = Output::new();
    if options.bugs {
        for bug in Bug::ALL {
            writeln!(out, "{:28}  breaks {}", bug.name(), bug.breaks())?;
        }
        return Ok(FINE);
    }
    let subjects = selected(&options.select)?;
    let apart = !options.select.scenario.is_empty();
    let lines: Vec<_> = subjects
        .chunk_by(|one, next| !apart && one.family() != "" && one.family() == next.family())
        .map(|together| line(together, apart))
        .collect();
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, (engine, about)) in &lines {
        writeln!(out, "{name:width$}  {engine:32}  {about}")?;
    }
    out.flush()?;
    Ok(FINE)
}

/// The name, the engine, and what it is about: of a scenario, or of a family unless its races are to stand `apart`.
fn line(together: &[Subject], apart: bool) -> (&str, (String, String)) {
    let first = &together[0];
    let engine = engine(first);
    match first.family() {
        family if !apart && !family.is_empty() => {
            // Of a generated race: what stands at its pages, then who does what.
            let (pages, _) = first.about().split_once(':').unwrap_or_default();
            let (races, actors) = (together.len(), first.actors());
            let about = format!("{pages}: {races} races of {actors} actors");
            (family, (engine, about))
        }
        _ => (first.name(), (engine, first.about().to_owned())),
    }
}

/// How it is explored if nobody asks for something else.
fn engine(subject: &Subject) -> String {
    let Subject::Race(race) = subject else {
        return "sequential".to_owned();
    };
    let engine = match race.effort {
        Effort::Bound(bound) => format!("exhaustive bound {bound}"),
        Effort::Samples(samples) => format!("random, pct {samples} each"),
    };
    match race.loom {
        Some(_) if race.programs.len() > MAX_ACTORS => engine,
        Some(own) => format!("{engine}, loom bound {}", own.bound),
        None => engine,
    }
}
