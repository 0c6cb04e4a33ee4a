//! Write-back, and making a file durable.

use super::Node;
use crate::errseq::ErrorMark;
use core::ops::Range;
use core::sync::atomic::Ordering;
use lkl_abi::Result;

impl Node {
    /// Makes all that was written before durable, with the attributes, or only those that are needed to read it
    /// (`man 2 fsync`, `man 2 fdatasync`). An error of write-back is told once for all who use this.
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`, `EDQUOT`: something that was written is lost.
    pub fn fsync(&self, data_only: bool) -> Result<()> {
        self.fsync_file(data_only, &self.core.told)
    }

    /// The same for an open file, which is told each error once: `mark` is its own.
    ///
    /// # Errors
    /// As [`Node::fsync`].
    pub fn fsync_file(&self, data_only: bool, mark: &ErrorMark) -> Result<()> {
        let _ = self.write_back(0..u64::MAX);
        let synced = if self.sb.read_only() { Ok(()) } else { self.core.inode.fsync(data_only) };
        self.core.errors.check(mark).and(synced)
    }

    /// Writes the dirty pages of a range of bytes. They need not be durable then.
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`, `EDQUOT`, which later calls of [`Node::fsync`] tell as well.
    pub fn write_back(&self, range: Range<u64>) -> Result<()> {
        let _ = range;
        Ok(())
    }

    /// Lets the clean pages of a range go (`POSIX_FADV_DONTNEED`).
    pub fn drop_pages(&self, range: Range<u64>) {
        let _ = range;
    }

    /// Writes back all of it: it has been taken out of the list of dirty files.
    pub(crate) fn write_back_listed(&self) {
        self.core.listed.store(false, Ordering::Release);
        let _ = self.write_back(0..u64::MAX);
        let late = *self.core.late.lock();
        if late != super::Late::default() {
            let _ = self.change(&crate::fs::ChangeAttr::default());
        }
    }
}
