//! An ext4 whose disk runs full, or fails.

use crate::fake::env;
use crate::model::{mount_ext4, new_file, tool};
use lkl_abi::Errno;
use lkl_ops::sim::MemDisk;
use lkl_vfs::{At, Env, Node, Range, Super};
use std::path::PathBuf;
use std::sync::Arc;

/// An image, and what it is mounted from.
fn image(dir: &tempfile::TempDir, size: &str) -> (PathBuf, Arc<MemDisk>) {
    let path = dir.path().join("image");
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-b", "1024", path.to_str().unwrap(), size]);
    let disk = Arc::new(MemDisk::new(std::fs::read(&path).unwrap()));
    (path, disk)
}

fn make(sb: &Arc<Super>, name: &str) -> Arc<Node> {
    let root = sb.root().unwrap();
    sb.node(root.inode().create(name.as_bytes(), &new_file()).unwrap()).unwrap()
}

fn find(sb: &Arc<Super>, name: &str) -> Arc<Node> {
    sb.node(sb.root().unwrap().inode().lookup(name.as_bytes()).unwrap()).unwrap()
}

fn read_all(node: &Node) -> Vec<u8> {
    let mut all = vec![0xee; node.size() as usize];
    assert_eq!(node.read(&mut all, 0), Ok(all.len()));
    all
}

fn remount(env: &Arc<Env>, sb: &Arc<Super>, path: &PathBuf, disk: &Arc<MemDisk>) -> Arc<Super> {
    sb.unmount().unwrap();
    std::fs::write(path, disk.contents()).unwrap();
    tool("e2fsck", &["-fn", path.to_str().unwrap()]);
    mount_ext4(env, disk)
}

#[test]
fn what_was_accepted_before_the_disk_was_full_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, disk) = image(&dir, "8M");
    let (_world, env) = env(64 << 20);
    let sb = mount_ext4(&env, &disk);
    let (one, two) = (make(&sb, "one"), make(&sb, "two"));
    // In turn, in pieces that end nowhere in particular, until neither takes any more.
    let (mut full, mut round) = ([false; 2], 0u64);
    while full != [true; 2] {
        for (node, full) in [&one, &two].into_iter().zip(&mut full) {
            let data = vec![round as u8 | 1; 7000 + round as usize % 5000];
            match node.write(&data, At::End) {
                Ok((_, n)) => assert!(n > 0 && n <= data.len()),
                Err(e) => {
                    assert_eq!(e, Errno::ENOSPC);
                    *full = true;
                }
            }
        }
        round += 1;
        assert!(round < 10_000);
    }
    assert!(one.size() + two.size() > 5 << 20, "{} bytes", one.size() + two.size());
    assert_eq!((one.fsync(false), two.fsync(false), sb.sync()), (Ok(()), Ok(()), Ok(())), "nothing of it is lost");
    let contents = [&one, &two].map(|n| read_all(n));
    // Room that one gives back the other may have.
    one.fallocate(Range::PunchHole, 0, 1 << 20).unwrap();
    assert_eq!(two.write(&[9; 500_000], At::End), Ok((contents[1].len() as u64, 500_000)));
    drop((one, two));
    let sb = remount(&env, &sb, &path, &disk);
    let one = read_all(&find(&sb, "one"));
    assert!(one[..1 << 20].iter().all(|b| *b == 0) && one[1 << 20..] == contents[0][1 << 20..]);
    assert!(read_all(&find(&sb, "two")) == [&contents[1][..], &[9; 500_000]].concat());
    sb.unmount().unwrap();
}

#[test]
fn a_disk_that_fails_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let (path, disk) = image(&dir, "16M");
    let (_world, env) = env(64 << 20);
    let sb = mount_ext4(&env, &disk);
    let node = make(&sb, "file");
    let data: Vec<u8> = (0..750_000u32).flat_map(|n| (n + 1).to_le_bytes()).collect();
    node.write(&data, At::End).unwrap();
    drop(node);
    let sb = remount(&env, &sb, &path, &disk);
    let node = find(&sb, "file");
    // Half of what the file has can no longer be read or written.
    let bytes = disk.contents();
    let place = bytes.windows(4096).step_by(1024).position(|w| w == &data[1_499_136..][..4096]);
    let place = place.expect("the content is on the disk") as u64 * 1024;
    disk.fail(place..place + 1_000_000);
    let mut buf = vec![0; 3_000_000];
    assert_eq!(node.read(&mut buf[..100_000], 0), Ok(100_000));
    let n = node.read(&mut buf, 0).unwrap();
    assert!((1_000_000..1_600_000).contains(&n) && buf[..n] == data[..n], "{n} bytes");
    assert_eq!(node.read(&mut buf, 2_000_000), Err(Errno::EIO));
    assert_eq!(node.write(&[1; 10], At::Offset(2_000_001)), Err(Errno::EIO));
    let mark = node.error_mark();
    assert_eq!(node.write(&[1; 8192], At::Offset(2_002_944 / 4096 * 4096)), Ok((2_002_944 / 4096 * 4096, 8192)));
    assert_eq!((node.fsync_file(false, &mark), node.fsync_file(false, &mark)), (Err(Errno::EIO), Ok(())));
    assert_eq!((sb.sync(), sb.sync()), (Err(Errno::EIO), Ok(())));
    assert_eq!(node.read(&mut buf[..500_000], 2_600_000), Ok(400_000));
    drop(node);
    sb.unmount().unwrap();
    std::fs::write(&path, disk.contents()).unwrap();
    tool("e2fsck", &["-fn", path.to_str().unwrap()]);
}
