//! Small files as a whole: made with content, attributes and times in one operation, and read with all of them at once.
//!
//! What is made so is written later than the operation that takes its blocks, together with what other files put behind it: before the next
//! commit, and before anybody reads or writes around it ([`Ext4::write_gathered`]).

use crate::cache::{read_disk, write_disk};
use crate::inode::{flag, Inode, Time, TimeField};
use crate::map::State;
use crate::{Attr, Ext4, New};
use lkl_abi::{Errno, Result};
use std::collections::HashSet;

/// Bytes that are gathered before they are written.
const GATHERED_MAX: usize = 1 << 20;
/// Bytes read at once where files lie one behind the other.
const AHEAD: usize = 256 << 10;
/// What lies no further than that behind the last file read is behind it still: blocks of directories may be in between.
const GAP: u64 = 64 << 10;

/// The names of a directory of up to so many blocks are kept while whole files are made in it, and up to so many names.
const NAMES_BLOCKS: u32 = 8;
const NAMES_MAX: usize = 10_000;

/// Content of new files that is not written yet, in one run.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Is what [`Ext4::write_blocks`] writes to be gathered?
    wanted: bool,
    /// Where it goes on the disk, in bytes.
    at: u64,
    data: Vec<u8>,
}

/// What lies behind the last file that was read.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    at: u64,
    data: Vec<u8>,
    /// Where the last read ended.
    end: u64,
}

impl Ahead {
    /// What is here from a place on.
    fn rest(&self, at: u64) -> &[u8] {
        let skip = at.checked_sub(self.at).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.data.get(skip..)).unwrap_or_default()
    }
}

/// What a new file holds, and its times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content<'a> {
    /// All of it.
    pub data: &'a [u8],
    /// Last access.
    pub atime: Time,
    /// Last change of the content.
    pub mtime: Time,
}

/// All of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whole {
    /// What `stat` says of it.
    pub attr: Attr,
    /// What it holds; `None` if that is not small, or not that of a regular file with one name and without holes.
    pub data: Option<Vec<u8>>,
    /// With `data`: its extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Ext4 {
    /// Makes a regular file with all that is in it. Answers its number.
    ///
    /// # Errors
    /// As [`Ext4::create`] and [`Ext4::write`].
    pub fn create_whole(
        &mut self,
        dir: u32,
        name: &[u8],
        new: &New<'_>,
        content: &Content<'_>,
        now: Time,
    ) -> Result<u32> {
        crate::name::check_name(name)?;
        let mut names = self.names.take().filter(|known| known.0 == dir).map(|known| known.1);
        let made = self.op(now, |fs| {
            let mut parent = fs.inode(dir)?;
            fs.check_new(&parent, name, &mut names)?;
            let mut inode = fs.make_inode(&parent, new)?;
            if !inode.is_reg() {
                return Err(Errno::EINVAL);
            }
            fs.fill_whole(&mut inode, content.data)?;
            inode.set_time(TimeField::Access, content.atime);
            inode.set_time(TimeField::Modify, content.mtime);
            fs.add_entry(&mut parent, name, inode.ino, crate::dir::change::entry_kind(new.mode))?;
            fs.touch(&mut parent);
            fs.put_inode(&mut parent)?;
            fs.put_inode(&mut inode)?;
            Ok(inode.ino)
        });
        self.gathered.wanted = false;
        // If it has failed, they are the same still.
        if let Some(mut names) = names {
            if made.is_ok() {
                names.insert(name.to_vec());
            }
            self.names = Some((dir, names));
        }
        made
    }

    /// Checks that a name can be put into a directory, in which many may follow. `names` are those in it, if they are known; if not, and
    /// they are not too many, they are afterwards.
    fn check_new(&mut self, dir: &Inode, name: &[u8], names: &mut Option<HashSet<Vec<u8>>>) -> Result<()> {
        self.check_parent(dir)?;
        if names.is_none() && self.dir_blocks(dir) <= NAMES_BLOCKS {
            let (mut all, mut from) = (HashSet::new(), 0);
            loop {
                let some = self.list(dir, from)?;
                let Some(last) = some.last() else { break };
                from = last.next;
                all.extend(some.into_iter().map(|e| e.name));
            }
            *names = Some(all);
        }
        match names {
            Some(names) if names.contains(name) => Err(Errno::EEXIST),
            Some(names) if names.len() <= NAMES_MAX => Ok(()),
            _ => {
                *names = None;
                self.check_new_name(dir, name)
            }
        }
    }

    fn fill_whole(&mut self, inode: &mut Inode, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        if data.len() as u64 > self.sb.max_file_size(inode.has(flag::EXTENTS)) {
            return Err(Errno::EFBIG);
        }
        if !self.write_inline(inode, 0, data)? {
            self.gathered.wanted = true;
            let written = self.write_blocks(inode, 0, data)?;
            self.gathered.wanted = false;
            if written < data.len() {
                return Err(Errno::ENOSPC);
            }
        }
        self.resize(inode, data.len() as u64);
        Ok(())
    }

    /// Keeps content of a fresh run of blocks for later, with zeroes up to the end of its last block. Answers whether it did.
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`, if what was gathered before cannot be written.
    pub(crate) fn gather(&mut self, start: u64, data: &[u8], tail: usize) -> Result<bool> {
        if !self.gathered.wanted || data.len() > GATHERED_MAX / 4 {
            return Ok(false);
        }
        let g = &self.gathered;
        let end = g.at + g.data.len() as u64;
        if !g.data.is_empty() && (start != end || g.data.len() + data.len() + tail > GATHERED_MAX) {
            self.write_gathered()?;
        }
        let g = &mut self.gathered;
        if g.data.is_empty() {
            g.at = start;
            g.data.reserve_exact(GATHERED_MAX);
        }
        g.data.extend_from_slice(data);
        let len = g.data.len() + tail;
        g.data.resize(len, 0);
        Ok(true)
    }

    /// Writes what was gathered. If that fails it stays, so that the next commit fails as well: its files are made already.
    ///
    /// # Errors
    /// `EIO`, `ENOSPC`.
    pub(crate) fn write_gathered(&mut self) -> Result<()> {
        if self.gathered.data.is_empty() {
            return Ok(());
        }
        write_disk(&*self.cache.disk, &self.gathered.data, self.gathered.at)?;
        self.gathered.data.clear();
        Ok(())
    }

    /// All that is known of the file of a name, and what is in it if that is at most `most` bytes.
    ///
    /// # Errors
    /// As [`Ext4::lookup`] and [`Ext4::read`].
    pub fn read_whole(&mut self, dir: u32, name: &[u8], most: usize) -> Result<Whole> {
        let ino = self.lookup(dir, name)?;
        let inode = self.file_inode(ino)?;
        let attr = self.attr_of(&inode);
        let dense = attr.sectors.saturating_mul(512) >= attr.size;
        let small = inode.is_reg() && attr.links == 1 && dense && attr.size <= most as u64;
        if !small || inode.has(flag::ENCRYPT) {
            return Ok(Whole { attr, data: None, xattrs: Vec::new() });
        }
        let mut data = vec![0; attr.size as usize];
        if inode.has(flag::INLINE_DATA) || !self.cache.committed_is_home() || !self.read_only {
            self.read_inode(&inode, 0, &mut data)?;
        } else {
            self.read_small(&inode, &mut data)?;
        }
        let mut xattrs = Vec::new();
        for name in self.xattr_names(&inode)? {
            let value = self.get_xattr_of(&inode, &name)?;
            xattrs.push((name, value));
        }
        Ok(Whole { attr, data: Some(data), xattrs })
    }

    /// Reads a file of a file system that nobody changes.
    fn read_small(&mut self, inode: &Inode, data: &mut [u8]) -> Result<()> {
        let bs = self.sb.block_size as u64;
        let mut done = 0;
        while done < data.len() {
            let map = self.map(inode, (done as u64 / bs) as u32)?;
            let len = map.len.saturating_mul(bs).min((data.len() - done) as u64) as usize;
            let part = data.get_mut(done..done + len).unwrap_or_default();
            match map.state {
                State::Written(place) => self.read_ahead(part, place * bs)?,
                _ => part.fill(0),
            }
            done += len;
        }
        Ok(())
    }

    /// Reads from the disk. Where this goes on from what was read last, more is read than is asked for.
    fn read_ahead(&mut self, buf: &mut [u8], at: u64) -> Result<()> {
        let (len, disk) = (buf.len(), self.cache.disk.clone());
        let ahead = &mut self.ahead;
        let follows = at >= ahead.end && at - ahead.end <= GAP;
        ahead.end = at + len as u64;
        if ahead.rest(at).len() < len {
            let more = disk.size().saturating_sub(at).min(AHEAD as u64) as usize;
            if !follows || more < len {
                return read_disk(&*disk, buf, at);
            }
            ahead.data.resize(more, 0);
            ahead.at = at;
            if disk.read_at(&mut ahead.data, at).is_err() {
                // Something else than what is asked for may be what cannot be read.
                ahead.data.clear();
                return read_disk(&*disk, buf, at);
            }
        }
        buf.copy_from_slice(ahead.rest(at).get(..len).ok_or(Errno::EIO)?);
        Ok(())
    }
}
