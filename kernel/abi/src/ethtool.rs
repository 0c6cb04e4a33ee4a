//! Requests of `SIOCETHTOOL` and of the generic netlink family "ethtool" (`linux/ethtool.h`,
//! `linux/ethtool_netlink.h`).
#![expect(missing_docs, reason = "ethtool(8) shows what they carry")]

pub const ETHTOOL_GSET: u32 = 0x01;
pub const ETHTOOL_SSET: u32 = 0x02;
pub const ETHTOOL_GDRVINFO: u32 = 0x03;
pub const ETHTOOL_GREGS: u32 = 0x04;
pub const ETHTOOL_GWOL: u32 = 0x05;
pub const ETHTOOL_GMSGLVL: u32 = 0x07;
pub const ETHTOOL_SMSGLVL: u32 = 0x08;
pub const ETHTOOL_GLINK: u32 = 0x0a;
pub const ETHTOOL_GCOALESCE: u32 = 0x0e;
pub const ETHTOOL_GRINGPARAM: u32 = 0x10;
pub const ETHTOOL_GPAUSEPARAM: u32 = 0x12;
pub const ETHTOOL_GRXCSUM: u32 = 0x14;
pub const ETHTOOL_GTXCSUM: u32 = 0x16;
pub const ETHTOOL_GSG: u32 = 0x18;
pub const ETHTOOL_GSTRINGS: u32 = 0x1b;
pub const ETHTOOL_GSTATS: u32 = 0x1d;
pub const ETHTOOL_GTSO: u32 = 0x1e;
pub const ETHTOOL_GPERMADDR: u32 = 0x20;
pub const ETHTOOL_GUFO: u32 = 0x21;
pub const ETHTOOL_GGSO: u32 = 0x23;
pub const ETHTOOL_GFLAGS: u32 = 0x25;
pub const ETHTOOL_GGRO: u32 = 0x2b;
pub const ETHTOOL_GSSET_INFO: u32 = 0x37;
pub const ETHTOOL_GFEATURES: u32 = 0x3a;
pub const ETHTOOL_SFEATURES: u32 = 0x3b;
pub const ETHTOOL_GCHANNELS: u32 = 0x3c;
pub const ETHTOOL_GET_TS_INFO: u32 = 0x41;
pub const ETHTOOL_GEEE: u32 = 0x44;
pub const ETHTOOL_GLINKSETTINGS: u32 = 0x4c;
pub const ETHTOOL_SLINKSETTINGS: u32 = 0x4d;

pub const ETH_SS_TEST: u32 = 0;
pub const ETH_SS_STATS: u32 = 1;
pub const ETH_SS_PRIV_FLAGS: u32 = 2;
pub const ETH_SS_FEATURES: u32 = 4;
pub const ETH_SS_LINK_MODES: u32 = 9;
pub const ETH_SS_MSG_CLASSES: u32 = 10;
pub const ETH_SS_WOL_MODES: u32 = 11;
pub const ETH_GSTRING_LEN: usize = 32;

pub const SPEED_UNKNOWN: u32 = u32::MAX;
pub const DUPLEX_HALF: u8 = 0;
pub const DUPLEX_FULL: u8 = 1;
pub const DUPLEX_UNKNOWN: u8 = 0xff;
pub const PORT_TP: u8 = 0;
pub const PORT_OTHER: u8 = 0xff;

pub const ETHTOOL_MSG_STRSET_GET: u8 = 1;
pub const ETHTOOL_MSG_LINKINFO_GET: u8 = 2;
pub const ETHTOOL_MSG_LINKMODES_GET: u8 = 4;
pub const ETHTOOL_MSG_LINKSTATE_GET: u8 = 6;
pub const ETHTOOL_MSG_DEBUG_GET: u8 = 7;
pub const ETHTOOL_MSG_WOL_GET: u8 = 9;
pub const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
pub const ETHTOOL_MSG_PRIVFLAGS_GET: u8 = 13;
pub const ETHTOOL_MSG_RINGS_GET: u8 = 15;
pub const ETHTOOL_MSG_CHANNELS_GET: u8 = 17;
pub const ETHTOOL_MSG_COALESCE_GET: u8 = 19;
pub const ETHTOOL_MSG_PAUSE_GET: u8 = 21;
pub const ETHTOOL_MSG_EEE_GET: u8 = 23;
pub const ETHTOOL_MSG_TSINFO_GET: u8 = 25;

pub const ETHTOOL_MSG_STRSET_GET_REPLY: u8 = 1;
pub const ETHTOOL_MSG_LINKINFO_GET_REPLY: u8 = 2;
pub const ETHTOOL_MSG_LINKMODES_GET_REPLY: u8 = 4;
pub const ETHTOOL_MSG_LINKSTATE_GET_REPLY: u8 = 6;
pub const ETHTOOL_MSG_DEBUG_GET_REPLY: u8 = 7;
pub const ETHTOOL_MSG_WOL_GET_REPLY: u8 = 9;
pub const ETHTOOL_MSG_FEATURES_GET_REPLY: u8 = 11;
pub const ETHTOOL_MSG_TSINFO_GET_REPLY: u8 = 26;

pub const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
pub const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
pub const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
pub const ETHTOOL_FLAG_COMPACT_BITSETS: u32 = 1;
pub const ETHTOOL_FLAG_OMIT_REPLY: u32 = 2;
pub const ETHTOOL_FLAG_STATS: u32 = 4;

pub const ETHTOOL_A_BITSET_NOMASK: u16 = 1;
pub const ETHTOOL_A_BITSET_SIZE: u16 = 2;
pub const ETHTOOL_A_BITSET_BITS: u16 = 3;
pub const ETHTOOL_A_BITSET_VALUE: u16 = 4;
pub const ETHTOOL_A_BITSET_MASK: u16 = 5;
pub const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
pub const ETHTOOL_A_BITSET_BIT_INDEX: u16 = 1;
pub const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
pub const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;

pub const ETHTOOL_A_STRSET_HEADER: u16 = 1;
pub const ETHTOOL_A_STRSET_STRINGSETS: u16 = 2;
pub const ETHTOOL_A_STRSET_COUNTS_ONLY: u16 = 3;
pub const ETHTOOL_A_STRINGSETS_STRINGSET: u16 = 1;
pub const ETHTOOL_A_STRINGSET_ID: u16 = 1;
pub const ETHTOOL_A_STRINGSET_COUNT: u16 = 2;
pub const ETHTOOL_A_STRINGSET_STRINGS: u16 = 3;
pub const ETHTOOL_A_STRINGS_STRING: u16 = 1;
pub const ETHTOOL_A_STRING_INDEX: u16 = 1;
pub const ETHTOOL_A_STRING_VALUE: u16 = 2;
