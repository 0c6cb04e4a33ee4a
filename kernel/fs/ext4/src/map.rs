//! Where the blocks of a file are: the one door to `extent` and `indirect`.

pub(crate) mod change;

use crate::inode::{flag, Inode};
use crate::Ext4;
use lkl_abi::Result;

/// What is behind a block of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Nothing: it reads as zeroes.
    Hole,
    /// The data is in this block of the disk.
    Written(u64),
    /// This block of the disk is kept for it, and it reads as zeroes.
    Unwritten(u64),
}

/// A run of blocks of a file that is the same throughout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mapping {
    pub(crate) lblk: u32,
    /// In blocks, at least 1.
    pub(crate) len: u64,
    pub(crate) state: State,
}

impl Mapping {
    /// A hole from `lblk` to `end`.
    pub(crate) fn hole(lblk: u32, end: u64) -> Self {
        Self { lblk, len: end.saturating_sub(u64::from(lblk)).max(1), state: State::Hole }
    }

    /// The block of the disk, if there is one.
    pub(crate) fn place(&self) -> Option<u64> {
        match self.state {
            State::Hole => None,
            State::Written(place) | State::Unwritten(place) => Some(place),
        }
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> u64 {
        u64::from(self.lblk) + self.len
    }
}

impl Ext4 {
    /// Where block `lblk` of a file is, and how many blocks go on like that.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn map(&mut self, inode: &Inode, lblk: u32) -> Result<Mapping> {
        if inode.has(flag::EXTENTS) {
            self.extent_map(inode, lblk)
        } else {
            self.indirect_map(inode, lblk)
        }
    }

    /// The block of the disk that holds block `lblk` of a directory or another file whose blocks are metadata.
    ///
    /// # Errors
    /// `EIO`; `EUCLEAN` if there is none.
    pub(crate) fn metadata_block(&mut self, inode: &Inode, lblk: u32) -> Result<u64> {
        match self.map(inode, lblk)?.state {
            State::Written(place) => Ok(place),
            _ => {
                let block = self.inode_place(inode.ino)?.0;
                Err(crate::error::corrupt(block, format_args!("inode {} has a hole at block {lblk}", inode.ino)))
            }
        }
    }
}
