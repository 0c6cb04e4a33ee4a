//! Operations and transactions. An operation happens as a whole or not at all; a transaction is what operations have changed since
//! the last commit. Transactions are committed between operations, never within one.

use crate::bytes::{cut, set_bits};
use crate::cache::write_sorted;
use crate::inode::Time;
use crate::sb::{Superblock, SUPERBLOCK_SIZE};
use crate::Ext4;
use lkl_abi::{Errno, Result};
use std::collections::{BTreeSet, HashMap};

/// Changed blocks of a transaction at most, when the journal is large or there is none.
const MAX_BLOCKS: usize = 2048;
/// Bytes of committed blocks that are kept before they go to their places.
const MAX_COMMITTED: usize = 16 << 20;

/// What the running transaction has beside changed blocks.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// Clusters freed, a bitmap for each group: they must not be used again before the commit, since until then a crash brings back
    /// those who owned them.
    pub(crate) freed: HashMap<u32, Vec<u8>>,
    /// Blocks that must not be replayed from older transactions.
    revoked: BTreeSet<u64>,
    undo: Option<Undo>,
}

/// How to take back the operation under way, beside changed blocks.
#[derive(Debug)]
struct Undo {
    sb: Superblock,
    freed: Vec<(u32, u32, u32)>,
    revoked: Vec<u64>,
    /// Inodes, and whether they were orphans before.
    orphans: Vec<(u32, bool)>,
}

impl Ext4 {
    /// Runs an operation. If it fails, nothing has changed. When blocks freed by earlier operations stand in its way, these are
    /// committed, and it is tried again.
    ///
    /// # Errors
    /// `EROFS`; those of the operation; `EIO` if a commit fails.
    pub(crate) fn op<T>(&mut self, now: Time, mut run: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        self.writable()?;
        if self.transaction.undo.is_some() {
            return run(self);
        }
        self.now = now;
        self.names = None;
        let done = match self.attempt(&mut run) {
            Err(Errno::ENOSPC) if !self.transaction.freed.is_empty() => {
                self.commit().and_then(|()| self.attempt(&mut run))
            }
            other => other,
        };
        self.absent = None;
        done
    }

    fn attempt<T>(&mut self, run: &mut impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let undo = Undo { sb: self.sb.clone(), freed: Vec::new(), revoked: Vec::new(), orphans: Vec::new() };
        self.transaction.undo = Some(undo);
        self.cache.begin();
        match run(self) {
            Ok(value) => {
                self.transaction.undo = None;
                self.cache.end();
                if self.cache.dirty.len() >= self.max_blocks() && !self.in_memory {
                    self.commit()?;
                }
                Ok(value)
            }
            Err(e) => {
                self.cache.rollback();
                self.take_back();
                if e == Errno::EUCLEAN {
                    self.damaged();
                }
                Err(e)
            }
        }
    }

    fn take_back(&mut self) {
        let Some(undo) = self.transaction.undo.take() else { return };
        self.sb = undo.sb;
        for (group, from, len) in undo.freed {
            if let Some(map) = self.transaction.freed.get_mut(&group) {
                set_bits(map, from as usize, len as usize, false);
            }
        }
        for block in undo.revoked {
            self.transaction.revoked.remove(&block);
        }
        for (ino, was) in undo.orphans.into_iter().rev() {
            if was {
                self.orphans.insert(ino);
            } else {
                self.orphans.remove(&ino);
            }
        }
        // A search may have found a group full that is not any more.
        self.full_groups.clear();
        self.groups.clear();
    }

    /// Changed blocks after which a transaction is committed.
    pub(crate) fn max_blocks(&self) -> usize {
        self.journal.as_ref().map_or(MAX_BLOCKS, |j| (j.capacity() as usize / 4).min(MAX_BLOCKS))
    }

    /// Clusters of a group were freed.
    pub(crate) fn note_freed(&mut self, group: u32, from: u32, len: u32) {
        let size = self.sb.block_size;
        let map = self.transaction.freed.entry(group).or_insert_with(|| vec![0; size]);
        set_bits(map, from as usize, len as usize, true);
        if let Some(undo) = &mut self.transaction.undo {
            undo.freed.push((group, from, len));
        }
    }

    /// An inode has become, or is no longer, an orphan.
    pub(crate) fn note_orphan(&mut self, ino: u32, is: bool) {
        let was = self.orphans.contains(&ino);
        if is {
            self.orphans.insert(ino);
        } else {
            self.orphans.remove(&ino);
        }
        if let Some(undo) = &mut self.transaction.undo {
            undo.orphans.push((ino, was));
        }
    }

    /// A block of metadata is free.
    pub(crate) fn forget(&mut self, block: u64) {
        self.cache.forget(block);
        self.verified.remove(&block);
        // What is in the journal must not come back over what the block is used for next.
        if self.journal.is_some() && self.cache.committed.contains_key(&block) && self.transaction.revoked.insert(block)
        {
            if let Some(undo) = &mut self.transaction.undo {
                undo.revoked.push(block);
            }
        }
    }

    /// Makes durable all that was changed and written until now.
    ///
    /// # Errors
    /// `EIO`; the file system can only be read from then on.
    pub fn commit(&mut self) -> Result<()> {
        if self.failed {
            return Err(Errno::EIO);
        }
        if self.read_only {
            return Ok(());
        }
        if self.in_memory {
            self.store_superblock()?;
            self.cache.committed.append(&mut self.cache.dirty);
            self.transaction = Transaction::default();
            return Ok(());
        }
        let written = self.write_gathered();
        let result = written.and_then(|()| match self.cache.dirty.is_empty() && self.transaction.revoked.is_empty() {
            true => self.flush(),
            false => self.write_out(),
        });
        if let Err(e) = result {
            tracing::error!(target: "lkl::ext4", error = ?e, "a commit failed: read-only from now on");
            self.stop();
            return Err(e);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.unflushed {
            self.cache.disk.flush().map_err(|_| Errno::EIO)?;
            self.unflushed = false;
        }
        Ok(())
    }

    fn write_out(&mut self) -> Result<()> {
        self.store_superblock()?;
        let disk = self.cache.disk.clone();
        let dirty = core::mem::take(&mut self.cache.dirty);
        if let Some(journal) = &mut self.journal {
            let revoked = &self.transaction.revoked;
            if journal.needed(dirty.len(), revoked.len()) >= journal.free() {
                write_sorted(&*disk, self.sb.block_size, &self.cache.committed)?;
                disk.flush().map_err(|_| Errno::EIO)?;
                let blocks = core::mem::take(&mut self.cache.committed);
                journal.checkpointed(&*disk)?;
                self.cache.cleaned(blocks);
            }
            journal.write(&*disk, &dirty, revoked, self.now)?;
            for block in revoked {
                self.cache.committed.remove(block);
            }
            self.cache.committed.extend(dirty);
        } else {
            write_sorted(&*disk, self.sb.block_size, &dirty)?;
            disk.flush().map_err(|_| Errno::EIO)?;
            self.cache.cleaned(dirty);
        }
        self.unflushed = false;
        self.transaction.revoked.clear();
        self.full_groups.clear();
        self.transaction.freed.clear();
        if self.cache.committed.len() * self.sb.block_size > MAX_COMMITTED {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Writes all that is committed to its place.
    ///
    /// # Errors
    /// `EIO`.
    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        if self.cache.committed.is_empty() {
            return Ok(());
        }
        let disk = self.cache.disk.clone();
        write_sorted(&*disk, self.sb.block_size, &self.cache.committed)?;
        disk.flush().map_err(|_| Errno::EIO)?;
        let blocks = core::mem::take(&mut self.cache.committed);
        self.cache.cleaned(blocks);
        match &mut self.journal {
            Some(journal) => journal.checkpointed(&*disk),
            None => Ok(()),
        }
    }

    /// Puts the superblock's counters and state into its block.
    pub(crate) fn store_superblock(&mut self) -> Result<()> {
        let (block, offset, now) = (self.sb.own_block(), self.sb.offset_in_block(), self.now.sec);
        let mut raw = cut(self.cache.change(block)?, offset, SUPERBLOCK_SIZE).to_vec();
        self.sb.store(&mut raw, now);
        crate::bytes::put_bytes(self.cache.change(block)?, offset, &raw);
        Ok(())
    }
}
