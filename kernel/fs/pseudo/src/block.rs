//! Block devices as files (`/dev/vda1`). Nothing is cached: what is written is on the disk when the call returns, and durable after
//! `fsync`.

use lkl_abi::fs::{
    BLKBSZGET, BLKDISCARD, BLKFLSBUF, BLKGETSIZE, BLKGETSIZE64, BLKIOMIN, BLKIOOPT, BLKPBSZGET, BLKROGET, BLKSSZGET,
    BLKZEROOUT,
};
use lkl_abi::stat::S_IFBLK;
use lkl_abi::{Errno, Result};
use lkl_block::BlockDevice;
use lkl_file::{File, IovReader, IovWriter};
use lkl_ops::UserMem;
use lkl_sync::{Events, WaitQueue};
use std::sync::Arc;

/// Bytes that are moved at once.
const PIECE: usize = 256 << 10;
/// Block size of a device that no file system has changed, in bytes.
const BLOCK_SIZE: u32 = 4096;

/// An open one.
pub(crate) struct BlockFile {
    device: Arc<BlockDevice>,
    waiters: WaitQueue,
}

impl BlockFile {
    pub(crate) fn new(device: Arc<BlockDevice>) -> Self {
        Self { device, waiters: WaitQueue::new() }
    }

    /// The range of bytes at `arg`: where it begins, and how long it is.
    fn range(&self, mem: &dyn UserMem, arg: u64) -> Result<(u64, u64)> {
        let mut raw = [[0; 8]; 2];
        for (i, part) in raw.iter_mut().enumerate() {
            mem.read(arg.wrapping_add(8 * i as u64), part)?;
        }
        let [start, len] = raw.map(u64::from_ne_bytes);
        let sector = u64::from(self.device.sector_size());
        let inside = start.checked_add(len).is_some_and(|end| end <= self.device.size());
        if start % sector != 0 || len % sector != 0 || !inside {
            return Err(Errno::EINVAL);
        }
        Ok((start, len))
    }
}

impl File for BlockFile {
    fn read(&self, out: &mut IovWriter<'_>, offset: Option<u64>) -> Result<usize> {
        let start = offset.unwrap_or(0);
        let mut done = 0;
        loop {
            let at = start.saturating_add(done as u64);
            let left = usize::try_from(self.device.size().saturating_sub(at)).unwrap_or(usize::MAX);
            let mut piece = vec![0; left.min(out.remaining()).min(PIECE)];
            if piece.is_empty() {
                return Ok(done);
            }
            match self.device.read(at, &mut piece).and_then(|()| out.write(&piece)) {
                Ok(n) => done += n,
                Err(e) if done == 0 => return Err(e),
                Err(_) => return Ok(done),
            }
        }
    }

    fn write(&self, data: &mut IovReader<'_>, offset: Option<u64>) -> Result<usize> {
        let start = offset.unwrap_or(0);
        if start >= self.device.size() && data.remaining() > 0 {
            return Err(Errno::ENOSPC);
        }
        let mut done = 0;
        loop {
            let at = start.saturating_add(done as u64);
            let left = usize::try_from(self.device.size().saturating_sub(at)).unwrap_or(usize::MAX);
            let written = data.read_vec(left.min(PIECE)).and_then(|piece| {
                self.device.write(at, &piece)?;
                Ok(piece.len())
            });
            match written {
                Ok(0) => return Ok(done),
                Ok(n) => done += n,
                Err(e) if done == 0 => return Err(e),
                Err(_) => return Ok(done),
            }
        }
    }

    fn poll(&self) -> Events {
        Events::READ | Events::WRITE
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.waiters
    }

    fn seekable(&self) -> bool {
        true
    }

    fn ioctl(&self, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
        let device = &self.device;
        let put = |bytes: &[u8]| mem.write(arg, bytes).map(|()| 0);
        match request {
            BLKROGET => put(&u32::from(device.read_only()).to_ne_bytes()),
            BLKGETSIZE => put(&(device.size() / 512).to_ne_bytes()),
            BLKGETSIZE64 => put(&device.size().to_ne_bytes()),
            BLKSSZGET | BLKPBSZGET | BLKIOMIN => put(&device.sector_size().to_ne_bytes()),
            BLKBSZGET => put(&BLOCK_SIZE.to_ne_bytes()),
            BLKIOOPT => put(&0u32.to_ne_bytes()),
            BLKFLSBUF => device.flush().map(|()| 0),
            BLKDISCARD => {
                let (start, len) = self.range(mem, arg)?;
                device.discard(start, len).map(|()| 0)
            }
            BLKZEROOUT => {
                let (start, len) = self.range(mem, arg)?;
                device.write_zeroes(start, len).map(|()| 0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn sync(&self, _: bool) -> Result<()> {
        self.device.flush()
    }

    fn mode(&self) -> u32 {
        S_IFBLK | 0o660
    }

    fn size(&self) -> u64 {
        self.device.size()
    }

    fn ino(&self) -> u64 {
        0
    }
}
