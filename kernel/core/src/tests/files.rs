//! Files: the calls that name them, through the door.

use crate::testkit::Rig;
use lkl_abi::fcntl::*;
use lkl_abi::stat::{S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG};
use lkl_abi::{nr, Errno, Result};
use std::collections::BTreeMap;

pub(super) const HERE: u64 = AT_FDCWD as i64 as u64;

/// What `stat` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) mode: u32,
    pub(super) nlink: u32,
    pub(super) owner: (u32, u32),
    pub(super) size: u64,
    pub(super) mtime: u64,
}

impl Rig {
    pub(super) fn text(&self, text: &str) -> u64 {
        self.mem.put(&[text.as_bytes(), b"\0"].concat())
    }

    pub(super) fn open(&self, path: &str, flags: u32) -> Result<u64> {
        self.call(nr::OPENAT, &[HERE, self.text(path), flags.into(), 0o644])
    }

    pub(super) fn close(&self, fd: u64) {
        self.call(nr::CLOSE, &[fd]).unwrap();
    }

    pub(super) fn put_file(&self, path: &str, data: &[u8]) {
        let fd = self.open(path, O_WRONLY | O_CREAT | O_TRUNC).unwrap();
        assert_eq!(self.put(fd, data), Ok(data.len() as u64));
        self.close(fd);
    }

    pub(super) fn put(&self, fd: u64, data: &[u8]) -> Result<u64> {
        self.call(nr::WRITE, &[fd, self.mem.put(data), data.len() as u64])
    }

    pub(super) fn get(&self, fd: u64, len: usize) -> Result<Vec<u8>> {
        let buf = self.mem.zeros(len);
        let n = self.call(nr::READ, &[fd, buf, len as u64])?;
        Ok(self.mem.get(buf, n as usize))
    }

    /// All that is in a file.
    pub(super) fn file(&self, path: &str) -> Result<Vec<u8>> {
        let fd = self.open(path, O_RDONLY)?;
        let mut all = Vec::new();
        loop {
            let part = match self.get(fd, 4096) {
                Ok(part) => part,
                Err(e) => {
                    self.close(fd);
                    return Err(e);
                }
            };
            if part.is_empty() {
                self.close(fd);
                return Ok(all);
            }
            all.extend(part);
        }
    }

    pub(super) fn words(&self, path: &str) -> String {
        String::from_utf8(self.file(path).unwrap()).unwrap()
    }

    pub(super) fn stat(&self, path: &str, flags: u32) -> Result<Stat> {
        let buf = self.mem.zeros(128);
        self.call(nr::FSTATAT, &[HERE, self.text(path), buf, flags.into()])?;
        let (long, int) = (|at| self.mem.long(buf + at), |at| self.mem.int(buf + at) as u32);
        Ok(Stat {
            dev: long(0),
            ino: long(8),
            mode: int(16),
            nlink: int(20),
            owner: (int(24), int(28)),
            size: long(48),
            mtime: long(88),
        })
    }

    pub(super) fn mkdir(&self, path: &str) -> Result<u64> {
        self.call(nr::MKDIRAT, &[HERE, self.text(path), 0o777])
    }

    pub(super) fn unlink(&self, path: &str) -> Result<u64> {
        self.call(nr::UNLINKAT, &[HERE, self.text(path), 0])
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<u64> {
        self.call(nr::RENAMEAT2, &[HERE, self.text(from), HERE, self.text(to), 0])
    }

    pub(super) fn symlink(&self, target: &str, path: &str) -> Result<u64> {
        self.call(nr::SYMLINKAT, &[self.text(target), HERE, self.text(path)])
    }

    pub(super) fn readlink(&self, path: &str) -> Result<String> {
        let buf = self.mem.zeros(4096);
        let n = self.call(nr::READLINKAT, &[HERE, self.text(path), buf, 4096])?;
        Ok(String::from_utf8(self.mem.get(buf, n as usize)).unwrap())
    }

    /// The names in a directory, read with little room at a time.
    pub(super) fn names(&self, path: &str) -> BTreeMap<String, u8> {
        let fd = self.open(path, O_RDONLY | O_DIRECTORY).unwrap();
        let buf = self.mem.zeros(300);
        let mut names = BTreeMap::new();
        loop {
            let n = self.call(nr::GETDENTS64, &[fd, buf, 300]).unwrap();
            let bytes = self.mem.get(buf, n as usize);
            let mut at = 0;
            while at < bytes.len() {
                let len = usize::from(u16::from_ne_bytes([bytes[at + 16], bytes[at + 17]]));
                let name: Vec<u8> = bytes[at + 19..at + len].iter().copied().take_while(|b| *b != 0).collect();
                let old = names.insert(String::from_utf8(name).unwrap(), bytes[at + 18]);
                assert_eq!(old, None, "twice");
                at += len;
            }
            if n == 0 {
                self.close(fd);
                return names;
            }
        }
    }
}

#[test]
fn the_tree_of_a_new_kernel() {
    let rig = Rig::new();
    let names: Vec<String> = rig.names("/").into_keys().collect();
    assert_eq!(names, [".", "..", "dev", "proc", "sys", "tmp"]);
    assert_eq!(rig.stat("/tmp", 0).unwrap().mode, S_IFDIR | 0o1777);
    let mounts = rig.words("/proc/mounts");
    let places: Vec<_> = mounts.lines().map(|l| l.split(' ').nth(1).unwrap()).collect();
    assert_eq!(places, ["/", "/dev", "/proc", "/sys"]);
    assert!(mounts.contains("proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n"), "{mounts}");
}

#[test]
fn what_is_written_is_read() {
    let rig = Rig::new();
    let fd = rig.open("/tmp/a", O_RDWR | O_CREAT | O_EXCL).unwrap();
    assert_eq!(rig.put(fd, b"hello world"), Ok(11));
    assert_eq!(rig.call(nr::LSEEK, &[fd, 6, 0]), Ok(6));
    assert_eq!(rig.get(fd, 100).unwrap(), b"world");
    assert_eq!(rig.get(fd, 100).unwrap(), b"");
    let buf = rig.mem.put(b"HE");
    assert_eq!(rig.call(nr::PWRITE64, &[fd, buf, 2, 0]), Ok(2));
    assert_eq!(rig.call(nr::PREAD64, &[fd, buf, 2, 9]), Ok(2));
    assert_eq!(rig.mem.get(buf, 2), b"ld");
    assert_eq!(rig.call(nr::LSEEK, &[fd, 0, 2]), Ok(11));
    assert_eq!(rig.file("/tmp/a").unwrap(), b"HEllo world");
    assert_eq!(rig.open("/tmp/a", O_RDWR | O_CREAT | O_EXCL), Err(Errno::EEXIST));
    assert_eq!(rig.stat("/tmp/a", 0).unwrap().mode, S_IFREG | 0o644);
    // A description that only appends does so wherever it stands, and `pwrite` as well.
    let app = rig.open("/tmp/a", O_WRONLY | O_APPEND).unwrap();
    assert_eq!((rig.put(app, b"!"), rig.get(app, 1)), (Ok(1), Err(Errno::EBADF)));
    assert_eq!(rig.call(nr::PWRITE64, &[app, rig.mem.put(b"?"), 1, 0]), Ok(1));
    assert_eq!(rig.file("/tmp/a").unwrap(), b"HEllo world!?");
    assert_eq!(rig.call(nr::FTRUNCATE, &[fd, 4]), Ok(0));
    assert_eq!(rig.call(nr::FTRUNCATE, &[fd, -1i64 as u64]), Err(Errno::EINVAL));
    assert_eq!(rig.file("/tmp/a").unwrap(), b"HEll");
    rig.call(nr::TRUNCATE, &[rig.text("/tmp/a"), 6]).unwrap();
    assert_eq!(rig.file("/tmp/a").unwrap(), b"HEll\0\0");
    let ro = rig.open("/tmp/a", O_RDONLY).unwrap();
    assert_eq!((rig.put(ro, b"x"), rig.call(nr::FTRUNCATE, &[ro, 0])), (Err(Errno::EBADF), Err(Errno::EINVAL)));
    assert_eq!(rig.call(nr::FSYNC, &[ro]), Ok(0));
    assert_eq!(rig.call(nr::FDATASYNC, &[app]), Ok(0));
    assert_eq!(rig.call(nr::SYNCFS, &[app]), Ok(0));
    assert_eq!(rig.call(nr::SYNC, &[]), Ok(0));
}

#[test]
fn holes_are_found() {
    let rig = Rig::new();
    let fd = rig.open("/tmp/sparse", O_RDWR | O_CREAT).unwrap();
    let data = rig.mem.put(&[1; 4096]);
    rig.call(nr::PWRITE64, &[fd, data, 4096, 65536]).unwrap();
    let seek = |at: u64, whence: u32| rig.call(nr::LSEEK, &[fd, at, whence.into()]);
    assert_eq!((seek(0, SEEK_DATA), seek(0, SEEK_HOLE)), (Ok(65536), Ok(0)));
    assert_eq!((seek(65536, SEEK_HOLE), seek(69632, SEEK_DATA)), (Ok(69632), Err(Errno::ENXIO)));
    // FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    assert_eq!(rig.call(nr::FALLOCATE, &[fd, 3, 65536, 4096]), Ok(0));
    assert_eq!(seek(0, SEEK_DATA), Err(Errno::ENXIO));
    assert_eq!(rig.call(nr::FALLOCATE, &[fd, 0, 0, 131_072]), Ok(0));
    assert_eq!(rig.stat("/tmp/sparse", 0).unwrap().size, 131_072);
    assert_eq!(rig.call(nr::FALLOCATE, &[fd, 0x40, 0, 1]), Err(Errno::EOPNOTSUPP));
    assert_eq!(rig.call(nr::FALLOCATE, &[fd, 0, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn names_are_made_and_changed() {
    let rig = Rig::new();
    rig.mkdir("/tmp/d").unwrap();
    assert_eq!((rig.mkdir("/tmp/d"), rig.mkdir("/tmp/x/y")), (Err(Errno::EEXIST), Err(Errno::ENOENT)));
    rig.put_file("/tmp/d/f", b"one");
    rig.symlink("d/f", "/tmp/l").unwrap();
    assert_eq!((rig.readlink("/tmp/l").unwrap(), rig.readlink("/tmp/d")), ("d/f".into(), Err(Errno::EINVAL)));
    assert_eq!(rig.file("/tmp/l").unwrap(), b"one");
    assert_eq!(rig.stat("/tmp/l", AT_SYMLINK_NOFOLLOW).unwrap().mode, S_IFLNK | 0o777);
    assert_eq!(rig.open("/tmp/l", O_RDONLY | O_NOFOLLOW), Err(Errno::ELOOP));
    let link = [HERE, rig.text("/tmp/d/f"), HERE, rig.text("/tmp/g"), 0];
    assert_eq!((rig.call(nr::LINKAT, &link), rig.call(nr::LINKAT, &link)), (Ok(0), Err(Errno::EEXIST)));
    let (f, g) = (rig.stat("/tmp/d/f", 0).unwrap(), rig.stat("/tmp/g", 0).unwrap());
    assert_eq!((f, f.nlink), (g, 2));
    rig.put_file("/tmp/h", b"two");
    rig.rename("/tmp/h", "/tmp/d/f").unwrap();
    assert_eq!((rig.file("/tmp/l").unwrap(), rig.file("/tmp/g").unwrap()), (b"two".to_vec(), b"one".to_vec()));
    assert_eq!(rig.stat("/tmp/h", 0), Err(Errno::ENOENT));
    let exchange = [HERE, rig.text("/tmp/g"), HERE, rig.text("/tmp/d"), 2];
    rig.call(nr::RENAMEAT2, &exchange).unwrap();
    assert_eq!(rig.names("/tmp/g").into_keys().collect::<Vec<_>>(), [".", "..", "f"]);
    assert_eq!(rig.call(nr::RENAMEAT2, &exchange), Ok(0));
    let noreplace = [HERE, rig.text("/tmp/g"), HERE, rig.text("/tmp/l"), 1];
    assert_eq!(rig.call(nr::RENAMEAT2, &noreplace), Err(Errno::EEXIST));
    assert_eq!(rig.rename("/tmp/d", "/tmp/d/e"), Err(Errno::EINVAL));
    let rmdir = [HERE, rig.text("/tmp/d"), AT_REMOVEDIR.into()];
    assert_eq!(rig.call(nr::UNLINKAT, &rmdir), Err(Errno::ENOTEMPTY));
    assert_eq!(rig.unlink("/tmp/d"), Err(Errno::EISDIR));
    rig.unlink("/tmp/d/f").unwrap();
    assert_eq!((rig.call(nr::UNLINKAT, &rmdir), rig.unlink("/tmp/d")), (Ok(0), Err(Errno::ENOENT)));
    assert_eq!(rig.unlink("/dev/null"), Err(Errno::EPERM));
    assert_eq!(rig.rename("/tmp/g", "/dev/g"), Err(Errno::EXDEV));
}

#[test]
fn many_names_are_listed_once() {
    let rig = Rig::with(1 << 24, false);
    let dir = rig.open("/tmp", O_RDONLY | O_DIRECTORY).unwrap();
    for i in 0..500 {
        let name = rig.text(&format!("file-{i}"));
        let fd = rig.call(nr::OPENAT, &[dir, name, u64::from(O_CREAT | O_WRONLY), 0o600]).unwrap();
        rig.close(fd);
    }
    let names = rig.names("/tmp");
    assert_eq!(names.len(), 502);
    assert_eq!((names["file-77"], names["."]), (8, 4));
    let buf = rig.mem.zeros(64);
    assert_eq!(rig.call(nr::GETDENTS64, &[dir, buf, 20]), Err(Errno::EINVAL));
    let file = rig.open("/tmp/file-1", O_RDONLY).unwrap();
    assert_eq!(rig.call(nr::GETDENTS64, &[file, buf, 64]), Err(Errno::ENOTDIR));
}

#[test]
fn directories_are_stood_in() {
    let rig = Rig::new();
    let cwd = |rig: &Rig| -> Result<String> {
        let buf = rig.mem.zeros(256);
        let n = rig.call(nr::GETCWD, &[buf, 256])?;
        Ok(String::from_utf8(rig.mem.get(buf, n as usize - 1)).unwrap())
    };
    assert_eq!(cwd(&rig), Ok("/".to_owned()));
    rig.mkdir("/tmp/d").unwrap();
    rig.call(nr::CHDIR, &[rig.text("tmp/d")]).unwrap();
    assert_eq!((cwd(&rig), rig.readlink("/proc/self/cwd")), (Ok("/tmp/d".into()), Ok("/tmp/d".into())));
    rig.put_file("f", b"x");
    assert_eq!(rig.file("/tmp/d/f").unwrap(), b"x");
    assert_eq!(rig.call(nr::CHDIR, &[rig.text("f")]), Err(Errno::ENOTDIR));
    // A child begins where its parent is; a call of one does not move the other.
    let child = rig.process.fork(101, rig.mem.clone(), rig.process.numbers().clone());
    let fd = rig.open("..", O_RDONLY | O_DIRECTORY).unwrap();
    rig.call(nr::FCHDIR, &[fd]).unwrap();
    assert_eq!(cwd(&rig), Ok("/tmp".to_owned()));
    assert_eq!(rig.readlink("/proc/101/cwd"), Ok("/tmp/d".to_owned()));
    drop(child);
    let small = rig.mem.zeros(4);
    assert_eq!(rig.call(nr::GETCWD, &[small, 4]), Err(Errno::ERANGE));
    rig.call(nr::CHROOT, &[rig.text("/tmp/d")]).unwrap();
    assert_eq!(cwd(&rig), Ok("(unreachable)/tmp".to_owned()));
    rig.call(nr::CHDIR, &[rig.text("/")]).unwrap();
    assert_eq!((cwd(&rig), rig.file("/../f").unwrap()), (Ok("/".into()), b"x".to_vec()));
}

#[test]
fn permissions_are_looked_at() {
    let rig = Rig::new();
    rig.put_file("/tmp/secret", b"x");
    let path = rig.text("/tmp/secret");
    rig.call(nr::FCHMODAT, &[HERE, path, 0o600]).unwrap();
    assert_eq!(rig.call(nr::FCHOWNAT, &[HERE, path, 7, -1i64 as u64, 0]), Ok(0));
    assert_eq!(rig.stat("/tmp/secret", 0).unwrap().owner, (7, 0));
    rig.process.set_credentials(crate::Credentials::new(1000, 1000, vec![]));
    assert_eq!(rig.open("/tmp/secret", O_RDONLY), Err(Errno::EACCES));
    assert_eq!(rig.call(nr::FACCESSAT, &[HERE, path, 4]), Err(Errno::EACCES));
    assert_eq!(rig.call(nr::FACCESSAT, &[HERE, path, 0]), Ok(0));
    assert_eq!(rig.call(nr::FCHMODAT, &[HERE, path, 0o777]), Err(Errno::EPERM));
    assert_eq!(rig.unlink("/tmp/secret"), Err(Errno::EPERM));
    assert_eq!(rig.mkdir("/etc"), Err(Errno::EACCES));
    rig.call(nr::UMASK, &[0o077]).unwrap();
    rig.mkdir("/tmp/own").unwrap();
    let own = rig.stat("/tmp/own", 0).unwrap();
    assert_eq!((own.mode, own.owner), (S_IFDIR | 0o700, (1000, 1000)));
    assert_eq!(rig.call(nr::CHROOT, &[rig.text("/tmp")]), Err(Errno::EPERM));
}

#[test]
fn times_and_attributes() {
    let rig = Rig::new();
    rig.put_file("/tmp/f", b"x");
    let path = rig.text("/tmp/f");
    let times: Vec<u8> = [5i64, 6, 700, 800].iter().flat_map(|n| n.to_ne_bytes()).collect();
    rig.call(nr::UTIMENSAT, &[HERE, path, rig.mem.put(&times), 0]).unwrap();
    assert_eq!(rig.stat("/tmp/f", 0).unwrap().mtime, 700);
    let bad: Vec<u8> = [0i64, 1_000_000_000, 0, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
    assert_eq!(rig.call(nr::UTIMENSAT, &[HERE, path, rig.mem.put(&bad), 0]), Err(Errno::EINVAL));
    let (name, value) = (rig.text("user.colour"), rig.mem.put(b"green"));
    rig.call(nr::SETXATTR, &[path, name, value, 5, 0]).unwrap();
    assert_eq!(rig.call(nr::SETXATTR, &[path, name, value, 5, 1]), Err(Errno::EEXIST));
    let buf = rig.mem.zeros(64);
    assert_eq!(
        (rig.call(nr::GETXATTR, &[path, name, buf, 0]), rig.call(nr::GETXATTR, &[path, name, buf, 64])),
        (Ok(5), Ok(5))
    );
    assert_eq!(rig.mem.get(buf, 5), b"green");
    assert_eq!(rig.call(nr::GETXATTR, &[path, name, buf, 4]), Err(Errno::ERANGE));
    let n = rig.call(nr::LISTXATTR, &[path, buf, 64]).unwrap();
    assert_eq!(rig.mem.get(buf, n as usize), b"user.colour\0");
    let fd = rig.open("/tmp/f", O_RDONLY).unwrap();
    assert_eq!(
        (rig.call(nr::FREMOVEXATTR, &[fd, name]), rig.call(nr::FREMOVEXATTR, &[fd, name])),
        (Ok(0), Err(Errno::ENODATA))
    );
    assert_eq!(rig.call(nr::SETXATTR, &[path, rig.text("odd.name"), value, 5, 0]), Err(Errno::EOPNOTSUPP));
    assert_eq!(rig.call(nr::SETXATTR, &[path, name, value, 65537, 0]), Err(Errno::E2BIG));
    let statfs = rig.mem.zeros(120);
    rig.call(nr::FSTATFS, &[fd, statfs]).unwrap();
    assert_eq!((rig.mem.long(statfs), rig.mem.long(statfs + 64)), (lkl_abi::statfs::TMPFS_MAGIC, 255));
    rig.call(nr::STATFS, &[rig.text("/proc"), statfs]).unwrap();
    assert_eq!(rig.mem.long(statfs), lkl_abi::statfs::PROC_SUPER_MAGIC);
}

#[test]
fn a_path_only_names() {
    let rig = Rig::new();
    rig.put_file("/tmp/f", b"abc");
    let fd = rig.open("/tmp/f", O_PATH).unwrap();
    assert_eq!((rig.get(fd, 1), rig.put(fd, b"x")), (Err(Errno::EBADF), Err(Errno::EBADF)));
    assert_eq!(
        (rig.call(nr::FCHMOD, &[fd, 0]), rig.call(nr::LSEEK, &[fd, 0, 0])),
        (Err(Errno::EBADF), Err(Errno::EBADF))
    );
    let buf = rig.mem.zeros(128);
    rig.call(nr::FSTAT, &[fd, buf]).unwrap();
    assert_eq!(rig.mem.long(buf + 48), 3);
    let link = format!("/proc/self/fd/{fd}");
    assert_eq!((rig.readlink(&link).unwrap(), rig.file(&link).unwrap()), ("/tmp/f".into(), b"abc".to_vec()));
    assert_eq!(rig.call(nr::FCNTL, &[fd, F_GETFL.into()]), Ok(O_PATH.into()));
    // A link itself.
    rig.symlink("f", "/tmp/l").unwrap();
    let l = rig.open("/tmp/l", O_PATH | O_NOFOLLOW).unwrap();
    let n = rig.call(nr::READLINKAT, &[l, rig.text(""), buf, 64]).unwrap();
    assert_eq!(rig.mem.get(buf, n as usize), b"f");
    let dir = rig.open("/tmp", O_PATH | O_DIRECTORY).unwrap();
    assert!(rig.call(nr::OPENAT, &[dir, rig.text("f"), 0]).is_ok());
    assert_eq!(rig.call(nr::OPENAT, &[fd, rig.text("f"), 0]), Err(Errno::ENOTDIR));
}

#[test]
fn files_without_names() {
    let rig = Rig::new();
    let fd = rig.open("/tmp", O_TMPFILE | O_RDWR).unwrap();
    rig.put(fd, b"later").unwrap();
    let proc = rig.text(&format!("/proc/self/fd/{fd}"));
    rig.call(nr::LINKAT, &[HERE, proc, HERE, rig.text("/tmp/named"), AT_SYMLINK_FOLLOW.into()]).unwrap();
    assert_eq!(rig.file("/tmp/named").unwrap(), b"later");
    // One that is removed stays as long as it is open.
    let open = rig.open("/tmp/named", O_RDWR).unwrap();
    rig.unlink("/tmp/named").unwrap();
    assert_eq!((rig.get(open, 9).unwrap(), rig.stat("/tmp/named", 0)), (b"later".to_vec(), Err(Errno::ENOENT)));
    assert_eq!(rig.readlink(&format!("/proc/self/fd/{open}")).unwrap(), "/tmp/named (deleted)");

    let mem = rig.call(nr::MEMFD_CREATE, &[rig.text("x"), 2]).unwrap();
    assert_eq!(rig.readlink(&format!("/proc/self/fd/{mem}")).unwrap(), "/memfd:x (deleted)");
    rig.put(mem, b"sealed").unwrap();
    let seals = |command: u32, arg: u32| rig.call(nr::FCNTL, &[mem, command.into(), arg.into()]);
    assert_eq!(seals(F_GET_SEALS, 0), Ok(0));
    assert_eq!(seals(F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), Ok(0));
    assert_eq!((rig.put(mem, b"x"), rig.call(nr::FTRUNCATE, &[mem, 1])), (Err(Errno::EPERM), Err(Errno::EPERM)));
    assert_eq!(rig.call(nr::PWRITE64, &[mem, rig.mem.put(b"S"), 1, 0]), Ok(1));
    assert_eq!(seals(F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), Ok(0));
    assert_eq!(
        (rig.call(nr::PWRITE64, &[mem, rig.mem.put(b"S"), 1, 0]), seals(F_ADD_SEALS, 2)),
        (Err(Errno::EPERM), Err(Errno::EPERM))
    );
    let again = rig.open(&format!("/proc/self/fd/{mem}"), O_RDWR).unwrap();
    assert_eq!((rig.get(again, 9).unwrap(), rig.put(again, b"x")), (b"Sealed".to_vec(), Err(Errno::EPERM)));
    let plain = rig.call(nr::MEMFD_CREATE, &[rig.text(""), 0]).unwrap();
    assert_eq!(rig.call(nr::FCNTL, &[plain, F_ADD_SEALS.into(), 2]), Err(Errno::EPERM));
    assert_eq!(rig.call(nr::MEMFD_CREATE, &[rig.text(""), 0x100]), Err(Errno::EINVAL));
}

/// On a tmpfs; on ext4, `tests/files/handle.c`.
#[test]
fn handles() {
    let rig = Rig::new();
    rig.put_file("/tmp/f", b"text");
    rig.call(nr::MKDIRAT, &[HERE, rig.text("/tmp/d"), 0o755]).unwrap();
    rig.call(nr::MKDIRAT, &[HERE, rig.text("/tmp/d/e"), 0o755]).unwrap();
    let id = rig.mem.zeros(8);
    let handle = |path: &str| {
        let at = rig.mem.put(&[128u32.to_ne_bytes(), [0; 4]].concat());
        rig.mem.zeros(128);
        rig.call(nr::NAME_TO_HANDLE_AT, &[HERE, rig.text(path), at, id, 0]).map(|_| at)
    };
    let (file, dir) = (handle("/tmp/f").unwrap(), handle("/tmp/d/e").unwrap());
    // Twelve bytes of `FILEID_INO32_GEN`, as Linux's tmpfs gives them.
    assert_eq!((rig.mem.int(file), rig.mem.int(file + 4), rig.mem.int(id) > 0), (12, 1, true));
    let mount = rig.open("/tmp", O_RDONLY).unwrap();
    let open = |handle: u64, flags: u32| rig.call(nr::OPEN_BY_HANDLE_AT, &[mount, handle, flags.into()]);
    let fd = open(file, O_RDWR).unwrap();
    assert_eq!(rig.get(fd, 9).unwrap(), b"text");
    let fd = open(dir, O_RDONLY).unwrap();
    assert_eq!(rig.readlink(&format!("/proc/self/fd/{fd}")).unwrap(), "/tmp/d/e");
    rig.call(nr::RENAMEAT2, &[HERE, rig.text("/tmp/d"), HERE, rig.text("/tmp/moved"), 0]).unwrap();
    let fd = open(dir, O_PATH).unwrap();
    assert_eq!(rig.readlink(&format!("/proc/self/fd/{fd}")).unwrap(), "/tmp/moved/e");
    // Of another file system; where there are none; without any right to look for files past their directories.
    let proc = rig.open("/proc", O_RDONLY).unwrap();
    assert_eq!(rig.call(nr::OPEN_BY_HANDLE_AT, &[proc, file, 0]), Err(Errno::ESTALE));
    assert_eq!(handle("/proc/self/stat"), Err(Errno::EOPNOTSUPP));
    rig.call(nr::SETRESUID, &[1000, 1000, 1000]).unwrap();
    assert_eq!(open(file, O_RDONLY), Err(Errno::EPERM));
}

#[test]
fn copies_within_the_kernel() {
    let rig = Rig::new();
    rig.put_file("/tmp/from", b"0123456789");
    let (from, to) = (rig.open("/tmp/from", O_RDONLY).unwrap(), rig.open("/tmp/to", O_RDWR | O_CREAT).unwrap());
    let at = rig.mem.put(&3u64.to_ne_bytes());
    assert_eq!(rig.call(nr::COPY_FILE_RANGE, &[from, at, to, 0, 4, 0]), Ok(4));
    assert_eq!((rig.mem.long(at), rig.file("/tmp/to").unwrap()), (7, b"3456".to_vec()));
    assert_eq!(rig.call(nr::COPY_FILE_RANGE, &[from, at, to, 0, 4, 1]), Err(Errno::EINVAL));
    assert_eq!(rig.call(nr::SENDFILE, &[to, from, 0, 3]), Ok(3));
    assert_eq!(rig.file("/tmp/to").unwrap(), b"3456012");
    let fds = rig.mem.zeros(8);
    rig.call(nr::PIPE2, &[fds, 0]).unwrap();
    let (r, w) = (rig.mem.int(fds) as u64, rig.mem.int(fds + 4) as u64);
    assert_eq!(rig.call(nr::SPLICE, &[from, 0, w, 0, 100, 0]), Ok(7));
    let start = rig.mem.put(&0u64.to_ne_bytes());
    assert_eq!(rig.call(nr::SPLICE, &[r, 0, to, start, 7, 0]), Ok(7));
    assert_eq!(rig.file("/tmp/to").unwrap(), b"3456789");
    let null = rig.open("/dev/null", O_WRONLY).unwrap();
    assert_eq!(rig.call(nr::COPY_FILE_RANGE, &[from, at, null, 0, 4, 0]), Err(Errno::EINVAL));
}

#[test]
fn openat2_is_strict() {
    let rig = Rig::new();
    rig.put_file("/tmp/f", b"x");
    rig.symlink("/tmp/f", "/tmp/l").unwrap();
    let open = |path: &str, flags: u64, resolve: u64, size: u64| {
        let how: Vec<u8> = [flags, 0, resolve, 0, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
        rig.call(nr::OPENAT2, &[HERE, rig.text(path), rig.mem.put(&how), size])
    };
    assert!(open("/tmp/f", 0, 0, 24).is_ok());
    assert!(open("/tmp/f", 0, 0, 40).is_ok());
    assert_eq!((open("/tmp/f", 0, 0, 16), open("/tmp/f", 1 << 40, 0, 24)), (Err(Errno::EINVAL), Err(Errno::EINVAL)));
    assert_eq!(open("/tmp/l", 0, 4, 24), Err(Errno::ELOOP));
    assert_eq!(open("/tmp/f", 0, 8, 24), Err(Errno::EXDEV));
    assert_eq!(open("tmp/../..", 0, 8, 24), Err(Errno::EXDEV));
    assert_eq!(open("/proc/self/cwd", 0, 2, 24), Err(Errno::ELOOP));
    let beyond: Vec<u8> = [0u64, 0, 0, 1].iter().flat_map(|n| n.to_ne_bytes()).collect();
    assert_eq!(rig.call(nr::OPENAT2, &[HERE, rig.text("/"), rig.mem.put(&beyond), 32]), Err(Errno::E2BIG));
}

#[test]
fn fifos_meet() {
    let rig = Rig::new();
    rig.call(nr::MKNODAT, &[HERE, rig.text("/tmp/p"), u64::from(S_IFIFO | 0o600), 0]).unwrap();
    assert_eq!(rig.stat("/tmp/p", 0).unwrap().mode & S_IFMT, S_IFIFO);
    assert_eq!(rig.open("/tmp/p", O_WRONLY | O_NONBLOCK), Err(Errno::ENXIO));
    let (task, bed) = rig.thread();
    let path = rig.text("/tmp/p");
    let writer = std::thread::scope(|s| {
        let writer = s.spawn(|| crate::testkit::call(&rig.kernel, &task, nr::OPENAT, &[HERE, path, O_WRONLY.into()]));
        bed.wait_asleep(1);
        let reader = rig.open("/tmp/p", O_RDONLY).unwrap();
        let writer = writer.join().unwrap().unwrap();
        rig.put(writer, b"through").unwrap();
        assert_eq!(rig.get(reader, 99).unwrap(), b"through");
        rig.close(reader);
        writer
    });
    assert_eq!(rig.put(writer, b"x"), Err(Errno::EPIPE));
    rig.close(writer);
    let both = rig.open("/tmp/p", O_RDWR).unwrap();
    rig.put(both, b"self").unwrap();
    assert_eq!(rig.get(both, 9).unwrap(), b"self");
}

/// What Linux 6.18 answers to the same calls.
#[test]
fn what_does_not_go_is_told_as_linux_tells() {
    let rig = Rig::new();
    rig.put_file("/tmp/f", b"0123456789");
    rig.put_file("/tmp/g", b"abc");
    rig.mkdir("/tmp/d").unwrap();
    rig.call(nr::MKNODAT, &[HERE, rig.text("/tmp/p"), u64::from(S_IFIFO | 0o600), 0]).unwrap();
    let open = |path: &str, flags: u32| rig.open(path, flags).unwrap();
    let (rd, wr, rw) = (open("/tmp/f", O_RDONLY), open("/tmp/g", O_WRONLY), open("/tmp/g", O_RDWR));
    let (ap, dir, path) = (open("/tmp/g", O_WRONLY | O_APPEND), open("/tmp/d", O_RDONLY), open("/tmp/f", O_PATH));
    let fds = rig.mem.zeros(8);
    rig.call(nr::PIPE2, &[fds, 0]).unwrap();
    let (r, w) = (rig.mem.int(fds) as u64, rig.mem.int(fds + 4) as u64);
    let neg = -1i64 as u64;
    let buf = rig.mem.zeros(64);
    let lock = |kind: i16, start: i64, len: i64| rig.mem.put(&Flock { kind, whence: 0, start, len, pid: 0 }.to_bytes());
    use Errno as E;
    let table: &[(usize, &[u64], Result<u64>)] = &[
        (nr::SENDFILE, &[ap, rd, 0, 3], Err(E::EINVAL)),
        (nr::SENDFILE, &[wr, dir, 0, 3], Err(E::EINVAL)),
        (nr::SENDFILE, &[wr, r, 0, 3], Err(E::EINVAL)),
        (nr::SENDFILE, &[wr, path, 0, 3], Err(E::EBADF)),
        (nr::COPY_FILE_RANGE, &[wr, 0, wr, 0, 3, 0], Err(E::EBADF)),
        (nr::COPY_FILE_RANGE, &[dir, 0, wr, 0, 3, 0], Err(E::EISDIR)),
        (nr::COPY_FILE_RANGE, &[r, 0, wr, 0, 3, 0], Err(E::EINVAL)),
        (nr::COPY_FILE_RANGE, &[rd, 0, ap, 0, 3, 0], Err(E::EBADF)),
        (nr::COPY_FILE_RANGE, &[rw, 0, rw, 0, 3, 0], Err(E::EINVAL)),
        (nr::COPY_FILE_RANGE, &[rd, 0, rd, 0, 3, 0], Err(E::EBADF)),
        (nr::COPY_FILE_RANGE, &[rd, 0, dir, 0, 3, 0], Err(E::EISDIR)),
        (nr::FALLOCATE, &[rd, 0, 0, 1], Err(E::EBADF)),
        (nr::FALLOCATE, &[dir, 0, 0, 1], Err(E::EBADF)),
        (nr::FALLOCATE, &[w, 0, 0, 1], Err(E::ESPIPE)),
        (nr::FALLOCATE, &[w, 0x100, 0, 1], Err(E::EOPNOTSUPP)),
        (nr::FALLOCATE, &[rw, 0x100, 0, 1], Err(E::EOPNOTSUPP)),
        (nr::FALLOCATE, &[rw, 2, 0, 1], Err(E::EOPNOTSUPP)),
        (nr::FALLOCATE, &[rw, 0, neg, 1], Err(E::EINVAL)),
        (nr::FALLOCATE, &[path, 0, 0, 1], Err(E::EBADF)),
        (nr::READAHEAD, &[wr, 0, 1], Err(E::EBADF)),
        (nr::READAHEAD, &[dir, 0, 1], Err(E::EINVAL)),
        (nr::READAHEAD, &[r, 0, 1], Err(E::EINVAL)),
        (nr::FADVISE64, &[r, 0, 0, 9], Err(E::ESPIPE)),
        (nr::FADVISE64, &[rd, 0, 0, 9], Err(E::EINVAL)),
        (nr::FADVISE64, &[rd, 0, neg, 0], Err(E::EINVAL)),
        (nr::FADVISE64, &[dir, 0, 0, 0], Ok(0)),
        (nr::FADVISE64, &[path, 0, 0, 0], Err(E::EBADF)),
        (nr::SYNC_FILE_RANGE2, &[r, 0, 0, 0], Err(E::ESPIPE)),
        (nr::SYNC_FILE_RANGE2, &[rd, 0, 0, 9], Err(E::EINVAL)),
        (nr::SYNC_FILE_RANGE2, &[rd, neg, 0, 0], Err(E::EINVAL)),
        (nr::SYNC_FILE_RANGE2, &[dir, 0, 0, 2], Ok(0)),
        (nr::FLOCK, &[99, 77], Err(E::EINVAL)),
        (nr::FLOCK, &[path, 1], Err(E::EBADF)),
        (nr::FLOCK, &[rd, 3], Err(E::EINVAL)),
        (nr::FSYNC, &[r], Err(E::EINVAL)),
        (nr::FSYNC, &[path], Err(E::EBADF)),
        (nr::FSYNC, &[dir], Ok(0)),
        (nr::SYNCFS, &[r], Ok(0)),
        (nr::SYNCFS, &[path], Err(E::EBADF)),
        (nr::FTRUNCATE, &[rd, 0], Err(E::EINVAL)),
        (nr::FTRUNCATE, &[dir, 0], Err(E::EINVAL)),
        (nr::FTRUNCATE, &[w, 0], Err(E::EINVAL)),
        (nr::FTRUNCATE, &[99, neg], Err(E::EINVAL)),
        (nr::TRUNCATE, &[rig.text("/tmp/d"), 0], Err(E::EISDIR)),
        (nr::TRUNCATE, &[rig.text("/tmp/p"), 0], Err(E::EINVAL)),
        (nr::TRUNCATE, &[rig.text("/tmp/x"), 0], Err(E::ENOENT)),
        (nr::LSEEK, &[rd, 0, 9], Err(E::EINVAL)),
        (nr::LSEEK, &[dir, 0, 2], Err(E::EINVAL)),
        (nr::LSEEK, &[dir, 0, 3], Err(E::EINVAL)),
        (nr::LSEEK, &[rd, 10, 3], Err(E::ENXIO)),
        (nr::LSEEK, &[rd, neg, 4], Err(E::ENXIO)),
        (nr::LSEEK, &[rd, neg, 0], Err(E::EINVAL)),
        (nr::READ, &[dir, buf, 1], Err(E::EISDIR)),
        (nr::PREAD64, &[dir, buf, 1, 0], Err(E::EISDIR)),
        (nr::WRITE, &[dir, buf, 1], Err(E::EBADF)),
        (nr::FCHOWN, &[path, 0, 0], Err(E::EBADF)),
        (nr::FGETXATTR, &[path, rig.text("user.x"), 0, 0], Err(E::EBADF)),
        (nr::GETXATTR, &[rig.text("/tmp/f"), rig.text(""), 0, 0], Err(E::ERANGE)),
        (nr::FCHDIR, &[rd], Err(E::ENOTDIR)),
        (nr::IOCTL, &[path, 0x541b, 0], Err(E::EBADF)),
        (nr::IOCTL, &[rd, 0x1234, 0], Err(E::ENOTTY)),
        (nr::IOCTL, &[dir, 0x1234, 0], Err(E::ENOTTY)),
        (nr::FCNTL, &[path, 5, buf], Err(E::EBADF)),
        (nr::FCNTL, &[path, 4, 0], Err(E::EBADF)),
        (nr::FCNTL, &[rw, F_GET_SEALS.into(), 0], Ok(1)),
        (nr::FCNTL, &[rw, F_ADD_SEALS.into(), 2], Err(E::EPERM)),
        (nr::FCNTL, &[rd, F_SETLK.into(), lock(F_WRLCK, 0, 0)], Err(E::EBADF)),
        (nr::FCNTL, &[wr, F_SETLK.into(), lock(F_RDLCK, 0, 0)], Err(E::EBADF)),
        (nr::FCNTL, &[rd, F_SETLK.into(), lock(7, 0, 0)], Err(E::EINVAL)),
        (nr::FCNTL, &[rd, F_SETLK.into(), lock(F_RDLCK, -5, 1)], Err(E::EINVAL)),
        (nr::FCNTL, &[rd, F_SETLK.into(), lock(F_RDLCK, 5, -5)], Ok(0)),
        (nr::FCNTL, &[rd, F_SETLK.into(), lock(F_RDLCK, 5, -6)], Err(E::EINVAL)),
        (nr::FCNTL, &[rd, F_SETLK.into(), lock(F_RDLCK, i64::MAX, 2)], Err(E::EOVERFLOW)),
        (nr::FCNTL, &[rd, F_GETLK.into(), lock(F_UNLCK, 0, 0)], Err(E::EINVAL)),
        (nr::UTIMENSAT, &[rd, 0, 0, 0x100], Err(E::EINVAL)),
        (nr::UTIMENSAT, &[HERE, rig.text("/tmp/f"), 0, 0x40], Err(E::EINVAL)),
        (nr::UTIMENSAT, &[HERE, 0, 0, 0], Err(E::EFAULT)),
        (nr::UTIMENSAT, &[path, 0, 0, 0], Err(E::EBADF)),
        (nr::UTIMENSAT, &[path, rig.text(""), 0, AT_EMPTY_PATH.into()], Ok(0)),
        (nr::GETDENTS64, &[rd, buf, 64], Err(E::ENOTDIR)),
        (nr::READLINKAT, &[rd, rig.text(""), buf, 9], Err(E::ENOENT)),
        (nr::READLINKAT, &[HERE, rig.text("/tmp/f"), buf, 0], Err(E::EINVAL)),
        (nr::SPLICE, &[r, 0, ap, 0, 1, 0], Err(E::EINVAL)),
        (nr::SPLICE, &[dir, 0, w, 0, 1, 0], Err(E::EINVAL)),
        (nr::NAME_TO_HANDLE_AT, &[HERE, rig.text("/tmp/f"), buf, buf, 0], Err(E::EOVERFLOW)),
    ];
    for (i, (number, args, answer)) in table.iter().enumerate() {
        assert_eq!(rig.call(*number, args), *answer, "line {i}: {number} {args:?}");
    }
}
