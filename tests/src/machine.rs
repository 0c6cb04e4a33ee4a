//! A machine: kernel, process, memory.

use lkl_abi::{nr, Errno, Result};
use lkl_kernel::{Kernel, Lowest, Process, Task};
use lkl_ops::sim::{Link, SimDev, SimHost, Wire, World};
use lkl_ops::{Instant, NetDev, Parker, UserMem, Woken};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where the arena begins: what is below is not mapped.
const BASE: u64 = 0x1_0000;
/// How long the arena is, in bytes.
const SIZE: usize = 2 << 20;
/// The part for small structures.
const SCRATCH: u64 = BASE;
/// The part for data.
const DATA: u64 = BASE + 0x1_0000;

/// The memory of a process.
pub struct Arena(Mutex<Vec<u8>>);

impl Arena {
    fn with<T>(&self, addr: u64, len: usize, f: impl FnOnce(&mut [u8]) -> T) -> Result<T> {
        let at = addr.checked_sub(BASE).and_then(|a| usize::try_from(a).ok()).ok_or(Errno::EFAULT)?;
        let end = at.checked_add(len).ok_or(Errno::EFAULT)?;
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(f(memory.get_mut(at..end).ok_or(Errno::EFAULT)?))
    }
}

impl UserMem for Arena {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        self.with(addr, buf.len(), |m| buf.copy_from_slice(m))
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        self.with(addr, data.len(), |m| m.copy_from_slice(data))
    }
}

/// A thread that does not wait for long.
struct Impatient {
    world: World,
    token: AtomicBool,
}

impl Parker for Impatient {
    fn park(&self, deadline: Option<Instant>) -> Woken {
        let limit = self.world.now() + Duration::from_secs(1);
        let until = deadline.map_or(limit, |d| d.min(limit));
        if self.world.run_until(Some(until), || self.token.swap(false, Ordering::AcqRel)) {
            Woken::Unparked
        } else if Some(until) == deadline {
            Woken::TimedOut
        } else {
            Woken::Interrupted
        }
    }

    fn unpark(&self) {
        self.token.store(true, Ordering::Release);
    }
}

/// A kernel on a simulated host with one process of one thread.
pub struct Machine {
    /// The host.
    pub host: Arc<SimHost>,
    /// The kernel.
    pub kernel: Arc<Kernel>,
    /// The process.
    pub process: Arc<Process>,
    /// Its thread.
    pub task: Task,
    /// Its memory.
    pub memory: Arc<Arena>,
}

impl Machine {
    /// Boots a kernel in `world`.
    pub fn new(world: &World) -> Self {
        let host = world.host();
        let kernel = Kernel::boot(host.clone());
        let serving = Arc::downgrade(&kernel);
        host.serve(move || serving.upgrade().and_then(|k| k.service()));
        let memory = Arc::new(Arena(Mutex::new(vec![0; SIZE])));
        let process = kernel.process(1, memory.clone(), Arc::new(Lowest::new()));
        let task = Kernel::task(&process, 1, world.parker());
        Self { host, kernel, process, task, memory }
    }

    /// Has every call that waits for longer than a second come back as if a signal had come.
    pub fn impatient(&mut self) {
        let parker = Arc::new(Impatient { world: self.host.world().clone(), token: AtomicBool::new(false) });
        self.task = Kernel::task(&self.process, 1, parker);
    }

    /// Adds a device, with addresses, and puts it up. Gives its index.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn plug(&self, dev: &Arc<SimDev>, addresses: &[(IpAddr, u8)]) -> u32 {
        let net = self.kernel.net();
        let index = net.link_add(dev.clone() as Arc<dyn NetDev>).expect("the device is taken");
        for &(ip, bits) in addresses {
            let mut address = lkl_inet::IfAddr::new(index, ip, bits);
            // Nobody else is there: no duplicate address detection.
            address.flags |= IFA_F_NODAD;
            net.addr_add(address, false).expect("the address is taken");
        }
        net.link_set_up(index, true).expect("the link goes up");
        index
    }

    /// Two machines on one wire: 10.0.0.1 and fd00::1, 10.0.0.2 and fd00::2.
    pub fn pair(world: &World, wire: &Wire) -> (Self, Self, Link) {
        let (a, b) = (Self::new(world), Self::new(world));
        let link = world.link(&a.host, &b.host, wire);
        for (m, dev, last) in [(&a, &link.a, 1), (&b, &link.b, 2)] {
            let index = m.plug(dev, &addresses(last));
            m.kernel.net().link_set_mtu(index, wire.mtu as u32).expect("the wire's MTU is one for a link");
        }
        (a, b, link)
    }

    /// A system call.
    pub fn call(&self, number: usize, args: [u64; 6]) -> Result<u64> {
        self.kernel.syscall(&self.task, number, args)
    }

    /// Puts bytes where calls may point: answers the address.
    pub fn put(&self, data: &[u8]) -> u64 {
        self.memory.write(DATA, data).expect("the arena is great enough");
        DATA
    }

    /// Reads back what a call left at [`Machine::put`]'s address.
    pub fn get(&self, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        self.memory.read(DATA, &mut data).expect("the arena is great enough");
        data
    }

    /// `socket(2)`, with `SOCK_NONBLOCK` in `kind` if wanted.
    pub fn socket(&self, family: u16, kind: u32, protocol: u32) -> Result<i32> {
        self.call(nr::SOCKET, [u64::from(family), u64::from(kind), u64::from(protocol), 0, 0, 0]).map(|fd| fd as i32)
    }

    fn with_address(&self, number: usize, fd: i32, to: SocketAddr) -> Result<()> {
        let raw = sockaddr(to);
        self.memory.write(SCRATCH, &raw)?;
        self.call(number, [fd as u64, SCRATCH, raw.len() as u64, 0, 0, 0]).map(|_| ())
    }

    /// `bind(2)`
    pub fn bind(&self, fd: i32, at: SocketAddr) -> Result<()> {
        self.with_address(nr::BIND, fd, at)
    }

    /// `connect(2)`
    pub fn connect(&self, fd: i32, to: SocketAddr) -> Result<()> {
        self.with_address(nr::CONNECT, fd, to)
    }

    /// `listen(2)`
    pub fn listen(&self, fd: i32, backlog: i32) -> Result<()> {
        self.call(nr::LISTEN, [fd as u64, backlog as u64, 0, 0, 0, 0]).map(|_| ())
    }

    /// `accept4(2)`; a non-blocking socket if `nonblock`.
    pub fn accept(&self, fd: i32, nonblock: bool) -> Result<i32> {
        let flags = if nonblock { u64::from(NONBLOCK) } else { 0 };
        self.call(nr::ACCEPT4, [fd as u64, 0, 0, flags, 0, 0]).map(|fd| fd as i32)
    }

    /// `send(2)`
    pub fn send(&self, fd: i32, data: &[u8], flags: u32) -> Result<usize> {
        let at = self.put(data);
        self.call(nr::SENDTO, [fd as u64, at, data.len() as u64, u64::from(flags), 0, 0]).map(|n| n as usize)
    }

    /// `sendto(2)`
    pub fn send_to(&self, fd: i32, data: &[u8], to: SocketAddr) -> Result<usize> {
        self.send_to_with(fd, data, 0, to)
    }

    /// `sendto(2)` with flags.
    pub fn send_to_with(&self, fd: i32, data: &[u8], flags: u32, to: SocketAddr) -> Result<usize> {
        let (at, raw) = (self.put(data), sockaddr(to));
        self.memory.write(SCRATCH, &raw)?;
        self.call(nr::SENDTO, [fd as u64, at, data.len() as u64, u64::from(flags), SCRATCH, raw.len() as u64])
            .map(|n| n as usize)
    }

    /// `recv(2)`
    pub fn recv(&self, fd: i32, len: usize, flags: u32) -> Result<Vec<u8>> {
        let n = self.call(nr::RECVFROM, [fd as u64, DATA, len as u64, u64::from(flags), 0, 0])?;
        Ok(self.get(n as usize))
    }

    /// `shutdown(2)`
    pub fn shutdown(&self, fd: i32, how: u32) -> Result<()> {
        self.call(nr::SHUTDOWN, [fd as u64, u64::from(how), 0, 0, 0, 0]).map(|_| ())
    }

    /// `close(2)`
    pub fn close(&self, fd: i32) -> Result<()> {
        self.call(nr::CLOSE, [fd as u64, 0, 0, 0, 0, 0]).map(|_| ())
    }

    /// `setsockopt(2)` with an `int`.
    pub fn set(&self, fd: i32, level: u32, option: u32, value: i32) -> Result<()> {
        self.memory.write(SCRATCH, &value.to_le_bytes())?;
        self.call(nr::SETSOCKOPT, [fd as u64, u64::from(level), u64::from(option), SCRATCH, 4, 0]).map(|_| ())
    }

    /// `getsockopt(2)` of an `int`.
    pub fn option(&self, fd: i32, level: u32, option: u32) -> Result<i32> {
        self.memory.write(SCRATCH, &4u32.to_le_bytes())?;
        self.call(nr::GETSOCKOPT, [fd as u64, u64::from(level), u64::from(option), SCRATCH + 8, SCRATCH, 0])?;
        let mut value = [0; 4];
        self.memory.read(SCRATCH + 8, &mut value)?;
        Ok(i32::from_le_bytes(value))
    }

    /// `poll(2)` of one descriptor, which blocks for `ms`.
    pub fn poll(&self, fd: i32, events: u16, ms: i32) -> Result<u16> {
        let mut entry = [0; 8];
        for (to, from) in entry.iter_mut().zip(fd.to_le_bytes().into_iter().chain(events.to_le_bytes())) {
            *to = from;
        }
        self.memory.write(SCRATCH, &entry)?;
        let mut time = [0; 16];
        for (to, from) in time.iter_mut().zip(
            (i64::from(ms) / 1000).to_le_bytes().into_iter().chain((i64::from(ms % 1000) * 1_000_000).to_le_bytes()),
        ) {
            *to = from;
        }
        self.memory.write(SCRATCH + 16, &time)?;
        self.call(nr::PPOLL, [SCRATCH, 1, SCRATCH + 16, 0, 0, 0])?;
        self.memory.read(SCRATCH, &mut entry)?;
        let [.., low, high] = entry;
        Ok(u16::from_le_bytes([low, high]))
    }
}

/// `AF_INET`
pub const INET: u16 = 2;
/// `AF_INET6`
pub const INET6: u16 = 10;
/// `SOCK_NONBLOCK`
pub const NONBLOCK: u32 = 0o4000;
const IFA_F_NODAD: u32 = 2;

/// The addresses of the machine with number `last`.
pub fn addresses(last: u8) -> [(IpAddr, u8); 2] {
    [(IpAddr::from([10, 0, 0, last]), 24), (IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)]), 64)]
}

/// A `struct sockaddr_in` or `struct sockaddr_in6`.
pub fn sockaddr(addr: SocketAddr) -> Vec<u8> {
    let mut raw = Vec::new();
    match addr {
        SocketAddr::V4(a) => {
            raw.extend(INET.to_le_bytes());
            raw.extend(a.port().to_be_bytes());
            raw.extend(a.ip().octets());
            raw.extend([0; 8]);
        }
        SocketAddr::V6(a) => {
            raw.extend(INET6.to_le_bytes());
            raw.extend(a.port().to_be_bytes());
            raw.extend(a.flowinfo().to_be_bytes());
            raw.extend(a.ip().octets());
            raw.extend(a.scope_id().to_le_bytes());
        }
    }
    raw
}
