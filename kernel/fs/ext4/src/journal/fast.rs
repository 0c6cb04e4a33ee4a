//! Fast commits: short records that Linux writes between transactions, each of which says what an operation has changed rather than
//! which blocks. They are replayed here, after the journal, by doing the same to the file system in memory; they are never written.
//!
//! Records are little-endian: a tag, a length, a value. Those up to the last tail whose checksum is right count.
//! Source: `fs/ext4/fast_commit.h`, and the kernel's documentation, "Fast Commits".

use crate::bytes::{cut, le16, le32, put_bytes};
use crate::csum::crc32c;
use crate::dir::change::entry_kind;
use crate::error::{corrupt, refuse};
use crate::extent::Extent;
use crate::inode::{flag, kind, Inode, Time};
use crate::map::State;
use crate::Ext4;
use lkl_abi::{Errno, Result};
use std::collections::BTreeSet;

/// Bytes of tag and length.
const RECORD: usize = 4;
/// Where the map of blocks is in an inode, in bytes, and where the fields after it are.
const MAP: core::ops::Range<usize> = 0x28..0x64;

/// Tags of records.
mod tag {
    pub(super) const ADD_RANGE: u16 = 1;
    pub(super) const DEL_RANGE: u16 = 2;
    pub(super) const CREAT: u16 = 3;
    pub(super) const LINK: u16 = 4;
    pub(super) const UNLINK: u16 = 5;
    pub(super) const INODE: u16 = 6;
    pub(super) const PAD: u16 = 7;
    pub(super) const TAIL: u16 = 8;
    pub(super) const HEAD: u16 = 9;
}

/// What a record says.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Record {
    AddRange { ino: u32, extent: Extent },
    DelRange { ino: u32, from: u32, len: u32 },
    Create { dir: u32, ino: u32, name: Vec<u8> },
    Link { dir: u32, ino: u32, name: Vec<u8> },
    Unlink { dir: u32, ino: u32, name: Vec<u8> },
    Inode { ino: u32, raw: Vec<u8> },
}

fn decode(kind: u16, value: &[u8]) -> Option<Record> {
    let name = || (value.len() > 8).then(|| (le32(value, 0), le32(value, 4), cut(value, 8, value.len()).to_vec()));
    Some(match kind {
        tag::ADD_RANGE if value.len() >= 16 => {
            Record::AddRange { ino: le32(value, 0), extent: Extent::decode(cut(value, 4, 12)) }
        }
        tag::DEL_RANGE if value.len() >= 12 => {
            Record::DelRange { ino: le32(value, 0), from: le32(value, 4), len: le32(value, 8) }
        }
        tag::CREAT => name().map(|(dir, ino, name)| Record::Create { dir, ino, name })?,
        tag::LINK => name().map(|(dir, ino, name)| Record::Link { dir, ino, name })?,
        tag::UNLINK => name().map(|(dir, ino, name)| Record::Unlink { dir, ino, name })?,
        tag::INODE if value.len() >= 4 + 128 => {
            Record::Inode { ino: le32(value, 0), raw: cut(value, 4, value.len()).to_vec() }
        }
        _ => return None,
    })
}

/// The records that count, of the fast commits after transaction `tid - 1`.
///
/// # Errors
/// `EINVAL` if they have features that are not known.
fn records(blocks: &[Vec<u8>], tid: u32) -> Result<Vec<Record>> {
    let (mut counted, mut open) = (Vec::new(), Vec::new());
    let mut sum = 0;
    for (n, block) in blocks.iter().enumerate() {
        let mut at = 0;
        while at + RECORD <= block.len() {
            let (kind, len) = (le16(block, at), usize::from(le16(block, at + 2)));
            let value = cut(block, at + RECORD, len);
            if value.len() != len {
                return Ok(counted);
            }
            match kind {
                tag::HEAD => {
                    if le32(value, 0) != 0 {
                        return Err(refuse(format_args!("fast commits have unknown features {:#x}", le32(value, 0))));
                    }
                    if len < 8 || le32(value, 4) != tid {
                        return Ok(counted);
                    }
                }
                _ if n == 0 && at == 0 => return Ok(counted),
                tag::TAIL => {
                    sum = crc32c(sum, cut(block, at, RECORD + 4));
                    if len < 8 || le32(value, 0) != tid || le32(value, 4) != sum {
                        return Ok(counted);
                    }
                    counted.append(&mut open);
                    sum = 0;
                    at += RECORD + len;
                    continue;
                }
                tag::PAD => {}
                _ => match decode(kind, value) {
                    Some(record) => open.push(record),
                    None => return Ok(counted),
                },
            }
            sum = crc32c(sum, cut(block, at, RECORD + len));
            at += RECORD + len;
        }
    }
    Ok(counted)
}

/// Runs of blocks.
type Runs = Vec<(u64, u64)>;

/// `runs` without what is in `minus`.
fn without(runs: &Runs, minus: &Runs) -> Runs {
    let mut minus = minus.clone();
    minus.sort_unstable();
    let mut runs = runs.clone();
    runs.sort_unstable();
    let (mut rest, mut reached) = (Runs::new(), 0);
    for (start, end) in runs {
        let mut at = start.max(reached);
        reached = reached.max(end);
        for &(from, to) in minus.iter().filter(|m| m.1 > start && m.0 < end) {
            if from > at {
                rest.push((at, from.min(end)));
            }
            at = at.max(to);
        }
        if at < end {
            rest.push((at, end));
        }
    }
    rest
}

impl Ext4 {
    /// Does what fast commits say, in memory: the changed blocks are `committed` afterwards. `tid` is the number after the last
    /// transaction in the journal.
    ///
    /// # Errors
    /// `EINVAL`, `EIO`, `EUCLEAN`.
    pub(crate) fn replay_fast(&mut self, blocks: &[Vec<u8>], tid: u32, now: Time) -> Result<()> {
        let list = records(blocks, tid)?;
        if list.is_empty() {
            return Ok(());
        }
        let read_only = core::mem::replace(&mut self.read_only, false);
        self.in_memory = true;
        let done = self.count_free().and_then(|()| self.op(now, |fs| fs.redo(&list)));
        let done = done.and_then(|()| self.commit());
        self.in_memory = false;
        self.read_only = read_only;
        tracing::info!(target: "lkl::ext4", records = list.len(), "fast commits replayed");
        done
    }

    fn redo(&mut self, list: &[Record]) -> Result<()> {
        let mut touched = BTreeSet::new();
        let (mut doubtful, mut lost) = (Runs::new(), BTreeSet::new());
        // Blocks that files get are taken first, so that nothing else takes them meanwhile.
        for record in list {
            if let Record::AddRange { extent, .. } = record {
                let (from, len) = (extent.pblk, u64::from(extent.len));
                if !self.sb.valid_blocks(from, len) || self.is_system(from, len)? {
                    return Err(corrupt(from, "fast commit: a file gets a block that no file can have"));
                }
                self.mark_blocks(from, len)?;
                doubtful.push((from, from + len));
            }
        }
        for record in list {
            match record {
                Record::AddRange { ino, extent } => {
                    touched.insert(*ino);
                    self.redo_add(*ino, *extent, &mut doubtful)?;
                }
                Record::DelRange { ino, from, len } => {
                    touched.insert(*ino);
                    let mut inode = self.raw_inode(*ino)?;
                    let from = u64::from(*from);
                    self.redo_remove(&mut inode, from, from + u64::from(*len), &mut doubtful)?;
                    self.put_inode(&mut inode)?;
                }
                Record::Create { dir, ino, name } => {
                    let mut inode = self.raw_inode(*ino)?;
                    if inode.is_dir() && !inode.has(flag::INLINE_DATA) && self.map(&inode, 0)?.state == State::Hole {
                        inode.set_size(0);
                        self.init_dir(&mut inode, *dir)?;
                        inode.set_links(2);
                    }
                    self.put_inode(&mut inode)?;
                    touched.insert(*ino);
                    self.redo_link(*dir, &inode, name)?;
                }
                Record::Link { dir, ino, name } => {
                    let inode = self.raw_inode(*ino)?;
                    self.redo_link(*dir, &inode, name)?;
                }
                Record::Unlink { dir, ino, name } => {
                    if self.redo_unlink(*dir, *ino, name)? {
                        lost.insert(*ino);
                    }
                }
                Record::Inode { ino, raw } => {
                    touched.insert(*ino);
                    self.redo_inode(*ino, raw)?;
                }
            }
        }
        let mut used = Runs::new();
        for &ino in &touched {
            let mut inode = self.raw_inode(ino)?;
            self.cut_past_end(&mut inode, &mut doubtful)?;
            self.recount(&mut inode, &mut used)?;
            self.put_inode(&mut inode)?;
        }
        for (from, to) in without(&self.whole_clusters(&doubtful), &self.whole_clusters(&used)) {
            self.free_clusters(from, ((to - from) >> self.sb.cluster_bits) as u32, false)?;
        }
        for ino in lost {
            let mut inode = self.raw_inode(ino)?;
            if inode.links() == 0 {
                self.add_orphan(&mut inode)?;
                self.put_inode(&mut inode)?;
            }
        }
        Ok(())
    }

    /// Marks blocks as used that may be so already.
    fn mark_blocks(&mut self, from: u64, len: u64) -> Result<()> {
        let bits = self.sb.cluster_bits;
        let mut at = from;
        while at < from + len {
            let number = self.sb.group_of(at)?;
            let start = self.sb.group_start(number);
            let end = (from + len).min(start + u64::from(self.sb.blocks_per_group));
            let (first, last) = ((at - start) >> bits, (end - 1 - start) >> bits);
            let mut group = self.group(number)?;
            let mut map = self.block_bitmap(&group)?.to_vec();
            let clear = (first..=last).filter(|&n| !crate::bytes::bit(&map, n as usize)).count() as u32;
            if clear > 0 {
                crate::bytes::set_bits(&mut map, first as usize, (last - first + 1) as usize, true);
                self.put_block_bitmap(&mut group, crate::cache::Block::new(map));
                group.free_clusters = group.free_clusters.saturating_sub(clear);
                self.put_group(&group)?;
                self.sb.free_blocks = self.sb.free_blocks.saturating_sub(u64::from(clear) << bits);
            }
            at = end;
        }
        Ok(())
    }

    /// The clusters of these blocks.
    fn whole_clusters(&self, runs: &Runs) -> Runs {
        let (size, base) = (self.sb.cluster_blocks(), u64::from(self.sb.first_data_block));
        let grow = |&(from, to): &(u64, u64)| {
            (base + ((from - base) & !(size - 1)), base + (to - base).next_multiple_of(size))
        };
        runs.iter().map(grow).collect()
    }

    fn redo_remove(&mut self, inode: &mut Inode, from: u64, to: u64, doubtful: &mut Runs) -> Result<()> {
        if !inode.has(flag::EXTENTS) {
            return Err(corrupt(0, format_args!("fast commit: inode {} has no extents", inode.ino)));
        }
        let (pieces, _) = self.extent_remove(inode, from, to.min(1 << 32), usize::MAX)?;
        doubtful.extend(pieces.iter().map(|p| (p.pblk, p.pblk + u64::from(p.len))));
        Ok(())
    }

    fn redo_add(&mut self, ino: u32, extent: Extent, doubtful: &mut Runs) -> Result<()> {
        let mut inode = self.raw_inode(ino)?;
        let from = u64::from(extent.lblk);
        if extent.len == 0 {
            return Err(corrupt(0, format_args!("fast commit: inode {ino}: an extent of no blocks")));
        }
        self.redo_remove(&mut inode, from, from + u64::from(extent.len), doubtful)?;
        self.extent_insert(&mut inode, extent)?;
        self.put_inode(&mut inode)
    }

    fn redo_link(&mut self, dir: u32, inode: &Inode, name: &[u8]) -> Result<()> {
        let mut parent = self.inode(dir)?;
        match self.find_entry(&parent, name) {
            Ok((ino, _)) if ino == inode.ino => return Ok(()),
            Ok(_) => self.change_entry(&mut parent, name, Some((inode.ino, entry_kind(inode.mode()))))?,
            Err(Errno::ENOENT) => {
                self.add_entry(&mut parent, name, inode.ino, entry_kind(inode.mode()))?;
                if inode.is_dir() && parent.links() > 1 {
                    parent.set_links(parent.links() + 1);
                }
            }
            Err(e) => return Err(e),
        }
        self.put_inode(&mut parent)
    }

    /// Takes a name away. Answers whether it was there.
    fn redo_unlink(&mut self, dir: u32, ino: u32, name: &[u8]) -> Result<bool> {
        let mut parent = self.inode(dir)?;
        match self.find_entry(&parent, name) {
            Ok((found, _)) if found == ino => {}
            Ok(_) | Err(Errno::ENOENT) => return Ok(false),
            Err(e) => return Err(e),
        }
        let mut inode = self.raw_inode(ino)?;
        self.change_entry(&mut parent, name, None)?;
        if inode.is_dir() {
            inode.set_links(0);
            if parent.links() > 2 {
                parent.set_links(parent.links() - 1);
            }
        } else {
            inode.set_links(inode.links().saturating_sub(1));
        }
        self.put_inode(&mut inode)?;
        self.put_inode(&mut parent)?;
        Ok(true)
    }

    fn redo_inode(&mut self, ino: u32, raw: &[u8]) -> Result<()> {
        let fresh = self.mark_inode(ino, le16(raw, 0) & kind::MASK == kind::DIR)?;
        // What was never used may hold anything, even a wrong checksum.
        let mut inode = if fresh { Inode { ino, raw: vec![0; self.sb.inode_size] } } else { self.raw_inode(ino)? };
        let map = inode.block().to_vec();
        let len = raw.len().min(inode.raw.len());
        put_bytes(&mut inode.raw, 0, cut(raw, 0, len));
        if inode.has(flag::EXTENTS) {
            if fresh || le16(&map, 0) != 0xf30a {
                Self::new_extent_root(&mut inode);
            } else {
                put_bytes(&mut inode.raw, MAP.start, &map);
            }
        }
        self.put_inode(&mut inode)
    }

    /// Takes out what a file has past its end: a file that was cut is recorded by its size alone. Blocks kept for later stay.
    fn cut_past_end(&mut self, inode: &mut Inode, doubtful: &mut Runs) -> Result<()> {
        if !inode.is_reg() || !inode.has(flag::EXTENTS) {
            return Ok(());
        }
        let mut at = inode.size().div_ceil(self.sb.block_size as u64);
        while let Ok(lblk) = u32::try_from(at) {
            let map = self.map(inode, lblk)?;
            if let State::Written(_) = map.state {
                self.redo_remove(inode, at, map.end(), doubtful)?;
            }
            at = map.end();
        }
        Ok(())
    }

    /// Counts the blocks of an inode anew, and collects them.
    fn recount(&mut self, inode: &mut Inode, used: &mut Runs) -> Result<()> {
        if !inode.has(flag::EXTENTS) || inode.links() == 0 {
            return Ok(());
        }
        let bits = self.sb.cluster_bits;
        let (mut at, mut clusters, mut last) = (0u64, 0u64, None);
        while let Ok(lblk) = u32::try_from(at) {
            let map = self.map(inode, lblk)?;
            if let Some(place) = map.place() {
                used.push((place, place + map.len));
                let (first, end) = (u64::from(lblk) >> bits, (map.end() - 1) >> bits);
                clusters += end - first + u64::from(last != Some(first));
                last = Some(end);
            }
            at = map.end();
        }
        clusters += self.tree_blocks(inode)? + u64::from(inode.xattr_block() != 0);
        self.set_sectors(inode, clusters << bits << (self.sb.block_bits - 9))?;
        self.count_values(inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, value: &[u8]) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &(value.len() as u16).to_le_bytes(), value].concat()
    }

    fn commit(records: &[Vec<u8>], tid: u32, head: bool) -> Vec<u8> {
        let mut all = if head { record(tag::HEAD, &[0, 0, 0, 0, tid as u8, 0, 0, 0]) } else { Vec::new() };
        all.extend(records.concat());
        let mut tail = record(tag::TAIL, &[tid as u8, 0, 0, 0, 0, 0, 0, 0]);
        let sum = crc32c(crc32c(0, &all), cut(&tail, 0, 8));
        put_bytes(&mut tail, 8, &sum.to_le_bytes());
        [all, tail].concat()
    }

    #[test]
    fn records_count_up_to_the_last_sound_tail() {
        let link = |n: u8| record(tag::LINK, &[2, 0, 0, 0, n, 0, 0, 0, b'x']);
        let is = |n: u32| Record::Link { dir: 2, ino: n, name: b"x".to_vec() };
        let mut block = commit(&[link(12)], 7, true);
        let first = block.len();
        block.extend(commit(&[link(13)], 7, false));
        block.resize(1024, 0);
        assert_eq!(records(&[block.clone()], 7), Ok(vec![is(12), is(13)]));
        assert_eq!(records(&[block.clone()], 8), Ok(vec![]), "of another transaction");
        let mut broken = block.clone();
        broken[first + 5] ^= 1;
        assert_eq!(records(&[broken], 7), Ok(vec![is(12)]));
        let mut feature = block;
        feature[4] = 1;
        assert_eq!(records(&[feature], 7), Err(Errno::EINVAL));
    }

    #[test]
    fn runs() {
        assert_eq!(without(&vec![(0, 10), (20, 30)], &vec![(2, 4), (8, 22)]), vec![(0, 2), (4, 8), (22, 30)]);
        assert_eq!(without(&vec![(0, 10), (5, 12)], &vec![]), vec![(0, 10), (10, 12)]);
    }
}
