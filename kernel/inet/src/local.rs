//! What table `local` said of an IPv4 address, kept: each packet that comes in asks for its source and its destination.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use lkl_net::route::Kind;
use std::net::Ipv4Addr;

const SLOTS: usize = 64;
/// Generations are told apart by so many bits.
const GENERATION: u64 = 0xff_ffff;
/// Table `local` has no route to the address.
const NONE: u8 = 0;

/// Answers, each in a word: address (32 bits), generation (24), kind (8). No lock: a word is whole, and one of another address or
/// generation says nothing.
pub(crate) struct LocalCache([AtomicU64; SLOTS]);

impl Default for LocalCache {
    fn default() -> Self {
        // Generations begin with 1.
        Self([const { AtomicU64::new(0) }; SLOTS])
    }
}

impl LocalCache {
    fn slot(&self, ip: u32) -> Option<&AtomicU64> {
        self.0.get((ip ^ ip >> 8 ^ ip >> 24) as usize % SLOTS)
    }

    fn tag(ip: u32, generation: u64) -> u64 {
        u64::from(ip) << 32 | (generation & GENERATION) << 8
    }

    /// What was said of `ip` in this generation of the routes, if it is known.
    pub(crate) fn get(&self, ip: Ipv4Addr, generation: u64) -> Option<Option<Kind>> {
        let word = self.slot(ip.to_bits())?.load(Relaxed);
        (word & !0xff == Self::tag(ip.to_bits(), generation)).then(|| Kind::from_number(word as u8))
    }

    /// Keeps it.
    pub(crate) fn put(&self, ip: Ipv4Addr, generation: u64, kind: Option<Kind>) {
        if let Some(slot) = self.slot(ip.to_bits()) {
            slot.store(Self::tag(ip.to_bits(), generation) | u64::from(kind.map_or(NONE, |k| k as u8)), Relaxed);
        }
    }

    /// A generation has begun. Before numbers come round, all is forgotten.
    pub(crate) fn begin(&self, generation: u64) {
        if generation & GENERATION == 0 {
            self.0.iter().for_each(|slot| slot.store(0, Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_of_one_address_and_generation() {
        let cache = LocalCache::default();
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(cache.get(a, 1), None);
        cache.put(a, 1, Some(Kind::Local));
        cache.put(b, 1, None);
        assert_eq!((cache.get(a, 1), cache.get(b, 1)), (Some(Some(Kind::Local)), Some(None)));
        assert_eq!(cache.get(a, 2), None);
        // So many changes later the numbers look the same.
        (2..=GENERATION + 1).for_each(|g| cache.begin(g));
        assert_eq!(cache.get(a, GENERATION + 2), None);
    }
}
