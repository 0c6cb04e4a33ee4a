/* timerfd (man 2 timerfd_create). */
#ifndef LKL_LINUX_TIMERFD_H
#define LKL_LINUX_TIMERFD_H

/* constants: timerfd */
#define LKL_TFD_TIMER_ABSTIME 1
#define LKL_TFD_TIMER_CANCEL_ON_SET 2
#define LKL_TFD_CLOEXEC 0x80000
#define LKL_TFD_NONBLOCK 0x800
/* end of constants */

#endif
