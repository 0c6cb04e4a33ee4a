//! A file or a block device of the host.

use super::lock::{self, Use};
use super::{medium, ImageError};
use lkl_abi::{Errno, Result};
use rustix::fs::{FallocateFlags, FileType, Mode, OFlags, SeekFrom};
use std::io::IoSlice;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// Most pieces of one write (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// A file that is open, and locked.
#[derive(Debug)]
pub(super) struct HostFile {
    fd: OwnedFd,
    path: PathBuf,
    read_only: bool,
    block_device: bool,
}

impl HostFile {
    /// Opens `path`, read-only if asked for or if it may not be written.
    pub(super) fn open(
        path: &Path,
        read_only: bool,
        privatise: fn(RawFd) -> RawFd,
    ) -> std::result::Result<Self, ImageError> {
        Self::try_open(path, read_only, privatise).map_err(|e| ImageError::new(path, e))
    }

    fn try_open(path: &Path, read_only: bool, privatise: fn(RawFd) -> RawFd) -> Result<Self> {
        // A block device that is mounted is busy if EXCL is given, which says nothing else without CREATE.
        let excl = rustix::fs::stat(path).map_err(errno).map(|stat| match FileType::from_raw_mode(stat.st_mode) {
            FileType::BlockDevice if !read_only => OFlags::EXCL,
            _ => OFlags::empty(),
        })?;
        // Without NONBLOCK a FIFO would wait here for its other end.
        let flags = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK | excl;
        let open = |access| rustix::fs::open(path, flags | access, Mode::empty()).map_err(errno);
        let (fd, read_only) = match (read_only, open(if read_only { OFlags::RDONLY } else { OFlags::RDWR })) {
            (false, Err(Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::ETXTBSY)) => (open(OFlags::RDONLY)?, true),
            (_, opened) => (opened?, read_only),
        };
        let block_device = match FileType::from_raw_mode(rustix::fs::fstat(&fd).map_err(errno)?.st_mode) {
            FileType::RegularFile => false,
            FileType::BlockDevice => true,
            FileType::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::ENOTBLK),
        };
        let fd = privatise(fd.into_raw_fd());
        // SAFETY: the number was ours, or is what ours has become; nobody else closes it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        lock::take(&fd, if read_only { Use::Reads } else { Use::Writes }, block_device)?;
        Ok(Self { fd, path: path.to_owned(), read_only, block_device })
    }

    /// Where it was opened.
    #[cfg_attr(not(feature = "qcow2"), expect(dead_code, reason = "raw images name no other files"))]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error of this file.
    pub(super) fn error(&self, errno: Errno) -> ImageError {
        ImageError::new(&self.path, errno)
    }

    pub(super) fn read_only(&self) -> bool {
        self.read_only
    }

    /// Its length now, in bytes.
    pub(super) fn size(&self) -> Result<u64> {
        if self.block_device {
            return rustix::fs::seek(&self.fd, SeekFrom::End(0)).map_err(medium);
        }
        let stat = rustix::fs::fstat(&self.fd).map_err(medium)?;
        u64::try_from(stat.st_size).map_err(|_| Errno::EIO)
    }

    /// Size of a logical sector of a block device.
    pub(super) fn sector_size(&self) -> Option<u32> {
        if !self.block_device {
            return None;
        }
        rustix::fs::ioctl_blksszget(&self.fd).ok().filter(|size| matches!(size, 512 | 4096))
    }

    /// Do these bytes lie at `offset`?
    pub(super) fn begins_with(&self, offset: u64, bytes: &[u8]) -> bool {
        let mut there = vec![0; bytes.len()];
        self.read(&mut there, offset) == Ok(bytes.len()) && there == bytes
    }

    /// Fills `buf` from `offset`; less only at the end of the file.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(&self.fd, rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(medium(e)),
            }
        }
        Ok(done)
    }

    /// Writes all of the pieces, one after the other, at `offset`.
    pub(super) fn write(&self, pieces: &mut [IoSlice<'_>], mut offset: u64) -> Result<()> {
        let mut left = pieces;
        // Empty pieces in front do not count as written.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let some = left.get(..PIECES_MAX).unwrap_or(left);
            match rustix::io::pwritev(&self.fd, some, offset) {
                Ok(0) => return Err(Errno::EIO),
                Ok(n) => {
                    IoSlice::advance_slices(&mut left, n);
                    offset = offset.saturating_add(n as u64);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(medium(e)),
            }
        }
        Ok(())
    }

    /// Gives the space of a range back to the host: it reads as zeroes. `EOPNOTSUPP` if the host cannot.
    pub(super) fn discard(&self, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(&self.fd, hole, offset, len)) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Err(Errno::EOPNOTSUPP),
            other => other.map_err(medium),
        }
    }

    /// Returns when what was written is durable.
    pub(super) fn sync(&self) -> Result<()> {
        if self.read_only {
            return Ok(());
        }
        rustix::fs::fdatasync(&self.fd).map_err(medium)
    }

    /// Sets the length in bytes.
    #[cfg_attr(not(feature = "qcow2"), expect(dead_code, reason = "raw images keep their size"))]
    pub(super) fn set_size(&self, size: u64) -> Result<()> {
        rustix::fs::ftruncate(&self.fd, size).map_err(medium)
    }
}

fn errno(e: rustix::io::Errno) -> Errno {
    Errno(e.raw_os_error())
}
