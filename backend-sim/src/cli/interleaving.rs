//! An interleaving, to be read.

use crate::cli::row::Finding;
use migrate_pin_sim::engine::replay::Line;
use migrate_pin_sim::race::Race;
use std::io::{self, Write};

/// Columns before a line is broken.
const WIDTH: usize = 132;

/// Columns before what was done.
const INDENT: usize = 64;

/// What each actor of a race is there to do.
pub(crate) fn programs(out: &mut impl Write, race: &Race) -> io::Result<()> {
    for program in race.programs.iter() {
        for (number, step) in program.steps.iter().enumerate() {
            writeln!(out, "  actor {} step {number}: {step:?}", program.actor)?;
        }
    }
    Ok(())
}

/// Step by step: what one actor does in one primitive without anybody in between is one line, and `>` marks where another
/// actor goes on than the one before.
pub(crate) fn print(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    let mut number = 1;
    let mut before = None;
    for group in
        lines.chunk_by(|a, b| (a.actor, a.step, a.primitive) == (b.actor, b.step, b.primitive))
    {
        let Line {
            actor,
            step,
            primitive,
            ..
        } = &group[0];
        let mark = if before == Some(*actor) { ' ' } else { '>' };
        before = Some(*actor);
        let head = format!("  {mark} {number:>4}  actor {actor} step {step:<2}  {primitive:35}  ");
        write_group(out, &head, group)?;
        number += group.len();
    }
    Ok(())
}

fn write_group(out: &mut impl Write, head: &str, group: &[Line]) -> io::Result<()> {
    let mut line = format!("{head:INDENT$}");
    let mut first = true;
    for (index, operation) in group.iter().enumerate() {
        let same = index > 0 && group[index - 1].object == operation.object;
        let piece = match same {
            // The same thing once more: its name need not be.
            true => format!("then {}", operation.change),
            false => format!("{}: {}", operation.object, operation.change),
        };
        if !first && line.chars().count() + piece.chars().count() + 2 > WIDTH {
            writeln!(out, "{line},")?;
            line = " ".repeat(INDENT);
            first = true;
        }
        if !first {
            line.push_str(", ");
        }
        line.push_str(&piece);
        first = false;
    }
    writeln!(out, "{line}")
}

/// What is known of how to get to `finding`.
pub(crate) fn steps(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    if !finding.steps.is_empty() {
        writeln!(out, "  steps:")?;
    }
    for (index, step) in finding.steps.iter().enumerate() {
        writeln!(out, "    {index:2}  actor {step}")?;
    }
    print(out, &finding.lines)
}

/// An operation in one line, for a file.
pub(crate) fn line(line: &Line) -> String {
    format!(
        "{} step {} {}: {}: {}",
        line.actor, line.step, line.primitive, line.object, line.change
    )
}
