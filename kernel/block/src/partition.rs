//! Partition tables: GPT ([`guid`], through the crate `gpt`) and MBR ([`mbr`]). What is found, and its numbers, are as Linux has
//! them. Foreign bytes: whatever they are, the answer is a list, shorter if they make no sense.

mod guid;
mod mbr;
#[cfg(test)]
mod tests;

use crate::BlockDevice;
use lkl_abi::{Errno, Result};
use std::sync::Arc;

/// Most partitions of a disk, the disk itself counted (`DISK_MAX_PARTS`).
const LIMIT: u32 = 256;

/// A partition that a table tells of, in bytes from the beginning of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    number: u32,
    start: u64,
    len: u64,
}

impl Entry {
    /// One in sectors of `sector_size` bytes; `None` if no disk could hold it.
    fn new(number: u32, start: u64, sectors: u64, sector_size: u64) -> Option<Self> {
        let (start, len) = (start.checked_mul(sector_size)?, sectors.checked_mul(sector_size)?);
        start.checked_add(len).map(|_| Self { number, start, len })
    }
}

/// The partitions of a disk, in the order of its table. None if it has no table.
///
/// A GPT counts if the MBR in front of it says so; if its first copy is damaged, the second one at the disk's end is taken (Linux does
/// that only with `gpt` on its command line). Logical partitions of an MBR are 5 and on. As in Linux a partition that begins past the
/// end of the disk is left out, and one that ends past it is cut there.
///
/// # Errors
/// `EIO` if the disk cannot be read where the table is.
pub fn partitions(device: &Arc<BlockDevice>) -> Result<Vec<Arc<BlockDevice>>> {
    let entries = match mbr::Table::read(device)? {
        None => Vec::new(),
        Some(table) if table.protects_gpt() => guid::read(device)?,
        Some(table) => table.entries(device)?,
    };
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(room) = device.size().checked_sub(entry.start).filter(|room| *room > 0) else {
            tracing::warn!(target: "lkl::block", "{}: partition {} begins past the end", device.name(), entry.number);
            continue;
        };
        if entry.len > room {
            tracing::warn!(target: "lkl::block", "{}: partition {} ends past the end", device.name(), entry.number);
        }
        found.push(device.partition(entry.number, entry.start, entry.len.min(room))?);
    }
    Ok(found)
}

/// Reads a sector of a table; `None` past the end of the disk.
fn sector(device: &BlockDevice, number: u64) -> Result<Option<[u8; 512]>> {
    let mut bytes = [0; 512];
    let Some(offset) = number.checked_mul(u64::from(device.sector_size())) else { return Ok(None) };
    match device.read(offset, &mut bytes) {
        Err(Errno::ENXIO) => Ok(None),
        other => other.map(|()| Some(bytes)),
    }
}
