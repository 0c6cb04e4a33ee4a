//! Disks made of the host's files: [`open`] makes a [`Disk`] of a raw image, a block device or a qcow2 image.
//!
//! * `file`: a file or block device of the host, opened once, with its lock.
//! * `raw`: its bytes are the disk's.
//! * `qcow2`: through the crate `imago`; only with the feature `qcow2`.

mod file;
mod lock;
#[cfg(feature = "qcow2")]
mod qcow2;
mod raw;

#[cfg(test)]
mod tests;

use file::HostFile;
use lkl_abi::Errno;
use lkl_ops::Disk;
use std::fmt;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an image is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// What its first bytes say: qcow2, or else raw.
    #[default]
    Auto,
    /// The bytes of the file are those of the disk.
    Raw,
    /// QEMU's format, versions 2 and 3.
    Qcow2,
}

/// How an image is opened.
#[derive(Clone, Copy, Debug)]
pub struct ImageOptions {
    /// Refuse to write. Even if not set a file that may not be written is opened so: ask [`Disk::read_only`].
    pub read_only: bool,
    /// What it is.
    pub format: Format,
    /// Size of a logical sector in bytes, 512 or 4096. `None`: what the host says of a block device; of an image 4096 if it has a GPT
    /// in such sectors, else 512.
    pub sector_size: Option<u32>,
    /// Moves a descriptor out of the way of a program that must not see it; answers its new number ([`crate::Hooks::privatise`]).
    pub privatise: fn(RawFd) -> RawFd,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self { read_only: false, format: Format::Auto, sector_size: None, privatise: |fd| fd }
    }
}

/// Why an image cannot be used. Shown as one line that begins with its path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageError {
    /// The file.
    pub path: PathBuf,
    /// The nearest number.
    pub errno: Errno,
    /// What is wrong.
    pub problem: String,
}

impl ImageError {
    fn new(path: &Path, errno: Errno) -> Self {
        let problem = match errno {
            Errno::EBUSY => "in use by another program".to_owned(),
            Errno::EISDIR => "expected a disk image, found a directory".to_owned(),
            Errno::ENOTBLK => "expected a disk image: a regular file or a block device".to_owned(),
            _ => errno.to_string(),
        };
        Self { path: path.to_owned(), errno, problem }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl std::error::Error for ImageError {}

/// Opens the image at `path`. As long as the answer lives an advisory lock is held, so that nobody else writes what is read or written
/// here: that of QEMU's tools on files, `flock` on block devices. Size and sectors are those found now.
///
/// # Errors
/// `EBUSY` if another program has it locked, or a block device is mounted; `EISDIR`, `ENOTBLK` for what is no image; `EINVAL` for another
/// size of sectors, or a qcow2 image that is damaged or needs what is not there; what the host answers to open (`ENOENT`, `EACCES`).
pub fn open(path: &Path, options: &ImageOptions) -> Result<Arc<dyn Disk>, ImageError> {
    let file = HostFile::open(path, options.read_only, options.privatise)?;
    let format = match options.format {
        Format::Auto if file.begins_with(0, b"QFI\xfb") => Format::Qcow2,
        Format::Auto => Format::Raw,
        given => given,
    };
    if let Some(size) = options.sector_size.filter(|size| !matches!(size, 512 | 4096)) {
        let problem = format!("sectors of {size} bytes, expected 512 or 4096");
        return Err(ImageError { path: path.to_owned(), errno: Errno::EINVAL, problem });
    }
    if format != Format::Qcow2 {
        let sector_size = options.sector_size.or(file.sector_size()).unwrap_or_else(|| {
            let gpt = |sector| file.begins_with(sector, b"EFI PART");
            if !gpt(512) && gpt(4096) {
                4096
            } else {
                512
            }
        });
        return Ok(Arc::new(raw::RawImage::new(file, sector_size)?));
    }
    open_qcow2(path, file, options)
}

#[cfg(feature = "qcow2")]
fn open_qcow2(_: &Path, file: HostFile, options: &ImageOptions) -> Result<Arc<dyn Disk>, ImageError> {
    Ok(Arc::new(qcow2::Qcow2Image::open(file, options)?))
}

#[cfg(not(feature = "qcow2"))]
fn open_qcow2(path: &Path, _: HostFile, _: &ImageOptions) -> Result<Arc<dyn Disk>, ImageError> {
    let problem = "qcow2 images are not supported here; convert it: qemu-img convert -O raw".to_owned();
    Err(ImageError { path: path.to_owned(), errno: Errno::EOPNOTSUPP, problem })
}

/// What a failed read, write or flush means to the kernel: the medium is full, or it is broken.
fn medium(e: rustix::io::Errno) -> Errno {
    match e {
        rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT | rustix::io::Errno::FBIG => Errno::ENOSPC,
        _ => Errno::EIO,
    }
}
