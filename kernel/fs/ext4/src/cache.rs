//! Metadata blocks in memory: what was read, what the running transaction has changed, and what is in the journal but not yet in its place.
//!
//! A block is found in the first of these that has it:
//! * `dirty`: changed since the last commit. Each operation saves what it changes first, and is undone as a whole if it fails.
//! * `committed`: in the journal (or, without one, nowhere), to be written to its place by a checkpoint.
//! * `young`, `old`: clean copies. Blocks move to `young` when used; when it is full, `old` is dropped and `young` takes its place.
//!
//! Blocks are shared by count and copied when changed, so a commit takes a snapshot for nothing.

use lkl_abi::{Errno, Result};
use lkl_ops::Disk;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The content of a block.
pub(crate) type Block = Arc<Vec<u8>>;

/// Metadata blocks of one disk.
pub(crate) struct Cache {
    pub(crate) disk: Arc<dyn Disk>,
    block_size: usize,
    blocks: u64,
    pub(crate) dirty: BTreeMap<u64, Block>,
    pub(crate) committed: BTreeMap<u64, Block>,
    young: HashMap<u64, Block>,
    old: HashMap<u64, Block>,
    /// Blocks that `young` may hold.
    young_limit: usize,
    /// What the operation under way has changed: the dirty block before, if it was dirty.
    undo: Option<BTreeMap<u64, Option<Block>>>,
    /// `committed` is what a journal held, and the disk is not changed.
    pub(crate) replayed_in_memory: bool,
}

impl Cache {
    /// A cache of at most about `memory` bytes of clean blocks for a disk of `blocks` blocks.
    pub(crate) fn new(disk: Arc<dyn Disk>, block_size: usize, blocks: u64, memory: usize) -> Self {
        Self {
            disk,
            block_size,
            blocks,
            dirty: BTreeMap::new(),
            committed: BTreeMap::new(),
            young: HashMap::new(),
            old: HashMap::new(),
            young_limit: (memory / block_size / 2).max(32),
            undo: None,
            replayed_in_memory: false,
        }
    }

    fn lookup(&mut self, block: u64) -> Option<Block> {
        if let Some(found) =
            self.dirty.get(&block).or_else(|| self.committed.get(&block)).or_else(|| self.young.get(&block))
        {
            return Some(found.clone());
        }
        let found = self.old.remove(&block)?;
        self.keep(block, found.clone());
        Some(found)
    }

    fn keep(&mut self, block: u64, data: Block) {
        if self.young.len() >= self.young_limit {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(block, data);
    }

    /// The content of a block. `check` looks at what comes from the disk.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN` if there is no such block, and those of `check`.
    pub(crate) fn read(&mut self, block: u64, check: impl FnOnce(&[u8]) -> Result<()>) -> Result<Block> {
        if let Some(found) = self.lookup(block) {
            return Ok(found);
        }
        if block >= self.blocks {
            return Err(crate::error::corrupt(block, "no such block"));
        }
        let mut data = vec![0; self.block_size];
        read_disk(&*self.disk, &mut data, block * self.block_size as u64)?;
        check(&data)?;
        let data = Arc::new(data);
        self.keep(block, data.clone());
        Ok(data)
    }

    /// Like [`Cache::read`] without a check, but reads up to `ahead` blocks at once if the block is not there.
    ///
    /// # Errors
    /// As [`Cache::read`].
    pub(crate) fn read_ahead(&mut self, block: u64, ahead: u64) -> Result<Block> {
        if let Some(found) = self.lookup(block) {
            return Ok(found);
        }
        let count = ahead.min(self.blocks.saturating_sub(block)).min(self.young_limit as u64 / 2).max(1);
        let mut data = vec![0; self.block_size * count as usize];
        if count == 1 || read_disk(&*self.disk, &mut data, block * self.block_size as u64).is_err() {
            return self.read(block, |_| Ok(()));
        }
        for (n, bytes) in data.chunks_exact(self.block_size).enumerate().skip(1) {
            let block = block + n as u64;
            if !self.dirty.contains_key(&block)
                && !self.committed.contains_key(&block)
                && !self.young.contains_key(&block)
            {
                self.old.remove(&block);
                self.keep(block, Arc::new(bytes.to_vec()));
            }
        }
        data.truncate(self.block_size);
        let data = Arc::new(data);
        self.keep(block, data.clone());
        Ok(data)
    }

    /// A block to change. It belongs to the running transaction from now on.
    ///
    /// # Errors
    /// As [`Cache::read`].
    pub(crate) fn change(&mut self, block: u64) -> Result<&mut Vec<u8>> {
        if !self.dirty.contains_key(&block) {
            let data = self.read(block, |_| Ok(()))?;
            self.young.remove(&block);
            self.save(block);
            self.dirty.insert(block, data);
        } else {
            self.save(block);
        }
        self.dirty.get_mut(&block).map(Arc::make_mut).ok_or(Errno::EIO)
    }

    /// A block to fill: zeroes, whatever it held.
    pub(crate) fn fresh(&mut self, block: u64) -> &mut Vec<u8> {
        self.save(block);
        self.young.remove(&block);
        self.old.remove(&block);
        self.dirty.insert(block, Arc::new(Vec::new()));
        let data = Arc::make_mut(self.dirty.entry(block).or_default());
        data.resize(self.block_size, 0);
        data
    }

    /// A block that becomes `data`, whatever it held.
    pub(crate) fn replace(&mut self, block: u64, data: Block) {
        self.save(block);
        self.young.remove(&block);
        self.old.remove(&block);
        self.dirty.insert(block, data);
    }

    /// The block is free: its content is not needed any more.
    pub(crate) fn forget(&mut self, block: u64) {
        self.save(block);
        self.dirty.remove(&block);
        self.young.remove(&block);
        self.old.remove(&block);
    }

    /// These blocks are written around the cache: clean copies are dropped.
    pub(crate) fn written_around(&mut self, block: u64, len: u64) {
        if len < 64 {
            for b in block..block + len {
                self.young.remove(&b);
                self.old.remove(&b);
            }
        } else {
            self.young.retain(|b, _| !(block..block + len).contains(b));
            self.old.retain(|b, _| !(block..block + len).contains(b));
        }
    }

    fn save(&mut self, block: u64) {
        if let Some(undo) = &mut self.undo {
            undo.entry(block).or_insert_with(|| self.dirty.get(&block).cloned());
        }
    }

    /// An operation begins.
    pub(crate) fn begin(&mut self) {
        self.undo = Some(BTreeMap::new());
    }

    /// The operation has worked. Answers how many blocks it has changed.
    pub(crate) fn end(&mut self) -> usize {
        self.undo.take().map_or(0, |undo| undo.len())
    }

    /// The operation has failed: its changes are taken back.
    pub(crate) fn rollback(&mut self) {
        for (block, before) in self.undo.take().unwrap_or_default() {
            self.young.remove(&block);
            self.old.remove(&block);
            match before {
                Some(data) => self.dirty.insert(block, data),
                None => self.dirty.remove(&block),
            };
        }
    }

    /// Reads bytes of the disk, as they will be when all that is committed is in its place.
    ///
    /// # Errors
    /// `EIO`.
    pub(crate) fn read_through(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        read_disk(&*self.disk, buf, offset)?;
        if self.committed.is_empty() {
            return Ok(());
        }
        let bs = self.block_size as u64;
        let end = offset + buf.len() as u64;
        for (&block, data) in self.committed.range(offset / bs..end.div_ceil(bs)) {
            let from = (block * bs).max(offset);
            let to = (block * bs + bs).min(end);
            let source = crate::bytes::cut(data, (from - block * bs) as usize, (to - from) as usize);
            crate::bytes::put_bytes(buf, (from - offset) as usize, source);
        }
        Ok(())
    }

    /// Whether what the disk holds of file content is what it should: it is, but when a journal was replayed in memory.
    pub(crate) fn committed_is_home(&self) -> bool {
        !self.replayed_in_memory
    }

    /// Blocks given are clean now: they are in their place.
    pub(crate) fn cleaned(&mut self, blocks: BTreeMap<u64, Block>) {
        for (block, data) in blocks {
            if !self.dirty.contains_key(&block) {
                self.old.remove(&block);
                self.keep(block, data);
            }
        }
    }

    /// Drops all clean copies.
    pub(crate) fn drop_clean(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

/// Reads from a disk; whatever goes wrong there is `EIO` here.
pub(crate) fn read_disk(disk: &dyn Disk, buf: &mut [u8], offset: u64) -> Result<()> {
    disk.read_at(buf, offset).map_err(|e| {
        tracing::error!(target: "lkl::ext4", offset, len = buf.len(), error = ?e, "reading the disk failed");
        Errno::EIO
    })
}

/// Writes to a disk; what goes wrong there is `EIO` here, but for a host without room.
pub(crate) fn write_disk(disk: &dyn Disk, buf: &[u8], offset: u64) -> Result<()> {
    disk.write_at(buf, offset).map_err(|e| write_failed(e, offset, buf.len()))
}

/// Writes pieces that follow each other from `offset` on, as [`write_disk`] does.
pub(crate) fn write_disk_pieces(disk: &dyn Disk, pieces: &[&[u8]], offset: u64) -> Result<()> {
    disk.write_pieces_at(pieces, offset).map_err(|e| write_failed(e, offset, pieces.iter().map(|p| p.len()).sum()))
}

fn write_failed(e: Errno, offset: u64, len: usize) -> Errno {
    tracing::error!(target: "lkl::ext4", offset, len, error = ?e, "writing the disk failed");
    if e == Errno::ENOSPC {
        e
    } else {
        Errno::EIO
    }
}

/// Writes blocks to their places, neighbours at once.
///
/// # Errors
/// Those of [`write_disk`].
pub(crate) fn write_sorted(disk: &dyn Disk, block_size: usize, blocks: &BTreeMap<u64, Block>) -> Result<()> {
    const RUN: usize = 1 << 20;
    let mut run: Vec<u8> = Vec::new();
    let mut start = 0;
    for (&block, data) in blocks {
        let next = start + (run.len() / block_size) as u64;
        if !run.is_empty() && (block != next || run.len() >= RUN) {
            write_disk(disk, &run, start * block_size as u64)?;
            run.clear();
        }
        if run.is_empty() {
            start = block;
        }
        run.extend_from_slice(data);
    }
    if run.is_empty() {
        return Ok(());
    }
    write_disk(disk, &run, start * block_size as u64)
}
