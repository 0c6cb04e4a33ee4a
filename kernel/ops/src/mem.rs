//! The memory of the calling program.

use lkl_abi::Result;

/// Access to the caller's memory. A bad address is `EFAULT`, never a crash.
pub trait UserMem: Send + Sync {
    /// Copies `buf.len()` bytes at `addr` into `buf`.
    ///
    /// # Errors
    /// `EFAULT` if any byte cannot be read.
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()>;

    /// Can the `len` bytes at `addr` be a program's at all? Those beyond a program's half of the addresses cannot, which calls say before they
    /// look at anything else.
    fn is_programs(&self, addr: u64, len: u64) -> bool {
        addr.checked_add(len).is_some()
    }

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

    /// Reads a string that ends with a NUL, which does not come with it. `None` if it has more than `max` bytes. This reads up to the next
    /// 64-byte line at a time, perhaps beyond the end of the string.
    ///
    /// # Errors
    /// `EFAULT` if any byte of it cannot be read.
    fn string(&self, addr: u64, max: usize) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let mut at = addr;
        while bytes.len() <= max {
            // What lies behind the end may not be readable.
            let mut line = [0; 64];
            let n = 64 - (at % 64) as usize;
            let piece = line.get_mut(..n).unwrap_or_default();
            self.read(at, piece)?;
            if let Some(end) = piece.iter().position(|b| *b == 0) {
                bytes.extend_from_slice(piece.get(..end).unwrap_or_default());
                return Ok((bytes.len() <= max).then_some(bytes));
            }
            bytes.extend_from_slice(piece);
            at = at.wrapping_add(n as u64);
        }
        Ok(None)
    }
}
