//! Named pipes to another kernel, as LKL has them: one for each direction, a header of 12 bytes before each frame.
//!
//! A pipe has no frames. Written with `O_DIRECT` it keeps each write of up to 4096 bytes apart (`man 2 pipe`), whatever the reader does: a frame of
//! an ordinary MTU is one write. Longer ones are not sent, and none are cut by the other end.

use super::fd::{FdDev, Kind};
use super::tap::{privatise, random_mac, Refusal};
use super::vnet;
use crate::real::RealHost;
use lkl_abi::Errno;
use lkl_ops::Features;
use rustix::fs::{FileType, Mode, OFlags};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The longest write that is kept apart.
const PACKET_MAX: usize = 4096;
/// The longest IP packet whose frame fits into one, in bytes.
pub const MTU_MAX: u32 = (PACKET_MAX - vnet::LONGEST - ETHERNET) as u32;
const ETHERNET: usize = 14;
/// Room for frames that wait, in bytes: each takes a page.
const ROOM: usize = 1 << 20;

/// Opens `paths`, two names with a `|` between them: the pipe that is read, and the one that is written.
///
/// # Errors
/// What is wrong, in words.
pub fn open(host: &RealHost, paths: &str, mac: Option<[u8; 6]>) -> Result<Arc<FdDev>, Refusal> {
    let (rx, tx) = paths.split_once('|').ok_or("expected two named pipes, as in rx|tx")?;
    let (rx, tx) = (open_one(rx)?, open_one(tx)?);
    rustix::fs::fcntl_setfl(&tx, OFlags::NONBLOCK | OFlags::DIRECT).map_err(|e| format!("{paths}: {e}"))?;
    let kind = Kind { header: vnet::LONGEST, features: Features::default(), longest: PACKET_MAX, driver: "pipe" };
    let (rx, tx) = (privatise(&host.hooks, rx), privatise(&host.hooks, tx));
    Ok(FdDev::new(rx, tx, mac.unwrap_or_else(|| random_mac(host)), kind))
}

fn open_one(path: &str) -> Result<OwnedFd, Refusal> {
    let words = |e: rustix::io::Errno| format!("expected named pipes (mkfifo): {path}: {}", Errno(e.raw_os_error()));
    // For both directions: neither end waits for the other, or sees it go.
    let fd = rustix::fs::open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).map_err(words)?;
    let stat = rustix::fs::fstat(&fd).map_err(words)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
        return Err(format!("expected named pipes (mkfifo), and {path} is none"));
    }
    // Not beyond what the host allows each user; then it is the usual room.
    let _room = rustix::pipe::fcntl_setpipe_size(&fd, ROOM);
    Ok(fd)
}
