//! Files that are open.

use crate::call::{sized, text, Arg};
use crate::dir::{split_names, Dir};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::stat::{Metadata, SetTime};
use lkl_abi::fcntl::{Flock, AT_EMPTY_PATH, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET};
use lkl_abi::stat::{STATX_BASIC_STATS, STATX_BTIME, STATX_SIZE};
use lkl_abi::{nr, Errno};
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A descriptor, closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Fd {
    process: Arc<Process>,
    number: i32,
    path: PathBuf,
}

impl Fd {
    /// One that a call has made.
    pub(crate) fn new(process: &Arc<Process>, number: i32, path: &Path) -> Self {
        Self { process: process.clone(), number, path: path.to_owned() }
    }

    /// Opens `path`, which is shown as `place`.
    pub(crate) fn open(
        process: &Arc<Process>,
        dir: i32,
        path: &Path,
        place: &Path,
        flags: u32,
        mode: u32,
    ) -> Result<Self> {
        let open = |name: CString| {
            let args = [Arg::Fd(dir), Arg::Text(&name), Arg::Num(flags.into()), Arg::Num(mode.into())];
            process.call(nr::OPENAT, args)
        };
        let number = text(path).and_then(open).map_err(|e| Error::new(e, place))?;
        Ok(Self::new(process, number as i32, place))
    }

    pub(crate) fn number(&self) -> i32 {
        self.number
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn set_path(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        self.process.left(self.number);
        let _closed = self.process.call(nr::CLOSE, [Arg::Fd(self.number)]);
    }
}

/// A file that is open. Closed when it is dropped; what was written is durable after [`File::sync`].
#[derive(Debug)]
pub struct File {
    fd: Fd,
}

impl File {
    pub(crate) fn new(fd: Fd) -> Self {
        Self { fd }
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        self.fd.process()
    }

    pub(crate) fn number(&self) -> i32 {
        self.fd.number()
    }

    /// The same as a directory, for a file that was opened as one. If it is of another type, only what is known of it can be asked for.
    pub fn into_dir(self) -> Dir {
        Dir::of(self.fd)
    }

    /// Where it was when it was opened, for messages.
    pub fn path(&self) -> &Path {
        self.fd.path()
    }

    fn call<const N: usize>(&self, number: usize, rest: [Arg<'_>; N]) -> Result<u64> {
        let mut args = [Arg::Fd(self.fd.number()), Arg::Num(0), Arg::Num(0), Arg::Num(0), Arg::Num(0), Arg::Num(0)];
        for (to, from) in args.iter_mut().skip(1).zip(rest) {
            *to = from;
        }
        self.fd.process().call(number, args).map_err(|e| Error::new(e, self.path()))
    }

    /// Reads at the file's position; 0 at its end.
    ///
    /// # Errors
    /// `man 2 read`
    pub fn read(&self, buf: &mut [u8]) -> Result<usize> {
        self.call(nr::READ, [Arg::Out(buf)]).map(|n| n as usize)
    }

    /// Writes at the file's position; answers how much was written.
    ///
    /// # Errors
    /// `man 2 write`
    pub fn write(&self, data: &[u8]) -> Result<usize> {
        self.call(nr::WRITE, [Arg::In(data)]).map(|n| n as usize)
    }

    /// Reads at `offset`; 0 at the file's end.
    ///
    /// # Errors
    /// `man 2 pread`
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.call(nr::PREAD64, [Arg::Out(buf), Arg::Num(offset)]).map(|n| n as usize)
    }

    /// Fills `buf` from `offset`; answers less than its length only at the file's end.
    ///
    /// # Errors
    /// `man 2 pread`
    pub fn read_full_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + done as u64)? {
                0 => break,
                n => done += n,
            }
        }
        Ok(done)
    }

    /// Writes at `offset`; answers how much was written.
    ///
    /// # Errors
    /// `man 2 pwrite`
    pub fn write_at(&self, data: &[u8], offset: u64) -> Result<usize> {
        self.call(nr::PWRITE64, [Arg::In(data), Arg::Num(offset)]).map(|n| n as usize)
    }

    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// `man 2 pwrite`; some of it may have been written.
    pub fn write_all_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            match self.write_at(rest, offset + done as u64)? {
                0 => return Err(Error::new(Errno::EIO, self.path())),
                n => done += n,
            }
        }
        Ok(())
    }

    fn lseek(&self, offset: i64, whence: u32) -> Result<u64> {
        self.call(nr::LSEEK, [Arg::Num(offset as u64), Arg::Num(whence.into())])
    }

    fn seek_what(&self, offset: u64, whence: u32) -> Result<Option<u64>> {
        match self.lseek(offset as i64, whence) {
            Ok(at) => Ok(Some(at)),
            Err(e) if e.errno == Errno::ENXIO => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Where the next data are, at `offset` or after it; `None` if there are no more. Moves the file's position.
    ///
    /// # Errors
    /// `man 2 lseek`
    pub fn seek_data(&self, offset: u64) -> Result<Option<u64>> {
        self.seek_what(offset, SEEK_DATA)
    }

    /// Where the next hole is, at `offset` or after it: the end of the file is one. `None` behind the end. Moves the file's position.
    ///
    /// # Errors
    /// `man 2 lseek`
    pub fn seek_hole(&self, offset: u64) -> Result<Option<u64>> {
        self.seek_what(offset, SEEK_HOLE)
    }

    /// What is known of it.
    ///
    /// # Errors
    /// `EIO`
    pub fn metadata(&self) -> Result<Metadata> {
        let mut statx = [0; STATX_SIZE];
        let (flags, mask) = (Arg::Num(AT_EMPTY_PATH.into()), Arg::Num(u64::from(STATX_BASIC_STATS | STATX_BTIME)));
        self.call(nr::STATX, [Arg::Text(c""), flags, mask, Arg::RecordOut(&mut statx)])?;
        Ok(Metadata::parse(&statx))
    }

    /// Sets its length: what is cut off is gone, what is added is a hole.
    ///
    /// # Errors
    /// `man 2 ftruncate`
    pub fn set_len(&self, size: u64) -> Result<()> {
        self.call(nr::FTRUNCATE, [Arg::Num(size)]).map(drop)
    }

    /// Gives blocks to a range, or takes them; `mode` of [`lkl_abi::falloc`].
    ///
    /// # Errors
    /// `man 2 fallocate`
    pub fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<()> {
        self.call(nr::FALLOCATE, [Arg::Num(mode.into()), Arg::Num(offset), Arg::Num(len)]).map(drop)
    }

    /// Copies a range into `to`, of the same kernel; answers how much was copied.
    ///
    /// # Errors
    /// `man 2 copy_file_range`
    pub fn copy_range(&self, offset: u64, to: &Self, to_offset: u64, len: u64) -> Result<u64> {
        let (from_at, to_at) = (&mut offset.to_ne_bytes(), &mut to_offset.to_ne_bytes());
        let rest = [Arg::RecordOut(from_at), Arg::Fd(to.number()), Arg::RecordOut(to_at), Arg::Num(len), Arg::Num(0)];
        self.call(nr::COPY_FILE_RANGE, rest)
    }

    /// Returns when all of it is durable; with `data_only` only as much as is needed to read its content.
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`
    pub fn sync(&self, data_only: bool) -> Result<()> {
        self.call(if data_only { nr::FDATASYNC } else { nr::FSYNC }, []).map(drop)
    }

    /// Sets its permissions (`0o7777`).
    ///
    /// # Errors
    /// `man 2 fchmod`
    pub fn chmod(&self, mode: u32) -> Result<()> {
        self.call(nr::FCHMOD, [Arg::Num(mode.into())]).map(drop)
    }

    /// Sets owner and group; `None` leaves one as it is.
    ///
    /// # Errors
    /// `man 2 fchown`
    pub fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let id = |id: Option<u32>| Arg::Num(id.unwrap_or(u32::MAX).into());
        self.call(nr::FCHOWN, [id(uid), id(gid)]).map(drop)
    }

    /// Sets the times of access and of modification.
    ///
    /// # Errors
    /// `man 2 futimens`
    pub fn set_times(&self, atime: SetTime, mtime: SetTime) -> Result<()> {
        let times = [atime.to_bytes(), mtime.to_bytes()].concat();
        self.call(nr::UTIMENSAT, [Arg::Num(0), Arg::Record(&times), Arg::Num(0)]).map(drop)
    }

    /// The names of its extended attributes.
    ///
    /// # Errors
    /// `man 2 flistxattr`
    pub fn list_xattrs(&self) -> Result<Vec<OsString>> {
        let list = sized(|room| self.fd.process().call(nr::FLISTXATTR, [Arg::Fd(self.number()), Arg::Out(room)]));
        list.map(|list| split_names(&list)).map_err(|e| Error::new(e, self.path()))
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// `ENODATA` if it is not there; `man 2 fgetxattr`
    pub fn get_xattr(&self, name: impl AsRef<OsStr>) -> Result<Vec<u8>> {
        let get = || {
            let name = text(name)?;
            sized(|room| {
                self.fd.process().call(nr::FGETXATTR, [Arg::Fd(self.number()), Arg::Text(&name), Arg::Out(room)])
            })
        };
        get().map_err(|e| Error::new(e, self.path()))
    }

    /// Sets an extended attribute. `flags`: `XATTR_CREATE`, `XATTR_REPLACE` or 0.
    ///
    /// # Errors
    /// `man 2 fsetxattr`
    pub fn set_xattr(&self, name: impl AsRef<OsStr>, value: &[u8], flags: u32) -> Result<()> {
        let name = text(name).map_err(|e| Error::new(e, self.path()))?;
        self.call(nr::FSETXATTR, [Arg::Text(&name), Arg::In(value), Arg::Num(flags.into())]).map(drop)
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// `ENODATA` if it is not there; `man 2 fremovexattr`
    pub fn remove_xattr(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = text(name).map_err(|e| Error::new(e, self.path()))?;
        self.call(nr::FREMOVEXATTR, [Arg::Text(&name)]).map(drop)
    }

    /// `fcntl` with a lock: `F_OFD_SETLK`, `F_OFD_GETLK` and their like. Answers what it leaves in the struct.
    ///
    /// # Errors
    /// `EAGAIN` if another lock is in the way; `man 2 fcntl`
    pub fn lock(&self, command: u32, lock: Flock) -> Result<Flock> {
        let mut bytes = lock.to_bytes();
        self.call(nr::FCNTL, [Arg::Num(command.into()), Arg::RecordOut(&mut bytes)])?;
        Ok(Flock::parse(&bytes))
    }

    /// `flock`: `LOCK_SH`, `LOCK_EX`, `LOCK_UN`, with `LOCK_NB`.
    ///
    /// # Errors
    /// `EAGAIN` if another lock is in the way; `man 2 flock`
    pub fn flock(&self, operation: u32) -> Result<()> {
        self.call(nr::FLOCK, [Arg::Num(operation.into())]).map(drop)
    }

    /// `ioctl` with an argument of 8 bytes that is read, written, or both ([`lkl_abi::fs`]). Requests that take more do not belong here.
    ///
    /// # Errors
    /// `ENOTTY`; `man 2 ioctl`
    pub(crate) fn ioctl_long(&self, request: u32, value: u64) -> Result<u64> {
        let mut bytes = value.to_ne_bytes();
        self.call(nr::IOCTL, [Arg::Num(request.into()), Arg::RecordOut(&mut bytes)])?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// `ioctl` with a struct in `data`, which is read, written, or both: as long as the request says itself (`FITRIM`, `FS_IOC_GETVERSION`;
    /// [`lkl_abi::fs`]). Answers what the call does.
    ///
    /// # Errors
    /// `EINVAL` if the request does not say how long its struct is, or another length follows it, or `data` is shorter; `ENOTTY`; `man 2 ioctl`
    pub fn ioctl(&self, request: u32, data: &mut [u8]) -> Result<u64> {
        // What `_IOC_SIZE` tells.
        let len = (request >> 16 & 0x3fff) as usize;
        if len == 0 || data.len() < len || request == lkl_abi::fs::FS_IOC_FIEMAP {
            return Err(Error::new(Errno::EINVAL, self.path()));
        }
        self.call(nr::IOCTL, [Arg::Num(request.into()), Arg::RecordOut(data)])
    }

    /// Its `FS_*_FL` flags ([`lkl_abi::fs`]).
    ///
    /// # Errors
    /// `ENOTTY` if its file system has none.
    pub fn flags(&self) -> Result<u32> {
        self.ioctl_long(lkl_abi::fs::FS_IOC_GETFLAGS, 0).map(|flags| flags as u32)
    }

    /// Sets them.
    ///
    /// # Errors
    /// `ENOTTY` if its file system has none; `EOPNOTSUPP`, `EPERM`.
    pub fn set_flags(&self, flags: u32) -> Result<()> {
        self.ioctl_long(lkl_abi::fs::FS_IOC_SETFLAGS, flags.into()).map(drop)
    }
}

impl io::Read for &File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(File::read(self, buf)?)
    }
}

impl io::Write for &File {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(File::write(self, data)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for &File {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        Ok(match to {
            io::SeekFrom::Start(offset) => self.lseek(offset as i64, SEEK_SET)?,
            io::SeekFrom::End(offset) => self.lseek(offset, SEEK_END)?,
            io::SeekFrom::Current(offset) => self.lseek(offset, SEEK_CUR)?,
        })
    }
}

impl io::Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &*self, buf)
    }
}

impl io::Write for File {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &*self, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for File {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        io::Seek::seek(&mut &*self, to)
    }
}
