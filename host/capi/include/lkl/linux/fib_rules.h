/* Rules of routing (man 8 ip-rule). */
#ifndef LKL_LINUX_FIB_RULES_H
#define LKL_LINUX_FIB_RULES_H

#include <lkl/linux/types.h>

/* constants: rtnetlink FRA_ FR_ FIB_ */
#define LKL_FRA_DST 1
#define LKL_FRA_SRC 2
#define LKL_FRA_IIFNAME 3
#define LKL_FRA_GOTO 4
#define LKL_FRA_PRIORITY 6
#define LKL_FRA_FWMARK 0xa
#define LKL_FRA_FLOW 0xb
#define LKL_FRA_TUN_ID 0xc
#define LKL_FRA_SUPPRESS_IFGROUP 0xd
#define LKL_FRA_SUPPRESS_PREFIXLEN 0xe
#define LKL_FRA_TABLE 0xf
#define LKL_FRA_FWMASK 0x10
#define LKL_FRA_OIFNAME 0x11
#define LKL_FRA_L3MDEV 0x13
#define LKL_FRA_UID_RANGE 0x14
#define LKL_FRA_PROTOCOL 0x15
#define LKL_FRA_IP_PROTO 0x16
#define LKL_FRA_SPORT_RANGE 0x17
#define LKL_FRA_DPORT_RANGE 0x18
#define LKL_FR_ACT_TO_TBL 1
#define LKL_FR_ACT_GOTO 2
#define LKL_FR_ACT_NOP 3
#define LKL_FR_ACT_BLACKHOLE 6
#define LKL_FR_ACT_UNREACHABLE 7
#define LKL_FR_ACT_PROHIBIT 8
#define LKL_FIB_RULE_INVERT 2
/* end of constants */

#endif
