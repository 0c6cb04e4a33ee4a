"""When something is short: programs are told, and go on."""

from lab import Skip, check, has, test
from t_servers import write

LITTLE_MEMORY = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    static char big[1 << 20], in[1 << 20];
    long pages, pairs[3000][2], n = 0, got = 0, sent = 0;
    const char *end = "never";
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    bind(l, (void *)&a, len);
    listen(l, 16);
    getsockname(l, (void *)&a, &len);
    /* What it has now, and 24 MiB. */
    FILE *f = fopen("/proc/self/statm", "r");
    if (fscanf(f, "%ld", &pages) != 1) return 2;
    struct rlimit r = {pages * 4096 + (24 << 20), pages * 4096 + (24 << 20)};
    if (setrlimit(RLIMIT_AS, &r)) return 2;
    while (n < 3000 && !strcmp(end, "never")) {
        int c = socket(AF_INET, SOCK_STREAM, 0), size = 64 << 20, d = -1;
        if (c < 0 || connect(c, (void *)&a, len) || (d = accept(l, 0, 0)) < 0) {
            end = strerrorname_np(errno);
            break;
        }
        setsockopt(c, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        pairs[n][0] = c;
        pairs[n++][1] = d;
        for (long w; (w = send(c, big, sizeof big, MSG_DONTWAIT)) > 0 || errno != EAGAIN; sent += w)
            if (w < 0) {
                end = strerrorname_np(errno);
                break;
            }
    }
    printf("%s\n", end);
    /* What was taken is there, and when it is read, there is memory again. */
    for (long i = 0; i < n; i++) {
        shutdown(pairs[i][0], SHUT_WR);
        for (long w; (w = read(pairs[i][1], in, sizeof in)) > 0; got += w)
            ;
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    printf("%s %s\n", got == sent ? "all" : "lost", socket(AF_INET, SOCK_STREAM, 0) < 0 ? strerrorname_np(errno) : "made");
    return 0;
}
"""


@test(need="gcc")
def little_memory(lab):
    """With a limit of its address space: ENOBUFS or ENOMEM when the kernel in it has no more, and nothing is lost."""
    if lab.native:
        raise Skip("the host's kernel has memory of its own")
    lab.tap()
    lab.run("gcc", "-O1", "-w", "-o", lab.path("little"), write(lab, "little.c", LITTLE_MEMORY))
    done = lab.ours("./little")
    has(done.out, r"^(ENOBUFS|ENOMEM)\nall made$")
    check(done.err == "", "nothing to say", done)
