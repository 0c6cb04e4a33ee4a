/* What the cases on files have besides the kit of the system call tests. Each works in a directory of its own below $T_DIR: on the
 * reference kernel a mounted ext4, on ours the same image. Sizes of directories, block counts and inode numbers are not printed. */
#ifndef F_H
#define F_H

#include "t.h"
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* Enters a new empty directory; the file mode creation mask is 022. */
void f_enter(void);
/* Makes a file with this content. */
void f_put(const char *path, const char *content);
/* Makes a file that holds "x", or with S_IFDIR a directory, with this mode, whatever the umask, and this owner. */
void f_make(const char *path, mode_t mode, unsigned uid, unsigned gid);
/* Sets the times of what a path names, links too, to the year 1970. */
void f_age(const char *path);
/* Was it changed since then? */
int f_touched(const char *path);
/* Prints what a path is: type, mode, owner, links, size of a regular file. */
void f_stat(const char *path);
/* Prints what is in a file, holes and nuls as dots. */
void f_cat(const char *path);
/* Prints the names in a directory, in their order by bytes. */
void f_ls(const char *path);
/* Runs `f` in a child with these real and effective ids and no other groups, and waits for it. */
void f_as(unsigned uid, unsigned gid, void (*f)(void));
/* Prints the holes and data of an open file, as lseek tells them. */
void f_map(const char *name, int fd);
/* Sets, changes or asks for a lock of a range of bytes. */
long lk(int fd, int cmd, int type, off_t start, off_t len);
/* Starts a child that has locked one byte of a file and then waits for another one; it ends with 1 if that fails. */
pid_t f_holds_and_wants(int fd, off_t held, int cmd, off_t wanted);
/* renameat2 in the working directory. */
long f_rename2(const char *from, const char *to, unsigned flags);
/* Runs statements in a child; its status is printed if it is not 0. */
#define F_CHILD(...)                                                                                                       \
    do {                                                                                                                   \
        fflush(stdout);                                                                                                    \
        pid_t child_ = fork();                                                                                             \
        if (!child_) {                                                                                                     \
            __VA_ARGS__;                                                                                                   \
            fflush(stdout);                                                                                                \
            _exit(0);                                                                                                      \
        }                                                                                                                  \
        int status_;                                                                                                       \
        MUST(waitpid(child_, &status_, 0));                                                                                \
        if (status_)                                                                                                       \
            printf("child: %x\n", status_);                                                                                \
    } while (0)

#endif
