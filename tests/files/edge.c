/* The edges: the longest links and files, files of others and ones that are gone, flags of single calls, FIFOs, long directories. */
#include "f.h"
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/file.h>
CASE(edge_symlinks)
{
    f_enter();
    char t[4100], b[4200], n[64];
    static const int lens[] = {1, 59, 60, 61, 62, 100, 255, 1000, 4000, 4094, 4095};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        memset(t, 't', sizeof t);
        t[lens[i]] = 0;
        snprintf(n, sizeof n, "s%d", lens[i]);
        RN(n, symlink(t, n));
        struct stat s;
        MUST(lstat(n, &s));
        printf("%ld %ld %d\n", (long)s.st_size, (long)s.st_blocks, (int)readlink(n, b, sizeof b));
    }
}
CASE(edge_links)
{
    f_enter();
    f_put("f", "x");
    int n = 1, e = 0;
    char name[32];
    for (int d = 0; d < 66 && !e; d++) {
        snprintf(name, sizeof name, "d%d", d);
        mkdir(name, 0755);
        for (int i = 0; i < 1000; i++) {
            snprintf(name, sizeof name, "d%d/%d", d, i);
            if (link("f", name)) {
                e = errno;
                break;
            }
            n++;
        }
    }
    printf("%d %s\n", n, t_errno(e));
    struct stat s;
    stat("f", &s);
    R(s.st_nlink);
    R(rename("f", "g"));
    R(link("g", "h"));
    R(unlink("d0/0"));
    R(link("g", "h"));
}
CASE(edge_large)
{
    f_enter();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    const off_t max = 4096L * 0xffffffffL;
    char b[8] = "";
    R(pwrite(fd, "x", 1, max - 1));
    R(pwrite(fd, "x", 1, max));
    R(pwrite(fd, "xyz", 3, max - 2));
    R(pwrite(fd, "x", 1, max + 1));
    f_stat("f");
    R(ftruncate(fd, max));
    R(ftruncate(fd, max + 1));
    R(ftruncate(fd, max - 5));
    R(lseek(fd, max, SEEK_SET));
    R(lseek(fd, max + 1, SEEK_SET));
    R(lseek(fd, 0x7fffffffffffffff, SEEK_SET));
    R(lseek(fd, 0x7fffffffffffffff, SEEK_END));
    R(lseek(fd, -(max), SEEK_END));
    R(lseek(fd, 0, SEEK_END));
    R(read(fd, b, 4));
    R(pread(fd, b, 4, max));
    R(pread(fd, b, 4, 0x7fffffffffffffff));
    R(pread(fd, b, 4, 0x7ffffffffffffffc));
    R(pwrite(fd, b, 4, 0x7ffffffffffffffc));
    R(pwrite(fd, b, 4, 0x7ffffffffffffffb));
    R(fallocate(fd, FALLOC_FL_KEEP_SIZE, max, 1));
    R(fallocate(fd, FALLOC_FL_KEEP_SIZE, max - 1, 1));
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, max, 4096));
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 0x7fffffffffffffff));
    R(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
    R(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 8192));
    R(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 1L << 43));
    f_stat("f");
    f_map("f", fd);
    R(ftruncate(fd, 0));
    for (int i = 0; i < 5; i++)
        MUST(pwrite(fd, "data", 4, 1L << (12 + 4 * i)));
    f_map("f", fd);
    R(lseek(fd, 4095, SEEK_DATA));
    R(lseek(fd, 4096, SEEK_DATA));
    R(lseek(fd, 4099, SEEK_HOLE));
    R(lseek(fd, 1L << 40, SEEK_DATA));
    R(lseek(fd, -4, SEEK_HOLE));
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
    R(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 65536, 8192));
    R(fallocate(fd, FALLOC_FL_ZERO_RANGE, 100, 50));
    f_map("f", fd);
    R(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 8192, 4096));
    f_map("f", fd);
    R(fallocate(fd, FALLOC_FL_INSERT_RANGE, 12288, 4096));
    f_map("f", fd);
    int ap = (int)MUST(open("f", O_RDWR | O_APPEND));
    R(fallocate(ap, 0, 0, 100));
    R(fallocate(ap, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100));
    R(fallocate(ap, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
}
static void other(void)
{
    R(open("ro", O_RDONLY | O_TRUNC));
    R(open("ro", O_WRONLY | O_CREAT, 0644));
    R(open("wo", O_RDONLY | O_CREAT, 0644));
    OK(open("wo", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    R(open("st/f", O_WRONLY | O_CREAT, 0644));
    R(open("st/f", O_RDONLY | O_CREAT, 0644) >= 0);
    R(open("st/n", O_WRONLY | O_CREAT | O_EXCL, 0) >= 0);
    R(open("st/n", O_WRONLY));
    R(open("st/p", O_RDWR | O_CREAT | O_NONBLOCK, 0644));
    R(truncate("wo", 3));
    R(truncate("ro", 3));
    R(mkdir("d/x", 0755));
    R(mkdir("d/sub", 0755));
    R(rmdir("d/sub"));
    R(unlink("d/none"));
    R(rename("d/sub", "d/sub"));
    R(rename("d/sub", "st/sub"));
    R(rename("none", "d/y"));
    R(symlink("x", "d/s"));
    R(mkfifo("st/own", 0600));
    R(mknod("st/c", S_IFCHR | 0600, 0x103));
    R(mknod("st/w", S_IFCHR | 0600, 0));
    R(mknod("st/sock", S_IFSOCK | 0600, 0));
    R(syscall(SYS_renameat2, AT_FDCWD, "st/own", AT_FDCWD, "st/own2", RENAME_WHITEOUT));
    R(access("d/sub", R_OK | W_OK | X_OK));
    R(access("xonly", X_OK));
    R(access("ro", R_OK));
    R(chdir("nox"));
    R(open("nox", O_RDONLY | O_DIRECTORY) >= 0);
    R(open("nox/f", O_RDONLY));
    R(open("nor", O_RDONLY | O_DIRECTORY));
    R(open("nor", O_PATH | O_DIRECTORY) >= 0);
    R(chdir("nor"));
    R(open("f", O_RDONLY) >= 0);
    R(chdir("../none"));
    R(utimensat(AT_FDCWD, "../ro", (struct timespec[2]){{0, UTIME_NOW}, {0, UTIME_OMIT}}, 0));
    R(utimensat(AT_FDCWD, "../wo", (struct timespec[2]){{0, UTIME_NOW}, {0, UTIME_NOW}}, 0));
    R(utimensat(AT_FDCWD, "../wo", (struct timespec[2]){{0, UTIME_NOW}, {5, 0}}, 0));
    R(fchmodat(AT_FDCWD, "../own", 07777, 0));
    f_stat("../own");
    R(chmod("../st", 0777));
    R(flock(open("../ro", O_RDONLY), LOCK_EX | LOCK_NB));
    R(open("../own", O_RDONLY | O_NOATIME) >= 0);
    R(open("../ro", O_RDONLY | O_NOATIME));
}
CASE(edge_others)
{
    f_enter();
    chmod(".", 0755);
    f_put("ro", "x");
    f_put("wo", "x");
    chmod("wo", 0222);
    f_put("own", "x");
    chown("own", 1000, 1000);
    f_put("xonly", "x");
    chmod("xonly", 0111);
    mkdir("st", 0);
    chmod("st", 01777);
    f_put("st/f", "x");
    mkfifo("st/p", 0600);
    mkdir("d", 0755);
    mkdir("d/sub", 0777);
    mkdir("nox", 0);
    chmod("nox", 0744);
    f_put("nox/f", "x");
    mkdir("nor", 0);
    chmod("nor", 0711);
    f_put("nor/f", "x");
    f_as(1000, 1000, other);
    R(access("xonly", R_OK));
    chmod("xonly", 0644);
    R(access("xonly", X_OK));
    R(access("nor", X_OK));
    chmod("nor", 0);
    R(access("nor", X_OK));
    f_ls("st");
}
CASE(edge_deleted)
{
    f_enter();
    f_put("f", "content");
    int fd = (int)MUST(open("f", O_RDWR));
    char p[64], b[256];
    unlink("f");
    snprintf(p, sizeof p, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(p, b, sizeof b);
    printf("%.*s\n", n > 9 ? 9 : 0, b + n - 9);
    R(link(p, "g"));
    R(linkat(AT_FDCWD, p, AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
    R(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH));
    int again = (int)OK(open(p, O_RDONLY));
    R(read(again, b, 100));
    R(fchmod(fd, 0600));
    R(fchown(fd, 1, 1));
    R(ftruncate(fd, 100));
    R(fsetxattr(fd, "user.a", "1", 1, 0));
    R(futimens(fd, 0));
    R(flock(fd, LOCK_EX | LOCK_NB));
    R(fallocate(fd, 0, 0, 10000));
    struct stat s;
    fstat(fd, &s);
    printf("%o %u %ld %lu\n", s.st_mode, s.st_uid, (long)s.st_size, (unsigned long)s.st_nlink);
    mkdir("d", 0755);
    mkdir("d/e", 0755);
    int d = (int)MUST(open("d", O_RDONLY)), e = (int)MUST(open("d/e", O_RDONLY));
    rmdir("d/e");
    R(openat(e, "x", O_CREAT | O_RDWR, 0644));
    R(mkdirat(e, "x", 0755));
    R(faccessat(e, ".", F_OK, 0));
    R(faccessat(e, "..", F_OK, 0));
    R(faccessat(e, "../e", F_OK, 0));
    R(symlinkat("x", e, "s"));
    R(renameat(d, ".", AT_FDCWD, "z"));
    R(linkat(fd, "", e, "l", AT_EMPTY_PATH));
    R(fchmod(e, 0700));
    R(fsync(e));
    R(getdents64(e, b, sizeof b));
    fstat(e, &s);
    R(s.st_nlink);
    R(rename("d", "d2"));
    R(faccessat(e, "..", F_OK, 0));
    R(fchdir(e));
    R(access("../", F_OK));
    R(mkdir("n", 0755));
    R(chdir(".."));
    R(syscall(SYS_getcwd, b, sizeof b) > 0);
}
CASE(edge_flags)
{
    f_enter();
    f_put("f", "0123456789");
    int fd = (int)MUST(open("f", O_RDWR));
    char b[16];
    struct iovec v = {b, 10};
    R(preadv2(fd, &v, 1, 0, RWF_NOWAIT));
    R(preadv2(fd, &v, 1, 10, RWF_NOWAIT));
    R(pwritev2(fd, &v, 1, 0, RWF_NOWAIT) >= -1);
    int ap = (int)MUST(open("f", O_RDWR | O_APPEND));
    R(pwritev2(ap, &v, 1, 2, 0x20));
    R(pwritev2(ap, &v, 1, 2, 0x30));
    R(pwritev2(ap, &v, 1, 2, 0));
    f_stat("f");
    R(preadv2(fd, &v, 1, 0, 0x20));
    R(preadv2(fd, &v, 1, 0, 0x40));
    R(pwritev2(fd, &v, 1, 0, 0x20));
    R(pwritev2(99, &v, 1, 0, 0x1000));
    R(preadv2(fd, &v, 1, 0, 0x1000));
    R(preadv2(fd, &v, -1, 0, 0));
    R(preadv2(99, &v, 1, 0, 0));
    R(readv(fd, (void *)8, 1));
    R(readv(fd, &v, 0));
    v.iov_len = (size_t)-1;
    R(readv(fd, &v, 1));
    uint64_t hint = 2, got = 9;
    R(fcntl(fd, F_SET_RW_HINT, &hint));
    hint = 6;
    R(fcntl(fd, F_SET_RW_HINT, &hint));
    R(fcntl(fd, F_SET_RW_HINT, 8));
    R(fcntl(fd, F_GET_RW_HINT, &got));
    printf("%d\n", (int)got);
    R(fcntl(fd, F_GETSIG));
    R(fcntl(fd, F_GETOWN));
    R(fcntl(fd, F_GETPIPE_SZ));
    R(fcntl(fd, F_GET_SEALS));
    R(fcntl(fd, F_ADD_SEALS, 1));
    R(fcntl(fd, F_NOTIFY, DN_CREATE));
    R(fcntl(fd, F_GETLEASE));
    R(fcntl(fd, 9999, 0));
    R(fcntl(fd, F_DUPFD, 100000000));
    R(fcntl(fd, F_SETFL, O_RDWR | O_CREAT | O_TRUNC | O_NONBLOCK | O_SYNC));
    R(fcntl(fd, F_GETFL) & ~0100000);
}
CASE(edge_fifos)
{
    f_enter();
    mkfifo("p", 0644);
    struct stat s;
    R(open("p", O_WRONLY | O_NONBLOCK));
    int r = (int)OK(open("p", O_RDONLY | O_NONBLOCK)), w = (int)OK(open("p", O_WRONLY | O_NONBLOCK));
    char b[70000];
    memset(b, 'x', sizeof b);
    R(write(w, b, 65536));
    R(write(w, b, 1));
    fstat(r, &s);
    printf("%o %ld %lu\n", s.st_mode, (long)s.st_size, (unsigned long)s.st_nlink);
    R(read(r, b, 100));
    R(lseek(r, 0, SEEK_SET));
    R(pread(r, b, 1, 0));
    R(ftruncate(w, 0));
    R(fallocate(w, 0, 0, 1));
    R(truncate("p", 0));
    R(fchmod(w, 0600));
    R(fsync(w));
    f_stat("p");
    R(rename("p", "q"));
    R(unlink("q"));
    R(read(r, b, 65536));
    close(r);
    signal(SIGPIPE, SIG_IGN);
    R(write(w, b, 10));
    R(fcntl(w, F_GETPIPE_SZ));
    R(fcntl(w, F_SETPIPE_SZ, 100000));
    R(flock(w, LOCK_EX));
    struct flock lk = {.l_type = F_WRLCK};
    R(fcntl(w, F_SETLK, &lk));
}
CASE(edge_directories)
{
    f_enter();
    mkdir("a", 0755);
    mkdir("b", 0755);
    for (int i = 0; i < 300; i++) {
        char n[300];
        memset(n, 'n', 250);
        snprintf(n + 240, 20, "%09d", i);
        snprintf(n + 200, 100, "%d", i);
        char p[400];
        snprintf(p, sizeof p, "a/%s", n);
        close((int)MUST(open(p, O_CREAT | O_WRONLY, 0644)));
    }
    f_ls("a");
    struct stat s;
    stat("a", &s);
    R(s.st_size >= 4096);
    DIR *d = opendir("a");
    long pos[400];
    char names[400][64];
    int n = 0;
    struct dirent *e;
    pos[0] = telldir(d);
    while ((e = readdir(d))) {
        snprintf(names[n], 64, "%.60s", e->d_name);
        pos[++n] = telldir(d);
    }
    R(n);
    int wrong = 0;
    for (int i = n - 1; i >= 0; i -= 7) {
        seekdir(d, pos[i]);
        e = readdir(d);
        if (!e || strncmp(e->d_name, names[i], 59))
            wrong++;
    }
    R(wrong);
    /* New names while it is read, in other places. */
    rewinddir(d);
    int count = 0;
    while ((e = readdir(d))) {
        count++;
        if (count % 10 == 0) {
            char p[64];
            snprintf(p, sizeof p, "b/%d", count);
            close(open(p, O_CREAT | O_WRONLY, 0644));
            char q[300];
            snprintf(q, sizeof q, "a/%s", e->d_name);
            if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
                rename(q, p);
        }
    }
    R(count);
    closedir(d);
    int fd = (int)MUST(open("a", O_RDONLY));
    R(lseek(fd, -1, SEEK_SET));
    R(lseek(fd, 0, SEEK_CUR));
    R(lseek(fd, 5, 7));
    char b[100];
    R(syscall(SYS_getdents64, fd, b, 10));
    R(syscall(SYS_getdents64, fd, b, 0));
    R(syscall(SYS_getdents, fd, b, 10));
    R(syscall(SYS_getdents, open("/dev/null", O_RDONLY), b, 10));
    mkdir("few", 0755);
    mkdir("few/d", 0755);
    f_put("few/file", "x");
    int few = (int)MUST(open("few", O_RDONLY));
    char old[200];
    long got = MUST(syscall(SYS_getdents, few, old, sizeof old));
    R(got);
    for (const char *name = "d"; name; name = *name == 'd' ? "file" : 0)
        for (long at = 0; at < got; at += *(uint16_t *)(old + at + 16))
            if (!strcmp(old + at + 18, name))
                printf("%s %d\n", name, old[at + *(uint16_t *)(old + at + 16) - 1]);
    R(read(fd, b, 0));
    R(rmdir("a"));
}
static void *thr(void *a)
{
    (void)a;
    R(syscall(SYS_setfsuid, 1000));
    R(open("mine", O_CREAT | O_WRONLY, 0600) >= 0);
    R(open("secret", O_RDONLY));
    f_stat("mine");
    return 0;
}
CASE(edge_fsuid)
{
    f_enter();
    chmod(".", 0777);
    f_put("secret", "x");
    chmod("secret", 0600);
    pthread_t t;
    pthread_create(&t, 0, thr, 0);
    pthread_join(t, 0);
    R(open("secret", O_RDONLY) >= 0);
    R(syscall(SYS_setfsgid, 77));
    close(open("g", O_CREAT | O_WRONLY, 0600));
    f_stat("g");
    R(syscall(SYS_setfsgid, -1));
}
