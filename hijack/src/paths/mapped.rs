//! Maps of files on disk images: copies in memory, private or only to be read. What is written to the file later is not seen
//! in them.

use crate::door;
use crate::sys::{self, host};
use crate::xlate;
use lkl_abi::{nr, Errno};

/// Bytes that are read at once.
const STEP: usize = 1 << 20;
const PAGE: usize = 4096;

/// `mmap` of a regular file of ours, with the arguments of the call.
///
/// # Errors
/// `ENODEV` for a map that is shared and can be written, and for what is no regular file; `EACCES`, `EINVAL`, `ENOMEM`.
pub(crate) fn map(at: u64, len: usize, prot: i32, flags: i32, fd: i32, from: u64) -> Result<u64, Errno> {
    let kind = flags & libc::MAP_TYPE;
    let private = kind == libc::MAP_PRIVATE;
    if len == 0
        || !from.is_multiple_of(PAGE as u64)
        || !(private || matches!(kind, libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE))
    {
        return Err(Errno::EINVAL);
    }
    let mut stat = [0u8; xlate::STAT_SIZE];
    sys::check(door::call(nr::FSTAT, [fd as u64, stat.as_mut_ptr() as u64, 0, 0, 0, 0]))?;
    if xlate::mode(&stat) & libc::S_IFMT != libc::S_IFREG {
        return Err(Errno::ENODEV);
    }
    let access = sys::check(door::call(nr::FCNTL, [fd as u64, libc::F_GETFL as u64, 0, 0, 0, 0]))? as i32;
    let access = access & libc::O_ACCMODE;
    if access == libc::O_WRONLY {
        return Err(Errno::EACCES);
    }
    if !private && prot & libc::PROT_WRITE != 0 {
        return Err(if access == libc::O_RDWR { Errno::ENODEV } else { Errno::EACCES });
    }
    const FLAGS: i32 = libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE | libc::MAP_32BIT | libc::MAP_NORESERVE;
    let own = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | (flags & FLAGS);
    let writable = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the program's own `mmap`, with memory instead of the file.
    let mapped = unsafe { host!(libc::SYS_mmap, at, len, writable, own, -1i32, 0usize) }?;
    fill(mapped, len, fd, from)
        .and_then(|()| {
            if prot == writable {
                return Ok(());
            }
            // SAFETY: the map that was made just now.
            unsafe { host!(libc::SYS_mprotect, mapped, len, prot) }.map(drop)
        })
        .inspect_err(|_| {
            // SAFETY: the same; the program has not been told of it.
            let _gone = unsafe { host!(libc::SYS_munmap, mapped, len) };
        })?;
    Ok(mapped)
}

fn fill(to: u64, len: usize, fd: i32, from: u64) -> Result<(), Errno> {
    let mut done = 0;
    while done < len {
        let step = (len - done).min(STEP);
        let n = door::call(nr::PREAD64, [fd as u64, to + done as u64, step as u64, from + done as u64, 0, 0]);
        match sys::check(n)? {
            0 => break,
            n => done += n as usize,
        }
    }
    Ok(())
}
