/* Types and permissions of files; what statx answers (man 7 inode, man 2 statx). */
#ifndef LKL_LINUX_STAT_H
#define LKL_LINUX_STAT_H

#include <lkl/linux/types.h>
#include <lkl/asm/stat.h>

/* constants: stat */
#define LKL_S_IFMT 0xf000
#define LKL_S_IFSOCK 0xc000
#define LKL_S_IFLNK 0xa000
#define LKL_S_IFREG 0x8000
#define LKL_S_IFBLK 0x6000
#define LKL_S_IFDIR 0x4000
#define LKL_S_IFCHR 0x2000
#define LKL_S_IFIFO 0x1000
#define LKL_S_ISUID 0x800
#define LKL_S_ISGID 0x400
#define LKL_S_ISVTX 0x200
#define LKL_STATX_BASIC_STATS 0x7ff
#define LKL_STATX_BTIME 0x800
#define LKL_STATX_MNT_ID 0x1000
#define LKL_STATX_DIOALIGN 0x2000
#define LKL_STATX_RESERVED 0x80000000
#define LKL_STATX_ATTR_COMPRESSED 4
#define LKL_STATX_ATTR_IMMUTABLE 0x10
#define LKL_STATX_ATTR_APPEND 0x20
#define LKL_STATX_ATTR_NODUMP 0x40
#define LKL_STATX_ATTR_ENCRYPTED 0x800
#define LKL_STATX_ATTR_AUTOMOUNT 0x1000
#define LKL_STATX_ATTR_MOUNT_ROOT 0x2000
#define LKL_STATX_ATTR_VERITY 0x100000
#define LKL_STATX_ATTR_DAX 0x200000
#define LKL_UTIME_NOW 0x3fffffff
#define LKL_UTIME_OMIT 0x3ffffffe
/* end of constants */

#define LKL_S_ISLNK(m) (((m) & LKL_S_IFMT) == LKL_S_IFLNK)
#define LKL_S_ISREG(m) (((m) & LKL_S_IFMT) == LKL_S_IFREG)
#define LKL_S_ISDIR(m) (((m) & LKL_S_IFMT) == LKL_S_IFDIR)
#define LKL_S_ISCHR(m) (((m) & LKL_S_IFMT) == LKL_S_IFCHR)
#define LKL_S_ISBLK(m) (((m) & LKL_S_IFMT) == LKL_S_IFBLK)
#define LKL_S_ISFIFO(m) (((m) & LKL_S_IFMT) == LKL_S_IFIFO)
#define LKL_S_ISSOCK(m) (((m) & LKL_S_IFMT) == LKL_S_IFSOCK)

#define LKL_S_IRWXU 00700
#define LKL_S_IRUSR 00400
#define LKL_S_IWUSR 00200
#define LKL_S_IXUSR 00100
#define LKL_S_IRWXG 00070
#define LKL_S_IRGRP 00040
#define LKL_S_IWGRP 00020
#define LKL_S_IXGRP 00010
#define LKL_S_IRWXO 00007
#define LKL_S_IROTH 00004
#define LKL_S_IWOTH 00002
#define LKL_S_IXOTH 00001
#define LKL_S_IRWXUGO (LKL_S_IRWXU | LKL_S_IRWXG | LKL_S_IRWXO)
#define LKL_S_IALLUGO (LKL_S_ISUID | LKL_S_ISGID | LKL_S_ISVTX | LKL_S_IRWXUGO)
#define LKL_S_IRUGO (LKL_S_IRUSR | LKL_S_IRGRP | LKL_S_IROTH)
#define LKL_S_IWUGO (LKL_S_IWUSR | LKL_S_IWGRP | LKL_S_IWOTH)
#define LKL_S_IXUGO (LKL_S_IXUSR | LKL_S_IXGRP | LKL_S_IXOTH)

#define LKL_STATX_TYPE 0x0001U
#define LKL_STATX_MODE 0x0002U
#define LKL_STATX_NLINK 0x0004U
#define LKL_STATX_UID 0x0008U
#define LKL_STATX_GID 0x0010U
#define LKL_STATX_ATIME 0x0020U
#define LKL_STATX_MTIME 0x0040U
#define LKL_STATX_CTIME 0x0080U
#define LKL_STATX_INO 0x0100U
#define LKL_STATX_SIZE 0x0200U
#define LKL_STATX_BLOCKS 0x0400U

struct lkl_statx_timestamp {
	__lkl__s64 tv_sec;
	__lkl__u32 tv_nsec;
	__lkl__s32 __reserved;
};

struct lkl_statx {
	__lkl__u32 stx_mask;
	__lkl__u32 stx_blksize;
	__lkl__u64 stx_attributes;
	__lkl__u32 stx_nlink;
	__lkl__u32 stx_uid;
	__lkl__u32 stx_gid;
	__lkl__u16 stx_mode;
	__lkl__u16 __spare0[1];
	__lkl__u64 stx_ino;
	__lkl__u64 stx_size;
	__lkl__u64 stx_blocks;
	__lkl__u64 stx_attributes_mask;
	struct lkl_statx_timestamp stx_atime;
	struct lkl_statx_timestamp stx_btime;
	struct lkl_statx_timestamp stx_ctime;
	struct lkl_statx_timestamp stx_mtime;
	__lkl__u32 stx_rdev_major;
	__lkl__u32 stx_rdev_minor;
	__lkl__u32 stx_dev_major;
	__lkl__u32 stx_dev_minor;
	__lkl__u64 stx_mnt_id;
	__lkl__u64 __spare2;
	__lkl__u64 __spare3[12];
};

#endif
