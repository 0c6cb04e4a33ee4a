//! The extent tree: which blocks of a file are where. Its root is in the inode, its other nodes are blocks.
//!
//! Here: nodes and looking up. `change` alters the tree; `map` decides between this and `indirect`.

mod change;

use crate::bytes::{cut, le16, le32, put_bytes, put_le16, put_le32};
use crate::csum::crc32c;
use crate::error::corrupt;
use crate::inode::Inode;
use crate::map::{Mapping, State};
use crate::Ext4;
use lkl_abi::{Errno, Result};

const MAGIC: u16 = 0xf30a;
const HEADER: usize = 12;
const ENTRY: usize = 12;
/// No tree is deeper (`EXT4_MAX_EXTENT_DEPTH`).
const MAX_DEPTH: u16 = 5;
/// Longest extent with data, in blocks. A length above it says that nothing is written there yet.
pub(crate) const MAX_WRITTEN: u32 = 32768;
/// Longest extent without data, in blocks.
pub(crate) const MAX_UNWRITTEN: u32 = 32767;

/// A run of blocks of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent {
    pub(crate) lblk: u32,
    pub(crate) len: u32,
    pub(crate) pblk: u64,
    pub(crate) unwritten: bool,
}

impl Extent {
    fn end(&self) -> u64 {
        u64::from(self.lblk) + u64::from(self.len)
    }

    pub(crate) fn decode(raw: &[u8]) -> Self {
        let len = u32::from(le16(raw, 4));
        let unwritten = len > MAX_WRITTEN;
        Self {
            lblk: le32(raw, 0),
            len: if unwritten { len - MAX_WRITTEN } else { len },
            pblk: u64::from(le32(raw, 8)) | u64::from(le16(raw, 6)) << 32,
            unwritten,
        }
    }

    fn encode(&self) -> [u8; ENTRY] {
        let mut raw = [0; ENTRY];
        put_le32(&mut raw, 0, self.lblk);
        put_le16(&mut raw, 4, (self.len + if self.unwritten { MAX_WRITTEN } else { 0 }) as u16);
        put_le16(&mut raw, 6, (self.pblk >> 32) as u16);
        put_le32(&mut raw, 8, self.pblk as u32);
        raw
    }
}

/// A node of the tree: 60 bytes of an inode, or a block.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// 0 for the root.
    pub(crate) block: u64,
    pub(crate) data: Vec<u8>,
}

impl Node {
    fn entries(&self) -> usize {
        usize::from(le16(&self.data, 2)).min(self.data.len().saturating_sub(HEADER) / ENTRY)
    }

    fn max(&self) -> usize {
        usize::from(le16(&self.data, 4))
    }

    fn depth(&self) -> u16 {
        le16(&self.data, 6)
    }

    fn key(&self, n: usize) -> u32 {
        le32(&self.data, HEADER + n * ENTRY)
    }

    fn extent(&self, n: usize) -> Extent {
        Extent::decode(cut(&self.data, HEADER + n * ENTRY, ENTRY))
    }

    fn child(&self, n: usize) -> u64 {
        let raw = cut(&self.data, HEADER + n * ENTRY, ENTRY);
        u64::from(le32(raw, 4)) | u64::from(le16(raw, 8)) << 32
    }

    /// The last entry that starts at or before `lblk`.
    fn search(&self, lblk: u32) -> Option<usize> {
        let (mut low, mut high) = (0, self.entries());
        while low < high {
            let middle = (low + high) / 2;
            if self.key(middle) <= lblk {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    fn set_entries(&mut self, n: usize) {
        put_le16(&mut self.data, 2, n as u16);
    }

    fn put_entry(&mut self, n: usize, raw: &[u8]) {
        put_bytes(&mut self.data, HEADER + n * ENTRY, raw);
    }

    fn insert(&mut self, n: usize, raw: &[u8]) {
        let count = self.entries();
        let tail = cut(&self.data, HEADER + n * ENTRY, (count - n.min(count)) * ENTRY).to_vec();
        put_bytes(&mut self.data, HEADER + (n + 1) * ENTRY, &tail);
        self.put_entry(n, raw);
        self.set_entries(count + 1);
    }

    fn remove(&mut self, n: usize) {
        let count = self.entries();
        if n < count {
            let tail = cut(&self.data, HEADER + (n + 1) * ENTRY, (count - n - 1) * ENTRY).to_vec();
            put_bytes(&mut self.data, HEADER + n * ENTRY, &tail);
            self.set_entries(count - 1);
        }
    }

    fn header(data: &mut [u8], max: usize, depth: u16) {
        put_le16(data, 0, MAGIC);
        put_le16(data, 2, 0);
        put_le16(data, 4, max as u16);
        put_le16(data, 6, depth);
        put_le32(data, 8, 0);
    }

    /// What is wrong with a node, if anything. `first` is the least block that it may map.
    fn fault(&self, blocks: u64, depth: u16, first: u32) -> Option<&'static str> {
        if le16(&self.data, 0) != MAGIC {
            return Some("no extent node: wrong magic number");
        }
        if self.depth() != depth {
            return Some("extent node of another depth than its parent says");
        }
        let room = (self.data.len() - HEADER) / ENTRY;
        if self.max() == 0 || self.max() > room || usize::from(le16(&self.data, 2)) > self.max() {
            return Some("extent node with more entries than fit");
        }
        if depth > 0 && self.entries() == 0 {
            return Some("empty extent index");
        }
        let mut next = u64::from(first);
        for n in 0..self.entries() {
            if u64::from(self.key(n)) < next {
                return Some("extents out of order");
            }
            let (place, len, end) = if depth == 0 {
                let e = self.extent(n);
                (e.pblk, u64::from(e.len), e.end())
            } else {
                (self.child(n), 1, u64::from(self.key(n)) + 1)
            };
            if len == 0 || place == 0 || end > 1 << 32 || place.checked_add(len).is_none_or(|e| e > blocks) {
                return Some("extent that points outside");
            }
            next = end;
        }
        None
    }
}

impl Ext4 {
    /// The root of the tree of an inode.
    ///
    /// # Errors
    /// `EUCLEAN`.
    pub(crate) fn extent_root(&mut self, inode: &Inode) -> Result<Node> {
        let root = Node { block: 0, data: inode.block().to_vec() };
        let fault =
            if root.depth() > MAX_DEPTH { Some("too deep") } else { root.fault(self.sb.blocks_count, root.depth(), 0) };
        match fault {
            None => Ok(root),
            Some(what) => {
                let block = self.inode_place(inode.ino)?.0;
                Err(corrupt(block, format_args!("extents in inode {}: {what}", inode.ino)))
            }
        }
    }

    /// A node below the root.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    fn extent_node(&mut self, inode: &Inode, parent: &Node, n: usize) -> Result<Node> {
        let (block, first, depth) = (parent.child(n), parent.key(n), parent.depth() - 1);
        if !self.sb.valid_blocks(block, 1) {
            return Err(corrupt(block, format_args!("extent tree of inode {} points to it", inode.ino)));
        }
        let (blocks, seed, csum) = (self.sb.blocks_count, inode.csum_seed(self.sb.csum_seed), self.sb.metadata_csum());
        let check = |data: &[u8]| {
            let node = Node { block, data: data.to_vec() };
            let place = HEADER + node.max() * ENTRY;
            let fault = node.fault(blocks, depth, first).or_else(|| {
                (csum && crc32c(seed, cut(data, 0, place)) != le32(data, place))
                    .then_some("wrong checksum of an extent node")
            });
            fault.map_or(Ok(()), |what| Err(corrupt(block, format_args!("inode {}: {what}", inode.ino))))
        };
        let data = self.cache.read(block, check)?;
        let node = Node { block, data: data.to_vec() };
        // What is in memory was checked when it was read, but perhaps as something else.
        if le16(&node.data, 0) != MAGIC || node.depth() != depth || node.entries() > node.max() {
            return Err(corrupt(block, format_args!("inode {}: no extent node", inode.ino)));
        }
        Ok(node)
    }

    /// Blocks that the tree of an inode takes itself.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn tree_blocks(&mut self, inode: &Inode) -> Result<u64> {
        let mut count = 0;
        let mut left = vec![self.extent_root(inode)?];
        while let Some(node) = left.pop() {
            for n in 0..if node.depth() > 0 { node.entries() } else { 0 } {
                count += 1;
                if node.depth() > 1 {
                    left.push(self.extent_node(inode, &node, n)?);
                }
            }
        }
        Ok(count)
    }

    /// Where block `lblk` of a file is, and how far it goes on like that.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn extent_map(&mut self, inode: &Inode, lblk: u32) -> Result<Mapping> {
        let mut node = self.extent_root(inode)?;
        let mut limit = 1u64 << 32;
        for _ in 0..MAX_DEPTH {
            if node.depth() == 0 {
                break;
            }
            let n = node.search(lblk);
            let next = n.map_or(0, |n| n + 1);
            if next < node.entries() {
                limit = limit.min(u64::from(node.key(next)));
            }
            let Some(n) = n else { return Ok(Mapping::hole(lblk, limit)) };
            node = self.extent_node(inode, &node, n)?;
        }
        if node.depth() != 0 {
            return Err(Errno::EUCLEAN);
        }
        let n = node.search(lblk);
        if let Some(e) = n.map(|n| node.extent(n)).filter(|e| e.end() > u64::from(lblk)) {
            let skip = lblk - e.lblk;
            let place = e.pblk + u64::from(skip);
            if !self.sb.valid_blocks(place, u64::from(e.len - skip)) {
                return Err(corrupt(node.block, format_args!("inode {}: extent to block {place}", inode.ino)));
            }
            let state = if e.unwritten { State::Unwritten(place) } else { State::Written(place) };
            return Ok(Mapping { lblk, len: u64::from(e.len - skip), state });
        }
        let next = n.map_or(0, |n| n + 1);
        if next < node.entries() {
            limit = limit.min(u64::from(node.key(next)));
        }
        Ok(Mapping::hole(lblk, limit))
    }
}
