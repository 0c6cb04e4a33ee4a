//! A device that is a descriptor of the host, or two: each read gives a frame, each write takes one.
//!
//! Before a frame there may stand a header ([`super::vnet`]), through which the host takes and gives segments of up to 64 KiB and leaves
//! checksums out. TAP, macvtap and packet sockets have one of 10 bytes; pipes between kernels one of 12.

use super::vnet;
use crate::sys;
use bytes::{Bytes, BytesMut};
use lkl_abi::{Errno, Result};
use lkl_ops::{Features, NetDev, RxFrame, TxFrame};
use rustix::io::IoSlice;
use smallvec::SmallVec;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, TryLockError};

/// The longest frame: 64 KiB of IP, and headers below.
const FRAME: usize = 65_536 + 64;
/// Frames are read into pieces of memory of this size, four full ones into one as a rule. Allocators (that of `hijack`
/// too) keep blocks up to it, and ask the host for greater ones each time.
const CHUNK: usize = 256 << 10;
/// Shorter frames are copied into memory of their own size: else a small one that stays in a queue would keep a whole chunk.
const COPIED: usize = 16 << 10;

/// What the descriptors are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// Bytes of the header before each frame: 0, 10 or 12.
    pub header: usize,
    /// What the other end does with frames that are sent. Only with a header.
    pub features: Features,
    /// The longest frame with its header that is written, in bytes.
    pub longest: usize,
    /// What `ethtool -i` says.
    pub driver: &'static str,
}

/// A device of descriptors, which are closed with it.
pub struct FdDev {
    rx: RawFd,
    tx: RawFd,
    mac: [u8; 6],
    kind: Kind,
    /// What frames are read into. Whoever has it may be killed: then the others have each their own.
    buffer: Mutex<BytesMut>,
    /// What goes with it.
    _keeps: Option<Box<dyn Send + Sync>>,
}

impl FdDev {
    /// A device that reads `rx` and writes `tx`, which may be the same. Both must be non-blocking.
    pub fn new(rx: RawFd, tx: RawFd, mac: [u8; 6], kind: Kind) -> Arc<Self> {
        Self::keeping(rx, tx, mac, kind, None)
    }

    /// The same, with something that lives as long as the device.
    pub fn keeping(rx: RawFd, tx: RawFd, mac: [u8; 6], kind: Kind, keeps: Option<Box<dyn Send + Sync>>) -> Arc<Self> {
        Arc::new(Self { rx, tx, mac, kind, buffer: Mutex::new(BytesMut::new()), _keeps: keeps })
    }

    /// What becomes readable when there is a frame.
    pub fn as_raw_fd(&self) -> RawFd {
        self.rx
    }

    /// Bytes of the header before each frame.
    pub fn header(&self) -> usize {
        self.kind.header
    }

    fn tx(&self) -> BorrowedFd<'_> {
        // SAFETY: open as long as `self` lives.
        unsafe { BorrowedFd::borrow_raw(self.tx) }
    }

    /// Reads one frame into the buffer, which is empty and has room; answers the header, if there is one, and the
    /// frame's length.
    fn read(&self, buffer: &mut BytesMut) -> Result<([u8; vnet::LONGEST], usize)> {
        let mut header = [0u8; vnet::LONGEST];
        let skip = self.kind.header.min(vnet::LONGEST);
        let room = buffer.spare_capacity_mut();
        let mut iov = [
            libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: skip },
            libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() },
        ];
        let used = if skip > 0 { &mut iov[..] } else { &mut iov[1..] };
        // SAFETY: both are memory of our own, of the lengths given.
        let n = match unsafe { sys::readv(self.rx, used) } {
            Ok(n) => n,
            Err(Errno::EINTR) => return Err(Errno::EAGAIN),
            Err(e) => return Err(e),
        };
        let Some(len) = n.checked_sub(skip).filter(|len| *len > 0) else { return Err(Errno::EAGAIN) };
        // SAFETY: the host has written `len` bytes to the start of the room.
        unsafe { buffer.set_len(len) };
        Ok((header, len))
    }
}

impl Drop for FdDev {
    fn drop(&mut self) {
        sys::close(self.rx);
        if self.tx != self.rx {
            sys::close(self.tx);
        }
    }
}

impl NetDev for FdDev {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn features(&self) -> Features {
        if self.kind.header > 0 {
            self.kind.features
        } else {
            Features::default()
        }
    }

    fn driver(&self) -> &'static str {
        self.kind.driver
    }

    fn send(&self, frame: &TxFrame<'_>) -> Result<()> {
        let header = vnet::emit(frame.checksum, frame.gso);
        let header = header.get(..self.kind.header).unwrap_or(&header);
        let mut iov: SmallVec<[IoSlice<'_>; 8]> = SmallVec::new();
        if !header.is_empty() {
            iov.push(IoSlice::new(header));
        }
        iov.extend(frame.parts.iter().map(|p| IoSlice::new(p)));
        if iov.iter().map(|part| part.len()).sum::<usize>() > self.kind.longest {
            return Err(Errno::EMSGSIZE);
        }
        match rustix::io::writev(self.tx().as_fd(), &iov) {
            Ok(_) => Ok(()),
            // The host's end is full, or (`EIO`) down.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::NOBUFS) => Err(Errno::EAGAIN),
            Err(e) => Err(Errno(e.raw_os_error())),
        }
    }

    fn recv(&self) -> Result<RxFrame> {
        match self.buffer.try_lock() {
            Ok(mut buffer) => self.recv_into(&mut buffer),
            Err(TryLockError::Poisoned(buffer)) => self.recv_into(&mut buffer.into_inner()),
            Err(TryLockError::WouldBlock) => self.recv_into(&mut BytesMut::new()),
        }
    }
}

impl FdDev {
    fn recv_into(&self, buffer: &mut BytesMut) -> Result<RxFrame> {
        loop {
            if buffer.capacity() < FRAME {
                *buffer = BytesMut::with_capacity(CHUNK);
            }
            let (header, len) = self.read(buffer)?;
            // Cut in a way that was not asked for.
            let Some((checksum, gso)) = vnet::parse(&header) else {
                buffer.clear();
                continue;
            };
            let data = if len < COPIED {
                let data = Bytes::copy_from_slice(buffer);
                buffer.clear();
                data
            } else {
                buffer.split().freeze()
            };
            return Ok(RxFrame { data, checksum, gso });
        }
    }
}

impl core::fmt::Debug for FdDev {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "FdDev({} {}, header {})", self.kind.driver, self.rx, self.kind.header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn frames_are_read_though_a_killed_reader_has_the_buffer() {
        let (rx, tx) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let kind = Kind { header: 0, features: Features::default(), longest: FRAME, driver: "pipe" };
        let dev = FdDev::new(rx.into_raw_fd(), tx.into_raw_fd(), [2, 0, 0, 0, 0, 1], kind);
        let frame = TxFrame { parts: &[b"frame"], checksum: None, gso: None };
        let lost = dev.buffer.lock().unwrap();
        assert_eq!(dev.recv().unwrap_err(), Errno::EAGAIN);
        dev.send(&frame).unwrap();
        assert_eq!(&*dev.recv().unwrap().data, b"frame");
        drop(lost);
        dev.send(&frame).unwrap();
        assert_eq!(&*dev.recv().unwrap().data, b"frame");
    }
}
