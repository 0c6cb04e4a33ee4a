//! Where files are copied from, and to: the host, or an image. Both look the same here: directories that are open, and files in
//! them by name, so that no path gets too long and no symbolic link is followed on the way.

pub mod host;
mod image;

use lkl::{Error, Metadata, NewFile, SetTime, WholeFile};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What its operations answer.
pub type Result<T> = core::result::Result<T, Error>;

/// A directory that is open. Names are single ones, but where a path is said.
pub trait Side: Sized + Send + Sync {
    /// A file that is open.
    type File: SideFile + Sync;

    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// The directory of that name, which is no symbolic link.
    ///
    /// # Errors
    /// `ENOTDIR`, and others (`man 2 open`).
    fn open_dir(&self, name: &OsStr) -> Result<Self>;

    /// The directory at a path, symbolic links followed.
    ///
    /// # Errors
    /// `man 2 open`
    fn open_dir_at(&self, path: &Path) -> Result<Self>;

    /// All names in it, in order.
    ///
    /// # Errors
    /// `man 2 getdents64`
    fn names(&self) -> Result<Vec<OsString>>;

    /// What is known of it.
    ///
    /// # Errors
    /// `man 2 statx`
    fn metadata(&self) -> Result<Metadata>;

    /// What is known of the file at a path, a symbolic link at its end not followed.
    ///
    /// # Errors
    /// `man 2 statx`
    fn lstat(&self, path: &Path) -> Result<Metadata>;

    /// Opens a regular file to be read.
    ///
    /// # Errors
    /// `man 2 open`
    fn open(&self, name: &OsStr) -> Result<Self::File>;

    /// Makes a regular file, and opens it to be written. Where others can see it, only its owner may use it yet; else it has these
    /// permissions (0o777) from the start.
    ///
    /// # Errors
    /// `EEXIST`, and others (`man 2 open`).
    fn create(&self, name: &OsStr, mode: u32) -> Result<Self::File>;

    /// What is known of a file, and what is in it if that is at most `most` bytes; `None` where that is had step by step.
    ///
    /// # Errors
    /// `man 2 open`
    fn read_whole(&self, name: &OsStr, most: usize) -> Result<Option<WholeFile>> {
        let _ = (name, most);
        Ok(None)
    }

    /// Makes a regular file with all that it has, or nothing. Answers false where that is done step by step. No file of this directory
    /// gets an ACL from it.
    ///
    /// # Errors
    /// `EEXIST`, and others (`man 2 open`).
    fn make_whole(&self, name: &OsStr, file: &NewFile<'_>) -> Result<bool> {
        let _ = (name, file);
        Ok(false)
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// `man 2 readlink`
    fn read_link(&self, name: &OsStr) -> Result<PathBuf>;

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// `man 2 symlink`
    fn symlink(&self, target: &Path, name: &OsStr) -> Result<()>;

    /// Makes a directory that only its owner can enter.
    ///
    /// # Errors
    /// `man 2 mkdir`
    fn mkdir(&self, name: &OsStr) -> Result<()>;

    /// Makes a device, a FIFO or a socket.
    ///
    /// # Errors
    /// `man 2 mknod`
    fn mknod(&self, name: &OsStr, mode: u32, dev: (u32, u32)) -> Result<()>;

    /// Gives the file at `path`, which begins here, the name `new` in `to`.
    ///
    /// # Errors
    /// `man 2 link`
    fn link(&self, path: &Path, to: &Self, new: &OsStr) -> Result<()>;

    /// Renames a file of this directory.
    ///
    /// # Errors
    /// `man 2 rename`
    fn rename(&self, name: &OsStr, new: &OsStr) -> Result<()>;

    /// Removes a file that is no directory.
    ///
    /// # Errors
    /// `man 2 unlink`
    fn unlink(&self, name: &OsStr) -> Result<()>;

    /// Sets owner and group of a file, or of a symbolic link itself.
    ///
    /// # Errors
    /// `man 2 chown`
    fn chown(&self, name: &OsStr, uid: u32, gid: u32) -> Result<()>;

    /// Sets the permissions of a file that is no symbolic link.
    ///
    /// # Errors
    /// `man 2 chmod`
    fn chmod(&self, name: &OsStr, mode: u32) -> Result<()>;

    /// Sets the times of access and modification of a file, or of a symbolic link itself.
    ///
    /// # Errors
    /// `man 2 utimensat`
    fn set_times(&self, name: &OsStr, atime: SetTime, mtime: SetTime) -> Result<()>;

    /// The names of the extended attributes of a file, or of a symbolic link itself.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where there are none; `man 2 listxattr`
    fn list_xattrs(&self, name: &OsStr) -> Result<Vec<OsString>>;

    /// The value of one.
    ///
    /// # Errors
    /// `ENODATA`, and others (`man 2 getxattr`).
    fn get_xattr(&self, name: &OsStr, attr: &OsStr) -> Result<Vec<u8>>;

    /// Sets one.
    ///
    /// # Errors
    /// `man 2 setxattr`
    fn set_xattr(&self, name: &OsStr, attr: &OsStr, value: &[u8]) -> Result<()>;

    /// Removes one.
    ///
    /// # Errors
    /// `ENODATA`, and others (`man 2 removexattr`).
    fn remove_xattr(&self, name: &OsStr, attr: &OsStr) -> Result<()>;

    /// Bytes that are free on the file system.
    ///
    /// # Errors
    /// `EIO`
    fn free(&self) -> Result<u64>;
}

/// The extended attributes of a file.
pub trait Xattrs {
    /// The names of the extended attributes.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where there are none; `man 2 listxattr`
    fn xattrs(&self) -> Result<Vec<OsString>>;

    /// The value of one.
    ///
    /// # Errors
    /// `ENODATA`, and others (`man 2 getxattr`).
    fn xattr(&self, attr: &OsStr) -> Result<Vec<u8>>;
}

/// What a file has beside its content. It is one that is open, or [`Named`].
pub trait Attributes: Xattrs {
    /// What is known of it.
    ///
    /// # Errors
    /// `man 2 statx`
    fn known(&self) -> Result<Metadata>;

    /// Sets owner and group.
    ///
    /// # Errors
    /// `man 2 chown`
    fn set_owner(&self, uid: u32, gid: u32) -> Result<()>;

    /// Sets the permissions, but those of a symbolic link.
    ///
    /// # Errors
    /// `man 2 chmod`
    fn set_mode(&self, mode: u32) -> Result<()>;

    /// Sets the times of access and modification.
    ///
    /// # Errors
    /// `man 2 utimensat`
    fn set_times_of(&self, atime: SetTime, mtime: SetTime) -> Result<()>;

    /// Sets one.
    ///
    /// # Errors
    /// `man 2 setxattr`
    fn put_xattr(&self, attr: &OsStr, value: &[u8]) -> Result<()>;

    /// Removes one.
    ///
    /// # Errors
    /// `ENODATA`, and others (`man 2 removexattr`).
    fn drop_xattr(&self, attr: &OsStr) -> Result<()>;
}

/// A file under its name in a directory, or a symbolic link itself.
#[derive(Debug)]
pub struct Named<'a, S>(pub &'a S, pub &'a OsStr);

impl<S: Side> Xattrs for Named<'_, S> {
    fn xattrs(&self) -> Result<Vec<OsString>> {
        self.0.list_xattrs(self.1)
    }

    fn xattr(&self, attr: &OsStr) -> Result<Vec<u8>> {
        self.0.get_xattr(self.1, attr)
    }
}

impl<S: Side> Attributes for Named<'_, S> {
    fn known(&self) -> Result<Metadata> {
        self.0.lstat(Path::new(self.1))
    }

    fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        self.0.chown(self.1, uid, gid)
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        self.0.chmod(self.1, mode)
    }

    fn set_times_of(&self, atime: SetTime, mtime: SetTime) -> Result<()> {
        self.0.set_times(self.1, atime, mtime)
    }

    fn put_xattr(&self, attr: &OsStr, value: &[u8]) -> Result<()> {
        self.0.set_xattr(self.1, attr, value)
    }

    fn drop_xattr(&self, attr: &OsStr) -> Result<()> {
        self.0.remove_xattr(self.1, attr)
    }
}

/// A regular file that is open.
pub trait SideFile: Attributes {
    /// Reads at `offset`; less than `buf` takes at the file's end. `end` is where that was when it was asked for last: who has read up to
    /// there, and was given no more though there was room for it, need not ask again.
    ///
    /// # Errors
    /// `man 2 pread`
    fn read_at(&self, buf: &mut [u8], offset: u64, end: u64) -> Result<usize>;

    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// `man 2 pwrite`
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()>;

    /// The next range of data at or after `offset`, as beginning and end; `None` if all that follows is a hole. A file system that knows
    /// no holes says that there is one range.
    ///
    /// # Errors
    /// `EIO`
    fn data(&self, offset: u64, size: u64) -> Result<Option<(u64, u64)>>;

    /// Sets the length.
    ///
    /// # Errors
    /// `man 2 ftruncate`
    fn set_len(&self, size: u64) -> Result<()>;
}
