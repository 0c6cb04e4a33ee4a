//! Control messages in the caller's memory (`man 3 cmsg`).

use crate::user::{u32_in, u64_in};
use lkl_abi::socket::{CMSGHDR_SIZE, CMSG_ALIGN};
use lkl_abi::{Errno, Result};
use lkl_file::{Control, ControlMessages};
use lkl_ops::UserMem;

/// `net.core.optmem_max`: the most bytes of control messages that a call gives.
const OPTMEM_MAX: u64 = 131_072;

const fn align(n: usize) -> usize {
    n.div_ceil(CMSG_ALIGN) * CMSG_ALIGN
}

/// Reads the control messages given to `sendmsg`.
///
/// # Errors
/// `ENOBUFS` for too many bytes, `EINVAL` for a message that is too short or too long, `EFAULT`.
pub(super) fn read(mem: &dyn UserMem, addr: u64, len: u64) -> Result<ControlMessages> {
    if len == 0 {
        return Ok(Vec::new());
    }
    if len > OPTMEM_MAX {
        return Err(Errno::ENOBUFS);
    }
    let mut bytes = vec![0; len as usize];
    mem.read(addr, &mut bytes)?;
    let mut rest = bytes.as_slice();
    let mut messages = Vec::new();
    while rest.len() >= CMSGHDR_SIZE {
        let size = usize::try_from(u64_in(rest, 0)).map_err(|_| Errno::EINVAL)?;
        let data = rest.get(CMSGHDR_SIZE..size).ok_or(Errno::EINVAL)?;
        let (level, kind) = (u32_in(rest, 8) as i32, u32_in(rest, 12) as i32);
        messages.push(Control { level, kind, data: data.to_vec() });
        rest = rest.get(align(size)..).unwrap_or_default();
    }
    Ok(messages)
}

/// Writes the control messages that `recvmsg` answers. Answers how many bytes they take, and whether some did not fit. One that cannot be
/// written is left out, as on Linux: what it came with has been received.
pub(super) fn write(mem: &dyn UserMem, addr: u64, room: u64, messages: &[Control]) -> (u64, bool) {
    let room = if addr == 0 { 0 } else { usize::try_from(room).unwrap_or(usize::MAX) };
    let mut done = 0;
    let mut cut = false;
    for m in messages {
        let left = room - done;
        if left < CMSGHDR_SIZE {
            return (done as u64, true);
        }
        let whole = CMSGHDR_SIZE + m.data.len();
        let size = whole.min(left);
        cut |= size < whole;
        let at = addr.wrapping_add(done as u64);
        let mut header = [0; CMSGHDR_SIZE];
        let (a, b) = header.split_at_mut(8);
        a.copy_from_slice(&(size as u64).to_ne_bytes());
        let (level, kind) = b.split_at_mut(4);
        level.copy_from_slice(&m.level.to_ne_bytes());
        kind.copy_from_slice(&m.kind.to_ne_bytes());
        let data = m.data.get(..size - CMSGHDR_SIZE).unwrap_or_default();
        let written = mem.write(at, &header).and_then(|()| match data {
            [] => Ok(()),
            data => mem.write(at.wrapping_add(CMSGHDR_SIZE as u64), data),
        });
        if written.is_ok() {
            done += align(whole).min(left);
        }
    }
    (done as u64, cut)
}
