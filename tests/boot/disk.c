/*
 * Disks of the C API: an image by its descriptor, and by functions of this program.
 *
 *   disk IMAGE FSTYPE PARTITION    (0: the image has no partitions)
 *
 * It leaves /kept/file on the image, with 1 MiB in it.
 */
#define _GNU_SOURCE
#include <lkl.h>
#include <lkl_host.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static char pattern[1 << 20], back[1 << 20];

/* ---- A disk of our own functions ---- */

static int own_fd, requests, flushes, fail, wrong_pieces;

static int own_capacity(struct lkl_disk disk, unsigned long long *res)
{
	struct stat st;

	if (disk.handle == 0)
		return -LKL_EACCES;
	fstat(own_fd, &st);
	*res = (unsigned long long)st.st_size;
	return 0;
}

static int own_request(struct lkl_disk disk, struct lkl_blk_req *req)
{
	off_t at = (off_t)req->sector * 512;
	int i;

	(void)disk;
	requests++;
	if (fail)
		return fail;
	if (req->type == LKL_DEV_BLK_TYPE_FLUSH || req->type == LKL_DEV_BLK_TYPE_FLUSH_OUT) {
		flushes++;
		return LKL_DEV_BLK_STATUS_OK;
	}
	for (i = 0; i < req->count; i++) {
		ssize_t len = (ssize_t)req->buf[i].iov_len, n;

		wrong_pieces += len % 512 != 0 || ((unsigned long)req->buf[i].iov_base & 511) != 0;
		n = req->type == LKL_DEV_BLK_TYPE_READ ? pread(own_fd, req->buf[i].iov_base, (size_t)len, at) :
							 pwrite(own_fd, req->buf[i].iov_base, (size_t)len, at);
		if (n != len)
			return LKL_DEV_BLK_STATUS_IOERR;
		at += len;
	}
	return LKL_DEV_BLK_STATUS_OK;
}

static struct lkl_dev_blk_ops own_ops = { own_capacity, own_request };

/* ---- What is done with each ---- */

static long write_file(const char *path)
{
	long fd = lkl_sys_creat(path, 0644), n, done = 0;

	if (fd < 0)
		return fd;
	while (done < (long)sizeof(pattern) && (n = lkl_sys_write(fd, pattern + done, sizeof(pattern) - done)) > 0)
		done += n;
	lkl_sys_close(fd);
	return done;
}

static long read_file(const char *path)
{
	long fd = lkl_sys_open(path, LKL_O_RDONLY, 0), n, done = 0;

	if (fd < 0)
		return fd;
	memset(back, 0, sizeof(back));
	while ((n = lkl_sys_read(fd, back + done, sizeof(back) - done)) > 0)
		done += n;
	lkl_sys_close(fd);
	return n < 0 ? n : memcmp(pattern, back, sizeof(back)) ? -LKL_EBADMSG : done;
}

static int count(const char *path, const char *name)
{
	struct lkl_linux_dirent64 *entry;
	int err = 1, found = 0;
	struct lkl_dir *dir = lkl_opendir(path, &err);

	is(dir && err == 0, 1);
	while ((entry = lkl_readdir(dir)))
		found += !strcmp(entry->d_name, name);
	is(lkl_errdir(dir), 0);
	is(lkl_dirfd(dir) >= 0, 1);
	lkl_rewinddir(dir);
	is(lkl_readdir(dir) != 0, 1);
	is(lkl_closedir(dir), 0);
	return found;
}

static void wrong(int id, unsigned part, const char *type, struct lkl_disk disk)
{
	char mnt[64];
	struct lkl_disk other = disk;
	unsigned dev = 0;

	is(lkl_mount_dev(77, 0, type, 0, 0, mnt, sizeof(mnt)), -LKL_ENODEV);
	is(lkl_mount_dev(id, 77, type, 0, 0, mnt, sizeof(mnt)), -LKL_ENODEV);
	is(lkl_mount_dev(id, part, "nothing", 0, 0, mnt, sizeof(mnt)), -LKL_ENODEV);
	is(lkl_mount_dev(id, part, 0, 0, 0, mnt, sizeof(mnt)), -LKL_EINVAL);
	is(lkl_mount_dev(id, part, type, 0, 0, 0, 0), -LKL_EINVAL);
	is(lkl_mount_dev(id, part, type, 0, 0, mnt, 5), -LKL_ENOMEM);
	is(lkl_umount_dev(id, part, 0, 0), -LKL_ENOENT);
	is(lkl_umount_dev(77, 0, 0, 0), -LKL_ENODEV);
	is(lkl_umount_timeout(0, 0, 0), -LKL_EINVAL);
	is(lkl_get_virtio_blkdev(id, part, 0), -LKL_EINVAL);
	is(lkl_get_virtio_blkdev(-1, 0, &dev), -LKL_ENODEV);
	is(lkl_get_virtio_blkdev(id, part, &dev), 0);
	is(dev != 0, 1);
	is(lkl_encode_dev_from_sysfs("/nothing", &dev), -LKL_ENOENT);
	is(lkl_encode_dev_from_sysfs(0, &dev), -LKL_EINVAL);
	other.dev = &other;
	is(lkl_disk_remove(other), -LKL_ENODEV);
	is(lkl_disk_add(0), -LKL_EINVAL);
	other.ops = 0;
	other.fd = -1;
	is(lkl_disk_add(&other), -LKL_EBADF);
	other.ops = &own_ops;
	other.handle = 0;
	is(lkl_disk_add(&other), -LKL_EACCES);
}

static void use(struct lkl_disk *disk, const char *type, unsigned part, int late)
{
	char mnt[64] = "", path[128], sysfs[64];
	unsigned dev = 0, dev2 = 1;
	struct lkl_stat st;
	int id = -1;
	long fd;

	if (!late)
		id = (int)good(lkl_disk_add(disk));
	is(lkl_start_kernel_fmt("mem=64M"), 0);
	if (late)
		id = (int)good(lkl_disk_add(disk));
	is(id, 0);
	wrong(id, part, type, *disk);
	is(lkl_mount_dev(id, part, type, 0, 0, mnt, sizeof(mnt)), 0);
	is(lkl_mount_dev(id, part, type, 0, 0, mnt, sizeof(mnt)), -LKL_EBUSY);
	is(lkl_disk_remove(*disk), -LKL_EBUSY);
	snprintf(path, sizeof(path), "%s/kept", mnt);
	fd = lkl_sys_mkdir(path, 0755);
	is(fd == 0 || fd == -LKL_EEXIST, 1);
	is(lkl_sys_stat(path, &st), 0);
	is(LKL_S_ISDIR(st.st_mode), 1);
	snprintf(path, sizeof(path), "%s/kept/file", mnt);
	is(write_file(path), sizeof(pattern));
	is(read_file(path), sizeof(pattern));
	snprintf(path, sizeof(path), "%s/kept", mnt);
	is(count(path, "file"), 1);
	/* The device has one number, whoever says it. */
	is(lkl_mount_fs("sysfs") >= 0, 1);
	is(lkl_mount_fs("sysfs"), 1);
	is(lkl_mount_fs("nothing"), -LKL_ENODEV);
	is(lkl_mount_fs(0), -LKL_EINVAL);
	snprintf(sysfs, sizeof(sysfs), part ? "/sysfs/block/vda/vda%u/dev" : "/sysfs/block/vda/dev", part);
	is(lkl_encode_dev_from_sysfs(sysfs, &dev), 0);
	is(lkl_get_virtio_blkdev(id, part, &dev2), 0);
	is(dev, dev2);
	/* While a file is open it is busy; at the end of the time it still is. */
	snprintf(path, sizeof(path), "%s/kept/file", mnt);
	fd = good(lkl_sys_open(path, LKL_O_RDONLY, 0));
	is(lkl_umount_dev(id, part, 0, 30), -LKL_EBUSY);
	is(lkl_sys_close(fd), 0);
	is(lkl_umount_dev(id, part, 0, 1000), 0);
	is(lkl_sys_stat(mnt, &st), -LKL_ENOENT);
	/* Once more: only to be read. */
	is(lkl_mount_dev(id, part, type, LKL_MS_RDONLY, 0, mnt, sizeof(mnt)), 0);
	is(read_file(path), sizeof(pattern));
	is(lkl_sys_unlink(path), -LKL_EROFS);
	is(lkl_umount_dev(id, part, 0, 1000), 0);
	/* By its number only. */
	is(lkl_mount_blkdev(dev, type, 0, "", mnt, sizeof(mnt)), 0);
	is(read_file(path), sizeof(pattern));
	is(lkl_umount_blkdev(dev, 0, 1000), 0);
	is(lkl_mount_blkdev(0x7f00000, type, 0, 0, mnt, sizeof(mnt)), -LKL_ENXIO);
	is(lkl_umount_timeout("/nothing", 0, 0), -LKL_ENOENT);
	is(lkl_disk_remove(*disk), 0);
	is(lkl_disk_remove(*disk), -LKL_ENODEV);
	/* The halt writes what is not yet written. */
	is(lkl_disk_add(disk), id);
	is(lkl_mount_dev(id, part, type, 0, 0, mnt, sizeof(mnt)), 0);
	is(write_file(path), sizeof(pattern));
	is(lkl_sys_halt(), 0);
}

static void failing(struct lkl_disk *disk, const char *type, unsigned part)
{
	char mnt[64];

	is(lkl_disk_add(disk), 0);
	fail = LKL_DEV_BLK_STATUS_IOERR;
	/* Its partitions cannot be read. */
	is(lkl_start_kernel_fmt("mem=64M") <= 0, 1);
	if (lkl_is_running()) {
		is(lkl_mount_dev(0, part, type, 0, 0, mnt, sizeof(mnt)) < 0, 1);
		is(lkl_sys_halt(), 0);
	}
	is(lkl_start_kernel_fmt("mem=64M"), 0);
	/* No number that it knows. */
	fail = 12345;
	is(lkl_disk_add(disk) <= 0, 1);
	is(lkl_mount_dev(0, part, type, 0, 0, mnt, sizeof(mnt)) < 0, 1);
	fail = 0;
	is(lkl_sys_halt() <= 0, 1);
}

int main(int argc, char **argv)
{
	struct lkl_disk disk = { 0, { 0 }, 0 };
	const char *type;
	unsigned part;
	size_t i;

	if (argc < 4)
		return 2;
	type = argv[2];
	part = (unsigned)atoi(argv[3]);
	for (i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(i * 31 + i / 4096);
	lkl_host_ops.print = 0;
	lkl_init(&lkl_host_ops);
	disk.fd = open(argv[1], O_RDWR | O_CLOEXEC);
	printf("# by its descriptor\n");
	use(&disk, type, part, 0);
	/* It is still ours. */
	is(close(disk.fd), 0);
	printf("# by functions\n");
	own_fd = open(argv[1], O_RDWR | O_CLOEXEC);
	disk.handle = &own_ops;
	disk.ops = &own_ops;
	use(&disk, type, part, 1);
	is(requests > 10 && flushes > 0, 1);
	is(wrong_pieces, 0);
	failing(&disk, type, part);
	lkl_cleanup();
	return tap_end();
}
