//! TCP connections of a kernel.

use crate::call::Arg;
use crate::error::{Error, Result};
use crate::file::Fd;
use crate::process::Process;
use lkl_abi::socket::{AF_INET, AF_INET6, SOCK_CLOEXEC, SOCK_STREAM};
use lkl_abi::{nr, Errno};
use std::io;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6};
use std::sync::Arc;

/// Bytes of a `struct sockaddr_in6`, the longer of both.
const ADDRESS: usize = 28;
/// Connections that wait to be accepted.
const BACKLOG: u64 = 128;

/// A connection.
///
/// ```
/// use std::io::{Read, Write};
/// use std::sync::Arc;
///
/// let process = Arc::new(lkl::Kernel::builder().boot()?.process());
/// let listener = lkl::TcpListener::bind(&process, "127.0.0.1:0".parse().unwrap())?;
/// let mut client = lkl::TcpStream::connect(&process, listener.local_addr()?)?;
/// let (mut server, peer) = listener.accept()?;
/// assert_eq!(peer, client.local_addr()?);
/// client.write_all(b"hello").unwrap();
/// client.shutdown(std::net::Shutdown::Write)?;
/// let mut text = String::new();
/// server.read_to_string(&mut text).unwrap();
/// assert_eq!(text, "hello");
/// # Ok::<(), lkl::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpStream {
    fd: Fd,
}

/// A socket that takes connections.
#[derive(Debug)]
pub struct TcpListener {
    fd: Fd,
}

fn to_bytes(addr: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ADDRESS);
    let family = if addr.is_ipv4() { AF_INET } else { AF_INET6 };
    bytes.extend(family.to_ne_bytes());
    bytes.extend(addr.port().to_be_bytes());
    match addr {
        SocketAddr::V4(v4) => {
            bytes.extend(v4.ip().octets());
            bytes.extend([0; 8]);
        }
        SocketAddr::V6(v6) => {
            bytes.extend(v6.flowinfo().to_be_bytes());
            bytes.extend(v6.ip().octets());
            bytes.extend(v6.scope_id().to_ne_bytes());
        }
    }
    bytes
}

fn from_bytes(bytes: &[u8; ADDRESS]) -> core::result::Result<SocketAddr, Errno> {
    let &[f0, f1, p0, p1, a0, a1, a2, a3, ref rest @ ..] = bytes;
    let port = u16::from_be_bytes([p0, p1]);
    match u16::from_ne_bytes([f0, f1]) {
        AF_INET => Ok(SocketAddr::new(IpAddr::from([a0, a1, a2, a3]), port)),
        AF_INET6 => {
            let (ip, scope) = rest.split_at(16);
            let ip: [u8; 16] = ip.try_into().map_err(|_| Errno::EINVAL)?;
            let scope = scope.try_into().map_or(0, u32::from_ne_bytes);
            let flow = u32::from_be_bytes([a0, a1, a2, a3]);
            Ok(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope)))
        }
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

fn socket(process: &Arc<Process>, addr: SocketAddr) -> Result<Fd> {
    let family = if addr.is_ipv4() { AF_INET } else { AF_INET6 };
    let kind = Arg::Num(u64::from(SOCK_STREAM | SOCK_CLOEXEC));
    let fd = process.call(nr::SOCKET, [Arg::Num(family.into()), kind, Arg::Num(0)]);
    fd.map(|fd| Fd::new(process, fd as i32, addr.to_string().as_ref())).map_err(|e| Error::new(e, addr.to_string()))
}

/// Calls that tell an address: `number` with the descriptor, room for the address, and its length.
fn address(fd: &Fd, number: usize) -> core::result::Result<(u64, SocketAddr), Errno> {
    let mut bytes = [0; ADDRESS];
    let mut len = (ADDRESS as u32).to_ne_bytes();
    let args = [Arg::Fd(fd.number()), Arg::RecordOut(&mut bytes), Arg::RecordOut(&mut len), Arg::Num(0)];
    let answer = fd.process().call(number, args)?;
    Ok((answer, from_bytes(&bytes)?))
}

fn fail(fd: &Fd) -> impl Fn(Errno) -> Error + '_ {
    |e| Error::new(e, fd.path())
}

impl TcpStream {
    /// Connects.
    ///
    /// # Errors
    /// `ECONNREFUSED`, `ENETUNREACH`, `ETIMEDOUT`, and others (`man 2 connect`).
    pub fn connect(process: &Arc<Process>, to: SocketAddr) -> Result<Self> {
        let fd = socket(process, to)?;
        process.call(nr::CONNECT, [Arg::Fd(fd.number()), Arg::In(&to_bytes(to))]).map_err(fail(&fd))?;
        Ok(Self { fd })
    }

    /// This end's address.
    ///
    /// # Errors
    /// `man 2 getsockname`
    pub fn local_addr(&self) -> Result<SocketAddr> {
        address(&self.fd, nr::GETSOCKNAME).map(|(_, addr)| addr).map_err(fail(&self.fd))
    }

    /// The other end's address.
    ///
    /// # Errors
    /// `ENOTCONN`
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        address(&self.fd, nr::GETPEERNAME).map(|(_, addr)| addr).map_err(fail(&self.fd))
    }

    /// Ends one direction, or both.
    ///
    /// # Errors
    /// `ENOTCONN`
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        let how = match how {
            Shutdown::Read => 0,
            Shutdown::Write => 1,
            Shutdown::Both => 2,
        };
        let args = [Arg::Fd(self.fd.number()), Arg::Num(how)];
        self.fd.process().call(nr::SHUTDOWN, args).map(drop).map_err(fail(&self.fd))
    }
}

impl TcpListener {
    /// Listens at an address; port 0 is any that is free.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EADDRNOTAVAIL`
    pub fn bind(process: &Arc<Process>, at: SocketAddr) -> Result<Self> {
        let fd = socket(process, at)?;
        process.call(nr::BIND, [Arg::Fd(fd.number()), Arg::In(&to_bytes(at))]).map_err(fail(&fd))?;
        process.call(nr::LISTEN, [Arg::Fd(fd.number()), Arg::Num(BACKLOG)]).map_err(fail(&fd))?;
        Ok(Self { fd })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// `man 2 accept`
    pub fn accept(&self) -> Result<(TcpStream, SocketAddr)> {
        let (fd, peer) = address(&self.fd, nr::ACCEPT4).map_err(fail(&self.fd))?;
        Ok((TcpStream { fd: Fd::new(self.fd.process(), fd as i32, peer.to_string().as_ref()) }, peer))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// `man 2 getsockname`
    pub fn local_addr(&self) -> Result<SocketAddr> {
        address(&self.fd, nr::GETSOCKNAME).map(|(_, addr)| addr).map_err(fail(&self.fd))
    }
}

impl io::Read for TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let args = [Arg::Fd(self.fd.number()), Arg::Out(buf)];
        Ok(self.fd.process().call(nr::READ, args).map_err(fail(&self.fd))? as usize)
    }
}

impl io::Write for TcpStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let args = [Arg::Fd(self.fd.number()), Arg::In(data)];
        Ok(self.fd.process().call(nr::WRITE, args).map_err(fail(&self.fd))? as usize)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_all_they_have() {
        for text in ["10.0.0.2:80", "[fd00::2]:443", "[::1]:65535"] {
            let addr: SocketAddr = text.parse().unwrap();
            let mut bytes = to_bytes(addr);
            assert_eq!(bytes.len(), if addr.is_ipv4() { 16 } else { ADDRESS });
            bytes.resize(ADDRESS, 0);
            assert_eq!(from_bytes(&bytes.try_into().unwrap()), Ok(addr));
        }
        assert_eq!(from_bytes(&[0; ADDRESS]), Err(Errno::EAFNOSUPPORT));
    }
}
