/* inotify (man 7 inotify). */
#ifndef LKL_LINUX_INOTIFY_H
#define LKL_LINUX_INOTIFY_H

#include <lkl/linux/types.h>

/* constants: inotify */
#define LKL_IN_ACCESS 1
#define LKL_IN_MODIFY 2
#define LKL_IN_ATTRIB 4
#define LKL_IN_CLOSE_WRITE 8
#define LKL_IN_CLOSE_NOWRITE 0x10
#define LKL_IN_OPEN 0x20
#define LKL_IN_MOVED_FROM 0x40
#define LKL_IN_MOVED_TO 0x80
#define LKL_IN_CREATE 0x100
#define LKL_IN_DELETE 0x200
#define LKL_IN_DELETE_SELF 0x400
#define LKL_IN_MOVE_SELF 0x800
#define LKL_IN_ALL_EVENTS 0xfff
#define LKL_IN_UNMOUNT 0x2000
#define LKL_IN_Q_OVERFLOW 0x4000
#define LKL_IN_IGNORED 0x8000
#define LKL_IN_ONLYDIR 0x1000000
#define LKL_IN_DONT_FOLLOW 0x2000000
#define LKL_IN_EXCL_UNLINK 0x4000000
#define LKL_IN_MASK_CREATE 0x10000000
#define LKL_IN_MASK_ADD 0x20000000
#define LKL_IN_ISDIR 0x40000000
#define LKL_IN_ONESHOT 0x80000000
#define LKL_IN_CLOEXEC 0x80000
#define LKL_IN_NONBLOCK 0x800
/* end of constants */

struct lkl_inotify_event {
	__lkl__s32 wd;
	__lkl__u32 mask;
	__lkl__u32 cookie;
	__lkl__u32 len;
	char name[];
};

#endif
