//! Where files lie (`linux/fiemap.h`).
#![expect(missing_docs, reason = "the kernel's documentation of filesystems explains them")]

pub const FIEMAP_FLAG_SYNC: u32 = 1;
pub const FIEMAP_FLAG_XATTR: u32 = 2;
pub const FIEMAP_FLAG_CACHE: u32 = 4;

pub const FIEMAP_EXTENT_LAST: u32 = 0x01;
pub const FIEMAP_EXTENT_NOT_ALIGNED: u32 = 0x100;
pub const FIEMAP_EXTENT_DATA_INLINE: u32 = 0x200;
pub const FIEMAP_EXTENT_UNWRITTEN: u32 = 0x800;
pub const FIEMAP_EXTENT_MERGED: u32 = 0x1000;

/// Bytes of a `struct fiemap` before its extents.
pub const FIEMAP_SIZE: usize = 32;
/// Bytes of a `struct fiemap_extent`.
pub const FIEMAP_EXTENT_SIZE: usize = 56;
/// Most extents of one call: as many as have 32 bits for their length.
pub const FIEMAP_MAX_EXTENTS: u32 = u32::MAX / FIEMAP_EXTENT_SIZE as u32;
