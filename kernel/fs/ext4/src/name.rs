//! Names: making files, linking, removing and renaming them. Who may do that is the caller's business.

use crate::dir::change::entry_kind;
use crate::dir::NAME_MAX;
use crate::error::corrupt;
use crate::features::{Incompat, RoCompat};
use crate::inode::{flag, kind, Inode, Time, TimeField};
use crate::xattr::change::SetMode;
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// More names a file cannot have (`EXT4_LINK_MAX`).
const LINK_MAX: u16 = 65000;
/// A symbolic link up to here is in the inode.
const FAST_LINK: usize = 59;

/// What a new inode is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct New<'a> {
    /// Kind and permissions, as `st_mode`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Major and minor number of a device.
    pub rdev: (u32, u32),
    /// Where a symbolic link leads.
    pub target: &'a [u8],
    /// Extended attributes, by their full names, with their values.
    pub xattrs: &'a [(&'a [u8], &'a [u8])],
}

impl New<'_> {
    /// A regular file (or whatever `mode` says) of root.
    pub fn mode(mode: u16) -> Self {
        Self { mode, uid: 0, gid: 0, rdev: (0, 0), target: b"", xattrs: &[] }
    }
}

/// How to rename.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rename {
    /// What has the new name is replaced.
    Replace,
    /// Nothing may have the new name (`RENAME_NOREPLACE`).
    NoReplace,
    /// Both change places (`RENAME_EXCHANGE`).
    Exchange,
    /// A white-out (character device 0, 0) takes the old name (`RENAME_WHITEOUT`).
    Whiteout,
}

/// Checks that names of an inode in this directory can be taken away.
fn check_removable(dir: &Inode, inode: &Inode) -> Result<()> {
    if dir.has(flag::APPEND) || inode.has(flag::IMMUTABLE | flag::APPEND) {
        return Err(Errno::EPERM);
    }
    Ok(())
}

pub(crate) fn check_name(name: &[u8]) -> Result<()> {
    if name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

impl Ext4 {
    /// Makes an inode and gives it a name. Answers its number.
    ///
    /// # Errors
    /// `EEXIST`, `ENOENT` if the directory was removed, `ENOTDIR`, `ENAMETOOLONG`, `EMLINK`, `ENOSPC`, `EROFS`; `ENOKEY` and
    /// `EOPNOTSUPP` for directories that cannot be written; `EIO`, `EUCLEAN`.
    pub fn create(&mut self, dir: u32, name: &[u8], new: &New<'_>, now: Time) -> Result<u32> {
        check_name(name)?;
        self.op(now, |fs| {
            let mut parent = fs.inode(dir)?;
            fs.check_new_name(&parent, name)?;
            let directory = new.mode & kind::MASK == kind::DIR;
            if directory {
                fs.count_subdir(&mut parent, true)?;
            }
            let mut inode = fs.make_inode(&parent, new)?;
            let kind = entry_kind(new.mode);
            fs.add_entry(&mut parent, name, inode.ino, kind)?;
            fs.touch(&mut parent);
            fs.put_inode(&mut parent)?;
            fs.put_inode(&mut inode)?;
            Ok(inode.ino)
        })
    }

    /// Makes an inode without a name (`O_TMPFILE`). It is removed after a crash, or by [`Ext4::evict`].
    ///
    /// # Errors
    /// As [`Ext4::create`].
    pub fn create_unnamed(&mut self, dir: u32, new: &New<'_>, now: Time) -> Result<u32> {
        self.op(now, |fs| {
            let parent = fs.inode(dir)?;
            fs.check_dir_writable(&parent)?;
            if parent.links() == 0 {
                // Not ENOENT, as for a name: Linux has it so.
                return Err(Errno::EPERM);
            }
            let mut inode = fs.make_inode(&parent, new)?;
            inode.set_links(0);
            fs.add_orphan(&mut inode)?;
            fs.put_inode(&mut inode)?;
            Ok(inode.ino)
        })
    }

    /// Checks that names can be put into a directory.
    pub(crate) fn check_parent(&self, dir: &Inode) -> Result<()> {
        self.check_dir_writable(dir)?;
        if dir.links() == 0 {
            return Err(Errno::ENOENT);
        }
        Ok(())
    }

    /// Checks that a name can be put into a directory.
    pub(crate) fn check_new_name(&mut self, dir: &Inode, name: &[u8]) -> Result<()> {
        self.check_parent(dir)?;
        // Who makes a name has mostly just looked for it.
        if self.absent.as_ref().is_some_and(|(ino, absent)| *ino == dir.ino && absent == name) {
            return Ok(());
        }
        match self.find_entry(dir, name) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// A new inode with one name (two for a directory), its content as it should be. The caller writes it.
    pub(crate) fn make_inode(&mut self, parent: &Inode, new: &New<'_>) -> Result<Inode> {
        let directory = new.mode & kind::MASK == kind::DIR;
        let mut inode = self.take_inode(parent, directory)?;
        inode.set_mode(new.mode);
        inode.set_owner(new.uid, new.gid);
        for which in [TimeField::Access, TimeField::Change, TimeField::Modify, TimeField::Birth] {
            inode.set_time(which, self.now);
        }
        let mut flags = parent.flags() & flag::INHERITED & !flag::CASEFOLD;
        if !directory {
            flags &= !flag::DIR_ONLY;
        }
        inode.set_flags(flags);
        if self.sb.has_ro(RoCompat::PROJECT) && parent.has(flag::PROJINHERIT) {
            inode.set_project(parent.project())?;
        }
        inode.set_links(if directory { 2 } else { 1 });
        // The inode must be of its kind before attributes are put into it.
        match new.mode & kind::MASK {
            kind::DIR => {}
            kind::REG => self.init_map(&mut inode),
            kind::LINK => {}
            kind::CHAR | kind::BLOCK => inode.set_rdev(new.rdev.0, new.rdev.1),
            kind::FIFO | kind::SOCK => {}
            _ => return Err(Errno::EINVAL),
        }
        for (name, value) in new.xattrs {
            self.set_xattr_of(&mut inode, name, value, SetMode::Any)?;
        }
        match new.mode & kind::MASK {
            kind::DIR => self.init_dir(&mut inode, parent.ino)?,
            kind::LINK => self.init_link(&mut inode, new.target)?,
            _ => {}
        }
        Ok(inode)
    }

    fn init_link(&mut self, inode: &mut Inode, target: &[u8]) -> Result<()> {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        if target.len() >= self.sb.block_size || target.len() > 4095 {
            return Err(Errno::ENAMETOOLONG);
        }
        inode.set_size(target.len() as u64);
        if target.len() <= FAST_LINK {
            let mut block = [0; 60];
            crate::bytes::put_bytes(&mut block, 0, target);
            inode.set_block(&block);
            return Ok(());
        }
        self.init_map(inode);
        let map = self.map(inode, 0)?;
        let place = self.fill_hole(inode, map, 1, false)?.place().ok_or(Errno::EIO)?;
        crate::bytes::put_bytes(self.cache.fresh(place), 0, target);
        Ok(())
    }

    /// Counts a subdirectory more or less. A directory with more than can be counted has one link.
    fn count_subdir(&self, dir: &mut Inode, more: bool) -> Result<()> {
        let links = dir.links();
        if more {
            let uncounted = self.sb.has_ro(RoCompat::DIR_NLINK);
            match links {
                1 => {}
                _ if links < LINK_MAX - 1 => dir.set_links(links + 1),
                _ if uncounted => dir.set_links(1),
                _ => return Err(Errno::EMLINK),
            }
        } else if links > 2 {
            dir.set_links(links - 1);
        }
        Ok(())
    }

    /// Gives an inode another name. One that has none (`O_TMPFILE`) is an orphan no longer.
    ///
    /// # Errors
    /// `EPERM` for a directory; `EMLINK`; else as [`Ext4::create`].
    pub fn link(&mut self, ino: u32, dir: u32, name: &[u8], now: Time) -> Result<()> {
        check_name(name)?;
        self.op(now, |fs| {
            let mut parent = fs.inode(dir)?;
            fs.check_new_name(&parent, name)?;
            let mut inode = fs.inode(ino)?;
            if inode.is_dir() || inode.has(flag::IMMUTABLE | flag::APPEND) {
                return Err(Errno::EPERM);
            }
            if inode.links() >= LINK_MAX {
                return Err(Errno::EMLINK);
            }
            if inode.links() == 0 {
                if !fs.is_orphan(ino) {
                    return Err(Errno::ENOENT);
                }
                fs.remove_orphan(&mut inode)?;
            }
            inode.set_links(inode.links() + 1);
            inode.set_time(TimeField::Change, fs.now);
            fs.put_inode(&mut inode)?;
            fs.add_entry(&mut parent, name, ino, entry_kind(inode.mode()))?;
            fs.touch(&mut parent);
            fs.put_inode(&mut parent)
        })
    }

    /// Takes a name away from a file that is no directory. Answers its inode, and whether that was its last name: then
    /// [`Ext4::evict`] is to be called when nobody uses it any more.
    ///
    /// # Errors
    /// `EISDIR`, `ENOENT`; else as [`Ext4::create`].
    pub fn unlink(&mut self, dir: u32, name: &[u8], now: Time) -> Result<(u32, bool)> {
        self.op(now, |fs| {
            let mut parent = fs.inode(dir)?;
            fs.check_dir_writable(&parent)?;
            let (ino, _) = fs.find_entry(&parent, name)?;
            let mut inode = fs.inode(ino)?;
            if inode.is_dir() {
                return Err(Errno::EISDIR);
            }
            check_removable(&parent, &inode)?;
            fs.change_entry(&mut parent, name, None)?;
            fs.touch(&mut parent);
            fs.put_inode(&mut parent)?;
            let last = fs.lose_name(&mut inode)?;
            Ok((ino, last))
        })
    }

    /// A file has one name less. Answers whether it has none left.
    fn lose_name(&mut self, inode: &mut Inode) -> Result<bool> {
        let links = inode.links();
        if links == 0 {
            return Err(corrupt(0, format_args!("inode {} has a name, but its count of links is 0", inode.ino)));
        }
        inode.set_links(links - 1);
        inode.set_time(TimeField::Change, self.now);
        if links == 1 {
            self.add_orphan(inode)?;
        }
        self.put_inode(inode)?;
        Ok(links == 1)
    }

    /// Removes an empty directory. Answers its inode, for [`Ext4::evict`].
    ///
    /// # Errors
    /// `ENOTEMPTY`, `ENOTDIR`, `ENOENT`; `EINVAL` for `.`; else as [`Ext4::create`].
    pub fn rmdir(&mut self, dir: u32, name: &[u8], now: Time) -> Result<u32> {
        match name {
            b"." => return Err(Errno::EINVAL),
            b".." => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        self.op(now, |fs| {
            let mut parent = fs.inode(dir)?;
            fs.check_dir_writable(&parent)?;
            let (ino, _) = fs.find_entry(&parent, name)?;
            let mut inode = fs.inode(ino)?;
            if !inode.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            if ino == dir || !fs.is_empty_dir(&inode)? {
                return Err(Errno::ENOTEMPTY);
            }
            check_removable(&parent, &inode)?;
            fs.change_entry(&mut parent, name, None)?;
            fs.count_subdir(&mut parent, false)?;
            fs.touch(&mut parent);
            fs.put_inode(&mut parent)?;
            fs.lose_dir(&mut inode)?;
            Ok(ino)
        })
    }

    fn lose_dir(&mut self, inode: &mut Inode) -> Result<()> {
        inode.set_links(0);
        inode.set_time(TimeField::Change, self.now);
        self.add_orphan(inode)?;
        self.put_inode(inode)
    }

    /// Whether directory `ino` is `of` or lies below it.
    fn is_below(&mut self, ino: u32, of: u32) -> Result<bool> {
        let (mut at, mut mark, mut steps) = (ino, 0, 0u32);
        loop {
            if at == mark {
                return Err(corrupt(0, format_args!("directory {at} is above itself")));
            }
            // A mark that is moved after ever more steps is met again in a circle.
            if steps.is_power_of_two() {
                mark = at;
            }
            steps += 1;
            if at == of {
                return Ok(true);
            }
            if at == crate::ROOT {
                return Ok(false);
            }
            let inode = self.inode(at)?;
            at = self.find_entry(&inode, b"..")?.0;
        }
    }

    /// Renames. Answers the inode that has lost its last name by that, if any, for [`Ext4::evict`].
    ///
    /// # Errors
    /// `ENOENT`, `EEXIST`, `EISDIR`, `ENOTDIR`, `ENOTEMPTY`; `EINVAL` to move a directory below itself; else as [`Ext4::create`].
    pub fn rename(
        &mut self,
        from_dir: u32,
        from: &[u8],
        to_dir: u32,
        to: &[u8],
        how: Rename,
        now: Time,
    ) -> Result<Option<u32>> {
        check_name(to)?;
        self.op(now, |fs| {
            let source = fs.inode(from_dir)?;
            let target = fs.inode(to_dir)?;
            fs.check_dir_writable(&source)?;
            fs.check_dir_writable(&target)?;
            let (ino, _) = fs.find_entry(&source, from)?;
            let existing = match fs.find_entry(&target, to) {
                Ok((ino, _)) => Some(ino),
                Err(Errno::ENOENT) => None,
                Err(e) => return Err(e),
            };
            match (how, existing) {
                (Rename::NoReplace, Some(_)) => return Err(Errno::EEXIST),
                (Rename::Exchange, None) => return Err(Errno::ENOENT),
                (Rename::Exchange, Some(other)) => {
                    fs.exchange((from_dir, from, ino), (to_dir, to, other))?;
                    return Ok(None);
                }
                _ => {}
            }
            if existing == Some(ino) {
                return Ok(None);
            }
            let moved = fs.inode(ino)?;
            check_removable(&source, &moved)?;
            if let Some(existing) = existing {
                let old = fs.inode(existing)?;
                check_removable(&target, &old)?;
            }
            if target.links() == 0 {
                return Err(Errno::ENOENT);
            }
            fs.move_entry((from_dir, from, ino), (to_dir, to), existing, how == Rename::Whiteout)
        })
    }

    fn move_entry(
        &mut self,
        (from_dir, from, ino): (u32, &[u8], u32),
        (to_dir, to): (u32, &[u8]),
        existing: Option<u32>,
        whiteout: bool,
    ) -> Result<Option<u32>> {
        let mut inode = self.inode(ino)?;
        let directory = inode.is_dir();
        if directory && from_dir != to_dir && self.is_below(to_dir, ino)? {
            return Err(Errno::EINVAL);
        }
        let mut lost = None;
        let mut target = self.inode(to_dir)?;
        if let Some(existing) = existing {
            let mut old = self.inode(existing)?;
            match (directory, old.is_dir()) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                _ => {}
            }
            if old.is_dir() && !self.is_empty_dir(&old)? {
                return Err(Errno::ENOTEMPTY);
            }
            self.change_entry(&mut target, to, Some((ino, entry_kind(inode.mode()))))?;
            if old.is_dir() {
                self.count_subdir(&mut target, false)?;
                self.lose_dir(&mut old)?;
                lost = Some(existing);
            } else if self.lose_name(&mut old)? {
                lost = Some(existing);
            }
        } else {
            self.add_entry(&mut target, to, ino, entry_kind(inode.mode()))?;
        }
        if directory && from_dir != to_dir {
            self.count_subdir(&mut target, true)?;
        }
        self.touch(&mut target);
        self.put_inode(&mut target)?;
        let mut source = self.inode(from_dir)?;
        if whiteout {
            let mut out = self.make_inode(&source, &New::mode(kind::CHAR))?;
            self.put_inode(&mut out)?;
            self.change_entry(&mut source, from, Some((out.ino, entry_kind(kind::CHAR))))?;
        } else {
            self.change_entry(&mut source, from, None)?;
        }
        if directory && from_dir != to_dir {
            self.count_subdir(&mut source, false)?;
            self.change_entry(&mut inode, b"..", Some((to_dir, entry_kind(kind::DIR))))?;
        }
        self.touch(&mut source);
        self.put_inode(&mut source)?;
        inode.set_time(TimeField::Change, self.now);
        self.put_inode(&mut inode)?;
        Ok(lost)
    }

    fn exchange(&mut self, a: (u32, &[u8], u32), b: (u32, &[u8], u32)) -> Result<()> {
        let ((a_dir, a_name, a_ino), (b_dir, b_name, b_ino)) = (a, b);
        if a_ino == b_ino {
            return Ok(());
        }
        let (mut a_inode, mut b_inode) = (self.inode(a_ino)?, self.inode(b_ino)?);
        if a_dir != b_dir {
            if (a_inode.is_dir() && self.is_below(b_dir, a_ino)?)
                || (b_inode.is_dir() && self.is_below(a_dir, b_ino)?)
            {
                return Err(Errno::EINVAL);
            }
            for (inode, parent) in [(&mut a_inode, b_dir), (&mut b_inode, a_dir)] {
                if inode.is_dir() {
                    self.change_entry(inode, b"..", Some((parent, entry_kind(kind::DIR))))?;
                }
            }
        }
        for (dir, name, inode, other) in [(a_dir, a_name, &b_inode, &a_inode), (b_dir, b_name, &a_inode, &b_inode)] {
            let mut dir = self.inode(dir)?;
            self.change_entry(&mut dir, name, Some((inode.ino, entry_kind(inode.mode()))))?;
            if a_dir != b_dir && inode.is_dir() != other.is_dir() {
                self.count_subdir(&mut dir, inode.is_dir())?;
            }
            self.touch(&mut dir);
            self.put_inode(&mut dir)?;
        }
        for inode in [&mut a_inode, &mut b_inode] {
            inode.set_time(TimeField::Change, self.now);
            self.put_inode(inode)?;
        }
        Ok(())
    }

    /// Changes what `chmod`, `chown`, `utimensat` and the flag `ioctl`s change.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for flags that cannot be set; `EOVERFLOW` if there is no room for a project; `EROFS`, `EIO`, `EUCLEAN`.
    pub fn set_attr(&mut self, ino: u32, set: &SetAttr, now: Time) -> Result<()> {
        self.op(now, |fs| {
            let mut inode = fs.inode(ino)?;
            if let Some(mode) = set.mode {
                inode.set_mode(inode.kind() | mode & 0o7777);
                fs.chmod_acl(&mut inode)?;
            }
            if set.uid.is_some() || set.gid.is_some() {
                inode.set_owner(set.uid.unwrap_or(inode.uid()), set.gid.unwrap_or(inode.gid()));
            }
            if let Some(time) = set.atime {
                inode.set_time(TimeField::Access, time);
            }
            if let Some(time) = set.mtime {
                inode.set_time(TimeField::Modify, time);
            }
            if let Some(flags) = set.flags {
                fs.set_visible_flags(&mut inode, flags)?;
            }
            if let Some(project) = set.project {
                if !fs.sb.has_ro(RoCompat::PROJECT) {
                    return Err(Errno::EOPNOTSUPP);
                }
                inode.set_project(project)?;
            }
            if let Some(generation) = set.generation {
                // Checksums of blocks elsewhere begin with it.
                if fs.sb.metadata_csum() {
                    return Err(Errno::ENOTTY);
                }
                inode.set_generation(generation);
            }
            if let Some(time) = set.ctime {
                inode.set_time(TimeField::Change, time);
            }
            fs.put_inode(&mut inode)
        })
    }

    fn set_visible_flags(&self, inode: &mut Inode, flags: u32) -> Result<()> {
        let old = inode.flags();
        if (old ^ flags) & flag::VISIBLE & !flag::SETTABLE != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let casefold = (old ^ flags) & flag::CASEFOLD != 0;
        if casefold && (!self.sb.has(Incompat::CASEFOLD) || flags & flag::CASEFOLD != 0) {
            return Err(Errno::EOPNOTSUPP);
        }
        inode.set_flags(old & !flag::SETTABLE | flags & flag::SETTABLE);
        Ok(())
    }
}

/// What [`Ext4::set_attr`] is to change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SetAttr {
    /// Permissions.
    pub mode: Option<u16>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last access.
    pub atime: Option<Time>,
    /// Last change of the content.
    pub mtime: Option<Time>,
    /// Last change of the inode.
    pub ctime: Option<Time>,
    /// Flags, as `FS_IOC_SETFLAGS` has them.
    pub flags: Option<u32>,
    /// Project.
    pub project: Option<u32>,
    /// Generation.
    pub generation: Option<u32>,
}
