//! `SIGIO` and `SIGURG`: who is told of what happens to a socket, by signals (`man 2 fcntl`, "Managing signals").
//!
//! A waiter like any other on the socket's queue, which the open file description has from the first `F_SETOWN`, `F_SETSIG` or
//! `O_ASYNC` until it is closed. What may be said of a socket that it does not wake for is in `lkl_file::SockOptions`.

use crate::openfile::OpenFile;
use core::sync::atomic::Ordering::Relaxed;
use lkl_abi::epoll::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLMSG, EPOLLOUT, EPOLLPRI};
use lkl_abi::epoll::{EPOLLRDBAND, EPOLLRDNORM, EPOLLWRBAND, EPOLLWRNORM};
use lkl_abi::fcntl::{F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID};
use lkl_abi::{Errno, Result};
use lkl_file::File;
use lkl_ops::{Host, Owner, OwnerKind, Poll};
use lkl_sync::{Events, Mutex, Rank, Registration, Waiter};
use lkl_vfs::LeaseHolder;
use std::sync::{Arc, Weak};

/// `SIGURG`
const SIGURG: i32 = 23;
/// `SIGIO`
const SIGIO: i32 = 29;

/// What happened: `si_code`, and what it is in `si_band`.
#[derive(Clone, Copy)]
struct Reason(i32, u32);

const POLL_IN: Reason = Reason(1, EPOLLIN | EPOLLRDNORM);
const POLL_OUT: Reason = Reason(2, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
const POLL_MSG: Reason = Reason(3, EPOLLIN | EPOLLRDNORM | EPOLLMSG);
const POLL_ERR: Reason = Reason(4, EPOLLERR);
const POLL_PRI: Reason = Reason(5, EPOLLPRI | EPOLLRDBAND);
const POLL_HUP: Reason = Reason(6, EPOLLHUP | EPOLLERR);

#[derive(Clone, Copy)]
struct State {
    /// `F_OWNER_*`
    kind: i32,
    owner: Option<Owner>,
    /// The signal instead of `SIGIO`, 0 for `SIGIO` itself, which then says nothing.
    signal: i32,
    /// `O_ASYNC`
    on: bool,
    /// The descriptor by which that was set.
    fd: i32,
    /// That the peer has closed was told.
    ended: bool,
    /// The descriptor by which a lease was taken.
    lease_fd: i32,
}

/// Who is told of what happens to an open file.
pub(crate) struct Fasync {
    host: Arc<dyn Host>,
    /// Not the description: a waiter must not be the last who refers to that.
    file: Weak<dyn File>,
    state: Mutex<State>,
    registration: Mutex<Option<Registration>>,
}

impl Fasync {
    /// For `file`, of which nobody is told yet. Only sockets have anything to tell.
    pub(crate) fn new(file: &Arc<OpenFile>, host: &Arc<dyn Host>) -> Arc<Self> {
        let state = State { kind: F_OWNER_TID, owner: None, signal: 0, on: false, fd: -1, ended: false, lease_fd: -1 };
        let me = Arc::new(Self {
            host: host.clone(),
            file: Arc::downgrade(file.file()),
            state: Mutex::new(Rank::Leaf, state),
            registration: Mutex::new(Rank::Leaf, None),
        });
        if file.socket().is_some() {
            let registration = file.file().wait_queue().register(me.clone(), Events::ALL, false);
            *me.registration.lock() = Some(registration);
        }
        me
    }

    /// The file is closed.
    pub(crate) fn deregister(&self, file: &dyn File) {
        let registration = self.registration.lock().take();
        if let Some(registration) = registration {
            file.wait_queue().deregister(registration);
        }
    }

    /// Makes `id`, counted as `kind` says, the owner; 0 for none. `by` is the process that wants it.
    ///
    /// # Errors
    /// `EINVAL` for an unknown kind, `ESRCH` if there is no such process.
    pub(crate) fn set_owner(&self, kind: i32, id: i32, by: i32) -> Result<()> {
        let counted = match kind {
            F_OWNER_TID => OwnerKind::Thread,
            F_OWNER_PID => OwnerKind::Process,
            F_OWNER_PGRP => OwnerKind::Group,
            _ => return Err(Errno::EINVAL),
        };
        let owner = if id == 0 { None } else { Some(self.host.owner(counted, id, by)?) };
        let mut state = self.state.lock();
        (state.kind, state.owner) = (kind, owner);
        Ok(())
    }

    /// The owner: `F_OWNER_*` and its number, 0 if there is none (any more).
    pub(crate) fn owner(&self) -> (i32, i32) {
        let State { kind, owner, .. } = *self.state.lock();
        (kind, owner.filter(|o| self.host.owner_lives(o)).map_or(0, |o| o.id))
    }

    /// The signal instead of `SIGIO` (`F_GETSIG`).
    pub(crate) fn signal(&self) -> i32 {
        self.state.lock().signal
    }

    /// Sets the signal instead of `SIGIO` (`F_SETSIG`).
    pub(crate) fn set_signal(&self, signal: i32) {
        self.state.lock().signal = signal;
    }

    /// `O_ASYNC` is `on` from now on; it was changed by way of `fd`.
    pub(crate) fn set_async(&self, on: bool, fd: i32) {
        let mut state = self.state.lock();
        if state.on != on {
            (state.on, state.fd) = (on, fd);
        }
    }

    /// A lease of the file was taken by way of `fd`.
    pub(crate) fn has_lease(&self, fd: i32) {
        self.state.lock().lease_fd = fd;
    }

    /// Was the end of what comes told before?
    fn first_end(&self) -> bool {
        !core::mem::replace(&mut self.state.lock().ended, true)
    }

    fn tell(&self, state: &State, owner: &Owner, Reason(code, band): Reason) {
        match state.signal {
            0 => self.host.signal(owner, SIGIO, None),
            signal => self.host.signal(owner, signal, Some(Poll { code, band, fd: state.fd })),
        }
    }
}

impl LeaseHolder for Fasync {
    fn broken(&self) {
        let state = *self.state.lock();
        if let Some(owner) = state.owner {
            self.tell(&State { fd: state.lease_fd, ..state }, &owner, POLL_MSG);
        }
    }

    fn ended(&self) {
        let mut state = self.state.lock();
        (state.kind, state.owner, state.signal, state.lease_fd) = (F_OWNER_TID, None, 0, -1);
    }
}

impl Waiter for Fasync {
    fn wake(&self, ready: Events) -> bool {
        // What the program itself has done is no news to it.
        if ready == Events::ALL {
            return false;
        }
        let state = *self.state.lock();
        let (Some(owner), Some(file)) = (state.owner, self.file.upgrade()) else { return false };
        let Some(options) = file.as_socket().map(|s| s.options()) else { return false };
        if ready.contains(Events::PRI) {
            self.host.signal(&owner, SIGURG, None);
            if state.on && state.signal != 0 {
                self.tell(&state, &owner, POLL_PRI);
            }
        }
        if ready.contains(Events::ERR) {
            if state.on {
                self.tell(&state, &owner, POLL_ERR);
            }
            return false;
        }
        if !state.on {
            return false;
        }
        if options.readers.load(Relaxed) == 0 {
            if ready.contains(Events::RDHUP) {
                if self.first_end() {
                    let both = file.poll().contains(Events::HUP);
                    self.tell(&state, &owner, if both { POLL_HUP } else { POLL_IN });
                }
            } else if ready.intersects(Events::IN) && !ready.contains(Events::HUP) {
                self.tell(&state, &owner, POLL_IN);
            }
        }
        if ready.intersects(Events::OUT) && !ready.contains(Events::HUP) && options.no_space.load(Relaxed) {
            self.tell(&state, &owner, POLL_OUT);
        }
        false
    }
}
