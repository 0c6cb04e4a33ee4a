//! `/proc`, `/sys`, `/dev`, and disks.

use super::files::HERE;
use crate::testkit::Rig;
use crate::EpollAt;
use lkl_abi::fcntl::*;
use lkl_abi::fs::BLKGETSIZE64;
use lkl_abi::mount::{MNT_DETACH, MS_BIND, MS_RDONLY, MS_REMOUNT};
use lkl_abi::stat::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFSOCK};
use lkl_abi::{nr, Errno, Result};
use lkl_ops::sim::MemDisk;
use std::sync::Arc;

fn mount(rig: &Rig, source: &str, target: &str, kind: &str, flags: u64, data: &str) -> Result<u64> {
    let args = [source, target, kind].map(|text| rig.text(text));
    rig.call(nr::MOUNT, &[args[0], args[1], args[2], flags, rig.text(data)])
}

fn umount(rig: &Rig, target: &str, flags: u32) -> Result<u64> {
    rig.call(nr::UMOUNT2, &[rig.text(target), flags.into()])
}

#[test]
fn proc_shows_the_kernel() {
    let rig = Rig::new();
    let names = rig.names("/proc");
    for (name, kind) in [("self", 10), ("100", 4), ("mounts", 10), ("net", 10), ("sys", 4), ("version", 8)] {
        assert_eq!(names.get(name), Some(&kind), "{name}");
    }
    // All that is text can be read, and is text.
    let readable = |name: &str| name != "sysrq-trigger";
    for name in names.iter().filter(|(name, kind)| **kind == 8 && readable(name)).map(|(name, _)| name) {
        let words = rig.words(&format!("/proc/{name}"));
        assert!(words.ends_with('\n') || name == "diskstats", "{name}");
    }
    for name in ["limits", "mountinfo", "stat", "statm", "status", "comm"] {
        assert!(rig.words(&format!("/proc/self/{name}")).ends_with('\n'), "{name}");
    }
    assert_eq!(rig.readlink("/proc/self").unwrap(), "100");
    assert_eq!(rig.readlink("/proc/thread-self").unwrap(), "100/task/100");
    assert!(rig.words("/proc/filesystems").contains("nodev\ttmpfs\n"));
    assert!(rig.words("/proc/filesystems").contains("\text4\n"));
    assert!(rig.words("/proc/meminfo").starts_with("MemTotal:        1048576 kB\n"));
    assert!(rig.words("/proc/net/dev").contains("lo:"));
    let stat = rig.stat("/proc/version", 0).unwrap();
    assert_eq!((stat.mode & 0o7777, stat.size), (0o444, 0));
    assert_eq!(rig.open("/proc/version", O_RDONLY | O_CREAT | O_EXCL), Err(Errno::EEXIST));
    assert_eq!(rig.open("/proc/nothing", O_RDWR | O_CREAT), Err(Errno::EPERM));
    assert_eq!(rig.file("/proc/101/status"), Err(Errno::ENOENT));
}

#[test]
fn sysrq() {
    let rig = Rig::new();
    assert_eq!(rig.stat("/proc/sysrq-trigger", 0).unwrap().mode & 0o7777, 0o200);
    let fd = rig.open("/proc/sysrq-trigger", O_WRONLY).unwrap();
    for (keys, len) in [("s", 1), ("x\n", 2)] {
        assert_eq!(rig.call(nr::WRITE, &[fd, rig.text(keys), len]), Ok(len));
    }
    let ep = rig.call(nr::EPOLL_CREATE1, &[0]).unwrap();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = rig.call(nr::WRITE, &[fd, rig.text("c"), 1]);
    std::panic::set_hook(hook);
    assert_eq!(result, Err(Errno::EIO));
    assert!(rig.kernel.oopsed());
    assert_eq!(rig.kernel.epoll_ready(&rig.task, EpollAt::Number(ep as i32), 1, |_| {}), Err(Errno::EIO));
}

#[test]
fn proc_shows_processes() {
    let rig = Rig::new();
    let child = rig.process.fork(101, rig.mem.clone(), rig.process.numbers().clone());
    child.set_command(b"/bin/longer-than-fifteen\0-x\0");
    assert_eq!(rig.words("/proc/101/comm"), "longer-than-fif\n");
    assert_eq!(rig.file("/proc/101/cmdline").unwrap(), b"/bin/longer-than-fifteen\0-x\0");
    assert!(rig.words("/proc/101/status").contains("\nPPid:\t100\n"));
    assert!(rig.words("/proc/101/stat").starts_with("101 (longer-than-fif) R 100 "));
    assert_eq!(rig.words("/proc/101/stat").split(' ').count(), 52);
    let open = rig.open("/proc/101/status", O_RDONLY).unwrap();
    drop(child);
    assert_eq!((rig.get(open, 10), rig.file("/proc/101/status")), (Err(Errno::ESRCH), Err(Errno::ENOENT)));
    // What is open, and by what path.
    let fd = rig.open("/tmp", O_RDONLY | O_DIRECTORY).unwrap();
    let socket = rig.call(nr::SOCKET, &[2, 1, 0]).unwrap();
    let names = rig.names("/proc/self/fd");
    assert!(names.contains_key(&fd.to_string()) && names.contains_key(&socket.to_string()));
    assert!(rig.readlink(&format!("/proc/self/fd/{socket}")).unwrap().starts_with("socket:["));
    assert_eq!(rig.stat(&format!("/proc/self/fd/{fd}"), AT_SYMLINK_NOFOLLOW).unwrap().mode, S_IFLNK | 0o500);
    assert_eq!(rig.stat(&format!("/proc/self/fd/{fd}"), 0).unwrap(), rig.stat("/tmp", 0).unwrap());
    assert_eq!(rig.open(&format!("/proc/self/fd/{socket}"), O_RDWR), Err(Errno::ENXIO));
    assert!(rig.words(&format!("/proc/self/fdinfo/{fd}")).starts_with("pos:\t0\nflags:\t0300000\nmnt_id:\t"));
    let buf = rig.mem.zeros(128);
    rig.call(nr::FSTAT, &[socket, buf]).unwrap();
    assert_eq!(rig.mem.int(buf + 16) as u32 & S_IFMT, S_IFSOCK);
    // A pipe is opened again by its link.
    let fds = rig.mem.zeros(8);
    rig.call(nr::PIPE2, &[fds, 0]).unwrap();
    let again = rig.open(&format!("/dev/fd/{}", rig.mem.int(fds + 4)), O_WRONLY).unwrap();
    rig.put(again, b"by name").unwrap();
    assert_eq!(rig.get(rig.mem.int(fds) as u64, 99).unwrap(), b"by name");
    // The number of another thread leads here as well.
    let (task, _) = rig.thread();
    assert_eq!(rig.words("/proc/101/status"), rig.words("/proc/100/status"));
    assert!(rig.words("/proc/self/task/101/net/dev").contains("lo:"));
    drop(task);
    assert_eq!(rig.file("/proc/101/status"), Err(Errno::ENOENT));
}

#[test]
fn settings_are_set() {
    let rig = Rig::new();
    rig.put_file("/proc/sys/kernel/hostname", b"box\n");
    assert_eq!(rig.words("/proc/sys/kernel/hostname"), "box\n");
    rig.put_file("/proc/sys/net/ipv4/ip_forward", b"1\n");
    assert_eq!(rig.words("/proc/sys/net/ipv4/ip_forward"), "1\n");
    assert_eq!(rig.words("/proc/sys/kernel/random/boot_id"), rig.words("/proc/sys/kernel/random/boot_id"));
    assert_eq!(rig.words("/proc/sys/kernel/random/uuid").len(), 37);
    rig.put_file("/proc/sys/fs/protected_regular", b"2\n");
    assert_eq!(rig.words("/proc/sys/fs/protected_regular"), "2\n");
    let protected = rig.open("/proc/sys/fs/protected_symlinks", O_WRONLY).unwrap();
    assert_eq!((rig.put(protected, b"2"), rig.put(protected, b"x")), (Err(Errno::EINVAL), Err(Errno::EINVAL)));
    let drop = rig.open("/proc/sys/vm/drop_caches", O_WRONLY).unwrap();
    assert_eq!((rig.put(drop, b"3\n"), rig.put(drop, b"9\n")), (Ok(2), Err(Errno::EINVAL)));
    let version = rig.open("/proc/version", O_RDWR).unwrap();
    assert_eq!(rig.put(version, b"x"), Err(Errno::EIO));
    rig.process.set_credentials(crate::Credentials::new(1000, 1000, vec![]));
    assert_eq!(rig.open("/proc/sys/kernel/hostname", O_WRONLY), Err(Errno::EACCES));
}

#[test]
fn the_network_is_in_sys() {
    let rig = Rig::new();
    assert_eq!(rig.readlink("/sys/class/net/lo").unwrap(), "../../devices/virtual/net/lo");
    assert_eq!(rig.words("/sys/class/net/lo/mtu"), "65536\n");
    assert_eq!(rig.stat("/sys/class/net/lo/mtu", 0).unwrap().size, 4096);
    rig.put_file("/sys/class/net/lo/mtu", b"1500\n");
    assert_eq!(rig.words("/sys/devices/virtual/net/lo/mtu"), "1500\n");
    let names: Vec<String> = rig.names("/sys").into_keys().collect();
    assert_eq!(names, [".", "..", "block", "class", "dev", "devices", "fs", "kernel"]);
}

#[test]
fn devices_are_opened_by_their_numbers() {
    let rig = Rig::new();
    assert_eq!(rig.stat("/dev/null", 0).unwrap().mode, S_IFCHR | 0o666);
    let null = rig.open("/dev/null", O_RDWR).unwrap();
    assert_eq!((rig.put(null, b"gone"), rig.get(null, 9).unwrap()), (Ok(4), vec![]));
    let zero = rig.open("/dev/zero", O_RDONLY).unwrap();
    assert_eq!(rig.get(zero, 5).unwrap(), [0; 5]);
    let full = rig.open("/dev/full", O_WRONLY).unwrap();
    assert_eq!(rig.put(full, b"x"), Err(Errno::ENOSPC));
    assert_eq!((rig.open("/dev/tty", O_RDWR), rig.get(zero, 0).unwrap()), (Err(Errno::ENXIO), vec![]));
    assert_eq!(rig.call(nr::FALLOCATE, &[null, 0, 0, 1]), Err(Errno::ENODEV));
    rig.call(nr::MKNODAT, &[HERE, rig.text("/tmp/mine"), (S_IFCHR | 0o600).into(), 0x105]).unwrap();
    let mine = rig.open("/tmp/mine", O_RDONLY).unwrap();
    assert_eq!(rig.get(mine, 3).unwrap(), [0; 3]);
    let names = rig.names("/dev");
    assert_eq!((names.get("null"), names.get("fd")), (Some(&2), Some(&10)));
}

#[test]
fn disks_are_there() {
    let rig = Rig::new();
    let mut bytes = vec![0; 1 << 20];
    // One partition, of type 0x83: 1024 sectors from sector 64 on.
    bytes[446 + 4] = 0x83;
    bytes[446 + 8..446 + 12].copy_from_slice(&64u32.to_le_bytes());
    bytes[446 + 12..446 + 16].copy_from_slice(&1024u32.to_le_bytes());
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    let disk = rig.kernel.add_disk(Arc::new(MemDisk::new(bytes)), "vda").unwrap();
    assert_eq!((disk.partitions.len(), rig.stat("/dev/vda1", 0).unwrap().mode), (1, S_IFBLK | 0o660));
    let whole = rig.open("/dev/vda", O_RDONLY).unwrap();
    let part = rig.open("/dev/vda1", O_RDWR).unwrap();
    let size = rig.mem.zeros(8);
    rig.call(nr::IOCTL, &[part, BLKGETSIZE64.into(), size]).unwrap();
    assert_eq!((rig.mem.long(size), rig.call(nr::LSEEK, &[whole, 0, 2])), (1024 * 512, Ok(1 << 20)));
    rig.put(part, b"first bytes").unwrap();
    let buf = rig.mem.zeros(11);
    assert_eq!(rig.call(nr::PREAD64, &[whole, buf, 11, 64 * 512]), Ok(11));
    assert_eq!((rig.mem.get(buf, 11), rig.call(nr::FSYNC, &[part])), (b"first bytes".to_vec(), Ok(0)));
    assert_eq!(rig.words("/proc/partitions").lines().nth(3).unwrap(), " 254        1        512 vda1");
    assert_eq!(rig.words("/sys/block/vda/vda1/start"), "64\n");
    assert_eq!(rig.words("/sys/class/block/vda1/partition"), "1\n");
    assert_eq!(rig.words("/sys/dev/block/254:0/queue/logical_block_size"), "512\n");
    rig.close(whole);
    rig.close(part);
    assert_eq!(mount(&rig, "/dev/vda1", "/tmp", "ext4", 0, ""), Err(Errno::EINVAL));
    // No type, and an empty one.
    let (source, target) = (rig.text("/dev/vda1"), rig.text("/tmp"));
    assert_eq!(rig.call(nr::MOUNT, &[source, target, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(mount(&rig, "/dev/vda1", "/tmp", "", 0, ""), Err(Errno::ENODEV));
    assert_eq!(rig.kernel.probe(&rig.task, b"/dev/vda1"), Err(Errno::EINVAL));
    assert_eq!(rig.kernel.probe(&rig.task, b"/dev/null"), Err(Errno::ENOTBLK));
    rig.kernel.remove_disk("vda").unwrap();
    assert_eq!(rig.open("/dev/vda", O_RDONLY), Err(Errno::ENOENT));
}

/// There is one `proc`, as on Linux: not twice at one place, and the same at another one.
#[test]
fn one_proc_wherever_it_is_mounted() {
    let rig = Rig::new();
    rig.mkdir("/tmp/p").unwrap();
    assert_eq!(mount(&rig, "proc", "/proc", "proc", 0, ""), Err(Errno::EBUSY));
    mount(&rig, "proc", "/tmp/p", "proc", 0, "").unwrap();
    assert_eq!(mount(&rig, "proc", "/tmp/p", "proc", 0, ""), Err(Errno::EBUSY));
    let dev = |path: &str| rig.stat(path, 0).unwrap().dev;
    assert_eq!(dev("/tmp/p"), dev("/proc"));
    mount(&rig, "none", "/proc", "sysfs", 0, "").unwrap();
    umount(&rig, "/proc", 0).unwrap();
    umount(&rig, "/tmp/p", 0).unwrap();
    assert_ne!(dev("/tmp/p"), dev("/proc"));
}

#[test]
fn mounts_come_and_go() {
    let rig = Rig::new();
    rig.mkdir("/tmp/m").unwrap();
    mount(&rig, "tmpfs", "/tmp/m", "tmpfs", 0, "size=64k,mode=700").unwrap();
    assert_eq!(rig.stat("/tmp/m", 0).unwrap().mode, S_IFDIR | 0o700);
    rig.put_file("/tmp/m/f", b"x");
    let fd = rig.open("/tmp/m/f", O_RDWR).unwrap();
    let big = rig.mem.zeros(100_000);
    assert_eq!(rig.call(nr::WRITE, &[fd, big, 100_000]), Ok(65536));
    assert_eq!(umount(&rig, "/tmp/m", 0), Err(Errno::EBUSY));
    rig.close(fd);
    mount(&rig, "", "/tmp/m", "", MS_REMOUNT | MS_RDONLY, "").unwrap();
    assert_eq!(rig.open("/tmp/m/f", O_RDWR), Err(Errno::EROFS));
    rig.mkdir("/tmp/b").unwrap();
    mount(&rig, "/tmp/m", "/tmp/b", "", MS_BIND, "").unwrap();
    assert_eq!(rig.file("/tmp/b/f").unwrap().len(), 65536);
    assert!(rig.words("/proc/mounts").contains("tmpfs /tmp/b tmpfs ro,"));
    assert_eq!((umount(&rig, "/tmp/b", 0), umount(&rig, "/tmp/b", 0)), (Ok(0), Err(Errno::EINVAL)));
    let held = rig.open("/tmp/m/f", O_RDONLY).unwrap();
    assert_eq!(umount(&rig, "/tmp/m", MNT_DETACH), Ok(0));
    assert_eq!((rig.get(held, 3).unwrap().len(), rig.stat("/tmp/m/f", 0)), (3, Err(Errno::ENOENT)));
    assert_eq!(mount(&rig, "x", "/tmp/m", "nonsense", 0, ""), Err(Errno::ENODEV));
    assert_eq!(mount(&rig, "/dev/null", "/tmp/m", "ext4", 0, ""), Err(Errno::ENOTBLK));
    assert_eq!(mount(&rig, "/dev/vdx", "/tmp/m", "ext4", 0, ""), Err(Errno::ENOENT));
    assert_eq!(mount(&rig, "tmpfs", "/tmp/m", "tmpfs", 0, "odd=1"), Err(Errno::EINVAL));
    rig.process.set_credentials(crate::Credentials::new(1000, 1000, vec![]));
    assert_eq!(mount(&rig, "tmpfs", "/tmp/m", "tmpfs", 0, ""), Err(Errno::EPERM));
}

#[test]
fn what_nobody_names_costs_nothing() {
    let rig = Rig::new();
    assert!(rig.kernel.vfs_started().is_none());
    rig.call(nr::SOCKET, &[2, 1, 0]).unwrap();
    rig.call(nr::PIPE2, &[rig.mem.zeros(8), 0]).unwrap();
    assert!(rig.kernel.vfs_started().is_none());
    let before = std::time::Instant::now();
    rig.stat("/", 0).unwrap();
    // Well under that, but this is a test's build on a busy machine.
    assert!(before.elapsed() < std::time::Duration::from_millis(50));
}
