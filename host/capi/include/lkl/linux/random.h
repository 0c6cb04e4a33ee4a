/* getrandom (man 2 getrandom). */
#ifndef LKL_LINUX_RANDOM_H
#define LKL_LINUX_RANDOM_H

/* constants: random */
#define LKL_GRND_NONBLOCK 1
#define LKL_GRND_RANDOM 2
#define LKL_GRND_INSECURE 4
/* end of constants */

#endif
