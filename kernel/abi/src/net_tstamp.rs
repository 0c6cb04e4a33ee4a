//! Time stamps of packets (`linux/net_tstamp.h`).
#![expect(missing_docs, reason = "Linux's networking/timestamping explains them")]

pub const SOF_TIMESTAMPING_TX_HARDWARE: u32 = 1 << 0;
pub const SOF_TIMESTAMPING_TX_SOFTWARE: u32 = 1 << 1;
pub const SOF_TIMESTAMPING_RX_HARDWARE: u32 = 1 << 2;
pub const SOF_TIMESTAMPING_RX_SOFTWARE: u32 = 1 << 3;
pub const SOF_TIMESTAMPING_SOFTWARE: u32 = 1 << 4;
pub const SOF_TIMESTAMPING_OPT_ID: u32 = 1 << 7;
pub const SOF_TIMESTAMPING_TX_SCHED: u32 = 1 << 8;
pub const SOF_TIMESTAMPING_TX_ACK: u32 = 1 << 9;
pub const SOF_TIMESTAMPING_OPT_CMSG: u32 = 1 << 10;
pub const SOF_TIMESTAMPING_OPT_TSONLY: u32 = 1 << 11;
pub const SOF_TIMESTAMPING_OPT_STATS: u32 = 1 << 12;
pub const SOF_TIMESTAMPING_BIND_PHC: u32 = 1 << 15;
pub const SOF_TIMESTAMPING_OPT_ID_TCP: u32 = 1 << 16;
pub const SOF_TIMESTAMPING_TX_COMPLETION: u32 = 1 << 18;
/// All of them.
pub const SOF_TIMESTAMPING_MASK: u32 = (1 << 19) - 1;
/// What a message can ask for by itself.
pub const SOF_TIMESTAMPING_TX_RECORD_MASK: u32 = SOF_TIMESTAMPING_TX_HARDWARE
    | SOF_TIMESTAMPING_TX_SOFTWARE
    | SOF_TIMESTAMPING_TX_SCHED
    | SOF_TIMESTAMPING_TX_ACK
    | SOF_TIMESTAMPING_TX_COMPLETION;
