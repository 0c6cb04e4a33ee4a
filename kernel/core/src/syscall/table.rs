//! The table of system calls, one line a call. Dispatch, strace output and the README's support table come from it.

use super::args::{Arg, Ret, Symbols};
use super::args::{
    ACCEPT, ACCESS, AT, CLOCK, CLOSE_RANGE, EPOLL_CREATE, EPOLL_OP, EVENTFD, FALLOC, FAMILY, FCNTL, GRND, IN, INOTIFY,
    LEVEL, MFD, MNT, MS, MSG, NONE, OPEN, RENAME, RLIMIT, RWF, SHUT, SIGNALFD, SPLICE, SYNC_RANGE, TIMER, TIMERFD,
    TIMERFD_SET, UNLINK, WHENCE,
};
use super::{
    attr, clock, event, fd, handle, ids, ioctl, lock, mount, msg, open, path, pipe, rw, socket, sockopt, space, system,
    tree, wait, watch, Args, Ctx,
};
use lkl_abi::{nr, Result};

/// One call.
pub(crate) struct Call {
    pub(crate) number: usize,
    pub(crate) name: &'static str,
    pub(crate) args: &'static [(&'static str, Arg)],
    pub(crate) ret: Ret,
    pub(crate) handler: fn(&Ctx<'_>, Args) -> Result<u64>,
    pub(crate) note: &'static str,
}

use Arg::{
    AtFd, Bytes, EpollEvent, EpollEvents, Fd, Int, IntPtr, Iov, IovOut, Msg, MsgOut, Name, NameOut, Octal, OptName,
    Path, Pollfds, Protocol, Ptr, Received, Request, SockType, Timespec, Uint, Value, ValueOut,
};

const fn one(names: &'static Symbols) -> Arg {
    Arg::One(names)
}

const fn flags(names: &'static Symbols) -> Arg {
    Arg::Flags(names)
}

macro_rules! calls {
    ($($number:ident $name:literal ($($arg:ident: $kind:expr),*) -> $ret:ident = $handler:path, $note:literal;)*) => {
        /// Every call that there is.
        pub(crate) static CALLS: &[Call] = &[
            $(Call {
                number: nr::$number,
                name: $name,
                args: &[$((stringify!($arg), $kind)),*],
                ret: Ret::$ret,
                handler: $handler,
                note: $note,
            },)*
        ];
    };
}

calls! {
    SOCKET "socket" (domain: one(FAMILY), kind: SockType, protocol: Protocol) -> Int = socket::socket, "AF_INET, AF_INET6, AF_PACKET, AF_NETLINK; AF_UNIX is the host's";
    SOCKETPAIR "socketpair" (domain: one(FAMILY), kind: SockType, protocol: Protocol, sv: Ptr) -> Int = socket::socketpair, "EOPNOTSUPP, as for every family that is here; AF_UNIX is the host's";
    BIND "bind" (fd: Fd, addr: Name { len: 2 }, len: Uint) -> Int = socket::bind, "";
    LISTEN "listen" (fd: Fd, backlog: Int) -> Int = socket::listen, "at most net.core.somaxconn's default";
    ACCEPT "accept" (fd: Fd, addr: NameOut { len: 2 }, len: IntPtr) -> Int = socket::accept, "";
    ACCEPT4 "accept4" (fd: Fd, addr: NameOut { len: 2 }, len: IntPtr, flags: flags(ACCEPT)) -> Int = socket::accept4, "";
    CONNECT "connect" (fd: Fd, addr: Name { len: 2 }, len: Uint) -> Int = socket::connect, "";
    GETSOCKNAME "getsockname" (fd: Fd, addr: NameOut { len: 2 }, len: IntPtr) -> Int = socket::getsockname, "";
    GETPEERNAME "getpeername" (fd: Fd, addr: NameOut { len: 2 }, len: IntPtr) -> Int = socket::getpeername, "";
    SHUTDOWN "shutdown" (fd: Fd, how: one(SHUT)) -> Int = socket::shutdown, "";
    SETSOCKOPT "setsockopt" (fd: Fd, level: one(LEVEL), name: OptName { level: 1 }, value: Value { len: 4 }, len: Uint) -> Int = sockopt::setsockopt, "ENOPROTOOPT for what is not there: eBPF, zero copy, txtime, peek offset";
    GETSOCKOPT "getsockopt" (fd: Fd, level: one(LEVEL), name: OptName { level: 1 }, value: ValueOut { len: 4 }, len: IntPtr) -> Int = sockopt::getsockopt, "";
    SENDTO "sendto" (fd: Fd, buf: Bytes { len: 2 }, len: Uint, flags: flags(MSG), addr: Name { len: 5 }, addrlen: Uint) -> Int = msg::sendto, "";
    RECVFROM "recvfrom" (fd: Fd, buf: Received, len: Uint, flags: flags(MSG), addr: NameOut { len: 5 }, addrlen: IntPtr) -> Int = msg::recvfrom, "";
    SENDMSG "sendmsg" (fd: Fd, msg: Msg, flags: flags(MSG)) -> Int = msg::sendmsg, "";
    RECVMSG "recvmsg" (fd: Fd, msg: MsgOut, flags: flags(MSG)) -> Int = msg::recvmsg, "";
    SENDMMSG "sendmmsg" (fd: Fd, msgs: Msg, count: Uint, flags: flags(MSG)) -> Int = msg::sendmmsg, "";
    RECVMMSG "recvmmsg" (fd: Fd, msgs: MsgOut, count: Uint, flags: flags(MSG), timeout: Timespec) -> Int = msg::recvmmsg, "the time is looked at only after a message, as on Linux";
    READ "read" (fd: Fd, buf: Received, len: Uint) -> Int = rw::read, "";
    WRITE "write" (fd: Fd, buf: Bytes { len: 2 }, len: Uint) -> Int = rw::write, "";
    READV "readv" (fd: Fd, iov: IovOut { len: 2 }, count: Int) -> Int = rw::readv, "";
    WRITEV "writev" (fd: Fd, iov: Iov { len: 2 }, count: Int) -> Int = rw::writev, "";
    PREAD64 "pread64" (fd: Fd, buf: Received, len: Uint, offset: Int) -> Int = rw::pread64, "";
    PWRITE64 "pwrite64" (fd: Fd, buf: Bytes { len: 2 }, len: Uint, offset: Int) -> Int = rw::pwrite64, "";
    PREADV "preadv" (fd: Fd, iov: IovOut { len: 2 }, count: Int, offset: Int, offset_high: Int) -> Int = rw::preadv, "";
    PWRITEV "pwritev" (fd: Fd, iov: Iov { len: 2 }, count: Int, offset: Int, offset_high: Int) -> Int = rw::pwritev, "";
    PREADV2 "preadv2" (fd: Fd, iov: IovOut { len: 2 }, count: Int, offset: Int, offset_high: Int, flags: flags(RWF)) -> Int = rw::preadv2, "";
    PWRITEV2 "pwritev2" (fd: Fd, iov: Iov { len: 2 }, count: Int, offset: Int, offset_high: Int, flags: flags(RWF)) -> Int = rw::pwritev2, "";
    SENDFILE "sendfile" (out_fd: Fd, in_fd: Fd, offset: Ptr, count: Uint) -> Int = rw::sendfile, "bytes are copied; host files are the caller's part";
    SPLICE "splice" (in_fd: Fd, in_offset: Ptr, out_fd: Fd, out_offset: Ptr, len: Uint, flags: flags(SPLICE)) -> Int = pipe::splice, "bytes are copied; the host's pipes are the caller's part";
    TEE "tee" (in_fd: Fd, out_fd: Fd, len: Uint, flags: flags(SPLICE)) -> Int = pipe::tee, "bytes are copied";
    VMSPLICE "vmsplice" (fd: Fd, iov: Ptr, count: Uint, flags: flags(SPLICE)) -> Int = pipe::vmsplice, "bytes are copied";
    PIPE2 "pipe2" (fds: Ptr, flags: flags(OPEN)) -> Int = pipe::pipe2, "EINVAL for O_DIRECT (packets)";
    EVENTFD2 "eventfd2" (count: Uint, flags: flags(EVENTFD)) -> Int = event::eventfd2, "";
    SIGNALFD4 "signalfd4" (fd: Fd, mask: Ptr, size: Uint, flags: flags(SIGNALFD)) -> Int = event::signalfd4, "signals of the host's process; ENOSYS where the host has none";
    TIMERFD_CREATE "timerfd_create" (clock: one(CLOCK), flags: flags(TIMERFD)) -> Int = event::timerfd_create, "";
    TIMERFD_SETTIME "timerfd_settime" (fd: Fd, flags: flags(TIMERFD_SET), new: Ptr, old: Ptr) -> Int = event::timerfd_settime, "TFD_TIMER_CANCEL_ON_SET without effect";
    TIMERFD_GETTIME "timerfd_gettime" (fd: Fd, current: Ptr) -> Int = event::timerfd_gettime, "";
    COPY_FILE_RANGE "copy_file_range" (in_fd: Fd, in_offset: Ptr, out_fd: Fd, out_offset: Ptr, len: Uint, flags: flags(NONE)) -> Int = space::copy_file_range, "within one file system, as on Linux; bytes are copied";
    CLOSE "close" (fd: Fd) -> Int = fd::close, "";
    CLOSE_RANGE "close_range" (first: Uint, last: Uint, flags: flags(CLOSE_RANGE)) -> Int = fd::close_range, "CLOSE_RANGE_UNSHARE is taken, as the table is not shared";
    DUP "dup" (fd: Fd) -> Int = fd::dup, "";
    DUP3 "dup3" (fd: Fd, to: Fd, flags: flags(OPEN)) -> Int = fd::dup3, "";
    FCNTL "fcntl" (fd: Fd, command: one(FCNTL), arg: Int) -> Hex = fd::fcntl, "EINVAL for F_NOTIFY";
    FLOCK "flock" (fd: Fd, operation: Int) -> Int = lock::flock, "";
    IOCTL "ioctl" (fd: Fd, request: Request, arg: Ptr) -> Int = ioctl::ioctl, "of files (FIEMAP, FITRIM, flags, versions), sockets, network devices";
    LSEEK "lseek" (fd: Fd, offset: Int, whence: one(WHENCE)) -> Int = fd::lseek, "";
    FSYNC "fsync" (fd: Fd) -> Int = space::fsync, "";
    FDATASYNC "fdatasync" (fd: Fd) -> Int = space::fdatasync, "";
    SYNC "sync" () -> Int = space::sync, "";
    SYNCFS "syncfs" (fd: Fd) -> Int = space::syncfs, "";
    SYNC_FILE_RANGE2 "sync_file_range" (fd: Fd, offset: Int, len: Int, flags: flags(SYNC_RANGE)) -> Int = space::sync_file_range, "";
    TRUNCATE "truncate" (path: Path, len: Int) -> Int = attr::truncate, "";
    FTRUNCATE "ftruncate" (fd: Fd, len: Int) -> Int = attr::ftruncate, "";
    FALLOCATE "fallocate" (fd: Fd, mode: flags(FALLOC), offset: Int, len: Int) -> Int = space::fallocate, "EOPNOTSUPP for FALLOC_FL_UNSHARE_RANGE";
    READAHEAD "readahead" (fd: Fd, offset: Int, len: Uint) -> Int = space::readahead, "taken: reads come with read-ahead anyway";
    FADVISE64 "fadvise64" (fd: Fd, offset: Int, len: Int, advice: Int) -> Int = space::fadvise64, "POSIX_FADV_DONTNEED has an effect";
    FCHMOD "fchmod" (fd: Fd, mode: Octal) -> Int = attr::fchmod, "without effect on sockets and the like";
    FCHMODAT "fchmodat" (dirfd: AtFd, path: Path, mode: Octal) -> Int = attr::fchmodat, "";
    FCHMODAT2 "fchmodat2" (dirfd: AtFd, path: Path, mode: Octal, flags: flags(AT)) -> Int = attr::fchmodat2, "";
    FCHOWN "fchown" (fd: Fd, uid: Int, gid: Int) -> Int = attr::fchown, "without effect on sockets and the like";
    FCHOWNAT "fchownat" (dirfd: AtFd, path: Path, uid: Int, gid: Int, flags: flags(AT)) -> Int = attr::fchownat, "";
    UTIMENSAT "utimensat" (dirfd: AtFd, path: Path, times: Ptr, flags: flags(AT)) -> Int = attr::utimensat, "";
    SETXATTR "setxattr" (path: Path, name: Path, value: Ptr, size: Uint, flags: Int) -> Int = attr::setxattr, "";
    LSETXATTR "lsetxattr" (path: Path, name: Path, value: Ptr, size: Uint, flags: Int) -> Int = attr::lsetxattr, "";
    FSETXATTR "fsetxattr" (fd: Fd, name: Path, value: Ptr, size: Uint, flags: Int) -> Int = attr::fsetxattr, "";
    GETXATTR "getxattr" (path: Path, name: Path, value: Ptr, size: Uint) -> Int = attr::getxattr, "";
    LGETXATTR "lgetxattr" (path: Path, name: Path, value: Ptr, size: Uint) -> Int = attr::lgetxattr, "";
    FGETXATTR "fgetxattr" (fd: Fd, name: Path, value: Ptr, size: Uint) -> Int = attr::fgetxattr, "";
    LISTXATTR "listxattr" (path: Path, list: Ptr, size: Uint) -> Int = attr::listxattr, "";
    LLISTXATTR "llistxattr" (path: Path, list: Ptr, size: Uint) -> Int = attr::llistxattr, "";
    FLISTXATTR "flistxattr" (fd: Fd, list: Ptr, size: Uint) -> Int = attr::flistxattr, "";
    REMOVEXATTR "removexattr" (path: Path, name: Path) -> Int = attr::removexattr, "";
    LREMOVEXATTR "lremovexattr" (path: Path, name: Path) -> Int = attr::lremovexattr, "";
    FREMOVEXATTR "fremovexattr" (fd: Fd, name: Path) -> Int = attr::fremovexattr, "";
    OPENAT "openat" (dirfd: AtFd, path: Path, flags: flags(OPEN), mode: Octal) -> Int = open::openat, "";
    OPENAT2 "openat2" (dirfd: AtFd, path: Path, how: Ptr, size: Uint) -> Int = open::openat2, "";
    MEMFD_CREATE "memfd_create" (name: Path, flags: flags(MFD)) -> Int = open::memfd_create, "ENOSYS for MFD_HUGETLB";
    NAME_TO_HANDLE_AT "name_to_handle_at" (dirfd: AtFd, path: Path, handle: Ptr, mount_id: Ptr, flags: flags(AT)) -> Int = handle::name_to_handle_at, "ext2, ext3, ext4, tmpfs; without AT_HANDLE_FID and AT_HANDLE_CONNECTABLE";
    OPEN_BY_HANDLE_AT "open_by_handle_at" (mount_fd: AtFd, handle: Ptr, flags: flags(OPEN)) -> Int = handle::open_by_handle_at, "";
    FSTAT "fstat" (fd: Fd, buf: Ptr) -> Int = path::fstat, "";
    FSTATAT "newfstatat" (dirfd: AtFd, path: Path, buf: Ptr, flags: flags(AT)) -> Int = path::newfstatat, "";
    STATX "statx" (dirfd: AtFd, path: Path, flags: flags(AT), mask: Uint, buf: Ptr) -> Int = path::statx, "basic fields, birth time, mount, attributes";
    STATFS "statfs" (path: Path, buf: Ptr) -> Int = path::statfs, "";
    FSTATFS "fstatfs" (fd: Fd, buf: Ptr) -> Int = path::fstatfs, "";
    FACCESSAT "faccessat" (dirfd: AtFd, path: Path, mode: flags(ACCESS)) -> Int = path::faccessat, "";
    FACCESSAT2 "faccessat2" (dirfd: AtFd, path: Path, mode: flags(ACCESS), flags: flags(AT)) -> Int = path::faccessat2, "";
    READLINKAT "readlinkat" (dirfd: AtFd, path: Path, buf: Ptr, len: Uint) -> Int = path::readlinkat, "";
    GETDENTS64 "getdents64" (fd: Fd, buf: Ptr, len: Uint) -> Int = path::getdents64, "";
    MKDIRAT "mkdirat" (dirfd: AtFd, path: Path, mode: Octal) -> Int = tree::mkdirat, "";
    MKNODAT "mknodat" (dirfd: AtFd, path: Path, mode: Octal, dev: Uint) -> Int = tree::mknodat, "";
    SYMLINKAT "symlinkat" (target: Path, dirfd: AtFd, path: Path) -> Int = tree::symlinkat, "";
    LINKAT "linkat" (dirfd: AtFd, path: Path, new_dirfd: AtFd, new_path: Path, flags: flags(AT)) -> Int = tree::linkat, "";
    UNLINKAT "unlinkat" (dirfd: AtFd, path: Path, flags: flags(UNLINK)) -> Int = tree::unlinkat, "";
    RENAMEAT "renameat" (dirfd: AtFd, path: Path, new_dirfd: AtFd, new_path: Path) -> Int = tree::renameat, "";
    RENAMEAT2 "renameat2" (dirfd: AtFd, path: Path, new_dirfd: AtFd, new_path: Path, flags: flags(RENAME)) -> Int = tree::renameat2, "";
    MOUNT "mount" (source: Path, target: Path, kind: Path, flags: flags(MS), data: Ptr) -> Int = mount::mount, "ext4, ext3, ext2 from block devices, tmpfs, proc, sysfs, devtmpfs; mounts are seen by all processes";
    UMOUNT2 "umount2" (target: Path, flags: flags(MNT)) -> Int = mount::umount2, "after success the image is clean";
    CHDIR "chdir" (path: Path) -> Int = mount::chdir, "";
    FCHDIR "fchdir" (fd: Fd) -> Int = mount::fchdir, "";
    CHROOT "chroot" (path: Path) -> Int = mount::chroot, "";
    GETCWD "getcwd" (buf: Ptr, size: Uint) -> Int = mount::getcwd, "";
    INOTIFY_INIT1 "inotify_init1" (flags: flags(INOTIFY)) -> Int = watch::inotify_init1, "";
    INOTIFY_ADD_WATCH "inotify_add_watch" (fd: Fd, path: Path, mask: flags(IN)) -> Int = watch::inotify_add_watch, "";
    INOTIFY_RM_WATCH "inotify_rm_watch" (fd: Fd, wd: Int) -> Int = watch::inotify_rm_watch, "";
    UMASK "umask" (mask: Octal) -> Octal = ids::umask, "";
    GETPID "getpid" () -> Int = ids::getpid, "the number that the caller's host knows it by";
    GETPPID "getppid" () -> Int = ids::getppid, "0 for a process that no other one has made";
    GETTID "gettid" () -> Int = ids::gettid, "";
    GETUID "getuid" () -> Int = ids::getuid, "";
    GETEUID "geteuid" () -> Int = ids::geteuid, "";
    GETGID "getgid" () -> Int = ids::getgid, "";
    GETEGID "getegid" () -> Int = ids::getegid, "";
    GETRESUID "getresuid" (ruid: IntPtr, euid: IntPtr, suid: IntPtr) -> Int = ids::getresuid, "";
    GETRESGID "getresgid" (rgid: IntPtr, egid: IntPtr, sgid: IntPtr) -> Int = ids::getresgid, "";
    GETGROUPS "getgroups" (count: Int, list: Ptr) -> Int = ids::getgroups, "";
    SETUID "setuid" (uid: Int) -> Int = ids::setuid, "all threads of the process, as in the C library; user 0 has all capabilities, every other one none";
    SETGID "setgid" (gid: Int) -> Int = ids::setgid, "all threads of the process";
    SETREUID "setreuid" (ruid: Int, euid: Int) -> Int = ids::setreuid, "all threads of the process";
    SETREGID "setregid" (rgid: Int, egid: Int) -> Int = ids::setregid, "all threads of the process";
    SETRESUID "setresuid" (ruid: Int, euid: Int, suid: Int) -> Int = ids::setresuid, "all threads of the process";
    SETRESGID "setresgid" (rgid: Int, egid: Int, sgid: Int) -> Int = ids::setresgid, "all threads of the process";
    SETFSUID "setfsuid" (uid: Int) -> Int = ids::setfsuid, "this thread only";
    SETFSGID "setfsgid" (gid: Int) -> Int = ids::setfsgid, "this thread only";
    SETGROUPS "setgroups" (count: Uint, list: Ptr) -> Int = ids::setgroups, "all threads of the process";
    CLOCK_GETTIME "clock_gettime" (clock: one(CLOCK), time: Ptr) -> Int = clock::clock_gettime, "the host's clocks; none of processor time";
    CLOCK_GETRES "clock_getres" (clock: one(CLOCK), time: Ptr) -> Int = clock::clock_getres, "";
    CLOCK_SETTIME "clock_settime" (clock: one(CLOCK), time: Timespec) -> Int = clock::clock_settime, "EPERM: the clock is the host's";
    CLOCK_NANOSLEEP "clock_nanosleep" (clock: one(CLOCK), flags: flags(TIMER), time: Timespec, left: Ptr) -> Int = clock::clock_nanosleep, "";
    NANOSLEEP "nanosleep" (time: Timespec, left: Ptr) -> Int = clock::nanosleep, "";
    GETTIMEOFDAY "gettimeofday" (time: Ptr, zone: Ptr) -> Int = clock::gettimeofday, "";
    SETTIMEOFDAY "settimeofday" (time: Ptr, zone: Ptr) -> Int = clock::settimeofday, "EPERM: the clock is the host's";
    UNAME "uname" (buf: Ptr) -> Int = system::uname, "";
    SETHOSTNAME "sethostname" (name: Bytes { len: 1 }, len: Uint) -> Int = system::sethostname, "";
    SETDOMAINNAME "setdomainname" (name: Bytes { len: 1 }, len: Uint) -> Int = system::setdomainname, "";
    SYSINFO "sysinfo" (buf: Ptr) -> Int = system::sysinfo, "";
    GETRANDOM "getrandom" (buf: Ptr, len: Uint, flags: flags(GRND)) -> Int = system::getrandom, "";
    GETRLIMIT "getrlimit" (resource: one(RLIMIT), limit: Ptr) -> Int = system::getrlimit, "";
    SETRLIMIT "setrlimit" (resource: one(RLIMIT), limit: Ptr) -> Int = system::setrlimit, "RLIMIT_FSIZE, RLIMIT_NOFILE; EPERM for a limit of what is not counted";
    PRLIMIT64 "prlimit64" (pid: Int, resource: one(RLIMIT), new: Ptr, old: Ptr) -> Int = system::prlimit64, "the caller's own";
    GETCPU "getcpu" (cpu: Ptr, node: Ptr, unused: Ptr) -> Int = system::getcpu, "always the first";
    SCHED_YIELD "sched_yield" () -> Int = system::sched_yield, "";
    PPOLL "ppoll" (fds: Pollfds { len: 1 }, count: Uint, timeout: Timespec, sigmask: Ptr, size: Uint) -> Int = wait::ppoll, "the signal mask is the caller's part";
    PSELECT6 "pselect6" (n: Int, readfds: Ptr, writefds: Ptr, exceptfds: Ptr, timeout: Timespec, sigmask: Ptr) -> Int = wait::pselect6, "the signal mask is the caller's part";
    EPOLL_CREATE1 "epoll_create1" (flags: flags(EPOLL_CREATE)) -> Int = wait::epoll_create1, "";
    EPOLL_CTL "epoll_ctl" (epfd: Fd, op: one(EPOLL_OP), fd: Fd, event: EpollEvent) -> Int = wait::epoll_ctl, "EPOLLWAKEUP is ignored";
    EPOLL_PWAIT "epoll_pwait" (epfd: Fd, events: EpollEvents, max: Int, timeout: Int, sigmask: Ptr, size: Uint) -> Int = wait::epoll_pwait, "the signal mask is the caller's part";
    EPOLL_PWAIT2 "epoll_pwait2" (epfd: Fd, events: EpollEvents, max: Int, timeout: Timespec, sigmask: Ptr, size: Uint) -> Int = wait::epoll_pwait2, "the signal mask is the caller's part";
}

/// Numbers are below this.
const NUMBERS: usize = 512;
/// No call.
const ABSENT: u16 = u16::MAX;

/// Where in [`CALLS`] each number is.
static INDEX: [u16; NUMBERS] = {
    let mut index = [ABSENT; NUMBERS];
    let mut i = 0;
    while i < CALLS.len() {
        index[CALLS[i].number] = i as u16;
        i += 1;
    }
    index
};

/// The call of that number.
pub(crate) fn find(number: usize) -> Option<&'static Call> {
    CALLS.get(usize::from(*INDEX.get(number)?))
}

/// The calls that there are, as a table in markdown, for `kernel/README.md`.
pub fn support_table() -> String {
    let mut out = String::from("| Number | Call | Notes |\n|---:|---|---|\n");
    let mut calls: Vec<&Call> = CALLS.iter().collect();
    calls.sort_by_key(|c| c.number);
    for call in calls {
        let args: Vec<&str> = call.args.iter().map(|(name, _)| *name).collect();
        out.push_str(&format!("| {} | `{}({})` | {} |\n", call.number, call.name, args.join(", "), call.note));
    }
    out.push_str("\nEvery other number answers `ENOSYS`.\n");
    out
}
