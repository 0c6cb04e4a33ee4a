//! The virtual file system.
//!
//! * [`FileSystem`], [`SuperBlock`], [`Inode`]: what a file system is. `tmpfs` is one; `lkl-ext4` and its like are others.
//! * [`Env`], [`Super`], [`Node`]: memory and write-back, a mounted file system, a file with its cached content.
//! * [`Vfs`]: names, mounts, and what programs do with both; [`Place`], [`VfsFile`]: a file by its path, an open file.
//! * [`Tmpfs`]: files in memory.
//! * [`cred`], [`acl`]: who may do what with a file.
//! * [`locks`]: `flock`, POSIX and OFD locks of one file.
//!
//! Below: `lkl-block`, `lkl-sync`. Above: the file systems implement the traits, `lkl-kernel` makes the system calls of it.

#![forbid(unsafe_code)]

pub mod acl;
mod attrs;
pub mod cred;
mod dentry;
mod env;
mod errseq;
mod file;
mod fs;
mod handle;
mod layout;
mod leases;
pub mod locks;
mod mount;
mod mounting;
mod names;
mod node;
mod open;
mod pages;
mod protect;
mod remount;
mod rename;
mod sb;
mod tmpfs;
mod transfer;
mod vfs;
mod walk;
mod whole;
mod xattr;

pub use attrs::SetTime;
pub use dentry::Dentry;
pub use env::{Env, Limits};
pub use errseq::ErrorMark;
pub use file::VfsFile;
pub use fs::{
    Attr, Caller, ChangeAttr, Data, DirEntry, FileFlags, FileSystem, Inode, InodeKind, Link, MountOptions, NewContent,
    NewInode, Range, Rename, Seek, StatFs, SuperBlock, Timestamp, WholeFile, XattrSet,
};
pub use handle::Handle;
pub use layout::{FileExtent, Layout};
pub use leases::{LeaseHolder, Leases};
pub use mount::{Mount, Place};
pub use mounting::{MountInfo, MountRequest};
pub use node::{At, Node};
pub use open::{OpenHow, Opened, Opening};
pub use protect::{Protection, Protections};
pub use sb::Super;
pub use tmpfs::Tmpfs;
pub use vfs::{PlacePath, Vfs};
pub use walk::{Context, WalkFlags};
pub use whole::NewWhole;
