//! Where files lie on their device (`FS_IOC_FIEMAP`, `FIBMAP`), and giving back what is free there (`FITRIM`).

use super::at::Who;
use super::Ctx;
use crate::user::{self, u32_in, u64_in};
use lkl_abi::fiemap::*;
use lkl_abi::fs::FSTRIM_RANGE_SIZE;
use lkl_abi::{Errno, Result};
use lkl_vfs::{FileExtent, InodeKind, Layout, VfsFile};

/// Extents that are asked for at once.
const BATCH: usize = 1024;
/// Where a `struct fiemap` has its flags, the number of extents that were found, and that for which there is room.
const FLAGS: usize = 16;
const MAPPED: usize = 20;
const ROOM: usize = 24;

/// What a `struct fiemap` asks for, and what has been found.
struct Map {
    flags: u32,
    mapped: u32,
    room: u32,
    /// Address of the extents.
    extents: u64,
}

impl Map {
    /// Takes an extent. Answers whether there is room for more; only to count them, there always is.
    fn add(&mut self, cx: &Ctx<'_>, extent: &FileExtent, more: u32) -> Result<bool> {
        if self.room > 0 {
            if self.mapped >= self.room {
                return Ok(false);
            }
            let mut raw = [0; FIEMAP_EXTENT_SIZE];
            for (i, n) in [extent.offset, extent.place, extent.len].into_iter().enumerate() {
                raw[8 * i..8 * i + 8].copy_from_slice(&n.to_ne_bytes());
            }
            raw[40..44].copy_from_slice(&(extent.flags | more).to_ne_bytes());
            let at = self.extents.wrapping_add(u64::from(self.mapped) * FIEMAP_EXTENT_SIZE as u64);
            cx.mem.write(at, &raw)?;
        }
        self.mapped = self.mapped.saturating_add(1);
        Ok(self.room == 0 || self.mapped < self.room)
    }

    fn fill(&mut self, cx: &Ctx<'_>, file: &VfsFile, start: u64, len: u64) -> Result<()> {
        self.flags &= !FIEMAP_FLAG_CACHE;
        let of = if self.flags & FIEMAP_FLAG_XATTR != 0 { Layout::Attributes } else { Layout::Content };
        self.flags &= !FIEMAP_FLAG_XATTR;
        let longest = file.node().sb().size_max();
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        if start >= longest {
            return Err(Errno::EFBIG);
        }
        let unknown = self.flags & !FIEMAP_FLAG_SYNC;
        if unknown != 0 {
            self.flags = unknown;
            return Err(Errno::EBADR);
        }
        let end = start.saturating_add(len).min(longest);
        let mut at = start;
        // Which one is the last is known when there is no other.
        let mut before: Option<FileExtent> = None;
        loop {
            let some = file.node().extents(of, at..end, BATCH)?;
            for extent in &some {
                if let Some(before) = before.replace(*extent) {
                    if !self.add(cx, &before, 0)? {
                        return Ok(());
                    }
                }
                at = extent.offset + extent.len;
            }
            if some.len() < BATCH || at >= end {
                break;
            }
        }
        if let Some(last) = before {
            self.add(cx, &last, FIEMAP_EXTENT_LAST)?;
        }
        Ok(())
    }
}

/// `FS_IOC_FIEMAP`. Also when it fails, the caller is told how far it came, and which flags are not known.
pub(super) fn fiemap(cx: &Ctx<'_>, file: &VfsFile, arg: u64) -> Result<u64> {
    // What lies nowhere is told before the request is read.
    if let Err(Errno::EOPNOTSUPP) = file.node().extents(Layout::Content, 0..1, 0) {
        return Err(Errno::EOPNOTSUPP);
    }
    let mut raw = user::array::<FIEMAP_SIZE>(cx.mem, arg)?;
    let extents = arg.wrapping_add(FIEMAP_SIZE as u64);
    let mut map = Map { flags: u32_in(&raw, FLAGS), mapped: 0, room: u32_in(&raw, ROOM), extents };
    if map.room > FIEMAP_MAX_EXTENTS {
        return Err(Errno::EINVAL);
    }
    let done = map.fill(cx, file, u64_in(&raw, 0), u64_in(&raw, 8));
    for (at, n) in [(FLAGS, map.flags), (MAPPED, map.mapped)] {
        raw[at..at + 4].copy_from_slice(&n.to_ne_bytes());
    }
    cx.mem.write(arg, &raw)?;
    done.map(|()| 0)
}

/// `FIBMAP`: the block of the device that has a block of a file; 0 for a hole.
pub(super) fn fibmap(cx: &Ctx<'_>, file: &VfsFile, arg: u64) -> Result<u64> {
    if file.place().kind() != InodeKind::Regular {
        return Err(Errno::ENOTTY);
    }
    if !Who::new(cx).cred().is_root() {
        return Err(Errno::EPERM);
    }
    let block = u64::try_from(user::i32_at(cx.mem, arg)?).map_err(|_| Errno::EINVAL)?;
    let size = u64::from(file.node().sb().statfs()?.block_size).max(1);
    let found = match file.node().extents(Layout::Content, block * size..(block + 1) * size, 1) {
        Err(Errno::EOPNOTSUPP) => return Err(Errno::EINVAL),
        Err(Errno::EFBIG) => None,
        found => found?.first().copied(),
    };
    let place = found.filter(|e| e.flags & !FIEMAP_EXTENT_MERGED == 0).map_or(0, |e| e.place / size);
    let place = i32::try_from(place);
    // As on Linux, one that cannot be told is told as none.
    cx.mem.write(arg, &place.unwrap_or(0).to_ne_bytes())?;
    place.map(|_| 0).map_err(|_| Errno::ERANGE)
}

/// `FITRIM`
pub(super) fn trim(cx: &Ctx<'_>, file: &VfsFile, arg: u64) -> Result<u64> {
    if !Who::new(cx).cred().is_root() {
        return Err(Errno::EPERM);
    }
    let mut raw = user::array::<FSTRIM_RANGE_SIZE>(cx.mem, arg)?;
    let [start, len, least] = [0, 8, 16].map(|at| u64_in(&raw, at));
    let done = file.node().sb().raw().trim(start, len, least)?;
    raw[8..16].copy_from_slice(&done.to_ne_bytes());
    cx.mem.write(arg, &raw)?;
    Ok(0)
}
