//! ext2, ext3 and ext4 on a [`Disk`]: reading, journal replay and journalled writing.
//!
//! This is the format half: it knows no clock, thread or lock. One [`Ext4`] is one mounted file system; whoever shares it between
//! threads puts a lock around it. Inodes are called by number.
//!
//! | module | what |
//! |---|---|
//! | `sb`, `features`, `group` | superblock, feature sets, block groups and their bitmaps |
//! | `cache` | metadata blocks in memory; the blocks of the running transaction |
//! | `transaction` | operations that happen as a whole; commits and checkpoints |
//! | `journal` | JBD2: replay, and writing transactions |
//! | `inode`, `inline` | inodes; small files in them |
//! | `map`, `extent`, `indirect` | where the blocks of a file are |
//! | `alloc` | which blocks and inodes are free |
//! | `dir`, `xattr`, `file` | what is in directories, attributes and files |
//! | `name`, `orphan` | creating, linking, removing, renaming; inodes without a name |
//!
//! `vfs` is the other half: the same behind the traits of `lkl-vfs`, with a lock.
//!
//! Damage on the disk is `EUCLEAN` and a log line that names the block.
//!
//! Below: `lkl-abi`, `lkl-ops`; for `vfs` also `lkl-vfs`, `lkl-block`, `lkl-sync`.

#![forbid(unsafe_code)]

mod alloc;
mod bytes;
mod cache;
mod csum;
mod dir;
mod error;
mod extent;
mod features;
mod file;
mod group;
mod indirect;
mod inline;
mod inode;
mod journal;
mod layout;
mod map;
mod mount;
mod name;
mod orphan;
mod sb;
mod transaction;
mod vfs;
mod xattr;

pub use dir::{DirEntry, NAME_MAX};
pub use file::space::Space;
pub use file::whole::{Content, Whole};
pub use inode::Time;
pub use mount::Options;
pub use name::{New, Rename, SetAttr};
pub use sb::OnError;
pub use vfs::{ExtType, EXT2, EXT3, EXT4};
pub use xattr::change::SetMode;
pub use xattr::VALUE_MAX;

use cache::Cache;
use core::sync::atomic::AtomicBool;
use file::whole::{Ahead, Gathered};
use group::Group;
use inode::{Inode, TimeField};
use journal::Journal;
use lkl_abi::{Errno, Result};
use lkl_ops::Disk;
use sb::Superblock;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use transaction::Transaction;

/// Inode number of the root directory.
pub const ROOT: u32 = inode::ROOT_INO;

/// A mounted file system.
pub struct Ext4 {
    sb: Superblock,
    cache: Cache,
    /// Blocks whose checksum, which lies elsewhere, was found right.
    verified: HashSet<u64>,
    /// Inodes without a name that are still in use.
    orphans: HashSet<u32>,
    read_only: bool,
    /// A commit has failed, or damage was found that nothing may be written after.
    failed: bool,
    /// The same, for who does not hold the lock.
    stopped: Arc<AtomicBool>,
    /// What happens when damage is found.
    on_error: OnError,
    journal: Option<Journal>,
    /// Blocks of the journal.
    journal_blocks: u64,
    transaction: Transaction,
    /// Data was written since the disk was flushed last.
    unflushed: bool,
    /// When the operation under way happens.
    now: Time,
    /// What is written does not change the times of the file.
    keep_times: bool,
    /// Blocks promised for data that is in memory still.
    promised: u64,
    /// May the blocks be taken that are kept for root?
    privileged: bool,
    /// Groups whose longest run of free clusters is known since a search found nothing better.
    full_groups: HashMap<u32, u32>,
    /// Where the file system's own blocks are; empty until it is asked for.
    system: Vec<(u64, u64)>,
    /// Where the inode tables are of the groups that were looked at.
    inode_tables: HashMap<u32, u64>,
    /// Descriptors that were read, as they are now.
    groups: HashMap<u32, Group>,
    /// A directory, and a name that was not found in it; nothing has changed since.
    absent: Option<(u32, Vec<u8>)>,
    /// A directory in which whole files are made, and all names in it; nothing else has changed since.
    names: Option<(u32, HashSet<Vec<u8>>)>,
    /// The block of a directory before which there is no room for entries.
    dir_hints: HashMap<u32, u32>,
    /// State of the generator of inode generations.
    generation: u64,
    /// `s_state` as it was before it was mounted.
    state: u16,
    /// What is committed stays in memory.
    in_memory: bool,
    gathered: Gathered,
    ahead: Ahead,
}

/// What `stat` says of an inode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attr {
    /// Inode number.
    pub ino: u32,
    /// Kind and permissions, as `st_mode`.
    pub mode: u16,
    /// Hard links; 1 for a directory with more subdirectories than can be counted.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Space used, in sectors of 512 bytes.
    pub sectors: u64,
    /// Major and minor number, if it is a device.
    pub rdev: (u32, u32),
    /// Last access.
    pub atime: Time,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
    /// Creation, if the inode has room to say.
    pub btime: Option<Time>,
    /// Flags, as `FS_IOC_GETFLAGS` gives them.
    pub flags: u32,
    /// Number of the use of this inode, as `FS_IOC_GETVERSION` gives it.
    pub generation: u32,
    /// Project.
    pub project: u32,
}

/// A piece of a file that lies in one run on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Where it starts in the file, in bytes.
    pub offset: u64,
    /// In bytes.
    pub len: u64,
    /// Where it starts on the disk, in bytes.
    pub place: u64,
    /// Nothing was written there yet: it reads as zeroes.
    pub unwritten: bool,
}

/// What `statfs` says of a file system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// In bytes.
    pub block_size: u32,
    /// Blocks for files, all in all.
    pub blocks: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// Free blocks that anybody may use.
    pub available_blocks: u64,
    /// Inodes, all in all.
    pub inodes: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// UUID of the file system.
    pub uuid: [u8; 16],
    /// Label, up to its first NUL.
    pub label: Vec<u8>,
}

impl Ext4 {
    fn new(sb: Superblock, cache: Cache, read_only: bool, seed: &[u8]) -> Self {
        let seeds = sb.uuid.iter().chain(seed);
        let generation = seeds.fold(u64::from(sb.mnt_count), |g, &b| g.rotate_left(9) ^ u64::from(b));
        Self {
            on_error: sb.on_error,
            sb,
            cache,
            verified: HashSet::new(),
            orphans: HashSet::new(),
            read_only,
            failed: false,
            stopped: Arc::default(),
            journal: None,
            journal_blocks: 0,
            transaction: Transaction::default(),
            unflushed: false,
            now: Time::default(),
            keep_times: false,
            promised: 0,
            privileged: true,
            full_groups: HashMap::new(),
            system: Vec::new(),
            inode_tables: HashMap::new(),
            groups: HashMap::new(),
            absent: None,
            names: None,
            dir_hints: HashMap::new(),
            generation,
            state: 0,
            in_memory: false,
            gathered: Gathered::default(),
            ahead: Ahead::default(),
        }
    }

    /// What `stat` says of an inode.
    ///
    /// # Errors
    /// `ESTALE` if it is not in use; `EIO`, `EUCLEAN`.
    pub fn attr(&mut self, ino: u32) -> Result<Attr> {
        let inode = self.inode(ino)?;
        Ok(self.attr_of(&inode))
    }

    fn attr_of(&self, inode: &Inode) -> Attr {
        let time = |which| inode.time(which).unwrap_or_default();
        let device = matches!(inode.kind(), inode::kind::CHAR | inode::kind::BLOCK);
        Attr {
            ino: inode.ino,
            mode: inode.mode(),
            links: u32::from(inode.links()),
            uid: inode.uid(),
            gid: inode.gid(),
            size: inode.size(),
            sectors: self.sectors(inode),
            rdev: if device { inode.rdev() } else { (0, 0) },
            atime: time(TimeField::Access),
            mtime: time(TimeField::Modify),
            ctime: time(TimeField::Change),
            btime: inode.time(TimeField::Birth),
            flags: inode.flags() & inode::flag::VISIBLE,
            generation: inode.generation(),
            project: inode.project(),
        }
    }

    /// The same of an inode that a program may see: not of one that the file system keeps for itself.
    ///
    /// # Errors
    /// As [`Ext4::attr`]; `EUCLEAN` if it is such a one, to which no name should lead.
    pub(crate) fn file_attr(&mut self, ino: u32) -> Result<Attr> {
        let inode = self.file_inode(ino)?;
        Ok(self.attr_of(&inode))
    }

    /// Its inode.
    ///
    /// # Errors
    /// As [`Ext4::file_attr`].
    fn file_inode(&mut self, ino: u32) -> Result<Inode> {
        let inode = self.inode(ino)?;
        if inode.has(inode::flag::EA_INODE) || (ino < self.sb.first_ino && ino != ROOT) {
            return Err(error::corrupt(0, format_args!("a name leads to inode {ino}, which is no file")));
        }
        Ok(inode)
    }

    /// The largest size that a new file may get, in bytes.
    pub(crate) fn largest_file(&self) -> u64 {
        self.sb.max_file_size(self.sb.has(features::Incompat::EXTENTS))
    }

    /// Whether there are inodes without a name that are in use.
    pub(crate) fn has_orphans(&self) -> bool {
        !self.orphans.is_empty()
    }

    /// Looks a name up in a directory.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENAMETOOLONG`, `EIO`, `EUCLEAN`.
    pub fn lookup(&mut self, dir: u32, name: &[u8]) -> Result<u32> {
        let dir = self.inode(dir)?;
        let found = self.find_entry(&dir, name);
        self.absent = (found == Err(Errno::ENOENT)).then(|| (dir.ino, name.to_vec()));
        Ok(found?.0)
    }

    /// Some entries of a directory from `from` on (0, or [`DirEntry::next`] of an entry), with `.` and `..`; none at its end.
    ///
    /// # Errors
    /// `ENOTDIR`, `EIO`, `EUCLEAN`.
    pub fn read_dir(&mut self, dir: u32, from: u64) -> Result<Vec<DirEntry>> {
        let dir = self.inode(dir)?;
        self.list(&dir, from)
    }

    /// Reads a regular file. Answers the bytes read: fewer than asked for only at its end.
    ///
    /// # Errors
    /// `EISDIR`; `EINVAL` if it is no regular file; `ENOKEY` if it is encrypted; `EIO`, `EUCLEAN`.
    pub fn read(&mut self, ino: u32, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let inode = self.inode(ino)?;
        self.read_inode(&inode, offset, buf)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// `EINVAL` if it is none; `ENOKEY` if it is encrypted; `EIO`, `EUCLEAN`.
    pub fn read_link(&mut self, ino: u32) -> Result<Vec<u8>> {
        let inode = self.inode(ino)?;
        self.link_target(&inode)
    }

    /// The next byte at or after `offset` that is data (`SEEK_DATA`).
    ///
    /// # Errors
    /// `ENXIO` if there is none; `EIO`, `EUCLEAN`.
    pub fn seek_data(&mut self, ino: u32, offset: u64) -> Result<u64> {
        let inode = self.inode(ino)?;
        self.seek(&inode, offset, true)
    }

    /// The next byte at or after `offset` in a hole, of which one follows the end (`SEEK_HOLE`).
    ///
    /// # Errors
    /// `ENXIO` if `offset` is past the end; `EIO`, `EUCLEAN`.
    pub fn seek_hole(&mut self, ino: u32, offset: u64) -> Result<u64> {
        let inode = self.inode(ino)?;
        self.seek(&inode, offset, false)
    }

    /// Where the pieces of a file are, from block `offset / block size` on, at most `limit` of them; holes are left out.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if the content is in the inode; `EIO`, `EUCLEAN`.
    pub fn pieces(&mut self, ino: u32, offset: u64, limit: usize) -> Result<Vec<Piece>> {
        let inode = self.inode(ino)?;
        if inode.has(inode::flag::INLINE_DATA) || !inode.has_blocks() {
            return Err(Errno::EOPNOTSUPP);
        }
        let bs = self.sb.block_size as u64;
        let (mut at, mut list) = (offset / bs, Vec::new());
        while let (Ok(lblk), true) = (u32::try_from(at), list.len() < limit) {
            let map = self.map(&inode, lblk)?;
            if let Some(place) = map.place() {
                let unwritten = matches!(map.state, map::State::Unwritten(_));
                list.push(Piece { offset: at * bs, len: map.len * bs, place: place * bs, unwritten });
            }
            at = map.end();
        }
        Ok(list)
    }

    /// The value of an extended attribute, by its full name (`user.mime`).
    ///
    /// # Errors
    /// `ENODATA` if there is none; `EOPNOTSUPP` if there cannot be one of that name; `EIO`, `EUCLEAN`.
    pub fn xattr(&mut self, ino: u32, name: &[u8]) -> Result<Vec<u8>> {
        let inode = self.inode(ino)?;
        self.get_xattr_of(&inode, name)
    }

    /// The names of all extended attributes.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub fn xattr_list(&mut self, ino: u32) -> Result<Vec<Vec<u8>>> {
        let inode = self.inode(ino)?;
        self.xattr_names(&inode)
    }

    /// What `statfs` says.
    pub fn stat(&self) -> Stat {
        let sb = &self.sb;
        let overhead = self.overhead();
        let reserved = sb.reserved_blocks;
        let free = sb.free_blocks.saturating_sub(self.promised);
        let end = sb.label.iter().position(|&b| b == 0).unwrap_or(sb.label.len());
        Stat {
            block_size: sb.block_size as u32,
            blocks: sb.blocks_count.saturating_sub(overhead),
            free_blocks: free,
            available_blocks: free.saturating_sub(reserved),
            inodes: u64::from(sb.inodes_count),
            free_inodes: u64::from(sb.free_inodes),
            uuid: sb.uuid,
            label: sb.label.get(..end).unwrap_or(&[]).to_vec(),
        }
    }

    /// Blocks that no file can use: superblocks, descriptors, bitmaps, inode tables, the journal.
    fn overhead(&self) -> u64 {
        let sb = &self.sb;
        let per_group = 2 + self.inode_table_blocks();
        let base: u64 = (0..sb.groups).map(|g| u64::from(sb.base_meta_blocks(g))).sum();
        let journal = self.journal_blocks;
        u64::from(sb.first_data_block) + base + per_group * u64::from(sb.groups) + journal
    }

    /// Whether nothing can be changed.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn is_orphan(&self, ino: u32) -> bool {
        self.orphans.contains(&ino)
    }

    /// Whether the blocks that are kept for root may be used by what is called next; so it is at first.
    pub fn set_privileged(&mut self, privileged: bool) {
        self.privileged = privileged;
    }

    /// The disk below.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.cache.disk
    }

    fn writable(&self) -> Result<()> {
        if self.read_only {
            return Err(Errno::EROFS);
        }
        Ok(())
    }
}
