//! Adding entries to directories, and taking them out: in blocks one after the other, and in those of an index.

use super::htree::{IndexNode, IndexPath, INDEX_ENTRY, NODE_ENTRIES, ROOT_ENTRIES};
use super::{entry_size, put_entry, INLINE_PARENT};
use crate::bytes::{cut, le32, put_bytes, put_le16, put_le32, put_u8, u8_at};
use crate::cache::Block;
use crate::error::corrupt;
use crate::features::{Compat, Incompat};
use crate::inode::{flag, kind, Inode};
use crate::Ext4;
use lkl_abi::{Errno, Result};

/// An entry on its way into another block.
struct Moved {
    hash: u32,
    ino: u32,
    kind: u8,
    name: Vec<u8>,
}

/// The kind that an entry says of an inode with this mode (`EXT4_FT_*`).
pub(crate) fn entry_kind(mode: u16) -> u8 {
    match mode & kind::MASK {
        kind::REG => 1,
        kind::DIR => 2,
        kind::CHAR => 3,
        kind::BLOCK => 4,
        kind::FIFO => 5,
        kind::SOCK => 6,
        kind::LINK => 7,
        _ => 0,
    }
}

impl Ext4 {
    fn kind_byte(&self, kind: u8) -> u8 {
        if self.sb.has(Incompat::FILETYPE) {
            kind
        } else {
            0
        }
    }

    /// Checks that entries of a directory can be changed.
    ///
    /// # Errors
    /// `ENOTDIR`; `EPERM` if it is immutable; `ENOKEY` if it is encrypted; `EOPNOTSUPP` if it ignores case.
    pub(crate) fn check_dir_writable(&self, dir: &Inode) -> Result<()> {
        if !dir.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if dir.has(flag::IMMUTABLE) {
            return Err(Errno::EPERM);
        }
        if dir.has(flag::ENCRYPT) {
            tracing::warn!(target: "lkl::ext4", ino = dir.ino, "an encrypted directory is not written");
            return Err(Errno::ENOKEY);
        }
        if dir.has(flag::CASEFOLD) {
            tracing::warn!(target: "lkl::ext4", ino = dir.ino, "a directory that ignores case is not written");
            return Err(Errno::EOPNOTSUPP);
        }
        Ok(())
    }

    /// The content of a new directory: its `.` and `..`.
    ///
    /// # Errors
    /// `ENOSPC`, `EIO`, `EUCLEAN`.
    pub(crate) fn init_dir(&mut self, dir: &mut Inode, parent: u32) -> Result<()> {
        if self.sb.has(Incompat::INLINE_DATA) && dir.xattr_start().is_some() {
            let mut content = [0; 60];
            put_le32(&mut content, 0, parent);
            put_le16(&mut content, INLINE_PARENT + 4, 56);
            match self.put_inline(dir, &content) {
                Ok(()) => {
                    dir.set_size(60);
                    return Ok(());
                }
                // ACLs that it inherits may have taken the room.
                Err(Errno::ENOSPC) => {}
                Err(e) => return Err(e),
            }
        }
        self.init_map(dir);
        let (place, _) = self.append_dir_block(dir)?;
        self.put_dots(dir, place, dir.ino, parent)
    }

    fn put_dots(&mut self, dir: &Inode, place: u64, ino: u32, parent: u32) -> Result<()> {
        let (room, bs, kind) = (self.dir_room(), self.sb.block_size, self.kind_byte(2));
        let mut data = vec![0; bs];
        put_entry(&mut data, 0, 12, bs, ino, kind, b".");
        put_entry(&mut data, 12, room - 12, bs, parent, kind, b"..");
        self.seal_dir_block(dir, &mut data);
        self.cache.replace(place, Block::new(data));
        Ok(())
    }

    /// Adds a block to a directory. Answers where it is on the disk and in the directory.
    fn append_dir_block(&mut self, dir: &mut Inode) -> Result<(u64, u32)> {
        let lblk = self.dir_blocks(dir);
        let size = dir.size() + self.sb.block_size as u64;
        if size > i32::MAX as u64 && !self.sb.has(Incompat::LARGE_DIR) {
            return Err(Errno::ENOSPC);
        }
        let map = self.map(dir, lblk)?;
        let map = if map.place().is_some() { map } else { self.fill_hole(dir, map, 1, false)? };
        let place = map.place().ok_or(Errno::EIO)?;
        self.cache.fresh(place);
        dir.set_size(size);
        Ok((place, lblk))
    }

    /// Adds an entry; there must be none of that name. The caller writes the directory's inode.
    ///
    /// # Errors
    /// `ENOSPC`, `EIO`, `EUCLEAN`.
    pub(crate) fn add_entry(&mut self, dir: &mut Inode, name: &[u8], ino: u32, kind: u8) -> Result<()> {
        let kind = self.kind_byte(kind);
        if dir.has(flag::INLINE_DATA) {
            if self.add_inline(dir, name, ino, kind)? {
                return Ok(());
            }
            self.inline_dir_to_block(dir)?;
        }
        if self.index_kind(dir)?.is_some() {
            return self.add_indexed(dir, name, ino, kind);
        }
        // An index that cannot be kept must not be believed any more.
        if dir.has(flag::INDEX) && self.dir_blocks(dir) > 1 {
            dir.set_flags(dir.flags() & !flag::INDEX);
        }
        let blocks = self.dir_blocks(dir);
        let first = self.dir_hints.get(&dir.ino).copied().filter(|&n| n < blocks).unwrap_or(0);
        for lblk in first..blocks {
            if self.add_to_block(dir, lblk, name, ino, kind)? {
                self.dir_hints.insert(dir.ino, lblk);
                return Ok(());
            }
        }
        let indexes = self.sb.compat.contains(Compat::DIR_INDEX);
        if indexes && blocks == 1 && super::hash::HashKind::new(self.sb.def_hash_version, false).is_some() {
            self.make_index(dir)?;
            return self.add_indexed(dir, name, ino, kind);
        }
        let (place, _) = self.append_dir_block(dir)?;
        let (room, bs) = (self.dir_room(), self.sb.block_size);
        let mut data = vec![0; bs];
        put_entry(&mut data, 0, room, bs, ino, kind, name);
        self.seal_dir_block(dir, &mut data);
        self.cache.replace(place, Block::new(data));
        Ok(())
    }

    /// Finds room for an entry in a piece of a directory and puts it there.
    fn insert_entry(
        &self,
        data: &mut [u8],
        name: &[u8],
        ino: u32,
        kind: u8,
    ) -> core::result::Result<bool, &'static str> {
        let needed = entry_size(name.len());
        let bs = self.sb.block_size;
        let mut found = None;
        for e in self.entries(data) {
            let e = e?;
            let used = if e.ino == 0 { 0 } else { entry_size(e.name.len()) };
            if e.len >= used + needed {
                found = Some((e.at, e.len, used));
                break;
            }
        }
        let Some((at, len, used)) = found else { return Ok(false) };
        if used > 0 {
            put_le16(data, at + 4, super::encode_len(used, bs));
        }
        put_entry(data, at + used, len - used, bs, ino, kind, name);
        Ok(true)
    }

    fn add_to_block(&mut self, dir: &Inode, lblk: u32, name: &[u8], ino: u32, kind: u8) -> Result<bool> {
        let (place, data) = self.dir_leaf(dir, lblk)?;
        let room = self.dir_room();
        let mut data = data.to_vec();
        let added = self.insert_entry(data.get_mut(..room).unwrap_or(&mut []), name, ino, kind);
        if !added.map_err(|what| corrupt(place, format_args!("directory {}: {what}", dir.ino)))? {
            return Ok(false);
        }
        self.seal_dir_block(dir, &mut data);
        self.cache.replace(place, Block::new(data));
        Ok(true)
    }

    fn add_inline(&mut self, dir: &mut Inode, name: &[u8], ino: u32, kind: u8) -> Result<bool> {
        let mut data = self.inline_data(dir)?;
        let end = data.len();
        for (from, to) in [(INLINE_PARENT, 60), (60, end)] {
            let Some(part) = data.get_mut(from..to).filter(|p| !p.is_empty()) else { continue };
            let added = self.insert_entry(part, name, ino, kind);
            let bad = |what| corrupt(0, format_args!("directory {} in its inode: {what}", dir.ino));
            if added.map_err(bad)? {
                self.put_inline(dir, &data)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves the entries of a directory from its inode into a block.
    fn inline_dir_to_block(&mut self, dir: &mut Inode) -> Result<()> {
        let data = self.inline_data(dir)?;
        let mut list = Vec::new();
        for part in [cut(&data, INLINE_PARENT, 60 - INLINE_PARENT), cut(&data, 60, data.len())] {
            for e in self.entries(part) {
                let e = e.map_err(|what| corrupt(0, format_args!("directory {} in its inode: {what}", dir.ino)))?;
                if e.ino != 0 {
                    list.push((e.ino, e.kind, e.name.to_vec()));
                }
            }
        }
        self.drop_inline(dir)?;
        dir.set_size(0);
        let (place, _) = self.append_dir_block(dir)?;
        self.put_dots(dir, place, dir.ino, le32(&data, 0))?;
        for (ino, kind, name) in list {
            if !self.add_to_block(dir, 0, &name, ino, kind)? {
                return Err(Errno::ENOSPC);
            }
        }
        Ok(())
    }

    /// Gives a directory of one block an index: its entries go into a second block.
    fn make_index(&mut self, dir: &mut Inode) -> Result<()> {
        let (place, data) = self.dir_leaf(dir, 0)?;
        let parent = self.dotdot(dir)?;
        let mut list = Vec::new();
        for e in self.entries(cut(&data, 0, self.dir_room())) {
            let e = e.map_err(|what| corrupt(place, format_args!("directory {}: {what}", dir.ino)))?;
            if e.ino != 0 && !e.is_dot() {
                list.push(Moved { hash: 0, ino: e.ino, kind: e.kind, name: e.name.to_vec() });
            }
        }
        let (leaf_place, leaf) = self.append_dir_block(dir)?;
        dir.set_flags(dir.flags() | flag::INDEX);
        self.put_leaf(dir, leaf_place, &list)?;
        let (bs, kind) = (self.sb.block_size, self.kind_byte(2));
        let mut root = vec![0; bs];
        put_entry(&mut root, 0, 12, bs, dir.ino, kind, b".");
        put_entry(&mut root, 12, bs - 12, bs, parent, kind, b"..");
        put_u8(&mut root, 28, self.sb.def_hash_version);
        put_u8(&mut root, 29, 8);
        Self::put_index_counts(&mut root, ROOT_ENTRIES, self.index_limit(ROOT_ENTRIES), 1);
        put_le32(&mut root, ROOT_ENTRIES + 4, leaf);
        self.seal_index(dir, &mut root, ROOT_ENTRIES);
        self.cache.replace(place, Block::new(root));
        Ok(())
    }

    /// Fills a block with entries.
    fn put_leaf(&mut self, dir: &Inode, place: u64, list: &[Moved]) -> Result<()> {
        let (bs, room) = (self.sb.block_size, self.dir_room());
        let mut data = vec![0; bs];
        let mut at = 0;
        for (n, e) in list.iter().enumerate() {
            let size = entry_size(e.name.len());
            let len = if n + 1 == list.len() { room - at.min(room) } else { size };
            if at + size > room {
                return Err(Errno::EUCLEAN);
            }
            put_entry(&mut data, at, len, bs, e.ino, e.kind, &e.name);
            at += size;
        }
        if list.is_empty() {
            put_le16(&mut data, 4, super::encode_len(room, bs));
        }
        self.seal_dir_block(dir, &mut data);
        self.cache.replace(place, Block::new(data));
        Ok(())
    }

    fn add_indexed(&mut self, dir: &mut Inode, name: &[u8], ino: u32, kind: u8) -> Result<()> {
        let seed = self.sb.hash_seed;
        // Each round splits a block of entries, or makes room in the index above it.
        for _ in 0..16 {
            let mut hash = 0;
            let path = self.index_path(dir, |kind| {
                hash = kind.hash(name, &seed).major;
                hash
            })?;
            let Some(path) = path else { return Err(Errno::EUCLEAN) };
            if self.add_to_block(dir, path.leaf(), name, ino, kind)? {
                return Ok(());
            }
            let Some(last) = path.nodes.last() else { return Err(Errno::EUCLEAN) };
            if last.count() < last.limit() {
                self.split_leaf(dir, &path)?;
            } else {
                self.widen_index(dir, &path)?;
            }
        }
        Err(Errno::ENOSPC)
    }

    /// Moves the half with the higher hashes out of a block of entries.
    fn split_leaf(&mut self, dir: &mut Inode, path: &IndexPath) -> Result<()> {
        let seed = self.sb.hash_seed;
        let (place, data) = self.dir_leaf(dir, path.leaf())?;
        let mut list = Vec::new();
        for e in self.entries(cut(&data, 0, self.dir_room())) {
            let e = e.map_err(|what| corrupt(place, format_args!("directory {}: {what}", dir.ino)))?;
            if e.ino != 0 {
                let hash = path.kind.hash(e.name, &seed).major;
                list.push(Moved { hash, ino: e.ino, kind: e.kind, name: e.name.to_vec() });
            }
        }
        list.sort_by_key(|e| e.hash);
        let total: usize = list.iter().map(|e| entry_size(e.name.len())).sum();
        let (mut size, mut cut_at) = (0, 0);
        for e in &list {
            if cut_at > 0 && size + entry_size(e.name.len()) / 2 > total / 2 {
                break;
            }
            size += entry_size(e.name.len());
            cut_at += 1;
        }
        let cut_at = cut_at.min(list.len().saturating_sub(1)).max(1);
        let upper = list.split_off(cut_at.min(list.len()));
        let (Some(last), Some(first)) = (list.last(), upper.first()) else { return Err(Errno::EUCLEAN) };
        // Names of one hash on both sides: the lowest bit says that the first block is to be looked at as well.
        let hash = first.hash | u32::from(first.hash == last.hash);
        let (new_place, new) = self.append_dir_block(dir)?;
        self.put_leaf(dir, place, &list)?;
        self.put_leaf(dir, new_place, &upper)?;
        let Some(node) = path.nodes.last() else { return Err(Errno::EUCLEAN) };
        self.insert_index(dir, node, hash, new)
    }

    /// Puts an entry behind the one that was followed.
    fn insert_index(&mut self, dir: &Inode, node: &IndexNode, hash: u32, lblk: u32) -> Result<()> {
        let mut data = node.data.to_vec();
        let (count, at) = (node.count(), node.start + (node.pos + 1) * INDEX_ENTRY);
        let tail = cut(&data, at, (count - node.pos - 1) * INDEX_ENTRY).to_vec();
        put_bytes(&mut data, at + INDEX_ENTRY, &tail);
        put_le32(&mut data, at, hash);
        put_le32(&mut data, at + 4, lblk);
        Self::put_index_counts(&mut data, node.start, node.limit(), count + 1);
        self.seal_index(dir, &mut data, node.start);
        self.cache.replace(node.place, Block::new(data));
        Ok(())
    }

    /// Makes room in the lowest blocks of an index, which are full: splits the highest full one below one with room, or puts a level in
    /// below the first block.
    fn widen_index(&mut self, dir: &mut Inode, path: &IndexPath) -> Result<()> {
        let levels = path.nodes.len();
        let max = if self.sb.has(Incompat::LARGE_DIR) { 3 } else { 2 };
        let room = path.nodes.iter().rposition(|n| n.count() < n.limit());
        let bs = self.sb.block_size;
        let limit = self.index_limit(NODE_ENTRIES);
        let empty = |entries: &[u8], count: usize| {
            let mut data = vec![0; bs];
            put_le16(&mut data, 4, super::encode_len(bs, bs));
            put_bytes(&mut data, NODE_ENTRIES, entries);
            Self::put_index_counts(&mut data, NODE_ENTRIES, limit, count);
            data
        };
        let Some(level) = room else {
            if levels >= max {
                tracing::warn!(target: "lkl::ext4", ino = dir.ino, "the index of a directory is full");
                return Err(Errno::ENOSPC);
            }
            let Some(root) = path.nodes.first() else { return Err(Errno::EUCLEAN) };
            let (place, lblk) = self.append_dir_block(dir)?;
            let mut node = empty(cut(&root.data, root.start, root.count() * INDEX_ENTRY), root.count());
            self.seal_index(dir, &mut node, NODE_ENTRIES);
            self.cache.replace(place, Block::new(node));
            let mut data = root.data.to_vec();
            let depth = u8_at(&data, 30);
            put_u8(&mut data, 30, depth + 1);
            Self::put_index_counts(&mut data, root.start, root.limit(), 1);
            put_le32(&mut data, root.start + 4, lblk);
            self.seal_index(dir, &mut data, root.start);
            self.cache.replace(root.place, Block::new(data));
            return Ok(());
        };
        let (Some(parent), Some(full)) = (path.nodes.get(level), path.nodes.get(level + 1)) else {
            return Err(Errno::EUCLEAN);
        };
        let (count, keep) = (full.count(), full.count() / 2);
        let hash = full.hash(keep);
        let (place, lblk) = self.append_dir_block(dir)?;
        let moved = cut(&full.data, full.start + keep * INDEX_ENTRY, (count - keep) * INDEX_ENTRY);
        let mut node = empty(moved, count - keep);
        self.seal_index(dir, &mut node, NODE_ENTRIES);
        self.cache.replace(place, Block::new(node));
        let mut data = full.data.to_vec();
        Self::put_index_counts(&mut data, full.start, full.limit(), keep);
        self.seal_index(dir, &mut data, full.start);
        self.cache.replace(full.place, Block::new(data));
        self.insert_index(dir, parent, hash, lblk)
    }

    /// Changes the entry of a name: with `new`, to another inode and kind; without, it is taken out. The caller writes the directory's
    /// inode.
    ///
    /// # Errors
    /// `ENOENT`, `EIO`, `EUCLEAN`.
    pub(crate) fn change_entry(&mut self, dir: &mut Inode, name: &[u8], new: Option<(u32, u8)>) -> Result<()> {
        let new = new.map(|(ino, kind)| (ino, self.kind_byte(kind)));
        if dir.has(flag::INLINE_DATA) {
            return self.change_inline(dir, name, new);
        }
        let leaves = if name == b".." {
            0..1
        } else {
            match self.find_leaf(dir, name)? {
                Some(Some((lblk, ..))) => lblk..lblk + 1,
                Some(None) => return Err(Errno::ENOENT),
                None => 0..self.dir_blocks(dir),
            }
        };
        let indexed_root = dir.has(flag::INDEX) && self.index_kind(dir)?.is_some();
        for lblk in leaves {
            let (place, data) = self.dir_leaf(dir, lblk)?;
            let mut data = data.to_vec();
            let root = lblk == 0 && indexed_root;
            let end = if root { self.sb.block_size } else { self.dir_room() };
            let part = data.get_mut(..end).unwrap_or(&mut []);
            let found = self.alter(part, name, new);
            if found.map_err(|what| corrupt(place, format_args!("directory {}: {what}", dir.ino)))? {
                if root {
                    self.seal_index(dir, &mut data, ROOT_ENTRIES);
                } else {
                    self.seal_dir_block(dir, &mut data);
                }
                self.cache.replace(place, Block::new(data));
                if new.is_none() {
                    let hint = self.dir_hints.get(&dir.ino).copied().unwrap_or(0);
                    self.dir_hints.insert(dir.ino, hint.min(lblk));
                }
                return Ok(());
            }
        }
        Err(Errno::ENOENT)
    }

    /// Changes an entry in a piece of a directory. Answers whether it is there.
    fn alter(&self, data: &mut [u8], name: &[u8], new: Option<(u32, u8)>) -> core::result::Result<bool, &'static str> {
        let (mut before, mut found) = (None, None);
        for e in self.entries(data) {
            let e = e?;
            if e.ino != 0 && e.name == name {
                found = Some((e.at, e.len));
                break;
            }
            before = Some((e.at, e.len));
        }
        let Some((at, len)) = found else { return Ok(false) };
        match (new, before) {
            (Some((ino, kind)), _) => {
                put_le32(data, at, ino);
                if self.sb.has(Incompat::FILETYPE) {
                    put_u8(data, at + 7, kind);
                }
            }
            (None, Some((previous, distance))) => {
                put_le16(data, previous + 4, super::encode_len(distance + len, self.sb.block_size));
                data.get_mut(at..at + entry_size(name.len())).unwrap_or(&mut []).fill(0);
            }
            (None, None) => put_le32(data, at, 0),
        }
        Ok(true)
    }

    fn change_inline(&mut self, dir: &mut Inode, name: &[u8], new: Option<(u32, u8)>) -> Result<()> {
        let mut data = self.inline_data(dir)?;
        if name == b".." {
            put_le32(&mut data, 0, new.map_or(0, |n| n.0));
            return self.put_inline(dir, &data);
        }
        let end = data.len();
        for (from, to) in [(INLINE_PARENT, 60), (60, end)] {
            let Some(part) = data.get_mut(from..to) else { continue };
            let found = self.alter(part, name, new);
            if found.map_err(|what| corrupt(0, format_args!("directory {} in its inode: {what}", dir.ino)))? {
                return self.put_inline(dir, &data);
            }
        }
        Err(Errno::ENOENT)
    }

    /// Whether a directory holds nothing but `.` and `..`.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`.
    pub(crate) fn is_empty_dir(&mut self, dir: &Inode) -> Result<bool> {
        if dir.has(flag::INLINE_DATA) {
            return Ok(self.list(dir, 0)?.len() <= 2);
        }
        for lblk in 0..self.dir_blocks(dir) {
            let (place, data) = self.dir_leaf(dir, lblk)?;
            for e in self.entries(&data) {
                let e = e.map_err(|what| corrupt(place, format_args!("directory {}: {what}", dir.ino)))?;
                if e.ino != 0 && !e.is_dot() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
