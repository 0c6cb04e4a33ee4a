/* Where files lie (FIEMAP), their version, giving free blocks back (FITRIM), and calls that name no file at all. */
#include "f.h"
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>

/* Prints the extents of a range: all but where they are on the disk. */
static void extents(int fd, uint64_t start, uint64_t len, unsigned flags, unsigned room)
{
    union {
        struct fiemap f;
        char room[sizeof(struct fiemap) + 64 * sizeof(struct fiemap_extent)];
    } u = {.f = {.fm_start = start, .fm_length = len, .fm_flags = flags, .fm_extent_count = room}};
    int r = ioctl(fd, FS_IOC_FIEMAP, &u);
    printf("%ld+%ld flags %x room %u: %s flags %x mapped %u:", (long)start, (long)len, flags, room, r ? t_errno(errno) : "0", u.f.fm_flags,
           u.f.fm_mapped_extents);
    for (unsigned i = 0; !r && i < u.f.fm_mapped_extents && i < room; i++) {
        struct fiemap_extent *e = u.f.fm_extents + i;
        printf(" %ld+%ld %x%s", (long)e->fe_logical, (long)e->fe_length, e->fe_flags, e->fe_physical ? "" : " nowhere");
    }
    printf("\n");
}

CASE(space_extents)
{
    f_enter();
    char b[65536];
    memset(b, 'x', sizeof b);
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    extents(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 32);
    MUST(write(fd, b, 10000));
    extents(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 32);
    MUST(pwrite(fd, b, 4096, 40960));
    MUST(fallocate(fd, 0, 81920, 8192));
    MUST(fallocate(fd, FALLOC_FL_KEEP_SIZE, 131072, 4096));
    extents(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 32);
    extents(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 0);
    extents(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 1);
    extents(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 2);
    extents(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 4);
    extents(fd, 5000, 100, FIEMAP_FLAG_SYNC, 32);
    extents(fd, 5000, 5000, FIEMAP_FLAG_SYNC, 32);
    extents(fd, 12288, 4096, FIEMAP_FLAG_SYNC, 32);
    extents(fd, 0, 4097, FIEMAP_FLAG_SYNC, 32);
    extents(fd, 100000, ~0ul, FIEMAP_FLAG_SYNC, 32);
    extents(fd, 1 << 20, ~0ul, FIEMAP_FLAG_SYNC, 32);
    extents(fd, 0, 0, FIEMAP_FLAG_SYNC, 32);
    extents(fd, 1ul << 62, 1, FIEMAP_FLAG_SYNC, 32);
    extents(fd, 0, 1ul << 62, FIEMAP_FLAG_SYNC, 32);
    extents(fd, 0, ~0ul, FIEMAP_FLAG_CACHE, 32);
    extents(fd, 0, ~0ul, 8, 32);
    extents(fd, 0, ~0ul, 8 | FIEMAP_FLAG_SYNC, 32);
    extents(fd, 0, ~0ul, FIEMAP_FLAG_XATTR, 32);
    MUST(fsetxattr(fd, "user.a", "1", 1, 0));
    extents(fd, 0, 1 << 20, FIEMAP_FLAG_XATTR | FIEMAP_FLAG_SYNC, 32);
    MUST(fsetxattr(fd, "user.big", b, 3000, 0));
    extents(fd, 0, 1 << 20, FIEMAP_FLAG_XATTR, 32);
    extents(fd, 4096, 1 << 20, FIEMAP_FLAG_XATTR, 32);
    extents(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 0x10000000);
    extents(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 76695844);
    extents(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 76695845);
    R(ioctl(fd, FS_IOC_FIEMAP, 8));
    R(ioctl((int)MUST(open("f", O_PATH)), FS_IOC_FIEMAP, b));
    extents((int)MUST(open(".", O_RDONLY)), 0, ~0ul, 0, 32);
    mkfifo("p", 0644);
    extents((int)MUST(open("p", O_RDWR)), 0, ~0ul, 0, 32);
    int w = (int)MUST(open("w", O_WRONLY | O_CREAT, 0644));
    MUST(write(w, b, 65536));
    MUST(fallocate(w, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 8192));
    extents(w, 0, ~0ul, FIEMAP_FLAG_SYNC, 32);
    MUST(fallocate(w, FALLOC_FL_ZERO_RANGE, 32768, 4096));
    extents(w, 0, ~0ul, FIEMAP_FLAG_SYNC, 32);
    MUST(ftruncate(w, 20000));
    extents(w, 0, ~0ul, FIEMAP_FLAG_SYNC, 32);
}

/* What is refused has changed nothing. */
CASE(space_refused)
{
    f_enter();
    f_put("f", "0123456789");
    int fd = (int)MUST(open("f", O_RDWR));
    R(fallocate(fd, FALLOC_FL_ZERO_RANGE, 2, 3));
    f_cat("f");
    R(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 5, 100));
    f_cat("f");
    R(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 5));
    R(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 5));
    R(fallocate(fd, 0, 0, 100));
    f_cat("f");
}

/* The places are the disk's: what is there is what was written. */
CASE(space_places)
{
    f_enter();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    char b[8192];
    memset(b, 'x', sizeof b);
    MUST(write(fd, b, sizeof b));
    union {
        struct fiemap f;
        char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
    } u = {.f = {.fm_length = ~0ul, .fm_flags = FIEMAP_FLAG_SYNC, .fm_extent_count = 1}};
    R(ioctl(fd, FS_IOC_FIEMAP, &u));
    struct fiemap_extent one = u.f.fm_extents[0];
    R(one.fe_physical % 4096);
    R(one.fe_physical < 64 << 20);
    u.f.fm_start = 4096;
    R(ioctl(fd, FS_IOC_FIEMAP, &u));
    R(u.f.fm_extents[0].fe_physical - one.fe_physical);
    int block = 1;
    R(ioctl(fd, FIBMAP, &block));
    R(block == (int)(one.fe_physical / 4096) + 1);
    block = 100;
    R(ioctl(fd, FIBMAP, &block));
    R(block);
    block = -1;
    R(ioctl(fd, FIBMAP, &block));
    block = 0;
    R(ioctl((int)MUST(open(".", O_RDONLY)), FIBMAP, &block));
}

static void versions_as_other(void)
{
    int fd = (int)MUST(open("f", O_RDONLY)), n = 7;
    R(ioctl(fd, FS_IOC_SETVERSION, &n));
    R(ioctl(fd, FS_IOC_GETVERSION, &n));
    struct fstrim_range r = {0, ~0ul, 0};
    R(ioctl(fd, FITRIM, &r));
    R(ioctl(fd, FIBMAP, &n));
}

CASE(space_versions)
{
    f_enter();
    f_put("f", "x");
    int fd = (int)MUST(open("f", O_RDONLY)), n = 0, m = 7;
    R(ioctl(fd, FS_IOC_GETVERSION, &n));
    R(ioctl(fd, FS_IOC_SETVERSION, &m));
    R(ioctl(fd, FS_IOC_GETVERSION, &m));
    R(n == m);
    R(ioctl(fd, FS_IOC_GETVERSION, 8));
    R(ioctl((int)MUST(open(".", O_RDONLY)), FS_IOC_GETVERSION, &n));
    chmod(".", 0755);
    f_as(1000, 1000, versions_as_other);
}

CASE(space_trim)
{
    f_enter();
    char b[65536];
    memset(b, 'x', sizeof b);
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    for (int i = 0; i < 64; i++)
        MUST(write(fd, b, sizeof b));
    fsync(fd);
    f_put("keep", "kept");
    MUST(unlink("f"));
    close(fd);
    sync();
    int d = (int)MUST(open(".", O_RDONLY));
    struct fstrim_range r = {0, ~0ul, 0};
    R(ioctl(d, FITRIM, &r));
    R(r.len > 1 << 20 && r.len < 64 << 20);
    r = (struct fstrim_range){1ul << 40, ~0ul, 0};
    R(ioctl(d, FITRIM, &r));
    r = (struct fstrim_range){0, 100, 0};
    R(ioctl(d, FITRIM, &r));
    r = (struct fstrim_range){0, ~0ul, 1ul << 40};
    R(ioctl(d, FITRIM, &r));
    r = (struct fstrim_range){0, ~0ul, 1ul << 20};
    R(ioctl(d, FITRIM, &r));
    R(ioctl(d, FITRIM, 8));
    r = (struct fstrim_range){0, ~0ul, 0};
    R(ioctl((int)MUST(open("keep", O_RDWR)), FITRIM, &r));
    f_cat("keep");
    f_put("again", "more");
    f_cat("again");
}

CASE(space_no_name)
{
    f_enter();
    f_put("f", "x");
    mkdir("d", 0755);
    mkdir("t", 0755);
    struct timespec ts[2] = {{5, 6}, {7, 8}};
    int fd = (int)MUST(open("f", O_RDONLY)), p = (int)MUST(open("f", O_PATH));
    R(syscall(SYS_utimensat, fd, 0, ts, AT_EMPTY_PATH));
    R(syscall(SYS_utimensat, fd, 0, ts, 0));
    R(syscall(SYS_utimensat, p, 0, ts, AT_EMPTY_PATH));
    R(syscall(SYS_utimensat, p, 0, ts, 0));
    R(syscall(SYS_utimensat, fd, 0, ts, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
    R(syscall(SYS_utimensat, fd, 0, ts, AT_SYMLINK_NOFOLLOW));
    R(syscall(SYS_utimensat, AT_FDCWD, 0, ts, AT_EMPTY_PATH));
    R(syscall(SYS_utimensat, AT_FDCWD, 0, ts, 0));
    R(syscall(SYS_utimensat, 99, 0, ts, AT_EMPTY_PATH));
    R(syscall(SYS_utimensat, 99, 0, ts, 0x4000));
    int d = (int)MUST(open("d", O_RDONLY));
    MUST(rmdir("d"));
    R(openat(d, ".", O_TMPFILE | O_RDWR, 0644));
    R(openat(d, "x", O_CREAT | O_RDWR, 0644));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", d);
    R(open(path, O_TMPFILE | O_RDWR, 0644));
    MUST(chdir("t"));
    MUST(rmdir("../t"));
    R(open(".", O_TMPFILE | O_RDWR, 0644));
        R(open("x", O_CREAT | O_RDWR, 0644));
    R(open("", O_TMPFILE | O_RDWR, 0644));
}
