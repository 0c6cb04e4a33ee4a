//! Links and IPv4 addresses.

use super::{get, mask_len, name, read_sockaddr, sockaddr_in};
use crate::rtnl::link as facts;
use crate::source;
use crate::view::{AddrView, LinkView};
use lkl_abi::if_::{IFF_BROADCAST, IFF_UP, IFREQ_SIZE};
use lkl_abi::rtnetlink::{IFA_F_PERMANENT, RT_SCOPE_HOST, RT_SCOPE_UNIVERSE};
use lkl_abi::socket::AF_INET;
use lkl_abi::sockios::*;
use lkl_abi::{Errno, Result};
use lkl_inet::Net;
use lkl_ops::UserMem;
use std::net::{IpAddr, Ipv4Addr};

/// The name without the alias after a colon.
fn base(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

fn find(net: &Net, name: &str) -> Result<LinkView> {
    source::link_by_name(net, base(name)).ok_or(Errno::ENODEV)
}

fn v4(ip: IpAddr) -> Ipv4Addr {
    match ip {
        IpAddr::V4(a) => a,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

fn netmask(len: u8) -> Ipv4Addr {
    v4(source::mask(Ipv4Addr::BROADCAST.into(), len))
}

/// The last address of a network.
fn last(ip: Ipv4Addr, len: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(ip) | !u32::from(netmask(len)))
}

/// `SIOCGIFCONF`
pub(super) fn conf(net: &Net, mem: &dyn UserMem, arg: u64) -> Result<u64> {
    let b: [u8; 16] = get(mem, arg)?;
    let [l0, l1, l2, l3, _, _, _, _, p @ ..] = b;
    let room = i32::from_ne_bytes([l0, l1, l2, l3]);
    let at = u64::from_ne_bytes(p);
    let mut out = Vec::new();
    for a in source::addrs(net).into_iter().filter(|a| a.local.is_ipv4()) {
        let mut entry = [0; IFREQ_SIZE];
        put_name(&mut entry, a.label.as_deref().unwrap_or_default());
        entry[16..32].copy_from_slice(&sockaddr_in(v4(a.local)));
        out.extend(entry);
    }
    if at != 0 {
        let room = usize::try_from(room).map_err(|_| Errno::EINVAL)? / IFREQ_SIZE * IFREQ_SIZE;
        out.truncate(room);
        mem.write(at, &out)?;
    }
    let len = i32::try_from(out.len()).unwrap_or(i32::MAX);
    mem.write(arg, &len.to_ne_bytes())?;
    Ok(0)
}

fn put_name(b: &mut [u8; IFREQ_SIZE], name: &str) {
    for (to, from) in b[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
}

fn put(b: &mut [u8; IFREQ_SIZE], data: &[u8]) {
    for (to, from) in b[16..].iter_mut().zip(data) {
        *to = *from;
    }
}

fn word(b: &[u8; IFREQ_SIZE]) -> u32 {
    u32::from_ne_bytes([b[16], b[17], b[18], b[19]])
}

/// Requests about the device itself.
pub(super) fn device(net: &Net, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
    // What is no request of this kind touches no memory.
    let gets = matches!(
        request,
        SIOCGIFNAME
            | SIOCGIFFLAGS
            | SIOCGIFMETRIC
            | SIOCGIFMTU
            | SIOCGIFHWADDR
            | SIOCGIFSLAVE
            | SIOCGIFMAP
            | SIOCGIFINDEX
            | SIOCGIFTXQLEN
    );
    let sets = matches!(
        request,
        SIOCSIFFLAGS
            | SIOCSIFMETRIC
            | SIOCSIFMTU
            | SIOCSIFHWADDR
            | SIOCSIFHWBROADCAST
            | SIOCSIFMAP
            | SIOCADDMULTI
            | SIOCDELMULTI
            | SIOCSIFTXQLEN
            | SIOCSIFNAME
            | SIOCGMIIPHY
            | SIOCGMIIREG
            | SIOCSMIIREG
            | SIOCSHWTSTAMP
            | SIOCGHWTSTAMP
    );
    if !gets && !sets {
        return Err(Errno::ENOTTY);
    }
    let mut b: [u8; IFREQ_SIZE] = get(mem, arg)?;
    if request == SIOCGIFNAME {
        let l = source::link_by_index(net, word(&b)).ok_or(Errno::ENODEV)?;
        b[..16].fill(0);
        put_name(&mut b, &l.name);
        mem.write(arg, &b)?;
        return Ok(0);
    }
    let asked = name(&b[..16])?;
    let l = find(net, &asked)?;
    if gets {
        answer(&l, request, &mut b)?;
        mem.write(arg, &b)?;
    } else {
        change(net, &l, &asked, request, &b)?;
    }
    Ok(0)
}

fn answer(l: &LinkView, request: u32, b: &mut [u8; IFREQ_SIZE]) -> Result<()> {
    match request {
        SIOCGIFFLAGS => put(b, &(l.flags as u16).to_ne_bytes()),
        SIOCGIFMETRIC => put(b, &0u32.to_ne_bytes()),
        SIOCGIFMTU => put(b, &l.mtu.to_ne_bytes()),
        SIOCGIFINDEX => put(b, &l.index.to_ne_bytes()),
        SIOCGIFTXQLEN => put(b, &l.txqlen.to_ne_bytes()),
        SIOCGIFHWADDR => {
            let mut data = [0; 16];
            data[..2].copy_from_slice(&facts::hardware_type(l).to_ne_bytes());
            data[2..8].copy_from_slice(&l.mac);
            put(b, &data);
        }
        SIOCGIFMAP => put(b, &[0; 24]),
        SIOCGIFSLAVE => return Err(Errno::EINVAL),
        _ => return Err(Errno::ENOTTY),
    }
    Ok(())
}

fn change(net: &Net, l: &LinkView, asked: &str, request: u32, b: &[u8; IFREQ_SIZE]) -> Result<()> {
    let value = word(b);
    match request {
        SIOCSIFFLAGS => {
            let flags = u32::from(value as u16);
            if asked.contains(':') {
                // Taking an alias down takes its address away.
                let found = labelled(net, asked).ok_or(Errno::EADDRNOTAVAIL)?;
                return if flags & IFF_UP == 0 { source::addr_del(net, &found) } else { Ok(()) };
            }
            source::set_flags(net, l.index, flags)
        }
        SIOCSIFMTU => {
            let (min, max) = facts::mtu_range(l);
            if value < min || value > i32::MAX as u32 || (max != 0 && value > max) {
                return Err(Errno::EINVAL);
            }
            source::set_mtu(net, l.index, value)
        }
        SIOCSIFHWADDR => {
            let family = u16::from_ne_bytes([b[16], b[17]]);
            if family != facts::hardware_type(l) {
                return Err(Errno::EINVAL);
            }
            source::set_mac(net, l.index, [b[18], b[19], b[20], b[21], b[22], b[23]])
        }
        SIOCSIFTXQLEN => {
            if i32::from_ne_bytes(value.to_ne_bytes()) < 0 {
                return Err(Errno::EINVAL);
            }
            source::set_txqlen(net, l.index, value)
        }
        SIOCSIFNAME => {
            let new = name(&b[16..32])?;
            source::set_name(net, l.index, &new)
        }
        SIOCSIFHWBROADCAST => Err(Errno::EINVAL),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

fn labelled(net: &Net, label: &str) -> Option<AddrView> {
    source::addrs(net).into_iter().find(|a| a.local.is_ipv4() && a.label.as_deref() == Some(label))
}

/// Requests about the IPv4 address with a label.
pub(super) fn address(net: &Net, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
    let mut b: [u8; IFREQ_SIZE] = get(mem, arg)?;
    let label = name(&b[..16])?;
    let (family, given) = read_sockaddr(&b[16..]);
    let is_get = matches!(request, SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK);
    if matches!(request, SIOCGIFPFLAGS | SIOCSIFPFLAGS) || !is_get && family != AF_INET {
        return Err(Errno::EINVAL);
    }
    let link = find(net, &label)?;
    if is_get {
        let all = source::addrs(net);
        let mut of_label = all.iter().filter(|a| a.local.is_ipv4() && a.label.as_deref() == Some(label.as_str()));
        // Of several with this label, the one whose address stands in the request.
        let exact = of_label.clone().find(|a| family == AF_INET && a.local == IpAddr::V4(given));
        let a = exact.or_else(|| of_label.next()).ok_or(Errno::EADDRNOTAVAIL)?;
        let ip = match request {
            SIOCGIFADDR => v4(a.local),
            SIOCGIFDSTADDR => v4(a.peer),
            SIOCGIFBRDADDR => a.broadcast.map_or(Ipv4Addr::UNSPECIFIED, v4),
            _ => netmask(a.prefix_len),
        };
        put(&mut b, &sockaddr_in(ip));
        mem.write(arg, &b)?;
        return Ok(0);
    }
    let old = labelled(net, &label);
    if request == SIOCSIFADDR {
        set_address(net, &link, &label, given, old.as_ref())?;
        return Ok(0);
    }
    let old = old.ok_or(Errno::EADDRNOTAVAIL)?;
    let mut new = old.clone();
    match request {
        SIOCSIFNETMASK => {
            let len = mask_len(given)?;
            // A broadcast address that follows from the mask follows it.
            let derived = Some(IpAddr::V4(last(v4(old.local), old.prefix_len)));
            if link.flags & IFF_BROADCAST != 0 && old.prefix_len < 31 && old.broadcast == derived {
                new.broadcast = Some(last(v4(old.local), len).into());
            }
            new.prefix_len = len;
        }
        SIOCSIFBRDADDR => new.broadcast = Some(given.into()).filter(|_| !given.is_unspecified()),
        SIOCSIFDSTADDR => new.peer = given.into(),
        _ => return Err(Errno::EINVAL),
    }
    if new != old {
        source::addr_del(net, &old)?;
        source::addr_add(net, &new, false)?;
    }
    Ok(0)
}

fn set_address(net: &Net, link: &LinkView, label: &str, ip: Ipv4Addr, old: Option<&AddrView>) -> Result<()> {
    // The classes of old, since the request has no mask.
    let len = match ip.octets()[0] {
        _ if ip.is_unspecified() => 0,
        0..=127 => 8,
        128..=191 => 16,
        192..=223 => 24,
        _ => return Err(Errno::EINVAL),
    };
    if let Some(old) = old {
        if old.local == IpAddr::V4(ip) {
            return Ok(());
        }
        source::addr_del(net, old)?;
    }
    if ip.is_unspecified() {
        return Ok(());
    }
    let broadcast = link.flags & IFF_BROADCAST != 0 && len < 31;
    let loopback = ip.is_loopback();
    source::addr_add(
        net,
        &AddrView {
            ifindex: link.index,
            local: ip.into(),
            peer: ip.into(),
            prefix_len: len,
            broadcast: broadcast.then(|| last(ip, len).into()),
            label: Some(label.to_owned()),
            scope: if loopback { RT_SCOPE_HOST } else { RT_SCOPE_UNIVERSE },
            flags: IFA_F_PERMANENT,
            proto: 0,
            metric: 0,
            preferred: u32::MAX,
            valid: u32::MAX,
            created: 0,
            updated: 0,
        },
        false,
    )
}
