//! What the arguments of a call are, for printing them as strace does.

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
    Flags(&'static [(u64, &'static str)]),
    /// One of several numbers.
    One(&'static [(u64, &'static str)]),
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
}
