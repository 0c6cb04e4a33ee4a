//! The three feature sets of a superblock, and what this crate can do with them.

use bitflags::bitflags;

bitflags! {
    /// Features that a kernel need not know (`s_feature_compat`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Compat: u32 {
        const HAS_JOURNAL = 0x4;
        const EXT_ATTR = 0x8;
        const RESIZE_INODE = 0x10;
        const DIR_INDEX = 0x20;
        const SPARSE_SUPER2 = 0x200;
        const FAST_COMMIT = 0x400;
        const ORPHAN_FILE = 0x1000;
    }
}

bitflags! {
    /// Features that a kernel must know to read (`s_feature_incompat`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Incompat: u32 {
        const COMPRESSION = 0x1;
        const FILETYPE = 0x2;
        const NEEDS_RECOVERY = 0x4;
        const JOURNAL_DEV = 0x8;
        const META_BG = 0x10;
        const EXTENTS = 0x40;
        const B64 = 0x80;
        const MMP = 0x100;
        const FLEX_BG = 0x200;
        const EA_INODE = 0x400;
        const DIRDATA = 0x1000;
        const CSUM_SEED = 0x2000;
        const LARGE_DIR = 0x4000;
        const INLINE_DATA = 0x8000;
        const ENCRYPT = 0x1_0000;
        const CASEFOLD = 0x2_0000;
    }
}

bitflags! {
    /// Features that a kernel must know to write (`s_feature_ro_compat`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct RoCompat: u32 {
        const SPARSE_SUPER = 0x1;
        const LARGE_FILE = 0x2;
        const BTREE_DIR = 0x4;
        const HUGE_FILE = 0x8;
        const GDT_CSUM = 0x10;
        const DIR_NLINK = 0x20;
        const EXTRA_ISIZE = 0x40;
        const SNAPSHOT = 0x80;
        const QUOTA = 0x100;
        const BIGALLOC = 0x200;
        const METADATA_CSUM = 0x400;
        const REPLICA = 0x800;
        const READONLY = 0x1000;
        const PROJECT = 0x2000;
        const SHARED_BLOCKS = 0x4000;
        const VERITY = 0x8000;
        const ORPHAN_PRESENT = 0x1_0000;
    }
}

/// What can be read.
pub(crate) const READABLE: Incompat = Incompat::FILETYPE
    .union(Incompat::NEEDS_RECOVERY)
    .union(Incompat::META_BG)
    .union(Incompat::EXTENTS)
    .union(Incompat::B64)
    .union(Incompat::MMP)
    .union(Incompat::FLEX_BG)
    .union(Incompat::EA_INODE)
    .union(Incompat::CSUM_SEED)
    .union(Incompat::LARGE_DIR)
    .union(Incompat::INLINE_DATA)
    .union(Incompat::ENCRYPT)
    .union(Incompat::CASEFOLD);

/// What can be written. Not among them: quota files, whose counts would have to follow each change (Linux without `CONFIG_QUOTA`
/// does not write them either).
pub(crate) const WRITABLE: RoCompat = RoCompat::SPARSE_SUPER
    .union(RoCompat::LARGE_FILE)
    .union(RoCompat::BTREE_DIR)
    .union(RoCompat::HUGE_FILE)
    .union(RoCompat::GDT_CSUM)
    .union(RoCompat::DIR_NLINK)
    .union(RoCompat::EXTRA_ISIZE)
    .union(RoCompat::BIGALLOC)
    .union(RoCompat::METADATA_CSUM)
    .union(RoCompat::PROJECT)
    .union(RoCompat::VERITY)
    .union(RoCompat::ORPHAN_PRESENT);

/// The names of the bits in `bits` that are not in `known`, as `dumpe2fs` prints them.
pub(crate) fn names(kind: char, bits: u32) -> String {
    let name = |bit: u32| {
        let name = match kind {
            'I' => incompat_name(bit),
            _ => ro_compat_name(bit),
        };
        name.map_or_else(|| format!("FEATURE_{kind}{}", bit.trailing_zeros()), str::to_owned)
    };
    let list: Vec<String> = (0..32).map(|n| 1 << n).filter(|bit| bits & bit != 0).map(name).collect();
    list.join(" ")
}

fn incompat_name(bit: u32) -> Option<&'static str> {
    Some(match Incompat::from_bits(bit)? {
        Incompat::COMPRESSION => "compression",
        Incompat::JOURNAL_DEV => "journal_dev",
        Incompat::DIRDATA => "dirdata",
        _ => return None,
    })
}

fn ro_compat_name(bit: u32) -> Option<&'static str> {
    Some(match RoCompat::from_bits(bit)? {
        RoCompat::SNAPSHOT => "snapshot",
        RoCompat::QUOTA => "quota",
        RoCompat::REPLICA => "replica",
        RoCompat::READONLY => "read-only",
        RoCompat::SHARED_BLOCKS => "shared_blocks",
        _ => return None,
    })
}
