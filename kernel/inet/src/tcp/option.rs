//! The options of a TCP socket (`man 7 tcp`).

use super::socket::{Phase, TcpSocket};
use crate::options::num::{IPV6_MULTICAST_HOPS, IPV6_MULTICAST_IF, IP_MULTICAST_IF, IP_MULTICAST_TTL};
use crate::sysctl::{Knob, Sysctl};
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use lkl_abi::socket::{SOL_SOCKET, SO_ACCEPTCONN};
use lkl_abi::{Errno, Result};
use lkl_net::tcp::{cong, EcnKind, Settings, State, Tunables};

/// Level of the options.
pub(super) const SOL_TCP: i32 = 6;
const SOL_IP: i32 = 0;
const SOL_IPV6: i32 = 41;

macro_rules! numbers {
    ($($name:ident = $n:literal;)*) => { $(pub(super) const $name: i32 = $n;)* };
}

numbers! {
    TCP_NODELAY = 1;
    TCP_MAXSEG = 2;
    TCP_CORK = 3;
    TCP_KEEPIDLE = 4;
    TCP_KEEPINTVL = 5;
    TCP_KEEPCNT = 6;
    TCP_SYNCNT = 7;
    TCP_LINGER2 = 8;
    TCP_DEFER_ACCEPT = 9;
    TCP_WINDOW_CLAMP = 10;
    TCP_INFO = 11;
    TCP_QUICKACK = 12;
    TCP_CONGESTION = 13;
    TCP_USER_TIMEOUT = 18;
    TCP_THIN_LINEAR_TIMEOUTS = 16;
    TCP_THIN_DUPACK = 17;
    TCP_REPAIR_QUEUE = 20;
    TCP_QUEUE_SEQ = 21;
    TCP_REPAIR_OPTIONS = 22;
    TCP_TIMESTAMP = 24;
    TCP_NOTSENT_LOWAT = 25;
    TCP_SAVE_SYN = 27;
    TCP_SAVED_SYN = 28;
    TCP_REPAIR_WINDOW = 29;
    TCP_ULP = 31;
    TCP_ZEROCOPY_RECEIVE = 35;
    TCP_TX_DELAY = 37;
    TCP_IS_MPTCP = 43;
    TCP_RTO_MAX_MS = 44;
    TCP_RTO_MIN_US = 45;
    TCP_DELACK_MAX_US = 46;
    TCP_REPAIR = 19;
    TCP_FASTOPEN = 23;
    TCP_CC_INFO = 26;
    TCP_FASTOPEN_CONNECT = 30;
    TCP_FASTOPEN_KEY = 33;
    TCP_FASTOPEN_NO_COOKIE = 34;
    TCP_INQ = 36;
}

/// The least of `TCP_RTO_MIN_US` and `TCP_DELACK_MAX_US`: two of Linux's ticks.
const LEAST_TIMEOUT_US: i32 = 8000;

/// Bits of `net.ipv4.tcp_recovery`.
const RECOVERY_STATIC_WINDOW: i64 = 2;
const RECOVERY_NO_DUP_THRESHOLD: i64 = 4;

fn int(value: &[u8]) -> Result<i32> {
    value.get(..4).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes).ok_or(Errno::EINVAL)
}

fn within(n: i32, low: i32, high: i32) -> Result<u32> {
    if (low..=high).contains(&n) {
        u32::try_from(n).map_err(|_| Errno::EINVAL)
    } else {
        Err(Errno::EINVAL)
    }
}

fn word(k: &Knob<1>) -> u32 {
    u32::try_from(k.get().max(0)).unwrap_or(u32::MAX)
}

fn half(k: &Knob<1>) -> u16 {
    u16::try_from(word(k)).unwrap_or(u16::MAX)
}

fn size(n: i64) -> u32 {
    u32::try_from(n.max(0)).unwrap_or(u32::MAX)
}

/// The ECN that a connection offers, and that by which it answers an offer (`net.ipv4.tcp_ecn`).
pub(super) fn ecn_kinds(s: &Sysctl) -> (EcnKind, EcnKind) {
    match s.tcp_ecn.get() {
        0 => (EcnKind::None, EcnKind::None),
        1 => (EcnKind::Classic, EcnKind::Classic),
        2 => (EcnKind::None, EcnKind::Classic),
        3 => (EcnKind::Accurate, EcnKind::Accurate),
        4 => (EcnKind::Classic, EcnKind::Accurate),
        _ => (EcnKind::None, EcnKind::Accurate),
    }
}

/// The options that a new socket has.
pub(super) fn default_settings(s: &Sysctl) -> Settings {
    let [_, wmem, _] = s.tcp_wmem.all();
    let [_, rmem, _] = s.tcp_rmem.all();
    let name = s.tcp_congestion_control.lock().clone();
    Settings {
        sndbuf: size(wmem),
        rcvbuf: size(rmem),
        rto_min: Duration::from_micros(word(&s.tcp_rto_min_us).into()),
        rto_max: Duration::from_millis(word(&s.tcp_rto_max_ms).into()),
        congestion: cong::canonical(&name).unwrap_or(cong::DEFAULT),
        ..Settings::default()
    }
}

/// The settings of the namespace that connections look at whenever they need them.
pub(super) fn tunables(s: &Sysctl) -> Tunables {
    let [_, _, wmem_max] = s.tcp_wmem.all();
    let [rmem_min, _, rmem_max] = s.tcp_rmem.all();
    let recovery = s.tcp_recovery.get();
    Tunables {
        keep_idle: secs(word(&s.tcp_keepalive_time)),
        keep_interval: secs(word(&s.tcp_keepalive_intvl)),
        keep_count: word(&s.tcp_keepalive_probes),
        fin_timeout: secs(word(&s.tcp_fin_timeout)),
        syn_retries: word(&s.tcp_syn_retries),
        syn_linear_timeouts: word(&s.tcp_syn_linear_timeouts),
        synack_retries: word(&s.tcp_synack_retries),
        retries1: word(&s.tcp_retries1),
        retries2: word(&s.tcp_retries2),
        orphan_retries: word(&s.tcp_orphan_retries),
        thin_linear_timeouts: s.tcp_thin_linear_timeouts.on(),
        notsent_lowat: word(&s.tcp_notsent_lowat),
        rmem_min: size(rmem_min),
        rcvbuf_max: size(rmem_max),
        sndbuf_max: size(wmem_max),
        moderate_rcvbuf: s.tcp_moderate_rcvbuf.on(),
        mtu_probing: word(&s.tcp_mtu_probing) as u8,
        base_mss: half(&s.tcp_base_mss),
        mtu_probe_floor: half(&s.tcp_mtu_probe_floor),
        min_snd_mss: half(&s.tcp_min_snd_mss),
        probe_interval: secs(word(&s.tcp_probe_interval)),
        probe_threshold: half(&s.tcp_probe_threshold),
        frto: s.tcp_frto.on(),
        ecn_fallback: s.tcp_ecn_fallback.on(),
        ecn_option: word(&s.tcp_ecn_option) as u8,
        ecn_option_beacon: word(&s.tcp_ecn_option_beacon) as u8,
        slow_start_after_idle: s.tcp_slow_start_after_idle.on(),
        dsack: s.tcp_dsack.on(),
        tail_loss_probes: matches!(s.tcp_early_retrans.get(), 3 | 4),
        reordering: word(&s.tcp_reordering),
        max_reordering: word(&s.tcp_max_reordering),
        static_reorder_window: recovery & RECOVERY_STATIC_WINDOW != 0,
        no_dup_threshold: recovery & RECOVERY_NO_DUP_THRESHOLD != 0,
        pacing_ss_ratio: word(&s.tcp_pacing_ss_ratio),
        pacing_ca_ratio: word(&s.tcp_pacing_ca_ratio),
        min_tso_segs: word(&s.tcp_min_tso_segs),
        tso_rtt_log: word(&s.tcp_tso_rtt_log),
        min_rtt_wlen: secs(word(&s.tcp_min_rtt_wlen)),
        invalid_ratelimit: Duration::from_millis(word(&s.tcp_invalid_ratelimit).into()),
        stdurg: s.tcp_stdurg.on(),
    }
}

fn secs(n: u32) -> Duration {
    Duration::from_secs(n.into())
}

/// The two bits of ECN are the stack's own on a stream: the value without them, if it is one that has them.
fn without_ecn(level: i32, name: i32, value: &[u8]) -> Option<Vec<u8>> {
    const IP_TOS: i32 = 1;
    const IPV6_TCLASS: i32 = 67;
    let n = match (level, name) {
        (SOL_IP, IP_TOS) => value.get(..4).map_or_else(|| value.first().map(|b| i32::from(*b)), |_| int(value).ok())?,
        (SOL_IPV6, IPV6_TCLASS) => int(value).ok().filter(|n| (0..=255).contains(n))?,
        _ => return None,
    };
    Some((n & !3).to_ne_bytes().to_vec())
}

/// How often a SYN-ACK is sent in so many seconds, and how many seconds so many last (`TCP_DEFER_ACCEPT`).
fn retries_and_back(secs: u32) -> u32 {
    let (mut period, mut step, mut n) = (1u32, 1u32, 1);
    if secs == 0 {
        return 0;
    }
    while secs > period && n < 255 {
        n += 1;
        step = (step * 2).min(120);
        period += step;
    }
    period
}

impl TcpSocket {
    /// Sends what an option held back.
    fn push(&self) {
        let mut inner = self.inner.lock();
        let now = self.net.now();
        if let Phase::Connection(c) = &mut inner.phase {
            c.push();
        }
        let work = self.collect(&mut inner, now);
        drop(inner);
        self.finish(work);
    }

    pub(super) fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        match level {
            SOL_TCP => {}
            // Neither is for a stream: nobody sends one to a group.
            SOL_IP if matches!(name, IP_MULTICAST_IF | IP_MULTICAST_TTL) => return Err(Errno::EINVAL),
            SOL_IPV6 if matches!(name, IPV6_MULTICAST_IF | IPV6_MULTICAST_HOPS) => return Err(Errno::ENOPROTOOPT),
            SOL_IP | SOL_IPV6 => {
                let bound = self.inner.lock().local.1 != 0;
                let masked = without_ecn(level, name, value);
                let done = self.inet.own().set(&self.net, level, name, masked.as_deref().unwrap_or(value), bound);
                self.inner.lock().route = None;
                return done;
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        if name == TCP_CONGESTION {
            if value.is_empty() {
                return Err(Errno::EINVAL);
            }
            let end = value.iter().position(|b| *b == 0).unwrap_or(value.len()).min(15);
            let text = core::str::from_utf8(value.get(..end).unwrap_or_default()).map_err(|_| Errno::ENOENT)?;
            let name = cong::canonical(text).ok_or(Errno::ENOENT)?;
            self.change_settings(|s| s.congestion = name);
            return Ok(());
        }
        if name == TCP_FASTOPEN_KEY {
            let keys = match (value.first_chunk::<16>(), value.len()) {
                (Some(key), 16) => (*key, None),
                (Some(key), 32) => (*key, value.last_chunk::<16>().copied()),
                _ => return Err(Errno::EINVAL),
            };
            self.inner.lock().fast_open.tell().keys = Some(keys);
            return Ok(());
        }
        if name == TCP_ULP {
            // There are none.
            return Err(if value.is_empty() { Errno::EINVAL } else { Errno::ENOENT });
        }
        let n = int(value)?;
        // Whether what is set by it can still have an effect.
        let early = || matches!(self.inner.lock().phase, Phase::Idle | Phase::Listen(_));
        let change = |f: &dyn Fn(&mut Settings)| {
            self.change_settings(f);
            Ok(())
        };
        match name {
            TCP_NODELAY => {
                self.change_settings(|s| s.nodelay = n != 0);
                if n != 0 {
                    self.push();
                }
                Ok(())
            }
            TCP_CORK => {
                self.change_settings(|s| s.cork = n != 0);
                if n == 0 {
                    self.push();
                }
                Ok(())
            }
            TCP_MAXSEG => {
                let n = if n == 0 { 0 } else { within(n, 88, 32_767)? };
                change(&|s| s.max_seg = n as u16)
            }
            TCP_KEEPIDLE => {
                let n = within(n, 1, 32_767)?;
                change(&|s| s.keep_idle = Some(secs(n)))
            }
            TCP_KEEPINTVL => {
                let n = within(n, 1, 32_767)?;
                change(&|s| s.keep_interval = Some(secs(n)))
            }
            TCP_KEEPCNT => {
                let n = within(n, 1, 127)?;
                change(&|s| s.keep_count = Some(n))
            }
            TCP_SYNCNT => {
                let n = within(n, 1, 127)?;
                change(&|s| s.syn_retries = Some(n))
            }
            TCP_LINGER2 => {
                let most = u64::try_from(self.net.sysctl().tcp_fin_timeout.get()).unwrap_or(60).max(120);
                let wait = match u64::try_from(n) {
                    Err(_) => Some(Duration::ZERO),
                    Ok(0) => None,
                    Ok(n) if n > most => Some(Duration::from_secs(120)),
                    Ok(n) => Some(Duration::from_secs(n)),
                };
                change(&|s| s.fin_timeout = wait)
            }
            TCP_DEFER_ACCEPT => {
                self.inner.lock().defer_accept_secs = retries_and_back(u32::try_from(n).unwrap_or(0));
                Ok(())
            }
            TCP_WINDOW_CLAMP => {
                if n == 0 && !matches!(self.inner.lock().phase, Phase::Idle) {
                    return Err(Errno::EINVAL);
                }
                let n = u32::try_from(n).unwrap_or(1);
                change(&|s| s.window_clamp = if n == 0 { 0 } else { n.max(1152) })
            }
            TCP_QUICKACK => {
                let mut inner = self.inner.lock();
                let now = self.net.now();
                match &mut inner.phase {
                    Phase::Connection(c) => c.quick_ack(n != 0),
                    _ => inner.no_quick_ack = n == 0,
                }
                let work = self.collect(&mut inner, now);
                drop(inner);
                self.finish(work);
                Ok(())
            }
            TCP_USER_TIMEOUT => {
                let n = u64::try_from(n).map_err(|_| Errno::EINVAL)?;
                change(&|s| s.user_timeout = Duration::from_millis(n))
            }
            TCP_THIN_LINEAR_TIMEOUTS => {
                let on = within(n, 0, 1)? != 0;
                change(&|s| s.thin_linear_timeouts = on)
            }
            // It has no effect on Linux either, since loss detection goes by time.
            TCP_THIN_DUPACK => within(n, 0, 1).map(drop),
            TCP_RTO_MAX_MS => {
                let n = within(n, 1000, 120_000)?;
                change(&|s| s.rto_max = Duration::from_millis(n.into()))
            }
            TCP_RTO_MIN_US => {
                let n = within(n, LEAST_TIMEOUT_US, 200_000)?;
                change(&|s| s.rto_min = Duration::from_micros(n.into()))
            }
            TCP_DELACK_MAX_US => {
                let n = within(n, LEAST_TIMEOUT_US, 200_000)?;
                change(&|s| s.delack_max = Duration::from_micros(n.into()))
            }
            TCP_SAVE_SYN => {
                let on = within(n, 0, 1)? != 0;
                self.inner.lock().rare().save_syn = on;
                Ok(())
            }
            TCP_TX_DELAY => {
                let n = within(n, 0, i32::MAX)?;
                self.inner.lock().rare().tx_delay = n;
                Ok(())
            }
            // Repairing needs a privilege that nobody has here: there is no state to be carried elsewhere.
            TCP_REPAIR | TCP_REPAIR_QUEUE | TCP_REPAIR_WINDOW | TCP_TIMESTAMP => Err(Errno::EPERM),
            TCP_QUEUE_SEQ if !matches!(self.inner.lock().phase, Phase::Idle) => Err(Errno::EPERM),
            TCP_QUEUE_SEQ | TCP_REPAIR_OPTIONS => Err(Errno::EINVAL),
            TCP_FASTOPEN => {
                let n = u32::try_from(n).ok().filter(|_| early()).ok_or(Errno::EINVAL)?;
                let most = u32::try_from(self.net.sysctl().somaxconn.get()).unwrap_or(u32::MAX);
                self.inner.lock().fast_open.tell().queue = n.min(most);
                Ok(())
            }
            TCP_FASTOPEN_CONNECT => {
                let on = within(n, 0, 1)? != 0;
                if self.net.sysctl().tcp_fastopen.get() & 1 == 0 {
                    return Err(Errno::EOPNOTSUPP);
                }
                let mut inner = self.inner.lock();
                if !matches!(inner.phase, Phase::Idle) {
                    return Err(Errno::EINVAL);
                }
                inner.fast_open.tell().connect = on;
                Ok(())
            }
            TCP_FASTOPEN_NO_COOKIE => {
                let on = within(n, 0, 1)? != 0;
                if !early() {
                    return Err(Errno::EINVAL);
                }
                self.inner.lock().fast_open.tell().no_cookie = on;
                Ok(())
            }
            TCP_NOTSENT_LOWAT => change(&|s| s.notsent_lowat = n as u32),
            TCP_INQ => {
                self.inq.store(within(n, 0, 1)? != 0, Relaxed);
                Ok(())
            }
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    pub(super) fn get_option(&self, level: i32, name: i32, given: &[u8]) -> Result<Vec<u8>> {
        let answer = |n: i64| Ok((n as i32).to_ne_bytes().to_vec());
        match level {
            SOL_TCP => {}
            SOL_SOCKET if name == SO_ACCEPTCONN => {
                return answer(matches!(self.inner.lock().phase, Phase::Listen(_)).into());
            }
            SOL_IP | SOL_IPV6 => {
                let tuple = self.inner.lock().tuple;
                let route = tuple.and_then(|t| self.current_route(&t));
                return self.inet.get(&self.net, level, name, route.as_deref());
            }
            SOL_SOCKET => return Err(Errno::ENOPROTOOPT),
            // What IPv4's own answers for a level that nobody knows.
            _ if self.family != lkl_file::sockaddr::AF_INET6 => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        let now = self.net.now();
        let inner = &mut *self.inner.lock();
        let connection = match &inner.phase {
            Phase::Connection(c) => Some(c),
            _ => None,
        };
        let s = connection.map_or(&*inner.settings, |c| c.settings());
        let t = &*self.net.tcp.tunables();
        let whole = |d: Duration| answer(i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
        match name {
            TCP_NODELAY => answer(s.nodelay.into()),
            TCP_CORK => answer(s.cork.into()),
            TCP_MAXSEG => match connection {
                Some(c) if !matches!(c.state(), State::Closed | State::SynSent) => answer(c.mss().into()),
                _ if s.max_seg > 0 => answer(s.max_seg.into()),
                _ => answer(536),
            },
            TCP_KEEPIDLE => whole(s.keep_idle(t)),
            TCP_KEEPINTVL => whole(s.keep_interval(t)),
            TCP_KEEPCNT => answer(s.keep_count(t).into()),
            TCP_SYNCNT => answer(s.syn_retries(t).into()),
            TCP_LINGER2 => match s.fin_timeout {
                Some(Duration::ZERO) => answer(-1),
                wait => whole(wait.unwrap_or(t.fin_timeout)),
            },
            TCP_DEFER_ACCEPT => answer(inner.defer_accept_secs.into()),
            TCP_WINDOW_CLAMP => answer(connection.map_or(s.window_clamp, |c| c.window_clamp()).into()),
            TCP_QUICKACK => answer(connection.map_or(!inner.no_quick_ack, |c| c.is_quick_ack()).into()),
            TCP_USER_TIMEOUT => answer(i64::try_from(s.user_timeout.as_millis()).unwrap_or(i64::MAX)),
            TCP_NOTSENT_LOWAT => answer(s.notsent_lowat.into()),
            TCP_INQ => answer(self.inq.load(Relaxed).into()),
            TCP_CONGESTION => {
                let mut b = s.congestion.as_bytes().to_vec();
                b.resize(16, 0);
                Ok(b)
            }
            TCP_THIN_LINEAR_TIMEOUTS => answer(s.thin_linear_timeouts.into()),
            TCP_THIN_DUPACK | TCP_IS_MPTCP | TCP_REPAIR => answer(0),
            TCP_RTO_MAX_MS => answer(i64::try_from(s.rto_max.as_millis()).unwrap_or(i64::MAX)),
            TCP_RTO_MIN_US => answer(i64::try_from(s.rto_min.as_micros()).unwrap_or(i64::MAX)),
            TCP_DELACK_MAX_US => answer(i64::try_from(s.delack_max.as_micros()).unwrap_or(i64::MAX)),
            TCP_SAVE_SYN => answer(inner.rare.as_ref().is_some_and(|r| r.save_syn).into()),
            TCP_SAVED_SYN => {
                let Some(rare) = &mut inner.rare else { return Ok(Vec::new()) };
                if rare.saved_syn.as_ref().is_some_and(|s| s.len() > given.len()) {
                    return Err(Errno::EINVAL);
                }
                Ok(rare.saved_syn.take().map_or_else(Vec::new, |s| s.into_vec()))
            }
            TCP_TX_DELAY => answer(inner.rare.as_ref().map_or(0, |r| r.tx_delay).into()),
            TCP_TIMESTAMP => answer(connection.map_or(0, |c| c.stamp_now(now)).into()),
            TCP_ULP => Ok(Vec::new()),
            // Nothing of ours is ever mapped.
            TCP_ZEROCOPY_RECEIVE | TCP_QUEUE_SEQ | TCP_REPAIR_QUEUE | TCP_REPAIR_WINDOW => Err(Errno::EINVAL),
            TCP_INFO => Ok(super::show::tcp_info(inner, now)),
            TCP_FASTOPEN => answer(inner.fast_open.queue.into()),
            TCP_FASTOPEN_CONNECT => answer(inner.fast_open.connect.into()),
            TCP_FASTOPEN_NO_COOKIE => answer(inner.fast_open.no_cookie.into()),
            TCP_FASTOPEN_KEY => {
                let (key, backup) = self.fast_open_keys(&inner.fast_open);
                Ok(key.into_iter().chain(backup).flatten().collect())
            }
            TCP_CC_INFO => Ok(connection.map_or_else(Vec::new, |c| super::show::cc_info(c))),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }
}
