//! `lklfuse`: the file system of an image as a directory of the host, without root.
//!
//! * [`options`]: the command line, and `-o`.
//! * `fs`: the operations. `nodes`: the files that the host's kernel knows.
//!
//! The image has one user, the host's kernel, which therefore keeps pages and locks itself: what is locked here is seen by everybody who can see
//! the file. In the foreground or not, the tool's status tells whether it could be mounted.

mod fs;
mod nodes;
pub mod options;

use crate::cli::{reason, say, Failed, Outcome};
use crate::image::Image;
use fs::ImageFs;
use options::{Cli, Wanted};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const TOOL: &str = "lklfuse";
/// Threads that serve the host's kernel, at least and at most.
const THREADS: (usize, usize) = (2, 16);

/// `lklfuse`.
///
/// # Errors
/// How it failed.
pub fn run(cli: Cli) -> Outcome {
    let wanted = cli.wanted()?;
    if wanted.foreground || wanted.serves {
        return serve(&wanted);
    }
    // Nothing can be forked off once there are threads: the tool starts itself again, and waits until that one has mounted the image.
    let program = std::env::current_exe().map_err(|e| Failed::new(format_args!("/proc/self/exe: {}", reason(&e))))?;
    let mut command = Command::new(program);
    command.arg(options::SERVE).args(std::env::args_os().skip(1)).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|e| Failed::new(reason(&e)))?;
    let mut ready = [0; 1];
    let told = child.stdout.as_mut().map(|out| out.read(&mut ready));
    if matches!(told, Some(Ok(1))) {
        return Ok(());
    }
    // It has said why.
    let _ended = child.wait();
    Err(Failed::SAID)
}

/// Mounts the image, and serves it until it is unmounted.
fn serve(wanted: &Wanted) -> Outcome {
    let log = wanted.log.as_deref().map(open_log).transpose()?;
    if let Some(log) = log.as_ref().filter(|_| !wanted.serves) {
        rustix::stdio::dup2_stderr(log).map_err(|e| Failed::new(reason(&e.into())))?;
    }
    let _lock = wanted.lock.as_deref().map(lock).transpose()?;
    let image =
        Image::open(&wanted.image, &wanted.fs, wanted.read_only).or_else(|e| match wanted.may_be_read_only {
            // As upstream does: an image that may only be read is mounted so, unless rw was asked for.
            true if matches!(e.errno, lkl::Errno::EROFS | lkl::Errno::EACCES) => {
                say(TOOL, format_args!("{e}: mounted read-only"));
                Image::open(&wanted.image, &wanted.fs, true)
            }
            _ => Err(e),
        })?;
    let root = image.reopen()?;
    let read_only = image.read_only();
    let mut config = fuser::Config::default();
    config.mount_options = wanted.mount_options(read_only);
    config.acl = wanted.acl;
    let cpus = std::thread::available_parallelism().map_or(THREADS.0, usize::from);
    config.n_threads = Some(if wanted.single { 1 } else { cpus.clamp(THREADS.0, THREADS.1) });
    let place = wanted.mountpoint.display();
    let filesystem = ImageFs::new(root, wanted.checked)?;
    let session = fuser::Session::new(filesystem, &wanted.mountpoint, &config)
        .map_err(|e| Failed::new(format_args!("{place}: cannot be mounted: {}", reason(&e))))?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|e| Failed::new(reason(&e)))?;
    let stop = signals.handle();
    let mountpoint = wanted.mountpoint.clone();
    let listener = std::thread::spawn(move || {
        for _ in signals.forever() {
            leave(&mountpoint);
        }
    });
    if wanted.serves {
        detach(log).map_err(|e| Failed::new(reason(&e)))?;
    }
    let served = session.run();
    stop.close();
    let _ended = listener.join();
    // Whatever happened to the connection, the image is made whole.
    image.close()?;
    served.map_err(|e| Failed::new(format_args!("{place}: {}", reason(&e))))
}

/// Takes the mount away from its place. It is served until the last file that is open is closed.
fn leave(mountpoint: &Path) {
    if rustix::mount::unmount(mountpoint, rustix::mount::UnmountFlags::DETACH).is_err() {
        // Not root: the program that may do it for others.
        let mut helper = Command::new("fusermount3");
        let _status = helper.args(["-u", "-z", "--"]).arg(mountpoint).stderr(Stdio::null()).status();
    }
}

/// Says that the image is mounted, and leaves the terminal.
fn detach(log: Option<File>) -> io::Result<()> {
    io::stdout().write_all(b"\n")?;
    io::stdout().flush()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    match log {
        Some(log) => rustix::stdio::dup2_stderr(&log)?,
        None => rustix::stdio::dup2_stderr(&null)?,
    }
    // Fails only where it has happened already.
    let _session = rustix::process::setsid();
    rustix::process::chdir("/")?;
    Ok(())
}

fn open_log(path: &Path) -> Result<File, Failed> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|e| Failed::new(format_args!("{}: {}", path.display(), reason(&e))))
}

/// Locks a file for as long as the answer lives, so that others who know of it keep away.
fn lock(path: &Path) -> Result<File, Failed> {
    let fail = |problem: &str| Failed::new(format_args!("{}: {problem}", path.display()));
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = opened.map_err(|e| fail(&reason(&e)))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(fail("locked by another program")),
        Err(e) => Err(fail(&reason(&e.into()))),
    }
}
