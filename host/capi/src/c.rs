//! The C API: what `include/lkl.h` and its neighbours declare.
//!
//! * [`types`]: the structs of the headers.
//! * [`ops`]: `lkl_host_ops`, what the host's operations are made of.
//! * [`instance`]: kernels, and who of the callers is in which. [`start`]: how one begins and ends.
//! * [`call`]: `lkl_syscall`. [`log`]: what is printed.
//! * [`disk`], [`mount`], [`dir`]: disks, mounting, directories.
//! * [`config`]: JSON and environment variables. [`debug`]: a shell for Ctrl-Z.
//! * [`net`]: configuration of the network. [`netdev`]: devices.
//!
//! Every function may be called at any time: before a kernel starts and after it ends, what needs one answers `-ENODEV`. Pointers are taken at
//! their word, as everywhere in C, but null ones, which are `EINVAL` or `EFAULT`.

#![expect(unreachable_pub, reason = "functions of C are reached by their names")]

mod call;
mod config;
mod debug;
mod dir;
mod disk;
mod instance;
mod irq;
mod log;
mod mount;
mod net;
mod netdev;
mod ops;
mod start;
mod text;
mod timer;
mod types;

use lkl_abi::Errno;

/// A result as the C API answers it.
fn answer(result: Result<u64, Errno>) -> i64 {
    match result {
        Ok(value) => value as i64,
        Err(e) => -i64::from(e.0),
    }
}

/// The same for functions that answer an `int`.
fn status<T: TryInto<i32>>(result: Result<T, Errno>) -> i32 {
    match result {
        Ok(value) => value.try_into().unwrap_or(i32::MAX),
        Err(e) => -e.0,
    }
}
