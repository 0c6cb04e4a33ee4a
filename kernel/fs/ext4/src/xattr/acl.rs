//! POSIX ACLs: the short form on the disk, and the form in which programs see them (`linux/posix_acl_xattr.h`).

use crate::bytes::{cut, le16, le32};

const DISK_VERSION: u32 = 1;
const XATTR_VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NO_ID: u32 = u32::MAX;

/// An entry of an ACL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    tag: u16,
    perm: u16,
    id: u32,
}

/// An ACL whose entries are in order and complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Acl(Vec<Entry>);

impl Acl {
    /// Reads the form on the disk.
    pub(crate) fn parse_disk(raw: &[u8]) -> Option<Self> {
        if raw.len() < 4 || le32(raw, 0) != DISK_VERSION {
            return None;
        }
        let (mut list, mut at) = (Vec::new(), 4);
        while at < raw.len() {
            let (tag, perm) = (le16(raw, at), le16(raw, at + 2));
            let long = tag == USER || tag == GROUP;
            let len = if long { 8 } else { 4 };
            if at + len > raw.len() {
                return None;
            }
            list.push(Entry { tag, perm, id: if long { le32(raw, at + 4) } else { NO_ID } });
            at += len;
        }
        Self(list).valid()
    }

    /// Reads what programs give.
    pub(crate) fn parse_xattr(raw: &[u8]) -> Option<Self> {
        if raw.len() < 4 || le32(raw, 0) != XATTR_VERSION || (raw.len() - 4) % 8 != 0 {
            return None;
        }
        let entry = |raw: &[u8]| {
            let tag = le16(raw, 0);
            Entry { tag, perm: le16(raw, 2), id: if tag == USER || tag == GROUP { le32(raw, 4) } else { NO_ID } }
        };
        Self(cut(raw, 4, raw.len()).chunks(8).map(entry).collect()).valid()
    }

    /// Itself, if its entries are in the order and number that POSIX asks for.
    fn valid(self) -> Option<Self> {
        let count = |tag: u16| self.0.iter().filter(|e| e.tag == tag).count();
        let named = count(USER) + count(GROUP);
        let ordered = self.0.windows(2).all(|w| match w {
            [a, b] => a.tag < b.tag || a.tag == b.tag && (a.tag == USER || a.tag == GROUP),
            _ => true,
        });
        let known =
            self.0.iter().all(|e| matches!(e.tag, USER_OBJ | USER | GROUP_OBJ | GROUP | MASK | OTHER) && e.perm <= 7);
        let mask = count(MASK);
        let complete = count(USER_OBJ) == 1
            && count(GROUP_OBJ) == 1
            && count(OTHER) == 1
            && (mask == 1 || mask == 0 && named == 0);
        (self.0.is_empty() || ordered && known && complete).then_some(self)
    }

    /// The form on the disk.
    pub(crate) fn to_disk(&self) -> Vec<u8> {
        let mut raw = DISK_VERSION.to_le_bytes().to_vec();
        for e in &self.0 {
            raw.extend(e.tag.to_le_bytes());
            raw.extend(e.perm.to_le_bytes());
            if e.tag == USER || e.tag == GROUP {
                raw.extend(e.id.to_le_bytes());
            }
        }
        raw
    }

    /// The form that programs see.
    pub(crate) fn to_xattr(&self) -> Vec<u8> {
        let mut raw = XATTR_VERSION.to_le_bytes().to_vec();
        for e in &self.0 {
            raw.extend(e.tag.to_le_bytes());
            raw.extend(e.perm.to_le_bytes());
            raw.extend(e.id.to_le_bytes());
        }
        raw
    }

    fn perm(&self, tag: u16) -> Option<u16> {
        self.0.iter().find(|e| e.tag == tag).map(|e| e.perm)
    }

    fn set_perm(&mut self, tag: u16, perm: u16) {
        for e in self.0.iter_mut().filter(|e| e.tag == tag) {
            e.perm = perm;
        }
    }

    /// Whether the permission bits of a mode say all that it says.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.len() <= 3
    }

    /// The permission bits of a file with this access ACL.
    pub(crate) fn mode_bits(&self) -> u16 {
        let group = self.perm(MASK).or_else(|| self.perm(GROUP_OBJ));
        self.perm(USER_OBJ).unwrap_or(0) << 6 | group.unwrap_or(0) << 3 | self.perm(OTHER).unwrap_or(0)
    }

    /// Follows a change of the permission bits (`posix_acl_chmod`).
    pub(crate) fn set_mode_bits(&mut self, mode: u16) {
        let group = if self.perm(MASK).is_some() { MASK } else { GROUP_OBJ };
        self.set_perm(USER_OBJ, mode >> 6 & 7);
        self.set_perm(group, mode >> 3 & 7);
        self.set_perm(OTHER, mode & 7);
    }

    /// Whether it has no entries at all: setting it removes the ACL.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An ACL on the disk, as programs see it.
pub(crate) fn from_disk(raw: &[u8]) -> Option<Vec<u8>> {
    Acl::parse_disk(raw).map(|acl| acl.to_xattr())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut raw = vec![2, 0, 0, 0];
        for &(tag, perm, id) in entries {
            raw.extend(tag.to_le_bytes());
            raw.extend(perm.to_le_bytes());
            raw.extend(id.to_le_bytes());
        }
        raw
    }

    #[test]
    fn both_forms_say_the_same() {
        let seen = xattr(&[(1, 7, NO_ID), (2, 6, 1000), (4, 5, NO_ID), (8, 4, 70000), (16, 7, NO_ID), (32, 1, NO_ID)]);
        let acl = Acl::parse_xattr(&seen).unwrap();
        let disk = acl.to_disk();
        assert_eq!(disk.len(), 4 + 4 * 4 + 2 * 8);
        assert_eq!(from_disk(&disk).unwrap(), seen);
        assert_eq!((acl.mode_bits(), acl.is_plain()), (0o771, false));
    }

    #[test]
    fn modes_follow() {
        let seen = xattr(&[(1, 7, NO_ID), (2, 6, 1000), (4, 5, NO_ID), (16, 7, NO_ID), (32, 5, NO_ID)]);
        let mut acl = Acl::parse_xattr(&seen).unwrap();
        acl.set_mode_bits(0o705);
        assert_eq!((acl.mode_bits(), acl.perm(GROUP_OBJ)), (0o705, Some(5)));
    }

    #[test]
    fn bad_ones_are_refused() {
        assert!(
            Acl::parse_xattr(&xattr(&[(1, 7, NO_ID), (2, 6, 1000), (4, 5, NO_ID), (32, 1, NO_ID)])).is_none(),
            "no mask"
        );
        assert!(Acl::parse_xattr(&xattr(&[(4, 5, NO_ID), (1, 7, NO_ID), (32, 1, NO_ID)])).is_none(), "order");
        assert!(Acl::parse_xattr(&xattr(&[(1, 9, NO_ID), (4, 5, NO_ID), (32, 1, NO_ID)])).is_none(), "bits");
        assert!(Acl::parse_xattr(&[2, 0, 0]).is_none());
        assert!(Acl::parse_disk(&[1, 0, 0, 0, 2, 0, 7, 0]).is_none(), "cut off");
        assert!(Acl::parse_xattr(&xattr(&[])).unwrap().is_empty());
    }
}
