//! Bad pointers: every call that takes one answers `EFAULT` for it, and goes on.

use crate::syscall::args::Arg;
use crate::syscall::table::CALLS;
use crate::testkit::{Fake, Rig};
use lkl_abi::{nr, Errno, Result};

/// The end of the memory of a rig.
const END: u64 = 0x1_0000 + (1 << 20);
/// Addresses at which nothing is: below the memory, one byte before its end, behind it, at the end of all.
const BAD: [u64; 5] = [0, 8, END - 1, END, u64::MAX - 2];

/// Is it an argument that says where something is?
fn is_pointer(arg: &Arg) -> bool {
    matches!(
        arg,
        Arg::Bytes { .. }
            | Arg::EpollEvent
            | Arg::EpollEvents
            | Arg::IntPtr
            | Arg::Iov { .. }
            | Arg::IovOut { .. }
            | Arg::Msg
            | Arg::MsgOut
            | Arg::Name { .. }
            | Arg::NameOut { .. }
            | Arg::Path
            | Arg::Pollfds { .. }
            | Arg::Ptr
            | Arg::Received
            | Arg::Timespec
            | Arg::Value { .. }
            | Arg::ValueOut { .. }
    )
}

/// Calls that succeed or block on nothing, with all their pointers good.
struct Good {
    rig: Rig,
    calls: Vec<(usize, Vec<u64>)>,
}

fn good() -> Good {
    let rig = Rig::with(1 << 20, true);
    let here = -100i64 as u64;
    let (stream, peer) = Fake::stream();
    let s = rig.adopt(stream);
    let p = rig.adopt(peer);
    let listening = rig.call(nr::SOCKET, &[2, 1 | 0o4000, 0]).unwrap();
    let udp = rig.call(nr::SOCKET, &[2, 2 | 0o4000, 0]).unwrap();
    let name = rig.mem.put(&[2, 0, 0x12, 0x34, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let buf = rig.mem.zeros(4096);
    let len = rig.mem.put(&16u32.to_ne_bytes());
    let iov = rig.mem.put(&[buf.to_ne_bytes(), 4u64.to_ne_bytes()].concat());
    let msg = rig.mem.put(&[0u64, 0, iov, 1, 0, 0, 0].map(u64::to_ne_bytes).concat());
    let mmsg = rig.mem.put(&[0u64, 0, iov, 1, 0, 0, 0, 0].map(u64::to_ne_bytes).concat());
    let at_once = rig.mem.zeros(16);
    let file_name = rig.mem.put(b"/tmp/file\0");
    let new_name = rig.mem.put(b"/tmp/new\0");
    let attribute = rig.mem.put(b"user.x\0");
    let dir_name = rig.mem.put(b"/tmp\0");
    let kind = rig.mem.put(b"tmpfs\0");
    let how = rig.mem.zeros(24);
    let handle = rig.mem.put(&[12u32, 1, 0, 0, 0].map(u32::to_ne_bytes).concat());
    let file = rig.call(nr::OPENAT, &[here, file_name, 0o102, 0o644]).unwrap();
    let dir = rig.call(nr::OPENAT, &[here, dir_name, 0]).unwrap();
    rig.call(nr::SYMLINKAT, &[file_name, here, rig.mem.put(b"/tmp/link\0")]).unwrap();
    let link_name = rig.mem.put(b"/tmp/link\0");
    rig.call(nr::WRITE, &[file, buf, 100]).unwrap();
    let pipes = rig.mem.zeros(8);
    rig.call(nr::PIPE2, &[pipes, 0o4000]).unwrap();
    let (reading, writing) = (rig.mem.int(pipes) as u64, rig.mem.int(pipes + 4) as u64);
    rig.call(nr::WRITE, &[writing, buf, 50]).unwrap();
    let ep = rig.call(nr::EPOLL_CREATE1, &[0]).unwrap();
    let event = rig.mem.put(&[4u64, 0].map(u64::to_ne_bytes).concat());
    rig.call(nr::EPOLL_CTL, &[ep, 1, writing, event]).unwrap();
    let timer = rig.call(nr::TIMERFD_CREATE, &[1, 0]).unwrap();
    let watch = rig.call(nr::INOTIFY_INIT1, &[0]).unwrap();
    let set = rig.mem.put(&u64::MAX.to_ne_bytes());
    let no_bits = rig.mem.zeros(8);
    let polled = rig.mem.put(&[&(writing as u32).to_ne_bytes()[..], &4u32.to_ne_bytes()].concat());
    rig.call(nr::SETGROUPS, &[2, buf]).unwrap();
    rig.call(nr::SETXATTR, &[file_name, attribute, buf, 4, 0]).unwrap();
    rig.call(nr::SENDTO, &[p, buf, 12, 0]).unwrap();
    let calls = vec![
        (nr::SOCKETPAIR, vec![1, 1, 0, buf]),
        (nr::BIND, vec![listening, name, 16]),
        (nr::ACCEPT, vec![s, buf, len]),
        (nr::ACCEPT4, vec![s, buf, len, 0]),
        (nr::CONNECT, vec![udp, name, 16]),
        (nr::GETSOCKNAME, vec![udp, buf, len]),
        (nr::GETPEERNAME, vec![s, buf, len]),
        (nr::SETSOCKOPT, vec![udp, 1, 9, buf, 4]),
        (nr::GETSOCKOPT, vec![udp, 1, 3, buf, len]),
        (nr::SENDTO, vec![s, buf, 4, 0x40, name, 16]),
        (nr::RECVFROM, vec![s, buf, 4, 0x42, buf, len]),
        (nr::SENDMSG, vec![s, msg, 0x40]),
        (nr::RECVMSG, vec![s, msg, 0x42]),
        (nr::SENDMMSG, vec![s, mmsg, 1, 0x40]),
        (nr::RECVMMSG, vec![s, mmsg, 1, 0x42, at_once]),
        (nr::READ, vec![reading, buf, 4]),
        (nr::WRITE, vec![file, buf, 4]),
        (nr::READV, vec![file, iov, 1]),
        (nr::WRITEV, vec![file, iov, 1]),
        (nr::PREAD64, vec![file, buf, 4, 0]),
        (nr::PWRITE64, vec![file, buf, 4, 0]),
        (nr::PREADV, vec![file, iov, 1, 0, 0]),
        (nr::PWRITEV, vec![file, iov, 1, 0, 0]),
        (nr::PREADV2, vec![file, iov, 1, 0, 0, 0]),
        (nr::PWRITEV2, vec![file, iov, 1, 0, 0, 0]),
        (nr::SENDFILE, vec![writing, file, at_once, 4]),
        (nr::SPLICE, vec![file, at_once, writing, 0, 4, 0]),
        (nr::SPLICE, vec![reading, 0, file, at_once, 4, 0]),
        (nr::VMSPLICE, vec![writing, iov, 1, 2]),
        (nr::PIPE2, vec![buf, 0]),
        (nr::SIGNALFD4, vec![u64::MAX, set, 8, 0]),
        (nr::TIMERFD_SETTIME, vec![timer, 0, no_bits, buf]),
        (nr::TIMERFD_GETTIME, vec![timer, buf]),
        (nr::COPY_FILE_RANGE, vec![file, at_once, file, at_once, 4, 0]),
        (nr::IOCTL, vec![udp, 0x541b, buf]),
        (nr::TRUNCATE, vec![file_name, 100]),
        (nr::FCHMODAT, vec![here, file_name, 0o600]),
        (nr::FCHMODAT2, vec![here, file_name, 0o600, 0]),
        (nr::FCHOWNAT, vec![here, file_name, 0, 0, 0]),
        (nr::UTIMENSAT, vec![here, file_name, no_bits, 0]),
        (nr::SETXATTR, vec![file_name, attribute, buf, 4, 0]),
        (nr::LSETXATTR, vec![file_name, attribute, buf, 4, 0]),
        (nr::FSETXATTR, vec![file, attribute, buf, 4, 0]),
        (nr::GETXATTR, vec![file_name, attribute, buf, 100]),
        (nr::LGETXATTR, vec![file_name, attribute, buf, 100]),
        (nr::FGETXATTR, vec![file, attribute, buf, 100]),
        (nr::LISTXATTR, vec![file_name, buf, 100]),
        (nr::LLISTXATTR, vec![file_name, buf, 100]),
        (nr::FLISTXATTR, vec![file, buf, 100]),
        (nr::REMOVEXATTR, vec![file_name, attribute]),
        (nr::LREMOVEXATTR, vec![file_name, attribute]),
        (nr::FREMOVEXATTR, vec![file, attribute]),
        (nr::OPENAT, vec![here, file_name, 0]),
        (nr::OPENAT2, vec![here, file_name, how, 24]),
        (nr::MEMFD_CREATE, vec![file_name, 0]),
        (nr::FSTAT, vec![file, buf]),
        (nr::FSTATAT, vec![here, file_name, buf, 0]),
        (nr::STATX, vec![here, file_name, 0, 0x7ff, buf]),
        (nr::STATFS, vec![file_name, buf]),
        (nr::FSTATFS, vec![file, buf]),
        (nr::FACCESSAT, vec![here, file_name, 0]),
        (nr::FACCESSAT2, vec![here, file_name, 0, 0]),
        (nr::READLINKAT, vec![here, link_name, buf, 100]),
        (nr::GETDENTS64, vec![dir, buf, 4096]),
        (nr::MKDIRAT, vec![here, new_name, 0o755]),
        (nr::MKNODAT, vec![here, new_name, 0o100_644, 0]),
        (nr::SYMLINKAT, vec![file_name, here, new_name]),
        (nr::LINKAT, vec![here, file_name, here, new_name, 0]),
        (nr::UNLINKAT, vec![here, new_name, 0]),
        (nr::RENAMEAT, vec![here, new_name, here, new_name]),
        (nr::RENAMEAT2, vec![here, new_name, here, new_name, 0]),
        (nr::CHDIR, vec![dir_name]),
        (nr::CHROOT, vec![rig.mem.put(b"/\0")]),
        (nr::GETCWD, vec![buf, 100]),
        (nr::INOTIFY_ADD_WATCH, vec![watch, dir_name, 1]),
        (nr::GETRESUID, vec![buf, buf, buf]),
        (nr::GETRESGID, vec![buf, buf, buf]),
        (nr::SETGROUPS, vec![2, buf]),
        (nr::GETGROUPS, vec![10, buf]),
        (nr::CLOCK_GETTIME, vec![1, buf]),
        (nr::CLOCK_GETRES, vec![1, buf]),
        (nr::CLOCK_SETTIME, vec![0, at_once]),
        (nr::CLOCK_NANOSLEEP, vec![1, 0, at_once, buf]),
        (nr::NANOSLEEP, vec![at_once, buf]),
        (nr::GETTIMEOFDAY, vec![buf, buf]),
        (nr::SETTIMEOFDAY, vec![at_once, at_once]),
        (nr::UNAME, vec![buf]),
        (nr::SETHOSTNAME, vec![buf, 4]),
        (nr::SETDOMAINNAME, vec![buf, 4]),
        (nr::SYSINFO, vec![buf]),
        (nr::GETRANDOM, vec![buf, 4, 0]),
        (nr::GETRLIMIT, vec![7, buf]),
        (nr::SETRLIMIT, vec![7, rig.mem.put(&[1000u64, 1000].map(u64::to_ne_bytes).concat())]),
        (nr::PRLIMIT64, vec![0, 7, 0, buf]),
        (nr::GETCPU, vec![buf, buf, 0]),
        (nr::PPOLL, vec![polled, 1, at_once, 0, 8]),
        (nr::PSELECT6, vec![20, set, set, set, at_once, 0]),
        (nr::EPOLL_CTL, vec![ep, 3, writing, event]),
        (nr::EPOLL_PWAIT, vec![ep, buf, 4, 0, 0, 8]),
        (nr::EPOLL_PWAIT2, vec![ep, buf, 4, at_once, 0, 8]),
        (nr::NAME_TO_HANDLE_AT, vec![here, file_name, handle, buf, 0]),
        (nr::OPEN_BY_HANDLE_AT, vec![here, handle, 0]),
        // At last, for it hides the files.
        (nr::UMOUNT2, vec![dir_name, 0]),
        (nr::MOUNT, vec![kind, dir_name, kind, 0, 0]),
    ];
    Good { rig, calls }
}

/// Pointers that nobody looks at where the test stands, or that may be null or short; why.
fn excused(number: usize, arg: usize, bad: u64) -> Option<&'static str> {
    let null = bad == 0;
    let one_byte = bad == END - 1;
    Some(match (number, arg) {
        // A string of no bytes fits into one.
        (_, _) if one_byte && takes_string(number, arg) => "an empty name",
        (nr::PPOLL | nr::RECVMMSG | nr::EPOLL_PWAIT2, _) if null => "no time-out",
        (nr::PSELECT6, 1..=4) if null => "no set, no time-out",
        (nr::ACCEPT | nr::ACCEPT4, 1 | 2) => "there is nobody to accept",
        (nr::CONNECT, 1) | (nr::SENDTO, 4) if null => "no address",
        (nr::RECVFROM, 4) if null => "no address is asked for",
        (nr::RECVFROM, 4 | 5) => "a stream has no addresses of senders",
        (nr::SENDFILE | nr::SPLICE | nr::COPY_FILE_RANGE, _) if null => "where the file stands",
        (nr::UTIMENSAT, 2) if null => "the present",
        (nr::TIMERFD_SETTIME, 3) | (nr::CLOCK_GETRES, 1) if null => "nobody asks",
        (nr::NANOSLEEP, 1) | (nr::CLOCK_NANOSLEEP, 3) => "nothing is left of a time of nothing",
        (nr::GETTIMEOFDAY | nr::SETTIMEOFDAY | nr::PRLIMIT64 | nr::GETCPU, _) if null => "nobody asks",
        (nr::GETCPU, 2) => "unused",
        (nr::EPOLL_PWAIT, 4) | (nr::EPOLL_PWAIT2, 4) | (nr::PPOLL, 3) | (nr::PSELECT6, 5) => "the caller's part",
        (nr::MOUNT, 0 | 2) if null => "a tmpfs has no source, and no type is another error",
        (nr::READ | nr::WRITE | nr::PREAD64 | nr::PWRITE64, _) if one_byte => "files move what they can",
        _ => return None,
    })
}

fn takes_string(number: usize, arg: usize) -> bool {
    CALLS.iter().any(|c| c.number == number && matches!(c.args.get(arg), Some((_, Arg::Path))))
}

fn make(rig: &Rig, number: usize, args: &[u64]) -> Result<u64> {
    let answer = rig.call(number, args);
    assert!(!rig.kernel.oopsed(), "call {number} with {args:x?}");
    answer
}

#[test]
fn each_bad_pointer_is_efault() {
    let good = good();
    let mut wrong = Vec::new();
    for (number, args) in &good.calls {
        let call = CALLS.iter().find(|c| c.number == *number).unwrap();
        for (at, (name, kind)) in call.args.iter().enumerate() {
            // What the good call does without is not tried.
            if !is_pointer(kind) || args.get(at).is_none_or(|a| *a == 0) {
                continue;
            }
            for bad in BAD {
                let mut args = args.clone();
                args[at] = bad;
                let answer = make(&good.rig, *number, &args);
                if answer != Err(Errno::EFAULT) && excused(*number, at, bad).is_none() {
                    wrong.push(format!("{}: {name} {bad:#x}: {answer:?}", call.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_call_with_a_pointer_is_tried() {
    let tried: Vec<usize> = good().calls.iter().map(|c| c.0).collect();
    let left: Vec<&str> = CALLS
        .iter()
        .filter(|c| c.args.iter().any(|(_, kind)| is_pointer(kind)) && !tried.contains(&c.number))
        .map(|c| c.name)
        .collect();
    assert_eq!(left, Vec::<&str>::new());
}
