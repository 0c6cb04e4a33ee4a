//! `poll` and `select` (`asm-generic/poll.h`; `man 2 poll`, `man 2 select`). The bits of `events` are those of
//! [`crate::epoll`].

/// Bytes of `struct pollfd`.
pub const POLLFD_SIZE: usize = 8;
/// Most descriptors that `select` takes in a program's `fd_set` (the kernel's own limit is the size of the table).
pub const FD_SETSIZE: usize = 1024;

/// What of `poll`'s events makes a descriptor readable for `select`.
pub const SELECT_IN: u32 = 0x0c1 | 0x018;
/// What makes it writable.
pub const SELECT_OUT: u32 = 0x304 | 0x008;
/// What makes it exceptional.
pub const SELECT_EX: u32 = 0x002;
