//! `cptofs` and `cpfromfs`: files into an image, and out of it, as `cp -a` copies them.

mod ahead;
mod engine;
mod pieces;
mod sources;

use crate::cli::{Failed, Outcome, EXIT_STATUS};
use crate::image::{Image, ImageArgs};
use crate::side::host::HostDir;
use crate::side::Side;
use clap::Parser;
use engine::{Copier, Options};
use lkl::abi::Errno;
use sources::Source;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What `--help` says of sources.
const SOURCES: &str = "\
A source is copied into the directory DIRECTORY, under its own name, with its owner, permissions, times to the nanosecond, hard links,
devices, FIFOs, sockets, extended attributes (ACLs and labels too) and holes. Of a source that ends in /. , and of / itself, it is what is in
it that is copied. The last part of a source may be a pattern (*, ?, [a-z]; a leading dot is matched too).

A file that is there already is replaced; one that could not be written whole is removed.";

/// Copies files into the file system of a disk image
#[derive(Debug, Parser)]
#[command(name = "cptofs", version, after_help = EXIT_STATUS, after_long_help = format!("{SOURCES}\n\n{EXIT_STATUS}"))]
pub struct ToFs {
    #[command(flatten)]
    common: Common,

    /// Owner of all files in the image, by number; that of each source if not given
    #[arg(short, long, value_name = "UID")]
    owner: Option<u32>,

    /// Group of all files in the image, by number; that of each source if not given
    #[arg(short, long, value_name = "GID")]
    group: Option<u32>,

    /// SELinux label of all files that are copied (security.selinux)
    #[arg(short, long, value_name = "LABEL")]
    selinux: Option<OsString>,
}

/// Copies files out of the file system of a disk image
#[derive(Debug, Parser)]
#[command(name = "cpfromfs", version, after_help = EXIT_STATUS, after_long_help = format!("{SOURCES}\n\n{EXIT_STATUS}"))]
pub struct FromFs {
    #[command(flatten)]
    common: Common,

    /// Owner of all files that are made, by number; that of each source, if the caller may set it, if not given
    #[arg(short, long, value_name = "UID")]
    owner: Option<u32>,

    /// Group of all files that are made, by number; that of each source, if the caller may set it, if not given
    #[arg(short, long, value_name = "GID")]
    group: Option<u32>,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The image
    #[arg(short = 'i', long = "filesystem-image", value_name = "IMAGE")]
    image: PathBuf,

    #[command(flatten)]
    fs: ImageArgs,

    /// What is copied
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<PathBuf>,

    /// The directory that it is copied into
    #[arg(required = true, value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// `cptofs`.
///
/// # Errors
/// How it failed.
pub fn to_fs(args: ToFs) -> Outcome {
    let options = Options {
        tool: "cptofs",
        owner: args.owner,
        group: args.group,
        label: args.selinux,
        // Inside the image the caller may do everything.
        privileged: true,
        tree: false,
    };
    // Found before the image is opened: a source that is missing changes nothing.
    let host = HostDir::open_path(Path::new("."))?;
    let sources = sources::find(&host, &args.common.sources, options.tool)?;
    let image = Image::open(&args.common.image, &args.common.fs, false)?;
    let copied = copy(&host, sources, &**image, &args.common.directory, options);
    // An error of the copy is told before one of the end.
    let closed = image.close().map_err(Failed::from);
    copied.and(closed)
}

/// `cpfromfs`.
///
/// # Errors
/// How it failed.
pub fn from_fs(args: FromFs) -> Outcome {
    let options = Options {
        tool: "cpfromfs",
        owner: args.owner,
        group: args.group,
        label: None,
        privileged: rustix::process::geteuid().is_root(),
        tree: true,
    };
    let host = HostDir::open_path(Path::new("."))?;
    // Files get their own permissions when they are made.
    rustix::process::umask(rustix::fs::Mode::empty());
    let image = Image::open(&args.common.image, &args.common.fs, true)?;
    let sources = sources::find(&**image, &args.common.sources, options.tool)?;
    copy(&**image, sources, &host, &args.common.directory, options)?;
    Ok(image.close()?)
}

fn copy<S: Side, T: Side>(from: &S, sources: Vec<Source<S>>, to: &T, directory: &Path, options: Options) -> Outcome {
    let to = to.open_dir_at(directory).map_err(|e| match e.errno {
        Errno::ENOENT | Errno::ENOTDIR => Failed::new(format_args!("{e} (the last argument is a directory)")),
        _ => Failed::from(e),
    })?;
    let mut copier = Copier::new(&to, options);
    for source in &sources {
        copier.source(from, source);
    }
    copier.finish()
}
