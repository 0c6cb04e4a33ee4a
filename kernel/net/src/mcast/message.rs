//! Messages of IGMP (RFC 3376, section 4) and MLD (RFC 3810, section 5).

use crate::checksum::checksum;
use crate::wire::{array, be16};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

/// What a record of a report says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RecordKind {
    /// The filter includes these.
    IsInclude = 1,
    /// The filter excludes these.
    IsExclude = 2,
    /// The filter has changed to including these.
    ToInclude = 3,
    /// The filter has changed to excluding these.
    ToExclude = 4,
    /// These are wanted now.
    Allow = 5,
    /// These are no longer wanted.
    Block = 6,
}

/// A record of a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// What it says.
    pub kind: RecordKind,
    /// Of which group.
    pub group: IpAddr,
    /// Sources.
    pub sources: Vec<IpAddr>,
}

/// A message to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// IGMPv3 or MLDv2 report, to the routers of that version.
    Report(Vec<Record>),
    /// IGMPv2 or MLDv1 report, to the group.
    OldReport(IpAddr),
    /// IGMPv2 leave or MLDv1 done, to all routers.
    Leave(IpAddr),
}

/// A query received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// IGMPv2 (or v1), or MLDv1.
    pub old_version: bool,
    /// How long the answer may take.
    pub max_response: Duration,
    /// The group asked for; `None` for all.
    pub group: Option<IpAddr>,
    /// Robustness, if given.
    pub robustness: Option<u32>,
    /// Query interval, if given.
    pub interval: Option<Duration>,
}

/// Where reports of the new version go (`new`), or leave messages.
pub fn all_routers(v6: bool, new: bool) -> IpAddr {
    match (v6, new) {
        (false, true) => Ipv4Addr::new(224, 0, 0, 22).into(),
        (false, false) => Ipv4Addr::new(224, 0, 0, 2).into(),
        (true, true) => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16).into(),
        (true, false) => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2).into(),
    }
}

/// Reads a query; `message` begins at the IGMP or ICMPv6 type.
pub fn parse_query(v6: bool, message: &[u8]) -> Option<Query> {
    let (group, tail) = if v6 {
        (IpAddr::V6(Ipv6Addr::from(array::<16>(message, 8)?)), message.get(24..)?)
    } else {
        (IpAddr::V4(Ipv4Addr::from(array::<4>(message, 4)?)), message.get(8..)?)
    };
    let group = Some(group).filter(|g| !g.is_unspecified());
    let old_version = tail.len() < 4;
    let max_response = match (v6, old_version) {
        (true, true) => Duration::from_millis(u64::from(be16(message, 4)?)),
        (true, false) => Duration::from_millis(floating16(be16(message, 4)?)),
        // IGMPv1 has no such field: ten seconds.
        (false, true) => Duration::from_millis(match message[1] {
            0 => 10_000,
            n => u64::from(n) * 100,
        }),
        (false, false) => Duration::from_millis(floating8(message[1]) * 100),
    };
    let (robustness, interval) = if old_version {
        (None, None)
    } else {
        let r = u32::from(tail[0] & 7);
        ((r > 0).then_some(r), Some(Duration::from_secs(floating8(tail[1]))))
    };
    Some(Query { old_version, max_response, group, robustness, interval })
}

/// RFC 3376, section 4.1.1.
fn floating8(n: u8) -> u64 {
    if n < 128 {
        u64::from(n)
    } else {
        u64::from(n & 0xf | 0x10) << ((n >> 4 & 7) + 3)
    }
}

/// RFC 3810, section 5.1.3.
fn floating16(n: u16) -> u64 {
    if n < 32_768 {
        u64::from(n)
    } else {
        u64::from(n & 0xfff | 0x1000) << ((n >> 12 & 7) + 3)
    }
}

/// The bytes of a message, from the IGMP or ICMPv6 type on. IGMP's checksum is filled in; ICMPv6's, which needs the
/// addresses, is zero.
pub fn emit_report(v6: bool, message: &Message) -> Vec<u8> {
    let mut b = Vec::with_capacity(64);
    let address = |b: &mut Vec<u8>, a: &IpAddr| match a {
        IpAddr::V4(a) => b.extend_from_slice(&a.octets()),
        IpAddr::V6(a) => b.extend_from_slice(&a.octets()),
    };
    match message {
        Message::Report(records) => {
            b.extend_from_slice(&[if v6 { 143 } else { 0x22 }, 0, 0, 0, 0, 0]);
            b.extend_from_slice(&(records.len() as u16).to_be_bytes());
            for r in records {
                b.extend_from_slice(&[r.kind as u8, 0]);
                b.extend_from_slice(&(r.sources.len() as u16).to_be_bytes());
                address(&mut b, &r.group);
                for s in &r.sources {
                    address(&mut b, s);
                }
            }
        }
        Message::OldReport(group) | Message::Leave(group) => {
            let leave = matches!(message, Message::Leave(_));
            let kind = match (v6, leave) {
                (true, false) => 131,
                (true, true) => 132,
                (false, false) => 0x16,
                (false, true) => 0x17,
            };
            b.extend_from_slice(&[kind, 0, 0, 0]);
            if v6 {
                b.extend_from_slice(&[0; 4]);
            }
            address(&mut b, group);
        }
    }
    if !v6 {
        let sum = checksum(&b);
        b[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    b
}
