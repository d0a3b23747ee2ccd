//! Doing the jobs, on threads.

use crate::cli::plan::Job;
use crate::cli::row::{of_race, of_sequential, Row};
use crate::cli::select::Subject;
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long an engine that was told to stop is waited for, until its execution is over.
const GRACE: Duration = Duration::from_secs(2);

/// How often to look whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// What happens to a job.
enum News {
    Begun(usize),
    Done(usize, Box<Row>),
}

/// Whether the interleaving of what is found is wanted, of this job.
pub(crate) type Keep = fn(&Job) -> bool;

/// What became of each job.
pub(crate) enum State {
    Waiting,
    Running,
    Done(Box<Row>),
}

/// Do `jobs` on `threads` threads. `done` is called with the place of each job that has ended, and with all states, in
/// whatever order they end. Returns when all have, or soon after `stop`.
pub(crate) fn run(
    jobs: &Arc<Vec<Job>>,
    threads: usize,
    keep: Keep,
    stop: &Arc<AtomicBool>,
    mut done: impl FnMut(&mut [State]) -> std::io::Result<()>,
) -> std::io::Result<Vec<State>> {
    hook();
    let news = start(jobs, threads, keep, stop);
    let mut states: Vec<_> = jobs.iter().map(|_| State::Waiting).collect();
    let mut patience: Option<Instant> = None;
    loop {
        match news.recv_timeout(LOOK) {
            Ok(News::Begun(index)) => states[index] = State::Running,
            Ok(News::Done(index, row)) => states[index] = State::Done(row),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        done(&mut states)?;
        if stop.load(Ordering::Relaxed) {
            let until = *patience.get_or_insert_with(|| Instant::now() + GRACE);
            if Instant::now() > until {
                break;
            }
        }
    }
    Ok(states)
}

/// Loom drops actors by panics that a hook of its coroutines keeps quiet, and shuttle's hook reports what it sees: so it
/// must be there first, and see no more than is left. It is there after an execution, whatever that does.
fn hook() {
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    let once = shuttle::scheduler::RandomScheduler::new(1);
    shuttle::Runner::new(once, config).run(|| {});
}

fn start(
    jobs: &Arc<Vec<Job>>,
    threads: usize,
    keep: Keep,
    stop: &Arc<AtomicBool>,
) -> Receiver<News> {
    let (sender, receiver) = channel();
    let next = Arc::new(AtomicUsize::new(0));
    for _ in 0..threads.min(jobs.len()) {
        let (jobs, next, stop, sender) = (jobs.clone(), next.clone(), stop.clone(), sender.clone());
        thread::spawn(move || worker(&jobs, &next, keep, &stop, &sender));
    }
    receiver
}

fn worker(
    jobs: &Arc<Vec<Job>>,
    next: &AtomicUsize,
    keep: Keep,
    stop: &AtomicBool,
    sender: &Sender<News>,
) {
    while !stop.load(Ordering::Relaxed) {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= jobs.len() {
            return;
        }
        // Whoever listened may have gone: then nobody wants to know.
        let _ = sender.send(News::Begun(index));
        let mine = jobs.clone();
        // A thread of its own: the engines keep what they know in thread locals, which a panic would leave in a mess.
        let row = thread::spawn(move || {
            let job = &mine[index];
            match &job.subject {
                Subject::Sequential(scenario) => of_sequential(job, scenario),
                Subject::Race(race) => of_race(job, race, keep(job)),
            }
        });
        let row = row
            .join()
            .unwrap_or_else(|panic| Row::panicked(&jobs[index], message(&*panic)));
        let _ = sender.send(News::Done(index, Box::new(row)));
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
