//! ^C.

use std::io;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a shell says of who was killed by ^C.
const KILLED: i32 = 130;

/// Who signals a process and then its group, as `timeout` does, means one ^C by both.
const ONE: Duration = Duration::from_millis(300);

/// The first ^C sets `stop`; one that comes more than [`ONE`] later ends the process at once.
pub(crate) fn set(stop: &Arc<AtomicBool>) -> io::Result<()> {
    let stop = stop.clone();
    let mut first: Option<Instant> = None;
    let handler = move || {
        stop.store(true, Ordering::Relaxed);
        if first.get_or_insert_with(Instant::now).elapsed() > ONE {
            exit(KILLED);
        }
    };
    ctrlc::set_handler(handler).map_err(io::Error::other)
}
