//! A file, as the VFS knows it.

use super::promises::Promises;
use super::{time, timestamp, Mounted};
use crate::inode::flag;
use crate::name::SetAttr;
use crate::xattr::change::SetMode;
use crate::{Errno, Ext4, Space};
use lkl_abi::fs::{FS_NOATIME_FL, FS_NODUMP_FL};
use lkl_abi::handle::FILEID_INO32_GEN;
use lkl_abi::Result;
use lkl_sync::{Mutex, Rank};
use lkl_vfs::{
    Attr, ChangeAttr, DirEntry, FileExtent, FileFlags, Handle, Inode, InodeKind, Layout, NewContent, NewInode, Range,
    Rename, Seek, Timestamp, WholeFile, XattrSet,
};
use std::sync::Arc;

/// The flags that `statx` shows; `STATX_ATTR_*` are the same bits.
const SHOWN_FLAGS: u32 = 0x10 | 0x20 | 0x40 | 0x800;

/// What is kept in memory about a file.
struct State {
    attr: Attr,
    promises: Promises,
    /// What is promised, in units of 512 bytes.
    promised: u64,
}

/// A file of a mounted file system.
pub(super) struct Ext4Inode {
    mounted: Arc<Mounted>,
    ino: u32,
    state: Mutex<State>,
}

/// A piece of a read: where in the buffer, and where on the device (zeroes otherwise).
pub(crate) struct Part {
    pub(crate) at: usize,
    pub(crate) len: usize,
    pub(crate) place: Option<u64>,
}

fn convert(attr: &crate::Attr) -> Attr {
    Attr {
        ino: u64::from(attr.ino),
        // Inodes of no kind are refused when they are read.
        kind: InodeKind::from_mode(u32::from(attr.mode)).unwrap_or(InodeKind::Regular),
        mode: u32::from(attr.mode) & 0o7777,
        nlink: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.rdev,
        size: attr.size,
        blocks: attr.sectors,
        blksize: 4096,
        atime: timestamp(attr.atime),
        mtime: timestamp(attr.mtime),
        ctime: timestamp(attr.ctime),
        btime: attr.btime.map(timestamp),
        attributes: u64::from(attr.flags & SHOWN_FLAGS),
    }
}

impl Ext4Inode {
    pub(super) fn new(mounted: Arc<Mounted>, ino: u32, attr: &crate::Attr) -> Self {
        let state = State { attr: convert(attr), promises: Promises::default(), promised: 0 };
        Self { mounted, ino, state: Mutex::new(Rank::FsInode, state) }
    }

    /// Runs an operation, and brings the attributes of these files up to date, also if it has failed.
    fn change_of<T>(&self, others: &[&Self], run: impl FnOnce(&mut Ext4) -> Result<T>) -> Result<T> {
        let mut fs = self.mounted.fs.lock();
        let done = run(&mut fs);
        for inode in [self].iter().chain(others) {
            inode.refresh(&mut fs);
        }
        done
    }

    fn refresh(&self, fs: &mut Ext4) {
        if let Ok(attr) = fs.attr(self.ino) {
            self.state.lock().attr = convert(&attr);
        }
    }

    /// Ends promises for the bytes of a range.
    fn unpromise(&self, fs: &mut Ext4, from: u64, to: u64) {
        let unit = fs.cluster_size();
        let mut state = self.state.lock();
        let clusters = state.promises.remove(from / unit, to.div_ceil(unit));
        state.promised = state.promises.count() * (unit / 512);
        drop(state);
        fs.release_clusters(clusters);
    }
}

impl Drop for Ext4Inode {
    fn drop(&mut self) {
        let clusters = self.state.get_mut().promises.remove(0, u64::MAX);
        if clusters > 0 {
            self.mounted.fs.lock().release_clusters(clusters);
        }
    }
}

impl Inode for Ext4Inode {
    fn attr(&self) -> Attr {
        let state = self.state.lock();
        Attr { blocks: state.attr.blocks + state.promised, ..state.attr }
    }

    fn change(&self, change: &ChangeAttr) -> Result<()> {
        let set = SetAttr {
            mode: change.mode.map(|m| m as u16),
            uid: change.uid,
            gid: change.gid,
            atime: change.atime.map(time),
            mtime: change.mtime.map(time),
            ctime: change.ctime.map(time),
            ..SetAttr::default()
        };
        self.change_of(&[], |fs| {
            let now = set.ctime.unwrap_or(fs.now);
            fs.set_attr(self.ino, &set, now)
        })
    }

    fn flags(&self) -> Result<FileFlags> {
        let attr = self.mounted.look(|fs| fs.attr(self.ino))?;
        Ok(FileFlags { flags: attr.flags, project: attr.project })
    }

    fn set_flags(&self, flags: &FileFlags, now: Timestamp) -> Result<()> {
        if flags.flags & !flag::VISIBLE != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let of_kind = match self.attr().kind {
            InodeKind::Directory => u32::MAX,
            InodeKind::Regular => !(flag::DIR_ONLY | flag::TOPDIR),
            _ => FS_NODUMP_FL | FS_NOATIME_FL,
        };
        if flags.flags & flag::SETTABLE & !of_kind != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        self.change_of(&[], |fs| {
            let old = fs.attr(self.ino)?;
            if (old.flags ^ flags.flags) & flag::EXTENTS != 0 {
                return Err(Errno::EOPNOTSUPP);
            }
            let new = old.flags & !flag::SETTABLE | flags.flags & flag::SETTABLE;
            // What goes on to be immutable changes in no other way.
            if old.flags & new & flag::IMMUTABLE != 0 && (new != old.flags || flags.project != old.project) {
                return Err(Errno::EPERM);
            }
            let project = (flags.project != old.project).then_some(flags.project);
            let set = SetAttr { flags: Some(new), project, ctime: Some(time(now)), ..SetAttr::default() };
            fs.set_attr(self.ino, &set, time(now))
        })
    }

    fn handle(&self) -> Result<Handle> {
        let bytes = [self.ino, self.generation()?].map(u32::to_ne_bytes).concat();
        Ok(Handle { kind: FILEID_INO32_GEN, bytes })
    }

    fn generation(&self) -> Result<u32> {
        self.mounted.look(|fs| fs.file_attr(self.ino)).map(|attr| attr.generation)
    }

    fn set_generation(&self, generation: u32, now: Timestamp) -> Result<()> {
        let set = SetAttr { generation: Some(generation), ctime: Some(time(now)), ..SetAttr::default() };
        self.change_of(&[], |fs| fs.set_attr(self.ino, &set, time(now)))
    }

    fn extents(&self, of: Layout, range: core::ops::Range<u64>, most: usize) -> Result<Vec<FileExtent>> {
        self.mounted.look(|fs| match of {
            Layout::Content => fs.extents(self.ino, range, most),
            Layout::Attributes => {
                let found = fs.attribute_extent(self.ino)?.filter(|e| range.start < e.len && most > 0);
                Ok(found.into_iter().collect())
            }
        })
    }

    fn lookup(&self, name: &[u8]) -> Result<u64> {
        self.mounted.look(|fs| fs.lookup(self.ino, name)).map(u64::from)
    }

    fn parent(&self) -> Result<u64> {
        self.mounted.look(|fs| fs.lookup(self.ino, b"..")).map(u64::from)
    }

    fn readdir(&self, cookie: u64, entry: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let mut from = cookie;
        let mut told = false;
        loop {
            let some = self.mounted.look(|fs| fs.read_dir(self.ino, from));
            let some = match some {
                Ok(some) => some,
                // What was listed counts; the next call tells what is wrong.
                Err(_) if told => return Ok(()),
                Err(e) => return Err(e),
            };
            let Some(last) = some.last() else { return Ok(()) };
            from = last.next;
            for e in &some {
                if e.name == b"." || e.name == b".." {
                    continue;
                }
                let kind = InodeKind::from_mode(u32::from(e.kind) << 12);
                if !entry(DirEntry { name: &e.name, ino: u64::from(e.ino), kind, next: e.next }) {
                    return Ok(());
                }
                told = true;
            }
        }
    }

    fn create(&self, name: &[u8], new: &NewInode<'_>) -> Result<u64> {
        self.change_of(&[], |fs| fs.create(self.ino, name, &Mounted::new_inode(new), time(new.now))).map(u64::from)
    }

    fn create_whole(&self, name: &[u8], new: &NewInode<'_>, content: &NewContent<'_>) -> Result<()> {
        let NewContent { data, atime, mtime } = *content;
        let content = crate::Content { data, atime: time(atime), mtime: time(mtime) };
        let make = |fs: &mut Ext4| fs.create_whole(self.ino, name, &Mounted::new_inode(new), &content, time(new.now));
        self.change_of(&[], make).map(drop)
    }

    fn read_whole(&self, name: &[u8], most: usize) -> Result<WholeFile> {
        let whole = self.mounted.look(|fs| fs.read_whole(self.ino, name, most))?;
        Ok(WholeFile { attr: convert(&whole.attr), data: whole.data, xattrs: whole.xattrs })
    }

    fn link(&self, name: &[u8], target: &dyn Inode, now: Timestamp) -> Result<()> {
        let target = target.own::<Self>()?;
        self.change_of(&[target], |fs| fs.link(target.ino, self.ino, name, time(now)))
    }

    fn unlink(&self, name: &[u8], target: &dyn Inode, now: Timestamp) -> Result<()> {
        let target = target.own::<Self>()?;
        let directory = target.attr().kind == InodeKind::Directory;
        self.change_of(&[target], |fs| {
            if directory {
                fs.rmdir(self.ino, name, time(now)).map(|_| ())
            } else {
                fs.unlink(self.ino, name, time(now)).map(|_| ())
            }
        })
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
        let mut others = vec![source, new_dir];
        if let Some(target) = target {
            others.push(target.own::<Self>()?);
        }
        let how = match how {
            Rename::Replace => crate::Rename::Replace,
            Rename::NoReplace => crate::Rename::NoReplace,
            Rename::Exchange => crate::Rename::Exchange,
            Rename::Whiteout => crate::Rename::Whiteout,
        };
        self.change_of(&others, |fs| fs.rename(self.ino, name, new_dir.ino, new_name, how, time(now)).map(|_| ()))
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        self.mounted.look(|fs| fs.read_link(self.ino))
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let parts = self.mounted.look(|fs| fs.plan_read(self.ino, offset, buf))?;
        // Nobody takes the blocks away meanwhile: the file's own lock is held for reading.
        for part in parts {
            let Some(buf) = buf.get_mut(part.at..part.at + part.len) else { return Err(Errno::EIO) };
            match part.place {
                Some(place) => self.mounted.device.read(place, buf).map_err(|_| Errno::EIO)?,
                None => buf.fill(0),
            }
        }
        Ok(())
    }

    fn reserve(&self, offset: u64, len: u64) -> Result<()> {
        let mut fs = self.mounted.fs.lock();
        fs.writable()?;
        let runs = fs.missing(self.ino, offset, len)?;
        let mut state = self.state.lock();
        let new: Vec<(u64, u64)> = runs.iter().flat_map(|r| state.promises.missing(r.0, r.1)).collect();
        fs.promise(new.iter().map(|r| r.1 - r.0).sum())?;
        for (from, to) in new {
            state.promises.insert(from, to);
        }
        state.promised = state.promises.count() * (fs.cluster_size() / 512);
        Ok(())
    }

    fn write(&self, offset: u64, pieces: &[&[u8]], size: u64) -> Result<()> {
        let joined;
        let all: &[u8] = match pieces {
            [one] => one,
            _ => {
                joined = pieces.concat();
                &joined
            }
        };
        // What lies past the end is not of the file.
        let len = size.saturating_sub(offset).min(all.len() as u64) as usize;
        let data = all.get(..len).unwrap_or(all);
        self.change_of(&[], |fs| {
            self.unpromise(fs, offset, offset + all.len() as u64);
            match fs.write_back(self.ino, offset, data)? {
                done if done == data.len() => Ok(()),
                _ => Err(Errno::ENOSPC),
            }
        })
    }

    fn truncate(&self, size: u64, now: Timestamp) -> Result<()> {
        self.change_of(&[], |fs| {
            self.unpromise(fs, size.next_multiple_of(fs.cluster_size()), u64::MAX);
            fs.truncate(self.ino, size, time(now))
        })
    }

    fn allows(&self, range: Range) -> Result<()> {
        let flags = self.flags()?.flags;
        if flags & (flag::EXTENTS | flag::INLINE_DATA) == 0 && range != Range::PunchHole {
            return Err(Errno::EOPNOTSUPP);
        }
        Ok(())
    }

    fn fallocate(&self, range: Range, offset: u64, len: u64, now: Timestamp) -> Result<()> {
        let (what, keep_size) = match range {
            Range::Allocate { keep_size } => (Space::Allocate, keep_size),
            Range::PunchHole => (Space::Punch, true),
            Range::Zero { keep_size } => (Space::Zero, keep_size),
            Range::Collapse => (Space::Collapse, true),
            Range::Insert => (Space::Insert, true),
        };
        self.change_of(&[], |fs| {
            // All was written before; a promise that is left is for what goes now.
            let end = if matches!(range, Range::Collapse | Range::Insert) { u64::MAX } else { offset + len };
            self.unpromise(fs, offset, end);
            fs.fallocate(self.ino, what, offset, len, keep_size, time(now))
        })
    }

    fn seek(&self, what: Seek, offset: u64, size: u64) -> Result<u64> {
        let mut fs = self.mounted.fs.lock();
        let own = fs.attr(self.ino)?.size;
        match what {
            Seek::Data => fs.seek_data(self.ino, offset),
            // What a program has added as a hole may not be known here yet.
            Seek::Hole if offset >= own => Ok(offset),
            Seek::Hole => fs.seek_hole(self.ino, offset).map(|at| at.min(size)),
        }
    }

    fn fsync(&self, _data_only: bool) -> Result<()> {
        self.mounted.fs.lock().commit()
    }

    fn evict(&self) -> Result<()> {
        let mut fs = self.mounted.fs.lock();
        self.unpromise(&mut fs, 0, u64::MAX);
        let now = fs.now;
        let done = fs.evict(self.ino, now);
        if let Err(e) = done {
            tracing::error!(target: "lkl::ext4", ino = self.ino, error = ?e, "a removed file could not be freed");
        }
        done
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.mounted.look(|fs| fs.xattr(self.ino, name))
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], how: XattrSet, now: Timestamp) -> Result<()> {
        let how = match how {
            XattrSet::Any => SetMode::Any,
            XattrSet::Create => SetMode::Create,
            XattrSet::Replace => SetMode::Replace,
        };
        self.change_of(&[], |fs| fs.set_xattr(self.ino, name, value, how, time(now)))
    }

    fn remove_xattr(&self, name: &[u8], now: Timestamp) -> Result<()> {
        self.change_of(&[], |fs| fs.remove_xattr(self.ino, name, time(now)))
    }

    fn list_xattrs(&self) -> Result<Vec<Vec<u8>>> {
        self.mounted.look(|fs| fs.xattr_list(self.ino))
    }
}
