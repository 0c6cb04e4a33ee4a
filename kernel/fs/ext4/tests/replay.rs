//! Journals that e2fsprogs wrote: replayed by us, and by e2fsprogs, they must leave the same blocks.

mod common;

use common::*;
use lkl_abi::Errno;
use lkl_ext4::{Ext4, New, Options, ROOT};
use lkl_ops::sim::MemDisk;
use std::path::Path;
use std::sync::Arc;

fn debugfs(image: &Path, commands: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    std::fs::write(&script, commands).unwrap();
    run("debugfs", &["-w", "-f", script.to_str().unwrap(), image.to_str().unwrap()]).1
}

/// Makes an image with a dirty journal: three transactions over blocks that a file occupies, with a revocation, and a block that
/// begins as journal blocks do.
fn dirty(image: &Path, args: &str, journal: &str) {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let bs = if args.contains("1024") { 1024 } else { 4096 };
    std::fs::write(tree.join("victim"), vec![b'v'; 12 * bs]).unwrap();
    mkfs(image, args, "24M", Some(&tree));
    let said = debugfs(image, "blocks victim\n");
    let numbers = said.lines().find(|l| l.starts_with(|c: char| c.is_ascii_digit())).expect("a line of numbers");
    let blocks: Vec<String> = numbers.split_whitespace().map(str::to_owned).collect();
    assert_eq!(blocks.len(), 12);
    let mut rng = Rng(3);
    let mut file = |name: &str, count: usize, escaped: bool| {
        let mut data = rng.bytes(count * bs);
        if escaped {
            data[..4].copy_from_slice(&0xc03b_3998_u32.to_be_bytes());
        }
        let path = dir.path().join(name);
        std::fs::write(&path, data).unwrap();
        path.display().to_string()
    };
    let (one, two, three) = (file("one", 6, true), file("two", 2, false), file("three", 1, true));
    let list = |from: usize, to: usize| blocks[from..to].join(",");
    let commands = format!(
        "jo {journal}\njw -b {} {one}\njw -r {}\njw -b {} {two}\njw -b {} {three}\njc\n",
        list(0, 6),
        list(1, 3),
        list(4, 6),
        list(2, 3)
    );
    let said = debugfs(image, &commands);
    assert!(!said.contains("Usage") && !said.contains("rror"), "{said}");
}

const KINDS: &[(&str, &str)] = &[
    ("-t ext3 -b 1024", ""),
    ("-t ext3 -b 4096", ""),
    ("-t ext4 -O ^64bit,^metadata_csum -b 1024", ""),
    ("-t ext4 -O 64bit,^metadata_csum -b 4096", ""),
    ("-t ext4 -b 1024", "-c -v 2"),
    ("-t ext4 -b 4096", "-c -v 3"),
    ("-t ext4 -O ^64bit -b 4096", "-c -v 3"),
    ("-t ext4 -O ^64bit -b 1024", "-c -v 2"),
];

#[test]
fn as_e2fsprogs_does_it() {
    let images = tempfile::tempdir().unwrap();
    for (args, journal) in KINDS {
        let image = images.path().join("image");
        dirty(&image, args, journal);
        let before = std::fs::read(&image).unwrap();
        let theirs = images.path().join("theirs");
        write_sparse(&theirs, &before);
        debugfs(&theirs, "jr\n");
        let content = |image: &[u8]| {
            let mut fs = mount_ro(Arc::new(MemDisk::new(image.to_vec())));
            let ino = walk(&mut fs, "victim");
            let mut data = vec![0; fs.attr(ino).unwrap().size as usize];
            fs.read(ino, 0, &mut data).unwrap();
            data
        };
        let expected = content(&std::fs::read(&theirs).unwrap());
        assert!(expected.iter().any(|&b| b != b'v'), "{args}: something was replayed");
        let disk = Arc::new(MemDisk::new(before.clone()));
        assert!(content(&before) == expected, "{args} {journal}: in memory");
        mount_ro(disk.clone());
        assert!(disk.contents() == before, "{args}: nothing is written");
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn a_damaged_block_is_not_replayed() {
    let images = tempfile::tempdir().unwrap();
    let image = images.path().join("image");
    dirty(&image, "-t ext4 -b 1024", "-c -v 3");
    let bytes = std::fs::read(&image).unwrap();
    // The journal's superblock, then a descriptor, then the first block.
    let journal = (1..bytes.len() / 1024)
        .map(|n| n * 1024)
        .find(|&at| bytes[at..at + 8] == [0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 4])
        .expect("the journal's superblock");
    let mount = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        Ext4::mount(Arc::new(MemDisk::new(bytes)), &Options { read_only: true, ..Options::default() }).err()
    };
    assert_eq!(mount(journal + 2048 + 100), Some(Errno::EUCLEAN), "a block");
    assert_eq!(mount(journal + 0x18), Some(Errno::EUCLEAN), "the superblock of the journal");
    assert_eq!(mount(journal + 1024 + 20), None, "a descriptor: its transaction has not happened");
}

/// A record of a fast commit.
fn record(tag: u16, value: &[u8]) -> Vec<u8> {
    [&tag.to_le_bytes()[..], &(value.len() as u16).to_le_bytes(), value].concat()
}

fn words(list: &[u32]) -> Vec<u8> {
    list.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// A file is linked, cut, and given a block; another one is removed: as Linux would record it after the last transaction.
#[test]
fn fast_commits() {
    let images = tempfile::tempdir().unwrap();
    let (image, tree) = (images.path().join("image"), images.path().join("tree"));
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("cut"), [b'c'; 5000]).unwrap();
    std::fs::write(tree.join("gone"), [b'g'; 5000]).unwrap();
    mkfs(&image, "-t ext4 -b 1024 -O fast_commit,^metadata_csum", "16M", Some(&tree));
    let be = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let block =
        |bytes: &[u8], n: usize, kind: u32| be(bytes, n * 1024) == 0xc03b_3998 && be(bytes, n * 1024 + 4) == kind;
    let mut bytes = std::fs::read(&image).unwrap();
    let count = bytes.len() / 1024;
    let journal = (1..count).find(|&n| block(&bytes, n, 4)).expect("a journal");
    // It is Linux that says in the journal that it has them, when it mounts.
    bytes[journal * 1024 + 0x2b] |= 0x20;
    let disk = Arc::new(MemDisk::new(bytes));
    let mut fs = mount_rw(disk.clone());
    let (cut, gone) = (walk(&mut fs, "cut"), walk(&mut fs, "gone"));
    fs.create(ROOT, b"made", &New::mode(0o100_600), model::at(1)).unwrap();
    fs.commit().unwrap();
    // Nobody unmounts it.
    drop(fs);
    let mut bytes = disk.contents();
    let (len, fast) = (be(&bytes, journal * 1024 + 0x10) as usize, be(&bytes, journal * 1024 + 0x54) as usize);
    let fast = if fast == 0 { 256 } else { fast };
    let last = (journal..journal + len).filter(|&n| block(&bytes, n, 2)).map(|n| be(&bytes, n * 1024 + 8)).max();
    let tid = last.expect("a transaction") + 1;
    // The inode as it is, from its table: 256 bytes each, 11 not of files.
    let raw = |ino: u32| {
        let table = u32::from_le_bytes(bytes[2048 + 8..2048 + 12].try_into().unwrap()) as usize * 1024;
        let at = table + (ino as usize - 1) * 256;
        bytes[at..at + 160].to_vec()
    };
    let mut inode = raw(cut);
    inode[4..8].copy_from_slice(&3000u32.to_le_bytes());
    inode[0x1a] = 2;
    let free = (count - 500) as u32;
    let add = [words(&[cut, 2]), vec![1, 0, 0, 0], free.to_le_bytes().to_vec()].concat();
    let mut all = record(9, &words(&[0, tid]));
    all.extend(record(4, &[words(&[2, cut]), b"linked".to_vec()].concat()));
    all.extend(record(5, &[words(&[2, gone]), b"gone".to_vec()].concat()));
    all.extend(record(1, &add));
    all.extend(record(2, &words(&[cut, 3, 2])));
    all.extend(record(6, &[words(&[cut]), inode].concat()));
    all.extend(record(8, &words(&[tid, 0]))[..8].to_vec());
    let sum = !crc32c::crc32c_append(!0, &all);
    all.extend(sum.to_le_bytes());
    let at = (journal + len - fast + 1) * 1024;
    bytes[at..at + all.len()].copy_from_slice(&all);
    bytes[free as usize * 1024..][..1024].fill(b'n');
    let expected = [vec![b'c'; 2048], vec![b'n'; 952]].concat();
    let check = |fs: &mut Ext4| {
        assert_eq!(walk(fs, "linked"), cut);
        assert_eq!(fs.lookup(ROOT, b"gone"), Err(Errno::ENOENT));
        walk(fs, "made");
        let mut data = vec![0; 4000];
        assert_eq!(fs.read(cut, 0, &mut data), Ok(3000));
        assert!(data[..3000] == expected);
        assert_eq!((fs.attr(cut).unwrap().links, fs.attr(cut).unwrap().sectors), (2, 6));
    };
    let disk = Arc::new(MemDisk::new(bytes.clone()));
    check(&mut mount_ro(disk.clone()));
    assert!(disk.contents() == bytes, "nothing is written");
    let mut fs = mount_rw(disk.clone());
    check(&mut fs);
    fs.unmount().unwrap();
    fsck_bytes(&disk.contents(), "after fast commits");
    check(&mut mount_ro(disk));
}
