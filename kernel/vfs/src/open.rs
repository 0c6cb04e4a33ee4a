//! `open` (`man 2 open`, `man 2 openat2`).
//!
//! Above: `lkl-kernel`. Beside: `file` (what comes of it), `names`. Below: `walk`.

use crate::cred::{EXEC, READ, WRITE};
use crate::file::VfsFile;
use crate::fs::InodeKind;
use crate::mount::{Place, WriteAccess};
use crate::names::{may_create, Making};
use crate::vfs::{is_append_only, permission, Vfs};
use crate::walk::{Context, Last, WalkFlags, Walker};
use lkl_abi::fcntl::{
    FASYNC, O_ACCMODE, O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECT, O_DIRECTORY, O_DSYNC, O_EXCL, O_LARGEFILE, O_NOATIME,
    O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_SYNC_BIT, O_TMPFILE, O_TMPFILE_BIT, O_TRUNC,
    O_WRONLY,
};
use lkl_abi::mount::MS_NODEV;
use lkl_abi::{openat2, Errno, Result};
use lkl_file::File;
use std::sync::Arc;

const KNOWN: u32 = O_ACCMODE
    | O_CREAT
    | O_EXCL
    | O_NOCTTY
    | O_TRUNC
    | O_APPEND
    | O_NONBLOCK
    | O_DSYNC
    | FASYNC
    | O_DIRECT
    | O_LARGEFILE
    | O_DIRECTORY
    | O_NOFOLLOW
    | O_NOATIME
    | O_CLOEXEC
    | O_SYNC_BIT
    | O_PATH
    | O_TMPFILE_BIT;
const WITH_PATH: u32 = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenHow {
    /// `O_*`
    pub flags: u32,
    /// Permission bits of a file that is made, before `umask`.
    pub mode: u32,
    /// `RESOLVE_*`
    pub resolve: u64,
}

impl OpenHow {
    /// As `open` and `openat` ask: what is unknown or makes no sense is ignored.
    pub fn legacy(flags: u32, mode: u32) -> Self {
        let mut flags = flags & KNOWN;
        if flags & O_PATH != 0 {
            flags &= WITH_PATH;
        }
        let makes = flags & (O_CREAT | O_TMPFILE_BIT) != 0;
        Self { flags, mode: if makes { mode & 0o7777 } else { 0 }, resolve: 0 }
    }

    /// As `openat2` asks.
    ///
    /// # Errors
    /// `EINVAL` for what is unknown.
    pub fn strict(how: &openat2::OpenHow) -> Result<Self> {
        let flags = u32::try_from(how.flags).map_err(|_| Errno::EINVAL)?;
        let mode = u32::try_from(how.mode).map_err(|_| Errno::EINVAL)?;
        Ok(Self { flags, mode, resolve: how.resolve })
    }

    fn check(&self) -> Result<WalkFlags> {
        let (flags, makes) = (self.flags, self.flags & (O_CREAT | O_TMPFILE_BIT) != 0);
        let mut walk = WalkFlags::of_resolve(self.resolve)?;
        let all = |bits: u32| flags & bits == bits;
        let wrong = flags & !KNOWN != 0
            || self.mode & !if makes { 0o7777 } else { 0 } != 0
            || all(O_DIRECTORY | O_CREAT)
            || flags & O_TMPFILE_BIT != 0 && (!all(O_TMPFILE) || access(flags) & WRITE == 0)
            || all(O_PATH) && flags & !WITH_PATH != 0;
        if wrong {
            return Err(Errno::EINVAL);
        }
        if walk.contains(WalkFlags::CACHED) && flags & (O_TRUNC | O_CREAT | O_TMPFILE_BIT) != 0 {
            return Err(Errno::EAGAIN);
        }
        walk.set(WalkFlags::FOLLOW, flags & O_NOFOLLOW == 0);
        walk.set(WalkFlags::DIRECTORY, flags & O_DIRECTORY != 0);
        Ok(walk)
    }
}

/// What has been opened.
pub enum Opened {
    /// A regular file, a directory, or anything with `O_PATH`.
    File(Arc<VfsFile>),
    /// A file that is a name of something else: what that is, the caller knows. It has been checked that it may be opened.
    Special {
        /// The file itself.
        file: Arc<VfsFile>,
        /// FIFO, character or block device.
        kind: InodeKind,
        /// Of a device: its numbers.
        rdev: (u32, u32),
    },
    /// A file whose content its file system makes.
    Made {
        /// The file itself.
        file: Arc<VfsFile>,
        /// Its content.
        content: Arc<dyn File>,
    },
}

impl core::fmt::Debug for Opened {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Opened({:?})", self.file().place())
    }
}

impl Opened {
    /// The file of the file system.
    pub fn file(&self) -> &Arc<VfsFile> {
        match self {
            Self::File(file) | Self::Special { file, .. } | Self::Made { file, .. } => file,
        }
    }
}

/// What has been opened, before it is cut.
pub struct Opening {
    opened: Opened,
    /// It is to be cut, with leave to.
    truncating: Option<WriteAccess>,
}

impl core::fmt::Debug for Opening {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Opening({:?}, to be cut: {})", self.opened, self.truncating.is_some())
    }
}

impl Opening {
    /// What it is.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Cuts it, if that was asked for.
    ///
    /// # Errors
    /// Those of [`Node::truncate`](crate::Node::truncate).
    pub fn finish(self, ctx: &Context<'_>) -> Result<Opened> {
        if self.truncating.is_some() {
            let node = self.opened.file().node();
            node.drop_privileges(Some(ctx.cred))?;
            node.truncate(0)?;
        }
        Ok(self.opened)
    }
}

/// What one must be allowed to do with a file to open it.
fn access(flags: u32) -> u32 {
    let by_mode = match flags & O_ACCMODE {
        O_RDONLY => READ,
        O_WRONLY => WRITE,
        _ => READ | WRITE,
    };
    by_mode | if flags & O_TRUNC != 0 { WRITE } else { 0 }
}

impl Vfs {
    /// Opens the file that `path` leads to, from `base` (the working directory, if there is none), or makes it.
    ///
    /// # Errors
    /// Those of `man 2 open` and `man 2 openat2`.
    pub fn open(&self, ctx: &Context<'_>, base: Option<&Place>, path: &[u8], how: &OpenHow) -> Result<Opened> {
        self.open_first(ctx, base, path, how)?.finish(ctx)
    }

    /// The same for who has something to do before a file is cut (`O_TRUNC`): waiting for its leases.
    ///
    /// # Errors
    /// Those of [`Vfs::open`].
    pub fn open_first(&self, ctx: &Context<'_>, base: Option<&Place>, path: &[u8], how: &OpenHow) -> Result<Opening> {
        let walk = how.check()?;
        if how.flags & O_TMPFILE_BIT != 0 {
            let dir = self.walk(ctx, base, path, walk)?;
            return Ok(Opening { opened: self.open_unnamed(ctx, &dir, how)?, truncating: None });
        }
        if how.flags & O_CREAT == 0 {
            let place = self.walk(ctx, base, path, walk)?;
            return self.open_checked(ctx, place, how.flags, false);
        }
        let exclusive = how.flags & O_EXCL != 0;
        let follow = !exclusive && walk.contains(WalkFlags::FOLLOW);
        let mut walker = Walker::new(self, ctx, base, path, walk)?;
        loop {
            match walker.go_to_last()? {
                Last::Name => {}
                Last::DotDot => {
                    walker.up()?;
                    break;
                }
                Last::Root | Last::Dot => break,
            }
            if walker.slash {
                return Err(Errno::EISDIR);
            }
            let found = match walker.look_up()? {
                Some(found) => found,
                None => match self.create_regular(ctx, &walker.at, walker.name(), how)? {
                    (made, true) => {
                        walker.at.dentry = made;
                        return self.open_checked(ctx, walker.at, how.flags, true);
                    }
                    (found, false) => found,
                },
            };
            if follow && found.node().kind() == InodeKind::Symlink {
                walker.follow(found, true)?;
                continue;
            }
            if !exclusive && found.node().kind() != InodeKind::Directory {
                let dir = walker.at.node().inode().attr();
                self.protections().may_find(ctx.cred, &dir, found.node())?;
            }
            walker.at.dentry = found;
            walker.cross()?;
            break;
        }
        self.open_checked(ctx, walker.at, how.flags, false)
    }

    /// Makes a regular file, unless somebody else has. Answers whether it was made.
    fn create_regular(
        &self,
        ctx: &Context<'_>,
        dir: &Place,
        name: &[u8],
        how: &OpenHow,
    ) -> Result<(Arc<crate::Dentry>, bool)> {
        let access = dir.mount.write_access();
        let _names = dir.mount.sb().names().write();
        if let Some(found) = self.lookup_locked(&dir.dentry, name)? {
            return Ok((found, false));
        }
        let _access = access?;
        may_create(ctx.cred, &dir.dentry)?;
        let made = self.make(ctx, dir, name, &Making::new(InodeKind::Regular, how.mode))?;
        Ok((made, true))
    }

    /// `O_TMPFILE`
    fn open_unnamed(&self, ctx: &Context<'_>, dir: &Place, how: &OpenHow) -> Result<Opened> {
        let access = dir.mount.write_access()?;
        // Whether that works in a directory that was removed, is the file system's to say, as on Linux.
        permission(ctx.cred, dir.node(), WRITE | EXEC)?;
        let sb = dir.mount.sb();
        let mut made = None;
        {
            let _names = sb.names().write();
            self.with_new(ctx, dir.node(), &Making::new(InodeKind::Regular, how.mode), &mut |new| {
                made = Some(sb.raw().create_unnamed(dir.node().ino(), new)?);
                Ok(())
            })?;
        }
        let node = sb.node(made.ok_or(Errno::EIO)?)?;
        let dentry = self.cache().unnamed(&dir.dentry, node, how.flags & O_EXCL == 0);
        let place = Place { dentry, mount: dir.mount.clone() };
        Ok(Opened::File(VfsFile::new(self, ctx, place, how.flags, Some(access))))
    }

    /// A file in the root directory's file system that has no name and never gets one (`man 2 memfd_create`), open for reading and
    /// writing. It is shown as `name`.
    ///
    /// # Errors
    /// `ENOSPC`, `EROFS`; `EOPNOTSUPP` if there is no such thing there.
    pub fn open_memory(&self, ctx: &Context<'_>, name: &[u8], mode: u32) -> Result<Arc<VfsFile>> {
        let how = OpenHow { flags: O_TMPFILE | O_RDWR | O_EXCL, mode, resolve: 0 };
        let opened = self.open_unnamed(ctx, ctx.root, &how)?;
        opened.file().place().dentry.call(name);
        Ok(opened.file().clone())
    }

    /// Opens a file that is known already (`/proc/self/fd/3`). `flags` are `O_*`; none that make a file.
    ///
    /// # Errors
    /// As [`Vfs::open`], but for those of the walk.
    pub fn open_place(&self, ctx: &Context<'_>, place: &Place, flags: u32) -> Result<Opening> {
        let how = OpenHow { flags: flags & KNOWN & !(O_CREAT | O_EXCL | O_TMPFILE_BIT), mode: 0, resolve: 0 };
        how.check()?;
        self.open_checked(ctx, place.clone(), how.flags, false)
    }

    fn open_checked(&self, ctx: &Context<'_>, place: Place, flags: u32, made: bool) -> Result<Opening> {
        place.mount.used();
        let kind = place.kind();
        if !made && flags & O_CREAT != 0 {
            if flags & O_EXCL != 0 {
                return Err(Errno::EEXIST);
            }
            if kind == InodeKind::Directory {
                return Err(Errno::EISDIR);
            }
        }
        if flags & O_DIRECTORY != 0 && kind != InodeKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        if flags & O_PATH != 0 {
            let opened = Opened::File(VfsFile::new(self, ctx, place, flags, None));
            return Ok(Opening { opened, truncating: None });
        }
        let regular = kind == InodeKind::Regular;
        let truncates = regular && !made && flags & O_TRUNC != 0;
        // Taken before the permissions are looked at: EROFS comes first.
        let truncating = if truncates { Some(place.mount.write_access()?) } else { None };
        if !made {
            self.may_open(ctx, &place, flags)?;
        }
        let access = if flags & O_ACCMODE != O_RDONLY && regular { Some(place.mount.write_access()?) } else { None };
        if kind == InodeKind::Socket {
            return Err(Errno::ENXIO);
        }
        let content = place.node().inode().open(flags & O_ACCMODE != O_RDONLY)?;
        let rdev = place.node().inode().attr().rdev;
        let file = VfsFile::new(self, ctx, place, flags, access);
        let opened = match (kind, content) {
            (_, Some(content)) => Opened::Made { file, content },
            (InodeKind::Fifo | InodeKind::CharDevice | InodeKind::BlockDevice, None) => {
                Opened::Special { file, kind, rdev }
            }
            _ => Opened::File(file),
        };
        Ok(Opening { opened, truncating })
    }

    fn may_open(&self, ctx: &Context<'_>, place: &Place, flags: u32) -> Result<()> {
        let want = access(flags);
        match place.kind() {
            InodeKind::Symlink => return Err(Errno::ELOOP),
            InodeKind::Directory if want & WRITE != 0 => return Err(Errno::EISDIR),
            InodeKind::CharDevice | InodeKind::BlockDevice if place.mount_flags() & MS_NODEV != 0 => {
                return Err(Errno::EACCES);
            }
            _ => {}
        }
        permission(ctx.cred, place.node(), want)?;
        let attr = place.node().inode().attr();
        let changes = flags & O_ACCMODE != O_RDONLY && flags & O_APPEND == 0 || flags & O_TRUNC != 0;
        if is_append_only(&attr) && changes {
            return Err(Errno::EPERM);
        }
        if flags & O_NOATIME != 0 && !ctx.cred.owns(&attr) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }
}
