//! The process that keeps the kernel for all processes of the tree.
//!
//! It shares the memory of the program that booted the kernel, and nothing else: it has a thread group, descriptors and
//! signal handlers of its own, so it stays when the program ends, is killed, or becomes another one. The program calls the
//! kernel directly. Other processes ([`crate::tree`]) are *members*: each has a socket to the keeper, and a window of shared
//! memory through which its threads make calls, one thread of the keeper for each ([`serve`]).
//!
//! * [`member`]: one process. [`remote`]: its memory and descriptor numbers, from here.
//!
//! Descriptors: those of the host's kernel that devices and sleepers use are open under the same numbers in the program
//! and here (`Hooks::mirror`). All others are the keeper's alone, above [`OWN`].
//!
//! A process is gone when the host says so (a pidfd); a child that has not come yet, when the socket that was made for it
//! is closed. Then its files are closed. When nobody is left, the keeper waits until the peers have all that was
//! sent and no connection is in `TIME_WAIT`, and ends.

pub(crate) mod linger;
mod member;
mod remote;
mod seat;
mod serve;

use crate::alloc::HEAP;
use crate::fds::{self, state};
use crate::limits;
use crate::panics;
use crate::raw;
use crate::signal;
use crate::start::nap;
use crate::sys::{self, host};
use crate::thread;
use crate::tree::line::Window;
use crate::tree::message::{self, kind, Message};
use crate::tree::named::{self, place::Door};
pub(crate) use remote::FirstNumbers;
pub(crate) use serve::id_of;

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use core::time::Duration;
use linger::Pulse;
use lkl_abi::{Errno, Result};
use lkl_host::RealHost;
use lkl_inet::tcp::Held;
use lkl_kernel::{Kernel, OpenFile, Process};
use member::Member;
use remote::Memory;
use serve::Worker;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Stack of the thread that serves the kernel, and of the one that minds the members.
const STACK: usize = 512 << 10;
/// The keeper's own descriptors are at least this, if the limit allows.
const OWN: i32 = 8192;

/// What the threads of the keeper share.
pub(crate) struct Keeper {
    kernel: Arc<Kernel>,
    host: Arc<RealHost>,
    /// Files on their way to another process, by the socket that ends when they have arrived.
    flights: Mutex<BTreeMap<i32, Arc<OpenFile>>>,
    /// An eventfd that the program has too, and what it wants rung: the eventfds of members are open only here.
    bell: i32,
    rung: Mutex<Vec<Arc<AtomicI32>>>,
    /// Who makes the calls of members.
    workers: Mutex<Vec<Weak<Worker>>>,
    /// How the thread that minds the members comes along ([`linger::watch`]).
    pulse: Arc<Pulse>,
}

impl Keeper {
    fn flights(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, Arc<OpenFile>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings the eventfd of a member's thread.
    fn ring(&self, event: &Arc<AtomicI32>) {
        if thread::current().is_ours() {
            sys::ring(event.load(Ordering::Acquire));
            return;
        }
        // A thread of the program's.
        self.rung.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        sys::ring(self.bell);
    }

    /// A thread that makes calls of a member's is there.
    fn add_worker(&self, worker: &Arc<Worker>) {
        let mut all = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|w| w.strong_count() > 0);
        all.push(Arc::downgrade(worker));
    }

    /// Rings what the program wanted rung.
    fn ring_all(&self) {
        sys::hush(self.bell);
        let all = core::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner));
        all.iter().for_each(|event| sys::ring(event.load(Ordering::Acquire)));
    }

    /// The file in flight that was [`serve::id_of`] `id` to its sender.
    fn in_flight(&self, id: u64) -> Option<Arc<OpenFile>> {
        self.flights().values().find(|f| id_of(f) == id).cloned()
    }
}

/// The kernel has panicked: calls of members that sleep are made again.
pub(crate) fn wake_members() {
    // SAFETY: leaked.
    let Some(keeper) = (unsafe { KEEPER.load(Ordering::Acquire).as_ref() }) else { return };
    for worker in keeper.workers.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
        worker.interrupt(serve::ALL);
        keeper.ring(&worker.event);
    }
}

/// Others than the program whose memory this is have used the kernel.
static SHARED: AtomicBool = AtomicBool::new(false);

/// Do other processes use the kernel in this memory? Then the program does not call it directly any more: it could be
/// killed in the middle of a call, holding locks, and they would never get them.
pub(crate) fn shared() -> bool {
    SHARED.load(Ordering::Relaxed)
}

/// The program in whose memory the kernel is does not call it directly any more, though nobody else uses it.
pub(crate) fn share() {
    SHARED.store(true, Ordering::Release);
}

/// The keeper, for the program in whose memory it is. Leaked.
static KEEPER: AtomicPtr<Keeper> = AtomicPtr::new(core::ptr::null_mut());

/// The file in flight with this number, in the process that has the kernel.
pub(crate) fn in_flight(id: u64) -> Option<Arc<OpenFile>> {
    // SAFETY: leaked.
    unsafe { KEEPER.load(Ordering::Acquire).as_ref() }?.in_flight(id)
}

/// The program's ends of what the keeper was started with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// The meeting place, which all processes of the tree have.
    pub(crate) meeting: i32,
    /// This process's own socket.
    pub(crate) connection: i32,
}

/// The sockets that listen for processes outside the tree.
#[derive(Debug)]
pub(crate) struct Doors {
    /// By which they join, if the kernel has a name. It lives until it is told to end then.
    pub(crate) named: Option<Door>,
    /// By which they ask for the devices.
    pub(crate) devices: Vec<i32>,
}

/// Starts the keeper of a kernel that was just booted, for the process that booted it. `settings` is what the kernel was started with, as
/// [`named::settings_text`] has it.
///
/// # Errors
/// `EMFILE`, `EAGAIN`, `ENOMEM`, `EPERM`: the host does not let us.
pub(crate) fn start(
    kernel: Arc<Kernel>,
    real: Arc<RealHost>,
    process: Arc<Process>,
    mut doors: Doors,
    settings: String,
) -> Result<Ends> {
    let mut brought = Vec::new();
    let mut bring = |fd: &mut i32| {
        if *fd >= 0 {
            *fd = fds::privatise(*fd);
            brought.push(*fd);
        }
    };
    doors.devices.iter_mut().for_each(&mut bring);
    if let Some(door) = &mut doors.named {
        bring(&mut door.socket);
        bring(&mut door.dir);
        message::tell_senders(door.socket);
    }
    let meeting = message::pair()?.map(fds::privatise);
    let first = message::pair()?.map(fds::privatise);
    // Before anybody can send.
    message::tell_senders(meeting[1]);
    message::tell_senders(first[1]);
    // SAFETY: no pointers.
    let bell = unsafe { host!(libc::SYS_eventfd2, 0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }?;
    let bell = fds::privatise(bell as i32);
    let ours = [meeting[0], first[0]];
    let private = fds::in_range(0, i32::MAX).filter(|fd| fds::get(*fd) == state::PRIVATE);
    let kept: Vec<i32> = private.filter(|fd| !ours.contains(fd)).collect();
    let pulse = Arc::new(Pulse::new());
    let keeper = Arc::new(Keeper {
        pulse,
        kernel,
        host: real,
        flights: Mutex::new(BTreeMap::new()),
        bell,
        rung: Mutex::new(Vec::new()),
        workers: Mutex::new(Vec::new()),
    });
    KEEPER.store(Arc::into_raw(keeper.clone()).cast_mut(), Ordering::Release);
    let pid = sys::getpid();
    let run = move || {
        detach(&kept);
        let host = keeper.host.clone();
        // SAFETY: no pointers.
        if let Ok(program) = unsafe { host!(libc::SYS_pidfd_open, pid, 0i32) } {
            let _watched =
                linger::watch(own(program as i32), keeper.pulse.clone(), keeper.kernel.clone(), host.clone());
        }
        let minded = raw::thread(
            STACK,
            Box::new(move || {
                let mut desk = Desk::new(keeper, settings);
                desk.open(pid, process, meeting[1], first[1], doors);
                desk.run();
            }),
        );
        if minded.is_ok() {
            host.work();
        }
    };
    orphan(Box::new(run))?;
    for fd in brought.into_iter().chain([meeting[1], first[1]]) {
        fds::set(fd, state::HOST);
        sys::close(fd);
    }
    Ok(Ends { meeting: meeting[0], connection: first[0] })
}

/// Starts a process with this memory that is not the program's child: the program may wait for all of its children, whatever
/// their exit signal (`__WALL`).
fn orphan(run: Box<dyn FnOnce() + Send>) -> Result<()> {
    let error = Arc::new(AtomicI32::new(0));
    let told = error.clone();
    let between = move || {
        if let Err(e) = raw::process(STACK, run) {
            told.store(e.0, Ordering::Release);
        }
    };
    let pid = raw::process(STACK, Box::new(between))?;
    // SAFETY: no status is asked for.
    while unsafe { host!(libc::SYS_wait4, pid, 0usize, libc::__WALL, 0usize) } == Err(Errno::EINTR) {}
    match error.load(Ordering::Acquire) {
        0 => Ok(()),
        e => Err(Errno(e)),
    }
}

/// Leaves everything of the program's but its memory. A fault here is not for the program's handlers.
fn detach(kept: &[i32]) {
    signal::detach();
    // SAFETY: none of these touches memory but the strings, and the names end with a nul.
    unsafe {
        let _session = host!(libc::SYS_setsid);
        let _root = host!(libc::SYS_chdir, c"/".as_ptr());
        let _name = host!(libc::SYS_prctl, libc::PR_SET_NAME, c"lkl-kernel".as_ptr());
    }
    panics::in_keeper();
    limits::lift();
    let mut limit = [0u64; 2];
    // SAFETY: `struct rlimit` is two 64-bit numbers.
    unsafe {
        let nofile = libc::RLIMIT_NOFILE as i32;
        if host!(libc::SYS_prlimit64, 0i32, nofile, 0usize, limit.as_mut_ptr()).is_ok() {
            limit[0] = limit[1];
            let _raised = host!(libc::SYS_prlimit64, 0i32, nofile, limit.as_ptr(), 0usize);
        }
    }
    let mut kept: Vec<u32> = kept.iter().map(|fd| *fd as u32).collect();
    kept.sort_unstable();
    let mut from = 0u32;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if fd > from {
            // SAFETY: no pointers; what is closed is the program's, in a table of our own.
            let _closed = unsafe { host!(libc::SYS_close_range, from, fd - 1, 0u32) };
        }
        from = fd.saturating_add(1);
    }
}

/// Moves a descriptor above [`OWN`].
fn own(fd: i32) -> i32 {
    // SAFETY: no pointers.
    match unsafe { host!(libc::SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, OWN) } {
        Ok(high) => {
            sys::close(fd);
            high as i32
        }
        Err(_) => fd,
    }
}

/// A child that was announced and has not come yet.
type Expected = (Arc<Process>, Arc<Memory>);

/// Who is at the other end of a socket.
enum Who {
    /// Whoever has the meeting place.
    Meeting,
    /// One process.
    Member(Arc<Member>),
    /// A child to come.
    Child(Expected),
    /// A file in flight.
    Flight,
    /// Processes outside the tree that want to join it.
    Listener,
    /// Those that want a device of it.
    Device,
    /// One that does.
    Guest,
    /// The program, which wants members' threads woken.
    Bell,
    /// A process, as the host counts it.
    Pid(Arc<Member>),
}

/// The thread that minds the members.
struct Desk {
    keeper: Arc<Keeper>,
    epoll: i32,
    who: BTreeMap<i32, Who>,
    /// What the kernel was started with.
    settings: String,
    /// The kernel's name.
    named: Option<Door>,
    /// Somebody outside has asked for the end.
    stopped: bool,
    /// The window that goes with the answer.
    lent: Option<i32>,
    /// Peers of connections that are lost are about to be told.
    resets: AtomicBool,
}

impl Desk {
    fn new(keeper: Arc<Keeper>, settings: String) -> Self {
        // SAFETY: no pointers.
        let epoll = unsafe { host!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC) }.map_or(-1, |fd| own(fd as i32));
        let (who, resets) = (BTreeMap::new(), AtomicBool::new(false));
        Self { keeper, epoll, who, settings, named: None, stopped: false, lent: None, resets }
    }

    fn open(&mut self, pid: i32, process: Arc<Process>, meeting: i32, first: i32, doors: Doors) {
        let member = Member::first(&self.keeper, process);
        self.add(own(meeting), Who::Meeting);
        self.follow(pid, &member);
        self.add(own(first), Who::Member(member));
        self.add(self.keeper.bell, Who::Bell);
        for device in doors.devices {
            self.add(own(device), Who::Device);
        }
        self.named = doors.named;
        if let Some(door) = &self.named {
            self.add(own(door.socket), Who::Listener);
        }
    }

    /// Looks at `fd` from now on, which is ours.
    fn add(&mut self, fd: i32, who: Who) {
        if matches!(who, Who::Meeting | Who::Member(_) | Who::Child(_)) {
            message::tell_senders(fd);
        }
        let event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
        // SAFETY: one event.
        let _added = unsafe { host!(libc::SYS_epoll_ctl, self.epoll, libc::EPOLL_CTL_ADD, fd, &raw const event) };
        self.who.insert(fd, who);
    }

    fn remove(&mut self, fd: i32) -> Option<Who> {
        let who = self.who.remove(&fd);
        sys::close(fd);
        who
    }

    /// Learns of the end of the process `pid`.
    fn follow(&mut self, pid: i32, member: &Arc<Member>) {
        // SAFETY: no pointers.
        match unsafe { host!(libc::SYS_pidfd_open, pid, 0i32) } {
            Ok(fd) => self.add(own(fd as i32), Who::Pid(member.clone())),
            Err(_) => self.bury(pid, member),
        }
    }

    fn bury(&self, pid: i32, member: &Arc<Member>) {
        if member.first {
            HEAP.program_gone();
            self.keeper.host.disown(pid);
            let lost = self.lost();
            if !lost.is_empty() {
                self.replace_worker();
            }
            if !shared() {
                member.bury_killed(&lost);
            }
        }
        member.bury();
        self.keeper.pulse.beat();
    }

    /// The thread that serves the kernel may have come upon a connection that is lost, before that was found: then it waits for ever, and
    /// another one takes its place.
    fn replace_worker(&self) {
        /// Longer than anything takes that it does.
        const PATIENCE: Duration = Duration::from_millis(50);
        let host = self.keeper.host.clone();
        let before = host.at_work();
        nap(PATIENCE);
        if before.is_some_and(|round| host.give_up_worker(round)) {
            let worker = host.clone();
            let _started = raw::thread(STACK, Box::new(move || worker.work()));
            // What it was about when it got stuck.
            self.keeper.kernel.net().servers_gone();
        }
    }

    /// The connections that the first process held when it ended: their peers are told. Answers their inodes.
    fn lost(&self) -> Vec<u64> {
        /// Longer than anybody else holds one.
        const PATIENCE: u32 = 20;
        let net = self.keeper.kernel.net();
        let mut held = net.servers_gone();
        for _ in 0..PATIENCE {
            if held.is_empty() {
                break;
            }
            nap(Duration::from_millis(5));
            held.retain(Held::still);
        }
        held.iter().for_each(|h| net.tcp_forsake(h));
        self.resets.store(!held.is_empty(), Ordering::Relaxed);
        held.iter().map(Held::ino).collect()
    }

    /// Is there a process, or may one come?
    fn anybody(&self) -> bool {
        self.who.values().any(|w| !matches!(w, Who::Flight | Who::Device | Who::Guest | Who::Bell))
    }

    fn run(&mut self) -> ! {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 32];
        while self.anybody() && !self.stopped {
            let wait = || {
                // SAFETY: room for this many events.
                unsafe { host!(libc::SYS_epoll_wait, self.epoll, events.as_mut_ptr(), events.len(), -1i32) }
            };
            let n = self.keeper.pulse.rest(wait);
            for e in events.iter().take(n.unwrap_or(0) as usize) {
                let (bits, fd) = (e.events, e.u64 as i32);
                self.event(fd, bits);
            }
        }
        self.close_all();
        self.let_go_of_disks();
        let kernel = self.keeper.kernel.clone();
        let least = if self.resets.load(Ordering::Relaxed) { linger::RESETS } else { Duration::ZERO };
        linger::until_quiet(&kernel, least, || {
            self.keeper.pulse.beat();
            self.device_wanted()
        });
        // The device first: who waits for it waits for the end of a socket.
        self.keeper.host.release();
        sys::exit(0)
    }

    /// Does another kernel want the device, while nobody is left here?
    fn device_wanted(&mut self) -> bool {
        let devices: Vec<i32> = self.who.iter().filter(|(_, w)| matches!(w, Who::Device)).map(|(fd, _)| *fd).collect();
        for fd in devices.into_iter().filter(|fd| sys::readable(*fd)) {
            self.accept(fd, Who::Guest);
        }
        self.who.values().any(|w| matches!(w, Who::Guest))
    }

    /// Unmounts every disk image, and gives it back.
    fn let_go_of_disks(&self) {
        let kernel = &self.keeper.kernel;
        if let Err(e) = kernel.unmount_all() {
            sys::say(&format!("lkl-hijack: the end of a disk image: {e}"));
        }
        for disk in kernel.devices().disks() {
            let _gone = kernel.remove_disk(disk.whole.name());
        }
    }

    /// Is nobody left but `member`, nor can come?
    fn last(&self, member: &Arc<Member>) -> bool {
        // Those that the host says have ended do not count.
        self.who.iter().all(|(fd, who)| match who {
            Who::Pid(_) if sys::readable(*fd) => true,
            Who::Member(_) if message::hung_up(*fd) => true,
            Who::Pid(m) | Who::Member(m) => Arc::ptr_eq(m, member) || m.is_gone(),
            Who::Meeting | Who::Child(_) => message::hung_up(*fd),
            Who::Listener => false,
            Who::Flight | Who::Device | Who::Guest | Who::Bell => true,
        })
    }

    fn close_all(&mut self) {
        let all: Vec<i32> = self.who.keys().copied().collect();
        for fd in all {
            match self.who.get(&fd) {
                Some(Who::Member(m) | Who::Pid(m)) => m.bury(),
                Some(Who::Child((process, _))) => process.abandon(),
                Some(Who::Device | Who::Guest | Who::Bell) => continue,
                _ => {}
            }
            self.remove(fd);
        }
        self.keeper.flights().clear();
    }

    fn event(&mut self, fd: i32, bits: u32) {
        match self.who.get(&fd) {
            None => return,
            Some(Who::Pid(member)) => {
                let member = member.clone();
                self.bury(member.process.pid(), &member);
                self.remove(fd);
                return;
            }
            Some(Who::Flight) => {
                self.remove(fd);
                let arrived = self.keeper.flights().remove(&fd);
                drop(arrived);
                return;
            }
            Some(Who::Bell) => return self.keeper.ring_all(),
            Some(Who::Listener) => return self.accept(fd, Who::Meeting),
            Some(Who::Device) => return self.accept(fd, Who::Guest),
            Some(Who::Meeting | Who::Member(_) | Who::Child(_) | Who::Guest) => {}
        }
        while self.who.contains_key(&fd) {
            match message::receive(fd, libc::MSG_DONTWAIT) {
                Ok(m) => self.message(fd, m),
                Err(Errno::EAGAIN) => break,
                Err(_) => return self.hung_up(fd),
            }
        }
        if bits & (libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0 {
            self.hung_up(fd);
        }
    }

    fn hung_up(&mut self, fd: i32) {
        // A member goes with its process, not with its socket.
        if let Some(Who::Child((process, _))) = self.remove(fd) {
            process.abandon();
        }
    }

    fn accept(&mut self, listener: i32, who: Who) {
        // SAFETY: null pointers: nobody asks for the address.
        let fd = unsafe { host!(libc::SYS_accept4, listener, 0usize, 0usize, libc::SOCK_CLOEXEC) };
        let Ok(fd) = fd else { return };
        if message::same_user(fd as i32) {
            self.add(own(fd as i32), who);
        } else {
            sys::close(fd as i32);
        }
    }

    /// Is there still somebody, when all ends are seen to that the host knows of by now?
    fn still_anybody(&mut self) -> bool {
        let ended = |fd: i32, who: &Who| match who {
            Who::Pid(_) => sys::readable(fd),
            Who::Meeting | Who::Member(_) | Who::Child(_) => message::hung_up(fd),
            _ => false,
        };
        let gone: Vec<i32> = self.who.iter().filter(|(fd, w)| ended(**fd, w)).map(|(fd, _)| *fd).collect();
        for fd in gone {
            self.event(fd, libc::EPOLLHUP as u32);
        }
        self.anybody()
    }

    fn message(&mut self, fd: i32, mut m: Message) {
        let index = m.word(1) as usize;
        let result = match m.word(0) {
            kind::THREAD => {
                if let Some(Who::Member(member)) = self.who.get(&fd) {
                    let _told = member.thread(index);
                }
                return;
            }
            kind::INTERRUPT => {
                if let Some(Who::Member(member)) = self.who.get(&fd) {
                    member.interrupt(index, m.word(2));
                }
                return;
            }
            kind::EVENT => {
                if let (Some(Who::Member(member)), Some(event)) = (self.who.get(&fd), m.take_fd()) {
                    member.set_event(index, own(event));
                }
                Ok(())
            }
            kind::STATUS => return self.status(fd),
            // If nobody is left, the end of the socket is the answer.
            kind::YIELD if !self.still_anybody() => return,
            kind::YIELD => Err(Errno::EBUSY),
            kind::STOP => {
                self.stop(fd);
                Ok(())
            }
            kind::WINDOW => self.window(fd, &mut m),
            kind::JOIN => return self.join(m),
            kind::CLAIM => self.claim(fd, &mut m),
            kind::EXEC => self.exec(fd, &mut m),
            kind::FORK => self.fork(fd, &mut m),
            kind::MIRROR => m.take_fd().ok_or(Errno::EBADF).and_then(|from| mirror(from, index as i32)),
            kind::FLIGHT => self.flight(fd, &mut m),
            kind::BYE => {
                if let Some(Who::Member(member)) = self.who.get(&fd) {
                    // Its threads may still be about something, and the direct ones are told from the dead by the pid.
                    member.bury();
                    if self.last(member) {
                        // Whoever waits for the program finds the images as they should be.
                        self.let_go_of_disks();
                    }
                }
                Ok(())
            }
            _ => Err(Errno::ENOSYS),
        };
        self.reply(fd, result);
    }

    fn reply(&mut self, fd: i32, result: Result<()>) {
        let word = result.err().map_or(0, |e| e.0 as u64);
        let _told = message::send(fd, &[word], self.lent.take().as_slice(), libc::MSG_DONTWAIT);
    }

    /// The window that has come with a message. A process that may make no file of that length (`RLIMIT_FSIZE`) is sent one.
    fn take_window(&mut self, m: &mut Message) -> Result<Window> {
        if let Some(fd) = m.take_fd() {
            return Window::open(own(fd));
        }
        let mut window = Window::create()?;
        window.renumber(own);
        self.lent = Some(window.fd());
        Ok(window)
    }

    /// Ends the kernel, on behalf of whoever is at `fd`.
    fn stop(&mut self, fd: i32) {
        self.stopped = true;
        if let Some(door) = &self.named {
            // From now on the name is free.
            // SAFETY: a C string.
            let _gone = unsafe { host!(libc::SYS_unlinkat, door.dir, door.file.as_ptr(), 0i32) };
        }
        if let Some(who @ Who::Meeting) = self.who.get_mut(&fd) {
            // It waits for the end.
            *who = Who::Guest;
        }
    }

    fn join(&mut self, mut m: Message) {
        SHARED.store(true, Ordering::Release);
        let Some(connection) = m.take_fd() else { return };
        let connection = own(connection);
        match self.take_window(&mut m) {
            Ok(window) => {
                let member = Member::joined(&self.keeper, m.pid, window);
                self.follow(m.pid, &member);
                self.add(connection, Who::Member(member));
                self.reply(connection, Ok(()));
            }
            Err(e) => {
                self.reply(connection, Err(e));
                sys::close(connection);
            }
        }
    }

    fn window(&mut self, fd: i32, m: &mut Message) -> Result<()> {
        let window = self.take_window(m)?;
        match self.who.get(&fd) {
            Some(Who::Member(member)) => member.set_window(window),
            _ => Err(Errno::EINVAL),
        }
    }

    fn claim(&mut self, fd: i32, m: &mut Message) -> Result<()> {
        let window = self.take_window(m)?;
        let Some(Who::Child(expected)) = self.who.get(&fd) else { return Err(Errno::EINVAL) };
        let member = Member::claimed(&self.keeper, expected.clone(), m.pid, window);
        self.who.insert(fd, Who::Member(member.clone()));
        self.follow(m.pid, &member);
        Ok(())
    }

    fn exec(&mut self, fd: i32, m: &mut Message) -> Result<()> {
        SHARED.store(true, Ordering::Release);
        let window = self.take_window(m)?;
        let kept = m.words[1..].chunks_exact(2).map(|pair| (pair[0] as i32, pair[1]));
        let (before, old) = match self.who.get(&fd) {
            Some(Who::Child((process, _))) => (process.clone(), None),
            Some(Who::Member(member)) => (member.process.clone(), Some(member.clone())),
            _ => return Err(Errno::EINVAL),
        };
        let member = Member::exec(&self.keeper, &before, m.pid, window, kept);
        if let Some(old) = old {
            let pids: Vec<i32> = self
                .who
                .iter()
                .filter(|(_, w)| matches!(w, Who::Pid(p) if Arc::ptr_eq(p, &old)))
                .map(|(fd, _)| *fd)
                .collect();
            for pid in pids {
                self.remove(pid);
            }
            self.bury(before.pid(), &old);
        } else {
            before.abandon();
        }
        self.who.insert(fd, Who::Member(member.clone()));
        self.follow(m.pid, &member);
        Ok(())
    }

    fn fork(&mut self, fd: i32, m: &mut Message) -> Result<()> {
        let child = own(m.take_fd().ok_or(Errno::EBADF)?);
        SHARED.store(true, Ordering::Release);
        match self.who.get(&fd) {
            Some(Who::Member(parent)) => {
                let expected = parent.fork();
                self.add(child, Who::Child(expected));
                Ok(())
            }
            _ => {
                sys::close(child);
                Err(Errno::EINVAL)
            }
        }
    }

    fn flight(&mut self, fd: i32, m: &mut Message) -> Result<()> {
        let ticket = own(m.take_fd().ok_or(Errno::EBADF)?);
        let file = match self.who.get(&fd) {
            Some(Who::Member(sender)) => {
                let process = &sender.process;
                let files = process.descriptors().into_iter().filter_map(|fd| process.file(fd).ok());
                files.into_iter().find(|f| id_of(f) == m.word(1))
            }
            _ => None,
        };
        let Some(file) = file else {
            sys::close(ticket);
            return Err(Errno::EBADF);
        };
        self.keeper.flights().insert(ticket, file);
        self.add(ticket, Who::Flight);
        Ok(())
    }

    fn status(&self, fd: i32) {
        let processes = self.who.values().filter_map(|who| match who {
            Who::Pid(member) => Some((member.process.pid(), member.name())),
            _ => None,
        });
        let text = named::status_text(sys::getpid(), &self.settings, processes);
        let words: Vec<u64> = core::iter::once(0).chain(message::text(&text)).collect();
        let _told = message::send(fd, &words, &[], libc::MSG_DONTWAIT);
    }
}

/// Has `from` at the number `to`; `from` is closed.
fn mirror(from: i32, to: i32) -> Result<()> {
    // SAFETY: no pointers; the number is one that the program has for the same file.
    let done = unsafe { host!(libc::SYS_dup3, from, to, libc::O_CLOEXEC) };
    sys::close(from);
    done.map(drop)
}
