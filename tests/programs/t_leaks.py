"""The detector of leaks finds them: calls that a program makes past the library, by instructions of its own."""

from lab import Skip, check, has, test
from t_servers import write

PAST = r"""
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static __attribute__((noinline)) long past(long nr, long a, long b, long c, long d, long e) {
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = 0;
    long ret;
    __asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return ret;
}

int main(int argc, char **argv) {
    const char *how = argv[1];
    int fd = socket(AF_INET, SOCK_DGRAM, 0), ep = epoll_create1(0), local = socket(AF_UNIX, SOCK_STREAM, 0);
    struct pollfd p = {fd, POLLIN, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    char byte;
    if (!strcmp(how, "socket")) past(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0, 0);
    if (!strcmp(how, "socketpair")) past(SYS_socketpair, AF_INET, SOCK_DGRAM, 0, 0, 0);
    if (!strcmp(how, "thread")) { if (vfork() == 0) { past(SYS_socket, AF_NETLINK, SOCK_RAW, 0, 0, 0); _exit(0); } wait(NULL); }
    if (!strcmp(how, "sendto")) past(SYS_sendto, fd, (long)"x", 1, 0, 0);
    if (!strcmp(how, "read")) past(SYS_read, fd, (long)&byte, 1, 0, 0);
    if (!strcmp(how, "getsockopt")) past(SYS_getsockopt, dup(fd), SOL_SOCKET, SO_TYPE, 0, 0);
    if (!strcmp(how, "splice")) past(SYS_splice, 0, 0, fd, 0, 1);
    if (!strcmp(how, "poll")) past(SYS_poll, (long)&p, 1, 0, 0, 0);
    if (!strcmp(how, "pselect6")) past(SYS_pselect6, fd + 1, (long)&set, 0, 0, (long)(long[2]){0, 0});
    if (!strcmp(how, "epoll_ctl")) past(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, local, (long)&(struct epoll_event){EPOLLIN, {0}}, 0);
    if (!strcmp(how, "epoll_wait")) past(SYS_epoll_wait, ep, (long)&(struct epoll_event){0}, 1, 0, 0);
    if (!strcmp(how, "close")) past(SYS_close, fd, 0, 0, 0, 0);
    if (!strcmp(how, "mmap")) past(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, fd);
    if (!strcmp(how, "io_uring_setup")) past(SYS_io_uring_setup, 0, 0, 0, 0, 0);
    if (!strcmp(how, "none")) {
        /* What the host is for, and what the library has put in place of the call. */
        past(SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, 0);
        past(SYS_getsockname, local, 0, 0, 0, 0);
        past(SYS_read, local, (long)&byte, 1, 0, 0);
        syscall(SYS_close, syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0));
        send(fd, "x", 1, MSG_DONTWAIT);
        poll(&p, 1, 0);
        dup2(fd, 20);
        close(20);
        if (system("true")) return 1;
        fclose(popen("true", "r"));
    }
    puts(how);
    return 0;
}
"""


@test(need="gcc")
def detected(lab):
    """Each way past the library is reported, by the program, the call and where it was made; ordinary calls are not."""
    if lab.native:
        raise Skip("there is nothing to get past")
    lab.tap()
    if not lab.detector:
        lab.watch()
    lab.run("gcc", "-O1", "-w", "-o", lab.path("past"), write(lab, "past.c", PAST))
    ways = "socket socketpair thread sendto read getsockopt splice poll pselect6 epoll_ctl epoll_wait close mmap io_uring_setup".split()
    for way in ways:
        done = lab.ours("./past", way)
        found = lab.found()
        call = "socket" if way == "thread" else way
        check(len(found) == 1, f"one line for {way}", done, *found)
        has(found[0], rf"^past\[\d+\] {call}\(.*\) at \S*/past\+[0-9a-f]+ \(past\): ")
    lab.ours("./past", "none")
    check(not lab.found(), "nothing for ordinary calls")
    # Also of programs without the library.
    lab.run("gcc", "-static", "-O1", "-w", "-o", lab.path("alone"), lab.path("past.c"))
    lab.ours("sh", "-c", "./alone socket; :")
    check(not lab.found(), "it is left without a network, and cannot make one")
