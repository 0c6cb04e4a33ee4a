//! The same over ext4: mounted from a device, unmounted clean, and judged by `e2fsck`.

use crate::cases::{flags, read, run_file_in, write, Program};
use lkl_abi::mount::{MNT_DETACH, MS_RDONLY, MS_REMOUNT};
use lkl_abi::{Errno, Result};
use lkl_block::BlockDevice;
use lkl_ext4::EXT4;
use lkl_ops::sim::MemDisk;
use lkl_ops::Disk;
use lkl_vfs::MountRequest;
use std::process::Command;
use std::sync::{mpsc, Arc};
use std::time::Duration;

struct Image {
    disk: Arc<MemDisk>,
    device: Arc<BlockDevice>,
    dir: tempfile::TempDir,
}

fn tool(name: &str, args: &[&str]) {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let out = Command::new(name).args(args).env("PATH", path).output();
    let out = out.unwrap_or_else(|e| panic!("{name} cannot be run (Debian package e2fsprogs): {e}"));
    assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stdout));
}

impl Image {
    fn new(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        tool("mke2fs", &["-q", "-F", "-t", "ext4", "-b", "4096", path.to_str().unwrap(), size]);
        let disk = Arc::new(MemDisk::new(std::fs::read(&path).unwrap()));
        let device = BlockDevice::new(disk.clone(), "vda");
        Self { disk, device, dir }
    }

    /// Is it whole, and does its journal not need to be replayed?
    fn check(&self) {
        let path = self.dir.path().join("image");
        std::fs::write(&path, self.disk.contents()).unwrap();
        tool("e2fsck", &["-fn", path.to_str().unwrap()]);
        let contents = self.disk.contents();
        let incompatible = u32::from_le_bytes(contents[0x460..0x464].try_into().unwrap());
        assert_eq!(incompatible & 4, 0, "the journal needs to be replayed");
    }

    fn mount(&self, p: &Program, target: &str, flags: u64) -> Result<()> {
        let target = p.walk(target, true)?;
        let device = Some(self.device.clone());
        p.vfs.mount(&p.ctx(), &MountRequest { source: b"/dev/vda", device, target, kind: "", flags, data: "" })
    }
}

fn program() -> Program {
    let mut p = Program::new();
    p.vfs.register(Arc::new(EXT4));
    p.run("mkdir m 755").unwrap();
    p
}

#[test]
fn umount_leaves_a_clean_image() {
    let image = Image::new("32M");
    let mut p = program();
    image.mount(&p, "m", 0).unwrap();
    for d in 0..20 {
        p.run(&format!("mkdir m/d{d} 755")).unwrap();
        for f in 0..50 {
            p.run(&format!("put m/d{d}/f{f} content-of-{f}")).unwrap();
        }
        p.run(&format!("rename m/d{d}/f0 m/d{d}/g")).unwrap();
        p.run(&format!("link m/d{d}/g m/d{d}/h")).unwrap();
        p.run(&format!("unlink m/d{d}/f1")).unwrap();
    }
    p.run("hold m/d0/f2 rdwr").unwrap();
    p.run("unlink m/d0/f2").unwrap();
    assert_eq!(p.run("umount m 0"), Err(Errno::EBUSY));
    p.run("close").unwrap();
    p.run("umount m 0").unwrap();
    image.check();
    image.mount(&p, "m", MS_RDONLY).unwrap();
    assert_eq!(p.run("cat m/d19/h").unwrap(), "content-of-0");
    assert_eq!(p.run("stat m/d19/g").unwrap(), "100666 0:0 n2");
    assert_eq!(p.run("put m/x y"), Err(Errno::EROFS));
    p.run("umount m 0").unwrap();
    image.check();
}

#[test]
fn one_device_is_one_file_system() {
    let image = Image::new("8M");
    let mut p = program();
    p.run("mkdir n 755").unwrap();
    image.mount(&p, "m", 0).unwrap();
    image.mount(&p, "n", 0).unwrap();
    assert_eq!(image.mount(&p, "n", MS_RDONLY), Err(Errno::EBUSY));
    assert_eq!(image.mount(&p, "n", 0), Err(Errno::EBUSY));
    p.run("put m/f hello").unwrap();
    assert_eq!(p.run("cat n/f").unwrap(), "hello");
    assert_eq!(p.walk("m/f", true).unwrap().stat().dev, p.walk("n/f", true).unwrap().stat().dev);
    assert_eq!(p.run("rename m/f n/g"), Err(Errno::EXDEV));
    let table = p.vfs.mount_table(&p.root);
    let seen: Vec<_> = table.iter().map(|m| (String::from_utf8_lossy(&m.place.path).into_owned(), m.kind)).collect();
    assert_eq!(seen, [("/".to_owned(), "tmpfs"), ("/m".to_owned(), "ext4"), ("/n".to_owned(), "ext4")]);
    p.run("umount m 0").unwrap();
    assert_eq!(p.run("cat n/f").unwrap(), "hello");
    p.run("umount n 0").unwrap();
    image.check();
    // A device that no ext4 is on.
    let other = BlockDevice::new(Arc::new(MemDisk::new(vec![0; 1 << 20])), "vdb");
    let target = p.walk("m", true).unwrap();
    let request = MountRequest { source: b"x", device: Some(other), target, kind: "", flags: 0, data: "" };
    assert_eq!(p.vfs.mount(&p.ctx(), &request), Err(Errno::EINVAL));
    assert_eq!(p.vfs.mount(&p.ctx(), &MountRequest { kind: "ext4", ..request }), Err(Errno::EINVAL));
    let target = p.walk("m", true).unwrap();
    let request = MountRequest { source: b"x", device: None, target, kind: "ext4", flags: 0, data: "" };
    assert_eq!(p.vfs.mount(&p.ctx(), &request), Err(Errno::ENOTBLK));
}

#[test]
fn a_detached_file_system_ends_with_its_last_user() {
    let image = Image::new("8M");
    let mut p = program();
    image.mount(&p, "m", 0).unwrap();
    p.run("mkdir m/d 755").unwrap();
    p.run("cd m/d").unwrap();
    let file = p.open("f", flags("rdwr|creat"), 0o644).unwrap();
    let target = p.walk("/m", true).unwrap();
    p.vfs.umount(&p.ctx(), target, MNT_DETACH).unwrap();
    assert_eq!(image.mount(&p, "/m", MS_RDONLY), Err(Errno::EBUSY));
    write(&file, b"late", false).unwrap();
    p.run("put g later").unwrap();
    p.run("cd /").unwrap();
    drop(file);
    image.check();
    image.mount(&p, "/m", 0).unwrap();
    assert_eq!(p.run("cat m/d/f").unwrap() + &p.run("cat m/d/g").unwrap(), "latelater");
    p.vfs.unmount_all().unwrap();
    image.check();
}

#[test]
fn the_end_of_everything_with_files_in_use() {
    let image = Image::new("8M");
    let mut p = program();
    image.mount(&p, "m", 0).unwrap();
    p.run("mkdir m/n 755").unwrap();
    p.run("mount tmpfs m/n 0").unwrap();
    let file = p.open("m/f", flags("rdwr|creat"), 0o644).unwrap();
    write(&file, b"hello", false).unwrap();
    p.vfs.unmount_all().unwrap();
    image.check();
    assert_eq!(read(&file, 9).unwrap(), b"hello");
}

#[test]
fn remounted_read_only_it_is_clean() {
    let image = Image::new("8M");
    let mut p = program();
    image.mount(&p, "m", 0).unwrap();
    p.run("hold m/f rdwr|creat 644").unwrap();
    p.run("fput 0 hello").unwrap();
    assert_eq!(image.mount(&p, "m", MS_REMOUNT | MS_RDONLY), Err(Errno::EBUSY));
    p.run("close").unwrap();
    image.mount(&p, "m", MS_REMOUNT | MS_RDONLY).unwrap();
    image.check();
    assert_eq!(p.run("put m/f x"), Err(Errno::EROFS));
    image.mount(&p, "m", MS_REMOUNT).unwrap();
    p.run("put m/f x").unwrap();
    p.run("umount m 0").unwrap();
    image.check();
}

#[test]
fn acls_go_to_the_medium() {
    let image = Image::new("8M");
    let mut p = program();
    image.mount(&p, "m", 0).unwrap();
    p.run("mkdir m/d 777").unwrap();
    p.run("setx m/d system.posix_acl_default acl:u::7,u:1000:7,g::5,m::7,o::5").unwrap();
    p.run("put m/d/f x").unwrap();
    p.run("umount m 0").unwrap();
    image.mount(&p, "m", 0).unwrap();
    let acl = p.run("getx m/d/f system.posix_acl_access").unwrap();
    assert_eq!(acl, "acl:u::6,u:1000:7,g::5,m::6,o::4");
    p.run("umount m 0").unwrap();
    image.check();
}

#[test]
fn the_same_cases_as_on_tmpfs() {
    let image = Image::new("8M");
    let empty = image.disk.contents();
    let fresh = || {
        let disk = Arc::new(MemDisk::new(empty.clone()));
        let image = Image { device: BlockDevice::new(disk.clone(), "vda"), disk, dir: tempfile::tempdir().unwrap() };
        let mut p = program();
        image.mount(&p, "m", 0).unwrap();
        p.root = p.walk("m", true).unwrap();
        p.cwd = p.root.clone();
        p.run("rmdir lost+found").unwrap();
        p
    };
    run_file_in(include_str!("cases/names.txt"), &fresh);
    run_file_in(include_str!("cases/paths.txt"), &fresh);
    run_file_in(include_str!("cases/permissions.txt"), &fresh);
    run_file_in(include_str!("cases/rename.txt"), &fresh);
    run_file_in(include_str!("cases/attributes.txt"), &fresh);
}

/// `flags PATH i` and `a`: immutable, and append-only, which only `debugfs` can set.
#[test]
fn files_that_may_not_be_changed() {
    let mut image = Image::new("8M");
    let mut p = program();
    image.mount(&p, "m", 0).unwrap();
    (p.root, p.cwd) = (p.walk("/m", true).unwrap(), p.walk("/m", true).unwrap());
    let mut wrong = Vec::new();
    for line in include_str!("cases/flags.txt").lines().filter(|l| !l.is_empty() && !l.starts_with("==")) {
        let (command, expected) = line.split_once(" = ").unwrap_or((line, "0"));
        if let ["flags", path, which] = command.split(' ').collect::<Vec<_>>()[..] {
            (p.root, p.cwd) = (p.vfs.root(), p.vfs.root());
            p.run("umount m 0").unwrap();
            let file = image.dir.path().join("image");
            std::fs::write(&file, image.disk.contents()).unwrap();
            let flags = if which == "i" { 0x8_0010 } else { 0x8_0020 };
            let request = format!("set_inode_field /{path} flags {flags}");
            tool("debugfs", &["-w", "-R", &request, file.to_str().unwrap()]);
            image.disk = Arc::new(MemDisk::new(std::fs::read(&file).unwrap()));
            image.device = BlockDevice::new(image.disk.clone(), "vda");
            image.mount(&p, "m", 0).unwrap();
            (p.root, p.cwd) = (p.walk("/m", true).unwrap(), p.walk("/m", true).unwrap());
            continue;
        }
        let got = p.run(command).unwrap_or_else(|e| e.name().unwrap_or("an errno").to_owned());
        if got != expected {
            wrong.push(format!("{command}: {got}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ from Linux:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn directories_that_are_in_themselves() {
    let image = Image::new("8M");
    let mut p = program();
    image.mount(&p, "m", 0).unwrap();
    p.run("mkdir m/a 755").unwrap();
    p.run("mkdir m/a/b 755").unwrap();
    p.run("umount m 0").unwrap();
    let file = image.dir.path().join("image");
    std::fs::write(&file, image.disk.contents()).unwrap();
    for request in ["ln a a/self", "ln a a/b/up", "ln / a/b/root"] {
        tool("debugfs", &["-w", "-R", request, file.to_str().unwrap()]);
    }
    let disk = Arc::new(MemDisk::new(std::fs::read(&file).unwrap()));
    let image = Image { device: BlockDevice::new(disk.clone(), "vda"), disk, dir: image.dir };
    image.mount(&p, "m", MS_RDONLY).unwrap();
    for path in ["m/a/self", "m/a/b/up", "m/a/b/root", "m/a/self/self"] {
        assert_eq!(p.run(&format!("stat {path}")), Err(Errno::ELOOP), "{path}");
    }
    assert_eq!(p.run("ls m/a/b").unwrap(), ". .. root up");
    p.run("umount m 0").unwrap();
}

#[test]
fn many_threads_leave_a_whole_image() {
    let image = Image::new("32M");
    let mut p = program();
    image.mount(&p, "m", 0).unwrap();
    p.root = p.walk("m", true).unwrap();
    p.cwd = p.root.clone();
    crate::threads::storm(&p, 3000);
    (p.root, p.cwd) = (p.vfs.root(), p.vfs.root());
    p.vfs.unmount_all().unwrap();
    image.check();
}

/// A disk that takes its time with much data, and tells when it begins.
struct Slow {
    disk: Arc<MemDisk>,
    began: mpsc::Sender<()>,
}

impl Disk for Slow {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn sector_size(&self) -> u32 {
        self.disk.sector_size()
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.disk.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        if buf.len() >= 1 << 19 {
            let _nobody_waits = self.began.send(());
            std::thread::sleep(Duration::from_millis(300));
        }
        self.disk.write_at(buf, offset)
    }

    fn flush(&self) -> Result<()> {
        self.disk.flush()
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        self.disk.discard(offset, len)
    }
}

#[test]
fn sync_and_umount_wait_for_write_back() {
    let (began, begins) = mpsc::channel();
    let image = Image::new("32M");
    let slow = Arc::new(Slow { disk: image.disk.clone(), began });
    let image = Image { device: BlockDevice::new(slow, "vda"), ..image };
    let mut p = program();
    image.mount(&p, "m", 0).unwrap();
    let content = vec![7; 4 << 20];
    let file = p.open("m/f", flags("rdwr|creat"), 0o644).unwrap();
    write(&file, &content, false).unwrap();
    drop(file);
    std::thread::scope(|s| {
        let later = p.vfs.env().host().now() + Duration::from_secs(60);
        let vfs = p.vfs.clone();
        s.spawn(move || vfs.service(later));
        begins.recv().unwrap();
        p.vfs.sync().unwrap();
        // As it is on the medium now, if the power went.
        let disk = Arc::new(MemDisk::new(image.disk.contents()));
        let copy = Image { device: BlockDevice::new(disk.clone(), "vdb"), disk, dir: tempfile::tempdir().unwrap() };
        let mut other = program();
        copy.mount(&other, "m", 0).unwrap();
        assert!(read(&other.open("m/f", flags("rdonly"), 0).unwrap(), 4 << 20).unwrap() == content);
        other.run("umount m 0").unwrap();
        p.run("umount m 0").unwrap();
    });
    image.check();
}

/// Processor time of this thread.
fn processor() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default())
}

/// `cargo test --release -p lkl-vfs --test names -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn how_long_a_tree_of_20_000_files_takes() {
    let image = Image::new("256M");
    let mut p = program();
    let mut begin = processor();
    let mut took = |what: &str, times: u32| {
        eprintln!("{what}: {:?}", (processor() - begin) / times);
        begin = processor();
    };
    image.mount(&p, "m", 0).unwrap();
    for d in 0..200 {
        p.run(&format!("mkdir m/d{d} 755")).unwrap();
        for f in 0..100 {
            p.run(&format!("put m/d{d}/f{f} hello")).unwrap();
        }
    }
    took("made", 1);
    p.run("umount m 0").unwrap();
    took("unmounted", 1);
    image.check();
    image.mount(&p, "m", 0).unwrap();
    took("checked", 1);
    for d in 0..200 {
        p.run(&format!("ls m/d{d}")).unwrap();
        for f in 0..100 {
            p.run(&format!("cat m/d{d}/f{f}")).unwrap();
        }
    }
    took("read", 1);
    for _ in 0..1_000_000 {
        p.walk("m/d199/f99", true).unwrap();
    }
    took("a walk of three", 1_000_000);
    p.run("umount m 0").unwrap();
}
