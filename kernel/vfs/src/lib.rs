//! The virtual file system.
//!
//! * [`FileSystem`], [`SuperBlock`], [`Inode`]: what a file system is. `tmpfs` is one; `lkl-ext4` and its like are others.
//! * [`Env`], [`Super`], [`Node`]: memory and write-back, a mounted file system, a file with its cached content.
//! * [`Tmpfs`]: files in memory.
//! * [`cred`], [`acl`]: who may do what with a file.
//! * [`locks`]: `flock`, POSIX and OFD locks of one file.
//!
//! Below: `lkl-block`, `lkl-sync`. Above: the file systems implement the traits, `lkl-kernel` makes the system calls of it.

#![forbid(unsafe_code)]

pub mod acl;
pub mod cred;
mod env;
mod errseq;
mod fs;
pub mod locks;
mod node;
mod pages;
mod sb;
mod tmpfs;
mod transfer;

pub use env::{Env, Limits};
pub use errseq::ErrorMark;
pub use fs::{
    Attr, Caller, ChangeAttr, Data, DirEntry, FileSystem, Inode, InodeKind, Link, MountOptions, NewInode, Range,
    Rename, Seek, StatFs, SuperBlock, Timestamp, XattrSet,
};
pub use node::{At, Node};
pub use sb::Super;
pub use tmpfs::Tmpfs;
