//! Many threads at once on an ext4: files are made, written, read, renamed and removed while they are used, with little memory and with
//! write-back by time; `e2fsck` judges what is left.

use crate::fake::env;
use crate::model::{mount_ext4, new_file, tool};
use lkl_abi::Errno;
use lkl_ops::sim::MemDisk;
use lkl_vfs::{At, Node, Range, Rename, Seek, Super, Timestamp};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

const THREADS: u64 = 4;
const ROUNDS: u64 = 150;
const NAMES: u64 = 12;

fn name(n: u64) -> Vec<u8> {
    format!("file{n}").into_bytes()
}

fn now() -> Timestamp {
    Timestamp { secs: 1000, nanos: 0 }
}

/// The file of that name, made if it is not there.
fn open(sb: &Arc<Super>, root: &Node, n: u64) -> Arc<Node> {
    let _names = sb.names().write();
    let ino = match root.inode().lookup(&name(n)) {
        Ok(ino) => ino,
        Err(Errno::ENOENT) => root.inode().create(&name(n), &new_file()).unwrap(),
        Err(e) => panic!("{e}"),
    };
    sb.node(ino).unwrap()
}

/// Removes a name. Answers the file, which somebody may still use.
fn unlink(sb: &Arc<Super>, root: &Node, n: u64) -> Option<Arc<Node>> {
    let _names = sb.names().write();
    let node = sb.node(root.inode().lookup(&name(n)).ok()?).unwrap();
    root.inode().unlink(&name(n), &**node.inode(), now()).unwrap();
    Some(node)
}

fn rename(sb: &Arc<Super>, root: &Node, from: u64, to: u64) {
    let _names = sb.names().write();
    let Ok(ino) = root.inode().lookup(&name(from)) else { return };
    let node = sb.node(ino).unwrap();
    let target = root.inode().lookup(&name(to)).ok().map(|ino| sb.node(ino).unwrap());
    if target.as_ref().is_some_and(|t| t.ino() == ino) {
        return;
    }
    let (old, new) = (name(from), name(to));
    let dir = root.inode();
    let target = target.as_ref().map(|t| &**t.inode());
    dir.rename(&old, &**node.inode(), &**dir, &new, target, Rename::Replace, now()).unwrap();
}

fn work(sb: &Arc<Super>, root: &Node, thread: u64) {
    let mut seed = thread + 1;
    let mut next = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let mut buf = vec![0; 300_000];
    for round in 0..ROUNDS {
        let node = open(sb, root, next(NAMES));
        match next(10) {
            0..=3 => {
                let len = 1 + next(200_000) as usize;
                node.write(&vec![round as u8 | 1; len], At::Offset(next(400_000))).unwrap();
            }
            4 => drop(node.write(&[7; 5000], At::End).unwrap()),
            5 => node.truncate(next(300_000)).unwrap(),
            6 => node.fallocate(Range::PunchHole, next(300_000), 1 + next(100_000)).unwrap(),
            7 => {
                if let Err(e) = node.seek(Seek::Hole, next(100_000)) {
                    assert_eq!(e, Errno::ENXIO);
                }
            }
            8 => rename(sb, root, next(NAMES), next(NAMES)),
            _ => {
                let gone = unlink(sb, root, next(NAMES));
                if let Some(gone) = gone {
                    gone.write(b"without a name", At::End).unwrap();
                }
            }
        }
        let n = node.read(&mut buf, 0).unwrap();
        assert!(n <= buf.len());
        node.touch_atime(true);
        if round % 16 == thread {
            node.fsync(round % 32 == thread).unwrap();
        }
    }
}

#[test]
fn many_threads_on_ext4() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    tool("mke2fs", &["-q", "-F", "-t", "ext4", image.to_str().unwrap(), "64M"]);
    let disk = Arc::new(MemDisk::new(std::fs::read(&image).unwrap()));
    let (world, env) = env(4 << 20);
    let sb = mount_ext4(&env, &disk);
    let root = sb.root().unwrap();
    let free = sb.statfs().unwrap();
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let (sb, root) = (&sb, &root);
        let workers: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || work(sb, root, t))).collect();
        scope.spawn(|| {
            while busy.load(Ordering::Relaxed) {
                world.run_for(Duration::from_secs(7));
                env.drop_caches();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let done: Vec<_> = workers.into_iter().map(|w| w.join()).collect();
        busy.store(false, Ordering::Relaxed);
        assert!(done.iter().all(Result::is_ok));
    });
    assert!(env.used() <= 4 << 20, "{} bytes are used", env.used());
    for n in 0..NAMES {
        drop(unlink(&sb, &root, n));
    }
    sb.sync().unwrap();
    let left = sb.statfs().unwrap();
    assert_eq!((left.blocks_free, left.files_free), (free.blocks_free, free.files_free), "all of it is free again");
    drop(root);
    sb.unmount().unwrap();
    assert_eq!((env.used(), env.dirty()), (0, 0));
    std::fs::write(&image, disk.contents()).unwrap();
    tool("e2fsck", &["-fn", image.to_str().unwrap()]);
}
