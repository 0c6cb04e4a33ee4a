use super::{kit, request, Client};
use crate::netlink::wire::Attrs;
use lkl_abi::ethtool::*;
use lkl_abi::netlink::*;
use lkl_abi::Errno;

fn family(c: &Client, name: &str) -> u16 {
    let all = c.ask(&request(GENL_ID_CTRL, 0, |w| {
        w.fixed(&[&[CTRL_CMD_GETFAMILY, 1, 0, 0]]);
        w.str(CTRL_ATTR_FAMILY_NAME, name);
    }));
    let a = Attrs::parse(&all[0].body[4..], 0);
    assert_eq!(a.str(CTRL_ATTR_FAMILY_NAME), Ok(Some(name)));
    a.u16(CTRL_ATTR_FAMILY_ID).unwrap().unwrap()
}

#[test]
fn families_are_found_by_name() {
    let k = kit();
    let c = k.client(NETLINK_GENERIC);
    assert_eq!(family(&c, "nlctrl"), GENL_ID_CTRL);
    assert!(family(&c, "ethtool") > GENL_ID_CTRL);
    let none = request(GENL_ID_CTRL, 0, |w| {
        w.fixed(&[&[CTRL_CMD_GETFAMILY, 1, 0, 0]]);
        w.str(CTRL_ATTR_FAMILY_NAME, "nl80211");
    });
    assert_eq!(c.ack(&none), Errno::ENOENT.0);
    assert_eq!(c.dump(GENL_ID_CTRL, |w| w.fixed(&[&[CTRL_CMD_GETFAMILY, 1, 0, 0]])).len(), 2);
    assert_eq!(c.ack(&request(99, 0, |w| w.fixed(&[&[1, 1, 0, 0]]))), Errno::ENOENT.0);
}

fn about(id: u16, cmd: u8, name: &str, flags: u32) -> Vec<u8> {
    request(id, 0, |w| {
        w.fixed(&[&[cmd, 1, 0, 0]]);
        w.nest(1, |w| {
            w.str(ETHTOOL_A_HEADER_DEV_NAME, name);
            w.u32(ETHTOOL_A_HEADER_FLAGS, flags);
        });
    })
}

#[test]
fn what_ethtool_asks() {
    let k = kit();
    let c = k.client(NETLINK_GENERIC);
    let id = family(&c, "ethtool");
    let modes = c.ask(&about(id, ETHTOOL_MSG_LINKMODES_GET, "eth0", 0));
    let a = Attrs::parse(&modes[0].body[4..], 0);
    assert_eq!((a.u32(5), a.u8(6)), (Ok(Some(10_000)), Ok(Some(DUPLEX_FULL))));
    let state = c.ask(&about(id, ETHTOOL_MSG_LINKSTATE_GET, "lo", 0));
    assert_eq!(Attrs::parse(&state[0].body[4..], 0).u8(2), Ok(Some(1)));
    let features = c.ask(&about(id, ETHTOOL_MSG_FEATURES_GET, "eth0", ETHTOOL_FLAG_COMPACT_BITSETS));
    let active = Attrs::parse(&features[0].body[4..], 0).nested(4).unwrap();
    assert_eq!(active.u32(ETHTOOL_A_BITSET_SIZE), Ok(Some(64)));
    assert_eq!(active.get(ETHTOOL_A_BITSET_VALUE).unwrap().data.len(), 8);
    for (cmd, name, errno) in [
        (ETHTOOL_MSG_RINGS_GET, "eth0", Errno::EOPNOTSUPP),
        (ETHTOOL_MSG_WOL_GET, "eth0", Errno::EOPNOTSUPP),
        (ETHTOOL_MSG_LINKMODES_GET, "lo", Errno::EOPNOTSUPP),
        (ETHTOOL_MSG_LINKMODES_GET, "nope", Errno::ENODEV),
    ] {
        assert_eq!(c.ack(&about(id, cmd, name, 0)), errno.0, "{cmd} {name}");
    }
    let strings = c.ask(&request(id, 0, |w| {
        w.fixed(&[&[ETHTOOL_MSG_STRSET_GET, 1, 0, 0]]);
        w.nest(ETHTOOL_A_STRSET_STRINGSETS, |w| {
            w.nest(ETHTOOL_A_STRINGSETS_STRINGSET, |w| w.u32(ETHTOOL_A_STRINGSET_ID, ETH_SS_FEATURES));
        });
    }));
    assert!(strings[0].body.len() > 1500);
    // A dump has the devices that know the answer.
    let all = c.dump(id, |w| w.fixed(&[&[ETHTOOL_MSG_LINKMODES_GET, 1, 0, 0]]));
    assert_eq!(all.len(), 1);
}
