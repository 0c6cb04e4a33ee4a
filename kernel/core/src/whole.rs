//! Files made and read as a whole ([`Vfs::make_whole`](lkl_vfs::Vfs::make_whole)), for a library that copies trees. Linux has no call
//! for that.

use crate::kernel::Kernel;
use crate::process::Task;
use lkl_abi::stat::Stat;
use lkl_abi::{Errno, Result};
use lkl_vfs::{NewWhole, Place, WholeFile};

impl Kernel {
    /// Makes a regular file in the directory of a descriptor, or nothing.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be made step by step; as [`Vfs::make_whole`](lkl_vfs::Vfs::make_whole); `EBADF`; `EIO` after a panic.
    pub fn make_whole(&self, task: &Task, dir: i32, name: &[u8], file: &NewWhole<'_>) -> Result<()> {
        self.in_dir(task, dir, |place| {
            // Who watches the directory is told by the calls.
            if self.inotify.any() {
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

    fn in_dir<T>(&self, task: &Task, dir: i32, act: impl FnOnce(&Place) -> Result<T>) -> Result<T> {
        if self.oopsed() {
            return Err(Errno::EIO);
        }
        let done = self.guard("a whole file", || {
            let file = task.process().file(dir)?;
            act(file.place().ok_or(Errno::ENOTDIR)?)
        });
        if self.has_later() {
            let _done = self.guard("the end of a whole file", || {
                self.drop_now();
                Ok(())
            });
        }
        done
    }
}
