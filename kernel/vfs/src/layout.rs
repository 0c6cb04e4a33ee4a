//! Where the content of files lies on the device (`FS_IOC_FIEMAP`, `FIBMAP`).

use crate::node::Node;
use core::ops::Range;
use lkl_abi::Result;

/// A run of a file, or of what belongs to it, on the device. All lengths are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileExtent {
    /// Where it begins in the file.
    pub offset: u64,
    /// Where it begins on the file system's device.
    pub place: u64,
    /// How long it is.
    pub len: u64,
    /// `FIEMAP_EXTENT_*`, but for that of the last one.
    pub flags: u32,
}

/// What of a file is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Its content.
    Content,
    /// Its extended attributes (`FIEMAP_FLAG_XATTR`).
    Attributes,
}

impl Node {
    /// The first `most` runs that have blocks in a range; those at its ends are cut at blocks. What is dirty is written first.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it lies on no device; `EFBIG` for a range past the longest file; `EIO`, `EUCLEAN`, and those of write-back.
    pub fn extents(&self, of: Layout, range: Range<u64>, most: usize) -> Result<Vec<FileExtent>> {
        self.settled(|inode| inode.extents(of, range, most))
    }
}
