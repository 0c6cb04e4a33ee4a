//! `ip=dhcp`: asks for an address (RFC 2131), as Linux's own `ip=` does: once, before anything else runs; the lease is not renewed.
//!
//! Without an address a UDP socket is of no use: the messages go by a packet socket of the kernel. The crate `smoltcp` knows their format.

use crate::ip::Calls;
use crate::{cmdline, setup};
use core::time::Duration;
use lkl_abi::if_ether::ETH_P_IP;
use lkl_abi::socket::{AF_PACKET, SOCK_DGRAM};
use lkl_abi::{nr, Errno, Result};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, IpAddress, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr,
    UdpPacket, UdpRepr,
};
use std::net::Ipv4Addr;
use std::time::Instant;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// How long it is tried in all, and how long the first message waits for its answer; each next one waits twice as long.
const PATIENCE: Duration = Duration::from_secs(12);
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// What is asked for: mask, router, host name, MTU.
const WANTED: &[u8] = &[1, 3, 12, 26];
const HOST_NAME: u8 = 12;
const MTU: u8 = 26;
/// Bytes of a message at most.
const MESSAGE_MAX: usize = 1500;

/// What a server has given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Lease {
    kind: Option<DhcpMessageType>,
    addr: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    mask: Option<Ipv4Addr>,
    router: Option<Ipv4Addr>,
    host: Option<String>,
    mtu: Option<u32>,
}

/// Asks for an address on an interface that is up, and sets what comes.
///
/// # Errors
/// `ETIMEDOUT`: nobody answers.
pub(crate) fn configure(calls: &Calls<'_>, ifindex: u32) -> Result<()> {
    let kernel_net = calls.net;
    let link = kernel_net.link_by_index(ifindex)?;
    let socket = Socket::open(calls, ifindex)?;
    let mut random = [0; 4];
    kernel_net.host().random(&mut random);
    let mut client = Client { mac: link.mac(), id: u32::from_ne_bytes(random), start: Instant::now(), offer: None };
    let lease = client.run(&socket)?;
    let addr = lease.addr.ok_or(Errno::EPROTO)?;
    let len = lease.mask.map_or(Ok(cmdline::class(addr)), cmdline::prefix_len)?;
    if let Some(mtu) = lease.mtu.filter(|mtu| (576..=1500).contains(mtu)) {
        kernel_net.link_set_mtu(ifindex, mtu)?;
    }
    setup::add_address(kernel_net, ifindex, addr.into(), len, 0)?;
    if let Some(router) = lease.router {
        setup::add_default(kernel_net, router.into(), Some(ifindex), None)?;
    }
    if let Some(name) = &lease.host {
        calls.set_hostname(name)?;
    }
    tracing::info!("{}: {addr}/{len} from DHCP server {}", link.name(), lease.server.unwrap_or(Ipv4Addr::UNSPECIFIED));
    Ok(())
}

struct Client {
    mac: [u8; 6],
    id: u32,
    start: Instant,
    offer: Option<Lease>,
}

impl Client {
    /// Sends until a server has said yes.
    fn run(&mut self, socket: &Socket<'_>) -> Result<Lease> {
        let mut wait = FIRST_WAIT;
        loop {
            let left = PATIENCE.checked_sub(self.start.elapsed()).ok_or(Errno::ETIMEDOUT)?;
            let frame = self.request().ok_or(Errno::EINVAL)?;
            match socket.send(&frame) {
                // Nobody has looked at the device yet.
                Ok(()) | Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENETDOWN) => {}
                Err(e) => return Err(e),
            }
            let until = Instant::now() + wait.min(left);
            wait *= 2;
            while let Some(packet) = socket.receive(until)? {
                let Some(lease) = parse(&packet, self.id, self.mac) else { continue };
                match (lease.kind, &self.offer) {
                    (Some(DhcpMessageType::Offer), None) if lease.addr.is_some() && lease.server.is_some() => {
                        self.offer = Some(lease);
                        wait = FIRST_WAIT;
                        break;
                    }
                    (Some(DhcpMessageType::Ack), Some(_)) => return Ok(lease),
                    (Some(DhcpMessageType::Nak), Some(_)) => {
                        self.offer = None;
                        break;
                    }
                    _ => {}
                }
            }
        }
    }

    /// The message to send now: DISCOVER, or REQUEST once there is an offer (RFC 2131, section 4.4.1).
    fn request(&self) -> Option<Vec<u8>> {
        let offered = self.offer.as_ref();
        let message = DhcpRepr {
            message_type: if offered.is_some() { DhcpMessageType::Request } else { DhcpMessageType::Discover },
            transaction_id: self.id,
            secs: u16::try_from(self.start.elapsed().as_secs()).unwrap_or(u16::MAX),
            client_hardware_address: EthernetAddress(self.mac),
            client_ip: Ipv4Address::UNSPECIFIED,
            your_ip: Ipv4Address::UNSPECIFIED,
            server_ip: Ipv4Address::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Address::UNSPECIFIED,
            // The packet socket sees what is sent to the address already.
            broadcast: false,
            requested_ip: offered.and_then(|o| o.addr),
            client_identifier: Some(EthernetAddress(self.mac)),
            server_identifier: offered.and_then(|o| o.server),
            parameter_request_list: Some(WANTED),
            dns_servers: None,
            max_size: Some(MESSAGE_MAX as u16),
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        let udp = UdpRepr { src_port: CLIENT_PORT, dst_port: SERVER_PORT };
        let ip = Ipv4Repr {
            src_addr: Ipv4Address::UNSPECIFIED,
            dst_addr: Ipv4Address::BROADCAST,
            next_header: IpProtocol::Udp,
            payload_len: udp.header_len() + message.buffer_len(),
            hop_limit: 64,
        };
        let sums = ChecksumCapabilities::default();
        let mut bytes = vec![0; ip.buffer_len() + ip.payload_len];
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[..]), &sums);
        let payload = bytes.get_mut(ip.buffer_len()..)?;
        let mut ok = true;
        let (src, dst) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
        let fill = |room: &mut [u8]| ok = message.emit(&mut DhcpPacket::new_unchecked(room)).is_ok();
        udp.emit(&mut UdpPacket::new_unchecked(payload), &src, &dst, message.buffer_len(), fill, &sums);
        ok.then_some(bytes)
    }
}

/// What an IP packet says, if it is an answer of a server to us.
fn parse(packet: &[u8], id: u32, mac: [u8; 6]) -> Option<Lease> {
    let sums = ChecksumCapabilities::default();
    let ip = Ipv4Packet::new_checked(packet).ok()?;
    let header = Ipv4Repr::parse(&ip, &sums).ok().filter(|h| h.next_header == IpProtocol::Udp)?;
    let udp = UdpPacket::new_checked(ip.payload()).ok()?;
    let (src, dst) = (IpAddress::Ipv4(header.src_addr), IpAddress::Ipv4(header.dst_addr));
    // Servers on this machine leave the checksum to a device that is not there.
    if udp.src_port() != SERVER_PORT || udp.dst_port() != CLIENT_PORT {
        return None;
    }
    let _sum = udp.verify_checksum(&src, &dst);
    let message = DhcpPacket::new_checked(udp.payload()).ok()?;
    let repr = DhcpRepr::parse(&message).ok()?;
    if repr.transaction_id != id || repr.client_hardware_address != EthernetAddress(mac) {
        return None;
    }
    let mut lease = Lease {
        kind: Some(repr.message_type),
        addr: Some(repr.your_ip).filter(|a| !a.is_unspecified() && !a.is_multicast() && !a.is_broadcast()),
        server: repr.server_identifier,
        mask: repr.subnet_mask,
        router: repr.router,
        ..Lease::default()
    };
    for option in message.options() {
        match (option.kind, option.data) {
            (HOST_NAME, name) => lease.host = core::str::from_utf8(name).ok().map(str::to_owned),
            (MTU, &[high, low]) => lease.mtu = Some(u16::from_be_bytes([high, low]).into()),
            _ => {}
        }
    }
    Some(lease)
}

/// A packet socket of the kernel, for IPv4 on one interface.
struct Socket<'a> {
    calls: &'a Calls<'a>,
    fd: u64,
    ifindex: u32,
}

/// `struct sockaddr_ll` (`man 7 packet`).
fn address(ifindex: u32, to: [u8; 6]) -> [u8; 20] {
    let mut a = [0; 20];
    a[..2].copy_from_slice(&AF_PACKET.to_ne_bytes());
    a[2..4].copy_from_slice(&ETH_P_IP.to_be_bytes());
    a[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    a[11] = 6;
    a[12..18].copy_from_slice(&to);
    a
}

impl<'a> Socket<'a> {
    fn open(calls: &'a Calls<'a>, ifindex: u32) -> Result<Self> {
        let protocol = u64::from(ETH_P_IP.to_be());
        let args = [AF_PACKET.into(), SOCK_DGRAM.into(), protocol, 0, 0, 0];
        let fd = (calls.call)(nr::SOCKET, args)?;
        let socket = Self { calls, fd, ifindex };
        let to = address(ifindex, [0; 6]);
        socket.call(nr::BIND, [to.as_ptr() as u64, to.len() as u64, 0, 0, 0])?;
        Ok(socket)
    }

    fn call(&self, number: usize, [a, b, c, d, e]: [u64; 5]) -> Result<u64> {
        (self.calls.call)(number, [self.fd, a, b, c, d, e])
    }

    fn send(&self, packet: &[u8]) -> Result<()> {
        let to = address(self.ifindex, [0xff; 6]);
        let args = [packet.as_ptr() as u64, packet.len() as u64, 0, to.as_ptr() as u64, to.len() as u64];
        self.call(nr::SENDTO, args).map(drop)
    }

    /// Waits for a packet; `None` if none has come in time.
    fn receive(&self, until: Instant) -> Result<Option<Vec<u8>>> {
        let left = until.saturating_duration_since(Instant::now());
        let time = [left.as_secs(), u64::from(left.subsec_nanos())];
        // `struct pollfd`: descriptor, events (POLLIN), what came.
        let mut pollfd = self.fd | 1 << 32;
        let args = [&raw mut pollfd as u64, 1, time.as_ptr() as u64, 0, 0, 0];
        match (self.calls.call)(nr::PPOLL, args) {
            Ok(0) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
        let mut packet = vec![0; MESSAGE_MAX];
        let args = [packet.as_mut_ptr() as u64, packet.len() as u64, lkl_abi::socket::MSG_DONTWAIT.into(), 0, 0];
        match self.call(nr::RECVFROM, args) {
            Ok(n) => packet.truncate(usize::try_from(n).unwrap_or(0)),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => packet.clear(),
            Err(e) => return Err(e),
        }
        Ok(Some(packet))
    }
}

impl Drop for Socket<'_> {
    fn drop(&mut self) {
        let _closed = self.call(nr::CLOSE, [0; 5]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client { mac: [2, 0, 0, 0, 0, 9], id: 77, start: Instant::now(), offer: None }
    }

    #[test]
    fn what_is_asked_is_a_packet_from_nobody_to_everybody() {
        let bytes = client().request().unwrap();
        let ip = Ipv4Packet::new_checked(&bytes[..]).unwrap();
        assert!(ip.verify_checksum());
        assert_eq!((ip.src_addr(), ip.dst_addr()), (Ipv4Address::UNSPECIFIED, Ipv4Address::BROADCAST));
        let udp = UdpPacket::new_checked(ip.payload()).unwrap();
        assert_eq!((udp.src_port(), udp.dst_port()), (68, 67));
        assert!(udp.verify_checksum(&IpAddress::Ipv4(ip.src_addr()), &IpAddress::Ipv4(ip.dst_addr())));
        let message = DhcpPacket::new_checked(udp.payload()).unwrap();
        let repr = DhcpRepr::parse(&message).unwrap();
        assert_eq!((repr.message_type, repr.transaction_id), (DhcpMessageType::Discover, 77));
    }

    #[test]
    fn no_bytes_that_come_make_it_fail() {
        // An answer of nobody, cut and changed in each place.
        let ours = client().request().unwrap();
        for n in 0..ours.len() {
            assert_eq!(parse(&ours[..n], 77, [2, 0, 0, 0, 0, 9]), None);
            let mut changed = ours.clone();
            changed[n] ^= 0xff;
            let _any = parse(&changed, 77, [2, 0, 0, 0, 0, 9]);
        }
    }
}
