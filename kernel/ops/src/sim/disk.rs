//! A disk in memory.

use super::lock;
use crate::disk::{check_range, Disk};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use lkl_abi::Errno;
use std::sync::Mutex;

/// A [`Disk`] whose medium is a vector of bytes. Any range of it can be made to fail.
pub struct MemDisk {
    bytes: Mutex<Vec<u8>>,
    size: u64,
    sector_size: u32,
    read_only: bool,
    bad: Mutex<Vec<Range<u64>>>,
    flushes: AtomicU64,
}

impl MemDisk {
    /// A disk with this content, with sectors of 512 bytes, that can be written.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            size: bytes.len() as u64,
            bytes: Mutex::new(bytes),
            sector_size: 512,
            read_only: false,
            bad: Mutex::new(Vec::new()),
            flushes: AtomicU64::new(0),
        }
    }

    /// The same disk with logical sectors of `bytes` bytes.
    #[must_use]
    pub fn with_sector_size(mut self, bytes: u32) -> Self {
        self.sector_size = bytes;
        self
    }

    /// The same disk, refusing to be written.
    #[must_use]
    pub fn write_protected(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// From now on reads and writes that touch these bytes fail with `EIO`.
    pub fn fail(&self, bytes: Range<u64>) {
        lock(&self.bad).push(bytes);
    }

    /// How often [`Disk::flush`] was called.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    /// What is on it.
    pub fn contents(&self) -> Vec<u8> {
        lock(&self.bytes).clone()
    }

    /// Has `f` work on `len` bytes from `offset`, if they exist and are sound.
    fn with(&self, offset: u64, len: u64, f: impl FnOnce(&mut [u8])) -> Result<(), Errno> {
        check_range(self.size, offset, len)?;
        let end = offset.saturating_add(len);
        if len > 0 && lock(&self.bad).iter().any(|bad| bad.start < end && offset < bad.end) {
            return Err(Errno::EIO);
        }
        let (Ok(from), Ok(to)) = (usize::try_from(offset), usize::try_from(end)) else { return Err(Errno::ENXIO) };
        f(lock(&self.bytes).get_mut(from..to).ok_or(Errno::ENXIO)?);
        Ok(())
    }

    fn writable(&self) -> Result<(), Errno> {
        if self.read_only {
            return Err(Errno::EROFS);
        }
        Ok(())
    }
}

impl Disk for MemDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Errno> {
        self.with(offset, buf.len() as u64, |bytes| buf.copy_from_slice(bytes))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), Errno> {
        self.writable()?;
        self.with(offset, buf.len() as u64, |bytes| bytes.copy_from_slice(buf))
    }

    fn flush(&self) -> Result<(), Errno> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), Errno> {
        self.writable()?;
        self.with(offset, len, |bytes| bytes.fill(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_was_written_and_zeroes_where_discarded() {
        let disk = MemDisk::new(vec![7; 8]);
        disk.write_at(&[1, 2, 3], 5).unwrap();
        disk.discard(0, 2).unwrap();
        let mut buf = [9; 8];
        disk.read_at(&mut buf, 0).unwrap();
        assert_eq!(buf, [0, 0, 7, 7, 7, 1, 2, 3]);
        assert_eq!(disk.contents(), buf);
    }

    #[test]
    fn the_end_is_a_wall() {
        let disk = MemDisk::new(vec![7; 8]);
        let mut buf = [0; 4];
        assert_eq!(disk.read_at(&mut buf, 4), Ok(()));
        assert_eq!(disk.read_at(&mut [], 8), Ok(()));
        assert_eq!(disk.read_at(&mut buf, 5), Err(Errno::ENXIO));
        assert_eq!(disk.read_at(&mut buf, u64::MAX), Err(Errno::ENXIO));
        assert_eq!(disk.write_at(&[1; 4], 5), Err(Errno::ENXIO));
        assert_eq!(disk.discard(1, u64::MAX), Err(Errno::ENXIO));
        assert_eq!(disk.contents(), [7; 8]);
    }

    #[test]
    fn bad_bytes_and_write_protection() {
        let disk = MemDisk::new(vec![7; 8]);
        disk.fail(2..4);
        let mut buf = [0; 2];
        assert_eq!(disk.read_at(&mut buf, 0), Ok(()));
        assert_eq!(disk.read_at(&mut buf, 1), Err(Errno::EIO));
        assert_eq!(disk.write_at(&buf, 3), Err(Errno::EIO));
        assert_eq!(disk.read_at(&mut buf, 4), Ok(()));

        let disk = MemDisk::new(vec![7; 8]).write_protected();
        assert_eq!(disk.write_at(&buf, 0), Err(Errno::EROFS));
        assert_eq!(disk.discard(0, 1), Err(Errno::EROFS));
        assert_eq!(disk.contents(), [7; 8]);
    }
}
