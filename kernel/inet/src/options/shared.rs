//! Options that sockets have in common until one is set: most programs never set one.

use super::InetOptions;
use crate::Net;
use core::ops::Deref;
use core::sync::atomic::Ordering::Relaxed;
use lkl_file::sockaddr::AF_INET6;
use lkl_sync::{Mutex, Rank};
use std::sync::{Arc, OnceLock};

/// The options of one socket.
#[derive(Debug)]
pub(crate) struct SharedOptions {
    /// What it began with.
    shared: Arc<InetOptions>,
    /// Its own, once one was set.
    own: OnceLock<Box<InetOptions>>,
}

impl Deref for SharedOptions {
    type Target = InetOptions;

    fn deref(&self) -> &InetOptions {
        self.own.get().map_or(&*self.shared, |own| &**own)
    }
}

impl SharedOptions {
    /// The options of a new socket of `family`.
    pub(crate) fn new(net: &Net, family: u16) -> Self {
        Self { shared: net.tcp.beginnings.shared(InetOptions::new(net, family), 0), own: OnceLock::new() }
    }

    /// To set one.
    pub(crate) fn own(&self) -> &InetOptions {
        self.own.get_or_init(|| Box::new(self.shared.copied()))
    }

    /// The options of a connection that is made from a listening socket: multicast goes as far as the peer's segment could
    /// have come.
    pub(crate) fn inherit(&self, net: &Net, v6: bool, ttl: u8) -> Self {
        let new = InetOptions::inherit(self, net);
        let hops = if v6 { &new.multicast_hops6 } else { &new.multicast_ttl };
        hops.store(ttl.into(), Relaxed);
        Self { shared: net.tcp.beginnings.shared(new, 1), own: OnceLock::new() }
    }
}

/// What the last sockets began with: of IPv4 and IPv6, made by the program and accepted.
#[derive(Debug)]
pub(crate) struct Beginnings([Mutex<Option<Arc<InetOptions>>>; 4]);

impl Default for Beginnings {
    fn default() -> Self {
        Self([const { Mutex::new(Rank::Leaf, None) }; 4])
    }
}

impl Beginnings {
    /// `options`, shared with the socket before if that began with the same.
    fn shared(&self, options: InetOptions, accepted: usize) -> Arc<InetOptions> {
        let at = 2 * accepted + usize::from(options.family == AF_INET6);
        let Some(slot) = self.0.get(at) else { return Arc::new(options) };
        let mut last = slot.lock();
        match &*last {
            Some(same) if same.is_like(&options) => same.clone(),
            _ => {
                let new = Arc::new(options);
                *last = Some(new.clone());
                new
            }
        }
    }
}
