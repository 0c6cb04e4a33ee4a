//! The options of a datagram socket beside those that all share.

use super::base::{DatagramSocket, Flavor};
use crate::options::num::{IPV6_CHECKSUM, IPV6_HDRINCL, IP_HDRINCL, SOL_IP, SOL_IPV6};
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::socket::{SOL_SOCKET, SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER};
use lkl_abi::udp::{SOL_UDP, UDP_CORK, UDP_GRO, UDP_NO_CHECK6_RX, UDP_NO_CHECK6_TX, UDP_SEGMENT};
use lkl_abi::{Errno, Result};
use lkl_file::sockaddr::AF_INET6;
use lkl_net::bpf::Program;
use std::sync::Arc;

const SOL_ICMPV6: i32 = 58;
const SOL_RAW: i32 = 255;
const ICMP_FILTER: i32 = 1;

fn int(value: &[u8]) -> Result<i32> {
    value.get(..4).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes).ok_or(Errno::EINVAL)
}

impl DatagramSocket {
    pub(super) fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let v6 = self.family == AF_INET6;
        match (level, name, self.flavor) {
            (SOL_SOCKET, SO_ATTACH_FILTER, _) => {
                if self.filter_locked.load(Relaxed) {
                    return Err(Errno::EPERM);
                }
                let program = Program::parse(value)?;
                *self.filter.write() = Some(Arc::new(program));
                Ok(())
            }
            (SOL_SOCKET, SO_DETACH_FILTER, _) => {
                if self.filter_locked.load(Relaxed) {
                    return Err(Errno::EPERM);
                }
                self.filter.write().take().map(drop).ok_or(Errno::ENOENT)
            }
            (SOL_SOCKET, SO_LOCK_FILTER, _) => {
                self.filter_locked.store(int(value)? != 0, Relaxed);
                Ok(())
            }
            (SOL_UDP, UDP_CORK, Flavor::Udp) => {
                let on = int(value)? != 0;
                self.corked.store(on, Relaxed);
                if on {
                    Ok(())
                } else {
                    self.uncork()
                }
            }
            (SOL_UDP, UDP_NO_CHECK6_TX | UDP_NO_CHECK6_RX, Flavor::Udp) => {
                self.no_check6[(name - UDP_NO_CHECK6_TX) as usize].store(int(value)? != 0, Relaxed);
                Ok(())
            }
            (SOL_UDP, UDP_SEGMENT, Flavor::Udp) => {
                let n = u16::try_from(int(value)?).map_err(|_| Errno::EINVAL)?;
                self.segment.store(n.into(), Relaxed);
                Ok(())
            }
            (SOL_UDP, UDP_GRO, Flavor::Udp) => {
                // Allowed to be put together; here they never are.
                self.gro.store(int(value)? != 0, Relaxed);
                Ok(())
            }
            (SOL_RAW, ICMP_FILTER, Flavor::Raw) if !v6 && self.protocol == crate::ip::IPPROTO_ICMP => {
                self.icmp_filter[0].store(int(value)? as u32, Relaxed);
                Ok(())
            }
            (SOL_ICMPV6, ICMP_FILTER, _) if v6 && self.protocol == crate::ip::IPPROTO_ICMPV6 => {
                for (word, bits) in self.icmp_filter.iter().zip(value.chunks_exact(4)) {
                    word.store(int(bits)? as u32, Relaxed);
                }
                Ok(())
            }
            (SOL_IPV6 | SOL_RAW, IPV6_CHECKSUM, Flavor::Raw) if v6 => {
                let n = int(value)?;
                if self.protocol == crate::ip::IPPROTO_ICMPV6 && level == SOL_IPV6 {
                    return Err(Errno::EINVAL);
                }
                if n > 0 && n % 2 != 0 {
                    return Err(Errno::EINVAL);
                }
                self.checksum_at.store(n.max(-1), Relaxed);
                Ok(())
            }
            (SOL_IP, IP_HDRINCL, Flavor::Raw) if !v6 => {
                self.inet.hdrincl.store(int(value)?, Relaxed);
                Ok(())
            }
            (SOL_IPV6, IPV6_HDRINCL, Flavor::Raw) if v6 => {
                self.inet.hdrincl6.store(int(value)?, Relaxed);
                Ok(())
            }
            (SOL_IP | SOL_IPV6, ..) => {
                let done = self.inet.set(&self.net, level, name, value, self.binding().port != 0);
                *self.route.lock() = None;
                done
            }
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    pub(super) fn get_option(&self, level: i32, name: i32) -> Result<Vec<u8>> {
        let v6 = self.family == AF_INET6;
        let answer = |n: i32| Ok(n.to_ne_bytes().to_vec());
        match (level, name, self.flavor) {
            (SOL_SOCKET, lkl_abi::socket::SO_ACCEPTCONN, _) => answer(0),
            (SOL_SOCKET, SO_LOCK_FILTER, _) => answer(self.filter_locked.load(Relaxed).into()),
            (SOL_UDP, UDP_CORK, Flavor::Udp) => answer(self.corked.load(Relaxed).into()),
            (SOL_UDP, UDP_NO_CHECK6_TX | UDP_NO_CHECK6_RX, Flavor::Udp) => {
                answer(self.no_check6[(name - UDP_NO_CHECK6_TX) as usize].load(Relaxed).into())
            }
            (SOL_UDP, UDP_SEGMENT, Flavor::Udp) => answer(self.segment.load(Relaxed) as i32),
            (SOL_UDP, UDP_GRO, Flavor::Udp) => answer(self.gro.load(Relaxed).into()),
            (SOL_RAW, ICMP_FILTER, Flavor::Raw) if !v6 && self.protocol == crate::ip::IPPROTO_ICMP => {
                answer(self.icmp_filter[0].load(Relaxed) as i32)
            }
            (SOL_ICMPV6, ICMP_FILTER, _) if v6 && self.protocol == crate::ip::IPPROTO_ICMPV6 => {
                Ok(self.icmp_filter.iter().flat_map(|w| w.load(Relaxed).to_ne_bytes()).collect())
            }
            (SOL_IPV6 | SOL_RAW, IPV6_CHECKSUM, Flavor::Raw) if v6 => answer(self.checksum_at.load(Relaxed)),
            (SOL_IP, IP_HDRINCL, Flavor::Raw) if !v6 => answer(self.inet.hdrincl.load(Relaxed)),
            (SOL_IPV6, IPV6_HDRINCL, Flavor::Raw) if v6 => answer(self.inet.hdrincl6.load(Relaxed)),
            (SOL_IP | SOL_IPV6, ..) => {
                let b = self.binding();
                let route = match b.remote {
                    Some((ip, port)) => {
                        let key = crate::FlowKey { oif: b.scope, ports: (b.port, port), ..crate::FlowKey::to(ip) };
                        self.net.route_output(&key).ok()
                    }
                    None => None,
                };
                self.inet.get(&self.net, level, name, route.as_ref())
            }
            // What IPv4's own answers for a level that nobody knows.
            (l, ..) if !v6 && l != SOL_SOCKET && l != SOL_UDP => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }
}
