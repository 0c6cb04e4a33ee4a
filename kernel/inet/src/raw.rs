//! Stub.
use crate::tx::{IcmpError, RxMeta};
use crate::Net;
use bytes::Bytes;
use lkl_file::File;
use std::sync::Arc;
#[derive(Default)]
pub(crate) struct RawTable {}
pub(crate) fn socket(_: &Arc<Net>, _: u16, _: u8) -> Arc<dyn File> {
    unreachable!()
}
impl Net {
    pub(crate) fn raw_input(&self, _: &RxMeta) -> bool {
        let _: Option<Bytes> = None;
        false
    }
    pub(crate) fn raw_error(&self, _: &IcmpError, _: u8) {}
    /// All raw sockets.
    pub fn raw_sockets(&self) -> Vec<crate::SockInfo> {
        Vec::new()
    }
}
