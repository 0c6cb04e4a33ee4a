//! Command lines, messages and exit codes.
//!
//! 0: done. 1: an error, which was told on standard error, with the path and the cause. 64: the command line is wrong.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// The status of a command line that is wrong (`EX_USAGE` of `sysexits.h`).
pub const USAGE: u8 = 64;
/// What a first argument is that asks for a manual page (`man`), or completions for a shell.
const GENERATE: &str = "--generate";
/// Memory for the tool's own stack, in bytes: enough for [`DEPTH_MAX`].
const STACK: usize = 256 << 20;
/// The kernel's own descriptors are below this number.
const DESCRIPTORS: u64 = 4096;
/// How deep a tree of directories may be.
pub const DEPTH_MAX: usize = 4096;

/// What all manual pages and `--help` texts end with.
pub const EXIT_STATUS: &str = "Exit status: 0 if all was done; 1 after an error, which names the file and the cause; 64 if the command line is wrong.";

/// Reads the command line and runs the tool.
pub fn main<T: Parser + CommandFactory + 'static>(run: fn(T) -> Outcome) -> ExitCode {
    widen_descriptors();
    // Trees of files are walked by recursion.
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || on_thread(run));
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        _ => ExitCode::FAILURE,
    }
}

/// Has the host make room for the high numbers that the kernel's own descriptors get, while there is one thread: with more of them that
/// waits until all CPUs have passed through the host's scheduler, some 10 ms.
fn widen_descriptors() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    if let Ok(high) = i32::try_from(limit.min(DESCRIPTORS).saturating_sub(1)) {
        // Closed again; the room stays. Without it all works, later.
        let _room = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), high);
    }
}

/// Has the program been called by a name with this in it?
pub fn called(name: &str) -> bool {
    let called = std::env::args_os().next().unwrap_or_default();
    Path::new(&called).file_name().is_some_and(|n| n.to_string_lossy().contains(name))
}

fn on_thread<T: Parser + CommandFactory + 'static>(run: fn(T) -> Outcome) -> ExitCode {
    let mut command = T::command();
    let tool = command.get_name().to_owned();
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|a| a == GENERATE) {
        return generate(command, args.get(2).and_then(|a| a.to_str()));
    }
    let parsed = command.try_get_matches_from_mut(args).and_then(|matches| T::from_arg_matches(&matches));
    let code = match parsed.map_err(|e| e.format(&mut command)) {
        Ok(parsed) => match run(parsed) {
            Ok(()) => 0,
            Err(failed) => {
                if let Some(line) = &failed.line {
                    say(&tool, line);
                }
                failed.code
            }
        },
        Err(e) => {
            let _shown = e.print();
            match e.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
                _ => USAGE,
            }
        }
    };
    ExitCode::from(code)
}

/// What the host says, without the number.
pub fn reason(e: &io::Error) -> String {
    e.raw_os_error().map_or_else(|| e.to_string(), |n| lkl::Errno(n).message().to_owned())
}

/// Says one line on standard error.
pub fn say(tool: &str, line: impl fmt::Display) {
    let _said = writeln!(io::stderr(), "{tool}: {line}");
}

/// How a tool ends.
pub type Outcome = Result<(), Failed>;

/// It did not do all that it was asked for.
#[derive(Debug)]
pub struct Failed {
    /// What to say; `None` if all was said.
    pub line: Option<String>,
    /// The exit status.
    pub code: u8,
}

impl Failed {
    /// Errors have been told already.
    pub const SAID: Self = Self { line: None, code: 1 };

    /// The command line asks for something that cannot be.
    pub fn usage(line: impl fmt::Display) -> Self {
        Self { line: Some(line.to_string()), code: USAGE }
    }

    /// Something failed.
    pub fn new(line: impl fmt::Display) -> Self {
        Self { line: Some(line.to_string()), code: 1 }
    }
}

impl From<lkl::Error> for Failed {
    fn from(e: lkl::Error) -> Self {
        Self::new(e)
    }
}

/// Writes the manual page, or completions.
fn generate(mut command: clap::Command, what: Option<&str>) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut out = Vec::new();
    match what.map(|what| (what, Shell::from_str(what, true))) {
        Some(("man", _)) => {
            if clap_mangen::Man::new(command).render(&mut out).is_err() {
                return ExitCode::FAILURE;
            }
        }
        Some((_, Ok(shell))) => clap_complete::generate(shell, &mut command, name, &mut out),
        _ => {
            say(&name, format_args!("{GENERATE}: expected man, bash, elvish, fish, powershell or zsh"));
            return ExitCode::from(USAGE);
        }
    }
    match io::stdout().write_all(&out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A number of bytes: `100`, `64K`, `10M`, `1G`.
///
/// # Errors
/// What was expected.
pub fn bytes(text: &str) -> Result<u64, String> {
    let expected = || "expected a number of bytes such as 64M".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(expected()),
    };
    let number: u64 = digits.parse().map_err(|_| expected())?;
    number.checked_mul(1 << shift).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("100"), Ok(100));
        assert_eq!(bytes("64M"), Ok(64 << 20));
        assert_eq!(bytes("2g"), Ok(2 << 30));
        for wrong in ["", "M", "1x", "-1", "1.5M", "99999999999T", "1MM"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
