//! How much a connection holds, and what it does when all of them together hold too much (`net.ipv4.tcp_mem`). The limit is
//! the caller's; the connection is told the level before it takes something in.

use super::Connection;

/// How much all connections hold, beside what they may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum MemoryLevel {
    /// Little.
    #[default]
    Fine,
    /// Much: buffers do not grow.
    Pressure,
    /// Too much: what is not owed to anybody is not taken.
    Exhausted,
}

impl Connection {
    /// Bytes in its queues.
    pub fn memory(&self) -> u64 {
        self.tx.queue.len() + self.rx.queue.len() as u64 + self.rx.ooo.bytes()
    }

    /// Tells how much all hold.
    pub fn set_memory_level(&mut self, level: MemoryLevel) {
        self.memory_level = level;
    }

    /// May it not take in more? What came out of order goes first: nobody was told that it is here for good (RFC 2018,
    /// section 8).
    pub(super) fn must_refuse_data(&mut self, len: usize) -> bool {
        // Something always fits where nothing is.
        let guaranteed = u64::from(self.cfg.tunables.rmem_min);
        let fits = |held: u64| held == 0 || held + len as u64 <= guaranteed;
        if self.memory_level < MemoryLevel::Exhausted || fits(self.memory()) {
            return false;
        }
        if !self.rx.ooo.is_empty() {
            self.rx.ooo.clear();
            self.stats.rare.ofo_pruned += 1;
            if fits(self.memory()) {
                return false;
            }
        }
        self.stats.rare.rcvq_drop += 1;
        true
    }

    /// May buffers grow?
    pub(super) fn may_grow(&self) -> bool {
        self.memory_level == MemoryLevel::Fine
    }

    /// Room for more bytes to send.
    pub fn send_room(&self) -> usize {
        let used = self.tx.queue.len();
        let own = u64::from(self.sndbuf);
        let limit =
            if self.memory_level == MemoryLevel::Exhausted { own.min(self.cfg.tunables.rmem_min.into()) } else { own };
        usize::try_from(limit.saturating_sub(used)).unwrap_or(usize::MAX)
    }
}
