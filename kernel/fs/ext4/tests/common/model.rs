//! A file system in vectors and maps, the same random operations on it and on ours, and a comparison.

use super::{list, Rng};
use lkl_abi::Errno;
use lkl_ext4::{Content, Ext4, New, Rename, SetAttr, SetMode, Space, Time, ROOT};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) mode: u16,
    pub(crate) data: Vec<u8>,
    pub(crate) entries: BTreeMap<Vec<u8>, u32>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) parent: u32,
    pub(crate) links: u32,
    pub(crate) rdev: (u32, u32),
}

impl File {
    fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    fn is_reg(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }
}

/// What a file system should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) files: BTreeMap<u32, File>,
}

/// How large things may get.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) file: u64,
    pub(crate) xattr: u64,
    pub(crate) extents: bool,
    pub(crate) block: u64,
    /// Commit now and then.
    pub(crate) commits: bool,
}

pub(crate) fn at(sec: i64) -> Time {
    Time { sec, nsec: 123_456_789 }
}

impl Model {
    /// The model of what mke2fs has made.
    pub(crate) fn new(fs: &mut Ext4) -> Self {
        let mut model = Self::default();
        let lost = fs.lookup(ROOT, b"lost+found").unwrap();
        let mode = fs.attr(ROOT).unwrap().mode;
        let entries = [(b"lost+found".to_vec(), lost)].into();
        model.files.insert(ROOT, File { mode, entries, parent: ROOT, links: 3, ..File::default() });
        model.files.insert(lost, File { mode: 0o040_700, parent: ROOT, links: 2, ..File::default() });
        model
    }

    fn pick(&self, rng: &mut Rng, which: impl Fn(&File) -> bool) -> Option<u32> {
        let all: Vec<u32> = self.files.iter().filter(|(_, f)| which(f)).map(|(&ino, _)| ino).collect();
        (!all.is_empty()).then(|| all[rng.below(all.len() as u64) as usize])
    }

    fn pick_entry(&self, rng: &mut Rng) -> Option<(u32, Vec<u8>, u32)> {
        let dir = self.pick(rng, |f| f.is_dir() && !f.entries.is_empty())?;
        let entries = &self.files[&dir].entries;
        let (name, ino) = entries.iter().nth(rng.below(entries.len() as u64) as usize).unwrap();
        Some((dir, name.clone(), *ino))
    }

    fn below(&self, ino: u32, of: u32) -> bool {
        let mut at = ino;
        loop {
            if at == of {
                return true;
            }
            if at == ROOT {
                return false;
            }
            at = self.files[&at].parent;
        }
    }

    fn lose(&mut self, fs: &mut Ext4, ino: u32, now: Time) {
        let file = self.files.get_mut(&ino).unwrap();
        file.links -= if file.is_dir() { 2 } else { 1 };
        if file.links == 0 {
            self.files.remove(&ino);
            fs.evict(ino, now).unwrap();
        }
    }

    /// One random operation on both. Running out of space is allowed, if it changes nothing.
    pub(crate) fn step(&mut self, fs: &mut Ext4, rng: &mut Rng, n: u64, bounds: Bounds) {
        let now = at(1_700_000_000 + n as i64);
        match rng.below(26) {
            0..=5 => self.create(fs, rng, n, now),
            6..=9 => self.write(fs, rng, now, bounds),
            10 | 11 => self.truncate(fs, rng, now, bounds),
            12 | 13 => self.fallocate(fs, rng, now, bounds),
            14 | 15 => self.remove(fs, rng, now),
            16..=18 => self.rename(fs, rng, n, now),
            19 => self.link(fs, rng, n, now),
            20..=22 => self.xattr(fs, rng, now, bounds),
            23 => {
                let Some(ino) = self.pick(rng, |_| true) else { return };
                let mode = rng.below(0o1000) as u16;
                let owner = rng.below(100_000) as u32;
                let set = SetAttr { mode: Some(mode), uid: Some(owner), gid: Some(owner + 1), ..SetAttr::default() };
                fs.set_attr(ino, &set, now).unwrap();
                let file = self.files.get_mut(&ino).unwrap();
                file.mode = file.mode & 0o170_000 | mode;
            }
            _ => {
                if bounds.commits && rng.below(4) == 0 {
                    fs.commit().unwrap();
                }
            }
        }
    }

    fn name(rng: &mut Rng, n: u64) -> Vec<u8> {
        let len = [1, 5, 20, 60, 240][rng.below(5) as usize];
        let mut name = format!("{n}-").into_bytes();
        name.extend((0..len).map(|_| b'a' + rng.below(26) as u8));
        name
    }

    fn create(&mut self, fs: &mut Ext4, rng: &mut Rng, n: u64, now: Time) {
        let Some(dir) = self.pick(rng, File::is_dir) else { return };
        let name = Self::name(rng, n);
        let mut target = Vec::new();
        let mut file = File { parent: dir, links: 1, ..File::default() };
        file.mode = match rng.below(12) {
            0 | 1 => 0o040_755,
            2 => {
                let len = [1, 59, 60, 300][rng.below(4) as usize];
                target = (0..len).map(|_| b'a' + rng.below(26) as u8).collect();
                0o120_777
            }
            3 => 0o010_644,
            4 => {
                file.rdev = (rng.below(600) as u32, rng.below(1000) as u32);
                0o020_600
            }
            _ => 0o100_644,
        };
        file.data.clone_from(&target);
        let mut new = New { rdev: file.rdev, target: &target, ..New::mode(file.mode) };
        let value = Vec::from(n.to_be_bytes());
        let xattrs = [(&b"user.whole"[..], &value[..])];
        let made = if file.is_reg() && rng.below(2) == 0 {
            let len = {
                let most = [1, 20, 300, 5000, 60_000][rng.below(5) as usize];
                rng.below(most)
            };
            file.data = rng.bytes(len as usize);
            if rng.below(4) == 0 {
                new.xattrs = &xattrs;
                file.xattrs.insert(b"user.whole".to_vec(), value.clone());
            }
            fs.create_whole(dir, &name, &new, &Content { data: &file.data, atime: at(1), mtime: at(2) }, now)
        } else {
            fs.create(dir, &name, &new, now)
        };
        match made {
            Ok(ino) => {
                if file.is_dir() {
                    file.links = 2;
                    self.files.get_mut(&dir).unwrap().links += 1;
                }
                self.files.get_mut(&dir).unwrap().entries.insert(name.clone(), ino);
                assert!(self.files.insert(ino, file).is_none(), "inode {ino} is in use");
                assert_eq!(fs.create(dir, &name, &new, now), Err(Errno::EEXIST));
            }
            Err(e) => assert_eq!(e, Errno::ENOSPC),
        }
    }

    fn write(&mut self, fs: &mut Ext4, rng: &mut Rng, now: Time, bounds: Bounds) {
        let Some(ino) = self.pick(rng, File::is_reg) else { return };
        let size = self.files[&ino].data.len() as u64;
        let offset = match rng.below(4) {
            0 => size,
            1 => rng.below(size + 1),
            2 => rng.below(bounds.file),
            _ => rng.below(bounds.file) / bounds.block * bounds.block,
        };
        let len = [20, 300, 5000, 100_000][rng.below(4) as usize].min(bounds.file - offset.min(bounds.file));
        let len = rng.below(len + 1) as usize;
        let data = rng.bytes(len);
        match fs.write(ino, offset, &data, now) {
            Ok(n) => {
                let file = &mut self.files.get_mut(&ino).unwrap().data;
                if n > 0 {
                    let end = offset as usize + n;
                    file.resize(file.len().max(end), 0);
                    file[offset as usize..end].copy_from_slice(&data[..n]);
                }
            }
            Err(e) => assert_eq!(e, Errno::ENOSPC),
        }
    }

    fn truncate(&mut self, fs: &mut Ext4, rng: &mut Rng, now: Time, bounds: Bounds) {
        let Some(ino) = self.pick(rng, File::is_reg) else { return };
        let size = self.files[&ino].data.len() as u64;
        let to = if rng.below(2) == 0 { rng.below(size + 1) } else { rng.below(bounds.file) };
        match fs.truncate(ino, to, now) {
            Ok(()) => self.files.get_mut(&ino).unwrap().data.resize(to as usize, 0),
            Err(e) => assert_eq!(e, Errno::ENOSPC),
        }
    }

    fn fallocate(&mut self, fs: &mut Ext4, rng: &mut Rng, now: Time, bounds: Bounds) {
        let Some(ino) = self.pick(rng, File::is_reg) else { return };
        let file = &mut self.files.get_mut(&ino).unwrap().data;
        let (mut offset, mut len) = (rng.below(bounds.file / 2), 1 + rng.below(bounds.file / 4));
        let what = [Space::Allocate, Space::Punch, Space::Punch, Space::Zero, Space::Collapse, Space::Insert]
            [rng.below(6) as usize];
        if what == Space::Collapse || what == Space::Insert {
            let unit = bounds.block;
            offset = rng.below(file.len() as u64 + 1) / unit * unit;
            len = (1 + rng.below(4)) * unit;
        }
        let keep = what == Space::Punch || rng.below(2) == 0;
        let end = (offset + len) as usize;
        let result = fs.fallocate(ino, what, offset, len, keep, now);
        match what {
            _ if result == Err(Errno::ENOSPC) => {
                // What was kept or zeroed until then stays so.
                let attr = fs.attr(ino).unwrap();
                file.resize(attr.size as usize, 0);
                fs.read(ino, 0, file).unwrap();
            }
            _ if result == Err(Errno::EOPNOTSUPP) => assert!(!bounds.extents),
            Space::Collapse if end >= file.len() => assert_eq!(result, Err(Errno::EINVAL)),
            Space::Insert if offset as usize >= file.len() => assert_eq!(result, Err(Errno::EINVAL)),
            Space::Collapse => {
                result.unwrap();
                file.drain(offset as usize..end);
            }
            Space::Insert => {
                result.unwrap();
                file.splice(offset as usize..offset as usize, vec![0; len as usize]);
            }
            Space::Allocate | Space::Zero => {
                result.unwrap();
                if !keep {
                    file.resize(file.len().max(end), 0);
                }
                if what == Space::Zero {
                    let len = file.len();
                    file[(offset as usize).min(len)..end.min(len)].fill(0);
                }
            }
            Space::Punch => {
                result.unwrap();
                let len = file.len();
                file[(offset as usize).min(len)..end.min(len)].fill(0);
            }
        }
    }

    fn remove(&mut self, fs: &mut Ext4, rng: &mut Rng, now: Time) {
        let Some((dir, name, ino)) = self.pick_entry(rng) else { return };
        if self.files[&ino].is_dir() {
            assert_eq!(fs.unlink(dir, &name, now), Err(Errno::EISDIR));
            if !self.files[&ino].entries.is_empty() {
                assert_eq!(fs.rmdir(dir, &name, now), Err(Errno::ENOTEMPTY));
                return;
            }
            assert_eq!(fs.rmdir(dir, &name, now), Ok(ino));
            self.files.get_mut(&dir).unwrap().links -= 1;
        } else {
            assert_eq!(fs.rmdir(dir, &name, now), Err(Errno::ENOTDIR));
            let last = self.files[&ino].links == 1;
            assert_eq!(fs.unlink(dir, &name, now), Ok((ino, last)));
        }
        self.files.get_mut(&dir).unwrap().entries.remove(&name);
        self.lose(fs, ino, now);
    }

    fn rename(&mut self, fs: &mut Ext4, rng: &mut Rng, n: u64, now: Time) {
        let Some((from_dir, from, ino)) = self.pick_entry(rng) else { return };
        let how = [Rename::Replace, Rename::NoReplace, Rename::Exchange][rng.below(3) as usize];
        let target = if rng.below(3) == 0 { None } else { self.pick_entry(rng) };
        let (to_dir, to, other) = match target {
            Some((dir, name, other)) => (dir, name, Some(other)),
            None => (self.pick(rng, File::is_dir).unwrap(), Self::name(rng, n), None),
        };
        let result = fs.rename(from_dir, &from, to_dir, &to, how, now);
        let directory = self.files[&ino].is_dir();
        let other_dir = other.is_some_and(|o| self.files[&o].is_dir());
        let expected = match (how, other) {
            (Rename::NoReplace, Some(_)) => Err(Errno::EEXIST),
            (Rename::Exchange, None) => Err(Errno::ENOENT),
            (Rename::Exchange, Some(o)) if o == ino => Ok(None),
            (Rename::Exchange, Some(o))
                if from_dir != to_dir
                    && (directory && self.below(to_dir, ino) || other_dir && self.below(from_dir, o)) =>
            {
                Err(Errno::EINVAL)
            }
            (Rename::Exchange, Some(_)) => Ok(None),
            (_, Some(o)) if o == ino => Ok(None),
            _ if directory && from_dir != to_dir && self.below(to_dir, ino) => Err(Errno::EINVAL),
            (_, Some(_)) if directory && !other_dir => Err(Errno::ENOTDIR),
            (_, Some(_)) if !directory && other_dir => Err(Errno::EISDIR),
            (_, Some(o)) if other_dir && !self.files[&o].entries.is_empty() => Err(Errno::ENOTEMPTY),
            (_, Some(o)) => Ok((other_dir || self.files[&o].links == 1).then_some(o)),
            (_, None) => Ok(None),
        };
        if result == Err(Errno::ENOSPC) {
            return;
        }
        assert_eq!(result, expected, "rename {how:?} directory {directory} over {other:?}");
        if expected.is_err() || other == Some(ino) {
            return;
        }
        if how == Rename::Exchange {
            let other = other.unwrap();
            self.files.get_mut(&from_dir).unwrap().entries.insert(from, other);
            self.files.get_mut(&to_dir).unwrap().entries.insert(to, ino);
            for (dir, plus, minus) in [(from_dir, other_dir, directory), (to_dir, directory, other_dir)] {
                let dir = self.files.get_mut(&dir).unwrap();
                dir.links = dir.links + u32::from(plus) - u32::from(minus);
            }
            self.files.get_mut(&ino).unwrap().parent = to_dir;
            self.files.get_mut(&other).unwrap().parent = from_dir;
            return;
        }
        self.files.get_mut(&from_dir).unwrap().entries.remove(&from);
        self.files.get_mut(&to_dir).unwrap().entries.insert(to, ino);
        self.files.get_mut(&ino).unwrap().parent = to_dir;
        if directory {
            self.files.get_mut(&from_dir).unwrap().links -= 1;
            self.files.get_mut(&to_dir).unwrap().links += 1;
        }
        if let Some(other) = other {
            if other_dir {
                self.files.get_mut(&to_dir).unwrap().links -= 1;
            }
            self.lose(fs, other, now);
        }
    }

    fn link(&mut self, fs: &mut Ext4, rng: &mut Rng, n: u64, now: Time) {
        let (Some(ino), Some(dir)) = (self.pick(rng, |f| !f.is_dir()), self.pick(rng, File::is_dir)) else { return };
        let name = Self::name(rng, n);
        match fs.link(ino, dir, &name, now) {
            Ok(()) => {
                self.files.get_mut(&ino).unwrap().links += 1;
                self.files.get_mut(&dir).unwrap().entries.insert(name, ino);
            }
            Err(e) => assert_eq!(e, Errno::ENOSPC),
        }
    }

    fn xattr(&mut self, fs: &mut Ext4, rng: &mut Rng, now: Time, bounds: Bounds) {
        let Some(ino) = self.pick(rng, |f| f.is_dir() || f.is_reg()) else { return };
        let name = [&b"user.a"[..], b"user.bb", b"trusted.ccc", b"security.selinux"][rng.below(4) as usize].to_vec();
        let xattrs = &mut self.files.get_mut(&ino).unwrap().xattrs;
        if rng.below(4) == 0 {
            let expected = xattrs.remove(&name).map(|_| ()).ok_or(Errno::ENODATA);
            assert_eq!(fs.remove_xattr(ino, &name, now), expected);
            return;
        }
        let value = {
            let len = if rng.below(5) == 0 { rng.below(bounds.xattr + 1) } else { rng.below(60) } as usize;
            rng.bytes(len)
        };
        match fs.set_xattr(ino, &name, &value, SetMode::Any, now) {
            Ok(()) => {
                xattrs.insert(name, value);
            }
            Err(e) => assert_eq!(e, Errno::ENOSPC),
        }
    }

    /// Both must hold the same.
    pub(crate) fn compare(&self, fs: &mut Ext4, what: &str) {
        if let Err(why) = self.same(fs, |_| true) {
            panic!("{what}: {why}");
        }
    }

    /// Whether both hold the same; of the content of files, only where `content` says so.
    pub(crate) fn same(&self, fs: &mut Ext4, content: impl Fn(u32) -> bool) -> Result<(), String> {
        let differ = |what: String| Err(what);
        let mut left = vec![ROOT];
        while let Some(ino) = left.pop() {
            let file = &self.files[&ino];
            let attr = fs.attr(ino).map_err(|e| format!("inode {ino}: {e:?}"))?;
            if (attr.mode, attr.links) != (file.mode, file.links) {
                return differ(format!(
                    "inode {ino}: {:o}, {} links, not {:o}, {}",
                    attr.mode, attr.links, file.mode, file.links
                ));
            }
            match file.mode & 0o170_000 {
                0o040_000 => {
                    let mut entries = BTreeMap::new();
                    for (name, child, _) in list(fs, ino) {
                        match &name[..] {
                            b"." => assert_eq!(child, ino),
                            b".." if child != file.parent => return differ(format!(".. of {ino} is {child}")),
                            b".." => {}
                            _ => assert!(entries.insert(name, child).is_none(), "listed twice"),
                        }
                    }
                    if entries != file.entries {
                        return differ(format!(
                            "directory {ino}: {} entries, not {}",
                            entries.len(),
                            file.entries.len()
                        ));
                    }
                    for (name, &child) in &entries {
                        assert_eq!(fs.lookup(ino, name), Ok(child));
                        let whole = fs.read_whole(ino, name, 4096).map_err(|e| format!("inode {child}: {e:?}"))?;
                        if (&whole.attr.ino, whole.attr.size) != (&child, fs.attr(child).unwrap().size) {
                            return differ(format!("inode {child} as a whole: {whole:?}"));
                        }
                        let file = &self.files[&child];
                        if content(child) && whole.data.is_some_and(|data| data != file.data) {
                            return differ(format!("inode {child} as a whole differs"));
                        }
                    }
                    left.extend(entries.values());
                }
                0o100_000 => {
                    if attr.size != file.data.len() as u64 {
                        return differ(format!("size of {ino} is {}, not {}", attr.size, file.data.len()));
                    }
                    let mut data = vec![0xee; file.data.len()];
                    fs.read(ino, 0, &mut data).map_err(|e| format!("inode {ino}: {e:?}"))?;
                    if content(ino) && data != file.data {
                        let at = data.iter().zip(&file.data).position(|(a, b)| a != b);
                        return differ(format!("inode {ino} differs at {at:?} of {}", data.len()));
                    }
                }
                0o120_000 => assert_eq!(fs.read_link(ino).unwrap(), file.data),
                _ => assert_eq!(attr.rdev, file.rdev),
            }
            let names = fs.xattr_list(ino).unwrap();
            if names.len() != file.xattrs.len() {
                return differ(format!("attributes of {ino}: {names:?}"));
            }
            for (name, value) in &file.xattrs {
                if fs.xattr(ino, name).as_ref() != Ok(value) {
                    return differ(format!("an attribute of {ino}"));
                }
            }
        }
        Ok(())
    }
}
