/* Flags of open, commands of fcntl, and what goes with them (man 2 open, man 2 fcntl). */
#ifndef LKL_ASM_FCNTL_H
#define LKL_ASM_FCNTL_H

#include <lkl/linux/types.h>

/* constants: fcntl */
#define LKL_O_ACCMODE 3
#define LKL_O_RDONLY 0
#define LKL_O_WRONLY 1
#define LKL_O_RDWR 2
#define LKL_O_CREAT 0x40
#define LKL_O_EXCL 0x80
#define LKL_O_NOCTTY 0x100
#define LKL_O_TRUNC 0x200
#define LKL_O_APPEND 0x400
#define LKL_O_NONBLOCK 0x800
#define LKL_O_DSYNC 0x1000
#define LKL_FASYNC 0x2000
#define LKL_O_DIRECT 0x4000
#define LKL_O_LARGEFILE 0x8000
#define LKL_O_DIRECTORY 0x10000
#define LKL_O_NOFOLLOW 0x20000
#define LKL_O_NOATIME 0x40000
#define LKL_O_CLOEXEC 0x80000
#define LKL_O_SYNC 0x101000
#define LKL_O_PATH 0x200000
#define LKL_O_TMPFILE 0x410000
#define LKL_F_DUPFD 0
#define LKL_F_GETFD 1
#define LKL_F_SETFD 2
#define LKL_F_GETFL 3
#define LKL_F_SETFL 4
#define LKL_F_GETLK 5
#define LKL_F_SETLK 6
#define LKL_F_SETLKW 7
#define LKL_F_SETOWN 8
#define LKL_F_GETOWN 9
#define LKL_F_SETSIG 0xa
#define LKL_F_GETSIG 0xb
#define LKL_F_SETOWN_EX 0xf
#define LKL_F_GETOWN_EX 0x10
#define LKL_F_OFD_GETLK 0x24
#define LKL_F_OFD_SETLK 0x25
#define LKL_F_OFD_SETLKW 0x26
#define LKL_F_SETLEASE 0x400
#define LKL_F_GETLEASE 0x401
#define LKL_F_NOTIFY 0x402
#define LKL_F_DUPFD_QUERY 0x403
#define LKL_F_DUPFD_CLOEXEC 0x406
#define LKL_F_SETPIPE_SZ 0x407
#define LKL_F_GETPIPE_SZ 0x408
#define LKL_F_ADD_SEALS 0x409
#define LKL_F_GET_SEALS 0x40a
#define LKL_F_GET_RW_HINT 0x40b
#define LKL_F_SET_RW_HINT 0x40c
#define LKL_RWH_WRITE_LIFE_EXTREME 5
#define LKL_FD_CLOEXEC 1
#define LKL_F_RDLCK 0
#define LKL_F_WRLCK 1
#define LKL_F_UNLCK 2
#define LKL_LOCK_SH 1
#define LKL_LOCK_EX 2
#define LKL_LOCK_NB 4
#define LKL_LOCK_UN 8
#define LKL_F_SEAL_SEAL 1
#define LKL_F_SEAL_SHRINK 2
#define LKL_F_SEAL_GROW 4
#define LKL_F_SEAL_WRITE 8
#define LKL_F_SEAL_FUTURE_WRITE 0x10
#define LKL_F_SEAL_EXEC 0x20
#define LKL_F_OWNER_TID 0
#define LKL_F_OWNER_PID 1
#define LKL_F_OWNER_PGRP 2
#define LKL_AT_FDCWD (-100)
#define LKL_AT_SYMLINK_NOFOLLOW 0x100
#define LKL_AT_EACCESS 0x200
#define LKL_AT_REMOVEDIR 0x200
#define LKL_AT_SYMLINK_FOLLOW 0x400
#define LKL_AT_NO_AUTOMOUNT 0x800
#define LKL_AT_EMPTY_PATH 0x1000
#define LKL_AT_STATX_FORCE_SYNC 0x2000
#define LKL_AT_STATX_DONT_SYNC 0x4000
#define LKL_CLOSE_RANGE_UNSHARE 2
#define LKL_CLOSE_RANGE_CLOEXEC 4
#define LKL_SEEK_SET 0
#define LKL_SEEK_CUR 1
#define LKL_SEEK_END 2
#define LKL_SEEK_DATA 3
#define LKL_SEEK_HOLE 4
#define LKL_R_OK 4
#define LKL_W_OK 2
#define LKL_X_OK 1
/* end of constants */

#define LKL_O_NDELAY LKL_O_NONBLOCK
#define LKL_F_OK 0

struct lkl_f_owner_ex {
	int type;
	__lkl__kernel_pid_t pid;
};

struct lkl_flock {
	short l_type;
	short l_whence;
	__lkl__kernel_off_t l_start;
	__lkl__kernel_off_t l_len;
	__lkl__kernel_pid_t l_pid;
};

#endif
