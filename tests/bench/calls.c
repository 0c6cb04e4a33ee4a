/* What calls that do not block cost, for scripts/bench: prints lines of "NAME ns", each the median of batches.
 *
 *   calls host    on files of the host's: a local socket, /dev/null; and what is about no file at all
 *   calls ours    on a TCP connection over 127.0.0.1, the same calls: native, it is the host's */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 41, NS = 400000 };

static int s, ep, null;
static char b[64];

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "calls: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int call_getsockopt(void)
{
    int v;
    socklen_t n = sizeof v;
    return getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n);
}

static int call_recv(void)
{
    return recv(s, b, sizeof b, 0) < 0 && errno == EAGAIN ? 0 : -1;
}

static int call_poll(void)
{
    struct pollfd p = {s, POLLIN, 0};
    return poll(&p, 1, 0);
}

static int call_epoll(void)
{
    struct epoll_event e;
    return epoll_wait(ep, &e, 1, 0);
}

static int call_fcntl(void)
{
    return fcntl(s, F_GETFL) < 0;
}

static int call_fionread(void)
{
    int n;
    return ioctl(s, FIONREAD, &n);
}

static int call_getsockname(void)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    return getsockname(s, (void *)&a, &n);
}

static int call_fstat(void)
{
    struct stat st;
    return fstat(s, &st);
}

static int call_write(void)
{
    return write(null, b, 1) != 1;
}

static int call_getpid(void)
{
    return syscall(SYS_getpid) <= 0;
}

static int ascending(const void *x, const void *y)
{
    double u = *(const double *)x, v = *(const double *)y;
    return (u > v) - (u < v);
}

/* As many calls a batch as take about NS. */
static void measure(const char *name, int (*call)(void))
{
    double ns[BATCHES];
    int many = 16;
    for (int i = 0; i < 1000; i++)
        if (call())
            die(name);
    for (;; many *= 2) {
        int64_t from = now();
        for (int i = 0; i < many; i++)
            call();
        if (now() - from > NS || many > 1 << 24)
            break;
    }
    for (int k = 0; k < BATCHES; k++) {
        int64_t from = now();
        for (int i = 0; i < many; i++)
            call();
        ns[k] = (double)(now() - from) / many;
    }
    qsort(ns, BATCHES, sizeof *ns, ascending);
    printf("%s %.1f\n", name, ns[BATCHES / 2]);
}

static int connection(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(l, (void *)&at, n) || listen(l, 1) || getsockname(l, (void *)&at, &n) || connect(c, (void *)&at, n))
        die("connection");
    if (accept(l, 0, 0) < 0)
        die("accept");
    return c;
}

int main(int argc, char **argv)
{
    int ours = argc > 1 && !strcmp(argv[1], "ours"), pair[2];
    struct epoll_event e = {.events = EPOLLIN};
    if (ours)
        s = connection();
    else if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        die("socketpair");
    else
        s = pair[0];
    fcntl(s, F_SETFL, O_NONBLOCK);
    ep = epoll_create1(0);
    if (epoll_ctl(ep, EPOLL_CTL_ADD, s, &e))
        die("epoll_ctl");
    null = open("/dev/null", O_WRONLY);
    measure("getsockopt", call_getsockopt);
    measure("recv EAGAIN", call_recv);
    measure("poll", call_poll);
    measure("epoll_wait", call_epoll);
    measure("fcntl F_GETFL", call_fcntl);
    measure("ioctl FIONREAD", call_fionread);
    measure("getsockname", call_getsockname);
    measure("fstat", call_fstat);
    if (!ours) {
        measure("write /dev/null", call_write);
        measure("getpid", call_getpid);
    }
    return 0;
}
