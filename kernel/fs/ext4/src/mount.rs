//! Mounting and unmounting.

use crate::bytes::{cut, le32, put_le32, put_le64, put_u8};
use crate::cache::{read_disk, write_disk, write_sorted, Cache};
use crate::csum::crc32c;
use crate::error::{corrupt, refuse};
use crate::features::{Compat, Incompat};
use crate::inode::Time;
use crate::journal::Journal;
use crate::sb::{at, OnError, Superblock, STATE_CLEAN, STATE_ERRORS, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE};
use crate::Ext4;
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::{Errno, Result};
use lkl_ops::Disk;
use std::sync::Arc;

const MMP_MAGIC: u32 = 0x004d_4d50;
const MMP_CLEAN: u32 = 0xff4d_4d50;
/// Where its checksum is, in bytes.
const MMP_SUM: usize = 1020;

/// How to mount.
#[derive(Clone, Debug)]
pub struct Options {
    /// Change nothing on the disk. A dirty journal is replayed in memory.
    pub read_only: bool,
    /// Bytes of clean metadata to keep in memory.
    pub memory: usize,
    /// What time it is.
    pub now: Time,
    /// Random bytes, from which the generation numbers of inodes are made.
    pub seed: [u8; 16],
    /// Do not replay the journal; only to read.
    pub no_replay: bool,
    /// What happens when damage is found; `None`: as the superblock says.
    pub on_error: Option<OnError>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: false,
            memory: 16 << 20,
            now: Time::default(),
            seed: [0; 16],
            no_replay: false,
            on_error: None,
        }
    }
}

impl Ext4 {
    /// Mounts the file system on a disk. What a dirty journal holds is brought to its places first: on the disk, or in memory if the
    /// disk is not to be changed.
    ///
    /// # Errors
    /// `EINVAL` if there is none, or it has features that cannot be read; `EROFS` if it cannot be written but should be; `EUCLEAN`,
    /// `EIO`.
    pub fn mount(disk: Arc<dyn Disk>, options: &Options) -> Result<Self> {
        let sb = read_superblock(&*disk)?;
        if !options.read_only {
            if disk.read_only() {
                return Err(Errno::EROFS);
            }
            sb.check_writable()?;
        }
        let cache = Cache::new(disk, sb.block_size, sb.blocks_count, options.memory);
        let mut fs = Self::new(sb, cache, options.read_only, &options.seed);
        fs.set_on_error(options.on_error);
        if !(options.no_replay && options.read_only) {
            fs.recover(options.now)?;
        }
        if !options.read_only {
            fs.open_for_writing(options.now)?;
        }
        Ok(fs)
    }

    /// What happens from now on when damage is found; `None`: as the superblock says.
    pub(crate) fn set_on_error(&mut self, on_error: Option<OnError>) {
        self.on_error = on_error.unwrap_or(self.sb.on_error);
    }

    /// Damage was found: notes it in the superblock, and does what `errors=` says. What earlier operations have changed and no commit
    /// has made durable is lost if nothing more is written, as on Linux.
    pub(crate) fn damaged(&mut self) {
        // e2fsck looks at what has errors even if it was unmounted.
        self.sb.state |= STATE_ERRORS;
        self.state |= STATE_ERRORS;
        self.sb.errors.add(self.now.sec);
        if self.on_error == OnError::Continue || self.failed {
            return;
        }
        if !self.read_only {
            if let Err(e) = self.write_superblock(false) {
                tracing::error!(target: "lkl::ext4", error = ?e, "the superblock cannot be written");
            }
            tracing::error!(target: "lkl::ext4", "damaged: read-only from now on");
            self.stop();
        }
        assert!(self.on_error != OnError::Panic, "ext4: damaged, and mounted with errors=panic");
    }

    /// Nothing is written from now on.
    pub(crate) fn stop(&mut self) {
        self.failed = true;
        self.read_only = true;
        self.stopped.store(true, Relaxed);
    }

    /// Says on the disk that it is mounted, and finishes what a crash has interrupted.
    fn open_for_writing(&mut self, now: Time) -> Result<()> {
        self.now = now;
        self.take_mmp()?;
        if self.sb.state & STATE_CLEAN == 0 && self.journal.is_none() {
            tracing::warn!(target: "lkl::ext4", "was not unmounted cleanly: e2fsck should look at it");
        }
        if self.sb.state & STATE_ERRORS != 0 {
            tracing::warn!(target: "lkl::ext4", "has errors: e2fsck should look at it");
        }
        self.state = self.sb.state;
        let disk = self.cache.disk.clone();
        let (wide, sums) = (self.sb.has(Incompat::B64), self.sb.metadata_csum());
        if let Some(journal) = &mut self.journal {
            journal.adopt(&*disk, wide, sums)?;
            journal.checkpointed(&*disk)?;
            self.sb.incompat |= Incompat::NEEDS_RECOVERY;
        } else {
            self.sb.state &= !STATE_CLEAN;
        }
        self.sb.mnt_count = self.sb.mnt_count.saturating_add(1);
        self.write_superblock(true)?;
        disk.flush().map_err(|_| Errno::EIO)?;
        self.count_free()?;
        self.clean_orphans(now)?;
        self.commit()
    }

    /// Writes the superblock straight to its place.
    fn write_superblock(&mut self, mounting: bool) -> Result<()> {
        let disk = self.cache.disk.clone();
        let mut raw = [0; SUPERBLOCK_SIZE];
        read_disk(&*disk, &mut raw, SUPERBLOCK_OFFSET)?;
        if mounting {
            put_le32(&mut raw, at::MTIME, self.now.sec as u32);
            put_u8(&mut raw, at::MTIME_HI, (self.now.sec >> 32) as u8);
        }
        self.sb.store(&mut raw, self.now.sec);
        write_disk(&*disk, &raw, SUPERBLOCK_OFFSET)?;
        self.cache.written_around(self.sb.own_block(), 1);
        Ok(())
    }

    /// Counts what is free. Linux lets the superblock's own counts go stale while it is mounted.
    pub(crate) fn count_free(&mut self) -> Result<()> {
        let (mut clusters, mut inodes) = (0u64, 0u32);
        for number in 0..self.sb.groups {
            let group = self.group(number)?;
            clusters += u64::from(group.free_clusters);
            inodes = inodes.saturating_add(group.free_inodes);
        }
        self.sb.free_blocks = clusters << self.sb.cluster_bits;
        self.sb.free_inodes = inodes;
        Ok(())
    }

    /// Writes everything to its place and says on the disk that it is clean. Nothing can be changed afterwards.
    ///
    /// # Errors
    /// `EIO`: what was committed is safe all the same, and the next mount replays it.
    pub fn unmount(&mut self) -> Result<()> {
        if self.read_only {
            return if self.failed { Err(Errno::EIO) } else { Ok(()) };
        }
        self.commit()?;
        self.checkpoint()?;
        self.read_only = true;
        let disk = self.cache.disk.clone();
        if let Some(journal) = &mut self.journal {
            journal.close(&*disk)?;
            disk.flush().map_err(|_| Errno::EIO)?;
            self.sb.incompat.remove(Incompat::NEEDS_RECOVERY);
        }
        self.sb.state = self.state;
        self.write_superblock(false)?;
        self.release_mmp()?;
        disk.flush().map_err(|_| Errno::EIO)
    }

    /// Takes the block by which several machines keep from mounting one disk.
    fn take_mmp(&mut self) -> Result<()> {
        if !self.sb.has(Incompat::MMP) {
            return Ok(());
        }
        let data = self.mmp_block()?;
        match le32(&data, 4) {
            MMP_CLEAN => self.put_mmp(1),
            sequence => {
                tracing::error!(target: "lkl::ext4", sequence, "not mounted: in use, or was not unmounted (MMP)");
                Err(Errno::EBUSY)
            }
        }
    }

    fn release_mmp(&mut self) -> Result<()> {
        if self.sb.has(Incompat::MMP) {
            self.put_mmp(MMP_CLEAN)?;
        }
        Ok(())
    }

    fn mmp_block(&self) -> Result<Vec<u8>> {
        let place = self.sb.mmp_block;
        if !self.sb.valid_blocks(place, 1) {
            return Err(corrupt(place, "MMP block"));
        }
        let mut data = vec![0; self.sb.block_size];
        read_disk(&*self.cache.disk, &mut data, place * self.sb.block_size as u64)?;
        let sum = crc32c(self.sb.csum_seed, cut(&data, 0, MMP_SUM));
        if le32(&data, 0) != MMP_MAGIC || (self.sb.metadata_csum() && sum != le32(&data, MMP_SUM)) {
            return Err(corrupt(place, "damaged MMP block"));
        }
        Ok(data)
    }

    fn put_mmp(&mut self, sequence: u32) -> Result<()> {
        let mut data = self.mmp_block()?;
        put_le32(&mut data, 4, sequence);
        put_le64(&mut data, 8, self.now.sec as u64);
        let sum = crc32c(self.sb.csum_seed, cut(&data, 0, MMP_SUM));
        if self.sb.metadata_csum() {
            put_le32(&mut data, MMP_SUM, sum);
        }
        write_disk(&*self.cache.disk, &data, self.sb.mmp_block * self.sb.block_size as u64)
    }

    /// Replays the journal.
    fn recover(&mut self, now: Time) -> Result<()> {
        let journalled = self.sb.compat.contains(Compat::HAS_JOURNAL);
        if !journalled {
            return Ok(());
        }
        if self.read_only && !self.sb.has(Incompat::NEEDS_RECOVERY) {
            // It is not needed, whatever state it is in.
            let journal = Journal::open(self, self.sb.journal_inum);
            self.journal_blocks = journal.map_or(0, |j| u64::from(j.blocks()));
            return Ok(());
        }
        if self.sb.journal_inum == 0 {
            return Err(refuse("its journal is on another device"));
        }
        let mut journal = Journal::open(self, self.sb.journal_inum)?;
        self.journal_blocks = u64::from(journal.blocks());
        let disk = self.cache.disk.clone();
        let (blocks, bs) = (self.sb.blocks_count, self.sb.block_size);
        if self.sb.has(Incompat::NEEDS_RECOVERY) {
            self.cache.replayed_in_memory = self.read_only;
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
            self.groups.clear();
            self.verified.clear();
            let mut raw = [0; SUPERBLOCK_SIZE];
            self.cache.read_through(&mut raw, SUPERBLOCK_OFFSET)?;
            let (errors, state) = (self.sb.errors, self.sb.state);
            self.sb = Superblock::parse(&raw, disk.size())?;
            // They were written past the journal, so what that has of them may be older.
            self.sb.errors = errors;
            self.sb.state |= state & STATE_ERRORS;
            if !replayed.fast.is_empty() {
                self.replay_fast(&replayed.fast, replayed.end, now)?;
            }
            if !self.read_only && !self.cache.committed.is_empty() {
                // Once more if this is interrupted: the journal still says all of it.
                write_sorted(&*disk, bs, &self.cache.committed)?;
                disk.flush().map_err(|_| Errno::EIO)?;
                let blocks = core::mem::take(&mut self.cache.committed);
                self.cache.cleaned(blocks);
            }
        }
        if !self.read_only {
            self.journal = Some(journal);
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
