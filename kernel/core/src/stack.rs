//! The network below, as far as this crate asks it.

use crate::kernel::Kernel;

pub(crate) use lkl_inet::Net;
pub(crate) use lkl_netcfg::{
    dev_ioctl_family, netlink_socket, proc_open_with, proc_readdir, proc_readlink, proc_stat, Hub,
};

impl Kernel {
    pub(crate) fn link_index(&self, name: &str) -> Option<u32> {
        self.net().link_by_name(name).ok().map(|l| l.index)
    }

    pub(crate) fn link_name(&self, index: u32) -> Option<String> {
        self.net().link_by_index(index).ok().map(|l| l.name())
    }
}
