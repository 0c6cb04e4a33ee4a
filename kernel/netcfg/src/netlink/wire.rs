//! Writing and reading netlink messages and their attributes.
//!
//! Why not the types of `netlink-packet-route`: they hold each attribute in an enum of an allocated list, which costs
//! a dump of many sockets or routes dearly; they lose where in the request an attribute stood, which the extended
//! acknowledgement has to tell; a message with one attribute that they do not know or like is an error as a whole;
//! and they have no `sock_diag`. They are the foreign reader of our messages in the tests.

use super::Fail;
use lkl_abi::netlink::{NLA_F_NESTED, NLA_TYPE_MASK, NLMSG_HDRLEN, NLM_F_MULTI};
use lkl_abi::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const fn align(n: usize) -> usize {
    (n + 3) & !3
}

/// `struct nlmsghdr`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Header {
    pub(crate) len: u32,
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    pub(crate) pid: u32,
}

impl Header {
    pub(crate) fn parse(b: &[u8]) -> Option<Self> {
        Some(Self {
            len: u32_at(b, 0)?,
            kind: u16_at(b, 4)?,
            flags: u16_at(b, 6)?,
            seq: u32_at(b, 8)?,
            pid: u32_at(b, 12)?,
        })
    }
}

/// The four bytes at `at`, in host order.
pub(crate) fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// The two bytes at `at`, in host order.
pub(crate) fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    b.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

/// What goes into the header of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct To {
    pub(crate) seq: u32,
    pub(crate) pid: u32,
    pub(crate) flags: u16,
}

impl To {
    /// The header of a message of a dump.
    pub(crate) fn multi(self) -> Self {
        Self { flags: self.flags | NLM_F_MULTI, ..self }
    }
}

/// Puts messages together, one after the other.
#[derive(Default, Debug)]
pub(crate) struct Writer {
    buf: Vec<u8>,
}

impl Writer {
    pub(crate) fn len(&self) -> usize {
        self.buf.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.buf
    }

    /// Takes away and answers what stands after `at`.
    pub(crate) fn split_off(&mut self, at: usize) -> Vec<u8> {
        self.buf.split_off(at.min(self.buf.len()))
    }

    /// One message; `body` writes what follows its header.
    pub(crate) fn message(&mut self, kind: u16, to: To, body: impl FnOnce(&mut Self)) {
        let start = self.buf.len();
        self.buf.extend([0; 4]);
        self.buf.extend(kind.to_ne_bytes());
        self.buf.extend(to.flags.to_ne_bytes());
        self.buf.extend(to.seq.to_ne_bytes());
        self.buf.extend(to.pid.to_ne_bytes());
        body(self);
        let len = u32::try_from(self.buf.len() - start).unwrap_or(0);
        if let Some(to) = self.buf.get_mut(start..start + 4) {
            to.copy_from_slice(&len.to_ne_bytes());
        }
        self.pad();
    }

    fn pad(&mut self) {
        self.buf.resize(align(self.buf.len()), 0);
    }

    /// Bytes as they are: the fixed part of a message.
    pub(crate) fn bytes(&mut self, b: &[u8]) {
        self.buf.extend_from_slice(b);
    }

    /// Parts of a fixed header, one after the other.
    pub(crate) fn fixed(&mut self, parts: &[&[u8]]) {
        for p in parts {
            self.buf.extend_from_slice(p);
        }
        self.pad();
    }

    /// Overwrites four bytes written before.
    pub(crate) fn patch_u16(&mut self, at: usize, v: u16) {
        if let Some(to) = self.buf.get_mut(at..at + 2) {
            to.copy_from_slice(&v.to_ne_bytes());
        }
    }

    /// An attribute. One too long for its length field is left out.
    pub(crate) fn attr(&mut self, kind: u16, data: &[u8]) {
        let Ok(len) = u16::try_from(data.len() + 4) else { return };
        self.buf.extend(len.to_ne_bytes());
        self.buf.extend(kind.to_ne_bytes());
        self.buf.extend_from_slice(data);
        self.pad();
    }

    pub(crate) fn u8(&mut self, kind: u16, v: u8) {
        self.attr(kind, &[v]);
    }

    pub(crate) fn u16(&mut self, kind: u16, v: u16) {
        self.attr(kind, &v.to_ne_bytes());
    }

    pub(crate) fn u32(&mut self, kind: u16, v: u32) {
        self.attr(kind, &v.to_ne_bytes());
    }

    pub(crate) fn u64(&mut self, kind: u16, v: u64) {
        self.attr(kind, &v.to_ne_bytes());
    }

    /// A string with its final zero.
    pub(crate) fn str(&mut self, kind: u16, s: &str) {
        let mut b = Vec::with_capacity(s.len() + 1);
        b.extend_from_slice(s.as_bytes());
        b.push(0);
        self.attr(kind, &b);
    }

    pub(crate) fn ip(&mut self, kind: u16, ip: IpAddr) {
        match ip {
            IpAddr::V4(a) => self.attr(kind, &a.octets()),
            IpAddr::V6(a) => self.attr(kind, &a.octets()),
        }
    }

    /// An attribute that holds others, without the flag that says so.
    pub(crate) fn list(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.buf.len();
        self.buf.extend([0; 2]);
        self.buf.extend(kind.to_ne_bytes());
        body(self);
        match u16::try_from(self.buf.len() - start) {
            Ok(len) => self.patch_u16(start, len),
            Err(_) => self.buf.truncate(start),
        }
        self.pad();
    }

    /// An attribute that holds others and says so (`NLA_F_NESTED`).
    pub(crate) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        self.list(kind | NLA_F_NESTED, body);
    }
}

/// One attribute of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Attr<'a> {
    /// Without flags.
    pub(crate) kind: u16,
    pub(crate) data: &'a [u8],
    /// Where its header stands in the message.
    pub(crate) offset: u32,
}

/// The attributes of a request. What stands after the last whole one is ignored, as Linux does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Attrs<'a> {
    list: Vec<Attr<'a>>,
}

impl<'a> Attrs<'a> {
    /// The attributes in `b`, which stands `base` bytes after the start of the message.
    pub(crate) fn parse(b: &'a [u8], base: usize) -> Self {
        let mut list = Vec::new();
        let mut at = 0;
        while let (Some(len), Some(kind)) = (u16_at(b, at), u16_at(b, at + 2)) {
            let len = usize::from(len);
            let Some(data) = b.get(at + 4..at + len) else { break };
            let offset = u32::try_from(base + at).unwrap_or(0);
            list.push(Attr { kind: kind & NLA_TYPE_MASK, data, offset });
            at += align(len);
        }
        Self { list }
    }

    /// The attributes of a message with a fixed part of `fixed` bytes after its header.
    pub(crate) fn of_message(body: &'a [u8], fixed: usize) -> Self {
        let fixed = align(fixed);
        Self::parse(body.get(fixed..).unwrap_or_default(), NLMSG_HDRLEN + fixed)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Attr<'a>> {
        self.list.iter()
    }

    /// The last attribute of its kind.
    pub(crate) fn get(&self, kind: u16) -> Option<&Attr<'a>> {
        self.list.iter().rev().find(|a| a.kind == kind)
    }

    pub(crate) fn has(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }

    /// The attributes in the attribute `kind`.
    pub(crate) fn nested(&self, kind: u16) -> Option<Attrs<'a>> {
        self.get(kind).map(Attr::nested)
    }

    pub(crate) fn u8(&self, kind: u16) -> Result<Option<u8>, Fail> {
        self.get(kind).map(|a| a.data.first().copied().ok_or_else(|| a.policy())).transpose()
    }

    pub(crate) fn u16(&self, kind: u16) -> Result<Option<u16>, Fail> {
        self.get(kind).map(|a| u16_at(a.data, 0).ok_or_else(|| a.policy())).transpose()
    }

    pub(crate) fn u32(&self, kind: u16) -> Result<Option<u32>, Fail> {
        self.get(kind).map(Attr::u32).transpose()
    }

    pub(crate) fn str(&self, kind: u16) -> Result<Option<&'a str>, Fail> {
        self.get(kind).map(Attr::str).transpose()
    }

    /// An address of `family`.
    pub(crate) fn ip(&self, kind: u16, family: u16) -> Result<Option<IpAddr>, Fail> {
        self.get(kind).map(|a| a.ip(family)).transpose()
    }

    /// The first attribute whose kind is not among `known`.
    pub(crate) fn unknown(&self, known: &[u16]) -> Option<&Attr<'a>> {
        self.list.iter().find(|a| !known.contains(&a.kind))
    }
}

impl<'a> Attr<'a> {
    /// The error for an attribute whose content has the wrong form.
    pub(crate) fn policy(&self) -> Fail {
        Fail::at(Errno::ERANGE, "Attribute failed policy validation", self)
    }

    pub(crate) fn u32(&self) -> Result<u32, Fail> {
        u32_at(self.data, 0).ok_or_else(|| self.policy())
    }

    pub(crate) fn str(&self) -> Result<&'a str, Fail> {
        let end = self.data.iter().position(|b| *b == 0).unwrap_or(self.data.len());
        self.data
            .get(..end)
            .and_then(|b| core::str::from_utf8(b).ok())
            .ok_or_else(|| Fail::at(Errno::EINVAL, "Attribute failed policy validation", self))
    }

    pub(crate) fn ip(&self, family: u16) -> Result<IpAddr, Fail> {
        let v6 = family == lkl_abi::socket::AF_INET6;
        if v6 {
            self.data.first_chunk::<16>().map(|b| Ipv6Addr::from(*b).into()).ok_or_else(|| self.policy())
        } else {
            self.data.first_chunk::<4>().map(|b| Ipv4Addr::from(*b).into()).ok_or_else(|| self.policy())
        }
    }

    pub(crate) fn nested(&self) -> Attrs<'a> {
        Attrs::parse(self.data, self.offset as usize + 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_there_and_back() {
        let mut w = Writer::default();
        w.message(7, To { seq: 1, pid: 2, flags: 3 }, |w| {
            w.fixed(&[&[1, 2, 3]]);
            w.str(1, "lo");
            w.nest(2, |w| w.u32(1, 77));
            w.u8(3, 9);
        });
        let b = w.into_bytes();
        let h = Header::parse(&b).unwrap();
        assert_eq!((h.len as usize, h.kind, h.seq, h.pid, h.flags), (b.len(), 7, 1, 2, 3));
        let a = Attrs::of_message(&b[NLMSG_HDRLEN..], 3);
        assert_eq!(a.str(1), Ok(Some("lo")));
        assert_eq!(a.nested(2).unwrap().u32(1), Ok(Some(77)));
        assert_eq!(a.nested(2).unwrap().get(1).unwrap().offset, 16 + 4 + 8 + 4);
        assert_eq!(a.u8(3), Ok(Some(9)));
        assert_eq!(a.u32(3).unwrap_err().errno, Errno::ERANGE);
        assert_eq!(a.u32(4), Ok(None));
    }

    #[test]
    fn broken_lengths_end_the_list() {
        assert_eq!(Attrs::parse(&[3, 0, 1, 0], 0).iter().count(), 0);
        assert_eq!(Attrs::parse(&[9, 0, 1, 0, 1, 2, 3, 4], 0).iter().count(), 0);
        assert_eq!(Attrs::parse(&[5, 0, 1, 0, 1], 0).iter().count(), 1);
        assert_eq!(Attrs::parse(&[4, 0, 1], 0).iter().count(), 0);
    }
}
