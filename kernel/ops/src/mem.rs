//! The memory of the calling program.

use lkl_abi::Result;

/// Access to the caller's memory. A bad address is `EFAULT`, never a crash.
pub trait UserMem: Send + Sync {
    /// Copies `buf.len()` bytes at `addr` into `buf`.
    ///
    /// # Errors
    /// `EFAULT` if any byte cannot be read.
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()>;

    /// Appends the `len` bytes at `addr` to `out`. For much data: an implementation can do without clearing the room first.
    ///
    /// # Errors
    /// `EFAULT` if any byte cannot be read; `out` is as it was then.
    fn append(&self, addr: u64, len: usize, out: &mut Vec<u8>) -> Result<()> {
        let before = out.len();
        out.resize(before + len, 0);
        let result = out.get_mut(before..).map_or(Ok(()), |room| self.read(addr, room));
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// Copies `data` to `addr`.
    ///
    /// # Errors
    /// `EFAULT` if any byte cannot be written; some may have been.
    fn write(&self, addr: u64, data: &[u8]) -> Result<()>;
}
