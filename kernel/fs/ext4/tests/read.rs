//! Images that mke2fs made, with each combination of features that changes what is where, are read and compared with the tree they
//! were made from.

mod common;

use common::*;
use lkl_abi::Errno;
use lkl_ext4::{Ext4, Options, ROOT};

/// Arguments of mke2fs, and the size of the image.
const KINDS: &[(&str, &str)] = &[
    ("-t ext2 -b 1024", "24M"),
    ("-t ext2 -b 4096 -O ^filetype", "32M"),
    ("-t ext2 -r 0 -b 1024", "24M"),
    ("-t ext3 -b 1024", "32M"),
    ("-t ext3 -b 4096 -I 128", "48M"),
    ("-t ext4", "48M"),
    ("-t ext4 -b 1024", "32M"),
    ("-t ext4 -b 2048 -I 512", "32M"),
    ("-t ext4 -b 65536", "256M"),
    ("-t ext4 -O ^64bit,^metadata_csum", "48M"),
    ("-t ext4 -O ^metadata_csum,uninit_bg -b 1024", "32M"),
    ("-t ext4 -O ^extent,^64bit", "48M"),
    ("-t ext4 -O ^extents,^64bit,^huge_file,^large_file,^extra_isize -I 128", "48M"),
    ("-t ext4 -O inline_data", "48M"),
    ("-t ext4 -O inline_data -I 1024 -b 1024", "48M"),
    ("-t ext4 -O bigalloc -C 16384", "64M"),
    ("-t ext4 -O bigalloc -b 1024 -C 8192", "64M"),
    ("-t ext4 -O meta_bg,^resize_inode -b 1024 -g 1024", "48M"),
    ("-t ext4 -O sparse_super2 -b 1024", "48M"),
    ("-t ext4 -O ^flex_bg,^resize_inode,^sparse_super -b 1024", "48M"),
    ("-t ext4 -O ea_inode,large_dir,metadata_csum_seed", "48M"),
    ("-t ext4 -O mmp,project", "48M"),
    ("-t ext4 -O orphan_file,fast_commit", "48M"),
    ("-t ext4 -O quota", "48M"),
    ("-t ext4 -O ^has_journal,^dir_index", "48M"),
    ("-t ext4 -O casefold,encrypt,verity,stable_inodes", "48M"),
];

#[test]
fn every_kind_of_image() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let mut expected = host_tree(tree.path());
    // mke2fs makes it itself, and it counts as a link of the root.
    let root = expected.get_mut(&b""[..]).unwrap();
    root.links += 1;
    let root = root.clone();
    let images = tempfile::tempdir().unwrap();
    for (n, (args, size)) in KINDS.iter().enumerate() {
        let image = images.path().join("image");
        mkfs(&image, args, size, Some(tree.path()));
        // Every other one gets indexed directories.
        if n % 2 == 0 && !args.contains("casefold") {
            run("e2fsck", &["-fyD", image.to_str().unwrap()]);
        }
        let mut fs = mount_ro(memory(&image));
        let mut ours = our_tree(&mut fs);
        let lost = ours.remove(&b"lost+found"[..]).expect("lost+found");
        assert_eq!(lost.mode, 0o040_700);
        let old = args.contains("-I 128") || args.contains("-r 0");
        for node in ours.values_mut() {
            assert!(!old || node.mtime < 1 << 31);
        }
        // What mke2fs makes of the root's own mode and time is not of the tree.
        ours.insert(Vec::new(), Node { data: Vec::new(), ..root.clone() });
        let mut expected = expected.clone();
        if args.contains("inline_data") {
            // mke2fs forgets the hole at the end of a file here.
            expected.remove(&b"a/sparse"[..]);
            ours.remove(&b"a/sparse"[..]);
        }
        assert_same(&ours, &expected, args);
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn special_files_attributes_and_holes() {
    let images = tempfile::tempdir().unwrap();
    let image = images.path().join("image");
    for args in ["-t ext4", "-t ext4 -O ea_inode -b 1024", "-t ext3 -I 128", "-t ext4 -O inline_data"] {
        mkfs(&image, args, "16M", None);
        let path = image.to_str().unwrap();
        let big = images.path().join("big");
        let size = if args.contains("ea_inode") { 1024 } else { 800 };
        let value = Rng(7).bytes(size);
        std::fs::write(&big, &value).unwrap();
        let acl = images.path().join("acl");
        // u::rwx u:1000:rw- g::r-x m::rwx o::r--, as programs see it.
        let entries = [(1u16, 7u16, u32::MAX), (2, 6, 1000), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 4, u32::MAX)];
        let mut list = vec![2, 0, 0, 0];
        for (tag, perm, id) in entries {
            list.extend(tag.to_le_bytes().into_iter().chain(perm.to_le_bytes()).chain(id.to_le_bytes()));
        }
        std::fs::write(&acl, &list).unwrap();
        let commands = format!(
            "mkdir d\ncd d\nmknod fifo p\nmknod null c 1 3\nmknod disk b 8 17\ncd /\n\
             ea_set d user.small value\nea_set d user.empty \"\"\nea_set -f {} d user.big\nea_set -f {} d system.posix_acl_access\n\
             ea_set d security.selinux label\nea_set d trusted.t x\n",
            big.display(),
            acl.display()
        );
        let script = images.path().join("script");
        std::fs::write(&script, commands).unwrap();
        run("debugfs", &["-w", "-f", script.to_str().unwrap(), path]);
        let mut fs = mount_ro(memory(&image));
        let kind = |fs: &mut Ext4, path| {
            let ino = walk(fs, path);
            let attr = fs.attr(ino).unwrap();
            (attr.mode & 0o170_000, attr.rdev)
        };
        assert_eq!(kind(&mut fs, "d/fifo"), (0o010_000, (0, 0)));
        assert_eq!(kind(&mut fs, "d/null"), (0o020_000, (1, 3)));
        assert_eq!(kind(&mut fs, "d/disk"), (0o060_000, (8, 17)));
        let d = walk(&mut fs, "d");
        assert_eq!(fs.xattr(d, b"user.small").unwrap(), b"value");
        assert_eq!(fs.xattr(d, b"user.big").unwrap(), value, "{args}");
        assert_eq!(fs.xattr(d, b"security.selinux").unwrap(), b"label");
        assert_eq!(fs.xattr(d, b"user.none"), Err(Errno::ENODATA));
        assert_eq!(fs.xattr(d, b"nothing.none"), Err(Errno::EOPNOTSUPP));
        assert_eq!(fs.xattr(d, b"system.posix_acl_access").unwrap(), list);
        let mut names: Vec<_> = fs.xattr_list(d).unwrap().into_iter().map(|n| String::from_utf8(n).unwrap()).collect();
        names.retain(|n| n != "user.empty");
        names.sort();
        assert_eq!(names, ["security.selinux", "system.posix_acl_access", "trusted.t", "user.big", "user.small"]);
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn data_and_holes() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let images = tempfile::tempdir().unwrap();
    for args in ["-t ext4 -b 4096", "-t ext2 -b 1024"] {
        let image = images.path().join("image");
        mkfs(&image, args, "32M", Some(tree.path()));
        let mut fs = mount_ro(memory(&image));
        let ino = walk(&mut fs, "a/sparse");
        let (mut at, mut data) = (0, Vec::new());
        while let Ok(from) = fs.seek_data(ino, at) {
            at = fs.seek_hole(ino, from).unwrap();
            data.push((from, at));
        }
        let bs = if args.contains("1024") { 1024 } else { 4096 };
        let expected: Vec<(u64, u64)> = [100_000u64, 2_000_000, 2_500_000, 9_000_000]
            .map(|at| (at / bs * bs, (at + 5000).next_multiple_of(bs)))
            .to_vec();
        assert_eq!(data, expected, "{args}");
        assert_eq!(fs.seek_hole(ino, 9_100_000), Err(Errno::ENXIO));
        let dir = walk(&mut fs, "a");
        assert_eq!(fs.read(dir, 0, &mut [0; 4]), Err(Errno::EISDIR));
        assert_eq!(fs.lookup(ROOT, b"none"), Err(Errno::ENOENT));
        assert_eq!(fs.lookup(ino, b"none"), Err(Errno::ENOTDIR));
        assert_eq!(fs.lookup(ROOT, &[b'x'; 256]), Err(Errno::ENAMETOOLONG));
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn refusals() {
    let images = tempfile::tempdir().unwrap();
    let image = images.path().join("image");
    mkfs(&image, "-t ext4 -O quota", "8M", None);
    let rw = Options::default();
    let bytes = std::fs::read(&image).unwrap();
    let mount = |bytes: Vec<u8>, options: &Options| {
        Ext4::mount(std::sync::Arc::new(lkl_ops::sim::MemDisk::new(bytes)), options).err()
    };
    assert_eq!(mount(bytes.clone(), &rw), Some(Errno::EROFS), "quota is not written");
    assert_eq!(mount(vec![0; 1 << 20], &rw), Some(Errno::EINVAL));
    assert_eq!(mount(vec![0; 100], &rw), Some(Errno::EINVAL));
    let ro = Options { read_only: true, ..Options::default() };
    let mut unknown = bytes.clone();
    unknown[1024 + 0x60 + 2] |= 0x80;
    assert_eq!(mount(unknown, &ro), Some(Errno::EINVAL));
    let mut flipped = bytes;
    flipped[1024 + 0x78] ^= 1;
    assert_eq!(mount(flipped, &ro), Some(Errno::EUCLEAN), "the checksum is wrong");
}

/// A directory that ignores case is read, but not written.
#[test]
fn ignoring_case() {
    let images = tempfile::tempdir().unwrap();
    let (image, tree) = (images.path().join("image"), images.path().join("tree"));
    std::fs::create_dir_all(tree.join("d")).unwrap();
    std::fs::write(tree.join("d/Gr\u{fc}n"), b"x").unwrap();
    mkfs(&image, "-t ext4 -O casefold,encrypt", "8M", Some(&tree));
    run("debugfs", &["-w", "-R", "set_inode_field d flags 0x40080000", image.to_str().unwrap()]);
    let disk = memory(&image);
    let mut fs = mount_rw(disk);
    let d = walk(&mut fs, "d");
    assert!(fs.lookup(d, "GR\u{dc}N".as_bytes()).is_ok());
    assert_eq!(fs.lookup(d, b"grun"), Err(Errno::ENOENT));
    let new = lkl_ext4::New::mode(0o100_644);
    assert_eq!(fs.create(d, b"new", &new, model::at(1)), Err(Errno::EOPNOTSUPP));
    assert!(fs.create(ROOT, b"new", &new, model::at(1)).is_ok());
    fs.unmount().unwrap();
    // The same, encrypted: names are shown in a form that leads nowhere, content is not.
    run("debugfs", &["-w", "-R", "set_inode_field d flags 0x80800", image.to_str().unwrap()]);
    let mut fs = mount_rw(memory(&image));
    let names: Vec<_> = list(&mut fs, d).into_iter().map(|e| e.0).collect();
    assert_eq!((names.len(), &names[2][..10]), (3, &b"AAAAAAAAAA"[..]));
    assert!(fs.lookup(d, &names[2]).is_ok());
    assert_eq!(fs.create(d, b"new", &new, model::at(1)), Err(Errno::ENOKEY));
}
