//! The side of the host.

use super::{Attributes, Result, Side, SideFile, Xattrs};
use lkl::abi::stat::Dev;
use lkl::abi::Errno;
use lkl::{Error, Metadata, NewFile, SetTime, Timestamp};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, StatxFlags, Timespec, Timestamps, Uid, XattrFlags};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The longest value of an extended attribute, and the longest list of their names (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const XATTR_MAX: usize = 65536;
/// Most of them are no longer than that.
const XATTR_SHORT: usize = 256;

/// A directory of the host.
#[derive(Debug)]
pub struct HostDir {
    fd: OwnedFd,
    path: PathBuf,
    /// Owner and group of files that are made in it; `None` if they are not made as they are asked for.
    makes: OnceLock<Option<(u32, u32)>>,
}

/// A file of the host.
#[derive(Debug)]
pub struct HostFile {
    fd: OwnedFd,
    path: PathBuf,
}

fn error(e: rustix::io::Errno, path: &Path) -> Error {
    Error { errno: Errno(e.raw_os_error()), path: path.to_owned(), detail: None }
}

impl HostDir {
    /// Opens a directory.
    ///
    /// # Errors
    /// `man 2 open`
    pub fn open_path(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| error(e, path))?;
        Ok(Self::new(fd, path.to_owned()))
    }

    fn new(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path, makes: OnceLock::new() }
    }

    /// Makes a file to see whose it is. It keeps none.
    fn try_out(&self, name: &OsStr) -> Result<Option<(u32, u32)>> {
        let known = self.create(name, 0).and_then(|file| file.known());
        let gone = match &known {
            Err(e) if e.errno == Errno::EEXIST => Ok(()),
            _ => self.unlink(name),
        };
        let known = known?;
        gone?;
        Ok((known.mode & 0o7777 == 0o600).then_some((known.uid, known.gid)))
    }

    fn fail(&self, name: impl AsRef<Path>) -> impl Fn(rustix::io::Errno) -> Error {
        let path = if self.path == Path::new(".") { name.as_ref().to_owned() } else { self.path.join(name) };
        move |e| error(e, &path)
    }

    /// A path by which calls that take no directory find a file of this one.
    fn through(&self, name: &OsStr) -> PathBuf {
        Path::new("/proc/self/fd").join(self.fd.as_raw_fd().to_string()).join(name)
    }

    fn statx(&self, path: &Path, flags: AtFlags) -> Result<Metadata> {
        statx(&self.fd, path, flags).map_err(self.fail(path))
    }
}

fn statx(fd: &OwnedFd, path: &Path, flags: AtFlags) -> rustix::io::Result<Metadata> {
    let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let s = rustix::fs::statx(fd, path, flags, mask)?;
    let time = |t: rustix::fs::StatxTimestamp| Timestamp { secs: t.tv_sec, nanos: t.tv_nsec };
    let known = StatxFlags::from_bits_retain(s.stx_mask).contains(StatxFlags::BTIME);
    Ok(Metadata {
        dev: (s.stx_dev_major, s.stx_dev_minor),
        ino: s.stx_ino,
        mode: s.stx_mode.into(),
        nlink: s.stx_nlink,
        uid: s.stx_uid,
        gid: s.stx_gid,
        rdev: (s.stx_rdev_major, s.stx_rdev_minor),
        size: s.stx_size,
        blocks: s.stx_blocks,
        blksize: s.stx_blksize,
        atime: time(s.stx_atime),
        mtime: time(s.stx_mtime),
        ctime: time(s.stx_ctime),
        btime: known.then(|| time(s.stx_btime)),
        attributes: s.stx_attributes.bits(),
    })
}

/// What a call gives that fills a buffer and answers how much it is: few attributes are worth as much room as the longest may need.
fn filled(fill: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut value = vec![0; XATTR_SHORT];
    let len = fill(&mut value).or_else(|e| match e {
        rustix::io::Errno::RANGE => {
            value.resize(XATTR_MAX, 0);
            fill(&mut value)
        }
        e => Err(e),
    })?;
    value.truncate(len);
    Ok(value)
}

/// The names of a list, each of which ends in a NUL.
fn split_names(list: &[u8]) -> Vec<OsString> {
    list.split(|b| *b == 0).filter(|n| !n.is_empty()).map(|n| OsStr::from_bytes(n).to_owned()).collect()
}

fn timestamps(atime: SetTime, mtime: SetTime) -> Timestamps {
    Timestamps { last_access: timespec(atime), last_modification: timespec(mtime) }
}

fn timespec(time: SetTime) -> Timespec {
    match time {
        SetTime::Now => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        SetTime::Omit => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        SetTime::At(t) => Timespec { tv_sec: t.secs, tv_nsec: t.nanos.into() },
    }
}

impl Side for HostDir {
    type File = HostFile;

    fn path(&self) -> &Path {
        &self.path
    }

    fn open_dir(&self, name: &OsStr) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).map_err(self.fail(name))?;
        Ok(Self::new(fd, self.path.join(name)))
    }

    fn open_dir_at(&self, path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, path, flags, Mode::empty()).map_err(self.fail(path))?;
        let path = if self.path == Path::new(".") { path.to_owned() } else { self.path.join(path) };
        Ok(Self::new(fd, path))
    }

    fn names(&self) -> Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(self.fail(""))? {
            let name = entry.map_err(self.fail(""))?.file_name().to_bytes().to_owned();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn metadata(&self) -> Result<Metadata> {
        self.statx(Path::new(""), AtFlags::EMPTY_PATH)
    }

    fn lstat(&self, path: &Path) -> Result<Metadata> {
        self.statx(path, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn open(&self, name: &OsStr) -> Result<HostFile> {
        // Without NONBLOCK something else that has taken the name might wait for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).map_err(self.fail(name))?;
        Ok(HostFile { fd, path: self.path.join(name) })
    }

    fn create(&self, name: &OsStr, _mode: u32) -> Result<HostFile> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR).map_err(self.fail(name))?;
        Ok(HostFile { fd, path: self.path.join(name) })
    }

    fn make_whole(&self, name: &OsStr, file: &NewFile<'_>) -> Result<bool> {
        if file.mode & !0o777 != 0 || !file.xattrs.is_empty() {
            return Ok(false);
        }
        let makes = match self.makes.get() {
            Some(makes) => *makes,
            None => {
                let makes = self.try_out(name)?;
                *self.makes.get_or_init(|| makes)
            }
        };
        // With another owner, those who may read it in the end may be others than those who may at first.
        if makes != Some((file.uid, file.gid)) {
            return Ok(false);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(file.mode);
        let fd = rustix::fs::openat(&self.fd, name, flags, mode).map_err(self.fail(name))?;
        let made = HostFile { fd, path: self.path.join(name) };
        let at = SetTime::At;
        let done = made.write_at(file.data, 0).and_then(|()| made.set_times_of(at(file.atime), at(file.mtime)));
        if done.is_err() {
            let _best = self.unlink(name);
        }
        done.map(|()| true)
    }

    fn read_link(&self, name: &OsStr) -> Result<PathBuf> {
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new()).map_err(self.fail(name))?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    fn symlink(&self, target: &Path, name: &OsStr) -> Result<()> {
        rustix::fs::symlinkat(target, &self.fd, name).map_err(self.fail(name))
    }

    fn mkdir(&self, name: &OsStr) -> Result<()> {
        rustix::fs::mkdirat(&self.fd, name, Mode::RWXU).map_err(self.fail(name))
    }

    fn mknod(&self, name: &OsStr, mode: u32, (major, minor): Dev) -> Result<()> {
        let (kind, dev) = (FileType::from_raw_mode(mode), rustix::fs::makedev(major, minor));
        rustix::fs::mknodat(&self.fd, name, kind, Mode::from_raw_mode(mode & 0o777), dev).map_err(self.fail(name))
    }

    fn link(&self, path: &Path, to: &Self, new: &OsStr) -> Result<()> {
        rustix::fs::linkat(&self.fd, path, &to.fd, new, AtFlags::empty()).map_err(to.fail(new))
    }

    fn rename(&self, name: &OsStr, new: &OsStr) -> Result<()> {
        rustix::fs::renameat(&self.fd, name, &self.fd, new).map_err(self.fail(new))
    }

    fn unlink(&self, name: &OsStr) -> Result<()> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()).map_err(self.fail(name))
    }

    fn chown(&self, name: &OsStr, uid: u32, gid: u32) -> Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(&self.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(self.fail(name))
    }

    fn chmod(&self, name: &OsStr, mode: u32) -> Result<()> {
        rustix::fs::chmodat(&self.fd, name, Mode::from_raw_mode(mode), AtFlags::empty()).map_err(self.fail(name))
    }

    fn set_times(&self, name: &OsStr, atime: SetTime, mtime: SetTime) -> Result<()> {
        rustix::fs::utimensat(&self.fd, name, &timestamps(atime, mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.fail(name))
    }

    fn list_xattrs(&self, name: &OsStr) -> Result<Vec<OsString>> {
        let path = self.through(name);
        let list = filled(|room| rustix::fs::llistxattr(&path, room)).map_err(self.fail(name))?;
        Ok(split_names(&list))
    }

    fn get_xattr(&self, name: &OsStr, attr: &OsStr) -> Result<Vec<u8>> {
        let path = self.through(name);
        filled(|room| rustix::fs::lgetxattr(&path, attr, room)).map_err(self.fail(name))
    }

    fn set_xattr(&self, name: &OsStr, attr: &OsStr, value: &[u8]) -> Result<()> {
        rustix::fs::lsetxattr(self.through(name), attr, value, XattrFlags::empty()).map_err(self.fail(name))
    }

    fn remove_xattr(&self, name: &OsStr, attr: &OsStr) -> Result<()> {
        rustix::fs::lremovexattr(self.through(name), attr).map_err(self.fail(name))
    }

    fn free(&self) -> Result<u64> {
        let fs = rustix::fs::fstatvfs(&self.fd).map_err(self.fail(""))?;
        Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
    }
}

impl HostFile {
    fn told<T>(&self, result: rustix::io::Result<T>) -> Result<T> {
        result.map_err(|e| error(e, &self.path))
    }
}

impl Xattrs for HostFile {
    fn xattrs(&self) -> Result<Vec<OsString>> {
        self.told(filled(|room| rustix::fs::flistxattr(&self.fd, room))).map(|list| split_names(&list))
    }

    fn xattr(&self, attr: &OsStr) -> Result<Vec<u8>> {
        self.told(filled(|room| rustix::fs::fgetxattr(&self.fd, attr, room)))
    }
}

impl Attributes for HostFile {
    fn known(&self) -> Result<Metadata> {
        self.told(statx(&self.fd, Path::new(""), AtFlags::EMPTY_PATH))
    }

    fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        self.told(rustix::fs::fchown(&self.fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        self.told(rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode)))
    }

    fn set_times_of(&self, atime: SetTime, mtime: SetTime) -> Result<()> {
        self.told(rustix::fs::futimens(&self.fd, &timestamps(atime, mtime)))
    }

    fn put_xattr(&self, attr: &OsStr, value: &[u8]) -> Result<()> {
        self.told(rustix::fs::fsetxattr(&self.fd, attr, value, XattrFlags::empty()))
    }

    fn drop_xattr(&self, attr: &OsStr) -> Result<()> {
        self.told(rustix::fs::fremovexattr(&self.fd, attr))
    }
}

impl SideFile for HostFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, end: u64) -> Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(&self.fd, rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => {
                    done += n;
                    if offset + done as u64 == end {
                        break;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(error(e, &self.path)),
            }
        }
        Ok(done)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pwrite(&self.fd, rest, offset + done as u64) {
                Ok(0) => return Err(error(rustix::io::Errno::IO, &self.path)),
                Ok(n) => done += n,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(error(e, &self.path)),
            }
        }
        Ok(())
    }

    fn data(&self, offset: u64, size: u64) -> Result<Option<(u64, u64)>> {
        if offset >= size {
            return Ok(None);
        }
        let from = match rustix::fs::seek(&self.fd, SeekFrom::Data(offset)) {
            Ok(from) => from,
            Err(rustix::io::Errno::NXIO) => return Ok(None),
            // It knows no holes.
            Err(_) => return Ok(Some((offset, size))),
        };
        let to = rustix::fs::seek(&self.fd, SeekFrom::Hole(from)).unwrap_or(size);
        Ok(Some((from, to)).filter(|_| to > from))
    }

    fn set_len(&self, size: u64) -> Result<()> {
        rustix::fs::ftruncate(&self.fd, size).map_err(|e| error(e, &self.path))
    }
}
