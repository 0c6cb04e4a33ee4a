//! Images by `mkfs.ext4`, written through system calls, unmounted, and judged by `e2fsck` and `debugfs`.

use lkl_abi::fcntl::*;
use lkl_abi::{nr, Errno, Result};
use lkl_ops::sim::{MemDisk, World};
use lkl_ops::UserMem;
use lkl_tests::machine::Machine;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const HERE: u64 = AT_FDCWD as i64 as u64;
const PATHS: [u64; 3] = [0x1_0000, 0x1_2000, 0x1_4000];
const IMAGE: usize = 48 << 20;

/// An image file, which goes with this value.
struct Image {
    path: PathBuf,
}

impl Image {
    fn make(name: &str, options: &[&str]) -> Self {
        let path = std::env::temp_dir().join(format!("lkl-files-{}-{name}", std::process::id()));
        std::fs::write(&path, []).unwrap();
        let image = Self { path };
        std::fs::OpenOptions::new().write(true).open(&image.path).unwrap().set_len(IMAGE as u64).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).args(options).arg(&image.path).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        image
    }

    fn disk(&self) -> Arc<MemDisk> {
        Arc::new(MemDisk::new(std::fs::read(&self.path).unwrap()))
    }

    /// Writes what is on the disk now, and has it checked.
    fn judge(&self, disk: &MemDisk) {
        std::fs::write(&self.path, disk.contents()).unwrap();
        let checked = Command::new("e2fsck").arg("-fn").arg(&self.path).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success() && !said.contains("recovering journal"), "{said}");
    }

    fn debugfs(&self, request: &str) -> Vec<u8> {
        Command::new("debugfs").args(["-R", request]).arg(&self.path).output().unwrap().stdout
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}

struct Files(Machine);

impl Files {
    fn new() -> Self {
        Self(Machine::new(&World::new(1)))
    }

    /// A call with paths at the places that `PATHS` says.
    fn call(&self, number: usize, paths: &[&str], args: &[u64]) -> Result<u64> {
        for (at, path) in PATHS.iter().zip(paths) {
            self.0.memory.write(*at, &[path.as_bytes(), b"\0"].concat()).unwrap();
        }
        let mut six = [0; 6];
        six[..args.len()].copy_from_slice(args);
        self.0.call(number, six)
    }

    fn mount(&self, device: &str, target: &str, kind: &str) -> Result<u64> {
        self.call(nr::MOUNT, &[device, target, kind], &[PATHS[0], PATHS[1], PATHS[2], 0, 0])
    }

    fn umount(&self, target: &str) -> Result<u64> {
        self.call(nr::UMOUNT2, &[target], &[PATHS[0], 0])
    }

    fn mkdir(&self, path: &str) -> Result<u64> {
        self.call(nr::MKDIRAT, &[path], &[HERE, PATHS[0], 0o755])
    }

    fn open(&self, path: &str, flags: u32) -> Result<u64> {
        self.call(nr::OPENAT, &[path], &[HERE, PATHS[0], flags.into(), 0o644])
    }

    fn close(&self, fd: u64) {
        self.call(nr::CLOSE, &[], &[fd]).unwrap();
    }

    fn write(&self, path: &str, data: &[u8]) -> Result<()> {
        let fd = self.open(path, O_WRONLY | O_CREAT | O_TRUNC)?;
        for piece in data.chunks(100_000) {
            let at = self.0.put(piece);
            assert_eq!(self.call(nr::WRITE, &[], &[fd, at, piece.len() as u64])?, piece.len() as u64);
        }
        self.close(fd);
        Ok(())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let fd = self.open(path, O_RDONLY)?;
        let at = self.0.put(&[]);
        let mut all = Vec::new();
        loop {
            let n = self.call(nr::READ, &[], &[fd, at, 65536])?;
            if n == 0 {
                self.close(fd);
                return Ok(all);
            }
            all.extend(self.0.get(n as usize));
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<u64> {
        self.call(nr::RENAMEAT2, &[from, to], &[HERE, PATHS[0], HERE, PATHS[1], 0])
    }

    fn link(&self, from: &str, to: &str) -> Result<u64> {
        self.call(nr::LINKAT, &[from, to], &[HERE, PATHS[0], HERE, PATHS[1], 0])
    }

    fn unlink(&self, path: &str, flags: u32) -> Result<u64> {
        self.call(nr::UNLINKAT, &[path], &[HERE, PATHS[0], flags.into()])
    }
}

fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed | 1;
    let next = |_| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    };
    (0..len).map(next).collect()
}

const KINDS: &[(&str, &[&str], &str)] = &[
    ("ext4", &["-t", "ext4"], "ext4"),
    ("plain", &["-t", "ext2"], "ext2"),
    ("journal", &["-t", "ext3"], "ext3"),
    ("small", &["-t", "ext4", "-b", "1024", "-I", "128", "-O", "^metadata_csum,^64bit"], "ext4"),
    ("inline", &["-t", "ext4", "-O", "inline_data,bigalloc", "-I", "256"], "ext4"),
];

#[test]
fn what_is_written_is_in_the_image() {
    for (name, options, kind) in KINDS {
        let image = Image::make(name, options);
        let disk = image.disk();
        let files = Files::new();
        files.0.kernel.add_disk(disk.clone(), "vda").unwrap();
        files.mkdir("/mnt").unwrap();
        files.mount("/dev/vda", "/mnt", kind).unwrap();
        let (small, big) = (pattern(1, 700), pattern(2, 3_000_000));
        files.mkdir("/mnt/dir").unwrap();
        files.write("/mnt/dir/small", &small).unwrap();
        files.write("/mnt/big", &big).unwrap();
        files.link("/mnt/big", "/mnt/dir/other").unwrap();
        files.rename("/mnt/dir/small", "/mnt/small").unwrap();
        files.call(nr::SYMLINKAT, &["../small", "/mnt/dir/link"], &[PATHS[0], HERE, PATHS[1]]).unwrap();
        assert_eq!(files.read("/mnt/dir/link").unwrap(), small, "{name}");
        for i in 0..300 {
            files.write(&format!("/mnt/dir/file-{i:03}"), &pattern(i, i as usize)).unwrap();
        }
        for i in (0..300).step_by(2) {
            files.unlink(&format!("/mnt/dir/file-{i:03}"), 0).unwrap();
        }
        assert_eq!(files.unlink("/mnt/dir", AT_REMOVEDIR), Err(Errno::ENOTEMPTY));
        // An open file that has no name any more is in the way of an end.
        let fd = files.open("/mnt/dir/file-001", O_RDWR).unwrap();
        files.unlink("/mnt/dir/file-001", 0).unwrap();
        assert_eq!(files.umount("/mnt"), Err(Errno::EBUSY), "{name}");
        files.close(fd);
        files.umount("/mnt").unwrap();
        image.judge(&disk);
        assert_eq!(image.debugfs("cat /big"), big, "{name}");
        assert_eq!(image.debugfs("cat /dir/other"), big, "{name}");
        assert_eq!(image.debugfs("cat /dir/file-299"), pattern(299, 299), "{name}");
        // And it is what a second mount finds.
        files.mount("/dev/vda", "/mnt", kind).unwrap();
        assert_eq!(files.read("/mnt/dir/other").unwrap(), big, "{name}");
        assert_eq!(files.read("/mnt/dir/file-002").err(), Some(Errno::ENOENT), "{name}");
        files.umount("/mnt").unwrap();
        image.judge(&disk);
    }
}

#[test]
fn what_is_synced_survives_without_an_end() {
    let image = Image::make("synced", &["-t", "ext4"]);
    let disk = image.disk();
    let files = Files::new();
    files.0.kernel.add_disk(disk.clone(), "vda").unwrap();
    files.mkdir("/mnt").unwrap();
    files.mount("/dev/vda", "/mnt", "ext4").unwrap();
    let data = pattern(5, 200_000);
    files.write("/mnt/f", &data).unwrap();
    let fd = files.open("/mnt/f", O_RDONLY).unwrap();
    files.call(nr::FSYNC, &[], &[fd]).unwrap();
    // The power goes, and the next kernel finds the journal.
    let left = Arc::new(MemDisk::new(disk.contents()));
    let next = Files::new();
    next.0.kernel.add_disk(left.clone(), "vdb").unwrap();
    next.mkdir("/mnt").unwrap();
    next.mount("/dev/vdb", "/mnt", "ext4").unwrap();
    assert_eq!(next.read("/mnt/f").unwrap(), data);
    assert_eq!(next.0.kernel.remove_disk("vdb"), Err(Errno::EBUSY));
    next.umount("/mnt").unwrap();
    next.0.kernel.remove_disk("vdb").unwrap();
    image.judge(&left);
    // All that is mounted ends with the kernel.
    files.close(fd);
    files.0.kernel.unmount_all().unwrap();
    image.judge(&disk);
}

#[test]
fn a_full_image_says_so() {
    let image = Image::make("full", &["-t", "ext4", "-N", "64"]);
    let disk = image.disk();
    let files = Files::new();
    files.0.kernel.add_disk(disk.clone(), "vda").unwrap();
    files.mkdir("/mnt").unwrap();
    files.mount("/dev/vda", "/mnt", "ext4").unwrap();
    let fd = files.open("/mnt/f", O_WRONLY | O_CREAT).unwrap();
    let at = files.0.put(&[7; 1 << 20]);
    let mut written = 0;
    let error = loop {
        match files.call(nr::WRITE, &[], &[fd, at, 1 << 20]) {
            Ok(n) => written += n,
            Err(e) => break e,
        }
    };
    assert_eq!(error, Errno::ENOSPC);
    assert!(written > 20 << 20, "{written}");
    files.call(nr::FSYNC, &[], &[fd]).unwrap();
    files.close(fd);
    let mut made = 0;
    let error = loop {
        match files.open(&format!("/mnt/n{made}"), O_WRONLY | O_CREAT) {
            Ok(fd) => files.close(fd),
            Err(e) => break e,
        }
        made += 1;
    };
    assert_eq!(error, Errno::ENOSPC);
    files.unlink("/mnt/f", 0).unwrap();
    files.write("/mnt/n0", &pattern(1, 1 << 20)).unwrap();
    files.umount("/mnt").unwrap();
    image.judge(&disk);
}

/// What a random sequence of calls should leave behind: files by their paths.
#[derive(Default)]
struct Model(BTreeMap<String, Vec<u8>>);

#[test]
fn random_calls_leave_what_a_model_says() {
    let image = Image::make("random", &["-t", "ext4", "-b", "1024"]);
    let disk = image.disk();
    let files = Files::new();
    files.0.kernel.add_disk(disk.clone(), "vda").unwrap();
    files.mkdir("/mnt").unwrap();
    files.mount("/dev/vda", "/mnt", "ext4").unwrap();
    let mut model = Model::default();
    let mut dice = pattern(99, 40_000).into_iter();
    for d in 0..4 {
        files.mkdir(&format!("/mnt/d{d}")).unwrap();
    }
    while dice.len() > 16 {
        let mut die = || usize::from(dice.next().unwrap());
        let mut name = || format!("/mnt/d{}/f{}", die() % 4, die() % 12);
        let (a, b) = (name(), name());
        match die() % 6 {
            0 | 1 => {
                let data = pattern(die() as u64, die() * die() % 20_000);
                files.write(&a, &data).unwrap();
                model.0.insert(a, data);
            }
            2 => {
                // In the middle, past the end too.
                let at = die() * 64;
                let data = pattern(die() as u64, die() * 4);
                let Ok(fd) = files.open(&a, O_WRONLY) else {
                    assert!(!model.0.contains_key(&a));
                    continue;
                };
                let buf = files.0.put(&data);
                files.call(nr::PWRITE64, &[], &[fd, buf, data.len() as u64, at as u64]).unwrap();
                files.close(fd);
                let file = model.0.get_mut(&a).unwrap();
                if !data.is_empty() {
                    file.resize(file.len().max(at + data.len()), 0);
                    file[at..at + data.len()].copy_from_slice(&data);
                }
            }
            3 => {
                let done = files.rename(&a, &b);
                match model.0.remove(&a) {
                    Some(file) => {
                        done.unwrap();
                        model.0.insert(b, file);
                    }
                    None => assert_eq!(done, Err(Errno::ENOENT)),
                }
            }
            4 => assert_eq!(files.unlink(&a, 0).is_ok(), model.0.remove(&a).is_some()),
            _ => {
                let len = die() * 50;
                let done = files.call(nr::TRUNCATE, &[&a], &[PATHS[0], len as u64]);
                match model.0.get_mut(&a) {
                    Some(file) => {
                        done.unwrap();
                        file.resize(len, 0);
                    }
                    None => assert_eq!(done, Err(Errno::ENOENT)),
                }
            }
        }
    }
    let same = |files: &Files| {
        for d in 0..4 {
            for f in 0..12 {
                let path = format!("/mnt/d{d}/f{f}");
                match model.0.get(&path) {
                    Some(data) => assert!(files.read(&path).unwrap() == *data, "{path}"),
                    None => assert_eq!(files.read(&path), Err(Errno::ENOENT)),
                }
            }
        }
    };
    same(&files);
    files.umount("/mnt").unwrap();
    image.judge(&disk);
    for (path, data) in &model.0 {
        let inside = Path::new(path).strip_prefix("/mnt").unwrap();
        assert!(image.debugfs(&format!("cat /{}", inside.display())) == *data, "{path}");
    }
    files.mount("/dev/vda", "/mnt", "ext4").unwrap();
    same(&files);
    files.umount("/mnt").unwrap();
}
