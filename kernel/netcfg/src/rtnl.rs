//! `NETLINK_ROUTE`: links, addresses, routes, neighbours and rules (`man 7 rtnetlink`); used by `ip` and libc.
//!
//! One module per kind of object; each has what it writes of one (for dumps, answers and events alike) and what a
//! request does. [`events`] tells changes to the groups.

mod addr;
mod events;
pub(crate) mod link;
mod misc;
mod neigh;
mod route;
mod rule;

use crate::netlink::{Outcome, Reply, Request};
use lkl_abi::rtnetlink::{
    RTM_DELADDR, RTM_DELLINK, RTM_DELNEIGH, RTM_DELROUTE, RTM_DELRULE, RTM_GETADDR, RTM_GETADDRLABEL, RTM_GETANYCAST,
    RTM_GETLINK, RTM_GETMULTICAST, RTM_GETNEIGH, RTM_GETNEIGHTBL, RTM_GETNETCONF, RTM_GETNEXTHOP, RTM_GETNSID,
    RTM_GETQDISC, RTM_GETROUTE, RTM_GETRULE, RTM_GETSTATS, RTM_GETTCLASS, RTM_GETTFILTER, RTM_NEWADDR, RTM_NEWLINK,
    RTM_NEWNEIGH, RTM_NEWROUTE, RTM_NEWRULE, RTM_SETLINK,
};
use lkl_abi::Errno;

/// Carries out a request of this protocol.
pub(crate) fn handle(request: &Request<'_>) -> Outcome {
    let Some(&family) = request.body.first() else { return Ok(Reply::default()) };
    let family = u16::from(family);
    match request.header.kind {
        RTM_GETLINK => link::get(request, family),
        RTM_NEWLINK | RTM_SETLINK => link::set(request),
        RTM_DELLINK => link::delete(request),
        RTM_GETADDR => addr::get(request, family),
        RTM_NEWADDR => addr::add(request, family),
        RTM_DELADDR => addr::delete(request, family),
        RTM_GETROUTE => route::get(request, family),
        RTM_NEWROUTE => route::add(request, family),
        RTM_DELROUTE => route::delete(request, family),
        RTM_GETNEIGH => neigh::get(request, family),
        RTM_NEWNEIGH => neigh::add(request, family),
        RTM_DELNEIGH => neigh::delete(request, family),
        RTM_GETNEIGHTBL => neigh::tables(request, family),
        RTM_GETRULE => rule::get(request, family),
        RTM_NEWRULE => rule::add(request, family),
        RTM_DELRULE => rule::delete(request, family),
        RTM_GETQDISC => misc::qdiscs(request),
        RTM_GETNETCONF => misc::netconf(request, family),
        RTM_GETSTATS => misc::stats(request),
        RTM_GETNSID => misc::nsid(request),
        RTM_GETTCLASS | RTM_GETTFILTER | RTM_GETADDRLABEL | RTM_GETMULTICAST | RTM_GETANYCAST | RTM_GETNEXTHOP
            if request.is_dump() =>
        {
            Ok(Reply::dump(Vec::<()>::new(), |_, ()| {}))
        }
        _ => Err(Errno::EOPNOTSUPP.into()),
    }
}
