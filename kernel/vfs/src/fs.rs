//! What a file system is, for those who write one.
//!
//! A file system is three traits: [`FileSystem`] (a type, such as ext4), [`SuperBlock`] (one that is mounted) and [`Inode`] (a file of
//! it). The VFS does everything that is the same for all of them: path walk, mounts, permissions, `umask`, POSIX ACL checks, sticky and
//! set-group-ID directories, name length, `.` and `..`, link count limits of [`StatFs`], read-only mounts (no changing call ever comes
//! to a superblock that is mounted read-only), cached pages, read-ahead, file locks, inotify. A file system checks only what its own
//! structures need, and never trusts its medium: what is corrupt is `EUCLEAN`, with a log line that names the block.
//!
//! # Inodes
//! Files are known by number. [`Inode::lookup`] and its like answer a number, and the VFS asks [`SuperBlock::inode`] for the object,
//! once: **there is never more than one [`Inode`] object of a number alive**, so it is the place for what the file system keeps in
//! memory about a file. The VFS keeps it while anybody uses it and for a while after. When the last link and the last user are gone it
//! calls [`Inode::evict`] and then drops the object.
//!
//! # Locks
//! These hold for every superblock; beyond them a file system needs locks only for what its files share (bitmaps, the journal), of the
//! ranks `Fs*`, `Buffers` and `Buffer`.
//! * Calls that read names (`lookup`, `readdir`, `read_whole`) are made with the superblock's lock of names held shared, those that change them
//!   (`create`, `create_whole`, `link`, `unlink`, `rename`) with it held exclusively.
//! * Calls that read data (`read`, `seek`) are made with the file's own lock held shared, those that change data or attributes
//!   (`write`, `truncate`, `fallocate`, `change`, `set_xattr`, `remove_xattr`) with it held exclusively. `attr`, `get_xattr`,
//!   `list_xattrs`, `read_link`, `reserve` and `fsync` may come at any time, together with any other call on the same file.
//! * Names and data have different locks: an `unlink` may come together with a `write` to the file that is unlinked.
//! * `sync`, `statfs` may come at any time. `unmount` comes last and alone.
//!
//! # Time and owner
//! A file system knows no clock and no caller. Who creates a file gives its owner and its times in [`NewInode`]; calls that change a
//! directory or a file are given `now`, which becomes the modification and change times as the manual pages say (`man 7 inode`):
//! the directory's `mtime` and `ctime` on a change of names, the `ctime` of a file whose link count, name, attributes or
//! attribute set changes. The times of data that is written come by [`Inode::change`].

use crate::handle::Handle;
use crate::layout::{FileExtent, Layout};
use lkl_abi::{Errno, Result};
use lkl_block::BlockDevice;
use lkl_file::File;
use std::any::Any;
use std::sync::Arc;

/// A point in wall-clock time: seconds since the Unix epoch (negative before it) and nanoseconds, below 10^9, after that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[expect(missing_docs, reason = "explained above")]
pub struct Timestamp {
    pub secs: i64,
    pub nanos: u32,
}

/// The type of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "man 7 inode explains them")]
pub enum InodeKind {
    Regular,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

impl InodeKind {
    /// The `S_IFMT` bits.
    pub const fn mode(self) -> u32 {
        match self {
            Self::Fifo => 0o010_000,
            Self::CharDevice => 0o020_000,
            Self::Directory => 0o040_000,
            Self::BlockDevice => 0o060_000,
            Self::Regular => 0o100_000,
            Self::Symlink => 0o120_000,
            Self::Socket => 0o140_000,
        }
    }

    /// The type that the `S_IFMT` bits of a mode name.
    pub const fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o010_000 => Self::Fifo,
            0o020_000 => Self::CharDevice,
            0o040_000 => Self::Directory,
            0o060_000 => Self::BlockDevice,
            0o100_000 => Self::Regular,
            0o120_000 => Self::Symlink,
            0o140_000 => Self::Socket,
            _ => return None,
        })
    }
}

/// What is known of a file (`man 2 statx`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attr {
    /// Its number, not 0.
    pub ino: u64,
    /// Its type.
    pub kind: InodeKind,
    /// Permission bits with set-user-ID, set-group-ID and sticky: `0o7777`.
    pub mode: u32,
    /// Links. 0: to be evicted when it is no longer used.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Of a device file: major and minor number.
    pub rdev: (u32, u32),
    /// Length in bytes; of a symbolic link, that of its target.
    pub size: u64,
    /// Space it takes, in units of 512 bytes, with what is promised to it ([`Inode::reserve`]).
    pub blocks: u64,
    /// Preferred size of reads and writes, in bytes.
    pub blksize: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the data.
    pub mtime: Timestamp,
    /// Last change of the data or of anything here.
    pub ctime: Timestamp,
    /// When it was made, if the file system knows.
    pub btime: Option<Timestamp>,
    /// `STATX_ATTR_IMMUTABLE`, `STATX_ATTR_APPEND`, `STATX_ATTR_NODUMP`, `STATX_ATTR_COMPRESSED`, `STATX_ATTR_ENCRYPTED`. The VFS
    /// refuses what the first two forbid.
    pub attributes: u64,
}

/// Flags of a file that only `FS_IOC_GETFLAGS` and `FS_IOC_FSGETXATTR` show (`man 2 ioctl_iflags`), as `chattr` sets them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileFlags {
    /// `FS_*_FL`
    pub flags: u32,
    /// The project that its space is counted for.
    pub project: u32,
}

/// What [`Inode::change`] changes: each that is not `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "as in Attr")]
pub struct ChangeAttr {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub atime: Option<Timestamp>,
    pub mtime: Option<Timestamp>,
    /// The VFS always gives it, but when only `atime` changes because a file was read.
    pub ctime: Option<Timestamp>,
}

/// A file to be made. The VFS has applied `umask`, default ACLs, and the set-group-ID bit of the directory.
#[derive(Clone, Debug)]
pub struct NewInode<'a> {
    /// Its type.
    pub kind: InodeKind,
    /// `0o7777`
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Of a device file: major and minor number.
    pub rdev: (u32, u32),
    /// Of a symbolic link: its target, 1 to 4095 bytes.
    pub target: &'a [u8],
    /// Extended attributes that it has from the start (ACLs it inherits).
    pub xattrs: &'a [(&'a [u8], &'a [u8])],
    /// All its times; also `mtime` and `ctime` of the directory.
    pub now: Timestamp,
}

/// What a regular file that is made as a whole holds, and those of its times that are not [`NewInode::now`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewContent<'a> {
    /// All that is in it.
    pub data: &'a [u8],
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the data.
    pub mtime: Timestamp,
}

/// A file with all that it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WholeFile {
    /// What is known of it.
    pub attr: Attr,
    /// What is in it; `None` if it is not a regular file with one link and without holes, or longer than was asked for.
    pub data: Option<Vec<u8>>,
    /// With `data`: its extended attributes, by their whole names.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One name in a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirEntry<'a> {
    /// 1 to 255 bytes, without NUL and slash.
    pub name: &'a [u8],
    /// Number of the file.
    pub ino: u64,
    /// Its type, if the directory says it.
    pub kind: Option<InodeKind>,
    /// Where to go on after this entry: more than 2, below 2^63.
    pub next: u64,
}

/// How [`Inode::rename`] renames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rename {
    /// What has the new name, if anything, is unlinked. The VFS has checked that types agree; the file system checks that a directory to
    /// be replaced is empty (`ENOTEMPTY`).
    Replace,
    /// `RENAME_NOREPLACE`: the VFS has checked that the new name is free.
    NoReplace,
    /// `RENAME_EXCHANGE`: both names exist and change places.
    Exchange,
    /// `RENAME_WHITEOUT`: [`Rename::Replace`], and a character device 0:0 takes the old name. `EINVAL` where it cannot be.
    Whiteout,
}

/// What [`Inode::fallocate`] does with a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Range {
    /// Mode 0 and `FALLOC_FL_KEEP_SIZE`: gives blocks to what has none; they read as zeroes.
    Allocate {
        /// The file's length stays as it is.
        keep_size: bool,
    },
    /// `FALLOC_FL_PUNCH_HOLE` (the length always stays).
    PunchHole,
    /// `FALLOC_FL_ZERO_RANGE`.
    Zero {
        /// The file's length stays as it is.
        keep_size: bool,
    },
    /// `FALLOC_FL_COLLAPSE_RANGE`.
    Collapse,
    /// `FALLOC_FL_INSERT_RANGE`.
    Insert,
}

/// What [`Inode::seek`] looks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seek {
    /// `SEEK_DATA`
    Data,
    /// `SEEK_HOLE`
    Hole,
}

/// How [`Inode::set_xattr`] sets (`man 2 setxattr`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XattrSet {
    /// Whether or not it is there.
    Any,
    /// `XATTR_CREATE`: `EEXIST` if it is there.
    Create,
    /// `XATTR_REPLACE`: `ENODATA` if it is not.
    Replace,
}

/// What is known of a file system (`man 2 statfs`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StatFs {
    /// `f_type`: its magic number.
    pub magic: u64,
    /// Size of a block in bytes.
    pub block_size: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Of these, blocks that are not kept for root.
    pub blocks_available: u64,
    /// Inodes in all; 0 if they are not counted.
    pub files: u64,
    /// Inodes that are free.
    pub files_free: u64,
    /// `f_fsid`
    pub fsid: u64,
    /// Most links to one file: more is `EMLINK`, which the VFS answers; 0 for no limit.
    pub link_max: u32,
    /// Longest file in bytes: more is `EFBIG`, which the VFS answers.
    pub size_max: u64,
}

/// What a file system is mounted with.
#[derive(Clone, Debug, Default)]
pub struct MountOptions {
    /// Mounted read-only. A file system that needs to be written even so (to replay its journal) does that if the device can be.
    pub read_only: bool,
    /// The device; `None` for a file system that has none.
    pub device: Option<Arc<BlockDevice>>,
    /// Options of its own, as `mount(2)` has them: `name,name=value`. What it does not know is `EINVAL`, with a log line that names it.
    pub data: String,
    /// Bytes that its caches of metadata may take, shared by all file systems of a kernel.
    pub memory: Option<Arc<lkl_block::Memory>>,
    /// Wall-clock time of the mount.
    pub now: Timestamp,
    /// Random bytes, for hash seeds and generation numbers.
    pub seed: [u8; 16],
}

/// A type of file system.
pub trait FileSystem: Send + Sync {
    /// Its name for `mount(2)` and `/proc/filesystems`.
    fn name(&self) -> &'static str;

    /// Does it need a device?
    fn needs_device(&self) -> bool;

    /// Is there only one of it in a kernel, wherever it is mounted (`proc`)?
    fn is_single(&self) -> bool {
        false
    }

    /// Does the device look like one of this type? For a mount without a type. Reads little; writes nothing.
    ///
    /// # Errors
    /// `EIO`
    fn probe(&self, device: &BlockDevice) -> Result<bool> {
        let _ = device;
        Ok(false)
    }

    /// Mounts one. Replays its journal first.
    ///
    /// # Errors
    /// `EINVAL` if it is none of this type, an option is unknown, or a feature is (with a log line that names it); `EROFS` if it can only
    /// be read and `read_only` is not set; `EUCLEAN` if it is corrupt; `EIO`.
    fn mount(&self, options: &MountOptions) -> Result<Arc<dyn SuperBlock>>;
}

/// A file system that is mounted. It may be mounted at several places; this object is then the same.
pub trait SuperBlock: Send + Sync + Any {
    /// Number of the root directory.
    fn root(&self) -> u64;

    /// Reads a file's inode. The VFS makes sure that no other object of this number exists, and holds the lock of its inode cache.
    ///
    /// # Errors
    /// `ESTALE` if the number is not in use, `EUCLEAN`, `EIO`.
    fn inode(&self, ino: u64) -> Result<Arc<dyn Inode>>;

    /// Counts of blocks and files.
    ///
    /// # Errors
    /// `EIO`
    fn statfs(&self) -> Result<StatFs>;

    /// Makes all that was changed before the call durable: commits the journal, writes metadata home as needed, flushes the device. The
    /// VFS has written all dirty pages before ([`Inode::write`]).
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`, also for an earlier write that failed and that no `sync` has told yet.
    fn sync(&self) -> Result<()>;

    /// Changes what can be changed of a mounted file system (`MS_REMOUNT`): `read_only` and `data`. The VFS has synced before it
    /// becomes read-only; the file system then marks itself clean.
    ///
    /// # Errors
    /// `EINVAL`, `EROFS`, `EIO`; nothing has changed then.
    fn remount(&self, options: &MountOptions) -> Result<()>;

    /// The end: makes everything durable and marks the file system clean. When it answers `Ok` the image needs no replay and no check.
    /// No [`Inode`] of it exists any more, and no call follows.
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`: something could not be written. The file system is gone all the same.
    fn unmount(&self) -> Result<()>;

    /// Of what offset, length and address must be multiples where content is read and written past the page cache (`O_DIRECT`): a
    /// power of two, in bytes.
    fn direct_alignment(&self) -> u32 {
        1
    }

    /// Its options for `/proc/mounts`, beside `ro` and `rw`: empty, or beginning with a comma.
    fn show_options(&self) -> String {
        String::new()
    }

    /// Has it become read-only by itself, as damage was found, or a write has failed?
    fn stopped(&self) -> bool {
        false
    }

    /// Do names come and go by themselves (`proc`)? The VFS then asks for each one every time, and remembers none.
    fn names_change(&self) -> bool {
        false
    }

    /// Makes a file without a name (`O_TMPFILE`): a regular file with no link, evicted when it is closed unless [`Inode::link`] gives it
    /// a name. On a journalled file system it is in the orphan list.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if there is no such thing here; `ENOSPC`, `EIO`.
    fn create_unnamed(&self, dir: u64, new: &NewInode<'_>) -> Result<u64> {
        let _ = (dir, new);
        Err(Errno::EOPNOTSUPP)
    }

    /// Tells the device that what is free between `start` and `start + len` is not needed, in runs of at least `least` bytes (`FITRIM`).
    /// Answers how many bytes these were.
    ///
    /// # Errors
    /// `EINVAL` for a range past the end, one of less than a block, or a `least` that no run has; `EOPNOTSUPP` if the device cannot be told;
    /// `ENOTTY` if there is none; `EROFS`, `EIO`, `EUCLEAN`.
    fn trim(&self, start: u64, len: u64, least: u64) -> Result<u64> {
        let _ = (start, len, least);
        Err(Errno::ENOTTY)
    }

    /// The number of the file that a handle names ([`Inode::handle`]); whether it is that file still, the VFS looks.
    ///
    /// # Errors
    /// `ESTALE` if it is no handle of a file here.
    fn by_handle(&self, handle: &Handle) -> Result<u64> {
        let _ = handle;
        Err(Errno::ESTALE)
    }
}

/// Who follows a link, where that decides where it leads (`/proc/self`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Caller {
    /// The process.
    pub pid: i32,
    /// The thread.
    pub tid: i32,
}

/// Where a link leads.
#[derive(Clone)]
pub enum Link {
    /// To a path.
    Path(Vec<u8>),
    /// To what somebody has open or stands in (`/proc/self/fd/3`): the place itself, whatever its path is.
    Magic(Arc<dyn Any + Send + Sync>),
}

/// How the content of a regular file is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Data {
    /// Through the page cache. [`Inode::read`] and [`Inode::write`] come with whole pages of 4096 bytes, in runs as long as possible.
    Cached,
    /// Not cached: they come as programs make them, at any offset (`tmpfs`, `proc`).
    Direct,
}

/// A file. Every method may answer `EIO`, and `EUCLEAN` where structures on the medium are wrong; only other errors are listed. A
/// call that fails has changed nothing that can be seen.
pub trait Inode: Send + Sync + Any {
    /// What is known of it. Must be cheap: nothing is read from the medium.
    fn attr(&self) -> Attr;

    /// What names it for good, among all files that were and will be.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if there is no such thing here; `EIO`.
    fn handle(&self) -> Result<Handle> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Changes attributes.
    ///
    /// # Errors
    /// `ENOSPC`, `EOVERFLOW` for an owner that the format has no room for.
    fn change(&self, change: &ChangeAttr) -> Result<()>;

    /// Its flags.
    ///
    /// # Errors
    /// `ENOTTY` if there are none here.
    fn flags(&self) -> Result<FileFlags> {
        Err(Errno::ENOTTY)
    }

    /// Sets them. Of those which programs may not set none changes.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for what is not known here, or what files of this type have not; `EPERM` if the file may not be changed, and goes on so; `ENOSPC`.
    fn set_flags(&self, flags: &FileFlags, now: Timestamp) -> Result<()> {
        let _ = (flags, now);
        Err(Errno::ENOTTY)
    }

    /// The number that tells it from who had its own number before, and what comes after (`FS_IOC_GETVERSION`).
    ///
    /// # Errors
    /// `ENOTTY` if there is none here.
    fn generation(&self) -> Result<u32> {
        Err(Errno::ENOTTY)
    }

    /// Sets it.
    ///
    /// # Errors
    /// `ENOTTY` if it cannot be; `EIO`.
    fn set_generation(&self, generation: u32, now: Timestamp) -> Result<()> {
        let _ = (generation, now);
        Err(Errno::ENOTTY)
    }

    /// The first `most` runs of a range, in bytes, that lie on the device ([`Node::extents`](crate::Node::extents)). The VFS has written
    /// all dirty pages.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if nothing of it does; `EFBIG` for a range past the longest file.
    fn extents(&self, of: Layout, range: core::ops::Range<u64>, most: usize) -> Result<Vec<FileExtent>> {
        let _ = (of, range, most);
        Err(Errno::EOPNOTSUPP)
    }

    // Directories. The VFS calls these only on directories, with names of 1 to 255 bytes without NUL and slash that are not `.` or `..`.

    /// The number of the file of that name.
    ///
    /// # Errors
    /// `ENOENT`
    fn lookup(&self, name: &[u8]) -> Result<u64> {
        let _ = name;
        Err(Errno::ENOTDIR)
    }

    /// The number of the directory that this one is in (its own, for the root).
    ///
    /// # Errors
    /// `ENOENT` if it is not known. The VFS needs this only for what is not reached by path.
    fn parent(&self) -> Result<u64> {
        Err(Errno::ENOENT)
    }

    /// Calls `entry` for each name after `cookie` (0 for the beginning, else a [`DirEntry::next`]) but `.` and `..`, until it answers
    /// `false`; that entry was then not taken and comes again. Names that stay during a listing come exactly once, whatever is made or
    /// removed meanwhile; a cookie stays good as long as the directory exists.
    ///
    /// # Errors
    /// None of its own; after the first entry an error is told by the call that follows.
    fn readdir(&self, cookie: u64, entry: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let _ = (cookie, entry);
        Err(Errno::ENOTDIR)
    }

    /// Makes a file of any type, which the VFS knows not to exist. Its link count is 1, that of a directory 2 (and this one's grows).
    ///
    /// # Errors
    /// `ENOSPC`, `EDQUOT`; `EPERM` for a type that cannot be.
    fn create(&self, name: &[u8], new: &NewInode<'_>) -> Result<u64> {
        let _ = (name, new);
        Err(Errno::EPERM)
    }

    /// Makes a regular file with content, attributes and times at once, or nothing. The VFS has not looked whether it exists; it knows no
    /// object of it yet.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where files are only made step by step; `EEXIST`; those of [`Inode::create`], [`Inode::write`] and
    /// [`Inode::set_xattr`].
    fn create_whole(&self, name: &[u8], new: &NewInode<'_>, content: &NewContent<'_>) -> Result<()> {
        let _ = (name, new, content);
        Err(Errno::EOPNOTSUPP)
    }

    /// The file of that name, with what is in it if that is at most `most` bytes. Only on a superblock that is mounted read-only: nothing of
    /// the file is anywhere but on the medium.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where files are only read step by step; those of [`Inode::lookup`], [`Inode::read`] and [`Inode::get_xattr`].
    fn read_whole(&self, name: &[u8], most: usize) -> Result<WholeFile> {
        let _ = (name, most);
        Err(Errno::EOPNOTSUPP)
    }

    /// Gives a file another name, which does not exist. `target` is of the same superblock, and no directory. A file without
    /// any link (`O_TMPFILE`) gets its first.
    ///
    /// # Errors
    /// `ENOSPC`, `EMLINK`.
    fn link(&self, name: &[u8], target: &dyn Inode, now: Timestamp) -> Result<()> {
        let _ = (name, target, now);
        Err(Errno::EPERM)
    }

    /// Removes a name (`unlink` and `rmdir`). `target` is the file that it names. At link count 0 (a directory: both `.` and the
    /// name) the file stays as it is until [`Inode::evict`]; a journalled file system puts it into its orphan list.
    ///
    /// # Errors
    /// `ENOTEMPTY`
    fn unlink(&self, name: &[u8], target: &dyn Inode, now: Timestamp) -> Result<()> {
        let _ = (name, target, now);
        Err(Errno::EPERM)
    }

    /// Gives `source`, which is `name` here, the name `new_name` in `new_dir`, which may be this directory. `target` is what has the
    /// new name. The VFS has checked that a directory does not come below itself, and that the two names are not links of one
    /// file. A directory that changes places has its `..` and the link counts of both directories changed.
    ///
    /// # Errors
    /// `ENOTEMPTY`, `ENOSPC`, `EMLINK`; `EINVAL` for a way that cannot be.
    #[expect(clippy::too_many_arguments, reason = "a rename has two of everything")]
    fn rename(
        &self,
        name: &[u8],
        source: &dyn Inode,
        new_dir: &dyn Inode,
        new_name: &[u8],
        target: Option<&dyn Inode>,
        how: Rename,
        now: Timestamp,
    ) -> Result<()> {
        let _ = (name, source, new_dir, new_name, target, how, now);
        Err(Errno::EPERM)
    }

    // Symbolic links.

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// `EINVAL` if it is none.
    fn read_link(&self) -> Result<Vec<u8>> {
        Err(Errno::EINVAL)
    }

    /// The same for one that follows it, where it leads to something else than a path, or depends on who that is.
    ///
    /// # Errors
    /// `EINVAL` if it is none; `ENOENT` if what it leads to is gone.
    fn follow(&self, caller: &Caller) -> Result<Link> {
        let _ = caller;
        self.read_link().map(Link::Path)
    }

    /// What an open file of it is, if its content does not come by the calls below: text that is made when it is read. `write`: it is to be
    /// written, too.
    ///
    /// # Errors
    /// What `open` then answers.
    fn open(&self, write: bool) -> Result<Option<Arc<dyn File>>> {
        let _ = write;
        Ok(None)
    }

    // Regular files.

    /// How its content is reached. Never changes.
    fn data(&self) -> Data {
        Data::Cached
    }

    /// Fills `buf` with content from `offset`; holes, and what lies past the end, are zeroes. Cached: mostly whole pages, at most
    /// 1 MiB, but who reads past the page cache may come with any range; consecutive extents should be read as one request each.
    ///
    /// # Errors
    /// `EISDIR` for a directory, `EINVAL` for what has no content.
    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let _ = (offset, buf);
        Err(Errno::EINVAL)
    }

    /// Cached only: promises room for a range that is about to become dirty pages, so that their [`Inode::write`] does not end in
    /// `ENOSPC`. The range may overlap what was promised before or has blocks already. A promise is used up by the write of its range,
    /// and ends with [`Inode::truncate`], [`Range::PunchHole`] and [`Inode::evict`].
    ///
    /// # Errors
    /// `ENOSPC`, `EDQUOT`.
    fn reserve(&self, offset: u64, len: u64) -> Result<()> {
        let _ = (offset, len);
        Ok(())
    }

    /// Writes `pieces`, which follow each other from `offset` on, and gives blocks to what has none. Cached: write-back; each
    /// piece is whole pages, the pieces at most 1 MiB, and together as long a run as is dirty: one extent should hold them. The last page
    /// has zeroes past `size`. Or, past the page cache, one piece of any length at any offset. Direct: what a program writes; its `mtime` comes by [`Inode::change`].
    ///
    /// `size` is the file's length as programs see it. The file's own length, once the data are on their way to the medium, becomes
    /// at least the end of what was written, or `size` if that is less; it never shrinks here.
    ///
    /// The data need not be durable before [`Inode::fsync`] or [`SuperBlock::sync`], but on a journalled file system (ordered mode) no
    /// committed block may ever show what was on the medium before.
    ///
    /// # Errors
    /// `ENOSPC`, `EDQUOT`, `EFBIG`.
    fn write(&self, offset: u64, pieces: &[&[u8]], size: u64) -> Result<()> {
        let _ = (offset, pieces, size);
        Err(Errno::EINVAL)
    }

    /// Sets the length. What is cut off is given back; what is added is a hole. The VFS has dropped the pages past the new end, and
    /// written zeroes into the rest of the page that has the new end in it, which is dirty.
    ///
    /// # Errors
    /// `ENOSPC`, `EFBIG`.
    fn truncate(&self, size: u64, now: Timestamp) -> Result<()> {
        let _ = (size, now);
        Err(Errno::EINVAL)
    }

    /// Can [`Inode::fallocate`] do this with the file at all? It is asked before anything is changed for it.
    ///
    /// # Errors
    /// `EOPNOTSUPP`
    fn allows(&self, range: Range) -> Result<()> {
        let _ = range;
        Ok(())
    }

    /// Changes which parts of the file have blocks (`man 2 fallocate`). The VFS has checked that the range is not empty and ends below
    /// 2^63, written all dirty pages and dropped those of the range (from its start on, for `Collapse` and `Insert`) before; it
    /// has zeroed the partial pages at the ends of a hole itself, so only whole pages need to be.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for what cannot be, `EINVAL` if `Collapse` or `Insert` is not aligned to blocks or reaches past the end, `ENOSPC`,
    /// `EFBIG`.
    fn fallocate(&self, range: Range, offset: u64, len: u64, now: Timestamp) -> Result<()> {
        let _ = (range, offset, len, now);
        Err(Errno::EOPNOTSUPP)
    }

    /// The first byte at or after `offset`, which is below `size`, that is in data or in a hole; the end of the file is a hole. The VFS
    /// has written all dirty pages.
    ///
    /// # Errors
    /// `ENXIO` if there is no more data.
    fn seek(&self, what: Seek, offset: u64, size: u64) -> Result<u64> {
        match what {
            Seek::Data => Ok(offset),
            Seek::Hole => Ok(size),
        }
    }

    /// Makes what the VFS has written before durable, with the attributes, and with the names that lead to it if it is new. With
    /// `data_only` (`fdatasync`) only with those attributes that are needed to read the data: the length.
    ///
    /// # Errors
    /// `ENOSPC`; also for an earlier write that failed and that no `fsync` has told yet.
    fn fsync(&self, data_only: bool) -> Result<()>;

    /// The last user of a file without links is gone: its blocks and its number are free. No call follows. What fails is logged.
    ///
    /// # Errors
    /// None of its own.
    fn evict(&self) -> Result<()> {
        Ok(())
    }

    // Extended attributes, by their whole name (`user.mime_type`). The VFS has checked permissions, name (1 to 255 bytes) and size (at
    // most 65536 bytes). `system.posix_acl_access` and `_default` have the form of `linux/posix_acl_xattr.h`, in little-endian,
    // checked and sorted; a file system whose format is another translates. The VFS has changed the mode with [`Inode::change`].

    /// The value of an attribute.
    ///
    /// # Errors
    /// `ENODATA` if it is not there, `EOPNOTSUPP` if no attribute of its name space can be.
    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        let _ = name;
        Err(Errno::EOPNOTSUPP)
    }

    /// Sets one.
    ///
    /// # Errors
    /// `EEXIST`, `ENODATA` as [`XattrSet`] says; `ENOSPC`, `E2BIG`, `EOPNOTSUPP`.
    fn set_xattr(&self, name: &[u8], value: &[u8], how: XattrSet, now: Timestamp) -> Result<()> {
        let _ = (name, value, how, now);
        Err(Errno::EOPNOTSUPP)
    }

    /// Removes one.
    ///
    /// # Errors
    /// `ENODATA`, `EOPNOTSUPP`.
    fn remove_xattr(&self, name: &[u8], now: Timestamp) -> Result<()> {
        let _ = (name, now);
        Err(Errno::EOPNOTSUPP)
    }

    /// All names, in any order.
    ///
    /// # Errors
    /// None of its own.
    fn list_xattrs(&self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }
}

impl dyn Inode {
    /// The file as the type of the file system that made it.
    ///
    /// # Errors
    /// `EXDEV` if it is another one's.
    pub fn own<T: Inode>(&self) -> Result<&T> {
        (self as &dyn Any).downcast_ref().ok_or(Errno::EXDEV)
    }
}
