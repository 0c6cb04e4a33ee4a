//! The index of a directory: its first block, and perhaps blocks below it, say in which block of entries names of which hashes are.

use super::hash::{HashKind, NameHash};
use super::DirEntry;
use crate::bytes::{cut, le16, le32, put_le16, put_le32, u8_at};
use crate::cache::Block;
use crate::csum::crc32c;
use crate::error::corrupt;
use crate::features::{Compat, Incompat};
use crate::inode::{flag, Inode};
use crate::Ext4;
use lkl_abi::Result;

/// Where the entries of the index start in its first block, in bytes.
pub(super) const ROOT_ENTRIES: usize = 32;
/// The same in the other blocks of the index.
pub(super) const NODE_ENTRIES: usize = 8;
pub(super) const INDEX_ENTRY: usize = 8;
/// Linux gives up on an index deeper than this.
const MAX_LEVELS: u8 = 3;

/// A block of the index on the way to an entry.
#[derive(Clone, Debug)]
pub(super) struct IndexNode {
    /// In the directory.
    pub(super) lblk: u32,
    /// On the disk.
    pub(super) place: u64,
    pub(super) data: Block,
    /// Where its entries start, in bytes.
    pub(super) start: usize,
    /// The entry that was followed.
    pub(super) pos: usize,
}

impl IndexNode {
    pub(super) fn limit(&self) -> usize {
        usize::from(le16(&self.data, self.start))
    }

    pub(super) fn count(&self) -> usize {
        usize::from(le16(&self.data, self.start + 2))
    }

    /// The least hash behind an entry. The first one has none.
    pub(super) fn hash(&self, n: usize) -> u32 {
        if n == 0 {
            0
        } else {
            le32(&self.data, self.start + n * INDEX_ENTRY)
        }
    }

    pub(super) fn child(&self, n: usize) -> u32 {
        le32(&self.data, self.start + n * INDEX_ENTRY + 4) & 0x0fff_ffff
    }
}

/// The way through an index to a block of entries.
pub(super) struct IndexPath {
    pub(super) kind: HashKind,
    pub(super) nodes: Vec<IndexNode>,
}

impl IndexPath {
    /// The block of entries it leads to, in the directory.
    pub(super) fn leaf(&self) -> u32 {
        self.nodes.last().map_or(0, |n| n.child(n.pos))
    }
}

fn index_checksum(seed: u32, data: &[u8], start: usize) -> u32 {
    let count = usize::from(le16(data, start + 2));
    let limit = usize::from(le16(data, start));
    let sum = crc32c(seed, cut(data, 0, start + count * INDEX_ENTRY));
    crc32c(crc32c(sum, cut(data, start + limit * INDEX_ENTRY, 4)), &[0; 4])
}

/// Where a name is in the order of hashes, behind `.` and `..`.
fn place_of(hash: NameHash) -> u64 {
    ((u64::from(hash.major) >> 1) << 32 | u64::from(hash.minor)).max(2)
}

impl Ext4 {
    /// Entries that fit into a block of the index.
    pub(super) fn index_limit(&self, start: usize) -> usize {
        let tail = if self.sb.metadata_csum() { 8 } else { 0 };
        (self.sb.block_size - start - tail) / INDEX_ENTRY
    }

    /// Writes the checksum of a block of the index.
    pub(super) fn seal_index(&self, dir: &Inode, data: &mut [u8], start: usize) {
        if self.sb.metadata_csum() {
            let limit = usize::from(le16(data, start));
            let sum = index_checksum(dir.csum_seed(self.sb.csum_seed), data, start);
            put_le32(data, start + limit * INDEX_ENTRY + 4, sum);
        }
    }

    /// Writes limit and count of a block of the index.
    pub(super) fn put_index_counts(data: &mut [u8], start: usize, limit: usize, count: usize) {
        put_le16(data, start, limit as u16);
        put_le16(data, start + 2, count as u16);
    }

    fn index_node(&mut self, dir: &Inode, lblk: u32) -> Result<IndexNode> {
        let place = self.metadata_block(dir, lblk)?;
        let start = if lblk == 0 { ROOT_ENTRIES } else { NODE_ENTRIES };
        let (limit, seed, csum) = (self.index_limit(start), dir.csum_seed(self.sb.csum_seed), self.sb.metadata_csum());
        let data = self.cache.read(place, |data| {
            let wrong = csum
                && usize::from(le16(data, start)) == limit
                && index_checksum(seed, data, start) != le32(data, start + limit * INDEX_ENTRY + 4);
            if wrong {
                return Err(corrupt(place, format_args!("wrong checksum of the index of directory {}", dir.ino)));
            }
            Ok(())
        })?;
        let node = IndexNode { lblk, place, data, start, pos: 0 };
        if node.limit() != limit || node.count() == 0 || node.count() > limit {
            return Err(corrupt(
                place,
                format_args!("directory {}: counts of the index in block {lblk} cannot be", dir.ino),
            ));
        }
        Ok(node)
    }

    /// How names are hashed in a directory with an index; `None` if it has none that can be used.
    pub(super) fn index_kind(&mut self, dir: &Inode) -> Result<Option<(HashKind, u8)>> {
        let usable = dir.has(flag::INDEX)
            && self.sb.compat.contains(Compat::DIR_INDEX)
            && !dir.has(flag::ENCRYPT | flag::CASEFOLD | flag::INLINE_DATA);
        if !usable || self.dir_blocks(dir) < 2 {
            return Ok(None);
        }
        let place = self.metadata_block(dir, 0)?;
        let data = self.cache.read(place, |_| Ok(()))?;
        let levels = u8_at(&data, 30);
        let max = if self.sb.has(Incompat::LARGE_DIR) { MAX_LEVELS } else { MAX_LEVELS - 1 };
        let kind = HashKind::new(u8_at(&data, 28), self.sb.hash_unsigned);
        if u8_at(&data, 31) & 1 != 0 || levels >= max || u8_at(&data, 29) != 8 {
            return Err(corrupt(place, format_args!("directory {}: index of an unknown form", dir.ino)));
        }
        Ok(kind.map(|kind| (kind, levels)))
    }

    /// The way to the block of entries for a hash; `None` if the directory has no index that can be used.
    pub(super) fn index_path(&mut self, dir: &Inode, hash: impl FnOnce(HashKind) -> u32) -> Result<Option<IndexPath>> {
        let Some((kind, levels)) = self.index_kind(dir)? else { return Ok(None) };
        let hash = hash(kind);
        let mut path = IndexPath { kind, nodes: Vec::new() };
        let mut lblk = 0;
        for _ in 0..=levels {
            let mut node = self.index_node(dir, lblk)?;
            let (mut low, mut high) = (1, node.count());
            while low < high {
                let middle = (low + high) / 2;
                if node.hash(middle) <= hash {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            node.pos = low - 1;
            lblk = node.child(node.pos);
            if lblk == 0 || lblk >= self.dir_blocks(dir) || path.nodes.iter().any(|n| n.lblk == lblk) {
                return Err(corrupt(node.place, format_args!("directory {}: index points to block {lblk}", dir.ino)));
            }
            path.nodes.push(node);
        }
        Ok(Some(path))
    }

    /// Goes on to the next block of entries. Answers the least hash in it, or `None` at the end.
    pub(super) fn index_next(&mut self, dir: &Inode, path: &mut IndexPath) -> Result<Option<u32>> {
        let Some(level) = path.nodes.iter().rposition(|n| n.pos + 1 < n.count()) else { return Ok(None) };
        let depth = path.nodes.len();
        path.nodes.truncate(level + 1);
        let Some(node) = path.nodes.last_mut() else { return Ok(None) };
        node.pos += 1;
        let (hash, mut lblk) = (node.hash(node.pos), node.child(node.pos));
        while path.nodes.len() < depth {
            let node = self.index_node(dir, lblk)?;
            lblk = node.child(0);
            path.nodes.push(node);
        }
        Ok(Some(hash))
    }

    /// Looks a name up by the index: `None` if there is none, `Some(None)` if it has no such name.
    pub(super) fn find_indexed(&mut self, dir: &Inode, name: &[u8]) -> Result<Option<Option<(u32, u8)>>> {
        if name == b"." || name == b".." {
            return Ok(None);
        }
        Ok(self.find_leaf(dir, name)?.map(|found| found.map(|(_, ino, kind)| (ino, kind))))
    }

    /// The block of entries (in the directory) that has a name, with its inode and kind.
    pub(super) fn find_leaf(&mut self, dir: &Inode, name: &[u8]) -> Result<Option<Option<(u32, u32, u8)>>> {
        let seed = self.sb.hash_seed;
        let mut wanted = 0;
        let path = self.index_path(dir, |kind| {
            wanted = kind.hash(name, &seed).major;
            wanted
        })?;
        let Some(mut path) = path else { return Ok(None) };
        loop {
            let lblk = path.leaf();
            let (place, data) = self.dir_leaf(dir, lblk)?;
            for e in self.entries(&data) {
                let e = e.map_err(|what| corrupt(place, format_args!("directory {}: {what}", dir.ino)))?;
                if e.ino != 0 && e.name == name {
                    return Ok(Some(Some((lblk, e.ino, e.kind))));
                }
            }
            // Names of one hash may go on in the next block, which then says so by the lowest bit.
            match self.index_next(dir, &mut path)? {
                Some(hash) if hash & 1 != 0 && hash & !1 == wanted => {}
                _ => return Ok(Some(None)),
            }
        }
    }

    /// Some entries of an indexed directory in the order of their hashes, so that listing goes on at the right place even when blocks
    /// are split meanwhile; `None` if there is no index.
    pub(super) fn list_indexed(&mut self, dir: &Inode, from: u64) -> Result<Option<Vec<DirEntry>>> {
        let Some(mut path) = self.index_path(dir, |_| (from >> 31) as u32 & !1)? else { return Ok(None) };
        let (seed, kind) = (self.sb.hash_seed, path.kind);
        let mut list: Vec<(u64, DirEntry)> = Vec::new();
        if from < 2 {
            let parent = self.dotdot(dir)?;
            list.push((0, DirEntry { ino: dir.ino, kind: 4, name: b".".to_vec(), next: 1 }));
            list.push((1, DirEntry { ino: parent, kind: 4, name: b"..".to_vec(), next: 2 }));
        }
        loop {
            let lblk = path.leaf();
            if lblk == 0 || lblk >= self.dir_blocks(dir) {
                return Err(corrupt(
                    path.nodes.last().map_or(0, |n| n.place),
                    format_args!("directory {}: index", dir.ino),
                ));
            }
            let (place, data) = self.dir_leaf(dir, lblk)?;
            for e in self.entries(&data) {
                let e = e.map_err(|what| corrupt(place, format_args!("directory {}: {what}", dir.ino)))?;
                if e.ino != 0 {
                    let at = place_of(kind.hash(e.name, &seed));
                    list.push((at, self.listed(dir, place, &e, at + 1)?));
                }
            }
            list.retain(|(at, _)| *at >= from);
            match self.index_next(dir, &mut path)? {
                Some(hash) if hash & 1 != 0 || list.is_empty() => {}
                _ => break,
            }
        }
        list.sort_by_key(|(at, _)| *at);
        Ok(Some(list.into_iter().map(|(_, e)| e).collect()))
    }

    /// The entries of a directory that has no index yet but may get one while it is listed: in the same order as then. `None` if it is
    /// another kind of directory.
    pub(super) fn list_small(&mut self, dir: &Inode, from: u64) -> Result<Option<Vec<DirEntry>>> {
        let small = dir.has(flag::INLINE_DATA) || self.dir_blocks(dir) == 1;
        let kind = HashKind::new(self.sb.def_hash_version, self.sb.hash_unsigned);
        let (Some(kind), true) = (kind, small && self.sb.compat.contains(Compat::DIR_INDEX)) else { return Ok(None) };
        if dir.has(flag::ENCRYPT | flag::CASEFOLD) {
            return Ok(None);
        }
        let all = if dir.has(flag::INLINE_DATA) { self.list_inline(dir, 0)? } else { self.list_linear(dir, 0)? };
        let seed = self.sb.hash_seed;
        let place = |name: &[u8]| match name {
            b"." => 0,
            b".." => 1,
            _ => place_of(kind.hash(name, &seed)),
        };
        let mut list: Vec<DirEntry> = all.into_iter().map(|e| DirEntry { next: place(&e.name) + 1, ..e }).collect();
        list.retain(|e| e.next > from);
        list.sort_by_key(|e| e.next);
        Ok(Some(list))
    }

    /// The inode of `..` in a directory with blocks.
    pub(crate) fn dotdot(&mut self, dir: &Inode) -> Result<u32> {
        let (place, data) = self.dir_leaf(dir, 0)?;
        let found =
            self.entries(&data).take(2).filter_map(core::result::Result::ok).find(|e| e.name == b"..").map(|e| e.ino);
        found
            .filter(|&ino| ino != 0)
            .ok_or_else(|| corrupt(place, format_args!("directory {} has no entry ..", dir.ino)))
    }
}
