//! Names in a directory (`linux/dirent.h`; `man 2 getdents64`).

/// Where the name begins in `struct linux_dirent64`.
const NAME: usize = 19;

/// Bytes of the `struct linux_dirent64` of a name.
pub fn size(name: &[u8]) -> usize {
    (NAME + name.len() + 1).next_multiple_of(8)
}

/// Adds a `struct linux_dirent64`. `next` is where the listing goes on after it, `mode` has the file's `S_IFMT` bits, 0 if its type
/// is not known.
pub fn push(out: &mut Vec<u8>, name: &[u8], ino: u64, next: u64, mode: u32) {
    let len = size(name);
    let end = out.len() + len;
    out.extend(ino.to_ne_bytes());
    out.extend(next.to_ne_bytes());
    out.extend((len as u16).to_ne_bytes());
    // `DT_*` are the bits of `S_IFMT`.
    out.push((mode >> 12 & 0o17) as u8);
    out.extend(name);
    out.resize(end, 0);
}
