//! What a connection is told: at its birth ([`Config`]) and by the program's options ([`Settings`]).

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
    /// Offer ECN, or answer such an offer (`net.ipv4.tcp_ecn`).
    pub ecn: bool,
    /// RFC 7413: what the SYN says, and how much data goes with it.
    pub fast_open: Option<FastOpen>,
    /// The program's options; mostly all connections have the same.
    pub settings: Arc<Settings>,
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
    /// `TCP_KEEPIDLE`
    pub keep_idle: Duration,
    /// `TCP_KEEPINTVL`
    pub keep_interval: Duration,
    /// `TCP_KEEPCNT`
    pub keep_count: u32,
    /// `TCP_SYNCNT`
    pub syn_retries: u32,
    /// `net.ipv4.tcp_synack_retries`
    pub synack_retries: u32,
    /// `net.ipv4.tcp_retries1`: after so many the path is suspected.
    pub retries1: u32,
    /// `net.ipv4.tcp_retries2`
    pub retries2: u32,
    /// `net.ipv4.tcp_orphan_retries`; 0 means 8, as on Linux.
    pub orphan_retries: u32,
    /// `TCP_USER_TIMEOUT`; zero means that the number of retransmissions decides.
    pub user_timeout: Duration,
    /// `TCP_LINGER2`, `net.ipv4.tcp_fin_timeout`: how long an orphan stays in FIN_WAIT2. `None`: not at all.
    pub fin_timeout: Option<Duration>,
    /// `TCP_WINDOW_CLAMP`; 0 if it was not set.
    pub window_clamp: u32,
    /// `TCP_NOTSENT_LOWAT`, in bytes; 0 if it was not set.
    pub notsent_lowat: u32,
    /// `net.ipv4.tcp_notsent_lowat`, in bytes: what holds if it was not set.
    pub notsent_lowat_default: u32,
    /// `SO_OOBINLINE`
    pub oob_inline: bool,
    /// `SO_SNDBUF`, in bytes.
    pub sndbuf: u32,
    /// It was set by the program, so it does not grow.
    pub sndbuf_locked: bool,
    /// The third of `net.ipv4.tcp_wmem`: how far it grows.
    pub sndbuf_max: u32,
    /// `SO_RCVBUF`, in bytes. The window is half of it.
    pub rcvbuf: u32,
    /// It was set by the program, so it does not grow.
    pub rcvbuf_locked: bool,
    /// The third of `net.ipv4.tcp_rmem`.
    pub rcvbuf_max: u32,
    /// `SO_RCVLOWAT`
    pub rcvlowat: u32,
    /// `net.ipv4.tcp_mtu_probing`: 0 never, 1 after a black hole was found, 2 always.
    pub mtu_probing: u8,
    /// `net.ipv4.tcp_base_mss`
    pub base_mss: u16,
    /// `net.ipv4.tcp_frto`
    pub frto: bool,
    /// `net.ipv4.tcp_ecn_fallback`: a SYN that is sent again does not offer ECN.
    pub ecn_fallback: bool,
    /// `net.ipv4.tcp_slow_start_after_idle`
    pub slow_start_after_idle: bool,
    /// `net.ipv4.tcp_moderate_rcvbuf`
    pub moderate_rcvbuf: bool,
    /// `net.ipv4.tcp_dsack`
    pub dsack: bool,
    /// `net.ipv4.tcp_early_retrans`: tail loss probes are sent.
    pub tail_loss_probes: bool,
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
            keep_idle: Duration::from_secs(7200),
            keep_interval: Duration::from_secs(75),
            keep_count: 9,
            syn_retries: 6,
            synack_retries: 5,
            retries1: 3,
            retries2: 15,
            orphan_retries: 0,
            user_timeout: Duration::ZERO,
            fin_timeout: Some(Duration::from_secs(60)),
            window_clamp: 0,
            notsent_lowat: 0,
            notsent_lowat_default: u32::MAX,
            oob_inline: false,
            sndbuf: 16_384,
            sndbuf_locked: false,
            sndbuf_max: 4_194_304,
            rcvbuf: 131_072,
            rcvbuf_locked: false,
            rcvbuf_max: 6_291_456,
            rcvlowat: 1,
            mtu_probing: 0,
            base_mss: 1024,
            frto: true,
            ecn_fallback: true,
            slow_start_after_idle: true,
            moderate_rcvbuf: true,
            dsack: true,
            tail_loss_probes: true,
            max_pacing_rate: u64::MAX,
            congestion: super::cong::DEFAULT,
        }
    }
}

impl Settings {
    /// So many bytes may wait unsent before the program is told to stop writing.
    pub(super) fn unsent_limit(&self) -> u32 {
        match self.notsent_lowat {
            0 => self.notsent_lowat_default,
            n => n,
        }
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
    pub(super) fn window_scale(&self) -> u8 {
        let mut most = if self.rcvbuf_locked { self.rcvbuf } else { self.rcvbuf.max(self.rcvbuf_max) };
        if self.window_clamp > 0 {
            most = most.min(self.window_clamp);
        }
        most.max(1).ilog2().saturating_sub(15).min(14) as u8
    }
}
