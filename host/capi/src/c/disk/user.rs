//! A disk that a program makes of its own functions. They are asked for whole sectors, into memory of the host's `page_alloc`.

use super::super::instance::{lock, Ops};
use super::super::types::{BlkReq, Disk};
use core::ffi::{c_int, c_uint, c_void};
use lkl_abi::{Errno, Result};
use lkl_ops::disk::check_range;
use std::sync::Mutex;

const SECTOR: u64 = 512;
/// Bytes of one request at most.
const REQUEST_MAX: usize = 1 << 20;

/// Types of requests.
const READ: c_uint = 0;
const WRITE: c_uint = 1;
const FLUSH: c_uint = 4;

/// See the module's text.
pub(super) struct UserDisk {
    disk: Disk,
    ops: Ops,
    size: u64,
    /// Held while part of a sector is written: the rest of it is read before.
    parts: Mutex<()>,
}

// SAFETY: who adds a disk lets the library use it from any thread.
unsafe impl Send for UserDisk {}
// SAFETY: as above.
unsafe impl Sync for UserDisk {}

/// Memory of the host's.
struct Buffer {
    at: *mut u8,
    len: usize,
    ops: Ops,
}

impl Buffer {
    fn new(ops: Ops, len: usize) -> Result<Self> {
        let alloc = ops.get().page_alloc.ok_or(Errno::ENOMEM)?;
        // SAFETY: as the header asks for.
        let at = unsafe { alloc(len as u64) }.cast::<u8>();
        if at.is_null() {
            return Err(Errno::ENOMEM);
        }
        // What a disk does not fill must not be what was there before.
        // SAFETY: it has `len` bytes.
        unsafe { at.write_bytes(0, len) };
        Ok(Self { at, len, ops })
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: it has `len` bytes, which were written, and is ours.
        unsafe { core::slice::from_raw_parts_mut(self.at, self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(free) = self.ops.get().page_free {
            // SAFETY: it is of the `page_alloc` beside it.
            unsafe { free(self.at.cast(), self.len as u64) };
        }
    }
}

impl UserDisk {
    /// # Safety
    /// The disk has operations, which stay as long as this.
    ///
    /// # Errors
    /// `EINVAL` if a function is missing; what `get_capacity` answers; `EIO` if that is no error number.
    pub(super) unsafe fn new(disk: Disk, ops: Ops) -> Result<Self> {
        // SAFETY: as the caller promises.
        let (capacity, request) = unsafe { ((*disk.ops).get_capacity, (*disk.ops).request) };
        let (Some(capacity), Some(_)) = (capacity, request) else { return Err(Errno::EINVAL) };
        let mut size = 0;
        // SAFETY: as the header asks for.
        match unsafe { capacity(disk, &raw mut size) } {
            0.. => Ok(Self { disk, ops, size: size / SECTOR * SECTOR, parts: Mutex::new(()) }),
            e @ -4095..0 => Err(Errno(-e)),
            _ => Err(Errno::EIO),
        }
    }

    fn request(&self, kind: c_uint, offset: u64, buf: Option<&mut Buffer>) -> Result<()> {
        let mut piece = libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 };
        let count = c_int::from(buf.is_some());
        if let Some(buf) = buf {
            piece = libc::iovec { iov_base: buf.at.cast::<c_void>(), iov_len: buf.len };
        }
        let mut request = BlkReq { kind, prio: 0, sector: offset / SECTOR, buf: &raw mut piece, count };
        // SAFETY: it was checked that it is there; the request and its memory live through the call.
        let status = unsafe {
            match (*self.disk.ops).request {
                Some(f) => f(self.disk, &raw mut request),
                None => 1,
            }
        };
        match status {
            0 => Ok(()),
            2 => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::EIO),
        }
    }

    /// For each piece of a range: where its sectors begin, how many bytes of them come before it, and which bytes of the caller's they are.
    fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, core::ops::Range<usize>)> {
        let mut done = 0;
        core::iter::from_fn(move || {
            if done == len {
                return None;
            }
            let at = offset + done as u64;
            let before = (at % SECTOR) as usize;
            let n = (REQUEST_MAX - before).min(len - done);
            done += n;
            Some((at - before as u64, before, done - n..done))
        })
    }

    fn buffer(&self, bytes: usize) -> Result<Buffer> {
        Buffer::new(self.ops, bytes.next_multiple_of(SECTOR as usize))
    }
}

impl lkl_ops::Disk for UserDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn sector_size(&self) -> u32 {
        SECTOR as u32
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        check_range(self.size, offset, buf.len() as u64)?;
        for (at, before, range) in Self::pieces(offset, buf.len()) {
            let mut sectors = self.buffer(before + range.len())?;
            self.request(READ, at, Some(&mut sectors))?;
            let len = range.len();
            if let (Some(to), Some(from)) = (buf.get_mut(range), sectors.bytes().get(before..before + len)) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        check_range(self.size, offset, buf.len() as u64)?;
        for (at, before, range) in Self::pieces(offset, buf.len()) {
            let len = range.len();
            let mut sectors = self.buffer(before + len)?;
            let whole = before == 0 && (len as u64).is_multiple_of(SECTOR);
            let _rest = (!whole).then(|| lock(&self.parts));
            if !whole {
                self.request(READ, at, Some(&mut sectors))?;
            }
            if let (Some(from), Some(to)) = (buf.get(range), sectors.bytes().get_mut(before..before + len)) {
                to.copy_from_slice(from);
            }
            self.request(WRITE, at, Some(&mut sectors))?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        match self.request(FLUSH, 0, None) {
            // It has no cache.
            Err(Errno::EOPNOTSUPP) => Ok(()),
            result => result,
        }
    }

    fn discard(&self, _: u64, _: u64) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_what_is_asked_for_in_whole_sectors() {
        for (offset, len) in [(0, 512), (3, 1), (511, 2), (1000, 3 << 20), (0, 0)] {
            let mut next = 0;
            for (at, before, range) in UserDisk::pieces(offset, len) {
                assert_eq!((at % SECTOR, range.start), (0, next));
                assert_eq!(at + before as u64, offset + range.start as u64);
                assert!(before + range.len() <= REQUEST_MAX && !range.is_empty());
                next = range.end;
            }
            assert_eq!(next, len);
        }
    }
}
