use super::*;
use crate::fs::{ChangeAttr, DirEntry, Range, Rename, Seek, Timestamp, XattrSet};

fn now(secs: i64) -> Timestamp {
    Timestamp { secs, nanos: 0 }
}

fn mount(data: &str) -> Result<Arc<dyn SuperBlock>> {
    let options = MountOptions { data: data.into(), now: now(1), ..MountOptions::default() };
    Tmpfs::new(&Limits::default()).mount(&options)
}

fn new(kind: InodeKind) -> NewInode<'static> {
    NewInode { kind, mode: 0o644, uid: 1, gid: 2, rdev: (0, 0), target: b"", xattrs: &[], now: now(2) }
}

fn make(fs: &Arc<dyn SuperBlock>, dir: &Arc<dyn Inode>, name: &[u8], kind: InodeKind) -> Arc<dyn Inode> {
    fs.inode(dir.create(name, &new(kind)).unwrap()).unwrap()
}

fn list(dir: &Arc<dyn Inode>, from: u64, most: usize) -> (Vec<Vec<u8>>, u64) {
    let (mut names, mut next) = (Vec::new(), from);
    let mut take = |e: DirEntry<'_>| {
        if names.len() == most {
            return false;
        }
        names.push(e.name.to_vec());
        next = e.next;
        true
    };
    dir.readdir(from, &mut take).unwrap();
    (names, next)
}

#[test]
fn names_stay_in_their_places_while_they_are_listed() {
    let fs = mount("").unwrap();
    let root = fs.inode(1).unwrap();
    let names: Vec<Vec<u8>> = (0..200).map(|n| format!("n{n}").into_bytes()).collect();
    for name in &names {
        make(&fs, &root, name, InodeKind::Regular);
    }
    let (mut seen, mut cookie) = (Vec::new(), 0);
    loop {
        let (some, next) = list(&root, cookie, 7);
        let Some(last) = some.last().cloned() else { break };
        cookie = next;
        // One that was listed goes, another one is renamed, a third one is new: none of them comes again.
        let file = fs.inode(root.lookup(&last).unwrap()).unwrap();
        root.unlink(&last, &*file, now(3)).unwrap();
        let first = fs.inode(root.lookup(&some[0]).unwrap()).unwrap();
        root.rename(&some[0], &*first, &*root, &[b"r", &some[0][..]].concat(), None, Rename::NoReplace, now(3))
            .unwrap();
        make(&fs, &root, &[b"x", &last[..]].concat(), InodeKind::Fifo);
        seen.extend(some);
    }
    seen.sort();
    let mut names = names;
    names.sort();
    assert_eq!(seen, names);
}

#[test]
fn links_and_renames() {
    let fs = mount("").unwrap();
    let root = fs.inode(1).unwrap();
    let (a, b) = (make(&fs, &root, b"a", InodeKind::Directory), make(&fs, &root, b"b", InodeKind::Directory));
    let file = make(&fs, &a, b"file", InodeKind::Regular);
    let links = |inode: &Arc<dyn Inode>| inode.attr().nlink;
    assert_eq!((links(&root), links(&a), links(&file), root.attr().size), (4, 2, 1, 40));
    b.link(b"other", &*file, now(4)).unwrap();
    assert_eq!((links(&file), file.attr().ctime, b.attr().mtime, file.attr().mtime), (2, now(4), now(4), now(2)));
    let sub = make(&fs, &a, b"sub", InodeKind::Directory);
    assert_eq!(root.unlink(b"a", &*a, now(5)), Err(Errno::ENOTEMPTY));
    assert_eq!((links(&a), sub.parent()), (3, Ok(a.attr().ino)));
    // A directory moves; then it and a file change places.
    a.rename(b"sub", &*sub, &*b, b"sub", None, Rename::NoReplace, now(6)).unwrap();
    assert_eq!((links(&a), links(&b), sub.parent(), sub.attr().ctime), (2, 3, Ok(b.attr().ino), now(6)));
    a.rename(b"file", &*file, &*b, b"sub", Some(&*sub), Rename::Exchange, now(7)).unwrap();
    assert_eq!((links(&a), links(&b), links(&sub)), (3, 2, 2));
    assert_eq!((a.lookup(b"file"), b.lookup(b"sub")), (Ok(sub.attr().ino), Ok(file.attr().ino)));
    // One takes the place of another, and leaves a whiteout.
    let second = make(&fs, &root, b"second", InodeKind::Regular);
    b.rename(b"sub", &*file, &*root, b"second", Some(&*second), Rename::Whiteout, now(8)).unwrap();
    assert_eq!((links(&second), links(&file), root.lookup(b"second")), (0, 2, Ok(file.attr().ino)));
    let white = fs.inode(b.lookup(b"sub").unwrap()).unwrap().attr();
    assert_eq!((white.kind, white.rdev, white.mode), (InodeKind::CharDevice, (0, 0), 0));
    // An empty directory is replaced, a full one is not.
    let full = make(&fs, &root, b"full", InodeKind::Directory);
    make(&fs, &full, b"x", InodeKind::Socket);
    assert_eq!(a.rename(b"file", &*sub, &*root, b"full", Some(&*full), Rename::Replace, now(9)), Err(Errno::ENOTEMPTY));
    let empty = make(&fs, &root, b"empty", InodeKind::Directory);
    a.rename(b"file", &*sub, &*root, b"empty", Some(&*empty), Rename::Replace, now(9)).unwrap();
    assert_eq!((links(&empty), links(&a), links(&root), sub.parent()), (0, 2, 6, Ok(1)));
    let target = NewInode { target: b"a/file", ..new(InodeKind::Symlink) };
    let link = fs.inode(root.create(b"link", &target).unwrap()).unwrap();
    assert_eq!((link.read_link().unwrap(), link.attr().size), (b"a/file".to_vec(), 6));
    let used = fs.statfs().unwrap();
    for gone in [&second, &empty] {
        gone.evict().unwrap();
        assert_eq!(fs.inode(gone.attr().ino).err(), Some(Errno::ESTALE));
    }
    assert_eq!(fs.statfs().unwrap().files_free, used.files_free + 2);
}

#[test]
fn room_is_counted() {
    let fs = mount("size=64k,nr_inodes=4").unwrap();
    let root = fs.inode(1).unwrap();
    let file = make(&fs, &root, b"file", InodeKind::Regular);
    let free = || fs.statfs().unwrap().blocks_free;
    file.write(60_000, &[&[1; 100]], 60_100).unwrap();
    assert_eq!((free(), file.attr().blocks, file.attr().size), (15, 8, 60_100));
    file.write(0, &[&[2; 60_000]], 60_100).unwrap();
    assert_eq!((free(), file.attr().blocks), (1, 120));
    assert_eq!(file.write(61_000, &[&[3; 9000]], 70_000), Err(Errno::ENOSPC));
    assert_eq!((free(), file.attr().size), (1, 60_100));
    file.fallocate(Range::Allocate { keep_size: true }, 0, 65_536, now(3)).unwrap();
    assert_eq!((free(), file.attr().size, file.attr().mtime), (0, 60_100, now(3)));
    file.fallocate(Range::PunchHole, 4096, 8192, now(4)).unwrap();
    assert_eq!(
        (free(), file.seek(Seek::Hole, 0, 60_100), file.seek(Seek::Data, 5000, 60_100)),
        (2, Ok(4096), Ok(12_288))
    );
    assert_eq!(file.fallocate(Range::Collapse, 0, 100, now(5)), Err(Errno::EINVAL));
    file.fallocate(Range::Collapse, 0, 12_288, now(5)).unwrap();
    assert_eq!((free(), file.attr().size), (3, 47_812));
    file.truncate(10, now(6)).unwrap();
    assert_eq!((free(), file.attr().blocks), (15, 8));
    file.truncate(20, now(6)).unwrap();
    let mut buf = [9; 30];
    file.read(0, &mut buf).unwrap();
    assert_eq!(buf[..20], [[2; 10], [0; 10]].concat());
    let unnamed = fs.create_unnamed(1, &new(InodeKind::Regular)).unwrap();
    let unnamed = fs.inode(unnamed).unwrap();
    assert_eq!(unnamed.attr().nlink, 0);
    root.link(b"named", &*unnamed, now(7)).unwrap();
    assert_eq!((unnamed.attr().nlink, root.create(b"third", &new(InodeKind::Fifo)).is_ok()), (1, true));
    assert_eq!(root.create(b"fourth", &new(InodeKind::Fifo)), Err(Errno::ENOSPC));
    assert_eq!(root.lookup(b"fourth"), Err(Errno::ENOENT));
    file.evict().unwrap();
    assert_eq!(free(), 16);
    unnamed.write(0, &[&[1; 5000]], 5000).unwrap();
    let remount = |data: &str| fs.remount(&MountOptions { data: data.into(), ..MountOptions::default() });
    assert_eq!((remount("size=4k"), remount("size=8k"), fs.statfs().unwrap().blocks), (Err(Errno::EINVAL), Ok(()), 2));
    assert_eq!(fs.show_options(), ",size=8k,nr_inodes=4");
}

#[test]
fn attributes() {
    let fs = mount("mode=0700,uid=5,gid=6").unwrap();
    let root = fs.inode(1).unwrap();
    assert_eq!((root.attr().mode, root.attr().uid, root.attr().gid, root.attr().nlink), (0o700, 5, 6, 2));
    let with = NewInode { xattrs: &[(b"system.posix_acl_access", b"acl")], ..new(InodeKind::Regular) };
    let file = fs.inode(root.create(b"file", &with).unwrap()).unwrap();
    assert_eq!(file.get_xattr(b"system.posix_acl_access").unwrap(), b"acl");
    file.set_xattr(b"user.a", b"1", XattrSet::Create, now(3)).unwrap();
    assert_eq!(file.attr().ctime, now(3));
    assert_eq!(file.set_xattr(b"user.a", b"2", XattrSet::Create, now(4)), Err(Errno::EEXIST));
    assert_eq!(file.set_xattr(b"user.b", b"2", XattrSet::Replace, now(4)), Err(Errno::ENODATA));
    for bad in [&b"user."[..], b"system.other", b"nothing"] {
        assert_eq!(file.set_xattr(bad, b"", XattrSet::Any, now(4)), Err(Errno::EOPNOTSUPP));
    }
    assert_eq!(file.remove_xattr(b"user.a", now(5)), Ok(()));
    assert_eq!(
        (file.remove_xattr(b"user.a", now(6)), file.get_xattr(b"user.a")),
        (Err(Errno::ENODATA), Err(Errno::ENODATA))
    );
    assert_eq!((file.list_xattrs().unwrap().len(), file.attr().ctime), (1, now(5)));
    file.change(&ChangeAttr { mode: Some(0o4755), atime: Some(now(9)), ..ChangeAttr::default() }).unwrap();
    assert_eq!((file.attr().mode, file.attr().atime, file.attr().mtime), (0o4755, now(9), now(2)));
    assert_eq!(mount("nonsense").err(), Some(Errno::EINVAL));
    let limits = Limits::default();
    let ramfs =
        Tmpfs::ramfs(&limits).mount(&MountOptions { data: "nonsense".into(), ..MountOptions::default() }).unwrap();
    assert_eq!((ramfs.statfs().unwrap().blocks, ramfs.inode(1).unwrap().attr().mode), (0, 0o755));
}
