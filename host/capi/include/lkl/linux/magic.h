/* Magic numbers of file systems (man 2 statfs). */
#ifndef LKL_LINUX_MAGIC_H
#define LKL_LINUX_MAGIC_H

/* constants: statfs !ST_ */
#define LKL_TMPFS_MAGIC 0x1021994
#define LKL_EXT4_SUPER_MAGIC 0xef53
#define LKL_PROC_SUPER_MAGIC 0x9fa0
#define LKL_SYSFS_MAGIC 0x62656572
#define LKL_SOCKFS_MAGIC 0x534f434b
#define LKL_ANON_INODE_FS_MAGIC 0x9041934
/* end of constants */

#endif
