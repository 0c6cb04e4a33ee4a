//! Files of a kernel's own tree, as they are shown at the end (LKL's `dump`).

use lkl_abi::fcntl::AT_FDCWD;
use lkl_abi::{nr, Errno, Result};
use std::ffi::CString;

/// A whole file, read by system calls: `call` makes one, by its generic number, in a process of the kernel that has this memory.
///
/// # Errors
/// `EINVAL` for a path with a nul; those of `open` and `read`.
pub fn read(call: impl Fn(usize, [u64; 6]) -> Result<u64>, path: &str) -> Result<Vec<u8>> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let fd = call(nr::OPENAT, [AT_FDCWD as u64, path.as_ptr() as u64, 0, 0, 0, 0])?;
    let (mut all, mut piece) = (Vec::new(), vec![0u8; 4096]);
    let result = loop {
        match call(nr::READ, [fd, piece.as_mut_ptr() as u64, piece.len() as u64, 0, 0, 0]) {
            Ok(0) => break Ok(all),
            Ok(n) => all.extend_from_slice(piece.get(..n as usize).unwrap_or_default()),
            Err(e) => break Err(e),
        }
    };
    let _closed = call(nr::CLOSE, [fd, 0, 0, 0, 0, 0]);
    result
}
