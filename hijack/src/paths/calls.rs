//! The calls that name files: where their paths are, and which calls of the kernel they are.

use crate::sys::Args;
use lkl_abi::nr;

/// No descriptor goes with the path: it starts from the working directory.
pub(crate) const NO: u8 = u8::MAX;
/// `AT_FDCWD`
const CWD: u64 = libc::AT_FDCWD as i64 as u64;
const NOFOLLOW: u64 = libc::AT_SYMLINK_NOFOLLOW as u64;
/// `fchmodat2`, which the crate `libc` does not have.
const FCHMODAT2: i64 = 452;
const REMOVEDIR: u64 = libc::AT_REMOVEDIR as u64;

/// Is a symbolic link that the last component names followed?
#[derive(Clone, Copy, Debug)]
pub(crate) enum Last {
    /// Always.
    Followed,
    /// Never.
    Kept,
    /// Unless the argument of this number has this bit.
    Unless(u8, u64),
    /// If it has.
    If(u8, u64),
}

impl Last {
    pub(crate) fn followed(self, a: &Args) -> bool {
        match self {
            Self::Followed => true,
            Self::Kept => false,
            Self::Unless(arg, bit) => a[usize::from(arg)] & bit == 0,
            Self::If(arg, bit) => a[usize::from(arg)] & bit != 0,
        }
    }
}

/// A call of x86-64's with paths.
pub(crate) struct Call {
    /// Its number.
    pub(crate) number: i64,
    /// For each path, the number of the argument with the directory it starts from ([`NO`]), and that with the path.
    pub(crate) paths: &'static [(u8, u8)],
    pub(crate) last: Last,
    /// The generic call: number and arguments.
    pub(crate) generic: fn(&Args) -> (usize, Args),
}

use Last::{Followed, If, Kept, Unless};

const fn call(number: i64, paths: &'static [(u8, u8)], last: Last, generic: fn(&Args) -> (usize, Args)) -> Call {
    Call { number, paths, last, generic }
}

const FIRST: &[(u8, u8)] = &[(NO, 0)];
const AT: &[(u8, u8)] = &[(0, 1)];
const O_NOFOLLOW: u64 = libc::O_NOFOLLOW as u64;
const CREAT: u64 = (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64;

/// All of them, but those of `chdir`, `exec` and the like, which change more than files.
pub(crate) static CALLS: &[Call] = &[
    call(libc::SYS_open, FIRST, Unless(1, O_NOFOLLOW), |a| (nr::OPENAT, [CWD, a[0], a[1], a[2], 0, 0])),
    call(libc::SYS_creat, FIRST, Followed, |a| (nr::OPENAT, [CWD, a[0], CREAT, a[1], 0, 0])),
    call(libc::SYS_openat, AT, Unless(2, O_NOFOLLOW), |a| (nr::OPENAT, *a)),
    call(libc::SYS_openat2, AT, Followed, |a| (nr::OPENAT2, *a)),
    call(libc::SYS_stat, FIRST, Followed, |a| (nr::FSTATAT, [CWD, a[0], a[1], 0, 0, 0])),
    call(libc::SYS_lstat, FIRST, Kept, |a| (nr::FSTATAT, [CWD, a[0], a[1], NOFOLLOW, 0, 0])),
    call(libc::SYS_newfstatat, AT, Unless(3, NOFOLLOW), |a| (nr::FSTATAT, *a)),
    call(libc::SYS_statx, AT, Unless(2, NOFOLLOW), |a| (nr::STATX, *a)),
    call(libc::SYS_access, FIRST, Followed, |a| (nr::FACCESSAT, [CWD, a[0], a[1], 0, 0, 0])),
    call(libc::SYS_faccessat, AT, Followed, |a| (nr::FACCESSAT, *a)),
    call(libc::SYS_faccessat2, AT, Unless(3, NOFOLLOW), |a| (nr::FACCESSAT2, *a)),
    call(libc::SYS_readlink, FIRST, Kept, |a| (nr::READLINKAT, [CWD, a[0], a[1], a[2], 0, 0])),
    call(libc::SYS_readlinkat, AT, Kept, |a| (nr::READLINKAT, *a)),
    call(libc::SYS_mkdir, FIRST, Kept, |a| (nr::MKDIRAT, [CWD, a[0], a[1], 0, 0, 0])),
    call(libc::SYS_mkdirat, AT, Kept, |a| (nr::MKDIRAT, *a)),
    call(libc::SYS_mknod, FIRST, Kept, |a| (nr::MKNODAT, [CWD, a[0], a[1], a[2], 0, 0])),
    call(libc::SYS_mknodat, AT, Kept, |a| (nr::MKNODAT, *a)),
    call(libc::SYS_rmdir, FIRST, Kept, |a| (nr::UNLINKAT, [CWD, a[0], REMOVEDIR, 0, 0, 0])),
    call(libc::SYS_unlink, FIRST, Kept, |a| (nr::UNLINKAT, [CWD, a[0], 0, 0, 0, 0])),
    call(libc::SYS_unlinkat, AT, Kept, |a| (nr::UNLINKAT, *a)),
    call(libc::SYS_symlink, &[(NO, 1)], Kept, |a| (nr::SYMLINKAT, [a[0], CWD, a[1], 0, 0, 0])),
    call(libc::SYS_symlinkat, &[(1, 2)], Kept, |a| (nr::SYMLINKAT, *a)),
    call(libc::SYS_link, &[(NO, 0), (NO, 1)], Kept, |a| (nr::LINKAT, [CWD, a[0], CWD, a[1], 0, 0])),
    call(libc::SYS_linkat, &[(0, 1), (2, 3)], If(4, libc::AT_SYMLINK_FOLLOW as u64), |a| (nr::LINKAT, *a)),
    call(libc::SYS_rename, &[(NO, 0), (NO, 1)], Kept, |a| (nr::RENAMEAT2, [CWD, a[0], CWD, a[1], 0, 0])),
    call(libc::SYS_renameat, &[(0, 1), (2, 3)], Kept, |a| (nr::RENAMEAT2, [a[0], a[1], a[2], a[3], 0, 0])),
    call(libc::SYS_renameat2, &[(0, 1), (2, 3)], Kept, |a| (nr::RENAMEAT2, *a)),
    call(libc::SYS_chmod, FIRST, Followed, |a| (nr::FCHMODAT, [CWD, a[0], a[1], 0, 0, 0])),
    call(libc::SYS_fchmodat, AT, Followed, |a| (nr::FCHMODAT, *a)),
    call(FCHMODAT2, AT, Unless(3, NOFOLLOW), |a| (nr::FCHMODAT2, *a)),
    call(libc::SYS_chown, FIRST, Followed, |a| (nr::FCHOWNAT, [CWD, a[0], a[1], a[2], 0, 0])),
    call(libc::SYS_lchown, FIRST, Kept, |a| (nr::FCHOWNAT, [CWD, a[0], a[1], a[2], NOFOLLOW, 0])),
    call(libc::SYS_fchownat, AT, Unless(4, NOFOLLOW), |a| (nr::FCHOWNAT, *a)),
    call(libc::SYS_utimensat, AT, Unless(3, NOFOLLOW), |a| (nr::UTIMENSAT, *a)),
    call(libc::SYS_utime, FIRST, Followed, |a| (nr::UTIMENSAT, [CWD, a[0], a[1], 0, 0, 0])),
    call(libc::SYS_utimes, FIRST, Followed, |a| (nr::UTIMENSAT, [CWD, a[0], a[1], 0, 0, 0])),
    call(libc::SYS_futimesat, AT, Followed, |a| (nr::UTIMENSAT, [a[0], a[1], a[2], 0, 0, 0])),
    call(libc::SYS_truncate, FIRST, Followed, |a| (nr::TRUNCATE, *a)),
    call(libc::SYS_statfs, FIRST, Followed, |a| (nr::STATFS, *a)),
    call(libc::SYS_setxattr, FIRST, Followed, |a| (nr::SETXATTR, *a)),
    call(libc::SYS_lsetxattr, FIRST, Kept, |a| (nr::LSETXATTR, *a)),
    call(libc::SYS_getxattr, FIRST, Followed, |a| (nr::GETXATTR, *a)),
    call(libc::SYS_lgetxattr, FIRST, Kept, |a| (nr::LGETXATTR, *a)),
    call(libc::SYS_listxattr, FIRST, Followed, |a| (nr::LISTXATTR, *a)),
    call(libc::SYS_llistxattr, FIRST, Kept, |a| (nr::LLISTXATTR, *a)),
    call(libc::SYS_removexattr, FIRST, Followed, |a| (nr::REMOVEXATTR, *a)),
    call(libc::SYS_lremovexattr, FIRST, Kept, |a| (nr::LREMOVEXATTR, *a)),
    call(libc::SYS_name_to_handle_at, AT, Kept, |a| (nr::NAME_TO_HANDLE_AT, *a)),
];

/// More calls that [`super::dispatch`] looks at.
pub(crate) const OTHERS: &[i64] = &[
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_getcwd,
    libc::SYS_umask,
    libc::SYS_inotify_add_watch,
    libc::SYS_open_by_handle_at,
];

/// How many numbers [`INDEX`] covers.
const NUMBERS: usize = 512;

const fn index() -> [u8; NUMBERS] {
    let mut t = [u8::MAX; NUMBERS];
    let mut i = 0;
    while i < CALLS.len() {
        t[CALLS[i].number as usize] = i as u8;
        i += 1;
    }
    t
}

static INDEX: [u8; NUMBERS] = index();

/// The call of this number, if it is one of [`CALLS`].
pub(crate) fn find(number: usize) -> Option<&'static Call> {
    INDEX.get(number).and_then(|i| CALLS.get(usize::from(*i)))
}
