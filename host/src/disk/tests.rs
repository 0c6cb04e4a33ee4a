use super::*;
use std::path::PathBuf;

/// A file of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("lkl-disk-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn open(&self, read_only: bool) -> Result<ImageFile, Errno> {
        ImageFile::open(&self.0, 512, read_only)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

#[test]
fn writes_reach_the_file_and_its_end_is_a_wall() {
    let file = Scratch::new("write", &[7; 8]);
    let disk = file.open(false).unwrap();
    assert_eq!((disk.size(), disk.sector_size(), disk.read_only()), (8, 512, false));
    disk.write_at(&[1, 2, 3], 5).unwrap();
    assert_eq!(disk.write_at(&[9; 4], 5), Err(Errno::ENXIO));
    assert_eq!(disk.discard(1, u64::MAX), Err(Errno::ENXIO));
    disk.flush().unwrap();
    let mut buf = [0; 4];
    disk.read_at(&mut buf, 4).unwrap();
    assert_eq!(buf, [7, 1, 2, 3]);
    assert_eq!(disk.read_at(&mut buf, 5), Err(Errno::ENXIO));
    assert_eq!(disk.read_at(&mut buf, u64::MAX), Err(Errno::ENXIO));
    assert_eq!(std::fs::read(&file.0).unwrap(), [7, 7, 7, 7, 7, 1, 2, 3]);
}

#[test]
fn what_is_discarded_reads_as_zeroes() {
    let file = Scratch::new("discard", &[7; 8192]);
    let disk = file.open(false).unwrap();
    match disk.discard(100, 5000) {
        Ok(()) => {
            let mut want = vec![7; 8192];
            want[100..5100].fill(0);
            assert!(std::fs::read(&file.0).unwrap() == want);
        }
        // Not every file system of a host can; then nothing may have changed.
        Err(e) => {
            assert_eq!(e, Errno::EOPNOTSUPP);
            assert!(std::fs::read(&file.0).unwrap() == [7; 8192]);
        }
    }
}

#[test]
fn one_writer_or_many_readers() {
    let file = Scratch::new("lock", &[7; 8]);
    let writer = file.open(false).unwrap();
    assert_eq!(file.open(false).err(), Some(Errno::EBUSY));
    assert_eq!(file.open(true).err(), Some(Errno::EBUSY));
    drop(writer);
    let reader = file.open(true).unwrap();
    assert!(file.open(true).is_ok());
    assert_eq!(file.open(false).err(), Some(Errno::EBUSY));
    assert_eq!(reader.write_at(&[1], 0), Err(Errno::EROFS));
    assert_eq!(reader.discard(0, 1), Err(Errno::EROFS));
    assert_eq!(reader.flush(), Ok(()));
}

#[test]
fn a_file_cut_while_open_is_a_broken_medium() {
    let file = Scratch::new("cut", &[7; 8]);
    let disk = file.open(true).unwrap();
    std::fs::write(&file.0, [1; 3]).unwrap();
    assert_eq!(disk.read_at(&mut [0; 4], 0), Err(Errno::EIO));
}

#[test]
fn what_is_no_disk_is_refused() {
    let file = Scratch::new("sector", &[7; 8]);
    assert_eq!(ImageFile::open(&file.0, 1024, true).err(), Some(Errno::EINVAL));
    assert_eq!(ImageFile::open(&std::env::temp_dir(), 512, true).err(), Some(Errno::EISDIR));
    assert_eq!(ImageFile::open(Path::new("/dev/null"), 512, true).err(), Some(Errno::ENOTBLK));
    assert_eq!(ImageFile::open(Path::new("/nonexistent/image"), 512, false).err(), Some(Errno::ENOENT));
}
