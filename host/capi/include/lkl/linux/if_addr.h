/* Addresses of interfaces, in netlink (man 7 rtnetlink). */
#ifndef LKL_LINUX_IF_ADDR_H
#define LKL_LINUX_IF_ADDR_H

#include <lkl/linux/types.h>

struct lkl_ifaddrmsg {
	__lkl__u8 ifa_family;
	__lkl__u8 ifa_prefixlen;
	__lkl__u8 ifa_flags;
	__lkl__u8 ifa_scope;
	__lkl__u32 ifa_index;
};

/* constants: rtnetlink IFA_ */
#define LKL_IFA_ADDRESS 1
#define LKL_IFA_LOCAL 2
#define LKL_IFA_LABEL 3
#define LKL_IFA_BROADCAST 4
#define LKL_IFA_ANYCAST 5
#define LKL_IFA_CACHEINFO 6
#define LKL_IFA_MULTICAST 7
#define LKL_IFA_FLAGS 8
#define LKL_IFA_RT_PRIORITY 9
#define LKL_IFA_TARGET_NETNSID 0xa
#define LKL_IFA_PROTO 0xb
#define LKL_IFA_F_SECONDARY 1
#define LKL_IFA_F_NODAD 2
#define LKL_IFA_F_OPTIMISTIC 4
#define LKL_IFA_F_DADFAILED 8
#define LKL_IFA_F_HOMEADDRESS 0x10
#define LKL_IFA_F_DEPRECATED 0x20
#define LKL_IFA_F_TENTATIVE 0x40
#define LKL_IFA_F_PERMANENT 0x80
#define LKL_IFA_F_MANAGETEMPADDR 0x100
#define LKL_IFA_F_NOPREFIXROUTE 0x200
#define LKL_IFA_F_MCAUTOJOIN 0x400
#define LKL_IFA_F_STABLE_PRIVACY 0x800
/* end of constants */

#endif
