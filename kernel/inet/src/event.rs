//! What changes in the configuration are told to (netlink's groups).

use crate::addr::IfAddr;
use crate::link::Link;
use crate::neigh::NeighEntry;
use crate::route::{RouteEntry, Rule};
use std::sync::Arc;

/// A change of the configuration.
#[derive(Clone, Debug)]
pub enum NetEvent {
    /// A link was made or changed.
    LinkNew(Arc<Link>),
    /// A link is gone.
    LinkDel(Arc<Link>),
    /// An address was added or changed.
    AddrNew(IfAddr),
    /// An address is gone.
    AddrDel(IfAddr),
    /// A route was added; `replaced` says whether it took the place of another one.
    RouteNew {
        /// The route.
        route: Arc<RouteEntry>,
        /// It took the place of another one.
        replaced: bool,
    },
    /// A route is gone.
    RouteDel(Arc<RouteEntry>),
    /// A neighbour was added or its state changed.
    NeighNew(NeighEntry),
    /// A neighbour is gone.
    NeighDel(NeighEntry),
    /// A rule was added.
    RuleNew(Rule),
    /// A rule is gone.
    RuleDel(Rule),
}

/// Who is told of changes.
pub trait NetEventSink: Send + Sync {
    /// Something has changed. Called perhaps under the lock that serialises configuration: it may look at the
    /// configuration, and must not change it.
    fn event(&self, event: &NetEvent);
}
