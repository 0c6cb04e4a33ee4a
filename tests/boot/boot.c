/*
 * The basics of the C API, as a program of LKL's uses them: one kernel from its start to its halt. Then another one, several at once, and what is
 * wrong use.
 *
 * With an argument it writes the kernel's messages to that file.
 */
#define _GNU_SOURCE
#include <lkl.h>
#include <lkl_host.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

static FILE *messages;
static int message_count;

static void print(const char *str, int len)
{
	message_count++;
	if (messages)
		fwrite(str, 1, (size_t)len, messages);
}

static long long monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* ---- Without a kernel ---- */

static void without_a_kernel(const char *when)
{
	struct lkl_netdev_args args = { 0, 0 };
	int err = 0;

	printf("# %s\n", when);
	is(lkl_is_running(), 0);
	is(lkl_sys_getpid(), -LKL_ENODEV);
	is(lkl_syscall(99999, 0), -LKL_ENODEV);
	is(lkl_sys_halt(), -LKL_ENODEV);
	is(lkl_if_up(1), -LKL_ENODEV);
	is(lkl_ifname_to_ifindex("lo"), -LKL_ENODEV);
	is(lkl_sysctl("net.ipv4.tcp_sack", "1"), -LKL_ENODEV);
	is(lkl_set_fd_limit(10), -LKL_ENODEV);
	is(lkl_netdev_get_ifindex(0), -LKL_ENODEV);
	is(lkl_netdev_add(0, &args), -LKL_EINVAL);
	is(lkl_opendir("/", &err) == 0 && err == -LKL_ENODEV, 1);
	lkl_netdev_remove(7);
	lkl_netdev_free(0);
}

/* ---- Calls ---- */

static void identity(void)
{
	struct lkl_new_utsname name;

	is(lkl_sys_getpid(), 1);
	is(lkl_sys_gettid(), 1);
	is(lkl_sys_getppid(), 0);
	is(lkl_sys_getuid(), 0);
	is(lkl_sys_umask(0777), 022);
	is(lkl_sys_umask(022), 0777);
	is(lkl_sys_uname(&name), 0);
	is(strcmp(name.sysname, "Linux"), 0);
	is(lkl_sys_uname(0), -LKL_EFAULT);
	is(lkl_syscall(99999, 0), -LKL_ENOSYS);
	is(lkl_syscall(-1, 0), -LKL_ENOSYS);
	is(lkl_sys_openat(LKL_AT_FDCWD, 0, LKL_O_RDONLY, 0), -LKL_EFAULT);
}

static void sleeping(void)
{
	struct __lkl__kernel_timespec t = { 0, 20000000 }, real;
	long long before = monotonic_ms(), took;

	is(lkl_sys_nanosleep(&t, 0), 0);
	took = monotonic_ms() - before;
	tap_say(took >= 20 && took < 2000, took, "it slept 20 ms", __LINE__);
	t.tv_nsec = 1000000000;
	is(lkl_sys_nanosleep(&t, 0), -LKL_EINVAL);
	is(lkl_sys_clock_gettime(LKL_CLOCK_REALTIME, &real), 0);
	/* The clock on the wall is right from the start. */
	tap_say(real.tv_sec - time(0) < 2 && time(0) - real.tv_sec < 2, (long)real.tv_sec, "the time is the host's", __LINE__);
}

static void pipes(void)
{
	char buf[16] = "";
	int fds[2] = { -1, -1 };

	is(lkl_sys_pipe2(fds, LKL_O_CLOEXEC), 0);
	/* Descriptors begin at 0, whatever the host has open. */
	is(fds[0], 0);
	is(fds[1], 1);
	is(lkl_sys_write(fds[1], "hello", 6), 6);
	is(lkl_sys_read(fds[0], buf, sizeof(buf)), 6);
	is(strcmp(buf, "hello"), 0);
	is(lkl_sys_fcntl(fds[0], LKL_F_GETFD, 0), LKL_FD_CLOEXEC);
	is(lkl_sys_pipe2(0, 0), -LKL_EFAULT);
	is(lkl_sys_pipe2(fds, -1), -LKL_EINVAL);
	is(lkl_sys_close(fds[1]), 0);
	is(lkl_sys_read(fds[0], buf, sizeof(buf)), 0);
	is(lkl_sys_close(fds[0]), 0);
	is(lkl_sys_close(fds[0]), -LKL_EBADF);
	is(lkl_sys_write(0, "x", 1), -LKL_EBADF);
}

static void epoll(void)
{
	struct lkl_epoll_event ev = { LKL_EPOLLIN, 0x123456789abcdefULL }, got = { 0, 0 };
	struct lkl_pollfd pfd;
	struct lkl_timeval none = { 0, 0 };
	lkl_fd_set set;
	int fds[2];
	long ep;

	is(lkl_sys_pipe(fds), 0);
	ep = good(lkl_sys_epoll_create(1));
	is(lkl_sys_epoll_ctl(ep, LKL_EPOLL_CTL_ADD, fds[0], &ev), 0);
	is(lkl_sys_epoll_ctl(ep, LKL_EPOLL_CTL_ADD, fds[0], &ev), -LKL_EEXIST);
	is(lkl_sys_epoll_wait(ep, &got, 1, 0), 0);
	is(lkl_sys_write(fds[1], "x", 1), 1);
	is(lkl_sys_epoll_wait(ep, &got, 1, 1000), 1);
	is(got.events, LKL_EPOLLIN);
	is(got.data == ev.data, 1);
	pfd.fd = fds[0];
	pfd.events = LKL_POLLIN | LKL_POLLOUT;
	is(lkl_sys_poll(&pfd, 1, 0), 1);
	is(pfd.revents, LKL_POLLIN);
	LKL_FD_ZERO(&set);
	LKL_FD_SET(fds[0], &set);
	is(lkl_sys_select(fds[0] + 1, &set, 0, 0, &none), 1);
	is(LKL_FD_ISSET(fds[0], &set), 1);
	is(lkl_sys_close(ep), 0);
	is(lkl_sys_close(fds[0]), 0);
	is(lkl_sys_close(fds[1]), 0);
}

static void loopback(void)
{
	struct lkl_sockaddr_in addr = { LKL_AF_INET, 0, { 0x0100007f }, { 0 } };
	int len = sizeof(addr), lo;
	long server, client, conn;
	char buf[8] = "";

	lo = lkl_ifname_to_ifindex("lo");
	is(lo, 1);
	is(lkl_ifname_to_ifindex("nothing"), -LKL_ENODEV);
	is(lkl_ifname_to_ifindex(0), -LKL_EINVAL);
	is(lkl_if_up(lo), 0);
	is(lkl_if_up(99), -LKL_ENODEV);
	server = good(lkl_sys_socket(LKL_AF_INET, LKL_SOCK_STREAM, 0));
	is(lkl_sys_bind(server, (struct lkl_sockaddr *)&addr, sizeof(addr)), 0);
	is(lkl_sys_listen(server, 1), 0);
	is(lkl_sys_getsockname(server, (struct lkl_sockaddr *)&addr, &len), 0);
	client = good(lkl_sys_socket(LKL_AF_INET, LKL_SOCK_STREAM, 0));
	is(lkl_sys_connect(client, (struct lkl_sockaddr *)&addr, sizeof(addr)), 0);
	conn = good(lkl_sys_accept(server, 0, 0));
	is(lkl_sys_send(client, "ping", 5, 0), 5);
	is(lkl_sys_recv(conn, buf, sizeof(buf), 0), 5);
	is(strcmp(buf, "ping"), 0);
	is(lkl_sys_close(conn), 0);
	is(lkl_sys_close(client), 0);
	is(lkl_sys_close(server), 0);
}

static void settings(void)
{
	is(lkl_sysctl("net.ipv4.tcp_sack", "0"), 0);
	is(lkl_sysctl("/net/ipv4/tcp_sack", "1"), 0);
	is(lkl_sysctl("net.ipv4.tcp_sack", "many"), -LKL_EINVAL);
	is(lkl_sysctl("net.nothing", "1"), -LKL_ENOENT);
	is(lkl_sysctl(0, "1"), -LKL_EINVAL);
	lkl_sysctl_parse_write("net.ipv4.tcp_sack=0;net.ipv4.tcp_sack=1;");
	lkl_sysctl_parse_write(0);
	is(lkl_if_set_mtu(1, 1400), 0);
	is(lkl_if_set_mtu(1, -1), -LKL_EINVAL);
	is(lkl_if_set_ipv4(1, 0x0200000a, 24), 0);
	is(lkl_if_set_ipv4(1, 0x0200000a, 24), -LKL_EEXIST);
	is(lkl_if_set_ipv4(1, 0x0200000a, 99), -LKL_EINVAL);
	is(lkl_if_set_ipv6(1, 0, 64), -LKL_EINVAL);
	is(lkl_if_add_ip(1, 99, &message_count, 24), -LKL_EAFNOSUPPORT);
	is(lkl_qdisc_add(1, "root", "fq"), 0);
	is(lkl_qdisc_add(1, "root", "nothing"), -LKL_ENOENT);
	is(lkl_qdisc_add(1, 0, 0), -LKL_EINVAL);
	is(lkl_add_neighbor(1, LKL_AF_INET, 0, 0), -LKL_EINVAL);
	is(lkl_set_fd_limit(2), 0);
	is(lkl_sys_eventfd(0), 0);
	is(lkl_sys_eventfd(0), 1);
	is(lkl_sys_eventfd(0), -LKL_EMFILE);
	is(lkl_set_fd_limit(1024), 0);
	is(lkl_sys_dup2(0, 700), 700);
	is(lkl_sys_close(700), 0);
	is(lkl_sys_close(1), 0);
	is(lkl_sys_close(0), 0);
}

/* ---- Files, in the root that a kernel begins with ---- */

static void files(void)
{
	struct lkl_stat st;
	struct lkl_statfs fs;
	char buf[32] = "";
	long fd;

	fd = good(lkl_sys_creat("/file", 0666));
	is(fd, 0);
	is(lkl_sys_write(fd, "hello, world", 12), 12);
	is(lkl_sys_lseek(fd, 7, LKL_SEEK_SET), 7);
	is(lkl_sys_write(fd, "there", 5), 5);
	is(lkl_sys_close(fd), 0);
	fd = good(lkl_sys_open("/file", LKL_O_RDONLY, 0));
	is(lkl_sys_fstat(fd, &st), 0);
	is(st.st_size, 12);
	is(st.st_mode, LKL_S_IFREG | 0644);
	tap_say(st.lkl_st_mtime - time(0) < 5 && time(0) - st.lkl_st_mtime < 5, st.lkl_st_mtime, "it was written now", __LINE__);
	is(lkl_sys_read(fd, buf, sizeof(buf)), 12);
	is(strcmp(buf, "hello, there"), 0);
	is(lkl_sys_write(fd, "x", 1), -LKL_EBADF);
	is(lkl_sys_close(fd), 0);
	is(lkl_sys_open("/file", LKL_O_RDWR | LKL_O_CREAT | LKL_O_EXCL, 0644), -LKL_EEXIST);
	is(lkl_sys_open("/nothing", LKL_O_RDONLY, 0), -LKL_ENOENT);
	is(lkl_sys_access("/file", LKL_R_OK), 0);
	is(lkl_sys_chmod("/file", 0600), 0);
	is(lkl_sys_rename("/file", "/renamed"), 0);
	is(lkl_sys_symlink("/renamed", "/link"), 0);
	is(lkl_sys_readlink("/link", buf, sizeof(buf)), 8);
	is(lkl_sys_lstat("/link", &st), 0);
	is(LKL_S_ISLNK(st.st_mode), 1);
	is(lkl_sys_stat("/link", &st), 0);
	is(st.st_mode, LKL_S_IFREG | 0600);
	is(lkl_sys_link("/renamed", "/second"), 0);
	is(lkl_sys_stat("/second", &st), 0);
	is(st.st_nlink, 2);
	is(lkl_sys_unlink("/second"), 0);
	is(lkl_sys_unlink("/link"), 0);
	is(lkl_sys_unlink("/renamed"), 0);
	is(lkl_sys_unlink("/renamed"), -LKL_ENOENT);
	is(lkl_sys_mkdir("/dir", 0777), 0);
	is(lkl_sys_stat("/dir", &st), 0);
	is(st.st_mode, LKL_S_IFDIR | 0755);
	is(lkl_sys_mknod("/dir/null", LKL_S_IFCHR | 0600, 0x103), 0);
	fd = good(lkl_sys_open("/dir/null", LKL_O_RDWR, 0));
	is(lkl_sys_write(fd, "gone", 4), 4);
	is(lkl_sys_read(fd, buf, 4), 0);
	is(lkl_sys_close(fd), 0);
	is(lkl_sys_rmdir("/dir"), -LKL_ENOTEMPTY);
	is(lkl_sys_unlink("/dir/null"), 0);
	is(lkl_sys_rmdir("/dir"), 0);
	is(lkl_sys_statfs("/", &fs), 0);
	is(fs.f_type, LKL_TMPFS_MAGIC);
	is(lkl_sys_chdir("/nothing"), -LKL_ENOENT);
	is(lkl_sys_mkdir("/here", 0700), 0);
	is(lkl_sys_chdir("/here"), 0);
	is(lkl_sys_getcwd(buf, sizeof(buf)), 6);
	is(strcmp(buf, "/here"), 0);
	is(lkl_sys_chdir("/"), 0);
}

static void proc(void)
{
	struct lkl_linux_dirent64 *entry;
	struct lkl_dir *dir;
	int err = 0, own = 0;
	char buf[64] = "";
	long fd;

	is(lkl_mount_fs("proc") >= 0, 1);
	is(lkl_mount_fs("proc"), 1);
	is(lkl_sys_chdir("/proc"), 0);
	dir = lkl_opendir(".", &err);
	is(dir && err == 0, 1);
	while ((entry = lkl_readdir(dir)))
		own += !strcmp(entry->d_name, "1") && entry->d_type == LKL_DT_DIR;
	is(lkl_errdir(dir), 0);
	is(own, 1);
	is(lkl_closedir(dir), 0);
	is(lkl_closedir(0), -LKL_EINVAL);
	is(lkl_opendir("/proc/uptime", &err) == 0 && err == -LKL_ENOTDIR, 1);
	is(lkl_opendir(0, &err) == 0 && err == -LKL_EINVAL, 1);
	is(lkl_fdopendir(77, &err) == 0 && err == -LKL_EBADF, 1);
	fd = good(lkl_sys_open("uptime", LKL_O_RDONLY, 0));
	is(lkl_sys_read(fd, buf, sizeof(buf)) > 3, 1);
	is(lkl_sys_close(fd), 0);
	is(lkl_sys_chdir("/"), 0);
}

/* ---- Threads ---- */

static void *reader(void *arg)
{
	static char buf[4096];
	int fd = *(int *)arg;
	long n, total = 0;

	usleep(20000);
	while ((n = lkl_sys_read(fd, buf, sizeof(buf))) > 0)
		total += n;
	return (void *)(n < 0 ? n : total);
}

static void a_blocked_write(void)
{
	static char much[300000];
	pthread_t thread;
	void *total;
	int fds[2];

	is(lkl_sys_pipe(fds), 0);
	pthread_create(&thread, 0, reader, &fds[0]);
	/* More than there is room for: it waits for the reads of the other thread. */
	is(lkl_sys_write(fds[1], much, sizeof(much)), sizeof(much));
	is(lkl_sys_close(fds[1]), 0);
	pthread_join(thread, &total);
	is((long)total, sizeof(much));
	is(lkl_sys_close(fds[0]), 0);
}

static void *one_of_many(void *arg)
{
	long *seen = arg;
	struct __lkl__kernel_timespec t = { 0, 1000000 };
	int fds[2], i;
	char c;

	seen[0] = lkl_sys_getpid();
	seen[1] = lkl_sys_gettid();
	for (i = 0; i < 50; i++) {
		c = (char)i;
		if (lkl_sys_pipe(fds) || lkl_sys_write(fds[1], &c, 1) != 1 || lkl_sys_read(fds[0], &c, 1) != 1 || c != i ||
		    lkl_sys_close(fds[0]) || lkl_sys_close(fds[1]))
			seen[2]++;
	}
	lkl_sys_nanosleep(&t, 0);
	return 0;
}

static void many_threads(void)
{
	static long seen[64][3];
	pthread_t threads[64];
	int i, j, same = 0, wrong = 0;

	for (i = 0; i < 64; i++)
		pthread_create(&threads[i], 0, one_of_many, seen[i]);
	for (i = 0; i < 64; i++)
		pthread_join(threads[i], 0);
	for (i = 0; i < 64; i++) {
		/* Threads of one process, each with a number of its own. */
		wrong += seen[i][0] != 1 || seen[i][1] <= 1 || seen[i][2];
		for (j = 0; j < i; j++)
			same += seen[i][1] == seen[j][1];
	}
	is(wrong, 0);
	is(same, 0);
	is(lkl_sys_eventfd(0), 0);
	is(lkl_sys_close(0), 0);
}

/* ---- Signals ---- */

struct taker {
	int fd;
	pthread_barrier_t *begun;
	long answer;
	struct lkl_signalfd_siginfo info;
};

static void *take(void *arg)
{
	struct taker *taker = arg;

	pthread_barrier_wait(taker->begun);
	taker->answer = lkl_sys_read(taker->fd, &taker->info, sizeof(taker->info));
	return 0;
}

static void *take_polled(void *arg)
{
	struct taker *taker = arg;
	struct lkl_epoll_event ev = { LKL_EPOLLIN | LKL_EPOLLET, 7 }, got = { 0, 0 };
	long ep = lkl_sys_epoll_create(1);

	lkl_sys_epoll_ctl(ep, LKL_EPOLL_CTL_ADD, taker->fd, &ev);
	pthread_barrier_wait(taker->begun);
	taker->answer = lkl_sys_epoll_wait(ep, &got, 1, 10000);
	if (taker->answer == 1 && got.data == 7)
		taker->answer = lkl_sys_read(taker->fd, &taker->info, sizeof(taker->info));
	lkl_sys_close(ep);
	return 0;
}

/* Sends this value with the signal to the whole program. */
static void queue(int signal, int value)
{
	sigqueue(getpid(), signal, (union sigval){ .sival_int = value });
}

static void signals(void)
{
	const int rt = SIGRTMIN + 1;
	struct lkl_signalfd_siginfo got[4];
	struct taker takers[3] = { { 0 } };
	pthread_barrier_t begun;
	pthread_t threads[3];
	struct lkl_pollfd pfd;
	sigset_t set, old, none;
	lkl_sigset_t mask;
	long fd, event;
	int i;

	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, rt);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	/* The first eight bytes are the set that the kernel knows. */
	memcpy(&mask, &set, sizeof(mask));
	is(lkl_sys_signalfd(-1, &mask, 4), -LKL_EINVAL);
	is(lkl_sys_signalfd(-1, 0, 8), -LKL_EFAULT);
	is(lkl_sys_signalfd4(-1, &mask, 8, 1), -LKL_EINVAL);
	is(lkl_sys_signalfd(99, &mask, 8), -LKL_EBADF);
	event = good(lkl_sys_eventfd(0));
	is(lkl_sys_signalfd(event, &mask, 8), -LKL_EINVAL);
	fd = good(lkl_sys_signalfd4(-1, &mask, 8, LKL_SFD_NONBLOCK | LKL_SFD_CLOEXEC));
	is(lkl_sys_fcntl(fd, LKL_F_GETFD, 0), LKL_FD_CLOEXEC);
	is(lkl_sys_read(fd, got, sizeof(got)), -LKL_EAGAIN);
	pfd.fd = fd;
	pfd.events = LKL_POLLIN | LKL_POLLOUT;
	is(lkl_sys_poll(&pfd, 1, 0), 0);
	queue(rt, 5);
	queue(rt, 6);
	/* To this thread alone. */
	raise(SIGUSR1);
	is(lkl_sys_poll(&pfd, 1, 1000), 1);
	is(pfd.revents, LKL_POLLIN);
	is(lkl_sys_read(fd, got, sizeof(got[0]) - 1), -LKL_EINVAL);
	is(lkl_sys_read(fd, got, 2 * sizeof(got[0]) + 5), 2 * sizeof(got[0]));
	is(got[0].ssi_signo, SIGUSR1);
	is(got[0].ssi_pid, getpid());
	is(got[1].ssi_signo, rt);
	is(got[1].ssi_int, 5);
	is(got[1].ssi_code, SI_QUEUE);
	is(lkl_sys_read(fd, got, sizeof(got)), sizeof(got[0]));
	is(got[0].ssi_int, 6);
	is(lkl_sys_write(fd, got, sizeof(got[0])), -LKL_EINVAL);
	/* Another set at the same number; what waits is in it or not. */
	memcpy(&mask, &none, sizeof(mask));
	is(lkl_sys_signalfd(fd, &mask, 8), fd);
	queue(rt, 7);
	is(lkl_sys_poll(&pfd, 1, 0), 0);
	memcpy(&mask, &set, sizeof(mask));
	is(lkl_sys_signalfd(fd, &mask, 8), fd);
	is(lkl_sys_poll(&pfd, 1, 1000), 1);
	is(lkl_sys_read(fd, got, sizeof(got)), sizeof(got[0]));
	/* Threads that wait, each for a signal of its own: one of them serves the kernel, the others sleep beside it. */
	is(lkl_sys_fcntl(fd, LKL_F_SETFL, 0), 0);
	pthread_barrier_init(&begun, 0, 4);
	for (i = 0; i < 3; i++) {
		takers[i].fd = (int)fd;
		takers[i].begun = &begun;
		pthread_create(&threads[i], 0, i == 1 ? take_polled : take, &takers[i]);
	}
	pthread_barrier_wait(&begun);
	usleep(30000);
	for (i = 2; i >= 0; i--)
		pthread_sigqueue(threads[i], rt, (union sigval){ .sival_int = 100 + i });
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], 0);
		is(takers[i].answer, sizeof(takers[i].info));
		is(takers[i].info.ssi_int, 100 + i);
	}
	/* One for whoever takes it first. */
	pthread_barrier_destroy(&begun);
	pthread_barrier_init(&begun, 0, 2);
	pthread_create(&threads[0], 0, take, &takers[0]);
	pthread_barrier_wait(&begun);
	usleep(10000);
	queue(SIGUSR1, 9);
	pthread_join(threads[0], 0);
	is(takers[0].info.ssi_signo == SIGUSR1 && takers[0].info.ssi_int == 9, 1);
	pthread_barrier_destroy(&begun);
	/* A copy of the descriptor, and the end. */
	is(lkl_sys_dup2(fd, 50), 50);
	is(lkl_sys_close(fd), 0);
	queue(rt, 8);
	pfd.fd = 50;
	is(lkl_sys_poll(&pfd, 1, 1000), 1);
	is(lkl_sys_read(50, got, sizeof(got)), sizeof(got[0]));
	is(lkl_sys_close(50), 0);
	is(lkl_sys_close(event), 0);
	pthread_sigmask(SIG_SETMASK, &old, 0);
}

/* ---- The host's operations ---- */

static void callback(void *arg)
{
	lkl_host_ops.sem_up(arg);
}

static void host_operations(void)
{
	struct lkl_sem *sem = lkl_host_ops.sem_alloc(0);
	struct lkl_mutex *mutex = lkl_host_ops.mutex_alloc(1);
	struct lkl_tls_key *key = lkl_host_ops.tls_alloc(0);
	void *timer = lkl_host_ops.timer_alloc((void *)callback
#ifdef LKL_API_OLD
					       , sem
#endif
					       );
	lkl_thread_t thread = lkl_host_ops.thread_create(callback, sem);
	void *page = lkl_host_ops.page_alloc(8192);

	is(thread != 0, 1);
	lkl_host_ops.sem_down(sem);
	is(lkl_host_ops.thread_join(thread), 0);
#ifdef LKL_API_OLD
	is(lkl_host_ops.timer_set_oneshot(timer, 1000000), 0);
	lkl_host_ops.sem_down(sem);
#endif
	lkl_host_ops.timer_free(timer);
	lkl_host_ops.sem_free(sem);
	lkl_host_ops.mutex_lock(mutex);
	lkl_host_ops.mutex_lock(mutex);
	lkl_host_ops.mutex_unlock(mutex);
	lkl_host_ops.mutex_unlock(mutex);
	lkl_host_ops.mutex_free(mutex);
	is(lkl_host_ops.tls_set(key, &tap_count), 0);
	is(lkl_host_ops.tls_get(key) == &tap_count, 1);
	lkl_host_ops.tls_free(key);
	is(((unsigned long)page & 4095) == 0 && page, 1);
	lkl_host_ops.page_free(page, 8192);
	is(lkl_host_ops.gettid(), gettid());
	is(lkl_host_ops.thread_equal(lkl_host_ops.thread_self(), pthread_self()), 1);
	is(lkl_host_ops.time() > 0, 1);
	is(strcmp(lkl_strerror(-LKL_ENOENT), "No such file or directory"), 0);
	is(strcmp(lkl_strerror(LKL_EINVAL), "Invalid argument"), 0);
	is(strcmp(lkl_strerror(100000), "Unknown error"), 0);
	is(lkl_strerror(-2147483647 - 1) != 0, 1);
}

/* ---- Operations of our own ---- */

static int own_allocs, own_frees, own_panics, own_prints;

static unsigned long long own_time(void)
{
	/* A clock that is far ahead. */
	return lkl_host_ops.time() + 1000000000000000ULL;
}

static void *own_alloc(unsigned long size)
{
	own_allocs++;
	return malloc(size);
}

static void own_free(void *mem)
{
	own_frees++;
	free(mem);
}

static void own_panic(void)
{
	own_panics++;
}

static void own_print(const char *str, int len)
{
	(void)str;
	own_prints += len > 0;
}

static void own_operations(void)
{
	struct lkl_host_operations ops = lkl_host_ops;
	struct __lkl__kernel_timespec t = { 0, 20000000 }, now = { 0, 0 };
	struct lkl_kernel *kernel;
	struct lkl_dir *dir;
	long long before;
	int err, n;

	ops.time = own_time;
	ops.mem_alloc = own_alloc;
	ops.mem_free = own_free;
	ops.panic = own_panic;
	ops.print = own_print;
	kernel = lkl_kernel_new(&ops, "mem=16M", &err);
	is(kernel != 0, 1);
	is(lkl_kernel_enter(kernel), 0);
	is(own_prints > 0, 1);
	is(lkl_sys_clock_gettime(LKL_CLOCK_MONOTONIC, &now), 0);
	is(now.tv_sec >= 1000000, 1);
	before = monotonic_ms();
	is(lkl_sys_nanosleep(&t, 0), 0);
	is(monotonic_ms() - before >= 20, 1);
	dir = lkl_opendir("/", &err);
	is(dir && own_allocs == 1, 1);
	is(lkl_closedir(dir), 0);
	is(own_frees, 1);
	n = own_prints;
	lkl_bug("%s\n", "nothing is wrong");
	is(own_panics, 1);
	is(own_prints, n + 1);
	/* It may be muted while it runs. */
	ops.print = 0;
	is(lkl_printf("nothing\n"), 0);
	is(own_prints, n + 1);
	is(lkl_kernel_enter(0), 0);
	is(lkl_kernel_free(kernel), 0);
}

/* ---- Several kernels ---- */

static void *waiter(void *arg)
{
	char c;

	return (void *)lkl_sys_read(*(int *)arg, &c, 1);
}

static void one_after_another(void)
{
	pthread_t thread;
	void *answer;
	int fds[2], i;

	for (i = 0; i < 3; i++) {
		is(lkl_start_kernel_fmt("mem=%dM", 16), 0);
		is(lkl_sys_eventfd(0), 0);
		is(lkl_sys_halt(), 0);
	}
	/* Who waits in a call is told. */
	is(lkl_start_kernel_fmt("mem=16M"), 0);
	is(lkl_sys_pipe(fds), 0);
	pthread_create(&thread, 0, waiter, &fds[0]);
	usleep(20000);
	is(lkl_sys_halt(), 0);
	pthread_join(thread, &answer);
	is((long)answer, -LKL_ENODEV);
}

static void side_by_side(void)
{
	struct lkl_kernel *a, *b;
	struct lkl_new_utsname name;
	int err = 1;

	is(lkl_start_kernel_fmt("mem=16M"), 0);
	a = lkl_kernel_new(0, "mem=16M", &err);
	is(a && err == 0, 1);
	b = lkl_kernel_new(&lkl_host_ops, 0, 0);
	is(b != 0, 1);
	is(lkl_kernel_new(0, "mem=nothing", &err) == 0 && err == -LKL_EINVAL, 1);
	is(lkl_kernel_enter(a), 0);
	is(lkl_sys_sethostname("first", 5), 0);
	is(lkl_sys_eventfd(0), 0);
	is(lkl_kernel_enter(b), 0);
	is(lkl_sys_sethostname("second", 6), 0);
	is(lkl_sys_eventfd(0), 0);
	is(lkl_sys_getpid(), 1);
	is(lkl_kernel_enter(a), 0);
	is(lkl_sys_uname(&name), 0);
	is(strcmp(name.nodename, "first"), 0);
	is(lkl_kernel_enter(0), 0);
	is(lkl_sys_uname(&name), 0);
	is(strcmp(name.nodename, "first") && strcmp(name.nodename, "second"), 1);
	is(lkl_sys_close(0), -LKL_EBADF);
	is(lkl_kernel_syscall(b, __lkl__NR_getpid, 0), 1);
	is(lkl_kernel_syscall((struct lkl_kernel *)&name, __lkl__NR_getpid, 0), -LKL_EINVAL);
	is(lkl_kernel_enter((struct lkl_kernel *)&name), -LKL_EINVAL);
	is(lkl_kernel_free(a), 0);
	is(lkl_kernel_free(a), -LKL_EINVAL);
	is(lkl_sys_getpid(), 1);
	is(lkl_sys_halt(), 0);
	is(lkl_kernel_enter(b), 0);
	is(lkl_sys_close(0), 0);
	is(lkl_sys_halt(), 0);
	is(lkl_kernel_free(b), 0);
}

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	int fds, tasks = entries("/proc/self/task"), tries;

	if (argc > 1)
		messages = fopen(argv[1], "w");
	fds = entries("/proc/self/fd");
	lkl_host_ops.print = print;
	without_a_kernel("before a start");
	is(lkl_start_kernel_fmt(0), -LKL_EINVAL);
	is(lkl_start_kernel_fmt("mem=nothing"), -LKL_EINVAL);
#ifdef LKL_API_OLD
	is(lkl_start_kernel(&lkl_host_ops, "mem=%dM loglevel=8", 32), 0);
#else
	is(lkl_init(&lkl_host_ops), 0);
	is(lkl_start_kernel("mem=%dM loglevel=%d", 32, 8), 0);
	is(lkl_init(&lkl_host_ops), -LKL_EBUSY);
#endif
	is(lkl_is_running(), 1);
	is(lkl_start_kernel_fmt("mem=32M"), -LKL_EBUSY);
	is(lkl_start_kernel_ops(&lkl_host_ops, "mem=32M"), -LKL_EBUSY);
	is(message_count > 0, 1);
	is(lkl_printf("a message of %d bytes, %s %.1f\n", 28, "and", 1.5), 31);
	identity();
	sleeping();
	pipes();
	epoll();
	loopback();
	settings();
	files();
	proc();
	a_blocked_write();
	many_threads();
	signals();
	host_operations();
	is(lkl_sys_halt(), 0);
	without_a_kernel("after a halt");
	one_after_another();
	side_by_side();
	own_operations();
	without_a_kernel("at the end");
	lkl_cleanup();
	lkl_cleanup();
	/* Nothing of the kernels is left at the host. A thread is counted until it is quite gone. */
	is(entries("/proc/self/fd"), fds);
	for (tries = 0; tries < 100 && entries("/proc/self/task") != tasks; tries++)
		usleep(10000);
	is(entries("/proc/self/task"), tasks);
	if (messages)
		fclose(messages);
	return tap_end();
}
