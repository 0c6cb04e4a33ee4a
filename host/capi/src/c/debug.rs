//! `lkl_register_dbg_handler`: a small shell within the kernel, on the program's terminal, when the user types Ctrl-Z.
//!
//! The handler of the signal only writes to a pipe; a thread that was made before reads it, and is the shell.

use super::{instance, mount};
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering};
use lkl_abi::fcntl::{AT_FDCWD, O_CREAT, O_DIRECTORY, O_RDONLY, O_TRUNC, O_WRONLY};
use lkl_abi::{nr, Errno, Result};
use std::ffi::CString;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::IntoRawFd;
use std::sync::Once;

/// What the handler writes to.
static BELL: AtomicI32 = AtomicI32::new(-1);

extern "C" fn ring(_: c_int) {
    // SAFETY: one byte; `write` may be called by a handler. What cannot be written has been said already.
    unsafe { libc::write(BELL.load(Ordering::Relaxed), [0u8].as_ptr().cast(), 1) };
}

/// Has Ctrl-Z start a shell.
#[unsafe(no_mangle)]
pub extern "C" fn lkl_register_dbg_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let Ok((ears, bell)) = rustix::pipe::pipe_with(flags) else { return };
        BELL.store(bell.into_raw_fd(), Ordering::Relaxed);
        let mut ears = std::fs::File::from(ears);
        let listen = move || {
            while ears.read_exact(&mut [0]).is_ok() {
                let _over = Shell::new(io::stdout()).run(&mut io::stdin().lock());
            }
        };
        let _made = std::thread::Builder::new().name("lkl-debug".into()).spawn(listen);
        // SAFETY: a handler that only writes; zeros are a `struct sigaction`.
        unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            action.sa_sigaction = ring as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(libc::SIGTSTP, &raw const action, core::ptr::null_mut());
        }
    });
}

const HELP: &str = "cat FILE        prints a file
cd [DIRECTORY]  goes to a directory
exit            ends this shell
help            prints this
ls [DIRECTORY]  lists a directory
mount FSTYPE    mounts proc, sysfs and the like at /FSTYPE
overwrite FILE  writes the lines that follow, up to a line with nothing but \".\", to a file
pwd             prints where this is
";

struct Shell<W> {
    out: W,
}

fn call(number: usize, args: [u64; 6]) -> Result<u64> {
    instance::syscall(number, args)
}

/// A file that is open.
struct Open(u64);

impl Open {
    fn new(path: &str, flags: u32) -> Result<Self> {
        let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
        call(nr::OPENAT, [AT_FDCWD as u64, path.as_ptr() as u64, flags.into(), 0o644, 0, 0]).map(Self)
    }

    fn read(&self, number: usize, buf: &mut [u8]) -> Result<usize> {
        call(number, [self.0, buf.as_mut_ptr() as u64, buf.len() as u64, 0, 0, 0]).map(|n| n as usize)
    }

    fn write(&self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let n = call(nr::WRITE, [self.0, data.as_ptr() as u64, data.len() as u64, 0, 0, 0])?;
            data = data.get(n as usize..).unwrap_or_default();
        }
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _closed = call(nr::CLOSE, [self.0, 0, 0, 0, 0, 0]);
    }
}

impl<W: Write> Shell<W> {
    fn new(out: W) -> Self {
        Self { out }
    }

    /// Carries out one line after the other, until `exit` or the end.
    fn run(&mut self, lines: &mut impl BufRead) -> io::Result<()> {
        writeln!(self.out, "the kernel's debug shell; help lists its commands")?;
        loop {
            write!(self.out, "lkl> ")?;
            self.out.flush()?;
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut words = line.split_whitespace();
            let (command, arg) = (words.next().unwrap_or_default(), words.next());
            let done = match (command, arg) {
                ("", _) => Ok(()),
                ("exit", _) => return Ok(()),
                ("help", _) => {
                    write!(self.out, "{HELP}")?;
                    Ok(())
                }
                ("cat", Some(path)) => self.cat(path)?,
                ("cd", path) => self.cd(path.unwrap_or("/")),
                ("ls", path) => self.ls(path.unwrap_or("."))?,
                ("mount", Some(kind)) => mount::mount_fs(kind).map(drop),
                ("overwrite", Some(path)) => self.overwrite(path, lines)?,
                ("pwd", _) => self.pwd()?,
                _ => {
                    writeln!(self.out, "{command}: no such command, or it needs a name; help lists them")?;
                    Ok(())
                }
            };
            if let Err(e) = done {
                writeln!(self.out, "{command}: {e}")?;
            }
        }
    }

    fn cat(&mut self, path: &str) -> io::Result<Result<()>> {
        let file = match Open::new(path, O_RDONLY) {
            Ok(file) => file,
            Err(e) => return Ok(Err(e)),
        };
        let mut piece = vec![0; 4096];
        loop {
            match file.read(nr::READ, &mut piece) {
                Ok(0) => return Ok(Ok(())),
                Ok(n) => self.out.write_all(piece.get(..n).unwrap_or_default())?,
                Err(e) => return Ok(Err(e)),
            }
        }
    }

    fn cd(&self, path: &str) -> Result<()> {
        let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
        call(nr::CHDIR, [path.as_ptr() as u64, 0, 0, 0, 0, 0]).map(drop)
    }

    fn ls(&mut self, path: &str) -> io::Result<Result<()>> {
        let dir = match Open::new(path, O_RDONLY | O_DIRECTORY) {
            Ok(dir) => dir,
            Err(e) => return Ok(Err(e)),
        };
        let mut entries = vec![0; 4096];
        loop {
            let n = match dir.read(nr::GETDENTS64, &mut entries) {
                Ok(0) => return Ok(Ok(())),
                Ok(n) => n,
                Err(e) => return Ok(Err(e)),
            };
            let mut rest = entries.get(..n).unwrap_or_default();
            // `struct linux_dirent64`: its length is at 16, the name from 19 on.
            while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, a, b, _, name @ ..] = rest {
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                writeln!(self.out, "{}", String::from_utf8_lossy(name))?;
                rest = rest.get(usize::from(u16::from_ne_bytes([*a, *b])).max(20)..).unwrap_or_default();
            }
        }
    }

    fn overwrite(&mut self, path: &str, lines: &mut impl BufRead) -> io::Result<Result<()>> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 || line.trim_end() == "." {
                break;
            }
            text.push_str(&line);
        }
        Ok(Open::new(path, O_WRONLY | O_CREAT | O_TRUNC).and_then(|file| file.write(text.as_bytes())))
    }

    fn pwd(&mut self) -> io::Result<Result<()>> {
        let mut path = [0u8; 4096];
        match call(nr::GETCWD, [path.as_mut_ptr() as u64, path.len() as u64, 0, 0, 0, 0]) {
            Ok(n) => {
                let path = path.get(..(n as usize).saturating_sub(1)).unwrap_or_default();
                writeln!(self.out, "{}", String::from_utf8_lossy(path))?;
                Ok(Ok(()))
            }
            Err(e) => Ok(Err(e)),
        }
    }
}
