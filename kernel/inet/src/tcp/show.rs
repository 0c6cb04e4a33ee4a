//! What `sock_diag`, `TCP_INFO` and `/proc/net/tcp` show.

use super::listen::Listener;
use super::socket::{Inner, Phase, TcpSocket};
use super::table::{Entry, Tuple};
use crate::Net;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use lkl_net::tcp::{Connection, Info, State};
use lkl_ops::Instant;
use std::net::IpAddr;
use std::sync::Arc;

/// A TCP socket as it is shown.
#[derive(Clone, Debug)]
pub struct TcpSockInfo {
    /// `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// `TCP_*` state number.
    pub state: u8,
    /// Our address.
    pub local: (IpAddr, u16),
    /// The peer's address.
    pub remote: (IpAddr, u16),
    /// The link it is bound to, 0 for none.
    pub ifindex: u32,
    /// Bytes to read; connections to accept of a listening socket.
    pub rx_queue: u32,
    /// Bytes not acknowledged; the backlog of a listening socket.
    pub tx_queue: u32,
    /// Which timer runs: 0 none, 1 retransmission, 2 keep-alive, 3 TIME_WAIT, 4 zero window probe.
    pub timer: u8,
    /// Until it fires.
    pub expires: Duration,
    /// Retransmissions in a row.
    pub retrans: u32,
    /// Inode number; 0 if no descriptor is left.
    pub ino: u64,
    /// Unique for ever (`SO_COOKIE`).
    pub cookie: u64,
    /// `SO_MARK`
    pub mark: u32,
    /// It takes IPv6 only.
    pub v6only: bool,
    /// `IP_TOS`
    pub tos: u8,
    /// `IPV6_TCLASS`
    pub tclass: u8,
    /// Bit 0: the receiving half is shut down, bit 1: the sending half.
    pub shutdown: u8,
    /// Size of the receive buffer.
    pub rcvbuf: u32,
    /// Size of the send buffer.
    pub sndbuf: u32,
    /// `struct tcp_info`, if it is a full socket.
    pub info: Option<Vec<u8>>,
    /// Congestion control algorithm, if it is a full socket.
    pub congestion: Option<&'static str>,
}

impl Net {
    /// All TCP sockets that stand in a table: listening ones, connections, those being made, and TIME_WAIT.
    pub fn tcp_sockets(&self) -> Vec<TcpSockInfo> {
        let now = self.now();
        let mut all: Vec<TcpSockInfo> = Vec::new();
        for s in self.tcp.listeners() {
            all.push(s.show(now));
            if let Phase::Listen(l) = &s.inner.lock().phase {
                show_requests(&s, l, now, &mut all);
            }
        }
        for (tuple, entry) in self.tcp.entries() {
            match entry {
                Entry::Connection(s) if !s.forsaken.load(Relaxed) => all.push(s.show(now)),
                Entry::Connection(_) | Entry::Request(_) => {}
                Entry::TimeWait(tw) => {
                    let mut shown = bare(tw.family, &tuple, State::TimeWait);
                    shown.timer = 3;
                    shown.expires = tw.deadline().since(now);
                    all.push(shown);
                }
            }
        }
        all
    }
}

fn show_requests(s: &Arc<TcpSocket>, l: &Listener, now: Instant, all: &mut Vec<TcpSockInfo>) {
    for (tuple, request) in l.requests() {
        let mut shown = bare(s.family, tuple, State::SynReceived);
        shown.timer = 1;
        shown.expires = request.time_left(now);
        shown.retrans = request.retries();
        all.push(shown);
    }
}

fn bare(family: u16, tuple: &Tuple, state: State) -> TcpSockInfo {
    let shown = |(ip, port): (IpAddr, u16)| {
        let ip = if family == lkl_file::sockaddr::AF_INET6 { crate::ip::map_v6(ip).into() } else { ip };
        (ip, port)
    };
    TcpSockInfo {
        family,
        state: state as u8,
        local: shown(tuple.local),
        remote: shown(tuple.remote),
        ifindex: tuple.scope,
        rx_queue: 0,
        tx_queue: 0,
        timer: 0,
        expires: Duration::ZERO,
        retrans: 0,
        ino: 0,
        cookie: 0,
        mark: 0,
        v6only: false,
        tos: 0,
        tclass: 0,
        shutdown: 0,
        rcvbuf: 0,
        sndbuf: 0,
        info: None,
        congestion: None,
    }
}

impl TcpSocket {
    fn show(&self, now: Instant) -> TcpSockInfo {
        let inner = self.inner.lock();
        let any = crate::ip::unspecified(inner.local.0.is_ipv6());
        let tuple = inner.tuple.unwrap_or_else(|| Tuple::new(inner.local, (any, 0), 0));
        let word = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let mut shown = bare(self.family, &tuple, State::Closed);
        if self.v6() && inner.local.0.is_unspecified() {
            // Not the IPv4-mapped form.
            shown.local.0 = crate::ip::unspecified(true);
            shown.remote.0 = crate::ip::unspecified(true);
        }
        shown.ino = if inner.released { 0 } else { self.ino };
        shown.cookie = self.ino;
        shown.ifindex = self.options.bind_ifindex.load(Relaxed);
        shown.mark = self.options.mark.load(Relaxed);
        shown.v6only = self.v6() && self.v6only();
        shown.tos = self.inet.tos.load(Relaxed) as u8;
        shown.tclass = self.inet.tclass6.load(Relaxed) as u8;
        shown.rcvbuf = self.options.rcvbuf.load(Relaxed);
        shown.sndbuf = self.options.sndbuf.load(Relaxed);
        shown.info = Some(tcp_info(&inner, now));
        shown.congestion = Some(inner.settings.congestion);
        match &inner.phase {
            Phase::Idle => {}
            Phase::Listen(l) => {
                shown.state = State::Listen as u8;
                shown.rx_queue = word(l.ready_len() as u64);
                shown.tx_queue = word(l.backlog() as u64);
            }
            Phase::Connection(c) => {
                shown.state = c.state() as u8;
                shown.rx_queue = word(c.queued() as u64);
                shown.tx_queue = word(c.unacknowledged());
                (shown.timer, shown.expires) = c.running_timer(now);
                let (retries, probes) = c.attempts();
                shown.retrans = retries.max(probes);
                shown.shutdown = u8::from(c.peer_closed()) | u8::from(c.write_closed()) << 1;
                shown.congestion = Some(c.congestion());
            }
        }
        shown
    }
}

/// `struct tcp_info` of a socket.
pub(super) fn tcp_info(inner: &Inner, now: Instant) -> Vec<u8> {
    let info = match &inner.phase {
        Phase::Connection(c) => c.info(now),
        Phase::Listen(l) => Info {
            state: State::Listen as u8,
            // Of a listening socket these two are the accept queue and its limit.
            unacked: l.ready_len() as u32,
            sacked: l.backlog() as u32,
            ..Info::default()
        },
        Phase::Idle => Info { state: State::Closed as u8, ..Info::default() },
    };
    layout(&info)
}

/// Writes `struct tcp_info` as Linux lays it out.
fn layout(i: &Info) -> Vec<u8> {
    let us = |d: Duration| u32::try_from(d.as_micros()).unwrap_or(u32::MAX);
    let ms = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
    let options = u8::from(i.timestamps) | u8::from(i.sack) << 1 | u8::from(i.window_scaling) << 2;
    let options = options | u8::from(i.ecn) << 3 | u8::from(i.ecn_seen) << 4 | u8::from(i.syn_data) << 5;
    let mut b = Vec::with_capacity(280);
    b.extend([i.state, i.ca_state, i.retransmits, i.probes, i.backoff, options]);
    // Two nibbles, then two bit fields: the delivery rate is limited by the program, and Fast Open's failures.
    b.extend([i.snd_wscale & 0xf | i.rcv_wscale << 4, u8::from(i.delivery_rate_app_limited)]);
    let words = [
        us(i.rto),
        us(i.ato),
        i.snd_mss,
        i.rcv_mss,
        i.unacked,
        i.sacked,
        i.lost,
        i.retrans,
        0,
        ms(i.last_data_sent),
        0,
        ms(i.last_data_recv),
        ms(i.last_ack_recv),
        i.pmtu_mss + 40,
        i.rcv_ssthresh,
        us(i.rtt),
        us(i.rttvar),
        i.snd_ssthresh,
        i.snd_cwnd,
        i.advmss,
        i.reordering,
        us(i.rcv_rtt),
        i.rcv_space,
        i.total_retrans,
    ];
    for w in words {
        b.extend(w.to_ne_bytes());
    }
    b.extend(i.pacing_rate.to_ne_bytes());
    b.extend(i.max_pacing_rate.to_ne_bytes());
    b.extend(i.bytes_acked.to_ne_bytes());
    b.extend(i.bytes_received.to_ne_bytes());
    for w in [i.segs_out, i.segs_in, i.notsent_bytes, i.min_rtt.map_or(u32::MAX, us), i.data_segs_in, i.data_segs_out] {
        b.extend(w.to_ne_bytes());
    }
    b.extend(i.delivery_rate.to_ne_bytes());
    for time in [i.busy_time, i.rwnd_limited, i.sndbuf_limited] {
        b.extend(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).to_ne_bytes());
    }
    for w in [i.delivered, i.delivered_ce] {
        b.extend(w.to_ne_bytes());
    }
    b.extend(i.bytes_sent.to_ne_bytes());
    b.extend(i.bytes_retrans.to_ne_bytes());
    for w in [i.dsack_dups, i.reord_seen, 0, i.snd_wnd, i.rcv_wnd, 0] {
        b.extend(w.to_ne_bytes());
    }
    for h in [i.total_rto, i.total_rto_recoveries] {
        b.extend(h.to_ne_bytes());
    }
    let ([d0, dce, d1], [r0, rce, r1]) = (i.delivered_ecn_bytes, i.received_ecn_bytes);
    for w in [i.total_rto_time, i.received_ce, d1, d0, dce, r1, r0, rce] {
        b.extend(w.to_ne_bytes());
    }
    for h in [i.accecn_fail_mode, i.accecn_opt_seen] {
        b.extend(h.to_ne_bytes());
    }
    b
}

/// What `TCP_CC_INFO` shows: `struct tcp_bbr_info` of BBR, nothing of the others.
pub(super) fn cc_info(c: &Connection) -> Vec<u8> {
    let Some(i) = c.bbr_info() else { return Vec::new() };
    let us = u32::try_from(i.min_rtt.as_micros()).unwrap_or(u32::MAX);
    let words = [i.bw as u32, (i.bw >> 32) as u32, us, i.pacing_gain, i.cwnd_gain];
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}
