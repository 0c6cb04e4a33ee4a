//! A listening socket under a flood of SYNs: it answers by cookies and keeps nothing (`net.ipv4.tcp_syncookies`).

use super::listen::Beginning;
use super::socket::{Phase, TcpSocket};
use super::table::{Entry, Tuple};
use crate::tx::RxMeta;
use crate::Route;
use bytes::Bytes;
use lkl_net::tcp::{syncookie, Connection, Flags, Segment, Settings};
use lkl_ops::Instant;
use std::sync::Arc;

/// Salts of the two hashes.
const FIRST: u64 = 0xc00c;
const SECOND: u64 = 0xc00d << 32;

impl TcpSocket {
    fn cookie_hash<'a>(&'a self, tuple: &'a Tuple) -> impl Fn(Option<u32>) -> u32 + 'a {
        move |tick| self.net.tcp_hash(tuple, tick.map_or(FIRST, |t| SECOND | u64::from(t))) as u32
    }

    /// Answers a SYN for which there is no room.
    pub(super) fn answer_by_cookie(
        &self,
        tuple: &Tuple,
        route: &Arc<Route>,
        settings: &Arc<Settings>,
        syn: &Segment,
        now: Instant,
    ) {
        let mut config = self.config(tuple, route, settings);
        config.ecn = super::option::ecn_kinds(self.net.sysctl()).1;
        let out = syncookie::syn_ack(config, syn, now, tuple.local.0.is_ipv6(), self.cookie_hash(tuple));
        let ext = &self.net.snmp().tcp_ext;
        ext.tcp_req_q_full_do_cookies.inc();
        ext.syncookies_sent.inc();
        self.answer(tuple, out, route.clone());
    }

    /// An acknowledgement came that is for nothing known: if it has a cookie, it makes a connection. Answers whether there
    /// is nothing to refuse.
    pub(super) fn on_cookie(&self, meta: &RxMeta, tuple: &Tuple, ack: &Segment, payload: &Bytes) -> bool {
        let cookies = self.net.sysctl().tcp_syncookies.get();
        if cookies == 0 || ack.has(Flags::RST) {
            return false;
        }
        let key = tuple.flow();
        // None is valid so long after the last that was sent.
        let now = self.net.now();
        let recent = match &self.inner.lock().phase {
            Phase::Listen(l) => l.overflowed.is_some_and(|at| now.since(at) < syncookie::VALID),
            _ => false,
        };
        if !recent {
            return false;
        }
        let Ok(route) = self.net.route_output(&key) else { return false };
        let ext = &self.net.snmp().tcp_ext;
        let mut inner = self.inner.lock();
        let now = self.net.now();
        let settings = inner.settings.clone();
        let addr_locked = inner.addr_locked;
        let Phase::Listen(l) = &mut inner.phase else { return false };
        let mut config = self.config(tuple, &route, &settings);
        config.ecn = super::option::ecn_kinds(self.net.sysctl()).1;
        let hash = self.cookie_hash(tuple);
        let Some(request) = syncookie::request(config, ack, now, tuple.local.0.is_ipv6(), hash) else {
            ext.syncookies_failed.inc();
            return false;
        };
        ext.syncookies_recv.inc();
        if l.is_full() {
            ext.listen_overflows.inc();
            ext.listen_drops.inc();
            return true;
        }
        let mut connection = Connection::accept(&request, settings.clone(), now);
        connection.on_segment(now, ack, payload.clone());
        let from = Beginning { addr_locked, ..Beginning::default() };
        let child = self.child(tuple, connection, settings, meta, from);
        if self.net.tcp.put_new(*tuple, Entry::Connection(child.clone())).is_err() {
            return true;
        }
        l.push_ready(child.clone());
        drop(inner);
        self.introduce(&child, tuple, now);
        true
    }
}
