//! Bad images: cut off, with changed bytes, with structures that lead in circles. Nothing may panic or hang; errors are expected.
//!
//! Each seed changes structures of one kind. `LKL_FUZZ_ROUNDS` is how many seeds each kind of image takes, `LKL_SEED` the first.

mod common;

use common::model::{at, Bounds, Model};
use common::*;
use lkl_abi::Errno;
use lkl_ext4::{Ext4, New, Options, Rename, SetMode, Space, ROOT};
use lkl_ops::sim::MemDisk;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Looks at everything, within bounds, whatever errors that gives.
fn look(fs: &mut Ext4, budget: usize) -> usize {
    let (mut left, mut seen) = (vec![ROOT], 0);
    let mut data = vec![0; 20_000];
    while let Some(ino) = left.pop() {
        seen += 1;
        if seen > budget {
            break;
        }
        let Ok(attr) = fs.attr(ino) else { continue };
        for name in fs.xattr_list(ino).unwrap_or_default() {
            let _any = fs.xattr(ino, &name);
        }
        let _any = fs.read_link(ino);
        for offset in [0, 10_000, 1_000_000, attr.size / 2, attr.size.saturating_sub(5000)] {
            let _any = fs.read(ino, offset, &mut data);
        }
        let mut from = 0;
        for _ in 0..8 {
            let Ok(at) = fs.seek_data(ino, from) else { break };
            from = fs.seek_hole(ino, at).unwrap_or(u64::MAX);
        }
        let mut from = 0;
        for _ in 0..20 {
            let Ok(some) = fs.read_dir(ino, from) else { break };
            let Some(last) = some.last() else { break };
            from = last.next;
            for e in some {
                let _any = fs.lookup(ino, &e.name);
                left.push(e.ino);
            }
        }
        let _any = fs.lookup(ino, b"no such name");
    }
    seen
}

/// Changes things, whatever errors that gives.
fn disturb(fs: &mut Ext4, rng: &mut Rng) {
    let mut known = vec![ROOT];
    for name in ["a", "many", "a/b", "a/size-9-4097", "a/sparse", "big"] {
        let mut at = ROOT;
        for part in name.split('/') {
            let Ok(next) = fs.lookup(at, part.as_bytes()) else { break };
            at = next;
            known.push(at);
        }
    }
    for n in 0..40u64 {
        let ino = known[rng.below(known.len() as u64) as usize];
        let dir = known[rng.below(known.len() as u64) as usize];
        let name = format!("new-{n}");
        let (offset, len) = (rng.below(10_000_000), rng.below(50_000));
        let now = at(n as i64);
        let _any = match rng.below(10) {
            0 => fs.create(dir, name.as_bytes(), &New::mode(0o100_644), now).map(|ino| known.push(ino)),
            1 => fs.create(dir, name.as_bytes(), &New::mode(0o040_755), now).map(|ino| known.push(ino)),
            2 => fs.write(ino, offset, &vec![7; len as usize], now).map(|_| ()),
            3 => fs.truncate(ino, offset, now),
            4 => fs.fallocate(
                ino,
                [Space::Punch, Space::Allocate, Space::Zero][n as usize % 3],
                offset,
                len + 1,
                false,
                now,
            ),
            5 => fs.set_xattr(ino, b"user.x", &vec![1; len as usize % 3000], SetMode::Any, now),
            6 => fs.remove_xattr(ino, b"user.big", now),
            7 => {
                let some = fs.read_dir(dir, 0).unwrap_or_default();
                match some.get(rng.below(some.len() as u64) as usize) {
                    Some(e) if n % 2 == 0 => match fs.unlink(dir, &e.name, now) {
                        Ok((ino, true)) => fs.evict(ino, now),
                        other => other.map(|_| ()),
                    },
                    Some(e) => fs.rename(dir, &e.name, ino, name.as_bytes(), Rename::Replace, now).map(|_| ()),
                    None => Ok(()),
                }
            }
            8 => fs.link(ino, dir, name.as_bytes(), now),
            _ => fs.commit(),
        };
    }
    let _any = fs.unmount();
}

fn mount(bytes: Vec<u8>, read_only: bool) -> Result<Ext4, Errno> {
    Ext4::mount(Arc::new(MemDisk::new(bytes)), &Options { read_only, ..Options::default() })
}

fn filled(args: &str, size: &str, dir: &Path) -> Vec<u8> {
    let tree = dir.join("tree");
    if !tree.exists() {
        std::fs::create_dir(&tree).unwrap();
        make_tree(&tree);
    }
    let image = dir.join("image");
    mkfs(&image, args, size, Some(&tree));
    // Attributes, an index, and a tree of extents with levels.
    let disk = memory(&image);
    let mut fs = mount_rw(disk.clone());
    let a = walk(&mut fs, "a");
    let b = walk(&mut fs, "a/size-9-4097");
    for ino in [a, b] {
        let _any = fs.set_xattr(ino, b"user.big", &[5; 700], SetMode::Any, at(1));
        fs.set_xattr(ino, b"user.s", b"small", SetMode::Any, at(1)).unwrap();
    }
    let indexed = fs.create(ROOT, b"indexed", &New::mode(0o040_755), at(1)).unwrap();
    for n in 0..150 {
        fs.link(b, indexed, format!("{n}-{}", "y".repeat(60)).as_bytes(), at(1)).unwrap();
    }
    let big = fs.create(ROOT, b"big", &New::mode(0o100_644), at(1)).unwrap();
    for n in 0..400 {
        fs.write(big, n * 9000, b"piece", at(1)).unwrap();
    }
    fs.commit().unwrap();
    // Half of them are left with a dirty journal.
    if args.contains("dirty") || args.contains("size=1") {
        return disk.contents();
    }
    fs.unmount().unwrap();
    disk.contents()
}

const KINDS: &[(&str, &str)] = &[
    ("-t ext2 -b 1024 -N 700", "16M"),
    ("-t ext4 -b 1024 -N 700 -O ^metadata_csum -J size=1", "16M"),
    ("-t ext4 -b 1024 -N 700 -O ^metadata_csum,inline_data,ea_inode,orphan_file", "16M"),
    ("-t ext4 -b 1024 -N 700 -O ^metadata_csum,bigalloc,^has_journal -C 4096", "24M"),
    ("-t ext4 -b 4096 -N 700", "16M"),
];

/// Kinds of structure, and where they are: blocks of 1024 bytes.
fn structures(image: &[u8]) -> Vec<(&'static str, Vec<usize>)> {
    let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    let block_size = 1024 << word(1024 + 24);
    let per = block_size / 1024;
    let descriptors = if per == 1 { 2 } else { per };
    let table = word(descriptors * 1024 + 8) as usize * per;
    let bitmaps = [word(descriptors * 1024) as usize * per, word(descriptors * 1024 + 4) as usize * per];
    let mut kinds: Vec<(&str, Vec<usize>)> = vec![
        ("superblock", vec![1]),
        ("group descriptors", vec![descriptors]),
        ("bitmaps", bitmaps.to_vec()),
        ("inodes", (table..table + 40).collect()),
    ];
    let mut found: [(&str, Vec<usize>); 6] =
        ["extents", "attributes", "journal", "directory", "index", "anything"].map(|name| (name, Vec::new()));
    for n in 1..image.len() / 1024 {
        let block = &image[n * 1024..][..1024];
        let kind = match block {
            [0x0a, 0xf3, ..] => 0,
            [0, 0, 2, 0xea, ..] => 1,
            [0xc0, 0x3b, 0x39, 0x98, ..] => 2,
            [_, _, _, _, 12, 0, 1, _, b'.', ..] if block[28] != 0 && block[29] == 8 => 4,
            [_, _, _, _, 12, 0, 1, _, b'.', ..] => 3,
            [_, _, 0, 0, len, 0, 4..=255, 1 | 2, b'0'..=b'z', ..] if len % 4 == 0 => 3,
            _ if block.iter().any(|&b| b != 0) => 5,
            _ => continue,
        };
        found[kind].1.push(n);
    }
    kinds.extend(found);
    kinds.retain(|k| !k.1.is_empty());
    kinds
}

/// Changes some bytes of structures of one kind.
fn mutate(bytes: &mut [u8], blocks: &[usize], rng: &mut Rng) {
    for _ in 0..=rng.below(6) {
        let block = blocks[rng.below(blocks.len() as u64) as usize];
        // Heads of structures, or anywhere.
        let at = block * 1024 + if rng.below(2) == 0 { rng.below(64) } else { rng.below(1024) } as usize;
        match rng.below(6) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = [0, 1, 127, 128, 255][rng.below(5) as usize],
            2 => {
                let from = blocks[rng.below(blocks.len() as u64) as usize] * 1024 + rng.below(255) as usize * 4;
                let word: [u8; 4] = bytes[from..from + 4].try_into().unwrap();
                bytes[at / 4 * 4..][..4].copy_from_slice(&word);
            }
            3 => bytes[at / 4 * 4..][..4].copy_from_slice(&[255; 4]),
            4 => bytes[at / 4 * 4..][..4].copy_from_slice(&(block as u32).to_le_bytes()),
            _ => bytes[at] = rng.next() as u8,
        }
    }
}

#[test]
fn changed_bytes() {
    let number = |name: &str, own: u64| std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(own);
    let (rounds, first) = (number("LKL_FUZZ_ROUNDS", 50), number("LKL_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    for (args, size) in KINDS {
        let image = filled(args, size, dir.path());
        let (mut mounted, kinds) = (0, structures(&image));
        assert!(kinds.len() >= 6, "{args}: structures");
        for seed in first..first + rounds {
            let mut rng = Rng(seed);
            let mut bytes = image.clone();
            let at = seed as usize % kinds.len();
            let (name, blocks) = &kinds[at];
            mutate(&mut bytes, blocks, &mut rng);
            println!("seed {seed}: {name} of {args}");
            let started = Instant::now();
            if let Ok(mut fs) = mount(bytes.clone(), true) {
                look(&mut fs, 300);
            }
            if let Ok(mut fs) = mount(bytes, false) {
                mounted += 1;
                disturb(&mut fs, &mut rng);
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{args}: seed {seed} takes {:?}", started.elapsed());
        }
        assert!(mounted > rounds / 4, "{args}: {mounted} of {rounds} could be mounted");
    }
}

#[test]
fn cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    mkfs(&image, "-t ext4 -b 1024 -N 16 -O ^has_journal,^resize_inode", "192K", None);
    let bytes = std::fs::read(&image).unwrap();
    for len in 0..bytes.len() {
        // Copying it each time would take longer than all else.
        let short = bytes[..len.min(2048)].to_vec();
        let error = mount(short, true).err();
        assert!(matches!(error, Some(Errno::EINVAL | Errno::EUCLEAN)), "{len}: {error:?}");
        if len % 1024 == 0 || len > bytes.len() - 20 {
            assert!(mount(bytes[..len].to_vec(), true).is_err(), "{len}");
        }
    }
    assert!(look(&mut mount(bytes, true).unwrap(), 10) >= 2);
}

#[test]
fn unreadable_parts() {
    let dir = tempfile::tempdir().unwrap();
    for (args, size) in KINDS.iter().take(2) {
        let image = filled(args, size, dir.path());
        for n in (0..image.len() as u64).step_by(197 * 1024) {
            let disk = Arc::new(MemDisk::new(image.clone()));
            disk.fail(n..n + 100 * 1024);
            for read_only in [true, false] {
                if let Ok(mut fs) = Ext4::mount(disk.clone(), &Options { read_only, ..Options::default() }) {
                    look(&mut fs, 100);
                    disturb(&mut fs, &mut Rng(n));
                }
            }
        }
    }
}

/// A disk that fails in the middle of the work gives `EIO`, and the model knows what is there still.
#[test]
fn failing_writes_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    mkfs(&image, "-t ext4 -b 1024 -J size=1", "8M", None);
    let disk = memory(&image);
    let mut fs = mount_rw(disk.clone());
    let mut model = Model::new(&mut fs);
    let mut rng = Rng(5);
    let bounds = Bounds { file: 50_000, xattr: 300, extents: true, block: 1024, commits: true };
    for n in 0..300 {
        model.step(&mut fs, &mut rng, n, bounds);
    }
    let file = fs.create(ROOT, b"file", &New::mode(0o100_644), at(1)).unwrap();
    fs.commit().unwrap();
    disk.fail(0..disk.contents().len() as u64);
    assert_eq!(fs.write(file, 0, &[1; 100_000], at(2)), Err(Errno::EIO));
    fs.create(ROOT, b"other", &New::mode(0o100_644), at(1)).unwrap();
    assert_eq!(fs.commit(), Err(Errno::EIO));
    assert_eq!(fs.create(ROOT, b"more", &New::mode(0o100_644), at(1)), Err(Errno::EROFS));
    assert!(fs.is_read_only());
    drop(fs);
    // What was committed is there.
    let disk = Arc::new(MemDisk::new(disk.contents()));
    let mut fs = mount_rw(disk.clone());
    assert_eq!(fs.lookup(ROOT, b"file"), Ok(file));
    assert_eq!(fs.lookup(ROOT, b"other"), Err(Errno::ENOENT));
    fs.unmount().unwrap();
    fsck_bytes(&disk.contents(), "after a failure");
}
