//! Images made by e2fsprogs, and trees to put into them.

#![expect(dead_code, reason = "each test file uses some of it")]

pub(crate) mod model;

use lkl_ext4::{Ext4, Options, ROOT};
use lkl_ops::sim::MemDisk;
use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Numbers that look random, the same in each run (splitmix64).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(len).collect()
    }
}

/// Runs a program; answers its status and what it said.
pub(crate) fn run(program: &str, args: &[&str]) -> (i32, String) {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let out = Command::new(program).args(args).env("PATH", path).env("MKE2FS_SKIP_PROGRESS", "1").output();
    let out = out.unwrap_or_else(|e| panic!("{program} cannot be run (Debian package e2fsprogs): {e}"));
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().unwrap_or(-1), text)
}

/// Makes a file system by `mke2fs` with these words as arguments, perhaps filled with a tree.
pub(crate) fn mkfs(image: &Path, args: &str, size: &str, tree: Option<&Path>) {
    let image = image.to_str().unwrap();
    let make = |args: &str| {
        let mut words = vec!["-q", "-F"];
        words.extend(args.split_whitespace());
        if let Some(tree) = tree {
            words.extend(["-d", tree.to_str().unwrap()]);
        }
        words.extend([image, size]);
        run("mke2fs", &words)
    };
    let (mut status, mut text) = make(args);
    if status != 0 && args.contains("-r 0") {
        // As newer versions have it.
        (status, text) = make(&args.replace("-r 0", "-E revision=0"));
    }
    assert_eq!(status, 0, "mke2fs {args}: {text}");
}

/// `e2fsck -fn` must find nothing.
pub(crate) fn fsck(image: &Path, what: &str) {
    let (status, text) = run("e2fsck", &["-fn", image.to_str().unwrap()]);
    assert_eq!(status, 0, "{what}: e2fsck -fn: {text}");
}

/// Writes bytes as an image and has `e2fsck -fn` look at it.
pub(crate) fn fsck_bytes(bytes: &[u8], what: &str) {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    write_sparse(&image, bytes);
    fsck(&image, what);
}

/// Writes a file, with holes where there are only zeroes.
pub(crate) fn write_sparse(path: &Path, bytes: &[u8]) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (n, part) in bytes.chunks(65536).enumerate() {
        if part.iter().any(|&b| b != 0) {
            file.write_all_at(part, n as u64 * 65536).unwrap();
        }
    }
}

/// Reads an image into memory.
pub(crate) fn memory(image: &Path) -> Arc<MemDisk> {
    Arc::new(MemDisk::new(std::fs::read(image).unwrap()))
}

pub(crate) fn mount_ro(disk: Arc<MemDisk>) -> Ext4 {
    Ext4::mount(disk, &Options { read_only: true, ..Options::default() }).expect("mount")
}

pub(crate) fn mount_rw(disk: Arc<MemDisk>) -> Ext4 {
    Ext4::mount(disk, &Options { now: model::at(1_700_000_000), ..Options::default() }).expect("mount")
}

/// What is at a path, for comparing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Node {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    /// Content, or where a link leads.
    pub(crate) data: Vec<u8>,
    pub(crate) rdev: (u32, u32),
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub(crate) type Tree = BTreeMap<Vec<u8>, Node>;

/// A tree on the host.
pub(crate) fn host_tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut left: Vec<PathBuf> = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        let full = root.join(&path);
        let meta = std::fs::symlink_metadata(&full).unwrap();
        let kind = meta.file_type();
        let data = if kind.is_symlink() {
            std::fs::read_link(&full).unwrap().into_os_string().into_vec()
        } else if kind.is_file() {
            std::fs::read(&full).unwrap()
        } else {
            Vec::new()
        };
        if kind.is_dir() {
            left.extend(std::fs::read_dir(&full).unwrap().map(|e| path.join(e.unwrap().file_name())));
        }
        let node = Node {
            mode: meta.mode(),
            uid: meta.uid(),
            gid: meta.gid(),
            links: meta.nlink(),
            size: if kind.is_dir() { 0 } else { meta.size() },
            mtime: meta.mtime(),
            data,
            ..Node::default()
        };
        tree.insert(path.into_os_string().as_bytes().to_vec(), node);
    }
    tree
}

/// The tree in an image.
pub(crate) fn our_tree(fs: &mut Ext4) -> Tree {
    let mut tree = Tree::new();
    let mut left = vec![(Vec::new(), ROOT)];
    while let Some((path, ino)) = left.pop() {
        let attr = fs.attr(ino).unwrap();
        let kind = attr.mode & 0o170_000;
        let mut node = Node {
            mode: u32::from(attr.mode),
            uid: attr.uid,
            gid: attr.gid,
            links: u64::from(attr.links),
            size: if kind == 0o040_000 { 0 } else { attr.size },
            mtime: attr.mtime.sec,
            rdev: attr.rdev,
            ..Node::default()
        };
        match kind {
            0o100_000 => {
                node.data = vec![0xee; attr.size as usize];
                assert_eq!(fs.read(ino, 0, &mut node.data).unwrap(), node.data.len());
            }
            0o120_000 => node.data = fs.read_link(ino).unwrap(),
            0o040_000 => {
                for (name, child, kind) in list(fs, ino) {
                    if name == b"." || name == b".." {
                        continue;
                    }
                    let full = if path.is_empty() { name.clone() } else { [&path[..], b"/", &name].concat() };
                    assert_eq!(fs.lookup(ino, &name), Ok(child), "{}", String::from_utf8_lossy(&full));
                    let mode = fs.attr(child).unwrap().mode;
                    assert!(kind == 0 || u16::from(kind) == mode >> 12, "d_type of {}", String::from_utf8_lossy(&full));
                    left.push((full, child));
                }
            }
            _ => {}
        }
        for name in fs.xattr_list(ino).unwrap() {
            let value = fs.xattr(ino, &name).unwrap();
            node.xattrs.insert(name, value);
        }
        assert!(tree.insert(path, node).is_none(), "listed twice");
    }
    tree
}

/// All entries of a directory: name, inode, kind.
pub(crate) fn list(fs: &mut Ext4, dir: u32) -> Vec<(Vec<u8>, u32, u8)> {
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let some = fs.read_dir(dir, from).unwrap();
        let Some(last) = some.last() else { return all };
        assert!(last.next > from, "listing goes on");
        from = last.next;
        all.extend(some.into_iter().map(|e| (e.name, e.ino, e.kind)));
    }
}

/// Looks a path up.
pub(crate) fn walk(fs: &mut Ext4, path: &str) -> u32 {
    path.split('/').filter(|p| !p.is_empty()).fold(ROOT, |dir, name| fs.lookup(dir, name.as_bytes()).unwrap())
}

/// Two trees must be the same; says where they are not.
pub(crate) fn assert_same(ours: &Tree, expected: &Tree, what: &str) {
    for (path, node) in expected {
        let name = String::from_utf8_lossy(path);
        let Some(other) = ours.get(path) else { panic!("{what}: {name} is missing") };
        if node.data != other.data {
            let at = node.data.iter().zip(&other.data).position(|(a, b)| a != b);
            panic!("{what}: {name}: content differs at {at:?} ({} and {} bytes)", node.data.len(), other.data.len());
        }
        let (mut a, mut b) = (node.clone(), other.clone());
        (a.data, b.data) = (Vec::new(), Vec::new());
        assert_eq!(b, a, "{what}: {name}");
    }
    for path in ours.keys() {
        assert!(expected.contains_key(path), "{what}: {} is too much", String::from_utf8_lossy(path));
    }
}

/// A tree with something of everything that needs no rights to make.
pub(crate) fn make_tree(root: &Path) {
    let mut rng = Rng(1);
    let write = |path: &str, data: &[u8]| std::fs::write(root.join(path), data).unwrap();
    for dir in ["empty", "a", "a/b", "a/b/c", "many"] {
        std::fs::create_dir(root.join(dir)).unwrap();
    }
    for (n, len) in [0, 1, 59, 60, 61, 150, 1023, 1024, 4095, 4097, 70_000, 300_001].into_iter().enumerate() {
        write(&format!("a/size-{n}-{len}"), &rng.bytes(len));
    }
    for n in 0..400 {
        write(&format!("many/{}-{n}", "file-with-a-rather-long-name".repeat(1 + n % 3)), &rng.bytes(n % 100));
    }
    write(&format!("a/b/{}", "x".repeat(255)), b"long name");
    write("a/b/gr\u{fc}n \u{1f333}", b"unicode");
    std::fs::write(root.join(std::ffi::OsStr::from_bytes(b"a/b/\xff\x01\\")), b"bytes").unwrap();
    std::os::unix::fs::symlink("b/c", root.join("a/short")).unwrap();
    std::os::unix::fs::symlink("y".repeat(59), root.join("a/link59")).unwrap();
    std::os::unix::fs::symlink("y".repeat(60), root.join("a/link60")).unwrap();
    std::os::unix::fs::symlink("z/".repeat(400), root.join("a/long")).unwrap();
    std::fs::hard_link(root.join("a/size-5-150"), root.join("a/b/hard")).unwrap();
    // Holes: at the start, in the middle, at the end.
    let file = std::fs::File::create(root.join("a/sparse")).unwrap();
    for at in [100_000, 2_000_000, 2_500_000, 9_000_000] {
        file.write_all_at(&rng.bytes(5000), at).unwrap();
    }
    file.set_len(9_100_000).unwrap();
}
