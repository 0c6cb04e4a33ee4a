//! Changing the extent tree: putting extents in, with merging and splitting of nodes, and taking ranges out.

use super::{Extent, Node, ENTRY, HEADER, MAX_DEPTH, MAX_UNWRITTEN, MAX_WRITTEN};
use crate::bytes::{cut, put_le16, put_le32};
use crate::csum::crc32c;
use crate::error::corrupt;
use crate::inode::Inode;
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// The nodes from the root to a leaf, each with the entry that was followed.
type Path = Vec<(Node, Option<usize>)>;

fn index_entry(lblk: u32, block: u64) -> [u8; ENTRY] {
    let mut raw = [0; ENTRY];
    put_le32(&mut raw, 0, lblk);
    put_le32(&mut raw, 4, block as u32);
    put_le16(&mut raw, 8, (block >> 32) as u16);
    raw
}

/// `a` and `b` as one extent, if they follow each other and it is not too long.
fn merged(a: Extent, b: Extent) -> Option<Extent> {
    let max = if a.unwritten { MAX_UNWRITTEN } else { MAX_WRITTEN };
    let joins = a.end() == u64::from(b.lblk) && a.pblk + u64::from(a.len) == b.pblk && a.unwritten == b.unwritten;
    (joins && a.len + b.len <= max).then_some(Extent { len: a.len + b.len, ..a })
}

impl Ext4 {
    /// An empty tree, for a new inode.
    pub(crate) fn new_extent_root(inode: &mut Inode) {
        let mut root = [0; 60];
        Node::header(&mut root, 4, 0);
        inode.set_block(&root);
    }

    fn put_node(&mut self, inode: &mut Inode, node: &mut Node) -> Result<()> {
        if node.block == 0 {
            inode.set_block(&node.data);
            return Ok(());
        }
        if self.sb.metadata_csum() {
            let place = HEADER + node.max() * ENTRY;
            let sum = crc32c(inode.csum_seed(self.sb.csum_seed), cut(&node.data, 0, place));
            put_le32(&mut node.data, place, sum);
        }
        self.cache.change(node.block)?.copy_from_slice(&node.data);
        Ok(())
    }

    fn extent_path(&mut self, inode: &Inode, lblk: u32) -> Result<Path> {
        let mut node = self.extent_root(inode)?;
        let mut path = Path::new();
        for _ in 0..=MAX_DEPTH {
            let at = node.search(lblk);
            if node.depth() == 0 {
                path.push((node, at));
                return Ok(path);
            }
            let child = self.extent_node(inode, &node, at.unwrap_or(0))?;
            path.push((node, Some(at.unwrap_or(0))));
            node = child;
        }
        Err(Errno::EUCLEAN)
    }

    /// The first entry of the last node of a path has changed: so do the keys that lead to it.
    fn correct_keys(&mut self, inode: &mut Inode, path: &mut Path) -> Result<()> {
        for level in (1..path.len()).rev() {
            let Some(key) = path.get(level).map(|p| p.0.key(0)) else { break };
            let Some((parent, at)) = path.get_mut(level - 1) else { break };
            let at = at.unwrap_or(0);
            if parent.key(at) == key {
                break;
            }
            put_le32(&mut parent.data, HEADER + at * ENTRY, key);
            let mut node = parent.clone();
            self.put_node(inode, &mut node)?;
            if at != 0 {
                break;
            }
        }
        Ok(())
    }

    /// Puts an extent in where nothing is mapped.
    ///
    /// # Errors
    /// `ENOSPC`, `EIO`, `EUCLEAN`.
    pub(crate) fn extent_insert(&mut self, inode: &mut Inode, extent: Extent) -> Result<()> {
        // Each round without room makes the tree wider at one level.
        for _ in 0..2 * MAX_DEPTH + 4 {
            let mut path = self.extent_path(inode, extent.lblk)?;
            let Some((leaf, at)) = path.last_mut() else { return Err(Errno::EUCLEAN) };
            let next = at.map_or(0, |n| n + 1);
            let before = at.map(|n| leaf.extent(n));
            let after = (next < leaf.entries()).then(|| leaf.extent(next));
            if before.is_some_and(|e| e.end() > u64::from(extent.lblk))
                || after.is_some_and(|e| extent.end() > u64::from(e.lblk))
            {
                return Err(corrupt(leaf.block, format_args!("inode {}: extents overlap", inode.ino)));
            }
            let left = before.and_then(|b| merged(b, extent));
            let whole = left.unwrap_or(extent);
            let right = after.and_then(|a| merged(whole, a));
            let first_changed = match (left, right) {
                (Some(_), Some(all)) => {
                    leaf.put_entry(next - 1, &all.encode());
                    leaf.remove(next);
                    false
                }
                (Some(all), None) => {
                    leaf.put_entry(next - 1, &all.encode());
                    false
                }
                (None, Some(all)) => {
                    leaf.put_entry(next, &all.encode());
                    next == 0
                }
                (None, None) if leaf.entries() < leaf.max() => {
                    leaf.insert(next, &extent.encode());
                    next == 0
                }
                _ => {
                    self.make_room(inode, &mut path)?;
                    continue;
                }
            };
            let mut node = leaf.clone();
            self.put_node(inode, &mut node)?;
            if first_changed {
                self.correct_keys(inode, &mut path)?;
            }
            return Ok(());
        }
        Err(Errno::EUCLEAN)
    }

    /// Splits the highest full node on a path below one with room, or makes the tree deeper.
    fn make_room(&mut self, inode: &mut Inode, path: &mut Path) -> Result<()> {
        let room = path.iter().rposition(|(node, _)| node.entries() < node.max());
        let near = path.last().map_or(0, |(node, _)| node.block);
        let goal = if near == 0 { self.inode_goal(inode)? } else { near };
        let block = self.take_metadata_block(goal)?;
        self.count_blocks(inode, self.sb.cluster_blocks() as i64)?;
        self.cache.fresh(block);
        let max = self.node_max();
        let size = self.sb.block_size;
        let Some(level) = room else {
            // All are full: what is in the root goes into a block below it.
            let Some((root, _)) = path.first_mut() else { return Err(Errno::EUCLEAN) };
            if root.depth() >= MAX_DEPTH {
                return Err(Errno::EFBIG);
            }
            let mut child = Node { block, data: vec![0; size] };
            Node::header(&mut child.data, max, root.depth());
            let entries = cut(&root.data, HEADER, root.entries() * ENTRY).to_vec();
            crate::bytes::put_bytes(&mut child.data, HEADER, &entries);
            child.set_entries(root.entries());
            let (depth, key) = (root.depth() + 1, root.key(0));
            let mut root = Node { block: 0, data: vec![0; 60] };
            Node::header(&mut root.data, 4, depth);
            root.insert(0, &index_entry(key, block));
            self.put_node(inode, &mut child)?;
            return self.put_node(inode, &mut root);
        };
        let (Some((parent, at)), Some((full, full_at))) = (path.get(level).cloned(), path.get(level + 1).cloned())
        else {
            return Err(Errno::EUCLEAN);
        };
        let (mut parent, mut full) = (parent, full);
        let count = full.entries();
        // Files grow at their end mostly: then the full node stays full.
        let keep = if full_at.is_none_or(|n| n + 1 < count) { count / 2 } else { count - 1 };
        let mut new = Node { block, data: vec![0; size] };
        Node::header(&mut new.data, max, full.depth());
        let moved = cut(&full.data, HEADER + keep * ENTRY, (count - keep) * ENTRY).to_vec();
        crate::bytes::put_bytes(&mut new.data, HEADER, &moved);
        new.set_entries(count - keep);
        full.set_entries(keep);
        parent.insert(at.unwrap_or(0) + 1, &index_entry(new.key(0), block));
        self.put_node(inode, &mut new)?;
        self.put_node(inode, &mut full)?;
        self.put_node(inode, &mut parent)
    }

    fn node_max(&self) -> usize {
        let tail = if self.sb.metadata_csum() { 4 } else { 0 };
        (self.sb.block_size - HEADER - tail) / ENTRY
    }

    /// Takes what is mapped in `from..to` out of the tree, at most `limit` extents of it. Answers the pieces, and whether that was all.
    /// Their blocks are not freed.
    ///
    /// # Errors
    /// `ENOSPC` if an extent in the middle must be split and there is no room; `EIO`, `EUCLEAN`.
    pub(crate) fn extent_remove(
        &mut self,
        inode: &mut Inode,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Result<(Vec<Extent>, bool)> {
        let mut taken = Vec::new();
        let mut at = from;
        while at < to {
            let Ok(lblk) = u32::try_from(at) else { break };
            let mut path = self.extent_path(inode, lblk)?;
            let last_key = self.next_key(&path);
            let Some((leaf, found)) = path.last_mut() else { return Err(Errno::EUCLEAN) };
            let mut n = found.filter(|&n| leaf.extent(n).end() > at).unwrap_or(found.map_or(0, |n| n + 1));
            let (mut split, mut changed, mut first_changed) = (None, false, false);
            let mut full = false;
            while n < leaf.entries() {
                let e = leaf.extent(n);
                let (start, end) = (u64::from(e.lblk).max(at), e.end().min(to));
                if start >= end {
                    break;
                }
                if taken.len() >= limit {
                    full = true;
                    break;
                }
                let skip = (start - u64::from(e.lblk)) as u32;
                let len = (end - start) as u32;
                taken.push(Extent { lblk: start as u32, len, pblk: e.pblk + u64::from(skip), unwritten: e.unwritten });
                let rest = (e.end() - end) as u32;
                let tail = Extent {
                    lblk: end as u32,
                    len: rest,
                    pblk: e.pblk + u64::from(skip + len),
                    unwritten: e.unwritten,
                };
                changed = true;
                if skip > 0 {
                    leaf.put_entry(n, &Extent { len: skip, ..e }.encode());
                    split = (rest > 0).then_some(tail);
                    n += 1;
                } else if rest > 0 {
                    leaf.put_entry(n, &tail.encode());
                    first_changed |= n == 0;
                    n += 1;
                } else {
                    leaf.remove(n);
                    first_changed |= n == 0;
                }
            }
            if changed {
                let empty = leaf.entries() == 0;
                let mut node = leaf.clone();
                self.put_node(inode, &mut node)?;
                if empty && node.block != 0 {
                    self.drop_leaf(inode, &mut path)?;
                } else if first_changed {
                    self.correct_keys(inode, &mut path)?;
                }
            }
            if let Some(tail) = split {
                self.extent_insert(inode, tail)?;
            }
            if full {
                return Ok((taken, false));
            }
            match last_key {
                Some(key) if u64::from(key) > at => at = u64::from(key),
                _ => break,
            }
        }
        self.flatten(inode)?;
        Ok((taken, true))
    }

    /// The first block that the next leaf maps.
    fn next_key(&self, path: &Path) -> Option<u32> {
        let mut levels = path.iter().rev().skip(1);
        levels.find_map(|(node, at)| {
            let next = at.unwrap_or(0) + 1;
            (next < node.entries()).then(|| node.key(next))
        })
    }

    /// Frees the last node of a path, which is empty, and those above that become so.
    fn drop_leaf(&mut self, inode: &mut Inode, path: &mut Path) -> Result<()> {
        while let Some((node, _)) = path.pop() {
            if node.block == 0 {
                break;
            }
            self.free_clusters(node.block, 1, true)?;
            self.count_blocks(inode, -(self.sb.cluster_blocks() as i64))?;
            let Some((parent, at)) = path.last_mut() else { return Err(Errno::EUCLEAN) };
            let at = at.unwrap_or(0);
            parent.remove(at);
            if parent.entries() > 0 {
                let mut parent = parent.clone();
                self.put_node(inode, &mut parent)?;
                if at == 0 {
                    self.correct_keys(inode, path)?;
                }
                return Ok(());
            }
            if parent.block == 0 {
                Self::new_extent_root(inode);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes a level out of the tree when the root could hold what is below it.
    fn flatten(&mut self, inode: &mut Inode) -> Result<()> {
        let root = self.extent_root(inode)?;
        if root.depth() == 0 || root.entries() != 1 {
            return Ok(());
        }
        let child = self.extent_node(inode, &root, 0)?;
        if child.entries() > 4 {
            return Ok(());
        }
        let mut new = Node { block: 0, data: vec![0; 60] };
        Node::header(&mut new.data, 4, child.depth());
        let entries = cut(&child.data, HEADER, child.entries() * ENTRY).to_vec();
        crate::bytes::put_bytes(&mut new.data, HEADER, &entries);
        new.set_entries(child.entries());
        self.put_node(inode, &mut new)?;
        self.free_clusters(child.block, 1, true)?;
        self.count_blocks(inode, -(self.sb.cluster_blocks() as i64))
    }

    /// Says of `from..to`, all of which is mapped, that it is written (or not).
    ///
    /// # Errors
    /// `ENOSPC`, `EIO`, `EUCLEAN`.
    pub(crate) fn extent_mark(&mut self, inode: &mut Inode, from: u64, to: u64, unwritten: bool) -> Result<()> {
        let (pieces, _) = self.extent_remove(inode, from, to, usize::MAX)?;
        for piece in pieces {
            let mut left = Extent { unwritten, ..piece };
            let max = if unwritten { MAX_UNWRITTEN } else { MAX_WRITTEN };
            while left.len > 0 {
                let part = Extent { len: left.len.min(max), ..left };
                self.extent_insert(inode, part)?;
                left.lblk += part.len;
                left.pblk += u64::from(part.len);
                left.len -= part.len;
            }
        }
        Ok(())
    }
}
