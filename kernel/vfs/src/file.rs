//! An open file of a file system.
//!
//! Above: `lkl-kernel`, whose descriptors refer to it, and which keeps its offset. Below: [`Node`].

use crate::cred::Cred;
use crate::errseq::ErrorMark;
use crate::fs::{DirEntry, InodeKind, Range, Seek};
use crate::leases::LeaseHolder;
use crate::locks::{Owner, RangeLock};
use crate::mount::{Place, WriteAccess};
use crate::node::{At, Node};
use crate::vfs::{is_append_only, is_immutable, Vfs};
use crate::walk::Context;
use core::sync::atomic::Ordering;
use lkl_abi::fadvise::{
    POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE, POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL,
    POSIX_FADV_WILLNEED,
};
use lkl_abi::falloc::{
    FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
};
use lkl_abi::fcntl::{
    Flock, F_RDLCK, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, O_ACCMODE, O_APPEND, O_CREAT, O_DIRECT,
    O_DSYNC, O_EXCL, O_NOATIME, O_NOCTTY, O_PATH, O_RDONLY, O_RDWR, O_SYNC_BIT, O_TRUNC, O_WRONLY, SEEK_CUR, SEEK_DATA,
    SEEK_END, SEEK_HOLE, SEEK_SET,
};
use lkl_abi::mount::MS_NOATIME;
use lkl_abi::{Errno, Result};
use lkl_file::{File, IovReader, IovWriter};
use lkl_ops::Instant;
use lkl_sync::{Events, WaitQueue};
use std::sync::Arc;

/// Bytes that are copied at a time.
const COPY: usize = 1 << 20;

/// An open file. Of what is no regular file and no directory, and with `O_PATH`, it only says which file it is.
pub struct VfsFile {
    place: Place,
    flags: u32,
    id: u64,
    /// Who opened it, if not root.
    cred: Option<Box<Cred>>,
    mark: ErrorMark,
    /// Regular files and directories are always ready.
    queue: WaitQueue,
    /// After `place`: the file system ends with the last of these.
    _access: Option<WriteAccess>,
}

impl Drop for VfsFile {
    fn drop(&mut self) {
        if self.counts() {
            self.node().leases().closed(self.writes());
        }
    }
}

impl VfsFile {
    pub(crate) fn new(
        vfs: &Vfs,
        ctx: &Context<'_>,
        place: Place,
        flags: u32,
        access: Option<WriteAccess>,
    ) -> Arc<Self> {
        let file = Self {
            id: vfs.new_file_id(),
            mark: place.node().error_mark(),
            place,
            flags: flags & !(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC),
            cred: (!ctx.cred.is_root()).then(|| Box::new(ctx.cred.clone())),
            queue: WaitQueue::new(),
            _access: access,
        };
        if file.counts() {
            file.node().leases().opened(file.writes());
        }
        Arc::new(file)
    }

    /// Is it one that leases are about?
    fn counts(&self) -> bool {
        !self.is_path() && self.place.kind() == InodeKind::Regular
    }

    fn writes(&self) -> bool {
        self.flags & O_ACCMODE != O_RDONLY
    }

    /// Takes a lease of the file (`F_SETLEASE`), or changes it.
    ///
    /// # Errors
    /// Those of [`Leases::set`](crate::Leases::set).
    pub fn set_lease(&self, exclusive: bool, holder: Arc<dyn LeaseHolder>) -> Result<()> {
        self.node().leases().set(self.id, self.writes(), exclusive, holder)
    }

    /// Lets it go. Answers whether there was one.
    pub fn remove_lease(&self) -> bool {
        self.node().leases().remove(self.id)
    }

    /// What it is (`F_GETLEASE`).
    pub fn lease(&self, now: Instant) -> u32 {
        self.node().leases().of(self.id, now)
    }

    /// Where it was opened.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// `O_*`, as `F_GETFL` tells them.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The file.
    pub fn node(&self) -> &Arc<Node> {
        self.place.node()
    }

    /// Was it opened with `O_PATH`?
    pub fn is_path(&self) -> bool {
        self.flags & O_PATH != 0
    }

    fn check_read(&self) -> Result<()> {
        if self.is_path() || !matches!(self.flags & O_ACCMODE, O_RDONLY | O_RDWR) {
            return Err(Errno::EBADF);
        }
        Ok(())
    }

    fn check_write(&self) -> Result<()> {
        if self.is_path() || !matches!(self.flags & O_ACCMODE, O_WRONLY | O_RDWR) {
            return Err(Errno::EBADF);
        }
        Ok(())
    }

    fn drop_privileges(&self) -> Result<()> {
        self.node().drop_privileges(self.cred.as_deref())
    }

    /// Writes at the end, wherever that is (`O_APPEND`). Answers where it began, and how many bytes were taken.
    ///
    /// # Errors
    /// Those of `man 2 write`.
    pub fn append(&self, data: &mut IovReader<'_>) -> Result<(u64, usize)> {
        self.write_to(data, At::End)
    }

    fn write_to(&self, data: &mut IovReader<'_>, at: At) -> Result<(u64, usize)> {
        self.check_write()?;
        if data.remaining() > 0 {
            self.drop_privileges()?;
        }
        let (start, n) = self.node().write_at(data, at)?;
        let end = start + n as u64;
        let synchronous = self.place.mount.live().synchronous.load(Ordering::Relaxed);
        if n > 0 && (self.flags & (O_DSYNC | O_SYNC_BIT) != 0 || synchronous) {
            self.fsync(self.flags & O_SYNC_BIT == 0 && !synchronous)?;
        } else if n > 0 && self.flags & O_DIRECT != 0 {
            self.node().write_back(start..end)?;
            self.node().drop_pages(start..end);
        }
        Ok((start, n))
    }

    /// Reads at `offset` past the page cache, for who copies the file.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be read as usual; else those of `man 2 pread`.
    pub fn read_around(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.check_read()?;
        if self.flags & O_NOATIME == 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        self.node().read_around(buf, offset)
    }

    /// Writes all of `data` at `offset` past the page cache, for who makes a copy.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if it is to be written as usual; else those of `man 2 pwrite`.
    pub fn write_around(&self, data: &[u8], offset: u64) -> Result<()> {
        self.check_write()?;
        if self.flags & (O_DSYNC | O_SYNC_BIT) != 0 || self.place.mount.live().synchronous.load(Ordering::Relaxed) {
            return Err(Errno::EOPNOTSUPP);
        }
        self.drop_privileges()?;
        self.node().write_around(data, offset)
    }

    /// Calls `entry` for each name in the directory from `pos` on, until it answers `false`; that one comes again then. `pos` is 0 at
    /// the beginning, else [`DirEntry::next`], which is `d_off`.
    ///
    /// # Errors
    /// `ENOTDIR`; `ENOENT` if the directory is removed; `EBADF`, `EIO`, `EUCLEAN`.
    pub fn readdir(&self, pos: u64, entry: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        if !self.place.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        self.check_read()?;
        if self.place.dentry.is_gone() {
            return Err(Errno::ENOENT);
        }
        if self.flags & O_NOATIME == 0 {
            self.place.touch_atime();
        }
        let node = self.node();
        // Here, so that it is let go without the lock.
        let parent = self.place.dentry.parent();
        let _names = node.sb().names().read();
        let kind = Some(InodeKind::Directory);
        if pos == 0 && !entry(DirEntry { name: b".", ino: node.ino(), kind, next: 1 }) {
            return Ok(());
        }
        if pos <= 1 {
            let ino = parent.as_ref().map_or(node.ino(), |p| p.node().ino());
            if !entry(DirEntry { name: b"..", ino, kind, next: 2 }) {
                return Ok(());
            }
        }
        node.inode().readdir(if pos <= 2 { 0 } else { pos }, entry)
    }

    /// `lseek`, from `pos`, where the file is read and written next.
    ///
    /// # Errors
    /// `EINVAL`, `ENXIO`, `EBADF`, `ESPIPE`.
    pub fn seek(&self, pos: u64, offset: i64, whence: u32) -> Result<u64> {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        let (node, regular) = (self.node(), self.place.kind() == InodeKind::Regular);
        if !regular && !self.place.is_dir() {
            return Err(Errno::ESPIPE);
        }
        let base = match whence {
            SEEK_SET => 0,
            SEEK_CUR => pos,
            SEEK_END if regular => node.size(),
            SEEK_DATA | SEEK_HOLE if regular => {
                let what = if whence == SEEK_DATA { Seek::Data } else { Seek::Hole };
                return node.seek(what, u64::try_from(offset).map_err(|_| Errno::ENXIO)?);
            }
            _ => return Err(Errno::EINVAL),
        };
        let to = base.checked_add_signed(offset).filter(|to| i64::try_from(*to).is_ok()).ok_or(Errno::EINVAL)?;
        if regular && to > node.sb().size_max() {
            return Err(Errno::EINVAL);
        }
        Ok(to)
    }

    /// Makes what was written durable (`man 2 fsync`).
    ///
    /// # Errors
    /// `EBADF`, `EINVAL`, `EIO`, `ENOSPC`, `EDQUOT`.
    pub fn fsync(&self, data_only: bool) -> Result<()> {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        match self.place.kind() {
            InodeKind::Regular | InodeKind::Directory => self.node().fsync_file(data_only, &self.mark),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Writes the dirty pages of a range; `len` 0 is to the end (`man 2 sync_file_range`).
    ///
    /// # Errors
    /// `EBADF`, `ESPIPE`, `EIO`, `ENOSPC`.
    pub fn sync_range(&self, offset: u64, len: u64) -> Result<()> {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        match self.place.kind() {
            InodeKind::Regular => {}
            InodeKind::Directory => return Ok(()),
            _ => return Err(Errno::ESPIPE),
        }
        let end = if len == 0 { u64::MAX } else { offset.saturating_add(len) };
        self.node().write_back(offset..end)
    }

    /// Sets the length (`man 2 ftruncate`).
    ///
    /// # Errors
    /// `EINVAL` if it cannot be written or is no regular file, `EPERM`, `EFBIG`, `ENOSPC`, `EIO`.
    pub fn truncate(&self, size: u64) -> Result<()> {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        if self.place.kind() != InodeKind::Regular || self.check_write().is_err() {
            return Err(Errno::EINVAL);
        }
        if is_append_only(&self.node().inode().attr()) {
            return Err(Errno::EPERM);
        }
        self.drop_privileges()?;
        self.node().truncate(size)
    }

    /// Changes which parts of the file have blocks; `mode` is of `FALLOC_FL_*` (`man 2 fallocate`).
    ///
    /// # Errors
    /// `EBADF`, `EINVAL`, `EOPNOTSUPP`, `EPERM`, `ENODEV`, `ESPIPE`, `EFBIG`, `ENOSPC`, `EIO`.
    pub fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<()> {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        if len == 0 || i64::try_from(offset).is_err() || i64::try_from(len).is_err() {
            return Err(Errno::EINVAL);
        }
        const PUNCH: u32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        const ZERO_KEEP: u32 = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
        let range = match mode {
            0 => Range::Allocate { keep_size: false },
            FALLOC_FL_KEEP_SIZE => Range::Allocate { keep_size: true },
            PUNCH => Range::PunchHole,
            FALLOC_FL_ZERO_RANGE => Range::Zero { keep_size: false },
            ZERO_KEEP => Range::Zero { keep_size: true },
            FALLOC_FL_COLLAPSE_RANGE => Range::Collapse,
            FALLOC_FL_INSERT_RANGE => Range::Insert,
            _ => return Err(Errno::EOPNOTSUPP),
        };
        self.check_write()?;
        let attr = self.node().inode().attr();
        if is_append_only(&attr) && mode & !FALLOC_FL_KEEP_SIZE != 0 || is_immutable(&attr) {
            return Err(Errno::EPERM);
        }
        self.drop_privileges()?;
        self.node().fallocate(range, offset, len)
    }

    /// Copies up to `len` bytes to another file (`man 2 copy_file_range`). Answers how many: 0 at the end.
    ///
    /// # Errors
    /// `EBADF`, `EISDIR`, `EINVAL` for what is no regular file, or for ranges of one file that overlap; those of reading and writing.
    pub fn copy_range(&self, offset: u64, to: &Self, to_offset: u64, len: u64) -> Result<u64> {
        if self.place.is_dir() || to.place.is_dir() {
            return Err(Errno::EISDIR);
        }
        if self.place.kind() != InodeKind::Regular || to.place.kind() != InodeKind::Regular {
            return Err(Errno::EINVAL);
        }
        self.check_read()?;
        to.check_write()?;
        if to.flags & O_APPEND != 0 {
            return Err(Errno::EBADF);
        }
        let same = Arc::ptr_eq(self.node(), to.node());
        let len = len.min(self.node().size().saturating_sub(offset));
        if same && offset < to_offset.saturating_add(len) && to_offset < offset.saturating_add(len) {
            return Err(Errno::EINVAL);
        }
        if len > 0 {
            to.drop_privileges()?;
        }
        let mut buf = vec![0; usize::try_from(len).unwrap_or(COPY).min(COPY)];
        let mut done = 0;
        while done < len {
            let wanted = usize::try_from(len - done).unwrap_or(COPY).min(COPY);
            let piece = buf.get_mut(..wanted).unwrap_or_default();
            let copied = self.node().read(piece, offset + done).and_then(|n| {
                let piece = piece.get(..n).unwrap_or_default();
                to.node().write(piece, At::Offset(to_offset + done))
            });
            match copied {
                Ok((_, 0)) => break,
                Ok((_, n)) => done += n as u64,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        if self.flags & O_NOATIME == 0 && done > 0 {
            self.place.touch_atime();
        }
        Ok(done)
    }

    /// How a range will be used; `len` 0 is to the end (`man 2 posix_fadvise`).
    ///
    /// # Errors
    /// `EBADF`, `EINVAL`, `ESPIPE`.
    pub fn advise(&self, offset: u64, len: u64, advice: u32) -> Result<()> {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        if self.place.kind() == InodeKind::Fifo {
            return Err(Errno::ESPIPE);
        }
        let end = if len == 0 { u64::MAX } else { offset.saturating_add(len) };
        match advice {
            POSIX_FADV_NORMAL | POSIX_FADV_RANDOM | POSIX_FADV_SEQUENTIAL | POSIX_FADV_NOREUSE
            // What is read comes with read-ahead anyway.
            | POSIX_FADV_WILLNEED => Ok(()),
            POSIX_FADV_DONTNEED => {
                // What is dirty goes out first; an error is told by fsync.
                let _told_later = self.node().write_back(offset..end);
                self.node().drop_pages(offset..end);
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// The owner of this open file's own locks (`F_OFD_SETLK`).
    pub fn lock_owner(&self) -> Owner {
        Owner::File(self.id)
    }

    /// `flock`: `operation` is `LOCK_SH`, `LOCK_EX` or `LOCK_UN`. To wait, try again when the queue of [`Node::locks`] says so.
    ///
    /// # Errors
    /// `EAGAIN` if another one has it; `EINVAL`, `EBADF`.
    pub fn flock(&self, operation: u32) -> Result<()> {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        let exclusive = match operation & !LOCK_NB {
            LOCK_SH => Some(false),
            LOCK_EX => Some(true),
            LOCK_UN => None,
            _ => return Err(Errno::EINVAL),
        };
        self.node().locks().flock(self.id, exclusive)
    }

    /// Takes, changes or lets go of a lock of a range (`F_SETLK`, `F_OFD_SETLK`). `pos` is where the file is read and written next.
    ///
    /// # Errors
    /// `EAGAIN` if another one has it; `EBADF` if the file is not open for what is locked; `EINVAL`, `EOVERFLOW`.
    pub fn set_lock(&self, owner: Owner, lock: &Flock, pos: u64) -> Result<()> {
        let (start, end) = self.locked_range(lock, pos)?;
        let locks = self.node().locks();
        let exclusive = match lock.kind {
            F_RDLCK => {
                self.check_read()?;
                false
            }
            F_WRLCK => {
                self.check_write()?;
                true
            }
            F_UNLCK => {
                locks.unlock(owner, start, end);
                return Ok(());
            }
            _ => return Err(Errno::EINVAL),
        };
        locks.lock(RangeLock { owner, start, end, exclusive })
    }

    /// The lock that stands in the way of one, or `F_UNLCK` (`F_GETLK`, `F_OFD_GETLK`). To ask for `F_UNLCK` is to ask for the locks that
    /// the open file has itself.
    ///
    /// # Errors
    /// `EINVAL`, `EOVERFLOW`, `EBADF`.
    pub fn get_lock(&self, owner: Owner, lock: &Flock, pos: u64) -> Result<Flock> {
        let (locks, own) = (self.node().locks(), lock.kind == F_UNLCK && owner == self.lock_owner());
        if !matches!(lock.kind, F_RDLCK | F_WRLCK) && !own {
            return Err(Errno::EINVAL);
        }
        let (start, end) = self.locked_range(lock, pos)?;
        let wanted = RangeLock { owner, start, end, exclusive: lock.kind == F_WRLCK };
        let found = if own { locks.own(owner, start, end) } else { locks.conflict(&wanted) };
        let Some(found) = found else { return Ok(Flock { kind: F_UNLCK, ..*lock }) };
        let long = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Ok(Flock {
            kind: if found.exclusive { F_WRLCK } else { F_RDLCK },
            whence: 0,
            start: long(found.start),
            len: if found.end > i64::MAX as u64 { 0 } else { long(found.end - found.start) },
            pid: match found.owner {
                Owner::Process(pid) => pid,
                Owner::File(_) => -1,
            },
        })
    }

    /// The bytes that a lock is of, the end not included.
    fn locked_range(&self, lock: &Flock, pos: u64) -> Result<(u64, u64)> {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        let base = match u32::try_from(lock.whence) {
            Ok(SEEK_SET) => 0,
            Ok(SEEK_CUR) => pos,
            Ok(SEEK_END) => self.node().size(),
            _ => return Err(Errno::EINVAL),
        };
        let start = i64::try_from(base).ok().and_then(|base| base.checked_add(lock.start)).ok_or(Errno::EOVERFLOW)?;
        let unsigned = |n: i64| u64::try_from(n).map_err(|_| Errno::EINVAL);
        Ok(match lock.len {
            0 => (unsigned(start)?, u64::MAX),
            // The last byte has to have a number.
            len if len > 0 => (unsigned(start)?, unsigned(start.checked_add(len - 1).ok_or(Errno::EOVERFLOW)?)? + 1),
            len => (unsigned(start.checked_add(len).ok_or(Errno::EINVAL)?)?, unsigned(start)?),
        })
    }

    /// A process closes a descriptor of the file: its locks of the file go, whichever descriptor they came by (`man 2 fcntl`).
    pub fn closed_by(&self, pid: i32) {
        let (locks, owner) = (self.node().locks(), Owner::Process(pid));
        if locks.has_any(owner) {
            locks.unlock(owner, 0, u64::MAX);
        }
    }
}

impl File for VfsFile {
    fn read(&self, out: &mut IovWriter<'_>, offset: Option<u64>) -> Result<usize> {
        self.check_read()?;
        let offset = offset.unwrap_or_default();
        if self.flags & O_DIRECT != 0 && self.place.kind() == InodeKind::Regular {
            self.node().write_back(offset..offset.saturating_add(out.remaining() as u64))?;
        }
        let n = self.node().read_at(out, offset)?;
        if n > 0 && self.flags & O_NOATIME == 0 && self.place.mount_flags() & MS_NOATIME == 0 {
            self.place.touch_atime();
        }
        Ok(n)
    }

    fn write(&self, data: &mut IovReader<'_>, offset: Option<u64>) -> Result<usize> {
        self.write_to(data, offset.map_or(At::End, At::Offset)).map(|(_, n)| n)
    }

    fn sync(&self, data_only: bool) -> Result<()> {
        self.fsync(data_only)
    }

    fn poll(&self) -> Events {
        Events::READ | Events::WRITE
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn seekable(&self) -> bool {
        matches!(self.place.kind(), InodeKind::Regular | InodeKind::Directory)
    }

    fn mode(&self) -> u32 {
        let attr = self.node().inode().attr();
        attr.kind.mode() | attr.mode
    }

    fn size(&self) -> u64 {
        self.node().size()
    }

    fn ino(&self) -> u64 {
        self.node().ino()
    }

    fn release(&self) {
        self.remove_lease();
        let locks = self.node().locks();
        // Only a file that can have locks at all: this is on the way of every close.
        let _none = locks.flock(self.id, None);
        if locks.has_any(self.lock_owner()) {
            locks.unlock(self.lock_owner(), 0, u64::MAX);
        }
    }
}
