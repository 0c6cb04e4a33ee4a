//! Making, changing and removing links.

use crate::event::NetEvent;
use crate::link::{Link, LOOPBACK_INDEX};
use crate::Net;
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::if_::{
    IFF_ALLMULTI, IFF_BROADCAST, IFF_DEBUG, IFF_MULTICAST, IFF_NOARP, IFF_NOTRAILERS, IFF_PROMISC, IFF_UP,
};
use lkl_abi::{Errno, Result};
use lkl_ops::NetDev;
use std::sync::Arc;

/// Least MTU of an Ethernet link.
pub const MIN_MTU: u32 = 68;
/// Greatest MTU of an Ethernet link.
pub const MAX_MTU: u32 = 65_535;

impl Net {
    /// Adds a device as the next `eth`; it is down. Answers its index.
    ///
    /// # Errors
    /// `ENFILE` if there are too many.
    pub fn link_add(&self, dev: Arc<dyn NetDev>) -> Result<u32> {
        let _rtnl = self.rtnl.lock();
        let link = {
            let mut config = self.config.write();
            let index = config.links.keys().next_back().map_or(LOOPBACK_INDEX, |i| i + 1);
            let name = (0..4096).map(|n| format!("eth{n}")).find(|n| !config.names.contains_key(n));
            let name = name.ok_or(Errno::ENFILE)?;
            let link = Arc::new(Link::new(index, name.clone(), 1500, IFF_BROADCAST | IFF_MULTICAST, Some(dev)));
            let defaults = self.sysctl();
            for n in crate::sysctl::Ipv4Conf::NAMES {
                let _ok = link.ipv4.set(n, &defaults.ipv4_default.get(n).unwrap_or_default());
            }
            for n in crate::sysctl::Ipv6Conf::NAMES.iter().filter(|n| **n != "mtu") {
                let _ok = link.ipv6.set(n, &defaults.ipv6_default.get(n).unwrap_or_default());
            }
            config.names.insert(name, index);
            config.links.insert(index, link.clone());
            link
        };
        self.emit(&NetEvent::LinkNew(link.clone()));
        Ok(link.index)
    }

    /// Takes a link away with all that belongs to it.
    ///
    /// # Errors
    /// `ENODEV`; `EOPNOTSUPP` for `lo`.
    pub fn link_del(&self, index: u32) -> Result<()> {
        let link = self.link_by_index(index)?;
        if link.is_loopback() {
            return Err(Errno::EOPNOTSUPP);
        }
        self.link_set_flags(index, 0, IFF_UP)?;
        let _rtnl = self.rtnl.lock();
        for a in self.addrs_of(index) {
            let _gone = self.addr_del_locked(index, a.ip, Some(a.prefix_len));
        }
        self.remove_routes(|r| r.nexthops.iter().any(|n| n.ifindex == index));
        self.neigh_flush(index, true);
        {
            let mut config = self.config.write();
            config.links.remove(&index);
            config.names.remove(&link.name());
            config.addrs.remove(&index);
        }
        self.routes_changed();
        self.emit(&NetEvent::LinkDel(link));
        Ok(())
    }

    /// All links, by index.
    pub fn links(&self) -> Vec<Arc<Link>> {
        self.config.read().links.values().cloned().collect()
    }

    /// A link by its number.
    ///
    /// # Errors
    /// `ENODEV`
    pub fn link_by_index(&self, index: u32) -> Result<Arc<Link>> {
        self.config.read().links.get(&index).cloned().ok_or(Errno::ENODEV)
    }

    /// A link by its name.
    ///
    /// # Errors
    /// `ENODEV`
    pub fn link_by_name(&self, name: &str) -> Result<Arc<Link>> {
        let config = self.config.read();
        config.names.get(name).and_then(|i| config.links.get(i)).cloned().ok_or(Errno::ENODEV)
    }

    /// Changes those of the flags that are in `mask` (`IFF_UP` and what a program may change).
    ///
    /// # Errors
    /// `ENODEV`
    pub fn link_set_flags(&self, index: u32, flags: u32, mask: u32) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        let link = self.link_by_index(index)?;
        let mask =
            mask & (IFF_UP | IFF_DEBUG | IFF_NOARP | IFF_NOTRAILERS | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST);
        let old = link.flags.load(Relaxed);
        let new = (old & !mask) | (flags & mask);
        if new == old {
            return Ok(());
        }
        link.flags.store(new, Relaxed);
        for (bit, count) in [(IFF_PROMISC, &link.promiscuity), (IFF_ALLMULTI, &link.allmulti)] {
            match (old & bit != 0, new & bit != 0) {
                (false, true) => {
                    count.fetch_add(1, Relaxed);
                }
                (true, false) => {
                    count.fetch_sub(1, Relaxed);
                }
                _ => {}
            }
        }
        self.routes_changed();
        self.emit(&NetEvent::LinkNew(link.clone()));
        match (old & IFF_UP != 0, new & IFF_UP != 0) {
            (false, true) => self.addrs_link_up(&link),
            (true, false) => {
                self.addrs_link_down(&link);
                self.neigh_flush(index, false);
            }
            _ => {}
        }
        if new & IFF_UP != 0 && link.dev.is_some() {
            // Frames may wait in the device.
            self.host().kick();
        }
        Ok(())
    }

    /// Sets a link up or down.
    ///
    /// # Errors
    /// `ENODEV`
    pub fn link_set_up(&self, index: u32, up: bool) -> Result<()> {
        self.link_set_flags(index, if up { IFF_UP } else { 0 }, IFF_UP)
    }

    /// Sets the MTU in bytes.
    ///
    /// # Errors
    /// `ENODEV`, `EINVAL`.
    pub fn link_set_mtu(&self, index: u32, mtu: u32) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        let link = self.link_by_index(index)?;
        let (least, most) = if link.is_loopback() { (0, i32::MAX as u32) } else { (MIN_MTU, MAX_MTU) };
        if mtu < least || mtu > most {
            return Err(Errno::EINVAL);
        }
        link.mtu.store(mtu, Relaxed);
        link.ipv6.mtu.set(i64::from(mtu));
        self.routes_changed();
        self.emit(&NetEvent::LinkNew(link));
        Ok(())
    }

    /// Sets the hardware address.
    ///
    /// # Errors
    /// `ENODEV`; `EADDRNOTAVAIL` if it is a group's or zero; `EOPNOTSUPP` for `lo`.
    pub fn link_set_address(&self, index: u32, mac: [u8; 6]) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        let link = self.link_by_index(index)?;
        if link.is_loopback() {
            return Err(Errno::EOPNOTSUPP);
        }
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return Err(Errno::EADDRNOTAVAIL);
        }
        link.set_mac(mac);
        self.emit(&NetEvent::LinkNew(link.clone()));
        self.announce(&link);
        Ok(())
    }

    /// Renames a link.
    ///
    /// # Errors
    /// `ENODEV`, `EEXIST`, `EINVAL`.
    pub fn link_set_name(&self, index: u32, name: &str) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        let link = self.link_by_index(index)?;
        let bad = |c: char| c == '/' || c == ':' || c.is_whitespace();
        if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.contains(bad) {
            return Err(Errno::EINVAL);
        }
        {
            let mut config = self.config.write();
            match config.names.get(name) {
                Some(i) if *i == index => return Ok(()),
                Some(_) => return Err(Errno::EEXIST),
                None => {}
            }
            config.names.remove(&link.name());
            config.names.insert(name.to_owned(), index);
            *link.name.lock() = name.to_owned();
        }
        self.emit(&NetEvent::LinkNew(link));
        Ok(())
    }

    /// Sets the length of the transmit queue in frames.
    ///
    /// # Errors
    /// `ENODEV`
    pub fn link_set_txqlen(&self, index: u32, txqlen: u32) -> Result<()> {
        let _rtnl = self.rtnl.lock();
        let link = self.link_by_index(index)?;
        link.txqlen.store(txqlen, Relaxed);
        self.emit(&NetEvent::LinkNew(link));
        Ok(())
    }
}
