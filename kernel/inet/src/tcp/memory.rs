//! What all connections hold together, and the limit of it (`net.ipv4.tcp_mem`, `net.ipv4.tcp_max_orphans`).

use super::table::TcpTable;
use crate::Net;
use core::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use lkl_net::tcp::MemoryLevel;
use lkl_sync::{Mutex, Rank};

/// Bytes of a page, the unit of `net.ipv4.tcp_mem`.
const PAGE: i64 = 4096;

/// The count of a namespace.
#[derive(Debug)]
pub(super) struct Memory {
    bytes: AtomicI64,
    pressed: AtomicBool,
    orphans: AtomicI64,
    /// The second that challenges are counted in, and how many are left of it.
    challenges: Mutex<(u64, i64)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            bytes: AtomicI64::new(0),
            pressed: AtomicBool::new(false),
            orphans: AtomicI64::new(0),
            challenges: Mutex::new(Rank::Leaf, (u64::MAX, 0)),
        }
    }
}

impl TcpTable {
    /// Pages that the queues of all connections take.
    pub fn memory_pages(&self) -> u64 {
        u64::try_from(self.memory.bytes.load(Relaxed)).unwrap_or(0).div_ceil(PAGE as u64)
    }

    /// Connections that no program has any more.
    pub fn orphans(&self) -> u64 {
        u64::try_from(self.memory.orphans.load(Relaxed)).unwrap_or(0)
    }

    /// A connection holds `now` bytes, and held `before`.
    pub(super) fn charge(&self, before: u64, now: u64) {
        if before != now {
            self.memory.bytes.fetch_add(now as i64 - before as i64, Relaxed);
        }
    }

    /// Another orphan, or one less.
    pub(super) fn count_orphan(&self, more: bool) {
        self.memory.orphans.fetch_add(if more { 1 } else { -1 }, Relaxed);
    }
}

impl Net {
    /// How much all connections hold.
    pub(super) fn tcp_memory_level(&self) -> MemoryLevel {
        let memory = &self.tcp.memory;
        let pages = memory.bytes.load(Relaxed) / PAGE;
        let [low, pressure, high] = self.sysctl().tcp_mem.all();
        if pages <= low {
            memory.pressed.store(false, Relaxed);
        }
        if pages > high {
            self.note_pressure();
            return MemoryLevel::Exhausted;
        }
        if pages > pressure {
            self.note_pressure();
        }
        // It lasts until they hold little again.
        if memory.pressed.load(Relaxed) {
            MemoryLevel::Pressure
        } else {
            MemoryLevel::Fine
        }
    }

    /// May a doubtful segment be answered (`net.ipv4.tcp_challenge_ack_limit`, in a second)? How many are let varies, so that
    /// nobody can tell from it what others were sent (RFC 5961, section 10).
    pub(super) fn tcp_challenges_left(&self) -> bool {
        let limit = self.sysctl().tcp_challenge_ack_limit.get();
        if limit == i64::from(i32::MAX) {
            return true;
        }
        let second = self.now().as_millis() / 1000;
        let mut left = self.tcp.memory.challenges.lock();
        if left.0 != second {
            let limit = limit.max(0);
            *left = (second, (limit + 1) / 2 + if limit > 0 { i64::from(self.random_u32()) % limit } else { 0 });
        }
        left.1 > 0
    }

    /// So many were answered.
    pub(super) fn tcp_challenged(&self, count: u16) {
        self.tcp.memory.challenges.lock().1 -= i64::from(count);
    }

    fn note_pressure(&self) {
        if !self.tcp.memory.pressed.swap(true, Relaxed) {
            self.snmp().tcp_ext.tcp_memory_pressures.inc();
        }
    }

    /// Are there too many connections that no program has, or do all hold too much, for another such one?
    pub(super) fn tcp_too_many_orphans(&self) -> bool {
        let most = self.sysctl().tcp_max_orphans.get();
        i64::try_from(self.tcp.orphans()).unwrap_or(i64::MAX) >= most
            || self.tcp_memory_level() == MemoryLevel::Exhausted
    }
}
