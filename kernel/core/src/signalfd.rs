//! Signals as a file (`man 2 signalfd`). They are the outside's: it says which are there, and gives them.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use lkl_abi::signalfd::SIGNALFD_SIGINFO_SIZE;
use lkl_abi::{Errno, Result};
use lkl_file::{File, IovReader, IovWriter};
use lkl_ops::{Host, SignalSource};
use lkl_sync::{Events, WaitQueue};
use std::sync::Arc;

/// `SIGKILL` and `SIGSTOP`, which nobody can take.
const NOT_TAKEN: u64 = 1 << 8 | 1 << 18;

/// Signals of the calling process that are read instead of handled.
pub(crate) struct SignalFd {
    source: Box<dyn SignalSource>,
    mask: AtomicU64,
    queue: Arc<WaitQueue>,
}

impl SignalFd {
    /// Those in `mask`.
    ///
    /// # Errors
    /// Those of [`Host::signals`].
    pub(crate) fn new(host: &dyn Host, mask: u64) -> Result<Self> {
        let (mask, queue) = (mask & !NOT_TAKEN, Arc::new(WaitQueue::new()));
        let woken = queue.clone();
        let source = host.signals(mask, Arc::new(move || woken.wake(Events::IN)))?;
        Ok(Self { source, mask: AtomicU64::new(mask), queue })
    }

    /// From now on those in `mask`.
    pub(crate) fn set_mask(&self, mask: u64) -> Result<()> {
        let mask = mask & !NOT_TAKEN;
        self.source.set_mask(mask)?;
        self.mask.store(mask, Relaxed);
        // What waited before may be in it.
        self.queue.wake(Events::IN);
        Ok(())
    }

    /// Which they are.
    pub(crate) fn mask(&self) -> u64 {
        self.mask.load(Relaxed)
    }
}

impl File for SignalFd {
    fn read(&self, out: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        if out.remaining() < SIGNALFD_SIGINFO_SIZE {
            return Err(Errno::EINVAL);
        }
        let mut done = 0;
        while out.remaining() >= SIGNALFD_SIGINFO_SIZE {
            // As on Linux, one that was taken is gone even if it cannot be told.
            match self.source.take().and_then(|record| out.write(&record)) {
                Ok(n) => done += n,
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write(&self, _: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    fn poll(&self) -> Events {
        if self.source.ready() {
            Events::IN
        } else {
            Events::EMPTY
        }
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }
}
