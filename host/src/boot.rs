//! A kernel made as the configuration says.

use crate::config::{ConfigError, NetConfig};
use crate::netdev::tap::Tap;
use crate::real::{Hooks, RealHost};
use crate::Config;
use lkl_kernel::Kernel;
use std::sync::Arc;

/// What [`boot`] has made.
#[derive(Debug)]
pub struct Booted {
    /// The kernel, with `lo` and, if so configured, `eth0` up.
    pub kernel: Arc<Kernel>,
    /// Its host, to make a [`crate::ThreadParker`] for each thread.
    pub host: Arc<RealHost>,
}

/// Boots a kernel, brings its network device up, and sees to it that it is served. Messages are set up first.
///
/// # Errors
/// What the user has to put right. Nothing was started then.
pub fn boot(config: &Config, hooks: Hooks) -> Result<Booted, ConfigError> {
    crate::log::init(config, &hooks);
    let host = RealHost::new(hooks).map_err(|e| ConfigError::new("NET_TAP", "", format!("no eventfd: {e}")))?;
    let kernel = Kernel::boot(host.clone());
    let weak = Arc::downgrade(&kernel);
    host.serve(move || weak.upgrade().and_then(|kernel| kernel.service()));
    tracing::info!("kernel booted");
    if let Some(net) = &config.net {
        bring_up(&kernel, &host, net)?;
    }
    Ok(Booted { kernel, host })
}

fn bring_up(_kernel: &Arc<Kernel>, host: &Arc<RealHost>, config: &NetConfig) -> Result<(), ConfigError> {
    let refused = |problem| ConfigError::new(config.tap_variable, &config.tap, problem);
    let tap = Tap::open(host, &config.tap, config.mac, config.offload).map_err(refused)?;
    host.watch(tap.as_raw_fd());
    Ok(())
}
