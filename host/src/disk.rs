//! Disks made of the host's files: [`ImageFile`] is a [`Disk`] over a raw image or a block device.

#[cfg(test)]
mod tests;

use lkl_abi::Errno;
use lkl_ops::disk::check_range;
use lkl_ops::Disk;
use rustix::fs::{FallocateFlags, FileType, FlockOperation, Mode, OFlags, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::Path;

/// A raw disk image, or a block device of the host.
///
/// While it is open it holds an advisory lock (`flock`): shared if it is read-only, exclusive if not, so that two writers, or a writer
/// and a reader, of this library do not work on one image. Size and sectors are those found when it was opened.
pub struct ImageFile {
    fd: OwnedFd,
    size: u64,
    sector_size: u32,
    read_only: bool,
}

impl ImageFile {
    /// Opens the image at `path`, with logical sectors of `sector_size` bytes (512 or 4096). With `read_only` false it is still
    /// opened read-only if the file may not be written or lies on a file system mounted so: ask [`Disk::read_only`].
    ///
    /// # Errors
    /// What the host answers to open (`ENOENT`, `EACCES`, ...); `EBUSY` if another program has the image locked; `EISDIR` for a
    /// directory; `ENOTBLK` if it is neither a regular file nor a block device; `EINVAL` for another sector size.
    pub fn open(path: &Path, sector_size: u32, read_only: bool) -> Result<Self, Errno> {
        if !matches!(sector_size, 512 | 4096) {
            return Err(Errno::EINVAL);
        }
        // Without NONBLOCK a FIFO would wait here for its other end.
        let flags = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let open = |access| rustix::fs::open(path, flags | access, Mode::empty()).map_err(errno);
        let (fd, read_only) = match (read_only, open(if read_only { OFlags::RDONLY } else { OFlags::RDWR })) {
            (false, Err(Errno::EACCES | Errno::EPERM | Errno::EROFS)) => (open(OFlags::RDONLY)?, true),
            (_, opened) => (opened?, read_only),
        };
        let stat = rustix::fs::fstat(&fd).map_err(errno)?;
        let size = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => u64::try_from(stat.st_size).map_err(|_| Errno::EIO)?,
            FileType::BlockDevice => rustix::fs::seek(&fd, SeekFrom::End(0)).map_err(errno)?,
            FileType::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::ENOTBLK),
        };
        let lock =
            if read_only { FlockOperation::NonBlockingLockShared } else { FlockOperation::NonBlockingLockExclusive };
        match rustix::fs::flock(&fd, lock) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Errno::EBUSY),
            other => other.map_err(errno)?,
        }
        Ok(Self { fd, size, sector_size, read_only })
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<(), Errno> {
        if self.read_only {
            return Err(Errno::EROFS);
        }
        check_range(self.size, offset, len)
    }
}

fn errno(e: rustix::io::Errno) -> Errno {
    Errno(e.raw_os_error())
}

/// What a failed read, write or flush means to the kernel: the medium is full, or it is broken.
fn medium(e: rustix::io::Errno) -> Errno {
    match e {
        rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT => Errno::ENOSPC,
        _ => Errno::EIO,
    }
}

impl Disk for ImageFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read_at(&self, mut buf: &mut [u8], mut offset: u64) -> Result<(), Errno> {
        check_range(self.size, offset, buf.len() as u64)?;
        while !buf.is_empty() {
            match rustix::io::pread(&self.fd, &mut *buf, offset) {
                // The file has been cut since it was opened.
                Ok(0) => return Err(Errno::EIO),
                Ok(n) => {
                    buf = buf.get_mut(n..).unwrap_or_default();
                    offset = offset.saturating_add(n as u64);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(medium(e)),
            }
        }
        Ok(())
    }

    fn write_at(&self, mut buf: &[u8], mut offset: u64) -> Result<(), Errno> {
        self.check_write(offset, buf.len() as u64)?;
        while !buf.is_empty() {
            match rustix::io::pwrite(&self.fd, buf, offset) {
                Ok(0) => return Err(Errno::EIO),
                Ok(n) => {
                    buf = buf.get(n..).unwrap_or_default();
                    offset = offset.saturating_add(n as u64);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(medium(e)),
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Errno> {
        if self.read_only {
            return Ok(());
        }
        rustix::fs::fdatasync(&self.fd).map_err(medium)
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), Errno> {
        self.check_write(offset, len)?;
        if len == 0 {
            return Ok(());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(&self.fd, hole, offset, len)) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Err(Errno::EOPNOTSUPP),
            other => other.map_err(medium),
        }
    }
}
