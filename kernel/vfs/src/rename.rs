//! `rename` (`man 2 rename`).
//!
//! Beside: `names`. The lock of names of the file system is held exclusively, so that the tree does not change meanwhile.

use crate::cred::WRITE;
use crate::dentry::Dentry;
use crate::fs::{InodeKind, Rename};
use crate::mount::Place;
use crate::names::{may_create, may_delete, Ending};
use crate::vfs::{permission, Vfs};
use crate::walk::{Context, Last};
use lkl_abi::fs::{RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT};
use lkl_abi::{Errno, Result};
use std::sync::Arc;

fn is_dir(dentry: &Dentry) -> bool {
    dentry.node().kind() == InodeKind::Directory
}

impl Vfs {
    /// Gives a file another name in place of its old one; `flags` are `RENAME_*`.
    ///
    /// # Errors
    /// As `man 2 rename` says: `EINVAL`, `ENOENT`, `ENOTDIR`, `EISDIR`, `ENOTEMPTY`, `EEXIST`, `EXDEV`, `EBUSY`, `EACCES`, `EPERM`,
    /// `EROFS`, `EMLINK`, `ENOSPC`; those of the walks.
    pub fn rename(
        &self,
        ctx: &Context<'_>,
        base: Option<&Place>,
        path: &[u8],
        new_base: Option<&Place>,
        new_path: &[u8],
        flags: u32,
    ) -> Result<()> {
        let how = match flags {
            0 => Rename::Replace,
            RENAME_NOREPLACE => Rename::NoReplace,
            RENAME_EXCHANGE => Rename::Exchange,
            RENAME_WHITEOUT => Rename::Whiteout,
            // Both: as the first, but for what stays at the old name.
            f if f == RENAME_NOREPLACE | RENAME_WHITEOUT => Rename::Whiteout,
            _ => return Err(Errno::EINVAL),
        };
        let no_replace = flags & RENAME_NOREPLACE != 0;
        let from = self.ending(ctx, base, path)?;
        let to = self.ending(ctx, new_base, new_path)?;
        if !Arc::ptr_eq(&from.dir.mount, &to.dir.mount) {
            return Err(Errno::EXDEV);
        }
        if from.last != Last::Name {
            return Err(Errno::EBUSY);
        }
        if to.last != Last::Name {
            return Err(if no_replace { Errno::EEXIST } else { Errno::EBUSY });
        }
        let _access = from.dir.mount.write_access()?;
        // Files may be freed when these are dropped: after the lock.
        let (source, target);
        let _names = from.dir.mount.sb().names().write();
        source = self.lookup_locked(&from.dir.dentry, &from.name)?.ok_or(Errno::ENOENT)?;
        target = self.lookup_locked(&to.dir.dentry, &to.name)?;
        if no_replace && target.is_some() {
            return Err(Errno::EEXIST);
        }
        if how == Rename::Exchange {
            let target = target.as_ref().ok_or(Errno::ENOENT)?;
            if to.slash && !is_dir(target) {
                return Err(Errno::ENOTDIR);
            }
        }
        if !is_dir(&source) && (from.slash || how != Rename::Exchange && to.slash) {
            return Err(Errno::ENOTDIR);
        }
        if is_dir(&source) && source.is_above(&to.dir.dentry) {
            return Err(Errno::EINVAL);
        }
        if target.as_ref().is_some_and(|t| is_dir(t) && t.is_above(&from.dir.dentry)) {
            return Err(if how == Rename::Exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
        }
        self.rename_locked(ctx, (&from, &source), (&to, target.as_ref()), how)
    }

    fn rename_locked(
        &self,
        ctx: &Context<'_>,
        (from, source): (&Ending, &Arc<Dentry>),
        (to, target): (&Ending, Option<&Arc<Dentry>>),
        how: Rename,
    ) -> Result<()> {
        if target.is_some_and(|t| Arc::ptr_eq(t.node(), source.node())) {
            return Ok(());
        }
        let (cred, exchange) = (ctx.cred, how == Rename::Exchange);
        may_delete(cred, &from.dir.dentry, source, is_dir(source))?;
        match target {
            None => may_create(cred, &to.dir.dentry)?,
            Some(target) => may_delete(cred, &to.dir.dentry, target, is_dir(if exchange { target } else { source }))?,
        }
        let moves = !Arc::ptr_eq(&from.dir.dentry, &to.dir.dentry);
        if moves {
            // Their `..` changes.
            if is_dir(source) {
                permission(cred, source.node(), WRITE)?;
            }
            if let Some(target) = target.filter(|t| exchange && is_dir(t)) {
                permission(cred, target.node(), WRITE)?;
            }
        }
        if source.is_mount_point() || target.is_some_and(|t| t.is_mount_point()) {
            return Err(Errno::EBUSY);
        }
        let link_max = from.dir.mount.live().link_max();
        if moves && link_max > 0 {
            let full = |dir: &Place| dir.node().inode().attr().nlink >= link_max;
            let target_dir = target.is_some_and(|t| is_dir(t));
            let more_there = is_dir(source) && (target.is_none() || exchange && !target_dir);
            let more_here = exchange && target_dir && !is_dir(source);
            if more_there && full(&to.dir) || more_here && full(&from.dir) {
                return Err(Errno::EMLINK);
            }
        }
        let counts = is_dir(source) || target.is_some_and(|t| is_dir(t));
        if counts {
            self.count_move();
        }
        let renamed = from.dir.node().inode().rename(
            &from.name,
            &**source.node().inode(),
            &**to.dir.node().inode(),
            &to.name,
            target.map(|t| &**t.node().inode()),
            how,
            self.env().now(),
        );
        if renamed.is_ok() {
            let cache = self.cache();
            match target.filter(|_| exchange) {
                Some(target) => cache.exchanged(source, target),
                None => cache.moved(source, &to.dir.dentry, &to.name),
            }
            if matches!(how, Rename::Replace | Rename::NoReplace) {
                cache.insert(&from.dir.dentry, &from.name, None);
            }
        }
        if counts {
            self.count_move();
        }
        renamed
    }
}
