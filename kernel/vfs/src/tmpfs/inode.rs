//! A file of a tmpfs.

use super::content::{touched, Content, PAGE};
use super::names::Names;
use super::Mounted;
use crate::fs::{
    Attr, ChangeAttr, Data, DirEntry, FileFlags, Inode, InodeKind, NewInode, Range, Rename, Seek, Timestamp, XattrSet,
};
use crate::handle::Handle;
use lkl_abi::fs::{FS_APPEND_FL, FS_IMMUTABLE_FL, FS_NOATIME_FL, FS_NODUMP_FL};
use lkl_abi::handle::FILEID_INO32_GEN;
use lkl_abi::{Errno, Result};
use lkl_sync::{Mutex, Rank, RwLock};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// What a name adds to the length of its directory (`BOGO_DIRENT_SIZE`).
const NAME_SIZE: u64 = 20;
/// Most bytes of extended attributes of one file, names and values.
const XATTRS_MAX: usize = 1 << 20;
/// The name spaces that attributes can be of.
const XATTR_SPACES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

enum Body {
    File(Content),
    Dir(Names),
    Link(Vec<u8>),
    Other,
}

struct Meta {
    attr: Attr,
    /// Of a directory: the one that it is in.
    parent: u64,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// `FS_*_FL`
    flags: u32,
}

/// The flags that a file can have.
const FLAGS: u32 = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL;
/// Those that it takes over from its directory.
const INHERITED: u32 = FS_NODUMP_FL | FS_NOATIME_FL;
/// Those that `statx` shows; `STATX_ATTR_*` are the same bits.
const SHOWN: u32 = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL;

pub(super) struct TmpInode {
    mounted: Weak<Mounted>,
    ino: u64,
    body: RwLock<Body>,
    meta: Mutex<Meta>,
}

impl Meta {
    fn put_flags(&mut self, flags: u32) {
        self.flags = flags;
        self.attr.attributes = u64::from(flags & SHOWN);
    }
}

impl TmpInode {
    pub(super) fn new(mounted: Weak<Mounted>, ino: u64, new: &NewInode<'_>, parent: u64) -> Arc<Self> {
        let (body, size) = match new.kind {
            InodeKind::Regular => (Body::File(Content::default()), 0),
            InodeKind::Directory => (Body::Dir(Names::default()), 0),
            InodeKind::Symlink => (Body::Link(new.target.to_vec()), new.target.len() as u64),
            _ => (Body::Other, 0),
        };
        let attr = Attr {
            ino,
            kind: new.kind,
            mode: new.mode & 0o7777,
            nlink: if new.kind == InodeKind::Directory { 2 } else { 1 },
            uid: new.uid,
            gid: new.gid,
            rdev: new.rdev,
            size,
            blocks: 0,
            blksize: PAGE as u32,
            atime: new.now,
            mtime: new.now,
            ctime: new.now,
            btime: Some(new.now),
            attributes: 0,
        };
        let xattrs = new.xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        Arc::new(Self {
            mounted,
            ino,
            body: RwLock::new(Rank::FsInode, body),
            meta: Mutex::new(Rank::Leaf, Meta { attr, parent, xattrs, flags: 0 }),
        })
    }

    pub(super) fn ino(&self) -> u64 {
        self.ino
    }

    /// Takes over what its directory gives to new files.
    pub(super) fn inherit(&self, dir: &Self) {
        let flags = dir.meta.lock().flags & INHERITED;
        self.meta.lock().put_flags(flags);
    }

    pub(super) fn set_links(&self, nlink: u32) {
        self.meta.lock().attr.nlink = nlink;
    }

    fn kind(&self) -> InodeKind {
        self.meta.lock().attr.kind
    }

    fn mounted(&self) -> Result<Arc<Mounted>> {
        self.mounted.upgrade().ok_or(Errno::ESTALE)
    }

    /// Changes the links of a file, which its change time tells.
    fn add_links(&self, more: i32, now: Timestamp) {
        let mut meta = self.meta.lock();
        meta.attr.nlink = meta.attr.nlink.saturating_add_signed(more);
        meta.attr.ctime = now;
    }

    /// Changes names, and with them the directory's length and times.
    fn change_names<T>(&self, now: Timestamp, change: impl FnOnce(&mut Names) -> T) -> Result<T> {
        let mut body = self.body.write();
        let Body::Dir(names) = &mut *body else { return Err(Errno::ENOTDIR) };
        let done = change(names);
        let mut meta = self.meta.lock();
        meta.attr.size = names.len() as u64 * NAME_SIZE;
        (meta.attr.mtime, meta.attr.ctime) = (now, now);
        Ok(done)
    }

    fn check_empty(&self) -> Result<()> {
        match &*self.body.read() {
            Body::Dir(names) if names.len() > 0 => Err(Errno::ENOTEMPTY),
            _ => Ok(()),
        }
    }

    /// Its name is gone. A directory takes with it the link that it was for its parent.
    fn unlinked(&self, parent: &Self, now: Timestamp) {
        if self.kind() == InodeKind::Directory {
            self.add_links(-2, now);
            parent.add_links(-1, now);
        } else {
            self.add_links(-1, now);
        }
    }

    /// Changes content: `room` is the pages that are to be there afterwards and for which there must be some. `change` answers how many
    /// pages went.
    fn change_content(
        &self,
        room: core::ops::Range<u64>,
        now: Option<Timestamp>,
        change: impl FnOnce(&mut Content, &mut Attr) -> Result<u64>,
    ) -> Result<()> {
        let mounted = self.mounted()?;
        let mut body = self.body.write();
        let Body::File(content) = &mut *body else { return Err(Errno::EINVAL) };
        let missing = content.missing(room);
        mounted.take(missing)?;
        let mut attr = self.meta.lock().attr;
        match change(content, &mut attr) {
            Ok(gone) => {
                mounted.give(gone);
                let mut meta = self.meta.lock();
                meta.attr.size = attr.size;
                meta.attr.blocks = (meta.attr.blocks + missing * (PAGE / 512)).saturating_sub(gone * (PAGE / 512));
                if let Some(now) = now {
                    (meta.attr.mtime, meta.attr.ctime) = (now, now);
                }
                Ok(())
            }
            Err(e) => {
                mounted.give(missing);
                Err(e)
            }
        }
    }

    fn check_xattr(name: &[u8]) -> Result<()> {
        let acl = [crate::acl::ACCESS, crate::acl::DEFAULT].contains(&name);
        if acl || XATTR_SPACES.iter().any(|space| name.starts_with(space) && name.len() > space.len()) {
            return Ok(());
        }
        Err(Errno::EOPNOTSUPP)
    }
}

impl Inode for TmpInode {
    fn attr(&self) -> Attr {
        self.meta.lock().attr
    }

    /// As Linux has it: a generation, and the number in two halves. No number is given twice, so the generation is always the same.
    fn handle(&self) -> Result<Handle> {
        let ino = self.ino();
        let bytes = [0u32, ino as u32, (ino >> 32) as u32].map(u32::to_ne_bytes).concat();
        Ok(Handle { kind: FILEID_INO32_GEN, bytes })
    }

    fn change(&self, change: &ChangeAttr) -> Result<()> {
        let mut meta = self.meta.lock();
        let attr = &mut meta.attr;
        attr.mode = change.mode.map_or(attr.mode, |m| m & 0o7777);
        attr.uid = change.uid.unwrap_or(attr.uid);
        attr.gid = change.gid.unwrap_or(attr.gid);
        attr.atime = change.atime.unwrap_or(attr.atime);
        attr.mtime = change.mtime.unwrap_or(attr.mtime);
        attr.ctime = change.ctime.unwrap_or(attr.ctime);
        Ok(())
    }

    fn flags(&self) -> Result<FileFlags> {
        Ok(FileFlags { flags: self.meta.lock().flags, project: 0 })
    }

    fn set_flags(&self, flags: &FileFlags, now: Timestamp) -> Result<()> {
        if flags.flags & !FLAGS != 0 || flags.project != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut meta = self.meta.lock();
        meta.put_flags(flags.flags);
        meta.attr.ctime = now;
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<u64> {
        match &*self.body.read() {
            Body::Dir(names) => names.get(name).map(|e| e.ino).ok_or(Errno::ENOENT),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn parent(&self) -> Result<u64> {
        Ok(self.meta.lock().parent)
    }

    fn readdir(&self, cookie: u64, entry: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        // Who takes an entry may look at any file: no lock is held then.
        let mut from = cookie;
        loop {
            let some: Vec<_> = match &*self.body.read() {
                Body::Dir(names) => names.after(from).take(64).map(|(next, e)| (next, e.clone())).collect(),
                _ => return Err(Errno::ENOTDIR),
            };
            let Some((last, _)) = some.last() else { return Ok(()) };
            from = *last;
            for (next, e) in &some {
                if !entry(DirEntry { name: &e.name, ino: e.ino, kind: Some(e.kind), next: *next }) {
                    return Ok(());
                }
            }
        }
    }

    fn create(&self, name: &[u8], new: &NewInode<'_>) -> Result<u64> {
        let inode = self.mounted()?.make(new, self.ino)?;
        self.change_names(new.now, |names| names.set(name, inode.ino, new.kind))?;
        if new.kind == InodeKind::Directory {
            self.add_links(1, new.now);
        }
        Ok(inode.ino)
    }

    fn link(&self, name: &[u8], target: &dyn Inode, now: Timestamp) -> Result<()> {
        let target = target.own::<Self>()?;
        self.change_names(now, |names| names.set(name, target.ino, target.kind()))?;
        target.add_links(1, now);
        Ok(())
    }

    fn unlink(&self, name: &[u8], target: &dyn Inode, now: Timestamp) -> Result<()> {
        let target = target.own::<Self>()?;
        target.check_empty()?;
        self.change_names(now, |names| names.remove(name))?;
        target.unlinked(self, now);
        Ok(())
    }

    fn rename(
        &self,
        name: &[u8],
        source: &dyn Inode,
        new_dir: &dyn Inode,
        new_name: &[u8],
        target: Option<&dyn Inode>,
        how: Rename,
        now: Timestamp,
    ) -> Result<()> {
        let (source, new_dir) = (source.own::<Self>()?, new_dir.own::<Self>()?);
        let target = target.map(<dyn Inode>::own::<Self>).transpose()?;
        let (kind, moved) = (source.kind(), self.ino != new_dir.ino);
        let whiteout = match (how, target) {
            (Rename::Exchange, None) => return Err(Errno::ENOENT),
            (Rename::NoReplace, Some(_)) => return Err(Errno::EEXIST),
            (Rename::Exchange, Some(_)) => None,
            (_, target) => {
                if let Some(target) = target {
                    target.check_empty()?;
                }
                let (uid, gid) = (source.attr().uid, source.attr().gid);
                let new = NewInode {
                    kind: InodeKind::CharDevice,
                    mode: 0,
                    uid,
                    gid,
                    rdev: (0, 0),
                    target: b"",
                    xattrs: &[],
                    now,
                };
                (how == Rename::Whiteout).then(|| self.mounted()?.make(&new, self.ino)).transpose()?
            }
        };
        let instead = match (how, target) {
            (Rename::Exchange, Some(target)) => Some((target.ino, target.kind())),
            _ => whiteout.map(|w| (w.ino, InodeKind::CharDevice)),
        };
        self.change_names(now, |names| match instead {
            Some((ino, kind)) => names.set(name, ino, kind),
            None => names.remove(name),
        })?;
        new_dir.change_names(now, |names| names.set(new_name, source.ino, kind))?;
        source.add_links(0, now);
        let directory = |inode: &Self| inode.kind() == InodeKind::Directory;
        let move_dir = |inode: &Self, from: &Self, to: &Self| {
            if moved && directory(inode) {
                from.add_links(-1, now);
                to.add_links(1, now);
                inode.meta.lock().parent = to.ino;
            }
        };
        move_dir(source, self, new_dir);
        match (how, target) {
            (Rename::Exchange, Some(target)) => {
                target.add_links(0, now);
                move_dir(target, new_dir, self);
            }
            (_, Some(target)) => target.unlinked(new_dir, now),
            _ => {}
        }
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match &*self.body.read() {
            Body::Link(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn data(&self) -> Data {
        Data::Direct
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        match &*self.body.read() {
            Body::File(content) => content.read(offset, buf),
            Body::Dir(_) => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn write(&self, offset: u64, pieces: &[&[u8]], size: u64) -> Result<()> {
        let len = pieces.iter().map(|p| p.len() as u64).sum::<u64>();
        let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
        self.change_content(touched(offset..end), None, |content, attr| {
            let mut at = offset;
            for piece in pieces {
                content.write(at, piece);
                at += piece.len() as u64;
            }
            attr.size = attr.size.max(end.min(size));
            Ok(0)
        })
    }

    fn truncate(&self, size: u64, now: Timestamp) -> Result<()> {
        self.change_content(0..0, Some(now), |content, attr| {
            let gone = if size <= attr.size {
                content.zero(size..size.next_multiple_of(PAGE));
                content.remove(size.div_ceil(PAGE)..u64::MAX)
            } else {
                0
            };
            attr.size = size;
            Ok(gone)
        })
    }

    fn fallocate(&self, range: Range, offset: u64, len: u64, now: Timestamp) -> Result<()> {
        let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
        let bytes = offset..end;
        let aligned = offset % PAGE == 0 && len % PAGE == 0;
        let room = match range {
            Range::Allocate { .. } | Range::Zero { .. } => touched(bytes.clone()),
            _ => 0..0,
        };
        self.change_content(room.clone(), Some(now), |content, attr| {
            let grown = attr.size.max(end);
            match range {
                Range::Allocate { keep_size } | Range::Zero { keep_size } => {
                    if let Range::Zero { .. } = range {
                        content.zero(bytes);
                    }
                    content.allocate(room);
                    attr.size = if keep_size { attr.size } else { grown };
                    Ok(0)
                }
                Range::PunchHole => {
                    // The rest of the last page is zeroes already.
                    let end = if end >= attr.size { end.max(attr.size.next_multiple_of(PAGE)) } else { end };
                    Ok(content.punch(offset..end))
                }
                Range::Collapse if !aligned || end >= attr.size => Err(Errno::EINVAL),
                Range::Insert if !aligned || offset >= attr.size => Err(Errno::EINVAL),
                Range::Collapse => {
                    attr.size -= len;
                    Ok(content.collapse(offset / PAGE..end / PAGE))
                }
                Range::Insert => {
                    attr.size = attr.size.checked_add(len).filter(|s| *s <= i64::MAX as u64).ok_or(Errno::EFBIG)?;
                    content.insert(offset / PAGE, len / PAGE);
                    Ok(0)
                }
            }
        })
    }

    fn seek(&self, what: Seek, offset: u64, size: u64) -> Result<u64> {
        let body = self.body.read();
        let Body::File(content) = &*body else { return Err(Errno::EINVAL) };
        match what {
            Seek::Hole => Ok(content.next_hole(offset).min(size)),
            Seek::Data => content.next_data(offset).filter(|at| *at < size).ok_or(Errno::ENXIO),
        }
    }

    fn fsync(&self, _data_only: bool) -> Result<()> {
        Ok(())
    }

    fn evict(&self) -> Result<()> {
        let mounted = self.mounted()?;
        mounted.remove(self.ino);
        let body = core::mem::replace(&mut *self.body.write(), Body::Other);
        if let Body::File(content) = body {
            mounted.give(content.pages());
        }
        Ok(())
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        Self::check_xattr(name)?;
        self.meta.lock().xattrs.get(name).cloned().ok_or(Errno::ENODATA)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], how: XattrSet, now: Timestamp) -> Result<()> {
        Self::check_xattr(name)?;
        let mut meta = self.meta.lock();
        match (how, meta.xattrs.contains_key(name)) {
            (XattrSet::Create, true) => return Err(Errno::EEXIST),
            (XattrSet::Replace, false) => return Err(Errno::ENODATA),
            _ => {}
        }
        let others: usize = meta.xattrs.iter().filter(|x| x.0 != name).map(|(n, v)| n.len() + v.len()).sum();
        if others + name.len() + value.len() > XATTRS_MAX {
            return Err(Errno::ENOSPC);
        }
        meta.xattrs.insert(name.to_vec(), value.to_vec());
        meta.attr.ctime = now;
        Ok(())
    }

    fn remove_xattr(&self, name: &[u8], now: Timestamp) -> Result<()> {
        Self::check_xattr(name)?;
        let mut meta = self.meta.lock();
        meta.xattrs.remove(name).ok_or(Errno::ENODATA)?;
        meta.attr.ctime = now;
        Ok(())
    }

    fn list_xattrs(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.meta.lock().xattrs.keys().cloned().collect())
    }
}
