/* memfd_create (man 2 memfd_create). */
#ifndef LKL_LINUX_MEMFD_H
#define LKL_LINUX_MEMFD_H

/* constants: memfd MFD_ !MFD_NAME_MAX */
#define LKL_MFD_CLOEXEC 1
#define LKL_MFD_ALLOW_SEALING 2
#define LKL_MFD_HUGETLB 4
#define LKL_MFD_NOEXEC_SEAL 8
#define LKL_MFD_EXEC 0x10
/* end of constants */

#endif
