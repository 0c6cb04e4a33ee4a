/* Calls for many messages with a time-out, epoll in epoll. */
#include "t.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

static int feed[2];

static void *feeder(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        usleep(80000);
        if (send(feed[0], "abc", 3, 0) < 0)
            perror("send");
    }
    return 0;
}

CASE(mmsg_timeouts)
{
    struct mmsghdr m[8];
    struct iovec v[8];
    static char b[8][16];
    pthread_t t;
    for (int i = 0; i < 8; i++) {
        v[i] = (struct iovec){b[i], sizeof b[i]};
        m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &v[i], .msg_iovlen = 1}};
    }
    t_pair(AF_INET, SOCK_DGRAM, feed);
    struct timespec ts = {0, 10000000}, much = {5, 0}, wrong = {0, 2000000000}, negative = {-1, 0};
    R(recvmmsg(feed[1], m, 8, 0, &wrong));
    R(recvmmsg(feed[1], m, 8, 0, &negative));
    R(recvmmsg(feed[1], m, 8, MSG_DONTWAIT, &ts));
    /* The time-out is looked at after each message only, as on Linux. */
    pthread_create(&t, 0, feeder, 0);
    R(recvmmsg(feed[1], m, 8, 0, &ts));
    R(ts.tv_sec);
    R(ts.tv_nsec);
    R(recvmmsg(feed[1], m, 2, 0, &much));
    R(much.tv_sec == 4);
    pthread_join(t, 0);
    pthread_create(&t, 0, feeder, 0);
    R(recvmmsg(feed[1], m, 8, MSG_WAITFORONE, 0));
    R(m[0].msg_len);
    pthread_join(t, 0);
    R(recvmmsg(feed[1], m, 0, 0, 0));
    R(recvmmsg(feed[1], m, 8, 0, (struct timespec *)8));
    struct timeval tv = {0, 50000};
    MUST(setsockopt(feed[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    while (recv(feed[1], b[0], 16, MSG_DONTWAIT) >= 0)
        ;
    MUST(send(feed[0], "abc", 3, 0));
    R(recvmmsg(feed[1], m, 8, 0, 0));
    R(sendmmsg(feed[0], m, 0, 0));
    R(sendmmsg(feed[0], m, 4, 0));
    v[2].iov_base = (void *)8;
    R(sendmmsg(feed[0], m, 4, 0));
    v[0].iov_base = (void *)8;
    R(sendmmsg(feed[0], m, 4, 0));
    R(sendmmsg(feed[0], (void *)8, 4, 0));
    R(recvmmsg(feed[1], (void *)8, 4, MSG_DONTWAIT, 0));
}

static void ep_show(const char *name, int ep, int ms)
{
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, ms);
    printf("%s: %d", name, n);
    for (unsigned d = 0; d < 16; d++)
        for (int i = 0; i < n; i++)
            if (e[i].data.u32 == d)
                printf(" %u:%x", d, e[i].events);
    printf("\n");
}

CASE(epoll_nested)
{
    int p[2], ev = (int)MUST(eventfd(0, 0)), ep[4];
    char b[8];
    struct epoll_event e = {.events = EPOLLIN};
    t_pair(AF_INET, SOCK_STREAM, p);
    for (int i = 0; i < 4; i++)
        ep[i] = (int)MUST(epoll_create1(0));
    /* 3 has 2 has 1 has a socket and an event; 3 has another event, 0 has 1 by edges. */
    e.data.u32 = 1;
    R(epoll_ctl(ep[1], EPOLL_CTL_ADD, p[1], &e));
    e.data.u32 = 2;
    R(epoll_ctl(ep[1], EPOLL_CTL_ADD, ev, &e));
    e.data.u32 = 3;
    R(epoll_ctl(ep[2], EPOLL_CTL_ADD, ep[1], &e));
    e.data.u32 = 4;
    R(epoll_ctl(ep[3], EPOLL_CTL_ADD, ep[2], &e));
    e.data.u32 = 5;
    e.events = EPOLLIN | EPOLLET;
    R(epoll_ctl(ep[0], EPOLL_CTL_ADD, ep[1], &e));
    R(epoll_ctl(ep[1], EPOLL_CTL_ADD, ep[3], &e));
    R(epoll_ctl(ep[1], EPOLL_CTL_ADD, ep[1], &e));
    ep_show("nothing", ep[3], 20);
    MUST(send(p[0], "a", 1, 0));
    ep_show("socket", ep[3], 1000);
    t_poll("poll of the outermost", ep[3], POLLIN, 1000);
    fd_set r;
    FD_ZERO(&r);
    FD_SET(ep[3], &r);
    R(select(ep[3] + 1, &r, 0, 0, &(struct timeval){1, 0}));
    ep_show("middle", ep[2], 0);
    ep_show("innermost", ep[1], 0);
    ep_show("edge", ep[0], 0);
    ep_show("edge again", ep[0], 0);
    MUST(recv(p[1], b, 8, 0));
    ep_show("read", ep[3], 0);
    t_poll("poll of the outermost", ep[3], POLLIN, 0);
    MUST(eventfd_write(ev, 1));
    ep_show("event", ep[3], 1000);
    t_poll("poll of the outermost", ep[3], POLLIN, 1000);
    ep_show("edge", ep[0], 0);
    ep_show("innermost", ep[1], 0);
    MUST(send(p[0], "a", 1, 0));
    t_settle();
    ep_show("both", ep[1], 0);
    MUST(read(ev, b, 8));
    MUST(recv(p[1], b, 8, 0));
    ep_show("neither", ep[3], 0);
    struct pollfd f[2] = {{ep[3], POLLIN, 0}, {ev, POLLIN, 0}};
    R(poll(f, 2, 20));
    MUST(send(p[0], "a", 1, 0));
    R(poll(f, 2, 1000));
    t_bits("outermost", f[0].revents);
    R(close(ep[2]));
    ep_show("without the middle", ep[3], 0);
    R(epoll_ctl(ep[3], EPOLL_CTL_DEL, ep[2], &e));
}

static int inner;

static void *ring_event(void *arg)
{
    usleep(80000);
    if (*(int *)arg >= 0)
        eventfd_write(*(int *)arg, 1);
    else
        send(feed[0], "x", 1, 0);
    return 0;
}

/* Blocked in the outer one while something in the inner one happens. */
CASE(epoll_nested_blocked)
{
    int outer = (int)MUST(epoll_create1(0)), ev = (int)MUST(eventfd(0, 0)), none = -1;
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = 1};
    pthread_t t;
    char b[8];
    inner = (int)MUST(epoll_create1(0));
    t_pair(AF_INET, SOCK_DGRAM, feed);
    MUST(epoll_ctl(inner, EPOLL_CTL_ADD, ev, &e));
    e.data.u32 = 2;
    MUST(epoll_ctl(inner, EPOLL_CTL_ADD, feed[1], &e));
    e.data.u32 = 3;
    MUST(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &e));
    pthread_create(&t, 0, ring_event, &ev);
    ep_show("event", outer, 2000);
    pthread_join(t, 0);
    ep_show("inner", inner, 0);
    MUST(read(ev, b, 8));
    pthread_create(&t, 0, ring_event, &none);
    ep_show("socket", outer, 2000);
    pthread_join(t, 0);
    ep_show("inner", inner, 0);
    MUST(recv(feed[1], b, 8, 0));
    pthread_create(&t, 0, ring_event, &ev);
    t_poll("poll, event", outer, POLLIN, 2000);
    pthread_join(t, 0);
    MUST(read(ev, b, 8));
    pthread_create(&t, 0, ring_event, &none);
    t_poll("poll, socket", outer, POLLIN, 2000);
    pthread_join(t, 0);
}
