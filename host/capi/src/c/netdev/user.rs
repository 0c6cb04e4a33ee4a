//! A device that a program makes of its own functions.
//!
//! A thread waits in its `poll`, reads what there is, and has the kernel look at it. `tx` is called by whoever sends.

use super::super::instance::{lock, Instance};
use super::super::types::NetDevice;
use core::ffi::{c_int, c_uint, c_void};
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use core::time::Duration;
use lkl_abi::{Errno, Result};
use lkl_host::netdev::vnet;
use lkl_host::RealHost;
use lkl_ops::{Features, Host, NetDev, RxFrame, TxFrame};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::JoinHandle;

/// Answers of `poll`.
const POLL_RX: c_int = 1;
const POLL_HUP: c_int = 4;

/// Bits of `offload`: `LKL_VIRTIO_NET_F_*`.
const CSUM: c_uint = 1;
const HOST_TSO4: c_uint = 1 << 11;
const HOST_TSO6: c_uint = 1 << 12;

/// The longest frame, with the headers of 64 KiB of IP.
const FRAME: usize = 65_536 + 64;
/// Frames that wait for the kernel at most.
const QUEUE_MAX: usize = 1024;

/// A pointer that another thread may use.
struct Shared(*mut NetDevice);

// SAFETY: who adds a device lets the library use it from any thread.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// See the module's text.
pub(super) struct UserDev {
    nd: Shared,
    mac: [u8; 6],
    features: Features,
    header: bool,
    host: Arc<RealHost>,
    frames: Mutex<VecDeque<RxFrame>>,
    room: Condvar,
    /// It is removed: its functions are called no more. Held for reading while one is.
    gone: RwLock<bool>,
    stop: AtomicBool,
    poller: Mutex<Option<JoinHandle<()>>>,
}

impl UserDev {
    pub(super) fn new(instance: &Instance, nd: *mut NetDevice, mac: Option<[u8; 6]>, offload: c_uint) -> Arc<Self> {
        // SAFETY: it was checked when it was added.
        let (own, header) = unsafe { ((*nd).mac, (*nd).has_vnet_hdr & 1 != 0) };
        let own = Some(own).filter(|mac| *mac != [0; 6] && mac[0] & 1 == 0);
        let mac = mac.or(own).unwrap_or_else(|| {
            let mut random = [0; 6];
            instance.host.random(&mut random);
            // Of a single station, and locally administered.
            random[0] = random[0] & !1 | 2;
            random
        });
        let has = |bit: c_uint| header && offload & bit != 0;
        Arc::new(Self {
            nd: Shared(nd),
            mac,
            features: Features {
                tx_checksum: has(CSUM),
                tso4: has(CSUM) && has(HOST_TSO4),
                tso6: has(CSUM) && has(HOST_TSO6),
            },
            header,
            host: instance.host.clone(),
            frames: Mutex::default(),
            room: Condvar::new(),
            gone: RwLock::new(false),
            stop: AtomicBool::new(false),
            poller: Mutex::default(),
        })
    }

    /// Begins to wait for frames.
    pub(super) fn start(self: &Arc<Self>) -> Result<()> {
        let dev = self.clone();
        let builder = std::thread::Builder::new().name("lkl-netdev".into()).stack_size(256 << 10);
        let poller = builder.spawn(move || dev.run()).map_err(|_| Errno::EAGAIN)?;
        *lock(&self.poller) = Some(poller);
        Ok(())
    }

    /// Calls none of its functions any more, once this has come back.
    pub(super) fn stop(&self) {
        self.stop.store(true, SeqCst);
        self.room.notify_all();
        // SAFETY: it is still there.
        let hup = unsafe { (*(*self.nd.0).ops).poll_hup };
        let poller = lock(&self.poller).take();
        if let Some(hup) = hup {
            // SAFETY: as the header asks for.
            unsafe { hup(self.nd.0) };
            if let Some(poller) = poller {
                let _ended = poller.join();
            }
        }
        *self.gone.write().unwrap_or_else(std::sync::PoisonError::into_inner) = true;
    }

    fn run(&self) {
        // SAFETY: it was checked when it was added.
        let Some(poll) = (unsafe { (*(*self.nd.0).ops).poll }) else { return };
        let mut buffer = vec![0u8; FRAME];
        while !self.stop.load(SeqCst) {
            // SAFETY: as the header asks for.
            let events = unsafe { poll(self.nd.0) };
            if events < 0 || events & POLL_HUP != 0 {
                return;
            }
            let mut any = false;
            while events & POLL_RX != 0 && self.take(&mut buffer) {
                any = true;
            }
            if any {
                self.host.kick();
            } else {
                // Room to send, which nobody waits for.
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }

    /// Reads one frame into the queue; `false` if there is none.
    fn take(&self, buffer: &mut [u8]) -> bool {
        let mut header = [0u8; vnet::LONGEST];
        let mut iov = [
            libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: header.len() },
            libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() },
        ];
        let (skip, iov) = if self.header { (header.len(), &mut iov[..]) } else { (0, &mut iov[1..]) };
        // SAFETY: the pieces are memory of our own, of the lengths given; it was checked that there is an `rx`.
        let n = unsafe {
            match (*(*self.nd.0).ops).rx {
                Some(rx) => rx(self.nd.0, iov.as_mut_ptr(), iov.len() as c_int),
                None => -1,
            }
        };
        let Some(len) = usize::try_from(n).ok().and_then(|n| n.checked_sub(skip)) else { return false };
        let Some(data) = buffer.get(..len).filter(|data| !data.is_empty()) else { return n > 0 };
        let Some((checksum, gso)) = vnet::parse(&header) else { return true };
        let frame = RxFrame { data: data.to_vec().into(), checksum, gso };
        let mut frames = lock(&self.frames);
        if frames.len() >= QUEUE_MAX {
            self.host.kick();
        }
        while frames.len() >= QUEUE_MAX && !self.stop.load(SeqCst) {
            let wait = self.room.wait_timeout(frames, Duration::from_millis(100));
            frames = wait.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        frames.push_back(frame);
        true
    }
}

impl NetDev for UserDev {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn features(&self) -> Features {
        self.features
    }

    fn driver(&self) -> &'static str {
        "virtio_net"
    }

    fn send(&self, frame: &TxFrame<'_>) -> Result<()> {
        let gone = self.gone.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *gone {
            return Err(Errno::ENODEV);
        }
        let mut header = vnet::emit(frame.checksum, frame.gso);
        let mut iov: Vec<libc::iovec> = Vec::with_capacity(frame.parts.len() + 1);
        if self.header {
            iov.push(libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: header.len() });
        }
        let piece = |p: &&[u8]| libc::iovec { iov_base: p.as_ptr().cast_mut().cast::<c_void>(), iov_len: p.len() };
        iov.extend(frame.parts.iter().map(piece));
        let len: usize = iov.iter().map(|v| v.iov_len).sum();
        // SAFETY: the pieces are memory that is there until it returns, and that it does not write, as the header says.
        let sent = unsafe {
            match (*(*self.nd.0).ops).tx {
                Some(tx) => tx(self.nd.0, iov.as_mut_ptr(), iov.len() as c_int),
                None => -1,
            }
        };
        match usize::try_from(sent) {
            Err(_) => Err(Errno::EAGAIN),
            // Some count the header, others do not.
            Ok(n) if n == len || self.header && n + vnet::LONGEST == len => Ok(()),
            Ok(_) => Err(Errno::EIO),
        }
    }

    fn recv(&self) -> Result<RxFrame> {
        let mut frames = lock(&self.frames);
        let frame = frames.pop_front().ok_or(Errno::EAGAIN)?;
        if frames.len() + 1 == QUEUE_MAX {
            self.room.notify_one();
        }
        Ok(frame)
    }
}
