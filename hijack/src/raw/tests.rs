use super::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{mpsc, Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const STACK: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);

type Start = fn(usize, Box<dyn FnOnce() + Send>) -> Result<i32>;
const BOTH: [Start; 2] = [process, thread];

/// Runs `f` in a new one, and answers what it answers.
fn run<T: Send + 'static>(start: Start, f: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, answer) = mpsc::channel();
    start(STACK, Box::new(move || send.send(f()).unwrap())).unwrap();
    answer.recv_timeout(PATIENCE).expect("no answer")
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs `f` in a child of `fork`, which has no other children; answers how it ended.
fn forked(f: impl FnOnce()) -> i32 {
    // SAFETY: the child calls `f` and ends.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let ok = catch_unwind(AssertUnwindSafe(f)).is_ok();
        sys::exit(i32::from(!ok));
    }
    wait(pid)
}

fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is written.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

/// A page that is shared with children.
fn shared() -> &'static [AtomicI32; 4] {
    // SAFETY: a new map, zero and never given back.
    unsafe {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let at = libc::mmap(null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        &*at.cast()
    }
}

thread_local! {
    static PLAIN: Cell<u64> = const { Cell::new(0x1234_5678) };
    static LAZY: RefCell<Vec<String>> = RefCell::new(vec!["fresh".into()]);
    static DROPPED: Noisy = const { Noisy(RefCell::new(None)) };
}

struct Noisy(RefCell<Option<Arc<AtomicUsize>>>);

impl Drop for Noisy {
    fn drop(&mut self) {
        // It is still possible to use another one, and to start using one.
        let n = LAZY.try_with(|l| l.borrow().len()).unwrap_or(100);
        if let Some(count) = self.0.take() {
            count.fetch_add(n, Ordering::SeqCst);
        }
    }
}

#[test]
fn thread_locals_are_fresh_and_dropped() {
    PLAIN.set(1);
    LAZY.with_borrow_mut(|l| l.push("mine".into()));
    for start in BOTH {
        let count = Arc::new(AtomicUsize::new(0));
        let theirs = count.clone();
        let seen = run(start, move || {
            DROPPED.with(|d| *d.0.borrow_mut() = Some(theirs));
            let before = (PLAIN.get(), LAZY.with_borrow(Clone::clone));
            PLAIN.set(7);
            LAZY.with_borrow_mut(|l| l.extend(["a".into(), "b".into()]));
            (before, PLAIN.get(), LAZY.with_borrow(Vec::len))
        });
        assert_eq!(seen, ((0x1234_5678, vec!["fresh".into()]), 7, 3));
        // `LAZY` was registered last, so it went first.
        wait_until("not dropped", || count.load(Ordering::SeqCst) == 100);
    }
    assert_eq!((PLAIN.get(), LAZY.with_borrow(Vec::len)), (1, 2));
}

#[test]
fn storage_is_as_the_loader_made_it() {
    #[repr(C)]
    struct Index {
        module: usize,
        offset: usize,
    }
    unsafe extern "C" {
        fn __tls_get_addr(at: *const Index) -> *mut u8;
        fn pthread_self() -> usize;
    }
    let plan = plan();
    assert!(plan.tid.is_some() && plan.modules.len() >= 2, "this program and libc have thread-locals");
    let look = || {
        let tp = tls::thread_pointer();
        // SAFETY: the modules exist.
        let at = |m: &tls::Module| unsafe { __tls_get_addr(&Index { module: m.id, offset: 0 }) };
        let right = plan.modules.iter().all(|m| at(m) as usize == tp as usize - m.offset);
        // SAFETY: takes nothing.
        let me = unsafe { pthread_self() } == tp as usize && (tp as usize).is_multiple_of(plan.align);
        // SAFETY: inside the control block.
        let tid = unsafe { tp.add(plan.tid.unwrap()).cast::<i32>().read() } == sys::gettid();
        // libc's `errno` and `<ctype.h>`.
        // SAFETY: a call that fails; a letter.
        let libc = unsafe {
            let fails = libc::close(-1) == -1 && *libc::__errno_location() == libc::EBADF;
            fails && libc::isalpha(i32::from(b'x')) != 0 && libc::isalpha(i32::from(b'1')) == 0
        };
        (right, me, tid, libc)
    };
    let fine = (true, true, true, true);
    assert_eq!(look(), fine);
    for start in BOTH {
        assert_eq!(run(start, look), fine);
        // One starts another.
        assert_eq!(run(start, move || run(thread, look)), fine);
    }
}

#[test]
fn locks_and_channels_with_std_threads() {
    for start in BOTH {
        let turn = Arc::new((Mutex::new(0u32), Condvar::new()));
        let (to, from) = mpsc::sync_channel::<u32>(1);
        let (back, answers) = mpsc::channel::<u32>();
        let play = |turn: &(Mutex<u32>, Condvar), odd: u32| {
            for _ in 0..1000 {
                let n = turn.0.lock().unwrap();
                let (mut n, late) = turn.1.wait_timeout_while(n, PATIENCE, |n| *n % 2 != odd).unwrap();
                assert!(!late.timed_out());
                *n += 1;
                turn.1.notify_all();
            }
        };
        let theirs = turn.clone();
        start(
            STACK,
            Box::new(move || {
                play(&theirs, 1);
                // Blocks in both directions.
                for n in from {
                    back.send(n * 2).unwrap();
                }
            }),
        )
        .unwrap();
        let mine = turn.clone();
        std::thread::spawn(move || play(&mine, 0)).join().unwrap();
        wait_until("turns", || *turn.0.lock().unwrap() == 2000);
        for n in 0..1000 {
            to.send(n).unwrap();
            assert_eq!(answers.recv_timeout(PATIENCE), Ok(n * 2));
        }
        drop(to);
        // The other end goes when `f` has ended.
        assert_eq!(answers.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}

#[test]
fn allocation_on_both_sides() {
    for start in BOTH {
        let map =
            run(start, || (0..20_000u32).map(|n| (n, vec![n as u8; n as usize % 500])).collect::<BTreeMap<_, _>>());
        assert!(map.iter().all(|(n, v)| v.len() == *n as usize % 500 && v.iter().all(|b| *b == *n as u8)));
        let sum = run(start, move || map.into_values().map(|v| v.len()).sum::<usize>());
        assert_eq!(sum, (0..20_000).map(|n| n % 500).sum());
    }
}

#[test]
fn panics_end_the_thread_only() {
    for start in BOTH {
        let count = Arc::new(AtomicUsize::new(0));
        let theirs = count.clone();
        let inner = run(start, || catch_unwind(|| std::panic::resume_unwind(Box::new(5))).is_err());
        assert!(inner);
        start(
            STACK,
            Box::new(move || {
                DROPPED.with(|d| *d.0.borrow_mut() = Some(theirs));
                let _held = Box::new(1);
                std::panic::resume_unwind(Box::new("expected"));
            }),
        )
        .unwrap();
        wait_until("not unwound", || count.load(Ordering::SeqCst) == 1);
    }
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn messages_are_written() {
    for start in BOTH {
        let sink = Sink::default();
        let theirs = sink.clone();
        run(start, move || {
            let subscriber = tracing_subscriber::fmt().with_writer(move || theirs.clone()).with_ansi(false).finish();
            tracing::subscriber::with_default(subscriber, || {
                let _inside = tracing::info_span!("worker", id = 3).entered();
                tracing::warn!(answer = 42, "from a raw one");
            });
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("WARN worker{id=3}") && text.contains("from a raw one answer=42"), "{text}");
    }
}

#[test]
fn signals_are_blocked_but_for_faults() {
    let before = sys::sigprocmask(libc::SIG_BLOCK, 0);
    for start in BOTH {
        let mask = run(start, || sys::sigprocmask(libc::SIG_BLOCK, 0));
        for signal in 1..=64 {
            // KILL and STOP cannot be blocked.
            let open = SYNCHRONOUS.contains(&signal) || [libc::SIGKILL, libc::SIGSTOP].contains(&signal);
            assert_eq!(mask >> (signal - 1) & 1 == 0, open, "signal {signal}");
        }
    }
    assert_eq!(sys::sigprocmask(libc::SIG_BLOCK, 0), before);
}

#[test]
fn a_thread_is_of_its_process() {
    let me = sys::getpid();
    let file = std::fs::File::open("/dev/null").unwrap();
    let fd = file.as_raw_fd();
    let (pid, tid) = run(thread, move || (sys::getpid(), sys::gettid()));
    assert!(pid == me && tid != me && tid != sys::gettid());
    // One table of descriptors.
    run(thread, move || sys::close(fd));
    // SAFETY: asks only.
    assert_eq!(unsafe { host!(libc::SYS_fcntl, fd, libc::F_GETFD) }, Err(Errno::EBADF));
    mem::forget(file);
}

#[test]
fn a_process_shares_only_memory() {
    static SEEN: AtomicI32 = AtomicI32::new(0);
    let status = forked(|| {
        let me = sys::getpid();
        let file = std::fs::File::open("/dev/null").unwrap();
        let fd = file.as_raw_fd();
        // SAFETY: the handler is never called.
        unsafe { libc::signal(libc::SIGUSR1, libc::SIG_DFL) };
        let (go, wait) = mpsc::channel();
        let (answer, told) = mpsc::channel();
        let pid = process(
            STACK,
            Box::new(move || {
                sys::close(fd);
                // SAFETY: its own table of handlers.
                unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
                SEEN.store(sys::getpid(), Ordering::SeqCst);
                // SAFETY: no arguments.
                answer.send(unsafe { libc::getppid() }).unwrap();
                wait.recv().unwrap();
            }),
        )
        .unwrap();
        assert_eq!(told.recv_timeout(PATIENCE), Ok(me));
        assert!(SEEN.load(Ordering::SeqCst) == pid && pid != me);
        // SAFETY: asks only; `signal` answers what it was.
        unsafe {
            assert_eq!(host!(libc::SYS_fcntl, fd, libc::F_GETFD), Ok(1));
            assert_eq!(libc::signal(libc::SIGUSR1, libc::SIG_DFL), libc::SIG_DFL);
        }
        let nobody = || {
            // SAFETY: no status is asked for.
            let pid = unsafe { libc::waitpid(-1, null_mut(), 0) };
            assert_eq!((pid, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::ECHILD)));
        };
        nobody();
        go.send(()).unwrap();
        // It has ended, and is gone with the next call.
        wait_until("still there", || {
            run(thread, || ());
            // SAFETY: signal 0 is none.
            let there = unsafe { host!(libc::SYS_kill, pid, 0i32) };
            there == Err(Errno::ESRCH)
        });
        nobody();
    });
    assert_eq!(status, 0);
    // The memory was the child's.
    assert_eq!(SEEN.load(Ordering::SeqCst), 0);
}

/// What a process does that outlives its program: says that it is there, waits, then uses all that it may.
fn outlive(page: &'static [AtomicI32; 4]) {
    process(
        STACK,
        Box::new(move || {
            page[0].store(sys::getpid(), Ordering::SeqCst);
            while page[1].load(Ordering::SeqCst) == 0 {
                crate::start::nap(Duration::from_millis(1));
            }
            let sum = run(thread, || LAZY.with_borrow(Vec::len) + PLAIN.get() as usize);
            page[2].store(sum as i32, Ordering::SeqCst);
        }),
    )
    .unwrap();
}

fn outlived(page: &'static [AtomicI32; 4]) {
    let pid = page[0].load(Ordering::SeqCst);
    // SAFETY: signal 0 is none.
    assert!(pid != 0 && unsafe { libc::kill(pid, 0) } == 0, "it died with its program");
    page[1].store(1, Ordering::SeqCst);
    wait_until("it does not go on", || page[2].load(Ordering::SeqCst) == 0x1234_5678 + 1);
}

#[test]
fn a_process_goes_on_when_its_program_is_killed() {
    let page = shared();
    let status = forked(move || {
        outlive(page);
        wait_until("not started", || page[0].load(Ordering::SeqCst) != 0);
        // SAFETY: itself.
        unsafe { libc::kill(sys::getpid(), libc::SIGKILL) };
    });
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL, "{status:#x}");
    outlived(page);
}

#[test]
fn a_process_goes_on_when_its_program_is_replaced() {
    let page = shared();
    let status = forked(move || {
        outlive(page);
        wait_until("not started", || page[0].load(Ordering::SeqCst) != 0);
        let argv = [c"true".as_ptr(), ptr::null()];
        // SAFETY: C strings.
        unsafe { libc::execvp(argv[0], argv.as_ptr()) };
    });
    assert_eq!(status, 0);
    outlived(page);
}

#[test]
fn many_leave_nothing_behind() {
    let maps = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * PAGE
    };
    // Other tests have memory of their own.
    let status = forked(|| {
        run(thread, || ());
        let before = (maps(), resident());
        let ran = Arc::new(AtomicUsize::new(0));
        for n in 0..1000 {
            let theirs = ran.clone();
            let count = move || {
                let v = vec![1u8; 1000];
                theirs.fetch_add(v.iter().map(|b| *b as usize).sum::<usize>() / 1000, Ordering::SeqCst);
            };
            BOTH[usize::from(n % 10 != 0)](STACK, Box::new(count)).unwrap();
            wait_until("it does not run", || ran.load(Ordering::SeqCst) > n);
        }
        // Those that have just ended go with the next calls.
        wait_until("maps are left", || {
            run(thread, || ());
            maps() < before.0 + 20
        });
        let (was, is) = (before.1, resident());
        // Each has touched some 10 pages.
        assert!(is < was + (8 << 20), "{was} bytes were resident, {is} are");
    });
    assert_eq!(status, 0);
}

/// Modules with thread-locals come and go while raw threads run.
#[test]
fn modules_loaded_later() {
    let dir = std::env::temp_dir().join(format!("lkl-raw-{}", sys::getpid()));
    std::fs::create_dir(&dir).unwrap();
    let build = |name: &str, value: i32| {
        let (source, lib) = (dir.join(format!("{name}.c")), dir.join(format!("{name}.so")));
        let text = format!(
            "static __thread int big[300]; static __thread int start = {value};\n\
             int step(void) {{ big[299] += start; return big[299]; }}\n"
        );
        std::fs::write(&source, text).unwrap();
        let ok = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-ftls-model=global-dynamic", "-o"])
            .args([&lib, &source])
            .status();
        assert!(ok.unwrap().success());
        std::ffi::CString::new(lib.into_os_string().into_encoded_bytes()).unwrap()
    };
    type Step = unsafe extern "C" fn() -> i32;
    let libs: Vec<_> = (1..=4).map(|n| (n, build(&format!("lib{n}"), n))).collect();
    let load = |path: &core::ffi::CStr| {
        // SAFETY: a library without constructors, and its function.
        unsafe {
            let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
            assert!(!handle.is_null());
            let step = libc::dlsym(handle, c"step".as_ptr());
            assert!(!step.is_null());
            (handle as usize, mem::transmute::<*mut c_void, Step>(step))
        }
    };
    let all_is_well = || {
        let plan = plan();
        let tp = tls::thread_pointer() as usize;
        let dtv_is_ours = || {
            // SAFETY: the second word of the control block.
            let dtv = unsafe { (tp as *const usize).add(1).read() };
            dtv > tp && dtv < tp + plan.dtv_size() + 2 * PAGE
        };
        PLAIN.get() == 0x1234_5678 && LAZY.with_borrow(Vec::len) == 1 && dtv_is_ours()
    };
    for start in BOTH {
        // One thread that is there from before the first module to after the last.
        let (ask, asked) = mpsc::channel::<Option<Step>>();
        let (answer, answers) = mpsc::channel();
        let body = move || {
            for step in asked {
                // SAFETY: the module is loaded.
                let value = step.map_or(0, |f| unsafe { f() });
                answer.send((value, all_is_well())).unwrap();
            }
        };
        start(STACK, Box::new(body)).unwrap();
        let ask = |step| {
            ask.send(step).unwrap();
            answers.recv_timeout(PATIENCE).unwrap()
        };
        assert_eq!(ask(None), (0, true));
        let mut handles = Vec::new();
        for (n, path) in &libs {
            let (handle, step) = load(path);
            // Not the module's first use, in a thread that does not know of it.
            if n % 2 == 0 {
                assert_eq!(ask(None), (0, true));
            }
            assert_eq!(ask(Some(step)), (*n, true));
            assert_eq!(ask(Some(step)), (2 * n, true));
            // A thread that is made after the module was loaded.
            // SAFETY: the module is loaded.
            assert_eq!(run(start, move || (unsafe { step() }, all_is_well())), (*n, true));
            handles.push(handle);
        }
        for handle in handles {
            // SAFETY: nobody uses it any more.
            assert_eq!(unsafe { libc::dlclose(handle as *mut c_void) }, 0);
            assert_eq!(ask(None), (0, true));
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_stack_has_a_guard() {
    let status = forked(|| {
        static HERE: AtomicBool = AtomicBool::new(false);
        // The fault must end this process too, so a thread.
        thread(
            STACK,
            Box::new(|| {
                HERE.store(true, Ordering::SeqCst);
                // SAFETY: faults, on purpose: the map's first page, which is below the stack's last.
                unsafe { (*BLOCK.get()).at.write_volatile(1) };
            }),
        )
        .unwrap();
        wait_until("not started", || HERE.load(Ordering::SeqCst));
        crate::start::nap(PATIENCE);
    });
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{status:#x}");
}
