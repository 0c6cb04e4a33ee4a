//! The memory of a caller who is this process.

use lkl_abi::{Errno, Result};
use lkl_ops::UserMem;

/// Below this there is no memory of a program, whatever its pointers say (`vm.mmap_min_addr`).
const LOWEST: u64 = 4096;
/// From here on addresses are not the program's.
const HIGHEST: u64 = 1 << 47;

/// The caller's own memory, at its own addresses. Addresses that cannot be anybody's are `EFAULT`; others are taken at their word: who makes calls
/// for a process that has it must see to it that they are right.
#[derive(Debug)]
pub struct OwnMemory;

fn check(addr: u64, len: usize) -> Result<()> {
    match addr.checked_add(len as u64) {
        Some(end) if addr >= LOWEST && end <= HIGHEST => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

impl UserMem for OwnMemory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        if buf.is_empty() {
            return Ok(());
        }
        check(addr, buf.len())?;
        // SAFETY: whoever makes a call vouches for its addresses; `copy` because nothing keeps the caller from reading into what it writes.
        unsafe { core::ptr::copy(addr as usize as *const u8, buf.as_mut_ptr(), buf.len()) };
        Ok(())
    }

    fn append(&self, addr: u64, len: usize, out: &mut Vec<u8>) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        check(addr, len)?;
        out.reserve(len);
        let filled = out.len() + len;
        // SAFETY: as above; the room that was reserved is filled before it counts.
        unsafe {
            core::ptr::copy(addr as usize as *const u8, out.spare_capacity_mut().as_mut_ptr().cast(), len);
            out.set_len(filled);
        }
        Ok(())
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        check(addr, data.len())?;
        // SAFETY: as above.
        unsafe { core::ptr::copy(data.as_ptr(), addr as usize as *mut u8, data.len()) };
        Ok(())
    }

    /// No byte beyond the end is looked at: tools that watch a program's memory would take it for an error of the program.
    fn string(&self, addr: u64, max: usize) -> Result<Option<Vec<u8>>> {
        check(addr, 1)?;
        let room = usize::try_from(HIGHEST.saturating_sub(addr)).unwrap_or(usize::MAX).min(max.saturating_add(1));
        let at = addr as usize as *const core::ffi::c_char;
        // SAFETY: as above; it ends at the NUL or after `room` bytes.
        let len = unsafe { libc::strnlen(at, room) };
        if len > max {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        self.append(addr, len, &mut bytes)?;
        Ok(Some(bytes))
    }
}
