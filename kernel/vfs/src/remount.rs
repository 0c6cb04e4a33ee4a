//! Changes of mounts: remount, bind, move, propagation.
//!
//! Beside: `mounting`.

use crate::fs::MountOptions;
use crate::mount::{Mount, Mounts, Place};
use crate::mounting::{own_flags, MountRequest};
use crate::sb::Super;
use crate::vfs::Vfs;
use core::sync::atomic::Ordering::SeqCst;
use lkl_abi::mount::{
    MS_NOATIME, MS_NODIRATIME, MS_RDONLY, MS_RELATIME, MS_SHARED, MS_STRICTATIME, MS_SYNCHRONOUS, MS_UNBINDABLE,
};
use lkl_abi::{Errno, Result};
use std::sync::Arc;

const ATIME: u64 = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;

/// The flags that a mount gets by a remount: without any word on access times, those stay.
fn new_flags(mount: &Mount, flags: u64) -> u64 {
    if flags & ATIME == 0 {
        return own_flags(flags) & !ATIME | mount.flags() & ATIME;
    }
    own_flags(flags)
}

fn mount_at(place: &Place) -> Result<&Arc<Mount>> {
    if !place.is_mount_root() {
        return Err(Errno::EINVAL);
    }
    Ok(&place.mount)
}

impl Vfs {
    /// `MS_REMOUNT | MS_BIND`: the flags of this mount alone.
    pub(crate) fn remount_here(&self, target: &Place, flags: u64) -> Result<()> {
        let mount = mount_at(target)?;
        let old = mount.flags();
        mount.set_flags(new_flags(mount, flags));
        if mount.flags() & !old & MS_RDONLY != 0 && mount.is_written() {
            mount.set_flags(old);
            return Err(Errno::EBUSY);
        }
        Ok(())
    }

    /// `MS_REMOUNT`: the file system's options, and the mount's flags.
    pub(crate) fn remount(&self, request: &MountRequest<'_>, flags: u64) -> Result<()> {
        let mount = mount_at(&request.target)?;
        let (live, sb) = (mount.live(), mount.sb());
        let (was, read_only) = (sb.read_only(), flags & MS_RDONLY != 0);
        let options = MountOptions {
            read_only,
            device: live.device().cloned(),
            data: request.data.to_owned(),
            ..self.mount_options()
        };
        if read_only && !was {
            sb.set_read_only(true);
            if live.is_written() {
                sb.set_read_only(false);
                return Err(Errno::EBUSY);
            }
            // What is dirty has to be written first; nobody can make anything dirty.
            sb.set_read_only(false);
            let done = sb.sync().and_then(|()| sb.raw().remount(&options));
            sb.set_read_only(done.is_ok());
            done?;
        } else {
            sb.raw().remount(&options)?;
            sb.set_read_only(read_only);
        }
        live.synchronous.store(flags & MS_SYNCHRONOUS != 0, SeqCst);
        mount.set_flags(new_flags(mount, flags));
        Ok(())
    }

    /// Makes a file system read-only that somebody still uses, when everything ends.
    pub(crate) fn make_read_only(&self, sb: &Arc<Super>) -> Result<()> {
        if sb.read_only() {
            return Ok(());
        }
        let synced = sb.sync();
        let options = MountOptions { read_only: true, ..self.mount_options() };
        let done = sb.raw().remount(&options);
        sb.set_read_only(done.is_ok());
        synced.and(done)
    }

    /// `MS_BIND`: shows a place at another one, with what is mounted below it if `recursive`.
    pub(crate) fn bind(&self, source: &Place, target: &Place, recursive: bool) -> Result<()> {
        if source.mount.unbindable().load(SeqCst) {
            return Err(Errno::EINVAL);
        }
        let top =
            Mount::new(self.new_mount_id(), source.mount.live().clone(), source.dentry.clone(), source.mount_flags());
        // What is to be shown is found out before it is: the target may be below the source.
        let mut below = Vec::new();
        if recursive {
            self.copy_below(&self.mounts().read(), source, &top, &mut below);
        }
        self.attach(top, target)?;
        let mut mounts = self.mounts().write();
        for (mount, place) in below {
            mounts.attach(mount, place);
        }
        Ok(())
    }

    /// Copies of the mounts below a place, for where `copy` shows it.
    fn copy_below(&self, mounts: &Mounts, from: &Place, copy: &Arc<Mount>, out: &mut Vec<(Arc<Mount>, Place)>) {
        for child in mounts.children(&from.mount) {
            let Some(place) = child.place() else { continue };
            let is_below = {
                let _names = from.mount.sb().names().read();
                from.dentry.is_above(&place.dentry)
            };
            if !is_below || child.unbindable().load(SeqCst) {
                continue;
            }
            let (live, root) = (child.live().clone(), child.root().clone());
            let new = Mount::new(self.new_mount_id(), live, root, child.flags());
            out.push((new.clone(), Place { dentry: place.dentry, mount: copy.clone() }));
            self.copy_below(mounts, &Place::root_of(&child), &new, out);
        }
    }

    /// `MS_MOVE`: a mount, with all that is mounted in it, to another place.
    pub(crate) fn move_mount(&self, source: &Place, target: &Place) -> Result<()> {
        let mount = mount_at(source)?;
        let target = self.top_of(target);
        if target.is_dir() != source.is_dir() {
            return Err(Errno::EINVAL);
        }
        let mut mounts = self.mounts().write();
        let mut above = Some(target.mount.clone());
        while let Some(at) = above {
            if Arc::ptr_eq(&at, mount) {
                return Err(Errno::ELOOP);
            }
            above = at.place().map(|place| place.mount);
        }
        Self::check_target(&mounts, mount, &target)?;
        let old = mounts.detach(mount).ok_or(Errno::EINVAL)?;
        mounts.attach(mount.clone(), target);
        self.count_move();
        drop(mounts);
        drop(old);
        Ok(())
    }

    /// Whether a mount is seen elsewhere, too: none is, here.
    pub(crate) fn change_propagation(&self, target: &Place, flags: u64) -> Result<()> {
        let mount = mount_at(target)?;
        if flags & MS_SHARED != 0 {
            return Err(Errno::EINVAL);
        }
        mount.unbindable().store(flags & MS_UNBINDABLE != 0, SeqCst);
        Ok(())
    }
}
