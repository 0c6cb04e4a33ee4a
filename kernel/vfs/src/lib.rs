//! The virtual file system.
//!
//! * [`FileSystem`], [`SuperBlock`], [`Inode`]: what a file system is. `tmpfs` is one; `lkl-ext4` and its like are others.
//! * [`cred`], [`acl`]: who may do what with a file.
//! * [`locks`]: `flock`, POSIX and OFD locks of one file.
//!
//! Below: `lkl-block`, `lkl-sync`. Above: the file systems implement the traits, `lkl-kernel` makes the system calls of it.

#![forbid(unsafe_code)]

pub mod acl;
pub mod cred;
mod fs;
pub mod locks;

pub use fs::{
    Attr, ChangeAttr, Data, DirEntry, FileSystem, Inode, InodeKind, MountOptions, NewInode, Range, Rename, Seek,
    StatFs, SuperBlock, Timestamp, XattrSet,
};
