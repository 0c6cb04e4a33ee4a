//! Crashes: what was written to a disk is cut at every point, in order, and with what was not flushed yet written in part and in any
//! order. After each cut, our mount must find the file system consistent, as it was at the last commit or the one under way, with all
//! that was committed; and so must `e2fsck`, after our replay and after its own.

mod common;

use common::model::{at, Bounds, Model};
use common::*;
use lkl_abi::Errno;
use lkl_ext4::{Ext4, Options};
use lkl_ops::sim::MemDisk;
use lkl_ops::Disk;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What a disk writes as a whole or not at all. A superblock torn into halves is more than any kernel gets over.
const SECTOR: usize = 1024;

/// What came to a disk.
#[derive(Clone)]
enum Event {
    Write(u64, Vec<u8>),
    Flush,
}

/// A disk that keeps a list of what is written and flushed.
struct Recorder {
    disk: MemDisk,
    events: Mutex<Vec<Event>>,
}

impl Disk for Recorder {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn sector_size(&self) -> u32 {
        512
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), Errno> {
        self.disk.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), Errno> {
        self.events.lock().unwrap().push(Event::Write(offset, buf.to_vec()));
        self.disk.write_at(buf, offset)
    }

    fn flush(&self) -> Result<(), Errno> {
        self.events.lock().unwrap().push(Event::Flush);
        Ok(())
    }

    fn discard(&self, _: u64, _: u64) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
}

/// A commit: after how many events it was done, what the file system held, and which files were written in place since the one before.
struct Commit {
    events: usize,
    model: Model,
    in_place: BTreeSet<u32>,
}

fn put(image: &mut [u8], offset: u64, data: &[u8]) {
    image[offset as usize..offset as usize + data.len()].copy_from_slice(data);
}

/// The image after a cut checked in all ways.
fn check(image: Vec<u8>, commits: &[Commit], done: usize, what: &str, theirs: bool) {
    if theirs {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        write_sparse(&path, &image);
        run("e2fsck", &["-fy", "-E", "journal_only", path.to_str().unwrap()]);
        // What is left to do are orphans only.
        let (status, text) = run("e2fsck", &["-fp", path.to_str().unwrap()]);
        assert!(status & !1 == 0, "{what}: e2fsck after its own replay: {text}");
    }
    let disk = Arc::new(MemDisk::new(image));
    let mut ro = mount_ro(disk.clone());
    let state = |fs: &mut Ext4| {
        let mut why = String::new();
        for n in done..commits.len().min(done + 2) {
            let exempt = |ino| {
                let later = commits.get(done + 1).is_some_and(|c| c.in_place.contains(&ino));
                let now = n > done && commits[n].in_place.contains(&ino);
                !(later || now)
            };
            match commits[n].model.same(fs, exempt) {
                Ok(()) => return n,
                Err(e) => why += &format!("commit {n}: {e}; "),
            }
        }
        panic!("{what}: not as at commit {done} or the next: {why}");
    };
    let first = state(&mut ro);
    drop(ro);
    let mut fs = Ext4::mount(disk.clone(), &Options { now: at(1_800_000_000), ..Options::default() }).expect(what);
    assert_eq!(state(&mut fs), first, "{what}");
    fs.unmount().unwrap();
    fsck_bytes(&disk.contents(), what);
}

/// Runs that many operations and cuts after each event, or (at random) after one in `every`.
fn crash(args: &str, size: &str, seed: u64, steps: u64, every: u64) {
    let images = tempfile::tempdir().unwrap();
    let image = images.path().join("image");
    mkfs(&image, args, size, None);
    let before = std::fs::read(&image).unwrap();
    let disk = Arc::new(Recorder { disk: MemDisk::new(before.clone()), events: Mutex::new(Vec::new()) });
    let mut fs = Ext4::mount(disk.clone(), &Options { now: at(1_700_000_000), ..Options::default() }).unwrap();
    let mut model = Model::new(&mut fs);
    let mut rng = Rng(seed);
    let count = || disk.events.lock().unwrap().len();
    let mut commits = vec![Commit { events: 0, model: model.clone(), in_place: BTreeSet::new() }];
    let bounds = Bounds { file: 60_000, xattr: 400, extents: !args.contains("ext3"), block: 1024, commits: false };
    let mut old = model.clone();
    for step in 0..steps {
        model.step(&mut fs, &mut rng, step, bounds);
        let last = step + 1 == steps;
        if rng.below(9) == 0 || last {
            if last {
                fs.unmount().unwrap();
            } else {
                fs.commit().unwrap();
            }
            // Whatever is not the same as before, or had a moment when it was not, may have been written in place.
            let in_place =
                model.files.iter().filter(|(ino, f)| old.files.get(ino).is_none_or(|o| o != *f)).map(|(&ino, _)| ino);
            let gone = old.files.keys().filter(|ino| !model.files.contains_key(ino)).copied();
            let in_place = in_place.chain(gone).collect();
            commits.push(Commit { events: count(), model: model.clone(), in_place });
            old = model.clone();
        }
    }
    drop(fs);
    let events = disk.events.lock().unwrap().clone();
    // The image as far as it is durable, and what was written since.
    let (mut durable, mut pending): (Vec<u8>, Vec<(u64, Vec<u8>)>) = (before, Vec::new());
    let mut done = 0;
    println!("{args}: {} events, {} commits", events.len(), commits.len());
    for (n, event) in events.iter().enumerate() {
        match event {
            Event::Flush => {
                for (offset, data) in pending.drain(..) {
                    put(&mut durable, offset, &data);
                }
            }
            Event::Write(offset, data) => pending.push((*offset, data.clone())),
        }
        while commits.get(done + 1).is_some_and(|c| c.events <= n + 1) {
            done += 1;
        }
        if rng.below(every) != 0 {
            continue;
        }
        let what = format!("{args}, seed {seed}, cut after event {n} of {}", events.len());
        // In order, all of it.
        let mut image = durable.clone();
        for (offset, data) in &pending {
            put(&mut image, *offset, data);
        }
        check(image, &commits, done, &what, n % 8 == 0);
        // Some sectors of some writes, in any order.
        if !pending.is_empty() {
            let mut image = durable.clone();
            for (offset, data) in &pending {
                for (k, sector) in data.chunks(SECTOR).enumerate() {
                    if rng.below(2) == 0 {
                        put(&mut image, offset + (k * SECTOR) as u64, sector);
                    }
                }
            }
            check(image, &commits, done, &format!("{what}, in part"), n % 8 == 1);
        }
    }
    assert_eq!(done + 1, commits.len());
}

fn seed() -> u64 {
    std::env::var("LKL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

#[test]
fn with_checksums() {
    crash("-t ext4 -b 1024 -J size=1 -O inline_data -N 256", "6M", seed(), 60, 1);
}

#[test]
fn without_checksums() {
    crash("-t ext4 -b 1024 -J size=1 -O ^metadata_csum,^64bit -N 256", "6M", seed() + 1, 60, 1);
}

#[test]
fn ext3() {
    crash("-t ext3 -b 1024 -J size=1 -N 256", "6M", seed() + 2, 60, 1);
}

#[test]
fn around_the_end_of_the_journal() {
    crash("-t ext4 -b 1024 -J size=1 -N 512", "8M", seed() + 3, 700, 25);
}
