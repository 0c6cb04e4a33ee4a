//! The tables of mounts (`/proc/PID/mounts` and `/proc/PID/mountinfo`, to which `/proc/mounts` and `/etc/mtab` lead) as programs see
//! them: the host's, and then the images', so that `df`, `findmnt` and their like know what is mounted at an image's place.
//!
//! Such a table is a copy, in a memory file of the host's: it says what was so when it was opened, and `poll` tells of no change.

use super::{close, errno, open, place};
use crate::door;
use crate::mem;
use crate::sys::{self, host, Args};
use crate::xlate::{MAJOR_OURS, MOUNT_OURS};
use core::mem::MaybeUninit;
use lkl_abi::{nr, Errno};

/// `PROC_SUPER_MAGIC`
const PROC: i64 = 0x9fa0;

/// The two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Mounts,
    MountInfo,
}

impl Table {
    /// Where a line says at which path the mount is.
    fn path(self) -> usize {
        match self {
            Self::Mounts => 1,
            Self::MountInfo => 4,
        }
    }
}

/// Can a call of this number, with these arguments, open such a table? Told by the last part of the path.
pub(super) fn may_open(number: i64, a: &Args) -> bool {
    let path = match number {
        _ if !place::any() => return false,
        libc::SYS_open => a[0],
        libc::SYS_openat | libc::SYS_openat2 => a[1],
        _ => return false,
    };
    let mut buf = [0u8; 4096];
    let Ok(n) = mem::c_str(path, &mut buf) else { return false };
    let last = buf[..n].rsplit(|b| *b == b'/').next();
    matches!(last, Some(b"mounts" | b"mountinfo" | b"mtab"))
}

/// Opens a file of the host's; if it is a table of mounts, a copy with the images in it is opened instead.
///
/// # Safety
/// As [`super::dispatch`].
pub(super) unsafe fn open_table(number: i64, a: &Args) -> isize {
    // SAFETY: the program's own call.
    let fd = unsafe { sys::raw(number as usize, a) };
    if fd < 0 {
        return fd;
    }
    let fd = fd as i32;
    let Some(text) = table_at(fd).and_then(|(table, ours)| Some(joined(table, &read_all_host(fd)?, &ours))) else {
        return fd as isize;
    };
    match replace(fd, &text) {
        Ok(()) => fd as isize,
        Err(e) => {
            sys::close(fd);
            errno(e)
        }
    }
}

/// Which table is open at a descriptor of the host's, and what the kernel's own one says for the same process. `None` if it is none, is
/// not open to be read, or is that of a process which is none of the kernel's.
fn table_at(fd: i32) -> Option<(Table, Vec<u8>)> {
    let mut st = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: room for the result.
    unsafe { host!(libc::SYS_fstatfs, fd, st.as_mut_ptr()) }.ok()?;
    // SAFETY: a structure of numbers, all of which were set.
    if unsafe { st.assume_init() }.f_type != PROC {
        return None;
    }
    // SAFETY: no pointers.
    let flags = unsafe { host!(libc::SYS_fcntl, fd, libc::F_GETFL) }.ok()? as i32;
    if flags & libc::O_PATH != 0 {
        return None;
    }
    let path = place::path_of_host(fd)?;
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').skip(1).collect();
    let (who, name) = match parts.as_slice() {
        [_, who, name] | [_, who, b"task", _, name] => (*who, *name),
        _ => return None,
    };
    let table = match name {
        b"mounts" => Table::Mounts,
        b"mountinfo" => Table::MountInfo,
        _ => return None,
    };
    let own = sys::getpid().to_string();
    let who = if who == own.as_bytes() { b"self" } else { who };
    let ours = open(&[b"/proc/", who, b"/", name, b"\0"].concat(), libc::O_RDONLY);
    if ours < 0 {
        return None;
    }
    let text = read_all(|to| {
        sys::check(door::call(nr::READ, [ours as u64, to.as_mut_ptr() as u64, to.len() as u64, 0, 0, 0]))
    });
    close(ours);
    Some((table, text?))
}

fn read_all_host(fd: i32) -> Option<Vec<u8>> {
    // SAFETY: room of this size.
    read_all(|to| unsafe { host!(libc::SYS_read, fd, to.as_mut_ptr(), to.len()) })
}

fn read_all(mut read: impl FnMut(&mut [u8]) -> Result<u64, Errno>) -> Option<Vec<u8>> {
    let (mut all, mut buf) = (Vec::new(), vec![0u8; 1 << 14]);
    loop {
        match read(&mut buf).ok()? as usize {
            0 => return Some(all),
            n => all.extend_from_slice(buf.get(..n)?),
        }
    }
}

/// A file with this text, only to be read, takes the place of what is open at a descriptor.
fn replace(fd: i32, text: &[u8]) -> Result<(), Errno> {
    // SAFETY: no pointers.
    let get = |command: i32| unsafe { host!(libc::SYS_fcntl, fd, command) }.map(|n| n as i32);
    let cloexec = if get(libc::F_GETFD)? & libc::FD_CLOEXEC != 0 { libc::O_CLOEXEC } else { 0 };
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | get(libc::F_GETFL)? & libc::O_NONBLOCK;
    // SAFETY: a C string.
    let file = unsafe { host!(libc::SYS_memfd_create, c"mounts".as_ptr(), libc::MFD_CLOEXEC) }? as i32;
    let mut left = text;
    while !left.is_empty() {
        // SAFETY: readable memory of this size.
        match unsafe { host!(libc::SYS_write, file, left.as_ptr(), left.len()) } {
            Ok(n) => left = left.get(n as usize..).unwrap_or_default(),
            Err(e) => {
                sys::close(file);
                return Err(e);
            }
        }
    }
    let link = format!("/proc/self/fd/{file}\0");
    // SAFETY: a C string.
    let only_read = unsafe { host!(libc::SYS_openat, libc::AT_FDCWD, link.as_ptr(), flags) };
    sys::close(file);
    let only_read = only_read? as i32;
    // SAFETY: no pointers.
    let done = unsafe { host!(libc::SYS_dup3, only_read, fd, cloexec) };
    sys::close(only_read);
    done.map(|_| ())
}

/// The host's table, and those lines of the kernel's that are of images: with numbers that are no other's, and each on the mount that it is on.
fn joined(table: Table, host: &[u8], ours: &[u8]) -> Vec<u8> {
    let mut all = host.to_vec();
    let lines = ours.split(|b| *b == b'\n').map(fields);
    let images: Vec<_> =
        lines.filter(|line| line.get(table.path()).is_some_and(|p| place::is_on_disk(&plain(p)))).collect();
    for line in &images {
        let mut line: Vec<Vec<u8>> = line.iter().map(|field| field.to_vec()).collect();
        if table == Table::MountInfo {
            let ids: Vec<&[u8]> = images.iter().map(|line| line[0]).collect();
            number(&mut line, &ids, host);
        }
        all.extend(line.join(&b' '));
        all.push(b'\n');
    }
    all
}

fn fields(line: &[u8]) -> Vec<&[u8]> {
    line.split(|b| *b == b' ').collect()
}

/// Puts in a line of `mountinfo` the numbers that programs are to see. `ids`: those of all lines that are shown.
fn number(line: &mut [Vec<u8>], ids: &[&[u8]], host: &[u8]) {
    let value = |text: &[u8]| core::str::from_utf8(text).ok().and_then(|t| t.parse::<u64>().ok());
    let shown = |id: &[u8]| value(id).map_or(0, |id| u64::from(MOUNT_OURS) | id).to_string().into_bytes();
    let [id, parent, dev, _, path, ..] = line else { return };
    *parent = if ids.contains(&parent.as_slice()) && parent != id {
        shown(parent)
    } else {
        covering(host, &plain(path)).unwrap_or_else(|| parent.clone())
    };
    *id = shown(id);
    let mut numbers = dev.split(|b| *b == b':').map(value);
    if let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) {
        *dev = format!("{}:{minor}", major | u64::from(MAJOR_OURS)).into_bytes();
    }
}

/// The number of the host's mount that a path is on, by `mountinfo`: that with the longest path of those above, and the last one made there.
fn covering(host: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let above = |mount: &[u8]| {
        mount == b"/" || path.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let lines = host.split(|b| *b == b'\n').map(fields);
    let mounts = lines.filter_map(|line| Some((plain(line.get(4)?), line[0].to_vec())));
    mounts.filter(|(mount, _)| above(mount)).max_by_key(|(mount, _)| mount.len()).map(|(_, id)| id)
}

/// A field as it was before bytes of it were written as octal numbers.
fn plain(field: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), field);
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let octal = after.get(..3).filter(|_| first == b'\\').and_then(|digits| core::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => out.push(first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_as_they_were() {
        assert_eq!(plain(b"/mnt/a\\040b\\134"), b"/mnt/a b\\");
        assert_eq!(plain(b"/a\\9\\04"), b"/a\\9\\04");
    }

    #[test]
    fn numbers_of_a_mount() {
        let host = b"20 1 254:0 / / rw - ext4 /dev/vda rw\n21 20 0:5 / /mnt rw - tmpfs t rw\n22 20 0:6 / /mn rw - tmpfs t rw\n23 21 0:7 / /mnt rw - tmpfs t rw\n";
        let shown = |line: &str, ids: &[&[u8]]| {
            let mut line: Vec<Vec<u8>> = fields(line.as_bytes()).iter().map(|f| f.to_vec()).collect();
            number(&mut line, ids, host);
            String::from_utf8(line.join(&b' ')).unwrap()
        };
        // On the upper one of two mounts of the host's at one path; on `/`; on another image.
        assert_eq!(shown("9 1 254:0 / /mnt/img rw", &[b"9"]), "1073741833 23 2302:0 / /mnt/img rw");
        assert_eq!(shown("9 1 0:3 / /data rw", &[b"9"]), "1073741833 20 2048:3 / /data rw");
        assert_eq!(shown("10 9 0:3 / /data/x rw", &[b"9", b"10"]), "1073741834 1073741833 2048:3 / /data/x rw");
    }
}
