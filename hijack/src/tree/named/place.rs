//! Where a user's kernels with names are met: one socket each, in a directory that only the user can enter.
//!
//! The directory is `lkl` in `$XDG_RUNTIME_DIR` (or `/run/user/UID`), or `/tmp/lkl-UID`. Nobody else may have made it: a path that
//! belongs to another user, or that others can enter, is refused. All is done below its descriptor, so it stays the one that was looked
//! at; and names of sockets, whose length the host limits, are `/proc/self/fd/N/NAME`.
//!
//! Whoever starts a kernel, or takes a dead one's socket away, holds the directory's lock (`flock`).

use rustix::fs::{self, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat, CWD};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::geteuid;
use std::env;
use std::ffi::{CStr, CString};
use std::os::fd::{IntoRawFd, OwnedFd};

/// A directory of kernels.
#[derive(Debug)]
pub(super) struct Place {
    path: String,
    dir: OwnedFd,
    /// The user whose it is.
    pub(super) user: u32,
}

/// A socket that listens in a place.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// The socket.
    pub(crate) socket: i32,
    /// The place: a description of its own, which has no lock.
    pub(crate) dir: i32,
    /// The file in it.
    pub(crate) file: CString,
}

/// The lock of a place, which ends with this.
pub(super) struct Locked<'a>(&'a Place);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _unlocked = fs::flock(&self.0.dir, FlockOperation::Unlock);
    }
}

impl Place {
    /// That of the caller's user. `None` if there is none yet and it is not to be made.
    ///
    /// # Errors
    /// One line that says what is wrong with it.
    pub(super) fn mine(make: bool) -> Result<Option<Self>, String> {
        let user = geteuid().as_raw();
        let path = home(user);
        if make {
            match fs::mkdir(path.as_str(), Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(format!("{path}: cannot be made: {e}")),
            }
        }
        match Self::open(path.clone(), user) {
            Err(Errno::NOENT) if !make => Ok(None),
            Err(Errno::PERM) => {
                Err(format!("{path}: expected a directory of user {user}'s that nobody else can enter (mode 700)"))
            }
            Err(e) => Err(format!("{path}: {e}")),
            Ok(place) => Ok(Some(place)),
        }
    }

    /// Those of all other users, for root. Empty for everybody else.
    pub(super) fn others() -> Vec<Self> {
        if !geteuid().is_root() {
            return Vec::new();
        }
        let of_user = |dir: &str, prefix: &str, rest: &str| {
            let names = names_in(dir, |name, _| Some(name.strip_prefix(prefix)?.parse::<u32>().ok()?.to_string()));
            names.into_iter().map(|user| (format!("{dir}/{prefix}{user}{rest}"), user)).collect::<Vec<_>>()
        };
        let paths = of_user("/run/user", "", "/lkl").into_iter().chain(of_user("/tmp", "lkl-", ""));
        let users = paths.filter_map(|(path, user)| Some((path, user.parse().ok().filter(|u| *u != 0)?)));
        users.filter_map(|(path, user)| Self::open(path, user).ok()).collect()
    }

    /// `EPERM` if it is not `user`'s alone.
    fn open(path: String, user: u32) -> Result<Self, Errno> {
        let how = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let dir = fs::open(path.as_str(), how, Mode::empty()).map_err(|e| match e {
            // Not a directory, or a symbolic link.
            Errno::NOTDIR | Errno::LOOP => Errno::PERM,
            e => e,
        })?;
        let st = fs::fstat(&dir)?;
        if st.st_uid != user || st.st_mode & 0o077 != 0 {
            return Err(Errno::PERM);
        }
        Ok(Self { path, dir, user })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Waits until nobody else starts a kernel here, and keeps others from it.
    ///
    /// # Errors
    /// Those of `flock(2)`.
    pub(super) fn lock(&self) -> Result<Locked<'_>, Errno> {
        loop {
            match fs::flock(&self.dir, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                other => return other.map(|()| Locked(self)),
            }
        }
    }

    fn address(&self, name: &str) -> Result<SocketAddrUnix, Errno> {
        use std::os::fd::AsRawFd;
        SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", self.dir.as_raw_fd()))
    }

    /// A connection to the kernel with this name. `None` if it does not run.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    pub(super) fn connect(&self, name: &str) -> Result<Option<i32>, Errno> {
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        match net::connect(&socket, &self.address(name)?) {
            Ok(()) => Ok(Some(socket.into_raw_fd())),
            Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A socket by which the kernel with this name will be joined. What is left of a dead one of that name goes.
    ///
    /// # Errors
    /// Those of `bind(2)`.
    pub(super) fn listen(&self, name: &str, _: &Locked<'_>) -> Result<Door, Errno> {
        self.remove(name);
        let how = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, how, None)?;
        net::bind(&socket, &self.address(name)?)?;
        net::listen(&socket, 64)?;
        let dir = fs::openat(&self.dir, ".", OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?;
        let file = CString::new(name).map_err(|_| Errno::INVAL)?;
        Ok(Door { socket: socket.into_raw_fd(), dir: dir.into_raw_fd(), file })
    }

    /// Takes the socket of a kernel away that has not taken it away itself.
    pub(super) fn remove(&self, name: &str) {
        let _gone = fs::unlinkat(&self.dir, name, AtFlags::empty());
    }

    /// The names of the sockets that are here, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let socket = |st: &Stat| FileType::from_raw_mode(st.st_mode) == FileType::Socket;
        names_in(&self.path, |name, st| socket(st).then(|| name.to_owned()))
    }
}

/// What `take` makes of each name in a directory, in order; nothing if it cannot be read.
fn names_in(path: &str, take: impl Fn(&str, &Stat) -> Option<String>) -> Vec<String> {
    let how = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let Ok(dir) = fs::open(path, how, Mode::empty()) else { return Vec::new() };
    let name_of = |name: &CStr| {
        let st = fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        take(name.to_str().ok()?, &st)
    };
    let entries = Dir::read_from(&dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| name_of(e.file_name())).collect();
    names.sort();
    names
}

/// The directory for the kernels of a user.
fn home(user: u32) -> String {
    let belongs = |dir: &String| {
        let st = fs::statat(CWD, dir.as_str(), AtFlags::empty());
        st.is_ok_and(|st| st.st_uid == user && FileType::from_raw_mode(st.st_mode) == FileType::Directory)
    };
    // It is another user's after `su` and `sudo -E`.
    let set = env::var("XDG_RUNTIME_DIR").ok().filter(|dir| dir.starts_with('/') && belongs(dir));
    match set.or_else(|| Some(format!("/run/user/{user}")).filter(belongs)) {
        Some(dir) => format!("{}/lkl", dir.trim_end_matches('/')),
        None => format!("/tmp/lkl-{user}"),
    }
}
