//! The GUID partition table. The crate parses it; what it takes for granted is checked before.

use super::{Entry, LIMIT};
use crate::BlockDevice;
use gpt::disk::LogicalBlockSize;
use gpt::header::{read_header_from_arbitrary_device, Header};
use gpt::partition::file_read_partitions;
use lkl_abi::{Errno, Result};
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Most bytes of a table; Linux refuses longer ones, too.
const TABLE_MAX: u64 = 4 << 20;
/// Size of an entry: Linux, and the crate, take no other.
const ENTRY_SIZE: u32 = 128;

/// A device from a byte of it on, for those who read streams.
struct Reader<'a> {
    device: &'a BlockDevice,
    from: u64,
    at: u64,
}

impl<'a> Reader<'a> {
    fn new(device: &'a BlockDevice, from: u64) -> BufReader<Self> {
        BufReader::with_capacity(16384, Self { device, from, at: 0 })
    }

    fn len(&self) -> u64 {
        self.device.size().saturating_sub(self.from)
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len().saturating_sub(self.at)).unwrap_or(usize::MAX);
        let n = left.min(buf.len());
        let Some(buf) = buf.get_mut(..n).filter(|buf| !buf.is_empty()) else { return Ok(0) };
        self.device.read(self.from + self.at, buf).map_err(|e| io::Error::from_raw_os_error(e.0))?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
        }
        .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Which of a disk's two copies is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Copy {
    First,
    Second,
}

/// The partitions of a disk with a GPT; none if both copies of it are damaged.
pub(super) fn read(device: &BlockDevice) -> Result<Vec<Entry>> {
    for copy in [Copy::First, Copy::Second] {
        match read_copy(device, copy) {
            Ok(entries) => return Ok(entries),
            Err(Refused::Medium) => return Err(Errno::EIO),
            Err(Refused::Damaged(why)) => {
                tracing::warn!(target: "lkl::block", "{}: {copy:?} copy of the partition table: {why}", device.name());
            }
        }
    }
    Ok(Vec::new())
}

enum Refused {
    Medium,
    Damaged(String),
}

impl From<io::Error> for Refused {
    fn from(e: io::Error) -> Self {
        if e.raw_os_error() == Some(Errno::EIO.0) {
            Self::Medium
        } else {
            Self::Damaged(e.to_string())
        }
    }
}

fn read_copy(device: &BlockDevice, copy: Copy) -> core::result::Result<Vec<Entry>, Refused> {
    let damaged = |why: &str| Refused::Damaged(why.to_owned());
    let size = u64::from(device.sector_size());
    let sectors = LogicalBlockSize::try_from(size)?;
    let last = (device.size() / size).checked_sub(1).filter(|last| *last >= 2).ok_or_else(|| damaged("no room"))?;
    let lba = if copy == Copy::First { 1 } else { last };
    // The crate reads the second sector of what it is given.
    let header = read_header_from_arbitrary_device(&mut Reader::new(device, (lba - 1) * size), sectors);
    let header = match header {
        Ok(header) => header,
        Err(gpt::header::HeaderError::Io(e)) => return Err(e.into()),
        Err(e) => return Err(damaged(&e.to_string())),
    };
    check(&header, lba, last).map_err(damaged)?;
    let table = file_read_partitions(&mut Reader::new(device, 0), &header, sectors)?;
    let used = table.into_iter().filter(|(number, p)| *number < LIMIT && p.is_used() && p.last_lba <= last);
    Ok(used.filter_map(|(number, p)| Entry::new(number, p.first_lba, p.sectors_len().ok()?, size)).collect())
}

/// What Linux asks of a header (`is_gpt_valid`), and the crate does not.
fn check(header: &Header, lba: u64, last: u64) -> core::result::Result<(), &'static str> {
    if header.current_lba != lba {
        return Err("it says that it is elsewhere");
    }
    if header.first_usable > last || header.last_usable > last || header.last_usable < header.first_usable {
        return Err("its partitions lie past the end of the disk");
    }
    if header.part_size != ENTRY_SIZE {
        return Err("entries of an unknown size");
    }
    if u64::from(header.num_parts) * u64::from(ENTRY_SIZE) > TABLE_MAX {
        return Err("too many entries");
    }
    Ok(())
}
