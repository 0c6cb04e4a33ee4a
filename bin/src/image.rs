//! An image that is mounted in a kernel of the tool's own.

use crate::cli;
use clap::Args;
use lkl::abi::mount::MS_RDONLY;
use lkl::abi::Errno;
use lkl::{Disk, ImageOptions, Kernel, Mount};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use tracing_subscriber::filter::LevelFilter;

/// Which file system of an image, and how it is mounted.
#[derive(Clone, Debug, Args)]
pub struct ImageArgs {
    /// Type of the file system (ext2, ext3, ext4); found out if it is not given
    #[arg(short = 't', long = "filesystem-type", value_name = "TYPE")]
    pub kind: Option<String>,

    /// Number of the partition, from 1 on, by MBR or GPT; 0 or none: the whole image
    #[arg(short = 'P', long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub partition: u32,

    /// Show the kernel's messages
    #[arg(short = 'p', long = "enable-printk")]
    pub printk: bool,

    /// Memory for what is cached of the file system, in bytes (K, M, G)
    #[arg(short = 'm', long = "memory", visible_alias = "mem", value_name = "SIZE", default_value = "64M", value_parser = cli::bytes)]
    pub memory: u64,

    /// Options for the mount, as in mount -o
    #[arg(long, value_name = "OPTIONS", default_value = "", hide_default_value = true)]
    pub options: String,
}

/// The image, mounted.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    read_only: bool,
    fs: Mount,
    /// After the mount, which needs it.
    _disk: Disk,
}

impl Image {
    /// Opens and mounts it. The kernel's warnings are shown, or all that it says.
    ///
    /// # Errors
    /// With the image's path.
    pub fn open(path: &Path, args: &ImageArgs, read_only: bool) -> Result<Self, lkl::Error> {
        show_messages(args.printk);
        let kernel = Kernel::builder().memory(args.memory).boot()?;
        let disk = kernel.attach(path, &ImageOptions { read_only, ..ImageOptions::default() })?;
        if disk.read_only() && !read_only {
            let detail = "it may not be written".to_owned();
            return Err(lkl::Error { errno: Errno::EROFS, path: path.to_owned(), detail: Some(detail) });
        }
        let device = disk.device(Some(args.partition).filter(|n| *n > 0));
        let flags = if read_only { MS_RDONLY } else { 0 };
        let kind = args.kind.as_deref().unwrap_or_default();
        let fs = kernel.mount(&device, kind, flags, &args.options);
        let fs = fs.map_err(|e| lkl::Error { errno: e.errno, path: path.to_owned(), detail: explain(&e, args) })?;
        Ok(Self { path: path.to_owned(), read_only, fs, _disk: disk })
    }

    /// The image file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Is it mounted only to be read?
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Unmounts it: all that was written is on the image, which is clean.
    ///
    /// # Errors
    /// With the image's path.
    pub fn close(self) -> Result<(), lkl::Error> {
        let path = self.path;
        self.fs.umount().map_err(|e| lkl::Error { path, ..e })
    }
}

/// Shows the kernel's messages on standard error, or only its errors.
fn show_messages(all: bool) {
    let level = if all { LevelFilter::INFO } else { LevelFilter::ERROR };
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    let _first = lines.with_ansi(false).with_target(false).without_time().try_init();
}

/// What a failed mount means, where the number does not say it.
fn explain(e: &lkl::Error, args: &ImageArgs) -> Option<String> {
    let part = match args.partition {
        0 => "the image".to_owned(),
        n => format!("partition {n}"),
    };
    let kind = args.kind.as_deref().unwrap_or_default();
    Some(match e.errno {
        Errno::ENODEV => format!("unknown type of file system: {kind}"),
        Errno::ENOENT | Errno::ENXIO if args.partition > 0 => format!("there is no {part}"),
        Errno::EINVAL if kind.is_empty() => {
            format!("no file system that is known here on {part}, or it cannot be mounted (-p says more)")
        }
        Errno::EINVAL => format!("no file system of type {kind} on {part}, or it cannot be mounted (-p says more)"),
        Errno::EUCLEAN => format!("the file system on {part} is corrupt"),
        errno => format!("mounting {part}: {errno}"),
    })
}

impl Deref for Image {
    type Target = Mount;

    fn deref(&self) -> &Mount {
        &self.fs
    }
}
