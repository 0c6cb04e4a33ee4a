//! Reading and writing a file.

use super::Node;
use crate::fs::InodeKind;
use crate::pages::{Found, OldPage, Wrote, PAGE, PAGE_U64, RUN_MAX};
use crate::transfer::{Sink, Source};
use lkl_abi::{Errno, Result};
use lkl_file::{IovReader, IovWriter};
use std::sync::Arc;

/// Bytes that pass through memory of ours at a time, where the inode itself has the content.
const DIRECT: usize = 64 << 10;

/// Where a write begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// At this byte.
    Offset(u64),
    /// At the end (`O_APPEND`), wherever that is when the write begins.
    End,
}

/// What to try with when there is no room for `len` bytes at `at`: about half of it, up to the end of a page; `None` if that is one page.
fn shorter(at: u64, len: usize) -> Option<usize> {
    let first = (PAGE_U64 - at % PAGE_U64) as usize;
    let half = ((at + len as u64 / 2) / PAGE_U64 * PAGE_U64).saturating_sub(at) as usize;
    (len > first).then_some(half.max(first))
}

impl Node {
    /// Reads from `offset` on into a program's memory. Answers the bytes read: 0 at the end and past it.
    ///
    /// # Errors
    /// `EISDIR`, `EINVAL` if it has no content; `EFAULT` if nothing could be given to the program; `EIO`, `EUCLEAN`. After the first
    /// byte, an error is told by the next call.
    pub fn read_at(&self, out: &mut IovWriter<'_>, offset: u64) -> Result<usize> {
        self.read_into(out, offset)
    }

    /// The same into memory of the kernel.
    ///
    /// # Errors
    /// As [`Node::read_at`].
    pub fn read(&self, mut buf: &mut [u8], offset: u64) -> Result<usize> {
        self.read_into(&mut buf, offset)
    }

    /// Writes what a program gives. Answers where it began and how many bytes were written: fewer if there is no room for more, the
    /// longest file is full, or the rest cannot be read.
    ///
    /// # Errors
    /// `EISDIR`, `EINVAL` if it has no content; `EFBIG` past the longest file; `EFAULT`, `ENOSPC`, `EDQUOT`, `EIO`, `EUCLEAN` if nothing
    /// was written.
    pub fn write_at(&self, data: &mut IovReader<'_>, at: At) -> Result<(u64, usize)> {
        self.write_from(data, at)
    }

    /// The same from memory of the kernel.
    ///
    /// # Errors
    /// As [`Node::write_at`].
    pub fn write(&self, mut data: &[u8], at: At) -> Result<(u64, usize)> {
        self.write_from(&mut data, at)
    }

    pub(super) fn check_kind(&self) -> Result<()> {
        match self.kind() {
            InodeKind::Regular => Ok(()),
            InodeKind::Directory => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    fn read_into(&self, out: &mut dyn Sink, offset: u64) -> Result<usize> {
        self.check_kind()?;
        let _data = self.core.data.read();
        let mut done = 0;
        while out.room() > 0 {
            let at = offset.saturating_add(done as u64);
            let left = usize::try_from(self.size().saturating_sub(at)).unwrap_or(usize::MAX);
            let wanted = left.min(out.room());
            if wanted == 0 {
                break;
            }
            let given = if self.core.cached { self.give_cached(out, at, wanted) } else { self.give(out, at, wanted) };
            match given {
                Ok(n) => done += n,
                // What was read counts; the next call meets the same.
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Gives some of the `wanted` bytes at `at`, from the inode.
    fn give(&self, out: &mut dyn Sink, at: u64, wanted: usize) -> Result<usize> {
        let mut buf = vec![0; wanted.min(DIRECT)];
        self.core.inode.read(at, &mut buf)?;
        match out.put(&buf) {
            0 => Err(Errno::EFAULT),
            n => Ok(n),
        }
    }

    /// Gives some of the `wanted` bytes at `at`, from the pages.
    pub(super) fn give_cached(&self, out: &mut dyn Sink, at: u64, wanted: usize) -> Result<usize> {
        let (page, until) = (at / PAGE_U64, (at + wanted as u64).div_ceil(PAGE_U64));
        let (data, from) = match self.core.pages.find(page, until, self.size().div_ceil(PAGE_U64)) {
            Found::Here { data, at } => (data, at),
            Found::Missing { pages } => (self.load(page, until, pages)?, 0),
        };
        let from = from + (at % PAGE_U64) as usize;
        let part = data.get(from..data.len().min(from + wanted)).unwrap_or_default();
        match out.put(part) {
            0 => Err(Errno::EFAULT),
            n => Ok(n),
        }
    }

    /// Reads pages from the inode, and keeps them. If not all `pages` can be read, then those that are wanted, or the first one.
    fn load(&self, page: u64, until: u64, mut pages: u64) -> Result<Arc<Vec<u8>>> {
        loop {
            let len = pages as usize * PAGE;
            self.core.env.make_room(len);
            let mut data = self.core.env.filled_buffer(len);
            match self.core.inode.read(page * PAGE_U64, &mut data) {
                Ok(()) => {
                    let data = Arc::new(data);
                    self.core.pages.insert(page, data.clone());
                    return Ok(data);
                }
                Err(e) if pages == 1 => return Err(e),
                Err(_) => pages = if page + pages > until { (until - page).max(1) } else { 1 },
            }
        }
    }

    fn write_from(&self, data: &mut dyn Source, at: At) -> Result<(u64, usize)> {
        self.check_kind()?;
        let locked = self.core.data.write();
        let start = match at {
            At::Offset(at) => at,
            At::End => self.size(),
        };
        if data.left() == 0 {
            return Ok((start, 0));
        }
        let most = self.sb.size_max().saturating_sub(start);
        if most == 0 {
            return Err(Errno::EFBIG);
        }
        let total = usize::try_from(most).unwrap_or(usize::MAX).min(data.left());
        let mut done = 0;
        let result = loop {
            if done == total {
                break Ok(());
            }
            let (at, left) = (start + done as u64, total - done);
            let (written, result) =
                if self.core.cached { self.take_cached(data, at, left) } else { self.take(data, at, left) };
            done += written;
            if result.is_err() {
                break result;
            }
        };
        if done > 0 {
            self.touch_content();
        }
        drop(locked);
        if done == 0 {
            return result.map(|()| (start, 0));
        }
        if self.core.cached {
            self.mark_dirty();
            self.balance();
        }
        Ok((start, done))
    }

    /// Takes some of `left` bytes and gives them to the inode at `at`. Answers how many, and why it were not all that it meant to take.
    fn take(&self, data: &mut dyn Source, at: u64, left: usize) -> (usize, Result<()>) {
        let wanted = left.min(DIRECT);
        let mut buf = Vec::with_capacity(wanted);
        let got = data.append(&mut buf, wanted);
        let mut done = 0;
        while done < got {
            // When room runs out: as much as there is room for.
            let (from, mut len) = (at + done as u64, got - done);
            let written = loop {
                let part = buf.get(done..done + len).unwrap_or_default();
                let written = self.core.inode.write(from, &[part], (from + len as u64).max(self.size()));
                match (written, shorter(from, len)) {
                    (Err(Errno::ENOSPC | Errno::EDQUOT), Some(less)) => len = less,
                    _ => break written,
                }
            };
            match written {
                Ok(()) => done += len,
                Err(e) => return (done, Err(e)),
            }
        }
        (got, if got < wanted { Err(Errno::EFAULT) } else { Ok(()) })
    }

    /// Takes some of `left` bytes into the pages at `at`. Answers as [`Node::take`].
    fn take_cached(&self, data: &mut dyn Source, at: u64, left: usize) -> (usize, Result<()>) {
        let core = &*self.core;
        let wanted = left.min(RUN_MAX - (at % RUN_MAX as u64) as usize);
        let wanted = match self.promise(at, wanted) {
            Ok(n) => n,
            Err(e) => return (0, Err(e)),
        };
        core.env.make_room(wanted);
        let (mut done, mut old) = (0, None);
        loop {
            let place = (at + done as u64, wanted - done, self.size());
            let (written, how) = core.pages.write(place, data, old.take());
            done += written;
            core.size.fetch_max(at + done as u64, core::sync::atomic::Ordering::AcqRel);
            match how {
                Wrote::Needs(page) => match self.old_page(page) {
                    Ok(content) => old = Some(OldPage { page, content }),
                    Err(e) => return (done, Err(e)),
                },
                Wrote::All if done < wanted => return (done, Err(Errno::EFAULT)),
                Wrote::All => break,
            }
        }
        if core.env.dirty() > core.env.dirty_max() {
            // The lock is held: only this file's own.
            let _told_later = self.write_back_pages(0..u64::MAX);
        }
        (done, Ok(()))
    }

    /// A page as the inode has it.
    pub(super) fn old_page(&self, page: u64) -> Result<Vec<u8>> {
        let mut content = vec![0; PAGE];
        self.core.inode.read(page * PAGE_U64, &mut content)?;
        Ok(content)
    }

    /// Has the inode promise room for what is about to become dirty. Answers for how many of the bytes there is some.
    fn promise(&self, at: u64, len: usize) -> Result<usize> {
        let pages = |len: usize| at / PAGE_U64..(at + len as u64).div_ceil(PAGE_U64);
        if self.core.pages.all_dirty(pages(len)) {
            return Ok(len);
        }
        let reserve = |len: usize| {
            let pages = pages(len);
            self.core.inode.reserve(pages.start * PAGE_U64, (pages.end - pages.start) * PAGE_U64)
        };
        let full = match reserve(len) {
            Ok(()) => return Ok(len),
            Err(e @ (Errno::ENOSPC | Errno::EDQUOT)) => e,
            Err(e) => return Err(e),
        };
        // What was promised before may have been too much, and what was removed may be free only after a commit.
        let _told_later = self.write_back_pages(0..u64::MAX);
        let _told_later = self.sb.raw().sync();
        let mut len = len;
        loop {
            match reserve(len) {
                Ok(()) => return Ok(len),
                Err(Errno::ENOSPC | Errno::EDQUOT) => len = shorter(at, len).ok_or(full)?,
                Err(e) => return Err(e),
            }
        }
    }

    /// Too much is dirty: the writer writes back what has been dirty for longest. Holds no lock.
    pub(super) fn balance(&self) {
        let env = &self.core.env;
        if self.sb.has_many_dirty() {
            self.sb.write_back_first();
        }
        while env.dirty() > env.dirty_max() {
            if !env.supers().iter().any(|sb| sb.write_back_first()) {
                return;
            }
        }
    }
}
