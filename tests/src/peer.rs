//! A foreign peer: smoltcp at the other end of a machine's wire, at 10.0.0.2 and fd00::2.

use crate::machine::{addresses, Machine};
use lkl_ops::sim::{Link, SimDev, Wire, World};
use lkl_ops::NetDev;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use std::net::SocketAddr;
use std::sync::Arc;

/// Bytes of each buffer of a socket.
const BUFFER: usize = 64 * 1024;

/// The device as smoltcp wants it.
struct Port(Arc<SimDev>);
/// A frame that has come.
struct Rx(bytes::Bytes);
/// A place for a frame.
struct Tx(Arc<SimDev>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.put(&frame);
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx;

    fn receive(&mut self, _: Instant) -> Option<(Rx, Tx)> {
        Some((Rx(self.0.take()?), Tx(self.0.clone())))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx> {
        Some(Tx(self.0.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// The foreign stack with one TCP socket.
pub struct Peer {
    world: World,
    port: Port,
    iface: Interface,
    sockets: SocketSet<'static>,
    tcp: SocketHandle,
}

impl Peer {
    /// A machine (10.0.0.1, fd00::1) and the peer on one wire.
    pub fn new(world: &World, wire: &Wire) -> (Machine, Self, Link) {
        let m = Machine::new(world);
        let link = world.stub_link(&m.host, wire);
        m.plug(&link.a, &addresses(1));
        let mut port = Port(link.b.clone());
        let mut config = Config::new(EthernetAddress(link.b.mac()).into());
        config.random_seed = world.random();
        let mut iface = Interface::new(config, &mut port, now(world));
        iface.update_ip_addrs(|list| {
            for (ip, bits) in addresses(2) {
                list.push(IpCidr::new(ip.into(), bits)).expect("room for two addresses");
            }
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut sockets = SocketSet::new(Vec::new());
        let tcp = sockets.add(tcp::Socket::new(buffer(), buffer()));
        (m, Self { world: world.clone(), port, iface, sockets, tcp }, link)
    }

    /// Its socket.
    pub fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }

    /// Connects its socket.
    ///
    /// # Panics
    /// If it is open already.
    pub fn connect(&mut self, to: SocketAddr, port: u16) {
        let context = self.iface.context();
        self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp).connect(context, to, port).expect("the socket connects");
    }

    /// Does what is due, and has the world wake up when it wants to be called again.
    pub fn poll(&mut self) {
        while self.iface.poll(now(&self.world), &mut self.port, &mut self.sockets) != smoltcp::iface::PollResult::None {
        }
        if let Some(delay) = self.iface.poll_delay(now(&self.world), &self.sockets) {
            let delay = std::time::Duration::from_micros(delay.total_micros().max(100));
            self.world.after(delay, |_| {});
        }
    }
}

fn now(world: &World) -> Instant {
    Instant::from_micros((world.now().as_nanos() / 1000) as i64)
}
