//! What a connection is told: at its birth ([`Config`]), by the program's options ([`Settings`]), and by the settings of
//! its namespace, which may change at any time ([`Tunables`]).

use super::rtt::{RTO_MAX, RTO_MIN};
use core::time::Duration;
use std::sync::Arc;

/// What is fixed when a connection begins.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// Initial sequence number.
    pub iss: u32,
    /// Added to the millisecond clock to give `TSval` (RFC 7323, section 5.4).
    pub ts_offset: u32,
    /// Most bytes that the path takes after an IP and a TCP header without options (path MTU - 40 or 60).
    pub path_mss: u16,
    /// The MSS that we announce (link MTU - 40 or 60).
    pub advertised_mss: u16,
    /// Offer window scaling (`net.ipv4.tcp_window_scaling`).
    pub window_scaling: bool,
    /// Offer timestamps (`net.ipv4.tcp_timestamps`).
    pub timestamps: bool,
    /// Offer SACK (`net.ipv4.tcp_sack`).
    pub sack: bool,
    /// The ECN to offer, or to answer an offer by (`net.ipv4.tcp_ecn`).
    pub ecn: EcnKind,
    /// RFC 7413: what the SYN says, and how much data goes with it.
    pub fast_open: Option<Box<FastOpen>>,
    /// The program's options; mostly all connections have the same.
    pub settings: Arc<Settings>,
    /// The settings of the namespace, which all its connections have.
    pub tunables: Arc<Tunables>,
}

/// Which explicit congestion notification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum EcnKind {
    /// None.
    #[default]
    None,
    /// That of RFC 3168: one echo in a round trip time.
    Classic,
    /// That of RFC 9768: marks are counted. Whoever has it knows the classic one too.
    Accurate,
}

/// Fast Open, of the side that opens (RFC 7413, section 3.1).
#[derive(Clone, Debug)]
pub struct FastOpen {
    /// The cookie, or an empty one to ask for one; `None`: no option.
    pub cookie: Option<super::segment::Cookie>,
    /// The most bytes of data in the SYN.
    pub data: u16,
}

/// What the program may change at any time. Defaults are Linux's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `TCP_NODELAY`
    pub nodelay: bool,
    /// `TCP_CORK`
    pub cork: bool,
    /// `TCP_MAXSEG`; 0 if it was not set.
    pub max_seg: u16,
    /// `SO_KEEPALIVE`
    pub keepalive: bool,
    /// `TCP_KEEPIDLE`; here and below, `None` is what the namespace has.
    pub keep_idle: Option<Duration>,
    /// `TCP_KEEPINTVL`
    pub keep_interval: Option<Duration>,
    /// `TCP_KEEPCNT`
    pub keep_count: Option<u32>,
    /// `TCP_SYNCNT`
    pub syn_retries: Option<u32>,
    /// `TCP_LINGER2`: how long an orphan stays in FIN_WAIT2. Zero: not at all.
    pub fin_timeout: Option<Duration>,
    /// `TCP_USER_TIMEOUT`; zero means that the number of retransmissions decides.
    pub user_timeout: Duration,
    /// `TCP_THIN_LINEAR_TIMEOUTS`
    pub thin_linear_timeouts: bool,
    /// The least retransmission time-out (`net.ipv4.tcp_rto_min_us` when the socket was made).
    pub rto_min: Duration,
    /// The greatest (`net.ipv4.tcp_rto_max_ms`, or `TCP_RTO_MAX_MS`).
    pub rto_max: Duration,
    /// `TCP_DELACK_MAX_US`: the most that an acknowledgement waits.
    pub delack_max: Duration,
    /// `TCP_WINDOW_CLAMP`; 0 if it was not set.
    pub window_clamp: u32,
    /// `TCP_NOTSENT_LOWAT`, in bytes; 0 if it was not set.
    pub notsent_lowat: u32,
    /// `SO_OOBINLINE`
    pub oob_inline: bool,
    /// `SO_SNDBUF`, in bytes.
    pub sndbuf: u32,
    /// It was set by the program, so it does not grow.
    pub sndbuf_locked: bool,
    /// `SO_RCVBUF`, in bytes. The window is half of it.
    pub rcvbuf: u32,
    /// It was set by the program, so it does not grow.
    pub rcvbuf_locked: bool,
    /// `SO_RCVLOWAT`
    pub rcvlowat: u32,
    /// `SO_MAX_PACING_RATE`, in bytes a second; all ones if there is no limit.
    pub max_pacing_rate: u64,
    /// `TCP_CONGESTION`
    pub congestion: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodelay: false,
            cork: false,
            max_seg: 0,
            keepalive: false,
            keep_idle: None,
            keep_interval: None,
            keep_count: None,
            syn_retries: None,
            fin_timeout: None,
            user_timeout: Duration::ZERO,
            thin_linear_timeouts: false,
            rto_min: RTO_MIN,
            rto_max: RTO_MAX,
            delack_max: Duration::from_millis(200),
            window_clamp: 0,
            notsent_lowat: 0,
            oob_inline: false,
            sndbuf: 16_384,
            sndbuf_locked: false,
            rcvbuf: 131_072,
            rcvbuf_locked: false,
            rcvlowat: 1,
            max_pacing_rate: u64::MAX,
            congestion: super::cong::DEFAULT,
        }
    }
}

/// Settings of the namespace, as they are now: `net.ipv4.tcp_NAME` where nothing else is said. Defaults are Linux's.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is the setting of its name in ip-sysctl.rst")]
pub struct Tunables {
    /// `tcp_keepalive_time`
    pub keep_idle: Duration,
    /// `tcp_keepalive_intvl`
    pub keep_interval: Duration,
    /// `tcp_keepalive_probes`
    pub keep_count: u32,
    pub fin_timeout: Duration,
    pub syn_retries: u32,
    /// So many time-outs of a SYN are not doubled; they are not among `syn_retries`.
    pub syn_linear_timeouts: u32,
    pub synack_retries: u32,
    /// After so many the path is suspected.
    pub retries1: u32,
    pub retries2: u32,
    /// 0 means 8, as on Linux.
    pub orphan_retries: u32,
    pub thin_linear_timeouts: bool,
    pub notsent_lowat: u32,
    /// The first of `tcp_rmem`: so many bytes a connection may hold in any case.
    pub rmem_min: u32,
    /// The third of `tcp_rmem`.
    pub rcvbuf_max: u32,
    /// The third of `tcp_wmem`: how far a send buffer grows.
    pub sndbuf_max: u32,
    pub moderate_rcvbuf: bool,
    /// 0 never, 1 after a black hole was found, 2 always.
    pub mtu_probing: u8,
    pub base_mss: u16,
    pub mtu_probe_floor: u16,
    pub min_snd_mss: u16,
    pub probe_interval: Duration,
    pub probe_threshold: u16,
    pub frto: bool,
    /// A SYN that is sent again does not offer ECN.
    pub ecn_fallback: bool,
    /// Accurate ECN's option: 0 never, 1 when there is something to tell, 2 with each segment.
    pub ecn_option: u8,
    /// So often in a round trip time it is sent at least, if that is 1.
    pub ecn_option_beacon: u8,
    pub slow_start_after_idle: bool,
    pub dsack: bool,
    /// `tcp_early_retrans`: tail loss probes are sent.
    pub tail_loss_probes: bool,
    /// Duplicates that stand for a loss, before any reordering is seen.
    pub reordering: u32,
    pub max_reordering: u32,
    /// `tcp_recovery`, bit 1: RACK's window does not grow.
    pub static_reorder_window: bool,
    /// `tcp_recovery`, bit 2: the number of duplicates does not count.
    pub no_dup_threshold: bool,
    /// Percent.
    pub pacing_ss_ratio: u32,
    /// Percent.
    pub pacing_ca_ratio: u32,
    pub min_tso_segs: u32,
    pub tso_rtt_log: u32,
    /// How long a least round trip time counts.
    pub min_rtt_wlen: Duration,
    /// Least time between two answers to segments that do not fit (RFC 5961, section 7).
    pub invalid_ratelimit: Duration,
    /// The urgent pointer is that of RFC 1122.
    pub stdurg: bool,
}

impl Default for Tunables {
    fn default() -> Self {
        Self {
            keep_idle: Duration::from_secs(7200),
            keep_interval: Duration::from_secs(75),
            keep_count: 9,
            fin_timeout: Duration::from_secs(60),
            syn_retries: 6,
            syn_linear_timeouts: 4,
            synack_retries: 5,
            retries1: 3,
            retries2: 15,
            orphan_retries: 0,
            thin_linear_timeouts: false,
            notsent_lowat: u32::MAX,
            rmem_min: 4096,
            rcvbuf_max: 6_291_456,
            sndbuf_max: 4_194_304,
            moderate_rcvbuf: true,
            mtu_probing: 0,
            base_mss: 1024,
            mtu_probe_floor: 48,
            min_snd_mss: 48,
            probe_interval: Duration::from_secs(600),
            probe_threshold: 8,
            frto: true,
            ecn_fallback: true,
            ecn_option: 2,
            ecn_option_beacon: 3,
            slow_start_after_idle: true,
            dsack: true,
            tail_loss_probes: true,
            reordering: 3,
            max_reordering: 300,
            static_reorder_window: false,
            no_dup_threshold: false,
            pacing_ss_ratio: 200,
            pacing_ca_ratio: 120,
            min_tso_segs: 2,
            tso_rtt_log: 9,
            min_rtt_wlen: Duration::from_secs(300),
            invalid_ratelimit: Duration::from_millis(500),
            stdurg: false,
        }
    }
}

impl Settings {
    /// So many bytes may wait unsent before the program is told to stop writing.
    pub(super) fn unsent_limit(&self, t: &Tunables) -> u32 {
        match self.notsent_lowat {
            0 => t.notsent_lowat,
            n => n,
        }
    }

    /// So long nothing is heard of the peer before it is asked (`TCP_KEEPIDLE`).
    pub fn keep_idle(&self, t: &Tunables) -> Duration {
        self.keep_idle.unwrap_or(t.keep_idle)
    }

    /// And so long between two such questions (`TCP_KEEPINTVL`).
    pub fn keep_interval(&self, t: &Tunables) -> Duration {
        self.keep_interval.unwrap_or(t.keep_interval)
    }

    /// So many of them are not answered by a peer that is gone (`TCP_KEEPCNT`).
    pub fn keep_count(&self, t: &Tunables) -> u32 {
        self.keep_count.unwrap_or(t.keep_count)
    }

    /// How often a SYN is sent again (`TCP_SYNCNT`).
    pub fn syn_retries(&self, t: &Tunables) -> u32 {
        self.syn_retries.unwrap_or(t.syn_retries)
    }

    /// The window that a receive buffer of `rcvbuf` bytes stands for, in bytes.
    pub(super) fn window_space(&self, rcvbuf: u32) -> u32 {
        let space = (rcvbuf / 2).max(1152);
        match self.window_clamp {
            0 => space,
            clamp => space.min(clamp),
        }
    }

    /// The window of a SYN: whole segments, if there is room for one, and never scaled (RFC 7323, section 2.2).
    pub(super) fn syn_window(&self, mss: u16) -> u16 {
        let space = self.window_space(self.rcvbuf);
        let mss = u32::from(mss.max(1));
        let whole = if space > mss { space / mss * mss } else { space };
        whole.min(65_535) as u16
    }

    /// The scale to announce, so that the buffer may grow as far as it is let (RFC 7323, section 2.3).
    pub(super) fn window_scale(&self, t: &Tunables) -> u8 {
        let mut most = if self.rcvbuf_locked { self.rcvbuf } else { self.rcvbuf.max(t.rcvbuf_max) };
        if self.window_clamp > 0 {
            most = most.min(self.window_clamp);
        }
        most.max(1).ilog2().saturating_sub(15).min(14) as u8
    }
}
