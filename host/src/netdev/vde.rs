//! Ports of VDE switches (Virtual Distributed Ethernet, `man 1 vde_switch`).
//!
//! A switch is a directory with a socket `ctl` in it. A port is asked for there, with the address of a datagram socket of ours; the answer is the address
//! of one of the switch's. Each datagram is a frame. The port lasts as long as the connection to `ctl`.

use super::fd::{FdDev, Kind};
use super::tap::{privatise, random_mac, Refusal};
use crate::real::RealHost;
use crate::sys;
use lkl_abi::Errno;
use lkl_ops::{Features, Host};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The request of `libvdeplug`, third version: for any port.
const MAGIC: u32 = 0xfeed_face;
const VERSION: u32 = 3;
const NEW_PORT: u32 = 0;
/// Bytes of a `struct sockaddr_un`, and of the family before the path in it.
const ADDRESS: usize = 110;
const FAMILY: usize = 2;
/// What the switch shows of the port.
const DESCRIPTION: &[u8] = b"lkl";

/// What a port needs beside its socket: the connection to `ctl`.
struct Port(RawFd);

impl Drop for Port {
    fn drop(&mut self) {
        sys::close(self.0);
    }
}

/// The name of our socket, which only the switch needs, to connect to it: nothing is left behind, however the program ends.
struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        let _gone = rustix::fs::unlink(&self.0);
    }
}

/// Takes a port of the switch in the directory `switch`.
///
/// # Errors
/// What is wrong, in words.
pub fn open(host: &RealHost, switch: &Path, mac: Option<[u8; 6]>) -> Result<Arc<FdDev>, Refusal> {
    let words = |what: &str| {
        let what = what.to_owned();
        move |e: rustix::io::Errno| format!("{what}: {}", Errno(e.raw_os_error()))
    };
    let socket = |kind| {
        rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).map_err(words("no socket"))
    };
    let control = socket(SocketType::STREAM)?;
    let ctl = SocketAddrUnix::new(&*switch.join("ctl")).map_err(words("its name is too long"))?;
    rustix::net::connect(&control, &ctl).map_err(words("expected the directory of a VDE switch that runs"))?;
    let data = socket(SocketType::DGRAM)?;
    let path = Name(bind(host, &data, switch)?);

    let mut request = Vec::with_capacity(256);
    for word in [MAGIC, VERSION, NEW_PORT] {
        request.extend(word.to_ne_bytes());
    }
    let mut own = [0u8; ADDRESS];
    own[..FAMILY].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
    let name = path.0.as_os_str().as_encoded_bytes();
    own.get_mut(FAMILY..FAMILY + name.len()).ok_or("the name of our socket is too long")?.copy_from_slice(name);
    request.extend(own);
    request.extend(DESCRIPTION);
    let refused = "the switch does not answer";
    rustix::net::send(&control, &request, SendFlags::NOSIGNAL).map_err(words(refused))?;
    let mut answer = [0u8; ADDRESS];
    let (len, _) = rustix::net::recv(&control, &mut answer[..], RecvFlags::empty()).map_err(words(refused))?;
    let theirs = answer.get(FAMILY..len).ok_or("the switch refuses a port")?;
    let theirs = theirs.split(|byte| *byte == 0).next().unwrap_or_default();
    let theirs = SocketAddrUnix::new(theirs).map_err(words("the address of the port"))?;
    rustix::net::connect(&data, &theirs).map_err(words("the port cannot be reached"))?;
    rustix::io::ioctl_fionbio(&data, true).map_err(words("the socket of the port"))?;

    let kind = Kind { header: 0, features: Features::default(), longest: usize::MAX, driver: "vde" };
    let port = Port(privatise(&host.hooks, control));
    let fd = privatise(&host.hooks, data);
    let mac = mac.unwrap_or_else(|| random_mac(host));
    Ok(FdDev::keeping(fd, fd, mac, kind, Some(Box::new(port))))
}

/// Gives our socket a name beside the switch's, or where temporary files are.
fn bind(host: &RealHost, data: &OwnedFd, switch: &Path) -> Result<PathBuf, Refusal> {
    let mut random = [0; 8];
    host.random(&mut random);
    let name = format!("lkl-{:016x}", u64::from_ne_bytes(random));
    let mut last = rustix::io::Errno::NAMETOOLONG;
    for dir in [switch, Path::new("/tmp")] {
        let path = dir.join(&name);
        let bound = SocketAddrUnix::new(&path).and_then(|address| rustix::net::bind(data, &address));
        match bound {
            Ok(()) => {
                // The switch may be another user's.
                let _open = rustix::fs::chmod(&path, Mode::from_raw_mode(0o666));
                return Ok(path);
            }
            Err(e) => last = e,
        }
    }
    Err(format!("no name for our socket: {}", Errno(last.raw_os_error())))
}
