//! The memory that goes with a call on a line ([`super::line`]): what the kernel will read, and what it will write, as far as it can be told
//! from the arguments. It travels in the line's buffer; any other memory of the caller's takes a call of the host's each time.

use super::line::BUFFER;
use crate::mem::get;
use arrayvec::ArrayVec;
use lkl_abi::nr;
use lkl_abi::poll::POLLFD_SIZE;
use lkl_abi::socket::MSGHDR_SIZE;
use lkl_abi::time::TIMESPEC_SIZE;
use lkl_abi::uio::IOVEC_SIZE;

/// Most pieces of one call. The kernel reaches those that are left off by itself.
pub(crate) const PIECES: usize = 12;

/// What is done with a piece.
pub(crate) mod mode {
    /// The kernel reads it.
    pub(crate) const READ: u32 = 1;
    /// The kernel writes it.
    pub(crate) const WRITE: u32 = 2;
    /// It is as long as the caller says that there is room, which is often much more than the kernel has for it.
    pub(crate) const ROOM: u32 = 4;
    /// The kernel has written some of it.
    pub(crate) const WRITTEN: u32 = 8;
}

/// A piece of the caller's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub(crate) addr: u64,
    pub(crate) len: usize,
    pub(crate) mode: u32,
}

/// The pieces of a call.
pub(crate) type Pieces = ArrayVec<Piece, PIECES>;

/// A list of pieces in the making.
#[derive(Default)]
struct List(Pieces);

impl List {
    fn add(&mut self, addr: u64, len: u64, mode: u32) {
        if addr != 0 && len != 0 {
            let len = len.min(BUFFER as u64) as usize;
            let _left_off = self.0.try_push(Piece { addr, len, mode });
        }
    }

    /// A length at `at`, which the kernel changes, and what is so long, at `addr`.
    fn with_length(&mut self, addr: u64, at: u64) {
        self.add(at, 4, mode::READ | mode::WRITE);
        self.add(addr, u64::from(get(at).unwrap_or(0i32) as u32), mode::WRITE);
    }

    /// A `struct msghdr` with its name, its control data and its vectors, and what is done with each.
    fn message(&mut self, at: u64, header: u32, parts: u32, data: u32) {
        let Ok([name, name_len, vectors, count, control, control_len, _]) = get::<[u64; MSGHDR_SIZE / 8]>(at) else {
            return;
        };
        self.add(at, MSGHDR_SIZE as u64, header);
        self.add(name, name_len & 0xffff_ffff, parts);
        self.add(control, control_len, parts);
        self.vectors(vectors, count, data);
    }

    /// An array of `count` vectors, and what they point at.
    fn vectors(&mut self, at: u64, count: u64, mode: u32) {
        self.add(at, count.saturating_mul(IOVEC_SIZE as u64), mode::READ);
        for i in 0..count.min(PIECES as u64) {
            let [addr, len] = get(at.wrapping_add(i * IOVEC_SIZE as u64)).unwrap_or_default();
            self.add(addr, len, mode);
        }
    }
}

/// The pieces of the call `number`, by its arguments.
pub(super) fn of(number: u64, a: &[u64; 6]) -> Pieces {
    use mode::{READ, ROOM, WRITE};
    let mut list = List::default();
    match number as usize {
        nr::WRITE | nr::PWRITE64 | nr::CONNECT | nr::BIND => list.add(a[1], a[2], READ),
        nr::SENDTO => {
            list.add(a[4], a[5], READ);
            list.add(a[1], a[2], READ);
        }
        nr::WRITEV => list.vectors(a[1], a[2], READ),
        nr::SENDMSG => list.message(a[1], READ, READ, READ),
        nr::READ | nr::PREAD64 | nr::GETDENTS64 => list.add(a[1], a[2], WRITE | ROOM),
        nr::RECVFROM => {
            if a[4] != 0 {
                list.with_length(a[4], a[5]);
            }
            list.add(a[1], a[2], WRITE | ROOM);
        }
        nr::READV => list.vectors(a[1], a[2], WRITE | ROOM),
        nr::RECVMSG => list.message(a[1], READ | WRITE, WRITE, WRITE | ROOM),
        nr::SETSOCKOPT => list.add(a[3], u64::from(a[4] as u32), READ),
        nr::GETSOCKOPT => list.with_length(a[3], a[4]),
        nr::GETSOCKNAME | nr::GETPEERNAME => list.with_length(a[1], a[2]),
        nr::ACCEPT | nr::ACCEPT4 if a[1] != 0 => list.with_length(a[1], a[2]),
        nr::EPOLL_CTL => list.add(a[3], size_of::<libc::epoll_event>() as u64, READ),
        nr::PPOLL => {
            list.add(a[2], TIMESPEC_SIZE as u64, READ | WRITE);
            list.add(a[0], u64::from(a[1] as u32) * POLLFD_SIZE as u64, READ | WRITE);
        }
        nr::FSTAT => list.add(a[1], size_of::<libc::stat>() as u64, WRITE),
        nr::IOCTL if matches!(a[1], libc::FIONREAD | libc::FIONBIO | libc::TIOCOUTQ) => list.add(a[2], 4, READ | WRITE),
        _ => {}
    }
    list.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use mode::{READ, ROOM, WRITE};

    fn at<T>(v: &T) -> u64 {
        core::ptr::from_ref(v) as u64
    }

    #[test]
    fn a_message_brings_all_its_parts() {
        let (name, control, data) = ([0u8; 16], [0u8; 24], [[0u8; 100], [0; 100]]);
        let vectors = [[at(&data[0]), 100], [at(&data[1]), 50], [0, 0]];
        let header = [at(&name), 0xdead_0000_0010, at(&vectors), 3, at(&control), 24, 0];
        let sent = of(nr::SENDMSG as u64, &[3, at(&header), 0, 0, 0, 0]);
        let places: Vec<_> = sent.iter().map(|p| (p.addr, p.len)).collect();
        let wanted = [
            (at(&header), 56),
            (at(&name), 16),
            (at(&control), 24),
            (at(&vectors), 48),
            (at(&data[0]), 100),
            (at(&data[1]), 50),
        ];
        assert_eq!(places, wanted);
        assert!(sent.iter().all(|p| p.mode == READ));
        let received = of(nr::RECVMSG as u64, &[3, at(&header), 0, 0, 0, 0]);
        assert_eq!(received.iter().map(|p| (p.addr, p.len)).collect::<Vec<_>>(), wanted);
        let modes: Vec<_> = received.iter().map(|p| p.mode).collect();
        assert_eq!(modes, [READ | WRITE, WRITE, WRITE, READ, WRITE | ROOM, WRITE | ROOM]);
    }

    #[test]
    fn lengths_go_both_ways() {
        let (name, mut len) = ([0u8; 128], 28u32);
        let list = of(nr::ACCEPT4 as u64, &[3, at(&name), at(&len), 0, 0, 0]);
        assert_eq!(list[0], Piece { addr: at(&len), len: 4, mode: READ | WRITE });
        assert_eq!(list[1], Piece { addr: at(&name), len: 28, mode: WRITE });
        len = u32::MAX;
        let list = of(nr::GETSOCKNAME as u64, &[3, at(&name), at(&len), 0, 0, 0]);
        assert_eq!(list[1].len, BUFFER);
        assert!(of(nr::ACCEPT as u64, &[3, 0, 0, 0, 0, 0]).is_empty());
        assert!(of(nr::SOCKET as u64, &[1, 2, 3, 4, 5, 6]).is_empty());
    }

    #[test]
    fn more_than_there_is_room_for_is_left_off() {
        let data = [0u8; 40];
        let vectors: Vec<[u64; 2]> = (0..40).map(|i| [at(&data[i]), 1]).collect();
        let list = of(nr::WRITEV as u64, &[3, vectors.as_ptr() as u64, 40, 0, 0, 0]);
        assert_eq!((list.len(), list[0].len), (PIECES, 640));
        assert_eq!(list[PIECES - 1].addr, at(&data[PIECES - 2]));
        // What no program has.
        let list = of(nr::WRITEV as u64, &[3, 1 << 60, 1 << 60, 0, 0, 0]);
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].len, BUFFER);
        let list = of(nr::SENDMSG as u64, &[3, 1 << 60, 0, 0, 0, 0]);
        assert!(list.is_empty());
    }
}
