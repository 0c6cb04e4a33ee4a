//! Readiness of several files at once: for `poll` and `select`, and for a caller that waits for files of the kernel and
//! of the host together.

use crate::epoll::as_epoll;
use crate::kernel::Kernel;
use crate::openfile::OpenFile;
use crate::process::Task;
use lkl_abi::{Errno, Result};
use lkl_ops::Parker;
use lkl_sync::{Events, Registration, Waiter};
use smallvec::SmallVec;
use std::sync::Arc;

/// One descriptor that a caller is interested in (`struct pollfd`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PollFd {
    /// The descriptor. A negative one is passed over.
    pub fd: i32,
    /// What is asked for; `ERR` and `HUP` always are.
    pub events: Events,
    /// What is ready (answer); `NVAL` if the descriptor is not open in the kernel.
    pub revents: Events,
}

struct Watched {
    /// Index in the set.
    at: usize,
    file: Arc<OpenFile>,
    events: Events,
    exclusive: bool,
    registration: Option<Registration>,
}

/// Waiters on the files of a set, from [`Kernel::poll_set`]. They are taken out when it is dropped. It holds the files
/// open, as a call that sleeps on them does.
pub struct PollRegistration {
    watched: SmallVec<[Watched; 4]>,
    /// Once there are waiters: whose files they are on.
    kernel: Option<Arc<Kernel>>,
}

impl PollRegistration {
    /// Looks at the files again. `fds` must be the set that it was made with; every `revents` is written. Answers how
    /// many descriptors are ready: all with `ERR`, if the kernel has panicked.
    pub fn check(&self, fds: &mut [PollFd]) -> usize {
        match &self.kernel {
            Some(kernel) => kernel.poll_guard(fds, |fds| self.look(fds)),
            None => self.look(fds),
        }
    }

    fn look(&self, fds: &mut [PollFd]) -> usize {
        for w in &self.watched {
            if let Some(p) = fds.get_mut(w.at) {
                p.revents = w.file.file().poll() & (w.events | Events::ALWAYS);
            }
        }
        fds.iter().filter(|p| !p.revents.is_empty()).count()
    }

    /// The first file of the set.
    pub(crate) fn first(&self) -> Option<Arc<OpenFile>> {
        self.watched.first().map(|w| w.file.clone())
    }

    /// Puts `waiter` on each file that has none yet.
    pub(crate) fn register(&mut self, kernel: &Arc<Kernel>, waiter: &Arc<dyn Waiter>) {
        self.kernel.get_or_insert_with(|| kernel.clone());
        for w in &mut self.watched {
            if w.registration.is_none() {
                let registration = w.file.file().wait_queue().register(waiter.clone(), w.events, w.exclusive);
                w.registration = Some(registration);
            }
        }
    }

    fn deregister(&mut self) {
        for w in &mut self.watched {
            if let Some(r) = w.registration.take() {
                let file = w.file.file();
                file.wait_queue().deregister(r);
                // A wake-up that was meant for one waiter only and that this one did not use is passed on.
                if w.exclusive && file.wait_queue().waiters() > 0 {
                    let unused = file.poll() & w.events;
                    if !unused.is_empty() {
                        file.wait_queue().wake(unused);
                    }
                }
            }
        }
    }
}

impl Drop for PollRegistration {
    fn drop(&mut self) {
        if let Some(kernel) = self.kernel.take() {
            let _done = kernel.guard("the end of a poll", || {
                self.deregister();
                // The last reference of a file may be among them.
                self.watched.clear();
                Ok(())
            });
        }
    }
}

impl core::fmt::Debug for PollRegistration {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PollRegistration({} files)", self.watched.len())
    }
}

struct Unpark(Arc<dyn Parker>);

impl Waiter for Unpark {
    fn wake(&self, _: Events) -> bool {
        self.0.unpark();
        self.0.alive()
    }
}

/// A waiter that unparks a thread.
pub fn unpark(parker: &Arc<dyn Parker>) -> Arc<dyn Waiter> {
    Arc::new(Unpark(parker.clone()))
}

impl Kernel {
    /// Which of `fds` are ready now: writes every `revents`, answers how many are. If a `waiter` is given, it is called
    /// from now on when any of the files becomes ready, until the registration is dropped; it was put in before the files
    /// were looked at, so nothing is missed in between. An epoll instance may be in the set: it is readable when it
    /// has something to tell. Never blocks.
    ///
    /// How a caller waits for files of the kernel and of the host together:
    ///
    /// ```text
    /// let (ready, _) = kernel.poll_set(task, &mut ours, None);        // fast path: register nothing
    /// if ready + host_ppoll(theirs, 0) > 0 { return merged }
    /// let (mut ready, set) = kernel.poll_set(task, &mut ours, Some(unpark(task.parker())));
    /// while ready == 0 {
    ///     // `wake_fd` is the eventfd that the parker's `unpark` writes; it stays readable until the owner reads it.
    ///     let n = host_ppoll(theirs + wake_fd, time_left, sigmask)?;   // EINTR: return it, `set` cleans up
    ///     drain(wake_fd);
    ///     ready = set.check(&mut ours);
    ///     if n_of_theirs > 0 || timed_out { break }
    /// }
    /// ```
    ///
    /// `check` must come after the drain, not before it.
    pub fn poll_set(
        &self,
        task: &Task,
        fds: &mut [PollFd],
        waiter: Option<Arc<dyn Waiter>>,
    ) -> (usize, PollRegistration) {
        let mut set = PollRegistration { watched: SmallVec::new(), kernel: None };
        let ready = self.poll_guard(fds, |fds| {
            for (at, p) in fds.iter_mut().enumerate() {
                p.revents = Events::EMPTY;
                if p.fd < 0 {
                    continue;
                }
                match task.process().file(p.fd) {
                    Ok(file) => {
                        set.watched.push(Watched { at, file, events: p.events, exclusive: false, registration: None });
                    }
                    Err(_) => p.revents = Events::NVAL,
                }
            }
            if let Some(waiter) = waiter {
                set.register(task.process().kernel(), &waiter);
            }
            set.look(fds)
        });
        (ready, set)
    }

    /// Runs `f`, which looks at `fds` and answers how many are ready. After a panic all are, with `ERR`.
    fn poll_guard(&self, fds: &mut [PollFd], f: impl FnOnce(&mut [PollFd]) -> usize) -> usize {
        let found = if self.oopsed() { Err(Errno::EIO) } else { self.guard("poll", || Ok(f(fds))) };
        found.unwrap_or_else(|_| {
            fds.iter_mut().for_each(|p| p.revents = Events::ERR);
            fds.len()
        })
    }

    /// Has `waiter` called when the epoll instance `epfd` has something to tell, until the registration is dropped: for a
    /// caller that sleeps in `epoll_wait` and looks at its own files too. Unlike in a [`Kernel::poll_set`], of several
    /// such waiters one event wakes only one, as on Linux. Look at [`Kernel::epoll_ready`] after this call and before
    /// sleeping.
    ///
    /// # Errors
    /// `EBADF`, `EINVAL` if it is not an epoll instance, `EIO` after a panic.
    pub fn epoll_watch(&self, task: &Task, epfd: i32, waiter: Arc<dyn Waiter>) -> Result<PollRegistration> {
        let file = task.process().file(epfd)?;
        if as_epoll(&file).is_none() {
            return Err(Errno::EINVAL);
        }
        let watched = Watched { at: 0, file, events: Events::READ, exclusive: true, registration: None };
        let mut set = PollRegistration { watched: SmallVec::new(), kernel: None };
        set.watched.push(watched);
        self.guard("epoll_watch", || {
            set.register(task.process().kernel(), &waiter);
            Ok(())
        })?;
        Ok(set)
    }
}
