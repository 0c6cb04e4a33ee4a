//! `fs2tar`: all that is in a file system, as a tar archive that GNU tar and bsdtar take: POSIX (pax) with the keywords that both know for
//! extended attributes, ACLs and labels (`SCHILY.*`, `RHT.*`), and GNU's for files with holes (version 1.0).

mod entry;
mod holes;

use crate::cli::{reason, say, Failed, Outcome, DEPTH_MAX, EXIT_STATUS};
use crate::image::{Image, ImageArgs};
use crate::progress::Progress;
use clap::Parser;
use entry::Entry;
use lkl::abi::fcntl::{O_NOATIME, O_NOFOLLOW};
use lkl::abi::Errno;
use lkl::{Dir, Error, FileType};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

const TOOL: &str = "fs2tar";
const SELINUX: &str = "security.selinux";
/// Bytes that are written at once.
const BUFFER: usize = 1 << 20;

/// Makes a tar archive of the file system of a disk image
///
/// The archive has owners, permissions, times to the nanosecond, hard links, devices, FIFOs, extended attributes, ACLs, SELinux labels, and
/// files with holes; sockets cannot be in an archive and are left out. GNU tar restores all of it with
/// --numeric-owner --xattrs --xattrs-include='*' --acls --selinux, bsdtar with -p --numeric-owner.
#[derive(Debug, Parser)]
#[command(name = "fs2tar", version, after_help = EXIT_STATUS)]
pub struct Cli {
    #[command(flatten)]
    fs: ImageArgs,

    /// Write the SELinux labels of all files into FILE, a path and its label on each line
    #[arg(short = 's', long = "selinux-contexts", value_name = "FILE")]
    labels: Option<PathBuf>,

    /// The image
    #[arg(value_name = "IMAGE")]
    image: PathBuf,

    /// The archive; - for standard output
    #[arg(value_name = "TAR")]
    tar: PathBuf,
}

/// Where the archive goes.
enum Output {
    Stdout(io::Stdout),
    File(File),
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(data),
            Self::File(out) => out.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(out) => out.flush(),
        }
    }
}

/// `fs2tar`.
///
/// # Errors
/// How it failed.
pub fn run(args: Cli) -> Outcome {
    let image = Image::open(&args.image, &args.fs, true)?;
    let stdout = args.tar == Path::new("-");
    let fail = |path: &Path| {
        let path = path.display().to_string();
        move |e: io::Error| Failed::new(format_args!("{path}: {}", reason(&e)))
    };
    let name = if stdout { Path::new("standard output") } else { &args.tar };
    let output = match stdout {
        true => Output::Stdout(io::stdout()),
        false => Output::File(File::create(&args.tar).map_err(fail(name))?),
    };
    let labels = match &args.labels {
        Some(path) => Some(BufWriter::new(File::create(path).map_err(fail(path))?)),
        None => None,
    };
    let mut archiver = Archiver {
        out: tar::Builder::new(BufWriter::with_capacity(BUFFER, output)),
        labels,
        links: HashMap::new(),
        seen: HashSet::new(),
        progress: Progress::new(false),
        failed: false,
    };
    let written = archiver.all(&image).map_err(|stop| match stop {
        Stop::Archive(e) => fail(name)(e),
        Stop::Labels(e) => fail(args.labels.as_deref().unwrap_or(name))(e),
    });
    let failed = archiver.failed;
    drop(archiver);
    // What is no file (a tape, a pipe) is left alone.
    let file = std::fs::symlink_metadata(&args.tar).is_ok_and(|m| m.is_file());
    if written.is_err() && !stdout && file {
        // Nobody takes half an archive for a whole one.
        if std::fs::remove_file(&args.tar).is_ok() {
            say(TOOL, format_args!("{}: removed, for it is not whole", args.tar.display()));
        }
    }
    written?;
    image.close()?;
    match failed {
        true => Err(Failed::SAID),
        false => Ok(()),
    }
}

/// Why the archive cannot be finished.
enum Stop {
    /// It cannot be written.
    Archive(io::Error),
    /// The list of labels cannot be written.
    Labels(io::Error),
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        Self::Archive(e)
    }
}

struct Archiver {
    out: tar::Builder<BufWriter<Output>>,
    labels: Option<BufWriter<File>>,
    /// Files with several names that are in the archive: under which.
    links: HashMap<u64, OsString>,
    /// Directories that are in the archive.
    seen: HashSet<u64>,
    progress: Progress,
    failed: bool,
}

impl Archiver {
    fn all(&mut self, root: &Dir) -> Result<(), Stop> {
        self.add(root, OsStr::new("."), OsStr::new("."), 0)?;
        self.out.finish()?;
        self.out.get_mut().flush()?;
        match &mut self.labels {
            Some(labels) => labels.flush().map_err(Stop::Labels),
            None => Ok(()),
        }
    }

    fn skip(&mut self, e: &Error) {
        self.failed = true;
        self.progress.say(&format!("{TOOL}: {e}"));
    }

    /// Adds a file and what is in it. One that cannot be read is told and left out.
    fn add(&mut self, dir: &Dir, name: &OsStr, path: &OsStr, depth: usize) -> Result<(), Stop> {
        let mut entry = match Entry::read(dir, name, path) {
            Ok(entry) => entry,
            Err(e) => {
                self.skip(&e);
                return Ok(());
            }
        };
        let place = if name == "." { dir.path().to_owned() } else { dir.path().join(name) };
        let problem = |errno, detail: &str| Error { errno, path: place.clone(), detail: Some(detail.into()) };
        self.label(&entry)?;
        let meta = entry.meta;
        match meta.file_type() {
            Some(FileType::Directory) => {
                if !self.seen.insert(meta.ino) || depth >= DEPTH_MAX {
                    self.skip(&problem(
                        Errno::EUCLEAN,
                        "the file system is damaged here: a directory comes twice, or is too deep",
                    ));
                    return Ok(());
                }
                entry.append(&mut self.out, io::empty(), 0)?;
                self.progress.file();
                return self.content(dir, name, path, depth);
            }
            Some(FileType::Socket) => {
                self.progress.say(&format!("{TOOL}: {}: a socket, which an archive cannot have", place.display()));
                return Ok(());
            }
            None => {
                self.skip(&problem(Errno::EUCLEAN, "the file system is damaged here: no such type of file"));
                return Ok(());
            }
            _ => {}
        }
        if meta.nlink > 1 {
            if let Some(first) = self.links.get(&meta.ino) {
                entry.hard_link(first.clone());
                return entry.append(&mut self.out, io::empty(), 0);
            }
        }
        if meta.file_type() == Some(FileType::Regular) {
            if !self.regular(dir, name, entry)? {
                return Ok(());
            }
        } else {
            entry.append(&mut self.out, io::empty(), 0)?;
        }
        if meta.nlink > 1 {
            self.links.insert(meta.ino, path.to_owned());
        }
        self.progress.file();
        Ok(())
    }

    /// Adds a regular file; answers whether it could be read.
    fn regular(&mut self, dir: &Dir, name: &OsStr, mut entry: Entry) -> Result<bool, Stop> {
        let opened = dir.open_with(name, O_NOFOLLOW | O_NOATIME, 0);
        let ranges = opened.and_then(|file| holes::ranges(&file, &entry.meta).map(|ranges| (file, ranges)));
        let (file, ranges) = match ranges {
            Ok(both) => both,
            Err(e) => {
                self.skip(&e);
                return Ok(false);
            }
        };
        let mut content = holes::Content::new(&file, ranges, entry.meta.size, &self.progress);
        let size = match content.map() {
            Some(_) => entry.sparse(content.len()),
            None => entry.meta.size,
        };
        entry.append(&mut self.out, &mut content, size)?;
        if let Some(e) = content.error() {
            let detail = Some(format!("{}: the rest of it is zeroes in the archive", e.errno));
            self.skip(&Error { detail, ..e });
        }
        Ok(true)
    }

    fn content(&mut self, dir: &Dir, name: &OsStr, path: &OsStr, depth: usize) -> Result<(), Stop> {
        let opened = if name == "." { dir.reopen() } else { dir.open_dir_nofollow(name) };
        let names = opened.and_then(|dir| {
            let names: Result<Vec<_>, _> = dir.read_dir()?.map(|entry| entry.map(|e| e.name)).collect();
            names.map(|names| (dir, names))
        });
        let (dir, mut names) = match names {
            Ok(both) => both,
            Err(e) => {
                self.skip(&e);
                return Ok(());
            }
        };
        // The same file system always makes the same archive.
        names.sort_unstable();
        for name in names {
            let mut below = path.as_bytes().to_owned();
            below.push(b'/');
            below.extend(name.as_bytes());
            self.add(&dir, &name, &OsString::from_vec(below), depth + 1)?;
        }
        Ok(())
    }

    /// Writes the line of a file that has a label.
    fn label(&mut self, entry: &Entry) -> Result<(), Stop> {
        let (Some(labels), Some(label)) = (&mut self.labels, entry.xattr(SELINUX)) else { return Ok(()) };
        // Without the dot that paths begin with.
        let path = entry.path.as_bytes().get(1..).filter(|p| !p.is_empty()).unwrap_or(b"/");
        let label = label.strip_suffix(&[0]).unwrap_or(label);
        labels.write_all(&[path, b" ", label, b"\n"].concat()).map_err(Stop::Labels)
    }
}
