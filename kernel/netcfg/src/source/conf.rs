//! Settings of links as netlink carries them.

use lkl_inet::{Link, Net};

/// The values of `IFLA_INET_CONF`, in the order of `IPV4_DEVCONF_*`.
pub(crate) fn ipv4(link: &Link) -> [u32; 33] {
    let mut v = [0; 33];
    let c = &link.ipv4;
    for (number, knob) in [
        (1, &c.forwarding),
        (3, &c.proxy_arp),
        (4, &c.accept_redirects),
        (5, &c.secure_redirects),
        (6, &c.send_redirects),
        (8, &c.rp_filter),
        (9, &c.accept_source_route),
        (11, &c.log_martians),
        (13, &c.arp_filter),
        (18, &c.arp_announce),
        (19, &c.arp_ignore),
        (20, &c.promote_secondaries),
        (21, &c.arp_accept),
        (22, &c.arp_notify),
        (23, &c.accept_local),
        (24, &c.src_valid_mark),
        (26, &c.route_localnet),
    ] {
        v[number - 1] = knob.get() as u32;
    }
    // Shared media.
    v[6] = 1;
    v
}

/// The values of `IFLA_INET6_CONF`, in the order of `DEVCONF_*`.
pub(crate) fn ipv6(link: &Link) -> [u32; 60] {
    let mut v = [0; 60];
    let c = &link.ipv6;
    for (number, knob) in [
        (0, &c.forwarding),
        (1, &c.hop_limit),
        (2, &c.mtu),
        (3, &c.accept_ra),
        (4, &c.accept_redirects),
        (5, &c.autoconf),
        (6, &c.dad_transmits),
        (7, &c.router_solicitations),
        (10, &c.use_tempaddr),
        (15, &c.max_addresses),
        (17, &c.accept_ra_defrtr),
        (18, &c.accept_ra_pinfo),
        (26, &c.disable_ipv6),
        (27, &c.accept_dad),
    ] {
        v[number] = knob.get() as u32;
    }
    // Times in milliseconds.
    v[8] = (c.router_solicitation_interval.get() * 1000) as u32;
    v[9] = (c.router_solicitation_delay.get() * 1000) as u32;
    v
}

/// A setting that is one number.
pub(crate) fn number(net: &Net, path: &str) -> Option<i64> {
    net.sysctl_get(path)?.trim().parse().ok()
}
