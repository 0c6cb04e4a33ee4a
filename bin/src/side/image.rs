//! The side of an image.

use super::{Attributes, Result, Side, SideFile, Xattrs};
use lkl::abi::fcntl::{O_CREAT, O_EXCL, O_NOATIME, O_NOFOLLOW, O_NONBLOCK, O_WRONLY};
use lkl::{Dir, File, Metadata, NewFile, SetTime, WholeFile};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// So many bytes go past the kernel's cache: they are not needed a second time.
const LARGE: usize = 64 << 10;

impl Side for Dir {
    type File = File;

    fn path(&self) -> &Path {
        Dir::path(self)
    }

    fn open_dir(&self, name: &OsStr) -> Result<Self> {
        self.open_dir_nofollow(name)
    }

    fn open_dir_at(&self, path: &Path) -> Result<Self> {
        Dir::open_dir(self, path)
    }

    fn names(&self) -> Result<Vec<OsString>> {
        let mut names = self.read_dir()?.map(|entry| entry.map(|e| e.name)).collect::<Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn metadata(&self) -> Result<Metadata> {
        Dir::metadata(self)
    }

    fn lstat(&self, path: &Path) -> Result<Metadata> {
        Dir::lstat(self, path)
    }

    fn open(&self, name: &OsStr) -> Result<File> {
        self.open_with(name, O_NOFOLLOW | O_NONBLOCK | O_NOATIME, 0)
    }

    fn create(&self, name: &OsStr, mode: u32) -> Result<File> {
        self.open_with(name, O_WRONLY | O_CREAT | O_EXCL, mode)
    }

    fn read_whole(&self, name: &OsStr, most: usize) -> Result<Option<WholeFile>> {
        Dir::read_whole(self, name, most)
    }

    fn make_whole(&self, name: &OsStr, file: &NewFile<'_>) -> Result<bool> {
        Dir::make_whole(self, name, file)
    }

    fn read_link(&self, name: &OsStr) -> Result<PathBuf> {
        Dir::read_link(self, name)
    }

    fn symlink(&self, target: &Path, name: &OsStr) -> Result<()> {
        Dir::symlink(self, target, name)
    }

    fn mkdir(&self, name: &OsStr) -> Result<()> {
        Dir::mkdir(self, name, 0o700)
    }

    fn mknod(&self, name: &OsStr, mode: u32, dev: (u32, u32)) -> Result<()> {
        Dir::mknod(self, name, mode, dev)
    }

    fn link(&self, path: &Path, to: &Self, new: &OsStr) -> Result<()> {
        Dir::link(self, path, to, new)
    }

    fn rename(&self, name: &OsStr, new: &OsStr) -> Result<()> {
        Dir::rename(self, name, self, new, 0)
    }

    fn unlink(&self, name: &OsStr) -> Result<()> {
        Dir::unlink(self, name)
    }

    fn chown(&self, name: &OsStr, uid: u32, gid: u32) -> Result<()> {
        Dir::chown(self, name, Some(uid), Some(gid))
    }

    fn chmod(&self, name: &OsStr, mode: u32) -> Result<()> {
        Dir::chmod(self, name, mode)
    }

    fn set_times(&self, name: &OsStr, atime: SetTime, mtime: SetTime) -> Result<()> {
        Dir::set_times(self, name, atime, mtime)
    }

    fn list_xattrs(&self, name: &OsStr) -> Result<Vec<OsString>> {
        Dir::list_xattrs(self, name)
    }

    fn get_xattr(&self, name: &OsStr, attr: &OsStr) -> Result<Vec<u8>> {
        Dir::get_xattr(self, name, attr)
    }

    fn set_xattr(&self, name: &OsStr, attr: &OsStr, value: &[u8]) -> Result<()> {
        Dir::set_xattr(self, name, attr, value, 0)
    }

    fn remove_xattr(&self, name: &OsStr, attr: &OsStr) -> Result<()> {
        Dir::remove_xattr(self, name, attr)
    }

    fn free(&self) -> Result<u64> {
        let fs = self.statfs()?;
        Ok(fs.blocks_free.saturating_mul(fs.block_size))
    }
}

impl SideFile for File {
    fn read_at(&self, buf: &mut [u8], offset: u64, end: u64) -> Result<usize> {
        if buf.len() >= LARGE {
            if let Some(n) = self.read_around(buf, offset)? {
                return Ok(n);
            }
        }
        match File::read_at(self, buf, offset)? {
            // Some or none: there is no more.
            n if n == buf.len() || n == 0 || offset + n as u64 == end => Ok(n),
            n => Ok(n + self.read_full_at(buf.get_mut(n..).unwrap_or_default(), offset + n as u64)?),
        }
    }

    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        if data.len() >= LARGE && self.write_around(data, offset)?.is_some() {
            return Ok(());
        }
        self.write_all_at(data, offset)
    }

    fn data(&self, offset: u64, size: u64) -> Result<Option<(u64, u64)>> {
        if offset >= size {
            return Ok(None);
        }
        let Some(from) = self.seek_data(offset)? else { return Ok(None) };
        let to = self.seek_hole(from)?.unwrap_or(size);
        Ok(Some((from, to)).filter(|_| to > from))
    }

    fn set_len(&self, size: u64) -> Result<()> {
        File::set_len(self, size)
    }
}

impl Xattrs for File {
    fn xattrs(&self) -> Result<Vec<OsString>> {
        self.list_xattrs()
    }

    fn xattr(&self, attr: &OsStr) -> Result<Vec<u8>> {
        self.get_xattr(attr)
    }
}

impl Attributes for File {
    fn known(&self) -> Result<Metadata> {
        self.metadata()
    }

    fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        self.chown(Some(uid), Some(gid))
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        self.chmod(mode)
    }

    fn set_times_of(&self, atime: SetTime, mtime: SetTime) -> Result<()> {
        self.set_times(atime, mtime)
    }

    fn put_xattr(&self, attr: &OsStr, value: &[u8]) -> Result<()> {
        self.set_xattr(attr, value, 0)
    }

    fn drop_xattr(&self, attr: &OsStr) -> Result<()> {
        self.remove_xattr(attr)
    }
}
