//! Typed access to the caller's memory. Every length that comes from the caller is checked here or capped by what asks.

use lkl_abi::limits::PATH_MAX;
use lkl_abi::socket::SOCKADDR_STORAGE;
use lkl_abi::time::{timespec, TIMESPEC_SIZE};
use lkl_abi::uio::{IOVEC_SIZE, IOV_MAX, MAX_RW_COUNT};
use lkl_abi::{Errno, Result};
use lkl_file::{Iov, SockAddr};
use lkl_ops::UserMem;
use lkl_sync::{Mutex, Rank};
use smallvec::SmallVec;
use std::time::Duration;

/// The pieces of a call: few need no allocation.
pub(crate) type Iovs = SmallVec<[Iov; 8]>;

/// Reads `N` bytes.
pub(crate) fn array<const N: usize>(mem: &dyn UserMem, addr: u64) -> Result<[u8; N]> {
    let mut b = [0; N];
    mem.read(addr, &mut b)?;
    Ok(b)
}

/// Reads a `u32`.
pub(crate) fn u32_at(mem: &dyn UserMem, addr: u64) -> Result<u32> {
    array(mem, addr).map(u32::from_ne_bytes)
}

/// Reads an `int`.
pub(crate) fn i32_at(mem: &dyn UserMem, addr: u64) -> Result<i32> {
    array(mem, addr).map(i32::from_ne_bytes)
}

/// Reads a `u64`.
pub(crate) fn u64_at(mem: &dyn UserMem, addr: u64) -> Result<u64> {
    array(mem, addr).map(u64::from_ne_bytes)
}

/// The number at `at` of bytes that were read before; 0 if they end before it.
pub(crate) fn u64_in(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

/// The same for 32 bits.
pub(crate) fn u32_in(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// One piece of memory as pieces. More than the kernel moves in a call is left off.
pub(crate) fn single(mem: &dyn UserMem, base: u64, len: u64) -> Result<Iov> {
    if len > i64::MAX as u64 || !mem.is_programs(base, len) {
        return Err(Errno::EFAULT);
    }
    Ok(Iov { base, len: len.min(MAX_RW_COUNT) })
}

/// Reads an array of `struct iovec`. More bytes than the kernel moves in a call are left off.
///
/// # Errors
/// `EINVAL` for too many or for a piece with a negative length, `EFAULT`.
pub(crate) fn iovecs(mem: &dyn UserMem, addr: u64, count: u64) -> Result<Iovs> {
    if count > IOV_MAX as u64 {
        return Err(Errno::EINVAL);
    }
    let mut iovs = Iovs::with_capacity(count as usize);
    let mut left = MAX_RW_COUNT;
    for i in 0..count {
        let raw = array::<IOVEC_SIZE>(mem, addr.wrapping_add(i * IOVEC_SIZE as u64))?;
        let (base, len) = (u64_in(&raw, 0), u64_in(&raw, 8));
        if len > i64::MAX as u64 {
            return Err(Errno::EINVAL);
        }
        if !mem.is_programs(base, len) {
            return Err(Errno::EFAULT);
        }
        let len = len.min(left);
        left -= len;
        iovs.push(Iov { base, len });
    }
    Ok(iovs)
}

/// Bytes in all pieces; they were capped when they were read.
pub(crate) fn total(iovs: &[Iov]) -> usize {
    iovs.iter().map(|v| v.len).sum::<u64>() as usize
}

/// Reads a `struct sockaddr` of `len` bytes.
///
/// # Errors
/// `EINVAL` for a bad length, `EAFNOSUPPORT`, `EFAULT`.
pub(crate) fn sockaddr(mem: &dyn UserMem, addr: u64, len: u64) -> Result<SockAddr> {
    let len = len as u32 as usize;
    if len > SOCKADDR_STORAGE {
        return Err(Errno::EINVAL);
    }
    let mut storage = [0; SOCKADDR_STORAGE];
    let bytes = storage.get_mut(..len).ok_or(Errno::EINVAL)?;
    mem.read(addr, bytes)?;
    SockAddr::parse(bytes)
}

/// Writes as much of an address as there is room for, and its whole length where the room was told.
///
/// # Errors
/// `EINVAL` if the room is negative, `EFAULT`.
pub(crate) fn put_sockaddr(mem: &dyn UserMem, addr: u64, len_addr: u64, name: &[u8]) -> Result<()> {
    let room = i32_at(mem, len_addr)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let part = name.get(..room.min(name.len())).unwrap_or(name);
    if !part.is_empty() {
        mem.write(addr, part)?;
    }
    mem.write(len_addr, &(name.len() as u32).to_ne_bytes())
}

/// Reads an optional `struct timespec`.
pub(crate) fn opt_timespec(mem: &dyn UserMem, addr: u64) -> Result<Option<Duration>> {
    if addr == 0 {
        return Ok(None);
    }
    timespec(&array::<TIMESPEC_SIZE>(mem, addr)?).map(Some)
}

/// Checks the size of a signal set, which the caller's host has dealt with.
pub(crate) fn check_sigset(addr: u64, size: u64) -> Result<()> {
    if addr != 0 && size != 8 {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Reads a path.
///
/// # Errors
/// `ENAMETOOLONG`, `EFAULT`.
pub(crate) fn path(mem: &dyn UserMem, addr: u64) -> Result<Vec<u8>> {
    c_string(mem, addr, PATH_MAX - 1)?.ok_or(Errno::ENAMETOOLONG)
}

/// Reads a string that ends with a NUL, which does not come with it. `None` if it has more than `max` bytes.
pub(crate) fn c_string(mem: &dyn UserMem, addr: u64, max: usize) -> Result<Option<Vec<u8>>> {
    mem.string(addr, max)
}

/// Memory of the kernel in the place of a program's, for copies between two files.
pub(crate) struct Buffer(Mutex<Vec<u8>>);

impl Buffer {
    pub(crate) fn new(len: usize) -> Self {
        Self(Mutex::new(Rank::Leaf, vec![0; len]))
    }
}

impl UserMem for Buffer {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        let bytes = self.0.lock();
        let at = usize::try_from(addr).map_err(|_| Errno::EFAULT)?;
        let end = at.checked_add(buf.len()).ok_or(Errno::EFAULT)?;
        buf.copy_from_slice(bytes.get(at..end).ok_or(Errno::EFAULT)?);
        Ok(())
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        let mut bytes = self.0.lock();
        let at = usize::try_from(addr).map_err(|_| Errno::EFAULT)?;
        let end = at.checked_add(data.len()).ok_or(Errno::EFAULT)?;
        bytes.get_mut(at..end).ok_or(Errno::EFAULT)?.copy_from_slice(data);
        Ok(())
    }
}
