//! The length of a file, and which parts of it have blocks.

use super::Node;
use crate::fs::{Range, Seek};
use lkl_abi::{Errno, Result};

impl Node {
    /// Sets the length. What is added is a hole.
    ///
    /// # Errors
    /// `EFBIG` past the longest file, `EINVAL` if it is no regular file; `ENOSPC`, `EIO`, `EUCLEAN`.
    pub fn truncate(&self, size: u64) -> Result<()> {
        if size > self.sb.size_max() {
            return Err(Errno::EFBIG);
        }
        let _data = self.core.data.write();
        self.core.inode.truncate(size, self.core.env.now())
    }

    /// Changes which parts of the file have blocks (`man 2 fallocate`).
    ///
    /// # Errors
    /// `EINVAL` for an empty range, and as [`Inode::fallocate`](crate::Inode::fallocate) says; `EFBIG` past the longest file;
    /// `EOPNOTSUPP`, `ENOSPC`, `EIO`, `EUCLEAN`.
    pub fn fallocate(&self, range: Range, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        if offset.checked_add(len).is_none_or(|end| end > self.sb.size_max()) {
            return Err(Errno::EFBIG);
        }
        let _data = self.core.data.write();
        self.core.inode.fallocate(range, offset, len, self.core.env.now())
    }

    /// The first byte at or after `offset` that is in data or in a hole (`man 2 lseek`).
    ///
    /// # Errors
    /// `ENXIO` at or past the end, and if there is no more data; `EIO`, `EUCLEAN`, and those of write-back.
    pub fn seek(&self, what: Seek, offset: u64) -> Result<u64> {
        let _data = self.core.data.read();
        let size = self.size();
        if offset >= size {
            return Err(Errno::ENXIO);
        }
        self.core.inode.seek(what, offset, size)
    }
}
