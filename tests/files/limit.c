/* RLIMIT_FSIZE: what is cut, what is refused, and SIGXFSZ. */
#include "f.h"
#include <linux/falloc.h>
#include <sys/resource.h>

static int came;

static void on(int s)
{
    (void)s;
    came++;
}

static void limit(rlim_t n)
{
    MUST(setrlimit(RLIMIT_FSIZE, &(struct rlimit){n, RLIM_INFINITY}));
}

#define T(call)                                                                                                            \
    do {                                                                                                                   \
        came = 0;                                                                                                          \
        R(call);                                                                                                           \
        if (came)                                                                                                          \
            printf("  SIGXFSZ %d\n", came);                                                                                \
    } while (0)

CASE(limit_of_size)
{
    f_enter();
    f_put("f", "0123456789");
    f_put("long", "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
                  "0123456789012345678901234567890123456789012345678901234567890123456789");
    char b[4096];
    memset(b, 'x', sizeof b);
    int fd = (int)MUST(open("f", O_RDWR)), l = (int)MUST(open("long", O_RDWR)), ap = (int)MUST(open("f", O_WRONLY | O_APPEND));
    sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = on}, 0);
    limit(100);
    struct rlimit got;
    R(getrlimit(RLIMIT_FSIZE, &got));
    printf("%ld %d\n", (long)got.rlim_cur, got.rlim_max == RLIM_INFINITY);
    T(pwrite(fd, b, 90, 0));
    T(pwrite(fd, b, 50, 90));
    T(pwrite(fd, b, 50, 99));
    T(pwrite(fd, b, 50, 100));
    T(pwrite(fd, b, 0, 100));
    T(pwrite(fd, b, 1, 200));
    T(write(ap, b, 1));
    f_stat("f");
    T(pwrite(l, b, 10, 120));
    T(pwrite(l, b, 10, 95));
    f_stat("long");
    T(pwritev(fd, (struct iovec[2]){{b, 60}, {b, 60}}, 2, 0));
    T(ftruncate(fd, 100));
    T(ftruncate(fd, 101));
    T(truncate("f", 101));
    T(truncate("f", 50));
    T(ftruncate(l, 120));
    T(ftruncate(l, 130));
    f_stat("long");
    T(fallocate(fd, 0, 0, 100));
    T(fallocate(fd, 0, 0, 101));
    T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096));
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    T(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 200));
    f_stat("f");
    int from = (int)MUST(open("long", O_RDONLY));
    MUST(ftruncate(fd, 0));
    R(sendfile(fd, from, &(off_t){0}, 120));
    T(sendfile(fd, from, &(off_t){0}, 120));
    MUST(ftruncate(fd, 0));
    T(copy_file_range(from, &(off_t){0}, fd, &(off_t){20}, 120, 0));
    T(copy_file_range(from, &(off_t){0}, fd, &(off_t){100}, 120, 0));
    int p[2];
    MUST(pipe(p));
    MUST(write(p[1], b, 500) == 500 ? 0 : -1);
    R(splice(p[0], 0, fd, &(off_t){50}, 200, 0));
    T(splice(p[0], 0, fd, &(off_t){100}, 200, 0));
    f_stat("f");
    /* Only regular files are meant. */
    T(write(p[1], b, 200));
    T(mkdir("d", 0755));
    T(symlink("012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890", "s"));
    T(setxattr("f", "user.a", b, 200, 0));
    signal(SIGXFSZ, SIG_IGN);
    T(pwrite(fd, b, 1, 100));
    T(ftruncate(fd, 101));
    /* A child has it too, and so has a program that it runs. */
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        T(pwrite(fd, b, 1, 100));
        fflush(stdout);
        signal(SIGXFSZ, SIG_DFL);
        pwrite(fd, b, 1, 100);
        _exit(0);
    }
    int st = 0;
    MUST(waitpid(pid, &st, 0));
    printf("%d\n", WIFSIGNALED(st) && WTERMSIG(st) == SIGXFSZ);
    R(system("i=0; while [ $i -lt 30 ]; do echo 0123456789; i=$((i+1)); done 2>/dev/null >out"));
    f_stat("out");
    R(system("ulimit -f; ulimit -f 1; head -c 3000 /dev/zero 2>/dev/null >out2; ulimit -f"));
    f_stat("out2");
    /* One who cannot raise it, and whose children have the same. */
    MUST(chmod(".", 0777));
    fflush(stdout);
    pid = fork();
    if (!pid) {
        MUST(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096}));
        MUST(setresgid(1000, 1000, 1000));
        MUST(setresuid(1000, 1000, 1000));
        R(system("echo hello >a; wc -c <a; head -c 5000 /dev/zero 2>/dev/null >b; wc -c <b; (cat a a >c; wc -c <c); ulimit -f"));
        fflush(stdout);
        _exit(0);
    }
    MUST(waitpid(pid, &st, 0));
    R(st);
    f_ls(".");
    limit(RLIM_INFINITY);
    T(pwrite(fd, b, 10, 200));
    limit(0);
    T(pwrite(fd, b, 10, 0));
    OK(close(open("new", O_CREAT | O_WRONLY, 0644)));
    limit(RLIM_INFINITY);
    MUST(prlimit(getpid(), RLIMIT_FSIZE, &(struct rlimit){50, 60}, &got));
    T(pwrite(fd, b, 100, 10));
    T(setrlimit(RLIMIT_FSIZE, &(struct rlimit){60, 60}));
    T(pwrite(fd, b, 100, 10));
    R(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}));
    T(pwrite(fd, b, 100, 10));
}

/* Copies within a kernel: the limit is told when the rest is tried, also where something was copied. */
CASE(limit_of_copies)
{
    f_enter();
    char b[4096];
    memset(b, 'x', sizeof b);
    f_put("f", "");
    int fd = (int)MUST(open("f", O_RDWR)), l = (int)MUST(open("long", O_RDWR | O_CREAT, 0644));
    int h = (int)MUST(open("/etc/services", O_RDONLY)), z = (int)MUST(open("/dev/zero", O_RDONLY));
    MUST(write(l, b, 4096));
    sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = on}, 0);
    limit(100);
    for (int k = 0; k < 3; k++) {
        int from = k == 0 ? l : k == 1 ? h : z;
        printf("from %d\n", k);
        lseek(fd, 0, SEEK_SET);
        lseek(from, 0, SEEK_SET);
        T(sendfile(fd, from, 0, 120));
        T(sendfile(fd, from, 0, 120));
        T(sendfile(fd, from, 0, 0));
        lseek(fd, 99, SEEK_SET);
        T(sendfile(fd, from, 0, 1));
        T(sendfile(fd, from, 0, 1));
        lseek(fd, 0, SEEK_SET);
        if (k < 2) {
            T(sendfile(fd, from, &(off_t){1000}, 120));
            T(sendfile(fd, from, &(off_t){1000}, 120));
            T(copy_file_range(from, &(off_t){0}, fd, &(off_t){100}, 10, 0));
            T(copy_file_range(from, &(off_t){0}, fd, &(off_t){99}, 10, 0));
            lseek(fd, 100, SEEK_SET);
            T(copy_file_range(from, &(off_t){0}, fd, 0, 10, 0));
            T(copy_file_range(from, &(off_t){0}, fd, 0, 0, 0));
            T(copy_file_range(from, &(off_t){100000000}, fd, 0, 10, 0));
        }
        int p[2];
        MUST(pipe(p));
        MUST(write(p[1], b, 500) == 500 ? 0 : -1);
        lseek(fd, 0, SEEK_SET);
        T(splice(p[0], 0, fd, 0, 200, 0));
        T(splice(p[0], 0, fd, 0, 200, 0));
        T(splice(p[0], 0, fd, &(off_t){100}, 200, 0));
        T(splice(p[0], 0, fd, &(off_t){99}, 200, 0));
        R(read(p[0], b, 4096));
        memset(b, 'x', sizeof b);
        T(write(fd, b, 10));
        T(sendfile(p[1], fd, &(off_t){0}, 10));
        close(p[0]);
        close(p[1]);
    }
}
