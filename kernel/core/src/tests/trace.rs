//! Calls as strace prints them, and the table of what there is.

use crate::syscall::{strace, table, Ctx};
use crate::testkit::{Fake, Rig};
use lkl_abi::{nr, Errno, Result};

fn line(rig: &Rig, number: usize, args: &[u64], result: Result<u64>) -> String {
    let mut six = [0; 6];
    six[..args.len()].copy_from_slice(args);
    let cx = Ctx { kernel: &rig.kernel, task: &rig.task, mem: rig.process.mem() };
    strace::line(&cx, table::find(number).unwrap(), six, result)
}

fn one(rig: &Rig) -> u64 {
    rig.mem.put(&1u32.to_ne_bytes())
}

#[test]
fn lines() {
    let rig = Rig::new();
    assert_eq!(
        line(&rig, nr::SOCKET, &[2, 0o2_000_001, 6], Ok(3)),
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3"
    );
    let addr = rig.mem.put(&[2, 0, 0, 80, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        line(&rig, nr::CONNECT, &[3, addr, 16], Err(Errno::EINPROGRESS)),
        "connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"10.0.0.1\")}, 16) = -1 EINPROGRESS \
         (Operation now in progress)"
    );
    let buf = rig.mem.put(b"GET / HTTP/1.1\r\n");
    assert_eq!(
        line(&rig, nr::SENDTO, &[3, buf, 16, 0x4000, 0, 0], Ok(16)),
        "sendto(3, \"GET / HTTP/1.1\\r\\n\", 16, MSG_NOSIGNAL, NULL, 0) = 16"
    );
    assert_eq!(line(&rig, nr::READ, &[3, buf, 100], Ok(3)), "read(3, \"GET\", 100) = 3");
    assert_eq!(
        line(&rig, nr::SETSOCKOPT, &[3, 1, 2, one(&rig), 4], Ok(0)),
        "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0"
    );
    assert_eq!(
        line(&rig, nr::GETSOCKOPT, &[3, 6, 13, buf, one(&rig)], Ok(0)),
        "getsockopt(3, SOL_TCP, TCP_CONGESTION, \"G\", [1]) = 0"
    );
    assert_eq!(line(&rig, nr::IOCTL, &[3, 0x8915, 0], Ok(0)), "ioctl(3, SIOCGIFADDR, NULL) = 0");
    assert_eq!(line(&rig, nr::FCNTL, &[3, 3, 0], Ok(0x802)), "fcntl(3, F_GETFL, 0) = 0x802");
    assert_eq!(line(&rig, nr::CLOSE, &[9], Err(Errno::EBADF)), "close(9) = -1 EBADF (Bad file descriptor)");
    // A bad address is printed as it is.
    assert_eq!(line(&rig, nr::WRITE, &[3, 8, 4], Err(Errno::EFAULT)), "write(3, 0x8, 4) = -1 EFAULT (Bad address)");
    let event = rig.mem.put(&[&0x8000_0001u32.to_ne_bytes()[..], &[0; 4], &42u64.to_ne_bytes()].concat());
    assert_eq!(
        line(&rig, nr::EPOLL_CTL, &[4, 1, 3, event], Ok(0)),
        "epoll_ctl(4, EPOLL_CTL_ADD, 3, {events=EPOLLIN|EPOLLET, data=0x2a}) = 0"
    );
}

#[test]
fn the_table_is_whole() {
    let mut numbers: Vec<usize> = table::CALLS.iter().map(|c| c.number).collect();
    for call in table::CALLS {
        assert!(call.args.len() <= 6, "{}", call.name);
        assert!(core::ptr::eq(table::find(call.number).unwrap(), call));
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), table::CALLS.len());
    let text = crate::support_table();
    assert!(text.contains("| 198 | `socket(domain, kind, protocol)` | AF_INET,"));
    assert_eq!(text.lines().count(), table::CALLS.len() + 4);
}

#[test]
fn a_name_received_is_shown() {
    let rig = Rig::new();
    let (a, _b) = Fake::stream();
    let fd = rig.adopt(a);
    let name = rig.mem.zeros(16);
    let len = rig.mem.put(&16u32.to_ne_bytes());
    let result = rig.call(nr::GETSOCKNAME, &[fd, name, len]);
    assert_eq!(
        line(&rig, nr::GETSOCKNAME, &[fd, name, len], result),
        "getsockname(0, {sa_family=AF_INET, sin_port=htons(99), sin_addr=inet_addr(\"10.0.0.9\")}, [16]) = 0"
    );
}

/// `LKL_UPDATE=1` writes it anew.
#[test]
fn the_support_table_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../SYSCALLS.md");
    let text = format!(
        "# System calls\n\nMade from `core/src/syscall/table.rs` by `LKL_UPDATE=1 cargo test -p lkl-kernel support_table`.\n\n{}",
        crate::support_table()
    );
    if std::env::var_os("LKL_UPDATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap() == text, "{path} is not current");
}
