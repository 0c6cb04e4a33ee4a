//! Where x86-64's ABI differs from the generic one, which the kernel speaks: numbers of calls, `struct stat`, and the
//! packing of `struct epoll_event`.

use lkl_abi::nr;

/// Calls of x86-64 whose arguments are those of a generic call, and whose owner is the descriptor in the first
/// argument.
macro_rules! same {
    ($($host:ident = $generic:ident,)*) => {
        /// Pairs of x86-64's number and the generic one.
        pub(crate) const BY_FD: &[(usize, usize)] = &[$((libc::$host as usize, nr::$generic),)*];
    };
}

same! {
    SYS_read = READ,
    SYS_write = WRITE,
    SYS_close = CLOSE,
    SYS_lseek = LSEEK,
    SYS_ioctl = IOCTL,
    SYS_pread64 = PREAD64,
    SYS_pwrite64 = PWRITE64,
    SYS_readv = READV,
    SYS_writev = WRITEV,
    SYS_preadv = PREADV,
    SYS_pwritev = PWRITEV,
    SYS_preadv2 = PREADV2,
    SYS_pwritev2 = PWRITEV2,
    SYS_dup = DUP,
    SYS_connect = CONNECT,
    SYS_accept = ACCEPT,
    SYS_accept4 = ACCEPT4,
    SYS_sendto = SENDTO,
    SYS_recvfrom = RECVFROM,
    SYS_sendmsg = SENDMSG,
    SYS_recvmsg = RECVMSG,
    SYS_sendmmsg = SENDMMSG,
    SYS_recvmmsg = RECVMMSG,
    SYS_shutdown = SHUTDOWN,
    SYS_bind = BIND,
    SYS_listen = LISTEN,
    SYS_getsockname = GETSOCKNAME,
    SYS_getpeername = GETPEERNAME,
    SYS_setsockopt = SETSOCKOPT,
    SYS_getsockopt = GETSOCKOPT,
    SYS_fcntl = FCNTL,
    SYS_flock = FLOCK,
    SYS_fsync = FSYNC,
    SYS_fdatasync = FDATASYNC,
    SYS_ftruncate = FTRUNCATE,
    SYS_fallocate = FALLOCATE,
    SYS_fadvise64 = FADVISE64,
    SYS_readahead = READAHEAD,
    SYS_sync_file_range = SYNC_FILE_RANGE2,
    SYS_syncfs = SYNCFS,
    SYS_getdents64 = GETDENTS64,
    SYS_fchdir = FCHDIR,
    SYS_fchmod = FCHMOD,
    SYS_fchown = FCHOWN,
    SYS_fstatfs = FSTATFS,
    SYS_fsetxattr = FSETXATTR,
    SYS_fgetxattr = FGETXATTR,
    SYS_flistxattr = FLISTXATTR,
    SYS_fremovexattr = FREMOVEXATTR,
    SYS_inotify_rm_watch = INOTIFY_RM_WATCH,
}

const fn generic_table() -> [u16; 512] {
    let mut t = [u16::MAX; 512];
    let mut i = 0;
    while i < BY_FD.len() {
        t[BY_FD[i].0] = BY_FD[i].1 as u16;
        i += 1;
    }
    t
}

static GENERIC: [u16; 512] = generic_table();

/// The generic number of a call in [`BY_FD`].
pub(crate) fn generic(host: usize) -> Option<usize> {
    GENERIC.get(host).copied().filter(|n| *n != u16::MAX).map(usize::from)
}

/// Bytes of both forms of `struct stat`.
pub(crate) const STAT_SIZE: usize = 144;

/// The bit of a major number that says that a device is the kernel's: its numbers are not the host's, and programs take two
/// files of one number on one device for the same.
pub(crate) const MAJOR_OURS: u32 = 0x800;

/// `st_mode` of the generic `struct stat`.
pub(crate) fn mode(generic: &[u8; STAT_SIZE]) -> u32 {
    u32::from_ne_bytes([generic[16], generic[17], generic[18], generic[19]])
}

/// Device, number, length, and time of the last change of the generic `struct stat`.
pub(crate) fn version(generic: &[u8; STAT_SIZE]) -> [u64; 5] {
    // st_dev, st_ino, st_size, st_mtime and its nanoseconds
    [0, 8, 48, 88, 96].map(|at| u64::from_ne_bytes(generic[at..at + 8].try_into().unwrap_or_default()))
}

/// The bit of a mount's number that says that it is the kernel's. The host's numbers are small.
pub(crate) const MOUNT_OURS: u32 = 1 << 30;

/// Marks the number of a mount at this address of the program's, of four bytes or eight, as the kernel's.
pub(crate) fn mark_mount(at: u64) {
    let Ok(low) = crate::mem::get::<i32>(at) else { return };
    let _written = crate::mem::put(at, &(low | MOUNT_OURS as i32));
}

/// Marks device and mount in the `struct statx` at this address of the program's as the kernel's.
pub(crate) fn mark_statx(at: u64) {
    const DEV_MAJOR: u64 = 136;
    const MOUNT: u64 = 144;
    if crate::mem::get::<i32>(at).is_ok_and(|mask| mask as u32 & libc::STATX_MNT_ID != 0) {
        mark_mount(at.wrapping_add(MOUNT));
    }
    let Ok(major) = crate::mem::get::<i32>(at.wrapping_add(DEV_MAJOR)) else { return };
    let _written = crate::mem::put(at.wrapping_add(DEV_MAJOR), &(major | MAJOR_OURS as i32));
}

/// The generic `struct stat` as x86-64 has it. From `st_size` on they agree.
pub(crate) fn stat(generic: &[u8; STAT_SIZE]) -> [u8; STAT_SIZE] {
    let mut b = [0; STAT_SIZE];
    let mut copy = |to: usize, from: usize, n: usize| b[to..to + n].copy_from_slice(&generic[from..from + n]);
    copy(0, 0, 16); // st_dev, st_ino
    copy(16, 20, 4); // st_nlink, of 8 bytes
    copy(24, 16, 4); // st_mode
    copy(28, 24, 8); // st_uid, st_gid
    copy(40, 32, 8); // st_rdev
    copy(48, 48, 8); // st_size
    copy(56, 56, 4); // st_blksize, of 8 bytes
    copy(64, 64, 56); // st_blocks and the times
                      // Bits 8 to 19 of the number of a device are those of its major number.
    let dev = u64::from_ne_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) | u64::from(MAJOR_OURS) << 8;
    b[..8].copy_from_slice(&dev.to_ne_bytes());
    b
}

/// Bytes of `struct epoll_event` on x86-64, where it is packed.
pub(crate) const EPOLL_EVENT: usize = 12;

/// `struct epoll_event`, packed: events and data.
pub(crate) fn epoll_event(b: &[u8]) -> (u32, u64) {
    let events = u32::from_ne_bytes([b[0], b[1], b[2], b[3]]);
    let data = u64::from_ne_bytes([b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11]]);
    (events, data)
}

/// Writes a `struct epoll_event`, packed.
pub(crate) fn put_epoll_event(to: &mut [u8], events: u32, data: u64) {
    to[..4].copy_from_slice(&events.to_ne_bytes());
    to[4..EPOLL_EVENT].copy_from_slice(&data.to_ne_bytes());
}

/// The generic `struct epoll_event`, with its hole.
pub(crate) fn generic_epoll_event(events: u32, data: u64) -> [u64; 2] {
    [u64::from(events), data]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(generic(libc::SYS_read as usize), Some(63));
        assert_eq!(generic(libc::SYS_accept4 as usize), Some(242));
        assert_eq!(generic(libc::SYS_futex as usize), None);
    }

    #[test]
    fn status_moves_its_fields() {
        let mut g = [0u8; STAT_SIZE];
        g[16..20].copy_from_slice(&0o140_777u32.to_ne_bytes());
        g[20..24].copy_from_slice(&3u32.to_ne_bytes());
        g[48..56].copy_from_slice(&99u64.to_ne_bytes());
        let x = stat(&g);
        assert_eq!(x[16..24], 3u64.to_ne_bytes());
        assert_eq!(x[24..28], 0o140_777u32.to_ne_bytes());
        assert_eq!(x[48..56], 99u64.to_ne_bytes());
    }

    #[test]
    fn events_are_packed() {
        let mut b = [0; EPOLL_EVENT];
        put_epoll_event(&mut b, 5, 1 << 40);
        assert_eq!(epoll_event(&b), (5, 1 << 40));
        assert_eq!(generic_epoll_event(5, 7), [5, 7]);
    }
}
