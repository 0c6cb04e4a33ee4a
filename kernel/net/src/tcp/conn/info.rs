//! What a connection tells of itself (`TCP_INFO`, `ss -i`).

use super::ecn::Accurate;
use super::{Connection, Recovery};
use crate::tcp::rare::{Beginning, Rare};
use crate::tcp::seq::BASE;
use core::time::Duration;
use lkl_ops::Instant;

/// Counts since the connection began.
#[derive(Default, Debug)]
pub(super) struct Totals {
    pub(super) segs_in: u32,
    pub(super) segs_out: u32,
    pub(super) data_segs_in: u32,
    pub(super) data_segs_out: u32,
    pub(super) repairs: Rare<Repairs>,
}

/// Those of them that only bad paths change.
#[derive(Clone, Debug)]
pub(super) struct Repairs {
    pub(super) bytes_retrans: u64,
    /// Bytes that were acknowledged by segments that told of marks of congestion.
    pub(super) delivered_ce: u64,
    pub(super) retrans: u32,
    pub(super) dsack_dups: u32,
    /// Time-outs, how often it began with one, and how long that lasted, in milliseconds.
    pub(super) rtos: (u16, u16),
    pub(super) rto_ms: u32,
    /// When the one began that is not over; zero: there is none.
    pub(super) rto_since: Instant,
}

impl Beginning for Repairs {
    const BEGINNING: &'static Self = &Self {
        bytes_retrans: 0,
        delivered_ce: 0,
        retrans: 0,
        dsack_dups: 0,
        rtos: (0, 0),
        rto_ms: 0,
        rto_since: Instant::ZERO,
    };
}

/// The numbers of `struct tcp_info`, in its units but for the times.
#[derive(Clone, Copy, Default, Debug)]
#[expect(missing_docs, reason = "each is named as in struct tcp_info")]
pub struct Info {
    pub state: u8,
    /// 0 open, 1 disorder, 3 recovery, 4 loss.
    pub ca_state: u8,
    pub retransmits: u8,
    pub probes: u8,
    pub backoff: u8,
    pub timestamps: bool,
    pub sack: bool,
    pub window_scaling: bool,
    pub ecn: bool,
    pub ecn_seen: bool,
    pub syn_data: bool,
    pub snd_wscale: u8,
    pub rcv_wscale: u8,
    pub rto: Duration,
    pub ato: Duration,
    pub snd_mss: u32,
    pub rcv_mss: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retrans: u32,
    pub last_data_sent: Duration,
    pub last_data_recv: Duration,
    pub last_ack_recv: Duration,
    pub pmtu_mss: u32,
    pub rcv_ssthresh: u32,
    pub rtt: Duration,
    pub rttvar: Duration,
    pub snd_ssthresh: u32,
    pub snd_cwnd: u32,
    pub advmss: u32,
    pub reordering: u32,
    pub rcv_rtt: Duration,
    pub rcv_space: u32,
    pub total_retrans: u32,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub segs_out: u32,
    pub segs_in: u32,
    pub notsent_bytes: u32,
    pub min_rtt: Option<Duration>,
    pub data_segs_in: u32,
    pub data_segs_out: u32,
    /// Bytes a second.
    pub delivery_rate: u64,
    pub delivery_rate_app_limited: bool,
    /// Bytes a second; all ones if there is none.
    pub pacing_rate: u64,
    /// Bytes a second; all ones if there is no limit.
    pub max_pacing_rate: u64,
    pub busy_time: Duration,
    pub rwnd_limited: Duration,
    pub sndbuf_limited: Duration,
    pub delivered: u32,
    pub delivered_ce: u32,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub dsack_dups: u32,
    pub reord_seen: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
    pub cwnd_limited: bool,
    pub total_rto: u16,
    pub total_rto_recoveries: u16,
    /// Milliseconds.
    pub total_rto_time: u32,
    pub received_ce: u32,
    /// Bytes of ECT(0), CE, ECT(1) that the peer tells of.
    pub delivered_ecn_bytes: [u32; 3],
    /// The same of what came.
    pub received_ecn_bytes: [u32; 3],
    pub accecn_fail_mode: u16,
    pub accecn_opt_seen: u16,
}

impl Connection {
    /// What BBR shows of itself, if that is the algorithm.
    pub fn bbr_info(&self) -> Option<crate::tcp::cong::BbrInfo> {
        self.tx.cc.info()
    }

    /// The numbers as they are now.
    pub fn info(&self, now: Instant) -> Info {
        let mss = self.tx.win.mss.max(1);
        let segments = |bytes: u64| u32::try_from(bytes.div_ceil(mss)).unwrap_or(u32::MAX);
        // What has no room for a whole segment lets none go.
        let whole = |bytes: u64| u32::try_from(bytes / mss).unwrap_or(u32::MAX).max(1);
        let word = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let board = &self.tx.board;
        let (unacked, sacked, resent) = (self.tx.nxt - self.tx.una, board.sacked_bytes(), board.resent_bytes());
        // As Linux counts: what was lost stays so until it is delivered, sent again or not.
        let lost = board.lost_bytes() + resent;
        let srtt = self.rtt.srtt().unwrap_or_default();
        // Each byte was sent for the first time once.
        let sent = self.tx.nxt.min(self.tx.queue.end()).saturating_sub(BASE + 1);
        const START: Accurate = Accurate::new(Instant::ZERO);
        let accurate = self.ecn.accurate.as_deref();
        let since_start = |bytes: &[u32; 3]| [0, 1, 2].map(|i: usize| bytes[i].wrapping_sub(START.bytes[i]));
        let (rate, rate_limited) = self.tx.rate.shown();
        let (busy_time, rwnd_limited, sndbuf_limited) = self.tx.chrono.times(now);
        Info {
            state: self.state as u8,
            ca_state: match self.tx.recovery {
                Recovery::Open if board.has_sacks() || self.tx.repair.dup_acks > 0 => 1,
                Recovery::Open => 0,
                Recovery::Cwr => 2,
                Recovery::Fast => 3,
                Recovery::Timeout => 4,
            },
            retransmits: self.tx.retries,
            probes: self.tx.probes,
            backoff: self.rtt.backoff(),
            timestamps: self.ts.on,
            sack: self.sack,
            window_scaling: self.tx.scale > 0 || self.rx.scale > 0,
            ecn: self.ecn.on,
            ecn_seen: self.ecn.seen,
            syn_data: self.fast.taken,
            snd_wscale: self.tx.scale,
            rcv_wscale: self.rx.scale,
            rto: self.rtt.rto(),
            ato: self.ack.ato(),
            snd_mss: word(self.tx.win.mss),
            rcv_mss: self.ack.mss,
            unacked: segments(unacked),
            sacked: segments(sacked),
            lost: segments(lost),
            retrans: segments(resent),
            last_data_sent: now.since(self.tx.last_sent),
            last_data_recv: now.since(self.ack.last_data),
            last_ack_recv: now.since(self.last_ack_recv),
            pmtu_mss: u32::from(self.tx.path_mss),
            rcv_ssthresh: self.window_space(),
            rtt: srtt,
            rttvar: self.rtt.var(),
            snd_ssthresh: if self.tx.win.ssthresh == u64::MAX { 0x7fff_ffff } else { whole(self.tx.win.ssthresh) },
            snd_cwnd: whole(self.tx.win.cwnd),
            advmss: u32::from(self.cfg.advertised_mss),
            reordering: word(board.reordering(mss, &self.cfg.tunables)),
            rcv_rtt: self.receiver_rtt().unwrap_or_default(),
            rcv_space: self.rx.space_max,
            total_retrans: self.total.repairs.retrans,
            bytes_acked: self.tx.una.saturating_sub(BASE + 1),
            bytes_received: self.rx.bytes(),
            segs_out: self.total.segs_out,
            segs_in: self.total.segs_in,
            notsent_bytes: word(self.unsent()),
            min_rtt: self.rtt.min(),
            data_segs_in: self.total.data_segs_in,
            data_segs_out: self.total.data_segs_out,
            delivery_rate: rate,
            delivery_rate_app_limited: rate_limited,
            pacing_rate: self.pacing_rate(),
            max_pacing_rate: self.cfg.settings.max_pacing_rate,
            busy_time,
            rwnd_limited,
            sndbuf_limited,
            delivered: segments(self.tx.rate.delivered),
            delivered_ce: segments(self.total.repairs.delivered_ce),
            bytes_sent: sent + self.total.repairs.bytes_retrans,
            bytes_retrans: self.total.repairs.bytes_retrans,
            dsack_dups: self.total.repairs.dsack_dups,
            reord_seen: board.reordering_seen(),
            snd_wnd: self.tx.window,
            rcv_wnd: word(self.rx.edge.saturating_sub(self.rx.nxt)),
            cwnd_limited: self.tx.cwnd_limited,
            total_rto: self.total.repairs.rtos.0,
            total_rto_recoveries: self.total.repairs.rtos.1,
            total_rto_time: self.total.repairs.rto_ms,
            received_ce: accurate.map_or(0, |a| a.came.wrapping_sub(START.came)),
            delivered_ecn_bytes: accurate.map_or([0; 3], |a| since_start(&a.told_bytes)),
            received_ecn_bytes: accurate.map_or([0; 3], |a| since_start(&a.bytes)),
            // What came back says that ours are destroyed on their way.
            accecn_fail_mode: accurate.map_or(0, |a| if a.broken { 2 } else { 0 }),
            accecn_opt_seen: accurate.map_or(0, |a| if a.option_seen { 2 } else { 1 }),
        }
    }
}
