//! For who copies trees: small files at once, without descriptors, and the content of large ones. Nothing of them is in memory
//! afterwards.

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::file::File;
use crate::stat::{Metadata, Timestamp};
use lkl_abi::Errno;
use lkl_vfs::{NewContent, NewWhole};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A regular file to be made ([`Dir::make_whole`]), as it is here: neither the umask nor what the directory gives its files changes
/// anything.
#[derive(Clone, Debug)]
pub struct NewFile<'a> {
    /// All that is in it.
    pub data: &'a [u8],
    /// Permissions (`0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of access.
    pub atime: Timestamp,
    /// Time of modification.
    pub mtime: Timestamp,
    /// Extended attributes.
    pub xattrs: &'a [(OsString, Vec<u8>)],
}

/// A file ([`Dir::read_whole`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WholeFile {
    /// What is known of it.
    pub meta: Metadata,
    /// What is in it; `None` if it is not a regular file with one name and without holes, or longer than was asked for.
    pub data: Option<Vec<u8>>,
    /// With `data`: its extended attributes.
    pub xattrs: Vec<(OsString, Vec<u8>)>,
}

impl Dir {
    /// Makes a regular file with all that it has, or nothing. Answers false where that can only be done step by step: on file systems that
    /// know no such thing, for files with ACLs, while anybody watches files, and if the process is not root.
    ///
    /// # Errors
    /// `EEXIST` if there is a file of that name already; `ENOSPC`, `EROFS`, `EIO`, and others (`man 2 open`).
    pub fn make_whole(&self, name: impl AsRef<OsStr>, file: &NewFile<'_>) -> Result<bool> {
        let name = name.as_ref();
        let xattrs: Vec<(&[u8], &[u8])> = file.xattrs.iter().map(|(k, v)| (k.as_bytes(), v.as_slice())).collect();
        let content = NewContent { data: file.data, atime: file.atime.into(), mtime: file.mtime.into() };
        let new = NewWhole { mode: file.mode, uid: file.uid, gid: file.gid, xattrs: &xattrs, content };
        let fd = self.fd();
        let made = fd.process().as_thread(|kernel, task| kernel.make_whole(task, fd.number(), name.as_bytes(), &new));
        match made {
            Err(Errno::EOPNOTSUPP) => Ok(false),
            made => made.map(|()| true).map_err(self.fail(name.as_ref())),
        }
    }

    /// What is known of the file of a name, and what is in it if that is at most `most` bytes; a symbolic link is not followed. Answers
    /// `None` where that can only be had step by step: on file systems that know no such thing or are mounted to be written, and if the
    /// process is not root.
    ///
    /// # Errors
    /// `ENOENT`, `EIO`, and others (`man 2 open`).
    pub fn read_whole(&self, name: impl AsRef<OsStr>, most: usize) -> Result<Option<WholeFile>> {
        let (name, fd) = (name.as_ref(), self.fd());
        let read = fd.process().as_thread(|kernel, task| kernel.read_whole(task, fd.number(), name.as_bytes(), most));
        match read {
            Err(Errno::EOPNOTSUPP) => Ok(None),
            read => {
                let (stat, file) = read.map_err(self.fail(name.as_ref()))?;
                let xattrs = file.xattrs.into_iter().map(|(k, v)| (OsString::from_vec(k), v)).collect();
                Ok(Some(WholeFile { meta: Metadata::parse(&stat.to_statx()), data: file.data, xattrs }))
            }
        }
    }
}

impl File {
    /// Reads at `offset` past the kernel's cache. Answers the bytes read, fewer than `buf` takes only at the end of the file; `None` where
    /// that cannot be: in file systems that have no cache, for files that are being written, and without `O_NOATIME`.
    ///
    /// # Errors
    /// `man 2 pread`
    pub fn read_around(&self, buf: &mut [u8], offset: u64) -> Result<Option<usize>> {
        let fd = self.number();
        self.done(self.process().as_thread(|kernel, task| kernel.read_around(task, fd, buf, offset)))
    }

    /// Writes all of `data` at `offset` past the kernel's cache. Answers `None` where that cannot be: in file systems that have no cache, and
    /// for files that are being written in the usual way. Of what fails a part may have been written.
    ///
    /// # Errors
    /// `man 2 pwrite`
    pub fn write_around(&self, data: &[u8], offset: u64) -> Result<Option<()>> {
        let fd = self.number();
        self.done(self.process().as_thread(|kernel, task| kernel.write_around(task, fd, data, offset)))
    }

    fn done<T>(&self, result: core::result::Result<T, Errno>) -> Result<Option<T>> {
        match result {
            Err(Errno::EOPNOTSUPP) => Ok(None),
            result => result.map(Some).map_err(|e| Error::new(e, self.path())),
        }
    }
}

impl From<Timestamp> for lkl_vfs::Timestamp {
    fn from(t: Timestamp) -> Self {
        Self { secs: t.secs, nanos: t.nanos }
    }
}
