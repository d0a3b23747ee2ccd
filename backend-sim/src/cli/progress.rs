//! A bar that shows how far it is, on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{stderr, stdout, IsTerminal};
use std::time::Duration;

/// How often the clock of the bar moves on.
const TICK: Duration = Duration::from_millis(200);

/// A bar for so many jobs. Hidden unless somebody looks at both standard output and standard error: the table goes to the
/// one, the bar to the other.
pub(crate) fn bar(jobs: usize) -> ProgressBar {
    if !(stdout().is_terminal() && stderr().is_terminal()) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(jobs as u64), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{elapsed} [{bar:30}] {pos} of {len}  {wide_msg}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(TICK);
    bar
}
