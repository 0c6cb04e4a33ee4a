//! Pipes and FIFOs (`man 7 pipe`): bytes in order, and two kinds of ends.

use lkl_abi::ioctls::FIONREAD;
use lkl_abi::stat::S_IFIFO;
use lkl_abi::{Errno, Result};
use lkl_file::{File, IovReader, IovWriter};
use lkl_ops::UserMem;
use lkl_sync::{Events, Mutex, Rank, WaitQueue};
use std::collections::VecDeque;
use std::sync::Arc;

/// A write of so many bytes is never mixed with others.
const PIPE_BUF: usize = 4096;
/// Room of a new pipe in bytes.
const CAPACITY: usize = 65536;
/// Most room that `F_SETPIPE_SZ` gives (`fs.pipe-max-size`).
const CAPACITY_MAX: usize = 1 << 20;
const PAGE: usize = 4096;

struct State {
    bytes: VecDeque<u8>,
    capacity: usize,
    readers: usize,
    writers: usize,
    /// Ends for reading and for writing that were ever opened: an `open` of a FIFO waits for the other one.
    opened: (u64, u64),
}

/// What is between the ends.
pub(crate) struct Pipe {
    state: Mutex<State>,
    queue: WaitQueue,
}

impl Pipe {
    pub(crate) fn new() -> Arc<Self> {
        let bytes = VecDeque::new();
        let state = State { bytes, capacity: CAPACITY, readers: 0, writers: 0, opened: (0, 0) };
        // A pipe is read and written together with the memory of the caller, which takes no lock but of the last rank.
        Arc::new(Self { state: Mutex::new(Rank::Queue, state), queue: WaitQueue::new() })
    }

    /// A new end.
    pub(crate) fn end(self: &Arc<Self>, reads: bool, writes: bool, ino: u64) -> PipeEnd {
        let mut state = self.state.lock();
        state.readers += usize::from(reads);
        state.writers += usize::from(writes);
        state.opened.0 += u64::from(reads);
        state.opened.1 += u64::from(writes);
        drop(state);
        self.queue.wake(Events::ALL);
        PipeEnd { pipe: self.clone(), reads, writes, ino }
    }

    /// Whom to wake on any change.
    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Does anybody have it open for reading?
    pub(crate) fn has_readers(&self) -> bool {
        self.state.lock().readers > 0
    }

    /// Ends for reading and for writing that were ever opened.
    pub(crate) fn opened(&self) -> (u64, u64) {
        self.state.lock().opened
    }

    /// Has the other side come, for one who opened it to read (or to write)? Or was it there since [`Pipe::opened`] was `seen`?
    pub(crate) fn met(&self, reads: bool, seen: (u64, u64)) -> bool {
        let state = self.state.lock();
        if reads {
            state.writers > 0 || state.opened.1 != seen.1
        } else {
            state.readers > 0 || state.opened.0 != seen.0
        }
    }

    /// Bytes that could be written now; at least the first of [`PIPE_BUF`] bytes waits for all of them.
    ///
    /// # Errors
    /// `EPIPE` if nobody can read them, `EAGAIN` if there is no room.
    pub(crate) fn room(&self) -> Result<usize> {
        let state = self.state.lock();
        match state.capacity.saturating_sub(state.bytes.len()) {
            _ if state.readers == 0 => Err(Errno::EPIPE),
            0 => Err(Errno::EAGAIN),
            n => Ok(n),
        }
    }

    /// Puts bytes in, whether or not there is room: the caller has asked for [`Pipe::room`].
    pub(crate) fn push(&self, data: &[u8]) {
        self.state.lock().bytes.extend(data);
        self.queue.wake(Events::READ);
    }

    /// Up to `max` bytes from the front, which stay.
    ///
    /// # Errors
    /// `EAGAIN` if there are none yet. Without writers the answer is empty.
    pub(crate) fn peek(&self, max: usize) -> Result<Vec<u8>> {
        let state = self.state.lock();
        if state.bytes.is_empty() && state.writers > 0 {
            return Err(Errno::EAGAIN);
        }
        Ok(state.bytes.iter().take(max).copied().collect())
    }

    /// Takes up to `max` bytes off the front.
    ///
    /// # Errors
    /// `EAGAIN` if there are none yet. Without writers the answer is empty.
    pub(crate) fn take(&self, max: usize) -> Result<Vec<u8>> {
        let mut state = self.state.lock();
        if state.bytes.is_empty() && state.writers > 0 {
            return Err(Errno::EAGAIN);
        }
        let n = max.min(state.bytes.len());
        let bytes = state.bytes.drain(..n).collect();
        drop(state);
        self.queue.wake(Events::WRITE);
        Ok(bytes)
    }

    /// Puts bytes that [`Pipe::take`] gave, and that could not be used, back to the front.
    pub(crate) fn put_back(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        for b in bytes.iter().rev() {
            state.bytes.push_front(*b);
        }
        drop(state);
        self.queue.wake(Events::READ);
    }

    /// Bytes of room in all (`F_GETPIPE_SZ`).
    pub(crate) fn capacity(&self) -> usize {
        self.state.lock().capacity
    }

    /// Sets the room (`F_SETPIPE_SZ`); answers what it became.
    ///
    /// # Errors
    /// `EINVAL` for too much, `EPERM` if that needs privileges, `EBUSY` if what is in it does not fit.
    pub(crate) fn set_capacity(&self, size: u32, privileged: bool) -> Result<usize> {
        let size = size as usize;
        if size == 0 || size > 1 << 31 {
            return Err(Errno::EINVAL);
        }
        let size = size.max(PAGE).next_power_of_two();
        if size > CAPACITY_MAX && !privileged {
            return Err(Errno::EPERM);
        }
        let mut state = self.state.lock();
        if state.bytes.len() > size {
            return Err(Errno::EBUSY);
        }
        state.capacity = size;
        drop(state);
        self.queue.wake(Events::WRITE);
        Ok(size)
    }

    fn read(&self, out: &mut IovWriter<'_>) -> Result<usize> {
        if out.remaining() == 0 {
            return Ok(0);
        }
        let mut state = self.state.lock();
        if state.bytes.is_empty() {
            return if state.writers > 0 { Err(Errno::EAGAIN) } else { Ok(0) };
        }
        let n = out.remaining().min(state.bytes.len());
        let (front, back) = state.bytes.as_slices();
        let front = front.get(..n).unwrap_or(front);
        out.write(front)?;
        out.write(back.get(..n - front.len()).unwrap_or_default())?;
        state.bytes.drain(..n);
        drop(state);
        self.queue.wake(Events::WRITE);
        Ok(n)
    }

    fn write(&self, data: &mut IovReader<'_>) -> Result<usize> {
        let mut state = self.state.lock();
        let len = data.remaining();
        if len == 0 {
            return Ok(0);
        }
        if state.readers == 0 {
            return Err(Errno::EPIPE);
        }
        let room = state.capacity.saturating_sub(state.bytes.len());
        if room == 0 || len <= PIPE_BUF && room < len {
            return Err(Errno::EAGAIN);
        }
        let bytes = data.read_vec(room)?;
        state.bytes.extend(&bytes);
        drop(state);
        self.queue.wake(Events::READ);
        Ok(bytes.len())
    }

    fn poll(&self, reads: bool, writes: bool) -> Events {
        let state = self.state.lock();
        let mut ready = Events::EMPTY;
        if reads {
            if !state.bytes.is_empty() {
                ready |= Events::READ;
            }
            // Nobody has written yet: that is no end.
            if state.writers == 0 && state.opened.1 > 0 {
                ready |= Events::HUP;
            }
        }
        if writes {
            // Room for a write of `PIPE_BUF` bytes, as the manual page promises.
            if state.capacity.saturating_sub(state.bytes.len()) >= PIPE_BUF {
                ready |= Events::WRITE;
            }
            if state.readers == 0 {
                ready |= Events::ERR;
            }
        }
        ready
    }
}

/// An end of a pipe, for reading, for writing, or (of a FIFO) for both.
pub(crate) struct PipeEnd {
    pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
    ino: u64,
}

impl PipeEnd {
    pub(crate) fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }
}

impl File for PipeEnd {
    fn read(&self, out: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        self.pipe.read(out)
    }

    fn write(&self, data: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        self.pipe.write(data)
    }

    fn poll(&self) -> Events {
        self.pipe.poll(self.reads, self.writes)
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.pipe.queue
    }

    fn ioctl(&self, mem: &dyn UserMem, request: u32, arg: u64) -> Result<u64> {
        if request != FIONREAD {
            return Err(Errno::ENOTTY);
        }
        let n = self.pipe.state.lock().bytes.len();
        mem.write(arg, &(n as i32).to_ne_bytes())?;
        Ok(0)
    }

    fn mode(&self) -> u32 {
        S_IFIFO | 0o600
    }

    fn ino(&self) -> u64 {
        self.ino
    }

    fn release(&self) {
        let mut state = self.pipe.state.lock();
        state.readers -= usize::from(self.reads);
        state.writers -= usize::from(self.writes);
        if state.readers + state.writers == 0 {
            state.bytes.clear();
        }
        drop(state);
        self.pipe.queue.wake(Events::ALL | Events::ALWAYS);
    }
}

/// The pipe behind a file, if it is an end of one.
pub(crate) fn as_pipe(file: &dyn File) -> Option<&Arc<Pipe>> {
    file.downcast_ref::<PipeEnd>().map(PipeEnd::pipe)
}
