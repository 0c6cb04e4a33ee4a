/* Netlink (man 7 netlink). */
#ifndef LKL_LINUX_NETLINK_H
#define LKL_LINUX_NETLINK_H

#include <lkl/linux/types.h>

struct lkl_sockaddr_nl {
	__lkl__kernel_sa_family_t nl_family;
	unsigned short nl_pad;
	__lkl__u32 nl_pid;
	__lkl__u32 nl_groups;
};

struct lkl_nlmsghdr {
	__lkl__u32 nlmsg_len;
	__lkl__u16 nlmsg_type;
	__lkl__u16 nlmsg_flags;
	__lkl__u32 nlmsg_seq;
	__lkl__u32 nlmsg_pid;
};

struct lkl_nlmsgerr {
	int error;
	struct lkl_nlmsghdr msg;
};

struct lkl_nlattr {
	__lkl__u16 nla_len;
	__lkl__u16 nla_type;
};

/* constants: netlink !GENL_ !CTRL_ !NLMSG_HDRLEN !NLA_TYPE_MASK */
#define LKL_NETLINK_ROUTE 0
#define LKL_NETLINK_SOCK_DIAG 4
#define LKL_NETLINK_GENERIC 0x10
#define LKL_NLMSG_ALIGNTO 4
#define LKL_NLMSG_NOOP 1
#define LKL_NLMSG_ERROR 2
#define LKL_NLMSG_DONE 3
#define LKL_NLMSG_OVERRUN 4
#define LKL_NLMSG_MIN_TYPE 0x10
#define LKL_NLM_F_REQUEST 1
#define LKL_NLM_F_MULTI 2
#define LKL_NLM_F_ACK 4
#define LKL_NLM_F_ECHO 8
#define LKL_NLM_F_DUMP_INTR 0x10
#define LKL_NLM_F_DUMP_FILTERED 0x20
#define LKL_NLM_F_ROOT 0x100
#define LKL_NLM_F_MATCH 0x200
#define LKL_NLM_F_DUMP 0x300
#define LKL_NLM_F_REPLACE 0x100
#define LKL_NLM_F_EXCL 0x200
#define LKL_NLM_F_CREATE 0x400
#define LKL_NLM_F_APPEND 0x800
#define LKL_NLM_F_BULK 0x200
#define LKL_NLM_F_CAPPED 0x100
#define LKL_NLM_F_ACK_TLVS 0x200
#define LKL_NLMSGERR_ATTR_MSG 1
#define LKL_NLMSGERR_ATTR_OFFS 2
#define LKL_NLMSGERR_ATTR_MISS_TYPE 5
#define LKL_NETLINK_ADD_MEMBERSHIP 1
#define LKL_NETLINK_DROP_MEMBERSHIP 2
#define LKL_NETLINK_PKTINFO 3
#define LKL_NETLINK_BROADCAST_ERROR 4
#define LKL_NETLINK_NO_ENOBUFS 5
#define LKL_NETLINK_LISTEN_ALL_NSID 8
#define LKL_NETLINK_LIST_MEMBERSHIPS 9
#define LKL_NETLINK_CAP_ACK 0xa
#define LKL_NETLINK_EXT_ACK 0xb
#define LKL_NETLINK_GET_STRICT_CHK 0xc
#define LKL_NLA_F_NESTED 0x8000
#define LKL_NLA_F_NET_BYTEORDER 0x4000
/* end of constants */

#define LKL_NLA_TYPE_MASK (~(LKL_NLA_F_NESTED | LKL_NLA_F_NET_BYTEORDER))
#define LKL_NLMSG_ALIGN(len) (((len) + LKL_NLMSG_ALIGNTO - 1) & ~(LKL_NLMSG_ALIGNTO - 1))
#define LKL_NLMSG_HDRLEN ((int)LKL_NLMSG_ALIGN(sizeof(struct lkl_nlmsghdr)))
#define LKL_NLMSG_LENGTH(len) ((len) + LKL_NLMSG_HDRLEN)
#define LKL_NLMSG_SPACE(len) LKL_NLMSG_ALIGN(LKL_NLMSG_LENGTH(len))
#define LKL_NLMSG_DATA(nlh) ((void *)(((char *)(nlh)) + LKL_NLMSG_LENGTH(0)))

#endif
