use super::*;
use gpt::disk::LogicalBlockSize;
use lkl_ops::sim::MemDisk;
use proptest::prelude::*;
use std::io::Cursor;

const MIB: usize = 1 << 20;

/// Type, first sector and number of sectors.
type Slots = [(u8, u32, u32)];

fn put(image: &mut [u8], sector: usize, slots: &Slots) {
    let link = &mut image[sector * 512..][..512];
    for (i, (kind, start, sectors)) in slots.iter().enumerate() {
        let slot = &mut link[446 + 16 * i..][..16];
        slot[4] = *kind;
        slot[8..12].copy_from_slice(&start.to_le_bytes());
        slot[12..].copy_from_slice(&sectors.to_le_bytes());
    }
    link[510..].copy_from_slice(&[0x55, 0xaa]);
}

fn found(image: Vec<u8>, sector_size: u32) -> Vec<(u32, u64, u64)> {
    let disk = Arc::new(MemDisk::new(image).with_sector_size(sector_size));
    let device = BlockDevice::new(disk, "vda");
    partitions(&device).unwrap().iter().map(|p| (p.partition_number(), p.start(), p.size())).collect()
}

/// Two primary partitions, an extended one, and in it what `slots` says of each sector.
fn extended(links: &[(usize, &Slots)]) -> Vec<u8> {
    let mut image = vec![0; MIB];
    put(&mut image, 0, &[(0x83, 8, 8), (0, 0, 0), (0x05, 100, 500), (0x82, 2000, 1000)]);
    for (sector, slots) in links {
        put(&mut image, *sector, slots);
    }
    image
}

#[test]
fn primary_and_logical_partitions_have_linux_numbers() {
    let image = extended(&[
        (100, &[(0x83, 2, 50), (0x05, 60, 100)]),
        (160, &[(0x83, 4, 20), (0x05, 200, 50)]),
        (300, &[(0, 0, 0)]),
    ]);
    let want = [(1, 8, 8), (3, 100, 2), (5, 102, 50), (6, 164, 20), (4, 2000, 48)];
    let want = want.map(|(n, start, len)| (n, start * 512, len * 512));
    assert_eq!(found(image, 512), want, "the last one is cut at the end of the disk");
}

#[test]
fn chains_that_loop_end() {
    let image = extended(&[(100, &[(0x83, 2, 50), (0x05, 60, 100)]), (160, &[(0x83, 4, 20), (0x85, 0, 50)])]);
    assert_eq!(found(image, 512).iter().map(|p| p.0).collect::<Vec<_>>(), [1, 3, 5, 6, 4]);
}

#[test]
fn os2_entries_count_if_they_lie_inside() {
    let inside = extended(&[(100, &[(0x83, 2, 10), (0, 0, 0), (0x83, 20, 10), (0x83, 20, 900)])]);
    assert_eq!(found(inside, 512)[2..4], [(5, 102 * 512, 5120), (6, 120 * 512, 5120)]);
}

#[test]
fn a_boot_sector_is_no_table() {
    let mut image = extended(&[]);
    image[446] = 0x13;
    assert_eq!(found(image, 512), []);
    assert_eq!(found(vec![0; 100], 512), []);
    assert_eq!(found(vec![0; MIB], 4096), []);
}

#[test]
fn sectors_of_4096_bytes() {
    let mut image = vec![0; 4 * MIB];
    put(&mut image, 0, &[(0x83, 8, 16)]);
    assert_eq!(found(image, 4096), [(1, 32768, 65536)]);
}

/// A disk with a GPT of two partitions, as the crate makes it.
fn gpt_image(sector_size: u64) -> Vec<u8> {
    let mut image = Cursor::new(vec![0; 4 * MIB]);
    let sectors = 4 * MIB as u64 / sector_size;
    gpt::mbr::ProtectiveMBR::with_lb_size((sectors - 1) as u32).overwrite_lba0(&mut image).unwrap();
    let size = LogicalBlockSize::try_from(sector_size).unwrap();
    let config = gpt::GptConfig::new().writable(true).logical_block_size(size);
    let mut disk = config.create_from_device(image, None).unwrap();
    for (id, first, len) in [(1, MIB, MIB), (2, 3 * MIB, 65536)] {
        let (first, len) = (first as u64 / sector_size, len as u64 / sector_size);
        disk.add_partition_at("p", id, first, len, gpt::partition_types::LINUX_FS, 0).unwrap();
    }
    disk.write().unwrap().into_inner()
}

#[test]
fn gpt_in_both_sizes_of_sectors_and_its_second_copy() {
    for size in [512, 4096] {
        let image = gpt_image(u64::from(size));
        let whole = found(image.clone(), size);
        assert_eq!(whole, [(1, MIB as u64, MIB as u64), (2, 3 * MIB as u64, 65536)]);
        for damaged in [size as usize + 60, 2 * size as usize + 40] {
            let mut image = image.clone();
            image[damaged] ^= 1;
            assert_eq!(found(image.clone(), size), whole, "byte {damaged}");
            let last = image.len() - size as usize;
            image[last + 60] ^= 1;
            assert_eq!(found(image, size), []);
        }
    }
}

#[test]
fn a_disk_that_cannot_be_read_says_so() {
    let image = gpt_image(512);
    for bad in [0..512, 512..513, 1024..1025] {
        let disk = MemDisk::new(image.clone());
        disk.fail(bad);
        assert_eq!(partitions(&BlockDevice::new(Arc::new(disk), "vda")).err(), Some(Errno::EIO));
    }
}

/// Sets the checksums of both headers right, so that wrong values are looked at.
fn reseal(image: &mut [u8]) {
    let last = image.len() - 512;
    for at in [512, last] {
        image[at + 16..at + 20].fill(0);
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&image[at..at + 92]);
        image[at + 16..at + 20].copy_from_slice(&crc.to_le_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn changed_bytes_never_panic(
        changes in prop::collection::vec((0usize..40, prop::collection::vec(any::<u8>(), 1..24)), 1..6),
        gpt in any::<bool>(),
        sealed in any::<bool>(),
        big in any::<bool>(),
    ) {
        let mut image = if gpt { gpt_image(512) } else { extended(&[(100, &[(0x83, 2, 50), (0x05, 60, 100)]), (160, &[(0x83, 4, 20), (0x85, 0, 50)])]) };
        let last = image.len() - 512;
        // Entries of the MBR and of its links; fields of the headers; entries of the GPT.
        let mbr = (446..510).step_by(4).chain((51646..51710).step_by(8));
        let header = (512 + 24..512 + 92).step_by(8).chain((last + 72..last + 92).step_by(4));
        let places: Vec<usize> = if gpt { header.chain((1024..1152).step_by(8)).collect() } else { mbr.collect() };
        for (place, bytes) in changes {
            let at = places[place % places.len()];
            let n = bytes.len().min(image.len() - at);
            image[at..at + n].copy_from_slice(&bytes[..n]);
        }
        if sealed && gpt {
            reseal(&mut image);
        }
        let size = image.len() as u64;
        for (number, start, len) in found(image, if big { 4096 } else { 512 }) {
            prop_assert!(number > 0 && number < LIMIT && len <= size && start <= size - len);
        }
    }
}
