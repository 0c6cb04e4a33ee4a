//! Tags of placeholders: a new image, and a process that is sent a file, know by them which file of the kernel it is.
//!
//! A placeholder is a local socket of the host's that is not used for anything. So its limit of the pacing rate, 64 bits
//! that any process may set and read, is free to hold the number of the file. Duplicates of the placeholder, through
//! `dup`, `fork`, `exec` and `SCM_RIGHTS`, have the same tag, whether or not we saw how they were made.
//!
//! Most placeholders have no number: as long as a process keeps its descriptors to itself the table ([`super`]) is enough. Their tag
//! only tells someone who looks at the process from outside (`tests/programs/leaks.c`) that they are placeholders.

use super::state;
use crate::door;
use crate::sys::{self, host};
use lkl_abi::Result;

const SO_MAX_PACING_RATE: i32 = 47;
/// The upper bits of each tag. No pacing rate is like it.
const MAGIC: u64 = 0xa5c << 52;
const MASK: u64 = 0xfff << 52;
/// On a tag: a placeholder of some file.
pub(super) const NO_NUMBER: u64 = 0;

/// Tags the socket `fd`.
///
/// # Errors
/// `EBADF`, `ENOTSOCK`
pub(crate) fn put(fd: i32, id: u64) -> Result<()> {
    let tag = MAGIC | id & !MASK;
    // SAFETY: 8 bytes, as the length says.
    unsafe { host!(libc::SYS_setsockopt, fd, libc::SOL_SOCKET, SO_MAX_PACING_RATE, &raw const tag, 8usize) }.map(drop)
}

/// The number on the tag of `fd`, if it has one.
pub(crate) fn get(fd: i32) -> Option<u64> {
    let (mut tag, mut len) = (0u64, 8u32);
    // SAFETY: room for 8 bytes, as the length says.
    unsafe { host!(libc::SYS_getsockopt, fd, libc::SOL_SOCKET, SO_MAX_PACING_RATE, &raw mut tag, &raw mut len) }
        .ok()?;
    (len == 8 && tag & MASK == MAGIC).then_some(tag & !MASK).filter(|id| *id != NO_NUMBER)
}

/// Puts tags on all placeholders of sockets and files.
///
/// # Errors
/// `EMFILE`, `EIO`: some may have theirs.
pub(crate) fn all() -> Result<()> {
    for fd in super::in_range(0, i32::MAX) {
        if !matches!(super::get(fd), state::KERNEL | state::RING) {
            continue;
        }
        let Ok(id) = door::id_of(fd) else { continue };
        if get(fd) != Some(id) {
            give_new(fd, id)?;
        }
    }
    Ok(())
}

/// Puts a new placeholder with a tag at `fd`, in the place of one that others may have too.
fn give_new(fd: i32, id: u64) -> Result<()> {
    // SAFETY: no pointers.
    let new = unsafe { host!(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0i32) }? as i32;
    let done = put(new, id).and_then(|()| {
        // SAFETY: no pointers.
        let flags = unsafe { host!(libc::SYS_fcntl, fd, libc::F_GETFD) }?;
        let how = if flags as i32 & libc::FD_CLOEXEC != 0 { libc::O_CLOEXEC } else { 0 };
        // SAFETY: no pointers.
        unsafe { host!(libc::SYS_dup3, new, fd, how) }.map(drop)
    });
    sys::close(new);
    done
}

/// The descriptors of this process that have a tag, with the number on it.
pub(crate) fn find() -> Vec<(i32, u64)> {
    open_numbers().into_iter().filter_map(|fd| get(fd).map(|id| (fd, id))).collect()
}

/// The numbers of all open descriptors.
fn open_numbers() -> Vec<i32> {
    const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a C string.
    let Ok(dir) = (unsafe { host!(libc::SYS_open, c"/proc/self/fd".as_ptr(), DIRECTORY) }) else {
        // No such file system here: as far as programs usually get.
        return (0..1024).collect();
    };
    let mut numbers = Vec::new();
    let mut buf = [0u8; 2048];
    // SAFETY: the buffer has this many bytes.
    while let Ok(n @ 1..) = unsafe { host!(libc::SYS_getdents64, dir, buf.as_mut_ptr(), buf.len()) } {
        let mut at = 0;
        // Inode and offset (8 bytes each), length (2), type (1), name.
        while at + 19 <= n as usize {
            let len = usize::from(u16::from_ne_bytes([buf[at + 16], buf[at + 17]])).max(19);
            let name = buf[at + 19..].split(|b| *b == 0).next().unwrap_or_default();
            numbers.extend(core::str::from_utf8(name).ok().and_then(|s| s.parse::<i32>().ok()));
            at += len;
        }
    }
    sys::close(dir as i32);
    numbers.retain(|fd| *fd != dir as i32);
    numbers
}
