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

#endif
