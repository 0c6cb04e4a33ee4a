//! The content of a file in memory.

use crate::env::Env;
use std::sync::Arc;

/// The cached content of one file.
pub(crate) struct Pages {
    _env: Arc<Env>,
}

impl Pages {
    pub(crate) fn new(env: &Arc<Env>) -> Arc<Self> {
        Arc::new(Self { _env: env.clone() })
    }

    pub(crate) fn is_dirty(&self) -> bool {
        false
    }

    pub(crate) fn dirty_bytes(&self) -> usize {
        0
    }

    pub(crate) fn clear(&self) {}

    pub(crate) fn reclaim(&self, _excess: usize) -> bool {
        false
    }
}
