//! The system as a whole: its names, its memory, chance, and limits.

use super::{Args, Ctx};
use crate::user;
use lkl_abi::random::{GRND_INSECURE, GRND_NONBLOCK, GRND_RANDOM};
use lkl_abi::resource::{RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_SIZE, RLIM_INFINITY, RLIM_NLIMITS};
use lkl_abi::sysinfo::SysInfo;
use lkl_abi::uio::MAX_RW_COUNT;
use lkl_abi::utsname::{UTS_LEN, UTS_MEMBER, UTS_MEMBERS};
use lkl_abi::{Errno, Result};
use lkl_sync::{Mutex, Rank};

/// What this kernel does as Linux of this version does it.
const RELEASE: &str = "6.12.0";
/// Bytes of chance made at once.
const CHANCE: usize = 256;
/// `RLIMIT_NOFILE` can be no more than `fs.nr_open`.
const NR_OPEN: u64 = 1 << 20;

/// The names that can be set.
#[derive(Debug)]
pub(crate) struct Names {
    /// The name of the node, and its NIS domain.
    names: Mutex<[Vec<u8>; 2]>,
}

impl Default for Names {
    fn default() -> Self {
        Self { names: Mutex::new(Rank::Leaf, [b"(none)".to_vec(), b"(none)".to_vec()]) }
    }
}

impl Names {
    /// System, node, release, version, machine, domain.
    pub(crate) fn all(&self) -> [Vec<u8>; UTS_MEMBERS] {
        let [node, domain] = self.names.lock().clone();
        let version = concat!("#1 SMP lkl ", env!("CARGO_PKG_VERSION"));
        let fixed = ["Linux", RELEASE, version, std::env::consts::ARCH].map(|n| n.as_bytes().to_vec());
        let [system, release, version, machine] = fixed;
        [system, node, release, version, machine, domain]
    }

    /// The name of the node (0) or of its domain (1).
    pub(crate) fn get(&self, which: usize) -> Vec<u8> {
        self.names.lock().get(which).cloned().unwrap_or_default()
    }

    /// Sets it.
    ///
    /// # Errors
    /// `EINVAL` if it is too long.
    pub(crate) fn set(&self, which: usize, name: &[u8]) -> Result<()> {
        if name.len() > UTS_LEN {
            return Err(Errno::EINVAL);
        }
        if let Some(place) = self.names.lock().get_mut(which) {
            *place = name.to_vec();
        }
        Ok(())
    }
}

pub(super) fn uname(cx: &Ctx<'_>, [buf, ..]: Args) -> Result<u64> {
    let all = cx.kernel.names.all();
    let mut bytes = [0; UTS_MEMBER * UTS_MEMBERS];
    for (to, from) in bytes.chunks_exact_mut(UTS_MEMBER).zip(all) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from;
        }
    }
    cx.mem.write(buf, &bytes)?;
    Ok(0)
}

fn set_name(cx: &Ctx<'_>, which: usize, addr: u64, len: u64) -> Result<u64> {
    if !cx.process().credentials().privileged() {
        return Err(Errno::EPERM);
    }
    let len = usize::try_from(len as i32).ok().filter(|n| *n <= UTS_LEN).ok_or(Errno::EINVAL)?;
    let mut name = vec![0; len];
    cx.mem.read(addr, &mut name)?;
    cx.kernel.names.set(which, &name)?;
    Ok(0)
}

pub(super) fn sethostname(cx: &Ctx<'_>, [name, len, ..]: Args) -> Result<u64> {
    set_name(cx, 0, name, len)
}

pub(super) fn setdomainname(cx: &Ctx<'_>, [name, len, ..]: Args) -> Result<u64> {
    set_name(cx, 1, name, len)
}

pub(super) fn sysinfo(cx: &Ctx<'_>, [buf, ..]: Args) -> Result<u64> {
    let memory = cx.kernel.options().memory;
    let info = SysInfo {
        uptime: cx.kernel.now().since(cx.kernel.booted()).as_secs() as i64,
        totalram: memory,
        freeram: memory,
        procs: u16::try_from(cx.kernel.processes().len()).unwrap_or(u16::MAX),
    };
    cx.mem.write(buf, &info.to_bytes())?;
    Ok(0)
}

pub(super) fn getrandom(cx: &Ctx<'_>, [buf, len, flags, ..]: Args) -> Result<u64> {
    let flags = flags as u32;
    let both = GRND_RANDOM | GRND_INSECURE;
    if flags & !(GRND_NONBLOCK | both) != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    let len = len.min(MAX_RW_COUNT);
    let mut chance = [0; CHANCE];
    let mut done = 0;
    while done < len {
        let n = (len - done).min(CHANCE as u64);
        let piece = chance.get_mut(..n as usize).ok_or(Errno::EFAULT)?;
        cx.kernel.net().host().random(piece);
        match cx.mem.write(buf.wrapping_add(done), piece) {
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
            Ok(()) => done += n,
        }
    }
    Ok(done)
}

/// A limit, now and at most. Only the size of files and the number of descriptors are limited.
fn limit(cx: &Ctx<'_>, resource: u64) -> Result<[u64; 2]> {
    match resource as u32 {
        RLIMIT_FSIZE => Ok(cx.process().size_limit()),
        RLIMIT_NOFILE => Ok(cx.process().file_limit()),
        r if r < RLIM_NLIMITS => Ok([RLIM_INFINITY; 2]),
        _ => Err(Errno::EINVAL),
    }
}

fn put_limit(cx: &Ctx<'_>, addr: u64, [now, most]: [u64; 2]) -> Result<()> {
    let mut bytes = [0; RLIMIT_SIZE];
    let (a, b) = bytes.split_at_mut(8);
    a.copy_from_slice(&now.to_ne_bytes());
    b.copy_from_slice(&most.to_ne_bytes());
    cx.mem.write(addr, &bytes)
}

fn set_limit(cx: &Ctx<'_>, resource: u64, addr: u64) -> Result<()> {
    let [_, most] = limit(cx, resource)?;
    let new = [user::u64_at(cx.mem, addr)?, user::u64_at(cx.mem, addr.wrapping_add(8))?];
    if new[0] > new[1] {
        return Err(Errno::EINVAL);
    }
    let privileged = cx.process().credentials().privileged();
    if new[1] > most && !privileged || resource as u32 == RLIMIT_NOFILE && new[1] > NR_OPEN {
        return Err(Errno::EPERM);
    }
    match resource as u32 {
        RLIMIT_FSIZE => cx.process().set_size_limit(new),
        RLIMIT_NOFILE => cx.process().set_file_limit(new),
        // What is not counted can have no limit.
        _ if new == [RLIM_INFINITY; 2] => {}
        _ => return Err(Errno::EPERM),
    }
    Ok(())
}

pub(super) fn getrlimit(cx: &Ctx<'_>, [resource, addr, ..]: Args) -> Result<u64> {
    put_limit(cx, addr, limit(cx, resource)?)?;
    Ok(0)
}

pub(super) fn setrlimit(cx: &Ctx<'_>, [resource, addr, ..]: Args) -> Result<u64> {
    set_limit(cx, resource, addr)?;
    Ok(0)
}

pub(super) fn prlimit64(cx: &Ctx<'_>, [pid, resource, new, old, ..]: Args) -> Result<u64> {
    if pid as i32 != 0 && pid as i32 != cx.process().pid() {
        return Err(Errno::ESRCH);
    }
    let before = limit(cx, resource)?;
    if new != 0 {
        set_limit(cx, resource, new)?;
    }
    if old != 0 {
        put_limit(cx, old, before)?;
    }
    Ok(0)
}

pub(super) fn getcpu(cx: &Ctx<'_>, [cpu, node, ..]: Args) -> Result<u64> {
    for addr in [cpu, node] {
        if addr != 0 {
            cx.mem.write(addr, &0u32.to_ne_bytes())?;
        }
    }
    Ok(0)
}

/// Threads are the host's, and it shares out the processors among them.
pub(super) fn sched_yield(_: &Ctx<'_>, _: Args) -> Result<u64> {
    Ok(0)
}
