/* fs.protected_hardlinks and its like: links and files of others in directories that anybody may write to. Both kernels have the
 * settings of the host's. */
#include "f.h"

static void tries(void)
{
    static const char *const dirs[] = {"sticky", "open", "mine", "group", "plain"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        MUST(chdir(dirs[i]));
        printf("%s:\n", dirs[i]);
        f_cat("mylink");
        f_cat("theirlink");
        f_cat("rootlink");
        R(open("theirlink", O_WRONLY | O_CREAT, 0644) >= 0);
        R(open("theirlink/", O_RDONLY) >= 0);
        R(open("theirdir/in", O_RDONLY) >= 0);
        R(open("theirdir/", O_RDONLY) >= 0);
        R(access("theirlink", F_OK));
        R(lstat("theirlink", &(struct stat){0}));
        R(stat("theirlink", &(struct stat){0}));
        R(truncate("theirlink", 0));
        R(chdir("theirdir/."));
        R(chdir("../sub") ? -1 : chdir("../"));
        MUST(chdir("../.."));
        MUST(chdir(getenv("T_DIR")));
        MUST(chdir("case"));
        MUST(chdir(dirs[i]));
        for (size_t j = 0; j < 4; j++) {
            static const char *const names[] = {"theirs", "roots", "ours", "fifo"};
            R(close(open(names[j], O_RDWR)));
            R(close(open(names[j], O_RDWR | O_CREAT, 0644)));
            R(open(names[j], O_RDWR | O_CREAT | O_EXCL, 0644));
            R(close(open(names[j], O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0644)));
        }
        R(open("theirlink", O_RDONLY | O_CREAT | O_NOFOLLOW, 0644));
        R(open("sub", O_RDONLY | O_CREAT, 0644));
        R(link("theirs", "../links/a"));
        R(link("readonly", "../links/b"));
        R(link("setuid", "../links/c"));
        R(link("setgid", "../links/d"));
        R(link("ours", "../links/e"));
        R(link("fifo", "../links/f"));
        R(link("theirlink", "../links/g"));
        R(link("mylink", "../links/h"));
        R(link("readonly", "../links/e"));
        R(link("readonly", "../nowhere/e"));
        R(linkat(AT_FDCWD, "theirlink", AT_FDCWD, "../links/i", AT_SYMLINK_FOLLOW));
        for (char c = 'a'; c <= 'i'; c++)
            unlink((char[]){'.', '.', '/', 'l', 'i', 'n', 'k', 's', '/', c, 0});
        MUST(chdir(".."));
    }
}

static void fill(const char *dir)
{
    MUST(chdir(dir));
    f_make("theirs", 0666, 1001, 1001);
    f_make("roots", 0666, 0, 0);
    f_make("ours", 0666, 1000, 1000);
    f_make("readonly", 0644, 1001, 1001);
    f_make("setuid", 04666, 1001, 1001);
    f_make("setgid", 02676, 1001, 1001);
    f_make("sub", S_IFDIR | 0755, 1001, 1001);
    f_put("sub/in", "in");
    MUST(mkfifo("fifo", 0));
    MUST(chown("fifo", 1001, 1001));
    MUST(chmod("fifo", 0666));
    struct {
        const char *name, *to;
        unsigned owner;
    } links[] = {{"mylink", "ours", 1000}, {"theirlink", "theirs", 1001}, {"rootlink", "ours", 0}, {"theirdir", "sub", 1001}};
    for (size_t i = 0; i < 4; i++) {
        MUST(symlink(links[i].to, links[i].name));
        MUST(lchown(links[i].name, links[i].owner, links[i].owner));
    }
    MUST(chdir(".."));
}

CASE(protect_names)
{
    f_enter();
    chmod(".", 0755);
    f_make("sticky", S_IFDIR | 01777, 0, 0);
    f_make("open", S_IFDIR | 0777, 0, 0);
    f_make("mine", S_IFDIR | 01777, 1000, 1000);
    f_make("group", S_IFDIR | 01775, 0, 1000);
    f_make("plain", S_IFDIR | 0755, 0, 0);
    f_make("links", S_IFDIR | 0777, 0, 0);
    static const char *const dirs[] = {"sticky", "open", "mine", "group", "plain"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        fill(dirs[i]);
    f_as(1000, 1000, tries);
    /* Root, too, is led astray. */
    tries();
}
