//! A file system in memory that holds the VFS to its part of the contract, and fails when it is told to.

use lkl_abi::{Errno, Result};
use lkl_ops::sim::World;
use lkl_sync::{Mutex, Rank};
use lkl_vfs::{
    Attr, ChangeAttr, Env, FileSystem, Inode, InodeKind, Limits, MountOptions, Range, Seek, StatFs, Super, SuperBlock,
    Timestamp,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::Arc;

pub(crate) const PAGE: u64 = 4096;

/// What the files share, and what tests change and look at.
pub(crate) struct Shared {
    /// Pages that are free, neither used nor promised.
    pub(crate) free: AtomicI64,
    pub(crate) fail_reads: AtomicBool,
    pub(crate) fail_writes: AtomicBool,
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) changes: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) syncs: AtomicU64,
    files: Mutex<HashMap<u64, State>>,
}

#[derive(Clone)]
struct State {
    attr: Attr,
    pages: BTreeMap<u64, Arc<[u8]>>,
    promised: BTreeSet<u64>,
}

pub(crate) struct FakeType;
pub(crate) struct Fake(pub(crate) Arc<Shared>);
pub(crate) struct FakeInode {
    ino: u64,
    shared: Arc<Shared>,
}

pub(crate) fn shared(free: i64) -> Arc<Shared> {
    Arc::new(Shared {
        free: AtomicI64::new(free),
        fail_reads: AtomicBool::new(false),
        fail_writes: AtomicBool::new(false),
        reads: AtomicU64::new(0),
        writes: AtomicU64::new(0),
        changes: AtomicU64::new(0),
        evicted: AtomicU64::new(0),
        syncs: AtomicU64::new(0),
        files: Mutex::new(Rank::FsInode, HashMap::new()),
    })
}

/// A world, and its VFS with that much memory, which is served there.
pub(crate) fn env(memory: u64) -> (World, Arc<Env>) {
    let world = World::new(1);
    let host = world.host();
    let env = Env::new(host.clone(), Limits { memory, ..Limits::default() });
    let (weak, clock) = (Arc::downgrade(&env), world.clone());
    host.serve(move || weak.upgrade()?.service(clock.now()));
    (world, env)
}

/// One that is mounted, with `free` pages.
pub(crate) fn mount(env: &Arc<Env>, shared: &Arc<Shared>) -> Arc<Super> {
    let fs: Arc<dyn FileSystem> = Arc::new(FakeType);
    Super::new(env, &fs, Arc::new(Fake(shared.clone())), b"fake".to_vec(), false)
}

impl Shared {
    /// Makes an empty file.
    pub(crate) fn add(&self, ino: u64) {
        let t = Timestamp { secs: 1, nanos: 0 };
        let attr = Attr {
            ino,
            kind: InodeKind::Regular,
            mode: 0o644,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: (0, 0),
            size: 0,
            blocks: 0,
            blksize: 4096,
            atime: t,
            mtime: t,
            ctime: t,
            btime: None,
            attributes: 0,
        };
        self.files.lock().insert(ino, State { attr, pages: BTreeMap::new(), promised: BTreeSet::new() });
    }

    pub(crate) fn set_nlink(&self, ino: u64, nlink: u32) {
        self.files.lock().get_mut(&ino).unwrap().attr.nlink = nlink;
    }

    /// The content as the medium has it.
    pub(crate) fn content(&self, ino: u64) -> Vec<u8> {
        let files = self.files.lock();
        let state = &files[&ino];
        let mut all = vec![0; state.attr.size.next_multiple_of(PAGE) as usize];
        for (page, content) in &state.pages {
            if let Some(room) = all.get_mut((page * PAGE) as usize..((page + 1) * PAGE) as usize) {
                room.copy_from_slice(content);
            }
        }
        all.truncate(state.attr.size as usize);
        all
    }

    pub(crate) fn promised(&self, ino: u64) -> usize {
        self.files.lock()[&ino].promised.len()
    }

    fn take(&self, pages: i64) -> Result<()> {
        let left = self.free.fetch_sub(pages, Ordering::SeqCst) - pages;
        if left < 0 {
            self.free.fetch_add(pages, Ordering::SeqCst);
            return Err(Errno::ENOSPC);
        }
        Ok(())
    }

    fn give(&self, pages: usize) {
        self.free.fetch_add(pages as i64, Ordering::SeqCst);
    }
}

impl State {
    fn remove_pages(&mut self, shared: &Shared, from: u64, to: u64) {
        let gone: Vec<u64> = self.pages.range(from..to.max(from)).map(|p| *p.0).collect();
        self.pages.retain(|p, _| !gone.contains(p));
        let promised: Vec<u64> = self.promised.range(from..to.max(from)).copied().collect();
        self.promised.retain(|p| !promised.contains(p));
        shared.give(gone.len() + promised.len());
    }

    fn touch(&mut self, now: Timestamp) {
        (self.attr.mtime, self.attr.ctime) = (now, now);
    }
}

impl FileSystem for FakeType {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn needs_device(&self) -> bool {
        false
    }

    fn mount(&self, _options: &MountOptions) -> Result<Arc<dyn SuperBlock>> {
        Err(Errno::EINVAL)
    }
}

impl SuperBlock for Fake {
    fn root(&self) -> u64 {
        1
    }

    fn inode(&self, ino: u64) -> Result<Arc<dyn Inode>> {
        if !self.0.files.lock().contains_key(&ino) {
            return Err(Errno::ESTALE);
        }
        Ok(Arc::new(FakeInode { ino, shared: self.0.clone() }))
    }

    fn statfs(&self) -> Result<StatFs> {
        Ok(StatFs { size_max: 1 << 40, ..StatFs::default() })
    }

    fn sync(&self) -> Result<()> {
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn remount(&self, _options: &MountOptions) -> Result<()> {
        Ok(())
    }

    fn unmount(&self) -> Result<()> {
        Ok(())
    }
}

impl FakeInode {
    fn state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(self.shared.files.lock().get_mut(&self.ino).unwrap())
    }
}

impl Inode for FakeInode {
    fn attr(&self) -> Attr {
        self.state(|s| Attr { blocks: (s.pages.len() + s.promised.len()) as u64 * 8, ..s.attr })
    }

    fn change(&self, change: &ChangeAttr) -> Result<()> {
        self.shared.changes.fetch_add(1, Ordering::SeqCst);
        self.state(|s| {
            s.attr.mode = change.mode.unwrap_or(s.attr.mode);
            s.attr.atime = change.atime.unwrap_or(s.attr.atime);
            s.attr.mtime = change.mtime.unwrap_or(s.attr.mtime);
            s.attr.ctime = change.ctime.unwrap_or(s.attr.ctime);
        });
        Ok(())
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        assert!(offset % PAGE == 0 && buf.len() % PAGE as usize == 0 && !buf.is_empty() && buf.len() <= 1 << 20);
        self.shared.reads.fetch_add(1, Ordering::SeqCst);
        if self.shared.fail_reads.load(Ordering::SeqCst) {
            return Err(Errno::EIO);
        }
        self.state(|s| {
            for (page, room) in (offset / PAGE..).zip(buf.chunks_mut(PAGE as usize)) {
                match s.pages.get(&page) {
                    Some(content) => room.copy_from_slice(content),
                    None => room.fill(0),
                }
            }
        });
        Ok(())
    }

    fn reserve(&self, offset: u64, len: u64) -> Result<()> {
        assert!(offset % PAGE == 0 && len % PAGE == 0 && len > 0);
        self.state(|s| {
            let new: Vec<u64> = (offset / PAGE..(offset + len) / PAGE)
                .filter(|p| !s.pages.contains_key(p) && !s.promised.contains(p))
                .collect();
            self.shared.take(new.len() as i64)?;
            s.promised.extend(new);
            Ok(())
        })
    }

    fn write(&self, offset: u64, pieces: &[&[u8]], size: u64) -> Result<()> {
        let all = pieces.concat();
        assert!(offset % PAGE == 0 && !all.is_empty() && all.len() <= 1 << 20);
        assert!(pieces.iter().all(|p| !p.is_empty() && p.len() % PAGE as usize == 0), "pieces are whole pages");
        assert!(offset < size && offset + all.len() as u64 <= size.next_multiple_of(PAGE), "no page past the end");
        self.shared.writes.fetch_add(1, Ordering::SeqCst);
        if self.shared.fail_writes.load(Ordering::SeqCst) {
            return Err(Errno::EIO);
        }
        self.state(|s| {
            for (page, content) in (offset / PAGE..).zip(all.chunks(PAGE as usize)) {
                assert!(s.promised.remove(&page) || s.pages.contains_key(&page), "page {page} was not promised");
                if page == size / PAGE {
                    assert!(content[(size % PAGE) as usize..].iter().all(|b| *b == 0), "zeroes past the end");
                }
                s.pages.insert(page, content.into());
            }
            s.attr.size = s.attr.size.max(size.min(offset + all.len() as u64));
        });
        Ok(())
    }

    fn truncate(&self, size: u64, now: Timestamp) -> Result<()> {
        self.state(|s| {
            s.remove_pages(&self.shared, size.div_ceil(PAGE), u64::MAX);
            s.attr.size = size;
            s.touch(now);
        });
        Ok(())
    }

    fn fallocate(&self, range: Range, offset: u64, len: u64, now: Timestamp) -> Result<()> {
        let end = offset + len;
        self.state(|s| {
            let size = s.attr.size;
            match range {
                Range::Allocate { .. } => {
                    let new: Vec<u64> =
                        (offset / PAGE..end.div_ceil(PAGE)).filter(|p| !s.pages.contains_key(p)).collect();
                    self.shared.take(new.len() as i64)?;
                    new.into_iter().for_each(|p| drop(s.pages.insert(p, Arc::new([0; PAGE as usize]))));
                }
                // Only whole pages: the others are the VFS's business.
                Range::PunchHole | Range::Zero { .. } => {
                    let to = if end >= size { u64::MAX } else { end / PAGE };
                    s.remove_pages(&self.shared, offset.div_ceil(PAGE), to);
                }
                Range::Collapse | Range::Insert if offset % PAGE != 0 || len % PAGE != 0 => return Err(Errno::EINVAL),
                Range::Collapse => {
                    s.remove_pages(&self.shared, offset / PAGE, end / PAGE);
                    let rest = s.pages.split_off(&(end / PAGE));
                    s.pages.extend(rest.into_iter().map(|(p, c)| (p - len / PAGE, c)));
                }
                Range::Insert => {
                    let rest = s.pages.split_off(&(offset / PAGE));
                    s.pages.extend(rest.into_iter().map(|(p, c)| (p + len / PAGE, c)));
                }
            }
            s.attr.size = match range {
                Range::Allocate { keep_size: false } | Range::Zero { keep_size: false } => size.max(end),
                Range::Collapse => size - len,
                Range::Insert => size + len,
                _ => size,
            };
            s.touch(now);
            Ok(())
        })
    }

    fn seek(&self, what: Seek, offset: u64, size: u64) -> Result<u64> {
        self.state(|s| {
            let (from, end) = (offset / PAGE, size.div_ceil(PAGE));
            let found = match what {
                Seek::Data => s.pages.range(from..end).next().map(|p| *p.0),
                Seek::Hole => (from..end).find(|p| !s.pages.contains_key(p)),
            };
            match (found, what) {
                (Some(page), _) => Ok(offset.max(page * PAGE).min(size)),
                (None, Seek::Hole) => Ok(size),
                (None, Seek::Data) => Err(Errno::ENXIO),
            }
        })
    }

    fn fsync(&self, _data_only: bool) -> Result<()> {
        self.shared.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn evict(&self) -> Result<()> {
        self.shared.evicted.fetch_add(1, Ordering::SeqCst);
        let mut gone = self.shared.files.lock().remove(&self.ino).unwrap();
        gone.remove_pages(&self.shared, 0, u64::MAX);
        Ok(())
    }
}
