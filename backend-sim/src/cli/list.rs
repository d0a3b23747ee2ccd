//! What there is.

use crate::cli::args::ListOptions;
use crate::cli::output::Output;
use crate::cli::select::{selected, Subject};
use crate::cli::FINE;
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
    let width = subjects
        .iter()
        .map(|one| one.name().len())
        .max()
        .unwrap_or(0);
    for subject in &subjects {
        let engine = engine(subject);
        writeln!(
            out,
            "{:width$}  {engine:32}  {}",
            subject.name(),
            subject.about()
        )?;
    }
    out.flush()?;
    Ok(FINE)
}

/// How it is explored if nobody asks for something else.
fn engine(subject: &Subject) -> String {
    let Subject::Race { race, .. } = subject else {
        return "sequential".to_owned();
    };
    let engine = match race.effort {
        Effort::Bound(bound) => format!("exhaustive bound {bound}"),
        Effort::Samples(samples) => format!("random, pct {samples} each"),
    };
    match race.loom {
        Some(bound) => format!("{engine}, loom bound {bound}"),
        None => engine,
    }
}
