//! The filters of `INET_DIAG_REQ_BYTECODE`: conditions on a socket's addresses and ports, with jumps forward.

use lkl_abi::inet_diag::{
    INET_DIAG_BC_AUTO, INET_DIAG_BC_CGROUP_COND, INET_DIAG_BC_DEV_COND, INET_DIAG_BC_D_COND, INET_DIAG_BC_D_EQ,
    INET_DIAG_BC_D_GE, INET_DIAG_BC_D_LE, INET_DIAG_BC_JMP, INET_DIAG_BC_MARK_COND, INET_DIAG_BC_NOP,
    INET_DIAG_BC_S_COND, INET_DIAG_BC_S_EQ, INET_DIAG_BC_S_GE, INET_DIAG_BC_S_LE,
};
use lkl_abi::socket::{AF_INET, AF_INET6, AF_UNSPEC};
use lkl_abi::{Errno, Result};
use std::net::IpAddr;

/// What a filter looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) family: u16,
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) sport: u16,
    pub(super) dport: u16,
    pub(super) ifindex: u32,
    pub(super) mark: u32,
    /// The port was chosen by the kernel.
    pub(super) auto: bool,
}

/// A filter that has been found sound: it ends, and stays within its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Filter {
    code: Vec<u8>,
}

/// `struct inet_diag_bc_op`
#[derive(Clone, Copy)]
struct Op {
    code: u8,
    yes: usize,
    no: usize,
}

fn op(b: &[u8]) -> Option<Op> {
    let &[code, yes, n0, n1] = b.first_chunk()?;
    Some(Op { code, yes: yes.into(), no: u16::from_ne_bytes([n0, n1]).into() })
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    crate::netlink::wire::u32_at(b, at).unwrap_or(0)
}

impl Filter {
    /// Looks a filter through.
    ///
    /// # Errors
    /// `EINVAL` if it is unsound.
    pub(super) fn new(code: &[u8]) -> Result<Self> {
        let mut rest = code;
        while !rest.is_empty() {
            let o = op(rest).ok_or(Errno::EINVAL)?;
            let min = match o.code {
                INET_DIAG_BC_S_COND | INET_DIAG_BC_D_COND => {
                    let cond = rest.get(4..12).ok_or(Errno::EINVAL)?;
                    let addr = match u16::from(cond[0]) {
                        AF_UNSPEC => 0,
                        AF_INET => 4,
                        AF_INET6 => 16,
                        _ => return Err(Errno::EINVAL),
                    };
                    if usize::from(cond[1]) > 8 * addr {
                        return Err(Errno::EINVAL);
                    }
                    12 + addr
                }
                INET_DIAG_BC_S_EQ
                | INET_DIAG_BC_D_EQ
                | INET_DIAG_BC_S_GE
                | INET_DIAG_BC_S_LE
                | INET_DIAG_BC_D_GE
                | INET_DIAG_BC_D_LE
                | INET_DIAG_BC_DEV_COND => 8,
                INET_DIAG_BC_MARK_COND | INET_DIAG_BC_CGROUP_COND => 12,
                INET_DIAG_BC_AUTO | INET_DIAG_BC_JMP | INET_DIAG_BC_NOP => 4,
                _ => return Err(Errno::EINVAL),
            };
            let fits = |jump: usize| jump >= min && jump <= rest.len() + 4 && jump % 4 == 0;
            if rest.len() < min || !fits(o.yes) {
                return Err(Errno::EINVAL);
            }
            if o.code != INET_DIAG_BC_NOP {
                if !fits(o.no) {
                    return Err(Errno::EINVAL);
                }
                if o.no < rest.len() && !is_boundary(code, rest.len() - o.no) {
                    return Err(Errno::EINVAL);
                }
            }
            // Past the end by one instruction is a way to say no.
            rest = rest.get(o.yes..).ok_or(Errno::EINVAL)?;
        }
        Ok(Self { code: code.to_vec() })
    }

    /// Does the socket pass?
    pub(super) fn accepts(&self, e: &Entry) -> bool {
        let mut rest = self.code.as_slice();
        while !rest.is_empty() {
            let Some(o) = op(rest) else { return false };
            let port = || u32_at(rest, 4) >> 16;
            let yes = match o.code {
                INET_DIAG_BC_NOP => true,
                INET_DIAG_BC_JMP => false,
                INET_DIAG_BC_S_EQ => u32::from(e.sport) == port(),
                INET_DIAG_BC_S_GE => u32::from(e.sport) >= port(),
                INET_DIAG_BC_S_LE => u32::from(e.sport) <= port(),
                INET_DIAG_BC_D_EQ => u32::from(e.dport) == port(),
                INET_DIAG_BC_D_GE => u32::from(e.dport) >= port(),
                INET_DIAG_BC_D_LE => u32::from(e.dport) <= port(),
                INET_DIAG_BC_AUTO => e.auto,
                INET_DIAG_BC_S_COND => host(rest.get(4..).unwrap_or_default(), e.family, e.src, e.sport),
                INET_DIAG_BC_D_COND => host(rest.get(4..).unwrap_or_default(), e.family, e.dst, e.dport),
                INET_DIAG_BC_DEV_COND => u32_at(rest, 4) == e.ifindex,
                INET_DIAG_BC_MARK_COND => e.mark & u32_at(rest, 8) == u32_at(rest, 4),
                _ => false,
            };
            match rest.get(if yes { o.yes } else { o.no }..) {
                Some(r) => rest = r,
                None => return false,
            }
        }
        true
    }
}

/// Does an instruction begin `left` bytes before the end?
fn is_boundary(code: &[u8], left: usize) -> bool {
    let mut rest = code;
    loop {
        if left >= rest.len() {
            return left == rest.len();
        }
        match op(rest) {
            Some(o) if o.yes >= 4 && o.yes % 4 == 0 => match rest.get(o.yes..) {
                Some(r) => rest = r,
                None => return false,
            },
            _ => return false,
        }
    }
}

/// `struct inet_diag_hostcond`: family, prefix length, port (-1 for any), address.
fn host(cond: &[u8], family: u16, ip: IpAddr, port: u16) -> bool {
    let (Some(&f), Some(&prefix)) = (cond.first(), cond.get(1)) else { return false };
    let want = u32_at(cond, 4);
    if want != u32::MAX && want != u32::from(port) {
        return false;
    }
    let addr = cond.get(8..).unwrap_or_default();
    let f = u16::from(f);
    let bytes = match ip {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    if f == AF_UNSPEC || f == family {
        return prefix_matches(&bytes, addr, prefix);
    }
    match ip {
        IpAddr::V6(a) if f == AF_INET => a.to_ipv4_mapped().is_some_and(|a| prefix_matches(&a.octets(), addr, prefix)),
        _ => false,
    }
}

fn prefix_matches(a: &[u8], b: &[u8], bits: u8) -> bool {
    let whole = usize::from(bits / 8);
    if a.get(..whole) != b.get(..whole) || a.len() < whole {
        return false;
    }
    let mask = !(0xffu16 >> (bits % 8)) as u8;
    bits % 8 == 0 || matches!((a.get(whole), b.get(whole)), (Some(x), Some(y)) if (x ^ y) & mask == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            family: AF_INET,
            src: "10.0.0.1".parse().unwrap(),
            dst: "10.0.0.2".parse().unwrap(),
            sport: 80,
            dport: 5000,
            ifindex: 0,
            mark: 0,
            auto: false,
        }
    }

    fn port_op(code: u8, port: u16) -> Vec<u8> {
        let mut b = vec![code, 8, 12, 0, 0, 0];
        b.extend(port.to_ne_bytes());
        b
    }

    #[test]
    fn ports() {
        assert!(Filter::new(&port_op(INET_DIAG_BC_S_EQ, 80)).unwrap().accepts(&entry()));
        assert!(!Filter::new(&port_op(INET_DIAG_BC_S_EQ, 81)).unwrap().accepts(&entry()));
        assert!(Filter::new(&port_op(INET_DIAG_BC_D_GE, 4999)).unwrap().accepts(&entry()));
        assert!(!Filter::new(&port_op(INET_DIAG_BC_D_LE, 4999)).unwrap().accepts(&entry()));
    }

    #[test]
    fn prefixes() {
        let mut b = vec![INET_DIAG_BC_D_COND, 16, 20, 0, AF_INET as u8, 23, 0, 0];
        b.extend(u32::MAX.to_ne_bytes());
        b.extend([10, 0, 1, 9]);
        assert!(Filter::new(&b).unwrap().accepts(&entry()));
        b[5] = 24;
        assert!(!Filter::new(&b).unwrap().accepts(&entry()));
        let mapped = Entry { family: AF_INET6, dst: "::ffff:10.0.1.3".parse().unwrap(), ..entry() };
        assert!(Filter::new(&b).unwrap().accepts(&mapped));
        b[5] = 33;
        assert_eq!(Filter::new(&b), Err(Errno::EINVAL));
    }

    #[test]
    fn an_empty_filter_accepts_and_bad_ones_are_refused() {
        assert!(Filter::new(&[]).unwrap().accepts(&entry()));
        for bad in [&[0u8, 0, 0, 0][..], &[0, 4], &[99, 4, 4, 0], &[1, 4, 2, 0], &[11, 8, 12, 0]] {
            assert_eq!(Filter::new(bad), Err(Errno::EINVAL), "{bad:?}");
        }
    }
}
