//! What is printed: the kernel's messages, and those of the library's own functions.
//!
//! Messages are events of the crate `tracing`. One subscriber for the process hands those that `loglevel=` lets through to the `print` of the
//! kernel that the thread has entered, or else of the one that was started last. A program in Rust that has a subscriber of its own gets them there
//! instead.

use super::instance::{self, directory, Ops};
use super::text;
use core::ffi::{c_char, c_int, c_void, CStr};
use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use lkl_abi::Errno;
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Who prints, the last one first: of the kernels that run.
static PRINTERS: Mutex<Vec<Ops>> = Mutex::new(Vec::new());
/// `loglevel`
static LOGLEVEL: AtomicU8 = AtomicU8::new(0);
/// When the first kernel was started, in nanoseconds.
static START: OnceLock<u64> = OnceLock::new();

/// The level that Linux's messages of this kind have. System calls are more than Linux would tell.
fn level(metadata: &Metadata<'_>) -> u8 {
    match *metadata.level() {
        _ if metadata.target() == lkl_host::log::SYSCALLS => 9,
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG => 7,
        Level::TRACE => 8,
    }
}

/// `loglevel` of kernels whose command line says nothing, 0 for the usual one.
static DEFAULT: AtomicU8 = AtomicU8::new(0);

/// Kernels whose command line says nothing tell only of errors, unless `all`: what a configuration without `debug` asks for.
pub(crate) fn default_level(all: bool) {
    DEFAULT.store(if all { 0 } else { QUIET }, Relaxed);
}

/// `loglevel` of `quiet`.
const QUIET: u8 = 4;
/// What it is if nobody says otherwise.
const USUAL: u8 = 7;

/// A kernel starts.
pub(crate) fn start(ops: Ops, loglevel: Option<u8>) {
    let default = Some(DEFAULT.load(Relaxed)).filter(|level| *level != 0);
    let loglevel = loglevel.or(default).unwrap_or(USUAL);
    static ONCE: Once = Once::new();
    PRINTERS.lock().unwrap_or_else(PoisonError::into_inner).push(ops);
    LOGLEVEL.store(loglevel, Relaxed);
    let _first = START.get_or_init(|| super::ops::time());
    ONCE.call_once(|| {
        let _first = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Printer));
    });
    tracing::callsite::rebuild_interest_cache();
}

/// It has ended.
pub(crate) fn end(ops: Ops) {
    let mut printers = PRINTERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = printers.iter().rposition(|p| core::ptr::eq(p.get(), ops.get())) {
        printers.remove(at);
    }
}

struct Printer;

impl<S: Subscriber> Layer<S> for Printer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        level(metadata) < LOGLEVEL.load(Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match LOGLEVEL.load(Relaxed) {
            0..=3 => LevelFilter::OFF,
            4 => LevelFilter::ERROR,
            5 | 6 => LevelFilter::WARN,
            7 => LevelFilter::INFO,
            8 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // Decided anew when another kernel starts.
        if level(metadata) < LOGLEVEL.load(Relaxed) {
            tracing::subscriber::Interest::always()
        } else {
            tracing::subscriber::Interest::never()
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let now = super::ops::time();
        let now = now.saturating_sub(*START.get_or_init(|| now)) / 1000;
        let mut line = format!("[{:5}.{:06}] ", now / 1_000_000, now % 1_000_000);
        event.record(&mut Line(&mut line));
        line.push('\n');
        print(line.as_bytes());
    }
}

/// A message and its fields, as one line.
struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ok = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// Hands a text to whoever prints. Answers how much was printed.
pub(crate) fn print(text: &[u8]) -> usize {
    let last = || PRINTERS.lock().unwrap_or_else(PoisonError::into_inner).last().copied();
    let ops = instance::entered_ops().or_else(last);
    let Some(print) = ops.unwrap_or_else(|| Ops::new(core::ptr::null())).get().print else { return 0 };
    let len = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
    // SAFETY: as the header asks for: it takes text and length, and keeps nothing.
    unsafe { print(text.as_ptr().cast(), len) };
    text.len()
}

/// The same for the library's own functions, which print also when no kernel runs: by the operations of `lkl_init`.
fn say(text: &[u8]) -> usize {
    let registered = directory().ops;
    match instance::entered_ops().or(registered) {
        Some(ops) => match ops.get().print {
            None => 0,
            Some(print) => {
                let len = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
                // SAFETY: as above.
                unsafe { print(text.as_ptr().cast(), len) };
                text.len()
            }
        },
        None => print(text),
    }
}

/// One line for the user.
pub(crate) fn say_line(line: &str) {
    let _printed = say(format!("{line}\n").as_bytes());
}

/// `lkl_printf` with a `va_list`.
///
/// # Safety
/// `format` is a C string or null, and `args` has what it asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_vprintf(format: *const c_char, args: *mut c_void) -> c_int {
    // SAFETY: as the caller promises.
    match unsafe { text::format(format, args) } {
        Ok(text) => say(&text) as c_int,
        Err(e) => -e.0,
    }
}

/// `lkl_bug` with a `va_list`.
///
/// # Safety
/// As [`lkl_vprintf`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_vbug(format: *const c_char, args: *mut c_void) {
    // SAFETY: as the caller promises.
    unsafe { lkl_vprintf(format, args) };
    let registered = directory().ops;
    let ops = instance::entered_ops().or(registered).unwrap_or_else(|| Ops::new(core::ptr::null()));
    if let Some(panic) = ops.get().panic {
        // SAFETY: as the header asks for.
        unsafe { panic() };
    }
}

/// Texts of all errors, each with its end.
fn message(err: c_int) -> &'static CStr {
    static TEXTS: OnceLock<Vec<std::ffi::CString>> = OnceLock::new();
    let texts = TEXTS.get_or_init(|| {
        let of = |n: i32| if n == 0 { "Success" } else { Errno(n).message() };
        (0..=MESSAGES).map(|n| std::ffi::CString::new(of(n)).unwrap_or_default()).collect()
    });
    let at = usize::try_from(err.unsigned_abs()).unwrap_or(usize::MAX);
    texts.get(at).map_or(c"Unknown error", |text| text.as_c_str())
}

/// The last error number that has a text.
const MESSAGES: i32 = 133;

/// What an error number means.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_strerror(err: c_int) -> *const c_char {
    message(err).as_ptr()
}

/// Prints what an error number means.
///
/// # Safety
/// `text` is a C string or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lkl_perror(text: *const c_char, err: c_int) {
    let text = if text.is_null() { c"".as_ptr() } else { text };
    // SAFETY: as the caller promises, or ours.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    say_line(&format!("{text}: {}", message(err).to_string_lossy()));
}
