//! Making and removing names: `mkdir`, `mknod`, `symlink`, `link`, `unlink`, `rmdir`.
//!
//! Each walks to the directory first, then takes the lock of names of its file system exclusively, and looks the name up again.
//!
//! Beside: `rename`, `open` (which makes regular files). Below: `walk`, `dentry`, [`Inode`](crate::Inode).

use crate::acl;
use crate::cred::{Cred, EXEC, WRITE};
use crate::dentry::Dentry;
use crate::fs::{Attr, InodeKind, NewInode};
use crate::mount::Place;
use crate::node::Node;
use crate::vfs::{is_append_only, is_immutable, permission, Vfs};
use crate::walk::{Context, Last, WalkFlags, Walker};
use lkl_abi::fcntl::{AT_EMPTY_PATH, AT_SYMLINK_FOLLOW};
use lkl_abi::limits::PATH_MAX;
use lkl_abi::stat::{S_IFMT, S_ISGID, S_ISVTX};
use lkl_abi::{Errno, Result};
use std::sync::Arc;

const S_IXGRP: u32 = 0o010;

/// Where a path ends, and by what name.
pub(crate) struct Ending {
    pub(crate) dir: Place,
    pub(crate) last: Last,
    pub(crate) name: Vec<u8>,
    /// A slash follows the name.
    pub(crate) slash: bool,
}

/// A file to be made.
pub(crate) struct Making<'a> {
    pub(crate) kind: InodeKind,
    /// Before `umask`.
    pub(crate) mode: u32,
    pub(crate) rdev: (u32, u32),
    pub(crate) target: &'a [u8],
}

impl Making<'_> {
    pub(crate) fn new(kind: InodeKind, mode: u32) -> Self {
        Self { kind, mode, rdev: (0, 0), target: &[] }
    }
}

/// May a name be made in a directory?
pub(crate) fn may_create(cred: &Cred, dir: &Dentry) -> Result<()> {
    if dir.is_gone() {
        return Err(Errno::ENOENT);
    }
    permission(cred, dir.node(), WRITE | EXEC)
}

/// May a name be removed from a directory, as that of a directory or of anything else?
pub(crate) fn may_delete(cred: &Cred, dir: &Dentry, victim: &Dentry, as_dir: bool) -> Result<()> {
    permission(cred, dir.node(), WRITE | EXEC)?;
    let (dir_attr, attr) = (dir.node().inode().attr(), victim.node().inode().attr());
    if is_append_only(&dir_attr) || is_append_only(&attr) || is_immutable(&attr) || is_sticky(cred, &dir_attr, &attr) {
        return Err(Errno::EPERM);
    }
    match (as_dir, attr.kind == InodeKind::Directory) {
        (true, false) => return Err(Errno::ENOTDIR),
        (false, true) => return Err(Errno::EISDIR),
        _ => {}
    }
    if dir.is_gone() {
        return Err(Errno::ENOENT);
    }
    Ok(())
}

/// Does the sticky bit of a directory keep a file in it from being removed?
fn is_sticky(cred: &Cred, dir: &Attr, attr: &Attr) -> bool {
    dir.mode & S_ISVTX != 0 && !cred.is_root() && cred.uid != attr.uid && cred.uid != dir.uid
}

impl Vfs {
    /// Walks to the directory that the last component of `path` is in.
    pub(crate) fn ending(&self, ctx: &Context<'_>, base: Option<&Place>, path: &[u8]) -> Result<Ending> {
        let mut walker = Walker::new(self, ctx, base, path, WalkFlags::empty())?;
        let last = walker.go_to_last()?;
        let (name, slash) = (walker.name().to_vec(), walker.slash);
        Ok(Ending { dir: walker.at, last, name, slash })
    }

    /// The same for a name that is to be made.
    ///
    /// # Errors
    /// `EEXIST` if it cannot be one.
    fn new_name(&self, ctx: &Context<'_>, base: Option<&Place>, path: &[u8]) -> Result<Ending> {
        let ending = self.ending(ctx, base, path)?;
        if ending.last != Last::Name {
            return Err(Errno::EEXIST);
        }
        Ok(ending)
    }

    /// Makes a name at an ending, by `make`, which is called with the lock of names held, and leave to write.
    fn make_at<T>(&self, to: &Ending, as_dir: bool, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let access = to.dir.mount.write_access();
        let _names = to.dir.mount.sb().names().write();
        if self.lookup_locked(&to.dir.dentry, &to.name)?.is_some() {
            return Err(Errno::EEXIST);
        }
        if to.slash && !as_dir {
            return Err(Errno::ENOENT);
        }
        let _access = access?;
        make()
    }

    /// Makes a file, with the lock of names held and leave to write, where there is none.
    pub(crate) fn make(&self, ctx: &Context<'_>, dir: &Place, name: &[u8], making: &Making<'_>) -> Result<Arc<Dentry>> {
        let sb = dir.mount.sb();
        let mut made = None;
        self.with_new(ctx, dir.node(), making, &mut |new| {
            made = Some(dir.node().inode().create(name, new)?);
            Ok(())
        })?;
        let node = made.map(|ino| sb.node(ino)).transpose()?;
        self.cache().insert(&dir.dentry, name, node).ok_or(Errno::EIO)
    }

    /// Calls `create` with what a new file in `dir` is to be: its owner, its mode, the ACLs that it inherits.
    pub(crate) fn with_new(
        &self,
        ctx: &Context<'_>,
        dir: &Node,
        making: &Making<'_>,
        create: &mut dyn FnMut(&NewInode<'_>) -> Result<()>,
    ) -> Result<()> {
        let inode = dir.inode();
        let attr = inode.attr();
        let is_dir = making.kind == InodeKind::Directory;
        let (mut mode, mut gid) = (making.mode, ctx.cred.gid);
        if attr.mode & S_ISGID != 0 {
            gid = attr.gid;
            if is_dir {
                mode |= S_ISGID;
            } else if mode & S_IXGRP != 0 && !ctx.cred.is_root() && !ctx.cred.in_group(gid) {
                mode &= !S_ISGID;
            }
        }
        let mut default = Vec::new();
        if making.kind != InodeKind::Symlink {
            default = match inode.get_xattr(acl::DEFAULT) {
                Ok(value) => value,
                Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Vec::new(),
                Err(e) => return Err(e),
            };
        }
        let entries = if default.is_empty() { Vec::new() } else { acl::parse(&default)? };
        let mut access = Vec::new();
        if !entries.is_empty() {
            let (inherited, bits) = acl::inherit(entries, mode);
            mode = bits;
            if !acl::to_mode(&inherited).1 {
                access = acl::to_bytes(&inherited);
            }
        } else if making.kind != InodeKind::Symlink {
            mode &= !ctx.umask;
        }
        let mut xattrs: Vec<(&[u8], &[u8])> = Vec::new();
        if !access.is_empty() {
            xattrs.push((acl::ACCESS, &access));
        }
        if is_dir && !default.is_empty() {
            xattrs.push((acl::DEFAULT, &default));
        }
        create(&NewInode {
            kind: making.kind,
            mode,
            uid: ctx.cred.uid,
            gid,
            rdev: making.rdev,
            target: making.target,
            xattrs: &xattrs,
            now: self.env().now(),
        })
    }

    /// Makes a directory (`man 2 mkdir`).
    ///
    /// # Errors
    /// Those of the walk; `EEXIST`, `EACCES`, `EROFS`, `EMLINK`, `ENOSPC`, `EPERM`.
    pub fn mkdir(&self, ctx: &Context<'_>, base: Option<&Place>, path: &[u8], mode: u32) -> Result<()> {
        let to = self.new_name(ctx, base, path)?;
        self.make_at(&to, true, || {
            may_create(ctx.cred, &to.dir.dentry)?;
            let link_max = to.dir.mount.live().link_max();
            if link_max > 0 && to.dir.node().inode().attr().nlink >= link_max {
                return Err(Errno::EMLINK);
            }
            self.make(ctx, &to.dir, &to.name, &Making::new(InodeKind::Directory, mode & 0o1777)).map(drop)
        })
    }

    /// Makes a file that is no directory and no symbolic link; without a type in `mode`, a regular one (`man 2 mknod`).
    ///
    /// # Errors
    /// As [`Vfs::mkdir`]; `EPERM` for a directory, and for a device if it is not root who makes it (but 0:0, a whiteout); `EINVAL`.
    pub fn mknod(
        &self,
        ctx: &Context<'_>,
        base: Option<&Place>,
        path: &[u8],
        mode: u32,
        rdev: (u32, u32),
    ) -> Result<()> {
        let kind = match InodeKind::from_mode(mode) {
            None if mode & S_IFMT == 0 => InodeKind::Regular,
            Some(InodeKind::Directory) => return Err(Errno::EPERM),
            None | Some(InodeKind::Symlink) => return Err(Errno::EINVAL),
            Some(kind) => kind,
        };
        let to = self.new_name(ctx, base, path)?;
        self.make_at(&to, false, || {
            may_create(ctx.cred, &to.dir.dentry)?;
            let is_device = matches!(kind, InodeKind::CharDevice | InodeKind::BlockDevice);
            let is_whiteout = kind == InodeKind::CharDevice && rdev == (0, 0);
            if is_device && !is_whiteout && !ctx.cred.is_root() {
                return Err(Errno::EPERM);
            }
            let rdev = if is_device { rdev } else { (0, 0) };
            let making = Making { rdev, ..Making::new(kind, mode & 0o7777) };
            self.make(ctx, &to.dir, &to.name, &making).map(drop)
        })
    }

    /// Makes a symbolic link (`man 2 symlink`).
    ///
    /// # Errors
    /// As [`Vfs::mkdir`]; `ENOENT` for an empty target, `ENAMETOOLONG` for one of 4096 bytes and more.
    pub fn symlink(&self, ctx: &Context<'_>, target: &[u8], base: Option<&Place>, path: &[u8]) -> Result<()> {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        if target.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let to = self.new_name(ctx, base, path)?;
        self.make_at(&to, false, || {
            may_create(ctx.cred, &to.dir.dentry)?;
            let making = Making { target, ..Making::new(InodeKind::Symlink, 0o777) };
            self.make(ctx, &to.dir, &to.name, &making).map(drop)
        })
    }

    /// Gives a file another name (`man 2 linkat`).
    ///
    /// # Errors
    /// As [`Vfs::mkdir`]; `EXDEV` to another mount; `EPERM` for a directory, or a file that may not be changed; `EINVAL` for unknown
    /// flags; `ENOENT` for a file whose last name is gone.
    pub fn link(
        &self,
        ctx: &Context<'_>,
        base: Option<&Place>,
        path: &[u8],
        new_base: Option<&Place>,
        new_path: &[u8],
        flags: u32,
    ) -> Result<()> {
        if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
            return Err(Errno::EINVAL);
        }
        let mut how = WalkFlags::empty();
        how.set(WalkFlags::FOLLOW, flags & AT_SYMLINK_FOLLOW != 0);
        if flags & AT_EMPTY_PATH != 0 {
            if path.is_empty() && !ctx.cred.is_root() {
                return Err(Errno::ENOENT);
            }
            how |= WalkFlags::EMPTY_PATH;
        }
        let old = self.walk(ctx, base, path, how)?;
        let to = self.new_name(ctx, new_base, new_path)?;
        self.make_at(&to, false, || {
            if !Arc::ptr_eq(&old.mount, &to.dir.mount) {
                return Err(Errno::EXDEV);
            }
            self.protections().may_link(ctx.cred, old.node())?;
            may_create(ctx.cred, &to.dir.dentry)?;
            let attr = old.node().inode().attr();
            if is_append_only(&attr) || is_immutable(&attr) || old.is_dir() {
                return Err(Errno::EPERM);
            }
            if attr.nlink == 0 && !old.dentry.is_linkable() {
                return Err(Errno::ENOENT);
            }
            let link_max = to.dir.mount.live().link_max();
            if link_max > 0 && attr.nlink >= link_max {
                return Err(Errno::EMLINK);
            }
            let (dir, target) = (to.dir.node().inode(), old.node().inode());
            dir.link(&to.name, &**target, self.env().now())?;
            old.dentry.has_been_linked();
            self.cache().insert(&to.dir.dentry, &to.name, Some(old.node().clone()));
            Ok(())
        })
    }

    /// Removes a name of a file (`man 2 unlink`).
    ///
    /// # Errors
    /// Those of the walk; `ENOENT`; `EISDIR`; `ENOTDIR` for a name with a slash behind it; `EACCES`, `EPERM`, `EROFS`; `EBUSY` for a
    /// mount point.
    pub fn unlink(&self, ctx: &Context<'_>, base: Option<&Place>, path: &[u8]) -> Result<()> {
        let from = self.ending(ctx, base, path)?;
        if from.last != Last::Name {
            return Err(Errno::EISDIR);
        }
        self.remove(ctx, &from, false)
    }

    /// Removes an empty directory (`man 2 rmdir`).
    ///
    /// # Errors
    /// As [`Vfs::unlink`]; `ENOTDIR`; `ENOTEMPTY`, also for `..`; `EINVAL` for `.`; `EBUSY` for `/`.
    pub fn rmdir(&self, ctx: &Context<'_>, base: Option<&Place>, path: &[u8]) -> Result<()> {
        let from = self.ending(ctx, base, path)?;
        match from.last {
            Last::Name => self.remove(ctx, &from, true),
            Last::DotDot => Err(Errno::ENOTEMPTY),
            Last::Dot => Err(Errno::EINVAL),
            Last::Root => Err(Errno::EBUSY),
        }
    }

    fn remove(&self, ctx: &Context<'_>, from: &Ending, as_dir: bool) -> Result<()> {
        let _access = from.dir.mount.write_access()?;
        // Its file may be freed when it is dropped: after the lock.
        let victim;
        let _names = from.dir.mount.sb().names().write();
        victim = self.lookup_locked(&from.dir.dentry, &from.name)?.ok_or(Errno::ENOENT)?;
        if from.slash && !as_dir {
            let is_dir = victim.node().kind() == InodeKind::Directory;
            return Err(if is_dir { Errno::EISDIR } else { Errno::ENOTDIR });
        }
        may_delete(ctx.cred, &from.dir.dentry, &victim, as_dir)?;
        if victim.is_mount_point() {
            return Err(Errno::EBUSY);
        }
        from.dir.node().inode().unlink(&from.name, &**victim.node().inode(), self.env().now())?;
        self.cache().removed(&from.dir.dentry, &from.name);
        Ok(())
    }
}
