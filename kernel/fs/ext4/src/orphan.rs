//! Orphans: inodes without a name that are in use still, and files being cut. They are listed on the disk, so that after a crash the
//! next mount finishes the work: a list through the inodes (`i_dtime`), and the orphan file.
//!
//! New orphans go into the list, which every version of the format has; both are read.

use crate::bytes::{cut, le32, put_bytes};
use crate::csum::crc32c;
use crate::error::corrupt;
use crate::features::RoCompat;
use crate::inode::Inode;
use crate::inode::Time;
use crate::Ext4;
use lkl_abi::{Errno, Result};
use std::collections::HashSet;

const FILE_MAGIC: u32 = 0x0b10_ca04;
/// Bytes at the end of a block of the orphan file: magic number and checksum.
const FILE_TAIL: usize = 8;

impl Ext4 {
    /// Puts an inode on the list. The caller writes it.
    ///
    /// # Errors
    /// `EIO`.
    pub(crate) fn add_orphan(&mut self, inode: &mut Inode) -> Result<()> {
        if self.is_orphan(inode.ino) {
            return Ok(());
        }
        inode.set_dtime(self.sb.last_orphan);
        self.sb.last_orphan = inode.ino;
        self.note_orphan(inode.ino, true);
        Ok(())
    }

    /// Takes an inode off the list. The caller writes it.
    ///
    /// # Errors
    /// `EUCLEAN` if the list is damaged; `EIO`.
    pub(crate) fn remove_orphan(&mut self, inode: &mut Inode) -> Result<()> {
        if !self.is_orphan(inode.ino) {
            return Ok(());
        }
        let next = inode.dtime();
        if self.sb.last_orphan == inode.ino {
            self.sb.last_orphan = next;
        } else {
            let mut at = self.sb.last_orphan;
            for _ in 0..=self.orphans.len() {
                let mut other = self.raw_inode(at)?;
                if other.dtime() == inode.ino {
                    other.set_dtime(next);
                    self.put_inode(&mut other)?;
                    at = 0;
                    break;
                }
                at = other.dtime();
                if at == 0 {
                    return Err(corrupt(0, format_args!("inode {} is not on the list of orphans", inode.ino)));
                }
            }
            if at != 0 {
                return Err(corrupt(0, "the list of orphans goes in circles"));
            }
        }
        inode.set_dtime(0);
        self.note_orphan(inode.ino, false);
        Ok(())
    }

    /// Finishes what a crash has interrupted: removes orphans without a name, and cuts those that have one.
    ///
    /// # Errors
    /// `EIO`; `EUCLEAN`.
    pub(crate) fn clean_orphans(&mut self, now: Time) -> Result<()> {
        let (mut list, mut seen) = (Vec::new(), HashSet::new());
        let mut at = self.sb.last_orphan;
        while at != 0 {
            if !seen.insert(at) || at < self.sb.first_ino || at > self.sb.inodes_count {
                tracing::error!(target: "lkl::ext4", ino = at, "the list of orphans is damaged: it is dropped");
                break;
            }
            list.push(at);
            let next = self.raw_inode(at)?.dtime();
            at = next;
        }
        for &ino in &list {
            self.orphans.insert(ino);
        }
        for &ino in &list {
            self.clean_orphan(ino, now)?;
        }
        self.op(now, |fs| {
            fs.sb.last_orphan = 0;
            fs.store_superblock()
        })?;
        self.orphans.clear();
        self.clean_orphan_file(now)
    }

    fn clean_orphan(&mut self, ino: u32, now: Time) -> Result<()> {
        let inode = self.raw_inode(ino)?;
        if inode.links() > 0 {
            tracing::info!(target: "lkl::ext4", ino, size = inode.size(), "orphan: cut");
            let size = inode.size();
            if inode.is_reg() {
                self.op(now, |fs| {
                    let mut inode = fs.raw_inode(ino)?;
                    fs.remove_orphan(&mut inode)?;
                    fs.put_inode(&mut inode)
                })?;
                return self.truncate_past_end(ino, size, now);
            }
            return Ok(());
        }
        tracing::info!(target: "lkl::ext4", ino, "orphan: removed");
        if inode.mode() == 0 {
            return Ok(());
        }
        self.evict(ino, now)
    }

    /// Frees what a file has past its size.
    fn truncate_past_end(&mut self, ino: u32, size: u64, now: Time) -> Result<()> {
        let bs = self.sb.block_size as u64;
        if self.inode(ino)?.has(crate::inode::flag::INLINE_DATA) {
            return Ok(());
        }
        while !self.op(now, |fs| {
            let mut inode = fs.inode(ino)?;
            let done = fs.unmap(&mut inode, size.div_ceil(bs), 1 << 32, false)?;
            fs.put_inode(&mut inode)?;
            Ok(done)
        })? {}
        Ok(())
    }

    fn clean_orphan_file(&mut self, now: Time) -> Result<()> {
        if !self.sb.has_ro(RoCompat::ORPHAN_PRESENT) || self.sb.orphan_file_inum == 0 {
            return Ok(());
        }
        let file = self.inode(self.sb.orphan_file_inum)?;
        let blocks = (file.size() >> self.sb.block_bits).min(u64::from(u32::MAX)) as u32;
        let room = self.sb.block_size - FILE_TAIL;
        let seed = file.csum_seed(self.sb.csum_seed);
        for lblk in 0..blocks {
            let place = self.metadata_block(&file, lblk)?;
            let data = self.cache.read(place, |_| Ok(()))?;
            let sum = |data: &[u8]| crc32c(crc32c(seed, &place.to_le_bytes()), cut(data, 0, room));
            if le32(&data, room) != FILE_MAGIC || (self.sb.metadata_csum() && sum(&data) != le32(&data, room + 4)) {
                return Err(corrupt(place, "damaged block of the orphan file"));
            }
            let list: Vec<u32> = cut(&data, 0, room).chunks_exact(4).map(|n| le32(n, 0)).filter(|&n| n != 0).collect();
            for &ino in &list {
                if ino < self.sb.first_ino || ino > self.sb.inodes_count {
                    return Err(corrupt(place, format_args!("orphan file: no inode {ino}")));
                }
                let inode = self.raw_inode(ino)?;
                if inode.links() == 0 {
                    self.op(now, |fs| {
                        let mut inode = fs.raw_inode(ino)?;
                        inode.set_dtime(0);
                        fs.add_orphan(&mut inode)?;
                        fs.put_inode(&mut inode)
                    })?;
                    self.evict(ino, now)?;
                } else if inode.is_reg() {
                    self.truncate_past_end(ino, inode.size(), now)?;
                }
            }
            self.op(now, |fs| {
                let mut new = vec![0; room];
                new.extend_from_slice(cut(&data, room, FILE_TAIL));
                if fs.sb.metadata_csum() {
                    let sum = sum(&new);
                    put_bytes(&mut new, room + 4, &sum.to_le_bytes());
                }
                fs.cache.change(place)?.copy_from_slice(&new);
                Ok(())
            })?;
        }
        self.op(now, |fs| {
            fs.sb.ro_compat.remove(RoCompat::ORPHAN_PRESENT);
            fs.store_superblock()
        })
    }

    /// Frees an inode without a name, with all that it has. Called when nobody uses it any more.
    ///
    /// # Errors
    /// `EBUSY` if it has names; `EROFS`, `EIO`, `EUCLEAN`.
    pub fn evict(&mut self, ino: u32, now: Time) -> Result<()> {
        while !self.op(now, |fs| {
            let mut inode = fs.inode(ino)?;
            if inode.links() != 0 {
                return Err(Errno::EBUSY);
            }
            let metadata = !inode.is_reg();
            let done = !inode.has_blocks() || fs.unmap(&mut inode, 0, 1 << 32, metadata)?;
            inode.set_size(0);
            if done {
                fs.drop_xattrs(&mut inode)?;
                fs.remove_orphan(&mut inode)?;
                inode.set_dtime(fs.now.sec as u32);
                fs.set_sectors(&mut inode, 0)?;
                fs.put_inode(&mut inode)?;
                fs.free_inode(ino, inode.is_dir())?;
            } else {
                fs.put_inode(&mut inode)?;
            }
            Ok(done)
        })? {}
        Ok(())
    }
}
