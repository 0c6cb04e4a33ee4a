//! A thread of the program, in the kernel: what it can do there, wherever that is.
//!
//! Beside: [`super::call`], which makes whole system calls. [`crate::mixed`] waits with what is here.

use super::Instance;
use crate::panics;
use crate::tree::client::{self, Client};
use crate::tree::line::{how, op};
use lkl_abi::Result;
use lkl_host::{Slept, ThreadParker};
use lkl_kernel::{unpark, EpollAt, EpollEvent, PollFd, PollRegistration, Task};
use lkl_ops::Instant;
use std::sync::Arc;

/// A thread of the program, in the kernel.
pub(crate) enum Caller {
    /// The kernel is in this memory.
    Direct { instance: &'static Instance, task: Task, parker: Arc<ThreadParker> },
    /// It is in another process's.
    Remote(Client),
}

/// Most bytes of the report of a panic.
const REPORT: usize = 64 << 10;

/// What is watched by [`Caller::watch`].
pub(crate) enum Watch<'a> {
    Direct(PollRegistration),
    Remote(&'a Client),
}

impl Watch<'_> {
    /// Looks again at the files, which must be those that it was made with; answers how many are ready.
    pub(crate) fn check(&self, fds: &mut [PollFd]) -> usize {
        match self {
            Self::Direct(set) => set.check(fds),
            Self::Remote(client) => client.check(fds),
        }
    }
}

/// Which epoll instance is meant.
fn at<'a>(epfd: i32, watch: Option<&'a Watch<'_>>) -> EpollAt<'a> {
    match watch {
        Some(Watch::Direct(set)) => EpollAt::Watched(set),
        _ => EpollAt::Number(epfd),
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Self::Remote(client) = self {
            client.unwatch();
        }
    }
}

impl Caller {
    /// Monotonic time.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Direct { instance, .. } => instance.kernel.now(),
            Self::Remote(_) => client::now(),
        }
    }

    /// A call has answered `EIO`: says why, if the kernel has panicked.
    #[cold]
    pub(super) fn tell_panic(&self) {
        panics::tell(|| match self {
            Self::Direct { instance, .. } => instance.kernel.oopsed().then(panics::report),
            Self::Remote(client) => {
                let mut text = vec![0u8; REPORT];
                let to = text.as_mut_ptr() as u64;
                let n = client.call(op::PANIC, [to, text.len() as u64, 0, 0, 0, 0]).0.ok()?;
                text.truncate(n as usize);
                (n > 0).then(|| String::from_utf8_lossy(&text).into_owned())
            }
        });
    }

    /// Has the kernel panicked?
    pub(super) fn panicked(&self) -> bool {
        match self {
            Self::Direct { instance, .. } => instance.kernel.oopsed(),
            Self::Remote(client) => client.call(op::PANIC, [0; 6]).0 == Ok(1),
        }
    }

    /// One system call, by its generic number, and the signals that it has raised.
    pub(super) fn syscall(&self, number: usize, args: [u64; 6]) -> (Result<u64>, u64) {
        match self {
            Self::Direct { instance, task, .. } => {
                let result = instance.kernel.syscall(task, number, args);
                (result, task.take_signals())
            }
            Self::Remote(client) => client.call(number as u64, args),
        }
    }

    /// Which of `fds` are ready: writes every `revents`, answers how many are.
    pub(crate) fn look(&self, fds: &mut [PollFd]) -> usize {
        match self {
            Self::Direct { instance, task, .. } => instance.kernel.poll_set(task, fds, None).0,
            Self::Remote(client) => client.look(fds),
        }
    }

    /// The same; from now on until the answer is dropped, a change ends [`Caller::sleep`].
    ///
    /// # Errors
    /// `EMFILE`, `EIO`
    pub(crate) fn watch(&self, fds: &mut [PollFd]) -> Result<(usize, Watch<'_>)> {
        match self {
            Self::Direct { instance, task, .. } => {
                let (ready, set) = instance.kernel.poll_set(task, fds, Some(unpark(task.parker())));
                Ok((ready, Watch::Direct(set)))
            }
            Self::Remote(client) => Ok((client.watch(fds)?, Watch::Remote(client))),
        }
    }

    /// Is the kernel in another process?
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// Makes what the thread will need to sleep.
    pub(crate) fn prepare(&self) {
        if let Self::Remote(client) = self {
            // It is tried again when it is needed.
            let _made = client.make_event();
        }
    }

    /// Gives what an epoll instance has to tell, `max` events at most, to `sink`. With `begin`, a waiter for the thread is on it as long as
    /// `watch` lives; once there is one the instance is its, whatever is at `epfd` by now. When something was found there may be none.
    ///
    /// # Errors
    /// `EBADF`, `EINVAL`, `EMFILE`, `EIO`
    pub(crate) fn epoll_ready<'a>(
        &'a self,
        epfd: i32,
        watch: &mut Option<Watch<'a>>,
        begin: bool,
        max: usize,
        mut sink: impl FnMut(EpollEvent),
    ) -> Result<()> {
        match self {
            Self::Direct { instance, task, .. } => {
                if begin && watch.is_none() {
                    let set = instance.kernel.epoll_watch(task, epfd, unpark(task.parker()))?;
                    *watch = Some(Watch::Direct(set));
                }
                instance.kernel.epoll_ready(task, at(epfd, watch.as_ref()), max, sink).map(drop)
            }
            Self::Remote(client) => {
                let how = match (&watch, begin) {
                    (Some(_), _) => how::WATCHED,
                    (None, true) => how::WATCH,
                    (None, false) => how::ONCE,
                };
                let found = client.epoll_ready(epfd, how, max)?;
                match (found.is_empty(), how) {
                    (true, how::WATCH) => *watch = Some(Watch::Remote(client)),
                    // It has been let go of.
                    (false, how::WATCHED) => core::mem::forget(watch.take()),
                    _ => {}
                }
                found.into_iter().for_each(&mut sink);
                Ok(())
            }
        }
    }

    /// The host has seen that the epoll instance which is in that of `epfd` (or `watch`) by the number `fd` is ready: what is to be told of it.
    ///
    /// # Errors
    /// `ENOENT`: there is none. `EBADF`, `EINVAL`
    pub(crate) fn epoll_inner(&self, epfd: i32, watch: Option<&Watch<'_>>, fd: i32) -> Result<Option<EpollEvent>> {
        match self {
            Self::Direct { instance, task, .. } => instance.kernel.epoll_inner(task, at(epfd, watch), fd),
            Self::Remote(client) => client.epoll_inner(epfd, watch.is_some(), fd),
        }
    }

    /// Sleeps until what is watched changes, one of the host's descriptors is ready, a signal comes, or the deadline.
    pub(crate) fn sleep(&self, fds: &mut [libc::pollfd], deadline: Option<Instant>) -> Slept {
        match self {
            Self::Direct { parker, instance, .. } => parker.sleep(fds, deadline, None, instance.kernel.busy_poll()),
            Self::Remote(client) => client.sleep(fds, deadline),
        }
    }

    /// Ends the thread's present or next sleep in the kernel. Async-signal-safe.
    pub(super) fn interrupt(&self) {
        match self {
            Self::Direct { parker, .. } => parker.interrupt(),
            Self::Remote(client) => client.interrupt(),
        }
    }
}
