//! The block map of ext2 and ext3: 12 blocks in the inode, then blocks of block numbers, one, two and three levels deep.

mod change;

use crate::bytes::le32;
use crate::error::corrupt;
use crate::inode::Inode;
use crate::map::{Mapping, State};
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// Blocks whose numbers are in the inode.
pub(crate) const DIRECT: u64 = 12;

/// The way to a block: the slot in the inode, then those in each block of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Way {
    slots: [usize; 4],
    len: usize,
}

impl Way {
    /// The way to block `lblk` of a file, when a block holds 2^`bits` numbers; `None` past the end of what can be mapped.
    pub(crate) fn to(lblk: u64, bits: u32) -> Option<Self> {
        let mask = (1u64 << bits) - 1;
        let mut left = lblk;
        if left < DIRECT {
            return Some(Self { slots: [left as usize, 0, 0, 0], len: 1 });
        }
        left -= DIRECT;
        for level in 1..=3u32 {
            let span = 1u64 << (bits * level);
            if left < span {
                let mut slots = [11 + level as usize, 0, 0, 0];
                for (n, slot) in slots.iter_mut().enumerate().skip(1).take(level as usize) {
                    *slot = (left >> (bits * (level - n as u32)) & mask) as usize;
                }
                return Some(Self { slots, len: level as usize + 1 });
            }
            left -= span;
        }
        None
    }

    /// The slots.
    pub(crate) fn slots(&self) -> &[usize] {
        self.slots.get(..self.len).unwrap_or(&[])
    }
}

impl Ext4 {
    /// log2 of the numbers in a block.
    pub(crate) fn numbers_bits(&self) -> u32 {
        self.sb.block_bits - 2
    }

    /// A block of block numbers.
    ///
    /// # Errors
    /// `EIO`; `EUCLEAN` if there is no such block.
    pub(crate) fn numbers(&mut self, inode: &Inode, block: u64) -> Result<crate::cache::Block> {
        if !self.sb.valid_blocks(block, 1) {
            return Err(corrupt(block, format_args!("inode {} points to it", inode.ino)));
        }
        self.cache.read(block, |_| Ok(()))
    }

    /// Where block `lblk` of a file is, and how far it goes on like that.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn indirect_map(&mut self, inode: &Inode, lblk: u32) -> Result<Mapping> {
        let bits = self.numbers_bits();
        let Some(way) = Way::to(u64::from(lblk), bits) else { return Ok(Mapping::hole(lblk, 1 << 32)) };
        let slots = way.slots();
        let mut table = inode.block().to_vec();
        let mut end = DIRECT as usize;
        for (n, &slot) in slots.iter().enumerate() {
            let below = (slots.len() - 1 - n) as u32;
            let number = u64::from(le32(&table, slot * 4));
            if below > 0 {
                if number == 0 {
                    // Nothing of all that this slot would lead to.
                    let span = 1u64 << (bits * below);
                    let first: u64 = DIRECT + (1..slots.len() as u32 - 1).map(|l| 1u64 << (bits * l)).sum::<u64>();
                    let start = first + (u64::from(lblk) - first) / span * span;
                    return Ok(Mapping::hole(lblk, start + span));
                }
                table = self.numbers(inode, number)?.to_vec();
                end = 1 << bits;
                continue;
            }
            let run = (slot..end).take_while(|&s| {
                let next = u64::from(le32(&table, s * 4));
                if number == 0 {
                    next == 0
                } else {
                    next == number + (s - slot) as u64
                }
            });
            let len = (run.count() as u64).max(1);
            if number == 0 {
                return Ok(Mapping { lblk, len, state: State::Hole });
            }
            if !self.sb.valid_blocks(number, len) {
                return Err(corrupt(number, format_args!("inode {} points to it", inode.ino)));
            }
            return Ok(Mapping { lblk, len, state: State::Written(number) });
        }
        Err(Errno::EUCLEAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways() {
        let slots = |lblk, bits| Way::to(lblk, bits).map(|w| w.slots().to_vec());
        assert_eq!(slots(11, 8), Some(vec![11]));
        assert_eq!(slots(12, 8), Some(vec![12, 0]));
        assert_eq!(slots(12 + 255, 8), Some(vec![12, 255]));
        assert_eq!(slots(12 + 256, 8), Some(vec![13, 0, 0]));
        assert_eq!(slots(12 + 256 + 256 * 3 + 5, 8), Some(vec![13, 3, 5]));
        assert_eq!(slots(12 + 256 + 65536, 8), Some(vec![14, 0, 0, 0]));
        assert_eq!(slots(12 + 256 + 65536 + (1 << 24) - 1, 8), Some(vec![14, 255, 255, 255]));
        assert_eq!(slots(12 + 256 + 65536 + (1 << 24), 8), None);
    }
}
