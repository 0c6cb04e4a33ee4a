//! Mounting and unmounting.

use crate::cache::{read_disk, write_sorted, Cache};
use crate::error::refuse;
use crate::features::{Compat, Incompat};
use crate::journal::Journal;
use crate::sb::{Superblock, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE};
use crate::Ext4;
use lkl_abi::{Errno, Result};
use lkl_ops::Disk;
use std::sync::Arc;

/// How to mount.
#[derive(Clone, Debug)]
pub struct Options {
    /// Change nothing on the disk. A dirty journal is replayed in memory.
    pub read_only: bool,
    /// Bytes of clean metadata to keep in memory.
    pub memory: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { read_only: false, memory: 16 << 20 }
    }
}

impl Ext4 {
    /// Mounts the file system on a disk. What a dirty journal holds is brought to its places first: on the disk, or in memory if the
    /// disk is not to be changed.
    ///
    /// # Errors
    /// `EINVAL` if there is none, or it has features that cannot be read; `EROFS` unless it is to be read only; `EUCLEAN`,
    /// `EIO`.
    pub fn mount(disk: Arc<dyn Disk>, options: &Options) -> Result<Self> {
        let sb = read_superblock(&*disk)?;
        if !options.read_only {
            sb.check_writable()?;
            return Err(Errno::EROFS);
        }
        let cache = Cache::new(disk, sb.block_size, sb.blocks_count, options.memory);
        let mut fs = Self::new(sb, cache, options.read_only);
        fs.recover()?;
        Ok(fs)
    }

    /// Replays the journal.
    fn recover(&mut self) -> Result<()> {
        let journalled = self.sb.compat.contains(Compat::HAS_JOURNAL);
        if !journalled || (self.read_only && !self.sb.has(Incompat::NEEDS_RECOVERY)) {
            return Ok(());
        }
        if self.sb.journal_inum == 0 {
            return Err(refuse("its journal is on another device"));
        }
        let mut journal = Journal::open(self, self.sb.journal_inum)?;
        let disk = self.cache.disk.clone();
        let (blocks, bs) = (self.sb.blocks_count, self.sb.block_size);
        if self.sb.has(Incompat::NEEDS_RECOVERY) {
            let replayed = if self.read_only {
                let memory = &mut self.cache.committed;
                journal.replay(&*disk, blocks, &mut |batch| {
                    memory.extend(batch);
                    Ok(())
                })?
            } else {
                let replayed = journal.replay(&*disk, blocks, &mut |batch| write_sorted(&*disk, bs, &batch))?;
                disk.flush().map_err(|_| Errno::EIO)?;
                replayed
            };
            // What was read until now may have changed.
            self.cache.drop_clean();
            self.verified.clear();
            let mut raw = [0; SUPERBLOCK_SIZE];
            self.cache.read_through(&mut raw, SUPERBLOCK_OFFSET)?;
            self.sb = Superblock::parse(&raw, disk.size())?;
            let _ = replayed;
        }
        Ok(())
    }
}

/// Reads the superblock of a disk.
fn read_superblock(disk: &dyn Disk) -> Result<Superblock> {
    let size = disk.size();
    if size < SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE as u64 {
        return Err(refuse("the disk is too small for a superblock"));
    }
    let mut raw = [0; SUPERBLOCK_SIZE];
    read_disk(disk, &mut raw, SUPERBLOCK_OFFSET)?;
    Superblock::parse(&raw, size)
}
