use super::*;

/// A file of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("lkl-disk-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn open(&self, read_only: bool) -> Result<Arc<dyn Disk>, Errno> {
        open(&self.0, &ImageOptions { read_only, ..ImageOptions::default() }).map_err(|e| e.errno)
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
fn many_pieces_are_one_write() {
    let file = Scratch::new("pieces", &[0; 5000]);
    let disk = file.open(false).unwrap();
    let bytes: Vec<u8> = (0..4000u32).map(|i| i as u8).collect();
    // More than the host takes at once, and empty ones.
    let pieces: Vec<&[u8]> = [&[][..]].into_iter().chain(bytes.chunks(2)).chain([&[][..]]).collect();
    disk.write_pieces_at(&pieces, 1000).unwrap();
    assert_eq!(disk.write_pieces_at(&pieces, 1001), Err(Errno::ENXIO));
    disk.write_pieces_at(&[&[], &[]], 5000).unwrap();
    let content = std::fs::read(&file.0).unwrap();
    assert!(content[..1000] == [0; 1000] && content[1000..] == bytes);
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
    let error = open(&file.0, &ImageOptions::default()).err().unwrap().to_string();
    assert_eq!(error, format!("{}: in use by another program", file.0.display()));
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
    let refused = |path: &Path| open(path, &ImageOptions::default()).map(drop).unwrap_err();
    assert_eq!(refused(&std::env::temp_dir()).errno, Errno::EISDIR);
    assert_eq!(refused(Path::new("/dev/null")).errno, Errno::ENOTBLK);
    let absent = refused(Path::new("/nonexistent/image"));
    assert_eq!(absent.to_string(), "/nonexistent/image: No such file or directory");
    let file = Scratch::new("sector", &[7; 8]);
    let options = ImageOptions { sector_size: Some(1024), ..ImageOptions::default() };
    assert!(open(&file.0, &options).map(drop).unwrap_err().problem.contains("1024 bytes, expected 512 or 4096"));
}

#[test]
fn sectors_are_those_of_the_partition_table() {
    let mut image = vec![0; 8192];
    image[4096..4104].copy_from_slice(b"EFI PART");
    assert_eq!(Scratch::new("gpt4k", &image).open(true).unwrap().sector_size(), 4096);
    image[512..520].copy_from_slice(b"EFI PART");
    assert_eq!(Scratch::new("gpt", &image).open(true).unwrap().sector_size(), 512);
}

#[cfg(feature = "qcow2")]
mod qcow2 {
    use super::*;
    use std::process::Command;

    /// Runs a program of the package `qemu-utils`; answers whether it succeeded.
    fn qemu(program: &str, args: &[&str]) -> bool {
        let output = Command::new(program).args(args).output().expect("qemu-utils is needed");
        println!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }

    /// An image of 64 MiB with `pattern` in the first 128 KiB.
    fn image(name: &str, options: &str, pattern: u8) -> Scratch {
        let file = Scratch::new(name, &[]);
        let path = file.0.to_str().unwrap();
        assert!(qemu("qemu-img", &["create", "-q", "-f", "qcow2", "-o", options, path, "64M"]));
        assert!(qemu("qemu-io", &["-f", "qcow2", "-c", &format!("write -P {pattern} 0 128k"), path]));
        file
    }

    fn reads(file: &Scratch, pattern: u8, at: &str) -> bool {
        let check = format!("read -P {pattern} {at}");
        qemu("qemu-io", &["-r", "-f", "qcow2", "-c", &check, file.0.to_str().unwrap()])
    }

    #[test]
    fn what_we_write_qemu_reads() {
        for (name, options) in
            [("v3", "compat=1.1"), ("v2", "compat=0.10"), ("small", "cluster_size=4096"), ("l2", "extended_l2=on")]
        {
            let file = image(name, options, 5);
            let disk = match file.open(false) {
                Ok(disk) => disk,
                Err(e) if name == "l2" => {
                    assert_eq!(e, Errno::EINVAL, "subclusters are not there");
                    continue;
                }
                Err(e) => panic!("{name}: {e}"),
            };
            assert_eq!((disk.size(), disk.read_only()), (64 << 20, false));
            let mut buf = vec![0; 4096];
            disk.read_at(&mut buf, 126 << 10).unwrap();
            assert!(buf[..2048].iter().all(|b| *b == 5) && buf[2048..].iter().all(|b| *b == 0));
            disk.write_pieces_at(&[&[9; 512], &[9; 70_000 - 512]], (32 << 20) - 17).unwrap();
            match disk.discard(0, 65536) {
                Err(Errno::EOPNOTSUPP) if name == "v2" => disk.write_at(&[0; 65536], 0).unwrap(),
                discarded => discarded.unwrap(),
            }
            assert_eq!(disk.write_at(&[0; 2], (64 << 20) - 1), Err(Errno::ENXIO));
            disk.flush().unwrap();
            disk.read_at(&mut buf, (32 << 20) - 4096).unwrap();
            assert_eq!((buf[4096 - 18], buf[4096 - 17]), (0, 9));
            drop(disk);
            assert!(qemu("qemu-img", &["check", "-q", file.0.to_str().unwrap()]), "{name}");
            assert!(reads(&file, 0, "0 64k") && reads(&file, 5, "64k 64k") && reads(&file, 0, "128k 1M"), "{name}");
            let at = (32 << 20) - 17;
            assert!(
                reads(&file, 9, &format!("{at} 70000")) && reads(&file, 0, &format!("{} 512", at + 70000)),
                "{name}"
            );
        }
    }

    #[test]
    fn a_backing_file_is_read_and_not_written() {
        let base = image("base", "compat=1.1", 5);
        let before = std::fs::read(&base.0).unwrap();
        let top = Scratch::new("top", &[]);
        let backing = format!("backing_file={},backing_fmt=qcow2", base.0.file_name().unwrap().to_str().unwrap());
        assert!(qemu("qemu-img", &["create", "-q", "-f", "qcow2", "-o", &backing, top.0.to_str().unwrap()]));
        let disk = top.open(false).unwrap();
        let mut buf = [0; 2];
        disk.write_at(&[8], 1).unwrap();
        disk.read_at(&mut buf, 0).unwrap();
        assert_eq!(buf, [5, 8]);
        drop(disk);
        assert!(std::fs::read(&base.0).unwrap() == before);
        assert!(reads(&top, 8, "1 1") && reads(&top, 5, "2 4k"));
    }

    #[test]
    fn a_snapshot_keeps_what_it_had() {
        let file = image("snapshot", "compat=1.1", 5);
        let path = file.0.to_str().unwrap();
        assert!(qemu("qemu-img", &["snapshot", "-c", "before", path]));
        let disk = file.open(false).unwrap();
        disk.write_at(&[8; 1000], 100).unwrap();
        disk.flush().unwrap();
        drop(disk);
        assert!(qemu("qemu-img", &["check", "-q", path]) && reads(&file, 8, "100 1000"));
        assert!(qemu("qemu-img", &["snapshot", "-a", "before", path]) && reads(&file, 5, "0 128k"));
    }

    #[test]
    fn qemu_and_we_exclude_each_other() {
        let file = image("qlock", "compat=1.1", 5);
        let path = file.0.to_str().unwrap();
        let disk = file.open(false).unwrap();
        assert!(!qemu("qemu-io", &["-f", "qcow2", "-c", "read 0 512", path]), "QEMU opens what we write");
        drop(disk);
        let mut other = Command::new("qemu-io")
            .args(["-f", "qcow2", path])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("qemu-utils is needed");
        // Its prompt comes after the image is open.
        std::io::Read::read(other.stdout.as_mut().unwrap(), &mut [0; 8]).unwrap();
        assert_eq!(file.open(true).err(), Some(Errno::EBUSY));
        drop(other.stdin.take());
        other.wait().unwrap();
        assert!(file.open(true).is_ok());
    }

    #[test]
    fn damaged_images_are_refused_or_fail() {
        let file = image("bad", "compat=1.1", 5);
        let good = std::fs::read(&file.0).unwrap();
        let mut seed = 1u64;
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for _ in 0..300 {
            let mut bytes = good.clone();
            // The header, or where tables are.
            for _ in 0..=random(3) {
                let at = if random(2) == 0 { 4 + random(108) } else { random(5) * 65536 + random(32) };
                bytes[at] = random(256) as u8;
            }
            bytes.truncate(if random(3) == 0 { random(bytes.len()) } else { bytes.len() });
            std::fs::write(&file.0, bytes).unwrap();
            let Ok(disk) = file.open(false) else { continue };
            let mut buf = vec![0; 65536];
            let _any = disk.read_at(&mut buf, 0);
            let _any = disk.write_at(&buf, 1 << 20);
            let _any = disk.discard(0, 65536);
            let _any = disk.flush();
        }
    }
}
