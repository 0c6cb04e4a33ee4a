//! The processes that share one kernel, from the side of those that do not have it in their memory.
//!
//! Every process of a tree has the *meeting place*, a socket to the keeper ([`crate::keeper`]) that `fork` and `exec` hand
//! down. A process that uses the kernel has a socket of its own besides, its *connection*, and a window of shared memory, in
//! which each of its threads has a line ([`line`]) to make calls by ([`client`]).
//!
//! * `fork`: if the parent has kernel files, it makes the child's connection and tells the keeper, which gives the child the
//!   same files. The child says that it has come when it first uses the kernel.
//! * `vfork`, `posix_spawn`, `system`, `popen`: the same; but the child has the parent's memory until it is another program.
//! * `exec`: the meeting place and the connection stay open ([`passed`]), the environment tells their numbers. The
//!   new image finds its kernel files by the tags of their placeholders ([`crate::fds::tag`]), and tells the keeper.
//! * Commands that do not descend from one another meet by a name ([`named`]).

pub(crate) mod client;
pub(crate) mod line;
pub(crate) mod message;
pub(crate) mod named;
pub(crate) mod pieces;

use crate::alloc::Spin;
use crate::door;
use crate::fds::{self, state};
use crate::paths::{cwd, place};
use crate::sys::{self, host};
use crate::thread::Thread;
use arrayvec::ArrayVec;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, Ordering};
use line::Window;
use lkl_abi::{Errno, Result};
use message::{kind, Message};

/// The variable that a new image finds the tree by: the numbers of the meeting place and of its connection (or -1), the kernel's name, and
/// its working directory if that is on a disk image.
pub(crate) const VARIABLE: &str = "LKL_HIJACK_TREE";

/// How this process stands to the keeper.
mod standing {
    /// The keeper does not know it.
    pub(super) const STRANGER: u8 = 0;
    /// The keeper waits for it on [`super::CONNECTION`], as a child of `fork`.
    pub(super) const EXPECTED: u8 = 1;
    /// It can make calls.
    pub(super) const MEMBER: u8 = 2;
    /// The keeper is gone, or will not have it.
    pub(super) const OUT: u8 = 3;
}

static MEETING: AtomicI32 = AtomicI32::new(-1);
static CONNECTION: AtomicI32 = AtomicI32::new(-1);
static STANDING: AtomicU8 = AtomicU8::new(standing::STRANGER);
static WINDOW: AtomicPtr<Window> = AtomicPtr::new(core::ptr::null_mut());
/// Held while a message is answered, or the standing changes, and across a fork.
static TALKING: Spin = Spin::new();
/// This process has had children, which may come to the meeting place at any time.
static PARENT: AtomicBool = AtomicBool::new(false);
/// The connection of the child that `fork` is about to make.
static CHILD: AtomicI32 = AtomicI32::new(-1);

/// Where this program begins to work, on a disk image; null if it is in a directory of the host's.
static WORKS_IN: AtomicPtr<Vec<u8>> = AtomicPtr::new(core::ptr::null_mut());

/// The library is open: the program goes where it is to work.
pub(crate) fn settle() {
    // SAFETY: set once, and never freed.
    if let Some(cwd) = unsafe { WORKS_IN.load(Ordering::Acquire).as_ref() } {
        cwd::inherit(cwd);
    }
}

/// Is there a tree with a keeper?
pub(crate) fn any() -> bool {
    MEETING.load(Ordering::Acquire) >= 0
}

/// Is there nobody any more who keeps the kernel?
pub(crate) fn ended() -> bool {
    message::hung_up(MEETING.load(Ordering::Acquire))
}

/// The process with the kernel has a keeper now.
pub(crate) fn begun(ends: crate::keeper::Ends) {
    MEETING.store(ends.meeting, Ordering::Release);
    CONNECTION.store(ends.connection, Ordering::Release);
    STANDING.store(standing::MEMBER, Ordering::Release);
}

/// The process belongs to the tree of this meeting place.
fn meet(meeting: i32) {
    MEETING.store(meeting, Ordering::Release);
}

/// Runs `f` while no other thread of the process talks to the keeper.
fn talking<T>(f: impl FnOnce() -> T) -> T {
    TALKING.lock();
    let out = f();
    TALKING.unlock();
    out
}

/// The answer to a message that was sent on `connection`.
fn answered(connection: i32) -> Result<Message> {
    let m = message::receive(connection, 0).map_err(|_| Errno::EIO)?;
    match m.word(0) {
        0 => Ok(m),
        e => Err(Errno(e as i32)),
    }
}

/// The same, where it has nothing to say but that it is done.
fn answer(connection: i32) -> Result<()> {
    answered(connection).map(drop)
}

/// Asks the keeper for something.
fn request(words: &[u64], fds: &[i32]) -> Result<()> {
    talking(|| ask(words, fds))
}

/// The same, for a thread that talks already.
fn ask(words: &[u64], fds: &[i32]) -> Result<()> {
    let connection = CONNECTION.load(Ordering::Acquire);
    message::send(connection, words, fds, 0).map_err(|_| Errno::EIO)?;
    answer(connection)
}

/// Tells the keeper something that it does not answer. Async-signal-safe.
fn tell(words: &[u64], fds: &[i32], flags: i32) {
    let _told = message::send(CONNECTION.load(Ordering::Acquire), words, fds, flags);
}

/// Where this process's threads make their calls; it becomes a member if it is none.
///
/// # Errors
/// `EIO`: the keeper is gone. `ENOMEM`, `EMFILE`
pub(crate) fn window() -> Result<&'static Window> {
    // SAFETY: windows are leaked.
    if let Some(w) = unsafe { WINDOW.load(Ordering::Acquire).as_ref() } {
        return Ok(w);
    }
    talking(|| {
        // SAFETY: as above. Another thread was quicker.
        if let Some(w) = unsafe { WINDOW.load(Ordering::Acquire).as_ref() } {
            return Ok(w);
        }
        let own = own_window()?;
        let result = match STANDING.load(Ordering::Acquire) {
            standing::STRANGER => join(own),
            standing::EXPECTED => enrol(&[kind::CLAIM], own),
            standing::MEMBER => enrol(&[kind::WINDOW], own),
            _ => Err(Errno::EIO),
        };
        if result.is_err() {
            STANDING.store(standing::OUT, Ordering::Release);
        }
        result.map(enter)
    })
}

/// A window of this process's making; `None` if it may make no file of that length, and the keeper has to lend it one.
fn own_window() -> Result<Option<Window>> {
    match Window::create() {
        Err(Errno::EFBIG) => Ok(None),
        other => other.map(Some),
    }
}

/// Sends `words` on the connection, with the window if there is one; answers that, or the one that is lent.
fn enrol(words: &[u64], own: Option<Window>) -> Result<Window> {
    let connection = CONNECTION.load(Ordering::Acquire);
    message::send(connection, words, own.as_ref().map(Window::fd).as_slice(), 0).map_err(|_| Errno::EIO)?;
    enrolled(connection, own)
}

/// The same, when it has been sent.
fn enrolled(connection: i32, own: Option<Window>) -> Result<Window> {
    let mut m = answered(connection)?;
    match own {
        Some(window) => Ok(window),
        None => Window::open(m.take_fd().ok_or(Errno::EIO)?),
    }
}

fn enter(mut window: Window) -> &'static Window {
    window.renumber(fds::privatise);
    let window = Box::leak(Box::new(window));
    WINDOW.store(core::ptr::from_ref(window).cast_mut(), Ordering::Release);
    STANDING.store(standing::MEMBER, Ordering::Release);
    window
}

/// Comes to the meeting place.
fn join(own: Option<Window>) -> Result<Window> {
    let pair = message::pair()?;
    let mut with: ArrayVec<i32, 2> = ArrayVec::new();
    with.push(pair[1]);
    with.extend(own.as_ref().map(Window::fd));
    let sent = message::send(MEETING.load(Ordering::Acquire), &[kind::JOIN], &with, 0);
    sys::close(pair[1]);
    match sent.map_err(|_| Errno::EIO).and_then(|()| enrolled(pair[0], own)) {
        Ok(window) => {
            CONNECTION.store(fds::privatise(pair[0]), Ordering::Release);
            Ok(window)
        }
        Err(e) => {
            sys::close(pair[0]);
            Err(e)
        }
    }
}

/// The keeper of a kernel that nobody has used ends, and this process belongs to no tree any more. Answers whether it does.
pub(crate) fn dissolve() -> bool {
    if PARENT.load(Ordering::Acquire)
        || STANDING.load(Ordering::Acquire) != standing::MEMBER
        || !WINDOW.load(Ordering::Acquire).is_null()
    {
        return false;
    }
    let connection = CONNECTION.load(Ordering::Acquire);
    if talking(|| message::send(connection, &[kind::STOP], &[], 0)).is_err() {
        return false;
    }
    // Answers, then the end.
    while message::receive(connection, 0).is_ok() {}
    let_go(CONNECTION.swap(-1, Ordering::AcqRel));
    let_go(MEETING.swap(-1, Ordering::AcqRel));
    STANDING.store(standing::STRANGER, Ordering::Release);
    true
}

/// The keeper is to have `fd` at the same number.
pub(crate) fn mirror(fd: i32) -> bool {
    !any() || request(&[kind::MIRROR, fd as u64], &[fd]).is_ok()
}

/// The process ends: its files are closed when this comes back.
pub(crate) fn bye() {
    if STANDING.load(Ordering::Acquire) != standing::MEMBER {
        return;
    }
    if place::any() {
        // So that the keeper can tell whether anybody else has it.
        let_go(MEETING.load(Ordering::Acquire));
    }
    let _closed = request(&[kind::BYE], &[]);
}

/// Announces a child with this process's files; answers its connection, which is the child's to use. `None`: it needs
/// none, or cannot have them.
fn announce() -> Option<i32> {
    if !any() || !(fds::any_kernel() || cwd::ours()) || window_or_direct().is_err() {
        return None;
    }
    let pair = message::pair().ok()?;
    let told = request(&[kind::FORK], &[pair[1]]);
    sys::close(pair[1]);
    match told {
        Ok(()) => Some(fds::privatise(pair[0])),
        Err(_) => {
            sys::close(pair[0]);
            None
        }
    }
}

fn window_or_direct() -> Result<()> {
    if door::direct() {
        return Ok(());
    }
    window().map(drop)
}

fn let_go(fd: i32) {
    if fd >= 0 {
        fds::set(fd, state::HOST);
        sys::close(fd);
    }
}

/// Before `fork`.
pub(crate) fn before_fork() {
    PARENT.store(true, Ordering::Release);
    fds::mix_epolls();
    CHILD.store(announce().unwrap_or(-1), Ordering::Release);
    // So that the child finds nobody in the middle of a talk.
    TALKING.lock();
}

/// After `fork`, in the parent.
pub(crate) fn after_fork_parent() {
    TALKING.unlock();
    let_go(CHILD.swap(-1, Ordering::AcqRel));
}

/// After `fork`, in the child.
pub(crate) fn after_fork_child() {
    TALKING.unlock();
    if !any() {
        return;
    }
    let child = CHILD.swap(-1, Ordering::AcqRel);
    WINDOW.store(core::ptr::null_mut(), Ordering::Release);
    CONNECTION.store(child, Ordering::Release);
    STANDING.store(if child >= 0 { standing::EXPECTED } else { standing::STRANGER }, Ordering::Release);
    // The parent's own: its connection, its window, the device, what wakes its threads.
    let kept = [MEETING.load(Ordering::Acquire), child];
    fds::forsake(&kept);
    client::forked();
}

/// Before a child that lends this process's memory (`vfork`) is made.
pub(crate) fn before_spawn(t: &Thread) {
    PARENT.store(true, Ordering::Release);
    if (fds::any_kernel() || cwd::ours()) && any() {
        let _marked = fds::tag::all(MEETING.load(Ordering::Acquire));
        t.replace_child(announce().unwrap_or(-1));
    }
}

/// That child is another program by now, or has ended.
pub(crate) fn after_spawn(t: &Thread) {
    let_go(t.replace_child(-1));
    cwd::child_has_gone(t);
}

/// What [`VARIABLE`] says.
struct Handed<'a> {
    numbers: [i32; 2],
    name: &'a str,
    cwd: &'a [u8],
}

fn handed_down(value: &[u8]) -> Option<Handed<'_>> {
    let mut parts = value.splitn(4, |b| *b == b',');
    let mut text = || core::str::from_utf8(parts.next()?).ok();
    let numbers = [text()?.parse().ok()?, text()?.parse().ok()?];
    let name = text()?;
    Some(Handed { numbers, name, cwd: parts.next().unwrap_or_default() })
}

/// What [`VARIABLE`] is to be for a new image that gets `passed`, and works in `cwd` on a disk image.
pub(crate) fn variable([meeting, connection]: [i32; 2], cwd: Option<&[u8]>) -> Vec<u8> {
    let mut whole = format!("{VARIABLE}={meeting},{connection},{},", named::name()).into_bytes();
    whole.extend_from_slice(cwd.unwrap_or_default());
    whole
}

/// What an image that is about to be started gets handed down: the numbers of the meeting place and of its
/// connection.
pub(crate) fn passed(t: &Thread) -> Option<[i32; 2]> {
    if !any() {
        return None;
    }
    let connection = if t.spawning.get() {
        t.child()
    } else {
        if fds::any_kernel() && window_or_direct().is_ok() {
            let _marked = fds::tag::all(MEETING.load(Ordering::Acquire));
        }
        match STANDING.load(Ordering::Acquire) {
            standing::MEMBER | standing::EXPECTED => CONNECTION.load(Ordering::Acquire),
            _ => -1,
        }
    };
    Some([MEETING.load(Ordering::Acquire), connection])
}

/// A new image that was handed down `value` of [`VARIABLE`]: it belongs to the tree, unless `wanted`, the name of the
/// kernel that it wants, is another one, or the tree is gone. Answers whether it does.
///
/// # Errors
/// One line that says that its kernel, which has a name, was ended: it is not started again by one of its own programs.
pub(crate) fn arrive(value: &[u8], wanted: &str) -> core::result::Result<bool, String> {
    let Some(Handed { numbers: [meeting, connection], name, cwd }) = handed_down(value) else { return Ok(false) };
    if !is_socket(meeting) {
        return Ok(false);
    }
    let ended = message::hung_up(meeting);
    if ended && name == wanted && !name.is_empty() {
        return Err(format!(
            "lkl-hijack: LKL_HIJACK_KERNEL={name}: the kernel of the program that starts this one has ended"
        ));
    }
    if ended || name != wanted {
        leave(meeting, connection);
        return Ok(false);
    }
    named::set_name(name);
    meet(fds::privatise(meeting));
    let mut words = vec![kind::EXEC];
    let most = message::BYTES / 16 - 1;
    for (fd, kind, id) in fds::tag::find().into_iter().take(most) {
        fds::set(fd, kind);
        words.extend([fd as u64, id]);
    }
    if !cwd.is_empty() {
        WORKS_IN.store(Box::into_raw(Box::new(cwd.to_vec())), Ordering::Release);
    }
    if !is_socket(connection) {
        return Ok(true);
    }
    CONNECTION.store(fds::privatise(connection), Ordering::Release);
    // The keeper lets go of what this image has not got.
    match own_window().and_then(|own| talking(|| enrol(&words, own))) {
        Ok(window) => {
            enter(window);
        }
        Err(_) => STANDING.store(standing::OUT, Ordering::Release),
    }
    Ok(true)
}

/// The new image is of another tree: what it was handed down is let go.
fn leave(meeting: i32, connection: i32) {
    if is_socket(connection) {
        // The keeper closes the files that the image before had, which this one cannot use.
        if message::send(connection, &[kind::BYE], &[], 0).is_ok() {
            let _closed = answer(connection);
        }
        sys::close(connection);
    }
    sys::close(meeting);
}

fn is_socket(fd: i32) -> bool {
    let (mut kind, mut len) = (0i32, 4u32);
    // SAFETY: the answer is an `int`, as its length says.
    let asked =
        unsafe { host!(libc::SYS_getsockopt, fd, libc::SOL_SOCKET, libc::SO_TYPE, &raw mut kind, &raw mut len) };
    fd >= 0 && asked.is_ok() && kind == libc::SOCK_SEQPACKET
}

/// One of our files is about to be sent to another process: answers a descriptor to send in its place, which is
/// the caller's to close.
///
/// # Errors
/// `EIO`, `EMFILE`, `EBADF`
pub(crate) fn ticket(fd: i32) -> Result<i32> {
    window_or_direct()?;
    let id = door::id_of(fd)?;
    let pair = message::pair()?;
    let told = fds::tag::put(pair[0], id).and_then(|()| request(&[kind::FLIGHT, id], &[pair[1]]));
    sys::close(pair[1]);
    match told {
        Ok(()) => Ok(pair[0]),
        Err(e) => {
            sys::close(pair[0]);
            Err(e)
        }
    }
}
