//! Small files and directories whose content is in the inode: 60 bytes where the block map would be, the rest in an attribute
//! (`system.data`).

use crate::error::corrupt;
use crate::inode::Inode;
use crate::xattr::{Value, INLINE};
use crate::Ext4;
use lkl_abi::Result;

/// Bytes where the block map would be.
pub(crate) const INLINE_MIN: usize = 60;

impl Ext4 {
    /// The bytes that an inode holds, which may be more than its size says; of a regular file also fewer, as mke2fs makes files that are a
    /// hole: the rest reads as zeroes.
    ///
    /// # Errors
    /// `EUCLEAN` if the attribute is missing or its value is elsewhere.
    pub(crate) fn inline_data(&mut self, inode: &Inode) -> Result<Vec<u8>> {
        let list = self.inode_xattrs(inode)?;
        let rest = list.into_iter().find(|x| (x.index, x.name.as_slice()) == INLINE);
        let Some(Value::Here(rest)) = rest.map(|x| x.value) else {
            let block = self.inode_place(inode.ino)?.0;
            return Err(corrupt(
                block,
                format_args!("inode {} says that its data is in it, but has no attribute for them", inode.ino),
            ));
        };
        let mut data = inode.block().to_vec();
        data.extend(rest);
        if inode.size() > data.len() as u64 && !inode.is_reg() {
            let block = self.inode_place(inode.ino)?.0;
            return Err(corrupt(block, format_args!("inode {} has less data in it than its size says", inode.ino)));
        }
        Ok(data)
    }
}
