//! Setting and removing extended attributes: in the inode while they fit, else in its block, large values in inodes of their own.

use super::acl::Acl;
use super::{
    entry_hash, pack, packed_len, split_name, Value, Xattr, ACL_ACCESS, ACL_DEFAULT, BLOCK_HEADER, INLINE, MAGIC,
    REFERENCES_MAX, VALUE_MAX,
};
use crate::bytes::{cut, le32, put_bytes, put_le32};
use crate::csum::crc32c;
use crate::error::corrupt;
use crate::features::{Compat, Incompat};
use crate::inode::{flag, kind, Inode, Time, TimeField};
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// Whether an attribute must be there already, must not, or may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetMode {
    /// May be there.
    Any,
    /// Must not be there (`XATTR_CREATE`).
    Create,
    /// Must be there (`XATTR_REPLACE`).
    Replace,
}

impl Ext4 {
    /// Sets an extended attribute, by its full name. An access ACL changes the permission bits as well.
    ///
    /// # Errors
    /// `EEXIST`, `ENODATA` as `mode` says; `EOPNOTSUPP` if there cannot be one of that name; `E2BIG` over 64 KiB; `EINVAL` if it is no
    /// valid ACL; `ERANGE` if the name is too long; `ENOSPC`, `EROFS`, `EIO`, `EUCLEAN`.
    pub fn set_xattr(&mut self, ino: u32, name: &[u8], value: &[u8], mode: SetMode, now: Time) -> Result<()> {
        self.op(now, |fs| {
            let mut inode = fs.inode(ino)?;
            fs.set_xattr_of(&mut inode, name, value, mode)?;
            inode.set_time(TimeField::Change, fs.now);
            fs.put_inode(&mut inode)
        })
    }

    /// The same for an inode that the caller writes.
    ///
    /// # Errors
    /// As [`Ext4::set_xattr`].
    pub(crate) fn set_xattr_of(&mut self, inode: &mut Inode, name: &[u8], value: &[u8], mode: SetMode) -> Result<()> {
        let (index, rest) = split_name(name)?;
        if (index, rest) == INLINE {
            return Err(Errno::EOPNOTSUPP);
        }
        if rest.len() > 255 {
            return Err(Errno::ERANGE);
        }
        if value.len() > VALUE_MAX {
            return Err(Errno::E2BIG);
        }
        if index == ACL_ACCESS || index == ACL_DEFAULT {
            return self.put_acl(inode, index, value);
        }
        self.put_xattr(inode, index, rest, Some(value), mode)
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// `ENODATA` if there is none; else as [`Ext4::set_xattr`].
    pub fn remove_xattr(&mut self, ino: u32, name: &[u8], now: Time) -> Result<()> {
        let (index, rest) = split_name(name)?;
        if (index, rest) == INLINE {
            return Err(Errno::EOPNOTSUPP);
        }
        self.op(now, |fs| {
            let mut inode = fs.inode(ino)?;
            fs.put_xattr(&mut inode, index, rest, None, SetMode::Replace)?;
            inode.set_time(TimeField::Change, fs.now);
            fs.put_inode(&mut inode)
        })
    }

    fn put_acl(&mut self, inode: &mut Inode, index: u8, value: &[u8]) -> Result<()> {
        if inode.is_symlink() {
            return Err(Errno::EOPNOTSUPP);
        }
        let acl = Acl::parse_xattr(value).ok_or(Errno::EINVAL)?;
        if index == ACL_DEFAULT && !inode.is_dir() {
            return if acl.is_empty() { Ok(()) } else { Err(Errno::EACCES) };
        }
        if index == ACL_ACCESS && !acl.is_empty() {
            let mode = inode.mode() & !0o777 | acl.mode_bits();
            inode.set_mode(mode);
        }
        let remove = acl.is_empty() || (index == ACL_ACCESS && acl.is_plain());
        let disk = acl.to_disk();
        match self.put_xattr(inode, index, b"", (!remove).then_some(&disk), SetMode::Any) {
            Err(Errno::ENODATA) if remove => Ok(()),
            other => other,
        }
    }

    /// Lets an access ACL follow a change of the permission bits.
    ///
    /// # Errors
    /// As [`Ext4::set_xattr`].
    pub(crate) fn chmod_acl(&mut self, inode: &mut Inode) -> Result<()> {
        let raw = match self.find_xattr(inode, ACL_ACCESS, b"") {
            Ok(raw) => raw,
            Err(Errno::ENODATA) => return Ok(()),
            Err(e) => return Err(e),
        };
        let Some(mut acl) = Acl::parse_disk(&raw) else { return Ok(()) };
        acl.set_mode_bits(inode.mode());
        self.put_xattr(inode, ACL_ACCESS, b"", Some(&acl.to_disk()), SetMode::Any)
    }

    /// Sets (or with `None` removes) an attribute. The caller writes the inode.
    pub(crate) fn put_xattr(
        &mut self,
        inode: &mut Inode,
        index: u8,
        name: &[u8],
        value: Option<&[u8]>,
        mode: SetMode,
    ) -> Result<()> {
        let mut here = self.inode_xattrs(inode)?;
        let mut block = self.block_xattrs(inode)?;
        let old_here = here.iter().position(|x| x.is(index, name)).map(|n| here.remove(n));
        let old_block = block.iter().position(|x| x.is(index, name)).map(|n| block.remove(n));
        let exists = old_here.is_some() || old_block.is_some();
        match mode {
            SetMode::Create if exists => return Err(Errno::EEXIST),
            SetMode::Replace if !exists => return Err(Errno::ENODATA),
            _ if value.is_none() && !exists => return Err(Errno::ENODATA),
            _ => {}
        }
        let (mut here_changed, mut block_changed) = (old_here.is_some(), old_block.is_some());
        if let Some(value) = value {
            let mut new = Xattr { index, name: name.to_vec(), value: Value::Here(value.to_vec()) };
            let room = self.xattr_space(inode);
            let in_block = self.sb.block_size - BLOCK_HEADER;
            let fits =
                |list: &[Xattr], new: &Xattr, room: usize| packed_len(list) + new.entry_len() + new.value_len() <= room;
            if !fits(&here, &new, room) && !fits(&block, &new, in_block) {
                if !self.sb.has(Incompat::EA_INODE) {
                    return Err(Errno::ENOSPC);
                }
                new.value = self.new_value_inode(inode, name, value)?;
                self.count_value(inode, value.len(), true)?;
            }
            if fits(&here, &new, room) {
                here.push(new);
                here_changed = true;
            } else if fits(&block, &new, in_block) {
                block.push(new);
                block_changed = true;
            } else {
                return Err(Errno::ENOSPC);
            }
        }
        for old in [old_here, old_block].into_iter().flatten() {
            if let Value::Inode { ino, size, .. } = old.value {
                self.release_value(ino)?;
                self.count_value(inode, size as usize, false)?;
            }
        }
        if here_changed {
            self.put_inode_xattrs(inode, &here)?;
        }
        if block_changed {
            self.put_block_xattrs(inode, block)?;
        }
        self.sb.compat |= Compat::EXT_ATTR;
        Ok(())
    }

    /// Bytes in the inode for attributes, without their magic number.
    fn xattr_space(&self, inode: &Inode) -> usize {
        inode.xattr_start().map_or(0, |start| inode.raw.len() - start - 4)
    }

    /// Bytes that the value of this attribute could have in the inode, beside the others there.
    ///
    /// # Errors
    /// `EUCLEAN`.
    pub(crate) fn xattr_room(&mut self, inode: &Inode, name: &(u8, &[u8])) -> Result<usize> {
        let mut list = self.inode_xattrs(inode)?;
        list.retain(|x| !x.is(name.0, name.1));
        let entry = Xattr { index: name.0, name: name.1.to_vec(), value: Value::Here(Vec::new()) };
        let used = packed_len(&list) + entry.entry_len();
        Ok(self.xattr_space(inode).saturating_sub(used) & !3)
    }

    fn put_inode_xattrs(&mut self, inode: &mut Inode, list: &[Xattr]) -> Result<()> {
        let Some(start) = inode.xattr_start() else { return Err(Errno::ENOSPC) };
        if list.is_empty() {
            inode.raw.get_mut(start..).unwrap_or(&mut []).fill(0);
            return Ok(());
        }
        put_le32(&mut inode.raw, start, MAGIC);
        pack(&mut inode.raw, start + 4, start + 4, list, false);
        Ok(())
    }

    /// Writes the attributes of the block of an inode: into the block that it has, if nobody shares it, or another one.
    fn put_block_xattrs(&mut self, inode: &mut Inode, mut list: Vec<Xattr>) -> Result<()> {
        let old = inode.xattr_block();
        if list.is_empty() {
            return self.release_block(inode, false);
        }
        list.sort_by(|a, b| (a.index, a.name.len(), &a.name).cmp(&(b.index, b.name.len(), &b.name)));
        let shared = old != 0 && le32(&self.cache.read(old, |_| Ok(()))?, 4) > 1;
        let block = if old == 0 || shared {
            let goal = self.inode_goal(inode)?;
            let block = self.take_metadata_block(goal)?;
            if !self.sb.has(Incompat::B64) && block > u64::from(u32::MAX) {
                return Err(Errno::ENOSPC);
            }
            if shared {
                // The values that the copy refers to have one more owner now.
                for x in &list {
                    if let Value::Inode { ino, .. } = x.value {
                        self.keep_value(ino)?;
                    }
                }
                self.release_block(inode, true)?;
            }
            self.count_blocks(inode, self.sb.cluster_blocks() as i64)?;
            inode.set_xattr_block(block);
            block
        } else {
            old
        };
        let mut data = vec![0; self.sb.block_size];
        put_le32(&mut data, 0, MAGIC);
        put_le32(&mut data, 4, 1);
        put_le32(&mut data, 8, 1);
        pack(&mut data, BLOCK_HEADER, 0, &list, true);
        let hash = block_hash(&data);
        put_le32(&mut data, 12, hash);
        self.seal_xattr_block(block, &mut data);
        self.cache.fresh(block).copy_from_slice(&data);
        Ok(())
    }

    fn seal_xattr_block(&self, block: u64, data: &mut [u8]) {
        if self.sb.metadata_csum() {
            let sum = self.xattr_block_checksum(block, data);
            put_le32(data, 16, sum);
        }
    }

    /// An inode does not refer to its block any more. `values` says that those in it keep an owner all the same.
    fn release_block(&mut self, inode: &mut Inode, copied: bool) -> Result<()> {
        let block = inode.xattr_block();
        if block == 0 {
            return Ok(());
        }
        let data = self.cache.read(block, |_| Ok(()))?;
        let references = le32(&data, 4);
        if references > REFERENCES_MAX {
            return Err(corrupt(block, "block of attributes with too many owners"));
        }
        if references > 1 {
            let mut data = data.to_vec();
            put_le32(&mut data, 4, references - 1);
            self.seal_xattr_block(block, &mut data);
            self.cache.change(block)?.copy_from_slice(&data);
        } else {
            debug_assert!(!copied, "a block of one owner is not copied");
            self.free_clusters(block, 1, true)?;
        }
        inode.set_xattr_block(0);
        self.count_blocks(inode, -(self.sb.cluster_blocks() as i64))
    }

    /// Frees all attributes of an inode that is being removed.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn drop_xattrs(&mut self, inode: &mut Inode) -> Result<()> {
        let mut values: Vec<u32> = Vec::new();
        let here = self.inode_xattrs(inode)?;
        let block = self.block_xattrs(inode)?;
        let shared = inode.xattr_block() != 0 && le32(&self.cache.read(inode.xattr_block(), |_| Ok(()))?, 4) > 1;
        // The values of a shared block belong to it once, not to each inode.
        let block = if shared { Vec::new() } else { block };
        for x in here.into_iter().chain(block) {
            if let Value::Inode { ino, .. } = x.value {
                values.push(ino);
            }
        }
        for ino in values {
            self.release_value(ino)?;
        }
        self.release_block(inode, false)
    }

    /// Makes an inode for a large value.
    fn new_value_inode(&mut self, owner: &Inode, name: &[u8], value: &[u8]) -> Result<Value> {
        let mut inode = self.take_inode(owner, false)?;
        inode.set_mode(kind::REG | 0o600);
        inode.set_owner(owner.uid(), owner.gid());
        inode.set_flags(flag::EXTENTS | flag::EA_INODE);
        inode.set_links(1);
        Self::new_extent_root(&mut inode);
        let sum = crc32c(self.sb.csum_seed, value);
        inode.set_size(value.len() as u64);
        inode.set_time(TimeField::Modify, self.now);
        inode.set_time(TimeField::Birth, self.now);
        // The times hold other things here: the hash, and how many attributes refer to the inode.
        put_le32(&mut inode.raw, 8, sum);
        set_references(&mut inode, 1);
        let bs = self.sb.block_size;
        let blocks = value.len().div_ceil(bs) as u64;
        let mut lblk = 0;
        while u64::from(lblk) < blocks {
            let map = self.map(&inode, lblk)?;
            let map = self.fill_hole(&mut inode, map, blocks - u64::from(lblk), false)?;
            for n in 0..map.len {
                let part = cut(value, (lblk as usize + n as usize) * bs, bs);
                let place = map.place().ok_or(Errno::EIO)? + n;
                put_bytes(self.cache.fresh(place), 0, part);
            }
            lblk += map.len as u32;
        }
        self.put_inode(&mut inode)?;
        Ok(Value::Inode { ino: inode.ino, size: value.len() as u32, hash: entry_hash(name, [sum].into_iter()) })
    }

    /// The blocks of a value count as those of its owner.
    fn count_value(&self, owner: &mut Inode, size: usize, more: bool) -> Result<()> {
        let cluster = self.sb.block_size << self.sb.cluster_bits;
        let blocks = (size.next_multiple_of(cluster) / self.sb.block_size) as i64;
        self.count_blocks(owner, if more { blocks } else { -blocks })
    }

    /// Counts the blocks of all values of an inode that are in inodes of their own.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn count_values(&mut self, inode: &mut Inode) -> Result<()> {
        let all: Vec<Xattr> = self.inode_xattrs(inode)?.into_iter().chain(self.block_xattrs(inode)?).collect();
        for x in all {
            if let Value::Inode { size, .. } = x.value {
                self.count_value(inode, size as usize, true)?;
            }
        }
        Ok(())
    }

    fn keep_value(&mut self, ino: u32) -> Result<()> {
        let mut inode = self.inode(ino)?;
        let references = references(&inode) + 1;
        set_references(&mut inode, references);
        self.put_inode(&mut inode)
    }

    fn release_value(&mut self, ino: u32) -> Result<()> {
        let mut inode = self.inode(ino)?;
        if !inode.has(flag::EA_INODE) {
            return Err(corrupt(0, format_args!("inode {ino} does not hold a value")));
        }
        let references = references(&inode).saturating_sub(1);
        set_references(&mut inode, references);
        if references > 0 {
            return self.put_inode(&mut inode);
        }
        inode.set_links(0);
        if !self.unmap(&mut inode, 0, 1 << 32, true)? {
            return Err(corrupt(0, format_args!("inode {ino} holds a value in too many pieces")));
        }
        inode.set_size(0);
        inode.set_dtime(self.now.sec as u32);
        self.put_inode(&mut inode)?;
        self.free_inode(ino, false)
    }

    /// Puts content into the inode, and sets its flags; not its size.
    ///
    /// # Errors
    /// `ENOSPC` if it does not fit.
    pub(crate) fn put_inline(&mut self, inode: &mut Inode, content: &[u8]) -> Result<()> {
        let rest = cut(content, 60, content.len());
        let mut list = self.inode_xattrs(inode)?;
        list.retain(|x| !x.is(INLINE.0, INLINE.1));
        list.push(Xattr { index: INLINE.0, name: INLINE.1.to_vec(), value: Value::Here(rest.to_vec()) });
        if packed_len(&list) > self.xattr_space(inode) {
            return Err(Errno::ENOSPC);
        }
        let mut block = cut(content, 0, 60).to_vec();
        block.resize(60, 0);
        inode.set_block(&block);
        inode.set_flags(inode.flags() & !flag::EXTENTS | flag::INLINE_DATA);
        self.put_inode_xattrs(inode, &list)
    }

    /// Makes an inode with content in it one with blocks, of which it has none.
    ///
    /// # Errors
    /// `EUCLEAN`.
    pub(crate) fn drop_inline(&mut self, inode: &mut Inode) -> Result<()> {
        let mut list = self.inode_xattrs(inode)?;
        list.retain(|x| !x.is(INLINE.0, INLINE.1));
        self.put_inode_xattrs(inode, &list)?;
        inode.set_flags(inode.flags() & !flag::INLINE_DATA);
        self.init_map(inode);
        Ok(())
    }

    /// An empty map of blocks, of the form that the file system asks for.
    pub(crate) fn init_map(&mut self, inode: &mut Inode) {
        if self.sb.has(Incompat::EXTENTS) {
            inode.set_flags(inode.flags() | flag::EXTENTS);
            Self::new_extent_root(inode);
        } else {
            inode.set_block(&[0; 60]);
        }
    }
}

/// How many attributes refer to the inode of a value: in the seconds of `ctime` and in `i_version`.
fn references(inode: &Inode) -> u64 {
    u64::from(le32(&inode.raw, 0xc)) << 32 | u64::from(le32(&inode.raw, 0x24))
}

fn set_references(inode: &mut Inode, count: u64) {
    put_le32(&mut inode.raw, 0xc, (count >> 32) as u32);
    put_le32(&mut inode.raw, 0x24, count as u32);
}

/// Hash of a block of attributes, by which Linux finds equal ones; 0 if it is not to be shared.
fn block_hash(data: &[u8]) -> u32 {
    let (mut at, mut hash) = (BLOCK_HEADER, 0u32);
    while le32(data, at) != 0 {
        let entry = le32(data, at + 12);
        if entry == 0 {
            return 0;
        }
        hash = hash.rotate_left(16) ^ entry;
        at += (super::ENTRY_HEADER + usize::from(crate::bytes::u8_at(data, at))).next_multiple_of(4);
    }
    hash
}
