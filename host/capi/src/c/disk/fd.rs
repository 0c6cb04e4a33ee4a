//! A disk that is a descriptor of the host, which stays its owner's: a file, or a block device.

use super::super::types::{BlkReq, Disk};
use core::ffi::{c_int, c_ulonglong};
use lkl_abi::{Errno, Result};
use lkl_ops::disk::check_range;
use rustix::fs::{FallocateFlags, FileType, OFlags, SeekFrom};
use std::os::fd::{BorrowedFd, RawFd};

/// Sectors are of this size, in bytes.
const SECTOR: u32 = 512;

/// What `request` answers.
const OK: c_int = 0;
const IOERR: c_int = 1;
const UNSUP: c_int = 2;

/// See the module's text.
pub(super) struct FdDisk {
    fd: RawFd,
    size: u64,
    read_only: bool,
}

fn errno(e: rustix::io::Errno) -> Errno {
    Errno(e.raw_os_error())
}

/// The host's answer to reading and writing, as the kernel has it.
fn medium(e: rustix::io::Errno) -> Errno {
    match e {
        rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT | rustix::io::Errno::FBIG => Errno::ENOSPC,
        _ => Errno::EIO,
    }
}

fn size(fd: BorrowedFd<'_>) -> Result<u64> {
    let stat = rustix::fs::fstat(fd).map_err(errno)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => u64::try_from(stat.st_size).map_err(|_| Errno::EIO),
        FileType::BlockDevice => rustix::fs::seek(fd, SeekFrom::End(0)).map_err(errno),
        _ => Err(Errno::ENOTBLK),
    }
}

impl FdDisk {
    /// # Errors
    /// `EBADF`; `ENOTBLK` for what is neither a file nor a block device.
    pub(super) fn new(fd: RawFd) -> Result<Self> {
        if fd < 0 {
            return Err(Errno::EBADF);
        }
        // SAFETY: if it is not open, the host says so.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let flags = rustix::fs::fcntl_getfl(borrowed).map_err(errno)?;
        Ok(Self { fd, size: size(borrowed)?, read_only: flags & OFlags::ACCMODE == OFlags::RDONLY })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: as in `new`; its owner keeps it open.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl lkl_ops::Disk for FdDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn sector_size(&self) -> u32 {
        SECTOR
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read_at(&self, mut buf: &mut [u8], mut offset: u64) -> Result<()> {
        check_range(self.size, offset, buf.len() as u64)?;
        while !buf.is_empty() {
            match rustix::io::pread(self.fd(), &mut *buf, offset) {
                // It has become shorter.
                Ok(0) => return Err(Errno::EIO),
                Ok(n) => {
                    buf = buf.get_mut(n..).unwrap_or_default();
                    offset += n as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(medium(e)),
            }
        }
        Ok(())
    }

    fn write_at(&self, mut buf: &[u8], mut offset: u64) -> Result<()> {
        if self.read_only {
            return Err(Errno::EROFS);
        }
        check_range(self.size, offset, buf.len() as u64)?;
        while !buf.is_empty() {
            match rustix::io::pwrite(self.fd(), buf, offset) {
                Ok(0) => return Err(Errno::EIO),
                Ok(n) => {
                    buf = buf.get(n..).unwrap_or_default();
                    offset += n as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(medium(e)),
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        match rustix::fs::fdatasync(self.fd()) {
            // What cannot be made durable is not at fault.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::ROFS) => Ok(()),
            Err(e) => Err(medium(e)),
        }
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        if self.read_only {
            return Err(Errno::EROFS);
        }
        check_range(self.size, offset, len)?;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(self.fd(), flags, offset, len) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NODEV) => Err(Errno::EOPNOTSUPP),
            Err(e) => Err(medium(e)),
        }
    }
}

pub(super) unsafe extern "C" fn get_capacity(disk: Disk, to: *mut c_ulonglong) -> c_int {
    // SAFETY: a disk of these operations has a descriptor.
    let seen = FdDisk::new(unsafe { disk.handle.fd });
    // SAFETY: the caller gives null or a number to write.
    match (seen, unsafe { to.as_mut() }) {
        (Ok(disk), Some(to)) => {
            *to = disk.size;
            0
        }
        (Err(e), _) => -e.0,
        (_, None) => -Errno::EINVAL.0,
    }
}

pub(super) unsafe extern "C" fn request(disk: Disk, request: *mut BlkReq) -> c_int {
    use lkl_ops::Disk as _;
    // SAFETY: a disk of these operations has a descriptor; the caller gives a request.
    let (seen, request) = unsafe { (FdDisk::new(disk.handle.fd), request.as_ref()) };
    let (Ok(disk), Some(request)) = (seen, request) else { return IOERR };
    let count = usize::try_from(request.count).unwrap_or(0);
    let Some(mut at) = request.sector.checked_mul(u64::from(SECTOR)) else { return IOERR };
    let done = match request.kind {
        0 | 1 => (0..count).try_for_each(|i| {
            // SAFETY: the caller gives `count` pieces, each with its memory.
            let piece = unsafe {
                let piece = &*request.buf.add(i);
                core::slice::from_raw_parts_mut(piece.iov_base.cast::<u8>(), piece.iov_len)
            };
            let done = if request.kind == 0 { disk.read_at(piece, at) } else { disk.write_at(piece, at) };
            at = at.saturating_add(piece.len() as u64);
            done
        }),
        4 | 5 => disk.flush(),
        _ => return UNSUP,
    };
    match done {
        Ok(()) => OK,
        Err(_) => IOERR,
    }
}
