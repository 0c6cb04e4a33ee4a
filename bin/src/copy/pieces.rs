//! The content of a file, piece by piece; that of a big one is read by a thread of its own while the last pieces are written.

use crate::side::{Result, SideFile};
use lkl::{Error, Metadata};
use std::sync::mpsc::{channel, sync_channel};

/// Bytes of a piece.
pub(super) const CHUNK: usize = 1 << 20;
/// From here on, in bytes, a thread is worth its while.
const BIG: u64 = 8 << 20;
/// Pieces that wait to be written.
const QUEUE: usize = 4;

/// Which side failed.
#[derive(Debug)]
pub(super) enum Side {
    /// Reading.
    Source(Error),
    /// Writing.
    Target(Error),
}

type Done = core::result::Result<(), Side>;

/// What is left to read of a file.
struct Pieces<'a, F> {
    file: &'a F,
    size: u64,
    /// Without holes, whatever the length says now, until its end.
    dense: bool,
    range: Option<(u64, u64)>,
}

impl<'a, F: SideFile> Pieces<'a, F> {
    fn new(file: &'a F, meta: &Metadata) -> Result<Self> {
        let (size, dense) = (meta.size, meta.blocks.saturating_mul(512) >= meta.size);
        let range = if dense { Some((0, u64::MAX)) } else { file.data(0, size)? };
        Ok(Self { file, size, dense, range })
    }

    /// Reads the next piece; answers where it lies, and its length.
    fn next(&mut self, buffer: &mut [u8]) -> Result<Option<(u64, usize)>> {
        while let Some((at, end)) = self.range {
            let want = usize::try_from(end - at).unwrap_or(CHUNK).min(buffer.len());
            let len = self.file.read_at(buffer.get_mut(..want).unwrap_or_default(), at, self.size)?;
            let next = at + len as u64;
            self.range = match len < want || next >= end {
                false => Some((next, end)),
                true if self.dense => None,
                true => self.file.data(end, self.size)?,
            };
            if len > 0 {
                return Ok(Some((at, len)));
            }
        }
        Ok(None)
    }
}

/// Copies the content of a file, holes left out. Tells `done` how many bytes were copied, each time; a file that ends in a hole is made as
/// long as it is.
///
/// # Errors
/// The side that failed.
pub(super) fn copy<F, T>(source: &F, meta: &Metadata, target: &T, buffer: &mut [u8], done: impl Fn(u64)) -> Done
where
    F: SideFile + Sync,
    T: SideFile,
{
    let mut pieces = Pieces::new(source, meta).map_err(Side::Source)?;
    let (size, dense) = (pieces.size, pieces.dense);
    let mut end = 0;
    let mut write = |at: u64, data: &[u8]| {
        target.write_at(data, at).map_err(Side::Target)?;
        end = at + data.len() as u64;
        done(data.len() as u64);
        Ok(())
    };
    if size < BIG {
        while let Some((at, len)) = pieces.next(buffer).map_err(Side::Source)? {
            write(at, buffer.get(..len).unwrap_or_default())?;
        }
    } else {
        piped(pieces, &mut write)?;
    }
    if !dense && end < size {
        target.set_len(size).map_err(Side::Target)?;
    }
    Ok(())
}

fn piped<F: SideFile + Sync>(mut pieces: Pieces<'_, F>, write: &mut dyn FnMut(u64, &[u8]) -> Done) -> Done {
    let (full, filled) = sync_channel::<(u64, usize, Vec<u8>)>(QUEUE);
    let (empty, emptied) = channel::<Vec<u8>>();
    for _ in 0..=QUEUE {
        let _room = empty.send(vec![0; CHUNK]);
    }
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            // It ends with the file, or when nobody takes pieces any more.
            while let Ok(mut buffer) = emptied.recv() {
                let Some((at, len)) = pieces.next(&mut buffer)? else { break };
                if full.send((at, len, buffer)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        let mut written = Ok(());
        for (at, len, buffer) in &filled {
            written = write(at, buffer.get(..len).unwrap_or_default());
            if written.is_err() {
                break;
            }
            // Nobody wants it back at the end of the file.
            let _reused = empty.send(buffer);
        }
        drop((filled, empty));
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(read.map_err(Side::Source))
    })
}
