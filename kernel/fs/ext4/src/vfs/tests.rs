use super::*;
use lkl_ops::sim::MemDisk;
use lkl_vfs::{ChangeAttr, DirEntry, InodeKind, Range, Rename, Seek, XattrSet};
use std::path::Path;
use std::process::Command;

fn run(program: &str, args: &[&str]) -> (Option<i32>, String) {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let out = Command::new(program).args(args).env("PATH", path).output();
    let out = out.unwrap_or_else(|e| panic!("{program} cannot be run (Debian package e2fsprogs): {e}"));
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

fn image(args: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let mut words = vec!["-q", "-F"];
    words.extend(args.split_whitespace());
    words.extend([path.to_str().unwrap(), "16M"]);
    assert_eq!(run("mke2fs", &words).0, Some(0));
    std::fs::read(path).unwrap()
}

fn fsck(disk: &MemDisk) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    std::fs::write(&path, disk.contents()).unwrap();
    let (status, text) = run("e2fsck", &["-fn", Path::new(&path).to_str().unwrap()]);
    assert_eq!(status, Some(0), "{text}");
}

fn now(secs: i64) -> Timestamp {
    Timestamp { secs, nanos: 5 }
}

fn options(disk: &Arc<MemDisk>, read_only: bool) -> MountOptions {
    let device = Some(BlockDevice::new(disk.clone(), "vda"));
    MountOptions { read_only, device, now: now(1000), ..MountOptions::default() }
}

fn new(kind: InodeKind) -> NewInode<'static> {
    NewInode { kind, mode: 0o755, uid: 7, gid: 8, rdev: (0, 0), target: b"", xattrs: &[], now: now(2000) }
}

fn names(dir: &Arc<dyn Inode>) -> Vec<Vec<u8>> {
    // One entry each call, as a caller with little room takes them.
    let (mut all, mut cookie) = (Vec::new(), 0);
    loop {
        let (before, from) = (all.len(), cookie);
        let mut take = |e: DirEntry<'_>| {
            if all.len() > before {
                return false;
            }
            all.push(e.name.to_vec());
            cookie = e.next;
            true
        };
        dir.readdir(from, &mut take).unwrap();
        if all.len() == before {
            all.sort();
            return all;
        }
    }
}

#[test]
fn types_take_their_own_images() {
    let kinds = [("-t ext2", [true, false, true]), ("-t ext3", [false, true, true]), ("-t ext4", [false, false, true])];
    for (args, expected) in kinds {
        let disk = Arc::new(MemDisk::new(image(args)));
        let device = BlockDevice::new(disk.clone(), "vda");
        for (kind, expected) in [EXT2, EXT3, EXT4].into_iter().zip(expected) {
            assert_eq!(kind.probe(&device), Ok(expected), "{args} as {}", kind.name());
            assert_eq!(kind.mount(&options(&disk, true)).is_ok(), expected);
        }
    }
    let disk = Arc::new(MemDisk::new(vec![0; 1 << 20]));
    assert_eq!(EXT4.probe(&BlockDevice::new(disk.clone(), "vda")), Ok(false));
    assert_eq!(EXT4.mount(&options(&disk, true)).err(), Some(Errno::EINVAL));
    let disk = Arc::new(MemDisk::new(image("-t ext4")).write_protected());
    assert_eq!(EXT4.mount(&options(&disk, false)).err(), Some(Errno::EROFS));
    let unknown = MountOptions { data: "acl,nonsense".into(), ..options(&disk, true) };
    assert_eq!(EXT4.mount(&unknown).err(), Some(Errno::EINVAL));
}

#[test]
fn files() {
    let disk = Arc::new(MemDisk::new(image("-t ext4 -b 1024")));
    let fs = EXT4.mount(&options(&disk, false)).unwrap();
    let root = fs.inode(fs.root()).unwrap();
    let dir = fs.inode(root.create(b"dir", &new(InodeKind::Directory)).unwrap()).unwrap();
    assert_eq!((root.attr().nlink, dir.attr().nlink, dir.attr().mode), (4, 2, 0o755));
    let file = fs.inode(dir.create(b"file", &new(InodeKind::Regular)).unwrap()).unwrap();
    let attr = file.attr();
    assert_eq!((attr.uid, attr.gid, attr.mtime, attr.btime), (7, 8, now(2000), Some(now(2000))));

    // Pages are promised, then written in one run; the length is what the program sees.
    let free = fs.statfs().unwrap().blocks_free;
    file.reserve(0, 40_960).unwrap();
    file.reserve(4096, 8192).unwrap();
    assert_eq!(fs.statfs().unwrap().blocks_free, free - 40);
    let pages: Vec<Vec<u8>> = (1..=10).map(|n| vec![n; 4096]).collect();
    let mut pieces: Vec<&[u8]> = pages.iter().map(Vec::as_slice).collect();
    let last = [vec![10; 1000], vec![0; 3096]].concat();
    pieces[9] = &last;
    file.write(0, &pieces, 37_864).unwrap();
    assert_eq!(fs.statfs().unwrap().blocks_free, free - 37);
    assert_eq!((file.attr().size, file.attr().mtime), (37_864, now(2000)));
    let mut buf = vec![0xee; 49_152];
    file.read(0, &mut buf).unwrap();
    assert!(buf[..36_864] == pieces.concat()[..36_864] && buf[36_864..37_864] == [10; 1000]);
    assert!(buf[37_864..].iter().all(|&b| b == 0));

    file.reserve(100_000, 4096).unwrap();
    file.truncate(5000, now(2001)).unwrap();
    file.fallocate(Range::PunchHole, 0, 4096, now(2002)).unwrap();
    assert_eq!((file.attr().size, file.attr().mtime), (5000, now(2002)));
    assert_eq!((file.seek(Seek::Data, 0, 5000), file.seek(Seek::Hole, 4096, 5000)), (Ok(4096), Ok(5000)));
    file.read(0, &mut buf).unwrap();
    assert!(buf[..4096].iter().all(|&b| b == 0) && buf[4096..5000] == [2; 904]);
    file.change(&ChangeAttr { mode: Some(0o600), ctime: Some(now(2003)), ..ChangeAttr::default() }).unwrap();
    assert_eq!((file.attr().mode, file.attr().ctime), (0o600, now(2003)));
    file.set_xattr(b"user.a", b"value", XattrSet::Create, now(2004)).unwrap();
    assert_eq!(file.set_xattr(b"user.a", b"", XattrSet::Create, now(2004)), Err(Errno::EEXIST));
    assert_eq!(file.get_xattr(b"user.a").unwrap(), b"value");
    file.fsync(false).unwrap();

    root.link(b"second", &*file, now(2005)).unwrap();
    assert_eq!(file.attr().nlink, 2);
    root.rename(b"second", &*file, &*dir, b"third", None, Rename::NoReplace, now(2006)).unwrap();
    assert_eq!(names(&dir), [&b"file"[..], b"third"]);
    let target = NewInode { target: b"dir/file", ..new(InodeKind::Symlink) };
    let link = fs.inode(root.create(b"link", &target).unwrap()).unwrap();
    assert_eq!((link.read_link().unwrap(), link.attr().size), (b"dir/file".to_vec(), 8));
    for name in [&b"file"[..], b"third"] {
        dir.unlink(name, &*file, now(2007)).unwrap();
    }
    assert_eq!((file.attr().nlink, names(&dir).len()), (0, 0));
    let mut page = [0; 4096];
    file.read(4096, &mut page).unwrap();
    assert_eq!(page[0], 2, "it can be used without a name");
    assert_eq!(fs.remount(&options(&disk, true)), Err(Errno::EBUSY));
    let number = file.attr().ino;
    file.evict().unwrap();
    drop(file);
    assert_eq!(fs.inode(number).err(), Some(Errno::ESTALE));
    root.unlink(b"dir", &*dir, now(2008)).unwrap();
    dir.evict().unwrap();
    assert_eq!((root.attr().nlink, dir.attr().nlink), (3, 0));
    assert_eq!(fs.inode(8).err(), Some(Errno::EUCLEAN), "the journal is no file");
    let unnamed = fs.inode(fs.create_unnamed(fs.root(), &new(InodeKind::Regular)).unwrap()).unwrap();
    root.link(b"named", &*unnamed, now(2009)).unwrap();
    assert_eq!(unnamed.attr().nlink, 1);

    fs.remount(&options(&disk, true)).unwrap();
    fsck(&disk);
    fs.remount(&options(&disk, false)).unwrap();
    root.create(b"fifo", &new(InodeKind::Fifo)).unwrap();
    assert_eq!(names(&root), [&b"fifo"[..], b"link", b"lost+found", b"named"]);
    fs.unmount().unwrap();
    fsck(&disk);
}

#[test]
fn many_threads() {
    let disk = Arc::new(MemDisk::new(image("-t ext4")));
    let fs = EXT4.mount(&options(&disk, false)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let fs = fs.clone();
            scope.spawn(move || {
                let root = fs.inode(fs.root()).unwrap();
                let dir = root.create(&[b'a' + thread], &new(InodeKind::Directory)).unwrap();
                let dir = fs.inode(dir).unwrap();
                for n in 0..40u8 {
                    let file = fs.inode(dir.create(&[b'0' + n], &new(InodeKind::Regular)).unwrap()).unwrap();
                    file.reserve(0, 8192).unwrap();
                    file.write(0, &[&[thread; 4096], &[n; 4096]], 8192).unwrap();
                    if n % 10 == 0 {
                        file.fsync(true).unwrap();
                    }
                    let mut buf = [0; 8192];
                    file.read(0, &mut buf).unwrap();
                    assert_eq!((buf[0], buf[8191]), (thread, n));
                    if n % 3 == 0 {
                        dir.unlink(&[b'0' + n], &*file, now(3000)).unwrap();
                        file.evict().unwrap();
                    }
                }
                assert_eq!(names(&dir).len(), 26);
            });
        }
    });
    fs.unmount().unwrap();
    fsck(&disk);
}

/// An image with a directory whose only block is damaged, also in the journal.
fn damaged() -> Vec<u8> {
    let disk = Arc::new(MemDisk::new(image("-t ext4 -b 1024 -O metadata_csum")));
    let fs = EXT4.mount(&options(&disk, false)).unwrap();
    let root = fs.inode(fs.root()).unwrap();
    let dir = fs.inode(root.create(b"dir", &new(InodeKind::Directory)).unwrap()).unwrap();
    dir.create(b"this one is the mark", &new(InodeKind::Regular)).unwrap();
    fs.unmount().unwrap();
    let mut bytes = disk.contents();
    for block in bytes.chunks_mut(1024) {
        if let Some(at) = block.windows(20).position(|w| w == b"this one is the mark") {
            block[at] = b'T';
        }
    }
    bytes
}

/// What dumpe2fs says of a field of the superblock.
fn said(disk: &MemDisk, field: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    std::fs::write(&path, disk.contents()).unwrap();
    let text = run("dumpe2fs", &["-h", path.to_str().unwrap()]).1;
    text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':')).map(|v| v.trim().to_owned())
}

#[test]
fn damage_is_noted_and_stops_writing_if_asked_for() {
    for (data, stops) in [("errors=continue", false), ("", false), ("errors=remount-ro", true)] {
        let disk = Arc::new(MemDisk::new(damaged()));
        assert_eq!((said(&disk, "FS Error count"), said(&disk, "Filesystem state")), (None, Some("clean".into())));
        let fs = EXT4.mount(&MountOptions { data: data.into(), ..options(&disk, false) }).unwrap();
        assert_eq!(fs.show_options(), if stops { ",errors=remount-ro" } else { "" });
        let root = fs.inode(fs.root()).unwrap();
        let dir = fs.inode(root.lookup(b"dir").unwrap()).unwrap();
        assert_eq!((root.create(b"before", &new(InodeKind::Regular)).is_ok(), fs.stopped()), (true, false));
        assert_eq!(dir.lookup(b"anything"), Err(Errno::EUCLEAN));
        let after = root.create(b"after", &new(InodeKind::Regular));
        assert_eq!((fs.stopped(), after.err()), (stops, stops.then_some(Errno::EROFS)), "{data}");
        let writable = fs.remount(&MountOptions { data: data.into(), ..options(&disk, false) });
        let file = fs.inode(root.lookup(b"before").unwrap()).unwrap();
        let refused = stops.then_some(Errno::EROFS);
        assert_eq!((file.reserve(0, 4096).err(), writable.err()), (refused, refused), "{data}");
        drop((file, dir, root));
        assert_eq!(fs.unmount().err(), stops.then_some(Errno::EIO));
        assert_eq!(said(&disk, "FS Error count").as_deref(), Some("1"), "{data}");
        let state = said(&disk, "Filesystem state").unwrap();
        assert!(state.contains("with errors"), "{data}: {state}");

        // The journal that comes back is older than what was written past it.
        let fs = EXT4.mount(&options(&disk, false)).unwrap();
        let root = fs.inode(fs.root()).unwrap();
        assert_eq!(root.lookup(b"after").is_ok(), !stops, "{data}");
        drop(root);
        fs.unmount().unwrap();
        assert_eq!(said(&disk, "FS Error count").as_deref(), Some("1"), "{data}");
        assert_eq!(said(&disk, "First error err").as_deref(), Some("EFSCORRUPTED"), "{data}");
    }
}

#[test]
fn damage_panics_if_asked_for() {
    let disk = Arc::new(MemDisk::new(damaged()));
    let fs = EXT4.mount(&MountOptions { data: "errors=panic".into(), ..options(&disk, false) }).unwrap();
    let root = fs.inode(fs.root()).unwrap();
    let dir = fs.inode(root.lookup(b"dir").unwrap()).unwrap();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| dir.lookup(b"anything")));
    assert!(found.is_err());
    assert_eq!(said(&disk, "FS Error count").as_deref(), Some("1"));
}
