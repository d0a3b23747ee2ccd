//! ^C.

use std::io;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// What a shell says of who was killed by ^C.
const KILLED: i32 = 130;

/// The first ^C sets `stop`, the second ends the process at once.
pub(crate) fn set(stop: &Arc<AtomicBool>) -> io::Result<()> {
    let stop = stop.clone();
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            exit(KILLED);
        }
    };
    ctrlc::set_handler(handler).map_err(io::Error::other)
}
