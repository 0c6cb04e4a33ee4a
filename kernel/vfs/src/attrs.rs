//! Changing attributes: `chmod`, `chown`, `utimensat`, `truncate`.
//!
//! Beside: `xattr` (ACLs follow the mode, and the mode follows them). Below: [`Node::change`](crate::Node::change).

use crate::acl;
use crate::cred::{Cred, WRITE};
use crate::fs::{Attr, ChangeAttr, FileFlags, InodeKind, Timestamp, XattrSet};
use crate::mount::Place;
use crate::vfs::{is_append_only, is_immutable, permission, Vfs};
use crate::walk::Context;
use lkl_abi::fs::{FS_APPEND_FL, FS_IMMUTABLE_FL, FS_JOURNAL_DATA_FL};
use lkl_abi::stat::{S_ISGID, S_ISUID};
use lkl_abi::{Errno, Result};

const S_IXGRP: u32 = 0o010;

/// What `utimensat` sets a time to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetTime {
    /// `UTIME_NOW`
    Now,
    /// `UTIME_OMIT`: it stays.
    Omit,
    /// This one.
    At(Timestamp),
}

/// May its attributes be changed at all?
fn check_changeable(attr: &Attr) -> Result<()> {
    if is_immutable(attr) || is_append_only(attr) {
        return Err(Errno::EPERM);
    }
    Ok(())
}

/// The mode without the set-group-ID bit, if one who is not in the group may not set it.
pub(crate) fn settable_mode(cred: &Cred, mode: u32, gid: u32) -> u32 {
    if mode & S_ISGID != 0 && !cred.is_root() && !cred.in_group(gid) {
        mode & !S_ISGID
    } else {
        mode
    }
}

impl Vfs {
    /// Sets the permission bits (`man 2 chmod`), and with them those of the access ACL.
    ///
    /// # Errors
    /// `EPERM` if it is not the owner, or the file may not be changed; `EROFS`; `EOPNOTSUPP` for a symbolic link; `EIO`, `ENOSPC`.
    pub fn chmod(&self, ctx: &Context<'_>, place: &Place, mode: u32) -> Result<()> {
        let _access = place.mount.write_access()?;
        let node = place.node();
        let attr = node.inode().attr();
        check_changeable(&attr)?;
        if !ctx.cred.owns(&attr) {
            return Err(Errno::EPERM);
        }
        if attr.kind == InodeKind::Symlink {
            return Err(Errno::EOPNOTSUPP);
        }
        let mode = settable_mode(ctx.cred, mode & 0o7777, attr.gid);
        node.change(&ChangeAttr { mode: Some(mode), ctime: Some(self.env().now()), ..ChangeAttr::default() })?;
        match node.get_xattr(acl::ACCESS) {
            Ok(value) => {
                let entries = acl::with_mode(acl::parse(&value)?, mode);
                node.set_xattr(acl::ACCESS, &acl::to_bytes(&entries), XattrSet::Any)
            }
            Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Sets owner and group, each that is given (`man 2 chown`). Of what is no directory the set-user-ID and set-group-ID bits go.
    ///
    /// # Errors
    /// `EPERM`, `EROFS`, `EOVERFLOW`, `EIO`, `ENOSPC`.
    pub fn chown(&self, ctx: &Context<'_>, place: &Place, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let _access = place.mount.write_access()?;
        let node = place.node();
        let attr = node.inode().attr();
        if uid.is_some() || gid.is_some() {
            check_changeable(&attr)?;
        }
        let cred = ctx.cred;
        let owns = cred.uid == attr.uid;
        let uid_ok = uid.is_none_or(|uid| cred.is_root() || owns && uid == attr.uid);
        let gid_ok = gid.is_none_or(|gid| cred.is_root() || owns && (gid == attr.gid || cred.in_group(gid)));
        if !uid_ok || !gid_ok {
            return Err(Errno::EPERM);
        }
        let mut mode = attr.mode;
        if attr.kind != InodeKind::Directory {
            mode &= !S_ISUID;
            if mode & S_IXGRP != 0 || !cred.is_root() && !cred.in_group(attr.gid) {
                mode &= !S_ISGID;
            }
        }
        if mode != attr.mode && !cred.owns(&attr) {
            return Err(Errno::EPERM);
        }
        if attr.kind != InodeKind::Directory {
            node.drop_capabilities()?;
        }
        node.change(&ChangeAttr {
            mode: (mode != attr.mode).then_some(mode),
            uid,
            gid,
            ctime: Some(self.env().now()),
            ..ChangeAttr::default()
        })
    }

    /// Sets the flags that `chattr` shows (`man 2 ioctl_iflags`).
    ///
    /// # Errors
    /// `EPERM` if it is not the owner, or not root where it is about what may not be changed, or only grow; `EROFS`; those of
    /// [`Inode::set_flags`](crate::Inode::set_flags).
    pub fn set_flags(&self, ctx: &Context<'_>, place: &Place, flags: &FileFlags) -> Result<()> {
        let _access = place.mount.write_access()?;
        let node = place.node();
        if !ctx.cred.owns(&node.inode().attr()) {
            return Err(Errno::EPERM);
        }
        let old = node.inode().flags()?;
        let roots = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_JOURNAL_DATA_FL;
        if (old.flags ^ flags.flags) & roots != 0 && !ctx.cred.is_root() {
            return Err(Errno::EPERM);
        }
        node.set_flags(flags)
    }

    /// Sets the number that tells a file from others of its number (`FS_IOC_SETVERSION`).
    ///
    /// # Errors
    /// `EPERM` if it is not the owner; `EROFS`; those of [`Inode::set_generation`](crate::Inode::set_generation).
    pub fn set_generation(&self, ctx: &Context<'_>, place: &Place, generation: u32) -> Result<()> {
        if !ctx.cred.owns(&place.node().inode().attr()) {
            return Err(Errno::EPERM);
        }
        let _access = place.mount.write_access()?;
        place.node().set_generation(generation)
    }

    /// Sets the times of the last access and the last change of the data (`man 2 utimensat`).
    ///
    /// # Errors
    /// `EACCES` if one who is not the owner and may not write sets both to now, `EPERM` if he sets anything else; `EROFS`, `EIO`,
    /// `ENOSPC`.
    pub fn utimens(&self, ctx: &Context<'_>, place: &Place, times: [SetTime; 2]) -> Result<()> {
        let [atime, mtime] = times;
        if times == [SetTime::Omit; 2] {
            return Ok(());
        }
        let _access = place.mount.write_access()?;
        let node = place.node();
        let attr = node.inode().attr();
        if times == [SetTime::Now; 2] {
            if is_immutable(&attr) {
                return Err(Errno::EPERM);
            }
            if !ctx.cred.owns(&attr) {
                permission(ctx.cred, node, WRITE)?;
            }
        } else {
            check_changeable(&attr)?;
            if !ctx.cred.owns(&attr) {
                return Err(Errno::EPERM);
            }
        }
        let now = self.env().now();
        let set = |time| match time {
            SetTime::Now => Some(now),
            SetTime::Omit => None,
            SetTime::At(time) => Some(time),
        };
        node.change(&ChangeAttr { atime: set(atime), mtime: set(mtime), ctime: Some(now), ..ChangeAttr::default() })
    }

    /// Sets the length of a file that is not open (`man 2 truncate`).
    ///
    /// # Errors
    /// `EISDIR`, `EINVAL` for what is no regular file; `EACCES`, `EPERM`, `EROFS`, `EFBIG`, `ENOSPC`, `EIO`.
    pub fn truncate(&self, ctx: &Context<'_>, place: &Place, size: u64) -> Result<()> {
        match place.kind() {
            InodeKind::Regular => {}
            InodeKind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        let _access = place.mount.write_access()?;
        permission(ctx.cred, place.node(), WRITE)?;
        if is_append_only(&place.node().inode().attr()) {
            return Err(Errno::EPERM);
        }
        place.node().drop_privileges(Some(ctx.cred))?;
        place.node().truncate(size)
    }
}
