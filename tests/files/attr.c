/* What is known of files besides their content: modes, owners, times, statx, extended attributes, and who may do what. */
#include "f.h"
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/file.h>

int statx(int, const char *, int, unsigned, struct statx *);

CASE(file_modes)
{
    f_enter();
    f_put("f", "x");
    mkdir("d", 02775);
    f_stat("d");
    R(chmod("f", 07777));
    f_stat("f");
    R(chmod("f", 0177777));
    f_stat("f");
    R(chown("f", 5, 6));
    f_stat("f");
    R(chmod("f", 06711));
    R(chown("f", -1, 7));
    f_stat("f");
    R(chmod("f", 02600));
    R(chown("f", -1, -1));
    f_stat("f");
    R(chmod("d", 03777));
    R(chown("d", 1, 2));
    f_stat("d");
    f_put("d/in", "x");
    mkdir("d/sub", 0755);
    f_stat("d/in");
    f_stat("d/sub");
    symlink("f", "s");
    R(lchown("s", 8, 9));
    f_stat("s");
    R(chown("s", 3, 3));
    f_stat("f");
    R(fchmodat(AT_FDCWD, "s", 0600, AT_SYMLINK_NOFOLLOW));
    R(fchmodat(AT_FDCWD, "s", 0640, 0));
    f_stat("f");
    int fd = (int)MUST(open("f", O_RDONLY));
    R(fchmod(fd, 0444));
    R(fchown(fd, 0, 0));
    R(fchownat(AT_FDCWD, "f", 1, 1, 0x1000000));
    R(umask(0777) == 022);
    OK(close(open("none", O_RDWR | O_CREAT, 0777)));
    mkdir("nd", 0777);
    f_stat("none");
    f_stat("nd");
    R(umask(07000));
    R(umask(0));
    R(umask(022));
    /* What is written to takes off set-user-ID and -group-ID, not for root. */
    R(chmod("none", 06777));
    fd = (int)MUST(open("none", O_WRONLY));
    R(write(fd, "x", 1));
    f_stat("none");
}

static void as_other(void)
{
    f_stat("private");
    R(open("private", O_RDONLY));
    R(open("private", O_WRONLY));
    R(open("public", O_WRONLY));
    OK(close(open("public", O_RDONLY)));
    R(access("private", R_OK));
    R(access("public", R_OK));
    R(access("public", W_OK));
    R(access("public", X_OK));
    R(access("closed/in", F_OK));
    R(chdir("closed"));
    R(mkdir("new", 0755));
    R(unlink("public"));
    R(rename("public", "x"));
    R(link("writable", "x"));
    R(chmod("public", 0777));
    R(chown("public", 1000, 1000));
    R(truncate("public", 0));
    R(utimensat(AT_FDCWD, "public", 0, 0));
    R(utimensat(AT_FDCWD, "writable", 0, 0));
    R(utimensat(AT_FDCWD, "writable", (struct timespec[2]){{1, 2}, {3, 4}}, 0));
    R(open("public", O_RDONLY | O_NOATIME));
    R(setxattr("public", "user.a", "1", 1, 0));
    R(setxattr("writable", "user.a", "1", 1, 0));
    R(setxattr("writable", "trusted.a", "1", 1, 0));
    R(mknod("shared/dev", S_IFCHR | 0666, 0x103));
    OK(close(open("shared/mine", O_CREAT | O_WRONLY, 0666)));
    f_stat("shared/mine");
    R(unlink("shared/theirs"));
    R(rename("shared/theirs", "shared/x"));
    R(rename("shared/mine", "shared/theirs"));
    R(chown("shared/mine", 1000, 7));
    R(chown("shared/mine", 0, -1));
    R(chmod("shared/mine", 06755));
    f_stat("shared/mine");
    int fd = (int)OK(open("shared/mine", O_WRONLY));
    R(write(fd, "x", 1));
    f_stat("shared/mine");
    R(chmod("shared/mine", 06755));
    R(ftruncate(fd, 9));
    f_stat("shared/mine");
    R(unlink("shared/mine"));
    R(chroot("."));
    f_ls("unreadable");
    R(access("unreadable/in", F_OK));
    f_ls("unsearchable");
    R(access("unsearchable/in", F_OK));
    R(open("writeonly", O_RDONLY));
    OK(close(open("writeonly", O_WRONLY)));
    R(statfs("closed/in", (struct statfs[1]){}));
    R(syscall(SYS_faccessat2, AT_FDCWD, "private", R_OK, AT_EACCESS));
    R(syscall(SYS_faccessat2, AT_FDCWD, "private", 8, 0));
    R(syscall(SYS_faccessat2, AT_FDCWD, "private", R_OK, 1));
}

static void by_group(void)
{
    R(access("group", R_OK));
    R(access("group", W_OK));
    OK(close(open("group", O_RDONLY)));
    R(open("group", O_RDWR));
    OK(close(open("setgid/f", O_CREAT | O_WRONLY, 0666)));
    f_stat("setgid/f");
    R(chmod("setgid/f", 02755));
    f_stat("setgid/f");
    /* The owner's bits count for the owner, also when others have more. */
    R(open("setgid/odd", O_RDONLY));
}

CASE(file_other_users)
{
    f_enter();
    MUST(chmod(".", 0755));
    f_make("private", 0600, 0, 0);
    f_put("public", "p");
    f_make("writable", 0666, 0, 0);
    f_make("writeonly", 0222, 0, 0);
    mkdir("closed", 0700);
    f_put("closed/in", "x");
    f_make("shared", S_IFDIR | 01777, 0, 0);
    f_put("shared/theirs", "x");
    mkdir("unreadable", 0711);
    f_put("unreadable/in", "x");
    mkdir("unsearchable", 0744);
    f_put("unsearchable/in", "x");
    f_make("group", 0640, 0, 1001);
    f_make("setgid", S_IFDIR | 02777, 0, 2000);
    f_make("setgid/odd", 0077, 1001, 1001);
    f_as(1000, 1000, as_other);
    f_as(1001, 1001, by_group);
    f_ls(".");
}

CASE(file_effective_ids)
{
    f_enter();
    f_make("private", 0600, 0, 0);
    fflush(stdout);
    R(seteuid(1000));
    R(open("private", O_RDONLY));
    R(access("private", R_OK));
    R(faccessat(AT_FDCWD, "private", R_OK, AT_EACCESS));
    R(seteuid(0));
    OK(close(open("private", O_RDONLY)));
    R(setegid(5));
    OK(close(open("five", O_CREAT | O_WRONLY, 0644)));
    f_stat("five");
    R(setegid(0));
    MUST(chmod(".", 0777));
    R(syscall(SYS_setfsuid, 77));
    OK(close(open("fs", O_CREAT | O_WRONLY, 0644)));
    R(open("private", O_RDONLY));
    R(syscall(SYS_setfsuid, 0));
    OK(close(open("private", O_RDONLY)));
    f_stat("fs");
    R(setreuid(1000, 0));
    R(access("private", R_OK));
    OK(close(open("private", O_RDONLY)));
    R(setresuid(0, 0, 0));
    R(access("private", R_OK));
}

static void times(const char *path)
{
    struct stat s;
    MUST(lstat(path, &s));
    printf("%s: %ld.%09ld %ld.%09ld\n", path, s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
}

CASE(file_times)
{
    f_enter();
    f_put("f", "x");
    symlink("f", "s");
    R(utimensat(AT_FDCWD, "f", (struct timespec[2]){{1000000000, 1}, {2000000000, 999999999}}, 0));
    times("f");
    R(utimensat(AT_FDCWD, "f", (struct timespec[2]){{5, UTIME_OMIT}, {7, 8}}, 0));
    times("f");
    R(utimensat(AT_FDCWD, "f", (struct timespec[2]){{5, 1000000000}, {7, 8}}, 0));
    R(utimensat(AT_FDCWD, "f", (struct timespec[2]){{5, -1}, {7, 8}}, 0));
    R(utimensat(AT_FDCWD, "nothing", (struct timespec[2]){{5, UTIME_OMIT}, {7, UTIME_OMIT}}, 0));
    R(utimensat(AT_FDCWD, "nothing", 0, 0));
    R(utimensat(AT_FDCWD, "s", (struct timespec[2]){{11, 12}, {13, 14}}, AT_SYMLINK_NOFOLLOW));
    times("s");
    times("f");
    /* Before 1970, and as late as ext4 goes. */
    R(utimensat(AT_FDCWD, "f", (struct timespec[2]){{-5, 6}, {-2147483648, 0}}, 0));
    times("f");
    R(utimensat(AT_FDCWD, "f", (struct timespec[2]){{4294967296, 6}, {15032385535, 7}}, 0));
    times("f");
    R(utimensat(AT_FDCWD, "f", (struct timespec[2]){{1L << 40, 6}, {-(1L << 40), 7}}, 0));
    times("f");
    int fd = (int)MUST(open("f", O_RDONLY));
    R(futimens(fd, (struct timespec[2]){{21, 22}, {23, 24}}));
    times("f");
    R(utimensat(fd, 0, 0, AT_SYMLINK_NOFOLLOW));
    R(syscall(SYS_utimensat, AT_FDCWD, 0, (struct timespec[2]){{1, 1}, {1, 1}}, 0));
    R(utimensat(99, 0, 0, 0));
    R(utimensat(AT_FDCWD, "f", 0, 0x1000000));
    struct stat a, b;
    MUST(fstat(fd, &a));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    R(utimensat(AT_FDCWD, "f", 0, 0));
    MUST(fstat(fd, &b));
    R(b.st_mtim.tv_sec >= now.tv_sec - 2 && b.st_mtim.tv_sec <= now.tv_sec + 2);
    R(b.st_ctim.tv_sec >= now.tv_sec - 2);
    /* What changes which time. */
#define CHANGES(what)                                                                                                      \
    do {                                                                                                                   \
        MUST(futimens(fd, (struct timespec[2]){{100, 0}, {100, 0}}));                                                      \
        MUST(stat("f", &a));                                                                                               \
        usleep(20000);                                                                                                     \
        MUST(what);                                                                                                        \
        MUST(stat("f", &b));                                                                                               \
        printf("%s: m %d c %d\n", #what, b.st_mtim.tv_sec != 100,                                                          \
               memcmp(&a.st_ctim, &b.st_ctim, sizeof a.st_ctim) != 0);                                                     \
    } while (0)
    int w = (int)MUST(open("f", O_WRONLY));
    CHANGES(write(w, "y", 1));
    CHANGES(write(w, "y", 0));
    CHANGES(ftruncate(w, 10));
    CHANGES(ftruncate(w, 10));
    CHANGES(truncate("f", 10));
    CHANGES(chmod("f", 0600));
    CHANGES(chown("f", -1, -1));
    CHANGES(chown("f", 0, 0));
    CHANGES(link("f", "g"));
    CHANGES(unlink("g"));
    CHANGES(rename("f", "h"));
    CHANGES(rename("h", "f"));
    CHANGES(setxattr("f", "user.a", "1", 1, 0));
    CHANGES(fallocate(w, 0, 0, 100));
    CHANGES(fallocate(w, FALLOC_FL_KEEP_SIZE, 0, 100000));
    CHANGES(fallocate(w, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 50));
    CHANGES(close(open("f", O_WRONLY | O_TRUNC)));
    CHANGES(close(open("f", O_WRONLY | O_TRUNC)));
    CHANGES(fsync(w));
}

CASE(file_statx)
{
    f_enter();
    f_put("f", "hello");
    symlink("f", "s");
    struct statx x;
    R(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &x));
    printf("%x %o %u %u %u %llu %x\n", x.stx_mask & (STATX_BASIC_STATS | STATX_BTIME), x.stx_mode, x.stx_uid, x.stx_gid, x.stx_nlink,
           x.stx_size, x.stx_blksize);
    printf("attributes %llx of %llx\n", x.stx_attributes, x.stx_attributes_mask & 0xfff);
    printf("born %d\n", x.stx_btime.tv_sec > 1000000000);
    R(statx(AT_FDCWD, "s", AT_SYMLINK_NOFOLLOW, STATX_MODE, &x));
    printf("%o\n", x.stx_mode);
    R(statx(AT_FDCWD, "f", 0, 0, &x));
    R(statx(AT_FDCWD, "f", 0, 1u << 31, &x));
    R(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, 1, &x));
    R(statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, 1, &x));
    R(statx(AT_FDCWD, "f", 0x1000000, 1, &x));
    R(statx(AT_FDCWD, "", 0, 1, &x));
    R(statx(AT_FDCWD, "", AT_EMPTY_PATH, 1, &x));
    R(statx(AT_FDCWD, "nothing", 0, 1, &x));
    R(statx(AT_FDCWD, "f", 0, 1, (void *)8));
    int fd = (int)MUST(open("f", O_RDONLY));
    R(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
    printf("%llu\n", x.stx_size);
    struct statfs s;
    R(statfs(".", &s));
    printf("%lx %ld %ld %ld\n", (long)s.f_type, (long)s.f_bsize, (long)s.f_frsize, (long)s.f_namelen);
    R(s.f_bfree <= s.f_blocks && s.f_bavail <= s.f_bfree && s.f_ffree < s.f_files);
}

static int flags(const char *path, int set, int clear)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK), f = 0;
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &f)) {
        printf("%s: %s\n", path, t_errno(errno));
        return -1;
    }
    if (!set && !clear) {
        printf("%s: flags %x\n", path, f);
        close(fd);
        return 0;
    }
    f = (f | set) & ~clear;
    int r = ioctl(fd, FS_IOC_SETFLAGS, &f), e = errno;
    close(fd);
    errno = e;
    return r;
}

static void flags_as_other(void)
{
    R(flags("open", FS_NODUMP_FL, 0));
    R(flags("mine", FS_NODUMP_FL, 0));
    R(flags("mine", FS_APPEND_FL, 0));
    R(flags("mine", FS_IMMUTABLE_FL, 0));
    R(flags("mine", 0, 0));
    int fd = (int)MUST(open("open", O_RDONLY));
    R(fcntl(fd, F_SETFL, O_NOATIME));
}

CASE(file_flags)
{
    f_enter();
    f_put("i", "immutable");
    f_put("a", "append");
    f_make("open", 0666, 0, 0);
    f_make("mine", 0644, 1000, 1000);
    mkdir("d", 0755);
    f_put("d/f", "x");
    mkfifo("p", 0666);
    flags("i", 0, 0);
    flags("d", 0, 0);
    flags("p", 0, 0);
    int w = (int)MUST(open("i", O_RDWR)), aw = (int)MUST(open("a", O_RDWR | O_APPEND));
    R(flags("i", FS_IMMUTABLE_FL, 0));
    flags("i", 0, 0);
    R(open("i", O_WRONLY));
    R(chmod("i", 0600));
    R(chown("i", 1, 1));
    R(unlink("i"));
    R(rename("i", "j"));
    R(link("i", "j"));
    R(truncate("i", 0));
    R(setxattr("i", "user.a", "1", 1, 0));
    R(utimensat(AT_FDCWD, "i", 0, 0));
    R(ftruncate(w, 0));
    R(write(w, "I", 1));
    R(fallocate(w, 0, 0, 100));
    R(flags("i", FS_NODUMP_FL, 0));
    struct statx x;
    R(statx(AT_FDCWD, "i", 0, STATX_BASIC_STATS, &x));
    printf("%llx\n", x.stx_attributes & STATX_ATTR_IMMUTABLE);
    R(flags("i", FS_NODUMP_FL, FS_IMMUTABLE_FL));
    flags("i", 0, 0);
    R(unlink("i"));
    R(flags("a", FS_APPEND_FL, 0));
    R(open("a", O_WRONLY));
    R(open("a", O_WRONLY | O_APPEND | O_TRUNC));
    int a = (int)OK(open("a", O_WRONLY | O_APPEND));
    R(write(a, "more", 4));
    R(fcntl(a, F_SETFL, 0));
    R(fcntl(a, F_SETFL, O_APPEND | O_NONBLOCK));
    R(ftruncate(aw, 3));
    R(truncate("a", 3));
    R(unlink("a"));
    f_cat("a");
    R(flags("a", 0, FS_APPEND_FL));
    R(flags("d", FS_APPEND_FL, 0));
    f_put("d/new", "x");
    R(unlink("d/f"));
    R(rename("d/f", "d/g"));
    R(rename("open", "d/open"));
    R(flags("d", FS_IMMUTABLE_FL, FS_APPEND_FL));
    R(open("d/more", O_CREAT | O_WRONLY, 0644));
    R(unlink("d/f"));
    OK(close(open("d/f", O_WRONLY)));
    R(flags("d", FS_NODUMP_FL | FS_NOATIME_FL, FS_IMMUTABLE_FL));
    f_put("d/inherits", "x");
    mkdir("d/sub", 0755);
    flags("d/inherits", 0, 0);
    flags("d/sub", 0, 0);
    R(flags("d/inherits", FS_DIRSYNC_FL | FS_TOPDIR_FL, 0));
    flags("d/inherits", 0, 0);
    R(rename("d/open", "open"));
    R(flags("open", 1 << 26, 0));
    flags("open", 0, 0);
    chmod(".", 0777);
    f_as(1000, 1000, flags_as_other);
    struct fsxattr f;
    int fd = (int)MUST(open("open", O_RDONLY));
    R(ioctl(fd, FS_IOC_FSGETXATTR, &f));
    printf("%x %x %x %x %x\n", f.fsx_xflags, f.fsx_extsize, f.fsx_nextents, f.fsx_projid, f.fsx_cowextsize);
    f.fsx_xflags = FS_XFLAG_NODUMP | FS_XFLAG_SYNC;
    R(ioctl(fd, FS_IOC_FSSETXATTR, &f));
    flags("open", 0, 0);
    f.fsx_projid = 5;
    R(ioctl(fd, FS_IOC_FSSETXATTR, &f));
    flags("open", 0, 0);
    R(ioctl(fd, FS_IOC_SETFLAGS, (int *)8));
    int path = (int)MUST(open("open", O_PATH));
    R(ioctl(path, FS_IOC_GETFLAGS, &f));
}

static void list(const char *path)
{
    char b[512];
    long n = llistxattr(path, b, sizeof b);
    if (n < 0) {
        printf("%s: %s\n", path, t_errno(errno));
        return;
    }
    printf("%s: %ld:", path, n);
    int seen[8] = {0};
    static const char *known[] = {"user.a", "user.b", "trusted.t", "security.s", "user.empty"};
    for (long at = 0; at < n; at += (long)strlen(b + at) + 1)
        for (size_t i = 0; i < 5; i++)
            if (!strcmp(known[i], b + at))
                seen[i] = 1;
    for (size_t i = 0; i < 5; i++)
        if (seen[i])
            printf(" %s", known[i]);
    printf("\n");
}

CASE(file_xattrs)
{
    f_enter();
    f_put("f", "x");
    mkdir("d", 0755);
    symlink("f", "s");
    mkfifo("p", 0644);
    char b[70000];
    memset(b, 0, sizeof b);
    R(getxattr("f", "user.a", b, 10));
    R(setxattr("f", "user.a", "value", 5, 0));
    R(getxattr("f", "user.a", b, 10));
    printf("%s\n", b);
    R(getxattr("f", "user.a", b, 4));
    R(getxattr("f", "user.a", 0, 0));
    R(setxattr("f", "user.a", "v", 1, XATTR_CREATE));
    R(setxattr("f", "user.b", "v", 1, XATTR_REPLACE));
    R(setxattr("f", "user.b", "v2", 2, XATTR_CREATE));
    R(setxattr("f", "user.a", "v", 1, XATTR_REPLACE));
    R(setxattr("f", "user.a", "v", 1, 4));
    R(setxattr("f", "user.empty", "", 0, 0));
    R(getxattr("f", "user.empty", b, 10));
    R(setxattr("f", "user.", "v", 1, 0));
    R(setxattr("f", "user", "v", 1, 0));
    R(setxattr("f", "", "v", 1, 0));
    R(setxattr("f", "other.a", "v", 1, 0));
    R(getxattr("f", "other.a", b, 1));
    R(removexattr("f", "other.a"));
    R(setxattr("f", "system.x", "v", 1, 0));
    R(setxattr("f", "trusted.t", "tt", 2, 0));
    R(setxattr("f", "security.s", "ss", 2, 0));
    list("f");
    R(listxattr("f", b, 3));
    R(listxattr("f", 0, 0));
    R(removexattr("f", "user.b"));
    R(removexattr("f", "user.b"));
    R(lsetxattr("s", "user.a", "1", 1, 0));
    R(lsetxattr("s", "trusted.t", "1", 1, 0));
    R(lgetxattr("s", "trusted.t", b, 1));
    R(setxattr("p", "user.a", "1", 1, 0));
    R(getxattr("p", "user.a", b, 1));
    R(setxattr("d", "user.a", "1", 1, 0));
    list("s");
    list("d");
    R(setxattr("nothing", "user.a", "1", 1, 0));
    memset(b, 'n', sizeof b);
    memcpy(b, "user.", 5);
    b[255] = 0;
    RN("a name of 255", setxattr("d", b, "1", 1, 0));
    b[255] = 'n';
    b[256] = 0;
    RN("a name of 256", setxattr("d", b, "1", 1, 0));
    RN("a value of 65537", setxattr("d", "user.big", b, 65537, 0));
    RN("a value of 5000", setxattr("d", "user.big", b, 5000, 0));
    RN("a value of 3000", setxattr("d", "user.big", b, 3000, 0));
    RN("it", getxattr("d", "user.big", b, sizeof b));
    int fd = (int)MUST(open("f", O_RDONLY));
    R(fsetxattr(fd, "user.f", "1", 1, 0));
    R(fgetxattr(fd, "user.f", b, 1));
    R(fremovexattr(fd, "user.f"));
    R(flistxattr(fd, 0, 0));
    R(getxattr("f", "system.posix_acl_access", b, 100));
    R(getxattr("f", "system.posix_acl_default", b, 100));
    /* An ACL of a user, a mask; what chmod makes of it. */
    struct {
        uint32_t version;
        struct {
            uint16_t tag, perm;
            uint32_t id;
        } e[5];
    } acl = {2, {{1, 6, -1}, {2, 4, 1000}, {4, 4, -1}, {16, 4, -1}, {32, 0, -1}}};
    R(setxattr("f", "system.posix_acl_access", &acl, sizeof acl, 0));
    f_stat("f");
    R(getxattr("f", "system.posix_acl_access", b, 100));
    R(chmod("f", 0607));
    f_stat("f");
    R(setxattr("f", "system.posix_acl_access", &acl, 12, 0));
    R(setxattr("f", "system.posix_acl_default", &acl, sizeof acl, 0));
    R(setxattr("d", "system.posix_acl_default", &acl, sizeof acl, 0));
    f_put("d/in", "x");
    mkdir("d/sub", 0777);
    f_stat("d/in");
    f_stat("d/sub");
    R(getxattr("d/in", "system.posix_acl_access", b, 100));
    R(getxattr("d/sub", "system.posix_acl_default", b, 100));
    R(removexattr("d", "system.posix_acl_default"));
}
