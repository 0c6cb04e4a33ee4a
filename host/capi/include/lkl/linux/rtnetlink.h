/* Routing by netlink (man 7 rtnetlink). */
#ifndef LKL_LINUX_RTNETLINK_H
#define LKL_LINUX_RTNETLINK_H

#include <lkl/linux/netlink.h>
#include <lkl/linux/if_link.h>
#include <lkl/linux/if_addr.h>
#include <lkl/linux/neighbour.h>

/* constants: rtnetlink RTM_ RTN_ RTNL RTA_ RTAX_ RTNH_ RTPROT_ RT_ RTEXT TCA_ TC_ !RTNLGRP_MAX */
#define LKL_RTM_NEWLINK 0x10
#define LKL_RTM_DELLINK 0x11
#define LKL_RTM_GETLINK 0x12
#define LKL_RTM_SETLINK 0x13
#define LKL_RTM_NEWADDR 0x14
#define LKL_RTM_DELADDR 0x15
#define LKL_RTM_GETADDR 0x16
#define LKL_RTM_NEWROUTE 0x18
#define LKL_RTM_DELROUTE 0x19
#define LKL_RTM_GETROUTE 0x1a
#define LKL_RTM_NEWNEIGH 0x1c
#define LKL_RTM_DELNEIGH 0x1d
#define LKL_RTM_GETNEIGH 0x1e
#define LKL_RTM_NEWRULE 0x20
#define LKL_RTM_DELRULE 0x21
#define LKL_RTM_GETRULE 0x22
#define LKL_RTM_NEWQDISC 0x24
#define LKL_RTM_DELQDISC 0x25
#define LKL_RTM_GETQDISC 0x26
#define LKL_RTM_GETTCLASS 0x2a
#define LKL_RTM_GETTFILTER 0x2e
#define LKL_RTM_GETMULTICAST 0x3a
#define LKL_RTM_GETANYCAST 0x3e
#define LKL_RTM_NEWNEIGHTBL 0x40
#define LKL_RTM_GETNEIGHTBL 0x42
#define LKL_RTM_SETNEIGHTBL 0x43
#define LKL_RTM_GETADDRLABEL 0x4a
#define LKL_RTM_NEWNETCONF 0x50
#define LKL_RTM_GETNETCONF 0x52
#define LKL_RTM_NEWNSID 0x58
#define LKL_RTM_GETNSID 0x5a
#define LKL_RTM_NEWSTATS 0x5c
#define LKL_RTM_GETSTATS 0x5e
#define LKL_RTM_GETNEXTHOP 0x6a
#define LKL_RTNLGRP_LINK 1
#define LKL_RTNLGRP_NEIGH 3
#define LKL_RTNLGRP_IPV4_IFADDR 5
#define LKL_RTNLGRP_IPV4_ROUTE 7
#define LKL_RTNLGRP_IPV4_RULE 8
#define LKL_RTNLGRP_IPV6_IFADDR 9
#define LKL_RTNLGRP_IPV6_ROUTE 0xb
#define LKL_RTNLGRP_IPV6_RULE 0x13
#define LKL_RTA_DST 1
#define LKL_RTA_SRC 2
#define LKL_RTA_IIF 3
#define LKL_RTA_OIF 4
#define LKL_RTA_GATEWAY 5
#define LKL_RTA_PRIORITY 6
#define LKL_RTA_PREFSRC 7
#define LKL_RTA_METRICS 8
#define LKL_RTA_MULTIPATH 9
#define LKL_RTA_FLOW 0xb
#define LKL_RTA_CACHEINFO 0xc
#define LKL_RTA_TABLE 0xf
#define LKL_RTA_MARK 0x10
#define LKL_RTA_VIA 0x12
#define LKL_RTA_PREF 0x14
#define LKL_RTA_ENCAP_TYPE 0x15
#define LKL_RTA_ENCAP 0x16
#define LKL_RTA_EXPIRES 0x17
#define LKL_RTA_UID 0x19
#define LKL_RTA_IP_PROTO 0x1b
#define LKL_RTA_SPORT 0x1c
#define LKL_RTA_DPORT 0x1d
#define LKL_RTA_NH_ID 0x1e
#define LKL_RTM_F_NOTIFY 0x100
#define LKL_RTM_F_CLONED 0x200
#define LKL_RTM_F_EQUALIZE 0x400
#define LKL_RTM_F_PREFIX 0x800
#define LKL_RTM_F_LOOKUP_TABLE 0x1000
#define LKL_RTM_F_FIB_MATCH 0x2000
#define LKL_RT_TABLE_UNSPEC 0
#define LKL_RT_TABLE_COMPAT 0xfc
#define LKL_RT_TABLE_DEFAULT 0xfd
#define LKL_RT_TABLE_MAIN 0xfe
#define LKL_RT_TABLE_LOCAL 0xff
#define LKL_RTPROT_UNSPEC 0
#define LKL_RTPROT_REDIRECT 1
#define LKL_RTPROT_KERNEL 2
#define LKL_RTPROT_BOOT 3
#define LKL_RTPROT_STATIC 4
#define LKL_RTPROT_RA 9
#define LKL_RT_SCOPE_UNIVERSE 0
#define LKL_RT_SCOPE_SITE 0xc8
#define LKL_RT_SCOPE_LINK 0xfd
#define LKL_RT_SCOPE_HOST 0xfe
#define LKL_RT_SCOPE_NOWHERE 0xff
#define LKL_RTN_UNSPEC 0
#define LKL_RTN_UNICAST 1
#define LKL_RTN_LOCAL 2
#define LKL_RTN_BROADCAST 3
#define LKL_RTN_ANYCAST 4
#define LKL_RTN_MULTICAST 5
#define LKL_RTN_BLACKHOLE 6
#define LKL_RTN_UNREACHABLE 7
#define LKL_RTN_PROHIBIT 8
#define LKL_RTN_THROW 9
#define LKL_RTN_NAT 0xa
#define LKL_RTN_MAX 0xb
#define LKL_RTNH_F_DEAD 1
#define LKL_RTNH_F_PERVASIVE 2
#define LKL_RTNH_F_ONLINK 4
#define LKL_RTNH_F_LINKDOWN 0x10
#define LKL_RTAX_LOCK 1
#define LKL_RTAX_MTU 2
#define LKL_RTAX_WINDOW 3
#define LKL_RTAX_RTT 4
#define LKL_RTAX_RTTVAR 5
#define LKL_RTAX_SSTHRESH 6
#define LKL_RTAX_CWND 7
#define LKL_RTAX_ADVMSS 8
#define LKL_RTAX_REORDERING 9
#define LKL_RTAX_HOPLIMIT 0xa
#define LKL_RTAX_INITCWND 0xb
#define LKL_RTAX_FEATURES 0xc
#define LKL_RTAX_RTO_MIN 0xd
#define LKL_RTAX_INITRWND 0xe
#define LKL_RTAX_QUICKACK 0xf
#define LKL_RTAX_CC_ALGO 0x10
#define LKL_RTAX_FASTOPEN_NO_COOKIE 0x11
#define LKL_RTAX_MAX 0x11
#define LKL_TCA_KIND 1
#define LKL_TCA_OPTIONS 2
#define LKL_TCA_STATS 3
#define LKL_TCA_STATS2 7
#define LKL_TCA_HW_OFFLOAD 0xc
#define LKL_TC_H_ROOT 0xffffffff
/* end of constants */

struct lkl_rtmsg {
	unsigned char rtm_family;
	unsigned char rtm_dst_len;
	unsigned char rtm_src_len;
	unsigned char rtm_tos;
	unsigned char rtm_table;
	unsigned char rtm_protocol;
	unsigned char rtm_scope;
	unsigned char rtm_type;
	unsigned int rtm_flags;
};

struct lkl_rtattr {
	unsigned short rta_len;
	unsigned short rta_type;
};

struct lkl_rtgenmsg {
	unsigned char rtgen_family;
};

struct lkl_ifinfomsg {
	unsigned char ifi_family;
	unsigned char __ifi_pad;
	unsigned short ifi_type;
	int ifi_index;
	unsigned int ifi_flags;
	unsigned int ifi_change;
};

struct lkl_tcmsg {
	unsigned char tcm_family;
	unsigned char tcm__pad1;
	unsigned short tcm__pad2;
	int tcm_ifindex;
	__lkl__u32 tcm_handle;
	__lkl__u32 tcm_parent;
	__lkl__u32 tcm_info;
};

#define LKL_RTA_ALIGNTO 4U
#define LKL_RTA_ALIGN(len) (((len) + LKL_RTA_ALIGNTO - 1) & ~(LKL_RTA_ALIGNTO - 1))
#define LKL_RTA_LENGTH(len) (LKL_RTA_ALIGN(sizeof(struct lkl_rtattr)) + (len))
#define LKL_RTA_SPACE(len) LKL_RTA_ALIGN(LKL_RTA_LENGTH(len))
#define LKL_RTA_DATA(rta) ((void *)((char *)(rta) + LKL_RTA_LENGTH(0)))
#define LKL_RTA_PAYLOAD(rta) ((int)((rta)->rta_len) - (int)LKL_RTA_LENGTH(0))

#endif
