/* Load for scripts/bench: one server for all kinds, one client per kind, which prints one number.
 *
 *   load server ADDRESS PORT             TCP and UDP, until killed; prints "ready"
 *   load rr|crr|up|down|udp|udprr ADDRESS PORT SECONDS
 *   load start COUNT PROGRAM             the median of its ms and of its resident KiB, started from a small process
 *
 * rr: round trips a second of one byte each way over one connection; crr: connections a second with one such trip
 * each; up, down: MiB/s that the receiver got; udp: datagrams of 1000 bytes a second that the server got;
 * udprr: round trips a second.
 *
 * The first byte on a connection names the kind to the server. */
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 128 * 1024, DATAGRAM = 1000 };

static struct sockaddr_storage to;
static socklen_t to_len;

static void die(const char *what)
{
    perror(what);
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
    if (inet_pton(AF_INET, text, &a->sin_addr) == 1) {
        a->sin_family = AF_INET;
        a->sin_port = htons((uint16_t)port);
        to_len = sizeof *a;
    } else if (inet_pton(AF_INET6, text, &b->sin6_addr) == 1) {
        b->sin6_family = AF_INET6;
        b->sin6_port = htons((uint16_t)port);
        to_len = sizeof *b;
    } else {
        fprintf(stderr, "%s is no address\n", text);
        exit(2);
    }
}

static int open_socket(int type)
{
    int one = 1, fd = socket(to.ss_family, type, 0);
    if (fd < 0)
        die("socket");
    if (type == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int dial(int type)
{
    int fd = open_socket(type);
    if (connect(fd, (void *)&to, to_len))
        die("connect");
    return fd;
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

/* One connection of the server. */
static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char kind, *block = calloc(1, BLOCK);
    uint64_t total = 0;
    ssize_t n;
    if (!block || recv(fd, &kind, 1, 0) != 1)
        goto out;
    if (kind == 'd')
        while (send(fd, block, BLOCK, MSG_NOSIGNAL) > 0)
            ;
    else if (kind == 'u') {
        while ((n = recv(fd, block, BLOCK, 0)) > 0)
            total += (uint64_t)n;
        send(fd, &total, sizeof total, MSG_NOSIGNAL);
    } else
        while ((n = recv(fd, block, BLOCK, 0)) > 0 && send(fd, block, (size_t)n, MSG_NOSIGNAL) == n)
            ;
out:
    free(block);
    close(fd);
    return 0;
}

/* Counts datagrams; echoes those of one byte, answers a query of two bytes with the count since the last. */
static void *serve_datagrams(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char data[2048];
    uint64_t count = 0;
    for (;;) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(fd, data, sizeof data, 0, (void *)&from, &len);
        if (n == 1)
            sendto(fd, data, 1, 0, (void *)&from, len);
        else if (n == 2) {
            sendto(fd, &count, sizeof count, 0, (void *)&from, len);
            count = 0;
        } else if (n > 0)
            count++;
    }
    return 0;
}

static void server(void)
{
    int one = 1, fd = open_socket(SOCK_STREAM), u = open_socket(SOCK_DGRAM);
    pthread_t t;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&to, to_len) || bind(u, (void *)&to, to_len) || listen(fd, 1024))
        die("bind");
    pthread_create(&t, 0, serve_datagrams, (void *)(intptr_t)u);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int c = accept(fd, 0, 0);
        if (c < 0) {
            if (errno == EMFILE || errno == ECONNABORTED)
                continue;
            die("accept");
        }
        setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&t, 0, serve, (void *)(intptr_t)c))
            close(c);
        else
            pthread_detach(t);
    }
}

static double trips(int fd, double seconds)
{
    char b = 0;
    double from = now();
    long n = 0;
    for (; now() - from < seconds; n++) {
        send_all(fd, &b, 1);
        if (recv(fd, &b, 1, 0) != 1)
            die("recv");
    }
    return (double)n / (now() - from);
}

static double crr(double seconds)
{
    double from = now();
    long n = 0;
    for (; now() - from < seconds; n++) {
        char b[2] = "rr";
        int fd = dial(SOCK_STREAM);
        struct linger reset = {1, 0};
        send_all(fd, b, 2);
        if (recv(fd, b, 1, 0) != 1)
            die("recv");
        /* No TIME_WAIT on either side: the ports are to last. */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    return (double)n / (now() - from);
}

static double stream(char kind, double seconds)
{
    int fd = dial(SOCK_STREAM);
    char *block = calloc(1, BLOCK);
    double from = now();
    uint64_t total = 0;
    send_all(fd, &kind, 1);
    if (kind == 'd')
        while (now() - from < seconds) {
            ssize_t n = recv(fd, block, BLOCK, 0);
            if (n <= 0)
                die("recv");
            total += (uint64_t)n;
        }
    else {
        while (now() - from < seconds)
            send_all(fd, block, BLOCK);
        shutdown(fd, SHUT_WR);
        if (recv(fd, &total, sizeof total, MSG_WAITALL) != sizeof total)
            die("recv");
    }
    return (double)total / (now() - from) / (1 << 20);
}

static double datagrams(double seconds)
{
    int fd = dial(SOCK_DGRAM);
    char data[DATAGRAM] = "";
    struct timeval tv = {0, 200000};
    uint64_t count = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    double from = now();
    while (now() - from < seconds)
        if (send(fd, data, sizeof data, 0) < 0 && errno != ENOBUFS)
            die("send");
    double took = now() - from;
    for (int i = 0; i < 20; i++) {
        send(fd, data, 2, 0);
        if (recv(fd, &count, sizeof count, 0) == sizeof count)
            return (double)count / took;
    }
    die("no answer");
    return 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
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
    qsort(took, (size_t)count, sizeof *took, ascending);
    qsort(kib, (size_t)count, sizeof *kib, ascending);
    printf("%.3f %.0f\n", took[count / 2], kib[count / 2]);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4 || (strcmp(argv[1], "server") && strcmp(argv[1], "start") && argc < 5)) {
        fprintf(stderr, "usage: load server ADDRESS PORT | load rr|crr|up|down|udp|udprr ADDRESS PORT SECONDS\n");
        return 2;
    }
    const char *kind = argv[1];
    if (!strcmp(kind, "start"))
        return start(atoi(argv[2]), argv + 3);
    double seconds = argc > 4 ? atof(argv[4]) : 0, value;
    address(argv[2], atoi(argv[3]));
    if (!strcmp(kind, "server"))
        server();
    if (!strcmp(kind, "rr")) {
        int fd = dial(SOCK_STREAM);
        send_all(fd, "r", 1);
        value = trips(fd, seconds);
    } else if (!strcmp(kind, "udprr"))
        value = trips(dial(SOCK_DGRAM), seconds);
    else if (!strcmp(kind, "crr"))
        value = crr(seconds);
    else if (!strcmp(kind, "up") || !strcmp(kind, "down"))
        value = stream(kind[0], seconds);
    else if (!strcmp(kind, "udp"))
        value = datagrams(seconds);
    else
        return 2;
    printf("%.1f\n", value);
    return 0;
}
