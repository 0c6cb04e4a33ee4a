//! POSIX ACLs in the form of `linux/posix_acl_xattr.h` (`man 5 acl`): a version, then entries of tag, permissions, id.

use crate::cred::Cred;
use crate::fs::Attr;
use lkl_abi::{Errno, Result};

/// The attribute that holds the access ACL.
pub const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute that holds a directory's default ACL.
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NO_ID: u32 = u32::MAX;

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    tag: u16,
    id: u32,
    perm: u16,
}

/// Reads an ACL and checks it; its entries are in the order of their tags. An ACL without entries is none. As on Linux one may name a user
/// or a group twice: the first entry for a user counts.
///
/// # Errors
/// `EINVAL` if it is malformed, `EOPNOTSUPP` for another version.
pub fn parse(value: &[u8]) -> Result<Vec<Entry>> {
    let (head, rest) = value.split_first_chunk::<4>().ok_or(Errno::EINVAL)?;
    if u32::from_le_bytes(*head) != VERSION {
        return Err(Errno::EOPNOTSUPP);
    }
    let chunks = rest.chunks_exact(8);
    if !chunks.remainder().is_empty() {
        return Err(Errno::EINVAL);
    }
    let mut entries: Vec<Entry> = Vec::new();
    for chunk in chunks {
        let &[t0, t1, p0, p1, i0, i1, i2, i3] = chunk else { return Err(Errno::EINVAL) };
        let (tag, perm) = (u16::from_le_bytes([t0, t1]), u16::from_le_bytes([p0, p1]));
        let id = if matches!(tag, USER | GROUP) { u32::from_le_bytes([i0, i1, i2, i3]) } else { NO_ID };
        if perm > 7 || matches!(tag, USER | GROUP) && id == NO_ID {
            return Err(Errno::EINVAL);
        }
        entries.push(Entry { tag, id, perm });
    }
    if !entries.is_sorted_by_key(|e| e.tag) {
        return Err(Errno::EINVAL);
    }
    let count = |tag| entries.iter().filter(|e| e.tag == tag).count();
    let named = count(USER) + count(GROUP);
    let known = [USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER].into_iter().map(count).sum::<usize>();
    let whole = count(USER_OBJ) == 1 && count(GROUP_OBJ) == 1 && count(OTHER) == 1 && (named == 0 || count(MASK) == 1);
    if !entries.is_empty() && (known != entries.len() || !whole) {
        return Err(Errno::EINVAL);
    }
    Ok(entries)
}

/// The form that [`parse`] reads.
pub fn to_bytes(entries: &[Entry]) -> Vec<u8> {
    let mut out = VERSION.to_le_bytes().to_vec();
    for e in entries {
        out.extend(e.tag.to_le_bytes());
        out.extend(e.perm.to_le_bytes());
        out.extend(e.id.to_le_bytes());
    }
    out
}

/// Does an access ACL grant `want` to `cred`, who is not the owner? Of the groups, one entry has to grant all of it.
pub(crate) fn grants(entries: &[Entry], cred: &Cred, attr: &Attr, want: u32) -> bool {
    let find = |tag| entries.iter().find(|e| e.tag == tag).map(|e| u32::from(e.perm));
    let mask = find(MASK).unwrap_or(7);
    if let Some(e) = entries.iter().find(|e| e.tag == USER && e.id == cred.uid) {
        return want & !(u32::from(e.perm) & mask) == 0;
    }
    let is_mine = |e: &&Entry| e.tag == GROUP_OBJ && cred.in_group(attr.gid) || e.tag == GROUP && cred.in_group(e.id);
    let mut mine = entries.iter().filter(is_mine).peekable();
    if mine.peek().is_some() {
        return mine.any(|e| want & !(u32::from(e.perm) & mask) == 0);
    }
    want & !find(OTHER).unwrap_or(0) == 0
}

/// The permission bits that go with an access ACL, and whether these bits say all of it.
pub fn to_mode(entries: &[Entry]) -> (u32, bool) {
    let find = |tag| entries.iter().find(|e| e.tag == tag).map(|e| u32::from(e.perm));
    let group = find(MASK).or(find(GROUP_OBJ)).unwrap_or(0);
    let mode = find(USER_OBJ).unwrap_or(0) << 6 | group << 3 | find(OTHER).unwrap_or(0);
    (mode, entries.len() <= 3 && find(MASK).is_none())
}

/// Calls `f` for the entries that stand for a class of `mode`, with that class's bits.
fn each_class(entries: &mut [Entry], mode: u32, f: impl Fn(&mut Entry, u16)) {
    let masked = entries.iter().any(|e| e.tag == MASK);
    for e in entries {
        let bits = match e.tag {
            USER_OBJ => mode >> 6,
            MASK => mode >> 3,
            GROUP_OBJ if !masked => mode >> 3,
            OTHER => mode,
            _ => continue,
        };
        f(e, (bits & 7) as u16);
    }
}

/// The access ACL after `chmod`.
pub fn with_mode(mut entries: Vec<Entry>, mode: u32) -> Vec<Entry> {
    each_class(&mut entries, mode, |e, bits| e.perm = bits);
    entries
}

/// The access ACL of a file that is made with `mode` where this is the default ACL, and its permission bits.
pub fn inherit(mut entries: Vec<Entry>, mode: u32) -> (Vec<Entry>, u32) {
    each_class(&mut entries, mode, |e, bits| e.perm &= bits);
    let bits = to_mode(&entries).0;
    (entries, mode & !0o777 | bits)
}

#[cfg(test)]
mod tests;
