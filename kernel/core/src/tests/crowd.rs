//! Many threads at once, each doing anything to a few files: nothing hangs, no lock is taken out of order, and what is left makes sense.

use super::files::HERE;
use crate::testkit::{call, Bed, Rig};
use crate::{Kernel, Lowest};
use lkl_abi::fcntl::*;
use lkl_abi::inotify::IN_ALL_EVENTS;
use lkl_abi::mount::MNT_DETACH;
use lkl_abi::nr;
use std::sync::Arc;

const THREADS: u64 = 4;
const ROUNDS: u64 = 1500;

#[test]
fn a_crowd_of_callers() {
    let rig = Rig::with(1 << 24, false);
    let text = |text: &str| rig.text(text);
    let names: Vec<u64> = ["/tmp/a", "/tmp/b", "/tmp/d/a", "/tmp/d/e", "/tmp/l", "/tmp/m/x"].map(text).to_vec();
    let (dirs, mount) = (["/tmp/d", "/tmp/m", "/tmp/d/d"].map(text), text("/tmp/m"));
    let shown =
        ["/proc/100/fd", "/proc/self/mounts", "/proc/net/dev", "/proc", "/proc/self/fd/4", "/sys/class/net"].map(text);
    let tmpfs = text("tmpfs");
    let buf = rig.mem.zeros(1 << 16);
    rig.mkdir("/tmp/m").unwrap();
    std::thread::scope(|s| {
        for n in 0..THREADS {
            let (rig, names, dirs, shown) = (&rig, &names, &dirs, &shown);
            s.spawn(move || {
                let mut seed = n + 1;
                let mut die = move |sides: u64| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    seed % sides
                };
                // Two threads of the first process, and two processes of one thread each, one of which ends again and again.
                let mut process = rig.process.clone();
                if n >= 2 {
                    process = rig.kernel.process(100 + n as i32, rig.mem.clone(), Arc::new(Lowest::with_limit(64)));
                }
                let bed = Bed::new(&rig.clock, true);
                let mut task = Kernel::task(&process, 100 + n as i32, bed.clone());
                for round in 0..ROUNDS {
                    let (a, b) = (names[die(6) as usize], names[die(6) as usize]);
                    let dir = dirs[die(3) as usize];
                    let fd = die(12);
                    let (number, args): (usize, [u64; 6]) = match die(20) {
                        0..4 => (nr::OPENAT, [HERE, a, u64::from(O_RDWR | O_CREAT | O_NONBLOCK), 0o666, 0, 0]),
                        4 => (nr::CLOSE, [fd, 0, 0, 0, 0, 0]),
                        5 => (nr::PWRITE64, [fd, buf, die(9000), die(9000), 0, 0]),
                        6 => (nr::PREAD64, [fd, buf, die(9000), die(9000), 0, 0]),
                        7 => (nr::RENAMEAT2, [HERE, a, HERE, b, die(3), 0]),
                        8 => (nr::UNLINKAT, [HERE, a, 0, 0, 0, 0]),
                        9 => (nr::LINKAT, [HERE, a, HERE, b, 0, 0]),
                        10 => (nr::MKDIRAT, [HERE, dir, 0o777, 0, 0, 0]),
                        11 => (nr::RENAMEAT2, [HERE, dir, HERE, dirs[die(3) as usize], 0, 0]),
                        12 => (nr::OPENAT, [HERE, shown[die(6) as usize], 0, 0, 0, 0]),
                        13 => (nr::GETDENTS64, [fd, buf, 4096, 0, 0, 0]),
                        14 => (nr::READ, [fd, buf, 4096, 0, 0, 0]),
                        15 => (nr::MOUNT, [tmpfs, mount, tmpfs, 0, 0, 0]),
                        16 => (nr::UMOUNT2, [mount, die(2) * u64::from(MNT_DETACH), 0, 0, 0, 0]),
                        17 => (nr::INOTIFY_ADD_WATCH, [fd, a, IN_ALL_EVENTS.into(), 0, 0, 0]),
                        18 => (nr::INOTIFY_INIT1, [u64::from(O_NONBLOCK), 0, 0, 0, 0, 0]),
                        _ => (nr::FLOCK, [fd, u64::from(LOCK_NB) | 1 << die(2), 0, 0, 0, 0]),
                    };
                    // Whatever it answers.
                    let _any = call(&rig.kernel, &task, number, &args);
                    if n == 3 && round % 50 == 49 {
                        process.close_all();
                        process = process.fork(103, rig.mem.clone(), Arc::new(Lowest::with_limit(64)));
                        task = Kernel::task(&process, 103, bed.clone());
                    }
                }
                process.close_all();
            });
        }
    });
    assert!(!rig.kernel.oopsed());
    rig.process.close_all();
    // What is mounted can go, for nobody has anything open.
    while rig.call(nr::UMOUNT2, &[mount, 0]).is_ok() {}
    assert!(!rig.words("/proc/mounts").contains("/tmp/m"), "{}", rig.words("/proc/mounts"));
    for name in rig.names("/tmp").keys().filter(|n| n.len() == 1 && *n != ".") {
        assert!(rig.stat(&format!("/tmp/{name}"), AT_SYMLINK_NOFOLLOW).is_ok());
    }
}
