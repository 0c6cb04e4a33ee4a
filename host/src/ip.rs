//! `ip=` of the command line: an address, given or asked for (`Documentation/admin-guide/nfs/nfsroot.rst` of Linux).

use crate::cmdline::Ip;
use crate::mem::OwnMemory;
use crate::real::RealHost;
use crate::{dhcp, setup, ThreadParker};
use lkl_abi::{nr, Errno, Result};
use lkl_inet::Net;
use lkl_kernel::{Kernel, Lowest};
use std::sync::Arc;

/// A kernel, for whoever configures it by system calls: those that ask servers.
pub struct Calls<'a> {
    /// Its network.
    pub net: &'a Net,
    /// Makes a system call, with the memory of this process.
    pub call: &'a dyn Fn(usize, [u64; 6]) -> Result<u64>,
}

impl Calls<'_> {
    /// Sets the kernel's host name.
    pub(crate) fn set_hostname(&self, name: &str) -> Result<()> {
        (self.call)(nr::SETHOSTNAME, [name.as_ptr() as u64, name.len() as u64, 0, 0, 0, 0]).map(drop)
    }

    /// Does what `ip=` asks for; `first` is the interface that is meant if it names none.
    ///
    /// # Errors
    /// `ENODEV`: there is no such interface. `ETIMEDOUT`: no server answers. As [`Net::addr_add`] and [`Net::route_add`].
    pub fn configure(&self, ip: &Ip, first: Option<u32>) -> Result<()> {
        let (Ip::Dhcp(device) | Ip::Static { device, .. }) = ip;
        let index = match device {
            Some(name) => self.net.link_by_name(name).ok().map(|l| l.index),
            None => first,
        };
        let index = index.ok_or(Errno::ENODEV)?;
        self.net.link_set_up(index, true)?;
        match ip {
            Ip::Dhcp(_) => dhcp::configure(self, index),
            Ip::Static { addr, prefix_len, gateway, host, .. } => {
                if let Some(name) = host {
                    self.set_hostname(name)?;
                }
                setup::add_address(self.net, index, (*addr).into(), *prefix_len, 0)?;
                gateway.map_or(Ok(()), |g| setup::add_default(self.net, g.into(), Some(index), None))
            }
        }
    }
}

/// Does what `ip=` asks for in a kernel that has no process yet.
///
/// # Errors
/// As [`Calls::configure`].
pub(crate) fn configure(kernel: &Arc<Kernel>, host: &Arc<RealHost>, ip: &Ip) -> Result<()> {
    /// Any number: the process is gone afterwards.
    const PID: i32 = 1;
    let process = kernel.process(PID, Arc::new(OwnMemory), Arc::new(Lowest::new()));
    let task = Kernel::task(&process, PID, ThreadParker::new(host));
    let net = kernel.net();
    let first = net.links().iter().find(|l| !l.is_loopback()).map(|l| l.index);
    let call = |number, args| kernel.syscall(&task, number, args);
    let result = Calls { net, call: &call }.configure(ip, first);
    process.close_all();
    result
}
