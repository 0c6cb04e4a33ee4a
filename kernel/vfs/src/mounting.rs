//! `mount`, `umount`, and the table of mounts.
//!
//! Beside: `mount` (what a mount is), `remount` (changes of mounts). Below: [`FileSystem`](crate::FileSystem), [`Super`].

use crate::fs::{FileSystem, InodeKind, MountOptions};
use crate::mount::{Live, Mount, Mounts, Place, MOUNT_FLAGS};
use crate::sb::Super;
use crate::vfs::{PlacePath, Vfs};
use crate::walk::{Context, WalkFlags};
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use lkl_abi::mount::{
    MNT_DETACH, MNT_EXPIRE, MNT_FORCE, MS_BIND, MS_MGC_MSK, MS_MGC_VAL, MS_MOVE, MS_NOATIME, MS_PRIVATE, MS_RDONLY,
    MS_REC, MS_RELATIME, MS_REMOUNT, MS_SHARED, MS_SLAVE, MS_STRICTATIME, MS_SYNCHRONOUS, MS_UNBINDABLE,
    UMOUNT_NOFOLLOW,
};
use lkl_abi::{Errno, Result};
use lkl_block::BlockDevice;
use std::sync::{Arc, Weak};

/// What to mount.
pub struct MountRequest<'a> {
    /// What `/proc/mounts` shows; the path of a place for `MS_BIND` and `MS_MOVE`.
    pub source: &'a [u8],
    /// The device, for a file system that needs one.
    pub device: Option<Arc<BlockDevice>>,
    /// Where.
    pub target: Place,
    /// The type; empty to find it out.
    pub kind: &'a str,
    /// `MS_*`
    pub flags: u64,
    /// Options of the file system.
    pub data: &'a str,
}

/// A mount, for `/proc/self/mountinfo` and `/proc/mounts`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountInfo {
    /// Its number.
    pub id: u64,
    /// That of the mount which it is on; its own for the root.
    pub parent: u64,
    /// `st_dev` of its files.
    pub dev: u64,
    /// Which part of the file system it shows.
    pub root: Vec<u8>,
    /// Where it is.
    pub place: PlacePath,
    /// `MS_*` of the mount.
    pub flags: u64,
    /// Is the file system itself read-only?
    pub read_only: bool,
    /// Is every change written at once (`MS_SYNCHRONOUS`)?
    pub synchronous: bool,
    /// Type of the file system.
    pub kind: &'static str,
    /// What it was mounted from.
    pub source: Vec<u8>,
    /// Options of the file system: empty, or beginning with a comma.
    pub options: String,
}

/// A device whose file system is mounted, is being mounted, or is ending.
pub(crate) struct Device {
    device: Weak<BlockDevice>,
    live: Weak<Live>,
    ended: Arc<AtomicBool>,
}

impl Device {
    fn is(&self, device: &Arc<BlockDevice>) -> bool {
        core::ptr::eq(self.device.as_ptr(), Arc::as_ptr(device))
    }
}

/// A device that is being mounted; unless it comes to that, it is free again.
struct Claim<'a> {
    vfs: &'a Vfs,
    device: Option<Arc<BlockDevice>>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(device) = &self.device {
            self.vfs.free_device(device);
        }
    }
}

/// The flags that a mount has of its own, of those of `mount(2)`. Without any word on access times: `relatime`.
pub(crate) fn own_flags(flags: u64) -> u64 {
    let mut own = flags & MOUNT_FLAGS;
    if flags & (MS_NOATIME | MS_STRICTATIME) == 0 {
        own |= MS_RELATIME;
    }
    if flags & (MS_STRICTATIME | MS_NOATIME) != 0 {
        own &= !MS_RELATIME;
    }
    own
}

impl Vfs {
    /// `mount(2)`: a new mount, or a change of one (`MS_REMOUNT`, `MS_BIND`, `MS_MOVE`, kinds of propagation, of which all but
    /// `MS_SHARED` are the same here: no mount is seen elsewhere).
    ///
    /// # Errors
    /// As `man 2 mount` says: `EPERM` if it is not root, `EBUSY`, `EINVAL`, `ENODEV` for an unknown type, `ENOTBLK` without a device,
    /// `ENOTDIR`, `EROFS`, `ELOOP`, `ENOENT`; those of [`FileSystem::mount`].
    pub fn mount(&self, ctx: &Context<'_>, request: &MountRequest<'_>) -> Result<()> {
        let mut flags = request.flags;
        if flags & MS_MGC_MSK == MS_MGC_VAL {
            flags &= !MS_MGC_MSK;
        }
        if !ctx.cred.is_root() {
            return Err(Errno::EPERM);
        }
        let target = &request.target;
        let source = || self.walk(ctx, None, request.source, WalkFlags::FOLLOW);
        if flags & (MS_REMOUNT | MS_BIND) == MS_REMOUNT | MS_BIND {
            return self.remount_here(target, flags);
        }
        if flags & MS_REMOUNT != 0 {
            return self.remount(request, flags);
        }
        if flags & MS_BIND != 0 {
            return self.bind(&source()?, target, flags & MS_REC != 0);
        }
        if flags & (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE) != 0 {
            return self.change_propagation(target, flags);
        }
        if flags & MS_MOVE != 0 {
            return self.move_mount(&source()?, target);
        }
        let live = self.mount_file_system(request, flags)?;
        let root = live.root()?;
        let mount = Mount::new(self.new_mount_id(), live, root, own_flags(flags));
        self.attach(mount, target)
    }

    /// The type of the file system on a device.
    ///
    /// # Errors
    /// `EINVAL` if it is none that is known; `EIO`.
    pub fn probe(&self, device: &BlockDevice) -> Result<Arc<dyn FileSystem>> {
        for fs in self.file_systems().into_iter().filter(|fs| fs.needs_device()) {
            if fs.probe(device)? {
                return Ok(fs);
            }
        }
        Err(Errno::EINVAL)
    }

    /// The file system of a request, which may be mounted already.
    fn mount_file_system(&self, request: &MountRequest<'_>, flags: u64) -> Result<Arc<Live>> {
        let types = self.file_systems();
        let read_only = flags & MS_RDONLY != 0;
        let fs = if request.kind.is_empty() {
            self.probe(request.device.as_ref().ok_or(Errno::EINVAL)?)?
        } else {
            types.iter().find(|fs| fs.name() == request.kind).cloned().ok_or(Errno::ENODEV)?
        };
        if fs.is_single() {
            let mounts = self.mounts().read();
            if let Some(mount) = mounts.all().into_iter().find(|m| m.sb().fs().name() == fs.name()) {
                return Ok(mount.live().clone());
            }
        }
        let device = if fs.needs_device() { Some(request.device.clone().ok_or(Errno::ENOTBLK)?) } else { None };
        if let Some(device) = &device {
            if let Some(live) = self.claim_device(device)? {
                if live.sb().fs().name() != fs.name() || live.sb().read_only() != read_only {
                    return Err(Errno::EBUSY);
                }
                return Ok(live);
            }
        }
        let mut claim = Claim { vfs: self, device: device.clone() };
        let options =
            MountOptions { read_only, device: device.clone(), data: request.data.to_owned(), ..self.mount_options() };
        let raw = fs.mount(&options)?;
        let sb = Super::new(self.env(), &fs, raw, request.source.to_vec(), read_only);
        let live = Live::new(sb.clone(), self.cache(), device, flags & MS_SYNCHRONOUS != 0).inspect_err(|_| {
            // Its root cannot be read: that is what is told.
            let _told = sb.unmount();
        })?;
        claim.device = None;
        self.note_device(&live);
        Ok(live)
    }

    /// What is mounted from a device now.
    fn note_device(&self, live: &Arc<Live>) {
        let Some(device) = live.device() else { return };
        let mut devices = self.devices().lock();
        devices.retain(|d| !d.is(device));
        devices.push(Device {
            device: Arc::downgrade(device),
            live: Arc::downgrade(live),
            ended: live.ended().clone(),
        });
    }

    /// The devices whose file systems are mounted.
    pub fn mounted_devices(&self) -> Vec<Arc<BlockDevice>> {
        let devices = self.devices().lock();
        let mounted = devices.iter().filter(|known| !known.ended.load(SeqCst));
        mounted.filter_map(|known| known.device.upgrade()).collect()
    }

    /// What is mounted from a device. If nothing is, it is the caller's to mount now.
    ///
    /// # Errors
    /// `EBUSY` while it is being mounted or unmounted.
    fn claim_device(&self, device: &Arc<BlockDevice>) -> Result<Option<Arc<Live>>> {
        let mut devices = self.devices().lock();
        devices.retain(|d| d.device.strong_count() > 0 && !d.ended.load(SeqCst));
        if let Some(known) = devices.iter().find(|d| d.is(device)) {
            return known.live.upgrade().map(Some).ok_or(Errno::EBUSY);
        }
        let ended = Arc::new(AtomicBool::new(false));
        devices.push(Device { device: Arc::downgrade(device), live: Weak::new(), ended });
        Ok(None)
    }

    fn free_device(&self, device: &Arc<BlockDevice>) {
        self.devices().lock().retain(|d| !d.is(device));
    }

    /// Puts a new mount on a place, over what is mounted there already.
    pub(crate) fn attach(&self, mount: Arc<Mount>, target: &Place) -> Result<()> {
        let place = self.top_of(target);
        let mut mounts = self.mounts().write();
        let checked = Self::check_target(&mounts, &mount, &place);
        if checked.is_ok() {
            mounts.attach(mount.clone(), place);
            self.count_move();
        }
        drop(mounts);
        checked
    }

    /// What is seen at a place: the root of what is mounted on it last.
    pub(crate) fn top_of(&self, place: &Place) -> Place {
        let mut top = place.clone();
        while top.dentry.is_mount_point() {
            let Some(mount) = self.mounted_on(&top) else { break };
            top = Place::root_of(&mount);
        }
        top
    }

    pub(crate) fn check_target(mounts: &Mounts, mount: &Mount, place: &Place) -> Result<()> {
        let sb = place.node().sb();
        let _names = sb.names().read();
        if place.dentry.is_gone() {
            return Err(Errno::ENOENT);
        }
        let same = Arc::ptr_eq(mount.live(), place.mount.live()) && Arc::ptr_eq(mount.root(), &place.dentry);
        if same && place.is_mount_root() || mounts.on(place).is_some() {
            return Err(Errno::EBUSY);
        }
        if (mount.root().node().kind() == InodeKind::Directory) != place.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        Ok(())
    }

    /// `umount2(2)`: when this answers `Ok` for the last mount of a file system, that is clean on its medium; but with `MNT_DETACH`
    /// only if nobody uses it, else it ends with its last user. `target` is the only reference that the caller has.
    ///
    /// # Errors
    /// `EINVAL` if no mount is there, or for unknown flags; `EPERM` if it is not root; `EBUSY`; `EAGAIN` with `MNT_EXPIRE`, the first
    /// time; `EIO`, `ENOSPC`: it is gone, but something could not be written.
    pub fn umount(&self, ctx: &Context<'_>, target: Place, flags: u32) -> Result<()> {
        if flags & !(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW) != 0 {
            return Err(Errno::EINVAL);
        }
        if !ctx.cred.is_root() {
            return Err(Errno::EPERM);
        }
        if !target.is_mount_root() || target.mount.place().is_none() {
            return Err(Errno::EINVAL);
        }
        if flags & MNT_EXPIRE != 0 && flags & (MNT_FORCE | MNT_DETACH) != 0 {
            return Err(Errno::EINVAL);
        }
        let Place { dentry, mount } = target;
        drop(dentry);
        let mut mounts = self.mounts().write();
        if flags & MNT_DETACH != 0 {
            let mut tree = vec![mount];
            let mut at = 0;
            while let Some(mount) = tree.get(at) {
                let children = mounts.children(mount);
                tree.extend(children);
                at += 1;
            }
            let places: Vec<_> = tree.iter().rev().map(|m| mounts.detach(m)).collect();
            self.count_move();
            drop(mounts);
            drop(places);
            let ends = tree.into_iter().rev().map(|mount| mount.into_live().map_or(Ok(()), end));
            return ends.fold(Ok(()), Result::and);
        }
        // One is that of the table, one is ours.
        if Arc::strong_count(&mount) > 2 || !mounts.children(&mount).is_empty() {
            return Err(Errno::EBUSY);
        }
        if flags & MNT_EXPIRE != 0 && !mount.expire() {
            return Err(Errno::EAGAIN);
        }
        let place = mounts.detach(&mount);
        self.count_move();
        drop(mounts);
        let (id, flags) = (mount.id(), mount.flags());
        let Some(live) = mount.into_live().and_then(Arc::into_inner) else { return Ok(()) };
        let ended = live.end();
        if ended == Err(Errno::EBUSY) {
            self.put_back(live, id, flags, place)?;
        }
        ended
    }

    /// A file system could not end after all.
    fn put_back(&self, live: Live, id: u64, flags: u64, place: Option<Place>) -> Result<()> {
        let live = Arc::new(live);
        self.note_device(&live);
        let root = live.root()?;
        let mount = Mount::new(id, live, root, flags);
        let Some(place) = place else { return Ok(()) };
        self.attach(mount, &place)
    }

    /// The end of everything: what is mounted is unmounted; what somebody still uses becomes read-only, and clean as well.
    ///
    /// # Errors
    /// The first one; the others are ended all the same.
    pub fn unmount_all(&self) -> Result<()> {
        let mut mounts = self.mounts().write();
        let all: Vec<_> = mounts.all().into_iter().rev().cloned().collect();
        let places: Vec<_> = all.iter().map(|m| mounts.detach(m)).collect();
        drop(mounts);
        drop(places);
        let mut result = Ok(());
        for mount in all {
            let live = mount.live().clone();
            drop(mount);
            result = result.and(end(live));
        }
        for sb in self.env().supers() {
            result = result.and(self.make_read_only(&sb));
        }
        result
    }

    /// All mounts that are to be reached from `root`, in the order in which they were made.
    pub fn mount_table(&self, root: &Place) -> Vec<MountInfo> {
        let mut all = vec![self.root().mount];
        all.extend(self.mounts().read().all().into_iter().cloned());
        let info = |mount: Arc<Mount>| {
            let place = self.path_of(&Place::root_of(&mount), root);
            let sb = mount.sb();
            place.reachable.then(|| MountInfo {
                id: mount.id(),
                parent: mount.place().map_or(mount.id(), |p| p.mount.id()),
                dev: sb.dev(),
                root: path_in(&mount),
                place,
                flags: mount.flags(),
                read_only: sb.read_only(),
                synchronous: mount.live().synchronous.load(SeqCst),
                kind: sb.fs().name(),
                source: sb.source().to_vec(),
                options: sb.raw().show_options(),
            })
        };
        all.into_iter().filter_map(info).collect()
    }
}

/// Ends a file system, if this is the last that is left of it.
fn end(live: Arc<Live>) -> Result<()> {
    Arc::into_inner(live).map_or(Ok(()), |live| live.end())
}

/// The path of a mount's root in its file system.
fn path_in(mount: &Mount) -> Vec<u8> {
    let sb = mount.sb();
    let (mut names, mut at) = (Vec::new(), mount.root().clone());
    let _names = sb.names().read();
    loop {
        let link = at.link();
        let Some(parent) = link.parent else { break };
        names.push(link.name);
        at = parent;
    }
    if names.is_empty() {
        return b"/".to_vec();
    }
    names.iter().rev().flat_map(|name| [&b"/"[..], &**name].concat()).collect()
}
