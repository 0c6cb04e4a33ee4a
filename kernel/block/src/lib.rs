//! Block devices: what a file system reads and writes.
//!
//! * [`BlockDevice`]: a whole disk or a range of one (a partition), with counters.
//! * [`partitions`]: those that a disk's table tells of.
//! * [`BufferCache`], [`Buffer`]: blocks of a device in memory. File systems keep their metadata in it; file content goes past it.
//! * [`Memory`]: how much of it there may be, over all devices.
//!
//! Below: `lkl-abi`, `lkl-ops` ([`Disk`](lkl_ops::Disk)), `lkl-sync`. Above: `lkl-vfs` and the file systems.
//!
//! Every error is an [`Errno`](lkl_abi::Errno): `EIO` when the medium fails, `ENXIO` past the end, `EROFS` on a read-only disk,
//! `ENOSPC` when the host has no room for a sparse image to grow.

#![forbid(unsafe_code)]

mod cache;
mod device;
mod partition;

pub use cache::{Buffer, BufferCache, Memory};
pub use device::{BlockDevice, Stats};
pub use partition::partitions;
