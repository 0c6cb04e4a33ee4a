/* Names of the system (man 2 uname). */
#ifndef LKL_LINUX_UTSNAME_H
#define LKL_LINUX_UTSNAME_H

#define __LKL__NEW_UTS_LEN 64

struct lkl_new_utsname {
	char sysname[__LKL__NEW_UTS_LEN + 1];
	char nodename[__LKL__NEW_UTS_LEN + 1];
	char release[__LKL__NEW_UTS_LEN + 1];
	char version[__LKL__NEW_UTS_LEN + 1];
	char machine[__LKL__NEW_UTS_LEN + 1];
	char domainname[__LKL__NEW_UTS_LEN + 1];
};

#endif
