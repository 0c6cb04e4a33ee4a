//! Commits: a transaction is written into the journal, and is real when its last block is durable. Checkpoints make room again.

use super::{kind, put_header, put_revoked, tag_flag, Journal, Tag, HEADER, MAGIC};
use crate::bytes::{be32, put_be32, put_be64};
use crate::cache::{write_disk, Block};
use crate::inode::Time;
use lkl_abi::{Errno, Result};
use lkl_ops::Disk;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of the journal written at once.
const RUN: usize = 1 << 20;

/// Blocks of the journal on their way to the disk.
struct Writer<'a> {
    journal: &'a Journal,
    disk: &'a dyn Disk,
    /// Where the next block goes, in the journal.
    at: u32,
    /// Where the first of `run` goes, on the disk.
    place: u64,
    run: Vec<u8>,
}

impl Writer<'_> {
    fn put(&mut self, data: &[u8]) -> Result<()> {
        let place = self.journal.place(self.at)?.0;
        let next = self.place + (self.run.len() / self.journal.block_size) as u64;
        if !self.run.is_empty() && (place != next || self.run.len() >= RUN) {
            self.send()?;
        }
        if self.run.is_empty() {
            self.place = place;
        }
        self.run.extend_from_slice(data);
        self.at = self.journal.next(self.at);
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        if !self.run.is_empty() {
            write_disk(self.disk, &self.run, self.place * self.journal.block_size as u64)?;
            self.run.clear();
        }
        Ok(())
    }
}

impl Journal {
    /// Blocks for transactions, all in all.
    pub(crate) fn capacity(&self) -> u32 {
        self.end - self.first
    }

    /// Blocks that are free for transactions.
    pub(crate) fn free(&self) -> u32 {
        self.capacity() - self.live.iter().map(|t| t.2).sum::<u32>().min(self.capacity())
    }

    fn tags_per_block(&self) -> usize {
        // The first tag is followed by the journal's UUID.
        (self.block_size - HEADER - 16 - self.tail_len()) / self.tag_len()
    }

    fn revoked_per_block(&self) -> usize {
        (self.block_size - 16 - self.tail_len()) / if self.wide() { 8 } else { 4 }
    }

    /// Blocks that a transaction takes in the journal.
    pub(crate) fn needed(&self, blocks: usize, revoked: usize) -> u32 {
        (blocks + blocks.div_ceil(self.tags_per_block()) + revoked.div_ceil(self.revoked_per_block()) + 1) as u32
    }

    /// Writes a transaction. When this returns, it is durable, and so is all data written before.
    ///
    /// # Errors
    /// `ENOSPC` if it does not fit; `EIO`.
    pub(crate) fn write(
        &mut self,
        disk: &dyn Disk,
        blocks: &BTreeMap<u64, Block>,
        revoked: &BTreeSet<u64>,
        now: Time,
    ) -> Result<()> {
        let needed = self.needed(blocks.len(), revoked.len());
        if needed >= self.free() {
            return Err(Errno::ENOSPC);
        }
        let tid = self.sequence;
        let mut writer = Writer { journal: self, disk, at: self.head, place: 0, run: Vec::new() };
        writer.revocations(revoked, tid)?;
        writer.descriptors(blocks, tid)?;
        writer.send()?;
        let at = writer.at;
        disk.flush().map_err(|_| Errno::EIO)?;
        let mut commit = vec![0; self.block_size];
        put_header(&mut commit, kind::COMMIT, tid);
        put_be64(&mut commit, 48, now.sec as u64);
        put_be32(&mut commit, 56, now.nsec);
        if self.with_sums() {
            let sum = self.block_sum(&commit, 16);
            put_be32(&mut commit, 16, sum);
        }
        write_disk(disk, &commit, self.place(at)?.0 * self.block_size as u64)?;
        disk.flush().map_err(|_| Errno::EIO)?;
        self.live.push_back((tid, self.head, needed));
        self.head = self.next(at);
        self.sequence = tid.wrapping_add(1);
        Ok(())
    }

    /// All transactions are in their places: the journal starts anew after them.
    ///
    /// # Errors
    /// `EIO`.
    pub(crate) fn checkpointed(&mut self, disk: &dyn Disk) -> Result<()> {
        self.live.clear();
        self.put_superblock(disk, self.head, self.sequence)?;
        // Nothing may be overwritten before the journal is known to start later.
        disk.flush().map_err(|_| Errno::EIO)
    }

    /// The journal is not needed any more until the next mount.
    ///
    /// # Errors
    /// `EIO`.
    pub(crate) fn close(&mut self, disk: &dyn Disk) -> Result<()> {
        self.live.clear();
        self.put_superblock(disk, 0, self.sequence)
    }
}

impl Writer<'_> {
    fn seal(&self, data: &mut [u8]) {
        if self.journal.with_sums() {
            let at = data.len() - 4;
            let sum = self.journal.block_sum(data, at);
            put_be32(data, at, sum);
        }
    }

    fn revocations(&mut self, revoked: &BTreeSet<u64>, tid: u32) -> Result<()> {
        let list: Vec<u64> = revoked.iter().copied().collect();
        for part in list.chunks(self.journal.revoked_per_block()) {
            let mut data = vec![0; self.journal.block_size];
            put_header(&mut data, kind::REVOKE, tid);
            let mut at = 16;
            for &block in part {
                at += put_revoked(&mut data, at, block, self.journal.wide());
            }
            put_be32(&mut data, HEADER, at as u32);
            self.seal(&mut data);
            self.put(&data)?;
        }
        Ok(())
    }

    fn descriptors(&mut self, blocks: &BTreeMap<u64, Block>, tid: u32) -> Result<()> {
        let list: Vec<(u64, &Block)> = blocks.iter().map(|(&n, data)| (n, data)).collect();
        for part in list.chunks(self.journal.tags_per_block()) {
            let mut descriptor = vec![0; self.journal.block_size];
            put_header(&mut descriptor, kind::DESCRIPTOR, tid);
            let (mut at, len) = (HEADER, self.journal.tag_len());
            let mut copies: Vec<std::borrow::Cow<'_, [u8]>> = Vec::new();
            for (n, &(block, data)) in part.iter().enumerate() {
                let mut flags = if n == 0 { 0 } else { tag_flag::SAME_UUID };
                // A block that begins as those of the journal do would be taken for one.
                let copy: std::borrow::Cow<'_, [u8]> = if be32(data, 0) == MAGIC {
                    flags |= tag_flag::ESCAPE;
                    let mut copy = data.to_vec();
                    put_be32(&mut copy, 0, 0);
                    copy.into()
                } else {
                    data.as_slice().into()
                };
                if n + 1 == part.len() {
                    flags |= tag_flag::LAST;
                }
                let sum = self.journal.tag_sum(tid, &copy);
                if let Some(raw) = descriptor.get_mut(at..at + len) {
                    self.journal.encode_tag(Tag { block, flags, sum }, raw);
                }
                at += len;
                if n == 0 {
                    let uuid = self.journal.raw.get(0x30..0x40).unwrap_or(&[]);
                    crate::bytes::put_bytes(&mut descriptor, at, uuid);
                    at += 16;
                }
                copies.push(copy);
            }
            self.seal(&mut descriptor);
            self.put(&descriptor)?;
            for copy in copies {
                self.put(&copy)?;
            }
        }
        Ok(())
    }
}
