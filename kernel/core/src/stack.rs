//! The network below.

use lkl_abi::Result;
use lkl_file::File;
use lkl_ops::{Host, Instant, UserMem};
use std::sync::Arc;

/// Stands in until the network is there.
pub struct Net {
    host: Arc<dyn Host>,
}

impl Net {
    pub fn new(host: Arc<dyn Host>) -> Arc<Self> {
        Arc::new(Self { host })
    }

    pub fn now(&self) -> Instant {
        self.host.now()
    }

    pub fn service(&self) -> Option<Instant> {
        None
    }

    pub fn socket(self: &Arc<Self>, _: u16, _: u32, _: u32) -> Result<Arc<dyn File>> {
        Err(lkl_abi::Errno::EAFNOSUPPORT)
    }
    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }
}

/// Stands in until netlink is there.
pub struct Hub {}

impl Hub {
    pub fn new(_: &Arc<Net>) -> Arc<Self> {
        Arc::new(Self {})
    }
}

pub(crate) fn netlink_socket(_: &Arc<Net>, _: &Arc<Hub>, _: u32, _: u32) -> Result<Arc<dyn File>> {
    Err(lkl_abi::Errno::EPROTONOSUPPORT)
}

pub(crate) fn dev_ioctl(_: &Arc<Net>, _: &dyn UserMem, _: u32, _: u64) -> Result<u64> {
    Err(lkl_abi::Errno::ENOTTY)
}

pub(crate) fn proc_open_with(_: &Arc<Net>, _: &Arc<Hub>, _: &str) -> Option<Result<Arc<dyn File>>> {
    None
}

pub(crate) fn proc_stat(_: &Arc<Net>, _: &str, _: bool) -> Option<Result<lkl_abi::stat::Stat>> {
    None
}

pub(crate) fn proc_readlink(_: &Arc<Net>, _: &str) -> Option<Result<String>> {
    None
}

pub(crate) struct DirEntry {
    pub(crate) name: String,
    pub(crate) ino: u64,
    pub(crate) kind: u32,
}

pub(crate) fn proc_readdir(_: &Arc<Net>, _: &str) -> Option<Result<Vec<DirEntry>>> {
    None
}

impl crate::kernel::Kernel {
    pub(crate) fn has_link(&self, _: u32) -> bool {
        false
    }

    pub(crate) fn link_index(&self, _: &str) -> Option<u32> {
        None
    }

    pub(crate) fn link_name(&self, _: u32) -> Option<String> {
        None
    }
}
