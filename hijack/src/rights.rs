//! Files that are sent to other processes over local sockets (`SCM_RIGHTS`).
//!
//! In the message the file's placeholder is replaced by a ticket: a socket with the file's tag whose other end the keeper
//! has. It holds the file open until the ticket is gone, be it because it has arrived or because the message got lost.
//! The receiver, if it is of the same tree, has the kernel put the file at the number that the host chose, and an
//! ordinary placeholder takes the ticket's place there.

use crate::fds::{self, state};
use crate::mem::{self, Own};
use crate::sys;
use crate::{door, tree};
use lkl_abi::{Errno, Result};
use lkl_ops::UserMem;

/// Bytes of control messages that are looked at.
const MOST: u64 = 64 << 10;
/// Words of a `struct msghdr`, and which of them say where control messages are and how long.
const WORDS: usize = 7;
const CONTROL: usize = 4;
const CONTROL_LEN: usize = 5;
/// Bytes before the data of a control message.
const HEADER: usize = 16;

/// A message with tickets in it, to be sent in the place of the program's.
pub(crate) struct Outgoing {
    pub(crate) header: [u64; WORDS],
    control: Vec<u64>,
    tickets: Vec<i32>,
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.tickets.iter().for_each(|fd| sys::close(*fd));
    }
}

/// The descriptors in control messages: where each is, and its number.
fn numbers(control: &[u8]) -> Vec<(usize, i32)> {
    let word = |at: usize| control.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
    let mut found = Vec::new();
    let mut at = 0;
    while at + HEADER <= control.len() {
        let len = word(at) as u32 as usize;
        if len < HEADER || at + len > control.len() {
            break;
        }
        if (word(at + 8), word(at + 12)) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            found.extend((at + HEADER..at + len - 3).step_by(4).map(|i| (i, word(i))));
        }
        at += (len + 7) & !7;
    }
    found
}

/// Reads the control messages of the message at `msg`.
fn control(msg: u64) -> Option<([u64; WORDS], Vec<u8>)> {
    let header = mem::get::<[u64; WORDS]>(msg).ok()?;
    let len = header[CONTROL_LEN];
    if header[CONTROL] == 0 || !(HEADER as u64..=MOST).contains(&len) {
        return None;
    }
    let mut control = vec![0u8; len as usize];
    Own.read(header[CONTROL], &mut control).ok()?;
    Some((header, control))
}

/// The message at `msg` is about to be sent to a socket of the host's. `None`: as it is.
///
/// # Errors
/// `EIO`, `EMFILE`: a file of ours cannot be sent.
pub(crate) fn outgoing(msg: u64) -> Result<Option<Outgoing>> {
    let Some((header, mut control)) = control(msg) else { return Ok(None) };
    let ours: Vec<_> = numbers(&control).into_iter().filter(|(_, fd)| fds::kernel(*fd) && !fds::epoll(*fd)).collect();
    if ours.is_empty() {
        return Ok(None);
    }
    if !tree::any() {
        return Err(Errno::EIO);
    }
    let mut out = Outgoing { header, control: Vec::new(), tickets: Vec::new() };
    for (at, fd) in ours {
        let ticket = tree::ticket(fd)?;
        out.tickets.push(ticket);
        control[at..at + 4].copy_from_slice(&ticket.to_ne_bytes());
    }
    // Aligned as the host wants it.
    control.resize(control.len().next_multiple_of(8), 0);
    out.control = control.chunks_exact(8).map(|c| u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| c[i]))).collect();
    out.header[CONTROL] = out.control.as_ptr() as u64;
    Ok(Some(out))
}

/// The message at `msg` has come from a socket of the host's.
pub(crate) fn incoming(msg: u64) {
    let Some((_, control)) = control(msg) else { return };
    for (_, fd) in numbers(&control) {
        let Some(id) = fds::tag::get(fd) else { continue };
        // One of another kernel stays what it is: a socket of the host's.
        if door::adopt(fd, id).is_ok() && fds::replace_by_placeholder(fd).is_ok() {
            fds::set(fd, state::KERNEL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_found_in_control_messages() {
        let mut control = vec![0u8; 48];
        control[..8].copy_from_slice(&24u64.to_ne_bytes());
        control[8..12].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        control[12..16].copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
        control[16..20].copy_from_slice(&7i32.to_ne_bytes());
        control[20..24].copy_from_slice(&9i32.to_ne_bytes());
        control[24..32].copy_from_slice(&20u64.to_ne_bytes());
        control[32..36].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        control[36..40].copy_from_slice(&libc::SCM_CREDENTIALS.to_ne_bytes());
        assert_eq!(numbers(&control), [(16, 7), (20, 9)]);
        // A length that says too much is not believed.
        control[..8].copy_from_slice(&u64::MAX.to_ne_bytes());
        assert_eq!(numbers(&control), []);
        assert_eq!(numbers(&control[..3]), []);
    }
}
