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
