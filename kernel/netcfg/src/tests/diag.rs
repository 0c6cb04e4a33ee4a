use super::{kit, request};
use lkl_abi::inet_diag::*;
use lkl_abi::netlink::*;
use lkl_abi::Errno;

fn inet(family: u8, protocol: u8, flags: u16, code: &[u8]) -> Vec<u8> {
    request(SOCK_DIAG_BY_FAMILY, flags, |w| {
        w.fixed(&[&[family, protocol, 0xff, 0], &u32::MAX.to_ne_bytes(), &[0; 40], &[0xff; 8]]);
        if !code.is_empty() {
            w.attr(INET_DIAG_REQ_BYTECODE, code);
        }
    })
}

#[test]
fn protocols_that_are_not_there() {
    let k = kit();
    let c = k.client(NETLINK_SOCK_DIAG);
    assert_eq!(c.ack(&inet(2, 132, NLM_F_DUMP, &[])), Errno::ENOENT.0);
    assert_eq!(c.ack(&inet(40, 0, NLM_F_DUMP, &[])), Errno::ENOENT.0);
    assert_eq!(c.ack(&inet(2, 6, NLM_F_DUMP, &[99, 4, 4, 0])), Errno::EINVAL.0);
    assert_eq!(c.ack(&inet(2, 6, 0, &[])), Errno::ENOENT.0);
    let destroy = request(SOCK_DESTROY, 0, |w| w.bytes(&[2; 56]));
    assert_eq!(c.ack(&destroy), Errno::EOPNOTSUPP.0);
}

#[test]
fn udp_sockets_are_found() {
    let k = kit();
    let udp = k.net.socket(2, 2, 17).unwrap();
    udp.as_socket().unwrap().bind(&lkl_file::SockAddr::Inet("10.0.0.1:53".parse().unwrap())).unwrap();
    let c = k.client(NETLINK_SOCK_DIAG);
    let all = c.ask(&inet(2, 17, NLM_F_DUMP, &[]));
    assert_eq!(all.len(), 2, "{all:?}");
    let b = &all[0].body;
    assert_eq!(b[..2], [2, 7]);
    assert_eq!(b[4..6], 53u16.to_be_bytes());
    assert_eq!(b[8..12], [10, 0, 0, 1]);
    // Source port 53, and 54.
    for (port, n) in [(53u16, 2), (54, 1)] {
        let mut code = vec![INET_DIAG_BC_S_EQ, 8, 12, 0, 0, 0];
        code.extend(port.to_ne_bytes());
        assert_eq!(c.ask(&inet(2, 17, NLM_F_DUMP, &code)).len(), n);
    }
    let text = crate::procfs::tests::read(&k, "/proc/net/udp");
    assert!(text.contains(": 0100000A:0035 00000000:0000 07 "), "{text}");
}

#[test]
fn tcp_sockets_are_found() {
    let k = kit();
    let tcp = k.net.socket(2, 1, 0).unwrap();
    let s = tcp.as_socket().unwrap();
    s.bind(&lkl_file::SockAddr::Inet("10.0.0.1:80".parse().unwrap())).unwrap();
    s.listen(5).unwrap();
    let c = k.client(NETLINK_SOCK_DIAG);
    let all = c.ask(&inet(2, 6, NLM_F_DUMP, &[]));
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[0].body[..2], [2, 10]);
    assert_eq!(all[0].body[4..6], 80u16.to_be_bytes());
    let text = crate::procfs::tests::read(&k, "/proc/net/tcp");
    assert!(text.contains("0: 0100000A:0050 00000000:0000 0A "), "{text}");
    assert!(text.lines().all(|l| l.len() == 149), "{text}");
}

#[test]
fn netlink_sockets_are_found() {
    let k = kit();
    let c = k.client(NETLINK_SOCK_DIAG);
    let all = c.ask(&request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, |w| {
        w.fixed(&[&[16, NDIAG_PROTO_ALL, 0, 0], &[0; 4], &7u32.to_ne_bytes(), &[0; 8]]);
    }));
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].body[2], 4);
    let unix = c.ask(&request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, |w| w.fixed(&[&[1], &[0; 23]])));
    assert_eq!(unix.len(), 1);
}
