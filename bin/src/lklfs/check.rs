//! `check`: every name, attribute and byte is read.

use super::{say, Done, CHUNK, TOOL};
use crate::cli::DEPTH_MAX;
use crate::progress::Progress;
use lkl::{Dir, Error, FileType};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

/// What was found.
struct Check {
    progress: Progress,
    buffer: Vec<u8>,
    directories: HashSet<u64>,
    /// Files with several names: how many there should be, and how many there are.
    links: HashMap<u64, (u32, u32)>,
    bytes: u64,
    errors: u64,
}

/// Answers whether all of it is sound.
pub(super) fn run(out: &mut impl Write, root: &Dir, path: &Path) -> Done<bool> {
    let mut check = Check {
        progress: Progress::new(false),
        buffer: vec![0; CHUNK],
        directories: HashSet::new(),
        links: HashMap::new(),
        bytes: 0,
        errors: 0,
    };
    check.file(root, path.as_os_str(), 0);
    // Only of the whole can it be said that a name is missing.
    if path == Path::new("/") {
        let mut wrong: Vec<_> = check.links.iter().filter(|(_, (told, found))| told != found).collect();
        wrong.sort_unstable();
        for (ino, (told, found)) in wrong {
            say(TOOL, format_args!("inode {ino}: {told} links, but {found} names"));
            check.errors += 1;
        }
    }
    let (files, directories) = (check.progress.files(), check.directories.len());
    let (bytes, errors) = (check.bytes, check.errors);
    drop(check);
    writeln!(out, "{files} files, {directories} of them directories, {bytes} bytes, {errors} errors")?;
    Ok(errors == 0)
}

impl Check {
    fn bad(&mut self, e: &Error) {
        self.errors += 1;
        self.progress.say(&format!("{TOOL}: {e}"));
    }

    fn file(&mut self, dir: &Dir, name: &OsStr, depth: usize) {
        self.progress.file();
        if let Err(e) = self.try_file(dir, name, depth) {
            self.bad(&e);
        }
    }

    fn try_file(&mut self, dir: &Dir, name: &OsStr, depth: usize) -> Result<(), Error> {
        let meta = dir.lstat(name)?;
        let damaged = |detail: &str| Error {
            errno: lkl::Errno::EUCLEAN,
            path: dir.path().join(name),
            detail: Some(detail.into()),
        };
        for attr in dir.list_xattrs(name)? {
            dir.get_xattr(name, attr)?;
        }
        if !meta.is_dir() && meta.nlink > 1 {
            let (_, found) = self.links.entry(meta.ino).or_insert((meta.nlink, 0));
            *found += 1;
            if *found > 1 {
                return Ok(());
            }
        }
        match meta.file_type() {
            Some(FileType::Directory) => {
                if !self.directories.insert(meta.ino) {
                    return Err(damaged("a directory that comes twice"));
                }
                if depth >= DEPTH_MAX {
                    return Err(damaged("too deep to be looked at"));
                }
                let dir = dir.open_dir_nofollow(name)?;
                for entry in dir.read_dir()? {
                    let entry = entry?;
                    self.file(&dir, &entry.name, depth + 1);
                }
                Ok(())
            }
            Some(FileType::Symlink) => dir.read_link(name).map(drop),
            Some(FileType::Regular) => self.content(dir, name),
            Some(_) => Ok(()),
            None => Err(damaged("a file of no type")),
        }
    }

    fn content(&mut self, dir: &Dir, name: &OsStr) -> Result<(), Error> {
        let file = dir.open(name)?;
        let mut at = 0;
        // Holes cannot be damaged.
        while let Some(from) = file.seek_data(at)? {
            let to = file.seek_hole(from)?.unwrap_or(from);
            at = from;
            while at < to {
                let want = usize::try_from(to - at).unwrap_or(CHUNK).min(CHUNK);
                let n = file.read_full_at(self.buffer.get_mut(..want).unwrap_or_default(), at)?;
                if n == 0 {
                    return Ok(());
                }
                at += n as u64;
                self.bytes += n as u64;
                self.progress.bytes(n as u64);
            }
            if to <= from {
                break;
            }
        }
        Ok(())
    }
}
