//! The cases that run on both kernels.

use lkl_abi::fcntl as f;
use lkl_abi::mount::{MS_BIND, MS_MOVE, MS_REC, MS_REMOUNT};
use lkl_abi::{Errno, Result};
use lkl_file::{File, Iov, IovReader, IovWriter};
use lkl_ops::sim::World;
use lkl_ops::UserMem;
use lkl_vfs::cred::Cred;
use lkl_vfs::{
    Caller, Context, Limits, MountRequest, OpenHow, Opened, Place, SetTime, Timestamp, Vfs, VfsFile, WalkFlags,
    XattrSet,
};
use std::sync::{Arc, Mutex};

/// Memory of a program.
pub(crate) struct Mem(pub(crate) Mutex<Vec<u8>>);

impl UserMem for Mem {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        buf.copy_from_slice(self.0.lock().unwrap().get(addr as usize..addr as usize + buf.len()).ok_or(Errno::EFAULT)?);
        Ok(())
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        let mut mem = self.0.lock().unwrap();
        mem.get_mut(addr as usize..addr as usize + data.len()).ok_or(Errno::EFAULT)?.copy_from_slice(data);
        Ok(())
    }
}

pub(crate) fn write(file: &VfsFile, data: &[u8], append: bool) -> Result<usize> {
    let mem = Mem(Mutex::new(data.to_vec()));
    let iov = [Iov { base: 0, len: data.len() as u64 }];
    let mut reader = IovReader::new(&mem, &iov);
    if append {
        file.append(&mut reader).map(|(_, n)| n)
    } else {
        file.write(&mut reader, Some(0))
    }
}

pub(crate) fn read(file: &VfsFile, max: usize) -> Result<Vec<u8>> {
    let mem = Mem(Mutex::new(vec![0; max]));
    let iov = [Iov { base: 0, len: max as u64 }];
    let n = file.read(&mut IovWriter::new(&mem, &iov), Some(0))?;
    let mut bytes = mem.0.into_inner().unwrap();
    bytes.truncate(n);
    Ok(bytes)
}

/// A program that does one thing after the other.
pub(crate) struct Program {
    pub(crate) vfs: Arc<Vfs>,
    pub(crate) cred: Cred,
    pub(crate) umask: u32,
    pub(crate) root: Place,
    pub(crate) cwd: Place,
    pub(crate) held: Vec<Arc<VfsFile>>,
}

impl Program {
    pub(crate) fn new() -> Self {
        let vfs = Vfs::new(World::new(1).host(), Limits::default()).unwrap();
        let root = vfs.root();
        let mut program = Self { vfs, cred: Cred::default(), umask: 0, cwd: root.clone(), root, held: Vec::new() };
        program.run("chmod / 755").unwrap();
        program
    }

    /// Another one, in the same kernel.
    pub(crate) fn again(&self) -> Self {
        let (root, cwd) = (self.root.clone(), self.root.clone());
        Self { vfs: self.vfs.clone(), cred: Cred::default(), umask: 0, cwd, root, held: Vec::new() }
    }

    pub(crate) fn ctx(&self) -> Context<'_> {
        Context { cred: &self.cred, root: &self.root, cwd: &self.cwd, umask: self.umask, caller: Caller::default() }
    }

    pub(crate) fn walk(&self, path: &str, follow: bool) -> Result<Place> {
        let flags = if follow { WalkFlags::FOLLOW } else { WalkFlags::empty() };
        self.vfs.walk(&self.ctx(), None, &name(path), flags)
    }

    pub(crate) fn open(&self, path: &str, flags: u32, mode: u32) -> Result<Arc<VfsFile>> {
        let opened = self.vfs.open(&self.ctx(), None, &name(path), &OpenHow::legacy(flags, mode))?;
        Ok(opened.file().clone())
    }

    fn mount(&self, source: &[u8], target: &str, kind: &str, flags: u64, data: &str) -> Result<String> {
        let target = self.walk(target, true)?;
        let request = MountRequest { source, device: None, target, kind, flags, data };
        self.vfs.mount(&self.ctx(), &request).map(|()| "0".to_owned())
    }

    /// Runs a command; answers what it tells.
    pub(crate) fn run(&mut self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = |i: usize| words.get(i).copied().unwrap_or("");
        let octal = |i: usize| u32::from_str_radix(word(i), 8).unwrap_or_else(|_| panic!("{line}"));
        let number = |i: usize| word(i).parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
        let id = |i: usize| word(i).parse::<u32>().ok();
        let (a, b) = (name(word(1)), name(word(2)));
        let vfs = self.vfs.clone();
        let done = |result: Result<()>| result.map(|()| "0".to_owned());
        match word(0) {
            "as" => {
                let ids: Vec<u32> = word(1).split(',').map(|n| n.parse().unwrap()).collect();
                self.cred = Cred { uid: ids[0], gid: ids[1], groups: ids[2..].to_vec() };
                Ok("0".into())
            }
            "umask" => {
                self.umask = octal(1);
                Ok("0".into())
            }
            "cd" => {
                let to = vfs.walk(&self.ctx(), None, &a, WalkFlags::FOLLOW | WalkFlags::DIRECTORY)?;
                vfs.access(&self.ctx(), &to, f::X_OK)?;
                self.cwd = to;
                Ok("0".into())
            }
            "cwd" => {
                let path = vfs.path_of(&self.cwd, &self.root);
                if path.deleted || !path.reachable {
                    Err(Errno::ENOENT)
                } else {
                    Ok(String::from_utf8(path.path).unwrap())
                }
            }
            "mkdir" => done(vfs.mkdir(&self.ctx(), None, &a, octal(2))),
            "mknod" => done(vfs.mknod(&self.ctx(), None, &a, octal(2), (id(3).unwrap_or(0), id(4).unwrap_or(0)))),
            "symlink" => done(vfs.symlink(&self.ctx(), &a, None, &b)),
            "link" => done(vfs.link(&self.ctx(), None, &a, None, &b, id(3).unwrap_or(0))),
            "unlink" => done(vfs.unlink(&self.ctx(), None, &a)),
            "rmdir" => done(vfs.rmdir(&self.ctx(), None, &a)),
            "rename" => done(vfs.rename(&self.ctx(), None, &a, None, &b, id(3).unwrap_or(0))),
            "chmod" => done(self.walk(word(1), true).and_then(|p| vfs.chmod(&self.ctx(), &p, octal(2)))),
            "chown" => done(self.walk(word(1), true).and_then(|p| vfs.chown(&self.ctx(), &p, id(2), id(3)))),
            "lchown" => done(self.walk(word(1), false).and_then(|p| vfs.chown(&self.ctx(), &p, id(2), id(3)))),
            "truncate" => done(self.walk(word(1), true).and_then(|p| vfs.truncate(&self.ctx(), &p, number(2)))),
            "access" => done(self.walk(word(1), true).and_then(|p| vfs.access(&self.ctx(), &p, octal(2)))),
            "utime" => {
                let at = SetTime::At(Timestamp { secs: 1_000_000, nanos: 5 });
                let of = |w: &str| {
                    if w == "now" {
                        SetTime::Now
                    } else if w == "omit" {
                        SetTime::Omit
                    } else {
                        at
                    }
                };
                let times = [of(word(2)), of(word(3))];
                done(self.walk(word(1), true).and_then(|p| vfs.utimens(&self.ctx(), &p, times)))
            }
            "stat" | "lstat" => {
                let s = self.walk(word(1), word(0) == "stat")?.stat();
                Ok(format!("{:o} {}:{} n{}", s.mode, s.uid, s.gid, s.nlink))
            }
            "size" => Ok(self.walk(word(1), true)?.stat().size.to_string()),
            "mtime" => Ok(format!("{:?}", self.walk(word(1), true)?.stat().mtime).replace(' ', "")),
            "readlink" => Ok(show(&self.walk(word(1), false)?.read_link()?)),
            "open" | "hold" => {
                let opened =
                    vfs.open(&self.ctx(), None, &a, &OpenHow::legacy(flags(word(2)), id(3).map_or(0, |_| octal(3))))?;
                let kept = opened.file().clone();
                if let Opened::Special { kind, .. } = opened {
                    return Ok(format!("{kind:?}"));
                }
                if word(0) == "hold" {
                    self.held.push(kept);
                }
                Ok("0".into())
            }
            "put" => write(&*self.open(word(1), f::O_WRONLY | f::O_CREAT | f::O_APPEND, 0o666)?, &b, true)
                .map(|n| n.to_string()),
            "cat" => Ok(show(&read(&*self.open(word(1), f::O_RDONLY, 0)?, 4096)?)),
            "ls" => {
                let dir = self.open(word(1), f::O_RDONLY | f::O_DIRECTORY, 0)?;
                let mut names = Vec::new();
                dir.readdir(0, &mut |e| {
                    names.push(show(e.name));
                    true
                })?;
                names.sort();
                Ok(names.join(" "))
            }
            "fput" => write(&self.held[number(1) as usize], &b, true).map(|n| n.to_string()),
            "ftruncate" => done(self.held[number(1) as usize].truncate(number(2))),
            "fstat" => {
                let s = self.held[number(1) as usize].place().stat();
                Ok(format!("{:o} {}:{} n{}", s.mode, s.uid, s.gid, s.nlink))
            }
            "flink" => {
                let at = Some(self.held[number(1) as usize].place().clone());
                done(vfs.link(&self.ctx(), at.as_ref(), b"", None, &b, f::AT_EMPTY_PATH))
            }
            "setx" => {
                let how = match word(4) {
                    "create" => XattrSet::Create,
                    "replace" => XattrSet::Replace,
                    _ => XattrSet::Any,
                };
                let value = value(word(3));
                done(self.walk(word(1), false).and_then(|p| vfs.set_xattr(&self.ctx(), &p, &b, &value, how)))
            }
            "getx" => Ok(show_value(&self.walk(word(1), false).and_then(|p| vfs.get_xattr(&self.ctx(), &p, &b))?)),
            "rmx" => done(self.walk(word(1), false).and_then(|p| vfs.remove_xattr(&self.ctx(), &p, &b))),
            "listx" => {
                let names = vfs.list_xattrs(&self.ctx(), &self.walk(word(1), false)?)?;
                let mut names: Vec<_> = names.iter().map(|n| show(n)).collect();
                names.sort();
                Ok(if names.is_empty() { "@".into() } else { names.join(" ") })
            }
            "lock" | "getlock" => {
                let long = |i: usize| word(i).parse::<i64>().unwrap();
                let file = &self.held[number(1) as usize];
                let (kind, whence) = (long(2) as i16, long(3) as i16);
                let lock = f::Flock { kind, whence, start: long(4), len: long(5), pid: 0 };
                if word(0) == "lock" {
                    return done(file.set_lock(file.lock_owner(), &lock, 0));
                }
                let found = file.get_lock(file.lock_owner(), &lock, 0)?;
                let f::Flock { kind, whence, start, len, pid } = found;
                Ok(if kind == f::F_UNLCK { "free".into() } else { format!("{kind} {whence} {start} {len} {pid}") })
            }
            "seek" => {
                let file = &self.held[number(1) as usize];
                let whence = id(4).unwrap();
                file.seek(number(2), word(3).parse().unwrap(), whence).map(|to| to.to_string())
            }
            "fallocate" => {
                let long = |i: usize| word(i).parse::<i64>().unwrap() as u64;
                done(self.held[number(1) as usize].fallocate(id(2).unwrap(), long(3), long(4)))
            }
            "copy" => {
                let (from, to) = (&self.held[number(1) as usize], &self.held[number(3) as usize]);
                from.copy_range(number(2), to, number(4), number(5)).map(|n| n.to_string())
            }
            "close" => {
                self.held.drain(..).for_each(|file| file.release());
                Ok("0".into())
            }
            "open2" => {
                let mode = if word(5).is_empty() { 0 } else { octal(5) };
                let how =
                    lkl_abi::openat2::OpenHow { flags: flags(word(2)).into(), mode: mode.into(), resolve: number(3) };
                let at = id(4).map(|at| self.held[at as usize].place().clone());
                vfs.open(&self.ctx(), at.as_ref(), &a, &OpenHow::strict(&how)?)?;
                Ok("0".into())
            }
            "mount" => {
                let data = word(4).to_owned();
                let kind = word(1).to_owned();
                self.mount(b"none", word(2), &kind, number(3), &data)
            }
            "bind" => self.mount(&a, word(2), "", MS_BIND, ""),
            "rbind" => self.mount(&a, word(2), "", MS_BIND | MS_REC, ""),
            "move" => self.mount(&a, word(2), "", MS_MOVE, ""),
            "remount" => self.mount(b"none", word(1), "", MS_REMOUNT | number(2), ""),
            "bremount" => self.mount(b"none", word(1), "", MS_REMOUNT | MS_BIND | number(2), ""),
            "umount" => done(self.walk(word(1), true).and_then(|p| vfs.umount(&self.ctx(), p, id(2).unwrap()))),
            "flock" => done(self.held[number(1) as usize].flock(id(2).unwrap())),
            _ => panic!("{line}"),
        }
    }
}

/// `%NN` is a byte, `*N` after a character repeats it, `@` alone is nothing.
fn name(word: &str) -> Vec<u8> {
    let (mut out, mut chars) = (Vec::new(), word.bytes().peekable());
    if word == "@" {
        return out;
    }
    while let Some(c) = chars.next() {
        match c {
            b'%' => {
                let hex: String = [chars.next().unwrap(), chars.next().unwrap()].iter().map(|b| *b as char).collect();
                out.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            b'*' => {
                let mut n = 0;
                while let Some(d) = chars.peek().filter(|d| d.is_ascii_digit()) {
                    n = n * 10 + usize::from(d - b'0');
                    chars.next();
                }
                let last = *out.last().unwrap();
                out.extend(std::iter::repeat_n(last, n - 1));
            }
            c => out.push(c),
        }
    }
    out
}

fn show(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        "@".into()
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// An attribute's value: text, or an ACL as `acl:u::7,u:1000:6,g::5,m::7,o::0`.
fn value(word: &str) -> Vec<u8> {
    let Some(acl) = word.strip_prefix("acl:") else { return name(word) };
    let mut out = 2u32.to_le_bytes().to_vec();
    for entry in acl.split(',').filter(|e| !e.is_empty()) {
        let mut parts = entry.split(':');
        let (tag, id, perm) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let tag: u16 = match (tag, id.is_empty()) {
            ("u", true) => 1,
            ("u", false) => 2,
            ("g", true) => 4,
            ("g", false) => 8,
            ("m", _) => 16,
            _ => 32,
        };
        out.extend(tag.to_le_bytes());
        out.extend(perm.parse::<u16>().unwrap().to_le_bytes());
        out.extend(id.parse::<u32>().unwrap_or(u32::MAX).to_le_bytes());
    }
    out
}

fn show_value(bytes: &[u8]) -> String {
    if bytes.get(..4) != Some(&[2, 0, 0, 0]) {
        return show(bytes);
    }
    let entry = |e: &[u8]| {
        let tag = match e[0] {
            1 | 2 => "u",
            4 | 8 => "g",
            16 => "m",
            _ => "o",
        };
        let id = u32::from_le_bytes(e[4..8].try_into().unwrap());
        format!("{tag}:{}:{}", if id == u32::MAX { String::new() } else { id.to_string() }, e[2])
    };
    format!("acl:{}", bytes[4..].chunks(8).map(entry).collect::<Vec<_>>().join(","))
}

/// `wronly|creat`
pub(crate) fn flags(word: &str) -> u32 {
    let flag = |word| match word {
        "rdonly" => f::O_RDONLY,
        "wronly" => f::O_WRONLY,
        "rdwr" => f::O_RDWR,
        "creat" => f::O_CREAT,
        "excl" => f::O_EXCL,
        "trunc" => f::O_TRUNC,
        "append" => f::O_APPEND,
        "directory" => f::O_DIRECTORY,
        "nofollow" => f::O_NOFOLLOW,
        "noatime" => f::O_NOATIME,
        "nonblock" => f::O_NONBLOCK,
        "path" => f::O_PATH,
        "tmpfile" => f::O_TMPFILE,
        _ => panic!("{word}"),
    };
    word.split('|').map(flag).fold(0, |all, flag| all | flag)
}

fn run_file(text: &str) {
    run_file_in(text, &Program::new);
}

/// Each case in a program of its own.
pub(crate) fn run_file_in(text: &str, new: &dyn Fn() -> Program) {
    let (mut program, mut case, mut wrong) = (new(), "", Vec::new());
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(title) = line.strip_prefix("==") {
            (program, case) = (new(), title);
            continue;
        }
        for command in line.split(" ; ") {
            let (command, expected) = command.split_once(" = ").unwrap_or((command, "0"));
            let got = program.run(command).unwrap_or_else(|e| e.name().unwrap_or("an errno").to_owned());
            if got != expected.trim() {
                wrong.push(format!("{case}: {command}: {got}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ from Linux:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn names_are_made_and_removed() {
    run_file(include_str!("cases/names.txt"));
}

#[test]
fn paths_are_walked() {
    run_file(include_str!("cases/paths.txt"));
}

#[test]
fn who_may_do_what() {
    run_file(include_str!("cases/permissions.txt"));
}

#[test]
fn names_are_changed() {
    run_file(include_str!("cases/rename.txt"));
}

#[test]
fn attributes_and_acls() {
    run_file(include_str!("cases/attributes.txt"));
}

#[test]
fn what_is_mounted_where() {
    run_file(include_str!("cases/mounts.txt"));
}

#[test]
fn walks_that_are_kept_within_bounds() {
    run_file(include_str!("cases/resolve.txt"));
}

#[test]
fn what_open_files_do() {
    run_file(include_str!("cases/files.txt"));
}
