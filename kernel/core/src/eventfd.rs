//! A counter as a file (`man 2 eventfd`).

use lkl_abi::{Errno, Result};
use lkl_file::{File, IovReader, IovWriter};
use lkl_sync::{Events, Mutex, Rank, WaitQueue};

/// The counter cannot become more.
const MAX: u64 = u64::MAX - 1;

/// A counter.
pub(crate) struct EventFd {
    count: Mutex<u64>,
    /// A read takes 1, not everything (`EFD_SEMAPHORE`).
    semaphore: bool,
    queue: WaitQueue,
}

impl EventFd {
    pub(crate) fn new(count: u64, semaphore: bool) -> Self {
        Self { count: Mutex::new(Rank::Queue, count), semaphore, queue: WaitQueue::new() }
    }
}

impl File for EventFd {
    fn read(&self, out: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        if out.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let mut count = self.count.lock();
        let taken = match *count {
            0 => return Err(Errno::EAGAIN),
            _ if self.semaphore => 1,
            n => n,
        };
        // As on Linux, what was counted is gone even if it cannot be told.
        *count -= taken;
        drop(count);
        self.queue.wake(Events::WRITE);
        out.write(&taken.to_ne_bytes())
    }

    fn write(&self, data: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        if data.remaining() < 8 {
            return Err(Errno::EINVAL);
        }
        let mut raw = [0; 8];
        data.read(&mut raw)?;
        let n = u64::from_ne_bytes(raw);
        if n > MAX {
            return Err(Errno::EINVAL);
        }
        let mut count = self.count.lock();
        *count = count.checked_add(n).filter(|sum| *sum <= MAX).ok_or(Errno::EAGAIN)?;
        drop(count);
        self.queue.wake(Events::READ);
        Ok(8)
    }

    fn poll(&self) -> Events {
        match *self.count.lock() {
            // Without what else readable and writable files are, as on Linux.
            0 => Events::OUT,
            MAX => Events::IN,
            _ => Events::IN | Events::OUT,
        }
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }
}
