//! Files made and read as a whole ([`Vfs::make_whole`](lkl_vfs::Vfs::make_whole)), for a library that copies trees. Linux has no call
//! for that.

use crate::kernel::Kernel;
use crate::openfile::OpenFile;
use crate::process::Task;
use lkl_abi::stat::Stat;
use lkl_abi::{Errno, Result};
use lkl_vfs::{NewWhole, Place, VfsFile, WholeFile};

impl Kernel {
    /// Makes a regular file in the directory of a descriptor, or nothing.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be made step by step; as [`Vfs::make_whole`](lkl_vfs::Vfs::make_whole); `EBADF`; `EIO` after a panic.
    pub fn make_whole(&self, task: &Task, dir: i32, name: &[u8], file: &NewWhole<'_>) -> Result<()> {
        self.in_dir(task, dir, |place| {
            // Who watches the directory is told by the calls, and so is who writes too much.
            let most = file.content.data.len() as u64;
            if self.inotify.any() || most > task.process().size_limit()[0] {
                return Err(Errno::EOPNOTSUPP);
            }
            self.vfs().make_whole(&task.fs_cred(), place, name, file)
        })
    }

    /// What is known of a file in the directory of a descriptor, and what is in it if that is small.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be read step by step; as [`Vfs::read_whole`](lkl_vfs::Vfs::read_whole); `EBADF`; `EIO` after a panic.
    pub fn read_whole(&self, task: &Task, dir: i32, name: &[u8], most: usize) -> Result<(Stat, WholeFile)> {
        self.in_dir(task, dir, |place| {
            let file = self.vfs().read_whole(&task.fs_cred(), place, name, most)?;
            Ok((place.stat_as(&file.attr, 0), file))
        })
    }

    /// Reads an open file at `offset` past the page cache. Answers the bytes read: fewer than `buf` takes only at its end.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be read by a call; `EBADF`, and others (`man 2 pread`).
    pub fn read_around(&self, task: &Task, fd: i32, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.with_file(task, fd, |file| self.unwatched(file)?.read_around(buf, offset))
    }

    /// Writes all of `data` to an open file at `offset` past the page cache.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be written by a call, also as it would become longer than the process may make it (`RLIMIT_FSIZE`); `EBADF`, and others (`man 2 pwrite`).
    pub fn write_around(&self, task: &Task, fd: i32, data: &[u8], offset: u64) -> Result<()> {
        if offset.saturating_add(data.len() as u64) > task.process().size_limit()[0] {
            return Err(Errno::EOPNOTSUPP);
        }
        self.with_file(task, fd, |file| self.unwatched(file)?.write_around(data, offset))
    }

    /// The file of a file system that this is, while nobody watches any: who does is told by the calls.
    fn unwatched<'a>(&self, file: &'a OpenFile) -> Result<&'a VfsFile> {
        file.content().filter(|_| !self.inotify.any()).ok_or(Errno::EOPNOTSUPP)
    }

    fn in_dir<T>(&self, task: &Task, dir: i32, act: impl FnOnce(&Place) -> Result<T>) -> Result<T> {
        self.with_file(task, dir, |file| act(file.place().ok_or(Errno::ENOTDIR)?))
    }

    fn with_file<T>(&self, task: &Task, fd: i32, act: impl FnOnce(&OpenFile) -> Result<T>) -> Result<T> {
        if self.oopsed() {
            return Err(Errno::EIO);
        }
        let done = self.guard("a whole file", || act(&*task.process().file(fd)?));
        if self.has_later() {
            let _done = self.guard("the end of a whole file", || {
                self.drop_now();
                Ok(())
            });
        }
        done
    }
}
