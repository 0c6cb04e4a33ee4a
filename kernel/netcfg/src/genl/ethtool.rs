//! The family `ethtool` (`Documentation/networking/ethtool-netlink.rst` names its messages).

use crate::ethtool::{features, FEATURES, LINK_MODES, MSG_CLASSES, SPEED, TIMESTAMPING, TIMESTAMPING_BITS};
use crate::netlink::wire::{Attrs, To, Writer};
use crate::netlink::{Fail, Outcome, Reply, Request};
use crate::source;
use crate::view::LinkView;
use lkl_abi::ethtool::{
    DUPLEX_FULL, ETHTOOL_A_BITSET_BITS, ETHTOOL_A_BITSET_BITS_BIT, ETHTOOL_A_BITSET_BIT_INDEX,
    ETHTOOL_A_BITSET_BIT_NAME, ETHTOOL_A_BITSET_BIT_VALUE, ETHTOOL_A_BITSET_MASK, ETHTOOL_A_BITSET_NOMASK,
    ETHTOOL_A_BITSET_SIZE, ETHTOOL_A_BITSET_VALUE, ETHTOOL_A_HEADER_DEV_INDEX, ETHTOOL_A_HEADER_DEV_NAME,
    ETHTOOL_A_HEADER_FLAGS, ETHTOOL_A_STRINGSETS_STRINGSET, ETHTOOL_A_STRINGSET_COUNT, ETHTOOL_A_STRINGSET_ID,
    ETHTOOL_A_STRINGSET_STRINGS, ETHTOOL_A_STRINGS_STRING, ETHTOOL_A_STRING_INDEX, ETHTOOL_A_STRING_VALUE,
    ETHTOOL_A_STRSET_COUNTS_ONLY, ETHTOOL_A_STRSET_STRINGSETS, ETHTOOL_FLAG_COMPACT_BITSETS, ETHTOOL_FLAG_STATS,
    ETHTOOL_MSG_DEBUG_GET, ETHTOOL_MSG_FEATURES_GET, ETHTOOL_MSG_LINKINFO_GET, ETHTOOL_MSG_LINKMODES_GET,
    ETHTOOL_MSG_LINKSTATE_GET, ETHTOOL_MSG_STRSET_GET, ETHTOOL_MSG_TSINFO_GET, ETHTOOL_MSG_TSINFO_GET_REPLY,
    ETH_SS_FEATURES, ETH_SS_MSG_CLASSES, PORT_TP,
};
use lkl_abi::if_::IFF_LOWER_UP;
use lkl_abi::{netlink::NLM_F_MULTI, Errno};

/// Every request has its header in this attribute, and every answer too.
const HEADER: u16 = 1;

/// Carries out the command `cmd`.
pub(super) fn handle(request: &Request<'_>, family: u16, cmd: u8, attrs: &Attrs<'_>) -> Outcome {
    let served = matches!(
        cmd,
        ETHTOOL_MSG_STRSET_GET
            | ETHTOOL_MSG_LINKINFO_GET
            | ETHTOOL_MSG_LINKMODES_GET
            | ETHTOOL_MSG_LINKSTATE_GET
            | ETHTOOL_MSG_DEBUG_GET
            | ETHTOOL_MSG_FEATURES_GET
            | ETHTOOL_MSG_TSINFO_GET
    );
    if request.is_dump() {
        let mut w = Writer::default();
        let mut parts = Vec::new();
        if served {
            for link in source::links(request.net) {
                let to = To { flags: NLM_F_MULTI, ..request.to() };
                // What a device does not have is left out of a dump.
                if one(&mut w, to, family, cmd, attrs, &link, false).is_ok() {
                    parts.push(w.split_off(0));
                }
            }
        }
        return Ok(Reply::dump(parts, |w, p| w.bytes(&p)));
    }
    let header = attrs.get(HEADER);
    let Some(header) = header else {
        if cmd == ETHTOOL_MSG_STRSET_GET {
            return strings(request, family, attrs, None);
        }
        return Err(Fail { missing: Some(HEADER), ..Fail::new(Errno::EINVAL, "request header missing") });
    };
    let h = header.nested();
    let flags = h.u32(ETHTOOL_A_HEADER_FLAGS)?.unwrap_or(0);
    let known = ETHTOOL_FLAG_COMPACT_BITSETS | ETHTOOL_FLAG_STATS | 2;
    if let (true, Some(a)) = (flags & !known != 0, h.get(ETHTOOL_A_HEADER_FLAGS)) {
        return Err(Fail::at(Errno::EOPNOTSUPP, "unrecognized request flags", a));
    }
    let link = match (h.u32(ETHTOOL_A_HEADER_DEV_INDEX)?, h.str(ETHTOOL_A_HEADER_DEV_NAME)?) {
        (Some(index), name) => {
            let found = source::link_by_index(request.net, index);
            let Some(link) = found else {
                return Err(h.get(ETHTOOL_A_HEADER_DEV_INDEX).map_or_else(
                    || Errno::ENODEV.into(),
                    |a| Fail::at(Errno::ENODEV, "no device matches ifindex", a),
                ));
            };
            if name.is_some_and(|n| n != link.name) {
                return Err(Fail::new(Errno::ENODEV, "ifindex and name do not match"));
            }
            link
        }
        (None, Some(name)) => match source::link_by_name(request.net, name) {
            Some(l) => l,
            None => {
                return Err(h
                    .get(ETHTOOL_A_HEADER_DEV_NAME)
                    .map_or_else(|| Errno::ENODEV.into(), |a| Fail::at(Errno::ENODEV, "no device matches name", a)))
            }
        },
        (None, None) if cmd == ETHTOOL_MSG_STRSET_GET => return strings(request, family, attrs, None),
        (None, None) => {
            return Err(Fail::at(Errno::EINVAL, "neither ifindex nor name specified", header));
        }
    };
    if cmd == ETHTOOL_MSG_STRSET_GET {
        return strings(request, family, attrs, Some(&link));
    }
    if !served {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let mut w = Writer::default();
    one(&mut w, request.to(), family, cmd, attrs, &link, flags & ETHTOOL_FLAG_COMPACT_BITSETS != 0)?;
    Ok(Reply { messages: vec![w.into_bytes()], dump: None })
}

fn head(w: &mut Writer, cmd: u8, link: Option<&LinkView>) {
    w.fixed(&[&[cmd, 1, 0, 0]]);
    if let Some(l) = link {
        w.nest(HEADER, |w| {
            w.u32(ETHTOOL_A_HEADER_DEV_INDEX, l.index);
            w.str(ETHTOOL_A_HEADER_DEV_NAME, &l.name);
        });
    }
}

/// Writes the answer to `cmd` for one link.
fn one(
    w: &mut Writer,
    to: To,
    family: u16,
    cmd: u8,
    attrs: &Attrs<'_>,
    link: &LinkView,
    compact: bool,
) -> Result<(), Fail> {
    let is_tun = !link.loopback;
    match cmd {
        ETHTOOL_MSG_LINKSTATE_GET => w.message(family, to, |w| {
            head(w, cmd, Some(link));
            w.u8(2, (link.flags & IFF_LOWER_UP != 0).into());
        }),
        ETHTOOL_MSG_LINKINFO_GET if is_tun => w.message(family, to, |w| {
            head(w, cmd, Some(link));
            // Port, PHY address, MDI-X, its control, transceiver.
            for (kind, v) in [(2, PORT_TP), (3, 0), (4, 0), (5, 0), (6, 0)] {
                w.u8(kind, v);
            }
        }),
        ETHTOOL_MSG_LINKMODES_GET if is_tun => w.message(family, to, |w| {
            head(w, cmd, Some(link));
            w.u8(2, 0);
            bitset(w, 3, LINK_MODES, 0, Some(0), &[], compact);
            w.u32(5, SPEED);
            w.u8(6, DUPLEX_FULL);
            w.u8(10, 0);
        }),
        ETHTOOL_MSG_DEBUG_GET if is_tun => w.message(family, to, |w| {
            head(w, cmd, Some(link));
            bitset(w, 2, MSG_CLASSES.len() as u32, 0, None, &MSG_CLASSES, compact);
        }),
        ETHTOOL_MSG_FEATURES_GET => w.message(family, to, |w| {
            head(w, cmd, Some(link));
            let f = features(link);
            let n = FEATURES.len() as u32;
            bitset(w, 2, n, f.changeable, Some(u64::MAX), &FEATURES, compact);
            bitset(w, 3, n, f.active & f.changeable, None, &FEATURES, compact);
            bitset(w, 4, n, f.active, None, &FEATURES, compact);
            bitset(w, 5, n, f.never, None, &FEATURES, compact);
        }),
        ETHTOOL_MSG_TSINFO_GET => w.message(family, to, |w| {
            head(w, ETHTOOL_MSG_TSINFO_GET_REPLY, Some(link));
            let names = [
                "hardware-transmit",
                "software-transmit",
                "hardware-receive",
                "software-receive",
                "software-system-clock",
                "hardware-legacy-clock",
                "hardware-raw-clock",
            ];
            bitset(w, 2, TIMESTAMPING_BITS, TIMESTAMPING.into(), None, &names, compact);
        }),
        ETHTOOL_MSG_STRSET_GET => {
            let sets = asked_sets(attrs, Some(link))?;
            write_strings(w, to, family, Some(link), &sets, attrs.has(ETHTOOL_A_STRSET_COUNTS_ONLY));
        }
        _ => return Err(Errno::EOPNOTSUPP.into()),
    }
    Ok(())
}

/// A set of `size` bits: the values, and which of them are meant. Without a mask it is a list.
fn bitset(w: &mut Writer, kind: u16, size: u32, value: u64, mask: Option<u64>, names: &[&str], compact: bool) {
    w.nest(kind, |w| {
        if mask.is_none() {
            w.attr(ETHTOOL_A_BITSET_NOMASK, &[]);
        }
        w.u32(ETHTOOL_A_BITSET_SIZE, size);
        if compact {
            let words = (size as usize).div_ceil(32) * 4;
            let bytes = |v: u64, high: u8| {
                // In words of 32 bits, the lowest first; bits beyond 64 are never set.
                let mut b: Vec<u8> = [v as u32, (v >> 32) as u32].iter().flat_map(|x| x.to_ne_bytes()).collect();
                b.resize(words.max(8), high);
                b.truncate(words);
                b
            };
            w.attr(ETHTOOL_A_BITSET_VALUE, &bytes(value, 0));
            if let Some(m) = mask {
                w.attr(ETHTOOL_A_BITSET_MASK, &bytes(m, 0));
            }
            return;
        }
        w.nest(ETHTOOL_A_BITSET_BITS, |w| {
            for i in 0..size.min(64) {
                let bit = 1u64 << i;
                if mask.unwrap_or(value) & bit == 0 {
                    continue;
                }
                let name = names.get(i as usize).copied().unwrap_or("");
                if mask.is_some() && name.is_empty() {
                    continue;
                }
                w.nest(ETHTOOL_A_BITSET_BITS_BIT, |w| {
                    w.u32(ETHTOOL_A_BITSET_BIT_INDEX, i);
                    if !name.is_empty() {
                        w.str(ETHTOOL_A_BITSET_BIT_NAME, name);
                    }
                    if mask.is_some() && value & bit != 0 {
                        w.attr(ETHTOOL_A_BITSET_BIT_VALUE, &[]);
                    }
                });
            }
        });
    });
}

fn set(id: u32) -> Option<&'static [&'static str]> {
    match id {
        ETH_SS_FEATURES => Some(&FEATURES),
        ETH_SS_MSG_CLASSES => Some(&MSG_CLASSES),
        _ => None,
    }
}

type Sets = Vec<(u32, &'static [&'static str])>;

fn asked_sets(attrs: &Attrs<'_>, link: Option<&LinkView>) -> Result<Sets, Fail> {
    let mut sets = Vec::new();
    let Some(asked) = attrs.nested(ETHTOOL_A_STRSET_STRINGSETS) else {
        let ids = [ETH_SS_FEATURES, ETH_SS_MSG_CLASSES];
        return Ok(ids.iter().filter_map(|id| Some((*id, set(*id)?))).collect());
    };
    for a in asked.iter().filter(|a| a.kind == ETHTOOL_A_STRINGSETS_STRINGSET) {
        let id = a.nested().u32(ETHTOOL_A_STRINGSET_ID)?.ok_or(Errno::EINVAL)?;
        match set(id) {
            Some(names) => sets.push((id, names)),
            // Of a device, a set that it does not have is left out.
            None if link.is_some() => {}
            None => return Err(Errno::EOPNOTSUPP.into()),
        }
    }
    Ok(sets)
}

fn strings(request: &Request<'_>, family: u16, attrs: &Attrs<'_>, link: Option<&LinkView>) -> Outcome {
    let sets = asked_sets(attrs, link)?;
    let mut w = Writer::default();
    write_strings(&mut w, request.to(), family, link, &sets, attrs.has(ETHTOOL_A_STRSET_COUNTS_ONLY));
    Ok(Reply { messages: vec![w.into_bytes()], dump: None })
}

fn write_strings(w: &mut Writer, to: To, family: u16, link: Option<&LinkView>, sets: &Sets, counts_only: bool) {
    w.message(family, to, |w| {
        head(w, ETHTOOL_MSG_STRSET_GET, link);
        w.nest(ETHTOOL_A_STRSET_STRINGSETS, |w| {
            for (id, names) in sets {
                w.nest(ETHTOOL_A_STRINGSETS_STRINGSET, |w| {
                    w.u32(ETHTOOL_A_STRINGSET_ID, *id);
                    w.u32(ETHTOOL_A_STRINGSET_COUNT, u32::try_from(names.len()).unwrap_or(0));
                    if counts_only {
                        return;
                    }
                    w.nest(ETHTOOL_A_STRINGSET_STRINGS, |w| {
                        for (i, name) in (0u32..).zip(*names) {
                            w.nest(ETHTOOL_A_STRINGS_STRING, |w| {
                                w.u32(ETHTOOL_A_STRING_INDEX, i);
                                w.str(ETHTOOL_A_STRING_VALUE, name);
                            });
                        }
                    });
                });
            }
        });
    });
}
