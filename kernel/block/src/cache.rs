//! The buffer cache: blocks of a device in memory, for the metadata of file systems.
//!
//! A block has at most one [`Buffer`]. Its content is read as a snapshot ([`Buffer::bytes`]), which costs a reference count and stays as
//! it is whatever happens later; so no lock is held while a block is looked at, and a journal has the content of a commit for nothing.
//!
//! A buffer is clean, dirty, or dirty and pinned. Dirty ones may be written home at any time, when memory is short. One that must not
//! be written yet, because its transaction is not in the journal, is pinned ([`Buffer::pin`]) *before* it is changed, and unpinned when
//! the commit block is durable.

use crate::device::BlockDevice;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use lkl_abi::{Errno, Result};
use lkl_sync::{Mutex, Rank};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// Most bytes that are written home, or read ahead, in one request.
const RUN_MAX: usize = 1 << 20;
/// What each cache may keep, in bytes, however much the others have.
const OWN_MIN: usize = 1 << 20;

/// How many bytes the buffer caches that share it may keep together. Pinned buffers and those in use are kept above it.
#[derive(Debug)]
pub struct Memory {
    limit: usize,
    used: AtomicUsize,
}

impl Memory {
    /// At most `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// Bytes that are kept now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Most bytes that are kept.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// A block in memory.
pub struct Buffer {
    block: u64,
    content: Mutex<Arc<Vec<u8>>>,
    dirty: AtomicBool,
    pins: AtomicU32,
}

impl Buffer {
    /// The block's number: its offset on the device, in blocks of the cache.
    pub fn block(&self) -> u64 {
        self.block
    }

    /// The content now, as long as a block. It never changes: ask again after an [`Buffer::update`].
    pub fn bytes(&self) -> Arc<Vec<u8>> {
        self.content.lock().clone()
    }

    /// Changes the content and makes the buffer dirty. Holds the buffer's lock: `change` must take none of an earlier or the same rank
    /// (so no other buffer either).
    pub fn update<T>(&self, change: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut content = self.content.lock();
        let answer = change(Arc::make_mut(&mut *content).as_mut_slice());
        self.dirty.store(true, Ordering::Release);
        answer
    }

    /// Keeps the buffer from being written home, until it is unpinned as often as it was pinned.
    pub fn pin(&self) {
        // Under the lock: who writes home looks at the pins under it, too.
        let _content = self.content.lock();
        self.pins.fetch_add(1, Ordering::AcqRel);
    }

    /// The opposite of [`Buffer::pin`].
    pub fn unpin(&self) {
        let _content = self.content.lock();
        let _old = self.pins.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
    }

    /// Does it differ from what is on the device?
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Has it been pinned?
    pub fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Acquire) > 0
    }

    /// The content to be written home, if it may and must be; the buffer is clean from now on.
    fn take_dirty(&self) -> Option<Arc<Vec<u8>>> {
        let content = self.content.lock();
        (!self.is_pinned() && self.dirty.swap(false, Ordering::AcqRel)).then(|| content.clone())
    }
}

struct Slot {
    buffer: Arc<Buffer>,
    used_at: u64,
}

#[derive(Default)]
struct Table {
    slots: HashMap<u64, Slot>,
    /// Least recently used first.
    order: BTreeMap<u64, u64>,
    clock: u64,
    bytes: usize,
}

impl Table {
    fn touch(&mut self, block: u64) -> Option<Arc<Buffer>> {
        let slot = self.slots.get_mut(&block)?;
        self.order.remove(&slot.used_at);
        self.clock += 1;
        slot.used_at = self.clock;
        self.order.insert(self.clock, block);
        Some(slot.buffer.clone())
    }

    fn insert(&mut self, buffer: Arc<Buffer>) {
        self.clock += 1;
        self.order.insert(self.clock, buffer.block);
        self.slots.insert(buffer.block, Slot { buffer, used_at: self.clock });
    }

    fn remove(&mut self, block: u64) -> Option<Arc<Buffer>> {
        let slot = self.slots.remove(&block)?;
        self.order.remove(&slot.used_at);
        Some(slot.buffer)
    }
}

/// The blocks of one device that are in memory.
pub struct BufferCache {
    device: Arc<BlockDevice>,
    block_size: usize,
    memory: Arc<Memory>,
    /// Grows when a buffer leaves the table: a block that was read before that may be older than what was written since.
    departures: AtomicU64,
    table: Mutex<Table>,
}

impl BufferCache {
    /// A cache of `device` in blocks of `block_size` bytes, a power of two from 512 to 65536.
    ///
    /// # Errors
    /// `EINVAL` for another size.
    pub fn new(device: Arc<BlockDevice>, block_size: u32, memory: Arc<Memory>) -> Result<Arc<Self>> {
        if !block_size.is_power_of_two() || !(512..=65536).contains(&block_size) {
            return Err(Errno::EINVAL);
        }
        let table = Mutex::new(Rank::Buffers, Table::default());
        let (block_size, departures) = (block_size as usize, AtomicU64::new(0));
        Ok(Arc::new(Self { device, block_size, memory, departures, table }))
    }

    /// The device below. What is read and written there directly must not be in this cache: [`BufferCache::forget`] it first.
    pub fn device(&self) -> &Arc<BlockDevice> {
        &self.device
    }

    /// Size of a block in bytes.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    fn offset(&self, block: u64) -> Result<u64> {
        block.checked_mul(self.block_size as u64).ok_or(Errno::ENXIO)
    }

    /// The buffer of `block`, read from the device if it is not here. As long as the answer is held, the buffer stays.
    ///
    /// # Errors
    /// `ENXIO` past the device's end, `EIO`; those of writing other buffers home to make room.
    pub fn get(&self, block: u64) -> Result<Arc<Buffer>> {
        let offset = self.offset(block)?;
        loop {
            let departures = self.departures.load(Ordering::Acquire);
            if let Some(found) = self.table.lock().touch(block) {
                return Ok(found);
            }
            let mut content = vec![0; self.block_size];
            self.device.read(offset, &mut content)?;
            let mut table = self.table.lock();
            if let Some(found) = table.touch(block) {
                return Ok(found);
            }
            if self.departures.load(Ordering::Acquire) == departures {
                return self.enter(&mut table, block, content, false);
            }
        }
    }

    /// The buffer of `block` with zeroes in it, dirty, without reading what is on the device: for a block that is new.
    ///
    /// # Errors
    /// `ENXIO` past the device's end; those of writing other buffers home to make room.
    pub fn get_zeroed(&self, block: u64) -> Result<Arc<Buffer>> {
        lkl_ops::disk::check_range(self.device.size(), self.offset(block)?, self.block_size as u64)?;
        let mut table = self.table.lock();
        match table.touch(block) {
            Some(found) => {
                found.update(|content| content.fill(0));
                Ok(found)
            }
            None => self.enter(&mut table, block, vec![0; self.block_size], true),
        }
    }

    fn enter(&self, table: &mut Table, block: u64, content: Vec<u8>, dirty: bool) -> Result<Arc<Buffer>> {
        self.make_room(table)?;
        let content = Mutex::new(Rank::Buffer, Arc::new(content));
        let buffer = Arc::new(Buffer { block, content, dirty: AtomicBool::new(dirty), pins: AtomicU32::new(0) });
        table.insert(buffer.clone());
        table.bytes += self.block_size;
        self.memory.used.fetch_add(self.block_size, Ordering::Relaxed);
        Ok(buffer)
    }

    /// Lets the least recently used buffers go while there is too much.
    fn make_room(&self, table: &mut Table) -> Result<()> {
        let mut looked_at = 0;
        while table.bytes + self.block_size > OWN_MIN.min(self.memory.limit)
            && self.memory.used() + self.block_size > self.memory.limit
            && looked_at < table.slots.len().min(64)
        {
            looked_at += 1;
            let Some(block) = table.order.values().next().copied() else { break };
            let Some(buffer) = table.touch(block) else { break };
            // The table's and ours.
            if buffer.is_pinned() || Arc::strong_count(&buffer) > 2 {
                continue;
            }
            if buffer.is_dirty() {
                self.write_run(table, block)?;
            }
            self.let_go(table, block);
            looked_at = 0;
        }
        Ok(())
    }

    fn let_go(&self, table: &mut Table, block: u64) {
        if table.remove(block).is_some() {
            self.departures.fetch_add(1, Ordering::AcqRel);
            table.bytes -= self.block_size;
            self.memory.used.fetch_sub(self.block_size, Ordering::Relaxed);
        }
    }

    /// Writes the dirty buffers home that follow each other from `first` on. Answers how many. The table's lock is held, so
    /// that no older content is written over newer one.
    fn write_run(&self, table: &Table, first: u64) -> Result<u64> {
        let mut contents: Vec<Arc<Vec<u8>>> = Vec::new();
        let mut buffers: Vec<&Arc<Buffer>> = Vec::new();
        let mut block = first;
        while (contents.len() + 1) * self.block_size <= RUN_MAX {
            let Some(slot) = table.slots.get(&block) else { break };
            let Some(content) = slot.buffer.take_dirty() else { break };
            contents.push(content);
            buffers.push(&slot.buffer);
            block += 1;
        }
        let pieces: Vec<&[u8]> = contents.iter().map(|c| c.as_slice()).collect();
        let written = self.device.write_pieces(self.offset(first)?, &pieces);
        if written.is_err() {
            for buffer in buffers {
                buffer.dirty.store(true, Ordering::Release);
            }
        }
        written.map(|()| block - first)
    }

    /// Reads blocks that will be asked for soon, as one request where they follow each other. What fails is not told: who needs the
    /// block will see.
    pub fn read_ahead(&self, blocks: Range<u64>) {
        let most = (RUN_MAX / self.block_size) as u64;
        let blocks = blocks.start..blocks.end.min(blocks.start.saturating_add(most));
        let departures = self.departures.load(Ordering::Acquire);
        let missing: Vec<u64> = {
            let table = self.table.lock();
            blocks.filter(|b| !table.slots.contains_key(b)).collect()
        };
        let (Some(first), Some(last)) = (missing.first().copied(), missing.last().copied()) else { return };
        let len = usize::try_from(last - first + 1).unwrap_or(0) * self.block_size;
        let mut content = vec![0; len];
        let read = self.offset(first).and_then(|offset| self.device.read(offset, &mut content));
        if read.is_err() {
            return;
        }
        let mut table = self.table.lock();
        for (block, content) in (first..).zip(content.chunks_exact(self.block_size)) {
            if table.slots.contains_key(&block) {
                continue;
            }
            // Entering one may have another one leave, which then must not be entered again from what was read before.
            if self.departures.load(Ordering::Acquire) != departures
                || self.enter(&mut table, block, content.to_vec(), false).is_err()
            {
                return;
            }
        }
    }

    /// Lets buffers go without writing them: their blocks are free now. Those that are pinned or in use lose their content's
    /// claim to be written home, no more.
    pub fn forget(&self, blocks: Range<u64>) {
        let mut table = self.table.lock();
        let present: Vec<u64> = if blocks.end.saturating_sub(blocks.start) > table.slots.len() as u64 {
            table.slots.keys().copied().filter(|b| blocks.contains(b)).collect()
        } else {
            blocks.filter(|b| table.slots.contains_key(b)).collect()
        };
        for block in present {
            let Some(buffer) = table.slots.get(&block).map(|s| s.buffer.clone()) else { continue };
            buffer.dirty.store(false, Ordering::Release);
            if !buffer.is_pinned() && Arc::strong_count(&buffer) == 2 {
                self.let_go(&mut table, block);
            }
        }
    }

    /// Writes all dirty buffers home that are not pinned, in the order of their blocks, merged where they follow each other. They are
    /// durable after a [`BlockDevice::flush`].
    ///
    /// # Errors
    /// The first that occurred, after all have been tried; what could not be written stays dirty.
    pub fn write_back(&self) -> Result<()> {
        let mut dirty: Vec<u64> = {
            let table = self.table.lock();
            table
                .slots
                .values()
                .filter(|s| s.buffer.is_dirty() && !s.buffer.is_pinned())
                .map(|s| s.buffer.block)
                .collect()
        };
        dirty.sort_unstable();
        let mut result = Ok(());
        let mut next = 0;
        for block in dirty {
            if block < next {
                continue;
            }
            let table = self.table.lock();
            if !table.slots.get(&block).is_some_and(|s| s.buffer.is_dirty() && !s.buffer.is_pinned()) {
                continue;
            }
            match self.write_run(&table, block) {
                Ok(n) => next = block + n,
                Err(e) => result = result.and(Err(e)),
            }
        }
        result
    }

    /// [`BufferCache::write_back`], then [`BlockDevice::flush`].
    ///
    /// # Errors
    /// Those of the two; the flush is tried in any case.
    pub fn sync(&self) -> Result<()> {
        let written = self.write_back();
        written.and(self.device.flush())
    }

    /// How many buffers are dirty, pinned ones too.
    pub fn dirty(&self) -> usize {
        self.table.lock().slots.values().filter(|s| s.buffer.is_dirty()).count()
    }
}

impl Drop for BufferCache {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.table.get_mut().bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
