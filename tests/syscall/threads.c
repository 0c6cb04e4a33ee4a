/* Timeouts, signals, threads. */
#include "t.h"
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>

static long ms_since(const struct timespec *t)
{
    struct timespec n;
    clock_gettime(CLOCK_MONOTONIC, &n);
    return (n.tv_sec - t->tv_sec) * 1000 + (n.tv_nsec - t->tv_nsec) / 1000000;
}

/* The value of a call, and whether it took about `ms`. */
#define TIMED(call, ms)                                                                    \
    do {                                                                                   \
        struct timespec t_;                                                                \
        clock_gettime(CLOCK_MONOTONIC, &t_);                                               \
        R(call);                                                                           \
        long took_ = ms_since(&t_);                                                        \
        printf("  in time %d\n", took_ >= (ms) - 5 && took_ < (ms) + 150);                 \
    } while (0)

CASE(timeouts)
{
    int p[2], u = t_bound(AF_INET, SOCK_DGRAM), ls = t_listen(AF_INET, 2);
    static char b[1 << 16];
    struct timeval tv = {0, 60000};
    struct timespec ts = {0, 50000000};
    struct pollfd f = {u, POLLIN, 0};
    struct epoll_event e;
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    MUST(setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    MUST(setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    MUST(setsockopt(ls, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    TIMED(recv(p[0], b, 8, 0), 60);
    TIMED(read(u, b, 8), 60);
    TIMED(accept(ls, 0, 0), 60);
    TIMED(poll(&f, 1, 50), 50);
    TIMED(ppoll(&f, 1, &ts, 0), 50);
    int ep = epoll_create1(0);
    TIMED(epoll_wait(ep, &e, 1, 50), 50);
    MUST(send(p[1], "abc", 3, 0));
    TIMED(recv(p[0], b, 10, MSG_WAITALL), 60);
    struct timespec from;
    long n;
    do {
        clock_gettime(CLOCK_MONOTONIC, &from);
        n = send(p[0], b, sizeof b, 0);
    } while (n >= 0);
    printf("send timed out %ld %s %d\n", n, t_errno(errno), ms_since(&from) >= 55);
}

static volatile int signals;
static void count(int s)
{
    (void)s;
    signals++;
}

static void alarm_in(int ms, int flags)
{
    struct sigaction a = {.sa_handler = count, .sa_flags = flags};
    struct itimerval t = {{0, 0}, {0, ms * 1000}};
    sigaction(SIGALRM, &a, 0);
    setitimer(ITIMER_REAL, &t, 0);
}

static void *later(void *arg)
{
    usleep(120000);
    if (send(*(int *)arg, "late", 4, 0) < 0)
        perror("send");
    return 0;
}

CASE(signals_interrupt)
{
    int p[2], u = t_bound(AF_INET, SOCK_DGRAM), ls = t_listen(AF_INET6, 2);
    char b[8];
    struct pollfd f = {u, POLLIN, 0};
    struct epoll_event e;
    fd_set r;
    t_pair(AF_INET, SOCK_STREAM, p);
#define INTERRUPTED(call)  \
    do {                   \
        alarm_in(50, 0);   \
        TIMED(call, 50);   \
    } while (0)
    INTERRUPTED(recv(p[0], b, 8, 0));
    INTERRUPTED(read(u, b, 8));
    INTERRUPTED(accept(ls, 0, 0));
    INTERRUPTED(poll(&f, 1, 2000));
    int ep = epoll_create1(0);
    INTERRUPTED(epoll_wait(ep, &e, 1, 2000));
    FD_ZERO(&r);
    FD_SET(u, &r);
    INTERRUPTED(select(u + 1, &r, 0, 0, 0));
    alarm_in(50, SA_RESTART);
    TIMED(poll(&f, 1, 2000), 50);
    alarm_in(50, SA_RESTART);
    TIMED(epoll_wait(ep, &e, 1, 2000), 50);
    pthread_t t;
    pthread_create(&t, 0, later, &p[1]);
    alarm_in(50, SA_RESTART);
    TIMED(recv(p[0], b, 8, 0), 120);
    pthread_join(t, 0);
    struct timeval tv = {0, 100000};
    MUST(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    alarm_in(50, SA_RESTART);
    TIMED(recv(p[0], b, 8, 0), 50);
    alarm_in(50, SA_RESTART);
    MUST(send(p[1], "ab", 2, 0));
    t_settle();
    alarm_in(50, 0);
    TIMED(recv(p[0], b, 8, MSG_WAITALL), 50);
    printf("signals %d\n", signals);
}

CASE(signal_pipe)
{
    int p[2];
    struct sigaction a = {.sa_handler = count};
    sigaction(SIGPIPE, &a, 0);
    t_pair(AF_INET, SOCK_STREAM, p);
    MUST(shutdown(p[0], SHUT_WR));
    R(send(p[0], "x", 1, MSG_NOSIGNAL));
    printf("signals %d\n", signals);
    R(send(p[0], "x", 1, 0));
    printf("signals %d\n", signals);
    R(write(p[0], "x", 1));
    printf("signals %d\n", signals);
}

CASE(signal_mask_of_ppoll)
{
    sigset_t block, none;
    struct pollfd f = {t_bound(AF_INET, SOCK_DGRAM), POLLIN, 0};
    struct timespec ts = {1, 0};
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGALRM);
    sigprocmask(SIG_BLOCK, &block, 0);
    alarm_in(20, 0);
    t_settle();
    printf("signals %d\n", signals);
    TIMED(ppoll(&f, 1, &ts, &none), 0);
    printf("signals %d\n", signals);
    alarm_in(20, 0);
    t_settle();
    struct epoll_event e;
    TIMED(epoll_pwait(epoll_create1(0), &e, 1, 1000, &none), 0);
    printf("signals %d\n", signals);
}

struct server {
    int fd;
    long bytes;
};

static void *serve(void *arg)
{
    struct server *s = arg;
    static __thread char b[8192];
    long n;
    int c = accept(s->fd, 0, 0);
    while ((n = recv(c, b, sizeof b, 0)) > 0)
        for (long sent = 0; sent < n;)
            sent += send(c, b + sent, (size_t)(n - sent), 0);
    close(c);
    return 0;
}

static void *client(void *arg)
{
    struct server *s = arg;
    static __thread char out[5000], in[5000];
    int family = s->bytes ? AF_INET6 : AF_INET, fd = t_connect_to(family, SOCK_STREAM, t_port(s->fd));
    long ok = 1;
    for (int i = 0; i < 200; i++) {
        memset(out, i, sizeof out);
        MUST(send(fd, out, sizeof out, 0));
        MUST(recv(fd, in, sizeof in, MSG_WAITALL));
        ok &= !memcmp(in, out, sizeof in);
    }
    close(fd);
    return (void *)ok;
}

CASE(threads_echo)
{
    pthread_t t[8];
    struct server s[4];
    for (int i = 0; i < 4; i++) {
        s[i] = (struct server){t_listen(i & 1 ? AF_INET6 : AF_INET, 4), i & 1};
        pthread_create(&t[i], 0, serve, &s[i]);
        pthread_create(&t[i + 4], 0, client, &s[i]);
    }
    for (int i = 0; i < 4; i++) {
        void *ok;
        pthread_join(t[i + 4], &ok);
        printf("client %d: %ld\n", i, (long)ok);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], 0);
}

static void *wait_recv(void *arg)
{
    char b[4];
    long n = recv(*(int *)arg, b, 4, 0);
    return (void *)(n < 0 ? -(long)errno : n);
}

static void *wait_accept(void *arg)
{
    long n = accept(*(int *)arg, 0, 0);
    return (void *)(n < 0 ? -(long)errno : n);
}

CASE(threads_wake_by_shutdown)
{
    int p[2], ls = t_listen(AF_INET, 2), u[2];
    pthread_t t[3];
    void *r[3];
    t_pair(AF_INET, SOCK_STREAM, p);
    t_pair(AF_INET, SOCK_DGRAM, u);
    pthread_create(&t[0], 0, wait_recv, &p[0]);
    pthread_create(&t[1], 0, wait_accept, &ls);
    pthread_create(&t[2], 0, wait_recv, &u[0]);
    t_settle();
    R(shutdown(p[0], SHUT_RDWR));
    R(shutdown(ls, SHUT_RDWR));
    R(shutdown(u[0], SHUT_RD));
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], &r[i]);
        printf("%ld %s\n", (long)r[i], (long)r[i] < 0 ? t_errno((int)-(long)r[i]) : "");
    }
}

struct attempt {
    int fd;
    struct sockaddr_in to;
};

static void *wait_connect(void *arg)
{
    struct attempt *a = arg;
    long n = connect(a->fd, (struct sockaddr *)&a->to, sizeof a->to);
    return (void *)(n < 0 ? -(long)errno : n);
}

/* A shutdown while a connection is being made ends the attempt, whichever direction it is of. */
CASE(threads_shutdown_of_connect)
{
    struct attempt a;
    socklen_t len = sizeof a.to;
    int ls = t_listen(AF_INET, 0);
    MUST(getsockname(ls, (struct sockaddr *)&a.to, &len));
    /* What is beyond the queue of a listener that accepts nothing gets no answer. */
    for (int i = 0; i < 4; i++) {
        a.fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        (void)connect(a.fd, (struct sockaddr *)&a.to, len);
        t_settle();
    }
    for (int how = 0; how < 3; how++) {
        pthread_t t;
        void *r;
        a.fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
        pthread_create(&t, 0, wait_connect, &a);
        t_settle();
        R(shutdown(a.fd, how));
        pthread_join(t, &r);
        printf("%ld %s\n", (long)r, (long)r < 0 ? t_errno((int)-(long)r) : "");
        t_soerror("then", a.fd);
        a.fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        R(connect(a.fd, (struct sockaddr *)&a.to, len));
        R(shutdown(a.fd, how));
        t_poll("after it", a.fd, POLLIN | POLLOUT, 0);
        R(connect(a.fd, (struct sockaddr *)&a.to, len));
        t_soerror("again", a.fd);
    }
}

CASE(files_to_sockets)
{
    int p[2], pi[2];
    char b[64] = "";
    char name[] = "/tmp/syscall-test-XXXXXX";
    t_pair(AF_INET, SOCK_STREAM, p);
    int file = (int)MUST(mkstemp(name));
    MUST(unlink(name));
    MUST(write(file, "0123456789", 10));
    off_t at = 2;
    R(sendfile(p[0], file, &at, 5));
    printf("offset %ld\n", (long)at);
    t_settle();
    R(recv(p[1], b, 64, 0));
    printf("%s\n", b);
    R(sendfile(p[0], file, 0, 5));
    MUST(pipe(pi));
    MUST(write(pi[1], "pipe", 4));
    R(splice(pi[0], 0, p[0], 0, 10, 0));
    t_settle();
    R(splice(p[1], 0, pi[1], 0, 10, 0));
    R(read(pi[0], b, 64));
    printf("%.4s\n", b);
}

struct epoll_waiter {
    int ep, ms, n;
    struct epoll_event e[4];
};

static void *wait_epoll(void *arg)
{
    struct epoll_waiter *w = arg;
    errno = 0;
    w->n = epoll_wait(w->ep, w->e, 4, w->ms);
    if (w->n < 0)
        w->n = -errno;
    return 0;
}

CASE(threads_epoll_closed)
{
    /* Who waits for an instance holds it: he is told what happens to its files, whatever becomes of its number. */
    static const char *kinds[] = {"socket", "pipe", "socket alone"}, *ways[] = {"close", "dup2 of a file", "another instance there", "close, with a time-out"};
    for (unsigned way = 0; way < 4; way++) {
        for (int kind = 0; kind < 3; kind++) {
            int p[2], pi[2], other = (int)MUST(epoll_create1(0));
            struct epoll_waiter w = {(int)MUST(epoll_create1(0)), way == 3 ? 300 : 5000, 99};
            struct epoll_event e = {EPOLLIN, {.u64 = 5}};
            pthread_t t;
            t_pair(AF_INET, SOCK_STREAM, p);
            MUST(pipe(pi));
            MUST(epoll_ctl(w.ep, EPOLL_CTL_ADD, p[1], &e));
            e.data.u64 = 6;
            if (kind != 2)
                MUST(epoll_ctl(w.ep, EPOLL_CTL_ADD, pi[0], &e));
            e.data.u64 = 7;
            e.events = EPOLLOUT;
            MUST(epoll_ctl(other, EPOLL_CTL_ADD, p[0], &e));
            pthread_create(&t, 0, wait_epoll, &w);
            usleep(100000);
            if (way == 1) {
                int null = (int)MUST(open("/dev/null", O_RDWR));
                MUST(dup2(null, w.ep));
                MUST(close(null));
            } else if (way == 2) {
                MUST(dup2(other, w.ep));
            } else {
                MUST(close(w.ep));
            }
            usleep(50000);
            if (way != 3)
                MUST(kind == 1 ? write(pi[1], "x", 1) : send(p[0], "x", 1, 0));
            pthread_join(t, 0);
            printf("%s, %s: %d %llu\n", ways[way], kinds[kind], w.n, w.n == 1 ? (unsigned long long)w.e[0].data.u64 : 0);
            if (way == 1 || way == 2)
                MUST(close(w.ep));
            int all[] = {p[0], p[1], pi[0], pi[1], other};
            for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
                MUST(close(all[i]));
        }
    }
    /* Nothing is left of the wait. */
    R(open("/dev/null", O_RDONLY));
}
