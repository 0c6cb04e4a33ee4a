//! How far a tool has come, shown on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::Duration;

/// How often it is drawn.
const TICK: Duration = Duration::from_millis(100);
/// After how many files their number is shown again.
const FILES: u64 = 64;

/// A line on standard error, if that is a terminal.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    files: u64,
}

impl Progress {
    /// Begins. `quiet`: nothing is shown.
    pub fn new(quiet: bool) -> Self {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bytes} {binary_bytes_per_sec}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, files: 0 }
    }

    /// So many bytes more.
    pub fn bytes(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// A file more.
    pub fn file(&mut self) {
        self.files += 1;
        if let Some(bar) = self.bar.as_ref().filter(|_| self.files % FILES == 1) {
            bar.set_message(format!("{} files", self.files));
        }
    }

    /// How many files there were.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Prints a line above it.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
