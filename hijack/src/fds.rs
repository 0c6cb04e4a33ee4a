//! Host descriptor number -> whose file it is.
//!
//! Every kernel file has a real descriptor of the host as a placeholder, so that numbers behave as programs expect
//! (lowest first, `dup2`, `FD_SETSIZE`, close-on-exec). What a number means is one byte in a table indexed by it,
//! mapped lazily by the host: a look-up is one load.

pub(crate) mod tag;

use crate::alloc;
use crate::sys::{self, host};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, Ordering};
use lkl_abi::{Errno, Result};
use lkl_ops::{Descriptors, FileKind};

/// Numbers that can be the kernel's: Linux's `fs.nr_open`.
pub(crate) const LIMIT: usize = 1 << 20;

/// What a number means.
pub(crate) mod state {
    /// Not ours: the host's, or closed.
    pub(crate) const HOST: u8 = 0;
    /// A file of the kernel.
    pub(crate) const KERNEL: u8 = 1;
    /// An epoll instance: of the kernel, with a host epoll instance as its placeholder. Beside this bit, those of the owners of what may be in
    /// it.
    pub(crate) const EPOLL: u8 = 8;
    /// Beside [`EPOLL`]: there may be files of the kernel in it.
    pub(crate) const KERNELS: u8 = 1;
    /// The same for files of the host's, in the host's instance.
    pub(crate) const HOSTS: u8 = 2;
    /// An epoll instance in which both may be.
    pub(crate) const EPOLL_MIXED: u8 = EPOLL | KERNELS | HOSTS;
    /// The library's own: the program must not close it or put something else there.
    pub(crate) const PRIVATE: u8 = 5;
    /// A packet socket with a ring ([`crate::ring`]).
    pub(crate) const RING: u8 = 7;
}

pub(crate) static TABLE: AtomicPtr<AtomicU8> = AtomicPtr::new(core::ptr::null_mut());
/// The greatest number that ever was ours.
static GREATEST: AtomicI32 = AtomicI32::new(-1);
/// What sockets' placeholders are duplicates of; -1 before [`init`].
static PLACEHOLDER: AtomicI32 = AtomicI32::new(-1);

/// Maps the table and makes the first placeholder.
///
/// # Errors
/// `ENOMEM`, `EMFILE`, ...
pub(crate) fn init() -> Result<()> {
    let table = alloc::map(LIMIT);
    if table.is_null() {
        return Err(Errno::ENOMEM);
    }
    TABLE.store(table.cast(), Ordering::Release);
    // SAFETY: no pointers.
    let fd = unsafe { host!(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0i32) }? as i32;
    tag::put(fd, tag::NO_NUMBER)?;
    PLACEHOLDER.store(privatise(fd), Ordering::Release);
    Ok(())
}

fn slot(fd: i32) -> Option<&'static AtomicU8> {
    let table = TABLE.load(Ordering::Relaxed);
    if table.is_null() || fd as u32 as usize >= LIMIT {
        return None;
    }
    // SAFETY: the table has `LIMIT` bytes and is never unmapped; any byte is an `AtomicU8`.
    Some(unsafe { &*table.add(fd as u32 as usize) })
}

/// What `fd` means.
#[inline]
pub(crate) fn get(fd: i32) -> u8 {
    slot(fd).map_or(state::HOST, |s| s.load(Ordering::Relaxed))
}

/// Is `fd` something else than the host's?
#[inline]
pub(crate) fn ours(fd: i32) -> bool {
    get(fd) != state::HOST
}

/// Is `fd` a file of the kernel?
#[inline]
pub(crate) fn kernel(fd: i32) -> bool {
    matches!(get(fd), state::KERNEL | state::RING) || epoll(fd)
}

/// Is `fd` an epoll instance?
pub(crate) fn epoll(fd: i32) -> bool {
    get(fd) & state::EPOLL != 0
}

/// Is `fd` an epoll instance in which there may be files of the host's?
pub(crate) fn epoll_of_hosts(fd: i32) -> bool {
    let asked = state::EPOLL | state::HOSTS;
    get(fd) & asked == asked
}

/// From now on there may be files in the epoll instance `fd` of the owners that the bits `owners` name. Answers whether that is new.
pub(crate) fn add_to_epoll(fd: i32, owners: u8) -> bool {
    let add = |s| (s & state::EPOLL != 0).then_some(s | owners);
    slot(fd)
        .is_some_and(|s| s.fetch_update(Ordering::AcqRel, Ordering::Relaxed, add).is_ok_and(|s| s & owners != owners))
}

/// Says what `fd` means from now on.
pub(crate) fn set(fd: i32, to: u8) {
    if let Some(s) = slot(fd) {
        s.store(to, Ordering::Release);
        if to != state::HOST {
            GREATEST.fetch_max(fd, Ordering::AcqRel);
        }
    }
}

/// The numbers from `first` to `last` that are ours, in order.
pub(crate) fn in_range(first: i32, last: i32) -> impl Iterator<Item = i32> {
    (first.max(0)..=last.min(GREATEST.load(Ordering::Acquire))).filter(|fd| ours(*fd))
}

/// Has the process any file of the kernel?
pub(crate) fn any_kernel() -> bool {
    in_range(0, i32::MAX).any(kernel)
}

/// After a fork, in the child: closes what the library of the parent had for itself, but those in `kept`. Host files may
/// have been added to an epoll instance by the other process, now or later.
pub(crate) fn forsake(kept: &[i32]) {
    let placeholder = PLACEHOLDER.load(Ordering::Acquire);
    for fd in in_range(0, i32::MAX) {
        match get(fd) {
            state::PRIVATE if fd != placeholder && !kept.contains(&fd) => {
                set(fd, state::HOST);
                sys::close(fd);
            }
            state::RING => set(fd, state::KERNEL),
            _ => {}
        }
    }
}

/// Before a fork: from now on files may be added to an epoll instance by another process.
pub(crate) fn mix_epolls() {
    for fd in in_range(0, i32::MAX) {
        add_to_epoll(fd, state::EPOLL_MIXED);
    }
}

/// Moves a descriptor of the library's out of the program's way, to a high number, and guards it. Answers the new
/// number (the old one if there is no room).
pub(crate) fn privatise(fd: i32) -> i32 {
    let mut limit = [0u64; 2];
    // SAFETY: `struct rlimit` is two 64-bit numbers.
    let soft = match unsafe { host!(libc::SYS_prlimit64, 0i32, libc::RLIMIT_NOFILE as i32, 0usize, limit.as_mut_ptr()) }
    {
        // Not higher than this: the host's table grows with the greatest number.
        Ok(_) => limit[0].min(4096),
        Err(_) => 1024,
    };
    let min = soft.saturating_sub(64) as i32;
    // SAFETY: no pointers.
    let to = match unsafe { host!(libc::SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, min) } {
        Ok(high) => {
            sys::close(fd);
            high as i32
        }
        Err(_) => fd,
    };
    set(to, state::PRIVATE);
    to
}

/// Puts an ordinary placeholder in the place of what is at `fd`.
///
/// # Errors
/// `EBADF`
pub(crate) fn replace_by_placeholder(fd: i32) -> Result<()> {
    let how = if HostNumbers.cloexec(fd) { libc::O_CLOEXEC } else { 0 };
    // SAFETY: no pointers.
    unsafe { host!(libc::SYS_dup3, PLACEHOLDER.load(Ordering::Acquire), fd, how) }.map(drop)
}

/// The host's descriptor table, as the kernel sees it.
#[derive(Debug)]
pub(crate) struct HostNumbers;

impl Descriptors for HostNumbers {
    fn alloc(&self, kind: FileKind, min: i32, cloexec: bool) -> Result<i32> {
        let fd = match kind {
            FileKind::Epoll => {
                let flags = if cloexec { libc::EPOLL_CLOEXEC } else { 0 };
                // SAFETY: no pointers.
                unsafe { host!(libc::SYS_epoll_create1, flags) }?
            }
            FileKind::Socket | FileKind::File => {
                let how = if cloexec { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
                // SAFETY: no pointers.
                unsafe { host!(libc::SYS_fcntl, PLACEHOLDER.load(Ordering::Acquire), how, min) }?
            }
        } as i32;
        if fd as usize >= LIMIT {
            sys::close(fd);
            return Err(Errno::EMFILE);
        }
        set(fd, if kind == FileKind::Epoll { state::EPOLL } else { state::KERNEL });
        Ok(fd)
    }

    fn dup(&self, fd: i32, min: i32, cloexec: bool) -> Result<i32> {
        let how = if cloexec { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
        // SAFETY: no pointers.
        let to = unsafe { host!(libc::SYS_fcntl, fd, how, min) }? as i32;
        if to as usize >= LIMIT {
            sys::close(to);
            return Err(Errno::EMFILE);
        }
        copy_state(fd, to);
        Ok(to)
    }

    fn dup_to(&self, fd: i32, to: i32, cloexec: bool) -> Result<()> {
        if to as u32 as usize >= LIMIT || get(to) == state::PRIVATE {
            return Err(Errno::EBADF);
        }
        let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
        crate::mixed::closing(to);
        // SAFETY: no pointers.
        unsafe { host!(libc::SYS_dup3, fd, to, flags) }?;
        crate::handover::forget(to);
        copy_state(fd, to);
        Ok(())
    }

    fn free(&self, fd: i32) {
        crate::ring::forget(fd);
        crate::handover::forget(fd);
        crate::mixed::closing(fd);
        // First the meaning, then the number: once it is closed, another thread may get it.
        set(fd, state::HOST);
        sys::close(fd);
    }

    fn cloexec(&self, fd: i32) -> bool {
        // SAFETY: no pointers.
        unsafe { host!(libc::SYS_fcntl, fd, libc::F_GETFD) }.is_ok_and(|f| f as i32 & libc::FD_CLOEXEC != 0)
    }

    fn set_cloexec(&self, fd: i32, on: bool) {
        // SAFETY: no pointers.
        let _ok = unsafe { host!(libc::SYS_fcntl, fd, libc::F_SETFD, i32::from(on)) };
    }
}

/// A duplicate means what the original means. Which of an epoll instance's numbers files are added through is not
/// followed, so from then on both are taken for mixed.
fn copy_state(fd: i32, to: i32) {
    crate::handover::duplicated();
    let mut s = get(fd);
    if s == state::RING {
        // The ring is read through the number that it was made with.
        s = state::KERNEL;
    }
    if s & state::EPOLL != 0 {
        s = state::EPOLL_MIXED;
        add_to_epoll(fd, s);
    }
    set(to, s);
}
