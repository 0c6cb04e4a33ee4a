/* Width of a `long` of the kernel's interface. */
#ifndef LKL_ASM_BITSPERLONG_H
#define LKL_ASM_BITSPERLONG_H

#define __LKL__BITS_PER_LONG 64

#endif
