//! What keeps programs from being led to the wrong file in directories that others may write to (`man 5 proc_sys_fs`, `protected_*`).

use crate::cred::{Cred, READ, WRITE};
use crate::fs::{Attr, InodeKind};
use crate::node::Node;
use crate::vfs::permission;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use lkl_abi::stat::{S_ISGID, S_ISUID, S_ISVTX};
use lkl_abi::{Errno, Result};

const S_IXGRP: u32 = 0o010;
const S_IWGRP: u32 = 0o020;
const S_IWOTH: u32 = 0o002;

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// No links to what one could not write oneself.
    Hardlinks,
    /// No following of others' links in sticky directories that anybody may write to.
    Symlinks,
    /// No `O_CREAT` of others' regular files there; 2: nor where a group may write.
    Regular,
    /// The same of FIFOs.
    Fifos,
}

impl Protection {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hardlinks, Self::Symlinks, Self::Regular, Self::Fifos];

    /// Its name in `/proc/sys/fs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hardlinks => "protected_hardlinks",
            Self::Symlinks => "protected_symlinks",
            Self::Regular => "protected_regular",
            Self::Fifos => "protected_fifos",
        }
    }

    /// The greatest value.
    pub const fn most(self) -> u8 {
        match self {
            Self::Hardlinks | Self::Symlinks => 1,
            Self::Regular | Self::Fifos => 2,
        }
    }
}

/// How each is set: not at all, at first.
#[derive(Default)]
pub struct Protections([AtomicU8; 4]);

impl Protections {
    /// How one is set.
    pub fn get(&self, which: Protection) -> u8 {
        let [hardlinks, symlinks, regular, fifos] = &self.0;
        let value = match which {
            Protection::Hardlinks => hardlinks,
            Protection::Symlinks => symlinks,
            Protection::Regular => regular,
            Protection::Fifos => fifos,
        };
        value.load(Relaxed)
    }

    /// Sets one.
    ///
    /// # Errors
    /// `EINVAL` for more than [`Protection::most`].
    pub fn set(&self, which: Protection, value: u8) -> Result<()> {
        if value > which.most() {
            return Err(Errno::EINVAL);
        }
        if let Some(to) = self.0.get(which as usize) {
            to.store(value, Relaxed);
        }
        Ok(())
    }

    /// May one follow a link in a directory, to where a path ends?
    ///
    /// # Errors
    /// `EACCES`
    pub(crate) fn may_follow(&self, cred: &Cred, dir: &Node, link: &Node) -> Result<()> {
        if self.get(Protection::Symlinks) == 0 {
            return Ok(());
        }
        let (dir, link) = (dir.inode().attr(), link.inode().attr());
        let shared = dir.mode & S_ISVTX != 0 && dir.mode & S_IWOTH != 0;
        if !shared || link.uid == cred.uid || link.uid == dir.uid {
            return Ok(());
        }
        Err(Errno::EACCES)
    }

    /// May one give a file another name?
    ///
    /// # Errors
    /// `EPERM`
    pub(crate) fn may_link(&self, cred: &Cred, node: &Node) -> Result<()> {
        if self.get(Protection::Hardlinks) == 0 {
            return Ok(());
        }
        let attr = node.inode().attr();
        let privileged = attr.mode & S_ISUID != 0 || attr.mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP;
        let plain = attr.kind == InodeKind::Regular && !privileged;
        if cred.owns(&attr) || plain && permission(cred, node, READ | WRITE).is_ok() {
            return Ok(());
        }
        Err(Errno::EPERM)
    }

    /// May one open a file that is there already, in a directory `dir`, as one that would have made it?
    ///
    /// # Errors
    /// `EACCES`
    pub(crate) fn may_find(&self, cred: &Cred, dir: &Attr, node: &Node) -> Result<()> {
        if dir.mode & S_ISVTX == 0 {
            return Ok(());
        }
        let attr = node.inode().attr();
        let (regular, fifos) = (self.get(Protection::Regular), self.get(Protection::Fifos));
        let level = match attr.kind {
            InodeKind::Regular => regular,
            InodeKind::Fifo => fifos,
            // As on Linux, all others are protected, but not by a group alone.
            _ => 1,
        };
        let shared = dir.mode & S_IWOTH != 0 || dir.mode & S_IWGRP != 0 && level >= 2;
        if level == 0 || !shared || attr.uid == dir.uid || attr.uid == cred.uid {
            return Ok(());
        }
        Err(Errno::EACCES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_a_limit() {
        let all = Protections::default();
        for which in Protection::ALL {
            assert_eq!((all.get(which), all.set(which, which.most() + 1)), (0, Err(Errno::EINVAL)));
            assert_eq!((all.set(which, which.most()), all.get(which)), (Ok(()), which.most()));
        }
    }
}
