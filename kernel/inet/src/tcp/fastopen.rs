//! Fast Open (RFC 7413) around the connection: cookies made and checked, cookies remembered, and the calls
//! (`net.ipv4.tcp_fastopen`, `MSG_FASTOPEN`, `TCP_FASTOPEN*`).

use super::listen::Beginning;
use super::socket::{Inner, Phase, TcpSocket};
use super::table::{Entry, Tuple};
use crate::tx::RxMeta;
use crate::{Net, Route};
use bytes::Bytes;
use core::hash::{Hash, Hasher};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use lkl_abi::{Errno, Result};
use lkl_net::tcp::{Connection, Cookie, FastOpen, FastOpenOutcome, Flags, Request, Segment};
use lkl_ops::Instant;
use lkl_sync::{Mutex, Rank};
use std::collections::HashMap;
use std::hash::DefaultHasher;
use std::net::IpAddr;
use std::sync::Arc;

/// Bits of `net.ipv4.tcp_fastopen`.
const CLIENT: i64 = 1;
const SERVER: i64 = 2;
const CLIENT_WITHOUT_COOKIE: i64 = 4;
const SERVER_WITHOUT_COOKIE: i64 = 0x200;
const SERVER_ALL: i64 = 0x400;

/// Most peers whose cookies are remembered.
const PEERS: usize = 1024;
/// The most that the options of a segment take.
const MAX_OPTIONS: u16 = 40;

/// A key of `TCP_FASTOPEN_KEY` or `net.ipv4.tcp_fastopen_key`.
pub(crate) type Key = [u8; 16];

/// What a socket is told about Fast Open; mostly nothing.
#[derive(Clone, Default, Debug)]
pub(super) struct Wishes(Option<Box<Told>>);

impl Wishes {
    /// A connection that waits for the end of its handshake.
    fn waiting(place: Arc<AtomicUsize>) -> Self {
        Self(Some(Box::new(Told { waiting: Some(place), ..Told::default() })))
    }

    /// To change it.
    pub(super) fn tell(&mut self) -> &mut Told {
        self.0.get_or_insert_with(Box::default)
    }
}

impl core::ops::Deref for Wishes {
    type Target = Told;

    fn deref(&self) -> &Told {
        const NOTHING: &Told =
            &Told { queue: 0, connect: false, no_cookie: false, keys: None, deferred: None, waiting: None };
        self.0.as_deref().unwrap_or(NOTHING)
    }
}

/// See [`Wishes`].
#[derive(Clone, Default, Debug)]
pub(super) struct Told {
    /// `TCP_FASTOPEN`: so many connections of a listening socket may wait for the end of their handshake.
    pub(super) queue: u32,
    /// `TCP_FASTOPEN_CONNECT`
    pub(super) connect: bool,
    /// `TCP_FASTOPEN_NO_COOKIE`
    pub(super) no_cookie: bool,
    /// `TCP_FASTOPEN_KEY`: the key, and one that is still good.
    pub(super) keys: Option<(Key, Option<Key>)>,
    /// `connect` was called, and waits for the first data: address, port and scope.
    pub(super) deferred: Option<(IpAddr, u16, u32)>,
    /// Of a listening socket: how many wait. Of a connection that does: its place among them.
    pub(super) waiting: Option<Arc<AtomicUsize>>,
}

/// Cookies of peers, with their MSS.
pub(super) struct PeerCookies(Mutex<HashMap<IpAddr, (u16, Cookie)>>);

impl Default for PeerCookies {
    fn default() -> Self {
        Self(Mutex::new(Rank::Leaf, HashMap::new()))
    }
}

impl PeerCookies {
    fn get(&self, peer: IpAddr) -> Option<(u16, Cookie)> {
        self.0.lock().get(&peer).cloned()
    }

    fn put(&self, peer: IpAddr, mss: u16, cookie: Cookie) {
        let mut all = self.0.lock();
        if all.len() >= PEERS && !all.contains_key(&peer) {
            // They only cost being asked for again.
            all.clear();
        }
        all.insert(peer, (mss, cookie));
    }

    fn forget(&self, peer: IpAddr) {
        self.0.lock().remove(&peer);
    }
}

impl Net {
    /// The cookie of a peer (RFC 7413, section 4.1.2): only whoever gets what is sent there can know it.
    fn fast_open_cookie(&self, tuple: &Tuple, key: Option<&Key>) -> Cookie {
        let ends = Tuple::new((tuple.local.0, 0), (tuple.remote.0, 0), 0);
        let hash = match key {
            None => self.tcp_hash(&ends, 0x7413),
            Some(key) => {
                let mut h = DefaultHasher::new();
                key.hash(&mut h);
                ends.hash(&mut h);
                key.hash(&mut h);
                h.finish()
            }
        };
        hash.to_be_bytes().into_iter().collect()
    }
}

impl TcpSocket {
    fn fast_open_mode(&self) -> i64 {
        self.net.sysctl().tcp_fastopen.get()
    }

    /// The keys of this socket, the first of which makes cookies.
    pub(super) fn fast_open_keys(&self, wishes: &Wishes) -> (Option<Key>, Option<Key>) {
        let keys = wishes.keys.or_else(|| *self.net.sysctl().tcp_fastopen_key.lock());
        keys.map_or((None, None), |(key, backup)| (Some(key), backup))
    }

    /// A SYN with the option came to a listening socket that has room. Answers the cookie to give, or takes the
    /// connection at once if the peer's is good.
    pub(super) fn on_fast_open(
        &self,
        inner: &mut Inner,
        (meta, tuple, syn, payload): (&RxMeta, &Tuple, &Segment, &Bytes),
        request: &Request,
        now: Instant,
    ) -> FastOpenVerdict {
        let ext = &self.net.snmp().tcp_ext;
        let mode = self.fast_open_mode();
        let offered = syn.options.fast_open.as_ref();
        if offered.is_some_and(|c| c.is_empty()) {
            ext.tcp_fast_open_cookie_reqd.inc();
        }
        let queue = inner.fast_open.queue;
        let room = if queue == 0 && mode & SERVER_ALL != 0 { u32::MAX } else { queue };
        if mode & SERVER == 0 || room == 0 || (offered.is_none() && payload.is_empty()) {
            return FastOpenVerdict::Ignore;
        }
        let waiting = inner.fast_open.tell().waiting.get_or_insert_with(Arc::default).clone();
        if waiting.load(Relaxed) >= room as usize {
            ext.tcp_fast_open_listen_overflow.inc();
            return FastOpenVerdict::Ignore;
        }
        let (key, backup) = self.fast_open_keys(&inner.fast_open);
        let cookie = self.net.fast_open_cookie(tuple, key.as_ref());
        let free = !payload.is_empty() && (mode & SERVER_WITHOUT_COOKIE != 0 || inner.fast_open.no_cookie);
        let mut old = false;
        if !free {
            match offered {
                None => return FastOpenVerdict::Ignore,
                Some(c) if c.is_empty() => return FastOpenVerdict::Give(cookie),
                Some(c) if *c == cookie => {}
                Some(c) if backup.is_some_and(|b| *c == self.net.fast_open_cookie(tuple, Some(&b))) => old = true,
                Some(_) => {
                    ext.tcp_fast_open_passive_fail.inc();
                    return FastOpenVerdict::Give(cookie);
                }
            }
        }
        let settings = inner.settings.clone();
        let fin = syn.has(Flags::FIN);
        let connection = Connection::accept_fast(request, settings.clone(), payload.clone(), fin, now);
        let fast_open = Wishes::waiting(waiting.clone());
        let from = Beginning { addr_locked: inner.addr_locked, fast_open, ..Beginning::default() };
        let child = self.child(tuple, connection, settings, meta, from);
        if self.net.tcp.put_new(*tuple, Entry::Connection(child.clone())).is_err() {
            return FastOpenVerdict::Ignore;
        }
        waiting.fetch_add(1, Relaxed);
        if old {
            ext.tcp_fast_open_passive_alt_key.inc();
        }
        ext.tcp_fast_open_passive.inc();
        if let Phase::Listen(l) = &mut inner.phase {
            l.push_ready(child.clone());
        }
        FastOpenVerdict::Taken(child)
    }

    /// What the SYN of a new connection says, if it is to have to do with Fast Open, and whether data can go with it.
    pub(super) fn fast_open_wanted(&self, wishes: &Wishes, peer: IpAddr, route: &Route) -> Option<FastOpen> {
        let mode = self.fast_open_mode();
        if mode & CLIENT == 0 {
            return None;
        }
        let path = super::socket::path_mss(route);
        let room = |mss: u16| path.min(if mss == 0 { path } else { mss }).saturating_sub(MAX_OPTIONS);
        if mode & CLIENT_WITHOUT_COOKIE != 0 || wishes.no_cookie {
            return Some(FastOpen { cookie: None, data: room(0) });
        }
        Some(match self.net.tcp.peer_cookies.get(peer) {
            Some((mss, cookie)) => FastOpen { cookie: Some(cookie), data: room(mss) },
            None => FastOpen { cookie: Some(Cookie::new()), data: 0 },
        })
    }

    /// `connect` may wait for the first data (`TCP_FASTOPEN_CONNECT`)? Then it succeeds at once.
    pub(super) fn defer_connect(&self, ip: IpAddr, port: u16, scope: u32) -> bool {
        let mut inner = self.inner.lock();
        if !inner.fast_open.connect || inner.fast_open.deferred.is_some() || !matches!(inner.phase, Phase::Idle) {
            return false;
        }
        let mode = self.fast_open_mode();
        let known = self.net.tcp.peer_cookies.get(ip).is_some();
        if mode & CLIENT == 0 || !(known || inner.fast_open.no_cookie || mode & CLIENT_WITHOUT_COOKIE != 0) {
            return false;
        }
        inner.fast_open.tell().deferred = Some((ip, port, scope));
        true
    }

    /// `sendto` with `MSG_FASTOPEN`, or the first data after a `connect` that was deferred: connects, with the data.
    /// Answers how much of it went along.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if Fast Open is off, `EINPROGRESS` if nothing went along, and those of `connect`.
    pub(super) fn send_fast(&self, to: (IpAddr, u16, u32), data: &[u8]) -> Result<usize> {
        if self.fast_open_mode() & CLIENT == 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let taken = self.begin_connect_with(to.0, to.1, to.2, Some(data))?;
        self.connecting.store(true, Relaxed);
        if taken == 0 {
            return Err(Errno::EINPROGRESS);
        }
        Ok(taken)
    }

    /// What the handshake said is remembered for the next time.
    pub(super) fn note_fast_open(&self, peer: IpAddr, outcome: FastOpenOutcome) {
        let ext = &self.net.snmp().tcp_ext;
        let FastOpenOutcome { cookie, mss, sent, taken } = outcome;
        if sent > 0 {
            if taken {
                ext.tcp_fast_open_active.inc();
            } else {
                ext.tcp_fast_open_active_fail.inc();
            }
        }
        match cookie {
            Some(cookie) => self.net.tcp.peer_cookies.put(peer, mss, cookie),
            // Not taken, and no other one: it is good for nothing.
            None if sent > 0 && !taken => self.net.tcp.peer_cookies.forget(peer),
            None => {}
        }
    }
}

/// What becomes of a SYN that has to do with Fast Open.
pub(super) enum FastOpenVerdict {
    /// It is as any other.
    Ignore,
    /// Its answer has this cookie.
    Give(Cookie),
    /// It is a connection.
    Taken(Arc<TcpSocket>),
}

/// Reads keys as `net.ipv4.tcp_fastopen_key` has them: one or two of four words of eight digits.
pub(crate) fn parse_keys(text: &str) -> Option<(Key, Option<Key>)> {
    let key = |text: &str| -> Option<Key> {
        let mut key = [0; 16];
        let words: Vec<&str> = text.trim().split('-').collect();
        if words.len() != 4 {
            return None;
        }
        for (place, word) in key.chunks_mut(4).zip(words) {
            // What is too long for a word loses its beginning, as on Linux.
            let word = u64::from_str_radix(word, 16).ok()? as u32;
            place.copy_from_slice(&word.to_le_bytes());
        }
        Some(key)
    };
    match text.trim().split_once(',') {
        None => Some((key(text)?, None)),
        Some((first, second)) => Some((key(first)?, Some(key(second)?))),
    }
}

/// The same as text.
pub(crate) fn show_keys(keys: Option<(Key, Option<Key>)>) -> String {
    let one = |key: Key| -> String {
        let words = key.chunks(4).map(|w| format!("{:08x}", u32::from_le_bytes([w[0], w[1], w[2], w[3]])));
        words.collect::<Vec<_>>().join("-")
    };
    // Until one is set it is a secret of the namespace, which Linux shows as zeros too.
    let (key, backup) = keys.unwrap_or_default();
    backup.map_or_else(|| one(key), |b| format!("{},{}", one(key), one(b)))
}
