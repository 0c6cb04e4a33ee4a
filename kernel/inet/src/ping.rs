//! Stub.
use crate::tx::{IcmpError, RxMeta};
use crate::Net;
use bytes::Bytes;
use lkl_file::File;
use std::sync::Arc;
#[derive(Default)]
pub(crate) struct PingTable {}
pub(crate) fn socket(_: &Arc<Net>, _: u16) -> Arc<dyn File> {
    unreachable!()
}
impl Net {
    pub(crate) fn ping_input(&self, _: &RxMeta, _: &Bytes, _: u16) {}
    pub(crate) fn ping_error(&self, _: &IcmpError) {}
    /// All ping sockets.
    pub fn ping_sockets(&self) -> Vec<crate::SockInfo> {
        Vec::new()
    }
}
