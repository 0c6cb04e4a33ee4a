//! What programs of other kinds need: listings in pieces, another root, links that say no path, files that are made when looked at.

use crate::cases::{flags, read, Program};
use lkl_abi::openat2::{RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS};
use lkl_abi::{Errno, Result};
use lkl_pseudo::{link, text, Directory, Entry, Kind, PseudoFs, Table};
use lkl_vfs::{Caller, InodeKind, Link, OpenHow, Opened, VfsFile, WalkFlags};
use std::sync::{Arc, Mutex};

fn list(dir: &VfsFile, from: u64, most: usize) -> (Vec<String>, u64) {
    let (mut names, mut next) = (Vec::new(), from);
    dir.readdir(from, &mut |e| {
        if names.len() == most {
            return false;
        }
        names.push(String::from_utf8_lossy(e.name).into_owned());
        next = e.next;
        true
    })
    .unwrap();
    (names, next)
}

#[test]
fn a_listing_in_pieces_tells_each_name_once() {
    let mut p = Program::new();
    p.run("mkdir d 755").unwrap();
    for n in 0..50 {
        p.run(&format!("put d/f{n} x")).unwrap();
    }
    let dir = p.open("d", flags("rdonly|directory"), 0).unwrap();
    assert_eq!(list(&dir, 0, 1), (vec![".".to_owned()], 1));
    assert_eq!(list(&dir, 1, 1), (vec!["..".to_owned()], 2));
    let (mut all, mut pos) = (Vec::new(), 2);
    loop {
        let (names, next) = list(&dir, pos, 7);
        if names.is_empty() {
            break;
        }
        // What has been told goes, and others come.
        p.run(&format!("unlink d/{}", names[0])).unwrap();
        p.run(&format!("mkdir d/new{pos} 755")).unwrap();
        all.extend(names.into_iter().filter(|n| n.starts_with('f')));
        pos = next;
    }
    all.sort();
    let mut expected: Vec<_> = (0..50).map(|n| format!("f{n}")).collect();
    expected.sort();
    assert_eq!(all, expected);
}

#[test]
fn a_tree_deeper_than_a_path_is_long() {
    let mut p = Program::new();
    for _ in 0..20_000 {
        p.run("mkdir d 755").unwrap();
        p.run("cd d").unwrap();
    }
    assert_eq!(p.vfs.path_of(&p.cwd, &p.root).path.len(), 40_000);
    assert_eq!(p.run("rename /d e"), Err(Errno::EINVAL));
    for _ in 0..10_000 {
        p.run("cd ..").unwrap();
    }
    assert_eq!(p.vfs.path_of(&p.cwd, &p.root).path.len(), 20_000);
    p.run("cd /").unwrap();
    p.vfs.drop_caches();
    assert_eq!(p.vfs.cached_names(), 0);
}

#[test]
fn another_root_is_not_left() {
    let mut p = Program::new();
    for line in ["mkdir j 755", "mkdir j/d 755", "put j/f in", "put f out", "symlink /f j/l", "symlink ../../f j/up"] {
        p.run(line).unwrap();
    }
    let outside = p.cwd.clone();
    p.run("cd j/d").unwrap();
    p.root = p.walk("/j", true).unwrap();
    for path in ["/f", "../f", "../../../f", "/l", "/up", "/../f", "/d/../../f"] {
        assert_eq!(p.run(&format!("cat {path}")).unwrap(), "in", "{path}");
    }
    assert_eq!(p.run("cwd").unwrap(), "/d");
    assert_eq!(p.run("rmdir /"), Err(Errno::EBUSY));
    p.cwd = outside;
    assert_eq!(p.run("cat f").unwrap(), "out");
    let path = p.vfs.path_of(&p.cwd, &p.root);
    assert!(!path.reachable && !path.deleted);
    assert!(p.vfs.mount_table(&p.root).is_empty());
}

/// Links to places and to paths, text, and a directory that changes.
struct Changing(Arc<Mutex<Vec<String>>>);

impl Directory for Changing {
    fn get(&self, name: &[u8]) -> Option<Entry> {
        let names = self.0.lock().unwrap();
        let at = names.iter().position(|n| n.as_bytes() == name)?;
        // Of the same name, but another file each time.
        let content = format!("{at} of {}", names.len());
        Some(text(move || Ok(content.clone().into_bytes())))
    }

    fn list(&self) -> Vec<(Vec<u8>, InodeKind)> {
        self.0.lock().unwrap().iter().map(|n| (n.clone().into_bytes(), InodeKind::Regular)).collect()
    }
}

fn magic(place: lkl_vfs::Place) -> Entry {
    let place = Arc::new(place);
    let follow = move |_: &Caller| -> Result<Link> { Ok(Link::Magic(place.clone())) };
    Entry::new(Kind::Link(Arc::new(follow)), 0o777)
}

#[test]
fn links_that_say_no_path() {
    let mut p = Program::new();
    p.run("mkdir proc 755").unwrap();
    p.run("mkdir d 755").unwrap();
    p.run("put d/f hello").unwrap();
    p.run("put d/gone bye").unwrap();
    let gone = p.walk("d/gone", true).unwrap();
    let by_caller = |caller: &Caller| Ok(Link::Path(format!("{}", caller.pid).into_bytes()));
    let table = Table::new()
        .with("gone", magic(gone))
        .with("dir", magic(p.walk("d", true).unwrap()))
        .with("self", Entry::new(Kind::Link(Arc::new(by_caller)), 0o777))
        .with("0", link("/d"));
    p.vfs.register(PseudoFs::new("proc", 0x9fa0, Arc::new(table)));
    p.run("mount proc proc 0").unwrap();
    p.run("unlink d/gone").unwrap();
    assert_eq!(p.run("cat proc/gone").unwrap(), "bye");
    assert_eq!(p.run("cat proc/dir/f").unwrap(), "hello");
    assert_eq!(p.run("cat proc/self/f").unwrap(), "hello");
    assert_eq!(p.run("ls proc/dir/").unwrap(), ". .. f");
    assert_eq!(p.run("cat proc/gone/"), Err(Errno::ENOTDIR));
    assert_eq!(p.run("stat proc/gone/x"), Err(Errno::ENOTDIR));
    assert_eq!(p.run("stat proc/dir/.."), p.run("stat /"));
    p.run("open proc/gone wronly|creat 644").unwrap();
    assert_eq!(p.run("open proc/gone wronly|creat|excl 644"), Err(Errno::EEXIST));
    assert_eq!(p.run("open proc/gone rdonly|nofollow"), Err(Errno::ELOOP));
    p.run("open proc/gone path|nofollow").unwrap();
    assert_eq!(p.run("open proc/dir rdonly|creat 644"), Err(Errno::EISDIR));
    p.run("put proc/dir/new x").unwrap();
    assert_eq!(p.run("put proc/new x"), Err(Errno::EPERM));
    for (resolve, error) in [(RESOLVE_NO_MAGICLINKS, Errno::ELOOP), (RESOLVE_BENEATH, Errno::EXDEV)] {
        let how = OpenHow { resolve, ..OpenHow::default() };
        assert_eq!(p.vfs.open(&p.ctx(), None, b"proc/dir/f", &how).map(drop), Err(error));
    }
    let how = OpenHow { resolve: RESOLVE_NO_MAGICLINKS, ..OpenHow::default() };
    p.vfs.open(&p.ctx(), None, b"proc/self/f", &how).unwrap();
}

#[test]
fn names_that_come_and_go_by_themselves() {
    let names = Arc::new(Mutex::new(vec!["a".to_owned()]));
    let mut p = Program::new();
    p.vfs.register(PseudoFs::new("proc", 0x9fa0, Arc::new(Changing(names.clone()))));
    p.run("mkdir proc 755").unwrap();
    p.run("mount proc proc 0").unwrap();
    let content = |p: &Program, path: &str| {
        let how = OpenHow::default();
        match p.vfs.open(&p.ctx(), None, path.as_bytes(), &how)? {
            Opened::Made { file, content } => {
                assert!(read(&file, 8).is_ok());
                let mem = crate::cases::Mem(Mutex::new(vec![0; 64]));
                let iov = [lkl_file::Iov { base: 0, len: 64 }];
                let n = content.read(&mut lkl_file::IovWriter::new(&mem, &iov), Some(0))?;
                let bytes = mem.0.into_inner().unwrap();
                Ok(String::from_utf8_lossy(&bytes[..n]).into_owned())
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(content(&p, "proc/a"), Ok("0 of 1".to_owned()));
    assert_eq!(content(&p, "proc/b"), Err(Errno::ENOENT));
    names.lock().unwrap().insert(0, "b".to_owned());
    assert_eq!(content(&p, "proc/b"), Ok("0 of 2".to_owned()));
    assert_eq!(content(&p, "proc/a"), Ok("1 of 2".to_owned()));
    assert_eq!(p.run("ls proc").unwrap(), ". .. a b");
    let a = p.walk("proc/a", true).unwrap();
    names.lock().unwrap().clear();
    assert_eq!(content(&p, "proc/a"), Err(Errno::ENOENT));
    assert_eq!(p.vfs.walk(&p.ctx(), Some(&a), b"", WalkFlags::EMPTY_PATH).unwrap(), a);
    assert_eq!(p.run("umount proc 0"), Err(Errno::EBUSY));
    drop(a);
    p.run("umount proc 0").unwrap();
}
