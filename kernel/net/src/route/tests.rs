//! Look-ups against a naive model, and the rules of adding and removing.

use super::*;
use lkl_abi::Errno;
use std::sync::Arc;

const CREATE: AddMode = AddMode { create: true, exclusive: false, replace: false, append: false };
const EXCLUSIVE: AddMode = AddMode { create: true, exclusive: true, replace: false, append: false };

fn up(_: u32) -> Option<(bool, String)> {
    Some((true, "eth0".into()))
}

fn prefix(s: &str) -> Prefix {
    let (a, l) = s.split_once('/').unwrap();
    Prefix::network(a.parse().unwrap(), l.parse().unwrap()).unwrap()
}

fn find(fib: &Fib, dst: &str) -> lkl_abi::Result<Prefix> {
    fib.lookup(&Key::to(dst.parse().unwrap()), &up, Instant::ZERO).map(|f| f.route.dst)
}

#[test]
fn the_longest_prefix_wins() {
    let mut fib = Fib::default();
    let all = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0", "fd00::/8", "fd00:1::/32"];
    for p in all {
        fib.add(Arc::new(Route::new(prefix(p), 2, None)), EXCLUSIVE).unwrap();
    }
    for (dst, want) in [
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.1.2.4", "10.1.0.0/16"),
        ("10.2.0.0", "10.0.0.0/8"),
        ("192.0.2.1", "0.0.0.0/0"),
        ("fd00:1::5", "fd00:1::/32"),
        ("fd00:2::5", "fd00::/8"),
        ("2001:db8::1", "::/0"),
    ] {
        assert_eq!(find(&fib, dst), Ok(prefix(want)), "{dst}");
    }
}

#[test]
fn as_a_linear_scan() {
    let mut seed = 1u32;
    let mut rng = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 8
    };
    let mut fib = Fib::default();
    let mut model: Vec<Prefix> = Vec::new();
    for _ in 0..3000 {
        let addr = IpAddr::V4(Ipv4Addr::from(rng() & 0x0f0f_0f0f));
        let p = Prefix::network(addr, (rng() % 33) as u8).unwrap();
        if rng() % 3 == 0 {
            let there = model.iter().position(|m| *m == p);
            let gone = fib.remove(TABLE_MAIN, p, &Selector::default());
            assert_eq!(gone.is_ok(), there.is_some());
            if let Some(at) = there {
                model.remove(at);
            }
        } else {
            let added = fib.add(Arc::new(Route::new(p, 1, None)), EXCLUSIVE);
            assert_eq!(added.is_ok(), !model.contains(&p));
            if added.is_ok() {
                model.push(p);
            }
        }
        let dst = IpAddr::V4(Ipv4Addr::from(rng() & 0x0f0f_0f0f));
        let want = model.iter().filter(|m| m.contains(dst)).max_by_key(|m| m.len).copied();
        let found = fib.lookup(&Key::to(dst), &up, Instant::ZERO).map(|f| f.route.dst);
        assert_eq!(found.ok(), want);
    }
}

#[test]
fn adding_as_linux_does() {
    let mut fib = Fib::default();
    let r = |prio: u32, gw: &str| {
        let mut r = Route::new(prefix("10.0.0.0/8"), 2, Some(gw.parse().unwrap()));
        r.priority = prio;
        Arc::new(r)
    };
    assert_eq!(fib.add(r(0, "192.0.2.1"), EXCLUSIVE), Ok(None));
    assert_eq!(fib.add(r(0, "192.0.2.2"), EXCLUSIVE), Err(Errno::EEXIST));
    assert_eq!(fib.add(r(10, "192.0.2.2"), EXCLUSIVE), Ok(None));
    let replace = AddMode { create: true, replace: true, ..AddMode::default() };
    assert_eq!(fib.add(r(0, "192.0.2.3"), replace).unwrap().unwrap().nexthops, r(0, "192.0.2.1").nexthops);
    let change = AddMode { replace: true, ..AddMode::default() };
    assert_eq!(fib.add(r(99, "192.0.2.3"), change), Err(Errno::ENOENT));
    assert_eq!(fib.add(r(0, "192.0.2.3"), CREATE), Err(Errno::EEXIST));
    let found = fib.lookup(&Key::to("10.0.0.1".parse().unwrap()), &up, Instant::ZERO).unwrap();
    assert_eq!(found.nexthop.unwrap().gateway, Some("192.0.2.3".parse().unwrap()));
    let by_metric = Selector { priority: Some(10), ..Selector::default() };
    assert_eq!(fib.remove(TABLE_MAIN, prefix("10.0.0.0/8"), &by_metric).unwrap().priority, 10);
    assert_eq!(fib.remove(TABLE_MAIN, prefix("10.0.0.0/8"), &by_metric), Err(Errno::ESRCH));
}

#[test]
fn kinds_without_a_next_hop_have_their_errors() {
    let mut fib = Fib::default();
    for (p, kind) in [
        ("10.1.0.0/16", Kind::Blackhole),
        ("10.2.0.0/16", Kind::Unreachable),
        ("10.3.0.0/16", Kind::Prohibit),
        ("10.4.0.0/16", Kind::Throw),
    ] {
        let mut r = Route::new(prefix(p), 0, None);
        r.kind = kind;
        r.nexthops.clear();
        fib.add(Arc::new(r), EXCLUSIVE).unwrap();
    }
    assert_eq!(find(&fib, "10.1.0.1"), Err(Errno::EINVAL));
    assert_eq!(find(&fib, "10.2.0.1"), Err(Errno::EHOSTUNREACH));
    assert_eq!(find(&fib, "10.3.0.1"), Err(Errno::EACCES));
    assert_eq!(find(&fib, "10.4.0.1"), Err(Errno::ENETUNREACH));
    assert_eq!(find(&fib, "10.5.0.1"), Err(Errno::ENETUNREACH));
}

#[test]
fn rules_choose_the_table() {
    let mut fib = Fib::default();
    let mut r = Route::new(prefix("0.0.0.0/0"), 2, Some("192.0.2.1".parse().unwrap()));
    r.table = 100;
    fib.add(Arc::new(r), EXCLUSIVE).unwrap();
    assert_eq!(find(&fib, "8.8.8.8"), Err(Errno::ENETUNREACH));
    let mut rule = Rule::all(false, 0, 100);
    rule.src = Some(prefix("10.0.0.0/24"));
    assert_eq!(fib.rule_add(rule, None, true).unwrap().priority, 32765);
    let mut key = Key::to("8.8.8.8".parse().unwrap());
    assert!(fib.lookup(&key, &up, Instant::ZERO).is_err());
    key.src = Some("10.0.0.9".parse().unwrap());
    assert_eq!(fib.lookup(&key, &up, Instant::ZERO).unwrap().table, 100);
    fib.rule_remove(|r| r.table == 100).unwrap();
    assert!(fib.lookup(&key, &up, Instant::ZERO).is_err());
}

#[test]
fn weights_share_the_flows() {
    let mut fib = Fib::default();
    let mut r = Route::new(prefix("0.0.0.0/0"), 2, Some("192.0.2.1".parse().unwrap()));
    r.nexthops.push(NextHop { ifindex: 3, gateway: None, weight: 3, onlink: false });
    fib.add(Arc::new(r), EXCLUSIVE).unwrap();
    let mut counts = [0; 4];
    for flow_hash in 0..400 {
        let key = Key { flow_hash, ..Key::to("8.8.8.8".parse().unwrap()) };
        counts[fib.lookup(&key, &up, Instant::ZERO).unwrap().nexthop.unwrap().ifindex as usize] += 1;
    }
    assert_eq!(counts, [0, 0, 100, 300]);
}

#[test]
fn only_the_routes_that_are_meant_go() {
    let mut fib = Fib::default();
    let through = Arc::new(Route::new(prefix("fd00::/64"), 2, Some("fe80::1".parse().unwrap())));
    let direct = Arc::new(Route { priority: through.priority, ..Route::new(prefix("fd00::/64"), 2, None) });
    fib.add(through.clone(), EXCLUSIVE).unwrap();
    fib.add(direct.clone(), EXCLUSIVE).unwrap();
    assert_eq!(fib.remove_where(|r| r.nexthops.iter().all(|n| n.gateway.is_none())), [direct]);
    assert_eq!(fib.dump(), [through]);
}
