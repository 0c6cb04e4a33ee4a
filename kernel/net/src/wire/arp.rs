//! ARP for IPv4 over Ethernet (RFC 826).

use super::ethernet::Mac;
use super::{array, be16};
use core::net::Ipv4Addr;

/// Bytes of a packet.
pub const LEN: usize = 28;

/// What it asks or says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Who has it?
    Request,
    /// I have it.
    Reply,
}

/// A packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// What it asks or says.
    pub operation: Operation,
    /// Sender's hardware address.
    pub sender_mac: Mac,
    /// Sender's protocol address.
    pub sender_ip: Ipv4Addr,
    /// Target's hardware address.
    pub target_mac: Mac,
    /// Target's protocol address.
    pub target_ip: Ipv4Addr,
}

impl Packet {
    /// Reads a packet for Ethernet and IPv4; others are `None`.
    pub fn parse(b: &[u8]) -> Option<Self> {
        if array::<6>(b, 0)? != [0, 1, 8, 0, 6, 4] {
            return None;
        }
        let operation = match be16(b, 6)? {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return None,
        };
        Some(Self {
            operation,
            sender_mac: array(b, 8)?,
            sender_ip: Ipv4Addr::from(array::<4>(b, 14)?),
            target_mac: array(b, 18)?,
            target_ip: Ipv4Addr::from(array::<4>(b, 24)?),
        })
    }

    /// Appends it to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0]);
        out.push(match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        });
        out.extend_from_slice(&self.sender_mac);
        out.extend_from_slice(&self.sender_ip.octets());
        out.extend_from_slice(&self.target_mac);
        out.extend_from_slice(&self.target_ip.octets());
    }
}
