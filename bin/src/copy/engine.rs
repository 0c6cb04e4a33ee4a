//! Copying trees between two sides.

use super::ahead::{self, is_left_out, Ahead, Children, Whole};
use super::pieces;
use super::sources::Source;
use crate::cli::{Failed, Outcome, DEPTH_MAX};
use crate::progress::Progress;
use crate::side::{Attributes, Named, Side, SideFile as _, Xattrs};
use lkl::abi::stat::{S_ISGID, S_ISUID};
use lkl::abi::Errno;
use lkl::{Error, FileType, Metadata, NewFile, SetTime};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

const ACL_ACCESS: &str = "system.posix_acl_access";
const ACL_DEFAULT: &str = "system.posix_acl_default";
const SELINUX: &str = "security.selinux";

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// The name of the tool.
    pub(super) tool: &'static str,
    /// Owner of all files.
    pub(super) owner: Option<u32>,
    /// Group of all files.
    pub(super) group: Option<u32>,
    /// Label of all files.
    pub(super) label: Option<OsString>,
    /// Whoever may not set an owner or an attribute is told so. Others, as with `cp -a`, do without.
    pub(super) privileged: bool,
    /// Directories of the source have one parent each: one that comes twice is a damaged file system.
    pub(super) tree: bool,
}

/// Why a file was not copied.
enum Trouble {
    /// It is only about this file.
    Skip(Error),
    /// Nothing more can be written.
    Stop(Error),
}

type Result<T> = core::result::Result<T, Trouble>;

/// Which side an error is of.
trait Of<T> {
    /// The source: other files may be fine.
    fn of_source(self) -> Result<T>;
    /// The target: if it is full or broken nothing more can be written.
    fn of_target(self) -> Result<T>;
}

impl<T> Of<T> for core::result::Result<T, Error> {
    fn of_source(self) -> Result<T> {
        self.map_err(Trouble::Skip)
    }

    fn of_target(self) -> Result<T> {
        self.map_err(|e| match e.errno {
            Errno::ENOSPC | Errno::EDQUOT | Errno::EROFS | Errno::EIO | Errno::EUCLEAN => Trouble::Stop(e),
            _ => Trouble::Skip(e),
        })
    }
}

/// Where a file comes from.
struct From<'a, S> {
    dir: &'a S,
    name: &'a OsStr,
    meta: Metadata,
    /// What is in it, if that is known already.
    whole: Option<Whole>,
    children: Option<Children<S>>,
}

/// A directory that is written to.
struct Into<'a, T> {
    dir: &'a T,
    /// Below the directory that all is copied into.
    path: &'a Path,
    /// Files that are made there get an ACL from it.
    inherits: bool,
}

/// What copies.
pub(super) struct Copier<'a, T> {
    to: &'a T,
    options: Options,
    progress: Progress,
    /// Files with several names that have been copied: where.
    links: HashMap<((u32, u32), u64), PathBuf>,
    /// Directories of the source that are being copied, or have been, if it is a tree.
    seen: HashSet<((u32, u32), u64)>,
    buffer: Vec<u8>,
    failed: bool,
    stopped: bool,
    depth: usize,
    temporary: u64,
    /// The kinds of attributes of which it was said that they are not kept.
    told: HashSet<Vec<u8>>,
}

impl<'a, T: Side> Copier<'a, T> {
    pub(super) fn new(to: &'a T, options: Options) -> Self {
        Self {
            to,
            options,
            progress: Progress::new(false),
            links: HashMap::new(),
            seen: HashSet::new(),
            buffer: vec![0; pieces::CHUNK],
            failed: false,
            stopped: false,
            depth: 0,
            temporary: 0,
            told: HashSet::new(),
        }
    }

    /// Copies what a source is.
    pub(super) fn source<S: Side>(&mut self, base: &S, source: &Source<S>) {
        self.seen.clear();
        let dir = source.dir.as_ref().unwrap_or(base);
        let into = Into { dir: self.to, path: Path::new(""), inherits: inherits(self.to) };
        match &source.names {
            Some(names) => {
                for name in names {
                    self.one(dir, Ahead::of(dir, name.clone()), &into);
                }
            }
            None => {
                let copied = dir.metadata().of_source().and_then(|meta| {
                    self.seen.insert((meta.dev, meta.ino));
                    self.content(dir, &into)?;
                    let here = OsStr::new(".");
                    self.attributes(&meta, &Named(dir, here), &Named(into.dir, here), into.inherits)
                });
                self.judge(copied);
            }
        }
    }

    /// Says how it ended.
    pub(super) fn finish(self) -> Outcome {
        if self.stopped {
            let files = self.progress.files();
            self.say(&format!("stopped; {files} files and directories before this one were copied whole"));
        }
        match self.failed {
            true => Err(Failed::SAID),
            false => Ok(()),
        }
    }

    fn say(&self, line: &str) {
        self.progress.say(&format!("{}: {line}", self.options.tool));
    }

    /// Counts a file, or tells why it was not copied.
    fn judge(&mut self, copied: Result<()>) {
        match copied {
            Ok(()) if self.stopped => {}
            Ok(()) => self.progress.file(),
            Err(Trouble::Skip(e)) => {
                self.failed = true;
                self.say(&e.to_string());
            }
            Err(Trouble::Stop(e)) => {
                if !self.stopped {
                    let room = match (e.errno, self.to.free()) {
                        (Errno::ENOSPC, Ok(free)) => format!(" ({} KiB are free)", free >> 10),
                        _ => String::new(),
                    };
                    self.say(&format!("{e}{room}"));
                }
                (self.failed, self.stopped) = (true, true);
            }
        }
    }

    /// Copies one file, or a tree.
    fn one<S: Side>(&mut self, dir: &S, file: Ahead<S>, into: &Into<'_, T>) {
        if self.stopped {
            return;
        }
        let Ahead { name, meta, whole, children } = file;
        let from = meta.of_source().map(|meta| From { dir, name: &name, meta, whole, children });
        let copied = from.and_then(|from| self.any(from, into));
        self.judge(copied);
    }

    fn any<S: Side>(&mut self, from: From<'_, S>, into: &Into<'_, T>) -> Result<()> {
        let id = (from.meta.dev, from.meta.ino);
        let kind = from.meta.file_type();
        if kind == Some(FileType::Directory) {
            return self.directory(from, into);
        }
        let linked = from.meta.nlink > 1;
        if linked && self.links.contains_key(&id) {
            return self.link(&id, &from, into);
        }
        self.replacing(&from, into, |copier, name| match kind {
            Some(FileType::Regular) => copier.regular(&from, into, name),
            Some(FileType::Symlink) => {
                let target = from.dir.read_link(from.name).of_source()?;
                into.dir.symlink(&target, name).of_target()?;
                copier.attributes_of(&from, into, name)
            }
            Some(_) => {
                into.dir.mknod(name, from.meta.mode & !0o7777 | 0o600, from.meta.rdev).of_target()?;
                copier.attributes_of(&from, into, name)
            }
            None => Err(Trouble::Skip(wrong(&from, Errno::EUCLEAN))),
        })?;
        if linked {
            self.links.insert(id, into.path.join(from.name));
        }
        Ok(())
    }

    /// Makes a file under its name if that is free. If there is a file already, makes it beside that, and puts it there when it is whole.
    fn replacing<S: Side>(
        &mut self,
        from: &From<'_, S>,
        into: &Into<'_, T>,
        make: impl Fn(&mut Self, &OsStr) -> Result<()>,
    ) -> Result<()> {
        let dir = into.dir;
        let mut name = from.name.to_owned();
        let mut made = make(self, &name);
        while let Err(Trouble::Skip(e)) = &made {
            if e.errno != Errno::EEXIST {
                break;
            }
            if name == from.name && dir.lstat(Path::new(&name)).of_target()?.is_dir() {
                let detail = Some("is a directory, and the source is none".into());
                return Err(Trouble::Skip(Error { errno: Errno::EISDIR, detail, ..e.clone() }));
            }
            self.temporary += 1;
            name = format!(".lkl-{}-{}", std::process::id(), self.temporary).into();
            made = make(self, &name);
        }
        made?;
        if name == from.name {
            return Ok(());
        }
        let renamed = dir.rename(&name, from.name).of_target();
        if renamed.is_err() {
            let _best = dir.unlink(&name);
        }
        renamed
    }

    /// Gives a file that has just been made its attributes, or removes it.
    fn attributes_of<S: Side>(&mut self, from: &From<'_, S>, into: &Into<'_, T>, name: &OsStr) -> Result<()> {
        let source = Named(from.dir, from.name);
        let done = self.attributes(&from.meta, &source, &Named(into.dir, name), into.inherits);
        if done.is_err() {
            let _best = into.dir.unlink(name);
        }
        done
    }

    /// Another name of a file that has been copied.
    fn link<S: Side>(&mut self, id: &((u32, u32), u64), from: &From<'_, S>, into: &Into<'_, T>) -> Result<()> {
        let Some(first) = self.links.get(id) else { return Ok(()) };
        match self.to.link(first, into.dir, from.name) {
            Err(e) if e.errno == Errno::EEXIST => {}
            linked => return linked.of_target(),
        }
        let old = into.dir.lstat(Path::new(from.name)).of_target()?;
        let same = self.to.lstat(first).of_target()?;
        if (old.dev, old.ino) == (same.dev, same.ino) {
            return Ok(());
        }
        into.dir.unlink(from.name).of_target()?;
        self.to.link(first, into.dir, from.name).of_target()
    }

    fn regular<S: Side>(&mut self, from: &From<'_, S>, into: &Into<'_, T>, name: &OsStr) -> Result<()> {
        if let Some(whole) = from.whole.as_ref().filter(|_| !into.inherits && self.options.label.is_none()) {
            if self.at_once(&from.meta, whole, into.dir, name)? {
                return Ok(());
            }
        }
        let file = into.dir.create(name, from.meta.mode & 0o777).of_target()?;
        let copied = if let Some(whole) = &from.whole {
            self.whole(from, whole, &file, into.inherits)
        } else {
            self.by_pieces(from, &file, into.inherits)
        };
        drop(file);
        if copied.is_err() {
            let _best = into.dir.unlink(name);
        }
        copied
    }

    /// Makes a file with content and attributes that are known, in one go. Answers false if that cannot be.
    fn at_once(&mut self, meta: &Metadata, whole: &Whole, dir: &T, name: &OsStr) -> Result<bool> {
        let (uid, gid) = (self.options.owner.unwrap_or(meta.uid), self.options.group.unwrap_or(meta.gid));
        let (mode, atime, mtime) = (meta.mode & 0o7777, meta.atime, meta.mtime);
        let file = NewFile { data: &whole.data, mode, uid, gid, atime, mtime, xattrs: &whole.attrs };
        let made = dir.make_whole(name, &file).of_target()?;
        if made {
            self.progress.bytes(whole.data.len() as u64);
        }
        Ok(made)
    }

    /// Writes content and attributes that are known.
    fn whole<S: Side>(&mut self, from: &From<'_, S>, whole: &Whole, file: &T::File, inherits: bool) -> Result<()> {
        file.write_at(&whole.data, 0).of_target()?;
        self.progress.bytes(whole.data.len() as u64);
        self.attributes(&from.meta, whole, file, inherits)
    }

    /// Reads and writes content and attributes.
    fn by_pieces<S: Side>(&mut self, from: &From<'_, S>, file: &T::File, inherits: bool) -> Result<()> {
        from.dir.open(from.name).of_source().and_then(|source| {
            let progress = &self.progress;
            let done = pieces::copy(&source, &from.meta, file, &mut self.buffer, |bytes| progress.bytes(bytes));
            done.or_else(|failed| match failed {
                pieces::Side::Source(e) => Err(e).of_source(),
                pieces::Side::Target(e) => Err(e).of_target(),
            })?;
            self.attributes(&from.meta, &source, file, inherits)
        })
    }

    fn directory<S: Side>(&mut self, mut from: From<'_, S>, into: &Into<'_, T>) -> Result<()> {
        let id = (from.meta.dev, from.meta.ino);
        if self.depth >= DEPTH_MAX {
            return Err(Trouble::Skip(wrong(&from, Errno::ENAMETOOLONG)));
        }
        if !self.seen.insert(id) {
            return Err(Trouble::Skip(wrong(&from, if self.options.tree { Errno::EUCLEAN } else { Errno::ELOOP })));
        }
        let (source, files) = match from.children.take() {
            Some(Children { dir, files }) => (dir, Some(files)),
            None => (from.dir.open_dir(from.name).of_source()?, None),
        };
        match into.dir.mkdir(from.name) {
            Ok(()) if into.inherits => {
                let _none = into.dir.remove_xattr(from.name, OsStr::new(ACL_DEFAULT));
            }
            Ok(()) => {}
            Err(e) if e.errno == Errno::EEXIST => {
                if !into.dir.lstat(Path::new(from.name)).of_target()?.is_dir() {
                    let detail = Some("is no directory, and the source is one".into());
                    return Err(Trouble::Skip(Error { errno: Errno::ENOTDIR, detail, ..e }));
                }
            }
            Err(e) => return Err(e).of_target(),
        }
        let target = into.dir.open_dir(from.name).of_target()?;
        let path = into.path.join(from.name);
        self.depth += 1;
        let inherits = inherits(&target);
        let into_it = Into { dir: &target, path: &path, inherits };
        let copied = match files {
            Some(files) => {
                for file in files {
                    self.one(&source, file, &into_it);
                }
                Ok(())
            }
            None => self.content(&source, &into_it),
        };
        self.depth -= 1;
        if !self.options.tree {
            self.seen.remove(&id);
        }
        copied?;
        self.attributes(&from.meta, &Named(from.dir, from.name), &Named(into.dir, from.name), into.inherits)
    }

    fn content<S: Side>(&mut self, from: &S, into: &Into<'_, T>) -> Result<()> {
        let names = from.names().of_source()?;
        ahead::each(from, names, self.depth, |file| {
            self.one(from, file, into);
            !self.stopped
        });
        Ok(())
    }

    /// Gives a file all that its source has beside its content, and what it has not yet. Owner before permissions, which the change of
    /// owner takes from; times last.
    fn attributes(&mut self, meta: &Metadata, from: &impl Xattrs, to: &impl Attributes, inherits: bool) -> Result<()> {
        let mut mode = meta.mode & 0o7777;
        let (uid, gid) = (self.options.owner.unwrap_or(meta.uid), self.options.group.unwrap_or(meta.gid));
        let old = to.known().of_target()?;
        let owned = (old.uid, old.gid) == (uid, gid);
        if !owned {
            match to.set_owner(uid, gid) {
                // Who may not give files away has them.
                Err(e) if e.errno == Errno::EPERM && !self.options.privileged => mode &= !(S_ISUID | S_ISGID),
                owned => owned.of_target()?,
            }
        }
        let symlink = meta.file_type() == Some(FileType::Symlink);
        let kept = old.mode & 0o7777 == mode && (owned || mode & (S_ISUID | S_ISGID) == 0);
        if !symlink && !kept {
            to.set_mode(mode).of_target()?;
        }
        self.xattrs(from, to, inherits)?;
        let at = SetTime::At;
        to.set_times_of(at(meta.atime), at(meta.mtime)).of_target()
    }

    fn xattrs(&mut self, from: &impl Xattrs, to: &impl Attributes, inherits: bool) -> Result<()> {
        let attrs = match from.xattrs() {
            Err(e) if e.errno == Errno::EOPNOTSUPP => Vec::new(),
            attrs => attrs.of_source()?,
        };
        if inherits && !attrs.iter().any(|a| a == ACL_ACCESS) {
            let _none = to.drop_xattr(OsStr::new(ACL_ACCESS));
        }
        for attr in attrs {
            if attr == SELINUX && self.options.label.is_some() {
                continue;
            }
            let value = match from.xattr(&attr) {
                Err(e) if is_left_out(&e) => continue,
                value => value.of_source()?,
            };
            self.set_xattr(to, &attr, &value)?;
        }
        if let Some(label) = self.options.label.clone() {
            // With its NUL, as the programs of SELinux write it.
            let mut value = label.into_encoded_bytes();
            value.push(0);
            self.set_xattr(to, OsStr::new(SELINUX), &value)?;
        }
        Ok(())
    }

    fn set_xattr(&mut self, to: &impl Attributes, attr: &OsStr, value: &[u8]) -> Result<()> {
        match to.put_xattr(attr, value) {
            Err(e) if e.errno == Errno::EOPNOTSUPP || (e.errno == Errno::EPERM && !self.options.privileged) => {
                let kind = attr.as_encoded_bytes().split(|b| *b == b'.').next().unwrap_or_default().to_owned();
                if self.told.insert(kind) {
                    self.say(&format!("{e}: attributes such as {} are not kept", Path::new(attr).display()));
                }
                Ok(())
            }
            set => set.of_target(),
        }
    }
}

/// Has a directory an ACL that its new files get?
fn inherits<T: Side>(dir: &T) -> bool {
    dir.get_xattr(OsStr::new("."), OsStr::new(ACL_DEFAULT)).is_ok()
}

fn wrong<S: Side>(from: &From<'_, S>, errno: Errno) -> Error {
    let detail = match errno {
        Errno::EUCLEAN => Some("the file system is damaged here".into()),
        Errno::ELOOP => Some("a directory that is within itself".into()),
        _ => None,
    };
    Error { errno, path: from.dir.path().join(from.name), detail }
}
