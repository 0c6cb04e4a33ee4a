//! The counters of `/proc/net/snmp`, `/proc/net/netstat` and `/proc/net/snmp6` (`man 8 nstat`).
//!
//! A dropped packet is one of these and, at debug level, an event with the target `lkl::drop` that names the reason.

use core::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// One counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicI64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Subtracts one, of a gauge such as `CurrEstab`.
    pub fn dec(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n as i64, Relaxed);
    }

    /// Sets it.
    pub fn set(&self, n: i64) {
        self.0.store(n, Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

macro_rules! mib {
    ($(#[$doc:meta])* $ty:ident $prefix:literal { $($field:ident $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        #[expect(missing_docs, reason = "each is the counter of its name in the MIB")]
        pub struct $ty {
            $(pub $field: Counter,)*
        }

        impl $ty {
            /// What the names begin with.
            pub const PREFIX: &'static str = $prefix;

            /// Names and values, in the order in which Linux shows them.
            pub fn values(&self) -> Vec<(&'static str, i64)> {
                vec![$(($name, self.$field.get()),)*]
            }
        }
    };
}

/// All counters of a network namespace.
#[derive(Debug, Default)]
pub struct Snmp {
    /// `Ip` counters.
    pub ip: IpMib,
    /// `Icmp` counters.
    pub icmp: IcmpMib,
    /// `Tcp` counters.
    pub tcp: TcpMib,
    /// `Udp` counters.
    pub udp: UdpMib,
    /// `TcpExt` counters.
    pub tcp_ext: TcpExtMib,
    /// `IpExt` counters.
    pub ip_ext: IpExtMib,
    /// `Ip6` counters.
    pub ip6: Ip6Mib,
    /// `Icmp6` counters.
    pub icmp6: Icmp6Mib,
    /// `Udp6` counters.
    pub udp6: Udp6Mib,
    /// ICMP messages by type, in and out (`IcmpMsg`).
    pub icmp_msg: MsgTypes,
    /// ICMPv6 messages by type, in and out.
    pub icmp6_msg: MsgTypes,
}

/// Messages by type.
#[derive(Debug)]
pub struct MsgTypes {
    received: [Counter; 256],
    sent: [Counter; 256],
}

impl Default for MsgTypes {
    fn default() -> Self {
        Self {
            received: core::array::from_fn(|_| Counter::default()),
            sent: core::array::from_fn(|_| Counter::default()),
        }
    }
}

impl MsgTypes {
    /// Counts a message received.
    pub fn count_in(&self, kind: u8) {
        self.received[usize::from(kind)].inc();
    }

    /// Counts a message sent.
    pub fn count_out(&self, kind: u8) {
        self.sent[usize::from(kind)].inc();
    }

    /// The types received at least once, with their counts.
    pub fn received(&self) -> Vec<(u8, i64)> {
        nonzero(&self.received)
    }

    /// The types sent at least once, with their counts.
    pub fn sent(&self) -> Vec<(u8, i64)> {
        nonzero(&self.sent)
    }
}

fn nonzero(counters: &[Counter; 256]) -> Vec<(u8, i64)> {
    (0u8..=255).zip(counters).map(|(k, c)| (k, c.get())).filter(|(_, n)| *n != 0).collect()
}

mib! {
    /// `Ip` counters.
    IpMib "Ip" {
        forwarding "Forwarding",
        default_ttl "DefaultTTL",
        in_receives "InReceives",
        in_hdr_errors "InHdrErrors",
        in_addr_errors "InAddrErrors",
        forw_datagrams "ForwDatagrams",
        in_unknown_protos "InUnknownProtos",
        in_discards "InDiscards",
        in_delivers "InDelivers",
        out_requests "OutRequests",
        out_discards "OutDiscards",
        out_no_routes "OutNoRoutes",
        reasm_timeout "ReasmTimeout",
        reasm_reqds "ReasmReqds",
        reasm_o_ks "ReasmOKs",
        reasm_fails "ReasmFails",
        frag_o_ks "FragOKs",
        frag_fails "FragFails",
        frag_creates "FragCreates",
        out_transmits "OutTransmits",
    }
}

mib! {
    /// `Icmp` counters.
    IcmpMib "Icmp" {
        in_msgs "InMsgs",
        in_errors "InErrors",
        in_csum_errors "InCsumErrors",
        in_dest_unreachs "InDestUnreachs",
        in_time_excds "InTimeExcds",
        in_parm_probs "InParmProbs",
        in_src_quenchs "InSrcQuenchs",
        in_redirects "InRedirects",
        in_echos "InEchos",
        in_echo_reps "InEchoReps",
        in_timestamps "InTimestamps",
        in_timestamp_reps "InTimestampReps",
        in_addr_masks "InAddrMasks",
        in_addr_mask_reps "InAddrMaskReps",
        out_msgs "OutMsgs",
        out_errors "OutErrors",
        out_rate_limit_global "OutRateLimitGlobal",
        out_rate_limit_host "OutRateLimitHost",
        out_dest_unreachs "OutDestUnreachs",
        out_time_excds "OutTimeExcds",
        out_parm_probs "OutParmProbs",
        out_src_quenchs "OutSrcQuenchs",
        out_redirects "OutRedirects",
        out_echos "OutEchos",
        out_echo_reps "OutEchoReps",
        out_timestamps "OutTimestamps",
        out_timestamp_reps "OutTimestampReps",
        out_addr_masks "OutAddrMasks",
        out_addr_mask_reps "OutAddrMaskReps",
    }
}

mib! {
    /// `Tcp` counters.
    TcpMib "Tcp" {
        rto_algorithm "RtoAlgorithm",
        rto_min "RtoMin",
        rto_max "RtoMax",
        max_conn "MaxConn",
        active_opens "ActiveOpens",
        passive_opens "PassiveOpens",
        attempt_fails "AttemptFails",
        estab_resets "EstabResets",
        curr_estab "CurrEstab",
        in_segs "InSegs",
        out_segs "OutSegs",
        retrans_segs "RetransSegs",
        in_errs "InErrs",
        out_rsts "OutRsts",
        in_csum_errors "InCsumErrors",
    }
}

mib! {
    /// `Udp` counters.
    UdpMib "Udp" {
        in_datagrams "InDatagrams",
        no_ports "NoPorts",
        in_errors "InErrors",
        out_datagrams "OutDatagrams",
        rcvbuf_errors "RcvbufErrors",
        sndbuf_errors "SndbufErrors",
        in_csum_errors "InCsumErrors",
        ignored_multi "IgnoredMulti",
        mem_errors "MemErrors",
    }
}

mib! {
    /// `TcpExt` counters.
    TcpExtMib "TcpExt" {
        syncookies_sent "SyncookiesSent",
        syncookies_recv "SyncookiesRecv",
        syncookies_failed "SyncookiesFailed",
        embryonic_rsts "EmbryonicRsts",
        prune_called "PruneCalled",
        rcv_pruned "RcvPruned",
        ofo_pruned "OfoPruned",
        out_of_window_icmps "OutOfWindowIcmps",
        lock_dropped_icmps "LockDroppedIcmps",
        arp_filter "ArpFilter",
        tw "TW",
        tw_recycled "TWRecycled",
        tw_killed "TWKilled",
        paws_active "PAWSActive",
        paws_estab "PAWSEstab",
        beyond_window "BeyondWindow",
        ts_ecr_rejected "TSEcrRejected",
        paws_old_ack "PAWSOldAck",
        paws_timewait "PAWSTimewait",
        delayed_acks "DelayedACKs",
        delayed_ack_locked "DelayedACKLocked",
        delayed_ack_lost "DelayedACKLost",
        listen_overflows "ListenOverflows",
        listen_drops "ListenDrops",
        tcp_hp_hits "TCPHPHits",
        tcp_pure_acks "TCPPureAcks",
        tcp_hp_acks "TCPHPAcks",
        tcp_reno_recovery "TCPRenoRecovery",
        tcp_sack_recovery "TCPSackRecovery",
        tcp_sack_reneging "TCPSACKReneging",
        tcp_sack_reorder "TCPSACKReorder",
        tcp_reno_reorder "TCPRenoReorder",
        tcp_ts_reorder "TCPTSReorder",
        tcp_full_undo "TCPFullUndo",
        tcp_partial_undo "TCPPartialUndo",
        tcp_dsack_undo "TCPDSACKUndo",
        tcp_loss_undo "TCPLossUndo",
        tcp_lost_retransmit "TCPLostRetransmit",
        tcp_reno_failures "TCPRenoFailures",
        tcp_sack_failures "TCPSackFailures",
        tcp_loss_failures "TCPLossFailures",
        tcp_fast_retrans "TCPFastRetrans",
        tcp_slow_start_retrans "TCPSlowStartRetrans",
        tcp_timeouts "TCPTimeouts",
        tcp_loss_probes "TCPLossProbes",
        tcp_loss_probe_recovery "TCPLossProbeRecovery",
        tcp_reno_recovery_fail "TCPRenoRecoveryFail",
        tcp_sack_recovery_fail "TCPSackRecoveryFail",
        tcp_rcv_collapsed "TCPRcvCollapsed",
        tcp_backlog_coalesce "TCPBacklogCoalesce",
        tcp_dsack_old_sent "TCPDSACKOldSent",
        tcp_dsack_ofo_sent "TCPDSACKOfoSent",
        tcp_dsack_recv "TCPDSACKRecv",
        tcp_dsack_ofo_recv "TCPDSACKOfoRecv",
        tcp_abort_on_data "TCPAbortOnData",
        tcp_abort_on_close "TCPAbortOnClose",
        tcp_abort_on_memory "TCPAbortOnMemory",
        tcp_abort_on_timeout "TCPAbortOnTimeout",
        tcp_abort_on_linger "TCPAbortOnLinger",
        tcp_abort_failed "TCPAbortFailed",
        tcp_memory_pressures "TCPMemoryPressures",
        tcp_memory_pressures_chrono "TCPMemoryPressuresChrono",
        tcp_sack_discard "TCPSACKDiscard",
        tcp_dsack_ignored_old "TCPDSACKIgnoredOld",
        tcp_dsack_ignored_no_undo "TCPDSACKIgnoredNoUndo",
        tcp_spurious_rtos "TCPSpuriousRTOs",
        tcp_md5_not_found "TCPMD5NotFound",
        tcp_md5_unexpected "TCPMD5Unexpected",
        tcp_md5_failure "TCPMD5Failure",
        tcp_sack_shifted "TCPSackShifted",
        tcp_sack_merged "TCPSackMerged",
        tcp_sack_shift_fallback "TCPSackShiftFallback",
        tcp_backlog_drop "TCPBacklogDrop",
        pf_memalloc_drop "PFMemallocDrop",
        tcp_min_ttl_drop "TCPMinTTLDrop",
        tcp_defer_accept_drop "TCPDeferAcceptDrop",
        ip_reverse_path_filter "IPReversePathFilter",
        tcp_time_wait_overflow "TCPTimeWaitOverflow",
        tcp_req_q_full_do_cookies "TCPReqQFullDoCookies",
        tcp_req_q_full_drop "TCPReqQFullDrop",
        tcp_retrans_fail "TCPRetransFail",
        tcp_rcv_coalesce "TCPRcvCoalesce",
        tcp_ofo_queue "TCPOFOQueue",
        tcp_ofo_drop "TCPOFODrop",
        tcp_ofo_merge "TCPOFOMerge",
        tcp_challenge_ack "TCPChallengeACK",
        tcp_syn_challenge "TCPSYNChallenge",
        tcp_fast_open_active "TCPFastOpenActive",
        tcp_fast_open_active_fail "TCPFastOpenActiveFail",
        tcp_fast_open_passive "TCPFastOpenPassive",
        tcp_fast_open_passive_fail "TCPFastOpenPassiveFail",
        tcp_fast_open_listen_overflow "TCPFastOpenListenOverflow",
        tcp_fast_open_cookie_reqd "TCPFastOpenCookieReqd",
        tcp_fast_open_blackhole "TCPFastOpenBlackhole",
        tcp_spurious_rtx_host_queues "TCPSpuriousRtxHostQueues",
        busy_poll_rx_packets "BusyPollRxPackets",
        tcp_auto_corking "TCPAutoCorking",
        tcp_from_zero_window_adv "TCPFromZeroWindowAdv",
        tcp_to_zero_window_adv "TCPToZeroWindowAdv",
        tcp_want_zero_window_adv "TCPWantZeroWindowAdv",
        tcp_syn_retrans "TCPSynRetrans",
        tcp_orig_data_sent "TCPOrigDataSent",
        tcp_hystart_train_detect "TCPHystartTrainDetect",
        tcp_hystart_train_cwnd "TCPHystartTrainCwnd",
        tcp_hystart_delay_detect "TCPHystartDelayDetect",
        tcp_hystart_delay_cwnd "TCPHystartDelayCwnd",
        tcp_ack_skipped_syn_recv "TCPACKSkippedSynRecv",
        tcp_ack_skipped_paws "TCPACKSkippedPAWS",
        tcp_ack_skipped_seq "TCPACKSkippedSeq",
        tcp_ack_skipped_fin_wait2 "TCPACKSkippedFinWait2",
        tcp_ack_skipped_time_wait "TCPACKSkippedTimeWait",
        tcp_ack_skipped_challenge "TCPACKSkippedChallenge",
        tcp_win_probe "TCPWinProbe",
        tcp_keep_alive "TCPKeepAlive",
        tcp_mtup_fail "TCPMTUPFail",
        tcp_mtup_success "TCPMTUPSuccess",
        tcp_delivered "TCPDelivered",
        tcp_delivered_ce "TCPDeliveredCE",
        tcp_ack_compressed "TCPAckCompressed",
        tcp_zero_window_drop "TCPZeroWindowDrop",
        tcp_rcv_q_drop "TCPRcvQDrop",
        tcp_wqueue_too_big "TCPWqueueTooBig",
        tcp_fast_open_passive_alt_key "TCPFastOpenPassiveAltKey",
        tcp_timeout_rehash "TcpTimeoutRehash",
        tcp_duplicate_data_rehash "TcpDuplicateDataRehash",
        tcp_dsack_recv_segs "TCPDSACKRecvSegs",
        tcp_dsack_ignored_dubious "TCPDSACKIgnoredDubious",
        tcp_migrate_req_success "TCPMigrateReqSuccess",
        tcp_migrate_req_failure "TCPMigrateReqFailure",
        tcp_plb_rehash "TCPPLBRehash",
        tcp_ao_required "TCPAORequired",
        tcp_ao_bad "TCPAOBad",
        tcp_ao_key_not_found "TCPAOKeyNotFound",
        tcp_ao_good "TCPAOGood",
        tcp_ao_dropped_icmps "TCPAODroppedIcmps",
    }
}

mib! {
    /// `IpExt` counters.
    IpExtMib "IpExt" {
        in_no_routes "InNoRoutes",
        in_truncated_pkts "InTruncatedPkts",
        in_mcast_pkts "InMcastPkts",
        out_mcast_pkts "OutMcastPkts",
        in_bcast_pkts "InBcastPkts",
        out_bcast_pkts "OutBcastPkts",
        in_octets "InOctets",
        out_octets "OutOctets",
        in_mcast_octets "InMcastOctets",
        out_mcast_octets "OutMcastOctets",
        in_bcast_octets "InBcastOctets",
        out_bcast_octets "OutBcastOctets",
        in_csum_errors "InCsumErrors",
        in_no_ect_pkts "InNoECTPkts",
        in_ect1_pkts "InECT1Pkts",
        in_ect0_pkts "InECT0Pkts",
        in_ce_pkts "InCEPkts",
        reasm_overlaps "ReasmOverlaps",
    }
}

mib! {
    /// `Ip6` counters.
    Ip6Mib "Ip6" {
        in_receives "InReceives",
        in_hdr_errors "InHdrErrors",
        in_too_big_errors "InTooBigErrors",
        in_no_routes "InNoRoutes",
        in_addr_errors "InAddrErrors",
        in_unknown_protos "InUnknownProtos",
        in_truncated_pkts "InTruncatedPkts",
        in_discards "InDiscards",
        in_delivers "InDelivers",
        out_forw_datagrams "OutForwDatagrams",
        out_requests "OutRequests",
        out_discards "OutDiscards",
        out_no_routes "OutNoRoutes",
        reasm_timeout "ReasmTimeout",
        reasm_reqds "ReasmReqds",
        reasm_o_ks "ReasmOKs",
        reasm_fails "ReasmFails",
        frag_o_ks "FragOKs",
        frag_fails "FragFails",
        frag_creates "FragCreates",
        in_mcast_pkts "InMcastPkts",
        out_mcast_pkts "OutMcastPkts",
        in_octets "InOctets",
        out_octets "OutOctets",
        in_mcast_octets "InMcastOctets",
        out_mcast_octets "OutMcastOctets",
        in_bcast_octets "InBcastOctets",
        out_bcast_octets "OutBcastOctets",
        in_no_ect_pkts "InNoECTPkts",
        in_ect1_pkts "InECT1Pkts",
        in_ect0_pkts "InECT0Pkts",
        in_ce_pkts "InCEPkts",
        out_transmits "OutTransmits",
    }
}

mib! {
    /// `Icmp6` counters.
    Icmp6Mib "Icmp6" {
        in_msgs "InMsgs",
        in_errors "InErrors",
        out_msgs "OutMsgs",
        out_errors "OutErrors",
        in_csum_errors "InCsumErrors",
        out_rate_limit_host "OutRateLimitHost",
        in_dest_unreachs "InDestUnreachs",
        in_pkt_too_bigs "InPktTooBigs",
        in_time_excds "InTimeExcds",
        in_parm_problems "InParmProblems",
        in_echos "InEchos",
        in_echo_replies "InEchoReplies",
        in_group_memb_queries "InGroupMembQueries",
        in_group_memb_responses "InGroupMembResponses",
        in_group_memb_reductions "InGroupMembReductions",
        in_router_solicits "InRouterSolicits",
        in_router_advertisements "InRouterAdvertisements",
        in_neighbor_solicits "InNeighborSolicits",
        in_neighbor_advertisements "InNeighborAdvertisements",
        in_redirects "InRedirects",
        in_ml_dv2_reports "InMLDv2Reports",
        out_dest_unreachs "OutDestUnreachs",
        out_pkt_too_bigs "OutPktTooBigs",
        out_time_excds "OutTimeExcds",
        out_parm_problems "OutParmProblems",
        out_echos "OutEchos",
        out_echo_replies "OutEchoReplies",
        out_group_memb_queries "OutGroupMembQueries",
        out_group_memb_responses "OutGroupMembResponses",
        out_group_memb_reductions "OutGroupMembReductions",
        out_router_solicits "OutRouterSolicits",
        out_router_advertisements "OutRouterAdvertisements",
        out_neighbor_solicits "OutNeighborSolicits",
        out_neighbor_advertisements "OutNeighborAdvertisements",
        out_redirects "OutRedirects",
        out_ml_dv2_reports "OutMLDv2Reports",
    }
}

mib! {
    /// `Udp6` counters.
    Udp6Mib "Udp6" {
        in_datagrams "InDatagrams",
        no_ports "NoPorts",
        in_errors "InErrors",
        out_datagrams "OutDatagrams",
        rcvbuf_errors "RcvbufErrors",
        sndbuf_errors "SndbufErrors",
        in_csum_errors "InCsumErrors",
        ignored_multi "IgnoredMulti",
        mem_errors "MemErrors",
    }
}
