//! `SIOCGARP`, `SIOCSARP` and `SIOCDARP` (`struct arpreq`, `man 7 arp`).

use super::{get, name, read_sockaddr};
use crate::netlink::wire::u32_at;
use crate::source::{self, Lookup, RouteMode};
use lkl_abi::if_::{ARPHRD_ETHER, ATF_COM, ATF_NETMASK, ATF_PERM, ATF_PUBL};
use lkl_abi::rtnetlink::{NUD_NOARP, NUD_PERMANENT, NUD_STALE};
use lkl_abi::socket::AF_INET;
use lkl_abi::sockios::{SIOCGARP, SIOCSARP};
use lkl_abi::{Errno, Result};
use lkl_inet::Net;
use lkl_ops::UserMem;
use std::net::IpAddr;

/// It is made if it is not there, and changed if it is.
const MODE: RouteMode = RouteMode { create: true, exclusive: false, replace: true, append: false };

pub(super) fn ioctl(net: &Net, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
    let mut b: [u8; 68] = get(mem, arg)?;
    let (family, ip) = read_sockaddr(&b[..16]);
    let flags = u32_at(&b, 32).unwrap_or(0);
    if family != AF_INET {
        return Err(Errno::EPFNOSUPPORT);
    }
    if flags & ATF_PUBL == 0 && flags & ATF_NETMASK != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & ATF_PUBL != 0 && request != SIOCGARP {
        return Err(Errno::EOPNOTSUPP);
    }
    let dev = name(&b[52..68])?;
    let ip = IpAddr::V4(ip);
    let link = if !dev.is_empty() {
        Some(source::link_by_name(net, &dev).ok_or(Errno::ENODEV)?)
    } else if request == SIOCGARP {
        // Whichever link knows it.
        return Err(Errno::ENODEV);
    } else {
        let key = Lookup { dst: ip, src: None, oif: 0, iif: 0, tos: 0, mark: 0, uid: None, proto: 0 };
        let (way, _) = source::route_get(net, &key)?;
        way.hops.first().and_then(|h| source::link_by_index(net, h.oif))
    };
    let link = link.ok_or(Errno::EINVAL)?;
    match request {
        SIOCGARP => {
            let found = source::neigh_get(net, link.index, ip);
            let found = found.filter(|n| n.state & NUD_NOARP == 0).ok_or(Errno::ENXIO)?;
            let mut ha = [0; 16];
            ha[..2].copy_from_slice(&ARPHRD_ETHER.to_ne_bytes());
            ha[2..8].copy_from_slice(&found.mac.unwrap_or_default());
            let known = if found.mac.is_some() { ATF_COM } else { 0 };
            let lasting = if found.state & NUD_PERMANENT != 0 { ATF_PERM } else { 0 };
            b[16..32].copy_from_slice(&ha);
            b[32..36].copy_from_slice(&(known | lasting).to_ne_bytes());
            mem.write(arg, &b)?;
        }
        SIOCSARP => {
            let hatype = u16::from_ne_bytes([b[16], b[17]]);
            if hatype != 0 && hatype != ARPHRD_ETHER {
                return Err(Errno::EINVAL);
            }
            if link.loopback {
                return Err(Errno::EINVAL);
            }
            let mac = [b[18], b[19], b[20], b[21], b[22], b[23]];
            let state = if flags & ATF_PERM != 0 { NUD_PERMANENT } else { NUD_STALE };
            source::neigh_set(net, link.index, ip, Some(mac), state, 0, MODE)?;
        }
        _ => source::neigh_del(net, link.index, ip).map_err(|_| Errno::ENXIO)?,
    }
    Ok(0)
}
