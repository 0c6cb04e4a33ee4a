//! The signals that wait for a simulated program.

use super::lock;
use crate::SignalSource;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use lkl_abi::signalfd::SIGNALFD_SIGINFO_SIZE;
use lkl_abi::{Errno, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

/// The first signal of which several may wait.
const SIGRTMIN: u32 = 32;

/// What is called when a signal may have come.
type Ready = Arc<dyn Fn() + Send + Sync>;

/// The signals that wait for a program of one thread that has blocked them all.
#[derive(Default)]
pub struct Pending {
    /// Number and value (`sigqueue`), in the order in which they came.
    signals: Mutex<VecDeque<(u32, i32)>>,
    sources: Mutex<Vec<(Weak<AtomicU64>, Ready)>>,
}

impl Pending {
    /// Sends one, with a value, as `sigqueue` does. Of those below 32 one waits at most.
    pub fn send(&self, signal: u32, value: i32) {
        let mut signals = lock(&self.signals);
        if signal >= SIGRTMIN || signals.iter().all(|(s, _)| *s != signal) {
            signals.push_back((signal, value));
        }
        drop(signals);
        let mut sources = lock(&self.sources);
        sources.retain(|(mask, _)| mask.strong_count() > 0);
        let told: Vec<Ready> = sources.iter().map(|(_, ready)| ready.clone()).collect();
        drop(sources);
        for ready in told {
            ready();
        }
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        lock(&self.signals).len()
    }

    /// A source of those in `mask`.
    pub fn source(self: &Arc<Self>, mask: u64, ready: Ready) -> Box<dyn SignalSource> {
        let mask = Arc::new(AtomicU64::new(mask));
        lock(&self.sources).push((Arc::downgrade(&mask), ready));
        Box::new(Source { pending: self.clone(), mask })
    }
}

impl core::fmt::Debug for Pending {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Pending({:?})", lock(&self.signals))
    }
}

struct Source {
    pending: Arc<Pending>,
    mask: Arc<AtomicU64>,
}

impl Source {
    /// The place of the lowest one, as the host takes them.
    fn first(&self, signals: &VecDeque<(u32, i32)>) -> Option<usize> {
        let mask = self.mask.load(SeqCst);
        let wanted = signals.iter().enumerate().filter(|(_, (signal, _))| mask >> (signal - 1) & 1 != 0);
        wanted.min_by_key(|(_, (signal, _))| *signal).map(|(at, _)| at)
    }
}

impl SignalSource for Source {
    fn set_mask(&self, mask: u64) -> Result<()> {
        self.mask.store(mask, SeqCst);
        Ok(())
    }

    fn ready(&self) -> bool {
        self.first(&lock(&self.pending.signals)).is_some()
    }

    fn take(&self) -> Result<[u8; SIGNALFD_SIGINFO_SIZE]> {
        let mut signals = lock(&self.pending.signals);
        let taken = self.first(&signals).and_then(|at| signals.remove(at));
        let (signal, value) = taken.ok_or(Errno::EAGAIN)?;
        let mut record = [0; SIGNALFD_SIGINFO_SIZE];
        // ssi_signo, ssi_code (SI_QUEUE), ssi_int and ssi_ptr
        for (at, bytes) in [(0, signal.to_ne_bytes()), (8, (-1i32).to_ne_bytes()), (44, value.to_ne_bytes())] {
            record[at..at + 4].copy_from_slice(&bytes);
        }
        record[48..56].copy_from_slice(&u64::from(value as u32).to_ne_bytes());
        Ok(record)
    }
}
