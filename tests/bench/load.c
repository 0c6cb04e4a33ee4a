/* Load for scripts/bench: one server for all kinds, one client per kind, which prints its figures on one line. Nothing
 * but the plain sockets API, so that the same program is measured natively and under the wrapper.
 *
 *   load server ADDRESS PORT                  TCP and UDP, one thread with epoll, until killed; prints "ready"
 *   load rr|udprr ADDRESS PORT SECONDS        us of the median round trip of one byte each way
 *   load crr ADDRESS PORT SECONDS             connections a second, each with one such trip
 *   load up|down ADDRESS PORT SECONDS [SKIP]  Gbit/s that the receiver got, after SKIP seconds
 *   load udp ADDRESS PORT SECONDS             datagrams of 64 bytes a second that the server got
 *   load local SECONDS                        Gbit/s from one thread to another over 127.0.0.1
 *   load crowd ADDRESS PORT COUNT ACTIVE SECONDS
 *        COUNT connections are made and stay: connections a second; us of the median round trip on one more; round
 *        trips a second on ACTIVE of them at once, through epoll
 *   load start COUNT PROGRAM...               the median of its ms and of its resident KiB, started from a small process
 *
 * LOAD_CC is the congestion control of every socket. The first byte on a connection names the kind to the server,
 * which listens at PORTS ports: one client address is not enough for a crowd. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 128 * 1024, DATAGRAM = 64, PORTS = 4, SAMPLES = 1 << 21 };

static struct sockaddr_storage to;
static socklen_t to_len;
static char block[BLOCK];

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void address(const char *text, int port)
{
    struct sockaddr_in *a = (void *)&to;
    struct sockaddr_in6 *b = (void *)&to;
    memset(&to, 0, sizeof to);
    if (inet_pton(AF_INET, text, &a->sin_addr) == 1) {
        a->sin_family = AF_INET;
        a->sin_port = htons((uint16_t)port);
        to_len = sizeof *a;
    } else if (inet_pton(AF_INET6, text, &b->sin6_addr) == 1) {
        b->sin6_family = AF_INET6;
        b->sin6_port = htons((uint16_t)port);
        to_len = sizeof *b;
    } else {
        fprintf(stderr, "load: %s is no address\n", text);
        exit(2);
    }
}

static int open_socket(int type)
{
    const char *cc = getenv("LOAD_CC");
    int one = 1, fd = socket(to.ss_family, type, 0);
    if (fd < 0)
        die("socket");
    if (type & SOCK_STREAM) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (cc && *cc && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, (socklen_t)strlen(cc)))
            die("TCP_CONGESTION");
    }
    return fd;
}

static int dial(int type)
{
    int fd = open_socket(type);
    struct timeval patience = {20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (void *)&to, to_len))
        die("connect");
    return fd;
}

/* No TIME_WAIT on either side: the ports are to last. */
static void reset(int fd)
{
    struct linger now_ = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now_, sizeof now_);
    close(fd);
}

static void send_all(int fd, const void *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0)
            die("send");
        data = (const char *)data + n;
        len -= (size_t)n;
    }
}

/* The server's sockets: what `kind` says is 'L' (listens), 'U' (UDP), 0 (not known yet), or what the client asked for:
 * 'r' to get back what it sends, 'u' to send and be told the count at the end, 'd' to be sent to. */
struct conn {
    int fd;
    char kind;
    uint64_t total;
};

static void add(int ep, int fd, char kind)
{
    struct conn *c = calloc(1, sizeof *c);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (!c)
        die("calloc");
    c->fd = fd;
    c->kind = kind;
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e))
        die("epoll_ctl");
}

static void taken(int ep, struct conn *c)
{
    int one = 1, fd;
    while ((fd = accept4(c->fd, 0, 0, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        add(ep, fd, 0);
    }
    if (errno == EMFILE)
        die("accept");
}

/* Counts datagrams; echoes those of one byte, answers a query of two bytes with the count since the last. */
static void datagrams_came(struct conn *c)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    ssize_t n;
    for (; (n = recvfrom(c->fd, block, BLOCK, 0, (void *)&from, &len)) >= 0; len = sizeof from) {
        if (n == 1)
            sendto(c->fd, block, 1, 0, (void *)&from, len);
        else if (n == 2) {
            sendto(c->fd, &c->total, sizeof c->total, 0, (void *)&from, len);
            c->total = 0;
        } else
            c->total++;
    }
}

/* Answers whether the connection goes on. */
static int serve(int ep, struct conn *c, uint32_t events)
{
    ssize_t n = 0;
    if (events & (EPOLLHUP | EPOLLERR))
        return 0;
    if (!c->kind) {
        if (recv(c->fd, &c->kind, 1, 0) != 1)
            return 0;
        if (c->kind == 'd') {
            struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
            epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
            return 1;
        }
    }
    if (c->kind == 'd') {
        if (events & EPOLLIN && recv(c->fd, block, BLOCK, 0) == 0)
            return 0;
        for (int i = 0; i < 4 && (n = send(c->fd, block, BLOCK, MSG_NOSIGNAL)) > 0; i++)
            ;
    } else if (c->kind == 'u') {
        for (int i = 0; i < 8 && (n = recv(c->fd, block, BLOCK, 0)) > 0; i++)
            c->total += (uint64_t)n;
        if (n == 0) {
            send(c->fd, &c->total, sizeof c->total, MSG_NOSIGNAL);
            return 0;
        }
    } else {
        n = recv(c->fd, block, BLOCK, 0);
        if (n == 0 || (n > 0 && send(c->fd, block, (size_t)n, MSG_NOSIGNAL) != n))
            return 0;
    }
    return n >= 0 || errno == EAGAIN;
}

static void server(const char *name, int port)
{
    int ep = epoll_create1(0), one = 1, room = 4 << 20;
    struct epoll_event ev[256];
    for (int i = 0; i < PORTS; i++) {
        address(name, port + i);
        int fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, (void *)&to, to_len) || listen(fd, 4096))
            die("bind");
        add(ep, fd, 'L');
    }
    address(name, port);
    int u = open_socket(SOCK_DGRAM | SOCK_NONBLOCK);
    setsockopt(u, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(u, (void *)&to, to_len))
        die("bind");
    add(ep, u, 'U');
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (c->kind == 'L')
                taken(ep, c);
            else if (c->kind == 'U')
                datagrams_came(c);
            else if (!serve(ep, c, ev[i].events)) {
                close(c->fd);
                free(c);
            }
        }
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *all, long n)
{
    qsort(all, (size_t)n, sizeof *all, ascending);
    return n ? all[n / 2] : 0;
}

/* us of the median round trip. */
static double trips(int fd, double seconds)
{
    double *took = malloc(SAMPLES * sizeof *took);
    char b = 0;
    long n = 0;
    if (!took)
        die("malloc");
    for (double from = now(), t = from; t - from < seconds && n < SAMPLES;) {
        send_all(fd, &b, 1);
        if (recv(fd, &b, 1, 0) != 1)
            die("recv");
        double u = now();
        took[n++] = (u - t) * 1e6;
        t = u;
    }
    double out = median(took, n);
    free(took);
    return out;
}

static int dial_echo(void)
{
    char kind[2] = "rr";
    int fd = dial(SOCK_STREAM);
    send_all(fd, kind, 2);
    if (recv(fd, kind, 1, 0) != 1)
        die("recv");
    return fd;
}

static double crr(double seconds)
{
    double from = now();
    long n = 0;
    for (; now() - from < seconds; n++)
        reset(dial_echo());
    return (double)n / (now() - from);
}

static double stream(char kind, double seconds, double skip)
{
    int fd = dial(SOCK_STREAM);
    double from = now(), end = from + skip + seconds;
    uint64_t total = 0, before = 0;
    send_all(fd, &kind, 1);
    if (kind == 'd')
        for (double t; (t = now()) < end;) {
            ssize_t n = recv(fd, block, BLOCK, 0);
            if (n <= 0)
                die("recv");
            if (skip > 0 && t - from >= skip) {
                skip = 0;
                before = total;
                from = t;
            }
            total += (uint64_t)n;
        }
    else {
        while (now() < end)
            send_all(fd, block, BLOCK);
        shutdown(fd, SHUT_WR);
        if (recv(fd, &total, sizeof total, MSG_WAITALL) != sizeof total)
            die("recv");
    }
    return (double)(total - before) * 8 / (now() - from) / 1e9;
}

static double datagrams(double seconds)
{
    int fd = dial(SOCK_DGRAM);
    struct timeval tv = {0, 200000};
    uint64_t count = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    double from = now();
    while (now() - from < seconds)
        for (int i = 0; i < 64; i++)
            if (send(fd, block, DATAGRAM, 0) < 0 && errno != ENOBUFS)
                die("send");
    double took = now() - from;
    for (int i = 0; i < 20; i++) {
        send(fd, block, 2, 0);
        if (recv(fd, &count, sizeof count, 0) == sizeof count)
            return (double)count / took;
    }
    errno = ETIMEDOUT;
    die("the count");
    return 0;
}

static void *drain(void *arg)
{
    static char own[BLOCK];
    static uint64_t total;
    int c = accept((int)(intptr_t)arg, 0, 0);
    ssize_t n;
    while ((n = recv(c, own, BLOCK, 0)) > 0)
        total += (uint64_t)n;
    return &total;
}

static double local(double seconds)
{
    pthread_t t;
    void *total;
    address("127.0.0.1", 0);
    int l = open_socket(SOCK_STREAM);
    if (bind(l, (void *)&to, to_len) || listen(l, 1) || getsockname(l, (void *)&to, &to_len))
        die("bind");
    pthread_create(&t, 0, drain, (void *)(intptr_t)l);
    int fd = dial(SOCK_STREAM);
    double from = now();
    while (now() - from < seconds)
        send_all(fd, block, BLOCK);
    shutdown(fd, SHUT_WR);
    pthread_join(t, &total);
    return (double)*(uint64_t *)total * 8 / (now() - from) / 1e9;
}

static void crowd(const char *name, int port, int count, int active, double seconds)
{
    int *fds = calloc((size_t)count + 1, sizeof *fds), ep = epoll_create1(0);
    struct epoll_event ev[512];
    char b = 'r';
    long n = 0;
    double from = now();
    for (int i = 0; i < count; i++) {
        address(name, port + i % PORTS);
        fds[i] = dial_echo();
    }
    double rate = count / (now() - from);
    address(name, port);
    int one = dial_echo();
    double trip = trips(one, seconds);
    for (int i = 0; i < active; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fds[i]};
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
        send_all(fds[i], &b, 1);
    }
    from = now();
    while (active && now() - from < seconds) {
        int r = epoll_wait(ep, ev, 512, 5000);
        if (r <= 0)
            die("epoll_wait");
        for (int i = 0; i < r; i++, n++) {
            if (recv(ev[i].data.fd, &b, 1, 0) != 1)
                die("recv");
            send_all(ev[i].data.fd, &b, 1);
        }
    }
    printf("%.1f %.3f %.1f\n", rate, trip, active ? (double)n / (now() - from) : 0);
    fflush(stdout);
    /* Until whoever measures has seen the memory. */
    if (read(0, &b, 1) < 0)
        die("read");
    for (int i = 0; i < count; i++)
        reset(fds[i]);
}

/* Starts a program many times. Its resident memory cannot be had from a big parent: the kernel counts what a child
 * had before exec as well. */
static int start(int count, char **argv)
{
    double *took = calloc((size_t)count, sizeof *took), *kib = calloc((size_t)count, sizeof *kib);
    if (!took || !kib || count < 1)
        return 1;
    for (int i = 0; i < count; i++) {
        int status;
        struct rusage usage;
        double from = now();
        pid_t pid = fork();
        if (pid == 0) {
            execvp(argv[0], argv);
            _exit(127);
        }
        if (pid < 0 || wait4(pid, &status, 0, &usage) < 0 || status)
            return 1;
        took[i] = (now() - from) * 1000;
        kib[i] = (double)usage.ru_maxrss;
    }
    printf("%.3f %.0f\n", median(took, count), median(kib, count));
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit files = {1 << 20, 1 << 20};
    const char *kind = argc > 2 ? argv[1] : "";
    double seconds = argc > 4 ? atof(argv[4]) : 0;
    /* Where it may not be raised: all that may be had. */
    if (setrlimit(RLIMIT_NOFILE, &files) && !getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (!strcmp(kind, "start"))
        return start(atoi(argv[2]), argv + 3);
    if (!strcmp(kind, "local"))
        return printf("%.3f\n", local(atof(argv[2]))) < 0;
    if (argc > 3 && !strcmp(kind, "server"))
        server(argv[2], atoi(argv[3]));
    if (argc < 5) {
        fprintf(stderr, "usage: see the head of load.c\n");
        return 2;
    }
    address(argv[2], atoi(argv[3]));
    if (!strcmp(kind, "rr"))
        printf("%.3f\n", trips(dial_echo(), seconds));
    else if (!strcmp(kind, "udprr"))
        printf("%.3f\n", trips(dial(SOCK_DGRAM), seconds));
    else if (!strcmp(kind, "crr"))
        printf("%.1f\n", crr(seconds));
    else if (!strcmp(kind, "up") || !strcmp(kind, "down"))
        printf("%.4f\n", stream(kind[0], seconds, argc > 5 ? atof(argv[5]) : 0));
    else if (!strcmp(kind, "udp"))
        printf("%.1f\n", datagrams(seconds));
    else if (argc > 6 && !strcmp(kind, "crowd"))
        crowd(argv[2], atoi(argv[3]), (int)seconds, atoi(argv[5]), atof(argv[6]));
    else
        return 2;
    return 0;
}
