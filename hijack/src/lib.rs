//! `liblkl-hijack.so`: preloaded into an unmodified program, it serves the program's network by our own kernel.
//!
//! ```text
//!  hooks    trap      libc's symbols; libc's own system calls, patched in memory
//!      \    /
//!      route          whose call is it: fds (by descriptor), paths (by name)
//!     /  |   \
//!  door mixed transfer    one call into the kernel; waiting for, and moving between, files of both owners
//!     |
//!  lkl-kernel, lkl-host
//! ```
//!
//! * [`handover`]: sockets that become the host's, because of the address that they are used with.
//! * [`keeper`]: the process that has the kernel when the program is gone. [`tree`]: the processes that share it.
//! * [`signal`]: handlers wait while a thread is inside; `EINTR` and `SA_RESTART`. [`thread`]: what is known of each thread.
//! * [`dump`]: files that are shown at the end. [`limits`]: how long files may become. [`exec`]: what a new program takes along. [`start`]: the constructor, and the end.
//! * [`mem`]: the program's memory, with `EFAULT`. [`xlate`]: x86-64's ABI and the generic one.
//! * [`sys`], [`alloc`], [`raw`]: the host without libc, memory without `malloc`, threads without pthreads.
//!
//! Rules: nothing here calls libc by a name that is exported here. A thread that allocates or holds a lock is inside
//! ([`thread::Inside`]), so that no signal handler of the program finds it so.

#![cfg_attr(test, expect(dead_code, reason = "the test program is not hijacked: its symbols are libc's"))]

mod alloc;
mod door;
mod dump;
mod exec;
mod fds;
mod guarded;
mod handover;
#[expect(unreachable_pub, reason = "the symbols are exported by name")]
mod hooks;
mod image;
mod keeper;
mod limits;
mod mem;
mod mixed;
mod panics;
mod paths;
mod raw;
mod rights;
mod ring;
mod route;
mod signal;
mod start;
mod sys;
mod thread;
mod transfer;
mod trap;
mod tree;
mod xlate;
