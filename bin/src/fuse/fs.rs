//! The operations of FUSE, each by a few calls to the image's kernel.

use super::nodes::{Nodes, ROOT};
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use lkl::abi::fcntl::{O_ACCMODE, O_APPEND, O_CREAT, O_DIRECT, O_NOATIME, O_NOFOLLOW, O_RDWR, O_WRONLY, SEEK_DATA};
use lkl::abi::fs::{
    FITRIM, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FS_IOC_GETFLAGS, FS_IOC_GETVERSION, FS_IOC_SETFLAGS,
    FS_IOC_SETVERSION, RENAME_EXCHANGE,
};
use lkl::abi::stat::{from_dev_t, to_dev_t, S_ISGID, S_ISUID};
use lkl::{Dir, Error, File, FileType, Metadata, ReadDir, SetTime};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

/// How long the host's kernel may take what it was told for true: nobody else changes the image.
const TTL: Duration = Duration::from_secs(1);
/// Requests of `ioctl` that are the image's to answer. The host's kernel lets no other kind of struct through than these have, and asks for
/// `FS_IOC_FSGETXATTR` itself before flags are set.
const IOCTLS: [u32; 7] = [
    FS_IOC_GETFLAGS,
    FS_IOC_SETFLAGS,
    FS_IOC_FSGETXATTR,
    FS_IOC_FSSETXATTR,
    FS_IOC_GETVERSION,
    FS_IOC_SETVERSION,
    FITRIM,
];
/// The longest name, if the file system does not say.
const NAME_MAX: u32 = 255;
/// Longest write that is asked for at once, in bytes.
const WRITE_MAX: u32 = 1 << 20;

/// A list of names that is being read: where it is, and what did not fit into the last answer.
struct Listing {
    list: ReadDir,
    next: u64,
    dir: Dir,
}

/// An image as FUSE sees it.
pub(super) struct ImageFs {
    /// Names are used with this held shared, and change with it held exclusively.
    nodes: RwLock<Nodes>,
    files: RwLock<HashMap<u64, Arc<File>>>,
    listings: Mutex<HashMap<u64, Arc<Mutex<Listing>>>>,
    last_handle: AtomicU64,
    /// The host's kernel checks permissions, and ACLs too.
    checked: bool,
}

type Result<T> = core::result::Result<T, Error>;

fn errno(e: &Error) -> Errno {
    Errno::from_i32(e.errno.0)
}

fn no(errno: lkl::Errno) -> Error {
    Error { errno, path: "".into(), detail: None }
}

fn kind(file_type: Option<FileType>) -> fuser::FileType {
    match file_type {
        Some(FileType::Directory) => fuser::FileType::Directory,
        Some(FileType::Symlink) => fuser::FileType::Symlink,
        Some(FileType::CharDevice) => fuser::FileType::CharDevice,
        Some(FileType::BlockDevice) => fuser::FileType::BlockDevice,
        Some(FileType::Fifo) => fuser::FileType::NamedPipe,
        Some(FileType::Socket) => fuser::FileType::Socket,
        Some(FileType::Regular) | None => fuser::FileType::RegularFile,
    }
}

fn attr(number: u64, meta: &Metadata) -> fuser::FileAttr {
    fuser::FileAttr {
        ino: INodeNo(number),
        size: meta.size,
        blocks: meta.blocks,
        atime: meta.atime.into(),
        mtime: meta.mtime.into(),
        ctime: meta.ctime.into(),
        crtime: meta.btime.unwrap_or_default().into(),
        kind: kind(meta.file_type()),
        perm: (meta.mode & 0o7777) as u16,
        nlink: meta.nlink,
        uid: meta.uid,
        gid: meta.gid,
        rdev: to_dev_t(meta.rdev) as u32,
        blksize: meta.blksize,
        flags: 0,
    }
}

fn time(time: Option<TimeOrNow>) -> SetTime {
    match time {
        None => SetTime::Omit,
        Some(TimeOrNow::Now) => SetTime::Now,
        Some(TimeOrNow::SpecificTime(at)) => SetTime::At(at.into()),
    }
}

/// The flags that a file of the image is opened with. The host's kernel appends by itself, and what it writes back from its pages must not be
/// appended again; it also does without pages by itself.
fn open_flags(flags: i32) -> u32 {
    let flags = flags as u32 & !(O_APPEND | O_DIRECT | O_CREAT | O_NOATIME);
    // A page that is written in part is read first, if it is mapped.
    match flags & O_ACCMODE {
        O_WRONLY => flags & !O_ACCMODE | O_RDWR,
        _ => flags,
    }
}

impl ImageFs {
    pub(super) fn new(root: Dir, checked: bool) -> Result<Self> {
        let meta = root.metadata()?;
        Ok(Self {
            nodes: RwLock::new(Nodes::new(root, &meta)),
            files: RwLock::new(HashMap::new()),
            listings: Mutex::new(HashMap::new()),
            last_handle: AtomicU64::new(0),
            checked,
        })
    }

    fn shared(&self) -> RwLockReadGuard<'_, Nodes> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Nodes> {
        self.nodes.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn listings(&self) -> MutexGuard<'_, HashMap<u64, Arc<Mutex<Listing>>>> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_handle(&self) -> u64 {
        self.last_handle.fetch_add(1, Relaxed) + 1
    }

    /// The file itself.
    fn place(&self, ino: INodeNo) -> Result<Arc<Dir>> {
        self.shared().get(ino.0).map(|node| node.place.clone()).ok_or_else(|| no(lkl::Errno::ESTALE))
    }

    fn file(&self, handle: FileHandle) -> Result<Arc<File>> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.get(&handle.0).cloned().ok_or_else(|| no(lkl::Errno::EBADF))
    }

    fn add_file(&self, number: u64, file: File) -> FileHandle {
        let (handle, file) = (self.new_handle(), Arc::new(file));
        self.exclusive().opened(number, &file);
        self.files.write().unwrap_or_else(PoisonError::into_inner).insert(handle, file);
        FileHandle(handle)
    }

    /// Does something with a file by a name that it has, or by a handle that is open.
    fn by_name<T>(
        &self,
        ino: INodeNo,
        name: impl FnOnce(&Dir, &OsStr) -> Result<T>,
        handle: impl FnOnce(&File) -> Result<T>,
    ) -> Result<T> {
        let nodes = self.shared();
        match (nodes.reach(ino.0), nodes.handle(ino.0)) {
            (Some((dir, file)), _) => name(&dir, &file),
            (None, Some(file)) => handle(&file),
            (None, None) => Err(no(lkl::Errno::ESTALE)),
        }
    }

    /// What is found under a name: its number and what is known of it. The host's kernel knows it from now on.
    fn find(&self, parent: u64, dir: &Dir, name: &OsStr) -> Result<(u64, Metadata)> {
        let place = dir.open_path(name)?.into_dir();
        let meta = place.metadata()?;
        let number = self.exclusive().found(parent, name, place, meta.ino);
        Ok((number, meta))
    }

    /// Makes a file, and gives it to whoever asked for it.
    fn make(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: Option<(u32, u32)>,
        make: impl FnOnce(&Dir, u32) -> Result<()>,
    ) -> Result<(u64, Metadata)> {
        let dir = self.place(parent)?;
        let (mode, umask) = mode.unwrap_or((0, 0));
        // The directory's own list of whom its files are for takes the place of the mask.
        let inherits = umask != 0 && dir.get_xattr(".", "system.posix_acl_default").is_ok();
        let mode = if inherits { mode } else { mode & !umask };
        make(&dir, mode)?;
        let group = (dir.metadata()?.mode & S_ISGID == 0).then_some(req.gid());
        if req.uid() != 0 || group.is_some_and(|gid| gid != 0) {
            dir.chown(name, Some(req.uid()), group)?;
            // Taken away by the change of owner.
            if mode & (S_ISUID | S_ISGID) != 0 && mode & 0o170_000 != 0o040_000 {
                dir.chmod(name, mode & 0o7777)?;
            }
        }
        self.find(parent.0, &dir, name)
    }

    fn change(
        &self,
        ino: INodeNo,
        mode: Option<u32>,
        (uid, gid): (Option<u32>, Option<u32>),
        size: Option<u64>,
        (atime, mtime): (SetTime, SetTime),
        fh: Option<FileHandle>,
    ) -> Result<Metadata> {
        if let Some(size) = size {
            let open = fh.and_then(|fh| self.file(fh).ok());
            match open {
                Some(file) => file.set_len(size)?,
                None => self.by_name(
                    ino,
                    |dir, name| dir.open_with(name, O_WRONLY | O_NOFOLLOW, 0)?.set_len(size),
                    |file| file.set_len(size),
                )?,
            }
        }
        if uid.is_some() || gid.is_some() {
            self.by_name(ino, |dir, name| dir.chown(name, uid, gid), |file| file.chown(uid, gid))?;
        }
        if let Some(mode) = mode {
            self.by_name(ino, |dir, name| dir.chmod(name, mode & 0o7777), |file| file.chmod(mode & 0o7777))?;
        }
        if (atime, mtime) != (SetTime::Omit, SetTime::Omit) {
            self.by_name(ino, |dir, name| dir.set_times(name, atime, mtime), |file| file.set_times(atime, mtime))?;
        }
        self.place(ino)?.metadata()
    }

    fn open_file(&self, ino: INodeNo, flags: i32) -> Result<File> {
        let appends = flags as u32 & O_APPEND;
        let flags = open_flags(flags) | O_NOFOLLOW;
        let open = |dir: &Dir, name: &OsStr| match dir.open_with(name, flags, 0) {
            // One that may only be read, and one that may only be appended to.
            Err(e) if e.errno == lkl::Errno::EROFS => dir.open_with(name, flags & !O_ACCMODE, 0),
            Err(e) if e.errno == lkl::Errno::EPERM && appends != 0 => dir.open_with(name, flags | appends, 0),
            opened => opened,
        };
        // There is no way to open a file without a name again.
        self.by_name(ino, open, |_| Err(no(lkl::Errno::ESTALE)))
    }

    fn listing(&self, handle: FileHandle) -> Result<Arc<Mutex<Listing>>> {
        self.listings().get(&handle.0).cloned().ok_or_else(|| no(lkl::Errno::EBADF))
    }

    /// Calls `add` for the names after `offset`, until it says that there is no more room.
    fn list(
        &self,
        fh: FileHandle,
        offset: u64,
        mut add: impl FnMut(&Dir, &lkl::DirEntry) -> Result<bool>,
    ) -> Result<()> {
        let listing = self.listing(fh)?;
        let mut listing = listing.lock().unwrap_or_else(PoisonError::into_inner);
        let Listing { list, next, dir } = &mut *listing;
        if offset != *next {
            list.seek(offset)?;
            *next = offset;
        }
        let mut any = false;
        while let Some(entry) = list.next() {
            let added = entry.and_then(|entry| add(dir, &entry).map(|fits| (fits, entry.next)));
            match added {
                Ok((true, after)) => *next = after,
                // This one is read again.
                Ok((false, _)) => {
                    list.seek(*next)?;
                    break;
                }
                // What was found so far is told first.
                Err(_) if any => {
                    list.seek(*next)?;
                    break;
                }
                Err(e) => {
                    list.seek(*next)?;
                    return Err(e);
                }
            }
            any = true;
        }
        Ok(())
    }
}

/// Answers with an error, or with what was done.
macro_rules! answer {
    ($reply:ident, $result:expr, $done:pat => $answer:expr) => {
        match $result {
            Ok($done) => $answer,
            Err(e) => $reply.error(errno(&e)),
        }
    };
}

impl Filesystem for ImageFs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let mut wanted = InitFlags::FUSE_ATOMIC_O_TRUNC
            | InitFlags::FUSE_DONT_MASK
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_ASYNC_DIO
            | InitFlags::FUSE_CACHE_SYMLINKS
            | InitFlags::FUSE_HAS_IOCTL_DIR;
        if self.checked {
            wanted |= InitFlags::FUSE_POSIX_ACL;
        }
        // An older kernel does without what it does not know.
        let _some = config.add_capabilities(wanted & config.capabilities());
        let _less = config.set_max_write(WRITE_MAX);
        Ok(())
    }

    fn destroy(&mut self) {
        self.files.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.listings().clear();
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.place(parent).and_then(|dir| self.find(parent.0, &dir, name));
        answer!(reply, found, (n, meta) => reply.entry(&TTL, &attr(n, &meta), Generation(0)));
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.exclusive().forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let meta = self.place(ino).and_then(|place| place.metadata());
        answer!(reply, meta, meta => reply.attr(&TTL, &attr(ino.0, &meta)));
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.change(ino, mode, (uid, gid), size, (time(atime), time(mtime)), fh);
        answer!(reply, changed, meta => reply.attr(&TTL, &attr(ino.0, &meta)));
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        // By the link itself, as it also has a target when its name is gone.
        let target = self.place(ino).and_then(|place| place.read_link(""));
        answer!(reply, target, target => reply.data(target.as_os_str().as_encoded_bytes()));
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry) {
        let make = |dir: &Dir, mode| dir.mknod(name, mode, from_dev_t(rdev.into()));
        let made = self.make(req, parent, name, Some((mode, umask)), make);
        answer!(reply, made, (n, meta) => reply.entry(&TTL, &attr(n, &meta), Generation(0)));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let made = self.make(req, parent, name, Some((mode & 0o7777 | 0o040_000, umask)), |dir, mode| {
            dir.mkdir(name, mode & 0o7777)
        });
        answer!(reply, made, (n, meta) => reply.entry(&TTL, &attr(n, &meta), Generation(0)));
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut nodes = self.exclusive();
        let gone = nodes.get(parent.0).ok_or_else(|| no(lkl::Errno::ESTALE)).and_then(|n| n.place.unlink(name));
        if gone.is_ok() {
            nodes.unname(parent.0, name);
        }
        answer!(reply, gone, () => reply.ok());
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut nodes = self.exclusive();
        let gone = nodes.get(parent.0).ok_or_else(|| no(lkl::Errno::ESTALE)).and_then(|n| n.place.rmdir(name));
        if gone.is_ok() {
            nodes.unname(parent.0, name);
        }
        answer!(reply, gone, () => reply.ok());
    }

    fn symlink(&self, req: &Request, parent: INodeNo, link_name: &OsStr, target: &Path, reply: ReplyEntry) {
        let made = self.make(req, parent, link_name, None, |dir, _| dir.symlink(target, link_name));
        answer!(reply, made, (n, meta) => reply.entry(&TTL, &attr(n, &meta), Generation(0)));
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut nodes = self.exclusive();
        let renamed = match (nodes.get(parent.0), nodes.get(newparent.0)) {
            (Some(from), Some(to)) => from.place.rename(name, &to.place, newname, flags.bits()),
            _ => Err(no(lkl::Errno::ESTALE)),
        };
        if renamed.is_ok() {
            let exchange = flags.bits() & RENAME_EXCHANGE != 0;
            nodes.rename((parent.0, name), (newparent.0, newname), exchange);
        }
        answer!(reply, renamed, () => reply.ok());
    }

    fn link(&self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let linked = self.place(newparent).and_then(|to| {
            self.by_name(ino, |dir, name| dir.link(name, &to, newname), |file| to.link_file(file, newname))?;
            self.find(newparent.0, &to, newname)
        });
        answer!(reply, linked, (n, meta) => reply.entry(&TTL, &attr(n, &meta), Generation(0)));
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.open_file(ino, flags.0);
        // Nobody else changes it: its pages stay good when it is closed.
        let keep = FopenFlags::FOPEN_KEEP_CACHE;
        answer!(reply, opened, file => reply.opened(self.add_file(ino.0, file), keep));
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let mut file = None;
        let made = self.make(req, parent, name, Some((mode, umask)), |dir, mode| {
            file = Some(dir.open_with(name, open_flags(flags) | O_CREAT | O_NOFOLLOW, mode & 0o7777)?);
            Ok(())
        });
        let made = made.and_then(|made| file.map(|file| (made, file)).ok_or_else(|| no(lkl::Errno::EIO)));
        answer!(reply, made, ((n, meta), file) => {
            let handle = self.add_file(n, file);
            reply.created(&TTL, &attr(n, &meta), Generation(0), handle, FopenFlags::FOPEN_KEEP_CACHE)
        });
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut data = vec![0; size as usize];
        let read = self.file(fh).and_then(|file| file.read_full_at(&mut data, offset));
        answer!(reply, read, n => reply.data(data.get(..n).unwrap_or_default()));
    }

    fn write(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.file(fh).and_then(|file| file.write_at(data, offset));
        answer!(reply, written, n => reply.written(n as u32));
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let file = self.files.write().unwrap_or_else(PoisonError::into_inner).remove(&fh.0);
        drop(file);
        reply.ok();
    }

    fn fsync(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        answer!(reply, self.file(fh).and_then(|file| file.sync(datasync)), () => reply.ok());
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.place(ino).and_then(|place| {
            let dir = place.reopen()?;
            Ok(Listing { list: dir.read_dir()?.with_dots(), next: 0, dir })
        });
        answer!(reply, opened, listing => {
            let handle = self.new_handle();
            self.listings().insert(handle, Arc::new(Mutex::new(listing)));
            reply.opened(FileHandle(handle), FopenFlags::empty())
        });
    }

    fn readdir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.list(fh, offset, |_, entry| {
            let number = self.shared().number(entry.ino);
            Ok(!reply.add(INodeNo(number), entry.next, kind(entry.file_type), &entry.name))
        });
        answer!(reply, listed, () => reply.ok());
    }

    fn readdirplus(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let listed = self.list(fh, offset, |dir, entry| {
            if entry.name == "." || entry.name == ".." {
                // Not looked up, for the host's kernel does not count these.
                let number = self.shared().number(entry.ino);
                let meta = dir.metadata()?;
                let full = reply.add(
                    INodeNo(number),
                    entry.next,
                    &entry.name,
                    &Duration::ZERO,
                    &attr(number, &meta),
                    Generation(0),
                );
                return Ok(!full);
            }
            let (number, meta) = match self.find(ino.0, dir, &entry.name) {
                Ok(found) => found,
                // Removed meanwhile.
                Err(e) if e.errno == lkl::Errno::ENOENT => return Ok(true),
                Err(e) => return Err(e),
            };
            let full = reply.add(INodeNo(number), entry.next, &entry.name, &TTL, &attr(number, &meta), Generation(0));
            if full {
                self.exclusive().forget(number, 1);
            }
            Ok(!full)
        });
        answer!(reply, listed, () => reply.ok());
    }

    fn releasedir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        let listing = self.listings().remove(&fh.0);
        drop(listing);
        reply.ok();
    }

    fn fsyncdir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let synced = self.listing(fh).and_then(|listing| {
            let listing = listing.lock().unwrap_or_else(PoisonError::into_inner);
            listing.dir.fsync()
        });
        answer!(reply, synced, () => reply.ok());
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let fs = self.place(INodeNo(ROOT)).and_then(|root| root.statfs());
        answer!(reply, fs, fs => {
            let size = fs.block_size as u32;
            let name_max = u32::try_from(fs.name_max).unwrap_or(NAME_MAX);
            reply.statfs(fs.blocks, fs.blocks_free, fs.blocks_available, fs.files, fs.files_free, size, name_max, size)
        });
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let set = self.by_name(
            ino,
            |dir, file| dir.set_xattr(file, name, value, flags as u32),
            |file| file.set_xattr(name, value, flags as u32),
        );
        answer!(reply, set, () => reply.ok());
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value = self.by_name(ino, |dir, file| dir.get_xattr(file, name), |file| file.get_xattr(name));
        sized(reply, size, value);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.by_name(ino, |dir, file| dir.list_xattrs(file), |file| file.list_xattrs());
        let list = names.map(|names| {
            names.iter().flat_map(|n| n.as_encoded_bytes().iter().copied().chain([0])).collect::<Vec<u8>>()
        });
        sized(reply, size, list);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let gone = self.by_name(ino, |dir, file| dir.remove_xattr(file, name), |file| file.remove_xattr(name));
        answer!(reply, gone, () => reply.ok());
    }

    fn access(&self, _req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        let meta = self.place(ino).and_then(|place| place.metadata());
        answer!(reply, meta, meta => {
            // Whoever has mounted it may do everything; a program is one for somebody at least.
            let program = meta.is_dir() || meta.mode & 0o111 != 0;
            match mask.contains(AccessFlags::X_OK) && !program {
                true => reply.error(Errno::EACCES),
                false => reply.ok(),
            }
        });
    }

    fn ioctl(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: IoctlFlags,
        cmd: u32,
        in_data: &[u8],
        out_size: u32,
        reply: ReplyIoctl,
    ) {
        // The host's kernel gives no handle of its own where only a name is known.
        let by_name = |_| self.by_name(ino, |dir, name| dir.open(name).map(Arc::new), |_| Err(no(lkl::Errno::EBADF)));
        let file = self.file(fh).or_else(|_| self.place(ino)?.open(".").map(Arc::new)).or_else(by_name);
        let done = file.and_then(|file| {
            if !IOCTLS.contains(&cmd) {
                return Err(no(lkl::Errno::ENOTTY));
            }
            // As many bytes as the request says; the kernel has copied those that it reads.
            let mut data = in_data.to_vec();
            data.resize((cmd >> 16 & 0x3fff) as usize, 0);
            file.ioctl(cmd, &mut data)?;
            // It says 8, but programs give it an `int`, and no more is written to it elsewhere.
            if cmd == FS_IOC_GETVERSION {
                data.truncate(4);
            }
            Ok(data)
        });
        answer!(reply, done, out => reply.ioctl(0, out.get(..out_size as usize).unwrap_or(&out)));
    }

    fn fallocate(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let done = self.file(fh).and_then(|file| file.fallocate(mode as u32, offset, length));
        answer!(reply, done, () => reply.ok());
    }

    fn lseek(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let at = self.file(fh).and_then(|file| {
            let offset = u64::try_from(offset).map_err(|_| no(lkl::Errno::ENXIO))?;
            let found = if whence as u32 == SEEK_DATA { file.seek_data(offset)? } else { file.seek_hole(offset)? };
            found.ok_or_else(|| no(lkl::Errno::ENXIO))
        });
        answer!(reply, at, at => reply.offset(at as i64));
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        _ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        _ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        // The answer has 32 bits.
        let len = len.min(1 << 30);
        let done = self.file(fh_in).and_then(|from| from.copy_range(offset_in, &*self.file(fh_out)?, offset_out, len));
        answer!(reply, done, n => reply.written(n as u32));
    }
}

/// Answers the length of a value, or the value if there is room for it.
fn sized(reply: ReplyXattr, room: u32, value: Result<Vec<u8>>) {
    match value {
        Err(e) => reply.error(errno(&e)),
        Ok(value) if room == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() > room as usize => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
    }
}
