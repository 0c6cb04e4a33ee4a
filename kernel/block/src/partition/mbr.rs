//! The partition table of the PC: four entries in the first sector, and a chain of further sectors within an extended partition.
//!
//! Read here and not by a crate: those that there are refuse chains that Linux takes (further entries, links back, more than one extended
//! partition) and overflow on some that are wrong.

use super::{sector, Entry, LIMIT};
use crate::BlockDevice;
use lkl_abi::Result;
use std::collections::BTreeSet;

/// The type of the entry that stands for a GPT.
const TYPE_GPT: u8 = 0xee;
/// Where the entries are.
const ENTRIES: usize = 446;
/// The first number of a logical partition.
const FIRST_LOGICAL: u32 = 5;

/// One entry; sectors are counted from where the table's rules say.
#[derive(Clone, Copy)]
struct Slot {
    boot: u8,
    kind: u8,
    start: u64,
    sectors: u64,
}

impl Slot {
    fn is_extended(&self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }
}

/// The first sector of a disk, or of a logical partition.
pub(super) struct Table {
    slots: [Slot; 4],
}

impl Table {
    /// The table in sector 0; `None` if there is none.
    pub(super) fn read(device: &BlockDevice) -> Result<Option<Self>> {
        Ok(sector(device, 0)?.as_ref().and_then(Self::parse))
    }

    fn parse(bytes: &[u8; 512]) -> Option<Self> {
        if bytes.get(510..) != Some(&[0x55, 0xaa]) {
            return None;
        }
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let le32 = |at: usize| u64::from(u32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]));
        let slots = [0, 1, 2, 3].map(|i| {
            let at = ENTRIES + 16 * i;
            Slot { boot: byte(at), kind: byte(at + 4), start: le32(at + 8), sectors: le32(at + 12) }
        });
        Some(Self { slots })
    }

    /// Does it stand before a GPT (`is_pmbr_valid`)?
    pub(super) fn protects_gpt(&self) -> bool {
        self.slots.iter().any(|slot| slot.kind == TYPE_GPT && slot.start == 1)
    }

    /// What it tells of.
    pub(super) fn entries(&self, device: &BlockDevice) -> Result<Vec<Entry>> {
        if self.slots.iter().any(|slot| !matches!(slot.boot, 0 | 0x80)) {
            // The boot sector of a file system such as FAT ends with the same two bytes.
            return Ok(Vec::new());
        }
        let size = u64::from(device.sector_size());
        let mut found = Vec::new();
        let mut logical = FIRST_LOGICAL;
        for (slot, number) in self.slots.iter().zip(1..).filter(|(slot, _)| slot.sectors > 0) {
            // Of an extended partition only as much as a boot loader needs: nobody shall make a file system in it.
            let boot = slot.sectors.min((1024 / size).max(1));
            let sectors = if slot.is_extended() { boot } else { slot.sectors };
            found.extend(Entry::new(number, slot.start, sectors, size));
            if slot.is_extended() {
                chain(device, slot, &mut logical, &mut found)?;
            }
        }
        Ok(found)
    }
}

/// Follows the chain in an extended partition. Each link may tell of a partition, relative to itself, and of the next link, relative to
/// the whole. Entries three and four are OS/2's, and taken only where they make sense.
fn chain(device: &BlockDevice, whole: &Slot, number: &mut u32, found: &mut Vec<Entry>) -> Result<()> {
    let size = u64::from(device.sector_size());
    let (mut at, mut room) = (whole.start, whole.sectors);
    let mut seen = BTreeSet::new();
    // Linux gives up after 100 links without a partition; nobody makes that many with one.
    while seen.len() < LIMIT as usize && seen.insert(at) {
        let Some(link) = sector(device, at)?.as_ref().and_then(Table::parse) else { break };
        for (i, slot) in link.slots.iter().enumerate().filter(|(_, s)| s.sectors > 0 && !s.is_extended()) {
            let start = at + slot.start;
            let inside = slot.start + slot.sectors <= room
                && start >= whole.start
                && start + slot.sectors <= whole.start + whole.sectors;
            if i >= 2 && !inside {
                continue;
            }
            if *number >= LIMIT {
                return Ok(());
            }
            found.extend(Entry::new(*number, start, slot.sectors, size));
            *number += 1;
        }
        let Some(next) = link.slots.iter().find(|s| s.sectors > 0 && s.is_extended()) else { break };
        (at, room) = (whole.start + next.start, next.sectors);
    }
    Ok(())
}
