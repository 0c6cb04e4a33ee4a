//! Directories, and all that is done with names in them.

use crate::call::{sized, text, Arg};
use crate::error::{Error, Result};
use crate::file::{Fd, File};
use crate::process::Process;
use crate::stat::{FileType, Metadata, SetTime, StatFs};
use lkl_abi::fcntl::{AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW};
use lkl_abi::fcntl::{O_CLOEXEC, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, O_TRUNC, O_WRONLY};
use lkl_abi::stat::{to_dev_t, Dev, STATX_BASIC_STATS, STATX_BTIME, STATX_SIZE};
use lkl_abi::statfs::STATFS_SIZE;
use lkl_abi::{nr, Errno};
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Room for the target of a symbolic link (`PATH_MAX`).
const TARGET_MAX: usize = 4096;
/// Bytes of names read at once.
const NAMES: usize = 32 << 10;
/// Where the name begins in `struct linux_dirent64`.
const NAME: usize = 19;

/// A directory that is open. Paths given to its methods begin there, if they do not begin with a slash; then they begin at the root of its
/// [`crate::Mount`] or process. Names are any bytes.
///
/// Methods that change or tell something of a file by path do not follow a symbolic link at its end, but where they say so.
#[derive(Debug)]
pub struct Dir {
    fd: Fd,
}

impl Dir {
    /// The root directory of a process.
    pub(crate) fn root(process: &Arc<Process>) -> Result<Self> {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
        Ok(Self { fd: Fd::open(process, lkl_abi::fcntl::AT_FDCWD, Path::new("/"), Path::new("/"), flags, 0)? })
    }

    pub(crate) fn of(fd: Fd) -> Self {
        Self { fd }
    }

    /// Where it was when it was opened, for messages.
    pub fn path(&self) -> &Path {
        self.fd.path()
    }

    pub(crate) fn fd(&self) -> &Fd {
        &self.fd
    }

    pub(crate) fn fail(&self, path: &Path) -> impl Fn(Errno) -> Error {
        let path = self.place(path);
        move |errno| Error::new(errno, &path)
    }

    fn place(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() {
            self.path().to_owned()
        } else {
            self.path().join(path)
        }
    }

    /// Makes a call that begins with this directory and a path.
    fn at<const N: usize>(&self, number: usize, path: &Path, rest: [Arg<'_>; N]) -> Result<u64> {
        let call = |name: CString| {
            let mut args = [Arg::Fd(self.fd.number()), Arg::Text(&name), Arg::Num(0), Arg::Num(0), Arg::Num(0)];
            for (to, from) in args.iter_mut().skip(2).zip(rest) {
                *to = from;
            }
            self.fd.process().call(number, args)
        };
        text(path).and_then(call).map_err(|e| Error::new(e, self.place(path)))
    }

    /// Opens a directory, following symbolic links.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, and others (`man 2 open`).
    pub fn open_dir(&self, path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { fd: self.open_fd(path.as_ref(), O_RDONLY | O_DIRECTORY, 0)? })
    }

    /// Opens a directory that must not be a symbolic link.
    ///
    /// # Errors
    /// `ENOTDIR` for a symbolic link; else as [`Dir::open_dir`].
    pub fn open_dir_nofollow(&self, path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { fd: self.open_fd(path.as_ref(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)? })
    }

    /// Opens a file to be read, following symbolic links.
    ///
    /// # Errors
    /// `man 2 open`
    pub fn open(&self, path: impl AsRef<Path>) -> Result<File> {
        self.open_with(path, O_RDONLY, 0)
    }

    /// Opens a file to be written. It is made if it is not there, and emptied if it is.
    ///
    /// # Errors
    /// `man 2 open`
    pub fn create(&self, path: impl AsRef<Path>, mode: u32) -> Result<File> {
        self.open_with(path, O_WRONLY | O_CREAT | O_TRUNC, mode)
    }

    /// Opens a file with flags ([`lkl_abi::fcntl`]).
    ///
    /// # Errors
    /// `man 2 open`
    pub fn open_with(&self, path: impl AsRef<Path>, flags: u32, mode: u32) -> Result<File> {
        Ok(File::new(self.open_fd(path.as_ref(), flags, mode)?))
    }

    /// Opens a file of any type, a symbolic link too, only to be known: its attributes can be asked for, also after its name is gone.
    ///
    /// # Errors
    /// `man 2 open`, `O_PATH`
    pub fn open_path(&self, path: impl AsRef<Path>) -> Result<File> {
        self.open_with(path, O_PATH | O_NOFOLLOW, 0)
    }

    fn open_fd(&self, path: &Path, flags: u32, mode: u32) -> Result<Fd> {
        Fd::open(self.fd.process(), self.fd.number(), path, &self.place(path), flags | O_CLOEXEC, mode)
    }

    /// Another descriptor of the same directory, with a position of its own in the list of its names.
    ///
    /// # Errors
    /// `EMFILE`
    pub fn reopen(&self) -> Result<Self> {
        self.open_dir(".").map(|mut dir| {
            dir.fd.set_path(self.path());
            dir
        })
    }

    /// The names in it, but `.` and `..`.
    ///
    /// # Errors
    /// `EMFILE`
    pub fn read_dir(&self) -> Result<ReadDir> {
        Ok(ReadDir { dir: self.reopen()?, buffer: vec![0; NAMES], at: 0, filled: 0, failed: false, dots: false })
    }

    /// What is known of a file, symbolic links followed.
    ///
    /// # Errors
    /// `man 2 statx`
    pub fn stat(&self, path: impl AsRef<Path>) -> Result<Metadata> {
        self.statx(path.as_ref(), 0)
    }

    /// What is known of a file, or of a symbolic link itself.
    ///
    /// # Errors
    /// `man 2 statx`
    pub fn lstat(&self, path: impl AsRef<Path>) -> Result<Metadata> {
        self.statx(path.as_ref(), AT_SYMLINK_NOFOLLOW)
    }

    /// What is known of this directory.
    ///
    /// # Errors
    /// `EIO`
    pub fn metadata(&self) -> Result<Metadata> {
        self.statx(Path::new(""), AT_EMPTY_PATH)
    }

    fn statx(&self, path: &Path, flags: u32) -> Result<Metadata> {
        let mut statx = [0; STATX_SIZE];
        let mask = u64::from(STATX_BASIC_STATS | STATX_BTIME);
        let rest = [Arg::Num(flags.into()), Arg::Num(mask), Arg::RecordOut(&mut statx)];
        self.at(nr::STATX, path, rest)?;
        Ok(Metadata::parse(&statx))
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// `EINVAL` if it is none; `man 2 readlink`
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let mut target = vec![0; TARGET_MAX];
        let len = self.at(nr::READLINKAT, path.as_ref(), [Arg::Out(&mut target)])?;
        target.truncate(usize::try_from(len).unwrap_or(TARGET_MAX));
        Ok(OsString::from_vec(target).into())
    }

    /// Makes a directory. The process's umask takes bits from `mode`; that of a [`crate::Mount`] is 0.
    ///
    /// # Errors
    /// `EEXIST`, and others (`man 2 mkdir`).
    pub fn mkdir(&self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        self.at(nr::MKDIRAT, path.as_ref(), [Arg::Num(mode.into())]).map(drop)
    }

    /// Makes a file: type and permissions by `mode`, and the number of a device.
    ///
    /// # Errors
    /// `man 2 mknod`
    pub fn mknod(&self, path: impl AsRef<Path>, mode: u32, dev: Dev) -> Result<()> {
        self.at(nr::MKNODAT, path.as_ref(), [Arg::Num(mode.into()), Arg::Num(to_dev_t(dev))]).map(drop)
    }

    /// Makes a symbolic link at `path` to `target`, whatever that is.
    ///
    /// # Errors
    /// `man 2 symlink`
    pub fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let make = || {
            let (target, name) = (text(target.as_ref())?, text(path)?);
            let args = [Arg::Text(&target), Arg::Fd(self.fd.number()), Arg::Text(&name)];
            self.fd.process().call(nr::SYMLINKAT, args)
        };
        make().map(drop).map_err(self.fail(path))
    }

    /// Gives the file at `path` another name in the directory `to`, of the same mount.
    ///
    /// # Errors
    /// `EXDEV`, and others (`man 2 link`).
    pub fn link(&self, path: impl AsRef<Path>, to: &Self, new: impl AsRef<Path>) -> Result<()> {
        self.two(nr::LINKAT, path.as_ref(), to, new.as_ref(), 0)
    }

    /// Gives a name to a file that has none (`O_TMPFILE`), or another one to one that is known by descriptor.
    ///
    /// # Errors
    /// `man 2 linkat`, `AT_EMPTY_PATH`
    pub fn link_file(&self, file: &File, new: impl AsRef<Path>) -> Result<()> {
        let new = new.as_ref();
        let call = |name: CString| {
            let flags = u64::from(AT_EMPTY_PATH | AT_SYMLINK_FOLLOW);
            let (from, to) = (Arg::Fd(file.number()), Arg::Fd(self.fd.number()));
            self.fd.process().call(nr::LINKAT, [from, Arg::Text(c""), to, Arg::Text(&name), Arg::Num(flags)])
        };
        text(new).and_then(call).map(drop).map_err(self.fail(new))
    }

    /// Renames a file, into the directory `to`, which may be the same. `flags` are `RENAME_*` ([`lkl_abi::fs`]).
    ///
    /// # Errors
    /// `man 2 rename`
    pub fn rename(&self, path: impl AsRef<Path>, to: &Self, new: impl AsRef<Path>, flags: u32) -> Result<()> {
        self.two(nr::RENAMEAT2, path.as_ref(), to, new.as_ref(), flags)
    }

    fn two(&self, number: usize, path: &Path, to: &Self, new: &Path, flags: u32) -> Result<()> {
        let new_name = text(new).map_err(to.fail(new))?;
        // What fails is told of the name that is made.
        let rest = [Arg::Fd(to.fd.number()), Arg::Text(&new_name), Arg::Num(flags.into())];
        self.at(number, path, rest).map(drop).map_err(|e| match e.errno {
            Errno::ENOENT | Errno::EPERM => e,
            errno => Error::new(errno, to.place(new)),
        })
    }

    /// Removes a name of a file that is no directory.
    ///
    /// # Errors
    /// `man 2 unlink`
    pub fn unlink(&self, path: impl AsRef<Path>) -> Result<()> {
        self.at(nr::UNLINKAT, path.as_ref(), [Arg::Num(0)]).map(drop)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `ENOTEMPTY`, and others (`man 2 rmdir`).
    pub fn rmdir(&self, path: impl AsRef<Path>) -> Result<()> {
        self.at(nr::UNLINKAT, path.as_ref(), [Arg::Num(AT_REMOVEDIR.into())]).map(drop)
    }

    /// Sets the permissions of a file (`0o7777`), symbolic links followed: those of a link itself cannot be changed.
    ///
    /// # Errors
    /// `man 2 chmod`
    pub fn chmod(&self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        self.at(nr::FCHMODAT, path.as_ref(), [Arg::Num(mode.into())]).map(drop)
    }

    /// Sets owner and group; `None` leaves one as it is.
    ///
    /// # Errors
    /// `man 2 chown`
    pub fn chown(&self, path: impl AsRef<Path>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let id = |id: Option<u32>| Arg::Num(id.unwrap_or(u32::MAX).into());
        let flags = Arg::Num(AT_SYMLINK_NOFOLLOW.into());
        self.at(nr::FCHOWNAT, path.as_ref(), [id(uid), id(gid), flags]).map(drop)
    }

    /// Sets the times of access and of modification.
    ///
    /// # Errors
    /// `man 2 utimensat`
    pub fn set_times(&self, path: impl AsRef<Path>, atime: SetTime, mtime: SetTime) -> Result<()> {
        let times = [atime.to_bytes(), mtime.to_bytes()].concat();
        let rest = [Arg::Record(&times), Arg::Num(AT_SYMLINK_NOFOLLOW.into())];
        self.at(nr::UTIMENSAT, path.as_ref(), rest).map(drop)
    }

    /// What is known of the file system that it is on.
    ///
    /// # Errors
    /// `EIO`
    pub fn statfs(&self) -> Result<StatFs> {
        let mut statfs = [0; STATFS_SIZE];
        let args = [Arg::Fd(self.fd.number()), Arg::RecordOut(&mut statfs)];
        self.fd.process().call(nr::FSTATFS, args).map_err(self.fail(Path::new("")))?;
        Ok(StatFs::parse(&statfs))
    }

    /// Returns when all that was changed in its file system is durable.
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`, also for what was written before and could not be.
    pub fn sync(&self) -> Result<()> {
        self.fd.process().call(nr::SYNCFS, [Arg::Fd(self.fd.number())]).map(drop).map_err(self.fail(Path::new("")))
    }

    /// Returns when its names are durable.
    ///
    /// # Errors
    /// `EIO`
    pub fn fsync(&self) -> Result<()> {
        self.fd.process().call(nr::FSYNC, [Arg::Fd(self.fd.number())]).map(drop).map_err(self.fail(Path::new("")))
    }

    /// The names of a file's extended attributes.
    ///
    /// # Errors
    /// `man 2 listxattr`
    pub fn list_xattrs(&self, path: impl AsRef<Path>) -> Result<Vec<OsString>> {
        let path = path.as_ref();
        let list = |process: &Process| {
            let name = text(path)?;
            sized(|room| process.call(nr::LLISTXATTR, [Arg::Text(&name), Arg::Out(room)]))
        };
        self.fd.process().within(&self.fd, list).map(|list| split_names(&list)).map_err(self.fail(path))
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// `ENODATA` if it is not there; `man 2 getxattr`
    pub fn get_xattr(&self, path: impl AsRef<Path>, name: impl AsRef<OsStr>) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let get = |process: &Process| {
            let (path, name) = (text(path)?, text(name)?);
            sized(|room| process.call(nr::LGETXATTR, [Arg::Text(&path), Arg::Text(&name), Arg::Out(room)]))
        };
        self.fd.process().within(&self.fd, get).map_err(self.fail(path))
    }

    /// Sets an extended attribute. `flags`: `XATTR_CREATE`, `XATTR_REPLACE` or 0.
    ///
    /// # Errors
    /// `man 2 setxattr`
    pub fn set_xattr(&self, path: impl AsRef<Path>, name: impl AsRef<OsStr>, value: &[u8], flags: u32) -> Result<()> {
        let path = path.as_ref();
        let set = |process: &Process| {
            let (path, name) = (text(path)?, text(name)?);
            let args = [Arg::Text(&path), Arg::Text(&name), Arg::In(value), Arg::Num(flags.into())];
            process.call(nr::LSETXATTR, args)
        };
        self.fd.process().within(&self.fd, set).map(drop).map_err(self.fail(path))
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// `ENODATA` if it is not there; `man 2 removexattr`
    pub fn remove_xattr(&self, path: impl AsRef<Path>, name: impl AsRef<OsStr>) -> Result<()> {
        let path = path.as_ref();
        let remove = |process: &Process| {
            let (path, name) = (text(path)?, text(name)?);
            process.call(nr::LREMOVEXATTR, [Arg::Text(&path), Arg::Text(&name)])
        };
        self.fd.process().within(&self.fd, remove).map(drop).map_err(self.fail(path))
    }
}

/// The names of a list, each of which ends in a NUL.
pub(crate) fn split_names(list: &[u8]) -> Vec<OsString> {
    list.split(|b| *b == 0).filter(|n| !n.is_empty()).map(|n| OsStr::from_bytes(n).to_owned()).collect()
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    /// The name.
    pub name: OsString,
    /// Number of the file.
    pub ino: u64,
    /// Its type, if the directory says it.
    pub file_type: Option<FileType>,
    /// Where the list goes on after it, for [`ReadDir::seek`].
    pub next: u64,
}

/// The list of the names in a directory.
#[derive(Debug)]
pub struct ReadDir {
    dir: Dir,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
    failed: bool,
    dots: bool,
}

impl ReadDir {
    /// With `.` and `..` too.
    pub fn with_dots(mut self) -> Self {
        self.dots = true;
        self
    }

    /// Goes to a place in the list: 0, or a [`DirEntry::next`].
    ///
    /// # Errors
    /// `EINVAL`
    pub fn seek(&mut self, next: u64) -> Result<()> {
        let args = [Arg::Fd(self.dir.fd.number()), Arg::Num(next), Arg::Num(lkl_abi::fcntl::SEEK_SET.into())];
        self.dir.fd.process().call(nr::LSEEK, args).map_err(self.dir.fail(Path::new("")))?;
        (self.at, self.filled, self.failed) = (0, 0, false);
        Ok(())
    }

    /// The next one, `.` and `..` too.
    fn take(&mut self) -> Result<Option<DirEntry>> {
        if self.at >= self.filled {
            let args = [Arg::Fd(self.dir.fd.number()), Arg::Out(&mut self.buffer)];
            let filled = self.dir.fd.process().call(nr::GETDENTS64, args);
            let filled = filled.map_err(self.dir.fail(Path::new("")))?;
            (self.at, self.filled) = (0, usize::try_from(filled).unwrap_or(0).min(self.buffer.len()));
        }
        let Some(record) = self.buffer.get(self.at..self.filled).filter(|r| r.len() > NAME) else { return Ok(None) };
        let long = |at: usize| record.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes);
        let len = record.get(16..18).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes);
        let kind = record.get(18).copied().unwrap_or(0);
        let name = record.get(NAME..usize::from(len)).unwrap_or_default();
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        let entry = DirEntry {
            name: OsStr::from_bytes(name).to_owned(),
            ino: long(0),
            file_type: FileType::from_mode(u32::from(kind) << 12),
            next: long(8),
        };
        self.at += usize::from(len).max(NAME);
        Ok(Some(entry))
    }
}

impl Iterator for ReadDir {
    type Item = Result<DirEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.failed {
                return None;
            }
            let next = self.take().transpose()?;
            self.failed = next.is_err();
            if self.dots || !matches!(&next, Ok(entry) if entry.name == "." || entry.name == "..") {
                return Some(next);
            }
        }
    }
}
