//! Which clusters are free: searching, taking and giving back. `inodes` does the same for inodes.
//!
//! With bigalloc a bit of a bitmap stands for a cluster of several blocks; without, for one block.

mod inodes;
mod promise;

use crate::bytes::{bit, next_bit, set_bits};
use crate::cache::Block;
use crate::error::corrupt;
use crate::group::Group;
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// A run of free clusters of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    from: u32,
    len: u32,
}

/// The best run of clear bits in `map`: at least `want` long, the first from `start` on, else the longest.
fn find_run(map: &[u8], bits: u32, start: u32, want: u32) -> Option<Run> {
    let mut best: Option<Run> = None;
    for (from, to) in [(start, bits), (0, start)] {
        let mut at = from;
        while at < to {
            let free = next_bit(map, at as usize, bits as usize, false) as u32;
            if free >= to {
                break;
            }
            // No longer than what is wanted needs to be known.
            let limit = bits.min(free.saturating_add(want.max(1)));
            let end = next_bit(map, free as usize, limit as usize, true) as u32;
            if end - free >= want {
                return Some(Run { from: free, len: end - free });
            }
            if best.is_none_or(|b| end - free > b.len) {
                best = Some(Run { from: free, len: end - free });
            }
            at = end + 1;
        }
    }
    best
}

impl Ext4 {
    /// Clusters that an operation may take now.
    fn available(&self) -> u64 {
        let kept = if self.privileged { 0 } else { self.sb.reserved_blocks };
        self.sb.free_blocks.saturating_sub(kept).saturating_sub(self.promised) >> self.sb.cluster_bits
    }

    /// The bitmap of a group in which also those clusters are taken that a crash could still bring back.
    pub(crate) fn search_map(&mut self, group: &Group) -> Result<Block> {
        let map = self.block_bitmap(group)?;
        let Some(freed) = self.transaction.freed.get(&group.number) else { return Ok(map) };
        Ok(Block::new(map.iter().zip(freed).map(|(a, b)| a | b).collect()))
    }

    /// Takes up to `want` clusters in one run, near block `goal`. Answers the first block and the number of clusters.
    ///
    /// # Errors
    /// `ENOSPC`, `EIO`, `EUCLEAN`.
    pub(crate) fn take_clusters(&mut self, goal: u64, want: u32) -> Result<(u64, u32)> {
        let want = want.clamp(1, self.sb.clusters_per_group).min(self.available().min(u64::from(u32::MAX)) as u32);
        if want == 0 {
            return Err(Errno::ENOSPC);
        }
        let goal = if self.sb.valid_blocks(goal, 1) { goal } else { u64::from(self.sb.first_data_block) };
        let first = self.sb.group_of(goal)?;
        let goal_bit = ((goal - self.sb.group_start(first)) >> self.sb.cluster_bits) as u32;
        // All at once somewhere; if not, a good part of it; if not, whatever there is.
        for least in [want, want / 8 + 1, 1] {
            for n in 0..self.sb.groups {
                let number = (first + n) % self.sb.groups;
                let known = self.full_groups.get(&number).copied().unwrap_or(u32::MAX);
                if known < least {
                    continue;
                }
                let group = self.group(number)?;
                if group.free_clusters < least && !(n == 0 && group.free_clusters > 0) {
                    continue;
                }
                let map = self.search_map(&group)?;
                let bits = self.sb.group_clusters(number);
                let start = if n == 0 { goal_bit.min(bits) } else { 0 };
                if n == 0 && !bit(&map, start as usize) && start < bits {
                    // Right after what is there already: even less than wanted is good.
                    let end = next_bit(&map, start as usize, bits.min(start + want) as usize, true) as u32;
                    if end - start >= least.min(16) {
                        return self.take(group, &map, Run { from: start, len: end - start });
                    }
                }
                match find_run(&map, bits, start, want) {
                    Some(run) if run.len >= least => {
                        return self.take(group, &map, Run { len: run.len.min(want), ..run });
                    }
                    other => {
                        self.full_groups.insert(number, other.map_or(0, |r| r.len));
                    }
                }
            }
        }
        Err(Errno::ENOSPC)
    }

    fn take(&mut self, mut group: Group, searched: &Block, run: Run) -> Result<(u64, u32)> {
        let mut map = if self.transaction.freed.contains_key(&group.number) {
            self.block_bitmap(&group)?
        } else {
            searched.clone()
        };
        let bits = self.sb.cluster_bits;
        let block = self.sb.group_start(group.number) + (u64::from(run.from) << bits);
        if run.len > group.free_clusters {
            return Err(corrupt(group.block_bitmap, format_args!("count of free clusters of group {}", group.number)));
        }
        if self.is_system(block, u64::from(run.len) << bits)? {
            return Err(corrupt(group.block_bitmap, format_args!("group {}: metadata are marked free", group.number)));
        }
        set_bits(Block::make_mut(&mut map), run.from as usize, run.len as usize, true);
        self.put_block_bitmap(&mut group, map);
        group.free_clusters -= run.len;
        self.put_group(&group)?;
        self.sb.free_blocks = self.sb.free_blocks.saturating_sub(u64::from(run.len) << bits);
        Ok((block, run.len))
    }

    /// Takes one block for metadata near `goal`, and counts it for an inode's caller: a whole cluster with bigalloc.
    ///
    /// # Errors
    /// As [`Ext4::take_clusters`].
    pub(crate) fn take_metadata_block(&mut self, goal: u64) -> Result<u64> {
        Ok(self.take_clusters(goal, 1)?.0)
    }

    /// Gives back clusters from that of `block` on. `metadata` says that their blocks were journalled.
    ///
    /// # Errors
    /// `EUCLEAN` if they are free already or no file can own them; `EIO`.
    pub(crate) fn free_clusters(&mut self, block: u64, clusters: u32, metadata: bool) -> Result<()> {
        let bits = self.sb.cluster_bits;
        let (mut block, mut left) = (block, clusters);
        while left > 0 {
            let number = self.sb.group_of(block)?;
            let start = self.sb.group_start(number);
            let from = ((block - start) >> bits) as u32;
            let len = left.min(self.sb.group_clusters(number) - from);
            let first = start + (u64::from(from) << bits);
            let blocks = u64::from(len) << bits;
            let mut group = self.group(number)?;
            let mut map = self.block_bitmap(&group)?;
            let used = next_bit(&map, from as usize, (from + len) as usize, false) as u32 == from + len;
            if !used || self.is_system(first, blocks.min(self.sb.blocks_count - first))? {
                return Err(corrupt(first, format_args!("{len} clusters to be freed are free already, or metadata")));
            }
            set_bits(Block::make_mut(&mut map), from as usize, len as usize, false);
            self.put_block_bitmap(&mut group, map);
            group.free_clusters += len;
            self.put_group(&group)?;
            self.sb.free_blocks += blocks;
            if metadata {
                for b in first..(first + blocks).min(self.sb.blocks_count) {
                    self.forget(b);
                }
            }
            self.note_freed(number, from, len);
            left -= len;
            block = start + u64::from(self.sb.blocks_per_group);
        }
        Ok(())
    }

    /// Whether any of these blocks belongs to the file system itself.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn is_system(&mut self, block: u64, len: u64) -> Result<bool> {
        if self.system.is_empty() {
            self.system = self.system_zones()?;
        }
        let at = self.system.partition_point(|z| z.1 <= block);
        Ok(self.system.get(at).is_some_and(|z| z.0 < block.saturating_add(len)))
    }

    /// Where superblocks, descriptors, bitmaps and inode tables are: runs in order, first and past the last block.
    fn system_zones(&mut self) -> Result<Vec<(u64, u64)>> {
        let mut zones = Vec::new();
        let table = self.inode_table_blocks();
        for number in 0..self.sb.groups {
            let start = self.sb.group_start(number);
            let base = u64::from(self.sb.base_meta_blocks(number));
            let group = self.group(number)?;
            for (from, len) in
                [(start, base), (group.block_bitmap, 1), (group.inode_bitmap, 1), (group.inode_table, table)]
            {
                if len > 0 {
                    zones.push((from, from + len));
                }
            }
        }
        zones.sort_unstable();
        zones.dedup_by(|next, zone| {
            let joins = next.0 <= zone.1;
            if joins {
                zone.1 = zone.1.max(next.1);
            }
            joins
        });
        Ok(zones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs() {
        let mut map = vec![0xff; 16];
        set_bits(&mut map, 10, 3, false);
        set_bits(&mut map, 40, 8, false);
        set_bits(&mut map, 100, 5, false);
        let run = |start, want| find_run(&map, 128, start, want).map(|r| (r.from, r.len));
        assert_eq!(run(0, 2), Some((10, 2)));
        assert_eq!(run(11, 2), Some((11, 2)));
        assert_eq!(run(11, 4), Some((40, 4)));
        assert_eq!(run(50, 6), Some((40, 6)), "goes around");
        assert_eq!(run(50, 9), Some((40, 8)), "the longest if none is long enough");
        assert_eq!(find_run(&[0xff; 4], 32, 5, 1), None);
    }
}
