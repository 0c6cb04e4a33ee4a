//! Directories: blocks of entries, one after the other, or indexed by a hash of the name (`htree`), or in the inode (`inline`).
//!
//! Here: entries, looking a name up, listing. `hash` has the hashes; `change` adds and takes away entries.

pub(crate) mod change;
mod hash;
mod htree;
mod names;

use crate::bytes::{cut, le32, put_bytes, put_le16, put_le32, put_u8, u8_at};
use crate::cache::Block;
use crate::csum::crc32c;
use crate::error::corrupt;
use crate::features::Incompat;
use crate::inode::{flag, Inode};
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// Longest name, in bytes.
pub const NAME_MAX: usize = 255;
/// Bytes of an entry before its name.
pub(crate) const ENTRY_HEADER: usize = 8;
/// The last 12 bytes of a block of entries when metadata have checksums: an entry without inode, of this kind.
const TAIL: usize = 12;
const TAIL_KIND: u8 = 0xde;
/// Bytes at the start of inline entries: the inode of `..`.
pub(crate) const INLINE_PARENT: usize = 4;

/// An entry of a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    /// The inode.
    pub ino: u32,
    /// Its kind, as `d_type` has it (`DT_REG` is 8); 0 if the directory does not say.
    pub kind: u8,
    /// The name, which may hold any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// Where to go on listing after this entry.
    pub next: u64,
}

/// An entry as it lies in its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEntry<'a> {
    /// Where it lies, in bytes.
    pub(crate) at: usize,
    /// How far the next one is, in bytes.
    pub(crate) len: usize,
    /// 0 if nothing is there.
    pub(crate) ino: u32,
    pub(crate) kind: u8,
    pub(crate) name: &'a [u8],
}

impl RawEntry<'_> {
    pub(crate) fn is_dot(&self) -> bool {
        self.name == b"." || self.name == b".."
    }
}

/// Bytes that an entry with a name of this length takes at least.
#[inline]
pub(crate) fn entry_size(name: usize) -> usize {
    (ENTRY_HEADER + name).next_multiple_of(4)
}

/// The distance to the next entry, as it is on the disk.
#[inline]
pub(crate) fn decode_len(raw: u16, block_size: usize) -> usize {
    match raw {
        0 | 0xffff => block_size,
        _ => usize::from(raw & 0xfffc) | usize::from(raw & 3) << 16,
    }
}

/// The reverse.
pub(crate) fn encode_len(len: usize, block_size: usize) -> u16 {
    if len < 65536 {
        return len as u16;
    }
    if len == block_size {
        return if block_size == 65536 { 0xffff } else { 0 };
    }
    (len as u16 & 0xfffc) | (len >> 16) as u16 & 3
}

/// `d_type` of a kind of file as entries have it (`EXT4_FT_*`).
pub(crate) fn d_type(file_type: u8) -> u8 {
    [0, 8, 4, 2, 6, 1, 12, 10].get(usize::from(file_type & 7)).copied().unwrap_or(0)
}

/// The entries in a piece of a directory, read one by one with checks.
pub(crate) struct Entries<'a> {
    data: &'a [u8],
    at: usize,
    block_size: usize,
    inodes: u32,
    with_kind: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = core::result::Result<RawEntry<'a>, &'static str>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let rest = self.data.get(at..).filter(|rest| !rest.is_empty())?;
        self.at = self.data.len();
        let Some((&[i0, i1, i2, i3, l0, l1, name_len, kind], after)) = rest.split_first_chunk::<ENTRY_HEADER>() else {
            return Some(Err("directory entry over the end of its block"));
        };
        let len = decode_len(u16::from_le_bytes([l0, l1]), self.block_size);
        // Without the feature filetype the next byte is 0, or part of the mark of a checksum.
        let name_len = usize::from(name_len);
        if len < entry_size(1) || len % 4 != 0 || len > rest.len() {
            return Some(Err("directory entry of a length that cannot be"));
        }
        let name = match after.get(..name_len) {
            Some(name) if entry_size(name_len) <= len => name,
            _ => return Some(Err("directory entry with a name longer than itself")),
        };
        let ino = u32::from_le_bytes([i0, i1, i2, i3]);
        if ino > self.inodes {
            return Some(Err("directory entry of an inode that is none"));
        }
        if ino != 0 && name.is_empty() {
            return Some(Err("directory entry without a name"));
        }
        self.at = at + len;
        let kind = if self.with_kind { kind } else { 0 };
        Some(Ok(RawEntry { at, len, ino, kind, name }))
    }
}

/// Writes an entry.
pub(crate) fn put_entry(data: &mut [u8], at: usize, len: usize, block_size: usize, ino: u32, kind: u8, name: &[u8]) {
    put_le32(data, at, ino);
    put_le16(data, at + 4, encode_len(len, block_size));
    put_u8(data, at + 6, name.len() as u8);
    put_u8(data, at + 7, kind);
    put_bytes(data, at + ENTRY_HEADER, name);
}

impl Ext4 {
    /// The entries in a piece of a directory.
    pub(crate) fn entries<'a>(&self, data: &'a [u8]) -> Entries<'a> {
        Entries {
            data,
            at: 0,
            block_size: self.sb.block_size,
            inodes: self.sb.inodes_count,
            with_kind: self.sb.has(Incompat::FILETYPE),
        }
    }

    /// Bytes of a block of entries that hold entries.
    pub(crate) fn dir_room(&self) -> usize {
        self.sb.block_size - if self.sb.metadata_csum() { TAIL } else { 0 }
    }

    /// Writes the checksum at the end of a block of entries.
    pub(crate) fn seal_dir_block(&self, dir: &Inode, data: &mut [u8]) {
        if self.sb.metadata_csum() {
            let room = self.dir_room();
            put_le32(data, room, 0);
            put_le16(data, room + 4, TAIL as u16);
            put_u8(data, room + 6, 0);
            put_u8(data, room + 7, TAIL_KIND);
            let sum = crc32c(dir.csum_seed(self.sb.csum_seed), cut(data, 0, room));
            put_le32(data, room + 8, sum);
        }
    }

    /// Blocks of a directory.
    pub(crate) fn dir_blocks(&self, dir: &Inode) -> u32 {
        (dir.size() >> self.sb.block_bits).min(u64::from(u32::MAX)) as u32
    }

    /// A block of entries of a directory, with the block of the disk that it is.
    ///
    /// # Errors
    /// `EIO`; `EUCLEAN` if its checksum is wrong.
    pub(crate) fn dir_leaf(&mut self, dir: &Inode, lblk: u32) -> Result<(u64, Block)> {
        let place = self.metadata_block(dir, lblk)?;
        let (seed, room, csum) = (dir.csum_seed(self.sb.csum_seed), self.dir_room(), self.sb.metadata_csum());
        let indexed = lblk == 0 && dir.has(flag::INDEX);
        let data = self.cache.read(place, |data| {
            // The first block of an index has its checksum elsewhere.
            if csum
                && !indexed
                && (u8_at(data, room + 7) != TAIL_KIND || crc32c(seed, cut(data, 0, room)) != le32(data, room + 8))
            {
                return Err(corrupt(place, format_args!("wrong checksum of block {lblk} of directory {}", dir.ino)));
            }
            Ok(())
        })?;
        Ok((place, data))
    }

    /// Looks a name up. Answers the inode and the kind that the entry says.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENAMETOOLONG`, `EIO`, `EUCLEAN`.
    pub(crate) fn find_entry(&mut self, dir: &Inode, name: &[u8]) -> Result<(u32, u8)> {
        if !dir.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        if dir.has(flag::INLINE_DATA) {
            return self.find_inline(dir, name);
        }
        if let Some(found) = self.find_indexed(dir, name)? {
            return found.ok_or(Errno::ENOENT);
        }
        for lblk in 0..self.dir_blocks(dir) {
            let (place, data) = self.dir_leaf(dir, lblk)?;
            for e in self.entries(&data) {
                let e = e.map_err(|what| corrupt(place, format_args!("directory {}: {what}", dir.ino)))?;
                if e.ino != 0 && e.name == name {
                    return Ok((e.ino, e.kind));
                }
            }
        }
        if dir.has(flag::CASEFOLD | flag::ENCRYPT) {
            return self.find_other(dir, name);
        }
        Err(Errno::ENOENT)
    }

    /// Looks a name up in a directory that ignores case, or is encrypted.
    fn find_other(&mut self, dir: &Inode, name: &[u8]) -> Result<(u32, u8)> {
        let folded = names::folded(name).filter(|_| !dir.has(flag::ENCRYPT));
        for lblk in 0..self.dir_blocks(dir) {
            let (place, data) = self.dir_leaf(dir, lblk)?;
            for e in self.entries(&data) {
                let e = e.map_err(|what| corrupt(place, format_args!("directory {}: {what}", dir.ino)))?;
                let same = match &folded {
                    Some(folded) => names::folded(e.name).as_ref() == Some(folded),
                    None => dir.has(flag::ENCRYPT) && !e.is_dot() && names::is_shown_as(e.name, name),
                };
                if e.ino != 0 && same {
                    return Ok((e.ino, e.kind));
                }
            }
        }
        Err(Errno::ENOENT)
    }

    fn find_inline(&mut self, dir: &Inode, name: &[u8]) -> Result<(u32, u8)> {
        let data = self.inline_data(dir)?;
        match name {
            b"." => return Ok((dir.ino, 2)),
            b".." => return Ok((le32(&data, 0), 2)),
            _ => {}
        }
        for e in self.inline_entries(dir, &data)? {
            if e.name == name {
                return Ok((e.ino, e.kind));
            }
        }
        Err(Errno::ENOENT)
    }

    /// The entries of a directory in its inode: first those in the block map, then those in the attribute.
    fn inline_entries<'a>(&mut self, dir: &Inode, data: &'a [u8]) -> Result<Vec<RawEntry<'a>>> {
        let mut list = Vec::new();
        for (start, part) in
            [(INLINE_PARENT, cut(data, INLINE_PARENT, 60 - INLINE_PARENT)), (60, cut(data, 60, data.len()))]
        {
            for e in self.entries(part) {
                match e {
                    Ok(e) if e.ino != 0 => list.push(RawEntry { at: e.at + start, ..e }),
                    Ok(_) => {}
                    Err(what) => {
                        let block = self.inode_place(dir.ino)?.0;
                        return Err(corrupt(block, format_args!("directory {} in its inode: {what}", dir.ino)));
                    }
                }
            }
        }
        Ok(list)
    }

    /// Some entries of a directory, from `from` on (0, or `next` of an entry); none at its end.
    ///
    /// # Errors
    /// `ENOTDIR`, `EIO`, `EUCLEAN`.
    pub(crate) fn list(&mut self, dir: &Inode, from: u64) -> Result<Vec<DirEntry>> {
        if !dir.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if let Some(list) = self.list_small(dir, from)? {
            return Ok(list);
        }
        if dir.has(flag::INLINE_DATA) {
            return self.list_inline(dir, from);
        }
        if let Some(list) = self.list_indexed(dir, from)? {
            return Ok(list);
        }
        self.list_linear(dir, from)
    }

    /// Entries in the order in which they lie in their blocks.
    fn list_linear(&mut self, dir: &Inode, from: u64) -> Result<Vec<DirEntry>> {
        let bits = self.sb.block_bits;
        let first = from >> bits;
        for lblk in first..u64::from(self.dir_blocks(dir)) {
            let (place, data) = self.dir_leaf(dir, lblk as u32)?;
            let mut list = Vec::new();
            for e in self.entries(&data) {
                let e = e.map_err(|what| corrupt(place, format_args!("directory {}: {what}", dir.ino)))?;
                let at = (lblk << bits) + e.at as u64;
                if e.ino != 0 && at >= from {
                    let next = at + e.len as u64;
                    list.push(self.listed(dir, place, &e, next)?);
                }
            }
            if !list.is_empty() {
                return Ok(list);
            }
        }
        Ok(Vec::new())
    }

    /// An entry for a caller, who may take its name for a path: it must not be able to lead elsewhere.
    fn listed(&self, dir: &Inode, place: u64, e: &RawEntry<'_>, next: u64) -> Result<DirEntry> {
        if dir.has(flag::ENCRYPT) && !e.is_dot() {
            return Ok(DirEntry { ino: e.ino, kind: d_type(e.kind), name: names::shown(e.name, None), next });
        }
        if e.name.iter().any(|&b| b == b'/' || b == 0) {
            return Err(corrupt(place, format_args!("directory {}: a name with a slash or NUL", dir.ino)));
        }
        Ok(DirEntry { ino: e.ino, kind: d_type(e.kind), name: e.name.to_vec(), next })
    }

    fn list_inline(&mut self, dir: &Inode, from: u64) -> Result<Vec<DirEntry>> {
        let data = self.inline_data(dir)?;
        let mut list = vec![
            DirEntry { ino: dir.ino, kind: 4, name: b".".to_vec(), next: 1 },
            DirEntry { ino: le32(&data, 0), kind: 4, name: b"..".to_vec(), next: 2 },
        ];
        let place = self.inode_place(dir.ino)?.0;
        for e in self.inline_entries(dir, &data)? {
            list.push(self.listed(dir, place, &e, e.at as u64 + 3)?);
        }
        // Where an entry is, is one less than where the next one may be.
        list.retain(|e| e.next > from);
        Ok(list)
    }
}
