//! The settings below `/proc/sys/net`: typed, read without a lock on a packet's way, and by name as text
//! (`man 7 ip`, `man 7 tcp`, Linux's `ip-sysctl.rst`).

use core::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use lkl_abi::{Errno, Result};
use lkl_sync::{Mutex, Rank};

/// A setting of `N` numbers.
#[derive(Debug)]
pub struct Knob<const N: usize> {
    values: [AtomicI64; N],
    min: i64,
    max: i64,
}

impl<const N: usize> Knob<N> {
    fn new(values: [i64; N], min: i64, max: i64) -> Self {
        Self { values: values.map(AtomicI64::new), min, max }
    }

    /// All its numbers.
    pub fn all(&self) -> [i64; N] {
        core::array::from_fn(|i| self.values[i].load(Relaxed))
    }

    /// Sets all its numbers.
    pub fn set_all(&self, values: [i64; N]) {
        for (to, from) in self.values.iter().zip(values) {
            to.store(from, Relaxed);
        }
    }
}

impl Knob<1> {
    /// Its number.
    pub fn get(&self) -> i64 {
        self.values[0].load(Relaxed)
    }

    /// Is it not zero?
    pub fn on(&self) -> bool {
        self.get() != 0
    }

    /// Sets its number.
    pub fn set(&self, value: i64) {
        self.values[0].store(value, Relaxed);
    }
}

/// A setting as text.
trait Text {
    fn text(&self) -> String;
    fn set_text(&self, text: &str) -> Result<()>;
    /// What it takes, for messages.
    fn expected(&self) -> String;
}

/// A number as Linux reads it: decimal, or with `0x` or `0` before it.
fn number(word: &str) -> Option<i64> {
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits.get(1..)?, 8),
        None => (digits, 10),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let n = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -n } else { n })
}

impl<const N: usize> Text for Knob<N> {
    fn text(&self) -> String {
        let words: Vec<String> = self.all().iter().map(i64::to_string).collect();
        words.join("\t")
    }

    fn set_text(&self, text: &str) -> Result<()> {
        let mut values = self.all();
        let mut words = text.split_ascii_whitespace();
        for value in &mut values {
            let Some(word) = words.next() else { break };
            let n = number(word).ok_or(Errno::EINVAL)?;
            if n < self.min || n > self.max {
                return Err(Errno::EINVAL);
            }
            *value = n;
        }
        if text.trim().is_empty() {
            return Err(Errno::EINVAL);
        }
        self.set_all(values);
        Ok(())
    }

    fn expected(&self) -> String {
        let count = if N == 1 { "a number".to_owned() } else { format!("{N} numbers") };
        format!("{count} from {} to {}", self.min, self.max)
    }
}

impl Text for Mutex<String> {
    fn text(&self) -> String {
        self.lock().clone()
    }

    fn set_text(&self, text: &str) -> Result<()> {
        text.clone_into(&mut self.lock());
        Ok(())
    }

    fn expected(&self) -> String {
        "a name".to_owned()
    }
}

const INT_MAX: i64 = i32::MAX as i64;
const INT_MIN: i64 = i32::MIN as i64;
const UINT_MAX: i64 = u32::MAX as i64;
/// Linux counts these seconds in ticks, 250 of them in one.
const SECONDS_MAX: i64 = INT_MAX / 250;

macro_rules! knobs {
    ($(#[$doc:meta])* $ty:ident { $($field:ident $n:literal $path:literal = $default:expr, $min:expr, $max:expr;)* }) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[expect(missing_docs, reason = "each is the setting of its name in ip-sysctl.rst")]
        pub struct $ty {
            $(pub $field: Knob<$n>,)*
        }

        impl Default for $ty {
            fn default() -> Self {
                Self { $($field: Knob::new($default, $min, $max),)* }
            }
        }

        impl $ty {
            fn knob(&self, path: &str) -> Option<&dyn Text> {
                match path {
                    $($path => Some(&self.$field),)*
                    _ => None,
                }
            }

            /// The names.
            pub const NAMES: &'static [&'static str] = &[$($path,)*];

            /// A setting as text, without a newline.
            pub fn get(&self, path: &str) -> Option<String> {
                self.knob(path).map(Text::text)
            }

            /// What a setting takes, for messages.
            pub fn expected(&self, path: &str) -> Option<String> {
                self.knob(path).map(Text::expected)
            }

            /// Sets a setting from text.
            ///
            /// # Errors
            /// `ENOENT`, `EINVAL`.
            pub fn set(&self, path: &str, text: &str) -> Result<()> {
                self.knob(path).ok_or(Errno::ENOENT)?.set_text(text)
            }
        }
    };
}

knobs! {
    /// Settings of the whole network namespace that are numbers. The names are below `net/`.
    Knobs {
        rmem_default 1 "core/rmem_default" = [212_992], 2304, INT_MAX;
        rmem_max 1 "core/rmem_max" = [212_992], 2304, INT_MAX;
        wmem_default 1 "core/wmem_default" = [212_992], 4608, INT_MAX;
        wmem_max 1 "core/wmem_max" = [212_992], 4608, INT_MAX;
        somaxconn 1 "core/somaxconn" = [4096], 0, INT_MAX;
        busy_poll 1 "core/busy_poll" = [0], 0, INT_MAX;
        busy_read 1 "core/busy_read" = [0], 0, INT_MAX;
        optmem_max 1 "core/optmem_max" = [131_072], 0, INT_MAX;
        netdev_max_backlog 1 "core/netdev_max_backlog" = [1000], 0, INT_MAX;
        ip_forward 1 "ipv4/ip_forward" = [0], 0, 1;
        ip_default_ttl 1 "ipv4/ip_default_ttl" = [64], 1, 255;
        ip_local_port_range 2 "ipv4/ip_local_port_range" = [32_768, 60_999], 0, 65_535;
        ip_unprivileged_port_start 1 "ipv4/ip_unprivileged_port_start" = [1024], 0, 65_535;
        ip_no_pmtu_disc 1 "ipv4/ip_no_pmtu_disc" = [0], 0, 3;
        ip_nonlocal_bind 1 "ipv4/ip_nonlocal_bind" = [0], 0, 1;
        ip_autobind_reuse 1 "ipv4/ip_autobind_reuse" = [0], 0, 1;
        ip_early_demux 1 "ipv4/ip_early_demux" = [1], 0, 1;
        ipfrag_high_thresh 1 "ipv4/ipfrag_high_thresh" = [4_194_304], 0, INT_MAX;
        ipfrag_low_thresh 1 "ipv4/ipfrag_low_thresh" = [3_145_728], 0, INT_MAX;
        ipfrag_time 1 "ipv4/ipfrag_time" = [30], 1, 3600;
        icmp_echo_ignore_all 1 "ipv4/icmp_echo_ignore_all" = [0], 0, 1;
        icmp_echo_ignore_broadcasts 1 "ipv4/icmp_echo_ignore_broadcasts" = [1], 0, 1;
        icmp_ratelimit 1 "ipv4/icmp_ratelimit" = [1000], 0, INT_MAX;
        icmp_ratemask 1 "ipv4/icmp_ratemask" = [6168], 0, INT_MAX;
        icmp_msgs_per_sec 1 "ipv4/icmp_msgs_per_sec" = [1000], 0, INT_MAX;
        icmp_msgs_burst 1 "ipv4/icmp_msgs_burst" = [50], 0, INT_MAX;
        ping_group_range 2 "ipv4/ping_group_range" = [0, 2_147_483_647], 0, 4_294_967_294;
        igmp_max_memberships 1 "ipv4/igmp_max_memberships" = [20], 0, INT_MAX;
        udp_rmem_min 1 "ipv4/udp_rmem_min" = [4096], 0, INT_MAX;
        udp_wmem_min 1 "ipv4/udp_wmem_min" = [4096], 0, INT_MAX;
        udp_mem 3 "ipv4/udp_mem" = [381_024, 508_032, 762_048], 0, INT_MAX;
        min_pmtu 1 "ipv4/route/min_pmtu" = [552], 68, 65_535;
        mtu_expires 1 "ipv4/route/mtu_expires" = [600], 0, INT_MAX;
        gc_thresh1 1 "ipv4/neigh/default/gc_thresh1" = [128], 0, INT_MAX;
        gc_thresh2 1 "ipv4/neigh/default/gc_thresh2" = [512], 0, INT_MAX;
        gc_thresh3 1 "ipv4/neigh/default/gc_thresh3" = [1024], 0, INT_MAX;
        tcp_rmem 3 "ipv4/tcp_rmem" = [4096, 131_072, 6_291_456], 1, INT_MAX;
        tcp_wmem 3 "ipv4/tcp_wmem" = [4096, 16_384, 4_194_304], 1, INT_MAX;
        tcp_mem 3 "ipv4/tcp_mem" = [190_512, 254_016, 381_024], 0, INT_MAX;
        tcp_syn_retries 1 "ipv4/tcp_syn_retries" = [6], 1, 127;
        tcp_syn_linear_timeouts 1 "ipv4/tcp_syn_linear_timeouts" = [4], 0, 127;
        tcp_synack_retries 1 "ipv4/tcp_synack_retries" = [5], 0, 255;
        tcp_retries1 1 "ipv4/tcp_retries1" = [3], 0, 255;
        tcp_retries2 1 "ipv4/tcp_retries2" = [15], 0, 255;
        tcp_orphan_retries 1 "ipv4/tcp_orphan_retries" = [0], 0, 255;
        tcp_thin_linear_timeouts 1 "ipv4/tcp_thin_linear_timeouts" = [0], 0, 255;
        tcp_max_orphans 1 "ipv4/tcp_max_orphans" = [16_384], INT_MIN, INT_MAX;
        tcp_max_tw_buckets 1 "ipv4/tcp_max_tw_buckets" = [16_384], INT_MIN, INT_MAX;
        tcp_max_syn_backlog 1 "ipv4/tcp_max_syn_backlog" = [1024], INT_MIN, INT_MAX;
        tcp_syncookies 1 "ipv4/tcp_syncookies" = [1], 0, 255;
        tcp_timestamps 1 "ipv4/tcp_timestamps" = [1], 0, 255;
        tcp_window_scaling 1 "ipv4/tcp_window_scaling" = [1], 0, 255;
        tcp_sack 1 "ipv4/tcp_sack" = [1], 0, 255;
        tcp_dsack 1 "ipv4/tcp_dsack" = [1], 0, 255;
        tcp_fack 1 "ipv4/tcp_fack" = [0], 0, 255;
        tcp_ecn 1 "ipv4/tcp_ecn" = [2], 0, 5;
        tcp_ecn_option 1 "ipv4/tcp_ecn_option" = [2], 0, 3;
        tcp_ecn_option_beacon 1 "ipv4/tcp_ecn_option_beacon" = [3], 0, 3;
        tcp_ecn_fallback 1 "ipv4/tcp_ecn_fallback" = [1], 0, 1;
        tcp_fin_timeout 1 "ipv4/tcp_fin_timeout" = [60], -SECONDS_MAX, SECONDS_MAX;
        tcp_keepalive_time 1 "ipv4/tcp_keepalive_time" = [7200], -SECONDS_MAX, SECONDS_MAX;
        tcp_keepalive_intvl 1 "ipv4/tcp_keepalive_intvl" = [75], -SECONDS_MAX, SECONDS_MAX;
        tcp_keepalive_probes 1 "ipv4/tcp_keepalive_probes" = [9], 0, 255;
        tcp_tw_reuse 1 "ipv4/tcp_tw_reuse" = [2], 0, 2;
        tcp_tw_reuse_delay 1 "ipv4/tcp_tw_reuse_delay" = [1000], 1, 60_000;
        tcp_abort_on_overflow 1 "ipv4/tcp_abort_on_overflow" = [0], 0, 255;
        tcp_moderate_rcvbuf 1 "ipv4/tcp_moderate_rcvbuf" = [1], 0, 255;
        tcp_slow_start_after_idle 1 "ipv4/tcp_slow_start_after_idle" = [1], 0, 255;
        tcp_notsent_lowat 1 "ipv4/tcp_notsent_lowat" = [UINT_MAX], 0, UINT_MAX;
        tcp_mtu_probing 1 "ipv4/tcp_mtu_probing" = [0], 0, 255;
        tcp_mtu_probe_floor 1 "ipv4/tcp_mtu_probe_floor" = [48], 48, 65_535;
        tcp_base_mss 1 "ipv4/tcp_base_mss" = [1024], INT_MIN, INT_MAX;
        tcp_min_snd_mss 1 "ipv4/tcp_min_snd_mss" = [48], 48, 65_535;
        tcp_probe_interval 1 "ipv4/tcp_probe_interval" = [600], 0, UINT_MAX / 250;
        tcp_probe_threshold 1 "ipv4/tcp_probe_threshold" = [8], INT_MIN, INT_MAX;
        tcp_adv_win_scale 1 "ipv4/tcp_adv_win_scale" = [1], -31, 31;
        tcp_rfc1337 1 "ipv4/tcp_rfc1337" = [0], 0, 255;
        tcp_stdurg 1 "ipv4/tcp_stdurg" = [0], 0, 255;
        tcp_recovery 1 "ipv4/tcp_recovery" = [1], 0, 255;
        tcp_reordering 1 "ipv4/tcp_reordering" = [3], 1, INT_MAX;
        tcp_max_reordering 1 "ipv4/tcp_max_reordering" = [300], 1, INT_MAX;
        tcp_frto 1 "ipv4/tcp_frto" = [2], 0, 255;
        tcp_early_retrans 1 "ipv4/tcp_early_retrans" = [3], 0, 4;
        tcp_fastopen 1 "ipv4/tcp_fastopen" = [1], INT_MIN, INT_MAX;
        tcp_challenge_ack_limit 1 "ipv4/tcp_challenge_ack_limit" = [INT_MAX], INT_MIN, INT_MAX;
        tcp_invalid_ratelimit 1 "ipv4/tcp_invalid_ratelimit" = [500], 0, INT_MAX;
        tcp_pacing_ss_ratio 1 "ipv4/tcp_pacing_ss_ratio" = [200], 0, 1000;
        tcp_pacing_ca_ratio 1 "ipv4/tcp_pacing_ca_ratio" = [120], 0, 1000;
        tcp_min_tso_segs 1 "ipv4/tcp_min_tso_segs" = [2], 1, 255;
        tcp_tso_rtt_log 1 "ipv4/tcp_tso_rtt_log" = [9], 0, 255;
        tcp_min_rtt_wlen 1 "ipv4/tcp_min_rtt_wlen" = [300], 0, 86_400;
        tcp_rto_min_us 1 "ipv4/tcp_rto_min_us" = [200_000], 1, INT_MAX;
        tcp_rto_max_ms 1 "ipv4/tcp_rto_max_ms" = [120_000], 1000, 120_000;
        bindv6only 1 "ipv6/bindv6only" = [0], 0, 1;
        ip6_nonlocal_bind 1 "ipv6/ip_nonlocal_bind" = [0], 0, 1;
        auto_flowlabels 1 "ipv6/auto_flowlabels" = [1], 0, 3;
        icmp6_echo_ignore_all 1 "ipv6/icmp/echo_ignore_all" = [0], 0, 1;
        icmp6_echo_ignore_multicast 1 "ipv6/icmp/echo_ignore_multicast" = [0], 0, 1;
        icmp6_ratelimit 1 "ipv6/icmp/ratelimit" = [1000], 0, INT_MAX;
        ip6frag_high_thresh 1 "ipv6/ip6frag_high_thresh" = [4_194_304], 0, INT_MAX;
        ip6frag_time 1 "ipv6/ip6frag_time" = [60], 1, 3600;
        mld_max_msf 1 "ipv6/mld_max_msf" = [64], 0, INT_MAX;
    }
}

knobs! {
    /// Settings of one link for IPv4 (`net/ipv4/conf/LINK/`).
    Ipv4Conf {
        accept_redirects 1 "accept_redirects" = [1], 0, 1;
        accept_source_route 1 "accept_source_route" = [0], 0, 1;
        accept_local 1 "accept_local" = [0], 0, 1;
        arp_accept 1 "arp_accept" = [0], 0, 2;
        arp_announce 1 "arp_announce" = [0], 0, 2;
        arp_filter 1 "arp_filter" = [0], 0, 1;
        arp_ignore 1 "arp_ignore" = [0], 0, 8;
        arp_notify 1 "arp_notify" = [0], 0, 1;
        forwarding 1 "forwarding" = [0], 0, 1;
        log_martians 1 "log_martians" = [0], 0, 1;
        promote_secondaries 1 "promote_secondaries" = [0], 0, 1;
        proxy_arp 1 "proxy_arp" = [0], 0, 1;
        route_localnet 1 "route_localnet" = [0], 0, 1;
        rp_filter 1 "rp_filter" = [0], 0, 2;
        secure_redirects 1 "secure_redirects" = [1], 0, 1;
        send_redirects 1 "send_redirects" = [1], 0, 1;
        src_valid_mark 1 "src_valid_mark" = [0], 0, 1;
    }
}

knobs! {
    /// Settings of one link for IPv6 (`net/ipv6/conf/LINK/`).
    Ipv6Conf {
        accept_dad 1 "accept_dad" = [1], 0, 2;
        accept_ra 1 "accept_ra" = [1], 0, 2;
        accept_ra_defrtr 1 "accept_ra_defrtr" = [1], 0, 1;
        accept_ra_mtu 1 "accept_ra_mtu" = [1], 0, 1;
        accept_ra_pinfo 1 "accept_ra_pinfo" = [1], 0, 1;
        accept_redirects 1 "accept_redirects" = [1], 0, 1;
        addr_gen_mode 1 "addr_gen_mode" = [0], 0, 3;
        autoconf 1 "autoconf" = [1], 0, 1;
        dad_transmits 1 "dad_transmits" = [1], 0, INT_MAX;
        disable_ipv6 1 "disable_ipv6" = [0], 0, 1;
        forwarding 1 "forwarding" = [0], 0, 2;
        hop_limit 1 "hop_limit" = [64], 1, 255;
        keep_addr_on_down 1 "keep_addr_on_down" = [0], -1, 1;
        max_addresses 1 "max_addresses" = [16], 0, INT_MAX;
        mtu 1 "mtu" = [1500], 1280, INT_MAX;
        router_solicitation_delay 1 "router_solicitation_delay" = [1], 0, INT_MAX;
        router_solicitation_interval 1 "router_solicitation_interval" = [4], 0, INT_MAX;
        router_solicitations 1 "router_solicitations" = [-1], -1, INT_MAX;
        use_tempaddr 1 "use_tempaddr" = [0], -1, INT_MAX;
    }
}

knobs! {
    /// Settings of one link's neighbours (`net/ipv4/neigh/LINK/`, `net/ipv6/neigh/LINK/`).
    NeighConf {
        app_solicit 1 "app_solicit" = [0], 0, INT_MAX;
        base_reachable_time_ms 1 "base_reachable_time_ms" = [30_000], 0, INT_MAX;
        delay_first_probe_time 1 "delay_first_probe_time" = [5], 0, INT_MAX;
        gc_stale_time 1 "gc_stale_time" = [60], 0, INT_MAX;
        mcast_solicit 1 "mcast_solicit" = [3], 0, INT_MAX;
        retrans_time_ms 1 "retrans_time_ms" = [1000], 0, INT_MAX;
        ucast_solicit 1 "ucast_solicit" = [3], 0, INT_MAX;
        unres_qlen 1 "unres_qlen" = [101], 0, INT_MAX;
        unres_qlen_bytes 1 "unres_qlen_bytes" = [212_992], 0, INT_MAX;
    }
}

/// A set of ports, as text `8080,9000-9003`. Mostly it is empty, which is seen without a lock.
#[derive(Debug)]
struct ReservedPorts {
    some: AtomicBool,
    ranges: Mutex<Vec<(u16, u16)>>,
}

impl Default for ReservedPorts {
    fn default() -> Self {
        Self { some: AtomicBool::new(false), ranges: Mutex::new(Rank::Leaf, Vec::new()) }
    }
}

impl ReservedPorts {
    fn contains(&self, port: u16) -> bool {
        self.some.load(Relaxed) && self.ranges.lock().iter().any(|(low, high)| (*low..=*high).contains(&port))
    }

    fn text(&self) -> String {
        let one = |(low, high): &(u16, u16)| if low == high { low.to_string() } else { format!("{low}-{high}") };
        self.ranges.lock().iter().map(one).collect::<Vec<_>>().join(",")
    }

    fn set_text(&self, text: &str) -> Result<()> {
        let port = |t: &str| number(t).and_then(|n| u16::try_from(n).ok()).ok_or(Errno::EINVAL);
        let mut ranges = Vec::new();
        for item in text.trim().split(',').filter(|i| !i.is_empty()) {
            let (low, high) = item.split_once('-').unwrap_or((item, item));
            let (low, high) = (port(low)?, port(high)?);
            if low > high {
                return Err(Errno::EINVAL);
            }
            ranges.push((low, high));
        }
        ranges.sort_unstable();
        // Ranges that touch are shown as one.
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (low, high) in ranges {
            match merged.last_mut() {
                Some(last) if u32::from(low) <= u32::from(last.1) + 1 => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        self.some.store(!merged.is_empty(), Relaxed);
        *self.ranges.lock() = merged;
        Ok(())
    }
}

/// Settings of the whole network namespace. The fields of [`Knobs`] are reached directly.
#[derive(Debug)]
pub struct Sysctl {
    knobs: Knobs,
    /// `net.ipv4.tcp_congestion_control`: the name.
    pub tcp_congestion_control: Mutex<String>,
    /// `net.ipv4.tcp_allowed_congestion_control`: the names. There are no privileges, so whoever asks gets any of them.
    allowed_congestion: Mutex<String>,
    /// `net.ipv4.ip_local_reserved_ports`: ports that are not given to who names none.
    reserved_ports: ReservedPorts,
    /// `net.ipv4.tcp_fastopen_key`: the key, and one that is still good; `None`: a secret one.
    pub(crate) tcp_fastopen_key: Mutex<Option<(crate::tcp::Key, Option<crate::tcp::Key>)>>,
    /// `net/ipv4/conf/default`, copied by new links.
    pub ipv4_default: Ipv4Conf,
    /// `net/ipv4/conf/all`.
    pub ipv4_all: Ipv4Conf,
    /// `net/ipv6/conf/default`, copied by new links.
    pub ipv6_default: Ipv6Conf,
    /// `net/ipv6/conf/all`.
    pub ipv6_all: Ipv6Conf,
    /// `net/ipv4/neigh/default` and `net/ipv6/neigh/default`.
    pub neigh_default: NeighConf,
}

impl core::ops::Deref for Sysctl {
    type Target = Knobs;

    fn deref(&self) -> &Knobs {
        &self.knobs
    }
}

impl Default for Sysctl {
    fn default() -> Self {
        Self {
            knobs: Knobs::default(),
            tcp_congestion_control: Mutex::new(Rank::Leaf, "cubic".to_owned()),
            allowed_congestion: Mutex::new(Rank::Leaf, "reno cubic".to_owned()),
            reserved_ports: ReservedPorts::default(),
            tcp_fastopen_key: Mutex::new(Rank::Leaf, None),
            ipv4_default: Ipv4Conf::default(),
            ipv4_all: Ipv4Conf::default(),
            ipv6_default: Ipv6Conf::default(),
            ipv6_all: Ipv6Conf::default(),
            neigh_default: NeighConf::default(),
        }
    }
}

impl Sysctl {
    /// The congestion control algorithms that there are.
    pub const CONGESTION: &'static str = "reno cubic bbr";

    /// The settings that are not numbers.
    const TEXTS: [&'static str; 5] = [
        "ipv4/ip_local_reserved_ports",
        "ipv4/tcp_allowed_congestion_control",
        "ipv4/tcp_available_congestion_control",
        "ipv4/tcp_congestion_control",
        "ipv4/tcp_fastopen_key",
    ];

    /// Is `port` one of `net.ipv4.ip_local_reserved_ports`?
    pub(crate) fn is_reserved(&self, port: u16) -> bool {
        self.reserved_ports.contains(port)
    }

    /// A setting that is not a link's, as text, by its name below `net/`.
    pub fn get(&self, path: &str) -> Option<String> {
        match path {
            "ipv4/tcp_congestion_control" => Some(self.tcp_congestion_control.text()),
            "ipv4/tcp_fastopen_key" => Some(crate::tcp::show_keys(*self.tcp_fastopen_key.lock())),
            "ipv4/tcp_available_congestion_control" => Some(Self::CONGESTION.to_owned()),
            "ipv4/tcp_allowed_congestion_control" => Some(self.allowed_congestion.text()),
            "ipv4/ip_local_reserved_ports" => Some(self.reserved_ports.text()),
            _ => self.knobs.get(path),
        }
    }

    /// Sets a setting that is not a link's.
    ///
    /// # Errors
    /// `ENOENT` (also for an algorithm that is not there), `EINVAL`, `EACCES`.
    pub fn set(&self, path: &str, text: &str) -> Result<()> {
        match path {
            "ipv4/tcp_congestion_control" => {
                let name = text.split('\n').next().unwrap_or_default();
                if !Self::CONGESTION.split(' ').any(|c| c == name) {
                    return Err(Errno::ENOENT);
                }
                // What all new connections have is allowed.
                {
                    let allowed = &mut *self.allowed_congestion.lock();
                    if !allowed.split(' ').any(|c| c == name) {
                        allowed.push(' ');
                        allowed.push_str(name);
                    }
                }
                self.tcp_congestion_control.set_text(name)
            }
            "ipv4/tcp_available_congestion_control" => Err(Errno::EACCES),
            "ipv4/tcp_allowed_congestion_control" => {
                let wanted: Vec<&str> = text.split_ascii_whitespace().collect();
                let known = |name: &&str| Self::CONGESTION.split(' ').any(|c| c == *name);
                if !wanted.iter().all(known) {
                    return Err(Errno::ENOENT);
                }
                let all: Vec<&str> = Self::CONGESTION.split(' ').filter(|c| wanted.contains(c)).collect();
                self.allowed_congestion.set_text(&all.join(" "))
            }
            "ipv4/tcp_fastopen_key" => {
                *self.tcp_fastopen_key.lock() = Some(crate::tcp::parse_keys(text).ok_or(Errno::EINVAL)?);
                Ok(())
            }
            "ipv4/ip_local_reserved_ports" => self.reserved_ports.set_text(text),
            "ipv4/tcp_reordering" if number(text.trim()).is_some_and(|n| n > self.tcp_max_reordering.get()) => {
                Err(Errno::EINVAL)
            }
            "ipv4/ip_local_port_range" => {
                // Both together have to be a range; the second may be left out.
                let new = Knob::new(self.ip_local_port_range.all(), 0, 65_535);
                new.set_text(text)?;
                match new.all() {
                    [low, high] if low >= 1 && low <= high => self.knobs.set(path, text),
                    _ => Err(Errno::EINVAL),
                }
            }
            _ => self.knobs.set(path, text),
        }
    }
}

impl crate::Net {
    /// A setting as text, by its name below `/proc/sys/`, such as `net/ipv6/conf/eth0/mtu`.
    pub fn sysctl_get(&self, path: &str) -> Option<String> {
        let path = path.strip_prefix("net/")?;
        match split_link(path) {
            None => self.sysctl().get(path),
            Some((table, link, name)) => self.with_conf(table, link, |conf| match conf {
                Conf::V4(c) => c.get(name),
                Conf::V6(c) => c.get(name),
                Conf::Neigh(c) => c.get(name).or_else(|| self.sysctl().get(path)),
            })?,
        }
    }

    /// Sets a setting from text, by its name below `/proc/sys/`.
    ///
    /// # Errors
    /// `ENOENT`, `EINVAL`, `EACCES`.
    pub fn sysctl_set(&self, path: &str, text: &str) -> Result<()> {
        let path = path.strip_prefix("net/").ok_or(Errno::ENOENT)?;
        let Some((table, link, name)) = split_link(path) else {
            self.sysctl().set(path, text)?;
            if path.starts_with("ipv4/tcp_") {
                self.tcp.retune(self.sysctl());
            }
            return Ok(());
        };
        if link == "all" && table == "ipv6/conf" {
            // What is written to `all` of IPv6 goes to each link.
            for l in self.links() {
                l.ipv6.set(name, text)?;
            }
        }
        self.with_conf(table, link, |conf| match conf {
            Conf::V4(c) => c.set(name, text),
            Conf::V6(c) => c.set(name, text),
            Conf::Neigh(c) if c.get(name).is_none() => self.sysctl().set(path, text),
            Conf::Neigh(c) => c.set(name, text),
        })
        .ok_or(Errno::ENOENT)??;
        if table == "ipv6/conf" && name == "disable_ipv6" {
            self.ipv6_disabled_changed();
        }
        Ok(())
    }

    /// What a setting takes, for messages, by its name below `/proc/sys/`: "a number from 0 to 1".
    pub fn sysctl_expected(&self, path: &str) -> Option<String> {
        let path = path.strip_prefix("net/")?;
        match split_link(path) {
            None if path == "ipv4/tcp_congestion_control" => Some(format!("one of {}", Sysctl::CONGESTION)),
            None if path == "ipv4/tcp_fastopen_key" => {
                Some("a key such as 01234567-89abcdef-01234567-89abcdef".to_owned())
            }
            None if path == "ipv4/tcp_allowed_congestion_control" => Some(format!("some of {}", Sysctl::CONGESTION)),
            None if path == "ipv4/tcp_available_congestion_control" => Some("nothing: it can only be read".to_owned()),
            None if path == "ipv4/ip_local_reserved_ports" => Some("ports such as 8080,9000-9010".to_owned()),
            None => self.sysctl().expected(path),
            Some((table, link, name)) => self.with_conf(table, link, |conf| match conf {
                Conf::V4(c) => c.expected(name),
                Conf::V6(c) => c.expected(name),
                Conf::Neigh(c) => c.expected(name).or_else(|| self.sysctl().expected(path)),
            })?,
        }
    }

    /// The names of all settings, below `/proc/sys/`.
    pub fn sysctl_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Knobs::NAMES.iter().map(|n| format!("net/{n}")).collect();
        names.extend(Sysctl::TEXTS.iter().map(|n| format!("net/{n}")));
        let links = self.links().into_iter().map(|l| l.name());
        for link in ["all", "default"].map(str::to_owned).into_iter().chain(links) {
            let conf4 = Ipv4Conf::NAMES.iter().map(|n| format!("net/ipv4/conf/{link}/{n}"));
            let conf6 = Ipv6Conf::NAMES.iter().map(|n| format!("net/ipv6/conf/{link}/{n}"));
            names.extend(conf4.chain(conf6));
            if link != "all" {
                for v in ["ipv4", "ipv6"] {
                    names.extend(NeighConf::NAMES.iter().map(|n| format!("net/{v}/neigh/{link}/{n}")));
                }
            }
        }
        names.sort();
        names
    }

    fn with_conf<T>(&self, table: &str, link: &str, f: impl FnOnce(Conf<'_>) -> T) -> Option<T> {
        let s = self.sysctl();
        match (table, link) {
            ("ipv4/conf", "all") => Some(f(Conf::V4(&s.ipv4_all))),
            ("ipv4/conf", "default") => Some(f(Conf::V4(&s.ipv4_default))),
            ("ipv6/conf", "all") => Some(f(Conf::V6(&s.ipv6_all))),
            ("ipv6/conf", "default") => Some(f(Conf::V6(&s.ipv6_default))),
            ("ipv4/neigh" | "ipv6/neigh", "default") => Some(f(Conf::Neigh(&s.neigh_default))),
            _ => {
                let link = self.link_by_name(link).ok()?;
                match table {
                    "ipv4/conf" => Some(f(Conf::V4(&link.ipv4))),
                    "ipv6/conf" => Some(f(Conf::V6(&link.ipv6))),
                    "ipv4/neigh" => Some(f(Conf::Neigh(&link.neigh4))),
                    "ipv6/neigh" => Some(f(Conf::Neigh(&link.neigh6))),
                    _ => None,
                }
            }
        }
    }
}

enum Conf<'a> {
    V4(&'a Ipv4Conf),
    V6(&'a Ipv6Conf),
    Neigh(&'a NeighConf),
}

/// Splits `ipv4/conf/eth0/rp_filter` into table, link and name.
fn split_link(path: &str) -> Option<(&str, &str, &str)> {
    let table = ["ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh"].into_iter().find(|t| path.starts_with(t))?;
    let (link, name) = path.get(table.len() + 1..)?.split_once('/')?;
    Some((table, link, name))
}
