//! `lklfs`: a look into an image: `ls`, `cat`, `stat`, `df`, and `check`, which reads all that is in it.

mod check;
mod show;

use crate::cli::{reason, say, Failed, Outcome, EXIT_STATUS};
use crate::image::{Image, ImageArgs};
use clap::{Parser, Subcommand};
use lkl::abi::fcntl::O_NONBLOCK;
use lkl::{Dir, Error, FileType};
use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const TOOL: &str = "lklfs";
/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// Looks into the file system of a disk image
#[derive(Debug, Parser)]
#[command(name = "lklfs", version, after_help = EXIT_STATUS)]
pub struct Cli {
    #[command(flatten)]
    fs: ImageArgs,

    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the files in directories
    Ls {
        /// With types, permissions, links, owners, sizes and times
        #[arg(short)]
        long: bool,
        /// What is in directories too
        #[arg(short = 'R')]
        recursive: bool,
        /// The image
        image: PathBuf,
        /// Files and directories
        #[arg(default_value = "/", value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Write the content of files to standard output
    Cat {
        /// The image
        image: PathBuf,
        /// Files
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Show all that is known of files, or of symbolic links themselves
    Stat {
        /// The image
        image: PathBuf,
        /// Files and directories
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Show how much room there is
    Df {
        /// The image
        image: PathBuf,
    },
    /// Read every file, name and attribute, and tell what is damaged; nothing is repaired
    Check {
        /// The image
        image: PathBuf,
        /// Where to begin
        #[arg(default_value = "/", value_name = "PATH")]
        path: PathBuf,
    },
}

/// What stops a command.
enum Stop {
    /// Standard output.
    Output(io::Error),
    /// It is about a file of the image.
    File(Error),
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        Self::Output(e)
    }
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Self::File(e)
    }
}

type Done<T> = Result<T, Stop>;

/// `lklfs`.
///
/// # Errors
/// How it failed.
pub fn run(args: Cli) -> Outcome {
    let path = match &args.what {
        What::Ls { image, .. }
        | What::Cat { image, .. }
        | What::Stat { image, .. }
        | What::Df { image }
        | What::Check { image, .. } => image,
    };
    let image = Image::open(path, &args.fs, true)?;
    let mut out = BufWriter::with_capacity(CHUNK, io::stdout().lock());
    let mut failed = false;
    let mut each = |paths: &[PathBuf], show: &mut dyn FnMut(&Path) -> Done<()>| -> Outcome {
        for path in paths {
            match show(path) {
                Ok(()) => {}
                Err(Stop::File(e)) => {
                    say(TOOL, e);
                    failed = true;
                }
                Err(Stop::Output(e)) => return Err(output(&e)),
            }
        }
        Ok(())
    };
    match &args.what {
        What::Ls { long, recursive, paths, .. } => {
            let titles = paths.len() > 1 || *recursive;
            let mut list = show::List { long: *long, recursive: *recursive, titles, failed: false };
            each(paths, &mut |path| list.show(&mut out, &image, path))?;
            failed |= list.failed;
        }
        What::Cat { paths, .. } => each(paths, &mut |path| cat(&mut out, &image, path))?,
        What::Stat { paths, .. } => each(paths, &mut |path| show::stat(&mut out, &image, path))?,
        What::Df { .. } => show::df(&mut out, &image).or_else(|stop| told(stop, &mut failed))?,
        What::Check { path, .. } => {
            let sound = check::run(&mut out, &image, path).or_else(|stop| told(stop, &mut failed).map(|()| false))?;
            failed |= !sound;
        }
    }
    out.flush().map_err(|e| output(&e))?;
    image.close()?;
    match failed {
        true => Err(Failed::SAID),
        false => Ok(()),
    }
}

fn told(stop: Stop, failed: &mut bool) -> Outcome {
    match stop {
        Stop::File(e) => {
            say(TOOL, e);
            *failed = true;
            Ok(())
        }
        Stop::Output(e) => Err(output(&e)),
    }
}

/// Standard output fails. Whoever closed a pipe has seen enough and needs no message.
fn output(e: &io::Error) -> Failed {
    match e.kind() {
        io::ErrorKind::BrokenPipe => Failed::SAID,
        _ => Failed::new(format_args!("standard output: {}", reason(e))),
    }
}

fn cat(out: &mut impl Write, root: &Dir, path: &Path) -> Done<()> {
    // Without the flag a FIFO would wait here for its other end.
    let file = root.open_with(path, O_NONBLOCK, 0)?;
    let errno = match file.metadata()?.file_type() {
        Some(FileType::Regular) => None,
        Some(FileType::Directory) => Some(lkl::Errno::EISDIR),
        _ => Some(lkl::Errno::ENODEV),
    };
    if let Some(errno) = errno {
        return Err(Error { errno, path: path.to_owned(), detail: None }.into());
    }
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let n = file.read_full_at(&mut buffer, at)?;
        out.write_all(buffer.get(..n).unwrap_or_default())?;
        at += n as u64;
        if n < buffer.len() {
            return Ok(());
        }
    }
}

/// The names in a directory, in order.
fn names(dir: &Dir) -> Result<Vec<OsString>, Error> {
    let mut names = dir.read_dir()?.map(|entry| entry.map(|e| e.name)).collect::<Result<Vec<_>, _>>()?;
    names.sort_unstable();
    Ok(names)
}

/// The letter of a type in a long list.
fn letter(kind: Option<FileType>) -> char {
    match kind {
        Some(FileType::Regular) => '-',
        Some(FileType::Directory) => 'd',
        Some(FileType::Symlink) => 'l',
        Some(FileType::CharDevice) => 'c',
        Some(FileType::BlockDevice) => 'b',
        Some(FileType::Fifo) => 'p',
        Some(FileType::Socket) => 's',
        None => '?',
    }
}

/// A name as it is printed: control characters would move a terminal's cursor.
fn shown(name: &OsStr) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let control = |b: &u8| *b < b' ' || *b == 0x7f;
    let plain = !name.as_bytes().iter().any(control);
    if plain {
        return name.as_bytes().to_owned();
    }
    name.as_bytes()
        .iter()
        .flat_map(|b| if control(b) { format!("\\x{b:02x}").into_bytes() } else { vec![*b] })
        .collect()
}
