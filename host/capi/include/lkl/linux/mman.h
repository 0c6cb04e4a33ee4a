/* Memory (man 2 mmap). */
#ifndef LKL_LINUX_MMAN_H
#define LKL_LINUX_MMAN_H

#define LKL_PROT_SEM 0x8
#define LKL_MAP_SHARED 0x01
#define LKL_MAP_PRIVATE 0x02
#define LKL_MAP_FIXED 0x10
#define LKL_MAP_ANONYMOUS 0x20

#endif
