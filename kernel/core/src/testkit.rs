//! What the tests of this crate stand on: a host whose clock stands still until somebody sleeps to a deadline, memory,
//! parkers for real threads, and files and sockets that do as they are told.

use crate::epoll::EpollAt;
use crate::kernel::Kernel;
use crate::lowest::Lowest;
use crate::openfile::OpenFile;
use crate::process::{Process, Task};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::SeqCst};
use lkl_abi::socket::{AF_INET, SOCK_DGRAM, SOCK_STREAM};
use lkl_abi::{Errno, Result};
use lkl_file::{Control, File, IovReader, IovWriter, RecvMsg, SendMsg, Shutdown, SockAddr, SockOptions, Socket};
use lkl_ops::sim::Pending;
use lkl_ops::{FileKind, Host, Instant, Parker, SignalSource, UserMem, Woken};
use lkl_sync::{Events, WaitQueue};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A clock that a parker moves on, and the signals of a program.
#[derive(Default)]
pub(crate) struct Clock(AtomicU64, pub(crate) Arc<Pending>);

impl Clock {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, SeqCst);
    }
}

impl Host for Clock {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(SeqCst))
    }

    fn realtime(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn random(&self, buf: &mut [u8]) {
        buf.fill(7);
    }

    fn rearm(&self, _: Instant) {}

    fn kick(&self) {}

    fn signals(&self, mask: u64, ready: Arc<dyn Fn() + Send + Sync>) -> Result<Box<dyn SignalSource>> {
        Ok(self.1.source(mask, ready))
    }
}

/// A thread's place to sleep. Time moves on to the deadline when nothing happens for a moment.
pub(crate) struct Bed {
    clock: Arc<Clock>,
    state: Mutex<(bool, bool)>,
    changed: Condvar,
    pub(crate) sleeps: AtomicU32,
    /// Come back at once, however the wait is meant to go on.
    restless: bool,
}

impl Bed {
    pub(crate) fn new(clock: &Arc<Clock>, restless: bool) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            state: Mutex::new((false, false)),
            changed: Condvar::new(),
            sleeps: AtomicU32::new(0),
            restless,
        })
    }

    /// A signal handler runs.
    pub(crate) fn interrupt(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    /// Waits until the owner has gone to sleep `n` times.
    pub(crate) fn wait_asleep(&self, n: u32) {
        while self.sleeps.load(SeqCst) < n {
            std::thread::yield_now();
        }
    }
}

impl Parker for Bed {
    fn park(&self, deadline: Option<Instant>) -> Woken {
        if self.restless {
            return Woken::Interrupted;
        }
        self.sleeps.fetch_add(1, SeqCst);
        let mut state = self.state.lock().unwrap();
        loop {
            if std::mem::take(&mut state.1) {
                return Woken::Interrupted;
            }
            if std::mem::take(&mut state.0) {
                return Woken::Unparked;
            }
            match deadline {
                None => state = self.changed.wait(state).unwrap(),
                Some(deadline) => {
                    let (s, out) = self.changed.wait_timeout(state, Duration::from_millis(30)).unwrap();
                    state = s;
                    if out.timed_out() && !state.0 && !state.1 {
                        self.clock.0.fetch_max(deadline.as_nanos(), SeqCst);
                        return Woken::TimedOut;
                    }
                }
            }
        }
    }

    fn unpark(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
    }
}

/// Where the memory begins.
const BASE: u64 = 0x1_0000;

/// A program's memory, handed out from the front.
pub(crate) struct Mem {
    bytes: Mutex<Vec<u8>>,
    next: AtomicU64,
    /// Every so many-th access fails, if it is not 0.
    pub(crate) fault_every: AtomicU32,
    accesses: AtomicU32,
}

impl Mem {
    pub(crate) fn new(len: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::new(vec![0; len]),
            next: AtomicU64::new(BASE),
            fault_every: AtomicU32::new(0),
            accesses: AtomicU32::new(0),
        })
    }

    pub(crate) fn put(&self, data: &[u8]) -> u64 {
        let at = self.next.fetch_add((data.len() as u64).div_ceil(64) * 64 + 64, SeqCst);
        self.write(at, data).unwrap();
        at
    }

    pub(crate) fn zeros(&self, len: usize) -> u64 {
        self.put(&vec![0; len])
    }

    pub(crate) fn get(&self, addr: u64, len: usize) -> Vec<u8> {
        let mut b = vec![0; len];
        self.read(addr, &mut b).unwrap();
        b
    }

    pub(crate) fn int(&self, addr: u64) -> i32 {
        i32::from_ne_bytes(self.get(addr, 4).try_into().unwrap())
    }

    pub(crate) fn long(&self, addr: u64) -> u64 {
        u64::from_ne_bytes(self.get(addr, 8).try_into().unwrap())
    }

    fn fault(&self) -> Result<()> {
        let n = self.accesses.fetch_add(1, SeqCst);
        match self.fault_every.load(SeqCst) {
            0 => Ok(()),
            every if n % every == every - 1 => Err(Errno::EFAULT),
            _ => Ok(()),
        }
    }

    fn range(addr: u64, len: usize) -> Result<core::ops::Range<usize>> {
        let at = usize::try_from(addr.checked_sub(BASE).ok_or(Errno::EFAULT)?).map_err(|_| Errno::EFAULT)?;
        Ok(at..at.checked_add(len).ok_or(Errno::EFAULT)?)
    }
}

impl UserMem for Mem {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        self.fault()?;
        let bytes = self.bytes.lock().unwrap();
        buf.copy_from_slice(bytes.get(Self::range(addr, buf.len())?).ok_or(Errno::EFAULT)?);
        Ok(())
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        self.fault()?;
        let mut bytes = self.bytes.lock().unwrap();
        bytes.get_mut(Self::range(addr, data.len())?).ok_or(Errno::EFAULT)?.copy_from_slice(data);
        Ok(())
    }
}

/// A kernel with a process and a thread.
pub(crate) struct Rig {
    pub(crate) clock: Arc<Clock>,
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) mem: Arc<Mem>,
    pub(crate) process: Arc<Process>,
    pub(crate) bed: Arc<Bed>,
    pub(crate) task: Task,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(1 << 20, false)
    }

    pub(crate) fn with(memory: usize, restless: bool) -> Self {
        let clock = Arc::new(Clock::default());
        let kernel = Kernel::boot(clock.clone());
        let mem = Mem::new(memory);
        let process = kernel.process(100, mem.clone(), Arc::new(Lowest::with_limit(1024)));
        let bed = Bed::new(&clock, restless);
        let task = Kernel::task(&process, 100, bed.clone());
        Self { clock, kernel, mem, process, bed, task }
    }

    pub(crate) fn call(&self, number: usize, args: &[u64]) -> Result<u64> {
        call(&self.kernel, &self.task, number, args)
    }

    pub(crate) fn adopt(&self, file: Arc<dyn File>) -> u64 {
        let fd = self.process.numbers().alloc(FileKind::Socket, 0, false).unwrap();
        self.process.adopt(fd, OpenFile::new(file, 2)).unwrap();
        fd as u64
    }

    /// What an epoll instance has to tell, `max` events at most.
    pub(crate) fn epoll_ready(&self, epfd: u64, max: usize) -> Vec<(u32, u64)> {
        let mut found = Vec::new();
        let at = EpollAt::Number(epfd as i32);
        let count = self.kernel.epoll_ready(&self.task, at, max, |e| found.push((e.events, e.data)));
        assert_eq!(count, Ok(found.len()));
        found
    }

    /// Another thread of the process.
    pub(crate) fn thread(&self) -> (Task, Arc<Bed>) {
        let bed = Bed::new(&self.clock, false);
        (Kernel::task(&self.process, 101, bed.clone()), bed)
    }
}

pub(crate) fn call(kernel: &Kernel, task: &Task, number: usize, args: &[u64]) -> Result<u64> {
    let mut six = [0; 6];
    six[..args.len()].copy_from_slice(args);
    kernel.syscall(task, number, six)
}

/// A file that is as ready as it is told.
#[derive(Default)]
pub(crate) struct Lamp {
    ready: AtomicU32,
    queue: WaitQueue,
    pub(crate) released: AtomicU32,
}

impl Lamp {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub(crate) fn set(&self, ready: u32) {
        let old = self.ready.swap(ready, SeqCst);
        if ready & !old != 0 {
            self.queue.wake(Events(ready & !old));
        }
    }

    /// Something more happened, though it was ready before.
    pub(crate) fn again(&self) {
        self.queue.wake(Events(self.ready.load(SeqCst)));
    }
}

impl File for Lamp {
    fn read(&self, _: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EAGAIN)
    }

    fn write(&self, _: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EAGAIN)
    }

    fn poll(&self) -> Events {
        Events(self.ready.load(SeqCst))
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn mode(&self) -> u32 {
        0o140_777
    }

    fn ino(&self) -> u64 {
        1
    }

    fn release(&self) {
        self.released.fetch_add(1, SeqCst);
    }
}

/// One direction of a connection.
struct Channel {
    bytes: Mutex<(VecDeque<u8>, bool)>,
    room: usize,
}

/// What came beside the bytes: destination, control messages, flags.
pub(crate) type Sent = (Option<SockAddr>, Vec<Control>, u32);

/// A socket: one end of a stream of a small buffer, or a datagram socket with one queue, or a listening one.
pub(crate) struct Fake {
    kind: u32,
    rx: Arc<Channel>,
    tx: Arc<Channel>,
    queue: Arc<WaitQueue>,
    peer_queue: Arc<WaitQueue>,
    options: SockOptions,
    /// Control messages that each receive answers.
    pub(crate) control: Mutex<Vec<Control>>,
    /// What the last send brought.
    pub(crate) sent: Mutex<Option<Sent>>,
    /// Connections to accept.
    backlog: Mutex<VecDeque<Arc<Fake>>>,
    /// 0: connect goes on, else the errno it ends with, -1 for success.
    pub(crate) connected: AtomicI32,
    pub(crate) released: AtomicU32,
}

pub(crate) const ROOM: usize = 16;

impl Fake {
    fn make(
        kind: u32,
        rx: &Arc<Channel>,
        tx: &Arc<Channel>,
        queue: &Arc<WaitQueue>,
        peer: &Arc<WaitQueue>,
    ) -> Arc<Self> {
        Arc::new(Self {
            kind,
            rx: rx.clone(),
            tx: tx.clone(),
            queue: queue.clone(),
            peer_queue: peer.clone(),
            options: SockOptions::new(SockOptions::BUFFER_DEFAULT, SockOptions::BUFFER_DEFAULT),
            control: Mutex::new(Vec::new()),
            sent: Mutex::new(None),
            backlog: Mutex::new(VecDeque::new()),
            connected: AtomicI32::new(0),
            released: AtomicU32::new(0),
        })
    }

    fn pair_of(kind: u32, room: usize) -> (Arc<Self>, Arc<Self>) {
        let channel = || Arc::new(Channel { bytes: Mutex::default(), room });
        let (a, b) = (channel(), channel());
        let (qa, qb) = (Arc::new(WaitQueue::new()), Arc::new(WaitQueue::new()));
        (Self::make(kind, &a, &b, &qa, &qb), Self::make(kind, &b, &a, &qb, &qa))
    }

    /// Both ends of a stream that holds 16 bytes each way.
    pub(crate) fn stream() -> (Arc<Self>, Arc<Self>) {
        Self::pair_of(SOCK_STREAM, ROOM)
    }

    /// Two datagram sockets that send to each other. A datagram is 4 bytes at most here.
    pub(crate) fn datagram() -> (Arc<Self>, Arc<Self>) {
        Self::pair_of(SOCK_DGRAM, 4096)
    }

    /// A connection comes in.
    pub(crate) fn incoming(&self) {
        self.backlog.lock().unwrap().push_back(Self::stream().0);
        self.queue.wake(Events::READ);
    }

    pub(crate) fn finish_connect(&self, how: i32) {
        self.connected.store(how, SeqCst);
        self.queue.wake(Events::WRITE);
    }

    fn end(&self) {
        self.tx.bytes.lock().unwrap().1 = true;
        self.peer_queue.wake(Events::READ | Events::RDHUP | Events::WRITE);
    }
}

impl File for Fake {
    fn read(&self, _: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    fn write(&self, _: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    fn poll(&self) -> Events {
        let mut ready = Events::EMPTY;
        let rx = self.rx.bytes.lock().unwrap();
        if !rx.0.is_empty() || rx.1 || !self.backlog.lock().unwrap().is_empty() {
            ready |= Events::READ;
        }
        if rx.1 {
            ready |= Events::RDHUP;
        }
        drop(rx);
        if self.tx.bytes.lock().unwrap().0.len() < self.tx.room {
            ready |= Events::WRITE;
        }
        ready
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn mode(&self) -> u32 {
        0o140_777
    }

    fn ino(&self) -> u64 {
        77
    }

    fn release(&self) {
        self.released.fetch_add(1, SeqCst);
        self.end();
    }

    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }
}

fn address() -> SockAddr {
    SockAddr::Inet("10.0.0.9:99".parse().unwrap())
}

impl Socket for Fake {
    fn family(&self) -> u16 {
        AF_INET
    }

    fn kind(&self) -> u32 {
        self.kind
    }

    fn protocol(&self) -> u32 {
        6
    }

    fn options(&self) -> &SockOptions {
        &self.options
    }

    fn bind(&self, _: &SockAddr) -> Result<()> {
        Ok(())
    }

    fn connect(&self, _: &SockAddr) -> Result<()> {
        Err(Errno::EINPROGRESS)
    }

    fn connect_result(&self) -> Result<()> {
        match self.connected.load(SeqCst) {
            0 => Err(Errno::EAGAIN),
            -1 => Ok(()),
            n => Err(Errno(n)),
        }
    }

    fn listen(&self, _: i32) -> Result<()> {
        Ok(())
    }

    fn accept(&self) -> Result<(Arc<dyn File>, SockAddr)> {
        let new = self.backlog.lock().unwrap().pop_front().ok_or(Errno::EAGAIN)?;
        Ok((new, address()))
    }

    fn sendmsg(&self, msg: &mut SendMsg<'_>) -> Result<usize> {
        if self.rx.bytes.lock().unwrap().1 {
            return Err(Errno::EPIPE);
        }
        let mut tx = self.tx.bytes.lock().unwrap();
        let room = self.tx.room - tx.0.len().min(self.tx.room);
        if room == 0 {
            return Err(Errno::EAGAIN);
        }
        let data = if self.kind == SOCK_DGRAM {
            let mut four = msg.data.read_vec(4)?;
            four.resize(4, 0);
            four
        } else {
            msg.data.read_vec(room)?
        };
        tx.0.extend(&data);
        drop(tx);
        *self.sent.lock().unwrap() = Some((msg.name, msg.control.clone(), msg.flags));
        self.peer_queue.wake(Events::READ);
        Ok(data.len())
    }

    fn recvmsg(&self, msg: &mut RecvMsg<'_>) -> Result<usize> {
        self.options.take_error()?;
        let mut rx = self.rx.bytes.lock().unwrap();
        if rx.0.is_empty() {
            return if rx.1 { Ok(0) } else { Err(Errno::EAGAIN) };
        }
        let most = if self.kind == SOCK_DGRAM { 4 } else { usize::MAX };
        let n = rx.0.len().min(msg.data.remaining()).min(most);
        let data: Vec<u8> = rx.0.iter().copied().take(n).collect();
        msg.data.write(&data)?;
        if msg.flags & lkl_abi::socket::MSG_PEEK == 0 {
            let gone = if self.kind == SOCK_DGRAM { 4 } else { n };
            rx.0.drain(..gone);
        }
        drop(rx);
        if self.kind == SOCK_DGRAM {
            msg.name = Some(address());
        }
        msg.control = self.control.lock().unwrap().clone();
        self.peer_queue.wake(Events::WRITE);
        Ok(n)
    }

    fn shutdown(&self, _: Shutdown) -> Result<()> {
        self.end();
        Ok(())
    }

    fn local_addr(&self) -> Result<SockAddr> {
        Ok(address())
    }

    fn peer_addr(&self) -> Result<SockAddr> {
        Ok(address())
    }

    fn setsockopt(&self, _: i32, _: i32, _: &[u8]) -> Result<()> {
        Err(Errno::ENOPROTOOPT)
    }

    fn getsockopt(&self, level: i32, name: i32, _: &[u8]) -> Result<Vec<u8>> {
        match (level, name) {
            (6, 1) => Ok(7i32.to_ne_bytes().to_vec()),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.rx.bytes.lock().unwrap().0.len())
    }

    fn unsent_bytes(&self) -> Result<usize> {
        Ok(self.tx.bytes.lock().unwrap().0.len())
    }
}
