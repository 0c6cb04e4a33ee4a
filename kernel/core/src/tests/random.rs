//! No arguments whatever make a call panic or hang.

use crate::syscall::table::CALLS;
use crate::testkit::{Fake, Lamp, Rig};
use core::sync::atomic::Ordering::SeqCst;
use lkl_abi::nr;
use proptest::prelude::*;

fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..24,
        2 => 0u64..64 * 1024,
        4 => (0u64..32 * 1024).prop_map(|n| 0x1_0000 + n),
        1 => any::<u64>(),
        1 => any::<u32>().prop_map(u64::from),
        1 => any::<i32>().prop_map(|n| n as i64 as u64),
        1 => (0u32..64).prop_map(|n| 1 << n),
        1 => Just(u64::MAX),
    ]
}

fn one_call() -> impl Strategy<Value = (usize, [u64; 6])> {
    (0..CALLS.len(), [argument(), argument(), argument(), argument(), argument(), argument()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn calls_survive_anything(
        memory in proptest::collection::vec(any::<u8>(), 4096),
        faults in prop_oneof![Just(0u32), 2u32..40],
        calls in proptest::collection::vec(one_call(), 1..60),
    ) {
        // The parker comes back at once, so no call waits for long.
        let rig = Rig::with(64 * 1024, true);
        rig.mem.put(&memory);
        let (a, b) = Fake::stream();
        let (c, d) = Fake::datagram();
        rig.adopt(a);
        rig.adopt(b);
        rig.adopt(c);
        rig.adopt(d);
        rig.adopt(Lamp::new());
        let _epoll = rig.call(nr::EPOLL_CREATE1, &[0]);
        for (domain, kind) in [(2, 1), (2, 2), (10, 1), (10, 2), (2, 3), (17, 3), (16, 3)] {
            let _socket = rig.call(nr::SOCKET, &[domain, kind, 0]);
        }
        rig.mem.fault_every.store(faults, SeqCst);
        for (call, args) in calls {
            let call = &CALLS[call];
            let result = rig.kernel.syscall(&rig.task, call.number, args);
            prop_assert!(!rig.kernel.oopsed(), "{} {:x?}", call.name, args);
            // Printing it survives as well.
            let cx = crate::syscall::Ctx { kernel: &rig.kernel, task: &rig.task, mem: rig.process.mem() };
            let _line = crate::syscall::strace::line(&cx, call, args, result);
        }
    }
}

/// Calls that get past the first checks more often.
fn likely_call() -> impl Strategy<Value = (usize, [u64; 6])> {
    let level = || prop::sample::select(vec![0u64, 1, 6, 17, 41, 58, 255, 263, 270]);
    let fd = || 0u64..16;
    let len = || prop_oneof![Just(4u64), Just(8), Just(16), 0u64..300];
    // Addresses stand at the front of the memory, then zeros, then noise.
    let name = || (0u64..8).prop_map(|n| 0x1_0000 + n * 128);
    let at = || (0u64..8192).prop_map(|n| 0x1_0000 + n);
    let flags = || prop::sample::select(vec![0u64, 0x40, 0x2, 0x20, 0x2000, 0x1, 0x8000, 0x100, 0x4000_0040]);
    prop_oneof![
        (fd(), level(), 0u64..80, at(), len()).prop_map(|(f, l, n, a, s)| (nr::SETSOCKOPT, [f, l, n, a, s, 0])),
        (fd(), level(), 0u64..80, at(), at()).prop_map(|(f, l, n, a, s)| (nr::GETSOCKOPT, [f, l, n, a, s, 0])),
        (fd(), 0x8900u64..0x8a00, at()).prop_map(|(f, r, a)| (nr::IOCTL, [f, r, a, 0, 0, 0])),
        (fd(), name(), len()).prop_map(|(f, a, s)| (nr::BIND, [f, a, s, 0, 0, 0])),
        (fd(), name(), len()).prop_map(|(f, a, s)| (nr::CONNECT, [f, a, s, 0, 0, 0])),
        (fd(), at(), 0u64..3000, flags(), name(), len())
            .prop_map(|(f, b, n, g, a, s)| (nr::SENDTO, [f, b, n, g, a, s])),
        (fd(), at(), 0u64..3000, flags()).prop_map(|(f, b, n, g)| (nr::SENDTO, [f, b, n, g, 0, 0])),
        (fd(), at(), 0u64..3000, flags()).prop_map(|(f, b, n, g)| (nr::RECVFROM, [f, b, n, g, 0, 0])),
        (fd(), at(), flags()).prop_map(|(f, m, g)| (nr::RECVMSG, [f, m, g, 0, 0, 0])),
        (fd(), 0u64..10).prop_map(|(f, n)| (nr::LISTEN, [f, n, 0, 0, 0, 0])),
        (fd(), 0u64..3).prop_map(|(f, n)| (nr::SHUTDOWN, [f, n, 0, 0, 0, 0])),
        fd().prop_map(|f| (nr::ACCEPT4, [f, 0, 0, 0, 0, 0])),
        fd().prop_map(|f| (nr::CLOSE, [f, 0, 0, 0, 0, 0])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn sockets_survive_what_is_likely(
        noise in proptest::collection::vec(any::<u8>(), 4096),
        calls in proptest::collection::vec(likely_call(), 1..120),
    ) {
        let rig = Rig::with(64 * 1024, true);
        for port in [7u16, 8] {
            for family in [2u16, 10, 16, 17] {
                let mut name = vec![0; 64];
                name[..2].copy_from_slice(&family.to_ne_bytes());
                name[2..4].copy_from_slice(&port.to_be_bytes());
                match family {
                    2 => name[4..8].copy_from_slice(&[127, 0, 0, 1]),
                    10 => name[23] = 1,
                    17 => name[4] = 1,
                    _ => {}
                }
                rig.mem.put(&name);
            }
        }
        rig.mem.zeros(2048);
        rig.mem.put(&noise);
        let nonblock = 0o4000;
        let kinds = [(2, 1, 0), (10, 1, 0), (2, 2, 0), (10, 2, 0), (2, 2, 1), (10, 2, 58), (2, 3, 1), (10, 3, 58), (2, 3, 255)];
        for (domain, kind, protocol) in kinds.into_iter().chain([(17, 3, 0x300), (17, 2, 0x300), (16, 3, 0), (16, 3, 4), (16, 3, 16)]) {
            let _socket = rig.call(nr::SOCKET, &[domain, kind | nonblock, protocol]);
        }
        for (call, args) in calls {
            let _any = rig.kernel.syscall(&rig.task, call, args);
            prop_assert!(!rig.kernel.oopsed(), "{call} {args:x?}");
        }
        let _next = rig.kernel.service();
        prop_assert!(!rig.kernel.oopsed(), "service");
    }
}
