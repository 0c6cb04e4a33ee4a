use super::dev_ioctl_family;
use crate::tests::{kit, Kit, Mem, BASE};
use lkl_abi::sockios::*;
use lkl_abi::{Errno, Result};

fn ifreq(name: &str, data: &[u8]) -> Vec<u8> {
    let mut b = vec![0; 40];
    b[..name.len()].copy_from_slice(name.as_bytes());
    b[16..16 + data.len()].copy_from_slice(data);
    b
}

fn call(k: &Kit, request: u32, bytes: &[u8]) -> Result<Vec<u8>> {
    let mem = Mem::new(bytes);
    dev_ioctl_family(&k.net, 2, &mem, request, BASE)?;
    Ok(mem.bytes())
}

fn sockaddr(ip: [u8; 4]) -> Vec<u8> {
    [&[2, 0, 0, 0][..], &ip].concat()
}

#[test]
fn what_ifconfig_reads() {
    let k = kit();
    let get = |request| call(&k, request, &ifreq("eth0", &[])).map(|b| b[16..].to_vec());
    assert_eq!(get(SIOCGIFINDEX).unwrap()[..4], 2u32.to_ne_bytes());
    assert_eq!(get(SIOCGIFADDR).unwrap()[..8], [2, 0, 0, 0, 10, 0, 0, 1]);
    assert_eq!(get(SIOCGIFNETMASK).unwrap()[4..8], [255, 255, 255, 0]);
    assert_eq!(get(SIOCGIFMTU).unwrap()[..4], 1500u32.to_ne_bytes());
    assert_eq!(get(SIOCGIFHWADDR).unwrap()[..2], [1, 0]);
    assert_eq!(get(SIOCGIFFLAGS).unwrap()[0] & 0x41, 0x41);
    assert_eq!(get(SIOCGIFMETRIC).unwrap()[..4], [0; 4]);
    assert_eq!(call(&k, SIOCGIFFLAGS, &ifreq("nope", &[])), Err(Errno::ENODEV));
    assert_eq!(call(&k, 0x8999, &ifreq("eth0", &[])), Err(Errno::ENOTTY));
    assert_eq!(call(&k, 0x8b01, &ifreq("eth0", &[])), Err(Errno::EOPNOTSUPP));
    let named = call(&k, SIOCGIFNAME, &ifreq("", &1u32.to_ne_bytes())).unwrap();
    assert_eq!(named[..3], *b"lo\0");
    // The list of addresses, first its length alone.
    let len = call(&k, SIOCGIFCONF, &[0; 16]).unwrap();
    assert_eq!(len[..4], 80u32.to_ne_bytes());
    let mut conf = vec![0; 16 + 80];
    conf[..4].copy_from_slice(&79u32.to_ne_bytes());
    conf[8..16].copy_from_slice(&(BASE + 16).to_ne_bytes());
    let list = call(&k, SIOCGIFCONF, &conf).unwrap();
    assert_eq!(list[..4], 40u32.to_ne_bytes());
    assert_eq!(list[16..18], *b"lo");
}

#[test]
fn what_ifconfig_sets() {
    let k = kit();
    let set = |request, name: &str, data: &[u8]| call(&k, request, &ifreq(name, data)).map(drop);
    set(SIOCSIFADDR, "eth0", &sockaddr([192, 168, 5, 1])).unwrap();
    set(SIOCSIFNETMASK, "eth0", &sockaddr([255, 255, 0, 0])).unwrap();
    let a = k.net.addr_find(2, "192.168.5.1".parse().unwrap()).unwrap();
    assert_eq!((a.prefix_len, a.broadcast), (16, Some("192.168.255.255".parse().unwrap())));
    assert!(k.net.addr_find(2, "10.0.0.1".parse().unwrap()).is_none());
    assert_eq!(set(SIOCSIFNETMASK, "eth0", &sockaddr([255, 0, 255, 0])), Err(Errno::EINVAL));
    set(SIOCSIFADDR, "eth0:1", &sockaddr([10, 1, 1, 1])).unwrap();
    assert_eq!(k.net.addr_find(2, "10.1.1.1".parse().unwrap()).unwrap().label, "eth0:1");
    set(SIOCSIFFLAGS, "eth0:1", &0u16.to_ne_bytes()).unwrap();
    assert!(k.net.addr_find(2, "10.1.1.1".parse().unwrap()).is_none());
    set(SIOCSIFMTU, "eth0", &1300u32.to_ne_bytes()).unwrap();
    assert_eq!(k.net.link_by_index(2).unwrap().mtu(), 1300);
    assert_eq!(set(SIOCSIFMTU, "eth0", &10u32.to_ne_bytes()), Err(Errno::EINVAL));
    set(SIOCSIFFLAGS, "eth0", &0u16.to_ne_bytes()).unwrap();
    assert!(!k.net.link_by_index(2).unwrap().is_up());
}

#[test]
fn routes_and_neighbours() {
    let k = kit();
    let mut rt = vec![0; 120];
    rt[8..16].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]);
    rt[24..32].copy_from_slice(&sockaddr([10, 0, 0, 254]));
    rt[40..48].copy_from_slice(&sockaddr([0, 0, 0, 0]));
    rt[56..58].copy_from_slice(&3u16.to_ne_bytes());
    assert!(call(&k, SIOCADDRT, &rt).is_ok());
    assert_eq!(call(&k, SIOCADDRT, &rt), Err(Errno::EEXIST));
    assert!(crate::procfs::tests::read(&k, "/proc/net/route").contains("eth0\t00000000\tFE00000A\t0003\t"));
    assert!(call(&k, SIOCDELRT, &rt).is_ok());
    assert_eq!(call(&k, SIOCDELRT, &rt), Err(Errno::ESRCH));
    let mut arp = vec![0; 68];
    arp[..8].copy_from_slice(&sockaddr([10, 0, 0, 9]));
    arp[16..24].copy_from_slice(&[1, 0, 2, 0, 0, 0, 0, 7]);
    arp[32] = 0x04;
    arp[52..56].copy_from_slice(b"eth0");
    assert_eq!(call(&k, SIOCGARP, &arp), Err(Errno::ENXIO));
    call(&k, SIOCSARP, &arp).unwrap();
    let got = call(&k, SIOCGARP, &arp).unwrap();
    assert_eq!((got[23], got[32]), (7, 0x06));
    let table = crate::procfs::tests::read(&k, "/proc/net/arp");
    assert!(
        table.contains("10.0.0.9         0x1         0x6         02:00:00:00:00:07     *        eth0\n"),
        "{table}"
    );
    call(&k, SIOCDARP, &arp).unwrap();
    assert_eq!(call(&k, SIOCDARP, &arp), Err(Errno::ENXIO));
}

#[test]
fn ethtool() {
    let k = kit();
    let ask = |name: &str, data: &[u8]| {
        let mut b = ifreq(name, &(BASE + 40).to_ne_bytes());
        b.extend(data);
        b.resize(40 + 4096, 0);
        call(&k, SIOCETHTOOL, &b).map(|b| b[40..].to_vec())
    };
    assert_eq!(ask("eth0", &[0x0a, 0, 0, 0]).unwrap()[4], 1);
    assert_eq!(ask("lo", &[3, 0, 0, 0]), Err(Errno::EOPNOTSUPP));
    assert_eq!(ask("eth0", &[0x0e, 0, 0, 0]), Err(Errno::EOPNOTSUPP));
    assert_ne!(ask("eth0", &[3, 0, 0, 0]).unwrap()[4], 0);
    // The length of the bit sets is first asked, then used.
    let first = ask("eth0", &[0x4c, 0, 0, 0]).unwrap();
    assert_eq!(first[15] as i8, -4);
    let mut second = vec![0; 48];
    second[0] = 0x4c;
    second[15] = 4;
    assert_eq!(ask("eth0", &second).unwrap()[4..8], 10_000u32.to_ne_bytes());
    let info = ask("eth0", &[&[0x37, 0, 0, 0, 0, 0, 0, 0, 0x10][..], &[0; 7]].concat()).unwrap();
    assert_eq!(info[16], 64);
}
