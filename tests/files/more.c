/* openat2, O_DIRECT, statx, times, copies, locks, exchanges: what the other cases leave out. */
#include "f.h"
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
int statx(int, const char *, int, unsigned, struct statx *);

static long o2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return syscall(SYS_openat2, dir, path, &how, sizeof how);
}
#define TRY(d, path, flags, resolve) RN(#d " " path " " #flags " " #resolve, o2(d, path, flags, (flags) & (O_CREAT) ? 0644 : 0, resolve) >= 0 ? 0 : -1)

CASE(more_openat2)
{
    f_enter();
    mkdir("r", 0755);
    mkdir("r/a", 0755);
    f_put("r/a/f", "x");
    f_put("top", "x");
    symlink("/a/f", "r/abs");
    symlink("../../top", "r/out");
    symlink("a", "r/dirlink");
    symlink("/", "r/rootlink");
    symlink("/..", "r/rootup");
    symlink("a/../a/f", "r/updown");
    symlink("/proc/self/fd/0", "r/magic");
    int r = (int)MUST(open("r", O_PATH)), a = (int)MUST(open("r/a", O_RDONLY));
    TRY(r, "abs", O_RDONLY, RESOLVE_IN_ROOT);
    TRY(r, "abs", O_RDONLY, RESOLVE_BENEATH);
    TRY(r, "out", O_RDONLY, 0);
    TRY(r, "out", O_RDONLY, RESOLVE_IN_ROOT);
    TRY(r, "out", O_RDONLY, RESOLVE_BENEATH);
    TRY(r, "rootlink", O_RDONLY, RESOLVE_IN_ROOT);
    TRY(r, "rootlink/a/f", O_RDONLY, RESOLVE_IN_ROOT);
    TRY(r, "rootup/a/f", O_RDONLY, RESOLVE_IN_ROOT);
    TRY(r, "rootlink", O_RDONLY, RESOLVE_BENEATH);
    TRY(r, "updown", O_RDONLY, RESOLVE_BENEATH);
    TRY(r, "updown", O_RDONLY, RESOLVE_NO_SYMLINKS);
    TRY(r, "dirlink/f", O_RDONLY, RESOLVE_NO_SYMLINKS);
    TRY(r, "dirlink", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    TRY(r, "dirlink/", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    TRY(r, "dirlink", O_RDONLY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    TRY(r, "a/new", O_CREAT | O_RDWR, RESOLVE_BENEATH);
    TRY(r, "abs2", O_CREAT | O_RDWR, RESOLVE_IN_ROOT);
    TRY(r, "/abs3", O_CREAT | O_RDWR, RESOLVE_IN_ROOT);
    TRY(r, "/../../abs4", O_CREAT | O_RDWR | O_EXCL, RESOLVE_IN_ROOT);
    TRY(a, "..", O_RDONLY, RESOLVE_IN_ROOT);
    TRY(a, "../a", O_RDONLY, RESOLVE_IN_ROOT);
    TRY(a, "../..", O_RDONLY, RESOLVE_BENEATH);
    TRY(a, "f/", O_RDONLY, RESOLVE_BENEATH);
    TRY(a, "f/..", O_RDONLY, RESOLVE_BENEATH);
    TRY(a, "./f", O_RDONLY, RESOLVE_BENEATH);
    TRY(a, "/f", O_RDONLY, RESOLVE_BENEATH);
    TRY(r, "a/f", O_RDONLY, RESOLVE_CACHED);
    TRY(r, "a/nothing", O_RDONLY, RESOLVE_CACHED);
    TRY(r, "a/f", O_RDWR | O_TRUNC, RESOLVE_CACHED);
    TRY(r, "a/c", O_RDWR | O_CREAT, RESOLVE_CACHED);
    TRY(r, "a", O_RDWR | O_TMPFILE, RESOLVE_CACHED);
    TRY(r, "a/f", O_RDONLY, RESOLVE_NO_XDEV);
    TRY(r, "magic", O_RDONLY, RESOLVE_NO_MAGICLINKS);
    TRY(AT_FDCWD, "r/a/f", O_RDONLY, RESOLVE_BENEATH);
    TRY(AT_FDCWD, "r/../top", O_RDONLY, RESOLVE_BENEATH);
    TRY(AT_FDCWD, "..", O_RDONLY, RESOLVE_BENEATH);
    TRY(99, "r/a/f", O_RDONLY, RESOLVE_BENEATH);
    TRY(99, "/r/a/f", O_RDONLY, RESOLVE_IN_ROOT);
    TRY(99, "/r/a/f", O_RDONLY, RESOLVE_BENEATH);
    RN("mode", o2(AT_FDCWD, "x", O_CREAT | O_RDWR, 010000, 0));
    RN("mode with tmpfile", o2(AT_FDCWD, ".", O_TMPFILE | O_RDWR, 07777, 0) >= 0);
    RN("path with others", o2(AT_FDCWD, "top", O_PATH | O_RDWR, 0, 0) >= 0);
    RN("path creat", o2(AT_FDCWD, "top", O_PATH | O_CREAT, 0644, 0));
    RN("path cloexec", o2(AT_FDCWD, "top", O_PATH | O_CLOEXEC, 0, 0) >= 0);
    RN("directory creat", o2(AT_FDCWD, "x", O_DIRECTORY | O_CREAT, 0644, 0));
    RN("unknown", o2(AT_FDCWD, "top", 1u << 30, 0, 0));
    f_ls("r");
    f_ls("r/a");
}

CASE(more_direct)
{
    f_enter();
    static char buf[65536] __attribute__((aligned(4096)));
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
    memset(buf, 'a', sizeof buf);
    R(pwrite(fd, buf, 4096, 0));
    R(pwrite(fd, buf, 512, 4096));
    R(pwrite(fd, buf, 511, 0));
    R(pwrite(fd, buf + 512, 512, 512));
    R(pwrite(fd, buf, 512, 100));
    R(pread(fd, buf, 4096, 0));
    R(pread(fd, buf, 100, 0));
    R(pread(fd, buf, 4096, 100));
    R(pread(fd, buf + 1, 4096, 0));
    R(pread(fd, buf, 8192, 4096));
    R(pread(fd, buf, 4096, 8192));
    R(pread(fd, buf, 0, 100));
    R(writev(fd, (struct iovec[2]){{buf, 512}, {buf + 8192, 512}}, 2));
    R(writev(fd, (struct iovec[2]){{buf, 100}, {buf + 8192, 412}}, 2));
    R(lseek(fd, 0, SEEK_CUR));
    R(ftruncate(fd, 1000));
    R(pread(fd, buf, 4096, 0));
    R(pwrite(fd, buf, 65536, 0));
    struct statx x;
    R(statx(fd, "", AT_EMPTY_PATH, 0x2000, &x));
    printf("alignment %d\n", (x.stx_mask & 0x2000) != 0);
    R(statx(AT_FDCWD, ".", 0, 0x2000, &x));
    printf("alignment %d\n", (x.stx_mask & 0x2000) != 0);
    R(open(".", O_RDONLY | O_DIRECT) >= 0);
    mkfifo("p", 0644);
    R(open("p", O_RDWR | O_DIRECT) >= 0);
}

CASE(more_statx)
{
    f_enter();
    f_put("f", "x");
    mkdir("d", 0755);
    struct statx x, y;
    R(statx(AT_FDCWD, "f", 0, STATX_ALL | STATX_MNT_ID, &x));
    printf("%x attributes %llx mask %llx\n", x.stx_mask, x.stx_attributes, x.stx_attributes_mask & 0x3874);
    R(statx(AT_FDCWD, "d", 0, STATX_ALL | STATX_MNT_ID, &y));
    printf("%x attributes %llx same mount %d\n", y.stx_mask, y.stx_attributes, x.stx_mnt_id == y.stx_mnt_id);
    R(statx(AT_FDCWD, getenv("T_DIR"), 0, STATX_ALL | STATX_MNT_ID, &y));
    printf("attributes %llx mode %o nlink %u ino %llu\n", y.stx_attributes, y.stx_mode, y.stx_nlink, y.stx_ino);
    R(statx(AT_FDCWD, "f", 0, STATX_TYPE, &x));
    printf("%x\n", x.stx_mode);
    R(statx(AT_FDCWD, "f", 0, 0x7fffffff, &x));
    printf("%x\n", x.stx_mask & STATX_ALL);
    struct stat s;
    MUST(stat("f", &s));
    MUST(statx(AT_FDCWD, "f", 0, STATX_ALL, &x));
    R(s.st_mtim.tv_sec == x.stx_mtime.tv_sec && s.st_mtim.tv_nsec == x.stx_mtime.tv_nsec);
    R(x.stx_btime.tv_sec == x.stx_ctime.tv_sec);
    R(major(s.st_dev) == x.stx_dev_major && minor(s.st_dev) == x.stx_dev_minor);
    printf("%u %llu %ld %ld\n", x.stx_blksize, x.stx_blocks, (long)s.st_blksize, (long)s.st_blocks);
    /* Birth stays. */
    usleep(20000);
    chmod("f", 0600);
    f_put("f", "more");
    MUST(statx(AT_FDCWD, "f", 0, STATX_ALL, &y));
    R(x.stx_btime.tv_nsec == y.stx_btime.tv_nsec);
    R(x.stx_ctime.tv_nsec != y.stx_ctime.tv_nsec);
    /* By null and empty paths. */
    int fd = (int)MUST(open("f", O_RDONLY));
    R(statx(fd, 0, AT_EMPTY_PATH, STATX_ALL, &y));
    R(statx(fd, 0, 0, STATX_ALL, &y));
    R(fstatat(fd, 0, &s, AT_EMPTY_PATH));
    R(fstatat(AT_FDCWD, "f", &s, 0x800));
    R(fstatat(AT_FDCWD, "f", &s, 0x10));
}

CASE(more_times)
{
    f_enter();
    f_put("f", "x");
    struct stat s, t;
    struct timespec ts[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    R(utimensat(AT_FDCWD, "f", ts, 0));
    ts[0].tv_nsec = UTIME_OMIT;
    R(utimensat(AT_FDCWD, "f", ts, 0));
    ts[1] = (struct timespec){55, 66};
    R(utimensat(AT_FDCWD, "f", ts, 0));
    MUST(stat("f", &s));
    printf("%ld %ld\n", s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    ts[1] = (struct timespec){12345, UTIME_NOW};
    ts[0] = (struct timespec){99, 98};
    R(utimensat(AT_FDCWD, "f", ts, 0));
    MUST(stat("f", &s));
    printf("%ld %ld %d\n", s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec > 1000000000);
    int o = (int)MUST(open("f", O_PATH));
    R(futimens(o, 0));
    R(utimensat(o, "", ts, AT_EMPTY_PATH));
    R(utimensat(o, "", ts, 0));
    R(utimensat(AT_FDCWD, "", ts, AT_EMPTY_PATH));
    R(utimensat(AT_FDCWD, (char *)8, ts, 0));
    R(utimensat(AT_FDCWD, "f", (struct timespec *)8, 0));
    R(utimensat(AT_FDCWD, "f/", ts, 0));
    /* Reading moves the access time as relatime says. */
    f_age("f");
    char b[8];
    int fd = (int)MUST(open("f", O_RDONLY));
    MUST(read(fd, b, 1));
    MUST(stat("f", &s));
    R(s.st_atim.tv_sec > 100000);
    MUST(read(fd, b, 1));
    MUST(stat("f", &t));
    MUST(utimensat(AT_FDCWD, "f", (struct timespec[2]){{time(0) - 1000, 0}, {2000, 0}}, 0));
    lseek(fd, 0, SEEK_SET);
    MUST(stat("f", &s));
    MUST(read(fd, b, 1));
    MUST(stat("f", &t));
    R(s.st_atim.tv_sec == t.st_atim.tv_sec);
    MUST(utimensat(AT_FDCWD, "f", (struct timespec[2]){{time(0) - 90000, 0}, {2000, 0}}, 0));
    lseek(fd, 0, SEEK_SET);
    MUST(stat("f", &s));
    MUST(read(fd, b, 1));
    MUST(stat("f", &t));
    R(s.st_atim.tv_sec == t.st_atim.tv_sec);
    int n = (int)MUST(open("f", O_RDONLY | O_NOATIME));
    f_age("f");
    MUST(read(n, b, 1));
    MUST(stat("f", &t));
    R(t.st_atim.tv_sec);
    mkdir("d", 0755);
    f_age("d");
    f_ls("d");
    MUST(stat("d", &t));
    R(t.st_atim.tv_sec > 2000);
    symlink("f", "l");
    f_age("l");
    MUST(lstat("l", &t));
    R(t.st_atim.tv_sec);
    readlink("l", b, 8);
    MUST(lstat("l", &t));
    R(t.st_atim.tv_sec > 2000);
    f_age("l");
    close((int)MUST(open("l", O_RDONLY)));
    MUST(lstat("l", &t));
    R(t.st_atim.tv_sec > 2000);
    /* Directories' times. */
    f_age("d");
    f_put("d/x", "x");
    R(f_touched("d"));
    f_age("d");
    f_put("d/x", "y");
    chmod("d/x", 0600);
    R(f_touched("d"));
    unlink("d/x");
    R(f_touched("d"));
}

CASE(more_copies)
{
    f_enter();
    int a = (int)MUST(open("a", O_RDWR | O_CREAT, 0644)), b = (int)MUST(open("b", O_RDWR | O_CREAT, 0644));
    char buf[200000];
    memset(buf, 'q', sizeof buf);
    MUST(ftruncate(a, 1 << 20));
    MUST(pwrite(a, buf, 100000, 300000));
    f_map("a", a);
    off_t i = 0, o = 0;
    long total = 0, n;
    while ((n = copy_file_range(a, &i, b, &o, 1 << 20, 0)) > 0)
        total += n;
    printf("%ld %ld\n", total, n);
    f_stat("b");
    R(copy_file_range(a, &(off_t){1 << 20}, b, &(off_t){0}, 10, 0));
    R(copy_file_range(a, &(off_t){(1 << 20) + 5}, b, &(off_t){0}, 10, 0));
    R(copy_file_range(a, &(off_t){0}, b, &(off_t){0}, 0, 0));
    R(copy_file_range(a, &(off_t){0}, b, &(off_t){0}, 10, 1));
    R(copy_file_range(a, &(off_t){0}, a, &(off_t){5}, 10, 0));
    R(copy_file_range(a, &(off_t){0}, a, &(off_t){10}, 10, 0));
    R(copy_file_range(a, &(off_t){0}, b, &(off_t){1L << 62}, 1L << 62, 0));
    R(copy_file_range(a, &(off_t){0}, b, &(off_t){0x7fffffffffffffff}, 10, 0));
    R(copy_file_range(a, &(off_t){0}, b, &(off_t){1L << 44}, 10, 0));
    R(copy_file_range(a, (off_t *)8, b, 0, 10, 0));
    int r = (int)MUST(open("a", O_RDONLY)), w = (int)MUST(open("b", O_WRONLY)), p = (int)MUST(open("a", O_PATH));
    R(copy_file_range(w, 0, b, 0, 10, 0));
    R(copy_file_range(r, 0, r, 0, 10, 0));
    R(copy_file_range(p, 0, b, 0, 10, 0));
    R(copy_file_range(r, 0, b, 0, -1, 0));
    R(sync_file_range(b, 0, 1L << 62, 7));
    R(sync_file_range(b, 1L << 62, 1L << 62, 7));
    R(sync_file_range(b, 1L << 62, 0x7fffffffffffffff, 7));
    R(sync_file_range(p, 0, 1, 7));
    R(sync_file_range(r, 0, 1, 7));
    R(sync_file_range(open(".", O_RDONLY), 0, 1, 7));
    mkfifo("fifo", 0644);
    R(sync_file_range(open("fifo", O_RDWR), 0, 1, 7));
}

static int lockfd;
static void *lock_thread(void *arg)
{
    struct flock l = {.l_type = F_WRLCK, .l_start = (long)arg, .l_len = 1};
    return (void *)(long)(fcntl(lockfd, F_SETLKW, &l) ? errno : 0);
}

/* Prints all locks of a file, as another process sees them. */
static void show(int fd, const char *what)
{
    pid_t me = getpid();
    F_CHILD({
        printf("%s:", what);
        struct flock l = {0};
        do {
            l = (struct flock){.l_type = F_WRLCK, .l_start = l.l_start + l.l_len};
            if (fcntl(fd, F_GETLK, &l) || l.l_type == F_UNLCK)
                break;
            printf(" %s %ld+%ld%s", l.l_type == F_RDLCK ? "r" : "w", (long)l.l_start, (long)l.l_len, l.l_pid == me ? "" : "?");
        } while (l.l_len);
        printf("\n");
    });
}

CASE(more_locks)
{
    f_enter();
    f_put("f", "0123456789");
    int fd = lockfd = (int)MUST(open("f", O_RDWR));
    R(lk(fd, F_SETLK, F_WRLCK, 0, 100));
    R(lk(fd, F_SETLK, F_RDLCK, 10, 10));
    show(fd, "split");
    R(lk(fd, F_SETLK, F_UNLCK, 15, 50));
    show(fd, "cut");
    R(lk(fd, F_SETLK, F_WRLCK, 15, 50));
    show(fd, "joined");
    R(lk(fd, F_SETLK, F_RDLCK, 0, 0));
    show(fd, "all");
    R(lk(fd, F_SETLK, F_UNLCK, 5, 0));
    show(fd, "first");
    R(lk(fd, F_SETLK, F_WRLCK, 0x7fffffffffffffff, 1));
    R(lk(fd, F_SETLK, F_WRLCK, 0x7fffffffffffffff, 2));
    R(lk(fd, F_SETLK, F_WRLCK, 0x7ffffffffffffffe, 0));
    show(fd, "last");
    R(lk(fd, F_SETLK, F_WRLCK, 50, -20));
    show(fd, "negative");
    R(lk(fd, F_SETLK, F_UNLCK, 0, 0));
    /* Threads of one process are one owner. */
    R(lk(fd, F_SETLK, F_WRLCK, 0, 1));
    pthread_t t;
    void *got;
    pthread_create(&t, 0, lock_thread, (void *)0);
    pthread_join(t, &got);
    R((long)got);
    /* A circle of three. */
    pid_t a = f_holds_and_wants(fd, 1, F_SETLKW, 0), b = f_holds_and_wants(fd, 2, F_SETLKW, 1);
    usleep(100000);
    R(lk(fd, F_SETLKW, F_WRLCK, 2, 1));
    R(lk(fd, F_SETLKW, F_WRLCK, 3, 1));
    R(lk(fd, F_SETLK, F_UNLCK, 0, 0));
    int st;
    waitpid(a, &st, 0);
    R(st);
    waitpid(b, &st, 0);
    R(st);
    /* Readers and a writer that waits; OFD locks do not see circles. */
    int o1 = (int)MUST(open("f", O_RDWR)), o2 = (int)MUST(open("f", O_RDWR));
    R(lk(o1, F_OFD_SETLK, F_RDLCK, 0, 10));
    R(lk(o2, F_OFD_SETLK, F_RDLCK, 5, 10));
    R(lk(o1, F_OFD_SETLK, F_WRLCK, 0, 4));
    R(lk(o1, F_OFD_SETLK, F_WRLCK, 0, 6));
    R(lk(fd, F_SETLK, F_RDLCK, 0, 2));
    R(lk(fd, F_SETLK, F_RDLCK, 4, 2));
    pid_t c = fork();
    if (!c) {
        long r = lk(o1, F_OFD_SETLKW, F_WRLCK, 0, 20);
        _exit(r ? errno : 0);
    }
    usleep(50000);
    R(lk(o2, F_OFD_SETLK, F_UNLCK, 0, 0));
    usleep(20000);
    R(lk(fd, F_SETLK, F_UNLCK, 0, 0));
    waitpid(c, &st, 0);
    R(st);
    R(lk(o2, F_OFD_SETLK, F_RDLCK, 19, 1));
    R(lk(o2, F_OFD_SETLK, F_RDLCK, 20, 1));
    /* flock upgrades. */
    R(flock(o1, LOCK_SH));
    R(flock(o2, LOCK_SH));
    R(flock(o1, LOCK_EX | LOCK_NB));
    R(flock(o2, LOCK_EX | LOCK_NB));
    R(flock(o1, LOCK_UN));
    R(flock(o2, LOCK_EX | LOCK_NB));
    R(flock(o2, LOCK_SH | LOCK_NB));
    R(flock(o1, LOCK_SH | LOCK_NB));
}

CASE(more_exchanges)
{
    f_enter();
    f_put("a", "a");
    mkdir("d", 0755);
    f_put("d/x", "x");
    mkdir("e", 0755);
    symlink("a", "s");
    mkfifo("p", 0644);
#define RN2(a, b, f) RN(a " " b " " #f, f_rename2(a, b, f))
    RN2("a", "d", RENAME_EXCHANGE);
    RN2("a", "d", RENAME_EXCHANGE);
    RN2("d", "d", RENAME_EXCHANGE);
    RN2("d", "d", RENAME_NOREPLACE);
    RN2("d", "d/x", RENAME_EXCHANGE);
    RN2("s", "p", RENAME_EXCHANGE);
    RN2("d", "e", RENAME_EXCHANGE);
    f_ls(".");
    f_ls("e");
    RN2("e", "d/e", RENAME_EXCHANGE);
    RN2("e", "d/e", 0);
    RN2("d/e/x", "d", RENAME_EXCHANGE);
    RN2("d/e/x", "a", RENAME_WHITEOUT);
    f_stat("d/e/x");
    f_cat("a");
    RN2("d/e/x", "w", RENAME_WHITEOUT);
    f_stat("d/e/x");
    f_stat("w");
    RN2("w", "w", RENAME_WHITEOUT);
    RN2("a/", "b", RENAME_NOREPLACE);
    RN2("d", "b/", RENAME_NOREPLACE);
    RN2("b", "c/", RENAME_EXCHANGE);
    RN2("b", "nothing/", RENAME_EXCHANGE);
    RN2(".", "b", RENAME_EXCHANGE);
    RN2("b", "..", RENAME_EXCHANGE);
    RN2("nothing", "b", RENAME_EXCHANGE);
    RN2("b", "b/e", RENAME_NOREPLACE);
    RN2("b", "a", 16);
    f_ls(".");
}
