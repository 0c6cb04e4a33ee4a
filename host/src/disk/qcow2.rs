//! qcow2 images, through the crate `imago`, which reads and writes them on a [`HostFile`].
//!
//! Backing files and external data files are opened where the image says, with the same care: they must be regular files or block
//! devices; backing files are only read. What the crate keeps in memory reaches the file with a flush; if the program is killed before,
//! that is as if a disk had lost its write cache, and some clusters of the file may be lost until `qemu-img check -r leaks`.

use super::file::HostFile;
use super::{ImageError, ImageOptions};
use imago::format::gate::ImplicitOpenGate;
use imago::io_buffers::{IoVector, IoVectorMut};
use imago::qcow2::Qcow2;
use imago::storage::drivers::CommonStorageHelper;
use imago::storage::PreallocateMode;
use imago::{FormatAccess, FormatDriverBuilder, Storage, StorageOpenOptions};
use lkl_abi::{Errno, Result};
use lkl_ops::disk::check_range;
use lkl_ops::Disk;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// How far past the end of a file a read may go: the longest cluster. Such bytes are zeroes.
const PAST_END_MAX: u64 = 2 << 20;

/// A file in the terms of the crate.
#[derive(Debug)]
struct ImageStorage {
    file: HostFile,
    helper: CommonStorageHelper,
}

impl ImageStorage {
    fn new(file: HostFile) -> Self {
        Self { file, helper: CommonStorageHelper::default() }
    }
}

fn host(e: Errno) -> io::Error {
    io::Error::from_raw_os_error(e.0)
}

impl fmt::Display for ImageStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.path().display())
    }
}

impl Storage for ImageStorage {
    fn size(&self) -> io::Result<u64> {
        self.file.size().map_err(host)
    }

    fn resolve_relative_path<P: AsRef<Path>>(&self, relative: P) -> io::Result<PathBuf> {
        let directory = self.file.path().parent().unwrap_or(Path::new(""));
        std::path::absolute(directory.join(relative))
    }

    fn get_filename(&self) -> Option<PathBuf> {
        Some(self.file.path().to_owned())
    }

    unsafe fn pure_readv(&self, bufv: IoVectorMut<'_>, offset: u64) -> io::Result<()> {
        if offset.saturating_add(bufv.len()) > self.size()?.saturating_add(PAST_END_MAX) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = offset;
        for mut piece in bufv.into_inner() {
            let n = self.file.read(&mut piece, at).map_err(host)?;
            piece.get_mut(n..).unwrap_or_default().fill(0);
            at += piece.len() as u64;
        }
        Ok(())
    }

    unsafe fn pure_writev(&self, bufv: IoVector<'_>, offset: u64) -> io::Result<()> {
        self.file.write(&mut bufv.into_inner(), offset).map_err(host)
    }

    unsafe fn pure_write_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        let end = offset.checked_add(length).ok_or(io::ErrorKind::InvalidInput)?;
        let size = self.size()?;
        if end > size {
            self.file.set_size(end).map_err(host)?;
        }
        match self.file.discard(offset, length.min(size.saturating_sub(offset))) {
            Err(Errno::EOPNOTSUPP) => zeroes(&self.file, offset, length),
            other => other.map_err(host),
        }
    }

    unsafe fn pure_discard(&self, offset: u64, length: u64) -> io::Result<()> {
        match self.file.discard(offset, length) {
            Err(Errno::EOPNOTSUPP) => Ok(()),
            other => other.map_err(host),
        }
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync().map_err(host)
    }

    unsafe fn invalidate_cache(&self) -> io::Result<()> {
        Ok(())
    }

    fn get_storage_helper(&self) -> &CommonStorageHelper {
        &self.helper
    }

    fn resize(&self, new_size: u64, mode: PreallocateMode) -> io::Result<()> {
        match mode {
            PreallocateMode::None | PreallocateMode::Zero => self.file.set_size(new_size).map_err(host),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

fn zeroes(file: &HostFile, offset: u64, length: u64) -> io::Result<()> {
    let zeroes = [0; 65536];
    let mut done = 0;
    while done < length {
        let n = usize::try_from(length - done).unwrap_or(zeroes.len()).min(zeroes.len());
        let mut piece = [io::IoSlice::new(zeroes.get(..n).unwrap_or_default())];
        file.write(&mut piece, offset + done).map_err(host)?;
        done += n as u64;
    }
    Ok(())
}

/// Opens what an image names.
#[derive(Clone, Copy)]
struct Gate {
    read_only: bool,
    privatise: fn(RawFd) -> RawFd,
    /// Files that may still follow: a chain that loops ends.
    depth: u32,
}

impl ImplicitOpenGate<ImageStorage> for Gate {
    fn open_format<F: FormatDriverBuilder<ImageStorage>>(
        &mut self,
        builder: F,
    ) -> io::Result<FormatAccess<ImageStorage>> {
        Ok(FormatAccess::new(builder.open(Self { read_only: true, ..*self })?))
    }

    fn open_storage(&mut self, options: StorageOpenOptions) -> io::Result<ImageStorage> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| io::Error::other("too many images behind each other"))?;
        let path = options.get_filename().ok_or_else(|| io::Error::other("an image without a name"))?;
        let read_only = self.read_only || !options.get_writable();
        tracing::info!(target: "lkl::block", "{}: opened as part of an image", path.display());
        HostFile::open(path, read_only, self.privatise).map(ImageStorage::new).map_err(|e| host(e.errno))
    }
}

/// Are there reference counts for all of the file? Where they are missing the crate would look for room to make them without an end.
fn has_refcounts(file: &HostFile) -> Result<bool> {
    let mut header = [0; 104];
    file.read(&mut header, 0)?;
    let be32 = |at: usize| header.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
    let be64 = |at: usize| u64::from(be32(at)) << 32 | u64::from(be32(at + 4));
    let (version, cluster_bits, table, table_clusters) = (be32(4), be32(20), be64(48), be32(56));
    let refcount_order = if version < 3 { 4 } else { be32(96) };
    if !(9..=21).contains(&cluster_bits) || refcount_order > 6 {
        // The crate says what is wrong with it.
        return Ok(true);
    }
    // A block of counts is a cluster long.
    let covered_bits = cluster_bits + cluster_bits + 3 - refcount_order;
    let needed = file.size()?.div_ceil(1 << covered_bits);
    if needed == 0 || needed > u64::from(table_clusters) << (cluster_bits - 3) {
        return Ok(false);
    }
    let mut at = table;
    let mut left = needed * 8;
    let mut piece = vec![0; 65536];
    while left > 0 {
        let n = usize::try_from(left).unwrap_or(piece.len()).min(piece.len());
        let Some(entries) = piece.get_mut(..n) else { return Ok(false) };
        if file.read(entries, at)? < n || entries.chunks(8).any(|entry| entry.iter().all(|b| *b == 0)) {
            return Ok(false);
        }
        at = at.saturating_add(n as u64);
        left -= n as u64;
    }
    Ok(true)
}

/// A qcow2 image as a disk.
pub(super) struct Qcow2Image {
    /// A discard needs it for itself: others may be about to use a cluster that becomes free.
    access: RwLock<FormatAccess<ImageStorage>>,
    size: u64,
    sector_size: u32,
    read_only: bool,
}

impl Qcow2Image {
    pub(super) fn open(file: HostFile, options: &ImageOptions) -> std::result::Result<Self, ImageError> {
        let (path, read_only) = (file.path().to_owned(), file.read_only());
        if !read_only && !has_refcounts(&file).map_err(|e| file.error(e))? {
            let problem = "qcow2: reference counts are missing; qemu-img check -r all repairs that".to_owned();
            return Err(ImageError { path, errno: Errno::EUCLEAN, problem });
        }
        let gate = Gate { read_only, privatise: options.privatise, depth: 200 };
        let opened = guarded(|| {
            let image = Qcow2::<ImageStorage>::builder(ImageStorage::new(file)).write(!read_only).open(gate)?;
            Ok(FormatAccess::new(image))
        });
        let access = opened.map_err(|e| {
            let errno = e.raw_os_error().map_or(Errno::EINVAL, Errno);
            ImageError { path, errno, problem: format!("qcow2: {e}") }
        })?;
        let size = access.size();
        Ok(Self { access: RwLock::new(access), size, sector_size: options.sector_size.unwrap_or(512), read_only })
    }

    fn shared<T>(&self, call: impl FnOnce(&FormatAccess<ImageStorage>) -> io::Result<T>) -> Result<T> {
        let access = self.access.read().unwrap_or_else(PoisonError::into_inner);
        guarded(|| call(&access)).map_err(medium)
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<()> {
        if self.read_only {
            return Err(Errno::EROFS);
        }
        check_range(self.size, offset, len)
    }
}

/// Calls the crate. If it panics, which must be a damaged image, that is an error.
fn guarded<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(io::Error::other("the image is damaged")))
}

fn medium(e: io::Error) -> Errno {
    if e.raw_os_error() == Some(Errno::ENOSPC.0) {
        return Errno::ENOSPC;
    }
    tracing::error!(target: "lkl::block", "qcow2: {e}");
    Errno::EIO
}

impl Disk for Qcow2Image {
    fn size(&self) -> u64 {
        self.size
    }

    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        check_range(self.size, offset, buf.len() as u64)?;
        self.shared(|access| access.read(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.check_write(offset, buf.len() as u64)?;
        self.shared(|access| access.write(buf, offset))
    }

    fn write_pieces_at(&self, pieces: &[&[u8]], offset: u64) -> Result<()> {
        self.check_write(offset, pieces.iter().fold(0, |n, p| n + p.len() as u64))?;
        let mut vector = IoVector::with_capacity(pieces.len());
        pieces.iter().for_each(|piece| vector.push(piece));
        self.shared(|access| access.writev(vector, offset))
    }

    fn flush(&self) -> Result<()> {
        if self.read_only {
            return Ok(());
        }
        self.shared(|access| access.flush().and_then(|()| access.sync()))
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        self.check_write(offset, len)?;
        let mut access = self.access.write().unwrap_or_else(PoisonError::into_inner);
        match guarded(|| access.discard_to_zero(offset, len)) {
            // Version 2 knows no clusters of zeroes.
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Err(Errno::EOPNOTSUPP),
            other => other.map_err(medium),
        }
    }
}
