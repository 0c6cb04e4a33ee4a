//! Extended attributes: in the inode past its fields, in one block of its own, and large values in inodes of their own.
//!
//! Here: the format, and reading. `change` sets and removes them; `acl` translates POSIX ACLs.

pub(crate) mod acl;
pub(crate) mod change;
use crate::bytes::{cut, le16, le32, put_bytes, put_le16, put_le32, put_u8, u8_at};
use crate::csum::crc32c;
use crate::error::corrupt;
use crate::features::Incompat;
use crate::inode::{flag, Inode};
use crate::Ext4;
use lkl_abi::{Errno, Result};

const MAGIC: u32 = 0xea02_0000;
/// Bytes of the header of a block of attributes.
const BLOCK_HEADER: usize = 32;
const ENTRY_HEADER: usize = 16;
/// More than that may refer to a block only by damage (`EXT4_XATTR_REFCOUNT_MAX`).
const REFERENCES_MAX: u32 = 1024;
/// Largest value of an attribute, in bytes (`XATTR_SIZE_MAX`).
pub const VALUE_MAX: usize = 65536;

/// Prefixes of names, as entries number them.
const PREFIXES: [(u8, &str); 7] = [
    (1, "user."),
    (2, "system.posix_acl_access"),
    (3, "system.posix_acl_default"),
    (4, "trusted."),
    (6, "security."),
    (7, "system."),
    (8, "system.richacl"),
];
/// Index and name of what holds the rest of inline data.
pub(crate) const INLINE: (u8, &[u8]) = (7, b"data");
/// Index of an access ACL.
pub(crate) const ACL_ACCESS: u8 = 2;
/// Index of a default ACL.
pub(crate) const ACL_DEFAULT: u8 = 3;

/// A value, or where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    Here(Vec<u8>),
    /// In an inode of its own, of this size, with the hash that its entry has.
    Inode {
        ino: u32,
        size: u32,
        hash: u32,
    },
}

/// An attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Xattr {
    pub(crate) index: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) value: Value,
}

impl Xattr {
    fn is(&self, index: u8, name: &[u8]) -> bool {
        self.index == index && self.name == name
    }

    /// Bytes that its entry takes.
    fn entry_len(&self) -> usize {
        (ENTRY_HEADER + self.name.len()).next_multiple_of(4)
    }

    /// Bytes that its value takes beside the entries.
    fn value_len(&self) -> usize {
        match &self.value {
            Value::Here(value) => value.len().next_multiple_of(4),
            Value::Inode { .. } => 0,
        }
    }
}

/// Splits a name of an attribute into its prefix's number and the rest.
///
/// # Errors
/// `EOPNOTSUPP` if there is no such prefix, or nothing follows it.
pub(crate) fn split_name(name: &[u8]) -> Result<(u8, &[u8])> {
    for (index, prefix) in PREFIXES {
        if let Some(rest) = name.strip_prefix(prefix.as_bytes()) {
            let whole = !prefix.ends_with('.');
            if whole == rest.is_empty() {
                return Ok((index, rest));
            }
            if rest.is_empty() {
                return Err(Errno::EINVAL);
            }
        }
    }
    Err(Errno::EOPNOTSUPP)
}

fn full_name(index: u8, name: &[u8]) -> Option<Vec<u8>> {
    let prefix = PREFIXES.iter().find(|p| p.0 == index)?.1;
    let hidden = (index, name) == INLINE;
    (!hidden).then(|| [prefix.as_bytes(), name].concat())
}

/// Reads the attributes of a region whose entries start at `from` and whose values count from `base`.
fn parse(data: &[u8], from: usize, base: usize, end: usize) -> core::result::Result<Vec<Xattr>, &'static str> {
    let mut list = Vec::new();
    let mut at = from;
    loop {
        if at + 4 > end {
            return Err("attributes without an end");
        }
        if le32(data, at) == 0 {
            break;
        }
        let name_len = usize::from(u8_at(data, at));
        let next = at + (ENTRY_HEADER + name_len).next_multiple_of(4);
        if next + 4 > end {
            return Err("attribute over the end of its place");
        }
        list.push((at, name_len));
        at = next;
    }
    let entries_end = at + 4;
    let decode = |&(at, name_len): &(usize, usize)| {
        let (offset, ino, size) = (usize::from(le16(data, at + 2)), le32(data, at + 4), le32(data, at + 8));
        let value = if ino != 0 {
            if size as usize > VALUE_MAX {
                return Err("attribute larger than can be");
            }
            Value::Inode { ino, size, hash: le32(data, at + 12) }
        } else if size == 0 {
            Value::Here(Vec::new())
        } else {
            let place = base + offset;
            if place < entries_end || place.saturating_add(size as usize) > end {
                return Err("value of an attribute outside of its place");
            }
            Value::Here(cut(data, place, size as usize).to_vec())
        };
        Ok(Xattr { index: u8_at(data, at + 1), name: cut(data, at + ENTRY_HEADER, name_len).to_vec(), value })
    };
    list.iter().map(decode).collect()
}

/// Hash of an entry: of its name, then of the words of its value (`ext4_xattr_hash_entry`).
fn entry_hash(name: &[u8], words: impl Iterator<Item = u32>) -> u32 {
    let hash = name.iter().fold(0u32, |h, &b| h.rotate_left(5) ^ u32::from(b));
    words.fold(hash, |h, word| h.rotate_left(16) ^ word)
}

fn value_words(value: &[u8]) -> impl Iterator<Item = u32> + '_ {
    value.chunks(4).map(|chunk| {
        let mut word = [0; 4];
        put_bytes(&mut word, 0, chunk);
        u32::from_le_bytes(word)
    })
}

/// Bytes that attributes take in a region, with the zero at the end of their entries.
fn packed_len(list: &[Xattr]) -> usize {
    4 + list.iter().map(|x| x.entry_len() + x.value_len()).sum::<usize>()
}

/// Writes attributes into a region: entries from `from` on, values from its end backwards.
fn pack(data: &mut [u8], from: usize, base: usize, list: &[Xattr], hashes: bool) {
    let end = data.len();
    data.get_mut(from..).unwrap_or(&mut []).fill(0);
    let (mut at, mut place) = (from, end);
    for x in list {
        put_u8(data, at, x.name.len() as u8);
        put_u8(data, at + 1, x.index);
        put_bytes(data, at + ENTRY_HEADER, &x.name);
        let hash = match &x.value {
            Value::Here(value) => {
                if !value.is_empty() {
                    place -= x.value_len();
                    put_le16(data, at + 2, (place - base) as u16);
                    put_bytes(data, place, value);
                }
                put_le32(data, at + 8, value.len() as u32);
                if hashes {
                    entry_hash(&x.name, value_words(value))
                } else {
                    0
                }
            }
            Value::Inode { ino, size, hash } => {
                put_le32(data, at + 4, *ino);
                put_le32(data, at + 8, *size);
                *hash
            }
        };
        put_le32(data, at + 12, hash);
        at += x.entry_len();
    }
}

impl Ext4 {
    /// The attributes in an inode.
    ///
    /// # Errors
    /// `EUCLEAN`.
    pub(crate) fn inode_xattrs(&mut self, inode: &Inode) -> Result<Vec<Xattr>> {
        let Some(start) = inode.xattr_start() else { return Ok(Vec::new()) };
        if le32(&inode.raw, start) != MAGIC {
            return Ok(Vec::new());
        }
        match parse(&inode.raw, start + 4, start + 4, inode.raw.len()) {
            Ok(list) => Ok(list),
            Err(what) => {
                let block = self.inode_place(inode.ino)?.0;
                Err(corrupt(block, format_args!("inode {}: {what}", inode.ino)))
            }
        }
    }

    fn xattr_block_checksum(&self, block: u64, data: &[u8]) -> u32 {
        let sum = crc32c(crc32c(self.sb.csum_seed, &block.to_le_bytes()), cut(data, 0, 16));
        crc32c(crc32c(sum, &[0; 4]), cut(data, 20, data.len()))
    }

    /// The attributes in the block of an inode.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn block_xattrs(&mut self, inode: &Inode) -> Result<Vec<Xattr>> {
        let block = inode.xattr_block();
        if block == 0 {
            return Ok(Vec::new());
        }
        let bad = |what: &str| corrupt(block, format_args!("attributes of inode {}: {what}", inode.ino));
        if !self.sb.valid_blocks(block, 1) {
            return Err(bad("no such block"));
        }
        let data = self.cache.read(block, |_| Ok(()))?;
        if le32(&data, 0) != MAGIC || le32(&data, 8) != 1 || le32(&data, 4) > REFERENCES_MAX {
            return Err(bad("no block of attributes"));
        }
        if self.sb.metadata_csum() && self.xattr_block_checksum(block, &data) != le32(&data, 16) {
            return Err(bad("wrong checksum"));
        }
        parse(&data, BLOCK_HEADER, 0, data.len()).map_err(bad)
    }

    /// The value of an attribute.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn xattr_value(&mut self, owner: &Inode, xattr: &Xattr) -> Result<Vec<u8>> {
        match &xattr.value {
            Value::Here(value) => Ok(value.clone()),
            &Value::Inode { ino, size, hash } => {
                let bad =
                    |what: &str| corrupt(0, format_args!("inode {}: attribute in inode {ino}: {what}", owner.ino));
                if !self.sb.has(Incompat::EA_INODE) || ino == owner.ino {
                    return Err(bad("not possible"));
                }
                let inode = self.inode(ino)?;
                if !inode.has(flag::EA_INODE)
                    || !inode.is_reg()
                    || inode.size() != u64::from(size)
                    || inode.has(flag::INLINE_DATA)
                {
                    return Err(bad("no inode of a value"));
                }
                // Its blocks are journalled: the newest content is in the cache.
                let mut value = Vec::with_capacity(size as usize);
                while value.len() < size as usize {
                    let place = self.metadata_block(&inode, (value.len() / self.sb.block_size) as u32)?;
                    let data = self.cache.read(place, |_| Ok(()))?;
                    value.extend_from_slice(cut(&data, 0, size as usize - value.len()));
                }
                // Inodes that Lustre made have no hash.
                let sum = crc32c(self.sb.csum_seed, &value);
                let expected = entry_hash(&xattr.name, [sum].into_iter());
                if le32(&inode.raw, 8) == sum && expected != hash {
                    let signed =
                        xattr.name.iter().fold(0u32, |h, &b| h.rotate_left(5) ^ b as i8 as u32).rotate_left(16) ^ sum;
                    if signed != hash {
                        return Err(bad("wrong hash"));
                    }
                }
                Ok(value)
            }
        }
    }

    /// The value of an attribute of an inode, by its full name.
    ///
    /// # Errors
    /// `ENODATA` if there is none; `EOPNOTSUPP` if there cannot be one of that name; `EIO`, `EUCLEAN`.
    pub(crate) fn find_xattr(&mut self, inode: &Inode, index: u8, name: &[u8]) -> Result<Vec<u8>> {
        let found = self.inode_xattrs(inode)?.into_iter().find(|x| x.is(index, name));
        let found = match found {
            Some(x) => Some(x),
            None => self.block_xattrs(inode)?.into_iter().find(|x| x.is(index, name)),
        };
        self.xattr_value(inode, &found.ok_or(Errno::ENODATA)?)
    }

    /// The value of an attribute, by its full name; ACLs as programs see them.
    ///
    /// # Errors
    /// As [`Ext4::find_xattr`].
    pub(crate) fn get_xattr_of(&mut self, inode: &Inode, name: &[u8]) -> Result<Vec<u8>> {
        let (index, rest) = split_name(name)?;
        if (index, rest) == INLINE {
            return Err(Errno::ENODATA);
        }
        let value = self.find_xattr(inode, index, rest)?;
        if index == ACL_ACCESS || index == ACL_DEFAULT {
            return acl::from_disk(&value)
                .ok_or_else(|| corrupt(inode.xattr_block(), format_args!("inode {}: bad ACL", inode.ino)));
        }
        Ok(value)
    }

    /// The full names of all attributes.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn xattr_names(&mut self, inode: &Inode) -> Result<Vec<Vec<u8>>> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let all = self.inode_xattrs(inode)?.into_iter().chain(self.block_xattrs(inode)?);
        for name in all.filter_map(|x| full_name(x.index, &x.name)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }
}
