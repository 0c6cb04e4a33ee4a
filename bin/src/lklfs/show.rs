//! What `ls`, `stat` and `df` print.

use super::{letter, names, say, shown, Done, Stop, TOOL};
use lkl::{Dir, FileType, Metadata, Timestamp};
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

/// How a list looks.
pub(super) struct List {
    pub(super) long: bool,
    pub(super) recursive: bool,
    /// Each directory's list begins with its name.
    pub(super) titles: bool,
    /// Something could not be listed, and was told.
    pub(super) failed: bool,
}

impl List {
    pub(super) fn show(&mut self, out: &mut impl Write, root: &Dir, path: &Path) -> Done<()> {
        let meta = root.lstat(path)?;
        let is_dir = meta.is_dir() || (!self.long && root.stat(path).is_ok_and(|m| m.is_dir()));
        if !is_dir {
            return self.line(out, root, path.as_os_str(), &meta);
        }
        self.directory(out, &root.open_dir(path)?, 0)
    }

    fn directory(&mut self, out: &mut impl Write, dir: &Dir, depth: usize) -> Done<()> {
        if self.titles {
            out.write_all(&[&shown(dir.path().as_os_str())[..], b":\n"].concat())?;
        }
        let mut below = Vec::new();
        for name in names(dir)? {
            let shown = dir.lstat(&name).map_err(Stop::from).and_then(|meta| {
                self.line(out, dir, &name, &meta)?;
                Ok(meta.is_dir())
            });
            if self.told(shown)? == Some(true) {
                below.push(name);
            }
        }
        if !self.recursive || depth >= crate::cli::DEPTH_MAX {
            return Ok(());
        }
        for name in below {
            out.write_all(b"\n")?;
            let shown =
                dir.open_dir_nofollow(&name).map_err(Stop::from).and_then(|d| self.directory(out, &d, depth + 1));
            self.told(shown)?;
        }
        Ok(())
    }

    /// Tells what is wrong with one file; the others are listed.
    fn told<T>(&mut self, shown: Done<T>) -> Done<Option<T>> {
        match shown {
            Ok(value) => Ok(Some(value)),
            Err(Stop::File(e)) => {
                say(TOOL, e);
                self.failed = true;
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    fn line(&self, out: &mut impl Write, dir: &Dir, name: &OsStr, meta: &Metadata) -> Done<()> {
        if self.long {
            let size = match meta.file_type() {
                Some(FileType::CharDevice | FileType::BlockDevice) => format!("{},{}", meta.rdev.0, meta.rdev.1),
                _ => meta.size.to_string(),
            };
            let (mode, nlink, uid, gid) = (mode(meta), meta.nlink, meta.uid, meta.gid);
            write!(out, "{mode} {nlink:>3} {uid:>5} {gid:>5} {size:>10} {} ", date(meta.mtime))?;
        }
        out.write_all(&shown(name))?;
        if self.long && meta.file_type() == Some(FileType::Symlink) {
            let target = dir.read_link(name)?;
            out.write_all(&[b" -> ", &shown(target.as_os_str())[..]].concat())?;
        }
        Ok(out.write_all(b"\n")?)
    }
}

/// `-rwsr-xr-t`
fn mode(meta: &Metadata) -> String {
    let mut text = String::from(letter(meta.file_type()));
    for (shift, special, c) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = meta.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, meta.mode & special != 0) {
            (true, true) => c,
            (false, true) => c.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// A time by the calendar, in UTC; beyond the year 9999 in seconds.
fn date(time: Timestamp) -> String {
    let nanos = i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
    let date = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok().and_then(|date| date.format(&Rfc3339).ok());
    date.unwrap_or_else(|| format!("@{}", time.secs))
}

pub(super) fn stat(out: &mut impl Write, root: &Dir, path: &Path) -> Done<()> {
    let meta = root.lstat(path)?;
    out.write_all(&[b"  File: ", &shown(path.as_os_str())[..]].concat())?;
    if meta.file_type() == Some(FileType::Symlink) {
        out.write_all(&[b" -> ", &shown(root.read_link(path)?.as_os_str())[..]].concat())?;
    }
    writeln!(out, "\n  Size: {}  Blocks: {} of 512  Preferred: {}", meta.size, meta.blocks, meta.blksize)?;
    writeln!(out, " Inode: {}  Links: {}", meta.ino, meta.nlink)?;
    if matches!(meta.file_type(), Some(FileType::CharDevice | FileType::BlockDevice)) {
        writeln!(out, "Device: {},{}", meta.rdev.0, meta.rdev.1)?;
    }
    writeln!(out, "  Mode: {:04o} {}  Uid: {}  Gid: {}", meta.mode & 0o7777, mode(&meta), meta.uid, meta.gid)?;
    writeln!(out, "Access: {}\nModify: {}\nChange: {}", date(meta.atime), date(meta.mtime), date(meta.ctime))?;
    if let Some(btime) = meta.btime {
        writeln!(out, " Birth: {}", date(btime))?;
    }
    for name in root.list_xattrs(path)? {
        let value = root.get_xattr(path, &name)?;
        out.write_all(
            &[b"  Attr: ", &shown(&name)[..], b"=", value.escape_ascii().to_string().as_bytes(), b"\n"].concat(),
        )?;
    }
    Ok(())
}

pub(super) fn df(out: &mut impl Write, root: &Dir) -> Done<()> {
    let fs = root.statfs()?;
    let kib = |blocks: u64| blocks.saturating_mul(fs.block_size) / 1024;
    let used = fs.blocks.saturating_sub(fs.blocks_free);
    // As df counts: what is kept for root is neither used nor free.
    let percent = match used + fs.blocks_available {
        0 => 0,
        all => used.saturating_mul(100).div_ceil(all),
    };
    writeln!(out, "{:>12} {:>12} {:>12} {:>5}  {:>10} {:>10}", "KiB", "used", "available", "use", "files", "free")?;
    let (blocks, used, free) = (kib(fs.blocks), kib(used), kib(fs.blocks_available));
    Ok(writeln!(out, "{blocks:>12} {used:>12} {free:>12} {percent:>4}%  {:>10} {:>10}", fs.files, fs.files_free)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_modes() {
        let time = |secs, nanos| Timestamp { secs, nanos };
        assert_eq!(date(time(0, 0)), "1970-01-01T00:00:00Z");
        assert_eq!(date(time(-1, 999_000_000)), "1969-12-31T23:59:59.999Z");
        assert_eq!(date(time(i64::MAX, 0)), format!("@{}", i64::MAX));
        let fs = lkl::Kernel::builder().boot().unwrap().mount("none", "tmpfs", 0, "").unwrap();
        for (made, shown) in [
            (0o104755, "-rwsr-xr-x"),
            (0o102644, "-rw-r-Sr--"),
            (0o101777, "-rwxrwxrwt"),
            (0o010600, "prw-------"),
            (0o140000, "s---------"),
        ] {
            fs.mknod("file", made, (0, 0)).unwrap();
            assert_eq!(mode(&fs.lstat("file").unwrap()), shown);
            fs.unlink("file").unwrap();
        }
    }
}
