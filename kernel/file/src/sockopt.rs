//! The options that sockets of all kinds share (`SOL_SOCKET`, `man 7 socket`): their state, read without a lock on a
//! packet's way. Setting and reading them by number is the system call layer's work.

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};
use core::time::Duration;

/// State of the options of `SOL_SOCKET`.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is the option of its name in man 7 socket")]
pub struct SockOptions {
    pub reuse_addr: AtomicBool,
    pub reuse_port: AtomicBool,
    pub keepalive: AtomicBool,
    pub broadcast: AtomicBool,
    pub dont_route: AtomicBool,
    pub oob_inline: AtomicBool,
    pub timestamp: AtomicBool,
    pub timestamp_ns: AtomicBool,
    pub timestamping: AtomicU32,
    /// Stamps are given in the form that came later (`SO_TIMESTAMP_NEW` and its like).
    pub timestamp_new: AtomicBool,
    pub zerocopy: AtomicBool,
    pub passcred: AtomicBool,
    pub rxq_ovfl: AtomicBool,
    pub no_check: AtomicBool,
    pub linger: AtomicBool,
    pub linger_secs: AtomicU32,
    pub priority: AtomicU32,
    pub mark: AtomicU32,
    pub bind_ifindex: AtomicU32,
    pub rcvlowat: AtomicU32,
    pub incoming_cpu: AtomicI32,
    /// In microseconds.
    pub busy_poll: AtomicU32,
    pub prefer_busy_poll: AtomicBool,
    pub tx_rehash: AtomicBool,
    /// `SO_TXTIME`: flags above the clock's number, and a bit that it was set. A queueing discipline would go by it, and there is none.
    pub txtime: AtomicU16,
    /// Of TCP and UDP; less than 0: off.
    pub peek_off: AtomicI32,
    pub max_pacing_rate: AtomicU64,
    /// As `getsockopt` gives it: twice what was set.
    pub sndbuf: AtomicU32,
    /// Was `SO_SNDBUF` set (which ends auto-tuning)?
    pub sndbuf_locked: AtomicBool,
    /// As `getsockopt` gives it: twice what was set.
    pub rcvbuf: AtomicU32,
    pub rcvbuf_locked: AtomicBool,
    /// Nanoseconds, 0 for none.
    pub rcvtimeo: AtomicU64,
    /// Nanoseconds, 0 for none.
    pub sndtimeo: AtomicU64,
    /// `SO_ERROR`: a positive errno that the next call takes.
    pub error: AtomicI32,
    /// Datagrams dropped for want of room (`SO_RXQ_OVFL`, `/proc/net/udp`).
    pub drops: AtomicU32,
    /// Somebody who wanted to send or connect was told to wait: `SIGIO` says when it can go on.
    pub no_space: AtomicBool,
    /// Callers that wait for bytes of a stream: they are told of them, not the owner of the file.
    pub readers: AtomicU32,
}

impl SockOptions {
    /// Linux's `net.core.rmem_default` and `wmem_default`.
    pub const BUFFER_DEFAULT: u32 = 212_992;
    /// Linux's `net.core.rmem_max` and `wmem_max`.
    pub const BUFFER_MAX: u32 = 212_992;

    /// A new socket's options, with its buffer sizes in bytes.
    pub fn new(sndbuf: u32, rcvbuf: u32) -> Self {
        Self {
            reuse_addr: AtomicBool::new(false),
            reuse_port: AtomicBool::new(false),
            keepalive: AtomicBool::new(false),
            broadcast: AtomicBool::new(false),
            dont_route: AtomicBool::new(false),
            oob_inline: AtomicBool::new(false),
            timestamp: AtomicBool::new(false),
            timestamp_ns: AtomicBool::new(false),
            timestamping: AtomicU32::new(0),
            timestamp_new: AtomicBool::new(false),
            zerocopy: AtomicBool::new(false),
            passcred: AtomicBool::new(false),
            rxq_ovfl: AtomicBool::new(false),
            no_check: AtomicBool::new(false),
            linger: AtomicBool::new(false),
            linger_secs: AtomicU32::new(0),
            priority: AtomicU32::new(0),
            mark: AtomicU32::new(0),
            bind_ifindex: AtomicU32::new(0),
            rcvlowat: AtomicU32::new(1),
            incoming_cpu: AtomicI32::new(-1),
            busy_poll: AtomicU32::new(0),
            prefer_busy_poll: AtomicBool::new(false),
            tx_rehash: AtomicBool::new(true),
            txtime: AtomicU16::new(0),
            peek_off: AtomicI32::new(-1),
            max_pacing_rate: AtomicU64::new(u64::MAX),
            sndbuf: AtomicU32::new(sndbuf),
            sndbuf_locked: AtomicBool::new(false),
            rcvbuf: AtomicU32::new(rcvbuf),
            rcvbuf_locked: AtomicBool::new(false),
            rcvtimeo: AtomicU64::new(0),
            sndtimeo: AtomicU64::new(0),
            error: AtomicI32::new(0),
            drops: AtomicU32::new(0),
            no_space: AtomicBool::new(false),
            readers: AtomicU32::new(0),
        }
    }

    /// Takes the pending error, if there is one.
    ///
    /// # Errors
    /// The pending error.
    pub fn take_error(&self) -> lkl_abi::Result<()> {
        if self.error.load(Relaxed) == 0 {
            return Ok(());
        }
        match self.error.swap(0, Relaxed) {
            0 => Ok(()),
            n => Err(lkl_abi::Errno(n)),
        }
    }

    /// Sets the pending error.
    pub fn set_error(&self, e: lkl_abi::Errno) {
        self.error.store(e.0, Relaxed);
    }

    /// How long a receiving call looks at the devices before it sleeps (`SO_BUSY_POLL`).
    pub fn busy_poll(&self) -> Duration {
        Duration::from_micros(self.busy_poll.load(Relaxed).into())
    }

    /// How long a receiving call may wait.
    pub fn receive_timeout(&self) -> Option<Duration> {
        Some(self.rcvtimeo.load(Relaxed)).filter(|n| *n > 0).map(Duration::from_nanos)
    }

    /// How long a sending call may wait.
    pub fn send_timeout(&self) -> Option<Duration> {
        Some(self.sndtimeo.load(Relaxed)).filter(|n| *n > 0).map(Duration::from_nanos)
    }

    /// A copy of the settings, for a connection that is made from a listening socket.
    pub fn inherit(&self) -> Self {
        let n = Self::new(self.sndbuf.load(Relaxed), self.rcvbuf.load(Relaxed));
        macro_rules! copy {
            ($($f:ident)*) => { $(n.$f.store(self.$f.load(Relaxed), Relaxed);)* };
        }
        copy!(reuse_addr reuse_port keepalive broadcast dont_route oob_inline timestamp timestamp_ns timestamping
            timestamp_new zerocopy
            passcred rxq_ovfl no_check linger linger_secs priority mark bind_ifindex rcvlowat busy_poll prefer_busy_poll tx_rehash txtime
            max_pacing_rate sndbuf_locked rcvbuf_locked rcvtimeo sndtimeo);
        n
    }
}
