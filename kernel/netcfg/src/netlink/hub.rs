//! Which netlink sockets there are: by port, and who listens to a group.

use super::socket::{Info, NetlinkSocket};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use lkl_abi::netlink::{NETLINK_GENERIC, NETLINK_ROUTE};
use lkl_abi::rtnetlink::RTNLGRP_MAX;
use lkl_abi::{Errno, Result};
use lkl_inet::Net;
use lkl_sync::{Mutex, Rank};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

/// A socket that listens to a group.
pub(crate) struct Member {
    pub(crate) protocol: u32,
    pub(crate) socket: Weak<NetlinkSocket>,
}

#[derive(Default)]
struct Tables {
    ports: HashMap<(u32, u32), Weak<NetlinkSocket>>,
    /// All sockets, by inode.
    all: BTreeMap<u64, Weak<NetlinkSocket>>,
}

/// The netlink sockets of a network namespace. It is told of changes of the network ([`lkl_inet`]'s events) and
/// tells them to the groups.
pub struct Hub {
    net: Weak<Net>,
    tables: Mutex<Tables>,
    members: Mutex<Vec<Member>>,
    /// Length of `members`, read without its lock: an event that nobody listens to is not even put into words.
    listeners: AtomicUsize,
    /// What an automatic port is first: a process's number, as programs expect.
    pid: AtomicU32,
    next_port: AtomicU32,
    next_ino: AtomicU64,
}

impl Hub {
    /// A hub without sockets, subscribed to the events of `net`.
    pub fn new(net: &Arc<Net>) -> Arc<Self> {
        let hub = Arc::new(Self {
            net: Arc::downgrade(net),
            tables: Mutex::new(Rank::Ports, Tables::default()),
            members: Mutex::new(Rank::Queue, Vec::new()),
            listeners: AtomicUsize::new(0),
            pid: AtomicU32::new(1),
            next_port: AtomicU32::new(0xffff_f000),
            next_ino: AtomicU64::new(0x4e4c_0000),
        });
        net.subscribe(hub.clone());
        hub
    }

    /// Tells the number of the process: the first automatic port of each protocol, as on Linux.
    pub fn set_pid(&self, pid: u32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    pub(crate) fn net(&self) -> Option<Arc<Net>> {
        self.net.upgrade()
    }

    pub(crate) fn new_ino(&self) -> u64 {
        self.next_ino.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn insert(&self, ino: u64, socket: &Arc<NetlinkSocket>) {
        self.tables.lock().all.insert(ino, Arc::downgrade(socket));
    }

    pub(crate) fn forget(&self, ino: u64) {
        let gone = self.tables.lock().all.remove(&ino);
        drop(gone);
    }

    /// What is to be shown of all sockets, in the order of their making.
    pub(crate) fn sockets(&self) -> Vec<Info> {
        let all: Vec<_> = self.tables.lock().all.values().filter_map(Weak::upgrade).collect();
        all.iter().map(|s| s.info()).collect()
    }

    /// Takes `port` of `protocol`, or a free one if it is 0.
    pub(crate) fn take_port(&self, protocol: u32, port: u32, socket: Weak<NetlinkSocket>) -> Result<u32> {
        let mut t = self.tables.lock();
        let free = |t: &Tables, p: u32| t.ports.get(&(protocol, p)).is_none_or(|w| w.strong_count() == 0);
        let port = if port != 0 {
            if !free(&t, port) {
                return Err(Errno::EADDRINUSE);
            }
            port
        } else {
            let pid = self.pid.load(Ordering::Relaxed);
            if pid != 0 && free(&t, pid) {
                pid
            } else {
                loop {
                    let p = self.next_port.fetch_sub(1, Ordering::Relaxed);
                    if p != 0 && free(&t, p) {
                        break p;
                    }
                }
            }
        };
        t.ports.insert((protocol, port), socket);
        Ok(port)
    }

    pub(crate) fn free_port(&self, protocol: u32, port: u32) {
        let gone = self.tables.lock().ports.remove(&(protocol, port));
        drop(gone);
    }

    pub(crate) fn by_port(&self, protocol: u32, port: u32) -> Option<Arc<NetlinkSocket>> {
        self.tables.lock().ports.get(&(protocol, port)).and_then(Weak::upgrade)
    }

    /// A socket has joined its first group or left its last one.
    pub(crate) fn membership(&self, member: Member, joined: bool) {
        let mut m = self.members.lock();
        let ptr = member.socket.as_ptr();
        let before = core::mem::take(&mut *m);
        let (mut keep, gone): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|x| x.socket.as_ptr() != ptr && x.socket.strong_count() > 0);
        if joined {
            keep.push(member);
        }
        self.listeners.store(keep.len(), Ordering::Relaxed);
        *m = keep;
        drop(m);
        drop(gone);
    }

    /// Does anybody listen to anything?
    pub(crate) fn has_listeners(&self) -> bool {
        self.listeners.load(Ordering::Relaxed) > 0
    }

    /// Sends to all that listen to `group`, but for the port `from`.
    pub(crate) fn broadcast(&self, protocol: u32, group: u32, data: &Arc<[u8]>, from: u32) {
        let to: Vec<_> = {
            let m = self.members.lock();
            m.iter().filter(|m| m.protocol == protocol).filter_map(|m| m.socket.upgrade()).collect()
        };
        for socket in to.iter().filter(|s| s.listens(group)) {
            if from != 0 && socket.info().portid == from {
                continue;
            }
            // Who has no room is told by ENOBUFS.
            let _lost = socket.deliver(data.clone(), from, group);
        }
    }

    /// The highest group of `protocol`.
    pub(crate) fn max_group(&self, protocol: u32) -> u32 {
        match protocol {
            NETLINK_ROUTE => RTNLGRP_MAX,
            NETLINK_GENERIC => crate::genl::GROUP_MAX,
            _ => 32,
        }
    }
}
