//! What ICMP said of the MTU of paths (RFC 1191, RFC 8201).

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use lkl_ops::Instant;
use lkl_sync::{Mutex, Rank};
use std::collections::HashMap;
use std::net::IpAddr;

/// Most destinations remembered.
const MAX: usize = 4096;

/// Path MTUs by destination.
pub(crate) struct PmtuCache {
    /// Read without the lock: mostly there is none.
    len: AtomicUsize,
    map: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

impl Default for PmtuCache {
    fn default() -> Self {
        Self { len: AtomicUsize::new(0), map: Mutex::new(Rank::PacketTable, HashMap::new()) }
    }
}

impl PmtuCache {
    /// The MTU of the path to `dst` in bytes, and until when that holds.
    pub(crate) fn get(&self, dst: IpAddr, now: Instant) -> Option<(u32, Instant)> {
        if self.len.load(Relaxed) == 0 {
            return None;
        }
        self.map.lock().get(&dst).copied().filter(|(_, until)| *until > now)
    }

    pub(crate) fn set(&self, dst: IpAddr, mtu: u32, now: Instant, until: Instant) {
        let mut map = self.map.lock();
        if map.len() >= MAX && !map.contains_key(&dst) {
            map.retain(|_, (_, until)| *until > now);
            if map.len() >= MAX {
                // Rare, and the loss of these only costs being told again.
                map.clear();
            }
        }
        map.insert(dst, (mtu, until));
        self.len.store(map.len(), Relaxed);
    }
}
