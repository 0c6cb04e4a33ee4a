/* eventfd (man 2 eventfd). */
#ifndef LKL_LINUX_EVENTFD_H
#define LKL_LINUX_EVENTFD_H

/* constants: eventfd */
#define LKL_EFD_SEMAPHORE 1
#define LKL_EFD_CLOEXEC 0x80000
#define LKL_EFD_NONBLOCK 0x800
/* end of constants */

#endif
