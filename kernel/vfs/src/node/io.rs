//! Reading and writing a file.

use super::Node;
use crate::fs::InodeKind;
use lkl_abi::{Errno, Result};
use lkl_file::{IovReader, IovWriter};

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

/// Whom bytes go to.
pub(super) trait Sink {
    fn room(&self) -> usize;
    /// Takes as many as it can.
    fn put(&mut self, data: &[u8]) -> usize;
}

/// Whom bytes come from.
pub(super) trait Source {
    fn left(&self) -> usize;
    /// Fills as much of `buf` as it can.
    fn get(&mut self, buf: &mut [u8]) -> usize;
}

/// Tries with all, then with ever less, so that what lies before a bad address is done.
fn bisect(len: usize, mut step: impl FnMut(usize, usize) -> bool) -> usize {
    let (mut done, mut size) = (0, len);
    while size > 0 && done < len {
        size = size.min(len - done);
        if step(done, size) {
            done += size;
        } else {
            size /= 2;
        }
    }
    done
}

impl Sink for IovWriter<'_> {
    fn room(&self) -> usize {
        self.remaining()
    }

    fn put(&mut self, data: &[u8]) -> usize {
        bisect(data.len().min(self.remaining()), |at, len| {
            let before = *self;
            let ok = data.get(at..at + len).is_some_and(|d| self.write(d).is_ok());
            if !ok {
                *self = before;
            }
            ok
        })
    }
}

impl Source for IovReader<'_> {
    fn left(&self) -> usize {
        self.remaining()
    }

    fn get(&mut self, buf: &mut [u8]) -> usize {
        bisect(buf.len().min(self.remaining()), |at, len| {
            let before = *self;
            let ok = buf.get_mut(at..at + len).is_some_and(|b| self.read(b).is_ok());
            if !ok {
                *self = before;
            }
            ok
        })
    }
}

impl Sink for &mut [u8] {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&mut self, data: &[u8]) -> usize {
        let n = data.len().min(self.len());
        let (front, rest) = core::mem::take(self).split_at_mut(n);
        front.copy_from_slice(data.get(..n).unwrap_or_default());
        *self = rest;
        n
    }
}

impl Source for &[u8] {
    fn left(&self) -> usize {
        self.len()
    }

    fn get(&mut self, buf: &mut [u8]) -> usize {
        let n = buf.len().min(self.len());
        let (front, rest) = self.split_at(n);
        if let Some(buf) = buf.get_mut(..n) {
            buf.copy_from_slice(front);
        }
        *self = rest;
        n
    }
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

    fn check_kind(&self) -> Result<()> {
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
        let mut buf = Vec::new();
        loop {
            let at = offset.saturating_add(done as u64);
            let left = usize::try_from(self.size().saturating_sub(at)).unwrap_or(usize::MAX);
            let wanted = left.min(out.room()).min(DIRECT);
            if wanted == 0 {
                return Ok(done);
            }
            buf.resize(wanted, 0);
            match self.core.inode.read(at, &mut buf) {
                Err(_) if done > 0 => return Ok(done),
                other => other?,
            }
            let given = out.put(&buf);
            done += given;
            if given < wanted {
                return if done > 0 { Ok(done) } else { Err(Errno::EFAULT) };
            }
        }
    }

    fn write_from(&self, data: &mut dyn Source, at: At) -> Result<(u64, usize)> {
        self.check_kind()?;
        let _data = self.core.data.write();
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
        let (mut done, mut result) = (0, Ok(()));
        let mut buf = vec![0; total.min(DIRECT)];
        while done < total && result.is_ok() {
            let wanted = (total - done).min(DIRECT);
            let got = data.get(buf.get_mut(..wanted).unwrap_or_default());
            let from = start + done as u64;
            if got > 0 {
                let end = (from + got as u64).max(self.size());
                result = self.core.inode.write(from, &[buf.get(..got).unwrap_or_default()], end);
                done += if result.is_ok() { got } else { 0 };
            }
            if got < wanted {
                result = result.and(Err(Errno::EFAULT));
            }
        }
        if done == 0 {
            return result.map(|()| (start, 0));
        }
        self.touch_content();
        Ok((start, done))
    }
}
