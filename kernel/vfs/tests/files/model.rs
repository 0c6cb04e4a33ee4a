//! Random operations on files, beside a vector of bytes that says what must come of them: over a file system in memory that
//! watches the contract, and over ext4, whose image is then judged by `e2fsck` and read again.

use crate::fake::{env, mount, shared, PAGE};
use lkl_abi::Errno;
use lkl_block::BlockDevice;
use lkl_ext4::EXT4;
use lkl_ops::sim::MemDisk;
use lkl_vfs::{At, Env, FileSystem, InodeKind, MountOptions, NewInode, Node, Range, Seek, Super, Timestamp, Tmpfs};
use proptest::prelude::*;
use std::process::Command;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Op {
    Write(u64, usize, u8),
    Append(usize, u8),
    Truncate(u64),
    Fallocate(Range, u64, u64),
    Read(u64, usize),
    Seek(Seek, u64),
    Fsync,
    WriteBack(u64, u64),
    DropPages(u64, u64),
    DropCaches,
    Sync,
    /// The file is not used for a while.
    Forget,
}

/// Places: often at, or one beside, the end of a page.
fn place(max: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        0..max,
        (0..max / PAGE).prop_map(|p| p * PAGE),
        (0..max / PAGE, 0..3u64).prop_map(|(p, d)| (p * PAGE + d).saturating_sub(1))
    ]
}

fn len(max: u64) -> impl Strategy<Value = u64> {
    prop_oneof![3 => 1..9000u64, 1 => place(max).prop_map(|n| n.max(1)), 1 => (1..5u64).prop_map(|n| n * PAGE)]
}

fn op(max: u64) -> impl Strategy<Value = Op> {
    let range = prop_oneof![
        any::<bool>().prop_map(|keep_size| Range::Allocate { keep_size }),
        any::<bool>().prop_map(|keep_size| Range::Zero { keep_size }),
        Just(Range::PunchHole),
        Just(Range::Collapse),
        Just(Range::Insert),
    ];
    let seek = prop_oneof![Just(Seek::Data), Just(Seek::Hole)];
    prop_oneof![
        8 => (place(max), len(max), 1..=255u8).prop_map(|(at, n, b)| Op::Write(at, n as usize, b)),
        2 => (len(max / 4), 1..=255u8).prop_map(|(n, b)| Op::Append(n as usize, b)),
        3 => place(max).prop_map(Op::Truncate),
        4 => (range, place(max), len(max / 4)).prop_map(|(r, at, n)| Op::Fallocate(r, at, n)),
        6 => (place(max), len(max)).prop_map(|(at, n)| Op::Read(at, n as usize)),
        3 => (seek, place(max)).prop_map(|(s, at)| Op::Seek(s, at)),
        1 => Just(Op::Fsync),
        2 => (place(max), len(max)).prop_map(|(at, n)| Op::WriteBack(at, n)),
        2 => (place(max), len(max)).prop_map(|(at, n)| Op::DropPages(at, n)),
        1 => Just(Op::DropCaches),
        1 => Just(Op::Sync),
        1 => Just(Op::Forget),
    ]
}

/// Content that differs from page to page, so that one in a wrong place is seen.
fn pattern(at: u64, len: usize, seed: u8) -> Vec<u8> {
    (at..at + len as u64).map(|i| (i / PAGE * 31 + i % 251) as u8 ^ seed).collect()
}

fn put(model: &mut Vec<u8>, at: u64, data: &[u8]) {
    let (at, end) = (at as usize, at as usize + data.len());
    if model.len() < end {
        model.resize(end, 0);
    }
    model[at..end].copy_from_slice(data);
}

fn fallocate(model: &mut Vec<u8>, range: Range, at: u64, len: u64, block: u64) -> Result<(), Errno> {
    let (size, at, len) = (model.len(), at as usize, len as usize);
    let end = at + len;
    let aligned = at as u64 % block == 0 && len as u64 % block == 0;
    match range {
        Range::Collapse if end >= size || !aligned => return Err(Errno::EINVAL),
        Range::Insert if at >= size || !aligned => return Err(Errno::EINVAL),
        Range::Collapse => drop(model.drain(at..end)),
        Range::Insert => drop(model.splice(at..at, vec![0; len])),
        Range::PunchHole | Range::Zero { .. } => model[at.min(size)..end.min(size)].fill(0),
        Range::Allocate { .. } => {}
    }
    if let Range::Allocate { keep_size: false } | Range::Zero { keep_size: false } = range {
        model.resize(size.max(end), 0);
    }
    Ok(())
}

/// Where data or a hole begins must be true of the content: no data where it says hole.
fn check_seek(model: &[u8], what: Seek, at: u64, found: Result<u64, Errno>) {
    let size = model.len() as u64;
    if at >= size {
        assert_eq!(found, Err(Errno::ENXIO));
        return;
    }
    let zeroes = |from: u64, to: u64| model[from as usize..to as usize].iter().all(|b| *b == 0);
    match (what, found) {
        (Seek::Data, Ok(to)) => assert!(to >= at && to < size && zeroes(at, to), "data at {to}, asked from {at}"),
        (Seek::Data, Err(Errno::ENXIO)) => assert!(zeroes(at, size), "no data from {at}"),
        (Seek::Hole, Ok(to)) => assert!(to >= at && to <= size),
        other => panic!("seek from {at}: {other:?}"),
    }
}

fn read_all(node: &Node) -> Vec<u8> {
    let mut all = vec![0xee; node.size() as usize];
    assert_eq!(node.read(&mut all, 0), Ok(all.len()));
    all
}

fn run(sb: &Arc<Super>, ino: u64, block: u64, ops: &[Op]) -> Vec<u8> {
    let mut node = sb.node(ino).unwrap();
    let mut model: Vec<u8> = Vec::new();
    // The file system in memory wants whole pages, and promises before.
    let around = sb.fs().name() != "fake";
    for op in ops {
        match *op {
            Op::Write(at, len, seed) => {
                let data = pattern(at, len, seed);
                match if around && seed % 2 == 0 { node.write_around(&data, at) } else { Err(Errno::EOPNOTSUPP) } {
                    Err(Errno::EOPNOTSUPP) => assert_eq!(node.write(&data, At::Offset(at)), Ok((at, len))),
                    written => assert_eq!(written, Ok(())),
                }
                put(&mut model, at, &data);
            }
            Op::Append(len, seed) => {
                let end = model.len() as u64;
                let data = pattern(end, len, seed);
                assert_eq!(node.write(&data, At::End), Ok((end, len)));
                put(&mut model, end, &data);
            }
            Op::Truncate(size) => {
                node.truncate(size).unwrap();
                model.resize(size as usize, 0);
            }
            Op::Fallocate(range, at, len) => {
                assert_eq!(node.fallocate(range, at, len), fallocate(&mut model, range, at, len, block));
            }
            Op::Read(at, len) => {
                let mut buf = vec![0xee; len];
                let n = match if around { node.read_around(&mut buf, at) } else { Err(Errno::EOPNOTSUPP) } {
                    Err(Errno::EOPNOTSUPP) => node.read(&mut buf, at).unwrap(),
                    read => read.unwrap(),
                };
                let (from, to) = ((at as usize).min(model.len()), (at as usize + len).min(model.len()));
                assert!(buf[..n] == model[from..to], "{len} bytes at {at} ({n} read)");
            }
            Op::Seek(what, at) => check_seek(&model, what, at, node.seek(what, at)),
            Op::Fsync => node.fsync(false).unwrap(),
            Op::WriteBack(at, len) => node.write_back(at..at + len).unwrap(),
            Op::DropPages(at, len) => node.drop_pages(at..at + len),
            Op::DropCaches => sb.env().drop_caches(),
            Op::Sync => sb.sync().unwrap(),
            Op::Forget => {
                drop(node);
                node = sb.node(ino).unwrap();
            }
        }
        assert_eq!(node.size(), model.len() as u64, "after {op:?}");
    }
    assert!(read_all(&node) == model);
    model
}

/// Nothing is left over: of memory that is counted, and of what is dirty.
fn end(sb: &Arc<Super>) {
    sb.unmount().unwrap();
    assert_eq!((sb.env().used(), sb.env().dirty(), sb.cached_nodes()), (0, 0, (0, 0)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_over_memory(ops in prop::collection::vec(op(120_000), 1..50)) {
        let (_world, env) = env(64 << 20);
        let shared = shared(1 << 30);
        shared.add(2);
        let sb = mount(&env, &shared);
        let model = run(&sb, 2, PAGE, &ops);
        sb.sync().unwrap();
        prop_assert!(shared.content(2) == model);
        end(&sb);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_of_tmpfs(ops in prop::collection::vec(op(3 << 20), 1..40)) {
        let (_world, env) = env(4 << 20);
        let fs: Arc<dyn FileSystem> = Arc::new(Tmpfs::new(env.limits()));
        let raw = fs.mount(&MountOptions::default()).unwrap();
        let sb = Super::new(&env, &fs, raw, b"tmpfs".to_vec(), false);
        let free = sb.statfs().unwrap().blocks_free;
        let root = sb.root().unwrap();
        let ino = root.inode().create(b"file", &new_file()).unwrap();
        run(&sb, ino, PAGE, &ops);
        // Freed when nobody uses it any more.
        let node = sb.node(ino).unwrap();
        prop_assert_eq!(sb.statfs().unwrap().blocks_free, free - node.attr().blocks / 8);
        root.inode().unlink(b"file", &**node.inode(), Timestamp::default()).unwrap();
        drop(node);
        prop_assert_eq!(sb.statfs().unwrap().blocks_free, free);
        drop(root);
        end(&sb);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// More than fits into memory.
    #[test]
    fn long_files_over_memory(ops in prop::collection::vec(op(12 << 20), 1..30)) {
        let (_world, env) = env(4 << 20);
        let shared = shared(1 << 30);
        shared.add(2);
        let sb = mount(&env, &shared);
        let model = run(&sb, 2, PAGE, &ops);
        prop_assert!(env.used() <= 4 << 20, "{} bytes are used", env.used());
        sb.sync().unwrap();
        prop_assert!(shared.content(2) == model);
        prop_assert_eq!(shared.promised(2), 0);
        end(&sb);
    }

    #[test]
    fn files_over_ext4(ops in prop::collection::vec(op(400_000), 1..50), block in prop::sample::select(&[1024, 2048, PAGE])) {
        over_ext4(&ops, block);
    }
}

/// Mounts what is on a disk.
pub(crate) fn mount_ext4(env: &Arc<Env>, disk: &Arc<MemDisk>) -> Arc<Super> {
    let fs: Arc<dyn FileSystem> = Arc::new(EXT4);
    let device = Some(BlockDevice::new(disk.clone(), "vda"));
    let memory = Some(env.metadata().clone());
    let raw = fs.mount(&MountOptions { device, memory, now: env.now(), ..MountOptions::default() }).unwrap();
    Super::new(env, &fs, raw, b"/dev/vda".to_vec(), false)
}

pub(crate) fn new_file() -> NewInode<'static> {
    let now = Timestamp { secs: 1, nanos: 0 };
    NewInode { kind: InodeKind::Regular, mode: 0o644, uid: 0, gid: 0, rdev: (0, 0), target: b"", xattrs: &[], now }
}

pub(crate) fn tool(name: &str, args: &[&str]) {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let out = Command::new(name).args(args).env("PATH", path).output();
    let out = out.unwrap_or_else(|e| panic!("{name} cannot be run (Debian package e2fsprogs): {e}"));
    assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stdout));
}

fn over_ext4(ops: &[Op], block: u64) {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let name = image.to_str().unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-b", &block.to_string(), name, "32M"]);
    let disk = Arc::new(MemDisk::new(std::fs::read(&image).unwrap()));
    let (_world, env) = env(4 << 20);
    let sb = mount_ext4(&env, &disk);
    let now = Timestamp { secs: 1, nanos: 0 };
    let new =
        NewInode { kind: InodeKind::Regular, mode: 0o644, uid: 0, gid: 0, rdev: (0, 0), target: b"", xattrs: &[], now };
    let ino = sb.root().unwrap().inode().create(b"file", &new).unwrap();
    let model = run(&sb, ino, block, ops);
    let attr = sb.node(ino).unwrap().attr();
    end(&sb);
    std::fs::write(&image, disk.contents()).unwrap();
    tool("e2fsck", &["-fn", name]);
    let sb = mount_ext4(&env, &disk);
    let node = sb.node(sb.root().unwrap().inode().lookup(b"file").unwrap()).unwrap();
    assert!(read_all(&node) == model);
    assert_eq!((node.attr().size, node.attr().mtime), (attr.size, attr.mtime));
    drop(node);
    end(&sb);
}
