//! The length of a file, and which parts of it have blocks.

use super::{Late, Node};
use crate::fs::{Inode, InodeKind, Range, Seek};
use crate::pages::{OldPage, PAGE, PAGE_U64};
use core::sync::atomic::Ordering;
use lkl_abi::{Errno, Result};

impl Node {
    /// Sets the length. What is added is a hole.
    ///
    /// # Errors
    /// `EISDIR`, `EINVAL` if it is no regular file; `EFBIG` past the longest file; `ENOSPC`, `EIO`, `EUCLEAN`.
    pub fn truncate(&self, size: u64) -> Result<()> {
        self.check_kind()?;
        if size > self.sb.size_max() {
            return Err(Errno::EFBIG);
        }
        let done = self.truncate_locked(size);
        self.mark_if_dirty();
        done
    }

    fn truncate_locked(&self, size: u64) -> Result<()> {
        let _data = self.core.data.write();
        let core = &*self.core;
        if !core.cached {
            return core.inode.truncate(size, core.env.now());
        }
        let old = core.size.load(Ordering::Acquire);
        if size < old {
            // The rest of the page that has the new end in it, for who makes the file longer again.
            self.zero_part(size, size.next_multiple_of(PAGE_U64).min(old))?;
            core.pages.discard(size.div_ceil(PAGE_U64)..u64::MAX);
        }
        core.inode.truncate(size, core.env.now())?;
        core.size.store(size, Ordering::Release);
        self.content_times_told();
        Ok(())
    }

    /// Puts it into the list of dirty files, if it is one. Holds no lock.
    fn mark_if_dirty(&self) {
        if self.core.pages.is_dirty() {
            self.mark_dirty();
        }
    }

    /// The inode has newer times of its content than those that are late.
    fn content_times_told(&self) {
        let mut late = self.core.late.lock();
        *late = Late { atime: late.atime, ..Late::default() };
    }

    /// Makes bytes of one page zeroes, below the file's end, with the lock of data held exclusively.
    fn zero_part(&self, from: u64, to: u64) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        let core = &*self.core;
        let page = from / PAGE_U64;
        let mut content = vec![0; PAGE];
        let start = page * PAGE_U64;
        let len = (core.size.load(Ordering::Acquire) - start).min(PAGE_U64) as usize;
        let mut room = content.get_mut(..len).unwrap_or_default();
        if self.give_cached(&mut room, start, len)? < len {
            return Err(Errno::EIO);
        }
        let (low, high) = ((from - start) as usize, (to - start) as usize);
        let part = content.get(low..high).unwrap_or_default();
        if part.iter().all(|b| *b == 0) {
            // Perhaps a hole: it stays one.
            return Ok(());
        }
        core.inode.reserve(start, PAGE_U64)?;
        let zeroes = vec![0; high - low];
        let place = (from, high - low, core.size.load(Ordering::Acquire));
        core.pages.write(place, &mut zeroes.as_slice(), Some(OldPage { page, content }));
        Ok(())
    }

    /// Changes which parts of the file have blocks (`man 2 fallocate`).
    ///
    /// # Errors
    /// `EINVAL` for an empty range, and as [`Inode::fallocate`](crate::Inode::fallocate) says; `EISDIR`, `ENODEV` if it is no regular
    /// file; `EFBIG` past the longest file; `EOPNOTSUPP`, `ENOSPC`, `EIO`, `EUCLEAN`.
    pub fn fallocate(&self, range: Range, offset: u64, len: u64) -> Result<()> {
        match self.kind() {
            InodeKind::Regular => {}
            InodeKind::Directory => return Err(Errno::EISDIR),
            InodeKind::Fifo => return Err(Errno::ESPIPE),
            _ => return Err(Errno::ENODEV),
        }
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        let end = offset.checked_add(len).filter(|end| *end <= self.sb.size_max()).ok_or(Errno::EFBIG)?;
        let done = self.fallocate_locked(range, offset, end);
        self.mark_if_dirty();
        done
    }

    fn fallocate_locked(&self, range: Range, offset: u64, end: u64) -> Result<()> {
        let len = end - offset;
        let _data = self.core.data.write();
        let core = &*self.core;
        if !core.cached {
            return core.inode.fallocate(range, offset, len, core.env.now());
        }
        core.inode.allows(range)?;
        let size = core.size.load(Ordering::Acquire);
        match range {
            Range::Collapse if end >= size => return Err(Errno::EINVAL),
            Range::Insert if offset >= size => return Err(Errno::EINVAL),
            Range::Insert if size + len > self.sb.size_max() => return Err(Errno::EFBIG),
            Range::PunchHole | Range::Zero { .. } => self.zero_ends(offset, end.min(size))?,
            _ => {}
        }
        self.write_back_pages(0..u64::MAX)?;
        match range {
            Range::Collapse | Range::Insert => core.pages.discard(offset / PAGE_U64..u64::MAX),
            Range::PunchHole | Range::Zero { .. } => {
                core.pages.discard(offset.div_ceil(PAGE_U64)..end / PAGE_U64);
                // The last page of the file, however much of it there is.
                if end >= size && offset <= size / PAGE_U64 * PAGE_U64 {
                    core.pages.discard(offset.div_ceil(PAGE_U64)..u64::MAX);
                }
            }
            // Pages that were holes are zeroes, as before.
            Range::Allocate { .. } => {}
        }
        core.inode.fallocate(range, offset, len, core.env.now())?;
        let size = match range {
            Range::Allocate { keep_size: false } | Range::Zero { keep_size: false } => size.max(end),
            Range::Collapse => size - len,
            Range::Insert => size + len,
            _ => size,
        };
        core.size.store(size, Ordering::Release);
        self.content_times_told();
        Ok(())
    }

    /// Makes the parts of pages at both ends of a range zeroes.
    fn zero_ends(&self, from: u64, to: u64) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        if from % PAGE_U64 != 0 {
            self.zero_part(from, to.min(from.next_multiple_of(PAGE_U64)))?;
        }
        let last = to / PAGE_U64 * PAGE_U64;
        if to % PAGE_U64 != 0 && last >= from {
            self.zero_part(last, to)?;
        }
        Ok(())
    }

    /// The first byte at or after `offset` that is in data or in a hole (`man 2 lseek`).
    ///
    /// # Errors
    /// `ENXIO` at or past the end, and if there is no more data; `EIO`, `EUCLEAN`, and those of write-back.
    pub fn seek(&self, what: Seek, offset: u64) -> Result<u64> {
        self.settled(|inode| {
            let size = self.size();
            if offset >= size {
                return Err(Errno::ENXIO);
            }
            inode.seek(what, offset, size)
        })
    }

    /// Asks the file system what only it can say: where data and holes are. What is dirty is written first.
    pub(crate) fn settled<T>(&self, ask: impl FnOnce(&dyn Inode) -> Result<T>) -> Result<T> {
        if self.core.pages.is_dirty() {
            let _data = self.core.data.write();
            self.write_back_pages(0..u64::MAX)?;
        }
        let _data = self.core.data.read();
        ask(&*self.core.inode)
    }
}
