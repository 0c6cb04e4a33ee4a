//! Writing: random operations on us and on a model of maps and vectors must come to the same, and `e2fsck -fn` must find nothing.

mod common;

use common::model::{at, Bounds, Model};
use common::*;
use lkl_abi::Errno;
use lkl_ext4::{Ext4, New, Space, ROOT};

/// Arguments of mke2fs, and the size of the image.
const KINDS: &[(&str, &str)] = &[
    ("-t ext2 -b 1024", "12M"),
    ("-t ext3 -b 1024 -J size=1", "12M"),
    ("-t ext4 -b 4096", "24M"),
    ("-t ext4 -b 1024 -J size=1", "12M"),
    ("-t ext4 -b 1024 -O ^metadata_csum,uninit_bg -g 1024", "16M"),
    ("-t ext4 -b 2048 -O inline_data,ea_inode -I 512", "12M"),
    ("-t ext4 -b 1024 -O inline_data -I 256 -O ^has_journal", "12M"),
    ("-t ext4 -b 1024 -O bigalloc,ea_inode -C 8192", "24M"),
    ("-t ext4 -b 1024 -O ^extents,^64bit,^filetype -I 128", "12M"),
    ("-t ext4 -b 1024 -O meta_bg,^resize_inode,^flex_bg -g 2048", "16M"),
    ("-t ext4 -b 1024 -O ^dir_index,sparse_super2,mmp,project,orphan_file", "12M"),
];

fn bounds(args: &str) -> Bounds {
    let word = |flag: &str| args.split_whitespace().skip_while(|w| *w != flag).nth(1).and_then(|w| w.parse().ok());
    let block = word("-b").unwrap_or(4096);
    Bounds {
        file: 600_000,
        xattr: if args.contains("ea_inode") { 20_000 } else { 500 },
        extents: args.contains("ext4") && !args.contains("^extents"),
        block: word("-C").unwrap_or(block),
        commits: true,
    }
}

/// What `debugfs` takes out of an image must be what we read.
fn read_back(fs: &mut Ext4, image: &[u8], what: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (path, tree) = (dir.path().join("image"), dir.path().join("tree"));
    write_sparse(&path, image);
    std::fs::create_dir(&tree).unwrap();
    run("debugfs", &["-R", &format!("rdump / {}", tree.display()), path.to_str().unwrap()]);
    let (ours, mut compared) = (our_tree(fs), 0);
    for (name, node) in ours.iter().filter(|(_, n)| n.mode & 0o170_000 == 0o100_000) {
        let theirs = tree.join(String::from_utf8(name.clone()).unwrap());
        let mut data = std::fs::read(&theirs).unwrap_or_else(|e| panic!("{what}: {}: {e}", theirs.display()));
        if what.contains("inline_data") {
            // It takes out all that could be in the inode.
            data.truncate(node.data.len());
        }
        assert!(data == node.data, "{what}: {}", theirs.display());
        compared += 1;
    }
    assert!(compared > 20, "{compared} files");
}

#[test]
fn random_operations() {
    let steps = std::env::var("LKL_FUZZ_STEPS").ok().and_then(|s| s.parse().ok()).unwrap_or(1500);
    let first = std::env::var("LKL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let images = tempfile::tempdir().unwrap();
    for (n, (args, size)) in KINDS.iter().enumerate() {
        let seed = first + n as u64;
        println!("seed {seed}: {args}");
        let image = images.path().join("image");
        mkfs(&image, args, size, None);
        let disk = memory(&image);
        let mut fs = mount_rw(disk.clone());
        let mut model = Model::new(&mut fs);
        let mut rng = Rng(seed);
        for step in 0..steps {
            model.step(&mut fs, &mut rng, step, bounds(args));
            if step % 500 == 499 {
                model.compare(&mut fs, &format!("{args}, step {step}"));
            }
        }
        fs.unmount().unwrap();
        drop(fs);
        fsck_bytes(&disk.contents(), args);
        let mut fs = mount_ro(disk.clone());
        model.compare(&mut fs, &format!("{args}, mounted again"));
        if n % 4 == 2 {
            read_back(&mut fs, &disk.contents(), args);
        }
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn a_directory_has_a_block_if_its_acls_fill_the_inode() {
    let images = tempfile::tempdir().unwrap();
    let (image, args) = (images.path().join("image"), "-t ext4 -b 4096 -I 256 -O inline_data");
    mkfs(&image, args, "32M", None);
    let disk = memory(&image);
    let mut fs = mount_rw(disk.clone());
    // For the owner, user 5, the group, all of them, and the others.
    let entries = [(1u16, 7u16, u32::MAX), (2, 4, 5), (4, 5, u32::MAX), (16, 5, u32::MAX), (32, 5, u32::MAX)];
    let entry =
        |&(tag, perm, id): &(u16, u16, u32)| [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat();
    let acl = [2u32.to_le_bytes().to_vec(), entries.iter().flat_map(entry).collect()].concat();
    let xattrs: [(&[u8], &[u8]); 2] = [(b"system.posix_acl_access", &acl), (b"system.posix_acl_default", &acl)];
    let new = New { xattrs: &xattrs, ..New::mode(0o040_755) };
    let dir = fs.create(ROOT, b"dir", &new, at(1)).unwrap();
    fs.create(dir, b"file", &New::mode(0o100_644), at(1)).unwrap();
    assert_eq!((list(&mut fs, dir).len(), fs.xattr(dir, b"system.posix_acl_default").unwrap()), (3, acl.clone()));
    fs.unmount().unwrap();
    fsck_bytes(&disk.contents(), args);
}

#[test]
fn many_names() {
    let images = tempfile::tempdir().unwrap();
    for (args, count) in [("-t ext4 -b 1024 -N 9000", 8000), ("-t ext4 -b 1024 -O large_dir,inline_data -N 4000", 3000)]
    {
        let image = images.path().join("image");
        mkfs(&image, args, "32M", None);
        let disk = memory(&image);
        let mut fs = mount_rw(disk.clone());
        let dir = fs.create(ROOT, b"dir", &New::mode(0o040_755), at(1)).unwrap();
        let file = fs.create(dir, b"file", &New::mode(0o100_644), at(1)).unwrap();
        let name = |n: u32| format!("{n}-{}", "long-".repeat(20)).into_bytes();
        for n in 0..count {
            if n % 2 == 0 {
                fs.create(dir, &name(n), &New::mode(0o100_644), at(2)).unwrap();
            } else {
                fs.link(file, dir, &name(n), at(2)).unwrap();
            }
        }
        assert_eq!(list(&mut fs, dir).len(), count as usize + 3);
        // Every third goes, while listing.
        let (mut from, mut listed) = (0, 0);
        loop {
            let some = fs.read_dir(dir, from).unwrap();
            let Some(last) = some.last() else { break };
            from = last.next;
            listed += some.len();
            for e in some.iter().filter(|e| e.ino % 3 == 0 && e.name.len() > 20) {
                let (ino, last) = fs.unlink(dir, &e.name, at(3)).unwrap();
                if last {
                    fs.evict(ino, at(3)).unwrap();
                }
            }
        }
        assert_eq!(listed, count as usize + 3);
        assert_eq!(fs.lookup(dir, b"none"), Err(Errno::ENOENT));
        fs.unmount().unwrap();
        fsck_bytes(&disk.contents(), args);
        std::fs::remove_file(&image).unwrap();
    }
}

/// A file in thousands of pieces, which come and go in any order, beside a vector.
#[test]
fn many_extents() {
    let images = tempfile::tempdir().unwrap();
    let image = images.path().join("image");
    for args in ["-t ext4 -b 1024", "-t ext4 -b 1024 -O ^extents,^64bit"] {
        mkfs(&image, args, "24M", None);
        let disk = memory(&image);
        let mut fs = mount_rw(disk.clone());
        let file = fs.create(ROOT, b"file", &New::mode(0o100_644), at(1)).unwrap();
        let mut model = vec![0u8; 6000 * 1024];
        fs.truncate(file, model.len() as u64, at(1)).unwrap();
        let mut rng = Rng(4);
        let mut order: Vec<u64> = (0..3000).collect();
        for n in (1..order.len()).rev() {
            order.swap(n, rng.below(n as u64 + 1) as usize);
        }
        for &n in &order {
            let (at_byte, data) = (n * 2048, vec![n as u8 | 1; 1024]);
            assert_eq!(fs.write(file, at_byte, &data, at(2)), Ok(1024));
            model[at_byte as usize..][..1024].copy_from_slice(&data);
        }
        let check = |fs: &mut Ext4, model: &[u8], what: &str| {
            let mut data = vec![0xee; model.len()];
            assert_eq!(fs.read(file, 0, &mut data), Ok(model.len()));
            assert!(data == model, "{args}: {what}");
            fs.commit().unwrap();
        };
        check(&mut fs, &model, "in pieces");
        for _ in 0..60 {
            let (from, len) = (rng.below(5000) * 1024, (1 + rng.below(200)) * 1024);
            fs.fallocate(file, Space::Punch, from, len, true, at(3)).unwrap();
            model[from as usize..(from + len) as usize].fill(0);
        }
        check(&mut fs, &model, "with holes");
        // Filled up, it needs few extents again.
        for n in 0..6000 {
            if model[n * 1024] == 0 {
                fs.write(file, n as u64 * 1024, &[9; 1024], at(4)).unwrap();
                model[n * 1024..][..1024].fill(9);
            }
        }
        check(&mut fs, &model, "filled");
        fs.truncate(file, 3_000_000, at(5)).unwrap();
        model.truncate(3_000_000);
        check(&mut fs, &model, "cut");
        fs.unmount().unwrap();
        fsck_bytes(&disk.contents(), args);
        std::fs::remove_file(&image).unwrap();
    }
}

/// Blocks that are promised for data in memory are there when it is written, and nobody else gets them.
#[test]
fn promised_blocks() {
    let images = tempfile::tempdir().unwrap();
    let image = images.path().join("image");
    mkfs(&image, "-t ext4 -b 1024 -J size=1", "8M", None);
    let disk = memory(&image);
    let mut fs = mount_rw(disk.clone());
    let file = |fs: &mut Ext4, name: &[u8]| fs.create(ROOT, name, &New::mode(0o100_644), at(1)).unwrap();
    let (a, b) = (file(&mut fs, b"a"), file(&mut fs, b"b"));
    let free = fs.stat().free_blocks;
    let promised = fs.reserve(a, 0, (free - 200) * 1024).unwrap();
    assert_eq!(promised, free - 200);
    assert_eq!(fs.stat().free_blocks, 200);
    assert_eq!(fs.reserve(b, 0, 300 * 1024), Err(Errno::ENOSPC));
    let room = fs.write(b, 0, &vec![1; 300 * 1024], at(2)).unwrap();
    assert!((150..=200).contains(&(room / 1024)), "{room} bytes fit beside the promise");
    fs.unlink(ROOT, b"b", at(2)).unwrap();
    fs.evict(b, at(2)).unwrap();
    fs.release(promised);
    let data = vec![2; (free as usize - 200) * 1024];
    assert_eq!(fs.write(a, 0, &data, at(3)), Ok(data.len()));
    assert_eq!(fs.reserve(a, 0, data.len() as u64), Ok(0), "it is all there");
    fs.unmount().unwrap();
    fsck_bytes(&disk.contents(), "promised");
}
