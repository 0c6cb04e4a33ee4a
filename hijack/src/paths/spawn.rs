//! The files on disk images that `posix_spawn` is to open for its child: the child, to which memory is lent, cannot open them, so they are
//! opened before, and the child takes over their descriptors (`man 3 posix_spawn_file_actions_addopen`).

use super::place;
use super::{cwd, tell_umask};
use crate::door;
use crate::mem;
use crate::sys;
use crate::thread::Thread;
use core::mem::MaybeUninit;
use lkl_abi::{nr, Errno};
use std::ffi::CString;

const CWD: u64 = libc::AT_FDCWD as i64 as u64;
/// More actions than that nobody has: what claims to is not of glibc's form.
const ACTIONS_MAX: i32 = 1024;

/// One action, as glibc keeps it: a tag, of which half a word is used, and three words of what goes with it.
type Raw = [u64; 4];

/// What a child is to do before it becomes the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Close(i32),
    Dup2(i32, i32),
    Open { fd: i32, path: u64, flags: i32, mode: u32 },
    Chdir(u64),
    Fchdir(i32),
    CloseFrom(i32),
    TcSetPgrp(i32),
}

impl Action {
    /// `None` for one that this library does not know.
    fn read(raw: &Raw) -> Option<Self> {
        let [tag, first, second, third] = *raw;
        let (low, high) = (first as i32, (first >> 32) as i32);
        Some(match tag as u32 {
            0 => Self::Close(low),
            1 => Self::Dup2(low, high),
            2 => Self::Open { fd: low, path: second, flags: third as i32, mode: (third >> 32) as u32 },
            3 => Self::Chdir(first),
            4 => Self::Fchdir(low),
            5 => Self::CloseFrom(low),
            6 => Self::TcSetPgrp(low),
            _ => return None,
        })
    }

    /// The highest descriptor that it names.
    fn highest(self) -> i32 {
        match self {
            Self::Close(fd) | Self::Open { fd, .. } | Self::Fchdir(fd) | Self::TcSetPgrp(fd) => fd,
            Self::Dup2(fd, to) => fd.max(to),
            Self::Chdir(_) | Self::CloseFrom(_) => -1,
        }
    }
}

/// All of them; `None` if they cannot be read.
fn all(actions: u64) -> Option<Vec<Action>> {
    let counts = mem::get::<u64>(actions).ok()?;
    let (allocated, used) = (counts as i32, (counts >> 32) as i32);
    if !(0..=allocated.min(ACTIONS_MAX)).contains(&used) {
        return None;
    }
    let list = mem::get::<u64>(actions.wrapping_add(8)).ok()?;
    let each = |i: i32| list.wrapping_add(i as u64 * size_of::<Raw>() as u64);
    (0..used).map(|i| Action::read(&mem::get::<Raw>(each(i)).ok()?)).collect()
}

/// Actions in the place of others, and the descriptors that were opened for them.
pub(crate) struct Replaced {
    actions: MaybeUninit<libc::posix_spawn_file_actions_t>,
    opened: Vec<i32>,
}

impl Replaced {
    /// For `posix_spawn`.
    pub(crate) fn as_ptr(&self) -> *const core::ffi::c_void {
        self.actions.as_ptr().cast()
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        // SAFETY: `replace` has made them.
        unsafe { libc::posix_spawn_file_actions_destroy(self.actions.as_mut_ptr()) };
        for fd in &self.opened {
            super::close(*fd as isize);
        }
    }
}

unsafe extern "C" {
    fn posix_spawn_file_actions_addfchdir_np(actions: *mut libc::posix_spawn_file_actions_t, fd: i32) -> i32;
    fn posix_spawn_file_actions_addchdir_np(
        actions: *mut libc::posix_spawn_file_actions_t,
        path: *const core::ffi::c_char,
    ) -> i32;
}

/// The absolute path that the child would open, if it is on an image; where it is then, by the actions before.
fn on_image(dir: Option<&[u8]>, path: u64) -> Option<CString> {
    let mut buf = [0u8; 4096];
    let n = mem::c_str(path, &mut buf).ok()?;
    let whole = place::from(dir, &buf[..n])?;
    place::is_on_disk(&whole).then(|| CString::from_vec_with_nul(whole).ok()).flatten()
}

/// Opens what is on images. `None` if nothing is, or if the actions are of a kind that this cannot do anything about.
///
/// # Errors
/// What `open` would answer in the child.
pub(crate) fn replace(t: &Thread, actions: u64) -> Result<Option<Replaced>, Errno> {
    if actions == 0 || !place::any() {
        return Ok(None);
    }
    let Some(list) = all(actions) else { return Ok(None) };
    let mut dir = cwd::of(t);
    let mut images = Vec::new();
    for action in &list {
        let image = match *action {
            Action::Open { path, .. } => on_image(dir.as_deref(), path),
            Action::Chdir(path) => {
                let mut buf = [0u8; 4096];
                let n = mem::c_str(path, &mut buf)?;
                dir = place::from(dir.as_deref(), &buf[..n]).map(|mut p| {
                    p.pop();
                    p
                });
                None
            }
            // What is opened here would be closed, or would begin somewhere else.
            Action::CloseFrom(_) | Action::Fchdir(_) => return Ok(None),
            _ => None,
        };
        images.push(image);
    }
    if images.iter().all(Option::is_none) {
        return Ok(None);
    }
    let above = list.iter().map(|a| a.highest()).max().unwrap_or(0) + 1;
    let mut new = Replaced { actions: MaybeUninit::uninit(), opened: Vec::new() };
    let to = new.actions.as_mut_ptr();
    let done = |e: i32| if e == 0 { Ok(()) } else { Err(Errno(e)) };
    // SAFETY: room for one.
    done(unsafe { libc::posix_spawn_file_actions_init(to) })?;
    for (action, image) in list.iter().zip(images) {
        let added = match (*action, image) {
            (Action::Open { fd, flags, mode, .. }, Some(path)) => {
                tell_umask();
                let made = (flags | libc::O_CLOEXEC) as u64;
                let args = [CWD, path.as_ptr() as u64, made, u64::from(mode), 0, 0];
                let low = sys::check(door::call(nr::OPENAT, args))?;
                let command = libc::F_DUPFD_CLOEXEC as u64;
                let high = sys::check(door::call(nr::FCNTL, [low, command, above as u64, 0, 0, 0]));
                super::close(low as isize);
                let high = high? as i32;
                new.opened.push(high);
                if flags & libc::O_CLOEXEC != 0 {
                    continue;
                }
                // SAFETY: `to` is initialised; so are those below. Their strings are copied.
                unsafe { libc::posix_spawn_file_actions_adddup2(to, high, fd) }
            }
            (Action::Open { fd, path, flags, mode }, None) => {
                // SAFETY: the same.
                unsafe { libc::posix_spawn_file_actions_addopen(to, fd, path as *const _, flags, mode) }
            }
            // SAFETY: the same.
            (Action::Close(fd), _) => unsafe { libc::posix_spawn_file_actions_addclose(to, fd) },
            // SAFETY: the same.
            (Action::Dup2(fd, new), _) => unsafe { libc::posix_spawn_file_actions_adddup2(to, fd, new) },
            // SAFETY: the same.
            (Action::Chdir(path), _) => unsafe { posix_spawn_file_actions_addchdir_np(to, path as *const _) },
            // SAFETY: the same.
            (Action::Fchdir(fd), _) => unsafe { posix_spawn_file_actions_addfchdir_np(to, fd) },
            // Newer libcs have a function for the terminal; what cannot be said again is left to libc.
            (Action::CloseFrom(_) | Action::TcSetPgrp(_), _) => return Ok(None),
        };
        done(added)?;
    }
    Ok(Some(new))
}
