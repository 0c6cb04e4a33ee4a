use super::*;
use lkl_ops::sim::MemDisk;

#[test]
fn a_partition_is_a_window() {
    let disk = Arc::new(MemDisk::new(vec![7; 4096]));
    let whole = BlockDevice::new(disk.clone(), "vda");
    let part = whole.partition(1, 512, 1024).unwrap();
    assert_eq!((part.name(), part.size(), part.partition_number()), ("vda1", 1024, 1));
    part.write(0, &[1; 512]).unwrap();
    part.write_pieces(512, &[&[2; 100], &[3; 412]]).unwrap();
    assert_eq!(part.write(1023, &[0; 2]), Err(Errno::ENXIO));
    assert_eq!(part.read(u64::MAX, &mut [0; 2]), Err(Errno::ENXIO));
    assert!(whole.partition(2, 4096, 1).is_err());
    assert!(part.partition(1, 512, 512).is_ok_and(|p| p.name() == "vda1p1"));
    let content = disk.contents();
    assert_eq!((content[511], content[512], content[1023], content[1024], content[1124]), (7, 1, 1, 2, 3));
    assert_eq!((content[1535], content[1536]), (3, 7));
    // Two pieces, one request.
    assert_eq!(part.stats().writes, 2);
    part.write_zeroes(0, 1024).unwrap();
    assert_eq!(disk.contents()[512..1536], [0; 1024]);
}

#[test]
fn failures_are_counted() {
    let disk = Arc::new(MemDisk::new(vec![0; 4096]));
    disk.fail(1024..1025);
    let device = BlockDevice::new(disk, "nvme0n1");
    assert_eq!(device.read(1000, &mut [0; 100]), Err(Errno::EIO));
    assert_eq!(device.write(1000, &[0; 100]), Err(Errno::EIO));
    assert_eq!(device.read(0, &mut [0; 100]), Ok(()));
    assert_eq!((device.stats().errors, device.stats().reads), (2, 2));
    assert_eq!(device.partition(2, 0, 512).unwrap().name(), "nvme0n1p2");
}

#[test]
fn a_partition_is_a_disk() {
    let disk = Arc::new(MemDisk::new(vec![7; 4096]));
    let part: Arc<dyn Disk> = BlockDevice::new(disk.clone(), "vda").partition(1, 512, 1024).unwrap();
    part.write_at(&[1; 4], 1020).unwrap();
    assert_eq!(part.write_at(&[1; 4], 1021), Err(Errno::ENXIO));
    assert_eq!(disk.contents()[1532..1537], [1, 1, 1, 1, 7]);
    part.flush().unwrap();
    assert_eq!((part.size(), disk.flushes()), (1024, 1));
}
