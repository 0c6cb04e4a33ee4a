//! Netlink: messages between programs and the kernel (`man 7 netlink`).
//!
//! [`Hub`] knows the sockets and their groups, [`socket`] is one socket with its queue and its running dump, [`wire`]
//! reads and writes messages. What the messages mean is in [`crate::rtnl`], [`crate::diag`] and [`crate::genl`], each
//! a function from a [`Request`] to a [`Reply`].

pub(crate) mod hub;
pub(crate) mod socket;
pub(crate) mod wire;

pub use hub::Hub;

use lkl_abi::Errno;
use lkl_inet::Net;
use std::borrow::Cow;
use std::sync::Arc;
use wire::{Attr, Attrs, Header, To, Writer};

/// One message of a program, taken apart.
pub(crate) struct Request<'a> {
    pub(crate) net: &'a Arc<Net>,
    pub(crate) hub: &'a Arc<Hub>,
    pub(crate) header: Header,
    /// What follows the header.
    pub(crate) body: &'a [u8],
    /// The port of the socket it came from.
    pub(crate) portid: u32,
    /// `NETLINK_GET_STRICT_CHK` is set.
    pub(crate) strict: bool,
}

impl<'a> Request<'a> {
    /// The header of an answer.
    pub(crate) fn to(&self) -> To {
        To { seq: self.header.seq, pid: self.portid, flags: 0 }
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.header.flags & flag == flag
    }

    /// Is a dump asked for?
    pub(crate) fn is_dump(&self) -> bool {
        self.has(lkl_abi::netlink::NLM_F_DUMP)
    }

    /// The fixed part of the message, `N` bytes.
    pub(crate) fn fixed<const N: usize>(&self) -> Result<[u8; N], Fail> {
        self.body.first_chunk().copied().ok_or_else(|| Fail::from(Errno::EINVAL))
    }

    pub(crate) fn attrs(&self, fixed: usize) -> Attrs<'a> {
        Attrs::of_message(self.body, fixed)
    }
}

/// Writes the next message of a dump; false when there is none left.
pub(crate) type Dump = Box<dyn FnMut(&mut Writer) -> bool + Send>;

/// What a request is answered with, beside the acknowledgement.
#[derive(Default)]
pub(crate) struct Reply {
    /// Messages, one datagram each.
    pub(crate) messages: Vec<Vec<u8>>,
    /// A dump to begin.
    pub(crate) dump: Option<Dump>,
}

impl Reply {
    /// One message.
    pub(crate) fn message(kind: u16, to: To, body: impl FnOnce(&mut Writer)) -> Self {
        let mut w = Writer::default();
        w.message(kind, to, body);
        Self { messages: vec![w.into_bytes()], dump: None }
    }

    /// A dump that writes one message per item.
    ///
    /// The items are a snapshot taken now, so a change meanwhile never makes it inconsistent and `NLM_F_DUMP_INTR`
    /// needs not be told; they are put into words only when the program has read what came before.
    pub(crate) fn dump<T: Send + 'static>(
        items: Vec<T>,
        mut write: impl FnMut(&mut Writer, T) + Send + 'static,
    ) -> Self {
        let mut items = items.into_iter();
        Self {
            messages: Vec::new(),
            dump: Some(Box::new(move |w| match items.next() {
                Some(item) => {
                    write(w, item);
                    true
                }
                None => false,
            })),
        }
    }
}

/// Why a request failed, as the acknowledgement tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fail {
    pub(crate) errno: Errno,
    /// `NLMSGERR_ATTR_MSG`
    pub(crate) message: Option<Cow<'static, str>>,
    /// `NLMSGERR_ATTR_OFFS`
    pub(crate) offset: Option<u32>,
    /// `NLMSGERR_ATTR_MISS_TYPE`
    pub(crate) missing: Option<u16>,
}

impl Fail {
    /// Is there more to tell than the number?
    pub(crate) fn explains(&self) -> bool {
        self.message.is_some() || self.offset.is_some() || self.missing.is_some()
    }

    pub(crate) fn new(errno: Errno, message: impl Into<Cow<'static, str>>) -> Self {
        Self { errno, message: Some(message.into()), offset: None, missing: None }
    }

    /// With the attribute that is to blame.
    pub(crate) fn at(errno: Errno, message: impl Into<Cow<'static, str>>, attr: &Attr<'_>) -> Self {
        Self { offset: Some(attr.offset), ..Self::new(errno, message) }
    }
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Self { errno, message: None, offset: None, missing: None }
    }
}

pub(crate) type Outcome = Result<Reply, Fail>;

/// Does a message of `NETLINK_ROUTE` of this kind ask for something?
pub(crate) fn is_get(kind: u16) -> bool {
    kind % 4 == 2
}

/// Has the request carried out that belongs to `protocol`.
pub(crate) fn handle(protocol: u32, request: &Request<'_>) -> Outcome {
    match protocol {
        lkl_abi::netlink::NETLINK_ROUTE => crate::rtnl::handle(request),
        lkl_abi::netlink::NETLINK_SOCK_DIAG => crate::diag::handle(request),
        lkl_abi::netlink::NETLINK_GENERIC => crate::genl::handle(request),
        _ => Err(Errno::EOPNOTSUPP.into()),
    }
}
