/* UDP (man 7 udp). */
#ifndef LKL_LINUX_UDP_H
#define LKL_LINUX_UDP_H

#define LKL_UDP_CORK 1
#define LKL_UDP_SEGMENT 103
#define LKL_UDP_GRO 104

#endif
