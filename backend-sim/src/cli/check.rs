//! Explore, and print what came.

use crate::cli::args::{CheckOptions, Format, SAVE};
use crate::cli::defects::{shown, ways, Group, Way};
use crate::cli::output::Output;
use crate::cli::plan::{command, jobs, means_something, Job};
use crate::cli::row::{tell, End, Finding, Row};
use crate::cli::select::{selected, Subject};
use crate::cli::table::Style;
use crate::cli::work::{self, Keep, State};
use crate::cli::{
    family, interrupt, jsonl, progress, record, replay, table, usage, FAILED, FINE, INCOMPLETE,
};
use migrate_pin_core::PolicyKind;
use migrate_pin_sim::engine::Known;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// What is printed while it is going on, and what is kept for the end.
struct Report<'o> {
    options: &'o CheckOptions,
    jobs: Arc<Vec<Job>>,
    /// Which of the jobs make a row of the table together.
    rows: Vec<Range<usize>>,
    width: usize,
    out: Output,
    /// How many of `rows` are printed.
    printed: usize,
    policy: Option<PolicyKind>,
    /// Where each job's findings were saved.
    saved: Vec<Vec<Option<String>>>,
}

/// A finding, and whose it is.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'r> {
    pub(crate) job: &'r Job,
    pub(crate) finding: &'r Finding,
    pub(crate) saved: Option<&'r str>,
}

/// Do what `options` ask for.
pub(crate) fn run(options: &CheckOptions) -> io::Result<u8> {
    if let Some(path) = &options.replay {
        return replay::run(path);
    }
    let subjects = selected(&options.select)?;
    let stop = Arc::new(AtomicBool::new(false));
    let known: Vec<_> = options.known.iter().cloned().map(Known::new).collect();
    let jobs = Arc::new(jobs(options, &subjects, &known, &stop));
    if jobs.is_empty() {
        return Err(usage(
            "nothing to explore: no scenario that was asked for is run by this engine under this policy; expected another --engine, \
             --policy or --scenario"
                .to_owned(),
        ));
    }
    means_something(options, &jobs).map_err(usage)?;
    if let Some(directory) = &options.save {
        std::fs::create_dir_all(directory)
            .map_err(|error| usage(format!("{}: {error}; expected {SAVE}", directory.display())))?;
    }
    interrupt::set(&stop)?;
    let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = options.jobs.map_or_else(cpus, |jobs| jobs as usize);
    let bar = progress::bar(jobs.len());
    let apart = apart(options);
    let rows = family::rows(&jobs, apart);
    let names = rows.iter().map(|row| family::name(&jobs[row.start], apart));
    let mut report = Report {
        options,
        width: names.map(str::len).max().unwrap_or(0),
        rows,
        jobs: jobs.clone(),
        out: Output::new(),
        printed: 0,
        policy: None,
        saved: vec![Vec::new(); jobs.len()],
    };
    let mut states = work::run(&jobs, threads, keep(options), &stop, |states| {
        if !bar.is_hidden() {
            let ended = states
                .iter()
                .filter(|state| matches!(state, State::Done(_)));
            bar.set_position(ended.count() as u64);
            let mut running = states
                .iter()
                .zip(jobs.iter())
                .filter(|(state, _)| matches!(state, State::Running));
            if let Some((_, job)) = running.next() {
                bar.set_message(job.subject.name().to_owned());
            }
        }
        match report.next(states, true).is_some() {
            true => bar.suspend(|| report.rows(states, true)),
            false => Ok(()),
        }
    })?;
    bar.finish_and_clear();
    let status = report.finish(&mut states)?;
    for known in known.iter().filter(|known| !known.said()) {
        eprintln!(
            "migrate-pin: --known {:?}: nothing has said so",
            known.what()
        );
    }
    Ok(status)
}

/// Is each race a row and a finding of its own? Those who asked for it by name, and programs, want all of it.
fn apart(options: &CheckOptions) -> bool {
    !options.select.scenario.is_empty() || options.format == Format::Jsonl
}

/// Whose interleavings are wanted: where races are told together, the example is repeated later.
fn keep(options: &CheckOptions) -> Keep {
    match apart(options) {
        true => |_| true,
        false => |job| Group::of(job).is_none(),
    }
}

impl Report<'_> {
    /// The jobs of the next row, if all of them (or at least the first, if not) have ended.
    fn next(&self, states: &[State], all: bool) -> Option<Range<usize>> {
        let row = self.rows.get(self.printed)?;
        let ended = |state: &State| matches!(state, State::Done(_));
        let ready = match all {
            true => states[row.clone()].iter().all(ended),
            false => ended(&states[row.start]),
        };
        ready.then(|| row.clone())
    }

    /// Print the rows that are next, as far as they are there: if not `all`, also one that is there in part.
    fn rows(&mut self, states: &[State], all: bool) -> io::Result<()> {
        while let Some(row) = self.next(states, all) {
            self.row(row, states)?;
            self.printed += 1;
        }
        self.out.flush()
    }

    fn row(&mut self, range: Range<usize>, states: &[State]) -> io::Result<()> {
        let jobs = self.jobs.clone();
        let mut begun = Vec::new();
        for index in range.clone() {
            let State::Done(row) = &states[index] else {
                continue;
            };
            self.saved[index] = self.save(&jobs[index], row)?;
            begun.push((index, &**row));
        }
        match self.options.format {
            Format::Jsonl => begun.iter().try_for_each(|(index, row)| {
                jsonl::print(&mut self.out, &jobs[*index], row, &self.saved[*index])
            }),
            Format::Text => self.text(&jobs[range], &begun, &jobs),
        }
    }

    /// A row of the table for `begun`, of which `all` there are; then one for each of a family that failed.
    fn text(&mut self, all: &[Job], begun: &[(usize, &Row)], jobs: &[Job]) -> io::Result<()> {
        let (apart, width, first) = (apart(self.options), self.width, &all[0]);
        if self.policy != Some(first.policy) {
            self.policy = Some(first.policy);
            table::head(&mut self.out, first.policy, width)?;
        }
        let name = family::name(first, apart);
        if name == first.subject.name() {
            return begun
                .iter()
                .try_for_each(|(_, row)| table::row(&mut self.out, name, first, row, width));
        }
        let rows: Vec<_> = begun.iter().map(|(_, row)| *row).collect();
        let sum = family::sum(first, &rows, all.len());
        table::row(&mut self.out, name, first, &sum, width)?;
        let failed = begun.iter().filter(|(_, row)| row.end == End::Failed);
        for (index, row) in failed {
            let job = &jobs[*index];
            table::row(&mut self.out, job.subject.name(), job, row, width)?;
        }
        Ok(())
    }

    /// Write what was found to files, if that was asked for.
    fn save(&self, job: &Job, row: &Row) -> io::Result<Vec<Option<String>>> {
        let findings = row.findings.iter();
        match &self.options.save {
            Some(directory) => findings
                .enumerate()
                .map(|(index, finding)| record::save(directory, job, finding, index))
                .collect(),
            None => Ok(vec![None; row.findings.len()]),
        }
    }

    /// The rows that were interrupted, what was found, the sums, and the exit status.
    fn finish(&mut self, states: &mut [State]) -> io::Result<u8> {
        for (job, state) in self.jobs.iter().zip(states.iter_mut()) {
            if matches!(state, State::Running) {
                *state = State::Done(Box::new(Row::bare(
                    job,
                    End::Incomplete,
                    "interrupted".to_owned(),
                )));
            }
        }
        self.rows(states, false)?;
        if self.options.format == Format::Text {
            self.findings(states)?;
            self.sums(states)?;
        }
        self.out.flush()?;
        let any = |end| {
            states
                .iter()
                .any(|state| matches!(state, State::Done(row) if row.end == end))
        };
        let all = states.iter().all(|state| match state {
            State::Done(row) => !row.cut,
            State::Waiting | State::Running => false,
        });
        Ok(match () {
            () if any(End::Failed) => FAILED,
            () if any(End::Incomplete) || !all => INCOMPLETE,
            () => FINE,
        })
    }

    /// What was found: of generated races only the smallest of those that break alike.
    fn findings(&mut self, states: &[State]) -> io::Result<()> {
        let jobs = self.jobs.clone();
        let saved = std::mem::take(&mut self.saved);
        let done = jobs.iter().zip(states).zip(&saved);
        let entries = done.flat_map(|((job, state), saved)| {
            let findings = match state {
                State::Done(row) => row.findings.as_slice(),
                State::Waiting | State::Running => &[],
            };
            let saved = saved.iter().map(Option::as_deref);
            findings
                .iter()
                .zip(saved)
                .map(move |(finding, saved)| Entry {
                    job,
                    finding,
                    saved,
                })
        });
        let entries: Vec<_> = entries.collect();
        let shown = shown(&entries);
        let alone = |entry: &Entry<'_>| apart(self.options) || Group::of(entry.job).is_none();
        let (alone, together): (Vec<_>, Vec<_>) = entries.into_iter().partition(alone);
        for entry in &alone {
            writeln!(self.out)?;
            let style = self.style(entry);
            table::finding(&mut self.out, entry.job, entry.finding, &style)?;
        }
        for way in ways(together.into_iter()) {
            self.way(&way)?;
        }
        match shown.as_slice() {
            [] => Ok(()),
            shown => table::shown(&mut self.out, shown),
        }
    }

    fn style(&self, entry: &Entry<'_>) -> Style {
        Style {
            folded: self.options.select.scenario.is_empty(),
            command: command(self.options, entry.job),
            saved: entry.saved.map(ToOwned::to_owned),
        }
    }

    /// One way to break, by its smallest example.
    fn way(&mut self, way: &Way<'_>) -> io::Result<()> {
        let of_group = |job: &&Job| Group::of(job) == Some(way.group);
        writeln!(self.out)?;
        let of = self.jobs.iter().filter(of_group).count();
        table::way(&mut self.out, way, of)?;
        let smallest = &way.entries[0];
        let mut finding = smallest.finding.clone();
        if let Subject::Race(race) = &smallest.job.subject {
            tell(smallest.job, race, &mut finding);
        }
        let style = self.style(smallest);
        table::finding(&mut self.out, smallest.job, &finding, &style)?;
        match way.entries.get(1) {
            Some(next) => writeln!(self.out, "  another: {}", command(self.options, next.job)),
            None => Ok(()),
        }
    }

    fn sums(&mut self, states: &[State]) -> io::Result<()> {
        writeln!(self.out)?;
        for policy in self.options.policy.kinds() {
            let of_policy = self
                .jobs
                .iter()
                .zip(states)
                .filter(|(job, _)| job.policy == *policy);
            let all = of_policy.clone().count();
            let rows = of_policy.filter_map(|(_, state)| match state {
                State::Done(row) => Some(&**row),
                State::Waiting | State::Running => None,
            });
            let rows: Vec<_> = rows.collect();
            table::sum(&mut self.out, *policy, &rows, all)?;
        }
        Ok(())
    }
}
