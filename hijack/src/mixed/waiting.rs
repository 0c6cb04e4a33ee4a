//! Who waits for an epoll instance holds it, as on Linux: should another thread close its number, or put something else there, the wait goes
//! on. The kernel's side is held by what is registered there; the host's gets another number, when the first is about to go.

use crate::fds::{self, state};
use crate::guarded::Guarded;
use crate::sys::{self, host};
use crate::thread;

struct Waiter {
    /// Who it is: the address of what is known of the thread.
    thread: usize,
    /// Where the host's instance is now; -1 if it has no place left.
    host: i32,
    /// That is a number of its own.
    moved: bool,
}

static WAITERS: Guarded<Vec<Waiter>> = Guarded::new(Vec::new());

/// The calling thread waits, as long as this lives.
pub(super) struct Waiting(usize);

impl Waiting {
    /// Begins to wait for the instance at `epfd`.
    pub(super) fn begin(epfd: i32) -> Self {
        let thread = core::ptr::from_ref(thread::current()) as usize;
        WAITERS.with(|list| list.push(Waiter { thread, host: epfd, moved: false }));
        Self(thread)
    }

    /// Where the host's instance is, and whether its first number is gone.
    pub(super) fn host(&self) -> (i32, bool) {
        WAITERS.with(|list| list.iter().find(|w| w.thread == self.0).map_or((-1, true), |w| (w.host, w.moved)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let gone = WAITERS.with(|list| {
            let at = list.iter().position(|w| w.thread == self.0)?;
            Some(list.swap_remove(at))
        });
        if let Some(Waiter { host, moved: true, .. }) = gone {
            if host >= 0 {
                fds::set(host, state::HOST);
                sys::close(host);
            }
        }
    }
}

/// What is at `fd` is about to be closed.
pub(crate) fn closing(fd: i32) {
    if !fds::epoll(fd) {
        return;
    }
    WAITERS.with(|list| {
        for w in list.iter_mut().filter(|w| w.host == fd && !w.moved) {
            // SAFETY: no pointers.
            let copy = unsafe { host!(libc::SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, 0i32) };
            w.host = copy.map_or(-1, |copy| fds::privatise(copy as i32));
            w.moved = true;
        }
    });
}

/// Nobody begins or ends a wait until [`after_fork`].
pub(crate) fn before_fork() {
    WAITERS.lock().lock();
}

/// In both processes; the `child` has no thread that waits.
pub(crate) fn after_fork(child: bool) {
    WAITERS.lock().unlock();
    if child {
        WAITERS.with(Vec::clear);
    }
}
