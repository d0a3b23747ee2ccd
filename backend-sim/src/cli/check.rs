//! Explore, and print what came.

use crate::cli::args::{CheckOptions, Format};
use crate::cli::output::Output;
use crate::cli::plan::{jobs, Job};
use crate::cli::row::{End, Row};
use crate::cli::select::selected;
use crate::cli::work::{self, Keep, State};
use crate::cli::{
    interrupt, jsonl, progress, record, replay, table, usage, FAILED, FINE, INCOMPLETE,
};
use migrate_pin_core::PolicyKind;
use std::io::{self, Write};
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// What is printed while it is going on, and what is kept for the end.
struct Report<'o> {
    options: &'o CheckOptions,
    jobs: Arc<Vec<Job>>,
    width: usize,
    out: Output,
    /// Rows that are printed: the first of `jobs`.
    printed: usize,
    policy: Option<PolicyKind>,
    /// Where each row's findings were saved.
    saved: Vec<Vec<Option<String>>>,
}

/// Do what `options` ask for.
pub(crate) fn run(options: &CheckOptions) -> io::Result<u8> {
    if let Some(path) = &options.replay {
        return replay::run(path);
    }
    let subjects = selected(&options.select)?;
    if let Some(directory) = &options.save {
        std::fs::create_dir_all(directory).map_err(|error| {
            usage(format!(
                "{}: {error}; expected a directory that can be written to",
                directory.display()
            ))
        })?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let jobs = Arc::new(jobs(options, &subjects, &stop));
    if jobs.is_empty() {
        return Err(usage(
            "nothing to explore: no scenario that was asked for is run by this engine under this policy; expected another --engine, \
             --policy or --scenario"
                .to_owned(),
        ));
    }
    interrupt::set(&stop)?;
    let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = options.jobs.map_or_else(cpus, |jobs| jobs as usize);
    let bar = progress::bar(jobs.len());
    let mut report = Report {
        options,
        width: jobs
            .iter()
            .map(|job| job.subject.name().len())
            .max()
            .unwrap_or(0),
        jobs: jobs.clone(),
        out: Output::new(),
        printed: 0,
        policy: None,
        saved: Vec::new(),
    };
    let mut states = work::run(&jobs, threads, keep(options), &stop, |states| {
        let ended = states
            .iter()
            .filter(|state| matches!(state, State::Done(_)))
            .count();
        bar.set_position(ended as u64);
        if let Some(job) = states
            .iter()
            .position(|state| matches!(state, State::Running))
        {
            bar.set_message(jobs[job].subject.name().to_owned());
        }
        match matches!(states.get(report.printed), Some(State::Done(_))) {
            true => bar.suspend(|| report.rows(states)),
            false => Ok(()),
        }
    })?;
    bar.finish_and_clear();
    report.finish(&mut states)
}

/// Whose interleavings are wanted.
fn keep(options: &CheckOptions) -> Keep {
    let chosen = !options.select.scenario.is_empty() || options.format == Format::Jsonl;
    match chosen {
        true => |_, _| true,
        false => |job, unexpected| table::in_full(job, false, unexpected),
    }
}

impl Report<'_> {
    /// Print the rows that are next, as far as they are there.
    fn rows(&mut self, states: &[State]) -> io::Result<()> {
        while let Some(State::Done(row)) = states.get(self.printed) {
            self.row(row)?;
            self.printed += 1;
        }
        self.out.flush()
    }

    fn row(&mut self, row: &Row) -> io::Result<()> {
        let jobs = self.jobs.clone();
        let job = &jobs[self.printed];
        let saved: Vec<_> = match &self.options.save {
            Some(directory) => {
                let saved = row
                    .findings
                    .iter()
                    .map(|finding| record::save(directory, job, finding));
                saved.collect::<io::Result<_>>()?
            }
            None => vec![None; row.findings.len()],
        };
        match self.options.format {
            Format::Jsonl => jsonl::print(&mut self.out, job, row, &saved)?,
            Format::Text => {
                if self.policy != Some(job.policy) {
                    self.policy = Some(job.policy);
                    table::head(&mut self.out, job.policy, self.width)?;
                }
                table::row(&mut self.out, job, row, self.width)?;
            }
        }
        self.saved.push(saved);
        Ok(())
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
        self.rows(states)?;
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
        let all = states.iter().all(|state| matches!(state, State::Done(_)));
        Ok(match () {
            () if any(End::Failed) => FAILED,
            () if any(End::Incomplete) || !all => INCOMPLETE,
            () => FINE,
        })
    }

    fn findings(&mut self, states: &[State]) -> io::Result<()> {
        let chosen = !self.options.select.scenario.is_empty();
        writeln!(self.out)?;
        for ((job, state), saved) in self.jobs.iter().zip(states).zip(&self.saved) {
            let State::Done(row) = state else { continue };
            for (finding, saved) in row.findings.iter().zip(saved) {
                let full = table::in_full(job, chosen, finding.unexpected);
                table::finding(&mut self.out, job, finding, full, saved.as_deref())?;
            }
        }
        Ok(())
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
