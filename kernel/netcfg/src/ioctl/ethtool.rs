//! `SIOCETHTOOL`.

use super::{get, name};
use crate::ethtool::{bus_info, features, FEATURES, LINK_MODES, SPEED, TIMESTAMPING};
use crate::netlink::wire::u32_at;
use crate::source;
use crate::view::LinkView;
use lkl_abi::ethtool::*;
use lkl_abi::if_::{IFF_LOWER_UP, IFREQ_SIZE};
use lkl_abi::{Errno, Result};
use lkl_inet::Net;
use lkl_ops::UserMem;

pub(super) fn ioctl(net: &Net, mem: &dyn UserMem, arg: u64) -> Result<u64> {
    let b: [u8; IFREQ_SIZE] = get(mem, arg)?;
    let data = b[16..].first_chunk().copied().map_or(0, u64::from_ne_bytes);
    let cmd = u32::from_ne_bytes(get(mem, data)?);
    let l = source::link_by_name(net, &name(&b[..16])?).ok_or(Errno::ENODEV)?;
    let on = |yes: bool| u32::from(yes);
    let f = features(&l);
    let feature = |bits: u64| on(f.active & bits != 0);
    match cmd {
        ETHTOOL_GLINK => value(mem, data, on(l.flags & IFF_LOWER_UP != 0)),
        ETHTOOL_GDRVINFO if !l.loopback => driver(mem, data, &l),
        ETHTOOL_GMSGLVL if !l.loopback => value(mem, data, 0),
        ETHTOOL_SMSGLVL if !l.loopback => Ok(0),
        ETHTOOL_GSET if !l.loopback => old_settings(mem, data),
        ETHTOOL_GLINKSETTINGS if !l.loopback => settings(mem, data),
        ETHTOOL_GRXCSUM => value(mem, data, feature(1 << 40)),
        ETHTOOL_GTXCSUM => value(mem, data, feature(0b11010)),
        ETHTOOL_GSG => value(mem, data, feature(1)),
        ETHTOOL_GTSO => value(mem, data, feature(1 << 16 | 1 << 20)),
        ETHTOOL_GUFO => value(mem, data, 0),
        ETHTOOL_GGSO => value(mem, data, feature(1 << 11)),
        ETHTOOL_GGRO => value(mem, data, feature(1 << 14)),
        ETHTOOL_GFLAGS => value(mem, data, 0),
        ETHTOOL_GFEATURES => get_features(mem, data, &l),
        ETHTOOL_GSSET_INFO => set_info(mem, data),
        ETHTOOL_GSTRINGS => strings(mem, data),
        ETHTOOL_GPERMADDR => permanent_address(mem, data),
        ETHTOOL_GET_TS_INFO => time_stamping(mem, data),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// `struct ethtool_value`
fn value(mem: &dyn UserMem, at: u64, v: u32) -> Result<u64> {
    mem.write(at.wrapping_add(4), &v.to_ne_bytes())?;
    Ok(0)
}

/// `struct ethtool_drvinfo`
fn driver(mem: &dyn UserMem, at: u64, l: &LinkView) -> Result<u64> {
    let mut b = [0; 196];
    b[..4].copy_from_slice(&ETHTOOL_GDRVINFO.to_ne_bytes());
    for (start, text) in [(4, l.driver), (36, "1.6"), (100, bus_info(l))] {
        for (to, from) in b[start..start + 31].iter_mut().zip(text.bytes()) {
            *to = from;
        }
    }
    mem.write(at, &b)?;
    Ok(0)
}

/// `struct ethtool_cmd`
fn old_settings(mem: &dyn UserMem, at: u64) -> Result<u64> {
    let mut b = [0; 44];
    b[..4].copy_from_slice(&ETHTOOL_GSET.to_ne_bytes());
    b[12..14].copy_from_slice(&(SPEED as u16).to_ne_bytes());
    b[14] = DUPLEX_FULL;
    b[15] = PORT_TP;
    mem.write(at, &b)?;
    Ok(0)
}

/// `struct ethtool_link_settings`: the caller must first learn how long the bit sets are.
fn settings(mem: &dyn UserMem, at: u64) -> Result<u64> {
    let asked: [u8; 48] = get(mem, at)?;
    let words = LINK_MODES.div_ceil(32) as usize;
    let mut b = vec![0; 48];
    b[..4].copy_from_slice(&ETHTOOL_GLINKSETTINGS.to_ne_bytes());
    if usize::from(asked[15]) != words {
        b[15] = (words as u8).wrapping_neg();
        mem.write(at, &b)?;
        return Ok(0);
    }
    b[4..8].copy_from_slice(&SPEED.to_ne_bytes());
    b[8] = DUPLEX_FULL;
    b[9] = PORT_TP;
    b[15] = words as u8;
    // Supported, advertised, and the partner's modes: none.
    b.resize(48 + 3 * 4 * words, 0);
    mem.write(at, &b)?;
    Ok(0)
}

/// `struct ethtool_gfeatures`
fn get_features(mem: &dyn UserMem, at: u64, l: &LinkView) -> Result<u64> {
    let head: [u8; 8] = get(mem, at)?;
    let room = u32_at(&head, 4).unwrap_or(0);
    let f = features(l);
    let blocks = FEATURES.len().div_ceil(32) as u32;
    let mut b = ETHTOOL_GFEATURES.to_ne_bytes().to_vec();
    b.extend(blocks.to_ne_bytes());
    for block in 0..blocks.min(room) {
        // Changeable, requested, active, never changed.
        for bits in [f.changeable, f.active & f.changeable, f.active, f.never] {
            b.extend(((bits >> (32 * block)) as u32).to_ne_bytes());
        }
    }
    mem.write(at, &b)?;
    Ok(0)
}

/// `struct ethtool_sset_info`
fn set_info(mem: &dyn UserMem, at: u64) -> Result<u64> {
    let head: [u8; 16] = get(mem, at)?;
    let [_, _, _, _, _, _, _, _, m @ ..] = head;
    let mask = u64::from_ne_bytes(m) & (1 << ETH_SS_FEATURES);
    let mut b = head.to_vec();
    b.truncate(8);
    b.extend(mask.to_ne_bytes());
    if mask != 0 {
        b.extend((FEATURES.len() as u32).to_ne_bytes());
    }
    mem.write(at, &b)?;
    Ok(0)
}

/// `struct ethtool_gstrings`
fn strings(mem: &dyn UserMem, at: u64) -> Result<u64> {
    let head: [u8; 12] = get(mem, at)?;
    if u32_at(&head, 4) != Some(ETH_SS_FEATURES) {
        return Err(Errno::EOPNOTSUPP);
    }
    let mut b = head.to_vec();
    b.truncate(8);
    b.extend((FEATURES.len() as u32).to_ne_bytes());
    for name in FEATURES {
        let mut field = [0; ETH_GSTRING_LEN];
        for (to, from) in field[..ETH_GSTRING_LEN - 1].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        b.extend(field);
    }
    mem.write(at, &b)?;
    Ok(0)
}

/// `struct ethtool_perm_addr`: a device of this kind has none.
fn permanent_address(mem: &dyn UserMem, at: u64) -> Result<u64> {
    let head: [u8; 8] = get(mem, at)?;
    if u32_at(&head, 4).unwrap_or(0) < 6 {
        return Err(Errno::EINVAL);
    }
    mem.write(at.wrapping_add(4), &6u32.to_ne_bytes())?;
    mem.write(at.wrapping_add(8), &[0; 6])?;
    Ok(0)
}

/// `struct ethtool_ts_info`
fn time_stamping(mem: &dyn UserMem, at: u64) -> Result<u64> {
    let mut b = [0; 44];
    b[..4].copy_from_slice(&ETHTOOL_GET_TS_INFO.to_ne_bytes());
    b[4..8].copy_from_slice(&TIMESTAMPING.to_ne_bytes());
    b[8..12].copy_from_slice(&(-1i32).to_ne_bytes());
    mem.write(at, &b)?;
    Ok(0)
}
