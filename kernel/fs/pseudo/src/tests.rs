use crate::{dir, link, setting, text, Devices, PseudoFs, Table};
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use core::time::Duration;
use lkl_abi::fs::{BLKDISCARD, BLKGETSIZE64, BLKSSZGET};
use lkl_abi::{Errno, Result};
use lkl_file::{File, Iov, IovReader, IovWriter};
use lkl_ops::sim::MemDisk;
use lkl_ops::{Host, Instant, UserMem};
use lkl_vfs::{ChangeAttr, FileSystem, InodeKind, MountOptions, SuperBlock};
use std::sync::{Arc, Mutex};

struct Mem(Mutex<Vec<u8>>);

impl UserMem for Mem {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<()> {
        let at = addr as usize;
        buf.copy_from_slice(self.0.lock().unwrap().get(at..at + buf.len()).ok_or(Errno::EFAULT)?);
        Ok(())
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<()> {
        let at = addr as usize;
        self.0.lock().unwrap().get_mut(at..at + data.len()).ok_or(Errno::EFAULT)?.copy_from_slice(data);
        Ok(())
    }
}

struct Still;

impl Host for Still {
    fn now(&self) -> Instant {
        Instant::from_nanos(0)
    }

    fn realtime(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self, buf: &mut [u8]) {
        buf.fill(9);
    }

    fn rearm(&self, _: Instant) {}

    fn kick(&self) {}
}

fn read(file: &dyn File, at: u64, len: usize) -> Result<Vec<u8>> {
    let mem = Mem(Mutex::new(vec![0; len]));
    let n = file.read(&mut IovWriter::new(&mem, &[Iov { base: 0, len: len as u64 }]), Some(at))?;
    Ok(mem.0.into_inner().unwrap()[..n].to_vec())
}

fn write(file: &dyn File, at: u64, data: &[u8]) -> Result<usize> {
    let mem = Mem(Mutex::new(data.to_vec()));
    file.write(&mut IovReader::new(&mem, &[Iov { base: 0, len: data.len() as u64 }]), Some(at))
}

fn walk(sb: &dyn SuperBlock, path: &str) -> Result<Arc<dyn lkl_vfs::Inode>> {
    path.split('/').filter(|p| !p.is_empty()).try_fold(sb.inode(sb.root())?, |at, name| {
        let ino = at.lookup(name.as_bytes())?;
        sb.inode(ino)
    })
}

#[test]
fn a_tree_is_looked_at() {
    let value = Arc::new(AtomicU32::new(1));
    let (show, store) = (value.clone(), value.clone());
    let inner = Table::new().with(
        "value",
        setting(
            move || Ok(format!("{}\n", show.load(SeqCst)).into_bytes()),
            move |v| v.parse().map(|v| store.store(v, SeqCst)).map_err(|_| Errno::EINVAL),
        ),
    );
    let root = Table::new()
        .with("hello", text(|| Ok(b"hello\n".to_vec())))
        .with("inner", dir(inner))
        .with("to", link("inner/value"));
    let fs = PseudoFs::new("test", 0x1234, Arc::new(root));
    let sb = fs.mount(&MountOptions::default()).unwrap();
    assert_eq!(sb.statfs().unwrap().magic, 0x1234);
    assert_eq!(walk(&*sb, "to").unwrap().read_link().unwrap(), b"inner/value");
    let hello = walk(&*sb, "hello").unwrap().open(false).unwrap().unwrap();
    assert_eq!(read(&*hello, 2, 10).unwrap(), b"llo\n");
    assert_eq!(write(&*hello, 0, b"x"), Err(Errno::EIO));
    let inode = walk(&*sb, "inner/value").unwrap();
    let file = inode.open(true).unwrap().unwrap();
    assert_eq!(read(&*file, 0, 10).unwrap(), b"1\n");
    assert_eq!((write(&*file, 0, b"20\n"), write(&*file, 0, b"no")), (Ok(3), Err(Errno::EINVAL)));
    assert_eq!((read(&*file, 1, 9).unwrap(), read(&*file, 0, 9).unwrap()), (b"\n".to_vec(), b"20\n".to_vec()));
    assert_eq!(walk(&*sb, "inner/none").err(), Some(Errno::ENOENT));
    assert_eq!(walk(&*sb, "hello/none").err(), Some(Errno::ENOTDIR));
    assert_eq!(inode.change(&ChangeAttr { mode: Some(0), ..ChangeAttr::default() }), Err(Errno::EPERM));

    // A listing goes on where it stopped, and gives the numbers that look-ups give.
    let root = walk(&*sb, "").unwrap();
    let (mut names, mut cookie) = (Vec::new(), 0);
    loop {
        let before = names.len();
        root.readdir(cookie, &mut |e| {
            if names.len() > before {
                return false;
            }
            names.push(String::from_utf8(e.name.to_vec()).unwrap());
            assert_eq!(root.lookup(e.name), Ok(e.ino));
            cookie = e.next;
            true
        })
        .unwrap();
        if names.len() == before {
            break;
        }
    }
    assert_eq!(names, ["hello", "inner", "to"]);
}

#[test]
fn devices_are_what_their_numbers_say() {
    let devices = Devices::new(Arc::new(Still));
    let open = |rdev| devices.open(InodeKind::CharDevice, rdev, true);
    let null = open((1, 3)).unwrap();
    assert_eq!((read(&*null, 0, 4).unwrap(), write(&*null, 0, b"abc")), (vec![], Ok(3)));
    assert_eq!(read(&*open((1, 5)).unwrap(), 0, 5000).unwrap(), vec![0; 5000]);
    let full = open((1, 7)).unwrap();
    assert_eq!((read(&*full, 0, 2).unwrap(), write(&*full, 0, b"a")), (vec![0; 2], Err(Errno::ENOSPC)));
    assert_eq!(read(&*open((1, 9)).unwrap(), 0, 3).unwrap(), [9; 3]);
    assert_eq!((open((5, 0)).err(), open((77, 0)).err()), (Some(Errno::ENXIO), Some(Errno::ENXIO)));
}

#[test]
fn disks_come_and_go() {
    let devices = Devices::new(Arc::new(Still));
    let disk = devices.add_disk(Arc::new(MemDisk::new(vec![5; 1 << 20])), "vda").unwrap();
    assert_eq!(disk.partitions.len(), 0);
    let again = |name| devices.add_disk(Arc::new(MemDisk::new(vec![0; 4096])), name).err();
    assert_eq!(
        (again("vda"), again("null"), again("a/b")),
        (Some(Errno::EEXIST), Some(Errno::EEXIST), Some(Errno::EINVAL))
    );
    let root = PseudoFs::new("devtmpfs", 1, devices.clone()).mount(&MountOptions::default()).unwrap();
    let attr = walk(&*root, "vda").unwrap().attr();
    assert_eq!((attr.kind, attr.rdev, attr.mode), (InodeKind::BlockDevice, (254, 0), 0o660));
    let file = devices.open(attr.kind, attr.rdev, true).unwrap();
    assert_eq!(write(&*file, 1000, b"abc"), Ok(3));
    assert_eq!(read(&*file, 999, 5).unwrap(), b"\x05abc\x05");
    let size = 1 << 20;
    assert_eq!((write(&*file, size - 1, b"abc"), write(&*file, size, b"a")), (Ok(1), Err(Errno::ENOSPC)));
    assert_eq!((read(&*file, size - 1, 9).unwrap(), read(&*file, size, 9).unwrap()), (b"a".to_vec(), vec![]));
    let mem = Mem(Mutex::new([[0; 8], 4096u64.to_ne_bytes(), [0; 8]].concat()));
    assert_eq!((file.ioctl(&mem, BLKDISCARD, 0), file.ioctl(&mem, BLKGETSIZE64, 16)), (Ok(0), Ok(0)));
    assert_eq!(mem.0.lock().unwrap()[16..], size.to_ne_bytes());
    assert_eq!((file.ioctl(&mem, BLKSSZGET, 16), file.ioctl(&mem, 1, 0)), (Ok(0), Err(Errno::ENOTTY)));
    assert_eq!(read(&*file, 999, 4).unwrap(), [0; 4]);
    devices.remove_disk("vda").unwrap();
    assert_eq!((devices.remove_disk("vda"), walk(&*root, "vda").err()), (Err(Errno::ENODEV), Some(Errno::ENOENT)));
    let locked = devices.add_disk(Arc::new(MemDisk::new(vec![0; 4096]).write_protected()), "vdb").unwrap();
    let rdev = locked.devices().next().unwrap().0;
    assert_eq!(devices.open(InodeKind::BlockDevice, rdev, true).err(), Some(Errno::EACCES));
}
