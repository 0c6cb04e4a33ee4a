use super::{proc_open_with, proc_readdir, proc_readlink, proc_stat};
use crate::tests::{kit, Kit, Mem, BASE};
use lkl_abi::stat::{S_IFDIR, S_IFLNK, S_IFREG};
use lkl_abi::Errno;
use lkl_file::{Iov, IovReader, IovWriter};

/// The whole of a file.
pub(crate) fn read(k: &Kit, path: &str) -> String {
    let file = proc_open_with(&k.net, &k.hub, path).unwrap().unwrap();
    let mut text = Vec::new();
    loop {
        let mem = Mem::new(&[0; 100]);
        let iov = [Iov { base: BASE, len: 100 }];
        let n = file.read(&mut IovWriter::new(&mem, &iov), Some(text.len() as u64)).unwrap();
        if n == 0 {
            return String::from_utf8(text).unwrap();
        }
        text.extend(&mem.bytes()[..n]);
    }
}

fn write(k: &Kit, path: &str, text: &str) -> lkl_abi::Result<usize> {
    let file = proc_open_with(&k.net, &k.hub, path).unwrap()?;
    let mem = Mem::new(text.as_bytes());
    let iov = [Iov { base: BASE, len: text.len() as u64 }];
    file.write(&mut IovReader::new(&mem, &iov), Some(0))
}

/// The first lines of the host's own files, if it has them, are ours too.
#[test]
fn headings_are_those_of_the_host() {
    let k = kit();
    for (name, lines) in [
        ("arp", 1),
        ("dev", 2),
        ("icmp", 1),
        ("icmp6", 1),
        ("igmp", 1),
        ("mcfilter", 1),
        ("mcfilter6", 1),
        ("netlink", 1),
        ("packet", 1),
        ("protocols", 1),
        ("ptype", 1),
        ("raw", 1),
        ("raw6", 1),
        ("route", 1),
        ("tcp", 1),
        ("tcp6", 1),
        ("udp", 1),
        ("udp6", 1),
        ("udplite", 1),
        ("udplite6", 1),
        ("unix", 1),
    ] {
        let Ok(theirs) = std::fs::read_to_string(format!("/proc/net/{name}")) else { continue };
        let ours = read(&k, &format!("/proc/net/{name}"));
        let head = |s: &str| s.lines().take(lines).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(head(&ours), head(&theirs), "{name}");
    }
}

/// Names of counters, with the exception of those that newer kernels may add.
#[test]
fn counters_are_those_of_the_host() {
    let k = kit();
    for name in ["snmp", "netstat"] {
        let Ok(theirs) = std::fs::read_to_string(format!("/proc/net/{name}")) else { continue };
        let ours = read(&k, &format!("/proc/net/{name}"));
        let mib = |s: &str, prefix: &str| {
            let line = s.lines().find(|l| l.starts_with(prefix) && !l.contains(": 0") && l.contains("In"));
            line.map(|l| l.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default()
        };
        for prefix in ["Ip:", "Icmp:", "Tcp:", "Udp:", "UdpLite:", "IpExt:"] {
            let (ours, theirs) = (mib(&ours, prefix), mib(&theirs, prefix));
            for counter in ours {
                assert!(theirs.contains(&counter), "{prefix} {counter} is not known to the host");
            }
        }
    }
}

#[test]
fn columns() {
    let k = kit();
    let dev = read(&k, "/proc/net/dev");
    assert!(
        dev.lines().nth(2).unwrap().starts_with("    lo:       0       0    0    0    0     0          0"),
        "{dev}"
    );
    assert!(dev.contains("\n  eth0: "));
    let if6 = read(&k, "/proc/net/if_inet6");
    assert!(if6.contains("00000000000000000000000000000001 01 80 10 80       lo\n"), "{if6}");
    assert!(if6.contains("fd000000000000000000000000000001 02 40 00 82     eth0\n"), "{if6}");
    let route = read(&k, "/proc/net/route");
    assert!(route.lines().all(|l| l.len() == 127), "{route}");
    assert!(route.contains("eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"), "{route}");
    let route6 = read(&k, "/proc/net/ipv6_route");
    assert!(
        route6.contains(concat!(
            "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 ",
            "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
        )),
        "{route6}"
    );
    let sockstat = read(&k, "/proc/net/sockstat");
    assert!(sockstat.starts_with("sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\n"), "{sockstat}");
}

#[test]
fn settings_are_read_and_written() {
    let k = kit();
    assert_eq!(read(&k, "/proc/sys/net/ipv4/ip_default_ttl"), "64\n");
    assert_eq!(write(&k, "/proc/sys/net/ipv4/ip_default_ttl", "70\n"), Ok(3));
    assert_eq!(read(&k, "/proc/sys/net/ipv4/ip_default_ttl"), "70\n");
    assert_eq!(write(&k, "/proc/sys/net/ipv4/ip_default_ttl", "x"), Err(Errno::EINVAL));
    assert_eq!(write(&k, "/proc/sys/net/ipv4/conf/eth0/rp_filter", "2"), Ok(1));
    assert_eq!(read(&k, "/proc/sys/net/ipv4/conf/eth0/rp_filter"), "2\n");
    let names = |p: &str| proc_readdir(&k.net, p).unwrap().unwrap();
    assert!(names("/proc/sys/net").iter().any(|e| e.name == "ipv6" && e.kind == S_IFDIR));
    let conf = names("/proc/sys/net/ipv6/conf");
    assert!(conf.iter().map(|e| e.name.as_str()).eq(["all", "default", "eth0", "lo"]));
    assert_eq!(proc_readdir(&k.net, "/proc/sys/net/nope").unwrap().unwrap_err(), Errno::ENOENT);
}

#[test]
fn links_below_sys() {
    let k = kit();
    assert_eq!(read(&k, "/sys/class/net/lo/mtu"), "65536\n");
    assert_eq!(read(&k, "/sys/class/net/lo/type"), "772\n");
    assert_eq!(read(&k, "/sys/class/net/lo/flags"), "0x9\n");
    assert_eq!(read(&k, "/sys/class/net/lo/operstate"), "unknown\n");
    assert_eq!(read(&k, "/sys/class/net/eth0/operstate"), "up\n");
    assert_eq!(read(&k, "/sys/class/net/eth0/statistics/rx_bytes"), "0\n");
    assert_eq!(read(&k, "/sys/devices/virtual/net/eth0/address").len(), 18);
    assert_eq!(write(&k, "/sys/class/net/eth0/mtu", "1400"), Ok(4));
    assert_eq!(read(&k, "/sys/class/net/eth0/mtu"), "1400\n");
    let all = proc_readdir(&k.net, "/sys/class/net").unwrap().unwrap();
    assert!(all.iter().map(|e| (e.name.as_str(), e.kind)).eq([("eth0", S_IFLNK), ("lo", S_IFLNK)]));
    assert_eq!(proc_readlink(&k.net, "/sys/class/net/lo").unwrap().unwrap(), "../../devices/virtual/net/lo");
    assert_eq!(proc_stat(&k.net, "/sys/class/net/lo", true).unwrap().unwrap().mode, S_IFDIR | 0o555);
    assert_eq!(proc_stat(&k.net, "/sys/class/net/lo/mtu", true).unwrap().unwrap().mode, S_IFREG | 0o644);
}

#[test]
fn what_is_not_ours() {
    let k = kit();
    for path in ["/proc/cpuinfo", "/proc/netx", "/proc/sys/kernel/pid_max", "/etc/hosts", "/sys/class/network"] {
        assert!(proc_stat(&k.net, path, true).is_none(), "{path}");
    }
    assert_eq!(proc_stat(&k.net, "/proc/net/nope", true), Some(Err(Errno::ENOENT)));
    assert!(proc_stat(&k.net, "/proc/self/net/tcp", true).unwrap().is_ok());
}
