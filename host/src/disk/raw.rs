//! A raw image, or a block device: its bytes are the disk's.

use super::file::HostFile;
use super::ImageError;
use lkl_abi::{Errno, Result};
use lkl_ops::disk::check_range;
use lkl_ops::Disk;
use std::io::IoSlice;

/// A file or block device as a disk of the size that it has when it is opened.
pub(super) struct RawImage {
    file: HostFile,
    size: u64,
    sector_size: u32,
}

impl RawImage {
    pub(super) fn new(file: HostFile, sector_size: u32) -> std::result::Result<Self, ImageError> {
        let size = file.size().map_err(|e| file.error(e))?;
        Ok(Self { file, size, sector_size })
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<()> {
        if self.file.read_only() {
            return Err(Errno::EROFS);
        }
        check_range(self.size, offset, len)
    }
}

impl Disk for RawImage {
    fn size(&self) -> u64 {
        self.size
    }

    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn read_only(&self) -> bool {
        self.file.read_only()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        check_range(self.size, offset, buf.len() as u64)?;
        // Less means that the file has been cut since it was opened.
        if self.file.read(buf, offset)? < buf.len() {
            return Err(Errno::EIO);
        }
        Ok(())
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.write_pieces_at(&[buf], offset)
    }

    fn write_pieces_at(&self, pieces: &[&[u8]], offset: u64) -> Result<()> {
        self.check_write(offset, pieces.iter().fold(0, |n, p| n + p.len() as u64))?;
        let mut pieces: Vec<IoSlice<'_>> = pieces.iter().map(|p| IoSlice::new(p)).collect();
        self.file.write(&mut pieces, offset)
    }

    fn flush(&self) -> Result<()> {
        self.file.sync()
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        self.check_write(offset, len)?;
        self.file.discard(offset, len)
    }
}
