use super::*;
use lkl_ops::sim::MemDisk;

const BLOCK: usize = 1024;

fn cache(blocks: usize, limit: usize) -> (Arc<MemDisk>, Arc<BufferCache>, Arc<Memory>) {
    let bytes = (0..blocks).flat_map(|b| vec![b as u8; BLOCK]).collect();
    let disk = Arc::new(MemDisk::new(bytes));
    let memory = Memory::new(limit);
    let cache = BufferCache::new(BlockDevice::new(disk.clone(), "vda"), BLOCK as u32, memory.clone()).unwrap();
    (disk, cache, memory)
}

#[test]
fn memory_is_bounded_and_nothing_is_lost() {
    let (disk, cache, memory) = cache(64, 8 * BLOCK);
    for block in 0..64 {
        cache.get(block).unwrap().update(|c| c[0] = 100 + block as u8);
        assert!(memory.used() <= 8 * BLOCK, "{}", memory.used());
    }
    for block in 0..64u64 {
        let bytes = cache.get(block).unwrap().bytes();
        assert_eq!((bytes[0], bytes[1]), (100 + block as u8, block as u8));
    }
    cache.sync().unwrap();
    assert_eq!(cache.dirty(), 0);
    assert_eq!(disk.flushes(), 1);
    let content = disk.contents();
    assert!((0..64).all(|b| content[b * BLOCK] == 100 + b as u8));
    drop(cache);
    assert_eq!(memory.used(), 0);
}

#[test]
fn pinned_buffers_stay_away_from_the_disk() {
    let (disk, cache, _) = cache(64, 4 * BLOCK);
    let buffer = cache.get(3).unwrap();
    buffer.pin();
    buffer.update(|c| c.fill(0xee));
    drop(buffer);
    for block in 8..32 {
        cache.get(block).unwrap();
    }
    cache.sync().unwrap();
    assert_eq!(disk.contents()[3 * BLOCK], 3);
    let buffer = cache.get(3).unwrap();
    let snapshot = buffer.bytes();
    buffer.update(|c| c.fill(0xdd));
    assert_eq!((snapshot[0], buffer.bytes()[0]), (0xee, 0xdd));
    buffer.unpin();
    cache.write_back().unwrap();
    assert_eq!(disk.contents()[3 * BLOCK], 0xdd);
}

#[test]
fn neighbours_are_written_together() {
    let (_, cache, _) = cache(64, 64 * BLOCK);
    for block in [9, 4, 6, 5, 20, 7] {
        cache.get_zeroed(block).unwrap();
    }
    let reads = cache.device().stats().reads;
    assert_eq!(reads, 0);
    cache.write_back().unwrap();
    // 4 to 7, 9, 20.
    assert_eq!(cache.device().stats().writes, 3);
    cache.read_ahead(0..10);
    assert_eq!(cache.device().stats().reads, 1);
    assert_eq!(cache.get(4).unwrap().bytes()[0], 0);
    assert_eq!(cache.get(8).unwrap().bytes()[0], 8);
    assert_eq!(cache.device().stats().reads, 1);
}

#[test]
fn what_cannot_be_written_stays_dirty() {
    let (disk, cache, _) = cache(8, 64 * BLOCK);
    cache.get(2).unwrap().update(|c| c.fill(9));
    cache.get(5).unwrap().update(|c| c.fill(9));
    disk.fail(2 * BLOCK as u64..2 * BLOCK as u64 + 1);
    assert_eq!(cache.sync(), Err(Errno::EIO));
    assert_eq!(cache.dirty(), 1);
    assert_eq!(disk.contents()[5 * BLOCK], 9);
    cache.forget(0..8);
    assert_eq!(cache.sync(), Ok(()));
    assert_eq!(cache.get(9).err(), Some(Errno::ENXIO));
    assert_eq!(cache.get(2).err(), Some(Errno::EIO));
}
