//! Disks: what a block device is made of. Above: the kernel's file systems and tools. Implemented by `host` for image files and by
//! [`sim`](crate::sim) in memory.

use lkl_abi::Errno;

/// The longest request that pieces are copied together for, in bytes.
const MERGED_MAX: usize = 1 << 20;

/// A disk of fixed size. Offsets and lengths are in bytes and need not be multiples of a sector: who implements it reads and writes
/// around them where its medium asks for that.
///
/// Calls may come from several threads at once. Reads and writes that overlap in time and place have no order.
pub trait Disk: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Size of a logical sector in bytes, in which partition tables count: 512 or 4096.
    fn sector_size(&self) -> u32;

    /// Whether writes are refused.
    fn read_only(&self) -> bool;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `ENXIO` if any of it lies past the end; `EIO` if the medium fails. What `buf` holds then is undefined.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Errno>;

    /// Writes all of `buf` at `offset`. It is durable only after [`Disk::flush`].
    ///
    /// # Errors
    /// `EROFS` if the disk is read-only; `ENXIO` if any of it lies past the end (nothing is written then); `ENOSPC` if the host has no
    /// room left; `EIO` if the medium fails.
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), Errno>;

    /// Writes pieces that follow each other from `offset` on, in as few requests as the medium takes. Who implements it and can write
    /// from several places at once does not copy them together first, as this does.
    ///
    /// # Errors
    /// As [`Disk::write_at`]; some of the pieces may have been written.
    fn write_pieces_at(&self, pieces: &[&[u8]], offset: u64) -> Result<(), Errno> {
        if let [one] = pieces {
            return self.write_at(one, offset);
        }
        let total = pieces.iter().fold(0usize, |n, p| n.saturating_add(p.len()));
        let mut merged = Vec::with_capacity(total.min(MERGED_MAX));
        let mut at = offset;
        for piece in pieces {
            if !merged.is_empty() && merged.len().saturating_add(piece.len()) > MERGED_MAX {
                self.write_at(&merged, at)?;
                at = at.checked_add(merged.len() as u64).ok_or(Errno::ENXIO)?;
                merged.clear();
            }
            merged.extend_from_slice(piece);
        }
        if merged.is_empty() {
            return Ok(());
        }
        self.write_at(&merged, at)
    }

    /// Returns when all that was written before the call is durable.
    ///
    /// # Errors
    /// `EIO` if the medium fails: what was written since the last flush may be lost.
    fn flush(&self) -> Result<(), Errno>;

    /// Says that the content of a range is not needed any more: it reads as zeroes afterwards.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if the disk cannot do that (nothing has changed then); else as [`Disk::write_at`].
    fn discard(&self, offset: u64, len: u64) -> Result<(), Errno>;
}

/// Checks that `len` bytes from `offset` lie within `size`, for those who implement [`Disk`].
///
/// # Errors
/// `ENXIO` if they do not.
pub fn check_range(size: u64, offset: u64, len: u64) -> Result<(), Errno> {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok(()),
        _ => Err(Errno::ENXIO),
    }
}
