//! Changing the block map of ext2 and ext3.

use super::{Way, DIRECT};
use crate::bytes::{le32, put_bytes, put_le32};
use crate::error::corrupt;
use crate::inode::Inode;
use crate::map::{Mapping, State};
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// Blocks freed in one operation at most.
const FREE_BLOCKS: u32 = 16384;

/// A range of a file to be freed, and how much is left to do in this operation.
struct Freeing {
    from: u64,
    to: u64,
    left: u32,
    metadata: bool,
    /// A run of blocks collected.
    run: (u64, u32),
    freed: u64,
}

impl Ext4 {
    fn inode_number(inode: &Inode, slot: usize) -> u64 {
        u64::from(le32(inode.block(), slot * 4))
    }

    fn set_inode_number(inode: &mut Inode, slot: usize, block: u64) {
        let mut map = inode.block().to_vec();
        put_le32(&mut map, slot * 4, block as u32);
        inode.set_block(&map);
    }

    /// Takes up to `want` blocks from `lblk` on, which are a hole, as far as one block of numbers goes.
    ///
    /// # Errors
    /// `EFBIG` if the file cannot have such a block; `ENOSPC`, `EIO`, `EUCLEAN`.
    pub(crate) fn indirect_fill(&mut self, inode: &mut Inode, lblk: u32, want: u32) -> Result<Mapping> {
        let bits = self.numbers_bits();
        let way = Way::to(u64::from(lblk), bits).ok_or(Errno::EFBIG)?;
        let slots = way.slots().to_vec();
        let mut goal = match lblk.checked_sub(1) {
            Some(before) => self.indirect_map(inode, before)?.place().map(|p| p + 1),
            None => None,
        };
        let mut parent: Option<u64> = None;
        for &slot in slots.iter().take(slots.len() - 1) {
            let mut number = match parent {
                None => Self::inode_number(inode, slot),
                Some(block) => u64::from(le32(&self.numbers(inode, block)?, slot * 4)),
            };
            if number == 0 {
                let near = match goal {
                    Some(goal) => goal,
                    None => self.inode_goal(inode)?,
                };
                number = self.take_numbered(near, 1)?.0;
                goal = Some(number + 1);
                self.cache.fresh(number);
                self.count_blocks(inode, 1)?;
                match parent {
                    None => Self::set_inode_number(inode, slot, number),
                    Some(block) => put_le32(self.cache.change(block)?, slot * 4, number as u32),
                }
            }
            if !self.sb.valid_blocks(number, 1) || self.is_system(number, 1)? {
                return Err(corrupt(number, format_args!("inode {} points to it", inode.ino)));
            }
            parent = Some(number);
        }
        let slot = slots.last().copied().unwrap_or(0);
        let end = if parent.is_none() { DIRECT as usize } else { 1 << bits };
        let want = want.min((end - slot) as u32);
        let near = match goal {
            Some(goal) => goal,
            None => self.inode_goal(inode)?,
        };
        let (place, len) = self.take_numbered(near, want)?;
        self.count_blocks(inode, i64::from(len))?;
        let mut numbers = Vec::with_capacity(len as usize * 4);
        for block in place..place + u64::from(len) {
            numbers.extend((block as u32).to_le_bytes());
        }
        match parent {
            None => {
                let mut map = inode.block().to_vec();
                put_bytes(&mut map, slot * 4, &numbers);
                inode.set_block(&map);
            }
            Some(block) => put_bytes(self.cache.change(block)?, slot * 4, &numbers),
        }
        Ok(Mapping { lblk, len: u64::from(len), state: State::Written(place) })
    }

    /// Takes blocks whose numbers have 32 bits.
    fn take_numbered(&mut self, goal: u64, want: u32) -> Result<(u64, u32)> {
        let (place, len) = self.take_clusters(goal, want)?;
        if place + u64::from(len) > u64::from(u32::MAX) {
            return Err(Errno::ENOSPC);
        }
        Ok((place, len))
    }

    /// Gives back the blocks of `from..to` and the blocks of numbers that become empty, or a part of them: answers whether that was
    /// all.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn indirect_free(&mut self, inode: &mut Inode, from: u64, to: u64, metadata: bool) -> Result<bool> {
        let bits = self.numbers_bits();
        let mut job = Freeing { from, to, left: FREE_BLOCKS, metadata, run: (0, 0), freed: 0 };
        let mut map = inode.block().to_vec();
        // From the end, as truncating does it: what is left can be continued.
        let mut starts = vec![(14usize, 3u32), (13, 2), (12, 1)];
        starts.extend((0..DIRECT as usize).rev().map(|slot| (slot, 0)));
        for (slot, level) in starts {
            let first = match level {
                0 => slot as u64,
                _ => DIRECT + (1..level).map(|l| 1u64 << (bits * l)).sum::<u64>(),
            };
            let number = u64::from(le32(&map, slot * 4));
            if number != 0 && self.free_below(inode, &mut job, number, level, first)? {
                put_le32(&mut map, slot * 4, 0);
            }
        }
        self.free_run(&mut job)?;
        inode.set_block(&map);
        self.count_blocks(inode, -(job.freed as i64))?;
        Ok(job.left > 0)
    }

    fn free_run(&mut self, job: &mut Freeing) -> Result<()> {
        let (place, len) = core::mem::take(&mut job.run);
        if len > 0 {
            self.free_clusters(place, len, job.metadata)?;
        }
        Ok(())
    }

    /// Frees what is in range of what `number` leads to, `level` levels down. Answers whether `number` itself is free now.
    fn free_below(&mut self, inode: &Inode, job: &mut Freeing, number: u64, level: u32, first: u64) -> Result<bool> {
        let bits = self.numbers_bits();
        let span = 1u64 << (bits * level);
        if first >= job.to || first + span <= job.from || job.left == 0 {
            return Ok(false);
        }
        if !self.sb.valid_blocks(number, 1) {
            return Err(corrupt(number, format_args!("inode {} points to it", inode.ino)));
        }
        job.left -= 1;
        if level == 0 {
            job.freed += 1;
            if job.run.1 > 0 && number + 1 == job.run.0 {
                job.run = (number, job.run.1 + 1);
            } else {
                self.free_run(job)?;
                job.run = (number, 1);
            }
            return Ok(true);
        }
        let table = self.numbers(inode, number)?;
        let below = span >> bits;
        let mut cleared = Vec::new();
        for slot in (0..1usize << bits).rev() {
            let child = u64::from(le32(&table, slot * 4));
            if child != 0 && self.free_below(inode, job, child, level - 1, first + slot as u64 * below)? {
                cleared.push(slot);
            }
        }
        if cleared.is_empty() && table.iter().any(|&b| b != 0) {
            return Ok(false);
        }
        let mut rest = table.to_vec();
        for slot in cleared {
            put_le32(&mut rest, slot * 4, 0);
        }
        if rest.iter().all(|&b| b == 0) {
            self.free_run(job)?;
            self.free_clusters(number, 1, true)?;
            job.freed += 1;
            return Ok(true);
        }
        self.cache.change(number)?.copy_from_slice(&rest);
        Ok(false)
    }
}
