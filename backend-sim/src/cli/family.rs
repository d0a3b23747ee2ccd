//! Families: generated races of one kind of page, which are one row together.

use crate::cli::plan::Job;
use crate::cli::row::{End, Row};
use std::ops::Range;

/// Which jobs make a row together: those of one family by one engine, unless all are to stand `apart`.
pub(crate) fn rows(jobs: &[Job], apart: bool) -> Vec<Range<usize>> {
    let of = |job: &Job| (job.policy, job.engine());
    let mut rows: Vec<Range<usize>> = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        match rows.last_mut() {
            Some(last)
                if !apart
                    && together(&jobs[last.start], job)
                    && of(&jobs[last.start]) == of(job) =>
            {
                last.end = index + 1;
            }
            _ => rows.push(index..index + 1),
        }
    }
    rows
}

fn together(one: &Job, other: &Job) -> bool {
    !one.subject.family().is_empty() && one.subject.family() == other.subject.family()
}

/// The name of a row: that of the family, if there is one and its races do not stand `apart`.
pub(crate) fn name(job: &Job, apart: bool) -> &str {
    match job.subject.family() {
        family if !apart && !family.is_empty() => family,
        _ => job.subject.name(),
    }
}

/// One row of `begun`, the rows of a family that has `all` races.
pub(crate) fn sum(first: &Job, begun: &[&Row], all: usize) -> Row {
    let whole = |row: &&Row| row.complete;
    let complete: Option<Vec<bool>> = begun.iter().map(whole).collect();
    Row {
        operations: begun.iter().filter_map(|row| row.operations).max(),
        executions: begun.iter().map(|row| row.executions).sum(),
        bound: begun.iter().filter_map(|row| row.bound).max(),
        least: begun.iter().filter_map(|row| row.bound).min(),
        complete: complete.map(|every| every.len() == all && every.iter().all(|one| *one)),
        cut: begun.len() < all || begun.iter().any(|row| row.cut),
        seconds: begun.iter().map(|row| row.seconds).sum(),
        ..Row::bare(first, End::Ok, says(begun, all))
    }
}

/// What is said of those that were explored to less than their own bound.
fn below(begun: &[&Row]) -> String {
    let part = begun.iter().find(|row| row.end == End::Part);
    part.map_or_else(String::new, |row| row.says.clone())
}

/// `ok (253 races)`, or how many of them were something else.
fn says(begun: &[&Row], all: usize) -> String {
    let count = |end| begun.iter().filter(|row| row.end == end).count();
    let parts = [
        (count(End::Failed), "FAILED".to_owned()),
        (count(End::Broken), format!("show {}", broken(begun))),
        (count(End::Part), below(begun)),
        (count(End::Incomplete), "incomplete".to_owned()),
        (all - begun.len(), "not begun".to_owned()),
    ];
    let mut says = String::new();
    for (count, what) in parts.iter().filter(|(count, _)| *count > 0) {
        match says.as_str() {
            "" => says = format!("{count} of {all} {what}"),
            _ => says.push_str(&format!("; {count} {what}")),
        }
    }
    if says.is_empty() {
        says = format!("ok ({all} {})", if all == 1 { "race" } else { "races" });
    }
    match begun.iter().find_map(|row| row.seed) {
        Some(seed) => format!("{says}, seed {seed}"),
        None => says,
    }
}

/// The defects that showed, with how many races showed each if there are several: the most frequent come first.
fn broken(begun: &[&Row]) -> String {
    let rows = begun.iter().filter(|row| row.end == End::Broken);
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in rows.flat_map(|row| row.shows()) {
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match counts.as_slice() {
        [(name, _)] => (*name).to_owned(),
        several => {
            let each = several
                .iter()
                .map(|(name, count)| format!("{name} {count}"));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::select::Subject;
    use crate::cli::table;
    use migrate_pin_core::PolicyKind;
    use migrate_pin_sim::engine::Settings;
    use migrate_pin_sim::race::Race;
    use std::sync::Arc;

    /// The bound and what is said of it, in the row of a family of two: of each the bound, was it complete, and did it give up?
    fn told(rows: [(u32, bool, bool); 2]) -> String {
        let race = Race {
            family: "family".into(),
            ..Race::BASE
        };
        let job = Job {
            policy: PolicyKind::AsPosted,
            subject: Subject::Race(Arc::new(race)),
            settings: vec![Settings::exhaustive(3)],
            broken: &[],
        };
        let rows = rows.map(|(bound, complete, cut)| Row {
            bound: Some(bound),
            least: Some(bound),
            complete: Some(complete),
            cut,
            ..Row::bare(&job, End::Ok, "ok".to_owned())
        });
        let sum = sum(&job, &rows.each_ref(), 2);
        let mut line = Vec::new();
        table::row(&mut line, name(&job, false), &job, &sum, 10).unwrap();
        let line = String::from_utf8(line).unwrap();
        let cells: Vec<_> = line.split_whitespace().collect();
        cells[6..8].join(" ")
    }

    #[test]
    fn a_family_is_complete_if_all_are_from_the_least_bound_to_the_largest() {
        assert_eq!(told([(3, true, false), (3, true, false)]), "3 yes");
        assert_eq!(told([(1, true, false), (3, true, false)]), "1-3 yes");
        assert_eq!(told([(3, true, false), (1, false, false)]), "1-3 found");
        assert_eq!(told([(3, false, true), (1, false, false)]), "1-3 no");
    }
}
