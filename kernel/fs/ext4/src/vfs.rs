//! The other half: [`Ext4`] behind the traits of the VFS. One lock around each mounted file system makes its operations atomic; file
//! content is read without it, and an inode's attributes are kept beside it.
//!
//! `inode` has the files, `promises` what was promised to each of them.

pub(crate) mod inode;
mod promises;

use crate::inode::Time;
use crate::mount::Options;
use crate::sb::{OnError, Superblock, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE};
use crate::{Ext4, New};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use inode::Ext4Inode;
use lkl_abi::handle::FILEID_INO32_GEN;
use lkl_abi::{Errno, Result};
use lkl_block::BlockDevice;
use lkl_ops::Disk;
use lkl_sync::{Mutex, Rank};
use lkl_vfs::{FileSystem, Handle, Inode, MountOptions, NewInode, StatFs, SuperBlock, Timestamp};
use std::sync::Arc;

/// `f_type` of all three (`EXT4_SUPER_MAGIC`).
const MAGIC: u64 = 0xef53;
/// More links than that a file cannot have.
const LINK_MAX: u32 = 65000;

/// A type of file system: what it is called, and what images it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtType {
    name: &'static str,
}

/// ext4, which takes images of the other two as well, as in Linux.
pub const EXT4: ExtType = ExtType { name: "ext4" };
/// ext3: with a journal, without what ext4 has added.
pub const EXT3: ExtType = ExtType { name: "ext3" };
/// ext2: without a journal.
pub const EXT2: ExtType = ExtType { name: "ext2" };

/// A block device as the format half wants it.
struct Device(Arc<BlockDevice>);

impl Disk for Device {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn sector_size(&self) -> u32 {
        self.0.sector_size()
    }

    fn read_only(&self) -> bool {
        self.0.read_only()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.0.read(offset, buf)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.0.write(offset, buf)
    }

    fn write_pieces_at(&self, pieces: &[&[u8]], offset: u64) -> Result<()> {
        self.0.write_pieces(offset, pieces)
    }

    fn flush(&self) -> Result<()> {
        self.0.flush()
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        self.0.discard(offset, len)
    }
}

fn time(t: Timestamp) -> Time {
    Time { sec: t.secs, nsec: t.nanos }
}

fn timestamp(t: Time) -> Timestamp {
    Timestamp { secs: t.sec, nanos: t.nsec }
}

/// The number of a file, which has 32 bits here.
fn number(ino: u64) -> Result<u32> {
    u32::try_from(ino).map_err(|_| Errno::ESTALE)
}

impl ExtType {
    /// What is said of a device's superblock; `None` if there is none of the ext family.
    fn superblock(device: &BlockDevice) -> Result<Option<Vec<u8>>> {
        if device.size() < SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE as u64 {
            return Ok(None);
        }
        let mut raw = vec![0; SUPERBLOCK_SIZE];
        device.read(SUPERBLOCK_OFFSET, &mut raw)?;
        Ok(Superblock::is_one(&raw).then_some(raw))
    }

    fn options(options: &MountOptions) -> Result<Options> {
        let mut own =
            Options { read_only: options.read_only, now: time(options.now), seed: options.seed, ..Options::default() };
        if let Some(memory) = &options.memory {
            own.memory = (memory.limit() / 4).clamp(1 << 20, own.memory);
        }
        for word in options.data.split(',').filter(|w| !w.is_empty()) {
            match word {
                "noload" | "norecovery" => own.no_replay = true,
                // What is always so.
                "acl" | "user_xattr" | "delalloc" | "barrier" | "barrier=1" | "data=ordered" => {}
                "errors=continue" => own.on_error = Some(OnError::Continue),
                "errors=remount-ro" => own.on_error = Some(OnError::RemountReadOnly),
                "errors=panic" => own.on_error = Some(OnError::Panic),
                _ => {
                    tracing::error!(target: "lkl::ext4", "not mounted: unknown option {word}");
                    return Err(Errno::EINVAL);
                }
            }
        }
        if own.no_replay && !own.read_only {
            tracing::error!(target: "lkl::ext4", "not mounted: noload is for read-only mounts");
            return Err(Errno::EINVAL);
        }
        Ok(own)
    }
}

impl FileSystem for ExtType {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs_device(&self) -> bool {
        true
    }

    fn probe(&self, device: &BlockDevice) -> Result<bool> {
        let raw = Self::superblock(device)?;
        Ok(raw.is_some_and(|raw| Superblock::is_of_type(&raw, self.name)))
    }

    fn mount(&self, options: &MountOptions) -> Result<Arc<dyn SuperBlock>> {
        let device = options.device.clone().ok_or(Errno::ENOTBLK)?;
        let own = Self::options(options)?;
        let raw = Self::superblock(&device)?;
        if raw.is_some_and(|raw| !Superblock::is_of_type(&raw, self.name)) {
            return Err(crate::error::refuse(format_args!("it has features that {} has not", self.name)));
        }
        let fs = Ext4::mount(Arc::new(Device(device.clone())), &own)?;
        let stopped = fs.stopped.clone();
        let fs = Mutex::new(Rank::FsOperation, fs);
        Ok(Arc::new_cyclic(|this| Mounted { this: this.clone(), fs, device, stopped }))
    }
}

/// A file system that is mounted.
struct Mounted {
    this: std::sync::Weak<Self>,
    fs: Mutex<Ext4>,
    device: Arc<BlockDevice>,
    /// Nothing is written any more, since damage was found or a write has failed.
    stopped: Arc<AtomicBool>,
}

impl Mounted {
    /// Looks at something; damage that is found is noted.
    fn look<T>(&self, run: impl FnOnce(&mut Ext4) -> Result<T>) -> Result<T> {
        let mut fs = self.fs.lock();
        let done = run(&mut fs);
        if matches!(done, Err(Errno::EUCLEAN)) {
            fs.damaged();
        }
        done
    }

    /// What a new file is to be, in the terms of the format half; `xattrs` are those it gets from the start.
    fn new_inode<'a>(new: &'a NewInode<'a>) -> New<'a> {
        New {
            mode: (new.kind.mode() | new.mode & 0o7777) as u16,
            uid: new.uid,
            gid: new.gid,
            rdev: new.rdev,
            target: new.target,
            xattrs: new.xattrs,
        }
    }
}

impl SuperBlock for Mounted {
    fn root(&self) -> u64 {
        u64::from(crate::ROOT)
    }

    fn inode(&self, ino: u64) -> Result<Arc<dyn Inode>> {
        let ino = number(ino)?;
        let attr = self.look(|fs| fs.file_attr(ino))?;
        let this = self.this.upgrade().ok_or(Errno::ESTALE)?;
        Ok(Arc::new(Ext4Inode::new(this, ino, &attr)))
    }

    fn by_handle(&self, handle: &Handle) -> Result<u64> {
        match (handle.kind, handle.bytes.as_slice()) {
            (FILEID_INO32_GEN, [a, b, c, d, _, _, _, _]) => Ok(u64::from(u32::from_ne_bytes([*a, *b, *c, *d]))),
            _ => Err(Errno::ESTALE),
        }
    }

    fn statfs(&self) -> Result<StatFs> {
        let fs = self.fs.lock();
        let stat = fs.stat();
        let (low, high) = stat.uuid.split_at(8);
        let half = |bytes: &[u8]| crate::bytes::le64(bytes, 0);
        Ok(StatFs {
            magic: MAGIC,
            block_size: stat.block_size,
            blocks: stat.blocks,
            blocks_free: stat.free_blocks,
            blocks_available: stat.available_blocks,
            files: stat.inodes,
            files_free: stat.free_inodes,
            fsid: half(low) ^ half(high),
            link_max: LINK_MAX,
            size_max: fs.largest_file(),
        })
    }

    fn sync(&self) -> Result<()> {
        self.fs.lock().commit()
    }

    fn remount(&self, options: &MountOptions) -> Result<()> {
        let own = ExtType::options(options)?;
        let mut fs = self.fs.lock();
        let on_error = own.on_error.or(Some(fs.on_error));
        if fs.is_read_only() == own.read_only {
            fs.set_on_error(on_error);
            return Ok(());
        }
        if self.stopped.load(Relaxed) {
            // Only e2fsck, or the replay of the next mount, makes it one that may be written.
            return Err(Errno::EROFS);
        }
        let own = Options { on_error, ..own };
        if !own.read_only && self.device.read_only() {
            return Err(Errno::EROFS);
        }
        if fs.has_orphans() {
            // The mount that follows would remove files that are in use.
            return Err(Errno::EBUSY);
        }
        fs.unmount()?;
        let fresh = Ext4::mount(Arc::new(Device(self.device.clone())), &own)?;
        *fs = Ext4 { stopped: self.stopped.clone(), ..fresh };
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    fn show_options(&self) -> String {
        let fs = self.fs.lock();
        if fs.on_error == fs.sb.on_error {
            return String::new();
        }
        match fs.on_error {
            OnError::Continue => ",errors=continue",
            OnError::RemountReadOnly => ",errors=remount-ro",
            OnError::Panic => ",errors=panic",
        }
        .to_owned()
    }

    fn unmount(&self) -> Result<()> {
        self.fs.lock().unmount()
    }

    fn direct_alignment(&self) -> u32 {
        self.device.sector_size()
    }

    fn trim(&self, start: u64, len: u64, least: u64) -> Result<u64> {
        let mut fs = self.fs.lock();
        let (bits, cluster_bits, blocks) = (fs.sb.block_bits, fs.sb.cluster_bits, fs.sb.blocks_count);
        let (first, least) = (start >> bits, (least >> bits) >> cluster_bits);
        if least > u64::from(fs.sb.clusters_per_group) || first >= blocks || len < fs.sb.block_size as u64 {
            return Err(Errno::EINVAL);
        }
        // Without its replay the journal knows more than the bitmaps.
        if fs.in_memory {
            return Err(Errno::EROFS);
        }
        // What was freed is free for good then.
        fs.commit()?;
        let last = first.saturating_add(len >> bits).min(blocks) - 1;
        let first = first.max(u64::from(fs.sb.first_data_block));
        if last < first {
            return Ok(0);
        }
        let (from, to) = (fs.sb.group_of(first)?, fs.sb.group_of(last)?);
        drop(fs);
        let mut done = 0;
        for number in from..=to {
            // Others have their turn between two groups.
            let mut fs = self.fs.lock();
            let start = fs.sb.group_start(number);
            let cluster = |block: u64| (block.saturating_sub(start) >> cluster_bits) as u32;
            let end = if number == to { cluster(last) + 1 } else { fs.sb.group_clusters(number) };
            done += fs.trim_group(number, cluster(first), end, least as u32)?;
        }
        Ok((done << cluster_bits) << bits)
    }

    fn create_unnamed(&self, dir: u64, new: &NewInode<'_>) -> Result<u64> {
        let mut fs = self.fs.lock();
        fs.create_unnamed(number(dir)?, &Self::new_inode(new), time(new.now)).map(u64::from)
    }
}

#[cfg(test)]
mod tests;
