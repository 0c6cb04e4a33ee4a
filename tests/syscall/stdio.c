/* What the C library does with sockets by itself: stdio, aio, syscall(), interface names. */
#include "t.h"
#include <aio.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

CASE(stdio_on_sockets)
{
    int p[2];
    char line[64];
    t_pair(AF_INET, SOCK_STREAM, p);
    FILE *r = fdopen(dup(p[0]), "r"), *w = fdopen(dup(p[1]), "w");
    R(r && w);
    R(fprintf(w, "first %d\nsecond\nthird", 7));
    R(fflush(w));
    R(fgets(line, sizeof line, r) != 0);
    printf("%s", line);
    R(fscanf(r, "%63s", line));
    printf("%s\n", line);
    R(fgetc(r));
    R(dprintf(p[1], " and %s\n", "more"));
    R(fgets(line, sizeof line, r) != 0);
    printf("%s", line);
    R(fseek(r, 0, SEEK_SET));
    R(ftell(r));
    R(setvbuf(w, 0, _IONBF, 0));
    R(fputs("unbuffered", w));
    R(fread(line, 1, 10, r));
    printf("%.10s\n", line);
    R(fileno(r) != p[0]);
    /* Much more than a buffer. */
    R(setvbuf(w, 0, _IOFBF, 4096));
    for (int i = 0; i < 2000; i++)
        fprintf(w, "line %d\n", i);
    R(fclose(w));
    MUST(close(p[1]));
    int n = 0, good = 1;
    while (fgets(line, sizeof line, r)) {
        int i = -1;
        good &= sscanf(line, "line %d", &i) == 1 && i == n;
        n++;
    }
    printf("%d lines, %s, end %d error %d\n", n, good ? "in order" : "wrong", !!feof(r), !!ferror(r));
    char *whole = 0;
    size_t room = 0;
    R(getline(&whole, &room, r));
    R(fclose(r));
    R(fdopen(987, "r") != 0);
}

CASE(files_by_stdio)
{
    char line[256];
    FILE *f = fopen("/proc/net/dev", "r");
    R(f != 0);
    R(fgets(line, sizeof line, f) != 0);
    printf("%s", line);
    R(fclose(f));
    R((f = fopen("/proc/sys/net/ipv4/ip_forward", "r+")) != 0);
    R(fscanf(f, "%255s", line));
    printf("%s\n", line);
    R(fclose(f));
    R(fopen("/proc/net/nothing", "r") != 0);
    f = freopen("/proc/net/snmp", "r", stdin);
    R(f == stdin);
    R(fgets(line, sizeof line, stdin) != 0);
    printf("%.3s\n", line);
}

CASE(names_of_interfaces)
{
    char name[IF_NAMESIZE];
    R(if_nametoindex("lo"));
    R(if_nametoindex("nothing"));
    R(if_indextoname(1, name) != 0);
    puts(name);
    R(if_indextoname(9999, name) != 0);
    struct if_nameindex *all = if_nameindex();
    R(all != 0);
    for (int i = 0; all && all[i].if_index; i++)
        printf("%u %s\n", all[i].if_index, all[i].if_name);
    if_freenameindex(all);
    struct ifaddrs *a, *x;
    R(getifaddrs(&a));
    for (x = a; x; x = x->ifa_next)
        if (x->ifa_addr->sa_family != AF_PACKET)
            t_addr(x->ifa_name, x->ifa_addr, x->ifa_addr->sa_family == AF_INET ? 16 : 28, 0);
    freeifaddrs(a);
}

CASE(raw_calls)
{
    union addr a;
    char b[8] = "";
    long fd = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    R(fd >= 0);
    socklen_t len = t_lo(&a, AF_INET, 0);
    R(syscall(SYS_bind, fd, &a, len));
    R(syscall(SYS_getsockname, fd, &a, &len));
    R(syscall(SYS_sendto, fd, "abc", 3, 0, &a, len));
    R(syscall(SYS_read, fd, b, 8));
    puts(b);
    struct pollfd f = {(int)fd, POLLOUT, 0};
    R(syscall(SYS_poll, &f, 1, 0));
    R(syscall(SYS_lseek, fd, 0, 0));
    R(syscall(SYS_fcntl, fd, F_GETFL));
    R(syscall(SYS_dup2, fd, 50));
    R(syscall(SYS_write, 50, "x", 1));
    R(syscall(SYS_close_range, 50, 50, 0));
    R(syscall(SYS_close, fd));
    R(syscall(SYS_close, fd));
    R(syscall(99999));
    R(syscall(SYS_getppid) > 0);
    /* Where the pipe is, may be a socket with the seventh argument's place left alone. */
    int pi[2];
    MUST(pipe(pi));
    MUST(write(pi[1], "abc", 3));
    R(syscall(SYS_splice, pi[0], 0l, pi[1], 0l, 1l, 0l));
}

CASE(aio_on_sockets)
{
    int p[2];
    char b[16] = "", c[16] = "";
    t_pair(AF_INET, SOCK_STREAM, p);
    struct aiocb rd = {.aio_fildes = p[0], .aio_buf = b, .aio_nbytes = sizeof b - 1};
    struct aiocb wr = {.aio_fildes = p[1], .aio_buf = "by aio", .aio_nbytes = 6};
    const struct aiocb *list[] = {&rd};
    R(aio_read(&rd));
    t_settle();
    R(aio_error(&rd) == EINPROGRESS);
    R(aio_write(&wr));
    R(aio_suspend(list, 1, &(struct timespec){3, 0}));
    R(aio_error(&rd));
    R(aio_return(&rd));
    puts(b);
    for (int i = 0; i < 100 && aio_error(&wr) == EINPROGRESS; i++)
        usleep(10000);
    R(aio_return(&wr));
    struct aiocb bad = {.aio_fildes = 987, .aio_buf = c, .aio_nbytes = 4};
    R(aio_read(&bad));
    for (int i = 0; i < 100 && aio_error(&bad) == EINPROGRESS; i++)
        usleep(10000);
    R(aio_error(&bad));
    struct aiocb sync = {.aio_fildes = p[0]};
    R(aio_fsync(O_SYNC, &sync));
    for (int i = 0; i < 100 && aio_error(&sync) == EINPROGRESS; i++)
        usleep(10000);
    R(aio_error(&sync));
}

extern char **environ;

CASE(streams_of_children)
{
    int p[2], status;
    char b[64] = "";
    pid_t pid;
    t_pair(AF_INET, SOCK_STREAM, p);
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, p[0], 0);
    posix_spawn_file_actions_adddup2(&fa, p[0], 1);
    posix_spawn_file_actions_addclose(&fa, p[0]);
    posix_spawn_file_actions_addclose(&fa, p[1]);
    char *args[] = {"sh", "-c", "read a b; echo \"got $a and $b\"", 0};
    R(posix_spawn(&pid, "/bin/sh", &fa, 0, args, environ));
    MUST(close(p[0]));
    MUST(write(p[1], "one two\n", 8));
    size_t n = 0;
    ssize_t got;
    while (n < sizeof b - 1 && (got = read(p[1], b + n, sizeof b - 1 - n)) > 0)
        n += (size_t)got;
    printf("%s", b);
    R(waitpid(pid, &status, 0) == pid);
    R(status);
    FILE *f = popen("cat /proc/net/dev | head -n 1", "r");
    R(f != 0);
    R(fgets(b, sizeof b, f) != 0);
    printf("%s", b);
    R(pclose(f));
    R(posix_spawn(&pid, "/nonexistent", 0, 0, args, environ));
}
