//! Stub.
use crate::tx::{IcmpError, RxMeta};
use crate::Net;
use bytes::Bytes;
use lkl_file::File;
use std::sync::Arc;
#[derive(Default)]
pub(crate) struct UdpTable {}
pub(crate) fn socket(_: &Arc<Net>, _: u16) -> Arc<dyn File> {
    unreachable!()
}
impl Net {
    pub(crate) fn udp_input(&self, _: &RxMeta, _: &Bytes) {}
    pub(crate) fn udp_error(&self, _: &IcmpError) {}
    /// All UDP sockets.
    pub fn udp_sockets(&self) -> Vec<crate::SockInfo> {
        Vec::new()
    }
}
