/* Where files lie on their device. */
#ifndef LKL_LINUX_FIEMAP_H
#define LKL_LINUX_FIEMAP_H

#include <lkl/linux/types.h>

struct lkl_fiemap_extent {
	__lkl__u64 fe_logical;
	__lkl__u64 fe_physical;
	__lkl__u64 fe_length;
	__lkl__u64 fe_reserved64[2];
	__lkl__u32 fe_flags;
	__lkl__u32 fe_reserved[3];
};

struct lkl_fiemap {
	__lkl__u64 fm_start;
	__lkl__u64 fm_length;
	__lkl__u32 fm_flags;
	__lkl__u32 fm_mapped_extents;
	__lkl__u32 fm_extent_count;
	__lkl__u32 fm_reserved;
	struct lkl_fiemap_extent fm_extents[];
};

/* constants: fiemap FIEMAP_FLAG_ FIEMAP_EXTENT_LAST FIEMAP_EXTENT_NOT_ALIGNED FIEMAP_EXTENT_DATA_INLINE FIEMAP_EXTENT_UNWRITTEN FIEMAP_EXTENT_MERGED */
#define LKL_FIEMAP_FLAG_SYNC 1
#define LKL_FIEMAP_FLAG_XATTR 2
#define LKL_FIEMAP_FLAG_CACHE 4
#define LKL_FIEMAP_EXTENT_LAST 1
#define LKL_FIEMAP_EXTENT_NOT_ALIGNED 0x100
#define LKL_FIEMAP_EXTENT_DATA_INLINE 0x200
#define LKL_FIEMAP_EXTENT_UNWRITTEN 0x800
#define LKL_FIEMAP_EXTENT_MERGED 0x1000
/* end of constants */

#endif
