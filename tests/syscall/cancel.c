/* Cancellation at every point where sockets block, and handlers that call what they interrupt. */
#include "t.h"
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>

static int sock[2], dgram[2], listener, instance;
static volatile int cleaned, went_on;
static char much[1 << 22];

static void clean(void *arg)
{
    (void)arg;
    cleaned++;
}

static void *here(void *arg)
{
    struct pollfd f = {sock[0], POLLIN, 0};
    char b[8];
    struct iovec v = {b, sizeof b}, w = {much, sizeof much};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1}, o = {.msg_iov = &w, .msg_iovlen = 1};
    struct mmsghdr mm = {.msg_hdr = m};
    struct epoll_event e;
    fd_set r;
    union addr a;
    FD_ZERO(&r);
    FD_SET(sock[0], &r);
    pthread_cleanup_push(clean, 0);
    switch (*(int *)arg) {
    case 0: recv(sock[0], b, 8, 0); break;
    case 1: read(sock[0], b, 8); break;
    case 2: readv(sock[0], &v, 1); break;
    case 3: recvfrom(dgram[0], b, 8, 0, 0, 0); break;
    case 4: recvmsg(sock[0], &m, 0); break;
    case 5: recvmmsg(dgram[0], &mm, 1, 0, 0); break;
    case 6: accept(listener, 0, 0); break;
    case 7: accept4(listener, 0, 0, SOCK_CLOEXEC); break;
    case 8: poll(&f, 1, 3000); break;
    case 9: ppoll(&f, 1, 0, 0); break;
    case 10: select(sock[0] + 1, &r, 0, 0, 0); break;
    case 11: pselect(sock[0] + 1, &r, 0, 0, 0, 0); break;
    case 12: epoll_wait(instance, &e, 1, 3000); break;
    case 13: epoll_pwait(instance, &e, 1, 3000, 0); break;
    case 14: send(sock[0], much, sizeof much, 0); break;
    case 15: write(sock[0], much, sizeof much); break;
    case 16: writev(sock[0], &w, 1); break;
    case 17: sendmsg(sock[0], &o, 0); break;
    case 18:
        t_lo(&a, AF_INET, t_port(listener));
        for (int i = 0; i < 4; i++)
            connect(socket(AF_INET, SOCK_STREAM, 0), &a.sa, sizeof a.in);
        break;
    }
    went_on = 1;
    pthread_cleanup_pop(0);
    return 0;
}

static const char *const points[] = {"recv",    "read",   "readv",   "recvfrom",   "recvmsg",     "recvmmsg", "accept",
                                     "accept4", "poll",   "ppoll",   "select",     "pselect",     "epoll_wait",
                                     "epoll_pwait", "send", "write", "writev",     "sendmsg",     "connect"};

static void one(int point, int late)
{
    pthread_t t;
    void *value;
    cleaned = went_on = 0;
    /* There is room for what is sent, but not for all of it. */
    while (recv(sock[1], much, sizeof much, MSG_DONTWAIT) > 0)
        usleep(1000);
    pthread_create(&t, 0, here, &point);
    if (late)
        usleep(50000);
    pthread_cancel(t);
    pthread_join(t, &value);
    printf("%s %s: %s, cleaned %d, went on %d\n", points[point], late ? "blocked" : "at once",
           value == PTHREAD_CANCELED ? "cancelled" : "ended", cleaned, went_on);
}

CASE(cancellation_points)
{
    t_pair(AF_INET, SOCK_STREAM, sock);
    MUST(setsockopt(sock[0], SOL_SOCKET, SO_SNDBUF, &(int){1 << 17}, 4));
    MUST(setsockopt(sock[1], SOL_SOCKET, SO_RCVBUF, &(int){1 << 17}, 4));
    t_pair(AF_INET, SOCK_DGRAM, dgram);
    listener = t_listen(AF_INET, 0);
    instance = (int)MUST(epoll_create1(0));
    struct epoll_event e = {.events = EPOLLIN};
    MUST(epoll_ctl(instance, EPOLL_CTL_ADD, sock[0], &e));
    for (int i = 0; i < (int)(sizeof points / sizeof *points); i++)
        one(i, 1);
    /* The sockets are as they were. */
    char b[8];
    MUST(send(sock[1], "ab", 2, 0));
    R(recv(sock[0], b, 8, 0));
    MUST(send(dgram[1], "abc", 3, 0));
    R(recv(dgram[0], b, 8, 0));
}

static void *disabled(void *arg)
{
    char b[8];
    int old;
    (void)arg;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    long n = recv(sock[0], b, 8, 0);
    printf("received %ld\n", n);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
    getsockopt(sock[0], SOL_SOCKET, SO_ERROR, &old, &(socklen_t){4});
    printf("no cancellation point\n");
    fflush(stdout);
    pthread_testcancel();
    return 0;
}

CASE(cancellation_disabled)
{
    pthread_t t;
    void *value;
    t_pair(AF_INET, SOCK_STREAM, sock);
    pthread_create(&t, 0, disabled, 0);
    usleep(50000);
    pthread_cancel(t);
    usleep(50000);
    MUST(send(sock[1], "ab", 2, 0));
    pthread_join(t, &value);
    printf("%s\n", value == PTHREAD_CANCELED ? "cancelled" : "ended");
}

static volatile long calls;

/* May be cancelled at any instruction: when it sleeps, or in the midst of calls that are no cancellation points. */
static void *anywhere(void *arg)
{
    char b[8];
    int v, old;
    pthread_cleanup_push(clean, 0);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
    if (*(int *)arg)
        read(sock[0], b, 8);
    for (;;) {
        getsockopt(sock[0], SOL_SOCKET, SO_TYPE, &v, &(socklen_t){4});
        close(socket(AF_INET, SOCK_DGRAM, 0));
        calls++;
    }
    pthread_cleanup_pop(0);
    return 0;
}

CASE(cancellation_asynchronous)
{
    pthread_t t;
    void *value;
    int old;
    t_pair(AF_INET, SOCK_STREAM, sock);
    for (int i = 0, kind; i < 40; i++) {
        kind = i % 2;
        cleaned = 0;
        calls = 0;
        pthread_create(&t, 0, anywhere, &kind);
        if (kind)
            usleep(5000);
        else
            while (calls < 20 + i)
                ;
        pthread_cancel(t);
        pthread_join(t, &value);
        if (value != PTHREAD_CANCELED || cleaned != 1)
            printf("%d: %s, cleaned %d\n", kind, value == PTHREAD_CANCELED ? "cancelled" : "ended", cleaned);
    }
    /* Locks are free, and the socket is as it was. */
    char b[8];
    MUST(send(sock[1], "ab", 2, 0));
    R(recv(sock[0], b, 8, 0));
    R(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old));
    printf("old %d\n", old);
    R(pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old));
    printf("old %d\n", old);
    R(pthread_setcanceltype(7, &old));
}

static volatile long handled, handler_errors;
static int in_handler[2];

/* A handler that uses sockets of its own, whatever it has interrupted. */
static void busy(int sig)
{
    char b[16];
    int saved = errno;
    struct pollfd f = {in_handler[1], POLLIN, 0};
    (void)sig;
    handled++;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || close(fd))
        handler_errors++;
    if (send(in_handler[0], "hello", 5, 0) != 5 || poll(&f, 1, 1000) != 1 || recv(in_handler[1], b, sizeof b, 0) != 5)
        handler_errors++;
    errno = saved;
}

static void *echo(void *arg)
{
    char b[512];
    ssize_t n;
    (void)arg;
    while ((n = read(sock[1], b, sizeof b)) > 0)
        for (ssize_t done = 0, m; done < n; done += m)
            if ((m = write(sock[1], b + done, (size_t)(n - done))) < 0) {
                perror("echo");
                return 0;
            }
    return 0;
}

CASE(signals_at_any_moment)
{
    struct sigaction a = {.sa_handler = busy, .sa_flags = SA_RESTART};
    struct itimerval it = {{0, 300}, {0, 300}};
    pthread_t t;
    sigset_t block, old;
    char out[512], in[512];
    long rounds = 0, wrong = 0;
    t_pair(AF_INET, SOCK_STREAM, sock);
    t_pair(AF_INET6, SOCK_DGRAM, in_handler);
    int ep = (int)MUST(epoll_create1(0));
    struct epoll_event e = {.events = EPOLLIN};
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sock[0], &e));
    sigemptyset(&block);
    sigaddset(&block, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    pthread_create(&t, 0, echo, 0);
    pthread_sigmask(SIG_SETMASK, &old, 0);
    MUST(sigaction(SIGALRM, &a, 0));
    MUST(setitimer(ITIMER_REAL, &it, 0));
    time_t end = time(0) + 3;
    while (time(0) < end) {
        size_t n = 1 + (size_t)rounds % sizeof out, got = 0;
        for (size_t i = 0; i < n; i++)
            out[i] = (char)(rounds + (long)i);
        if (write(sock[0], out, n) != (ssize_t)n)
            wrong++;
        while (got < n) {
            int r = rounds % 2 ? epoll_wait(ep, &e, 1, 2000) : 1;
            if (r < 0 && errno == EINTR)
                continue;
            ssize_t m = read(sock[0], in + got, n - got);
            if (m <= 0) {
                printf("read %zd %s\n", m, t_errno(errno));
                wrong++;
                break;
            }
            got += (size_t)m;
        }
        wrong += memcmp(in, out, n) != 0;
        int fd = socket(AF_INET6, SOCK_STREAM, 0);
        wrong += fd < 0 || close(fd);
        free(malloc(n * 100));
        rounds++;
    }
    MUST(setitimer(ITIMER_REAL, &(struct itimerval){0}, 0));
    MUST(shutdown(sock[0], SHUT_WR));
    pthread_join(t, 0);
    printf("handled %d rounds %d wrong %ld errors %ld\n", handled > 100, rounds > 100, wrong, handler_errors);
}
