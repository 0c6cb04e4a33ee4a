//! Regular files made and read as a whole, for programs that copy trees: no open file, no page, no name in the cache comes of it.
//!
//! Only root does that, and only where it is the same as doing it step by step; whoever is told `EOPNOTSUPP` does the latter.
//!
//! Beside: `names`, `open`. Below: [`Inode::create_whole`](crate::Inode::create_whole), [`Inode::read_whole`](crate::Inode::read_whole).

use crate::cred::Cred;
use crate::fs::{InodeKind, NewContent, NewInode, WholeFile};
use crate::mount::Place;
use crate::names::may_create;
use crate::vfs::Vfs;
use core::sync::atomic::Ordering;
use lkl_abi::limits::NAME_MAX;
use lkl_abi::{Errno, Result};

/// A regular file to be made as it is here, whatever `umask` and the directory say.
#[derive(Clone, Debug)]
pub struct NewWhole<'a> {
    /// `0o7777`
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes: none that is an ACL.
    pub xattrs: &'a [(&'a [u8], &'a [u8])],
    /// What is in it, and its times.
    pub content: NewContent<'a>,
}

/// Is this something that only who walks understands?
fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && !matches!(name, b"." | b"..")
        && !name.iter().any(|b| matches!(b, 0 | b'/'))
}

impl Vfs {
    /// Makes a regular file with all that is in it, or nothing.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be made step by step; `EEXIST`, `ENOENT`, `ENOTDIR`, `EPERM`, `EROFS`, `ENOSPC`, `EFBIG`, `EIO`, `EUCLEAN`.
    pub fn make_whole(&self, cred: &Cred, dir: &Place, name: &[u8], file: &NewWhole<'_>) -> Result<()> {
        if !cred.is_root() || !is_name(name) || !dir.is_dir() || dir.mount.live().synchronous.load(Ordering::Relaxed) {
            return Err(Errno::EOPNOTSUPP);
        }
        let sb = dir.mount.sb();
        if file.content.data.len() as u64 > sb.size_max() || file.xattrs.iter().any(|x| x.0.starts_with(b"system.")) {
            return Err(Errno::EOPNOTSUPP);
        }
        let access = dir.mount.write_access();
        let _names = sb.names().write();
        let known = self.cache().find(&dir.dentry, name);
        if let Some(Some(_)) = known {
            return Err(Errno::EEXIST);
        }
        let _access = access?;
        may_create(cred, &dir.dentry)?;
        let (mode, uid, gid) = (file.mode & 0o7777, file.uid, file.gid);
        let (rdev, now) = ((0, 0), self.env().now());
        let new = NewInode { kind: InodeKind::Regular, mode, uid, gid, rdev, target: &[], xattrs: file.xattrs, now };
        dir.node().inode().create_whole(name, &new, &file.content)?;
        if known.is_some() {
            self.cache().forget(&dir.dentry, name);
        }
        Ok(())
    }

    /// The file of a name, with what is in it if that is at most `most` bytes. A symbolic link is not followed.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be read step by step; `ENOENT`, `EIO`, `EUCLEAN`.
    pub fn read_whole(&self, cred: &Cred, dir: &Place, name: &[u8], most: usize) -> Result<WholeFile> {
        let sb = dir.mount.sb();
        if !cred.is_root() || !is_name(name) || !dir.is_dir() || dir.dentry.is_gone() || !sb.read_only() {
            return Err(Errno::EOPNOTSUPP);
        }
        let _names = sb.names().read();
        match self.cache().find(&dir.dentry, name) {
            Some(None) => return Err(Errno::ENOENT),
            // Another file system may be on it.
            Some(Some(known)) if known.is_mount_point() => return Err(Errno::EOPNOTSUPP),
            _ => {}
        }
        dir.node().inode().read_whole(name, most)
    }
}
