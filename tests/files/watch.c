/* inotify: the events of each operation on a file and its directory, in order. */
#include "f.h"
#include <sys/inotify.h>
#include <linux/fs.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/ioctl.h>

static int in;
static int wds[8];
static const char *names[8];

static void watch(int i, const char *path, unsigned mask)
{
    wds[i] = (int)MUST(inotify_add_watch(in, path, mask));
    names[i] = path;
}

/* Prints the events that are there. */
static void events(const char *what)
{
    static const struct {
        unsigned bit;
        const char *name;
    } bits[] = {{IN_ACCESS, "ACCESS"}, {IN_MODIFY, "MODIFY"}, {IN_ATTRIB, "ATTRIB"}, {IN_CLOSE_WRITE, "CLOSE_WRITE"},
                {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"}, {IN_OPEN, "OPEN"}, {IN_MOVED_FROM, "MOVED_FROM"}, {IN_MOVED_TO, "MOVED_TO"},
                {IN_CREATE, "CREATE"}, {IN_DELETE, "DELETE"}, {IN_DELETE_SELF, "DELETE_SELF"}, {IN_MOVE_SELF, "MOVE_SELF"},
                {IN_UNMOUNT, "UNMOUNT"}, {IN_Q_OVERFLOW, "OVERFLOW"}, {IN_IGNORED, "IGNORED"}, {IN_ISDIR, "ISDIR"}};
    char b[8192] __attribute__((aligned(8)));
    printf("%s:\n", what);
    unsigned cookie = 0;
    for (;;) {
        ssize_t n = read(in, b, sizeof b);
        if (n <= 0)
            break;
        for (ssize_t at = 0; at < n;) {
            struct inotify_event *e = (void *)(b + at);
            const char *of = "?";
            for (int i = 0; i < 8; i++)
                if (names[i] && wds[i] == e->wd)
                    of = names[i];
            printf("  %s", of);
            for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
                if (e->mask & bits[i].bit)
                    printf(" %s", bits[i].name);
            if (e->len)
                printf(" \"%s\"", e->name);
            if (e->cookie)
                printf(" cookie %s", e->cookie == cookie ? "same" : "new");
            if (e->len % 16)
                printf(" length %u", e->len);
            printf("\n");
            cookie = e->cookie;
            at += (ssize_t)sizeof *e + e->len;
        }
    }
}
#define DO(...)                                                                                                            \
    do {                                                                                                                   \
        __VA_ARGS__;                                                                                                       \
        events(#__VA_ARGS__);                                                                                              \
    } while (0)

CASE(watch_files)
{
    f_enter();
    mkdir("d", 0755);
    mkdir("e", 0755);
    f_put("d/f", "content");
    in = (int)MUST(inotify_init1(IN_NONBLOCK));
    watch(0, "d", IN_ALL_EVENTS);
    watch(1, "d/f", IN_ALL_EVENTS);
    watch(2, "e", IN_ALL_EVENTS);
    char b[64];
    int fd;
    DO(fd = open("d/f", O_RDWR));
    DO(read(fd, b, 3));
    DO(read(fd, b, 0));
    DO(lseek(fd, 100, SEEK_SET); read(fd, b, 3));
    DO(write(fd, "x", 1));
    DO(write(fd, "x", 0));
    DO(pread(fd, b, 1, 0));
    DO(pwrite(fd, b, 1, 0));
    DO(ftruncate(fd, 5));
    DO(ftruncate(fd, 5));
    DO(fallocate(fd, 0, 0, 100));
    DO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10));
    DO(fchmod(fd, 0600));
    DO(fchmod(fd, 0600));
    DO(fchown(fd, 0, 0));
    DO(fchown(fd, -1, -1));
    DO(futimens(fd, 0));
    DO(futimens(fd, (struct timespec[2]){{1, UTIME_OMIT}, {5, 0}}));
    DO(futimens(fd, (struct timespec[2]){{1, 0}, {5, UTIME_OMIT}}));
    DO(futimens(fd, (struct timespec[2]){{1, UTIME_OMIT}, {5, UTIME_OMIT}}));
    DO(fsetxattr(fd, "user.a", "1", 1, 0));
    DO(fsetxattr(fd, "user.a", "1", 1, 0));
    DO(fremovexattr(fd, "user.a"));
    DO(fremovexattr(fd, "user.a"));
    DO(fgetxattr(fd, "user.a", b, 1));
    DO(close(dup(fd)));
    DO(close(fd));
    DO(truncate("d/f", 3));
    DO(close(open("d/f", O_WRONLY | O_TRUNC)));
    DO(close(open("d/f", O_RDONLY)));
    DO(close(open("d/f", O_PATH)));
    DO(stat("d/f", (struct stat[1]){}));
    DO(access("d/f", R_OK));
    DO(link("d/f", "d/g"));
    DO(rename("d/g", "d/h"));
    DO(rename("d/h", "e/h"));
    DO(rename("d/f", "e/h"));
    DO(unlink("e/h"));
    DO(rename("d/f", "d/g"));
    DO(link("d/g", "e/other"));
    DO(unlink("d/g"));
    DO(unlink("e/other"));
    R(inotify_rm_watch(in, wds[1]));
}

CASE(watch_directories)
{
    f_enter();
    mkdir("d", 0755);
    mkdir("e", 0755);
    in = (int)MUST(inotify_init1(IN_NONBLOCK));
    watch(0, "d", IN_ALL_EVENTS);
    watch(1, "e", IN_ALL_EVENTS);
    watch(2, ".", IN_ALL_EVENTS);
    int fd;
    char b[4096];
    DO(fd = open("d/f", O_RDWR | O_CREAT | O_EXCL, 0644));
    DO(close(fd));
    DO(fd = open("d/f", O_RDWR | O_CREAT, 0644));
    DO(close(fd));
    DO(mkdir("d/sub", 0755));
    DO(mkdir("d/sub", 0755));
    DO(symlink("x", "d/s"));
    DO(mkfifo("d/p", 0644));
    DO(mknod("d/c", S_IFCHR | 0666, 0x103));
    DO(close(open("d/c", O_RDWR)));
    DO(readlink("d/s", b, 10));
    DO(lsetxattr("d/s", "trusted.a", "1", 1, 0));
    DO(lchown("d/s", 1, 1));
    DO(fd = open("d", O_RDONLY | O_DIRECTORY));
    DO(getdents64(fd, b, sizeof b));
    DO(getdents64(fd, b, sizeof b));
    DO(close(fd));
    DO(chmod("d", 0700));
    DO(chmod("d/sub", 0700));
    DO(rename("d/sub", "e/sub"));
    DO(rename("e/sub", "d/sub2"));
    DO(syscall(SYS_renameat2, AT_FDCWD, "d/f", AT_FDCWD, "d/sub2", RENAME_EXCHANGE));
    DO(syscall(SYS_renameat2, AT_FDCWD, "d/f", AT_FDCWD, "e/w", RENAME_WHITEOUT));
    DO(fd = open("d", O_RDWR | O_TMPFILE, 0644));
    DO(write(fd, "x", 1));
    DO(linkat(fd, "", AT_FDCWD, "d/t", AT_EMPTY_PATH));
    DO(write(fd, "x", 1));
    DO(close(fd));
    DO(rmdir("d/nothing"));
    DO(rename("e", "e2"));
    DO(unlink("d/s"));
    DO(unlink("d/f"));
    DO(rename("d/t", "d/p"));
    DO(rmdir("e2"));
    DO(rmdir("e2/w"));
    DO(rename("e2/w", "w"));
    DO(rmdir("e2"));
    /* One that is open when it goes. */
    fd = open("w", O_RDONLY);
    watch(3, "w", IN_ALL_EVENTS);
    DO(rmdir("w"));
    DO(close(fd));
    fd = open("d/p", O_RDONLY);
    watch(4, "d/p", IN_ALL_EVENTS);
    events("open");
    DO(unlink("d/p"));
    DO(close(fd));
}

CASE(watch_flags)
{
    f_enter();
    mkdir("d", 0755);
    f_put("d/f", "content");
    symlink("d", "s");
    in = (int)MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    R(inotify_add_watch(in, "nothing", IN_ALL_EVENTS));
    R(inotify_add_watch(in, "d", 0));
    R(inotify_add_watch(in, "d/f", IN_ONLYDIR | IN_OPEN));
    R(inotify_add_watch(in, "s", IN_ONLYDIR | IN_OPEN | IN_DONT_FOLLOW));
    R(inotify_add_watch(in, "d", IN_MASK_ADD | IN_MASK_CREATE | IN_OPEN));
    R(inotify_add_watch(99, "d", IN_OPEN));
    R(inotify_add_watch(open("d/f", O_RDONLY), "d", IN_OPEN));
    R(inotify_add_watch(in, (char *)8, IN_OPEN));
    R(inotify_rm_watch(in, 77));
    R(inotify_init1(1));
    watch(0, "d", IN_OPEN);
    R(inotify_add_watch(in, "d", IN_MASK_CREATE | IN_OPEN));
    R(inotify_add_watch(in, "s", IN_MASK_ADD | IN_CLOSE) == wds[0]);
    DO(close(open("d/f", O_RDONLY)));
    R(inotify_add_watch(in, "d", IN_CREATE) == wds[0]);
    DO(close(open("d/f", O_RDONLY)));
    R(inotify_add_watch(in, "d", IN_CREATE | IN_ONESHOT) == wds[0]);
    DO(close(open("d/g", O_CREAT | O_RDONLY, 0644)));
    DO(close(open("d/h", O_CREAT | O_RDONLY, 0644)));
    watch(1, "d/f", IN_MODIFY | IN_EXCL_UNLINK);
    watch(0, "d", IN_MODIFY | IN_EXCL_UNLINK | IN_DELETE);
    int fd = (int)MUST(open("d/f", O_WRONLY));
    DO(write(fd, "a", 1));
    DO(unlink("d/f"));
    DO(write(fd, "a", 1));
    DO(close(fd));
    /* The same event twice in a row is one. */
    fd = (int)MUST(open("d/g", O_WRONLY));
    DO(write(fd, "a", 1); write(fd, "a", 1); write(fd, "a", 1));
    int n = -1;
    write(fd, "a", 1);
    R(ioctl(in, FIONREAD, &n));
    R(n);
    char b[64];
    R(read(in, b, 8));
    events("the rest");
    R(inotify_rm_watch(in, wds[0]));
    events("removed");
    R(inotify_rm_watch(in, wds[0]));
    /* Two instances, one file. */
    int other = (int)MUST(inotify_init1(IN_NONBLOCK));
    R(inotify_add_watch(other, "d/g", IN_ATTRIB));
    watch(0, "d/g", IN_ATTRIB);
    DO(chmod("d/g", 0600));
    R(read(other, b, sizeof b));
    close(other);
    DO(chmod("d/g", 0601));
    /* What sendfile and copies tell. */
    watch(0, "d/g", IN_ALL_EVENTS);
    watch(1, "d/h", IN_ALL_EVENTS);
    int from = (int)MUST(open("d/g", O_RDWR)), to = (int)MUST(open("d/h", O_RDWR));
    events("opened");
    DO(sendfile(to, from, 0, 3));
    DO(copy_file_range(from, &(off_t){0}, to, 0, 3, 0));
    int p[2];
    MUST(pipe(p));
    DO(splice(from, &(off_t){0}, p[1], 0, 3, 0));
    DO(splice(p[0], 0, to, 0, 3, 0));
    DO(readv(from, (struct iovec[1]){{b, 2}}, 1));
    DO(writev(to, (struct iovec[1]){{b, 2}}, 1));
    DO(fsync(to));
    DO(flock(to, 2));
    DO(system("exit 3"));
}
