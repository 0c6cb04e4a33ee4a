//! Tags of placeholders: a new image, and a process that is sent a file, know by them which file of the kernel it is.
//!
//! A placeholder is a local socket of the host's that is not used for anything. So its limit of the pacing rate, 64 bits
//! that any process may set and read, is free to hold the number of the file. Duplicates of the placeholder, through
//! `dup`, `fork`, `exec` and `SCM_RIGHTS`, have the same tag, whether or not we saw how they were made.
//!
//! The placeholder of an epoll instance is one of the host's. Its tag is an entry in it that tells nothing: the place where processes meet their
//! kernel, which each of them has open as long as it can use the instance, with the number for its data (`man 5 proc`, `fdinfo`).
//!
//! Most placeholders have no number: as long as a process keeps its descriptors to itself the table ([`super`]) is enough. Their tag
//! only tells someone who looks at the process from outside (`tests/programs/leaks.c`) that they are placeholders.

use super::{state, HostNumbers};
use crate::door;
use crate::sys::{self, host};
use lkl_abi::{Errno, Result};
use lkl_ops::Descriptors;

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

/// Tags the epoll instance `fd`.
///
/// # Errors
/// `ENOMEM`, `ENOSPC`
fn put_in_epoll(fd: i32, id: u64, meeting: i32) -> Result<()> {
    let event = libc::epoll_event { events: 0, u64: MAGIC | id & !MASK };
    // SAFETY: the event is read.
    match unsafe { host!(libc::SYS_epoll_ctl, fd, libc::EPOLL_CTL_ADD, meeting, &raw const event) } {
        Err(Errno::EEXIST) => Ok(()),
        other => other.map(drop),
    }
}

/// Is it what a tag in an epoll instance tells, when the kernel has ended?
pub(crate) fn is_tag(events: u32, data: u64) -> bool {
    data & MASK == MAGIC && events & !(libc::EPOLLHUP | libc::EPOLLERR) as u32 == 0
}

/// The number on the tag in `fd`, if it is an epoll instance that has one.
fn get_from_epoll(fd: i32) -> Option<u64> {
    let mut buf = [0u8; 64];
    let link = format!("/proc/self/fd/{fd}\0");
    // SAFETY: a C string, and room of this size.
    let n = unsafe { host!(libc::SYS_readlink, link.as_ptr(), buf.as_mut_ptr(), buf.len()) }.ok()?;
    if buf.get(..n as usize) != Some(b"anon_inode:[eventpoll]") {
        return None;
    }
    let info = format!("/proc/self/fdinfo/{fd}\0");
    // SAFETY: a C string.
    let file = unsafe { host!(libc::SYS_open, info.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) }.ok()? as i32;
    let mut text = Vec::new();
    let mut buf = [0u8; 4096];
    // SAFETY: the buffer has this many bytes.
    while let Ok(n @ 1..) = unsafe { host!(libc::SYS_read, file, buf.as_mut_ptr(), buf.len()) } {
        text.extend_from_slice(&buf[..n as usize]);
    }
    sys::close(file);
    String::from_utf8_lossy(&text).lines().find_map(tag_in)
}

/// The number in a line of an epoll instance's `fdinfo`, if it is that of a tag: `tfd: 5 events: 18 data: a5c0...`.
fn tag_in(line: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    let events = words.by_ref().skip_while(|w| *w != "events:").nth(1)?;
    let data = words.skip_while(|w| *w != "data:").nth(1)?;
    let (events, data) = (u32::from_str_radix(events, 16).ok()?, u64::from_str_radix(data, 16).ok()?);
    is_tag(events, data).then_some(data & !MASK)
}

/// Puts tags on all placeholders. `meeting` is where processes meet the kernel.
///
/// # Errors
/// `EMFILE`, `EIO`: some may have theirs.
pub(crate) fn all(meeting: i32) -> Result<()> {
    for fd in super::in_range(0, i32::MAX) {
        if !super::kernel(fd) || super::epoll(fd) && HostNumbers.cloexec(fd) {
            continue;
        }
        let Ok(id) = door::id_of(fd) else { continue };
        if super::epoll(fd) {
            put_in_epoll(fd, id, meeting)?;
        } else if get(fd) != Some(id) {
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

/// The descriptors of this process that have a tag: what they mean ([`state`]), and the number on it.
pub(crate) fn find() -> Vec<(i32, u8, u64)> {
    let tagged = |fd| match get(fd) {
        Some(id) => Some((fd, state::KERNEL, id)),
        // Who knows to whom host files were added.
        None => get_from_epoll(fd).map(|id| (fd, state::EPOLL_MIXED, id)),
    };
    open_numbers().into_iter().filter_map(tagged).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_in_fdinfo() {
        let line = "tfd:       40 events:        0 data: a5c0007f12345678  pos:0 ino:1 sdev:9";
        assert_eq!(tag_in(line), Some(0x7f_1234_5678));
        for other in
            ["pos:\t0", "tfd: 4 events: 19 data: a5c0007f12345678", "tfd: 4 events: 0 data: 5", "tfd: 4 events:"]
        {
            assert_eq!(tag_in(other), None, "{other}");
        }
    }
}
