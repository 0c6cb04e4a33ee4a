//! Directories, as `opendir` of libc has them: over `getdents64`.

use super::instance;
use super::{status, text};
use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;
use lkl_abi::fcntl::{AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_RDONLY, SEEK_SET};
use lkl_abi::{nr, Errno};

/// Room for entries: one with the longest name needs 280 bytes.
const ROOM: usize = 4096;
/// Where an entry says how long it is (`struct linux_dirent64`).
const RECLEN: usize = 16;

/// `struct lkl_dir`. It lies in memory of the host's `mem_alloc`.
#[repr(C, align(8))]
pub struct Dir {
    entries: [u8; ROOM],
    fd: c_int,
    /// Bytes that were read, and where the next entry is.
    len: usize,
    at: usize,
    err: c_int,
    free: Option<unsafe extern "C" fn(*mut c_void)>,
}

fn call(number: usize, args: [u64; 6]) -> Result<u64, Errno> {
    instance::syscall(number, args)
}

fn close(fd: c_int) -> Result<u64, Errno> {
    call(nr::CLOSE, [fd as u64, 0, 0, 0, 0, 0])
}

/// A directory of a descriptor.
fn of(fd: c_int) -> Result<*mut Dir, Errno> {
    let instance = instance::current()?;
    let ops = instance.ops.get();
    let alloc = ops.mem_alloc.ok_or(Errno::ENOMEM)?;
    // SAFETY: as the header asks for.
    let dir = unsafe { alloc(size_of::<Dir>() as u64) }.cast::<Dir>();
    if dir.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: it has the size of one, and what `malloc` gives is aligned for all that has numbers in it.
    unsafe { dir.write(Dir { entries: [0; ROOM], fd, len: 0, at: 0, err: 0, free: ops.mem_free }) };
    Ok(dir)
}

unsafe fn give(result: Result<*mut Dir, Errno>, err: *mut c_int) -> *mut Dir {
    let (dir, errno) = match result {
        Ok(dir) => (dir, 0),
        Err(e) => (null_mut(), -e.0),
    };
    // SAFETY: the caller gives null or an `int`.
    if let Some(err) = unsafe { err.as_mut() } {
        *err = errno;
    }
    dir
}

/// Opens a directory.
///
/// # Safety
/// `path` is a C string or null, `err` null or an `int` to write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_opendir(path: *const c_char, err: *mut c_int) -> *mut Dir {
    let open = || {
        instance::current()?;
        // SAFETY: as the caller promises.
        unsafe { text::bytes(path) }?;
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
        let fd = call(nr::OPENAT, [AT_FDCWD as u64, path as u64, flags.into(), 0, 0, 0])? as c_int;
        of(fd).inspect_err(|_| {
            let _closed = close(fd);
        })
    };
    // SAFETY: as the caller promises.
    unsafe { give(open(), err) }
}

/// Makes a directory of a descriptor.
///
/// # Safety
/// `err` is null or an `int` to write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_fdopendir(fd: c_int, err: *mut c_int) -> *mut Dir {
    let flags = call(nr::FCNTL, [fd as u64, lkl_abi::fcntl::F_GETFD.into(), 0, 0, 0, 0]);
    // SAFETY: as the caller promises.
    unsafe { give(flags.and_then(|_| of(fd)), err) }
}

/// Begins anew.
///
/// # Safety
/// `dir` is null or an open directory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_rewinddir(dir: *mut Dir) {
    // SAFETY: as the caller promises.
    let Some(dir) = (unsafe { dir.as_mut() }) else { return };
    (dir.len, dir.at) = (0, 0);
    dir.err = status(call(nr::LSEEK, [dir.fd as u64, 0, SEEK_SET.into(), 0, 0, 0]).map(|_| 0));
}

/// The next entry.
///
/// # Safety
/// `dir` is null or an open directory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_readdir(dir: *mut Dir) -> *mut c_void {
    // SAFETY: as the caller promises.
    let Some(dir) = (unsafe { dir.as_mut() }) else { return null_mut() };
    if dir.at >= dir.len {
        dir.at = 0;
        let room = dir.entries.as_mut_ptr() as u64;
        let read = call(nr::GETDENTS64, [dir.fd as u64, room, ROOM as u64, 0, 0, 0]);
        dir.err = status(read.map(|_| 0));
        dir.len = read.map_or(0, |n| n as usize);
        if dir.len == 0 {
            return null_mut();
        }
    }
    let Some(entry) = dir.entries.get_mut(dir.at..dir.len) else { return null_mut() };
    let len = match *entry {
        [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, a, b, ..] => usize::from(u16::from_ne_bytes([a, b])),
        _ => 0,
    };
    // One that takes no room would be the last for ever.
    if len <= RECLEN {
        dir.at = dir.len;
        return null_mut();
    }
    dir.at += len;
    entry.as_mut_ptr().cast()
}

/// The error of the last [`lkl_readdir`], or 0.
///
/// # Safety
/// `dir` is null or an open directory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_errdir(dir: *const Dir) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { dir.as_ref() }.map_or(-Errno::EINVAL.0, |dir| dir.err)
}

/// Its descriptor.
///
/// # Safety
/// `dir` is null or an open directory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_dirfd(dir: *const Dir) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { dir.as_ref() }.map_or(-Errno::EINVAL.0, |dir| dir.fd)
}

/// Closes it.
///
/// # Safety
/// `dir` is null or an open directory, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_closedir(dir: *mut Dir) -> c_int {
    // SAFETY: as the caller promises.
    let Some((fd, free)) = unsafe { dir.as_ref() }.map(|dir| (dir.fd, dir.free)) else { return -Errno::EINVAL.0 };
    if let Some(free) = free {
        // SAFETY: it is of the `mem_alloc` beside it.
        unsafe { free(dir.cast()) };
    }
    status(close(fd))
}
