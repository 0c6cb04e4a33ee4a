/* Content: reading and writing, holes, maps, copies from file to file. */
#include "f.h"
#include <linux/falloc.h>
#include <linux/fs.h>

#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif

CASE(file_fallocate)
{
    f_enter();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    char b[8192];
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (char)('a' + i / 4096);
    struct stat s;
    /* Blocks of the file's map count, too, where there are many parts. */
#define SIZE() (fstat(fd, &s), printf("size %ld\n", (long)s.st_size))
#define BLOCKS() (fstat(fd, &s), printf("size %ld blocks %ld\n", (long)s.st_size, (long)s.st_blocks))
    R(fallocate(fd, 0, 0, 10000));
    BLOCKS();
    R(fallocate(fd, FALLOC_FL_KEEP_SIZE, 16384, 8192));
    BLOCKS();
    f_map("unwritten", fd);
    R(pwrite(fd, b, 8192, 4096));
    f_map("written", fd);
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
    SIZE();
    f_map("punched", fd);
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192 + 10, 100));
    R(pread(fd, b, 120, 8192));
    printf("%c %d %d %c\n", b[9], b[10], b[109], b[110]);
    R(fallocate(fd, FALLOC_FL_ZERO_RANGE, 8192, 8192));
    SIZE();
    f_map("zeroed", fd);
    R(pwrite(fd, "end", 3, 20000));
    R(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096));
    SIZE();
    R(pread(fd, b, 3, 20000 - 4096));
    printf("%.3s\n", b);
    R(fallocate(fd, FALLOC_FL_INSERT_RANGE, 4096, 8192));
    SIZE();
    R(pread(fd, b, 3, 20000 + 4096));
    printf("%.3s\n", b);
    R(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 1, 4096));
    R(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 100));
    R(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 1 << 20));
    R(fallocate(fd, FALLOC_FL_INSERT_RANGE, 1 << 20, 4096));
    R(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    R(fallocate(fd, 0, 0, 0));
    R(fallocate(fd, 0, -1, 1));
    R(fallocate(fd, 0, 0, -1));
    R(fallocate(fd, 0, 1L << 62, 1L << 62));
    R(fallocate(fd, 0, 0, 1L << 45));
    R(fallocate(fd, 0x100, 0, 1));
    R(fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, 4096));
    int d = (int)MUST(open(".", O_RDONLY));
    R(fallocate(d, 0, 0, 1));
    int p[2];
    MUST(pipe(p));
    R(fallocate(p[1], 0, 0, 1));
    R(posix_fallocate(fd, 0, 100000));
    SIZE();
    R(fallocate(fd, 0, 0, 1L << 40));
}

CASE(file_holes)
{
    f_enter();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    R(lseek(fd, 0, SEEK_DATA));
    R(lseek(fd, 0, SEEK_HOLE));
    R(ftruncate(fd, 1 << 20));
    f_map("all hole", fd);
    R(pwrite(fd, "x", 1, 100000));
    R(pwrite(fd, "x", 1, 300000));
    f_map("two", fd);
    R(fsync(fd));
    f_map("two, synced", fd);
    R(lseek(fd, 100001, SEEK_DATA));
    R(lseek(fd, 100001, SEEK_HOLE));
    R(lseek(fd, 5, SEEK_HOLE));
    R(lseek(fd, 1 << 20, SEEK_HOLE));
    R(lseek(fd, 1 << 20, SEEK_DATA));
    R(lseek(fd, (1 << 20) + 1, SEEK_HOLE));
    R(lseek(fd, -1, SEEK_DATA));
    R(ftruncate(fd, 100002));
    R(ftruncate(fd, 200000));
    f_map("cut and longer", fd);
    char b[4];
    R(pread(fd, b, 2, 100000));
    printf("%c %d\n", b[0], b[1]);
    R(ftruncate(fd, -1));
    R(ftruncate(fd, 1L << 50));
    R(truncate("f", 1L << 50));
    R(truncate("f", -1));
    R(ftruncate(fd, 3));
    f_stat("f");
    R(lseek(fd, 1 << 30, SEEK_SET));
    R(write(fd, "far", 3));
    f_stat("f");
    R(pwrite(fd, "x", 1, 1L << 50));
    R(pread(fd, b, 1, 1L << 50));
    R(ftruncate(fd, 0));
    int d = (int)MUST(open(".", O_RDONLY));
    R(ftruncate(d, 0));
    R(lseek(d, 0, SEEK_HOLE) >= -1);
}

CASE(file_vectors)
{
    f_enter();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    struct iovec w[3] = {{"one", 3}, {"", 0}, {"two", 3}};
    char a[4] = "", b[8] = "";
    struct iovec r[2] = {{a, 2}, {b, 7}};
    R(writev(fd, w, 3));
    R(lseek(fd, 0, SEEK_CUR));
    R(preadv(fd, r, 2, 1));
    printf("%.2s %s\n", a, b);
    R(pwritev(fd, w, 1, 10));
    f_cat("f");
    R(writev(fd, w, 0));
    R(writev(fd, w, -1));
    R(writev(fd, w, 1025));
    R(preadv(fd, r, 2, -5));
    R(preadv2(fd, r, 2, -1, 0));
    lseek(fd, 0, SEEK_SET);
    memset(b, 0, sizeof b);
    R(preadv2(fd, r, 2, -1, 0));
    printf("%.2s %s\n", a, b);
    R(lseek(fd, 0, SEEK_CUR));
    R(pwritev2(fd, w, 1, 0, RWF_APPEND));
    R(lseek(fd, 0, SEEK_CUR));
    R(pwritev2(fd, w, 1, -1, RWF_APPEND));
    R(lseek(fd, 0, SEEK_CUR));
    R(pwritev2(fd, w, 1, 0, RWF_DSYNC));
    R(pwritev2(fd, w, 1, 0, RWF_SYNC | RWF_HIPRI));
    R(pwritev2(fd, w, 1, 0, 0x10000));
    R(preadv2(fd, r, 1, 0, RWF_NOWAIT));
    R(preadv2(fd, r, 1, 0, RWF_APPEND));
    R(preadv2(fd, r, 1, 100, 0));
    f_cat("f");
    struct iovec bad[2] = {{"yes", 3}, {(void *)8, 3}};
    R(pwritev(fd, bad, 2, 30));
    f_stat("f");
    struct iovec negative[1] = {{a, -1}};
    R(readv(fd, negative, 1));
    /* O_APPEND: every write is at the end, wherever the offset is; pwrite too, on Linux. */
    int ap = (int)MUST(open("g", O_RDWR | O_CREAT | O_APPEND, 0644));
    R(write(ap, "abc", 3));
    R(lseek(ap, 0, SEEK_SET));
    R(write(ap, "def", 3));
    R(lseek(ap, 0, SEEK_CUR));
    R(pwrite(ap, "ghi", 3, 0));
    R(lseek(ap, 0, SEEK_CUR));
    f_cat("g");
}

CASE(file_append)
{
    f_enter();
    fflush(stdout);
    for (int c = 0; c < 4; c++)
        if (fork() == 0) {
            char line[33];
            int fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0644);
            for (int i = 0; i < 200; i++) {
                memset(line, 'a' + c, 31);
                line[31] = '\n';
                if (write(fd, line, 32) != 32)
                    _exit(1);
            }
            _exit(0);
        }
    int status, failed = 0;
    while (wait(&status) > 0)
        failed += status != 0;
    R(failed);
    f_stat("log");
    FILE *f = fopen("log", "r");
    char line[64];
    int lines = 0, wrong = 0, count[4] = {0};
    while (fgets(line, sizeof line, f)) {
        lines++;
        for (int i = 1; i < 31; i++)
            wrong += line[i] != line[0];
        if (line[0] >= 'a' && line[0] < 'e')
            count[line[0] - 'a']++;
    }
    printf("%d %d %d %d %d %d\n", lines, wrong, count[0], count[1], count[2], count[3]);
    fclose(f);
    /* One open file of two processes: one offset. */
    int fd = (int)MUST(open("both", O_RDWR | O_CREAT, 0644));
    MUST(write(fd, "ab", 2));
    if (fork() == 0) {
        write(fd, "cd", 2);
        _exit(0);
    }
    wait(&status);
    R(write(fd, "ef", 2));
    f_cat("both");
}

CASE(file_mmap)
{
    f_enter();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    char *m;
    for (int i = 0; i < 10000; i += 4)
        MUST(pwrite(fd, "abcd", 4, i));
    int r = (int)MUST(open("f", O_RDONLY)), w = (int)MUST(open("f", O_WRONLY));
    m = mmap(0, 10000, PROT_READ, MAP_SHARED, r, 0);
    printf("%d %.4s %d %d\n", m != MAP_FAILED, m + 9996, m[10000], m[12287]);
    R(munmap(m, 10000));
    m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, r, 4096);
    printf("%d %.4s\n", m != MAP_FAILED, m);
    memcpy(m, "XXXX", 4);
    char b[5] = "";
    pread(r, b, 4, 4096);
    printf("%.4s %s\n", m, b);
    R(munmap(m, 4096));
    R(mmap(0, 0, PROT_READ, MAP_SHARED, r, 0) == MAP_FAILED);
    R(mmap(0, 1, PROT_READ, MAP_SHARED, r, 1) == MAP_FAILED);
    R(mmap(0, 1, PROT_READ, 0, r, 0) == MAP_FAILED);
    R(mmap(0, 1, PROT_READ, MAP_SHARED, w, 0) == MAP_FAILED);
    R(mmap(0, 1, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0) == MAP_FAILED);
    R(mmap(0, 1, PROT_READ, MAP_SHARED, 99, 0) == MAP_FAILED);
    int d = (int)MUST(open(".", O_RDONLY));
    R(mmap(0, 1, PROT_READ, MAP_SHARED, d, 0) == MAP_FAILED);
    m = mmap((void *)0x700000000000, 8192, PROT_READ, MAP_PRIVATE | MAP_FIXED, r, 0);
    printf("%d %.4s\n", m == (void *)0x700000000000, m);
    R(close(r));
    printf("%.4s\n", m + 4096);
    R(mprotect(m, 8192, PROT_READ | PROT_WRITE));
    m[0] = 'q';
    m = mmap((void *)0x700000000000, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0);
    R(m == MAP_FAILED);
    R(unlink("f"));
    m = mmap(0, 8, PROT_READ, MAP_PRIVATE, fd, 0);
    printf("%.4s\n", m);
}

CASE(file_copies)
{
    f_enter();
    char b[64];
    f_put("a", "0123456789");
    int a = (int)MUST(open("a", O_RDONLY)), o = (int)MUST(open("o", O_RDWR | O_CREAT, 0644));
    off_t in = 2, out = 1;
    R(copy_file_range(a, &in, o, &out, 5, 0));
    printf("%ld %ld\n", (long)in, (long)out);
    f_cat("o");
    R(copy_file_range(a, 0, o, 0, 100, 0));
    R(copy_file_range(a, 0, o, 0, 100, 0));
    R(lseek(o, 0, SEEK_CUR));
    in = 0;
    out = 2;
    R(copy_file_range(o, &in, o, &out, 5, 0));
    in = 0, out = 5;
    R(copy_file_range(o, &in, o, &out, 5, 0));
    f_cat("o");
    R(copy_file_range(a, 0, o, 0, 1, 1));
    R(copy_file_range(o, 0, a, 0, 1, 0));
    in = -1;
    R(copy_file_range(a, &in, o, 0, 1, 0));
    int d = (int)MUST(open(".", O_RDONLY)), ap = (int)MUST(open("ap", O_RDWR | O_CREAT | O_APPEND, 0644));
    R(copy_file_range(d, 0, o, 0, 1, 0));
    R(copy_file_range(a, 0, ap, 0, 1, 0));
    R(copy_file_range(99, 0, ap, 0, 1, 0));
    int p[2];
    MUST(pipe(p));
    R(copy_file_range(p[0], 0, o, 0, 1, 0));
    in = 3;
    R(sendfile(o, a, &in, 4));
    printf("%ld\n", (long)in);
    R(sendfile(ap, a, &in, 4));
    R(sendfile(p[1], a, &in, 100));
    R(read(p[0], b, sizeof b));
    R(sendfile(o, p[0], 0, 4));
    R(sendfile(a, o, 0, 4));
    in = -1;
    R(sendfile(o, a, &in, 1));
    R(sendfile(o, d, 0, 1));
    in = 0;
    R(splice(a, &in, p[1], 0, 6, 0));
    printf("%ld\n", (long)in);
    out = 0;
    R(splice(p[0], 0, o, &out, 100, 0));
    printf("%ld\n", (long)out);
    f_cat("o");
    R(splice(a, 0, o, 0, 1, 0));
    R(splice(a, &in, p[1], &in, 1, 0));
    R(splice(p[0], 0, ap, 0, 1, SPLICE_F_NONBLOCK));
    lseek(a, 0, SEEK_SET);
    R(splice(a, 0, p[1], 0, 3, 0));
    R(splice(p[0], 0, ap, 0, 3, 0));
    R(lseek(a, 0, SEEK_CUR));
    int q[2];
    MUST(pipe(q));
    write(p[1], "tee", 3);
    R(tee(p[0], q[1], 10, 0));
    R(read(q[0], b, 10));
    R(splice(p[0], 0, o, 0, 3, 0));
    R(tee(a, q[1], 1, 0));
    /* To a socket, and back. */
    int s[2];
    t_pair(AF_INET, SOCK_STREAM, s);
    in = 0;
    R(sendfile(s[0], a, &in, 10));
    memset(b, 0, sizeof b);
    R(recv(s[1], b, sizeof b, 0));
    printf("%s\n", b);
    in = 1;
    R(splice(a, &in, p[1], 0, 4, 0));
    R(splice(p[0], 0, s[1], 0, 4, 0));
    R(splice(s[0], 0, p[1], 0, 4, 0));
    R(splice(p[0], 0, o, 0, 4, 0));
    f_stat("o");
    f_stat("ap");
    R(ioctl(o, FICLONE, a));
    R(ioctl(o, FICLONERANGE, &(struct file_clone_range){a, 0, 4096, 0}));
    R(ioctl(a, FICLONE, o));
    R(ioctl(o, FICLONE, 99));
    R(ioctl(o, FIGETBSZ, b));
    int n = -1;
    R(lseek(o, 2, SEEK_SET));
    R(ioctl(o, FIONREAD, &n));
    R(n);
    R(ioctl(o, 0x1234, b));
    R(ioctl(d, FIONREAD, &n));
}

CASE(file_sync)
{
    f_enter();
    f_put("f", "x");
    int fd = (int)MUST(open("f", O_RDWR)), d = (int)MUST(open(".", O_RDONLY));
    int p[2];
    MUST(pipe(p));
    R(fsync(fd));
    R(fdatasync(fd));
    R(fsync(d));
    R(syncfs(fd));
    R(syncfs(d));
    R(syncfs(99));
    R(fsync(p[0]));
    R(fdatasync(99));
    sync();
    R(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    R(sync_file_range(fd, 0, 0, 8));
    R(sync_file_range(fd, -1, 0, 1));
    R(sync_file_range(p[0], 0, 0, 1));
    R(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    R(posix_fadvise(fd, 0, 0, 99));
    R(posix_fadvise(p[0], 0, 0, 0));
    R(readahead(fd, 0, 100));
    R(readahead(p[0], 0, 100));
    R(readahead(d, 0, 100));
    int dio = (int)OK(open("f", O_RDWR | O_DIRECT));
    R((fcntl(dio, F_GETFL) & O_DIRECT) != 0);
    R(fcntl(fd, F_SETFL, O_DIRECT));
    R((fcntl(fd, F_GETFL) & O_DIRECT) != 0);
    R(fcntl(fd, F_SETFL, 0));
    R((fcntl(fd, F_GETFL) & O_DIRECT) != 0);
    char *b = aligned_alloc(4096, 8192);
    memset(b, 'd', 8192);
    R(pwrite(dio, b, 4096, 0));
    R(pread(dio, b, 4096, 0));
    R(pwrite(dio, b, 100, 0));
    R(pwrite(dio, b + 1, 4096, 0));
    R(pwrite(dio, b, 4096, 1));
    f_stat("f");
}

CASE(file_stdio)
{
    f_enter();
    FILE *f = fopen("f", "w+x");
    printf("%d\n", f != 0);
    for (int i = 0; i < 5000; i++)
        fprintf(f, "line %d\n", i);
    rewind(f);
    char line[64] = "";
    int n = 0;
    while (fgets(line, sizeof line, f))
        n++;
    printf("%d %s", n, line);
    fseek(f, -10, SEEK_END);
    printf("%ld %s", ftell(f), fgets(line, sizeof line, f));
    fclose(f);
    f = fopen("f", "a+");
    fputs("appended\n", f);
    fseek(f, 0, SEEK_SET);
    printf("%s", fgets(line, sizeof line, f));
    fclose(f);
    f = fopen("f", "wx");
    printf("%d %s\n", f != 0, t_errno(errno));
    f = freopen("g", "w", fopen("f", "r"));
    fputs("g", f);
    fclose(f);
    f_cat("g");
    char name[] = "tmpXXXXXX";
    int fd = mkstemp(name);
    printf("%d\n", fd >= 0);
    R(unlink(name));
    char dir[] = "dirXXXXXX";
    printf("%d\n", mkdtemp(dir) != 0);
    R(rmdir(dir));
    R(remove("g"));
    f_ls(".");
    f = popen("cat f | tail -n1; ls", "r");
    while (fgets(line, sizeof line, f))
        printf("%s", line);
    R(pclose(f));
    R(system("echo more >>f; wc -l <f; rm f"));
    f_ls(".");
}
