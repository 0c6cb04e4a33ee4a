//! What the arguments of a call are, for printing them as strace does.

/// Numbers and their names.
pub(crate) type Symbols = [(u64, &'static str)];

macro_rules! symbols {
    ($module:ident: $($name:ident),*) => {
        &[$((lkl_abi::$module::$name as u64, stringify!($name))),*]
    };
}

/// The kind of one argument. An index is that of the argument that says more about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arg {
    /// A descriptor.
    Fd,
    /// A directory's descriptor, or `AT_FDCWD`.
    AtFd,
    /// A number with a sign.
    Int,
    /// A number without one.
    Uint,
    /// An octal mode.
    Octal,
    /// An address.
    Ptr,
    /// A path.
    Path,
    /// A set of flags.
    Flags(&'static Symbols),
    /// A request of `ioctl`.
    Request,
    /// One of several numbers.
    One(&'static Symbols),
    /// `SOCK_*`, with flags.
    SockType,
    /// A protocol number, whose meaning depends on the family in argument 0.
    Protocol,
    /// Bytes given, with their count in argument `len`.
    Bytes { len: usize },
    /// Bytes received: as many as the call answers.
    Received,
    /// An address given, with its length in argument `len`.
    Name { len: usize },
    /// An address received, with the address of its length in argument `len`.
    NameOut { len: usize },
    /// The address of an `int`.
    IntPtr,
    /// The value of an option given, with its length in argument `len`.
    Value { len: usize },
    /// The value of an option received, with the address of its length in argument `len`.
    ValueOut { len: usize },
    /// The name of an option, of the level in argument `level`.
    OptName { level: usize },
    /// Pieces of memory given, with their count in argument `len`.
    Iov { len: usize },
    /// Pieces of memory to fill.
    IovOut { len: usize },
    /// A `struct msghdr`.
    Msg,
    /// The same, received.
    MsgOut,
    /// An array of `struct pollfd` with the count in argument `len`.
    Pollfds { len: usize },
    /// A `struct epoll_event`.
    EpollEvent,
    /// `struct epoll_event`s received: as many as the call answers.
    EpollEvents,
    /// A `struct timespec`.
    Timespec,
}

/// What a call answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ret {
    /// A number.
    Int,
    /// Open flags (`F_GETFL`) and other bits.
    Hex,
    /// A mode.
    Octal,
}

/// `AF_*`
pub(crate) static FAMILY: &Symbols = symbols!(socket: AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET);
/// `SOCK_*`
pub(crate) static SOCK_KIND: &Symbols =
    symbols!(socket: SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET);
/// Flags of `SOCK_*`.
pub(crate) static ACCEPT: &Symbols = symbols!(socket: SOCK_CLOEXEC, SOCK_NONBLOCK);
/// `SHUT_*`
pub(crate) static SHUT: &Symbols = symbols!(socket: SHUT_RD, SHUT_WR, SHUT_RDWR);
/// `SOL_*`
pub(crate) static LEVEL: &Symbols =
    symbols!(socket: SOL_IP, SOL_SOCKET, SOL_TCP, SOL_UDP, SOL_IPV6, SOL_ICMPV6, SOL_RAW, SOL_PACKET, SOL_NETLINK);
/// `SO_*`
pub(crate) static SO: &Symbols = symbols!(socket: SO_DEBUG, SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_DONTROUTE, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_OOBINLINE, SO_NO_CHECK, SO_PRIORITY, SO_LINGER, SO_BSDCOMPAT, SO_REUSEPORT, SO_PASSCRED, SO_PEERCRED, SO_RCVLOWAT, SO_SNDLOWAT, SO_RCVTIMEO_OLD, SO_SNDTIMEO_OLD, SO_SECURITY_AUTHENTICATION, SO_SECURITY_ENCRYPTION_TRANSPORT, SO_SECURITY_ENCRYPTION_NETWORK, SO_BINDTODEVICE, SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_PEERNAME, SO_TIMESTAMP_OLD, SO_ACCEPTCONN, SO_PEERSEC, SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_PASSSEC, SO_TIMESTAMPNS_OLD, SO_MARK, SO_TIMESTAMPING_OLD, SO_PROTOCOL, SO_DOMAIN, SO_RXQ_OVFL, SO_WIFI_STATUS, SO_PEEK_OFF, SO_NOFCS, SO_LOCK_FILTER, SO_SELECT_ERR_QUEUE, SO_BUSY_POLL, SO_MAX_PACING_RATE, SO_BPF_EXTENSIONS, SO_INCOMING_CPU, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF, SO_CNX_ADVICE, SO_MEMINFO, SO_INCOMING_NAPI_ID, SO_COOKIE, SO_PEERGROUPS, SO_ZEROCOPY, SO_TXTIME, SO_BINDTOIFINDEX, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW, SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW, SO_DETACH_REUSEPORT_BPF, SO_PREFER_BUSY_POLL, SO_BUSY_POLL_BUDGET, SO_NETNS_COOKIE, SO_BUF_LOCK, SO_RESERVE_MEM, SO_TXREHASH, SO_RCVMARK);
/// `MSG_*`
pub(crate) static MSG: &Symbols = symbols!(socket: MSG_OOB, MSG_PEEK, MSG_DONTROUTE, MSG_CTRUNC, MSG_PROBE, MSG_TRUNC, MSG_DONTWAIT, MSG_EOR, MSG_WAITALL, MSG_FIN, MSG_SYN, MSG_CONFIRM, MSG_RST, MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_MORE, MSG_WAITFORONE, MSG_ZEROCOPY, MSG_FASTOPEN, MSG_CMSG_CLOEXEC, MSG_CMSG_COMPAT);
/// `O_*`
pub(crate) static OPEN: &Symbols = symbols!(fcntl: O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, O_APPEND, O_NONBLOCK, O_DSYNC, O_DIRECT, O_LARGEFILE, O_DIRECTORY, O_NOFOLLOW, O_NOATIME, O_CLOEXEC, O_PATH, O_SYNC_BIT, O_TMPFILE_BIT);
/// `FALLOC_FL_*`
pub(crate) static FALLOC: &Symbols = symbols!(falloc: FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE);
/// `SYNC_FILE_RANGE_*`
pub(crate) static SYNC_RANGE: &Symbols =
    symbols!(fs: SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE, SYNC_FILE_RANGE_WAIT_AFTER);
/// `RENAME_*`
pub(crate) static RENAME: &Symbols = symbols!(fs: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT);
/// `MFD_*`
pub(crate) static MFD: &Symbols =
    symbols!(memfd: MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC);
/// `MS_*`
pub(crate) static MS: &Symbols = symbols!(mount: MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_SYNCHRONOUS, MS_REMOUNT, MS_MANDLOCK, MS_DIRSYNC, MS_NOSYMFOLLOW, MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_MOVE, MS_REC, MS_SILENT, MS_POSIXACL, MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_RELATIME, MS_I_VERSION, MS_STRICTATIME, MS_LAZYTIME);
/// `MNT_*`
pub(crate) static MNT: &Symbols = symbols!(mount: MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW);
/// Events and flags of a watch.
pub(crate) static IN: &Symbols = symbols!(inotify: IN_ACCESS, IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF, IN_UNMOUNT, IN_Q_OVERFLOW, IN_IGNORED, IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_MASK_CREATE, IN_MASK_ADD, IN_ISDIR, IN_ONESHOT);
/// Flags of `inotify_init1`.
pub(crate) static INOTIFY: &Symbols = symbols!(inotify: IN_CLOEXEC, IN_NONBLOCK);
/// Flags of `unlinkat`.
pub(crate) static UNLINK: &Symbols = symbols!(fcntl: AT_REMOVEDIR);
/// `F_*`
pub(crate) static FCNTL: &Symbols = symbols!(fcntl: F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG, F_SETOWN_EX, F_GETOWN_EX, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE, F_GETLEASE, F_NOTIFY, F_DUPFD_QUERY, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS, F_GET_RW_HINT, F_SET_RW_HINT);
/// `AT_*`
pub(crate) static AT: &Symbols = symbols!(fcntl: AT_SYMLINK_NOFOLLOW, AT_EACCESS, AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC);
/// `R_OK` and its like.
pub(crate) static ACCESS: &Symbols = symbols!(fcntl: R_OK, W_OK, X_OK);
/// `SEEK_*`
pub(crate) static WHENCE: &Symbols = symbols!(fcntl: SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE);
/// `CLOSE_RANGE_*`
pub(crate) static CLOSE_RANGE: &Symbols = symbols!(fcntl: CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC);
/// Flags of `epoll_create1`.
pub(crate) static EPOLL_CREATE: &Symbols = symbols!(epoll: EPOLL_CLOEXEC);
/// `EPOLL_CTL_*`
pub(crate) static EPOLL_OP: &Symbols = symbols!(epoll: EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD);
/// `EPOLL*`
pub(crate) static EPOLL: &Symbols = symbols!(epoll: EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLNVAL, EPOLLRDNORM, EPOLLRDBAND, EPOLLWRNORM, EPOLLWRBAND, EPOLLMSG, EPOLLRDHUP, EPOLLEXCLUSIVE, EPOLLWAKEUP, EPOLLONESHOT, EPOLLET);
/// Requests of `ioctl`.
pub(crate) static IOCTL: &Symbols = symbols!(ioctls: FIONREAD, SIOCOUTQ, FIONBIO, FIONCLEX, FIOCLEX, FIOASYNC, FIOQSIZE, FIOSETOWN, SIOCSPGRP, FIOGETOWN, SIOCGPGRP, SIOCATMARK, SIOCGSTAMP_OLD, SIOCGSTAMPNS_OLD, SIOCOUTQNSD);
/// `SPLICE_F_*`
pub(crate) static SPLICE: &Symbols = symbols!(splice: SPLICE_F_MOVE, SPLICE_F_NONBLOCK, SPLICE_F_MORE, SPLICE_F_GIFT);
/// `EFD_*`
pub(crate) static EVENTFD: &Symbols = symbols!(eventfd: EFD_SEMAPHORE, EFD_CLOEXEC, EFD_NONBLOCK);
/// Flags of `signalfd4`.
pub(crate) static SIGNALFD: &Symbols = symbols!(signalfd: SFD_CLOEXEC, SFD_NONBLOCK);
/// Flags of `timerfd_create`.
pub(crate) static TIMERFD: &Symbols = symbols!(timerfd: TFD_CLOEXEC, TFD_NONBLOCK);
/// Flags of `timerfd_settime`.
pub(crate) static TIMERFD_SET: &Symbols = symbols!(timerfd: TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET);
/// `RWF_*`
pub(crate) static RWF: &Symbols =
    symbols!(uio: RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, RWF_NOAPPEND, RWF_DONTCACHE);
/// `CLOCK_*`
pub(crate) static CLOCK: &Symbols = symbols!(clock: CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM, CLOCK_TAI);
/// `TIMER_*`
pub(crate) static TIMER: &Symbols = symbols!(clock: TIMER_ABSTIME);
/// `GRND_*`
pub(crate) static GRND: &Symbols = symbols!(random: GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE);
/// `RLIMIT_*`
pub(crate) static RLIMIT: &Symbols = symbols!(resource: RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO, RLIMIT_RTTIME);
/// No names at all.
pub(crate) static NONE: &Symbols = &[];
/// Requests of `ioctl` to network devices.
pub(crate) static SIOC: &Symbols = symbols!(sockios: SIOCADDRT, SIOCDELRT, SIOCRTMSG, SIOCGIFNAME, SIOCSIFLINK, SIOCGIFCONF, SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCGIFADDR, SIOCSIFADDR, SIOCGIFDSTADDR, SIOCSIFDSTADDR, SIOCGIFBRDADDR, SIOCSIFBRDADDR, SIOCGIFNETMASK, SIOCSIFNETMASK, SIOCGIFMETRIC, SIOCSIFMETRIC, SIOCGIFMEM, SIOCSIFMEM, SIOCGIFMTU, SIOCSIFMTU, SIOCSIFNAME, SIOCSIFHWADDR, SIOCGIFENCAP, SIOCGIFHWADDR, SIOCGIFSLAVE, SIOCADDMULTI, SIOCDELMULTI, SIOCGIFINDEX, SIOCSIFPFLAGS, SIOCGIFPFLAGS, SIOCDIFADDR, SIOCSIFHWBROADCAST, SIOCGIFCOUNT, SIOCGIFTXQLEN, SIOCSIFTXQLEN, SIOCETHTOOL, SIOCGMIIPHY, SIOCGMIIREG, SIOCSMIIREG, SIOCDARP, SIOCGARP, SIOCSARP, SIOCGIFMAP, SIOCSIFMAP, SIOCBRADDBR, SIOCBRDELBR, SIOCSHWTSTAMP, SIOCGHWTSTAMP);
