//! Who has which port. Shared by rules of `SO_REUSEADDR` and `SO_REUSEPORT` (`man 7 socket`), as Linux has them.

use arrayvec::ArrayVec;
use foldhash::HashMap;
use lkl_abi::{Errno, Result};
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

/// One user of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    /// Our address; unspecified for any.
    pub(super) addr: IpAddr,
    /// An IPv6 socket that takes IPv6 only.
    pub(super) v6only: bool,
    /// The link it is bound to, 0 for none.
    pub(super) ifindex: u32,
    pub(super) reuse_addr: bool,
    pub(super) reuse_port: bool,
    pub(super) listening: bool,
    /// The port was chosen by `connect`: others that were so may have it too, if their peers differ.
    pub(super) by_connect: bool,
}

impl Owner {
    /// Can a segment be for both?
    fn overlaps(&self, other: &Self) -> bool {
        if self.ifindex != 0 && other.ifindex != 0 && self.ifindex != other.ifindex {
            return false;
        }
        let any = |o: &Self| o.addr.is_unspecified();
        // The unspecified address of IPv6 stands for IPv4 too, unless the socket says no.
        let takes =
            |o: &Self, ip: IpAddr| any(o) && (o.addr.is_ipv6() == ip.is_ipv6() || (o.addr.is_ipv6() && !o.v6only));
        match (any(self), any(other)) {
            (false, false) => self.addr == other.addr,
            (true, false) => takes(self, other.addr),
            (false, true) => takes(other, self.addr),
            (true, true) => {
                self.addr.is_ipv6() == other.addr.is_ipv6()
                    || (self.addr.is_ipv6() && !self.v6only)
                    || (other.addr.is_ipv6() && !other.v6only)
            }
        }
    }

    fn conflicts(&self, other: &Self) -> bool {
        // Only one that listens is in the way: a server begins again beside what is left of its connections.
        let reuse = self.reuse_addr && other.reuse_addr && !other.listening;
        let share = self.reuse_port && other.reuse_port;
        self.overlaps(other) && !reuse && !share
    }
}

/// The users of one port. Mostly there is one, and then no table is made for it. What is known of them is shared by those of whom
/// the same is known.
enum Users {
    One(u64, Arc<Owner>),
    Many(Box<HashMap<u64, Arc<Owner>>>),
}

impl Users {
    fn iter(&self) -> impl Iterator<Item = (u64, &Owner)> {
        let (one, many) = match self {
            Self::One(id, owner) => (Some((*id, &**owner)), None),
            Self::Many(all) => (None, Some(all.iter().map(|(id, owner)| (*id, &**owner)))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn len(&self) -> usize {
        match self {
            Self::One(..) => 1,
            Self::Many(all) => all.len(),
        }
    }

    fn get(&self, id: u64) -> Option<&Arc<Owner>> {
        match self {
            Self::One(i, owner) => (*i == id).then_some(owner),
            Self::Many(all) => all.get(&id),
        }
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Arc<Owner>> {
        match self {
            Self::One(i, owner) => (*i == id).then_some(owner),
            Self::Many(all) => all.get_mut(&id),
        }
    }

    fn insert(&mut self, id: u64, owner: Arc<Owner>) {
        match self {
            Self::One(i, old) if *i == id => *old = owner,
            Self::One(i, old) => {
                *self = Self::Many(Box::new(HashMap::from_iter([(*i, old.clone()), (id, owner)])));
            }
            Self::Many(all) => {
                all.insert(id, owner);
            }
        }
    }
}

/// The users of all ports.
#[derive(Default)]
pub(super) struct Ports {
    by_port: HashMap<u16, Users>,
    /// What was known of users lately, newest first: most are like one of these.
    known: ArrayVec<Arc<Owner>, 4>,
}

impl Ports {
    /// `owner`, shared with the users that were like it.
    fn shared(&mut self, owner: Owner) -> Arc<Owner> {
        match self.known.iter().position(|o| **o == owner) {
            Some(0) => {}
            Some(at) => self.known.swap(0, at),
            None => {
                if self.known.is_full() {
                    self.known.pop();
                }
                self.known.insert(0, Arc::new(owner));
            }
        }
        self.known[0].clone()
    }

    /// Takes `port` for `id`.
    ///
    /// # Errors
    /// `EADDRINUSE`
    pub(super) fn take(&mut self, port: u16, id: u64, owner: Owner) -> Result<()> {
        if !self.is_free(port, id, &owner) {
            return Err(Errno::EADDRINUSE);
        }
        self.put(port, id, owner);
        Ok(())
    }

    /// May `id` have `port`?
    pub(super) fn is_free(&self, port: u16, id: u64, owner: &Owner) -> bool {
        self.by_port.get(&port).is_none_or(|users| users.iter().all(|(i, o)| i == id || !owner.conflicts(o)))
    }

    /// Notes a user without asking (a connection of a listening socket, or what stays of one).
    pub(super) fn put(&mut self, port: u16, id: u64, owner: Owner) {
        let owner = self.shared(owner);
        match self.by_port.entry(port) {
            Entry::Occupied(users) => users.into_mut().insert(id, owner),
            Entry::Vacant(free) => {
                free.insert(Users::One(id, owner));
            }
        }
    }

    /// Does nobody have the port, or only sockets that got it by `connect`?
    pub(super) fn is_connectable(&self, port: u16) -> bool {
        self.by_port.get(&port).is_none_or(|users| users.len() < 64 && users.iter().all(|(_, o)| o.by_connect))
    }

    /// Is the port unused?
    pub(super) fn is_unused(&self, port: u16) -> bool {
        !self.by_port.contains_key(&port)
    }

    /// Changes what is known of a user.
    pub(super) fn update(&mut self, port: u16, id: u64, change: impl FnOnce(&mut Owner)) {
        let Some(mut owner) = self.get(port, id) else { return };
        change(&mut owner);
        let owner = self.shared(owner);
        if let Some(user) = self.by_port.get_mut(&port).and_then(|u| u.get_mut(id)) {
            *user = owner;
        }
    }

    /// What is known of a user.
    pub(super) fn get(&self, port: u16, id: u64) -> Option<Owner> {
        self.by_port.get(&port)?.get(id).map(|owner| **owner)
    }

    /// Gives the port back.
    pub(super) fn release(&mut self, port: u16, id: u64) {
        let empty = match self.by_port.get_mut(&port) {
            None => false,
            Some(Users::One(i, _)) => *i == id,
            Some(Users::Many(all)) => {
                all.remove(&id);
                all.is_empty()
            }
        };
        if empty {
            self.by_port.remove(&port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(addr: &str) -> Owner {
        Owner {
            addr: addr.parse().unwrap(),
            v6only: false,
            ifindex: 0,
            reuse_addr: false,
            reuse_port: false,
            listening: false,
            by_connect: false,
        }
    }

    #[test]
    fn addresses_overlap_as_on_linux() {
        let conflict = |a: Owner, b: Owner| a.conflicts(&b);
        assert!(conflict(owner("0.0.0.0"), owner("127.0.0.1")));
        assert!(!conflict(owner("127.0.0.1"), owner("127.0.0.2")));
        assert!(conflict(owner("::"), owner("127.0.0.1")));
        assert!(!conflict(Owner { v6only: true, ..owner("::") }, owner("0.0.0.0")));
        assert!(conflict(Owner { v6only: true, ..owner("::") }, owner("::1")));
        let reuse = Owner { reuse_addr: true, ..owner("0.0.0.0") };
        assert!(!conflict(reuse, reuse));
        assert!(conflict(reuse, Owner { listening: true, ..reuse }));
        assert!(!conflict(Owner { listening: true, ..reuse }, reuse));
        let share = Owner { reuse_port: true, ..owner("0.0.0.0") };
        assert!(!conflict(share, Owner { listening: true, ..share }));
    }
}
