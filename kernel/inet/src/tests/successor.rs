//! A network that got stuck, and the one in its place.

use super::kit::*;
use lkl_abi::socket::SOCK_STREAM;
use lkl_abi::Errno;
use lkl_file::sockaddr::{AF_INET, AF_INET6};

#[test]
fn peers_are_told_by_the_successor() {
    let p = Pair::new();
    let mut clients = Vec::new();
    for (family, any, addr) in [(AF_INET, "0.0.0.0:0", "10.0.0.1:80"), (AF_INET6, "[::]:0", "[fd00::1]:80")] {
        let tcp = |net: &std::sync::Arc<crate::Net>| Sock(net.socket(family, SOCK_STREAM, 0).unwrap());
        let listener = tcp(&p.a);
        listener.bind(addr).unwrap();
        listener.s().listen(1).unwrap();
        let client = tcp(&p.b);
        client.bind(any).unwrap();
        assert_eq!(client.connect(addr), Err(Errno::EINPROGRESS));
        p.run(10);
        assert_eq!(client.send(b"x"), Ok(1));
        clients.push((listener, client));
    }
    p.run(1000);
    let mut successor = p.a.successor(p.a.host().clone()).unwrap();
    // Those that hear nothing wait on.
    p.run(1000);
    clients.iter().for_each(|(_, client)| assert_eq!(client.recv().unwrap_err(), Errno::EAGAIN));
    while !successor.serve() {}
    for _ in 0..20 {
        p.run(1);
        successor.serve();
    }
    clients.iter().for_each(|(_, client)| assert_eq!(client.recv().unwrap_err(), Errno::ECONNRESET));
    // Without the configuration there is nothing to go on with.
    let _lost = p.a.config.write();
    assert!(p.a.successor(p.a.host().clone()).is_none());
}
