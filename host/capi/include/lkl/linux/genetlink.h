/* Generic netlink. */
#ifndef LKL_LINUX_GENETLINK_H
#define LKL_LINUX_GENETLINK_H

#include <lkl/linux/types.h>

struct lkl_genlmsghdr {
	__lkl__u8 cmd;
	__lkl__u8 version;
	__lkl__u16 reserved;
};

/* constants: netlink GENL_ CTRL_ */
#define LKL_GENL_ID_CTRL 0x10
#define LKL_GENL_ADMIN_PERM 1
#define LKL_GENL_CMD_CAP_DO 2
#define LKL_GENL_CMD_CAP_DUMP 4
#define LKL_GENL_CMD_CAP_HASPOL 8
#define LKL_CTRL_CMD_NEWFAMILY 1
#define LKL_CTRL_CMD_GETFAMILY 3
#define LKL_CTRL_CMD_GETPOLICY 0xa
#define LKL_CTRL_ATTR_FAMILY_ID 1
#define LKL_CTRL_ATTR_FAMILY_NAME 2
#define LKL_CTRL_ATTR_VERSION 3
#define LKL_CTRL_ATTR_HDRSIZE 4
#define LKL_CTRL_ATTR_MAXATTR 5
#define LKL_CTRL_ATTR_OPS 6
#define LKL_CTRL_ATTR_MCAST_GROUPS 7
#define LKL_CTRL_ATTR_POLICY 8
#define LKL_CTRL_ATTR_OP_POLICY 9
#define LKL_CTRL_ATTR_OP 0xa
#define LKL_CTRL_ATTR_OP_ID 1
#define LKL_CTRL_ATTR_OP_FLAGS 2
#define LKL_CTRL_ATTR_MCAST_GRP_NAME 1
#define LKL_CTRL_ATTR_MCAST_GRP_ID 2
/* end of constants */

#endif
