/* The kit of the system call tests: cases that print what they see, run on two kernels and compared.
 *
 * A case must print the same lines whenever it runs on the reference kernel in a fresh network namespace with only
 * lo up: no port numbers that the kernel chose, no times, no descriptors. */
#ifndef T_H
#define T_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* One case: registers itself before main. */
struct tcase {
    const char *name;
    void (*run)(void);
    struct tcase *next;
};
void t_register(struct tcase *c);

#define CASE(id)                                                                                    \
    static void id(void);                                                                           \
    static struct tcase id##_case = {#id, id, 0};                                                   \
    __attribute__((constructor)) static void id##_register(void) { t_register(&id##_case); }        \
    static void id(void)

/* Evaluates a call, prints its text and its value, or errno's name where it failed. Gives the value. */
#define R(call) (errno = 0, t_result(#call, (long)(call)))
/* As R, with a text of the case's own. */
#define RN(name, call) (errno = 0, t_result(name, (long)(call)))
/* Like R, but any value that is no failure prints as "ok": for descriptors and the like. */
#define OK(call) (errno = 0, t_ok(#call, (long)(call)))
#define OKN(name, call) (errno = 0, t_ok(name, (long)(call)))
/* What a case needs to go on: says nothing when it goes well, ends the case when not. */
#define MUST(call) (errno = 0, t_must(#call, __LINE__, (long)(call)))

long t_result(const char *text, long value);
long t_ok(const char *text, long value);
long t_must(const char *text, int line, long value);
const char *t_errno(int e);

/* Prints "name: IN OUT ..." for poll's bits. */
void t_bits(const char *name, int bits);
/* Polls one descriptor and prints the bits; waits up to ms for any of `events`. */
void t_poll(const char *name, int fd, int events, int ms);
/* SO_ERROR, printed by name. */
void t_soerror(const char *name, int fd);
/* Prints an address, with the port only when `port` is set. */
void t_addr(const char *name, const void *addr, socklen_t len, int port);
/* Lets the network and the other threads come to rest. */
void t_settle(void);

/* Loopback addresses of a family, as a sockaddr. */
union addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage ss;
};
socklen_t t_lo(union addr *a, int family, int port);
socklen_t t_any(union addr *a, int family, int port);
int t_port(int fd);
/* A bound socket on loopback (a free port); listening if backlog >= 0. */
int t_bound(int family, int type);
int t_listen(int family, int backlog);
/* A connected pair. */
void t_pair(int family, int type, int pair[2]);
int t_connect_to(int family, int type, int port);
void t_nonblock(int fd);
/* An option's integer and its length, printed. */
void t_getopt(const char *name, int fd, int level, int opt);

#endif
