//! One file as the archive has it: its extended header (pax) and its header.

use super::{Stop, SELINUX};
use lkl::{Dir, Error, FileType, Metadata, Timestamp};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tar::{EntryType, Header};

const ACL_ACCESS: &str = "system.posix_acl_access";
const ACL_DEFAULT: &str = "system.posix_acl_default";
/// What fits into a header: the name, a number of 7 octal digits, a size or time of 11.
const NAME_MAX: usize = 100;
const ID_MAX: u32 = 0o7_777_777;
const SIZE_MAX: u64 = 0o77_777_777_777;
/// Bytes of a block of an archive.
const BLOCK: u64 = 512;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// A file that goes into the archive.
pub(super) struct Entry {
    /// Its name there: `./` and the path.
    pub(super) path: OsString,
    pub(super) meta: Metadata,
    xattrs: Vec<(OsString, Vec<u8>)>,
    /// The target of a symbolic link, or the file that a hard link is another name of.
    link: Option<OsString>,
    hard: bool,
    sparse: bool,
}

impl Entry {
    /// All that is known of a file.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`
    pub(super) fn read(dir: &Dir, name: &OsStr, path: &OsStr) -> Result<Self, Error> {
        let meta = dir.lstat(name)?;
        let link = match meta.file_type() {
            Some(FileType::Symlink) => Some(dir.read_link(name)?.into_os_string()),
            _ => None,
        };
        let names = match dir.list_xattrs(name) {
            Err(e) if e.errno == lkl::Errno::EOPNOTSUPP => Vec::new(),
            names => names?,
        };
        let xattrs = names.into_iter().map(|attr| dir.get_xattr(name, &attr).map(|value| (attr, value)));
        let xattrs = xattrs.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { path: path.to_owned(), meta, xattrs, link, hard: false, sparse: false })
    }

    /// The value of an extended attribute.
    pub(super) fn xattr(&self, name: &str) -> Option<&[u8]> {
        self.xattrs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
    }

    /// It is another name of the file at `first`.
    pub(super) fn hard_link(&mut self, first: OsString) {
        self.link = Some(first);
        self.hard = true;
    }

    /// It has holes: its content is `len` bytes of map and data, which is answered.
    pub(super) fn sparse(&mut self, len: u64) -> u64 {
        self.sparse = true;
        len
    }

    fn kind(&self) -> EntryType {
        if self.hard {
            return EntryType::Link;
        }
        match self.meta.file_type() {
            Some(FileType::Directory) => EntryType::Directory,
            Some(FileType::Symlink) => EntryType::Symlink,
            Some(FileType::CharDevice) => EntryType::Char,
            Some(FileType::BlockDevice) => EntryType::Block,
            Some(FileType::Fifo) => EntryType::Fifo,
            _ => EntryType::Regular,
        }
    }

    /// Adds it to the archive, with `size` bytes of content.
    pub(super) fn append(&self, out: &mut impl Sink, mut content: impl Read, size: u64) -> Result<(), Stop> {
        let mut path = self.path.as_bytes().to_owned();
        if self.meta.is_dir() {
            path.push(b'/');
        }
        // The name that programs see which do not know of holes.
        let stored = match self.sparse {
            true => sparse_name(&self.path),
            false => path.clone(),
        };
        let out = out.sink();
        let records = self.records(&path, &stored, size);
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(records.len() as u64);
            put_name(&mut header, &[b"./PaxHeaders/", base_name(&self.path)].concat());
            write_block(out, &mut header)?;
            out.write_all(&records)?;
            pad(out, records.len() as u64)?;
        }
        let meta = &self.meta;
        let mut header = Header::new_ustar();
        header.set_entry_type(self.kind());
        header.set_mode(meta.mode & 0o7777);
        header.set_uid(meta.uid.min(ID_MAX).into());
        header.set_gid(meta.gid.min(ID_MAX).into());
        header.set_mtime(u64::try_from(meta.mtime.secs).unwrap_or(0).min(SIZE_MAX));
        header.set_size(size.min(SIZE_MAX));
        if matches!(self.kind(), EntryType::Char | EntryType::Block) {
            header.set_device_major(meta.rdev.0)?;
            header.set_device_minor(meta.rdev.1)?;
        }
        put_name(&mut header, &stored);
        if let (Some(link), Some(ustar)) = (&self.link, header.as_ustar_mut()) {
            put(&mut ustar.linkname, link.as_bytes());
        }
        write_block(out, &mut header)?;
        let mut buffer = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK))];
        let mut left = size;
        while left > 0 {
            match content.read(&mut buffer)? {
                0 => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
                n => {
                    out.write_all(buffer.get(..n).unwrap_or_default())?;
                    left = left.saturating_sub(n as u64);
                }
            }
        }
        Ok(pad(out, size)?)
    }

    /// The extended header: what the header has no room for.
    fn records(&self, path: &[u8], stored: &[u8], size: u64) -> Vec<u8> {
        let mut records = Records::default();
        let meta = &self.meta;
        let link = self.link.as_deref().map(OsStr::as_bytes).unwrap_or_default();
        let long = |text: &[u8]| text.len() > NAME_MAX;
        let is_text = |bytes: &[u8]| core::str::from_utf8(bytes).is_ok();
        let in_record = self.sparse || long(stored);
        if (in_record && !is_text(path)) || (long(link) && !is_text(link)) {
            records.add("hdrcharset", b"BINARY");
        }
        if self.sparse {
            records.add("GNU.sparse.major", b"1");
            records.add("GNU.sparse.minor", b"0");
            records.add("GNU.sparse.name", path);
            records.add("GNU.sparse.realsize", meta.size.to_string().as_bytes());
        }
        if long(stored) {
            records.add("path", stored);
        }
        if long(link) {
            records.add("linkpath", link);
        }
        if size > SIZE_MAX {
            records.add("size", size.to_string().as_bytes());
        }
        for (key, id) in [("uid", meta.uid), ("gid", meta.gid)] {
            if id > ID_MAX {
                records.add(key, id.to_string().as_bytes());
            }
        }
        if meta.mtime.nanos != 0 || !u64::try_from(meta.mtime.secs).is_ok_and(|secs| secs <= SIZE_MAX) {
            records.add("mtime", decimal(meta.mtime).as_bytes());
        }
        records.add("atime", decimal(meta.atime).as_bytes());
        if !self.hard {
            self.attributes(&mut records);
        }
        records.0
    }

    fn attributes(&self, records: &mut Records) {
        for (name, value) in &self.xattrs {
            let acl = |key: &str| acl_text(value).map(|text| (key.as_bytes().to_owned(), text.into_bytes()));
            let known = match name.to_str() {
                Some(ACL_ACCESS) => acl("SCHILY.acl.access"),
                Some(ACL_DEFAULT) => acl("SCHILY.acl.default"),
                Some(SELINUX) => {
                    let label = value.strip_suffix(&[0]).unwrap_or(value);
                    Some((b"RHT.security.selinux".to_vec(), label.to_owned()))
                }
                _ => None,
            };
            let (key, value) = known.unwrap_or_else(|| {
                let mut key = b"SCHILY.xattr.".to_vec();
                // The sign ends the name of a record.
                for b in name.as_bytes() {
                    match b {
                        b'=' => key.extend(b"%3D"),
                        b'%' => key.extend(b"%25"),
                        b => key.push(*b),
                    }
                }
                (key, value.clone())
            });
            records.add(&key, &value);
        }
    }
}

/// Where blocks go.
pub(super) trait Sink {
    type Out: Write;
    fn sink(&mut self) -> &mut Self::Out;
}

impl<W: Write> Sink for tar::Builder<W> {
    type Out = W;

    fn sink(&mut self) -> &mut W {
        self.get_mut()
    }
}

fn base_name(path: &OsStr) -> &[u8] {
    Path::new(path).file_name().map_or(b".", OsStr::as_bytes)
}

/// `dir/GNUSparseFile.0/name`
fn sparse_name(path: &OsStr) -> Vec<u8> {
    let name = base_name(path);
    let dir = path.as_bytes().len() - name.len();
    [path.as_bytes().get(..dir).unwrap_or_default(), b"GNUSparseFile.0/", name].concat()
}

fn put(field: &mut [u8], bytes: &[u8]) {
    for (to, from) in field.iter_mut().zip(bytes) {
        *to = *from;
    }
}

fn put_name(header: &mut Header, name: &[u8]) {
    if let Some(ustar) = header.as_ustar_mut() {
        put(&mut ustar.name, name);
    }
}

fn write_block(out: &mut impl Write, header: &mut Header) -> std::io::Result<()> {
    header.set_cksum();
    out.write_all(header.as_bytes())
}

fn pad(out: &mut impl Write, len: u64) -> std::io::Result<()> {
    let rest = (BLOCK - len % BLOCK) % BLOCK;
    out.write_all([0; BLOCK as usize].get(..rest as usize).unwrap_or_default())
}

/// The records of an extended header: length, key, value.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    fn add(&mut self, key: impl AsRef<[u8]>, value: &[u8]) {
        let key = key.as_ref();
        // Space, equals sign, end of line.
        let rest = key.len() + value.len() + 3;
        // The length counts its own digits.
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len += 1;
        }
        self.0.extend(format!("{len} ").into_bytes());
        self.0.extend(key);
        self.0.push(b'=');
        self.0.extend(value);
        self.0.push(b'\n');
    }
}

/// Seconds with nine digits behind the point.
fn decimal(time: Timestamp) -> String {
    if time.secs < 0 && time.nanos > 0 {
        return format!("-{}.{:09}", -(time.secs + 1), 1_000_000_000 - time.nanos);
    }
    format!("{}.{:09}", time.secs, time.nanos)
}

/// An ACL in words, as `man 5 acl` has its short form, with numbers for users and groups. `None` if it is not one.
fn acl_text(value: &[u8]) -> Option<String> {
    let (version, entries) = value.split_at_checked(4)?;
    if version != 2u32.to_le_bytes() || entries.len() % 8 != 0 {
        return None;
    }
    let mut words = Vec::new();
    for entry in entries.chunks_exact(8) {
        let &[tag0, tag1, perm, _, i0, i1, i2, i3] = entry else { return None };
        let id = u32::from_le_bytes([i0, i1, i2, i3]);
        let who = match u16::from_le_bytes([tag0, tag1]) {
            0x01 => "user:".to_owned(),
            0x02 => format!("user:{id}"),
            0x04 => "group:".to_owned(),
            0x08 => format!("group:{id}"),
            0x10 => "mask:".to_owned(),
            0x20 => "other:".to_owned(),
            _ => return None,
        };
        let bit = |bit: u8, c: char| if perm & bit != 0 { c } else { '-' };
        words.push(format!("{who}:{}{}{}", bit(4, 'r'), bit(2, 'w'), bit(1, 'x')));
    }
    Some(words.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        let record = |value: usize| {
            let mut records = Records::default();
            records.add("k", &vec![b'v'; value]);
            records.0
        };
        for value in [0, 1, 3, 4, 5, 90, 93, 94, 95, 990, 993, 994, 9000, 9993] {
            let record = record(value);
            let digits = record.iter().position(|b| *b == b' ').unwrap();
            let len: usize = core::str::from_utf8(&record[..digits]).unwrap().parse().unwrap();
            assert_eq!(len, record.len(), "{value}");
        }
        assert_eq!(record(1), b"6 k=v\n");
    }

    #[test]
    fn times_are_decimal_numbers() {
        let text = |secs, nanos| decimal(Timestamp { secs, nanos });
        assert_eq!(text(5, 7), "5.000000007");
        assert_eq!(text(0, 0), "0.000000000");
        assert_eq!(text(-1, 999_999_999), "-0.000000001");
        assert_eq!(text(-2, 250_000_000), "-1.750000000");
        assert_eq!(text(-2, 0), "-2.000000000");
    }

    #[test]
    fn acls_have_words() {
        let entry =
            |tag: u16, perm: u16, id: u32| [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat();
        let acl = [
            2u32.to_le_bytes().to_vec(),
            entry(1, 6, u32::MAX),
            entry(2, 4, 1000),
            entry(4, 5, u32::MAX),
            entry(16, 7, u32::MAX),
            entry(32, 0, u32::MAX),
        ]
        .concat();
        let text = "user::rw-,user:1000:r--,group::r-x,mask::rwx,other::---";
        assert_eq!(acl_text(&acl).as_deref(), Some(text));
        assert_eq!(acl_text(&acl[..13]), None);
        assert_eq!(acl_text(&[]), None);
    }

    #[test]
    fn holes_have_a_name_of_their_own() {
        assert_eq!(sparse_name(OsStr::new("./a/b")), b"./a/GNUSparseFile.0/b");
    }
}
