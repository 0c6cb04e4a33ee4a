//! Where messages go: to stderr, when the user asks for them.
//!
//! | `LKL_HIJACK_DEBUG` | shows |
//! |---|---|
//! | 0 or not set | nothing: there is no subscriber, a message costs one load |
//! | 1 | boot, configuration, and each packet dropped, with the reason |
//! | 2 and more | each system call too, as strace prints it |
//!
//! `loglevel=` of the command line lets less through, or more. A filter in `LKL_HIJACK_LOG` takes the place of these. Messages are written by a direct call to a descriptor of our own, so
//! a program that closes or redirects its stderr neither loses nor garbles them.

use crate::real::Hooks;
use crate::sys;
use crate::Config;
use std::io;
use std::os::fd::RawFd;
use tracing_subscriber::fmt::{time, MakeWriter};
use tracing_subscriber::EnvFilter;

/// Target of messages about packets that were dropped.
pub const DROPS: &str = "lkl::drop";
/// Target of messages about system calls.
pub const SYSCALLS: &str = "lkl::syscall";

/// Sets up what `config` asks for. Once for a process; later calls change nothing.
pub fn init(config: &Config, hooks: &Hooks) {
    let filter = match (&config.log, config.debug) {
        (Some(filter), _) => filter.clone(),
        (None, 0) => return,
        // `loglevel=` lets less through, by the levels that Linux's messages of each kind have; or more.
        (None, debug) => match (config.cmdline.loglevel, debug) {
            (Some(0..=3), _) => return,
            (Some(4), _) => "error".to_owned(),
            (Some(5..=6), _) => "warn".to_owned(),
            (Some(8..), 1) => format!("debug,{SYSCALLS}=off"),
            (_, 1) => format!("info,{DROPS}=debug"),
            (_, _) => format!("info,{DROPS}=debug,{SYSCALLS}=trace"),
        },
    };
    let Ok(filter) = EnvFilter::try_new(filter) else { return };
    let Ok(fd) = sys::dup_above(libc::STDERR_FILENO, 3) else { return };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_timer(time::uptime())
        .with_writer(Stderr((hooks.privatise)(fd)))
        .finish();
    let _first = tracing::subscriber::set_global_default(subscriber);
}

/// Says one line on stderr, whether or not messages are shown: for what ends the program.
pub fn say(line: &str) {
    let mut text = line.to_owned();
    text.push('\n');
    let _written = sys::write(libc::STDERR_FILENO, text.as_bytes());
}

#[derive(Clone, Copy, Debug)]
struct Stderr(RawFd);

impl io::Write for Stderr {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // What cannot be written is lost: the program must not notice.
        Ok(sys::write(self.0, buf).unwrap_or(buf.len()).max(1).min(buf.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
