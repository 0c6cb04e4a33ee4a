//! From a path to a file (`man 7 path_resolution`).
//!
//! A [`Walker`] goes from component to component, and stops before the last one, for who makes, removes or renames it; [`Vfs::walk`]
//! goes all the way. What is cached is found without the lock of any tree, and nothing is allocated but for symbolic links.
//!
//! Above: `open`, `names`, and whoever has a path. Below: `dentry`, `mount`.

use crate::cred::{Cred, EXEC};
use crate::dentry::Dentry;
use crate::fs::{Caller, InodeKind, Link};
use crate::mount::Place;
use crate::node::Node;
use crate::vfs::Vfs;
use bitflags::bitflags;
use core::any::Any;
use lkl_abi::limits::{NAME_MAX, PATH_MAX};
use lkl_abi::mount::MS_NOSYMFOLLOW;
use lkl_abi::openat2::{
    RESOLVE_BENEATH, RESOLVE_CACHED, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV,
};
use lkl_abi::{Errno, Result};
use std::borrow::Cow;
use std::sync::Arc;

/// Most symbolic links on one walk.
const LINKS_MAX: u32 = 40;

/// Who walks, and from where.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Whom files are reached as.
    pub cred: &'a Cred,
    /// What `/` is.
    pub root: &'a Place,
    /// Where relative paths begin.
    pub cwd: &'a Place,
    /// Permission bits that new files do not get.
    pub umask: u32,
    /// Which process it is.
    pub caller: Caller,
}

bitflags! {
    /// How to walk.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct WalkFlags: u32 {
        /// Follow a symbolic link that is the last component.
        const FOLLOW = 1;
        /// Only a directory will do (`ENOTDIR`).
        const DIRECTORY = 2;
        /// `AT_EMPTY_PATH`: an empty path is the base itself.
        const EMPTY_PATH = 4;
        /// `RESOLVE_NO_XDEV`
        const NO_XDEV = 8;
        /// `RESOLVE_NO_MAGICLINKS`
        const NO_MAGICLINKS = 16;
        /// `RESOLVE_NO_SYMLINKS`
        const NO_SYMLINKS = 32;
        /// `RESOLVE_BENEATH`
        const BENEATH = 64;
        /// `RESOLVE_IN_ROOT`
        const IN_ROOT = 128;
        /// `RESOLVE_CACHED`
        const CACHED = 256;
    }
}

impl WalkFlags {
    /// Those of `openat2`.
    ///
    /// # Errors
    /// `EINVAL` for an unknown bit, or for two that exclude each other.
    pub fn of_resolve(resolve: u64) -> Result<Self> {
        let pairs = [
            (RESOLVE_NO_XDEV, Self::NO_XDEV),
            (RESOLVE_NO_MAGICLINKS, Self::NO_MAGICLINKS),
            (RESOLVE_NO_SYMLINKS, Self::NO_SYMLINKS),
            (RESOLVE_BENEATH, Self::BENEATH),
            (RESOLVE_IN_ROOT, Self::IN_ROOT),
            (RESOLVE_CACHED, Self::CACHED),
        ];
        let known = pairs.iter().fold(0, |all, (bit, _)| all | bit);
        let flags = pairs.iter().filter(|(bit, _)| resolve & bit != 0).map(|(_, flag)| *flag).collect::<Self>();
        if resolve & !known != 0 || flags.contains(Self::BENEATH | Self::IN_ROOT) {
            return Err(Errno::EINVAL);
        }
        Ok(flags)
    }
}

/// What the last component of a path is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Last {
    /// There is none: only slashes.
    Root,
    Dot,
    DotDot,
    /// [`Walker::name`]
    Name,
}

/// A walk under way.
pub(crate) struct Walker<'a> {
    vfs: &'a Vfs,
    cred: &'a Cred,
    flags: WalkFlags,
    /// What `/` is, and what `..` does not leave.
    root: &'a Place,
    /// Where it is.
    pub(crate) at: Place,
    /// The path, or the symbolic link that is being followed, and how far it has come.
    text: Cow<'a, [u8]>,
    pos: usize,
    /// What goes on after that; never at its end.
    outer: Vec<(Cow<'a, [u8]>, usize)>,
    /// The last component, in `text`.
    name: (usize, usize),
    /// A slash follows the last component.
    pub(crate) slash: bool,
    /// It has been at the root, or has gone up.
    knows_root: bool,
    links: u32,
    caller: Caller,
    /// [`Vfs::moves`] when it began.
    moves: u64,
}

impl<'a> Walker<'a> {
    /// At the beginning of `path`.
    ///
    /// # Errors
    /// `ENOENT` for an empty path, `ENAMETOOLONG`; `EXDEV` for an absolute one with `BENEATH`.
    pub(crate) fn new(
        vfs: &'a Vfs,
        ctx: &Context<'a>,
        base: Option<&'a Place>,
        path: &'a [u8],
        flags: WalkFlags,
    ) -> Result<Self> {
        let absolute = match path.first() {
            None => return Err(Errno::ENOENT),
            Some(first) => *first == b'/',
        };
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        if path.contains(&0) {
            return Err(Errno::EINVAL);
        }
        if absolute && flags.contains(WalkFlags::BENEATH) {
            return Err(Errno::EXDEV);
        }
        let base = base.unwrap_or(ctx.cwd);
        let scoped = flags.intersects(WalkFlags::BENEATH | WalkFlags::IN_ROOT);
        let root = if scoped { base } else { ctx.root };
        let at = if absolute { root } else { base };
        Ok(Self {
            vfs,
            cred: ctx.cred,
            flags,
            root,
            at: at.clone(),
            text: Cow::Borrowed(path),
            pos: 0,
            outer: Vec::new(),
            name: (0, 0),
            slash: false,
            knows_root: absolute || scoped,
            links: 0,
            caller: ctx.caller,
            moves: vfs.moves(),
        })
    }

    /// The last component, where [`Walker::go_to_last`] has stopped.
    pub(crate) fn name(&self) -> &[u8] {
        self.text.get(self.name.0..self.name.1).unwrap_or_default()
    }

    fn skip_slashes(&self, mut pos: usize) -> usize {
        while self.text.get(pos) == Some(&b'/') {
            pos += 1;
        }
        pos
    }

    /// Goes to the directory that the last component is in.
    ///
    /// # Errors
    /// Those of `man 7 path_resolution`.
    pub(crate) fn go_to_last(&mut self) -> Result<Last> {
        loop {
            let start = self.skip_slashes(self.pos);
            if start >= self.text.len() {
                match self.outer.pop() {
                    None => return Ok(Last::Root),
                    Some((text, pos)) => (self.text, self.pos) = (text, pos),
                }
                continue;
            }
            self.check_search()?;
            let rest = self.text.get(start..).unwrap_or_default();
            let end = memchr::memchr(b'/', rest).map_or(self.text.len(), |n| start + n);
            let what = match self.text.get(start..end).unwrap_or_default() {
                b"." => Last::Dot,
                b".." => Last::DotDot,
                _ => Last::Name,
            };
            self.name = (start, end);
            self.pos = self.skip_slashes(end);
            if self.pos >= self.text.len() && self.outer.is_empty() {
                self.slash |= end < self.text.len();
                return Ok(what);
            }
            match what {
                Last::Name => {
                    self.enter(true, false).and_then(|done| if done { Ok(()) } else { Err(Errno::ENOENT) })?
                }
                Last::DotDot => self.up()?,
                Last::Dot | Last::Root => {}
            }
        }
    }

    fn check_search(&self) -> Result<()> {
        if !self.at.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        search(self.cred, self.at.node())
    }

    /// Looks the last component up, without following it anywhere.
    pub(crate) fn look_up(&self) -> Result<Option<Arc<Dentry>>> {
        self.vfs.lookup(&self.at.dentry, self.name(), self.flags.contains(WalkFlags::CACHED))
    }

    /// Goes into the last component; of a symbolic link that is followed, to where it begins. `ends`: the path ends with it. Answers whether
    /// it is there.
    fn enter(&mut self, follow: bool, ends: bool) -> Result<bool> {
        let Some(dentry) = self.look_up()? else { return Ok(false) };
        if follow && dentry.node().kind() == InodeKind::Symlink {
            self.follow(dentry, ends)?;
        } else {
            self.at.dentry = dentry;
            self.cross()?;
        }
        Ok(true)
    }

    /// Goes on with what a symbolic link says, from the directory that it is in. `ends`: the path ends with it.
    pub(crate) fn follow(&mut self, dentry: Arc<Dentry>, ends: bool) -> Result<()> {
        self.links += 1;
        let link = Place { dentry, mount: self.at.mount.clone() };
        let refused = self.flags.contains(WalkFlags::NO_SYMLINKS) || link.mount_flags() & MS_NOSYMFOLLOW != 0;
        if self.links > LINKS_MAX || refused {
            return Err(Errno::ELOOP);
        }
        if ends {
            self.vfs.protections().may_follow(self.cred, self.at.node(), link.node())?;
        }
        link.touch_atime();
        let target = match link.node().inode().follow(&self.caller)? {
            Link::Path(path) => path,
            Link::Magic(to) => return self.jump(to),
        };
        match target.first() {
            None => return Err(Errno::ENOENT),
            Some(b'/') if self.flags.contains(WalkFlags::BENEATH) => return Err(Errno::EXDEV),
            Some(b'/') => {
                // As on Linux: it does not know yet which mount the root is on.
                if !self.knows_root || !Arc::ptr_eq(&self.root.mount, &self.at.mount) {
                    self.check_xdev()?;
                }
                self.knows_root = true;
                self.at = self.root.clone();
            }
            Some(_) => {}
        }
        self.go_on_with(target);
        Ok(())
    }

    /// What goes on here comes after `text`.
    fn go_on_with(&mut self, text: Vec<u8>) {
        let outer = core::mem::replace(&mut self.text, Cow::Owned(text));
        if self.pos < outer.len() {
            self.outer.push((outer, self.pos));
        }
        self.pos = 0;
    }

    /// Goes to where a link leads that says no path.
    fn jump(&mut self, to: Arc<dyn Any + Send + Sync>) -> Result<()> {
        if self.flags.contains(WalkFlags::NO_MAGICLINKS) {
            return Err(Errno::ELOOP);
        }
        if self.flags.intersects(WalkFlags::BENEATH | WalkFlags::IN_ROOT) {
            return Err(Errno::EXDEV);
        }
        let place = to.downcast::<Place>().map_err(|_| Errno::ENXIO)?;
        if !Arc::ptr_eq(&place.mount, &self.at.mount) {
            self.check_xdev()?;
        }
        self.at = (*place).clone();
        self.go_on_with(Vec::new());
        Ok(())
    }

    fn check_xdev(&self) -> Result<()> {
        if self.flags.contains(WalkFlags::NO_XDEV) {
            return Err(Errno::EXDEV);
        }
        Ok(())
    }

    /// Goes into what is mounted here.
    pub(crate) fn cross(&mut self) -> Result<()> {
        while self.at.dentry.is_mount_point() {
            let Some(mount) = self.vfs.mounted_on(&self.at) else { break };
            self.check_xdev()?;
            self.at = Place::root_of(&mount);
        }
        Ok(())
    }

    /// Goes to `..`.
    pub(crate) fn up(&mut self) -> Result<()> {
        self.knows_root = true;
        loop {
            if self.at == *self.root {
                if self.flags.contains(WalkFlags::BENEATH) {
                    return Err(Errno::EXDEV);
                }
                break;
            }
            if self.at.is_mount_root() {
                let Some(place) = self.at.mount.place() else { break };
                self.check_xdev()?;
                self.at = place;
                continue;
            }
            let Some(parent) = self.at.dentry.parent() else { break };
            // It may have been moved out of the part that the mount shows.
            let root = self.at.mount.root();
            if root.parent().is_some() && !root.is_above(&parent) {
                return Err(Errno::ENOENT);
            }
            self.at.dentry = parent;
            self.cross()?;
            break;
        }
        // Where it is now may have come there by a rename, past the root.
        let scoped = self.flags.intersects(WalkFlags::BENEATH | WalkFlags::IN_ROOT);
        if scoped && self.vfs.moves() != self.moves {
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }

    /// Goes all the way.
    pub(crate) fn finish(mut self) -> Result<Place> {
        loop {
            match self.go_to_last()? {
                Last::Root | Last::Dot => break,
                Last::DotDot => {
                    self.up()?;
                    break;
                }
                Last::Name => {}
            }
            let links = self.links;
            let follow = self.slash || self.flags.contains(WalkFlags::FOLLOW);
            if !self.enter(follow, true)? {
                return Err(Errno::ENOENT);
            }
            if self.links == links {
                break;
            }
        }
        if (self.slash || self.flags.contains(WalkFlags::DIRECTORY)) && !self.at.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        Ok(self.at)
    }
}

/// May one look for names in a directory?
pub(crate) fn search(cred: &Cred, dir: &Node) -> Result<()> {
    if cred.is_root() {
        return Ok(());
    }
    let inode = dir.inode();
    cred.check(&**inode, &inode.attr(), EXEC)
}

/// Would this be a directory that is in itself? A medium that is corrupt may say so; who goes down would never come to an end.
fn is_loop(dir: &Arc<Dentry>, node: &Node) -> bool {
    let mut at = (node.kind() == InodeKind::Directory).then(|| dir.clone());
    while let Some(above) = at {
        if above.node().ino() == node.ino() {
            return true;
        }
        at = above.parent();
    }
    false
}

impl Vfs {
    /// The file that `path` leads to, from `base` (the working directory, if there is none).
    ///
    /// # Errors
    /// Those of `man 7 path_resolution`: `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`, `ENAMETOOLONG`; `EXDEV`, `EAGAIN` as `man 2 openat2`
    /// says; `EINVAL` for a path with a NUL in it; `EIO`, `EUCLEAN`.
    pub fn walk(&self, ctx: &Context<'_>, base: Option<&Place>, path: &[u8], flags: WalkFlags) -> Result<Place> {
        if path.is_empty() && flags.contains(WalkFlags::EMPTY_PATH) {
            let place = base.unwrap_or(ctx.cwd);
            if flags.contains(WalkFlags::DIRECTORY) && !place.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            return Ok(place.clone());
        }
        Walker::new(self, ctx, base, path, flags)?.finish()
    }

    /// The file of that name in a directory, if there is one. With `cached`, only if that is known (`EAGAIN`).
    pub(crate) fn lookup(&self, dir: &Arc<Dentry>, name: &[u8], cached: bool) -> Result<Option<Arc<Dentry>>> {
        if dir.is_gone() {
            return Ok(None);
        }
        let sb = dir.node().sb();
        if !sb.raw().names_change() {
            if let Some(found) = self.cache().find(dir, name) {
                return Ok(found);
            }
        }
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        if cached {
            return Err(Errno::EAGAIN);
        }
        let _names = sb.names().read();
        self.lookup_locked(dir, name)
    }

    /// The same, with the lock of names held.
    pub(crate) fn lookup_locked(&self, dir: &Arc<Dentry>, name: &[u8]) -> Result<Option<Arc<Dentry>>> {
        if dir.is_gone() {
            return Ok(None);
        }
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let sb = dir.node().sb();
        let changes = sb.raw().names_change();
        let known = self.cache().find(dir, name);
        if let (Some(known), false) = (&known, changes) {
            return Ok(known.clone());
        }
        let ino = match dir.node().inode().lookup(name) {
            Ok(ino) => Some(ino),
            Err(Errno::ENOENT) => None,
            Err(e) => return Err(e),
        };
        if let Some(Some(dentry)) = known {
            // The same as long as somebody stands in it, or it is a mount point.
            if Some(dentry.node().ino()) == ino && Arc::strong_count(&dentry) > 2 {
                return Ok(Some(dentry));
            }
            self.cache().forget(dir, name);
        }
        let node = ino.map(|ino| sb.node(ino)).transpose()?;
        if node.as_ref().is_some_and(|node| is_loop(dir, node)) {
            let (name, dir) = (String::from_utf8_lossy(name), dir.node().ino());
            tracing::error!(target: "lkl::vfs", "{name:?} in directory {dir} of {} is above it", sb.fs().name());
            return Err(Errno::ELOOP);
        }
        Ok(self.cache().insert(dir, name, node))
    }
}
