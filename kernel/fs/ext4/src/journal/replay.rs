//! Replay: what the journal holds is brought to its places.
//!
//! Three passes, as in Linux: how far do complete transactions go; which blocks were revoked, and when; then the blocks themselves.

use super::{feature, kind, tag_flag, Journal, HEADER, MAGIC};
use crate::bytes::{be32, be64, cut, put_be32, u8_at};
use crate::cache::{read_disk, Block};
use crate::csum::crc32_be;
use crate::error::corrupt;
use lkl_abi::{Errno, Result};
use lkl_ops::Disk;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Blocks read at once.
const AHEAD: u32 = 128;
/// Bytes of blocks collected before they are handed over.
const BATCH: usize = 8 << 20;

/// What a replay has found.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The number after the last transaction.
    pub(crate) end: u32,
    /// Transactions.
    pub(crate) transactions: u32,
    /// Blocks.
    pub(crate) blocks: u64,
    /// The blocks of fast commits that follow, if there are any.
    pub(crate) fast: Vec<Vec<u8>>,
}

/// Is transaction `a` after `b`? Their numbers go around.
fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// Reads blocks of the journal, some in advance.
struct Reader<'a> {
    journal: &'a Journal,
    disk: &'a dyn Disk,
    from: u32,
    chunk: Vec<u8>,
}

impl Reader<'_> {
    fn block(&mut self, n: u32) -> Result<&[u8]> {
        let bs = self.journal.block_size;
        let held = (self.chunk.len() / bs) as u32;
        if n < self.from || n - self.from >= held {
            let (place, run) = self.journal.place(n)?;
            self.chunk.resize(bs * run.min(AHEAD) as usize, 0);
            self.from = n;
            if let Err(e) = read_disk(self.disk, &mut self.chunk, place * bs as u64) {
                self.chunk.clear();
                return Err(e);
            }
        }
        self.chunk.get((n - self.from) as usize * bs..).and_then(|c| c.get(..bs)).ok_or(Errno::EIO)
    }
}

/// The tags of a descriptor.
fn tags(journal: &Journal, data: &[u8]) -> Vec<super::Tag> {
    let (len, end) = (journal.tag_len(), data.len() - journal.tail_len());
    let (mut at, mut list) = (HEADER, Vec::new());
    while at + len <= end {
        let tag = journal.decode_tag(cut(data, at, len));
        list.push(tag);
        if tag.flags & tag_flag::LAST != 0 {
            break;
        }
        at += len + if tag.flags & tag_flag::SAME_UUID == 0 { 16 } else { 0 };
    }
    list
}

/// The blocks that a revocation names.
fn revoked(journal: &Journal, data: &[u8]) -> Option<Vec<u64>> {
    let count = be32(data, HEADER) as usize;
    let size = if journal.wide() { 8 } else { 4 };
    if count < 16 || count > data.len() - journal.tail_len() {
        return None;
    }
    let numbers = cut(data, 16, count - 16).chunks_exact(size);
    Some(numbers.map(|n| if size == 8 { be64(n, 0) } else { u64::from(be32(n, 0)) }).collect())
}

/// What a pass does.
enum Pass<'a> {
    Scan,
    Revoke(&'a mut HashMap<u64, u32>),
    Replay(&'a HashMap<u64, u32>, &'a mut dyn FnMut(BTreeMap<u64, Block>) -> Result<()>),
}

impl Journal {
    /// Replays the journal: `sink` gets the blocks for their places, a batch at a time, later ones after earlier ones. Sets the number
    /// of the next transaction. Nothing is written to the journal.
    ///
    /// # Errors
    /// `EUCLEAN` if a block of a complete transaction is damaged; `EIO`, and those of `sink`.
    pub(crate) fn replay(
        &mut self,
        disk: &dyn Disk,
        blocks: u64,
        sink: &mut dyn FnMut(BTreeMap<u64, Block>) -> Result<()>,
    ) -> Result<Replayed> {
        let (start, sequence) = (be32(&self.raw, 0x1c), be32(&self.raw, 0x18));
        if start == 0 {
            self.sequence = sequence.wrapping_add(1).max(1);
            return Ok(Replayed::default());
        }
        if start < self.first || start >= self.end {
            return Err(corrupt(self.place(0)?.0, "the journal starts outside of itself"));
        }
        let mut result = Replayed::default();
        let end = self.pass(disk, blocks, start, sequence, None, &mut Pass::Scan, &mut result)?;
        let mut table = HashMap::new();
        self.pass(disk, blocks, start, sequence, Some(end), &mut Pass::Revoke(&mut table), &mut Replayed::default())?;
        result = Replayed::default();
        self.pass(disk, blocks, start, sequence, Some(end), &mut Pass::Replay(&table, sink), &mut result)?;
        if self.incompat & feature::FAST_COMMIT != 0 {
            result.fast = self.fast_blocks(disk)?;
        }
        result.end = end;
        // Not `end` itself: blocks of a transaction of that number that was never finished may be in the journal.
        self.sequence = end.wrapping_add(1);
        tracing::info!(
            target: "lkl::ext4",
            transactions = result.transactions,
            blocks = result.blocks,
            revoked = table.len(),
            "journal replayed"
        );
        Ok(result)
    }

    /// The blocks for fast commits.
    fn fast_blocks(&self, disk: &dyn Disk) -> Result<Vec<Vec<u8>>> {
        let mut reader = Reader { journal: self, disk, from: 0, chunk: Vec::new() };
        (self.end + 1..self.len).map(|n| reader.block(n).map(<[u8]>::to_vec)).collect()
    }

    /// One pass over the transactions. Answers the number after the last complete one.
    #[expect(clippy::too_many_arguments, reason = "a pass is one loop with three uses")]
    fn pass(
        &self,
        disk: &dyn Disk,
        blocks: u64,
        start: u32,
        sequence: u32,
        stop: Option<u32>,
        pass: &mut Pass<'_>,
        result: &mut Replayed,
    ) -> Result<u32> {
        let mut reader = Reader { journal: self, disk, from: 0, chunk: Vec::new() };
        let (mut n, mut tid) = (start, sequence);
        let mut sum = !0;
        let mut batch: BTreeMap<u64, Block> = BTreeMap::new();
        // No more blocks than the journal has are looked at.
        let mut left = self.end - self.first;
        while left > 0 && stop != Some(tid) {
            let data = reader.block(n)?.to_vec();
            if be32(&data, 0) != MAGIC || be32(&data, 8) != tid {
                break;
            }
            (n, left) = (self.next(n), left - 1);
            match be32(&data, 4) {
                kind::DESCRIPTOR => {
                    if !self.block_sound(&data) {
                        break;
                    }
                    let list = tags(self, &data);
                    if list.len() as u32 > left {
                        break;
                    }
                    sum = if self.compat_checksum && matches!(pass, Pass::Scan) { crc32_be(sum, &data) } else { sum };
                    for tag in list {
                        let data = reader.block(n)?;
                        match pass {
                            Pass::Scan if self.compat_checksum => sum = crc32_be(sum, data),
                            Pass::Replay(table, _) => {
                                let revoked = table.get(&tag.block).is_some_and(|&r| !after(tid, r));
                                if !revoked && tag.flags & tag_flag::DELETED == 0 {
                                    batch.insert(tag.block, self.replayed_block(tag, tid, data, blocks, n)?);
                                    result.blocks += 1;
                                }
                            }
                            _ => {}
                        }
                        (n, left) = (self.next(n), left - 1);
                    }
                    if let Pass::Replay(_, sink) = pass {
                        if batch.len() * self.block_size > BATCH {
                            sink(core::mem::take(&mut batch))?;
                        }
                    }
                }
                kind::COMMIT => {
                    if !self.commit_sound(&data, sum) {
                        break;
                    }
                    sum = !0;
                    tid = tid.wrapping_add(1);
                    result.transactions += 1;
                }
                kind::REVOKE => {
                    if !self.block_sound(&data) {
                        break;
                    }
                    let Some(list) = revoked(self, &data) else { break };
                    if let Pass::Revoke(table) = pass {
                        for block in list {
                            table
                                .entry(block)
                                .and_modify(|r| *r = if after(tid, *r) { tid } else { *r })
                                .or_insert(tid);
                        }
                    }
                }
                _ => break,
            }
        }
        if let (Pass::Replay(_, sink), false) = (pass, batch.is_empty()) {
            sink(batch)?;
        }
        match stop {
            Some(stop) if stop != tid => {
                Err(corrupt(self.place(n)?.0, "the journal has changed while it was replayed"))
            }
            _ => Ok(tid),
        }
    }

    /// Whether the checksum at the end of a descriptor or revocation is right.
    fn block_sound(&self, data: &[u8]) -> bool {
        let at = data.len() - 4;
        !self.with_sums() || self.block_sum(data, at) == be32(data, at)
    }

    /// Whether the checksum of a commit block is right. `sum` is that of the blocks before it.
    fn commit_sound(&self, data: &[u8], sum: u32) -> bool {
        if self.with_sums() {
            return self.block_sum(data, 16) == be32(data, 16);
        }
        if !self.compat_checksum {
            return true;
        }
        let (form, size) = (u8_at(data, 12), u8_at(data, 13));
        be32(data, 16) == sum && form == 1 && size == 4 || (form, size, be32(data, 16)) == (0, 0, 0)
    }

    fn replayed_block(&self, tag: super::Tag, tid: u32, data: &[u8], blocks: u64, n: u32) -> Result<Block> {
        let place = self.place(n)?.0;
        if self.with_sums() && self.tag_sum(tid, data) != tag.sum {
            return Err(corrupt(place, format_args!("journal: wrong checksum of block {}", tag.block)));
        }
        if tag.block >= blocks {
            return Err(corrupt(place, format_args!("journal: no such block {}", tag.block)));
        }
        let mut data = data.to_vec();
        if tag.flags & tag_flag::ESCAPE != 0 {
            put_be32(&mut data, 0, MAGIC);
        }
        Ok(Arc::new(data))
    }
}
