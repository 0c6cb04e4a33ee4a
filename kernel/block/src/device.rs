//! A disk, or a range of one.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use lkl_abi::{Errno, Result};
use lkl_ops::disk::check_range;
use lkl_ops::Disk;
use std::sync::Arc;

/// Most zeroes that are written in one request, in bytes.
const ZEROES_MAX: usize = 1 << 20;

/// What a device has done, as `/sys/block/*/stat` counts: requests, and bytes in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Stats {
    pub reads: u64,
    pub read_bytes: u64,
    pub writes: u64,
    pub write_bytes: u64,
    pub flushes: u64,
    pub discards: u64,
    pub discard_bytes: u64,
    /// Requests that failed.
    pub errors: u64,
}

#[derive(Default)]
struct Counters {
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    write_bytes: AtomicU64,
    flushes: AtomicU64,
    discards: AtomicU64,
    discard_bytes: AtomicU64,
    errors: AtomicU64,
}

/// A block device: a disk or one partition of it. Offsets are in bytes from its own beginning; they and the lengths need not be
/// multiples of a sector, but requests that are cost the disk less. Nothing is kept here: what a call has written, the next one reads.
///
/// Calls may come from several threads at once. Requests that overlap in time and place have no order.
pub struct BlockDevice {
    disk: Arc<dyn Disk>,
    name: String,
    start: u64,
    size: u64,
    partition: u32,
    counters: Counters,
}

impl BlockDevice {
    /// The whole of `disk`. `name` is what `/dev` and log lines call it (`vda`).
    pub fn new(disk: Arc<dyn Disk>, name: &str) -> Arc<Self> {
        let size = disk.size();
        Arc::new(Self { disk, name: name.to_owned(), start: 0, size, partition: 0, counters: Counters::default() })
    }

    /// Partition `number` of this device: `len` bytes from `start`.
    ///
    /// # Errors
    /// `ENXIO` if it does not lie within the device.
    pub fn partition(&self, number: u32, start: u64, len: u64) -> Result<Arc<Self>> {
        check_range(self.size, start, len)?;
        let digit = self.name.ends_with(|c: char| c.is_ascii_digit());
        let name = format!("{}{}{number}", self.name, if digit { "p" } else { "" });
        let (disk, start) = (self.disk.clone(), self.start + start);
        Ok(Arc::new(Self { disk, name, start, size: len, partition: number, counters: Counters::default() }))
    }

    /// Its name in `/dev`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where it begins on the disk, in bytes: 0 for a whole disk.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The partition's number, 0 for a whole disk.
    pub fn partition_number(&self) -> u32 {
        self.partition
    }

    /// Size of a logical sector in bytes: 512 or 4096.
    pub fn sector_size(&self) -> u32 {
        self.disk.sector_size()
    }

    /// Whether writes are refused with `EROFS`.
    pub fn read_only(&self) -> bool {
        self.disk.read_only()
    }

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        let c = &self.counters;
        Stats {
            reads: c.reads.load(Relaxed),
            read_bytes: c.read_bytes.load(Relaxed),
            writes: c.writes.load(Relaxed),
            write_bytes: c.write_bytes.load(Relaxed),
            flushes: c.flushes.load(Relaxed),
            discards: c.discards.load(Relaxed),
            discard_bytes: c.discard_bytes.load(Relaxed),
            errors: c.errors.load(Relaxed),
        }
    }

    /// Counts what failed and says so. `ENXIO` is a caller's mistake, not the medium's.
    fn counted(&self, what: &str, offset: u64, len: u64, result: Result<()>) -> Result<()> {
        if let Err(e) = result {
            self.counters.errors.fetch_add(1, Relaxed);
            tracing::error!(target: "lkl::block", "{}: {what} of {len} bytes at byte {offset}: {e}", self.name);
        }
        result
    }

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `ENXIO` past the end; `EIO`. What `buf` holds then is undefined.
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let len = buf.len() as u64;
        check_range(self.size, offset, len)?;
        self.counters.reads.fetch_add(1, Relaxed);
        self.counters.read_bytes.fetch_add(len, Relaxed);
        self.counted("read", offset, len, self.disk.read_at(buf, self.start + offset))
    }

    /// Writes all of `buf` at `offset`. It is durable only after [`BlockDevice::flush`].
    ///
    /// # Errors
    /// `ENXIO` past the end (nothing is written then), `EROFS`, `ENOSPC`, `EIO`.
    pub fn write(&self, offset: u64, buf: &[u8]) -> Result<()> {
        self.write_pieces(offset, &[buf])
    }

    /// Writes pieces that follow each other from `offset` on, in as few requests as possible.
    ///
    /// # Errors
    /// As [`BlockDevice::write`]; some of the pieces may have been written.
    pub fn write_pieces(&self, offset: u64, pieces: &[&[u8]]) -> Result<()> {
        let len = pieces.iter().fold(0u64, |n, p| n.saturating_add(p.len() as u64));
        check_range(self.size, offset, len)?;
        if self.read_only() {
            return Err(Errno::EROFS);
        }
        self.counters.writes.fetch_add(1, Relaxed);
        self.counters.write_bytes.fetch_add(len, Relaxed);
        self.counted("write", offset, len, self.disk.write_pieces_at(pieces, self.start + offset))
    }

    /// Returns when all that was written before the call is durable.
    ///
    /// # Errors
    /// `EIO`: what was written since the last flush may be lost.
    pub fn flush(&self) -> Result<()> {
        self.counters.flushes.fetch_add(1, Relaxed);
        self.counted("flush", 0, 0, self.disk.flush())
    }

    /// Says that a range is not needed any more. Afterwards it reads as zeroes.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if the disk cannot (nothing has changed then); else as [`BlockDevice::write`].
    pub fn discard(&self, offset: u64, len: u64) -> Result<()> {
        check_range(self.size, offset, len)?;
        if self.read_only() {
            return Err(Errno::EROFS);
        }
        let result = self.disk.discard(self.start + offset, len);
        if result == Err(Errno::EOPNOTSUPP) {
            return result;
        }
        self.counters.discards.fetch_add(1, Relaxed);
        self.counters.discard_bytes.fetch_add(len, Relaxed);
        self.counted("discard", offset, len, result)
    }

    /// Makes a range read as zeroes: by giving it back to the host where that works, else by writing them.
    ///
    /// # Errors
    /// As [`BlockDevice::write`]; part of it may be zeroes already.
    pub fn write_zeroes(&self, offset: u64, len: u64) -> Result<()> {
        match self.discard(offset, len) {
            Err(Errno::EOPNOTSUPP) => {}
            other => return other,
        }
        let zeroes = vec![0; usize::try_from(len).unwrap_or(ZEROES_MAX).min(ZEROES_MAX)];
        let mut done = 0;
        while done < len {
            let n = usize::try_from(len - done).unwrap_or(ZEROES_MAX).min(ZEROES_MAX);
            self.write(offset + done, zeroes.get(..n).unwrap_or_default())?;
            done += n as u64;
        }
        Ok(())
    }
}

/// For those who know disks only: a partition is one as well.
impl Disk for BlockDevice {
    fn size(&self) -> u64 {
        self.size
    }

    fn sector_size(&self) -> u32 {
        self.disk.sector_size()
    }

    fn read_only(&self) -> bool {
        self.disk.read_only()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.read(offset, buf)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.write(offset, buf)
    }

    fn write_pieces_at(&self, pieces: &[&[u8]], offset: u64) -> Result<()> {
        self.write_pieces(offset, pieces)
    }

    fn flush(&self) -> Result<()> {
        Self::flush(self)
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        Self::discard(self, offset, len)
    }
}

impl core::fmt::Debug for BlockDevice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "BlockDevice({}, {} bytes)", self.name, self.size)
    }
}

#[cfg(test)]
mod tests;
