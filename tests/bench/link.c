/* A bad link between two network namespaces, for hosts whose kernel has no netem.
 *
 *   link END END DELAY_MS LOSS MBIT QUEUE_KIB SEED
 *
 * An END is NAMESPACE:tap:NAME, a TAP that is made there, or NAMESPACE:packet:NAME, an interface that exists, by a packet
 * socket. Each way a frame is lost with probability LOSS, waits in a queue of QUEUE_KIB for its turn at MBIT Mbit/s (when
 * the queue is full it is dropped), and then takes DELAY_MS. Frames keep their order. Prints "ready"; runs until
 * killed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = 2048, SLOTS = 1 << 14 };

struct frame {
    int64_t due;
    int len;
    char data[FRAME];
};

/* One way. Frames come out in the order in which they went in, so a ring does. */
struct way {
    int from, to;
    struct frame *ring;
    unsigned head, tail;
    int64_t free_at;
};

static int64_t delay, queue_bits;
static double loss, bits_per_ns;
static uint64_t seed;

static void die(const char *what)
{
    fprintf(stderr, "link: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* xorshift64*, from 0 to 1. */
static double chance(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (double)((seed * 0x2545f4914f6cdd1dULL) >> 11) / (double)(1ULL << 53);
}

static int open_tap(const char *name)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r))
        die("TAP");
    return fd;
}

static int open_packet(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL)), one = 1, room = 16 << 20;
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
    if (fd < 0 || !at.sll_ifindex || bind(fd, (void *)&at, sizeof at))
        die("packet socket");
    if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one))
        die("PACKET_IGNORE_OUTGOING");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    return fd;
}

static int open_end(char *end)
{
    char path[256], *name = strtok(end, ":"), *kind = strtok(0, ":"), *dev = strtok(0, ":");
    if (!name || !kind || !dev) {
        fprintf(stderr, "link: an end is NAMESPACE:KIND:NAME\n");
        exit(2);
    }
    snprintf(path, sizeof path, "/run/netns/%s", name);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET))
        die(path);
    close(ns);
    return strcmp(kind, "tap") ? open_packet(dev) : open_tap(dev);
}

static void take(struct way *w)
{
    char data[FRAME];
    ssize_t n;
    while ((n = read(w->from, data, sizeof data)) > 0) {
        int64_t t = now();
        if (w->free_at < t)
            w->free_at = t;
        double waiting = (double)(w->free_at - t) * bits_per_ns;
        if (chance() < loss || waiting + (double)n * 8 > (double)queue_bits || w->head - w->tail == SLOTS)
            continue;
        /* What the wire adds to a frame: preamble, checksum, gap. */
        w->free_at += (int64_t)((double)(n + 24) * 8 / bits_per_ns);
        struct frame *f = &w->ring[w->head++ % SLOTS];
        f->due = w->free_at + delay;
        f->len = (int)n;
        memcpy(f->data, data, (size_t)n);
    }
}

/* Lets go what is due; answers when the next is. */
static int64_t give(struct way *w)
{
    while (w->tail != w->head) {
        struct frame *f = &w->ring[w->tail % SLOTS];
        if (f->due > now())
            return f->due;
        if (write(w->to, f->data, (size_t)f->len) < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EIO && errno != ENETDOWN)
            die("write");
        w->tail++;
    }
    return INT64_MAX;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: link END END DELAY_MS LOSS MBIT QUEUE_KIB SEED\n");
        return 2;
    }
    delay = (int64_t)(atof(argv[3]) * 1e6);
    loss = atof(argv[4]);
    bits_per_ns = atof(argv[5]) / 1000;
    queue_bits = atoll(argv[6]) * 1024 * 8;
    seed = strtoull(argv[7], 0, 10) * 2 + 1;
    int a = open_end(argv[1]), b = open_end(argv[2]);
    struct way ways[2] = {{.from = a, .to = b}, {.from = b, .to = a}};
    for (int i = 0; i < 2; i++)
        if (!(ways[i].ring = calloc(SLOTS, sizeof *ways[i].ring)))
            die("calloc");
    prctl(PR_SET_TIMERSLACK, 1000);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int64_t one = give(&ways[0]), two = give(&ways[1]), next = one < two ? one : two, left = next - now();
        struct timespec t = {left / 1000000000, left % 1000000000};
        struct pollfd p[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
        if (left < 0)
            continue;
        if (ppoll(p, 2, next == INT64_MAX ? 0 : &t, 0) < 0 && errno != EINTR)
            die("ppoll");
        for (int i = 0; i < 2; i++)
            if (p[i].revents & POLLIN)
                take(&ways[i]);
    }
}
