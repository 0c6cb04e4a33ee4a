//! How long a process may make files (`RLIMIT_FSIZE`), and what else a write changes or asks for.

use super::files::HERE;
use crate::testkit::Rig;
use lkl_abi::falloc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE};
use lkl_abi::fcntl::*;
use lkl_abi::resource::{RLIMIT_FSIZE, RLIM_INFINITY};
use lkl_abi::{nr, Errno, Result};

/// The bit of `SIGXFSZ`.
const SIGXFSZ: u64 = 1 << 24;

fn limit(rig: &Rig, now: u64, most: u64) -> Result<u64> {
    let new = rig.mem.put(&[now, most].map(u64::to_ne_bytes).concat());
    rig.call(nr::PRLIMIT64, &[0, RLIMIT_FSIZE.into(), new, 0])
}

/// A call that must be refused, with the signal.
fn too_long(rig: &Rig, number: usize, args: &[u64]) {
    assert_eq!(rig.call(number, args), Err(Errno::EFBIG), "{number}");
    assert_eq!(rig.task.take_signals(), SIGXFSZ, "{number}");
}

#[test]
fn files_become_no_longer_than_they_may() {
    let rig = Rig::new();
    rig.put_file("/tmp/f", &[1; 10]);
    rig.put_file("/tmp/long", &[2; 300]);
    let name = rig.text("/tmp/f");
    let fd = rig.open("/tmp/f", O_RDWR).unwrap();
    let long = rig.open("/tmp/long", O_RDWR).unwrap();
    let append = rig.open("/tmp/f", O_WRONLY | O_APPEND).unwrap();
    let buf = rig.mem.zeros(300);
    limit(&rig, 100, 200).unwrap();
    assert_eq!(rig.call(nr::PWRITE64, &[fd, buf, 50, 90]), Ok(10));
    assert_eq!(rig.call(nr::PWRITE64, &[fd, buf, 0, 100]), Ok(0));
    assert_eq!(rig.task.take_signals(), 0);
    too_long(&rig, nr::PWRITE64, &[fd, buf, 1, 100]);
    too_long(&rig, nr::WRITE, &[append, buf, 1]);
    too_long(&rig, nr::PWRITE64, &[long, buf, 1, 100]);
    too_long(&rig, nr::FTRUNCATE, &[fd, 101]);
    too_long(&rig, nr::TRUNCATE, &[name, 101]);
    too_long(&rig, nr::FALLOCATE, &[fd, 0, 0, 101]);
    too_long(&rig, nr::FALLOCATE, &[fd, FALLOC_FL_ZERO_RANGE.into(), 100, 1]);
    assert_eq!(rig.call(nr::FALLOCATE, &[fd, FALLOC_FL_KEEP_SIZE.into(), 0, 4096]), Ok(0));
    // What is longer already may become shorter.
    assert_eq!(rig.call(nr::FTRUNCATE, &[long, 250]), Ok(0));
    assert_eq!(rig.call(nr::FTRUNCATE, &[fd, 0]), Ok(0));
    let (zero, at) = (rig.mem.zeros(8), rig.mem.put(&60u64.to_ne_bytes()));
    assert_eq!(rig.call(nr::COPY_FILE_RANGE, &[long, zero, fd, at, 200, 0]), Ok(40));
    assert_eq!(rig.call(nr::LSEEK, &[fd, 50, 0]), Ok(50));
    let zero = rig.mem.zeros(8);
    assert_eq!(rig.call(nr::SENDFILE, &[fd, long, zero, 200]), Ok(50));
    assert_eq!(rig.task.take_signals(), SIGXFSZ);
    // A pipe is no file that becomes longer.
    let pipe = rig.mem.zeros(8);
    rig.call(nr::PIPE2, &[pipe, 0]).unwrap();
    assert_eq!(rig.call(nr::WRITE, &[rig.mem.int(pipe + 4) as u64, buf, 200]), Ok(200));
    // Only root gets more than there is at most.
    rig.call(nr::SETUID, &[1000]).unwrap();
    assert_eq!(limit(&rig, 200, 201), Err(Errno::EPERM));
    assert_eq!(limit(&rig, 201, 200), Err(Errno::EINVAL));
    assert_eq!(limit(&rig, 150, 150), Ok(0));
    assert_eq!(rig.call(nr::PWRITE64, &[fd, buf, 100, 100]), Ok(50));
    let shown = rig.file("/proc/self/limits").unwrap();
    assert!(String::from_utf8(shown).unwrap().contains("Max file size             150                  150"));
    let child = rig.process.fork(200, rig.mem.clone(), std::sync::Arc::new(crate::Lowest::new()));
    assert_eq!(child.size_limit(), [150, 150]);
    assert_eq!(Rig::new().process.size_limit(), [RLIM_INFINITY; 2]);
}

#[test]
fn a_write_takes_capabilities_away() {
    let rig = Rig::new();
    rig.put_file("/tmp/f", b"program");
    let (path, name) = (rig.text("/tmp/f"), rig.text("security.capability"));
    let mut data = [0; 20];
    data[3] = 2;
    let value = rig.mem.put(&data);
    let set = |len: u64| rig.call(nr::SETXATTR, &[path, name, value, len, 0]);
    let has = || rig.call(nr::GETXATTR, &[path, name, 0, 0]);
    for wrong in [0, 4, 19, 24] {
        assert_eq!(set(wrong), Err(Errno::EINVAL), "{wrong}");
    }
    let fd = rig.open("/tmp/f", O_RDWR).unwrap();
    let takers: [(usize, Vec<u64>); 5] = [
        (nr::WRITE, vec![fd, value, 4]),
        (nr::FTRUNCATE, vec![fd, 3]),
        (nr::FALLOCATE, vec![fd, 0, 0, 100]),
        (nr::FCHOWN, vec![fd, u64::MAX, u64::MAX]),
        (nr::OPENAT, vec![HERE, path, u64::from(O_WRONLY | O_TRUNC), 0]),
    ];
    for (number, args) in takers {
        assert_eq!((set(20), has()), (Ok(0), Ok(20)));
        rig.call(number, &args).unwrap();
        assert_eq!(has(), Err(Errno::ENODATA), "{number}");
    }
    assert_eq!((set(20), rig.call(nr::FCHMOD, &[fd, 0o755]), has()), (Ok(0), Ok(0), Ok(20)));
}

#[test]
fn only_what_has_a_cache_can_go_past_it() {
    let rig = Rig::new();
    let fifo = rig.text("/tmp/p");
    rig.call(nr::MKNODAT, &[HERE, fifo, 0o010_644, 0]).unwrap();
    for (path, flags) in [("/tmp", O_RDONLY), ("/tmp/p", O_RDWR), ("/dev/null", O_RDWR), ("/proc/uptime", O_RDONLY)] {
        assert_eq!(rig.open(path, flags | O_DIRECT), Err(Errno::EINVAL), "{path}");
        let fd = rig.open(path, flags).unwrap();
        assert_eq!(rig.call(nr::FCNTL, &[fd, F_SETFL.into(), O_DIRECT.into()]), Err(Errno::EINVAL), "{path}");
    }
    assert!(rig.open("/tmp/f", O_RDWR | O_CREAT | O_DIRECT).is_ok());
}
