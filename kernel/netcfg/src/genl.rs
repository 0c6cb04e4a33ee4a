//! `NETLINK_GENERIC`: families that are found by name. There are two, `nlctrl` (here) and `ethtool`.

mod ethtool;

use crate::netlink::wire::{Attrs, To, Writer};
use crate::netlink::{Fail, Outcome, Reply, Request};
use lkl_abi::ethtool::{
    ETHTOOL_MSG_CHANNELS_GET, ETHTOOL_MSG_COALESCE_GET, ETHTOOL_MSG_DEBUG_GET, ETHTOOL_MSG_EEE_GET,
    ETHTOOL_MSG_FEATURES_GET, ETHTOOL_MSG_LINKINFO_GET, ETHTOOL_MSG_LINKMODES_GET, ETHTOOL_MSG_LINKSTATE_GET,
    ETHTOOL_MSG_PAUSE_GET, ETHTOOL_MSG_PRIVFLAGS_GET, ETHTOOL_MSG_RINGS_GET, ETHTOOL_MSG_STRSET_GET,
    ETHTOOL_MSG_TSINFO_GET, ETHTOOL_MSG_WOL_GET,
};
use lkl_abi::netlink::{
    CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_ATTR_HDRSIZE, CTRL_ATTR_MAXATTR, CTRL_ATTR_MCAST_GROUPS,
    CTRL_ATTR_MCAST_GRP_ID, CTRL_ATTR_MCAST_GRP_NAME, CTRL_ATTR_OP, CTRL_ATTR_OPS, CTRL_ATTR_OP_FLAGS, CTRL_ATTR_OP_ID,
    CTRL_ATTR_VERSION, CTRL_CMD_GETFAMILY, CTRL_CMD_GETPOLICY, CTRL_CMD_NEWFAMILY, GENL_CMD_CAP_DO, GENL_CMD_CAP_DUMP,
    GENL_CMD_CAP_HASPOL, GENL_ID_CTRL,
};
use lkl_abi::Errno;

/// The highest multicast group of this protocol.
pub(crate) const GROUP_MAX: u32 = 32;

/// A family.
struct Family {
    id: u16,
    name: &'static str,
    version: u32,
    maxattr: u32,
    /// Commands that are served.
    ops: &'static [u8],
    groups: &'static [(&'static str, u32)],
}

const FAMILIES: [Family; 2] = [
    Family {
        id: GENL_ID_CTRL,
        name: "nlctrl",
        version: 2,
        maxattr: 10,
        ops: &[CTRL_CMD_GETFAMILY, CTRL_CMD_GETPOLICY],
        groups: &[("notify", 16)],
    },
    Family {
        id: GENL_ID_CTRL + 5,
        name: "ethtool",
        version: 1,
        maxattr: 0,
        ops: &[
            ETHTOOL_MSG_STRSET_GET,
            ETHTOOL_MSG_LINKINFO_GET,
            ETHTOOL_MSG_LINKMODES_GET,
            ETHTOOL_MSG_LINKSTATE_GET,
            ETHTOOL_MSG_DEBUG_GET,
            ETHTOOL_MSG_WOL_GET,
            ETHTOOL_MSG_FEATURES_GET,
            ETHTOOL_MSG_PRIVFLAGS_GET,
            ETHTOOL_MSG_RINGS_GET,
            ETHTOOL_MSG_CHANNELS_GET,
            ETHTOOL_MSG_COALESCE_GET,
            ETHTOOL_MSG_PAUSE_GET,
            ETHTOOL_MSG_EEE_GET,
            ETHTOOL_MSG_TSINFO_GET,
        ],
        groups: &[("monitor", 17)],
    },
];

/// Bytes of `struct genlmsghdr`.
const HEADER: usize = 4;

/// Carries out a request of this protocol.
pub(crate) fn handle(request: &Request<'_>) -> Outcome {
    let family = FAMILIES.iter().find(|f| f.id == request.header.kind).ok_or(Errno::ENOENT)?;
    let [cmd, ..] = request.fixed::<HEADER>()?;
    let attrs = request.attrs(HEADER);
    match (family.id, cmd) {
        (GENL_ID_CTRL, CTRL_CMD_GETFAMILY) => get_family(request, &attrs),
        (GENL_ID_CTRL, CTRL_CMD_GETPOLICY) => get_policy(request, &attrs),
        (GENL_ID_CTRL, _) => Err(Errno::EOPNOTSUPP.into()),
        _ => ethtool::handle(request, family.id, cmd, &attrs),
    }
}

fn named(attrs: &Attrs<'_>) -> Result<Option<&'static Family>, Fail> {
    if let Some(id) = attrs.u16(CTRL_ATTR_FAMILY_ID)? {
        let found = FAMILIES.iter().find(|f| f.id == id);
        return found.map(Some).ok_or_else(|| Errno::ENOENT.into());
    }
    if let Some(name) = attrs.str(CTRL_ATTR_FAMILY_NAME)? {
        let found = FAMILIES.iter().find(|f| f.name == name);
        return found.map(Some).ok_or_else(|| Errno::ENOENT.into());
    }
    Ok(None)
}

fn get_family(request: &Request<'_>, attrs: &Attrs<'_>) -> Outcome {
    if request.is_dump() {
        let to = request.to().multi();
        return Ok(Reply::dump(FAMILIES.iter().collect(), move |w, f| write_family(w, to, f)));
    }
    let family = named(attrs)?.ok_or(Errno::EINVAL)?;
    let mut w = Writer::default();
    write_family(&mut w, request.to(), family);
    Ok(Reply { messages: vec![w.into_bytes()], dump: None })
}

fn write_family(w: &mut Writer, to: To, f: &Family) {
    w.message(GENL_ID_CTRL, to, |w| {
        w.fixed(&[&[CTRL_CMD_NEWFAMILY, 2, 0, 0]]);
        w.str(CTRL_ATTR_FAMILY_NAME, f.name);
        w.u16(CTRL_ATTR_FAMILY_ID, f.id);
        w.u32(CTRL_ATTR_VERSION, f.version);
        w.u32(CTRL_ATTR_HDRSIZE, 0);
        w.u32(CTRL_ATTR_MAXATTR, f.maxattr);
        w.list(CTRL_ATTR_OPS, |w| {
            for (i, op) in (1..).zip(f.ops) {
                w.list(i, |w| {
                    let dump = if f.id == GENL_ID_CTRL && *op == CTRL_CMD_GETPOLICY { 0 } else { GENL_CMD_CAP_DO };
                    w.u32(CTRL_ATTR_OP_ID, u32::from(*op));
                    w.u32(CTRL_ATTR_OP_FLAGS, dump | GENL_CMD_CAP_DUMP | GENL_CMD_CAP_HASPOL);
                });
            }
        });
        w.list(CTRL_ATTR_MCAST_GROUPS, |w| {
            for (i, (name, id)) in (1..).zip(f.groups) {
                w.list(i, |w| {
                    w.u32(CTRL_ATTR_MCAST_GRP_ID, *id);
                    w.str(CTRL_ATTR_MCAST_GRP_NAME, name);
                });
            }
        });
    });
}

/// The policies themselves are not told: the dump of a known family is empty.
fn get_policy(request: &Request<'_>, attrs: &Attrs<'_>) -> Outcome {
    if !request.is_dump() {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let family = named(attrs)?.ok_or(Errno::EINVAL)?;
    if let Some(op) = attrs.u32(CTRL_ATTR_OP)? {
        if !family.ops.iter().any(|o| u32::from(*o) == op) {
            return Err(Errno::ENOENT.into());
        }
    }
    Ok(Reply::dump(Vec::<()>::new(), |_, ()| {}))
}
