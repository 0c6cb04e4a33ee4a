//! The content of files: holes are left out and described by a map, as GNU tar has it (format 1.0).

use crate::progress::Progress;
use lkl::{Error, File, Metadata};
use std::io::{self, Read};

/// Bytes of a block of an archive.
const BLOCK: usize = 512;
/// Files are told to have holes if that saves as much, in bytes.
const WORTH_IT: u64 = 4096;

/// Where a file has data: beginning and end of each range. `None` if it has no holes that are worth the map.
///
/// # Errors
/// `EIO`
pub(super) fn ranges(file: &File, meta: &Metadata) -> Result<Option<Vec<(u64, u64)>>, Error> {
    if meta.blocks.saturating_mul(512).saturating_add(WORTH_IT) > meta.size {
        return Ok(None);
    }
    let mut ranges = Vec::new();
    let (mut at, mut data) = (0, 0);
    while at < meta.size {
        let Some(from) = file.seek_data(at)?.filter(|from| *from < meta.size) else { break };
        let to = file.seek_hole(from)?.unwrap_or(meta.size).min(meta.size);
        if to <= from {
            break;
        }
        ranges.push((from, to));
        data += to - from;
        at = to;
    }
    Ok(Some(ranges).filter(|_| data.saturating_add(WORTH_IT) <= meta.size))
}

/// The map: a number on each line, padded to a whole block.
fn map(ranges: &[(u64, u64)], size: u64) -> Vec<u8> {
    let mut lines = Vec::new();
    for (from, to) in ranges {
        lines.push(*from);
        lines.push(to - from);
    }
    // An empty range says where the last hole ends.
    if ranges.last().is_none_or(|(_, to)| *to < size) {
        lines.extend([size, 0]);
    }
    let mut text = format!("{}\n", lines.len() / 2);
    for line in lines {
        text.push_str(&line.to_string());
        text.push('\n');
    }
    let mut text = text.into_bytes();
    text.resize(text.len().next_multiple_of(BLOCK), 0);
    text
}

/// What the archive has of a file: the map, if there is one, and its data.
pub(super) struct Content<'a> {
    file: &'a File,
    map: Option<Vec<u8>>,
    map_at: usize,
    ranges: std::vec::IntoIter<(u64, u64)>,
    range: Option<(u64, u64)>,
    len: u64,
    progress: &'a Progress,
    error: Option<Error>,
}

impl<'a> Content<'a> {
    pub(super) fn new(file: &'a File, ranges: Option<Vec<(u64, u64)>>, size: u64, progress: &'a Progress) -> Self {
        let map = ranges.as_ref().map(|ranges| map(ranges, size));
        let ranges = ranges.unwrap_or_else(|| vec![(0, size)]);
        let data: u64 = ranges.iter().map(|(from, to)| to - from).sum();
        let len = data + map.as_ref().map_or(0, |map| map.len() as u64);
        let mut ranges = ranges.into_iter();
        Self { file, map, map_at: 0, range: ranges.next(), ranges, len, progress, error: None }
    }

    /// The map, if there are holes.
    pub(super) fn map(&self) -> Option<&[u8]> {
        self.map.as_deref()
    }

    /// Bytes of all that will be read.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Why it could not be read to its end. The rest is zeroes then.
    pub(super) fn error(self) -> Option<Error> {
        self.error
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.map.as_deref().and_then(|map| map.get(self.map_at..)).unwrap_or_default();
        if !rest.is_empty() {
            let n = rest.len().min(buf.len());
            if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
                to.copy_from_slice(from);
            }
            self.map_at += n;
            return Ok(n);
        }
        let Some((from, to)) = self.range else { return Ok(0) };
        let want = usize::try_from(to - from).unwrap_or(usize::MAX).min(buf.len());
        let room = buf.get_mut(..want).unwrap_or_default();
        if self.error.is_none() {
            self.error = match self.file.read_full_at(room, from) {
                Ok(n) if n == want => None,
                // The length was known before: nobody else has it mounted.
                Ok(_) => Some(Error { errno: lkl::Errno::EIO, path: self.file.path().to_owned(), detail: None }),
                Err(e) => Some(e),
            };
        }
        if self.error.is_some() {
            // Its header is written, with its length.
            room.fill(0);
        }
        self.progress.bytes(want as u64);
        let at = from + want as u64;
        self.range = if at < to { Some((at, to)) } else { self.ranges.next() };
        Ok(want)
    }
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn the_map_ends_where_the_file_does() {
        let text = |ranges: &[(u64, u64)], size| {
            let map = map(ranges, size);
            assert_eq!(map.len(), 512);
            String::from_utf8(map).unwrap().trim_end_matches('\0').to_owned()
        };
        assert_eq!(text(&[(4096, 8192)], 8192), "1\n4096\n4096\n");
        assert_eq!(text(&[(0, 10), (4096, 8192)], 1 << 20), "3\n0\n10\n4096\n4096\n1048576\n0\n");
        assert_eq!(text(&[], 5000), "1\n5000\n0\n");
    }
}
