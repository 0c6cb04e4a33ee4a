"""When something is short: programs are told, and go on."""

import subprocess
import time

from lab import Skip, check, has, kernels, test, until
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


CRASH = r"""
import errno, os, select, socket, sys

def answer(call, *args):
    try:
        call(*args)
    except OSError as e:
        return errno.errorcode.get(e.errno, e.errno)
    return "done"

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())

def crash():
    os.write(os.open("/proc/sysrq-trigger", os.O_WRONLY), b"c")

def everything(who, old):
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    tell(who, "old", answer(old.connect, (sys.argv[1], int(sys.argv[2]))), answer(old.getsockname))
    tell(who, "new", answer(socket.create_connection, (sys.argv[1], int(sys.argv[2]))), answer(socket.socket, family))
    tell(who, "route", answer(open, "/proc/net/route"), answer(socket.if_nameindex))
    tell(who, "file", open("/proc/self/comm").read().strip())
    # The number is free again, whatever the kernel says.
    number = old.detach()
    tell(who, "close", answer(os.close, number), os.open("/dev/null", 0) == number)

def child(f):
    pid = os.fork()
    if pid == 0:
        f()
        os._exit(0)
    return pid

family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
old = socket.socket(family, socket.SOCK_STREAM)
udp = socket.socket(family, socket.SOCK_DGRAM)
udp.bind((sys.argv[4], 0))
children = []
if sys.argv[3] == "many":
    # They sleep in the kernel while it crashes.
    def in_epoll():
        ep = select.epoll()
        ep.register(udp, select.EPOLLIN)
        tell("epoll", answer(ep.poll))
    def in_poll():
        p = select.poll()
        p.register(udp, select.POLLIN)
        tell("poll", p.poll()[0][1] == select.POLLERR)
    started, ready = os.pipe()
    for f in (lambda: tell("recv", answer(udp.recv, 1)), in_epoll, in_poll):
        children.append(child(lambda f=f: (os.write(ready, b"x"), f())))
    got = b""
    while len(got) < 3:
        got += os.read(started, 3)
    tell("asleep")
    sys.stdin.readline()
    children.append(child(lambda: (tell("crash", answer(crash)), everything("child", old))))
    os.waitpid(children[-1], 0)
else:
    tell("asleep")
    sys.stdin.readline()
    tell("crash", answer(crash))
for pid in children[:-1]:
    os.waitpid(pid, 0)
everything("first", old)
children.append(child(lambda: everything("late", udp)))
os.waitpid(children[-1], 0)
os.execvp("cat", ["cat", "/proc/net/dev"])
"""


def crash(lab, v, how):
    """A panic in the kernel (`/proc/sysrq-trigger`): it is told, every call answers EIO from then on, nothing reaches the host's network, and
    the programs go on."""
    if lab.native:
        raise Skip("it would be the machine's own")
    lab.tap()
    taken = []
    port = lab.server(v, lambda c: (taken.append(1), c.close()))
    lab.connect(v, port, side="peer").close()
    p = lab.spawn("python3", "-c", CRASH, lab.peer[v], port, how, lab.me[v], ours=True, stdin=subprocess.PIPE)
    p.wait_for("asleep")
    time.sleep(0.2)
    p.stdin.write(b"\n")
    p.stdin.flush()
    done = p.wait(20, status=1)
    has(done.out, "^crash EIO$")
    for who in ("first", "late") + (("child",) if how == "many" else ()):
        for what in ("old EIO EIO", "new EIO EIO", "route EIO EIO", "file python3", "close EIO True"):
            has(done.out, f"^{who} {what}$", f"{who} {what}\n{done}")
    if how == "many":
        for what in ("recv EIO", "epoll EIO", "poll True"):
            has(done.out, f"^{what}$", f"{what}\n{done}")
    has(done.err, r"^lkl-hijack: panic at kernel/core/src/proc\.rs:\d+:\d+: sysrq triggered crash$")
    has(done.err, r"^ +\d+: (lkl_kernel::proc::)?crash$")
    has(done.err, r"^cat: /proc/net/dev: Input/output error$")
    check(len(taken) == 1, "the host's network was used", done)
    until(lambda: not kernels(), 10, lambda: f"kernels are left: {kernels()}")
    # The device is free for the next one.
    has(lab.ours("ip", "-br", "addr", "show", "dev", "eth0").out, "UP")


@test(v=(4, 6))
def panic_alone(lab, v):
    """While its program is the only one."""
    crash(lab, v, "alone")


@test(v=(4, 6))
def panic_of_many(lab, v):
    """While children use it too, some of them asleep in it."""
    crash(lab, v, "many")
