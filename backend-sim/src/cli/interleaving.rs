//! An interleaving, to be read.

use migrate_pin_sim::engine::replay::Line;
use migrate_pin_sim::race::{Program, Race};
use std::io::{self, Write};

/// Columns before a line is broken.
const WIDTH: usize = 140;

/// Columns before what was done.
const INDENT: usize = 64;

/// Of a stretch that is folded, how many primitives are told after a switch,
const AFTER: usize = 2;

/// and how many before the next.
const BEFORE: usize = 2;

/// Of a long primitive, how many operations are told at either end.
const EITHER_END: usize = 4;

/// Of an interleaving that is long even so (nobody gets anywhere, or schedules are random), how many lines of primitives are
/// told at its beginning,
const BEGINNING: usize = 20;

/// and how many at its end.
const END: usize = 12;

/// What each actor of a race is there to do.
pub(crate) fn programs(race: &Race) -> Vec<String> {
    let of = |program: &Program| {
        let actor = program.actor;
        let steps = program.steps.iter().enumerate();
        let told = steps.map(|(number, step)| format!("actor {actor} step {number}: {step:?}"));
        told.collect::<Vec<_>>()
    };
    race.programs.iter().flat_map(of).collect()
}

/// Lines of what each actor does.
pub(crate) fn steps(out: &mut impl Write, steps: &[String]) -> io::Result<()> {
    steps.iter().try_for_each(|step| writeln!(out, "  {step}"))
}

/// One line, or what is folded into one.
enum Piece<'l> {
    /// What one actor does in one primitive.
    Primitive(&'l [Line]),
    /// What one actor does in several, of which only the names are told.
    Folded(&'l [Line]),
    /// What several do, of which nothing is told.
    LeftOut(&'l [Line]),
}

impl<'l> Piece<'l> {
    const fn lines(&self) -> &'l [Line] {
        match self {
            Self::Primitive(lines) | Self::Folded(lines) | Self::LeftOut(lines) => lines,
        }
    }
}

/// All `lines`, a piece for each primitive.
fn pieces(lines: &[Line]) -> impl Iterator<Item = Piece<'_>> {
    lines
        .chunk_by(|a, b| (a.actor, a.step, a.primitive) == (b.actor, b.step, b.primitive))
        .map(Piece::Primitive)
}

/// The same, but of what one actor does without anybody in between only the beginning and the end; and of all that, if it is
/// still too much, only the beginning and the end.
fn folded(lines: &[Line]) -> Vec<Piece<'_>> {
    let mut all = Vec::new();
    for stretch in lines.chunk_by(|a, b| a.actor == b.actor) {
        let mut primitives: Vec<_> = pieces(stretch).collect();
        fold(&mut primitives, stretch, (AFTER, BEFORE), Piece::Folded);
        all.append(&mut primitives);
    }
    fold(&mut all, lines, (BEGINNING, END), Piece::LeftOut);
    all
}

/// Put one piece in the place of those of `lines` that are neither the first nor the last few.
fn fold<'l>(
    pieces: &mut Vec<Piece<'l>>,
    lines: &'l [Line],
    (first, last): (usize, usize),
    into: fn(&'l [Line]) -> Piece<'l>,
) {
    // One alone is told as well as folded.
    if pieces.len() <= first + last + 1 {
        return;
    }
    let middle = first..pieces.len() - last;
    let count = |pieces: &[Piece<'_>]| pieces.iter().map(|one| one.lines().len()).sum();
    let begin: usize = count(&pieces[..middle.start]);
    let length: usize = count(&pieces[middle.clone()]);
    pieces.splice(middle, [into(&lines[begin..begin + length])]);
}

/// Step by step: what one actor does in one primitive without anybody in between is one line, and `>` marks where another
/// actor goes on than the one before. If `fold`, what is far from any switch is folded. Whether all was told.
pub(crate) fn print(out: &mut impl Write, lines: &[Line], fold: bool) -> io::Result<bool> {
    let pieces = match fold {
        true => folded(lines),
        false => pieces(lines).collect(),
    };
    let mut number = 1;
    let mut before = None;
    let mut whole = true;
    for piece in pieces {
        let lines = piece.lines();
        let Line {
            actor,
            step,
            primitive,
            ..
        } = &lines[0];
        let mark = if before == Some(*actor) { ' ' } else { '>' };
        let head =
            |what: &str| format!("  {mark} {number:>4}  actor {actor} step {step:<2}  {what:35}  ");
        match piece {
            Piece::Primitive(group) => {
                let (items, all) = operations(group, fold);
                write_items(out, &head(primitive), items)?;
                whole &= all;
            }
            Piece::Folded(stretch) => {
                let head = head(&format!("({} operations)", stretch.len()));
                write_items(out, &head, names(stretch))?;
            }
            Piece::LeftOut(lines) => {
                writeln!(out, "         ({} operations of all actors)", lines.len())?
            }
        }
        whole &= !matches!(piece, Piece::Folded(_) | Piece::LeftOut(_));
        before = lines.last().map(|line| line.actor);
        number += lines.len();
    }
    Ok(whole)
}

/// What is done in one primitive, and whether that is all of it: if `fold`, only the beginning and the end of what is long.
fn operations(group: &[Line], fold: bool) -> (Vec<String>, bool) {
    let told = |(index, operation): (usize, &Line)| {
        let same = index > 0 && group[index - 1].object == operation.object;
        match same {
            // The same thing once more: its name need not be.
            true => format!("then {}", operation.change),
            false => format!("{}: {}", operation.object, operation.change),
        }
    };
    let mut items: Vec<_> = group.iter().enumerate().map(told).collect();
    let left_out = items.len().saturating_sub(2 * EITHER_END);
    if !fold || left_out < 2 {
        return (items, true);
    }
    // What goes on with the object before it names it.
    let next = EITHER_END + left_out;
    items[next] = format!("{}: {}", group[next].object, group[next].change);
    items.splice(EITHER_END..next, [format!("({left_out} operations)")]);
    (items, false)
}

/// In which primitives it is done, each told once.
fn names(stretch: &[Line]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for line in stretch {
        if !names.contains(&line.primitive) {
            names.push(line.primitive);
        }
    }
    names.into_iter().map(ToOwned::to_owned).collect()
}

/// A line of `items`, or as many as they need.
fn write_items(out: &mut impl Write, head: &str, items: Vec<String>) -> io::Result<()> {
    let mut line = format!("{head:INDENT$}");
    let mut first = true;
    for piece in items {
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

/// An operation in one line, for a file.
pub(crate) fn line(line: &Line) -> String {
    format!(
        "{} step {} {}: {}: {}",
        line.actor, line.step, line.primitive, line.object, line.change
    )
}
