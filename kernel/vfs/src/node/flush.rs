//! Write-back, and making a file durable.

use super::{Late, Node};
use crate::errseq::ErrorMark;
use crate::fs::ChangeAttr;
use crate::pages::{Piece, PAGE_U64};
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
        let _told_below = self.write_back(0..u64::MAX);
        let times = if data_only { Ok(()) } else { self.write_back_times() };
        let synced = if self.sb.read_only() { Ok(()) } else { self.core.inode.fsync(data_only) };
        self.core.errors.check(mark).and(times).and(synced)
    }

    /// Writes the dirty pages of a range of bytes (`man 2 sync_file_range`). They need not be durable then.
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`, `EDQUOT`, which later calls of [`Node::fsync`] tell as well.
    pub fn write_back(&self, range: Range<u64>) -> Result<()> {
        let end = range.end.div_ceil(PAGE_U64);
        let (mut next, mut result) = (range.start / PAGE_U64, Ok(()));
        // For each run anew: who reads the file meanwhile need not wait for all.
        while self.core.pages.is_dirty() {
            let _data = self.core.data.write();
            let Some((at, written)) = self.write_back_run(next..end) else { break };
            next = at;
            result = result.and(written);
        }
        result
    }

    /// The same for a range of pages, with the lock of data held exclusively all the time.
    pub(super) fn write_back_pages(&self, pages: Range<u64>) -> Result<()> {
        let (mut next, mut result) = (pages.start, Ok(()));
        while let Some((at, written)) = self.write_back_run(next..pages.end) {
            next = at;
            result = result.and(written);
        }
        result
    }

    /// Writes the first dirty run of a range, with the lock of data held exclusively. Answers the page after it.
    fn write_back_run(&self, pages: Range<u64>) -> Option<(u64, Result<()>)> {
        let core = &*self.core;
        let (first, pieces) = core.pages.next_dirty(pages)?;
        let bytes: Vec<&[u8]> = pieces.iter().map(Piece::bytes).collect();
        let offset = first * PAGE_U64;
        let len = bytes.iter().map(|b| b.len() as u64).sum::<u64>();
        let end = first + len / PAGE_U64;
        let written = core.inode.write(offset, &bytes, core.size.load(Ordering::Acquire));
        drop(bytes);
        drop(pieces);
        // What could not be written is lost once its memory is needed, as on Linux: else it would be in the way for ever.
        core.pages.clean(first..end);
        if let Err(error) = written {
            let ino = core.ino;
            tracing::error!(target: "lkl::vfs", "write-back of {len} bytes at byte {offset} of file {ino}: {error}");
            core.errors.set(error);
            self.sb.failed(error);
        }
        Some((end, written))
    }

    /// Gives the times that are late to the inode.
    fn write_back_times(&self) -> Result<()> {
        if *self.core.late.lock() == Late::default() || self.sb.read_only() {
            return Ok(());
        }
        let _data = self.core.data.write();
        if *self.core.late.lock() == Late::default() {
            return Ok(());
        }
        self.change_locked(&ChangeAttr::default())
    }

    /// Lets the clean pages of a range of bytes go (`POSIX_FADV_DONTNEED`): those that are in it as a whole.
    pub fn drop_pages(&self, range: Range<u64>) {
        self.core.pages.drop_clean(range.start.div_ceil(PAGE_U64)..range.end / PAGE_U64);
    }

    /// Writes back all of it: it has been taken out of the list of dirty files. Errors are kept for who asks.
    pub(crate) fn write_back_listed(&self) {
        self.core.listed.store(false, Ordering::Release);
        let _told_later = self.write_back(0..u64::MAX);
        if let Err(error) = self.write_back_times() {
            tracing::error!(target: "lkl::vfs", ino = self.core.ino, %error, "attributes could not be written");
            // They are lost, as content that could not be written is.
            *self.core.late.lock() = Late::default();
            self.core.errors.set(error);
            self.sb.failed(error);
        }
    }
}
