//! Files whose content is text that is made when it is read (`/proc`, `/sys`).

use crate::{File, IovReader, IovWriter};
use lkl_abi::stat::S_IFREG;
use lkl_abi::{Errno, Result};
use lkl_sync::{Events, Mutex, Rank, WaitQueue};
use std::sync::Arc;

/// Longest value that is written to a setting, in bytes.
const WRITE_MAX: usize = 4096;

/// What such a file says.
pub trait Text: Send + Sync {
    /// Makes the text.
    ///
    /// # Errors
    /// What `read` then answers.
    fn show(&self) -> Result<Vec<u8>>;

    /// Takes a value, which comes without the newline or NUL at its end.
    ///
    /// # Errors
    /// `EIO` if nothing can be set here; `EINVAL` for what is no value.
    fn store(&self, value: &str) -> Result<()> {
        let _ = value;
        Err(Errno::EIO)
    }
}

/// An open one. The text is made when it is read from its beginning, and kept for the reads that follow, so that a program which reads in
/// pieces sees one state.
pub struct TextFile<T> {
    text: T,
    mode: u32,
    size: u64,
    ino: u64,
    made: Mutex<Option<Arc<[u8]>>>,
    waiters: WaitQueue,
}

impl<T: Text> TextFile<T> {
    /// One with these permission bits, length and inode number for `fstat`.
    pub fn new(text: T, mode: u32, size: u64, ino: u64) -> Self {
        Self { text, mode, size, ino, made: Mutex::new(Rank::Leaf, None), waiters: WaitQueue::new() }
    }
}

impl<T: Text + 'static> File for TextFile<T> {
    fn read(&self, out: &mut IovWriter<'_>, offset: Option<u64>) -> Result<usize> {
        let at = usize::try_from(offset.unwrap_or(0)).unwrap_or(usize::MAX);
        let kept = if at == 0 { None } else { self.made.lock().clone() };
        let text = match kept {
            Some(text) => text,
            None => {
                let made: Arc<[u8]> = self.text.show()?.into();
                *self.made.lock() = Some(made.clone());
                made
            }
        };
        out.write(text.get(at..).unwrap_or_default())
    }

    fn write(&self, data: &mut IovReader<'_>, _: Option<u64>) -> Result<usize> {
        let bytes = data.read_vec(WRITE_MAX)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let value = core::str::from_utf8(&bytes).map_err(|_| Errno::EINVAL)?;
        self.text.store(value.trim_end_matches(['\n', '\0']))?;
        Ok(bytes.len())
    }

    fn poll(&self) -> Events {
        Events::READ | Events::WRITE
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.waiters
    }

    fn seekable(&self) -> bool {
        true
    }

    fn mode(&self) -> u32 {
        S_IFREG | self.mode
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn ino(&self) -> u64 {
        self.ino
    }
}
