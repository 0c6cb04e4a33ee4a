//! The memory of the calling program.

use lkl_abi::Result;

/// Access to the caller's memory. A bad address is `EFAULT`, never a crash.
pub trait UserMem: Send + Sync {
    /// Copies `buf.len()` bytes at `addr` into `buf`.
    ///
    /// # Errors
    /// `EFAULT` if any byte cannot be read.
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()>;

    /// Copies `data` to `addr`.
    ///
    /// # Errors
    /// `EFAULT` if any byte cannot be written; some may have been.
    fn write(&self, addr: u64, data: &[u8]) -> Result<()>;
}
