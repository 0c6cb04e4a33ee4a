//! Small files that are made and read as a whole.

mod common;

use common::model::at;
use common::*;
use lkl_abi::Errno;
use lkl_ext4::{Content, Ext4, New, ROOT};

const KINDS: [&str; 5] = [
    "-t ext4",
    "-t ext4 -b 1024 -O ^metadata_csum",
    "-t ext2 -b 1024",
    "-t ext4 -O inline_data -I 256",
    "-t ext4 -O bigalloc -C 16384",
];

/// Sizes up to that are asked for.
const MOST: usize = 20_000;

fn make(fs: &mut Ext4, dir: u32, name: &str, data: &[u8], xattrs: &[(&[u8], &[u8])]) -> Result<u32, Errno> {
    let new = New { uid: 1000, gid: 70_000, xattrs, ..New::mode(0o104_751) };
    fs.create_whole(dir, name.as_bytes(), &new, &Content { data, atime: at(1_000), mtime: at(2_000) }, at(3_000))
}

fn content(n: usize) -> Vec<u8> {
    let len = [0, 1, 59, 61, 1024, 3000, 4096, 4097, 20_000, 20_001][n % 10];
    Rng(n as u64).bytes(len)
}

#[test]
fn what_is_made_is_there() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        mkfs(&image, kind, "32M", None);
        let disk = memory(&image);
        let mut fs = mount_rw(disk.clone());
        let sub = fs.create(ROOT, b"sub", &New::mode(0o040_755), at(1)).unwrap();
        for n in 0..200 {
            let (place, value) = (if n % 3 == 0 { ROOT } else { sub }, vec![n as u8; n]);
            let xattrs: &[(&[u8], &[u8])] = if n % 7 == 0 { &[(b"user.n", &value)] } else { &[] };
            let ino = make(&mut fs, place, &format!("f{n}"), &content(n), xattrs).unwrap();
            assert_eq!(make(&mut fs, place, &format!("f{n}"), b"other", &[]), Err(Errno::EEXIST), "{kind}");
            if n % 10 == 8 {
                // What is not on the disk yet is seen all the same, and not written over what comes later.
                let mut data = vec![0xee; MOST];
                assert_eq!(fs.read(ino, 0, &mut data), Ok(MOST));
                assert!(data == content(n), "{kind}: file {n}");
                fs.write(ino, 5_000, b"later", at(2_000)).unwrap();
            }
        }
        fs.unmount().unwrap();
        fsck_bytes(&disk.contents(), kind);
        let mut fs = mount_ro(disk);
        // In the order in which they lie there, and in another one.
        for n in (0..200).chain((0..200).map(|n| n * 73 % 200)) {
            let mut expected = content(n);
            if n % 10 == 8 {
                expected[5_000..5_005].copy_from_slice(b"later");
            }
            let name = format!("f{n}");
            let whole = fs.read_whole(if n % 3 == 0 { ROOT } else { sub }, name.as_bytes(), MOST).unwrap();
            let attr = &whole.attr;
            assert_eq!((attr.mode, attr.uid, attr.gid, attr.links), (0o104_751, 1000, 70_000, 1), "{kind}: {name}");
            assert_eq!((attr.size, attr.mtime.sec), (expected.len() as u64, 2_000), "{kind}: {name}");
            // Content in the inode takes no blocks, and so looks like a hole.
            let told = n % 10 != 9 && attr.sectors * 512 >= attr.size;
            assert_eq!(whole.data.is_some(), told, "{kind}: {name}");
            assert!(told || n % 10 == 9 || kind.contains("inline"), "{kind}: {name}");
            if let Some(data) = whole.data {
                assert!(data == expected, "{kind}: {name}");
                let count = usize::from(n % 7 == 0);
                assert_eq!(whole.xattrs.len(), count, "{kind}: {name}");
                assert!(whole.xattrs.iter().all(|x| x.0 == b"user.n" && x.1 == vec![n as u8; n]));
            }
        }
        assert_eq!(fs.read_whole(ROOT, b"missing", MOST), Err(Errno::ENOENT));
        assert_eq!(fs.read_whole(ROOT, b"sub", MOST).map(|w| (w.attr.ino, w.data)), Ok((sub, None)));
    }
}

#[test]
fn of_what_does_not_fit_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    mkfs(&image, "-t ext4 -b 1024 -N 1000", "4M", None);
    let disk = memory(&image);
    let mut fs = mount_rw(disk.clone());
    let data = Rng(1).bytes(70_000);
    let count = (0..).take_while(|n| make(&mut fs, ROOT, &format!("f{n}"), &data, &[]).is_ok()).count();
    assert!(count > 5, "{count}");
    let free = fs.stat();
    assert_eq!(make(&mut fs, ROOT, "more", &data, &[]), Err(Errno::ENOSPC));
    assert_eq!((fs.lookup(ROOT, b"more"), fs.stat()), (Err(Errno::ENOENT), free));
    make(&mut fs, ROOT, "small", b"x", &[]).unwrap();
    fs.unmount().unwrap();
    fsck_bytes(&disk.contents(), "full");
    let mut fs = mount_ro(disk);
    for n in 0..count {
        let whole = fs.read_whole(ROOT, format!("f{n}").as_bytes(), 1 << 20).unwrap();
        assert!(whole.data.as_ref() == Some(&data), "file {n}");
    }
}

#[test]
fn no_file_is_committed_whose_content_could_not_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    mkfs(&image, "-t ext4", "16M", None);
    let disk = memory(&image);
    let mut fs = mount_rw(disk.clone());
    make(&mut fs, ROOT, "good", b"good", &[]).unwrap();
    fs.commit().unwrap();
    let bad = make(&mut fs, ROOT, "bad", b"bad", &[]).unwrap();
    let place = fs.pieces(bad, 0, 1).unwrap()[0].place;
    disk.fail(place..place + 4096);
    assert_eq!(fs.commit(), Err(Errno::EIO));
    assert_eq!(make(&mut fs, ROOT, "third", b"third", &[]), Err(Errno::EROFS));
    drop(fs);
    let mut fs = mount_ro(disk);
    assert_eq!(fs.read_whole(ROOT, b"good", 10).unwrap().data, Some(b"good".to_vec()));
    assert_eq!((fs.lookup(ROOT, b"bad"), fs.lookup(ROOT, b"third")), (Err(Errno::ENOENT), Err(Errno::ENOENT)));
}
