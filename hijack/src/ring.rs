//! Memory-mapped rings of packet sockets (`PACKET_RX_RING`, `packet_mmap.rst` of Linux's documentation), which libpcap insists on.
//!
//! A ring is memory of this process that packets are put into without a call. Here it is filled when the program looks
//! for packets: `poll`, `select` or `epoll_wait` on the socket first move what waits in the socket's queue into the ring
//! ([`pump`]), and then tell whether the program has something to read there. To the program this is the same, but that it
//! does not see new packets without one of these calls. Versions 2 and 3 of the ring are there; rings for sending
//! are not (`ENOPROTOOPT`).
//!
//! Each block or frame belongs to the kernel or to the program, as its status word says; it is written last.

use crate::door;
use crate::fds::{self, state};
use crate::guarded::Guarded;
use crate::mem::{self, Own};
use crate::sys::{host, Args};
use core::sync::atomic::{AtomicUsize, Ordering};
use lkl_abi::{nr, Errno, Result};
use lkl_ops::UserMem;
use std::collections::BTreeMap;

const SOL_PACKET: i32 = 263;
const PACKET_RX_RING: i32 = 5;
const PACKET_STATISTICS: i32 = 6;
const PACKET_VERSION: i32 = 10;
const PACKET_HDRLEN: i32 = 11;
const PACKET_RESERVE: i32 = 12;

const TPACKET_V2: u32 = 1;
const TPACKET_V3: u32 = 2;
/// Sizes of the headers before each packet, aligned, without the link address that follows them.
const HEADER_V2: usize = 32;
const HEADER_V3: usize = 48;
/// Bytes of a block's own header.
const BLOCK_HEADER: usize = 48;
const SOCKADDR_LL: usize = 20;
const ETHERNET: usize = 14;
const TP_STATUS_USER: u32 = 1;
const TP_STATUS_KERNEL: u32 = 0;
const MSG_DONTWAIT: u64 = 0x40;
const MSG_TRUNC: u64 = 0x20;
const SOCK_DGRAM: i32 = 2;
/// The greatest packet that is moved.
const LARGEST: usize = 65536 + 64;

fn errno(e: Errno) -> isize {
    -(e.0 as isize)
}

fn align16(n: usize) -> usize {
    (n + 15) & !15
}

#[derive(Clone, Copy, Debug, Default)]
struct Ring {
    version: u32,
    reserve: usize,
    block_size: usize,
    blocks: usize,
    frame_size: usize,
    frames: usize,
    private: usize,
    /// Where the program has mapped it; 0 if it has not.
    base: u64,
    /// The block (version 3) or frame that comes next.
    next: usize,
    /// Blocks that were given to the program.
    sequence: u64,
    /// No link-level header (`SOCK_DGRAM`).
    cooked: bool,
}

static RINGS: Guarded<BTreeMap<i32, Ring>> = Guarded::new(BTreeMap::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn with<T>(f: impl FnOnce(&mut BTreeMap<i32, Ring>) -> T) -> T {
    RINGS.with(|map| {
        let out = f(map);
        COUNT.store(map.len(), Ordering::Relaxed);
        out
    })
}

/// Are there rings at all?
pub(crate) fn any() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// `fd` is closed or means something else.
pub(crate) fn forget(fd: i32) {
    if any() {
        with(|m| m.remove(&fd));
    }
}

/// `setsockopt` of a packet socket, as far as it is about rings.
pub(crate) fn setsockopt(a: &Args) -> Option<isize> {
    let (fd, level, name, at, len) = (a[0] as i32, a[1] as i32, a[2] as i32, a[3], a[4] as usize);
    if level != SOL_PACKET || !matches!(name, PACKET_VERSION | PACKET_RESERVE | PACKET_RX_RING) {
        return None;
    }
    Some(set(fd, name, at, len).map_or_else(errno, |()| 0))
}

fn kind(fd: i32) -> Result<i32> {
    let mut kind = 0i32;
    let mut len = 4u32;
    let args = [fd as u64, libc::SOL_SOCKET as u64, libc::SO_TYPE as u64, &raw mut kind as u64, &raw mut len as u64, 0];
    match door::call(nr::GETSOCKOPT, args) {
        0 => Ok(kind),
        e => Err(Errno(-e as i32)),
    }
}

fn set(fd: i32, name: i32, at: u64, len: usize) -> Result<()> {
    // It must be a packet socket: an option that every one has tells.
    let mut probe = 0i32;
    let mut probe_len = 4u32;
    const PACKET_AUXDATA: u64 = 8;
    let args = [fd as u64, SOL_PACKET as u64, PACKET_AUXDATA, &raw mut probe as u64, &raw mut probe_len as u64, 0];
    if door::call(nr::GETSOCKOPT, args) != 0 {
        return Err(Errno::ENOPROTOOPT);
    }
    let cooked = kind(fd)? == SOCK_DGRAM;
    if name != PACKET_RX_RING {
        if len != 4 {
            return Err(Errno::EINVAL);
        }
        let value = mem::get::<i32>(at)? as u32;
        return with(|m| {
            let ring = m.entry(fd).or_default();
            if ring.blocks > 0 {
                return Err(Errno::EBUSY);
            }
            if name == PACKET_RESERVE {
                ring.reserve = usize::try_from(value).ok().filter(|n| *n <= 65536).ok_or(Errno::EINVAL)?;
            } else if value == TPACKET_V2 || value == TPACKET_V3 {
                ring.version = value;
            } else {
                return Err(Errno::EINVAL);
            }
            ring.cooked = cooked;
            Ok(())
        });
    }
    let mut req = [0u8; 28];
    let version = with(|m| m.get(&fd).map_or(0, |r| r.version));
    let want = if version == TPACKET_V3 { 28 } else { 16 };
    if len < want {
        return Err(Errno::EINVAL);
    }
    Own.read(at, &mut req[..want])?;
    let field = |i: usize| u32::from_ne_bytes([req[i * 4], req[i * 4 + 1], req[i * 4 + 2], req[i * 4 + 3]]) as usize;
    let (block_size, blocks, frame_size, frames) = (field(0), field(1), field(2), field(3));
    with(|m| {
        let Some(ring) = m.get_mut(&fd) else { return Err(Errno::EINVAL) };
        if blocks == 0 {
            // It is taken down.
            *ring = Ring { version: ring.version, reserve: ring.reserve, cooked: ring.cooked, ..Ring::default() };
            return Ok(());
        }
        if ring.blocks > 0 {
            return Err(Errno::EBUSY);
        }
        let least = header(ring) + SOCKADDR_LL + ring.reserve;
        let whole = block_size > 0 && block_size.is_multiple_of(4096) && frame_size.is_multiple_of(16);
        let fits = frame_size >= least && frame_size <= block_size && blocks <= 1 << 20 && block_size <= 1 << 30;
        if !whole || !fits || frames != block_size / frame_size.max(1) * blocks || ring.version == 0 {
            return Err(Errno::EINVAL);
        }
        ring.block_size = block_size;
        ring.blocks = blocks;
        ring.frame_size = frame_size;
        ring.frames = frames;
        ring.private = if version == TPACKET_V3 { (field(5) + 7) & !7 } else { 0 };
        if BLOCK_HEADER + ring.private >= block_size {
            ring.blocks = 0;
            return Err(Errno::EINVAL);
        }
        Ok(())
    })?;
    fds::set(fd, state::RING);
    Ok(())
}

fn header(ring: &Ring) -> usize {
    if ring.version == TPACKET_V3 {
        HEADER_V3
    } else {
        HEADER_V2
    }
}

/// `getsockopt` of a packet socket, as far as it is about rings.
pub(crate) fn getsockopt(a: &Args) -> Option<isize> {
    let (fd, level, name, at, len_at) = (a[0] as i32, a[1] as i32, a[2] as i32, a[3], a[4]);
    if level != SOL_PACKET {
        return None;
    }
    let version = || with(|m| m.get(&fd).map_or(0, |r| r.version));
    let answer = |value: i32| mem::put(at, &value).and_then(|()| mem::put(len_at, &4i32)).map_or_else(errno, |()| 0);
    match name {
        PACKET_HDRLEN => {
            // The argument is a version; the answer is its header's length.
            Some(match mem::get::<i32>(at) {
                Ok(0) => answer(HEADER_V2 as i32),
                Ok(1) => answer((HEADER_V2) as i32),
                Ok(2) => answer((HEADER_V3) as i32),
                Ok(_) => errno(Errno::EINVAL),
                Err(e) => errno(e),
            })
        }
        PACKET_VERSION => Some(answer(version() as i32)),
        PACKET_STATISTICS if version() == TPACKET_V3 => {
            let given = mem::get::<i32>(len_at).unwrap_or(0);
            let ret = door::call(nr::GETSOCKOPT, *a);
            if ret == 0 && given >= 12 {
                // How often the ring was full is not counted apart from what was dropped.
                let more = mem::put(at + 8, &0i32).and_then(|()| mem::put(len_at, &12i32));
                return Some(more.map_or_else(errno, |()| 0));
            }
            Some(ret)
        }
        _ => None,
    }
}

/// `mmap` of a ring: memory of our own at the place that the program wants. `None`: it has no ring.
pub(crate) fn map(at: u64, len: usize, prot: i32, flags: i32, fd: i32) -> Option<Result<u64>> {
    let size = with(|m| m.get(&fd).filter(|r| r.blocks > 0).map(|r| r.block_size * r.blocks))?;
    if len != size {
        return Some(Err(Errno::EINVAL));
    }
    let flags = flags & libc::MAP_FIXED | libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: the program's own `mmap`, with memory instead of the file.
    let mapped = unsafe { host!(libc::SYS_mmap, at, len, prot, flags, -1i32, 0usize) };
    if let Ok(base) = mapped {
        with(|m| {
            if let Some(r) = m.get_mut(&fd) {
                (r.base, r.next) = (base, 0);
            }
        });
    }
    Some(mapped)
}

/// One packet, as the socket gives it.
struct Packet<'a> {
    data: &'a [u8],
    /// Its length on the wire.
    len: usize,
    from: [u8; SOCKADDR_LL],
}

fn receive<'a>(fd: i32, buf: &'a mut [u8]) -> Option<Packet<'a>> {
    let mut from = [0u8; SOCKADDR_LL];
    let mut from_len = SOCKADDR_LL as u32;
    let n = door::call(
        nr::RECVFROM,
        [
            fd as u64,
            buf.as_mut_ptr() as u64,
            buf.len() as u64,
            MSG_DONTWAIT | MSG_TRUNC,
            from.as_mut_ptr() as u64,
            &raw mut from_len as u64,
        ],
    );
    let len = usize::try_from(n).ok()?;
    let have = len.min(buf.len());
    Some(Packet { data: &buf[..have], len, from })
}

fn now() -> (u32, u32) {
    let mut t = [0u64; 2];
    // SAFETY: a `struct timespec` of two 64-bit numbers.
    let _ok = unsafe { host!(libc::SYS_clock_gettime, libc::CLOCK_REALTIME, t.as_mut_ptr()) };
    (t[0] as u32, t[1] as u32)
}

/// Moves what waits in the socket's queue into its ring, as far as there is room. Answers whether the program has
/// something to read there.
pub(crate) fn pump(fd: i32) -> bool {
    let Some(mut ring) = with(|m| m.get(&fd).copied()).filter(|r| r.blocks > 0 && r.base != 0) else { return false };
    let mut buf = vec![0u8; LARGEST];
    while at_kernel(&ring) {
        let moved = if ring.version == TPACKET_V3 {
            fill_block(fd, &mut ring, &mut buf)
        } else {
            fill_frame(fd, &mut ring, &mut buf)
        };
        if !moved {
            break;
        }
    }
    let ready = readable(&ring);
    with(|m| {
        if let Some(r) = m.get_mut(&fd) {
            (r.next, r.sequence) = (ring.next, ring.sequence);
        }
    });
    ready
}

/// [`pump`] for all rings.
pub(crate) fn pump_all() {
    let all: Vec<i32> = with(|m| m.keys().copied().collect());
    for fd in all {
        pump(fd);
    }
}

/// Places in the ring, and the address of one of them and of its status word.
fn places(r: &Ring) -> usize {
    if r.version == TPACKET_V3 {
        r.blocks
    } else {
        r.frames
    }
}

fn place(r: &Ring, i: usize) -> (u64, u64) {
    if r.version == TPACKET_V3 {
        let at = r.base + (i * r.block_size) as u64;
        return (at, at + 8);
    }
    let per_block = r.block_size / r.frame_size;
    let at = r.base + (i / per_block * r.block_size + i % per_block * r.frame_size) as u64;
    (at, at)
}

fn status(at: u64) -> u32 {
    mem::get::<i32>(at).map_or(TP_STATUS_USER, |s| s as u32)
}

fn at_kernel(r: &Ring) -> bool {
    status(place(r, r.next).1) == TP_STATUS_KERNEL
}

/// Is the place that was filled last still the program's?
fn readable(r: &Ring) -> bool {
    let n = places(r);
    status(place(r, (r.next + n - 1) % n).1) != TP_STATUS_KERNEL
}

/// Where the link-level header and the network header of a packet are, from its header on.
fn offsets(r: &Ring) -> (usize, usize) {
    let link = if r.cooked { 0 } else { ETHERNET };
    let net = align16(header(r) + SOCKADDR_LL + link.max(16)) + r.reserve;
    (net - link, net)
}

fn give(at: u64, status: u32) {
    // Whoever sees the status must see the packet.
    core::sync::atomic::fence(Ordering::Release);
    let _gone = mem::put(at, &(status as i32));
}

fn fill_frame(fd: i32, r: &mut Ring, buf: &mut [u8]) -> bool {
    let (mac, net) = offsets(r);
    let room = r.frame_size.saturating_sub(mac);
    let Some(p) = receive(fd, buf) else { return false };
    let (at, word) = place(r, r.next);
    let data = &p.data[..p.data.len().min(room)];
    let (secs, nanos) = now();
    let mut h = [0u8; HEADER_V2];
    h[4..8].copy_from_slice(&(p.len as u32).to_ne_bytes());
    h[8..12].copy_from_slice(&(data.len() as u32).to_ne_bytes());
    h[12..14].copy_from_slice(&(mac as u16).to_ne_bytes());
    h[14..16].copy_from_slice(&(net as u16).to_ne_bytes());
    h[16..20].copy_from_slice(&secs.to_ne_bytes());
    h[20..24].copy_from_slice(&nanos.to_ne_bytes());
    let _gone = Own
        .write(at + 4, &h[4..])
        .and_then(|()| Own.write(at + HEADER_V2 as u64, &p.from))
        .and_then(|()| Own.write(at + mac as u64, data));
    give(word, TP_STATUS_USER);
    r.next = (r.next + 1) % r.frames;
    true
}

fn fill_block(fd: i32, r: &mut Ring, buf: &mut [u8]) -> bool {
    let (mac, net) = offsets(r);
    let first = BLOCK_HEADER + r.private;
    let (block, word) = place(r, r.next);
    let (mut at, mut packets) = (first, 0u32);
    let (mut first_time, mut last_time) = ((0, 0), (0, 0));
    let mut last_header = None;
    // A packet of the greatest size that a device here can give must still fit, or the block is full: what was taken from
    // the socket cannot be put back.
    let spare = align16(mac + LARGEST.min(r.block_size - first - mac));
    while at + spare.min(r.block_size - first) <= r.block_size {
        let Some(p) = receive(fd, buf) else { break };
        let data = &p.data[..p.data.len().min(r.block_size - at - mac)];
        let size = align16(mac + data.len());
        let time = now();
        if packets == 0 {
            first_time = time;
        }
        last_time = time;
        let mut h = [0u8; HEADER_V3];
        let fields = [size as u32, time.0, time.1, data.len() as u32, p.len as u32, TP_STATUS_USER];
        for (to, v) in h.chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&v.to_ne_bytes());
        }
        h[24..26].copy_from_slice(&(mac as u16).to_ne_bytes());
        h[26..28].copy_from_slice(&(net as u16).to_ne_bytes());
        let header = block + at as u64;
        let _gone = Own
            .write(header, &h)
            .and_then(|()| Own.write(header + HEADER_V3 as u64, &p.from))
            .and_then(|()| Own.write(header + mac as u64, data));
        last_header = Some(header);
        packets += 1;
        at += size;
    }
    let Some(last) = last_header else { return false };
    // The last one has no next.
    let _gone = mem::put(last, &0i32);
    r.sequence += 1;
    let mut h = [0u8; BLOCK_HEADER];
    let mut field = |at: usize, v: u32| h[at..at + 4].copy_from_slice(&v.to_ne_bytes());
    field(0, r.version);
    field(4, BLOCK_HEADER as u32);
    field(12, packets);
    field(16, first as u32);
    field(20, at.min(r.block_size) as u32);
    field(24, r.sequence as u32);
    field(28, (r.sequence >> 32) as u32);
    field(32, first_time.0);
    field(36, first_time.1);
    field(40, last_time.0);
    field(44, last_time.1);
    let _gone = Own.write(block, &h[..8]).and_then(|()| Own.write(block + 12, &h[12..]));
    give(word, TP_STATUS_USER);
    r.next = (r.next + 1) % r.blocks;
    true
}
