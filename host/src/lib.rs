//! The outside made real: what the kernel asks of its host ([`lkl_ops`]), answered by Linux, and the configuration that
//! a program's user gives.
//!
//! * [`RealHost`]: time, chance, and who serves the kernel's devices and timers at each moment.
//! * [`ThreadParker`]: where a thread of the program sleeps. One sleeper at a time drives the stack itself.
//! * [`netdev`]: network devices. [`setup`]: addresses, routes and neighbours. [`signal`]: signals that files send; `signalfd`: those that files take.
//! * [`disk`]: disk images.
//! * [`Config`]: the `LKL_HIJACK_*` variables, as one typed struct.
//! * [`boot()`]: a kernel made of all that.
//! * [`cmdline`]: the kernel's command line; [`ip`]: what it says of addresses.
//! * [`log`]: where messages go.
//!
//! Below: `lkl-kernel`. Above: `hijack`, which exports libc's own names: nothing here may call libc by them. Host calls are
//! made through rustix, or [`sys`] where rustix does not reach.

pub mod boot;
pub mod cmdline;
pub mod config;
mod dhcp;
pub mod disk;
pub mod dump;
pub mod ip;
pub mod log;
pub mod mem;
mod mounts;
pub mod netdev;
mod park;
mod real;
pub mod setup;
pub mod signal;
mod signalfd;
mod sys;
mod worker;

pub use boot::{boot, boot_with, Booted};
pub use config::{Config, ConfigError};
pub use park::{Slept, ThreadParker};
pub use real::{Hooks, RealHost};
