//! Content past the pages, for who copies files: nothing of it stays in memory.

use super::Node;
use crate::pages::PAGE_U64;
use core::sync::atomic::Ordering;
use lkl_abi::{Errno, Result};

impl Node {
    /// Reads from `offset` on, from the inode itself. Answers the bytes read: fewer than `buf` takes only at the end.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be read by way of the pages: some of them are not written yet, or it has none; `EISDIR`, `EINVAL` if it has
    /// no content; `EIO`, `EUCLEAN`.
    pub fn read_around(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.check_kind()?;
        let core = &*self.core;
        let _data = core.data.read();
        if !core.cached || core.pages.is_dirty() {
            return Err(Errno::EOPNOTSUPP);
        }
        let len = usize::try_from(self.size().saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        if let Some(part) = buf.get_mut(..len).filter(|part| !part.is_empty()) {
            core.inode.read(offset, part)?;
        }
        Ok(len)
    }

    /// Writes all of `data` at `offset`, to the inode itself.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be written by way of the pages; `EISDIR`, `EINVAL` if it has no content; `ENOSPC`, `EIO`, `EUCLEAN`: some
    /// of the data may have been written.
    pub fn write_around(&self, data: &[u8], offset: u64) -> Result<()> {
        self.check_kind()?;
        let core = &*self.core;
        let locked = core.data.write();
        let end = offset.saturating_add(data.len() as u64);
        if !core.cached || core.pages.is_dirty() || data.is_empty() || end > self.sb.size_max() {
            return Err(Errno::EOPNOTSUPP);
        }
        core.pages.drop_clean(offset / PAGE_U64..end.div_ceil(PAGE_U64));
        core.inode.write(offset, &[data], end.max(self.size()))?;
        core.size.fetch_max(end, Ordering::AcqRel);
        self.touch_content();
        drop(locked);
        self.mark_dirty();
        Ok(())
    }
}
