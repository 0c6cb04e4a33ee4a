/* epoll, poll and select over sockets, alone and beside pipes, event and timer descriptors; copies of descriptors. */
#include "t.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/timerfd.h>

static void ep_add(int ep, int op, int fd, unsigned events, unsigned data)
{
    struct epoll_event e = {.events = events, .data.u32 = data};
    char name[64];
    snprintf(name, sizeof name, "epoll_ctl %s %u %x", op == EPOLL_CTL_ADD ? "add" : op == EPOLL_CTL_MOD ? "mod" : "del", data, events);
    RN(name, epoll_ctl(ep, op, fd, op == EPOLL_CTL_DEL ? 0 : &e));
}

/* Waits and prints the events in the order of their data. */
static void ep_wait(const char *name, int ep, int ms)
{
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, ms);
    printf("%s: %d\n", name, n);
    for (unsigned d = 0; d < 16; d++)
        for (int i = 0; i < n; i++)
            if (e[i].data.u32 == d) {
                printf("  %u", d);
                t_bits("", (int)(e[i].events & 0x3fff));
            }
}

CASE(epoll_level)
{
    int p[2], ep = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
    char b[8];
    t_pair(AF_INET, SOCK_STREAM, p);
    ep_add(ep, EPOLL_CTL_ADD, p[1], EPOLLIN, 1);
    ep_wait("nothing", ep, 0);
    MUST(send(p[0], "ab", 2, 0));
    ep_wait("data", ep, 1000);
    ep_wait("still", ep, 0);
    MUST(recv(p[1], b, 8, 0));
    ep_wait("read", ep, 0);
    ep_add(ep, EPOLL_CTL_MOD, p[1], EPOLLIN | EPOLLOUT | EPOLLRDHUP, 2);
    ep_wait("writable", ep, 0);
    MUST(shutdown(p[0], SHUT_WR));
    t_settle();
    ep_wait("shut", ep, 0);
    MUST(close(p[0]));
    MUST(shutdown(p[1], SHUT_WR));
    t_settle();
    ep_wait("closed", ep, 0);
    ep_add(ep, EPOLL_CTL_DEL, p[1], 0, 0);
    ep_wait("deleted", ep, 0);
}

CASE(epoll_edge)
{
    int p[2], ep = (int)MUST(epoll_create1(0));
    char b[8];
    t_pair(AF_INET6, SOCK_STREAM, p);
    ep_add(ep, EPOLL_CTL_ADD, p[1], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    ep_wait("first", ep, 0);
    ep_wait("no change", ep, 0);
    MUST(send(p[0], "ab", 2, 0));
    ep_wait("data", ep, 1000);
    ep_wait("no change", ep, 0);
    MUST(recv(p[1], b, 1, 0));
    ep_wait("half read", ep, 0);
    MUST(send(p[0], "ab", 2, 0));
    ep_wait("more", ep, 1000);
    ep_add(ep, EPOLL_CTL_MOD, p[1], EPOLLIN | EPOLLET, 1);
    ep_wait("modified", ep, 0);
    ep_wait("no change", ep, 0);
    MUST(shutdown(p[0], SHUT_WR));
    ep_wait("end", ep, 1000);
    ep_wait("no change", ep, 0);
}

CASE(epoll_oneshot)
{
    int p[2], ep = (int)MUST(epoll_create1(0));
    t_pair(AF_INET, SOCK_DGRAM, p);
    ep_add(ep, EPOLL_CTL_ADD, p[1], EPOLLIN | EPOLLONESHOT, 1);
    MUST(send(p[0], "ab", 2, 0));
    ep_wait("data", ep, 1000);
    ep_wait("disarmed", ep, 0);
    MUST(send(p[0], "ab", 2, 0));
    t_settle();
    ep_wait("disarmed", ep, 0);
    ep_add(ep, EPOLL_CTL_MOD, p[1], EPOLLIN | EPOLLONESHOT, 2);
    ep_wait("armed", ep, 0);
    ep_wait("disarmed", ep, 0);
}

CASE(epoll_wrong)
{
    struct epoll_event e = {.events = EPOLLIN};
    int ep = (int)MUST(epoll_create1(0)), fd = t_bound(AF_INET, SOCK_DGRAM), ep2 = (int)MUST(epoll_create(1));
    R(epoll_create1(77));
    R(epoll_create(0));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, 987, &e));
    R(epoll_ctl(fd, EPOLL_CTL_ADD, fd, &e));
    R(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, fd, &e));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    R(epoll_ctl(ep, 9, fd, &e));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
    R(epoll_ctl(ep2, EPOLL_CTL_ADD, ep, &e));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, ep2, &e));
    R(epoll_wait(ep, &e, 0, 0));
    R(epoll_wait(ep, &e, -1, 0));
    R(epoll_wait(fd, &e, 1, 0));
    R(epoll_wait(987, &e, 1, 0));
    e.events = EPOLLIN | EPOLLEXCLUSIVE;
    int fd2 = t_bound(AF_INET, SOCK_DGRAM);
    R(epoll_ctl(ep, EPOLL_CTL_ADD, fd2, &e));
    R(epoll_ctl(ep, EPOLL_CTL_MOD, fd2, &e));
    e.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
    R(epoll_ctl(ep2, EPOLL_CTL_ADD, fd2, &e));
    R(close(fd2));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, fd2, &e));
    t_poll("the outer", ep2, POLLIN, 0);
}

CASE(epoll_mixed)
{
    int p[2], pi[2], ep = (int)MUST(epoll_create1(0)), ev = (int)MUST(eventfd(0, 0));
    int tm = (int)MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    char b[8];
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(pipe(pi));
    ep_add(ep, EPOLL_CTL_ADD, pi[0], EPOLLIN, 1);
    ep_add(ep, EPOLL_CTL_ADD, p[1], EPOLLIN, 2);
    ep_add(ep, EPOLL_CTL_ADD, ev, EPOLLIN, 3);
    ep_add(ep, EPOLL_CTL_ADD, tm, EPOLLIN, 4);
    ep_wait("nothing", ep, 20);
    MUST(write(pi[1], "x", 1));
    ep_wait("pipe", ep, 1000);
    MUST(send(p[0], "x", 1, 0));
    t_settle();
    ep_wait("pipe and socket", ep, 1000);
    MUST(eventfd_write(ev, 1));
    ep_wait("three", ep, 1000);
    MUST(read(pi[0], b, 8));
    MUST(recv(p[1], b, 8, 0));
    ep_wait("event", ep, 1000);
    MUST(read(ev, b, 8));
    struct itimerspec in = {{0, 0}, {0, 30000000}};
    MUST(timerfd_settime(tm, 0, &in, 0));
    ep_wait("timer", ep, 1000);
    MUST(read(tm, b, 8));
    MUST(close(pi[1]));
    ep_wait("pipe's end", ep, 1000);
    t_poll("epoll in poll", ep, POLLIN, 0);
    MUST(close(pi[0]));
    t_poll("epoll in poll", ep, POLLIN, 0);
    MUST(send(p[0], "x", 1, 0));
    t_poll("epoll in poll", ep, POLLIN, 1000);
}

CASE(epoll_within)
{
    /* One instance in another is one entry there, of whatever kind the files are that make it ready. */
    static const unsigned ways[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT, EPOLLOUT};
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        int p[2], pi[2], inner = (int)MUST(epoll_create1(0)), ep = (int)MUST(epoll_create1(0));
        char b[8];
        t_pair(AF_INET, SOCK_STREAM, p);
        MUST(pipe(pi));
        ep_add(inner, EPOLL_CTL_ADD, p[1], EPOLLIN, 1);
        ep_add(inner, EPOLL_CTL_ADD, pi[0], EPOLLIN, 2);
        ep_add(ep, EPOLL_CTL_ADD, inner, ways[i], 3);
        ep_wait("nothing", ep, 0);
        MUST(send(p[0], "x", 1, 0));
        t_settle();
        MUST(write(pi[1], "x", 1));
        /* Either side may be asked first. */
        ep_wait("both", ep, 1000);
        ep_wait("again", ep, 0);
        ep_wait("again", ep, 0);
        MUST(recv(p[1], b, 8, 0));
        ep_wait("pipe", ep, 0);
        ep_wait("pipe, again", ep, 0);
        ep_add(ep, EPOLL_CTL_MOD, inner, EPOLLIN | EPOLLONESHOT, 4);
        ep_wait("modified", ep, 0);
        ep_wait("modified, again", ep, 0);
        ep_add(ep, EPOLL_CTL_MOD, inner, EPOLLIN, 5);
        MUST(read(pi[0], b, 8));
        ep_wait("neither", ep, 0);
        MUST(write(pi[1], "x", 1));
        ep_add(ep, EPOLL_CTL_ADD, p[1], EPOLLOUT, 6);
        ep_add(ep, EPOLL_CTL_ADD, pi[1], EPOLLOUT, 7);
        ep_wait("with others", ep, 0);
        ep_add(ep, EPOLL_CTL_DEL, inner, 0, 0);
        ep_wait("without it", ep, 0);
        int all[] = {p[0], p[1], pi[0], pi[1], inner, ep};
        for (unsigned j = 0; j < sizeof all / sizeof *all; j++)
            MUST(close(all[j]));
    }
}

CASE(poll_mixed)
{
    int p[2], pi[2];
    char b[8];
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(pipe(pi));
    struct pollfd f[6] = {{pi[0], POLLIN, 0}, {p[1], POLLIN, 0}, {-1, POLLIN, 7}, {987, POLLIN, 0}, {p[0], POLLOUT, 0}, {pi[1], POLLOUT, 0}};
#define SHOW for (int i = 0; i < 6; i++) t_bits(" ", f[i].revents)
    R(poll(f, 2, 20));
    R(poll(f, 6, 1000));
    SHOW;
    MUST(write(pi[1], "x", 1));
    R(poll(f, 2, 1000));
    SHOW;
    MUST(send(p[0], "x", 1, 0));
    t_settle();
    R(poll(f, 2, -1));
    SHOW;
    MUST(read(pi[0], b, 8));
    struct timespec ts = {0, 1000};
    R(ppoll(f, 2, &ts, 0));
    MUST(recv(p[1], b, 8, 0));
    R(ppoll(f, 2, &ts, 0));
    ts.tv_nsec = 1000000000;
    R(ppoll(f, 2, &ts, 0));
    R(poll(f, 0, 10));
    f[0].fd = p[1];
    R(poll(f, 2, 0));
    MUST(shutdown(p[0], SHUT_WR));
    R(poll(f, 2, 1000));
    SHOW;
}

/* Each number that nothing is at says so, wherever a library may have put what is its own. */
CASE(poll_what_is_closed)
{
    static struct pollfd p[4200];
    struct rlimit r = {4200, 4200};
    int other = 0;
    MUST(setrlimit(RLIMIT_NOFILE, &r));
    for (int i = 3; i < 4200; i++)
        p[i] = (struct pollfd){i, POLLIN, 0};
    R(poll(p + 3, 4197, 0));
    for (int i = 3; i < 4200; i++)
        other += p[i].revents != POLLNVAL;
    R(other);
}

CASE(select_mixed)
{
    int p[2], pi[2], max;
    char b[8];
    fd_set r, w, x;
    t_pair(AF_INET6, SOCK_STREAM, p);
    MUST(pipe(pi));
    max = (p[0] > pi[1] ? p[0] : pi[1]) + 9;
#define SETS(ms)                                                                                                       \
    do {                                                                                                               \
        struct timeval tv = {0, (ms) * 1000};                                                                          \
        FD_ZERO(&r); FD_ZERO(&w); FD_ZERO(&x);                                                                         \
        FD_SET(pi[0], &r); FD_SET(p[1], &r); FD_SET(p[1], &x);                                                         \
        R(select(max, &r, &w, &x, &tv));                                                                               \
        printf("pipe %d socket %d except %d\n", !!FD_ISSET(pi[0], &r), !!FD_ISSET(p[1], &r), !!FD_ISSET(p[1], &x));    \
    } while (0)
    SETS(20);
    MUST(write(pi[1], "x", 1));
    SETS(900);
    MUST(send(p[0], "x", 1, 0));
    t_settle();
    SETS(900);
    MUST(read(pi[0], b, 8));
    SETS(900);
    MUST(send(p[0], "U", 1, MSG_OOB));
    t_settle();
    SETS(900);
    FD_ZERO(&w);
    FD_SET(p[0], &w);
    FD_SET(pi[1], &w);
    R(select(max, 0, &w, 0, 0));
    R(select(0, 0, 0, 0, &(struct timeval){0, 1000}));
    R(select(-1, 0, 0, 0, &(struct timeval){0, 1000}));
    R(select(max, 0, &w, 0, &(struct timeval){-1, 0}));
    /* A closed one below 64: Linux passes over what lies past its table of fds, whose size is 64 at least. */
    FD_SET(60, &w);
    R(select(61, 0, &w, 0, 0));
    FD_ZERO(&w);
    FD_SET(p[0], &w);
    R(pselect(max, 0, &w, 0, &(struct timespec){1, 0}, 0));
}

CASE(copies)
{
    int p[2], d, ep = (int)MUST(epoll_create1(0));
    char b[8];
    t_pair(AF_INET, SOCK_STREAM, p);
    OK(d = dup(p[1]));
    ep_add(ep, EPOLL_CTL_ADD, p[1], EPOLLIN, 1);
    MUST(close(p[1]));
    MUST(send(p[0], "ab", 2, 0));
    ep_wait("the copy lives", ep, 1000);
    R(recv(d, b, 1, 0));
    t_nonblock(d);
    R(dup2(d, 50));
    R(fcntl(50, F_GETFL) & O_NONBLOCK);
    R(recv(50, b, 1, 0));
    R(recv(50, b, 1, 0));
    R(dup2(50, 50));
    R(dup3(50, 51, O_CLOEXEC));
    R(fcntl(51, F_GETFD));
    R(dup3(51, 51, 0));
    R(fcntl(50, F_DUPFD, 60));
    R(fcntl(50, F_DUPFD_CLOEXEC, 60));
    R(dup2(p[0], 51));
    R(send(51, "z", 1, 0));
    t_settle();
    R(read(60, b, 8));
    R(dup2(987, 50));
    int pi[2];
    MUST(pipe(pi));
    R(dup2(pi[1], 50));
    R(write(50, "p", 1));
    R(read(pi[0], b, 1));
    R(dup2(60, pi[0]));
    R(write(pi[0], "socket now", 10));
    R(recv(p[0], b, 8, 0));
    for (int i = 60; i < 62; i++)
        R(close(i));
    R(close(d));
    R(close(pi[0]));
    t_settle();
    R(recv(p[0], b, 8, 0));
    R(recv(p[0], b, 8, 0));
    FILE *f = fdopen(p[0], "r+");
    R(f != 0);
    R(fclose(f));
    R(ioctl(51, FIONBIO, &(int){1}));
    R(fcntl(51, F_GETFL) & O_NONBLOCK);
    R(ioctl(51, FIOCLEX));
    R(fcntl(51, F_GETFD));
}
