//! Calls whose arguments are values of Rust: addresses and lengths are made here.

use crate::process::Process;
use lkl_abi::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;

/// An argument of a call: one register, or two.
#[derive(Debug)]
pub(crate) enum Arg<'a> {
    /// A number, or flags.
    Num(u64),
    /// A descriptor, or `AT_FDCWD`.
    Fd(i32),
    /// An address of a string.
    Text(&'a CStr),
    /// The address and the length of what the call reads.
    In(&'a [u8]),
    /// The address and the length of what the call fills.
    Out(&'a mut [u8]),
    /// The address of a struct that the call reads. It is as long as the call's.
    Record(&'a [u8]),
    /// The address of a struct that the call fills. It is as long as the call's.
    RecordOut(&'a mut [u8]),
}

impl Process {
    /// Makes a call.
    ///
    /// # Errors
    /// What its manual page says.
    pub(crate) fn call<const N: usize>(&self, number: usize, args: [Arg<'_>; N]) -> Result<u64, Errno> {
        let mut registers = [0; 6];
        let mut room = registers.iter_mut();
        let mut put = |value: u64| {
            if let Some(register) = room.next() {
                *register = value;
            }
        };
        for arg in args {
            match arg {
                Arg::Num(n) => put(n),
                Arg::Fd(fd) => put(i64::from(fd) as u64),
                Arg::Text(text) => put(text.as_ptr() as u64),
                Arg::In(bytes) => {
                    put(bytes.as_ptr() as u64);
                    put(bytes.len() as u64);
                }
                Arg::Out(bytes) => {
                    put(bytes.as_mut_ptr() as u64);
                    put(bytes.len() as u64);
                }
                Arg::Record(bytes) => put(bytes.as_ptr() as u64),
                Arg::RecordOut(bytes) => put(bytes.as_mut_ptr() as u64),
            }
        }
        // SAFETY: each address is that of memory which is borrowed until the call ends, in the way that it uses it. Strings end in a NUL,
        // buffers go with their lengths, and structs are of the types that their calls take.
        unsafe { self.syscall(number, registers) }
    }
}

/// A path or a name as calls take it.
///
/// # Errors
/// `EINVAL` if there is a NUL in it.
pub(crate) fn text(name: impl AsRef<OsStr>) -> Result<CString, Errno> {
    CString::new(name.as_ref().as_bytes()).map_err(|_| Errno::EINVAL)
}

/// Calls `fill` with more and more room until all fits, for calls that tell how much there is (`getxattr`, `listxattr`).
///
/// # Errors
/// Those of the call.
pub(crate) fn sized(mut fill: impl FnMut(&mut [u8]) -> Result<u64, Errno>) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 256];
    loop {
        match fill(&mut value) {
            Ok(len) => {
                value.truncate(usize::try_from(len).unwrap_or(usize::MAX));
                return Ok(value);
            }
            // It may grow between the two calls.
            Err(Errno::ERANGE) => {
                let len = fill(&mut [])?;
                value.resize(usize::try_from(len).map_err(|_| Errno::E2BIG)?, 0);
            }
            Err(e) => return Err(e),
        }
    }
}
