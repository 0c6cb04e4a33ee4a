//! Character devices (`man 4 null`, `man 4 full`, `man 4 random`).

use lkl_abi::stat::S_IFCHR;
use lkl_abi::{Errno, Result};
use lkl_file::{File, IovReader, IovWriter};
use lkl_ops::Host;
use lkl_sync::{Events, Mutex, Rank, WaitQueue};
use std::sync::Arc;

/// Bytes that are made at once.
const PIECE: usize = 4096;
/// The longest line of the console that is kept before its end has come, in bytes.
const LINE_MAX: usize = 1024;

/// Those that there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Char {
    Null,
    Zero,
    Full,
    Random,
    /// What is written goes to the log, by lines.
    Console,
    /// The controlling terminal, which no process here has.
    Tty,
}

/// Name, numbers and permission bits of each.
pub(crate) const CHARS: &[(&str, (u32, u32), u32, Char)] = &[
    ("console", (5, 1), 0o600, Char::Console),
    ("full", (1, 7), 0o666, Char::Full),
    ("null", (1, 3), 0o666, Char::Null),
    ("random", (1, 8), 0o666, Char::Random),
    ("tty", (5, 0), 0o666, Char::Tty),
    ("urandom", (1, 9), 0o666, Char::Random),
    ("zero", (1, 5), 0o666, Char::Zero),
];

/// Opens the one with these numbers.
pub(crate) fn open(host: &Arc<dyn Host>, rdev: (u32, u32)) -> Result<Arc<dyn File>> {
    let (.., mode, which) = CHARS.iter().find(|(_, numbers, ..)| *numbers == rdev).ok_or(Errno::ENXIO)?;
    if *which == Char::Tty {
        return Err(Errno::ENXIO);
    }
    let line = Mutex::new(Rank::Leaf, Vec::new());
    Ok(Arc::new(CharFile { which: *which, mode: *mode, host: host.clone(), line, waiters: WaitQueue::new() }))
}

struct CharFile {
    which: Char,
    mode: u32,
    host: Arc<dyn Host>,
    line: Mutex<Vec<u8>>,
    waiters: WaitQueue,
}

impl CharFile {
    fn log(&self, data: &mut IovReader<'_>) -> Result<usize> {
        let bytes = data.read_vec(PIECE)?;
        let mut line = self.line.lock();
        for byte in &bytes {
            if *byte != b'\n' {
                line.push(*byte);
            }
            if *byte == b'\n' || line.len() >= LINE_MAX {
                tracing::info!(target: "lkl::console", "{}", String::from_utf8_lossy(&line));
                line.clear();
            }
        }
        Ok(bytes.len())
    }
}

impl File for CharFile {
    fn read(&self, out: &mut IovWriter<'_>, _: Option<u64>) -> Result<usize> {
        let mut piece = [0; PIECE];
        let mut done = 0;
        while out.remaining() > 0 {
            match self.which {
                Char::Null | Char::Console | Char::Tty => break,
                Char::Zero | Char::Full => {}
                Char::Random => self.host.random(&mut piece),
            }
            match out.write(&piece) {
                Ok(n) => done += n,
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write(&self, data: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        let len = data.remaining();
        match self.which {
            Char::Full if len > 0 => return Err(Errno::ENOSPC),
            Char::Console => return self.log(data),
            _ => data.skip(len),
        }
        Ok(len)
    }

    fn poll(&self) -> Events {
        Events::READ | Events::WRITE
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.waiters
    }

    fn seekable(&self) -> bool {
        self.which != Char::Console
    }

    fn mode(&self) -> u32 {
        S_IFCHR | self.mode
    }

    fn ino(&self) -> u64 {
        0
    }
}
