/* ioctls of files and sockets. */
#ifndef LKL_ASM_IOCTLS_H
#define LKL_ASM_IOCTLS_H

/* constants: ioctls */
#define LKL_FIONREAD 0x541b
#define LKL_SIOCINQ 0x541b
#define LKL_TIOCOUTQ 0x5411
#define LKL_SIOCOUTQ 0x5411
#define LKL_FIONBIO 0x5421
#define LKL_FIONCLEX 0x5450
#define LKL_FIOCLEX 0x5451
#define LKL_FIOASYNC 0x5452
#define LKL_FIOQSIZE 0x5460
#define LKL_FIOSETOWN 0x8901
#define LKL_SIOCSPGRP 0x8902
#define LKL_FIOGETOWN 0x8903
#define LKL_SIOCGPGRP 0x8904
#define LKL_SIOCATMARK 0x8905
#define LKL_SIOCGSTAMP_OLD 0x8906
#define LKL_SIOCGSTAMPNS_OLD 0x8907
#define LKL_SIOCOUTQNSD 0x894b
#define LKL_SIOC_FIRST 0x890b
#define LKL_SIOC_LAST 0x89ff
/* end of constants */

#endif
